//! What a retry has settled, durably: a journal first, then the letters' files, then the sums.
//!
//! | step | a crash behind it leaves |
//! |---|---|
//! | 1. the journal says what became of the letters | letters that count no more: whoever reads asks the journal |
//! | 2. the letters' files are written anew without them | a journal of letters that are gone: nothing looks for them |
//! | 3. the sums take the journal in, which names its number | a journal that is in the sums: its number says so |
//! | 4. the journal is removed | nothing |
//!
//! So at no moment is a letter lost, sent for want of a note, or counted twice.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::durable;
use super::quarantine::{LETTERS, lock};
use super::shelf::{each_line, letters_files};
use crate::agent::checkpoint::{seal, unseal};
use crate::agent::transfers::Transfers;
use crate::model::{Letter, LetterId};

const SUMS: &str = "retried.json";

/// The sums, and which journals are in them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Sums {
    /// Journals up to this number.
    through: u64,
    transfers: Transfers,
}

/// A line of the journal: what some letters came to at once.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Entry {
    /// Letters that are settled.
    pub gone: Vec<LetterId>,
    /// Letters that have another reason now.
    pub now: Vec<Box<RawValue>>,
    pub transfers: Transfers,
}

impl Entry {
    fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.now.is_empty() && self.transfers == Transfers::default()
    }
}

/// How a letter stands that a retry has touched.
#[derive(Debug)]
pub enum Standing<'a> {
    Gone,
    /// This letter stands for it.
    Now(&'a [u8]),
}

/// All that was retried.
#[derive(Debug, Default)]
pub struct Retried {
    pub transfers: Transfers,
    /// What the journal of a retry says that has not ended.
    gone: HashSet<LetterId>,
    now: HashMap<LetterId, Vec<u8>>,
}

impl Retried {
    /// Reads sums and journal. It may be called beside a retry.
    ///
    /// # Errors
    /// What the operating system says, or that the sums are damaged.
    pub fn load(folder: &Path) -> io::Result<Self> {
        loop {
            let before = Sums::load(folder)?;
            let mut retried = Self { transfers: before.transfers, ..Self::default() };
            retried.take_journal(folder, before.through + 1)?;
            // Meanwhile the sums may have taken in the journal that was read, or was not found.
            if Sums::load(folder)?.through == before.through {
                return Ok(retried);
            }
        }
    }

    #[must_use]
    pub(super) fn standing(&self, id: LetterId) -> Option<Standing<'_>> {
        match self.now.get(&id) {
            Some(letter) => Some(Standing::Now(letter)),
            None => self.gone.contains(&id).then_some(Standing::Gone),
        }
    }

    fn take_journal(&mut self, folder: &Path, number: u64) -> io::Result<()> {
        let file = match File::open(folder.join(journal_name(number))) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        each_line(&file, |_, line| {
            let entry: Entry = serde_json::from_slice(line).map_err(io::Error::other)?;
            self.take(&entry)
        })
    }

    fn take(&mut self, entry: &Entry) -> io::Result<()> {
        self.transfers.merge(&entry.transfers);
        for id in &entry.gone {
            self.now.remove(id);
            self.gone.insert(*id);
        }
        for letter in &entry.now {
            let id = serde_json::from_str::<Letter<'_>>(letter.get()).map_err(io::Error::other)?.id();
            self.now.insert(id, [letter.get().as_bytes(), b"\n"].concat());
        }
        Ok(())
    }
}

impl Sums {
    fn load(folder: &Path) -> io::Result<Self> {
        match fs::read(folder.join(SUMS)) {
            Ok(bytes) => unseal(&bytes).map_err(|damage| io::Error::other(format!("{SUMS}: {damage}"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }
}

/// Writes down what a retry settles. There is one at a time: its lock is held for as long as it lives.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    number: u64,
    file: File,
    /// Nothing was written since the files were put in order.
    is_empty: bool,
    _lock: File,
}

/// A longer journal is taken in at once.
const JOURNAL_MAX_BYTES: u64 = 16 * 1024 * 1024;

const RETRY_LOCK: &str = "retry.lock";

impl Journal {
    /// Puts in order what an earlier retry left, and begins.
    ///
    /// # Errors
    /// What the operating system says; [`io::ErrorKind::WouldBlock`] while another retry runs.
    pub fn begin(folder: &Path) -> io::Result<Self> {
        let path = folder.join(RETRY_LOCK);
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        durable::give_to_owner_of(folder, &path)?;
        lock.try_lock().map_err(io::Error::from)?;
        let number = Sums::load(folder)?.through + 1;
        durable::remove_if_there(&folder.join(journal_name(number - 1)))?;
        // What a crash tore off was never acted on.
        let file = open_journal(folder, number)?;
        let mut whole = 0;
        each_line(&file, |at, line| {
            whole = at + line.len() as u64;
            Ok(())
        })?;
        file.set_len(whole)?;
        let mut journal = Self { folder: folder.to_owned(), number, file, is_empty: whole == 0, _lock: lock };
        journal.put_in_order()?;
        Ok(journal)
    }

    /// Makes the entry durable. What it says counts from now on.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn write(&mut self, entry: &Entry) -> io::Result<()> {
        if entry.is_empty() {
            return Ok(());
        }
        let mut line = serde_json::to_vec(entry).expect("plain records are always JSON");
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.file.sync_data()?;
        if std::mem::take(&mut self.is_empty) {
            durable::sync_folder(&self.folder)?;
        }
        // What it says of letters is held in memory by whoever reads.
        if self.file.metadata()?.len() > JOURNAL_MAX_BYTES {
            self.put_in_order()?;
        }
        Ok(())
    }

    /// Takes what is settled out of the letters' files, and the journal into the sums.
    ///
    /// # Errors
    /// What the operating system says; nothing is lost then, and the next retry goes on here.
    pub fn put_in_order(&mut self) -> io::Result<()> {
        if self.is_empty {
            return Ok(());
        }
        let retried = Retried::load(&self.folder)?;
        self.rewrite_letters(&retried)?;
        self.sum_up(retried.transfers)?;
        self.next_journal()
    }

    fn rewrite_letters(&self, retried: &Retried) -> io::Result<()> {
        // The daemon appends nothing meanwhile, and opens the new file then.
        let _lock = lock(&self.folder)?;
        for path in letters_files(&self.folder)? {
            rewrite(&self.folder, &path, retried)?;
        }
        Ok(())
    }

    fn sum_up(&self, transfers: Transfers) -> io::Result<()> {
        durable::replace(&self.folder, SUMS, &seal(&Sums { through: self.number, transfers }))?;
        durable::give_to_owner_of(&self.folder, &self.folder.join(SUMS))
    }

    fn next_journal(&mut self) -> io::Result<()> {
        fs::remove_file(self.folder.join(journal_name(self.number)))?;
        self.number += 1;
        self.file = open_journal(&self.folder, self.number)?;
        self.is_empty = true;
        Ok(())
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if self.is_empty {
            // An empty file in the folder would only make people wonder.
            let _ = fs::remove_file(self.folder.join(journal_name(self.number)));
        }
    }
}

fn open_journal(folder: &Path, number: u64) -> io::Result<File> {
    let path = folder.join(journal_name(number));
    let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path)?;
    durable::give_to_owner_of(folder, &path)?;
    Ok(file)
}

fn journal_name(number: u64) -> String {
    format!("retried-{number}.journal")
}

/// Writes a file of letters anew: without those that are settled, and with what stands for others now.
fn rewrite(folder: &Path, path: &Path, retried: &Retried) -> io::Result<()> {
    let old = File::open(path)?;
    let name = path.file_name().expect("a file of a folder has a name").to_string_lossy().into_owned();
    let beside = folder.join(format!("{name}.new"));
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    let mut new = BufWriter::with_capacity(256 * 1024, file);
    let (mut changed, mut is_empty, mut written) = (false, true, HashSet::new());
    each_line(&old, |_, line| {
        let id = serde_json::from_slice::<Letter<'_>>(line).ok().map(|letter| letter.id());
        let kept = match id.and_then(|id| retried.standing(id)) {
            None => line,
            Some(Standing::Now(letter)) if written.insert(id) => {
                changed = true;
                letter
            }
            Some(_) => {
                changed = true;
                return Ok(());
            }
        };
        is_empty = false;
        new.write_all(kept)
    })?;
    if !changed {
        return fs::remove_file(beside);
    }
    durable::give_to_owner_of(folder, &beside)?;
    new.into_inner()?.sync_all()?;
    // The daemon's file stays, so that nobody wonders where it went.
    if is_empty && name != LETTERS {
        fs::remove_file(beside)?;
        fs::remove_file(path)?;
    } else {
        fs::rename(beside, path)?;
    }
    durable::sync_folder(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::transfers::Transfer;
    use crate::model::{Fate, Quarantined};
    use crate::shell::fixtures::letter;
    use crate::shell::shelf::Shelf;

    fn id(offset: u64) -> LetterId {
        let text = letter(offset, "bad_cost");
        serde_json::from_str::<Letter<'_>>(&text).unwrap().id()
    }

    fn fresh(letters: &str) -> (tempfile::TempDir, PathBuf) {
        let state = tempfile::tempdir().unwrap();
        let folder = state.path().join("quarantine");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(LETTERS), letters).unwrap();
        (state, folder)
    }

    /// The letter at 0 is billed, the one at 10 has another reason, the one at 20 is as it was.
    fn entry() -> Entry {
        let mut transfers = Transfers { inserted: 1, ..Transfers::default() };
        let from = Fate::Quarantined(Quarantined::BadCost);
        for to in [Fate::Billed, Fate::Quarantined(Quarantined::BadLlm)] {
            transfers.add(&Transfer { source: "app", from, to, bytes: 10, events: 0, rule: None });
        }
        let now = RawValue::from_string(letter(10, "bad_llm").trim_end().to_owned()).unwrap();
        Entry { gone: vec![id(0)], now: vec![now], transfers }
    }

    const LETTERS_BEFORE: [u64; 3] = [0, 10, 20];

    fn before() -> String {
        LETTERS_BEFORE.iter().map(|offset| letter(*offset, "bad_cost")).collect()
    }

    /// What anybody sees: the letters that count, and the sums.
    fn seen(state: &Path) -> (Vec<(u64, &'static str)>, Transfers) {
        let mut letters = Vec::new();
        let shelf = Shelf::open(state).unwrap();
        let push = |shelved: crate::shell::shelf::Shelved<'_>| {
            letters.push((shelved.letter.offset.0, shelved.letter.reason.code()));
            Ok(())
        };
        shelf.read(push).unwrap();
        (letters, Retried::load(&state.join("quarantine")).unwrap().transfers)
    }

    #[test]
    fn after_each_step_the_same_is_seen_and_the_next_retry_ends_it() {
        for steps in 0..=4 {
            let (state, folder) = fresh(&before());
            let mut journal = Journal::begin(&folder).unwrap();
            journal.write(&entry()).unwrap();
            let retried = Retried::load(&folder).unwrap();
            if steps > 0 {
                journal.rewrite_letters(&retried).unwrap();
            }
            if steps > 1 {
                journal.sum_up(retried.transfers).unwrap();
            }
            if steps > 2 {
                journal.next_journal().unwrap();
            }
            if steps > 3 {
                journal.put_in_order().unwrap();
            }
            let wanted = (vec![(10, "bad_llm"), (20, "bad_cost")], entry().transfers);
            assert_eq!(seen(state.path()), wanted, "after step {steps}");
            // The process dies here.
            drop(journal);
            drop(Journal::begin(&folder).unwrap());
            assert_eq!(seen(state.path()), wanted, "and a new start after step {steps}");
            let written = fs::read_to_string(folder.join(LETTERS)).unwrap();
            assert_eq!(written, letter(10, "bad_llm") + &letter(20, "bad_cost"));
            let left: Vec<_> =
                fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert!(left.iter().all(|name| !name.to_string_lossy().contains("journal")), "{left:?}");
        }
    }

    #[test]
    fn an_entry_that_was_torn_off_counts_for_nothing() {
        let (state, folder) = fresh(&before());
        let whole = serde_json::to_vec(&entry()).unwrap();
        fs::write(folder.join(journal_name(1)), &whole[..whole.len() / 2]).unwrap();
        let all: Vec<_> = LETTERS_BEFORE.iter().map(|offset| (*offset, "bad_cost")).collect();
        assert_eq!(seen(state.path()), (all, Transfers::default()));
        let mut journal = Journal::begin(&folder).unwrap();
        journal.write(&entry()).unwrap();
        journal.put_in_order().unwrap();
        assert_eq!(seen(state.path()).0, [(10, "bad_llm"), (20, "bad_cost")]);
    }

    #[test]
    fn of_several_letters_of_a_line_the_last_counts_and_all_go() {
        let letters = [letter(0, "bad_cost"), letter(10, "bad_llm"), letter(0, "bad_name")].concat();
        let (state, folder) = fresh(&letters);
        fs::write(folder.join("backfill-1.jsonl"), letter(10, "nul") + &letter(30, "nul")).unwrap();
        assert_eq!(seen(state.path()).0, [(30, "nul"), (10, "bad_llm"), (0, "bad_name")]);
        let mut journal = Journal::begin(&folder).unwrap();
        let gone = vec![id(0), id(10), id(30)];
        journal.write(&Entry { gone, ..Entry::default() }).unwrap();
        journal.put_in_order().unwrap();
        assert_eq!(seen(state.path()).0, []);
        assert_eq!(fs::read(folder.join(LETTERS)).unwrap(), b"");
        assert!(!folder.join("backfill-1.jsonl").exists());
    }

    #[test]
    fn one_retry_runs_at_a_time() {
        let (_state, folder) = fresh("");
        let first = Journal::begin(&folder).unwrap();
        assert_eq!(Journal::begin(&folder).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(first);
        Journal::begin(&folder).unwrap();
    }
}
