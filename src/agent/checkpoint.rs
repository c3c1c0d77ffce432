//! The checkpoint: the contiguous frontier of each stream and the account that belongs to it.
//!
//! The file is one line of JSON with a version, then a line `crc32 <8 hex digits>` over it. The shell
//! writes the bytes; what they mean is decided here.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::model::chunk::{Carry, Output, Outputs};
use crate::model::{
    Count, DayAccount, Dropped, Fate, FileKey, Guard, Mark, Missed, Offset, SourceAccount, Span, Tally,
};

/// The version that this release writes. It reads this one alone.
pub const VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint<Files = Vec<FileRecord>> {
    pub version: u32,
    /// Counts the saves of this state folder.
    pub sequence: u64,
    /// RFC 3339, for people.
    pub saved_at: String,
    /// Which boot of the machine it was, as the operating system names it. A power cut lies between two.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub boot: String,
    pub files: Files,
    pub ordinals: Vec<OrdinalRecord>,
    /// Rotated siblings that were there before Floe first looked: not ours to read.
    pub strangers: BTreeMap<String, Vec<FileKey>>,
    /// What they said, by source id: a compressed copy of one is not ours either.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stranger_records: BTreeMap<String, Vec<FloorRecord>>,
    /// The checkpoint before was lost, and nobody has looked at the files since.
    pub ordinals_lost: bool,
    /// Files that begin alike and that the lost checkpoint told apart: held until they are alone, by source id.
    pub held: BTreeMap<String, Vec<FileKey>>,
    /// By source id.
    pub accounts: BTreeMap<String, AccountRecord>,
    pub events_inserted: u64,
    pub events_duplicate: u64,
    pub events_duplicate_unexpected: u64,
}

/// One file generation that Floe knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    pub source: String,
    pub path: String,
    /// Where it was found first.
    pub first_path: String,
    /// This very file was renamed: another one at `first_path` is another file, whatever it says.
    pub was_moved: bool,
    pub captures: BTreeMap<String, String>,
    /// `None` once the file was truncated under us or is gone.
    pub file: Option<FileKey>,
    /// 32 hex digits.
    pub print: String,
    pub ordinal: u32,
    /// Where its reading began: at its beginning, or at its floor.
    pub start: Offset,
    pub frontier: Offset,
    pub guard: Guard,
    /// Where the line stands that says what the columns are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<Offset>,
    /// The outputs of a container that are in the middle of a settled line at the frontier.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unfinished: Vec<Output>,
    /// The file that goes on with them was read, or is not to go on with them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub handed_over: bool,
    /// Places with their guards: line ends of the head, and ends of reads at growing distances. By these the
    /// file is known again; they may stand beyond the frontier.
    pub marks: Vec<Mark>,
    /// The file's size when it was last seen.
    pub size: u64,
    /// Of a compressed file: the file system's time of its last change. While that stays, so does what stands in it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub modified: u64,
    /// Set where the frontier stands inside a line that began before it and is not ours.
    pub inside_line: bool,
    /// It is gone, and what was missing of it is told.
    pub given_up: bool,
    /// Since when its bytes beyond the frontier have been there. In the order of their places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unbilled: Vec<UnbilledRecord>,
}

/// Bytes that are not settled and arrived together: up to an offset, from where those before them end, or the frontier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnbilledRecord {
    pub end: Offset,
    /// When the first of them was seen, in milliseconds since 1970.
    pub since_ms: i64,
    /// They were there when Floe first looked, and may be older.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_least: bool,
}

impl FileRecord {
    pub(super) fn carry(&self) -> Carry {
        let mut unfinished = Outputs::default();
        self.unfinished.iter().for_each(|output| unfinished.insert(*output));
        Carry { unfinished, header: self.header }
    }
}

/// How many files of one source had this print. Kept where it is more than one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrdinalRecord {
    pub source: String,
    pub print: String,
    pub next: u32,
}

/// [`SourceAccount`](crate::model::SourceAccount) with codes for fates: `billed`, `ignored.no_rule`, ….
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountRecord {
    pub read_bytes: u64,
    pub skipped_bytes: u64,
    pub events: u64,
    pub values_not_utf8: u64,
    /// Not in checkpoints that were written before they were counted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub duplicate_keys: u64,
    /// Lines and bytes by fate.
    pub settled: BTreeMap<String, (u64, u64)>,
    pub billed_by_rule: BTreeMap<String, u64>,
    pub missed: Vec<(String, Span)>,
    /// Lines and bytes of datagrams that were dropped, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dropped: BTreeMap<String, (u64, u64)>,
    /// What was settled on each of the last days, by UTC date.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub days: BTreeMap<Date, DayRecord>,
}

/// [`DayAccount`] with codes for fates.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DayRecord {
    pub read_bytes: u64,
    pub events: u64,
    /// Lines and bytes by fate.
    pub settled: BTreeMap<String, (u64, u64)>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub billed_by_rule: BTreeMap<String, u64>,
}

/// Where `read_from = "end"` began, kept apart from the checkpoint because its loss would bill old lines.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floors {
    /// By source id: the files that were there at its first start.
    pub sources: BTreeMap<String, Vec<FloorRecord>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FloorRecord {
    pub file: FileKey,
    /// `None` while the file had no whole first line.
    pub print: Option<String>,
    /// Of the bytes before `floor`, learned with the print: another file at the same inode has others there.
    pub guard: Option<Guard>,
    /// Line ends of the head up to the floor with their guards, learned with the print.
    pub marks: Vec<Mark>,
    pub floor: Offset,
    /// Said by files of before, and read for their sake alone: the byte before the floor tells.
    #[serde(default, skip_serializing)]
    inside_line: bool,
}

impl FloorRecord {
    /// A floor of which nothing more is learned yet.
    pub(super) fn new(file: FileKey, floor: Offset) -> Self {
        Self { file, print: None, guard: None, marks: Vec::new(), floor, inside_line: false }
    }

    /// Whether the file with its key may have this print, and these bytes before the floor.
    pub(super) fn is_of(&self, print: &str, before: Guard) -> bool {
        self.print.as_deref().is_none_or(|own| own == print) && self.guard.is_none_or(|own| own == before)
    }
}

/// Why bytes are no checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// Empty, cut, zeroed or altered.
    Checksum,
    /// Written by another version of Floe.
    Version(u32),
    /// The checksum holds, but the content is not what this version writes.
    Content(String),
}

impl std::fmt::Display for Damage {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Checksum => out.write_str("it is damaged: its checksum does not fit"),
            Self::Version(version) => {
                write!(out, "it has version {version}; this Floe reads version {VERSION}")
            }
            Self::Content(what) => write!(out, "its content cannot be read: {what}"),
        }
    }
}

/// The bytes of a checked file: JSON line and checksum line.
#[must_use]
pub fn seal<T: Serialize>(content: &T) -> Vec<u8> {
    sealed_in(Vec::new(), content)
}

/// As [`seal`], in a vector that may have the room already.
pub(super) fn sealed_in<T: Serialize>(mut bytes: Vec<u8>, content: &T) -> Vec<u8> {
    serde_json::to_writer(&mut bytes, content).expect("plain records are always JSON");
    let checksum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(format!("\ncrc32 {checksum:08x}\n").as_bytes());
    bytes
}

/// The content of a checked file.
///
/// # Errors
/// [`Damage`], when it is not whole.
pub fn unseal<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, Damage> {
    const TRAILER: usize = "\ncrc32 00000000\n".len();
    let at = bytes.len().checked_sub(TRAILER).ok_or(Damage::Checksum)?;
    let (content, trailer) = bytes.split_at(at);
    if trailer != format!("\ncrc32 {:08x}\n", crc32fast::hash(content)).as_bytes() {
        return Err(Damage::Checksum);
    }
    serde_json::from_slice(content).map_err(|error| Damage::Content(error.to_string()))
}

/// Records that are made while they are written.
pub(super) struct InTurn<F>(pub F);

impl<F: Fn() -> I, I: Iterator<Item = FileRecord>> Serialize for InTurn<F> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

impl<Files> Checkpoint<Files> {
    /// One that says of these files, and of nothing else yet.
    pub(super) fn of_files(files: Files) -> Self {
        Self {
            version: VERSION,
            sequence: 0,
            saved_at: String::new(),
            boot: String::new(),
            files,
            ordinals: Vec::new(),
            strangers: BTreeMap::new(),
            stranger_records: BTreeMap::new(),
            ordinals_lost: false,
            held: BTreeMap::new(),
            accounts: BTreeMap::new(),
            events_inserted: 0,
            events_duplicate: 0,
            events_duplicate_unexpected: 0,
        }
    }

    pub(super) fn set_accounts(&mut self, accounts: &BTreeMap<Arc<str>, SourceAccount>) {
        self.accounts =
            accounts.iter().map(|(source, account)| (source.to_string(), record_of(account))).collect();
    }
}

impl Checkpoint {
    /// The accounts that it holds. Codes that this release does not know are left out.
    pub fn source_accounts(&self) -> BTreeMap<Arc<str>, SourceAccount> {
        self.accounts
            .iter()
            .map(|(source, record)| (Arc::from(source.as_str()), account_of(record)))
            .collect()
    }

    /// Reads what [`seal`] wrote.
    ///
    /// # Errors
    /// [`Damage`], when it is not whole or of another version.
    pub fn read(bytes: &[u8]) -> Result<Self, Damage> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let Versioned { version } = unseal(bytes)?;
        if version != VERSION {
            return Err(Damage::Version(version));
        }
        unseal(bytes)
    }
}

/// The code of a fate: `billed`, `ignored.no_rule`, `quarantined.bad_cost`.
#[must_use]
pub fn fate_code(fate: Fate) -> String {
    match fate {
        Fate::Billed => "billed".to_owned(),
        Fate::Ignored(reason) => format!("ignored.{reason}"),
        Fate::Quarantined(reason) => format!("quarantined.{reason}"),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn record_of(account: &SourceAccount) -> AccountRecord {
    AccountRecord {
        read_bytes: account.read_bytes,
        skipped_bytes: account.skipped_bytes,
        events: account.events,
        values_not_utf8: account.values_not_utf8,
        duplicate_keys: account.duplicate_keys,
        settled: codes_of(&account.settled),
        billed_by_rule: account.billed_by_rule.clone(),
        missed: account.missed.iter().map(|missed| (missed.path.clone(), missed.span)).collect(),
        dropped: account
            .dropped
            .iter()
            .map(|(why, count)| (why.code().to_owned(), (count.lines, count.bytes)))
            .collect(),
        days: account.days.iter().map(|(date, day)| (*date, day_record(day))).collect(),
    }
}

fn day_record(day: &DayAccount) -> DayRecord {
    DayRecord {
        read_bytes: day.read_bytes,
        events: day.events,
        settled: codes_of(&day.settled),
        billed_by_rule: day.billed_by_rule.clone(),
    }
}

fn day_of(record: &DayRecord) -> DayAccount {
    DayAccount {
        read_bytes: record.read_bytes,
        events: record.events,
        settled: tally_of(&record.settled),
        billed_by_rule: record.billed_by_rule.clone(),
    }
}

fn codes_of(tally: &Tally) -> BTreeMap<String, (u64, u64)> {
    tally.iter().map(|(fate, count)| (fate_code(fate), (count.lines, count.bytes))).collect()
}

fn tally_of(codes: &BTreeMap<String, (u64, u64)>) -> Tally {
    let mut tally = Tally::default();
    for fate in Fate::all() {
        if let Some((lines, bytes)) = codes.get(&fate_code(fate)) {
            tally.add(fate, *lines, *bytes);
        }
    }
    tally
}

fn account_of(record: &AccountRecord) -> SourceAccount {
    SourceAccount {
        read_bytes: record.read_bytes,
        settled: tally_of(&record.settled),
        skipped_bytes: record.skipped_bytes,
        events: record.events,
        values_not_utf8: record.values_not_utf8,
        duplicate_keys: record.duplicate_keys,
        missed: record.missed.iter().map(|(path, span)| Missed { path: path.clone(), span: *span }).collect(),
        dropped: record
            .dropped
            .iter()
            .filter_map(|(code, (lines, bytes))| {
                Some((Dropped::from_code(code)?, Count { lines: *lines, bytes: *bytes }))
            })
            .collect(),
        billed_by_rule: record.billed_by_rule.clone(),
        days: record.days.iter().map(|(date, day)| (*date, day_of(day))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Ignored, Quarantined};

    fn checkpoint() -> Checkpoint {
        let mut account =
            SourceAccount { read_bytes: 60, events: 3, duplicate_keys: 2, ..SourceAccount::default() };
        account.settled.add(Fate::Billed, 3, 30);
        account.settled.add(Fate::Ignored(Ignored::NoRule), 1, 20);
        account.settled.add(Fate::Quarantined(Quarantined::BadCost), 1, 10);
        account
            .missed
            .push(Missed { path: "/a".to_owned(), span: Span { start: Offset(1), end: Offset(5) } });
        account.dropped.insert(Dropped::SpoolFull, Count { lines: 2, bytes: 7 });
        let mut checkpoint = Checkpoint { version: VERSION, sequence: 9, ..Checkpoint::default() };
        checkpoint.set_accounts(&BTreeMap::from([(Arc::from("app"), account)]));
        checkpoint
    }

    #[test]
    fn what_is_sealed_is_read_back() {
        let read = Checkpoint::read(&seal(&checkpoint())).unwrap();
        assert_eq!(read, checkpoint());
        let accounts = read.source_accounts();
        assert!(accounts["app"].adds_up());
        let mut again: Checkpoint = Checkpoint::default();
        again.set_accounts(&accounts);
        assert_eq!(again.accounts, read.accounts);
    }

    #[test]
    fn a_checkpoint_from_before_duplicate_keys_were_counted_is_read() {
        let mut before = serde_json::to_value(checkpoint()).unwrap();
        let account = before["accounts"]["app"].as_object_mut().unwrap();
        assert_eq!(account.remove("duplicate_keys"), Some(2.into()));
        let read = Checkpoint::read(&seal(&before)).unwrap();
        assert_eq!(read.source_accounts()["app"].duplicate_keys, 0);
        assert!(
            !serde_json::to_string(&read).unwrap().contains("duplicate_keys"),
            "and an older Floe reads it"
        );
    }

    #[test]
    fn a_checkpoint_from_before_days_were_kept_is_read() {
        let mut account = SourceAccount { read_bytes: 30, ..SourceAccount::default() };
        account.settled.add(Fate::Billed, 3, 30);
        let mut day = DayAccount { read_bytes: 30, events: 3, ..DayAccount::default() };
        day.settled.add(Fate::Billed, 3, 30);
        account.days.insert(jiff::civil::date(2026, 11, 21), day);
        let mut checkpoint = checkpoint();
        checkpoint.set_accounts(&BTreeMap::from([(Arc::from("app"), account.clone())]));
        let mut written = serde_json::to_value(&checkpoint).unwrap();
        let days = &written["accounts"]["app"]["days"];
        assert_eq!(days["2026-11-21"]["settled"]["billed"], serde_json::json!([3, 30]), "{days}");
        assert_eq!(Checkpoint::read(&seal(&written)).unwrap().source_accounts()["app"], account);
        written["accounts"]["app"].as_object_mut().unwrap().remove("days");
        let read = Checkpoint::read(&seal(&written)).unwrap().source_accounts();
        assert!(read["app"].days.is_empty() && read["app"].adds_up());
    }

    #[test]
    fn floors_are_read_back_also_those_that_say_whether_they_stand_inside_a_line() {
        let file = FileKey { device: 1, inode: 2, born: 3 };
        let floors = Floors { sources: [("app".to_owned(), vec![FloorRecord::new(file, Offset(9))])].into() };
        assert_eq!(unseal::<Floors>(&seal(&floors)), Ok(floors.clone()));
        let mut before = serde_json::to_value(&floors).unwrap();
        before["sources"]["app"][0]["inside_line"] = false.into();
        assert_eq!(unseal::<Floors>(&seal(&before)), Ok(floors));
    }

    #[test]
    fn no_damage_goes_unseen() {
        let whole = seal(&checkpoint());
        for at in 0..whole.len() {
            assert_eq!(Checkpoint::read(&whole[..at]), Err(Damage::Checksum), "cut at {at}");
            let mut altered = whole.clone();
            altered[at] ^= 1;
            assert_eq!(Checkpoint::read(&altered), Err(Damage::Checksum), "altered at {at}");
        }
        assert_eq!(Checkpoint::read(&vec![0; whole.len()]), Err(Damage::Checksum), "zeroed");
        let newer = Checkpoint { version: VERSION + 1, ..checkpoint() };
        assert_eq!(Checkpoint::read(&seal(&newer)), Err(Damage::Version(VERSION + 1)));
        let other = seal(&serde_json::json!({ "version": VERSION, "unknown": 1 }));
        assert!(matches!(Checkpoint::read(&other), Err(Damage::Content(_))));
    }
}
