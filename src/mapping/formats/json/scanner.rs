//! The quick way through a line of JSON: eight bytes at a time, no allocation, keys guessed by the line before.
//!
//! It takes nothing that serde_json would refuse, and finds the same fields (a property below and a fuzz target hold
//! it to that). What it does not understand, such as a wanted object's key with an escape, it leaves to serde_json, so
//! it need not be complete, only right.

use super::{Node, Trie};
use crate::mapping::slots::{Slots, Written};

use super::layout::{Layout, Place};

/// So deep may objects and arrays be that nobody asks for.
const DEEPEST: u32 = 64;

/// Finds the fields of `text[from..]`. `None` says nothing of the text, and `slots` hold a part then.
pub(super) fn read(trie: &Trie, text: &str, from: usize, slots: &mut Slots) -> Option<()> {
    // The layout is taken out, so that both can be changed at once.
    let mut layout = slots.take_layout();
    layout.begin(trie);
    let mut scanner = Scanner { bytes: text.as_bytes(), at: from, slots, layout: &mut layout };
    let read = scanner.whole(&trie.root);
    slots.put_layout_back(layout);
    read
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    slots: &'a mut Slots,
    layout: &'a mut Layout,
}

impl Scanner<'_> {
    fn whole(&mut self, root: &Node) -> Option<()> {
        self.wanted(root)?;
        self.space();
        (self.at == self.bytes.len()).then_some(())
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn sign(&mut self, sign: u8) -> Option<()> {
        self.space();
        (self.peek()? == sign).then(|| self.at += 1)
    }

    /// A value that rules name, or that holds one.
    fn wanted(&mut self, node: &Node) -> Option<()> {
        self.space();
        let start = self.at;
        let mut written = Written::Json;
        match self.peek()? {
            b'"' => written = if self.string()? { Written::Json } else { Written::JsonText },
            b'{' if !node.is_leaf() => self.object(node)?,
            b'[' if !node.is_leaf() => self.array(node)?,
            _ => self.unwanted()?,
        }
        if let Some(slot) = node.slot {
            self.slots.put(slot, start..self.at, written);
        }
        Some(())
    }

    fn object(&mut self, node: &Node) -> Option<()> {
        let mut before = Layout::START;
        // One bit for each wanted key of this object; beyond 128 of them nobody counts.
        let mut seen = 0_u128;
        loop {
            let key = match self.layout.expect(node.row, before, self.bytes, self.at) {
                Some((place, key)) => {
                    before = place;
                    self.at += usize::from(key.length);
                    key.wanted
                }
                None => match self.key(node, &mut before)? {
                    Key::Wanted(at) => Some(at),
                    Key::Unwanted => None,
                    Key::End => return Some(()),
                },
            };
            let Some(at) = key else {
                self.unwanted()?;
                continue;
            };
            let bit = 1_u128.checked_shl(u32::from(at)).unwrap_or(0);
            if seen & bit != 0 {
                self.slots.note_duplicate_key(true);
            }
            seen |= bit;
            let child = &node.keys[usize::from(at)].1;
            if !child.is_leaf() {
                child.forget(self.slots);
            }
            self.wanted(child)?;
        }
    }

    /// From the end of a value, or the start of an object, to the next value: the key that the layout did not guess.
    fn key(&mut self, node: &Node, before: &mut Place) -> Option<Key> {
        let gap = self.at;
        let is_first = *before == Layout::START;
        if is_first {
            self.at += 1;
            self.space();
        } else {
            self.space();
        }
        match self.peek()? {
            b'}' => {
                self.at += 1;
                return Some(Key::End);
            }
            b',' if !is_first => {
                self.at += 1;
                self.space();
            }
            _ if is_first => {}
            _ => return None,
        }
        let start = self.at + 1;
        if self.peek()? != b'"' || self.string()? {
            return None;
        }
        let key = &self.bytes[start..self.at - 1];
        let wanted = node.keys.iter().position(|(known, _)| known.as_bytes() == key);
        let wanted = wanted.and_then(|at| u16::try_from(at).ok());
        self.sign(b':')?;
        self.space();
        *before = self.layout.learn(node.row, *before, &self.bytes[gap..self.at], wanted);
        Some(wanted.map_or(Key::Unwanted, Key::Wanted))
    }

    fn array(&mut self, node: &Node) -> Option<()> {
        self.at += 1;
        self.space();
        if self.peek()? == b']' {
            self.at += 1;
            return Some(());
        }
        for index in 0_u32.. {
            match node.indexes.iter().find(|(known, _)| *known == index) {
                Some((_, child)) => self.wanted(child)?,
                None => self.unwanted()?,
            }
            self.space();
            match self.peek()? {
                b',' => self.at += 1,
                b']' => break,
                _ => return None,
            }
        }
        self.at += 1;
        Some(())
    }

    /// A value that only has to be valid.
    fn unwanted(&mut self) -> Option<()> {
        self.space();
        match self.peek()? {
            b'"' => self.string().map(|_| ()),
            b'{' | b'[' => self.nested(),
            _ => self.scalar(),
        }
    }

    fn scalar(&mut self) -> Option<()> {
        let word: &[u8] = match self.peek()? {
            b'-' | b'0'..=b'9' => return self.number(),
            b't' => b"true",
            b'f' => b"false",
            b'n' => b"null",
            _ => return None,
        };
        self.bytes[self.at..].starts_with(word).then(|| self.at += word.len())
    }

    /// An object or an array that only has to be valid. No recursion: whoever writes the line chooses the depth.
    fn nested(&mut self) -> Option<()> {
        // A bit for each that is open, the innermost lowest: whether it is an object.
        let mut open = 0_u64;
        let mut depth = 0_u32;
        loop {
            // At the start of a value.
            let is_object = match self.peek()? {
                b'{' => true,
                b'[' => false,
                b'"' => {
                    self.string()?;
                    self.next_member(&mut open, &mut depth)?;
                    if depth == 0 {
                        return Some(());
                    }
                    continue;
                }
                _ => {
                    self.scalar()?;
                    self.next_member(&mut open, &mut depth)?;
                    if depth == 0 {
                        return Some(());
                    }
                    continue;
                }
            };
            if depth == DEEPEST {
                return None;
            }
            open = open << 1 | u64::from(is_object);
            depth += 1;
            self.at += 1;
            self.space();
            if self.peek()? == if is_object { b'}' } else { b']' } {
                self.at += 1;
                open >>= 1;
                depth -= 1;
                if depth > 0 {
                    self.next_member(&mut open, &mut depth)?;
                }
                if depth == 0 {
                    return Some(());
                }
            } else if is_object {
                self.ignored_key()?;
            }
        }
    }

    /// From the end of a value in [`Self::nested`] to the next one, or to the end of all (a depth of 0).
    fn next_member(&mut self, open: &mut u64, depth: &mut u32) -> Option<()> {
        loop {
            self.space();
            let is_object = *open & 1 == 1;
            match self.peek()? {
                b',' => {
                    self.at += 1;
                    self.space();
                    return if is_object { self.ignored_key() } else { Some(()) };
                }
                b'}' if is_object => {}
                b']' if !is_object => {}
                _ => return None,
            }
            self.at += 1;
            *open >>= 1;
            *depth -= 1;
            if *depth == 0 {
                return Some(());
            }
        }
    }

    fn ignored_key(&mut self) -> Option<()> {
        if self.peek()? != b'"' {
            return None;
        }
        self.string()?;
        self.sign(b':')?;
        self.space();
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        let digits = |at: usize| self.bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let mut at = self.at + usize::from(self.bytes[self.at] == b'-');
        let whole = digits(at);
        if whole == 0 || (whole > 1 && self.bytes[at] == b'0') {
            return None;
        }
        at += whole;
        if self.bytes.get(at) == Some(&b'.') {
            let decimals = digits(at + 1);
            if decimals == 0 {
                return None;
            }
            at += 1 + decimals;
        }
        if matches!(self.bytes.get(at), Some(b'e' | b'E')) {
            at += 1 + usize::from(matches!(self.bytes.get(at + 1), Some(b'+' | b'-')));
            let exponent = digits(at);
            if exponent == 0 {
                return None;
            }
            at += exponent;
        }
        self.at = at;
        Some(())
    }

    /// A string, from its first quote to behind its last. Says whether there is an escape in it.
    fn string(&mut self) -> Option<bool> {
        let mut at = self.at + 1;
        let mut escaped = false;
        loop {
            at = special(self.bytes, at)?;
            match self.bytes[at] {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    at += match self.bytes.get(at + 1)? {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
                        b'u' if self.bytes.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit) => 6,
                        _ => return None,
                    };
                }
                _ => return None,
            }
        }
        self.at = at + 1;
        Some(escaped)
    }
}

enum Key {
    /// Its place among the wanted ones.
    Wanted(u16),
    Unwanted,
    /// There is none: the object ends.
    End,
}

/// The first quote, backslash or control character at or after `from`.
fn special(bytes: &[u8], from: usize) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let mut at = from;
    while let Some(eight) = bytes.get(at..at + 8) {
        let eight = u64::from_le_bytes(eight.try_into().expect("eight bytes were taken"));
        let zero = |word: u64| word.wrapping_sub(ONES) & !word;
        // A byte's high bit is set where it is special. A borrow may set it above such a byte, never below the first.
        let quote = zero(eight ^ (ONES * u64::from(b'"')));
        let backslash = zero(eight ^ (ONES * u64::from(b'\\')));
        let control = eight.wrapping_sub(ONES * 0x20) & !eight;
        let found = (quote | backslash | control) & HIGH;
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let rest = bytes.get(at..)?;
    Some(at + rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?)
}
