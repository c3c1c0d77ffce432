//! What `floe explain` says of a line: which of its fields leave the host, and all of it as JSON.

use std::collections::BTreeMap;
use std::io::{self, Write};

use owo_colors::OwoColorize as _;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::mapping::{ExplainedEvent, ExplainedOutcome, Explanation, RuleVerdict, Verdict};

/// The fields that go to Polar, in which form, and those that only rules look at.
pub(super) fn tell_leaving(out: &mut impl Write, explanation: &Explanation) -> io::Result<()> {
    if !matches!(explanation.outcome, ExplainedOutcome::Billed { .. }) {
        return writeln!(out, "  nothing of this line leaves the host");
    }
    if !explanation.leaves.is_empty() {
        writeln!(out, "  {}", "leaves the host".bold())?;
    }
    let width = explanation.leaves.iter().map(|it| it.field.chars().count()).max().unwrap_or(0);
    let forms = explanation.leaves.iter().map(|it| it.form.name().len()).max().unwrap_or(0);
    for leaving in &explanation.leaves {
        let (field, form, to) = (&leaving.field, leaving.form.name(), &leaving.to);
        writeln!(out, "    {field:width$}  {form:forms$}  {} {to}", "→".dimmed())?;
    }
    let all =
        if explanation.leaves.is_empty() { "all that the line says" } else { "all else that the line says" };
    let stays = stays(explanation);
    let named = if stays.is_empty() { String::new() } else { format!("{}, and ", stays.join(", ")) };
    writeln!(out, "  {} {named}{all}", "stays here:".bold())
}

/// Fields that the rules look at and do not send.
fn stays(explanation: &Explanation) -> Vec<&str> {
    let leaves = |field: &str| explanation.leaves.iter().any(|leaving| leaving.field == field);
    let there = explanation.fields.iter().filter(|(_, value)| value != "missing");
    // What a preset makes of fields is none of the line's own.
    let of_line = there.map(|(field, _)| field.as_str()).filter(|field| !field.starts_with("@preset"));
    of_line.filter(|field| !leaves(field)).collect()
}

/// The explanation of one record, as a line of JSON.
#[derive(Debug, Serialize)]
struct Explained<'a> {
    file: &'a str,
    line: usize,
    at: u64,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held_until: Option<String>,
    /// As they are shown, null where the line lacks them.
    fields: BTreeMap<&'a str, Option<&'a str>>,
    rules: Vec<RuleSays<'a>>,
    events: Vec<EventOf<'a>>,
    leaves: Vec<Leaves<'a>>,
    stays: Vec<&'a str>,
    values_not_utf8: u32,
    duplicate_key: bool,
}

#[derive(Debug, Serialize)]
struct RuleSays<'a> {
    rule: &'a str,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct EventOf<'a> {
    rule: &'a str,
    /// Byte for byte as it would be sent.
    event: &'a RawValue,
}

#[derive(Debug, Serialize)]
struct Leaves<'a> {
    field: &'a str,
    form: &'static str,
    to: &'a str,
}

pub(super) fn as_json(file: &str, line: usize, at: u64, explanation: &Explanation) -> String {
    let fields = explanation.fields.iter().map(|(path, value)| (path.as_str(), value.as_str()));
    let leaves = explanation.leaves.iter();
    let mut explained = Explained {
        file,
        line,
        at,
        outcome: "billed",
        reason: None,
        detail: None,
        held_until: None,
        fields: fields.map(|(path, value)| (path, Some(value).filter(|it| *it != "missing"))).collect(),
        rules: explanation.rules.iter().map(says).collect(),
        events: Vec::new(),
        leaves: leaves.map(|it| Leaves { field: &it.field, form: it.form.name(), to: &it.to }).collect(),
        stays: stays(explanation),
        values_not_utf8: explanation.values_not_utf8,
        duplicate_key: explanation.duplicate_key,
    };
    match &explanation.outcome {
        ExplainedOutcome::Billed { events, held_until } => {
            explained.events = events.iter().map(event).collect();
            explained.held_until = held_until.map(|due| due.to_string());
        }
        ExplainedOutcome::Ignored(reason) => {
            explained.outcome = "ignored";
            explained.reason = Some(reason.code());
        }
        ExplainedOutcome::Quarantined { reason, detail, .. } => {
            explained.outcome = "quarantined";
            explained.reason = Some(reason.code());
            explained.detail = Some(detail);
        }
    }
    serde_json::to_string(&explained).expect("plain records are always JSON")
}

fn event(event: &ExplainedEvent) -> EventOf<'_> {
    let raw = serde_json::from_str(&event.json).expect("mapping writes JSON");
    EventOf { rule: &event.rule, event: raw }
}

fn says(rule: &RuleVerdict) -> RuleSays<'_> {
    let (verdict, why) = match &rule.verdict {
        Verdict::Matched { .. } => ("matched", None),
        Verdict::NotMatched { why } => ("not_matched", Some(why.as_str())),
        Verdict::NotReached => ("not_tried", None),
    };
    RuleSays { rule: &rule.rule, verdict, why }
}
