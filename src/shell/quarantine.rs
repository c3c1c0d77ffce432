//! The quarantine: lines that could not be billed, appended to one file and synced before anyone is told.
//!
//! Letters are not money lost, they are money waiting for a cure, so they are as durable as the checkpoint. What
//! a rule alone can never cure (malformed and over-long lines) has a quota of its own; beyond it a letter keeps
//! its place in the file that was read, but not the text.
//!
//! `floe quarantine retry` takes settled letters out beside a running daemon, by putting another file in the place of
//! this one. So each append holds the folder's lock, and opens the file anew where another one stands there.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use jiff::Timestamp;

use super::disk::disk_fault;
use super::durable;
use super::event::Reports;
use crate::agent::{DiskFault, Input, LettersId};
use crate::model::{Letter, Quarantined};

/// How large the quarantine may grow.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub max_bytes: u64,
    /// Of `max_bytes`, what malformed and over-long lines may take with their text.
    pub malformed_max_bytes: u64,
}

/// The folder of the quarantine's files.
#[must_use]
pub fn folder_path(state_dir: &Path) -> PathBuf {
    state_dir.join("quarantine")
}

/// The file in the state folder that holds the daemon's letters.
#[must_use]
pub fn letters_path(state_dir: &Path) -> PathBuf {
    folder_path(state_dir).join(LETTERS)
}

pub(super) const LETTERS: &str = "quarantine.jsonl";
const LOCK: &str = "lock";

/// Waits for the folder's lock. It is held for as long as the file lives: for an append, or while settled letters
/// are taken out.
///
/// # Errors
/// What the operating system says.
pub fn lock(folder: &Path) -> io::Result<File> {
    let path = folder.join(LOCK);
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
    durable::give_to_owner_of(folder, &path)?;
    file.lock()?;
    Ok(file)
}

/// The thread that appends letters.
#[derive(Debug)]
pub struct QuarantineThread {
    orders: Sender<Order>,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
enum Order {
    Append { letters: LettersId, text: Bytes },
    Bounds(Bounds),
}

impl QuarantineThread {
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(path: PathBuf, bounds: Bounds, reports: Reports) -> io::Result<Self> {
        let (orders, queue) = channel();
        let thread = thread::Builder::new()
            .name("floe-quarantine".into())
            .spawn(move || work(&queue, &path, bounds, &reports))?;
        Ok(Self { orders, thread })
    }

    /// The answer comes as a report.
    pub fn append(&self, letters: LettersId, text: Bytes) {
        let _ = self.orders.send(Order::Append { letters, text });
    }

    /// Other bounds from now on.
    pub fn use_bounds(&self, bounds: Bounds) {
        let _ = self.orders.send(Order::Bounds(bounds));
    }

    /// Waits until all is written.
    pub fn finish(self) {
        drop(self.orders);
        let _ = self.thread.join();
    }
}

fn work(queue: &Receiver<Order>, path: &Path, mut bounds: Bounds, reports: &Reports) {
    let mut open: Option<Quarantine> = None;
    while let Ok(order) = queue.recv() {
        match order {
            Order::Bounds(new) => bounds = new,
            Order::Append { letters, text } => {
                let result = append(&mut open, path, bounds, &text);
                if result.is_err() {
                    // The next attempt looks at the file anew.
                    open = None;
                }
                reports.input(Input::Quarantined { letters, result });
            }
        }
    }
}

fn append(open: &mut Option<Quarantine>, path: &Path, bounds: Bounds, text: &[u8]) -> Result<(), DiskFault> {
    let folder = path.parent().expect("the quarantine's file stands in its folder");
    let disk_fault = |error: io::Error| disk_fault(&error);
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(disk_fault)?;
    let _lock = lock(folder).map_err(disk_fault)?;
    if open.as_ref().is_some_and(|quarantine| !quarantine.stands_at(path)) {
        *open = None;
    }
    let quarantine = match open {
        Some(quarantine) => quarantine,
        None => open.insert(Quarantine::open(path).map_err(disk_fault)?),
    };
    quarantine.append(text, bounds, Timestamp::now())
}

/// The open file, and what stands in it.
#[derive(Debug)]
pub struct Quarantine {
    file: File,
    bytes: u64,
    /// Of `bytes`, what malformed and over-long lines take with their text.
    malformed_bytes: u64,
}

impl Quarantine {
    /// Opens the file or makes it. A last line without its end was never answered for and is taken off.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        let (mut bytes, mut malformed_bytes) = (0, 0);
        let mut reader = BufReader::with_capacity(256 * 1024, &file);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
            bytes += line.len() as u64;
            malformed_bytes += if holds_malformed_text(&line) { line.len() as u64 } else { 0 };
            line.clear();
        }
        file.set_len(bytes)?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self { file, bytes, malformed_bytes })
    }

    /// Whether this is the file at that path.
    fn stands_at(&self, path: &Path) -> bool {
        let key = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let there = fs::metadata(path).map(key);
        there.is_ok_and(|there| self.file.metadata().map(key).is_ok_and(|own| own == there))
    }

    /// Appends whole letters with the time and syncs them: all or none.
    ///
    /// # Errors
    /// [`DiskFault::Full`] at the bound, else what the operating system says.
    pub fn append(&mut self, text: &[u8], bounds: Bounds, now: Timestamp) -> Result<(), DiskFault> {
        let mut malformed_bytes = self.malformed_bytes;
        let mut kept = Vec::with_capacity(text.len());
        for letter in text.split_inclusive(|byte| *byte == b'\n') {
            let dated = dated(letter, now);
            if !holds_malformed_text(letter) {
                kept.extend_from_slice(&dated);
            } else if malformed_bytes + dated.len() as u64 <= bounds.malformed_max_bytes {
                malformed_bytes += dated.len() as u64;
                kept.extend_from_slice(&dated);
            } else {
                kept.extend_from_slice(&without_text(&dated));
            }
        }
        // What comes at once may be more than the whole bound: an empty quarantine that did not take it never would.
        if self.bytes > 0 && self.bytes + kept.len() as u64 > bounds.max_bytes {
            return Err(DiskFault::Full);
        }
        if let Err(error) = self.file.write_all(&kept).and_then(|()| self.file.sync_data()) {
            // What was half written must not stand before the next letter.
            let _ = self.file.set_len(self.bytes);
            return Err(disk_fault(&error));
        }
        self.bytes += kept.len() as u64;
        self.malformed_bytes = malformed_bytes;
        Ok(())
    }
}

/// What is asked of a letter here; the mapping part writes the rest as well.
#[derive(serde::Deserialize)]
struct LetterHead {
    reason: Quarantined,
    #[serde(default)]
    text: Option<serde::de::IgnoredAny>,
}

fn holds_malformed_text(letter: &[u8]) -> bool {
    serde_json::from_slice::<LetterHead>(letter).is_ok_and(|head| {
        head.text.is_some()
            && matches!(
                head.reason,
                Quarantined::InvalidJson | Quarantined::LineTooLong | Quarantined::Damaged
            )
    })
}

/// The letter with the time of its writing. It is a JSON object, so the time goes behind its brace.
fn dated(letter: &[u8], now: Timestamp) -> Vec<u8> {
    let Some(rest) = letter.strip_prefix(b"{") else { return letter.to_vec() };
    let time = format!("{{\"quarantined_at\":\"{now:.3}\",");
    [time.as_bytes(), rest].concat()
}

fn without_text(letter: &[u8]) -> Vec<u8> {
    let Ok(mut record) = serde_json::from_slice::<Letter<'_>>(letter) else {
        return letter.to_vec();
    };
    record.forget_text();
    record.to_line()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOMY: Bounds = Bounds { max_bytes: 1 << 20, malformed_max_bytes: 1 << 20 };
    const MALFORMED: &[u8] =
        b"{\"reason\":\"invalid_json\",\"source\":\"app\",\"path\":\"/a\",\"offset\":7,\"length\":6,\"detail\":\"\",\
          \"text\":\"{oops\"}\n";
    const CURABLE: &[u8] = b"{\"reason\":\"missing_customer\",\"at\":9,\"text\":\"{}\"}\n";
    const TIME: &str = "{\"quarantined_at\":\"1970-01-01T00:00:00.000Z\",";

    fn fresh() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = letters_path(folder.path());
        (folder, path)
    }

    fn write(path: &Path, text: &[u8], bounds: Bounds) -> Result<(), DiskFault> {
        Quarantine::open(path).unwrap().append(text, bounds, Timestamp::UNIX_EPOCH)
    }

    fn at_epoch(letter: &[u8]) -> Vec<u8> {
        [TIME.as_bytes(), &letter[1..]].concat()
    }

    #[test]
    fn letters_stand_in_the_file_in_order_and_over_a_restart() {
        let (_folder, path) = fresh();
        write(&path, MALFORMED, ROOMY).unwrap();
        write(&path, CURABLE, ROOMY).unwrap();
        assert_eq!(fs::read(path).unwrap(), [at_epoch(MALFORMED), at_epoch(CURABLE)].concat());
    }

    #[test]
    fn s21_a_letter_cut_by_a_crash_is_taken_off() {
        let (_folder, path) = fresh();
        write(&path, CURABLE, ROOMY).unwrap();
        let mut torn = fs::read(&path).unwrap();
        torn.extend_from_slice(&MALFORMED[..20]);
        fs::write(&path, torn).unwrap();
        write(&path, MALFORMED, ROOMY).unwrap();
        assert_eq!(fs::read(path).unwrap(), [at_epoch(CURABLE), at_epoch(MALFORMED)].concat());
    }

    #[test]
    fn at_the_bound_nothing_is_written_and_it_is_said() {
        let (_folder, path) = fresh();
        let bounds = Bounds { max_bytes: at_epoch(CURABLE).len() as u64, ..ROOMY };
        write(&path, CURABLE, bounds).unwrap();
        assert_eq!(write(&path, CURABLE, bounds), Err(DiskFault::Full));
        assert_eq!(fs::read(path).unwrap(), at_epoch(CURABLE));
    }

    #[test]
    fn an_empty_quarantine_takes_what_comes_at_once() {
        let (_folder, path) = fresh();
        let bounds = Bounds { max_bytes: 10, ..ROOMY };
        write(&path, CURABLE, bounds).unwrap();
        assert_eq!(write(&path, b"{}\n", bounds), Err(DiskFault::Full));
    }

    #[test]
    fn beyond_their_quota_malformed_lines_keep_their_place_but_not_their_text() {
        let (_folder, path) = fresh();
        let bounds = Bounds { malformed_max_bytes: at_epoch(MALFORMED).len() as u64, ..ROOMY };
        write(&path, MALFORMED, bounds).unwrap();
        // The quota is over, and a restart does not renew it.
        write(&path, &[MALFORMED, CURABLE].concat(), bounds).unwrap();
        let written = fs::read_to_string(path).unwrap();
        let lines: Vec<&str> = written.lines().collect();
        let stripped: Letter<'_> = serde_json::from_str(lines[1]).unwrap();
        assert_eq!((stripped.offset.0, stripped.text, stripped.text_bytes_kept), (7, None, Some(0)));
        assert!(stripped.quarantined_at.is_some());
        assert_eq!([lines[0], lines[2]].join("\n").into_bytes(), {
            let mut both = [at_epoch(MALFORMED), at_epoch(CURABLE)].concat();
            both.pop();
            both
        });
    }

    #[test]
    fn another_file_in_its_place_is_opened_and_counted_anew() {
        let (_folder, path) = fresh();
        let bounds = Bounds { max_bytes: CURABLE.len() as u64 + 64, ..ROOMY };
        let mut open = None;
        append(&mut open, &path, bounds, CURABLE).unwrap();
        assert_eq!(append(&mut open, &path, bounds, CURABLE), Err(DiskFault::Full));
        let other = path.with_extension("new");
        fs::write(&other, "").unwrap();
        fs::rename(other, &path).unwrap();
        append(&mut open, &path, bounds, CURABLE).unwrap();
        assert_eq!(fs::read_to_string(path).unwrap().lines().count(), 1);
    }
}
