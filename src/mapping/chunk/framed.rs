//! Lines that are no records by themselves: out of containers, joined, or under a header.
//!
//! Every line is looked at, one after the other. A chunk ends where no record is open: what was given out behind
//! that place is taken back, and read again with what follows.

use super::{End, Mapper, Wish, is_closed_object};
use crate::mapping::event::Refusal;
use crate::mapping::formats::delimited::Header;
use crate::mapping::framing::{Assembler, Record, RecordEnd, Taken};
use crate::mapping::identity::{is_blank, record_of, without_mark};
use crate::mapping::letter::Subject;
use crate::mapping::line::Line;
use crate::model::chunk::{Carry, Outputs};
use crate::model::{Fate, Ignored, MappedChunk, Offset, Quarantined, Tally};

/// What a chunk held at a place where no record was open.
struct Cut {
    at: usize,
    carry: Carry,
    body: usize,
    lines: usize,
    held: usize,
    held_bytes: usize,
    letters: usize,
    settled: Tally,
    in_letters: Tally,
    values_not_utf8: u32,
    duplicate_keys: u32,
    natural_ids: bool,
}

impl Cut {
    fn of(mapper: &Mapper<'_>, carry: Carry) -> Self {
        let chunk = &mapper.chunk;
        Self {
            at: mapper.at,
            carry,
            body: chunk.body.len(),
            lines: chunk.lines.len(),
            held: chunk.held.len(),
            held_bytes: mapper.held_bytes,
            letters: chunk.letters.len(),
            settled: chunk.settled.clone(),
            in_letters: chunk.in_letters.clone(),
            values_not_utf8: chunk.values_not_utf8,
            duplicate_keys: chunk.duplicate_keys,
            natural_ids: chunk.natural_ids,
        }
    }

    /// Takes back what was given out since.
    fn restore(self, mapper: &mut Mapper<'_>) {
        let MappedChunk {
            body,
            lines,
            held,
            letters,
            settled,
            in_letters,
            values_not_utf8,
            duplicate_keys,
            natural_ids,
            ..
        } = &mut mapper.chunk;
        body.truncate(self.body);
        mapper.scratch.line.ids.forget_beyond(self.body);
        lines.truncate(self.lines);
        held.truncate(self.held);
        letters.truncate(self.letters);
        *settled = self.settled;
        *in_letters = self.in_letters;
        *values_not_utf8 = self.values_not_utf8;
        *duplicate_keys = self.duplicate_keys;
        *natural_ids = self.natural_ids;
        mapper.held_bytes = self.held_bytes;
        mapper.at = self.at;
    }
}

impl<'a> Mapper<'a> {
    pub(super) fn framed_lines(&mut self) {
        let bytes = self.window.bytes;
        let whole = memchr::memrchr(b'\n', bytes).map_or(0, |newline| newline + 1);
        let end = if let End::File { .. } = self.window.end { bytes.len() } else { whole };
        if self.body_full && self.at < end {
            return;
        }
        self.body_full = false;
        let rules = self.rules;
        let mut assembler = Assembler::new(&rules.framing, self.window.carry);
        let named = self.window.header.split_inclusive(|byte| *byte == b'\n').map(record_of);
        let mut header = match named.map(without_mark).find(|line| rules.framing.header.names_columns(line)) {
            Some(line) => {
                self.header_line = line.to_vec();
                rules.reader.parse_header(&String::from_utf8_lossy(line))
            }
            None => Header::default(),
        };
        let mut cut = Cut::of(self, assembler.carry);
        let mut at = self.at;
        while at < end {
            let line_end = memchr::memchr(b'\n', &bytes[at..end]).map_or(end, |newline| at + newline + 1);
            let line_bytes = &bytes[at..line_end];
            let bare = self.bare(at, line_bytes);
            let line = assembler.look(at, line_bytes, bare);
            for record in assembler.close_before(&line) {
                self.record(record, &header);
            }
            // Asked before each line, so that it does not matter where the bytes end.
            if !assembler.is_idle() && at - cut.at >= rules.framing.reach {
                for record in assembler.cut_all_off() {
                    self.record(record, &header);
                }
            }
            if assembler.is_idle() {
                self.at = at;
                if self.is_full() {
                    self.body_full = true;
                    break;
                }
                if assembler.would_open(&line) {
                    cut = Cut::of(self, assembler.carry);
                }
            }
            let offset = self.offset_at(at);
            at = line_end;
            let is_known = assembler.carry.header.is_some();
            if rules.framing.header.takes(bare, is_known) && !assembler.is_quoted(&line) {
                if rules.framing.header.names_columns(bare) {
                    header = rules.reader.parse_header(&String::from_utf8_lossy(bare));
                    self.header_line = bare.to_vec();
                    assembler.carry.header = Some(offset);
                }
                self.chunk.settled.add(Fate::Ignored(Ignored::Header), 1, line_bytes.len() as u64);
                continue;
            }
            match assembler.take(line) {
                Taken::Open => {}
                Taken::Record(record) => self.record(record, &header),
                Taken::Ignored(reason) => {
                    self.chunk.settled.add(Fate::Ignored(reason), 1, line_bytes.len() as u64);
                }
                Taken::NotWrapped => self.not_wrapped(offset, line_bytes, bare),
                Taken::Damaged => self.damaged(offset, line_bytes, bare),
            }
        }
        if !self.body_full {
            self.end_records(&mut assembler, cut, end, &header);
        }
        self.chunk.carry = assembler.carry;
    }

    /// Decides on what is open where the bytes end.
    fn end_records(&mut self, assembler: &mut Assembler<'a>, cut: Cut, end: usize, header: &Header) {
        let bytes = self.window.bytes;
        let rest = bytes.len() - end;
        let quiet = matches!(self.window.end, End::Quiet) && rest == 0 && !assembler.must_go_on();
        let records = match self.window.end {
            End::File { beyond } => assembler.close_at_end(beyond),
            End::Handover { beyond } if rest == 0 => assembler.close_at_end(beyond),
            _ if quiet => assembler.close_quiet(),
            _ if assembler.is_idle() => Vec::new(),
            // The line that stands there without its end goes beyond what is read for one record.
            _ if bytes.len() - cut.at > self.rules.framing.reach => {
                let line = assembler.look(end, &bytes[end..], &bytes[end..]);
                let mut records = assembler.close_before(&line);
                records.extend(assembler.cut_all_off());
                records
            }
            _ => {
                self.rests = rest == 0 && !assembler.must_go_on();
                assembler.carry = cut.carry;
                return cut.restore(self);
            }
        };
        let is_handover = matches!(self.window.end, End::Handover { .. });
        if is_handover && records.iter().any(|record| record.end == RecordEnd::Missing) {
            assembler.carry = cut.carry;
            return cut.restore(self);
        }
        if matches!(self.window.end, End::File { .. }) && !bytes.ends_with(b"\n") {
            // Whose line was torn off cannot be told from the rest of it: what comes behind that is another line.
            assembler.carry.unfinished = Outputs::NONE;
        }
        for record in records {
            self.record(record, header);
        }
        self.at = end;
    }

    fn record(&mut self, record: Record<'_>, header: &Header) {
        let at = self.offset_at(record.at);
        let text = record.bare_text();
        if record.end == RecordEnd::TooLong {
            let wanted = self.rules.filter.wants_long(text);
            // What follows of it was not looked at, so this is a part of a record.
            let (length, pieces) = (record.length, record.pieces.concat());
            return self.settle_long(Subject { at, length, record: &pieces, whole: false }, wanted);
        }
        if is_blank(text) {
            return self.chunk.settled.add(Fate::Ignored(Ignored::Empty), 1, record.length);
        }
        if !self.rules.filter.wants(text) {
            return self.chunk.settled.add(Fate::Ignored(Ignored::NoRule), 1, record.length);
        }
        let raw = record.pieces.concat();
        let subject = Subject { at, length: record.length, record: record_of(&raw), whole: true };
        // Nobody can say whether a line without its end is whole, but of a closed object.
        let is_cut = record.pieces.last().is_some_and(|piece| !piece.ends_with(b"\n"));
        if record.end == RecordEnd::Torn && !is_closed_object(text) {
            return self.partial(subject, "its writer left in the middle of this line");
        }
        if record.end == RecordEnd::Missing || (is_cut && !is_closed_object(text)) {
            return self.partial_eof(subject);
        }
        let line = Line { at, first: record.first, record: text, container: record.container() };
        self.map(line, subject, record.at, header, Wish::Certain);
    }

    /// A line of the spool whose checksum differs. What it was nobody knows, so whether a rule would want it neither.
    fn damaged(&mut self, at: Offset, line: &[u8], bare: &[u8]) {
        let subject = Subject { at, length: line.len() as u64, record: bare, whole: true };
        let detail = "its checksum in the spool differs".to_owned();
        self.quarantine(subject, &Refusal { reason: Quarantined::Damaged, detail }, None);
    }

    /// A line that is in no container.
    fn not_wrapped(&mut self, at: Offset, line: &[u8], bare: &[u8]) {
        let length = line.len() as u64;
        if is_blank(bare) {
            return self.chunk.settled.add(Fate::Ignored(Ignored::Empty), 1, length);
        }
        if !self.rules.filter.wants(bare) {
            return self.chunk.settled.add(Fate::Ignored(Ignored::NoRule), 1, length);
        }
        let subject = Subject { at, length, record: bare, whole: true };
        if !line.ends_with(b"\n") {
            return self.partial_eof(subject);
        }
        let detail = "the line is not as the source's `container` would have wrapped it".to_owned();
        self.quarantine(subject, &Refusal { reason: Quarantined::InvalidContainer, detail }, None);
    }
}
