//! What the sandbox has besides events: where it is asked for, and by which scope.

use serde_json::Value;

use crate::polar::resources::{
    SCOPE_CUSTOMER_METERS_READ, SCOPE_CUSTOMERS_READ, SCOPE_CUSTOMERS_WRITE, SCOPE_METERS_READ,
    SCOPE_METERS_WRITE, SCOPE_ORGANIZATIONS_READ,
};
use crate::sandbox::customers;
use crate::sandbox::meters::json_reply;
use crate::sandbox::query::decoded;
use crate::sandbox::reading;
use crate::sandbox::reply::Reply;
use crate::sandbox::service::{Call, CallBody, Service, redirect};

const METERS_READ: &[&str] = &[SCOPE_METERS_READ, SCOPE_METERS_WRITE];
const CUSTOMERS_READ: &[&str] = &[SCOPE_CUSTOMERS_READ, SCOPE_CUSTOMERS_WRITE];

impl Service {
    /// `None` where the path is of nothing that is known here.
    pub(super) fn resource(&self, call: &Call<'_>) -> Option<Reply> {
        let path: Vec<&str> = call.path.strip_prefix("/v1/")?.split('/').collect();
        Some(match (path.as_slice(), call.method) {
            (["meters" | "customers" | "customer-meters" | "organizations"], _) => {
                redirect(call, &format!("{}/", call.path))
            }
            (["meters", ..], _) => self.meters(call, &path[1..])?,
            (["customers", ..], _) => self.customers(call, &path[1..])?,
            (["customer-meters", ""], "GET") => {
                self.allowed(call, &[SCOPE_CUSTOMER_METERS_READ], |state, directory, access| {
                    customers::meters(&state.store, directory, &state.meters, access, call.query)
                })
            }
            (["organizations", ""], "GET") => {
                self.allowed(call, &[SCOPE_ORGANIZATIONS_READ], |_, directory, access| {
                    customers::organizations(directory, access, call.query)
                })
            }
            (["customer-meters" | "organizations", ""], _) => Reply::method_not_allowed("GET"),
            _ => return None,
        })
    }

    fn meters(&self, call: &Call<'_>, path: &[&str]) -> Option<Reply> {
        Some(match (path, call.method) {
            ([""], "GET") => {
                self.allowed(call, METERS_READ, |state, _, access| state.meters.list(access, call.query))
            }
            ([""], "POST") => self.allowed(call, &[SCOPE_METERS_WRITE], |state, directory, access| {
                let now = state.now();
                state.meters.create(directory, access, &body(call)?, now)
            }),
            ([id], "GET") => self.allowed(call, METERS_READ, |state, _, access| state.meters.one(access, id)),
            ([id], "PATCH") => self.allowed(call, &[SCOPE_METERS_WRITE], |state, _, access| {
                let now = state.now();
                state.meters.change(access, id, &body(call)?, now)
            }),
            ([id, "quantities"], "GET") => self.allowed(call, METERS_READ, |state, directory, access| {
                state.meters.quantities(&state.store, directory, access, id, call.query)
            }),
            ([""], _) => Reply::method_not_allowed("GET, POST"),
            ([_], _) => Reply::method_not_allowed("GET, PATCH"),
            ([_, "quantities"], _) => Reply::method_not_allowed("GET"),
            _ => return None,
        })
    }

    fn customers(&self, call: &Call<'_>, path: &[&str]) -> Option<Reply> {
        Some(match (path, call.method) {
            ([""], "GET") => self.allowed(call, CUSTOMERS_READ, |_, directory, access| {
                customers::list(directory, access, call.query)
            }),
            ([""], "POST") => self.create_customer(call),
            ([id], "GET") => self
                .allowed(call, CUSTOMERS_READ, |_, directory, access| customers::one(directory, access, id)),
            (["external", id], "GET") => self.allowed(call, CUSTOMERS_READ, |_, directory, access| {
                customers::external(directory, access, &decoded(&id.replace('+', "%2B")))
            }),
            ([""], _) => Reply::method_not_allowed("GET, POST"),
            ([_] | ["external", _], _) => Reply::method_not_allowed("GET"),
            _ => return None,
        })
    }

    /// Events that named the customer before it was there are its own from now on.
    fn create_customer(&self, call: &Call<'_>) -> Reply {
        let mut new = None;
        let reply = self.allowed(call, &[SCOPE_CUSTOMERS_WRITE], |state, directory, access| {
            let (index, customer) = customers::create(directory, access, &body(call)?)?;
            let now = state.now();
            customers::announce(&mut state.store, directory, index, &customer, now)?;
            state.last_search = reading::LastSearch::default();
            let reply = json_reply(201, &customers::shown(directory, index, &customer));
            new = Some((index, customer));
            Ok(reply)
        });
        if let Some((index, customer)) = new {
            self.add_customer(index, customer);
        }
        reply
    }
}

/// The body as JSON.
fn body(call: &Call<'_>) -> Result<Value, Reply> {
    let CallBody::Read(body) = call.body else { return Err(Reply::length_required()) };
    serde_json::from_slice(body).map_err(|error| {
        let context = serde_json::json!({ "error": error.to_string() }).to_string();
        Reply::invalid("json_invalid", "[\"body\",0]", "JSON decode error", "{}", Some(&context))
    })
}
