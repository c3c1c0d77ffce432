//! One line → its events, or why there are none.

use jiff::Timestamp;

use super::chunk::MapContext;
use super::condition;
use super::event::{Refusal, Written};
use super::formats::delimited::Header;
use super::formats::json;
use super::found::Found;
use super::identity::write_text;
use super::ids::Ids;
use super::rules::{Rule, SourceRules};
use super::scope::{Container, Record, Scope};
use super::segment;
use super::slots::Slots;
use super::stencil;
use crate::model::{Offset, Quarantined};
use crate::polar::limits;

/// Most bytes of one line's events: what a request holds besides its frame.
pub(super) const EVENTS_MAX_BYTES: usize = limits::BODY_MAX_BYTES - 64;

/// Most events of one line. They are never split over requests, and a batch holds at most this many.
const EVENTS_MAX: u16 = 10_000;

/// What becomes of a line that passed the literal test.
#[derive(Debug)]
pub(super) enum Outcome {
    /// No rule matches.
    NoRule,
    /// None of its events lies in the time that is asked for.
    OutOfRange,
    Events(Events),
    Quarantined {
        refusal: Refusal,
        /// The id of the rule that wanted the line.
        rule: Option<String>,
    },
}

impl Outcome {
    /// Whether a rule matched for certain.
    pub fn is_of_match(&self) -> bool {
        matches!(self, Self::OutOfRange | Self::Events(_))
    }
}

/// The events that a line's rules wrote.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Events {
    /// Of the first rule that emitted.
    pub rule: u16,
    pub count: u16,
    pub latest: Option<Timestamp>,
    pub natural_ids: bool,
    pub replaced: u32,
    /// One of them lies in the time that is asked for.
    in_range: bool,
}

/// Buffers kept between lines.
#[derive(Debug, Default)]
pub(super) struct LineScratch {
    line: Slots,
    item: Slots,
    text: String,
    replaced: Vec<usize>,
    /// Owed to events of the body.
    pub ids: Ids,
    duplicate_key: bool,
}

impl LineScratch {
    /// Begins a call with rules of its own.
    pub fn begin(&mut self) {
        self.line.forget_layout();
        self.item.forget_layout();
        self.ids.forget_beyond(0);
    }

    /// Whether a key that the rules name stood twice in the last line that was mapped, if it could be parsed.
    pub fn has_duplicate_key(&self) -> bool {
        self.duplicate_key
    }
}

/// A record, and where it starts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub at: Offset,
    /// Its first line as it stands in the file, without its line end and without a byte order mark: ids come of it.
    pub first: &'a [u8],
    /// What the application wrote: of a plain line the same.
    pub record: &'a [u8],
    pub container: Option<Container<'a>>,
}

/// Maps a line. Its ids are owed then. On anything but events `out` may hold a part of some, which the caller takes off,
/// and their ids with them.
pub(super) fn map_line(
    context: &MapContext<'_>,
    rules: &SourceRules,
    line: Line<'_>,
    header: &Header,
    scratch: &mut LineScratch,
    out: &mut Vec<u8>,
) -> Outcome {
    let LineScratch { line: slots, item, text, replaced, ids, duplicate_key } = scratch;
    *duplicate_key = false;
    let text = readable(line.record, text, replaced);
    if let Err(refusal) = rules.reader.read(text, header, slots) {
        return Outcome::Quarantined { refusal, rule: None };
    }
    *duplicate_key = slots.has_duplicate_key();
    let record = Record { text, slots, origin: 0, replaced };
    let scope = Scope {
        line: record,
        item: None,
        captures: context.captures,
        container: line.container,
        source: &rules.id,
    };
    let start = out.len();
    let mut emitter = Emitter { context, line, ids, duplicate_key, out, start, events: Events::default() };
    for place in rules.choice.of(&scope) {
        let rule = &rules.rules[usize::from(*place)];
        match emitter.apply(rule, rules, &scope, item) {
            Err(refusal) => {
                return Outcome::Quarantined { refusal, rule: Some(rule.settings.id.clone()) };
            }
            Ok(true) if !rule.settings.also => break,
            Ok(_) => {}
        }
    }
    match emitter.events {
        Events { count: 0, .. } => Outcome::NoRule,
        Events { in_range: false, .. } => Outcome::OutOfRange,
        events => Outcome::Events(events),
    }
}

/// The line as text. Each piece that is not UTF-8 becomes U+FFFD, and its place is noted.
pub(super) fn readable<'a>(record: &'a [u8], text: &'a mut String, replaced: &mut Vec<usize>) -> &'a str {
    replaced.clear();
    if let Ok(whole) = std::str::from_utf8(record) {
        return whole;
    }
    text.clear();
    for chunk in record.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            replaced.push(text.len());
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text
}

/// Whether the conditions of a rule, apart from `must`, hold.
pub(super) fn matches(rule: &Rule, scope: &Scope<'_>) -> bool {
    condition::holds(&rule.when, scope)
        && !rule.unless.as_ref().is_some_and(|unless| condition::holds(unless, scope))
}

struct Emitter<'a, 'c> {
    context: &'a MapContext<'c>,
    line: Line<'a>,
    ids: &'a mut Ids,
    duplicate_key: &'a mut bool,
    out: &'a mut Vec<u8>,
    /// Where the line's events start in `out`.
    start: usize,
    events: Events,
}

impl Emitter<'_, '_> {
    /// Writes the events of one rule. True if it matched.
    fn apply(
        &mut self,
        rule: &Rule,
        rules: &SourceRules,
        scope: &Scope<'_>,
        slots: &mut Slots,
    ) -> Result<bool, Refusal> {
        let Some(array) = &rule.explode else {
            let matched = matches(rule, scope);
            if matched {
                self.emit(rule, scope, 0)?;
            }
            return Ok(matched);
        };
        let Some(elements) = exploded(rule, scope, scope.get(array))? else { return Ok(false) };
        let mut matched = false;
        for (index, element) in (0_u32..).zip(elements) {
            if rules.item.read(element, slots).is_err() {
                // The array is valid JSON, and so are its elements.
                continue;
            }
            *self.duplicate_key |= slots.has_duplicate_key();
            let origin = element.as_ptr() as usize - scope.line.text.as_ptr() as usize;
            let item = Record { text: element, slots, origin, replaced: scope.line.replaced };
            let scope = Scope { item: Some(item), ..*scope };
            if matches(rule, &scope) {
                matched = true;
                self.emit(rule, &scope, index)?;
            }
        }
        Ok(matched)
    }

    fn emit(&mut self, rule: &Rule, scope: &Scope<'_>, index: u32) -> Result<(), Refusal> {
        if let Some(must) = &rule.must
            && !condition::holds(must, scope)
        {
            let detail = super::explain::first_unmet(must, rule.settings.must.as_ref(), scope)
                .unwrap_or_else(|| "a condition under `must` does not hold".to_owned());
            return Err(Refusal { reason: Quarantined::Invariant, detail });
        }
        let Self { context, line, ids, .. } = self;
        let position_id = |place| {
            let text = |text: &mut Vec<u8>| write_text(text, line.at, line.first, rule.slot(), index);
            ids.owe(context.stream_key, place, text)
        };
        let written = stencil::write(self.out, rule.stencil.as_ref(), &rule.event, scope, position_id)?;
        if let Some(key) = &context.rules.segment_key {
            segment::write(self.out, key, context.stream_key, line.at);
        }
        if self.ids.are_many() {
            self.ids.pay(context.stream_key, self.out);
        }
        self.count(rule, &written)
    }

    fn count(&mut self, rule: &Rule, written: &Written) -> Result<(), Refusal> {
        let events = &mut self.events;
        if events.count == 0 {
            events.rule = rule.index;
        }
        events.count += 1;
        events.latest = events.latest.max(written.timestamp);
        events.natural_ids |= written.natural_id;
        events.replaced += written.replaced;
        events.in_range |= self.context.rules.range.holds(written.timestamp);
        if events.count > EVENTS_MAX || self.out.len() - self.start > EVENTS_MAX_BYTES {
            let detail =
                format!("the events of one line are at most {EVENTS_MAX} and {EVENTS_MAX_BYTES} bytes");
            return Err(Refusal { reason: Quarantined::TooLarge, detail });
        }
        Ok(())
    }
}

/// The elements to make events of; `None` where the rule does not match for want of an array.
pub(super) fn exploded<'a>(
    rule: &Rule,
    scope: &Scope<'a>,
    array: Found<'a>,
) -> Result<Option<Vec<&'a str>>, Refusal> {
    match array {
        Found::Missing => Ok(None),
        Found::Composite(source) if source.starts_with('[') => Ok(json::elements(source)),
        other if matches(rule, scope) => Err(Refusal {
            reason: Quarantined::BadMetadata,
            detail: format!("explode is {}, not an array", other.kind()),
        }),
        _ => Ok(None),
    }
}
