//! Reads a compressed file from its start on and gives what stands in it, one buffer after the other.
//!
//! The file may grow meanwhile. One that was written anew is noticed by the compressed bytes before the place where
//! reading goes on.

use std::fs::File;
use std::io;

use super::decoder::{Decoder, Step, Then};
use super::unpacked::Ending;
use crate::model::Compression;
use crate::shell::disk::read_plain_at;

/// Compressed bytes by which the file is known to be the one of before.
const REACH: usize = 64;

/// Compressed bytes that are read at once.
const INPUT: usize = 128 * 1024;

pub(super) struct Unpacker {
    decoder: Decoder,
    /// Compressed bytes that were read; those from `taken` on are not used yet.
    input: Vec<u8>,
    taken: usize,
    /// Where the input ends in the file, and the last bytes before.
    read_to: u64,
    before: Vec<u8>,
}

/// Why a buffer was not filled any further.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Halt {
    Full,
    Ends(Ending),
    /// Another file stands there now.
    Replaced,
}

impl Unpacker {
    pub(super) fn new(compression: Compression) -> Self {
        let decoder = Decoder::new(compression);
        Self { decoder, input: Vec::new(), taken: 0, read_to: 0, before: Vec::new() }
    }

    /// Where in the compressed file it stands.
    pub(super) fn place(&self) -> u64 {
        self.read_to - (self.input.len() - self.taken) as u64
    }

    /// Whether it stands inside a member or frame.
    pub(super) fn is_inside(&self) -> bool {
        self.decoder.is_inside()
    }

    /// Fills `output` as far as the file goes. With how much was filled: that counts on a fault as well.
    pub(super) fn fill(&mut self, file: &File, output: &mut [u8]) -> (usize, io::Result<Halt>) {
        let mut filled = 0;
        while filled < output.len() {
            let step = self.decoder.step(&self.input[self.taken..], &mut output[filled..]);
            let Step { taken, given, then } = step;
            self.taken += taken;
            filled += given;
            let ending = match then {
                Then::GoOn => continue,
                Then::Starves => {
                    let is_between = !self.is_inside() && self.taken == self.input.len();
                    match self.refill(file) {
                        Ok(Refilled::More) => continue,
                        Ok(Refilled::Another) => return (filled, Ok(Halt::Replaced)),
                        Ok(Refilled::Nothing) if is_between => Ending::Whole,
                        Ok(Refilled::Nothing) => Ending::CutOff,
                        Err(error) => return (filled, Err(error)),
                    }
                }
                Then::NothingMore => Ending::Whole,
                Then::Damaged(what) => Ending::Damaged(what),
            };
            return (filled, Ok(Halt::Ends(ending)));
        }
        (filled, Ok(Halt::Full))
    }

    /// Frees what was read and is used up.
    pub(super) fn shrink(&mut self) {
        self.input = self.input.split_off(self.taken);
        self.taken = 0;
    }

    /// Reads more compressed bytes, and makes sure that those before are what they were.
    fn refill(&mut self, file: &File) -> io::Result<Refilled> {
        let reach = self.before.len();
        // Decoders rarely leave some, so the room of the last read is that of the next.
        let left = self.input[self.taken..].to_vec();
        self.input.resize(reach + INPUT, 0);
        let result = read_plain_at(file, &mut self.input, self.read_to - reach as u64);
        let filled = *result.as_ref().unwrap_or(&0);
        self.input.truncate(filled);
        if filled <= reach || !self.input.starts_with(&self.before) {
            let is_same = self.input == self.before;
            (self.input, self.taken) = (left, 0);
            result?;
            return Ok(if is_same { Refilled::Nothing } else { Refilled::Another });
        }
        self.read_to += (filled - reach) as u64;
        self.before.clear();
        self.before.extend_from_slice(&self.input[filled.saturating_sub(REACH)..]);
        self.taken = reach;
        if !left.is_empty() {
            self.input.splice(..reach, left);
            self.taken = 0;
        }
        Ok(Refilled::More)
    }
}

enum Refilled {
    More,
    Nothing,
    /// Other bytes stand before.
    Another,
}
