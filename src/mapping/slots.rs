//! Where the wanted fields of a line stand, and how they are written there.
//!
//! A format's parser fills them; a value is decoded only where a rule uses it.

use std::borrow::Cow;
use std::ops::Range;

use super::escapes;
use super::formats::json::Layout;
use super::found::{Found, Text, is_number};

/// Where each wanted field stands in its text.
#[derive(Debug, Clone, Default)]
pub(super) struct Slots {
    places: Vec<Place>,
    /// A key that is wanted, or leads to one, stood twice in one object.
    duplicate_key: bool,
    /// How the lines of JSON before were laid out.
    layout: Layout,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    start: u32,
    end: u32,
    written: Written,
}

impl Place {
    const NOWHERE: Self = Self { start: u32::MAX, end: u32::MAX, written: Written::Plain };
}

/// How a value is written. In all but JSON `-` is missing: so their writers say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// As a JSON value.
    Json,
    /// As a JSON string without an escape.
    JsonText,
    /// As text that means what it says.
    Plain,
    /// As text that is a number where it reads as one.
    Number,
    /// As text with backslash escapes.
    Escaped,
    /// As text with its quotes doubled.
    Doubled,
    /// As a value of syslog's structured data.
    StructuredData,
    /// As the facility in syslog's priority: its digits.
    Facility,
    /// As the severity in syslog's priority: its digits.
    Severity,
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
        self.places.clear();
        self.places.resize(slots, Place::NOWHERE);
        self.duplicate_key = false;
    }

    pub fn note_duplicate_key(&mut self, there_is: bool) {
        self.duplicate_key = there_is;
    }

    pub fn has_duplicate_key(&self) -> bool {
        self.duplicate_key
    }

    /// Takes the layout out, to be changed while places are noted.
    pub fn take_layout(&mut self) -> Layout {
        std::mem::take(&mut self.layout)
    }

    pub fn put_layout_back(&mut self, layout: Layout) {
        self.layout = layout;
    }

    pub fn forget_layout(&mut self) {
        self.layout.forget();
    }

    #[inline]
    pub fn put(&mut self, slot: u16, range: Range<usize>, written: Written) {
        let place = |at: usize| u32::try_from(at).expect("a line is shorter than 4 GiB");
        self.places[usize::from(slot)] = Place { start: place(range.start), end: place(range.end), written };
    }

    /// Forgets what was found as JSON.
    pub fn forget_json(&mut self) {
        let is_json = |place: &&mut Place| matches!(place.written, Written::Json | Written::JsonText);
        let found = self.places.iter_mut().filter(is_json);
        found.for_each(|place| *place = Place::NOWHERE);
    }

    pub fn forget(&mut self, slot: u16) {
        self.places[usize::from(slot)] = Place::NOWHERE;
    }

    /// The field's source text, if it is a JSON string without an escape, quotes included.
    #[inline]
    pub fn json_text<'a>(&self, text: &'a str, slot: u16) -> Option<&'a str> {
        let Place { start, end, written: Written::JsonText } = *self.places.get(usize::from(slot))? else {
            return None;
        };
        text.get(start as usize..end as usize)
    }

    /// The field's source text, if it is any other JSON value.
    #[inline]
    pub fn json_value<'a>(&self, text: &'a str, slot: u16) -> Option<&'a str> {
        let Place { start, end, written: Written::Json } = *self.places.get(usize::from(slot))? else {
            return None;
        };
        text.get(start as usize..end as usize)
    }

    /// The field as it stands in the text, and how it is written there.
    #[inline]
    pub fn source<'a>(&self, text: &'a str, slot: u16) -> Option<(&'a str, Written)> {
        let Place { start, end, written } = *self.places.get(usize::from(slot))?;
        Some((text.get(start as usize..end as usize)?, written))
    }

    /// The field, if it is there. `text` is the one that was read.
    pub fn get<'a>(&self, text: &'a str, slot: u16) -> Option<RawField<'a>> {
        let Place { start, end, written } = *self.places.get(usize::from(slot))?;
        let raw = text.get(start as usize..end as usize);
        debug_assert!(raw.is_some() || start == Place::NOWHERE.start, "a field lies within its line");
        Some(RawField { raw: raw?, at: start as usize, written })
    }
}

impl<'a> RawField<'a> {
    /// The value. `replaced` says whether it holds a character that stands for bytes which are not UTF-8.
    pub fn decode(self, replaced: bool) -> Found<'a> {
        match self.written {
            Written::Json => Found::of_json(self.raw, replaced),
            Written::JsonText => Found::Text(Text { text: self.raw[1..self.raw.len() - 1].into(), replaced }),
            _ if self.raw == "-" => Found::Missing,
            Written::Plain => Found::Text(Text { text: self.raw.into(), replaced }),
            Written::Number => {
                number(self.raw).unwrap_or_else(|| Found::Text(Text { text: self.raw.into(), replaced }))
            }
            Written::Escaped => Found::Text(escapes::backslashes(self.raw, replaced)),
            Written::Doubled => Found::Text(escapes::doubled_quotes(self.raw, replaced)),
            Written::StructuredData => Found::Text(escapes::structured_data(self.raw, replaced)),
            Written::Facility => of_priority(self.raw, |priority| priority / 8),
            Written::Severity => of_priority(self.raw, |priority| priority % 8),
        }
    }
}

/// The number that a text reads as, written as JSON has it: `007` is 7.
fn number(text: &str) -> Option<Found<'_>> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text),
    };
    let zeros = digits.bytes().take_while(|byte| *byte == b'0').count();
    let before_digit = |at: &usize| digits.as_bytes().get(*at).is_some_and(u8::is_ascii_digit);
    let needless = if before_digit(&zeros) { zeros } else { zeros.saturating_sub(1) };
    let source = match (needless, sign) {
        (0, _) => Cow::Borrowed(text),
        (_, "") => Cow::Borrowed(&digits[needless..]),
        (_, sign) => Cow::Owned(format!("{sign}{}", &digits[needless..])),
    };
    is_number(text).then_some(Found::Number(source))
}

fn of_priority<'a>(digits: &str, part: fn(u8) -> u8) -> Found<'a> {
    match digits.parse() {
        Ok(priority) => Found::Decimal(part(priority).into()),
        Err(_) => Found::Missing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_as_json_has_it() {
        for (text, wanted) in [
            ("0", Some("0")),
            ("200", Some("200")),
            ("000", Some("0")),
            ("007", Some("7")),
            ("-007", Some("-7")),
            ("-00", Some("-0")),
            ("00.50", Some("0.50")),
            ("01e3", Some("1e3")),
            ("00e3", Some("0e3")),
            ("1.5", Some("1.5")),
            ("", None),
            ("x", None),
            ("0x1", None),
            ("1_000", None),
        ] {
            let found = number(text).map(|found| found.show());
            assert_eq!(found.as_deref(), wanted, "{text}");
        }
    }
}
