//! YAML through `granit-parser`'s events. Plain words are resolved by the core schema of YAML 1.2: `yes` is a text.

use std::collections::BTreeMap;
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Span, Tag};

use crate::config::fault::{Fault, FileIndex, Place};
use crate::config::node::{Entry, Node, Table, Text, Value};

/// Aliases make large trees of small files; beyond this it is a fault.
const MAX_NODES: usize = 100_000;

/// Deeper nesting is a fault: the builder calls itself.
const MAX_DEPTH: usize = 64;

pub(super) fn parse(file: FileIndex, text: &str) -> Result<Node, Fault> {
    let mut builder = Builder { file, text, events: Vec::new(), anchors: BTreeMap::new(), nodes: 0 };
    builder.read_events()?;
    builder.events.reverse();
    let root = builder.document()?;
    match root.value {
        Value::Null => Ok(Node { value: Value::Table(Table::default()), ..root }),
        Value::Table(_) => Ok(Node { place: Place { file, span: 0..0 }, ..root }),
        _ => Err(Fault::at(&root.place, "the config must be a table of keys")
            .label(format!("this is {}", root.kind()))),
    }
}

struct Builder<'a> {
    file: FileIndex,
    text: &'a str,
    /// The next is the last.
    events: Vec<(Event<'a>, Range<usize>)>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
}

impl Builder<'_> {
    fn read_events(&mut self) -> Result<(), Fault> {
        let mut documents = 0;
        for next in Parser::new_from_str(self.text) {
            let (event, span) = next.map_err(|error| self.syntax_fault(&error))?;
            let span = bytes(&span, self.text);
            match event {
                Event::DocumentStart(..) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(self.fault(span, "a config is one YAML document"));
                    }
                }
                Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
                event if event.is_node() || matches!(event, Event::SequenceEnd | Event::MappingEnd) => {
                    self.events.push((event, span));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn document(&mut self) -> Result<Node, Fault> {
        if self.events.is_empty() {
            return Ok(Node::new(self.file, 0..0, Value::Null));
        }
        self.node(0)
    }

    fn node(&mut self, depth: usize) -> Result<Node, Fault> {
        let Some((event, span)) = self.events.pop() else {
            return Err(self.fault(self.text.len()..self.text.len(), "the file ends too early"));
        };
        self.nodes += 1;
        if self.nodes > MAX_NODES || depth > MAX_DEPTH {
            return Err(self.fault(span, "too large or nested too deeply"));
        }
        let (anchor, node) = match event {
            Event::Scalar(value, style, anchor, tag) => {
                let value = self.scalar(&value, style, tag.as_deref(), &span)?;
                (anchor, Node::new(self.file, span, value))
            }
            Event::SequenceStart(_, anchor, _) => {
                let mut list = Vec::new();
                while !matches!(self.events.last(), Some((Event::SequenceEnd, _)) | None) {
                    list.push(self.node(depth + 1)?);
                }
                let end = self.events.pop().map_or(span.end, |(_, end)| end.end);
                (anchor, Node::new(self.file, span.start..end.max(span.end), Value::List(list)))
            }
            Event::MappingStart(_, anchor, _) => {
                let table = self.mapping(depth)?;
                let end = self.events.pop().map_or(span.end, |(_, end)| end.end);
                (anchor, Node::new(self.file, span.start..end.max(span.end), Value::Table(table)))
            }
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id) else {
                    return Err(self.fault(span, "this alias stands inside of its own anchor"));
                };
                let node = node.clone();
                self.nodes += size(&node);
                (0, node)
            }
            _ => return Err(self.fault(span, "a value is expected here")),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn mapping(&mut self, depth: usize) -> Result<Table, Fault> {
        let mut table = Table::default();
        while !matches!(self.events.last(), Some((Event::MappingEnd, _)) | None) {
            let key_node = self.node(depth + 1)?;
            let key_place = key_node.place.clone();
            let key = match key_node.value {
                Value::Text(text) => text,
                Value::Number(_) | Value::Bool(_) | Value::Null => {
                    let source = self.text.get(key_place.span.clone()).unwrap_or_default().to_owned();
                    Text::aligned(self.text, key_place.span.clone(), source)
                }
                _ => {
                    return Err(Fault::at(&key_place, "a key must be a text")
                        .hint("quote a text with braces: \"{org_id}\""));
                }
            };
            if let Some(first) = table.get(&key.value) {
                return Err(Fault::at(&key_place, format!("the key \"{}\" is set twice", key.value))
                    .beside(&first.key_place, "first here"));
            }
            let node = self.node(depth + 1)?;
            table.entries.push(Entry { key, key_place, node });
        }
        Ok(table)
    }

    fn scalar(
        &self,
        value: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        span: &Range<usize>,
    ) -> Result<Value, Fault> {
        let text = || Value::Text(Text::aligned(self.text, span.clone(), value.to_owned()));
        match tag.map(Tag::core_suffix) {
            Some(Some("str")) => return Ok(text()),
            Some(None) => return Err(self.fault(span.clone(), "Floe knows no YAML tags of others")),
            Some(_) | None => {}
        }
        if style != ScalarStyle::Plain {
            return Ok(text());
        }
        Ok(match value {
            "" | "~" | "null" | "Null" | "NULL" => Value::Null,
            "true" | "True" | "TRUE" => Value::Bool(true),
            "false" | "False" | "FALSE" => Value::Bool(false),
            _ => number(value).map_or_else(text, Value::Number),
        })
    }

    fn syntax_fault(&self, error: &granit_parser::ScanError) -> Fault {
        let marker = error.marker();
        let start = marker.byte_offset().unwrap_or_else(|| byte_of(self.text, marker.index()));
        let start = start.min(self.text.len());
        let line = self.text[..start].rsplit('\n').next().unwrap_or_default();
        let fault = self.fault(start..start + 1, &format!("not valid YAML: {}", error.info()));
        if line.contains('{') { fault.hint("quote a text with braces: \"{org_id}\"") } else { fault }
    }

    fn fault(&self, span: Range<usize>, message: &str) -> Fault {
        Fault::at(&Place { file: self.file, span }, message)
    }
}

/// The source text of a number of the core schema; hexadecimal and octal ones in decimal.
fn number(value: &str) -> Option<String> {
    if let Some(digits) = value.strip_prefix("0x") {
        return i64::from_str_radix(digits, 16).ok().map(|number| number.to_string());
    }
    if let Some(digits) = value.strip_prefix("0o") {
        return i64::from_str_radix(digits, 8).ok().map(|number| number.to_string());
    }
    let unsigned = value.strip_prefix(['-', '+']).unwrap_or(value);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).map_or((unsigned, "0"), |(m, e)| (m, e));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    let is_number = digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && !exponent_digits.is_empty()
        && digits(exponent_digits);
    is_number.then(|| value.trim_start_matches('+').to_owned())
}

fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::List(list) => list.iter().map(size).sum(),
        Value::Table(table) => table.entries.iter().map(|entry| 1 + size(&entry.node)).sum(),
        _ => 0,
    }
}

fn bytes(span: &Span, text: &str) -> Range<usize> {
    span.byte_range().unwrap_or_else(|| byte_of(text, span.start.index())..byte_of(text, span.end.index()))
}

fn byte_of(text: &str, character: usize) -> usize {
    text.char_indices().nth(character).map_or(text.len(), |(at, _)| at)
}
