//! TOML through `toml_edit`, which keeps spans.

use std::ops::Range;

use toml_edit::{Document, Item, Key, TableLike};

use crate::config::fault::{Fault, FileIndex, Place};
use crate::config::node::{Entry, Node, Table, Text, Value};

pub(super) fn parse(file: FileIndex, text: &str) -> Result<Node, Fault> {
    let document = Document::parse(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        Fault::at(&Place { file, span: span.clone() }, format!("not valid TOML: {message}"))
            .maybe_hint(hint(text, &span))
    })?;
    let walk = Walk { file, text };
    Ok(Node::new(file, 0..0, walk.table(document.as_table())?))
}

/// An operator who writes a placeholder or a path without quotes is told to quote it.
fn hint(text: &str, span: &Range<usize>) -> Option<String> {
    let from_start = text.get(..span.start)?;
    let line = from_start.rsplit('\n').next()?;
    let (_, value) = line.split_once('=')?;
    let bare = value.trim_start().chars().next();
    match bare {
        Some(first) if first.is_alphabetic() || first == '/' => Some("texts stand in quotes".into()),
        None if text.get(span.start..)?.starts_with(|c: char| c.is_alphabetic() || c == '/') => {
            Some("texts stand in quotes".into())
        }
        _ => None,
    }
}

struct Walk<'a> {
    file: FileIndex,
    text: &'a str,
}

impl Walk<'_> {
    fn table(&self, table: &dyn TableLike) -> Result<Value, Fault> {
        let mut entries = Vec::new();
        for (name, item) in table.iter() {
            let key = table.key(name);
            let span = key.and_then(Key::span).unwrap_or(0..0);
            entries.push(Entry {
                key: Text::aligned(self.text, span.clone(), name.to_owned()),
                key_place: Place { file: self.file, span: span.clone() },
                node: self.item(item, span)?,
            });
        }
        entries.sort_by_key(|entry| entry.key_place.span.start);
        Ok(Value::Table(Table { entries }))
    }

    fn item(&self, item: &Item, key_span: Range<usize>) -> Result<Node, Fault> {
        let span = item.span().unwrap_or_else(|| key_span.clone());
        let value = match item {
            Item::None => Value::Null,
            Item::Value(value) => return self.value(value, key_span),
            Item::Table(table) => self.table(table)?,
            Item::ArrayOfTables(tables) => {
                let mut list = Vec::new();
                for table in tables {
                    let span = table.span().unwrap_or_else(|| key_span.clone());
                    list.push(Node::new(self.file, span, self.table(table)?));
                }
                Value::List(list)
            }
        };
        Ok(Node::new(self.file, span, value))
    }

    fn value(&self, value: &toml_edit::Value, key_span: Range<usize>) -> Result<Node, Fault> {
        let span = value.span().unwrap_or(key_span);
        let source = self.text.get(span.clone()).unwrap_or_default();
        let read = match value {
            toml_edit::Value::String(text) => {
                Value::Text(Text::aligned(self.text, span.clone(), text.value().clone()))
            }
            toml_edit::Value::Integer(number) if source.contains(['x', 'o', 'b']) => {
                Value::Number(number.value().to_string())
            }
            toml_edit::Value::Integer(_) => Value::Number(plain_number(source)),
            toml_edit::Value::Float(number) if number.value().is_finite() => {
                Value::Number(plain_number(source))
            }
            toml_edit::Value::Float(_) => {
                return Err(Fault::at(
                    &Place { file: self.file, span },
                    "infinity and nan are not numbers here",
                ));
            }
            toml_edit::Value::Boolean(truth) => Value::Bool(*truth.value()),
            toml_edit::Value::Datetime(_) => Value::Date(source.to_owned()),
            toml_edit::Value::Array(array) => {
                let mut list = Vec::new();
                for element in array {
                    list.push(self.value(element, span.clone())?);
                }
                Value::List(list)
            }
            toml_edit::Value::InlineTable(table) => self.table(table)?,
        };
        Ok(Node::new(self.file, span, read))
    }
}

fn plain_number(source: &str) -> String {
    source.replace('_', "").trim_start_matches('+').to_owned()
}
