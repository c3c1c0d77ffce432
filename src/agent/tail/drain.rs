//! The end of a daemon: it looks once more, and reads each file to where it then ended.
//!
//! A look that is under way when the end is asked for may be older than what the operator saw written, so another
//! one is asked for behind it. What writers append after that one waits for the next start, and so does a line
//! without its end: a log that is always written to does not keep the daemon.

use super::candidate::Step;
use super::stream::{Handle, Place, Registered, Stream};
use super::{FloorState, Looking, Tail};
use crate::agent::border::Now;
use crate::model::{Moment, StreamId};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Draining {
    No,
    /// The last look is to be asked for.
    Wanted,
    /// It is under way.
    Asked,
    /// What it showed is read. Only what moved meanwhile is looked for again.
    Seen,
    /// Nothing is read any more.
    Halted,
}

impl Tail {
    /// From now on only what stands there is read.
    pub(in crate::agent) fn drain(&mut self, now: Now) {
        self.draining = Draining::Wanted;
        self.next_look = now.moment;
    }

    /// From now on nothing is read, wherever the files end.
    pub(in crate::agent) fn read_no_more(&mut self) {
        self.draining = Draining::Halted;
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining != Draining::No
    }

    pub(super) fn look_is_asked(&mut self) {
        if self.draining == Draining::Wanted {
            self.draining = Draining::Asked;
        }
    }

    /// When to look again after a look, where nothing else asks for one.
    pub(super) fn next_look_after(&self, now: Now, sweep: Moment) -> Moment {
        match self.draining {
            Draining::No => sweep,
            Draining::Wanted => now.moment,
            Draining::Asked | Draining::Seen | Draining::Halted => Moment::NEVER,
        }
    }

    /// A look was taken in: if it was the last one, it says where each file ends.
    pub(super) fn end_is_seen(&mut self) {
        if self.draining != Draining::Asked {
            return;
        }
        self.draining = Draining::Seen;
        let mut untold = Vec::new();
        for (id, stream) in &mut self.streams {
            let Place::At { absent_since, .. } = stream.place else { continue };
            if absent_since.is_none() && stream.told_at < self.look_asked {
                stream.read_until = Some(stream.end_at(stream.size));
            } else {
                // The list does not say how long it is: a read that begins now does.
                stream.again |= stream.reading.is_some() || stream.asking.is_some();
                untold.push(*id);
            }
        }
        untold.into_iter().for_each(|id| self.make_ready(id));
    }

    /// A stream waits for the one before it. No further look will come by that one.
    pub(super) fn hasten_before(&mut self, id: StreamId) {
        if self.is_draining()
            && let Some(before) = self.read_before(id)
        {
            self.make_ready(before);
        }
    }

    /// Whether all is read that stood there at the last look. Files that cannot be read, or cannot be told apart, are
    /// not waited for; nor is what a window or the memory holds back, where `nothing_is_owed` that could make room.
    pub(in crate::agent) fn is_read_out(&self, nothing_is_owed: bool) -> bool {
        if self.draining == Draining::Halted {
            return self.reads.is_empty();
        }
        let is_waiting = |stream: &Stream| {
            let is_held_back = nothing_is_owed && stream.queued && stream.registered == Registered::Yes;
            let is_coming =
                stream.is_coming() || (self.reads_once() && stream.is_open() && stream.is_at_last_line());
            is_coming && !is_held_back && !self.is_left_behind_held(stream)
        };
        self.draining == Draining::Seen
            && self.looking == Looking::No
            && self.next_look == Moment::NEVER
            && self.reads.is_empty()
            && !self.sources.iter().any(|source| matches!(source.floors, FloorState::Saving(_)))
            && !self.candidates.values().any(|it| matches!(it.step, Step::New | Step::Asking(_)))
            && !self.streams.values().map(|stream| &**stream).any(is_waiting)
    }
}

impl Stream {
    /// Where it ends that has told this size. How long a compressed file is, shows only where it ends.
    pub(super) fn end_at(&self, size: u64) -> u64 {
        if self.is_compressed() { u64::MAX } else { size }
    }

    /// Whether it was read to where it ended at the last look.
    pub(super) fn is_read_out(&self) -> bool {
        // It may have become shorter since.
        self.read_until.is_some_and(|until| self.read_from().0 + self.partial >= until.min(self.size))
    }

    /// Whether more of it will be read.
    fn is_coming(&self) -> bool {
        match self.place {
            Place::Verifying { .. } => true,
            Place::At {
                handle: Handle::Opening | Handle::Open | Handle::Queued | Handle::Parked, ..
            } => !self.unreadable && !self.is_read_out(),
            Place::At { handle: Handle::Closed, .. } | Place::Expected { .. } | Place::Nowhere { .. } => {
                false
            }
        }
    }
}
