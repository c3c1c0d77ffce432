//! `floe test`: the lines and events that the config itself gives as examples.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;
use owo_colors::OwoColorize as _;
use serde_json::Value;

use super::check::{self, BAD_CONFIG};
use super::explain::stream_key;
use crate::config::Settings;
use crate::config::settings::{Captures, Expectation, ExpectedEvent, TestSettings};
use crate::mapping::{Excerpt, ExplainedEvent, ExplainedOutcome, Explanation, MapContext, Rules, explain};
use crate::model::{Offset, SourceIndex};

/// Runs the `[[tests]]` of the config.
#[derive(Debug, clap::Args)]
pub struct TestArguments {}

/// 0 where every test passes, else 1.
#[must_use]
pub fn run(_arguments: &TestArguments, config: Option<PathBuf>) -> ExitCode {
    let Ok(settings) = check::load(config) else { return ExitCode::from(BAD_CONFIG) };
    let mut out = anstream::AutoStream::auto(io::stdout().lock());
    match run_tests(&settings, &mut out) {
        Ok(false) => ExitCode::FAILURE,
        // A closed pipe: who reads the output has seen enough.
        Ok(true) | Err(_) => ExitCode::SUCCESS,
    }
}

/// True if all passed.
fn run_tests(settings: &Settings, out: &mut impl Write) -> io::Result<bool> {
    let rules = Rules::compile(settings);
    let mut covered = BTreeSet::new();
    let mut failed = 0;
    for test in &settings.tests {
        let explanation = explain_test(settings, &rules, test);
        let differences = differences(&test.expect, &explanation.outcome);
        if differences.is_empty() {
            if let ExplainedOutcome::Billed { events, .. } = explanation.outcome {
                covered.extend(events.into_iter().map(|event| event.rule));
            }
            continue;
        }
        failed += 1;
        writeln!(out, "{} {}", "FAILED".red().bold(), test.place)?;
        writeln!(out, "  line: {}", test.line.trim_end())?;
        for difference in differences {
            writeln!(out, "  {difference}")?;
        }
        writeln!(out)?;
    }
    let passed = settings.tests.len() - failed;
    writeln!(out, "{passed} passed, {failed} failed")?;
    let uncovered: Vec<_> =
        settings.rules.iter().map(|rule| rule.id.as_str()).filter(|rule| !covered.contains(*rule)).collect();
    let rules = settings.rules.len();
    writeln!(out, "{} of {rules} rules are shown by a test", rules - uncovered.len())?;
    if !uncovered.is_empty() {
        writeln!(out, "without a test that passes: {}", uncovered.join(", "))?;
    }
    Ok(failed == 0)
}

fn explain_test(settings: &Settings, rules: &Rules, test: &TestSettings) -> Explanation {
    let source = SourceIndex(test.source);
    let line = test.line.as_bytes();
    let context = MapContext {
        rules,
        source,
        stream_key: &stream_key(settings, source, &[line, b"\n"].concat()),
        path: &test.place,
        captures: &Captures::new(),
        expected: None,
        long_line: None,
        // A test says the same on every day, so nothing is in the future.
        polar_now: Timestamp::MAX,
        room: usize::MAX,
    };
    explain(&context, &Excerpt { at: Offset::ZERO, lines: line.into(), header: None })
}

/// What is not as the test says; one line each.
fn differences(expected: &Expectation, found: &ExplainedOutcome) -> Vec<String> {
    match (expected, found) {
        (Expectation::Events(expected), ExplainedOutcome::Billed { events, .. }) => {
            event_differences(expected, events)
        }
        (Expectation::Ignored(expected), ExplainedOutcome::Ignored(found)) if expected == found => Vec::new(),
        (Expectation::Quarantined(expected), ExplainedOutcome::Quarantined { reason, .. })
            if expected == reason =>
        {
            Vec::new()
        }
        (expected, found) => {
            vec![
                format!("expected: {}", expected_in_words(expected)),
                format!("found:    {}", found_in_words(found)),
            ]
        }
    }
}

fn expected_in_words(expected: &Expectation) -> String {
    match expected {
        Expectation::Events(events) if events.len() == 1 => "one event".to_owned(),
        Expectation::Events(events) => format!("{} events", events.len()),
        Expectation::Ignored(reason) => format!("ignored({reason})"),
        Expectation::Quarantined(reason) => format!("quarantined({reason})"),
    }
}

fn found_in_words(found: &ExplainedOutcome) -> String {
    match found {
        ExplainedOutcome::Billed { events, .. } => {
            let rules: BTreeSet<_> = events.iter().map(|event| event.rule.as_str()).collect();
            let rules: Vec<_> = rules.into_iter().collect();
            format!("billed by {}", rules.join(", "))
        }
        ExplainedOutcome::Ignored(reason) => format!("ignored({reason}): {}", reason.meaning()),
        ExplainedOutcome::Quarantined { reason, detail, .. } => format!("quarantined({reason}): {detail}"),
    }
}

fn event_differences(expected: &[ExpectedEvent], found: &[ExplainedEvent]) -> Vec<String> {
    if expected.len() != found.len() {
        return vec![
            format!("expected: {} events", expected.len()),
            format!("found:    {} events", found.len()),
        ];
    }
    let several = expected.len() > 1;
    let mut differences = Vec::new();
    for (number, (expected, found)) in (1..).zip(expected.iter().zip(found)) {
        let prefix = if several { format!("event {number}: ") } else { String::new() };
        if let Some(rule) = &expected.rule
            && *rule != found.rule
        {
            differences.push(format!("{prefix}expected of rule {rule}, found of rule {}", found.rule));
        }
        let event: Value = serde_json::from_str(&found.json).expect("mapping writes JSON");
        let (wanted, mut there) = (flat(&expected.event), flat(&event));
        if !wanted.contains_key("external_id") {
            there.remove("external_id");
        }
        let keys: BTreeSet<&String> = wanted.keys().chain(there.keys()).collect();
        for key in keys {
            let line = match (wanted.get(key), there.get(key)) {
                (Some(wanted), Some(there)) if same(wanted, there) => continue,
                (Some(wanted), Some(there)) => format!("{prefix}{key}: expected {wanted}, found {there}"),
                (Some(wanted), None) => format!("{prefix}{key}: expected {wanted}, but it is missing"),
                (None, Some(there)) => format!("{prefix}{key}: not expected, found {there}"),
                (None, None) => continue,
            };
            differences.push(line);
        }
    }
    differences
}

/// The leaves of an object by their path.
fn flat(value: &Value) -> BTreeMap<String, Value> {
    fn visit(prefix: &str, value: &Value, leaves: &mut BTreeMap<String, Value>) {
        let Value::Object(members) = value else {
            leaves.insert(prefix.to_owned(), value.clone());
            return;
        };
        for (key, value) in members {
            let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            visit(&path, value, leaves);
        }
    }
    let mut leaves = BTreeMap::new();
    visit("", value, &mut leaves);
    leaves
}

/// 3 and 3.0 are the same number.
fn same(expected: &Value, found: &Value) -> bool {
    expected == found
        || matches!((expected.as_f64(), found.as_f64()), (Some(expected), Some(found)) if expected.to_bits() == found.to_bits())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"
version = 1
state_dir = "/var/lib/floe"
instance = "test"
[[sources]]
id = "app"
include = ["/var/log/app.log"]
format = "json"
[[rules]]
id = "usage"
when = { event = "usage" }
[rules.event]
name = "usage"
external_customer_id = "{org}"
timestamp = "{ts}"
metadata.units = "{units}"
metadata._cost = { amount = "{cost | mul(100)}", currency = "usd" }
[[rules]]
id = "call"
when = { event = "call" }
[rules.event]
name = "call"
external_customer_id = "{org}"
timestamp = "{ts}"
"#;

    fn told(tests: &str) -> (bool, String) {
        let settings = Settings::from_toml(&format!("{CONFIG}{tests}"))
            .unwrap_or_else(|faults| panic!("{}", faults.render(false)));
        let mut out = anstream::StripStream::new(Vec::new());
        let passed = run_tests(&settings, &mut out).unwrap();
        (passed, String::from_utf8(out.into_inner()).unwrap())
    }

    #[test]
    fn tests_that_pass_are_counted_with_the_rules_that_they_show() {
        let (passed, told) = told(
            r#"
[[tests]]
source = "app"
line = '{"event":"usage","org":"acme","ts":"2026-01-02T03:04:05+01:00","units":3,"cost":0.05}'
expect = { rule = "usage", event = { name = "usage", external_customer_id = "acme", timestamp = "2026-01-02T02:04:05Z", metadata = { units = 3.0, _cost = { amount = "5", currency = "usd" } } } }
[[tests]]
source = "app"
line = '{"event":"other"}'
expect = { ignored = "no_rule" }
[[tests]]
source = "app"
line = '{"event":"usage"}'
expect = { quarantined = "missing_customer" }
"#,
        );
        assert_eq!(
            told,
            "3 passed, 0 failed\n1 of 2 rules are shown by a test\nwithout a test that passes: call\n"
        );
        assert!(passed);
    }

    #[test]
    fn a_failure_names_each_difference() {
        let (passed, told) = told(
            r#"
[[tests]]
source = "app"
line = '{"event":"usage","org":"acme","ts":"2026-01-02T03:04:05Z","units":3,"cost":0.05}'
expect = { rule = "call", event = { name = "usage", external_customer_id = "acme", timestamp = "2026-01-02T03:04:05Z", metadata = { units = 4, model = "m", _cost = { amount = "5", currency = "usd" } } } }
[[tests]]
source = "app"
line = '{"event":"usage"}'
expect = { ignored = "no_rule" }
"#,
        );
        assert!(!passed);
        insta::assert_snapshot!(told);
    }
}
