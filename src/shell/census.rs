//! A rehearsal's stand-in for Polar: it counts what would be sent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

use super::client::Reply;
use crate::agent::Outcome;
use crate::polar::Answer;

/// What was counted.
#[derive(Debug, Clone, Default)]
pub struct Counted {
    /// By the event's name.
    pub events: BTreeMap<String, u64>,
    /// Short hashes of the customers' ids: millions of them fit in memory.
    customers: BTreeSet<u64>,
}

impl Counted {
    #[must_use]
    pub fn customers(&self) -> usize {
        self.customers.len()
    }
}

/// Takes every request.
#[derive(Debug, Default)]
pub struct Census(Mutex<Counted>);

impl Census {
    /// What was counted so far.
    #[must_use]
    pub fn counted(&self) -> Counted {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers as Polar would have.
    #[must_use]
    pub fn accept(&self, body: &[u8]) -> Reply {
        #[derive(Deserialize)]
        struct Request {
            events: Vec<Event>,
        }
        #[derive(Deserialize)]
        struct Event {
            name: String,
            external_customer_id: Option<String>,
            customer_id: Option<String>,
        }
        let request: Request = match serde_json::from_slice(body) {
            Ok(request) => request,
            Err(error) => return Reply::none(format!("the request is no JSON: {error}")),
        };
        let inserted = request.events.len() as u64;
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for event in request.events {
            let customer = event.external_customer_id.or(event.customer_id).unwrap_or_default();
            counted.customers.insert(crate::model::file::short_print(customer.as_bytes()));
            *counted.events.entry(event.name).or_default() += 1;
        }
        Reply { outcome: Outcome::Answer(Answer::Accepted { inserted, duplicates: 0 }), polar_clock: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_by_name_and_customers_once() {
        let census = Census::default();
        let _ = census.accept(br#"{"events":[{"name":"a","external_customer_id":"x"},{"name":"b","external_customer_id":"x"}]}"#);
        let reply = census.accept(br#"{"events":[{"name":"a","customer_id":"y"}]}"#);
        assert_eq!(reply.outcome, Outcome::Answer(Answer::Accepted { inserted: 1, duplicates: 0 }));
        let counted = census.counted();
        assert_eq!((counted.events["a"], counted.events["b"], counted.customers()), (2, 1, 2));
    }
}
