//! Which meters count the events of a rule, and what is wrong with that. Pure: the rules, the meters and a sample of events
//! go in.
//!
//! A finding is said once, where its cure is. What only lines can tell is said of lines that were seen, with how many; of a
//! rule without any, what is open is no finding.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::outline::{Outline, Sent};
use crate::config::settings::RuleSettings;
use crate::config::{Fault, Place, RulePlaces, WarningCode, names::Name};
use crate::polar::meters::{
    Adds, Aggregation, Clause, Filter, Meter, Metered, Operator, Truth, WhyNothing, at_property,
};

/// An event that a line made.
#[derive(Debug, Clone)]
pub struct Seen {
    pub name: String,
    /// As Polar would store it.
    pub metadata: Map<String, Value>,
    /// Equal for all events of one line.
    pub line: usize,
    /// `app.log:7`
    pub place: String,
    pub customer: Option<Customer>,
}

/// Whom an event of a log is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Customer {
    External(String),
    Polar(String),
}

/// A rule, and what is known of its events.
#[derive(Debug)]
pub struct Subject<'a> {
    pub rule: &'a RuleSettings,
    pub places: &'a RulePlaces,
    pub outline: Outline,
    pub seen: Vec<Seen>,
}

/// What a meter has to do with the events of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Its filter takes so many of those that were seen; with none seen, all that the rule makes.
    Takes,
    /// It depends on the line, and no line was seen.
    Perhaps,
    /// It depends on the line, and it takes none of those that were seen.
    NoneSeen,
    No,
}

impl Link {
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Takes | Self::Perhaps)
    }
}

impl Subject<'_> {
    #[must_use]
    pub fn link(&self, meter: &Meter) -> Link {
        match meter.filter.holds(&|clause| self.outline.test(clause)) {
            Truth::No => Link::No,
            Truth::Yes => Link::Takes,
            Truth::Unknown if self.seen.is_empty() => Link::Perhaps,
            Truth::Unknown => match self.taken(meter).next() {
                Some(_) => Link::Takes,
                None => Link::NoneSeen,
            },
        }
    }

    /// The events that were seen and the filter takes, or may take.
    fn taken<'s>(&'s self, meter: &'s Meter) -> impl Iterator<Item = &'s Seen> {
        self.seen.iter().filter(|seen| {
            let event = seen.metered();
            meter.filter.holds(&|clause| event.test(clause)) != Truth::No
        })
    }

    /// Where the property stands in the rule, else where the event does.
    fn place(&self, property: &str) -> &Place {
        self.places.metadata.get(property).unwrap_or(&self.places.event)
    }

    fn id(&self) -> &str {
        &self.rule.id
    }
}

impl Seen {
    fn metered(&self) -> Metered<'_> {
        Metered::of_user(&self.name, &self.metadata)
    }
}

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
        found.extend(lets_all_through(subject, meter));
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

/// `sums`, to follow the name of a meter.
fn does(aggregation: &Aggregation) -> &'static str {
    use crate::polar::meters::Function;
    match aggregation {
        Aggregation::Property { function: Function::Sum, .. } => "sums",
        Aggregation::Property { function: Function::Avg, .. } => "averages",
        Aggregation::Property { function: Function::Min, .. } => "takes the least",
        Aggregation::Property { function: Function::Max, .. } => "takes the greatest",
        _ => "counts the values of",
    }
}

const BILLED_AS_NOTHING: &str = "such events are accepted, and billed as nothing";

fn of_aggregation(subject: &Subject<'_>, meter: &Meter) -> Option<Fault> {
    let property = meter.aggregation.property()?;
    if matches!(property, "name" | "source" | "timestamp") {
        return None;
    }
    let id = subject.id();
    let what = format!("the meter \"{}\" {} \"{property}\"", meter.name, does(&meter.aggregation));
    let is_unique = matches!(meter.aggregation, Aggregation::Unique { .. });
    let not_sent = || {
        let message = format!("{what}, which the rule \"{id}\" does not send");
        warning(WarningCode::NotSent, &subject.places.event, message)
            .label(BILLED_AS_NOTHING)
            .hint(how_to_send(&subject.outline, property))
    };
    let wrong = |kind: &str, label: String| {
        let message = format!("{what}, which the rule \"{id}\" sends as a {kind}");
        warning(WarningCode::NotANumber, subject.place(property), message)
            .label(label)
            .hint("make it a number: `| int` or `| decimal`")
    };
    let sent = match subject.outline.properties.get(property) {
        None => return Some(not_sent()),
        Some(sent) => sent,
    };
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

/// `!=` of two types always holds.
fn lets_all_through(subject: &Subject<'_>, meter: &Meter) -> Option<Fault> {
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

fn of_filter(subject: &Subject<'_>, subjects: &[Subject<'_>], meter: &Meter) -> Vec<Fault> {
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
            let fault = warning(WarningCode::NotSent, &subject.places.event, message);
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
        Sent::Text => "a text",
        Sent::Number => "a number",
        Sent::Bool => "a truth value",
        Sent::Constant(Value::String(_)) => "a text",
        Sent::Constant(Value::Bool(_)) => "a truth value",
        Sent::Constant(_) => "a number",
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
        (crate::polar::meters::Constant::Text(_), _) => {
            "send a text: `| str`, or give the meter's filter a number"
        }
        (crate::polar::meters::Constant::Bool(_), _) => "send a truth value: `| bool`",
        _ => "send a number: `| int`, or give the meter's filter a text",
    };
    let label = format!("Polar tells types apart, {cost}");
    warning(WarningCode::OtherType, subject.place(property), message).label(label).hint(cure)
}

fn how_to_send(outline: &Outline, property: &str) -> String {
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

fn unmetered(subject: &Subject<'_>, meters: &[Meter]) -> Fault {
    let id = subject.id();
    if let Some(meter) = meters.iter().find(|meter| meter.is_archived() && subject.link(meter).is_open()) {
        let message =
            format!("the only meter that counts the events of \"{id}\" is archived: \"{}\"", meter.name);
        return warning(WarningCode::ArchivedMeter, &subject.places.name, message)
            .label(BILLED_AS_NOTHING)
            .hint("take the meter out of the archive, or make another one");
    }
    if let Some((meter, wanted)) = near_name(subject, meters) {
        let name = subject.outline.name.as_deref().unwrap_or_default();
        let message =
            format!("the event is called \"{name}\", and the meter \"{}\" wants \"{wanted}\"", meter.name);
        return warning(WarningCode::NearName, &subject.places.name, message)
            .label(BILLED_AS_NOTHING)
            .hint(format!("write name = \"{wanted}\""));
    }
    let message = format!("no meter counts the events of \"{id}\"");
    let label = match subject.seen.len() {
        0 => BILLED_AS_NOTHING.to_owned(),
        lines => format!("{lines} events seen: {BILLED_AS_NOTHING}"),
    };
    let meant = meters.iter().find(|meter| !meter.is_archived() && is_meant(subject, meter));
    let hint = match meant {
        Some(meter) => format!("the meter \"{}\" counts events where {}", meter.name, meter.filter),
        None => {
            "make a meter for them; where they are not to be billed, say so: allow = [\"unmetered\"]".into()
        }
    };
    warning(WarningCode::Unmetered, &subject.places.name, message).label(label).hint(hint)
}

fn near_name<'m>(subject: &Subject<'_>, meters: &'m [Meter]) -> Option<(&'m Meter, &'m str)> {
    use crate::polar::meters::Constant;
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

/// A line that says how many it stands for, where every meter counts events.
fn counted_as_one(subject: &Subject<'_>, open: &[&Meter]) -> Option<Fault> {
    const HOW_MANY: [&str; 8] = ["count", "counts", "quantity", "qty", "units", "requests", "calls", "n"];
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
        warning(WarningCode::CountedAsOne, subject.place(property), message)
            .label("accepted, and billed as one whatever it says")
            .hint(format!("make the meter a sum of \"{property}\"")),
    )
}

/// Two meters that are the same, or two rules of which one meter counts both events of a line.
fn counted_twice(subject: &Subject<'_>, subjects: &[Subject<'_>], meters: &[Meter]) -> Vec<Fault> {
    let mut found = Vec::new();
    let open: Vec<&Meter> =
        meters.iter().filter(|meter| !meter.is_archived() && subject.link(meter).is_open()).collect();
    for (at, meter) in open.iter().enumerate() {
        let is_same =
            |other: &&&Meter| same(&other.filter, &meter.filter) && other.aggregation == meter.aggregation;
        if let Some(other) = open[..at].iter().find(is_same) {
            let message = format!(
                "the meters \"{}\" and \"{}\" count the same of the rule \"{}\"",
                other.name,
                meter.name,
                subject.id()
            );
            found.push(
                warning(WarningCode::CountedTwice, &subject.places.event, message)
                    .label("who has prices on both pays twice")
                    .hint("archive one of them"),
            );
        }
    }
    if !subject.rule.also {
        return found;
    }
    for other in subjects.iter().filter(|other| other.id() != subject.id()) {
        // Of two `also` rules the first one says it.
        if other.rule.also && other.id() < subject.id() {
            continue;
        }
        let counts_both = |meter: &&&Meter| {
            let lines: Vec<usize> = subject.taken(meter).map(|seen| seen.line).collect();
            other.taken(meter).any(|seen| lines.contains(&seen.line))
        };
        if let Some(meter) = open.iter().find(counts_both) {
            let message = format!(
                "the meter \"{}\" counts two events of one line: of the rules \"{}\" and \"{}\"",
                meter.name,
                subject.id(),
                other.id()
            );
            found.push(
                warning(WarningCode::CountedTwice, &subject.places.event, message)
                    .label("such a line is billed twice")
                    .hint("give the events two names, or narrow the meter's filter to one of them"),
            );
        }
    }
    found
}

fn same(a: &Filter, b: &Filter) -> bool {
    a.to_string() == b.to_string()
}

fn warning(code: WarningCode, place: &Place, message: String) -> Fault {
    Fault::warning(code, place, message)
}
