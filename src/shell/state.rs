//! The state folder at the start of the process: whose it is, who holds it, and what it remembers.
//!
//! | what is wrong | what happens |
//! |---|---|
//! | another daemon holds the folder | refuse: two would bill the same lines under one frontier |
//! | another instance, server or mode | refuse: a config fault |
//! | the checkpoint is damaged | the previous one; without that, read again from the start: ids make it safe |
//! | the checkpoint is of a newer release | refuse: what it says must not be guessed |
//! | the floors of `read_from = "end"` are lost | refuse until told: old lines would be billed |

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::disk::words_of;
use super::durable;
use super::identity::{Identity, Match, Misfit, RecordedMode, VERSION};
use crate::agent::checkpoint::{Checkpoint, Damage, Floors, unseal};
use crate::agent::{Notice, NoticeCode, Restored};
use crate::config::Settings;
use crate::config::settings::{LiveFrom, ReadFrom};

pub(super) const IDENTITY: &str = "identity.json";
pub(super) const FLOORS: &str = "floors.json";
const LOCK: &str = "lock";

/// The state folder while this process holds it.
#[derive(Debug)]
pub struct StateFolder {
    pub path: PathBuf,
    pub identity: Identity,
    /// Held for as long as this value lives; the operating system gives it back with the process.
    _lock: File,
}

/// Where to go on when the floors are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ResumeFrom {
    /// Bill all that the files hold.
    Beginning,
    /// Bill what is appended from now on.
    Now,
}

/// Why the daemon cannot start on this folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateFault {
    InUse { path: PathBuf, holder: Option<u32> },
    Unusable { path: PathBuf, why: String },
    Misfit { path: PathBuf, misfit: Misfit },
    NewerRelease { path: PathBuf, version: u32 },
    FloorsLost { path: PathBuf, why: String },
}

impl StateFault {
    /// What the process ends with.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::InUse { .. } => 75,
            Self::Unusable { .. } | Self::NewerRelease { .. } | Self::FloorsLost { .. } => 73,
            Self::Misfit { .. } => 78,
        }
    }

    /// The cure.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::InUse { .. } => "stop the other daemon, or give this one a state_dir of its own".into(),
            Self::Unusable { .. } => {
                "set state_dir to a folder that the user of Floe may write, or change its owner".into()
            }
            Self::Misfit { misfit, .. } => misfit.cure.clone(),
            Self::NewerRelease { .. } => "start the release of Floe that wrote it, or a later one".into(),
            Self::FloorsLost { .. } => "start once with `--resume-from now` (bill what is appended from now on) or \
                                        `--resume-from beginning` (bill all that the files hold)"
                .into(),
        }
    }
}

impl fmt::Display for StateFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { path, holder: Some(pid) } => {
                write!(out, "the state folder {path:?} is in use by the daemon with process id {pid}")
            }
            Self::InUse { path, holder: None } => {
                write!(out, "the state folder {path:?} is in use by another daemon")
            }
            Self::Unusable { path, why } => write!(out, "cannot use the state {path:?}: {why}"),
            Self::Misfit { path, misfit } => write!(out, "the state folder {path:?}: {}", misfit.what),
            Self::NewerRelease { path, version } => {
                write!(out, "{path:?} has version {version}, which this Floe cannot read")
            }
            Self::FloorsLost { path, why } => write!(
                out,
                "{path:?} is lost ({why}): it said where `read_from = \"end\"` began, and without it old lines would \
                 be billed"
            ),
        }
    }
}

/// Takes the folder, makes it where there is none, and reads what it remembers.
///
/// # Errors
/// [`StateFault`].
pub fn open(
    settings: &Settings,
    resume_from: Option<ResumeFrom>,
) -> Result<(StateFolder, Restored, Vec<Notice>), StateFault> {
    let path = settings.state_dir.clone();
    make_folder(&path)?;
    let lock = lock(&path)?;
    let mut notices = Vec::new();
    let recorded = read_identity(&path)?;
    let mut identity = recorded.clone().unwrap_or_else(|| Identity::new(settings));
    let mut restored = Restored::default();
    match identity.fits(settings).map_err(|misfit| StateFault::Misfit { path: path.clone(), misfit })? {
        Match::Same => {
            let read = read_checkpoint(&path, identity.mode, &mut notices)?;
            restored.checkpoint_lost = read.is_none() && identity.saved_checkpoint;
            restored.checkpoint = read;
            if identity.mode == RecordedMode::Shadow {
                identity.server.clone_from(&settings.polar.base_url);
            }
        }
        Match::GoesLive(from) => {
            restored.checkpoint = match from {
                LiveFrom::Beginning => None,
                LiveFrom::Shadow => {
                    read_checkpoint(&path, identity.mode, &mut notices)?.map(without_accounts)
                }
            };
            restored.checkpoint_lost =
                from == LiveFrom::Shadow && restored.checkpoint.is_none() && identity.saved_checkpoint;
            let saved_floors = identity.saved_floors;
            identity = Identity { saved_floors, ..Identity::new(settings) };
        }
    }
    if restored.checkpoint_lost {
        notices.push(Notice {
            code: NoticeCode::CheckpointLost,
            message: format!("no checkpoint can be read in {path:?}; all files are read again from their start"),
            hint: Some("nothing is billed twice: Polar knows the ids; the account begins anew".into()),
        });
    }
    restored.floors = read_floors(&path, &identity, settings, resume_from)?;
    if recorded.as_ref() != Some(&identity) {
        write_identity(&path, &identity).map_err(|error| unusable(&path, &error))?;
    }
    Ok((StateFolder { path, identity, _lock: lock }, restored, notices))
}

/// Reads the newest checkpoint without taking the folder: for `floe account`.
///
/// # Errors
/// [`StateFault`], when there is none that can be read.
pub fn peek(path: &Path) -> Result<Checkpoint, StateFault> {
    let no_state = |why: &str| StateFault::Unusable { path: path.to_owned(), why: why.into() };
    let identity = read_identity(path)?.ok_or_else(|| no_state("no daemon has run here yet"))?;
    read_checkpoint(path, identity.mode, &mut Vec::new())?
        .ok_or_else(|| no_state("there is no checkpoint yet"))
}

pub(super) fn write_identity(folder: &Path, identity: &Identity) -> io::Result<()> {
    let mut bytes = serde_json::to_vec_pretty(identity).expect("plain records are always JSON");
    bytes.push(b'\n');
    durable::replace(folder, IDENTITY, &bytes)
}

fn make_folder(path: &Path) -> Result<(), StateFault> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| unusable(path, &error))
}

fn lock(folder: &Path) -> Result<File, StateFault> {
    let path = folder.join(LOCK);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| unusable(&path, &error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let holder = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(StateFault::InUse { path: folder.to_owned(), holder });
        }
        Err(TryLockError::Error(error)) => return Err(unusable(&path, &error)),
    }
    let write_pid = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    write_pid(&mut file).map_err(|error| unusable(&path, &error))?;
    Ok(file)
}

fn read_identity(folder: &Path) -> Result<Option<Identity>, StateFault> {
    let path = folder.join(IDENTITY);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(&path, &error)),
    };
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u32,
    }
    let damaged = |error: serde_json::Error| StateFault::Unusable {
        path: path.clone(),
        why: format!("it is damaged ({error}); it says whose state this is, so it cannot be guessed"),
    };
    let Versioned { version } = serde_json::from_slice(&bytes).map_err(damaged)?;
    if version != VERSION {
        return Err(StateFault::NewerRelease { path, version });
    }
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

/// The newest checkpoint that is whole; `None` when there is none.
fn read_checkpoint(
    folder: &Path,
    mode: RecordedMode,
    notices: &mut Vec<Notice>,
) -> Result<Option<Checkpoint>, StateFault> {
    for name in [mode.checkpoint(), mode.previous_checkpoint()] {
        let path = folder.join(name);
        let why = match fs::read(&path) {
            Ok(bytes) => match Checkpoint::read(&bytes) {
                Ok(checkpoint) => return Ok(Some(checkpoint)),
                Err(Damage::Version(version)) => return Err(StateFault::NewerRelease { path, version }),
                Err(damage) => damage.to_string(),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unusable(&path, &error)),
        };
        notices.push(Notice {
            code: NoticeCode::CheckpointLost,
            message: format!("cannot use the checkpoint {path:?}: {why}"),
            hint: Some("Floe goes on from an earlier one; ids make that safe".into()),
        });
    }
    Ok(None)
}

/// Shadow mode billed nobody: the places in the files go on, the account begins anew.
fn without_accounts(checkpoint: Checkpoint) -> Checkpoint {
    Checkpoint {
        accounts: Default::default(),
        events_inserted: 0,
        events_duplicate: 0,
        events_duplicate_unexpected: 0,
        ..checkpoint
    }
}

fn read_floors(
    folder: &Path,
    identity: &Identity,
    settings: &Settings,
    resume_from: Option<ResumeFrom>,
) -> Result<Floors, StateFault> {
    let path = folder.join(FLOORS);
    let why = match fs::read(&path) {
        Ok(bytes) => match unseal(&bytes) {
            Ok(floors) => return Ok(floors),
            Err(damage) => damage.to_string(),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound && !identity.saved_floors => {
            return Ok(Floors::default());
        }
        Err(error) => words_of(&error),
    };
    match resume_from {
        None => Err(StateFault::FloorsLost { path, why }),
        // As at a first start.
        Some(ResumeFrom::Now) => Ok(Floors::default()),
        // As if no file had been there at the first start.
        Some(ResumeFrom::Beginning) => {
            let at_end = settings.sources.iter().filter(|source| source.read_from == ReadFrom::End);
            Ok(Floors { sources: at_end.map(|source| (source.id.clone(), Vec::new())).collect() })
        }
    }
}

fn unusable(path: &Path, error: &io::Error) -> StateFault {
    StateFault::Unusable { path: path.to_owned(), why: words_of(error) }
}
