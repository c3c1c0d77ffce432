//! Which variables a rule may use: `@path.…` only where a source captures it, `@item` only where the rule explodes, a
//! field only where a format has it.

use std::collections::BTreeSet;

use crate::config::fault::{self, Fault};
use crate::config::fields;
use crate::config::language::{Argument, Lookups, Part, Path, Pipe, Root, Start, Template};
use crate::config::node::Node;
use crate::config::reader::Report;

#[derive(Clone)]
pub(super) struct Scope<'a> {
    /// What the sources of the rule capture, all together.
    pub captures: &'a BTreeSet<String>,
    pub explodes: bool,
    /// A source of the rule unwraps its lines.
    pub is_wrapped: bool,
    /// The fields that the sources of the rule have, all together; `None` where not all are known.
    pub fields: Option<&'a BTreeSet<&'a str>>,
    pub lookups: &'a Lookups,
    /// For each source of the rule, what `@preset.…` may name there.
    pub presets: Vec<PresetScope<'a>>,
}

/// What `@preset.…` may name.
#[derive(Clone)]
pub(super) enum PresetScope<'a> {
    /// Nothing: the source of this id has no preset.
    None {
        source: &'a str,
    },
    Of {
        preset: &'a str,
        values: Vec<&'a str>,
    },
}

impl PresetScope<'_> {
    /// What is wrong with the name, and the cure.
    fn fault(&self, name: &str) -> Option<(String, String)> {
        match self {
            Self::None { source } => {
                let message = format!("the source \"{source}\" has no preset");
                Some((message, "`floe presets` lists them: format = \"pino\"".to_owned()))
            }
            Self::Of { values, .. } if values.contains(&name) => None,
            Self::Of { preset, values } => {
                let message = format!("the preset \"{preset}\" has no value \"{name}\"");
                let hint = match fault::nearest(name, values.iter().copied()) {
                    Some(near) => format!("did you mean @preset.{near}?"),
                    None if values.is_empty() => "it has none".to_owned(),
                    None => format!("it has {}", values.join(", ")),
                };
                Some((message, hint))
            }
        }
    }
}

impl Scope<'_> {
    pub fn check_template(&self, report: &Report, node: &Node, template: &Template) {
        for path in paths(template) {
            self.check_path(report, node, path);
        }
    }

    pub fn check_path(&self, report: &Report, node: &Node, path: &Path) {
        match &path.root {
            Root::PathCapture(name) if !self.captures.contains(name) => {
                let known: Vec<&str> = self.captures.iter().map(String::as_str).collect();
                let hint = match fault::nearest(name, known.iter().copied()) {
                    Some(near) => format!("did you mean @path.{near}?"),
                    None => format!("capture it in the source's include: \"/var/log/{{{name}}}/app.log\""),
                };
                let message = format!("no source of this rule captures \"{name}\"");
                Self::fault(report, node, &format!("@path.{name}"), message, hint);
            }
            Root::Item if !self.explodes => {
                let hint = "name the array that has the items: explode = \"items\"";
                Self::fault(report, node, "@item", "this rule explodes no array".into(), hint.into());
            }
            Root::ContainerTime | Root::ContainerStream if !self.is_wrapped => {
                let message = "no source of this rule unwraps the lines of a container".into();
                let hint = "say in the source which runtime wrote them: container = \"cri\" or \"docker\"";
                Self::fault(report, node, "@container", message, hint.into());
            }
            Root::Line => self.check_field(report, node, path),
            Root::Preset(name) => {
                if let Some((message, hint)) = self.presets.iter().find_map(|preset| preset.fault(name)) {
                    Self::fault(report, node, &format!("@preset.{name}"), message, hint);
                }
            }
            _ => {}
        }
    }

    fn check_field(&self, report: &Report, node: &Node, path: &Path) {
        let Some(known) = self.fields.filter(|known| !fields::has(known.iter().copied(), path)) else {
            return;
        };
        let name = fields::name_of(&path.steps);
        let known: Vec<&str> = known.iter().copied().collect();
        let hint = fault::did_you_mean(&name, &known, "there are:");
        let message = format!("no source of this rule has a field \"{name}\"");
        Self::fault(report, node, &path.to_string(), message, hint);
    }

    /// Underlines the variable itself where it stands in the text as written.
    fn fault(report: &Report, node: &Node, variable: &str, message: String, hint: String) {
        let at = node.text().and_then(|text| text.value.find(variable));
        let place =
            at.map_or_else(|| node.place.clone(), |start| node.part(&(start..start + variable.len())));
        report.push(Fault::at(&place, message).hint(hint));
    }
}

/// All paths that a template reads.
pub(super) fn paths(template: &Template) -> Vec<&Path> {
    let mut paths = Vec::new();
    for part in &template.parts {
        let Part::Placeholder(expression) = part else { continue };
        match &expression.start {
            Start::Path(path) => paths.push(path),
            Start::Sum(terms) => paths.extend(terms),
            Start::Literal(_) => {}
        }
        for pipe in &expression.pipes {
            match pipe {
                Pipe::Default(Argument::Path(path))
                | Pipe::Add(Argument::Path(path))
                | Pipe::Sub(Argument::Path(path))
                | Pipe::Mul(Argument::Path(path))
                | Pipe::Div(Argument::Path(path)) => paths.push(path),
                // `parse_json(path)` is a path into the parsed text, not into the line.
                _ => {}
            }
        }
    }
    paths
}
