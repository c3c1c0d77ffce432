//! `[delivery]` and `[limits]`: numbers with good defaults.

use std::time::Duration;

use super::sources::ReadSource;
use crate::config::fault::Fault;
use crate::config::node::Node;
use crate::config::reader::{Report, TableReader};
use crate::config::settings::{DeliverySettings, LimitSettings};
use crate::config::units;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

pub(super) fn delivery(report: &Report, node: Option<&Node>) -> DeliverySettings {
    let mut settings = DeliverySettings {
        batch_max_events: 500,
        batch_max_bytes: 1 << 20,
        batch_max_wait: Duration::from_secs(1),
        concurrency: 4,
        requests_per_minute: 300,
        max_future: 10 * MINUTE,
    };
    let Some(table) = node.and_then(|node| report.open("delivery", node)) else { return settings };
    let wait = Duration::ZERO..=5 * MINUTE;
    settings.batch_max_events =
        integer(&table, report, "batch_max_events", settings.batch_max_events, 1, 10_000);
    settings.batch_max_bytes = table.or("batch_max_bytes", settings.batch_max_bytes, |node| {
        report.size(node, &(64 * KIB..=10 * MIB)).and_then(|bytes| bytes.try_into().ok())
    });
    settings.batch_max_wait =
        table.or("batch_max_wait", settings.batch_max_wait, |node| report.duration(node, &wait));
    settings.concurrency = integer(&table, report, "concurrency", settings.concurrency, 1, 64);
    settings.requests_per_minute =
        integer(&table, report, "requests_per_minute", settings.requests_per_minute, 1, 60_000);
    settings.max_future = table
        .or("max_future", settings.max_future, |node| report.duration(node, &(Duration::ZERO..=7 * DAY)));
    table.finish();
    settings
}

pub(super) fn limits(report: &Report, node: Option<&Node>) -> LimitSettings {
    let mut settings = LimitSettings {
        memory: 4 * MIB,
        window: 64 * MIB,
        quarantine_max_bytes: 256 * MIB,
        quarantine_malformed_max_bytes: 16 * MIB,
        shadow_max_bytes: GIB,
        mapping_threads: 1,
        open_files: 8192,
        drain_timeout: Duration::from_secs(25),
        sweep_interval: Duration::from_secs(1),
    };
    let Some(node) = node else { return settings };
    let Some(table) = report.open("limits", node) else { return settings };
    let size = |key, default, least, most| table.or(key, default, |node| report.size(node, &(least..=most)));
    settings.memory = size("memory", settings.memory, 2 * MIB, 16 * GIB);
    settings.window = size("window", settings.window, 64 * KIB, 16 * GIB);
    settings.quarantine_max_bytes =
        size("quarantine_max_bytes", settings.quarantine_max_bytes, 64 * KIB, 1024 * GIB);
    // Whoever makes the whole quota small need not think of its part.
    let part = settings.quarantine_malformed_max_bytes.min(settings.quarantine_max_bytes);
    settings.quarantine_malformed_max_bytes = size("quarantine_malformed_max_bytes", part, 0, 1024 * GIB);
    settings.shadow_max_bytes = size("shadow_max_bytes", settings.shadow_max_bytes, 64 * KIB, 1024 * GIB);
    settings.mapping_threads = integer(&table, report, "mapping_threads", settings.mapping_threads, 1, 64);
    settings.open_files = integer(&table, report, "open_files", settings.open_files, 1, 1_000_000);
    let drain = Duration::from_secs(1)..=60 * MINUTE;
    settings.drain_timeout =
        table.or("drain_timeout", settings.drain_timeout, |node| report.duration(node, &drain));
    let sweep = Duration::from_millis(10)..=MINUTE;
    settings.sweep_interval =
        table.or("sweep_interval", settings.sweep_interval, |node| report.duration(node, &sweep));
    if settings.quarantine_malformed_max_bytes > settings.quarantine_max_bytes {
        let place =
            table.entry("quarantine_malformed_max_bytes").map_or(table.place(), |entry| &entry.node.place);
        let most = units::print_size(settings.quarantine_max_bytes);
        report.push(
            Fault::at(place, "the part for malformed lines is larger than the whole quarantine")
                .hint(format!("quarantine_max_bytes is {most}: choose no more than that")),
        );
    }
    table.finish();
    settings
}

/// The longest line of any source must fit where lines wait.
pub(super) fn check_lines_fit(
    report: &Report,
    limits: &LimitSettings,
    node: Option<&Node>,
    sources: &[ReadSource],
) {
    let longest = sources.iter().max_by_key(|source| source.max_line_bytes);
    let Some(longest) = longest else { return };
    let line = u64::from(longest.max_line_bytes);
    for (key, has, needs) in [("memory", limits.memory, 2 * line), ("window", limits.window, line)] {
        if has >= needs {
            continue;
        }
        let set = node.and_then(Node::table).and_then(|table| table.get(key));
        let place = set.map_or(&longest.max_line_place, |entry| &entry.node.place);
        let message = format!(
            "limits.{key} is {}, too small for lines of {}",
            units::print_size(has),
            units::print_size(line)
        );
        report.push(Fault::at(place, message).hint(format!(
            "set limits.{key} to at least {}, or max_line_bytes of the source \"{}\" lower",
            units::print_size(needs),
            longest.id.0
        )));
    }
}

fn integer<T: TryFrom<u64>>(
    table: &TableReader<'_>,
    report: &Report,
    key: &'static str,
    default: T,
    least: u64,
    most: u64,
) -> T {
    table.or(key, default, |node| {
        report.integer(node, &(least..=most)).and_then(|number| number.try_into().ok())
    })
}
