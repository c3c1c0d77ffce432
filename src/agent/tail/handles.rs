//! Which files are open: as many as `limits.open_files` allows.
//!
//! A file that was read to its end and settled may be closed for another one. It is *parked*: what is known of it
//! is kept, and it is opened again as soon as a look or the doorbell says that something happened to it. A file with
//! unread lines is never closed for another: who deletes it would delete what nobody has read. (A line that nobody has
//! ended for a while is none yet.) One whose lines are read and not settled is closed only where nothing else is left:
//! they are in memory, and an open file does not survive the process. Files that no descriptor is left for wait in
//! a queue.

use std::collections::{BTreeSet, VecDeque};

use super::stream::{Handle, Place, Registered, Stream};
use super::succession::WAIT_TIME;
use super::{Outbox, QUIET_TIME, Tail};
use crate::agent::books::Books;
use crate::agent::border::{Effect, Now};
use crate::agent::notice::NoticeCode;
use crate::model::{Moment, StreamId};

/// Open files that are looked at for one that can be closed, at most.
const MOST_ASKED: usize = 256;

/// How long files may wait for a descriptor before the operator is told, and how often they try again.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Handles {
    /// Files that are open or being opened.
    taken: usize,
    /// What the operating system turned out to allow, where that is less than the settings say.
    most_learned: Option<usize>,
    /// Open files, the one that was longest without a read in front; some of them are closed by now.
    order: VecDeque<StreamId>,
    /// Files that wait for a descriptor; some of them are gone by now.
    queue: VecDeque<StreamId>,
    /// The operating system has just said no.
    is_refused: bool,
    /// The books' changes when none could be closed.
    tried_at: Option<u64>,
    try_again: Moment,
    /// When a file last let others go first.
    gave_way: Moment,
    /// Open files that cannot be read before the ones after them are open; some of them were read since.
    wait_for_successors: BTreeSet<StreamId>,
    short_since: Option<Moment>,
    is_told: bool,
}

impl Handle {
    /// Whether it takes a descriptor.
    fn is_taken(self) -> bool {
        matches!(self, Self::Opening | Self::Open)
    }
}

impl Tail {
    /// What the settings allow.
    fn most_wanted(&self) -> usize {
        usize::try_from(self.settings.limits.open_files).unwrap_or(usize::MAX)
    }

    pub(super) fn most_open(&self) -> usize {
        self.handles.most_learned.map_or(self.most_wanted(), |learned| learned.min(self.most_wanted())).max(1)
    }

    /// Files that are open or being opened.
    pub(super) fn handles_taken(&self) -> usize {
        self.handles.taken
    }

    /// The only way to change the handle of a stream that is at a file.
    pub(super) fn set_handle(&mut self, id: StreamId, to: Handle) {
        let stream = self.streams.get_mut(&id).expect("a stream whose handle changes is known");
        let Place::At { handle, .. } = &mut stream.place else { return };
        let before = std::mem::replace(handle, to);
        self.count_handle(before, to);
        if to == Handle::Open {
            self.forget_closed();
            self.handles.order.push_back(id);
        }
    }

    /// Nobody asks for the closed ones among the open files as long as there are descriptors for all.
    fn forget_closed(&mut self) {
        if self.handles.order.len() < MOST_ASKED.max(2 * self.handles.taken) {
            return;
        }
        let mut seen = BTreeSet::new();
        let streams = &self.streams;
        self.handles
            .order
            .retain(|id| streams.get(id).is_some_and(|stream| stream.is_open()) && seen.insert(*id));
    }

    /// Takes in that a handle changed.
    pub(super) fn count_handle(&mut self, before: Handle, after: Handle) {
        self.handles.taken -= usize::from(before.is_taken());
        self.handles.taken += usize::from(after.is_taken());
    }

    /// Opens the file of a stream, or lets it wait for a descriptor.
    pub(super) fn open(&mut self, id: StreamId, out: &mut Outbox) {
        if self.handles.is_refused || self.handles.taken >= self.most_open() {
            self.set_handle(id, Handle::Queued);
            self.handles.queue.push_back(id);
            return;
        }
        self.set_handle(id, Handle::Opening);
        let stream = self.streams.get_mut(&id).expect("a stream that is opened is known");
        stream.retry_at = Moment::START;
        if let Place::At { file, .. } = stream.place {
            out.push(Effect::Open { stream: id, path: stream.path.to_string(), file });
        }
    }

    /// Something happened to a parked file.
    pub(super) fn unpark(&mut self, id: StreamId, out: &mut Outbox) {
        let stream = self.streams.get_mut(&id).expect("a stream that is parked is known");
        if matches!(stream.place, Place::At { handle: Handle::Parked, .. }) {
            // Nothing held its inode meanwhile.
            stream.doubts += 1;
            self.open(id, out);
        }
    }

    /// A file that cannot be read before another one lets that go first, if they need the same descriptor.
    pub(super) fn give_way(&mut self, id: StreamId, now: Now, out: &mut Outbox) {
        if self.handles.queue.is_empty() || now.moment < self.handles.gave_way + WAIT_TIME {
            return;
        }
        self.handles.gave_way = now.moment;
        self.set_handle(id, Handle::Queued);
        out.push(Effect::Close(id));
        self.handles.queue.push_back(id);
    }

    /// A file that cannot be read before the one after it is open, too. Where several wait so, and hold the descriptors
    /// that the others need, the first goes before, and the others close: so one of them has what it needs.
    pub(super) fn one_gives_way(&mut self, id: StreamId, now: Now, out: &mut Outbox) {
        let waits = &mut self.handles.wait_for_successors;
        waits.insert(id);
        let streams = &self.streams;
        waits.retain(|id| streams.get(id).is_some_and(|stream| stream.is_open()));
        if waits.first() != Some(&id) {
            waits.remove(&id);
            self.give_way(id, now, out);
        }
    }

    /// Whether it is open, and not read before the one after it is open, too.
    pub(super) fn awaits_successor(&self, id: StreamId) -> bool {
        self.streams[&id].is_open() && self.handles.wait_for_successors.contains(&id)
    }

    /// It can be read.
    pub(super) fn waits_no_more(&mut self, id: StreamId) {
        self.handles.wait_for_successors.remove(&id);
    }

    /// The operating system has no descriptor left.
    pub(super) fn ran_short(&mut self, id: StreamId, now: Now) {
        self.set_handle(id, Handle::Queued);
        self.handles.queue.push_front(id);
        self.handles.most_learned = Some(self.handles.taken.max(1));
        self.handles.is_refused = true;
        self.handles.try_again = now.moment + PATIENCE;
    }

    /// What was learned of the operating system's limit may be over.
    pub(super) fn forget_limits(&mut self) {
        self.handles.most_learned = None;
        self.handles.tried_at = None;
    }

    /// Opens files that wait, for as many others as can be closed.
    pub(in crate::agent) fn hand_out(&mut self, now: Now, books: &Books, out: &mut Outbox) {
        self.handles.is_refused &= now.moment < self.handles.try_again;
        while let Some(id) = self.handles.queue.front().copied() {
            let stream = self.streams.get(&id);
            let waits =
                stream.is_some_and(|stream| matches!(stream.place, Place::At { handle: Handle::Queued, .. }));
            if !waits {
                self.handles.queue.pop_front();
                continue;
            }
            if self.handles.is_refused {
                return self.say_short(now, out);
            }
            let is_full = self.handles.taken >= self.most_open();
            if is_full && !self.park_one(now, books, out) && !self.tries_one_more() {
                return self.say_short(now, out);
            }
            self.handles.queue.pop_front();
            self.open(id, out);
        }
        self.handles.short_since = None;
        if std::mem::take(&mut self.handles.is_told) {
            self.handles.most_learned = None;
            out.say(NoticeCode::DescriptorsEnough, "all files that are followed can be open".to_owned());
        }
    }

    /// Whether the operating system may allow more than it did.
    fn tries_one_more(&mut self) -> bool {
        let most = self.most_wanted();
        let learned = self.handles.most_learned.filter(|learned| *learned < most);
        self.handles.most_learned = learned.map(|learned| learned + 1);
        learned.is_some()
    }

    fn say_short(&mut self, now: Now, out: &mut Outbox) {
        let since = *self.handles.short_since.get_or_insert(now.moment);
        if now.moment.since(since) >= PATIENCE && !std::mem::replace(&mut self.handles.is_told, true) {
            let (waiting, most) = (self.handles.queue.len(), self.most_open());
            out.say_with_hint(
                NoticeCode::DescriptorsShort,
                format!(
                    "{waiting} files wait to be read: {most} may be open at once, and all of these have lines that \
                     are not settled"
                ),
                "raise Floe's limit of open files (LimitNOFILE= in its unit) and `limits.open_files`",
            );
        }
    }

    /// Closes a file that can be closed, if there is one among those that were longest without a read.
    fn park_one(&mut self, now: Now, books: &Books, out: &mut Outbox) -> bool {
        let is_tried = self.handles.tried_at == Some(books.changes()) && now.moment < self.handles.try_again;
        // Twice around: the first time may only take the marks of their last reads off.
        let asked = if is_tried { 0 } else { (2 * self.handles.order.len()).min(MOST_ASKED) };
        for _ in 0..asked {
            let Some(id) = self.handles.order.pop_front() else { break };
            let Some(stream) = self.streams.get_mut(&id).filter(|stream| stream.is_open()) else { continue };
            let was_read = std::mem::take(&mut stream.was_read);
            let stream = &self.streams[&id];
            let is_settled = books.is_settled(id) || self.handles.is_told;
            if was_read || !stream.may_be_parked(now) || !is_settled {
                self.handles.order.push_back(id);
                continue;
            }
            self.set_handle(id, Handle::Parked);
            out.push(Effect::Close(id));
            return true;
        }
        if !is_tried {
            self.handles.tried_at = Some(books.changes());
            self.handles.try_again = now.moment + PATIENCE;
        }
        false
    }

    /// When files that wait try again, if nothing is settled before.
    pub(super) fn next_hand_out(&self) -> Option<Moment> {
        (!self.handles.queue.is_empty()).then_some(self.handles.try_again)
    }

    /// # Panics
    /// When the count is wrong, or a parked file is being read.
    pub(super) fn check_handles(&self) {
        let handles = self.streams.values().filter_map(|stream| match stream.place {
            Place::At { handle, .. } => Some(handle),
            _ => None,
        });
        assert_eq!(self.handles.taken, handles.filter(|handle| handle.is_taken()).count());
        let parked = self.streams.values().filter(|stream| stream.is_parked());
        for stream in parked {
            assert!(stream.has_no_line_begun() && stream.reading.is_none(), "what is parked was read");
        }
    }
}

impl Stream {
    /// Whether nothing is lost where its file is closed and then deleted by others, but for what comes later.
    fn may_be_parked(&self, now: Now) -> bool {
        let is_quiet = now.moment.since(self.last_growth) >= QUIET_TIME;
        self.registered == Registered::Yes
            && self.reading.is_none()
            && self.asking.is_none()
            && !self.queued
            && self.behind() == 0
            && (self.partial == 0 || is_quiet)
            && self.has_no_line_begun()
            && !self.rests
            && !self.is_unsure()
            && matches!(self.place, Place::At { absent_since: None, .. })
    }

    /// Whether it is not in the middle of a line, but for one that is not ours: behind a last line without an end all is.
    fn has_no_line_begun(&self) -> bool {
        self.inside.as_ref().is_none_or(|line| line.is_foreign)
    }
}
