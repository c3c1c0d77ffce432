//! docs/configuration.md, made of the schema of the config.

use std::fmt::Write as _;

use serde_json::{Map, Value};

const HEAD: &str = "# Configuration

Every key, in short. `config/floe.toml` is a whole config with comments; the rule language is in [rules.md](rules.md), formats in
[formats.md](formats.md), sockets in [sockets.md](sockets.md). `floe schema` prints the JSON Schema for editors, of which this page is
made (`FLOE_WRITE_DOCS=1 cargo test --test architecture`); `floe check` says what it cannot.

The file is `/etc/floe/floe.toml`, then `./floe.toml`, or what `--config` names; YAML and JSON by their extensions. Files of `conf.d/`
beside it are merged. `FLOE__POLAR__SERVER=sandbox` in the environment overrides `polar.server`, and so for every key outside of the
lists. `${NAME}` inside of a text is an environment variable; `$${` stands for the characters themselves.
";

/// Definitions of the schema that are values, not tables with a section of their own. Conditions hold conditions.
const VALUES: [&str; 6] = ["duration", "size", "count", "texts", "literal", "conditions"];

/// The whole page.
pub fn text(schema: &Value) -> String {
    let mut page = HEAD.to_owned();
    section(&mut page, "The top", schema, schema);
    for Table { title, definition } in tables(schema) {
        section(&mut page, &format!("`{title}`"), schema, definition);
    }
    page.push_str("\n## Kinds of values\n\n| kind | written as |\n|---|---|\n");
    for (kind, written) in [
        ("duration", "`\"500ms\"`, `\"1s\"`, `\"10m\"`"),
        ("size", "`\"64KiB\"`, `\"1MiB\"`, `\"1MB\"`, or a number of bytes"),
        ("count", "a number, or a text with one (for `${NAME}`)"),
        ("texts", "a text, or a list of texts"),
        ("literal", "a text, a number, or true and false"),
        (
            "conditions",
            "a table of fields: a value, a list of values, or a table of operators ([rules.md](rules.md))",
        ),
    ] {
        let _ = writeln!(page, "| {kind} | {written} |");
    }
    page
}

/// A table of the config that has keys of its own.
struct Table<'a> {
    title: String,
    definition: &'a Value,
}

/// All of them, each before those inside of it.
fn tables(schema: &Value) -> Vec<Table<'_>> {
    let mut found = Vec::new();
    inside(schema, "", schema, &mut found);
    found
}

fn inside<'a>(schema: &'a Value, path: &str, table: &'a Value, found: &mut Vec<Table<'a>>) {
    for (key, value) in table["properties"].as_object().into_iter().flatten() {
        let key = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let (title, definition) = if value.get("items").is_some() {
            (format!("[[{key}]]"), meant(schema, &value["items"]))
        } else if value["additionalProperties"].get("$ref").is_some() && value.get("properties").is_none() {
            (format!("[{key}.NAME]"), meant(schema, &value["additionalProperties"]))
        } else {
            (format!("[{key}]"), meant(schema, value))
        };
        if definition.get("properties").is_some() {
            found.push(Table { title, definition });
            inside(schema, &key, definition, found);
        }
    }
}

/// What a reference leads to, where that is a table.
fn meant<'a>(schema: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str().map(last_part) {
        Some(kind) if VALUES.contains(&kind) => &Value::Null,
        Some(table) => &schema["$defs"][table],
        None => value,
    }
}

fn section(page: &mut String, title: &str, schema: &Value, table: &Value) {
    let _ = writeln!(page, "\n## {title}\n");
    if let Some(about) = table["description"].as_str() {
        let _ = writeln!(page, "{about}\n");
    }
    page.push_str("| key | kind | |\n|---|---|---|\n");
    let required: Vec<&str> =
        table["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let empty = Map::new();
    for (key, value) in table["properties"].as_object().unwrap_or(&empty) {
        let needed = if required.contains(&key.as_str()) { "Required. " } else { "" };
        let about = [value, meant(schema, value)].into_iter().find_map(|value| value["description"].as_str());
        let about = about.unwrap_or_default();
        let _ = writeln!(page, "| `{key}` | {} | {needed}{} |", kind(value), cell(about));
    }
}

/// What a value may be, in a few words.
fn kind(value: &Value) -> String {
    if let Some(place) = value["$ref"].as_str() {
        return named(place);
    }
    if let Some(choices) = value["enum"].as_array() {
        return choices
            .iter()
            .map(|choice| format!("`{}`", cell(&choice.to_string())))
            .collect::<Vec<_>>()
            .join(", ");
    }
    if let Some(only) = value.get("const") {
        return format!("`{only}`");
    }
    if let Some(ways) = value["anyOf"].as_array() {
        return ways.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    match &value["type"] {
        Value::Array(types) => {
            types.iter().filter_map(Value::as_str).map(of_type).collect::<Vec<_>>().join(" or ")
        }
        Value::String(name) if name == "array" => format!("list of {}", kind(&value["items"])),
        Value::String(name) => of_type(name).to_owned(),
        _ => "any".to_owned(),
    }
}

fn named(place: &str) -> String {
    match last_part(place) {
        kind if VALUES.contains(&kind) => kind.to_owned(),
        _ => "table".to_owned(),
    }
}

fn last_part(place: &str) -> &str {
    place.rsplit('/').next().expect("a text has a last part")
}

fn of_type(name: &str) -> &str {
    match name {
        "string" => "text",
        "integer" | "number" => "number",
        "boolean" => "true or false",
        "object" => "table",
        name => name,
    }
}

/// Words that cannot end a cell of a table.
fn cell(words: &str) -> String {
    words.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn kinds_are_said_in_words() {
        for (value, expected) in [
            (json!({ "$ref": "#/$defs/duration" }), "duration"),
            (json!({ "$ref": "#/$defs/polar" }), "table"),
            (json!({ "enum": ["live", "shadow"] }), "`\"live\"`, `\"shadow\"`"),
            (json!({ "type": "array", "items": { "type": "string" } }), "list of text"),
            (json!({ "type": ["string", "integer"] }), "text or number"),
            (
                json!({ "anyOf": [{ "type": "boolean" }, { "$ref": "#/$defs/size" }] }),
                "true or false or size",
            ),
            (json!({ "const": 1 }), "`1`"),
        ] {
            assert_eq!(kind(&value), expected);
        }
    }

    #[test]
    fn every_table_with_keys_has_a_section() {
        let leaf = json!({ "properties": { "x": { "type": "string" } } });
        let schema = json!({
            "properties": {
                "one": { "$ref": "#/$defs/leaf" },
                "many": { "type": "array", "items": { "properties": { "inner": { "$ref": "#/$defs/leaf" } } } },
                "named": { "type": "object", "additionalProperties": { "$ref": "#/$defs/leaf" } },
                "text": { "type": "string" },
                "when": { "$ref": "#/$defs/conditions" },
            },
            "$defs": {
                "leaf": leaf,
                "conditions": { "properties": { "any": { "items": { "$ref": "#/$defs/conditions" } } } },
            },
        });
        let mut titles: Vec<String> = tables(&schema).into_iter().map(|table| table.title).collect();
        titles.sort_unstable();
        assert_eq!(titles, ["[[many]]", "[many.inner]", "[named.NAME]", "[one]"]);
    }
}
