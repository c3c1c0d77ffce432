//! Events that Polar has, as they are compared.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::agent::reconcile::Says;
use crate::polar::stored;
use crate::shell::recount;

/// An event that is there and that no line is known for yet.
#[derive(Debug)]
pub(super) struct Stranger {
    /// Polar's.
    pub id: String,
    pub name: String,
    pub customer: String,
    pub timestamp: Timestamp,
    pub ways: Vec<Says>,
}

impl Stranger {
    pub fn of(event: stored::Event, ways: Vec<Says>) -> Self {
        let stored::Event { id, name, timestamp, external_customer_id, customer_id, .. } = event;
        let customer = external_customer_id.or(customer_id).unwrap_or_default();
        Self { id, name, customer, timestamp, ways }
    }
}

/// What an event of Polar says. A rule names the customer by its own id or by Polar's, so there are two ways.
pub(super) fn ways_of(event: &stored::Event, own_key: Option<&str>) -> Vec<Says> {
    let customers = event.external_customer_id.iter().chain(&event.customer_id);
    let says =
        |customer: &String| Says::of(&event.name, customer, Some(event.timestamp), &event.metadata, own_key);
    customers.map(says).collect()
}

/// What an event of a line says.
pub(super) fn says_of(event: &recount::Event<'_>, own_key: Option<&str>) -> Says {
    let metadata: Map<String, Value> =
        serde_json::from_str(event.metadata.get()).expect("metadata is an object");
    Says::of(&event.name, event.customer(), event.timestamp, &metadata, own_key)
}
