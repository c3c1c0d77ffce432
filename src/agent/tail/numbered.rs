//! Files that others have numbered: a daemon's are told to backfills, and a backfill's to the daemon and other backfills.
//!
//! They are looked up when a file turns up that begins like one of them, and not before: there may be many, and of most
//! nobody will ever hear again.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::candidate::Candidate;
use super::stream::{Registered, Stream};
use super::{Outbox, Tail};
use crate::agent::books::Books;
use crate::agent::border::{Now, SaveId};
use crate::agent::checkpoint::{Checkpoint, FileRecord};
use crate::agent::known::unread;
use crate::mapping::identity;
use crate::model::{Print, StreamId};

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
        all.learn(by_others);
        all
    }

    fn learn(&mut self, by_others: Checkpoint) {
        for record in by_others.files {
            let next = record.ordinal + 1;
            let Some(of) = self.of(&record.source, &record.print) else { continue };
            of.files.push(record);
            of.next = of.next.max(next);
        }
        for record in by_others.ordinals {
            if let Some(of) = self.of(&record.source, &record.print) {
                of.next = of.next.max(record.next);
            }
        }
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
                let id = self.restore_file(record, books, now);
                let stream = id.and_then(|id| self.streams.get_mut(&id));
                stream.expect("its print is one").is_recalled = true;
            }
        }
        let known = self.ordinals.get(&of_print).copied().unwrap_or(0);
        if next > known && self.next_ordinal(source, print) < next {
            self.ordinals.insert(of_print, next);
        }
        self.changes += 1;
    }

    /// Whether this save gives ordinals: it names files for the first time.
    pub(in crate::agent) fn gives_ordinals_by(&self, save: u64) -> bool {
        self.streams.values().any(|stream| stream.is_new && stream.registered == Registered::With(save))
    }

    /// Others have given ordinals, and the save that was to give some was not done. Files that begin like theirs, and are
    /// not registered, may be theirs, or need another ordinal. Nothing of such a file was read.
    pub(in crate::agent) fn outnumbered(
        &mut self,
        save: SaveId,
        numbered: Checkpoint,
        books: &mut Books,
        out: &mut Outbox,
    ) {
        self.numbered.learn(numbered);
        for stream in self.streams.values_mut().filter(|it| it.registered == Registered::With(save.0)) {
            stream.registered = Registered::No;
        }
        self.unregistered = true;
        self.spent_saved(save.0, false, out);
        let is_concerned = |stream: &Stream| {
            stream.is_new
                && stream.registered == Registered::No
                && self.numbered.0.contains_key(&(Arc::clone(&stream.source), stream.print))
        };
        let streams = self.streams.iter();
        let concerned: Vec<StreamId> =
            streams.filter(|(_, stream)| is_concerned(stream)).map(|(id, _)| *id).collect();
        concerned.into_iter().for_each(|id| self.number_anew(id, books, out));
    }

    fn number_anew(&mut self, id: StreamId, books: &mut Books, out: &mut Outbox) {
        let Some(file) = self.detach(id, out) else {
            // Its file is gone: all that matters is that nobody else has its ordinal.
            let stream = &self.streams[&id];
            let of_print = (Arc::clone(&stream.source), stream.print);
            let next = self.next_ordinal(&of_print.0, of_print.1).max(self.numbered.0[&of_print].next);
            let key = identity::stream_key(&self.settings.instance, &of_print.0, of_print.1, next);
            let stream = self.streams.get_mut(&id).expect("the stream was just seen");
            (stream.ordinal, stream.key) = (next, key);
            return;
        };
        self.stop_reading(id);
        let stream = self.take_out(id, books);
        let candidate = Candidate {
            modified: stream.modified,
            initial: stream.fresh_from > 0,
            floor: self.floor_of(&stream.source, file).map(Box::new),
            ..Candidate::new(stream.path, stream.captures, stream.size, stream.last_growth)
        };
        self.candidates.insert((stream.source, file), Box::new(candidate));
        self.resolve_wanted = true;
    }
}
