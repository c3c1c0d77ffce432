//! Lines by reason that the operator is told of in sums: at the first one at once, then no oftener than once a minute.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use crate::model::Moment;

const INTERVAL: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Sums<R> {
    /// Since the operator was told.
    lines: BTreeMap<R, u64>,
    said: Option<Moment>,
}

impl<R> Default for Sums<R> {
    fn default() -> Self {
        Self { lines: BTreeMap::new(), said: None }
    }
}

impl<R: Ord + Display> Sums<R> {
    pub(super) fn add(&mut self, reason: R, lines: u64) {
        *self.lines.entry(reason).or_default() += lines;
    }

    fn due_at(&self) -> Moment {
        self.said.map_or(Moment::START, |said| said + INTERVAL)
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        (!self.lines.is_empty()).then(|| self.due_at())
    }

    /// The sums, where it is time: `2 invalid_json, 1 nul`. At the end of the process it is always time.
    pub(super) fn take(&mut self, now: Moment, is_ending: bool) -> Option<String> {
        if self.lines.is_empty() || !(is_ending || now >= self.due_at()) {
            return None;
        }
        self.said = Some(now);
        let sums = std::mem::take(&mut self.lines);
        let sums: Vec<String> = sums.iter().map(|(reason, lines)| format!("{lines} {reason}")).collect();
        Some(sums.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_later_ones_in_sums() {
        let at = |seconds: u64| Moment::from_nanos(seconds * 1_000_000_000);
        let mut sums = Sums::default();
        assert_eq!((sums.deadline(), sums.take(at(1), true)), (None, None));
        sums.add("nul", 1);
        assert_eq!(sums.take(at(1), false).as_deref(), Some("1 nul"));
        sums.add("nul", 2);
        sums.add("invariant", 3);
        assert_eq!((sums.deadline(), sums.take(at(60), false)), (Some(at(61)), None));
        assert_eq!(sums.take(at(61), false).as_deref(), Some("3 invariant, 2 nul"));
        sums.add("nul", 1);
        assert_eq!(sums.take(at(62), true).as_deref(), Some("1 nul"), "at the end");
    }
}
