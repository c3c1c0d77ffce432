//! Which file goes on where another ended: a container's line may begin in one and end in the next.
//!
//! The old file's last read takes the head of the new one along, and the new one is not read before it is known
//! which outputs were in the middle of a line where the old one ended.

use std::time::Duration;

use super::Tail;
use super::stream::{Place, Stream};
use crate::agent::border::Now;
use crate::config::settings::{Container, SourceSettings};
use crate::model::chunk::Outputs;
use crate::model::{Offset, StreamId};

/// A runtime that has begun a new file writes nothing to the old one; this is for what was under way.
pub(super) const HANDOVER_TIME: Duration = Duration::from_secs(1);

/// How soon a file that waits for the one before it is tried again.
pub(super) const WAIT_TIME: Duration = Duration::from_millis(100);

/// What is known of the line that the file before ended in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inherited {
    /// The file before is not read to its end yet.
    Unknown,
    Known(Outputs),
}

impl Tail {
    pub(super) fn source_settings(&self, stream: &Stream) -> Option<&SourceSettings> {
        Some(&self.settings.sources[super::index_of(&self.sources, &stream.source)?])
    }

    /// The file that goes on where this one, which has another name now, ended; with how much of its head to read.
    pub(super) fn successor(&self, id: StreamId) -> Option<(StreamId, u32)> {
        let stream = &self.streams[&id];
        let settings =
            self.source_settings(stream).filter(|settings| settings.container != Container::None)?;
        if !stream.was_renamed() {
            return None;
        }
        let from = (std::sync::Arc::clone(&stream.first_path), StreamId(0));
        let at_path = self.by_path.range(from..).take_while(|(path, _)| *path == stream.first_path);
        let is_next = |(_, next): &&(_, StreamId)| {
            let next = &self.streams[next];
            *next.source == *stream.source && next.is_open() && next.size > 0 && next.start == Offset::ZERO
        };
        at_path.filter(is_next).map(|(_, next)| (*next, settings.reach())).last()
    }

    /// Whether the unfinished lines of a file are to be looked for in the one after it.
    pub(super) fn hands_over(&self, id: StreamId, now: Now) -> bool {
        let stream = &self.streams[&id];
        stream.partial > 0
            && stream.behind() == 0
            && !stream.last_line_done
            && now.moment.since(stream.last_growth) >= HANDOVER_TIME
            && self.successor(id).is_some()
    }

    /// What a file that is read from its start goes on with.
    pub(super) fn inherited(&self, id: StreamId) -> Inherited {
        let nothing = Inherited::Known(Outputs::default());
        let stream = &self.streams[&id];
        let is_wrapped =
            self.source_settings(stream).is_some_and(|settings| settings.container != Container::None);
        if stream.position != Offset::ZERO || !is_wrapped {
            return nothing;
        }
        let is_before = |(other, before): &(&StreamId, &Stream)| {
            **other != id
                && before.source == stream.source
                && before.was_renamed()
                && before.first_path == stream.path
        };
        let Some((_, before)) = self.streams.iter().rfind(is_before) else { return nothing };
        let goes_on =
            before.is_open() && (before.behind() > 0 || before.partial > 0 || before.reading.is_some());
        let is_lost = matches!(before.place, Place::Nowhere { .. });
        match goes_on && !is_lost {
            true => Inherited::Unknown,
            false => Inherited::Known(before.carry.unfinished),
        }
    }
}
