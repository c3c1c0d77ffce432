//! How many files may be open: what the settings say, and what the operating system allows.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Settings;

/// Descriptors that no log takes: without them nothing could be looked at, sent or saved, and it would stay so.
const KEPT_FREE: u64 = 64;

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
        settings.limits.open_files = settings.limits.open_files.min(for_logs(allowed));
    }
    settings
}

fn for_logs(allowed: u64) -> u32 {
    let left = allowed.saturating_sub(KEPT_FREE).max(allowed / 2).max(1);
    u32::try_from(left).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s16_some_descriptors_stay_free_of_logs() {
        for (allowed, expected) in [(0, 1), (3, 1), (40, 20), (1024, 960), (u64::MAX, u32::MAX)] {
            assert_eq!(for_logs(allowed), expected, "{allowed}");
        }
    }
}
