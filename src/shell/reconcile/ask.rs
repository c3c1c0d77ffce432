//! Asking Polar which events it has: pages followed, within a pace, and asked again where that is of use.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::model::file::short_print;
use crate::polar::reads::EventQuery;
use crate::polar::stored::{Event, Page};
use crate::shell::asking::{self, Unread};
use crate::shell::client::Client;

/// How often a list is asked for that moved while it was read.
const MOST_ROUNDS: u32 = 3;

/// Asks one server.
#[derive(Debug)]
pub(super) struct Asker {
    client: Client,
    /// Between two requests.
    pause: Duration,
    last: Option<Instant>,
    pub requests: u64,
}

impl Asker {
    pub fn new(client: Client, requests_per_minute: u32) -> Self {
        let pause = asking::pause_of(requests_per_minute);
        Self { client, pause, last: None, requests: 0 }
    }

    /// Gives each event that the query finds, once.
    ///
    /// # Errors
    /// Why Polar cannot be asked.
    pub fn each(
        &mut self,
        runtime: &Runtime,
        query: &EventQuery,
        mut each: impl FnMut(Event),
    ) -> Result<(), String> {
        let mut seen = HashSet::new();
        for _ in 0..MOST_ROUNDS {
            let mut total = 0;
            for number in 1.. {
                let page: Page<Event> = self.ask(runtime, &query.page(number))?;
                total = page.pagination.total_count;
                let is_last = page.is_last(number);
                for event in page.items {
                    if seen.insert(short_print(event.id.as_bytes())) {
                        each(event);
                    }
                }
                if is_last {
                    break;
                }
            }
            // An event that came meanwhile moves others to another page.
            if seen.len() as u64 >= total {
                break;
            }
        }
        Ok(())
    }

    fn ask(&mut self, runtime: &Runtime, path: &str) -> Result<Page<Event>, String> {
        let Self { client, pause, last, requests } = self;
        let before = || {
            if let Some(last) = *last {
                std::thread::sleep(pause.saturating_sub(last.elapsed()));
            }
            *last = Some(Instant::now());
            *requests += 1;
        };
        match asking::ask(runtime, client, path, before, |_, _| ()) {
            Ok(Some(page)) => Ok(page),
            Ok(None) => Err("there is no event API at this URL (404)".to_owned()),
            Err(Unread::Refused(why) | Unread::GivenUp(why)) => Err(why),
        }
    }
}
