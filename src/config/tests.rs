//! What needs to look inside: the schema against the reader, and the examples against the schema.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::environment::OVERRIDABLE;
use super::node::{Node, Value};
use super::*;

const EXAMPLES: &[(&str, &str)] = &[
    ("floe.toml", include_str!("../../config/floe.toml")),
    ("llm-usage.yaml", include_str!("../../config/llm-usage.yaml")),
    ("api-requests.json", include_str!("../../config/api-requests.json")),
];

/// Opens a table of every kind.
const EVERY_KIND: &str = r"
    [polar]
    [delivery]
    [limits]
    [admin]
    [lookups.plans]
    [hash_keys.people]
    [[sources]]
    [sources.multiline]
    [[rules]]
    [rules.event.metadata]
    _cost = {}
    _llm = {}
    [[tests]]
    expect.events = [{}]
";

fn known_keys() -> KnownKeys {
    let texts = [(PathBuf::from("floe.toml"), EVERY_KIND.to_owned())];
    check_texts(&texts, &BTreeMap::new(), &Environment::new(), None).1
}

fn keys_of(definition: &Json) -> BTreeSet<String> {
    definition["properties"].as_object().expect("a table").keys().cloned().collect()
}

#[test]
fn the_schema_has_the_keys_that_the_reader_asks_for_and_no_others() {
    let schema = schema::schema();
    let mut closed: BTreeMap<String, BTreeSet<String>> =
        BTreeMap::from([("config".into(), keys_of(&schema))]);
    for (name, definition) in schema["$defs"].as_object().expect("a table") {
        if definition["additionalProperties"] == json!(false) && name != "operators" {
            closed.insert(name.clone(), keys_of(definition));
        }
    }
    let known: BTreeMap<String, BTreeSet<String>> = known_keys()
        .into_iter()
        .map(|(kind, keys)| (kind.to_owned(), keys.into_iter().map(str::to_owned).collect()))
        .collect();
    assert_eq!(closed, known);
    let operators: BTreeSet<String> =
        reading::OPERATORS.iter().map(|operator| (*operator).to_owned()).collect();
    assert_eq!(keys_of(&schema["$defs"]["operators"]), operators);
}

#[test]
fn every_single_value_outside_of_lists_may_be_overridden() {
    let known = known_keys();
    let mut keys: BTreeSet<String> = ["version", "state_dir", "instance"].map(str::to_owned).into();
    for kind in ["polar", "delivery", "limits", "admin"] {
        keys.extend(known[kind].iter().map(|key| format!("{kind}.{key}")));
    }
    assert_eq!(OVERRIDABLE.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>(), keys);
}

#[test]
fn the_stored_schema_is_the_printed_one() {
    let stored = include_str!("../../config/floe.schema.json");
    let printed = schema::text_of_schema();
    // Not `assert_eq`: two screens of JSON tell nobody anything.
    assert!(stored == printed, "run `floe schema > config/floe.schema.json`");
}

#[test]
fn the_examples_are_clean_and_fit_the_schema() {
    let schema = schema::schema();
    for (name, text) in EXAMPLES {
        let texts = [(PathBuf::from(name), (*text).to_owned())];
        let loaded =
            load_from_texts(&texts, &Environment::new(), Some("test")).unwrap_or_else(|it| panic!("{it}"));
        assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
        let tree = parse(&texts[0].0, FileIndex(0), text).expect("it parses");
        assert_eq!(misfits(&schema, &schema, &plain(&tree), name), Vec::<String>::new());
    }
}

#[test]
fn the_schema_sees_what_does_not_fit() {
    let schema = schema::schema();
    let rule = json!({ "id": "r", "event": { "name": "e", "metadata": { "_llm": {} } } });
    let table: &[(Json, &str)] = &[
        (json!({ "rules": [] }), "sources is missing"),
        (json!({ "sources": [], "rules": [], "polr": {} }), "/polr is unknown"),
        (
            json!({ "sources": [{ "container": "pod", "id": "a", "include": "x" }], "rules": [] }),
            "/sources/0/container",
        ),
        (json!({ "sources": [], "rules": [rule] }), "/rules/0/event/metadata/_llm: model is missing"),
        (json!({ "sources": [], "rules": [{ "id": "r", "event": { "name": 1 } }] }), "/rules/0/event/name"),
        (json!({ "sources": [{ "socket": 1 }], "rules": [] }), "/sources/0/socket"),
    ];
    for (config, misfit) in table {
        let found = misfits(&schema, &schema, config, "");
        assert!(found.iter().any(|each| each.contains(misfit)), "{misfit} in {found:?}");
    }
}

/// As much of JSON Schema as ours uses.
fn misfits(root: &Json, schema: &Json, value: &Json, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut say = |wrong: bool, message: String| found.extend(wrong.then_some(message));
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.strip_prefix("#/$defs/").expect("a reference to a definition");
        return misfits(root, &root["$defs"][name], value, at);
    }
    say(schema.get("not").is_some(), format!("{at} may not be"));
    say(schema.get("const").is_some_and(|it| it != value), format!("{at} is another constant"));
    let words = schema["enum"].as_array();
    say(words.is_some_and(|words| !words.contains(value)), format!("{at} is none of {words:?}"));
    let of_type = |name: &Json| match name.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("number") => value.is_number(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("boolean") => value.is_boolean(),
        other => panic!("the schema has a type {other:?}"),
    };
    match &schema["type"] {
        Json::Null => {}
        Json::Array(types) => say(!types.iter().any(of_type), format!("{at} is of another type")),
        name => say(!of_type(name), format!("{at} is of another type")),
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let fits = choices.iter().any(|choice| misfits(root, choice, value, at).is_empty());
        say(!fits, format!("{at} fits none of the choices"));
    }
    if let Some(required) = schema["required"].as_array() {
        for key in required.iter().filter_map(Json::as_str) {
            say(value.is_object() && value.get(key).is_none(), format!("{at}: {key} is missing"));
        }
    }
    for (key, inner) in value.as_object().into_iter().flatten() {
        let at = format!("{at}/{key}");
        match (schema["properties"].get(key), &schema["additionalProperties"]) {
            (Some(schema), _) => found.extend(misfits(root, schema, inner, &at)),
            (None, Json::Bool(false)) => found.push(format!("{at} is unknown")),
            (None, Json::Object(_)) => {
                found.extend(misfits(root, &schema["additionalProperties"], inner, &at));
            }
            _ => {}
        }
    }
    for (place, inner) in value.as_array().into_iter().flatten().enumerate() {
        if let Some(items) = schema.get("items") {
            found.extend(misfits(root, items, inner, &format!("{at}/{place}")));
        }
    }
    found
}

fn plain(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(truth) => json!(truth),
        Value::Number(source) => serde_json::from_str(source).expect("a number"),
        Value::Text(text) => json!(text.value),
        Value::Date(date) => json!(date),
        Value::List(list) => list.iter().map(plain).collect(),
        Value::Table(table) => {
            table.entries.iter().map(|entry| (entry.key.value.clone(), plain(&entry.node))).collect()
        }
    }
}

/// A text with some pieces cut out, doubled or replaced.
fn mutated() -> impl Strategy<Value = (usize, String)> {
    let words = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        "\"",
        "'",
        "\n",
        "=",
        ":",
        ",",
        "${",
        "$${X}",
        "{a |",
        "é",
        "\0",
        "-",
        "- ",
        "1e999",
        "[[rules]]\n",
        "&a ",
        "*a",
        "null",
        "''''",
        "\\u00e9",
        "\\",
        "#",
        "0x",
        "any",
        "**",
        "(?P<",
        "\u{feff}",
    ]);
    let edit = (any::<prop::sample::Index>(), 0..40_usize, words);
    (0..EXAMPLES.len(), prop::collection::vec(edit, 1..4)).prop_map(|(example, edits)| {
        let mut text: Vec<char> = EXAMPLES[example].1.chars().collect();
        for (at, length, word) in edits {
            let start = at.index(text.len() + 1);
            let end = (start + length).min(text.len());
            text.splice(start..end, word.chars());
        }
        (example, text.into_iter().collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic((example, text) in mutated()) {
        let texts = [(PathBuf::from(EXAMPLES[example].0), text)];
        let environment = Environment::from([("FLOE__POLAR__SERVER".to_owned(), "é".to_owned())]);
        if let Err(faults) = load_from_texts(&texts, &environment, None) {
            prop_assert!(faults.faults() > 0);
            prop_assert!(faults.render(true).lines().count() > faults.summary().len());
        }
    }
}
