//! Polar's clock, told from the `Date` of its answers and measured on ours that never jumps.
//!
//! An answer that arrives at `m` with `Date` `d` bounds Polar's time at `m` from below by `d` (it was
//! written before) and from above by `d` + 1 s (the header has whole seconds) + the time of the round trip.
//! While the host's wall clock lies within the bounds it is trusted, for it is far finer; once it is
//! outside, or Polar has called a timestamp future, the lower bound is taken: early is never right.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::agent::border::Now;
use crate::model::Moment;

/// Answers that are remembered.
const SAMPLES: usize = 8;

/// How long the wall clock is not trusted after Polar called a timestamp future.
const STRICT: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
pub(super) struct PolarClock {
    samples: VecDeque<Sample>,
    strict_until: Option<Moment>,
    /// What was said last: the clocks differ.
    differs: bool,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Moment,
    date: Timestamp,
    round_trip: Duration,
}

impl Sample {
    fn lower(self, now: Moment) -> Timestamp {
        plus(self.date, now.since(self.at))
    }

    fn upper(self, now: Moment) -> Timestamp {
        plus(self.date, now.since(self.at) + self.round_trip + Duration::from_secs(1))
    }
}

fn plus(time: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

impl PolarClock {
    /// Takes the `Date` of an answer in. Returns how far the host's clock is ahead (in seconds, negative:
    /// behind) when that has become, or ceased to be, more than a second.
    pub(super) fn heard(&mut self, now: Now, sent: Moment, date: Timestamp) -> Option<i64> {
        let sample = Sample { at: now.moment, date, round_trip: now.moment.since(sent) };
        let fits = |other: &Sample| {
            other.lower(now.moment) <= sample.upper(now.moment)
                && sample.lower(now.moment) <= other.upper(now.moment)
        };
        // An answer that contradicts the others means that Polar's clock was set.
        if !self.samples.iter().all(fits) {
            self.samples.clear();
        }
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        let (lower, upper) = self.bounds(now.moment)?;
        let outside = if now.wall > upper {
            now.wall.duration_since(upper)
        } else if now.wall < lower {
            now.wall.duration_since(lower)
        } else {
            SignedDuration::ZERO
        };
        // The bounds move by up to a second, so what was said holds until the clock is well within them.
        let differs = if self.differs { !outside.is_zero() } else { outside.as_secs() != 0 };
        let changed = differs != self.differs;
        self.differs = differs;
        changed.then_some(outside.as_secs())
    }

    /// Polar has called a timestamp future that this clock had not. Whatever was heard before its answer is
    /// disproved: its clock may have been set back by less than the bounds would show.
    pub(super) fn was_early(&mut self, now: Moment) {
        self.strict_until = Some(now + STRICT);
        self.samples.drain(..self.samples.len().saturating_sub(1));
    }

    /// Polar has answered without a `Date`: the host's clock must do until one comes.
    pub(super) fn assume(&mut self, now: Now) {
        if self.samples.is_empty() {
            let date = now.wall;
            self.samples.push_back(Sample { at: now.moment, date, round_trip: Duration::ZERO });
        }
    }

    /// A time that Polar's clock has reached, as far as can be known.
    pub(super) fn now(&self, now: Now) -> Timestamp {
        let Some((lower, upper)) = self.bounds(now.moment) else { return now.wall };
        let strict = self.strict_until.is_some_and(|until| now.moment < until);
        if strict || now.wall < lower || now.wall > upper { lower } else { now.wall }
    }

    fn bounds(&self, now: Moment) -> Option<(Timestamp, Timestamp)> {
        let lower = self.samples.iter().map(|sample| sample.lower(now)).max()?;
        let upper = self.samples.iter().map(|sample| sample.upper(now)).min()?;
        Some((lower, upper))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(moment_ms: u64, wall: &str) -> Now {
        Now { moment: Moment::from_nanos(moment_ms * 1_000_000), wall: wall.parse().unwrap() }
    }

    fn heard(clock: &mut PolarClock, moment_ms: u64, wall: &str, date: &str) -> Option<i64> {
        clock.heard(
            now(moment_ms, wall),
            Moment::from_nanos((moment_ms - 20) * 1_000_000),
            date.parse().unwrap(),
        )
    }

    #[test]
    fn a_wall_clock_within_the_bounds_is_trusted() {
        let mut clock = PolarClock::default();
        assert_eq!(heard(&mut clock, 1000, "2026-11-20T10:00:00.700Z", "2026-11-20T10:00:00Z"), None);
        let later = now(1500, "2026-11-20T10:00:01.2Z");
        assert_eq!(clock.now(later), later.wall);
    }

    #[test]
    fn a_wall_clock_ahead_is_not() {
        let mut clock = PolarClock::default();
        assert_eq!(heard(&mut clock, 1000, "2026-11-20T11:00:00.700Z", "2026-11-20T10:00:00Z"), Some(3599));
        assert_eq!(clock.now(now(1500, "2026-11-20T11:00:01.2Z")).to_string(), "2026-11-20T10:00:00.5Z");
    }

    #[test]
    fn a_difference_is_said_when_it_comes_and_when_it_goes() {
        let table = [
            ("10:00:02.000", "10:00:00", None, "within the second of the header"),
            ("10:00:02.600", "10:00:01", None, "outside by less than a second"),
            ("10:00:05.400", "10:00:02", Some(2), "more than a second ahead"),
            ("10:00:06.400", "10:00:03", None, "still ahead"),
            ("10:00:05.500", "10:00:04", None, "outside by half a second"),
            ("10:00:05.500", "10:00:05", Some(0), "within"),
            ("09:00:00.000", "10:00:06", Some(-3606), "behind"),
        ];
        let mut clock = PolarClock::default();
        for (index, (wall, date, expected, what)) in table.into_iter().enumerate() {
            let (wall, date) = (format!("2026-11-20T{wall}Z"), format!("2026-11-20T{date}Z"));
            assert_eq!(heard(&mut clock, 1000 + 1000 * index as u64, &wall, &date), expected, "{what}");
        }
    }

    #[test]
    fn a_jump_of_the_wall_clock_changes_nothing() {
        let mut clock = PolarClock::default();
        heard(&mut clock, 1000, "2026-11-20T10:00:00.700Z", "2026-11-20T10:00:00Z");
        assert_eq!(clock.now(now(2000, "2030-01-01T00:00:00Z")).to_string(), "2026-11-20T10:00:01Z");
    }

    #[test]
    fn after_a_refusal_the_lower_bound_counts() {
        let mut clock = PolarClock::default();
        heard(&mut clock, 1000, "2026-11-20T10:00:00.700Z", "2026-11-20T10:00:00Z");
        clock.was_early(Moment::from_nanos(1_000_000_000));
        assert_eq!(clock.now(now(1500, "2026-11-20T10:00:01.2Z")).to_string(), "2026-11-20T10:00:00.5Z");
    }

    #[test]
    fn when_polar_sets_its_clock_the_newest_answer_counts() {
        let mut clock = PolarClock::default();
        heard(&mut clock, 1000, "2026-11-20T10:00:00Z", "2026-11-20T10:00:00Z");
        heard(&mut clock, 2000, "2026-11-20T10:00:01Z", "2026-11-20T09:00:00Z");
        assert_eq!(clock.now(now(3000, "2026-11-20T10:00:02Z")).to_string(), "2026-11-20T09:00:01Z");
    }
}
