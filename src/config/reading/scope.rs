//! Which variables a rule may use: `@path.…` only where a source captures it, `@item` only where the rule explodes.

use std::collections::BTreeSet;

use crate::config::fault::{self, Fault};
use crate::config::language::{Argument, Lookups, Part, Path, Pipe, Root, Start, Template};
use crate::config::node::Node;
use crate::config::reader::Report;

#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    /// What the sources of the rule capture, all together.
    pub captures: &'a BTreeSet<String>,
    pub explodes: bool,
    /// A source of the rule unwraps its lines.
    pub is_wrapped: bool,
    pub lookups: &'a Lookups,
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
            _ => {}
        }
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
