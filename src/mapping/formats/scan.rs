//! A place in a line that moves on by what a format expects there.

use std::ops::Range;

use super::NotParsed;

pub(super) struct Scan<'a> {
    text: &'a str,
    /// On a character boundary of `text`.
    at: usize,
}

impl<'a> Scan<'a> {
    pub fn new(text: &'a str, at: usize) -> Self {
        Self { text, at }
    }

    pub fn at(&self) -> usize {
        self.at
    }

    /// What is not read yet.
    pub fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub fn is_at_end(&self) -> bool {
        self.rest().is_empty()
    }

    /// Moves past `sign`, if it stands here.
    pub fn take(&mut self, sign: &str) -> bool {
        let there = self.rest().starts_with(sign);
        if there {
            self.at += sign.len();
        }
        there
    }

    /// Moves past `sign`; `what` names what should stand here, for people.
    pub fn expect(&mut self, sign: &str, what: &str) -> Result<(), NotParsed> {
        if self.take(sign) { Ok(()) } else { Err(self.expected(what)) }
    }

    /// Moves past one sign of ASCII, if it stands here.
    pub fn take_byte(&mut self, sign: u8) -> bool {
        let there = self.rest().as_bytes().first() == Some(&sign);
        self.at += usize::from(there);
        there
    }

    /// Moves to the first byte for which `ends` holds, or to the end. Of the bytes of longer characters `ends` must
    /// say the same, so that the place is the start of one.
    pub fn until(&mut self, ends: impl Fn(u8) -> bool) -> Range<usize> {
        let start = self.at;
        let length = self.rest().bytes().position(ends);
        self.at = length.map_or(self.text.len(), |length| start + length);
        start..self.at
    }

    /// A word: what stands here up to a space or the end, if that is not nothing.
    pub fn word(&mut self, what: &str) -> Result<Range<usize>, NotParsed> {
        let start = self.at;
        let space = memchr::memchr(b' ', self.rest().as_bytes());
        self.at = space.map_or(self.text.len(), |space| start + space);
        if self.at == start { Err(self.expected(what)) } else { Ok(start..self.at) }
    }

    /// A word and the space behind it.
    pub fn word_and_space(&mut self, what: &str) -> Result<Range<usize>, NotParsed> {
        let word = self.word(what)?;
        self.expect(" ", "a space")?;
        Ok(word)
    }

    /// The digits that stand here.
    pub fn digits(&mut self) -> Range<usize> {
        self.until(|byte| !byte.is_ascii_digit())
    }

    /// Moves behind the next quote before which no backslash stands that escapes it; says what is before it.
    pub fn until_quote(&mut self) -> Result<Range<usize>, NotParsed> {
        let start = self.at;
        let mut at = start;
        while let Some(found) = memchr::memchr2(b'"', b'\\', &self.text.as_bytes()[at..]) {
            at += found;
            if self.text.as_bytes()[at] == b'"' {
                self.at = at + 1;
                return Ok(start..at);
            }
            // The byte behind a backslash may begin a longer character: its other bytes are neither of the two.
            at = (at + 2).min(self.text.len());
        }
        Err(NotParsed(format!("the quote at column {start} is not closed")))
    }

    pub fn expected(&self, what: &str) -> NotParsed {
        NotParsed(format!("{what} is expected at column {}", self.at + 1))
    }
}
