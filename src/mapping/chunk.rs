//! Some bytes of a stream → one [`MappedChunk`]. (Contract; the body is the mapping part's.)

use jiff::Timestamp;

use super::rules::Rules;
use crate::config::settings::Captures;
use crate::model::chunk::LongLine;
use crate::model::{Guard, MappedChunk, Offset, SourceIndex};

/// What mapping needs to know beside the bytes.
#[derive(Debug, Clone, Copy)]
pub struct MapContext<'a> {
    pub rules: &'a Rules,
    pub source: SourceIndex,
    /// `identity::stream_key` of the stream.
    pub stream_key: &'a [u8; 32],
    /// For quarantine records only.
    pub path: &'a str,
    /// `@path.name` values.
    pub captures: &'a Captures,
    /// The bytes before the first given one, by their guard, as the stream remembers them. `None`: unknown.
    pub expected: Option<Guard>,
    /// Set while a line over the limit is read past; the bytes then begin at `searched`.
    pub long_line: Option<LongLine>,
    /// Polar's clock.
    pub polar_now: Timestamp,
    /// Bytes of `body`, `held` and `letters` after which mapping stops. One line may go past it.
    pub room: usize,
}

/// Bytes of a file: up to [`Guard::REACH`] before `base`, then those to map.
#[derive(Debug, Clone, Copy)]
pub struct ReadWindow<'a> {
    /// The bytes before `base`: `min(base, Guard::REACH)` of them.
    pub before: &'a [u8],
    pub base: Offset,
    pub bytes: &'a [u8],
}

/// Why a read gave no chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadFault {
    /// The file is shorter than the asked offset: it was truncated.
    Shrunk { size: u64 },
    /// The bytes before the offset are not the ones that the stream remembers.
    GuardDiffers,
    /// The file is not open any more and cannot be opened again under its key.
    Gone,
    /// The operating system says so.
    Io(String),
}

/// Buffers kept between calls.
#[derive(Debug, Default)]
pub struct Scratch {}

/// Maps the whole lines of `window`.
///
/// # Errors
/// [`ReadFault::GuardDiffers`], when the bytes before are not the expected ones.
pub fn map(
    _context: &MapContext<'_>,
    _window: ReadWindow<'_>,
    _scratch: &mut Scratch,
) -> Result<MappedChunk, ReadFault> {
    unimplemented!("the mapping helper writes this")
}

/// Maps the unterminated last line of a file that is gone: `window.bytes` from its start to the end of the
/// file. It is billed only if it is a closed JSON object, else quarantined(partial_eof) where a rule wants
/// it and ignored(no_rule) where none does.
///
/// # Errors
/// As [`map`].
pub fn map_last_line(
    _context: &MapContext<'_>,
    _window: ReadWindow<'_>,
    _scratch: &mut Scratch,
) -> Result<MappedChunk, ReadFault> {
    unimplemented!("the mapping helper writes this")
}
