//! Signals as commands: the first SIGTERM or SIGINT drains, the second ends at once, SIGHUP reads the config again.
//!
//! The second one ends the process from within the signal handler, so that it also works when the loop hangs on a
//! disk. That is safe at any moment: what was not saved is read again, with the same ids.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures_util::StreamExt;
use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_tokio::Signals;

use super::event::{Command, Event, Reports};

/// The exit code of a process that a second signal ended.
pub const ENDED_AT_ONCE: u8 = 1;

/// Listens from now on, as a task of the current runtime.
///
/// # Errors
/// When the operating system lets nobody listen.
pub fn listen(reports: Reports) -> io::Result<()> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        // In this order: the first signal finds the flag down and raises it.
        signal_hook::flag::register_conditional_shutdown(
            signal,
            i32::from(ENDED_AT_ONCE),
            Arc::clone(&asked),
        )?;
        signal_hook::flag::register(signal, Arc::clone(&asked))?;
    }
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    tokio::spawn(async move {
        while let Some(signal) = signals.next().await {
            let command = if signal == SIGHUP { Command::Reload } else { Command::Drain };
            reports.send(Event::Command(command));
        }
    });
    Ok(())
}
