//! `floe init` on logs that real software wrote: what it recognises, what it proposes, and that the proposal holds.

use std::path::Path;
use std::process::Command;

use floe::config::Settings;
use floe::proposal::{LinesFate, Proposal, Subject, propose};

/// File; container and format; lines read, parsed, billed, ignored, quarantined.
type Row = (&'static str, &'static str, &'static str, [usize; 5]);

const SAMPLES: &[Row] = &[
    ("bunyan.log", "none", "bunyan", [30, 30, 10, 20, 0]),
    ("docker-json-file.log", "docker", "pino", [30, 30, 10, 20, 0]),
    ("haproxy-httplog.log", "none", "haproxy", [256, 256, 83, 173, 0]),
    ("litellm-proxy-json_logs.log", "none", "json", [20, 12, 8, 12, 0]),
    ("litellm-standard-logging-payload.log", "none", "litellm", [6, 6, 3, 3, 0]),
    ("logrus.log", "none", "logrus", [30, 30, 10, 20, 0]),
    ("loguru-serialize.log", "none", "loguru", [30, 30, 10, 20, 0]),
    ("nginx-combined-badutf8.log", "none", "nginx-combined", [262, 262, 87, 175, 0]),
    ("nginx-combined.log", "none", "nginx-combined", [210, 210, 70, 140, 0]),
    ("nginx-json-badutf8.log", "none", "nginx-json", [30, 30, 10, 20, 0]),
    ("nginx-json.log", "none", "nginx-json", [30, 30, 10, 20, 0]),
    ("pino.log", "none", "pino", [30, 30, 10, 20, 0]),
    ("podman-k8sfile-cri.log", "cri", "pino", [30, 29, 10, 20, 0]),
    ("postgresql-csv.log", "none", "postgres-csvlog", [300, 300, 126, 174, 0]),
    ("postgresql-log.log", "none", "regex", [30, 30, 23, 7, 0]),
    ("python-json-logger.log", "none", "python-json-logger", [30, 30, 10, 20, 0]),
    ("python-logging-plain-multiline.log", "none", "regex", [30, 30, 4, 26, 0]),
    ("rsyslog-rfc5424.log", "none", "syslog-rfc5424", [262, 262, 244, 18, 0]),
    ("rust-tracing-json.log", "none", "tracing-subscriber", [30, 30, 10, 20, 0]),
    ("structlog.log", "none", "structlog", [30, 30, 10, 20, 0]),
    ("winston.log", "none", "winston", [30, 30, 10, 20, 0]),
    ("zap.log", "none", "zap", [30, 30, 10, 20, 0]),
    ("zerolog.log", "none", "zerolog", [30, 30, 10, 20, 0]),
];

const GOLDEN: &[Row] = &[
    ("app-loggers.log", "none", "json", [9, 9, 6, 3, 0]),
    ("cri.log", "cri", "pino", [3, 3, 3, 0, 0]),
    ("docker.log", "docker", "pino", [1, 1, 1, 0, 0]),
    ("heroku.log", "none", "heroku-router", [2, 2, 1, 1, 0]),
    ("istio.log", "none", "istio", [3, 3, 1, 2, 0]),
    ("litellm.log", "none", "litellm", [3, 3, 2, 1, 0]),
    ("llm-usage.log", "none", "json", [3, 3, 1, 2, 0]),
    ("logfmt.log", "none", "logfmt", [1, 1, 1, 0, 0]),
    ("nginx-combined.log", "none", "nginx-combined", [3, 3, 2, 1, 0]),
    ("nginx-json.log", "none", "nginx-json", [3, 3, 2, 1, 0]),
    ("syslog-rfc5424.log", "none", "syslog-rfc5424", [3, 3, 2, 1, 0]),
];

fn proposal(folder: &str, name: &str) -> Proposal {
    let path = format!("{}/tests/data/{folder}/{name}", env!("CARGO_MANIFEST_DIR"));
    let sample = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    propose_for(name, &sample)
}

fn propose_for(name: &str, sample: &[u8]) -> Proposal {
    let path = format!("/var/log/{name}");
    let subject = Subject { name, source: "log", path: &path, is_placeholder: false };
    propose(&subject, sample).unwrap_or_else(|unknown| panic!("{name}: {unknown:?}"))
}

#[track_caller]
fn check(folder: &str, rows: &[Row]) {
    let mut found = String::new();
    let mut wanted = String::new();
    let row = |(name, container, format, numbers): (&str, &str, &str, [usize; 5])| {
        format!("    ({name:?}, {container:?}, {format:?}, {numbers:?}),\n")
    };
    let path = format!("{}/tests/data/{folder}", env!("CARGO_MANIFEST_DIR"));
    let files =
        std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> =
        files.filter(|name| Path::new(name).extension().is_some_and(|it| it == "log")).collect();
    names.sort();
    for name in names {
        let Proposal { config, container, format, fate, .. } = proposal(folder, &name);
        let LinesFate { read, parsed, billed, ignored, quarantined } = fate;
        found.push_str(&row((&name, container, &format, [read, parsed, billed, ignored, quarantined])));
        let settings = Settings::from_toml(&config)
            .unwrap_or_else(|faults| panic!("{name}: {}\n{config}", faults.render(false)));
        // A config is UTF-8, and so are its tests.
        let tests = if name == "nginx-json-badutf8.log" { 0 } else { 2 };
        assert!(
            settings.tests.len() >= tests || ignored + quarantined == 0,
            "{name} has examples of both:\n{config}"
        );
        assert!(billed > 0, "{name} has a line that is billed:\n{config}");
    }
    rows.iter().for_each(|each| wanted.push_str(&row(*each)));
    assert!(found == wanted, "found:\n{found}");
}

#[test]
fn each_sample_is_recognised_and_its_config_holds() {
    check("samples", SAMPLES);
}

#[test]
fn each_golden_log_is_recognised() {
    check("golden", GOLDEN);
}

#[test]
fn a_proposal_for_a_preset_reads_well() {
    insta::assert_snapshot!(proposal("samples", "pino.log").config);
}

#[test]
fn a_proposal_for_a_plain_format_reads_well() {
    insta::assert_snapshot!(proposal("samples", "python-logging-plain-multiline.log").config);
}

/// The keys of the first rule's event and its condition, of lines that are made for it.
#[track_caller]
fn check_rule(sample: &str, wanted: &[&str]) {
    let config = propose_for("made.log", sample.as_bytes()).config;
    for line in wanted {
        assert!(config.lines().any(|found| found.starts_with(line)), "{line}\n{config}");
    }
    Settings::from_toml(&config).unwrap_or_else(|faults| panic!("{}", faults.render(false)));
}

fn lines(line: impl Fn(usize) -> String) -> String {
    (10..40).map(|at| line(at) + "\n").collect()
}

#[test]
fn customers_quantities_costs_and_times_are_found_by_name_and_value() {
    let json = |at| {
        format!(
            r#"{{"event":"done","userAgent":"x","headers":{{"tenant":"x"}},"org":{{"id":"acme"}},"ts":17951697{at}123,"usage":{{"tokens":{at}}},"cost":0.5,"prompt":"it's"}}"#
        )
    };
    check_rule(
        &lines(json),
        &[
            "format = \"json\"",
            "when = { event = \"done\" }",
            "external_customer_id = \"{org.id}\"",
            "timestamp = \"{ts | epoch_ms}\"",
            "metadata.tokens = \"{usage.tokens}\"",
            "metadata._cost = { amount = \"{cost | decimal | mul(100) | round(12)}\", currency = \"usd\" }",
        ],
    );
    let csv = format!("at,customer,units\n{}", lines(|at| format!("2026-11-20T10:15:{at}Z,acme,{at}")));
    check_rule(
        &csv,
        &[
            "header = \"first_line\"",
            "external_customer_id = \"{customer}\"",
            "timestamp = \"{at}\"",
            "metadata.units = \"{units | int}\"",
        ],
    );
    let logfmt = |at| {
        format!("time=\"2026-11-20 10:15:{at}\" msg=done tenant=acme took=3 duration=0.{at} note=${{x}}")
    };
    check_rule(
        &lines(logfmt),
        &[
            "format = \"logfmt\"",
            "external_customer_id = \"{tenant}\"",
            "timestamp = \"{time | timestamp('%Y-%m-%d %H:%M:%S%.f', 'UTC')}\"",
            "metadata.duration = \"{duration | decimal}\"",
        ],
    );
    let w3c = lines(|at| format!("2026-11-20 10:15:{at} GET /x 200 {at}"));
    check_rule(
        &format!("#Fields: date time cs-method cs-uri-stem sc-status sc-bytes\n{w3c}"),
        &["header = \"fields\"", "when = { sc-status = { lt = 400 } }", "timestamp = \"{date}T{time}Z\""],
    );
    let apache = |at| {
        format!(
            "h - {} [20/Nov/2026:10:15:{at} +0000] \"GET /a?b HTTP/1.0\" 200 3",
            if at % 2 == 0 { "-" } else { "acme" }
        )
    };
    check_rule(
        &lines(apache),
        &[
            "format = \"apache-combined\"",
            "when = { status = { lt = 400 }, remote_user = { exists = true } }",
            "external_customer_id = \"{remote_user}\"",
            "metadata.path = \"{request_uri | path_only}\"",
        ],
    );
}

#[test]
fn what_nobody_recognises_is_told_with_the_nearest_format() {
    let subject = Subject { name: "x", source: "x", path: "/x", is_placeholder: false };
    let sample = format!("{{\"a\":1}}\n{}", lines(|at| format!("hello {at}")));
    let unknown = propose(&subject, sample.as_bytes()).unwrap_err();
    let nearest = unknown.nearest.unwrap();
    assert_eq!((unknown.lines, nearest.format.as_str(), nearest.lines_parsed), (31, "json", 1));
    assert_eq!(nearest.misfit.unwrap().0, 2);
}

#[test]
fn the_command_writes_a_config_that_the_others_take() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_floe"))
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code().unwrap(), said)
    };
    let log = format!("{}/tests/data/samples/pino.log", env!("CARGO_MANIFEST_DIR"));
    std::fs::copy(log, folder.path().join("app.log")).unwrap();
    std::fs::write(folder.path().join("other.log"), "hello\n").unwrap();
    for (arguments, code, said) in [
        (&["init", "app.log", "--output", "floe.toml"] as &[&str], 0, "30 read, 30 of the format"),
        (&["init", "app.log", "--output", "floe.toml"], 73, "exists already"),
        (&["init", "app.log", "--output", "floe.toml", "--force"], 0, "floe test -c floe.toml"),
        (&["check", "-c", "floe.toml"], 0, "floe.toml"),
        (&["test", "-c", "floe.toml"], 0, "2 passed, 0 failed"),
        (&["init", "app.log"], 0, "[[tests]]"),
        (&["init", "other.log"], 1, "not recognised"),
        (&["init", "none.log"], 66, "cannot read"),
    ] {
        let (found, told) = run(arguments);
        assert_eq!(found, code, "{arguments:?}: {told}");
        assert!(told.contains(said), "{arguments:?}: {told}");
    }
}
