//! Floe tails log files, maps their lines to Polar events and delivers each of them once.
//!
//! `ARCHITECTURE.md` has the picture. Imports go one way, in the order of the modules below; a test in
//! `tests/architecture` keeps it so.

pub mod model;
pub mod polar;
pub mod config;
pub mod mapping;
pub mod agent;
pub mod shell;
pub mod sandbox;
pub mod cli;
