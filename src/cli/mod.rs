//! The door: arguments, one file per command.

pub mod check;
pub mod explain;
mod pretty;
pub mod sandbox;
pub mod schema;
pub mod test;
