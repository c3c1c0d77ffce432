//! Hands: disk, notify, reqwest, state folder, quarantine, signals. They perform the agent's effects and report
//! back; what to do about what they report is decided in the agent.

pub mod admin;
pub mod asking;
pub mod backfill;
pub mod census;
pub mod client;
pub mod content;
pub mod daemon;
pub mod descriptors;
pub mod discard;
pub mod disk;
pub mod errand;
mod durable;
mod entries;
#[cfg(test)]
mod fixtures;
pub mod event;
pub mod given;
pub mod identity;
pub mod intake;
mod journal;
pub mod logs;
pub mod look;
mod lookout_thread;
pub mod numbering;
pub mod numbers;
pub mod quarantine;
pub mod pool;
mod read_ahead;
pub mod readers;
pub mod reconcile;
pub mod recount;
pub mod reload;
pub mod retried;
pub mod retry;
mod saver;
mod sent_body;
pub mod service_manager;
pub mod shadow;
pub mod shelf;
pub mod signals;
pub mod spool;
pub mod state;
pub mod told;
pub mod token;
pub mod watch;
