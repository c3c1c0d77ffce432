//! A line's journey, pure: framing → format → rule → event.
//!
//! The same arguments give the same result, however the bytes are cut into chunks.

mod chunk;
pub mod identity;
mod rules;

pub use chunk::{MapContext, ReadFault, ReadWindow, Scratch, map, map_last_line};
pub use rules::Rules;
