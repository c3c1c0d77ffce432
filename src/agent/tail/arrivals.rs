//! When bytes were first seen to be there: by that it is known how long the oldest line waits that is not read, or
//! not settled.
//!
//! A few runs stand for any number of bytes. Where runs are joined the earlier moment stays, so an age is never told
//! too small.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::{Moment, Offset};

/// What arrives within this time counts as arrived together.
const GRAIN: Duration = Duration::from_millis(100);

/// Runs that are kept for a stream at most.
const MOST_RUNS: usize = 32;

/// Of one stream.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// Where each run of bytes ends, and when its first byte was seen. Both rise.
    runs: VecDeque<(Offset, Moment)>,
}

impl Arrivals {
    /// Bytes stand there up to `end`.
    pub(super) fn saw(&mut self, end: Offset, now: Moment) {
        if let Some((known, since)) = self.runs.back_mut() {
            if *known >= end {
                return;
            }
            if now.since(*since) < GRAIN {
                *known = end;
                return;
            }
        }
        if self.runs.len() >= MOST_RUNS {
            self.join_pairs();
        }
        self.runs.push_back((end, now));
    }

    /// What stands from this place on is no line yet, or is there no more.
    pub(super) fn cut(&mut self, at: Offset) {
        let mut since = None;
        while let Some((_, seen)) = self.runs.pop_back_if(|(end, _)| *end > at) {
            since = Some(seen);
        }
        if let Some(since) = since
            && self.runs.back().is_none_or(|(end, _)| *end < at)
        {
            self.runs.push_back((at, since));
        }
    }

    /// Everything before this place is settled.
    pub(super) fn settled(&mut self, at: Offset) {
        while self.runs.pop_front_if(|(end, _)| *end <= at).is_some() {}
        if self.runs.is_empty() {
            self.runs = VecDeque::new();
        }
    }

    /// When the byte at this place was first seen; `None`: it is not there.
    pub(super) fn since(&self, at: Offset) -> Option<Moment> {
        self.runs.iter().find(|(end, _)| *end > at).map(|(_, since)| *since)
    }

    fn join_pairs(&mut self) {
        let runs: Vec<(Offset, Moment)> = self.runs.drain(..).collect();
        let joined = runs.chunks(2).map(|pair| (pair[pair.len() - 1].0, pair[0].1));
        self.runs.extend(joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn a_byte_is_as_old_as_the_first_sight_of_it() {
        let mut arrivals = Arrivals::default();
        for (end, ms) in [(100, 1_000), (100, 1_500), (150, 2_000), (180, 2_050), (300, 9_000)] {
            arrivals.saw(Offset(end), at(ms));
        }
        let since = |arrivals: &Arrivals, byte| arrivals.since(Offset(byte));
        for (byte, ms) in [
            (0, Some(1_000)),
            (99, Some(1_000)),
            (100, Some(2_000)),
            (179, Some(2_000)),
            (180, Some(9_000)),
            (300, None),
        ] {
            assert_eq!(since(&arrivals, byte), ms.map(at), "byte {byte}");
        }
        arrivals.settled(Offset(160));
        assert_eq!(since(&arrivals, 160), Some(at(2_000)), "the rest of a run keeps its moment");
        arrivals.settled(Offset(300));
        assert_eq!(since(&arrivals, 0), None);
    }

    #[test]
    fn a_line_arrives_with_its_end() {
        let mut arrivals = Arrivals::default();
        arrivals.saw(Offset(130), at(1_000));
        arrivals.cut(Offset(100));
        assert_eq!(arrivals.since(Offset(99)), Some(at(1_000)));
        assert_eq!(arrivals.since(Offset(100)), None, "what has no end is no line");
        arrivals.saw(Offset(140), at(60_000));
        assert_eq!(arrivals.since(Offset(100)), Some(at(60_000)));
        arrivals.cut(Offset(140));
        assert_eq!(arrivals.since(Offset(139)), Some(at(60_000)), "a cut behind everything takes nothing");
    }

    #[test]
    fn what_is_kept_is_bounded_and_no_age_is_told_too_small() {
        let mut arrivals = Arrivals::default();
        for second in 0..10_000 {
            arrivals.saw(Offset(10 * (second + 1)), at(second * 1_000));
            assert!(arrivals.runs.len() <= MOST_RUNS);
        }
        for second in 0..10_000 {
            let since = arrivals.since(Offset(10 * second)).expect("nothing is settled");
            assert!(since <= at(second * 1_000), "second {second}");
        }
    }
}
