//! `floe account`: where every byte and line of each source went, from the checkpoint. It only reads, so it works
//! beside a running daemon and after its end.

pub mod period;
mod text;
pub mod verify;
pub mod waiting;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use super::{check, outcome};
use crate::agent::checkpoint::{AccountRecord, Checkpoint, DayRecord};
use crate::agent::transfers::Transfers;
use crate::config;
use crate::shell::disk::words_of;
use crate::shell::quarantine::folder_path;
use crate::shell::recount::{Recount, RecountFault};
use crate::shell::retried::Retried;
use crate::shell::state;
use period::{Period, days_add_up};
use verify::Verified;
use waiting::{Oldest, Waiting};

/// Says where every byte and line of each source went
///
/// Exits with 1 when the numbers do not add up, when bytes were missed or datagrams were dropped.
///
/// With --since or --until it is of some days. A line belongs to the UTC day on which it was settled: billed, ignored or
/// quarantined. The last 62 days are kept.
#[derive(Debug, clap::Args)]
pub struct AccountArguments {
    /// The state folder [default: the one that the config names]
    #[arg(long, value_name = "FOLDER")]
    pub state_dir: Option<PathBuf>,

    /// Only what was settled on this UTC day or later
    #[arg(long, value_name = "DAY", value_parser = period::day)]
    pub since: Option<Date>,

    /// Only what was settled before this UTC day
    #[arg(long, value_name = "DAY", value_parser = period::day)]
    pub until: Option<Date>,

    /// Read the files that still exist again, and count anew what became of their lines
    #[arg(long, conflicts_with_all = ["since", "until", "state_dir"])]
    pub verify: bool,

    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// 0 when all adds up and nothing was missed or dropped, else 1; 66 when there is no account, 78 for a bad config.
#[must_use]
pub fn run(arguments: &AccountArguments, config: Option<PathBuf>) -> ExitCode {
    if arguments.verify {
        return verified(arguments, config);
    }
    let state_dir = match &arguments.state_dir {
        Some(folder) => folder.clone(),
        None => match config::load(&check::options(config)) {
            Ok(loaded) => loaded.settings.state_dir,
            Err(faults) => return outcome::bad_config(&faults),
        },
    };
    let account = match state::peek(&state_dir) {
        Ok(checkpoint) => match Retried::load(&folder_path(&state_dir)) {
            Ok(retried) => match Period::new(arguments.since, arguments.until) {
                Some(period) => Account::within(checkpoint, period),
                None => Account::with(checkpoint, &retried.transfers),
            },
            Err(error) => {
                let what = format!("cannot read what was retried: {}", words_of(&error));
                return outcome::fail(outcome::NO_INPUT, what, Some("run it as the user that Floe runs as"));
            }
        },
        Err(fault) => {
            let hint = "start `floe run` first; with another state folder, name it: `--state-dir FOLDER`";
            return outcome::fail(outcome::NO_INPUT, fault, Some(hint));
        }
    };
    tell(arguments, account)
}

fn tell(arguments: &AccountArguments, account: Account) -> ExitCode {
    let account = account.at(Timestamp::now());
    let text = if arguments.json { account.json() } else { account.to_string() };
    // A closed pipe is nobody's fault: the exit code says the same.
    let _ = std::io::stdout().write_all(text.as_bytes());
    if account.is_right() { ExitCode::SUCCESS } else { ExitCode::from(outcome::NO) }
}

/// The account of one checkpoint, and what the files say up to where that stands.
fn verified(arguments: &AccountArguments, config: Option<PathBuf>) -> ExitCode {
    let settings = match config::load(&check::options(config)) {
        Ok(loaded) => Arc::new(loaded.settings),
        Err(faults) => return outcome::bad_config(&faults),
    };
    let recount = match Recount::open(&settings) {
        Ok(recount) => recount,
        Err(RecountFault::State(fault)) => {
            return outcome::fail(outcome::NO_INPUT, fault, Some("start `floe run` first"));
        }
        Err(RecountFault::Quarantine(path, error)) => {
            let what = format!("cannot read {path:?}: {}", words_of(&error));
            return outcome::fail(outcome::NO_INPUT, what, Some("run it as the user that Floe runs as"));
        }
    };
    let retried = match Retried::load(&folder_path(&settings.state_dir)) {
        Ok(retried) => retried.transfers,
        Err(error) => {
            let what = format!("cannot read what was retried: {}", words_of(&error));
            return outcome::fail(outcome::NO_INPUT, what, Some("run it as the user that Floe runs as"));
        }
    };
    let mut checkpoint = recount.checkpoint().clone();
    let account = Account::with(checkpoint.clone(), &retried);
    retried.apply(&mut checkpoint.accounts);
    let verified = verify::verify(&recount, &checkpoint.accounts);
    tell(arguments, Account { verified: Some(verified), ..account })
}

/// The account as people and programs see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// By id.
    pub sources: BTreeMap<String, SourceLines>,
    pub events: Events,
    /// When the checkpoint was saved.
    pub saved_at: String,
    /// Of all sources.
    pub oldest_unbilled: Option<Oldest>,
    /// Set where the files were read again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verified>,
    /// Set where the lines of some days are told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<Period>,
    /// Lines that were retried and that this account does not know, by source.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub retried_unknown: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Events {
    pub inserted: u64,
    /// Polar had them already.
    pub duplicates: u64,
    /// Of the duplicates, those that this state never sent before: an alarm.
    pub unexpected_duplicates: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub struct Count {
    pub lines: u64,
    pub bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceLines {
    /// `read_bytes` of the checkpoint, and the lines of all fates.
    pub read: Count,
    pub billed: Count,
    pub events: u64,
    /// By rule id.
    pub billed_by_rule: BTreeMap<String, u64>,
    /// By reason.
    pub ignored: BTreeMap<String, Count>,
    /// By reason.
    pub quarantined: BTreeMap<String, Count>,
    pub skipped_bytes: u64,
    pub values_not_utf8: u64,
    pub duplicate_keys: u64,
    pub missed: Vec<Missed>,
    /// Datagrams that could not be kept, by reason.
    pub dropped: BTreeMap<String, Count>,
    pub waiting: Waiting,
    /// By UTC date: what was settled on each of the days that are kept.
    pub days: BTreeMap<Date, DayLines>,
    pub adds_up: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DayLines {
    pub read: Count,
    pub billed: Count,
    pub events: u64,
    pub billed_by_rule: BTreeMap<String, u64>,
    pub ignored: BTreeMap<String, Count>,
    pub quarantined: BTreeMap<String, Count>,
}

/// Bytes that vanished before they were read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missed {
    pub path: String,
    pub from: u64,
    pub to: u64,
}

impl Account {
    #[must_use]
    pub fn of(checkpoint: &Checkpoint) -> Self {
        let mut account = Self::of_sums(checkpoint);
        for (id, source) in &mut account.sources {
            source.adds_up &= days_add_up(&checkpoint.accounts[id]);
        }
        account
    }

    /// Without a look at its days.
    fn of_sums(checkpoint: &Checkpoint) -> Self {
        let waiting = waiting::of(checkpoint);
        let waits = |id: &String| waiting.get(id).copied().unwrap_or_default();
        let accounts = checkpoint.accounts.iter();
        Self {
            sources: accounts.map(|(id, record)| (id.clone(), SourceLines::of(record, waits(id)))).collect(),
            oldest_unbilled: waiting::oldest(waiting.values()),
            verified: None,
            period: None,
            events: Events {
                inserted: checkpoint.events_inserted,
                duplicates: checkpoint.events_duplicate,
                unexpected_duplicates: checkpoint.events_duplicate_unexpected,
            },
            saved_at: checkpoint.saved_at.clone(),
            retried_unknown: BTreeMap::new(),
        }
    }

    /// The rows of the sources alone.
    #[must_use]
    pub fn without_events(&self) -> String {
        let mut text = String::new();
        for (id, source) in &self.sources {
            let _ = writeln!(text, "{id}\n{}", source.rows().join("\n"));
        }
        text
    }

    /// The account with what was retried moved to where it is now.
    #[must_use]
    pub fn with(mut checkpoint: Checkpoint, retried: &Transfers) -> Self {
        let before = Self::of(&checkpoint);
        let retried_unknown = retried.apply(&mut checkpoint.accounts);
        checkpoint.events_inserted += retried.inserted;
        checkpoint.events_duplicate += retried.duplicates;
        // Days know nothing of what was retried: they are a part of what was there before.
        Self { retried_unknown, ..Self::of_sums(&checkpoint) }.if_right(&before)
    }

    /// The account of some days. What was retried is of no day, and stays where it was before.
    #[must_use]
    pub fn within(mut checkpoint: Checkpoint, mut period: Period) -> Self {
        let whole = Self::of(&checkpoint);
        period.cut(&mut checkpoint.accounts);
        Self { period: Some(period), ..Self::of(&checkpoint) }.if_right(&whole)
    }

    /// It adds up only where the account that it is made of does.
    fn if_right(mut self, of: &Self) -> Self {
        for (id, source) in &mut self.sources {
            source.adds_up &= of.sources[id].adds_up;
        }
        self
    }

    /// The same with the ages that lines have now.
    #[must_use]
    pub fn at(mut self, now: Timestamp) -> Self {
        let ages = self.sources.values_mut().map(|source| &mut source.waiting.oldest);
        for oldest in ages.chain([&mut self.oldest_unbilled]) {
            *oldest = oldest.map(|oldest| oldest.at(now));
        }
        self
    }

    #[must_use]
    pub fn adds_up(&self) -> bool {
        self.sources.values().all(|source| source.adds_up)
    }

    #[must_use]
    pub fn missed_bytes(&self) -> u64 {
        self.sources.values().flat_map(|source| &source.missed).map(|missed| missed.to - missed.from).sum()
    }

    #[must_use]
    pub fn dropped_lines(&self) -> u64 {
        self.sources.values().flat_map(|source| source.dropped.values()).map(|count| count.lines).sum()
    }

    /// All adds up, nothing was missed or dropped, and the files say the same where they were asked.
    #[must_use]
    pub fn is_right(&self) -> bool {
        let agrees = self.verified.as_ref().is_none_or(|verified| verified.agrees);
        agrees && self.adds_up() && self.missed_bytes() == 0 && self.dropped_lines() == 0
    }

    #[must_use]
    pub fn json(&self) -> String {
        #[derive(Serialize)]
        struct Whole<'a> {
            adds_up: bool,
            missed_bytes: u64,
            dropped_lines: u64,
            #[serde(flatten)]
            account: &'a Account,
        }
        let whole = Whole {
            adds_up: self.adds_up(),
            missed_bytes: self.missed_bytes(),
            dropped_lines: self.dropped_lines(),
            account: self,
        };
        let mut text = serde_json::to_string_pretty(&whole).expect("plain records are always JSON");
        text.push('\n');
        text
    }
}

/// Lines by what became of them.
struct Settled {
    all: Count,
    billed: Count,
    ignored: BTreeMap<String, Count>,
    quarantined: BTreeMap<String, Count>,
}

impl Settled {
    fn of(codes: &BTreeMap<String, (u64, u64)>) -> Self {
        let by_reason = |fate: &str| -> BTreeMap<String, Count> {
            let reason = |(code, (lines, bytes)): (&String, &(u64, u64))| {
                let reason = code.strip_prefix(fate)?.strip_prefix('.')?;
                Some((reason.to_owned(), Count { lines: *lines, bytes: *bytes }))
            };
            codes.iter().filter_map(reason).collect()
        };
        let (lines, bytes) = codes.get("billed").copied().unwrap_or_default();
        let billed = Count { lines, bytes };
        let (ignored, quarantined) = (by_reason("ignored"), by_reason("quarantined"));
        let all = [billed, sum(&ignored), sum(&quarantined)].into_iter().fold(Count::default(), plus);
        Self { all, billed, ignored, quarantined }
    }
}

impl DayLines {
    fn of(record: &DayRecord) -> Self {
        let Settled { all, billed, ignored, quarantined } = Settled::of(&record.settled);
        let read = Count { lines: all.lines, bytes: record.read_bytes };
        let billed_by_rule = record.billed_by_rule.clone();
        Self { read, billed, events: record.events, billed_by_rule, ignored, quarantined }
    }
}

impl SourceLines {
    fn of(record: &AccountRecord, waiting: Waiting) -> Self {
        let Settled { all: settled, billed, ignored, quarantined } = Settled::of(&record.settled);
        Self {
            read: Count { lines: settled.lines, bytes: record.read_bytes },
            billed,
            events: record.events,
            billed_by_rule: record.billed_by_rule.clone(),
            ignored,
            quarantined,
            skipped_bytes: record.skipped_bytes,
            values_not_utf8: record.values_not_utf8,
            duplicate_keys: record.duplicate_keys,
            missed: record
                .missed
                .iter()
                .map(|(path, span)| Missed { path: path.clone(), from: span.start.0, to: span.end.0 })
                .collect(),
            dropped: record
                .dropped
                .iter()
                .map(|(why, (lines, bytes))| (why.clone(), Count { lines: *lines, bytes: *bytes }))
                .collect(),
            waiting,
            days: record.days.iter().map(|(date, day)| (*date, DayLines::of(day))).collect(),
            adds_up: settled.bytes == record.read_bytes,
        }
    }
}

fn sum(by_reason: &BTreeMap<String, Count>) -> Count {
    by_reason.values().copied().fold(Count::default(), plus)
}

fn plus(a: Count, b: Count) -> Count {
    Count { lines: a.lines + b.lines, bytes: a.bytes + b.bytes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Offset, Span};

    fn checkpoint() -> Checkpoint {
        let settled = [
            ("billed", (60_000, 30_000_000)),
            ("ignored.no_rule", (39_990, 13_000_000)),
            ("quarantined.missing_customer", (10, 5_000)),
        ];
        let record = AccountRecord {
            read_bytes: 43_005_000,
            events: 60_000,
            settled: settled.map(|(code, counts)| (code.to_owned(), counts)).into(),
            billed_by_rule: [("llm".to_owned(), 60_000)].into(),
            ..AccountRecord::default()
        };
        Checkpoint {
            accounts: [("app".to_owned(), record)].into(),
            saved_at: "2026-11-21T10:00:00Z".to_owned(),
            events_inserted: 60_000,
            ..Checkpoint::default()
        }
    }

    #[test]
    fn an_account_that_adds_up_reads_well() {
        let account = Account::of(&checkpoint());
        assert!(account.is_right());
        let expected = "\
app
  read                               100,000 lines     43.0 MB
    billed                            60,000 lines     30.0 MB   60,000 events
      rule llm                        60,000 lines
    ignored                           39,990 lines     13.0 MB
      no_rule                         39,990 lines     13.0 MB
    quarantined                           10 lines     5.00 kB
      missing_customer                    10 lines     5.00 kB

events: 60,000 inserted, 0 that Polar had already
oldest unbilled line: none when this was saved, at 2026-11-21T10:00:00Z
adds up: read = billed + ignored + quarantined, nothing missed
";
        assert_eq!(account.to_string(), expected);
    }

    #[test]
    fn a_byte_too_many_is_told() {
        let mut checkpoint = checkpoint();
        checkpoint.accounts.get_mut("app").unwrap().read_bytes += 1;
        let account = Account::of(&checkpoint);
        assert!(!account.is_right());
        assert!(account.to_string().contains("does not add up"));
    }

    #[test]
    fn what_is_retried_leaves_its_day_alone() {
        use crate::agent::transfers::Transfer;
        use crate::model::{Fate, Quarantined};
        let mut checkpoint = checkpoint();
        let account = checkpoint.accounts.get_mut("app").unwrap();
        let settled = account.settled.clone();
        let day =
            DayRecord { read_bytes: account.read_bytes, events: 60_000, settled, ..DayRecord::default() };
        account.days.insert(jiff::civil::date(2026, 11, 21), day);
        let mut retried = Transfers::default();
        let from = Fate::Quarantined(Quarantined::MissingCustomer);
        retried.add(&Transfer { source: "app", from, to: Fate::Billed, bytes: 500, events: 1, rule: None });
        let account = Account::with(checkpoint.clone(), &retried);
        assert!(account.is_right(), "{account}");
        assert_eq!(account.sources["app"].billed.lines, 60_001);
        let days = &mut checkpoint.accounts.get_mut("app").unwrap().days;
        days.values_mut().next().unwrap().read_bytes += 1;
        assert!(!Account::with(checkpoint, &retried).is_right(), "a day does not add up");
    }

    #[test]
    fn s27_dropped_datagrams_are_told_with_their_reason() {
        let mut checkpoint = checkpoint();
        let dropped = &mut checkpoint.accounts.get_mut("app").unwrap().dropped;
        dropped.insert("spool_full".into(), (1_200, 250_000));
        let account = Account::of(&checkpoint);
        assert!(account.adds_up() && !account.is_right());
        let text = account.to_string();
        assert!(text.contains("  dropped: 1,200 lines (250 kB) of datagrams: spool_full\n"), "{text}");
        assert!(text.ends_with("adds up, but 1,200 lines of datagrams were dropped\n"), "{text}");
    }

    #[test]
    fn missed_bytes_are_told_with_their_place() {
        let mut checkpoint = checkpoint();
        let span = Span { start: Offset(100), end: Offset(250) };
        checkpoint.accounts.get_mut("app").unwrap().missed.push(("/logs/app.log".into(), span));
        let account = Account::of(&checkpoint);
        assert!(!account.is_right());
        let text = account.to_string();
        assert!(text.contains("missed: bytes 100 to 250 of \"/logs/app.log\""), "{text}");
        assert!(text.ends_with("adds up, but 150 B were missed\n"), "{text}");
        assert!(account.json().starts_with("{\n  \"adds_up\": true,\n  \"missed_bytes\": 150,"));
    }
}
