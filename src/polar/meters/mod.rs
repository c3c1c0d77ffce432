//! Meters: which events one counts, and what an event adds.
//!
//! Read leniently: what Polar may have grown (an operator, an aggregation, a unit) is kept as it came, and whether such
//! a meter counts an event is then [`Truth::Unknown`], never a guess. Source: Polar's server, which matches an event
//! with all meters when it takes it, and bills by that.

mod filter;
mod metered;

use jiff::Timestamp;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value, json};

pub use filter::{Clause, Constant, Filter, Operator, Truth};
pub use metered::{Adds, Metered, WhyNothing, as_stored, at_property};

/// A meter of `GET /v1/meters/`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Meter {
    pub id: String,
    pub name: String,
    pub filter: Filter,
    pub aggregation: Aggregation,
    #[serde(default)]
    pub organization_id: String,
    /// `scalar`, `token`, `custom`, or what Polar has added.
    #[serde(default)]
    pub unit: Option<String>,
    /// Set where the meter no longer bills.
    #[serde(default)]
    pub archived_at: Option<Timestamp>,
    /// Keys that are not known here.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// What a meter makes of the events that it counts.
#[derive(Debug, Clone, PartialEq)]
pub enum Aggregation {
    Count,
    /// Of a property that is a number.
    Property {
        function: Function,
        property: String,
    },
    /// How many different values there are.
    Unique {
        property: String,
    },
    /// Polar has grown.
    Unknown(Value),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    Sum,
    Avg,
    Min,
    Max,
}

const FUNCTIONS: [(&str, Function); 4] =
    [("sum", Function::Sum), ("avg", Function::Avg), ("min", Function::Min), ("max", Function::Max)];

impl Function {
    #[must_use]
    pub fn name(self) -> &'static str {
        FUNCTIONS.iter().find(|(_, function)| *function == self).expect("each function has a name").0
    }
}

impl Aggregation {
    #[must_use]
    pub fn of_json(value: &Value) -> Self {
        let property = value["property"].as_str().map(|property| without_prefix(property).to_owned());
        let function = value["func"].as_str().unwrap_or_default();
        match (function, property) {
            ("count", _) => Self::Count,
            ("unique", Some(property)) => Self::Unique { property },
            (name, Some(property)) => match FUNCTIONS.iter().find(|(known, _)| *known == name) {
                Some((_, function)) => Self::Property { function: *function, property },
                None => Self::Unknown(value.clone()),
            },
            _ => Self::Unknown(value.clone()),
        }
    }

    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Count => json!({"func": "count"}),
            Self::Property { function, property } => json!({"func": function.name(), "property": property}),
            Self::Unique { property } => json!({"func": "unique", "property": property}),
            Self::Unknown(value) => value.clone(),
        }
    }

    /// The property that it looks at.
    #[must_use]
    pub fn property(&self) -> Option<&str> {
        match self {
            Self::Property { property, .. } | Self::Unique { property } => Some(property),
            Self::Count | Self::Unknown(_) => None,
        }
    }
}

/// `count`, `sum of total_tokens`.
impl std::fmt::Display for Aggregation {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count => out.write_str("count"),
            Self::Property { function, property } => write!(out, "{} of {property}", function.name()),
            Self::Unique { property } => write!(out, "different values of {property}"),
            Self::Unknown(value) => write!(out, "{value}"),
        }
    }
}

impl<'de> Deserialize<'de> for Aggregation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|value| Self::of_json(&value)).map_err(de::Error::custom)
    }
}

impl Serialize for Aggregation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

/// Polar takes `metadata.tokens` for `tokens`, once.
fn without_prefix(property: &str) -> &str {
    property.strip_prefix("metadata.").unwrap_or(property)
}

impl Meter {
    /// Whether it counts the event: its filter takes it, and there is something to aggregate.
    #[must_use]
    pub fn counts(&self, event: &Metered<'_>) -> Truth {
        match self.filter.holds(&|clause| event.test(clause)) {
            Truth::Yes => match event.adds(&self.aggregation) {
                Adds::Nothing(_) if !matches!(self.aggregation, Aggregation::Unique { .. }) => Truth::No,
                Adds::Unknown => Truth::Unknown,
                _ => Truth::Yes,
            },
            other => other,
        }
    }

    #[must_use]
    pub fn is_archived(&self) -> bool {
        self.archived_at.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_is_read_and_written_with_what_is_not_known() {
        let json = r#"{"id":"m","name":"Tokens","created_at":"2026-01-01T00:00:00Z","modified_at":null,"metadata":{},
            "filter":{"conjunction":"and","clauses":[{"property":"metadata.model","operator":"eq","value":"a"},
                {"conjunction":"or","clauses":[{"property":"n","operator":"gte","value":3},
                    {"property":"test","operator":"ne","value":true}]}]},
            "aggregation":{"func":"sum","property":"metadata.tokens"},"organization_id":"o","unit":"token",
            "custom_label":null,"archived_at":null}"#;
        let meter: Meter = serde_json::from_str(json).unwrap();
        assert_eq!(
            meter.aggregation,
            Aggregation::Property { function: Function::Sum, property: "tokens".into() }
        );
        assert_eq!(meter.filter.to_string(), r#"model = "a" and (n >= 3 or test != true)"#);
        assert_eq!((meter.unit.as_deref(), meter.is_archived()), (Some("token"), false));
        assert!(meter.rest.contains_key("custom_label"));
        let again: Meter = serde_json::from_value(serde_json::to_value(&meter).unwrap()).unwrap();
        assert_eq!(again, meter);
    }

    #[test]
    fn what_polar_has_grown_is_kept_and_not_guessed() {
        let json = r#"{"id":"m","name":"New","organization_id":"o","aggregation":{"func":"median","property":"n"},
            "filter":{"conjunction":"xor","clauses":[]}}"#;
        let meter: Meter = serde_json::from_str(json).unwrap();
        assert!(matches!(meter.aggregation, Aggregation::Unknown(_)));
        assert!(matches!(meter.filter, Filter::Unknown(_)));
        let metadata = Map::new();
        assert_eq!(meter.counts(&Metered::of_user("a", &metadata)), Truth::Unknown);
    }
}
