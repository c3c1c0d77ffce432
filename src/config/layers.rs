//! Several files and the environment → one tree.
//!
//! The `config` crate does the layering: a layer for each file in the order of their names, then the environment,
//! which overrides. It keeps one origin for a leaf and none for a table, and its maps have no order. So what
//! travels through it as a leaf of a file is the number of one of our own nodes; the tree is put together again
//! from those, in the order of the files, with the places of all keys.

use std::collections::BTreeMap;

use super::environment::{self, Override};
use super::fault::{self, Fault, Place, SourceText};
use super::node::{Entry, Node, Table, Text, Value};

/// Where a key leads: `["polar", "server"]`.
type KeyPath = Vec<String>;

/// The roots of the files, in order, under the overrides.
pub(super) fn merge(
    roots: &[Node],
    overrides: &[Override],
    texts: &[SourceText],
    faults: &mut Vec<Fault>,
) -> Node {
    let mut layers = Layers { texts, faults, leaves: Vec::new(), set: BTreeMap::new() };
    let mut builder = config::Config::builder();
    for root in roots {
        let mut map = config::Map::new();
        if let Value::Table(table) = &root.value {
            layers.collect(table, &mut Vec::new(), &mut map);
        }
        builder = builder.add_source(Layer(map));
    }
    builder = builder.add_source(environment::source(overrides));
    let merged = match builder.build() {
        Ok(config) => config.cache,
        Err(error) => {
            layers.faults.push(Fault::nowhere(format!("the files cannot be merged: {error}")));
            return roots[0].clone();
        }
    };
    let place = roots[0].place.clone();
    let value = layers.table(merged, &mut Vec::new(), overrides);
    Node { value, place, from_environment: false }
}

/// One file, as the `config` crate takes it.
#[derive(Debug, Clone)]
struct Layer(config::Map<String, config::Value>);

impl config::Source for Layer {
    fn clone_into_box(&self) -> Box<dyn config::Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<config::Map<String, config::Value>, config::ConfigError> {
        Ok(self.0.clone())
    }
}

struct Layers<'a> {
    texts: &'a [SourceText],
    faults: &'a mut Vec<Fault>,
    leaves: Vec<Node>,
    set: BTreeMap<KeyPath, Setting>,
}

/// How a key was set first.
struct Setting {
    key: Text,
    key_place: Place,
    place: Place,
    /// The number of its leaf; a table has none.
    leaf: Option<usize>,
}

impl Layers<'_> {
    fn collect(&mut self, table: &Table, path: &mut KeyPath, map: &mut config::Map<String, config::Value>) {
        for entry in &table.entries {
            if path.is_empty() && !is_plain_key(&entry.key.value) {
                // The `config` crate would read it as a way into a table.
                self.faults.push(
                    Fault::at(&entry.key_place, format!("unknown key \"{}\"", entry.key.value))
                        .hint("nest the keys of a table: no key of the config has a dot in its name"),
                );
                continue;
            }
            path.push(entry.key.value.clone());
            let value = match &entry.node.value {
                Value::Table(inner) => self.table_value(entry, inner, path),
                _ => self.leaf_value(entry, path),
            };
            path.pop();
            if let Some(kind) = value {
                let origin = fault::position(self.texts, &entry.key_place);
                map.insert(entry.key.value.clone(), config::Value::new(Some(&origin), kind));
            }
        }
    }

    fn table_value(&mut self, entry: &Entry, inner: &Table, path: &mut KeyPath) -> Option<config::ValueKind> {
        match self.set.get(path) {
            Some(first) if first.leaf.is_some() => {
                self.faults.push(set_twice(entry, first));
                return None;
            }
            Some(_) => {}
            None => {
                self.set.insert(path.clone(), Setting::new(entry, None));
            }
        }
        let mut map = config::Map::new();
        self.collect(inner, path, &mut map);
        Some(config::ValueKind::Table(map))
    }

    /// A list appends to the list that an earlier file began; anything else is set once.
    fn leaf_value(&mut self, entry: &Entry, path: &KeyPath) -> Option<config::ValueKind> {
        if let Some(first) = self.set.get(path) {
            let began = first.leaf.map(|leaf| &mut self.leaves[leaf].value);
            let (Some(Value::List(began)), Value::List(more)) = (began, &entry.node.value) else {
                self.faults.push(set_twice(entry, first));
                return None;
            };
            began.extend(more.iter().cloned());
            return None;
        }
        let leaf = self.leaves.len();
        self.leaves.push(entry.node.clone());
        self.set.insert(path.clone(), Setting::new(entry, Some(leaf)));
        Some(config::ValueKind::U64(leaf as u64))
    }

    fn table(&self, merged: config::Value, path: &mut KeyPath, overrides: &[Override]) -> Value {
        let config::ValueKind::Table(map) = merged.kind else { return Value::Table(Table::default()) };
        let mut entries = Vec::with_capacity(map.len());
        for (name, value) in map {
            path.push(name.clone());
            entries.extend(self.entry(name, value, path, overrides));
            path.pop();
        }
        entries.sort_by_key(|entry| entry.key_place.order());
        Value::Table(Table { entries })
    }

    fn entry(
        &self,
        name: String,
        merged: config::Value,
        path: &mut KeyPath,
        overrides: &[Override],
    ) -> Option<Entry> {
        let set = self.set.get(path.as_slice());
        let overriding = overrides.iter().find(|each| each.path == *path);
        let node = match merged.kind {
            config::ValueKind::U64(leaf) => self.leaves.get(usize::try_from(leaf).ok()?)?.clone(),
            config::ValueKind::Table(_) => {
                let place =
                    set.map(|set| set.place.clone()).or_else(|| Some(overrides.first()?.place.clone()))?;
                Node { value: self.table(merged, path, overrides), place, from_environment: false }
            }
            _ => overriding?.node(),
        };
        let (key, key_place) = match set {
            Some(set) => (set.key.clone(), set.key_place.clone()),
            None => (Text::from(name), node.place.clone()),
        };
        Some(Entry { key, key_place, node })
    }
}

impl Setting {
    fn new(entry: &Entry, leaf: Option<usize>) -> Self {
        Self {
            key: entry.key.clone(),
            key_place: entry.key_place.clone(),
            place: entry.node.place.clone(),
            leaf,
        }
    }
}

fn set_twice(entry: &Entry, first: &Setting) -> Fault {
    Fault::at(&entry.key_place, format!("\"{}\" is set in two files", entry.key.value))
        .beside(&first.key_place, "first here")
        .hint("keep one of them: lists of several files append, single values do not")
}

fn is_plain_key(key: &str) -> bool {
    !key.is_empty()
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'$'))
}
