//! Which lines stand in the quarantine, and why.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use crate::model::{Generation, Offset, Quarantined};
use crate::shell::quarantine::folder_path;
use crate::shell::shelf::Shelf;

/// The places of all letters that are not settled. A quarantine has a bound, and so have they.
#[derive(Debug, Default)]
pub(super) struct Shelved(HashMap<(String, Generation), BTreeMap<Offset, Quarantined>>);

impl Shelved {
    pub(super) fn read(state_dir: &Path) -> Result<Self, (PathBuf, io::Error)> {
        let shelf = Shelf::open(state_dir)?;
        let mut shelved = Self::default();
        let read = shelf.read(|shelf| {
            let letter = &shelf.letter;
            if let Some(generation) = letter.generation() {
                let of_stream = shelved.0.entry((letter.source.to_string(), generation)).or_default();
                of_stream.insert(letter.offset, letter.reason);
            }
            Ok(())
        });
        read.map_err(|error| (folder_path(state_dir), error))?;
        Ok(shelved)
    }

    pub(super) fn of(&self, source: &str, generation: Generation) -> Option<&BTreeMap<Offset, Quarantined>> {
        // A key without a copy of the text would need a type of its own.
        self.0.get(&(source.to_owned(), generation))
    }
}
