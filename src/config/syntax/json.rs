//! JSON with places. Own code, since no JSON parser in the tree tells where a value stands.

use crate::config::fault::{Fault, FileIndex, Place};
use crate::config::node::{Entry, Node, Table, Text, Value};

/// Deeper nesting is a fault: the parser calls itself.
const MAX_DEPTH: usize = 64;

pub(super) fn parse(file: FileIndex, text: &str) -> Result<Node, Fault> {
    let mut parser = Parser { file, text, at: 0, depth: 0 };
    parser.skip_space();
    if !parser.rest().starts_with('{') {
        return Err(parser.fault("expected `{`: the config is one JSON object"));
    }
    let root = parser.value()?;
    parser.skip_space();
    if parser.at < text.len() {
        return Err(parser.fault("expected the end of the file"));
    }
    Ok(root)
}

struct Parser<'a> {
    file: FileIndex,
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn value(&mut self) -> Result<Node, Fault> {
        self.skip_space();
        let start = self.at;
        let value = match self.rest().chars().next() {
            Some('{') => self.nested(Self::object)?,
            Some('[') => self.nested(Self::array)?,
            Some('"') => Value::Text(self.string()?),
            Some('-' | '0'..='9') => self.number()?,
            Some(_) => self.word()?,
            None => return Err(self.fault("expected a value, found the end of the file")),
        };
        Ok(Node::new(self.file, start..self.at, value))
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value, Fault>) -> Result<Value, Fault> {
        if self.depth == MAX_DEPTH {
            return Err(self.fault("nested too deeply"));
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn object(&mut self) -> Result<Value, Fault> {
        let mut table = Table::default();
        if self.takes('}') {
            return Ok(Value::Table(table));
        }
        loop {
            self.skip_space();
            let start = self.at;
            if !self.rest().starts_with('"') {
                return Err(self.fault("expected a key in double quotes"));
            }
            let key = self.string()?;
            let key_place = Place { file: self.file, span: start..self.at };
            if let Some(first) = table.get(&key.value) {
                return Err(Fault::at(&key_place, format!("the key \"{}\" is set twice", key.value))
                    .beside(&first.key_place, "first here"));
            }
            if !self.takes(':') {
                return Err(self.fault("expected `:` after a key"));
            }
            let node = self.value()?;
            table.entries.push(Entry { key, key_place, node });
            if self.takes('}') {
                return Ok(Value::Table(table));
            }
            self.comma('}')?;
        }
    }

    fn array(&mut self) -> Result<Value, Fault> {
        let mut list = Vec::new();
        if self.takes(']') {
            return Ok(Value::List(list));
        }
        loop {
            list.push(self.value()?);
            if self.takes(']') {
                return Ok(Value::List(list));
            }
            self.comma(']')?;
        }
    }

    fn comma(&mut self, end: char) -> Result<(), Fault> {
        if !self.takes(',') {
            return Err(self.fault(&format!("expected `,` or `{end}`")));
        }
        self.skip_space();
        if self.rest().starts_with(end) {
            return Err(self.fault("a value is missing after the last `,`").hint("take the comma away"));
        }
        Ok(())
    }

    fn string(&mut self) -> Result<Text, Fault> {
        let start = self.at;
        let mut escaped = false;
        let length = self.rest().char_indices().skip(1).find_map(|(at, character)| {
            let closes = character == '"' && !escaped;
            escaped = character == '\\' && !escaped;
            closes.then_some(at + 1)
        });
        let Some(length) = length else { return Err(self.fault("this text has no closing quote")) };
        let span = start..start + length;
        let value = serde_json::from_str::<String>(&self.text[span.clone()]).map_err(|error| {
            let place = Place { file: self.file, span: span.clone() };
            Fault::at(&place, format!("not a JSON text: {}", without_position(&error)))
        })?;
        self.at = span.end;
        Ok(Text::aligned(self.text, span, value))
    }

    fn number(&mut self) -> Result<Value, Fault> {
        let word = self.token();
        if serde_json::from_str::<serde_json::Number>(word).is_err() {
            return Err(self.fault("not a JSON number"));
        }
        self.at += word.len();
        Ok(Value::Number(word.to_owned()))
    }

    fn word(&mut self) -> Result<Value, Fault> {
        let word = self.token();
        let value = match word {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" => Value::Null,
            _ if word.starts_with('/') || word.starts_with('#') => {
                return Err(self.fault("JSON has no comments").hint("TOML and YAML have"));
            }
            _ => return Err(self.fault("expected a value").hint("texts stand in double quotes")),
        };
        self.at += word.len();
        Ok(value)
    }

    fn token(&self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, ',' | ':' | ']' | '}' | '"'));
        &rest[..end.unwrap_or(rest.len())]
    }

    fn takes(&mut self, wanted: char) -> bool {
        self.skip_space();
        let takes = self.rest().starts_with(wanted);
        if takes {
            self.at += wanted.len_utf8();
        }
        takes
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{feff}']).len();
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn fault(&self, message: &str) -> Fault {
        let length = self.token().len().max(self.rest().chars().next().map_or(0, char::len_utf8));
        Fault::at(&Place { file: self.file, span: self.at..self.at + length }, message)
    }
}

/// `serde_json` counts from the start of the text that it was given, which is not the file.
fn without_position(error: &serde_json::Error) -> String {
    let message = error.to_string();
    message.split(" at line ").next().unwrap_or_default().to_owned()
}
