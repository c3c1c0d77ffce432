//! Whose fault is it? What a 413, a 422 and a 500 that one parcel keeps getting mean for its lines.
//!
//! A parcel is at fault only when others pass while it fails; when nothing passes, Polar is. So a failure
//! counts against a parcel only if another request, *sent since its failure before*, has passed: what was
//! under way already says nothing about how things are now. Where there is nothing else to send (a suspect
//! holds the window of its stream), an event that Polar has taken goes again as a witness. A line that Polar
//! names is believed once the others of its batch have succeeded without it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::super::border::{Now, Outcome, RequestId};
use super::super::notice::NoticeCode;
use super::parcel::{self, Aside, Parcel, Suspicion};
use super::{LEAST_MAX_BYTES, Ship, Verdict, condemned, say};
use crate::model::{BilledLine, HeldLine, Quarantined};
use crate::polar::Body;
use crate::polar::answer::{Answer, NamedEvent, NamedFault};

/// A parcel comes apart for 500s only after so many failures with successes of others between them.
const ROUNDS_TO_SPLIT: u32 = 2;

/// It comes apart for 500s only when chance explains them less often than this: below a half, so that a
/// Polar that fails at random does not take everything apart.
const CHANCE_TO_SPLIT: f64 = 0.1;

/// A line is condemned for a 500 only when chance explains its failures less often than this.
const CHANCE_TO_CONDEMN: f64 = 1e-9;

/// Parcels that come apart while nothing succeeds, at most: a long outage must not leave single events.
const MOST_SPLIT_IN_DOUBT: u32 = 16;

/// Failures after which the smallest parcel comes apart though nothing passes, where nothing else is left to
/// send: for a 500, and for a 413 or 422.
const FAILURES_TO_SPLIT_BLINDLY: (u32, u32) = (6, 2);

/// A line that fails while nothing else is sent: nobody can tell its fault from Polar's.
const ALONE: &str = "one line waits. If Polar is well, it is the line's own fault: it is quarantined once other lines \
                     are billed while it fails";

/// What a parcel is suspected of.
struct Charge {
    reason: Quarantined,
    detail: String,
    /// Why nothing is sent, if it is not the parcel.
    why: &'static str,
    /// A 500: it may be chance. Else Polar has said that it is the data.
    by_chance: bool,
}

impl Ship {
    /// A 500. The try may have been committed.
    pub(super) fn failed_by_itself(
        &mut self,
        now: Now,
        request: RequestId,
        mut parcel: Parcel,
        verdicts: &mut Vec<Verdict>,
    ) {
        parcel.maybe_sent = true;
        let charge = Charge {
            reason: Quarantined::RefusedByPolar,
            detail: "Polar answers 500 to this event each time".to_owned(),
            why: "Polar answers 500",
            by_chance: true,
        };
        self.accuse(now, request, parcel, charge, verdicts);
    }

    pub(super) fn too_large(
        &mut self,
        now: Now,
        request: RequestId,
        parcel: Parcel,
        verdicts: &mut Vec<Verdict>,
    ) {
        if parcel.lines.len() > 1 {
            self.most_bytes = self.most_bytes.min(parcel.body.len() / 2).max(LEAST_MAX_BYTES);
            self.split(now, parcel, verdicts);
            return;
        }
        let charge = Charge {
            reason: Quarantined::TooLarge,
            detail: format!("Polar refuses its {} bytes as too large", parcel.body.len()),
            why: "Polar refuses a single line as too large",
            by_chance: false,
        };
        self.accuse(now, request, parcel, charge, verdicts);
    }

    pub(super) fn invalid(
        &mut self,
        now: Now,
        request: RequestId,
        mut parcel: Parcel,
        named: &[NamedEvent],
        verdicts: &mut Vec<Verdict>,
    ) {
        let mut faults: BTreeMap<usize, &NamedFault> = BTreeMap::new();
        for event in named {
            if let Some(line) = parcel.line_of(event.index) {
                faults.entry(line).or_insert(&event.why);
            }
        }
        let others = faults.values().filter(|fault| matches!(fault, NamedFault::Other(_))).count();
        if faults.is_empty() || others == parcel.lines.len() {
            let detail = match faults.get(&0) {
                Some(NamedFault::Other(detail)) => detail.clone(),
                _ => "Polar refuses the event and does not say why".to_owned(),
            };
            let reason = Quarantined::RefusedByPolar;
            let charge =
                Charge { reason, detail, why: "Polar refuses whole batches (422)", by_chance: false };
            self.accuse(now, request, parcel, charge, verdicts);
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
                    aside.push(Aside { id, events, count: parcel.count_of(*line), detail: why.clone() });
                }
            }
        }
        match parcel.of((0..parcel.lines.len()).filter(|line| !faults.contains_key(line))) {
            Some(mut rest) => {
                rest.aside = aside;
                rest.not_before = now.moment;
                self.waiting.push_front(rest);
            }
            None => self.send_aside(now, &parcel, aside),
        }
    }

    /// No line is left that could vouch for those set aside: they go again by themselves.
    fn send_aside(&mut self, now: Now, from: &Parcel, mut aside: Vec<Aside>) {
        aside.sort_by_key(|aside| aside.id);
        if let Some(mut again) = from.of_aside(&aside) {
            again.failures = 1;
            again.suspicion = Some(self.suspicion());
            self.try_again(now, again);
        }
    }

    /// The parcel fails as a whole; whether that is its data's fault shows in what the others do.
    fn accuse(
        &mut self,
        now: Now,
        request: RequestId,
        mut parcel: Parcel,
        charge: Charge,
        verdicts: &mut Vec<Verdict>,
    ) {
        if charge.by_chance {
            self.count_first_failure(&parcel);
        }
        parcel.failures += 1;
        let mut suspicion = parcel.suspicion.unwrap_or_else(|| self.suspicion());
        let others_pass = self.last_success >= suspicion.since;
        suspicion.since = self.next_request;
        suspicion.rounds += u32::from(others_pass);
        parcel.suspicion = Some(suspicion);
        self.is_witnessed = false;
        if self.is_its_data(&parcel, suspicion, charge.by_chance) {
            self.blame(now, parcel, charge, verdicts);
            return;
        }
        if !others_pass {
            let failures = self.slow_down(now, request, charge.why);
            // What came out of a split was told of then.
            if !parcel.is_part {
                let is_alone = parcel.lines.len() == 1;
                self.say_unreachable(failures, charge.why, is_alone.then_some(ALONE), verdicts);
            }
        }
        self.try_again(now, parcel);
    }

    /// The witness's body, if it is to go before this waiting parcel: a suspect that failed last, when there is
    /// nothing else to send. Polar knows the event, so sending it again costs a request and bills nothing.
    pub(super) fn witness_for(&mut self, waiting: usize) -> Option<Body> {
        let suspicion = self.waiting[waiting].suspicion?;
        let is_wanted = !self.is_witnessed
            && self.waiting[waiting].failures > 0
            && self.last_success < suspicion.since
            && self.flying.is_empty()
            && self.loads.is_empty()
            && self.waiting.iter().all(|parcel| parcel.suspicion.is_some());
        let body = is_wanted.then(|| self.witness.as_ref().map(|witness| witness.body.clone()))??;
        self.is_witnessed = true;
        Some(body)
    }

    /// Whether all that waits has failed, and nothing new is left to send that could show whether Polar takes
    /// anything: then lines from behind the window are worth more than the window.
    pub(in crate::agent) fn lacks_evidence(&self) -> bool {
        let has_failed = |parcel: &Parcel| parcel.failures > 0 && parcel.suspicion.is_some();
        !self.waiting.is_empty() && self.loads.is_empty() && self.waiting.iter().all(has_failed)
    }

    pub(super) fn witness_answered(
        &mut self,
        now: Now,
        request: RequestId,
        outcome: &Outcome,
        verdicts: &mut Vec<Verdict>,
    ) {
        match outcome {
            Outcome::Answer(Answer::Accepted { .. }) => {
                self.successes += 1;
                self.passed(request, verdicts);
            }
            Outcome::Answer(Answer::Throttled { retry_after_seconds }) => {
                self.close_for_rate_limit(now, *retry_after_seconds, verdicts);
            }
            _ => {
                self.failures += 1;
                self.slow_down(now, request, "Polar takes nothing");
            }
        }
    }

    /// A suspicion that begins now.
    fn suspicion(&self) -> Suspicion {
        Suspicion {
            first: self.next_request,
            since: self.next_request,
            rounds: 0,
            successes_before: self.successes,
            failures_before: self.failures,
        }
    }

    /// Whether the parcel's failures are its data's fault rather than Polar's.
    fn is_its_data(&mut self, parcel: &Parcel, suspicion: Suspicion, by_chance: bool) -> bool {
        let splits = parcel.lines.len() > 1;
        let (after_500, after_4xx) = FAILURES_TO_SPLIT_BLINDLY;
        let blindly = if by_chance { after_500 } else { after_4xx };
        if splits && parcel.failures >= blindly && self.is_last_resort(parcel) {
            self.split_in_doubt += 1;
            return true;
        }
        if !by_chance {
            return suspicion.rounds > 0;
        }
        // The witness is no new event: that Polar takes new ones must have shown, too.
        if self.last_taken < suspicion.first {
            return false;
        }
        let chance = self.chance(suspicion);
        let is_enough = if splits { CHANCE_TO_SPLIT } else { CHANCE_TO_CONDEMN };
        suspicion.rounds >= ROUNDS_TO_SPLIT && chance < is_enough
    }

    /// How likely a parcel without a fault fails so often, given how others fare at their first try.
    fn chance(&self, suspicion: Suspicion) -> f64 {
        let passed = (self.successes - suspicion.successes_before) as f64;
        let failed = (self.failures - suspicion.failures_before) as f64;
        let rate = (failed + 1.0) / (failed + passed + 2.0);
        rate.powi(i32::try_from(suspicion.rounds).unwrap_or(i32::MAX))
    }

    /// Whether nothing is left to send but what has failed already, and nothing of it that can come apart is
    /// smaller: to come apart is then the only way to learn more.
    fn is_last_resort(&self, parcel: &Parcel) -> bool {
        let has_failed = |other: &Parcel| other.suspicion.is_some() && other.failures > 0;
        let comes_later = |other: &Parcel| other.lines.len() == 1 || other.lines.len() >= parcel.lines.len();
        self.split_in_doubt < MOST_SPLIT_IN_DOUBT
            && self.flying.is_empty()
            && self.loads.is_empty()
            && self.waiting.iter().all(|other| has_failed(other) && comes_later(other))
    }

    /// The parcel's data is at fault: it comes apart, or its only line is condemned.
    fn blame(&mut self, now: Now, mut parcel: Parcel, charge: Charge, verdicts: &mut Vec<Verdict>) {
        if parcel.lines.len() > 1 {
            self.split(now, parcel, verdicts);
            return;
        }
        let (id, events) = (parcel.lines[0].id, parcel.events_of(0));
        verdicts.push(condemned(id, charge.reason, charge.detail, events));
        let aside = std::mem::take(&mut parcel.aside);
        self.send_aside(now, &parcel, aside);
    }

    fn split(&mut self, now: Now, mut parcel: Parcel, verdicts: &mut Vec<Verdict>) {
        if !parcel.is_part {
            let lines = parcel.lines.len();
            let message = format!("a batch of {lines} lines is split to find what Polar refuses in it");
            verdicts.push(say(NoticeCode::BatchSplit, message));
        }
        let aside = std::mem::take(&mut parcel.aside);
        let (mut first, mut second) = parcel.halve();
        for half in [&mut first, &mut second] {
            half.is_part = true;
            half.not_before = now.moment;
            let suspicion = self.suspicion();
            let first = parcel.suspicion.map_or(suspicion.first, |suspicion| suspicion.first);
            half.suspicion = Some(Suspicion { first, ..suspicion });
        }
        first.aside = aside;
        self.waiting.push_front(second);
        self.waiting.push_front(first);
    }

    /// A line that Polar calls future waits until it is due, unless that is too far away.
    fn hold_again(&mut self, now: Now, parcel: &Parcel, line: usize) -> Option<Verdict> {
        self.clock.was_early(now.moment);
        let id = parcel.lines[line].id;
        let events = parcel.events_of(line);
        let polar_now = self.clock.now(now);
        let due = parcel::latest_timestamp(&events).unwrap_or(polar_now);
        let max_future = SignedDuration::try_from(self.delivery.max_future).unwrap_or(SignedDuration::MAX);
        if due.duration_since(polar_now) > max_future {
            let detail = format!("its timestamp {due} is too far in the future of Polar's clock");
            return Some(condemned(id, Quarantined::FutureTimestamp, detail, events));
        }
        let soon = polar_now.saturating_add(SignedDuration::from_secs(1)).unwrap_or(Timestamp::MAX);
        let mut body = Vec::from(events);
        body.push(b',');
        let events = u16::try_from(parcel.count_of(line)).expect("a line has few events");
        let billed = BilledLine { at: 0, len: 0, body_end: 0, events, rule: 0 };
        let held = HeldLine { line: billed, body, due: due.max(soon) };
        self.hold(id.chunk, id.line, held, false, parcel.natural_ids);
        None
    }
}
