//! `/v1/meters/`: which there are, and what they counted.
//!
//! What a meter counts is worked out from the stored events each time it is asked for, so it needs no upkeep. No recorded
//! case of the real server covers it: it follows that server's source.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit, Zoned};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::polar::meters::{Adds, Aggregation, Filter, Function, Meter, Metered, Truth, as_stored};
use crate::sandbox::fixtures::{Access, Directory, Holder, OrganizationIndex};
use crate::sandbox::query;
use crate::sandbox::reading::is_of;
use crate::sandbox::reply::Reply;
use crate::sandbox::store::{EventNumber, Store};

/// Longest series of intervals that is worked out. Polar has limits of its own for each interval.
const INTERVALS_MAX: usize = 1_000;

/// Shortest name of a meter. Source: Polar's server.
const NAME_MIN_CHARS: usize = 3;

/// A meter and whose it is.
#[derive(Debug, Clone)]
pub struct StoredMeter {
    pub organization: OrganizationIndex,
    pub meter: Meter,
}

/// All meters, in the order in which they were made.
#[derive(Debug, Default)]
pub struct Meters {
    list: Vec<StoredMeter>,
}

impl Meters {
    /// Those of the fixtures.
    pub fn of(directory: &Directory, now: Timestamp) -> Meters {
        let mut meters = Meters::default();
        for index in directory.indexes() {
            for fixture in &directory.organization(index).meters {
                meters.put(index, directory, &fixture.json, fixture.id, now);
            }
        }
        meters
    }

    /// The body has been checked.
    fn put(
        &mut self,
        organization: OrganizationIndex,
        directory: &Directory,
        body: &Value,
        id: Option<Uuid>,
        now: Timestamp,
    ) -> &Meter {
        let number = self.list.len() as u64 + 1;
        let id =
            id.unwrap_or_else(|| Uuid::from_u64_pair(0x0f10_e5a6_3e7e_4000, 0x8000_0000_0000_0000 | number));
        let mut rest = Map::new();
        rest.insert("created_at".into(), json!(now));
        rest.insert("modified_at".into(), Value::Null);
        rest.insert("metadata".into(), body.get("metadata").cloned().unwrap_or_else(|| json!({})));
        let archived = body["is_archived"].as_bool() == Some(true);
        let meter = Meter {
            id: id.to_string(),
            name: body["name"].as_str().unwrap_or_default().to_owned(),
            filter: Filter::of_json(&body["filter"]),
            aggregation: Aggregation::of_json(&body["aggregation"]),
            organization_id: directory.organization(organization).id.to_string(),
            unit: Some(body["unit"].as_str().unwrap_or("scalar").to_owned()),
            archived_at: archived.then_some(now),
            rest,
        };
        self.list.push(StoredMeter { organization, meter });
        &self.list.last().expect("one was just put in").meter
    }

    pub fn of_holder<'a>(&'a self, access: &'a Access) -> impl Iterator<Item = &'a StoredMeter> {
        self.list.iter().filter(|stored| access.holder.organizations().contains(&stored.organization))
    }

    pub fn find<'a>(&'a self, access: &'a Access, id: &str) -> Result<&'a StoredMeter, Reply> {
        let id = uuid(id)?.to_string();
        self.of_holder(access).find(|stored| stored.meter.id == id).ok_or_else(Reply::resource_not_found)
    }

    /// `GET /v1/meters/`
    ///
    /// # Errors
    /// A wrong query.
    pub fn list(&self, access: &Access, query: &str) -> Result<Reply, Reply> {
        let (filter, paging) = query::read(query, &["name", "created_at"])?;
        let part = filter.query.as_ref().map(|part| part.to_lowercase());
        let mut found: Vec<&Meter> = self
            .of_holder(access)
            .map(|stored| &stored.meter)
            .filter(|meter| filter.is_archived.is_none_or(|wanted| meter.is_archived() == wanted))
            .filter(|meter| part.as_ref().is_none_or(|part| meter.name.to_lowercase().contains(part)))
            .collect();
        if !paging.sorting.iter().any(|sorting| sorting.ends_with("created_at")) {
            found.sort_by(|a, b| a.name.cmp(&b.name));
        }
        if paging.sorting.iter().any(|sorting| sorting.starts_with('-')) {
            found.reverse();
        }
        Ok(paging.reply(&found))
    }

    /// `POST /v1/meters/`
    ///
    /// # Errors
    /// A body that makes no meter.
    pub fn create(
        &mut self,
        directory: &Directory,
        access: &Access,
        body: &Value,
        now: Timestamp,
    ) -> Result<Reply, Reply> {
        let Holder::Organization(organization) = &access.holder else {
            return Err(invalid(body, "organization_id", "organization_id is required."));
        };
        check(body)?;
        Ok(json_reply(201, self.put(*organization, directory, body, None, now)))
    }

    /// `PATCH /v1/meters/{id}`: a new name, or into the archive and out of it.
    ///
    /// # Errors
    /// There is no such meter.
    pub fn change(
        &mut self,
        access: &Access,
        id: &str,
        body: &Value,
        now: Timestamp,
    ) -> Result<Reply, Reply> {
        let id = self.find(access, id)?.meter.id.clone();
        let stored = self.list.iter_mut().find(|stored| stored.meter.id == id).expect("it was just found");
        let meter = &mut stored.meter;
        if let Some(name) = body["name"].as_str() {
            name.clone_into(&mut meter.name);
        }
        if let Some(archived) = body["is_archived"].as_bool() {
            meter.archived_at = archived.then_some(now);
        }
        meter.rest.insert("modified_at".into(), json!(now));
        Ok(json_reply(200, meter))
    }

    /// `GET /v1/meters/{id}`
    ///
    /// # Errors
    /// There is no such meter.
    pub fn one(&self, access: &Access, id: &str) -> Result<Reply, Reply> {
        self.find(access, id).map(|stored| json_reply(200, &stored.meter))
    }

    /// `GET /v1/meters/{id}/quantities`
    ///
    /// # Errors
    /// There is no such meter, or the query lacks a time or the interval.
    pub fn quantities(
        &self,
        store: &Store,
        directory: &Directory,
        access: &Access,
        id: &str,
        query: &str,
    ) -> Result<Reply, Reply> {
        let stored = self.find(access, id)?;
        let (filter, _) = query::read(query, &[])?;
        let missing = |key: &str| {
            Reply::invalid("missing", &format!("[\"query\",\"{key}\"]"), "Field required", "null", None)
        };
        let start = filter.start.ok_or_else(|| missing("start_timestamp"))?;
        let end = filter.end.ok_or_else(|| missing("end_timestamp"))?;
        let interval =
            filter.interval.as_deref().and_then(Interval::of_text).ok_or_else(|| missing("interval"))?;
        let starts = interval.starts(start, end);
        if starts.len() > INTERVALS_MAX {
            let message = "The interval is too small for the given date range. Use a larger interval or reduce the \
                           date range.";
            return Err(Reply::invalid("value_error", "[\"query\"]", message, "null", None));
        }
        let mut all = Vec::new();
        let mut by_start: BTreeMap<Timestamp, Vec<Adds>> = BTreeMap::new();
        for number in store.numbers().filter(|&number| store.organization(number) == stored.organization) {
            let at = store.timestamp(number);
            if at < start || at > end || !is_of(&filter, store, directory, number) {
                continue;
            }
            if let Some(adds) = counted(store, number, &stored.meter) {
                by_start.entry(interval.start_of(at)).or_default().push(adds.clone());
                all.push(adds);
            }
        }
        let aggregation = &stored.meter.aggregation;
        let none = Vec::new();
        let quantity = |at: &Timestamp| json!({"timestamp": at, "quantity": aggregate(aggregation, by_start.get(at).unwrap_or(&none))});
        let quantities: Vec<Value> = starts.iter().map(quantity).collect();
        Ok(json_reply(200, &json!({"quantities": quantities, "total": aggregate(aggregation, &all)})))
    }
}

/// What the event adds to the meter; `None` where the meter does not count it.
pub fn counted(store: &Store, number: EventNumber, meter: &Meter) -> Option<Adds> {
    let event: Value = serde_json::from_str(store.text(number)).unwrap_or_default();
    let metadata = as_stored(event["metadata"].as_object().unwrap_or(&Map::new()));
    let metered = Metered {
        name: event["name"].as_str().unwrap_or_default(),
        source: store.source(number),
        at_s: Some(store.timestamp(number).as_second()),
        metadata: &metadata,
    };
    (meter.counts(&metered) == Truth::Yes).then(|| metered.adds(&meter.aggregation))
}

/// Of no event it is 0. Polar, too, does this in floating point.
pub fn aggregate(aggregation: &Aggregation, added: &[Adds]) -> f64 {
    let numbers: Vec<f64> = added
        .iter()
        .filter_map(|adds| match adds {
            Adds::Number(number) => Some(*number),
            _ => None,
        })
        .collect();
    let values: BTreeSet<&str> = added
        .iter()
        .filter_map(|adds| match adds {
            Adds::Value(value) => Some(value.as_str()),
            _ => None,
        })
        .collect();
    match aggregation {
        Aggregation::Count => count(added.len()),
        Aggregation::Unique { .. } => count(values.len()),
        Aggregation::Unknown(_) => 0.0,
        Aggregation::Property { .. } if numbers.is_empty() => 0.0,
        Aggregation::Property { function, .. } => match function {
            Function::Sum => numbers.iter().sum(),
            Function::Avg => numbers.iter().sum::<f64>() / count(numbers.len()),
            Function::Min => numbers.iter().copied().fold(f64::INFINITY, f64::min),
            Function::Max => numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        },
    }
}

fn count(number: usize) -> f64 {
    number as f64
}

#[derive(Debug, Clone, Copy)]
enum Interval {
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Interval {
    fn of_text(text: &str) -> Option<Interval> {
        Some(match text {
            "hour" => Interval::Hour,
            "day" => Interval::Day,
            "week" => Interval::Week,
            "month" => Interval::Month,
            "year" => Interval::Year,
            _ => return None,
        })
    }

    /// The start of the interval in which `at` lies, in UTC; a week begins with its Monday.
    fn start_of(self, at: Timestamp) -> Timestamp {
        let zoned = at.to_zoned(TimeZone::UTC);
        let date = zoned.date();
        let midnight =
            |date: Date| date.to_zoned(TimeZone::UTC).map_or(at, |midnight: Zoned| midnight.timestamp());
        match self {
            Interval::Hour => {
                let mode = jiff::ZonedRound::new().smallest(Unit::Hour).mode(jiff::RoundMode::Trunc);
                zoned.round(mode).map_or(at, |hour| hour.timestamp())
            }
            Interval::Day => midnight(date),
            Interval::Week => {
                let days = i64::from(date.weekday().to_monday_zero_offset());
                midnight(date.checked_sub(jiff::Span::new().days(days)).unwrap_or(date))
            }
            Interval::Month => midnight(date.first_of_month()),
            Interval::Year => midnight(date.first_of_year()),
        }
    }

    fn starts(self, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
        let step = match self {
            Interval::Hour => jiff::Span::new().hours(1),
            Interval::Day => jiff::Span::new().days(1),
            Interval::Week => jiff::Span::new().weeks(1),
            Interval::Month => jiff::Span::new().months(1),
            Interval::Year => jiff::Span::new().years(1),
        };
        let mut starts = Vec::new();
        let mut next = self.start_of(from).to_zoned(TimeZone::UTC);
        while next.timestamp() <= to && starts.len() <= INTERVALS_MAX {
            starts.push(next.timestamp());
            let Ok(later) = next.checked_add(step) else { break };
            next = later;
        }
        starts
    }
}

/// Whether a body makes a meter.
///
/// # Errors
/// What is wrong, as a 422.
pub fn check(body: &Value) -> Result<(), Reply> {
    let name = body["name"].as_str().unwrap_or_default();
    if name.chars().count() < NAME_MIN_CHARS {
        return Err(invalid(body, "name", "String should have at least 3 characters"));
    }
    let filter = Filter::of_json(&body["filter"]);
    if !filter.is_known() || matches!(filter, Filter::Clause(_)) {
        return Err(invalid(body, "filter", "Input should be a filter: a conjunction and its clauses"));
    }
    if matches!(Aggregation::of_json(&body["aggregation"]), Aggregation::Unknown(_)) {
        let message = "Input should be count, or sum, avg, min, max or unique of a property";
        return Err(invalid(body, "aggregation", message));
    }
    Ok(())
}

pub fn invalid(body: &Value, key: &str, message: &str) -> Reply {
    let kind = if body.get(key).is_some() { "value_error" } else { "missing" };
    Reply::invalid(kind, &format!("[\"body\",\"{key}\"]"), message, &body[key].to_string(), None)
}

pub fn json_reply(status: u16, value: &impl serde::Serialize) -> Reply {
    Reply::json(status, serde_json::to_string(value).expect("plain records are always JSON"))
}

pub fn uuid(text: &str) -> Result<Uuid, Reply> {
    crate::polar::validate::parse_uuid(text).map_err(|why| {
        let message = format!("Input should be a valid UUID, {why}");
        Reply::invalid_text("uuid_parsing", "path", "id", &message, text, Some(&why))
    })
}
