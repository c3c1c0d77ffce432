//! Files that others have numbered: a daemon's are told to backfills, and a backfill's to the daemon and other backfills.
//!
//! They are looked up when a file turns up that begins like one of them, and not before: there may be many, and of most
//! nobody will ever hear again.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Tail;
use crate::agent::books::Books;
use crate::agent::border::Now;
use crate::agent::checkpoint::{Checkpoint, FileRecord};
use crate::agent::known::unread;
use crate::model::Print;

/// By source and print.
#[derive(Debug, Default)]
pub(super) struct Numbered(BTreeMap<(Arc<str>, Print), OfPrint>);

#[derive(Debug, Default)]
struct OfPrint {
    files: Vec<FileRecord>,
    next: u32,
}

impl Numbered {
    pub(super) fn new(by_others: Checkpoint) -> Self {
        let mut all = Self::default();
        for record in by_others.files {
            let next = record.ordinal + 1;
            let Some(of) = all.of(&record.source, &record.print) else { continue };
            of.files.push(record);
            of.next = of.next.max(next);
        }
        for record in by_others.ordinals {
            if let Some(of) = all.of(&record.source, &record.print) {
                of.next = of.next.max(record.next);
            }
        }
        all
    }

    fn of(&mut self, source: &str, print: &str) -> Option<&mut OfPrint> {
        Some(self.0.entry((Arc::from(source), Print::from_hex(print)?)).or_default())
    }
}

impl Tail {
    /// A file of the source begins so: what others have numbered of its like is known from now on, by its content alone.
    pub(super) fn recall(&mut self, source: &Arc<str>, print: Print, now: Now, books: &mut Books) {
        let of_print = (Arc::clone(source), print);
        let Some(OfPrint { files, next }) = self.numbered.0.remove(&of_print) else { return };
        for record in files {
            if self.with_print(source, print).all(|(_, stream)| stream.ordinal != record.ordinal) {
                // Nothing of it is missing.
                let record = FileRecord { file: None, size: 0, given_up: true, ..unread(&record) };
                self.restore_file(record, books, now);
            }
        }
        let known = self.ordinals.get(&of_print).copied().unwrap_or(0);
        if next > known && self.next_ordinal(source, print) < next {
            self.ordinals.insert(of_print, next);
        }
        self.changes += 1;
    }
}
