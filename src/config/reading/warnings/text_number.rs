//! A quantity that is sent as text. Polar takes it, shows it, and a meter that sums it counts 0.

use super::names::{Name, last_names};
use super::values::{self, Kind};
use crate::config::fault::Fault;
use crate::config::language::{Expression, Literal, Pipe, Root, Start, Value};
use crate::config::reading::rules::ReadRule;
use crate::config::reading::tests::ReadTest;
use crate::config::settings::{Expectation, Format, RuleSettings, SourceSettings};
use crate::config::warning::WarningCode;

pub(super) fn warnings(
    rule: &ReadRule<'_>,
    settings: &RuleSettings,
    sources: &[&SourceSettings],
    tests: &[ReadTest],
) -> Vec<Fault> {
    let mut warnings = Vec::new();
    for (key, value) in &settings.event.metadata {
        let Some(node) = values::node(rule.node, &["event", "metadata", key]) else { continue };
        let Some(text) = text_of(key, value, sources) else { continue };
        let message = format!("\"{key}\" is sent as text: a meter that sums it counts 0");
        let warning = Fault::warning(WarningCode::TextNumber, &node.place, message);
        warnings.push(match text {
            Text::Constant(number) => warning.hint(format!("take the quotes away: {number}")),
            Text::Field => warning
                .label("a text in this format")
                .hint("make it a number: `| int`, `| decimal` or `| duration(ms)`"),
            Text::Around => warning
                .label("with other text around it a number is text")
                .hint("give the number alone, \"{field | int}\", and the rest under another key"),
            Text::Cell => warning.label("a cell of a table is text").hint("make it a number: `| decimal`"),
            Text::Made(pipe) => warning
                .label(format!("`{pipe}` gives a text"))
                .hint("make it a number: `| int` or `| decimal`"),
            Text::Perhaps(expression) => {
                let Some((test, number)) = quoted_in_a_test(expression, rule, sources, tests) else {
                    continue;
                };
                warning
                    .beside(&test.line_place, format!("in this line it is \"{number}\", in quotes"))
                    .hint("make it a number: `| int` or `| decimal`")
            }
        });
    }
    warnings
}

/// How a quantity comes to be text.
enum Text<'a> {
    /// Quotes around a number in the config.
    Constant(&'a str),
    /// The format has texts only.
    Field,
    /// Other text stands around the placeholder.
    Around,
    Cell,
    /// A pipe makes one.
    Made(&'static str),
    /// It depends on the line.
    Perhaps(&'a Expression),
}

fn text_of<'a>(key: &str, value: &'a Value, sources: &[&SourceSettings]) -> Option<Text<'a>> {
    let key = Name::new(key);
    let parts = match value {
        Value::Literal(Literal::Text(text)) => {
            let is_number = text.parse::<rust_decimal::Decimal>().is_ok();
            return (is_number && key.is_quantity()).then_some(Text::Constant(text));
        }
        Value::Literal(_) => return None,
        Value::Template(template) => template.parts.as_slice(),
    };
    let expressions = values::expressions(value);
    // "{width}x{height}" is no number by any cure.
    let [expression] = expressions.as_slice() else { return None };
    let field =
        || values::fields(expression).into_iter().filter_map(|path| last_names(path).into_iter().next());
    if key.is_a_label() || !(key.is_quantity() || field().any(|name| name.is_quantity())) {
        return None;
    }
    if parts.len() > 1 {
        return Some(Text::Around);
    }
    match values::kind(expression, sources) {
        Kind::Text => {
            Some(match expression.pipes.iter().rev().find(|pipe| !matches!(pipe, Pipe::Default(_))) {
                Some(Pipe::Lookup(_)) => Text::Cell,
                // A text that was asked for is meant.
                Some(Pipe::Enum(_)) => return None,
                Some(Pipe::Str) => Text::Made("str"),
                Some(Pipe::Truncate(_)) => Text::Made("truncate"),
                Some(Pipe::Split { .. }) => Text::Made("split"),
                _ => Text::Field,
            })
        }
        Kind::Unknown => Some(Text::Perhaps(expression)),
        Kind::Number | Kind::Bool | Kind::Time => None,
    }
}

/// A test of this rule in whose line the field is a number in quotes.
fn quoted_in_a_test<'a>(
    expression: &Expression,
    rule: &ReadRule<'_>,
    sources: &[&SourceSettings],
    tests: &'a [ReadTest],
) -> Option<(&'a ReadTest, String)> {
    let Start::Path(path) = &expression.start else { return None };
    let changes = |pipe: &Pipe| !matches!(pipe, Pipe::Default(_));
    let readable = |source: &&&SourceSettings| {
        matches!(source.format, Format::Json) && !source.container.is_runtime() && source.prefix.is_none()
    };
    if path.root != Root::Line
        || expression.pipes.iter().any(changes)
        || !sources.iter().any(|it| readable(&it))
    {
        return None;
    }
    tests.iter().find_map(|test| {
        let settings = test.settings.as_ref()?;
        let Expectation::Events(events) = &settings.expect else { return None };
        let is_meant = events.iter().any(|event| event.rule.as_ref().is_none_or(|id| *id == rule.id.0));
        if !is_meant || !rule.sources.contains(&settings.source) {
            return None;
        }
        let line: serde_json::Value = serde_json::from_str(&settings.line).ok()?;
        let text = values::at(&line, path)?.as_str()?;
        text.parse::<rust_decimal::Decimal>().ok()?;
        Some((test, text.to_owned()))
    })
}
