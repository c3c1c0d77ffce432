//! Rules and meters against each other, without lines where the rule alone tells.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::findings::findings;
use super::outline::Outline;
use super::subject::{Link, Seen, Subject};
use crate::config::{Environment, Loaded, load_from_texts};
use crate::polar::meters::{Meter, as_stored};

fn loaded(format: &str, event: &str) -> Loaded {
    let text = format!(
        "instance = \"test\"\n[[sources]]\nid = \"app\"\ninclude = \"/var/log/app.log\"\nformat = \"{format}\"\n\n[[rules]]\nid = \"r\"\n\
         [rules.event]\nname = \"use\"\nexternal_customer_id = \"{{who}}\"\ntimestamp = \"{{ts}}\"\n{event}\n"
    );
    let texts = [(PathBuf::from("floe.toml"), text)];
    load_from_texts(&texts, &Environment::new(), None).unwrap_or_else(|faults| panic!("{faults}"))
}

fn meter(aggregation: &str, clauses: &Value) -> Meter {
    let (function, property) = aggregation.split_once(' ').unwrap_or((aggregation, ""));
    serde_json::from_value(json!({
        "id": "m", "name": "M", "aggregation": {"func": function, "property": property},
        "filter": {"conjunction": "and", "clauses": clauses},
    }))
    .unwrap()
}

fn named(more: Value) -> Value {
    let mut clauses = vec![json!({"property": "name", "operator": "eq", "value": "use"})];
    clauses.extend(more.as_object().map(|clause| Value::Object(clause.clone())));
    clauses.into()
}

/// What is said of one rule, one meter, and events with such metadata.
fn told(format: &str, event: &str, meter: &Meter, seen: &[Value]) -> (Link, Vec<&'static str>) {
    let loaded = loaded(format, event);
    let rule = &loaded.settings.rules[0];
    let sources: Vec<_> = loaded.settings.sources.iter().collect();
    let seen = seen.iter().enumerate().map(|(line, metadata)| Seen {
        name: "use".into(),
        metadata: as_stored(metadata.as_object().unwrap()),
        line,
        place: format!("app.log:{line}"),
        customer: None,
    });
    let outline = Outline::of(rule, &sources);
    let subject = Subject { rule, places: &loaded.rules[0], outline, seen: seen.collect() };
    let link = subject.link(meter);
    let found = findings(&[subject], std::slice::from_ref(meter));
    (link, found.iter().filter_map(|fault| Some(fault.code?.code())).collect())
}

#[track_caller]
fn check(format: &str, event: &str, aggregation: &str, expected: &[&str]) {
    let (_, codes) = told(format, event, &meter(aggregation, &named(Value::Null)), &[]);
    assert_eq!(codes, expected, "{format}: {event}: {aggregation}");
}

#[test]
fn what_a_meter_adds_up_is_told_by_the_rule_alone_where_that_is_sure() {
    check("json", "metadata.n = \"{n | int}\"", "sum n", &[]);
    check("json", "metadata.n = \"{n}\"", "sum n", &[]);
    check("logfmt", "metadata.n = \"{n}\"", "sum n", &["not_a_number"]);
    check("logfmt", "metadata.n = \"{n | decimal}\"", "avg n", &[]);
    check("json", "metadata.n = \"{n} tokens\"", "max n", &["not_a_number"]);
    check("json", "metadata.n = \"5\"", "min n", &["not_a_number"]);
    check("json", "metadata.n = true", "sum n", &["not_a_number"]);
    check("json", "metadata.n = 5", "sum metadata.n", &[]);
    check("json", "metadata.m = 5", "sum n", &["not_sent"]);
    check("json", "metadata.m = 5", "unique n", &["not_sent"]);
    check("json", "metadata.n = \"{n | str}\"", "unique n", &[]);
    check("json", "metadata.\"a.b\" = 5", "sum a.b", &["not_sent"]);
    check("json", "metadata._cost = { amount = \"{c}\", currency = \"usd\" }", "sum _cost.amount", &[]);
}

#[test]
fn an_event_that_says_how_many_it_stands_for_is_not_one() {
    check("json", "metadata.quantity = \"{q | int}\"", "count", &["counted_as_one"]);
    check("json", "metadata.batch_count = 12", "count", &["counted_as_one"]);
    check("json", "metadata.quantity = 1", "count", &[]);
    check("json", "metadata.bytes = \"{b | int}\"", "count", &[]);
    let count = meter("count", &named(Value::Null));
    let of = |seen: &[Value]| told("json", "metadata.units = \"{u}\"", &count, seen).1;
    assert_eq!(of(&[json!({"units": 1})]), [""; 0]);
    assert_eq!(of(&[json!({"units": 1}), json!({"units": 3})]), ["counted_as_one"]);
}

#[track_caller]
fn check_filter(event: &str, clause: Value, seen: &[Value], link: Link, codes: &[&str]) {
    let meter = meter("count", &named(clause.clone()));
    assert_eq!(told("json", event, &meter, seen), (link, codes.to_vec()), "{event}: {clause}");
}

#[test]
fn a_filter_takes_what_is_of_its_type() {
    let clause =
        |operator: &str, value: Value| json!({"property": "s", "operator": operator, "value": value});
    let known = "metadata.s = \"{s | int}\"";
    let open = "metadata.s = \"{s}\"";
    check_filter(known, clause("eq", json!(200)), &[], Link::Perhaps, &[]);
    check_filter(known, clause("eq", json!("200")), &[], Link::No, &["other_type"]);
    check_filter(known, clause("ne", json!("200")), &[], Link::Perhaps, &["other_type"]);
    check_filter(known, clause("like", json!("2")), &[], Link::Perhaps, &[]);
    check_filter(open, clause("eq", json!(200)), &[], Link::Perhaps, &[]);
    check_filter(open, clause("eq", json!(200)), &[json!({"s": 200})], Link::Takes, &[]);
    check_filter(open, clause("eq", json!(200)), &[json!({"s": "200"})], Link::NoneSeen, &["other_type"]);
    check_filter(open, clause("eq", json!(200)), &[json!({"s": 404})], Link::NoneSeen, &["unmetered"]);
    let mixed = [json!({"s": 200}), json!({"s": "200"})];
    check_filter(open, clause("eq", json!(200)), &mixed, Link::Takes, &["other_type"]);
    let harmless = [json!({"s": 200}), json!({"s": "404"}), json!({"s": "-"})];
    check_filter(open, clause("eq", json!(200)), &harmless, Link::Takes, &[]);
    check_filter("metadata.s = 200", clause("gte", json!(100)), &[], Link::Takes, &[]);
    check_filter("metadata.s = 200", clause("lt", json!(100)), &[], Link::No, &["unmetered"]);
    check_filter("metadata.t = 200", clause("lt", json!(100)), &[], Link::No, &["not_sent"]);
    check_filter(
        "metadata.t = 200",
        json!({"property": "source", "operator": "eq", "value": "user"}),
        &[],
        Link::Takes,
        &[],
    );
}

#[test]
fn lines_tell_what_the_rule_does_not() {
    let sum = meter("sum n", &named(Value::Null));
    let of = |seen: &[Value]| told("json", "metadata.n = \"{n}\"", &sum, seen).1;
    assert_eq!(of(&[json!({"n": 1}), json!({"n": "2"})]), ["not_a_number"]);
    assert_eq!(of(&[json!({"n": 1}), json!({})]), [""; 0], "who used nothing says nothing");
    assert_eq!(of(&[json!({}), json!({})]), ["not_sent"]);
    assert_eq!(of(&[json!({"n": true})]), ["not_a_number"]);
}

#[test]
fn what_polar_has_grown_is_not_guessed_about() {
    let mut unknown = meter("median n", &named(Value::Null));
    assert_eq!(told("json", "", &unknown, &[]).1, [""; 0]);
    unknown.filter = serde_json::from_value(json!({"conjunction": "xor", "clauses": []})).unwrap();
    assert_eq!(told("json", "", &unknown, &[]), (Link::Perhaps, Vec::new()));
}

#[test]
fn an_outline_knows_the_tables_of_polar() {
    let loaded = loaded(
        "json",
        "metadata._llm = { vendor = \"openai\", model = \"{m}\", input_tokens = \"{i}\", output_tokens = \"{o}\", total_tokens = \"{t}\" }",
    );
    let sources: Vec<_> = loaded.settings.sources.iter().collect();
    let outline = Outline::of(&loaded.settings.rules[0], &sources);
    let keys: BTreeMap<_, _> =
        outline.properties.iter().map(|(key, sent)| (key.as_str(), format!("{sent:?}"))).collect();
    assert_eq!(keys["_llm.total_tokens"], "Number");
    assert_eq!(keys["_llm.model"], "Text");
    assert_eq!(keys["_llm.vendor"], "Constant(String(\"openai\"))");
}
