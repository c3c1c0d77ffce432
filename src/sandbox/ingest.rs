//! `POST /v1/events/ingest`: the whole batch or nothing.

use std::collections::HashSet;

use jiff::Timestamp;

use crate::polar::event::{Customer, UserEvent};
use crate::polar::fault::{Fault, Finding, body_of};
use crate::polar::json::{BodyError, Json, parse};
use crate::polar::limits::{EVENTS_MAX_PER_REQUEST, NEW_NAMES_MAX_PER_REQUEST};
use crate::polar::stored::EventSource;
use crate::polar::validate::{BodyFault, Verdict, check_event, events};
use crate::sandbox::fixtures::{Access, Directory, Holder, OrganizationIndex};
use crate::sandbox::reply::Reply;
use crate::sandbox::store::{Counts, NewEvent, Store};

/// Reads the body, which the server does before it looks at the token.
///
/// # Errors
/// The 400 or 422 of a body that is no JSON.
pub fn read_body(body: &[u8], is_json: bool) -> Result<Json<'_>, Reply> {
    if body.is_empty() {
        return Ok(Json::Null);
    }
    if !is_json {
        let text = std::str::from_utf8(body).map_err(|_| Reply::unreadable_body())?;
        return Ok(Json::String(text.into()));
    }
    parse(body).map_err(|error| match error {
        BodyError::Unreadable => Reply::unreadable_body(),
        BodyError::Json(error) => {
            let location = format!("[\"body\",{}]", error.at);
            let context = format!("{{\"error\":\"{}\"}}", error.message.replace('\\', "\\\\"));
            Reply::invalid("json_invalid", &location, "JSON decode error", "{}", Some(&context))
        }
    })
}

/// Checks the batch and stores it.
///
/// # Errors
/// The answer to a batch that is not stored.
pub fn ingest(
    store: &mut Store,
    directory: &Directory,
    access: &Access,
    body: &Json<'_>,
    now: Timestamp,
) -> Result<Counts, Reply> {
    let sent = events(body).map_err(|fault| body_reply(fault, body))?;
    let batch = schema(sent, now)?;
    let owners = owners(directory, access, &batch)?;
    let breaks = batch.iter().any(|event| event.breaks_the_server)
        || batch.len() > EVENTS_MAX_PER_REQUEST
        || too_many_new_names(store, &batch, &owners);
    if breaks {
        return Err(Reply::internal_server_error());
    }
    let new: Vec<NewEvent<'_>> = batch
        .iter()
        .zip(owners)
        .map(|(event, organization)| NewEvent {
            organization,
            timestamp: event.timestamp.unwrap_or(now),
            name: event.name,
            source: EventSource::User,
            external_id: event.external_id,
            sent: event.sent,
        })
        .collect();
    store.append(&new, directory).map_err(|_| Reply::internal_server_error())
}

/// The answer to a batch that is stored.
pub fn accepted(counts: Counts) -> Reply {
    Reply::json(200, format!("{{\"inserted\":{},\"duplicates\":{}}}", counts.inserted, counts.duplicates))
}

fn body_reply(fault: BodyFault, body: &Json<'_>) -> Reply {
    let mut input = String::new();
    body.write(&mut input);
    let (kind, location, message) = match fault {
        BodyFault::Missing => ("missing", "[\"body\"]", "Field required"),
        BodyFault::NotAnObject => (
            "model_attributes_type",
            "[\"body\"]",
            "Input should be a valid dictionary or object to extract fields from",
        ),
        BodyFault::EventsMissing => ("missing", "[\"body\",\"events\"]", "Field required"),
        BodyFault::EventsNotAList => {
            if let Some(events) = body.as_object().and_then(|object| object.get("events")) {
                input.clear();
                events.write(&mut input);
            }
            ("list_type", "[\"body\",\"events\"]", "Input should be a valid list")
        }
    };
    if body.breaks_the_server() {
        return Reply::internal_server_error();
    }
    Reply::invalid(kind, location, message, &input, None)
}

/// All events, if the schema of each is right.
fn schema<'a>(sent: &'a [Json<'a>], now: Timestamp) -> Result<Vec<UserEvent<'a>>, Reply> {
    let mut batch = Vec::with_capacity(sent.len());
    let mut faults: Vec<Fault<'a>> = Vec::new();
    for (index, event) in (0..).zip(sent) {
        match check_event(index, event, now) {
            Verdict::Good(event) => batch.push(event),
            Verdict::Bad(found) => faults.extend(found),
            Verdict::Crash => return Err(Reply::internal_server_error()),
        }
    }
    if faults.is_empty() {
        return Ok(batch);
    }
    // The faults echo what was sent, and not everything that can be sent can be echoed.
    if faults.iter().any(|fault| fault.finding.input.breaks_the_server()) {
        return Err(Reply::internal_server_error());
    }
    Err(Reply::json(422, body_of("RequestValidationError", &faults)))
}

/// Whose event each is. Organization, customer and member are looked up only once the schema of all is right.
fn owners(
    directory: &Directory,
    access: &Access,
    batch: &[UserEvent<'_>],
) -> Result<Vec<OrganizationIndex>, Reply> {
    let mut owners = Vec::with_capacity(batch.len());
    let mut faults = Vec::new();
    for (index, event) in (0..).zip(batch) {
        match owner(directory, access, event)
            .and_then(|owner| customer(directory, owner, event).map(|()| owner))
        {
            Ok(owner) => owners.push(owner),
            Err(finding) => faults.push(Fault { index, branch: None, finding }),
        }
    }
    if faults.is_empty() {
        return Ok(owners);
    }
    Err(Reply::json(422, body_of("PolarRequestValidationError", &faults)))
}

fn owner<'a>(
    directory: &Directory,
    access: &Access,
    event: &UserEvent<'a>,
) -> Result<OrganizationIndex, Finding<'a>> {
    let refusal =
        |kind, message| Finding::new(kind, message, sent_at(event, "organization_id")).at("organization_id");
    match (&access.holder, event.organization_id) {
        (Holder::Organization(organization), None) => Ok(*organization),
        (Holder::Organization(_), Some(_)) => Err(refusal(
            "organization_token",
            "Setting organization_id is disallowed when using an organization token.",
        )),
        (Holder::User(_), None) => Err(refusal("missing", "organization_id is required.")),
        (Holder::User(organizations), Some(id)) => match directory.index_of(id) {
            Some(index) if organizations.contains(&index) => Ok(index),
            _ => Err(refusal("organization_id", "Organization not found.")),
        },
    }
}

fn customer<'a>(
    directory: &Directory,
    owner: OrganizationIndex,
    event: &UserEvent<'a>,
) -> Result<(), Finding<'a>> {
    // The operator's own ids need not exist.
    let Customer::Polar { id, member } = event.customer else { return Ok(()) };
    let refusal = |kind, message| Finding::new(kind, message, sent_at(event, kind)).at(kind);
    let Some(customer) = directory.organization(owner).customer(id) else {
        return Err(refusal("customer_id", "Customer not found."));
    };
    match member {
        Some(member) if !customer.members.iter().any(|known| known.id == member) => {
            Err(refusal("member_id", "Member not found."))
        }
        _ => Ok(()),
    }
}

fn sent_at<'a>(event: &UserEvent<'a>, key: &str) -> &'a Json<'a> {
    static NULL: Json<'static> = Json::Null;
    event.sent.as_object().and_then(|object| object.get(key)).unwrap_or(&NULL)
}

fn too_many_new_names(store: &Store, batch: &[UserEvent<'_>], owners: &[OrganizationIndex]) -> bool {
    if batch.len() <= NEW_NAMES_MAX_PER_REQUEST {
        return false;
    }
    let new = batch.iter().zip(owners).filter(|&(event, &owner)| !store.knows_name(owner, event.name));
    new.map(|(event, _)| event.name).collect::<HashSet<_>>().len() > NEW_NAMES_MAX_PER_REQUEST
}
