//! Going back: a stream that is read again from a place that it had passed.
//!
//! It goes back to where a line of its own began, so what is read twice has the same ids.

use super::stream::Stream;
use super::{Outbox, Tail};
use crate::agent::books::{Books, Standing};
use crate::agent::border::{Asked, Now};
use crate::agent::notice::NoticeCode;
use crate::mapping::identity::HEAD_BYTES;
use crate::model::chunk::Carry;
use crate::model::{FileKey, Guard, Mark, Offset, StreamId};

impl Tail {
    /// Whether the machine may have lost its power since the checkpoint was saved.
    pub(super) fn has_rebooted(&self) -> bool {
        !self.boot.is_empty() && !self.boot_before.is_empty() && self.boot != self.boot_before
    }

    /// What the file holds is what was read, up to `until`: a crash of the machine took its end, and others may have
    /// written on since. Reading goes on from the last mark.
    pub(super) fn rolled_back(
        &mut self,
        id: StreamId,
        file: FileKey,
        until: Offset,
        (at, asked): (&[Offset], &Asked),
        now: Now,
        books: &mut Books,
        out: &mut Outbox,
    ) {
        // A record of several lines may be open at the end of a line.
        let is_plain = self.is_plain(id);
        let stream = self.streams.get_mut(&id).expect("a stream that is rolled back is known");
        stream.marks.retain(|(offset, _)| *offset <= until);
        let line_ends: Vec<Offset> = at
            .iter()
            .zip(&asked.guards)
            .filter(|(_, told)| matches!(told, Some((_, Some(b'\n')))))
            .map(|(offset, _)| *offset)
            .collect();
        let to = if stream.position <= until {
            Some((stream.position, stream.guard))
        } else {
            stream.last_line_end(|at| is_plain && at <= stream.position && line_ends.contains(&at))
        };
        let Some(to) = to else { return self.replaced(id, file, asked.size, now, out) };
        out.say(
            NoticeCode::FileTruncated,
            format!("{:?} lost its end; it is read again from byte {}", stream.path, to.0),
        );
        self.rewind(id, to, books);
        self.settle_at(id, file, asked.size, now, out);
    }

    /// A line was taken for the stream's last one, and a file that goes on behind it was found: back to where that
    /// line began, if nothing is under way.
    pub(super) fn reopen_last_line(&mut self, id: StreamId, size: u64, books: &mut Books) -> bool {
        let is_plain = self.is_plain(id);
        let stream = self.streams.get_mut(&id).expect("a stream that is found is known");
        let was_ended = stream.is_inside_foreign_line() && stream.position > stream.start;
        if !was_ended || size <= stream.position.0 {
            return true;
        }
        if !books.is_settled(id) {
            return false;
        }
        let is_line_end = |at: Offset| is_plain && at < stream.position && at.0 != HEAD_BYTES as u64;
        let Some(to) = stream.last_line_end(is_line_end) else { return true };
        self.rewind(id, to, books);
        true
    }

    /// Sets a stream of which nothing is under way at a place where it was.
    fn rewind(&mut self, id: StreamId, (frontier, guard): Mark, books: &mut Books) {
        let stream = self.streams.get_mut(&id).expect("a stream that goes back is known");
        if frontier != stream.position {
            stream.inside = None;
            stream.foreign.retain(|at| *at <= frontier);
        }
        if frontier != stream.position {
            stream.last_line_done = false;
            // A place that was passed is the file's beginning, or one where every line is a record.
            stream.carry = Carry::default();
        }
        stream.position = frontier;
        stream.guard = guard;
        // What comes may have been sent before.
        stream.fresh_from = u64::MAX;
        books.close(id);
        books.open(id, &stream.source, Standing { frontier, guard, carry: stream.carry });
    }
}

impl Stream {
    /// The last mark of what is ours at which a line ends, or the file's beginning. A mark in the middle of a line
    /// is no place to read from.
    fn last_line_end(&self, is_line_end: impl Fn(Offset) -> bool) -> Option<Mark> {
        let is_ours = |(at, _): &&Mark| *at >= self.start && is_line_end(*at);
        let last = self.marks.iter().rev().find(is_ours).copied();
        last.or_else(|| (self.start == Offset::ZERO).then_some((Offset::ZERO, Guard::NOTHING)))
    }
}
