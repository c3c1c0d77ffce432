//! The binary as an operator meets it: real processes, real files, real signals.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod kill;
mod life;
mod records;
mod sockets;
mod world;
