//! A quarantined line as a letter.

use super::chunk::MapContext;
use super::event::Refusal;
use super::rules::SourceRules;
use crate::model::letter::text_print;
use crate::model::{Letter, Offset};

/// Of a longer line only the start is kept.
const TEXT_MAX_BYTES: usize = 64 * 1024;

/// The line of a letter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub at: Offset,
    /// Of the line, its line end included.
    pub length: u64,
    /// What there is of the line, without its line end.
    pub record: &'a [u8],
    /// Whether `record` is all of it.
    pub whole: bool,
}

/// `header` is the line that names the columns, where there is one.
pub(super) fn write(
    out: &mut Vec<u8>,
    context: &MapContext<'_>,
    rules: &SourceRules,
    subject: Subject<'_>,
    header: &[u8],
    refusal: &Refusal,
    rule: Option<&str>,
) {
    let kept = kept_bytes(subject.record);
    let is_cut = kept < subject.record.len();
    let mut letter = Letter {
        quarantined_at: None,
        reason: refusal.reason,
        source: rules.id.as_str().into(),
        path: context.path.into(),
        offset: subject.at,
        length: subject.length,
        print: Some(context.generation.print.to_string().into()),
        ordinal: Some(context.generation.ordinal),
        captures: context.captures.clone(),
        header: (!header.is_empty()).then(|| String::from_utf8_lossy(header)),
        rule: rule.map(Into::into),
        detail: refusal.detail.as_str().into(),
        text_bytes_kept: (is_cut || !subject.whole).then_some(kept as u64),
        text_print: (is_cut && subject.whole).then(|| text_print(subject.record).into()),
        text: None,
        bytes: None,
        events: None,
    };
    letter.keep(&subject.record[..kept]);
    out.extend_from_slice(&letter.to_line());
}

/// At most [`TEXT_MAX_BYTES`], not in the middle of a character.
fn kept_bytes(record: &[u8]) -> usize {
    if record.len() <= TEXT_MAX_BYTES {
        return record.len();
    }
    let is_start = |at: &usize| record[*at] & 0xc0 != 0x80;
    (TEXT_MAX_BYTES - 3..=TEXT_MAX_BYTES).rev().find(is_start).unwrap_or(TEXT_MAX_BYTES)
}
