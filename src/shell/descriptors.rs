//! How many files may be open: what the settings say, and what the operating system allows.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Settings;
use crate::config::settings::{Input, SocketKind, SourceSettings};

/// Descriptors that no log takes: without them nothing could be looked at, sent or saved, and it would stay so.
const KEPT_FREE: u64 = 64;

/// Writers that may be connected to one socket at a time, where the operating system allows as much.
const MOST_WRITERS: u64 = 1024;

/// Asks the operating system for as many descriptors as the process may have.
///
/// The usual soft limit of 1,024 is there for programs that use `select`.
pub fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // Where it is refused, fewer files are open at once.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}

/// Settings that ask for no more open files than there may be.
#[must_use]
pub fn within_limit(mut settings: Settings) -> Settings {
    if let Some(allowed) = getrlimit(Resource::Nofile).current {
        let sockets = stream_sockets(&settings);
        let left = allowed.saturating_sub(sockets * for_writers(allowed, sockets));
        settings.limits.open_files = settings.limits.open_files.min(for_logs(left));
    }
    settings
}

/// Writers that may be connected to each stream socket at a time.
#[must_use]
pub fn writers_of(settings: &Settings) -> usize {
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(for_writers(allowed, stream_sockets(settings))).expect("it is a thousand at most")
}

fn stream_sockets(settings: &Settings) -> u64 {
    let is_stream = |source: &&SourceSettings| matches!(&source.input, Input::Socket(socket) if socket.kind == SocketKind::Stream);
    settings.sources.iter().filter(is_stream).count() as u64
}

/// All sockets together take a quarter: idle writers must not keep logs from being read, or events from being sent.
fn for_writers(allowed: u64, sockets: u64) -> u64 {
    (allowed / 4 / sockets.max(1)).clamp(1, MOST_WRITERS)
}

fn for_logs(allowed: u64) -> u32 {
    let left = allowed.saturating_sub(KEPT_FREE).max(allowed / 2).max(1);
    u32::try_from(left).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s16_s27_writers_take_a_quarter_of_the_descriptors_at_most() {
        for (allowed, sockets, expected) in [
            (1024, 1, 256),
            (1024, 4, 64),
            (1024, 1000, 1),
            (3, 1, 1),
            (1 << 20, 3, 1024),
            (u64::MAX, 0, 1024),
        ] {
            assert_eq!(for_writers(allowed, sockets), expected, "{sockets} sockets of {allowed}");
        }
    }

    #[test]
    fn s16_some_descriptors_stay_free_of_logs() {
        for (allowed, expected) in [(0, 1), (3, 1), (40, 20), (1024, 960), (u64::MAX, u32::MAX)] {
            assert_eq!(for_logs(allowed), expected, "{allowed}");
        }
    }
}
