//! Which file goes on where another ended: a container's line may begin in one and end in the next.
//!
//! The old file's last read takes the head of the new one along, and the new one is not read before it is known
//! which outputs were in the middle of a line where the old one ended. Which two files these are is told by the names
//! that rotation gave. Where a file between them may be missing, a line that was cut stays cut.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::candidate::{Candidate, Step};
use super::stream::{Place, Stream};
use super::{CandidateKey, Outbox, QUIET_TIME, Tail, rotation};
use crate::agent::border::Now;
use crate::config::settings::SourceSettings;
use crate::model::chunk::Outputs;
use crate::model::{Offset, StreamId};

/// A runtime that has begun a new file writes nothing to the old one; this is for what was under way.
pub(super) const HANDOVER_TIME: Duration = Duration::from_secs(1);

/// How soon a file that waits for the one before it is tried again.
pub(super) const WAIT_TIME: Duration = Duration::from_millis(100);

/// How long a file waits for the one before it while that is held: some are held for ever.
const HELD_TIME: Duration = QUIET_TIME;

/// And while that is still to be compared with others. Where few files may be open at once, that takes its time.
const COMPARE_TIME: Duration = Duration::from_secs(600);

/// What is known of the line that the file before ended in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inherited {
    /// The file before is not read to its end yet, or not found.
    Unknown,
    Known {
        unfinished: Outputs,
        /// The file before, with who is its heir from now on.
        from: Option<(StreamId, Heir)>,
    },
}

/// Which file goes on with the line that a file ended in. A file has one heir: what stands in its place later, after
/// a truncation, goes on with nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heir {
    /// The one whose name says so, as long as nothing of it is read.
    Open,
    Is(StreamId),
    /// One that was read by the process before.
    Read,
    /// The one after it had to be read without it.
    Nobody,
}

impl Tail {
    pub(super) fn source_settings(&self, stream: &Stream) -> Option<&SourceSettings> {
        Some(&self.settings.sources[super::index_of(&self.sources, &stream.source)?])
    }

    pub(super) fn is_wrapped(&self, stream: &Stream) -> bool {
        self.source_settings(stream).is_some_and(|settings| settings.container.is_runtime())
    }

    /// The file that goes on where this one ended; with how much of its head to read.
    pub(super) fn successor(&self, id: StreamId) -> Option<(StreamId, u32)> {
        let stream = &self.streams[&id];
        let settings = self.source_settings(stream).filter(|settings| settings.container.is_runtime())?;
        let next = match stream.heir {
            Heir::Is(heir) => heir,
            Heir::Open | Heir::Read => self.named_after(id)?,
            Heir::Nobody => return None,
        };
        let heir = self.streams.get(&next)?;
        let is_read = heir.position > Offset::ZERO;
        let is_heir = (heir.is_open() || heir.is_parked() || heir.waits_for_a_descriptor())
            && heir.size > 0
            && heir.start == Offset::ZERO
            && is_read == (stream.heir == Heir::Read);
        is_heir.then(|| (next, settings.reach()))
    }

    /// Whether the file that goes on where this one ended has to be opened first.
    pub(super) fn opens_successor(&mut self, id: StreamId, out: &mut Outbox) -> bool {
        let Some((next, _)) = self.successor(id) else { return false };
        self.unpark(next, out);
        !self.streams[&next].is_open()
    }

    /// The stream that was begun where this one was renamed, as their names say.
    fn named_after(&self, id: StreamId) -> Option<StreamId> {
        let stream = &self.streams[&id];
        let family = self.family(stream);
        // Where it is gone, another file may have its name.
        if family.get(&*stream.path) != Some(&Some(id)) {
            return None;
        }
        let is_next = |path: &str| rotation::before(path, family.keys().copied()) == Some(&*stream.path);
        family.iter().find(|(path, _)| is_next(path)).and_then(|(_, next)| *next)
    }

    /// The names of the files of a stream's log, with the streams that are known to be there.
    fn family(&self, of: &Stream) -> BTreeMap<&str, Option<StreamId>> {
        let log = rotation::log_of(&of.path);
        let from = (Arc::from(log), StreamId(0));
        let streams = self.by_path.range(from..).take_while(|(path, _)| path.starts_with(log));
        let streams = streams
            .map(|(path, id)| (&**path, *id, &self.streams[id]))
            .filter(|(path, _, stream)| stream.source == of.source && rotation::log_of(path) == log);
        let is_present = |stream: &Stream| matches!(stream.place, Place::At { absent_since: None, .. });
        let (present, absent): (Vec<_>, Vec<_>) = streams
            .map(|(path, id, stream)| (is_present(stream), (path, Some(id))))
            .partition(|(is_present, _)| *is_present);
        let unknown = self.candidates.iter().filter(|((source, _), _)| *source == of.source);
        let unknown = unknown.map(|(_, candidate)| (&*candidate.path, None));
        let unknown = unknown.filter(|(path, _)| rotation::log_of(path) == log);
        // Who is there now has the name.
        let absent = absent.into_iter().map(|(_, named)| named);
        absent.chain(unknown).chain(present.into_iter().map(|(_, named)| named)).collect()
    }

    /// Whether the unfinished lines of a file are to be looked for in the one after it.
    pub(super) fn hands_over(&self, id: StreamId, now: Now) -> bool {
        let stream = &self.streams[&id];
        stream.partial > 0
            && stream.behind() == 0
            && !stream.last_line_done
            && now.moment.since(stream.last_growth) >= HANDOVER_TIME
            && self.successor(id).is_some()
    }

    /// What a file that is read from its start goes on with.
    pub(super) fn inherited(&self, id: StreamId, now: Now) -> Inherited {
        const NOTHING: Inherited = Inherited::Known { unfinished: Outputs::NONE, from: None };
        let stream = &self.streams[&id];
        if stream.position != Offset::ZERO || !self.is_wrapped(stream) {
            return NOTHING;
        }
        let Some(before) = self.read_before(id) else {
            let is_open = self.is_log_in_motion(stream) || self.waits_for_held(stream, now);
            return if is_open { Inherited::Unknown } else { NOTHING };
        };
        let predecessor = &self.streams[&before];
        if !matches!(predecessor.heir, Heir::Open | Heir::Is(_)) {
            return NOTHING;
        }
        if predecessor.unreadable {
            let (unfinished, from) = (Outputs::NONE, Some((before, Heir::Nobody)));
            return Inherited::Known { unfinished, from };
        }
        let is_done = matches!(predecessor.place, Place::At { .. })
            && predecessor.behind() == 0
            && predecessor.partial == 0
            && predecessor.reading.is_none();
        if !is_done {
            return Inherited::Unknown;
        }
        Inherited::Known { unfinished: predecessor.carry.unfinished, from: Some((before, Heir::Is(id))) }
    }

    /// The file that was read before this one, if its place is sure.
    pub(super) fn read_before(&self, id: StreamId) -> Option<StreamId> {
        let stream = &self.streams[&id];
        let is_followed = |before: &Stream| matches!(before.place, Place::At { .. });
        let mut all = self.streams.iter();
        if let Some((before, _)) = all.find(|(_, before)| before.heir == Heir::Is(id) && is_followed(before))
        {
            return Some(*before);
        }
        if self.is_log_in_motion(stream) {
            return None;
        }
        let family = self.family(stream);
        let before = family[rotation::before(&stream.path, family.keys().copied())?]?;
        // Its heir was another file, whatever stands here now.
        let is_free = !matches!(self.streams[&before].heir, Heir::Is(_));
        is_free.then_some(before)
    }

    /// Whether the stream's file is not read as long as the one before it is held.
    fn waits_for_held(&self, stream: &Stream, now: Now) -> bool {
        let Some((key, before)) = self.held_before(stream) else { return false };
        // What ends does not read it any more: the next start has time again.
        let waited = now.moment.since(stream.found_at.max(before.since));
        let most = if self.is_to_be_compared(key, before) { COMPARE_TIME } else { HELD_TIME };
        waited < most || self.is_draining()
    }

    /// Whether nothing of the stream is read before the process ends, since the file before it is held.
    pub(super) fn is_left_behind_held(&self, stream: &Stream) -> bool {
        let is_unread = stream.position == Offset::ZERO && stream.reading.is_none();
        is_unread && self.is_draining() && self.is_wrapped(stream) && self.held_before(stream).is_some()
    }

    /// The file before the stream's, as their names say, while it is not known which file that is. Where files are read
    /// once, what is held stays so.
    fn held_before(&self, stream: &Stream) -> Option<(&CandidateKey, &Candidate)> {
        if self.candidates.is_empty() || self.reads_once() {
            return None;
        }
        let family = self.family(stream);
        let path = rotation::before(&stream.path, family.keys().copied())?;
        let is_it = |source: &Arc<str>, candidate: &Candidate| {
            *source == stream.source && *candidate.path == *path && candidate.may_be_told_yet()
        };
        let mut all = self.candidates.iter().filter(|_| family[path].is_none());
        all.find(|((source, _), candidate)| is_it(source, candidate))
            .map(|(key, candidate)| (key, &**candidate))
    }

    /// Whether it is not known yet which of the files of a stream's log is which.
    fn is_log_in_motion(&self, stream: &Stream) -> bool {
        let log = rotation::log_of(&stream.path);
        let is_of_log =
            |source: &Arc<str>, path: &str| *source == stream.source && rotation::log_of(path) == log;
        let is_sought = |other: &Stream| other.is_undecided() && !other.unreadable;
        self.streams.values().any(|other| is_sought(other) && is_of_log(&other.source, &other.path))
            || self.candidates.iter().any(|((source, _), candidate)| {
                matches!(candidate.step, Step::New | Step::Asking(_)) && is_of_log(source, &candidate.path)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::super::world::World;
    use super::*;

    const BEGINNING: &str = "2026-09-21T10:00:00Z stdout F {\"event\":\"start\"}\n";

    /// A container's log was rotated in the middle of a line while nobody looked, and the older file begins like a
    /// file that is known, which cannot be opened yet.
    fn rotated_and_held() -> World {
        let mut world = World::new("container = \"cri\"");
        world.write("/logs/other.log", 1, &format!("{BEGINNING}2026-09-21T10:00:01Z stdout F one\n"));
        world.run_for(5);
        world.restart();
        world.opens_slowly("/logs/other.log");
        let before = format!(
            "{BEGINNING}2026-09-21T10:00:02Z stdout F two\n2026-09-21T10:00:03Z stdout P relayed from another host: \n"
        );
        world.write("/logs/0.log.1", 2, &before);
        world.write("/logs/0.log", 3, "2026-09-21T10:00:04Z stdout F {\"event\":\"use\",\"who\":\"a\"}\n");
        world.begun.clear();
        world
    }

    fn begun_at(world: &World) -> Vec<(u64, bool)> {
        let log = world.begun.iter().filter(|(path, _, _)| path == "/logs/0.log");
        log.map(|(_, seconds, unfinished)| (*seconds, unfinished.stdout)).collect()
    }

    #[test]
    fn s05_a_log_waits_for_the_one_before_it_while_that_is_held_and_goes_on_with_its_line() {
        let mut world = rotated_and_held();
        world.run_for(20);
        assert_eq!(begun_at(&world), [], "{:?}", world.said);
        world.opens();
        world.run_for(5);
        assert!(matches!(begun_at(&world)[..], [(_, true)]), "{:?} {:?}", world.begun, world.said);
    }

    #[test]
    fn a_log_does_not_wait_for_ever_for_one_that_is_held() {
        let mut world = rotated_and_held();
        let begins = world.seconds() + COMPARE_TIME.as_secs();
        world.run_for(900);
        assert!(matches!(begun_at(&world)[..], [(at, false)] if at >= begins), "{:?}", world.begun);
    }

    #[test]
    fn s05_with_two_descriptors_each_of_many_files_goes_on_with_the_line_of_the_one_before_it() {
        let mut world = World::new("container = \"cri\"\n[limits]\nopen_files = 2");
        world.write("/logs/other.log", 1, &format!("{BEGINNING}2026-09-21T10:00:01Z stdout F one\n"));
        world.run_for(5);
        world.restart();
        let cut = |generation: u64| {
            format!(
                "2026-09-21T10:{generation:02}:00Z stdout F end\n2026-09-21T10:{generation:02}:01Z stdout P begin\n"
            )
        };
        world.begun.clear();
        world.write("/logs/0.log", 2, &cut(0));
        for generation in 1..9 {
            world.write(&format!("/logs/0.log.{generation}"), 2 + generation, &cut(generation));
        }
        world.run_for(60);
        let of_log = world.begun.iter().filter(|(path, _, _)| path.starts_with("/logs/0.log"));
        let went_on: BTreeMap<&str, bool> =
            of_log.map(|(path, _, unfinished)| (path.as_str(), unfinished.stdout)).collect();
        assert_eq!(went_on.len(), 9, "{went_on:?} {:?}", world.said);
        assert!(went_on.iter().all(|(path, went_on)| *went_on == (*path != "/logs/0.log.8")), "{went_on:?}");
    }

    #[test]
    fn what_waits_for_a_held_file_is_left_to_the_next_start() {
        let mut world = rotated_and_held();
        world.run_for(20);
        world.drain(60);
        world.run_for(5);
        assert!(world.has_stopped, "{:?}", world.said);
        assert_eq!(begun_at(&world), []);
    }
}
