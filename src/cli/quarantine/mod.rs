//! `floe quarantine`: the lines that could not be billed: what they are, why, and how they are billed after all.
//!
//! All of it works beside a running daemon and without one.

mod discard;
mod export;
mod list;
mod retry;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;

use super::times::time;
use super::{check, outcome};
use crate::config;
use crate::model::{LetterId, Quarantined};
use crate::shell::retry::Selection;
use crate::shell::shelf::Shelf;

/// Shows, exports, retries or discards lines that could not be billed
///
/// A quarantined line is money that waits for a cure: mend the rule or the customer, then `floe quarantine retry` bills
/// the line under the id that it always had.
#[derive(Debug, clap::Args)]
pub struct QuarantineArguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// By reason: how many lines, since when, of which sources
    List(list::ListArguments),
    /// Line by line: where it stood, what is wrong with it, and what it says
    Show(show::ShowArguments),
    /// Write the lines out, for other tools
    Export(export::ExportArguments),
    /// Bill what can be billed now, by the config as it is now
    ///
    /// Each line keeps its id, so what Polar has already is not billed twice, and its place in the account moves from
    /// quarantined to billed. Exits with 0 when all went, with 1 when some did not.
    Retry(retry::RetryArguments),
    /// Take lines out for good: they will never be billed
    ///
    /// The account counts them as quarantined for ever. Which lines were discarded, and when, stands in
    /// quarantine/discarded.jsonl of the state folder, without their texts: `floe quarantine export` keeps those.
    Discard(discard::DiscardArguments),
}

#[must_use]
pub fn run(arguments: &QuarantineArguments, config: Option<PathBuf>) -> ExitCode {
    match &arguments.command {
        Command::List(arguments) => list::run(arguments, config),
        Command::Show(arguments) => show::run(arguments, config),
        Command::Export(arguments) => export::run(arguments, config),
        Command::Retry(arguments) => retry::run(arguments, config),
        Command::Discard(arguments) => discard::run(arguments, config),
    }
}

/// Which lines are meant.
#[derive(Debug, clap::Args)]
struct Filter {
    /// Only lines with this reason; may be given more than once
    #[arg(long, value_name = "REASON", value_parser = reason)]
    reason: Vec<Quarantined>,

    /// Only lines of this source; may be given more than once
    #[arg(long, value_name = "ID")]
    source: Vec<String>,

    /// Only lines quarantined at this time or later: 2026-11-20, or 2026-11-20T10:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
}

impl Filter {
    fn selection(&self, ids: &[LetterId]) -> Selection {
        Selection {
            ids: ids.iter().copied().collect(),
            reasons: self.reason.clone(),
            sources: self.source.clone(),
            since: self.since,
        }
    }

    fn is_empty(&self) -> bool {
        self.reason.is_empty() && self.source.is_empty() && self.since.is_none()
    }
}

/// Which lines are to be changed: they are named, or all.
#[derive(Debug, clap::Args)]
struct Chosen {
    /// These lines, by the ids that `floe quarantine show` says
    #[arg(value_name = "ID")]
    ids: Vec<LetterId>,

    #[command(flatten)]
    filter: Filter,

    /// All lines
    #[arg(long, conflicts_with_all = ["ids", "reason", "source", "since"])]
    all: bool,
}

impl Chosen {
    fn is_nothing(&self) -> bool {
        self.ids.is_empty() && self.filter.is_empty() && !self.all
    }

    fn selection(&self) -> Selection {
        self.filter.selection(&self.ids)
    }
}

fn reason(text: &str) -> Result<Quarantined, String> {
    Quarantined::from_code(text).ok_or_else(|| {
        let likeness = |code: &str| strsim::jaro_winkler(code, text);
        let codes = Quarantined::ALL.iter().map(|reason| reason.code());
        match codes.max_by(|a, b| likeness(a).total_cmp(&likeness(b))).filter(|code| likeness(code) > 0.8) {
            Some(code) => format!("no reason is called {text:?}; did you mean {code}?"),
            None => format!("no reason is called {text:?}; docs/reasons.md has them"),
        }
    })
}

/// The state folder on the command line, or the one of the config.
#[derive(Debug, clap::Args)]
struct State {
    /// The state folder [default: the one that the config names]
    #[arg(long, value_name = "FOLDER")]
    state_dir: Option<PathBuf>,
}

impl State {
    /// The letters, or how the command ends without them.
    fn shelf(&self, config: Option<PathBuf>) -> Result<Shelf, ExitCode> {
        open(&self.folder(config)?)
    }

    /// The letters, and which of them are meant.
    fn selected(
        &self,
        config: Option<PathBuf>,
        ids: &[LetterId],
        filter: &Filter,
    ) -> Result<(Shelf, Selection), ExitCode> {
        let shelf = self.shelf(config)?;
        match unknown_ids(&shelf, ids) {
            Some(code) => Err(code),
            None => Ok((shelf, filter.selection(ids))),
        }
    }

    fn folder(&self, config: Option<PathBuf>) -> Result<PathBuf, ExitCode> {
        match &self.state_dir {
            Some(folder) => Ok(folder.clone()),
            None => match config::load(&check::options(config)) {
                Ok(loaded) => Ok(loaded.settings.state_dir),
                Err(faults) => Err(outcome::bad_config(&faults)),
            },
        }
    }
}

fn open(folder: &std::path::Path) -> Result<Shelf, ExitCode> {
    if !folder.is_dir() {
        let hint = "start `floe run` first; with another state folder, set `state_dir` in the config";
        let what = format!("there is no state folder {folder:?}");
        return Err(outcome::fail(outcome::NO_INPUT, what, Some(hint)));
    }
    let shelf = Shelf::open(folder).map_err(|(path, error)| {
        let hint = "run it as the user that Floe runs as";
        let words = crate::shell::disk::words_of(&error);
        outcome::fail(outcome::NO_INPUT, format!("cannot read {path:?}: {words}"), Some(hint))
    })?;
    for (path, lines) in &shelf.unreadable {
        anstream::eprintln!(
            "warning: {lines} lines of {path:?} are no letters that this release can read; they are left as they are"
        );
    }
    Ok(shelf)
}

/// Says which of the ids there are no letters for.
fn unknown_ids(shelf: &Shelf, ids: &[LetterId]) -> Option<ExitCode> {
    let unknown: Vec<String> = ids.iter().filter(|id| !shelf.holds(**id)).map(LetterId::to_string).collect();
    (!unknown.is_empty()).then(|| {
        let what = format!("no quarantined line has the id {}", unknown.join(", "));
        outcome::fail(
            outcome::NO,
            what,
            Some("it may have been billed or discarded by now; `floe quarantine show` lists them"),
        )
    })
}

/// `1 line`, `2 lines`.
fn lines(count: u64) -> String {
    format!("{} line{}", super::numbers::grouped(count), if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_reason_is_said() {
        assert_eq!(reason("bad_cost"), Ok(Quarantined::BadCost));
        assert!(reason("missing_custommer").unwrap_err().ends_with("did you mean missing_customer?"));
        assert!(reason("x").unwrap_err().contains("docs/reasons.md"));
    }
}
