//! `floe quarantine list`: by reason, how many lines wait.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use owo_colors::OwoColorize as _;
use serde::Serialize;

use super::{Filter, State, lines};
use crate::cli::numbers::bytes;
use crate::cli::outcome;
use crate::cli::pretty::plain;
use crate::model::Quarantined;
use crate::shell::shelf::Shelved;

#[derive(Debug, clap::Args)]
pub struct ListArguments {
    #[command(flatten)]
    filter: Filter,

    #[command(flatten)]
    state: State,

    /// As JSON
    #[arg(long)]
    json: bool,
}

/// What is quarantined for one reason.
#[derive(Debug, Default, Serialize)]
struct Sum {
    lines: u64,
    bytes: u64,
    /// RFC 3339; `None` where the letters do not say.
    oldest: Option<String>,
    newest: Option<String>,
    /// Lines by source.
    sources: BTreeMap<String, u64>,
    /// What was wrong with the last one.
    example: String,
}

impl Sum {
    fn add(&mut self, shelved: &Shelved<'_>) {
        let letter = &shelved.letter;
        self.lines += 1;
        self.bytes += letter.length;
        *self.sources.entry(letter.source.to_string()).or_default() += 1;
        letter.detail.as_ref().clone_into(&mut self.example);
        // Written by one clock in one form, so their order is that of their texts.
        if let Some(at) = letter.quarantined_at.as_deref() {
            let is_older = self.oldest.as_deref().is_none_or(|oldest| at < oldest);
            let is_newer = self.newest.as_deref().is_none_or(|newest| at > newest);
            is_older.then(|| self.oldest = Some(at.to_owned()));
            is_newer.then(|| self.newest = Some(at.to_owned()));
        }
    }
}

/// 0, also when nothing is quarantined; 66 where the quarantine cannot be read.
pub fn run(arguments: &ListArguments, config: Option<PathBuf>) -> ExitCode {
    let shelf = match arguments.state.shelf(config) {
        Ok(shelf) => shelf,
        Err(code) => return code,
    };
    let selection = arguments.filter.selection(&[]);
    let mut sums: BTreeMap<Quarantined, Sum> = BTreeMap::new();
    let read = shelf.read(|shelved| {
        if selection.takes(&shelved) {
            sums.entry(shelved.letter.reason).or_default().add(&shelved);
        }
        Ok(())
    });
    if let Err(error) = read {
        return outcome::fail(outcome::NO_INPUT, format!("cannot read the quarantine: {error}"), None);
    }
    let text = if arguments.json { json(&sums) } else { table(&sums) };
    // A closed pipe is nobody's fault.
    let _ = anstream::AutoStream::auto(std::io::stdout().lock()).write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn json(sums: &BTreeMap<Quarantined, Sum>) -> String {
    let by_code: BTreeMap<&str, &Sum> = sums.iter().map(|(reason, sum)| (reason.code(), sum)).collect();
    let all = serde_json::json!({
        "lines": sums.values().map(|sum| sum.lines).sum::<u64>(),
        "bytes": sums.values().map(|sum| sum.bytes).sum::<u64>(),
        "reasons": by_code,
    });
    serde_json::to_string_pretty(&all).expect("plain records are always JSON") + "\n"
}

fn table(sums: &BTreeMap<Quarantined, Sum>) -> String {
    if sums.is_empty() {
        return "nothing is quarantined\n".to_owned();
    }
    let mut text = String::new();
    for (reason, sum) in sums {
        let period = match (&sum.oldest, &sum.newest) {
            (Some(oldest), Some(newest)) if oldest == newest => oldest.clone(),
            (Some(oldest), Some(newest)) => format!("{oldest} to {newest}"),
            _ => "before times were kept".to_owned(),
        };
        let sources: Vec<String> =
            sum.sources.iter().map(|(source, count)| format!("{source} ({count})")).collect();
        let _ = write!(
            text,
            "{}: {}, {}\n  {}\n  {period}; source {}\n  e.g. {}\n",
            reason.code().bold(),
            lines(sum.lines),
            bytes(sum.bytes),
            reason.meaning(),
            sources.join(", "),
            plain(&sum.example),
        );
    }
    let all = sums.values().map(|sum| sum.lines).sum();
    text + &format!("\n{}; `floe quarantine show` has each with its cure\n", lines(all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Letter;

    #[test]
    fn a_list_reads_well() {
        let mut sums: BTreeMap<Quarantined, Sum> = BTreeMap::new();
        for (reason, source, at) in [
            ("bad_cost", "app", "\"quarantined_at\":\"2026-11-20T10:00:00.000Z\","),
            ("bad_cost", "web", "\"quarantined_at\":\"2026-11-19T10:00:00.000Z\","),
            ("nul", "app", ""),
        ] {
            let line = format!(
                "{{{at}\"reason\":\"{reason}\",\"source\":\"{source}\",\"path\":\"/a\",\"offset\":1,\"length\":900,\
                 \"detail\":\"metadata.\\u001b[31m is no number\"}}"
            );
            let letter: Letter<'_> = serde_json::from_str(&line).unwrap();
            let shelved = Shelved { id: letter.id(), letter, is_of_daemon: true };
            sums.entry(shelved.letter.reason).or_default().add(&shelved);
        }
        let expected = "\
bad_cost: 2 lines, 1.80 kB
  `_cost` lacks a value or its amount is outside of what Polar takes.
  2026-11-19T10:00:00.000Z to 2026-11-20T10:00:00.000Z; source app (1), web (1)
  e.g. metadata.\\u{1b}[31m is no number
nul: 1 line, 900 B
  A text holds a NUL character, which Polar refuses.
  before times were kept; source app (1)
  e.g. metadata.\\u{1b}[31m is no number

3 lines; `floe quarantine show` has each with its cure
";
        assert_eq!(anstream::adapter::strip_str(&table(&sums)).to_string(), expected);
        assert_eq!(table(&BTreeMap::new()), "nothing is quarantined\n");
        let json: serde_json::Value = serde_json::from_str(&json(&sums)).unwrap();
        assert_eq!(json["reasons"]["bad_cost"]["sources"], serde_json::json!({ "app": 1, "web": 1 }));
    }
}
