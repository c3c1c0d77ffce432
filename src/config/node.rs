//! The tree that every syntax becomes: values that know where they stand.

use std::ops::Range;

use super::fault::{FileIndex, Place};

#[derive(Debug, Clone)]
pub struct Node {
    pub value: Value,
    pub place: Place,
    /// The text, or a part of it, came from an environment variable: it may stand for a number or a truth value.
    pub from_environment: bool,
}

#[derive(Debug, Clone)]
pub enum Value {
    Null,
    Bool(bool),
    /// The source text, without the decorations of its syntax: `-12.50`, `1e3`.
    Number(String),
    Text(Text),
    /// TOML's dates without quotes, as written. No key takes one.
    Date(String),
    List(Vec<Node>),
    Table(Table),
}

/// A text after its escapes, which still knows where each of its bytes came from.
#[derive(Debug, Clone, Default)]
pub struct Text {
    pub value: String,
    /// For each byte of `value`, and for its end, the byte of the file; `None` where that cannot be told.
    marks: Option<Vec<usize>>,
}

#[derive(Debug, Clone, Default)]
pub struct Table {
    /// In the order of the file; keys are unique.
    pub entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
pub struct Entry {
    pub key: Text,
    pub key_place: Place,
    pub node: Node,
}

impl Node {
    #[must_use]
    pub fn new(file: FileIndex, span: Range<usize>, value: Value) -> Self {
        Self { value, place: Place { file, span }, from_environment: false }
    }

    /// What it is, for "expected a text, found …".
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "a text",
            Value::Date(_) => "a date",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }

    #[must_use]
    pub fn text(&self) -> Option<&Text> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    #[must_use]
    pub fn table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The place of a part of this node's text; the whole where the part cannot be told.
    #[must_use]
    pub fn part(&self, range: &Range<usize>) -> Place {
        self.text().map_or_else(|| self.place.clone(), |text| text.part(&self.place, range))
    }
}

impl Entry {
    /// The key as a text, for keys that are paths.
    #[must_use]
    pub fn key_node(&self) -> Node {
        Node { value: Value::Text(self.key.clone()), place: self.key_place.clone(), from_environment: false }
    }
}

impl Text {
    /// `value` is what `source[span]` says after its escapes.
    #[must_use]
    pub fn aligned(source: &str, span: Range<usize>, value: String) -> Self {
        let marks = align(source.get(span.clone()).unwrap_or_default(), &value)
            .map(|marks| marks.into_iter().map(|mark| span.start + mark).collect());
        Self { value, marks }
    }

    #[must_use]
    pub fn part(&self, whole: &Place, range: &Range<usize>) -> Place {
        let Some(marks) = &self.marks else { return whole.clone() };
        let (Some(&start), Some(&end)) = (marks.get(range.start), marks.get(range.end)) else {
            return whole.clone();
        };
        Place { file: whole.file, span: start..end.max(start) }
    }

    /// The same text with `range` replaced; what is new stands where the replaced part stood.
    pub fn replace(&mut self, range: Range<usize>, by: &str) {
        if let Some(marks) = &mut self.marks {
            let start = marks[range.start];
            marks.splice(range.clone(), std::iter::repeat_n(start, by.len()));
        }
        self.value.replace_range(range, by);
    }
}

/// A text of no file.
impl From<String> for Text {
    fn from(value: String) -> Self {
        Self { value, marks: None }
    }
}

impl Table {
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key.value == key)
    }
}

/// Where in `raw` each byte of `value` stands. Knows quotes and the escapes of TOML, YAML and JSON; folded text of
/// YAML it does not follow.
fn align(raw: &str, value: &str) -> Option<Vec<usize>> {
    if !value.is_empty()
        && let Some(start) = raw.find(value)
    {
        return Some((start..=start + value.len()).collect());
    }
    let quote = raw.chars().next().filter(|first| matches!(first, '"' | '\''))?;
    let triple = raw.get(..3) == Some(&quote.to_string().repeat(3)) && raw.len() >= 6;
    let mut at = if triple { 3 } else { 1 };
    if triple && raw[at..].starts_with('\n') {
        at += 1;
    }
    let mut marks = Vec::with_capacity(value.len() + 1);
    for wanted in value.chars() {
        marks.extend(std::iter::repeat_n(at, wanted.len_utf8()));
        at += step(raw.get(at..)?, quote, wanted)?;
    }
    marks.push(at);
    Some(marks)
}

/// How many bytes of `raw` make the character that is wanted.
fn step(raw: &str, quote: char, wanted: char) -> Option<usize> {
    let first = raw.chars().next()?;
    if first == '\\' && quote == '"' {
        let escape = raw.chars().nth(1)?;
        let pair = escape == 'u' && wanted > '\u{ffff}';
        return Some(match escape {
            'u' if pair => 12,
            'u' => 6,
            'U' => 10,
            'x' => 4,
            other => 1 + other.len_utf8(),
        });
    }
    if quote == '\'' && wanted == '\'' && raw.starts_with("''") {
        return Some(2);
    }
    (first == wanted).then(|| first.len_utf8())
}
