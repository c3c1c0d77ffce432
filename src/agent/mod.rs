//! The machine: tail (streams, identity, rotation), ship (flights, retries, splits), books (ledger,
//! checkpoint). Inputs go in, effects come out; it knows no clock, no disk, no network, no randomness.
//!
//! Call [`Agent::handle`] with each input, then [`Agent::poll`] until it gives nothing, then wait until
//! [`Agent::deadline`] (and send [`Input::Tick`]) or for the next input.

mod border;
pub mod checkpoint;
mod notice;

pub use border::{
    Against, Agreement, AskId, Asked, DiskFault, Effect, Input, LettersId, Now, Outcome, ReadId, ReadOrder,
    RequestId, SaveId, Sighting, Status,
};
pub use notice::{Level, Notice, NoticeCode};

use std::sync::Arc;

use crate::config::Settings;
use crate::mapping::Rules;
use crate::model::Moment;

use checkpoint::{Checkpoint, Floors};

/// What the state folder held when the process began.
#[derive(Debug, Clone, Default)]
pub struct Restored {
    /// The newest checkpoint that could be read.
    pub checkpoint: Option<Checkpoint>,
    /// True when the folder was in use before, but no checkpoint of it can be read: ordinals are unknown
    /// then, and files with equal prints are held.
    pub checkpoint_lost: bool,
    pub floors: Floors,
}

/// The whole decision-making part of the daemon.
#[derive(Debug)]
pub struct Agent {}

impl Agent {
    /// An agent at its first step. `seed` is for jitter alone.
    #[must_use]
    pub fn new(
        _settings: Arc<Settings>,
        _rules: Arc<Rules>,
        _restored: Restored,
        _now: Now,
        _seed: u64,
    ) -> Self {
        unimplemented!()
    }

    /// Takes one input in. Never blocks, never fails.
    pub fn handle(&mut self, _now: Now, _input: Input) {
        unimplemented!()
    }

    /// The next thing to do, until there is none.
    #[must_use]
    pub fn poll(&mut self) -> Option<Effect> {
        unimplemented!()
    }

    /// When [`Input::Tick`] is due, if nothing else comes first.
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        unimplemented!()
    }

    /// The agent at a glance, for the account, the demo's progress bar, status pages and the simulation.
    #[must_use]
    pub fn status(&self) -> Status {
        unimplemented!()
    }

    /// Asserts every invariant that can be told from inside. The simulation calls it after each step.
    ///
    /// # Panics
    /// When one does not hold.
    pub fn check_invariants(&self) {
        unimplemented!()
    }
}
