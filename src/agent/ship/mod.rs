//! Ship: mapped events → requests → verdicts.
//!
//! It holds what waits to be packed, what is future, what is under way and what must be tried again, and it
//! alone knows the delivery policy. What an answer means for the ledger comes back as [`Verdict`]s.

mod clock;
mod pace;
mod parcel;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use super::books::{ChunkId, LineId};
use super::border::{Now, Outcome, RequestId};
use super::notice::{Notice, NoticeCode};
use crate::config::settings::DeliverySettings;
use crate::model::{BilledLine, HeldLine, Moment, Quarantined};
use crate::polar::answer::{Answer, NamedEvent, NamedFault};

use clock::PolarClock;
use pace::{Budget, Gate, Jitter, RATE_WINDOW, Width};
use parcel::{Aside, Load, Parcel, Suspicion};

/// A parcel that fails by what may be its data waits no longer than this before it is tried again.
const LONGEST_SUSPECT_WAIT: Duration = Duration::from_secs(5);

/// Failures after which a parcel that alone fails comes apart.
const FAILURES_TO_SPLIT: u32 = 3;

/// Parcels that come apart while nothing succeeds, at most: a long outage must not leave single events.
const MOST_SPLIT_IN_DOUBT: u32 = 16;

/// A line is condemned for a 500 only when chance explains its failures less often than this.
const CHANCE_TO_CONDEMN: f64 = 1e-9;

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
    /// `None`: the witness.
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
    next_request: u64,
    clock: PolarClock,
    jitter: Jitter,
    budget: Budget,
    width: Width,
    gate: Gate,
    /// Requests with events that succeeded, and that failed by a 5xx or without an answer.
    successes: u64,
    failures: u64,
    /// Parcels that came apart since the last success, while it may have been Polar that failed.
    split_in_doubt: u32,
    /// A request with the events of one line, which Polar has.
    witness: Option<Bytes>,
    witness_due: bool,
    successes_at_call: u64,
    delivered: Delivered,
    flushing: bool,
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
            next_request: 1,
            clock: PolarClock::default(),
            jitter: Jitter::new(seed),
            budget,
            width,
            gate: Gate::Open,
            successes: 0,
            failures: 0,
            split_in_doubt: 0,
            witness: None,
            witness_due: false,
            successes_at_call: 0,
            delivered,
            flushing: false,
        }
    }

    pub(super) fn reload(&mut self, delivery: DeliverySettings) {
        self.budget.set(delivery.requests_per_minute);
        self.width.set(delivery.concurrency);
        self.delivery = delivery;
    }

    /// From now on nothing waits for a batch to fill.
    pub(super) fn flush(&mut self) {
        self.flushing = true;
    }

    pub(super) fn delivered(&self) -> Delivered {
        self.delivered
    }

    pub(super) fn in_flight(&self) -> usize {
        self.flying.len()
    }

    /// Whether nothing waits or flies, but for lines of the future.
    pub(super) fn is_home(&self) -> bool {
        self.loads.is_empty() && self.waiting.is_empty() && self.flying.is_empty()
    }

    /// The time after which an event is future. Until Polar has told its clock nothing is: the host's clock
    /// may be hours off, and must not cost data. Polar is asked, and answers which events are.
    pub(super) fn future_begins(&self, now: Now) -> Timestamp {
        if self.clock.is_known() { self.clock.now(now) } else { Timestamp::MAX }
    }

    /// Why nothing is sent, in words.
    pub(super) fn blocked(&self) -> Option<String> {
        match &self.gate {
            Gate::Open => None,
            Gate::Waiting { .. } => Some("Polar's rate limit is met".to_owned()),
            Gate::Probing { why, .. } => Some(why.clone()),
        }
    }

    /// Takes the events of a chunk in. `held` lines stand behind `lines` in the chunk.
    pub(super) fn load(
        &mut self,
        now: Moment,
        chunk: ChunkId,
        body: Vec<u8>,
        lines: Arc<[BilledLine]>,
        fresh: bool,
        natural_ids: bool,
    ) {
        let load = Load { chunk, first: 0, body, lines, next: 0, since: now, fresh, natural_ids };
        self.push(load);
    }

    pub(super) fn hold(&mut self, chunk: ChunkId, line: u32, held: HeldLine, fresh: bool, natural_ids: bool) {
        let lines = Arc::new([BilledLine { body_end: held.body.len() as u32, ..held.line }]);
        let load = Load {
            chunk,
            first: line,
            body: held.body,
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
    pub(super) fn next_post(&mut self, now: Now) -> Option<(RequestId, Bytes)> {
        self.release_due(now);
        self.pack_ripe(now.moment);
        let at = self.next_waiting()?;
        if self.may_send_at(now.moment, at) > now.moment {
            return None;
        }
        self.budget.take(now.moment);
        let request = RequestId(self.next_request);
        self.next_request += 1;
        if let Some(body) = self.witness.clone().filter(|_| self.witness_due && self.is_suspect(at)) {
            self.witness_due = false;
            self.flying.insert(request, Flight { parcel: None, sent: now.moment });
            return Some((request, body));
        }
        let parcel = self.waiting.remove(at).expect("the place was just found");
        let body = parcel.body.clone();
        self.flying.insert(request, Flight { parcel: Some(parcel), sent: now.moment });
        Some((request, body))
    }

    fn is_suspect(&self, waiting: usize) -> bool {
        self.waiting[waiting].suspicion.is_some()
    }

    /// One line that fails proves nothing while nothing else is sent. Where no other has succeeded since such
    /// a line failed last, one that Polar has already is sent again: that costs a request and bills nothing.
    fn call_witness(&mut self) {
        self.witness_due = self.successes == self.successes_at_call;
        self.successes_at_call = self.successes;
    }

    /// Only whether Polar takes events is learned from the answer.
    fn witness_answered(&mut self, now: Now, outcome: Outcome, verdicts: &mut Vec<Verdict>) {
        let why = match outcome {
            Outcome::Answer(Answer::Accepted { .. }) => {
                self.successes += 1;
                self.split_in_doubt = 0;
                self.open_gate(verdicts);
                return;
            }
            Outcome::Answer(Answer::Throttled { retry_after_seconds }) => {
                let wait = retry_after_seconds.unwrap_or(RATE_WINDOW.as_secs());
                self.wait_as_told(now.moment, wait);
                return;
            }
            Outcome::Answer(_) => "Polar does not take what it has taken before".to_owned(),
            Outcome::NoAnswer { what } => what,
        };
        self.failures += 1;
        self.gate = self.gate.after_failure(now.moment, &mut self.jitter, why, false);
    }

    /// When [`Ship::next_post`] is worth asking again, if no input comes before.
    pub(super) fn deadline(&mut self, now: Now) -> Option<Moment> {
        let due = self.held.keys().next().map(|(due, _)| {
            let wait = due.duration_since(self.clock.now(now)).max(SignedDuration::from_millis(1));
            now.moment + Duration::try_from(wait).unwrap_or(Duration::from_millis(1))
        });
        let ripe = self.loads.front().map(|load| load.since + self.delivery.batch_max_wait);
        let ripe = ripe.filter(|_| self.unproven() < self.width.get());
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
        let width = if self.gate.is_narrow() { 1 } else { self.width.get() };
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

    /// Waiting parcels that have not failed often. Those that have do not keep others from being packed: where
    /// it is their data's fault, only the success of others can show it.
    fn unproven(&self) -> usize {
        let failed_often = |suspicion: Suspicion| suspicion.failures >= FAILURES_TO_SPLIT;
        self.waiting.iter().filter(|parcel| !parcel.suspicion.is_some_and(failed_often)).count()
    }

    fn pack_ripe(&mut self, now: Moment) {
        let max_events = self.delivery.batch_max_events;
        let max_bytes = self.delivery.batch_max_bytes as usize;
        // Packing earlier than sending would only make batches smaller.
        while self.unproven() < self.width.get() {
            let Some(front) = self.loads.front() else { return };
            let full = self.loaded_events >= u64::from(max_events) || self.loaded_bytes >= max_bytes;
            let ripe = now >= front.since + self.delivery.batch_max_wait;
            if !(full || ripe || self.flushing) {
                return;
            }
            let Some(parcel) = parcel::pack(&mut self.loads, max_events, max_bytes) else { return };
            self.loaded_events = self.loads.iter().map(Load::events_left).sum();
            self.loaded_bytes = self.loads.iter().map(Load::bytes_left).sum();
            self.waiting.push_back(parcel);
        }
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
        let mut verdicts = Vec::new();
        if let Some(date) = polar_clock {
            let changed = self.clock.heard(now, sent, date);
            verdicts.extend(changed.map(|ahead| Verdict::Say(clock_notice(ahead))));
        }
        let Some(parcel) = parcel else {
            self.witness_answered(now, outcome, &mut verdicts);
            return verdicts;
        };
        match outcome {
            Outcome::Answer(Answer::Accepted { inserted, duplicates }) => {
                if inserted + duplicates == u64::from(parcel.events()) {
                    self.accepted(parcel, inserted, duplicates, &mut verdicts);
                } else {
                    let why = format!(
                        "an answer counts {} events where {} were sent",
                        inserted + duplicates,
                        parcel.events()
                    );
                    self.failed(now, parcel, why, None, &mut verdicts);
                }
            }
            Outcome::Answer(Answer::Throttled { retry_after_seconds }) => {
                self.throttled(now, parcel, retry_after_seconds, &mut verdicts);
            }
            Outcome::Answer(Answer::Refused(refusal)) => {
                self.refused(now, parcel, format!("Polar refuses the batches: {refusal}"), &mut verdicts);
            }
            Outcome::Answer(Answer::Failed { status, retry_after_seconds }) => {
                self.failed(now, parcel, format!("Polar answers {status}"), Some(status), &mut verdicts);
                if let Some(seconds) = retry_after_seconds {
                    self.wait_as_told(now.moment, seconds);
                }
            }
            Outcome::Answer(Answer::TooLarge) => self.too_large(now, parcel, &mut verdicts),
            Outcome::Answer(Answer::Invalid { named }) => self.invalid(now, parcel, &named, &mut verdicts),
            Outcome::NoAnswer { what } => self.failed(now, parcel, what, None, &mut verdicts),
        }
        verdicts
    }

    fn accepted(&mut self, parcel: Parcel, inserted: u64, duplicates: u64, verdicts: &mut Vec<Verdict>) {
        self.successes += 1;
        self.split_in_doubt = 0;
        self.witness_due = false;
        if self.witness.is_none() {
            self.witness = parcel.of(std::iter::once(0)).map(|one| one.body);
        }
        self.width.widen();
        self.open_gate(verdicts);
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

    fn open_gate(&mut self, verdicts: &mut Vec<Verdict>) {
        let before = std::mem::replace(&mut self.gate, Gate::Open);
        if let Gate::Probing { failures, refused, .. } = before
            && (refused || failures >= FAILURES_TO_SAY)
        {
            verdicts.push(say(NoticeCode::PolarAccepts, "Polar takes events again".to_owned()));
        }
    }

    fn throttled(
        &mut self,
        now: Now,
        mut parcel: Parcel,
        retry_after_seconds: Option<u64>,
        verdicts: &mut Vec<Verdict>,
    ) {
        self.width.narrow();
        let told = retry_after_seconds.map(|seconds| seconds.min(LONGEST_TOLD_WAIT_S));
        let wait = told.map_or(RATE_WINDOW, Duration::from_secs);
        let until = now.moment + wait + self.jitter.backoff(1, Duration::from_secs(1));
        if !matches!(self.gate, Gate::Waiting { .. }) {
            verdicts.push(Verdict::Say(Notice {
                code: NoticeCode::RateLimited,
                message: format!("Polar's rate limit is met; nothing is sent for {} s", wait.as_secs()),
                hint: Some(
                    "the limit is shared by the whole organization: lower `delivery.requests_per_minute`"
                        .to_owned(),
                ),
            }));
        }
        self.gate = Gate::Waiting { until: until.max(self.gate.opens_at()) };
        parcel.not_before = until;
        self.waiting.push_front(parcel);
    }

    /// A failing server may say when to come again, too.
    fn wait_as_told(&mut self, now: Moment, seconds: u64) {
        let told = now + Duration::from_secs(seconds.min(LONGEST_TOLD_WAIT_S));
        match &mut self.gate {
            Gate::Probing { next, .. } => *next = told.max(*next),
            gate => *gate = Gate::Waiting { until: told.max(gate.opens_at()) },
        }
    }

    fn refused(&mut self, now: Now, mut parcel: Parcel, why: String, verdicts: &mut Vec<Verdict>) {
        if !matches!(&self.gate, Gate::Probing { why: before, refused: true, .. } if *before == why) {
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
        self.gate = self.gate.after_failure(now.moment, &mut self.jitter, why, true);
        self.width.narrow();
        parcel.not_before = self.gate.opens_at();
        self.waiting.push_front(parcel);
    }

    /// No answer, or one that says that Polar failed. The try may have been committed.
    fn failed(
        &mut self,
        now: Now,
        mut parcel: Parcel,
        why: String,
        status: Option<u16>,
        verdicts: &mut Vec<Verdict>,
    ) {
        parcel.maybe_sent = true;
        parcel.failures += 1;
        self.width.narrow();
        let others_failed = self.failures;
        self.failures += 1;
        if status == Some(500) {
            let suspicion = parcel.suspicion.get_or_insert(Suspicion {
                failures: 0,
                successes_before: self.successes,
                failures_before: others_failed,
            });
            suspicion.failures += 1;
            let suspicion = *suspicion;
            if suspicion.failures >= FAILURES_TO_SPLIT {
                self.call_witness();
            }
            if self.is_its_data(suspicion, parcel.lines.len()) {
                self.blame(now, parcel, "Polar answers 500 to this event each time", verdicts);
                return;
            }
        }
        let suspect = parcel.suspicion.is_some_and(|suspicion| self.successes > suspicion.successes_before);
        if !suspect {
            self.gate = self.gate.after_failure(now.moment, &mut self.jitter, why.clone(), false);
            if let Gate::Probing { failures: FAILURES_TO_SAY, .. } = self.gate {
                verdicts.push(Verdict::Say(Notice {
                    code: NoticeCode::PolarUnreachable,
                    message: format!("{why}; events are held and tried again"),
                    hint: None,
                }));
            }
        }
        self.try_again(now, parcel);
    }

    fn try_again(&mut self, now: Now, mut parcel: Parcel) {
        let longest = if parcel.suspicion.is_some() { LONGEST_SUSPECT_WAIT } else { Duration::from_secs(60) };
        parcel.not_before = now.moment + self.jitter.backoff(parcel.failures, longest);
        self.waiting.push_back(parcel);
    }

    /// Whether the parcel's failures are its data's fault rather than Polar's.
    fn is_its_data(&self, suspicion: Suspicion, lines: usize) -> bool {
        let others_passed = self.successes - suspicion.successes_before;
        if lines > 1 {
            // Coming apart costs only requests, so little evidence is enough; and where all that there is to
            // send has failed often, it is the only way to get any.
            let no_other = self.unproven() == 0 && self.flying.is_empty() && self.loads.is_empty();
            let in_doubt = no_other && self.split_in_doubt < MOST_SPLIT_IN_DOUBT;
            let enough = if in_doubt { 2 * FAILURES_TO_SPLIT } else { FAILURES_TO_SPLIT };
            return suspicion.failures >= enough && (others_passed > 0 || in_doubt);
        }
        let all_failed = (self.failures - suspicion.failures_before) as f64;
        let others_failed = (all_failed - f64::from(suspicion.failures)).max(0.0);
        let rate = (others_failed + 1.0) / (others_failed + others_passed as f64 + 2.0);
        others_passed > 0 && rate.powi(suspicion.failures as i32) < CHANCE_TO_CONDEMN
    }

    /// The parcel's data is at fault: it comes apart, or its only line is condemned.
    fn blame(&mut self, now: Now, parcel: Parcel, detail: &str, verdicts: &mut Vec<Verdict>) {
        if parcel.lines.len() > 1 && self.is_all_that_fails(&parcel) {
            self.split_in_doubt += 1;
        }
        if parcel.lines.len() == 1 {
            verdicts.push(condemned(
                parcel.lines[0].id,
                Quarantined::RefusedByPolar,
                detail.to_owned(),
                parcel.events_of(0),
            ));
            self.condemn_aside(parcel.aside, verdicts);
            return;
        }
        self.split(now, parcel, verdicts);
    }

    /// Whether nothing has succeeded since the parcel failed first.
    fn is_all_that_fails(&self, parcel: &Parcel) -> bool {
        parcel.suspicion.is_some_and(|suspicion| suspicion.successes_before == self.successes)
    }

    fn condemn_aside(&mut self, aside: Vec<Aside>, verdicts: &mut Vec<Verdict>) {
        for Aside { id, events, detail, .. } in aside {
            verdicts.push(condemned(id, Quarantined::RefusedByPolar, detail, events));
        }
    }

    fn split(&mut self, now: Now, mut parcel: Parcel, verdicts: &mut Vec<Verdict>) {
        verdicts.push(say(
            NoticeCode::BatchSplit,
            format!("a batch of {} lines is split to find what Polar refuses in it", parcel.lines.len()),
        ));
        let aside = std::mem::take(&mut parcel.aside);
        let (mut first, mut second) = parcel.halve();
        first.aside = aside;
        first.not_before = now.moment;
        second.not_before = now.moment;
        self.waiting.push_front(second);
        self.waiting.push_front(first);
    }

    fn too_large(&mut self, now: Now, mut parcel: Parcel, verdicts: &mut Vec<Verdict>) {
        if parcel.lines.len() > 1 {
            self.split(now, parcel, verdicts);
            return;
        }
        let certain = self.suspect_alone(&mut parcel);
        if certain {
            let detail = format!("Polar refuses its {} bytes as too large", parcel.body.len());
            verdicts.push(condemned(parcel.lines[0].id, Quarantined::TooLarge, detail, parcel.events_of(0)));
            self.condemn_aside(parcel.aside, verdicts);
        } else {
            self.try_again(now, parcel);
        }
    }

    /// Counts one more refusal of a parcel of a single line. True once others succeeded meanwhile.
    fn suspect_alone(&mut self, parcel: &mut Parcel) -> bool {
        parcel.failures += 1;
        let suspicion = parcel.suspicion.get_or_insert(Suspicion {
            failures: 0,
            successes_before: self.successes,
            failures_before: self.failures,
        });
        suspicion.failures += 1;
        let suspicion = *suspicion;
        self.call_witness();
        suspicion.failures >= 2 && self.successes > suspicion.successes_before
    }

    fn invalid(&mut self, now: Now, mut parcel: Parcel, named: &[NamedEvent], verdicts: &mut Vec<Verdict>) {
        let mut faults: BTreeMap<usize, NamedFault> = BTreeMap::new();
        for event in named {
            if let Some(line) = parcel.line_of(event.index) {
                faults.entry(line).or_insert_with(|| event.why.clone());
            }
        }
        if faults.is_empty() {
            self.invalid_without_places(now, parcel, verdicts);
            return;
        }
        let others = faults.values().filter(|fault| matches!(fault, NamedFault::Other(_))).count();
        if others == parcel.lines.len() {
            self.invalid_as_a_whole(now, parcel, &faults, verdicts);
            return;
        }
        let mut aside = std::mem::take(&mut parcel.aside);
        for (line, fault) in &faults {
            let (id, events) = (parcel.lines[*line].id, parcel.events_of(*line));
            match fault {
                NamedFault::UnknownCustomer => {
                    let detail = "Polar does not know the customer".to_owned();
                    verdicts.push(condemned(id, Quarantined::UnknownCustomer, detail, events));
                }
                NamedFault::UnknownMember => {
                    let detail = "Polar does not know the member".to_owned();
                    verdicts.push(condemned(id, Quarantined::UnknownMember, detail, events));
                }
                NamedFault::FutureTimestamp => verdicts.extend(self.hold_again(now, &parcel, *line)),
                NamedFault::Other(why) => {
                    let count = parcel.count_of(*line);
                    aside.push(Aside { id, events, count, detail: why.clone() });
                }
            }
        }
        match parcel.of((0..parcel.lines.len()).filter(|line| !faults.contains_key(line))) {
            Some(mut rest) => {
                rest.aside = aside;
                rest.not_before = now.moment;
                self.waiting.push_front(rest);
            }
            None => self.try_aside_again(now, &parcel, &aside),
        }
    }

    /// No line is left that could vouch for those set aside, now or on an earlier try: they go again by
    /// themselves.
    fn try_aside_again(&mut self, now: Now, parcel: &Parcel, aside: &[Aside]) {
        if let Some(mut again) = parcel.of_aside(aside) {
            again.failures = 1;
            self.try_again(now, again);
        }
    }

    fn invalid_without_places(&mut self, now: Now, mut parcel: Parcel, verdicts: &mut Vec<Verdict>) {
        if parcel.lines.len() > 1 {
            parcel.failures += 1;
            if parcel.failures >= 2 {
                self.split(now, parcel, verdicts);
            } else {
                self.try_again(now, parcel);
            }
        } else if self.suspect_alone(&mut parcel) {
            self.blame(now, parcel, "Polar refuses the event and does not say why", verdicts);
        } else {
            self.try_again(now, parcel);
        }
    }

    /// Every line is named, for reasons that Floe cannot judge.
    fn invalid_as_a_whole(
        &mut self,
        now: Now,
        mut parcel: Parcel,
        faults: &BTreeMap<usize, NamedFault>,
        verdicts: &mut Vec<Verdict>,
    ) {
        if parcel.lines.len() > 1 {
            self.split(now, parcel, verdicts);
        } else if self.suspect_alone(&mut parcel) {
            let why = match faults.get(&0) {
                Some(NamedFault::Other(why)) => why.clone(),
                _ => "Polar refuses the event".to_owned(),
            };
            self.blame(now, parcel, &why, verdicts);
        } else {
            self.try_again(now, parcel);
        }
    }

    /// A line that Polar calls future waits until it is due, unless that is too far away.
    fn hold_again(&mut self, now: Now, parcel: &Parcel, line: usize) -> Option<Verdict> {
        self.clock.was_early(now.moment);
        let id = parcel.lines[line].id;
        let events = parcel.events_of(line);
        let polar_now = self.clock.now(now);
        let due = parcel::latest_timestamp(&events).unwrap_or(polar_now);
        let max_future = SignedDuration::try_from(self.delivery.max_future).unwrap_or(SignedDuration::MAX);
        if self.clock.is_known() && due.duration_since(polar_now) > max_future {
            let detail = format!("its timestamp {due} is too far in the future of Polar's clock");
            return Some(condemned(id, Quarantined::FutureTimestamp, detail, events));
        }
        let soon = polar_now.saturating_add(SignedDuration::from_secs(1)).unwrap_or(Timestamp::MAX);
        let due = due.max(soon);
        let count = u16::try_from(parcel.count_of(line)).expect("a line has few events");
        let mut body = events.to_vec();
        body.push(b',');
        let billed = BilledLine { at: 0, len: 0, body_end: 0, events: count, rule: 0 };
        self.hold(id.chunk, id.line, HeldLine { line: billed, body, due }, false, parcel.natural_ids);
        None
    }

    /// Says once that lines of the future wait.
    pub(super) fn held_notice(&mut self) -> Option<Notice> {
        let any = !self.held.is_empty();
        let changed = any && !self.held_said;
        self.held_said = any;
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
