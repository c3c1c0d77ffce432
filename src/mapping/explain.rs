//! The same journey in words.

use super::condition::test_holds;
use super::scope::{Field, Scope};
use crate::config::language::Condition;

/// The first test that does not hold, with the value that it met.
pub(super) fn first_unmet(
    resolved: &Condition<Field>,
    written: Option<&Condition>,
    scope: &Scope<'_>,
) -> Option<String> {
    match (resolved, written?) {
        (Condition::All(resolved), Condition::All(written)) => resolved
            .iter()
            .zip(written)
            .find_map(|(resolved, written)| first_unmet(resolved, Some(written), scope)),
        (Condition::Any(resolved), Condition::Any(written)) => {
            let mut unmet = Vec::new();
            for (resolved, written) in resolved.iter().zip(written) {
                unmet.push(first_unmet(resolved, Some(written), scope)?);
            }
            Some(match unmet.len() {
                0 => "`any` has no choice".to_owned(),
                _ => unmet.join(", and "),
            })
        }
        (Condition::Tests { path: field, tests: resolved }, Condition::Tests { path, tests: written }) => {
            let found = scope.get(field);
            let (_, test) =
                resolved.iter().zip(written).find(|(resolved, _)| !test_holds(resolved, &found, scope))?;
            Some(format!("{path} is {}, not {test}", found.show()))
        }
        _ => None,
    }
}
