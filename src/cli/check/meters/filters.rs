//! What a meter's filter asks of the metadata, and the rule does not give it.

use serde_json::Value;

use super::findings::{BILLED_AS_NOTHING, how_to_send};
use super::outline::Sent;
use super::subject::Subject;
use crate::config::{Fault, WarningCode};
use crate::polar::meters::{Clause, Constant, Meter, Operator, at_property};

/// `!=` of two types always holds.
pub(super) fn lets_all_through(subject: &Subject<'_>, meter: &Meter) -> Option<Fault> {
    let clauses = meter.filter.clauses();
    let clause = clauses
        .iter()
        .find(|clause| clause.operator == Operator::Ne && differs(subject, clause).is_some())?;
    Some(other_type(
        subject,
        meter,
        clause,
        "so the filter holds of every event, and all of them are counted",
    ))
}

pub(super) fn of_filter(subject: &Subject<'_>, subjects: &[Subject<'_>], meter: &Meter) -> Vec<Fault> {
    let mut found = Vec::new();
    for clause in meter.filter.clauses() {
        let property = clause.property.as_str();
        if matches!(property, "name" | "source" | "timestamp") {
            continue;
        }
        if differs(subject, clause).is_some() {
            found.push(other_type(subject, meter, clause, "so the meter counts none of these events"));
            continue;
        }
        let same_name = subjects.iter().filter(|other| other.outline.name == subject.outline.name);
        if same_name.clone().all(|other| !other.outline.properties.contains_key(property)) {
            let message = format!(
                "the meter \"{}\" counts events where {clause}, and the rule \"{}\" does not send \"{property}\"",
                meter.name,
                subject.id()
            );
            let fault = Fault::warning(WarningCode::NotSent, &subject.places.event, message);
            found.push(fault.label(BILLED_AS_NOTHING).hint(how_to_send(&subject.outline, property)));
        }
    }
    found
}

/// What the rule sends instead of what the clause compares with.
fn differs(subject: &Subject<'_>, clause: &Clause) -> Option<&'static str> {
    let sent = subject.outline.properties.get(&clause.property)?;
    if sent.differs_from(clause) {
        return Some(kind_of(sent));
    }
    if *sent != Sent::Unknown {
        return None;
    }
    let values: Vec<Sent> = subject
        .seen
        .iter()
        .filter_map(|seen| at_property(&seen.metadata, &clause.property).cloned())
        .map(Sent::Constant)
        .collect();
    let all_differ = !values.is_empty() && values.iter().all(|value| value.differs_from(clause));
    all_differ.then(|| kind_of(&values[0]))
}

fn kind_of(sent: &Sent) -> &'static str {
    match sent {
        Sent::Text | Sent::Constant(Value::String(_)) => "a text",
        Sent::Bool | Sent::Constant(Value::Bool(_)) => "a truth value",
        Sent::Number | Sent::Constant(_) => "a number",
        Sent::Unknown => "what the line has",
    }
}

fn other_type(subject: &Subject<'_>, meter: &Meter, clause: &Clause, cost: &str) -> Fault {
    let kind = differs(subject, clause).unwrap_or("another type");
    let property = &clause.property;
    let message = format!(
        "the meter \"{}\" counts events where {clause}, and the rule \"{}\" sends \"{property}\" as {kind}",
        meter.name,
        subject.id()
    );
    let cure = match (&clause.value, kind) {
        (Constant::Text(_), _) => "send a text: `| str`, or give the meter's filter a number",
        (Constant::Bool(_), _) => "send a truth value: `| bool`",
        _ => "send a number: `| int`, or give the meter's filter a text",
    };
    let label = format!("Polar tells types apart, {cost}");
    Fault::warning(WarningCode::OtherType, subject.place(property), message).label(label).hint(cure)
}
