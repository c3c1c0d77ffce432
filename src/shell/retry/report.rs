//! Which letters a retry is about, and what it came to.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::agent::Counted;
use crate::model::{Ignored, LetterId, Quarantined};
use crate::shell::shelf::Shelved;

/// Which letters are meant.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Empty: all.
    pub ids: BTreeSet<LetterId>,
    /// Empty: all.
    pub reasons: Vec<Quarantined>,
    /// Empty: all.
    pub sources: Vec<String>,
    /// Quarantined at this time or later.
    pub since: Option<Timestamp>,
}

impl Selection {
    #[must_use]
    pub fn takes(&self, shelved: &Shelved<'_>) -> bool {
        let letter = &shelved.letter;
        let is_late = |since: &Timestamp| {
            let at = letter.quarantined_at.as_deref().and_then(|at| at.parse::<Timestamp>().ok());
            at.is_some_and(|at| at >= *since)
        };
        (self.ids.is_empty() || self.ids.contains(&shelved.id))
            && (self.reasons.is_empty() || self.reasons.contains(&letter.reason))
            && (self.sources.is_empty() || self.sources.iter().any(|source| *source == letter.source))
            && self.since.as_ref().is_none_or(is_late)
    }
}

/// Why a letter cannot be retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// It does not say what its line's ids are made of.
    OfBefore,
    /// Its text was not kept, and what stood there is not there any more.
    TextIsGone,
    /// The config has no such source.
    NoSource,
    /// Its bytes are no one record any more.
    OtherRecords,
    /// The checkpoint has not passed its line yet.
    UnderWay,
}

impl Obstacle {
    /// One sentence for an operator, with the cure.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::OfBefore => {
                "an earlier release wrote them and did not say whose lines they are; `floe backfill FILE` bills the \
                 lines where their file still stands"
            }
            Self::TextIsGone => {
                "their text is not kept in full, and the file at their path does not hold it; where it stands now, \
                 `floe backfill FILE` bills the lines under the same ids"
            }
            Self::NoSource => "the config has no source with their id; a source must never be renamed",
            Self::OtherRecords => {
                "with the config as it is now they are not one record each (container, multiline or format changed); \
                 `floe backfill FILE` bills what they are now"
            }
            Self::UnderWay => "the daemon has not settled what stands before them; retry them in a while",
        }
    }
}

/// What a retry came to.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Lines and events by rule.
    pub billed: BTreeMap<String, (u64, u64)>,
    pub counted: Counted,
    pub ignored: BTreeMap<Ignored, u64>,
    /// By the reason before and now, with the last thing that was said of one.
    pub refused: BTreeMap<(Quarantined, Quarantined), (u64, String)>,
    /// Their time is in the future of Polar's clock.
    pub future: u64,
    pub obstacles: BTreeMap<Obstacle, (u64, String)>,
    pub given_up: u64,
    /// Why, once it is given up.
    pub why: Option<String>,
}

impl Report {
    #[must_use]
    pub fn lines(&self) -> u64 {
        let sum = |counts: &mut dyn Iterator<Item = u64>| counts.sum::<u64>();
        sum(&mut self.billed.values().map(|(lines, _)| *lines))
            + self.ignored.values().sum::<u64>()
            + self.left()
    }

    /// Lines that are quarantined as before, or anew.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.refused.values().map(|(lines, _)| lines).sum::<u64>()
            + self.obstacles.values().map(|(lines, _)| lines).sum::<u64>()
            + self.future
            + self.given_up
    }
}
