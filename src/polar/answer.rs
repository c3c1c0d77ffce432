//! What an answer of Polar means to whoever sent the batch.
//!
//! The question behind every case: whose fault is it? Only the data's own fault may cost data, so everything that
//! could be about the token, the URL or the server leads to holding or retrying, and only a 422 names events.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;

use crate::polar::fault::Branch;
use crate::polar::http_date::http_date;

/// What is read of an answer besides its body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AnswerHead<'a> {
    pub status: u16,
    /// The `Retry-After` header: seconds, or an HTTP date.
    pub retry_after: Option<&'a str>,
    /// The `WWW-Authenticate` header.
    pub www_authenticate: Option<&'a str>,
    /// The `Date` header; a `Retry-After` that is a date is counted from it.
    pub date: Option<&'a str>,
}

/// The answer to a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Committed. Duplicates are events that Polar had already.
    Accepted { inserted: u64, duplicates: u64 },
    /// Too many requests: nothing is wrong with the batch. Wait.
    Throttled { retry_after_seconds: Option<u64> },
    /// It is about us, and the same for every batch: hold everything, tell the operator, keep probing.
    Refused(Refusal),
    /// No verdict. The batch may or may not be committed: send it again as it is.
    Failed { status: u16, retry_after_seconds: Option<u64> },
    /// The body is too large: split the batch.
    TooLarge,
    /// Nothing of the batch is committed, since something is wrong with these events, each named once and in order.
    /// Empty where the answer names none: find them by halving.
    Invalid { named: Vec<NamedEvent> },
}

/// Why Polar will have nothing from us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// 400
    BadRequest,
    /// 401: the token is missing, unknown, expired or revoked.
    Unauthorized,
    /// 403: the token is good for something else. The scope is the server's word.
    Forbidden { needed_scope: Option<String> },
    /// 404
    NotFound,
    /// 405
    MethodNotAllowed,
    /// 3xx: following it would take the token somewhere else.
    Redirected { status: u16 },
    /// 411: something on the way takes `Content-Length` off.
    LengthRequired,
    /// Any other status that only a request can cause.
    Other { status: u16 },
}

/// An event that a 422 names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedEvent {
    /// Its place in the request.
    pub index: u32,
    pub why: NamedFault,
}

/// What a 422 says about an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedFault {
    /// There is no customer with this `customer_id`.
    UnknownCustomer,
    /// The customer has no member with this `member_id`.
    UnknownMember,
    /// Its timestamp is later than the server's clock, and nothing else is wrong.
    FutureTimestamp,
    /// Anything else: the place in the event and the server's message, without what stands there.
    Other(String),
}

/// Reads an answer. `body` may be cut off anywhere: the server echoes what it refuses, so a megabyte sent can be
/// six received, and a bounded part is enough. What stands before the cut counts.
pub fn read_answer(head: &AnswerHead<'_>, body: &[u8]) -> Answer {
    match head.status {
        200..=299 => {
            accepted(body).unwrap_or(Answer::Failed { status: head.status, retry_after_seconds: None })
        }
        300..=399 => Answer::Refused(Refusal::Redirected { status: head.status }),
        400 => Answer::Refused(Refusal::BadRequest),
        401 => Answer::Refused(Refusal::Unauthorized),
        403 => {
            Answer::Refused(Refusal::Forbidden { needed_scope: head.www_authenticate.and_then(needed_scope) })
        }
        404 => Answer::Refused(Refusal::NotFound),
        405 => Answer::Refused(Refusal::MethodNotAllowed),
        411 => Answer::Refused(Refusal::LengthRequired),
        413 => Answer::TooLarge,
        422 => Answer::Invalid { named: named_events(body) },
        429 => Answer::Throttled { retry_after_seconds: retry_after_seconds(head) },
        408 | 425 | 500.. => {
            Answer::Failed { status: head.status, retry_after_seconds: retry_after_seconds(head) }
        }
        status => Answer::Refused(Refusal::Other { status }),
    }
}

/// By consequence and cure, to follow "Polar refuses the batches: ".
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::BadRequest => f.write_str("it cannot read the request (400)"),
            Refusal::Unauthorized => f.write_str("the token is unknown, expired or revoked (401)"),
            Refusal::Forbidden { needed_scope: Some(scope) } => {
                write!(f, "the token lacks the scope {scope} (403)")
            }
            Refusal::Forbidden { needed_scope: None } => f.write_str("the token may not do this (403)"),
            Refusal::NotFound => f.write_str("there is no event API at this URL (404)"),
            Refusal::MethodNotAllowed => f.write_str("the URL is not the one for events (405)"),
            Refusal::Redirected { status } => write!(f, "it sends us to another URL ({status})"),
            Refusal::LengthRequired => f.write_str("a proxy takes the length off the request (411)"),
            Refusal::Other { status } => write!(f, "it answers {status}"),
        }
    }
}

/// To follow the name of an event.
impl fmt::Display for NamedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NamedFault::UnknownCustomer => f.write_str("customer_id: Polar knows no such customer"),
            NamedFault::UnknownMember => f.write_str("member_id: the customer has no such member"),
            NamedFault::FutureTimestamp => f.write_str("timestamp: later than Polar's clock"),
            NamedFault::Other(message) => f.write_str(message),
        }
    }
}

fn accepted(body: &[u8]) -> Option<Answer> {
    #[derive(Deserialize)]
    struct Counts {
        inserted: u64,
        #[serde(default)]
        duplicates: u64,
    }
    let counts: Counts = serde_json::from_slice(body).ok()?;
    Some(Answer::Accepted { inserted: counts.inserted, duplicates: counts.duplicates })
}

fn retry_after_seconds(head: &AnswerHead<'_>) -> Option<u64> {
    let text = head.retry_after?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(seconds);
    }
    let now = http_date(head.date?)?;
    let seconds = http_date(text)?.as_second() - Timestamp::as_second(now);
    Some(u64::try_from(seconds).unwrap_or(0))
}

/// The `scope="…"` of a `WWW-Authenticate` header.
fn needed_scope(header: &str) -> Option<String> {
    let (_, rest) = header.split_once("scope=\"")?;
    let (scope, _) = rest.split_once('"')?;
    Some(scope.to_owned())
}

/// Longest message that is kept of a fault, in characters.
const MESSAGE_MAX_CHARS: usize = 200;

fn named_events(body: &[u8]) -> Vec<NamedEvent> {
    let mut by_index: BTreeMap<u32, Vec<Entry>> = BTreeMap::new();
    let mut scan = Scan { bytes: body, at: 0 };
    // None is the cut; what was found before it stays.
    let _ = scan.details(&mut |entry| by_index.entry(entry.index).or_default().push(entry));
    by_index.into_iter().map(|(index, entries)| NamedEvent { index, why: why(&entries) }).collect()
}

/// What is wrong with one event, from all that is said about it.
fn why(entries: &[Entry]) -> NamedFault {
    let of_used_form =
        entries.iter().filter(|entry| entry.branch.is_none_or(|branch| !is_unused(branch, entries)));
    let mut in_the_future = false;
    for entry in of_used_form {
        match entry.fault() {
            NamedFault::FutureTimestamp => in_the_future = true,
            fault => return fault,
        }
    }
    if in_the_future {
        return NamedFault::FutureTimestamp;
    }
    // Every form lacks its customer.
    entries.iter().map(Entry::fault).next_back().expect("an event is named by at least one entry")
}

/// The event lacks the customer key of this form, so it is of the other.
fn is_unused(branch: Branch, entries: &[Entry]) -> bool {
    let customer_key = match branch {
        Branch::Customer => "customer_id",
        Branch::ExternalCustomer => "external_customer_id",
    };
    entries
        .iter()
        .any(|entry| entry.branch == Some(branch) && entry.kind == "missing" && entry.path == customer_key)
}

/// One entry of the `detail` list, as far as it names an event.
struct Entry {
    index: u32,
    branch: Option<Branch>,
    /// Inside the event, joined with dots.
    path: String,
    kind: String,
    message: String,
}

impl Entry {
    fn fault(&self) -> NamedFault {
        match (self.branch, self.path.as_str(), self.kind.as_str()) {
            (None, "customer_id", _) => NamedFault::UnknownCustomer,
            (None, "member_id", _) => NamedFault::UnknownMember,
            (_, "timestamp", "value_error") if self.message.contains("must be in the past") => {
                NamedFault::FutureTimestamp
            }
            (_, path, _) => {
                let message =
                    if path.is_empty() { self.message.clone() } else { format!("{path}: {}", self.message) };
                NamedFault::Other(message.chars().take(MESSAGE_MAX_CHARS).collect())
            }
        }
    }
}

/// A reader of the error body that needs no whole document. Every method is None at the cut.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    /// Tells `found` of every entry of the top object's `detail` list.
    fn details(&mut self, found: &mut dyn FnMut(Entry)) -> Option<()> {
        self.expect(b'{')?;
        loop {
            let key = self.text()?;
            self.expect(b':')?;
            if key == b"\"detail\"" && self.peek()? == b'[' {
                return self.entries(found);
            }
            self.skip()?;
            self.expect(b',')?;
        }
    }

    fn entries(&mut self, found: &mut dyn FnMut(Entry)) -> Option<()> {
        self.expect(b'[')?;
        while self.peek()? == b'{' {
            self.entry(found)?;
            self.expect(b',')?;
        }
        Some(())
    }

    /// An entry is told of even if the cut is inside it: its place comes before the echoed input.
    fn entry(&mut self, found: &mut dyn FnMut(Entry)) -> Option<()> {
        let mut raw = RawEntry::default();
        let end = self.entry_members(&mut raw);
        if let Some(entry) = raw.entry() {
            found(entry);
        }
        end
    }

    fn entry_members(&mut self, raw: &mut RawEntry<'a>) -> Option<()> {
        self.expect(b'{')?;
        loop {
            let key = self.text()?;
            self.expect(b':')?;
            let value = self.skip()?;
            match key {
                b"\"type\"" => raw.kind = value,
                b"\"loc\"" => raw.location = value,
                b"\"msg\"" => raw.message = value,
                _ => {}
            }
            if self.peek()? != b',' {
                return self.expect(b'}');
            }
            self.at += 1;
        }
    }

    fn peek(&mut self) -> Option<u8> {
        while self.bytes.get(self.at)?.is_ascii_whitespace() {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        let found = self.peek()? == byte;
        self.at += usize::from(found);
        found.then_some(())
    }

    /// A string with its quotes.
    fn text(&mut self) -> Option<&'a [u8]> {
        if self.peek()? != b'"' {
            return None;
        }
        let start = self.at;
        self.at += 1;
        loop {
            let length = memchr::memchr2(b'"', b'\\', self.bytes.get(self.at..)?)?;
            self.at += length;
            if self.bytes[self.at] == b'"' {
                self.at += 1;
                return Some(&self.bytes[start..self.at]);
            }
            self.at += 2;
        }
    }

    /// Any value, whatever its depth.
    fn skip(&mut self) -> Option<&'a [u8]> {
        self.peek()?;
        let start = self.at;
        let mut depth = 0usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.text()?;
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' => {
                    if depth == 0 {
                        return None;
                    }
                    self.at += 1;
                }
                _ => {
                    let ends =
                        |byte: &u8| matches!(byte, b',' | b':' | b'}' | b']') || byte.is_ascii_whitespace();
                    self.at += self.bytes[self.at..].iter().position(ends)?;
                }
            }
            if depth == 0 {
                return Some(&self.bytes[start..self.at]);
            }
        }
    }
}

/// The JSON texts of an entry's members; empty where they are missing or cut.
#[derive(Default)]
struct RawEntry<'a> {
    kind: &'a [u8],
    location: &'a [u8],
    message: &'a [u8],
}

impl RawEntry<'_> {
    /// `["body", "events", 3, "EventCreateCustomer", "metadata", "k"]` is event 3, that form, `metadata.k`. None if it
    /// names no event.
    fn entry(&self) -> Option<Entry> {
        let location: Vec<serde_json::Value> = serde_json::from_slice(self.location).ok()?;
        let [_, events, index, inside @ ..] = location.as_slice() else { return None };
        if events != "events" {
            return None;
        }
        let index = u32::try_from(index.as_u64()?).ok()?;
        let branch = inside.first().and_then(|name| Branch::of_name(name.as_str()?));
        let keys = inside.iter().skip(usize::from(branch.is_some()));
        let keys: Vec<String> =
            keys.map(|key| key.as_str().map_or_else(|| key.to_string(), str::to_owned)).collect();
        let text = |json| serde_json::from_slice(json).unwrap_or_default();
        Some(Entry {
            index,
            branch,
            path: keys.join("."),
            kind: text(self.kind),
            message: text(self.message),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, body: &str, expected: Answer) {
        let head = AnswerHead { status, ..AnswerHead::default() };
        assert_eq!(read_answer(&head, body.as_bytes()), expected, "{status} {body}");
    }

    fn failed(status: u16) -> Answer {
        Answer::Failed { status, retry_after_seconds: None }
    }

    #[test]
    fn every_status_has_its_meaning() {
        check(200, r#"{"inserted":2,"duplicates":1}"#, Answer::Accepted { inserted: 2, duplicates: 1 });
        check(202, r#"{"inserted":2}"#, Answer::Accepted { inserted: 2, duplicates: 0 });
        check(200, "<html>", failed(200));
        check(200, "", failed(200));
        check(200, r#"{"inserted":2,"dup"#, failed(200));
        check(307, "", Answer::Refused(Refusal::Redirected { status: 307 }));
        check(400, "", Answer::Refused(Refusal::BadRequest));
        check(401, "", Answer::Refused(Refusal::Unauthorized));
        check(403, "", Answer::Refused(Refusal::Forbidden { needed_scope: None }));
        check(404, "", Answer::Refused(Refusal::NotFound));
        check(405, "", Answer::Refused(Refusal::MethodNotAllowed));
        check(411, "", Answer::Refused(Refusal::LengthRequired));
        check(413, "", Answer::TooLarge);
        check(418, "", Answer::Refused(Refusal::Other { status: 418 }));
        for status in [408, 425, 500, 502, 503, 504, 599] {
            check(status, "Internal Server Error", failed(status));
        }
    }

    #[test]
    fn the_scope_that_a_token_lacks_is_told() {
        let www_authenticate =
            Some(r#"Bearer realm="polar", scope="events:write", error="insufficient_scope""#);
        let head = AnswerHead { status: 403, www_authenticate, ..AnswerHead::default() };
        let Answer::Refused(refusal) = read_answer(&head, b"") else { panic!("a 403 is a refusal") };
        assert_eq!(refusal.to_string(), "the token lacks the scope events:write (403)");
    }

    #[track_caller]
    fn check_retry_after(retry_after: Option<&str>, date: Option<&str>, retry_after_seconds: Option<u64>) {
        let head = AnswerHead { status: 429, retry_after, date, ..AnswerHead::default() };
        assert_eq!(read_answer(&head, b""), Answer::Throttled { retry_after_seconds }, "{retry_after:?}");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let date = Some("Sun, 01 Nov 2026 10:00:00 GMT");
        check_retry_after(Some("60"), None, Some(60));
        check_retry_after(Some("Sun, 01 Nov 2026 10:01:30 GMT"), date, Some(90));
        check_retry_after(Some("Sun, 01 Nov 2026 09:00:00 GMT"), date, Some(0));
        check_retry_after(Some("Sun, 01 Nov 2026 10:01:30 GMT"), None, None);
        check_retry_after(Some("soon"), date, None);
        check_retry_after(None, date, None);
    }

    const TWO_FAULTY: &str = concat!(
        r#"{"error":"RequestValidationError","detail":["#,
        r#"{"type":"string_too_short","loc":["body","events",1,"EventCreateCustomer","metadata","k","constrained-str"],"msg":"String should have at least 1 character","input":"","ctx":{"min_length":1}},"#,
        r#"{"type":"missing","loc":["body","events",1,"EventCreateCustomer","customer_id"],"msg":"Field required","input":{"name":"x","metadata":{"k":"}],\"["}}},"#,
        r#"{"type":"string_too_short","loc":["body","events",1,"EventCreateExternalCustomer","metadata","k","constrained-str"],"msg":"String should have at least 1 character","input":""},"#,
        r#"{"type":"value_error","loc":["body","events",3,"EventCreateCustomer","timestamp"],"msg":"Value error, Timestamp must be in the past.","input":"2026"},"#,
        r#"{"type":"missing","loc":["body","events",3,"EventCreateCustomer","customer_id"],"msg":"Field required","input":{"name":"x"}},"#,
        r#"{"type":"value_error","loc":["body","events",3,"EventCreateExternalCustomer","timestamp"],"msg":"Value error, Timestamp must be in the past.","input":"2026"}]}"#,
    );

    fn two_faulty() -> Vec<NamedEvent> {
        let why = "metadata.k.constrained-str: String should have at least 1 character".to_owned();
        vec![
            NamedEvent { index: 1, why: NamedFault::Other(why) },
            NamedEvent { index: 3, why: NamedFault::FutureTimestamp },
        ]
    }

    #[test]
    fn a_422_names_each_faulty_event_once() {
        check(422, TWO_FAULTY, Answer::Invalid { named: two_faulty() });
    }

    #[test]
    fn a_cut_costs_only_what_stands_behind_it() {
        let mut most = 0;
        for length in 0..TWO_FAULTY.len() {
            let named = named_events(&TWO_FAULTY.as_bytes()[..length]);
            assert!(named.len() >= most, "{length}: a longer part names fewer");
            assert!(
                two_faulty()[..named.len()].iter().zip(&named).all(|(all, part)| all.index == part.index)
            );
            most = named.len();
        }
        let inside_the_first_echo = TWO_FAULTY.find(r#","input":"""#).expect("the first entry echoes");
        assert_eq!(named_events(&TWO_FAULTY.as_bytes()[..inside_the_first_echo]).len(), 1);
        assert_eq!(most, 2);
    }

    #[test]
    fn unknown_customers_and_members_are_told_apart() {
        let body = r#"{"error":"PolarRequestValidationError","detail":[
            {"type":"customer_id","loc":["body","events",0,"customer_id"],"msg":"Customer not found.","input":"u"},
            {"type":"member_id","loc":["body","events",2,"member_id"],"msg":"Member not found.","input":"u"},
            {"type":"organization_token","loc":["body","events",4,"organization_id"],"msg":"No.","input":"u"}]}"#;
        let named = [
            (0, NamedFault::UnknownCustomer),
            (2, NamedFault::UnknownMember),
            (4, NamedFault::Other("organization_id: No.".to_owned())),
        ];
        let named = named.into_iter().map(|(index, why)| NamedEvent { index, why }).collect();
        check(422, body, Answer::Invalid { named });
    }

    #[test]
    fn a_422_without_places_names_nothing() {
        for body in [
            "",
            "{}",
            "null",
            "[]",
            r#"{"detail":"x"}"#,
            r#"{"detail":[{"loc":["body",22],"msg":"x"}]}"#,
            "{\"detail\":[[",
        ] {
            check(422, body, Answer::Invalid { named: Vec::new() });
        }
    }

    #[test]
    fn an_event_without_any_customer_is_named_all_the_same() {
        let body = r#"{"error":"RequestValidationError","detail":[
            {"type":"missing","loc":["body","events",0,"EventCreateCustomer","customer_id"],"msg":"Field required","input":{}},
            {"type":"missing","loc":["body","events",0,"EventCreateExternalCustomer","external_customer_id"],"msg":"Field required","input":{}}]}"#;
        let why = NamedFault::Other("external_customer_id: Field required".to_owned());
        check(422, body, Answer::Invalid { named: vec![NamedEvent { index: 0, why }] });
    }
}
