//! What is read next of a stream, and what an answer says of its file.
//!
//! Every answer is held against what was known when it was asked: so a file that was written anew under us is seen
//! before anything of it is believed.

use std::sync::Arc;
use std::time::Duration;

use super::drain::Draining;
use super::evidence::{Head, is_strong};
use super::questions::Question;
use super::stream::{Handle, LARGE_READ, MOST_PARTS, Registered, SMALL_READ, Stream};
use super::succession::{HANDOVER_TIME, Inherited, WAIT_TIME};
use super::{DISK_RETRY, Outbox, QUIET_TIME, Tail, index_of, miss};
use crate::agent::books::Books;
use crate::agent::border::{Ahead, AskId, Asked, DiskFault, Now, ReadEnd, ReadId, ReadOrder};
use crate::agent::words;
use crate::config::Settings;
use crate::config::settings::{Columns, Format, SourceSettings};
use crate::mapping::ReadFault;
use crate::model::chunk::{Carry, Outputs};
use crate::model::{Guard, MappedChunk, Offset, SourceIndex, Span, Stop, StreamId};

/// Output that one read may make, at most.
const MOST_ROOM: u64 = 256 * 1024;

/// A long unterminated line is not read again sooner than this.
const PARTIAL_PAUSE: Duration = Duration::from_millis(5);

/// An unterminated line shorter than this is read again whenever something rings.
const SHORT_PARTIAL: u64 = 4096;

/// How far beyond its window a stream is read for lines that show whether Polar takes any.
const EVIDENCE_BYTES: u64 = 1024 * 1024;

/// Whoever lacks more than this reads in large steps.
const MUCH_BEHIND: u64 = 1024 * 1024;

/// What an answered read brings.
#[derive(Debug)]
pub(in crate::agent) struct Arrived {
    pub stream: StreamId,
    pub chunk: MappedChunk,
    pub settings: Arc<Settings>,
    /// Everything in it was written after this process first saw the file.
    pub fresh: bool,
}

#[derive(Debug)]
pub(super) struct ReadUnderWay {
    pub stream: StreamId,
    pub room: u64,
    pub known: KnownAt,
    pub settings: Arc<Settings>,
}

/// What was known of a stream when its file was asked: by this its answer is judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownAt {
    pub position: Offset,
    /// A smaller one means that the file shrank. A look may have seen more since the answer was taken.
    pub size: u64,
    /// How many doubts there were: the answer clears them up.
    pub doubts: u64,
}

impl Tail {
    /// Gives the next read that memory and windows allow.
    pub(in crate::agent) fn next_read(
        &mut self,
        now: Now,
        polar_now: jiff::Timestamp,
        lacks_evidence: bool,
        books: &Books,
        out: &mut Outbox,
    ) -> Option<ReadOrder> {
        if self.draining == Draining::Halted {
            return None;
        }
        let window = self.settings.limits.window + if lacks_evidence { EVIDENCE_BYTES } else { 0 };
        if self.stalled_at != books.changes() || lacks_evidence {
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
            if ahead >= window {
                self.stalled.push(id);
                continue;
            }
            stream.queued = false;
            if stream.asking.is_some() {
                stream.again = true;
                continue;
            }
            let is_known = stream.read_to() >= stream.readable_until();
            let is_enough = stream.is_read_out() && !stream.is_unsure();
            let end = self.end_of(id, now);
            if is_enough && end == ReadEnd::More {
                continue;
            }
            if is_known && end == ReadEnd::More {
                self.ask_for_marks(id, out);
                continue;
            }
            if matches!(end, ReadEnd::File | ReadEnd::Handover) && self.opens_successor(id, out) {
                self.retry(id, now.moment + WAIT_TIME);
                self.one_gives_way(id, now, out);
                continue;
            }
            let Inherited::Known { unfinished, from } = self.inherited(id, now) else {
                self.retry(id, now.moment + WAIT_TIME);
                let before = self.read_before(id);
                before.into_iter().for_each(|before| self.unpark(before, out));
                match before.filter(|before| self.awaits_successor(*before)) {
                    // It has what it waited for.
                    Some(before) => self.make_ready(before),
                    None => self.give_way(id, now, out),
                }
                self.hasten_before(id);
                continue;
            };
            if let Some((before, heir)) = from {
                self.streams.get_mut(&before).expect("the file before was just seen").heir = heir;
            }
            self.waits_no_more(id);
            let left = window - ahead;
            let free = self.settings.limits.memory - self.reserved - books.charged() - room;
            let ahead = self.ahead_of(id, end, room, left, free);
            return Some(self.order(id, room, ahead, end, unfinished, polar_now));
        }
        None
    }

    /// Asks for lines that tell the stream from files that begin like it.
    fn ask_for_marks(&mut self, id: StreamId, out: &mut Outbox) {
        let ask = AskId(self.new_id());
        let stream = self.streams.get_mut(&id).expect("a stream that is asked about is known");
        stream.asking = Some(ask);
        stream.again = false;
        self.put(Question::Marks { stream: id, ask }, out);
    }

    pub(super) fn marks_told(
        &mut self,
        id: StreamId,
        ask: AskId,
        known: KnownAt,
        result: Result<Asked, DiskFault>,
        now: Now,
        books: &mut Books,
        out: &mut Outbox,
    ) {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| stream.asking == Some(ask)) else {
            return;
        };
        stream.asking = None;
        if stream.position != known.position {
            self.make_ready(id);
            return;
        }
        let asked = match result {
            Ok(asked) => asked,
            Err(DiskFault::Gone) => return self.read_failed(id, ReadFault::Gone, now, out),
            Err(fault) => return self.read_failed(id, ReadFault::Io(words(&fault)), now, out),
        };
        let stream = &self.streams[&id];
        let source = index_of(&self.sources, &stream.source);
        let source = source.expect("only streams of known sources are at a file");
        let head = Head::read(&asked.head);
        let first = stream.marks.first();
        let has_shrunk = asked.size < known.size;
        let has_changed = (has_shrunk && known.position == Offset::ZERO)
            || asked.guards[0].is_none_or(|(guard, _)| guard != stream.guard)
            || first.is_some_and(|first| head.marks.first() != Some(first))
            || self.print_of(source, &asked) != Some(stream.print);
        if has_changed {
            self.truncated(id, asked.size, now, out);
            return;
        }
        self.take_size(id, asked.size, has_shrunk, now, books, out);
        self.made_sure(id, known.doubts);
        let is_once = self.reads_once();
        let stream = self.streams.get_mut(&id).expect("the stream was just seen");
        stream.common = head.common;
        let shows_all = !asked.head.is_empty() && asked.head.len() as u64 == asked.size;
        let beginning = shows_all.then(|| (Offset(asked.size), Guard::at_end_of(&asked.head)));
        let has_news = std::mem::replace(&mut stream.beginning, beginning) != beginning;
        if is_strong(&head.marks) {
            // Durable before more of it is read.
            stream.registered = Registered::No;
            self.unregistered = true;
            self.changes += 1;
        } else if stream.read_to() < head.common {
            self.make_ready(id);
        } else {
            // What is behind it is no whole line yet.
            stream.partial = stream.size.saturating_sub(known.position.0);
            let is_over = is_once && stream.is_at_last_line();
            if std::mem::take(&mut stream.again) || is_over {
                self.make_ready(id);
            }
        }
        let stream = self.streams.get_mut(&id).expect("the stream was just seen");
        stream.marks = head.marks;
        if has_news {
            self.wake_held(id);
        }
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
        let is_last = self.draining == Draining::Seen;
        let stream = self.streams.get_mut(&id).expect("a stream that tells its size is known");
        stream.told_at = now.moment;
        if is_last && !stream.again {
            stream.read_until = stream.read_until.or(Some(stream.end_at(size)));
        }
        if size > stream.size {
            stream.size = size;
            stream.arrivals.saw(Offset(size), now.moment);
            stream.last_growth = now.moment;
        } else if has_shrunk {
            // What was read is still there, but what stood behind it was taken back.
            let span = Span { start: Offset(size.max(stream.position.0)), end: Offset(stream.size) };
            miss(books, out, &stream.source, &stream.path, span, "became shorter before it was read");
            stream.size = size;
            stream.arrivals.cut(Offset(size));
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

    /// What a read of the stream would know of the end of its bytes.
    fn end_of(&self, id: StreamId, now: Now) -> ReadEnd {
        let stream = &self.streams[&id];
        let max_wait = self.max_wait_of(id);
        if self.ends_now(id, now) {
            ReadEnd::File
        } else if self.hands_over(id, now) {
            ReadEnd::Handover
        } else if max_wait.is_some_and(|wait| stream.rests_now(now, wait)) {
            ReadEnd::Quiet
        } else {
            ReadEnd::More
        }
    }

    /// Whether nobody will end its last line any more.
    fn ends_now(&self, id: StreamId, now: Now) -> bool {
        if self.reads_once() {
            return self.streams[&id].is_at_last_line();
        }
        now.moment.since(self.streams[&id].last_growth) >= QUIET_TIME
            && self.streams[&id].is_at_last_line()
            && self.is_over(id)
    }

    /// What the next read of the stream may take along where there is much to catch up, in parts with so much `room`.
    /// `left`: of its window; `free`: of the memory.
    fn ahead_of(&self, id: StreamId, end: ReadEnd, room: u64, left: u64, free: u64) -> Option<Ahead> {
        let stream = &self.streams[&id];
        let threads = u64::from(self.settings.limits.mapping_threads);
        let is_open = end == ReadEnd::More && is_strong(&stream.marks) && stream.inside.is_none();
        // One thread has its hands full with a part of such a stream. A compressed one is read by one at a time.
        let is_worth_it = !stream.is_dense || threads > 1 && !stream.is_compressed();
        if !is_open || !is_worth_it || !self.is_plain(id) {
            return None;
        }
        let limit = u64::from(stream.limit_behind(threads));
        // How much there is of a compressed file shows as it is read.
        let behind = if stream.is_compressed() { u64::MAX } else { stream.behind() };
        let parts = (behind.min(left) / limit).saturating_sub(1).min(MOST_PARTS);
        // All threads may fill their room at the same time.
        let (least, most) = (room * (threads + 1), room * (threads + 3));
        (parts > 0 && free >= least).then(|| Ahead {
            parts: u32::try_from(parts).expect("parts are few"),
            room: usize::try_from(free.min(most)).expect("room is small"),
        })
    }

    fn order(
        &mut self,
        id: StreamId,
        room: u64,
        ahead: Option<Ahead>,
        end: ReadEnd,
        unfinished: Outputs,
        polar_now: jiff::Timestamp,
    ) -> ReadOrder {
        let read = ReadId(self.new_id());
        let goes_on = matches!(end, ReadEnd::File | ReadEnd::Handover);
        let beyond = if goes_on { self.successor(id) } else { None };
        let header = self.header_before(id);
        let stream = self.streams.get_mut(&id).expect("a stream that is read is known");
        let source = index_of(&self.sources, &stream.source);
        let source = source_index(source.expect("only streams of known sources are at a file"));
        let allowed = match end {
            ReadEnd::File | ReadEnd::Handover => u64::MAX,
            // What has been written since was not quiet.
            ReadEnd::Quiet => stream.size - stream.read_from().0,
            ReadEnd::More => stream.readable_until().0 - stream.read_from().0,
        };
        if stream.position == Offset::ZERO {
            stream.carry.unfinished = unfinished;
        }
        // A record that quiet ends is read as a whole.
        let least = if end == ReadEnd::Quiet { u32::try_from(allowed).unwrap_or(u32::MAX) } else { 0 };
        let is_known_by_guard =
            stream.position > Offset::ZERO && is_strong(&stream.marks) && !stream.is_unsure();
        let witness = match &stream.inside {
            Some(line) if line.opening.is_some() && !stream.is_unsure() => line.opening,
            None if is_known_by_guard => None,
            _ => stream.marks.last().copied(),
        };
        stream.reading = Some(read);
        stream.again = false;
        let settings = Arc::clone(&self.settings);
        let threads = u64::from(settings.limits.mapping_threads);
        let in_all = room + ahead.map_or(0, |ahead| ahead.room as u64);
        self.reads.insert(read, ReadUnderWay { stream: id, room: in_all, known: stream.known(), settings });
        self.reserved += in_all;
        ReadOrder {
            read,
            stream: id,
            from: stream.read_from(),
            print: stream.print,
            limit: stream.limit_behind(threads).max(least).min(u32::try_from(allowed).unwrap_or(u32::MAX)),
            room: usize::try_from(room).expect("room is small"),
            ahead,
            expected: Some(stream.inside.as_ref().map_or(stream.guard, |line| line.before_searched)),
            witness,
            long_line: stream.inside.as_deref().copied(),
            end,
            carry: Carry { header, ..stream.carry },
            beyond,
            rules: Arc::clone(&self.rules),
            source,
            stream_key: stream.key,
            ordinal: stream.ordinal,
            path: Arc::clone(&stream.path),
            captures: Arc::clone(&stream.captures),
            polar_now,
        }
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
        let ReadUnderWay { stream: id, room, known, settings } = self.reads.remove(&read)?;
        self.reserved -= room;
        let stream = self.streams.get_mut(&id).expect("a stream with a read under way is known");
        stream.reading = None;
        stream.was_read = true;
        let chunk = match result {
            Ok(chunk) => chunk,
            Err(fault) => {
                self.read_failed(id, fault, now, out);
                return None;
            }
        };
        stream.say_readable_again(out);
        let has_shrunk = size < known.size;
        if has_shrunk && stream.position == Offset::ZERO {
            self.truncated(id, size, now, out);
            return None;
        }
        self.take_size(id, size, has_shrunk, now, books, out);
        self.made_sure(id, known.doubts);
        let is_plain = self.is_plain(id);
        let stream = self.streams.get_mut(&id).expect("the stream was just seen");
        if let Some(span) = chunk.span {
            stream.position = span.end;
            stream.guard = chunk.after;
            stream.carry = chunk.carry;
            let frontier = books.frontier(id);
            stream.foreign.retain(|at| *at >= frontier);
            let is_far = stream.marks.last().is_some_and(|(last, _)| span.end.0 >= last.0 * 2);
            if is_strong(&stream.marks) && is_far && chunk.stop != Stop::FileEnd {
                stream.marks.push((span.end, chunk.after));
            }
            stream.inside = None;
            stream.limit = SMALL_READ;
            stream.is_dense = chunk.output() as u64 > span.len() / 4;
            stream.partial = 0;
        }
        stream.rests = false;
        if chunk.span.is_none() && stream.inside.is_none() && is_plain {
            // What was blank there is not any more.
            stream.common = stream.common.min(stream.position);
        }
        let reach = self.reach_of(id);
        let max_wait = self.max_wait_of(id);
        let is_once = self.reads_once();
        let stream = self.streams.get_mut(&id).expect("the stream was just seen");
        match chunk.stop {
            Stop::BytesEnd { partial, rests } => {
                stream.partial = partial;
                stream.holds_open_record = !is_plain;
                stream.rests = rests;
                if partial > u64::from(stream.limit) / 2 {
                    // A line does not fit into one read: take more, up to its limit.
                    let most = reach.saturating_add(SMALL_READ);
                    stream.limit = stream.limit.saturating_mul(2).min(most);
                }
            }
            Stop::BodyFull => stream.partial = 0,
            Stop::InLongLine(line) => {
                stream.inside = Some(Box::new(line));
                stream.partial = 0;
            }
            Stop::FileEnd => {
                stream.last_line_done = true;
                // What a late writer appends belongs to the line that is done.
                stream.enter_foreign_line();
                stream.partial = 0;
            }
        }
        stream.arrived(books.frontier(id));
        if has_shrunk {
            // The bytes that it waits for are gone: a look tells what became of them.
            self.look_soon(now);
        }
        let stream = self.streams.get_mut(&id).expect("the stream was just seen");
        let is_over = is_once && stream.is_at_last_line();
        let more = is_over
            || stream.again
            || stream.is_unsure()
            || stream.behind() > 0
            || chunk.stop == Stop::BodyFull;
        let long_partial = stream.partial > SHORT_PARTIAL && chunk.span.is_none() && stream.behind() == 0;
        if more && long_partial {
            self.retry(id, now.moment + PARTIAL_PAUSE);
        } else if more {
            self.read_on(id);
        } else if let Some(wait) = max_wait.filter(|_| stream.rests) {
            let due = stream.last_growth + wait;
            self.retry(id, due);
        } else if stream.partial > 0 && self.successor(id).is_some() {
            // The rest of its line may stand in the file after it.
            self.retry(id, now.moment + HANDOVER_TIME);
        }
        let stream = &self.streams[&id];
        let fresh = chunk.span.is_some_and(|span| span.start.0 >= stream.fresh_from);
        Some(Arrived { stream: id, chunk, settings, fresh })
    }

    /// Forgets a read under way; its answer will be ignored.
    pub(super) fn drop_read(&mut self, id: StreamId) {
        let stream = self.streams.get_mut(&id).expect("a stream with a read under way is known");
        if let Some(read) = stream.reading.take()
            && let Some(under_way) = self.reads.remove(&read)
        {
            self.reserved -= under_way.room;
        }
    }

    /// Whether each line of the stream is a record as it stands.
    pub(super) fn is_plain(&self, id: StreamId) -> bool {
        let source = index_of(&self.sources, &self.streams[&id].source);
        source.is_none_or(|index| self.rules.is_plain(source_index(index)))
    }

    fn reach_of(&self, id: StreamId) -> u32 {
        self.source_settings(&self.streams[&id]).map_or(SMALL_READ, SourceSettings::reach)
    }

    /// How long the last record waits for more lines, where records have several.
    fn max_wait_of(&self, id: StreamId) -> Option<Duration> {
        Some(self.source_settings(&self.streams[&id])?.multiline.as_ref()?.max_wait)
    }

    /// Where the line stands that says what the columns are. Before a floor, a first line is looked for in the head.
    fn header_before(&self, id: StreamId) -> Option<Offset> {
        let stream = &self.streams[&id];
        let format = &self.source_settings(stream)?.format;
        let is_first_line =
            matches!(format, Format::Delimited(delimited) if delimited.columns == Columns::FirstLine);
        let unknown = (is_first_line && stream.position > Offset::ZERO).then_some(Offset::ZERO);
        stream.carry.header.or(unknown)
    }

    fn read_failed(&mut self, id: StreamId, fault: ReadFault, now: Now, out: &mut Outbox) {
        match fault {
            ReadFault::Shrunk { size } => self.truncated(id, size, now, out),
            ReadFault::GuardDiffers => self.truncated(id, self.streams[&id].size, now, out),
            ReadFault::Gone => {
                self.set_handle(id, Handle::Closed);
                self.retry(id, now.moment + DISK_RETRY);
                self.look_soon(now);
            }
            ReadFault::Io(why) => self.unreadable(id, &why, now, out),
        }
    }
}

impl Stream {
    pub(super) fn known(&self) -> KnownAt {
        KnownAt { position: self.position, size: self.size, doubts: self.doubts }
    }

    /// Whether nothing stands in its file but a line, or a record, that has no end yet.
    pub(super) fn is_at_last_line(&self) -> bool {
        (self.partial > 0 || self.inside.is_some()) && !self.last_line_done && self.behind() == 0
    }

    /// Bytes that its next read takes, at most, or each part of it.
    fn limit_behind(&self, threads: u64) -> u32 {
        // Where mapping takes long, small parts keep several threads busy.
        // What is known of a compressed file is what is decompressed, and it is decompressed while the last read is mapped.
        let much = if self.is_compressed() { u64::from(SMALL_READ) } else { MUCH_BEHIND };
        let is_long = self.behind() > much && !(self.is_dense && threads > 1);
        self.limit.max(if is_long { LARGE_READ } else { SMALL_READ })
    }

    /// Bytes that were read and are not a whole record yet, where one may take several lines.
    fn open_bytes(&self) -> u64 {
        if self.holds_open_record { self.partial } else { 0 }
    }

    /// What was read without a whole record in it counts as read, where one takes several lines.
    fn read_to(&self) -> Offset {
        self.read_from().plus(self.open_bytes())
    }

    /// Whether nothing has been added to its last record for so long that it is whole.
    fn rests_now(&self, now: Now, max_wait: Duration) -> bool {
        self.rests && self.behind() == 0 && now.moment.since(self.last_growth) >= max_wait
    }
}

/// The place in the settings of a source, as effects carry it.
fn source_index(index: usize) -> SourceIndex {
    SourceIndex(u16::try_from(index).expect("settings have at most 65,535 sources"))
}
