//! An errand: lines that are there already go to Polar, once, and each gets a verdict. `floe quarantine retry` runs it.
//!
//! It delivers as the daemon does (retries, splits, blame, budget, Polar's clock) but follows no file and keeps no
//! books. Unlike the daemon somebody waits for it: when nothing is decided for long it gives up, and whatever has no
//! verdict then is as it was before.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::books::{ChunkId, LineId};
use super::border::{Effect, Now, Outcome, RequestId};
use super::ship::{Delivered, Ship, Verdict};
use crate::config::settings::DeliverySettings;
use crate::model::{BilledLine, Moment, Quarantined, StreamId};

/// The events of a line to send.
#[derive(Debug, Clone)]
pub struct ErrandLine {
    /// Each followed by `,`.
    pub body: Vec<u8>,
    pub events: u16,
    pub natural_ids: bool,
}

/// What became of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrandVerdict {
    Billed,
    /// Polar refuses it; `events` are separated by `,`.
    Condemned {
        reason: Quarantined,
        detail: String,
        events: Bytes,
    },
    /// It waits for Polar's clock.
    Future,
    /// Nothing was decided in the time that there was.
    GivenUp,
}

/// What Polar counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    pub inserted: u64,
    pub duplicates: u64,
}

/// Lines on their way. Call [`Errand::poll`] after each call until it gives nothing, and wait for an answer or for
/// [`Errand::deadline`].
#[derive(Debug)]
pub struct Errand {
    ship: Ship,
    /// Lines without a verdict, by number.
    waiting: BTreeSet<u64>,
    next: u64,
    verdicts: Vec<(u64, ErrandVerdict)>,
    out: VecDeque<Effect>,
    give_up_after: Duration,
    /// When something was decided last.
    decided: Moment,
    /// Why nothing was, once it is given up.
    given_up: Option<String>,
}

/// The lines of an errand are of no stream.
const NO_STREAM: StreamId = StreamId(0);

impl Errand {
    /// Its first request asks for Polar's clock. `seed` is for jitter alone.
    #[must_use]
    pub fn new(delivery: DeliverySettings, give_up_after: Duration, now: Now, seed: u64) -> Self {
        let mut ship = Ship::new(delivery, Delivered::default(), now.moment, seed);
        ship.greet();
        ship.set_flushing(true);
        let mut errand = Self {
            ship,
            waiting: BTreeSet::new(),
            next: 0,
            verdicts: Vec::new(),
            out: VecDeque::new(),
            give_up_after,
            decided: now.moment,
            given_up: None,
        };
        errand.pump(now);
        errand
    }

    /// Whether Polar's clock is known, so that lines can be mapped.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ship.is_greeted()
    }

    #[must_use]
    pub fn polar_now(&self, now: Now) -> Timestamp {
        self.ship.polar_now(now)
    }

    /// Takes lines in and gives their numbers.
    pub fn load(&mut self, now: Now, lines: impl IntoIterator<Item = ErrandLine>) -> Range<u64> {
        let first = self.next;
        for line in lines {
            self.load_one(now.moment, line);
        }
        self.decided = now.moment;
        self.pump(now);
        first..self.next
    }

    /// A chunk for each line, so that each has a verdict of its own.
    fn load_one(&mut self, now: Moment, line: ErrandLine) {
        let chunk = ChunkId { stream: NO_STREAM, number: self.next };
        let body_end = u32::try_from(line.body.len()).expect("a line's events fit in a request");
        let billed = BilledLine { at: 0, len: 0, body_end, events: line.events, rule: 0 };
        self.ship.load(now, chunk, vec![line.body.into()], Arc::new([billed]), false, line.natural_ids);
        self.waiting.insert(self.next);
        self.next += 1;
    }

    /// Takes the answer to a request in.
    pub fn answered(
        &mut self,
        now: Now,
        request: RequestId,
        outcome: Outcome,
        polar_clock: Option<Timestamp>,
    ) {
        let was_ready = self.is_ready();
        for verdict in self.ship.answered(now, request, outcome, polar_clock) {
            match verdict {
                Verdict::Billed { chunk, .. } => self.decide(now, chunk, ErrandVerdict::Billed),
                Verdict::Condemned { line: LineId { chunk, .. }, reason, detail, events } => {
                    self.decide(now, chunk, ErrandVerdict::Condemned { reason, detail, events });
                }
                Verdict::Say(notice) => self.out.push_back(Effect::Tell(notice)),
            }
        }
        if self.is_ready() != was_ready {
            self.decided = now.moment;
        }
        self.pump(now);
    }

    /// [`Errand::deadline`] has come.
    pub fn tick(&mut self, now: Now) {
        self.pump(now);
    }

    /// The next thing to do, until there is none.
    #[must_use]
    pub fn poll(&mut self) -> Option<Effect> {
        self.out.pop_front()
    }

    /// When [`Errand::tick`] is due, if no answer comes first.
    #[must_use]
    pub fn deadline(&mut self, now: Now) -> Option<Moment> {
        if self.given_up.is_some() || (self.is_ready() && self.waiting.is_empty()) {
            return None;
        }
        let end = self.decided + self.give_up_after;
        Some(self.ship.deadline(now).map_or(end, |due| due.min(end)))
    }

    /// Whether every line has its verdict, and Polar's clock is known or given up.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.given_up.is_some() || (self.is_ready() && self.waiting.is_empty())
    }

    /// Why it was given up, in words.
    #[must_use]
    pub fn given_up(&self) -> Option<&str> {
        self.given_up.as_deref()
    }

    /// The verdicts since the last call, by the lines' numbers.
    pub fn take_verdicts(&mut self) -> Vec<(u64, ErrandVerdict)> {
        std::mem::take(&mut self.verdicts)
    }

    /// What Polar counted so far.
    #[must_use]
    pub fn counted(&self) -> Counted {
        let Delivered { inserted, duplicate, .. } = self.ship.delivered();
        Counted { inserted, duplicates: duplicate }
    }

    /// A line of the future may come home after its verdict: it keeps the one that it has.
    fn decide(&mut self, now: Now, chunk: ChunkId, verdict: ErrandVerdict) {
        if self.waiting.remove(&chunk.number) {
            self.decided = now.moment;
            self.verdicts.push((chunk.number, verdict));
        }
    }

    fn pump(&mut self, now: Now) {
        if self.given_up.is_some() {
            return;
        }
        if !self.is_done() && now.moment >= self.decided + self.give_up_after {
            let why = self.ship.blocked().unwrap_or_else(|| "no answer comes".to_owned());
            self.given_up = Some(why);
            self.leave_waiting(&ErrandVerdict::GivenUp);
            return;
        }
        while let Some((request, body)) = self.ship.next_post(now) {
            self.out.push_back(Effect::Post { request, body });
        }
        // What neither waits nor flies is held for Polar's clock.
        if self.is_ready() && self.ship.is_home() {
            self.leave_waiting(&ErrandVerdict::Future);
        }
    }

    fn leave_waiting(&mut self, verdict: &ErrandVerdict) {
        let left = std::mem::take(&mut self.waiting);
        self.verdicts.extend(left.into_iter().map(|number| (number, verdict.clone())));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;
    use crate::polar::answer::{Answer, NamedEvent, NamedFault};

    const GIVE_UP: Duration = Duration::from_secs(120);

    fn delivery() -> DeliverySettings {
        DeliverySettings {
            batch_max_events: 4,
            batch_max_bytes: 1 << 20,
            batch_max_wait: Duration::from_secs(1),
            concurrency: 2,
            requests_per_minute: 60_000,
            max_future: Duration::from_secs(600),
        }
    }

    fn now(ms: u64) -> Now {
        let wall = Timestamp::UNIX_EPOCH + SignedDuration::from_millis(i64::try_from(ms).unwrap());
        Now { moment: Moment::from_nanos(ms * 1_000_000), wall }
    }

    /// What Polar does with each event.
    #[derive(Debug, Default, Clone)]
    struct Polar {
        unknown: BTreeSet<u64>,
        poison: BTreeSet<u64>,
        future: BTreeSet<u64>,
        /// No answer comes before this moment.
        down_until_ms: u64,
        taken: BTreeSet<u64>,
    }

    impl Polar {
        fn answer(&mut self, at_ms: u64, lines: &[u64]) -> Outcome {
            if at_ms < self.down_until_ms {
                return Outcome::NoAnswer { what: "connection refused".to_owned() };
            }
            let why = |line: &u64| match line {
                line if self.future.contains(line) => Some(NamedFault::FutureTimestamp),
                line if self.unknown.contains(line) => Some(NamedFault::UnknownCustomer),
                _ => None,
            };
            let named: Vec<NamedEvent> = (0..)
                .zip(lines)
                .filter_map(|(index, line)| why(line).map(|why| NamedEvent { index, why }))
                .collect();
            if !named.is_empty() {
                return Outcome::Answer(Answer::Invalid { named });
            }
            if lines.iter().any(|line| self.poison.contains(line)) {
                return Outcome::Answer(Answer::Failed { status: 500, retry_after_seconds: None });
            }
            let inserted = lines.iter().filter(|line| self.taken.insert(**line)).count() as u64;
            Outcome::Answer(Answer::Accepted { inserted, duplicates: lines.len() as u64 - inserted })
        }
    }

    /// Sends so many lines in batches and gives their verdicts, and why the errand was given up.
    fn run(
        polar: &mut Polar,
        lines: u64,
        batch: u64,
    ) -> (BTreeMap<u64, &'static str>, Option<String>, Counted) {
        let mut ms = 0;
        let mut errand = Errand::new(delivery(), GIVE_UP, now(ms), 7);
        let mut flying: VecDeque<(u64, RequestId, Vec<u64>)> = VecDeque::new();
        let mut verdicts = BTreeMap::new();
        let mut loaded = 0;
        loop {
            while let Some(effect) = errand.poll() {
                let Effect::Post { request, body } = effect else { continue };
                let body: serde_json::Value = serde_json::from_slice(&body.to_bytes()).unwrap();
                let sent = body["events"].as_array().unwrap().iter();
                let sent = sent.map(|event| event["n"].as_u64().unwrap()).collect();
                flying.push_back((ms + 50, request, sent));
            }
            for (number, verdict) in errand.take_verdicts() {
                let word = match verdict {
                    ErrandVerdict::Billed => "billed",
                    ErrandVerdict::Condemned { reason, .. } => reason.code(),
                    ErrandVerdict::Future => "future",
                    ErrandVerdict::GivenUp => "given up",
                };
                assert!(verdicts.insert(number, word).is_none(), "{number} has one verdict");
            }
            if errand.given_up().is_some() {
                break;
            }
            if errand.is_done() {
                if loaded == lines {
                    break;
                }
                let more = (loaded..lines).take(batch as usize);
                let line = |number: u64| ErrandLine {
                    body: format!("{{\"n\":{number},\"timestamp\":\"1970-01-01T00:05:00Z\"}},").into_bytes(),
                    events: 1,
                    natural_ids: false,
                };
                let numbers = errand.load(now(ms), more.map(line));
                assert_eq!(numbers.start, loaded);
                loaded = numbers.end;
                continue;
            }
            let due = errand.deadline(now(ms)).map(|due| due.as_nanos().div_ceil(1_000_000));
            let answer = flying.front().map(|(at, ..)| *at);
            ms = [due, answer].into_iter().flatten().min().expect("something is awaited").max(ms);
            if answer == Some(ms) {
                let (_, request, sent) = flying.pop_front().unwrap();
                errand.answered(now(ms), request, polar.answer(ms, &sent), Some(now(ms).wall));
            } else {
                errand.tick(now(ms));
            }
        }
        for number in loaded..lines {
            verdicts.insert(number, "not loaded");
        }
        (verdicts, errand.given_up().map(str::to_owned), errand.counted())
    }

    #[track_caller]
    fn check(mut polar: Polar, expected: [&str; 6], given_up: Option<&str>) {
        let (verdicts, why, _) = run(&mut polar, 6, 6);
        assert_eq!(verdicts.into_values().collect::<Vec<_>>(), expected);
        assert_eq!(why.as_deref(), given_up);
    }

    #[test]
    fn each_line_gets_what_polar_says_of_it() {
        const ALL: [&str; 6] = ["billed"; 6];
        let some = |lines: &[u64]| lines.iter().copied().collect::<BTreeSet<u64>>();
        check(Polar::default(), ALL, None);
        check(Polar { down_until_ms: 30_000, ..Polar::default() }, ALL, None);
        let mut expected = ALL;
        expected[2] = "unknown_customer";
        check(Polar { unknown: some(&[2]), ..Polar::default() }, expected, None);
        expected[2] = "refused_by_polar";
        check(Polar { poison: some(&[2]), ..Polar::default() }, expected, None);
        expected[2] = "future";
        check(Polar { future: some(&[2]), ..Polar::default() }, expected, None);
    }

    #[test]
    fn what_cannot_be_decided_is_given_up_and_nothing_is_said_of_it() {
        let down = Polar { down_until_ms: u64::MAX, ..Polar::default() };
        check(down, ["not loaded"; 6], Some("connection refused"));
        let mut alone = Polar { poison: [0].into(), ..Polar::default() };
        let (verdicts, why, _) = run(&mut alone, 1, 1);
        assert_eq!((verdicts[&0], why.as_deref()), ("given up", Some("Polar answers 500")));
    }

    #[test]
    fn what_polar_has_already_is_billed_once() {
        let mut polar = Polar { taken: (0..4).collect(), ..Polar::default() };
        let (verdicts, _, counted) = run(&mut polar, 6, 2);
        assert!(verdicts.values().all(|verdict| *verdict == "billed"));
        assert_eq!(counted, Counted { inserted: 2, duplicates: 4 });
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        /// `run` panics on a second verdict.
        #[test]
        fn every_line_gets_exactly_one_verdict(
            unknown in proptest::collection::btree_set(0..20_u64, 0..4),
            poison in proptest::collection::btree_set(0..20_u64, 0..3),
            future in proptest::collection::btree_set(0..20_u64, 0..3),
            down_until_ms in 0..150_000_u64,
            batch in 1..20_u64,
        ) {
            let mut polar = Polar { unknown, poison, future, down_until_ms, taken: BTreeSet::new() };
            let (verdicts, given_up, counted) = run(&mut polar, 20, batch);
            prop_assert_eq!(verdicts.len(), 20);
            for (number, verdict) in &verdicts {
                let is_bad = polar.unknown.contains(number) || polar.poison.contains(number);
                match *verdict {
                    "billed" => prop_assert!(polar.taken.contains(number)),
                    "future" => prop_assert!(polar.future.contains(number)),
                    "given up" | "not loaded" => prop_assert!(given_up.is_some()),
                    _ => prop_assert!(is_bad, "{} was condemned", number),
                }
            }
            prop_assert_eq!(counted.inserted, polar.taken.len() as u64);
        }
    }
}
