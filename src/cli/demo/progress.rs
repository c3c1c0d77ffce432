//! How the demo shows that it goes on: a bar on a terminal, a few plain lines elsewhere.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

/// Shared between the writer and the watcher.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Hidden where nobody sees it.
    bar: ProgressBar,
    on_terminal: bool,
}

impl Progress {
    #[must_use]
    pub fn new(lines: u64) -> Self {
        let on_terminal = std::io::stderr().is_terminal();
        let bar = if on_terminal { ProgressBar::new(lines) } else { ProgressBar::hidden() };
        let style =
            ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} lines settled, {per_sec}")
                .expect("the template names only what a bar has");
        bar.set_style(style);
        Self { bar, on_terminal }
    }

    /// So many lines are settled.
    pub fn settled(&self, lines: u64) {
        self.bar.set_position(lines);
    }

    /// A line above the bar.
    pub fn say(&self, what: &str) {
        if self.on_terminal {
            self.bar.println(what);
        } else {
            anstream::eprintln!("{what}");
        }
    }

    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
