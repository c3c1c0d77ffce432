//! How a field says when something happened, told by its values.

use jiff::Timestamp;
use jiff::civil::DateTime;

use super::fields::{Field, Seen};

/// A time of the line, as a rule reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Time {
    /// Between the quotes: `{ts | epoch_ms}`.
    pub template: String,
    /// The values have no zone, and UTC is a guess.
    pub zone_is_guessed: bool,
}

/// Forms without a zone.
const LOCAL: &[&str] = &[
    "%Y-%m-%d %H:%M:%S,%f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S,%f",
    "%Y/%m/%d %H:%M:%S%.f",
    "%d/%b/%Y:%H:%M:%S%.f",
];

/// Forms that say UTC by its name.
const UTC: &[&str] = &[
    "%Y-%m-%d %H:%M:%S%.f UTC",
    "%Y-%m-%dT%H:%M:%S%.f UTC",
    "%a, %d %b %Y %H:%M:%S GMT",
    "%Y-%m-%d %H:%M:%S,%f UTC",
];

/// Forms with an offset.
const OFFSET: &[&str] = &[
    "%d/%b/%Y:%H:%M:%S %z",
    "%Y-%m-%dT%H:%M:%S%.f%z",
    "%Y-%m-%d %H:%M:%S%.f%z",
    "%Y-%m-%d %H:%M:%S%.f %z",
    "%Y-%m-%d %H:%M:%S,%f%z",
];

/// From the best name to the least; a field of another name is no time.
const NAMES: &[&str] = &[
    "timestamp",
    "ts",
    "time",
    "msec",
    "datetime",
    "date_time",
    "time_local",
    "asctime",
    "created_at",
    "finished_at",
    "ended_at",
    "completed_at",
    "occurred_at",
    "end_time",
    "start_time",
    "date",
    "at",
    "created",
    "t",
];

/// The best time of these records, where most of them have one.
pub(super) fn find(fields: &[Field], records: &[usize]) -> Option<Time> {
    let mut times: Vec<(usize, usize, usize, Time)> = Vec::new();
    for field in fields {
        let Some(rank) = NAMES.iter().position(|name| field.is_called(name)) else { continue };
        let Some((form, zone_is_guessed)) = form(field, records) else { continue };
        let guess = usize::from(zone_is_guessed);
        let template = match form {
            Some(pipe) => format!("{{{} | {pipe}}}", field.written),
            None => format!("{{{}}}", field.written),
        };
        times.push((guess, field.path.steps.len(), rank, Time { template, zone_is_guessed }));
    }
    if times.is_empty() {
        return date_and_time(fields, records);
    }
    times.sort_by_key(|(guess, depth, rank, _)| (*guess, *depth, *rank));
    times.into_iter().map(|(.., time)| time).next()
}

/// The W3C's extended log format has the two in columns of their own, in UTC.
fn date_and_time(fields: &[Field], records: &[usize]) -> Option<Time> {
    let named = |name: &str| {
        fields.iter().find(|field| field.written == name && field.count(records) == records.len())
    };
    let (date, time) = (named("date")?, named("time")?);
    let reads = |record: &usize| match (&date.values[*record], &time.values[*record]) {
        (Some(Seen::Text(date)), Some(Seen::Text(time))) => {
            format!("{date}T{time}Z").parse::<Timestamp>().is_ok()
        }
        _ => false,
    };
    let template = "{date}T{time}Z".to_owned();
    records.iter().all(reads).then_some(Time { template, zone_is_guessed: true })
}

/// The pipe that reads nearly all values, and whether the zone is a guess.
fn form(field: &Field, records: &[usize]) -> Option<(Option<String>, bool)> {
    let count = field.count(records);
    if count == 0 || count * 10 < records.len() * 9 {
        return None;
    }
    let most = |holds: &dyn Fn(&Seen) -> bool| {
        field.among(records).filter(|seen| holds(seen)).count() * 10 >= count * 9
    };
    if most(&|seen| matches!(seen, Seen::Time)) {
        return Some((None, false));
    }
    for (pipe, from, to) in
        [("epoch_s", 1e9, 5e9), ("epoch_ms", 1e12, 5e12), ("epoch_us", 1e15, 5e15), ("epoch_ns", 1e18, 5e18)]
    {
        let is_in = |seen: &Seen| {
            seen.number()
                .and_then(|digits| digits.parse::<f64>().ok())
                .is_some_and(|at| (from..to).contains(&at))
        };
        if most(&is_in) {
            return Some((Some(pipe.to_owned()), false));
        }
    }
    let text = |seen: &Seen, holds: &dyn Fn(&str) -> bool| matches!(seen, Seen::Text(text) if holds(text));
    if most(&|seen| text(seen, &|text| text.parse::<Timestamp>().is_ok())) {
        return Some((None, false));
    }
    for form in OFFSET {
        if most(&|seen| text(seen, &|text| Timestamp::strptime(form, text).is_ok())) {
            return Some((Some(format!("timestamp('{form}')")), false));
        }
    }
    for (forms, guessed) in [(UTC, false), (LOCAL, true)] {
        for form in forms {
            if most(&|seen| text(seen, &|text| DateTime::strptime(form, text).is_ok())) {
                return Some((Some(format!("timestamp('{form}', 'UTC')")), guessed));
            }
        }
    }
    None
}
