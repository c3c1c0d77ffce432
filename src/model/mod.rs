//! The nouns that every layer shares. Nothing here decides anything.

pub mod account;
pub mod chunk;
pub mod file;
pub mod letter;
pub mod moment;
pub mod reason;
pub mod room;
pub mod spare;

pub use account::{Count, DayAccount, Fate, Missed, SourceAccount, Tally};
pub use chunk::{BilledLine, HeldLine, MappedChunk, Stop};
pub use file::{Compression, FileKey, Generation, Guard, Mark, Offset, Print, SourceIndex, Span, StreamId};
pub use letter::{Letter, LetterId};
pub use moment::Moment;
pub use reason::{Dropped, Ignored, Quarantined};
pub use room::passing_room;
pub use spare::Spare;
