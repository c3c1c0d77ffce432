//! The machine: tail (streams, identity, rotation), ship (flights, retries, splits), books (ledger,
//! checkpoint). Inputs go in, effects come out; it knows no clock, no disk, no network, no randomness.
//!
//! Call [`Agent::handle`] with each input, then [`Agent::poll`] until it gives nothing, then wait until
//! [`Agent::deadline`] (and send [`Input::Tick`]) or for the next input.

pub mod against;
mod books;
mod border;
pub mod checkpoint;
mod errand;
pub mod known;
mod letters;
mod notice;
pub mod overview;
pub mod reconcile;
mod saver;
mod ship;
mod sums;
mod tail;
pub mod transfers;

pub use border::{
    Against, Agreement, Ahead, AskId, Asked, DiskFault, Effect, HEADER_BYTES, Input, LettersId, Now, Outcome,
    ReadBytes, ReadEnd, ReadId, ReadOrder, RequestId, SaveId, Sighting, Status, Unread, Whom,
};
pub use errand::{Counted, Errand, ErrandLine, ErrandVerdict};
pub use notice::{Level, Notice, NoticeCode};
pub use overview::Overview;
pub use tail::{rotated_before, rotated_from};

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use crate::config::Settings;
use crate::mapping::Rules;
use crate::model::{BilledLine, Dropped, Fate, Moment, Quarantined, passing_room};

use books::{Books, Entry};
use checkpoint::{Checkpoint, Floors, InTurn, sealed_in};
use letters::{Condemned, Letters};
use saver::Saver;
use ship::{Delivered, Ship, Verdict};
use sums::Sums;
use tail::{Arrived, Known, Outbox, Tail};

/// What the state folder held when the process began.
#[derive(Debug, Clone, Default)]
pub struct Restored {
    /// The newest checkpoint that could be read.
    pub checkpoint: Option<Checkpoint>,
    /// True when the folder was in use before, but no checkpoint of it can be read: ordinals are unknown
    /// then, and files with equal prints are held.
    pub checkpoint_lost: bool,
    pub floors: Floors,
    pub purpose: Purpose,
    /// Files that other processes have numbered: backfills, or for a backfill the daemon and other backfills.
    pub numbered: Checkpoint,
    /// Which boot of the machine this is; empty where nobody says.
    pub boot: String,
}

/// What the process is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Purpose {
    /// To follow files that grow, until it is told to end.
    #[default]
    Follow,
    /// To read files that are over once, each to its last byte, and to end by itself. Its first look names all of them;
    /// floors do not matter, and what is lost is not searched for.
    ReadOnce {
        /// It may give the next ordinal to a file that begins like a known one. Nobody else may give it away meanwhile.
        gives_ordinals: bool,
    },
}

/// The whole decision-making part of the daemon.
#[derive(Debug)]
pub struct Agent {
    settings: Arc<Settings>,
    books: Books,
    tail: Tail,
    ship: Ship,
    letters: Letters,
    saver: Saver,
    phase: Phase,
    /// Since when a window or the memory forbids every read.
    starved_since: Option<Moment>,
    out: Outbox,
    now: Now,
    quarantined: Sums<Quarantined>,
    dropped: Sums<Dropped>,
    /// Sources for which nothing more will come in, with what was spooled last.
    ended: BTreeMap<String, Option<(String, u64)>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// `by`: `None`, where it ends when all is done.
    Draining {
        by: Option<Moment>,
    },
    /// Nothing is read or sent any more; what is under way comes home.
    Halting {
        by: Moment,
    },
    Stopped,
}

/// After so long the operator is told what becomes of the files that wait.
const LONG_STARVED: Duration = Duration::from_secs(60);

impl Agent {
    /// An agent at its first step. `seed` is for jitter alone.
    #[must_use]
    pub fn new(settings: Arc<Settings>, rules: Arc<Rules>, restored: Restored, now: Now, seed: u64) -> Self {
        let Restored { checkpoint, checkpoint_lost, floors, purpose, numbered, boot } = restored;
        let accounts = checkpoint.as_ref().map(Checkpoint::source_accounts).unwrap_or_default();
        let sequence = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.sequence);
        let delivered = checkpoint.as_ref().map(|checkpoint| Delivered {
            inserted: checkpoint.events_inserted,
            duplicate: checkpoint.events_duplicate,
            duplicate_unexpected: checkpoint.events_duplicate_unexpected,
        });
        let mut books = Books::new(accounts);
        books.turn_to(now.wall);
        let mut out = Outbox::default();
        if checkpoint_lost {
            out.say(
                NoticeCode::CheckpointLost,
                "no checkpoint can be read; files are read again from their start".to_owned(),
            );
        }
        let known = Known { checkpoint, checkpoint_lost, floors, numbered, boot };
        let tail = Tail::new(Arc::clone(&settings), rules, known, purpose, &mut books, now);
        let mut ship = Ship::new(settings.delivery.clone(), delivered.unwrap_or_default(), now.moment, seed);
        ship.greet();
        let mut agent = Self {
            settings,
            books,
            tail,
            ship,
            letters: Letters::default(),
            saver: Saver::new(sequence),
            phase: match purpose {
                Purpose::Follow => Phase::Running,
                Purpose::ReadOnce { .. } => Phase::Draining { by: None },
            },
            starved_since: None,
            out,
            now,
            quarantined: Sums::default(),
            dropped: Sums::default(),
            ended: BTreeMap::new(),
        };
        agent.pump();
        agent
    }

    /// Takes one input in. Never blocks, never fails.
    pub fn handle(&mut self, now: Now, input: Input) {
        if self.phase == Phase::Stopped {
            return;
        }
        self.now = now;
        self.books.turn_to(now.wall);
        match input {
            Input::Looked(sightings) => {
                self.tail.set_held_back(self.held_back());
                self.tail.looked(now, &sightings, &mut self.books, &mut self.out);
            }
            Input::Nudged(path) => self.tail.nudged(path.as_deref(), now, &mut self.out),
            Input::Told { ask, result } => {
                self.tail.told(ask, result, now, &mut self.books, &mut self.out);
            }
            Input::Opened { stream, result } => self.tail.opened(stream, &result, now, &mut self.out),
            Input::Mapped { read, result, size } => {
                if let Some(arrived) =
                    self.tail.mapped(read, result, size, now, &mut self.books, &mut self.out)
                {
                    self.enter(arrived);
                }
            }
            Input::Answered { request, outcome, polar_clock } => {
                let verdicts = self.ship.answered(now, request, outcome, polar_clock);
                verdicts.into_iter().for_each(|verdict| self.judge(verdict));
            }
            Input::Quarantined { letters, result } => {
                let (chunks, notice) = self.letters.written(letters, &result, now);
                chunks.into_iter().for_each(|chunk| self.books.letter_written(chunk));
                self.out.effects.extend(notice.map(Effect::Tell));
            }
            Input::Saved { save, result } => {
                self.tail.saved(save, &result, now, &mut self.out);
                self.out.effects.extend(self.saver.ended(save, &result, now).map(Effect::Tell));
            }
            Input::Outnumbered { save, numbered } => {
                self.tail.outnumbered(save, *numbered, &mut self.books, &mut self.out);
                self.saver.refused(save);
            }
            Input::Discarded { stream, result } => {
                self.tail.discarded(stream, &result, now, &mut self.books, &mut self.out);
            }
            Input::Dropped { source, why, lines, bytes } => {
                self.books.count_dropped(&Arc::from(source), why, lines, bytes);
                self.dropped.add(why, lines);
            }
            Input::SourceEnded { source, last } => {
                self.ended.insert(source, last);
            }
            Input::Reload { settings, rules } => self.reload(settings, rules),
            Input::Drain { by } => self.drain(by),
            Input::Tick => {}
        }
        self.pump();
    }

    /// The next thing to do, until there is none.
    #[must_use]
    pub fn poll(&mut self) -> Option<Effect> {
        self.out.effects.pop_front()
    }

    /// When [`Input::Tick`] is due, if nothing else comes first.
    #[must_use]
    pub fn deadline(&mut self) -> Option<Moment> {
        let (changes, urgent) = (self.changes(), self.save_is_urgent());
        let end = match self.phase {
            Phase::Running => None,
            Phase::Draining { by } => by,
            Phase::Halting { by } => Some(by),
            Phase::Stopped => return None,
        };
        [
            self.tail.deadline(),
            self.ship.deadline(self.now).filter(|_| !self.is_halting()),
            self.letters.deadline(),
            self.saver.deadline(changes, urgent),
            self.quarantined.deadline(),
            self.dropped.deadline(),
            end,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The agent at a glance, for the account, the demo's progress bar, status pages and the simulation.
    #[must_use]
    pub fn status(&self) -> Status {
        let delivered = self.ship.delivered();
        let accounts = self.books.accounts().iter();
        Status {
            accounts: accounts.map(|(source, account)| (source.to_string(), account.clone())).collect(),
            in_flight: self.books.in_flight(),
            events_inserted: delivered.inserted,
            events_duplicate: delivered.duplicate,
            events_duplicate_unexpected: delivered.duplicate_unexpected,
            streams: self.tail.stream_count(),
            lag_bytes: self.tail.lag_bytes(),
            memory_used: self.tail.reserved() + self.books.charged(),
            requests_in_flight: self.ship.in_flight(),
            blocked: self.blocked(),
            draining: self.phase != Phase::Running,
            unread: self.tail.unread(),
        }
    }

    /// Asserts every invariant that can be told from inside. The simulation calls it after each step.
    ///
    /// # Panics
    /// When one does not hold.
    pub fn check_invariants(&self) {
        self.books.check_invariants();
        self.tail.check_invariants(&self.books);
        self.ship.check_invariants();
    }

    /// Enters a mapped chunk in the books and gives its events and letters on.
    fn enter(&mut self, arrived: Arrived) {
        let Arrived { stream, mut chunk, settings, fresh } = arrived;
        let Some(span) = chunk.span else { return };
        chunk.seal(Bytes::from);
        let output = chunk.output();
        let mut tally = chunk.settled;
        tally.merge(&chunk.in_letters);
        for (fate, count) in chunk.in_letters.iter() {
            if let Fate::Quarantined(reason) = fate {
                self.quarantined.add(reason, count.lines);
            }
        }
        let in_body: Arc<[BilledLine]> = chunk.lines.into();
        let lines = match chunk.held.as_slice() {
            [] => Arc::clone(&in_body),
            held => in_body.iter().copied().chain(held.iter().map(|held| held.line)).collect(),
        };
        let billed_bytes = lines.iter().map(|line| u64::from(line.len)).sum();
        tally.add(Fate::Billed, lines.len() as u64, billed_bytes);
        let charge = output + size_of_val(&lines[..]);
        let id = self.books.stitch(
            stream,
            Entry {
                span,
                after: chunk.after,
                carry: chunk.carry,
                tally,
                lines,
                has_letters: !chunk.letters.is_empty(),
                values_not_utf8: u64::from(chunk.values_not_utf8),
                duplicate_keys: u64::from(chunk.duplicate_keys),
                settings,
                charge: charge as u64,
            },
        );
        if !chunk.letters.is_empty() {
            self.letters.push(id, chunk.letters.into());
        }
        let first_held = in_body.len();
        self.ship.load(self.now.moment, id, chunk.sealed, in_body, fresh, chunk.natural_ids);
        for (index, held) in chunk.held.into_iter().enumerate() {
            let line = u32::try_from(first_held + index).expect("a chunk has fewer lines than 2^32");
            self.ship.hold(id, line, held, fresh, chunk.natural_ids);
        }
    }

    fn judge(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Billed { chunk, lines } => self.books.settle(chunk, lines),
            Verdict::Condemned { line, reason, detail, events } => {
                let (span, _) = self.books.line_of(line);
                let letter = Condemned {
                    reason,
                    source: &self.tail.source_of(line.chunk.stream),
                    path: &self.tail.path_of(line.chunk.stream),
                    generation: self.tail.generation_of(line.chunk.stream),
                    captures: &self.tail.stream_captures(line.chunk.stream),
                    span,
                    rule: &self.books.rule_of(line),
                    detail: &detail,
                    events: &events,
                }
                .letter();
                self.books.condemn(line, reason);
                self.letters.push(line.chunk, letter);
                self.quarantined.add(reason, 1);
            }
            Verdict::Say(notice) => self.out.push(Effect::Tell(notice)),
        }
    }

    fn reload(&mut self, settings: Arc<Settings>, rules: Arc<Rules>) {
        self.settings = Arc::clone(&settings);
        self.ship.reload(settings.delivery.clone());
        self.tail.reload(settings, rules, &self.books, &mut self.out, self.now);
        self.out.say(NoticeCode::Reloaded, "new settings are in force".to_owned());
    }

    fn drain(&mut self, by: Moment) {
        let what = match self.phase {
            Phase::Running => {
                self.tail.drain(self.now);
                self.phase = Phase::Draining { by: Some(by) };
                "the files are read to where they end now; what was read is sent and settled"
            }
            Phase::Draining { by: None } => {
                self.tail.read_no_more();
                self.phase = Phase::Halting { by };
                "nothing more is read or sent; what is under way is settled"
            }
            Phase::Draining { by: Some(_) } | Phase::Halting { .. } | Phase::Stopped => return,
        };
        self.out.say(NoticeCode::Draining, format!("ending: {what}"));
    }

    fn is_halting(&self) -> bool {
        matches!(self.phase, Phase::Halting { .. })
    }

    fn changes(&self) -> u64 {
        self.books.changes() + self.tail.changes()
    }

    fn save_is_urgent(&self) -> bool {
        self.tail.wants_save() || self.is_told_to_end() || (self.phase != Phase::Running && self.is_home())
    }

    /// Why nothing is sent, where that is so.
    fn blocked(&self) -> Option<String> {
        match self.letters.is_blocked() {
            true => Some("the quarantine cannot be written".to_owned()),
            false => self.ship.blocked(),
        }
    }

    /// Why lines wait in their files, where they do.
    fn held_back(&self) -> Option<String> {
        let is_long = |since: Moment| self.now.moment.since(since) >= LONG_STARVED;
        let is_starved = || self.starved_since.is_some_and(is_long);
        self.blocked().or_else(|| is_starved().then(|| "what was read before is not settled".to_owned()))
    }

    /// Whether somebody waits for its end.
    fn is_told_to_end(&self) -> bool {
        !matches!(self.phase, Phase::Running | Phase::Draining { by: None })
    }

    /// Whether nothing is left to do but to save.
    fn is_home(&self) -> bool {
        let is_sent = if self.is_halting() { self.ship.in_flight() == 0 } else { self.ship.is_home() };
        is_sent && self.letters.are_home() && self.tail.is_read_out(self.ship.is_greeted())
    }

    /// Does all that can be done now.
    fn pump(&mut self) {
        let now = self.now;
        self.tail.look_if_due(now, &mut self.out);
        self.tail.retry_due(now, &mut self.out);
        self.tail.ask_more(&mut self.out);
        self.tail.resolve_if_wanted(now, &mut self.out);
        self.tail.save_floors_if_changed(&mut self.out);
        self.tail.hand_out(now, &self.books, &mut self.out);
        if !self.letters.is_blocked() && self.ship.is_greeted() {
            let polar_now = self.ship.polar_now(now);
            let lacks = self.ship.lacks_evidence();
            while let Some(order) = self.tail.next_read(now, polar_now, lacks, &self.books, &mut self.out) {
                self.out.push(Effect::Read(Box::new(order)));
            }
        }
        if let Some((letters, text)) = self.letters.next_write(now) {
            self.out.push(Effect::Quarantine { letters, text });
        }
        let is_starved = self.tail.is_starved();
        self.ship.set_awaited(is_starved);
        self.starved_since = is_starved.then(|| self.starved_since.unwrap_or(now.moment));
        // While a read is under way, a batch may still fill.
        let nothing_follows = self.phase != Phase::Running || self.all_have_ended();
        self.ship.set_flushing(nothing_follows && !self.tail.has_reads());
        while !self.is_halting()
            && let Some((request, body)) = self.ship.next_post(now)
        {
            self.out.push(Effect::Post { request, body });
        }
        self.out.effects.extend(self.ship.held_notice(now).map(Effect::Tell));
        self.say_sums();
        self.drain_if_all_ended();
        self.save_if_due();
        self.stop_if_home();
    }

    fn say_sums(&mut self) {
        let (now, is_ending) = (self.now.moment, self.is_told_to_end());
        if let Some(sums) = self.quarantined.take(now, is_ending) {
            self.out.say_with_hint(
                NoticeCode::LinesQuarantined,
                format!("lines quarantined: {sums}"),
                "`floe quarantine show` has them with their reasons and cures",
            );
        }
        if let Some(sums) = self.dropped.take(now, is_ending) {
            self.out.say_with_hint(
                NoticeCode::LinesDropped,
                format!("lines of datagrams dropped: {sums}"),
                "`floe account` counts them; with socket_type = \"stream\" writers wait instead",
            );
        }
    }

    /// Where nothing more can come in, the process ends when all of it is settled.
    fn drain_if_all_ended(&mut self) {
        let settled = |(source, last): (&String, &Option<(String, u64)>)| {
            self.tail.is_settled(source, last.as_ref(), &self.books)
        };
        if self.phase == Phase::Running && self.all_have_ended() && self.ended.iter().all(settled) {
            self.drain(self.now.moment + self.settings.limits.drain_timeout);
        }
    }

    /// Whether nothing more can come in by any source.
    fn all_have_ended(&self) -> bool {
        let mut sources = self.settings.sources.iter();
        !self.ended.is_empty() && sources.all(|source| self.ended.contains_key(&source.id))
    }

    fn save_if_due(&mut self) {
        let (changes, urgent) = (self.changes(), self.save_is_urgent());
        let Some((save, sequence)) = self.saver.begin(changes, urgent, self.now) else { return };
        self.tail.save_begins(save.0);
        self.tail.mark_spent(save.0, &self.books);
        let room = if self.tail.knows_many_files() { passing_room() } else { Vec::new() };
        let checkpoint = sealed_in(room, &self.checkpoint(sequence)).into();
        let numbers = self.tail.gives_ordinals_by(save.0);
        self.out.push(Effect::Save { save, checkpoint, numbers });
    }

    fn checkpoint(&self, sequence: u64) -> Checkpoint<impl Serialize> {
        let delivered = self.ship.delivered();
        let mut checkpoint = Checkpoint {
            sequence,
            saved_at: self.now.wall.to_string(),
            events_inserted: delivered.inserted,
            events_duplicate: delivered.duplicate,
            events_duplicate_unexpected: delivered.duplicate_unexpected,
            ..Checkpoint::of_files(InTurn(|| self.tail.file_records(&self.books, self.now)))
        };
        checkpoint.set_accounts(self.books.accounts());
        self.tail.record(&mut checkpoint);
        checkpoint
    }

    fn stop_if_home(&mut self) {
        let by = match self.phase {
            Phase::Draining { by } => by,
            Phase::Halting { by } => Some(by),
            Phase::Running | Phase::Stopped => return,
        };
        let is_home = self.is_home();
        if is_home {
            self.tail.miss_vanished(&mut self.books, &mut self.out);
        }
        let is_done = is_home && self.saver.is_saved(self.changes());
        if is_done || by.is_some_and(|by| self.now.moment >= by) {
            self.phase = Phase::Stopped;
            self.out.push(Effect::Stop);
        }
    }
}

/// A disk's fault in words.
pub(crate) fn words(fault: &DiskFault) -> String {
    match fault {
        DiskFault::Gone => "it is gone".to_owned(),
        DiskFault::Full => "no space left".to_owned(),
        DiskFault::Denied => "permission denied".to_owned(),
        DiskFault::TooManyOpen => "too many open files".to_owned(),
        DiskFault::Other(what) => what.clone(),
    }
}
