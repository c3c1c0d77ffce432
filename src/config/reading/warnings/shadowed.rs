//! A rule that no line ever comes to.

use super::implication::Facts;
use crate::config::fault::Fault;
use crate::config::presets::Preset;
use crate::config::reading::rules::ReadRule;
use crate::config::settings::RuleSettings;
use crate::config::warning::WarningCode;

pub(super) fn warning(
    rule: &ReadRule<'_>,
    settings: &RuleSettings,
    earlier: &[ReadRule<'_>],
    presets: &[&Preset],
) -> Option<Fault> {
    let hides = |other: &&ReadRule<'_>| {
        other.settings.as_ref().is_some_and(|other| takes_all_of(other, settings, presets))
    };
    let other = earlier.iter().find(hides)?;
    let message = format!("no line ever comes to the rule \"{}\"", settings.id);
    Some(
        Fault::warning(WarningCode::Shadowed, &rule.id.1, message)
            .beside(&other.id.1, "this rule takes all of them before")
            .hint("put the narrower rule first, or write also = true in the earlier one"),
    )
}

/// Whether every line that `later` wants ends its way at `earlier`.
fn takes_all_of(earlier: &RuleSettings, later: &RuleSettings, presets: &[&Preset]) -> bool {
    // A rule that explodes matches by an element, and only where the array is there.
    let same_records = earlier.explode.is_none() || earlier.explode == later.explode;
    if earlier.also || !same_records || !later.sources.iter().all(|source| earlier.sources.contains(source)) {
        return false;
    }
    let mut facts = Facts::new(presets);
    facts.assume(&later.when);
    if let Some(unless) = &later.unless {
        facts.deny(unless);
    }
    facts.imply(&earlier.when)
        && earlier.unless.as_ref().is_none_or(|unless| {
            // Whatever the earlier rule lets pass by its `unless`, the later one does not want either.
            let mut passed = facts.clone();
            passed.assume(unless);
            facts.exclude(unless) || later.unless.as_ref().is_some_and(|later| passed.imply(later))
        })
}
