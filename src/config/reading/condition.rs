//! `when`, `unless` and `must`.

use super::literal::{constant, literal, number, path, template};
use super::scope::Scope;
use crate::config::fault::{self, Fault};
use crate::config::language::{Condition, Literal, Operand, Test};
use crate::config::node::{Entry, Node, Table, Value};
use crate::config::reader::{Report, unquoted_placeholder};

pub(crate) const OPERATORS: &[&str] = &[
    "eq", "ne", "in", "not_in", "lt", "le", "gt", "ge", "exists", "prefix", "suffix", "contains", "matches",
];

/// The key that is a choice and no path.
const ANY: &str = "any";

/// A table of paths, all of which must hold.
pub(super) fn read(report: &Report, node: &Node, scope: &Scope<'_>) -> Option<Condition> {
    let Some(table) = node.table() else {
        report.wrong_type(node, "a table of conditions");
        return None;
    };
    let mut all = Vec::new();
    for entry in &table.entries {
        if entry.key.value == ANY {
            all.push(any(report, &entry.node, scope));
        } else {
            all.extend(one(report, entry, scope));
        }
    }
    Some(match <[Condition; 1]>::try_from(all) {
        Ok([single]) => single,
        Err(all) => Condition::All(all),
    })
}

fn any(report: &Report, node: &Node, scope: &Scope<'_>) -> Condition {
    let choices = report.list(node);
    if choices.is_empty() && matches!(node.value, Value::List(_)) {
        let hint = "put at least one table of conditions into it, or leave it out";
        report.push(Fault::at(&node.place, "an empty choice never holds").hint(hint));
    }
    Condition::Any(choices.iter().filter_map(|choice| read(report, choice, scope)).collect())
}

fn one(report: &Report, entry: &Entry, scope: &Scope<'_>) -> Option<Condition> {
    let path = path(report, &entry.key_node(), scope);
    let tests = match &entry.node.value {
        Value::Table(table) => operators(report, entry, table, scope),
        Value::List(_) => literals(report, &entry.node).map(|list| vec![Test::In(list)]),
        Value::Null => {
            report.push(
                Fault::at(&entry.node.place, "null counts as missing, so nothing can be compared with it")
                    .hint("write { exists = false }"),
            );
            None
        }
        _ => operand(report, &entry.node, scope).map(|operand| vec![Test::Eq(operand)]),
    };
    Some(Condition::Tests { path: path?, tests: tests? })
}

fn operators(report: &Report, entry: &Entry, table: &Table, scope: &Scope<'_>) -> Option<Vec<Test>> {
    if let Some(text) = unquoted_placeholder(table) {
        report.push(
            Fault::at(&entry.node.place, "this is a table, not a placeholder")
                .hint(format!("quote it: \"{text}\"")),
        );
        return None;
    }
    if table.entries.is_empty() {
        report
            .push(Fault::at(&entry.node.place, "no operator").hint("write { exists = true } for any value"));
        return None;
    }
    let tests: Vec<_> =
        table.entries.iter().map(|operator| test(report, &entry.key.value, operator, scope)).collect();
    tests.into_iter().collect()
}

fn test(report: &Report, key: &str, entry: &Entry, scope: &Scope<'_>) -> Option<Test> {
    let node = &entry.node;
    Some(match entry.key.value.as_str() {
        "eq" => Test::Eq(operand(report, node, scope)?),
        "ne" => Test::Ne(operand(report, node, scope)?),
        "in" => Test::In(literals(report, node)?),
        "not_in" => Test::NotIn(literals(report, node)?),
        "lt" => Test::Lt(bound(report, node, scope)?),
        "le" => Test::Le(bound(report, node, scope)?),
        "gt" => Test::Gt(bound(report, node, scope)?),
        "ge" => Test::Ge(bound(report, node, scope)?),
        "exists" => Test::Exists(report.truth(node)?),
        "prefix" => Test::Prefix(report.some_text(node)?.to_owned()),
        "suffix" => Test::Suffix(report.some_text(node)?.to_owned()),
        "contains" => Test::Contains(report.some_text(node)?.to_owned()),
        "matches" => Test::Matches(regex(report, node)?),
        unknown => {
            report.push(
                Fault::at(&entry.key_place, format!("unknown operator \"{unknown}\""))
                    .hint(unknown_operator_hint(key, unknown)),
            );
            return None;
        }
    })
}

fn unknown_operator_hint(key: &str, unknown: &str) -> String {
    let alias = match unknown {
        "equals" | "equal" | "is" | "==" | "=" => Some("eq"),
        "not" | "!=" => Some("ne"),
        "lte" | "<=" => Some("le"),
        "gte" | ">=" => Some("ge"),
        "<" | "less" | "less_than" => Some("lt"),
        ">" | "greater" | "greater_than" => Some("gt"),
        "regex" | "match" => Some("matches"),
        "starts_with" => Some("prefix"),
        "ends_with" => Some("suffix"),
        _ => fault::nearest(unknown, OPERATORS.iter().copied()),
    };
    match alias {
        Some(operator) => format!("did you mean \"{operator}\"?"),
        None => format!(
            "for a field inside of \"{key}\" quote the whole path: \"{key}.{unknown}\"; operators are {}",
            OPERATORS.join(" ")
        ),
    }
}

/// What a value is compared with.
fn operand(report: &Report, node: &Node, scope: &Scope<'_>) -> Option<Operand> {
    if let Value::Table(table) = &node.value
        && let Some(text) = unquoted_placeholder(table)
    {
        report.push(
            Fault::at(&node.place, "this is a table, not a placeholder")
                .hint(format!("quote it: \"{text}\"")),
        );
        return None;
    }
    let Value::Text(text) = &node.value else { return literal(report, node).map(Operand::Literal) };
    let template = template(report, node, text, scope)?;
    Some(match constant(&template) {
        Some(text) => Operand::Literal(Literal::Text(text)),
        None => Operand::Template(template),
    })
}

/// What a number is compared with: a number, or a placeholder that gives one.
fn bound(report: &Report, node: &Node, scope: &Scope<'_>) -> Option<Operand> {
    if let (Value::Text(text), true) = (&node.value, node.from_environment)
        && text.value.parse::<f64>().is_ok()
    {
        return number(report, node, &text.value).map(|number| Operand::Literal(Literal::Number(number)));
    }
    let operand = operand(report, node, scope)?;
    if matches!(operand, Operand::Literal(Literal::Text(_) | Literal::Bool(_))) {
        report.wrong_type(node, "a number or a placeholder");
        return None;
    }
    Some(operand)
}

fn literals(report: &Report, node: &Node) -> Option<Vec<Literal>> {
    let list = report.list(node);
    if list.is_empty() {
        if matches!(node.value, Value::List(_)) {
            report.push(Fault::at(&node.place, "this list is empty").hint("name the values"));
        }
        return None;
    }
    list.iter().map(|node| literal(report, node)).collect()
}

fn regex(report: &Report, node: &Node) -> Option<regex::Regex> {
    let text = report.some_text(node)?;
    match regex::Regex::new(text) {
        Ok(regex) => Some(regex),
        Err(regex::Error::CompiledTooBig(_)) => {
            report.push(
                Fault::at(&node.place, "this regular expression is too large").hint("write it shorter"),
            );
            None
        }
        Err(error) => {
            // The crate's message is a drawing; its last line says what is wrong.
            let message = error.to_string();
            let cause = message.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            let place = caret(&message, text).map_or_else(|| node.place.clone(), |at| node.part(&at));
            report.push(
                Fault::at(&place, format!("not a regular expression: {cause}")).hint(regex_hint(&cause)),
            );
            None
        }
    }
}

fn regex_hint(cause: &str) -> &'static str {
    if cause.contains("look-around") || cause.contains("backreferences") {
        "an expression takes linear time here: write it without looking around or back"
    } else if cause.contains("unclosed") || cause.contains("unopened") {
        "close it, or put a `\\` in front of a character that is meant as it is"
    } else {
        "a `\\` stands in front of a character that is meant as it is; in TOML use '…' quotes"
    }
}

/// Where the drawing of the `regex` crate points, in bytes of the expression, for an expression of one line.
fn caret(message: &str, expression: &str) -> Option<std::ops::Range<usize>> {
    let mut lines = message.lines().skip_while(|line| line.trim_start() != expression);
    let drawn = lines.next()?;
    let pointer = lines.next()?;
    let indent = drawn.chars().count() - expression.chars().count();
    let start = pointer.find('^')?.checked_sub(indent)?;
    let length = pointer[pointer.find('^')?..].trim_end().len();
    let byte = |character: usize| {
        expression.char_indices().nth(character).map_or(expression.len(), |(byte, _)| byte)
    };
    Some(byte(start)..byte(start + length))
}
