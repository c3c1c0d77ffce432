//! The agent's border: everything that goes in and everything that comes out.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use super::checkpoint::Checkpoint;
use super::notice::Notice;
use crate::config::Settings;
use crate::config::settings::Captures;
use crate::mapping::identity::{HEAD_BYTES, print_of_head};
use crate::mapping::{End, MapContext, ReadFault, ReadWindow, Rules, Scratch, map};
use crate::model::chunk::{Carry, LongLine};
use crate::model::{
    Dropped, FileKey, Generation, Guard, MappedChunk, Mark, Moment, Offset, Print, SourceAccount,
    SourceIndex, Stop, StreamId, Tally,
};
use crate::polar::{Answer, Body};

/// Both clocks at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Monotonic: every wait and age is measured on it.
    pub moment: Moment,
    /// The host's wall clock; it may jump. Only for Polar's clock and for records that people read.
    pub wall: Timestamp,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)+) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);
    )+ };
}

ids! {
    /// Names one [`Effect::Read`].
    ReadId
    /// Names one [`Effect::Post`].
    RequestId
    /// Names one [`Effect::Quarantine`].
    LettersId
    /// Names one [`Effect::Ask`].
    AskId
    /// Names one [`Effect::Save`] or [`Effect::SaveFloors`].
    SaveId
}

/// What happened.
#[expect(clippy::large_enum_variant, reason = "an input lives for one call, and most are chunks")]
#[derive(Debug)]
pub enum Input {
    /// The answer to [`Effect::Look`]: every file that stands there now, the whole list.
    Looked(Vec<Sighting>),
    /// Something happened at this path, or (`None`) somewhere. A doorbell, never the truth.
    Nudged(Option<String>),
    /// The answer to [`Effect::Ask`].
    Told { ask: AskId, result: Result<Asked, DiskFault> },
    /// The answer to [`Effect::Open`].
    Opened { stream: StreamId, result: Result<(), DiskFault> },
    /// The answer to [`Effect::Read`]; `size` is the file's size when it was read (0 on a fault).
    Mapped { read: ReadId, result: Result<MappedChunk, ReadFault>, size: u64 },
    /// The answer to [`Effect::Post`]; `polar_clock` is its `Date` header.
    Answered { request: RequestId, outcome: Outcome, polar_clock: Option<Timestamp> },
    /// The letters are durable, or they are not.
    Quarantined { letters: LettersId, result: Result<(), DiskFault> },
    /// The checkpoint or the floors are durable, or they are not.
    Saved { save: SaveId, result: Result<(), DiskFault> },
    /// The checkpoint was not written: others have given ordinals meanwhile. These are all of theirs.
    Outnumbered { save: SaveId, numbered: Box<Checkpoint> },
    /// The answer to [`Effect::Discard`]: it is gone, or [`DiskFault::Gone`] where the file is not that one.
    Discarded { stream: StreamId, result: Result<(), DiskFault> },
    /// Datagrams came in and could not be spooled.
    Dropped { source: String, why: Dropped, lines: u64, bytes: u64 },
    /// Nothing more will come in for the source. What was spooled for it last: the file, and its size.
    SourceEnded { source: String, last: Option<(String, u64)> },
    /// New checked settings; instance, server, mode and state folder are the old ones.
    Reload { settings: Arc<Settings>, rules: Arc<Rules> },
    /// End: read to the end of what is there, flush, settle, save, stop, at the latest at `by`.
    Drain { by: Moment },
    /// [`Agent::deadline`](super::Agent::deadline) has come.
    Tick,
}

/// A regular file that stands in a folder of a source: a match of its globs, or a neighbour of one (in the
/// same folder). Symbolic links are followed. One for each path, so a file may come twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    pub source: SourceIndex,
    /// Absolute, as UTF-8 (bytes that are not become U+FFFD).
    pub path: Arc<str>,
    pub file: FileKey,
    pub size: u64,
    /// When its content was last changed, in nanoseconds on the file system's clock; only its changes count.
    pub modified: u64,
    /// `@path.name` values, where the path matches the source's globs.
    pub matched: Option<Arc<Captures>>,
}

/// What Polar, or the network, said to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Answer(Answer),
    /// No answer came: refused, reset, timed out, bad TLS, no such host. The request may have arrived.
    NoAnswer {
        what: String,
    },
}

/// What a disk operation failed of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskFault {
    /// The path is gone, or another file stands there.
    Gone,
    /// No room: the disk's, or the bound of the quarantine.
    Full,
    /// Permission denied.
    Denied,
    /// Too many open files.
    TooManyOpen,
    Other(String),
}

/// What the shell must do.
#[derive(Debug)]
pub enum Effect {
    /// List the folders of all sources. Answer: [`Input::Looked`].
    Look,
    /// Read the head of the file, and the guards before the offsets `at`.
    /// Where `against` is given, also compare the two files from `against.from` on. Answer: [`Input::Told`].
    Ask { ask: AskId, whom: Whom, at: Vec<Offset>, against: Option<Against> },
    /// Open the file for reading and keep it open until `Close`. Answer: [`Input::Opened`].
    Open { stream: StreamId, path: String, file: FileKey },
    /// Close it. No answer.
    Close(StreamId),
    /// Read and map. Answer: [`Input::Mapped`].
    Read(Box<ReadOrder>),
    /// Send the body. Answer: [`Input::Answered`].
    Post { request: RequestId, body: Body },
    /// Append the letters (whole JSON lines) to the quarantine and sync. Answer: [`Input::Quarantined`].
    /// `malformed` letters count against the smaller quota; beyond it the shell keeps them without `text`.
    Quarantine { letters: LettersId, text: Bytes },
    /// Replace the checkpoint with these bytes, durably; keep the previous one. Answer: [`Input::Saved`].
    /// `numbers`: it gives ordinals to files. That may be only when all is known that others have given; else
    /// [`Input::Outnumbered`] is the answer, and nothing is written.
    Save { save: SaveId, checkpoint: Bytes, numbers: bool },
    /// Replace the floors file, durably. Answer: [`Input::Saved`].
    SaveFloors { save: SaveId, floors: Bytes },
    /// Remove the file at `path` if it is `file` and has this size: all of it is settled in every checkpoint that is
    /// kept. Answer: [`Input::Discarded`].
    Discard { stream: StreamId, path: String, file: FileKey, size: u64 },
    /// Say it to the operator.
    Tell(Notice),
    /// The end: all is saved that can be.
    Stop,
}

/// The file that a question is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    /// The one at `path`, if it is `file`.
    At { path: String, file: FileKey },
    /// The one that the stream has open.
    Open(StreamId),
}

/// Another open stream to compare a file with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Against {
    pub stream: StreamId,
    /// Up to here they are known to agree.
    pub from: Offset,
    /// Bytes to compare at most.
    pub limit: u64,
}

/// The answer to [`Effect::Ask`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub size: u64,
    /// The first [`HEAD_BYTES`](crate::mapping::identity::HEAD_BYTES), or all there are.
    pub head: Vec<u8>,
    /// In the order of `at`: the guard before it and the byte before it; `None` beyond the end of the file.
    pub guards: Vec<Option<(Guard, Option<u8>)>>,
    /// Where `against` was given: up to where the two agree, and whether a differing byte was found there
    /// (else one of them ended, or the limit was reached).
    pub agreement: Option<Agreement>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreement {
    pub until: Offset,
    pub differs: bool,
}

/// One read of one stream: `pread` up to `limit` bytes from `from` (and the [`Guard::REACH`] before), then
/// [`ReadOrder::map`].
#[derive(Debug, Clone)]
pub struct ReadOrder {
    pub read: ReadId,
    pub stream: StreamId,
    pub from: Offset,
    /// Of the file: a read from its start checks it.
    pub print: Print,
    pub limit: u32,
    /// See [`MapContext::room`](crate::mapping::MapContext).
    pub room: usize,
    /// What may be read behind `limit` with it, by whoever can.
    pub ahead: Option<Ahead>,
    pub expected: Option<Guard>,
    /// A second place that tells whether the file is still what it was: take the guard before it, too, after
    /// the other bytes, and give it to [`ReadOrder::bear_out`].
    pub witness: Option<Mark>,
    pub long_line: Option<LongLine>,
    pub end: ReadEnd,
    /// What the lines before `from` mean for those after it. Read the line at [`Carry::header`], too: up to
    /// [`HEADER_BYTES`].
    pub carry: Carry,
    /// The file that goes on where this one ended: read so many bytes of its head, too.
    pub beyond: Option<(StreamId, u32)>,
    pub rules: Arc<Rules>,
    pub source: SourceIndex,
    pub stream_key: [u8; 32],
    pub ordinal: u32,
    pub path: Arc<str>,
    pub captures: Arc<Captures>,
    pub polar_now: Timestamp,
}

/// More of a long way to go: parts of [`ReadOrder::limit`] bytes each, one behind the other. Each is mapped by itself,
/// and what is mapped without a gap makes one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// How many, at most.
    pub parts: u32,
    /// Room of them all together.
    pub room: usize,
}

/// Most bytes of a line that says what the columns are.
pub const HEADER_BYTES: u32 = 64 * 1024;

/// What a read knows of the end of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadEnd {
    More,
    /// Nothing has been written for so long that the last record is whole.
    Quiet,
    /// Another file goes on where this one ended: what is unfinished here may be whole with the head of that.
    Handover,
    /// The file is gone, or has another name, and nobody will end its last line.
    File,
}

/// What a read took.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReadBytes<'a> {
    /// Up to [`Guard::REACH`] before [`ReadOrder::from`].
    pub before: &'a [u8],
    /// From there on: [`ReadOrder::limit`] of them, or up to the end of the file.
    pub bytes: &'a [u8],
    /// From [`Carry::header`] on, where the order has one.
    pub header: &'a [u8],
    /// Of the head of [`ReadOrder::beyond`], where the order has one.
    pub beyond: &'a [u8],
}

/// The agent at a glance.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// By source id. What is settled, as the next checkpoint will say.
    pub accounts: BTreeMap<String, SourceAccount>,
    /// By source id: read, but not settled.
    pub in_flight: BTreeMap<String, Tally>,
    pub events_inserted: u64,
    pub events_duplicate: u64,
    pub events_duplicate_unexpected: u64,
    /// Files that are followed.
    pub streams: usize,
    /// Bytes that are known to be there and not read, all streams together.
    pub lag_bytes: u64,
    /// Bytes of the memory budget in use.
    pub memory_used: u64,
    pub requests_in_flight: usize,
    /// Why nothing is sent, in words, where that is so.
    pub blocked: Option<String>,
    pub draining: bool,
    /// Of a process that reads once: the files that it has not read to their ends, and why.
    pub unread: Vec<Unread>,
}

/// A file of which something was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    pub path: String,
    pub why: &'static str,
}

impl ReadOrder {
    /// Holds the guard before the witness's place (`None` beyond the end of the file) against what is remembered.
    ///
    /// # Errors
    /// [`ReadFault::GuardDiffers`], when other bytes stand there, or too few.
    pub fn bear_out(&self, seen: Option<Guard>) -> Result<(), ReadFault> {
        let differs = self.witness.is_some_and(|(_, guard)| seen != Some(guard));
        if differs { Err(ReadFault::GuardDiffers) } else { Ok(()) }
    }

    /// Maps what was read.
    ///
    /// # Errors
    /// [`ReadFault::GuardDiffers`], when other bytes stand there than the stream remembers.
    pub fn map(&self, read: ReadBytes<'_>, scratch: &mut Scratch) -> Result<MappedChunk, ReadFault> {
        let ReadBytes { before, bytes, header, beyond } = read;
        if self.from == Offset::ZERO && !bytes.is_empty() {
            let head = &bytes[..bytes.len().min(HEAD_BYTES)];
            let seen = print_of_head(head, self.rules.format(self.source));
            if seen.is_some_and(|seen| seen != self.print) {
                return Err(ReadFault::GuardDiffers);
            }
        }
        let context = MapContext {
            rules: &self.rules,
            source: self.source,
            stream_key: &self.stream_key,
            generation: Generation { print: self.print, ordinal: self.ordinal },
            path: &self.path,
            captures: &self.captures,
            expected: self.expected,
            long_line: self.long_line,
            polar_now: self.polar_now,
            room: self.room,
        };
        // A file that has grown beyond one read has not ended.
        let at_end = bytes.len() < self.limit as usize;
        let end = match self.end {
            ReadEnd::Quiet => End::Quiet,
            ReadEnd::Handover if at_end => End::Handover { beyond },
            ReadEnd::File if at_end => End::File { beyond },
            _ => End::More,
        };
        let window = ReadWindow { before, base: self.from, bytes, end, carry: self.carry, header };
        let mut chunk = map(&context, window, scratch)?;
        let unterminated = bytes.last() != Some(&b'\n');
        let is_done = matches!(chunk.stop, Stop::BytesEnd { partial: 0, .. });
        if matches!(end, End::File { .. }) && unterminated && is_done {
            chunk.stop = Stop::FileEnd;
        }
        Ok(chunk)
    }
}
