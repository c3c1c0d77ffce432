//! Lines that real loggers wrote.

use floe::model::{Fate, Ignored};

use crate::support::{assert_polar_takes, events, letters, map_all, rules, rules_of, rules_with_limit};

fn sample(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/data/samples/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn a_raw_referer_that_is_not_utf8_costs_no_line() {
    let rules = rules(
        r#"
[[rules]]
id = "request"
when = { status = 200, request_method = "GET" }
[rules.event]
name = "request"
external_customer_id = "{remote_addr}"
timestamp = "{msec | epoch_s}"
metadata.referrer = "{http_referrer}"
metadata.bytes = "{body_bytes_sent}"
"#,
    );
    let mut log = sample("nginx-json-badutf8.log");
    assert!(std::str::from_utf8(&log).is_err());
    // The lines are of the day after the tests' clock: two days back.
    while let Some(at) = log.windows(6).position(|bytes| bytes == b"179521") {
        log[at..at + 6].copy_from_slice(b"179504");
    }
    let chunk = map_all(&rules, &log);
    assert_eq!(chunk.lines.len(), 10);
    assert_eq!(chunk.values_not_utf8, 10);
    assert!(events(&chunk.body)[0]["metadata"]["referrer"].as_str().unwrap().contains('\u{fffd}'));
    assert_polar_takes(&chunk.body);
}

#[test]
fn pino_and_structlog_lines_are_counted_as_expected() {
    let rules = rules_with_limit(
        "64KiB",
        r#"
[[rules]]
id = "pino"
when = { msg = "request ok" }
[rules.event]
name = "request"
external_customer_id = "{userId}"
metadata.ms = "{ms}"
metadata.path = "{path}"
[[rules]]
id = "structlog"
when = { event = "request.finished" }
[rules.event]
name = "request"
external_customer_id = "{request_id}"
metadata.ms = "{ms}"
"#,
    );
    for name in ["pino.log", "structlog.log"] {
        let chunk = map_all(&rules, &sample(name));
        assert_eq!(chunk.lines.len(), 10, "{name}");
        assert_eq!(chunk.settled.get(Fate::Ignored(Ignored::NoRule)).lines, 20, "{name}");
        assert_polar_takes(&chunk.body);
    }
}

#[test]
fn litellm_payloads_give_costs_that_polar_takes() {
    let log = sample("litellm-standard-logging-payload.log");
    let rules = rules_with_limit("64KiB", LITELLM);
    let chunk = map_all(&rules, &log);
    assert_eq!(chunk.lines.len(), 3);
    assert_eq!(events(&chunk.body)[0]["metadata"]["_cost"]["amount"], "0.00135");
    assert_polar_takes(&chunk.body);
}

const LITELLM: &str = r#"
[[rules]]
id = "litellm"
when = { status = "success", total_tokens = { gt = 0 } }
[rules.event]
name = "llm_usage"
external_customer_id = "{model_id}"
metadata._cost = { amount = "{response_cost | decimal | mul('100') | round(12)}", currency = "usd" }
"#;

/// A log of lines that are not JSON, what a user would write for it, and what becomes of its lines.
struct Sample {
    log: &'static str,
    source: &'static [&'static str],
    /// What stands under `[[rules]]`, but for the id and the name.
    rule: &'static str,
    event: &'static str,
    billed: usize,
    no_rule: u64,
    /// Lines that are not of the format, or not those that the rule thinks it wants, by the start of what is said.
    refused: &'static [(&'static str, usize)],
    /// What the first event has in its metadata.
    first: &'static str,
    values_not_utf8: u32,
}

#[test]
fn lines_of_servers_are_read_or_refused_for_a_reason() {
    for sample in SAMPLES {
        check(sample);
    }
}

#[track_caller]
fn check(wanted: &Sample) {
    let Sample { log: name, source, rule, event, .. } = wanted;
    let rules = rules_of(
        &source.join("\n"),
        &format!("[[rules]]\nid = \"rule\"\n{rule}\n[rules.event]\nname = \"event\"\n{event}"),
    );
    // The lines are of the day after the tests' clock: two days back.
    let log = String::from_utf8(sample(name)).unwrap();
    let log = log.replace("21/Nov/2026", "19/Nov/2026").replace("2026-11-21", "2026-11-19");
    let chunk = map_all(&rules, log.as_bytes());
    let mut refused: Vec<(String, usize)> = Vec::new();
    for letter in letters(&chunk) {
        let said = format!("{}: {}", letter["reason"].as_str().unwrap(), letter["detail"].as_str().unwrap());
        let known = wanted.refused.iter().find(|(start, _)| said.starts_with(start));
        let start = known.map_or(said.clone(), |(start, _)| (*start).to_owned());
        match refused.iter_mut().find(|(known, _)| *known == start) {
            Some((_, count)) => *count += 1,
            None => refused.push((start, 1)),
        }
    }
    let refused: Vec<_> = refused.iter().map(|(start, count)| (start.as_str(), *count)).collect();
    assert_eq!(refused, wanted.refused, "{name}");
    assert_eq!(chunk.lines.len(), wanted.billed, "{name}");
    assert_eq!(chunk.settled.get(Fate::Ignored(Ignored::NoRule)).lines, wanted.no_rule, "{name}");
    assert_eq!(events(&chunk.body)[0]["metadata"].to_string(), wanted.first, "{name}");
    assert_eq!(chunk.values_not_utf8, wanted.values_not_utf8, "{name}");
    assert_polar_takes(&chunk.body);
}

const NGINX: (&str, &str, &str) = (
    "format = \"nginx-combined\"",
    "when = { status = { exists = true }, request_method = { exists = true } }",
    r#"
external_customer_id = "{remote_addr}"
timestamp = "{time_local | timestamp('%d/%b/%Y:%H:%M:%S %z')}"
metadata.method = "{request_method}"
metadata.uri = "{request_uri}"
metadata.status = "{status}"
metadata.bytes = "{body_bytes_sent}"
metadata.referer = "{http_referer}"
metadata.agent = "{http_user_agent}"
"#,
);

const POSTGRESQL: &str = r#"
format = "delimited"
columns = ["log_time", "user_name", "database_name", "process_id", "connection_from", "session_id", "session_line_num",
    "command_tag", "session_start_time", "virtual_transaction_id", "transaction_id", "error_severity",
    "sql_state_code", "message"]
"#;

/// A value of PostgreSQL may hold line ends.
const JOINED: &str = r"multiline = { start = '^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC,' }";

const SAMPLES: &[Sample] = &[
    Sample {
        log: "nginx-combined.log",
        source: &[NGINX.0],
        rule: NGINX.1,
        event: NGINX.2,
        billed: 210,
        no_rule: 0,
        refused: &[],
        first: r#"{"agent":"Mozilla/5.0 (X11; Linux x86_64) \"quoted\"","bytes":3,"method":"GET","status":200,"uri":"/"}"#,
        values_not_utf8: 0,
    },
    Sample {
        log: "nginx-combined-badutf8.log",
        source: &[NGINX.0],
        rule: NGINX.1,
        event: NGINX.2,
        billed: 260,
        no_rule: 2,
        refused: &[],
        first: r#"{"agent":"Mozilla/5.0 (X11; Linux x86_64) \"quoted\"","bytes":3,"method":"GET","referer":"https://example.org/�","status":200,"uri":"/"}"#,
        values_not_utf8: 260,
    },
    Sample {
        log: "haproxy-httplog.log",
        source: &["format = \"syslog-rfc3164\""],
        rule: "when = { tag = \"haproxy\" }",
        event: r#"
external_customer_id = "{hostname}"
metadata.pid = "{pid}"
metadata.time = "{timestamp}"
metadata.message = "{message | truncate(60)}"
"#,
        billed: 256,
        no_rule: 0,
        refused: &[],
        first: r#"{"message":"127.0.0.1:59252 [19/Nov/2026:00:02:58.279] f b/s1 0/0/-1/-1/","pid":"998","time":"Nov 21 00:03:01"}"#,
        values_not_utf8: 0,
    },
    Sample {
        log: "haproxy-httplog.log",
        source: &[r#"
prefix = '\w{3} [ \d]\d [\d:]+ (?<host>\S+) haproxy\[\d+\]: '
format = "regex"
pattern = '^(?<client>\S+):\d+ \[(?<accepted>[^\]]+)\] \S+ (?<server>\S+) (?<times>\S+) (?<status>\d+) (?<bytes>\d+) .* "(?<method>[A-Z]+) (?<uri>\S+) HTTP/[\d.]+"$'
"#],
        rule: "when = { status = { lt = 500 } }",
        event: r#"
external_customer_id = "{client}"
timestamp = "{accepted | timestamp('%d/%b/%Y:%H:%M:%S%.f', 'UTC')}"
metadata.server = "{server}"
metadata.status = "{status | int}"
metadata.bytes = "{bytes | int}"
metadata.ms = "{times | split('/', 4) | int}"
metadata.uri = "{uri | path_only}"
"#,
        billed: 249,
        no_rule: 1,
        refused: &[("invalid_format: the pattern does not match the line", 6)],
        first: r#"{"bytes":200,"ms":0,"server":"b/s1","status":200,"uri":"/"}"#,
        values_not_utf8: 0,
    },
    Sample {
        log: "rsyslog-rfc5424.log",
        source: &["format = \"syslog-rfc5424\""],
        rule: "when = { severity = { le = 6 }, app_name = { exists = true } }",
        event: r#"
external_customer_id = "{hostname}"
timestamp = "{timestamp}"
metadata.facility = "{facility}"
metadata.severity = "{severity}"
metadata.app = "{app_name}"
metadata.pid = "{proc_id | int}"
metadata.message = "{message | trim | truncate(40)}"
"#,
        billed: 262,
        no_rule: 0,
        refused: &[],
        first: r#"{"app":"haproxy","facility":16,"message":"127.0.0.1:59252 [19/Nov/2026:00:02:58.27","pid":998,"severity":6}"#,
        values_not_utf8: 0,
    },
    Sample {
        log: "postgresql-csv.log",
        source: &[POSTGRESQL],
        rule: "when = { error_severity = { exists = true } }",
        event: r#"
external_customer_id = "{database_name | default('none')}"
timestamp = "{log_time | timestamp('%Y-%m-%d %H:%M:%S%.f UTC', 'UTC')}"
metadata.severity = "{error_severity}"
metadata.message = "{message | truncate(80)}"
"#,
        billed: 174,
        no_rule: 0,
        refused: &[("invalid_format: the quote at column", 63), ("bad_timestamp: timestamp is \"line", 63)],
        first: r#"{"message":"starting PostgreSQL 15.18 (Debian 15.18-0+deb12u1) on x86_64-pc-linux-gnu, compi","severity":"LOG"}"#,
        values_not_utf8: 0,
    },
    Sample {
        log: "postgresql-csv.log",
        source: &[JOINED, POSTGRESQL],
        rule: "when = { error_severity = { exists = true } }",
        event: r#"
external_customer_id = "{database_name | default('none')}"
timestamp = "{log_time | timestamp('%Y-%m-%d %H:%M:%S%.f UTC', 'UTC')}"
metadata.severity = "{error_severity}"
metadata.message = "{message | truncate(80)}"
"#,
        billed: 236,
        no_rule: 0,
        refused: &[],
        first: r#"{"message":"starting PostgreSQL 15.18 (Debian 15.18-0+deb12u1) on x86_64-pc-linux-gnu, compi","severity":"LOG"}"#,
        values_not_utf8: 0,
    },
];
