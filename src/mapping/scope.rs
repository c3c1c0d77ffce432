//! What the rules can see: the line's fields, the element of an exploded array, the file's name, the source.

use super::expression::Evaluated;
use super::formats::json::Trie;
use super::found::{Found, Text};
use super::slots::Slots;
use super::{condition, expression};
use crate::config::language::{Condition, Path, Pipe, Resolver, Root, Template};
use crate::config::settings::Captures;
use crate::model::chunk::Output;

/// What a path of the config stands for.
#[derive(Debug, Clone)]
pub(super) enum Field {
    Line(u16),
    Item(u16),
    Capture(Box<str>),
    Source,
    ContainerTime,
    ContainerStream,
    /// Known to the language, but no line of this source has it.
    Nothing,
    /// The one path into a text that `parse_json` reads.
    Inner(Box<Trie>),
    /// A field to which the preset gives a type: it is converted when it is read.
    Typed(Box<Field>, Box<[Pipe<Field>]>),
    /// A value of the preset.
    Computed(Box<Template<Field>>),
    /// Whether a condition of the preset holds.
    Holds(Box<Condition<Field>>),
}

/// Gives each path its slot.
#[derive(Debug, Default)]
pub(super) struct Tries {
    pub line: Trie,
    pub item: Trie,
}

impl Resolver<Field> for Tries {
    fn path(&mut self, path: &Path) -> Field {
        match &path.root {
            Root::Line => Field::Line(self.line.add(&path.steps)),
            Root::Item => Field::Item(self.item.add(&path.steps)),
            Root::PathCapture(name) => Field::Capture(name.as_str().into()),
            Root::Source => Field::Source,
            Root::ContainerTime => Field::ContainerTime,
            Root::ContainerStream => Field::ContainerStream,
            // Only a source with a preset has them, and its names know it.
            Root::Preset(_) => Field::Nothing,
        }
    }

    fn inner_path(&mut self, path: &Path) -> Field {
        let mut trie = Trie::default();
        trie.add(&path.steps);
        Field::Inner(Box::new(trie))
    }
}

/// A text and where its wanted fields are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    pub text: &'a str,
    pub slots: &'a Slots,
    /// Where `text` starts in the line.
    pub origin: usize,
    /// Places in the line of the characters that stand for bytes which are not UTF-8, ascending.
    pub replaced: &'a [usize],
}

impl<'a> Record<'a> {
    fn get(&self, slot: u16) -> Found<'a> {
        let Some(field) = self.slots.get(self.text, slot) else { return Found::Missing };
        let replaced = !self.replaced.is_empty() && {
            let start = self.origin + field.at;
            let next = self.replaced.partition_point(|place| *place < start);
            self.replaced.get(next).is_some_and(|place| *place < start + field.raw.len())
        };
        field.decode(replaced)
    }
}

/// What a container runtime says of a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Container<'a> {
    pub time: &'a str,
    pub output: Output,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    pub line: Record<'a>,
    pub item: Option<Record<'a>>,
    pub captures: &'a Captures,
    pub container: Option<Container<'a>>,
    pub source: &'a str,
}

impl<'a> Scope<'a> {
    /// The value. One that cannot be computed is bad.
    pub fn read(&self, field: &'a Field) -> Evaluated<'a> {
        Ok(match field {
            Field::Line(slot) => self.line.get(*slot),
            Field::Item(slot) => self.item.map_or(Found::Missing, |item| item.get(*slot)),
            Field::Capture(name) => match self.captures.get(&**name) {
                Some(text) => Found::Text(Text::new(text.as_str())),
                None => Found::Missing,
            },
            Field::Source => Found::Text(Text::new(self.source)),
            Field::ContainerTime => self.container_text(|container| container.time),
            Field::ContainerStream => self.container_text(|container| container.output.name()),
            Field::Nothing | Field::Inner(_) => Found::Missing,
            Field::Typed(field, pipes) => return expression::convert(self.read(field)?, pipes, self),
            Field::Computed(template) => return expression::template(template, self),
            Field::Holds(condition) => Found::Bool(condition::holds(condition, self)),
        })
    }

    /// The value; a bad one counts as missing.
    pub fn get(&self, field: &'a Field) -> Found<'a> {
        self.read(field).unwrap_or(Found::Missing)
    }

    /// The source text of a field of JSON that stands in an event as it stands in the line: a string without an escape
    /// and with nothing replaced, quotes included.
    pub fn json_text(&self, field: &Field) -> Option<&'a str> {
        match field {
            Field::Line(slot) if self.line.replaced.is_empty() => {
                self.line.slots.json_text(self.line.text, *slot)
            }
            _ => None,
        }
    }

    /// The source text of a field of JSON that is no such string.
    pub fn json_value(&self, field: &Field) -> Option<&'a str> {
        match field {
            Field::Line(slot) => self.line.slots.json_value(self.line.text, *slot),
            _ => None,
        }
    }

    fn container_text(&self, part: impl FnOnce(Container<'a>) -> &'a str) -> Found<'a> {
        self.container.map_or(Found::Missing, |container| Found::Text(Text::new(part(container))))
    }
}
