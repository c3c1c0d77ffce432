//! One file generation that is followed, or remembered.

use std::sync::Arc;

use crate::agent::border::ReadId;
use crate::config::settings::Captures;
use crate::model::chunk::LongLine;
use crate::model::{FileKey, Guard, Moment, Offset, Print};

/// Bytes that a read takes while a file is near its end.
pub(super) const SMALL_READ: u32 = 64 * 1024;

/// Bytes that a read takes while there is much to catch up.
pub(super) const LARGE_READ: u32 = 256 * 1024;

#[derive(Debug)]
pub(super) struct Stream {
    pub source: Arc<str>,
    pub path: Arc<str>,
    /// Where it was found first. Another file there is another file.
    pub first_path: Arc<str>,
    pub captures: Arc<Captures>,
    pub print: Print,
    pub ordinal: u32,
    pub key: [u8; 32],
    pub place: Place,
    /// Where the next read begins; the end of the last stitched chunk.
    pub position: Offset,
    /// Of the bytes before `position`.
    pub guard: Guard,
    /// Set while the position stands before, or in, a line that is read past.
    pub inside: Option<LongLine>,
    /// The largest size seen: what is known to be there.
    pub size: u64,
    /// When the file itself last told its size. A look that was asked for before may know less.
    pub told_at: Moment,
    /// Bytes from here on were written after this process first saw the file: never sent before.
    pub fresh_from: u64,
    /// Bytes of the unterminated line that the last read found at the end.
    pub partial: u64,
    pub reading: Option<ReadId>,
    /// It stands in the queue of streams to read.
    pub queued: bool,
    /// Something rang while a read was under way.
    pub again: bool,
    pub limit: u32,
    pub last_growth: Moment,
    pub retry_at: Moment,
    /// The operator knows that it cannot be read.
    pub unreadable: bool,
    /// Its place in the state is durable, so its lines may be sent.
    pub registered: Registered,
    /// Its unterminated last line was mapped; what is appended to it belongs to no line.
    pub last_line_done: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Registered {
    No,
    /// By the save that is under way with this number.
    With(u64),
    Yes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The checkpoint says so; not looked for yet.
    Expected { file: FileKey },
    /// A file stands there; whether it is the one is being asked.
    Verifying { file: FileKey },
    /// Followed. `absent_since`: no path leads to it any more.
    At { file: FileKey, handle: Handle, absent_since: Option<Moment> },
    /// Only its content can bring it back.
    Nowhere {
        since: Moment,
        /// Whole looks since then.
        looks: u32,
        /// The file that has other content now.
        not: Option<FileKey>,
        /// Nothing of it is hoped for any more; what was missing is told.
        given_up: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handle {
    Closed,
    Opening,
    Open,
}

impl Stream {
    pub(super) fn file(&self) -> Option<FileKey> {
        match self.place {
            Place::Expected { file } | Place::Verifying { file } | Place::At { file, .. } => Some(file),
            Place::Nowhere { .. } => None,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.place, Place::At { handle: Handle::Open, .. })
    }

    /// Whether its file has another name than the one it was found by.
    pub(super) fn was_renamed(&self) -> bool {
        self.path != self.first_path
    }

    /// Where the next read begins, long lines included.
    pub(super) fn read_from(&self) -> Offset {
        self.inside.map_or(self.position, |line| line.searched)
    }

    /// Bytes known to be there and not read, but for a line without its end.
    pub(super) fn behind(&self) -> u64 {
        self.size.saturating_sub(self.read_from().0 + self.partial)
    }
}
