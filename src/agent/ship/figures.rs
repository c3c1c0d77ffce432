//! What is remembered of requests for those who look from outside: counts, how long answers took, and the last ones.
//! Nothing here decides anything.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::agent::border::{Now, Outcome};
use crate::agent::overview::{AnswerSeen, Latency};
use crate::model::Moment;
use crate::polar::answer::{Answer, Refusal};

/// Answers that are remembered.
const LAST: usize = 8;

const SECONDS: u64 = 60;

#[derive(Debug, Default)]
pub(super) struct Figures {
    pub answers: BTreeMap<String, u64>,
    pub batches: u64,
    pub repeated: u64,
    pub latency: Latency,
    /// The newest last.
    pub last: VecDeque<AnswerSeen>,
}

impl Figures {
    /// An answer, or that none came, to a request with so many events.
    pub(super) fn answered(&mut self, now: Now, sent: Moment, events: u32, outcome: &Outcome) {
        let took = now.moment.since(sent);
        let code = code(outcome);
        let is_accepted = matches!(outcome, Outcome::Answer(Answer::Accepted { .. }));
        *self.answers.entry(code.clone()).or_default() += 1;
        self.batches += u64::from(is_accepted && events > 0);
        self.repeated += u64::from(!is_accepted && events > 0);
        self.latency.add(took);
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back(AnswerSeen { at: now.wall, code, events, took, what: words(outcome) });
    }
}

/// Its HTTP status, as far as it matters: any 2xx is one.
fn code(outcome: &Outcome) -> String {
    let status = match outcome {
        Outcome::NoAnswer { .. } => return "none".to_owned(),
        Outcome::Answer(answer) => match answer {
            Answer::Accepted { .. } => return "2xx".to_owned(),
            Answer::Throttled { .. } => 429,
            Answer::TooLarge => 413,
            Answer::Invalid { .. } => 422,
            Answer::Failed { status, .. } => *status,
            Answer::Refused(refusal) => match refusal {
                Refusal::BadRequest => 400,
                Refusal::Unauthorized => 401,
                Refusal::Forbidden { .. } => 403,
                Refusal::NotFound => 404,
                Refusal::MethodNotAllowed => 405,
                Refusal::LengthRequired => 411,
                Refusal::Redirected { status } | Refusal::Other { status } => *status,
            },
        },
    };
    status.to_string()
}

fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::NoAnswer { what } => what.clone(),
        Outcome::Answer(Answer::Accepted { inserted, duplicates: 0 }) => format!("{inserted} inserted"),
        Outcome::Answer(Answer::Accepted { inserted, duplicates }) => {
            format!("{inserted} inserted, {duplicates} that Polar had already")
        }
        Outcome::Answer(Answer::Throttled { .. }) => "the rate limit is met".to_owned(),
        Outcome::Answer(Answer::Refused(refusal)) => refusal.to_string(),
        Outcome::Answer(Answer::Failed { .. }) => "Polar fails".to_owned(),
        Outcome::Answer(Answer::TooLarge) => "the batch is too large".to_owned(),
        Outcome::Answer(Answer::Invalid { named }) => format!("{} events are named as wrong", named.len()),
    }
}

/// How many requests were sent in the last minute, second by second.
#[derive(Debug)]
pub(super) struct Recent {
    second: u64,
    /// Of `second` and those before it, each at its number modulo the length.
    counts: [u32; SECONDS as usize],
}

impl Recent {
    pub(super) const fn new() -> Self {
        Self { second: 0, counts: [0; SECONDS as usize] }
    }

    pub(super) fn count(&mut self, now: Moment) {
        let second = second_of(now).max(self.second);
        for passed in (self.second + 1..=second).rev().take(SECONDS as usize) {
            self.counts[slot(passed)] = 0;
        }
        self.second = second;
        self.counts[slot(second)] += 1;
    }

    pub(super) fn last_minute(&self, now: Moment) -> u32 {
        let since = second_of(now).saturating_sub(SECONDS - 1);
        let oldest = self.second.saturating_sub(SECONDS - 1).max(since);
        (oldest..=self.second).map(|second| self.counts[slot(second)]).sum()
    }
}

fn second_of(moment: Moment) -> u64 {
    moment.since(Moment::START).as_secs()
}

fn slot(second: u64) -> usize {
    (second % SECONDS) as usize
}

impl Latency {
    /// Upper bounds of the buckets, in milliseconds.
    pub const BOUNDS_MS: [u64; 10] = [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000];

    fn add(&mut self, took: Duration) {
        let bound = Self::BOUNDS_MS.iter().position(|bound| took <= Duration::from_millis(*bound));
        if let Some(bound) = bound {
            self.buckets[bound] += 1;
        }
        self.count += 1;
        self.sum += took;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Moment {
        Moment::START + Duration::from_secs(second)
    }

    #[test]
    fn the_last_minute_forgets_what_is_older() {
        let mut recent = Recent::new();
        for second in [0, 0, 10, 59] {
            recent.count(at(second));
        }
        for (second, expected) in [(59, 4), (60, 2), (69, 2), (70, 1), (118, 1), (119, 0), (10_000, 0)] {
            assert_eq!(recent.last_minute(at(second)), expected, "at {second}");
        }
        recent.count(at(1_000));
        assert_eq!(recent.last_minute(at(1_000)), 1);
        recent.count(at(1_059));
        assert_eq!((recent.last_minute(at(1_059)), recent.last_minute(at(1_060))), (2, 1));
    }

    #[test]
    fn an_answer_counts_by_its_code_and_its_time() {
        let mut figures = Figures::default();
        let now = Now { moment: at(2), wall: jiff::Timestamp::UNIX_EPOCH };
        let none = Outcome::NoAnswer { what: "reset".to_owned() };
        let taken = Outcome::Answer(Answer::Accepted { inserted: 3, duplicates: 0 });
        let greeting = Outcome::Answer(Answer::Accepted { inserted: 0, duplicates: 0 });
        let refused = Outcome::Answer(Answer::Refused(Refusal::Unauthorized));
        for (events, outcome) in [(3, &none), (3, &refused), (3, &taken), (0, &greeting)] {
            figures.answered(now, at(1), events, outcome);
        }
        let answers: Vec<(&str, u64)> = figures.answers.iter().map(|(code, n)| (code.as_str(), *n)).collect();
        assert_eq!(answers, [("2xx", 2), ("401", 1), ("none", 1)]);
        assert_eq!((figures.batches, figures.repeated), (1, 2));
        assert_eq!((figures.latency.count, figures.latency.sum), (4, Duration::from_secs(4)));
        assert_eq!(figures.latency.buckets, [0, 0, 0, 0, 4, 0, 0, 0, 0, 0]);
        for _ in 0..20 {
            figures.answered(now, at(1), 1, &taken);
        }
        assert_eq!(figures.last.len(), LAST);
    }
}
