//! The account of some days. A line belongs to the day on which it was settled: Polar bills what arrives, when it
//! arrives.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Serialize;

use super::{Count, plus};
use crate::agent::checkpoint::{AccountRecord, DayRecord};

/// From `since` on, and before `until`, in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Period {
    pub since: Option<Date>,
    pub until: Option<Date>,
    /// Lines of each source that were settled before its days were kept: they may be of the period.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub undated: BTreeMap<String, Count>,
}

/// A day on the command line.
pub(super) fn day(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| "sums are kept by UTC day: write it like 2026-11-20".to_owned())
}

impl Period {
    pub(super) fn new(since: Option<Date>, until: Option<Date>) -> Option<Self> {
        (since.is_some() || until.is_some()).then(|| Self { since, until, undated: BTreeMap::new() })
    }

    fn holds(&self, date: Date) -> bool {
        self.since.is_none_or(|since| since <= date) && self.until.is_none_or(|until| date < until)
    }

    /// Leaves in the accounts what was settled in the period. What was missed, dropped and skipped is of no day.
    pub(super) fn cut(&mut self, accounts: &mut BTreeMap<String, AccountRecord>) {
        for (id, account) in accounts.iter_mut() {
            let before = undated(account);
            let first = account.days.keys().next().copied();
            let may_be = self.since.is_none_or(|since| first.is_none_or(|first| since < first))
                && self
                    .until
                    .is_none_or(|until| first.is_none_or(|first| until <= first || before.lines > 0));
            if before != Count::default() && may_be {
                self.undated.insert(id.clone(), before);
            }
            account.days.retain(|date, _| self.holds(*date));
            let sums = sum(account.days.values());
            account.read_bytes = sums.read_bytes;
            account.events = sums.events;
            account.settled = sums.settled;
            account.billed_by_rule = sums.billed_by_rule;
        }
    }

    /// `from 2026-11-01 and before 2026-12-01, UTC`
    pub(super) fn words(&self) -> String {
        match (self.since, self.until) {
            (Some(since), Some(until)) => format!("from {since} to before {until}, UTC"),
            (Some(since), None) => format!("from {since} on, UTC"),
            (None, Some(until)) => format!("before {until}, UTC"),
            (None, None) => "at any time".to_owned(),
        }
    }
}

/// What no day is known of.
fn undated(account: &AccountRecord) -> Count {
    let of = |settled: &BTreeMap<String, (u64, u64)>| {
        let counts = settled.values().map(|(lines, bytes)| Count { lines: *lines, bytes: *bytes });
        counts.fold(Count::default(), plus)
    };
    let (all, days) = (of(&account.settled), of(&sum(account.days.values()).settled));
    Count { lines: all.lines.saturating_sub(days.lines), bytes: all.bytes.saturating_sub(days.bytes) }
}

fn sum<'a>(days: impl Iterator<Item = &'a DayRecord>) -> DayRecord {
    let mut sums = DayRecord::default();
    for day in days {
        sums.read_bytes += day.read_bytes;
        sums.events += day.events;
        for (code, (lines, bytes)) in &day.settled {
            let sum = sums.settled.entry(code.clone()).or_default();
            *sum = (sum.0 + lines, sum.1 + bytes);
        }
        for (rule, lines) in &day.billed_by_rule {
            *sums.billed_by_rule.entry(rule.clone()).or_default() += lines;
        }
    }
    sums
}

/// Whether each day adds up, and all of them are no more than the whole.
pub(super) fn days_add_up(account: &AccountRecord) -> bool {
    let bytes = |day: &DayRecord| day.settled.values().map(|(_, bytes)| bytes).sum::<u64>();
    let sums = sum(account.days.values());
    let within = |(code, (lines, bytes)): (&String, &(u64, u64))| {
        let whole = account.settled.get(code).copied().unwrap_or_default();
        *lines <= whole.0 && *bytes <= whole.1
    };
    account.days.values().all(|day| bytes(day) == day.read_bytes) && sums.settled.iter().all(within)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(days: &[(&str, u64)], whole: u64) -> AccountRecord {
        let billed = |lines: u64| BTreeMap::from([("billed".to_owned(), (lines, lines * 10))]);
        let day = |lines: u64| DayRecord {
            read_bytes: lines * 10,
            events: lines,
            settled: billed(lines),
            billed_by_rule: BTreeMap::from([("r".to_owned(), lines)]),
        };
        AccountRecord {
            read_bytes: whole * 10,
            events: whole,
            settled: billed(whole),
            billed_by_rule: BTreeMap::from([("r".to_owned(), whole)]),
            days: days.iter().map(|(date, lines)| (date.parse().unwrap(), day(*lines))).collect(),
            ..AccountRecord::default()
        }
    }

    #[track_caller]
    fn check(since: Option<&str>, until: Option<&str>, wanted: (u64, u64)) {
        let days = [("2026-10-31", 5), ("2026-11-01", 7), ("2026-11-30", 11)];
        let mut accounts = BTreeMap::from([("app".to_owned(), record(&days, 123))]);
        let date = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        let mut period = Period::new(date(since), date(until)).unwrap();
        period.cut(&mut accounts);
        let account = &accounts["app"];
        let lines = account.settled.get("billed").map_or(0, |(lines, _)| *lines);
        let undated = period.undated.get("app").map_or(0, |count| count.lines);
        assert_eq!((lines, undated), wanted, "{}", period.words());
        assert_eq!((account.read_bytes, account.events), (lines * 10, lines));
        assert_eq!(account.billed_by_rule.get("r").copied().unwrap_or(0), lines);
    }

    #[test]
    fn a_period_has_its_days_and_what_may_be_of_it() {
        check(Some("2026-11-01"), Some("2026-12-01"), (18, 0));
        check(Some("2026-10-31"), None, (23, 0));
        check(Some("2026-10-30"), None, (23, 100));
        check(None, Some("2026-11-01"), (5, 100));
        check(Some("2026-11-02"), Some("2026-11-30"), (0, 0));
        check(Some("2026-01-01"), Some("2026-02-01"), (0, 100));
    }

    #[test]
    fn a_day_that_is_more_than_the_whole_does_not_add_up() {
        assert!(days_add_up(&record(&[("2026-11-01", 7)], 7)));
        assert!(!days_add_up(&record(&[("2026-11-01", 7)], 6)));
        let mut other = record(&[("2026-11-01", 7)], 7);
        other.days.values_mut().next().unwrap().read_bytes += 1;
        assert!(!days_add_up(&other));
    }

    #[test]
    fn a_day_is_a_date() {
        assert_eq!(day("2026-11-20"), Ok(jiff::civil::date(2026, 11, 20)));
        for text in ["2026-11-31", "yesterday", ""] {
            assert!(day(text).is_err(), "{text}");
        }
    }
}
