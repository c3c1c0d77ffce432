//! Where the wanted fields of a line stand, and how they are written there.
//!
//! A format's parser fills them; a value is decoded only where a rule uses it.

use std::borrow::Cow;
use std::ops::Range;

use super::found::{Found, Text};

/// Where each wanted field stands in its text.
#[derive(Debug, Clone, Default)]
pub(super) struct Slots(Vec<Place>);

#[derive(Debug, Clone, Copy)]
struct Place {
    start: u32,
    end: u32,
    written: Written,
}

impl Place {
    const NOWHERE: Self = Self { start: u32::MAX, end: u32::MAX, written: Written::Plain };
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// As a JSON value.
    Json,
    /// As text that means what it says; `-` is missing.
    Plain,
    /// As text that is a number where it reads as one; `-` is missing.
    Number,
}

/// A field as it stands in its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RawField<'a> {
    pub raw: &'a str,
    /// Where it starts.
    pub at: usize,
    pub written: Written,
}

impl Slots {
    /// Forgets all, and makes room for so many.
    pub fn clear(&mut self, slots: usize) {
        self.0.clear();
        self.0.resize(slots, Place::NOWHERE);
    }

    pub fn put(&mut self, slot: u16, range: Range<usize>, written: Written) {
        let place = |at: usize| u32::try_from(at).expect("a line is shorter than 4 GiB");
        self.0[usize::from(slot)] = Place { start: place(range.start), end: place(range.end), written };
    }

    pub fn forget(&mut self, slot: u16) {
        self.0[usize::from(slot)] = Place::NOWHERE;
    }

    /// The field, if it is there. `text` is the one that was read.
    pub fn get<'a>(&self, text: &'a str, slot: u16) -> Option<RawField<'a>> {
        let Place { start, end, written } = *self.0.get(usize::from(slot))?;
        Some(RawField { raw: text.get(start as usize..end as usize)?, at: start as usize, written })
    }
}

impl<'a> RawField<'a> {
    /// The value. `replaced` says whether it holds a character that stands for bytes which are not UTF-8.
    pub fn decode(self, replaced: bool) -> Found<'a> {
        let text = |text: Cow<'a, str>| match &*text {
            "-" => Found::Missing,
            _ => Found::Text(Text { text, replaced }),
        };
        match self.written {
            Written::Json => Found::of_json(self.raw, replaced),
            Written::Number if super::found::is_number(self.raw) => Found::Number(self.raw.into()),
            Written::Plain | Written::Number => text(self.raw.into()),
        }
    }
}
