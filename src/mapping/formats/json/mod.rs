//! A line of JSON → the source texts of the fields that rules name, and nothing else.
//!
//! A trie of the wanted paths says what is kept, and the whole line is proven valid, whatever is wanted. A kept value is
//! a range of the line: numbers keep their source text, and a text is decoded only where it is used. Of a duplicate key
//! the last one counts. The scanner reads nearly every line; what it does not take is read by serde_json, which has the
//! last word on what is JSON.

mod layout;
mod scanner;
#[cfg(test)]
mod tests;
mod thorough;
mod values;

use serde_json::value::RawValue;

pub(in crate::mapping) use self::layout::Layout;
use crate::config::language::Step;
use crate::mapping::slots::Slots;

/// The wanted paths of one kind of line.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::mapping) struct Trie {
    root: Node,
    /// The slot of each path in the order in which it was added.
    slots: usize,
    /// Below the root.
    nodes: u16,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Node {
    slot: Option<u16>,
    /// Where the layout of its objects is kept.
    row: u16,
    keys: Vec<(Box<str>, Node)>,
    indexes: Vec<(u32, Node)>,
}

/// Why a text gave no fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::mapping) struct NotJson(pub String);

impl Trie {
    /// The slot of a path; the same for the same path.
    pub fn add(&mut self, steps: &[Step]) -> u16 {
        let mut node = &mut self.root;
        for step in steps {
            node = node.child(step, &mut self.nodes);
        }
        let next = u16::try_from(self.slots).expect("a config names fewer than 65,536 fields");
        if node.slot.is_none() {
            self.slots += 1;
        }
        *node.slot.get_or_insert(next)
    }

    /// The paths with their slots.
    pub fn paths(&self) -> Vec<(Vec<Step>, u16)> {
        let mut paths = Vec::with_capacity(self.slots);
        self.root.collect_paths(&mut Vec::new(), &mut paths);
        paths
    }

    /// How many slots it fills.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Finds the fields of `text`, which must be one JSON value.
    ///
    /// # Errors
    /// When it is not.
    pub fn read(&self, text: &str, slots: &mut Slots) -> Result<(), NotJson> {
        slots.clear(self.slots);
        self.read_from(text, 0, slots)
    }

    /// As [`Trie::read`], of what stands from `from` on in `text`. `slots` are cleared already.
    ///
    /// # Errors
    /// When it is not one JSON value.
    pub fn read_from(&self, text: &str, from: usize, slots: &mut Slots) -> Result<(), NotJson> {
        if scanner::read(self, text, from, slots).is_some() {
            return Ok(());
        }
        thorough::forget(slots);
        thorough::read(&self.root, text, from, slots)
            // A line is one line: only the column says something.
            .map_err(|error| NotJson(error.to_string().replace(" at line 1 column ", " at column ")))
    }

    /// How many layouts it has.
    fn rows(&self) -> usize {
        usize::from(self.nodes) + 1
    }
}

impl Node {
    /// The child at `step`. `nodes` counts those that are there.
    fn child(&mut self, step: &Step, nodes: &mut u16) -> &mut Self {
        let mut new = || {
            *nodes = nodes.checked_add(1).expect("a config names fewer than 65,536 fields");
            Self { row: *nodes, ..Self::default() }
        };
        match step {
            Step::Key(key) => {
                let at = self.keys.iter().position(|(known, _)| **known == **key).unwrap_or_else(|| {
                    self.keys.push((key.as_str().into(), new()));
                    self.keys.len() - 1
                });
                &mut self.keys[at].1
            }
            Step::Index(index) => {
                let at = self.indexes.iter().position(|(known, _)| known == index).unwrap_or_else(|| {
                    self.indexes.push((*index, new()));
                    self.indexes.len() - 1
                });
                &mut self.indexes[at].1
            }
        }
    }

    #[inline]
    fn is_leaf(&self) -> bool {
        self.keys.is_empty() && self.indexes.is_empty()
    }

    fn collect_paths(&self, steps: &mut Vec<Step>, paths: &mut Vec<(Vec<Step>, u16)>) {
        paths.extend(self.slot.map(|slot| (steps.clone(), slot)));
        let keys = self.keys.iter().map(|(key, child)| (Step::Key(key.to_string()), child));
        let indexes = self.indexes.iter().map(|(index, child)| (Step::Index(*index), child));
        for (step, child) in keys.chain(indexes) {
            steps.push(step);
            child.collect_paths(steps, paths);
            steps.pop();
        }
    }

    fn forget(&self, slots: &mut Slots) {
        if let Some(slot) = self.slot {
            slots.forget(slot);
        }
        self.keys.iter().for_each(|(_, child)| child.forget(slots));
        self.indexes.iter().for_each(|(_, child)| child.forget(slots));
    }
}

/// The source texts of an array's elements and where they stand in `text`; `None` if it is no array.
pub(in crate::mapping) fn elements(text: &str) -> Option<Vec<&str>> {
    let raw: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    Some(raw.into_iter().map(RawValue::get).collect())
}
