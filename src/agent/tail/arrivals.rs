//! When bytes were first seen to be there: by that it is known how long the oldest line waits that is not read, or
//! not settled.
//!
//! A few runs stand for any number of bytes. Where runs are joined the earlier moment stays, so an age is never told
//! too small. The runs that are not settled go into the checkpoint, so that an age goes on after a restart.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use crate::agent::border::Now;
use crate::agent::checkpoint::UnbilledRecord;
use crate::model::{Moment, Offset};

/// What arrives within this time counts as arrived together.
const GRAIN: Duration = Duration::from_millis(100);

/// Runs that are kept for a stream at most.
const MOST_RUNS: usize = 32;

/// Runs that a checkpoint keeps for a stream at most.
const MOST_SAVED: usize = 8;

/// Of one stream.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// Ends and times rise.
    runs: VecDeque<Run>,
}

/// Bytes that arrived together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    end: Offset,
    /// When its first byte was seen.
    since: Since,
    /// Set where the checkpoint told of it: whether it may be older than that.
    of_before: Option<bool>,
}

/// A moment of this process's clock in nanoseconds, below zero where it was before that began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Since(i64);

impl Since {
    fn of(moment: Moment) -> Self {
        Self(i64::try_from(moment.as_nanos()).unwrap_or(i64::MAX))
    }

    fn age(self, now: Moment) -> Duration {
        let age = Self::of(now).0.saturating_sub(self.0);
        Duration::from_nanos(u64::try_from(age).unwrap_or(0))
    }
}

/// For how long a byte has been there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Age {
    pub age: Duration,
    /// What an earlier process said: whether it may be more.
    pub of_before: Option<bool>,
}

impl Arrivals {
    /// What a checkpoint says of a stream.
    pub(super) fn restored(records: &[UnbilledRecord], now: Now) -> Self {
        let nanoseconds = |milliseconds: i64| milliseconds.saturating_mul(1_000_000);
        let run = |record: &UnbilledRecord| {
            // Clocks may have been set back since.
            let age = now.wall.as_millisecond().saturating_sub(record.since_ms).max(0);
            let since = Since(Since::of(now.moment).0.saturating_sub(nanoseconds(age)));
            Run { end: record.end, since, of_before: Some(record.at_least) }
        };
        Self { runs: records.iter().take(MOST_RUNS).map(run).collect() }
    }

    /// What a checkpoint is to say of the bytes from this place on. `fresh_from`: what stands before may be older than
    /// this process knows.
    pub(super) fn records(&self, at: Offset, fresh_from: u64, now: Now) -> Vec<UnbilledRecord> {
        let mut open = self.runs.iter().filter(|run| run.end > at).peekable();
        if open.peek().is_none() {
            return Vec::new();
        }
        let open: Vec<&Run> = open.collect();
        let mut begin = at;
        let mut records = Vec::new();
        for runs in open.chunks(open.len().div_ceil(MOST_SAVED)) {
            let (first, last) = (runs[0], runs[runs.len() - 1]);
            let age = i64::try_from(first.since.age(now.moment).as_millis()).unwrap_or(i64::MAX);
            records.push(UnbilledRecord {
                end: last.end,
                since_ms: now.wall.as_millisecond().saturating_sub(age).max(Timestamp::MIN.as_millisecond()),
                at_least: first.of_before.unwrap_or(begin.0 < fresh_from),
            });
            begin = last.end;
        }
        records
    }

    /// Bytes stand there up to `end`.
    pub(super) fn saw(&mut self, end: Offset, now: Moment) {
        let now_since = Since::of(now);
        if let Some(run) = self.runs.back_mut() {
            if run.end >= end {
                return;
            }
            if run.of_before.is_none() && run.since.age(now) < GRAIN {
                run.end = end;
                return;
            }
        }
        if self.runs.len() >= MOST_RUNS {
            self.join_pairs();
        }
        self.runs.push_back(Run { end, since: now_since, of_before: None });
    }

    /// What stands from this place on is no line yet, or is there no more.
    pub(super) fn cut(&mut self, at: Offset) {
        let mut cut = None;
        while let Some(run) = self.runs.pop_back_if(|run| run.end > at) {
            cut = Some(run);
        }
        if let Some(run) = cut
            && self.runs.back().is_none_or(|last| last.end < at)
        {
            self.runs.push_back(Run { end: at, ..run });
        }
    }

    /// Everything before this place is settled.
    pub(super) fn settled(&mut self, at: Offset) {
        while self.runs.pop_front_if(|run| run.end <= at).is_some() {}
        if self.runs.is_empty() {
            self.runs = VecDeque::new();
        }
    }

    /// For how long the byte at this place has been there; `None`: it is not.
    pub(super) fn age(&self, at: Offset, now: Moment) -> Option<Age> {
        let run = self.runs.iter().find(|run| run.end > at)?;
        Some(Age { age: run.since.age(now), of_before: run.of_before })
    }

    /// # Panics
    /// When ends or times do not rise.
    pub(super) fn check_invariants(&self) {
        let mut pairs = self.runs.iter().zip(self.runs.iter().skip(1));
        let rises = pairs.all(|(one, next)| one.end < next.end && one.since <= next.since);
        assert!(rises, "what stands later arrived later: {:?}", self.runs);
    }

    fn join_pairs(&mut self) {
        let runs: Vec<Run> = self.runs.drain(..).collect();
        let joined = runs.chunks(2).map(|pair| Run { end: pair[pair.len() - 1].end, ..pair[0] });
        self.runs.extend(joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: u64 = 10_000_000;

    fn at(ms: u64) -> Moment {
        Moment::from_nanos(ms * 1_000_000)
    }

    fn now(ms: u64) -> Now {
        let wall = Timestamp::from_millisecond(1_000_000 + i64::try_from(ms).unwrap()).unwrap();
        Now { moment: at(ms), wall }
    }

    /// When it was seen, told by its age.
    fn since(arrivals: &Arrivals, byte: u64) -> Option<u64> {
        let age = arrivals.age(Offset(byte), at(END))?.age;
        Some(END - u64::try_from(age.as_millis()).unwrap())
    }

    #[test]
    fn a_byte_is_as_old_as_the_first_sight_of_it() {
        let mut arrivals = Arrivals::default();
        for (end, ms) in [(100, 1_000), (100, 1_500), (150, 2_000), (180, 2_050), (300, 9_000)] {
            arrivals.saw(Offset(end), at(ms));
        }
        for (byte, ms) in [
            (0, Some(1_000)),
            (99, Some(1_000)),
            (100, Some(2_000)),
            (179, Some(2_000)),
            (180, Some(9_000)),
            (300, None),
        ] {
            assert_eq!(since(&arrivals, byte), ms, "byte {byte}");
        }
        arrivals.settled(Offset(160));
        assert_eq!(since(&arrivals, 160), Some(2_000), "the rest of a run keeps its moment");
        arrivals.settled(Offset(300));
        assert_eq!(since(&arrivals, 0), None);
    }

    #[test]
    fn a_line_arrives_with_its_end() {
        let mut arrivals = Arrivals::default();
        arrivals.saw(Offset(130), at(1_000));
        arrivals.cut(Offset(100));
        assert_eq!(since(&arrivals, 99), Some(1_000));
        assert_eq!(since(&arrivals, 100), None, "what has no end is no line");
        arrivals.saw(Offset(140), at(60_000));
        assert_eq!(since(&arrivals, 100), Some(60_000));
        arrivals.cut(Offset(140));
        assert_eq!(since(&arrivals, 139), Some(60_000), "a cut behind everything takes nothing");
    }

    #[test]
    fn what_is_kept_is_bounded_and_no_age_is_told_too_small() {
        let mut arrivals = Arrivals::default();
        for second in 0..10_000 {
            arrivals.saw(Offset(10 * (second + 1)), at(second * 1_000));
            assert!(arrivals.runs.len() <= MOST_RUNS);
        }
        for second in 0..10_000 {
            let since = since(&arrivals, 10 * second).expect("nothing is settled");
            assert!(since <= second * 1_000, "second {second}");
        }
    }

    #[test]
    fn an_age_goes_on_after_a_restart() {
        let mut arrivals = Arrivals::default();
        for (end, ms) in [(100, 1_000), (200, 5_000), (300, 9_000)] {
            arrivals.saw(Offset(end), at(ms));
        }
        assert_eq!(arrivals.records(Offset(300), 0, now(10_000)), [], "all is settled");
        let records = arrivals.records(Offset(150), 250, now(10_000));
        let told: Vec<_> = records.iter().map(|it| (it.end.0, it.since_ms, it.at_least)).collect();
        // Of what was there before that process looked it knows no more than that.
        assert_eq!(told, [(200, 1_005_000, true), (300, 1_009_000, true)]);

        // A process that begins 50 seconds later, with a clock of its own.
        let later = Now { moment: at(20), wall: Timestamp::from_millisecond(1_060_000).unwrap() };
        let mut restored = Arrivals::restored(&records, later);
        restored.saw(Offset(400), at(20));
        let age = |byte| restored.age(Offset(byte), at(1_020)).unwrap();
        assert_eq!(age(150), Age { age: Duration::from_secs(56), of_before: Some(true) });
        assert_eq!(age(299), Age { age: Duration::from_secs(52), of_before: Some(true) });
        assert_eq!(age(300), Age { age: Duration::from_secs(1), of_before: None });
    }

    #[test]
    fn a_checkpoint_keeps_few_runs_and_none_too_young() {
        let mut arrivals = Arrivals::default();
        (1..=30).for_each(|second| arrivals.saw(Offset(10 * second), at(second * 1_000)));
        let records = arrivals.records(Offset(0), 0, now(30_000));
        assert!(records.len() <= MOST_SAVED, "{records:?}");
        let restored = Arrivals::restored(&records, now(30_000));
        for second in 1..=30 {
            assert!(since(&restored, 10 * second - 1) <= Some(second * 1_000), "second {second}");
        }
        let set_back = Now { wall: Timestamp::UNIX_EPOCH, ..now(30_000) };
        let restored = Arrivals::restored(&records, set_back);
        assert_eq!(restored.age(Offset(0), at(30_000)).unwrap().age, Duration::ZERO, "no age is negative");
    }
}
