//! The door: arguments, one file per command.

pub mod sandbox;
