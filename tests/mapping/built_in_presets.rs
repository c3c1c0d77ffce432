//! The presets of the binary: each reads its own example, and knows the lines of its own software and no others.

use std::collections::BTreeSet;
use std::sync::Arc;

use floe::config::Settings;
use floe::config::presets::{self, Grade, Preset};
use floe::config::settings::Captures;
use floe::mapping::{End, MapContext, ReadWindow, Recogniser, Rules, Scratch, map};
use floe::model::{Fate, Generation, Ignored, MappedChunk, Offset, Quarantined, SourceIndex};
use serde_json::Value;

use crate::support::{NOW, assert_polar_takes, events};

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

/// A config with one source of this preset; `rules` is the rest.
fn settings(preset: &str, rules: &str) -> Settings {
    let config = format!(
        "instance = \"test\"\n[[sources]]\nid = \"example\"\ninclude = \"/var/log/*.log\"\n\
         format = \"{preset}\"\naccept_estimates = true\n{rules}"
    );
    Settings::from_toml(&config).unwrap_or_else(|faults| panic!("{preset}: {}", faults.render(false)))
}

/// A file that nobody writes any more, so that its last record is whole.
fn map_file(rules: &Rules, file: &[u8]) -> MappedChunk {
    let context = MapContext {
        rules,
        source: SourceIndex(0),
        stream_key: &[7; 32],
        generation: Generation::default(),
        path: "/var/log/a.log",
        captures: &Captures::new(),
        expected: None,
        long_line: None,
        polar_now: NOW.parse().unwrap(),
        room: usize::MAX,
    };
    let window = ReadWindow { end: End::File { beyond: b"" }, ..ReadWindow::new(b"", Offset::ZERO, file) };
    map(&context, window, &mut Scratch::default()).unwrap()
}

fn example_rules(preset: &Preset) -> String {
    let rule = &preset.example.as_ref().unwrap_or_else(|| panic!("{} has no example", preset.name)).rule;
    format!("[[rules]]\nid = \"example\"\n{rule}\n")
}

#[test]
fn every_file_of_the_folder_is_in_the_binary_and_reads() {
    let files = std::fs::read_dir(format!("{FOLDER}/config/presets")).unwrap();
    let files: BTreeSet<String> =
        files.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let names: BTreeSet<String> = presets::names().map(|name| format!("{name}.toml")).collect();
    assert_eq!(names, files);
    for name in presets::names() {
        let read = presets::read(&format!("{name}.toml"), presets::text(name).unwrap());
        let preset = read.unwrap_or_else(|faults| panic!("{}", faults.render(false)));
        assert_eq!(preset.name, name);
        assert!(!preset.billing.is_empty() && preset.recognise.is_some(), "{name}");
    }
}

#[test]
fn every_example_gives_its_event() {
    for preset in presets::built_in() {
        let rules = Rules::compile(&settings(&preset.name, &example_rules(&preset)));
        let example = preset.example.as_ref().unwrap();
        let chunk = map_file(&rules, format!("{}\n", example.line).as_bytes());
        assert_eq!(String::from_utf8_lossy(&chunk.letters), "", "{}", preset.name);
        let mut found = events(&chunk.body);
        let wanted: Value = serde_json::from_str(&example.event).unwrap();
        if wanted.get("external_id").is_none() {
            found[0].as_object_mut().unwrap().remove("external_id");
        }
        assert_eq!(found, [wanted], "{}", preset.name);
        assert_polar_takes(&chunk.body);
    }
}

/// What every logger says of a line, so that one rule serves several.
#[test]
fn loggers_and_models_have_the_same_values() {
    let has = |preset: &Preset, names: &[&str]| names.iter().all(|name| preset.value(name).is_some());
    for preset in presets::built_in() {
        let logger = ["message", "level"].iter().any(|name| preset.value(name).is_some());
        assert!(!logger || has(&preset, &["time", "level", "message"]), "{}", preset.name);
        let tokens = preset.value("input_tokens").is_some();
        let names = [
            "id",
            "time",
            "vendor",
            "model",
            "input_tokens",
            "output_tokens",
            "total_tokens",
            "cached_input_tokens",
            "cache_write_tokens",
        ];
        assert!(!tokens || has(&preset, &names), "{}", preset.name);
        assert!(has(&preset, &["time"]), "{}", preset.name);
    }
}

/// The presets that know a line.
fn known_by(recognisers: &[(Arc<Preset>, Recogniser)], line: &[u8]) -> Vec<String> {
    let fits = recognisers.iter().filter(|(_, recogniser)| recogniser.fits(line));
    fits.map(|(preset, _)| preset.name.clone()).collect()
}

fn recognisers() -> Vec<(Arc<Preset>, Recogniser)> {
    let presets = presets::built_in().into_iter();
    presets.map(|preset| (Arc::clone(&preset), Recogniser::new(&preset).unwrap())).collect()
}

/// At least this part of the lines of a sample is known, by this preset and no other.
#[track_caller]
fn check_sample(sample: &str, wanted: Option<&str>, least_percent: usize) {
    let log = std::fs::read(format!("{FOLDER}/tests/data/samples/{sample}.log")).unwrap();
    let recognisers = recognisers();
    let (mut lines, mut known) = (0, 0);
    for line in log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        lines += 1;
        let by = known_by(&recognisers, line);
        known += usize::from(!by.is_empty());
        assert!(
            by.iter().all(|name| Some(name.as_str()) == wanted),
            "{sample}: {by:?} {}",
            String::from_utf8_lossy(line)
        );
    }
    assert!(known * 100 >= lines * least_percent, "{sample}: {known} of {lines}");
}

#[test]
fn lines_of_real_software_are_known_by_its_preset_alone() {
    check_sample("bunyan", Some("bunyan"), 100);
    check_sample("litellm-standard-logging-payload", Some("litellm"), 100);
    check_sample("logrus", Some("logrus"), 100);
    check_sample("loguru-serialize", Some("loguru"), 100);
    check_sample("nginx-json", Some("nginx-json"), 100);
    check_sample("nginx-json-badutf8", Some("nginx-json"), 100);
    check_sample("pino", Some("pino"), 100);
    check_sample("python-json-logger", Some("python-json-logger"), 100);
    check_sample("rust-tracing-json", Some("tracing-subscriber"), 100);
    check_sample("structlog", Some("structlog"), 100);
    check_sample("winston", Some("winston"), 100);
    check_sample("zap", Some("zap"), 100);
    check_sample("zerolog", Some("zerolog"), 100);
    // Messages of HAProxy itself and of other programs stand between; records of PostgreSQL have several lines.
    check_sample("haproxy-httplog", Some("haproxy"), 90);
    check_sample("rsyslog-rfc5424", Some("haproxy"), 90);
    check_sample("postgresql-csv", Some("postgres-csvlog"), 50);
    check_sample("nginx-combined", None, 0);
    check_sample("litellm-proxy-json_logs", None, 0);
}

#[test]
fn an_example_is_known_by_its_own_preset_alone() {
    let recognisers = recognisers();
    for (preset, _) in &recognisers {
        let line = &preset.example.as_ref().unwrap().line;
        assert_eq!(known_by(&recognisers, line.as_bytes()), std::slice::from_ref(&preset.name));
    }
}

/// The rule of the example makes so many events of a sample's lines, and no line is quarantined.
#[track_caller]
fn check_events(sample: &str, preset: &str, rule: &str, wanted: usize) {
    let log = std::fs::read(format!("{FOLDER}/tests/data/samples/{sample}.log")).unwrap();
    // The lines are of the day after the tests' clock: two days back.
    let log = String::from_utf8_lossy(&log)
        .replace("21/Nov/2026", "19/Nov/2026")
        .replace("2026-11-21", "2026-11-19")
        .replace("179521", "179504")
        .replace("179522", "179505")
        .replace("179527", "179510");
    let rules = format!(
        "[[rules]]\nid = \"r\"\n{rule}\n[rules.event]\nname = \"e\"\nexternal_customer_id = \"c\"\ntimestamp = \"{{@preset.time}}\"\n"
    );
    let chunk = map_file(&Rules::compile(&settings(preset, &rules)), log.as_bytes());
    assert_eq!(String::from_utf8_lossy(&chunk.letters), "", "{sample}");
    assert_eq!(chunk.lines.len(), wanted, "{sample}");
    assert_polar_takes(&chunk.body);
}

#[test]
fn times_of_real_software_are_read() {
    check_events("bunyan", "bunyan", "when = { msg = \"request ok\" }", 10);
    check_events("litellm-standard-logging-payload", "litellm", "when = { \"@preset.final\" = true }", 3);
    check_events("logrus", "logrus", "when = { msg = \"request ok\" }", 10);
    check_events("loguru-serialize", "loguru", "when = { \"record.level.name\" = \"INFO\" }", 10);
    check_events("nginx-json", "nginx-json", "when = { status = 200 }", 10);
    check_events("pino", "pino", "when = { msg = \"request ok\" }", 10);
    check_events("python-json-logger", "python-json-logger", "when = { message = \"request finished\" }", 10);
    check_events(
        "rust-tracing-json",
        "tracing-subscriber",
        "when = { \"@preset.message\" = \"request finished\" }",
        10,
    );
    check_events("structlog", "structlog", "when = { event = \"request.finished\" }", 10);
    check_events("winston", "winston", "when = { message = \"request ok\" }", 10);
    check_events("zap", "zap", "when = { msg = \"request ok\" }", 10);
    check_events("zerolog", "zerolog", "when = { message = \"request ok\" }", 10);
    check_events("haproxy-httplog", "haproxy", "when = { backend = \"b\", status = 200 }", 83);
    let durations = "when = { message = { prefix = \"duration: \" } }";
    check_events("postgresql-csv", "postgres-csvlog", durations, 63);
    // They do not say of what: `log_duration` wrote them.
    check_events("postgresql-csv", "postgres-csvlog", "when = { \"@preset.final\" = true }", 0);
}

#[track_caller]
fn check_tokens(preset: &str, from: &str, to: &str, wanted: Fate) {
    let of = presets::built_in().into_iter().find(|each| each.name == preset).unwrap();
    let line = &of.example.as_ref().unwrap().line;
    assert!(line.contains(from), "{from}");
    let rules = Rules::compile(&settings(preset, &example_rules(&of)));
    let chunk = map_file(&rules, format!("{}\n", line.replace(from, to)).as_bytes());
    let fates = chunk.settled.iter().chain(chunk.in_letters.iter()).map(|(fate, _)| fate);
    assert_eq!(fates.collect::<Vec<_>>(), [wanted], "{preset}: {to}");
}

#[test]
fn tokens_that_do_not_add_up_are_quarantined() {
    let invariant = Fate::Quarantined(Quarantined::Invariant);
    let no_rule = Fate::Ignored(Ignored::NoRule);
    check_tokens("openai", "1024", "1201", invariant);
    check_tokens("openai", "\"total_tokens\":1500", "\"total_tokens\":1501", invariant);
    check_tokens("openai", "\"reasoning_tokens\":128", "\"reasoning_tokens\":301", invariant);
    check_tokens("openai", "\"prompt_tokens\":1200", "\"prompt_tokens\":null", invariant);
    check_tokens("openai", "chat.completion\"", "chat.completion.chunk\"", no_rule);
    check_tokens("anthropic", "\"output_tokens\":410", "\"output_tokens\":null", invariant);
    check_tokens("anthropic", "\"input_tokens\":5", "\"input_tokens\":-5", invariant);
    check_tokens("anthropic", "\"message\"", "\"message_start\"", no_rule);
    check_tokens("otel-genai", ":64", ":87", invariant);
    check_tokens("otel-genai", "gen_ai.response.id", "gen_ai.response.no", no_rule);
    check_tokens("litellm", "\"cached_tokens\":4", "\"cached_tokens\":11", invariant);
    check_tokens("litellm", "\"success\"", "\"failure\"", no_rule);
    check_tokens("litellm", "acompletion", "aget_responses", no_rule);
}

/// The example's line with one part changed: the line's fate.
#[track_caller]
fn check_changed(preset: &str, from: &str, to: &str, wanted: Fate) {
    let of = presets::built_in().into_iter().find(|each| each.name == preset).unwrap();
    let line = &of.example.as_ref().unwrap().line;
    assert!(line.contains(from), "{from}");
    let rules = Rules::compile(&settings(preset, &example_rules(&of)));
    let chunk = map_file(&rules, format!("{}\n", line.replace(from, to)).as_bytes());
    let fates = chunk.settled.iter().chain(chunk.in_letters.iter()).map(|(fate, _)| fate);
    let billed = chunk.lines.iter().map(|_| Fate::Billed);
    assert_eq!(fates.chain(billed).collect::<Vec<_>>(), [wanted], "{preset}: {to}");
}

const REFUSED: Fate = Fate::Quarantined(Quarantined::InvalidFormat);
const NO_RULE: Fate = Fate::Ignored(Ignored::NoRule);

#[test]
fn a_statement_of_the_extended_protocol_counts_once() {
    let check = |of: &str, wanted| check_changed("postgres-csvlog", "  statement: ", of, wanted);
    check("  statement: ", Fate::Billed);
    check("  execute <unnamed>: ", Fate::Billed);
    check("  parse <unnamed>: ", NO_RULE);
    check("  bind s/portal: ", NO_RULE);
    check("", NO_RULE);
}

#[test]
fn a_statement_that_looks_like_a_row_bills_nobody() {
    let postgres = presets::built_in().into_iter().find(|preset| preset.name == "postgres-csvlog").unwrap();
    let line = &postgres.example.as_ref().unwrap().line;
    let forged = line.replace("acme", "globex").replace('"', "\"\"");
    let real = line.replace("select ", &format!("select\n{forged}\n"));
    let rules = Rules::compile(&settings("postgres-csvlog", &example_rules(&postgres)));
    let chunk = map_file(&rules, format!("{real}\n{line}\n").as_bytes());
    let customers: Vec<_> = events(&chunk.body).iter().map(|it| it["external_customer_id"].clone()).collect();
    assert_eq!(customers, ["acme", "acme"]);
}

#[test]
fn what_another_program_writes_into_a_shared_log_is_not_billed() {
    let check = |to: &str, wanted| {
        check_changed("heroku-router", "2026-11-20T10:15:33.500000+00:00 heroku[router]:", to, wanted);
    };
    check("2026-11-20T10:15:33.5+00:00 app[web.1]: heroku[router]:", REFUSED);
    check("2026-11-20T10:15:33.5+00:00 app[web.1]: heroku router -", REFUSED);
    check("<190>1 2026-11-20T10:15:33.5+00:00 host app web.1 - heroku router -", REFUSED);
    check("2026-11-20T10:15:33.5+00:00 app[web.1]:", NO_RULE);
    check("2026-11-20T10:15:33.5+00:00 heroku[web.1]:", NO_RULE);
    check("<158>1 2026-11-20T10:15:33.5+00:00 host heroku router - -", Fate::Billed);
    check("83 <158>1 2026-11-20T10:15:33.5+00:00 host heroku router -", Fate::Billed);

    let check =
        |to: &str, wanted| check_changed("haproxy", "Nov 20 10:15:32 lb-0 haproxy[998]: ", to, wanted);
    check("", Fate::Billed);
    check("Nov  2 10:15:32 haproxy[998]: ", Fate::Billed);
    check("<134>Nov 20 10:15:32 lb-0 haproxy[998]: ", Fate::Billed);
    check("2026-11-20T10:15:32.332446+00:00 lb-0 haproxy[998]: ", Fate::Billed);
    check("<134>1 2026-11-20T10:15:32.332446+00:00 lb-0 haproxy 998 - -  ", Fate::Billed);
    check("Nov 20 10:15:32 lb-0 app[998]: ", REFUSED);
    check("Nov 20 10:15:32 lb-0 app[998]: haproxy[998]: ", REFUSED);
    check("Nov 20 10:15:32 app[998]: haproxy[998]: ", REFUSED);
    check("<134>1 2026-11-20T10:15:32.332446+00:00 lb-0 app 998 - - ", REFUSED);
    check("app: ", REFUSED);
}

#[test]
fn a_request_without_an_answer_is_not_final() {
    check_changed("istio", "\"response_code\":200", "\"response_code\":0", NO_RULE);
    check_changed("openai", "chat.completion\"", "list\"", NO_RULE);
}

#[test]
fn the_responses_api_counts_like_the_older_one() {
    let openai = presets::built_in().into_iter().find(|preset| preset.name == "openai").unwrap();
    let rules = Rules::compile(&settings("openai", &example_rules(&openai)));
    let line = r#"{"customer":"acme","id":"resp_1","object":"response","created_at":1795169731,"model":"gpt-5","usage":{"input_tokens":36,"input_tokens_details":{"cached_tokens":30},"output_tokens":87,"output_tokens_details":{"reasoning_tokens":80},"total_tokens":123}}"#;
    let chunk = map_file(&rules, format!("{line}\n").as_bytes());
    let event = &events(&chunk.body)[0];
    assert_eq!(event["timestamp"], "2026-11-20T10:15:31Z");
    assert_eq!(event["metadata"]["_llm"]["input_tokens"], 36);
    assert_eq!(event["metadata"]["_llm"]["cached_input_tokens"], 30);
    assert_eq!(event["metadata"]["_llm"]["total_tokens"], 123);
}

#[test]
fn estimates_are_called_estimates() {
    let graded = |grade| -> Vec<String> {
        let presets = presets::built_in().into_iter().filter(|preset| preset.grade == grade);
        presets.map(|preset| preset.name.clone()).collect()
    };
    assert_eq!(graded(Grade::C), ["haproxy", "heroku-router"]);
}
