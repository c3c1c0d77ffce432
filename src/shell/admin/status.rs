//! `/status`: the daemon at a glance as JSON, for programs, for the page and for `floe status`. `docs/admin.md`
//! describes it. Within a version keys are added and never change their meaning.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::snapshot::{Level, Snapshot, SourceView};
use crate::agent::{Level as Severity, overview};
use crate::config::settings::Mode;
use crate::model;
use crate::model::Fate;
use crate::shell::told::Said;

/// Of the document.
pub const VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusDocument {
    pub version: u32,
    /// Floe's own version.
    pub floe: String,
    pub instance: String,
    pub server: String,
    pub mode: String,
    /// RFC 3339.
    pub started_at: String,
    pub now: String,
    pub uptime_seconds: f64,
    pub ready: bool,
    /// Why it is not.
    pub reasons: Vec<String>,
    /// Why nothing is sent, where that is so.
    pub held_back: Option<String>,
    /// Of all sources; none where every line is settled.
    pub oldest_unbilled_seconds: Option<f64>,
    /// It was there before Floe first looked, and may be older.
    pub oldest_unbilled_at_least: bool,
    pub sources: BTreeMap<String, Source>,
    pub events: Events,
    pub polar: Polar,
    pub checkpoint: Checkpoint,
    pub quarantine: Room,
    pub memory: Room,
    pub files: Files,
    /// What was said and still holds.
    pub conditions: Vec<Notice>,
    /// The last that were said, the newest first.
    pub notices: Vec<Notice>,
}

/// All numbers as `floe account` has them: since the state folder was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    pub files: usize,
    pub held_files: usize,
    pub lag_bytes: u64,
    pub lag_seconds: Option<f64>,
    pub oldest_unbilled_seconds: Option<f64>,
    pub oldest_unbilled_at_least: bool,
    /// What is in flight included.
    pub read: Count,
    pub in_flight: Count,
    pub billed: Count,
    pub events: u64,
    pub billed_by_rule: BTreeMap<String, u64>,
    pub ignored: BTreeMap<String, Count>,
    pub quarantined: BTreeMap<String, Count>,
    pub missed_bytes: u64,
    pub dropped: BTreeMap<String, Count>,
    pub spool: Option<Room>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Count {
    pub lines: u64,
    pub bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Room {
    pub bytes: u64,
    pub max_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    pub inserted: u64,
    pub duplicates: u64,
    pub unexpected_duplicates: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Polar {
    /// By HTTP status.
    pub requests: BTreeMap<String, u64>,
    pub in_flight: usize,
    pub batches: u64,
    pub retries: u64,
    pub budget_per_minute: u32,
    pub requests_last_minute: u32,
    pub future_held_lines: u64,
    /// The newest first.
    pub last_answers: Vec<Answer>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub at: String,
    pub code: String,
    pub events: u32,
    pub seconds: f64,
    pub what: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// None: this process did not have to save yet.
    pub age_seconds: Option<f64>,
    pub unsaved_seconds: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    pub open: usize,
    pub max: usize,
    pub waiting: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    pub at: String,
    pub code: String,
    pub level: String,
    pub message: String,
    pub hint: Option<String>,
}

impl StatusDocument {
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        let overview = &snapshot.numbers.overview;
        let status = &overview.status;
        Self {
            version: VERSION,
            floe: env!("CARGO_PKG_VERSION").to_owned(),
            instance: snapshot.about.instance.clone(),
            server: snapshot.about.server.clone(),
            mode: word_of(snapshot.about.mode).to_owned(),
            started_at: snapshot.about.started.to_string(),
            now: snapshot.now.to_string(),
            uptime_seconds: snapshot.now.duration_since(snapshot.about.started).as_secs_f64().max(0.0),
            ready: snapshot.not_ready().is_none(),
            reasons: snapshot.not_ready().into_iter().map(str::to_owned).collect(),
            held_back: status.blocked.clone(),
            oldest_unbilled_seconds: snapshot.unbilled().map(|waited| seconds(waited.age)),
            oldest_unbilled_at_least: snapshot.unbilled().is_some_and(|waited| waited.at_least),
            sources: snapshot.sources().map(|source| (source.id.to_owned(), Source::of(&source))).collect(),
            events: Events {
                inserted: status.events_inserted,
                duplicates: status.events_duplicate,
                unexpected_duplicates: status.events_duplicate_unexpected,
            },
            polar: Polar::of(&overview.delivery, status.requests_in_flight),
            checkpoint: Checkpoint {
                age_seconds: overview.checkpoint.age.map(seconds),
                unsaved_seconds: seconds(overview.checkpoint.unsaved),
            },
            quarantine: snapshot.quarantine.into(),
            memory: Room { bytes: status.memory_used, max_bytes: overview.memory_max },
            files: Files {
                open: overview.files.open,
                max: overview.files.most,
                waiting: overview.files.waiting,
            },
            conditions: snapshot.told.conditions.values().map(Notice::of).collect(),
            notices: snapshot.told.last.iter().rev().map(Notice::of).collect(),
        }
    }

    #[must_use]
    pub fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("plain records are always JSON");
        text.push('\n');
        text
    }
}

impl Source {
    fn of(source: &SourceView<'_>) -> Self {
        let nothing = model::SourceAccount::default();
        let account = source.account.unwrap_or(&nothing);
        let in_flight: Count = source.in_flight.map(model::Tally::total).unwrap_or_default().into();
        let settled = account.settled.total();
        let mut ignored = BTreeMap::new();
        let mut quarantined = BTreeMap::new();
        for (fate, count) in account.settled.iter() {
            match fate {
                Fate::Billed => None,
                Fate::Ignored(reason) => ignored.insert(reason.code().to_owned(), count.into()),
                Fate::Quarantined(reason) => quarantined.insert(reason.code().to_owned(), count.into()),
            };
        }
        Self {
            files: source.files.files,
            held_files: source.files.held_files,
            lag_bytes: source.files.lag_bytes,
            lag_seconds: source.files.lag.map(seconds),
            oldest_unbilled_seconds: source.files.unbilled.map(|waited| seconds(waited.age)),
            oldest_unbilled_at_least: source.files.unbilled.is_some_and(|waited| waited.at_least),
            read: Count {
                lines: settled.lines + in_flight.lines,
                bytes: account.read_bytes + in_flight.bytes,
            },
            in_flight,
            billed: account.settled.get(Fate::Billed).into(),
            events: account.events,
            billed_by_rule: account.billed_by_rule.clone(),
            ignored,
            quarantined,
            missed_bytes: account.missed_bytes(),
            dropped: account
                .dropped
                .iter()
                .map(|(why, count)| (why.code().to_owned(), (*count).into()))
                .collect(),
            spool: source.spool.map(Room::from),
        }
    }
}

impl Polar {
    fn of(delivery: &overview::Delivery, in_flight: usize) -> Self {
        let answer = |seen: &overview::AnswerSeen| Answer {
            at: seen.at.to_string(),
            code: seen.code.clone(),
            events: seen.events,
            seconds: seconds(seen.took),
            what: seen.what.clone(),
        };
        Self {
            requests: delivery.answers.clone(),
            in_flight,
            batches: delivery.batches,
            retries: delivery.repeated,
            budget_per_minute: delivery.requests_per_minute,
            requests_last_minute: delivery.requests_last_minute,
            future_held_lines: delivery.held_lines,
            last_answers: delivery.last.iter().rev().map(answer).collect(),
        }
    }
}

impl Notice {
    fn of(said: &Said) -> Self {
        let level = match said.notice.code.level() {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        Self {
            at: said.at.to_string(),
            code: said.notice.code.code().to_owned(),
            level: level.to_owned(),
            message: said.notice.message.clone(),
            hint: said.notice.hint.clone(),
        }
    }
}

impl From<model::Count> for Count {
    fn from(count: model::Count) -> Self {
        Self { lines: count.lines, bytes: count.bytes }
    }
}

impl From<Level> for Room {
    fn from(level: Level) -> Self {
        Self { bytes: level.bytes, max_bytes: level.max_bytes }
    }
}

/// As the config has it.
#[must_use]
pub const fn word_of(mode: Mode) -> &'static str {
    match mode {
        Mode::Live => "live",
        Mode::Shadow => "shadow",
    }
}

/// With milliseconds.
fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1000.0
}
