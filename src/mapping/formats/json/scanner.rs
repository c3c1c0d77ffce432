//! The quick way through a line of JSON: eight bytes at a time, no allocation, keys guessed by the line before.
//!
//! It takes nothing that serde_json would refuse, and finds the same fields: a property and a fuzz target hold it to
//! that. What it does not understand, such as an escape in a key where one is wanted, it leaves to serde_json, so it need
//! not be complete, only right.

use super::layout::{Layout, Place};
use super::{Node, Trie, values};
use crate::mapping::slots::{Slots, Written};

/// Finds the fields of `text[from..]`. `None` says nothing of the text, and `slots` hold a part then.
pub(super) fn read(trie: &Trie, text: &str, from: usize, slots: &mut Slots) -> Option<()> {
    // The layout is taken out, so that both can be changed at once.
    let mut layout = slots.take_layout();
    layout.begin(trie);
    let bytes = text.as_bytes();
    let end = Scanner { bytes, slots, layout: &mut layout }.wanted(&trie.root, from);
    slots.put_layout_back(layout);
    (values::space(bytes, end?) == bytes.len()).then_some(())
}

struct Scanner<'a> {
    bytes: &'a [u8],
    slots: &'a mut Slots,
    layout: &'a mut Layout,
}

/// Each takes the place where something starts, and gives the one behind it.
impl Scanner<'_> {
    /// Over a value that rules name, or that holds one.
    fn wanted(&mut self, node: &Node, at: usize) -> Option<usize> {
        let start = values::space(self.bytes, at);
        let mut written = Written::Json;
        let end = match self.bytes.get(start)? {
            b'"' => {
                let (end, escaped) = values::string(self.bytes, start)?;
                if !escaped {
                    written = Written::JsonText;
                }
                end
            }
            b'{' if !node.is_leaf() => self.object(node, start)?,
            b'[' if !node.is_leaf() => self.array(node, start)?,
            _ => values::value(self.bytes, start)?,
        };
        if let Some(slot) = node.slot {
            self.slots.put(slot, start..end, written);
        }
        Some(end)
    }

    fn object(&mut self, node: &Node, mut at: usize) -> Option<usize> {
        let bytes = self.bytes;
        let mut before = Layout::START;
        // One bit for each wanted key of this object; beyond 128 of them nobody counts.
        let mut seen = 0_u128;
        loop {
            let wanted = if let Some((place, gap)) = self.layout.expect(node.row, before, bytes, at) {
                before = place;
                at += usize::from(gap.length);
                gap.wanted
            } else {
                let Key { place, wanted, value } = match self.key(node, before, at)? {
                    Next::Key(key) => key,
                    Next::End(end) => return Some(end),
                };
                before = place;
                at = value;
                wanted
            };
            let Some(wanted) = wanted else {
                at = values::value(bytes, values::space(bytes, at))?;
                continue;
            };
            let bit = 1_u128.checked_shl(u32::from(wanted)).unwrap_or(0);
            let child = &node.keys[usize::from(wanted)].1;
            if seen & bit != 0 {
                self.slots.note_duplicate_key(true);
            }
            // What the first of two had must not stay beside the second.
            if (seen & bit != 0 || bit == 0) && !child.is_leaf() {
                child.forget(self.slots);
            }
            seen |= bit;
            at = self.wanted(child, at)?;
        }
    }

    /// From the end of a value, or the start of an object, to the next value: the key that the layout did not guess.
    fn key(&mut self, node: &Node, before: Place, from: usize) -> Option<Next> {
        let bytes = self.bytes;
        let is_first = before == Layout::START;
        let mut at = values::space(bytes, if is_first { from + 1 } else { from });
        match bytes.get(at)? {
            b'}' => return Some(Next::End(at + 1)),
            b',' if !is_first => at = values::space(bytes, at + 1),
            _ if is_first => {}
            _ => return None,
        }
        let start = at + 1;
        if *bytes.get(at)? != b'"' {
            return None;
        }
        let (end, false) = values::string(bytes, at)? else { return None };
        let key = &bytes[start..end - 1];
        let wanted = node.keys.iter().position(|(known, _)| known.as_bytes() == key);
        let wanted = wanted.and_then(|at| u16::try_from(at).ok());
        let value = values::to_value(bytes, end)?;
        let place = self.layout.learn(node.row, before, &bytes[from..value], wanted);
        Some(Next::Key(Key { place, wanted, value }))
    }

    fn array(&mut self, node: &Node, at: usize) -> Option<usize> {
        let bytes = self.bytes;
        let mut at = values::space(bytes, at + 1);
        if *bytes.get(at)? == b']' {
            return Some(at + 1);
        }
        for index in 0_u32.. {
            at = match node.indexes.iter().find(|(known, _)| *known == index) {
                Some((_, child)) => self.wanted(child, at)?,
                None => values::value(bytes, values::space(bytes, at))?,
            };
            at = values::space(bytes, at);
            match bytes.get(at)? {
                b',' => at += 1,
                b']' => break,
                _ => return None,
            }
        }
        Some(at + 1)
    }
}

enum Next {
    Key(Key),
    /// There is none: the object ends, and this is the place behind it.
    End(usize),
}

struct Key {
    /// In the layout.
    place: Place,
    /// Its place among the wanted ones.
    wanted: Option<u16>,
    /// Where its value starts.
    value: usize,
}
