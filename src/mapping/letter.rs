//! A quarantined line as one JSON line, for the quarantine's files.

use super::chunk::MapContext;
use super::event::{Refusal, write_text};
use super::rules::SourceRules;
use crate::model::Offset;

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

pub(super) fn write(
    out: &mut Vec<u8>,
    context: &MapContext<'_>,
    rules: &SourceRules,
    subject: Subject<'_>,
    refusal: &Refusal,
    rule: Option<&str>,
) {
    let text = |out: &mut Vec<u8>, key: &str, text: &str| {
        out.extend_from_slice(key.as_bytes());
        write_text(out, text);
    };
    text(out, "{\"reason\":", refusal.reason.code());
    text(out, ",\"source\":", &rules.id);
    text(out, ",\"path\":", context.path);
    out.extend_from_slice(format!(",\"offset\":{},\"length\":{}", subject.at, subject.length).as_bytes());
    if let Some(rule) = rule {
        text(out, ",\"rule\":", rule);
    }
    text(out, ",\"detail\":", &refusal.detail);
    let kept = kept_bytes(subject.record);
    if kept < subject.record.len() || !subject.whole {
        out.extend_from_slice(format!(",\"text_bytes_kept\":{kept}").as_bytes());
    }
    text(out, ",\"text\":", &String::from_utf8_lossy(&subject.record[..kept]));
    out.extend_from_slice(b"}\n");
}

/// At most [`TEXT_MAX_BYTES`], not in the middle of a character.
fn kept_bytes(record: &[u8]) -> usize {
    if record.len() <= TEXT_MAX_BYTES {
        return record.len();
    }
    let is_start = |at: &usize| record[*at] & 0xc0 != 0x80;
    (TEXT_MAX_BYTES - 3..=TEXT_MAX_BYTES).rev().find(is_start).unwrap_or(TEXT_MAX_BYTES)
}
