//! Lines in, events out: the pure core on real-looking and on hostile bytes.

mod chunking;
mod golden;
mod outcomes;
mod reasons;
mod samples;
mod support;
