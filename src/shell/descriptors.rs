//! How many files may be open: what the settings say, and what the operating system allows.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Settings;

/// Descriptors for everything else: the lock, the watcher, connections, questions about files, what is written.
const OTHERS: u64 = 40;

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
    let Some(allowed) = getrlimit(Resource::Nofile).current else { return settings };
    let others = OTHERS + u64::from(settings.delivery.concurrency);
    let left = u32::try_from(allowed.saturating_sub(others)).unwrap_or(u32::MAX).max(1);
    settings.limits.open_files = settings.limits.open_files.min(left);
    settings
}
