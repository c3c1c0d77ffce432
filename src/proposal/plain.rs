//! Plain text whose records begin with a time, like those of Python's logging: an expression for the time, the level and
//! the rest, and where a record begins.

use std::fmt::Write as _;

use regex::Regex;

/// How a time at the start of a line may be written. The first that most lines have is taken.
const TIMES: &[&str] = &[
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)",
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)? UTC",
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?",
    r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(?:\.\d+)?",
    r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}",
];

/// Where one of these is seen, those of its row may come later.
const LEVELS: &[&str] = &[
    "TRACE|DEBUG|INFO|NOTICE|WARNING|WARN|ERROR|CRITICAL|FATAL",
    "trace|debug|info|notice|warning|warn|error|critical|fatal",
    // PostgreSQL's.
    "DEBUG[1-5]|LOG|INFO|NOTICE|WARNING|ERROR|FATAL|PANIC|STATEMENT|DETAIL|HINT|CONTEXT|QUERY",
];

/// The keys of a source, or `None` where too few lines begin with a time.
pub(super) fn keys(lines: &[&str]) -> Option<String> {
    let starts_with = |time: &str| -> usize {
        let start = Regex::new(&format!(r"^\[?{time}")).expect("the table's expressions are sound");
        lines.iter().filter(|line| start.is_match(line)).count()
    };
    // A stack trace has many lines, so a tenth is enough; the first line tells that it is no accident.
    let counted = TIMES.iter().map(|time| (starts_with(time), time));
    let (count, time) = counted.rev().max_by_key(|(count, _)| *count)?;
    let first = Regex::new(&format!(r"^\[?{time}")).expect("the table's expressions are sound");
    if count * 10 < lines.len() || !lines.first().is_some_and(|line| first.is_match(line)) {
        return None;
    }
    let with_level = LEVELS.iter().map(|levels| {
        format!(r"^\[?(?<time>{time})\]?.{{0,60}}?\b(?<level>{levels})\b[\]:]*\s*(?<message>(?s:.*))$")
    });
    let has_level = |pattern: &String| {
        let levelled = Regex::new(pattern).expect("the table's expressions are sound");
        lines.iter().filter(|line| levelled.is_match(line)).count() * 10 >= count * 9
    };
    let without = format!(r"^\[?(?<time>{time})\]?\s*(?<message>(?s:.*))$");
    let pattern = with_level.into_iter().find(has_level).unwrap_or(without);
    let mut keys = format!("format = \"regex\"\npattern = '{pattern}'\n");
    if count < lines.len() {
        let _ = writeln!(
            keys,
            "# Lines that do not begin with a time belong to the one before: stack traces and the like."
        );
        let _ = writeln!(keys, "multiline = {{ start = '^\\[?{time}' }}");
    }
    Some(keys)
}
