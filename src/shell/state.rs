//! The state folder at the start of the process: whose it is, who holds it, and what it remembers.
//!
//! | what is wrong | what happens |
//! |---|---|
//! | another daemon holds the folder | refuse: two would bill the same lines under one frontier |
//! | another instance, server or mode | refuse: a config fault |
//! | the checkpoint is damaged | the previous one; without that, read again from the start: ids make it safe |
//! | the checkpoint is of a newer release | refuse: what it says must not be guessed |
//! | the floors of `read_from = "end"` are lost | refuse until told: old lines would be billed |

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::backfill;
use super::disk::words_of;
use super::durable;
use super::identity::{Identity, Match, Misfit, RecordedMode, VERSION};
use crate::agent::checkpoint::{Checkpoint, Damage, Floors, seal, unseal};
use crate::agent::{Notice, NoticeCode, Restored};
use crate::config::Settings;
use crate::config::settings::{LiveFrom, ReadFrom};
use crate::model::passing_room;

pub(super) const IDENTITY: &str = "identity.json";
pub(super) const FLOORS: &str = "floors.json";
pub(super) const LOCK: &str = "lock";

/// The state folder while this process holds it.
#[derive(Debug)]
pub struct StateFolder {
    pub path: PathBuf,
    pub identity: Identity,
    /// Held for as long as this value lives; the operating system gives it back with the process.
    pub(super) _lock: File,
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
            Self::FloorsLost { .. } => {
                "start once with `--resume-from now` (bill what is appended from now on) or \
                                        `--resume-from beginning` (bill all that the files hold)"
                    .into()
            }
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
    let mut restored = Restored { boot: boot_id(), ..Restored::default() };
    // A damaged checkpoint must not take the place of the one before, which may be whole.
    let mut set_aside = |damaged: &Path, why: &str| {
        let mut aside = damaged.as_os_str().to_owned();
        aside.push(".damaged");
        fs::rename(damaged, &aside).map_err(|error| unusable(damaged, &error))?;
        notices.push(Notice {
            code: NoticeCode::CheckpointLost,
            message: format!("cannot use the checkpoint {damaged:?}: {why}; it is kept as {aside:?}"),
            hint: Some("Floe goes on from an earlier one; ids make that safe".into()),
        });
        Ok(())
    };
    match identity.fits(settings).map_err(|misfit| StateFault::Misfit { path: path.clone(), misfit })? {
        Match::Same => {
            let read = read_checkpoint(&path, identity.mode, &mut set_aside)?;
            restored.checkpoint_lost = read.is_none() && identity.saved_checkpoint;
            restored.checkpoint = read;
            if identity.mode == RecordedMode::Shadow {
                identity.server.clone_from(&settings.polar.base_url);
            }
        }
        Match::GoesLive(from) => {
            restored.checkpoint = match from {
                LiveFrom::Beginning | LiveFrom::Time(_) => None,
                LiveFrom::Shadow => {
                    read_checkpoint(&path, identity.mode, &mut set_aside)?.map(without_accounts)
                }
            };
            restored.checkpoint_lost =
                from == LiveFrom::Shadow && restored.checkpoint.is_none() && identity.saved_checkpoint;
            let saved_floors = identity.saved_floors;
            identity = Identity { saved_floors, ..Identity::new(settings) };
            // Before the folder says that it is live: else a crash now would leave a live state that knows no place,
            // and all that the shadow has passed would be billed.
            if let Some(checkpoint) = &restored.checkpoint {
                let name = identity.mode.checkpoint();
                durable::replace(&path, name, &seal(checkpoint)).map_err(|error| unusable(&path, &error))?;
                identity.saved_checkpoint = true;
            }
        }
    }
    restored.numbered = backfill::numbered(&path, identity.mode)?;
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
    read_checkpoint(path, identity.mode, |_, _| Ok(()))?.ok_or_else(|| no_state("there is no checkpoint yet"))
}

/// Whether the folder is of these settings, and its newest checkpoint, without taking the folder: for a command
/// beside the daemon that bills.
///
/// # Errors
/// [`StateFault`], when the folder is of another instance, server or mode, or there is none that can be read.
pub fn peek_as(settings: &Settings) -> Result<Checkpoint, StateFault> {
    let path = settings.state_dir.as_path();
    if let Some(identity) = read_identity(path)? {
        let fits = identity.fits(settings);
        let fits = fits.map_err(|misfit| StateFault::Misfit { path: path.to_owned(), misfit })?;
        if fits != Match::Same {
            let why =
                "it is of shadow mode still: nothing of it is billed before the daemon goes live".to_owned();
            return Err(StateFault::Unusable { path: path.to_owned(), why });
        }
    }
    peek(path)
}

/// Whoever writes it syncs the folder before anything relies on it: at a start that is the first save.
pub(super) fn write_identity(folder: &Path, identity: &Identity) -> io::Result<()> {
    let mut bytes = serde_json::to_vec_pretty(identity).expect("plain records are always JSON");
    bytes.push(b'\n');
    durable::replace_for_now(folder, IDENTITY, &bytes)
}

pub(super) fn make_folder(path: &Path) -> Result<(), StateFault> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| unusable(path, &error))
}

pub(super) fn lock(folder: &Path) -> Result<File, StateFault> {
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

pub(super) fn read_identity(folder: &Path) -> Result<Option<Identity>, StateFault> {
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
pub(super) fn read_checkpoint(
    folder: &Path,
    mode: RecordedMode,
    mut on_damage: impl FnMut(&Path, &str) -> Result<(), StateFault>,
) -> Result<Option<Checkpoint>, StateFault> {
    for name in [mode.checkpoint(), mode.previous_checkpoint()] {
        let path = folder.join(name);
        let why = match read_at_once(&path) {
            Ok(bytes) => match Checkpoint::read(&bytes) {
                Ok(checkpoint) => return Ok(Some(checkpoint)),
                Err(Damage::Version(version)) => return Err(StateFault::NewerRelease { path, version }),
                Err(damage) => damage.to_string(),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unusable(&path, &error)),
        };
        on_damage(&path, &why)?;
    }
    Ok(None)
}

fn read_at_once(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = passing_room();
    File::open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Shadow mode billed nobody: the places in the files go on, the account begins anew.
fn without_accounts(checkpoint: Checkpoint) -> Checkpoint {
    Checkpoint {
        accounts: BTreeMap::default(),
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

/// Which boot of the machine this is; empty where the operating system does not say.
fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

pub(super) fn unusable(path: &Path, error: &io::Error) -> StateFault {
    StateFault::Unusable { path: path.to_owned(), why: words_of(error) }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::agent::SaveId;
    use crate::agent::checkpoint::VERSION as CHECKPOINT_VERSION;
    use crate::config::settings::Mode;
    use crate::shell::event::Reports;
    use crate::shell::fixtures;
    use crate::shell::saver::SaverThread;

    fn fresh() -> (tempfile::TempDir, Settings) {
        let folder = tempfile::tempdir().unwrap();
        let settings = fixtures::settings(&folder.path().join("state"));
        (folder, settings)
    }

    fn checkpoint(sequence: u64) -> Checkpoint {
        Checkpoint { version: CHECKPOINT_VERSION, sequence, events_inserted: 7, ..Checkpoint::default() }
    }

    /// A process that saves these checkpoints (and floors) and ends.
    fn run(settings: &Settings, checkpoints: &[u64], floors: bool) {
        let (folder, _, _) = open(settings, None).unwrap();
        let (sender, _events) = unbounded_channel();
        let saver = SaverThread::start(&folder, None, None, Reports::new(sender)).unwrap();
        for sequence in checkpoints {
            saver.checkpoint(SaveId(*sequence), Bytes::from(seal(&checkpoint(*sequence))), false);
        }
        if floors {
            saver.floors(SaveId(0), Bytes::from(seal(&Floors::default())));
        }
        saver.finish();
    }

    #[track_caller]
    fn check(settings: &Settings, sequence: Option<u64>, lost: bool, said: usize) {
        let (_, restored, notices) = open(settings, None).unwrap();
        assert_eq!(restored.checkpoint.map(|checkpoint| checkpoint.sequence), sequence);
        assert_eq!(restored.checkpoint_lost, lost);
        assert_eq!(notices.len(), said, "{notices:?}");
    }

    #[test]
    fn a_new_folder_remembers_nothing_and_misses_nothing() {
        let (_folder, settings) = fresh();
        check(&settings, None, false, 0);
        check(&settings, None, false, 0);
    }

    #[test]
    fn the_newest_checkpoint_is_read() {
        let (_folder, settings) = fresh();
        run(&settings, &[1, 2], false);
        check(&settings, Some(2), false, 0);
    }

    #[test]
    fn s21_a_damaged_checkpoint_gives_way_to_the_one_before() {
        let (_folder, settings) = fresh();
        run(&settings, &[1, 2], false);
        fs::write(settings.state_dir.join("checkpoint.json"), [0; 100]).unwrap();
        check(&settings, Some(1), false, 1);
        assert!(settings.state_dir.join("checkpoint.json.damaged").exists());
        check(&settings, Some(1), false, 0);
        run(&settings, &[3], false);
        fs::write(settings.state_dir.join("checkpoint.json"), [0; 100]).unwrap();
        check(&settings, Some(1), false, 1);
        fs::write(settings.state_dir.join("checkpoint.previous.json"), "").unwrap();
        check(&settings, None, true, 1);
    }

    #[test]
    fn a_checkpoint_that_is_gone_is_lost_only_if_there_was_one() {
        let (_folder, settings) = fresh();
        run(&settings, &[1], false);
        fs::remove_file(settings.state_dir.join("checkpoint.json")).unwrap();
        check(&settings, None, true, 0);
    }

    #[test]
    fn s21_a_checkpoint_of_a_newer_release_is_not_guessed() {
        let (_folder, settings) = fresh();
        run(&settings, &[1], false);
        let newer: Checkpoint = Checkpoint { version: CHECKPOINT_VERSION + 1, ..Checkpoint::default() };
        fs::write(settings.state_dir.join("checkpoint.json"), seal(&newer)).unwrap();
        let fault = open(&settings, None).unwrap_err();
        assert!(matches!(fault, StateFault::NewerRelease { .. }), "{fault}");
    }

    #[test]
    fn s22_a_folder_is_held_by_one_daemon() {
        let (_folder, settings) = fresh();
        let held = open(&settings, None).unwrap();
        let fault = open(&settings, None).unwrap_err();
        assert_eq!(fault.exit_code(), 75);
        assert!(fault.to_string().contains(&std::process::id().to_string()), "{fault}");
        drop(held);
        open(&settings, None).unwrap();
    }

    #[test]
    fn lost_floors_stop_the_daemon_until_it_is_told() {
        let (_folder, mut settings) = fresh();
        settings.sources.push(fixtures::source(Path::new("/logs"), Some(0), "x"));
        settings.sources[0].read_from = ReadFrom::End;
        run(&settings, &[1], true);
        let path = settings.state_dir.join(FLOORS);
        for damage in
            [|path: &Path| fs::write(path, "?").unwrap(), |path: &Path| fs::remove_file(path).unwrap()]
        {
            damage(&path);
            let fault = open(&settings, None).unwrap_err();
            assert!(matches!(fault, StateFault::FloorsLost { .. }), "{fault}");
        }
        let (_, restored, _) = open(&settings, Some(ResumeFrom::Now)).unwrap();
        assert_eq!(restored.floors, Floors::default());
        let (_, restored, _) = open(&settings, Some(ResumeFrom::Beginning)).unwrap();
        assert_eq!(restored.floors.sources, [("app".to_owned(), Vec::new())].into());
    }

    #[test]
    fn another_instance_or_server_is_a_fault_of_the_config() {
        let (_folder, settings) = fresh();
        run(&settings, &[1], false);
        let mut other = settings.clone();
        other.instance = "there".into();
        assert_eq!(open(&other, None).unwrap_err().exit_code(), 78);
        let mut other = settings.clone();
        other.polar.base_url = "https://sandbox-api.polar.sh".into();
        assert_eq!(open(&other, None).unwrap_err().exit_code(), 78);
        let mut other = settings.clone();
        other.polar.mode = Mode::Shadow;
        assert_eq!(open(&other, None).unwrap_err().exit_code(), 78);
        check(&settings, Some(1), false, 0);
    }

    #[test]
    fn going_live_says_from_where_and_begins_the_account_anew() {
        for (from, sequence) in [(LiveFrom::Shadow, Some(3)), (LiveFrom::Beginning, None)] {
            let (_folder, mut settings) = fresh();
            settings.polar.mode = Mode::Shadow;
            run(&settings, &[3], false);
            settings.polar.mode = Mode::Live;
            assert_eq!(open(&settings, None).unwrap_err().exit_code(), 78);
            settings.polar.live_from = Some(from);
            let (_, restored, _) = open(&settings, None).unwrap();
            assert!(!restored.checkpoint_lost);
            assert_eq!(restored.checkpoint.as_ref().map(|checkpoint| checkpoint.sequence), sequence);
            assert!(restored.checkpoint.is_none_or(|checkpoint| checkpoint.events_inserted == 0));
            // Killed before anything was saved: it goes on from there all the same.
            let (_, again, _) = open(&settings, None).unwrap();
            assert_eq!(again.checkpoint.map(|checkpoint| checkpoint.sequence), sequence, "{from:?}");
            assert!(!again.checkpoint_lost);
        }
    }

    #[test]
    fn only_its_user_may_look_into_the_folder() {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, settings) = fresh();
        open(&settings, None).unwrap();
        let mode = fs::metadata(&settings.state_dir).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
