//! `floe status`: the running daemon at a glance, from its admin endpoint.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use super::numbers::{bytes, counted, grouped, lines};
use super::{check, outcome};
use crate::config;
use crate::config::settings::AdminListen;
use crate::shell::admin::status::{Count, Notice, Source, StatusDocument, VERSION};
use crate::shell::admin::{ask, default_socket, shown};

/// Shows the running daemon at a glance
///
/// It asks the admin endpoint that the config names: without `admin.listen` a Unix socket in the state folder.
#[derive(Debug, clap::Args)]
pub struct StatusArguments {
    /// The state folder of a daemon whose config is not at hand
    #[arg(long, value_name = "FOLDER")]
    pub state_dir: Option<PathBuf>,

    /// As JSON: what /status answers
    #[arg(long, conflicts_with = "watch")]
    pub json: bool,

    /// Show it again each second, until Ctrl-C
    #[arg(long)]
    pub watch: bool,
}

/// Between two looks, for what is told by the second.
const RATE_WAIT: Duration = Duration::from_millis(500);

const WATCH_EVERY: Duration = Duration::from_secs(1);

/// Rules, reasons and answers that are shown of each kind.
const MOST_ROWS: usize = 5;

/// 0 when a daemon answers; 69 when none does, 78 for a bad config.
#[must_use]
pub fn run(arguments: &StatusArguments, config: Option<PathBuf>) -> ExitCode {
    let listen = match &arguments.state_dir {
        Some(folder) => AdminListen::Socket(default_socket(folder)),
        None => match config::load(&check::options(config)) {
            Ok(loaded) => loaded.settings.admin,
            Err(faults) => return outcome::bad_config(&faults),
        },
    };
    if arguments.watch {
        return watch(&listen);
    }
    let shown = if arguments.json { fetch(&listen) } else { look_twice(&listen) };
    match shown {
        Ok(text) => {
            // A closed pipe is nobody's fault.
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(why) => fail(&listen, &why),
    }
}

fn fail(listen: &AdminListen, why: &str) -> ExitCode {
    let hint = match listen {
        AdminListen::Off => "set admin.listen, or take it out: then it is a Unix socket in the state folder",
        AdminListen::Socket(_) => {
            "does `floe run` run with this config? The socket is for the user that it runs as, and for root; \
             `floe account` needs no daemon"
        }
        AdminListen::Tcp(_) => "does `floe run` run with this config? `floe account` needs no daemon",
    };
    outcome::fail(outcome::UNAVAILABLE, format!("no daemon answers at {}: {why}", shown(listen)), Some(hint))
}

fn fetch(listen: &AdminListen) -> Result<String, String> {
    let answer = ask::get(listen, "/status").map_err(|error| crate::shell::disk::words_of(&error))?;
    match answer.status {
        200 => Ok(answer.body),
        _ => Err(answer.body.trim().to_owned()),
    }
}

fn document(listen: &AdminListen) -> Result<StatusDocument, String> {
    let text = fetch(listen)?;
    let document: StatusDocument =
        serde_json::from_str(&text).map_err(|_| "it is of another release: use its own `floe`".to_owned())?;
    match document.version {
        VERSION => Ok(document),
        other => Err(format!("it answers in version {other}, and this `floe` reads version {VERSION}")),
    }
}

fn look_twice(listen: &AdminListen) -> Result<String, String> {
    let before = document(listen)?;
    thread::sleep(RATE_WAIT);
    Ok(screen(&document(listen)?, Some(&before)))
}

fn watch(listen: &AdminListen) -> ExitCode {
    let clear = if io::stdout().is_terminal() { "\x1b[H\x1b[J" } else { "" };
    let mut before = match document(listen) {
        Ok(document) => document,
        Err(why) => return fail(listen, &why),
    };
    let mut text = screen(&before, None);
    loop {
        if io::stdout()
            .write_all(format!("{clear}{text}").as_bytes())
            .and_then(|()| io::stdout().flush())
            .is_err()
        {
            return ExitCode::SUCCESS;
        }
        thread::sleep(WATCH_EVERY);
        text = match document(listen) {
            Ok(now) => {
                let text = screen(&now, Some(&before));
                before = now;
                text
            }
            Err(why) => format!("no daemon answers at {}: {why}\n", shown(listen)),
        };
    }
}

/// One screen of 80 columns. `before`: a look some time ago, by which it is told what happens in a second.
#[must_use]
pub fn screen(now: &StatusDocument, before: Option<&StatusDocument>) -> String {
    let mut out = String::new();
    let state = match (&now.held_back, now.reasons.first()) {
        (_, Some(reason)) => reason.clone(),
        (Some(why), None) => format!("holds lines back: {why}"),
        (None, None) => "runs".to_owned(),
    };
    let _ = writeln!(out, "floe {} {state}, up {}", now.floe, age(Some(now.uptime_seconds)));
    let _ = writeln!(out, "  {} ({}), instance {}", now.server, now.mode, now.instance);
    let oldest = waited(now.oldest_unbilled_seconds, now.oldest_unbilled_at_least);
    let _ = writeln!(out, "  oldest unbilled line  {oldest}");
    if let Some(rates) = before.and_then(|before| Rates::between(before, now)) {
        let Rates { lines, bytes: read, events } = rates;
        let _ = writeln!(
            out,
            "  in a second           {} ({}), {}",
            counted(lines, "line", "lines"),
            bytes(read),
            counted(events, "event", "events")
        );
    }
    let events = now.events;
    let _ = writeln!(
        out,
        "  events                {} inserted, {} that Polar had already",
        grouped(events.inserted),
        grouped(events.duplicates)
    );
    if events.unexpected_duplicates > 0 {
        let _ = writeln!(out, "  UNEXPECTED DUPLICATES {}", grouped(events.unexpected_duplicates));
    }
    for (id, source) in &now.sources {
        let _ = writeln!(out);
        show_source(&mut out, id, source);
    }
    let _ = writeln!(out);
    show_polar(&mut out, now);
    show_keeping(&mut out, now);
    show_notices(&mut out, now);
    out
}

fn show_source(out: &mut String, id: &str, source: &Source) {
    let files = counted(source.files as u64, "file", "files");
    let lag = match source.lag_bytes {
        0 => "no lag".to_owned(),
        lag => format!("lag {}, {}", bytes(lag), age(source.lag_seconds)),
    };
    let _ = writeln!(
        out,
        "source {id}: {files}, {lag}, oldest unbilled line {}",
        waited(source.oldest_unbilled_seconds, source.oldest_unbilled_at_least)
    );
    row(out, "read", source.read);
    row(out, "billed", source.billed);
    table(out, "rule", source.billed_by_rule.iter().map(|(id, lines)| (id.as_str(), *lines)).collect());
    reasons(out, "ignored", &source.ignored);
    reasons(out, "quarantined", &source.quarantined);
    if source.in_flight.lines > 0 {
        row(out, "in flight", source.in_flight);
    }
    if source.missed_bytes > 0 {
        let _ = writeln!(out, "  MISSED {}: `floe account` says where", bytes(source.missed_bytes));
    }
    reasons(out, "DROPPED", &source.dropped);
    if source.held_files > 0 {
        let _ = writeln!(
            out,
            "  {} held: nobody can tell which is which",
            counted(source.held_files as u64, "file", "files")
        );
    }
    if let Some(spool) = source.spool {
        let _ = writeln!(out, "  spool {} of {}", bytes(spool.bytes), bytes(spool.max_bytes));
    }
}

/// How long the oldest line waits, as far as is known.
fn waited(seconds: Option<f64>, at_least: bool) -> String {
    let age = age(seconds);
    if at_least { format!("at least {age}") } else { age }
}

fn reasons(out: &mut String, name: &str, by_reason: &std::collections::BTreeMap<String, Count>) {
    let sum = by_reason.values().fold(Count::default(), |sum, count| Count {
        lines: sum.lines + count.lines,
        bytes: sum.bytes + count.bytes,
    });
    if sum.lines > 0 {
        row(out, name, sum);
        table(out, "", by_reason.iter().map(|(reason, count)| (reason.as_str(), count.lines)).collect());
    }
}

fn row(out: &mut String, name: &str, count: Count) {
    let _ = writeln!(
        out,
        "  {name:<24}{:>15} {}{:>14}",
        grouped(count.lines),
        lines(count.lines),
        bytes(count.bytes)
    );
}

/// The largest first.
fn table(out: &mut String, what: &str, mut rows: Vec<(&str, u64)>) {
    rows.sort_by_key(|(name, lines)| (std::cmp::Reverse(*lines), *name));
    let more = rows.len().saturating_sub(MOST_ROWS);
    for (name, number) in rows.into_iter().take(MOST_ROWS) {
        let name = format!("{what} {name}");
        let text = format!("    {:<22}{:>15} {}", name.trim_start(), grouped(number), lines(number));
        let _ = writeln!(out, "{}", text.trim_end());
    }
    if more > 0 {
        let _ = writeln!(out, "    and {more} more");
    }
}

fn show_polar(out: &mut String, now: &StatusDocument) {
    let polar = &now.polar;
    let _ = writeln!(
        out,
        "polar: {} of {} requests a minute, {} under way, {} taken",
        grouped(polar.requests_last_minute.into()),
        grouped(polar.budget_per_minute.into()),
        polar.in_flight,
        counted(polar.batches, "batch", "batches")
    );
    let answers = polar.requests.iter().map(|(code, count)| format!("{code}: {}", grouped(*count)));
    let answers: Vec<String> = answers.collect();
    let _ = writeln!(
        out,
        "  answers  {}",
        if answers.is_empty() { "none yet".to_owned() } else { answers.join(", ") }
    );
    if let Some(last) = polar.last_answers.first() {
        let text =
            format!("  last     {} {} in {:.2} s: {}", time(&last.at), last.code, last.seconds, last.what);
        let _ = writeln!(out, "{}", cut(&text));
    }
    if polar.future_held_lines > 0 {
        let _ =
            writeln!(out, "  {} of the future waiting", counted(polar.future_held_lines, "line", "lines"));
    }
}

fn show_keeping(out: &mut String, now: &StatusDocument) {
    let checkpoint = match (now.checkpoint.unsaved_seconds, now.checkpoint.age_seconds) {
        (unsaved, _) if unsaved > 10.0 => format!("NOT SAVED for {}", age(Some(unsaved))),
        (_, None) => "nothing to save yet".to_owned(),
        (_, since) => format!("saved {} ago", age(since)),
    };
    let _ = writeln!(
        out,
        "checkpoint {checkpoint}, quarantine {}, {} of {} files open",
        bytes(now.quarantine.bytes),
        grouped(now.files.open as u64),
        grouped(now.files.max as u64)
    );
}

fn show_notices(out: &mut String, now: &StatusDocument) {
    let is_serious = |notice: &&Notice| notice.level != "info";
    let said: Vec<&Notice> = match now.conditions.is_empty() {
        true => now.notices.iter().filter(is_serious).take(3).collect(),
        false => now.conditions.iter().collect(),
    };
    if said.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{}", if now.conditions.is_empty() { "said last" } else { "what holds now" });
    for notice in said {
        let _ =
            writeln!(out, "{}", cut(&format!("  {} {}: {}", time(&notice.at), notice.code, notice.message)));
    }
}

/// What happens in a second.
struct Rates {
    lines: u64,
    bytes: u64,
    events: u64,
}

impl Rates {
    /// `None`: they are not of one process, or of one moment.
    fn between(before: &StatusDocument, now: &StatusDocument) -> Option<Self> {
        let seconds = now.uptime_seconds - before.uptime_seconds;
        let millis = Duration::try_from_secs_f64(seconds).ok()?.as_millis();
        if before.started_at != now.started_at || millis == 0 {
            return None;
        }
        let read = |document: &StatusDocument| {
            document
                .sources
                .values()
                .fold((0, 0), |(lines, bytes), source| (lines + source.read.lines, bytes + source.read.bytes))
        };
        let events = |document: &StatusDocument| document.events.inserted + document.events.duplicates;
        let rate = |before: u64, now: u64| {
            let more = u128::from(now.saturating_sub(before));
            u64::try_from(more * 1000 / millis).unwrap_or(u64::MAX)
        };
        let ((lines_before, bytes_before), (lines, bytes)) = (read(before), read(now));
        Some(Self {
            lines: rate(lines_before, lines),
            bytes: rate(bytes_before, bytes),
            events: rate(events(before), events(now)),
        })
    }
}

/// Of a day in UTC.
fn time(at: &str) -> &str {
    at.get(11..19).unwrap_or(at)
}

fn age(seconds: Option<f64>) -> String {
    let Some(seconds) = seconds else { return "none".to_owned() };
    match seconds {
        ..10.0 => format!("{seconds:.1} s"),
        ..120.0 => format!("{seconds:.0} s"),
        ..7_200.0 => format!("{:.0} min", seconds / 60.0),
        ..172_800.0 => format!("{:.0} h", seconds / 3_600.0),
        _ => format!("{:.0} d", seconds / 86_400.0),
    }
}

/// To the width of a screen.
fn cut(text: &str) -> String {
    const WIDTH: usize = 80;
    let text = text.replace('\n', " ");
    if text.chars().count() <= WIDTH {
        return text;
    }
    let short: String = text.chars().take(WIDTH - 1).collect();
    format!("{short}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_easy_to_read() {
        for (seconds, expected) in [
            (None, "none"),
            (Some(0.0), "0.0 s"),
            (Some(9.94), "9.9 s"),
            (Some(119.0), "119 s"),
            (Some(600.0), "10 min"),
            (Some(86_400.0), "24 h"),
            (Some(864_000.0), "10 d"),
        ] {
            assert_eq!(age(seconds), expected, "{seconds:?}");
        }
    }

    #[test]
    fn what_is_long_is_cut_to_the_screen() {
        assert_eq!(cut("short\nline"), "short line");
        let cut = cut(&"ä".repeat(200));
        assert!(cut.chars().count() == 80 && cut.ends_with("ä…"), "{cut}");
    }

    #[test]
    fn the_largest_stand_first_and_the_rest_is_counted() {
        let mut out = String::new();
        table(
            &mut out,
            "rule",
            vec![("a", 1), ("b", 70_000), ("c", 3), ("d", 3), ("e", 2), ("f", 0), ("g", 1)],
        );
        let names: Vec<&str> = out.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
        assert_eq!(names, ["b", "c", "d", "e", "a", "2"], "{out}");
        assert!(out.contains("rule b                         70,000 lines\n"), "{out}");
    }
}
