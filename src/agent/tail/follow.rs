//! Which file a known stream stands at: found again, opened, truncated, gone.

use std::sync::Arc;

use super::candidate::Candidate;
use super::evidence::{Head, Judgement, agreed_before_difference, judge, told_by_offset};
use super::look::{modified_of, size_of};
use super::questions::Question;
use super::seen::Seen;
use super::stream::{Handle, Place, Stream};
use super::{DISK_RETRY, Outbox, QUIET_TIME, Tail, index_of, say_unreadable};
use crate::agent::books::Books;
use crate::agent::border::{Asked, DiskFault, Effect, Now, Sighting};
use crate::agent::notice::NoticeCode;
use crate::agent::words;
use crate::model::{FileKey, Moment, Offset, StreamId};

impl Tail {
    /// Holds the list against the streams: moved, grown, shrunk, gone, found again.
    pub(super) fn follow_known(&mut self, now: Now, seen: &Seen<'_>, books: &Books, out: &mut Outbox) {
        let streams = self.streams.iter();
        let ids: Vec<StreamId> = streams
            .filter(|(id, stream)| !self.is_as_it_was(**id, stream, seen))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            let stream = &self.streams[&id];
            if index_of(&self.sources, &stream.source).is_none() {
                continue;
            }
            match stream.place {
                Place::At { file, absent_since, .. } => {
                    match seen.of(&stream.source, file) {
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
                Place::Expected { file } => match seen.of(&stream.source, file) {
                    Some(sightings) if self.is_archived(id, sightings) => {
                        self.archive(id, file, sightings, out);
                    }
                    Some(sightings) => self.verify(id, file, sightings, out),
                    None => self.lose(id, None, now),
                },
                Place::Verifying { .. } | Place::Nowhere { .. } => {}
            }
        }
    }

    /// Whether a look says nothing new of a followed file that is read to its end, as of nearly all files at nearly every
    /// look.
    fn is_as_it_was(&self, id: StreamId, stream: &Stream, seen: &Seen<'_>) -> bool {
        let Place::At { file, handle: Handle::Open | Handle::Parked, absent_since: None } = stream.place
        else {
            return false;
        };
        let is_same = |sightings: &[&Sighting]| {
            matches!(sightings, [one] if one.path == stream.path
                && one.size == stream.size
                && one.modified == stream.modified)
        };
        stream.behind() == 0
            && stream.read_from().0 <= stream.size
            && seen.of(&stream.source, file).is_some_and(is_same)
            && !self.is_over(id)
    }

    fn seen_again(&mut self, id: StreamId, now: Now, sightings: &[&Sighting], out: &mut Outbox) {
        if self.stays_archived(id, sightings, out) {
            return;
        }
        let size = size_of(sightings);
        let stream = self.streams.get_mut(&id).expect("a stream that is seen again is known");
        let before = (stream.size, stream.modified);
        if let Place::At { absent_since, .. } = &mut stream.place {
            *absent_since = None;
        }
        let (path, is_open) = (path_among(sightings, &stream.path), stream.is_open());
        if is_open {
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
            stream.arrivals.saw(Offset(size), now.moment);
            stream.last_growth = now.moment;
        } else if size < stream.size {
            // Reading tells whether what was read of it is still there.
            self.make_ready(id);
        }
        let modified = modified_of(sightings);
        let stream = self.streams.get_mut(&id).expect("a stream that is seen again is known");
        self.changes += u64::from(stream.is_compressed() && modified != stream.modified);
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
        let stream = &self.streams[&id];
        if stream.is_parked() && (stream.size, modified) != before {
            self.unpark(id, out);
        } else if stream.behind() > 0 {
            self.make_ready(id);
        }
    }

    /// Whether its file is not open: then only a path leads to it.
    fn is_unopened(&self, id: StreamId) -> bool {
        let stream = &self.streams[&id];
        let is_closed = matches!(
            stream.place,
            Place::At { handle: Handle::Closed | Handle::Queued | Handle::Parked, .. }
        );
        is_closed && stream.told_at < self.look_asked
    }

    /// The stream's very file was found, maybe under another name.
    pub(super) fn rename(&mut self, id: StreamId, path: Arc<str>, out: &mut Outbox) {
        let stream = self.streams.get_mut(&id).expect("a stream that is renamed is known");
        if stream.path == path {
            return;
        }
        let source = Arc::clone(&stream.source);
        let before = std::mem::replace(&mut stream.path, Arc::clone(&path));
        // Rotation renames all that it keeps: of a file that is read to its end the first time is news.
        let is_news = !stream.was_moved || stream.size > stream.position.0;
        stream.was_moved = true;
        if self.by_path.remove(&(Arc::clone(&before), id)) {
            self.by_path.insert((Arc::clone(&path), id));
        }
        self.changes += 1;
        self.was_rotated(&source, &before, &path);
        if is_news {
            out.say(NoticeCode::FileRenamed, format!("{before:?} is {path:?} now"));
        }
    }

    /// Puts a stream at a file and opens it.
    pub(super) fn settle_at(&mut self, id: StreamId, file: FileKey, size: u64, now: Now, out: &mut Outbox) {
        let stream = self.streams.get_mut(&id).expect("a stream that is found is known");
        stream.place = Place::At { file, handle: Handle::Closed, absent_since: None };
        stream.doubts += 1;
        stream.asking = None;
        stream.size = size;
        stream.arrivals.saw(Offset(size), now.moment);
        stream.told_at = now.moment;
        stream.partial = 0;
        stream.last_growth = now.moment;
        stream.found_at = now.moment;
        stream.read_until = None;
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
        if !matches!(stream.place, Place::At { handle: Handle::Opening, .. }) {
            return;
        }
        match result {
            Ok(()) => {
                self.set_handle(id, Handle::Open);
                let stream = self.streams.get_mut(&id).expect("the stream was just seen");
                stream.retry_at = Moment::START;
                stream.say_readable_again(out);
                self.make_ready(id);
                self.wake_held(id);
            }
            Err(DiskFault::Gone) => {
                self.set_handle(id, Handle::Closed);
                self.streams.get_mut(&id).expect("the stream was just seen").retry_at = Moment::START;
                self.look_soon(now);
            }
            Err(DiskFault::TooManyOpen) => self.ran_short(id, now),
            Err(fault) => {
                self.set_handle(id, Handle::Closed);
                self.unreadable(id, &words(fault), now, out);
            }
        }
    }

    pub(super) fn unreadable(&mut self, id: StreamId, why: &str, now: Now, out: &mut Outbox) {
        let stream = self.streams.get_mut(&id).expect("a stream that cannot be read is known");
        if !std::mem::replace(&mut stream.unreadable, true) {
            say_unreadable(out, &stream.path, why);
        }
        self.retry(id, now.moment + DISK_RETRY);
    }

    /// Tries again at that moment to open the stream's file, or to read it.
    pub(super) fn retry(&mut self, id: StreamId, at: Moment) {
        let stream = self.streams.get_mut(&id).expect("a stream that is tried again is known");
        stream.retry_at = at;
        self.retries.insert((at, Some(id)));
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
    pub(super) fn verify(&mut self, id: StreamId, file: FileKey, sightings: &[&Sighting], out: &mut Outbox) {
        let stream = self.streams.get_mut(&id).expect("a stream that is verified is known");
        let path = path_among(sightings, &stream.path);
        stream.place = Place::Verifying { file };
        self.put(Question::Verify { stream: id, file, path }, out);
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
        let is_once = self.reads_once();
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let Place::Verifying { file } = stream.place else { return };
        let Some(source) = index_of(&self.sources, &stream.source) else {
            // Its source went with a reload; it may come back.
            stream.place = Place::Expected { file };
            return;
        };
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
                if is_once {
                    // It is told by the name that was given.
                    stream.path = path;
                }
                self.unreadable(id, &words(&fault), now, out);
                self.streams.get_mut(&id).expect("the stream was just seen").retry_at = Moment::START;
                return;
            }
        };
        stream.unreadable = false;
        let told = told_by_offset(at, &asked);
        let tales = stream.tell_tales();
        let stream = &self.streams[&id];
        let same_head = self.print_of(source, &asked) == Some(stream.print);
        // A file of another source may begin with the same line.
        let is_of_source = self.reads_once() || self.captures_of(source, &path).is_some();
        let common = stream.said_by_many().max(Head::read(&asked.head).common);
        match judge(&tales, &told, common) {
            Judgement::Same { is_strong } if same_head && (is_strong || is_of_source) => {
                self.rename(id, path, out);
                // What stands there now may have been sent by the process before.
                self.streams.get_mut(&id).expect("the stream was just seen").is_old_up_to(asked.size);
                self.settle_at(id, file, asked.size, now, out);
            }
            Judgement::Shorter { is_strong: true, .. } if same_head && !books.is_settled(id) => {
                // The next look asks again.
                self.streams.get_mut(&id).expect("the stream was just seen").place = Place::Expected { file };
            }
            Judgement::Shorter { is_strong: true, .. } if same_head => {
                self.rename(id, path, out);
                self.rolled_back(id, file, Offset(asked.size), (at, &asked), now, books, out);
            }
            Judgement::Other if same_head && self.has_rebooted() && books.is_settled(id) => {
                let until = agreed_before_difference(&tales, &told);
                if until <= common {
                    return self.replaced(id, file, asked.size, now, out);
                }
                self.rename(id, path, out);
                self.rolled_back(id, file, until, (at, &asked), now, books, out);
            }
            _ => self.replaced(id, file, asked.size, now, out),
        }
    }

    /// Another file stands where the stream was expected.
    pub(super) fn replaced(&mut self, id: StreamId, file: FileKey, size: u64, now: Now, out: &mut Outbox) {
        self.say_truncated(id, size, out);
        self.lose(id, Some(file), now);
        self.look_soon(now);
    }

    /// The stream's bytes are not where they were.
    fn lose(&mut self, id: StreamId, not: Option<FileKey>, now: Now) {
        self.stop_reading(id);
        let stream = self.streams.get_mut(&id).expect("a stream that is lost was known");
        stream.place = Place::Nowhere { since: now.moment, looks: 0, not, given_up: false };
        self.changes += 1;
        self.wake_held(id);
    }

    /// The stream's file is not its own any more, or nothing leads to it.
    fn leave(&mut self, id: StreamId, not: Option<FileKey>, now: Now, out: &mut Outbox) {
        self.detach(id, out);
        self.lose(id, not, now);
    }

    /// Closes a stream's file and expects it where it was, for when its source comes back.
    pub(super) fn let_go(&mut self, id: StreamId, out: &mut Outbox) {
        let Some(file) = self.detach(id, out) else { return };
        self.stop_reading(id);
        let stream = self.streams.get_mut(&id).expect("a stream that is let go was known");
        stream.place = Place::Expected { file };
    }

    /// Closes the file that a stream is at, and lets nothing lead from it to the stream.
    pub(super) fn detach(&mut self, id: StreamId, out: &mut Outbox) -> Option<FileKey> {
        let Place::At { file, handle, .. } = self.streams[&id].place else { return None };
        self.count_handle(handle, Handle::Closed);
        let stream = &self.streams[&id];
        if matches!(handle, Handle::Opening | Handle::Open) {
            out.push(Effect::Close(id));
        }
        self.by_file.remove(&(Arc::clone(&stream.source), file));
        self.by_path.remove(&(Arc::clone(&stream.path), id));
        Some(file)
    }

    /// Takes a stream out of the queues. What is read of it, or asked about it, will be ignored.
    pub(super) fn stop_reading(&mut self, id: StreamId) {
        self.drop_read(id);
        self.ready.retain(|ready| *ready != id);
        self.stalled.retain(|stalled| *stalled != id);
        let stream = self.streams.get_mut(&id).expect("a stream that is not read any more was known");
        stream.queued = false;
        stream.asking = None;
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
    pub(super) fn truncated(&mut self, id: StreamId, size: u64, now: Now, out: &mut Outbox) {
        self.say_truncated(id, size, out);
        let stream = &self.streams[&id];
        let Place::At { file, .. } = stream.place else { return };
        let (source, path) = (Arc::clone(&stream.source), Arc::clone(&stream.path));
        self.leave(id, Some(file), now, out);
        self.look_soon(now);
        // A file that was moved out of the source's reach is of no concern any more.
        let index = index_of(&self.sources, &source);
        let Some(captures) = index.and_then(|index| self.captures_of(index, &path)) else { return };
        let mut candidate = Candidate::new(path, Arc::new(captures), size, now.moment);
        candidate.distinct_from.insert(id);
        self.candidates.insert((source, file), Box::new(candidate));
    }

    /// Whether a stream's writer has another file by now.
    pub(super) fn is_over(&self, id: StreamId) -> bool {
        let stream = &self.streams[&id];
        matches!(stream.place, Place::At { absent_since: Some(_), .. })
            || stream.was_renamed()
            || stream.is_compressed()
            || self.successor(id).is_some()
    }

    /// Ends a file that nobody will write to any more: its unterminated last line is mapped, then it is
    /// closed if no path leads to it.
    fn end_if_quiet(&mut self, id: StreamId, now: Now, books: &Books, out: &mut Outbox) {
        let stream = &self.streams[&id];
        let Place::At { handle: Handle::Open, absent_since, .. } = stream.place else { return };
        let over = self.is_over(id);
        let quiet =
            now.moment.since(stream.last_growth.max(absent_since.unwrap_or(Moment::START))) >= QUIET_TIME;
        if over && self.hands_over(id, now) {
            self.make_ready(id);
            return;
        }
        let stream = &self.streams[&id];
        if !over || !quiet || stream.reading.is_some() || stream.behind() > 0 || self.is_draining() {
            return;
        }
        if !stream.last_line_done && (stream.partial > 0 || stream.inside.is_some()) {
            self.make_ready(id);
            return;
        }
        if absent_since.is_some() && books.is_settled(id) {
            let (source, path) = (Arc::clone(&stream.source), Arc::clone(&stream.path));
            self.leave(id, None, now, out);
            if let Place::Nowhere { given_up, .. } = &mut self.streams.get_mut(&id).expect("known").place {
                *given_up = true;
            }
            if !self.is_spooled(&source) {
                out.say(NoticeCode::FileEnded, format!("{path:?} is gone, read to its end"));
            }
        }
    }
}

/// The path by which a file goes on: its own where it is seen there, else a match, else any.
pub(super) fn path_among(sightings: &[&Sighting], own: &Arc<str>) -> Arc<str> {
    if sightings.iter().any(|sighting| *sighting.path == **own) {
        return Arc::clone(own);
    }
    let better = sightings.iter().find(|sighting| sighting.matched.is_some());
    Arc::clone(&better.unwrap_or(&sightings[0]).path)
}
