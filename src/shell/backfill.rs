//! The state of a backfill: beside the daemon's, and in step with it.
//!
//! Ids must be those that the daemon gives, so a backfill knows the files that the daemon knows, and what backfills
//! before it read: by that it finds their ordinals. It reads the daemon's checkpoint and never writes there. Its own
//! stands in `backfill/NAME/` until it is done, so that the same backfill goes on where it was interrupted.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::disk::words_of;
use super::durable;
use super::identity::{Identity, RecordedMode};
use super::numbering::{Numbering, Whose};
use super::quarantine::letters_path;
use super::state::{self, StateFault, StateFolder};
use crate::agent::checkpoint::{Checkpoint, seal};
use crate::agent::{Purpose, Restored, known};
use crate::config::Settings;

/// What backfills that are done have read.
const KNOWN: &str = "known.json";

/// The folder of a backfill that is done, while it is taken away: whoever is killed meanwhile leaves no half of one.
const ENDED: &str = ".ended";

/// A backfill that holds its place in the state folder.
#[derive(Debug)]
pub struct Opened {
    pub folder: StateFolder,
    pub restored: Restored,
    /// `None` in a rehearsal.
    pub numbering: Option<Numbering>,
    pub letters: PathBuf,
    pub shadow: PathBuf,
    /// It was begun before and not ended.
    pub is_resumed: bool,
    pub daemon_runs: bool,
}

/// Takes the place of the backfill called `name`, which concerns these sources.
///
/// # Errors
/// [`StateFault`], also where another backfill is under way.
pub fn open(settings: &Settings, name: &str, sources: &[&str]) -> Result<Opened, StateFault> {
    let all = settings.state_dir.join("backfill");
    state::make_folder(&all)?;
    let lock = state::lock(&all)?;
    take_away_ended(&all).map_err(|error| state::unusable(&all, &error))?;
    let path = all.join(name);
    state::make_folder(&path)?;
    let daemon_runs = is_in_use(&settings.state_dir);
    let mode = RecordedMode::of(settings.polar.mode);
    let before = state::read_checkpoint(&path, mode, |_, _| Ok(()))?;
    let is_resumed = before.is_some();
    // What the daemon's state says of instance and server holds for a backfill that goes on, too.
    let daemons = daemons_checkpoint(settings)?;
    let letters = settings.state_dir.join("quarantine").join(format!("backfill-{name}.jsonl"));
    let shadow = settings.state_dir.join("shadow").join(format!("backfill-{name}.jsonl"));
    let identity = Identity { saved_checkpoint: true, ..Identity::new(settings) };
    let known = known_before(&all, mode, daemons, sources)?;
    let numbering = Some(Numbering::new(&settings.state_dir, mode, Whose::Backfills, &known));
    // What others have numbered since it was interrupted.
    let numbered = if is_resumed { known.clone() } else { Checkpoint::default() };
    let checkpoint = match before {
        Some(checkpoint) => checkpoint,
        None => {
            // The same backfill once more finds the same again.
            for file in [&letters, &shadow] {
                remove_if_there(file).map_err(|error| state::unusable(file, &error))?;
            }
            // Its first checkpoint is durable before anything is sent; until then it was not begun.
            state::write_identity(&path, &identity).map_err(|error| state::unusable(&path, &error))?;
            known
        }
    };
    let restored = restored(checkpoint, numbered, daemon_runs);
    let folder = StateFolder { path, identity, _lock: lock };
    Ok(Opened { folder, restored, numbering, letters, shadow, is_resumed, daemon_runs })
}

/// As [`open`], for a rehearsal: all that is written goes to `folder`, and the state is only read.
///
/// # Errors
/// [`StateFault`].
pub fn rehearse(settings: &Settings, folder: &Path, sources: &[&str]) -> Result<Opened, StateFault> {
    let all = settings.state_dir.join("backfill");
    let lock = state::lock(folder)?;
    let mode = RecordedMode::of(settings.polar.mode);
    let known = known_before(&all, mode, daemons_checkpoint(settings)?, sources)?;
    let identity = Identity::new(settings);
    state::write_identity(folder, &identity).map_err(|error| state::unusable(folder, &error))?;
    Ok(Opened {
        letters: letters_path(folder),
        shadow: folder.join("shadow.jsonl"),
        folder: StateFolder { path: folder.to_owned(), identity, _lock: lock },
        // Nothing is sent under the ordinals that it gives.
        restored: restored(known, Checkpoint::default(), false),
        numbering: None,
        is_resumed: false,
        daemon_runs: is_in_use(&settings.state_dir),
    })
}

/// The backfill is done: what it read is remembered, and its place is given back.
///
/// # Errors
/// What the operating system says; it is then done again at the next start, with the same ids.
pub fn finish(settings: &Settings, name: &str, done: &Checkpoint) -> io::Result<()> {
    let all = settings.state_dir.join("backfill");
    let broken = |fault: StateFault| io::Error::other(fault.to_string());
    let before = read_known(&all).map_err(broken)?;
    let daemons = daemons_checkpoint(settings).map_err(broken)?;
    let remembered = known::remembered(before.unwrap_or_default(), done, daemons.as_ref());
    durable::replace(&all, KNOWN, &seal(&remembered))?;
    fs::rename(all.join(name), all.join(ENDED))?;
    durable::sync_folder(&all)?;
    take_away_ended(&all)
}

fn take_away_ended(all: &Path) -> io::Result<()> {
    match fs::remove_dir_all(all.join(ENDED)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// What backfills have numbered, for the daemon.
///
/// # Errors
/// [`StateFault`], where that cannot be read.
pub(super) fn numbered(state_dir: &Path, mode: RecordedMode) -> Result<Checkpoint, StateFault> {
    let read = checkpoints(&state_dir.join("backfill"), mode)?;
    Ok(known::known(&read, |_| true))
}

fn restored(checkpoint: Checkpoint, numbered: Checkpoint, daemon_runs: bool) -> Restored {
    let purpose = Purpose::ReadOnce { gives_ordinals: !daemon_runs };
    Restored { checkpoint: Some(checkpoint), numbered, purpose, ..Restored::default() }
}

/// Whether a daemon holds the state folder.
fn is_in_use(state_dir: &Path) -> bool {
    let lock = OpenOptions::new().read(true).write(true).open(state_dir.join(state::LOCK));
    lock.is_ok_and(|lock: File| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
}

/// What the daemon of this state knows, where there ever was one.
fn daemons_checkpoint(settings: &Settings) -> Result<Option<Checkpoint>, StateFault> {
    let path = &settings.state_dir;
    let Some(identity) = state::read_identity(path)? else { return Ok(None) };
    identity.fits(settings).map_err(|misfit| StateFault::Misfit { path: path.clone(), misfit })?;
    let checkpoint = state::read_checkpoint(path, identity.mode, |_, _| Ok(()))?;
    let lost = || Checkpoint { ordinals_lost: identity.saved_checkpoint, ..Checkpoint::default() };
    Ok(Some(checkpoint.unwrap_or_else(lost)))
}

/// All that is known of the files of these sources: to the daemon, and from backfills that are done or were interrupted.
fn known_before(
    all: &Path,
    mode: RecordedMode,
    daemons: Option<Checkpoint>,
    sources: &[&str],
) -> Result<Checkpoint, StateFault> {
    let mut known: Vec<Checkpoint> = daemons.into_iter().collect();
    known.extend(checkpoints(all, mode)?);
    Ok(known::known(&known, |source| sources.contains(&source)))
}

/// Of backfills that are done, and that were interrupted.
pub(super) fn checkpoints(all: &Path, mode: RecordedMode) -> Result<Vec<Checkpoint>, StateFault> {
    let mut begun = Vec::new();
    for entry in fs::read_dir(all).into_iter().flatten().flatten() {
        if entry.path().is_dir() && entry.file_name() != ENDED {
            begun.extend(state::read_checkpoint(&entry.path(), mode, |_, _| Ok(()))?);
        }
    }
    // Read last: what is not begun any more stands there.
    let done = read_known(all)?;
    Ok(done.into_iter().chain(begun).collect())
}

/// Where [`checkpoints`] stand.
pub(super) fn files(all: &Path, mode: RecordedMode) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(all) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = vec![all.join(KNOWN)];
    for entry in entries {
        let entry = entry?;
        let is_begun = entry.path().is_dir() && entry.file_name() != ENDED;
        files.extend(is_begun.then(|| entry.path().join(mode.checkpoint())));
    }
    files.sort();
    Ok(files)
}

fn read_known(all: &Path) -> Result<Option<Checkpoint>, StateFault> {
    let path = all.join(KNOWN);
    match fs::read(&path) {
        Ok(bytes) => match Checkpoint::read(&bytes) {
            Ok(known) => Ok(Some(known)),
            Err(damage) => Err(StateFault::Unusable { path, why: damage.to_string() }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StateFault::Unusable { path, why: words_of(&error) }),
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
