//! One stream read again, piece by piece, from where its reading began to its frontier.
//!
//! How the last record ended there is not written down: a line end, quiet, or the end of the file. So what is left at
//! the frontier is mapped with each ending in turn, until one takes all of it.

use std::ops::ControlFlow;

use jiff::Timestamp;

use super::{Place, Recount, Stream};
use crate::agent::HEADER_BYTES;
use crate::agent::checkpoint::FileRecord;
use crate::config::settings::{Captures, Columns, Format};
use crate::mapping::identity::{HEAD_BYTES, print_of_head};
use crate::mapping::{End, MapContext, ReadFault, ReadWindow, Scratch, map};
use crate::model::chunk::{Carry, LongLine, Outputs};
use crate::model::{Fate, Guard, MappedChunk, Offset, SourceIndex, Span, Stop, Tally};
use crate::shell::content::Content;
use crate::shell::disk::{peek_fully_at, read_fully_at, words_of};

/// Bytes that one read takes, where a record is not longer.
const READ_BYTES: usize = 256 * 1024;

/// Bytes of events that one piece holds, but for the last line's.
const ROOM: usize = 1024 * 1024;

/// A piece of a stream, with whole lines.
#[derive(Debug)]
pub struct Piece {
    pub span: Span,
    /// Of all lines of the span.
    pub tally: Tally,
    /// Lines that have events, in the order of their places.
    pub lines: Vec<PieceLine>,
}

/// A line, or a record of several, that the rules make events of.
#[derive(Debug)]
pub struct PieceLine {
    /// Its first byte.
    pub at: Offset,
    /// Its place in the settings' list of rules.
    pub rule: u16,
    /// Billed; or quarantined, where it has a letter.
    pub fate: Fate,
    /// Each followed by `,`.
    pub body: Vec<u8>,
    pub events: u16,
}

/// Why a stream is not read to its frontier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// Up to here it was read.
    pub at: Offset,
    pub why: String,
}

/// Memory that reads use one after the other.
#[derive(Debug, Default)]
pub struct Buffers {
    bytes: Vec<u8>,
    scratch: Scratch,
}

impl Recount {
    /// Reads what is settled of the stream. Pieces come in the order of their places and without gaps, until `each` breaks.
    ///
    /// # Errors
    /// [`Unread`], where the file is not, or not any more, what was read; what was given before is right.
    pub fn read(
        &self,
        stream: &Stream,
        buffers: &mut Buffers,
        each: impl FnMut(Piece) -> ControlFlow<()>,
    ) -> Result<(), Unread> {
        let mut reading = self.open_stream(stream, stream.span.start)?;
        if let Some(before) = stream.before.filter(|_| stream.span.start == Offset::ZERO) {
            reading.carry.unfinished = outputs_of(&self.streams[before].record);
        }
        reading.end = stream.span.end;
        reading.run(buffers, each)
    }

    /// Reads what stands in the file by now behind what is settled: whole lines that are under way.
    ///
    /// # Errors
    /// [`Unread`].
    pub fn read_on(
        &self,
        stream: &Stream,
        buffers: &mut Buffers,
        each: impl FnMut(Piece) -> ControlFlow<()>,
    ) -> Result<(), Unread> {
        let mut reading = self.open_stream(stream, stream.span.end)?;
        reading.carry = Carry { unfinished: outputs_of(&stream.record), header: stream.record.header };
        if reading.content.is_compressed() {
            // Nobody writes to it.
            return Ok(());
        }
        let metadata =
            reading.content.file().metadata().map_err(|error| reading.unread(&words_of(&error)))?;
        reading.end = Offset(metadata.len());
        reading.run(buffers, each)
    }

    fn open_stream<'a>(&'a self, stream: &'a Stream, from: Offset) -> Result<Reading<'a>, Unread> {
        let unread = |why: &str| Unread { at: from, why: why.to_owned() };
        let source = match &stream.place {
            Place::There(source) => *source,
            Place::Gone => return Err(unread("its file is gone")),
            Place::Refused(why) => return Err(unread(why)),
            Place::NoSource => return Err(unread("the config has no such source")),
        };
        let open = |stream: &Stream| Content::open(&self.names.path(&stream.path), &self.extents);
        let content = open(stream).map_err(|error| unread(&words_of(&error)))?;
        if !content.file().metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Err(unread("its file is gone"));
        }
        let mut reading = Reading::new(self, stream, source, content, from);
        if let Some(next) = stream.next {
            let reach = self.settings.sources[usize::from(source.0)].reach();
            let head = open(&self.streams[next]).and_then(|content| bytes_at(&content, 0, reach as usize));
            reading.beyond = head.unwrap_or_default();
        }
        Ok(reading)
    }
}

fn outputs_of(record: &FileRecord) -> Outputs {
    let mut outputs = Outputs::default();
    record.unfinished.iter().for_each(|output| outputs.insert(*output));
    outputs
}

struct Reading<'a> {
    recount: &'a Recount,
    stream: &'a Stream,
    source: SourceIndex,
    content: Content,
    captures: Captures,
    end: Offset,
    /// Where the next line starts.
    position: Offset,
    /// Of the bytes before, once some were read.
    guard: Option<Guard>,
    carry: Carry,
    inside: Option<LongLine>,
    limit: usize,
    /// Of the file that goes on where this one ended.
    beyond: Vec<u8>,
}

impl<'a> Reading<'a> {
    fn new(
        recount: &'a Recount,
        stream: &'a Stream,
        source: SourceIndex,
        content: Content,
        from: Offset,
    ) -> Self {
        Self {
            recount,
            stream,
            source,
            content,
            captures: stream.record.captures.clone(),
            end: from,
            position: from,
            guard: None,
            carry: Carry::default(),
            inside: None,
            limit: READ_BYTES,
            beyond: Vec::new(),
        }
    }

    fn run(
        &mut self,
        buffers: &mut Buffers,
        mut each: impl FnMut(Piece) -> ControlFlow<()>,
    ) -> Result<(), Unread> {
        self.begin().map_err(|why| self.unread(&why))?;
        loop {
            match self.step(buffers) {
                Ok(Some(piece)) if piece.span.is_empty() => {}
                Ok(Some(piece)) => {
                    if each(piece).is_break() {
                        return Ok(());
                    }
                }
                Ok(None) => return Ok(()),
                Err(why) => return Err(self.unread(&why)),
            }
        }
    }

    fn unread(&self, why: &str) -> Unread {
        Unread { at: self.position, why: why.to_owned() }
    }

    /// Where reading began behind others' lines, that may be in the middle of one.
    fn begin(&mut self) -> Result<(), String> {
        if self.position == Offset::ZERO {
            return Ok(());
        }
        let reach = self.position.0.min(Guard::REACH as u64);
        let bytes = bytes_at(&self.content, self.position.0 - reach, reach as usize);
        let bytes = bytes.map_err(|error| words_of(&error))?;
        if (bytes.len() as u64) < reach {
            return Err("its file became shorter".to_owned());
        }
        if bytes.last() != Some(&b'\n') {
            let guard = Guard::at_end_of(&bytes);
            self.inside = Some(LongLine {
                start: self.position,
                searched: self.position,
                wanted: false,
                before_start: guard,
                before_searched: guard,
                opening: None,
                is_foreign: true,
            });
        }
        Ok(())
    }

    /// The next piece, which may be empty; `None` at the end.
    fn step(&mut self, buffers: &mut Buffers) -> Result<Option<Piece>, String> {
        if self.position >= self.end {
            return Ok(None);
        }
        let from = self.inside.map_or(self.position, |line| line.searched);
        let reach = from.0.min(Guard::REACH as u64) as usize;
        let left = usize::try_from(self.end.0 - from.0).unwrap_or(usize::MAX);
        let wanted = reach + left.min(self.limit);
        if buffers.bytes.len() < wanted {
            buffers.bytes.resize(wanted, 0);
        }
        let filled = read_fully_at(&self.content, &mut buffers.bytes[..wanted], from.0 - reach as u64)
            .map_err(|error| words_of(&error))?;
        if filled < wanted {
            return Err("its file became shorter".to_owned());
        }
        let is_last = left <= self.limit;
        let header = self.header()?;
        let (before, bytes) = buffers.bytes[..filled].split_at(reach);
        self.check_head(from, bytes)?;
        let beyond = std::mem::take(&mut self.beyond);
        // What is under way has no end yet.
        let endings: &[End<'_>] = if is_last && self.is_settled() {
            &[End::More, End::Quiet, End::Handover { beyond: &beyond }, End::File { beyond: &beyond }]
        } else {
            &[End::More]
        };
        let mut taken = None;
        for end in endings {
            let window =
                ReadWindow { before, base: from, bytes, end: *end, carry: self.carry_in(), header: &header };
            let chunk = self.map(window, &mut buffers.scratch)?;
            let is_whole = chunk.span.is_some_and(|span| span.end >= self.end);
            // What is full goes on in the next step, whatever the end.
            let goes_on = chunk.stop == Stop::BodyFull;
            if is_whole || goes_on || taken.is_none() || *end == endings[endings.len() - 1] {
                taken = Some(chunk);
            }
            if is_whole || goes_on {
                break;
            }
        }
        self.beyond = beyond;
        let chunk = taken.expect("there is one ending at least");
        self.take(chunk, is_last).map(Some)
    }

    fn map(&self, window: ReadWindow<'_>, scratch: &mut Scratch) -> Result<MappedChunk, String> {
        let context = MapContext {
            rules: &self.recount.rules,
            source: self.source,
            stream_key: &self.stream.key,
            generation: self.stream.generation,
            path: &self.stream.path,
            captures: &self.captures,
            expected: if self.inside.is_some() { None } else { self.guard },
            long_line: self.inside,
            // What was of the future when it was read was held until it was not.
            polar_now: Timestamp::MAX,
            room: ROOM,
        };
        map(&context, window, scratch).map_err(|fault| match fault {
            ReadFault::GuardDiffers => "its file was written anew".to_owned(),
            other => format!("{other:?}"),
        })
    }

    fn take(&mut self, chunk: MappedChunk, is_last: bool) -> Result<Piece, String> {
        let from = self.inside.map_or(self.position, |line| line.searched);
        let (position, inside) = (self.position, self.inside);
        if let Some(span) = chunk.span {
            self.position = span.end;
            self.guard = Some(chunk.after);
            self.carry = chunk.carry;
            self.inside = None;
            self.limit = READ_BYTES;
        }
        if let Stop::InLongLine(line) = chunk.stop {
            self.inside = Some(line);
        }
        let moved = self.position > position
            || self.inside.map(|line| line.searched) != inside.map(|line| line.searched);
        if !moved {
            if is_last && !self.is_settled() {
                self.end = self.position;
            } else if is_last {
                return Err(format!("what stands at byte {from} is no whole line any more"));
            }
            // A line does not fit into one read.
            self.limit = self.limit.saturating_mul(2);
        }
        Ok(self.piece(chunk))
    }

    fn piece(&self, chunk: MappedChunk) -> Piece {
        let Some(span) = chunk.span else {
            let span = Span { start: self.position, end: self.position };
            return Piece { span, tally: Tally::default(), lines: Vec::new() };
        };
        let shelved = self.recount.shelved.of(&self.stream.source, self.stream.generation);
        let fate = |at: Offset| {
            let reason = shelved.and_then(|shelved| shelved.get(&at)).copied();
            reason.map_or(Fate::Billed, Fate::Quarantined)
        };
        let mut tally = chunk.settled;
        tally.merge(&chunk.in_letters);
        let mut lines = Vec::with_capacity(chunk.lines.len() + chunk.held.len());
        let mut start = 0;
        let sent = chunk.lines.iter().map(|line| {
            let body = chunk.body[start..line.body_end as usize].to_vec();
            start = line.body_end as usize;
            (line, body)
        });
        let held = chunk.held.iter().map(|held| (&held.line, held.body.clone()));
        for (line, body) in sent.chain(held) {
            let at = span.start.plus(u64::from(line.at));
            let fate = fate(at);
            tally.add(fate, 1, u64::from(line.len));
            lines.push(PieceLine { at, rule: line.rule, fate, body, events: line.events });
        }
        lines.sort_by_key(|line| line.at);
        Piece { span, tally, lines }
    }

    /// Whether reading ends where the daemon's has.
    fn is_settled(&self) -> bool {
        self.end == self.stream.span.end
    }

    /// A read from the start of the file makes sure of its print.
    fn check_head(&self, from: Offset, bytes: &[u8]) -> Result<(), String> {
        if from > Offset::ZERO {
            return Ok(());
        }
        let head = &bytes[..bytes.len().min(HEAD_BYTES)];
        let seen = print_of_head(head, self.recount.rules.format(self.source));
        if seen.is_some_and(|seen| seen != self.stream.generation.print) {
            return Err("its file was written anew".to_owned());
        }
        Ok(())
    }

    fn carry_in(&self) -> Carry {
        Carry { header: self.header_at(), ..self.carry }
    }

    /// Where the line stands that says what the columns are. Before a floor, a first line is looked for in the head.
    fn header_at(&self) -> Option<Offset> {
        let format = self.recount.rules.format(self.source);
        let is_first_line = matches!(format, Format::Delimited(of) if of.columns == Columns::FirstLine);
        let unknown = (is_first_line && self.position > Offset::ZERO).then_some(Offset::ZERO);
        self.carry.header.or(unknown)
    }

    fn header(&self) -> Result<Vec<u8>, String> {
        let Some(at) = self.header_at() else { return Ok(Vec::new()) };
        let mut bytes = vec![0; HEADER_BYTES as usize];
        let filled = peek_fully_at(&self.content, &mut bytes, at.0).map_err(|error| words_of(&error))?;
        bytes.truncate(filled);
        Ok(bytes)
    }
}

fn bytes_at(content: &Content, from: u64, most: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; most];
    let filled = read_fully_at(content, &mut bytes, from)?;
    bytes.truncate(filled);
    Ok(bytes)
}
