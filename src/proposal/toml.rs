//! Values as TOML writes them.

use std::fmt::Write as _;

use serde_json::Value;

/// A text in quotes: literal ones where nothing in it stands against that, because they show the text as it is.
pub(super) fn text(text: &str) -> String {
    let needs_escapes = text.contains('\'') || text.chars().any(|c| c.is_control() && c != '\t');
    let is_plain = !text.contains(['"', '\\', '$']) && !needs_escapes;
    if is_plain {
        return format!("\"{text}\"");
    }
    if !needs_escapes {
        return format!("'{}'", environment(text));
    }
    let mut written = String::from("\"");
    for c in environment(text).chars() {
        match c {
            '"' => written.push_str("\\\""),
            '\\' => written.push_str("\\\\"),
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(written, "\\u{:04X}", c as u32);
            }
            c => written.push(c),
        }
    }
    written.push('"');
    written
}

/// `${` of a text means a variable to the config.
fn environment(text: &str) -> String {
    text.replace("${", "$${")
}

/// A key, in quotes where it must be.
pub(super) fn key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !name.is_empty() && name.chars().all(is_bare) { name.to_owned() } else { text(name) }
}

/// A value on one line.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::Null => "\"\"".to_owned(),
        Value::String(string) => text(string),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(self::value).collect::<Vec<_>>().join(", "))
        }
        Value::Object(members) => {
            let member =
                |(name, member): (&String, &Value)| format!("{} = {}", key(name), self::value(member));
            format!("{{ {} }}", members.iter().map(member).collect::<Vec<_>>().join(", "))
        }
    }
}
