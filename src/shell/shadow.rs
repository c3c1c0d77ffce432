//! Shadow mode: events go to a file instead of to Polar, so that an operator can look at them before money moves.
//!
//! The file is synced before a checkpoint says that its lines are settled, not for each request: many requests come
//! between two checkpoints.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use memchr::memmem;

use super::client::Reply;
use super::disk::words_of;
use crate::agent::Outcome;
use crate::polar::Answer;
use crate::polar::request::{BODY_PREFIX, BODY_SUFFIX};

/// Where one event ends and another begins. An event holds no list, and in a text a quote stands behind a backslash: so
/// nothing else looks like it.
const SEAM: &[u8] = b"},{\"name\":";

/// The file in the state folder that holds the events: one JSON object a line.
#[must_use]
pub fn events_path(state_dir: &Path) -> PathBuf {
    state_dir.join("shadow").join("events.jsonl")
}

/// The file that takes what Polar would have got.
#[derive(Debug)]
pub struct Shadow {
    path: PathBuf,
    max_bytes: u64,
    /// The place of the next request.
    next: AtomicU64,
    /// Whose turn it is. One request at a time: what one takes back must not be another's. And in their order, which is
    /// that of the lines of a file.
    turn: Mutex<u64>,
    passed: Condvar,
}

/// A request's place in the order of all.
#[derive(Debug, Clone, Copy)]
pub struct Place(u64);

impl Shadow {
    /// Where the events are.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `max_bytes`: how large the file may grow.
    #[must_use]
    pub fn new(path: PathBuf, max_bytes: u64) -> Self {
        Self { path, max_bytes, next: AtomicU64::new(0), turn: Mutex::new(0), passed: Condvar::new() }
    }

    /// The place behind all that were given.
    pub fn place(&self) -> Place {
        Place(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Appends the events of a request's body when those before it are through, and answers as Polar would have.
    #[must_use]
    pub fn accept(&self, place: Place, body: &[u8]) -> Reply {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut turn =
            self.passed.wait_while(turn, |turn| *turn != place.0).unwrap_or_else(PoisonError::into_inner);
        let reply = self.append(body);
        *turn += 1;
        self.passed.notify_all();
        reply
    }

    fn append(&self, body: &[u8]) -> Reply {
        let path = &self.path;
        match append(path, self.max_bytes, body) {
            Ok(inserted) => Reply {
                outcome: Outcome::Answer(Answer::Accepted { inserted, duplicates: 0 }),
                polar_clock: None,
            },
            Err(error) if error.kind() == io::ErrorKind::QuotaExceeded => Reply::none(format!(
                "{path:?} holds as much as limits.shadow_max_bytes allows: move it away, or raise the limit"
            )),
            Err(error) => Reply::none(format!("shadow mode cannot write {path:?}: {}", words_of(&error))),
        }
    }
}

/// Makes durable what was appended to the file at `path`; there may be none.
///
/// # Errors
/// What the operating system says.
pub fn sync(path: &Path) -> io::Result<()> {
    match File::open(path) {
        Ok(file) => file.sync_data(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn append(path: &Path, max_bytes: u64, body: &[u8]) -> io::Result<u64> {
    let (lines, events) = lines_of(body).ok_or(io::ErrorKind::InvalidData)?;
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let before = file.metadata()?.len();
    if before + lines.len() as u64 > max_bytes && !lines.is_empty() {
        return Err(io::ErrorKind::QuotaExceeded.into());
    }
    if let Err(error) = file.write_all(&lines) {
        // What was half written must not stand before the next event.
        let _ = file.set_len(before);
        return Err(error);
    }
    Ok(events)
}

/// The events of a body, each on a line, and how many they are.
fn lines_of(body: &[u8]) -> Option<(Vec<u8>, u64)> {
    let events = body.strip_prefix(BODY_PREFIX)?.strip_suffix(BODY_SUFFIX)?;
    let mut lines = Vec::with_capacity(events.len() + 1);
    let (mut start, mut count) = (0, 0);
    for seam in memmem::find_iter(events, SEAM) {
        lines.extend_from_slice(&events[start..=seam]);
        lines.push(b'\n');
        start = seam + 2;
        count += 1;
    }
    if start < events.len() {
        lines.extend_from_slice(&events[start..]);
        lines.push(b'\n');
        count += 1;
    }
    Some((lines, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_stands_on_a_line_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = events_path(folder.path());
        let shadow = Shadow::new(path.clone(), 1000);
        let reply = shadow.accept(shadow.place(), br#"{"events":[{"name":"a","n":1.50},{"name":"b"}]}"#);
        assert_eq!(reply.outcome, Outcome::Answer(Answer::Accepted { inserted: 2, duplicates: 0 }));
        let _ = shadow.accept(shadow.place(), br#"{"events":[{"name":"c"}]}"#);
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text, "{\"name\":\"a\",\"n\":1.50}\n{\"name\":\"b\"}\n{\"name\":\"c\"}\n");
    }

    #[test]
    fn what_looks_like_a_seam_in_a_text_is_none() {
        let body = br#"{"events":[{"name":"a","t":"},{\"name\":"},{"name":"b","m":{"name":1}}]}"#;
        let (lines, events) = lines_of(body).unwrap();
        assert_eq!((memchr::memchr_iter(b'\n', &lines).count(), events), (2, 2));
        assert_eq!(lines_of(b"[]"), None);
    }

    #[test]
    fn a_file_that_was_moved_away_needs_no_sync() {
        let folder = tempfile::tempdir().unwrap();
        let path = events_path(folder.path());
        assert!(sync(&path).is_ok());
        let shadow = Shadow::new(path.clone(), 1000);
        let _ = shadow.accept(shadow.place(), br#"{"events":[{"name":"a"}]}"#);
        assert!(sync(&path).is_ok());
        assert!(sync(&path.join("below")).is_err(), "other faults are told");
    }

    #[test]
    fn a_full_file_takes_nothing_more_until_it_is_moved_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = events_path(folder.path());
        let shadow = Shadow::new(path.clone(), 20);
        let one = br#"{"events":[{"name":"a"}]}"#;
        let is_taken = || matches!(shadow.accept(shadow.place(), one).outcome, Outcome::Answer(_));
        assert!(is_taken() && !is_taken() && !is_taken());
        let empty = shadow.accept(shadow.place(), br#"{"events":[]}"#).outcome;
        assert!(matches!(empty, Outcome::Answer(_)), "a request without events needs no room");
        std::fs::rename(&path, folder.path().join("away")).unwrap();
        assert!(is_taken());
    }

    #[test]
    fn requests_are_written_in_the_order_of_their_places() {
        let folder = tempfile::tempdir().unwrap();
        let path = events_path(folder.path());
        let shadow = Shadow::new(path.clone(), 100_000);
        let places: Vec<_> = (0..50).map(|number| (number, shadow.place())).collect();
        std::thread::scope(|threads| {
            for (number, place) in places.into_iter().rev() {
                let shadow = &shadow;
                let body = format!("{{\"events\":[{{\"name\":\"{number}\"}}]}}");
                threads.spawn(move || shadow.accept(place, body.as_bytes()));
            }
        });
        let expected: Vec<_> = (0..50).map(|number| format!("{{\"name\":\"{number}\"}}")).collect();
        let written = std::fs::read_to_string(path).unwrap();
        assert_eq!(written.lines().collect::<Vec<_>>(), expected);
    }
}
