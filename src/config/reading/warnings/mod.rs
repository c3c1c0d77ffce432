//! What is allowed and yet probably not meant. A file for each idea that needs one.
//!
//! A warning that is wrong teaches not to read warnings: each is either sure, or a guess by a name that its rule can
//! silence with `allow`.

mod client;
mod implication;
pub(crate) mod names;
mod personal;
mod shadowed;
mod text_number;
pub(crate) mod values;

use super::rules::ReadRule;
use super::sources::ReadSource;
use super::tests::ReadTest;
use crate::config::fault::Fault;
use crate::config::presets::Preset;
use crate::config::reader::Report;
use crate::config::settings::{Expectation, RuleSettings, SourceSettings};
use crate::config::warning::WarningCode;
use crate::polar::system_events::is_system_event_name;

pub(super) fn collect(report: &Report, sources: &[ReadSource], rules: &[ReadRule<'_>], tests: &[ReadTest]) {
    sources_without_rules(report, sources, rules);
    for (at, rule) in rules.iter().enumerate() {
        let mut warnings: Vec<Fault> = system_name(rule).into_iter().collect();
        let Some(settings) = &rule.settings else {
            tell(report, rule, warnings);
            continue;
        };
        let of_rule: Vec<&SourceSettings> = rule
            .sources
            .iter()
            .filter_map(|source| sources.get(usize::from(*source))?.settings.as_ref())
            .collect();
        warnings.extend(without_test(rule, rules, tests));
        let preset = |source: &u16| Some(&sources.get(usize::from(*source))?.preset.as_ref()?.1);
        let presets: Vec<&Preset> = rule.sources.iter().filter_map(preset).map(AsRef::as_ref).collect();
        warnings.extend(shadowed::warning(rule, settings, &rules[..at], &presets));
        warnings.extend(without_timestamp(rule, settings));
        warnings.extend(client::warnings(rule, settings, &presets));
        warnings.extend(text_number::warnings(rule, settings, &of_rule, tests));
        warnings.extend(personal::warnings(rule, settings, &of_rule, &presets));
        unused_allow(report, rule, &warnings);
        tell(report, rule, warnings);
    }
}

fn tell(report: &Report, rule: &ReadRule<'_>, warnings: Vec<Fault>) {
    let allowed = |warning: &Fault| rule.allow.iter().any(|(code, _)| warning.code == Some(*code));
    warnings.into_iter().filter(|warning| !allowed(warning)).for_each(|warning| report.push(warning));
}

fn unused_allow(report: &Report, rule: &ReadRule<'_>, warnings: &[Fault]) {
    for (code, place) in &rule.allow {
        // What Polar's meters say is not known here.
        let is_known_here = !WarningCode::OF_METERS.contains(code);
        if is_known_here && !warnings.iter().any(|warning| warning.code == Some(*code)) {
            let message =
                format!("the rule \"{}\" does not cause the warning \"{}\"", rule.id.0, code.code());
            report.push(
                Fault::warning(WarningCode::UnusedAllow, place, message)
                    .hint("take it out: it would silence one that comes later"),
            );
        }
    }
}

fn sources_without_rules(report: &Report, sources: &[ReadSource], rules: &[ReadRule<'_>]) {
    // A rule without sources is a fault already, and may have meant any of them.
    if rules.is_empty() || rules.iter().any(|rule| rule.sources.is_empty()) {
        return;
    }
    for (place, source) in (0..).zip(sources) {
        if !rules.iter().any(|rule| rule.sources.contains(&place)) {
            let message = format!("no rule reads the source \"{}\"", source.id.0);
            report.push(
                Fault::warning(WarningCode::UnreadSource, &source.id.1, message)
                    .hint("all its lines are ignored(no_rule): add a rule, or take the source out"),
            );
        }
    }
}

fn without_timestamp(rule: &ReadRule<'_>, settings: &RuleSettings) -> Option<Fault> {
    if settings.event.timestamp.is_some() {
        return None;
    }
    let message = format!("the events of \"{}\" have no timestamp", settings.id);
    let warning = Fault::warning(WarningCode::NoTimestamp, &rule.event_place, message);
    Some(warning.hint("they count from when they arrive at Polar: add timestamp = \"{ts}\""))
}

fn system_name(rule: &ReadRule<'_>) -> Option<Fault> {
    let node = values::node(rule.node, &["event", "name"])?;
    let name = &node.text().filter(|name| is_system_event_name(&name.value))?.value;
    let message = format!("Polar itself makes events named \"{name}\"");
    let warning = Fault::warning(WarningCode::SystemName, &node.place, message);
    Some(warning.hint("choose another name, or meters and reports mix both"))
}

/// A test that names no rule counts for the rules of its source.
fn without_test(rule: &ReadRule<'_>, rules: &[ReadRule<'_>], tests: &[ReadTest]) -> Option<Fault> {
    let tested = tests.iter().any(|test| {
        // One that could not be read may have been meant.
        let Some(test) = &test.settings else { return true };
        let Expectation::Events(events) = &test.expect else { return false };
        events.iter().any(|event| match &event.rule {
            Some(id) => *id == rule.id.0,
            None => {
                let of_source = |rule: &&ReadRule<'_>| rule.sources.contains(&test.source);
                rule.sources.contains(&test.source) && rules.iter().filter(of_source).count() == 1
            }
        })
    });
    if tested {
        return None;
    }
    let message = format!("no test shows what the rule \"{}\" bills", rule.id.0);
    let warning = Fault::warning(WarningCode::Untested, &rule.id.1, message);
    Some(warning.hint("add [[tests]] with a line of the log and the event that must come out"))
}
