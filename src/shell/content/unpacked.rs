//! The decompressed view of a file: a window that moves on.
//!
//! Decompression goes one way. What was passed is kept from where the last read began; to go back further, it
//! begins anew. Who decompresses for the reads to come takes the unpacker along, so that the window can be read meanwhile.

use std::fs::File;
use std::io;

use super::unpacker::{Halt, Unpacker};
use super::window::{Piece, Window};
use crate::model::Compression;
use crate::shell::disk::modified_nanos;

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
    hand: Hand,
    /// Where in the compressed file the window ends.
    place: u64,
    /// Decompressed bytes from `base` on.
    window: Window,
    base: u64,
    pub ending: Ending,
    /// Of when the ending was seen.
    pub stamp: Stamp,
    /// The file turned out to be another than before.
    pub was_replaced: bool,
}

/// Where the unpacker is.
enum Hand {
    Here(Box<Unpacker>),
    /// Somebody makes the next piece with it.
    Lent,
    /// It rested inside a member: that can only begin anew.
    Dropped,
}

/// The next piece, while it is made.
pub(super) struct Errand {
    unpacker: Box<Unpacker>,
    piece: Piece,
}

/// What became of it.
pub(super) struct Made {
    errand: Errand,
    result: io::Result<Halt>,
}

impl Errand {
    pub(super) fn perform(mut self, file: &File) -> Made {
        let (filled, result) = self.unpacker.fill(file, self.piece.room());
        self.piece.fill(filled);
        Made { errand: self, result }
    }
}

impl Unpacked {
    pub(super) fn new(compression: Compression) -> Self {
        Self {
            compression,
            hand: Hand::Here(Box::new(Unpacker::new(compression))),
            place: 0,
            window: Window::default(),
            base: 0,
            ending: Ending::Open,
            stamp: Stamp::default(),
            was_replaced: false,
        }
    }

    /// Up to where it is decompressed.
    pub(super) fn end(&self) -> u64 {
        self.base + self.window.len() as u64
    }

    /// Where in the compressed file it stands.
    pub(super) fn place(&self) -> u64 {
        self.place
    }

    /// Whether the window holds all from `from` to `until`.
    pub(super) fn holds(&self, from: u64, until: u64) -> bool {
        from >= self.base && until <= self.end()
    }

    /// Copies what the window holds from there on, as much as fits; returns how much that is.
    pub(super) fn copy(&self, from: u64, buffer: &mut [u8]) -> usize {
        let skipped = usize::try_from(from - self.base).unwrap_or(usize::MAX);
        self.window.copy(skipped, buffer)
    }

    pub(super) fn is_lent(&self) -> bool {
        matches!(self.hand, Hand::Lent)
    }

    /// Decompresses up to `until`, or as far as the file goes; what stands before `keep` may go. Nothing may be lent.
    pub(super) fn advance(&mut self, file: &File, keep: u64, until: u64) -> io::Result<()> {
        // Whoever compresses only appends.
        self.was_replaced |= Stamp::of(file)?.size < self.stamp.size;
        if self.was_replaced || keep < self.base {
            self.begin_again();
        }
        self.pass(keep);
        if self.end() >= until || !self.goes_on(file)? {
            return Ok(());
        }
        while self.end() < until {
            let Hand::Here(unpacker) = &mut self.hand else { break };
            let (filled, result) = unpacker.fill(file, self.window.room());
            self.place = unpacker.place();
            self.window.fill(filled);
            self.pass(keep);
            match result? {
                Halt::Full => {}
                Halt::Ends(ending) => {
                    self.ending = ending;
                    break;
                }
                Halt::Replaced => {
                    self.was_replaced = true;
                    self.begin_again();
                    return self.advance(file, keep, until);
                }
            }
        }
        Ok(())
    }

    /// Whoever reads has come to the end: a backfill reads many files, and each of them stays open.
    pub(super) fn fit(&mut self) {
        if self.ending != Ending::Open && !self.is_lent() && self.window.has_much_room() {
            self.window.shrink();
        }
    }

    /// Gives the unpacker away for the next piece. `None`: nothing is to be made, or `most` bytes are.
    pub(super) fn lend(&mut self, file: &File, most: usize) -> io::Result<Option<Errand>> {
        let is_here = matches!(self.hand, Hand::Here(_));
        let is_same = Stamp::of(file)?.size >= self.stamp.size && !self.was_replaced;
        if !is_here || !is_same || self.window.len() >= most || !self.goes_on(file)? {
            return Ok(None);
        }
        match std::mem::replace(&mut self.hand, Hand::Lent) {
            Hand::Here(unpacker) => Ok(Some(Errand { unpacker, piece: self.window.spare() })),
            Hand::Lent | Hand::Dropped => unreachable!("it was just seen here"),
        }
    }

    /// Takes the unpacker back, and what it made.
    pub(super) fn take_back(&mut self, made: Made) -> io::Result<()> {
        let Made { errand: Errand { unpacker, piece }, result } = made;
        self.place = unpacker.place();
        self.hand = Hand::Here(unpacker);
        self.window.push(piece);
        match result? {
            Halt::Full => {}
            Halt::Ends(ending) => self.ending = ending,
            Halt::Replaced => {
                self.was_replaced = true;
                self.begin_again();
            }
        }
        Ok(())
    }

    /// What stands before `keep` goes.
    pub(super) fn pass(&mut self, keep: u64) {
        let passed = usize::try_from(keep.saturating_sub(self.base)).unwrap_or(usize::MAX);
        let passed = passed.min(self.window.len());
        self.window.pass(passed);
        self.base += passed as u64;
    }

    /// Frees what a decoder takes that nobody has asked for a while.
    pub(super) fn rest(&mut self) {
        match &mut self.hand {
            Hand::Here(unpacker) if unpacker.is_inside() => self.hand = Hand::Dropped,
            Hand::Here(unpacker) => unpacker.shrink(),
            Hand::Lent | Hand::Dropped => {}
        }
        self.window.shrink();
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
        if matches!(self.hand, Hand::Dropped) {
            self.begin_again();
        }
        Ok(true)
    }

    fn begin_again(&mut self) {
        let (stamp, was_replaced) = (self.stamp, self.was_replaced);
        *self = Self { stamp, was_replaced, ..Self::new(self.compression) };
    }
}
