//! Lines in, events out: the pure core on real-looking and on hostile bytes.

mod chunking;
mod golden;
mod outcomes;
mod samples;
mod support;
