//! How fast to send: the budget of requests, the number at once, and the waits after failures.
//!
//! Polar's limit is shared by the whole organization, so a budget is kept even while nobody complains; and
//! when Polar fails, one request at a time feels its way back.

use std::time::Duration;

use super::figures::Recent;
use crate::agent::border::RequestId;
use crate::agent::notice::NoticeCode;
use crate::model::Moment;
use crate::polar::limits::RATE_WINDOW_S;

/// The first wait after a failure; each further one may be twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// No wait is longer.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A wait of a 429 without `Retry-After`: Polar's window.
pub(super) const RATE_WINDOW: Duration = Duration::from_secs(RATE_WINDOW_S);

/// A small generator for jitter: splitmix64. Its seed is an argument, so a history can be played again.
#[derive(Debug)]
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Full jitter: anything between a millisecond and the exponential bound of the `failures`-th failure.
    pub(super) fn backoff(&mut self, failures: u32, longest: Duration) -> Duration {
        let bound = FIRST_WAIT.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest);
        let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_millis(1) + Duration::from_nanos(self.next() % nanos.max(1))
    }
}

/// A token bucket of requests. In no minute does it give more than the configured number.
#[derive(Debug)]
pub(super) struct Budget {
    per_minute: u32,
    /// Milli-tokens.
    tokens: u64,
    counted_at: Moment,
    /// Nanoseconds' worth of refill that made no whole milli-token yet.
    remainder: u64,
    recent: Recent,
}

impl Budget {
    pub(super) fn new(per_minute: u32, now: Moment) -> Self {
        Self {
            per_minute,
            tokens: Self::burst(per_minute) * 1000,
            counted_at: now,
            remainder: 0,
            recent: Recent::new(),
        }
    }

    /// What may be sent at once after a pause: part of the minute's number, which the refill leaves out.
    fn burst(per_minute: u32) -> u64 {
        u64::from((per_minute / 10).max(1))
    }

    fn refill_per_minute(&self) -> u64 {
        (u64::from(self.per_minute) - Self::burst(self.per_minute)).max(1)
    }

    pub(super) fn set(&mut self, per_minute: u32) {
        self.per_minute = per_minute;
        self.tokens = self.tokens.min(Self::burst(per_minute) * 1000);
    }

    fn count(&mut self, now: Moment) {
        const MINUTE_NANOS: u128 = 60_000_000_000;
        let elapsed = now.since(self.counted_at).as_nanos();
        self.counted_at = self.counted_at.max(now);
        let gained = elapsed * u128::from(self.refill_per_minute()) * 1000 + u128::from(self.remainder);
        self.remainder = u64::try_from(gained % MINUTE_NANOS).expect("a remainder is small");
        let gained = u64::try_from(gained / MINUTE_NANOS).unwrap_or(u64::MAX);
        self.tokens = self.tokens.saturating_add(gained).min(Self::burst(self.per_minute) * 1000);
    }

    /// When the next request may go: now, or later.
    pub(super) fn ready_at(&mut self, now: Moment) -> Moment {
        self.count(now);
        if self.tokens >= 1000 {
            return now;
        }
        let missing = u128::from(1000 - self.tokens) * 60_000_000_000;
        let wait = missing.div_ceil(u128::from(self.refill_per_minute()) * 1000);
        now + Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX))
    }

    /// Takes one request out. Only after [`Budget::ready_at`] said now.
    pub(super) fn take(&mut self, now: Moment) {
        self.count(now);
        self.tokens = self.tokens.checked_sub(1000).expect("a request is sent only when the budget has one");
        self.recent.count(now);
    }

    /// Requests of the last minute.
    pub(super) fn last_minute(&self, now: Moment) -> u32 {
        self.recent.last_minute(now)
    }
}

/// How many requests may be under way: additive increase, multiplicative decrease.
#[derive(Debug)]
pub(super) struct Width {
    most: u16,
    /// In sixteenths of a request.
    sixteenths: u32,
}

impl Width {
    pub(super) fn new(most: u16) -> Self {
        Self { most, sixteenths: 16 * u32::from(most.min(2)) }
    }

    pub(super) fn set(&mut self, most: u16) {
        self.most = most;
        self.sixteenths = self.sixteenths.min(16 * u32::from(most));
    }

    pub(super) fn get(&self) -> usize {
        (self.sixteenths / 16).max(1) as usize
    }

    pub(super) fn widen(&mut self) {
        self.sixteenths = (self.sixteenths + 4).min(16 * u32::from(self.most));
    }

    pub(super) fn narrow(&mut self) {
        self.sixteenths = (self.sixteenths / 2).max(16);
    }
}

/// Whether sending is open; while it is closed, one request at a time feels its way.
#[derive(Debug, Default)]
pub(super) struct Gate {
    closed: Option<Closed>,
}

/// Why the gate is closed, and until when.
#[derive(Debug)]
pub(super) struct Closed {
    /// The first request that was not sent yet when the gate closed. Answers to those before it say nothing
    /// about how things are now.
    since: RequestId,
    opens: Moment,
    /// Failures in a row of requests sent since then; the failure that closed it is the first.
    failures: u32,
    why: String,
    /// What the operator was told last.
    told: Option<(NoticeCode, String)>,
}

impl Gate {
    /// Closes the gate if it is open; `next` is the next request to be sent.
    pub(super) fn close(&mut self, next: RequestId, why: &str) -> &mut Closed {
        let closed = self.closed.get_or_insert_with(|| Closed {
            since: next,
            opens: Moment::START,
            failures: 0,
            why: String::new(),
            told: None,
        });
        why.clone_into(&mut closed.why);
        closed
    }

    /// A request succeeded: opens the gate if it was sent since the gate closed. Gives what the operator was
    /// told meanwhile.
    pub(super) fn passed(&mut self, request: RequestId) -> Option<NoticeCode> {
        let closed = self.closed.take_if(|closed| request >= closed.since)?;
        closed.told.map(|(code, _)| code)
    }

    pub(super) fn opens_at(&self) -> Moment {
        self.closed.as_ref().map_or(Moment::START, |closed| closed.opens)
    }

    /// Why at most one request may be under way.
    pub(super) fn why(&self) -> Option<&str> {
        self.closed.as_ref().map(|closed| closed.why.as_str())
    }
}

impl Closed {
    /// Counts a failure and puts the next probe off. Requests that were under way when the gate closed fail
    /// for the same cause: they count as one.
    pub(super) fn count_failure(&mut self, now: Moment, request: RequestId, jitter: &mut Jitter) {
        if self.failures == 0 || request >= self.since {
            self.failures += 1;
            self.put_off(now + jitter.backoff(self.failures, LONGEST_WAIT));
        }
    }

    pub(super) fn put_off(&mut self, until: Moment) {
        self.opens = self.opens.max(until);
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// What the operator was told last since the gate closed.
    pub(super) fn told(&self) -> Option<(NoticeCode, &str)> {
        self.told.as_ref().map(|(code, why)| (*code, why.as_str()))
    }

    /// Notes that the operator is told why the gate is closed.
    pub(super) fn tell(&mut self, code: NoticeCode) {
        self.told = Some((code, self.why.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Moment {
        Moment::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn no_minute_sees_more_requests_than_the_budget() {
        for per_minute in [1, 2, 7, 60, 300, 6000] {
            let mut budget = Budget::new(per_minute, Moment::START);
            let mut sent: Vec<Moment> = Vec::new();
            let mut now = Moment::START;
            while now < at(300_000) {
                let ready = budget.ready_at(now);
                if ready > now {
                    now = ready;
                    continue;
                }
                budget.take(now);
                sent.push(now);
            }
            for (index, start) in sent.iter().enumerate() {
                let end = *start + Duration::from_secs(60);
                let within = sent[index..].iter().take_while(|moment| **moment < end).count();
                assert!(within <= per_minute as usize + 1, "{within} of {per_minute} from {start:?}");
            }
            assert!(sent.len() as u32 >= (per_minute - 1).max(1) * 4, "{} of {per_minute}", sent.len());
        }
    }

    #[test]
    fn waits_grow_and_stay_within_their_bound() {
        let mut jitter = Jitter::new(7);
        for failures in 1..40 {
            let wait = jitter.backoff(failures, Duration::from_secs(60));
            assert!(wait <= Duration::from_millis(1) + Duration::from_millis(500 << (failures - 1).min(7)));
            assert!(wait <= Duration::from_secs(61));
        }
    }

    #[test]
    fn width_halves_on_failure_and_grows_slowly() {
        let mut width = Width::new(4);
        assert_eq!(width.get(), 2);
        (0..8).for_each(|_| width.widen());
        assert_eq!(width.get(), 4);
        width.narrow();
        assert_eq!(width.get(), 2);
        (0..5).for_each(|_| width.narrow());
        assert_eq!(width.get(), 1);
    }
}
