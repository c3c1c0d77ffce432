//! One file generation that is followed, or remembered.

use std::sync::Arc;

use super::Outbox;
use super::arrivals::Arrivals;
use super::evidence::is_strong;
use super::spool::Spent;
use super::succession::Heir;
use crate::agent::border::{AskId, ReadId};
use crate::agent::notice::NoticeCode;
use crate::config::settings::Captures;
use crate::model::chunk::{Carry, LongLine};
use crate::model::{Compression, FileKey, Guard, Mark, Moment, Offset, Print};

/// Bytes that a read takes while a file is near its end.
pub(super) const SMALL_READ: u32 = 64 * 1024;

/// Bytes that a read takes while there is much to catch up, or each part of it.
pub(super) const LARGE_READ: u32 = 512 * 1024;

/// Parts of one read, at most.
pub(super) const MOST_PARTS: u64 = 32;

#[derive(Debug)]
pub(super) struct Stream {
    pub source: Arc<str>,
    pub path: Arc<str>,
    /// Where it was found first.
    pub first_path: Arc<str>,
    /// This very file was renamed: what stands where it was found first is another file.
    pub was_moved: bool,
    pub captures: Arc<Captures>,
    pub print: Print,
    pub ordinal: u32,
    pub key: [u8; 32],
    pub place: Place,
    /// Where its reading began: nothing before is ours.
    pub start: Offset,
    /// Where the next read begins; the end of the last stitched chunk.
    pub position: Offset,
    /// Of the bytes before `position`.
    pub guard: Guard,
    /// What the lines before `position` mean for those after it.
    pub carry: Carry,
    /// Who goes on with the line that its file ends in.
    pub heir: Heir,
    /// By these it is known again. In the order of their places, also beyond `position`.
    pub marks: Vec<Mark>,
    /// While the marks do not tell it from files that begin like it, it is read up to here.
    pub common: Offset,
    /// Where its file ended when it had nothing but one line and the beginning of another: so much is known of that.
    pub beginning: Option<Mark>,
    /// Its marks are being asked for.
    pub asking: Option<AskId>,
    /// Counts the reasons to doubt that the file is what it was. The next read makes sure of the last mark.
    pub doubts: u64,
    /// How many of them were cleared up.
    pub sure_of: u64,
    /// Set while the position stands before, or in, a line that is read past. Boxed: hardly a stream has one.
    pub inside: Option<Box<LongLine>>,
    /// Where what is read begins in the middle of a line that is not ours. What the frontier has passed may go.
    pub foreign: Vec<Offset>,
    /// The largest size seen: what is known to be there.
    pub size: u64,
    /// The file system's time of its last change, as the last look saw it.
    pub modified: u64,
    /// When the file itself last told its size. A look that was asked for before may know less.
    pub told_at: Moment,
    /// Bytes from here on were written after this process first saw the file: never sent before.
    pub fresh_from: u64,
    /// When what is not settled was first seen.
    pub arrivals: Arrivals,
    /// Bytes of the unterminated line that the last read found at the end.
    pub partial: u64,
    /// What is partial may be whole lines of a record that is not whole.
    pub holds_open_record: bool,
    /// A record of whole lines is open that quiet ends.
    pub rests: bool,
    pub reading: Option<ReadId>,
    /// It stands in the queue of streams to read.
    pub queued: bool,
    /// Something rang while a read was under way.
    pub again: bool,
    pub limit: u32,
    /// Most of its lines are billed, as the last read saw it.
    pub is_dense: bool,
    pub last_growth: Moment,
    /// When it was put at its file.
    pub found_at: Moment,
    pub retry_at: Moment,
    /// The operator knows that it cannot be read.
    pub unreadable: bool,
    /// Its place in the state, and its marks, are durable, so its lines may be sent.
    pub registered: Registered,
    /// No checkpoint has ever named it.
    pub is_new: bool,
    /// Others have numbered it, and what they have read of it is not known here.
    pub is_recalled: bool,
    /// Something was read of it since its descriptor was last asked for.
    pub was_read: bool,
    /// Nothing that stands behind this place is read any more: the process ends.
    pub read_until: Option<u64>,
    /// Its unterminated last line was mapped; what is appended to it belongs to no line.
    pub last_line_done: bool,
    /// Of a segment of a spool: whether it may go.
    pub spent: Spent,
}

/// What a stream is known by.
#[derive(Debug)]
pub(super) struct Identity {
    pub source: Arc<str>,
    pub path: Arc<str>,
    pub captures: Arc<Captures>,
    pub print: Print,
    pub ordinal: u32,
    pub key: [u8; 32],
    pub marks: Vec<Mark>,
    pub size: u64,
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
    /// It waits for a descriptor.
    Queued,
    Opening,
    Open,
    /// Closed for others, as long as nothing happens to it.
    Parked,
}

impl Stream {
    /// A stream that stands nowhere yet, read up to `position`.
    pub(super) fn new(identity: Identity, position: Offset, guard: Guard, since: Moment) -> Self {
        let Identity { source, path, captures, print, ordinal, key, marks, size } = identity;
        Self {
            source,
            first_path: Arc::clone(&path),
            path,
            was_moved: false,
            captures,
            print,
            ordinal,
            key,
            place: Place::Nowhere { since, looks: 0, not: None, given_up: false },
            start: position,
            position,
            guard,
            carry: Carry::default(),
            heir: Heir::Open,
            common: marks.first().map_or(Offset::ZERO, |(first, _)| *first),
            marks,
            beginning: None,
            asking: None,
            doubts: 1,
            sure_of: 0,
            inside: None,
            foreign: Vec::new(),
            size,
            modified: 0,
            told_at: Moment::START,
            fresh_from: u64::MAX,
            arrivals: Arrivals::default(),
            partial: 0,
            holds_open_record: false,
            rests: false,
            reading: None,
            queued: false,
            again: false,
            limit: SMALL_READ,
            is_dense: false,
            last_growth: since,
            found_at: since,
            retry_at: Moment::START,
            unreadable: false,
            registered: Registered::No,
            is_new: true,
            is_recalled: false,
            was_read: false,
            read_until: None,
            last_line_done: false,
            spent: Spent::No,
        }
    }

    /// Its file was opened, or read: says so where the operator knows otherwise.
    pub(super) fn say_readable_again(&mut self, out: &mut Outbox) {
        if std::mem::take(&mut self.unreadable) {
            out.say(NoticeCode::FileReadable, format!("{:?} can be read again", self.path));
        }
    }

    pub(super) fn file(&self) -> Option<FileKey> {
        match self.place {
            Place::Expected { file } | Place::Verifying { file } | Place::At { file, .. } => Some(file),
            Place::Nowhere { .. } => None,
        }
    }

    /// Whether the file where it is expected may turn out to be its own.
    pub(super) fn is_undecided(&self) -> bool {
        matches!(self.place, Place::Expected { .. } | Place::Verifying { .. })
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.place, Place::At { handle: Handle::Open, .. })
    }

    pub(super) fn is_parked(&self) -> bool {
        matches!(self.place, Place::At { handle: Handle::Parked, .. })
    }

    pub(super) fn waits_for_a_descriptor(&self) -> bool {
        matches!(self.place, Place::At { handle: Handle::Queued | Handle::Opening, .. })
    }

    /// The position stands inside a line that is not ours to read.
    pub(super) fn enter_foreign_line(&mut self) {
        let (at, guard) = (self.position, self.guard);
        self.foreign.push(at);
        self.inside = Some(Box::new(LongLine {
            start: at,
            searched: at,
            wanted: false,
            before_start: guard,
            before_searched: guard,
            opening: None,
            is_foreign: true,
        }));
    }

    /// What its file holds now was not written under the eyes of this process. Of a compressed one that is all,
    /// however much of it is known.
    pub(super) fn is_old_up_to(&mut self, size: u64) {
        self.fresh_from = if self.is_compressed() { u64::MAX } else { size };
    }

    pub(super) fn is_inside_foreign_line(&self) -> bool {
        self.foreign.contains(&self.position)
    }

    /// Places whose guards tell whether a file is the one that stood there.
    pub(super) fn tell_tales(&self) -> Vec<Mark> {
        let mut tales = self.marks.clone();
        tales.push((self.position, self.guard));
        tales
    }

    /// The beginning of a second line that is known and not read.
    pub(super) fn beginning_behind(&self) -> Option<Mark> {
        self.beginning.filter(|(at, _)| *at > self.position && !is_strong(&self.marks))
    }

    pub(super) fn is_unsure(&self) -> bool {
        self.sure_of < self.doubts
    }

    /// Up to here many files may say the same: the first line, and the first bytes of the next where the position
    /// stands inside of that.
    pub(super) fn said_by_many(&self) -> Offset {
        if self.is_inside_foreign_line() && self.position < self.common.plus(Guard::REACH as u64) {
            self.position
        } else {
            self.common
        }
    }

    /// Where its reading may go: not beyond what the marks know, until they tell it from its neighbours.
    pub(super) fn readable_until(&self) -> Offset {
        if is_strong(&self.marks) { Offset(u64::MAX) } else { self.common }
    }

    /// Whether its file is what a compressor made of the one that was written.
    pub(super) fn is_compressed(&self) -> bool {
        Compression::of_path(&self.path).is_some()
    }

    /// Whether its file has another name than the one it was found by.
    pub(super) fn was_renamed(&self) -> bool {
        self.path != self.first_path
    }

    /// Where the next read begins, long lines included.
    pub(super) fn read_from(&self) -> Offset {
        self.inside.as_ref().map_or(self.position, |line| line.searched)
    }

    /// Bytes known to be there and not read, but for a line without its end.
    pub(super) fn behind(&self) -> u64 {
        self.size.saturating_sub(self.read_from().0 + self.partial)
    }
}
