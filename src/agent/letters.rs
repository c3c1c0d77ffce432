//! Quarantine records on their way to the disk. A line is settled as quarantined once its letter is durable.

use std::time::Duration;

use bytes::Bytes;

use super::books::ChunkId;
use super::border::{DiskFault, LettersId, Now};
use super::notice::{Notice, NoticeCode};
use crate::model::{Moment, Quarantined, Span};

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
    pub span: Span,
    pub rule: &'a str,
    pub detail: &'a str,
    /// The events that Polar refused, separated by `,`.
    pub events: &'a [u8],
}

impl Condemned<'_> {
    /// The letter as a JSON line. The line's text is not at hand any more; the events that were made of it are.
    pub(super) fn letter(&self) -> Bytes {
        let events = [b"[", self.events, b"]"].concat();
        let events: serde_json::Value = serde_json::from_slice(&events).unwrap_or_default();
        let letter = serde_json::json!({
            "reason": self.reason.code(),
            "source": self.source,
            "path": self.path,
            "offset": self.span.start.0,
            "length": self.span.len(),
            "rule": self.rule,
            "detail": self.detail,
            "events": events,
        });
        Bytes::from(format!("{letter}\n"))
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
            "mend the rule or the log, then move the quarantine files away or raise `limits.quarantine_max_bytes`",
        ),
        other => (
            format!("cannot write the quarantine: {}; lines that need it are held back", super::words(other)),
            "give Floe's user write access to its state folder, and the disk some room",
        ),
    };
    Notice { code: NoticeCode::QuarantineBlocked, message, hint: Some(hint.to_owned()) }
}
