//! Where the reading of a new file starts: at its beginning, or where `read_from = "end"` set its floor.
//!
//! A floor belongs to what stood there, not to the inode: a copy of such a file, found when nothing else is known
//! of it any more, has the same floor.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::candidate::Candidate;
use super::evidence::Head;
use super::resolve::Facts;
use super::{CandidateKey, FloorState, SEARCH_LOOKS, Tail, guard_at};
use crate::agent::border::Sighting;
use crate::agent::checkpoint::FloorRecord;
use crate::model::{Guard, Offset};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Start {
    At {
        position: Offset,
        guard: Guard,
        /// It stands in the middle of a line.
        inside: bool,
    },
    /// What stands before these places tells.
    Ask(BTreeSet<Offset>),
}

impl Start {
    const BEGINNING: Self = Self::At { position: Offset::ZERO, guard: Guard::NOTHING, inside: false };
}

impl Tail {
    /// Floors of files that are gone before anybody knew how they begin: other files get their inodes.
    pub(super) fn forget_unseen_floors(&mut self, seen: &BTreeMap<CandidateKey, Vec<&Sighting>>) {
        let mut unseen = BTreeMap::new();
        for source in self.sources.iter().filter(|source| source.floors == FloorState::Set) {
            let Some(records) = self.floors.sources.get_mut(&*source.id) else { continue };
            records.retain(|record| {
                let key = (Arc::clone(&source.id), record.file);
                if record.print.is_some() || seen.contains_key(&key) {
                    return true;
                }
                // One look may miss a file that is being renamed.
                let looks = self.unseen_floors.get(&key).copied().unwrap_or(0) + 1;
                let is_gone = looks > SEARCH_LOOKS;
                self.floors_dirty |= is_gone;
                unseen.insert(key, looks);
                !is_gone
            });
        }
        self.unseen_floors = unseen;
    }

    /// Where to start with the candidate, which is a new file.
    pub(super) fn start_of(
        &mut self,
        key: &CandidateKey,
        candidate: &mut Candidate,
        facts: &Facts<'_>,
    ) -> Start {
        let Some(records) = self.floors.sources.get_mut(&*key.0) else { return Start::BEGINNING };
        let print = facts.print.to_string();
        let at_floor = |floor: Offset| {
            let index = facts.at.iter().position(|offset| *offset == floor)?;
            Some(guard_at(&facts.asked.guards, index))
        };
        if let Some(own) = candidate.floor.clone() {
            let Some(told) = at_floor(own.floor) else { return Start::Ask([own.floor].into()) };
            let record = records.iter_mut().find(|record| **record == own);
            match (told, record) {
                (Some((guard, byte)), Some(record)) if record.is_of(&print, guard) => {
                    if record.print.is_none() {
                        record.print = Some(print);
                        record.guard = Some(guard);
                        self.floors_dirty = true;
                    }
                    return start_at(&own, guard, byte);
                }
                (None, Some(record)) if record.print.is_none() => {
                    // Shorter than its floor: the file was written anew, and all of it is ours.
                    records.retain(|record| *record != own);
                    self.floors_dirty = true;
                }
                _ => {}
            }
            candidate.floor = None;
        }
        // A floor within the first line, which many files begin with, says nothing of other inodes.
        let first = Head::read(&facts.asked.head).marks.first().map_or(Offset::ZERO, |(first, _)| *first);
        let alike = || {
            records
                .iter()
                .filter(|record| record.floor > first && record.print.as_deref() == Some(print.as_str()))
        };
        let unasked: BTreeSet<Offset> =
            alike().map(|record| record.floor).filter(|floor| at_floor(*floor).is_none()).collect();
        if !unasked.is_empty() {
            return Start::Ask(unasked);
        }
        let found = alike().find_map(|record| {
            let (guard, byte) = at_floor(record.floor)??;
            (record.guard == Some(guard)).then(|| start_at(record, guard, byte))
        });
        found.unwrap_or(Start::BEGINNING)
    }
}

fn start_at(record: &FloorRecord, guard: Guard, byte: Option<u8>) -> Start {
    Start::At { position: record.floor, guard, inside: byte.is_some_and(|byte| byte != b'\n') }
}
