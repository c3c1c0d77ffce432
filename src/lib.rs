//! Floe tails log files, maps their lines to Polar events and delivers each of them once.
//!
//! `ARCHITECTURE.md` has the picture. Imports go one way, in the order of the modules below; a test in
//! `tests/architecture` keeps it so.

// A guarantee is said with `expect`; what is not guaranteed is returned.
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

pub mod model;
pub mod polar;
pub mod config;
pub mod mapping;
pub mod proposal;
pub mod agent;
pub mod shell;
pub mod sandbox;
pub mod cli;
