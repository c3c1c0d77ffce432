//! What names an event: byte for byte in `docs/ids.md`.

use crate::config::settings::Format;
use crate::model::{Offset, Print};

/// Bytes from the head of a file that are enough to find its print.
pub const HEAD_BYTES: usize = 8 * 1024;

/// The print of the file's first data line, or `None` while the head does not hold it yet.
///
/// `head` is the file's first bytes: all of them, or [`HEAD_BYTES`]. A data line is the first that is not
/// blank. It is known once its line end, or 1 KiB of it, is there. Where none begins in the first
/// [`HEAD_BYTES`] minus 1 KiB, these bytes stand for it.
#[must_use]
pub fn print_of_head(_head: &[u8], _format: Format) -> Option<Print> {
    unimplemented!("the mapping helper writes this")
}

/// The key of all ids of one stream.
#[must_use]
pub fn stream_key(_instance: &str, _source: &str, _print: Print, _ordinal: u32) -> [u8; 32] {
    unimplemented!("the mapping helper writes this")
}

/// The `external_id` of one event: 26 characters of base32, RFC 4648 alphabet in lower case, no padding.
#[must_use]
pub fn external_id(
    _stream_key: &[u8; 32],
    _at: Offset,
    _record: &[u8],
    _slot: &str,
    _index: u32,
) -> [u8; 26] {
    unimplemented!("the mapping helper writes this")
}
