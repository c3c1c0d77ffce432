//! `floe reconcile --against FILE.csv`: what Floe would have billed, or has, held against what another system billed.
//!
//! Floe's side is the files read again, with the places of their lines; in shadow mode also what was written to the
//! shadow file, so that files that are gone are not missing.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::numbers::{bytes, counted};
use super::outcome;
use crate::agent::against::{Compared, Comparison, Ours, Pair, Single, Summed, Whose};
use crate::config::Settings;
use crate::config::settings::Mode;
use crate::mapping::TimeRange;
use crate::model::Fate;
use crate::shell::disk::words_of;
use crate::shell::recount::{Buffers, Event, Recount, events_of};
use crate::shell::shadow;

/// What is compared, and how much of it is shown.
pub(super) struct Against<'a> {
    pub list: &'a Path,
    /// Events of this time alone.
    pub range: TimeRange,
    pub json: bool,
    /// Events of each kind that are named.
    pub limit: usize,
}

/// 0 where both have billed the same, 1 where they have not, 64 where the list makes no sense, 66 where it or the files
/// cannot be read.
pub(super) fn run(against: &Against<'_>, settings: &Settings, recount: &Recount) -> ExitCode {
    let name = against.list.display();
    let text = match std::fs::read_to_string(against.list) {
        Ok(text) => text,
        Err(error) => {
            let what = format!("cannot read \"{name}\": {}", words_of(&error));
            return outcome::fail(outcome::NO_INPUT, what, Some("name a CSV file in UTF-8"));
        }
    };
    let mut comparison = match Comparison::read(&text) {
        Ok(comparison) => comparison,
        Err(bad) => {
            let what = format!("{name}:{}: {}", bad.line, bad.what);
            return outcome::fail(outcome::USAGE, what, Some("docs/shadow.md says which columns there are"));
        }
    };
    let mut here = Here { range: against.range, seen: HashSet::new(), unread: Vec::new() };
    here.read_files(recount, &mut comparison);
    for (source, lacking) in recount.lacking() {
        if lacking.forgotten_bytes > 0 {
            let why = format!("{} of files that were removed long ago", bytes(lacking.forgotten_bytes));
            here.unread.push((source, why));
        }
    }
    if settings.polar.mode == Mode::Shadow {
        let path = shadow::events_path(&settings.state_dir);
        match here.read_shadow(&path, &mut comparison) {
            Ok(()) => here.unread.clear(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let what = format!("cannot read {path:?}: {}", words_of(&error));
                return outcome::fail(outcome::NO_INPUT, what, Some("run it as the user that Floe runs as"));
            }
        }
    }
    let compared = comparison.finish();
    let is_equal = compared.is_equal() && here.unread.is_empty();
    let told = if against.json {
        format!("{:#}\n", as_json(&compared, &here, is_equal))
    } else {
        as_text(&compared, &here, against.limit, is_equal)
    };
    // A closed pipe is nobody's fault: the exit code says the same.
    let _ = io::stdout().write_all(told.as_bytes());
    if is_equal { ExitCode::SUCCESS } else { ExitCode::from(outcome::NO) }
}

/// Floe's side.
struct Here {
    range: TimeRange,
    /// Ids: Polar takes each once.
    seen: HashSet<String>,
    /// Files that could not be read again, and why.
    unread: Vec<(String, String)>,
}

impl Here {
    fn read_files(&mut self, recount: &Recount, comparison: &mut Comparison) {
        let mut buffers = Buffers::default();
        for stream in recount.streams() {
            let read = recount.read(stream, &mut buffers, |piece| {
                for line in piece.lines.iter().filter(|line| line.fate == Fate::Billed) {
                    for (event, _) in events_of(&line.body) {
                        self.add(&event, Some((&stream.path, line.at.0)), comparison);
                    }
                }
                ControlFlow::Continue(())
            });
            if let Err(unread) = read {
                self.unread.push((stream.path.clone(), unread.why));
            }
        }
    }

    fn read_shadow(&mut self, path: &Path, comparison: &mut Comparison) -> io::Result<()> {
        for line in BufReader::new(File::open(path)?).lines() {
            let line = line?;
            // A crash may have left the last line in pieces; its event is sent again.
            if let Ok(event) = serde_json::from_str::<Event<'_>>(&line) {
                self.add(&event, None, comparison);
            }
        }
        Ok(())
    }

    fn add(&mut self, event: &Event<'_>, place: Option<(&str, u64)>, comparison: &mut Comparison) {
        if self.range.holds(event.timestamp) && self.seen.insert(event.external_id.to_string()) {
            comparison.add(&Ours {
                external_id: &event.external_id,
                customer: event.customer(),
                name: &event.name,
                metadata: event.metadata,
                place,
            });
        }
    }
}

fn as_text(compared: &Compared, here: &Here, limit: usize, is_equal: bool) -> String {
    let mut out = String::new();
    match compared {
        Compared::Events { equal, missing_there, missing_here } => {
            let both: u64 = equal.values().sum();
            let _ = writeln!(out, "{} on both sides", counted(both, "event", "events"));
            singles(&mut out, "missing there: Floe alone has", missing_there, limit);
            singles(&mut out, "missing here: the other system alone has", missing_here, limit);
        }
        Compared::Sums { summed, pairs, no_numbers } => {
            let (equal, different): (Vec<_>, Vec<_>) = pairs.iter().partition(|(_, pair)| pair.is_equal());
            let _ = writeln!(out, "{} equal", counted(equal.len() as u64, "sum", "sums"));
            for (whose, pair) in different.iter().take(limit) {
                difference(&mut out, whose, pair, summed);
            }
            more(&mut out, different.len(), limit);
            for (what, values) in no_numbers {
                let values = counted(*values, "value", "values");
                let _ = writeln!(out, "{values} of {what} are no numbers here: they cannot be compared");
            }
        }
    }
    for (path, why) in &here.unread {
        let _ = writeln!(out, "not compared: {path:?}: {why}");
    }
    let _ = writeln!(
        out,
        "{}",
        match is_equal {
            true => "both have billed the same",
            false => "the two have not billed the same",
        }
    );
    out
}

fn shown(whose: &Whose) -> String {
    match &whose.name {
        Some(name) => format!("{} {name}", whose.customer),
        None => whose.customer.clone(),
    }
}

fn singles(out: &mut String, title: &str, singles: &[Single], limit: usize) {
    if singles.is_empty() {
        return;
    }
    let _ = writeln!(out, "{title} {}", counted(singles.len() as u64, "event", "events"));
    for single in singles.iter().take(limit) {
        let place = single.place.as_ref().map(|(path, at)| format!("  {path:?} at byte {at}"));
        let _ =
            writeln!(out, "  {}  {}{}", single.external_id, shown(&single.whose), place.unwrap_or_default());
    }
    more(out, singles.len(), limit);
}

fn difference(out: &mut String, whose: &Whose, pair: &Pair, summed: &[Summed]) {
    let title = match (&pair.here, &pair.there) {
        (None, _) => "missing here",
        (_, None) => "missing there",
        (Some(_), Some(_)) => "differs",
    };
    let first = pair.first.as_ref().filter(|_| pair.here.is_some());
    let first = first.map(|(path, at)| format!("  (the first of them: {path:?} at byte {at})"));
    let _ = writeln!(out, "{title}: {}{}", shown(whose), first.unwrap_or_default());
    for (at, summed) in summed.iter().enumerate() {
        let of =
            |side: &Option<Vec<Decimal>>| side.as_ref().map_or(Decimal::ZERO, |sums| sums[at]).normalize();
        let (here, there) = (of(&pair.here), of(&pair.there));
        if here != there {
            let _ = writeln!(out, "  {:<24} {here} here, {there} there", summed.name());
        }
    }
}

fn more(out: &mut String, all: usize, limit: usize) {
    if all > limit {
        let _ = writeln!(out, "  and {} more: --limit shows more", all - limit);
    }
}

fn as_json(compared: &Compared, here: &Here, is_equal: bool) -> Value {
    let unread: Vec<Value> =
        here.unread.iter().map(|(path, why)| json!({ "path": path, "why": why })).collect();
    let mut all = json!({ "equal": is_equal, "events_here": here.seen.len(), "not_compared": unread });
    match compared {
        Compared::Events { equal, missing_there, missing_here } => {
            let both: Vec<Value> = equal
                .iter()
                .map(|(whose, events)| json!({ "customer": whose.customer, "name": whose.name, "events": events }))
                .collect();
            all["both"] = both.into();
            all["missing_there"] = missing_there.iter().map(single_json).collect();
            all["missing_here"] = missing_here.iter().map(single_json).collect();
        }
        Compared::Sums { summed, pairs, no_numbers } => {
            all["sums"] = pairs.iter().map(|(whose, pair)| pair_json(whose, pair, summed)).collect();
            all["no_numbers"] = json!(no_numbers);
        }
    }
    all
}

fn single_json(single: &Single) -> Value {
    json!({
        "external_id": single.external_id,
        "customer": single.whose.customer,
        "name": single.whose.name,
        "path": single.place.as_ref().map(|(path, _)| path),
        "offset": single.place.as_ref().map(|(_, at)| at),
    })
}

/// Sums as texts: a number of JSON may lose digits.
fn pair_json(whose: &Whose, pair: &Pair, summed: &[Summed]) -> Value {
    let side = |side: &Option<Vec<Decimal>>| {
        let sums = side.as_ref()?;
        let sums = summed.iter().zip(sums).map(|(what, sum)| (what.name(), sum.normalize().to_string()));
        Some(sums.collect::<BTreeMap<_, _>>())
    };
    json!({
        "customer": whose.customer,
        "name": whose.name,
        "equal": pair.is_equal(),
        "here": side(&pair.here),
        "there": side(&pair.there),
        "first": pair.first.as_ref().map(|(path, at)| json!({ "path": path, "offset": at })),
    })
}
