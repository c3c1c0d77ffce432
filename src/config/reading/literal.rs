//! Constants and templates: the smallest pieces of rules.

use rust_decimal::Decimal;

use super::scope::Scope;
use crate::config::fault::Fault;
use crate::config::language::{
    LanguageFault, Literal, Part, Path, Template, Value, parse_path, parse_template_with,
};
use crate::config::node::{self, Node, Text};
use crate::config::reader::Report;

/// A number, exact; too many digits are a fault.
pub(super) fn number(report: &Report, node: &Node, source: &str) -> Option<Decimal> {
    let exact = if source.contains(['e', 'E']) {
        Decimal::from_scientific(source)
    } else {
        Decimal::from_str_exact(source)
    };
    if exact.is_err() {
        let hint = "at most 28 digits are exact";
        report.push(Fault::at(&node.place, "this number has too many digits").hint(hint));
    }
    exact.ok()
}

/// A text, a number, true or false; what else it is, is a fault.
pub(super) fn literal(report: &Report, node: &Node) -> Option<Literal> {
    match &node.value {
        node::Value::Text(text) => Some(Literal::Text(text.value.clone())),
        node::Value::Number(source) => number(report, node, source).map(Literal::Number),
        node::Value::Bool(truth) => Some(Literal::Bool(*truth)),
        _ => {
            report.wrong_type(node, "a text, a number, true or false");
            None
        }
    }
}

/// A constant, or a text with placeholders.
pub(super) fn value(report: &Report, node: &Node, scope: &Scope<'_>) -> Option<Value> {
    let node::Value::Text(text) = &node.value else { return literal(report, node).map(Value::Literal) };
    let template = template(report, node, text, scope)?;
    Some(match constant(&template) {
        Some(text) => Value::Literal(Literal::Text(text)),
        None => Value::Template(template),
    })
}

pub(super) fn template(report: &Report, node: &Node, text: &Text, scope: &Scope<'_>) -> Option<Template> {
    match parse_template_with(&text.value, scope.lookups) {
        Ok(template) => {
            scope.check_template(report, node, &template);
            Some(template)
        }
        Err(fault) => {
            language_fault(report, node, fault);
            None
        }
    }
}

pub(super) fn path(report: &Report, node: &Node, scope: &Scope<'_>) -> Option<Path> {
    let text = report.text(node)?;
    match parse_path(&text.value) {
        Ok(path) => {
            scope.check_path(report, node, &path);
            Some(path)
        }
        Err(fault) => {
            language_fault(report, node, fault);
            None
        }
    }
}

/// What a template without placeholders says.
pub(super) fn constant(template: &Template) -> Option<String> {
    template
        .parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Placeholder(_) => None,
        })
        .collect()
}

/// Characters of the text around the placeholders: at least so many has every value of it.
pub(super) fn least_chars(template: &Template) -> usize {
    let chars = |part: &Part| if let Part::Text(text) = part { text.chars().count() } else { 0 };
    template.parts.iter().map(chars).sum()
}

/// Says it at the part of the text that it is about.
pub(super) fn language_fault(report: &Report, node: &Node, fault: LanguageFault) {
    report.push(Fault::at(&node.part(&fault.span), fault.message).maybe_hint(fault.hint));
}
