//! What the daemon says: one event a line on stderr, for people or as JSON; or an entry of the journal, where stderr is
//! that and nobody asked for JSON.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::journal::Journal;
use super::told;
use crate::agent::{Level, Notice};

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The variable that says how much is told, as in `FLOE_LOG=debug` or `FLOE_LOG=warn,hyper=debug`.
pub const LEVEL_VARIABLE: &str = "FLOE_LOG";

/// What is told where the variable says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quietness {
    /// All that an operator of a daemon wants to know.
    Everything,
    /// For a command that somebody waits for.
    Warnings,
}

/// From now on events go to stderr. A second call changes nothing.
pub fn start(format: LogFormat) {
    start_with(format, Quietness::Everything);
}

/// As [`start`].
pub fn start_with(format: LogFormat, quietness: Quietness) {
    let level = match quietness {
        Quietness::Everything => LevelFilter::INFO,
        Quietness::Warnings => LevelFilter::WARN,
    };
    let told = std::env::var(LEVEL_VARIABLE).unwrap_or_default();
    let filter = targets(&told, level);
    let journal = Journal::behind_stderr().filter(|_| format == LogFormat::Text);
    if let Some(journal) = journal {
        let _ = tracing_subscriber::registry().with(filter).with(journal).try_init();
        return;
    }
    let coloured =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(coloured);
    let filtered = tracing_subscriber::registry().with(filter);
    // It fails when there is one already, and then that one stays.
    let _ = match format {
        LogFormat::Text => filtered.with(lines).try_init(),
        LogFormat::Json => filtered.with(lines.json().flatten_event(true)).try_init(),
    };
}

/// What is told: `level` where `wanted` names none for all, and what it says of parts besides. What cannot be read
/// of it is left out.
fn targets(wanted: &str, level: LevelFilter) -> Targets {
    let known: Vec<Targets> = wanted
        .split(',')
        .filter(|part| !part.trim().is_empty())
        .filter_map(|part| part.trim().parse().ok())
        .collect();
    let default = known.iter().rev().find_map(Targets::default_level).unwrap_or(level);
    let parts = known.into_iter().flatten();
    Targets::new().with_default(default).with_targets(parts)
}

/// Whether what is said goes to the journal, with levels: there, plain words on stderr would have none.
#[must_use]
pub fn go_to_journal(format: LogFormat) -> bool {
    format == LogFormat::Text && Journal::behind_stderr().is_some()
}

/// Says a notice.
pub fn say(notice: &Notice) {
    told::remember(notice);
    let Notice { code, message, hint } = notice;
    let (code, hint) = (code.code(), hint.as_deref());
    match notice.code.level() {
        Level::Info => tracing::info!(code, hint, "{message}"),
        Level::Warning => tracing::warn!(code, hint, "{message}"),
        Level::Error => tracing::error!(code, hint, "{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wanted: &str, expected: &str) {
        let targets = targets(wanted, LevelFilter::INFO);
        let mut all: Vec<String> =
            targets.iter().map(|(target, level)| format!("{target}={level}")).collect();
        all.sort();
        let default = targets.default_level().map(|level| level.to_string());
        assert_eq!(format!("{} {}", default.unwrap_or_default(), all.join(" ")).trim(), expected, "{wanted}");
    }

    #[test]
    fn the_variable_says_how_much_is_told_and_of_what() {
        check("", "info");
        check("debug", "debug");
        check("off", "off");
        check("hyper=debug", "info hyper=debug");
        check("warn, hyper=debug,reqwest=trace", "warn hyper=debug reqwest=trace");
        check("floe=loud,debug", "debug");
    }
}
