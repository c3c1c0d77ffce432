//! What is not as a test says, key by key.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use jiff::Timestamp;
use owo_colors::OwoColorize as _;
use serde_json::Value;

use crate::config::settings::{Expectation, ExpectedEvent};
use crate::mapping::{ExplainedEvent, ExplainedOutcome, Explanation, Verdict};

/// What a test expects and what it got.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Differences {
    pub list: Vec<Difference>,
    /// Keys of events that are as expected.
    pub equal: usize,
    /// Why rules that were meant did not match: rule and reason.
    pub unmatched: Vec<(String, String)>,
    /// Events that nobody expected, as JSON.
    pub surplus: Vec<String>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Difference {
    pub key: String,
    pub expected: Option<String>,
    pub found: Option<String>,
    pub note: Option<&'static str>,
}

impl Difference {
    fn new(key: impl Into<String>, expected: impl ToString, found: impl ToString) -> Self {
        Self {
            key: key.into(),
            expected: Some(expected.to_string()),
            found: Some(found.to_string()),
            note: None,
        }
    }
}

impl Differences {
    pub fn of(expected: &Expectation, explanation: &Explanation) -> Self {
        let mut differences = Self::default();
        match (expected, &explanation.outcome) {
            (Expectation::Events(expected), ExplainedOutcome::Billed { events, .. })
                if expected.len() == events.len() =>
            {
                let several = events.len() > 1;
                for (number, (expected, found)) in (1..).zip(expected.iter().zip(events)) {
                    let prefix = if several { format!("event {number}: ") } else { String::new() };
                    differences.event(&prefix, expected, found);
                }
            }
            (Expectation::Ignored(expected), ExplainedOutcome::Ignored(found)) if expected == found => {}
            (Expectation::Quarantined(expected), ExplainedOutcome::Quarantined { reason, .. })
                if expected == reason => {}
            (expected, found) => {
                differences.list.push(Difference::new("outcome", in_words(expected), found_in_words(found)));
                if let ExplainedOutcome::Billed { events, .. } = found {
                    differences.surplus = events.iter().map(|event| event.json.clone()).collect();
                }
            }
        }
        differences.explain_rules(expected, explanation);
        differences
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn event(&mut self, prefix: &str, expected: &ExpectedEvent, found: &ExplainedEvent) {
        if let Some(rule) = &expected.rule
            && *rule != found.rule
        {
            self.list.push(Difference::new(format!("{prefix}rule"), rule, &found.rule));
        }
        let event: Value = serde_json::from_str(&found.json).expect("mapping writes JSON");
        let (wanted, mut there) = (flat(&expected.event), flat(&event));
        if !wanted.contains_key("external_id") {
            there.remove("external_id");
        }
        let keys: BTreeSet<&String> = wanted.keys().chain(there.keys()).collect();
        for key in keys {
            let (wanted, there) = (wanted.get(key), there.get(key));
            if wanted.zip(there).is_some_and(|(wanted, there)| same(wanted, there)) {
                self.equal += 1;
                continue;
            }
            self.list.push(Difference {
                key: format!("{prefix}{key}"),
                expected: wanted.map(Value::to_string),
                found: there.map(Value::to_string),
                note: wanted.zip(there).and_then(|(wanted, there)| note(key, wanted, there)),
            });
        }
    }

    /// Where no event came, or one of another rule: why the rules that were meant let the line pass.
    fn explain_rules(&mut self, expected: &Expectation, explanation: &Explanation) {
        let Expectation::Events(events) = expected else { return };
        if self.list.is_empty()
            || matches!(explanation.outcome, ExplainedOutcome::Quarantined { rule: Some(_), .. })
        {
            return;
        }
        let meant: Vec<&String> = events.iter().filter_map(|event| event.rule.as_ref()).collect();
        let billed = matches!(explanation.outcome, ExplainedOutcome::Billed { .. });
        for rule in &explanation.rules {
            if (meant.is_empty() && !billed) || meant.contains(&&rule.rule) {
                let why = match &rule.verdict {
                    Verdict::NotMatched { why } => why.clone(),
                    Verdict::NotReached => "an earlier rule took the line".to_owned(),
                    Verdict::Matched { .. } => continue,
                };
                self.unmatched.push((rule.rule.clone(), why));
            }
        }
    }

    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let width = self.list.iter().map(|each| each.key.chars().count()).max().unwrap_or(0);
        let missing = "nothing".to_owned();
        for Difference { key, expected, found, note } in &self.list {
            let (expected, found) =
                (expected.as_ref().unwrap_or(&missing), found.as_ref().unwrap_or(&missing));
            writeln!(
                out,
                "  {}  {}  {}",
                format_args!("{key:width$}").bold(),
                "expected".dimmed(),
                expected.green()
            )?;
            write!(out, "  {:width$}  {}     {}", "", "found".dimmed(), found.red())?;
            match note {
                Some(note) => writeln!(out, "  {}", format_args!("({note})").dimmed())?,
                None => writeln!(out)?,
            }
        }
        for (rule, why) in &self.unmatched {
            writeln!(out, "  {} {rule}: {why}", "not matched by".dimmed())?;
        }
        for event in &self.surplus {
            writeln!(out, "    {}", crate::cli::pretty::pretty(event, 4))?;
        }
        if self.equal > 0 && !self.list.is_empty() {
            writeln!(out, "  {}", format_args!("{} more as expected", self.equal).dimmed())?;
        }
        Ok(())
    }
}

fn in_words(expected: &Expectation) -> String {
    match expected {
        Expectation::Events(events) => {
            let rules: BTreeSet<&str> = events.iter().filter_map(|event| event.rule.as_deref()).collect();
            let by = if rules.is_empty() { String::new() } else { format!(" by {}", join(rules)) };
            format!("{}{by}", count(events.len(), "event"))
        }
        Expectation::Ignored(reason) => format!("ignored({reason})"),
        Expectation::Quarantined(reason) => format!("quarantined({reason})"),
    }
}

fn found_in_words(found: &ExplainedOutcome) -> String {
    match found {
        ExplainedOutcome::Billed { events, .. } => {
            let rules: BTreeSet<&str> = events.iter().map(|event| event.rule.as_str()).collect();
            format!("{} by {}", count(events.len(), "event"), join(rules))
        }
        ExplainedOutcome::Ignored(reason) => format!("ignored({reason})"),
        ExplainedOutcome::Quarantined { reason, detail, .. } => format!("quarantined({reason}): {detail}"),
    }
}

fn join(names: BTreeSet<&str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// What may surprise about a difference.
fn note(key: &str, expected: &Value, found: &Value) -> Option<&'static str> {
    let time = |value: &Value| value.as_str()?.parse::<Timestamp>().ok();
    match (expected, found) {
        (Value::Number(_), Value::String(_)) if !key.starts_with("metadata.") => Some("it is sent as text"),
        (Value::Number(number), Value::String(text)) if text.trim().parse().ok() == number.as_f64() => {
            Some("a text: `| int` or `| decimal` makes it a number")
        }
        (Value::String(text), Value::Number(number)) if text.trim().parse().ok() == number.as_f64() => {
            Some("a number: take the quotes of the test away, or write `| str`")
        }
        _ if time(expected).is_some() && time(expected) == time(found) => {
            Some("the same moment: it is sent in UTC, with no zeros behind it")
        }
        _ => None,
    }
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
