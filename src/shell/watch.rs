//! The doorbell: the operating system tells that something happened in a folder.
//!
//! An event only shortens the wait, the walk and the sweep are the truth. So events are not kept apart or in
//! order: the places where it rang are gathered until the loop comes by, and where there can be no bell (watch
//! limits, file systems without events) Floe is slower, not deaf. There is no debouncing: the first event is
//! reported at once, and what follows while the loop is busy comes with the next round.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use notify::{ErrorKind, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::disk::{OddPaths, key_of};
use super::event::{Event, Reports};
use super::look::Found;
use crate::agent::{Notice, NoticeCode};
use crate::model::FileKey;

/// More places than this are told as "somewhere".
const PLACES_MAX: usize = 1024;

/// Where it rang since it was asked last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rings {
    pub places: BTreeSet<String>,
    /// True when places are missing from the list.
    pub elsewhere: bool,
}

/// What the thread of the watcher and the loop share.
#[derive(Debug)]
pub struct Bell {
    rings: Mutex<Rings>,
    /// What symbolic links point to, and the links: the agent knows the link.
    links: Mutex<BTreeMap<PathBuf, PathBuf>>,
    names: OddPaths,
    reports: Reports,
}

impl Bell {
    #[must_use]
    pub fn new(names: OddPaths, reports: Reports) -> Arc<Self> {
        Arc::new(Self { rings: Mutex::default(), links: Mutex::default(), names, reports })
    }

    /// Takes what was gathered.
    #[must_use]
    pub fn take(&self) -> Rings {
        std::mem::take(&mut self.rings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ring(&self, event: notify::Result<notify::Event>) {
        let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let quiet = rings.places.is_empty() && !rings.elsewhere;
        match event {
            // The queue of the kernel ran over: this event comes without paths.
            Ok(event) if event.need_rescan() => rings.elsewhere = true,
            // We hear our own opens and closes; a write is told as a write as well.
            Ok(event) if matches!(event.kind, EventKind::Access(_)) => return,
            Ok(event) => event.paths.iter().for_each(|path| self.add(&mut rings, path)),
            Err(_) => rings.elsewhere = true,
        }
        let rang = quiet && *rings != Rings::default();
        // Whoever is woken takes the rings at once and must not find them locked.
        drop(rings);
        if rang {
            self.reports.send(Event::Rung);
        }
    }

    fn add(&self, rings: &mut Rings, path: &Path) {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let name = self.names.name(links.get(path).map_or(path, PathBuf::as_path));
        match name {
            Some(name) if rings.places.len() < PLACES_MAX => {
                rings.places.insert(name);
            }
            _ => rings.elsewhere = true,
        }
    }
}

/// Keeps the watches where they are wanted.
#[derive(Debug)]
pub struct Doorbell {
    bell: Arc<Bell>,
    /// `None` when the operating system gives us none.
    watcher: Option<RecommendedWatcher>,
    /// The folders behind the watches: another folder at the same path needs a watch of its own.
    watched: BTreeMap<PathBuf, FileKey>,
    /// Why some folder has no watch, as it was said.
    limited: Option<String>,
}

impl Doorbell {
    /// A doorbell without watches yet.
    #[must_use]
    pub fn new(bell: Arc<Bell>) -> Self {
        Self { bell, watcher: None, watched: BTreeMap::new(), limited: None }
    }

    /// Watches the folders that a walk found, and no others. What is to be told comes back.
    pub fn follow(&mut self, found: &Found) -> Vec<Notice> {
        *self.bell.links.lock().unwrap_or_else(PoisonError::into_inner) = found.links.clone();
        let wanted: BTreeMap<PathBuf, FileKey> = found
            .folders
            .iter()
            .filter_map(|folder| Some((folder.clone(), key_of(&fs::metadata(folder).ok()?))))
            .collect();
        let result = self.watcher().and_then(|()| self.rewatch(&wanted));
        self.changed(result.err().map(|error| words_of(&error)))
    }

    fn watcher(&mut self) -> notify::Result<()> {
        if self.watcher.is_none() {
            let bell = Arc::clone(&self.bell);
            self.watcher = Some(notify::recommended_watcher(move |event| bell.ring(event))?);
        }
        Ok(())
    }

    /// Goes on after a fault: a watch less is one folder slower. The last fault comes back.
    fn rewatch(&mut self, wanted: &BTreeMap<PathBuf, FileKey>) -> notify::Result<()> {
        let Some(watcher) = self.watcher.as_mut() else { return Ok(()) };
        self.watched.retain(|folder, key| {
            let keep = wanted.get(folder) == Some(key);
            if !keep {
                // Of a folder that is gone there is nothing to take off.
                let _ = watcher.unwatch(folder);
            }
            keep
        });
        let mut result = Ok(());
        for (folder, key) in wanted {
            if self.watched.contains_key(folder) {
                continue;
            }
            match watcher.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(folder.clone(), *key);
                }
                // It was there a moment ago; the next walk knows more.
                Err(error) if matches!(error.kind, ErrorKind::PathNotFound) => {}
                Err(error) => result = Err(error),
            }
        }
        result
    }

    fn changed(&mut self, limited: Option<String>) -> Vec<Notice> {
        let notice = match (&self.limited, &limited) {
            (None, Some(why)) => Some(Notice {
                code: NoticeCode::WatchLimited,
                message: format!(
                    "cannot watch all folders ({why}); changes there are found by the sweep, more slowly"
                ),
                hint: Some("raise fs.inotify.max_user_watches or fs.inotify.max_user_instances".into()),
            }),
            (Some(_), None) => Some(Notice {
                code: NoticeCode::WatchComplete,
                message: "all folders are watched again".into(),
                hint: None,
            }),
            _ => None,
        };
        self.limited = limited;
        notice.into_iter().collect()
    }
}

fn words_of(error: &notify::Error) -> String {
    match &error.kind {
        ErrorKind::MaxFilesWatch => "the limit of watches is reached".into(),
        ErrorKind::Io(error) => super::disk::words_of(error),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Duration;

    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;

    fn watching(folder: &Path) -> (Doorbell, Arc<Bell>, UnboundedReceiver<Event>) {
        let (sender, events) = unbounded_channel();
        let bell = Bell::new(OddPaths::default(), Reports::new(sender));
        let mut doorbell = Doorbell::new(Arc::clone(&bell));
        let found = Found { folders: [folder.to_owned()].into(), ..Found::default() };
        assert_eq!(doorbell.follow(&found), []);
        (doorbell, bell, events)
    }

    #[tokio::test]
    async fn a_write_rings_with_its_path_and_a_read_does_not_ring() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.log");
        fs::write(&path, "one\n").unwrap();
        let (_doorbell, bell, mut events) = watching(folder.path());
        fs::read(&path).unwrap();
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"two\n").unwrap();
        let event = tokio::time::timeout(Duration::from_secs(20), events.recv()).await.unwrap();
        assert!(matches!(event, Some(Event::Rung)));
        assert_eq!(bell.take().places, [path.to_str().unwrap().to_owned()].into());
        drop(file);
        fs::read(&path).unwrap();
        // A marker after the reads: whatever comes before it would have come from them.
        fs::write(folder.path().join("marker"), "").unwrap();
        tokio::time::timeout(Duration::from_secs(20), events.recv()).await.unwrap();
        assert!(bell.take().places.iter().all(|place| place.ends_with("marker")));
    }

    #[test]
    fn s19_a_queue_that_ran_over_rings_without_a_place() {
        let (sender, mut events) = unbounded_channel();
        let bell = Bell::new(OddPaths::default(), Reports::new(sender));
        let overflow = notify::Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
        bell.ring(Ok(overflow.clone()));
        bell.ring(Ok(overflow));
        assert!(events.try_recv().is_ok());
        assert!(events.try_recv().is_err(), "the second ring is gathered, not reported");
        assert_eq!(bell.take(), Rings { places: BTreeSet::new(), elsewhere: true });
    }

    #[test]
    fn what_a_link_points_to_rings_for_the_link() {
        let (sender, _events) = unbounded_channel();
        let bell = Bell::new(OddPaths::default(), Reports::new(sender));
        bell.links.lock().unwrap().insert("/pods/0.log".into(), "/containers/app.log".into());
        let kind = EventKind::Modify(notify::event::ModifyKind::Any);
        bell.ring(Ok(notify::Event::new(kind).add_path("/pods/0.log".into())));
        assert_eq!(bell.take().places, ["/containers/app.log".to_owned()].into());
    }

    #[test]
    fn a_folder_made_anew_is_watched_anew() {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("logs");
        fs::create_dir(&logs).unwrap();
        let (mut doorbell, _bell, _events) = watching(&logs);
        let before = doorbell.watched.clone();
        // The old one stays under another name, so that its inode is not given out again.
        fs::rename(&logs, folder.path().join("old")).unwrap();
        fs::create_dir(&logs).unwrap();
        let found = Found { folders: [logs].into(), ..Found::default() };
        doorbell.follow(&found);
        assert_eq!(doorbell.watched.len(), 1);
        assert_ne!(doorbell.watched, before);
    }
}
