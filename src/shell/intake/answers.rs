//! What a writer is to hear: `ok` for each line that is durable.
//!
//! He may send all that he has before he listens. So what he has not taken yet is a number, and keeps nobody from reading
//! on: if Floe waited for him to listen while he waits for Floe to read, both would wait for ever.

use std::io::{self, ErrorKind};

const OK: &[u8] = b"ok\n";

/// Answers that one write carries at most.
const MOST_AT_ONCE: usize = 4096;

#[derive(Debug, Default)]
pub struct Answers {
    /// Of the first one a part may have been taken.
    owed_bytes: usize,
}

impl Answers {
    pub fn owe(&mut self, lines: usize) {
        self.owed_bytes += lines * OK.len();
    }

    #[must_use]
    pub fn are_owed(&self) -> bool {
        self.owed_bytes > 0
    }

    /// Writes as much as is taken. To one who is gone nothing is owed.
    pub fn write(&mut self, mut write: impl FnMut(&[u8]) -> io::Result<usize>) {
        while self.are_owed() {
            let whole = OK.repeat(self.owed_bytes.div_ceil(OK.len()).min(MOST_AT_ONCE));
            let taken_before = (OK.len() - self.owed_bytes % OK.len()) % OK.len();
            match write(&whole[taken_before..]) {
                Ok(count) => self.owed_bytes -= count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.owed_bytes = 0,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s27_answers_are_whole_however_they_are_taken() {
        for room in [1, 2, 3, 4, 7, 100_000] {
            let (mut answers, mut heard) = (Answers::default(), Vec::new());
            for lines in [1, 5, 0, MOST_AT_ONCE + 1] {
                answers.owe(lines);
                let mut left = room;
                answers.write(|bytes| {
                    let count = bytes.len().min(left);
                    left -= count;
                    heard.extend_from_slice(&bytes[..count]);
                    if count == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(count) }
                });
            }
            answers.write(|bytes| {
                heard.extend_from_slice(bytes);
                Ok(bytes.len())
            });
            assert!(!answers.are_owed());
            assert_eq!(heard, OK.repeat(MOST_AT_ONCE + 7), "taken by {room}");
        }
    }

    #[test]
    fn nothing_is_owed_to_one_who_is_gone() {
        let mut answers = Answers::default();
        answers.owe(3);
        answers.write(|_| Err(ErrorKind::BrokenPipe.into()));
        assert!(!answers.are_owed());
    }
}
