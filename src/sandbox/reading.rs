//! Reading events back: `GET /v1/events/`, `/v1/events/{id}` and `/v1/events/names`.
//!
//! A search goes through all events, so the last one is kept: whoever pages through a list has it found once.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use jiff::Timestamp;
use uuid::Uuid;

use crate::polar::json::{Json, Object, write_string};
use crate::polar::meters::Meter;
use crate::polar::stored::EventSource;
use crate::sandbox::fixtures::{Access, Customer, Directory, OrganizationIndex};
use crate::sandbox::meters::{Meters, counted};
use crate::sandbox::query::{self, Filter, Paging};
use crate::sandbox::reply::Reply;
use crate::sandbox::store::{EventNumber, Store};

/// Deeper families stay invisible, loops among them.
const GENERATIONS_MAX: usize = 64;

/// Who is whose parent, as far as it matters to what can be seen.
#[derive(Default)]
struct Families {
    /// Only of events that name a parent; None if it is not there.
    parents: HashMap<EventNumber, Option<EventNumber>>,
    child_counts: HashMap<EventNumber, u64>,
}

/// The last search.
#[derive(Default)]
pub struct LastSearch {
    /// None before the first.
    asked: Option<Asked>,
    families: Families,
    found: Vec<EventNumber>,
}

#[derive(PartialEq)]
struct Asked {
    filter: Filter,
    sorting: Vec<String>,
    organizations: Vec<OrganizationIndex>,
    stored_events: usize,
    /// Where the query names some.
    meters: Vec<Meter>,
}

/// `GET /v1/events/`
///
/// # Errors
/// A wrong query.
pub fn list(
    store: &Store,
    directory: &Directory,
    meters: &Meters,
    access: &Access,
    query: &str,
    last: &mut LastSearch,
) -> Result<Reply, Reply> {
    let (filter, paging) = query::read(query, &["timestamp"])?;
    search(store, directory, meters, access, &filter, &paging.sorting, last);
    let (shown, mut body) = page(&last.found, &paging);
    for (place, number) in shown.iter().enumerate() {
        if place > 0 {
            body.push(',');
        }
        write_event(store, directory, *number, &last.families, &mut body);
    }
    write_pagination(last.found.len(), &paging, &mut body);
    Ok(Reply::json(200, body))
}

/// `GET /v1/events/{id}`
///
/// # Errors
/// The id is none, or not of an event that this token may see.
pub fn one(store: &Store, directory: &Directory, access: &Access, id: Uuid) -> Result<Reply, Reply> {
    let number = store.by_id(id).ok_or_else(Reply::resource_not_found)?;
    if !access.holder.organizations().contains(&store.organization(number)) {
        return Err(Reply::resource_not_found());
    }
    let families = families(store);
    if !families.shows(number) {
        return Err(Reply::resource_not_found());
    }
    let mut body = String::new();
    write_event(store, directory, number, &families, &mut body);
    Ok(Reply::json(200, body))
}

struct NameSeen {
    occurrences: u64,
    first: Timestamp,
    last: Timestamp,
}

/// `GET /v1/events/names`
///
/// # Errors
/// A wrong query.
pub fn names(
    store: &Store,
    directory: &Directory,
    meters: &Meters,
    access: &Access,
    query: &str,
    last: &mut LastSearch,
) -> Result<Reply, Reply> {
    let (filter, paging) = query::read(query, &["name", "occurrences", "first_seen", "last_seen"])?;
    search(store, directory, meters, access, &filter, &[], last);
    let mut seen: BTreeMap<(String, EventSource), NameSeen> = BTreeMap::new();
    for &number in &last.found {
        let at = store.timestamp(number);
        let event = store.event(number);
        let name = text(object(&event), "name").unwrap_or_default().to_owned();
        let entry = seen.entry((name, store.source(number)));
        let name = entry.or_insert(NameSeen { occurrences: 0, first: at, last: at });
        name.occurrences += 1;
        name.first = name.first.min(at);
        name.last = name.last.max(at);
    }
    let mut names: Vec<((String, EventSource), NameSeen)> = seen.into_iter().collect();
    for sorting in paging.sorting.iter().rev() {
        match sorting.trim_start_matches('-') {
            "name" => names.sort_by(|a, b| a.0.cmp(&b.0)),
            "occurrences" => names.sort_by_key(|(_, seen)| seen.occurrences),
            "first_seen" => names.sort_by_key(|(_, seen)| seen.first),
            _ => names.sort_by_key(|(_, seen)| seen.last),
        }
        if sorting.starts_with('-') {
            names.reverse();
        }
    }
    let (shown, mut body) = page(&names, &paging);
    for (place, ((name, source), seen)) in shown.iter().enumerate() {
        if place > 0 {
            body.push(',');
        }
        body.push_str("{\"name\":");
        write_string(name, &mut body);
        body.push_str(",\"label\":");
        write_string(name, &mut body);
        write!(
            body,
            ",\"source\":\"{}\",\"occurrences\":{},\"first_seen\":\"{}\",\"last_seen\":\"{}\"}}",
            source_name(*source),
            seen.occurrences,
            seen.first,
            seen.last
        )
        .expect("writing to a String does not fail");
    }
    write_pagination(names.len(), &paging, &mut body);
    Ok(Reply::json(200, body))
}

fn page<'a, T>(found: &'a [T], paging: &Paging) -> (&'a [T], String) {
    let start = (paging.page - 1).saturating_mul(paging.limit).min(found.len());
    let end = start.saturating_add(paging.limit).min(found.len());
    (&found[start..end], "{\"items\":[".to_owned())
}

fn write_pagination(found: usize, paging: &Paging, body: &mut String) {
    let pages = found.div_ceil(paging.limit);
    write!(body, "],\"pagination\":{{\"total_count\":{found},\"max_page\":{pages}}}}}")
        .expect("writing to a String does not fail");
}

fn search(
    store: &Store,
    directory: &Directory,
    meters: &Meters,
    access: &Access,
    filter: &Filter,
    sorting: &[String],
    last: &mut LastSearch,
) {
    let asked = Asked {
        filter: filter.clone(),
        sorting: sorting.to_vec(),
        organizations: access.holder.organizations().to_vec(),
        stored_events: store.count(),
        meters: named_meters(meters, access, filter),
    };
    if last.asked.as_ref() == Some(&asked) {
        return;
    }
    let families = families(store);
    let mut found: Vec<EventNumber> = store
        .numbers()
        .filter(|&number| asked.organizations.contains(&store.organization(number)))
        .filter(|&number| families.shows(number) && wants(filter, store, directory, number, &families))
        .filter(|&number| {
            filter.meter_ids.is_empty()
                || asked.meters.iter().any(|meter| counted(store, number, meter).is_some())
        })
        .collect();
    let ascending = sorting.first().is_some_and(|sorting| sorting == "timestamp");
    found.sort_by_key(|&number| (store.timestamp(number), number));
    if !ascending {
        found.reverse();
    }
    *last = LastSearch { asked: Some(asked), families, found };
}

fn named_meters(meters: &Meters, access: &Access, filter: &Filter) -> Vec<Meter> {
    let is_named = |meter: &Meter| filter.meter_ids.iter().any(|id| id.to_string() == meter.id);
    meters.of_holder(access).map(|stored| &stored.meter).filter(|meter| is_named(meter)).cloned().collect()
}

fn families(store: &Store) -> Families {
    let mut families = Families::default();
    for number in store.numbers() {
        // The events with a parent are few; this spares reading the others.
        if memchr::memmem::find(store.text(number).as_bytes(), b"parent_id").is_none() {
            continue;
        }
        let event = store.event(number);
        let Some(parent_id) = text(object(&event), "parent_id") else { continue };
        let of_same_organization =
            |parent: &EventNumber| store.organization(*parent) == store.organization(number);
        let parent = Uuid::try_parse(parent_id)
            .ok()
            .and_then(|id| store.by_id(id))
            .filter(of_same_organization)
            .or_else(|| store.by_external_id(store.organization(number), parent_id));
        families.parents.insert(number, parent);
        if let Some(parent) = parent {
            *families.child_counts.entry(parent).or_default() += 1;
        }
    }
    families
}

impl Families {
    /// An event whose parent never came is not to be seen, nor are its children.
    fn shows(&self, number: EventNumber) -> bool {
        let mut number = number;
        for _ in 0..GENERATIONS_MAX {
            match self.parents.get(&number) {
                None => return true,
                Some(None) => return false,
                Some(Some(parent)) => number = *parent,
            }
        }
        false
    }

    fn parent_id(&self, number: EventNumber) -> Option<Uuid> {
        self.parents.get(&number).copied().flatten().map(Store::id)
    }
}

fn wants(
    filter: &Filter,
    store: &Store,
    directory: &Directory,
    number: EventNumber,
    families: &Families,
) -> bool {
    let organization = directory.organization(store.organization(number));
    let at = store.timestamp(number);
    let source = source_name(store.source(number));
    if !(filter.organizations.is_empty() || filter.organizations.contains(&organization.id))
        || !(filter.sources.is_empty() || filter.sources.iter().any(|wanted| wanted == source))
        || filter.start.is_some_and(|start| at < start)
        || filter.end.is_some_and(|end| at > end)
        || filter.parent_id.is_some_and(|parent| families.parent_id(number) != Some(parent))
    {
        return false;
    }
    is_of(filter, store, directory, number)
}

/// Whether the content of an event is what the query wants: its name, customer and metadata.
pub fn is_of(filter: &Filter, store: &Store, directory: &Directory, number: EventNumber) -> bool {
    let by_content = !filter.names.is_empty()
        || !filter.customer_ids.is_empty()
        || !filter.external_customer_ids.is_empty()
        || !filter.metadata.is_empty()
        || filter.query.is_some();
    if !by_content {
        return true;
    }
    let event = store.event(number);
    let event = object(&event);
    let name = text(event, "name").unwrap_or_default();
    let whose = Whose::of(event, directory, store.organization(number));
    let among = |wanted: &[String], found: Option<&str>| {
        wanted.is_empty() || found.is_some_and(|found| wanted.iter().any(|text| text == found))
    };
    among(&filter.names, Some(name))
        && filter.query.as_ref().is_none_or(|part| name.contains(part.as_str()))
        && (filter.customer_ids.is_empty()
            || whose.customer_id.is_some_and(|id| filter.customer_ids.contains(&id)))
        && among(&filter.external_customer_ids, whose.external_customer_id)
        && filter.metadata.iter().all(|(key, value)| {
            let found =
                event.get("metadata").and_then(Json::as_object).and_then(|metadata| metadata.get(key));
            found.is_some_and(|found| as_text(found) == *value)
        })
}

fn as_text(value: &Json<'_>) -> String {
    if let Json::String(text) = value {
        return text.clone().into_owned();
    }
    let mut out = String::new();
    value.write(&mut out);
    out
}

/// Whom an event is billed to, both ways of naming them filled in where the customer is known.
struct Whose<'a> {
    customer: Option<&'a Customer>,
    customer_id: Option<Uuid>,
    external_customer_id: Option<&'a str>,
}

impl<'a> Whose<'a> {
    fn of(event: &'a Object<'_>, directory: &'a Directory, organization: OrganizationIndex) -> Whose<'a> {
        let organization = directory.organization(organization);
        if let Some(external_id) = text(event, "external_customer_id") {
            let customer = organization.customer_by_external_id(external_id);
            let customer_id = customer.map(|customer| customer.id);
            return Whose { customer, customer_id, external_customer_id: Some(external_id) };
        }
        let customer_id = text(event, "customer_id").and_then(|id| Uuid::try_parse(id).ok());
        let customer = customer_id.and_then(|id| organization.customer(id));
        let external_customer_id = customer.and_then(|customer| customer.external_id.as_deref());
        Whose { customer, customer_id, external_customer_id }
    }
}

fn object<'j, 'a>(event: &'j Json<'a>) -> &'j Object<'a> {
    event.as_object().expect("only objects are stored")
}

fn text<'j>(event: &'j Object<'_>, key: &str) -> Option<&'j str> {
    event.get(key).and_then(Json::as_str)
}

fn write_event(
    store: &Store,
    directory: &Directory,
    number: EventNumber,
    families: &Families,
    out: &mut String,
) {
    let event = store.event(number);
    let event = object(&event);
    let organization = directory.organization(store.organization(number));
    let whose = Whose::of(event, directory, store.organization(number));
    let name = text(event, "name").unwrap_or_default();
    let uuid = |uuid: Option<Uuid>| uuid.map(|uuid| uuid.to_string());
    let customer_id = uuid(whose.customer_id);
    let parent_id = uuid(families.parent_id(number));

    let id = Store::id(number).to_string();
    let at = store.timestamp(number).to_string();
    let organization_id = organization.id.to_string();
    let members = [
        ("id", Some(id.as_str())),
        ("timestamp", Some(&at)),
        ("organization_id", Some(&organization_id)),
        ("customer_id", customer_id.as_deref()),
        ("external_customer_id", whose.external_customer_id),
        ("member_id", text(event, "member_id")),
        ("external_member_id", text(event, "external_member_id")),
        ("parent_id", parent_id.as_deref()),
        ("label", Some(name)),
        ("source", Some(source_name(store.source(number)))),
        ("name", Some(name)),
    ];
    out.push('{');
    for (key, value) in members {
        write_string(key, out);
        out.push(':');
        write_text_or_null(value, out);
        out.push(',');
    }
    write_rest(event, whose.customer, families.child_counts.get(&number).copied().unwrap_or(0), out);
}

fn source_name(source: EventSource) -> &'static str {
    match source {
        EventSource::System => "system",
        EventSource::User => "user",
    }
}

fn write_text_or_null(value: Option<&str>, out: &mut String) {
    match value {
        Some(value) => write_string(value, out),
        None => out.push_str("null"),
    }
}

fn write_rest(event: &Object<'_>, customer: Option<&Customer>, child_count: u64, out: &mut String) {
    write!(out, "\"child_count\":{child_count},\"customer\":").expect("writing to a String does not fail");
    match customer {
        None => out.push_str("null"),
        Some(customer) => {
            write!(out, "{{\"id\":\"{}\",\"external_id\":", customer.id)
                .expect("writing to a String does not fail");
            write_text_or_null(customer.external_id.as_deref(), out);
            out.push('}');
        }
    }
    out.push_str(",\"metadata\":");
    match event.get("metadata") {
        Some(metadata) => metadata.write(out),
        None => out.push_str("{}"),
    }
    out.push('}');
}
