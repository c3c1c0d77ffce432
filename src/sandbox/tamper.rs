//! What happens to events behind the client's back: some are lost, some are altered, some stand there twice.
//!
//! `POST /sandbox/tamper?lose=3&alter=2&double=1` does it to a running `floe sandbox`, and answers with the events. So
//! whoever wants to know what `floe reconcile` finds can try it.

use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::polar::stored::EventSource;
use crate::sandbox::faults::Dice;
use crate::sandbox::store::{EventNumber, Store};

/// To how many events what is done. Each happens to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tampering {
    pub lose: usize,
    pub alter: usize,
    pub double: usize,
}

/// What was done to one event.
#[derive(Debug, Clone, PartialEq)]
pub struct Tampered {
    /// lost, altered or doubled.
    pub what: &'static str,
    /// As it was sent.
    pub event: Value,
    /// As it is now, where it is altered.
    pub now: Option<Value>,
}

impl FromStr for Tampering {
    type Err = String;

    fn from_str(text: &str) -> Result<Tampering, String> {
        let mut tampering = Tampering::default();
        for (key, value) in text.split('&').filter_map(|pair| pair.split_once('=')) {
            let count = value
                .parse()
                .map_err(|_| format!("{value:?} is no number of events; write it like lose=3"))?;
            match key {
                "lose" => tampering.lose = count,
                "alter" => tampering.alter = count,
                "double" => tampering.double = count,
                _ => {
                    return Err(format!(
                        "{key:?} cannot be done to events; there are lose, alter and double"
                    ));
                }
            }
        }
        if tampering == Tampering::default() {
            return Err("say what to do to how many events: lose=3&alter=2&double=1".to_owned());
        }
        Ok(tampering)
    }
}

/// Does it to events that the dice choose, as far as there are so many.
pub(super) fn tamper(store: &mut Store, dice: &mut Dice, tampering: Tampering) -> Vec<Tampered> {
    let sent = |number: &EventNumber| store.source(*number) == EventSource::User;
    let mut left: Vec<EventNumber> = store.numbers().filter(sent).collect();
    let mut draw = || {
        #[expect(clippy::cast_sign_loss, reason = "dice never fall below zero")]
        let place = (dice.throw() * left.len() as f64) as usize;
        (place < left.len()).then(|| left.swap_remove(place))
    };
    let mut done = Vec::new();
    for _ in 0..tampering.lose {
        let Some(number) = draw() else { break };
        done.push(Tampered { what: "lost", event: event_of(store, number), now: None });
        store.lose(number);
    }
    for turn in 0..tampering.alter {
        let Some(number) = draw() else { break };
        let event = event_of(store, number);
        let (now, timestamp) = altered(&event, store.timestamp(number), turn);
        store.alter(number, &now.to_string(), timestamp);
        done.push(Tampered { what: "altered", event, now: Some(now) });
    }
    for _ in 0..tampering.double {
        let Some(number) = draw() else { break };
        done.push(Tampered { what: "doubled", event: event_of(store, number), now: None });
        store.double(number);
    }
    done
}

pub(super) fn to_json(done: &[Tampered]) -> String {
    let done = done.iter().map(|done| json!({ "what": done.what, "event": done.event, "now": done.now }));
    done.collect::<Value>().to_string()
}

fn event_of(store: &Store, number: EventNumber) -> Value {
    serde_json::from_str(store.text(number)).expect("what is stored is JSON")
}

/// In turn: a value, the customer, the time and the name.
fn altered(event: &Value, timestamp: Timestamp, turn: usize) -> (Value, Timestamp) {
    let mut event = event.clone();
    let mut timestamp = timestamp;
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let members: &mut Map<String, Value> = event.as_object_mut().expect("only objects are stored");
    match turn % 4 {
        1 => {
            let customer = text(members.get("external_customer_id"));
            members.remove("customer_id");
            members.insert("external_customer_id".to_owned(), format!("{customer}_altered").into());
        }
        2 => {
            timestamp = timestamp.saturating_add(SignedDuration::from_secs(-1)).unwrap_or(timestamp);
            members.insert("timestamp".to_owned(), timestamp.to_string().into());
        }
        3 => {
            let name = text(members.get("name"));
            members.insert("name".to_owned(), format!("{name}_altered").into());
        }
        _ => {
            let metadata = members.entry("metadata").or_insert_with(|| json!({}));
            if let Some(metadata) = metadata.as_object_mut() {
                let number = metadata.values_mut().find(|value| value.is_number());
                match number.and_then(|value| Some((value.as_f64()?, value))) {
                    Some((was, value)) => *value = json!(was + 1.0),
                    None => _ = metadata.insert("altered".to_owned(), json!(true)),
                }
            }
        }
    }
    (event, timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_done_is_read_from_a_query() {
        let all = Tampering { lose: 3, alter: 2, double: 1 };
        assert_eq!("lose=3&alter=2&double=1".parse(), Ok(all));
        assert_eq!("lose=1".parse(), Ok(Tampering { lose: 1, ..Tampering::default() }));
        for (query, expected) in
            [("", "say what to do"), ("lose=x", "no number of events"), ("burn=1", "cannot be done")]
        {
            let error = query.parse::<Tampering>().expect_err("the query is wrong");
            assert!(error.contains(expected), "{query}: {error}");
        }
    }

    #[test]
    fn each_turn_alters_something_else() {
        let at: Timestamp = "2026-11-20T10:00:00Z".parse().expect("a time");
        let event = json!({"name": "a", "external_customer_id": "c", "timestamp": at.to_string(), "metadata": {"n": 1}});
        for (turn, member, expected) in [
            (0, "metadata", json!({"n": 2.0})),
            (1, "external_customer_id", json!("c_altered")),
            (2, "timestamp", json!("2026-11-20T09:59:59Z")),
            (3, "name", json!("a_altered")),
        ] {
            let (now, timestamp) = altered(&event, at, turn);
            assert_eq!(now[member], expected);
            let differing =
                event.as_object().expect("an object").keys().filter(|key| now[*key] != event[*key]);
            assert_eq!(differing.collect::<Vec<_>>(), [member]);
            assert_eq!(timestamp != at, turn == 2);
        }
    }
}
