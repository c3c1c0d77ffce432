//! The decompressed view of a file: a window that moves on.
//!
//! Decompression goes one way. What was passed is kept from where the last read began; to go back further, it
//! begins anew. The file may grow meanwhile. One that was written anew is noticed by the compressed bytes before
//! the place where reading goes on.

use std::fs::File;
use std::io;

use super::decoder::{Decoder, Step, Then};
use super::window::{STEP, Window};
use crate::model::Compression;
use crate::shell::disk::{modified_nanos, read_plain_at};

/// Compressed bytes by which the file is known to be the one of before.
const REACH: usize = 64;

/// How what is known of a compressed file ends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Ending {
    /// There is more, or nobody has tried.
    #[default]
    Open,
    /// All of it is known.
    Whole,
    /// In the middle of a member or frame: it is still being written, or was cut off.
    CutOff,
    /// What stands behind cannot be decompressed.
    Damaged(String),
}

/// Size and time of change of the compressed file: while they stay, so does what stands in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Stamp {
    pub size: u64,
    pub modified: u64,
}

impl Stamp {
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self { size: metadata.len(), modified: modified_nanos(&metadata) })
    }
}

pub(super) struct Unpacked {
    compression: Compression,
    /// `None` after a rest inside a member: it can only begin anew.
    decoder: Option<Decoder>,
    /// Compressed bytes that were read; those from `taken` on are not used yet.
    input: Vec<u8>,
    taken: usize,
    /// Where the input ends in the file, and the last bytes before.
    read_to: u64,
    before: Vec<u8>,
    /// Decompressed bytes from `base` on.
    window: Window,
    base: u64,
    pub ending: Ending,
    /// Of when the ending was seen.
    pub stamp: Stamp,
    /// The file turned out to be another than before.
    pub was_replaced: bool,
}

impl Unpacked {
    pub(super) fn new(compression: Compression) -> Self {
        Self {
            compression,
            decoder: Some(Decoder::new(compression)),
            input: Vec::new(),
            taken: 0,
            read_to: 0,
            before: Vec::new(),
            window: Window::default(),
            base: 0,
            ending: Ending::Open,
            stamp: Stamp::default(),
            was_replaced: false,
        }
    }

    /// From where on it is kept.
    pub(super) fn start(&self) -> u64 {
        self.base
    }

    /// Up to where it is decompressed.
    pub(super) fn end(&self) -> u64 {
        self.base + self.window.len() as u64
    }

    /// Where in the compressed file it stands.
    pub(super) fn place(&self) -> u64 {
        self.read_to - (self.input.len() - self.taken) as u64
    }

    /// Whether the place is in the window, or ahead of it.
    pub(super) fn can_read(&self, from: u64) -> bool {
        from >= self.base
    }

    /// What the window holds from there on.
    pub(super) fn held(&self, from: u64) -> &[u8] {
        let skipped = usize::try_from(from - self.base).unwrap_or(usize::MAX);
        self.window.bytes().get(skipped..).unwrap_or_default()
    }

    /// Decompresses up to `until`, or as far as the file goes; what stands before `keep` may go.
    pub(super) fn advance(&mut self, file: &File, keep: u64, until: u64) -> io::Result<()> {
        // Whoever compresses only appends.
        self.was_replaced |= Stamp::of(file)?.size < self.stamp.size;
        if self.was_replaced || keep < self.base {
            self.begin_again();
        }
        self.drop_before(keep);
        if self.end() >= until || !self.goes_on(file)? {
            return Ok(());
        }
        while self.end() < until {
            let Some(decoder) = &mut self.decoder else { break };
            let Step { taken, given, then } = decoder.step(&self.input[self.taken..], self.window.room());
            self.taken += taken;
            self.window.fill(given);
            self.drop_before(keep);
            let is_inside = self.decoder.as_ref().is_some_and(Decoder::is_inside);
            let ending = match then {
                Then::GoOn => continue,
                Then::Starves => {
                    let is_between = !is_inside && self.taken == self.input.len();
                    match self.refill(file)? {
                        Refilled::More => continue,
                        Refilled::Another => return self.replaced(file, keep, until),
                        Refilled::Nothing if is_between => Ending::Whole,
                        Refilled::Nothing => Ending::CutOff,
                    }
                }
                Then::NothingMore => Ending::Whole,
                Then::Damaged(what) => Ending::Damaged(what),
            };
            self.ending = ending;
            break;
        }
        Ok(())
    }

    /// Frees what a decoder takes that nobody has asked for a while.
    pub(super) fn rest(&mut self) {
        if self.decoder.as_ref().is_some_and(Decoder::is_inside) {
            self.decoder = None;
        }
        self.window.shrink();
        self.input = self.input.split_off(self.taken);
        self.taken = 0;
    }

    /// Whether there may be more than what is known. Where the end was seen, only if the file has changed since.
    fn goes_on(&mut self, file: &File) -> io::Result<bool> {
        let stamp = Stamp::of(file)?;
        if self.ending != Ending::Open && stamp == self.stamp {
            return Ok(false);
        }
        self.stamp = stamp;
        if matches!(self.ending, Ending::Damaged(_)) {
            return Ok(false);
        }
        self.ending = Ending::Open;
        if self.decoder.is_none() {
            self.begin_again();
        }
        Ok(true)
    }

    fn begin_again(&mut self) {
        let (stamp, was_replaced) = (self.stamp, self.was_replaced);
        *self = Self { stamp, was_replaced, ..Self::new(self.compression) };
    }

    fn replaced(&mut self, file: &File, keep: u64, until: u64) -> io::Result<()> {
        self.was_replaced = true;
        self.begin_again();
        self.advance(file, keep, until)
    }

    fn drop_before(&mut self, keep: u64) {
        let passed = usize::try_from(keep.saturating_sub(self.base)).unwrap_or(usize::MAX);
        let passed = passed.min(self.window.len());
        self.window.pass(passed);
        self.base += passed as u64;
    }

    /// Reads more compressed bytes, and makes sure that those before are what they were.
    fn refill(&mut self, file: &File) -> io::Result<Refilled> {
        let reach = self.before.len();
        let mut bytes = vec![0; reach + STEP];
        let filled = read_plain_at(file, &mut bytes, self.read_to - reach as u64)?;
        bytes.truncate(filled);
        if !bytes.starts_with(&self.before) {
            return Ok(Refilled::Another);
        }
        if filled == reach {
            return Ok(Refilled::Nothing);
        }
        self.read_to += (filled - reach) as u64;
        self.input.drain(..self.taken);
        self.taken = 0;
        self.input.extend_from_slice(&bytes[reach..]);
        self.before = bytes.split_off(filled.saturating_sub(REACH));
        Ok(Refilled::More)
    }
}

enum Refilled {
    More,
    Nothing,
    /// Other bytes stand before.
    Another,
}
