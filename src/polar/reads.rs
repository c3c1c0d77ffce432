//! Reading back: what is asked for, and what an answer to it means.

use serde::de::DeserializeOwned;

use super::answer::{Answer, AnswerHead, Refusal, read_answer};
use super::limits::{LIST_MAX_ITEMS, RATE_WINDOW_S};
use super::request::EVENTS_LIST_PATH;
use super::stored::EventSource;
use jiff::Timestamp;

/// Where the names of events are.
pub const EVENT_NAMES_PATH: &str = "/v1/events/names";

/// Which events are wanted; what is empty wants all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventQuery {
    pub names: Vec<String>,
    pub source: Option<EventSource>,
    /// Polar's own ids.
    pub customer_ids: Vec<String>,
    pub external_customer_ids: Vec<String>,
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Up to and with this time.
    pub until: Option<Timestamp>,
    /// Key and value, which is compared as text.
    pub metadata: Vec<(String, String)>,
}

impl EventQuery {
    /// What to get for a page, which counts from 1, the newest event first.
    #[must_use]
    pub fn page(&self, page: u64) -> String {
        format!("{EVENTS_LIST_PATH}?{}&sorting=-timestamp", self.pairs(page))
    }

    /// The same of the names of such events, the latest first.
    #[must_use]
    pub fn names_page(&self, page: u64) -> String {
        format!("{EVENT_NAMES_PATH}?{}&sorting=-last_seen", self.pairs(page))
    }

    fn pairs(&self, page: u64) -> String {
        let mut text = format!("page={page}&limit={LIST_MAX_ITEMS}");
        let mut put = |key: &str, value: &str| {
            text.push('&');
            encode(key, &mut text);
            text.push('=');
            encode(value, &mut text);
        };
        self.names.iter().for_each(|name| put("name", name));
        match self.source {
            Some(EventSource::User) => put("source", "user"),
            Some(EventSource::System) => put("source", "system"),
            None => {}
        }
        self.customer_ids.iter().for_each(|id| put("customer_id", id));
        self.external_customer_ids.iter().for_each(|id| put("external_customer_id", id));
        if let Some(since) = self.since {
            put("start_timestamp", &since.to_string());
        }
        if let Some(until) = self.until {
            put("end_timestamp", &until.to_string());
        }
        self.metadata.iter().for_each(|(key, value)| put(&format!("metadata[{key}]"), value));
        text
    }
}

/// Where one event is.
#[must_use]
pub fn event_path(id: &str) -> String {
    let mut path = EVENTS_LIST_PATH.to_owned();
    encode(id, &mut path);
    path
}

/// Percent-encodes all that RFC 3986 does not call unreserved.
pub(super) fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
            }
        }
    }
}

/// What came of asking.
#[derive(Debug, Clone, PartialEq)]
pub enum Read<T> {
    Got(T),
    /// There is no such thing, or this token may not see it.
    NotThere,
    /// Ask again, not before so many seconds have passed where Polar counts them.
    Again {
        why: String,
        after_seconds: Option<u64>,
    },
    /// Asking again is no use: what is wrong, in words.
    Refused(String),
}

/// Reads an answer to a question.
pub fn read<T: DeserializeOwned>(head: &AnswerHead<'_>, body: &[u8]) -> Read<T> {
    if (200..300).contains(&head.status) {
        return match serde_json::from_slice(body) {
            Ok(value) => Read::Got(value),
            Err(error) => Read::Refused(format!("its answer is not what its API describes: {error}")),
        };
    }
    match read_answer(head, body) {
        Answer::Throttled { retry_after_seconds } => Read::Again {
            why: "its limit of requests is reached (429)".into(),
            after_seconds: Some(retry_after_seconds.unwrap_or(RATE_WINDOW_S)),
        },
        Answer::Failed { status, retry_after_seconds } => {
            Read::Again { why: format!("it answers {status}"), after_seconds: retry_after_seconds }
        }
        Answer::Refused(Refusal::NotFound) => Read::NotThere,
        Answer::Refused(refusal) => Read::Refused(refusal.to_string()),
        Answer::Invalid { .. } => {
            Read::Refused(format!("it does not understand the question (422){}", said(body)))
        }
        Answer::TooLarge | Answer::Accepted { .. } => Read::Refused(format!("it answers {}", head.status)),
    }
}

/// What a 422 says: `: customer_id: Input should be a valid UUID`.
fn said(body: &[u8]) -> String {
    let said = serde_json::from_slice::<serde_json::Value>(body).unwrap_or_default();
    let first = &said["detail"][0];
    let place = first["loc"].as_array().and_then(|loc| loc.last()).and_then(|place| place.as_str());
    match (place, first["msg"].as_str()) {
        (Some(place), Some(message)) => format!(": {place}: {message}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_encoded() {
        let query = EventQuery {
            names: vec!["a b".into(), "c&d".into()],
            source: Some(EventSource::System),
            external_customer_ids: vec!["é/1".into()],
            since: Some("2026-11-20T10:00:00Z".parse().unwrap()),
            metadata: vec![("k".into(), "1+1".into())],
            ..EventQuery::default()
        };
        assert_eq!(
            query.page(2),
            "/v1/events/?page=2&limit=100&name=a%20b&name=c%26d&source=system&external_customer_id=%C3%A9%2F1\
             &start_timestamp=2026-11-20T10%3A00%3A00Z&metadata%5Bk%5D=1%2B1&sorting=-timestamp"
        );
        assert_eq!(event_path("../x"), "/v1/events/..%2Fx");
    }

    #[track_caller]
    fn check(status: u16, body: &str, expected: &Read<u64>) {
        let head = AnswerHead { status, retry_after: Some("7"), ..AnswerHead::default() };
        assert_eq!(&read::<u64>(&head, body.as_bytes()), expected, "{status}");
    }

    #[test]
    fn an_answer_says_whether_to_ask_again() {
        check(200, "5", &Read::Got(5));
        check(404, "{}", &Read::NotThere);
        let again = |why: &str| Read::Again { why: why.into(), after_seconds: Some(7) };
        check(429, "", &again("its limit of requests is reached (429)"));
        check(503, "", &again("it answers 503"));
        check(401, "{}", &Read::Refused("the token is unknown, expired or revoked (401)".into()));
        check(
            422,
            r#"{"detail":[{"loc":["query","customer_id"],"msg":"no UUID"}]}"#,
            &Read::Refused("it does not understand the question (422): customer_id: no UUID".into()),
        );
        let Read::Refused(why) = read::<u64>(&AnswerHead { status: 200, ..AnswerHead::default() }, b"<html>")
        else {
            panic!("a page is no answer")
        };
        let unnamed: Read<u64> = read(&AnswerHead { status: 429, ..AnswerHead::default() }, b"");
        assert!(
            matches!(unnamed, Read::Again { after_seconds: Some(60), .. }),
            "Polar's window: {unnamed:?}"
        );
        assert!(why.starts_with("its answer is not what its API describes"), "{why}");
    }
}
