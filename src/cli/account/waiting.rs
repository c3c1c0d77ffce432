//! What is not settled, as the checkpoint knows it: how much, and for how long the oldest line has been there. Polar
//! bills on arrival, so this is the number to look at before a period is closed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::agent::checkpoint::Checkpoint;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Waiting {
    /// Known to be there and not settled, also of a line without its end.
    pub bytes: u64,
    pub oldest: Option<Oldest>,
}

/// The oldest unbilled line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Oldest {
    /// When it was first seen.
    pub since: Timestamp,
    /// For how long that is, now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<i64>,
    /// It was there before Floe first looked, and may be older.
    pub at_least: bool,
}

impl Oldest {
    pub(super) fn at(self, now: Timestamp) -> Self {
        Self { seconds: Some(now.duration_since(self.since).as_secs().max(0)), ..self }
    }

    /// `for 12 min, since 2026-11-21T10:15:32Z`
    pub(super) fn words(&self) -> String {
        let at_least = if self.at_least { "at least " } else { "" };
        let since = Timestamp::from_second(self.since.as_second()).unwrap_or(self.since);
        match self.seconds {
            Some(seconds) => format!("for {at_least}{}, since {since}", duration(seconds)),
            None => format!("since {since}{}", if self.at_least { " at the latest" } else { "" }),
        }
    }

    fn older(self, other: Self) -> Self {
        if other.since < self.since { other } else { self }
    }
}

fn duration(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        172_800.. => format!("{} d", seconds / 86_400),
    }
}

/// By source.
pub(super) fn of(checkpoint: &Checkpoint) -> BTreeMap<String, Waiting> {
    let mut sources: BTreeMap<String, Waiting> = BTreeMap::new();
    for file in checkpoint.files.iter().filter(|file| !file.given_up) {
        let waiting = sources.entry(file.source.clone()).or_default();
        waiting.bytes += file.size.saturating_sub(file.frontier.0);
        let oldest = file.unbilled.iter().find(|run| run.end > file.frontier).and_then(|run| {
            let since = Timestamp::from_millisecond(run.since_ms).ok()?;
            Some(Oldest { since, seconds: None, at_least: run.at_least })
        });
        waiting.oldest = match (waiting.oldest, oldest) {
            (Some(one), Some(other)) => Some(one.older(other)),
            (one, other) => one.or(other),
        };
    }
    sources
}

/// Of all sources.
pub(super) fn oldest<'a>(all: impl Iterator<Item = &'a Waiting>) -> Option<Oldest> {
    all.filter_map(|waiting| waiting.oldest).reduce(Oldest::older)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_says_what_is_known_of_it() {
        let since: Timestamp = "2026-11-21T10:00:00.123Z".parse().unwrap();
        let oldest = Oldest { since, seconds: None, at_least: false };
        assert_eq!(oldest.words(), "since 2026-11-21T10:00:00Z");
        let now = "2026-11-21T10:12:30.5Z".parse().unwrap();
        assert_eq!(oldest.at(now).words(), "for 12 min, since 2026-11-21T10:00:00Z");
        let known_less = Oldest { at_least: true, ..oldest };
        assert_eq!(known_less.at(now).words(), "for at least 12 min, since 2026-11-21T10:00:00Z");
        assert_eq!(known_less.at(Timestamp::UNIX_EPOCH).seconds, Some(0), "a clock that was set back");
    }
}
