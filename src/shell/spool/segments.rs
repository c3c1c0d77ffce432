//! The files of one spool. Each process begins a file of its own, so nothing is ever appended to what a crash left.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::mapping::spool;
use crate::shell::durable;

const EXTENSION: &str = "spool";

/// The segments of a source, of which one may be open for writing.
#[derive(Debug)]
pub struct Segments {
    folder: PathBuf,
    source: String,
    /// A segment of more than this is not written on.
    most_bytes: u64,
    next: u64,
    open: Option<Segment>,
    last: Option<(PathBuf, u64)>,
}

#[derive(Debug)]
struct Segment {
    file: File,
    path: PathBuf,
    /// Written before the first record; the same on each try.
    header: Vec<u8>,
    /// Bytes that are durable.
    size: u64,
}

/// What stood in the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Found {
    /// What is left of it.
    pub bytes: u64,
    /// What was cut off.
    pub cut_bytes: u64,
}

impl Segments {
    /// Makes the folder where there is none. A torn end of the last segment is cut off, and what is left is durable.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(folder: &Path, source: &str, most_bytes: u64) -> io::Result<(Self, Found)> {
        make_folder(folder)?;
        let mut found = Found::default();
        let mut last: Option<(u64, PathBuf)> = None;
        for (number, path, size) in list(folder)? {
            found.bytes += size;
            last = last.max(Some((number, path)));
        }
        let next = last.as_ref().map_or(1, |(number, _)| number + 1);
        if let Some((_, path)) = last {
            found.cut_bytes = cut_torn_end(folder, &path)?;
            found.bytes -= found.cut_bytes;
        }
        let (folder, source) = (folder.to_owned(), source.to_owned());
        Ok((Self { folder, source, most_bytes, next, open: None, last: None }, found))
    }

    /// Appends records and syncs them. After a failure the same records must be given again: they are written to the
    /// same place, so nothing stands there twice. Returns by how much the spool has grown.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn append(&mut self, records: &[u8]) -> io::Result<u64> {
        if self.open.as_ref().is_some_and(Segment::is_removed) {
            self.open = None;
            self.next += 1;
        }
        let segment = match &mut self.open {
            Some(segment) => segment,
            None => self.open.insert(begin(&self.folder, &self.source, self.next)?),
        };
        let before = segment.size;
        let mut at = before;
        if before == 0 {
            segment.file.write_all_at(&segment.header, 0)?;
            at += segment.header.len() as u64;
        }
        segment.file.write_all_at(records, at)?;
        segment.file.sync_data()?;
        if before == 0 {
            durable::sync_folder(&self.folder)?;
        }
        segment.size = at + records.len() as u64;
        let grown = segment.size - before;
        self.last = Some((segment.path.clone(), segment.size));
        if segment.size >= self.most_bytes {
            self.open = None;
            self.next += 1;
        }
        Ok(grown)
    }

    /// Begins another segment, so that the one before may go when it is billed. Returns by how much the spool has grown.
    ///
    /// # Errors
    /// What the operating system says; it may be tried again.
    pub fn turn_over(&mut self) -> io::Result<u64> {
        if self.open.as_ref().is_some_and(|segment| segment.size > segment.header.len() as u64) {
            self.open = None;
            self.next += 1;
        }
        self.append(b"")
    }

    /// What the folder holds.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn bytes(&self) -> io::Result<u64> {
        match bytes(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            result => result,
        }
    }

    /// The segment that this process wrote last, and its size.
    #[must_use]
    pub fn last(&self) -> Option<(PathBuf, u64)> {
        self.last.clone()
    }
}

impl Segment {
    /// Whether no name leads to it any more: what is written there is gone with the process.
    fn is_removed(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }
}

/// What all segments in the folder hold.
///
/// # Errors
/// What the operating system says.
pub fn bytes(folder: &Path) -> io::Result<u64> {
    Ok(list(folder)?.iter().map(|(_, _, size)| size).sum())
}

/// Number, path and size of each segment in the folder.
///
/// # Errors
/// What the operating system says.
fn list(folder: &Path) -> io::Result<Vec<(u64, PathBuf, u64)>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_segment = path.extension().is_some_and(|extension| extension == EXTENSION);
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        if let Some(number) = stem.filter(|_| is_segment).and_then(|stem| stem.parse().ok()) {
            match fs::metadata(&path) {
                Ok(metadata) => segments.push((number, path, metadata.len())),
                // It was billed and removed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(segments)
}

fn begin(folder: &Path, source: &str, number: u64) -> io::Result<Segment> {
    let header = spool::header(source, number, super::nonce());
    // So many digits that the order of names is that of numbers.
    let path = folder.join(format!("{number:012}.{EXTENSION}"));
    let open = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    let file = match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_folder(folder)?;
            open()?
        }
        result => result?,
    };
    Ok(Segment { file, path, header, size: 0 })
}

fn make_folder(folder: &Path) -> io::Result<()> {
    let spools = folder.parent().expect("the spool of a source stands in that of all");
    // The state folder is not ours to make: without it nothing is durable.
    for folder in [spools, folder] {
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    // The names of the folder and of the one above it: a process that was killed may have made them and no more.
    folder.ancestors().skip(1).take(2).try_for_each(durable::sync_folder)
}

/// What stands behind the last record that is whole was never acknowledged.
fn cut_torn_end(folder: &Path, path: &Path) -> io::Result<u64> {
    let bytes = fs::read(path)?;
    let sound = spool::sound_length(&bytes);
    if sound == 0 {
        fs::remove_file(path)?;
        durable::sync_folder(folder)?;
        return Ok(bytes.len() as u64);
    }
    let file = OpenOptions::new().write(true).open(path)?;
    if sound < bytes.len() {
        file.set_len(sound as u64)?;
    }
    file.sync_all()?;
    Ok((bytes.len() - sound) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::spool::{Tag, write_record};

    fn record(text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_record(&mut bytes, Tag::Whole, text.as_bytes());
        bytes
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut found = list(folder).unwrap();
        found.sort();
        found
            .iter()
            .map(|(_, path, size)| format!("{} {size}", path.file_name().unwrap().display()))
            .collect()
    }

    #[test]
    fn a_segment_begins_with_its_header_and_rolls_when_it_is_large() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("spool/app");
        let (mut segments, found) = Segments::open(&folder, "app", 60).unwrap();
        assert_eq!(found, Found::default());
        assert_eq!(names(&folder), [""; 0], "nothing is written before the first line");
        // The header has 36 bytes, each record 13.
        assert_eq!(["a", "b", "c"].map(|text| segments.append(&record(text)).unwrap()), [49, 13, 49]);
        assert_eq!(names(&folder), ["000000000001.spool 62", "000000000002.spool 49"]);
        assert_eq!(segments.last().unwrap(), (folder.join("000000000002.spool"), 49));
        let bytes = fs::read(folder.join("000000000002.spool")).unwrap();
        assert!(bytes.starts_with(b"floe-spool 1 app 2 "), "{}", String::from_utf8_lossy(&bytes));
        assert!(bytes.ends_with(&record("c")));
    }

    #[test]
    fn a_segment_is_turned_over_once_while_nothing_is_written_to_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let (mut segments, _) = Segments::open(folder.path(), "app", 1 << 20).unwrap();
        segments.append(&record("a")).unwrap();
        assert_eq!((segments.turn_over().unwrap(), segments.turn_over().unwrap()), (36, 0));
        assert_eq!(names(folder.path()), ["000000000001.spool 49", "000000000002.spool 36"]);
        assert_eq!(segments.append(&record("b")).unwrap(), 13);
        assert_eq!(names(folder.path()), ["000000000001.spool 49", "000000000002.spool 49"]);
    }

    #[test]
    fn each_start_begins_a_segment_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        for expected in 1..=3 {
            let (mut segments, found) = Segments::open(folder.path(), "app", 1 << 20).unwrap();
            assert_eq!(found.cut_bytes, 0);
            segments.append(&record("a")).unwrap();
            segments.append(&record("b")).unwrap();
            assert_eq!(names(folder.path()).len(), expected);
        }
        fs::remove_file(folder.path().join("000000000001.spool")).unwrap();
        let (_, found) = Segments::open(folder.path(), "app", 1 << 20).unwrap();
        assert_eq!(found, Found { bytes: 2 * (36 + 26), cut_bytes: 0 });
    }

    #[test]
    fn s27_what_a_crash_left_half_written_is_cut_off_at_every_byte() {
        let folder = tempfile::tempdir().unwrap();
        let (mut segments, _) = Segments::open(folder.path(), "app", 1 << 20).unwrap();
        segments.append(&[record("one"), record("two")].concat()).unwrap();
        let (path, _) = segments.last().unwrap();
        let whole = fs::read(&path).unwrap();
        let sound = [whole.len() - 30, whole.len() - 15, whole.len()];
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let (_, found) = Segments::open(folder.path(), "app", 1 << 20).unwrap();
            let kept = sound.iter().copied().filter(|end| *end <= cut).max().unwrap_or(0);
            assert_eq!(found, Found { bytes: kept as u64, cut_bytes: (cut - kept) as u64 }, "cut at {cut}");
            assert_eq!(path.exists(), kept > 0);
            assert_eq!(fs::read(&path).unwrap_or_default(), whole[..kept]);
        }
    }

    #[test]
    fn s27_what_could_not_be_written_is_written_to_the_same_place() {
        let folder = tempfile::tempdir().unwrap();
        let (mut segments, _) = Segments::open(folder.path(), "app", 1 << 20).unwrap();
        segments.append(&record("one")).unwrap();
        let (path, size) = segments.last().unwrap();
        let writable =
            std::mem::replace(&mut segments.open.as_mut().unwrap().file, File::open(&path).unwrap());
        assert!(segments.append(&record("two")).is_err(), "the file is open for reading");
        segments.open.as_mut().unwrap().file = writable;
        // A part of it was written before the disk was full.
        fs::write(&path, [fs::read(&path).unwrap(), record("two")[..5].to_vec()].concat()).unwrap();
        assert_eq!(segments.append(&record("two")).unwrap(), 15);
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes[size as usize..], record("two"));
    }
}
