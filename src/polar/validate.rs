//! The checks of the ingest endpoint, in the server's order: the body, then each event in both of its forms.

use jiff::Timestamp;
use uuid::{Uuid, Version};

use crate::polar::event::{Customer, UserEvent};
use crate::polar::fault::{Branch, Fault, Finding};
use crate::polar::json::{Json, Object};
use crate::polar::limits::{ID_BREAKING_BYTES, NAME_MAX_CHARS};
use crate::polar::metadata;
use crate::polar::timestamp::{self, Reading};

/// Why a JSON body is no request at all. Each is a 422 that names no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFault {
    /// The body is `null` or empty.
    Missing,
    /// The body is not an object.
    NotAnObject,
    EventsMissing,
    EventsNotAList,
}

/// What the server makes of one event.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict<'a> {
    Good(UserEvent<'a>),
    Bad(Vec<Fault<'a>>),
    /// Validation itself fails: a 500 for the whole request, whatever else is in it.
    Crash,
}

/// The events of a body.
///
/// # Errors
/// [`BodyFault`] if it has no list of events.
pub fn events<'j, 'a>(body: &'j Json<'a>) -> Result<&'j [Json<'a>], BodyFault> {
    match body {
        Json::Null => Err(BodyFault::Missing),
        Json::Object(object) => match object.get("events") {
            None => Err(BodyFault::EventsMissing),
            Some(Json::Array(events)) => Ok(events),
            Some(_) => Err(BodyFault::EventsNotAList),
        },
        _ => Err(BodyFault::NotAnObject),
    }
}

/// Checks the event at `index` of a request that is read at `now`.
pub fn check_event<'a>(index: u32, event: &'a Json<'a>, now: Timestamp) -> Verdict<'a> {
    let Json::Object(object) = event else {
        let message = "Input should be a valid dictionary or object to extract fields from";
        let finding = Finding::new("model_attributes_type", message, event);
        return Verdict::Bad(in_both_branches(index, vec![finding], Vec::new(), Vec::new()));
    };

    let mut shared = Findings { found: Vec::new() };
    let timestamp = match object.get("timestamp").map(|value| timestamp::read(value, now)) {
        None => None,
        Some(Reading::At(timestamp)) => Some(timestamp),
        Some(Reading::Bad(finding)) => {
            shared.found.push(finding.at("timestamp"));
            None
        }
        Some(Reading::Crash) => return Verdict::Crash,
    };
    let name = shared.keep(name(object, event)).unwrap_or_default();
    let organization_id = shared.keep(optional(object, "organization_id", uuid4)).flatten();
    let external_id = shared.keep(optional(object, "external_id", text)).flatten();
    let parent_id = shared.keep(optional(object, "parent_id", text)).flatten();
    let metadata = object.get("metadata");
    if let Some(value) = metadata {
        shared.found.extend(metadata::findings(value));
    }

    let polar = polar_customer(object, event);
    let external = external_customer(object, event);
    let customer = match (shared.found.is_empty(), &polar, &external) {
        // Both given: the server takes the external one and says nothing.
        (true, _, Ok(customer)) | (true, Ok(customer), Err(_)) => *customer,
        _ => {
            let (polar, external) = (polar.err().unwrap_or_default(), external.err().unwrap_or_default());
            return Verdict::Bad(in_both_branches(index, shared.found, polar, external));
        }
    };
    let mut ids = vec![external_id, parent_id];
    if let Customer::External { id, member } = customer {
        ids.extend([Some(id), member]);
    }
    Verdict::Good(UserEvent {
        name,
        timestamp,
        organization_id,
        external_id,
        parent_id,
        customer,
        metadata: metadata.and_then(Json::as_object),
        sent: event,
        breaks_the_server: event.breaks_the_server() || ids.into_iter().flatten().any(breaks_an_index),
    })
}

/// Whether Postgres cannot put `id` into a B-tree index. It compresses first: a long run of one letter does fit.
fn breaks_an_index(id: &str) -> bool {
    if id.len() <= ID_BREAKING_BYTES {
        return false;
    }
    let mut changes = id.as_bytes().windows(2).filter(|pair| pair[0] != pair[1]);
    changes.nth(ID_BREAKING_BYTES / 2).is_some()
}

fn in_both_branches<'a>(
    index: u32,
    shared: Vec<Finding<'a>>,
    polar: Vec<Finding<'a>>,
    external: Vec<Finding<'a>>,
) -> Vec<Fault<'a>> {
    let customer = shared.clone().into_iter().chain(polar).map(|finding| (Branch::Customer, finding));
    let external = shared.into_iter().chain(external).map(|finding| (Branch::ExternalCustomer, finding));
    customer.chain(external).map(|(branch, finding)| Fault { index, branch: Some(branch), finding }).collect()
}

struct Findings<'a> {
    found: Vec<Finding<'a>>,
}

impl<'a> Findings<'a> {
    fn keep<T>(&mut self, result: Result<T, Finding<'a>>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(finding) => {
                self.found.push(finding);
                None
            }
        }
    }
}

fn name<'a>(object: &'a Object<'a>, event: &'a Json<'a>) -> Result<&'a str, Finding<'a>> {
    let Some(value) = object.get("name") else {
        return Err(Finding::missing("name", event));
    };
    let name = text(value).map_err(|finding| finding.at("name"))?;
    if name.len() > NAME_MAX_CHARS && name.chars().count() > NAME_MAX_CHARS {
        return Err(metadata::too_long(NAME_MAX_CHARS, value).at("name"));
    }
    Ok(name)
}

type Read<'a, T> = fn(&'a Json<'a>) -> Result<T, Finding<'a>>;

fn optional<'a, T>(
    object: &'a Object<'a>,
    key: &'static str,
    read: Read<'a, T>,
) -> Result<Option<T>, Finding<'a>> {
    match object.get(key) {
        None | Some(Json::Null) => Ok(None),
        Some(value) => read(value).map(Some).map_err(|finding| finding.at(key)),
    }
}

fn required<'a, T>(
    object: &'a Object<'a>,
    event: &'a Json<'a>,
    key: &'static str,
    read: Read<'a, T>,
) -> Result<T, Finding<'a>> {
    let value = object.get(key).ok_or_else(|| Finding::missing(key, event))?;
    read(value).map_err(|finding| finding.at(key))
}

fn polar_customer<'a>(object: &'a Object<'a>, event: &'a Json<'a>) -> Result<Customer<'a>, Vec<Finding<'a>>> {
    match (required(object, event, "customer_id", uuid4), optional(object, "member_id", uuid4)) {
        (Ok(id), Ok(member)) => Ok(Customer::Polar { id, member }),
        (id, member) => Err(id.err().into_iter().chain(member.err()).collect()),
    }
}

fn external_customer<'a>(
    object: &'a Object<'a>,
    event: &'a Json<'a>,
) -> Result<Customer<'a>, Vec<Finding<'a>>> {
    let id = required(object, event, "external_customer_id", text);
    match (id, optional(object, "external_member_id", text)) {
        (Ok(id), Ok(member)) => Ok(Customer::External { id, member }),
        (id, member) => Err(id.err().into_iter().chain(member.err()).collect()),
    }
}

fn text<'a>(value: &'a Json<'a>) -> Result<&'a str, Finding<'a>> {
    match value {
        Json::String(text) if text.contains('\0') => {
            Err(Finding::value_error("This value contains invalid characters", value))
        }
        Json::String(text) => Ok(text),
        _ => Err(metadata::not_a_string(value)),
    }
}

fn uuid4<'a>(value: &'a Json<'a>) -> Result<Uuid, Finding<'a>> {
    let Json::String(text) = value else {
        return Err(Finding::new("uuid_type", "UUID input should be a string, bytes or UUID object", value));
    };
    let uuid = parse_uuid(text).map_err(|why| {
        let mut context = String::from("{\"error\":");
        crate::polar::json::write_string(&why, &mut context);
        context.push('}');
        Finding::new("uuid_parsing", format!("Input should be a valid UUID, {why}"), value).with(context)
    })?;
    if uuid.get_version() != Some(Version::Random) {
        return Err(
            Finding::new("uuid_version", "UUID version 4 expected", value).with("{\"expected_version\":4}")
        );
    }
    Ok(uuid)
}

/// Reads a UUID.
///
/// # Errors
/// The server's words for what is wrong with it.
pub fn parse_uuid(text: &str) -> Result<Uuid, String> {
    Uuid::parse_str(text).map_err(|error| {
        let why = error.to_string();
        if why.starts_with("invalid length") {
            return format!("invalid length: expected length 32 for simple format, found {}", text.len());
        }
        // Its version of the same crate counts characters from 1, ours from 0.
        match why.rsplit_once(" at ").map(|(before, at)| (before, at.parse::<usize>())) {
            Some((before, Ok(at))) => format!("{before} at {}", at + 1),
            _ => why,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::polar::json::parse;

    const CUSTOMER: &str = "0b5fd5ad-a0f6-4e62-b15d-6e3ef53f1b4b";

    #[track_caller]
    fn check(json: &str, expected: &str) {
        let event = parse(json.as_bytes()).expect("the test's JSON is right");
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().expect("the test's time is right");
        let found = match check_event(7, &event, now) {
            Verdict::Good(event) if event.breaks_the_server => "500".to_owned(),
            Verdict::Good(event) => match event.customer {
                Customer::Polar { .. } => "customer".to_owned(),
                Customer::External { .. } => "external".to_owned(),
            },
            Verdict::Bad(faults) => {
                let names = faults.iter().map(|fault| {
                    let branch = match fault.branch.expect("a schema fault has a branch") {
                        Branch::Customer => "C",
                        Branch::ExternalCustomer => "E",
                    };
                    format!("{branch}:{} {}", fault.finding.path.join("."), fault.finding.kind)
                });
                names.collect::<Vec<_>>().join(", ")
            }
            Verdict::Crash => "crash".to_owned(),
        };
        assert_eq!(found, expected, "{json}");
    }

    #[test]
    fn an_event_names_its_customer_in_one_of_two_ways() {
        check(r#"{"name":"x","external_customer_id":""}"#, "external");
        check(&format!(r#"{{"name":"x","customer_id":"{CUSTOMER}","member_id":"{CUSTOMER}"}}"#), "customer");
        check(
            &format!(r#"{{"name":"x","customer_id":"{CUSTOMER}","external_customer_id":"c"}}"#),
            "external",
        );
        check(r#"{"name":"x","customer_id":"abc","external_customer_id":"c"}"#, "external");
        check(r#"{"name":"x"}"#, "C:customer_id missing, E:external_customer_id missing");
        check(
            r#"{"name":"x","customer_id":"00000000-0000-1000-8000-000000000000"}"#,
            "C:customer_id uuid_version, E:external_customer_id missing",
        );
    }

    #[test]
    fn a_fault_is_told_once_for_each_form() {
        check(
            r#"{"external_customer_id":"c","external_id":5}"#,
            "C:name missing, C:external_id string_type, C:customer_id missing, E:name missing, E:external_id string_type",
        );
        check("\"x\"", "C: model_attributes_type, E: model_attributes_type");
        check(
            r#"{"name":"x","external_customer_id":"c","timestamp":"2026-11-20T12:00:01Z"}"#,
            "C:timestamp value_error, C:customer_id missing, E:timestamp value_error",
        );
    }

    #[test]
    fn what_the_database_cannot_hold_breaks_the_server() {
        let varied: String = (0..3000).map(|n: u32| char::from(b'a' + (n * n % 26) as u8)).collect();
        check(&format!(r#"{{"name":"x","external_customer_id":"{varied}"}}"#), "500");
        check(&format!(r#"{{"name":"x","external_customer_id":"{}"}}"#, "k".repeat(3000)), "external");
        check(r#"{"name":"x","external_customer_id":"c","metadata":{"k":NaN}}"#, "500");
        check(r#"{"name":"x","external_customer_id":"c","timestamp":"0001-01-01T00:00:00+14:00"}"#, "crash");
    }
}
