//! An event as the ingest endpoint has read it.

use jiff::Timestamp;
use uuid::Uuid;

use crate::polar::json::{Json, Object};

/// An event whose schema is right.
#[derive(Debug, Clone, PartialEq)]
pub struct UserEvent<'a> {
    pub name: &'a str,
    /// None is the moment of its arrival.
    pub timestamp: Option<Timestamp>,
    pub organization_id: Option<Uuid>,
    pub external_id: Option<&'a str>,
    pub parent_id: Option<&'a str>,
    pub customer: Customer<'a>,
    pub metadata: Option<&'a Object<'a>>,
    /// The event as it was sent.
    pub sent: &'a Json<'a>,
    /// The schema takes it and the database does not: the whole batch gets a 500.
    pub breaks_the_server: bool,
}

/// Whom an event is billed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Customer<'a> {
    /// A customer of Polar, who must exist, and a member of that customer.
    Polar { id: Uuid, member: Option<Uuid> },
    /// The operator's own ids. They need not exist.
    External { id: &'a str, member: Option<&'a str> },
}
