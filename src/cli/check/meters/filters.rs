//! What a meter's filter asks of the metadata, and the rule does not give it.

use serde_json::Value;

use super::findings::{BILLED_AS_NOTHING, how_to_send};
use super::outline::{Sent, nested};
use super::subject::{Seen, Subject};
use crate::config::{Fault, WarningCode};
use crate::polar::meters::{Clause, Constant, Filter, Meter, Metered, Operator, at_property};

/// Of a meter that takes events of the rule: `!=` of two types always holds, and some lines may have another type than the
/// others.
pub(super) fn misjudged(subject: &Subject<'_>, meter: &Meter) -> Option<Fault> {
    for clause in meter.filter.clauses() {
        if clause.operator == Operator::Ne && differs(subject, clause).is_some() {
            let cost = "so the filter holds of every event, and all of them are counted".to_owned();
            return Some(other_type(subject, meter, clause, cost));
        }
        let seen: Vec<&Seen> =
            subject.seen.iter().filter(|seen| is_misjudged(seen, &meter.filter, clause)).collect();
        if let Some(first) = seen.first() {
            let (some, all) = (seen.len(), subject.seen.len());
            let cost = format!("and judges {some} of {all} events by it, such as that of {}", first.place);
            return Some(other_type(subject, meter, clause, cost));
        }
    }
    None
}

/// Whether the filter would decide otherwise, were the value of the clause's type: `"500"` where it asks for 500.
fn is_misjudged(seen: &Seen, filter: &Filter, clause: &Clause) -> bool {
    let event = seen.metered();
    let Some(value) = at_property(&seen.metadata, &clause.property)
        .filter(|value| Sent::Constant((*value).clone()).differs_from(clause))
    else {
        return false;
    };
    let Some(retyped) = retyped(value, &clause.value) else { return false };
    let metadata = nested(&clause.property, &retyped);
    let as_meant = Metered::of_user(&seen.name, &metadata).test(clause);
    let judged = filter.holds(&|it| event.test(it));
    let meant = filter.holds(&|it| if it == clause { as_meant } else { event.test(it) });
    judged != meant
}

/// The value as one of the constant's type, where it can be one.
fn retyped(value: &Value, wanted: &Constant) -> Option<Value> {
    match (value, wanted) {
        (Value::String(text), Constant::Number(_)) => text.trim().parse::<f64>().ok().map(Value::from),
        (Value::String(text), Constant::Bool(_)) => text.to_lowercase().parse::<bool>().ok().map(Value::from),
        (value, Constant::Text(_)) if !value.is_string() => Some(value.to_string().into()),
        _ => None,
    }
}

pub(super) fn of_filter(subject: &Subject<'_>, subjects: &[Subject<'_>], meter: &Meter) -> Vec<Fault> {
    let mut found = Vec::new();
    for clause in meter.filter.clauses() {
        let property = clause.property.as_str();
        if matches!(property, "name" | "source" | "timestamp") {
            continue;
        }
        if differs(subject, clause).is_some() {
            let cost = "so the meter counts none of these events".to_owned();
            found.push(other_type(subject, meter, clause, cost));
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

fn other_type(subject: &Subject<'_>, meter: &Meter, clause: &Clause, cost: String) -> Fault {
    let kind = differs(subject, clause).unwrap_or(match clause.value {
        Constant::Text(_) => "a number in some lines",
        Constant::Number(_) | Constant::Bool(_) => "a text in some lines",
    });
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
