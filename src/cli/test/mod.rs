//! `floe test`: the lines and events that the config itself gives as examples.

mod coverage;
mod difference;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;
use owo_colors::OwoColorize as _;

use self::coverage::Coverage;
use self::difference::Differences;
use super::check::{self, BAD_CONFIG};
use super::explain::{SHOWN_CHARS, stream_key};
use crate::config::Settings;
use crate::config::settings::TestSettings;
use crate::mapping::{Excerpt, ExplainedOutcome, Explanation, MapContext, Rules, excerpts, explain};
use crate::model::{Generation, Offset, SourceIndex};

/// Of a test's line, so many lines of the file are shown.
const SHOWN_LINES: usize = 8;

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
pub(super) fn run_tests(settings: &Settings, out: &mut impl Write) -> io::Result<bool> {
    // A test's line is as its application writes it.
    let settings = &settings.without_spool();
    let rules = Rules::compile(settings).without_segments();
    let mut coverage = Coverage::default();
    let mut failed = 0;
    let mut gap = true;
    for test in &settings.tests {
        let explanation = explain_test(settings, &rules, test);
        let differences = Differences::of(&test.expect, &explanation);
        if differences.is_empty() {
            writeln!(out, "{} {}  {}", "✓".green(), test.place, in_short(&explanation).dimmed())?;
            coverage.add(&explanation);
            gap = false;
            continue;
        }
        failed += 1;
        if !gap {
            writeln!(out)?;
        }
        writeln!(out, "{} {}", "✗".red().bold(), test.place.bold())?;
        write_line(test, out)?;
        differences.write(out)?;
        writeln!(out)?;
        gap = true;
    }
    if !gap {
        writeln!(out)?;
    }
    let passed = format!("{} passed", settings.tests.len() - failed);
    let failures = format!("{failed} failed");
    match failed {
        0 => writeln!(out, "{}, {failures}", passed.green().bold())?,
        _ => writeln!(out, "{passed}, {}", failures.red().bold())?,
    }
    coverage.write(settings, out)?;
    Ok(failed == 0)
}

fn in_short(explanation: &Explanation) -> String {
    match &explanation.outcome {
        ExplainedOutcome::Billed { events, .. } => {
            let mut rules: Vec<&str> = events.iter().map(|event| event.rule.as_str()).collect();
            rules.dedup();
            format!("billed by {}", rules.join(", "))
        }
        ExplainedOutcome::Ignored(reason) => format!("ignored({reason})"),
        ExplainedOutcome::Quarantined { reason, .. } => format!("quarantined({reason})"),
    }
}

/// The line of a test, which may be several of the file.
fn write_line(test: &TestSettings, out: &mut impl Write) -> io::Result<()> {
    for line in test.line.lines().take(SHOWN_LINES) {
        match line.char_indices().nth(SHOWN_CHARS) {
            Some((end, _)) => writeln!(out, "  {}", format_args!("{}…", &line[..end]).dimmed())?,
            None => writeln!(out, "  {}", line.dimmed())?,
        }
    }
    if test.line.lines().nth(SHOWN_LINES).is_some() {
        writeln!(out, "  {}", "…".dimmed())?;
    }
    Ok(())
}

fn explain_test(settings: &Settings, rules: &Rules, test: &TestSettings) -> Explanation {
    let source = SourceIndex(test.source);
    let line = test.line.as_bytes();
    let context = MapContext {
        rules,
        source,
        stream_key: &stream_key(settings, source, &[line, b"\n"].concat()),
        generation: Generation::default(),
        path: test.path.as_ref().unwrap_or(&test.place),
        captures: &test.captures,
        expected: None,
        long_line: None,
        // A test says the same on every day, so nothing is in the future.
        polar_now: Timestamp::MAX,
        room: usize::MAX,
    };
    // Of a header and a line below it, the line is meant.
    let nothing = Excerpt { at: Offset::ZERO, lines: line.into(), header: None };
    let found = excerpts(rules, source, line);
    explain(&context, found.last().unwrap_or(&nothing))
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
        told_by(CONFIG, tests)
    }

    fn told_by(config: &str, tests: &str) -> (bool, String) {
        let settings = Settings::from_toml(&format!("{config}{tests}"))
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
        assert!(passed);
        insta::assert_snapshot!(told);
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

    #[test]
    fn a_failure_says_why_no_rule_matched_and_what_was_not_expected() {
        let (_, told) = told(
            r#"
[[tests]]
source = "app"
line = '{"event":"use","org":"acme"}'
expect = { event = { name = "usage" } }

[[tests]]
source = "app"
line = '{"event":"call","org":"acme","ts":"2026-01-02T03:04:05Z"}'
expect = { rule = "usage", event = { name = "usage" } }

[[tests]]
source = "app"
line = '{"event":"call","org":"acme","ts":"2026-01-02T03:04:05Z"}'
expect = { ignored = "no_rule" }

[[tests]]
source = "app"
line = '{"event":"usage","org":17,"ts":"2026-01-02T03:04:05+01:00","units":"3","cost":1}'
expect = { event = { name = "usage", external_customer_id = 17, timestamp = "2026-01-02T03:04:05+01:00", metadata = { units = 3, _cost = { amount = "100", currency = "usd" } } } }

[[tests]]
source = "app"
line = '{"event":"usage","org":"acme","ts":"2026-01-02 03:04:05"}'
expect = { events = [{ event = { name = "usage" } }, { event = { name = "usage" } }] }
"#,
        );
        insta::assert_snapshot!(told);
    }

    #[test]
    fn a_path_gives_its_captures_and_coverage_is_by_rule_and_reason() {
        let config = CONFIG
            .replace("/var/log/app.log", "/var/log/{tenant}/app.log")
            .replace("\"{org}\"", "\"{@path.tenant}\"")
            .replace(
                "when = { event = \"usage\" }",
                "when = { event = \"usage\" }\nmust = { units = { gt = 0 } }",
            )
            .replace("when = { event = \"call\" }", "when = { event = \"call\" }\nmust = { n = 1 }");
        let tests = r#"
[[tests]]
source = "app"
path = "/var/log/acme/app.log"
line = '{"event":"call","n":1,"ts":"2026-01-02T03:04:05Z"}'
expect = { rule = "call", event = { name = "call", external_customer_id = "acme", timestamp = "2026-01-02T03:04:05Z", metadata = {} } }

[[tests]]
source = "app"
line = '{"event":"call","n":1,"ts":"2026-01-02T03:04:05Z"}'
expect = { quarantined = "missing_customer" }

[[tests]]
source = "app"
line = '{"event":"usage","units":0}'
expect = { quarantined = "invariant" }

[[tests]]
source = "app"
line = 'usage'
expect = { quarantined = "invalid_json" }
"#;
        insta::assert_snapshot!(told_by(&config, tests).1);
    }
}
