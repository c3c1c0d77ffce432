//! The events of a body, as Polar would read them.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

/// An event that mapping wrote.
#[derive(Debug, Clone, Deserialize)]
pub struct Event<'a> {
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    #[serde(borrow)]
    pub external_id: Cow<'a, str>,
    /// The application's id of the customer, or
    #[serde(borrow, default)]
    pub external_customer_id: Option<Cow<'a, str>>,
    /// Polar's.
    #[serde(borrow, default)]
    pub customer_id: Option<Cow<'a, str>>,
    /// `None`: it is of the moment at which Polar takes it.
    #[serde(default)]
    pub timestamp: Option<Timestamp>,
    #[serde(borrow)]
    pub metadata: &'a RawValue,
}

impl Event<'_> {
    /// The customer as the rule names it.
    #[must_use]
    pub fn customer(&self) -> &str {
        self.external_customer_id.as_deref().or(self.customer_id.as_deref()).unwrap_or_default()
    }
}

/// The events of a body (each followed by `,`), each with its JSON.
///
/// # Panics
/// When the body is none that mapping wrote: that is our own mistake.
#[must_use]
pub fn events_of(body: &[u8]) -> Vec<(Event<'_>, &str)> {
    let body = body.strip_suffix(b",").unwrap_or(body);
    let text = std::str::from_utf8(body).expect("mapping writes UTF-8");
    let mut events = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
        let raw = stream.next().expect("there is more").expect("mapping writes events as JSON");
        let event = serde_json::from_str(raw.get()).expect("mapping writes events as Polar takes them");
        events.push((event, raw.get()));
        let used = stream.byte_offset();
        rest = rest[used..].strip_prefix(',').unwrap_or_default();
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_of_a_body_is_read_with_its_json() {
        let one = r#"{"name":"a\"b","external_customer_id":"é","external_id":"i1","timestamp":"2026-11-20T10:00:00Z","metadata":{"n":1}}"#;
        let two = r#"{"name":"c","customer_id":"u","external_id":"i2","metadata":{}}"#;
        let body = format!("{one},{two},");
        let events = events_of(body.as_bytes());
        assert_eq!(events.iter().map(|(_, json)| *json).collect::<Vec<_>>(), [one, two]);
        let (first, second) = (&events[0].0, &events[1].0);
        assert_eq!((&*first.name, first.customer(), first.metadata.get()), ("a\"b", "é", "{\"n\":1}"));
        assert_eq!((second.customer(), second.timestamp, &*second.external_id), ("u", None, "i2"));
        assert!(events_of(b"").is_empty());
    }
}
