//! The query of a list: which events, in what order, which page.

use jiff::Timestamp;
use uuid::Uuid;

use crate::polar::json::{Json, write_string};
use crate::polar::limits::LIST_MAX_ITEMS;
use crate::polar::timestamp::{self, Reading};
use crate::polar::validate::parse_uuid;
use crate::sandbox::reply::Reply;

/// Which events of a list are wanted. An empty list of alternatives wants all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    pub organizations: Vec<Uuid>,
    pub names: Vec<String>,
    pub sources: Vec<String>,
    pub customer_ids: Vec<Uuid>,
    pub external_customer_ids: Vec<String>,
    pub start: Option<Timestamp>,
    pub end: Option<Timestamp>,
    pub parent_id: Option<Uuid>,
    /// A part of the name.
    pub query: Option<String>,
    /// Key and value, which is compared as text.
    pub metadata: Vec<(String, String)>,
    /// Of these meters.
    pub meter_ids: Vec<Uuid>,
    /// Of a list of meters.
    pub is_archived: Option<bool>,
    /// Of a meter's quantities: `day` and so on.
    pub interval: Option<String>,
}

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paging {
    /// From 1.
    pub page: usize,
    pub limit: usize,
    /// `timestamp`, `-name`; the first weighs most.
    pub sorting: Vec<String>,
}

impl Paging {
    /// The page of all that was found, as the server gives it.
    pub fn reply<T: serde::Serialize>(&self, found: &[T]) -> Reply {
        let start = (self.page - 1).saturating_mul(self.limit).min(found.len());
        let end = start.saturating_add(self.limit).min(found.len());
        let pages = found.len().div_ceil(self.limit);
        let page = serde_json::json!({
            "items": &found[start..end],
            "pagination": {"total_count": found.len(), "max_page": pages},
        });
        Reply::json(200, page.to_string())
    }
}

/// Reads a query. `sortable` are the names that `sorting` may have.
///
/// # Errors
/// The 422 of the real server.
pub fn read(query: &str, sortable: &[&str]) -> Result<(Filter, Paging), Reply> {
    let mut filter = Filter::default();
    let mut paging = Paging { page: 1, limit: 10, sorting: Vec::new() };
    for (key, value) in pairs(query) {
        match key.as_str() {
            "organization_id" => filter.organizations.push(uuid(&key, &value)?),
            "name" => filter.names.push(value),
            "source" if value == "user" || value == "system" => filter.sources.push(value),
            "source" => return Err(not_one_of(&key, &value, &["system", "user"])),
            "customer_id" => filter.customer_ids.push(uuid(&key, &value)?),
            "external_customer_id" => filter.external_customer_ids.push(value),
            "start_timestamp" => filter.start = Some(moment(&key, &value)?),
            "end_timestamp" => filter.end = Some(moment(&key, &value)?),
            "parent_id" => filter.parent_id = Some(uuid(&key, &value)?),
            "query" => filter.query = Some(value),
            "meter_id" => filter.meter_ids.push(uuid(&key, &value)?),
            "is_archived" if value == "true" || value == "false" => {
                filter.is_archived = Some(value == "true");
            }
            "is_archived" => return Err(not_one_of(&key, &value, &["true", "false"])),
            "interval" => {
                let known = ["hour", "day", "week", "month", "year"];
                if !known.contains(&value.as_str()) {
                    return Err(not_one_of(&key, &value, &known));
                }
                filter.interval = Some(value);
            }
            "page" => paging.page = positive(&key, &value)?,
            "limit" => paging.limit = positive(&key, &value)?.min(LIST_MAX_ITEMS),
            "sorting" if sortable.contains(&value.trim_start_matches('-')) => paging.sorting.push(value),
            "sorting" => return Err(not_one_of(&key, &value, sortable)),
            _ => {
                if let Some(name) = key.strip_prefix("metadata[").and_then(|rest| rest.strip_suffix(']')) {
                    filter.metadata.push((name.to_owned(), value));
                }
            }
        }
    }
    Ok((filter, paging))
}

fn uuid(key: &str, value: &str) -> Result<Uuid, Reply> {
    parse_uuid(value).map_err(|why| {
        let message = format!("Input should be a valid UUID, {why}");
        Reply::invalid_text("uuid_parsing", "query", key, &message, value, Some(&why))
    })
}

fn moment(key: &str, value: &str) -> Result<Timestamp, Reply> {
    match timestamp::read(&Json::String(value.into()), Timestamp::MAX) {
        Reading::At(timestamp) => Ok(timestamp),
        Reading::Bad(finding) => {
            Err(Reply::invalid_text(finding.kind, "query", key, &finding.message, value, None))
        }
        Reading::Crash => Err(Reply::internal_server_error()),
    }
}

fn positive(key: &str, value: &str) -> Result<usize, Reply> {
    match value.parse::<i64>() {
        Ok(number) if number > 0 => Ok(usize::try_from(number).unwrap_or(usize::MAX)),
        Ok(_) => {
            let mut location = String::from("[\"query\",");
            write_string(key, &mut location);
            location.push(']');
            let mut input = String::new();
            write_string(value, &mut input);
            let message = "Input should be greater than 0";
            Err(Reply::invalid("greater_than", &location, message, &input, Some("{\"gt\":0}")))
        }
        Err(_) => {
            let message = "Input should be a valid integer, unable to parse string as an integer";
            Err(Reply::invalid_text("int_parsing", "query", key, message, value, None))
        }
    }
}

fn not_one_of(key: &str, value: &str, known: &[&str]) -> Reply {
    let message = format!("Input should be one of {}", known.join(", "));
    Reply::invalid_text("enum", "query", key, &message, value, None)
}

/// The names and values of a query, decoded.
fn pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(key), decoded(value))
    })
}

pub fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => match tail {
                [high, low, behind @ ..] => {
                    match (char::from(*high).to_digit(16), char::from(*low).to_digit(16)) {
                        (Some(high), Some(low)) => {
                            rest = behind;
                            (high * 16 + low) as u8
                        }
                        _ => b'%',
                    }
                }
                _ => b'%',
            },
            other => *other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_and_its_limit_clamped() {
        let (filter, paging) = read(
            "name=a%20b&name=c+d&metadata%5Bk%5D=1%C3%A9&limit=101&page=2&sorting=-timestamp",
            &["timestamp"],
        )
        .expect("the query is right");
        assert_eq!(filter.names, ["a b", "c d"]);
        assert_eq!(filter.metadata, [("k".to_owned(), "1é".to_owned())]);
        assert_eq!(paging, Paging { page: 2, limit: 100, sorting: vec!["-timestamp".to_owned()] });
    }

    #[test]
    fn a_wrong_query_is_a_422() {
        for query in
            ["limit=0", "page=x", "customer_id=abc", "source=me", "sorting=name", "start_timestamp=yesterday"]
        {
            let reply = read(query, &["timestamp"]).expect_err("the query is wrong");
            assert_eq!(reply.status, 422, "{query}");
        }
    }
}
