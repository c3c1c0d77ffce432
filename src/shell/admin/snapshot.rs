//! What is told of the daemon at one moment: what the loop says of the agent, and what is known beside it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::agent::overview::{SourceOverview, Waited};
use crate::agent::{Overview, Status};
use crate::config::Settings;
use crate::config::settings::Mode;
use crate::model::{SourceAccount, Tally};
use crate::shell::told::Told;

/// What the loop answers when it is asked.
#[derive(Debug, Default)]
pub struct Numbers {
    pub overview: Overview,
    /// By source id.
    pub spools: BTreeMap<String, Level>,
    pub quarantine_max_bytes: u64,
}

/// How full something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Level {
    pub bytes: u64,
    pub max_bytes: u64,
}

/// What does not change while the process lives.
#[derive(Debug, Clone)]
pub struct About {
    pub instance: String,
    pub server: String,
    pub mode: Mode,
    pub started: Timestamp,
    /// By source id: the accounts when the process began. A counter counts what this process did, because a number that
    /// outlives a crash may go back a little, and Prometheus would take that for a whole new count.
    pub accounts_before: BTreeMap<String, SourceAccount>,
    pub events_before: EventsBefore,
}

/// Events that Polar had counted when the process began.
#[derive(Debug, Clone, Copy, Default)]
pub struct EventsBefore {
    pub inserted: u64,
    pub duplicate: u64,
    pub unexpected: u64,
}

impl About {
    #[must_use]
    pub fn of(settings: &Settings, before: Status) -> Self {
        Self {
            instance: settings.instance.clone(),
            server: settings.polar.base_url.clone(),
            mode: settings.polar.mode,
            started: Timestamp::now(),
            events_before: EventsBefore {
                inserted: before.events_inserted,
                duplicate: before.events_duplicate,
                unexpected: before.events_duplicate_unexpected,
            },
            accounts_before: before.accounts,
        }
    }
}

#[derive(Debug)]
pub struct Snapshot {
    pub now: Timestamp,
    pub about: About,
    pub numbers: Numbers,
    pub told: Told,
    pub quarantine: Level,
}

/// All that is known of one source.
#[derive(Debug, Clone, Copy)]
pub struct SourceView<'a> {
    pub id: &'a str,
    pub files: SourceOverview,
    /// As `floe account` says it.
    pub account: Option<&'a SourceAccount>,
    /// The same when the process began.
    pub before: Option<&'a SourceAccount>,
    pub in_flight: Option<&'a Tally>,
    pub spool: Option<Level>,
}

impl Snapshot {
    /// The sources of the config, in the order of their ids.
    pub fn sources(&self) -> impl Iterator<Item = SourceView<'_>> {
        let status = &self.numbers.overview.status;
        self.numbers.overview.sources.iter().map(|(id, files)| SourceView {
            id,
            files: *files,
            account: status.accounts.get(id),
            before: self.about.accounts_before.get(id),
            in_flight: status.in_flight.get(id),
            spool: self.numbers.spools.get(id).copied(),
        })
    }

    /// Of all sources: for how long the oldest line waits that is not settled.
    #[must_use]
    pub fn unbilled(&self) -> Option<Waited> {
        self.numbers.overview.sources.values().filter_map(|source| source.unbilled).max()
    }

    /// Why it does not do its work yet, or any more. That Polar does not answer is no such reason: lines wait, and an
    /// application that Floe stands beside must not be taken out of service for it.
    #[must_use]
    pub fn not_ready(&self) -> Option<&'static str> {
        use crate::agent::overview::NotReady;
        self.numbers.overview.not_ready.map(|why| match why {
            NotReady::Starting => "starting: the folders of the sources were not looked into yet",
            NotReady::Draining => "draining: the process ends",
        })
    }
}

impl SourceView<'_> {
    /// What this process counted: now less before.
    pub fn counted(&self, number: impl Fn(&SourceAccount) -> u64) -> u64 {
        let of = |account: Option<&SourceAccount>| account.map_or(0, &number);
        of(self.account).saturating_sub(of(self.before))
    }
}
