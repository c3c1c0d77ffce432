//! Where the reading of a new file starts: at its beginning, or where `read_from = "end"` set its floor.
//!
//! A floor belongs to what stood there, not to the inode: a copy of such a file, found when nothing else is known
//! of it any more, has the same floor.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::candidate::Candidate;
use super::evidence::is_strong;
use super::resolve::Facts;
use super::seen::Seen;
use super::{CandidateKey, FloorState, Outbox, SEARCH_LOOKS, Tail};
use crate::agent::books::{Books, Standing};
use crate::agent::checkpoint::FloorRecord;
use crate::model::{Guard, Offset, StreamId};

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
    pub(super) fn forget_unseen_floors(&mut self, seen: &Seen<'_>) {
        let mut unseen = BTreeMap::new();
        for source in self.sources.iter().filter(|source| source.floors == FloorState::Set) {
            let Some(records) = self.floors.sources.get_mut(&*source.id) else { continue };
            records.retain(|record| {
                let key = (Arc::clone(&source.id), record.file);
                if record.print.is_some() || seen.get(&key).is_some() {
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

    /// The floor of the candidate's very file, where that is sure. A stream that was not read so far is not it.
    pub(super) fn own_floor(&self, key: &CandidateKey, candidate: &Candidate, facts: &Facts<'_>) -> Offset {
        let own = candidate.floor.as_ref().filter(|own| {
            let records = self.floors.sources.get(&*key.0);
            let told = facts.told.get(&own.floor).copied().flatten();
            records.is_some_and(|records| records.contains(own))
                && told.is_some_and(|before| self.is_own(key, own, before, facts))
        });
        own.map_or(Offset::ZERO, |own| own.floor)
    }

    /// Whether a file with the inode of a floor is still the one whose floor it is.
    fn is_own(&self, key: &CandidateKey, record: &FloorRecord, before: Guard, facts: &Facts<'_>) -> bool {
        if record.print.is_none() {
            return true;
        }
        let is_alike = record.is_of(&facts.print.to_string(), before)
            && record.marks == facts.head.marks_up_to(record.floor);
        // Else its stream is known, and this is not that stream.
        let may_be_weak =
            || self.with_print(&key.0, facts.print).all(|(_, stream)| stream.start != record.floor);
        is_alike && (is_telling(record, facts) || may_be_weak())
    }

    /// Where to start with the candidate, which is a new file, or a stream that is known and of which nothing was read.
    pub(super) fn start_of(
        &mut self,
        key: &CandidateKey,
        candidate: &mut Candidate,
        is_known: bool,
        facts: &Facts<'_>,
    ) -> Start {
        let begins_like_none = self.next_ordinal(&key.0, facts.print) == u32::from(is_known);
        if !self.floors.sources.contains_key(&*key.0) {
            return Start::BEGINNING;
        }
        let print = facts.print.to_string();
        let at_floor = |floor: Offset| {
            let index = facts.at.iter().position(|offset| *offset == floor)?;
            Some(facts.asked.guards.get(index).copied().flatten())
        };
        if let Some(own) = candidate.floor.clone() {
            let Some(told) = at_floor(own.floor) else { return Start::Ask([own.floor].into()) };
            let is_own = told.is_some_and(|(before, _)| self.is_own(key, &own, before, facts));
            let records = self.floors.sources.get_mut(&*key.0).expect("the source has floors");
            let record = records.iter_mut().find(|record| **record == *own);
            match (told, record) {
                (Some((guard, byte)), Some(record)) if is_own => {
                    if record.print.is_none() {
                        record.print = Some(print.clone());
                        record.guard = Some(guard);
                        record.marks = facts.head.marks_up_to(record.floor).to_vec();
                        self.floors_dirty = true;
                    }
                    return start_at(&own, guard, byte);
                }
                (None, Some(record)) if record.print.is_none() => {
                    // Shorter than its floor: the file was written anew, and all of it is ours.
                    records.retain(|record| *record != *own);
                    self.floors_dirty = true;
                }
                _ => {}
            }
            candidate.floor = None;
        }
        // What stands before a floor near the end of the first line may stand in many files: then the first line
        // must be one that no file is known to begin with.
        let records = &self.floors.sources[&*key.0];
        let alike = || {
            let of_print = records.iter().filter(|record| record.print.as_deref() == Some(print.as_str()));
            of_print
                .filter(|record| record.marks == facts.head.marks_up_to(record.floor))
                .filter(|record| is_telling(record, facts) || begins_like_none)
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

    /// The candidate is a lost stream. Where nothing of that was read here (others have numbered it, and how far the
    /// daemon has read it is lost with its checkpoint), its floor holds as for a new file: what `read_from = "end"` skipped
    /// stays skipped. Returns false where another question has to tell first.
    pub(super) fn starts_at_its_floor(
        &mut self,
        key: &CandidateKey,
        id: StreamId,
        facts: &Facts<'_>,
        books: &mut Books,
        out: &mut Outbox,
    ) -> bool {
        if self.streams[&id].position > Offset::ZERO {
            return true;
        }
        let mut candidate = self.candidates.remove(key).expect("a candidate that is found is known");
        let start = self.start_of(key, &mut candidate, true, facts);
        self.candidates.insert(key.clone(), candidate);
        match start {
            Start::Ask(at) => {
                self.ask(key, at.into_iter().chain(facts.at.iter().copied()).collect(), None, out);
                false
            }
            Start::At { position, guard, inside } => {
                self.begin_at(id, position, guard, inside, books);
                true
            }
        }
    }

    /// Nothing of the stream was read: its reading begins there.
    fn begin_at(&mut self, id: StreamId, position: Offset, guard: Guard, inside: bool, books: &mut Books) {
        if position == Offset::ZERO {
            return;
        }
        let stream = self.streams.get_mut(&id).expect("a stream that begins is known");
        (stream.start, stream.position, stream.guard) = (position, position, guard);
        books.close(id);
        books.open(id, &stream.source, Standing { frontier: position, guard, carry: stream.carry });
        if inside {
            stream.enter_foreign_line();
        }
    }
}

/// Whether what stands before the floor tells the file from others that begin with the same line.
fn is_telling(record: &FloorRecord, facts: &Facts<'_>) -> bool {
    let first = facts.head.marks.first().map_or(Offset::ZERO, |(first, _)| *first);
    is_strong(&record.marks) || record.floor >= first.plus(Guard::REACH as u64)
}

fn start_at(record: &FloorRecord, guard: Guard, byte: Option<u8>) -> Start {
    Start::At { position: record.floor, guard, inside: byte.is_some_and(|byte| byte != b'\n') }
}
