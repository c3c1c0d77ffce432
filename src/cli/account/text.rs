//! The account as people read it.

use std::fmt::{Display, Formatter, Result};

use jiff::Timestamp;

use super::{Account, Count, Events, Missed, SourceLines, sum};
use crate::cli::numbers::{bytes, counted, grouped, lines};

impl Display for Account {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        if let Some(period) = &self.period {
            writeln!(out, "settled {}; a line belongs to the day on which it was settled\n", period.words())?;
        }
        for (id, source) in &self.sources {
            writeln!(out, "{id}")?;
            source.rows().iter().try_for_each(|row| writeln!(out, "{row}"))?;
            if let Some(undated) = self.period.as_ref().and_then(|period| period.undated.get(id)) {
                let before = counted(undated.lines, "line", "lines");
                writeln!(
                    out,
                    "  and {before} ({}) of days that are not kept any more",
                    bytes(undated.bytes)
                )?;
            }
        }
        self.tell_events(out)?;
        match &self.oldest_unbilled {
            Some(oldest) => writeln!(out, "oldest unbilled line: {}", oldest.words())?,
            None => writeln!(out, "oldest unbilled line: none when this was saved, at {}", self.saved())?,
        }
        let (missed, dropped) = (self.missed_bytes(), self.dropped_lines());
        if !self.adds_up() {
            writeln!(out, "does not add up: this is a fault of Floe, please report it")?;
        } else if missed > 0 {
            writeln!(out, "adds up, but {} were missed", bytes(missed))?;
        } else if dropped > 0 {
            let dropped = counted(dropped, "line", "lines");
            writeln!(out, "adds up, but {dropped} of datagrams were dropped")?;
        } else {
            writeln!(out, "adds up: read = billed + ignored + quarantined, nothing missed")?;
        }
        self.verified.iter().try_for_each(|verified| verified.fmt(out))
    }
}

impl Account {
    /// To the second.
    fn saved(&self) -> String {
        let saved = self.saved_at.parse::<Timestamp>();
        let second = saved.and_then(|saved| Timestamp::from_second(saved.as_second()));
        second.map_or_else(|_| self.saved_at.clone(), |saved| saved.to_string())
    }

    /// What Polar said is counted as a whole: it is of no day.
    fn tell_events(&self, out: &mut Formatter<'_>) -> Result {
        if self.period.is_some() {
            return writeln!(out);
        }
        let Events { inserted, duplicates, unexpected_duplicates } = self.events;
        writeln!(
            out,
            "\nevents: {} inserted, {} that Polar had already",
            grouped(inserted),
            grouped(duplicates)
        )?;
        if unexpected_duplicates > 0 {
            writeln!(
                out,
                "{} of them were never sent from here: does another instance read the same files?",
                grouped(unexpected_duplicates)
            )?;
        }
        for (source, count) in &self.retried_unknown {
            writeln!(
                out,
                "{} of {source}: retried, and not known to this account, which began anew after that. They are \
                 billed all the same; remove quarantine/retried.json from the state folder to forget them",
                counted(*count, "line", "lines")
            )?;
        }
        Ok(())
    }
}

impl SourceLines {
    pub(super) fn rows(&self) -> Vec<String> {
        let mut rows = vec![row(0, "read", self.read, "")];
        let events = counted(self.events, "event", "events");
        rows.push(row(1, "billed", self.billed, &events));
        rows.extend(self.billed_by_rule.iter().map(|(rule, number)| {
            let text =
                format!("      {:<24}{:>14} {}", format!("rule {rule}"), grouped(*number), lines(*number));
            text.trim_end().to_owned()
        }));
        for (name, by_reason) in [("ignored", &self.ignored), ("quarantined", &self.quarantined)] {
            rows.push(row(1, name, sum(by_reason), ""));
            rows.extend(by_reason.iter().map(|(reason, count)| row(2, reason, *count, "")));
        }
        if self.waiting.bytes > 0 {
            let since = self.waiting.oldest.map(|oldest| format!(": the oldest line {}", oldest.words()));
            rows.push(format!(
                "  not settled yet: {}{}",
                bytes(self.waiting.bytes),
                since.unwrap_or_default()
            ));
        }
        if self.skipped_bytes > 0 {
            rows.push(format!("  skipped by read_from = \"end\": {}", bytes(self.skipped_bytes)));
        }
        if self.values_not_utf8 > 0 {
            rows.push(format!("  values with bytes that are not UTF-8: {}", grouped(self.values_not_utf8)));
        }
        if self.duplicate_keys > 0 {
            rows.push(format!(
                "  lines in which a key of a rule stands twice: {}",
                grouped(self.duplicate_keys)
            ));
        }
        rows.extend(self.missed.iter().map(|Missed { path, from, to }| {
            format!("  missed: bytes {from} to {to} of {path:?}, gone before they were read")
        }));
        rows.extend(self.dropped.iter().map(|(why, count)| {
            let (lines, bytes) = (counted(count.lines, "line", "lines"), bytes(count.bytes));
            format!("  dropped: {lines} ({bytes}) of datagrams: {why}")
        }));
        rows
    }
}

fn row(level: usize, name: &str, count: Count, more: &str) -> String {
    let name = format!("{:indent$}{name}", "", indent = 2 + 2 * level);
    let (number, noun) = (grouped(count.lines), lines(count.lines));
    let row = format!("{name:<30}{number:>14} {noun}{:>12}   {more}", bytes(count.bytes));
    row.trim_end().to_owned()
}
