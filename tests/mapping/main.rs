//! Lines in, events out: the pure core on real-looking and on hostile bytes.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod again;
mod built_in_presets;
mod chunking;
mod contract;
mod formats;
mod framing;
mod golden;
mod outcomes;
mod presets;
mod reasons;
mod samples;
mod support;
