//! The quarantine: lines that could not be billed, appended to one file and synced before anyone is told.
//!
//! Letters are not money lost, they are money waiting for a cure, so they are as durable as the checkpoint. What
//! a rule alone can never cure (malformed and over-long lines) has a quota of its own; beyond it a letter keeps
//! its place in the file that was read, but not the text.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use bytes::Bytes;

use super::disk::disk_fault;
use super::event::Reports;
use crate::agent::{DiskFault, Input, LettersId};
use crate::model::Quarantined;

/// How large the quarantine may grow.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub max_bytes: u64,
    /// Of `max_bytes`, what malformed and over-long lines may take with their text.
    pub malformed_max_bytes: u64,
}

/// The file in the state folder that holds the letters.
#[must_use]
pub fn letters_path(state_dir: &Path) -> PathBuf {
    state_dir.join("quarantine").join("quarantine.jsonl")
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
    let quarantine = match open {
        Some(quarantine) => quarantine,
        None => open.insert(Quarantine::open(path).map_err(|error| disk_fault(&error))?),
    };
    quarantine.append(text, bounds)
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
            std::fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
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

    /// Appends whole letters and syncs them: all or none.
    ///
    /// # Errors
    /// [`DiskFault::Full`] at the bound, else what the operating system says.
    pub fn append(&mut self, text: &[u8], bounds: Bounds) -> Result<(), DiskFault> {
        let mut malformed_bytes = self.malformed_bytes;
        let mut kept = Vec::with_capacity(text.len());
        for letter in text.split_inclusive(|byte| *byte == b'\n') {
            if !holds_malformed_text(letter) {
                kept.extend_from_slice(letter);
            } else if malformed_bytes + letter.len() as u64 <= bounds.malformed_max_bytes {
                malformed_bytes += letter.len() as u64;
                kept.extend_from_slice(letter);
            } else {
                kept.extend_from_slice(&without_text(letter));
            }
        }
        if self.bytes + kept.len() as u64 > bounds.max_bytes {
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

fn without_text(letter: &[u8]) -> Vec<u8> {
    let Ok(mut record) = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(letter) else {
        return letter.to_vec();
    };
    record.remove("text");
    let mut bytes = serde_json::to_vec(&record).expect("a JSON object is always JSON");
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ROOMY: Bounds = Bounds { max_bytes: 1 << 20, malformed_max_bytes: 1 << 20 };
    const MALFORMED: &[u8] = b"{\"reason\":\"invalid_json\",\"at\":7,\"text\":\"{oops\"}\n";
    const CURABLE: &[u8] = b"{\"reason\":\"missing_customer\",\"at\":9,\"text\":\"{}\"}\n";

    fn fresh() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = letters_path(folder.path());
        (folder, path)
    }

    #[test]
    fn letters_stand_in_the_file_in_order_and_over_a_restart() {
        let (_folder, path) = fresh();
        Quarantine::open(&path).unwrap().append(MALFORMED, ROOMY).unwrap();
        Quarantine::open(&path).unwrap().append(CURABLE, ROOMY).unwrap();
        assert_eq!(fs::read(path).unwrap(), [MALFORMED, CURABLE].concat());
    }

    #[test]
    fn a_letter_cut_by_a_crash_is_taken_off() {
        let (_folder, path) = fresh();
        Quarantine::open(&path).unwrap().append(CURABLE, ROOMY).unwrap();
        let mut torn = fs::read(&path).unwrap();
        torn.extend_from_slice(&MALFORMED[..20]);
        fs::write(&path, torn).unwrap();
        Quarantine::open(&path).unwrap().append(MALFORMED, ROOMY).unwrap();
        assert_eq!(fs::read(path).unwrap(), [CURABLE, MALFORMED].concat());
    }

    #[test]
    fn at_the_bound_nothing_is_written_and_it_is_said() {
        let (_folder, path) = fresh();
        let bounds = Bounds { max_bytes: CURABLE.len() as u64, ..ROOMY };
        let mut quarantine = Quarantine::open(&path).unwrap();
        quarantine.append(CURABLE, bounds).unwrap();
        assert_eq!(quarantine.append(CURABLE, bounds), Err(DiskFault::Full));
        assert_eq!(fs::read(path).unwrap(), CURABLE);
    }

    #[test]
    fn beyond_their_quota_malformed_lines_keep_their_place_but_not_their_text() {
        let (_folder, path) = fresh();
        let bounds = Bounds { malformed_max_bytes: MALFORMED.len() as u64, ..ROOMY };
        Quarantine::open(&path).unwrap().append(MALFORMED, bounds).unwrap();
        // The quota is over, and a restart does not renew it.
        Quarantine::open(&path).unwrap().append(&[MALFORMED, CURABLE].concat(), bounds).unwrap();
        let stripped = b"{\"at\":7,\"reason\":\"invalid_json\"}\n";
        assert_eq!(fs::read(path).unwrap(), [MALFORMED, stripped, CURABLE].concat());
    }
}
