//! Rules for what was recognised: which lines, and what event they make. What the preset's example says comes first, as far
//! as the sample bears it out; names and values of fields come second.

use std::collections::BTreeMap;

use super::example::Example;
use super::fields::{Field, Seen, values_of};
use super::recognise::Recognised;
use super::roles::{
    MOST_KINDS, customer_field, event_field, http_status, is_cost, quantities, usual_level, usual_program,
};
use super::time;
use super::toml;
use super::trial::Trial;
use crate::config::presets::Role;
use crate::mapping::ExplainedOutcome;
use crate::model::Quarantined;

const MOST_RULES: usize = 3;
const MOST_LABELS: usize = 3;

/// Of these it is somebody who belongs to a customer, perhaps.
const USERS: &[&str] = &["user_id", "userid", "uid", "user", "remote_user", "owner", "api_key_id"];

/// What stands in for a customer where nobody is named: it tells where a line comes from.
const STAND_INS: &[&str] = &[
    "vhost",
    "server_name",
    "service",
    "app_name",
    "app",
    "application",
    "backend",
    "frontend",
    "tag",
    "component",
    "hostname",
    "host",
    "logger",
    "target",
    "module",
];

const LABELS: &[&str] = &[
    "model",
    "plan",
    "route",
    "endpoint",
    "path",
    "uri",
    "request_uri",
    "method",
    "request_method",
    "region",
    "product",
    "sku",
    "feature",
];

/// One rule.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub id: String,
    /// Key and value as TOML has them.
    pub when: Vec<(String, String)>,
    /// Keys of the event below `[rules.event]`, in order.
    pub event: Vec<Key>,
    /// What the customer was taken from.
    pub customer: Customer,
}

/// A key of the event.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub name: String,
    pub value: String,
    /// What an operator should know, in a sentence.
    pub note: Option<String>,
}

/// How the rule knows who pays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Customer {
    /// By a field that is called so.
    Field(String),
    /// By a field that tells a user, who may belong to a customer.
    User(String),
    /// Not at all: this stands in for it.
    StandIn(String),
}

/// Rules, at least one.
pub(super) fn rules(recognised: &Recognised, fields: &[Field], sample: &[u8]) -> Vec<Rule> {
    let count = recognised.trial.records.iter().filter(|record| record.is_parsed()).count();
    let all: Vec<usize> = (0..count).collect();
    let example = Example::of(recognised);
    let (when, records) = example.when(recognised, &all, sample);
    let groups = match when.is_empty() {
        true => groups(fields, &all),
        false => vec![Group { when, name: None, records }],
    };
    let draft = Draft { recognised, fields, sample, example: &example };
    let mut rules: Vec<Rule> = groups.into_iter().map(|group| draft.rule(group)).collect();
    let mut seen = BTreeMap::new();
    for rule in &mut rules {
        let times = seen.entry(rule.id.clone()).or_insert(0);
        *times += 1;
        if *times > 1 {
            rule.id = format!("{}-{times}", rule.id);
        }
    }
    rules
}

/// Lines of one kind.
struct Group {
    when: Vec<(String, String)>,
    /// What the kind is called.
    name: Option<String>,
    records: Vec<usize>,
}

/// The main kinds of lines that a field tells apart; else all of them.
fn groups(fields: &[Field], all: &[usize]) -> Vec<Group> {
    let Some(field) = event_field(fields, all) else { return vec![everything(fields, all)] };
    let mut kinds: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for record in all {
        if let Some(Seen::Text(text)) = &field.values[*record] {
            kinds.entry(text).or_default().push(*record);
        }
    }
    // Somebody to bill and something to count is what tells a billable line from gossip.
    let score = |records: &[usize]| {
        let known =
            customer_field(fields, records).is_some_and(|field| field.count(records) * 2 >= records.len());
        let counted = !quantities(fields, records, &[]).is_empty();
        (known && counted, known, counted)
    };
    let mut kinds: Vec<_> = kinds
        .into_iter()
        .filter(|(kind, _)| !kind.ends_with('…'))
        .map(|(kind, records)| (score(&records), kind, records))
        .collect();
    kinds.sort_by(|(a, _, first), (b, _, second)| (b, second.len()).cmp(&(a, first.len())));
    let Some(best) = kinds.first().map(|(score, ..)| *score) else { return vec![everything(fields, all)] };
    let enough = |records: &[usize]| records.len() * 20 >= all.len();
    let most = if best.0 { MOST_RULES } else { 1 };
    let main = kinds.into_iter().filter(|(score, _, records)| *score == best && enough(records)).take(most);
    let group = |(_, kind, records): (_, &str, Vec<usize>)| Group {
        when: vec![(field.written.clone(), toml::text(kind))],
        name: Some(kind.to_owned()),
        records,
    };
    let groups: Vec<Group> = main.map(group).collect();
    if groups.is_empty() { vec![everything(fields, all)] } else { groups }
}

/// One rule for all lines, but for those that say themselves that they failed.
fn everything(fields: &[Field], all: &[usize]) -> Group {
    let mut when = Vec::new();
    let mut records = all.to_vec();
    let is_ok = |status: &Field, record: usize| {
        let digits = status.values[record].as_ref().and_then(Seen::number);
        digits.and_then(|digits| digits.parse::<f64>().ok()).is_some_and(|status| status < 400.0)
    };
    if let Some(status) = http_status(fields, all) {
        when.push((status.written.clone(), "{ lt = 400 }".to_owned()));
        records.retain(|record| is_ok(status, *record));
    }
    if let Some(customer) =
        customer_field(fields, &records).filter(|field| field.count(&records) < records.len())
    {
        when.push((customer.written.clone(), "{ exists = true }".to_owned()));
        records.retain(|record| customer.values[*record].is_some());
    }
    if when.is_empty() {
        if let Some((level, value)) = usual_level(fields, all) {
            when.push((level.written.clone(), toml::text(&value)));
            records.retain(|record| level.values[*record] == Some(Seen::Text(value.clone())));
        } else if let Some(quantity) = quantities(fields, all, &[]).first() {
            when.push((quantity.written.clone(), "{ exists = true }".to_owned()));
            records.retain(|record| quantity.values[*record].is_some());
        }
    }
    if let Some((program, value)) = usual_program(fields, all).filter(|_| when.is_empty()) {
        when.push((program.written.clone(), toml::text(&value)));
        records.retain(|record| program.values[*record] == Some(Seen::Text(value.clone())));
    }
    if when.is_empty() {
        when.push(("@source".to_owned(), "{ exists = true }".to_owned()));
    }
    if records.is_empty() {
        all.clone_into(&mut records);
    }
    Group { when, name: None, records }
}

/// The records, counted among those that can be parsed, that meet all of these.
pub(super) fn matched(recognised: &Recognised, when: &[(String, String)], sample: &[u8]) -> Vec<usize> {
    let rule = Rule {
        id: "trial".to_owned(),
        when: when.to_vec(),
        event: vec![
            Key { name: "name".to_owned(), value: "\"trial\"".to_owned(), note: None },
            Key { name: "external_customer_id".to_owned(), value: "\"anybody\"".to_owned(), note: None },
        ],
        customer: Customer::StandIn(String::new()),
    };
    let Ok(trial) = Trial::of_rules(&recognised.keys, &rule.bare(), sample) else { return Vec::new() };
    let parsed = trial.records.iter().filter(|record| record.is_parsed()).enumerate();
    parsed.filter(|(_, record)| record.is_billed()).map(|(at, _)| at).collect()
}

impl Rule {
    /// Without a word for people.
    pub fn bare(&self) -> String {
        let when: Vec<String> =
            self.when.iter().map(|(path, test)| format!("{} = {test}", toml::key(path))).collect();
        let event: Vec<String> =
            self.event.iter().map(|key| format!("{} = {}\n", key.name, key.value)).collect();
        format!(
            "[[rules]]\nid = {}\nwhen = {{ {} }}\n[rules.event]\n{}",
            toml::text(&self.id),
            when.join(", "),
            event.concat()
        )
    }

    pub fn key(&self, name: &str) -> Option<&Key> {
        self.event.iter().find(|key| key.name == name)
    }
}

struct Draft<'a> {
    recognised: &'a Recognised,
    fields: &'a [Field],
    sample: &'a [u8],
    example: &'a Example,
}

impl Draft<'_> {
    fn rule(&self, group: Group) -> Rule {
        let records = &group.records;
        let example = self.borne_out(records);
        let name = self.name(&group, &example);
        let mut event = vec![Key { name: "name".to_owned(), value: toml::text(&name), note: None }];
        let customer = self.customer(records, &example, &mut event);
        self.timestamp(records, &example, &mut event);
        let taken: Vec<&str> = event.iter().map(|key| key.value.as_str()).collect();
        let mut metadata: Vec<Key> = Vec::new();
        for (key, value) in example.iter().filter(|(key, _)| key.starts_with("metadata.")) {
            metadata.push(Key { name: key.clone(), value: value.clone(), note: None });
        }
        if !metadata.iter().any(|key| key.value.contains('{')) {
            for field in quantities(self.fields, records, &taken) {
                metadata.push(Self::quantity(field, records));
            }
            metadata.extend(self.labels(records));
        }
        if metadata.is_empty() {
            let note = Some("nothing here looks like a quantity: each line counts one".to_owned());
            metadata.push(Key { name: "metadata.units".to_owned(), value: "1".to_owned(), note });
        }
        if !metadata.iter().any(|key| key.name == "metadata._cost") {
            metadata.extend(self.cost(records));
        }
        let mut names = Vec::new();
        metadata.retain(|key| {
            !names.contains(&key.name) && {
                names.push(key.name.clone());
                true
            }
        });
        event.extend(metadata);
        let mut rule = Rule { id: slug(&name, '-'), when: group.when, event, customer };
        self.repair(&mut rule);
        rule
    }

    /// The example's keys whose fields these records have.
    fn borne_out(&self, records: &[usize]) -> Vec<(String, String)> {
        let placeholder = regex::Regex::new(r"\{([@\w][^{}|]*?)\s*[|}]").expect("it is sound");
        let needed = |value: &str| -> Vec<String> {
            // Of `_llm` these may be missing.
            let optional = ["cached_input_tokens", "prompt", "response"];
            let parts = value
                .split(", ")
                .filter(|part| !optional.iter().any(|key| part.trim_start().starts_with(key)));
            parts
                .flat_map(|part| {
                    placeholder.captures_iter(part).map(|it| it[1].to_owned()).collect::<Vec<_>>()
                })
                .collect()
        };
        let keys = self.example.event();
        let mut paths: Vec<String> = keys.iter().flat_map(|(_, value)| needed(value)).collect();
        paths.sort();
        paths.dedup();
        let seen = values_of(self.recognised, &paths, self.sample);
        let has = |path: &String| {
            let column = paths.iter().position(|known| known == path).map(|at| &seen[at]);
            column.is_some_and(|values| records.iter().any(|at| values.get(*at).is_some_and(Option::is_some)))
        };
        keys.into_iter().filter(|(_, value)| needed(value).iter().all(has)).collect()
    }

    fn name(&self, group: &Group, example: &[(String, String)]) -> String {
        if let Some(kind) = &group.name {
            let name = slug(kind, '_');
            if !name.is_empty() {
                return name;
            }
        }
        let of_example = example
            .iter()
            .find(|(key, _)| key == "name")
            .map(|(_, value)| value.trim_matches('"').to_owned());
        let by_format = match self.recognised.format.as_str() {
            "nginx-combined" | "apache-combined" => "api_request",
            _ => "usage",
        };
        of_example.unwrap_or_else(|| by_format.to_owned())
    }

    fn customer(&self, records: &[usize], example: &[(String, String)], event: &mut Vec<Key>) -> Customer {
        let name = || "external_customer_id".to_owned();
        let of_example = |wanted: &str| example.iter().find(|(key, _)| key == wanted).cloned();
        if let Some((_, value)) = of_example("external_customer_id") {
            event.push(Key {
                name: name(),
                value: value.clone(),
                note: Some("check that this is who pays".to_owned()),
            });
            if let Some((key, value)) = of_example("external_member_id") {
                event.push(Key { name: key, value, note: None });
            }
            return Customer::Field(value.trim_matches(['"', '\'', '{', '}']).to_owned());
        }
        let by_name = customer_field(self.fields, records);
        let stand_in = || {
            let stands = |wanted: &str| {
                let mut all =
                    self.fields.iter().filter(|field| !field.is_delicate() && field.is_called(wanted));
                all.find(|field| {
                    field.is_text(records)
                        && field.count(records) == records.len()
                        && field.distinct(records).len() <= MOST_KINDS
                })
            };
            STAND_INS.iter().find_map(|wanted| stands(wanted))
        };
        let (path, customer, note) = match by_name {
            Some(field) => {
                let path = field.written.clone();
                let is_user =
                    USERS.iter().any(|name| field.is_called(name)) && field.role != Some(Role::Customer);
                let (customer, note) = match is_user {
                    true => (Customer::User(path.clone()), "TODO: this tells a user; is it who pays?"),
                    false => (Customer::Field(path.clone()), "check that this is who pays"),
                };
                (path, customer, note)
            }
            None => {
                let path = stand_in().map_or("@source".to_owned(), |field| field.written.clone());
                let note = "TODO: no field looks like a customer. This one only stands in: name the field that says who pays, or have it logged";
                (path.clone(), Customer::StandIn(path), note)
            }
        };
        let value = toml::text(&format!("{{{path}}}"));
        event.push(Key { name: name(), value, note: Some(note.to_owned()) });
        customer
    }

    fn timestamp(&self, records: &[usize], example: &[(String, String)], event: &mut Vec<Key>) {
        let name = || "timestamp".to_owned();
        if let Some((_, value)) = example.iter().find(|(key, _)| key == "timestamp") {
            let typed = self.recognised.preset.iter().flat_map(|preset| &preset.fields);
            let mut times = typed
                .filter(|field| field.role == Some(Role::Time) && value.contains(&field.path.to_string()));
            let guesses =
                times.any(|field| field.type_text.contains("'UTC'") && !field.type_text.contains("UTC',"));
            let note = guesses
                .then(|| "check the zone: the times have none, and the preset reads them as UTC".to_owned());
            event.push(Key { name: name(), value: value.clone(), note });
        } else if let Some(time) = time::find(self.fields, records) {
            let note = time
                .zone_is_guessed
                .then(|| "check the zone: the times have none, and 'UTC' is a guess".to_owned());
            event.push(Key { name: name(), value: toml::text(&time.template), note });
        } else if self.recognised.container != "none" {
            let note = Some("when the container's runtime took the line".to_owned());
            event.push(Key { name: name(), value: "\"{@container.time}\"".to_owned(), note });
        }
    }

    fn quantity(field: &Field, records: &[usize]) -> Key {
        let texts = field.among(records).filter(|seen| matches!(seen, Seen::Text(_))).count();
        let digits = |seen: &Seen| {
            seen.number().is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let pipe = match (texts, field.among(records).all(digits)) {
            _ if field.is_typed => "",
            (0, _) => "",
            (_, true) => " | int",
            (_, false) => " | decimal",
        };
        let name = format!("metadata.{}", toml::key(&last_key(field)));
        Key { name, value: toml::text(&format!("{{{}{pipe}}}", field.written)), note: None }
    }

    fn labels(&self, records: &[usize]) -> Vec<Key> {
        let mut labels = Vec::new();
        for wanted in LABELS {
            let is_url = matches!(*wanted, "path" | "uri" | "request_uri");
            let is_label = |field: &&Field| {
                (is_url || !field.is_delicate())
                    && field.is_called(wanted)
                    && field.is_text(records)
                    && field.path.steps.len() <= 2
                    && field.count(records) * 2 >= records.len()
            };
            let Some(field) = self.fields.iter().find(is_label) else { continue };
            if is_url && labels.iter().any(|key: &Key| key.value.contains("path_only")) {
                continue;
            }
            let pipe = if is_url { " | path_only" } else { "" };
            let last = if is_url { "path".to_owned() } else { last_key(field) };
            let value = toml::text(&format!("{{{}{pipe}}}", field.written));
            labels.push(Key { name: format!("metadata.{}", toml::key(&last)), value, note: None });
        }
        labels.truncate(MOST_LABELS);
        labels
    }

    fn cost(&self, records: &[usize]) -> Option<Key> {
        let is_whole = |field: &&Field| {
            is_cost(field)
                && field.is_numeric(records)
                && field.count(records) == records.len()
                && !field.written.starts_with('@')
        };
        let field = self.fields.iter().find(is_whole)?;
        let in_cents = field.is_called("cents");
        let (pipe, note) = match in_cents {
            true => ("decimal", "in cents"),
            false => {
                ("decimal | mul(100) | round(12)", "Polar takes cents: check that the field has dollars")
            }
        };
        let amount = toml::text(&format!("{{{} | {pipe}}}", field.written));
        let value = format!("{{ amount = {amount}, currency = \"usd\" }}");
        Some(Key { name: "metadata._cost".to_owned(), value, note: Some(note.to_owned()) })
    }

    /// Takes away what no line of the sample can give, by the reason for which most lines are refused.
    fn repair(&self, rule: &mut Rule) {
        for _ in 0..rule.event.len() {
            let Ok(trial) = Trial::of_rules(&self.recognised.keys, &rule.bare(), self.sample) else { return };
            let billed = trial.records.iter().filter(|record| record.is_billed()).count();
            let mut reasons: Vec<(Quarantined, usize)> = Vec::new();
            for record in trial.records.iter().filter(|record| record.is_parsed()) {
                if let ExplainedOutcome::Quarantined { reason, .. } = record.explanation.outcome {
                    match reasons.iter_mut().find(|(known, _)| *known == reason) {
                        Some((_, count)) => *count += 1,
                        None => reasons.push((reason, 1)),
                    }
                }
            }
            let Some((reason, count)) = reasons.into_iter().max_by_key(|(_, count)| *count) else { return };
            if billed >= count {
                return;
            }
            let guilty = |key: &Key| match reason {
                Quarantined::BadCost => key.name == "metadata._cost",
                Quarantined::BadLlm => key.name == "metadata._llm",
                Quarantined::MissingTimestamp | Quarantined::BadTimestamp => key.name == "timestamp",
                Quarantined::BadMetadata | Quarantined::MetadataTooLong | Quarantined::Nul => {
                    key.name.starts_with("metadata.") && key.value.contains('{')
                }
                _ => false,
            };
            let Some(at) = rule.event.iter().rposition(guilty) else { return };
            rule.event.remove(at);
        }
    }
}

fn last_key(field: &Field) -> String {
    let words = field.names.first().map(crate::config::names::Name::joined).unwrap_or_default();
    if words.is_empty() { "value".to_owned() } else { words }
}

/// At most 40 ASCII letters and digits, with one sign between words.
fn slug(text: &str, between: char) -> String {
    let mut slug = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with(between) {
            slug.push(between);
        }
        if slug.len() == 40 {
            break;
        }
    }
    slug.trim_end_matches(between).to_owned()
}
