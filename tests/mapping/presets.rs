//! What a preset changes on a line's way: typed fields, values, `final`, `must`.

use std::fs;

use floe::config::{LoadOptions, load};
use floe::mapping::Rules;
use floe::model::{Fate, Ignored, Quarantined};

use crate::support::{events, letters, map_all};

const METER: &str = r#"
name = "meter"
about = "A made-up meter"
grade = "A"
format = "json"
final = { state = "done" }
must = { "@preset.cached" = { le = "{@preset.input | default(0)}" } }

[fields]
at = { type = "epoch_s | timestamp('%Y-%m-%d %H:%M:%S', 'UTC')", role = "time" }
status = { type = "int" }
took = { type = "duration(ms)" }
kind = {}

[values]
kind = "{kind}"
took = "{took}"
input = "{sum(in, cache)}"
cached = "{cache | default(0) | int}"
total = "{sum(@preset.input, out)}"
id = "m-{id}"
"#;

/// The rules of a source with the preset; `rules` is the rest of the config.
fn rules(rules: &str) -> Rules {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("presets")).unwrap();
    fs::write(folder.path().join("presets/meter.toml"), METER).unwrap();
    let config = format!(
        "instance = \"test\"\n[[sources]]\nid = \"app\"\ninclude = \"/var/log/*.log\"\nformat = \"./presets/meter.toml\"\n{rules}"
    );
    let path = folder.path().join("floe.toml");
    fs::write(&path, config).unwrap();
    let loaded = load(&LoadOptions { path: Some(path), ..LoadOptions::default() });
    Rules::compile(&loaded.unwrap_or_else(|faults| panic!("{faults}")).settings)
}

const USAGE: &str = r#"
[[rules]]
id = "usage"
when = { "@preset.final" = true, "@preset.kind" = "usage", status = { lt = 400 } }
[rules.event]
name = "usage"
external_customer_id = "{org}"
external_id = "app:{@preset.id}"
timestamp = "{at}"
metadata.total = "{@preset.total}"
metadata.status = "{status}"
metadata.took = "{took}"
metadata.done = "{@preset.final}"
"#;

/// A line with what every one has, `more` behind it.
fn line(more: &str) -> String {
    format!(
        "{{\"state\":\"done\",\"kind\":\"usage\",\"org\":\"acme\",\"id\":7,\"in\":3,\"out\":4,\"status\":\"200\"{more}}}\n"
    )
}

#[track_caller]
fn check(more: &str, key: &str, wanted: &str) {
    let chunk = map_all(&rules(USAGE), line(more).as_bytes());
    assert_eq!(String::from_utf8_lossy(&chunk.letters), "", "{more}");
    assert_eq!(events(&chunk.body)[0].pointer(key).unwrap().to_string(), wanted, "{more}");
}

#[track_caller]
fn check_fate(line: &str, wanted: Fate, detail: &str) {
    let chunk = map_all(&rules(USAGE), line.as_bytes());
    let fates: Vec<_> = chunk.settled.iter().chain(chunk.in_letters.iter()).map(|(fate, _)| fate).collect();
    assert_eq!(fates, [wanted], "{line}");
    let letters = letters(&chunk);
    let said = letters.first().map_or("", |letter| letter["detail"].as_str().unwrap());
    assert!(said.contains(detail), "{said}");
}

#[test]
fn a_typed_field_is_converted_where_it_is_read() {
    check(r#","at":1795169732.5"#, "/timestamp", "\"2026-11-20T10:15:32.5Z\"");
    check(r#","at":"2026-11-20 10:15:32""#, "/timestamp", "\"2026-11-20T10:15:32Z\"");
    // What is written in yet another way stays as it is: here RFC 3339, which the event reads.
    check(r#","at":"2026-11-20T10:15:32+01:00""#, "/timestamp", "\"2026-11-20T09:15:32Z\"");
    check(r#","at":1795169732,"took":"1.5s""#, "/metadata/took", "1500");
    check(r#","at":1795169732"#, "/metadata/status", "200");
}

#[test]
fn a_typed_field_may_be_converted_by_the_rule_too() {
    let twice = USAGE.replace("{at}", "{at | epoch_s}").replace("{status}", "{status | int}");
    let chunk = map_all(&rules(&twice), line(r#","at":1795169732"#).as_bytes());
    assert_eq!(events(&chunk.body)[0]["timestamp"], "2026-11-20T10:15:32Z");
}

#[test]
fn a_typed_duration_may_be_given_another_unit() {
    for (field, wanted) in [
        ("took | duration(ms)", "1500"),
        ("took | duration(s)", "1.5"),
        ("took | duration(us) | mul(2)", "3000000"),
        ("@preset.took", "1500"),
        ("@preset.took | duration(ms)", "1500"),
        ("@preset.took | duration(s)", "1.5"),
    ] {
        let text = USAGE.replace("{took}", &format!("{{{field}}}"));
        let chunk = map_all(&rules(&text), line(r#","at":1795169732,"took":"1.5s""#).as_bytes());
        assert_eq!(String::from_utf8_lossy(&chunk.letters), "", "{field}");
        assert_eq!(events(&chunk.body)[0]["metadata"]["took"].to_string(), wanted, "{field}");
    }
}

#[test]
fn values_are_computed_from_fields_and_from_values() {
    check(r#","at":1795169732,"cache":2"#, "/metadata/total", "9");
    check(r#","at":1795169732"#, "/external_id", "\"app:m-7\"");
    check(r#","at":1795169732"#, "/metadata/done", "true");
}

/// Its text is not looked for in the line, because another one may mean the same.
#[test]
fn a_typed_field_is_no_literal() {
    let text = USAGE.replace("status = { lt = 400 }", "status = \"200\"");
    for status in ["\"200\"", "200", "2e2", "200.0"] {
        let line = line(r#","at":1795169732"#).replace("\"200\"", status);
        assert_eq!(map_all(&rules(&text), line.as_bytes()).lines.len(), 1, "{status}");
    }
}

#[test]
fn what_does_not_fit_its_type_costs_no_other_line() {
    let line = line(r#","at":1795169732,"took":"soon""#);
    check_fate(&line, Fate::Quarantined(Quarantined::BadMetadata), "soon");
    // In a condition it counts as missing.
    let line = line.replace("\"200\"", "\"OK\"");
    check_fate(&line, Fate::Ignored(Ignored::NoRule), "");
}

#[test]
fn a_line_that_is_not_final_makes_no_event() {
    check_fate(&line("").replace("done", "partial"), Fate::Ignored(Ignored::NoRule), "");
    // Without the text that `final` asks for a line is not even parsed.
    check_fate("{\"kind\":\"usage\",\n", Fate::Ignored(Ignored::NoRule), "");
    check_fate("{\"kind\":\"usage\",\"state\":\"done\n", Fate::Quarantined(Quarantined::InvalidJson), "");
}

#[test]
fn a_rule_that_names_the_preset_has_its_invariant() {
    let line = line(r#","at":1795169732,"cache":2"#).replace("\"in\":3", "\"in\":-1");
    let detail = "@preset.cached is 2, not at most \"{@preset.input | default(0)}\"";
    check_fate(&line, Fate::Quarantined(Quarantined::Invariant), detail);
    let plain = r#"
[[rules]]
id = "plain"
when = { kind = "usage" }
[rules.event]
name = "usage"
external_customer_id = "{org}"
timestamp = "{at}"
"#;
    assert_eq!(map_all(&rules(plain), line.as_bytes()).lines.len(), 1);
}
