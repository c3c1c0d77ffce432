//! What the hands report to the daemon's loop. All of it comes through one channel, so that the order in which
//! the agent hears of things is the order in which they happened.

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::admin::snapshot::Numbers;
use super::look::Found;
use crate::agent::Input;
use crate::model::Moment;

/// One report.
#[derive(Debug)]
pub enum Event {
    /// For the agent as it is.
    Input(Box<Input>),
    /// A walk is over. `generation` says with which settings it was made.
    Looked { generation: u64, found: Found },
    /// Something happened in a watched folder; the doorbell knows where.
    Rung,
    /// The operator wants something.
    Command(Command),
    /// The admin endpoint wants to know how things stand.
    Asked(oneshot::Sender<Numbers>),
    /// Nothing more comes in by sockets or the standard input: the agent may drain, until `by`.
    IntakeClosed { by: Moment },
    /// A thread of ours panicked: our own mistake, and the end of the process.
    Broken(String),
}

/// What an operator (a signal, a test, the demo) can ask of a running daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Read to the end of what is there, bring it home, then end.
    Drain,
    /// Read the config again.
    Reload,
}

/// Where reports go. The loop outlives everyone who reports; at its end nobody listens any more, and that is fine.
#[derive(Debug, Clone)]
pub struct Reports(UnboundedSender<Event>);

impl Reports {
    #[must_use]
    pub fn new(sender: UnboundedSender<Event>) -> Self {
        Self(sender)
    }

    pub fn send(&self, event: Event) {
        let _ = self.0.send(event);
    }

    pub fn input(&self, input: Input) {
        self.send(Event::Input(Box::new(input)));
    }
}

/// What a panic said.
#[must_use]
pub fn words_of_panic(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "for an unknown reason".to_owned())
}
