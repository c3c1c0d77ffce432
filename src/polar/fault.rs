//! What Polar's server finds wrong with an event, and how its 422 says it.
//!
//! The server's schema library tries both forms of an event, with a `customer_id` and with an
//! `external_customer_id`, and reports the faults of both; a client has to ignore those of the form it does not use.

use std::borrow::Cow;
use std::fmt::Write;

use crate::polar::json::{Json, write_string};

/// The two forms of an event, by the names that the server gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Branch {
    /// The event names a customer of Polar by `customer_id`.
    Customer,
    /// The event names a customer by the operator's own id.
    ExternalCustomer,
}

impl Branch {
    pub fn name(self) -> &'static str {
        match self {
            Branch::Customer => "EventCreateCustomer",
            Branch::ExternalCustomer => "EventCreateExternalCustomer",
        }
    }

    pub fn of_name(name: &str) -> Option<Branch> {
        [Branch::Customer, Branch::ExternalCustomer].into_iter().find(|branch| branch.name() == name)
    }
}

/// One entry of the `detail` list of a 422.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault<'a> {
    /// The event's place in the request.
    pub index: u32,
    /// None where the server looks at the event after its schema passed.
    pub branch: Option<Branch>,
    pub finding: Finding<'a>,
}

/// What is wrong, without saying with which event.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding<'a> {
    /// The server's `type`, such as `string_too_long`.
    pub kind: &'static str,
    /// The place inside the event, from its top.
    pub path: Vec<Cow<'a, str>>,
    pub message: Cow<'static, str>,
    /// What stands there; for a missing key what it is missing from.
    pub input: &'a Json<'a>,
    /// The server's `ctx`, as JSON.
    pub context: Option<String>,
}

impl<'a> Finding<'a> {
    pub fn new(
        kind: &'static str,
        message: impl Into<Cow<'static, str>>,
        input: &'a Json<'a>,
    ) -> Finding<'a> {
        Finding { kind, path: Vec::new(), message: message.into(), input, context: None }
    }

    pub fn missing(key: &'static str, from: &'a Json<'a>) -> Finding<'a> {
        Finding::new("missing", "Field required", from).at(key)
    }

    /// A fault that code of the server found, not its schema.
    pub fn value_error(message: &'static str, input: &'a Json<'a>) -> Finding<'a> {
        Finding::new("value_error", format!("Value error, {message}"), input).with("{\"error\":{}}")
    }

    #[must_use]
    pub fn at(mut self, key: impl Into<Cow<'a, str>>) -> Finding<'a> {
        self.path.insert(0, key.into());
        self
    }

    #[must_use]
    pub fn with(mut self, context: impl Into<String>) -> Finding<'a> {
        self.context = Some(context.into());
        self
    }
}

impl Fault<'_> {
    /// Appends it as the server writes it.
    pub fn write(&self, out: &mut String) {
        out.push_str("{\"type\":");
        write_string(self.finding.kind, out);
        write!(out, ",\"loc\":[\"body\",\"events\",{}", self.index)
            .expect("writing to a String does not fail");
        for key in
            self.branch.map(Branch::name).into_iter().chain(self.finding.path.iter().map(AsRef::as_ref))
        {
            out.push(',');
            write_string(key, out);
        }
        out.push_str("],\"msg\":");
        write_string(&self.finding.message, out);
        out.push_str(",\"input\":");
        self.finding.input.write(out);
        if let Some(context) = &self.finding.context {
            out.push_str(",\"ctx\":");
            out.push_str(context);
        }
        out.push('}');
    }
}

/// The body of a 422 with these faults. `error` is `RequestValidationError` for the schema's and
/// `PolarRequestValidationError` for what the server finds later.
pub fn body_of(error: &str, faults: &[Fault<'_>]) -> String {
    let mut out = format!("{{\"error\":\"{error}\",\"detail\":[");
    for (place, fault) in faults.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        fault.write(&mut out);
    }
    out.push_str("]}");
    out
}
