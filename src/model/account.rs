//! The account: where every byte and line of a source went.
//!
//! `bytes read = billed + ignored(reason) + quarantined(reason) + in flight`, in bytes and in lines.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::file::Span;
use super::reason::{Dropped, Ignored, Quarantined};

/// Where a line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    Billed,
    Ignored(Ignored),
    Quarantined(Quarantined),
}

impl Fate {
    /// Every fate, billed first.
    pub fn all() -> impl Iterator<Item = Self> {
        std::iter::once(Self::Billed)
            .chain(Ignored::ALL.iter().map(|reason| Self::Ignored(*reason)))
            .chain(Quarantined::ALL.iter().map(|reason| Self::Quarantined(*reason)))
    }
}

/// Lines and the bytes they stand in, line ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    pub lines: u64,
    pub bytes: u64,
}

/// Lines and bytes by fate. Of dozens of fates the lines of a chunk meet a few, and there may be thousands of chunks.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Tally(
    /// In the order of the fates. None is zero.
    Vec<(Fate, Count)>,
);

impl Tally {
    pub fn add(&mut self, fate: Fate, lines: u64, bytes: u64) {
        if let Some((_, count)) = self.0.iter_mut().find(|(known, _)| *known == fate) {
            count.lines += lines;
            count.bytes += bytes;
        } else if (lines, bytes) != (0, 0) {
            let place = self.0.partition_point(|(known, _)| *known < fate);
            self.0.insert(place, (fate, Count { lines, bytes }));
        }
    }

    /// Takes what [`Tally::add`] once added.
    ///
    /// # Panics
    /// When more is taken than is there: that is our own mistake.
    pub fn take(&mut self, fate: Fate, lines: u64, bytes: u64) {
        let count = self.get(fate);
        let left = Count {
            lines: count.lines.checked_sub(lines).expect("only what was added is taken"),
            bytes: count.bytes.checked_sub(bytes).expect("only what was added is taken"),
        };
        self.0.retain(|(known, _)| *known != fate);
        self.add(fate, left.lines, left.bytes);
    }

    pub fn merge(&mut self, other: &Self) {
        other.iter().for_each(|(fate, count)| self.add(fate, count.lines, count.bytes));
    }

    /// Whether nothing is more than in the other.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.iter().all(|(fate, mine)| {
            let theirs = other.get(fate);
            mine.lines <= theirs.lines && mine.bytes <= theirs.bytes
        })
    }

    #[must_use]
    pub fn get(&self, fate: Fate) -> Count {
        self.iter().find(|(known, _)| *known == fate).map(|(_, count)| count).unwrap_or_default()
    }

    #[must_use]
    pub fn total(&self) -> Count {
        self.iter().fold(Count::default(), |sum, (_, count)| Count {
            lines: sum.lines + count.lines,
            bytes: sum.bytes + count.bytes,
        })
    }

    /// The fates that something met, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (Fate, Count)> + '_ {
        self.0.iter().copied()
    }
}

impl std::fmt::Debug for Tally {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_map().entries(self.iter()).finish()
    }
}

/// Bytes that were known to be there and vanished before they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    pub path: String,
    pub span: Span,
}

/// The account of one source: what is settled. It moves with the checkpoint, never apart from it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceAccount {
    /// Bytes of the spans that the frontiers have passed.
    pub read_bytes: u64,
    pub settled: Tally,
    /// Bytes skipped by `read_from = "end"`: never read, so not part of `read_bytes`.
    pub skipped_bytes: u64,
    /// Events of the billed lines.
    pub events: u64,
    /// Values that held bytes which are not UTF-8.
    pub values_not_utf8: u64,
    /// Lines in which a key that the rules name stood twice: the last one counted.
    pub duplicate_keys: u64,
    /// Totals by path, merged where they touch.
    pub missed: Vec<Missed>,
    /// What came as datagrams and was never spooled, so never part of `read_bytes`. Lines as far as they were seen.
    pub dropped: BTreeMap<Dropped, Count>,
    /// Billed lines by rule id.
    pub billed_by_rule: BTreeMap<String, u64>,
    /// What was settled on each of the last days, by UTC date: a part of the totals, which moves with them.
    pub days: BTreeMap<Date, DayAccount>,
}

/// What was settled on one day.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DayAccount {
    pub read_bytes: u64,
    pub settled: Tally,
    pub events: u64,
    pub billed_by_rule: BTreeMap<String, u64>,
}

impl SourceAccount {
    /// Days that are kept: this month and the one before.
    pub const KEPT_DAYS: usize = 62;

    /// The conservation law over what is settled, of the whole and of each day; days are never more than the whole.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        let mut of_days = Tally::default();
        self.days.values().for_each(|day| of_days.merge(&day.settled));
        self.settled.total().bytes == self.read_bytes
            && self.days.values().all(|day| day.settled.total().bytes == day.read_bytes)
            && of_days.is_within(&self.settled)
    }

    /// The account of a day, made if need be; the oldest goes where there are too many.
    pub fn day(&mut self, date: Date) -> &mut DayAccount {
        if !self.days.contains_key(&date) && self.days.len() >= Self::KEPT_DAYS {
            self.days.pop_first();
        }
        self.days.entry(date).or_default()
    }

    #[must_use]
    pub fn missed_bytes(&self) -> u64 {
        self.missed.iter().map(|missed| missed.span.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_days_are_a_part_of_the_whole_and_the_oldest_go() {
        let mut account = SourceAccount { read_bytes: 1_000, ..SourceAccount::default() };
        account.settled.add(Fate::Billed, 100, 1_000);
        let first = jiff::civil::date(2026, 1, 1);
        for date in first.series(jiff::Span::new().days(1)).take(SourceAccount::KEPT_DAYS + 3) {
            let day = account.day(date);
            day.read_bytes += 10;
            day.settled.add(Fate::Billed, 1, 10);
            assert!(account.adds_up());
        }
        assert_eq!(account.days.len(), SourceAccount::KEPT_DAYS);
        assert_eq!(account.days.keys().next(), Some(&jiff::civil::date(2026, 1, 4)));

        let mut other = account.clone();
        other.day(first).read_bytes += 1;
        assert!(!other.adds_up(), "a day does not add up");
        let mut other = account.clone();
        let last = *other.days.keys().next_back().unwrap();
        other.day(last).settled.add(Fate::Billed, 100, 1_000);
        other.day(last).read_bytes += 1_000;
        assert!(!other.adds_up(), "a day is more than the whole");
    }
}
