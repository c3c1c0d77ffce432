//! What must hold in every history: one function for each promise.

use std::fmt;

use floe::agent::Unread;
use floe::agent::checkpoint::Checkpoint;
use floe::model::{Guard, Quarantined};

use crate::letters::Letter;
use crate::oracle::{Expected, Line, SentEvent, Standing};
use crate::plants::Plant;
use crate::polar::Receipt;
use crate::process::Process;
use crate::simulation::Simulation;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invariant {
    /// A checkpoint passes only what is billed, ignored or durably quarantined.
    CheckpointWaits,
    /// Each billable line is in Polar once, and nothing else is.
    BilledOnce,
    /// A line keeps its id, whatever happens to its file, the daemon or the rules.
    IdsStay,
    /// Bytes read are billed, ignored, quarantined or in flight.
    AccountAddsUp,
    /// Only the data's own fault costs data.
    SoundIsBilled,
    /// Memory stays within its budget.
    MemoryIsBounded,
    /// When the storm is over, everything comes home, and a drain ends.
    ComesHome,
    /// A drain brings home what stood in the files when it began.
    DrainReadsOn,
    /// What a backfill says it has read is settled.
    ReadIsSettled,
    /// A seed is a history.
    SameSeedSameHistory,
    /// What Polar would refuse does not leave the host, but for what only Polar can know.
    NothingBadLeaves,
    /// Requests under way are at most `concurrency`.
    ConcurrencyIsKept,
    /// No minute sees more requests than the budget.
    RateIsKept,
    /// No file is removed but those of a spool, which the history of `spool.rs` is about.
    LogsStay,
    /// The agent's own assertions.
    AgentAgrees,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub invariant: Invariant,
    pub details: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?} does not hold: {}", self.invariant, self.details)
    }
}

pub type Held = Result<(), Violation>;

pub fn violated(invariant: Invariant, details: impl Into<String>) -> Held {
    Err(Violation { invariant, details: details.into() })
}

/// What can be told at every step.
pub fn after_each_step(simulation: &Simulation) -> Held {
    let Some(process) = &simulation.process else { return Ok(()) };
    process.agent.check_invariants();
    let status = process.agent.status();
    for (source, account) in &status.accounts {
        if !account.adds_up() {
            let details = format!("source {source:?}: {account:?}");
            return violated(Invariant::AccountAddsUp, details);
        }
    }
    let limits = &simulation.settings.limits;
    // One line may go past the room of its chunk, and one chunk past the budget.
    if status.memory_used > limits.memory + MEMORY_SLACK {
        return violated(Invariant::MemoryIsBounded, format!("{} of {}", status.memory_used, limits.memory));
    }
    if status.requests_in_flight != process.requests.len() {
        let details = format!("{} said, {} true", status.requests_in_flight, process.requests.len());
        return violated(Invariant::ConcurrencyIsKept, details);
    }
    Ok(())
}

const MEMORY_SLACK: u64 = 64 * 1024;

/// A request is sent: within `concurrency` and the budget of requests.
pub fn sending_is_paced(process: &mut Process, clock: u64, concurrency: u16, per_minute: u32) -> Held {
    const MINUTE: u64 = 60_000_000_000;
    if process.requests.len() > usize::from(concurrency) {
        return violated(Invariant::ConcurrencyIsKept, format!("{} under way", process.requests.len()));
    }
    process.sent_at.push_back(clock);
    while process.sent_at.front().is_some_and(|sent| sent + MINUTE <= clock) {
        process.sent_at.pop_front();
    }
    // A bucket that fills while a minute passes may give one more.
    if process.sent_at.len() > per_minute as usize + 1 {
        return violated(
            Invariant::RateIsKept,
            format!("{} in a minute of {per_minute}", process.sent_at.len()),
        );
    }
    Ok(())
}

pub fn nothing_bad_leaves(process: Option<&mut Process>, receipt: &Receipt) -> Held {
    if let Some(fault) = receipt.faults.first() {
        return violated(Invariant::NothingBadLeaves, fault);
    }
    let Some(process) = process else { return Ok(()) };
    for (id, ahead) in &receipt.early {
        let times = process.early.entry(id.clone()).or_default();
        *times += 1;
        // The `Date` of an answer has no finer grain than a second.
        if *times > EARLY_TRIES || (process.knows_the_time && *ahead > 2) {
            let details =
                format!("{id} is {ahead} s in the future of Polar's clock, sent for the {times}. time");
            return violated(Invariant::NothingBadLeaves, details);
        }
    }
    Ok(())
}

const EARLY_TRIES: u32 = 5;

pub fn ids_stay(simulation: &mut Simulation, sent: &[SentEvent]) -> Held {
    for event in sent {
        if let Some(former) = simulation.oracle.sent(event) {
            let lines = event.key.iter().flat_map(|key| simulation.oracle.billings(key));
            let lines: Vec<String> = lines.map(|(line, _)| whereabouts(simulation, line)).collect();
            let details = format!("{:?} was {former} and is {}: {lines:?}", event.key, event.external_id);
            return violated(Invariant::IdsStay, details);
        }
    }
    Ok(())
}

/// Polar takes a new event: it must be one that is due, with what it must say, and not be there yet.
pub fn billed_once(simulation: &mut Simulation, event: &SentEvent) -> Held {
    let Some(key) = &event.key else {
        simulation.oracle.counted_in_polar += 1;
        if simulation.oracle.counted_in_polar > simulation.oracle.counted_written {
            let details = format!("more equal lines are billed than were written: {}", event.name);
            return violated(Invariant::BilledOnce, details);
        }
        return Ok(());
    };
    let billings: Vec<_> = simulation.oracle.billings(key).collect();
    let Some((_, billing)) = billings.first() else {
        return violated(Invariant::BilledOnce, format!("no line is billed like this: {event:?}"));
    };
    if billings.iter().all(|(line, _)| line.standing == Standing::Skipped) {
        let lines: Vec<String> = billings.iter().map(|(line, _)| whereabouts(simulation, line)).collect();
        return violated(Invariant::BilledOnce, format!("{event:?} was there before \"end\": {lines:?}"));
    }
    let says_the_same = billing.customer == event.customer
        && billing.amount == event.amount
        && billing.timestamp == event.timestamp;
    if !says_the_same {
        return violated(Invariant::BilledOnce, format!("{billing:?} is billed as {event:?}"));
    }
    if !simulation.oracle.committed(key) {
        return violated(Invariant::BilledOnce, format!("{event:?} is billed twice"));
    }
    Ok(())
}

/// The checkpoint passes no line that is owed.
pub fn checkpoint_waits(simulation: &mut Simulation, bytes: &[u8]) -> Held {
    let checkpoint = match Checkpoint::read(bytes) {
        Ok(checkpoint) => checkpoint,
        Err(damage) => return violated(Invariant::CheckpointWaits, damage.to_string()),
    };
    for record in checkpoint.files.iter().filter(|record| record.frontier.0 > 0) {
        let frontier = record.frontier.0;
        let end = usize::try_from(frontier).expect("virtual files fit in memory");
        let mut passes = format!("where no such bytes ever stood, with the guard {:?}", record.guard);
        let mut waits = None;
        for (id, content) in simulation.disk.contents() {
            let Some(before) = content.bytes.get(..end) else { continue };
            if Guard::at_end_of(before) != record.guard {
                continue;
            }
            let verified = simulation.verified.get(&id).copied().unwrap_or(0);
            match simulation.oracle.first_due(content, verified, frontier) {
                None => waits = Some(id),
                Some(line) => passes = format!("past line {line:?}"),
            }
        }
        // Contents may agree in the bytes of the guard: one that is settled is enough.
        let Some(content) = waits else {
            let details = format!("{} stands at {frontier}, {passes}", record.path);
            return violated(Invariant::CheckpointWaits, details);
        };
        let verified = simulation.verified.entry(content).or_default();
        *verified = frontier.max(*verified);
    }
    Ok(())
}

/// A letter is right only for a line that earns it, or for a piece of one.
pub fn sound_is_billed(simulation: &Simulation, letter: &Letter) -> Held {
    let is_of_a_piece = matches!(
        letter.reason,
        Quarantined::PartialEof | Quarantined::InvalidJson | Quarantined::InvalidContainer
    );
    let Some(line) = simulation.oracle.line_of_letter(letter) else {
        if is_of_a_piece {
            return Ok(());
        }
        return violated(Invariant::SoundIsBilled, format!("a letter for nothing: {letter:?}"));
    };
    let line = simulation.oracle.line(line);
    if line.expected.allows_letter(letter.reason) || (is_of_a_piece && is_in_pieces(simulation, line)) {
        return Ok(());
    }
    violated(Invariant::SoundIsBilled, format!("{letter:?} for {line:?}"))
}

/// Whether a part of the line stands alone: for ever, or for long in a file that is not at its path any more.
fn is_in_pieces(simulation: &Simulation, line: &Line) -> bool {
    let is_left =
        |(content, _)| !simulation.disk.paths_of(content).any(|path| simulation.storm.matches(path));
    line.cut || (line.standing == Standing::Begun && line.begun_in.is_some_and(is_left))
}

/// A line with the paths that lead to it, and those that did.
fn whereabouts(simulation: &Simulation, line: &Line) -> String {
    let places: Vec<String> = line
        .places
        .iter()
        .map(|(content, start, _)| {
            let paths: Vec<&str> = simulation.disk.paths_of(*content).collect();
            let (inode, born) = simulation.disk.birth_of(*content);
            format!("{start} in {paths:?} (inode {inode}, made at {born})")
        })
        .collect();
    format!("at {} {line:?}", places.join(" and "))
}

pub fn not_home(simulation: &Simulation) -> Violation {
    let mut details = format!("{} lines are owed", simulation.oracle.owed_count());
    if let Some(id) = simulation.oracle.owed().next() {
        let line = whereabouts(simulation, simulation.oracle.line(id));
        details = format!("{details}, the first is {}: {line}", id.0);
    }
    if let Some(process) = &simulation.process {
        let status = process.agent.status();
        details = format!(
            "{details}; lag {}, requests {}, blocked {:?}, in flight {:?}",
            status.lag_bytes, status.requests_in_flight, status.blocked, status.in_flight
        );
    }
    Violation { invariant: Invariant::ComesHome, details }
}

/// Before a drain all was home but for what was written since, to files that are followed.
pub fn drain_reads_on(simulation: &Simulation) -> Held {
    match simulation.oracle.owed().next() {
        Some(line) => violated(
            Invariant::DrainReadsOn,
            format!("not read by a drain: {}", whereabouts(simulation, simulation.oracle.line(line))),
        ),
        None => Ok(()),
    }
}

/// Of each file that a backfill was given and does not name, all is settled that stood in it at the beginning.
pub fn what_was_read_is_settled(simulation: &Simulation, unread: &[Unread]) -> Held {
    let backfill = simulation.process.as_ref().and_then(|process| process.backfill.as_ref());
    let is_said = |path: &str| {
        unread.iter().any(|unread| unread.path == path) && simulation.plant != Some(Plant::UnreadUnsaid)
    };
    for given in backfill.iter().flat_map(|backfill| &backfill.given).filter(|given| !is_said(&given.path)) {
        let content = simulation.disk.content(given.content);
        if let Some(line) = simulation.oracle.first_due(content, 0, given.size) {
            let details = format!("{} was read, without line {}", given.path, whereabouts(simulation, line));
            return violated(Invariant::ReadIsSettled, details);
        }
    }
    Ok(())
}

/// After the last drain nothing is due, whatever the daemon itself believes.
pub fn everything_came_home(simulation: &Simulation) -> Held {
    for (id, line) in simulation.oracle.lines() {
        let is_due = line.standing == Standing::Owed && !matches!(line.expected, Expected::Counted);
        if is_due || (line.standing == Standing::Home && !simulation.oracle.is_settled(id)) {
            return violated(Invariant::BilledOnce, format!("line {} is lost: {line:?}", id.0));
        }
    }
    Ok(())
}
