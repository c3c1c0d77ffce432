//! The same journey in words: which fields were read, which rule matched, why the others did not.
//!
//! The outcome is that of [`map`] itself, so an explanation cannot disagree with what is billed.

use jiff::Timestamp;

use super::chunk::{MapContext, ReadWindow, Scratch, map};
use super::condition::test_holds;
use super::formats::delimited::Header;
use super::found::Found;
use super::identity::{BYTE_ORDER_MARK, record_of};
use super::line::{exploded, matches, readable};
use super::rules::{Rule, SourceRules};
use super::scope::{Field, Record, Scope};
use super::slots::Slots;
use crate::config::language::{Condition, Root};
use crate::model::{Fate, Ignored, Offset, Quarantined};

/// What becomes of one line, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The fields that the rules name, as they stand in the line: path and value.
    pub fields: Vec<(String, String)>,
    /// In the order in which they are tried. Empty where the line could not be parsed.
    pub rules: Vec<RuleVerdict>,
    pub outcome: ExplainedOutcome,
    /// Values that held bytes which are not UTF-8.
    pub values_not_utf8: u32,
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

/// Explains the line that starts at `at`, with or without its line end.
#[must_use]
pub fn explain(context: &MapContext<'_>, at: Offset, line: &[u8]) -> Explanation {
    let record = record_of(line);
    let rules = &context.rules.sources[usize::from(context.source.0)];
    let mut text = String::new();
    let mut replaced = Vec::new();
    let bare =
        if at == Offset::ZERO { record.strip_prefix(BYTE_ORDER_MARK).unwrap_or(record) } else { record };
    let text = readable(bare, &mut text, &mut replaced);
    let mut slots = Slots::default();
    let (mut fields, mut verdicts) = (Vec::new(), Vec::new());
    if rules.reader.read(text, &Header::default(), &mut slots).is_ok() {
        let line = Record { text, slots: &slots, origin: 0, replaced: &replaced };
        let scope = Scope { line, item: None, captures: context.captures, source: &rules.id };
        fields = named_fields(rules, &scope);
        verdicts = verdicts_of(rules, &scope);
    }
    let (outcome, values_not_utf8) = outcome_of(context, at, record, &verdicts);
    Explanation { fields, rules: verdicts, outcome, values_not_utf8 }
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
    at: Offset,
    record: &[u8],
    verdicts: &[RuleVerdict],
) -> (ExplainedOutcome, u32) {
    let context = MapContext { expected: None, long_line: None, room: usize::MAX, ..*context };
    let bytes = [record, b"\n"].concat();
    let window = ReadWindow { before: b"", base: at, bytes: &bytes };
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
    (outcome, chunk.values_not_utf8)
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
