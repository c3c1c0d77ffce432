//! Files that were rotated away before Floe first looked, and their compressed copies.
//!
//! A stranger is known by its inode. With the next rotation it may be compressed, and then another inode says the same;
//! so what a stranger says is learned while it stands there as it was written. Strangers that were compressed when
//! they were first seen are left alone: nobody compresses them again, and there may be years of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::evidence::is_strong;
use super::resolve::Facts;
use super::{CandidateKey, MOST_REMEMBERED, Tail};
use crate::agent::checkpoint::FloorRecord;
use crate::model::{Compression, Offset};

/// Whether a file is what a compressor made of a stranger.
pub(super) enum CopyOfStranger {
    No,
    Yes,
    /// What stands before these places tells.
    Ask(BTreeSet<Offset>),
    /// It agrees so far, and ends before it could tell: it is still being written.
    Grows,
}

impl Tail {
    /// Whether a stranger is to be asked what it says.
    pub(super) fn is_to_learn(&self, key: &CandidateKey, path: &str) -> bool {
        let records = self.stranger_records.get(&key.0);
        let is_known = records.is_some_and(|records| {
            records.len() >= MOST_REMEMBERED || records.iter().any(|record| record.file == key.1)
        });
        Compression::of_path(path).is_none() && !is_known
    }

    pub(super) fn learn_stranger(&mut self, key: &CandidateKey, facts: &Facts<'_>) {
        let size = Offset(facts.asked.size);
        let guard = facts.told.get(&size).copied().flatten();
        let path = &self.candidates[key].path;
        if guard.is_none() || !self.is_to_learn(key, path) {
            return;
        }
        let mut record = FloorRecord::new(key.1, size);
        record.print = Some(facts.print.to_string());
        record.guard = guard;
        record.marks = facts.head.marks_up_to(size).to_vec();
        self.stranger_records.entry(Arc::clone(&key.0)).or_default().push(record);
        self.changes += 1;
    }

    /// The candidate is none of ours; it is looked at again only where something is lost.
    pub(super) fn leave_to_strangers(&mut self, key: &CandidateKey) {
        self.candidates.remove(key);
        let is_new = self.strangers.entry(Arc::clone(&key.0)).or_default().insert(key.1);
        self.changes += u64::from(is_new);
    }

    pub(super) fn copy_of_stranger(&self, key: &CandidateKey, facts: &Facts<'_>) -> CopyOfStranger {
        let records = self.stranger_records.get(&key.0).filter(|_| self.candidates[key].is_compressed());
        let print = facts.print.to_string();
        let mut unasked = BTreeSet::new();
        let mut grows = false;
        for record in records.into_iter().flatten() {
            let shown = facts.head.marks_up_to(record.floor);
            if record.print.as_deref() != Some(&*print) || !record.marks.starts_with(shown) {
                continue;
            }
            let end = record.floor;
            let places = [end, end.plus(1)];
            if !places.iter().all(|at| facts.told.contains_key(at)) {
                unasked.extend(places);
                continue;
            }
            // Where other files begin so, only one that says no more than the stranger is its copy.
            let ends_there = facts.told[&end.plus(1)].is_none();
            match facts.told[&end] {
                None => grows = true,
                guard if guard == record.guard && (is_strong(&record.marks) || ends_there) => {
                    return CopyOfStranger::Yes;
                }
                Some(_) => {}
            }
        }
        match grows {
            _ if !unasked.is_empty() => CopyOfStranger::Ask(unasked),
            true => CopyOfStranger::Grows,
            false => CopyOfStranger::No,
        }
    }
}
