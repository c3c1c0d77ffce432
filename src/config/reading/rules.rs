//! `[[rules]]`: which lines become which events.

use std::collections::{BTreeMap, BTreeSet};

use super::scope::Scope;
use super::sources::ReadSource;
use super::warnings::values;
use super::{Context, condition, event, id, literal, unique_ids};
use crate::config::fault::{self, Fault, Place};
use crate::config::fields;
use crate::config::language::{Condition, Path, Root};
use crate::config::node::{Node, Value};
use crate::config::places::RulePlaces;
use crate::config::reader::Report;
use crate::config::settings::RuleSettings;
use crate::config::warning::WarningCode;

/// A rule as far as it could be read, so that tests can name it whatever else is wrong.
pub(super) struct ReadRule<'a> {
    /// As it stands in the config, for the places of its parts.
    pub node: &'a Node,
    pub id: (String, Place),
    pub place: Place,
    /// Where the event begins.
    pub event_place: Place,
    pub external_id_place: Option<Place>,
    /// The warnings that it silences, with their places.
    pub allow: Vec<(WarningCode, Place)>,
    /// Known even where the rule itself is wrong.
    pub sources: Vec<u16>,
    pub settings: Option<RuleSettings>,
}

impl ReadRule<'_> {
    pub fn places(&self) -> RulePlaces {
        let at = |keys: &[&str]| values::node(self.node, keys).map(|node| node.place.clone());
        let in_event = |key: &str| at(&["event", key]);
        let event = self.event_place.clone();
        let customer = in_event("external_customer_id").or_else(|| in_event("customer_id"));
        RulePlaces {
            name: in_event("name").unwrap_or_else(|| event.clone()),
            customer: customer.unwrap_or_else(|| event.clone()),
            metadata: metadata_places(self.node),
            allow: self.allow.iter().map(|(code, _)| *code).collect(),
            event,
        }
    }
}

fn metadata_places(rule: &Node) -> BTreeMap<String, Place> {
    let mut places = BTreeMap::new();
    let entries = |node: &'_ Node| node.table().map(|table| table.entries.clone()).unwrap_or_default();
    for entry in values::node(rule, &["event", "metadata"]).map(entries).unwrap_or_default() {
        let key = entry.key.value.clone();
        for inner in entries(&entry.node) {
            places.insert(format!("{key}.{}", inner.key.value), inner.node.place);
        }
        places.insert(key, entry.node.place);
    }
    places
}

pub(super) fn read_all<'a>(
    context: &Context<'_>,
    nodes: &'a [Node],
    sources: &[ReadSource],
) -> Vec<ReadRule<'a>> {
    let rules: Vec<_> = nodes.iter().filter_map(|node| read(context, node, sources)).collect();
    unique_ids(context.report, "rule", rules.iter().map(|rule| &rule.id));
    rules
}

fn read<'a>(context: &Context<'_>, node: &'a Node, all_sources: &[ReadSource]) -> Option<ReadRule<'a>> {
    let report = context.report;
    let table = report.open("rule", node)?;
    let id_node = table.required("id", "give the rule a name: accounts and tests use it");
    let id = id_node.and_then(|node| id(report, node));
    let sources = match table.optional("source") {
        Some(node) => named_sources(report, node, all_sources),
        None => (0..).zip(all_sources).map(|(place, _)| place).collect(),
    };
    let captures: BTreeSet<String> =
        sources.iter().flat_map(|source| all_sources[usize::from(*source)].captures.clone()).collect();
    let presets =
        || sources.iter().filter_map(|source| all_sources[usize::from(*source)].preset_scope()).collect();
    let explode_node = table.optional("explode");
    let is_wrapped = sources.iter().any(|source| all_sources[usize::from(*source)].is_wrapped);
    let fields = fields_of(&sources, all_sources);
    let scope_of = |explodes| Scope {
        captures: &captures,
        explodes,
        is_wrapped,
        fields: fields.as_ref(),
        presets: presets(),
        lookups: context.lookups,
    };
    let (scope, line_scope) = (scope_of(explode_node.is_some()), scope_of(false));
    let explode = explode_node.and_then(|node| exploded(report, node, &line_scope));
    let condition = |node| condition::read(report, node, &scope);
    let when = table.optional("when").map_or(Some(Condition::All(Vec::new())), condition);
    let unless_node = table.optional("unless");
    if let Some(node) = unless_node.filter(|node| node.table().is_some_and(|table| table.entries.is_empty()))
    {
        report.push(Fault::at(&node.place, "an empty `unless` takes every line out").hint("leave it out"));
    }
    let unless = unless_node.and_then(condition);
    let must = table.optional("must").and_then(condition);
    let also = table.or("also", false, |node| report.truth(node));
    let event_node = table.required("event", "say what to send: [rules.event] with a name and a customer");
    let event = event_node.and_then(|node| event::read(report, node, &scope));
    let allow = table.optional("allow").map_or_else(Vec::new, |node| allowed(report, node));
    let place = table.place().clone();
    table.finish();

    let id = (id.unwrap_or("?").to_owned(), id_node.map_or(&place, |node| &node.place).clone());
    let event_place = event_node.map_or(&place, |node| &node.place).clone();
    let (event, external_id_place) = event.map_or((None, None), |(event, place)| (Some(event), place));
    let settings = event.zip(when).map(|(event, when)| RuleSettings {
        id: id.0.clone(),
        sources: sources.clone(),
        when,
        unless,
        must,
        also,
        explode,
        event,
        place: context.position(&place),
    });
    Some(ReadRule { node, id, place, event_place, external_id_place, allow, sources, settings })
}

fn allowed(report: &Report, node: &Node) -> Vec<(WarningCode, Place)> {
    let codes: Vec<_> = WarningCode::of_rules().map(|code| (code.code(), code)).collect();
    let read = |node: &Node| Some((report.choice(node, &codes)?, node.place.clone()));
    report.texts(node).into_iter().filter_map(read).collect()
}

/// The fields that these sources have; `None` where one may have any, or is not known for its faults.
fn fields_of<'s>(sources: &[u16], all: &'s [ReadSource]) -> Option<BTreeSet<&'s str>> {
    let mut names = BTreeSet::new();
    for source in sources {
        names.extend(fields::names(all[usize::from(*source)].settings.as_ref()?)?);
    }
    (!sources.is_empty()).then_some(names)
}

fn named_sources(report: &Report, node: &Node, all: &[ReadSource]) -> Vec<u16> {
    if matches!(&node.value, Value::List(list) if list.is_empty()) {
        let hint = "name one, or leave the key out for all";
        report.push(Fault::at(&node.place, "a rule without sources").hint(hint));
    }
    let mut places: Vec<u16> =
        report.texts(node).into_iter().filter_map(|node| source(report, node, all)).collect();
    places.sort_unstable();
    places.dedup();
    places
}

/// The place of the source that is named.
pub(super) fn source(report: &Report, node: &Node, all: &[ReadSource]) -> Option<u16> {
    let text = report.text(node)?;
    let found = all.iter().position(|source| source.id.0 == text.value);
    if found.is_none() {
        let known: Vec<&str> =
            all.iter().map(|source| source.id.0.as_str()).filter(|id| *id != "?").collect();
        let hint = if known.is_empty() {
            "there are no sources yet: add [[sources]]".to_owned()
        } else {
            fault::did_you_mean(&text.value, &known, "there are:")
        };
        report.push(Fault::at(&node.place, format!("unknown source \"{}\"", text.value)).hint(hint));
    }
    found.and_then(|place| u16::try_from(place).ok())
}

fn exploded(report: &Report, node: &Node, scope: &Scope<'_>) -> Option<Path> {
    let path = literal::path(report, node, scope)?;
    if path.root != Root::Line {
        let hint = "name an array of the line: explode = \"usage.items\"";
        report.push(Fault::at(&node.place, "only an array of the line can be exploded").hint(hint));
        return None;
    }
    Some(path)
}
