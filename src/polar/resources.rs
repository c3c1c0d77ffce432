//! Where meters, customers and organizations are, and which scope of the token each needs. Source: Polar's server.

use jiff::Timestamp;

use super::limits::LIST_MAX_ITEMS;
use super::reads::encode;

pub const METERS_PATH: &str = "/v1/meters/";
pub const CUSTOMERS_PATH: &str = "/v1/customers/";
/// Followed by the operator's own id of a customer.
pub const EXTERNAL_CUSTOMERS_PATH: &str = "/v1/customers/external/";
pub const CUSTOMER_METERS_PATH: &str = "/v1/customer-meters/";
pub const ORGANIZATIONS_PATH: &str = "/v1/organizations/";

pub const SCOPE_METERS_READ: &str = "meters:read";
pub const SCOPE_METERS_WRITE: &str = "meters:write";
pub const SCOPE_CUSTOMERS_READ: &str = "customers:read";
pub const SCOPE_CUSTOMERS_WRITE: &str = "customers:write";
pub const SCOPE_CUSTOMER_METERS_READ: &str = "customer_meters:read";
pub const SCOPE_ORGANIZATIONS_READ: &str = "organizations:read";

/// A page of a list at one of the paths above; pages count from 1.
#[must_use]
pub fn list_page(path: &str, page: u64) -> String {
    format!("{path}?page={page}&limit={LIST_MAX_ITEMS}")
}

/// The customer with the operator's own id.
#[must_use]
pub fn external_customer_path(external_id: &str) -> String {
    with_id(EXTERNAL_CUSTOMERS_PATH, external_id)
}

/// The customer with Polar's id.
#[must_use]
pub fn customer_path(id: &str) -> String {
    with_id(CUSTOMERS_PATH, id)
}

/// One meter.
#[must_use]
pub fn meter_path(id: &str) -> String {
    with_id(METERS_PATH, id)
}

fn with_id(path: &str, id: &str) -> String {
    let mut path = path.to_owned();
    encode(id, &mut path);
    path
}

/// Which quantities of a meter are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuantityQuery {
    pub since: Timestamp,
    pub until: Timestamp,
    /// `hour`, `day`, `week`, `month` or `year`.
    pub interval: &'static str,
    /// Of these customers alone, by the operator's own ids; empty is all.
    pub external_customer_ids: Vec<String>,
}

#[must_use]
pub fn quantities_path(meter_id: &str, query: &QuantityQuery) -> String {
    let mut path = with_id(METERS_PATH, meter_id);
    path.push_str("/quantities?interval=");
    path.push_str(query.interval);
    put(&mut path, "start_timestamp", &query.since.to_string());
    put(&mut path, "end_timestamp", &query.until.to_string());
    query.external_customer_ids.iter().for_each(|id| put(&mut path, "external_customer_id", id));
    path
}

fn put(path: &mut String, key: &str, value: &str) {
    path.push('&');
    path.push_str(key);
    path.push('=');
    encode(value, path);
}

/// What meters say of customers, by the operator's own id of each; empty is all.
#[must_use]
pub fn customer_meters_page(external_customer_ids: &[String], page: u64) -> String {
    let mut path = list_page(CUSTOMER_METERS_PATH, page);
    external_customer_ids.iter().for_each(|id| put(&mut path, "external_customer_id", id));
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_encoded() {
        assert_eq!(external_customer_path("a/b c"), "/v1/customers/external/a%2Fb%20c");
        assert_eq!(list_page(METERS_PATH, 2), "/v1/meters/?page=2&limit=100");
        assert_eq!(
            customer_meters_page(&["é".into()], 1),
            "/v1/customer-meters/?page=1&limit=100&external_customer_id=%C3%A9"
        );
        let query = QuantityQuery {
            since: "2026-11-01T00:00:00Z".parse().unwrap(),
            until: "2026-11-02T00:00:00Z".parse().unwrap(),
            interval: "day",
            external_customer_ids: vec!["acme".into()],
        };
        assert_eq!(
            quantities_path("m1", &query),
            "/v1/meters/m1/quantities?interval=day&start_timestamp=2026-11-01T00%3A00%3A00Z\
             &end_timestamp=2026-11-02T00%3A00%3A00Z&external_customer_id=acme"
        );
    }
}
