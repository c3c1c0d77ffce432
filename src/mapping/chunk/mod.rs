//! Some bytes of a stream → one [`MappedChunk`].
//!
//! The block is searched for the rules' literals; only a line with a hit is looked at, all others are counted as
//! runs. The result does not depend on how the bytes are cut into windows.

mod framed;

use jiff::Timestamp;

use super::event::Refusal;
use super::formats::delimited::Header;
use super::identity::{BYTE_ORDER_MARK, is_blank, record_of, without_mark};
use super::letter::{self, Subject};
use super::line::{Events, Line, LineScratch, Outcome, map_line};
use super::literals::{Skip, Skipped};
use super::rules::{Rules, SourceRules};
use crate::config::settings::Captures;
use crate::model::chunk::{Carry, LongLine};
use crate::model::{
    BilledLine, Fate, Generation, Guard, HeldLine, Ignored, MappedChunk, Offset, Quarantined, SourceIndex,
    Span, Spare, Stop,
};

/// What mapping needs to know beside the bytes.
#[derive(Debug, Clone, Copy)]
pub struct MapContext<'a> {
    pub rules: &'a Rules,
    pub source: SourceIndex,
    /// `identity::stream_key` of the stream.
    pub stream_key: &'a [u8; 32],
    /// What the key was made of. For letters only.
    pub generation: Generation,
    /// For letters only.
    pub path: &'a str,
    /// `@path.name` values.
    pub captures: &'a Captures,
    /// The bytes before the first given one, by their guard, as the stream remembers them. `None`: unknown; for a
    /// long line, the one that it remembers.
    pub expected: Option<Guard>,
    /// Set while a line over the limit is read past; the bytes then begin at `searched`.
    pub long_line: Option<LongLine>,
    /// Polar's clock.
    pub polar_now: Timestamp,
    /// Bytes of `body`, `held` and `letters` after which mapping stops. One line may go past it.
    pub room: usize,
}

/// Bytes of a file: up to [`Guard::REACH`] before `base`, then those to map.
#[derive(Debug, Clone, Copy)]
pub struct ReadWindow<'a> {
    /// The bytes before `base`: `min(base, Guard::REACH)` of them.
    pub before: &'a [u8],
    pub base: Offset,
    pub bytes: &'a [u8],
    pub end: End<'a>,
    /// What the lines before mean for these.
    pub carry: Carry,
    /// What stands from [`Carry::header`] on, where there is one: the line there, or a later one, names the columns.
    pub header: &'a [u8],
}

impl<'a> ReadWindow<'a> {
    /// Bytes that more may follow, and nothing before that matters to them.
    #[must_use]
    pub fn new(before: &'a [u8], base: Offset, bytes: &'a [u8]) -> Self {
        Self { before, base, bytes, end: End::More, carry: Carry::default(), header: b"" }
    }
}

/// What is known of the end of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End<'a> {
    /// More may follow.
    More,
    /// Nothing has followed for so long that the last record is whole. An unterminated line still waits.
    Quiet,
    /// Nothing will follow in this file, and the head of another goes on with what is unfinished here. Where that
    /// does not end it either, it is left.
    Handover { beyond: &'a [u8] },
    /// Nothing will follow in this file. An unterminated last line is billed only if it is a closed JSON object,
    /// else quarantined(partial_eof) where a rule wants it and ignored(no_rule) where none does.
    File {
        /// The head of the file that goes on where this one ended: it may hold the rest of a container's line.
        beyond: &'a [u8],
    },
}

/// Why a read gave no chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadFault {
    /// The file is shorter than the asked offset: it was truncated.
    Shrunk { size: u64 },
    /// The bytes before the offset are not the ones that the stream remembers.
    GuardDiffers,
    /// The file is not open any more and cannot be opened again under its key.
    Gone,
    /// The operating system says so.
    Io(String),
}

/// Where less room than this is left in the body, more is made.
const RESERVE_BYTES: usize = 1024;

/// After so many billed lines one behind the other the next one is billed too, most likely: to parse it takes less time
/// than to search it first.
const ROW_OF_BILLED: u32 = 8;

/// Bodies from this size on are written to buffers that are used again.
const LARGE_BYTES: usize = 32 * 1024;

/// Buffers kept between calls.
#[derive(Debug, Default)]
pub struct Scratch {
    line: LineScratch,
    spare: Spare,
}

impl Scratch {
    /// Large bodies are written to the buffers of `spare`.
    #[must_use]
    pub fn new(spare: Spare) -> Self {
        Self { spare, ..Self::default() }
    }

    /// Shares what was mapped to such a buffer: it comes back when nobody reads it any more.
    pub fn seal(&self, chunk: &mut MappedChunk) {
        chunk.seal(|body| self.spare.share(body));
    }
}

/// Maps the whole records of `window`, and at [`End::File`] what there is of the last one.
///
/// # Errors
/// [`ReadFault::GuardDiffers`], when the bytes before are not the expected ones.
pub fn map(
    context: &MapContext<'_>,
    window: ReadWindow<'_>,
    scratch: &mut Scratch,
) -> Result<MappedChunk, ReadFault> {
    let mut mapper = Mapper::new(context, window, scratch)?;
    let at_end = matches!(window.end, End::File { .. });
    if !mapper.end_long_line(at_end) {
        return Ok(mapper.finish_in_long_line());
    }
    if mapper.rules.framing.is_plain() {
        mapper.whole_lines();
        if at_end {
            mapper.last_line();
        }
    } else {
        mapper.framed_lines();
    }
    Ok(mapper.finish())
}

struct Mapper<'a> {
    context: &'a MapContext<'a>,
    rules: &'a SourceRules,
    window: ReadWindow<'a>,
    scratch: &'a mut Scratch,
    /// Where the span starts.
    start: Offset,
    /// Bytes of the window that are used up.
    at: usize,
    body_full: bool,
    /// Bytes in `held`, which `room` counts too.
    held_bytes: usize,
    /// A record is open at the end that quiet may end.
    rests: bool,
    /// The line that names the columns, where the format has one. For letters only.
    header_line: Vec<u8>,
    /// An event after it is too far in the future.
    latest: Timestamp,
    /// The billed lines behind which no other one stands.
    row_of_billed: u32,
    chunk: MappedChunk,
}

impl<'a> Mapper<'a> {
    fn new(
        context: &'a MapContext<'a>,
        window: ReadWindow<'a>,
        scratch: &'a mut Scratch,
    ) -> Result<Self, ReadFault> {
        let before = Guard::at_end_of(window.before);
        let expected = context.expected.or(context.long_line.map(|line| line.before_searched));
        if expected.is_some_and(|expected| expected != before) {
            return Err(ReadFault::GuardDiffers);
        }
        let rules = &context.rules.sources[usize::from(context.source.0)];
        let chunk = MappedChunk {
            carry: window.carry,
            ..MappedChunk::empty(before, Stop::BytesEnd { partial: 0, rests: false })
        };
        let start = window.base;
        scratch.line.begin();
        Ok(Self {
            context,
            rules,
            window,
            scratch,
            start,
            at: 0,
            body_full: false,
            held_bytes: 0,
            rests: false,
            header_line: Vec::new(),
            latest: context.polar_now.checked_add(context.rules.max_future).unwrap_or(Timestamp::MAX),
            row_of_billed: 0,
            chunk,
        })
    }

    /// Looks for the end of the long line that the window begins in. True if it was found, or there is none.
    fn end_long_line(&mut self, at_end_of_file: bool) -> bool {
        let Some(long) = self.context.long_line else { return true };
        let bytes = self.window.bytes;
        let newline = memchr::memchr(b'\n', bytes);
        let end = match newline {
            Some(newline) => newline + 1,
            None if at_end_of_file => bytes.len(),
            None => return false,
        };
        let length = self.window.base.plus(end as u64).0 - long.start.0;
        self.start = long.start;
        self.chunk.before = long.before_start;
        self.at = end;
        if long.is_foreign {
            self.chunk.settled.add(Fate::Ignored(Ignored::RestOfLine), 1, length);
        } else {
            let wanted = self.long_line_is_wanted(&long, &bytes[..end]);
            self.settle_long(Subject { at: long.start, length, record: &[], whole: false }, wanted);
        }
        // Places in a chunk are 32 bits wide.
        self.body_full = length > u64::from(u32::MAX / 4);
        true
    }

    /// Whether a literal stands in the line so far, also across the start of the window.
    fn long_line_is_wanted(&self, long: &LongLine, bytes: &[u8]) -> bool {
        if long.wanted || self.rules.filter.wants_long(bytes) {
            return true;
        }
        let in_line = usize::try_from(self.window.base.0 - long.start.0).unwrap_or(usize::MAX);
        let before = self.window.before;
        let before = &before[before.len() - before.len().min(in_line).min(Guard::REACH)..];
        let seam: Vec<u8> = [before, &bytes[..bytes.len().min(Guard::REACH)]].concat();
        self.rules.filter.wants_long(&seam)
    }

    fn finish_in_long_line(mut self) -> MappedChunk {
        if let Some(long) = self.context.long_line {
            let bytes = self.window.bytes;
            self.chunk.stop = Stop::InLongLine(LongLine {
                searched: self.window.base.plus(bytes.len() as u64),
                wanted: self.long_line_is_wanted(&long, bytes),
                before_searched: self.guard_at(bytes.len()),
                ..long
            });
        }
        self.chunk
    }

    fn whole_lines(&mut self) {
        let bytes = self.window.bytes;
        let end = memchr::memrchr(b'\n', bytes).map_or(0, |newline| newline + 1);
        if self.body_full && self.at < end {
            return;
        }
        self.body_full = false;
        let rules = self.rules;
        let (mut search, mut skip) = rules.filter.search(&bytes[..end]);
        while self.at < end {
            let (from, wish) = if self.row_of_billed >= ROW_OF_BILLED {
                (self.at, Wish::Likely)
            } else {
                let hit = search.next(self.at);
                let line = hit.map_or(end, |hit| {
                    memchr::memrchr(b'\n', &bytes[self.at..hit.at])
                        .map_or(self.at, |newline| self.at + newline + 1)
                });
                match (self.skip_to(line, &mut skip), hit) {
                    (Skipped::Escape(at), _) => (at, Wish::Open),
                    (Skipped::All, Some(hit)) => {
                        (hit.at, if hit.is_wanted { Wish::Certain } else { Wish::Open })
                    }
                    (Skipped::All, None) => return,
                }
            };
            if self.is_full() {
                self.body_full = true;
                return;
            }
            let line_end = memchr::memchr(b'\n', &bytes[from..end]).map_or(end, |newline| from + newline + 1);
            self.reserve(end);
            let billed = self.chunk.lines.len();
            self.line(line_end, Ending::Newline, wish);
            self.row_of_billed = if self.chunk.lines.len() > billed { self.row_of_billed + 1 } else { 0 };
        }
    }

    /// Counts lines in which no literal stands, up to `end` or to one that has an escape.
    fn skip_to(&mut self, end: usize, skip: &mut Skip<'_>) -> Skipped {
        let (bytes, from) = (self.window.bytes, self.at);
        let has_mark = self.offset_at(from) == Offset::ZERO && bytes.starts_with(BYTE_ORDER_MARK);
        let mut text = if has_mark { from + BYTE_ORDER_MARK.len() } else { from };
        let mut start = from;
        let mut total = 0;
        let (mut blank, mut blank_bytes) = (0, 0);
        let skipped = skip.lines(from, end, |newline| {
            total += 1;
            // A line that is not blank rarely starts with white space.
            if bytes[text] <= b' '
                && newline - start <= self.rules.max_line_bytes
                && is_blank(&bytes[text..newline])
            {
                blank += 1;
                blank_bytes += (newline + 1 - start) as u64;
            }
            start = newline + 1;
            text = start;
        });
        if start == from {
            return skipped;
        }
        self.at = start;
        let settled = (start - from) as u64;
        self.chunk.settled.add(Fate::Ignored(Ignored::Empty), blank, blank_bytes);
        self.chunk.settled.add(Fate::Ignored(Ignored::NoRule), total - blank, settled - blank_bytes);
        skipped
    }

    fn last_line(&mut self) {
        let end = self.window.bytes.len();
        if self.at < end && !self.body_full {
            self.line(end, Ending::EndOfFile, Wish::Open);
        }
    }

    /// Makes room for the events of what is left until `end`, if they are as large as those before.
    fn reserve(&mut self, end: usize) {
        let body = &mut self.chunk.body;
        if body.capacity() - body.len() < RESERVE_BYTES && self.at > 0 {
            let rest = (body.len() as u64 * (end - self.at) as u64 / self.at as u64) as usize;
            let rest = rest.min(self.context.room.saturating_sub(body.len()));
            let more = rest + rest / 32 + 2 * RESERVE_BYTES;
            if body.len() + more < LARGE_BYTES {
                return body.reserve_exact(more);
            }
            self.scratch.spare.grow(body, more);
        }
    }

    /// Settles the line from `self.at` to `end`.
    fn line(&mut self, end: usize, ending: Ending, wish: Wish) {
        let line = &self.window.bytes[self.at..end];
        let at = self.offset_at(self.at);
        let start = std::mem::replace(&mut self.at, end);
        let length = line.len() as u64;
        if line.strip_suffix(b"\n").unwrap_or(line).len() > self.rules.max_line_bytes {
            let wanted = self.rules.filter.wants_long(line);
            let subject = Subject { at, length, record: self.bare(start, line), whole: true };
            return self.settle_long(subject, wanted);
        }
        let mut record = self.bare(start, line);
        if let Ending::EndOfFile = ending {
            record = record.strip_suffix(b"\r").unwrap_or(record);
        }
        if is_blank(record) {
            return self.chunk.settled.add(Fate::Ignored(Ignored::Empty), 1, length);
        }
        if wish == Wish::Open && !self.rules.filter.wants(record) {
            return self.chunk.settled.add(Fate::Ignored(Ignored::NoRule), 1, length);
        }
        let subject = Subject { at, length, record, whole: true };
        if let Ending::EndOfFile = ending
            && !is_closed_object(record)
        {
            return self.partial_eof(subject);
        }
        let line = Line { at, first: record, record, container: None };
        self.map(line, subject, start, &Header::default(), wish);
    }

    /// The line without its line end, and without a byte order mark.
    fn bare(&self, at: usize, line: &'a [u8]) -> &'a [u8] {
        let bare = record_of(line);
        match self.offset_at(at) {
            Offset::ZERO => without_mark(bare),
            _ => bare,
        }
    }

    /// Maps a record that is wanted, or likely so.
    fn map(&mut self, line: Line<'_>, subject: Subject<'_>, start: usize, header: &Header, wish: Wish) {
        let body_start = self.chunk.body.len();
        let outcome =
            map_line(self.context, self.rules, line, header, &mut self.scratch.line, &mut self.chunk.body);
        // What a rule matches has all that it requires; of all else the literal test says whether it was wanted.
        if wish == Wish::Likely && !outcome.is_of_match() && !self.rules.filter.wants(line.record) {
            self.take_back(body_start);
            return self.chunk.settled.add(Fate::Ignored(Ignored::NoRule), 1, subject.length);
        }
        self.chunk.duplicate_keys += u32::from(self.scratch.line.has_duplicate_key());
        match outcome {
            Outcome::NoRule => self.chunk.settled.add(Fate::Ignored(Ignored::NoRule), 1, subject.length),
            Outcome::OutOfRange => {
                self.take_back(body_start);
                self.chunk.settled.add(Fate::Ignored(Ignored::OutOfRange), 1, subject.length);
            }
            Outcome::Quarantined { refusal, rule } => {
                self.take_back(body_start);
                self.quarantine(subject, &refusal, rule.as_deref());
            }
            Outcome::Events(events) => self.events(subject, start, body_start, &events),
        }
    }

    fn partial_eof(&mut self, subject: Subject<'_>) {
        self.partial(subject, "the file ends in the middle of this line");
    }

    fn partial(&mut self, subject: Subject<'_>, why: &str) {
        let refusal = Refusal { reason: Quarantined::PartialEof, detail: why.to_owned() };
        self.quarantine(subject, &refusal, None);
    }

    fn events(&mut self, subject: Subject<'_>, start: usize, body_start: usize, events: &Events) {
        let small = |number: u64| u32::try_from(number).expect("a chunk is smaller than 4 GiB");
        let now = self.context.polar_now;
        if let Some(latest) = events.latest.filter(|latest| *latest > self.latest) {
            self.take_back(body_start);
            let detail = format!("timestamp is {latest}, more than `max_future` after Polar's clock ({now})");
            let refusal = Refusal { reason: Quarantined::FutureTimestamp, detail };
            return self.quarantine(subject, &refusal, None);
        }
        self.chunk.values_not_utf8 += events.replaced;
        self.chunk.natural_ids |= events.natural_ids;
        let mut line = BilledLine {
            at: small(self.offset_at(start).0 - self.start.0),
            len: small(subject.length),
            body_end: small(self.chunk.body.len() as u64),
            events: events.count,
            rule: events.rule,
        };
        match events.latest.filter(|latest| *latest > now) {
            None => self.chunk.lines.push(line),
            Some(due) => {
                self.pay_ids();
                let body = self.chunk.body.split_off(body_start);
                self.held_bytes += body.len();
                line.body_end = small(body.len() as u64);
                self.chunk.held.push(HeldLine { line, body, due });
            }
        }
    }

    /// Takes the events off that begin at `body_start`.
    fn take_back(&mut self, body_start: usize) {
        self.chunk.body.truncate(body_start);
        self.scratch.line.ids.forget_beyond(body_start);
    }

    fn pay_ids(&mut self) {
        self.scratch.line.ids.pay(self.context.stream_key, &mut self.chunk.body);
    }

    fn settle_long(&mut self, subject: Subject<'_>, wanted: bool) {
        if !wanted {
            return self.chunk.settled.add(Fate::Ignored(Ignored::NoRule), 1, subject.length);
        }
        let detail = format!("the line is longer than {} bytes", self.rules.max_line_bytes);
        self.quarantine(subject, &Refusal { reason: Quarantined::LineTooLong, detail }, None);
    }

    fn quarantine(&mut self, subject: Subject<'_>, refusal: &Refusal, rule: Option<&str>) {
        let (out, header) = (&mut self.chunk.letters, &self.header_line);
        letter::write(out, self.context, self.rules, subject, header, refusal, rule);
        self.chunk.in_letters.add(Fate::Quarantined(refusal.reason), 1, subject.length);
    }

    fn is_full(&self) -> bool {
        let used = self.chunk.body.len() + self.held_bytes + self.chunk.letters.len();
        used >= self.context.room && self.at > 0
    }

    fn offset_at(&self, at: usize) -> Offset {
        self.window.base.plus(at as u64)
    }

    fn guard_at(&self, at: usize) -> Guard {
        if at >= Guard::REACH {
            return Guard::at_end_of(&self.window.bytes[..at]);
        }
        Guard::at_end_of(&[self.window.before, &self.window.bytes[..at]].concat())
    }

    fn finish(mut self) -> MappedChunk {
        self.pay_ids();
        let end = self.offset_at(self.at);
        self.chunk.after = self.guard_at(self.at);
        if end > self.start {
            self.chunk.span = Some(Span { start: self.start, end });
        }
        let rest = &self.window.bytes[self.at..];
        self.chunk.stop = if self.body_full {
            Stop::BodyFull
        } else if rest.len() > self.rules.framing.reach && memchr::memchr(b'\n', rest).is_none() {
            let searched = self.window.bytes.len();
            let opening = self.at + Guard::REACH.min(rest.len());
            Stop::InLongLine(LongLine {
                start: end,
                searched: self.offset_at(searched),
                wanted: self.rules.filter.wants_long(rest),
                before_start: self.chunk.after,
                before_searched: self.guard_at(searched),
                opening: Some((self.offset_at(opening), self.guard_at(opening))),
                is_foreign: false,
            })
        } else {
            Stop::BytesEnd { partial: rest.len() as u64, rests: self.rests }
        };
        self.chunk
    }
}

/// Whether a line passes the literal test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Certain,
    /// Nobody has asked.
    Open,
    /// Nobody has asked, and nobody need where a rule matches.
    Likely,
}

/// How a line ends.
#[derive(Debug, Clone, Copy)]
enum Ending {
    Newline,
    EndOfFile,
}

/// Whether nothing can follow that would still be the same value.
fn is_closed_object(record: &[u8]) -> bool {
    let is_object = record.trim_ascii_start().starts_with(b"{");
    is_object && serde_json::from_slice::<serde::de::IgnoredAny>(&lossy(record)).is_ok()
}

fn lossy(record: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    match String::from_utf8_lossy(record) {
        std::borrow::Cow::Borrowed(text) => text.as_bytes().into(),
        std::borrow::Cow::Owned(text) => text.into_bytes().into(),
    }
}
