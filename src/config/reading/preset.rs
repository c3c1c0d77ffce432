//! A preset's file: what is known of the logs of certain software.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::scope::{PresetScope, Scope};
use super::{condition, id, lines, literal};
use crate::config::fault::Fault;
use crate::config::language::{Argument, Condition, Lookups, Pipe, Root, Template, parse_path, parse_pipes};
use crate::config::node::{Entry, Node};
use crate::config::presets::{Example, Field, Grade, Preset, Role, Trees};
use crate::config::reader::{Report, TableReader};

const GRADES: &[(&str, Grade)] = &[("A", Grade::A), ("B", Grade::B), ("C", Grade::C)];

/// `@preset.final` is a condition of its own.
pub(super) const FINAL: &str = "final";

/// The presets that sources name.
pub(super) struct Presets<'a>(Vec<(&'a str, Option<Named<'a>>)>);

/// A preset that a source names, and the keys that the source may override.
#[derive(Clone)]
pub(super) struct Named<'a> {
    pub preset: Arc<Preset>,
    pub keys: lines::Keys<'a>,
}

/// What a format is among the presets.
pub(super) enum Found<'p, 'a> {
    /// No preset.
    Nothing,
    /// One with faults, which the report says.
    Broken,
    Preset(&'p Named<'a>),
}

impl<'a> Presets<'a> {
    pub fn read(report: &'a Report, trees: &'a Trees) -> Self {
        let read = |node: &'a Node| {
            let (preset, keys) = read_with_keys(report, node)?;
            Some(Named { preset: Arc::new(preset), keys })
        };
        Self(trees.iter().map(|(name, tree)| (name.as_str(), tree.as_ref().and_then(read))).collect())
    }

    pub fn get(&self, format: &str) -> Found<'_, 'a> {
        match self.0.iter().find(|(name, _)| *name == format) {
            None => Found::Nothing,
            Some((_, None)) => Found::Broken,
            Some((_, Some(named))) => Found::Preset(named),
        }
    }
}

/// Reads a preset's file. `None` where something is wrong; the report says what.
pub(in crate::config) fn read(report: &Report, node: &Node) -> Option<Preset> {
    read_with_keys(report, node).map(|(preset, _)| preset)
}

fn read_with_keys<'a>(report: &'a Report, node: &'a Node) -> Option<(Preset, lines::Keys<'a>)> {
    let table = report.open("preset", node)?;
    let name = table.required("name", "name it as the software is called: name = \"pino\"");
    let name = name.and_then(|node| id(report, node));
    let about = table.required("about", "say in one line what writes such a log: about = \"…\"");
    let about = about.and_then(|node| report.some_text(node));
    let hint =
        "say how exact such a log is: grade = \"A\" exact, \"B\" if configured as it says, \"C\" an estimate";
    let grade = table.required("grade", hint).and_then(|node| report.choice(node, GRADES));
    let billing = text_or_nothing(report, &table, "billing");
    let (keys, lines) = lines::read_preset(report, &table);
    let fields = table.optional("fields").map(|node| fields(report, node)).unwrap_or_default();
    let shown = name.unwrap_or("?");
    let values = table.optional("values").map(|node| values(report, node, shown)).unwrap_or_default();
    let scope = scope_of(shown, &values);
    let condition = |key| match table.optional(key) {
        Some(node) => condition::read(report, node, &scope).map(Some),
        None => Some(None),
    };
    let is_final = condition(FINAL);
    let must = condition("must");
    let recognise = condition("recognise");
    let example = table.optional("example").and_then(|node| example(report, node));
    table.finish();
    let preset = Preset {
        name: name?.to_owned(),
        about: about?.to_owned(),
        grade: grade?,
        billing,
        lines: lines?,
        fields,
        is_final: is_final?.unwrap_or(Condition::All(Vec::new())),
        must: must?,
        recognise: recognise?,
        example,
        values,
    };
    Some((preset, keys))
}

/// Inside of its file a preset sees the line and its own values.
fn scope_of<'a>(preset: &'a str, values: &'a [(String, Template)]) -> Scope<'a> {
    const NONE: &BTreeSet<String> = &BTreeSet::new();
    // Tables belong to a config, not to a preset.
    const NO_LOOKUPS: &Lookups = &Lookups::none();
    let values = values.iter().map(|(name, _)| name.as_str()).collect();
    Scope {
        captures: NONE,
        explodes: false,
        is_wrapped: true,
        fields: None,
        lookups: NO_LOOKUPS,
        presets: vec![PresetScope::Of { preset, values }],
    }
}

fn text_or_nothing(report: &Report, table: &TableReader<'_>, key: &'static str) -> String {
    table.or(key, String::new(), |node| report.text(node).map(|text| text.value.clone()))
}

fn entries<'a>(report: &Report, node: &'a Node) -> &'a [Entry] {
    match node.table() {
        Some(table) => &table.entries,
        None => {
            report.wrong_type(node, "a table");
            &[]
        }
    }
}

fn fields(report: &Report, node: &Node) -> Vec<Field> {
    let field = |entry: &Entry| {
        let path = match parse_path(&entry.key.value) {
            Ok(path) if path.root == Root::Line => path,
            Ok(_) => {
                let hint = "what is made of fields and their surroundings is a value: put it under [values]";
                report.push(Fault::at(&entry.key_place, "this is no field of the line").hint(hint));
                return None;
            }
            Err(fault) => {
                literal::language_fault(report, &entry.key_node(), fault);
                return None;
            }
        };
        let table = report.open("preset_field", &entry.node)?;
        let pipes = table.or("type", Vec::new(), |node| field_type(report, node));
        let type_text = text_or_nothing(report, &table, "type");
        let role = table.optional("role").and_then(|node| report.choice(node, Role::ALL));
        let about = text_or_nothing(report, &table, "about");
        table.finish();
        Some(Field { path, pipes, type_text, role, about })
    };
    entries(report, node).iter().filter_map(field).collect()
}

/// Pipes without paths: a type looks at its own field alone.
fn field_type(report: &Report, node: &Node) -> Option<Vec<Pipe>> {
    let pipes = match parse_pipes(report.some_text(node)?) {
        Ok(pipes) => pipes,
        Err(fault) => {
            literal::language_fault(report, node, fault);
            return None;
        }
    };
    let has_path = |pipe: &Pipe| {
        matches!(
            pipe,
            Pipe::Default(Argument::Path(_))
                | Pipe::Add(Argument::Path(_))
                | Pipe::Sub(Argument::Path(_))
                | Pipe::Mul(Argument::Path(_))
                | Pipe::Div(Argument::Path(_))
        )
    };
    if pipes.iter().any(has_path) {
        let hint = "what takes several fields is a value: put it under [values]";
        report.push(Fault::at(&node.place, "a type names no other field").hint(hint));
        return None;
    }
    Some(pipes)
}

/// In their order: a value uses those above it, so none can use itself.
fn values(report: &Report, node: &Node, preset: &str) -> Vec<(String, Template)> {
    let mut values: Vec<(String, Template)> = Vec::new();
    for entry in entries(report, node) {
        let name = entry.key.value.as_str();
        let good = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !good || name == FINAL {
            let hint = "use letters, digits and `_`; `final` is a key of the preset itself";
            report.push(Fault::at(&entry.key_place, format!("\"{name}\" cannot name a value")).hint(hint));
            continue;
        }
        let Some(text) = report.text(&entry.node) else { continue };
        let scope = scope_of(preset, &values);
        if let Some(template) = literal::template(report, &entry.node, text, &scope) {
            values.push((name.to_owned(), template));
        }
    }
    values
}

fn example(report: &Report, node: &Node) -> Option<Example> {
    let table = report.open("preset_example", node)?;
    let hint = "an example has a line, a rule and the event that the rule makes of the line";
    let text = |key| {
        table.required(key, hint).and_then(|node| report.some_text(node)).map(|text| text.trim().to_owned())
    };
    let (line, rule, event) = (text("line"), text("rule"), text("event"));
    table.finish();
    Some(Example { line: line?, rule: rule?, event: event? })
}
