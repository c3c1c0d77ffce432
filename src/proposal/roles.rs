//! Which field is what: by what the preset says of it, then by its name, and only where its values bear that out.

use std::collections::BTreeMap;

use super::fields::{Field, Seen};
use crate::config::names::Name;
use crate::config::presets::Role;

/// An event's name may have so many values at most, or it is no name.
pub(super) const MOST_KINDS: usize = 20;

const MOST_QUANTITIES: usize = 4;

/// From the best name to the least.
const CUSTOMERS: &[&str] = &[
    "customer_id",
    "external_customer_id",
    "customer",
    "org_id",
    "organization_id",
    "organisation_id",
    "tenant_id",
    "account_id",
    "company_id",
    "workspace_id",
    "team_id",
    "org",
    "organization",
    "organisation",
    "tenant",
    "account",
    "company",
    "workspace",
    "team",
    "client_id",
    "project_id",
    "project",
    "subscriber_id",
    "user_id",
    "userid",
    "uid",
    "user",
    "remote_user",
    "owner",
    "api_key_id",
];

const EVENTS: &[&str] = &[
    "event",
    "event_name",
    "event_type",
    "action",
    "operation",
    "kind",
    "type",
    "msg",
    "message",
    "call_type",
];

pub(super) fn event_field<'a>(fields: &'a [Field], all: &[usize]) -> Option<&'a Field> {
    let is_kind = |field: &&Field| {
        let kinds = field.distinct(all).len();
        field.is_text(all)
            && kinds <= MOST_KINDS
            && kinds * 2 <= field.count(all).max(4)
            && field.role != Some(Role::Text)
    };
    let of_preset = fields.iter().find(|field| field.role == Some(Role::Event) && is_kind(field));
    let by_name = || {
        let named =
            |wanted: &str| fields.iter().filter(|field| is_kind(field)).find(|field| field.is_called(wanted));
        let most_have = |field: &&Field| field.count(all) * 2 >= all.len() && field.path.steps.len() <= 2;
        EVENTS.iter().filter_map(|wanted| named(wanted)).find(most_have)
    };
    of_preset.or_else(by_name)
}

pub(super) fn http_status<'a>(fields: &'a [Field], all: &[usize]) -> Option<&'a Field> {
    let is_status = |field: &&Field| {
        let named = ["status", "status_code", "response_code"].iter().any(|name| field.is_called(name));
        let in_range = |seen: &Seen| {
            seen.number()
                .and_then(|digits| digits.parse::<u32>().ok())
                .is_some_and(|it| (100..600).contains(&it))
        };
        named && field.count(all) * 10 >= all.len() * 9 && field.among(all).all(in_range)
    };
    fields.iter().find(is_status)
}

/// The program that wrote most lines of a syslog.
pub(super) fn usual_program<'a>(fields: &'a [Field], all: &[usize]) -> Option<(&'a Field, String)> {
    let field = fields
        .iter()
        .find(|field| ["app_name", "tag"].contains(&field.written.as_str()) && field.is_text(all))?;
    let (program, _) = counts(field, all).into_iter().max_by_key(|(_, count)| *count)?;
    Some((field, program.to_owned()))
}

fn counts<'a>(field: &'a Field, records: &'a [usize]) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for seen in field.among(records) {
        if let Seen::Text(text) = seen {
            *counts.entry(text.as_str()).or_default() += 1;
        }
    }
    counts
}

/// The level at which most lines are that report no fault.
pub(super) fn usual_level<'a>(fields: &'a [Field], all: &[usize]) -> Option<(&'a Field, String)> {
    let field = fields.iter().find(|field| {
        let named = ["level", "levelname", "severity"].iter().any(|name| field.is_called(name));
        (field.role == Some(Role::Level) || named) && field.is_text(all) && field.distinct(all).len() > 1
    })?;
    let is_fault = |level: &str| {
        let level = level.to_lowercase();
        ["warn", "err", "crit", "fatal", "panic", "alert", "emerg"].iter().any(|word| level.starts_with(word))
    };
    let (level, _) =
        counts(field, all).into_iter().max_by_key(|(level, count)| (!is_fault(level), *count))?;
    Some((field, level.to_owned()))
}

/// The field that names who pays, by what the preset says and by its name.
pub(super) fn customer_field<'a>(fields: &'a [Field], records: &[usize]) -> Option<&'a Field> {
    let is_one = |field: &&Field| {
        let plain = field.among(records).all(|seen| matches!(seen, Seen::Text(_) | Seen::Number(_)));
        field.count(records) > 0 && plain && !field.is_delicate()
    };
    let of_preset = fields.iter().filter(|field| field.role == Some(Role::Customer)).find(is_one);
    of_preset.or_else(|| {
        let named = |wanted: &str| {
            let mut named: Vec<&Field> =
                fields.iter().filter(|field| field.is_called(wanted)).filter(is_one).collect();
            named.sort_by_key(|field| (usize::MAX - field.count(records), field.path.steps.len()));
            named.into_iter().next()
        };
        CUSTOMERS.iter().find_map(|wanted| named(wanted))
    })
}

/// Numbers that a meter would sum.
pub(super) fn quantities<'a>(fields: &'a [Field], records: &[usize], taken: &[&str]) -> Vec<&'a Field> {
    let is_quantity = |field: &&Field| {
        let named = field.names.iter().any(Name::is_quantity);
        let by_role = field.role == Some(Role::Quantity);
        let other_role = field.role.is_some() && !by_role;
        (by_role || (named && !other_role))
            && !is_cost(field)
            && !field.written.starts_with('@')
            && !taken.iter().any(|text| text.contains(&field.written))
            && field.is_numeric(records)
            && field.count(records) * 2 >= records.len()
    };
    let mut found: Vec<&Field> = fields.iter().filter(is_quantity).collect();
    // A number that is always 0 says nothing; what lies deep in an object is rarely the sum.
    let says_nothing = |field: &Field| {
        field.among(records).all(|seen| seen.number().is_some_and(|digits| digits.parse() == Ok(0.0)))
    };
    found.sort_by_key(|field| {
        (says_nothing(field), field.path.steps.len(), field.role != Some(Role::Quantity))
    });
    found.truncate(MOST_QUANTITIES);
    found
}

pub(super) fn is_cost(field: &Field) -> bool {
    let named =
        ["cost", "cost_usd", "price", "price_usd", "spend", "amount_usd", "cost_cents", "price_cents"];
    field.role == Some(Role::Cost) || named.iter().any(|name| field.is_called(name))
}
