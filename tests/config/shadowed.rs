//! "No line ever comes to this rule" is never wrong: held against all lines of a small world.

use std::path::PathBuf;

use floe::config::settings::Captures;
use floe::config::{Environment, Settings, WarningCode, load_from_texts};
use floe::mapping::{Excerpt, MapContext, Rules, Verdict, explain};
use floe::model::{Generation, Offset, SourceIndex};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// A config of two rules; each is `when`, `unless` and whether it explodes `items`.
fn load(first: &Value, second: &Value) -> (Settings, bool) {
    load_as("json", first, second)
}

/// The same with the field `a` as one to which a preset gives a type.
fn load_typed(first: &Value, second: &Value) -> (Settings, bool) {
    let typed = |rule: &Value| serde_json::from_str(&with_type(&rule.to_string())).expect("as it was");
    load_as("istio", &typed(first), &typed(second))
}

fn with_type(json: &str) -> String {
    json.replace("\"a\":", "\"response_code\":")
}

fn typed_lines() -> Vec<Vec<u8>> {
    let text = |line: Vec<u8>| String::from_utf8(line).expect("it was JSON");
    lines().into_iter().map(|line| with_type(&text(line)).into_bytes()).collect()
}

fn load_as(format: &str, first: &Value, second: &Value) -> (Settings, bool) {
    let rule = |id: &str, more: &Value| {
        let mut rule =
            json!({ "id": id, "event": { "name": "n", "external_customer_id": "c", "timestamp": "{ts}" } });
        rule.as_object_mut().expect("a table").extend(more.as_object().expect("a table").clone());
        rule
    };
    let config = json!({
        "sources": [{ "id": "app", "include": "/x.log", "format": format }],
        "rules": [rule("first", first), rule("second", second)],
    });
    let texts = [(PathBuf::from("floe.json"), config.to_string())];
    let loaded = load_from_texts(&texts, &Environment::new(), Some("m")).unwrap_or_else(|it| panic!("{it}"));
    let warned = loaded.warnings.iter().any(|warning| warning.code == Some(WarningCode::Shadowed));
    (loaded.settings, warned)
}

/// All lines that have one of these values, or none, in each of their fields.
fn lines() -> Vec<Vec<u8>> {
    let texts = ["x", "xy", "yx", "200", "200.0", "2e2", "404", "", "true", "-"].map(Value::from);
    let others = [json!(200), json!(404.5), json!(true), json!({}), json!([1]), Value::Null];
    let a: Vec<Option<Value>> = texts.into_iter().chain(others).map(Some).chain([None]).collect();
    let b = [None, Some(json!("x")), Some(json!("200")), Some(json!(200)), Some(json!(false))];
    let items = [None, Some(json!(["x", 200])), Some(json!([{}, "xy"]))];
    let mut lines = Vec::new();
    for a in &a {
        for b in &b {
            for items in &items {
                let fields = [("a", a), ("b", b), ("items", items)];
                let line: Map<String, Value> = fields
                    .into_iter()
                    .filter_map(|(key, value)| Some((key.to_owned(), value.clone()?)))
                    .collect();
                lines.push(Value::Object(line).to_string().into_bytes());
            }
        }
    }
    lines
}

/// A line that comes to the second rule.
fn reaches_second(settings: &Settings, lines: &[Vec<u8>]) -> Option<String> {
    let rules = Rules::compile(settings);
    let context = MapContext {
        rules: &rules,
        source: SourceIndex(0),
        stream_key: &[0; 32],
        generation: Generation::default(),
        path: "p",
        captures: &Captures::new(),
        expected: None,
        long_line: None,
        polar_now: "2026-11-20T12:00:00Z".parse().expect("a time"),
        room: usize::MAX,
    };
    let reaches = |line: &&Vec<u8>| {
        let excerpt = Excerpt { at: Offset::ZERO, lines: line.as_slice().into(), header: None };
        let verdict = &explain(&context, &excerpt).rules[1].verdict;
        matches!(verdict, Verdict::Matched { .. })
    };
    lines.iter().find(reaches).map(|line| String::from_utf8_lossy(line).into_owned())
}

#[test]
fn the_narrower_rule_behind_the_wider_one_is_told() {
    #[track_caller]
    fn check(first: Value, second: Value, wanted: bool) {
        let (settings, warned) = load(&first, &second);
        assert_eq!(warned, wanted, "{first} before {second}");
        assert!(!warned || reaches_second(&settings, &lines()).is_none(), "{first} before {second}");
    }
    let when = |first: Value, second: Value, wanted| {
        check(json!({ "when": first }), json!({ "when": second }), wanted);
    };
    when(json!({ "a": "x" }), json!({ "a": "x", "b": 1 }), true);
    when(json!({}), json!({ "a": "x" }), true);
    when(json!({ "a": ["x", "y"] }), json!({ "a": "x" }), true);
    when(json!({ "a": ["x", "y", "z"] }), json!({ "a": ["z", "x"] }), true);
    when(json!({ "a": ["x"] }), json!({ "a": ["z", "x"] }), false);
    when(json!({ "a": { "lt": 500 } }), json!({ "a": { "lt": 400 } }), true);
    when(json!({ "a": { "lt": 500 } }), json!({ "a": { "le": 500 } }), false);
    when(json!({ "a": { "lt": 500 } }), json!({ "a": 200 }), true);
    when(json!({ "a": { "ge": 200, "lt": 300 } }), json!({ "a": [200, "204"] }), true);
    when(json!({ "a": { "ge": 200, "lt": 300 } }), json!({ "a": { "gt": 200, "lt": 250 } }), true);
    when(json!({ "a": { "exists": true } }), json!({ "a": { "lt": 500 } }), true);
    when(json!({ "a": { "exists": true } }), json!({ "a": { "ne": 500 } }), false);
    when(json!({ "a": { "prefix": "/v1" } }), json!({ "a": { "prefix": "/v1/chat" } }), true);
    when(json!({ "a": { "prefix": "/v1" } }), json!({ "a": "/v1/x" }), true);
    when(json!({ "a": { "contains": "v1" } }), json!({ "a": { "suffix": "/v1" } }), true);
    when(json!({ "a": { "matches": "^/v[12]/" } }), json!({ "a": ["/v1/x", "/v2/y"] }), true);
    when(json!({ "any": [{ "a": 1 }, { "b": 2 }] }), json!({ "b": 2, "c": 3 }), true);
    when(json!({ "a": { "lt": 9 } }), json!({ "any": [{ "a": 1 }, { "a": 2 }] }), true);
    when(json!({ "a": { "lt": 9 } }), json!({ "any": [{ "a": 1 }, { "b": 2 }] }), false);
    when(json!({ "a": { "not_in": [1, 2] } }), json!({ "a": { "ne": 1 }, "b": 1 }), false);
    when(json!({ "a": { "not_in": [1, 2] } }), json!({ "a": 3 }), true);
    when(json!({ "a": { "not_in": ["x", "y"] } }), json!({ "a": { "exists": false } }), true);
    when(json!({ "a": { "le": "{b}" } }), json!({ "a": { "eq": "{b}" } }), true);
    when(json!({ "a": "200" }), json!({ "a": 200 }), false);
    when(json!({ "a": 200 }), json!({ "a": "200" }), true);

    let one = json!({ "when": { "a": "x" }, "unless": { "b": 200 } });
    check(one.clone(), json!({ "when": { "a": "x" } }), false);
    check(one.clone(), json!({ "when": { "a": "x", "b": 404 } }), true);
    check(one.clone(), json!({ "when": { "a": "x" }, "unless": { "b": { "lt": 300 } } }), true);
    check(one, json!({ "when": { "a": "x" }, "unless": { "b": 404 } }), false);
    check(json!({ "when": { "a": { "ne": "x" } } }), json!({ "unless": { "a": ["x", "y"] } }), true);
    check(json!({ "also": true }), json!({}), false);
    check(json!({ "explode": "items" }), json!({ "when": { "a": "x" } }), false);
    check(json!({ "explode": "items" }), json!({ "explode": "items", "when": { "@item": "x" } }), true);
    check(
        json!({ "when": { "a": "x" } }),
        json!({ "explode": "items", "when": { "a": "x", "@item": "x" } }),
        true,
    );
}

/// One of each operator, with values that are close to each other.
fn single_tests() -> Vec<Value> {
    let mut tests = vec![json!({ "exists": true }), json!({ "exists": false })];
    for literal in
        [json!("x"), json!("xy"), json!("200"), json!("200.0"), json!(200), json!(true), json!("{b}")]
    {
        tests.extend([json!({ "eq": literal }), json!({ "ne": literal })]);
    }
    for list in [json!(["x", 200]), json!(["200", true])] {
        tests.extend([json!({ "in": list }), json!({ "not_in": list })]);
    }
    for bound in [json!(200), json!(300), json!("{b}")] {
        tests.extend(["lt", "le", "gt", "ge"].map(|operator| json!({ operator: bound })));
    }
    for (operator, piece) in
        [("prefix", "x"), ("prefix", "2"), ("suffix", "y"), ("contains", "20"), ("matches", "^x")]
    {
        tests.push(json!({ operator: piece }));
    }
    tests
}

#[test]
fn of_two_rules_with_one_test_each_none_is_told_in_vain() {
    let told = count_told(load, &lines());
    assert!(told > 500, "{told} pairs are told");
    let told = count_told(load_typed, &typed_lines());
    assert!(told > 100, "{told} pairs are told");
}

/// How many of the pairs are told, none of them in vain.
#[track_caller]
fn count_told(load: fn(&Value, &Value) -> (Settings, bool), lines: &[Vec<u8>]) -> usize {
    let rule = |key: &str, test: &Value| json!({ key: { "a": test } });
    let tests = single_tests();
    let mut told = 0;
    for (one, other) in tests.iter().flat_map(|one| tests.iter().map(move |other| (one, other))) {
        for (first, second) in
            [("when", "when"), ("unless", "when"), ("when", "unless"), ("unless", "unless")]
        {
            let (first, second) = (rule(first, one), rule(second, other));
            let (settings, warned) = load(&first, &second);
            told += usize::from(warned);
            let reaches = if warned { reaches_second(&settings, lines) } else { None };
            assert_eq!(reaches, None, "{first} before {second}");
        }
    }
    told
}

fn literal() -> impl Strategy<Value = Value> {
    let texts = ["x", "xy", "y", "200", "200.0", "404", "true", "-"].map(Value::from);
    let literals: Vec<Value> =
        texts.into_iter().chain([json!(200), json!(404), json!(300), json!(true)]).collect();
    prop::sample::select(literals)
}

fn operator() -> impl Strategy<Value = (String, Value)> {
    let list = || prop::collection::vec(literal(), 1..4).prop_map(Value::from);
    let number = prop::sample::select(vec![json!(200), json!(300), json!(404.5), json!("{b}")]);
    let piece = prop::sample::select(vec!["x", "xy", "y", "2", "20", "0"]).prop_map(Value::from);
    let named = |names: &'static [&'static str]| prop::sample::select(names);
    let pair = |(name, value): (&str, Value)| (name.to_owned(), value);
    prop_oneof![
        (named(&["eq", "ne"]), prop_oneof![4 => literal(), 1 => Just(json!("{b}"))]).prop_map(pair),
        (named(&["in", "not_in"]), list()).prop_map(pair),
        (named(&["lt", "le", "gt", "ge"]), number).prop_map(pair),
        (named(&["exists"]), any::<bool>().prop_map(Value::from)).prop_map(pair),
        (named(&["prefix", "suffix", "contains", "matches"]), piece).prop_map(pair),
    ]
}

fn fields(paths: &'static [&'static str]) -> impl Strategy<Value = Map<String, Value>> {
    let tests = prop::collection::vec(operator(), 1..3)
        .prop_map(|operators| Value::Object(operators.into_iter().collect()));
    prop::collection::vec((prop::sample::select(paths), tests), 0..3)
        .prop_map(|tests| tests.into_iter().map(|(path, tests)| (path.to_owned(), tests)).collect())
}

fn condition(paths: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let choice = prop::collection::vec(fields(paths).prop_map(Value::Object), 1..4);
    (fields(paths), prop::option::weighted(0.3, choice)).prop_map(|(mut fields, choice)| {
        if let Some(choice) = choice {
            fields.insert("any".to_owned(), choice.into());
        }
        Value::Object(fields)
    })
}

fn rule() -> impl Strategy<Value = Value> {
    prop::bool::weighted(0.2).prop_flat_map(|explodes| {
        let paths: &'static [&'static str] = if explodes { &["a", "@item"] } else { &["a", "a", "b"] };
        let unless = condition(paths).prop_filter("an empty one is a fault", |it| *it != json!({}));
        (condition(paths), prop::option::weighted(0.3, unless)).prop_map(move |(when, unless)| {
            let mut rule = json!({ "when": when });
            if let Some(unless) = unless {
                rule["unless"] = unless;
            }
            if explodes {
                rule["explode"] = json!("items");
            }
            rule
        })
    })
}

/// The first rule is often made of parts of the second, or few pairs would be worth a look.
fn rules() -> impl Strategy<Value = (Value, Value)> {
    let parts = |second: Value| {
        let keep = prop::collection::vec(any::<bool>(), 8);
        (Just(second), keep).prop_map(|(second, keep)| {
            let mut first = second.clone();
            if let Some(when) = first["when"].as_object_mut() {
                let mut keep = keep.iter();
                when.retain(|_, _| *keep.next().unwrap_or(&true));
            }
            (first, second)
        })
    };
    prop_oneof![(rule(), rule()), rule().prop_flat_map(parts)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_line_comes_to_a_rule_that_is_told_to_be_shadowed((first, second) in rules()) {
        let (settings, warned) = load(&first, &second);
        if warned {
            prop_assert_eq!(reaches_second(&settings, &lines()), None, "{} before {}", first, second);
        }
        let (settings, warned) = load_typed(&first, &second);
        if warned {
            prop_assert_eq!(reaches_second(&settings, &typed_lines()), None, "typed: {} before {}", first, second);
        }
    }
}
