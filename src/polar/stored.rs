//! Events and their names as the server gives them back.
//!
//! Reading is lenient where Polar may grow: an unknown name, an unknown key or a missing optional one is no error.
//! `external_id` is not among the fields: the server neither returns it nor filters by it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::limits::LIST_MAX_ITEMS;
use super::system_events::SystemEvent;

/// Who made an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventSource {
    /// Polar.
    System,
    /// Somebody with the ingestion API.
    User,
}

/// An event of `GET /v1/events/`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub id: String,
    pub timestamp: Timestamp,
    pub organization_id: String,
    #[serde(default)]
    pub customer_id: Option<String>,
    /// The customer in full; null until there is one with this external id.
    #[serde(default)]
    pub customer: Option<Value>,
    #[serde(default)]
    pub external_customer_id: Option<String>,
    #[serde(default)]
    pub member_id: Option<String>,
    #[serde(default)]
    pub external_member_id: Option<String>,
    #[serde(default)]
    pub child_count: u64,
    #[serde(default)]
    pub parent_id: Option<String>,
    pub label: String,
    pub source: EventSource,
    pub name: String,
    #[serde(default)]
    pub metadata: Map<String, Value>,
    /// Keys that are not known here.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Event {
    /// What it says, where Polar made it and its name is known.
    #[must_use]
    pub fn system(&self) -> Option<SystemEvent> {
        match self.source {
            EventSource::System => SystemEvent::read(&self.name, &self.metadata),
            EventSource::User => None,
        }
    }
}

/// An entry of `GET /v1/events/names`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventName {
    pub name: String,
    pub label: String,
    pub source: EventSource,
    pub occurrences: u64,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub pagination: Pagination,
}

impl<T> Page<T> {
    /// Whether nothing comes behind it. `number`: of the page, from 1.
    #[must_use]
    pub fn is_last(&self, number: u64) -> bool {
        self.items.len() < LIST_MAX_ITEMS || number >= self.pagination.max_page
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pagination {
    pub total_count: u64,
    pub max_page: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_event_with_an_unknown_name_is_read() {
        let json = r#"{"id":"1","timestamp":"2026-11-01T00:00:00Z","organization_id":"o","customer_id":null,
            "customer":null,"external_customer_id":null,"label":"New","source":"system","name":"order.teleported",
            "metadata":{"order_id":"x","nested":{"a":[1]}},"something_new":1}"#;
        let event: Event = serde_json::from_str(json).expect("unknown names and keys are no error");
        assert_eq!((event.source, event.name.as_str()), (EventSource::System, "order.teleported"));
    }
}
