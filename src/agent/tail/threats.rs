//! While lines are held back, the log is their only place, and rotation goes on. Where it is known how often a log is
//! rotated and how many files are kept, it is known when the oldest unread one goes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::rotation::{log_of, turns_since};
use super::seen::Seen;
use super::stream::Place;
use super::{Outbox, Tail};
use crate::agent::border::Now;
use crate::agent::notice::NoticeCode;
use crate::model::{Moment, StreamId};

/// A log: its source, and its path.
type LogKey = (Arc<str>, Arc<str>);

/// What was seen of a log's rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rotation {
    last: Moment,
    /// Between the last two.
    interval: Option<Duration>,
    /// Rotated files that stood there after it.
    kept: usize,
    /// The last one did not make more of them: the oldest was deleted.
    is_limit: bool,
}

impl Rotation {
    fn after(before: Option<Self>, now: Moment, kept: usize) -> Self {
        let interval = before.map(|before| now.since(before.last));
        Self { last: now, interval, kept, is_limit: before.is_some_and(|before| before.kept == kept) }
    }

    /// When the file goes that was rotated so many turns ago (1: the youngest), if it goes on like this.
    fn deletes(self, turns: usize) -> Option<Moment> {
        let interval = self.interval.filter(|_| self.is_limit)?;
        let left = u32::try_from((self.kept + 1).checked_sub(turns)?).ok()?;
        Some(self.last + interval.checked_mul(left)?)
    }
}

impl Tail {
    /// Why nothing is read, where that is so.
    pub(in crate::agent) fn set_held_back(&mut self, why: Option<String>) {
        if why.is_none() {
            self.threatened.clear();
        }
        self.held_back = why;
    }

    /// The log was seen to be rotated.
    pub(super) fn was_rotated(&mut self, source: &Arc<str>, from: &str, to: &str) {
        if from != to && log_of(from) == from && log_of(to) == from {
            self.rotated.insert((Arc::clone(source), Arc::from(from)));
        }
    }

    /// Takes in what a look shows of the logs that were rotated since the one before, and forgets logs that are gone.
    pub(super) fn learn_rotations(&mut self, now: Now, seen: &Seen<'_>) {
        if self.rotated.is_empty() {
            return;
        }
        let by_path = &self.by_path;
        self.rotations.retain(|(_, log), _| {
            let from = (Arc::clone(log), StreamId(0));
            by_path.range(from..).next().is_some_and(|(path, _)| path.starts_with(&**log))
        });
        for log in std::mem::take(&mut self.rotated) {
            let kept = rotated_names(&log, seen).len();
            let before = self.rotations.get(&log).copied();
            self.rotations.insert(log, Rotation::after(before, now.moment, kept));
        }
    }

    /// While lines are held back: says how long unread files will stand.
    pub(super) fn say_threats(&mut self, now: Now, seen: &Seen<'_>, out: &mut Outbox) {
        let Some(why) = self.held_back.clone() else { return };
        let unread: Vec<StreamId> = self
            .streams
            .iter()
            .filter(|(_, stream)| matches!(stream.place, Place::At { absent_since: None, .. }))
            .filter(|(id, stream)| stream.behind() > 0 && !self.threatened.contains(id))
            .map(|(id, _)| *id)
            .collect();
        for id in unread {
            let stream = &self.streams[&id];
            let log = (Arc::clone(&stream.source), Arc::from(log_of(&stream.path)));
            let Some(rotation) = self.rotations.get(&log) else { continue };
            let names = rotated_names(&log, seen);
            let turns = turns_since(&stream.path, names.iter().copied());
            let Some(at) = rotation.deletes(turns) else { continue };
            out.say_with_hint(
                NoticeCode::RotationThreatens,
                format!(
                    "{:?} has {} bytes that are not read ({why}); if the log is rotated as before, it is deleted in {}",
                    stream.path,
                    stream.behind(),
                    in_words(at.since(now.moment))
                ),
                "let rotation keep more files until this is over",
            );
            self.threatened.insert(id);
        }
    }
}

/// The rotated files of a log that stand there.
fn rotated_names<'s>(log: &LogKey, seen: &Seen<'s>) -> BTreeSet<&'s str> {
    let of_source = seen.of_source(&log.0);
    let paths = of_source.flat_map(|(_, sightings)| sightings.iter().map(|sighting| &*sighting.path));
    paths.filter(|path| *path != &*log.1 && log_of(path) == &*log.1).collect()
}

fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..=119 => format!("about {seconds} s"),
        120..=7_199 => format!("about {} min", seconds / 60),
        7_200..=172_799 => format!("about {} h", seconds / 3_600),
        _ => format!("about {} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn two_rotations_that_keep_as_many_files_tell_when_one_goes() {
        let first = Rotation::after(None, at(100), 2);
        assert_eq!(first.deletes(1), None, "nobody knows how often");
        let grown = Rotation::after(Some(first), at(160), 3);
        assert_eq!(grown.deletes(1), None, "nobody knows how many are kept");
        let known = Rotation::after(Some(grown), at(220), 3);
        // The log itself goes after all that are kept, the oldest with the next rotation.
        let times = [0, 1, 2, 3].map(|turns| known.deletes(turns));
        assert_eq!(times, [Some(at(460)), Some(at(400)), Some(at(340)), Some(at(280))]);
        assert_eq!(known.deletes(5), None);
    }

    #[test]
    fn times_are_told_roughly() {
        let told = [5, 119, 120, 7_199, 7_200, 200_000].map(|seconds| in_words(Duration::from_secs(seconds)));
        assert_eq!(
            told,
            ["about 5 s", "about 119 s", "about 2 min", "about 119 min", "about 2 h", "about 2 days"]
        );
    }
}
