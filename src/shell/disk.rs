//! Open files and what is asked of them: open, head, guards, comparison.
//!
//! A path is only a way to a file; the file is its device and inode. So whatever is opened is looked at after the
//! opening, and if another file stands there by now, the answer is [`DiskFault::Gone`]. Opening never waits: a
//! FIFO or a device in a log folder must not stop the daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use super::content::{Content, Extents, Told};
use crate::agent::{Agreement, Asked, DiskFault};
use crate::mapping::identity::HEAD_BYTES;
use crate::model::{FileKey, Guard, Offset, StreamId};

/// The files that the agent keeps open.
#[derive(Debug, Default)]
pub struct OpenFiles {
    files: BTreeMap<StreamId, Arc<Content>>,
    /// Those that have a decoder.
    compressed: BTreeSet<StreamId>,
    extents: Extents,
}

impl OpenFiles {
    #[must_use]
    pub fn new(extents: Extents) -> Self {
        Self { extents, ..Self::default() }
    }

    /// # Errors
    /// [`DiskFault`], when the file cannot be opened or is not `key`.
    pub fn open(&mut self, stream: StreamId, path: &Path, key: FileKey) -> Result<(), DiskFault> {
        let file = open_as(path, key, &self.extents)?;
        if file.is_compressed() {
            self.compressed.insert(stream);
        }
        self.files.insert(stream, Arc::new(file));
        Ok(())
    }

    pub fn close(&mut self, stream: StreamId) {
        self.files.remove(&stream);
        self.compressed.remove(&stream);
    }

    /// Shared, so that a thread may still read what the agent closes meanwhile.
    #[must_use]
    pub fn get(&self, stream: StreamId) -> Option<Arc<Content>> {
        self.files.get(&stream).cloned()
    }

    /// What is known of compressed files.
    #[must_use]
    pub fn extents(&self) -> &Extents {
        &self.extents
    }

    /// Drops decoders that nobody has used for a while.
    pub fn rest(&self) {
        self.compressed.iter().filter_map(|stream| self.files.get(stream)).for_each(|file| file.rest());
    }
}

/// A question about a file, ready for any thread.
#[derive(Debug)]
pub struct Question {
    pub of: Subject,
    pub at: Vec<Offset>,
    pub against: Option<Comparison>,
}

/// The file that a question is about.
#[derive(Debug)]
pub enum Subject {
    At {
        path: PathBuf,
        file: FileKey,
        extents: Extents,
    },
    /// `None`: it is not open any more.
    Open(Option<Arc<Content>>),
}

/// A file to compare with.
#[derive(Debug)]
pub struct Comparison {
    /// `None`: it is not open any more.
    pub with: Option<Arc<Content>>,
    pub from: Offset,
    pub limit: u64,
}

/// Reads what the question is about.
///
/// # Errors
/// [`DiskFault`], when one of the files cannot be read.
pub fn answer(question: &Question) -> Result<Asked, DiskFault> {
    let file = match &question.of {
        Subject::At { path, file, extents } => Arc::new(open_as(path, *file, extents)?),
        Subject::Open(file) => file.clone().ok_or(DiskFault::Gone)?,
    };
    let (head, guards) = head_and_guards(&file, &question.at).map_err(|error| disk_fault(&error))?;
    let furthest = question.at.iter().max().copied().unwrap_or(Offset::ZERO);
    let size = file.size_beyond(furthest.0, furthest.0).map_err(|error| disk_fault(&error))?;
    let agreement = match &question.against {
        None => None,
        Some(Comparison { with: None, .. }) => return Err(DiskFault::Gone),
        Some(Comparison { with: Some(other), from, limit }) => {
            Some(compare(&file, other, *from, *limit).map_err(|error| disk_fault(&error))?)
        }
    };
    Ok(Asked { size, head, guards, agreement })
}

/// The places are gone through in their order: a compressed file can only be read forwards.
fn head_and_guards(file: &Content, at: &[Offset]) -> io::Result<(Vec<u8>, Vec<Told>)> {
    if let Some(remembered) = file.remembered(at)? {
        return Ok(remembered);
    }
    let mut head = vec![0; HEAD_BYTES];
    let filled = read_fully_at(file, &mut head, 0)?;
    head.truncate(filled);
    // Of ten thousand files most are young and small at the start, and their heads are on the way to the agent.
    head.shrink_to_fit();
    let mut in_order: Vec<usize> = (0..at.len()).collect();
    in_order.sort_by_key(|index| at[*index]);
    let mut guards = vec![None; at.len()];
    for index in in_order {
        guards[index] = guard_before(file, at[index])?;
    }
    file.remember(&head, at, &guards);
    Ok((head, guards))
}

/// Fills `buffer` from `from` on and returns how much there was.
///
/// # Errors
/// What the operating system says.
pub fn read_fully_at(file: &Content, buffer: &mut [u8], from: u64) -> io::Result<usize> {
    if file.is_compressed() {
        // One read takes all there is; another would forget it.
        return file.read_at(buffer, from);
    }
    fill(buffer, from, |buffer, from| file.read_at(buffer, from))
}

/// As [`read_fully_at`], of the bytes of a file as they are.
///
/// # Errors
/// What the operating system says.
pub fn read_plain_at(file: &File, buffer: &mut [u8], from: u64) -> io::Result<usize> {
    fill(buffer, from, |buffer, from| file.read_at(buffer, from))
}

/// As [`read_fully_at`], for what stands behind the place where reading goes on.
///
/// # Errors
/// What the operating system says.
pub fn peek_fully_at(file: &Content, buffer: &mut [u8], from: u64) -> io::Result<usize> {
    if file.is_compressed() {
        return file.peek_at(buffer, from);
    }
    fill(buffer, from, |buffer, from| file.read_at(buffer, from))
}

fn fill(
    buffer: &mut [u8],
    from: u64,
    read: impl Fn(&mut [u8], u64) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read(&mut buffer[filled..], from + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The guard before `at`, and the byte before it; `None` where the file does not reach so far.
///
/// # Errors
/// What the operating system says.
pub fn guard_before(file: &Content, at: Offset) -> io::Result<Told> {
    guard_by(at, |before, from| read_fully_at(file, before, from))
}

/// As [`guard_before`], for a place behind the one where reading goes on.
///
/// # Errors
/// What the operating system says.
pub fn peek_guard_before(file: &Content, at: Offset) -> io::Result<Told> {
    guard_by(at, |before, from| peek_fully_at(file, before, from))
}

fn guard_by(at: Offset, read: impl Fn(&mut [u8], u64) -> io::Result<usize>) -> io::Result<Told> {
    let mut bytes = [0; Guard::REACH];
    let reach = usize::try_from(at.0).unwrap_or(usize::MAX).min(Guard::REACH);
    let before = &mut bytes[..reach];
    let filled = read(before, at.0 - reach as u64)?;
    Ok((filled == reach).then(|| (Guard::at_end_of(before), before.last().copied())))
}

/// What the file system calls a file with this metadata.
#[must_use]
pub fn key_of(metadata: &Metadata) -> FileKey {
    let born = metadata.created().ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
    let born = born.and_then(|born| u64::try_from(born.as_nanos()).ok()).unwrap_or(0);
    FileKey { device: metadata.dev(), inode: metadata.ino(), born }
}

/// When the content was last changed, in nanoseconds; for telling changes, not times.
#[must_use]
pub fn modified_nanos(metadata: &Metadata) -> u64 {
    let seconds = metadata.mtime().wrapping_mul(1_000_000_000);
    seconds.wrapping_add(metadata.mtime_nsec()).cast_unsigned()
}

/// The fault that an error of the operating system stands for.
#[must_use]
pub fn disk_fault(error: &io::Error) -> DiskFault {
    use rustix::io::Errno;
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => DiskFault::Gone,
        Some(Errno::NOSPC | Errno::DQUOT) => DiskFault::Full,
        Some(Errno::ACCESS | Errno::PERM) => DiskFault::Denied,
        Some(Errno::MFILE | Errno::NFILE) => DiskFault::TooManyOpen,
        _ => DiskFault::Other(words_of(error)),
    }
}

/// An error of the operating system in words, without its number.
#[must_use]
pub fn words_of(error: &io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = words.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => text,
    }
}

/// Paths that are not UTF-8, under the names by which the agent knows them.
#[derive(Debug, Clone, Default)]
pub struct OddPaths(Arc<Mutex<BTreeMap<String, PathBuf>>>);

impl OddPaths {
    /// The name of `path` for the agent. `None` when another path that is not UTF-8 has that name already.
    #[must_use]
    pub fn name(&self, path: &Path) -> Option<String> {
        if let Some(text) = path.to_str() {
            return Some(text.to_owned());
        }
        let name = path.to_string_lossy().into_owned();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let holder = known.entry(name.clone()).or_insert_with(|| path.to_owned());
        (holder == path).then_some(name)
    }

    /// The path behind a name.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(name).cloned().unwrap_or_else(|| PathBuf::from(name))
    }
}

fn open_as(path: &Path, key: FileKey, extents: &Extents) -> Result<Content, DiskFault> {
    let content = Content::open(path, extents).map_err(|error| disk_fault(&error))?;
    let metadata = content.file().metadata().map_err(|error| disk_fault(&error))?;
    if !metadata.is_file() || key_of(&metadata) != key {
        return Err(DiskFault::Gone);
    }
    Ok(content)
}

fn compare(one: &Content, other: &Content, from: Offset, limit: u64) -> io::Result<Agreement> {
    const STEP: usize = 64 * 1024;
    let (mut ours, mut theirs) = (vec![0; STEP], vec![0; STEP]);
    let mut until = from;
    let end = from.0.saturating_add(limit);
    while until.0 < end {
        let step = usize::try_from(end - until.0).unwrap_or(STEP).min(STEP);
        let our_len = read_fully_at(one, &mut ours[..step], until.0)?;
        let their_len = read_fully_at(other, &mut theirs[..step], until.0)?;
        let shared = our_len.min(their_len);
        let differing = ours[..shared].iter().zip(&theirs[..shared]).position(|(a, b)| a != b);
        if let Some(place) = differing {
            return Ok(Agreement { until: until.plus(place as u64), differs: true });
        }
        until = until.plus(shared as u64);
        if shared < step {
            break;
        }
    }
    Ok(Agreement { until, differs: false })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn file_with(folder: &Path, name: &str, content: &[u8]) -> (PathBuf, FileKey) {
        let path = folder.join(name);
        fs::write(&path, content).unwrap();
        let key = key_of(&fs::metadata(&path).unwrap());
        (path, key)
    }

    #[test]
    fn a_path_where_another_file_stands_by_now_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let (path, key) = file_with(folder.path(), "app.log", b"one\n");
        let (other, _) = file_with(folder.path(), "other.log", b"two\n");
        fs::rename(other, &path).unwrap();
        let mut files = OpenFiles::default();
        assert_eq!(files.open(StreamId(1), &path, key), Err(DiskFault::Gone));
        assert!(files.get(StreamId(1)).is_none());
    }

    #[test]
    fn a_fifo_in_place_of_a_file_does_not_block() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.log");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        let key = key_of(&fs::metadata(&path).unwrap());
        assert_eq!(OpenFiles::default().open(StreamId(1), &path, key), Err(DiskFault::Gone));
    }

    #[test]
    fn a_file_that_is_deleted_can_be_read_as_long_as_it_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let (path, key) = file_with(folder.path(), "app.log", b"one\n");
        let mut files = OpenFiles::default();
        files.open(StreamId(1), &path, key).unwrap();
        fs::remove_file(path).unwrap();
        let mut bytes = [0; 8];
        assert_eq!(read_fully_at(&files.get(StreamId(1)).unwrap(), &mut bytes, 0).unwrap(), 4);
    }

    #[test]
    fn guards_are_given_up_to_the_end_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..200).collect();
        let (path, file) = file_with(folder.path(), "app.log", &content);
        let at = [0, 10, 200, 201].map(Offset).to_vec();
        let of = Subject::At { path, file, extents: Extents::default() };
        let asked = answer(&Question { of, at, against: None }).unwrap();
        assert_eq!(asked.size, 200);
        assert_eq!(asked.head, content);
        assert_eq!(
            asked.guards,
            [
                Some((Guard::NOTHING, None)),
                Some((Guard::at_end_of(&content[..10]), Some(9))),
                Some((Guard::at_end_of(&content), Some(199))),
                None,
            ]
        );
    }

    #[track_caller]
    fn check_agreement(one: &[u8], other: &[u8], limit: u64, expected: (u64, bool)) {
        let folder = tempfile::tempdir().unwrap();
        let (path, file) = file_with(folder.path(), "one", one);
        let (other, _) = file_with(folder.path(), "other", other);
        let with = Some(Arc::new(Content::plain(File::open(other).unwrap())));
        let against = Some(Comparison { with, from: Offset(2), limit });
        let of = Subject::At { path, file, extents: Extents::default() };
        let asked = answer(&Question { of, at: Vec::new(), against }).unwrap();
        let agreement = asked.agreement.unwrap();
        assert_eq!((agreement.until.0, agreement.differs), expected);
    }

    #[test]
    fn two_files_agree_until_they_differ_or_one_ends() {
        check_agreement(b"abcdef", b"abcdef", 100, (6, false));
        check_agreement(b"abcdef", b"abcd", 100, (4, false));
        check_agreement(b"abcdef", b"abcXef", 100, (3, true));
        check_agreement(b"abcdef", b"abcXef", 1, (3, false));
        let long = vec![7; 200_000];
        check_agreement(&long, &long, u64::MAX, (200_000, false));
    }

    #[test]
    fn a_fault_is_told_by_what_it_means() {
        let fault = |errno: rustix::io::Errno| disk_fault(&io::Error::from(errno));
        assert_eq!(fault(rustix::io::Errno::MFILE), DiskFault::TooManyOpen);
        assert_eq!(fault(rustix::io::Errno::NOSPC), DiskFault::Full);
        assert_eq!(fault(rustix::io::Errno::ACCESS), DiskFault::Denied);
        assert_eq!(fault(rustix::io::Errno::NOENT), DiskFault::Gone);
        assert_eq!(fault(rustix::io::Errno::IO), DiskFault::Other("input/output error".into()));
    }

    #[test]
    fn two_odd_paths_do_not_share_a_name() {
        use std::os::unix::ffi::OsStrExt;
        let odd = |byte| PathBuf::from(std::ffi::OsStr::from_bytes(&[b'/', byte]));
        let paths = OddPaths::default();
        let name = paths.name(&odd(0xff)).unwrap();
        assert_eq!(paths.path(&name), odd(0xff));
        assert_eq!(paths.name(&odd(0xfe)), None);
        assert_eq!(paths.path("/plain"), Path::new("/plain"));
    }
}
