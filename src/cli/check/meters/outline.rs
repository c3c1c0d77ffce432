//! What the events of a rule look like, as far as the rule alone tells.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use crate::config::language::{Literal, Part, Value};
use crate::config::settings::{RuleSettings, SourceSettings};
use crate::config::values::{self, Kind};
use crate::polar::meters::{Clause, Constant, Metered, Operator, Truth};

/// What stands under a key of the metadata.
#[derive(Debug, Clone, PartialEq)]
pub enum Sent {
    /// The same in each event.
    Constant(Json),
    /// A text, where there is anything.
    Text,
    Number,
    Bool,
    /// What the line has.
    Unknown,
}

#[derive(Debug, Clone)]
pub struct Outline {
    /// `None` where the line decides.
    pub name: Option<String>,
    /// By property, as meters name them: `total_tokens`, `_llm.total_tokens`.
    pub properties: BTreeMap<String, Sent>,
    /// Keys with a dot in them: to Polar the dot is a step into a table, so no meter finds them.
    pub hidden: Vec<String>,
}

impl Outline {
    #[must_use]
    pub fn of(rule: &RuleSettings, sources: &[&SourceSettings]) -> Self {
        let mut properties = BTreeMap::new();
        let mut hidden = Vec::new();
        for (key, value) in &rule.event.metadata {
            if key.contains('.') {
                hidden.push(key.clone());
            } else {
                properties.insert(key.clone(), sent(value, sources));
            }
        }
        if let Some(cost) = &rule.event.cost {
            // Polar makes a number of it.
            properties.insert("_cost.amount".into(), Sent::Number);
            properties.insert("_cost.currency".into(), sent(&cost.currency, sources));
        }
        if let Some(llm) = &rule.event.llm {
            let texts = [("vendor", Some(&llm.vendor)), ("model", Some(&llm.model))];
            let more = [("prompt", llm.prompt.as_ref()), ("response", llm.response.as_ref())];
            for (key, value) in texts.into_iter().chain(more) {
                if let Some(value) = value {
                    let sent = match sent(value, sources) {
                        Sent::Constant(constant) => Sent::Constant(constant),
                        _ => Sent::Text,
                    };
                    properties.insert(format!("_llm.{key}"), sent);
                }
            }
            let numbers = ["input_tokens", "output_tokens", "total_tokens"];
            let cached = llm.cached_input_tokens.is_some().then_some("cached_input_tokens");
            for key in numbers.into_iter().chain(cached) {
                properties.insert(format!("_llm.{key}"), Sent::Number);
            }
        }
        let name = match &rule.event.name {
            Value::Literal(Literal::Text(name)) => Some(name.clone()),
            _ => None,
        };
        Self { name, properties, hidden }
    }

    /// Whether a clause holds of each event, of none, or of some.
    #[must_use]
    pub fn test(&self, clause: &Clause) -> Truth {
        let nothing = Map::new();
        let by_value =
            |name: &str, metadata: &Map<String, Json>| Metered::of_user(name, metadata).test(clause);
        match clause.property.as_str() {
            "name" => self.name.as_deref().map_or(Truth::Unknown, |name| by_value(name, &nothing)),
            "source" | "timestamp" => by_value("", &nothing),
            property => match self.properties.get(property) {
                None => Truth::No,
                Some(Sent::Constant(constant)) => by_value("", &nested(property, constant)),
                Some(sent) if sent.differs_from(clause) => match clause.operator {
                    // Of what is there; it may be missing.
                    Operator::Ne => Truth::Unknown,
                    _ => Truth::No,
                },
                Some(_) => Truth::Unknown,
            },
        }
    }
}

/// Metadata with this value at the property, and nothing else.
pub fn nested(property: &str, value: &Json) -> Map<String, Json> {
    let mut keys = property.rsplit('.');
    let last = keys.next().unwrap_or_default();
    let innermost = Map::from_iter([(last.to_owned(), value.clone())]);
    keys.fold(innermost, |inner, key| Map::from_iter([(key.to_owned(), Json::Object(inner))]))
}

impl Sent {
    /// Whether a comparison can never be of the same type. "Contains" compares texts of everything.
    #[must_use]
    pub fn differs_from(&self, clause: &Clause) -> bool {
        if matches!(clause.operator, Operator::Like | Operator::NotLike) {
            return false;
        }
        let wants_text = matches!(clause.value, Constant::Text(_));
        match self {
            Self::Constant(value) => value.is_string() != wants_text,
            Self::Text => !wants_text,
            // To Polar a truth value is the number 1 or 0.
            Self::Number | Self::Bool => wants_text,
            Self::Unknown => false,
        }
    }
}

fn sent(value: &Value, sources: &[&SourceSettings]) -> Sent {
    let template = match value {
        Value::Literal(Literal::Text(text)) => return Sent::Constant(text.as_str().into()),
        Value::Literal(Literal::Bool(value)) => return Sent::Constant((*value).into()),
        Value::Literal(Literal::Number(number)) => {
            let number = serde_json::from_str(&number.to_string());
            return number.map_or(Sent::Number, Sent::Constant);
        }
        Value::Template(template) => template,
    };
    let [Part::Placeholder(alone)] = template.parts.as_slice() else { return Sent::Text };
    match values::kind(alone, sources) {
        Kind::Text | Kind::Time => Sent::Text,
        Kind::Number => Sent::Number,
        Kind::Bool => Sent::Bool,
        Kind::Unknown => Sent::Unknown,
    }
}
