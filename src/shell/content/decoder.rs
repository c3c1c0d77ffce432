//! Decompression, one buffer at a time: gzip with any number of members, zstd with any number of frames.
//!
//! It never waits for more than there is: whatever can be decompressed of what was given comes out at once, so a
//! file that is cut off, or still being written, gives all that stands in it.

use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{self, DParameter, InBuffer, Operation, OutBuffer};

use crate::model::Compression;

/// Largest window of a zstd frame, as a power of two: 128 MiB of memory for each such file that is read.
const MOST_WINDOW_LOG: u32 = 27;

const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// zstd's frames without content: the first byte is one of sixteen.
const SKIPPABLE_MAGIC: &[u8] = &[0x2a, 0x4d, 0x18];

/// What one step did.
#[derive(Debug)]
pub(super) struct Step {
    /// Bytes of the input that are used up.
    pub taken: usize,
    /// Bytes of the output that are filled.
    pub given: usize,
    pub then: Then,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Then {
    GoOn,
    /// Nothing can be done without more input.
    Starves,
    /// What stands here begins no member or frame: zeros that fill a block, or something of another kind.
    NothingMore,
    /// What stands here is not what a compressor wrote, or takes more memory than it may.
    Damaged(String),
}

pub(super) struct Decoder {
    compression: Compression,
    /// `None` between two members or frames.
    engine: Option<Engine>,
    /// The last output was filled to its end, so there may be more without any input.
    holds_output: bool,
}

enum Engine {
    Gzip(Decompress),
    Zstd(raw::Decoder<'static>),
}

impl Decoder {
    pub(super) fn new(compression: Compression) -> Self {
        Self { compression, engine: None, holds_output: false }
    }

    /// Whether it stands inside a member or frame.
    pub(super) fn is_inside(&self) -> bool {
        self.engine.is_some()
    }

    /// Decompresses what it can of `input` into `output`, which has room.
    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        let idle = |then| Step { taken: 0, given: 0, then };
        if self.engine.is_none() {
            match begins(self.compression, input) {
                Some(true) => {}
                Some(false) => return idle(Then::NothingMore),
                None => return idle(Then::Starves),
            }
            match Engine::new(self.compression) {
                Ok(engine) => self.engine = Some(engine),
                Err(what) => return idle(Then::Damaged(what)),
            }
        }
        if input.is_empty() && !self.holds_output {
            return idle(Then::Starves);
        }
        let engine = self.engine.as_mut().expect("it was just made");
        let (taken, given, result) = engine.run(input, output);
        self.holds_output = given == output.len();
        let then = match result {
            Err(what) => Then::Damaged(what),
            Ok(true) => {
                self.engine = None;
                self.holds_output = false;
                Then::GoOn
            }
            Ok(false) if taken == 0 && given == 0 && input.is_empty() => Then::Starves,
            Ok(false) if taken == 0 && given == 0 => Then::Damaged("it does not go on".to_owned()),
            Ok(false) => Then::GoOn,
        };
        Step { taken, given, then }
    }
}

impl Engine {
    fn new(compression: Compression) -> Result<Self, String> {
        match compression {
            Compression::Gzip => Ok(Self::Gzip(Decompress::new_gzip(15))),
            Compression::Zstd => {
                let mut decoder = raw::Decoder::new().map_err(|error| error.to_string())?;
                let most = DParameter::WindowLogMax(MOST_WINDOW_LOG);
                decoder.set_parameter(most).map_err(|error| error.to_string())?;
                Ok(Self::Zstd(decoder))
            }
        }
    }

    /// What was taken, what was given, and whether a member or frame has ended.
    fn run(&mut self, input: &[u8], output: &mut [u8]) -> (usize, usize, Result<bool, String>) {
        match self {
            Self::Gzip(inflate) => {
                let (taken, given) = (inflate.total_in(), inflate.total_out());
                let result = inflate.decompress(input, output, FlushDecompress::None);
                let taken = usize::try_from(inflate.total_in() - taken).expect("no more than there was");
                let given = usize::try_from(inflate.total_out() - given).expect("no more than there was");
                let result = match result {
                    Ok(status) => Ok(status == Status::StreamEnd),
                    Err(error) => Err(error.to_string()),
                };
                (taken, given, result)
            }
            Self::Zstd(decoder) => {
                let mut from = InBuffer::around(input);
                let mut to = OutBuffer::around(output);
                let result = decoder.run(&mut from, &mut to).map(|more| more == 0);
                let result = result.map_err(|error| error.to_string());
                (from.pos(), to.pos(), result)
            }
        }
    }
}

/// Whether a member or frame begins so; `None` when that takes more bytes.
fn begins(compression: Compression, input: &[u8]) -> Option<bool> {
    let magic = match compression {
        Compression::Gzip => GZIP_MAGIC,
        Compression::Zstd => ZSTD_MAGIC,
    };
    let is_skippable = compression == Compression::Zstd && matches!(input.first(), Some(0x50..=0x5f));
    let (magic, seen) = if is_skippable { (SKIPPABLE_MAGIC, &input[1..]) } else { (magic, input) };
    let shared = seen.len().min(magic.len());
    if seen[..shared] != magic[..shared] {
        return Some(false);
    }
    (shared == magic.len()).then_some(true)
}
