//! Segments of spools: what was billed of them is removed.
//!
//! The state folder keeps two checkpoints, and may fall back to the older one. So a segment goes when both say that
//! all of it is settled: else what the older one lacks would seem to be missed. The newest segment of a source stays:
//! it may grow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::stream::{Place, Stream};
use super::{Outbox, Tail, index_of};
use crate::agent::books::Books;
use crate::agent::border::{DiskFault, Effect, Now};
use crate::agent::notice::NoticeCode;
use crate::agent::words;
use crate::config::settings::Input;
use crate::model::StreamId;

/// How many checkpoints say that a segment is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spent {
    No,
    /// The one that is being saved; `again`: and the one before it.
    With {
        save: u64,
        again: bool,
    },
    Once,
    /// Both; it is being removed, or cannot be.
    Both,
}

impl Tail {
    /// Whether the files of a source are segments of its spool.
    pub(super) fn is_spooled(&self, source: &str) -> bool {
        index_of(&self.sources, source)
            .is_some_and(|index| self.settings.sources[index].input != Input::Files)
    }

    /// A save begins: it will say of these segments that they are settled.
    pub(in crate::agent) fn mark_spent(&mut self, save: u64, books: &Books) {
        let newest = self.newest_segments();
        for (id, stream) in &mut self.streams {
            let Some(newest) = newest.get(&stream.source) else { continue };
            // Open or not: where few files may be open, most that are settled are closed, and nothing changes any more
            // that another save would be for.
            let stands = matches!(stream.place, Place::At { absent_since: None, .. });
            let is_over = stands && stream.path < *newest && books.frontier(*id).0 == stream.size;
            stream.spent = match stream.spent {
                Spent::Both => Spent::Both,
                _ if !is_over => Spent::No,
                Spent::Once => Spent::With { save, again: true },
                Spent::No | Spent::With { .. } => Spent::With { save, again: false },
            };
        }
    }

    /// A save has ended: segments that both checkpoints call settled go.
    pub(super) fn spent_saved(&mut self, save: u64, is_saved: bool, out: &mut Outbox) {
        for (id, stream) in &mut self.streams {
            let Spent::With { save: with, again } = stream.spent else { continue };
            if with != save {
                continue;
            }
            stream.spent = match (is_saved, again) {
                (true, true) => Spent::Both,
                (true, false) | (false, true) => Spent::Once,
                (false, false) => Spent::No,
            };
            match (stream.spent, stream.file()) {
                (Spent::Both, Some(file)) => {
                    let (path, size) = (stream.path.to_string(), stream.size);
                    out.push(Effect::Discard { stream: *id, path, file, size });
                }
                // The next save says it again.
                (Spent::Once, _) => self.changes += 1,
                _ => {}
            }
        }
    }

    /// A segment was removed, or not.
    pub(in crate::agent) fn discarded(
        &mut self,
        id: StreamId,
        result: &Result<(), DiskFault>,
        now: Now,
        books: &mut Books,
        out: &mut Outbox,
    ) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        match result {
            Ok(()) => {
                self.detach(id, out);
                self.stop_reading(id);
                self.forget(id, books);
            }
            Err(DiskFault::Gone) => {
                // Another size, or another file: reading tells.
                stream.spent = Spent::No;
                self.make_ready(id);
                self.look_soon(now);
            }
            Err(fault) => out.say_with_hint(
                NoticeCode::SegmentKept,
                format!("cannot remove {:?}, which is billed: {}", stream.path, words(fault)),
                "it is never billed again; give Floe's user the right to write the state folder, and restart",
            ),
        }
    }

    /// Segments that are gone and owe nothing: there are too many to remember.
    pub(super) fn forget_spent(&mut self, books: &mut Books) {
        let is_spent = |id: &StreamId, stream: &Stream| match stream.place {
            Place::Nowhere { given_up, .. } => {
                self.is_spooled(&stream.source)
                    && books.is_settled(*id)
                    && (given_up || stream.position.0 >= stream.size)
            }
            _ => false,
        };
        let streams = self.streams.iter();
        let spent: Vec<StreamId> =
            streams.filter(|(id, stream)| is_spent(id, stream)).map(|(id, _)| *id).collect();
        spent.into_iter().for_each(|id| self.forget(id, books));
    }

    /// Whether all of a source is settled. `last`: the file that was written last, and its size.
    pub(in crate::agent) fn is_settled(
        &self,
        source: &str,
        last: Option<&(String, u64)>,
        books: &Books,
    ) -> bool {
        let of_source = || self.streams.iter().filter(|(_, stream)| &*stream.source == source);
        let reaches = |(path, size): &(String, u64)| {
            of_source().any(|(id, stream)| *stream.path == **path && books.frontier(*id).0 >= *size)
        };
        self.first_look_done
            && self.candidates.keys().all(|(of, _)| &**of != source)
            && of_source().all(|(id, stream)| books.frontier(*id).0 >= stream.size)
            && last.is_none_or(reaches)
    }

    fn newest_segments(&self) -> BTreeMap<Arc<str>, Arc<str>> {
        let spooled: BTreeSet<&str> = self
            .settings
            .sources
            .iter()
            .filter(|source| source.input != Input::Files)
            .map(|source| source.id.as_str())
            .collect();
        let mut newest: BTreeMap<Arc<str>, Arc<str>> = BTreeMap::new();
        for stream in self.streams.values().filter(|stream| spooled.contains(&*stream.source)) {
            let path = newest.entry(Arc::clone(&stream.source)).or_insert_with(|| Arc::clone(&stream.path));
            if *path < stream.path {
                *path = Arc::clone(&stream.path);
            }
        }
        newest
    }
}
