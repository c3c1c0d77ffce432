//! `[[tests]]`: a line, and what must become of it.

use serde_json::{Map, Number};

use super::Context;
use super::rules::{self, ReadRule};
use super::sources::ReadSource;
use crate::config::fault::{self, Fault, Place};
use crate::config::node::{Node, Value};
use crate::config::reader::{Report, TableReader};
use crate::config::settings::{Captures, Expectation, ExpectedEvent, SourceSettings, TestSettings};
use crate::model::{Ignored, Quarantined};

const EVENT_KEYS: &[&str] = &[
    "name",
    "external_customer_id",
    "external_member_id",
    "customer_id",
    "member_id",
    "timestamp",
    "external_id",
    "parent_id",
    "organization_id",
    "metadata",
];

/// A test as far as it could be read.
pub(super) struct ReadTest {
    pub line_place: Place,
    pub settings: Option<TestSettings>,
}

pub(super) fn read_all(
    context: &Context<'_>,
    nodes: &[Node],
    sources: &[ReadSource],
    rules: &[ReadRule<'_>],
) -> Vec<ReadTest> {
    let read = |node: &Node| {
        let line = node.table().and_then(|table| table.get("line"));
        let line_place = line.map_or(&node.place, |entry| &entry.node.place).clone();
        ReadTest { line_place, settings: read(context, node, sources, rules) }
    };
    nodes.iter().map(read).collect()
}

fn read(
    context: &Context<'_>,
    node: &Node,
    sources: &[ReadSource],
    rules: &[ReadRule<'_>],
) -> Option<TestSettings> {
    let report = context.report;
    let table = report.open("test", node)?;
    let source = table.required("source", "say whose line it is: source = \"app\"");
    let source = source.and_then(|node| rules::source(report, node, sources));
    let line = table.required("line", "give a line of the log, in single quotes: line = '{\"event\":…}'");
    let settings = source.and_then(|at| sources.get(usize::from(at))?.settings.as_ref());
    let line = line.and_then(|node| text_of(report, node, settings));
    let file = table.optional("path").map(|node| file(context, node, settings));
    let hint =
        "say what must come out: expect = { rule = \"…\", event = { … } } or { ignored = \"no_rule\" }";
    let expect = table.required("expect", hint);
    let expect = expect.and_then(|node| expectation(report, node, rules));
    let place = context.position(table.place());
    table.finish();
    let (path, captures) = match file {
        Some(file) => file.map(|(path, captures)| (Some(path), captures))?,
        None => (None, Captures::new()),
    };
    Some(TestSettings { source: source?, line: line?, path, captures, expect: expect?, place })
}

/// A source that takes lines together may have several, and one with a header has that above.
fn text_of(report: &Report, node: &Node, source: Option<&SourceSettings>) -> Option<String> {
    let text = &report.text(node)?.value;
    let line = text.strip_suffix('\n').unwrap_or(text);
    let takes_one = |source: &SourceSettings| {
        source.multiline.is_none() && !source.container.is_runtime() && !source.format.has_header()
    };
    if line.contains('\n') && source.is_some_and(takes_one) {
        let hint = "write a test for each; where lines belong together, the source needs multiline";
        report.push(Fault::at(&node.place, "a test has one line, this has more").hint(hint));
        return None;
    }
    Some(line.to_owned())
}

/// The path, and what it captures.
fn file(context: &Context<'_>, node: &Node, source: Option<&SourceSettings>) -> Option<(String, Captures)> {
    let path = context.path(node)?.display().to_string();
    let source = source?;
    let captures = source.files.captures(&path);
    if captures.is_none() {
        let patterns: Vec<&str> =
            source.files.include().iter().map(|pattern| pattern.text.as_str()).collect();
        let message = format!("\"{path}\" is no file of the source \"{}\"", source.id);
        let hint = format!("its files are {}", patterns.join(", "));
        context.report.push(Fault::at(&node.place, message).hint(hint));
    }
    Some((path, captures?))
}

fn expectation(report: &Report, node: &Node, rules: &[ReadRule<'_>]) -> Option<Expectation> {
    let table = report.open("expectation", node)?;
    let rule = table.optional("rule");
    let event = table.optional("event");
    let events = table.optional("events");
    let ignored = table.optional("ignored");
    let quarantined = table.optional("quarantined");
    let place = table.place().clone();
    table.finish();
    let kinds = [event.or(rule), events, ignored, quarantined];
    if kinds.iter().flatten().count() != 1 {
        report.push(
            Fault::at(&place, "a test expects one thing")
                .hint("write one of event (with its rule), events, ignored and quarantined"),
        );
        return None;
    }
    if let Some(node) = events {
        let events: Vec<_> =
            report.list(node).iter().map(|node| expected_event(report, node, rules)).collect();
        return Some(Expectation::Events(events.into_iter().collect::<Option<_>>()?));
    }
    if let Some(node) = ignored {
        return reason(report, node, Ignored::ALL, Ignored::code).map(Expectation::Ignored);
    }
    if let Some(node) = quarantined {
        return reason(report, node, Quarantined::ALL, Quarantined::code).map(Expectation::Quarantined);
    }
    let rule = rule.map(|node| rule_id(report, node, rules));
    let Some(event) = event else {
        let hint = "say which event the rule must give: event = { name = \"…\", … }";
        report.push(Fault::at(&place, "the key \"event\" is missing").hint(hint));
        return None;
    };
    let event = event_json(report, event)?;
    let rule = rule.map_or(Some(None), |id| id.map(Some))?;
    Some(Expectation::Events(vec![ExpectedEvent { rule, event }]))
}

fn expected_event(report: &Report, node: &Node, rules: &[ReadRule<'_>]) -> Option<ExpectedEvent> {
    let table: TableReader<'_> = report.open("expected_event", node)?;
    let rule = table.optional("rule").map(|node| rule_id(report, node, rules));
    let event = table.required("event", "say what must be sent: event = { name = \"…\", … }");
    let event = event.and_then(|node| event_json(report, node));
    table.finish();
    Some(ExpectedEvent { rule: rule.map_or(Some(None), |id| id.map(Some))?, event: event? })
}

fn rule_id(report: &Report, node: &Node, rules: &[ReadRule<'_>]) -> Option<String> {
    let text = report.text(node)?;
    if rules.iter().any(|rule| rule.id.0 == text.value) {
        return Some(text.value.clone());
    }
    let known: Vec<&str> = rules.iter().map(|rule| rule.id.0.as_str()).filter(|id| *id != "?").collect();
    report.push(
        Fault::at(&node.place, format!("unknown rule \"{}\"", text.value)).hint(fault::did_you_mean(
            &text.value,
            &known,
            "there are:",
        )),
    );
    None
}

fn reason<T: Copy>(report: &Report, node: &Node, all: &[T], code: fn(T) -> &'static str) -> Option<T> {
    let choices: Vec<(&str, T)> = all.iter().map(|reason| (code(*reason), *reason)).collect();
    report.choice(node, &choices)
}

fn event_json(report: &Report, node: &Node) -> Option<serde_json::Value> {
    let Some(table) = node.table() else {
        report.wrong_type(node, "a table");
        return None;
    };
    for entry in &table.entries {
        if !EVENT_KEYS.contains(&entry.key.value.as_str()) {
            let key = &entry.key.value;
            report.push(
                Fault::at(&entry.key_place, format!("an event has no key \"{key}\""))
                    .hint(fault::did_you_mean(key, EVENT_KEYS, "it has:")),
            );
        }
    }
    json(report, node)
}

fn json(report: &Report, node: &Node) -> Option<serde_json::Value> {
    Some(match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(truth) => serde_json::Value::Bool(*truth),
        Value::Text(text) => serde_json::Value::String(text.value.clone()),
        Value::Number(source) => match json_number(source) {
            Some(number) => serde_json::Value::Number(number),
            None => {
                report
                    .push(Fault::at(&node.place, "this number cannot be compared").hint("write it shorter"));
                return None;
            }
        },
        Value::Date(_) => {
            report.wrong_type(node, "a text");
            return None;
        }
        Value::List(list) => {
            serde_json::Value::Array(list.iter().map(|node| json(report, node)).collect::<Option<_>>()?)
        }
        Value::Table(table) => {
            let mut map = Map::new();
            for entry in &table.entries {
                map.insert(entry.key.value.clone(), json(report, &entry.node)?);
            }
            serde_json::Value::Object(map)
        }
    })
}

/// YAML and TOML write numbers that JSON does not: `.5`, `1.`, `007`.
fn json_number(source: &str) -> Option<Number> {
    if let Ok(number) = serde_json::from_str(source) {
        return Some(number);
    }
    if let Ok(whole) = source.parse::<i64>() {
        return Some(whole.into());
    }
    source.parse::<f64>().ok().and_then(Number::from_f64)
}
