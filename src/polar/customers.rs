//! Customers, what their meters stand at, and the organization, as the server gives them. Read leniently: of what is not
//! needed here nothing must be there.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::meters::Meter;

/// A customer of `GET /v1/customers/`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Customer {
    pub id: String,
    #[serde(default)]
    pub external_id: Option<String>,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub email: Option<String>,
    /// Set where the customer is gone: what is sent for it is billed to nobody.
    #[serde(default)]
    pub deleted_at: Option<Timestamp>,
    /// Where Polar gives them along.
    #[serde(default)]
    pub members: Vec<Member>,
    /// Keys that are not known here.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Somebody of a customer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    pub id: String,
    #[serde(default)]
    pub external_id: Option<String>,
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// What one meter says of one customer: `GET /v1/customer-meters/`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CustomerMeter {
    pub id: String,
    pub customer_id: String,
    pub meter_id: String,
    pub consumed_units: f64,
    pub credited_units: f64,
    pub balance: f64,
    #[serde(default)]
    pub customer: Option<Customer>,
    #[serde(default)]
    pub meter: Option<Meter>,
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// What a meter counted in each interval: `GET /v1/meters/{id}/quantities`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeterQuantities {
    pub quantities: Vec<MeterQuantity>,
    pub total: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeterQuantity {
    /// The start of the interval.
    pub timestamp: Timestamp,
    pub quantity: f64,
}

/// An organization of `GET /v1/organizations/`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Organization {
    pub id: String,
    pub name: String,
    #[serde(default)]
    pub slug: Option<String>,
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_kept_and_what_is_not_there_is_no_fault() {
        let customer: Customer =
            serde_json::from_str(r#"{"id":"c","type":"team","email":null,"tax_id":["1","us_ein"]}"#).unwrap();
        assert_eq!((customer.external_id, customer.members), (None, Vec::new()));
        assert_eq!(customer.rest["type"], "team");
        let of_customer: CustomerMeter = serde_json::from_str(
            r#"{"id":"x","customer_id":"c","meter_id":"m","consumed_units":25.5,"credited_units":100,"balance":74.5,
                "customer":{"id":"c","external_id":"acme"},"created_at":"2026-01-01T00:00:00Z"}"#,
        )
        .unwrap();
        assert_eq!(of_customer.customer.unwrap().external_id.as_deref(), Some("acme"));
        let organization: Organization =
            serde_json::from_str(r#"{"id":"o","name":"Acme","slug":"acme","features":{}}"#).unwrap();
        assert!(organization.rest.contains_key("features"));
    }
}
