//! Reads a tree by hand, so that every fault of it is found, not the first one only.
//!
//! A [`TableReader`] remembers which keys were asked for. What is left over is unknown, and what was asked for is
//! what a mistyped key is compared with. The same memory keeps the JSON Schema true, in a test.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::fault::{self, Fault, Place};
use super::node::{Entry, Node, Table, Text, Value};
use super::units;

/// Keys by the name of their kind of table.
pub type KnownKeys = BTreeMap<&'static str, BTreeSet<&'static str>>;

/// Collects what is wrong. Shared by all who read.
#[derive(Debug, Default)]
pub struct Report {
    faults: RefCell<Vec<Fault>>,
    known: RefCell<KnownKeys>,
}

impl Report {
    pub fn push(&self, fault: Fault) {
        self.faults.borrow_mut().push(fault);
    }

    #[must_use]
    pub fn into_parts(self) -> (Vec<Fault>, KnownKeys) {
        (self.faults.into_inner(), self.known.into_inner())
    }

    /// A table whose keys are ours; another value is a fault.
    pub fn open<'a>(&'a self, kind: &'static str, node: &'a Node) -> Option<TableReader<'a>> {
        let Some(table) = node.table() else {
            self.wrong_type(node, "a table");
            return None;
        };
        Some(TableReader { report: self, kind, place: &node.place, table, known: RefCell::default() })
    }

    pub fn wrong_type(&self, node: &Node, expected: &str) {
        let found = match &node.value {
            Value::Text(text) if text.value.chars().count() <= 20 => format!("the text \"{}\"", text.value),
            Value::Number(number) => format!("the number {number}"),
            _ => node.kind().to_owned(),
        };
        let fault = Fault::at(&node.place, format!("expected {expected}, found {found}"));
        self.push(fault.maybe_hint(type_hint(node, expected)));
    }

    pub fn text<'a>(&self, node: &'a Node) -> Option<&'a Text> {
        let text = node.text();
        if text.is_none() {
            self.wrong_type(node, "a text");
        }
        text
    }

    /// A text that is not empty.
    pub fn some_text<'a>(&self, node: &'a Node) -> Option<&'a str> {
        let text = self.text(node)?;
        if text.value.trim().is_empty() {
            self.push(Fault::at(&node.place, "expected a text, found an empty one"));
            return None;
        }
        Some(&text.value)
    }

    /// One text, or a list of them.
    pub fn texts<'a>(&self, node: &'a Node) -> Vec<&'a Node> {
        let nodes = match &node.value {
            Value::List(list) => list.iter().collect(),
            _ => vec![node],
        };
        nodes.into_iter().filter(|node| self.text(node).is_some()).collect()
    }

    pub fn list<'a>(&self, node: &'a Node) -> &'a [Node] {
        match &node.value {
            Value::List(list) => list,
            _ => {
                self.wrong_type(node, "a list");
                &[]
            }
        }
    }

    pub fn truth(&self, node: &Node) -> Option<bool> {
        match &node.value {
            Value::Bool(truth) => Some(*truth),
            Value::Text(text) if node.from_environment && text.value == "true" => Some(true),
            Value::Text(text) if node.from_environment && text.value == "false" => Some(false),
            _ => {
                self.wrong_type(node, "true or false");
                None
            }
        }
    }

    pub fn integer(&self, node: &Node, range: &RangeInclusive<u64>) -> Option<u64> {
        let source = match &node.value {
            Value::Number(number) => number.as_str(),
            Value::Text(text) if node.from_environment => text.value.as_str(),
            _ => {
                self.wrong_type(node, "a whole number");
                return None;
            }
        };
        if source.parse::<f64>().is_err() {
            self.wrong_type(node, "a whole number");
            return None;
        }
        let in_range = source.parse::<u64>().ok().filter(|number| range.contains(number));
        if in_range.is_none() {
            let hint = format!("choose a whole number from {} to {}", range.start(), range.end());
            self.push(Fault::at(&node.place, format!("{source} is out of range")).hint(hint));
        }
        in_range
    }

    pub fn duration(&self, node: &Node, range: &RangeInclusive<Duration>) -> Option<Duration> {
        let source = match &node.value {
            Value::Text(text) => text.value.as_str(),
            Value::Number(number) => {
                let message = format!("expected a duration, found the number {number}");
                self.push(
                    Fault::at(&node.place, message)
                        .hint(format!("give it a unit: \"{number}s\" or \"{number}ms\"")),
                );
                return None;
            }
            _ => {
                self.wrong_type(node, "a duration");
                return None;
            }
        };
        let print = units::print_duration;
        self.measure(node, units::parse_duration(source), "a duration", range, print)
    }

    /// Bytes; a number without a unit is bytes too.
    pub fn size(&self, node: &Node, range: &RangeInclusive<u64>) -> Option<u64> {
        let parsed = match &node.value {
            Value::Text(text) => match text.value.parse::<u64>() {
                Ok(bytes) if node.from_environment => Ok(bytes),
                _ => units::parse_size(&text.value),
            },
            Value::Number(number) => {
                number.parse::<u64>().map_err(|_| "write whole bytes, or a text: \"1MiB\"".to_owned())
            }
            _ => {
                self.wrong_type(node, "a size");
                return None;
            }
        };
        self.measure(node, parsed, "a size", range, units::print_size)
    }

    /// One of some words.
    pub fn choice<T: Copy>(&self, node: &Node, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(node)?;
        let found = choices.iter().find(|(name, _)| *name == text.value);
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            let message = format!("unknown value \"{}\"", text.value);
            self.push(Fault::at(&node.place, message).hint(fault::did_you_mean(
                &text.value,
                &names,
                "choose one of",
            )));
        }
        found.map(|(_, value)| *value)
    }

    fn measure<T: PartialOrd + Copy>(
        &self,
        node: &Node,
        parsed: Result<T, String>,
        what: &str,
        range: &RangeInclusive<T>,
        print: fn(T) -> String,
    ) -> Option<T> {
        let value = match parsed {
            Ok(value) => value,
            Err(hint) => {
                self.push(Fault::at(&node.place, format!("this is not {what}")).hint(hint));
                return None;
            }
        };
        if range.contains(&value) {
            return Some(value);
        }
        let (least, most) = (print(*range.start()), print(*range.end()));
        let message = format!("{} is out of range", print(value));
        self.push(Fault::at(&node.place, message).hint(format!("choose {what} from {least} to {most}")));
        None
    }
}

/// Reads one table. Every key has to be asked for before [`TableReader::finish`].
pub struct TableReader<'a> {
    report: &'a Report,
    kind: &'static str,
    place: &'a Place,
    table: &'a Table,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> TableReader<'a> {
    /// Where the table begins: its header where it has one.
    #[must_use]
    pub fn place(&self) -> &'a Place {
        self.place
    }

    /// `None` where the key is not set; null is not set.
    pub fn optional(&self, key: &'static str) -> Option<&'a Node> {
        self.report.known.borrow_mut().entry(self.kind).or_default().insert(key);
        self.known.borrow_mut().push(key);
        self.table.get(key).map(|entry| &entry.node).filter(|node| !matches!(node.value, Value::Null))
    }

    /// A missing key is a fault at the table's header.
    pub fn required(&self, key: &'static str, hint: &str) -> Option<&'a Node> {
        let node = self.optional(key);
        if node.is_none() {
            self.report.push(Fault::at(self.place, format!("the key \"{key}\" is missing")).hint(hint));
        }
        node
    }

    /// The default where the key is not set, and where it is wrong, which is reported.
    pub fn or<T>(&self, key: &'static str, default: T, read: impl FnOnce(&'a Node) -> Option<T>) -> T {
        self.optional(key).and_then(read).unwrap_or(default)
    }

    /// The key with its place, as it stands.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&'a Entry> {
        self.table.get(key)
    }

    /// Says which keys are unknown.
    pub fn finish(self) {
        let known = self.known.into_inner();
        for entry in &self.table.entries {
            if !known.contains(&entry.key.value.as_str()) {
                self.report.push(unknown_key(entry, &known));
            }
        }
    }
}

fn unknown_key(entry: &Entry, known: &[&str]) -> Fault {
    let key = entry.key.value.as_str();
    let fault = Fault::at(&entry.key_place, format!("unknown key \"{key}\""));
    if let Some((first, rest)) = key.split_once('.')
        && known.contains(&first)
    {
        return fault.hint(format!("\"{first}\" is a table: put \"{rest}\" inside of it"));
    }
    fault.hint(fault::did_you_mean(key, known, "known here:"))
}

fn type_hint(node: &Node, expected: &str) -> Option<String> {
    match &node.value {
        Value::Table(table) if expected.contains("text") => unquoted_placeholder(table)
            .map(|text| format!("quote it: \"{text}\"; without quotes this is a table")),
        Value::Number(number) if expected.contains("text") => Some(format!("quote it: \"{number}\"")),
        Value::Date(date) => Some(format!("quote it: \"{date}\"")),
        Value::Text(text) if expected.contains("number") && text.value.trim().parse::<f64>().is_ok() => {
            Some(format!("take the quotes away: {}", text.value.trim()))
        }
        Value::Text(text)
            if expected == "true or false"
                && matches!(text.value.as_str(), "yes" | "no" | "on" | "off" | "true" | "false") =>
        {
            Some("write true or false, without quotes".into())
        }
        Value::Table(_) if expected == "a list" => Some(
            "write [[sources]], [[rules]] and [[tests]] with two brackets in TOML, a list elsewhere".into(),
        ),
        _ => None,
    }
}

/// `{org_id}` in YAML is a table with one key and no value.
#[must_use]
pub fn unquoted_placeholder(table: &Table) -> Option<String> {
    let [entry] = table.entries.as_slice() else { return None };
    matches!(entry.node.value, Value::Null).then(|| format!("{{{}}}", entry.key.value))
}
