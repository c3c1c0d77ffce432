//! Where `read_from = "end"` began, told from the first look alone.
//!
//! A floor counts from when it is durable. A daemon that dies before begins anew, and what was written in
//! between is skipped as well. Until the daemon has learned and saved the print of a file with a floor, nobody
//! could tell that file from one that took its place, so the storm leaves such a file alone. Where the floor stands
//! near the beginning of a second line, and other files begin with the same first one, the print is not enough: it
//! takes what a checkpoint remembers of the lines behind.

use std::collections::{BTreeMap, BTreeSet};

use floe::agent::checkpoint::{Checkpoint, Floors, unseal};
use floe::config::settings::ReadFrom;
use floe::model::Guard;

use crate::disk::{ContentId, LineId};
use crate::simulation::Simulation;

#[derive(Debug, Default)]
pub struct FloorsBegun {
    /// What the present daemon saw at its first look, by source id.
    seen: BTreeMap<String, BTreeMap<ContentId, u64>>,
    durable: BTreeMap<ContentId, u64>,
    /// Their prints are saved, which tell too little.
    printed: BTreeSet<ContentId>,
    learned: BTreeSet<ContentId>,
}

impl FloorsBegun {
    /// Whether the content has a floor that could not be told from another file's yet.
    pub fn is_unsure(&self, content: ContentId) -> bool {
        let has_floor = self.durable.contains_key(&content)
            || self.seen.values().any(|sizes| sizes.contains_key(&content));
        has_floor && !self.learned.contains(&content)
    }
}

impl Simulation {
    /// The daemon looks for the first time.
    pub fn floors_begin(&mut self) {
        let process = self.process.as_ref().expect("a look belongs to a process");
        self.floors.seen.clear();
        for source in &self.settings.sources {
            if source.read_from == ReadFrom::Beginning || process.floors.sources.contains_key(&source.id) {
                continue;
            }
            let sizes = self
                .disk
                .names()
                .filter(|(path, _)| source.files.captures(path).is_some())
                .map(|(_, node)| (self.disk.node(node).content, self.disk.size(node)))
                .collect();
            self.floors.seen.insert(source.id.clone(), sizes);
        }
    }

    pub fn floors_are_durable(&mut self, bytes: &[u8]) {
        self.state.floors = Some(bytes.to_vec());
        let floors: Floors = unseal(bytes).expect("the agent saves floors");
        for source in floors.sources.keys() {
            for (content, floor) in self.floors.seen.remove(source).unwrap_or_default() {
                self.floors.durable.insert(content, floor);
                let below: Vec<LineId> = self
                    .disk
                    .content(content)
                    .lines
                    .iter()
                    .filter(|placed| placed.start < floor)
                    .map(|placed| placed.line)
                    .collect();
                for line in below {
                    self.oracle.skip(line);
                }
            }
        }
        let printed = floors.sources.values().flatten().filter(|record| record.print.is_some());
        for record in printed {
            // The beginning of the second line may stand in many files that begin alike.
            let first = record.marks.first().map_or(0, |(first, _)| first.0);
            let is_telling = record.marks.len() != 1 || record.floor.0 >= first + Guard::REACH as u64;
            let nodes = self.disk.names().map(|(_, node)| self.disk.node(node));
            let contents = nodes.filter(|node| node.key == record.file).map(|node| node.content);
            let known = if is_telling { &mut self.floors.learned } else { &mut self.floors.printed };
            known.extend(contents);
        }
    }

    /// What a durable checkpoint remembers behind the first line of a file tells it from others, whatever its floor.
    pub fn checkpoint_is_durable(&mut self, bytes: &[u8]) {
        if self.floors.durable.is_empty() || self.backfill_runs() {
            return;
        }
        let Ok(checkpoint) = Checkpoint::read(bytes) else { return };
        for record in checkpoint.files.iter().filter(|record| record.marks.len() > 1) {
            let nodes = self.disk.names().map(|(_, node)| self.disk.node(node));
            let contents = nodes.filter(|node| Some(node.key) == record.file).map(|node| node.content);
            let printed = &self.floors.printed;
            self.floors.learned.extend(contents.filter(|content| printed.contains(content)));
        }
    }

    /// A line that was begun below the floor is not ours.
    pub fn skip_below_floor(&mut self, line: LineId, content: ContentId, start: u64) {
        if self.floors.durable.get(&content).is_some_and(|floor| start < *floor) {
            self.oracle.skip(line);
        }
    }
}
