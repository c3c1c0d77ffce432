//! `regex` and `prefix`: the named groups are the fields.

use std::ops::Range;

use regex::Regex;

use super::{Names, NotParsed};
use crate::mapping::slots::{Slots, Written};

/// An expression, and which of its groups are wanted.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    /// The number of a group, and the slots that it fills.
    groups: Vec<(usize, Vec<u16>)>,
}

impl Pattern {
    pub fn new(regex: &Regex, names: &Names) -> Self {
        let named = regex.capture_names().enumerate();
        let wanted =
            named.filter_map(|(group, name)| Some((group, names.slots_of(name?).collect::<Vec<_>>())));
        let groups = wanted.filter(|(_, slots)| !slots.is_empty()).collect();
        Self { regex: regex.clone(), groups }
    }

    /// Finds the groups in what stands from `from` on; the match may be anywhere in it.
    pub fn read(&self, text: &str, from: usize, slots: &mut Slots) -> Result<(), NotParsed> {
        self.find(text, from, slots).map(|_| ()).ok_or_else(not_there)
    }

    /// As [`Pattern::read`], but the match must be at the start of `text`; says where it ends.
    pub fn read_prefix(&self, text: &str, slots: &mut Slots) -> Result<usize, NotParsed> {
        // A search finds the leftmost match: if that is not at the start, none is.
        let found = self.find(text, 0, slots).filter(|found| found.start == 0);
        found.map(|found| found.end).ok_or_else(not_there)
    }

    /// Fills the slots of the groups; says where the whole match stands.
    fn find(&self, text: &str, from: usize, slots: &mut Slots) -> Option<Range<usize>> {
        let rest = &text[from..];
        let place = |range: Range<usize>| from + range.start..from + range.end;
        if self.groups.is_empty() {
            // Without groups the search is several times quicker.
            return self.regex.find(rest).map(|found| place(found.range()));
        }
        let found = self.regex.captures(rest)?;
        for (group, wanted) in &self.groups {
            let Some(group) = found.get(*group) else { continue };
            for slot in wanted {
                slots.put(*slot, place(group.range()), Written::Plain);
            }
        }
        found.get(0).map(|whole| place(whole.range()))
    }
}

fn not_there() -> NotParsed {
    NotParsed("does not match the line".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Format;
    use crate::mapping::formats::tests::{check, refused};

    fn format(pattern: &str) -> Format {
        Format::Regex(Regex::new(pattern).unwrap())
    }

    #[test]
    fn the_named_groups_are_fields() {
        let pattern = format(r"(?<user>\w+)=(?<n>\d+)(?: (?<rest>.+))?");
        check(&pattern, "é: x=7 y é", &[("user", "\"x\""), ("n", "\"7\""), ("rest", "\"y é\"")]);
        check(&pattern, "x=7", &[("user", "\"x\""), ("rest", "missing"), ("other", "missing")]);
        check(&pattern, "x=7", &[("other", "missing")]);
        let pattern = format("^(?<a>.*),(?<b>.*)$");
        check(&pattern, "-,", &[("a", "missing"), ("b", "\"\"")]);
    }

    #[test]
    fn a_line_that_it_does_not_match_is_refused() {
        refused(&format("^(?<a>[0-9]+)$"), "7a", "the pattern does not match the line");
        refused(&format("(?<a>[0-9]+)"), "", "the pattern does not match the line");
    }
}
