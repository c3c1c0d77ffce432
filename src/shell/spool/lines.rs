//! Bytes of one writer → records of the spool.

use crate::mapping::spool::{Tag, write_record};

/// Records that are ready for the spool.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Records {
    pub bytes: Vec<u8>,
    pub lines: usize,
}

/// Cuts what one writer sends into lines, wherever its writes end. Holds one line at most, and of that no more than
/// may be kept.
#[derive(Debug)]
pub struct LineCutter {
    max_bytes: usize,
    /// The beginning of a line whose end has not come yet.
    partial: Vec<u8>,
    /// More of it has come than may be kept.
    is_too_long: bool,
    ready: Records,
}

impl LineCutter {
    #[must_use]
    pub fn new(max_bytes: u32) -> Self {
        let max_bytes = usize::try_from(max_bytes).expect("a size of 32 bits fits");
        Self { max_bytes, partial: Vec::new(), is_too_long: false, ready: Records::default() }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            match piece.strip_suffix(b"\n") {
                Some(end) if self.partial.is_empty() && !self.is_too_long && end.len() <= self.max_bytes => {
                    self.add(Tag::Whole, end);
                }
                Some(end) => {
                    self.keep(end);
                    self.end_line(Tag::Whole);
                }
                None => self.keep(piece),
            }
        }
    }

    /// The writer has left: what it began is all that there will be.
    pub fn leave(&mut self) {
        if !self.partial.is_empty() {
            self.end_line(Tag::Torn);
        }
    }

    /// A datagram ends its last line.
    pub fn end_datagram(&mut self) {
        if !self.partial.is_empty() {
            self.end_line(Tag::Whole);
        }
    }

    /// Bytes of the line that has not ended.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.partial.len()
    }

    /// Bytes of records to be taken.
    #[must_use]
    pub fn ready_bytes(&self) -> usize {
        self.ready.bytes.len()
    }

    /// `None`: no line has ended.
    pub fn take(&mut self) -> Option<Records> {
        (self.ready.lines > 0).then(|| std::mem::take(&mut self.ready))
    }

    fn keep(&mut self, piece: &[u8]) {
        let room = self.max_bytes - self.partial.len();
        self.is_too_long |= piece.len() > room;
        self.partial.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    fn end_line(&mut self, tag: Tag) {
        let line = std::mem::take(&mut self.partial);
        let tag = if std::mem::take(&mut self.is_too_long) { Tag::TooLong } else { tag };
        self.add(tag, &line);
    }

    fn add(&mut self, tag: Tag, text: &[u8]) {
        write_record(&mut self.ready.bytes, tag, text);
        self.ready.lines += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::spool::{SpoolLine, read_line};

    fn texts(records: &Records) -> Vec<String> {
        let lines = records.bytes.split_inclusive(|byte| *byte == b'\n');
        let show = |line: &[u8]| match read_line(line.strip_suffix(b"\n").unwrap()) {
            SpoolLine::Record { tag, text } => format!("{tag:?} {}", String::from_utf8_lossy(text)),
            other => panic!("{other:?}"),
        };
        lines.map(show).collect()
    }

    /// However the bytes come in, the lines are the same.
    #[track_caller]
    fn check(sent: &str, expected: &[&str]) {
        for first in 0..=sent.len() {
            for second in first..=sent.len() {
                let mut lines = LineCutter::new(5);
                for part in [&sent[..first], &sent[first..second], &sent[second..]] {
                    lines.push(part.as_bytes());
                    assert!(lines.held_bytes() <= 5);
                }
                lines.leave();
                let records = lines.take().unwrap_or_default();
                assert_eq!(texts(&records), expected, "{sent:?} cut at {first} and {second}");
                assert_eq!(records.lines, expected.len());
                assert_eq!(lines.take(), None);
            }
        }
    }

    #[test]
    fn s27_lines_are_the_same_however_they_come_in() {
        check("", &[]);
        check("a\nb\n", &["Whole a", "Whole b"]);
        check("\n\r\n", &["Whole ", "Whole \r"]);
        check("12345\n123456\n1\n", &["Whole 12345", "TooLong 12345", "Whole 1"]);
        check("1234567890\nx", &["TooLong 12345", "Torn x"]);
        check("ab\n123456789", &["Whole ab", "TooLong 12345"]);
    }

    #[test]
    fn s27_a_datagram_needs_no_line_end() {
        for (sent, expected) in
            [("a", &["Whole a"][..]), ("a\nb", &["Whole a", "Whole b"]), ("a\n", &["Whole a"])]
        {
            let mut lines = LineCutter::new(5);
            lines.push(sent.as_bytes());
            lines.end_datagram();
            assert_eq!(texts(&lines.take().unwrap()), expected);
        }
    }
}
