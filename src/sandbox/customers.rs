//! `/v1/customers/`, `/v1/customer-meters/` and `/v1/organizations/`, as far as the sandbox knows of any.

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::polar::json::parse;
use crate::polar::stored::EventSource;
use crate::sandbox::fixtures::{Access, Customer, Directory, Holder, OrganizationIndex};
use crate::sandbox::meters::{Meters, aggregate, counted, invalid, json_reply, uuid};
use crate::sandbox::query::{self, Filter};
use crate::sandbox::reading::is_of;
use crate::sandbox::reply::Reply;
use crate::sandbox::store::{NewEvent, Store};

/// `GET /v1/customers/`
///
/// # Errors
/// A wrong query.
pub fn list(directory: &Directory, access: &Access, query: &str) -> Result<Reply, Reply> {
    let (_, paging) = query::read(query, &["created_at", "name", "email"])?;
    let found: Vec<Value> =
        all(directory, access).map(|(index, customer)| shown(directory, index, customer)).collect();
    Ok(paging.reply(&found))
}

/// `GET /v1/customers/{id}`
///
/// # Errors
/// There is no such customer.
pub fn one(directory: &Directory, access: &Access, id: &str) -> Result<Reply, Reply> {
    let id = uuid(id)?;
    let found = all(directory, access).find(|(_, customer)| customer.id == id);
    let (index, customer) = found.ok_or_else(Reply::resource_not_found)?;
    Ok(json_reply(200, &shown(directory, index, customer)))
}

/// `GET /v1/customers/external/{external_id}`
///
/// # Errors
/// There is no such customer.
pub fn external(directory: &Directory, access: &Access, id: &str) -> Result<Reply, Reply> {
    let found = all(directory, access).find(|(_, customer)| customer.external_id.as_deref() == Some(id));
    let (index, customer) = found.ok_or_else(Reply::resource_not_found)?;
    Ok(json_reply(200, &shown(directory, index, customer)))
}

/// `POST /v1/customers/`: whose it is, and the customer.
///
/// # Errors
/// A body that makes no customer, or one whose external id is taken.
pub fn create(
    directory: &Directory,
    access: &Access,
    body: &Value,
) -> Result<(OrganizationIndex, Customer), Reply> {
    let Holder::Organization(index) = access.holder else {
        return Err(invalid(body, "organization_id", "organization_id is required."));
    };
    let text = |key: &str| body[key].as_str().map(str::to_owned);
    let external_id = text("external_id");
    let organization = directory.organization(index);
    if external_id.as_deref().is_some_and(|id| organization.customer_by_external_id(id).is_some()) {
        return Err(invalid(body, "external_id", "A customer with this external ID already exists."));
    }
    if body["email"].as_str().is_none_or(|email| !email.contains('@')) {
        return Err(invalid(body, "email", "value is not a valid email address"));
    }
    let number = organization.customers.len() as u64 + 1;
    let id = Uuid::from_u64_pair(0x0f10_e5a6_c057_4000, 0x8000_0000_0000_0000 | number);
    Ok((index, Customer { id, external_id, name: text("name"), email: text("email"), members: Vec::new() }))
}

/// The event that Polar makes of a new customer.
///
/// # Errors
/// It cannot be stored.
pub fn announce(
    store: &mut Store,
    directory: &Directory,
    index: OrganizationIndex,
    customer: &Customer,
    now: Timestamp,
) -> Result<(), Reply> {
    let name = "customer.created";
    let event = json!({"name": name, "customer_id": customer.id.to_string(), "metadata": {
        "customer_id": customer.id.to_string(),
        "customer_email": customer.email,
        "customer_name": customer.name,
        "customer_external_id": customer.external_id,
    }})
    .to_string();
    let sent = parse(event.as_bytes()).expect("JSON was just written");
    let event = NewEvent {
        organization: index,
        timestamp: now,
        name,
        source: EventSource::System,
        external_id: None,
        sent: &sent,
    };
    store.append(&[event], directory).map(drop).map_err(|_| Reply::internal_server_error())
}

pub fn shown(directory: &Directory, index: OrganizationIndex, customer: &Customer) -> Value {
    let members: Vec<Value> = customer
        .members
        .iter()
        .map(|member| json!({"id": member.id.to_string(), "external_id": member.external_id, "customer_id": customer.id.to_string()}))
        .collect();
    json!({
        "id": customer.id.to_string(),
        "external_id": customer.external_id,
        "name": customer.name,
        "email": customer.email,
        "type": "individual",
        "metadata": {},
        "organization_id": directory.organization(index).id.to_string(),
        "deleted_at": null,
        "members": members,
    })
}

fn all<'a>(
    directory: &'a Directory,
    access: &'a Access,
) -> impl Iterator<Item = (OrganizationIndex, &'a Customer)> {
    access.holder.organizations().iter().flat_map(|&index| {
        directory.organization(index).customers.iter().map(move |customer| (index, customer))
    })
}

/// `GET /v1/customer-meters/`: what each meter counted of each customer that it counted anything of. Nothing is ever
/// credited here.
///
/// # Errors
/// A wrong query.
pub fn meters(
    store: &Store,
    directory: &Directory,
    meters: &Meters,
    access: &Access,
    query: &str,
) -> Result<Reply, Reply> {
    let (filter, paging) = query::read(query, &["created_at", "customer_id", "meter_id"])?;
    let mut found = Vec::new();
    for (index, customer) in all(directory, access) {
        let is_wanted = (filter.customer_ids.is_empty() || filter.customer_ids.contains(&customer.id))
            && (filter.external_customer_ids.is_empty()
                || customer.external_id.as_ref().is_some_and(|id| filter.external_customer_ids.contains(id)));
        if !is_wanted {
            continue;
        }
        let of_customer = Filter { customer_ids: vec![customer.id], ..Filter::default() };
        for stored in meters.of_holder(access).filter(|stored| stored.organization == index) {
            let meter = &stored.meter;
            let id = Uuid::try_parse(&meter.id).expect("the sandbox gives UUIDs");
            if !(filter.meter_ids.is_empty() || filter.meter_ids.contains(&id)) {
                continue;
            }
            let added: Vec<_> = store
                .numbers()
                .filter(|&number| store.organization(number) == index)
                .filter(|&number| is_of(&of_customer, store, directory, number))
                .filter_map(|number| counted(store, number, meter))
                .collect();
            if added.is_empty() {
                continue;
            }
            found.push(json!({
                "id": Uuid::from_u128(customer.id.as_u128() ^ id.as_u128().rotate_left(17)).to_string(),
                "customer_id": customer.id.to_string(),
                "meter_id": meter.id,
                "consumed_units": aggregate(&meter.aggregation, &added),
                "credited_units": 0,
                "balance": 0.0,
                "customer": shown(directory, index, customer),
                "meter": meter,
            }));
        }
    }
    Ok(paging.reply(&found))
}

/// `GET /v1/organizations/`
///
/// # Errors
/// A wrong query.
pub fn organizations(directory: &Directory, access: &Access, query: &str) -> Result<Reply, Reply> {
    let (_, paging) = query::read(query, &["created_at", "name", "slug"])?;
    let of = |index: &OrganizationIndex| {
        let organization = directory.organization(*index);
        let name = organization.name.as_deref().unwrap_or("Sandbox");
        let slug = name.to_lowercase().replace(' ', "-");
        json!({"id": organization.id.to_string(), "name": name, "slug": slug})
    };
    let found: Vec<Value> = access.holder.organizations().iter().map(of).collect();
    Ok(paging.reply(&found))
}
