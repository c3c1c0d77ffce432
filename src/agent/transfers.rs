//! What was retried moves in the account: from one fate to another, never in or out of it.
//!
//! The daemon's checkpoint says what became of each line when it was read; `floe quarantine retry` works beside it
//! and leaves it alone. So what it settles stands in a file of its own, and whoever shows the account adds both.
//! A transfer only moves lines and bytes, so an account that added up before adds up after it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::checkpoint::{AccountRecord, fate_code};
use crate::model::Fate;

/// Sums of lines that were retried, by source.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfers {
    pub sources: BTreeMap<String, SourceTransfers>,
    /// Events that Polar took new, and that it had already.
    pub inserted: u64,
    pub duplicates: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceTransfers {
    /// Lines and bytes by the codes of the fates, from and to.
    pub moved: BTreeMap<String, BTreeMap<String, (u64, u64)>>,
    /// Of the lines that are billed now.
    pub events: u64,
    /// Lines by rule id.
    pub billed_by_rule: BTreeMap<String, u64>,
}

/// One line's way from one fate to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer<'a> {
    pub source: &'a str,
    pub from: Fate,
    pub to: Fate,
    /// Of the line, its line end included.
    pub bytes: u64,
    pub events: u64,
    /// Of a line that is billed now.
    pub rule: Option<&'a str>,
}

impl Transfers {
    pub fn add(&mut self, transfer: &Transfer<'_>) {
        let source = self.sources.entry(transfer.source.to_owned()).or_default();
        let to = source.moved.entry(fate_code(transfer.from)).or_default();
        let (lines, bytes) = to.entry(fate_code(transfer.to)).or_default();
        *lines += 1;
        *bytes += transfer.bytes;
        source.events += transfer.events;
        if let Some(rule) = transfer.rule {
            *source.billed_by_rule.entry(rule.to_owned()).or_default() += 1;
        }
    }

    pub fn merge(&mut self, other: &Self) {
        self.inserted += other.inserted;
        self.duplicates += other.duplicates;
        for (id, theirs) in &other.sources {
            let mine = self.sources.entry(id.clone()).or_default();
            mine.events += theirs.events;
            for (from, to) in &theirs.moved {
                let all = mine.moved.entry(from.clone()).or_default();
                for (to, (lines, bytes)) in to {
                    let sum = all.entry(to.clone()).or_default();
                    *sum = (sum.0 + lines, sum.1 + bytes);
                }
            }
            for (rule, lines) in &theirs.billed_by_rule {
                *mine.billed_by_rule.entry(rule.clone()).or_default() += lines;
            }
        }
    }

    /// Moves in the accounts what was retried. Gives the lines of each source that cannot be moved, since the
    /// account does not know them: it began anew after they were quarantined.
    pub fn apply(&self, accounts: &mut BTreeMap<String, AccountRecord>) -> BTreeMap<String, u64> {
        let mut unknown = BTreeMap::new();
        for (id, transfers) in &self.sources {
            let missing = match accounts.get_mut(id) {
                Some(account) => transfers.apply(account),
                None => transfers.lines(),
            };
            if missing > 0 {
                unknown.insert(id.clone(), missing);
            }
        }
        unknown
    }
}

impl SourceTransfers {
    fn lines(&self) -> u64 {
        self.moved.values().flat_map(BTreeMap::values).map(|(lines, _)| lines).sum()
    }

    /// All or nothing of what went from one fate to another, so that lines and their bytes stay together.
    ///
    /// A line may have moved more than once. So what comes in is entered before what goes out is asked for.
    fn apply(&self, account: &mut AccountRecord) -> u64 {
        let moves: Vec<(&String, &String, (u64, u64))> = self
            .moved
            .iter()
            .flat_map(|(from, all)| all.iter().map(move |(to, count)| (from, to, *count)))
            .collect();
        let holds = |code: &String| account.settled.get(code).copied().unwrap_or_default();
        let is_known = moves.iter().all(|(from, _, _)| {
            let out = sum(moves.iter().filter(|(other, _, _)| other == from));
            let came = sum(moves.iter().filter(|(_, to, _)| to == from));
            let there = holds(from);
            there.0 + came.0 >= out.0 && there.1 + came.1 >= out.1
        });
        if !is_known {
            return self.lines();
        }
        for (_, to, (lines, bytes)) in &moves {
            let count = account.settled.entry((*to).clone()).or_default();
            *count = (count.0 + lines, count.1 + bytes);
        }
        for (from, _, (lines, bytes)) in &moves {
            let count = account.settled.entry((*from).clone()).or_default();
            *count = (count.0 - lines, count.1 - bytes);
        }
        account.settled.retain(|_, count| *count != (0, 0));
        account.events += self.events;
        for (rule, lines) in &self.billed_by_rule {
            *account.billed_by_rule.entry(rule.clone()).or_default() += lines;
        }
        0
    }
}

fn sum<'a>(moves: impl Iterator<Item = &'a (&'a String, &'a String, (u64, u64))>) -> (u64, u64) {
    moves.fold((0, 0), |(lines, bytes), (_, _, count)| (lines + count.0, bytes + count.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Ignored, Quarantined};

    const MISSING: Fate = Fate::Quarantined(Quarantined::MissingCustomer);
    const UNKNOWN: Fate = Fate::Quarantined(Quarantined::UnknownCustomer);

    fn transfers(moves: &[(Fate, Fate, u64)]) -> Transfers {
        let mut transfers = Transfers::default();
        for (from, to, bytes) in moves {
            let is_billed = *to == Fate::Billed;
            transfers.add(&Transfer {
                source: "app",
                from: *from,
                to: *to,
                bytes: *bytes,
                events: u64::from(is_billed),
                rule: is_billed.then_some("use"),
            });
        }
        transfers
    }

    fn accounts() -> BTreeMap<String, AccountRecord> {
        let settled = [("billed", (5, 50)), ("quarantined.missing_customer", (2, 30))];
        let account = AccountRecord {
            read_bytes: 80,
            events: 5,
            settled: settled.map(|(code, count)| (code.to_owned(), count)).into(),
            billed_by_rule: [("use".to_owned(), 5)].into(),
            ..AccountRecord::default()
        };
        [("app".to_owned(), account)].into()
    }

    #[track_caller]
    fn check(moves: &[(Fate, Fate, u64)], unknown: u64, expected: &[(&str, (u64, u64))], events: u64) {
        let mut accounts = accounts();
        let left = transfers(moves).apply(&mut accounts);
        assert_eq!(left.get("app").copied().unwrap_or(0), unknown);
        let account = &accounts["app"];
        let settled: Vec<_> = account.settled.iter().map(|(code, count)| (code.as_str(), *count)).collect();
        assert_eq!(settled, expected);
        assert_eq!((account.events, account.billed_by_rule["use"]), (events, events));
        assert_eq!(account.settled.values().map(|(_, bytes)| bytes).sum::<u64>(), account.read_bytes);
    }

    #[test]
    fn what_was_retried_moves_and_the_sum_stays() {
        let missing = "quarantined.missing_customer";
        check(&[(MISSING, Fate::Billed, 10)], 0, &[("billed", (6, 60)), (missing, (1, 20))], 6);
        check(
            &[(MISSING, Fate::Billed, 10), (MISSING, Fate::Ignored(Ignored::NoRule), 20)],
            0,
            &[("billed", (6, 60)), ("ignored.no_rule", (1, 20))],
            6,
        );
        // Retried twice: refused first, and then taken.
        let twice = [(MISSING, UNKNOWN, 10), (UNKNOWN, Fate::Billed, 10)];
        check(&twice, 0, &[("billed", (6, 60)), (missing, (1, 20))], 6);
    }

    #[test]
    fn an_account_never_falls_below_zero_and_it_is_said() {
        let as_before = [("billed", (5, 50)), ("quarantined.missing_customer", (2, 30))];
        check(&[(UNKNOWN, Fate::Billed, 10)], 1, &as_before, 5);
        check(&[(MISSING, Fate::Billed, 31)], 1, &as_before, 5);
        let mut none = BTreeMap::new();
        assert_eq!(transfers(&[(MISSING, Fate::Billed, 1)]).apply(&mut none)["app"], 1);
    }

    #[test]
    fn sums_merge() {
        let (a, b) = ([(MISSING, Fate::Billed, 10)], [(MISSING, UNKNOWN, 20), (MISSING, Fate::Billed, 1)]);
        let mut merged = transfers(&a);
        merged.merge(&transfers(&b));
        assert_eq!(merged, transfers(&[&a[..], &b[..]].concat()));
    }
}
