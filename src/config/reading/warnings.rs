//! What is allowed and yet probably not meant.

use std::collections::BTreeSet;

use super::rules::ReadRule;
use super::sources::ReadSource;
use crate::config::fault::Fault;
use crate::config::language::Condition;
use crate::config::reader::Report;
use crate::config::settings::{Expectation, RuleSettings, TestSettings};

pub(super) fn collect(
    report: &Report,
    sources: &[ReadSource],
    rules: &[ReadRule],
    tests: &[Option<TestSettings>],
) {
    sources_without_rules(report, sources, rules);
    for (at, rule) in rules.iter().enumerate() {
        let Some(settings) = &rule.settings else { continue };
        without_timestamp(report, rule, settings);
        without_test(report, rule, rules, tests);
        shadowed(report, rule, settings, &rules[..at]);
    }
}

fn sources_without_rules(report: &Report, sources: &[ReadSource], rules: &[ReadRule]) {
    // A rule without sources is a fault already, and may have meant any of them.
    if rules.is_empty() || rules.iter().any(|rule| rule.sources.is_empty()) {
        return;
    }
    for (place, source) in (0..).zip(sources) {
        if !rules.iter().any(|rule| rule.sources.contains(&place)) {
            let message = format!("no rule reads the source \"{}\"", source.id.0);
            report.push(
                Fault::warning(&source.id.1, message)
                    .hint("all its lines are ignored(no_rule): add a rule, or take the source out"),
            );
        }
    }
}

fn without_timestamp(report: &Report, rule: &ReadRule, settings: &RuleSettings) {
    if settings.event.timestamp.is_none() {
        let message = format!("the events of \"{}\" have no timestamp", settings.id);
        report.push(
            Fault::warning(&rule.event_place, message)
                .hint("they count from when they arrive at Polar: add timestamp = \"{ts}\""),
        );
    }
}

/// A test that names no rule counts for the rules of its source.
fn without_test(report: &Report, rule: &ReadRule, rules: &[ReadRule], tests: &[Option<TestSettings>]) {
    let tested = tests.iter().any(|test| {
        // One that could not be read may have been meant.
        let Some(test) = test else { return true };
        let Expectation::Events(events) = &test.expect else { return false };
        events.iter().any(|event| match &event.rule {
            Some(id) => *id == rule.id.0,
            None => {
                let of_source = |rule: &&ReadRule| rule.sources.contains(&test.source);
                rule.sources.contains(&test.source) && rules.iter().filter(of_source).count() == 1
            }
        })
    });
    if !tested {
        report.push(
            Fault::warning(&rule.id.1, format!("no test shows what the rule \"{}\" bills", rule.id.0))
                .hint("add [[tests]] with a line of the log and the event that must come out"),
        );
    }
}

fn shadowed(report: &Report, rule: &ReadRule, settings: &RuleSettings, earlier: &[ReadRule]) {
    let hides =
        |other: &&ReadRule| other.settings.as_ref().is_some_and(|other| takes_all_of(other, settings));
    if let Some(other) = earlier.iter().find(hides) {
        let message = format!("no line ever comes to the rule \"{}\"", settings.id);
        report.push(
            Fault::warning(&rule.id.1, message)
                .beside(&other.id.1, "this rule takes all of them before")
                .hint("put the narrower rule first, or write also = true in the earlier one"),
        );
    }
}

/// Whether every line that `later` wants ends its way at `earlier`. Sees the clear cases: the earlier rule asks for
/// nothing that the later one does not ask for, word by word.
fn takes_all_of(earlier: &RuleSettings, later: &RuleSettings) -> bool {
    let said = |condition: &Option<Condition>| condition.as_ref().map(|condition| format!("{condition:?}"));
    !earlier.also
        && later.sources.iter().all(|source| earlier.sources.contains(source))
        && (earlier.unless.is_none() || said(&earlier.unless) == said(&later.unless))
        && demands(&earlier.when).is_subset(&demands(&later.when))
}

/// What all must hold, one by one.
fn demands(condition: &Condition) -> BTreeSet<String> {
    match condition {
        Condition::All(all) => all.iter().flat_map(demands).collect(),
        Condition::Any(_) => BTreeSet::from([format!("{condition:?}")]),
        Condition::Tests { path, tests } => tests.iter().map(|test| format!("{path:?} {test:?}")).collect(),
    }
}
