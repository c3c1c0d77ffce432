//! A model of Polar: validation, all or nothing, permanent dedupe, its own clock, and its moods.
//!
//! It is written from Polar's facts, not from `floe::polar`, so that the two check each other. It notes what a
//! correct client never sends; see [`Receipt::faults`].

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::lines::{CUSTOMER_STEM, KNOWN_CUSTOMERS};
use crate::oracle::{Key, SentEvent, Via};
use crate::random::Random;

/// How Polar, or what stands before it, feels for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Well,
    /// Each request gets this status and nothing is kept: 401, 403, 404, 408, 500, 502, 503.
    Answering(u16),
    /// Every second request fails with this status.
    Shaky(u16),
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub retry_after: Option<&'static str>,
    pub body: String,
}

/// What came of a request.
#[derive(Debug)]
pub struct Receipt {
    pub reply: Reply,
    pub sent: Vec<SentEvent>,
    /// Places in `sent` of the events that are new to Polar.
    pub inserted: Vec<usize>,
    /// What a correct client never sends.
    pub faults: Vec<String>,
    /// Events that are refused for a timestamp in the future, with the seconds that they are ahead.
    pub early: Vec<(String, i64)>,
}

#[derive(Debug)]
pub struct Polar {
    pub mood: Mood,
    /// A proxy before Polar refuses larger bodies.
    pub max_body_bytes: usize,
    pub requests_per_minute: usize,
    /// The minute began here, and saw this many requests.
    window: (Timestamp, usize),
    events: BTreeMap<String, SentEvent>,
}

impl Polar {
    pub fn new(now: Timestamp) -> Self {
        Self {
            mood: Mood::Well,
            max_body_bytes: 10 * 1024 * 1024,
            requests_per_minute: 500,
            window: (now, 0),
            events: BTreeMap::new(),
        }
    }

    /// One request arrives whole.
    pub fn receive(&mut self, now: Timestamp, body: &[u8], random: &mut Random) -> Receipt {
        let mut receipt = read(body);
        receipt.reply = self.answer(now, body.len(), &mut receipt, random);
        receipt
    }

    fn answer(&mut self, now: Timestamp, size: usize, receipt: &mut Receipt, random: &mut Random) -> Reply {
        if self.is_over_the_limit(now) {
            return Reply { status: 429, retry_after: Some("60"), body: String::new() };
        }
        match self.mood {
            Mood::Answering(status) => return bare(status),
            Mood::Shaky(status) if random.chance(50) => return bare(status),
            Mood::Well | Mood::Shaky(_) => {}
        }
        if size > self.max_body_bytes {
            return bare(413);
        }
        if receipt.sent.iter().any(|event| event.customer == "poison-failing") {
            return bare(500);
        }
        let early = |event: &SentEvent| event.timestamp.is_some_and(|timestamp| timestamp > now);
        let schema = named(receipt, |event| {
            if event.customer == "poison-named" {
                Some(("external_customer_id", "value_error", "Value error, no such thing"))
            } else if early(event) {
                Some(("timestamp", "value_error", "Value error, Timestamp must be in the past."))
            } else {
                None
            }
        });
        if let Some(reply) = schema {
            let named = receipt.sent.iter().filter(|event| early(event) && event.customer != "poison-named");
            let ahead = |event: &SentEvent| event.timestamp.map_or(0, |at| at.duration_since(now).as_secs());
            receipt.early = named.map(|event| (event.external_id.clone(), ahead(event))).collect();
            return reply;
        }
        if receipt.sent.iter().any(|event| event.customer == "poison-unnamed") {
            return Reply { status: 422, retry_after: None, body: "{\"detail\":\"no\"}".to_owned() };
        }
        if let Some(reply) = unknown_customers(receipt) {
            return reply;
        }
        self.commit(receipt)
    }

    fn commit(&mut self, receipt: &mut Receipt) -> Reply {
        for (place, event) in receipt.sent.iter().enumerate() {
            if !self.events.contains_key(&event.external_id) {
                self.events.insert(event.external_id.clone(), event.clone());
                receipt.inserted.push(place);
            }
        }
        let inserted = receipt.inserted.len();
        let duplicates = receipt.sent.len() - inserted;
        let body = json!({ "inserted": inserted, "duplicates": duplicates }).to_string();
        Reply { status: 200, retry_after: None, body }
    }

    /// A fixed window of a minute, from its first request.
    fn is_over_the_limit(&mut self, now: Timestamp) -> bool {
        if now.duration_since(self.window.0).as_secs() >= 60 {
            self.window = (now, 0);
        }
        self.window.1 += 1;
        self.window.1 > self.requests_per_minute
    }
}

fn bare(status: u16) -> Reply {
    let body = match status {
        401 => json!({ "error": "invalid_token" }).to_string(),
        413 => json!({ "error": "RequestBodyTooLarge" }).to_string(),
        500 => "Internal Server Error".to_owned(),
        _ => "<html>no</html>".to_owned(),
    };
    Reply { status, retry_after: None, body }
}

/// A 422 that names the events of which `fault` has something to say, as Polar words it.
fn named(
    receipt: &Receipt,
    fault: impl Fn(&SentEvent) -> Option<(&'static str, &'static str, &'static str)>,
) -> Option<Reply> {
    let detail: Vec<Value> = receipt
        .sent
        .iter()
        .enumerate()
        .filter_map(|(place, event)| {
            let (field, kind, message) = fault(event)?;
            let branch = if event.customer.starts_with(CUSTOMER_STEM) {
                "EventCreateCustomer"
            } else {
                "EventCreateExternalCustomer"
            };
            Some(json!({
                "type": kind, "loc": ["body", "events", place, branch, field], "msg": message, "input": "…",
            }))
        })
        .collect();
    refuse("RequestValidationError", detail)
}

fn unknown_customers(receipt: &Receipt) -> Option<Reply> {
    let detail: Vec<Value> = receipt
        .sent
        .iter()
        .enumerate()
        .filter(|(_, event)| is_unknown(&event.customer))
        .map(|(place, event)| {
            json!({
                "type": "value_error", "loc": ["body", "events", place, "customer_id"],
                "msg": "Customer not found.", "input": event.customer,
            })
        })
        .collect();
    refuse("PolarRequestValidationError", detail)
}

fn refuse(error: &str, detail: Vec<Value>) -> Option<Reply> {
    if detail.is_empty() {
        return None;
    }
    let body = json!({ "error": error, "detail": detail }).to_string();
    Some(Reply { status: 422, retry_after: None, body })
}

fn is_unknown(customer: &str) -> bool {
    let digit = customer.strip_prefix(CUSTOMER_STEM).and_then(|digit| digit.parse::<u64>().ok());
    digit.is_some_and(|digit| digit >= KNOWN_CUSTOMERS)
}

/// Reads a body as strictly as Polar does, and somewhat more. A request without events asks for the time.
fn read(body: &[u8]) -> Receipt {
    let mut receipt = Receipt {
        reply: bare(400),
        sent: Vec::new(),
        inserted: Vec::new(),
        faults: Vec::new(),
        early: Vec::new(),
    };
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        receipt.faults.push("the body is not JSON".to_owned());
        return receipt;
    };
    let Some(events) = value["events"].as_array() else {
        receipt.faults.push("the body has no list of events".to_owned());
        return receipt;
    };
    if body.len() > 10_485_760 {
        receipt.faults.push("a body over 10 MiB".to_owned());
    }
    for event in events {
        let (sent, faults) = read_event(event);
        receipt.faults.extend(faults);
        receipt.sent.push(sent);
    }
    receipt
}

fn read_event(event: &Value) -> (SentEvent, Vec<String>) {
    let mut faults = Vec::new();
    let mut fault = |what: &str| faults.push(format!("{what}: {event}"));
    let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let name = text("name");
    if name.is_empty() || name.chars().count() > 128 {
        fault("a bad name");
    }
    let external_id = text("external_id");
    if external_id.is_empty() {
        fault("no external_id");
    }
    let customer = match (&event["external_customer_id"], &event["customer_id"]) {
        (Value::String(id), Value::Null) | (Value::Null, Value::String(id)) => id.clone(),
        _ => {
            fault("not one customer");
            String::new()
        }
    };
    let timestamp = match &event["timestamp"] {
        Value::Null => None,
        Value::String(text) => text.parse::<Timestamp>().map_or_else(
            |_| {
                fault("a timestamp that cannot be read");
                None
            },
            Some,
        ),
        _ => {
            fault("a timestamp that is no text");
            None
        }
    };
    let metadata = event["metadata"].as_object();
    for (key, value) in metadata.into_iter().flatten() {
        let good = match value {
            Value::String(text) => (1..=500).contains(&text.chars().count()) && !text.contains('\0'),
            Value::Number(_) | Value::Bool(_) => true,
            Value::Null | Value::Array(_) | Value::Object(_) => false,
        };
        if !good || key.is_empty() || key.chars().count() > 40 {
            fault("bad metadata");
        }
    }
    let tag = event["metadata"]["n"].as_u64().map(|n| n.to_string());
    let request = event["metadata"]["request"].as_str().map(str::to_owned);
    let via = if event["metadata"]["via"] == "also" { Via::Also } else { Via::End };
    let key = tag.or(request).map(|tag| Key { tag, via });
    let amount = event["metadata"]["amount"].as_f64();
    (SentEvent { external_id, key, name, customer, amount, timestamp }, faults)
}
