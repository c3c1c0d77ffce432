//! A meter's filter: clauses, joined by `and` and `or`, to any depth.

use std::fmt;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use super::without_prefix;

/// Whether something holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    Yes,
    No,
    /// It cannot be told from here.
    Unknown,
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// Empty: every event.
    All(Vec<Filter>),
    /// Empty: every event.
    Any(Vec<Filter>),
    Clause(Clause),
    /// Polar has grown.
    Unknown(Value),
}

/// `tokens > 5`
#[derive(Debug, Clone, PartialEq)]
pub struct Clause {
    /// `name`, `source`, `timestamp`, else a key of the metadata; a dot goes into a table. Without `metadata.`.
    pub property: String,
    pub operator: Operator,
    pub value: Constant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Eq,
    Ne,
    Gt,
    Gte,
    Lt,
    Lte,
    /// Contains.
    Like,
    NotLike,
}

/// The API's word, and what people write.
const OPERATORS: [(&str, Operator, &str); 8] = [
    ("eq", Operator::Eq, "="),
    ("ne", Operator::Ne, "!="),
    ("gt", Operator::Gt, ">"),
    ("gte", Operator::Gte, ">="),
    ("lt", Operator::Lt, "<"),
    ("lte", Operator::Lte, "<="),
    ("like", Operator::Like, "contains"),
    ("not_like", Operator::NotLike, "does not contain"),
];

#[derive(Debug, Clone, PartialEq)]
pub enum Constant {
    Text(String),
    Number(f64),
    Bool(bool),
}

impl Filter {
    #[must_use]
    pub fn of_json(value: &Value) -> Self {
        if let Some(clauses) = value["clauses"].as_array() {
            let filters = clauses.iter().map(Self::of_json).collect();
            return match value["conjunction"].as_str() {
                Some("and") => Self::All(filters),
                Some("or") => Self::Any(filters),
                _ => Self::Unknown(value.clone()),
            };
        }
        Clause::of_json(value).map_or_else(|| Self::Unknown(value.clone()), Self::Clause)
    }

    #[must_use]
    pub fn to_json(&self) -> Value {
        let group = |conjunction: &str, filters: &[Self]| json!({"conjunction": conjunction, "clauses": filters.iter().map(Self::to_json).collect::<Vec<_>>()});
        match self {
            Self::All(filters) => group("and", filters),
            Self::Any(filters) => group("or", filters),
            Self::Clause(clause) => clause.to_json(),
            Self::Unknown(value) => value.clone(),
        }
    }

    /// Whether it holds where each clause holds as `test` says.
    pub fn holds(&self, test: &dyn Fn(&Clause) -> Truth) -> Truth {
        match self {
            Self::All(filters) => joined(filters, test, Truth::No, Truth::Yes),
            // Without clauses the server takes every event here too.
            Self::Any(filters) if filters.is_empty() => Truth::Yes,
            Self::Any(filters) => joined(filters, test, Truth::Yes, Truth::No),
            Self::Clause(clause) => test(clause),
            Self::Unknown(_) => Truth::Unknown,
        }
    }

    /// All its clauses, from left to right.
    #[must_use]
    pub fn clauses(&self) -> Vec<&Clause> {
        match self {
            Self::All(filters) | Self::Any(filters) => filters.iter().flat_map(Self::clauses).collect(),
            Self::Clause(clause) => vec![clause],
            Self::Unknown(_) => Vec::new(),
        }
    }

    /// Whether all of it is understood here.
    #[must_use]
    pub fn is_known(&self) -> bool {
        match self {
            Self::All(filters) | Self::Any(filters) => filters.iter().all(Self::is_known),
            Self::Clause(_) => true,
            Self::Unknown(_) => false,
        }
    }
}

/// `decisive` if one is, `otherwise` if none is and all are known.
fn joined(filters: &[Filter], test: &dyn Fn(&Clause) -> Truth, decisive: Truth, otherwise: Truth) -> Truth {
    let mut joined = otherwise;
    for filter in filters {
        match filter.holds(test) {
            truth if truth == decisive => return decisive,
            Truth::Unknown => joined = Truth::Unknown,
            _ => {}
        }
    }
    joined
}

impl Clause {
    fn of_json(value: &Value) -> Option<Self> {
        let word = value["operator"].as_str()?;
        let (_, operator, _) = OPERATORS.iter().find(|(known, ..)| *known == word)?;
        let property = without_prefix(value["property"].as_str()?).to_owned();
        let value = match &value["value"] {
            Value::String(text) => Constant::Text(text.clone()),
            Value::Number(number) => Constant::Number(number.as_f64()?),
            Value::Bool(value) => Constant::Bool(*value),
            _ => return None,
        };
        Some(Self { property, operator: *operator, value })
    }

    fn to_json(&self) -> Value {
        let (word, _) = self.operator.names();
        let value = match &self.value {
            Constant::Text(text) => json!(text),
            Constant::Bool(value) => json!(value),
            Constant::Number(number) if number.fract() == 0.0 && number.abs() < 1e15 => json!(*number as i64),
            Constant::Number(number) => json!(number),
        };
        json!({"property": self.property, "operator": word, "value": value})
    }
}

impl Operator {
    fn names(self) -> (&'static str, &'static str) {
        let (word, _, sign) =
            OPERATORS.iter().find(|(_, operator, _)| *operator == self).expect("each operator has a name");
        (word, sign)
    }
}

impl fmt::Display for Constant {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(out, "{text:?}"),
            Self::Number(number) => write!(out, "{number}"),
            Self::Bool(value) => write!(out, "{value}"),
        }
    }
}

impl fmt::Display for Clause {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {} {}", self.property, self.operator.names().1, self.value)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (filters, word) = match self {
            Self::All(filters) | Self::Any(filters) if filters.is_empty() => {
                return out.write_str("every event");
            }
            Self::All(filters) => (filters, " and "),
            Self::Any(filters) => (filters, " or "),
            Self::Clause(clause) => return clause.fmt(out),
            Self::Unknown(value) => return write!(out, "{value}"),
        };
        for (at, filter) in filters.iter().enumerate() {
            if at > 0 {
                out.write_str(word)?;
            }
            match filter {
                Self::All(inner) | Self::Any(inner) if inner.len() > 1 && filters.len() > 1 => {
                    write!(out, "({filter})")?;
                }
                _ => filter.fmt(out)?,
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|value| Self::of_json(&value)).map_err(de::Error::custom)
    }
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(filter: &Value, expected: Truth) {
        // A property says of itself what it is.
        let test = |clause: &Clause| match clause.property.as_str() {
            "yes" => Truth::Yes,
            "no" => Truth::No,
            _ => Truth::Unknown,
        };
        assert_eq!(Filter::of_json(filter).holds(&test), expected, "{filter}");
    }

    fn of(conjunction: &str, properties: &[&str]) -> Value {
        let clauses: Vec<Value> = properties
            .iter()
            .map(|property| json!({"property": property, "operator": "eq", "value": 1}))
            .collect();
        json!({"conjunction": conjunction, "clauses": clauses})
    }

    #[test]
    fn clauses_are_joined_also_where_some_cannot_be_told() {
        check(&of("and", &[]), Truth::Yes);
        check(&of("or", &[]), Truth::Yes);
        check(&of("and", &["yes", "yes"]), Truth::Yes);
        check(&of("and", &["yes", "no"]), Truth::No);
        check(&of("and", &["?", "no"]), Truth::No);
        check(&of("and", &["?", "yes"]), Truth::Unknown);
        check(&of("or", &["no", "yes"]), Truth::Yes);
        check(&of("or", &["?", "yes"]), Truth::Yes);
        check(&of("or", &["?", "no"]), Truth::Unknown);
        check(&of("or", &["no", "no"]), Truth::No);
        check(
            &json!({"conjunction": "and", "clauses": [of("or", &["no", "yes"]), of("and", &["yes"])]}),
            Truth::Yes,
        );
        check(&json!({"property": "yes", "operator": "resembles", "value": 1}), Truth::Unknown);
    }
}
