//! How lines stand in a spool: what came in by a socket or the standard input, until it is billed.
//!
//! A spool is made of files, its segments, so that all that is true of log files is true of it. The first line of a
//! segment is like that of no other file; each further line is a record: `CRC32 TAG TEXT`. The checksum covers tag
//! and text, so a record that a power cut has left half is told from one that was written.

/// What is known of a line's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    Whole,
    /// Its writer left before the line's end.
    Torn,
    /// It is longer than `max_line_bytes`; this is its beginning.
    TooLong,
}

impl Tag {
    const ALL: [Self; 3] = [Self::Whole, Self::Torn, Self::TooLong];

    const fn letter(self) -> u8 {
        match self {
            Self::Whole => b'F',
            Self::Torn => b'E',
            Self::TooLong => b'L',
        }
    }
}

/// What a line of a segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpoolLine<'a> {
    Header,
    Record { tag: Tag, text: &'a [u8] },
    Damaged,
}

/// How the header begins.
const HEADER: &[u8] = b"floe-spool 1 ";

/// Before the text: eight digits, a space, the tag, a space.
pub const OVERHEAD: usize = 11;

/// The first line of a segment. The nonce makes it unlike that of every other one.
#[must_use]
pub fn header(source: &str, number: u64, nonce: u64) -> Vec<u8> {
    let mut line = HEADER.to_vec();
    line.extend_from_slice(format!("{source} {number} {nonce:016x}\n").as_bytes());
    line
}

/// Appends a record. The text holds no line end.
pub fn write_record(out: &mut Vec<u8>, tag: Tag, text: &[u8]) {
    debug_assert!(!text.contains(&b'\n'), "a record is one line");
    out.extend_from_slice(format!("{:08x} ", checksum(tag, text)).as_bytes());
    out.extend_from_slice(&[tag.letter(), b' ']);
    out.extend_from_slice(text);
    out.push(b'\n');
}

/// Reads a line of a segment, which is without its `\n`.
#[must_use]
pub fn read_line(line: &[u8]) -> SpoolLine<'_> {
    if line.starts_with(HEADER) {
        return SpoolLine::Header;
    }
    read_record(line).map_or(SpoolLine::Damaged, |(tag, text)| SpoolLine::Record { tag, text })
}

fn read_record(line: &[u8]) -> Option<(Tag, &[u8])> {
    let (prefix, text) = line.split_at_checked(OVERHEAD)?;
    let digits = std::str::from_utf8(&prefix[..8]).ok()?;
    // Only as it was written: `from_str_radix` also takes capitals and signs.
    let is_plain = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let written = u32::from_str_radix(digits, 16).ok().filter(|_| is_plain)?;
    let tag = Tag::ALL.into_iter().find(|tag| tag.letter() == prefix[9])?;
    let is_whole = prefix[8] == b' ' && prefix[10] == b' ' && checksum(tag, text) == written;
    is_whole.then_some((tag, text))
}

/// Up to where the bytes of a segment may stand: behind its last record that is whole, or its header. What follows
/// was never acknowledged: a write that a crash has cut.
#[must_use]
pub fn sound_length(segment: &[u8]) -> usize {
    let mut sound = 0;
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', segment) {
        if read_line(&segment[start..end]) != SpoolLine::Damaged {
            sound = end + 1;
        }
        start = end + 1;
    }
    sound
}

fn checksum(tag: Tag, text: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[tag.letter(), b' ']);
    hasher.update(text);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(tag: Tag, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_record(&mut out, tag, text);
        out
    }

    fn segment() -> Vec<u8> {
        let mut bytes = header("app", 7, 9);
        for (tag, text) in [(Tag::Whole, &b"{\"a\":1}"[..]), (Tag::TooLong, b""), (Tag::Torn, b"x \xff\0\r")]
        {
            write_record(&mut bytes, tag, text);
        }
        bytes
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(record(Tag::Whole, b"{\"a\":1}"), b"79807fa4 F {\"a\":1}\n");
        for tag in Tag::ALL {
            for text in [&b""[..], b" ", b"a b", b"\r", b"\xff\0", b"floe-spool 1 x"] {
                let line = record(tag, text);
                let bare = line.strip_suffix(b"\n").unwrap();
                assert_eq!(read_line(bare), SpoolLine::Record { tag, text }, "{line:?}");
            }
        }
        assert_eq!(read_line(b"floe-spool 1 app 7 0000000000000009"), SpoolLine::Header);
        assert_eq!(header("app", 7, 9), b"floe-spool 1 app 7 0000000000000009\n");
    }

    #[test]
    fn no_damage_of_a_record_goes_unseen() {
        let line = record(Tag::Whole, b"{\"a\":1}");
        let bare = line.strip_suffix(b"\n").unwrap();
        for at in 0..bare.len() {
            assert_eq!(read_line(&bare[..at]), SpoolLine::Damaged, "cut at {at}");
            for bit in [1, 2, 0x20, 0x80] {
                let mut altered = bare.to_vec();
                altered[at] ^= bit;
                assert_eq!(read_line(&altered), SpoolLine::Damaged, "bit {bit} of byte {at} altered");
            }
        }
        assert_eq!(read_line(&vec![0; bare.len()]), SpoolLine::Damaged, "zeroed");
    }

    #[test]
    fn s27_a_torn_tail_is_told_at_every_byte() {
        let whole = segment();
        let ends: Vec<usize> = memchr::memchr_iter(b'\n', &whole).map(|end| end + 1).collect();
        for cut in 0..=whole.len() {
            let kept = ends.iter().copied().filter(|end| *end <= cut).max().unwrap_or(0);
            assert_eq!(sound_length(&whole[..cut]), kept, "cut at {cut}");
            // A power cut leaves a file of the new length, with zeros in it.
            let mut zeroed = whole[..cut].to_vec();
            zeroed.resize(whole.len() + 100, 0);
            assert_eq!(sound_length(&zeroed), kept, "zeros from {cut}");
        }
    }

    #[test]
    fn a_damaged_record_between_sound_ones_is_no_tail() {
        let mut bytes = segment();
        let at = header("app", 7, 9).len() + OVERHEAD;
        bytes[at] ^= 1;
        assert_eq!(sound_length(&bytes), bytes.len());
        assert_eq!(sound_length(b"nothing of ours\n"), 0);
    }
}
