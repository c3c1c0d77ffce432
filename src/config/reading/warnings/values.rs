//! The values of an event with the places where they stand, and what can be said of one without a line.

use super::names;
use crate::config::language::{
    Argument, Expression, Literal, Part, Path, Pipe, Root, Start, Step, Template, Value,
};
use crate::config::node::{Node, Table};
use crate::config::presets::{Preset, Role};
use crate::config::settings::{Format, SourceSettings};

/// The node at a path of keys inside of a rule.
pub(crate) fn node<'a>(rule: &'a Node, keys: &[&str]) -> Option<&'a Node> {
    keys.iter().try_fold(rule, |node, key| Some(&node.table().and_then(|table: &Table| table.get(key))?.node))
}

/// The expressions of a value.
pub(super) fn expressions(value: &Value) -> Vec<&Expression> {
    match value {
        Value::Literal(_) => Vec::new(),
        Value::Template(template) => of_template(template),
    }
}

fn of_template(template: &Template) -> Vec<&Expression> {
    let expressions = template.parts.iter().filter_map(|part| match part {
        Part::Placeholder(expression) => Some(expression),
        Part::Text(_) => None,
    });
    expressions.collect()
}

/// The fields that give an expression its value: where it starts and what stands in for it; the field inside where a
/// text of JSON is taken apart. What it is added to or divided by is no part of that.
pub(super) fn fields(expression: &Expression) -> Vec<&Path> {
    let mut fields: Vec<&Path> = match &expression.start {
        Start::Path(path) => vec![path],
        Start::Sum(paths) => paths.iter().collect(),
        Start::Literal(_) => Vec::new(),
    };
    for pipe in &expression.pipes {
        match pipe {
            Pipe::Default(Argument::Path(path)) => fields.push(path),
            Pipe::ParseJson(path) => fields = vec![path],
            _ => {}
        }
    }
    fields
}

/// What an expression gives where it gives something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    Bool,
    Time,
    /// What the line has.
    Unknown,
}

pub(crate) fn kind(expression: &Expression, sources: &[&SourceSettings]) -> Kind {
    let start = match &expression.start {
        Start::Path(path) => of_path(path, sources),
        Start::Sum(_) | Start::Literal(Literal::Number(_)) => Kind::Number,
        Start::Literal(Literal::Text(_)) => Kind::Text,
        Start::Literal(Literal::Bool(_)) => Kind::Bool,
    };
    through(start, &expression.pipes)
}

fn through(start: Kind, pipes: &[Pipe]) -> Kind {
    pipes.iter().fold(start, |kind, pipe| match pipe {
        Pipe::Default(_) => kind,
        Pipe::ParseJson(_) => Kind::Unknown,
        Pipe::Str
        | Pipe::Lower
        | Pipe::Upper
        | Pipe::Trim
        | Pipe::Truncate(_)
        | Pipe::Split { .. }
        | Pipe::PathOnly
        | Pipe::Hash(_)
        | Pipe::MaskIp
        | Pipe::Enum(_)
        | Pipe::Lookup(_) => Kind::Text,
        Pipe::Int
        | Pipe::Decimal
        | Pipe::Add(_)
        | Pipe::Sub(_)
        | Pipe::Mul(_)
        | Pipe::Div(_)
        | Pipe::Round(_)
        | Pipe::Max0
        | Pipe::Duration(_) => Kind::Number,
        Pipe::Bool => Kind::Bool,
        Pipe::Timestamp { .. } | Pipe::EpochS | Pipe::EpochMs | Pipe::EpochUs | Pipe::EpochNs => Kind::Time,
    })
}

/// Of the sources of a rule it is enough that one has text there.
fn of_path(path: &Path, sources: &[&SourceSettings]) -> Kind {
    let of_source = |source: &&SourceSettings| match &path.root {
        Root::Line => of_typed_field(path, source),
        Root::Preset(name) => of_preset(name, source),
        Root::Item => Kind::Unknown,
        _ => Kind::Text,
    };
    let kinds: Vec<Kind> = sources.iter().map(of_source).collect();
    match kinds.as_slice() {
        kinds if kinds.contains(&Kind::Text) => Kind::Text,
        [first, others @ ..] if others.iter().all(|kind| kind == first) => *first,
        _ => Kind::Unknown,
    }
}

fn of_preset(name: &str, source: &SourceSettings) -> Kind {
    let Some(preset) = &source.preset else { return Kind::Unknown };
    // What is no value is a condition: `@preset.final`.
    let Some(template) = preset.value(name) else { return Kind::Bool };
    match template.parts.as_slice() {
        [Part::Placeholder(alone)] => kind(alone, &[source]),
        _ => Kind::Text,
    }
}

fn of_typed_field(path: &Path, source: &SourceSettings) -> Kind {
    let start = of_field(path, source);
    let of_type = source.preset.as_ref().and_then(|preset| preset.type_of(&path.steps));
    of_type.map_or(start, |pipes| through(start, pipes))
}

/// The role that a preset gives a field of the line.
pub(super) fn role_of(path: &Path, presets: &[&Preset]) -> Option<Role> {
    let mut fields = presets.iter().flat_map(|preset| &preset.fields);
    fields.find(|field| path.root == Root::Line && field.path == *path)?.role
}

/// What each preset makes the value of, where the path names one: `@preset.id`.
pub(super) fn of_presets<'a>(path: &Path, presets: &[&'a Preset]) -> Vec<Vec<&'a Expression>> {
    let Root::Preset(name) = &path.root else { return Vec::new() };
    presets.iter().filter_map(|preset| preset.value(name)).map(of_template).collect()
}

fn of_field(path: &Path, source: &SourceSettings) -> Kind {
    let name = names::keys(path).join(".");
    let in_prefix = source
        .prefix
        .as_ref()
        .is_some_and(|prefix| prefix.capture_names().flatten().any(|group| group == name));
    if in_prefix {
        return Kind::Text;
    }
    match &source.format {
        Format::Json => Kind::Unknown,
        Format::NginxCombined | Format::ApacheCombined
            if matches!(name.as_str(), "status" | "body_bytes_sent") =>
        {
            Kind::Number
        }
        Format::SyslogRfc5424 | Format::SyslogRfc3164
            if matches!(name.as_str(), "pri" | "facility" | "severity" | "version") =>
        {
            Kind::Number
        }
        _ => Kind::Text,
    }
}

/// The value at a path of a line of JSON.
pub(super) fn at<'a>(line: &'a serde_json::Value, path: &Path) -> Option<&'a serde_json::Value> {
    path.steps.iter().try_fold(line, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.get(*index as usize),
    })
}
