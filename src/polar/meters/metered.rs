//! An event as a meter sees it.
//!
//! The rules of types are those of Polar's server: it compares as Python does. A text is never a number and a number
//! never a text, so `status = 200` does not take `"200"`, while `status != 200` does. A truth value is the number 1 or 0.
//! What is missing fails each test, `!=` and "does not contain" too. A sum, an average, a least and a greatest look at
//! JSON numbers alone.

use serde_json::{Map, Value};

use super::{Aggregation, Clause, Constant, Operator, Truth};
use crate::polar::stored::EventSource;

#[derive(Debug, Clone, Copy)]
pub struct Metered<'a> {
    pub name: &'a str,
    pub source: EventSource,
    /// Seconds since 1970; `None` where it is not known.
    pub at_s: Option<i64>,
    /// As Polar stores it: [`as_stored`].
    pub metadata: &'a Map<String, Value>,
}

/// What an event adds to a meter whose filter takes it.
#[derive(Debug, Clone, PartialEq)]
pub enum Adds {
    /// One.
    Event,
    Number(f64),
    /// One, if this is the first such value.
    Value(String),
    Nothing(WhyNothing),
    /// Polar has grown.
    Unknown,
}

/// Why an event that a filter takes adds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WhyNothing {
    Missing,
    Text,
    Bool,
    /// A table, or the name or source of the event.
    NoNumber,
}

impl<'a> Metered<'a> {
    /// An event of the operator's own, at a time that does not matter.
    #[must_use]
    pub fn of_user(name: &'a str, metadata: &'a Map<String, Value>) -> Self {
        Self { name, source: EventSource::User, at_s: None, metadata }
    }

    #[must_use]
    pub fn test(&self, clause: &Clause) -> Truth {
        let is_text = matches!(clause.value, Constant::Text(_));
        match clause.property.as_str() {
            "name" | "source" if !is_text => Truth::No,
            "name" => compare(&Value::from(self.name), clause).into(),
            "source" => compare(&Value::from(self.source_name()), clause).into(),
            "timestamp" if is_text => Truth::No,
            "timestamp" => self.at_s.map_or(Truth::Unknown, |at| compare(&Value::from(at), clause).into()),
            property => {
                at_property(self.metadata, property).is_some_and(|found| compare(found, clause)).into()
            }
        }
    }

    fn source_name(&self) -> &'static str {
        match self.source {
            EventSource::System => "system",
            EventSource::User => "user",
        }
    }

    /// What it adds, the filter aside.
    #[must_use]
    pub fn adds(&self, aggregation: &Aggregation) -> Adds {
        match aggregation {
            Aggregation::Count => Adds::Event,
            Aggregation::Property { property, .. } => self.number(property),
            Aggregation::Unique { property } => match at_property(self.metadata, property) {
                Some(value) => Adds::Value(canonical(value)),
                None => Adds::Nothing(WhyNothing::Missing),
            },
            Aggregation::Unknown(_) => Adds::Unknown,
        }
    }

    fn number(&self, property: &str) -> Adds {
        match property {
            "name" | "source" => return Adds::Nothing(WhyNothing::NoNumber),
            "timestamp" => return self.at_s.map_or(Adds::Unknown, |at| Adds::Number(at as f64)),
            _ => {}
        }
        match at_property(self.metadata, property) {
            None => Adds::Nothing(WhyNothing::Missing),
            Some(Value::Number(number)) => number.as_f64().map_or(Adds::Unknown, Adds::Number),
            Some(Value::String(_)) => Adds::Nothing(WhyNothing::Text),
            Some(Value::Bool(_)) => Adds::Nothing(WhyNothing::Bool),
            Some(_) => Adds::Nothing(WhyNothing::NoNumber),
        }
    }
}

/// Equal numbers are one value, however they are written; a text is never a number.
fn canonical(value: &Value) -> String {
    match value.as_f64() {
        Some(number) => number.to_string(),
        None => value.to_string(),
    }
}

/// The value of a property. Each dot goes into a table, so a key with a dot in it is never found.
#[must_use]
pub fn at_property<'a>(metadata: &'a Map<String, Value>, property: &str) -> Option<&'a Value> {
    let mut keys = property.split('.');
    let first = metadata.get(keys.next()?)?;
    keys.try_fold(first, |value, key| value.as_object()?.get(key)).filter(|value| !value.is_null())
}

fn compare(found: &Value, clause: &Clause) -> bool {
    let wanted = &clause.value;
    match clause.operator {
        Operator::Like => return words(found).contains(&words_of(wanted)),
        Operator::NotLike => return !words(found).contains(&words_of(wanted)),
        _ => {}
    }
    let order = match (found, wanted) {
        (Value::String(found), Constant::Text(wanted)) => Some(found.as_str().cmp(wanted)),
        _ => number(found).zip(number_of(wanted)).and_then(|(found, wanted)| found.partial_cmp(&wanted)),
    };
    let Some(order) = order else { return clause.operator == Operator::Ne };
    match clause.operator {
        Operator::Eq => order.is_eq(),
        Operator::Ne => order.is_ne(),
        Operator::Gt => order.is_gt(),
        Operator::Gte => order.is_ge(),
        Operator::Lt => order.is_lt(),
        Operator::Lte => order.is_le(),
        Operator::Like | Operator::NotLike => false,
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(value) => Some(f64::from(u8::from(*value))),
        other => other.as_f64(),
    }
}

fn number_of(constant: &Constant) -> Option<f64> {
    match constant {
        Constant::Text(_) => None,
        Constant::Number(number) => Some(*number),
        Constant::Bool(value) => Some(f64::from(u8::from(*value))),
    }
}

fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(value) => truth_word(*value),
        other => other.to_string(),
    }
}

fn words_of(constant: &Constant) -> String {
    match constant {
        Constant::Text(text) => text.clone(),
        Constant::Number(number) => number.to_string(),
        Constant::Bool(value) => truth_word(*value),
    }
}

/// As Python writes it.
fn truth_word(value: bool) -> String {
    if value { "True".to_owned() } else { "False".to_owned() }
}

/// The metadata as Polar keeps what was sent: in `_cost` and `_llm` it makes numbers of texts.
#[must_use]
pub fn as_stored(metadata: &Map<String, Value>) -> Map<String, Value> {
    let mut stored = metadata.clone();
    let keys = [
        ("_cost", "amount"),
        ("_llm", "input_tokens"),
        ("_llm", "output_tokens"),
        ("_llm", "total_tokens"),
        ("_llm", "cached_input_tokens"),
    ];
    for (table, key) in keys {
        let Some(value) = stored.get_mut(table).and_then(|table| table.get_mut(key)) else { continue };
        if let Some(number) = value.as_str().and_then(|text| text.trim().parse::<f64>().ok()) {
            *value = Value::from(number);
        }
    }
    stored
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Filter;
    use super::*;

    fn metadata() -> Map<String, Value> {
        let metadata = json!({"n": 12, "text": "12", "part": 0.5, "yes": true, "model": "gpt-4", "a.b": 1,
            "_llm": {"total_tokens": "40"}, "_cost": {"amount": "1.5", "currency": "usd"}});
        as_stored(metadata.as_object().unwrap())
    }

    #[track_caller]
    fn check(clause: &str, expected: bool) {
        let (property, rest) = clause.split_once(' ').unwrap();
        let (operator, value) = rest.split_once(' ').unwrap();
        let value: Value = serde_json::from_str(value).unwrap();
        let filter = Filter::of_json(&json!({"property": property, "operator": operator, "value": value}));
        let metadata = metadata();
        let event = Metered { at_s: Some(1_000), ..Metered::of_user("llm_usage", &metadata) };
        assert_eq!(filter.holds(&|clause| event.test(clause)), expected.into(), "{clause}");
    }

    /// Each line is a fact of Polar's server: POLAR.md, or its own tests.
    #[test]
    fn a_text_is_no_number_and_a_number_no_text() {
        check("n eq 12", true);
        check("n eq \"12\"", false);
        check("n ne \"12\"", true);
        check("n gte 12", true);
        check("n lt \"2\"", false);
        check("text eq 12", false);
        check("text ne 12", true);
        check("text gt 5", false);
        check("text eq \"12\"", true);
        check("part lt 1", true);
        check("part gt 0", true);
        check("yes eq true", true);
        check("yes eq \"true\"", false);
        check("yes eq 1", true);
        check("n eq true", false);
        check("model gt \"a\"", true);
    }

    #[test]
    fn what_is_missing_fails_each_test() {
        for operator in ["eq", "ne", "gt", "gte", "lt", "lte", "like", "not_like"] {
            check(&format!("none {operator} \"x\""), false);
        }
    }

    #[test]
    fn contains_compares_what_it_would_write() {
        check("model like \"gpt\"", true);
        check("model like \"GPT\"", false);
        check("model not_like \"claude\"", true);
        check("n like 2", true);
        check("yes like true", true);
        check("text like 12", true);
    }

    #[test]
    fn a_dot_goes_into_a_table_and_a_key_with_one_is_never_found() {
        check("metadata.n eq 12", true);
        check("_llm.total_tokens eq 40", true);
        check("_cost.amount gte 1", true);
        check("a.b eq 1", false);
    }

    #[test]
    fn name_source_and_time_are_properties_of_the_event() {
        check("name eq \"llm_usage\"", true);
        check("name like \"usage\"", true);
        check("name ne 5", false);
        check("source eq \"user\"", true);
        check("timestamp lte 1000", true);
        check("timestamp eq \"1000\"", false);
    }

    #[track_caller]
    fn adds(aggregation: &Value, expected: &Adds) {
        let metadata = metadata();
        let added = Metered::of_user("a", &metadata).adds(&Aggregation::of_json(aggregation));
        assert_eq!(&added, expected, "{aggregation}");
    }

    #[test]
    fn only_json_numbers_are_summed() {
        let of = |property: &str| json!({"func": "sum", "property": property});
        adds(&json!({"func": "count"}), &Adds::Event);
        adds(&of("n"), &Adds::Number(12.0));
        adds(&of("metadata.part"), &Adds::Number(0.5));
        adds(&of("_cost.amount"), &Adds::Number(1.5));
        adds(&of("text"), &Adds::Nothing(WhyNothing::Text));
        adds(&of("yes"), &Adds::Nothing(WhyNothing::Bool));
        adds(&of("none"), &Adds::Nothing(WhyNothing::Missing));
        adds(&of("_llm"), &Adds::Nothing(WhyNothing::NoNumber));
        adds(&of("name"), &Adds::Nothing(WhyNothing::NoNumber));
    }

    #[test]
    fn a_value_is_told_from_another_by_what_it_is() {
        let of = |property: &str| json!({"func": "unique", "property": property});
        adds(&of("n"), &Adds::Value("12".into()));
        adds(&of("text"), &Adds::Value("\"12\"".into()));
        adds(&of("none"), &Adds::Nothing(WhyNothing::Missing));
    }
}
