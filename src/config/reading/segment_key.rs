//! The key of metadata that Floe itself writes: no rule may write it, and it needs room among Polar's fifty.

use super::rules::ReadRule;
use crate::config::fault::Fault;
use crate::config::node::{Node, Value};
use crate::config::reader::{Report, TableReader};
use crate::polar::limits;

const DEFAULT_KEY: &str = "floe_segment";

/// The key, where events are to carry one.
pub(super) fn read(report: &Report, table: &TableReader<'_>) -> Option<String> {
    let is_wanted = table.or("reconcile", false, |node| report.truth(node));
    let key = table.or("reconcile_key", DEFAULT_KEY.to_owned(), |node| key(report, node));
    is_wanted.then_some(key)
}

fn key(report: &Report, node: &Node) -> Option<String> {
    let text = report.some_text(node)?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let good = text.len() <= limits::METADATA_KEY_MAX_CHARS
        && text.bytes().all(is_plain)
        && !matches!(text, "_cost" | "_llm");
    if !good {
        let hint = "use letters, digits, `_`, `-` and `.`, at most 40, and neither _cost nor _llm";
        report
            .push(Fault::at(&node.place, format!("\"{text}\" is no key for Floe's own metadata")).hint(hint));
    }
    good.then(|| text.to_owned())
}

pub(super) fn check(report: &Report, key: Option<&str>, rules: &[ReadRule<'_>]) {
    let Some(key) = key else { return };
    for rule in rules {
        let Some(metadata) = below(rule.node, "event").and_then(|event| below(event, "metadata")) else {
            continue;
        };
        let Value::Table(table) = &metadata.value else { continue };
        if let Some(entry) = table.entries.iter().find(|entry| entry.key.value == key) {
            let message = format!("with `reconcile = true` Floe itself writes the key \"{key}\"");
            let hint =
                "name this one otherwise, or give Floe's another name: reconcile_key = \"…\" under [polar]";
            report.push(Fault::at(&entry.key_place, message).hint(hint));
        } else if table.entries.len() == limits::METADATA_MAX_KEYS {
            let most = limits::METADATA_MAX_KEYS;
            let message = format!(
                "{most} keys of metadata leave no room for Floe's own, \"{key}\": Polar takes {most}"
            );
            let hint = "leave one out, or `reconcile = true` under [polar]";
            report.push(Fault::at(&metadata.place, message).hint(hint));
        }
    }
}

fn below<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    let Value::Table(table) = &node.value else { return None };
    table.entries.iter().find(|entry| entry.key.value == key).map(|entry| &entry.node)
}
