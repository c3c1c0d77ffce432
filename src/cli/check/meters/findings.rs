//! Which meters count the events of a rule, and what is wrong with that. Pure: the rules, the meters and a sample of events
//! go in.
//!
//! A finding is said once, where its cure is. What only lines can tell is said of lines that were seen, with how many; of a
//! rule without any, what is open is no finding.

use super::amounts::{counted_as_one, of_aggregation};
use super::filters::{misjudged, of_filter};
use super::outline::Outline;
use super::subject::{Link, Subject};
use super::twice::counted_twice;
use crate::config::{Fault, WarningCode};
use crate::polar::meters::{Clause, Constant, Meter, Operator, Truth};

/// What most mistakes cost.
pub(super) const BILLED_AS_NOTHING: &str = "such events are accepted, and billed as nothing";

/// All findings about the meters, but for those that a rule allows.
#[must_use]
pub fn findings(subjects: &[Subject<'_>], meters: &[Meter]) -> Vec<Fault> {
    let mut found = Vec::new();
    for subject in subjects {
        let mut of_rule = of_rule(subject, subjects, meters);
        of_rule.extend(counted_twice(subject, subjects, meters));
        of_rule.retain(|fault| !fault.code.is_some_and(|code| subject.places.allow.contains(&code)));
        found.extend(of_rule);
    }
    found
}

fn of_rule(subject: &Subject<'_>, subjects: &[Subject<'_>], meters: &[Meter]) -> Vec<Fault> {
    let in_use = || meters.iter().filter(|meter| !meter.is_archived());
    let open: Vec<&Meter> = in_use().filter(|meter| subject.link(meter).is_open()).collect();
    let mut found = Vec::new();
    for meter in &open {
        found.extend(of_aggregation(subject, meter));
        found.extend(misjudged(subject, meter));
    }
    for meter in in_use().filter(|meter| !subject.link(meter).is_open() && is_meant(subject, meter)) {
        found.extend(of_filter(subject, subjects, meter));
    }
    if open.is_empty() && found.is_empty() {
        found.push(unmetered(subject, meters));
    }
    found.extend(counted_as_one(subject, &open));
    found
}

/// Whether the meter names the event, and its other clauses keep it out.
fn is_meant(subject: &Subject<'_>, meter: &Meter) -> bool {
    let by_name = |clause: &Clause| match clause.property.as_str() {
        "name" | "source" => subject.outline.test(clause),
        _ => Truth::Yes,
    };
    let names_it = |clause: &&Clause| clause.property == "name" && subject.outline.test(clause) == Truth::Yes;
    meter.filter.holds(&by_name) == Truth::Yes && meter.filter.clauses().iter().any(names_it)
}

fn unmetered(subject: &Subject<'_>, meters: &[Meter]) -> Fault {
    let id = subject.id();
    if let Some(meter) = meters.iter().find(|meter| meter.is_archived() && subject.link(meter).is_open()) {
        let message =
            format!("the only meter that counts the events of \"{id}\" is archived: \"{}\"", meter.name);
        return Fault::warning(WarningCode::ArchivedMeter, &subject.places.name, message)
            .label(BILLED_AS_NOTHING)
            .hint("take the meter out of the archive, or make another one");
    }
    if let Some((meter, wanted)) = near_name(subject, meters) {
        let name = subject.outline.name.as_deref().unwrap_or_default();
        let message =
            format!("the event is called \"{name}\", and the meter \"{}\" wants \"{wanted}\"", meter.name);
        return Fault::warning(WarningCode::NearName, &subject.places.name, message)
            .label(BILLED_AS_NOTHING)
            .hint(format!("write name = \"{wanted}\""));
    }
    let depends_on_the_line = meters.iter().any(|meter| subject.link(meter) == Link::NoneSeen);
    let message = match subject.seen.len() {
        seen if depends_on_the_line => format!("no meter counts any of the {seen} events seen of \"{id}\""),
        _ => format!("no meter counts the events of \"{id}\""),
    };
    let label = BILLED_AS_NOTHING;
    let meant = meters.iter().find(|meter| !meter.is_archived() && is_meant(subject, meter));
    let hint = match meant {
        Some(meter) => format!("the meter \"{}\" counts events where {}", meter.name, meter.filter),
        None => {
            "make a meter for them; where they are not to be billed, say so: allow = [\"unmetered\"]".into()
        }
    };
    Fault::warning(WarningCode::Unmetered, &subject.places.name, message).label(label).hint(hint)
}

fn near_name<'m>(subject: &Subject<'_>, meters: &'m [Meter]) -> Option<(&'m Meter, &'m str)> {
    let name = subject.outline.name.as_deref()?;
    let in_use = meters.iter().filter(|meter| !meter.is_archived());
    let mut wanted = in_use.flat_map(|meter| {
        meter.filter.clauses().into_iter().filter_map(move |clause| match &clause.value {
            Constant::Text(text) if clause.property == "name" && clause.operator == Operator::Eq => {
                Some((meter, text.as_str()))
            }
            _ => None,
        })
    });
    wanted.find(|(_, wanted)| *wanted != name && folded(wanted) == folded(name))
}

pub(super) fn how_to_send(outline: &Outline, property: &str) -> String {
    if outline.hidden.iter().any(|key| key == property) {
        return format!(
            "to Polar the dot of \"{property}\" is a step into a table: send it under a key without one"
        );
    }
    let alike = |key: &&String| folded(key) == folded(property) || key.ends_with(&format!(".{property}"));
    match outline.properties.keys().find(alike) {
        Some(key) => format!("the rule sends \"{key}\": give both one name"),
        None => format!("add metadata.{property}, or give the meter a property that the rule sends"),
    }
}

/// Without what people mix up: case, dashes, dots and spaces.
fn folded(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
