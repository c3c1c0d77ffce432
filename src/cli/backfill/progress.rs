//! How a backfill shows that it goes on: a bar on a terminal, a line every few seconds elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::numbers::bytes;

/// Between two plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Progress {
    /// `None` where nobody sees it.
    bar: Option<ProgressBar>,
    /// `None` where nobody knows.
    total: Option<u64>,
    began: Instant,
    /// What was done when it began: a backfill may go on where another one was interrupted.
    done_before: Option<u64>,
    told_at: Instant,
}

impl Progress {
    pub fn new(total: Option<u64>) -> Self {
        let now = Instant::now();
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = match total {
                Some(_) => "{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
                None => "{bytes} decompressed and sent, {bytes_per_sec}",
            };
            let style = ProgressStyle::with_template(style).expect("the template names only what a bar has");
            total.map_or_else(ProgressBar::no_length, ProgressBar::new).with_style(style)
        });
        Self { bar, total, began: now, done_before: None, told_at: now }
    }

    /// So many bytes are settled.
    pub fn settled(&mut self, done: u64) {
        let done_before = *self.done_before.get_or_insert(done);
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        } else if self.told_at.elapsed() >= PLAIN_EVERY {
            self.told_at = Instant::now();
            let rate = (done - done_before.min(done)) as f64 / self.began.elapsed().as_secs_f64();
            anstream::eprintln!("{}", plain(done, self.total, rate));
        }
    }

    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// `rate`: bytes a second.
fn plain(done: u64, total: Option<u64>, rate: f64) -> String {
    let Some(total) = total else { return format!("{} decompressed and sent", bytes(done)) };
    let so_far = format!("{} of {}", bytes(done), bytes(total));
    if rate < 1.0 || done >= total {
        return so_far;
    }
    #[expect(clippy::cast_sign_loss, reason = "a rate is never below zero")]
    let (rate, left) = (rate as u64, ((total - done) as f64 / rate).ceil() as u64);
    format!("{so_far}, {}/s, {left} s left", bytes(rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_line_says_how_much_how_fast_and_how_long() {
        for (done, rate, expected) in [
            (0, 0.0, "0 B of 10.0 MB"),
            (2_500_000, 500_000.0, "2.50 MB of 10.0 MB, 500 kB/s, 15 s left"),
            (10_000_000, 500_000.0, "10.0 MB of 10.0 MB"),
        ] {
            assert_eq!(plain(done, Some(10_000_000), rate), expected);
        }
        assert_eq!(plain(2_500_000, None, 1.0), "2.50 MB decompressed and sent");
    }
}
