//! The door: arguments, one file per command.

pub mod check;
pub mod sandbox;
pub mod schema;
