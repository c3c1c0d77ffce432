//! Asking Polar which events it has: pages followed, within a pace, and asked again where that is of use.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::model::file::short_print;
use crate::polar::limits::{LIST_MAX_ITEMS, RATE_WINDOW_S};
use crate::polar::reads::{EventQuery, Read};
use crate::polar::stored::{Event, Page};
use crate::shell::client::Client;

/// How often the same is asked before it is given up.
const MOST_TRIES: u32 = 5;

/// The first wait after no answer; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);

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
        let pause = Duration::from_secs(RATE_WINDOW_S) / requests_per_minute.max(1);
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
                let is_last = page.items.len() < LIST_MAX_ITEMS || number >= page.pagination.max_page;
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
        let mut wait = FIRST_WAIT;
        let begun = Instant::now();
        for tries in 1.. {
            if let Some(last) = self.last {
                std::thread::sleep(self.pause.saturating_sub(last.elapsed()));
            }
            self.last = Some(Instant::now());
            self.requests += 1;
            match runtime.block_on(self.client.get(path)) {
                Read::Got(page) => return Ok(page),
                Read::NotThere => return Err("there is no event API at this URL (404)".to_owned()),
                Read::Refused(why) => return Err(why),
                Read::Again { why, .. } if tries == MOST_TRIES => {
                    return Err(format!("{why}, {MOST_TRIES} times in {} s", begun.elapsed().as_secs()));
                }
                Read::Again { after_seconds, .. } => {
                    let pause =
                        after_seconds.map_or(wait, |seconds| Duration::from_secs(seconds.min(RATE_WINDOW_S)));
                    std::thread::sleep(pause);
                    wait *= 2;
                }
            }
        }
        unreachable!("the last try returns")
    }
}
