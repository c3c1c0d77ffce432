//! What the service manager (systemd) is told: that Floe is ready, reads its config again or ends, a line of status, and
//! that the daemon's loop still turns.
//!
//! All of it is said by that loop. A thread of its own would go on feeding the watchdog when the agent hangs.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use super::numbers::{bytes, grouped};
use crate::agent::Status;
use crate::model::{Fate, Tally};

/// How often the line of status may change.
const STATUS_EVERY: Duration = Duration::from_secs(5);

/// What an ending may take beyond the drain: the last save.
const LAST_SAVE: Duration = Duration::from_secs(5);

/// The service manager, where there is one (`NOTIFY_SOCKET`).
#[derive(Debug)]
pub struct ServiceManager(Option<Link>);

#[derive(Debug)]
struct Link {
    /// `None`: there is no watchdog.
    feed_every: Option<Duration>,
    fed_at: Instant,
    phase: Phase,
    told_at: Instant,
    /// The last line of status.
    told: String,
    /// True when something happened since then.
    is_behind: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    Running,
    Ending,
}

impl ServiceManager {
    /// The one that the environment names.
    #[must_use]
    pub fn from_environment() -> Self {
        let now = Instant::now();
        Self(std::env::var_os("NOTIFY_SOCKET").map(|_| Link {
            // Two may be late before it bites.
            feed_every: sd_notify::watchdog_enabled().map(|limit| limit / 3),
            fed_at: now,
            phase: Phase::Starting,
            told_at: now,
            told: String::new(),
            is_behind: false,
        }))
    }

    /// None: for a process that is no service.
    #[must_use]
    pub fn absent() -> Self {
        Self(None)
    }

    /// When [`ServiceManager::turn`] is due, if nothing else turns the loop before.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        let link = self.0.as_ref()?;
        let feed = link.feed_every.map(|every| link.fed_at + every);
        [feed, link.status_due()].into_iter().flatten().min()
    }

    /// Something happened that may change the status.
    pub fn note_change(&mut self) {
        if let Some(link) = &mut self.0 {
            link.is_behind = true;
        }
    }

    /// The loop has turned: feeds the watchdog and tells the status, where they are due.
    pub fn turn(&mut self, status: impl FnOnce() -> Status) {
        let Some(link) = &mut self.0 else { return };
        let now = Instant::now();
        if link.feed_every.is_some_and(|every| link.fed_at + every <= now) {
            link.fed_at = now;
            say(&[NotifyState::Watchdog]);
        }
        if link.status_due().is_some_and(|due| due <= now) {
            link.tell(&status());
        }
    }

    /// The state is loaded, and every source was looked at once. Said once.
    pub fn ready(&mut self, status: impl FnOnce() -> Status) {
        let Some(link) = &mut self.0 else { return };
        if link.phase == Phase::Starting {
            link.phase = Phase::Running;
            say(&[NotifyState::Ready]);
            link.tell(&status());
        }
    }

    /// The config is read again. A start or an end stays what it is.
    pub fn reloading(&self) {
        if !self.is_running() {
            return;
        }
        // systemd 253 wants both in one message.
        match NotifyState::monotonic_usec_now() {
            Ok(now) => say(&[NotifyState::Reloading, now]),
            Err(_) => say(&[NotifyState::Reloading]),
        }
    }

    /// The reload is over, whether or not anything changed.
    pub fn reloaded(&self) {
        if self.is_running() {
            say(&[NotifyState::Ready]);
        }
    }

    fn is_running(&self) -> bool {
        self.0.as_ref().is_some_and(|link| link.phase == Phase::Running)
    }

    /// The end has begun, and may take so long. Said once.
    pub fn ending(&mut self, limit: Duration) {
        let Some(link) = &mut self.0 else { return };
        if link.phase != Phase::Ending {
            link.phase = Phase::Ending;
            let micros = u32::try_from((limit + LAST_SAVE).as_micros()).unwrap_or(u32::MAX);
            say(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(micros)]);
        }
    }
}

impl Link {
    fn status_due(&self) -> Option<Instant> {
        (self.is_behind && self.phase != Phase::Starting).then(|| self.told_at + STATUS_EVERY)
    }

    fn tell(&mut self, status: &Status) {
        self.is_behind = false;
        self.told_at = Instant::now();
        let words = words(status);
        if words != self.told {
            say(&[NotifyState::Status(&words)]);
            self.told = words;
        }
    }
}

/// Nobody to hear it is no reason to end.
fn say(what: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(what);
}

/// The status in one line.
fn words(status: &Status) -> String {
    let lines = |is_meant: fn(Fate) -> bool| -> u64 {
        let tallies = status.accounts.values().map(|account| &account.settled);
        let counts = tallies.flat_map(Tally::iter);
        counts.filter(|(fate, _)| is_meant(*fate)).map(|(_, count)| count.lines).sum()
    };
    let files = match status.streams {
        1 => "1 file".to_owned(),
        streams => format!("{} files", grouped(streams as u64)),
    };
    let doing = if status.draining { "Ending" } else { "Following" };
    let billed = lines(|fate| fate == Fate::Billed);
    let mut parts = vec![format!("{doing} {files}: {} lines billed", grouped(billed))];
    let quarantined = lines(|fate| matches!(fate, Fate::Quarantined(_)));
    if quarantined > 0 {
        parts.push(format!("{} quarantined", grouped(quarantined)));
    }
    let waiting = status.lag_bytes + status.in_flight.values().map(|tally| tally.total().bytes).sum::<u64>();
    match waiting {
        // Files that are not looked into yet may have lines.
        0 if status.blocked.is_some() => {}
        0 => parts.push("nothing waits".to_owned()),
        waiting => parts.push(format!("{} wait", bytes(waiting))),
    }
    let held_back = status.blocked.iter().map(|why| format!("; held back: {}", why.replace('\n', " ")));
    parts.join(", ") + &held_back.collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Quarantined, SourceAccount};

    #[test]
    fn the_status_is_a_line_that_says_what_was_billed_what_waits_and_why() {
        let mut account = SourceAccount::default();
        account.settled.add(Fate::Billed, 1234, 99_000);
        let mut in_flight = Tally::default();
        in_flight.add(Fate::Billed, 3, 200);
        let quiet = Status {
            streams: 1,
            accounts: [("app".to_owned(), account.clone())].into(),
            ..Status::default()
        };
        account.settled.add(Fate::Quarantined(Quarantined::MissingCustomer), 2, 60);
        let held = Status {
            streams: 3,
            accounts: [("app".to_owned(), account)].into(),
            in_flight: [("app".to_owned(), in_flight)].into(),
            lag_bytes: 43_000_000,
            blocked: Some("Polar refuses the token:\n401".to_owned()),
            ..Status::default()
        };
        let away = Status { blocked: Some("connection refused".to_owned()), ..Status::default() };
        let ending = Status { draining: true, ..Status::default() };
        for (status, expected) in [
            (quiet, "Following 1 file: 1,234 lines billed, nothing waits"),
            (
                held,
                "Following 3 files: 1,234 lines billed, 2 quarantined, 43.0 MB wait; \
                 held back: Polar refuses the token: 401",
            ),
            (away, "Following 0 files: 0 lines billed; held back: connection refused"),
            (ending, "Ending 0 files: 0 lines billed, nothing waits"),
        ] {
            assert_eq!(words(&status), expected);
        }
    }

    #[test]
    fn nobody_to_tell_is_never_due() {
        let mut nobody = ServiceManager::absent();
        nobody.note_change();
        nobody.turn(|| unreachable!("nobody asks for the status"));
        nobody.ready(|| unreachable!("nobody asks for the status"));
        nobody.ending(Duration::from_secs(1));
        assert_eq!(nobody.due(), None);
    }
}
