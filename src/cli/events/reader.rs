//! Asking Polar: pages followed, within the budget of requests, and asked again where that is of use.

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::cli::outcome;
use crate::config::Settings;
use crate::polar::limits::{LIST_MAX_ITEMS, RATE_WINDOW_S};
use crate::polar::reads::{EventQuery, Read, event_path};
use crate::polar::request::{BODY_PREFIX, BODY_SUFFIX};
use crate::polar::stored::{EventName, Page};
use crate::shell::client::{Client, NoClient, Reply};

/// How often the same is asked before it is given up.
const MOST_TRIES: u32 = 5;

/// The first wait after no answer; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);

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
        let pause = Duration::from_secs(60) / settings.delivery.requests_per_minute.max(1);
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
            let is_last = page.items.len() < LIST_MAX_ITEMS || number >= page.pagination.max_page;
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
        let mut wait = FIRST_WAIT;
        let begun = Instant::now();
        for tries in 1.. {
            match self.runtime.block_on(self.client.get(path)) {
                Read::Got(value) => return Ok(Some(value)),
                Read::NotThere => return Ok(None),
                Read::Refused(why) => return Err(Failure::Refused(why)),
                Read::Again { why, .. } if tries == MOST_TRIES => {
                    let seconds = begun.elapsed().as_secs();
                    return Err(Failure::Endpoint(format!("{why}, {MOST_TRIES} times in {seconds} s")));
                }
                Read::Again { why, after_seconds } => {
                    let pause = match after_seconds {
                        Some(seconds) => Duration::from_secs(seconds.min(RATE_WINDOW_S)),
                        None => wait,
                    };
                    if pause > Duration::from_secs(2) {
                        anstream::eprintln!("{why}; asked again in {} s", pause.as_secs());
                    }
                    std::thread::sleep(pause);
                    wait *= 2;
                }
            }
        }
        unreachable!("the last try returns")
    }
}
