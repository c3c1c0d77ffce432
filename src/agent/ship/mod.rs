//! Ship: mapped events → requests → verdicts.
//!
//! It holds what waits to be packed, what is future, what is under way and what must be tried again, and it
//! alone knows the delivery policy. What an answer means for the ledger comes back as [`Verdict`]s.

mod blame;
mod clock;
mod figures;
mod pace;
mod parcel;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use super::books::{ChunkId, LineId};
use super::border::{Now, Outcome, RequestId};
use super::notice::{Notice, NoticeCode};
use super::overview::Delivery;
use crate::config::settings::DeliverySettings;
use crate::model::{BilledLine, HeldLine, Moment, Quarantined};
use crate::polar::Body;
use crate::polar::answer::Answer;
use crate::polar::request::{BODY_PREFIX, BODY_SUFFIX};

use clock::PolarClock;
use figures::Figures;
use pace::{Budget, Gate, Jitter, LONGEST_WAIT, RATE_WINDOW, Width};
use parcel::{Aside, Load, Parcel};

/// A parcel whose data is suspected waits no longer than this before it is tried again.
const LONGEST_SUSPECT_WAIT: Duration = Duration::from_secs(5);

/// However small the requests that Polar calls too large, batches may be of so many bytes.
const LEAST_MAX_BYTES: usize = 64 * 1024;

/// A line that waits for less than this is not worth a word.
const HELD_TO_SAY: SignedDuration = SignedDuration::from_secs(5);

/// A `Retry-After` beyond this is taken for a mistake of whoever sent it.
const LONGEST_TOLD_WAIT_S: u64 = 3600;

/// What an answer, or the passing of time, means for the ledger.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Polar has the events of so many lines of the chunk.
    Billed {
        chunk: ChunkId,
        lines: u32,
    },
    /// The line is to be quarantined.
    Condemned {
        line: LineId,
        reason: Quarantined,
        detail: String,
        events: Bytes,
    },
    Say(Notice),
}

/// Counts of what Polar answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Delivered {
    pub inserted: u64,
    pub duplicate: u64,
    pub duplicate_unexpected: u64,
}

#[derive(Debug)]
struct Flight {
    /// `None` for the witness.
    parcel: Option<Parcel>,
    sent: Moment,
}

#[derive(Debug)]
pub(super) struct Ship {
    delivery: DeliverySettings,
    loads: VecDeque<Load>,
    /// Events and bytes in `loads`.
    loaded_events: u64,
    loaded_bytes: usize,
    /// Lines that wait for Polar's clock, by due time and arrival.
    held: BTreeMap<(Timestamp, u64), Load>,
    held_ever: u64,
    held_said: bool,
    /// Packed, not under way: new ones and ones to try again.
    waiting: VecDeque<Parcel>,
    flying: BTreeMap<RequestId, Flight>,
    next_request: RequestId,
    clock: PolarClock,
    jitter: Jitter,
    budget: Budget,
    width: Width,
    gate: Gate,
    /// How Polar fares: whole parcels that succeeded at their first try, and that failed then by a 5xx or
    /// without an answer. What is tried again, or came out of a split, is no fair sample. The witness counts.
    successes: u64,
    failures: u64,
    /// The youngest request that succeeded, and the youngest whose events were new.
    last_success: RequestId,
    last_taken: RequestId,
    /// An event that Polar has taken: what to compare a suspect with where there is nothing else to send.
    witness: Option<Parcel>,
    /// The witness was sent since a suspect failed.
    is_witnessed: bool,
    /// Parcels that came apart since the last success, while it may have been Polar that failed.
    split_in_doubt: u32,
    /// What Polar has shown to take, where that is less than `batch_max_bytes`.
    most_bytes: usize,
    delivered: Delivered,
    figures: Figures,
    flushing: bool,
    /// Reading waits for what is loaded here.
    awaited: bool,
    /// Polar's clock is to be asked for before any line is mapped.
    greeting: bool,
}

impl Ship {
    pub(super) fn new(delivery: DeliverySettings, delivered: Delivered, now: Moment, seed: u64) -> Self {
        let budget = Budget::new(delivery.requests_per_minute, now);
        let width = Width::new(delivery.concurrency);
        Self {
            delivery,
            loads: VecDeque::new(),
            loaded_events: 0,
            loaded_bytes: 0,
            held: BTreeMap::new(),
            held_ever: 0,
            held_said: false,
            waiting: VecDeque::new(),
            flying: BTreeMap::new(),
            next_request: RequestId(1),
            clock: PolarClock::default(),
            jitter: Jitter::new(seed),
            budget,
            width,
            gate: Gate::default(),
            successes: 0,
            failures: 0,
            last_success: RequestId(0),
            last_taken: RequestId(0),
            witness: None,
            is_witnessed: false,
            split_in_doubt: 0,
            most_bytes: usize::MAX,
            delivered,
            figures: Figures::default(),
            flushing: false,
            awaited: false,
            greeting: false,
        }
    }

    pub(super) fn reload(&mut self, delivery: DeliverySettings) {
        self.budget.set(delivery.requests_per_minute);
        self.width.set(delivery.concurrency);
        self.most_bytes = usize::MAX;
        self.delivery = delivery;
    }

    /// Says whether reading can only go on when something is settled. Then waiting for a batch to fill would be
    /// waiting for lines that cannot come: a window of lines that are hardly ever billed fills no batch.
    pub(super) fn set_awaited(&mut self, awaited: bool) {
        self.awaited = awaited;
    }

    /// Says whether nothing is to wait for a batch to fill.
    pub(super) fn set_flushing(&mut self, flushing: bool) {
        self.flushing = flushing;
    }

    pub(super) fn delivered(&self) -> Delivered {
        self.delivered
    }

    pub(super) fn overview(&self, now: Now) -> Delivery {
        let figures = &self.figures;
        Delivery {
            answers: figures.answers.clone(),
            batches: figures.batches,
            repeated: figures.repeated,
            latency: figures.latency,
            last: figures.last.iter().cloned().collect(),
            requests_last_minute: self.budget.last_minute(now.moment),
            requests_per_minute: self.delivery.requests_per_minute,
            held_lines: self.held.len() as u64,
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.flying.len()
    }

    /// Whether nothing waits or flies, but for lines of the future.
    pub(super) fn is_home(&self) -> bool {
        let flies = self.flying.values().any(|flight| flight.parcel.is_some());
        self.loads.is_empty() && self.waiting.is_empty() && !flies
    }

    /// From now on nothing is sent but an empty request, until an answer has told Polar's clock: what is
    /// future cannot be known before, and the host's clock may be hours off.
    pub(super) fn greet(&mut self) {
        self.greeting = true;
    }

    /// Whether Polar's clock is known, so that lines can be mapped.
    pub(super) fn is_greeted(&self) -> bool {
        !self.greeting
    }

    pub(super) fn polar_now(&self, now: Now) -> Timestamp {
        self.clock.now(now)
    }

    /// Why nothing is sent, in words.
    pub(super) fn blocked(&self) -> Option<String> {
        self.gate.why().map(str::to_owned)
    }

    /// Takes the events of a chunk in. `held` lines stand behind `lines` in the chunk.
    pub(super) fn load(
        &mut self,
        now: Moment,
        chunk: ChunkId,
        bodies: Vec<Bytes>,
        lines: Arc<[BilledLine]>,
        fresh: bool,
        natural_ids: bool,
    ) {
        let events = parcel::Events::new(bodies);
        let load = Load { chunk, first: 0, events, lines, next: 0, since: now, fresh, natural_ids };
        self.push(load);
    }

    pub(super) fn hold(&mut self, chunk: ChunkId, line: u32, held: HeldLine, fresh: bool, natural_ids: bool) {
        let lines = Arc::new([BilledLine { body_end: held.body.len() as u32, ..held.line }]);
        let load = Load {
            chunk,
            first: line,
            events: parcel::Events::new(vec![held.body.into()]),
            lines,
            next: 0,
            since: Moment::START,
            fresh,
            natural_ids,
        };
        self.held_ever += 1;
        self.held.insert((held.due, self.held_ever), load);
    }

    fn push(&mut self, load: Load) {
        if load.lines.is_empty() {
            return;
        }
        self.loaded_events += load.events_left();
        self.loaded_bytes += load.bytes_left();
        self.loads.push_back(load);
    }

    /// Moves what is due, packs what is ripe and gives the next request that may go now.
    pub(super) fn next_post(&mut self, now: Now) -> Option<(RequestId, Body)> {
        if self.greeting {
            return self.next_greeting(now.moment);
        }
        self.release_due(now);
        self.pack_ripe(now.moment);
        let at = self.next_waiting()?;
        if self.may_send_at(now.moment, at) > now.moment {
            return None;
        }
        self.budget.take(now.moment);
        let request = self.next_request;
        self.next_request = RequestId(request.0 + 1);
        let (parcel, body) = match self.witness_for(at) {
            Some(body) => (None, body),
            None => {
                let parcel = self.waiting.remove(at).expect("the place was just found");
                let body = parcel.body.clone();
                (Some(parcel), body)
            }
        };
        self.flying.insert(request, Flight { parcel, sent: now.moment });
        Some((request, body))
    }

    fn next_greeting(&mut self, now: Moment) -> Option<(RequestId, Body)> {
        if self.greeting_at(now)? > now {
            return None;
        }
        self.budget.take(now);
        let request = self.next_request;
        self.next_request = RequestId(request.0 + 1);
        self.flying.insert(request, Flight { parcel: None, sent: now });
        Some((request, [BODY_PREFIX, BODY_SUFFIX].concat().into()))
    }

    fn greeting_at(&mut self, now: Moment) -> Option<Moment> {
        let opens = self.gate.opens_at();
        let ready = if opens > now { opens } else { self.budget.ready_at(now) };
        self.flying.is_empty().then_some(ready)
    }

    /// When [`Ship::next_post`] is worth asking again, if no input comes before.
    pub(super) fn deadline(&mut self, now: Now) -> Option<Moment> {
        if self.greeting {
            return self.greeting_at(now.moment);
        }
        let due = self.held.keys().next().map(|(due, _)| {
            let wait = due.duration_since(self.clock.now(now)).max(SignedDuration::from_millis(1));
            now.moment + Duration::try_from(wait).unwrap_or(Duration::from_millis(1))
        });
        let ripe = self.loads.front().map(|load| load.since + self.delivery.batch_max_wait);
        let ripe = ripe.filter(|_| self.has_room_to_pack());
        let send = self.next_waiting().map(|at| self.may_send_at(now.moment, at));
        // A send that only waits for an answer has no time of its own.
        let send = send.filter(|at| *at != Moment::NEVER);
        [due, ripe, send].into_iter().flatten().min()
    }

    /// The waiting parcel that may go first.
    fn next_waiting(&self) -> Option<usize> {
        let earliest =
            self.waiting.iter().enumerate().min_by_key(|(index, parcel)| (parcel.not_before, *index));
        earliest.map(|(index, _)| index)
    }

    fn may_send_at(&mut self, now: Moment, waiting: usize) -> Moment {
        let width = if self.gate.why().is_some() { 1 } else { self.width.get() };
        if self.flying.len() >= width {
            return Moment::NEVER;
        }
        let ready = self.gate.opens_at().max(self.waiting[waiting].not_before);
        if ready > now { ready } else { self.budget.ready_at(now) }
    }

    fn release_due(&mut self, now: Now) {
        let polar_now = self.clock.now(now);
        while let Some(entry) = self.held.first_entry() {
            if entry.key().0 > polar_now {
                break;
            }
            let mut load = entry.remove();
            load.since = now.moment;
            self.push(load);
        }
    }

    fn pack_ripe(&mut self, now: Moment) {
        let max_events = self.delivery.batch_max_events;
        let max_bytes = (self.delivery.batch_max_bytes as usize).min(self.most_bytes);
        while self.has_room_to_pack() {
            let Some(front) = self.loads.front() else { return };
            let full = self.loaded_events >= u64::from(max_events) || self.loaded_bytes >= max_bytes;
            let ripe = now >= front.since + self.delivery.batch_max_wait;
            let awaited = self.awaited && self.waiting.is_empty() && self.flying.is_empty();
            if !(full || ripe || awaited || self.flushing) {
                return;
            }
            let Some(mut parcel) = parcel::pack(&mut self.loads, max_events, max_bytes) else { return };
            self.loaded_events -= u64::from(parcel.events());
            self.loaded_bytes -= parcel.event_bytes();
            // Its turn comes after those that were due before.
            parcel.not_before = now;
            self.waiting.push_back(parcel);
        }
    }

    /// Packing earlier than sending would only make batches smaller. Suspects do not count: only if others
    /// pass while they fail, the data is at fault.
    fn has_room_to_pack(&self) -> bool {
        let innocent = self.waiting.iter().filter(|parcel| parcel.suspicion.is_none());
        innocent.take(self.width.get()).count() < self.width.get()
    }

    /// Takes the answer to a request in.
    pub(super) fn answered(
        &mut self,
        now: Now,
        request: RequestId,
        outcome: Outcome,
        polar_clock: Option<Timestamp>,
    ) -> Vec<Verdict> {
        let Some(Flight { parcel, sent }) = self.flying.remove(&request) else { return Vec::new() };
        let events = parcel.as_ref().map_or(0, Parcel::events);
        self.figures.answered(now, sent, events, &outcome);
        let mut verdicts = Vec::new();
        if let Some(date) = polar_clock {
            let changed = self.clock.heard(now, sent, date);
            verdicts.extend(changed.map(|ahead| Verdict::Say(clock_notice(ahead))));
        }
        let Some(parcel) = parcel else {
            if std::mem::take(&mut self.greeting) {
                self.greeted(now, request, &outcome, &mut verdicts);
            } else {
                self.witness_answered(now, request, &outcome, &mut verdicts);
            }
            return verdicts;
        };
        match outcome {
            Outcome::Answer(Answer::Accepted { inserted, duplicates }) => {
                let counted = inserted.saturating_add(duplicates);
                if counted == u64::from(parcel.events()) {
                    self.accepted(request, parcel, inserted, duplicates, &mut verdicts);
                } else {
                    let why =
                        format!("an answer counts {counted} events where {} were sent", parcel.events());
                    self.failed(now, request, parcel, &why, &mut verdicts);
                }
            }
            Outcome::Answer(Answer::Throttled { retry_after_seconds }) => {
                self.throttled(now, parcel, retry_after_seconds, &mut verdicts);
            }
            Outcome::Answer(Answer::Refused(refusal)) => {
                let why = format!("Polar refuses the batches: {refusal}");
                self.refused(now, request, parcel, &why, &mut verdicts);
            }
            Outcome::Answer(Answer::Failed { status, retry_after_seconds }) => {
                match status {
                    500 => self.failed_by_itself(now, request, parcel, &mut verdicts),
                    _ => self.failed(now, request, parcel, &format!("Polar answers {status}"), &mut verdicts),
                }
                if let Some(seconds) = retry_after_seconds {
                    let until = now.moment + Duration::from_secs(seconds.min(LONGEST_TOLD_WAIT_S));
                    self.gate.close(self.next_request, &format!("Polar answers {status}")).put_off(until);
                }
            }
            Outcome::Answer(Answer::TooLarge) => self.too_large(now, request, parcel, &mut verdicts),
            Outcome::Answer(Answer::Invalid { named }) => {
                self.invalid(now, request, parcel, &named, &mut verdicts);
            }
            Outcome::NoAnswer { what } => self.failed(now, request, parcel, &what, &mut verdicts),
        }
        verdicts
    }

    fn accepted(
        &mut self,
        request: RequestId,
        parcel: Parcel,
        inserted: u64,
        duplicates: u64,
        verdicts: &mut Vec<Verdict>,
    ) {
        if parcel.failures == 0 && !parcel.is_part {
            self.successes += 1;
        }
        self.passed(request, verdicts);
        self.last_taken = self.last_taken.max(request);
        self.split_in_doubt = 0;
        self.width.widen();
        self.witness = parcel.of(std::iter::once(0));
        self.delivered.inserted += inserted;
        self.delivered.duplicate += duplicates;
        if duplicates > 0 && parcel.fresh && !parcel.natural_ids && !parcel.maybe_sent {
            self.delivered.duplicate_unexpected += duplicates;
            verdicts.push(Verdict::Say(Notice {
                code: NoticeCode::UnexpectedDuplicates,
                message: format!("Polar already had {duplicates} events that were never sent from here"),
                hint: Some(
                    "does another Floe with the same `instance` read the same files? else report a collision"
                        .to_owned(),
                ),
            }));
        }
        for run in parcel.lines.chunk_by(|a, b| a.id.chunk == b.id.chunk) {
            let lines = u32::try_from(run.len()).expect("a parcel has few lines");
            verdicts.push(Verdict::Billed { chunk: run[0].id.chunk, lines });
        }
        for Aside { id, events, detail, .. } in parcel.aside {
            verdicts.push(condemned(id, Quarantined::RefusedByPolar, detail, events));
        }
    }

    fn passed(&mut self, request: RequestId, verdicts: &mut Vec<Verdict>) {
        self.last_success = self.last_success.max(request);
        let told = self.gate.passed(request);
        if matches!(told, Some(NoticeCode::PolarRefuses | NoticeCode::PolarUnreachable)) {
            verdicts.push(say(NoticeCode::PolarAccepts, "Polar takes events again".to_owned()));
        }
    }

    /// Nothing is wrong with the parcel: it keeps its turn.
    fn throttled(
        &mut self,
        now: Now,
        parcel: Parcel,
        retry_after_seconds: Option<u64>,
        verdicts: &mut Vec<Verdict>,
    ) {
        self.close_for_rate_limit(now, retry_after_seconds, verdicts);
        self.waiting.push_front(parcel);
    }

    fn close_for_rate_limit(
        &mut self,
        now: Now,
        retry_after_seconds: Option<u64>,
        verdicts: &mut Vec<Verdict>,
    ) {
        self.width.narrow();
        let told = retry_after_seconds.map(|seconds| seconds.min(LONGEST_TOLD_WAIT_S));
        let wait = told.map_or(RATE_WINDOW, Duration::from_secs);
        let jitter = self.jitter.backoff(1, Duration::from_secs(1));
        let closed = self.gate.close(self.next_request, "Polar's rate limit is met");
        closed.put_off(now.moment + wait + jitter);
        if closed.told().is_none() {
            closed.tell(NoticeCode::RateLimited);
            verdicts.push(Verdict::Say(Notice {
                code: NoticeCode::RateLimited,
                message: format!("Polar's rate limit is met; nothing is sent for {} s", wait.as_secs()),
                hint: Some(
                    "the limit is shared by the whole organization: lower `delivery.requests_per_minute`"
                        .to_owned(),
                ),
            }));
        }
    }

    /// The answer to a request without events: whatever it says, Polar's clock comes with it.
    fn greeted(&mut self, now: Now, request: RequestId, outcome: &Outcome, verdicts: &mut Vec<Verdict>) {
        match outcome {
            Outcome::NoAnswer { what } => {
                self.greeting = true;
                let failures = self.slow_down(now, request, what);
                self.say_unreachable(failures, what, None, verdicts);
                return;
            }
            Outcome::Answer(Answer::Refused(refusal)) => {
                let why = format!("Polar refuses the batches: {refusal}");
                self.close_for_refusal(now, request, &why, verdicts);
            }
            Outcome::Answer(Answer::Throttled { retry_after_seconds }) => {
                self.close_for_rate_limit(now, *retry_after_seconds, verdicts);
            }
            Outcome::Answer(Answer::Failed { status, .. }) => {
                let why = format!("Polar answers {status}");
                let failures = self.slow_down(now, request, &why);
                self.say_unreachable(failures, &why, None, verdicts);
            }
            Outcome::Answer(Answer::Accepted { .. } | Answer::TooLarge | Answer::Invalid { .. }) => {
                self.passed(request, verdicts);
            }
        }
        self.clock.assume(now);
    }

    fn refused(
        &mut self,
        now: Now,
        request: RequestId,
        mut parcel: Parcel,
        why: &str,
        verdicts: &mut Vec<Verdict>,
    ) {
        self.close_for_refusal(now, request, why, verdicts);
        parcel.not_before = self.gate.opens_at();
        self.waiting.push_front(parcel);
    }

    fn close_for_refusal(&mut self, now: Now, request: RequestId, why: &str, verdicts: &mut Vec<Verdict>) {
        self.width.narrow();
        let closed = self.gate.close(self.next_request, why);
        closed.count_failure(now.moment, request, &mut self.jitter);
        if closed.told() != Some((NoticeCode::PolarRefuses, why)) {
            closed.tell(NoticeCode::PolarRefuses);
            verdicts.push(Verdict::Say(Notice {
                code: NoticeCode::PolarRefuses,
                message: format!("{why}; everything is held until Polar accepts"),
                hint: Some(
                    "check the token, its scope `events:write`, and `polar.server`; a new token is picked up \
                     without a restart"
                        .to_owned(),
                ),
            }));
        }
    }

    /// No answer, or one that says that Polar failed. The try may have been committed.
    fn failed(
        &mut self,
        now: Now,
        request: RequestId,
        mut parcel: Parcel,
        why: &str,
        verdicts: &mut Vec<Verdict>,
    ) {
        self.count_first_failure(&parcel);
        parcel.maybe_sent = true;
        parcel.failures += 1;
        let failures = self.slow_down(now, request, why);
        self.say_unreachable(failures, why, None, verdicts);
        self.try_again(now, parcel);
    }

    fn count_first_failure(&mut self, parcel: &Parcel) {
        if parcel.failures == 0 && !parcel.is_part {
            self.failures += 1;
        }
    }

    /// A failure that may be everybody's: the gate closes. Returns how many there were in a row.
    fn slow_down(&mut self, now: Now, request: RequestId, why: &str) -> u32 {
        self.width.narrow();
        let closed = self.gate.close(self.next_request, why);
        closed.count_failure(now.moment, request, &mut self.jitter);
        closed.failures()
    }

    fn say_unreachable(&mut self, failures: u32, why: &str, hint: Option<&str>, verdicts: &mut Vec<Verdict>) {
        let closed = self.gate.close(self.next_request, why);
        let is_told = closed.told().is_some_and(|(code, _)| code != NoticeCode::RateLimited);
        if !is_told && failures >= FAILURES_TO_SAY {
            closed.tell(NoticeCode::PolarUnreachable);
            let message = format!("{why}; events are held and tried again");
            let hint = hint.map(str::to_owned);
            verdicts.push(Verdict::Say(Notice { code: NoticeCode::PolarUnreachable, message, hint }));
        }
    }

    fn try_again(&mut self, now: Now, mut parcel: Parcel) {
        let longest = if parcel.suspicion.is_some() { LONGEST_SUSPECT_WAIT } else { LONGEST_WAIT };
        parcel.not_before = now.moment + self.jitter.backoff(parcel.failures, longest);
        self.waiting.push_back(parcel);
    }

    /// Says once that lines of the future wait.
    pub(super) fn held_notice(&mut self, now: Now) -> Option<Notice> {
        let latest = self.held.keys().next_back().map(|(due, _)| *due);
        let is_long = latest.is_some_and(|due| due.duration_since(self.clock.now(now)) >= HELD_TO_SAY);
        let changed = is_long && !self.held_said;
        self.held_said = is_long || (self.held_said && latest.is_some());
        changed.then(|| Notice {
            code: NoticeCode::FutureHeld,
            message: "lines with a timestamp in the future of Polar's clock wait until they are due"
                .to_owned(),
            hint: Some("is the clock of this host, or of the application, ahead?".to_owned()),
        })
    }

    /// # Panics
    /// When the counts contradict what they count.
    pub(super) fn check_invariants(&self) {
        assert_eq!(self.loaded_events, self.loads.iter().map(Load::events_left).sum::<u64>());
        assert_eq!(self.loaded_bytes, self.loads.iter().map(Load::bytes_left).sum::<usize>());
        assert!(self.flying.len() <= usize::from(self.delivery.concurrency).max(1) + 64);
        assert!(self.waiting.iter().all(|parcel| !parcel.lines.is_empty()), "no empty request");
    }
}

/// Failures in a row before the operator is told.
const FAILURES_TO_SAY: u32 = 3;

fn say(code: NoticeCode, message: String) -> Verdict {
    Verdict::Say(Notice { code, message, hint: None })
}

fn condemned(line: LineId, reason: Quarantined, detail: String, events: Bytes) -> Verdict {
    Verdict::Condemned { line, reason, detail, events }
}

fn clock_notice(ahead: i64) -> Notice {
    let message = match ahead {
        0 => "the clock of this host and Polar's agree again".to_owned(),
        ahead if ahead > 0 => format!("the clock of this host is {ahead} s ahead of Polar's"),
        behind => format!("the clock of this host is {} s behind Polar's", -behind),
    };
    let hint = (ahead != 0).then(|| "timestamps are compared with Polar's clock; set this host's".to_owned());
    Notice { code: NoticeCode::ClockDiffers, message, hint }
}
