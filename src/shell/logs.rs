//! What the daemon says: one event a line on stderr, for people or as JSON.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

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

/// The variable that says how much is told, as in `FLOE_LOG=debug`.
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
    let filter = EnvFilter::builder()
        .with_default_directive(level.into())
        .with_env_var(LEVEL_VARIABLE)
        .from_env_lossy();
    let coloured =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(coloured);
    // It fails when there is one already, and then that one stays.
    let _ = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
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
