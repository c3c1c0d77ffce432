//! The binary as an operator meets it: real processes, real files, real signals.
//!
//! A name that begins with `s07_` covers point 7 of docs/reliability.md.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod account;
mod admin;
mod against_polar;
mod backfill;
mod blame;
mod compressed;
mod descriptors;
mod endpoint;
mod events;
mod files;
mod front;
mod kill;
mod life;
mod limits;
mod lines;
mod quarantine;
mod records;
mod reconcile;
mod recount;
mod rotation;
mod service_manager;
mod shadow;
mod sockets;
mod state;
mod world;
mod writers;
