//! The account: where every byte and line of a source went.
//!
//! `bytes read = billed + ignored(reason) + quarantined(reason) + in flight`, in bytes and in lines.

use std::collections::BTreeMap;

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
    const COUNT: usize = 1 + Ignored::COUNT + Quarantined::COUNT;

    const fn slot(self) -> usize {
        match self {
            Self::Billed => 0,
            Self::Ignored(reason) => 1 + reason as usize,
            Self::Quarantined(reason) => 1 + Ignored::COUNT + reason as usize,
        }
    }

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

/// Lines and bytes by fate.
#[derive(Clone, PartialEq, Eq)]
pub struct Tally(Box<[Count; Fate::COUNT]>);

impl Default for Tally {
    fn default() -> Self {
        Self(Box::new([Count::default(); Fate::COUNT]))
    }
}

impl Tally {
    pub fn add(&mut self, fate: Fate, lines: u64, bytes: u64) {
        let count = &mut self.0[fate.slot()];
        count.lines += lines;
        count.bytes += bytes;
    }

    /// Takes what [`Tally::add`] once added.
    ///
    /// # Panics
    /// When more is taken than is there: that is our own mistake.
    pub fn take(&mut self, fate: Fate, lines: u64, bytes: u64) {
        let count = &mut self.0[fate.slot()];
        count.lines = count.lines.checked_sub(lines).expect("only what was added is taken");
        count.bytes = count.bytes.checked_sub(bytes).expect("only what was added is taken");
    }

    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0.iter()) {
            mine.lines += theirs.lines;
            mine.bytes += theirs.bytes;
        }
    }

    #[must_use]
    pub fn get(&self, fate: Fate) -> Count {
        self.0[fate.slot()]
    }

    #[must_use]
    pub fn total(&self) -> Count {
        self.0.iter().fold(Count::default(), |sum, count| Count {
            lines: sum.lines + count.lines,
            bytes: sum.bytes + count.bytes,
        })
    }

    /// The fates that something met.
    pub fn iter(&self) -> impl Iterator<Item = (Fate, Count)> + '_ {
        Fate::all().map(|fate| (fate, self.get(fate))).filter(|(_, count)| *count != Count::default())
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
}

impl SourceAccount {
    /// The conservation law over what is settled.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        self.settled.total().bytes == self.read_bytes
    }

    #[must_use]
    pub fn missed_bytes(&self) -> u64 {
        self.missed.iter().map(|missed| missed.span.len()).sum()
    }
}
