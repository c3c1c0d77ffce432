//! Streams that are known: found again, opened, read, truncated, ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::candidate::{Candidate, Step};
use super::evidence::{Head, Judgement, Mark, is_strong, judge, tell_tales, told_by_offset};
use super::stream::{Handle, LARGE_READ, Place, Registered, SMALL_READ, Stream};
use super::{Asking, CandidateKey, DISK_RETRY, Outbox, QUIET_TIME, ReadUnderWay, Tail, miss, source_index};
use crate::agent::books::{Books, Standing};
use crate::agent::border::{
    AskId, Asked, DiskFault, Effect, Now, ReadEnd, ReadId, ReadOrder, Sighting, Whom,
};
use crate::agent::notice::NoticeCode;
use crate::agent::words;
use crate::config::Settings;
use crate::mapping::{ReadFault, identity};
use crate::model::chunk::Carry;
use crate::model::{FileKey, Guard, MappedChunk, Moment, Offset, Print, Span, Stop, StreamId};

/// Output that one read may make, at most.
const MOST_ROOM: u64 = 256 * 1024;

/// A long unterminated line is not read again sooner than this.
const PARTIAL_PAUSE_NANOS: u64 = 5_000_000;

/// An unterminated line shorter than this is read again whenever something rings.
const SHORT_PARTIAL: u64 = 4096;

/// What an answered read brings.
#[derive(Debug)]
pub(in crate::agent) struct Arrived {
    pub stream: StreamId,
    pub chunk: MappedChunk,
    pub settings: Arc<Settings>,
    /// Everything in it was written after this process first saw the file.
    pub fresh: bool,
}

impl Tail {
    /// Holds the list against the streams: moved, grown, shrunk, gone, found again.
    pub(super) fn follow_known(
        &mut self,
        now: Now,
        seen: &BTreeMap<CandidateKey, Vec<&Sighting>>,
        books: &Books,
        out: &mut Outbox,
    ) {
        let ids: Vec<StreamId> = self.streams.keys().copied().collect();
        for id in ids {
            let stream = &self.streams[&id];
            if self.index_of(&stream.source).is_none() {
                continue;
            }
            match stream.place {
                Place::At { file, absent_since, .. } => {
                    match seen.get(&(Arc::clone(&stream.source), file)) {
                        Some(sightings) => self.seen_again(id, now, sightings, out),
                        None if self.is_unopened(id) => self.leave(id, None, now, out),
                        None => {
                            let stream = self.streams.get_mut(&id).expect("the stream was just seen");
                            let since = absent_since.unwrap_or(now.moment);
                            if let Place::At { absent_since, .. } = &mut stream.place {
                                *absent_since = Some(since);
                            }
                            // No path leads to it: only reading tells whether it grows.
                            self.make_ready(id);
                        }
                    }
                    self.end_if_quiet(id, now, books, out);
                }
                Place::Expected { file } => match seen.get(&(Arc::clone(&stream.source), file)) {
                    Some(sightings) => self.verify(id, file, sightings, out),
                    None => self.lose(id, None, now),
                },
                Place::Verifying { .. } | Place::Nowhere { .. } => {}
            }
        }
    }

    fn seen_again(&mut self, id: StreamId, now: Now, sightings: &[&Sighting], out: &mut Outbox) {
        let size = sightings.iter().map(|sighting| sighting.size).max().unwrap_or(0);
        let stream = self.streams.get_mut(&id).expect("a stream that is seen again is known");
        if let Place::At { absent_since, .. } = &mut stream.place {
            *absent_since = None;
        }
        let (path, is_open) = (path_among(sightings, &stream.path), stream.is_open());
        if path != stream.path && is_open {
            self.rename(id, path, out);
        } else if path != stream.path {
            // Nothing holds its inode: another file may have got it.
            if let Place::At { file, .. } = stream.place {
                self.let_go(id, out);
                self.verify(id, file, sightings, out);
            }
            return;
        }
        let stream = self.streams.get_mut(&id).expect("a stream that is seen again is known");
        if stream.told_at >= self.look_asked {
            // The list may be older than what was told since: reading tells.
            if size != stream.size {
                self.make_ready(id);
            }
        } else if size < stream.read_from().0 || (size < stream.size && stream.position == Offset::ZERO) {
            self.truncated(id, size, now, out);
            return;
        } else if size > stream.size {
            stream.size = size;
            stream.last_growth = now.moment;
        } else if size < stream.size {
            // Reading tells whether what was read of it is still there.
            self.make_ready(id);
        }
        let modified = sightings.iter().map(|sighting| sighting.modified).max().unwrap_or(0);
        let stream = self.streams.get_mut(&id).expect("a stream that is seen again is known");
        if modified != std::mem::replace(&mut stream.modified, modified) && size == stream.size {
            // It may have been written anew, with as many bytes.
            stream.doubts += 1;
            self.make_ready(id);
        }
        let stream = &self.streams[&id];
        let unopened = matches!(stream.place, Place::At { handle: Handle::Closed, .. });
        if unopened && now.moment >= stream.retry_at {
            self.open(id, out);
        }
        if self.streams[&id].behind() > 0 {
            self.make_ready(id);
        }
    }

    /// Whether its file was never opened, or could not be: then only a path leads to it.
    fn is_unopened(&self, id: StreamId) -> bool {
        let stream = &self.streams[&id];
        matches!(stream.place, Place::At { handle: Handle::Closed, .. }) && stream.told_at < self.look_asked
    }

    pub(super) fn rename(&mut self, id: StreamId, path: Arc<str>, out: &mut Outbox) {
        let stream = self.streams.get_mut(&id).expect("a stream that is renamed is known");
        let before = std::mem::replace(&mut stream.path, Arc::clone(&path));
        stream.was_moved = true;
        if self.by_path.remove(&(Arc::clone(&before), id)) {
            self.by_path.insert((Arc::clone(&path), id));
        }
        self.changes += 1;
        out.say(NoticeCode::FileRenamed, format!("{before:?} is {path:?} now"));
    }

    fn open(&mut self, id: StreamId, out: &mut Outbox) {
        let stream = self.streams.get_mut(&id).expect("a stream that is opened is known");
        if let Place::At { file, handle, .. } = &mut stream.place {
            *handle = Handle::Opening;
            stream.retry_at = Moment::START;
            out.push(Effect::Open { stream: id, path: stream.path.to_string(), file: *file });
        }
    }

    /// Puts a stream at a file and opens it.
    pub(super) fn settle_at(&mut self, id: StreamId, file: FileKey, size: u64, now: Now, out: &mut Outbox) {
        let stream = self.streams.get_mut(&id).expect("a stream that is found is known");
        stream.place = Place::At { file, handle: Handle::Closed, absent_since: None };
        stream.doubts += 1;
        stream.asking = None;
        stream.size = size;
        stream.told_at = now.moment;
        stream.partial = 0;
        stream.last_growth = now.moment;
        self.by_file.insert((Arc::clone(&stream.source), file), id);
        self.by_path.insert((Arc::clone(&stream.path), id));
        self.changes += 1;
        self.open(id, out);
        self.wake_held(id);
    }

    pub(in crate::agent) fn opened(
        &mut self,
        id: StreamId,
        result: &Result<(), DiskFault>,
        now: Now,
        out: &mut Outbox,
    ) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let Place::At { handle, .. } = &mut stream.place else { return };
        if *handle != Handle::Opening {
            return;
        }
        match result {
            Ok(()) => {
                *handle = Handle::Open;
                stream.retry_at = Moment::START;
                if std::mem::take(&mut stream.unreadable) {
                    out.say(NoticeCode::FileReadable, format!("{:?} can be read again", stream.path));
                }
                self.make_ready(id);
                self.wake_held(id);
            }
            Err(DiskFault::Gone) => {
                *handle = Handle::Closed;
                stream.retry_at = Moment::START;
                self.look_soon(now);
            }
            Err(fault) => {
                *handle = Handle::Closed;
                self.unreadable(id, &words(fault), now, out);
            }
        }
    }

    fn unreadable(&mut self, id: StreamId, why: &str, now: Now, out: &mut Outbox) {
        let stream = self.streams.get_mut(&id).expect("a stream that cannot be read is known");
        stream.retry_at = now.moment + DISK_RETRY;
        self.retries.insert((stream.retry_at, Some(id)));
        if !std::mem::replace(&mut stream.unreadable, true) {
            out.say_with_hint(
                NoticeCode::FileUnreadable,
                format!("cannot read {:?}: {why}", stream.path),
                "it is tried again each second; give Floe's user read access, or raise its limit of open files",
            );
        }
    }

    /// Retries what the disk refused a while ago.
    pub(in crate::agent) fn retry_due(&mut self, now: Now, out: &mut Outbox) {
        while let Some((due, what)) = self.retries.first().copied().filter(|(due, _)| *due <= now.moment) {
            self.retries.remove(&(due, what));
            let Some(id) = what else {
                self.resolve_all(now, out);
                continue;
            };
            let Some(stream) = self.streams.get_mut(&id).filter(|stream| stream.retry_at == due) else {
                continue;
            };
            stream.retry_at = Moment::START;
            match stream.place {
                Place::At { handle: Handle::Closed, .. } => self.open(id, out),
                Place::At { handle: Handle::Open, .. } => self.make_ready(id),
                _ => {}
            }
        }
    }

    /// Asks whether the file that stands where the checkpoint left a stream is that stream.
    fn verify(&mut self, id: StreamId, file: FileKey, sightings: &[&Sighting], out: &mut Outbox) {
        let ask = AskId(self.new_id());
        let stream = self.streams.get_mut(&id).expect("a stream that is verified is known");
        let path = path_among(sightings, &stream.path);
        stream.place = Place::Verifying { file };
        let tales = tell_tales(&stream.marks, stream.position, stream.guard);
        let at: Vec<Offset> = tales.iter().map(|(offset, _)| *offset).collect();
        let whom = Whom::At { path: path.to_string(), file };
        self.asking.insert(ask, Asking::Verify { stream: id, at: at.clone(), path });
        out.push(Effect::Ask { ask, whom, at, against: None });
    }

    pub(super) fn verified(
        &mut self,
        id: StreamId,
        at: &[Offset],
        path: Arc<str>,
        result: Result<Asked, DiskFault>,
        now: Now,
        books: &mut Books,
        out: &mut Outbox,
    ) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let Place::Verifying { file } = stream.place else { return };
        if self.sources.iter().all(|source| source.id != stream.source) {
            // Its source went with a reload; it may come back.
            stream.place = Place::Expected { file };
            return;
        }
        let asked = match result {
            Ok(asked) => asked,
            Err(DiskFault::Gone) => {
                stream.place = Place::Expected { file };
                self.look_soon(now);
                return;
            }
            Err(fault) => {
                // The next look asks again.
                stream.place = Place::Expected { file };
                self.unreadable(id, &words(&fault), now, out);
                self.streams.get_mut(&id).expect("the stream was just seen").retry_at = Moment::START;
                return;
            }
        };
        stream.unreadable = false;
        let told = told_by_offset(at, &asked);
        let tales = tell_tales(&stream.marks, stream.position, stream.guard);
        let stream = &self.streams[&id];
        let same_head = self.print_of(&stream.source, &asked) == Some(stream.print);
        // A file of another source may begin with the same line.
        let source = self.index_of(&stream.source);
        let is_of_source = source.is_some_and(|source| self.captures_of(source, &path).is_some());
        let common = stream.said_by_many().max(Head::read(&asked.head).common);
        match judge(&tales, &told, common) {
            Judgement::Same { is_strong } if same_head && (is_strong || is_of_source) => {
                self.found_at(id, path, out);
                // What stands there now may have been sent by the process before.
                self.streams.get_mut(&id).expect("the stream was just seen").fresh_from = asked.size;
                self.settle_at(id, file, asked.size, now, out);
            }
            Judgement::Shorter { is_strong: true, .. } if same_head && !books.is_settled(id) => {
                // The next look asks again.
                self.streams.get_mut(&id).expect("the stream was just seen").place = Place::Expected { file };
            }
            Judgement::Shorter { is_strong: true, .. } if same_head => {
                self.found_at(id, path, out);
                self.rolled_back(id, file, at, &asked, now, books, out);
            }
            _ => {
                self.say_truncated(id, asked.size, out);
                self.lose(id, Some(file), now);
                self.look_soon(now);
            }
        }
    }

    /// The stream's very file was found, maybe under another name.
    fn found_at(&mut self, id: StreamId, path: Arc<str>, out: &mut Outbox) {
        if self.streams[&id].path != path {
            self.rename(id, path, out);
        }
    }

    /// The file is shorter than its frontier, but what it holds is what was read: a crash of the machine took
    /// its end. Reading goes on from the last mark; what is read twice has the same ids.
    fn rolled_back(
        &mut self,
        id: StreamId,
        file: FileKey,
        at: &[Offset],
        asked: &Asked,
        now: Now,
        books: &mut Books,
        out: &mut Outbox,
    ) {
        let stream = self.streams.get_mut(&id).expect("a stream that is rolled back is known");
        stream.marks.retain(|(offset, _)| offset.0 <= asked.size);
        // A mark in the middle of a line is no place to read from.
        let line_ends: Vec<Offset> = at
            .iter()
            .zip(&asked.guards)
            .filter(|(_, told)| matches!(told, Some((_, Some(b'\n')))))
            .map(|(offset, _)| *offset)
            .collect();
        let is_ours = |(offset, _): &&Mark| {
            (stream.start..=stream.position).contains(offset) && line_ends.contains(offset)
        };
        let last = stream.marks.iter().rev().find(is_ours).copied();
        let (frontier, guard) = match last {
            _ if stream.position.0 <= asked.size => (stream.position, stream.guard),
            Some(mark) => mark,
            None if stream.start == Offset::ZERO => (Offset::ZERO, Guard::NOTHING),
            None => {
                self.say_truncated(id, asked.size, out);
                self.lose(id, Some(file), now);
                self.look_soon(now);
                return;
            }
        };
        let source = Arc::clone(&stream.source);
        if frontier != stream.position {
            stream.inside = None;
            stream.foreign.retain(|at| *at <= frontier);
        }
        stream.position = frontier;
        stream.guard = guard;
        stream.fresh_from = u64::MAX;
        out.say(
            NoticeCode::FileTruncated,
            format!("{:?} lost its end; it is read again from byte {frontier}", stream.path),
        );
        books.close(id);
        books.open(id, &source, Standing { frontier, guard });
        self.settle_at(id, file, asked.size, now, out);
    }

    /// The stream's bytes are not where they were.
    fn lose(&mut self, id: StreamId, not: Option<FileKey>, now: Now) {
        let stream = self.streams.get_mut(&id).expect("a stream that is lost was known");
        stream.place = Place::Nowhere { since: now.moment, looks: 0, not, given_up: false };
        stream.queued = false;
        stream.asking = None;
        self.changes += 1;
        Self::drop_read(&mut self.reads, &mut self.reserved, stream);
        self.ready.retain(|ready| *ready != id);
        self.stalled.retain(|stalled| *stalled != id);
        self.wake_held(id);
    }

    /// The stream's file is not its own any more, or nothing leads to it.
    fn leave(&mut self, id: StreamId, not: Option<FileKey>, now: Now, out: &mut Outbox) {
        let stream = &self.streams[&id];
        if let Place::At { file, handle, .. } = stream.place {
            if handle != Handle::Closed {
                out.push(Effect::Close(id));
            }
            self.by_file.remove(&(Arc::clone(&stream.source), file));
            self.by_path.remove(&(Arc::clone(&stream.path), id));
        }
        self.lose(id, not, now);
    }

    fn say_truncated(&self, id: StreamId, size: u64, out: &mut Outbox) {
        let stream = &self.streams[&id];
        out.say(
            NoticeCode::FileTruncated,
            format!("{:?} was truncated or written anew: it has {size} bytes", stream.path),
        );
    }

    /// A followed file became shorter than what was read of it, or has other content there: what stands in it
    /// now is another file, and the stream lives on only in a copy.
    fn truncated(&mut self, id: StreamId, size: u64, now: Now, out: &mut Outbox) {
        self.say_truncated(id, size, out);
        let stream = &self.streams[&id];
        let Place::At { file, .. } = stream.place else { return };
        let (source, path) = (Arc::clone(&stream.source), Arc::clone(&stream.path));
        self.leave(id, Some(file), now, out);
        self.look_soon(now);
        // A file that was moved out of the source's reach is of no concern any more.
        let index = self.index_of(&source);
        let Some(captures) = index.and_then(|index| self.captures_of(index, &path)) else { return };
        let candidate = Candidate {
            path,
            captures: Arc::new(captures),
            size,
            modified: 0,
            step: Step::New,
            adopt_only: false,
            initial: false,
            awaits_others: false,
            floor: None,
            anchor: None,
            distinct_from: [id].into(),
            agreed: BTreeMap::new(),
            in_vain: BTreeSet::new(),
            doubts: BTreeMap::new(),
            said: false,
        };
        self.candidates.insert((source, file), candidate);
    }

    /// Ends a file that nobody will write to any more: its unterminated last line is mapped, then it is
    /// closed if no path leads to it.
    fn end_if_quiet(&mut self, id: StreamId, now: Now, books: &Books, out: &mut Outbox) {
        let stream = &self.streams[&id];
        let Place::At { handle: Handle::Open, absent_since, .. } = stream.place else { return };
        let over = absent_since.is_some() || stream.was_renamed();
        let quiet =
            now.moment.since(stream.last_growth.max(absent_since.unwrap_or(Moment::START))) >= QUIET_TIME;
        if !over || !quiet || stream.reading.is_some() || stream.behind() > 0 || self.draining {
            return;
        }
        if !stream.last_line_done && (stream.partial > 0 || stream.inside.is_some()) {
            self.make_ready(id);
            return;
        }
        if absent_since.is_some() && books.is_settled(id) {
            let path = Arc::clone(&stream.path);
            self.leave(id, None, now, out);
            if let Place::Nowhere { given_up, .. } = &mut self.streams.get_mut(&id).expect("known").place {
                *given_up = true;
            }
            out.say(NoticeCode::FileEnded, format!("{path:?} is gone, read to its end"));
        }
    }

    /// Gives the next read that memory and windows allow.
    pub(in crate::agent) fn next_read(
        &mut self,
        now: Now,
        polar_now: jiff::Timestamp,
        books: &Books,
        out: &mut Outbox,
    ) -> Option<ReadOrder> {
        if self.draining {
            return None;
        }
        if self.stalled_at != books.changes() {
            self.stalled_at = books.changes();
            for id in std::mem::take(&mut self.stalled) {
                self.ready.push_back(id);
            }
        }
        let most = usize::from(self.settings.limits.mapping_threads) + 1;
        let room = MOST_ROOM.min(self.settings.limits.memory / 4);
        while self.reads.len() < most && self.reserved + books.charged() + room <= self.settings.limits.memory
        {
            let id = self.ready.pop_front()?;
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            if !stream.is_open() || stream.reading.is_some() {
                stream.queued = false;
                continue;
            }
            if stream.registered != Registered::Yes {
                stream.queued = false;
                self.unregistered |= stream.registered == Registered::No;
                continue;
            }
            let ahead = stream.position.0 - books.frontier(id).0;
            if ahead >= self.settings.limits.window {
                self.stalled.push(id);
                continue;
            }
            stream.queued = false;
            if stream.asking.is_some() {
                stream.again = true;
                continue;
            }
            if stream.read_from() >= stream.readable_until() && !stream.ends_now(now) {
                self.ask_for_marks(id, out);
                continue;
            }
            return Some(self.order(id, room, now, polar_now));
        }
        None
    }

    /// Asks for lines that tell the stream from files that begin like it.
    fn ask_for_marks(&mut self, id: StreamId, out: &mut Outbox) {
        let ask = AskId(self.new_id());
        let stream = self.streams.get_mut(&id).expect("a stream that is asked about is known");
        stream.asking = Some(ask);
        stream.again = false;
        let Stream { position, size: size_known, doubts, .. } = *stream;
        self.asking.insert(ask, Asking::Marks { stream: id, position, size_known, doubts });
        out.push(Effect::Ask { ask, whom: Whom::Open(id), at: vec![position], against: None });
    }

    pub(super) fn marks_told(
        &mut self,
        id: StreamId,
        ask: AskId,
        known: (Offset, u64, u64),
        result: Result<Asked, DiskFault>,
        now: Now,
        books: &mut Books,
        out: &mut Outbox,
    ) {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| stream.asking == Some(ask)) else {
            return;
        };
        stream.asking = None;
        let (position, size_known, doubts) = known;
        if stream.position != position {
            self.make_ready(id);
            return;
        }
        let asked = match result {
            Ok(asked) => asked,
            Err(DiskFault::Gone) => return self.read_failed(id, ReadFault::Gone, now, out),
            Err(fault) => return self.read_failed(id, ReadFault::Io(words(&fault)), now, out),
        };
        let head = Head::read(&asked.head);
        let first = stream.marks.first().copied();
        let has_shrunk = asked.size < size_known;
        let has_changed = (has_shrunk && position == Offset::ZERO)
            || asked.guards[0].is_none_or(|(guard, _)| guard != stream.guard)
            || first.is_some_and(|first| head.marks.first() != Some(&first))
            || self.print_of(&self.streams[&id].source, &asked) != Some(self.streams[&id].print);
        if has_changed {
            self.truncated(id, asked.size, now, out);
            return;
        }
        self.take_size(id, asked.size, has_shrunk, now, books, out);
        self.made_sure(id, doubts);
        let stream = self.streams.get_mut(&id).expect("the stream was just seen");
        stream.common = head.common;
        if is_strong(&head.marks) {
            // Durable before more of it is read.
            stream.registered = Registered::No;
            self.unregistered = true;
            self.changes += 1;
        } else if position < head.common {
            self.make_ready(id);
        } else {
            // What is behind it is no whole line yet.
            stream.partial = stream.size.saturating_sub(position.0);
            if std::mem::take(&mut stream.again) {
                self.make_ready(id);
            }
        }
        let stream = self.streams.get_mut(&id).expect("the stream was just seen");
        stream.marks = head.marks;
    }

    /// What is remembered of the stream was just seen in its file.
    fn made_sure(&mut self, id: StreamId, of: u64) {
        let stream = self.streams.get_mut(&id).expect("a stream that is made sure of is known");
        if stream.sure_of < of {
            stream.sure_of = of;
            self.wake_held(id);
        }
    }

    /// Takes in the size that the file itself told.
    fn take_size(
        &mut self,
        id: StreamId,
        size: u64,
        has_shrunk: bool,
        now: Now,
        books: &mut Books,
        out: &mut Outbox,
    ) {
        let stream = self.streams.get_mut(&id).expect("a stream that tells its size is known");
        stream.told_at = now.moment;
        if size > stream.size {
            stream.size = size;
            stream.last_growth = now.moment;
        } else if has_shrunk {
            // What was read is still there, but what stood behind it was taken back.
            let span = Span { start: Offset(size.max(stream.position.0)), end: Offset(stream.size) };
            miss(books, out, &stream.source, &stream.path, span, "became shorter before it was read");
            stream.size = size;
            stream.partial = 0;
            // Others may come to stand there.
            stream.marks.retain(|(at, _)| at.0 <= size);
        }
    }

    /// After [`Tail::next_read`]: whether there is something to read, and a window or the memory forbids it
    /// until something is settled.
    pub(in crate::agent) fn is_starved(&self) -> bool {
        self.reads.is_empty() && !(self.stalled.is_empty() && self.ready.is_empty())
    }

    fn order(&mut self, id: StreamId, room: u64, now: Now, polar_now: jiff::Timestamp) -> ReadOrder {
        let read = ReadId(self.new_id());
        let stream = self.streams.get_mut(&id).expect("a stream that is read is known");
        let source = self.sources.iter().position(|source| source.id == stream.source);
        let source = source_index(source.expect("only streams of known sources are at a file"));
        let last_line = stream.ends_now(now);
        let base = if stream.behind() > 1024 * 1024 { LARGE_READ } else { SMALL_READ };
        let allowed = if last_line { u64::MAX } else { stream.readable_until().0 - stream.read_from().0 };
        let is_known_by_guard =
            stream.position > Offset::ZERO && is_strong(&stream.marks) && !stream.is_unsure();
        let witness = match stream.inside {
            Some(line) if line.opening.is_some() && !stream.is_unsure() => line.opening,
            None if is_known_by_guard => None,
            _ => stream.marks.last().copied(),
        };
        stream.reading = Some(read);
        stream.again = false;
        let order = ReadOrder {
            read,
            stream: id,
            from: stream.read_from(),
            print: stream.print,
            limit: base.max(stream.limit).min(u32::try_from(allowed).unwrap_or(u32::MAX)),
            room: usize::try_from(room).expect("room is small"),
            expected: Some(stream.inside.map_or(stream.guard, |line| line.before_searched)),
            witness,
            long_line: stream.inside,
            end: if last_line { ReadEnd::File } else { ReadEnd::More },
            carry: Carry::default(),
            beyond: None,
            rules: Arc::clone(&self.rules),
            source,
            stream_key: stream.key,
            path: Arc::clone(&stream.path),
            captures: Arc::clone(&stream.captures),
            polar_now,
        };
        self.reserved += room;
        let settings = Arc::clone(&self.settings);
        let Stream { size: size_known, doubts, .. } = self.streams[&id];
        self.reads.insert(read, ReadUnderWay { stream: id, room, size_known, doubts, settings });
        order
    }

    /// Takes a read's answer in. What it gives is to be entered in the books at once: the position has moved.
    pub(in crate::agent) fn mapped(
        &mut self,
        read: ReadId,
        result: Result<MappedChunk, ReadFault>,
        size: u64,
        now: Now,
        books: &mut Books,
        out: &mut Outbox,
    ) -> Option<Arrived> {
        let ReadUnderWay { stream: id, room, size_known, doubts, settings } = self.reads.remove(&read)?;
        self.reserved -= room;
        let stream = self.streams.get_mut(&id).expect("a stream with a read under way is known");
        stream.reading = None;
        let chunk = match result {
            Ok(chunk) => chunk,
            Err(fault) => {
                self.read_failed(id, fault, now, out);
                return None;
            }
        };
        if std::mem::take(&mut stream.unreadable) {
            out.say(NoticeCode::FileReadable, format!("{:?} can be read again", stream.path));
        }
        let has_shrunk = size < size_known;
        if has_shrunk && stream.position == Offset::ZERO {
            self.truncated(id, size, now, out);
            return None;
        }
        self.take_size(id, size, has_shrunk, now, books, out);
        self.made_sure(id, doubts);
        let stream = self.streams.get_mut(&id).expect("the stream was just seen");
        if let Some(span) = chunk.span {
            stream.position = span.end;
            stream.guard = chunk.after;
            let frontier = books.frontier(id);
            stream.foreign.retain(|at| *at >= frontier);
            let is_far = stream.marks.last().is_some_and(|(last, _)| span.end.0 >= last.0 * 2);
            if is_strong(&stream.marks) && is_far && chunk.stop != Stop::FileEnd {
                stream.marks.push((span.end, chunk.after));
            }
            stream.inside = None;
            stream.limit = SMALL_READ;
            stream.partial = 0;
        }
        if chunk.span.is_none() && stream.inside.is_none() {
            // What was blank there is not any more.
            stream.common = stream.common.min(stream.position);
        }
        let max_line = self.max_line_of(id);
        let stream = self.streams.get_mut(&id).expect("the stream was just seen");
        match chunk.stop {
            Stop::BytesEnd { partial, rests: _ } => {
                stream.partial = partial;
                if partial > u64::from(stream.limit) / 2 {
                    // A line does not fit into one read: take more, up to its limit.
                    let most = max_line.saturating_add(SMALL_READ);
                    stream.limit = stream.limit.saturating_mul(2).min(most);
                }
            }
            Stop::BodyFull => stream.partial = 0,
            Stop::InLongLine(line) => {
                stream.inside = Some(line);
                stream.partial = 0;
            }
            Stop::FileEnd => {
                stream.last_line_done = true;
                // What a late writer appends belongs to the line that is done.
                stream.enter_foreign_line();
                stream.partial = 0;
            }
        }
        if has_shrunk {
            // The bytes that it waits for are gone: a look tells what became of them.
            self.look_soon(now);
        }
        let stream = self.streams.get_mut(&id).expect("the stream was just seen");
        let more = stream.again || stream.is_unsure() || stream.behind() > 0 || chunk.stop == Stop::BodyFull;
        let long_partial = stream.partial > SHORT_PARTIAL && chunk.span.is_none() && stream.behind() == 0;
        if more && long_partial {
            stream.retry_at = now.moment + std::time::Duration::from_nanos(PARTIAL_PAUSE_NANOS);
            self.retries.insert((stream.retry_at, Some(id)));
        } else if more {
            self.make_ready(id);
        }
        let stream = &self.streams[&id];
        let fresh = chunk.span.is_some_and(|span| span.start.0 >= stream.fresh_from);
        Some(Arrived { stream: id, chunk, settings, fresh })
    }

    /// The print that the head of a file of the source shows.
    pub(super) fn print_of(&self, source: &str, asked: &Asked) -> Option<Print> {
        let format = &self.settings.sources[self.index_of(source)?].format;
        identity::print_of_head(&asked.head, format)
    }

    fn max_line_of(&self, id: StreamId) -> u32 {
        let source = self.index_of(&self.streams[&id].source);
        source.map_or(SMALL_READ, |index| self.settings.sources[index].max_line_bytes)
    }

    fn read_failed(&mut self, id: StreamId, fault: ReadFault, now: Now, out: &mut Outbox) {
        match fault {
            ReadFault::Shrunk { size } => self.truncated(id, size, now, out),
            ReadFault::GuardDiffers => self.truncated(id, self.streams[&id].size, now, out),
            ReadFault::Gone => {
                let stream = self.streams.get_mut(&id).expect("a stream that failed is known");
                if let Place::At { handle, .. } = &mut stream.place {
                    *handle = Handle::Closed;
                }
                stream.retry_at = now.moment + DISK_RETRY;
                self.retries.insert((stream.retry_at, Some(id)));
                self.look_soon(now);
            }
            ReadFault::Io(why) => self.unreadable(id, &why, now, out),
        }
    }
}

impl Stream {
    /// Whether nobody will end its last line any more.
    fn ends_now(&self, now: Now) -> bool {
        let is_over = matches!(self.place, Place::At { absent_since: Some(_), .. }) || self.was_renamed();
        is_over
            && now.moment.since(self.last_growth) >= QUIET_TIME
            && (self.partial > 0 || self.inside.is_some())
            && !self.last_line_done
            && self.behind() == 0
    }

    /// Whether it is settled at a file or may be soon.
    pub(super) fn is_undecided(&self) -> bool {
        matches!(self.place, Place::Expected { .. } | Place::Verifying { .. })
    }
}

/// The path by which a file goes on: its own where it is seen there, else a match, else any.
fn path_among(sightings: &[&Sighting], own: &Arc<str>) -> Arc<str> {
    if sightings.iter().any(|sighting| *sighting.path == **own) {
        return Arc::clone(own);
    }
    let better = sightings.iter().find(|sighting| sighting.matched.is_some());
    Arc::from(better.unwrap_or(&sightings[0]).path.as_str())
}
