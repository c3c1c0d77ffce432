//! A line's journey, pure: framing → container → format → rule → event.
//!
//! The same arguments give the same result, however the bytes are cut into chunks.

mod again;
mod choice;
mod chunk;
mod condition;
mod escapes;
mod event;
mod explain;
mod expression;
mod formats;
mod fragments;
mod framing;
mod found;
mod instant;
mod leaving;
mod letter;
mod line;
mod literals;
pub mod identity;
mod ids;
mod plain;
mod recognise;
mod rules;
mod scope;
pub mod segment;
mod slots;
mod stencil;
pub mod spool;

pub use again::{Again, AgainBilled, are_lines_of, is_named_by, lines_of, map_again};
pub use chunk::{End, MapContext, ReadFault, ReadWindow, Scratch, map};
pub use explain::{
    Excerpt, ExplainedEvent, ExplainedOutcome, Explanation, RuleVerdict, Verdict, excerpts, explain, text_of,
};
pub use leaving::{Form, Leaving};
pub use recognise::Recogniser;
pub use rules::{Rules, TimeRange};
