//! The binary as an operator meets it: real processes, real files, real signals.

mod kill;
mod life;
mod world;
