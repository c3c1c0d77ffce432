//! What a look's list means: what was there before Floe, what is new, what is gone, what is searched for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::candidate::{Candidate, Step};
use super::rotation::rotated_from;
use super::seen::Seen;
use super::stream::Place;
use super::vanished::Vanished;
use super::{
    CandidateKey, FloorState, Looking, MANY_FILES, MOST_REMEMBERED, Outbox, SEARCH_LOOKS, SEARCH_TIME, Tail,
    index_of, miss,
};
use crate::agent::books::Books;
use crate::agent::border::{Effect, Now, SaveId, Sighting};
use crate::agent::checkpoint::{FloorRecord, seal};
use crate::config::settings::{Captures, ReadFrom};
use crate::model::{FileKey, Offset, Span, StreamId};

/// The sweep's interval for many files, at least.
const SLOW_SWEEP: Duration = Duration::from_secs(5);

/// And for each of them: a file is looked at in 3 µs or so, so that all sweeps take a 300th of a core at most.
const SWEEP_PER_FILE: Duration = Duration::from_millis(1);

/// But no more than this.
const SLOWEST_SWEEP: Duration = Duration::from_mins(1);

impl Tail {
    /// Asks for a look when one is due.
    pub(in crate::agent) fn look_if_due(&mut self, now: Now, out: &mut Outbox) {
        if self.looking != Looking::No || now.moment < self.next_look {
            return;
        }
        self.looking = Looking::Yes;
        self.look_is_asked();
        self.look_asked = now.moment;
        out.push(Effect::Look);
    }

    /// Takes a look's list in.
    pub(in crate::agent) fn looked(
        &mut self,
        now: Now,
        sightings: &[Sighting],
        books: &mut Books,
        out: &mut Outbox,
    ) {
        let in_vain = std::mem::replace(&mut self.looking, Looking::No) == Looking::InVain;
        self.last_look = Some(now.moment);
        let files = self.streams.len() + self.candidates.len();
        let sweep = now.moment + sweep_interval(self.settings.limits.sweep_interval, files);
        self.next_look = self.next_look_after(now, sweep);
        if in_vain {
            self.next_look = now.moment;
            return;
        }
        let seen = Seen::new(sightings, &self.sources);
        for index in 0..self.sources.len() {
            self.first_look_at(index, &seen, books, out, now);
        }
        self.follow_known(now, &seen, books, out);
        self.learn_rotations(now, &seen);
        self.say_threats(now, &seen, out);
        self.notice_unknown(now, &seen);
        self.forget_vanished(now, &seen);
        self.forget_unseen_floors(&seen);
        if !self.reads_once() {
            self.age_lost(now, &seen, books, out);
        }
        let awaiting = self.candidates.iter().filter(|(_, candidate)| candidate.awaits_others);
        let sources: BTreeSet<Arc<str>> = awaiting.map(|((source, _), _)| Arc::clone(source)).collect();
        sources.iter().for_each(|source| self.release_stuck(source, out));
        self.first_look_done = true;
        if std::mem::take(&mut self.ordinals_lost) || !self.held_before.is_empty() {
            self.held_before.clear();
            self.changes += 1;
        }
        self.resolve_all(now, out);
        self.end_is_seen();
    }

    /// The first look at a source decides what was there before Floe.
    fn first_look_at(
        &mut self,
        index: usize,
        seen: &Seen<'_>,
        books: &mut Books,
        out: &mut Outbox,
        now: Now,
    ) {
        let source = &self.sources[index];
        let settings = &self.settings.sources[index];
        if self.ordinals_lost && !self.first_look_done && settings.read_from == ReadFrom::End {
            // Whether a rotated file holds lines from before the floors cannot be known any more.
            self.strangers.insert(Arc::clone(&source.id), self.siblings_of(index, seen));
        }
        match source.floors {
            FloorState::Set | FloorState::Saving(_) => return,
            FloorState::Again { at } if now.moment < at => return,
            // What was written since the first look is ours, whatever the disk says meanwhile.
            FloorState::Again { .. } => return self.save_floors_of(index, out),
            FloorState::Unset => {}
        }
        let id = Arc::clone(&source.id);
        // With a lost checkpoint nobody knows which siblings were read: all are ours, and ids make it safe.
        if !self.ordinals_lost {
            self.strangers.insert(Arc::clone(&id), self.siblings_of(index, seen));
        }
        books.account(&id);
        self.changes += 1;
        if settings.read_from == ReadFrom::Beginning {
            self.sources[index].floors = FloorState::Set;
            return;
        }
        let records: Vec<FloorRecord> = seen
            .of_source(&id)
            .filter(|(_, sightings)| is_matched(sightings))
            .map(|(file, sightings)| FloorRecord::new(file, Offset(size_of(sightings))))
            .collect();
        books.account(&id).skipped_bytes = records.iter().map(|record| record.floor.0).sum();
        self.floors.sources.insert(id.to_string(), records);
        self.save_floors_of(index, out);
    }

    fn save_floors_of(&mut self, index: usize, out: &mut Outbox) {
        let save = self.save_floors(out);
        self.sources[index].floors = FloorState::Saving(save);
    }

    /// Saves floors that have learned the prints of their files.
    pub(in crate::agent) fn save_floors_if_changed(&mut self, out: &mut Outbox) {
        if std::mem::take(&mut self.floors_dirty) {
            self.save_floors(out);
        }
    }

    fn save_floors(&mut self, out: &mut Outbox) -> SaveId {
        let save = SaveId(self.new_id());
        out.push(Effect::SaveFloors { save, floors: seal(&self.floors).into() });
        save
    }

    fn notice_unknown(&mut self, now: Now, seen: &Seen<'_>) {
        let unknown = self.unknown(seen);
        if unknown.is_empty() {
            return;
        }
        let awaited: BTreeSet<CandidateKey> = self
            .streams
            .values()
            .filter_map(|stream| match stream.place {
                Place::Expected { file } | Place::Verifying { file } => {
                    Some((Arc::clone(&stream.source), file))
                }
                Place::At { .. } | Place::Nowhere { .. } => None,
            })
            .collect();
        for (key, sightings) in unknown {
            let source = index_of(&self.sources, &key.0).expect("a sighting is of a source that is known");
            if awaited.contains(&key) || self.sources[source].floors != FloorState::Set {
                continue;
            }
            let Some((path, captures)) = self.place_of(source, sightings) else { continue };
            let stranger = !is_matched(sightings)
                && self.strangers.get(&key.0).is_some_and(|files| files.contains(&key.1));
            let is_to_learn = stranger && self.is_to_learn(&key, &path);
            if stranger && !is_to_learn && !self.searches(&key.0) {
                continue;
            }
            let candidate = Candidate {
                adopt_only: stranger,
                initial: !self.first_look_done,
                awaits_others: !self.first_look_done
                    && !is_to_learn
                    && (self.ordinals_lost || self.held_before.contains(&key)),
                floor: self.floor_of(&key.0, key.1).map(Box::new),
                ..Candidate::new(path, captures, size_of(sightings), now.moment)
            };
            self.candidates.insert(key, Box::new(candidate));
        }
    }

    /// Files that are neither streams nor candidates. Both lists are in the same order.
    fn unknown<'s>(&self, seen: &'s Seen<'_>) -> Vec<(CandidateKey, &'s [&'s Sighting])> {
        let mut known = self.by_file.keys().peekable();
        let mut unknown = Vec::new();
        for source in seen.source_ids() {
            for (file, sightings) in seen.of_source(source) {
                let key = (source, &file);
                while known.next_if(|(source, file)| (source, file) < key).is_some() {}
                if known.peek().is_some_and(|(source, file)| (source, file) == key) {
                    continue;
                }
                let key = (Arc::clone(source), file);
                if !self.candidates.contains_key(&key) {
                    unknown.push((key, sightings));
                }
            }
        }
        unknown
    }

    /// The path by which a file belongs to the source: a match, or else the sibling of one.
    fn place_of(&self, source: usize, sightings: &[&Sighting]) -> Option<(Arc<str>, Arc<Captures>)> {
        let matched = sightings.iter().find_map(|sighting| Some((sighting, sighting.matched.clone()?)));
        let rotated = || {
            let mut all = sightings.iter();
            all.find_map(|sighting| Some((sighting, Arc::new(self.captures_of(source, &sighting.path)?))))
        };
        let (sighting, captures) = matched.or_else(rotated)?;
        Some((Arc::clone(&sighting.path), captures))
    }

    /// Rotated files of a source that stand beside its matches at a look.
    fn siblings_of(&self, source: usize, seen: &Seen<'_>) -> BTreeSet<FileKey> {
        let id = &self.sources[source].id;
        seen.of_source(id)
            .filter(|(_, sightings)| !is_matched(sightings))
            .filter(|(_, sightings)| self.place_of(source, sightings).is_some())
            .map(|(file, _)| file)
            .collect()
    }

    /// The captures of a path by which a file belongs to the source.
    pub(super) fn captures_of(&self, source: usize, path: &str) -> Option<Captures> {
        let files = &self.settings.sources[source].files;
        files.captures(path).or_else(|| rotated_from(path).find_map(|base| files.captures(base)))
    }

    pub(super) fn floor_of(&self, source: &str, file: FileKey) -> Option<FloorRecord> {
        self.floors.sources.get(source)?.iter().find(|record| record.file == file).cloned()
    }

    /// Whether some stream of the source is lost and still hoped for.
    fn searches(&self, source: &str) -> bool {
        self.streams.values().any(|stream| {
            &*stream.source == source && matches!(stream.place, Place::Nowhere { given_up: false, .. })
        })
    }

    /// Candidates that no path leads to any more.
    fn forget_vanished(&mut self, now: Now, seen: &Seen<'_>) {
        let mut vanished: Vec<CandidateKey> = Vec::new();
        let mut moved: Vec<(CandidateKey, Arc<str>, Arc<Captures>)> = Vec::new();
        for (key, candidate) in &self.candidates {
            let Some(sightings) = seen.get(key) else {
                vanished.push(key.clone());
                continue;
            };
            if sightings.iter().any(|sighting| *sighting.path == *candidate.path) {
                continue;
            }
            // An inode that is known only by a name of no concern was given to another file.
            let source = index_of(&self.sources, &key.0).expect("a candidate is of a source that is known");
            match self.place_of(source, sightings) {
                Some((path, captures)) => moved.push((key.clone(), path, captures)),
                None => vanished.push(key.clone()),
            }
        }
        for (key, path, captures) in moved {
            let candidate = self.candidates.get_mut(&key).expect("it was just listed");
            candidate.is_renamed(path, captures);
        }
        for key in vanished {
            let candidate = self.candidates.remove(&key).expect("it was just listed");
            let unread = candidate.bytes_behind_floor();
            if unread > 0 && !candidate.adopt_only && !candidate.is_known_elsewhere() {
                let start = Offset(candidate.size - unread);
                let span = Span { start, end: Offset(candidate.size) };
                self.vanished.push(Vanished::new(&key, &candidate.path, span, now));
            }
        }
        for (key, candidate) in &mut self.candidates {
            let Some(sightings) = seen.get(key) else { continue };
            let size = size_of(sightings);
            if size < candidate.size {
                candidate.begin_again();
            }
            let modified = modified_of(sightings);
            let has_changed = std::mem::replace(&mut candidate.modified, modified) != modified;
            // It may have been written anew, with as many bytes.
            let is_held_otherwise = matches!(candidate.step, Step::Held { .. } | Step::Young) && has_changed;
            if size != candidate.size && candidate.step == Step::Young || is_held_otherwise {
                candidate.step = Step::New;
            }
            candidate.size = size;
        }
        let mut unseen = BTreeMap::new();
        for (source, files) in &mut self.strangers {
            files.retain(|file| {
                let key = (Arc::clone(source), *file);
                if let Some(sightings) = seen.get(&key) {
                    // What stood at a path of the source since is ours, wherever it goes: the inode was used again.
                    return !is_matched(sightings);
                }
                // One look may miss a file that is being renamed.
                let looks = self.unseen_strangers.get(&key).copied().unwrap_or(0) + 1;
                unseen.insert(key, looks);
                looks <= SEARCH_LOOKS
            });
        }
        self.unseen_strangers = unseen;
    }

    /// Lost streams: what they lack is said to be missed once they were looked for in vain.
    fn age_lost(&mut self, now: Now, seen: &Seen<'_>, books: &mut Books, out: &mut Outbox) {
        let undecided: BTreeSet<Arc<str>> = self
            .candidates
            .iter()
            .filter(|(_, candidate)| candidate.is_unseen())
            .map(|((source, _), _)| Arc::clone(source))
            .collect();
        self.age_vanished(now, seen, &undecided, books, out);
        let mut remembered: BTreeMap<Arc<str>, Vec<StreamId>> = BTreeMap::new();
        let mut given_up_now: Vec<StreamId> = Vec::new();
        for (id, stream) in &mut self.streams {
            let Place::Nowhere { since, looks, given_up, .. } = &mut stream.place else { continue };
            if index_of(&self.sources, &stream.source).is_none() {
                continue;
            }
            *looks += 1;
            let waited = *looks > SEARCH_LOOKS && now.moment.since(*since) >= SEARCH_TIME;
            let hopeful = undecided.contains(&stream.source);
            if !*given_up && waited && !hopeful {
                *given_up = true;
                given_up_now.push(*id);
                self.changes += 1;
                if stream.size > stream.position.0 {
                    let span = Span { start: stream.position, end: Offset(stream.size) };
                    miss(books, out, &stream.source, &stream.path, span, "vanished before it was read");
                }
            }
            if *given_up && books.is_settled(*id) {
                remembered.entry(Arc::clone(&stream.source)).or_default().push(*id);
            }
        }
        self.forget_spent(books);
        given_up_now.retain(|id| self.streams.contains_key(id));
        remembered.values_mut().for_each(|ids| ids.retain(|id| self.streams.contains_key(id)));
        // Who was held because of it alone is another file.
        given_up_now.into_iter().for_each(|id| self.wake_held(id));
        for ids in remembered.into_values() {
            let surplus = ids.len().saturating_sub(MOST_REMEMBERED);
            for id in ids.into_iter().take(surplus) {
                self.forget(id, books);
            }
        }
    }
}

/// `interval`: as it is set. Many files take their time.
fn sweep_interval(interval: Duration, files: usize) -> Duration {
    if files <= MANY_FILES {
        return interval;
    }
    let all = SWEEP_PER_FILE.saturating_mul(u32::try_from(files).unwrap_or(u32::MAX));
    interval.max(all.clamp(SLOW_SWEEP, SLOWEST_SWEEP))
}

/// Whether the source includes one of the file's names.
fn is_matched(sightings: &[&Sighting]) -> bool {
    sightings.iter().any(|sighting| sighting.matched.is_some())
}

/// The size of a file that was seen under several names, one after the other: the largest.
pub(super) fn size_of(sightings: &[&Sighting]) -> u64 {
    sightings.iter().map(|sighting| sighting.size).max().unwrap_or(0)
}

/// The time of its last change: the latest.
pub(super) fn modified_of(sightings: &[&Sighting]) -> u64 {
    sightings.iter().map(|sighting| sighting.modified).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_files_the_longer_from_sweep_to_sweep() {
        let seconds = |set: u64, files| sweep_interval(Duration::from_secs(set), files).as_secs();
        for (files, expected) in [(0, 1), (1_000, 1), (1_001, 5), (5_000, 5), (10_000, 10), (1 << 40, 60)] {
            assert_eq!(seconds(1, files), expected, "{files}");
        }
        assert_eq!((seconds(30, 1_001), seconds(90, 100_000)), (30, 90), "what is set is the least");
    }
}
