//! Reading the quarantine: all its files, each line's letter once, without those that a retry has settled.
//!
//! A line may have several letters (a crash between the letter and the checkpoint makes another one): the last one
//! counts, and the daemon's own file before those of backfills. Nothing is locked: what is read is never altered in
//! place, but replaced.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::discard::DISCARDED;
use super::quarantine::{LETTERS, folder_path};
use super::retried::{Retried, Standing};
use crate::model::{Letter, LetterId};

/// The letters of a state folder.
#[derive(Debug)]
pub struct Shelf {
    files: Vec<LettersFile>,
    /// Where each line's letter that counts stands: the file, and the offset there.
    places: HashMap<LetterId, (usize, u64)>,
    retried: Retried,
    /// Lines that are no letters which this release can read, with their file.
    pub unreadable: Vec<(PathBuf, u64)>,
}

#[derive(Debug)]
struct LettersFile {
    path: PathBuf,
    file: File,
}

/// Where a letter stands.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    id: LetterId,
    file: usize,
    at: u64,
    pub length: usize,
}

/// A letter in memory.
#[derive(Debug)]
pub struct Fetched {
    id: LetterId,
    line: Vec<u8>,
    is_of_daemon: bool,
}

impl Fetched {
    #[must_use]
    pub fn shelved(&self) -> Shelved<'_> {
        let letter = serde_json::from_slice(&self.line).expect("it was read as a letter before");
        Shelved { id: self.id, letter, is_of_daemon: self.is_of_daemon }
    }
}

/// A letter, and which file holds it.
#[derive(Debug)]
pub struct Shelved<'a> {
    pub id: LetterId,
    pub letter: Letter<'a>,
    /// The account of the daemon counts its line.
    pub is_of_daemon: bool,
}

impl Shelf {
    /// Finds the letters. A folder without a quarantine has none.
    ///
    /// # Errors
    /// What the operating system says, with the path.
    pub fn open(state_dir: &Path) -> Result<Self, (PathBuf, io::Error)> {
        let folder = folder_path(state_dir);
        let at_folder = |error| (folder.clone(), error);
        // Before the letters: what is settled after this is still found in the files.
        let retried = Retried::load(&folder).map_err(at_folder)?;
        let mut files = Vec::new();
        for path in letters_files(&folder).map_err(at_folder)? {
            let file = File::open(&path).map_err(|error| (path.clone(), error))?;
            files.push(LettersFile { path, file });
        }
        let mut shelf = Self { files, places: HashMap::new(), retried, unreadable: Vec::new() };
        for number in 0..shelf.files.len() {
            shelf.index(number).map_err(|error| (shelf.files[number].path.clone(), error))?;
        }
        Ok(shelf)
    }

    fn index(&mut self, number: usize) -> io::Result<()> {
        let Self { files, places, retried, unreadable } = self;
        let LettersFile { path, file } = &files[number];
        let mut lost = 0;
        each_line(file, |at, line| {
            let Ok(letter) = serde_json::from_slice::<Letter<'_>>(line) else {
                lost += 1;
                return Ok(());
            };
            let id = letter.id();
            if !matches!(retried.standing(id), Some(Standing::Gone)) {
                places.insert(id, (number, at));
            }
            Ok(())
        })?;
        if lost > 0 {
            unreadable.push((path.clone(), lost));
        }
        Ok(())
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    #[must_use]
    pub fn holds(&self, id: LetterId) -> bool {
        self.places.contains_key(&id)
    }

    /// Gives each letter, in the order of the files.
    ///
    /// # Errors
    /// What the operating system or `each` says.
    pub fn read(&self, mut each: impl FnMut(Shelved<'_>) -> io::Result<()>) -> io::Result<()> {
        self.read_places(|_, shelved| each(shelved))
    }

    /// The places of the letters that are meant.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn select(&self, takes: impl Fn(&Shelved<'_>) -> bool) -> io::Result<Vec<Place>> {
        let mut places = Vec::new();
        self.read_places(|place, shelved| {
            if takes(&shelved) {
                places.push(place);
            }
            Ok(())
        })?;
        Ok(places)
    }

    /// The letter at a place. It is found also after its file was written anew: this one is held open.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn fetch(&self, place: &Place) -> io::Result<Fetched> {
        let Place { id, file, at, length } = *place;
        let mut line = vec![0; length];
        self.files[file].file.read_exact_at(&mut line, at)?;
        if let Some(Standing::Now(now)) = self.retried.standing(id) {
            line = now.to_vec();
        }
        Ok(Fetched { id, line, is_of_daemon: self.files[file].is_of_daemon() })
    }

    fn read_places(&self, mut each: impl FnMut(Place, Shelved<'_>) -> io::Result<()>) -> io::Result<()> {
        for (number, letters) in self.files.iter().enumerate() {
            let is_of_daemon = letters.is_of_daemon();
            each_line(&letters.file, |at, line| {
                let Ok(letter) = serde_json::from_slice::<Letter<'_>>(line) else { return Ok(()) };
                let id = letter.id();
                if self.places.get(&id) != Some(&(number, at)) {
                    return Ok(());
                }
                let place = Place { id, file: number, at, length: line.len() };
                let Some(Standing::Now(line)) = self.retried.standing(id) else {
                    return each(place, Shelved { id, letter, is_of_daemon });
                };
                let letter = serde_json::from_slice(line).expect("a retry writes letters");
                each(place, Shelved { id, letter, is_of_daemon })
            })?;
        }
        Ok(())
    }
}

impl LettersFile {
    fn is_of_daemon(&self) -> bool {
        self.path.file_name().is_some_and(|name| name == LETTERS)
    }
}

/// The files that hold letters, the daemon's own last.
pub(super) fn letters_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_record = path.file_name().is_some_and(|name| name == DISCARDED);
        if !is_record && path.extension().is_some_and(|extension| extension == "jsonl") {
            paths.push(path);
        }
    }
    paths.sort_by_key(|path| (path.file_name().is_some_and(|name| name == LETTERS), path.clone()));
    Ok(paths)
}

/// The whole lines of a file with their offsets. A last one without its end is still being written, or was torn.
pub(super) fn each_line(
    mut file: &File,
    mut each: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    let mut reader = BufReader::with_capacity(256 * 1024, file);
    let (mut at, mut line) = (0, Vec::new());
    while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
        each(at, &line)?;
        at += line.len() as u64;
        line.clear();
    }
    Ok(())
}
