//! The segment of an event: which part of which stream its line stands in, as a text that the event carries.
//!
//! Polar shows no `external_id`, so whoever compares needs something to ask for. It says nothing that the id does not
//! say, and depends on nothing else: an event is the same bytes however often it is sent.

use crate::model::Offset;
use crate::model::file::short_print;

/// A segment begins at each multiple of this.
pub const SEGMENT_BYTES: u64 = 16 << 20;

/// The number of the segment that a line at this place is of.
#[must_use]
pub const fn segment_number(at: Offset) -> u64 {
    at.0 / SEGMENT_BYTES
}

/// 16 hex digits for the stream, a hyphen, and the number of the segment in hex.
#[must_use]
pub fn segment_name(stream_key: &[u8; 32], number: u64) -> String {
    format!("{:016x}-{number:x}", short_print(stream_key))
}

/// Adds the key to the event that ends the body. `key` is JSON up to the value: `"floe_segment":"`.
pub(super) fn write(out: &mut Vec<u8>, key: &str, stream_key: &[u8; 32], at: Offset) {
    const END: &[u8] = b"}},";
    assert!(out.ends_with(END), "an event ends with its metadata");
    out.truncate(out.len() - END.len());
    if !out.ends_with(b"{") {
        out.push(b',');
    }
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(segment_name(stream_key, segment_number(at)).as_bytes());
    out.push(b'"');
    out.extend_from_slice(END);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_the_last_of_the_metadata_and_names_stream_and_place() {
        let check = |body: &str, at: u64, expected: &str| {
            let mut out = body.as_bytes().to_vec();
            write(&mut out, "\"floe_segment\":\"", &[7; 32], Offset(at));
            assert_eq!(String::from_utf8(out), Ok(expected.to_owned()));
        };
        let stream = format!("{:016x}", short_print(&[7; 32]));
        check("x{\"metadata\":{}},", 0, &format!("x{{\"metadata\":{{\"floe_segment\":\"{stream}-0\"}}}},"));
        let expected = format!("{{\"metadata\":{{\"n\":1,\"floe_segment\":\"{stream}-a\"}}}},");
        check("{\"metadata\":{\"n\":1}},", 10 * SEGMENT_BYTES, &expected);
        check("{\"metadata\":{\"n\":1}},", 11 * SEGMENT_BYTES - 1, &expected);
    }
}
