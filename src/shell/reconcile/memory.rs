//! Segments that are settled: all of them was at Polar, long after it was sent. They are not asked about again.
//!
//! A file of its own in the state folder, with a lock of its own: the daemon never touches it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::agent::checkpoint::{seal, unseal};
use crate::model::Offset;
use crate::shell::durable;
use crate::shell::state::{self, StateFault};

const FILE: &str = "settled.json";

/// What is known of one segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Settled {
    /// Up to here its lines were settled then.
    pub end: Offset,
    /// Of the events that they gave.
    pub print: u64,
    pub checked_at: Timestamp,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    segments: BTreeMap<String, Settled>,
    /// Polar's ids of events that are altered or surplus, and that somebody has dealt with.
    accepted: BTreeSet<String>,
}

/// The segments by their names, while this process holds them.
#[derive(Debug)]
pub(super) struct Memory {
    folder: PathBuf,
    content: Content,
    is_changed: bool,
    _lock: File,
}

impl Memory {
    /// # Errors
    /// [`StateFault`], also while another process holds it.
    pub fn open(state_dir: &Path) -> Result<Self, StateFault> {
        let folder = state_dir.join("reconcile");
        state::make_folder(&folder)?;
        let give = |path: &Path| durable::give_to_owner_of(state_dir, path);
        give(&folder).map_err(|error| state::unusable(&folder, &error))?;
        let lock = state::lock(&folder)?;
        let path = folder.join(FILE);
        let content = match fs::read(&path) {
            // What is damaged is asked about again.
            Ok(bytes) => unseal(&bytes).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Content::default(),
            Err(error) => return Err(state::unusable(&path, &error)),
        };
        Ok(Self { folder, content, is_changed: false, _lock: lock })
    }

    pub fn knows(&self, segment: &str, end: Offset, print: u64) -> bool {
        self.content.segments.get(segment).is_some_and(|known| known.end == end && known.print == print)
    }

    pub fn settle(&mut self, segment: String, settled: Settled) {
        self.content.segments.insert(segment, settled);
        self.is_changed = true;
    }

    pub fn accepts(&self, polar_id: &str) -> bool {
        self.content.accepted.contains(polar_id)
    }

    pub fn accept(&mut self, polar_id: &str) {
        self.is_changed |= self.content.accepted.insert(polar_id.to_owned());
    }

    pub fn forget(&mut self, segment: &str) {
        self.is_changed |= self.content.segments.remove(segment).is_some();
    }

    /// Forgets the segments of streams that nobody knows any more. `streams`: how their names begin.
    pub fn keep(&mut self, streams: &BTreeSet<String>) {
        let before = self.content.segments.len();
        let is_known = |name: &str| name.split('-').next().is_some_and(|stream| streams.contains(stream));
        self.content.segments.retain(|name, _| is_known(name));
        self.is_changed |= self.content.segments.len() < before;
    }

    /// # Errors
    /// What the operating system says.
    pub fn save(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.is_changed) {
            durable::replace(&self.folder, FILE, &seal(&self.content))?;
            durable::give_to_owner_of(&self.folder, &self.folder.join(FILE))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_settled_is_known_until_it_grows_or_says_something_else() {
        let folder = tempfile::tempdir().unwrap();
        let settled = Settled { end: Offset(9), print: 7, checked_at: Timestamp::UNIX_EPOCH };
        {
            let mut memory = Memory::open(folder.path()).unwrap();
            memory.settle("aa-0".into(), settled.clone());
            memory.settle("bb-0".into(), settled);
            memory.save().unwrap();
            assert_eq!(Memory::open(folder.path()).unwrap_err().exit_code(), 75);
        }
        let mut memory = Memory::open(folder.path()).unwrap();
        let knows = |memory: &Memory, name| memory.knows(name, Offset(9), 7);
        assert!(knows(&memory, "aa-0") && knows(&memory, "bb-0"));
        assert!(!memory.knows("aa-0", Offset(10), 7) && !memory.knows("aa-0", Offset(9), 8));
        memory.keep(&["aa".to_owned()].into());
        assert!(knows(&memory, "aa-0") && !knows(&memory, "bb-0"));
        memory.forget("aa-0");
        assert!(!knows(&memory, "aa-0"));
        drop(memory);
        fs::write(folder.path().join("reconcile").join(FILE), "damaged").unwrap();
        assert!(!knows(&Memory::open(folder.path()).unwrap(), "aa-0"));
    }
}
