//! The files that still exist, read again: what became of their lines is counted anew, apart from the daemon's books,
//! and held against the account.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde::Serialize;

use super::Count;
use crate::agent::checkpoint::{AccountRecord, fate_code};
use crate::cli::numbers::{bytes, counted};
use crate::model::{Fate, Tally};
use crate::shell::recount::{Buffers, Place, Recount};

/// What the files say, by source.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Verified {
    pub agrees: bool,
    pub sources: BTreeMap<String, SourceVerified>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct SourceVerified {
    pub agrees: bool,
    /// What was read again.
    pub read: Count,
    /// Lines and bytes by fate: `billed`, `ignored.no_rule`, ….
    pub fates: BTreeMap<String, Count>,
    pub events: u64,
    /// Files that are gone or cannot be read, and what of them the account knows.
    pub not_read: Vec<NotRead>,
    /// Of files that the checkpoint knows no more: they were removed long ago.
    pub forgotten_bytes: u64,
    /// The files hold so much more than the account: it began behind it, as when going live.
    pub unaccounted_bytes: u64,
    /// Where files and account say different things.
    pub differences: Vec<Difference>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotRead {
    pub path: String,
    pub from: u64,
    pub to: u64,
    pub why: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// A fate, or `events`.
    pub what: String,
    pub files: Count,
    pub account: Count,
}

/// Reads the files. `accounts`: with what was retried.
pub(super) fn verify(recount: &Recount, accounts: &BTreeMap<String, AccountRecord>) -> Verified {
    let mut sources: BTreeMap<String, (Tally, SourceVerified)> =
        accounts.keys().map(|id| (id.clone(), Default::default())).collect();
    let mut buffers = Buffers::default();
    for stream in recount.streams() {
        let (tally, source) = sources.entry(stream.source.clone()).or_default();
        let mut at = stream.span.start.0;
        let read = recount.read(stream, &mut buffers, |piece| {
            at = piece.span.end.0;
            tally.merge(&piece.tally);
            let billed = piece.lines.iter().filter(|line| line.fate == Fate::Billed);
            source.events += billed.map(|line| u64::from(line.events)).sum::<u64>();
            ControlFlow::Continue(())
        });
        if let Err(unread) = read {
            let why = match &stream.place {
                Place::Gone => "it is gone".to_owned(),
                _ => unread.why,
            };
            let (from, to) = (at, stream.span.end.0);
            source.not_read.push(NotRead { path: stream.path.clone(), from, to, why });
        }
    }
    let lacking = recount.lacking();
    let mut verified = Verified { agrees: true, sources: BTreeMap::new() };
    for (id, (tally, mut source)) in sources {
        let lacks = lacking.get(&id).copied().unwrap_or_default();
        source.forgotten_bytes = lacks.forgotten_bytes;
        source.unaccounted_bytes = lacks.unaccounted_bytes;
        source.take(&tally);
        if let Some(account) = accounts.get(&id) {
            source.compare(account);
        }
        verified.agrees &= source.agrees;
        verified.sources.insert(id, source);
    }
    verified
}

impl SourceVerified {
    fn take(&mut self, tally: &Tally) {
        let count = |lines, bytes| Count { lines, bytes };
        self.fates = tally.iter().map(|(fate, it)| (fate_code(fate), count(it.lines, it.bytes))).collect();
        let total = tally.total();
        self.read = count(total.lines, total.bytes);
    }

    fn not_read_bytes(&self) -> u64 {
        self.not_read.iter().map(|file| file.to - file.from).sum()
    }

    /// Whether every byte of the account can be read again.
    fn is_whole(&self) -> bool {
        self.not_read.is_empty() && self.forgotten_bytes == 0
    }

    /// Where all is there both sides are equal; else the files have no more of anything than the account, and what is
    /// missing is what is gone. An account that began behind what the files hold cannot be told apart.
    fn compare(&mut self, account: &AccountRecord) {
        let of_account = |code: &str| {
            let (lines, bytes) = account.settled.get(code).copied().unwrap_or_default();
            Count { lines, bytes }
        };
        let differs = |files: Count, account: Count| match self.is_whole() {
            true => files != account,
            false => files.lines > account.lines || files.bytes > account.bytes,
        };
        let codes = Fate::all().map(fate_code);
        let mut differences: Vec<Difference> = codes
            .map(|what| {
                let files = self.fates.get(&what).copied().unwrap_or_default();
                let account = of_account(&what);
                Difference { what, files, account }
            })
            .filter(|it| differs(it.files, it.account))
            .collect();
        let events = |lines| Count { lines, bytes: 0 };
        if differs(events(self.events), events(account.events)) {
            let (files, account) = (events(self.events), events(account.events));
            differences.push(Difference { what: "events".to_owned(), files, account });
        }
        let found = self.read.bytes + self.not_read_bytes() + self.forgotten_bytes;
        let is_tiled = found == account.read_bytes + self.unaccounted_bytes;
        if self.unaccounted_bytes > 0 {
            differences.clear();
        }
        self.agrees = differences.is_empty() && is_tiled;
        self.differences = differences;
    }

    fn rows(&self) -> Vec<String> {
        let again = counted(self.read.lines, "line", "lines");
        let mut rows = vec![format!("  read again: {again}, {}", bytes(self.read.bytes))];
        rows.extend(self.not_read.iter().map(|NotRead { path, from, to, why }| {
            format!("  not read again: bytes {from} to {to} of {path:?}: {why}")
        }));
        if self.forgotten_bytes > 0 {
            let gone = bytes(self.forgotten_bytes);
            rows.push(format!("  not read again: {gone} of files that were removed long ago"));
        }
        if self.unaccounted_bytes > 0 {
            let more = bytes(self.unaccounted_bytes);
            rows.push(format!(
                "  the account began behind {more} of these files: its fates cannot be compared"
            ));
        }
        rows.extend(self.differences.iter().map(|it| {
            let (files, account) = (it.files, it.account);
            format!(
                "  DIFFERS {}: {} ({}) by the files, {} ({}) by the account",
                it.what,
                counted(files.lines, "line", "lines"),
                bytes(files.bytes),
                counted(account.lines, "line", "lines"),
                bytes(account.bytes)
            )
        }));
        rows
    }
}

impl std::fmt::Display for Verified {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(out, "\nread again, by the rules as they are now")?;
        for (id, source) in &self.sources {
            writeln!(out, "{id}\n{}", source.rows().join("\n"))?;
        }
        match self.agrees {
            true => writeln!(out, "the files say what the account says"),
            false => writeln!(
                out,
                "the files say something else: were rules changed since, or lines discarded from the quarantine?"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(lines: u64, gone: u64) -> SourceVerified {
        let mut tally = Tally::default();
        tally.add(Fate::Billed, lines, lines * 10);
        let path = "/logs/app.log.1".to_owned();
        let not_read = NotRead { path, from: 0, to: gone * 10, why: "it is gone".to_owned() };
        let not_read = if gone > 0 { vec![not_read] } else { Vec::new() };
        let mut source = SourceVerified { events: lines, not_read, ..SourceVerified::default() };
        source.take(&tally);
        source
    }

    #[track_caller]
    fn check(lines: u64, gone: u64, account: u64, agrees: bool) {
        let record = AccountRecord {
            read_bytes: account * 10,
            events: account,
            settled: BTreeMap::from([("billed".to_owned(), (account, account * 10))]),
            ..AccountRecord::default()
        };
        let mut source = source(lines, gone);
        source.compare(&record);
        assert_eq!(source.agrees, agrees, "{source:?}");
    }

    #[test]
    fn the_files_and_what_is_gone_make_the_account() {
        check(5, 0, 5, true);
        check(5, 2, 7, true);
        check(5, 2, 8, false);
        check(6, 0, 5, false);
        check(4, 0, 5, false);
        check(9, 2, 7, false);
    }
}
