//! Compressed files that were read to their end, by a process before this one.
//!
//! To make sure of such a file it would have to be decompressed as a whole, and there may be months of them. So while
//! the file system says that it has not changed, it is believed, and not even opened.

use std::sync::Arc;

use super::evidence::Judgement;
use super::follow::path_among;
use super::look::modified_of;
use super::stream::{Handle, Place, Stream};
use super::succession::Heir;
use super::{Outbox, Tail};
use crate::agent::border::Sighting;
use crate::model::{Compression, FileKey, Moment, StreamId};

impl Tail {
    /// Whether the file where a stream is expected is one that was read to its end and has not changed.
    pub(super) fn is_archived(&self, id: StreamId, sightings: &[&Sighting]) -> bool {
        let stream = &self.streams[&id];
        let path = path_among(sightings, &stream.path);
        // The file after it may have to go on with a line.
        let is_awaited = self.is_wrapped(stream) && matches!(stream.heir, Heir::Open | Heir::Is(_));
        stream.is_read_archive()
            && Compression::of_path(&path).is_some()
            && stream.modified == modified_of(sightings)
            && !is_awaited
    }

    pub(super) fn archive(&mut self, id: StreamId, file: FileKey, sightings: &[&Sighting], out: &mut Outbox) {
        let path = path_among(sightings, &self.streams[&id].path);
        self.rename(id, path, out);
        let stream = self.streams.get_mut(&id).expect("a stream that is archived is known");
        stream.place = Place::At { file, handle: Handle::Closed, absent_since: None };
        stream.retry_at = Moment::NEVER;
        let (source, path) = (Arc::clone(&stream.source), Arc::clone(&stream.path));
        self.by_file.insert((Arc::clone(&source), file), id);
        self.by_path.insert((path, id));
        self.wake_held(id);
    }

    /// Takes in that an archived stream's file was seen again. False where it is none.
    pub(super) fn stays_archived(&mut self, id: StreamId, sightings: &[&Sighting], out: &mut Outbox) -> bool {
        let stream = &self.streams[&id];
        let Place::At { file, .. } = stream.place else { return false };
        if !stream.is_archived() {
            return false;
        }
        if self.is_archived(id, sightings) {
            let path = path_among(sightings, &stream.path);
            self.rename(id, path, out);
        } else {
            self.let_go(id, out);
            self.streams.get_mut(&id).expect("it was just seen").retry_at = Moment::START;
            self.verify(id, file, sightings, out);
        }
        true
    }
}

impl Stream {
    fn is_read_archive(&self) -> bool {
        self.is_compressed() && self.modified != 0 && self.position.0 > 0 && self.position.0 >= self.size
    }

    /// Whether a file that was judged so, and has this size, holds all of its own, which was read but for a
    /// line without its end, and goes on behind.
    pub(super) fn ends_before(&self, size: u64, judgement: Judgement) -> bool {
        // A first line is known as a whole.
        let is_sure = judgement == Judgement::Same { is_strong: true }
            || matches!(judgement, Judgement::Same { .. } if self.marks.first().is_some_and(|(first, _)| self.position <= *first));
        let known_until = self.beginning_behind().map_or(self.position, |(at, _)| at);
        is_sure && known_until.0 == self.size && self.size < size
    }

    /// Whether its file is believed to be what it was, and is not open.
    pub(super) fn is_archived(&self) -> bool {
        matches!(self.place, Place::At { handle: Handle::Closed, .. })
            && self.retry_at == Moment::NEVER
            && self.is_read_archive()
    }
}
