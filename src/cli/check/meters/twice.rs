//! What would be billed twice.

use super::subject::Subject;
use crate::config::{Fault, WarningCode};
use crate::polar::meters::{Filter, Meter};

/// Two meters that are the same, or two rules of which one meter counts both events of a line.
pub(super) fn counted_twice(subject: &Subject<'_>, subjects: &[Subject<'_>], meters: &[Meter]) -> Vec<Fault> {
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
                Fault::warning(WarningCode::CountedTwice, &subject.places.event, message)
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
                Fault::warning(WarningCode::CountedTwice, &subject.places.event, message)
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
