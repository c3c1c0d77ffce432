//! `floe events --follow`: looks again and again, and shows what it has not shown.
//!
//! Polar lists by the events' own time, and an event may come long after it. So each look goes back over a window, and what
//! was shown is known by its id.

use std::collections::HashMap;
use std::io;
use std::thread;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::reader::{Failure, Reader};
use super::table;
use crate::polar::reads::EventQuery;

/// An event whose time is older than this when it arrives is not seen any more.
const WINDOW: SignedDuration = SignedDuration::from_mins(15);

/// What one look takes at the most.
const MOST_AT_ONCE: usize = 10_000;

/// Goes on until it is interrupted, or Polar cannot be asked.
pub fn follow(
    reader: &Reader,
    query: &EventQuery,
    limit: usize,
    every: Duration,
    json: bool,
) -> Result<(), Failure> {
    let within_window = || {
        let window = Timestamp::now().saturating_sub(WINDOW).unwrap_or(Timestamp::MIN);
        let since = query.since.map_or(window, |since| since.max(window));
        (since, EventQuery { since: Some(since), ..query.clone() })
    };
    let mut shown = Shown::default();
    let mut out = anstream::AutoStream::auto(io::stdout().lock());
    // What is older than the first lines shown is not news. It is asked for before them, so that nothing arrives between.
    let older = reader.events(&within_window().1, MOST_AT_ONCE)?.items;
    let mut first = reader.events(query, limit)?.items;
    first.reverse();
    table::write_events(&mut out, &first, json)?;
    older.iter().chain(&first).for_each(|event| _ = shown.is_new(event));
    loop {
        thread::sleep(every);
        let (since, recent) = within_window();
        let mut events = reader.events(&recent, MOST_AT_ONCE)?.items;
        events.reverse();
        events.retain(|event| shown.is_new(event));
        table::write_events(&mut out, &events, json)?;
        shown.forget_before(since);
    }
}

/// The events that were shown, as long as they may be seen again.
#[derive(Debug, Default)]
struct Shown(HashMap<String, Timestamp>);

impl Shown {
    fn is_new(&mut self, event: &Value) -> bool {
        let id = event["id"].as_str().unwrap_or_default().to_owned();
        let at = event["timestamp"].as_str().and_then(|at| at.parse().ok()).unwrap_or(Timestamp::MAX);
        self.0.insert(id, at).is_none()
    }

    fn forget_before(&mut self, since: Timestamp) {
        self.0.retain(|_, at| *at >= since);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_shown_once_and_forgotten_when_it_cannot_come_again() {
        let event = |id: &str, at: &str| serde_json::json!({"id": id, "timestamp": at});
        let mut shown = Shown::default();
        assert!(shown.is_new(&event("1", "2026-11-20T10:00:00Z")));
        assert!(shown.is_new(&event("2", "2026-11-20T10:05:00Z")));
        assert!(!shown.is_new(&event("1", "2026-11-20T10:00:00Z")));
        shown.forget_before("2026-11-20T10:01:00Z".parse().unwrap());
        assert_eq!(shown.0.len(), 1);
        assert!(!shown.is_new(&event("2", "2026-11-20T10:05:00Z")));
    }
}
