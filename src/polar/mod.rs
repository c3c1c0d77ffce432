//! The contract of Polar's event API, as its server keeps it: limits, what an event must look like, how a
//! request is written and what an answer means.
//!
//! Pure: no clock, no disk, no network, nothing by chance. The agent reads answers with it, `check` and the mapping
//! take the limits from it, and the sandbox validates with it, so that the three cannot disagree about Polar.

pub mod answer;
pub mod body;
pub mod customers;
pub mod event;
pub mod fault;
pub mod http_date;
pub mod json;
pub mod limits;
pub mod metadata;
pub mod meters;
pub mod reads;
pub mod request;
pub mod resources;
pub mod stored;
pub mod system_events;
pub mod timestamp;
pub mod validate;

pub use answer::{Answer, NamedEvent, NamedFault, Refusal, read_answer};
pub use body::Body;
pub use http_date::http_date;
pub use request::{EVENTS_INGEST_PATH, Server};
