//! Backfills between two runs of the daemon: other processes, with its ids and a state of their own beside its.
//!
//! They are given files that are over: nobody is in the middle of a line there, or of compressing it. Three kinds of files
//! they are not given. Those of `read_from = "end"` hold lines that the daemon was told to leave, and a backfill is told
//! to bill. Where files begin alike, one with its first line alone is nobody's in particular: what a backfill takes it
//! for, the daemon cannot know. And no file moves while a backfill runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use floe::agent::checkpoint::{Checkpoint, seal};
use floe::agent::{Agent, Purpose, Restored, Sighting, known, rotated_from};
use floe::config::settings::{Captures, ReadFrom};
use floe::mapping::Rules;
use floe::model::SourceIndex;

use crate::disk::{ContentId, NodeId};
use crate::invariants::{self, Held};
use crate::plants::Plant;
use crate::process::Process;
use crate::simulation::{Event, Simulation, StateFolder};
use crate::storm::Move;

/// One file, and what stood in it when the backfill began.
#[derive(Debug, Clone)]
pub struct Given {
    pub path: String,
    source: SourceIndex,
    captures: Captures,
    pub content: ContentId,
    pub size: u64,
}

/// The same for the same files under the same rules.
type Name = (Vec<String>, u64);

/// What a process is that is no daemon.
#[derive(Debug)]
pub struct Backfill {
    name: Name,
    pub given: Vec<Given>,
}

/// What outlives backfills.
#[derive(Debug, Default)]
pub struct Backfills {
    /// The states of those that were interrupted.
    begun: BTreeMap<Name, StateFolder>,
    /// What those that are done have read.
    done: Option<Checkpoint>,
}

/// After this time the operator wants to go on, done or not.
const PATIENCE: u64 = 600_000_000_000;

impl Move {
    /// Whether it may happen while a backfill runs.
    const fn leaves_files(self) -> bool {
        matches!(
            self,
            Self::Write
                | Self::WriteMany
                | Self::Crash
                | Self::Drain
                | Self::PolarMood
                | Self::PolarWell
                | Self::RateLimit
                | Self::DiskFault
                | Self::DiskWell
                | Self::ClockJump
                | Self::Pause
        )
    }
}

impl Simulation {
    pub fn backfill_runs(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.backfill.is_some())
    }

    pub fn is_out_of_place(&self, chosen: Move) -> bool {
        self.backfill_runs() && !chosen.leaves_files()
    }

    /// The state folder of the process that runs.
    pub fn own_folder(&mut self) -> &mut StateFolder {
        match self.process.as_ref().and_then(|process| process.backfill.as_ref()) {
            Some(backfill) => self.backfills.begun.entry(backfill.name.clone()).or_default(),
            None => &mut self.state,
        }
    }

    /// Instead of the daemon a backfill is started now and then.
    pub fn starts_backfill(&mut self) -> bool {
        // Before the daemon's first look nobody knows what its first look will find.
        if !self.state.has_saved || self.scene.backfills == 0 || !self.random.chance(self.scene.backfills) {
            return false;
        }
        let given = self.files_to_give();
        if given.is_empty() {
            return false;
        }
        let paths: Vec<String> = given.iter().map(|file| file.path.clone()).collect();
        let name = (paths, self.storm.edition);
        let before = self.backfills.begun.get(&name).and_then(StateFolder::newest);
        let is_resumed = before.is_some();
        let known = self.known_before();
        let numbered = if is_resumed { known.clone() } else { Checkpoint::default() };
        let checkpoint = before.unwrap_or(known);
        if !is_resumed {
            self.backfills.begun.entry(name.clone()).or_default().save(seal(&checkpoint));
        }
        self.processes += 1;
        self.note(format!("backfill {} of {:?}, resumed: {is_resumed}", self.processes, name.0));
        let restored = Restored {
            checkpoint: Some(checkpoint),
            numbered,
            purpose: Purpose::ReadOnce { gives_ordinals: true },
            ..Restored::default()
        };
        let rules = Arc::new(Rules::compile(&self.settings));
        let seed = self.random.next();
        let agent = Agent::new(self.believed_settings(), rules, restored, self.first_moment(), seed);
        let process = Process::new(self.processes, self.clock, agent);
        self.process = Some(Process { backfill: Some(Backfill { name, given }), ..process });
        self.after(PATIENCE, Event::Interrupt { process: self.processes });
        true
    }

    /// All that is known of the files: to the daemon, and from backfills that are done or were interrupted.
    fn known_before(&self) -> Checkpoint {
        if self.plant == Some(Plant::OrdinalsForgotten) {
            return Checkpoint::default();
        }
        let lost = || Checkpoint { ordinals_lost: true, ..Checkpoint::default() };
        let mut all = vec![self.state.newest().unwrap_or_else(lost)];
        all.extend(self.backfills.checkpoints());
        known::known(&all, |_| true)
    }

    /// What backfills have numbered, for the daemon.
    pub fn numbered_by_backfills(&self) -> Checkpoint {
        if self.plant == Some(Plant::OrdinalsForgotten) {
            return Checkpoint::default();
        }
        known::known(&self.backfills.checkpoints(), |_| true)
    }

    fn files_to_give(&mut self) -> Vec<Given> {
        let is_choosy = self.random.chance(50);
        let standing: Vec<(String, NodeId)> =
            self.disk.names().map(|(path, node)| (path.to_owned(), node)).collect();
        let mut given = Vec::new();
        for (path, node) in standing {
            let Some((source, captures)) = self.source_of(&path) else { continue };
            if !self.is_over(node) || (is_choosy && self.random.chance(50)) {
                continue;
            }
            let (content, size) = (self.disk.node(node).content, self.disk.size(node));
            given.push(Given { path, source, captures, content, size });
        }
        given
    }

    fn source_of(&self, path: &str) -> Option<(SourceIndex, Captures)> {
        let sources = (0..).map(SourceIndex).zip(&self.settings.sources);
        sources.filter(|(_, source)| source.read_from == ReadFrom::Beginning).find_map(|(at, source)| {
            let of_log = || rotated_from(path).find_map(|log| source.files.captures(log));
            Some((at, source.files.captures(path).or_else(of_log)?))
        })
    }

    /// Whether all that stands in the file are whole lines, and enough of them.
    fn is_over(&self, node: NodeId) -> bool {
        let content = self.disk.node(node).content;
        let least = if self.scene.equal_first_lines { 2 } else { 1 };
        let writers = self.storm.late.iter().chain(self.storm.logs.iter().map(|log| &log.writer));
        let mut rests = writers.filter_map(|writer| writer.rest.as_ref());
        let is_moving = |event: &Event| match event {
            Event::Compress { from, to } => *from == node || *to == node,
            Event::Truncate { node: of, .. } => *of == node,
            _ => false,
        };
        self.disk.content(content).lines.len() >= least
            && self.disk.bytes(node).ends_with(b"\n")
            && !self.disk.node(node).denied
            && !rests.any(|rest| rest.content == content)
            && !self.any_event(is_moving)
    }

    pub fn look_at_given(&self) -> Option<Vec<Sighting>> {
        let backfill = self.process.as_ref()?.backfill.as_ref()?;
        let sighting = |given: &Given| {
            let node = self.disk.at(&given.path)?;
            Some(Sighting {
                source: given.source,
                path: given.path.as_str().into(),
                file: self.disk.node(node).key,
                size: self.known_size(&given.path, node),
                modified: self.disk.node(node).modified,
                matched: Some(Arc::new(given.captures.clone())),
            })
        };
        Some(backfill.given.iter().filter_map(sighting).collect())
    }

    pub fn interrupt_backfill(&mut self, number: u32) -> Held {
        let runs = self.process.as_ref().is_some_and(|process| process.number == number);
        if runs { self.drain(Duration::from_secs(5)) } else { Ok(()) }
    }

    /// A backfill has stopped; the daemon comes next.
    pub fn backfill_ends(&mut self) -> Held {
        let process = self.process.as_ref().expect("it has just stopped");
        let status = process.agent.status();
        let is_done = !process.draining && status.in_flight.values().all(|tally| tally.total().lines == 0);
        if is_done {
            invariants::what_was_read_is_settled(self, &status.unread)?;
            let name = process.backfill.as_ref().expect("it is a backfill").name.clone();
            let folder = self.backfills.begun.remove(&name).expect("it was begun");
            let read = folder.newest().expect("it saves before it ends");
            let before = self.backfills.done.take().unwrap_or_default();
            self.backfills.done = Some(known::remembered(before, &read, self.state.newest().as_ref()));
        }
        Ok(())
    }
}

impl Backfills {
    fn checkpoints(&self) -> Vec<Checkpoint> {
        self.done.iter().cloned().chain(self.begun.values().filter_map(StateFolder::newest)).collect()
    }
}
