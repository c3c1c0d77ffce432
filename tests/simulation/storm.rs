//! What happens to the daemon: writers, rotations, faults, crashes. One random move at a time.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::compressor::COMPRESSED;
use crate::disk::{ContentId, Disk, LineId, NodeId};
use crate::random::Random;
use crate::scene::Scene;
use crate::simulation::{Event, Simulation};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    Write,
    WriteMany,
    WritePart,
    NewLog,
    Rotate,
    RotateLate,
    LateWrite,
    CopyTruncate,
    Truncate,
    TruncateAndRewrite,
    DeleteAndRecreate,
    ReplaceByRename,
    RemoveRotated,
    Compress,
    CompressSlowly,
    Deny,
    Crash,
    Drain,
    Reload,
    PolarMood,
    PolarWell,
    RateLimit,
    DiskFault,
    DiskWell,
    ClockJump,
    LoseCheckpoint,
    Pause,
}

impl Move {
    pub const COMMON: &'static [(Self, u64)] = &[
        (Self::Write, 60),
        (Self::WriteMany, 4),
        (Self::WritePart, 12),
        (Self::NewLog, 3),
        (Self::Rotate, 6),
        (Self::RotateLate, 5),
        (Self::LateWrite, 8),
        (Self::CopyTruncate, 6),
        (Self::Truncate, 1),
        (Self::TruncateAndRewrite, 2),
        (Self::DeleteAndRecreate, 3),
        (Self::ReplaceByRename, 2),
        (Self::RemoveRotated, 3),
        (Self::Deny, 3),
        (Self::Crash, 4),
        (Self::Drain, 3),
        (Self::Reload, 3),
        (Self::PolarMood, 4),
        (Self::PolarWell, 6),
        (Self::RateLimit, 2),
        (Self::DiskFault, 3),
        (Self::DiskWell, 5),
        (Self::ClockJump, 2),
        (Self::LoseCheckpoint, 1),
        (Self::Pause, 2),
        (Self::Compress, 5),
        (Self::CompressSlowly, 3),
    ];
}

impl Move {
    /// Whether another file may stand at the log's path afterwards.
    const fn replaces_files(self) -> bool {
        matches!(
            self,
            Self::Rotate
                | Self::RotateLate
                | Self::CopyTruncate
                | Self::Truncate
                | Self::TruncateAndRewrite
                | Self::DeleteAndRecreate
                | Self::ReplaceByRename
        )
    }
}

/// A program that writes a log.
#[derive(Debug)]
pub struct Writer {
    /// `None` until it writes again after a rotation: then it makes a new file.
    pub node: Option<NodeId>,
    /// The rest of a line that it has begun.
    pub rest: Option<Rest>,
}

#[derive(Debug)]
pub struct Rest {
    pub line: LineId,
    pub bytes: Vec<u8>,
    pub content: ContentId,
    pub start: u64,
    pub begun: u64,
}

#[derive(Debug)]
pub struct Log {
    pub path: String,
    pub writer: Writer,
    /// What stands in it begins in the middle of a line. Where such a file goes before Floe has seen it, nothing
    /// tells that the next one is not what goes on with the line.
    pub begins_inside: Option<ContentId>,
}

#[derive(Debug)]
pub struct Storm {
    pub moves_left: u64,
    pub logs: Vec<Log>,
    /// Writers that still write to a renamed file.
    pub late: Vec<Writer>,
    copies: u64,
    pub poisons_left: u32,
    pub edition: u64,
    /// Rotated generations that are kept.
    pub generations: u64,
    /// A line is written every few seconds.
    pub trickles: bool,
    /// When the rules began to want `extra` lines.
    pub wants_extra_since: Option<u64>,
    /// Rotated files that stood there when a daemon without a checkpoint first looked.
    pub strangers: BTreeSet<NodeId>,
    /// Files that the operator was told are held for ever.
    pub held: BTreeSet<NodeId>,
    patterns: Vec<regex::Regex>,
}

/// Rotated generations that are kept, usually.
const GENERATIONS: u64 = 4;

const MOST_LOGS: usize = 6;

/// Lines that get their batch a 500 each time, in one history.
const MOST_POISONS: u32 = 4;

pub const TRICKLE: u64 = 5_000_000_000;

/// Less than the time for which a renamed file must be quiet before its unterminated line is taken for whole.
pub const QUIET_TIME: u64 = 25_000_000_000;

/// Reads that were under way at a reload end within this time: only they go by the old rules.
pub const RELOAD_REACHES_ALL: u64 = 60_000_000_000;

impl Storm {
    pub fn new(scene: &Scene, random: &mut Random) -> Self {
        let patterns = scene
            .settings
            .sources
            .iter()
            .flat_map(|source| source.files.include().iter().map(|pattern| pattern.regex.clone()))
            .collect();
        let mut storm = Self {
            moves_left: scene.moves_count,
            logs: Vec::new(),
            late: Vec::new(),
            copies: 0,
            poisons_left: MOST_POISONS,
            edition: 0,
            generations: GENERATIONS,
            trickles: false,
            wants_extra_since: None,
            strangers: BTreeSet::new(),
            held: BTreeSet::new(),
            patterns,
        };
        for at in 0..scene.settings.sources.len() {
            if at == 0 || random.chance(70) {
                storm.add_log(scene, at);
            }
        }
        storm
    }

    fn add_log(&mut self, scene: &Scene, source: usize) {
        let include = &scene.settings.sources[source].files.include()[0].text;
        let path = include.replace('*', &self.logs.len().to_string());
        self.logs.push(Log { path, writer: Writer { node: None, rest: None }, begins_inside: None });
    }

    pub fn matches(&self, path: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.is_match(path))
    }

    /// Whether Floe must find what stands at this path: a file of a source, or a sibling that was rotated
    /// while Floe was in charge.
    pub fn is_findable(&self, disk: &Disk, path: &str) -> bool {
        let Some(node) = disk.at(path) else { return false };
        !self.held.contains(&node) && (self.matches(path) || !self.strangers.contains(&node))
    }
}

impl Simulation {
    /// Some logs stand there before the daemon first starts.
    pub fn storm_begins(&mut self) {
        for _ in 0..self.random.below(8) {
            let log = self.random.place(self.storm.logs.len());
            self.write_lines(log, 3);
        }
    }

    pub fn make_a_move(&mut self) -> crate::invariants::Held {
        if self.storm.moves_left == 0 {
            return Ok(());
        }
        self.storm.moves_left -= 1;
        let (usual, rare) = self.scene.pause_ms;
        let pause = self.random.delay_nanos(usual, rare);
        self.after(pause, Event::Move);
        let total: u64 = self.scene.moves.iter().map(|(_, weight)| weight).sum();
        let mut drawn = self.random.below(total);
        let mut moves = self.scene.moves.iter();
        let chosen = loop {
            let (chosen, weight) = *moves.next().expect("the draw is below the sum");
            if drawn < weight {
                break chosen;
            }
            drawn -= weight;
        };
        let log = self.random.place(self.storm.logs.len());
        if self.is_out_of_place(chosen) {
            return Ok(());
        }
        self.note(format!("{chosen:?} {}", self.storm.logs[log].path));
        self.carry_out_move(chosen, log)
    }

    fn carry_out_move(&mut self, chosen: Move, log: usize) -> crate::invariants::Held {
        let node = self.disk.at(&self.storm.logs[log].path);
        let is_unsure = node.is_some_and(|node| self.floors.is_unsure(self.disk.node(node).content));
        if is_unsure && chosen.replaces_files() {
            return Ok(());
        }
        let begins_inside =
            node.is_some_and(|node| self.storm.logs[log].begins_inside == Some(self.disk.node(node).content));
        if begins_inside && chosen.replaces_files() && !matches!(chosen, Move::Rotate | Move::RotateLate) {
            return Ok(());
        }
        match chosen {
            Move::Write => self.write_lines(log, 4),
            Move::WriteMany => self.write_lines(log, 150),
            Move::WritePart => self.write_part(log),
            Move::NewLog if self.storm.logs.len() < MOST_LOGS => {
                let source = self.random.place(self.scene.settings.sources.len());
                self.storm.add_log(&self.scene, source);
                self.write_lines(self.storm.logs.len() - 1, 3);
            }
            Move::Rotate => self.rotate(log, false),
            Move::RotateLate => self.rotate(log, true),
            Move::LateWrite => self.write_late(),
            Move::CopyTruncate => self.begin_copytruncate(log),
            Move::Truncate => self.truncate(log),
            Move::TruncateAndRewrite => {
                self.truncate(log);
                self.write_lines(log, 40);
            }
            Move::DeleteAndRecreate => {
                self.delete(log);
                self.write_lines(log, 3);
            }
            Move::ReplaceByRename => self.replace_by_rename(log),
            Move::RemoveRotated => self.remove_rotated(),
            Move::Compress => self.begin_compressing(false),
            Move::CompressSlowly => self.begin_compressing(true),
            Move::Deny => self.deny_or_allow(log),
            Move::Crash => self.crash(),
            Move::Drain => {
                let within = self.random.between(1, 30);
                return self.drain(Duration::from_secs(within));
            }
            Move::Reload => return self.reload(),
            Move::PolarMood => self.polar_turns(),
            Move::PolarWell => self.polar.mood = crate::polar::Mood::Well,
            Move::RateLimit => self.polar.requests_per_minute = *self.random.pick(&[10, 60, 500]),
            Move::DiskFault => self.disk_fails(),
            Move::DiskWell => self.faults = crate::simulation::DiskFaults::default(),
            Move::ClockJump => self.host_clock_jumps(),
            Move::LoseCheckpoint if self.scene.loses_checkpoints => self.lose_checkpoint(),
            Move::Pause => {
                let pause = self.random.between(1, 120) * 1_000_000_000;
                let waiting = self.take_events(|event| matches!(event, Event::Move));
                for (time, event) in waiting {
                    self.at(time + pause, event);
                }
            }
            Move::NewLog | Move::LoseCheckpoint => {}
        }
        Ok(())
    }

    /// `mv`, up the generations. The writer follows at once, or goes on writing to the renamed file.
    fn rotate(&mut self, log: usize, is_late: bool) {
        let path = self.storm.logs[log].path.clone();
        if self.disk.at(&path).is_none() {
            return;
        }
        if !is_late && self.random.chance(80) {
            self.finish_rest(log);
        }
        let generations = self.storm.generations;
        for suffix in ["", COMPRESSED] {
            let last = format!("{path}.{generations}{suffix}");
            if self.disk.at(&last).is_some() {
                self.disk.unlink(&last);
            }
            for generation in (1..generations).rev() {
                let from = format!("{path}.{generation}{suffix}");
                if self.disk.at(&from).is_some() {
                    self.disk.rename(&from, &format!("{path}.{}{suffix}", generation + 1));
                }
            }
        }
        self.disk.rename(&path, &format!("{path}.1"));
        if self.scene.wraps {
            // A late one writes to the renamed file until it is told, and nobody writes to a new one before.
            if !is_late {
                self.reopen(log);
            }
        } else {
            let none = Writer { node: None, rest: None };
            let writer = std::mem::replace(&mut self.storm.logs[log].writer, none);
            if is_late {
                self.storm.late.push(writer);
            } else {
                self.close(writer);
            }
        }
        self.excuse_what_is_gone();
        if self.random.chance(50) {
            self.write_lines(log, 3);
        }
        self.nudge(log);
    }

    /// `cp log log.1`, and a while later `truncate log`.
    fn begin_copytruncate(&mut self, log: usize) {
        let path = self.storm.logs[log].path.clone();
        let Some(node) = self.disk.at(&path) else { return };
        if self.random.chance(70) {
            self.finish_rest(log);
        }
        self.storm.copies += 1;
        let copy = if self.scene.copies_match {
            format!("{}-copy{}.log", path.trim_end_matches(".log"), self.storm.copies)
        } else {
            // No two of them have names that follow each other, as generations have.
            format!("{path}.{}", 100 + 2 * self.storm.copies)
        };
        if let Some(rest) = &self.storm.logs[log].writer.rest {
            self.oracle.cut(rest.line);
        }
        let copied = self.disk.copy(node, &copy, self.scene.copies_reuse_inodes());
        self.copied(copied);
        let wait = if self.random.chance(50) { 0 } else { self.random.delay_nanos(10, 2_000) };
        self.after(wait, Event::Truncate { log, node });
        self.nudge(log);
    }

    pub fn copied(&mut self, copy: NodeId) {
        let content = self.disk.node(copy).content;
        for placed in self.disk.content(content).lines.clone() {
            self.oracle.stands(placed.line, content, placed.start);
        }
    }

    pub fn finish_copytruncate(&mut self, log: usize, node: NodeId) {
        if self.floors.is_unsure(self.disk.node(node).content) {
            return;
        }
        self.note(format!("truncate {}", self.storm.logs[log].path));
        self.disk.truncate(node);
        self.excuse_what_is_gone();
        self.nudge(log);
    }

    fn truncate(&mut self, log: usize) {
        let Some(node) = self.disk.at(&self.storm.logs[log].path) else { return };
        self.disk.truncate(node);
        self.excuse_what_is_gone();
        self.nudge(log);
    }

    fn delete(&mut self, log: usize) {
        let path = self.storm.logs[log].path.clone();
        if self.disk.at(&path).is_none() {
            return;
        }
        let writer = std::mem::replace(&mut self.storm.logs[log].writer, Writer { node: None, rest: None });
        self.disk.unlink(&path);
        self.close(writer);
        self.excuse_what_is_gone();
        self.nudge(log);
    }

    /// As editors do: a new file with the same content takes the name.
    fn replace_by_rename(&mut self, log: usize) {
        let path = self.storm.logs[log].path.clone();
        let Some(node) = self.disk.at(&path) else { return };
        self.finish_rest(log);
        let writer = std::mem::replace(&mut self.storm.logs[log].writer, Writer { node: None, rest: None });
        let copy = self.disk.copy(node, &format!("{path}~"), self.scene.copies_reuse_inodes());
        self.copied(copy);
        self.disk.rename(&format!("{path}~"), &path);
        self.close(writer);
        self.excuse_what_is_gone();
        self.nudge(log);
    }

    fn remove_rotated(&mut self) {
        let is_sure = |node: NodeId| !self.floors.is_unsure(self.disk.node(node).content);
        let rotated: Vec<String> = self
            .disk
            .names()
            .filter(|(path, node)| is_rotated(path) && is_sure(*node))
            .map(|(path, _)| path.to_owned())
            .collect();
        if rotated.is_empty() {
            return;
        }
        let path = self.random.pick(&rotated).clone();
        self.note(format!("remove {path}"));
        self.disk.unlink(&path);
        self.excuse_what_is_gone();
    }

    fn deny_or_allow(&mut self, log: usize) {
        if let Some(node) = self.disk.at(&self.storm.logs[log].path) {
            let node = self.disk.node_mut(node);
            node.denied = !node.denied;
        }
    }

    /// A new edition of the rules is put in force; a daemon that is down will find it.
    fn reload(&mut self) -> crate::invariants::Held {
        self.storm.edition += 1;
        if self.storm.wants_extra_since.is_none() && self.random.chance(30) {
            self.storm.wants_extra_since = Some(self.clock);
        }
        let wants_extra = self.storm.wants_extra_since.is_some();
        let edited = crate::scene::edited(&self.settings, self.storm.edition, wants_extra);
        self.reload_with(edited)
    }
}

/// Whether logrotate made it.
pub fn is_rotated(path: &str) -> bool {
    path.contains(".log.") || path.contains("-copy")
}
