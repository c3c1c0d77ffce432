//! What names an event: byte for byte in `docs/ids.md`.
//!
//! The hash is blake3 because a customer may choose what stands in a line: nobody can make two lines whose
//! ids collide. Nothing here may change while an id given by an earlier release can come again.

use super::framing::HeaderRule;
use crate::config::settings::Format;
use crate::model::{Offset, Print};

/// Bytes from the head of a file that are enough to find its print.
pub const HEAD_BYTES: usize = 8 * 1024;

/// Characters of an id.
pub(super) const ID_BYTES: usize = 26;

/// Bytes of the first data line that its print looks at.
const PRINT_BYTES: usize = 1024;

/// White space at the start of a file after which no data line is waited for.
const BLANK_BYTES: usize = HEAD_BYTES - PRINT_BYTES;

/// The UTF-8 byte order mark. At the start of a file it belongs to no line.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

const KEY_CONTEXT: &str = "floe 2026-11-21 stream key v1";

/// The print of the file's first data line, or `None` while the head does not hold it yet.
///
/// `head` is the file's first bytes: all of them, or [`HEAD_BYTES`]. A data line is the first that is neither
/// blank nor a header or comment of the format. It is known once its line end, or more than 1 KiB of it, is there.
/// Where none starts in the first [`HEAD_BYTES`] minus 1 KiB, these bytes stand for it. For a file that is gone and
/// never had a line end, add one to the head.
#[must_use]
pub fn print_of_head(head: &[u8], format: &Format) -> Option<Print> {
    let rule = HeaderRule::of(format);
    let mut header_is_known = false;
    let mut at = if head.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    if let Some(start) = head.get(..BLANK_BYTES)
        && is_blank(&start[at..])
    {
        return Some(print(start));
    }
    while at < BLANK_BYTES {
        let rest = &head[at..];
        let Some(end) = memchr::memchr(b'\n', rest) else {
            if rule.takes(rest, header_is_known) {
                break;
            }
            // One byte more than is hashed: a carriage return at its end may belong to a line end.
            let known = rest.len() > PRINT_BYTES && !is_blank(rest);
            return known.then(|| print(&rest[..PRINT_BYTES]));
        };
        let record = record_of(&rest[..=end]);
        let is_header = rule.takes(record, header_is_known);
        header_is_known |= is_header;
        if !is_blank(record) && !is_header {
            return Some(print(&record[..record.len().min(PRINT_BYTES)]));
        }
        at += end + 1;
    }
    head.get(..BLANK_BYTES).map(print)
}

/// The key of all ids of one stream.
#[must_use]
pub fn stream_key(instance: &str, source: &str, print: Print, ordinal: u32) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(KEY_CONTEXT);
    for text in [instance, source] {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.update(&print.0);
    hasher.update(&ordinal.to_le_bytes());
    *hasher.finalize().as_bytes()
}

/// The `external_id` of one event: 26 characters of base32, RFC 4648 alphabet in lower case, no padding.
///
/// `record` is the line without its line end and, at offset 0, without a byte order mark.
#[must_use]
pub fn external_id(
    stream_key: &[u8; 32],
    at: Offset,
    record: &[u8],
    slot: &str,
    index: u32,
) -> [u8; ID_BYTES] {
    let mut text = Vec::new();
    write_text(&mut text, at, record, slot, index);
    let hash = blake3::keyed_hash(stream_key, &text);
    base32(hash.as_bytes()[..16].try_into().expect("a hash has 32 bytes"))
}

/// Writes what an id is the keyed hash of.
pub(super) fn write_text(text: &mut Vec<u8>, at: Offset, record: &[u8], slot: &str, index: u32) {
    let slot_length = u32::try_from(slot.len()).expect("the id of a rule is short");
    text.extend_from_slice(&at.0.to_le_bytes());
    text.extend_from_slice(&slot_length.to_le_bytes());
    text.extend_from_slice(slot.as_bytes());
    text.extend_from_slice(&index.to_le_bytes());
    text.extend_from_slice(&(record.len() as u64).to_le_bytes());
    text.extend_from_slice(record);
}

/// The line without its line end: `\n`, and a `\r` before it.
pub(super) fn record_of(line: &[u8]) -> &[u8] {
    let Some(record) = line.strip_suffix(b"\n") else { return line };
    record.strip_suffix(b"\r").unwrap_or(record)
}

/// A line without a byte order mark, which belongs to no line.
pub(super) fn without_mark(line: &[u8]) -> &[u8] {
    line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)
}

/// White space only.
#[must_use]
pub fn is_blank(record: &[u8]) -> bool {
    record.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c))
}

fn print(bytes: &[u8]) -> Print {
    let hash = blake3::hash(bytes);
    Print(hash.as_bytes()[..16].try_into().expect("a hash has 32 bytes"))
}

/// 26 characters, RFC 4648 alphabet in lower case, no padding.
pub(super) fn base32(bytes: [u8; 16]) -> [u8; ID_BYTES] {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let sign = |five: u64| ALPHABET[(five & 31) as usize];
    let mut text = [0; ID_BYTES];
    // Five bytes are eight characters; the last byte is two, filled up with two zero bits.
    let (fives, last) = bytes.as_chunks::<5>();
    let (eights, rest) = text.as_chunks_mut::<8>();
    for (five, eight) in fives.iter().zip(eights) {
        let bits = five.iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte));
        for (at, character) in eight.iter_mut().enumerate() {
            *character = sign(bits >> (35 - 5 * at));
        }
    }
    rest.copy_from_slice(&[sign(u64::from(last[0] >> 3)), sign(u64::from(last[0] << 2))]);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print_of(head: &[u8]) -> Option<Print> {
        print_of_head(head, &Format::Json)
    }

    /// The vectors of `docs/ids.md`, which a Python program computed.
    #[test]
    fn ids_are_those_of_the_document() {
        let document = include_str!("../../docs/ids.md");
        let vectors = document
            .split("```vectors\n")
            .nth(1)
            .and_then(|rest| rest.split("```").next())
            .expect("the document has vectors");
        let mut seen = 0;
        for vector in vectors.lines() {
            let fields: serde_json::Value = serde_json::from_str(vector).unwrap();
            let text = |name: &str| fields[name].as_str().unwrap();
            let number = |name: &str| fields[name].as_u64().unwrap();
            let print = print_of(text("head").as_bytes()).unwrap();
            assert_eq!(print.to_string(), text("print"), "{vector}");
            let ordinal = u32::try_from(number("ordinal")).unwrap();
            let index = u32::try_from(number("index")).unwrap();
            let key = stream_key(text("instance"), text("source"), print, ordinal);
            let record = text("record").as_bytes();
            let id = external_id(&key, Offset(number("offset")), record, text("slot"), index);
            assert_eq!(std::str::from_utf8(&id).unwrap(), text("external_id"), "{vector}");
            seen += 1;
        }
        assert!(seen >= 5);
    }

    #[test]
    fn the_print_is_of_the_first_line_with_something_in_it() {
        let wanted = print_of(b"{\"a\":1}\n");
        assert!(wanted.is_some());
        assert_eq!(print_of(b"\n  \r\n{\"a\":1}\r\n{\"b\":2}\n"), wanted);
        assert_eq!(print_of(b"\xef\xbb\xbf{\"a\":1}\n"), wanted);
        assert_ne!(print_of(b"{\"a\":2}\n"), wanted);
    }

    #[test]
    fn a_print_once_known_never_changes_while_the_file_grows() {
        let endings = [&b"\r\n"[..], b"\n", b"\rx\n", b"xy\n", b"\r\r\n"];
        for length in [0, 1, 1022, 1023, 1024, 1025, 3000] {
            for ending in endings {
                for lead in [0, 1, 7166, 7167, 7168, 9000] {
                    let mut file = vec![b'\n'; lead];
                    file.extend(std::iter::repeat_n(b'x', length));
                    file.extend_from_slice(ending);
                    file.extend_from_slice(b"more of it\n");
                    file.resize(2 * HEAD_BYTES + lead, b'y');
                    let last = print_of(&file[..HEAD_BYTES]).expect("a full head always has a print");
                    let near = |size: usize, place: usize| size.abs_diff(place) < 4;
                    let sizes = (0..HEAD_BYTES).filter(|size| {
                        size % 97 == 0 || near(*size, lead + length) || near(*size, lead + PRINT_BYTES)
                    });
                    for known in sizes.filter_map(|size| print_of(&file[..size])) {
                        assert_eq!(known, last, "{length} {ending:?} {lead}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_blank_head_stands_for_itself() {
        assert_eq!(print_of(&[b' '; 7167]), None);
        assert!(print_of(&[b' '; 7168]).is_some());
        assert_eq!(print_of(&[b' '; 7168]), print_of(&[b' '; HEAD_BYTES]));
        assert_ne!(print_of(&[b' '; HEAD_BYTES]), print_of(&[b'\n'; HEAD_BYTES]));
    }

    #[test]
    fn every_part_of_an_identity_changes_it() {
        let print = Print([7; 16]);
        let key = stream_key("host", "app", print, 0);
        for other in [
            stream_key("hos", "tapp", print, 0),
            stream_key("host", "app", Print([8; 16]), 0),
            stream_key("host", "app", print, 1),
        ] {
            assert_ne!(key, other);
        }
        let id = external_id(&key, Offset(5), b"{}", "", 0);
        for other in [
            external_id(&key, Offset(6), b"{}", "", 0),
            external_id(&key, Offset(5), b"{ }", "", 0),
            external_id(&key, Offset(5), b"{}", "a", 0),
            external_id(&key, Offset(5), b"{}", "", 1),
        ] {
            assert_ne!(id, other);
        }
    }
}
