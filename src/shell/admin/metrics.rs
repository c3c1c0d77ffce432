//! The metrics. `docs/metrics.md` lists them, and a test holds it and this list against each other.
//!
//! Labels are ids of the config, codes of closed lists and HTTP statuses: never a customer, never a path.

use std::time::Duration;

use super::exposition::{Exposition, Family, Kind, Syntax};
use super::snapshot::{Snapshot, SourceView};
use crate::agent::NoticeCode;
use crate::agent::overview::Latency;
use crate::model::{Fate, SourceAccount};

macro_rules! metrics {
    ($($(#[doc = $doc:literal])+ $constant:ident = $name:literal $kind:ident [$($label:literal),*],)+) => {
        $(const $constant: Family = Family {
            name: $name,
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: concat!($($doc),+).trim_ascii_start(),
        };)+

        /// All of them, in the order in which they are written.
        pub const FAMILIES: &[Family] = &[$($constant),+];
    };
}

metrics! {
    /// Which Floe this is; always 1.
    BUILD_INFO = "floe_build_info" Gauge ["version", "mode"],
    /// When the process began, in Unix time.
    START_TIME = "floe_start_time_seconds" Gauge [],
    /// 1 once the sources were looked into and until the process is told to end, else 0.
    READY = "floe_ready" Gauge [],
    /// 1 while nothing is sent, because Polar does not answer or refuses, or the quarantine cannot be written, else 0.
    HELD_BACK = "floe_held_back" Gauge [],
    /// Bytes of records that were read.
    READ_BYTES = "floe_read_bytes_total" Counter ["source"],
    /// Lines that were read.
    READ_LINES = "floe_read_lines_total" Counter ["source"],
    /// Lines that are settled, by what became of them; the reason of a billed line is empty.
    LINES = "floe_lines_total" Counter ["source", "fate", "reason"],
    /// Lines that are billed, by rule.
    RULE_LINES = "floe_rule_lines_total" Counter ["source", "rule"],
    /// Events of lines that are billed.
    SOURCE_EVENTS = "floe_source_events_total" Counter ["source"],
    /// Bytes that were known to be there and vanished before they were read.
    MISSED_BYTES = "floe_missed_bytes_total" Counter ["source"],
    /// Lines of datagrams that were dropped.
    DROPPED_LINES = "floe_dropped_lines_total" Counter ["source", "reason"],
    /// Values that held bytes which are not UTF-8.
    NOT_UTF8 = "floe_values_not_utf8_total" Counter ["source"],
    /// Lines in which a key of a rule stands twice.
    DUPLICATE_KEYS = "floe_duplicate_keys_total" Counter ["source"],
    /// Lines that are read and not settled.
    IN_FLIGHT_LINES = "floe_in_flight_lines" Gauge ["source"],
    /// Bytes that are read and not settled.
    IN_FLIGHT_BYTES = "floe_in_flight_bytes" Gauge ["source"],
    /// Bytes that are known to be there and not read.
    LAG_BYTES = "floe_lag_bytes" Gauge ["source"],
    /// For how long the oldest line that is not read has been there; 0 where there is none.
    LAG_SECONDS = "floe_lag_seconds" Gauge ["source"],
    /// For how long the oldest line that is not settled has been there, read or not, also over restarts; 0 where there is none.
    UNBILLED_SECONDS = "floe_oldest_unbilled_seconds" Gauge ["source"],
    /// Files that are followed.
    FILES = "floe_files" Gauge ["source"],
    /// Files that wait because nobody can tell them from another one.
    HELD_FILES = "floe_held_files" Gauge ["source"],
    /// Bytes that the spool of a socket or of the standard input holds.
    SPOOL_BYTES = "floe_spool_bytes" Gauge ["source"],
    /// Bytes that it may hold.
    SPOOL_MAX_BYTES = "floe_spool_max_bytes" Gauge ["source"],
    /// Files that are open.
    OPEN_FILES = "floe_open_files" Gauge [],
    /// Files that may be open.
    OPEN_FILES_MAX = "floe_open_files_max" Gauge [],
    /// Files with something to read that wait for a descriptor.
    WAITING_FILES = "floe_waiting_files" Gauge [],
    /// 1 while some folders cannot be watched and are only swept, else 0.
    WATCH_LIMITED = "floe_watch_limited" Gauge [],
    /// Bytes of the memory budget that are in use.
    MEMORY_BYTES = "floe_memory_budget_used_bytes" Gauge [],
    /// The memory budget.
    MEMORY_MAX_BYTES = "floe_memory_budget_bytes" Gauge [],
    /// Events that Polar counted, as new (inserted) or as known (duplicate).
    EVENTS = "floe_events_total" Counter ["result"],
    /// Events that Polar had already and that were never sent from here: ids collide, or another instance reads the same files.
    UNEXPECTED_DUPLICATES = "floe_unexpected_duplicates_total" Counter [],
    /// Batches that Polar took.
    BATCHES = "floe_batches_total" Counter [],
    /// Answers to requests by HTTP status; none where no answer came.
    REQUESTS = "floe_requests_total" Counter ["code"],
    /// Requests that brought nothing home, so that their events are sent again.
    RETRIES = "floe_request_retries_total" Counter [],
    /// How long answers took.
    LATENCY = "floe_request_duration_seconds" Histogram [],
    /// Requests under way.
    REQUESTS_IN_FLIGHT = "floe_requests_in_flight" Gauge [],
    /// The part of the budget of requests that the last minute took, 0 to 1.
    BUDGET_USED = "floe_request_budget_used_ratio" Gauge [],
    /// The budget of requests: delivery.requests_per_minute.
    BUDGET = "floe_request_budget_per_minute" Gauge [],
    /// Lines that wait until Polar's clock has come to their timestamps.
    FUTURE_LINES = "floe_future_held_lines" Gauge [],
    /// Seconds since this process saved the checkpoint; it is saved when something has changed.
    CHECKPOINT_AGE = "floe_checkpoint_age_seconds" Gauge [],
    /// For how long the checkpoint has not said all that is settled; 0 where it does.
    CHECKPOINT_UNSAVED = "floe_checkpoint_unsaved_seconds" Gauge [],
    /// Bytes of the quarantine.
    QUARANTINE_BYTES = "floe_quarantine_bytes" Gauge [],
    /// Bytes that the quarantine may take.
    QUARANTINE_MAX_BYTES = "floe_quarantine_max_bytes" Gauge [],
    /// Reloads of the config, by whether it was taken over (ok) or not (refused).
    RELOADS = "floe_config_reloads_total" Counter ["result"],
    /// 0 where the last reload was refused, else 1.
    RELOAD_SUCCESSFUL = "floe_config_last_reload_successful" Gauge [],
    /// Notices by code (docs/notices.md).
    NOTICES = "floe_notices_total" Counter ["code"],
}

/// They are there before they happen, like every reason and every notice: `increase` does not see a series begin.
const USUAL_ANSWERS: [&str; 12] =
    ["2xx", "400", "401", "403", "404", "413", "422", "429", "500", "502", "503", "none"];

/// The text of `/metrics`.
#[must_use]
pub fn render(snapshot: &Snapshot, syntax: Syntax) -> String {
    let mut out = Exposition::new(syntax);
    process(&mut out, snapshot);
    settled(&mut out, snapshot);
    unsettled(&mut out, snapshot);
    means(&mut out, snapshot);
    delivery(&mut out, snapshot);
    durable(&mut out, snapshot);
    said(&mut out, snapshot);
    out.finish()
}

fn process(out: &mut Exposition, snapshot: &Snapshot) {
    let status = &snapshot.numbers.overview.status;
    out.family(BUILD_INFO);
    out.sample(&[env!("CARGO_PKG_VERSION"), super::status::word_of(snapshot.about.mode)], 1);
    out.one(
        START_TIME,
        seconds(Duration::from_millis(
            u64::try_from(snapshot.about.started.as_millisecond()).unwrap_or_default(),
        )),
    );
    out.one(READY, u8::from(snapshot.not_ready().is_none()));
    out.one(HELD_BACK, u8::from(status.blocked.is_some()));
}

/// What the account says, as far as this process did it.
fn settled(out: &mut Exposition, snapshot: &Snapshot) {
    let in_flight =
        |source: &SourceView<'_>| source.in_flight.map(crate::model::Tally::total).unwrap_or_default();
    by_source(out, READ_BYTES, snapshot, |source| {
        source.counted(|account| account.read_bytes) + in_flight(source).bytes
    });
    by_source(out, READ_LINES, snapshot, |source| {
        source.counted(|account| account.settled.total().lines) + in_flight(source).lines
    });
    out.family(LINES);
    for source in snapshot.sources() {
        for fate in Fate::all() {
            let (word, reason) = words(fate);
            out.sample(&[source.id, word, reason], source.counted(|account| account.settled.get(fate).lines));
        }
    }
    out.family(RULE_LINES);
    for source in snapshot.sources() {
        for rule in source.account.iter().flat_map(|account| account.billed_by_rule.keys()) {
            let of_rule =
                |account: &SourceAccount| account.billed_by_rule.get(rule).copied().unwrap_or_default();
            out.sample(&[source.id, rule], source.counted(of_rule));
        }
    }
    by_source(out, SOURCE_EVENTS, snapshot, |source| source.counted(|account| account.events));
    by_source(out, MISSED_BYTES, snapshot, |source| source.counted(SourceAccount::missed_bytes));
    out.family(DROPPED_LINES);
    for source in snapshot.sources().filter(|source| source.spool.is_some()) {
        for why in crate::model::Dropped::ALL {
            let lines = |account: &SourceAccount| account.dropped.get(why).map_or(0, |count| count.lines);
            out.sample(&[source.id, why.code()], source.counted(lines));
        }
    }
    by_source(out, NOT_UTF8, snapshot, |source| source.counted(|account| account.values_not_utf8));
    by_source(out, DUPLICATE_KEYS, snapshot, |source| source.counted(|account| account.duplicate_keys));
}

fn unsettled(out: &mut Exposition, snapshot: &Snapshot) {
    let in_flight =
        |source: &SourceView<'_>| source.in_flight.map(crate::model::Tally::total).unwrap_or_default();
    by_source(out, IN_FLIGHT_LINES, snapshot, |source| in_flight(source).lines);
    by_source(out, IN_FLIGHT_BYTES, snapshot, |source| in_flight(source).bytes);
    by_source(out, LAG_BYTES, snapshot, |source| source.files.lag_bytes);
    let by_age = |out: &mut Exposition, family: Family, age: fn(&SourceView<'_>) -> Option<Duration>| {
        out.family(family);
        snapshot
            .sources()
            .for_each(|source| out.sample(&[source.id], seconds(age(&source).unwrap_or_default())));
    };
    by_age(out, LAG_SECONDS, |source| source.files.lag);
    by_age(out, UNBILLED_SECONDS, |source| source.files.unbilled.map(|waited| waited.age));
    by_source(out, FILES, snapshot, |source| source.files.files as u64);
    by_source(out, HELD_FILES, snapshot, |source| source.files.held_files as u64);
}

fn means(out: &mut Exposition, snapshot: &Snapshot) {
    let overview = &snapshot.numbers.overview;
    let spools = || snapshot.sources().filter_map(|source| Some((source.id, source.spool?)));
    out.family(SPOOL_BYTES);
    spools().for_each(|(id, level)| out.sample(&[id], level.bytes));
    out.family(SPOOL_MAX_BYTES);
    spools().for_each(|(id, level)| out.sample(&[id], level.max_bytes));
    out.one(OPEN_FILES, overview.files.open);
    out.one(OPEN_FILES_MAX, overview.files.most);
    out.one(WAITING_FILES, overview.files.waiting);
    out.one(WATCH_LIMITED, u8::from(snapshot.told.holds(NoticeCode::WatchLimited)));
    out.one(MEMORY_BYTES, overview.status.memory_used);
    out.one(MEMORY_MAX_BYTES, overview.memory_max);
}

fn delivery(out: &mut Exposition, snapshot: &Snapshot) {
    let overview = &snapshot.numbers.overview;
    let (status, delivery) = (&overview.status, &overview.delivery);
    out.family(EVENTS);
    out.sample(&["inserted"], status.events_inserted.saturating_sub(snapshot.about.events_before.inserted));
    out.sample(
        &["duplicate"],
        status.events_duplicate.saturating_sub(snapshot.about.events_before.duplicate),
    );
    let unexpected = snapshot.about.events_before.unexpected;
    out.one(UNEXPECTED_DUPLICATES, status.events_duplicate_unexpected.saturating_sub(unexpected));
    out.one(BATCHES, delivery.batches);
    out.family(REQUESTS);
    let others = delivery.answers.keys().map(String::as_str).filter(|code| !USUAL_ANSWERS.contains(code));
    for code in USUAL_ANSWERS.into_iter().chain(others) {
        out.sample(&[code], delivery.answers.get(code).copied().unwrap_or_default());
    }
    out.one(RETRIES, delivery.repeated);
    out.family(LATENCY);
    let Latency { buckets, count, sum } = delivery.latency;
    let bounds = Latency::BOUNDS_MS.iter().map(|bound| *bound as f64 / 1000.0);
    out.histogram(bounds.zip(buckets), count, seconds(sum));
    out.one(REQUESTS_IN_FLIGHT, status.requests_in_flight);
    let used = f64::from(delivery.requests_last_minute) / f64::from(delivery.requests_per_minute.max(1));
    out.one(BUDGET_USED, used);
    out.one(BUDGET, delivery.requests_per_minute);
    out.one(FUTURE_LINES, delivery.held_lines);
}

fn durable(out: &mut Exposition, snapshot: &Snapshot) {
    let checkpoint = snapshot.numbers.overview.checkpoint;
    out.family(CHECKPOINT_AGE);
    if let Some(age) = checkpoint.age {
        out.sample(&[], seconds(age));
    }
    out.one(CHECKPOINT_UNSAVED, seconds(checkpoint.unsaved));
    out.one(QUARANTINE_BYTES, snapshot.quarantine.bytes);
    out.one(QUARANTINE_MAX_BYTES, snapshot.quarantine.max_bytes);
}

fn said(out: &mut Exposition, snapshot: &Snapshot) {
    let told = &snapshot.told;
    out.family(RELOADS);
    out.sample(&["ok"], told.count(NoticeCode::Reloaded));
    out.sample(&["refused"], told.count(NoticeCode::ReloadRefused));
    out.one(RELOAD_SUCCESSFUL, u8::from(!told.holds(NoticeCode::ReloadRefused)));
    out.family(NOTICES);
    NoticeCode::ALL.iter().for_each(|code| out.sample(&[code.code()], told.count(*code)));
}

fn by_source(
    out: &mut Exposition,
    family: Family,
    snapshot: &Snapshot,
    value: impl Fn(&SourceView<'_>) -> u64,
) {
    out.family(family);
    snapshot.sources().for_each(|source| out.sample(&[source.id], value(&source)));
}

fn words(fate: Fate) -> (&'static str, &'static str) {
    match fate {
        Fate::Billed => ("billed", ""),
        Fate::Ignored(reason) => ("ignored", reason.code()),
        Fate::Quarantined(reason) => ("quarantined", reason.code()),
    }
}

/// With milliseconds.
fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1000.0
}
