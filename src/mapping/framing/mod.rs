//! Lines of a file → records: out of their container, joined where several make one.
//!
//! A record is known by its first line. What is not whole when the bytes end is left for the next read, so no state
//! lives between two reads but a [`Carry`]: which outputs are in the middle of a line that is settled already.

mod container;
mod header;
mod quotes;

use std::borrow::Cow;

use self::container::{Piece, Unwrapped};
pub(super) use self::header::HeaderRule;
use self::quotes::{Place, Quoting};
use crate::config::settings::{Container, Format, Multiline, SourceSettings};
use crate::mapping::identity::{record_of, without_mark};
use crate::mapping::scope;
use crate::model::Ignored;
use crate::model::chunk::{Carry, Output, Outputs};

/// How the records of a source are made of lines.
#[derive(Debug)]
pub(super) struct Framing {
    container: Container,
    multiline: Option<Starts>,
    pub header: HeaderRule,
    /// Longer records are too long.
    max_record_bytes: usize,
    /// Bytes of the file in which a record has to end.
    pub reach: usize,
}

#[derive(Debug)]
struct Starts {
    start: regex::bytes::Regex,
    max_lines: u32,
    /// Of a format whose values may hold line ends between quotes.
    quoting: Option<Quoting>,
}

/// Some lines that are one record.
#[derive(Debug)]
pub(super) struct Record<'w> {
    /// Where its first line starts in the window.
    pub at: usize,
    /// Its lines, line ends included. Only the part that stands in this file counts.
    pub length: u64,
    /// Its first line as it stands in the file, without its line end.
    pub first: &'w [u8],
    /// What the application wrote.
    pub text: Cow<'w, [u8]>,
    pub output: Output,
    /// When the runtime took its first line.
    pub time: Option<Cow<'w, str>>,
    /// Its lines as they stand in files.
    pub pieces: Vec<&'w [u8]>,
    pub end: RecordEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RecordEnd {
    Whole,
    /// Its writer left before it ended it.
    Torn,
    /// It is over a limit, and what follows of it is not looked at.
    TooLong,
    /// Its file ended before it did.
    Missing,
}

/// What became of a line.
#[derive(Debug)]
pub(super) enum Taken<'w> {
    /// It belongs to a record that is not whole yet.
    Open,
    /// It is the last line of this record.
    Record(Record<'w>),
    Ignored(Ignored),
    /// No container runtime has wrapped it.
    NotWrapped,
    /// It is not as the spool has written it.
    Damaged,
}

/// Joins lines to records.
#[derive(Debug)]
pub(super) struct Assembler<'w> {
    framing: &'w Framing,
    /// One for each output at most.
    open: Vec<OpenRecord<'w>>,
    pub carry: Carry,
}

#[derive(Debug)]
struct OpenRecord<'w> {
    record: Record<'w>,
    lines: u32,
    /// The application's line goes on in the next piece.
    goes_on: bool,
    /// Behind its text.
    place: Place,
}

impl OpenRecord<'_> {
    /// Whether what follows is of this record, whatever it looks like.
    fn must_go_on(&self) -> bool {
        self.goes_on || self.place.is_open()
    }
}

/// A line that is out of its container.
#[derive(Debug)]
pub(super) struct Line<'w> {
    at: usize,
    /// With its line end.
    bytes: &'w [u8],
    bare: &'w [u8],
    unwrapped: Unwrapped<'w>,
    /// It begins a record.
    starts: bool,
    /// It looks as if it did.
    seems: bool,
    /// Behind it in the record that it belongs to.
    place: Place,
    /// Its bytes belong to another file.
    is_beyond: bool,
}

impl Framing {
    pub fn new(source: &SourceSettings) -> Self {
        let starts = |multiline: &Multiline| Starts {
            start: for_bytes(&multiline.start),
            max_lines: multiline.max_lines,
            quoting: match &source.format {
                Format::Delimited(delimited) => Some(Quoting::new(source, delimited)),
                _ => None,
            },
        };
        Self {
            container: source.container,
            multiline: source.multiline.as_ref().map(starts),
            header: HeaderRule::of(&source.format),
            max_record_bytes: source.max_line_bytes as usize,
            reach: source.reach() as usize,
        }
    }

    /// Whether each line is a record as it stands.
    pub fn is_plain(&self) -> bool {
        self.container == Container::None && self.multiline.is_none() && self.header == HeaderRule::None
    }
}

impl<'w> Record<'w> {
    fn of(at: usize, bytes: &'w [u8], bare: &'w [u8], piece: Piece<'w>) -> Self {
        Self {
            at,
            length: bytes.len() as u64,
            first: bare,
            text: piece.text,
            output: piece.output,
            time: piece.time,
            pieces: vec![bytes],
            end: piece.end,
        }
    }

    /// What the application wrote, without its line end.
    pub fn bare_text(&self) -> &[u8] {
        self.text.strip_suffix(b"\r").unwrap_or(&self.text)
    }

    /// What the runtime says of it, where there is one.
    pub fn container(&self) -> Option<scope::Container<'_>> {
        let time = self.time.as_deref()?;
        Some(scope::Container { time, output: self.output })
    }
}

impl<'w> Assembler<'w> {
    pub fn new(framing: &'w Framing, carry: Carry) -> Self {
        Self { framing, open: Vec::new(), carry }
    }

    /// Looks at a line: `bytes` with its line end, `bare` without.
    pub fn look(&self, at: usize, bytes: &'w [u8], bare: &'w [u8]) -> Line<'w> {
        let unwrapped = container::unwrap(bytes, bare, self.framing.container);
        let (starts, place) = (true, Place::Plain);
        let mut line = Line { at, bytes, bare, unwrapped, starts, seems: true, place, is_beyond: false };
        if let Some(starts) = &self.framing.multiline {
            self.look_for_start(starts, &mut line);
        }
        line
    }

    /// Says of a line whether it begins a record.
    fn look_for_start(&self, starts: &Starts, line: &mut Line<'w>) {
        let Some(piece) = line.unwrapped.piece() else {
            line.starts = false;
            return;
        };
        line.seems = starts.start.is_match(&piece.text);
        let goes_on = self.is_inside(piece.output);
        let Some(quoting) = &starts.quoting else {
            line.starts = line.seems && !goes_on;
            return;
        };
        let open = self.open.iter().find(|open| open.record.output == piece.output);
        let before = match open {
            Some(open) if open.goes_on => open.place,
            Some(open) => quoting.go_on(open.place, b"\n"),
            // It was cut off, maybe in a quote: it counts as one until the text tells.
            None if goes_on => Place::Quoted,
            None => Place::Broken,
        };
        line.place = quoting.go_on(before, &piece.text);
        // Somebody forgot to close a quote. What an honest writer puts between quotes does not come to this.
        let was_lost = before.is_open() && line.place == Place::Broken;
        let in_a_line = goes_on && (open.is_some() || self.framing.container != Container::None);
        line.starts = line.seems && !in_a_line && (!before.is_open() || was_lost);
        if line.starts {
            line.place = quoting.begin(&piece.text);
        }
    }

    /// Whether the next piece of this output goes on with a line that has begun.
    fn is_inside(&self, output: Output) -> bool {
        self.carry.unfinished.contains(output)
            || self.open.iter().any(|open| open.record.output == output && open.goes_on)
    }

    /// The records that end because this line begins one. Those in the middle of a line or a quote stay open.
    pub fn close_before(&mut self, line: &Line<'w>) -> Vec<Record<'w>> {
        if !line.starts || self.open.is_empty() || self.framing.multiline.is_none() {
            return Vec::new();
        }
        let output = line.unwrapped.piece().map(|piece| piece.output);
        let ends = |open: &OpenRecord<'_>| !open.must_go_on() || Some(open.record.output) == output;
        let (ended, open) = std::mem::take(&mut self.open).into_iter().partition(ends);
        self.open = open;
        in_order(ended)
    }

    /// Whether everything before is settled or was given out.
    pub fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether a record waits for the rest of a line.
    fn is_inside_a_line(&self) -> bool {
        self.open.iter().any(|open| open.goes_on)
    }

    /// Whether a record is surely not whole.
    pub fn must_go_on(&self) -> bool {
        self.open.iter().any(OpenRecord::must_go_on)
    }

    /// Whether the line stands in a quote of the record before it.
    pub fn is_quoted(&self, line: &Line<'_>) -> bool {
        let open = |open: &OpenRecord<'_>| open.place.is_open();
        !line.starts && (self.open.iter().any(open) || !self.carry.unfinished.is_empty())
    }

    /// Whether [`Assembler::take`] would leave a record open.
    pub fn would_open(&self, line: &Line<'w>) -> bool {
        let Some(piece) = line.unwrapped.piece() else { return false };
        match self.framing.multiline {
            Some(_) => line.starts,
            None => !self.carry.unfinished.contains(piece.output) && piece.goes_on,
        }
    }

    pub fn take(&mut self, line: Line<'w>) -> Taken<'w> {
        let piece = match line.unwrapped {
            Unwrapped::Piece(piece) => piece,
            Unwrapped::Header => return Taken::Ignored(Ignored::Header),
            Unwrapped::Damaged => return Taken::Damaged,
            Unwrapped::Not => return Taken::NotWrapped,
        };
        let output = piece.output;
        let is_new = self.framing.multiline.is_some() && line.starts;
        if self.carry.unfinished.contains(output) {
            if is_new || !(piece.goes_on || line.place.is_open()) {
                self.carry.unfinished.remove(output);
            }
            if !is_new && self.framing.container == Container::None && line.seems {
                // It may be a record whose like was never closed, and it may be the text of a client.
                return Taken::Record(Record {
                    end: RecordEnd::TooLong,
                    ..Record::of(line.at, line.bytes, line.bare, piece)
                });
            }
            if !is_new {
                return Taken::Ignored(Ignored::RestOfLine);
            }
        }
        // A line that was torn off goes on nowhere: what comes next is another line.
        let goes_on = piece.goes_on && line.bytes.ends_with(b"\n");
        let end = if piece.goes_on && !goes_on { RecordEnd::Missing } else { piece.end };
        let length = if line.is_beyond { 0 } else { line.bytes.len() as u64 };
        if let Some(place) = self.open.iter().position(|open| open.record.output == output) {
            let open = &mut self.open[place];
            let text = open.record.text.to_mut();
            if !open.goes_on {
                text.push(b'\n');
                open.lines += 1;
            }
            text.extend_from_slice(&piece.text);
            open.record.length += length;
            open.record.pieces.push(line.bytes);
            open.record.end = end;
            open.goes_on = goes_on;
            open.place = line.place;
            return self.settle(place);
        }
        if !line.starts {
            if piece.goes_on {
                self.carry.unfinished.insert(output);
            }
            let blank = piece.text.iter().all(u8::is_ascii_whitespace);
            return Taken::Ignored(if blank { Ignored::Empty } else { Ignored::Continuation });
        }
        let record = Record { length, end, ..Record::of(line.at, line.bytes, line.bare, piece) };
        self.open.push(OpenRecord { record, lines: 1, goes_on, place: line.place });
        self.settle(self.open.len() - 1)
    }

    /// Gives the open record out if its end is here.
    fn settle(&mut self, place: usize) -> Taken<'w> {
        let open = &self.open[place];
        let max_lines = self.framing.multiline.as_ref().map_or(u32::MAX, |starts| starts.max_lines);
        let too_long = open.record.text.len() > self.framing.max_record_bytes || open.lines > max_lines;
        if too_long {
            return Taken::Record(self.cut_off(place));
        }
        if open.goes_on || self.framing.multiline.is_some() {
            return Taken::Open;
        }
        Taken::Record(self.open.remove(place).record)
    }

    /// Gives an open record out as too long. What follows of its line is nobody's.
    fn cut_off(&mut self, place: usize) -> Record<'w> {
        let open = self.open.remove(place);
        if open.must_go_on() {
            self.carry.unfinished.insert(open.record.output);
        }
        Record { end: RecordEnd::TooLong, ..open.record }
    }

    /// Ends all that is open because it does not end within reach.
    pub fn cut_all_off(&mut self) -> Vec<Record<'w>> {
        let mut records = Vec::new();
        while !self.open.is_empty() {
            records.push(self.cut_off(0));
        }
        records.sort_by_key(|record| record.at);
        records
    }

    /// Ends the records of which nothing but what follows could tell that they are whole.
    pub fn close_quiet(&mut self) -> Vec<Record<'w>> {
        in_order(std::mem::take(&mut self.open))
    }

    /// Ends all at the end of a file; `beyond` is the head of the file that goes on where this one ended.
    pub fn close_at_end(&mut self, beyond: &'w [u8]) -> Vec<Record<'w>> {
        let outputs = [Output::Stdout, Output::Stderr];
        // A line without a container ends with its file.
        let is_wrapped = self.framing.container != Container::None;
        let goes_on = |output: &Output| is_wrapped && self.is_inside(*output);
        let unfinished: Vec<Output> = outputs.into_iter().filter(goes_on).collect();
        // The rest of a line whose beginning is settled is not this file's either.
        let before = std::mem::take(&mut self.carry.unfinished);
        let mut records = Vec::new();
        for bytes in beyond.split_inclusive(|byte| *byte == b'\n') {
            if !self.is_inside_a_line() || !bytes.ends_with(b"\n") {
                break;
            }
            let mut line = self.look(0, bytes, record_of(bytes));
            let wanted = line.unwrapped.piece().is_some_and(|piece| self.is_inside(piece.output));
            line.is_beyond = true;
            if wanted && let Taken::Record(record) = self.take(line) {
                records.push(record);
            }
        }
        records.extend(std::mem::take(&mut self.open).into_iter().map(|open| {
            let end = if open.goes_on { RecordEnd::Missing } else { open.record.end };
            Record { end, ..open.record }
        }));
        records.sort_by_key(|record| record.at);
        self.carry.unfinished = if is_wrapped { before } else { Outputs::default() };
        unfinished.into_iter().for_each(|output| self.carry.unfinished.insert(output));
        records
    }
}

/// A part of a whole text: a record, or a line that is none (a header, one that continues nothing).
#[derive(Debug)]
enum Part<'w> {
    Record(Record<'w>),
    Line { at: usize, bytes: &'w [u8] },
}

/// The records of a whole file, each as its lines and where the first one starts. What is no record stands for itself.
pub(super) fn records(framing: &Framing, bytes: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let lines = |part| match part {
        Part::Record(record) => (record.at, record.pieces.concat()),
        Part::Line { at, bytes } => (at, bytes.to_vec()),
    };
    let mut found: Vec<_> = parts(framing, bytes, without_mark).into_iter().map(lines).collect();
    found.sort_by_key(|(at, _)| *at);
    found
}

/// The first record of `bytes` that ends, whole or not. They begin with no byte order mark.
pub(super) fn first_record<'w>(framing: &'w Framing, bytes: &'w [u8]) -> Option<Record<'w>> {
    parts(framing, bytes, |line| line).into_iter().find_map(|part| match part {
        Part::Record(record) => Some(record),
        Part::Line { .. } => None,
    })
}

/// The parts of a text that nothing follows, as they end. `first` is done to its first line.
fn parts<'w>(framing: &'w Framing, bytes: &'w [u8], first: fn(&[u8]) -> &[u8]) -> Vec<Part<'w>> {
    let mut assembler = Assembler::new(framing, Carry::default());
    let mut parts = Vec::new();
    let mut at = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let bare = if at == 0 { first(record_of(line)) } else { record_of(line) };
        let looked = assembler.look(at, line, bare);
        parts.extend(assembler.close_before(&looked).into_iter().map(Part::Record));
        match assembler.take(looked) {
            Taken::Open => {}
            Taken::Record(record) => parts.push(Part::Record(record)),
            Taken::Ignored(_) | Taken::NotWrapped | Taken::Damaged => {
                parts.push(Part::Line { at, bytes: line });
            }
        }
        at += line.len();
    }
    parts.extend(assembler.close_at_end(b"").into_iter().map(Part::Record));
    parts
}

/// The same expression, for bytes.
fn for_bytes(regex: &regex::Regex) -> regex::bytes::Regex {
    regex::bytes::Regex::new(regex.as_str()).expect("an expression for text is one for bytes")
}

fn in_order(open: Vec<OpenRecord<'_>>) -> Vec<Record<'_>> {
    let mut records: Vec<_> = open.into_iter().map(|open| open.record).collect();
    records.sort_by_key(|record| record.at);
    records
}
