//! A line as a container runtime, or the spool, wraps it → what the application wrote.

use std::borrow::Cow;

use serde::Deserialize;

use super::RecordEnd;
use crate::config::settings::Container;
use crate::mapping::spool::{self, SpoolLine, Tag};
use crate::model::chunk::Output;

/// What a line of the file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unwrapped<'a> {
    Piece(Piece<'a>),
    /// A line of the wrapping itself.
    Header,
    /// The checksum of its wrapping differs.
    Damaged,
    /// No runtime has wrapped it.
    Not,
}

impl<'a> Unwrapped<'a> {
    pub fn piece(&self) -> Option<&Piece<'a>> {
        match self {
            Self::Piece(piece) => Some(piece),
            Self::Header | Self::Damaged | Self::Not => None,
        }
    }
}

/// What one line of the file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub text: Cow<'a, [u8]>,
    pub output: Output,
    /// When the runtime took it, as it says so.
    pub time: Option<Cow<'a, str>>,
    /// The application's line goes on in the next piece of the same output.
    pub goes_on: bool,
    /// What the wrapping says of its end.
    pub end: RecordEnd,
}

/// Unwraps a line: `bytes` with its line end, `bare` without.
pub(super) fn unwrap<'a>(bytes: &'a [u8], bare: &'a [u8], container: Container) -> Unwrapped<'a> {
    let piece = match container {
        Container::None => Some(plain(bare, RecordEnd::Whole)),
        Container::Cri => cri(bare),
        Container::Docker => docker(bare),
        // Its checksum covers a carriage return, too.
        Container::Spool => return spooled(bytes.strip_suffix(b"\n").unwrap_or(bytes)),
    };
    piece.map_or(Unwrapped::Not, Unwrapped::Piece)
}

fn plain(text: &[u8], end: RecordEnd) -> Piece<'_> {
    Piece { text: Cow::Borrowed(text), output: Output::Stdout, time: None, goes_on: false, end }
}

fn spooled(line: &[u8]) -> Unwrapped<'_> {
    match spool::read_line(line) {
        SpoolLine::Header => Unwrapped::Header,
        SpoolLine::Damaged => Unwrapped::Damaged,
        SpoolLine::Record { tag, text } => Unwrapped::Piece(match tag {
            Tag::Whole => plain(text, RecordEnd::Whole),
            Tag::Torn => plain(text, RecordEnd::Torn),
            Tag::TooLong => plain(text, RecordEnd::TooLong),
        }),
    }
}

/// `TIME STREAM TAGS TEXT`; the first of the tags, which have colons between them, is `P` or `F`.
///
/// Source: the Kubernetes CRI logging format (design proposal "CRI: Dockerized log format").
fn cri(line: &[u8]) -> Option<Piece<'_>> {
    let mut parts = line.splitn(4, |byte| *byte == b' ');
    let time = std::str::from_utf8(parts.next()?).ok()?;
    // A time is told by its first digit and its `T`; what it says is read only where a rule asks.
    if !(time.as_bytes().first()?.is_ascii_digit() && time.as_bytes().get(10) == Some(&b'T')) {
        return None;
    }
    let output = Output::of_name(parts.next()?)?;
    let tags = parts.next()?;
    let goes_on = match tags.split(|byte| *byte == b':').next()? {
        b"P" => true,
        b"F" => false,
        _ => return None,
    };
    // An empty line may end behind its tag.
    let text = Cow::Borrowed(parts.next().unwrap_or_default());
    Some(Piece { text, output, time: Some(Cow::Borrowed(time)), goes_on, end: RecordEnd::Whole })
}

#[derive(Deserialize)]
struct DockerLine<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

/// One JSON object a line; `log` ends with a newline unless the application's line goes on.
fn docker(line: &[u8]) -> Option<Piece<'_>> {
    let DockerLine { log, stream, time } = serde_json::from_slice(line).ok()?;
    let output = Output::of_name(stream.as_bytes())?;
    let (text, goes_on) = match log {
        Cow::Borrowed(text) => (Cow::Borrowed(text.as_bytes()), true),
        Cow::Owned(mut text) => {
            let ends = text.ends_with('\n');
            text.truncate(text.len() - usize::from(ends));
            (Cow::Owned(text.into_bytes()), !ends)
        }
    };
    Some(Piece { text, output, time: Some(time), goes_on, end: RecordEnd::Whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Output, whether it goes on, time, text.
    #[track_caller]
    fn check(container: Container, line: &str, wanted: Option<(&str, bool, &str, &str)>) {
        let unwrapped = unwrap(line.as_bytes(), line.as_bytes(), container);
        let found = unwrapped.piece().map(|piece| {
            let text = std::str::from_utf8(&piece.text).unwrap();
            (piece.output.name(), piece.goes_on, piece.time.as_deref().unwrap(), text)
        });
        assert_eq!(found, wanted, "{line}");
    }

    #[test]
    fn a_line_of_the_kubelets_runtimes_is_unwrapped() {
        const TIME: &str = "2026-11-20T10:15:32.200000001Z";
        let check = |line: &str, wanted| check(Container::Cri, &format!("{TIME} {line}"), wanted);
        check("stdout F a b", Some(("stdout", false, TIME, "a b")));
        check("stderr P a ", Some(("stderr", true, TIME, "a ")));
        check("stdout F:x:y a", Some(("stdout", false, TIME, "a")));
        check("stdout F  a", Some(("stdout", false, TIME, " a")));
        check("stdout F ", Some(("stdout", false, TIME, "")));
        check("stdout F", Some(("stdout", false, TIME, "")));
        check("stdout X a", None);
        check("stdin F a", None);
        check("stdout", None);
        check("", None);
    }

    #[test]
    fn what_no_runtime_wrapped_is_told() {
        check(Container::Cri, "hello stdout F a", None);
        check(Container::Cri, "", None);
    }

    #[test]
    fn a_record_of_the_spool_is_unwrapped_as_its_tag_says() {
        let mut bytes = Vec::new();
        for (tag, end) in
            [(Tag::Whole, RecordEnd::Whole), (Tag::Torn, RecordEnd::Torn), (Tag::TooLong, RecordEnd::TooLong)]
        {
            bytes.clear();
            spool::write_record(&mut bytes, tag, b"a b\r");
            let bare = bytes.strip_suffix(b"\r\n").unwrap();
            let wanted = Unwrapped::Piece(plain(b"a b\r", end));
            assert_eq!(unwrap(&bytes, bare, Container::Spool), wanted, "{tag:?}");
        }
        bytes[0] ^= 1;
        assert_eq!(unwrap(&bytes, &bytes, Container::Spool), Unwrapped::Damaged);
        let header = spool::header("app", 1, 2);
        assert_eq!(unwrap(&header, &header, Container::Spool), Unwrapped::Header);
    }

    #[test]
    fn a_line_of_docker_is_unwrapped() {
        let check = |line, wanted| check(Container::Docker, line, wanted);
        check(r#"{"log":"a \"b\"\n","stream":"stdout","time":"t"}"#, Some(("stdout", false, "t", "a \"b\"")));
        check(r#"{"log":"a","stream":"stderr","time":"t"}"#, Some(("stderr", true, "t", "a")));
        check(r#"{"log":"a\t","stream":"stderr","time":"t"}"#, Some(("stderr", true, "t", "a\t")));
        check(
            r#"{"log":"\n","stream":"stdout","attrs":{"tag":"x"},"time":"t"}"#,
            Some(("stdout", false, "t", "")),
        );
        check(r#"{"log":"a\n","stream":"stdin","time":"t"}"#, None);
        check(r#"{"log":"a\n","stream":"stdout"}"#, None);
        check("a", None);
    }
}
