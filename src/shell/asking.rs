//! Asking Polar for what it has, again where that is of use.

use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;

use super::client::Client;
use crate::polar::limits::RATE_WINDOW_S;
use crate::polar::reads::Read;

/// How often the same is asked before it is given up.
const MOST_TRIES: u32 = 5;

/// The first wait after no answer; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Why there is nothing to read.
#[derive(Debug)]
pub enum Unread {
    /// Asking again is no use: the token, most often.
    Refused(String),
    /// It was asked several times.
    GivenUp(String),
}

/// Between two requests, so that there are no more of them in a minute.
#[must_use]
pub fn pause_of(requests_per_minute: u32) -> Duration {
    Duration::from_secs(RATE_WINDOW_S) / requests_per_minute.max(1)
}

/// Asks for what stands at `path`; `None` for a 404. `before` each request; `waits` is told why and for how long, before
/// it is asked again.
///
/// # Errors
/// [`Unread`].
pub fn ask<T: DeserializeOwned>(
    runtime: &Runtime,
    client: &Client,
    path: &str,
    mut before: impl FnMut(),
    waits: impl Fn(&str, Duration),
) -> Result<Option<T>, Unread> {
    let mut wait = FIRST_WAIT;
    let begun = Instant::now();
    for tries in 1.. {
        before();
        match runtime.block_on(client.get(path)) {
            Read::Got(value) => return Ok(Some(value)),
            Read::NotThere => return Ok(None),
            Read::Refused(why) => return Err(Unread::Refused(why)),
            Read::Again { why, .. } if tries == MOST_TRIES => {
                let seconds = begun.elapsed().as_secs();
                return Err(Unread::GivenUp(format!("{why}, {MOST_TRIES} times in {seconds} s")));
            }
            Read::Again { why, after_seconds } => {
                let pause =
                    after_seconds.map_or(wait, |seconds| Duration::from_secs(seconds.min(RATE_WINDOW_S)));
                waits(&why, pause);
                std::thread::sleep(pause);
                wait *= 2;
            }
        }
    }
    unreachable!("the last try returns")
}
