//! Where the quotes of `delimited` stand in a record that is not whole yet.
//!
//! A line inside an open quote is text, whatever it looks like: whoever may write the value would else write records of
//! his own. A quote that follows no delimiter, and text behind a closing quote, are read as the format reads them.

use crate::config::settings::{Delimited, SourceSettings};

/// How the records of a source are quoted.
#[derive(Debug)]
pub(super) struct Quoting {
    delimiter: u8,
    /// Stands before the first value.
    prefix: Option<regex::bytes::Regex>,
}

/// What the next byte of a record belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The first byte of a value.
    Value,
    /// A value without quotes.
    Plain,
    /// A value in quotes: the quote is open.
    Quoted,
    /// Behind a quote in such a value: it closes it, or another one follows.
    Quote,
    /// Nothing, since what stands before is not of the format.
    Broken,
}

impl Place {
    pub fn is_open(self) -> bool {
        self == Self::Quoted
    }
}

impl Quoting {
    pub fn new(source: &SourceSettings, delimited: &Delimited) -> Self {
        Self { delimiter: delimited.delimiter, prefix: source.prefix.as_ref().map(super::for_bytes) }
    }

    /// Behind the first bytes of a record.
    pub fn begin(&self, text: &[u8]) -> Place {
        let prefix = self.prefix.as_ref().and_then(|prefix| prefix.find(text));
        let from = prefix.filter(|found| found.start() == 0).map_or(0, |found| found.end());
        self.go_on(Place::Value, &text[from..])
    }

    /// Behind `text`, which stands at `place`.
    pub fn go_on(&self, place: Place, text: &[u8]) -> Place {
        text.iter().fold(place, |place, byte| match (place, *byte) {
            (Place::Quoted, b'"') => Place::Quote,
            (Place::Value | Place::Quote, b'"') | (Place::Quoted, _) => Place::Quoted,
            (Place::Value | Place::Plain | Place::Quote, byte) if byte == self.delimiter => Place::Value,
            (Place::Value | Place::Plain, _) => Place::Plain,
            // The line end of a record whose last value is quoted.
            (Place::Quote, b'\r') => Place::Quote,
            (Place::Quote | Place::Broken, _) => Place::Broken,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, wanted: Place) {
        let quoting = Quoting { delimiter: b',', prefix: None };
        assert_eq!(quoting.begin(text.as_bytes()), wanted, "{text}");
        for cut in 0..=text.len() {
            let (head, tail) = text.as_bytes().split_at(cut);
            assert_eq!(quoting.go_on(quoting.begin(head), tail), wanted, "{text} cut at {cut}");
        }
    }

    #[test]
    fn a_quote_is_open_up_to_the_one_that_closes_it() {
        check("", Place::Value);
        check("a", Place::Plain);
        check("a,", Place::Value);
        check("a\"b,c\"", Place::Plain);
        check("a,\"b", Place::Quoted);
        check("a,\"b,\nc", Place::Quoted);
        check("a,\"b\"", Place::Quote);
        check("a,\"b\"\"", Place::Quoted);
        check("a,\"b\"\"c\",d", Place::Plain);
        check("\"\"", Place::Quote);
        check("\"\"\"", Place::Quoted);
        check("\"a\"\r", Place::Quote);
        check("\"a\"\n", Place::Broken);
        check("\"a\"b,\"c", Place::Broken);
    }

    #[test]
    fn what_stands_before_the_first_value_is_not_of_it() {
        let prefix = regex::bytes::Regex::new("^<[^>]*>").unwrap();
        let quoting = Quoting { delimiter: b';', prefix: Some(prefix) };
        assert_eq!(quoting.begin(b"<a;\"b>c;d"), Place::Plain);
        assert_eq!(quoting.begin(b"<x>\"c;d"), Place::Quoted);
    }
}
