//! Asking Polar: pages followed, within the budget of requests, and asked again where that is of use.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::cli::outcome;
use crate::config::Settings;
use crate::polar::reads::{EventQuery, event_path};
use crate::polar::request::{BODY_PREFIX, BODY_SUFFIX};
use crate::polar::stored::{EventName, Page};
use crate::shell::asking::{self, Unread};
use crate::shell::client::{Client, NoClient, Reply};

/// Longer waits are told.
const LONG_WAIT: Duration = Duration::from_secs(2);

/// Why there is no answer, or nowhere to write it.
#[derive(Debug)]
pub enum Failure {
    NoSuchEvent(String),
    Endpoint(String),
    /// Asking again is no use: the token, most often.
    Refused(String),
    Output(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl Failure {
    pub fn tell(self) -> ExitCode {
        match self {
            Self::NoSuchEvent(id) => outcome::fail(
                outcome::NO,
                format!("Polar has no event {id:?} that this token may see"),
                Some("it is Polar's id, as `floe events --json` shows it; Polar never shows an external_id"),
            ),
            Self::Endpoint(why) | Self::Refused(why) => outcome::fail(
                outcome::UNAVAILABLE,
                format!("cannot read events: {why}"),
                Some("`server` and the token stand under [polar]; reading needs the scope events:read"),
            ),
            Self::Output(error) => {
                outcome::fail(outcome::UNAVAILABLE, format!("cannot write: {error}"), None)
            }
        }
    }
}

/// Events that were found, the newest first, as Polar gives them.
#[derive(Debug)]
pub struct Found {
    pub items: Vec<Value>,
    /// How many there are in all.
    pub total: u64,
}

/// Asks one server.
#[derive(Debug)]
pub struct Reader {
    client: Client,
    runtime: Runtime,
    /// Between two requests.
    pause: Duration,
}

impl Reader {
    /// # Errors
    /// The config's fault, in words.
    pub fn new(settings: &Settings) -> Result<Self, String> {
        let client = Client::new(&settings.polar).map_err(|NoClient(why)| why)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
        let pause = asking::pause_of(settings.delivery.requests_per_minute);
        Ok(Self { client, runtime, pause })
    }

    /// The newest events, at most so many.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn events(&self, query: &EventQuery, limit: usize) -> Result<Found, Failure> {
        self.pages(|page| query.page(page), limit)
    }

    /// All names of such events.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn names(&self, query: &EventQuery) -> Result<Vec<EventName>, Failure> {
        let found = self.pages(|page| query.names_page(page), usize::MAX)?;
        let names = found.items.into_iter().map(serde_json::from_value).collect::<Result<_, _>>();
        names.map_err(|error| Failure::Endpoint(format!("a name is not what the API describes: {error}")))
    }

    /// # Errors
    /// [`Failure`], also where there is no such event.
    pub fn event(&self, id: &str) -> Result<Value, Failure> {
        self.ask(&event_path(id))?.ok_or_else(|| Failure::NoSuchEvent(id.to_owned()))
    }

    fn pages(&self, path: impl Fn(u64) -> String, limit: usize) -> Result<Found, Failure> {
        let mut found = Found { items: Vec::new(), total: 0 };
        for number in 1.. {
            let page: Page<Value> = self
                .ask(&path(number))?
                .ok_or_else(|| Failure::Endpoint("there is no event API at this URL (404)".into()))?;
            found.total = page.pagination.total_count;
            let is_last = page.is_last(number);
            found.items.extend(page.items);
            if is_last || found.items.len() >= limit {
                break;
            }
            std::thread::sleep(self.pause);
        }
        found.items.truncate(limit);
        Ok(found)
    }

    /// All of a list, page by page.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn all<T: DeserializeOwned>(&self, path: impl Fn(u64) -> String) -> Result<Vec<T>, Failure> {
        let found = self.pages(path, usize::MAX)?;
        let all = found.items.into_iter().map(serde_json::from_value).collect::<Result<_, _>>();
        all.map_err(|error| Failure::Endpoint(format!("a list is not what the API describes: {error}")))
    }

    /// One thing, where it is there. Waits before, so that many questions stay within the budget.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn one<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Failure> {
        std::thread::sleep(self.pause);
        self.ask(path)
    }

    /// What the endpoint says to a batch without events, as the daemon sends it at its start; and its clock.
    #[must_use]
    pub fn greet(&self) -> Reply {
        let body = [BODY_PREFIX, BODY_SUFFIX].concat();
        self.runtime.block_on(self.client.post(body.into()))
    }

    /// `None` for a 404.
    fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Failure> {
        let waits = |why: &str, pause: Duration| {
            if pause > LONG_WAIT {
                anstream::eprintln!("{why}; asked again in {} s", pause.as_secs());
            }
        };
        asking::ask(&self.runtime, &self.client, path, || (), waits).map_err(|unread| match unread {
            Unread::Refused(why) => Failure::Refused(why),
            Unread::GivenUp(why) => Failure::Endpoint(why),
        })
    }
}
