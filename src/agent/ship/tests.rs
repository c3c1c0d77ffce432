//! The delivery policy against a small scripted Polar, in virtual time.
//!
//! Each line is a number, so each event is `{"n":7}`. The world knows which numbers Polar took and which
//! were condemned; a line must end as exactly one of them, whatever happens on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::pace::Jitter;
use super::{Delivered, Ship, Verdict};
use crate::agent::books::ChunkId;
use crate::agent::border::{Now, Outcome, RequestId};
use crate::agent::notice::NoticeCode;
use crate::config::settings::DeliverySettings;
use crate::model::{BilledLine, HeldLine, Moment, Quarantined, StreamId};
use crate::polar::Body;
use crate::polar::answer::{Answer, NamedEvent, NamedFault, Refusal};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

const fn at(ms: u64) -> Moment {
    Moment::from_nanos(ms * 1_000_000)
}

fn wall(moment: Moment) -> Timestamp {
    let start: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
    start + Duration::from_nanos(moment.as_nanos())
}

fn delivery() -> DeliverySettings {
    DeliverySettings {
        batch_max_events: 4,
        batch_max_bytes: 1 << 20,
        batch_max_wait: Duration::from_secs(1),
        concurrency: 4,
        requests_per_minute: 60_000,
        max_future: Duration::from_secs(600),
    }
}

/// A request as Polar sees it.
#[derive(Debug, Clone)]
struct Sent {
    at_ms: u64,
    lines: Vec<u64>,
    body: Body,
}

/// What Polar does with each event and each request.
#[derive(Debug, Default)]
struct Polar {
    unknown_customer: BTreeSet<u64>,
    unknown_member: BTreeSet<u64>,
    /// Named in a 422 for another reason.
    named: BTreeSet<u64>,
    /// Refused by a 422 that names nothing.
    unnamed: BTreeSet<u64>,
    /// Answered with a 500.
    poison: BTreeSet<u64>,
    /// Until when (ms) an event is of the future.
    future: BTreeMap<u64, u64>,
    /// Bytes of a body beyond which is a 413.
    max_bytes: Option<usize>,
    /// From, until (ms), and what everybody gets meanwhile.
    spells: Vec<(u64, u64, Outcome)>,
    /// Of a hundred answers, so many are lost after the commit.
    lost_percent: u64,
    /// Of a hundred requests, so many get a 500 for nothing.
    flaky_percent: u64,
    taken: BTreeSet<u64>,
}

impl Polar {
    fn answer(&mut self, sent: &Sent, chance: u64) -> Outcome {
        let spell = self.spells.iter().find(|(from, until, _)| (*from..*until).contains(&sent.at_ms));
        if let Some((_, _, outcome)) = spell {
            return outcome.clone();
        }
        if self.max_bytes.is_some_and(|most| sent.body.len() > most) {
            return Outcome::Answer(Answer::TooLarge);
        }
        let why = |line: &u64| match line {
            line if self.named.contains(line) => Some(NamedFault::Other("metadata.k: bad".to_owned())),
            line if self.future.get(line).is_some_and(|due| sent.at_ms < *due) => {
                Some(NamedFault::FutureTimestamp)
            }
            line if self.unknown_customer.contains(line) => Some(NamedFault::UnknownCustomer),
            line if self.unknown_member.contains(line) => Some(NamedFault::UnknownMember),
            _ => None,
        };
        let named: Vec<NamedEvent> = (0..)
            .zip(&sent.lines)
            .filter_map(|(index, line)| why(line).map(|why| NamedEvent { index, why }))
            .collect();
        if !named.is_empty() || sent.lines.iter().any(|line| self.unnamed.contains(line)) {
            return Outcome::Answer(Answer::Invalid { named });
        }
        if sent.lines.iter().any(|line| self.poison.contains(line)) || chance % 100 < self.flaky_percent {
            return failed(500, None);
        }
        let inserted = sent.lines.iter().filter(|line| self.taken.insert(**line)).count() as u64;
        if chance / 100 % 100 < self.lost_percent {
            return Outcome::NoAnswer { what: "connection reset".to_owned() };
        }
        Outcome::Answer(Answer::Accepted { inserted, duplicates: sent.lines.len() as u64 - inserted })
    }
}

fn failed(status: u16, retry_after_seconds: Option<u64>) -> Outcome {
    Outcome::Answer(Answer::Failed { status, retry_after_seconds })
}

fn throttled(seconds: u64) -> Outcome {
    Outcome::Answer(Answer::Throttled { retry_after_seconds: Some(seconds) })
}

fn refused() -> Outcome {
    Outcome::Answer(Answer::Refused(Refusal::Unauthorized))
}

struct World {
    delivery: DeliverySettings,
    ship: Ship,
    polar: Polar,
    now: Moment,
    /// How far the host's clock is ahead of Polar's.
    ahead: SignedDuration,
    flying: BTreeMap<(u64, RequestId), Sent>,
    sent: Vec<Sent>,
    chance: Jitter,
    chunks: Vec<Vec<u64>>,
    owed: Vec<u32>,
    condemned: BTreeMap<u64, Quarantined>,
    said: Vec<(u64, NoticeCode)>,
}

impl World {
    fn new(delivery: DeliverySettings, polar: Polar) -> Self {
        Self::of_seed(delivery, polar, 1)
    }

    fn of_seed(delivery: DeliverySettings, polar: Polar, seed: u64) -> Self {
        Self {
            ship: Ship::new(delivery.clone(), Delivered::default(), Moment::START, seed),
            delivery,
            polar,
            now: at(10),
            ahead: SignedDuration::ZERO,
            flying: BTreeMap::new(),
            sent: Vec::new(),
            chance: Jitter::new(seed ^ 0xA5A5),
            chunks: Vec::new(),
            owed: Vec::new(),
            condemned: BTreeMap::new(),
            said: Vec::new(),
        }
    }

    fn now(&self) -> Now {
        Now { moment: self.now, wall: wall(self.now) + self.ahead }
    }

    fn next_chunk(&mut self, lines: Vec<u64>) -> ChunkId {
        self.owed.push(lines.len() as u32);
        self.chunks.push(lines);
        ChunkId { stream: StreamId(1), number: self.chunks.len() as u64 - 1 }
    }

    fn load(&mut self, lines: impl IntoIterator<Item = u64>) {
        let lines: Vec<u64> = lines.into_iter().collect();
        let mut body = Vec::new();
        let mut billed = Vec::new();
        for line in &lines {
            body.extend_from_slice(format!("{{\"n\":{line}}},").as_bytes());
            billed.push(BilledLine { at: 0, len: 1, body_end: body.len() as u32, events: 1, rule: 0 });
        }
        let chunk = self.next_chunk(lines);
        self.ship.load(self.now, chunk, vec![body.into()], billed.into(), true, false);
    }

    fn hold(&mut self, line: u64, due: Timestamp) {
        let chunk = self.next_chunk(vec![line]);
        let body = format!("{{\"n\":{line}}},").into_bytes();
        let billed = BilledLine { at: 0, len: 1, body_end: 0, events: 1, rule: 0 };
        self.ship.hold(chunk, 0, HeldLine { line: billed, body, due }, true, false);
    }

    /// Runs until `until_ms`. Panics when the ship would spin.
    fn run(&mut self, until_ms: u64) {
        let mut steps_at_once = 0;
        loop {
            self.post();
            if let Some(notice) = self.ship.held_notice(self.now()) {
                self.said.push((self.now.as_nanos() / 1_000_000, notice.code));
            }
            self.ship.check_invariants();
            let answer = self.flying.keys().next().map(|(nanos, _)| Moment::from_nanos(*nanos));
            let deadline = self.ship.deadline(self.now());
            let Some(next) = [answer, deadline].into_iter().flatten().min() else { break };
            assert!(deadline.is_none_or(|deadline| deadline > self.now), "a deadline lies ahead");
            steps_at_once = if next > self.now { 0 } else { steps_at_once + 1 };
            assert!(steps_at_once < 1000, "time goes on");
            if next > at(until_ms) {
                break;
            }
            self.now = self.now.max(next);
            self.answer();
        }
        self.now = self.now.max(at(until_ms));
    }

    fn post(&mut self) {
        while let Some((request, body)) = self.ship.next_post(self.now()) {
            let body_json: serde_json::Value =
                serde_json::from_slice(&body.to_bytes()).expect("a body is JSON");
            let events = body_json["events"].as_array().unwrap();
            let lines = events.iter().map(|event| event["n"].as_u64().unwrap()).collect();
            let sent = Sent { at_ms: self.now.as_nanos() / 1_000_000, lines, body };
            self.sent.push(sent.clone());
            let latency = 20_000_000 + self.chance.next() % 80_000_000;
            self.flying.insert((self.now.as_nanos() + latency, request), sent);
            assert!(self.flying.len() <= usize::from(self.delivery.concurrency), "too many under way");
        }
    }

    fn answer(&mut self) {
        while let Some(entry) = self.flying.first_entry() {
            if entry.key().0 > self.now.as_nanos() {
                break;
            }
            let ((_, request), sent) = entry.remove_entry();
            let outcome = self.polar.answer(&sent, self.chance.next());
            let date = Timestamp::from_second(wall(self.now).as_second()).unwrap();
            for verdict in self.ship.answered(self.now(), request, outcome, Some(date)) {
                self.judge(verdict);
            }
        }
    }

    fn judge(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Billed { chunk, lines } => self.settle(chunk, lines),
            Verdict::Condemned { line, reason, events, .. } => {
                let number = self.chunks[line.chunk.number as usize][line.line as usize];
                assert_eq!(
                    &events[..],
                    format!("{{\"n\":{number}}}").as_bytes(),
                    "the letter holds its events"
                );
                assert!(self.condemned.insert(number, reason).is_none(), "{number} is condemned once");
                self.settle(line.chunk, 1);
            }
            Verdict::Say(notice) => self.said.push((self.now.as_nanos() / 1_000_000, notice.code)),
        }
    }

    fn settle(&mut self, chunk: ChunkId, lines: u32) {
        let owed = &mut self.owed[chunk.number as usize];
        *owed = owed.checked_sub(lines).expect("each line is settled once");
    }

    fn codes(&self) -> Vec<NoticeCode> {
        self.said.iter().map(|(_, code)| *code).collect()
    }

    fn is_home(&self) -> bool {
        self.owed.iter().all(|owed| *owed == 0)
    }

    /// Every line is billed or condemned, and only these are condemned.
    #[track_caller]
    fn check_home(&self, condemned: &[(u64, Quarantined)]) {
        assert_eq!(self.condemned, condemned.iter().copied().collect(), "condemned");
        assert!(self.is_home(), "every line is settled: {:?} of {:?}", self.owed, self.chunks);
        for line in self.chunks.iter().flatten() {
            let taken = self.polar.taken.contains(line);
            assert_ne!(taken, self.condemned.contains_key(line), "{line} is billed or condemned");
        }
    }

    /// Each set of lines was always sent as the same bytes, in the order of the lines.
    #[track_caller]
    fn check_bodies(&self) {
        assert!(self.sent.iter().all(|sent| sent.lines.is_sorted()), "events keep their order");
    }
}

use NoticeCode::{
    BatchSplit, ClockDiffers, FutureHeld, PolarAccepts, PolarRefuses, PolarUnreachable, RateLimited,
};
use Quarantined::{RefusedByPolar, TooLarge, UnknownCustomer, UnknownMember};

fn set(lines: impl IntoIterator<Item = u64>) -> BTreeSet<u64> {
    lines.into_iter().collect()
}

/// Twelve lines at once, then one each second, so that there are always others.
#[track_caller]
fn check(what: &str, polar: Polar, condemned: &[(u64, Quarantined)], said: &[NoticeCode]) -> World {
    let mut world = World::new(delivery(), polar);
    world.load(1..=12);
    for line in 100..160 {
        world.run((line - 99) * SECOND);
        world.load([line]);
    }
    world.run(5 * MINUTE);
    world.check_home(condemned);
    world.check_bodies();
    assert_eq!(world.codes(), said, "{what}");
    world
}

#[test]
fn only_the_datas_own_fault_costs_data() {
    let named = |lines: &[u64]| Polar { named: set(lines.iter().copied()), ..Polar::default() };
    check("2xx", Polar::default(), &[], &[]);
    check(
        "an unknown customer",
        Polar { unknown_customer: set([2]), ..Polar::default() },
        &[(2, UnknownCustomer)],
        &[],
    );
    check(
        "an unknown member",
        Polar { unknown_member: set([6]), ..Polar::default() },
        &[(6, UnknownMember)],
        &[],
    );
    check("one named", named(&[3]), &[(3, RefusedByPolar)], &[]);
    check(
        "all of a batch named",
        named(&[1, 2, 3, 4]),
        &[1, 2, 3, 4].map(|line| (line, RefusedByPolar)),
        &[BatchSplit],
    );
    check(
        "one unnamed",
        Polar { unnamed: set([7]), ..Polar::default() },
        &[(7, RefusedByPolar)],
        &[BatchSplit],
    );
    check("a poison", Polar { poison: set([5]), ..Polar::default() }, &[(5, RefusedByPolar)], &[BatchSplit]);
    let all = Polar {
        unknown_customer: set([1]),
        named: set([2]),
        unnamed: set([3]),
        poison: set([4]),
        ..Polar::default()
    };
    let fates = [(1, UnknownCustomer), (2, RefusedByPolar), (3, RefusedByPolar), (4, RefusedByPolar)];
    check("all kinds in one batch", all, &fates, &[BatchSplit]);
    let mixed = Polar { unknown_customer: set([1, 2]), named: set([3, 4]), ..Polar::default() };
    let fates = [(1, UnknownCustomer), (2, UnknownCustomer), (3, RefusedByPolar), (4, RefusedByPolar)];
    check("nobody is left to vouch for those set aside", mixed, &fates, &[BatchSplit]);
}

#[test]
fn what_is_about_polar_or_about_us_costs_time_alone() {
    let spell = |from, until, outcome| Polar { spells: vec![(from, until, outcome)], ..Polar::default() };
    let no_answer = Outcome::NoAnswer { what: "connection refused".to_owned() };
    let wrong = Outcome::Answer(Answer::Accepted { inserted: u64::MAX, duplicates: 7 });
    let both = [PolarUnreachable, PolarAccepts];
    check("no answer", spell(0, 30 * SECOND, no_answer), &[], &both);
    check("wrong counts", spell(0, 30 * SECOND, wrong), &[], &both);
    for status in [408, 425, 502, 503, 504] {
        check("5xx", spell(0, 30 * SECOND, failed(status, None)), &[], &both);
    }
    check("500 for all", spell(0, 30 * SECOND, failed(500, None)), &[], &both);
    check("a short one is not told", spell(0, 300, failed(503, None)), &[], &[]);
    check("401", spell(0, 30 * SECOND, refused()), &[], &[PolarRefuses, PolarAccepts]);
    check(
        "401 in the middle",
        spell(20 * SECOND, 50 * SECOND, refused()),
        &[],
        &[PolarRefuses, PolarAccepts],
    );
    check("429", spell(0, 30 * SECOND, throttled(10)), &[], &[RateLimited]);
    let mut flapping = Polar::default();
    for start in 0..20 {
        let outcome = if start % 2 == 0 { refused() } else { failed(503, None) };
        flapping.spells.push((start * SECOND, (start + 1) * SECOND, outcome));
    }
    flapping.spells.push((20 * SECOND, 30 * SECOND, throttled(1)));
    check("401, 503 and 429 by turns", flapping, &[], &[PolarRefuses, PolarAccepts]);
}

#[test]
fn everything_refused_condemns_nothing_and_takes_little_apart() {
    let unnamed = Outcome::Answer(Answer::Invalid { named: Vec::new() });
    for outcome in [failed(500, None), unnamed] {
        let polar = Polar { spells: vec![(0, 24 * HOUR, outcome)], ..Polar::default() };
        let mut world = World::new(DeliverySettings { batch_max_events: 500, ..delivery() }, polar);
        world.load(1..=5000);
        world.run(24 * HOUR);
        assert!(world.sent.len() < 24 * 60 * 3, "{} probes in a day", world.sent.len());
        let before = world.sent.len();
        world.run(25 * HOUR);
        world.check_home(&[]);
        world.check_bodies();
        assert!(world.sent.len() - before < 30, "{} batches", world.sent.len() - before);
        assert_eq!(world.codes().iter().filter(|code| **code != BatchSplit).count(), 2, "{:?}", world.said);
    }
}

#[test]
fn one_at_a_time_is_enough_to_find_a_poison() {
    for (concurrency, poison) in [(1, set([2])), (1, set([1, 5, 9])), (4, set([1, 2, 3, 5, 6, 7, 9]))] {
        let polar = Polar { poison: poison.clone(), ..Polar::default() };
        let mut world = World::new(DeliverySettings { concurrency, ..delivery() }, polar);
        world.load(1..=200);
        for line in 1000..1600 {
            world.run((line - 999) * SECOND);
            world.load([line]);
        }
        world.run(HOUR);
        world.check_home(&poison.iter().map(|line| (*line, RefusedByPolar)).collect::<Vec<_>>());
    }
}

#[test]
fn a_line_that_failed_as_an_outage_began_is_not_condemned() {
    // The first request fails; those sent with it still pass; then nothing does for an hour.
    let delivery = DeliverySettings { batch_max_events: 1, ..delivery() };
    for seed in 0..20 {
        let mut world = World::of_seed(delivery.clone(), Polar::default(), seed);
        world.load(100..=140);
        world.run(SECOND);
        world.polar.poison = set([1]);
        world.load(1..=3);
        world.run(SECOND + 60);
        world.polar.poison.clear();
        world.polar.spells.push((SECOND + 60, HOUR, failed(500, None)));
        world.run(2 * HOUR);
        world.check_home(&[]);
    }
}

#[test]
fn a_split_ends_at_what_fits_and_a_lone_giant_waits_for_others() {
    let mut world = World::new(
        DeliverySettings { batch_max_events: 100, ..delivery() },
        Polar { max_bytes: Some(200), ..Polar::default() },
    );
    world.load(1..=100);
    world.run(MINUTE);
    world.check_home(&[]);
    assert_eq!(world.codes(), [BatchSplit]);

    let mut world = World::new(delivery(), Polar { max_bytes: Some(28), ..Polar::default() });
    world.load([1_000_000_000_000_000]);
    world.run(HOUR);
    assert!(world.condemned.is_empty(), "nobody can tell yet whether it is the line");
    world.load([1]);
    world.run(2 * HOUR);
    world.check_home(&[(1_000_000_000_000_000, TooLarge)]);
}

#[test]
fn a_retry_after_is_honoured_whatever_else_comes_in() {
    for (outcome, wait) in [(throttled(60), 60), (failed(503, Some(90)), 90), (failed(500, Some(30)), 30)] {
        for seed in 0..20 {
            let mut world = World::of_seed(delivery(), Polar::default(), seed);
            world.load(1..=40);
            world.run(SECOND);
            // Some of the requests under way succeed after the first one was told to wait.
            world.polar.spells.push((2 * SECOND, 2 * SECOND + 5, outcome.clone()));
            world.now = at(2 * SECOND);
            world.load(41..=80);
            world.post();
            let sent = world.sent.len();
            let first = world.flying.pop_first().expect("something is under way");
            let (request, lines) = (first.0.1, first.1);
            world.now = Moment::from_nanos(first.0.0);
            let verdicts = world.ship.answered(world.now(), request, outcome.clone(), None);
            assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Say(_))), "{lines:?}");
            world.polar.spells.clear();
            world.run(HOUR);
            let next = &world.sent[sent];
            assert!(next.at_ms >= (2 + wait) * SECOND, "sent again at {} ms", next.at_ms);
            world.check_home(&[]);
        }
    }
}

#[test]
fn a_closed_gate_lets_one_probe_through_at_a_time_and_ever_slower() {
    for outcome in [refused(), failed(503, None)] {
        let polar = Polar { spells: vec![(5 * SECOND, 2 * HOUR, outcome)], ..Polar::default() };
        let mut world = World::new(delivery(), polar);
        world.load(1..=100);
        world.run(5 * SECOND);
        world.load(101..=200);
        world.run(2 * HOUR);
        let probes: Vec<u64> =
            world.sent.iter().map(|sent| sent.at_ms).filter(|at_ms| *at_ms > 6 * SECOND).collect();
        assert!(probes.windows(2).all(|pair| pair[1] > pair[0]), "one at a time");
        assert!((120..500).contains(&probes.len()), "{} probes in two hours", probes.len());
        world.run(3 * HOUR);
        world.check_home(&[]);
        assert_eq!(world.codes().len(), 2, "{:?}", world.said);
    }
}

#[test]
fn a_future_line_waits_and_is_sent_whole() {
    let polar = Polar { future: BTreeMap::from([(2, 3 * SECOND)]), ..Polar::default() };
    let mut world = World::new(delivery(), polar);
    world.load(1..=4);
    world.run(MINUTE);
    world.check_home(&[]);
    assert!(world.said.is_empty(), "a second's wait is not worth a word: {:?}", world.said);
    assert!(world.sent.len() < 8, "{} requests", world.sent.len());

    let mut world = World::new(delivery(), Polar::default());
    for (line, seconds) in [(1, 40), (2, 20), (3, 30), (4, 20)] {
        world.hold(line, wall(at(seconds * SECOND)));
    }
    world.run(MINUTE);
    world.check_home(&[]);
    let order: Vec<u64> = world.sent.iter().flat_map(|sent| sent.lines.clone()).collect();
    assert_eq!(order, [2, 4, 3, 1], "by due time, then by arrival");
    assert!(world.sent.iter().all(|sent| sent.at_ms >= 20 * SECOND));
    assert_eq!(world.codes(), [FutureHeld]);
}

#[test]
fn a_clock_that_is_ahead_is_told_once() {
    let mut world = World::new(delivery(), Polar::default());
    world.ahead = SignedDuration::from_secs(3600);
    for line in 0..100 {
        world.load([line]);
        world.run((line + 1) * 3 * SECOND);
    }
    assert_eq!(world.codes(), [ClockDiffers]);
    world.ahead = SignedDuration::ZERO;
    world.load([200]);
    world.run(400 * SECOND);
    assert_eq!(world.codes(), [ClockDiffers, ClockDiffers]);
    world.check_home(&[]);
}

#[test]
fn batches_keep_their_bounds() {
    let table = [
        (DeliverySettings { batch_max_events: 7, ..delivery() }, 7, usize::MAX),
        (DeliverySettings { batch_max_events: 1, ..delivery() }, 1, usize::MAX),
        (DeliverySettings { batch_max_events: 1000, batch_max_bytes: 100, ..delivery() }, 1000, 100),
    ];
    for (settings, events, bytes) in table {
        let mut world = World::new(settings, Polar::default());
        (0..20).for_each(|chunk| world.load(chunk * 10..chunk * 10 + 10));
        world.run(10 * SECOND);
        world.check_home(&[]);
        assert!(world.sent.iter().all(|sent| sent.lines.len() <= events && sent.body.len() <= bytes));
        let lines: Vec<u64> = world.sent.iter().flat_map(|sent| sent.lines.clone()).collect();
        assert!(lines.is_sorted(), "first come, first packed");
    }
}

#[test]
fn a_line_waits_for_company_no_longer_than_told() {
    let mut world = World::new(delivery(), Polar::default());
    world.load([1]);
    world.run(900);
    assert!(world.sent.is_empty());
    world.load([2]);
    world.run(1100);
    assert_eq!(world.sent[0].lines, [1, 2]);
    world.load([3]);
    world.ship.set_flushing(true);
    world.run(1110);
    assert_eq!(world.sent[1].lines, [3], "nothing waits once all must go");
}

#[test]
fn the_budget_is_kept_while_catching_up() {
    let settings = DeliverySettings { requests_per_minute: 60, batch_max_events: 10, ..delivery() };
    let mut world = World::new(settings, Polar::default());
    world.load(1..=3000);
    world.run(10 * MINUTE);
    world.check_home(&[]);
    for (index, first) in world.sent.iter().enumerate() {
        let within = world.sent[index..].iter().take_while(|sent| sent.at_ms < first.at_ms + MINUTE).count();
        assert!(within <= 61, "{within} in the minute from {}", first.at_ms);
    }
}

#[test]
fn a_retry_is_not_starved_by_what_is_new() {
    let settings = DeliverySettings { requests_per_minute: 600, batch_max_events: 1, ..delivery() };
    let mut world = World::new(settings, Polar::default());
    world.polar.spells.push((10 * SECOND, 10 * SECOND + 300, failed(503, None)));
    world.load(1..=2000);
    world.run(30 * SECOND);
    let youngest = world.polar.taken.last().copied().unwrap();
    let gap = (1..=youngest).find(|line| !world.polar.taken.contains(line)).unwrap_or(youngest);
    assert!(gap + 10 > youngest, "{gap} still waits while {youngest} is billed");
}

#[test]
fn a_poison_that_nothing_follows_is_told_from_an_outage_by_a_witness() {
    // All others of its time have passed, and nothing new comes: its stream's window is full.
    let mut world = World::new(delivery(), Polar { poison: set([7]), ..Polar::default() });
    world.load(1..=40);
    world.run(HOUR);
    world.check_home(&[(7, RefusedByPolar)]);
    assert!(world.sent.len() < 100, "{} requests", world.sent.len());
    assert_eq!(world.ship.delivered().duplicate_unexpected, 0);
}

#[test]
fn poison_is_found_without_any_other_line_to_come() {
    for poison in [set([1, 2]), set([1, 3]), set([5, 6, 11])] {
        let mut world = World::new(delivery(), Polar { poison: poison.clone(), ..Polar::default() });
        world.load(1..=12);
        world.run(HOUR);
        assert_eq!(world.polar.taken.len() + poison.len(), 12, "the others are billed");
        assert!(world.condemned.keys().all(|line| poison.contains(line)));
    }
}

#[test]
fn a_parcel_is_the_same_bytes_on_each_try() {
    let polar =
        Polar { lost_percent: 50, spells: vec![(0, 20 * SECOND, failed(503, None))], ..Polar::default() };
    let mut world = World::new(delivery(), polar);
    world.load(1..=200);
    world.run(HOUR);
    world.check_home(&[]);
    let mut by_first: BTreeMap<u64, &Body> = BTreeMap::new();
    for sent in &world.sent {
        let first = by_first.entry(sent.lines[0]).or_insert(&sent.body);
        assert_eq!(*first, &sent.body);
    }
}

#[test]
fn only_what_was_surely_never_sent_can_be_an_unexpected_duplicate() {
    let taken_before = Polar { taken: set([1]), ..Polar::default() };
    let mut world = World::new(delivery(), taken_before);
    world.load([1]);
    world.run(MINUTE);
    assert_eq!(world.codes(), [NoticeCode::UnexpectedDuplicates]);
    assert_eq!(world.ship.delivered().duplicate_unexpected, 1);

    let mut world = World::new(delivery(), Polar { lost_percent: 70, poison: set([3]), ..Polar::default() });
    world.load(1..=100);
    world.run(HOUR);
    assert_eq!(world.ship.delivered().duplicate_unexpected, 0, "an answer was lost, the events were not");
    assert!(world.ship.delivered().duplicate > 0);
}

#[test]
fn every_line_is_billed_or_condemned_whatever_happens() {
    for seed in 0..200 {
        let mut chance = Jitter::new(seed);
        let mut pick = |most: u64, of: u64| -> BTreeSet<u64> {
            let count = chance.next() % (most + 1);
            (0..count).map(|_| 1 + chance.next() % of).collect()
        };
        let mut polar = Polar {
            unknown_customer: pick(3, 100),
            unknown_member: pick(2, 100),
            named: pick(8, 100),
            unnamed: pick(2, 100),
            poison: pick(2, 100),
            ..Polar::default()
        };
        polar.future = pick(5, 100).into_iter().map(|line| (line, chance.next() % 90_000)).collect();
        polar.lost_percent = chance.next() % 40;
        polar.flaky_percent = chance.next() % 40;
        for _ in 0..chance.next() % 5 {
            let from = chance.next() % 300_000;
            let outcome = match chance.next() % 5 {
                0 => failed(500, None),
                1 => failed(503, Some(5)),
                2 => throttled(20),
                3 => refused(),
                _ => Outcome::NoAnswer { what: "reset".to_owned() },
            };
            polar.spells.push((from, from + chance.next() % 60_000, outcome));
        }
        let settings = DeliverySettings {
            batch_max_events: 1 + (chance.next() % 30) as u32,
            concurrency: 1 + (chance.next() % 5) as u16,
            ..delivery()
        };
        let data_faults: BTreeSet<u64> =
            [&polar.unknown_customer, &polar.unknown_member, &polar.named, &polar.unnamed, &polar.poison]
                .into_iter()
                .flatten()
                .copied()
                .collect();
        let mut world = World::of_seed(settings, polar, seed);
        world.load(1..=50);
        world.run(chance.next() % 10_000);
        world.load(51..=100);
        let mut line = 1000;
        while world.owed[0] + world.owed[1] > 0 || world.now < at(400 * SECOND) {
            world.load([line]);
            line += 1;
            world.run(world.now.as_nanos() / 1_000_000 + SECOND);
            assert!(world.now < at(2 * HOUR), "seed {seed}: {:?}", &world.owed[..2]);
        }
        world.run(3 * HOUR);
        let condemned: BTreeSet<u64> = world.condemned.keys().copied().collect();
        assert_eq!(condemned, data_faults, "seed {seed}");
        world.check_home(&world.condemned.iter().map(|(line, reason)| (*line, *reason)).collect::<Vec<_>>());
    }
}
