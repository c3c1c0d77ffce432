//! What the environment says: `FLOE__POLAR__SERVER` overrides a key, `${NAME}` stands in a text.
//!
//! The environment is an argument. So a test, the simulation and `floe check` see the same.

use std::collections::BTreeMap;
use std::ops::Range;

use super::fault::{self, Fault, FileIndex, Place, SourceText};
use super::node::{Node, Text, Value};

/// Environment variables by name.
pub type Environment = BTreeMap<String, String>;

/// Only these are ours: Kubernetes makes variables like `FLOE_SERVICE_HOST` for a service named "floe".
const PREFIX: &str = "FLOE__";

/// The keys that a variable may set: all single values outside of lists. Kept true by a test against the schema.
pub(super) const OVERRIDABLE: &[&str] = &[
    "version",
    "state_dir",
    "instance",
    "polar.server",
    "polar.token_file",
    "polar.token_env",
    "polar.mode",
    "polar.proxy",
    "polar.ca_file",
    "polar.request_timeout",
    "polar.live_from",
    "polar.reconcile",
    "polar.reconcile_key",
    "delivery.batch_max_events",
    "delivery.batch_max_bytes",
    "delivery.batch_max_wait",
    "delivery.concurrency",
    "delivery.requests_per_minute",
    "delivery.max_future",
    "limits.memory",
    "limits.window",
    "limits.quarantine_max_bytes",
    "limits.quarantine_malformed_max_bytes",
    "limits.shadow_max_bytes",
    "limits.mapping_threads",
    "limits.drain_timeout",
    "limits.open_files",
    "limits.sweep_interval",
    "admin.listen",
    "admin.public",
];

/// A variable that sets a key.
#[derive(Debug)]
pub(super) struct Override {
    pub path: Vec<String>,
    pub variable: String,
    pub value: String,
    /// In a text made for it, `FLOE__POLAR__SERVER=sandbox`, so that a report can underline it.
    pub place: Place,
}

impl Override {
    pub fn node(&self) -> Node {
        let source = format!("{}={}", self.variable, self.value);
        let text = Text::aligned(&source, self.variable.len() + 1..source.len(), self.value.clone());
        Node { value: Value::Text(text), place: self.place.clone(), from_environment: true }
    }
}

/// The overrides of known keys; an unknown one is a fault. A text is added for each.
pub(super) fn overrides(
    environment: &Environment,
    texts: &mut Vec<SourceText>,
    faults: &mut Vec<Fault>,
) -> Vec<Override> {
    let mut overrides = Vec::new();
    for (variable, value) in environment {
        let Some(rest) = variable.strip_prefix(PREFIX) else { continue };
        let file = FileIndex(texts.len());
        texts.push(SourceText { name: "environment".into(), text: format!("{variable}={value}") });
        let key = rest.to_lowercase().replace("__", ".");
        if OVERRIDABLE.contains(&key.as_str()) {
            let path = key.split('.').map(str::to_owned).collect();
            let span = variable.len() + 1..variable.len() + 1 + value.len();
            let place = Place { file, span };
            overrides.push(Override { path, variable: variable.clone(), value: value.clone(), place });
        } else {
            faults.push(
                Fault::at(
                    &Place { file, span: 0..variable.len() },
                    format!("{variable} sets no key of the config"),
                )
                .hint(unknown_variable_hint(&key)),
            );
        }
    }
    overrides
}

/// The last layer.
pub(super) fn source(overrides: &[Override]) -> config::Environment {
    let variables = overrides.iter().map(|each| (each.variable.clone(), each.value.clone())).collect();
    config::Environment::with_prefix("FLOE").prefix_separator("__").separator("__").source(Some(variables))
}

fn unknown_variable_hint(key: &str) -> String {
    let list = key.split('.').next().is_some_and(|first| ["sources", "rules", "tests"].contains(&first));
    if list {
        return "sources, rules and tests stand in files; use ${NAME} inside of their texts".into();
    }
    match fault::nearest(key, OVERRIDABLE.iter().copied()) {
        Some(near) => format!("did you mean {PREFIX}{}?", near.to_uppercase().replace('.', "__")),
        None => format!("a key \"polar.server\" is set by {PREFIX}POLAR__SERVER"),
    }
}

/// Replaces `${NAME}` in every text of the tree. `$${` stands for `${`.
pub(super) fn interpolate(node: &mut Node, environment: &Environment, faults: &mut Vec<Fault>) {
    match &mut node.value {
        Value::List(list) => list.iter_mut().for_each(|node| interpolate(node, environment, faults)),
        Value::Table(table) => {
            table.entries.iter_mut().for_each(|entry| interpolate(&mut entry.node, environment, faults));
        }
        Value::Text(text) => {
            node.from_environment |= interpolate_text(text, &node.place, environment, faults);
        }
        _ => {}
    }
}

/// True if a variable was put in. What was put in is not looked at again.
fn interpolate_text(
    text: &mut Text,
    place: &Place,
    environment: &Environment,
    faults: &mut Vec<Fault>,
) -> bool {
    let mut replaced = false;
    let mut from = 0;
    while let Some(found) = text.value[from..].find("${") {
        let start = from + found;
        if start > from && text.value[..start].ends_with('$') {
            text.replace(start - 1..start, "");
            from = start + 1;
            continue;
        }
        let (range, name) = match variable_at(&text.value, start) {
            Ok(variable) => variable,
            Err(fault_range) => {
                faults.push(
                    Fault::at(
                        &text.part(place, &fault_range),
                        "this is no ${NAME} of an environment variable",
                    )
                    .hint("for the characters themselves write $${"),
                );
                from = start + 2;
                continue;
            }
        };
        let Some(value) = environment.get(&name) else {
            faults.push(
                Fault::at(&text.part(place, &range), format!("the environment variable {name} is not set"))
                    .hint(unset_hint(&name, environment)),
            );
            from = range.end;
            continue;
        };
        from = start + value.len();
        text.replace(range, value);
        replaced = true;
    }
    replaced
}

/// The range of `${NAME}` and its name, or the range of what is not one.
fn variable_at(text: &str, start: usize) -> Result<(Range<usize>, String), Range<usize>> {
    let inside = &text[start + 2..];
    let Some(length) = inside.find('}') else { return Err(start..text.len()) };
    let range = start..start + 2 + length + 1;
    let name = &inside[..length];
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let is_name = starts_well && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_name { Ok((range, name.to_owned())) } else { Err(range) }
}

fn unset_hint(name: &str, environment: &Environment) -> String {
    match fault::nearest(name, environment.keys().map(String::as_str)) {
        Some(near) => format!("did you mean {near}, which is set?"),
        None => "set it for the service (systemd: Environment=), or write $${ for the characters themselves"
            .into(),
    }
}
