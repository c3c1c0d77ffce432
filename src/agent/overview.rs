//! The agent in numbers, for those who look from outside: metrics, status pages, `floe status`.
//!
//! It is made when somebody asks, by a walk over all streams. Nothing is counted for it that a step would feel.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::border::{Now, Status};
use super::{Agent, Phase};

/// The whole of it, at one moment.
#[derive(Debug, Clone, Default)]
pub struct Overview {
    pub status: Status,
    /// By id: all sources of the settings.
    pub sources: BTreeMap<String, SourceOverview>,
    pub delivery: Delivery,
    pub files: OpenFiles,
    pub checkpoint: Saved,
    /// Of the memory budget.
    pub memory_max: u64,
    /// Why it does not do its work yet, or any more.
    pub not_ready: Option<NotReady>,
}

/// What is not done of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SourceOverview {
    /// That are followed.
    pub files: usize,
    /// That nobody can tell from another one: they wait, and so do their lines.
    pub held_files: usize,
    /// Known to be there and not read, but for a line without its end.
    pub lag_bytes: u64,
    /// For how long the oldest line that is not read has been there.
    pub lag: Option<Duration>,
    /// For how long the oldest line that is not settled has been there, read or not. It counts from when the line was
    /// first seen whole, by this process or by one before.
    pub unbilled: Option<Waited>,
}

/// For how long something has waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waited {
    pub age: Duration,
    /// It was there before anybody looked, and may be older.
    pub at_least: bool,
}

impl SourceOverview {
    pub(super) fn waits(&mut self, lag: Option<Waited>, unbilled: Option<Waited>) {
        self.lag = self.lag.max(lag.map(|lag| lag.age));
        self.unbilled = self.unbilled.max(unbilled);
    }
}

/// How requests to Polar fare.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delivery {
    /// Answers by HTTP status: `2xx`, `429`, …; `none` where no answer came.
    pub answers: BTreeMap<String, u64>,
    /// Batches that Polar took.
    pub batches: u64,
    /// Requests that brought nothing home, so that their events are sent again.
    pub repeated: u64,
    pub latency: Latency,
    /// The newest last.
    pub last: Vec<AnswerSeen>,
    pub requests_last_minute: u32,
    pub requests_per_minute: u32,
    /// Lines that wait until Polar's clock has come to their timestamps.
    pub held_lines: u64,
}

/// How long answers took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Latency {
    /// Answers within each of [`Latency::BOUNDS_MS`] and not within the one before; slower ones are in none.
    pub buckets: [u64; 10],
    pub count: u64,
    pub sum: Duration,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerSeen {
    pub at: Timestamp,
    pub code: String,
    /// Of the request.
    pub events: u32,
    pub took: Duration,
    pub what: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenFiles {
    pub open: usize,
    pub most: usize,
    /// That have something to read and wait for a descriptor.
    pub waiting: usize,
}

/// How old the checkpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Saved {
    /// Since it was saved last by this process.
    pub age: Option<Duration>,
    /// For how long it has not said all that is so. Zero: it does.
    pub unsaved: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotReady {
    /// The folders of the sources were not looked into yet.
    Starting,
    Draining,
}

impl Agent {
    /// All numbers at this moment.
    #[must_use]
    pub fn overview(&self, now: Now) -> Overview {
        Overview {
            status: self.status(),
            sources: self.tail.overview(&self.books, now),
            delivery: self.ship.overview(now),
            files: self.tail.open_files(),
            checkpoint: self.saver.overview(now),
            memory_max: self.settings.limits.memory,
            not_ready: self.not_ready(),
        }
    }

    fn not_ready(&self) -> Option<NotReady> {
        match self.phase {
            Phase::Running if self.tail.has_looked() => None,
            Phase::Running => Some(NotReady::Starting),
            Phase::Draining { .. } | Phase::Halting { .. } | Phase::Stopped => Some(NotReady::Draining),
        }
    }
}
