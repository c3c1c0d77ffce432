//! What a meter makes of the events that it takes: whether it finds a number, and whether one event is one.

use std::collections::BTreeMap;

use serde_json::Value;

use super::findings::{BILLED_AS_NOTHING, how_to_send};
use super::outline::Sent;
use super::subject::{Seen, Subject};
use crate::config::names::Name;
use crate::config::{Fault, WarningCode};
use crate::polar::meters::{Adds, Aggregation, Function, Meter, WhyNothing, at_property};

pub(super) fn of_aggregation(subject: &Subject<'_>, meter: &Meter) -> Option<Fault> {
    let property = meter.aggregation.property()?;
    if matches!(property, "name" | "source" | "timestamp") {
        return None;
    }
    let id = subject.id();
    let what = format!("the meter \"{}\" {} \"{property}\"", meter.name, does(&meter.aggregation));
    let is_unique = matches!(meter.aggregation, Aggregation::Unique { .. });
    let not_sent = || {
        let message = format!("{what}, which the rule \"{id}\" does not send");
        Fault::warning(WarningCode::NotSent, &subject.places.event, message)
            .label(BILLED_AS_NOTHING)
            .hint(how_to_send(&subject.outline, property))
    };
    let wrong = |kind: &str, label: String| {
        let message = format!("{what}, which the rule \"{id}\" sends as a {kind}");
        Fault::warning(WarningCode::NotANumber, subject.place(property), message)
            .label(label)
            .hint("make it a number: `| int` or `| decimal`")
    };
    let Some(sent) = subject.outline.properties.get(property) else { return Some(not_sent()) };
    if is_unique {
        return None;
    }
    match sent {
        Sent::Text => Some(wrong("text", BILLED_AS_NOTHING.into())),
        Sent::Bool => Some(wrong("truth value", BILLED_AS_NOTHING.into())),
        Sent::Constant(value) if value.is_string() => Some(wrong("text", BILLED_AS_NOTHING.into())),
        Sent::Constant(value) if value.is_boolean() => Some(wrong("truth value", BILLED_AS_NOTHING.into())),
        Sent::Number | Sent::Constant(_) => None,
        Sent::Unknown => seen_wrong(subject, meter, &not_sent, &wrong),
    }
}

/// Of what only lines can tell.
fn seen_wrong(
    subject: &Subject<'_>,
    meter: &Meter,
    not_sent: &dyn Fn() -> Fault,
    wrong: &dyn Fn(&str, String) -> Fault,
) -> Option<Fault> {
    let mut why: BTreeMap<WhyNothing, Vec<&Seen>> = BTreeMap::new();
    let mut all = 0;
    for seen in subject.taken(meter) {
        all += 1;
        if let Adds::Nothing(nothing) = seen.metered().adds(&meter.aggregation) {
            why.entry(nothing).or_default().push(seen);
        }
    }
    let said = |seen: &[&Seen]| {
        format!("in {} of {all} lines, such as {}: {BILLED_AS_NOTHING}", seen.len(), seen[0].place)
    };
    if let Some(seen) = why.get(&WhyNothing::Text) {
        return Some(wrong("text", said(seen)));
    }
    if let Some(seen) = why.get(&WhyNothing::Bool) {
        return Some(wrong("truth value", said(seen)));
    }
    let missing = why.get(&WhyNothing::Missing)?;
    // What only some lines have is as it should be: the others used nothing.
    (missing.len() == all).then(|| not_sent().label(format!("in none of {all} lines: {BILLED_AS_NOTHING}")))
}

/// `sums`, to follow the name of a meter.
fn does(aggregation: &Aggregation) -> &'static str {
    match aggregation {
        Aggregation::Property { function: Function::Sum, .. } => "sums",
        Aggregation::Property { function: Function::Avg, .. } => "averages",
        Aggregation::Property { function: Function::Min, .. } => "takes the least",
        Aggregation::Property { function: Function::Max, .. } => "takes the greatest",
        _ => "counts the values of",
    }
}

/// A line that says how many it stands for, where every meter counts events.
pub(super) fn counted_as_one(subject: &Subject<'_>, open: &[&Meter]) -> Option<Fault> {
    const HOW_MANY: [&str; 7] = ["count", "counts", "quantity", "qty", "units", "requests", "calls"];
    let meter = open.first()?;
    if open.iter().any(|meter| meter.aggregation != Aggregation::Count) {
        return None;
    }
    let is_how_many = |property: &&String| {
        let name = Name::new(property).joined();
        let last = name.rsplit('_').next().unwrap_or_default();
        HOW_MANY.contains(&last)
    };
    let property = subject.outline.properties.keys().find(|property| {
        is_how_many(property) && {
            let one = |value: &Value| value.as_f64() == Some(1.0) || !value.is_number();
            match &subject.outline.properties[*property] {
                Sent::Constant(value) => !one(value),
                Sent::Text | Sent::Bool => false,
                Sent::Number | Sent::Unknown => {
                    let seen: Vec<&Value> = subject
                        .seen
                        .iter()
                        .filter_map(|seen| at_property(&seen.metadata, property))
                        .collect();
                    seen.is_empty() || seen.iter().any(|value| !one(value))
                }
            }
        }
    })?;
    let message = format!(
        "the meter \"{}\" counts each event as one, and the rule \"{}\" says with \"{property}\" how many it stands for",
        meter.name,
        subject.id()
    );
    Some(
        Fault::warning(WarningCode::CountedAsOne, subject.place(property), message)
            .label("accepted, and billed as one whatever it says")
            .hint(format!("make the meter a sum of \"{property}\"")),
    )
}
