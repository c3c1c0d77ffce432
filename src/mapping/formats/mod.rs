//! How a line is written: one small pure parser for each format, behind one door.
//!
//! A parser looks for the fields that rules name and leaves where they stand; it builds no tree of the line. What a
//! line must be in its format it proves for the whole line, whatever fields are wanted. Time is linear in the line.

mod access;
pub(super) mod delimited;
pub(super) mod json;
mod logfmt;
mod pattern;
mod scan;
mod syslog;
#[cfg(test)]
mod tests;

use std::ops::Range;

use self::delimited::{Delimited, Header};
use self::json::Trie;
use self::pattern::Pattern;
use super::event::Refusal;
use super::slots::{Slots, Written};
use crate::config::fields::name_of;
use crate::config::language::{Path, Step};
use crate::config::settings::{Format, SourceSettings};
use crate::model::Quarantined;

/// Reads the records of one source.
#[derive(Debug)]
pub(super) struct Reader {
    /// How many fields are wanted.
    slots: usize,
    /// Taken off before the format reads the rest.
    prefix: Option<Pattern>,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Json(Trie),
    Logfmt(Names),
    Pattern(Pattern),
    Delimited(Delimited),
    Access(access::Dialect, Names),
    SyslogRfc5424(Names),
    SyslogRfc3164(Names),
}

/// Why a parser refuses a line: a sentence's end for an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
struct NotParsed(String);

/// The wanted fields of a format without nesting, by name. A path of several steps is a name with dots.
#[derive(Debug, Default)]
struct Names(Vec<(Box<str>, u16)>);

impl Reader {
    /// `wanted`: the paths that the rules name, with their slots.
    pub fn new(source: &SourceSettings, wanted: &Trie) -> Self {
        let names = Names::new(wanted);
        let prefix = source.prefix.as_ref().map(|regex| Pattern::new(regex, &names));
        let body = match &source.format {
            Format::Json => Body::Json(wanted.clone()),
            Format::Logfmt => Body::Logfmt(names),
            Format::Regex(regex) => Body::Pattern(Pattern::new(regex, &names)),
            Format::Delimited(settings) => Body::Delimited(Delimited::new(settings, names)),
            Format::NginxCombined => Body::Access(access::Dialect::Nginx, names),
            Format::ApacheCombined => Body::Access(access::Dialect::Apache, names),
            Format::SyslogRfc5424 => Body::SyslogRfc5424(names),
            Format::SyslogRfc3164 => Body::SyslogRfc3164(names),
        };
        Self { slots: wanted.slots(), prefix, body }
    }

    /// Finds the wanted fields of `text`. `header` is what the file says of its columns.
    ///
    /// # Errors
    /// When the line is not of this format, or has not the prefix.
    pub fn read(&self, text: &str, header: &Header, slots: &mut Slots) -> Result<(), Refusal> {
        slots.clear(self.slots);
        let refusal = |NotParsed(detail)| Refusal { reason: Quarantined::InvalidFormat, detail };
        let from = match &self.prefix {
            Some(prefix) => {
                prefix.read_prefix(text, slots).map_err(|fault| refusal(fault.of("the prefix")))?
            }
            None => 0,
        };
        let parsed = match &self.body {
            Body::Json(trie) => {
                let refusal =
                    |fault: json::NotJson| Refusal { reason: Quarantined::InvalidJson, detail: fault.0 };
                return trie.read_from(text, from, slots).map_err(refusal);
            }
            Body::Logfmt(names) => logfmt::read(text, from, names, slots),
            Body::Pattern(pattern) => {
                pattern.read(text, from, slots).map_err(|fault| fault.of("the pattern"))
            }
            Body::Delimited(delimited) => delimited.read(text, from, header, slots),
            Body::Access(dialect, names) => access::read(*dialect, text, from, names, slots),
            Body::SyslogRfc5424(names) => syslog::read_rfc5424(text, from, names, slots),
            Body::SyslogRfc3164(names) => syslog::read_rfc3164(text, from, names, slots),
        };
        parsed.map_err(refusal)
    }

    /// The names of the columns, out of a line that says them. What stands before the lines as their prefix may stand
    /// before this one too.
    pub fn parse_header(&self, line: &str) -> Header {
        let Body::Delimited(delimited) = &self.body else { return Header::default() };
        let mut slots = Slots::default();
        slots.clear(self.slots);
        let prefix = self.prefix.as_ref().and_then(|prefix| prefix.read_prefix(line, &mut slots).ok());
        delimited.parse_header(line, prefix.unwrap_or(0))
    }
}

/// Whether a format computes this field. Its text does not stand in the line, so the literal test must not look for it.
pub(super) fn is_computed(format: &Format, path: &Path) -> bool {
    match format {
        Format::SyslogRfc5424 | Format::SyslogRfc3164 => {
            syslog::COMPUTED.contains(&name_of(&path.steps).as_str())
        }
        _ => false,
    }
}

impl NotParsed {
    fn of(self, what: &str) -> Self {
        Self(format!("{what} {}", self.0))
    }
}

impl Names {
    fn new(wanted: &Trie) -> Self {
        let named = |(steps, slot): (Vec<Step>, u16)| (name_of(&steps).into_boxed_str(), slot);
        Self(wanted.paths().into_iter().map(named).collect())
    }

    /// The slots of a name: two paths may be one name.
    fn slots_of(&self, name: &str) -> impl Iterator<Item = u16> {
        self.0.iter().filter(move |(wanted, _)| **wanted == *name).map(|(_, slot)| *slot)
    }

    /// Notes where the field stands, if it is wanted. Of a name that comes twice the last counts.
    fn put(&self, slots: &mut Slots, name: &str, range: Range<usize>, written: Written) {
        for slot in self.slots_of(name) {
            slots.put(slot, range.clone(), written);
        }
    }

    /// As [`Names::put`], of a name that is made of these steps.
    fn put_nested(&self, slots: &mut Slots, steps: [&str; 3], range: Range<usize>, written: Written) {
        let is_it = |wanted: &str| {
            let rest = wanted.strip_prefix(steps[0]).and_then(|rest| rest.strip_prefix('.'));
            let rest = rest.and_then(|rest| rest.strip_prefix(steps[1])?.strip_prefix('.'));
            rest == Some(steps[2])
        };
        for (_, slot) in self.0.iter().filter(|(wanted, _)| is_it(wanted)) {
            slots.put(*slot, range.clone(), written);
        }
    }
}
