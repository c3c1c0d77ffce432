//! `[rules.event]`: the event as Polar takes it. What Polar would refuse and can be seen here is a fault here.

use rust_decimal::Decimal;

use super::literal::{least_chars, value};
use super::scope::Scope;
use crate::config::fault::{self, Fault, Place};
use crate::config::language::{Cost, Customer, EventTemplate, Literal, Llm, Value};
use crate::config::node::{self, Entry, Node};
use crate::config::reader::{Report, TableReader};
use crate::polar::limits;

/// Reads an event. The place is that of `external_id`, for the check of natural ids.
pub(super) fn read(
    report: &Report,
    node: &Node,
    scope: &Scope<'_>,
) -> Option<(EventTemplate, Option<Place>)> {
    let table = report.open("event", node)?;
    let texts = Texts { report, scope };
    let name = table.required("name", "name the event: name = \"llm_usage\"");
    let name = name.and_then(|node| texts.name(node));
    let customer = customer(&texts, &table);
    let timestamp_node = table.optional("timestamp");
    let timestamp = timestamp_node.and_then(|node| timestamp(&texts, node));
    let external_id_node = table.optional("external_id");
    let external_id = external_id_node.and_then(|node| external_id(&texts, node));
    let parent_id = table.optional("parent_id").and_then(|node| texts.id(node));
    let organization_id = table.optional("organization_id").and_then(|node| texts.uuid(node));
    let metadata = table.optional("metadata").map(|node| metadata(&texts, node));
    table.finish();
    if spoiled(timestamp_node, timestamp.as_ref()) || spoiled(external_id_node, external_id.as_ref()) {
        return None;
    }
    let Metadata { values, cost, llm } = metadata.unwrap_or_default();
    let event = EventTemplate {
        name: name?,
        customer: customer?,
        timestamp,
        external_id,
        parent_id,
        metadata: values,
        cost,
        llm,
        organization_id,
    };
    Some((event, external_id_node.map(|node| node.place.clone())))
}

/// Whether the key is there and wrong: then the rule is not one without it.
fn spoiled(node: Option<&Node>, value: Option<&Value>) -> bool {
    node.is_some() && value.is_none()
}

fn customer(texts: &Texts<'_>, table: &TableReader<'_>) -> Option<Customer> {
    let external = table.optional("external_customer_id");
    let external_member = table.optional("external_member_id");
    let polar = table.optional("customer_id");
    let polar_member = table.optional("member_id");
    let report = texts.report;
    match (external, polar) {
        (Some(external), Some(polar)) => {
            report.push(
                Fault::at(&polar.place, "two customers: of two ids Polar takes the external one in silence")
                    .beside(&external.place, "the external one")
                    .hint("keep one of external_customer_id and customer_id"),
            );
            // Only for what else is wrong with them.
            texts.id(external);
            texts.uuid(polar);
            None
        }
        (None, None) => {
            let message = "this event has no customer: nobody would be billed";
            let hint = "add external_customer_id = \"{…}\" with your id of the customer, or customer_id with Polar's";
            report.push(Fault::at(table.place(), message).hint(hint));
            None
        }
        (Some(id), None) => {
            wrong_member(report, polar_member, "external_member_id", "external_customer_id");
            let member = external_member.and_then(|node| texts.id(node));
            Some(Customer::External { id: texts.id(id)?, member })
        }
        (None, Some(id)) => {
            wrong_member(report, external_member, "member_id", "customer_id");
            let member = polar_member.and_then(|node| texts.id(node));
            Some(Customer::Polar { id: texts.uuid(id)?, member })
        }
    }
}

fn wrong_member(report: &Report, node: Option<&Node>, right: &str, customer: &str) {
    if let Some(node) = node {
        let message = format!("this kind of member does not go with {customer}");
        report.push(Fault::at(&node.place, message).hint(format!("did you mean {right}?")));
    }
}

fn timestamp(texts: &Texts<'_>, node: &Node) -> Option<Value> {
    let value = texts.text(node)?;
    if let Value::Literal(_) = value {
        texts.report.push(
            Fault::at(&node.place, "every event would have the same timestamp")
                .hint("take it from the line: timestamp = \"{ts}\""),
        );
        return None;
    }
    Some(value)
}

fn external_id(texts: &Texts<'_>, node: &Node) -> Option<Value> {
    let value = texts.id(node)?;
    if let Value::Literal(_) = value {
        texts.report.push(
            Fault::at(&node.place, "every event would have the same external_id, and Polar takes an id once")
                .hint(
                    "take it from the line, \"app:{request_id}\", or leave it out: Floe makes a stable one",
                ),
        );
        return None;
    }
    Some(value)
}

#[derive(Default)]
struct Metadata {
    values: Vec<(String, Value)>,
    cost: Option<Cost>,
    llm: Option<Llm>,
}

fn metadata(texts: &Texts<'_>, node: &Node) -> Metadata {
    let report = texts.report;
    let mut metadata = Metadata::default();
    let Some(table) = node.table() else {
        report.wrong_type(node, "a table");
        return metadata;
    };
    if let Some(entry) = table.entries.get(limits::METADATA_MAX_KEYS) {
        let message =
            format!("{} keys of metadata: Polar takes {}", table.entries.len(), limits::METADATA_MAX_KEYS);
        report.push(Fault::at(&entry.key_place, message).label("the first too many").hint("leave some out"));
    }
    for entry in &table.entries {
        let key = entry.key.value.as_str();
        match key {
            "_cost" => metadata.cost = cost(texts, &entry.node),
            "_llm" => metadata.llm = llm(texts, &entry.node),
            _ => {
                check_key(report, entry);
                let value = metadata_value(texts, key, &entry.node);
                metadata.values.extend(value.map(|value| (key.to_owned(), value)));
            }
        }
    }
    metadata
}

fn check_key(report: &Report, entry: &Entry) {
    let length = entry.key.value.chars().count();
    if length == 0 || entry.key.value.contains('\0') {
        report.push(Fault::at(&entry.key_place, "Polar refuses this key").hint("name it with letters"));
    } else if length > limits::METADATA_KEY_MAX_CHARS {
        let most = limits::METADATA_KEY_MAX_CHARS;
        let message = format!("a key of {length} characters: Polar takes {most}");
        report.push(Fault::at(&entry.key_place, message).hint("name it shorter"));
    }
}

fn metadata_value(texts: &Texts<'_>, key: &str, node: &Node) -> Option<Value> {
    if let node::Value::Table(table) = &node.value
        && crate::config::reader::unquoted_placeholder(table).is_none()
    {
        let hint = match fault::nearest(key, ["_cost", "_llm"]) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("name its values one by one: {key}_a, {key}_b; only _cost and _llm are tables"),
        };
        texts.report.push(Fault::at(&node.place, "Polar's metadata has no tables inside").hint(hint));
        return None;
    }
    let node::Value::List(_) = &node.value else {
        return texts.limited(node, limits::METADATA_STRING_MAX_CHARS, texts.any(node)?);
    };
    let hint = "choose an element, \"{tags[0]}\"";
    texts.report.push(Fault::at(&node.place, "Polar's metadata has no lists").hint(hint));
    None
}

fn cost(texts: &Texts<'_>, node: &Node) -> Option<Cost> {
    let table = texts.report.open("cost", node)?;
    let amount =
        table.required("amount", "the amount in cents: amount = \"{cost_usd | decimal | mul('100')}\"");
    let amount = amount.and_then(|node| cost_amount(texts, node));
    let currency = table.required("currency", "write currency = \"usd\"");
    let currency = currency.and_then(|node| cost_currency(texts, node));
    table.finish();
    Some(Cost { amount: amount?, currency: currency? })
}

fn cost_amount(texts: &Texts<'_>, node: &Node) -> Option<Value> {
    let value = texts.any(node)?;
    let number = match &value {
        Value::Template(_) => return Some(value),
        Value::Literal(Literal::Number(number)) => Some(*number),
        Value::Literal(Literal::Text(text)) => Decimal::from_str_exact(text).ok(),
        Value::Literal(Literal::Bool(_)) => None,
    };
    let Some(number) = number else {
        texts.report.wrong_type(node, "a number of cents");
        return None;
    };
    let normal = number.normalize();
    if normal.abs() >= limits::COST_AMOUNT_BOUND || normal.scale() > limits::COST_MAX_DECIMALS {
        let hint = "the amount is in cents, below 100000 and with at most 12 decimals";
        texts.report.push(Fault::at(&node.place, "Polar does not take this amount").hint(hint));
        return None;
    }
    Some(Value::Literal(Literal::Number(number)))
}

fn cost_currency(texts: &Texts<'_>, node: &Node) -> Option<Value> {
    let value = texts.text(node)?;
    if let Value::Literal(Literal::Text(text)) = &value
        && text != limits::COST_CURRENCY
    {
        let message = format!("Polar takes no costs in \"{text}\"");
        texts.report.push(Fault::at(&node.place, message).hint("convert to US dollars and write \"usd\""));
        return None;
    }
    Some(value)
}

fn llm(texts: &Texts<'_>, node: &Node) -> Option<Llm> {
    let report = texts.report;
    let table = report.open("llm", node)?;
    let missing: Vec<_> =
        limits::LLM_REQUIRED_KEYS.into_iter().filter(|key| table.optional(key).is_none()).collect();
    if !missing.is_empty() {
        let message = format!("_llm lacks {}", missing.join(", "));
        report.push(
            Fault::at(table.place(), message)
                .hint("Polar takes _llm whole or not at all: add them, or leave it out"),
        );
    }
    let text = |key| table.optional(key).and_then(|node| texts.text(node));
    let count = |key| table.optional(key).and_then(|node| token_count(texts, node));
    let vendor = text("vendor");
    let model = text("model");
    let input_tokens = count("input_tokens");
    let output_tokens = count("output_tokens");
    let total_tokens = count("total_tokens");
    let cached_input_tokens = count("cached_input_tokens");
    let prompt = text("prompt");
    let response = text("response");
    table.finish();
    Some(Llm {
        vendor: vendor?,
        model: model?,
        input_tokens: input_tokens?,
        output_tokens: output_tokens?,
        total_tokens: total_tokens?,
        cached_input_tokens,
        prompt,
        response,
    })
}

fn token_count(texts: &Texts<'_>, node: &Node) -> Option<Value> {
    let value = texts.any(node)?;
    let good = match &value {
        Value::Template(_) => true,
        Value::Literal(Literal::Number(number)) => number.is_integer(),
        Value::Literal(_) => false,
    };
    if !good {
        texts.report.wrong_type(node, "a whole number or a placeholder");
    }
    good.then_some(value)
}

/// Values of an event that are texts, with Polar's limits on what can be seen of them.
struct Texts<'a> {
    report: &'a Report,
    scope: &'a Scope<'a>,
}

impl Texts<'_> {
    fn name(&self, node: &Node) -> Option<Value> {
        self.text(node).and_then(|value| self.limited(node, limits::NAME_MAX_CHARS, value))
    }

    /// An id, as text; `42` is `"42"`.
    fn id(&self, node: &Node) -> Option<Value> {
        let value = self.text(node)?;
        if let Value::Literal(Literal::Text(text)) = &value
            && text.len() > limits::ID_MAX_BYTES
        {
            let message =
                format!("an id of {} bytes: Polar fails above {}", text.len(), limits::ID_MAX_BYTES);
            self.report.push(Fault::at(&node.place, message).hint("use a shorter one"));
            return None;
        }
        Some(value)
    }

    fn uuid(&self, node: &Node) -> Option<Value> {
        let value = self.id(node)?;
        if let Value::Literal(Literal::Text(text)) = &value
            && uuid::Uuid::try_parse(text).is_err()
        {
            let hint = "Polar's own ids are UUIDs; your own id of a customer goes into external_customer_id";
            self.report.push(Fault::at(&node.place, format!("\"{text}\" is no UUID")).hint(hint));
            return None;
        }
        Some(value)
    }

    /// A text, constant or with placeholders. An empty constant is a fault: Polar refuses it.
    fn text(&self, node: &Node) -> Option<Value> {
        if let node::Value::Number(source) = &node.value {
            return Some(Value::Literal(Literal::Text(source.clone())));
        }
        self.report.some_text(node)?;
        self.any(node)
    }

    fn any(&self, node: &Node) -> Option<Value> {
        if let node::Value::Table(_) = &node.value {
            self.report.wrong_type(node, "a text or a number");
            return None;
        }
        let value = value(self.report, node, self.scope)?;
        if let Value::Literal(Literal::Text(text)) = &value
            && (text.is_empty() || text.contains('\0'))
        {
            let message =
                if text.is_empty() { "Polar refuses an empty text" } else { "Polar refuses NUL characters" };
            self.report.push(Fault::at(&node.place, message).hint("leave the key out"));
            return None;
        }
        Some(value)
    }

    fn limited(&self, node: &Node, most: usize, value: Value) -> Option<Value> {
        let length = match &value {
            Value::Literal(Literal::Text(text)) => text.chars().count(),
            Value::Literal(_) => 0,
            Value::Template(template) => least_chars(template),
        };
        if length > most {
            let message = format!("a text of {length} characters: Polar takes {most}");
            self.report.push(Fault::at(&node.place, message).hint("write it shorter"));
            return None;
        }
        Some(value)
    }
}
