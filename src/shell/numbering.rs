//! Numbers for files that begin alike: whoever gives one has seen all that others have given.
//!
//! The daemon and a backfill beside it may both meet new files that begin alike. So a checkpoint with a new number in it is
//! written under a lock, and only if all is known that the checkpoints of the others say. Nothing is sent under a number
//! that is not saved; so no number is given to two files, and no file has two.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::identity::RecordedMode;
use super::{backfill, durable, state};
use crate::agent::checkpoint::Checkpoint;
use crate::agent::known;

/// Whose turn it is, in the state folder.
const LOCK: &str = "numbering.lock";

/// A turn is as long as a sync. Who stands still in the middle of one is waited for no longer than this.
const PATIENCE: Duration = Duration::from_secs(5);

/// One who gives numbers.
#[derive(Debug)]
pub struct Numbering {
    state_dir: PathBuf,
    mode: RecordedMode,
    whose: Whose,
    seen: Seen,
    /// The files of the others when they were read last.
    read: Vec<Version>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    Daemons,
    Backfills,
}

/// What was asked for before a checkpoint with new numbers is written.
#[derive(Debug)]
pub enum Turn {
    /// Nobody gives numbers until this is dropped.
    Taken(File),
    /// Others have given some first: all of theirs.
    Outnumbered(Box<Checkpoint>),
}

#[derive(Debug, Default)]
struct Seen {
    files: BTreeSet<(String, String, u32)>,
    next: BTreeMap<(String, String), u32>,
}

#[derive(Debug, PartialEq, Eq)]
struct Version {
    path: PathBuf,
    /// Inode, size and time of its last change.
    stamp: Option<(u64, u64, i64, i64)>,
}

impl Numbering {
    /// `known`: what others have given as far as the agent knows from its start.
    #[must_use]
    pub fn new(state_dir: &Path, mode: RecordedMode, whose: Whose, known: &Checkpoint) -> Self {
        let mut seen = Seen::default();
        seen.learn(known);
        Self { state_dir: state_dir.to_owned(), mode, whose, seen, read: Vec::new() }
    }

    /// Takes a turn, or says what has to be known first.
    ///
    /// # Errors
    /// What the operating system says, or that another process does not end its turn.
    pub fn turn(&mut self) -> io::Result<Turn> {
        let lock = self.lock()?;
        let versions = self.versions()?;
        if versions == self.read {
            return Ok(Turn::Taken(lock));
        }
        let read = match self.whose {
            Whose::Daemons => backfill::checkpoints(&self.state_dir.join("backfill"), self.mode),
            Whose::Backfills => state::read_checkpoint(&self.state_dir, self.mode, |_, _| Ok(()))
                .map(|checkpoint| checkpoint.into_iter().collect()),
        };
        let read = read.map_err(|fault| io::Error::other(fault.to_string()))?;
        let of_others = known::known(&read, |_| true);
        self.read = versions;
        Ok(if self.seen.learn(&of_others) {
            Turn::Outnumbered(Box::new(of_others))
        } else {
            Turn::Taken(lock)
        })
    }

    fn lock(&self) -> io::Result<File> {
        let path = self.state_dir.join(LOCK);
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        durable::give_to_owner_of(&self.state_dir, &path)?;
        let began = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if began.elapsed() >= PATIENCE => {
                    let other = if self.whose == Whose::Daemons { "a backfill" } else { "the daemon" };
                    return Err(io::Error::other(format!(
                        "{other} holds {path:?} and stands still; let it go on, or end it"
                    )));
                }
                Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    fn versions(&self) -> io::Result<Vec<Version>> {
        let paths = match self.whose {
            Whose::Daemons => backfill::files(&self.state_dir.join("backfill"), self.mode)?,
            Whose::Backfills => vec![self.state_dir.join(self.mode.checkpoint())],
        };
        paths.into_iter().map(Version::of).collect()
    }
}

impl Version {
    fn of(path: PathBuf) -> io::Result<Self> {
        let stamp = match fs::metadata(&path) {
            Ok(of) => Some((of.ino(), of.size(), of.mtime(), of.mtime_nsec())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Self { path, stamp })
    }
}

impl Seen {
    /// Whether something in it is new.
    fn learn(&mut self, of_others: &Checkpoint) -> bool {
        let mut has_news = false;
        for file in &of_others.files {
            has_news |= self.files.insert((file.source.clone(), file.print.clone(), file.ordinal));
        }
        for of_print in &of_others.ordinals {
            let next = self.next.entry((of_print.source.clone(), of_print.print.clone())).or_default();
            has_news |= of_print.next > *next;
            *next = of_print.next.max(*next);
        }
        has_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::checkpoint::{OrdinalRecord, seal};

    fn said(next: u32) -> Checkpoint {
        let record = OrdinalRecord { source: "app".into(), print: "a".into(), next };
        Checkpoint { version: 1, ordinals: vec![record], ..Checkpoint::default() }
    }

    #[track_caller]
    fn check(numbering: &mut Numbering, news: Option<u32>) {
        let told = match numbering.turn().unwrap() {
            Turn::Taken(_) => None,
            Turn::Outnumbered(of_others) => Some(of_others.ordinals[0].next),
        };
        assert_eq!(told, news);
    }

    #[test]
    fn who_gives_a_number_has_seen_what_others_have_given() {
        let state = tempfile::tempdir().unwrap();
        let mode = RecordedMode::Live;
        let mut daemon = Numbering::new(state.path(), mode, Whose::Daemons, &Checkpoint::default());
        let mut backfill = Numbering::new(state.path(), mode, Whose::Backfills, &said(1));
        let own = state.path().join("backfill/one");
        fs::create_dir_all(&own).unwrap();
        check(&mut daemon, None);
        durable::replace(state.path(), mode.checkpoint(), &seal(&said(1))).unwrap();
        check(&mut backfill, None);
        durable::replace(&own, mode.checkpoint(), &seal(&said(2))).unwrap();
        check(&mut daemon, Some(2));
        check(&mut daemon, None);
        durable::replace(state.path(), mode.checkpoint(), &seal(&said(3))).unwrap();
        check(&mut backfill, Some(3));
        check(&mut backfill, None);
    }

    #[test]
    fn one_at_a_time() {
        let state = tempfile::tempdir().unwrap();
        let mut daemon =
            Numbering::new(state.path(), RecordedMode::Live, Whose::Daemons, &Checkpoint::default());
        let Turn::Taken(lock) = daemon.turn().unwrap() else { panic!("nobody has numbered anything") };
        let other = File::open(state.path().join(LOCK)).unwrap();
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
        drop(lock);
        other.try_lock().unwrap();
    }
}
