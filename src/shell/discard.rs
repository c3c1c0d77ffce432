//! `floe quarantine discard`: letters are taken out for good. First a record of them is made durable, then the journal
//! of [`retried`](super::retried) takes them out, as it does with what a retry has settled. No account is touched: what
//! was quarantined once stays so there.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::durable;
use super::quarantine::folder_path;
use super::retried::Entry;
use super::retry::{RetryFault, Selection, begin, unreadable, unwritable};
use super::shelf::Shelf;
use crate::model::LetterId;

/// The file in the quarantine's folder that says what was discarded.
pub(super) const DISCARDED: &str = "discarded.jsonl";

/// Ids that stand in one line of the record.
const MOST_IDS: usize = 10_000;

/// What was discarded, or would be.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Discarded {
    /// Lines by the code of their reason.
    pub reasons: BTreeMap<String, u64>,
}

impl Discarded {
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.reasons.values().sum()
    }
}

/// A line of the record.
#[derive(Serialize)]
struct Record<'a> {
    discarded_at: String,
    lines: usize,
    ids: &'a [LetterId],
}

/// The letters that are meant.
///
/// # Errors
/// [`RetryFault::Unreadable`].
pub fn chosen(shelf: &Shelf, selection: &Selection) -> Result<(Vec<LetterId>, Discarded), RetryFault> {
    let (mut ids, mut discarded) = (Vec::new(), Discarded::default());
    let read = shelf.read(|shelved| {
        if selection.takes(&shelved) {
            ids.push(shelved.id);
            *discarded.reasons.entry(shelved.letter.reason.code().to_owned()).or_default() += 1;
        }
        Ok(())
    });
    read.map_err(unreadable)?;
    Ok((ids, discarded))
}

/// Takes the letters that are meant out, durably.
///
/// # Errors
/// [`RetryFault`]. What is in the record and not taken out yet is still quarantined.
pub fn discard(state_dir: &Path, selection: &Selection, now: Timestamp) -> Result<Discarded, RetryFault> {
    let folder = folder_path(state_dir);
    if !folder.is_dir() {
        return Ok(Discarded::default());
    }
    let mut journal = begin(state_dir)?;
    let shelf = Shelf::open(state_dir).map_err(|(_, error)| unreadable(error))?;
    let (ids, discarded) = chosen(&shelf, selection)?;
    let written = ids.chunks(MOST_IDS).try_for_each(|ids| {
        record(&folder, ids, now)?;
        journal.write(&Entry { gone: ids.to_vec(), ..Entry::default() })
    });
    written.and_then(|()| journal.put_in_order()).map_err(|error| unwritable(&error))?;
    Ok(discarded)
}

fn record(folder: &Path, ids: &[LetterId], now: Timestamp) -> io::Result<()> {
    let path = folder.join(DISCARDED);
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path)?;
    durable::give_to_owner_of(folder, &path)?;
    let record = Record { discarded_at: format!("{now:.3}"), lines: ids.len(), ids };
    // What a crash tore off stays, on a line of its own.
    let mut line = if is_torn(&file)? { b"\n".to_vec() } else { Vec::new() };
    serde_json::to_writer(&mut line, &record).expect("plain records are always JSON");
    line.push(b'\n');
    file.write_all(&line)?;
    file.sync_data()?;
    durable::sync_folder(folder)
}

fn is_torn(file: &File) -> io::Result<bool> {
    let size = file.metadata()?.len();
    let mut last = [b'\n'];
    if size > 0 {
        file.read_exact_at(&mut last, size - 1)?;
    }
    Ok(last != [b'\n'])
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::model::Quarantined;
    use crate::shell::fixtures::letter;
    use crate::shell::quarantine::LETTERS;
    use crate::shell::retried::Retried;

    #[test]
    fn what_is_discarded_is_recorded_without_its_text_and_moves_nothing_in_the_account() {
        let state = tempfile::tempdir().unwrap();
        let folder = folder_path(state.path());
        fs::create_dir(&folder).unwrap();
        let letters = [letter(0, "bad_cost"), letter(10, "nul"), letter(20, "bad_cost")].concat();
        fs::write(folder.join(LETTERS), letters).unwrap();
        // A crash tore this record off.
        fs::write(folder.join(DISCARDED), "{\"discar").unwrap();
        let of_cost = Selection { reasons: vec![Quarantined::BadCost], ..Selection::default() };
        let (ids, would) = chosen(&Shelf::open(state.path()).unwrap(), &of_cost).unwrap();
        let discarded = discard(state.path(), &of_cost, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!((discarded.lines(), &discarded), (2, &would));
        assert_eq!(fs::read_to_string(folder.join(LETTERS)).unwrap(), letter(10, "nul"));
        let record = fs::read_to_string(folder.join(DISCARDED)).unwrap();
        let expected =
            serde_json::json!({ "discarded_at": "1970-01-01T00:00:00.000Z", "lines": 2, "ids": ids });
        let last: serde_json::Value = serde_json::from_str(record.lines().nth(1).unwrap()).unwrap();
        assert_eq!(last, expected);
        assert!(!record.contains("secret"));
        assert_eq!(Retried::load(&folder).unwrap().transfers, crate::agent::transfers::Transfers::default());
        let shelf = Shelf::open(state.path()).unwrap();
        assert!(shelf.unreadable.is_empty(), "the record holds no letters");
        assert_eq!(discard(state.path(), &of_cost, Timestamp::UNIX_EPOCH).unwrap().lines(), 0);
    }
}
