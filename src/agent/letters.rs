//! Quarantine records on their way to the disk. A line is settled as quarantined once its letter is durable.

use std::time::Duration;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::books::ChunkId;
use super::border::{DiskFault, LettersId, Now};
use super::notice::{Notice, NoticeCode};
use crate::config::settings::Captures;
use crate::model::{Generation, Letter, Moment, Quarantined, Span};

/// How long to wait after the quarantine was full or the disk said no.
const RETRY: Duration = Duration::from_secs(5);

/// Bytes that are written at once, about.
const MOST_AT_ONCE: usize = 1024 * 1024;

/// Letters that wait or are being written.
#[derive(Debug, Default)]
pub(super) struct Letters {
    waiting: Vec<(ChunkId, Bytes)>,
    writing: Option<(LettersId, usize)>,
    next: u64,
    retry_at: Moment,
    blocked: bool,
}

/// What a condemned line's letter says.
#[derive(Debug)]
pub(super) struct Condemned<'a> {
    pub reason: Quarantined,
    pub source: &'a str,
    pub path: &'a str,
    pub generation: Generation,
    pub captures: &'a Captures,
    pub span: Span,
    pub rule: &'a str,
    pub detail: &'a str,
    /// The events that Polar refused, separated by `,`.
    pub events: &'a [u8],
}

impl Condemned<'_> {
    /// The letter as a JSON line. The line's text is not at hand any more; the events that were made of it
    /// are, word for word: a number must not lose its last digit on the way to a retry.
    pub(super) fn letter(&self) -> Bytes {
        let events = format!("[{}]", String::from_utf8_lossy(self.events));
        let letter = Letter {
            quarantined_at: None,
            reason: self.reason,
            source: self.source.into(),
            path: self.path.into(),
            offset: self.span.start,
            length: self.span.len(),
            print: Some(self.generation.print.to_string().into()),
            ordinal: Some(self.generation.ordinal),
            captures: self.captures.clone(),
            header: None,
            rule: Some(self.rule.into()),
            detail: self.detail.into(),
            text_bytes_kept: None,
            text_print: None,
            text: None,
            bytes: None,
            events: Some(RawValue::from_string(events).expect("mapping writes events as JSON")),
        };
        letter.to_line().into()
    }
}

impl Letters {
    pub(super) fn push(&mut self, chunk: ChunkId, text: Bytes) {
        self.waiting.push((chunk, text));
    }

    pub(super) fn are_home(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Why nothing is read, where the quarantine is the reason.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// The next letters to write.
    pub(super) fn next_write(&mut self, now: Now) -> Option<(LettersId, Bytes)> {
        if self.writing.is_some() || self.waiting.is_empty() || now.moment < self.retry_at {
            return None;
        }
        let mut text = Vec::new();
        let mut count = 0;
        for (_, letter) in &self.waiting {
            if count > 0 && text.len() + letter.len() > MOST_AT_ONCE {
                break;
            }
            text.extend_from_slice(letter);
            count += 1;
        }
        self.next += 1;
        let id = LettersId(self.next);
        self.writing = Some((id, count));
        Some((id, Bytes::from(text)))
    }

    /// Takes an answer in: the chunks whose letters are durable now, one for each letter, and what to say.
    pub(super) fn written(
        &mut self,
        id: LettersId,
        result: &Result<(), DiskFault>,
        now: Now,
    ) -> (Vec<ChunkId>, Option<Notice>) {
        let Some((writing, count)) = self.writing.take() else { return (Vec::new(), None) };
        assert_eq!(writing, id, "letters are written one batch at a time");
        match result {
            Ok(()) => {
                let chunks = self.waiting.drain(..count).map(|(chunk, _)| chunk).collect();
                let unblocked = std::mem::take(&mut self.blocked);
                (chunks, unblocked.then(unblocked_notice))
            }
            Err(fault) => {
                self.retry_at = now.moment + RETRY;
                let first = !std::mem::replace(&mut self.blocked, true);
                (Vec::new(), first.then(|| blocked_notice(fault)))
            }
        }
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        (self.writing.is_none() && !self.waiting.is_empty()).then_some(self.retry_at)
    }
}

fn unblocked_notice() -> Notice {
    let message = "the quarantine can be written again".to_owned();
    Notice { code: NoticeCode::QuarantineUnblocked, message, hint: None }
}

fn blocked_notice(fault: &DiskFault) -> Notice {
    let (message, hint) = match fault {
        DiskFault::Full => (
            "the quarantine is full; lines that need it are held back, and so are those behind them"
                .to_owned(),
            "mend the rule or the log, then `floe quarantine retry`; or `floe quarantine discard`; or raise `limits.quarantine_max_bytes`",
        ),
        other => (
            format!("cannot write the quarantine: {}; lines that need it are held back", super::words(other)),
            "give Floe's user write access to its state folder, and the disk some room",
        ),
    };
    Notice { code: NoticeCode::QuarantineBlocked, message, hint: Some(hint.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Offset, Print, StreamId};

    const CHUNK: ChunkId = ChunkId { stream: StreamId(1), number: 0 };

    fn now(ms: u64) -> Now {
        Now { moment: Moment::from_nanos(ms * 1_000_000), wall: jiff::Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn a_letter_keeps_the_events_word_for_word() {
        let letter = Condemned {
            reason: Quarantined::RefusedByPolar,
            source: "app",
            path: "/var/log/\"app\".log",
            generation: Generation { print: Print([7; 16]), ordinal: 1 },
            captures: &Captures::from([("tenant".to_owned(), "a".to_owned())]),
            span: Span { start: Offset(7), end: Offset(20) },
            rule: "r",
            detail: "why",
            events: br#"{"z":0.1000000000000000055511,"a":"\ud800"},{"n":1e999}"#,
        };
        let expected = concat!(
            r#"{"reason":"refused_by_polar","source":"app","path":"/var/log/\"app\".log","offset":7,"length":13,"#,
            r#""print":"07070707070707070707070707070707","ordinal":1,"captures":{"tenant":"a"},"#,
            r#""rule":"r","detail":"why","events":[{"z":0.1000000000000000055511,"a":"\ud800"},{"n":1e999}]}"#,
            "\n"
        );
        assert_eq!(std::str::from_utf8(&letter.letter()).unwrap(), expected);
    }

    #[test]
    fn a_full_quarantine_is_told_once_and_tried_again() {
        let mut letters = Letters::default();
        letters.push(CHUNK, Bytes::from_static(b"{}\n"));
        for try_at in [0, 5_000, 10_000] {
            let (id, text) = letters.next_write(now(try_at)).expect("it is time");
            assert_eq!(&text[..], b"{}\n");
            assert!(letters.deadline().is_none(), "the answer comes first");
            let (chunks, notice) = letters.written(id, &Err(DiskFault::Full), now(try_at));
            assert_eq!((chunks.len(), notice.is_some()), (0, try_at == 0));
            assert!(letters.is_blocked() && letters.next_write(now(try_at + 4_999)).is_none());
        }
        let (id, _) = letters.next_write(now(15_000)).expect("it is time");
        let (chunks, notice) = letters.written(id, &Ok(()), now(15_000));
        assert_eq!(
            (chunks, notice.map(|notice| notice.code)),
            (vec![CHUNK], Some(NoticeCode::QuarantineUnblocked))
        );
        assert!(letters.are_home() && !letters.is_blocked());
    }

    #[test]
    fn letters_are_written_in_order_and_a_giant_goes_alone() {
        let mut letters = Letters::default();
        for size in [10, 2 * MOST_AT_ONCE, 20, 30] {
            letters.push(CHUNK, Bytes::from(vec![b'x'; size]));
        }
        for expected in [10, 2 * MOST_AT_ONCE, 50] {
            let (id, text) = letters.next_write(now(0)).unwrap();
            assert_eq!(text.len(), expected);
            letters.written(id, &Ok(()), now(0));
        }
        assert!(letters.are_home());
    }
}
