//! The same journey in words: which fields were read, which rule matched, why the others did not.
//!
//! The outcome is that of [`map`] itself, so an explanation cannot disagree with what is billed.

use std::borrow::Cow;

use jiff::Timestamp;

use super::chunk::{End, MapContext, ReadWindow, Scratch, map};
use super::condition::test_holds;
use super::formats::delimited::Header;
use super::found::Found;
use super::framing;
use super::identity::{record_of, without_mark};
use super::leaving::Leaving;
use super::line::{exploded, matches, readable};
use super::rules::{Rule, Rules, SourceRules};
use super::scope::{Field, Record, Scope};
use super::slots::Slots;
use crate::config::language::{Condition, Root};
use crate::model::chunk::Carry;
use crate::model::{Fate, Ignored, MappedChunk, Offset, Quarantined, SourceIndex};

/// What becomes of one line, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The fields that the rules name, as they stand in the line: path and value.
    pub fields: Vec<(String, String)>,
    /// In the order in which they are tried. Empty where the line could not be parsed.
    pub rules: Vec<RuleVerdict>,
    pub outcome: ExplainedOutcome,
    /// The fields of this line that go to Polar; none where it is not billed.
    pub leaves: Vec<Leaving>,
    /// Values that held bytes which are not UTF-8.
    pub values_not_utf8: u32,
    /// A key that the rules name stands twice: the last one counts.
    pub duplicate_key: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RuleVerdict {
    pub rule: String,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It emits so many events.
    Matched { events: usize },
    /// With the first thing that did not hold.
    NotMatched { why: String },
    /// An earlier rule ended the line's way.
    NotReached,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ExplainedOutcome {
    Billed {
        events: Vec<ExplainedEvent>,
        /// Set where the line waits for Polar's clock to pass its latest timestamp.
        held_until: Option<Timestamp>,
    },
    Ignored(Ignored),
    Quarantined {
        reason: Quarantined,
        /// Which field, and what is wrong with it.
        detail: String,
        rule: Option<String>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct ExplainedEvent {
    /// The rule that made it.
    pub rule: String,
    /// As it would be sent.
    pub json: String,
}

/// Some lines of a file that are one record.
#[derive(Debug, Clone)]
pub struct Excerpt<'a> {
    pub at: Offset,
    /// With their line ends; the last one may lack it.
    pub lines: Cow<'a, [u8]>,
    /// The line before that says what the columns are, where there is one.
    pub header: Option<Cow<'a, [u8]>>,
}

/// The records of a whole file, in the order of their first lines.
#[must_use]
pub fn excerpts<'a>(rules: &'a Rules, source: SourceIndex, bytes: &'a [u8]) -> Vec<Excerpt<'a>> {
    let rules = &rules.sources[usize::from(source.0)];
    let mut header: Option<Cow<'a, [u8]>> = None;
    let mut excerpts = Vec::new();
    for (at, lines) in framing::records(&rules.framing, bytes) {
        let bare = without_mark(record_of(&lines));
        let names =
            rules.framing.header.takes(bare, header.is_some()) && rules.framing.header.names_columns(bare);
        let excerpt = Excerpt { at: Offset(at as u64), lines: Cow::Owned(lines), header: header.clone() };
        if names {
            header = Some(excerpt.lines.clone());
        }
        excerpts.push(excerpt);
    }
    excerpts
}

/// What the application wrote of one record: out of its container, without the line end.
#[must_use]
pub fn text_of(rules: &Rules, source: SourceIndex, excerpt: &Excerpt<'_>) -> Option<Vec<u8>> {
    let rules = &rules.sources[usize::from(source.0)];
    let lines = [&excerpt.lines, b"\n".as_slice()].concat();
    Some(framing::first_record(&rules.framing, &lines)?.bare_text().to_vec())
}

/// Explains one record.
#[must_use]
pub fn explain(context: &MapContext<'_>, excerpt: &Excerpt<'_>) -> Explanation {
    let rules = &context.rules.sources[usize::from(context.source.0)];
    let mut lines = excerpt.lines.to_vec();
    if lines.last() != Some(&b'\n') {
        lines.push(b'\n');
    }
    let header = match &excerpt.header {
        Some(line) => rules.reader.parse_header(&String::from_utf8_lossy(without_mark(record_of(line)))),
        None => Header::default(),
    };
    let (mut fields, mut verdicts) = (Vec::new(), Vec::new());
    let bare = if excerpt.at == Offset::ZERO { without_mark(&lines) } else { &lines };
    if let Some(record) = framing::first_record(&rules.framing, bare) {
        let (mut text, mut replaced, mut slots) = (String::new(), Vec::new(), Slots::default());
        let text = readable(record.bare_text(), &mut text, &mut replaced);
        if rules.reader.read(text, &header, &mut slots).is_ok() {
            let line = Record { text, slots: &slots, origin: 0, replaced: &replaced };
            let container = record.container();
            let scope = Scope { line, item: None, captures: context.captures, container, source: &rules.id };
            fields = named_fields(rules, &scope);
            verdicts = verdicts_of(rules, &scope);
        }
    }
    let (outcome, chunk) = outcome_of(context, excerpt, &lines, &verdicts);
    let fields_there: Vec<&str> =
        fields.iter().filter(|(_, value)| value != "missing").map(|(path, _)| path.as_str()).collect();
    Explanation {
        leaves: leaves_of(rules, &verdicts, &fields_there, &outcome),
        fields,
        rules: verdicts,
        outcome,
        values_not_utf8: chunk.values_not_utf8,
        duplicate_key: chunk.duplicate_keys > 0,
    }
}

/// What the rules that bill the line send of the fields that it has. Of an exploded array's elements all is told.
fn leaves_of(
    rules: &SourceRules,
    verdicts: &[RuleVerdict],
    there: &[&str],
    outcome: &ExplainedOutcome,
) -> Vec<Leaving> {
    let mut leaves: Vec<Leaving> = Vec::new();
    if !matches!(outcome, ExplainedOutcome::Billed { .. }) {
        return leaves;
    }
    let of_rules = rules.rules.iter().zip(verdicts);
    let bill = of_rules.filter(|(_, it)| matches!(it.verdict, Verdict::Matched { events } if events > 0));
    for leaving in bill.flat_map(|(rule, _)| &rule.leaves) {
        let is_there = there.contains(&leaving.field.as_str()) || leaving.field.starts_with("@item");
        if is_there && !leaves.contains(leaving) {
            leaves.push(leaving.clone());
        }
    }
    leaves
}

fn named_fields(rules: &SourceRules, scope: &Scope<'_>) -> Vec<(String, String)> {
    let of_line = rules.named.iter().filter(|(path, _)| path.root != Root::Item);
    let show =
        |field| scope.read(field).map_or_else(|bad| format!("bad: it {}", bad.0), |found| found.show());
    of_line.map(|(path, field)| (path.to_string(), show(field))).collect()
}

fn verdicts_of(rules: &SourceRules, scope: &Scope<'_>) -> Vec<RuleVerdict> {
    let mut ended = false;
    let verdict = |rule: &Rule| {
        let verdict = if ended { Verdict::NotReached } else { verdict_of(rule, rules, scope) };
        ended |= matches!(verdict, Verdict::Matched { .. }) && !rule.settings.also;
        RuleVerdict { rule: rule.settings.id.clone(), verdict }
    };
    rules.rules.iter().map(verdict).collect()
}

fn verdict_of(rule: &Rule, rules: &SourceRules, scope: &Scope<'_>) -> Verdict {
    let Some(array) = &rule.explode else {
        return match why_not(rule, scope) {
            Some(why) => Verdict::NotMatched { why },
            None => Verdict::Matched { events: 1 },
        };
    };
    let found = scope.get(array);
    let missing = found == Found::Missing;
    let elements = match exploded(rule, scope, found) {
        Ok(Some(elements)) => elements,
        // The rule wants the line, which is quarantined for this array.
        Err(_) => return Verdict::Matched { events: 0 },
        Ok(None) => {
            let why =
                if missing { "the array to explode is missing" } else { "there is no array to explode" };
            return Verdict::NotMatched { why: why.to_owned() };
        }
    };
    let mut slots = Slots::default();
    let (mut events, mut first_why) = (0, None);
    for element in &elements {
        if rules.item.read(element, &mut slots).is_err() {
            continue;
        }
        let item = Record { text: element, slots: &slots, origin: 0, replaced: &[] };
        match why_not(rule, &Scope { item: Some(item), ..*scope }) {
            None => events += 1,
            Some(why) => first_why = first_why.or(Some(why)),
        }
    }
    match (events, first_why) {
        (0, None) => Verdict::NotMatched { why: "the array to explode is empty".to_owned() },
        (0, Some(why)) => Verdict::NotMatched { why: format!("no element matches; of the first, {why}") },
        (events, _) => Verdict::Matched { events },
    }
}

fn why_not(rule: &Rule, scope: &Scope<'_>) -> Option<String> {
    if matches(rule, scope) {
        return None;
    }
    let unmet = first_unmet(&rule.when, Some(&rule.settings.when), scope);
    Some(unmet.unwrap_or_else(|| "all conditions of `unless` hold".to_owned()))
}

fn outcome_of(
    context: &MapContext<'_>,
    excerpt: &Excerpt<'_>,
    lines: &[u8],
    verdicts: &[RuleVerdict],
) -> (ExplainedOutcome, MappedChunk) {
    let context = MapContext { expected: None, long_line: None, room: usize::MAX, ..*context };
    let window = ReadWindow {
        end: End::File { beyond: b"" },
        // Where the header stands does not matter, only what it says.
        carry: Carry { header: excerpt.header.as_ref().map(|_| Offset::ZERO), ..Carry::default() },
        header: excerpt.header.as_deref().unwrap_or_default(),
        ..ReadWindow::new(b"", excerpt.at, lines)
    };
    let chunk = map(&context, window, &mut Scratch::default()).expect("no guard is expected");
    let fate = chunk.settled.iter().chain(chunk.in_letters.iter()).map(|(fate, _)| fate).next();
    let outcome = match fate {
        Some(Fate::Ignored(reason)) => ExplainedOutcome::Ignored(reason),
        Some(Fate::Quarantined(reason)) => {
            let letter: serde_json::Value = serde_json::from_slice(&chunk.letters).unwrap_or_default();
            let text = |key: &str| letter[key].as_str().map(str::to_owned);
            let detail = text("detail").unwrap_or_default();
            ExplainedOutcome::Quarantined { reason, detail, rule: text("rule") }
        }
        Some(Fate::Billed) | None => {
            let held = chunk.held.first();
            let body = held.map_or(&chunk.body, |held| &held.body);
            ExplainedOutcome::Billed {
                events: events_of(body, verdicts),
                held_until: held.map(|held| held.due),
            }
        }
    };
    (outcome, chunk)
}

/// The events of a body with the rules that made them: rules emit in their order.
fn events_of(body: &[u8], verdicts: &[RuleVerdict]) -> Vec<ExplainedEvent> {
    let array = [b"[", body.strip_suffix(b",").unwrap_or(body), b"]"].concat();
    let events: Vec<&serde_json::value::RawValue> =
        serde_json::from_slice(&array).expect("mapping writes JSON");
    let makers = verdicts.iter().flat_map(|verdict| match verdict.verdict {
        Verdict::Matched { events } => std::iter::repeat_n(verdict.rule.as_str(), events),
        Verdict::NotMatched { .. } | Verdict::NotReached => std::iter::repeat_n("", 0),
    });
    let event = |(raw, rule): (&serde_json::value::RawValue, &str)| ExplainedEvent {
        rule: rule.to_owned(),
        json: raw.get().to_owned(),
    };
    events.into_iter().zip(makers).map(event).collect()
}

/// The first test that does not hold, with the value that it met.
pub(super) fn first_unmet(
    resolved: &Condition<Field>,
    written: Option<&Condition>,
    scope: &Scope<'_>,
) -> Option<String> {
    match (resolved, written?) {
        (Condition::All(resolved), Condition::All(written)) => resolved
            .iter()
            .zip(written)
            .find_map(|(resolved, written)| first_unmet(resolved, Some(written), scope)),
        (Condition::Any(resolved), Condition::Any(written)) => {
            let mut unmet = Vec::new();
            for (resolved, written) in resolved.iter().zip(written) {
                unmet.push(first_unmet(resolved, Some(written), scope)?);
            }
            Some(if unmet.is_empty() { "`any` has no choice".to_owned() } else { unmet.join(", and ") })
        }
        (Condition::Tests { path: field, tests: resolved }, Condition::Tests { path, tests: written }) => {
            let (found, bad) = match scope.read(field) {
                Ok(found) => (found, None),
                Err(bad) => (Found::Missing, Some(bad.0)),
            };
            let (_, test) =
                resolved.iter().zip(written).find(|(resolved, _)| !test_holds(resolved, &found, scope))?;
            Some(match bad {
                Some(bad) => format!("{path} {bad}"),
                None => format!("{path} is {}, not {test}", found.show()),
            })
        }
        _ => None,
    }
}
