//! How much a spool holds, and who waits for room in it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Shared by the writers of a spool, and by whoever removes what is billed.
#[derive(Debug)]
pub struct Gauge {
    level: Mutex<Level>,
    changed: Condvar,
}

#[derive(Debug)]
struct Level {
    bytes: u64,
    max_bytes: u64,
    /// What has come in is written whatever the bound: there is nowhere else for it.
    is_closing: bool,
    /// Lines that have come in and are not durable.
    pending_lines: u64,
}

impl Gauge {
    #[must_use]
    pub fn new(bytes: u64, max_bytes: u64) -> Self {
        let level = Level { bytes, max_bytes, is_closing: false, pending_lines: 0 };
        Self { level: Mutex::new(level), changed: Condvar::new() }
    }

    fn level(&self) -> MutexGuard<'_, Level> {
        self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[must_use]
    pub fn is_full(&self) -> bool {
        let level = self.level();
        level.bytes >= level.max_bytes
    }

    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.level().bytes
    }

    #[must_use]
    pub fn max_bytes(&self) -> u64 {
        self.level().max_bytes
    }

    /// A door opens: so much there may be.
    pub fn open(&self, max_bytes: u64) {
        let mut level = self.level();
        level.max_bytes = max_bytes;
        level.is_closing = false;
        drop(level);
        self.changed.notify_all();
    }

    /// What the folder holds. A segment that goes at this moment may be taken off twice; the next measure knows.
    pub fn set_bytes(&self, bytes: u64) {
        self.level().bytes = bytes;
        self.changed.notify_all();
    }

    pub fn grow(&self, bytes: u64) {
        self.level().bytes += bytes;
    }

    /// A segment is gone.
    pub fn shrink(&self, bytes: u64) {
        let mut level = self.level();
        level.bytes = level.bytes.saturating_sub(bytes);
        drop(level);
        self.changed.notify_all();
    }

    pub fn close(&self) {
        self.level().is_closing = true;
        self.changed.notify_all();
    }

    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.level().is_closing
    }

    /// Waits until there is room, or nothing more comes. False: neither came in this time.
    #[must_use]
    pub fn wait_for_room(&self, patience: Duration) -> bool {
        let is_full = |level: &mut Level| level.bytes >= level.max_bytes && !level.is_closing;
        let waited = self.changed.wait_timeout_while(self.level(), patience, is_full);
        let (level, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        drop(level);
        !timeout.timed_out()
    }

    pub fn came_in(&self, lines: usize) {
        self.level().pending_lines += lines as u64;
    }

    pub fn is_durable(&self, lines: usize) {
        self.level().pending_lines -= lines as u64;
    }

    #[must_use]
    pub fn pending_lines(&self) -> u64 {
        self.level().pending_lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    #[test]
    fn who_waits_for_room_goes_on_when_a_segment_is_gone_or_at_the_end() {
        for free in [
            |gauge: &Gauge| gauge.shrink(1),
            |gauge: &Gauge| gauge.close(),
            |gauge: &Gauge| gauge.open(11),
            |gauge: &Gauge| gauge.set_bytes(9),
        ] {
            let gauge = Arc::new(Gauge::new(10, 10));
            assert!(gauge.is_full());
            let waiting = Arc::clone(&gauge);
            let waiter = thread::spawn(move || waiting.wait_for_room(Duration::from_secs(30)));
            free(&gauge);
            assert!(waiter.join().unwrap());
        }
        assert!(!Gauge::new(10, 10).wait_for_room(Duration::from_millis(1)));
    }
}
