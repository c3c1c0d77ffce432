//! A quarantined line, mapped once more by the rules as they are now. The same place and the same bytes give the
//! same ids, so what was billed meanwhile by another way is not billed twice.

use jiff::Timestamp;

use super::chunk::{End, MapContext, ReadWindow, Scratch, map};
use super::framing::HeaderRule;
use super::identity::{BYTE_ORDER_MARK, external_id, record_of, without_mark};
use crate::model::chunk::Carry;
use crate::model::letter::text_print;
use crate::model::{Fate, Ignored, Letter, MappedChunk, Offset, Quarantined};

/// What becomes of the line now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Again {
    Billed(AgainBilled),
    Ignored(Ignored),
    Quarantined {
        reason: Quarantined,
        detail: String,
        rule: Option<String>,
    },
    /// The bytes are no one record any more: the container, `multiline` or the format is another one.
    OtherRecords,
}

/// The events of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgainBilled {
    /// Each followed by `,`.
    pub body: Vec<u8>,
    pub events: u16,
    /// The place in the settings of the first rule that emitted.
    pub rule: u16,
    /// Set where an event is of the future of Polar's clock: the latest of them.
    pub due: Option<Timestamp>,
    pub natural_ids: bool,
}

/// The line of a letter as it stood in its file, if all its bytes are kept.
#[must_use]
pub fn lines_of(letter: &Letter<'_>, context: &MapContext<'_>) -> Option<Vec<u8>> {
    let whole = letter.whole()?;
    let mut lines = Vec::with_capacity(whole.len() + 5);
    // A plain line's text has lost the mark, and a line that begins with two has only one to lose.
    if letter.offset == Offset::ZERO && context.rules.is_plain(context.source) {
        lines.extend_from_slice(BYTE_ORDER_MARK);
    }
    lines.extend_from_slice(&whole);
    // The end of a torn line was never written, and must not be made up here.
    if letter.reason != Quarantined::PartialEof {
        lines.extend_from_slice(if whole.ends_with(b"\r") { b"\r\n" } else { b"\n" });
    }
    Some(lines)
}

/// Whether these lines of the file are the letter's, of which it keeps no more than a print.
#[must_use]
pub fn are_lines_of(letter: &Letter<'_>, context: &MapContext<'_>, lines: &[u8]) -> bool {
    let record = record_of(lines);
    let is_plain = context.rules.is_plain(context.source);
    let record = if is_plain && letter.offset == Offset::ZERO { without_mark(record) } else { record };
    letter.text_print.as_deref() == Some(text_print(record).as_str())
}

/// Maps the lines of one record, which stand at `at`. `header` names the columns, where there is such a line.
#[must_use]
pub fn map_again(context: &MapContext<'_>, at: Offset, lines: &[u8], header: Option<&str>) -> Again {
    let context = MapContext { expected: None, long_line: None, room: usize::MAX, ..*context };
    let rules = &context.rules.sources[usize::from(context.source.0)];
    if header.is_none() && rules.framing.header != HeaderRule::None {
        return Again::OtherRecords;
    }
    let header_line = header.map(|line| [line.as_bytes(), b"\n"].concat()).unwrap_or_default();
    let window = ReadWindow {
        end: End::File { beyond: b"" },
        carry: Carry { header: header.map(|_| Offset::ZERO), ..Carry::default() },
        header: &header_line,
        ..ReadWindow::new(b"", at, lines)
    };
    let chunk = map(&context, window, &mut Scratch::default()).expect("no guard is expected");
    outcome_of(chunk)
}

fn outcome_of(chunk: MappedChunk) -> Again {
    let without_events = chunk.settled.total().lines + chunk.in_letters.total().lines;
    match (without_events, &chunk.lines[..], &chunk.held[..]) {
        (0, [line], []) => Again::Billed(AgainBilled {
            body: chunk.body,
            events: line.events,
            rule: line.rule,
            due: None,
            natural_ids: chunk.natural_ids,
        }),
        (0, [], [held]) => Again::Billed(AgainBilled {
            body: held.body.clone(),
            events: held.line.events,
            rule: held.line.rule,
            due: Some(held.due),
            natural_ids: chunk.natural_ids,
        }),
        (1, [], []) => {
            let fate = chunk.settled.iter().chain(chunk.in_letters.iter()).map(|(fate, _)| fate).next();
            match fate.expect("a line has a fate") {
                Fate::Ignored(reason) => Again::Ignored(reason),
                Fate::Billed => unreachable!("billed lines stand in `lines`"),
                Fate::Quarantined(reason) => refused(reason, &chunk.letters),
            }
        }
        _ => Again::OtherRecords,
    }
}

fn refused(reason: Quarantined, letter: &[u8]) -> Again {
    let letter: Letter<'_> = serde_json::from_slice(letter).expect("mapping writes letters as JSON");
    let rule = letter.rule.map(std::borrow::Cow::into_owned);
    Again::Quarantined { reason, detail: letter.detail.into_owned(), rule }
}

/// Indexes of an exploded array that are tried.
const INDEXES_TRIED: u32 = 1024;

/// Whether one of these ids was made of the line that stands at `at` with these bytes: then it is the very line. A
/// natural id says nothing of a place, so it never is.
#[must_use]
pub fn is_named_by(
    context: &MapContext<'_>,
    at: Offset,
    lines: &[u8],
    rule: Option<&str>,
    ids: &[String],
) -> bool {
    let first = record_of(lines.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default());
    let first = if at == Offset::ZERO { without_mark(first) } else { first };
    let is_one = |slot: &str, index: u32| {
        let id = external_id(context.stream_key, at, first, slot, index);
        ids.iter().any(|known| known.as_bytes() == id)
    };
    ["", rule.unwrap_or_default()].into_iter().any(|slot| (0..INDEXES_TRIED).any(|index| is_one(slot, index)))
}
