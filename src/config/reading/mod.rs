//! The tree → [`Settings`]. Reads all of it whatever is wrong, and gives settings only where nothing is.

mod admin;
mod condition;
mod estimates;
mod event;
mod hash_keys;
mod input;
mod lines;
mod literal;
mod lookups;
mod natural_id;
mod polar;
mod preset;
mod rules;
mod scope;
mod segment_key;
mod sources;
mod tests;
mod tuning;
mod warnings;

use std::path::{Path, PathBuf};

use rules::ReadRule;

use super::fault::{self, Fault, Place, SourceText};
use super::language::Lookups;
use super::node::Node;
use super::places::RulePlaces;
use super::presets::Trees;
use super::reader::{Report, TableReader};
use super::settings::Settings;

#[cfg(test)]
pub(super) use condition::OPERATORS;
pub(super) use hash_keys::{Keeper, read_all as read_hash_keys};
pub(super) use lines::FORMATS;
pub(super) use lookups::{OpenTable, read_all as read_lookups};
pub(super) use polar::credential_path;
pub(super) use preset::read as preset;
pub(crate) use warnings::{names, values};

const DEFAULT_STATE_DIR: &str = "/var/lib/floe";

/// The only version of the config's model so far.
const VERSION: u64 = 1;

/// What the tree does not say itself.
pub(super) struct Context<'a> {
    pub report: &'a Report,
    pub texts: &'a [SourceText],
    /// Relative paths begin here: the main file's folder.
    pub folder: &'a Path,
    /// What `lookup` looks into, and the keys of `hash`.
    pub lookups: &'a Lookups,
    pub machine_id: Option<&'a str>,
    /// The presets that sources name.
    pub presets: &'a Trees,
    /// The service manager hands over a credential "polar-token".
    pub has_credential: bool,
}

impl Context<'_> {
    /// A path of the config, absolute.
    fn path(&self, node: &Node) -> Option<PathBuf> {
        self.report.some_text(node).map(|text| self.folder.join(text))
    }

    fn position(&self, place: &Place) -> String {
        fault::position(self.texts, place)
    }
}

/// `None` where something is wrong; the report says what.
pub(super) fn read(context: &Context<'_>, root: &Node) -> Option<(Settings, Vec<RulePlaces>)> {
    let report = context.report;
    let table = report.open("config", root)?;
    // For editors that look a JSON Schema up; it says nothing to Floe.
    table.optional("$schema");
    if let Some(node) = table.optional("version") {
        version(report, node);
    }
    let state_dir = table.or("state_dir", DEFAULT_STATE_DIR.into(), |node| context.path(node));
    let instance = instance(context, &table);
    let polar = polar::read(context, table.optional("polar"));
    let delivery = tuning::delivery(report, table.optional("delivery"));
    let limits_node = table.optional("limits");
    let limits = tuning::limits(report, limits_node);
    let admin = admin::read(context, &state_dir, table.optional("admin"));

    // Read before: tables are texts with places, like the config, and rules name both.
    table.optional("lookups");
    table.optional("hash_keys");
    let hint = "say which files to read: [[sources]] with id, include and format";
    let source_nodes = table.required("sources", hint).map_or(&[][..], |node| report.list(node));
    let presets = preset::Presets::read(report, context.presets);
    let sources = sources::read_all(context, &state_dir, source_nodes, &presets);
    let hint = "say what to bill: [[rules]] with id, when and event";
    let rule_nodes = table.required("rules", hint).map_or(&[][..], |node| report.list(node));
    let rules = rules::read_all(context, rule_nodes, &sources);
    let test_nodes = table.optional("tests").map_or(&[][..], |node| report.list(node));
    let tests = tests::read_all(context, test_nodes, &sources, &rules);
    table.finish();

    tuning::check_lines_fit(report, &limits, limits_node, &sources);
    natural_id::check(report, &rules);
    segment_key::check(report, polar.as_ref().and_then(|polar| polar.reconcile_key.as_deref()), &rules);
    estimates::check(report, polar.as_ref().map(|polar| polar.mode), &sources);
    warnings::collect(report, &sources, &rules, &tests);
    let places = rules.iter().map(ReadRule::places).collect();
    let settings = Settings {
        state_dir,
        instance: instance?,
        polar: polar?,
        delivery,
        limits,
        admin,
        sources: sources.into_iter().map(|source| source.settings).collect::<Option<_>>()?,
        rules: rules.into_iter().map(|rule| rule.settings).collect::<Option<_>>()?,
        tests: tests.into_iter().map(|test| test.settings).collect::<Option<_>>()?,
    };
    Some((settings, places))
}

fn version(report: &Report, node: &Node) {
    if report.integer(node, &(0..=u64::MAX)).is_some_and(|version| version != VERSION) {
        report.push(
            Fault::at(&node.place, "this release reads version 1 of the config")
                .hint("write version = 1, or use the release that the config is for"),
        );
    }
}

fn instance(context: &Context<'_>, table: &TableReader<'_>) -> Option<String> {
    if let Some(node) = table.optional("instance") {
        return context.report.some_text(node).map(str::to_owned);
    }
    let machine_id = context.machine_id.map(str::trim).filter(|id| !id.is_empty());
    if machine_id.is_none() {
        context.report.push(
            Fault::at(table.place(), "the key \"instance\" is missing, and this machine has no machine id").hint(
                "set a name that stays: instance = \"${NODE_NAME}\" on a node, the pod's UID beside an application",
            ),
        );
    }
    machine_id.map(str::to_owned)
}

/// Ids stand in accounts, in metrics and in every event's identity.
fn id<'a>(report: &Report, node: &'a Node) -> Option<&'a str> {
    let text = report.some_text(node)?;
    let good = text.len() <= 64
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    if !good {
        report.push(
            Fault::at(&node.place, format!("\"{text}\" is no id"))
                .hint("use letters, digits, `_`, `-` and `.`, at most 64"),
        );
    }
    good.then_some(text)
}

/// Says where two of a kind have one id.
fn unique_ids<'a>(report: &Report, what: &str, ids: impl Iterator<Item = &'a (String, Place)>) {
    let mut seen: Vec<&(String, Place)> = Vec::new();
    for each in ids {
        let (id, place) = each;
        if let Some((_, first)) = seen.iter().find(|(known, _)| known == id) {
            let message = format!("two {what}s have the id \"{id}\"");
            report.push(Fault::at(place, message).beside(first, "first here").hint("give each its own"));
        } else {
            seen.push(each);
        }
    }
}
