//! The config as its reader finds it: every line that she has to decide about has its word beside it.

use std::fmt::Write as _;

use serde_json::Value;

use super::Subject;
use super::draft::{Customer, Rule};
use super::recognise::Recognised;
use super::toml;
use super::trial::{Trial, Tried};
use crate::mapping::ExplainedOutcome;

/// Columns of a line up to its comment.
const COMMENT_AT: usize = 38;

/// All but the tests.
pub(super) fn config(subject: &Subject<'_>, recognised: &Recognised, rules: &[Rule]) -> String {
    let mut text = String::new();
    let grade = recognised.preset.as_ref().map(|preset| preset.grade.letter());
    let name = subject.name;
    let _ = writeln!(
        text,
        "# Proposed by `floe init` for {name}. What stands behind TODO is a guess that only you can check."
    );
    text.push_str("#\n#   floe check      says all that is wrong with this file\n");
    text.push_str("#   floe test       runs the [[tests]] at its end\n");
    let _ = writeln!(text, "#   floe explain    says for each line of a log what becomes of it, and why\n");
    text.push_str("version = 1\n");
    line(&mut text, "# state_dir = \"/var/lib/floe\"", "checkpoint, account, quarantine");
    line(&mut text, "# instance = \"${NODE_NAME}\"", "part of every id; default the machine id");
    text.push_str("\n[polar]\n");
    line(&mut text, "server = \"sandbox\"", "Polar's test system; \"production\" when it is money");
    line(&mut text, "mode = \"shadow\"", "request bodies go to a file, nothing is sent");
    text.push_str("# To go live: take `mode` away, and say with live_from = \"shadow\" or \"beginning\" where to go on.\n");
    line(&mut text, "token_env = \"POLAR_ACCESS_TOKEN\"", "or token_file = \"/etc/floe/token\"");
    text.push_str("\n[[sources]]\n");
    line(
        &mut text,
        &format!("id = {}", toml::text(subject.source)),
        "part of every event's identity: never rename it",
    );
    let include = format!("include = [{}]", toml::text(&glob(subject.path)));
    let note = match subject.is_placeholder {
        true => "TODO: where the lines came from",
        false => "its rotated files are found too",
    };
    line(&mut text, &include, note);
    if let Some(preset) = &recognised.preset {
        let about = format!("# {}. `floe presets {}` says what is known of it.", preset.about, preset.name);
        let _ = writeln!(text, "{about}");
    }
    text.push_str(&recognised.keys);
    if grade == Some("C") {
        text.push_str("# Such a log is an estimate: lines of it may be missing. To bill by it live all the same:\n# accept_estimates = true\n");
    }
    for each in rules {
        rule(&mut text, subject, recognised, each);
    }
    text
}

fn rule(text: &mut String, subject: &Subject<'_>, recognised: &Recognised, rule: &Rule) {
    text.push_str("\n[[rules]]\n");
    let _ = writeln!(text, "id = {}", toml::text(&rule.id));
    let _ = writeln!(text, "source = {}", toml::text(subject.source));
    let when: Vec<String> =
        rule.when.iter().map(|(path, test)| format!("{} = {test}", toml::key(path))).collect();
    let counts = rule.event.iter().any(|key| key.name.starts_with("metadata.") && key.value.contains('{'));
    if matches!(rule.customer, Customer::StandIn(_)) && !counts {
        text.push_str("# TODO: nothing tells which lines are worth money. Name what only those have.\n");
    }
    line(text, &format!("when = {{ {} }}", when.join(", ")), "all must hold; other lines are ignored");
    text.push_str("\n[rules.event]\n");
    for key in &rule.event {
        let is_todo = key.note.as_deref().is_some_and(|note| note.starts_with("TODO"));
        match (&key.note, is_todo) {
            (Some(note), true) => {
                let stop = if note.ends_with('?') { "" } else { "." };
                let _ = writeln!(text, "# {note}{stop}");
                let _ = writeln!(text, "{} = {}", key.name, key.value);
            }
            (Some(note), false) => line(text, &format!("{} = {}", key.name, key.value), note),
            (None, _) => {
                let _ = writeln!(text, "{} = {}", key.name, key.value);
            }
        }
        if key.name == "external_customer_id" && rule.key("timestamp").is_none() {
            text.push_str("# No field has a time that can be read, so an event counts from when it arrives. Else: timestamp = \"{…}\"\n");
        }
    }
    let has_id = recognised.preset.as_ref().is_some_and(|preset| preset.value("id").is_some());
    if has_id {
        let preset = &recognised.format;
        let _ = writeln!(
            text,
            "# external_id = \"{preset}:{{@preset.id}}\"    # if it is unique for ever; else Floe makes a stable one"
        );
    }
}

/// A line, and what is to be said of it beside or, where it is long, above.
fn line(text: &mut String, what: &str, note: &str) {
    let width = what.chars().count();
    let _ = match width < COMMENT_AT {
        true => writeln!(text, "{what}{}# {note}", " ".repeat(COMMENT_AT - width)),
        false if width + note.len() < 110 => writeln!(text, "{what}    # {note}"),
        false => writeln!(text, "# {}{}:\n{what}", note[..1].to_uppercase(), &note[1..]),
    };
}

/// A path as a glob that means just it.
fn glob(path: &str) -> String {
    let mut glob = String::new();
    for c in path.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '{' | '}' | '\\') {
            glob.push('\\');
        }
        glob.push(c);
    }
    glob
}

/// Tests of the sample's own lines: for each rule one that it bills, and one line that is not billed.
pub(super) fn tests(subject: &Subject<'_>, rules: &[Rule], trial: &Trial) -> String {
    let mut text = String::new();
    for rule in rules {
        let has = |record: &&Tried| matches!(&record.explanation.outcome, ExplainedOutcome::Billed { events, .. } if events.iter().any(|event| event.rule == rule.id));
        // One that shows all keys, and of these the shortest.
        let keys = |record: &Tried| match &record.explanation.outcome {
            ExplainedOutcome::Billed { events, .. } => {
                events.iter().map(|event| event.json.matches("\":").count()).sum()
            }
            _ => 0_usize,
        };
        let billed = trial.records.iter().filter(has).filter(|record| written(record).is_some());
        let Some(record) = billed.min_by_key(|record| (usize::MAX - keys(record), record.text.len())) else {
            continue;
        };
        let ExplainedOutcome::Billed { events, .. } = &record.explanation.outcome else { continue };
        let Some(event) = events.first() else { continue };
        let mut event: Value = serde_json::from_str(&event.json).expect("mapping writes JSON");
        if let Some(event) = event.as_object_mut() {
            event.remove("external_id");
        }
        let _ = write!(
            text,
            "\n[[tests]]\n{}\n[tests.expect]\nrule = {}\n",
            of_line(subject, record),
            toml::text(&rule.id)
        );
        expected(&mut text, &event);
    }
    let refused = |record: &&Tried| !record.is_billed() && written(record).is_some();
    let rank = |record: &&Tried| match &record.explanation.outcome {
        ExplainedOutcome::Ignored(_) if record.is_parsed() => 0,
        ExplainedOutcome::Quarantined { .. } => 1,
        ExplainedOutcome::Ignored(_) if !record.text.iter().all(u8::is_ascii_whitespace) => 2,
        _ => 3,
    };
    let other = trial.records.iter().filter(refused).min_by_key(|record| (rank(record), record.text.len()));
    if let Some(record) = other {
        let expect = match &record.explanation.outcome {
            ExplainedOutcome::Quarantined { reason, .. } => format!("quarantined = \"{reason}\""),
            ExplainedOutcome::Ignored(reason) => format!("ignored = \"{reason}\""),
            ExplainedOutcome::Billed { .. } => return text,
        };
        let _ = write!(text, "\n[[tests]]\n{}expect = {{ {expect} }}\n", of_line(subject, record));
    }
    text
}

/// The keys of an event below `[tests.expect.event]`.
fn expected(text: &mut String, event: &Value) {
    text.push_str("[tests.expect.event]\n");
    let members = event.as_object().into_iter().flatten();
    let (metadata, plain): (Vec<_>, Vec<_>) = members.partition(|(name, _)| name.as_str() == "metadata");
    let rank = |name: &str| {
        let order = ["name", "external_customer_id", "external_member_id", "timestamp"];
        order.iter().position(|known| *known == name).unwrap_or(order.len())
    };
    let mut plain = plain;
    plain.sort_by_key(|(name, _)| rank(name));
    for (name, value) in plain {
        let _ = writeln!(text, "{} = {}", toml::key(name), toml::value(value));
    }
    for (name, value) in metadata.into_iter().flat_map(|(_, value)| value.as_object().into_iter().flatten()) {
        let _ = writeln!(text, "metadata.{} = {}", toml::key(name), toml::value(value));
    }
}

fn of_line(subject: &Subject<'_>, record: &Tried) -> String {
    let line = written(record).unwrap_or_default();
    format!("source = {}\nline = {}\n", toml::text(subject.source), toml::text(&line))
}

/// The record as a test's `line`, its header above it. `None` where a config cannot hold it.
fn written(record: &Tried) -> Option<String> {
    let is_header = record.explanation.outcome == ExplainedOutcome::Ignored(crate::model::Ignored::Header);
    let header = record.excerpt.header.as_deref().filter(|_| !is_header).unwrap_or_default();
    let text = [header, &record.excerpt.lines].concat();
    let text = String::from_utf8(text).ok()?;
    Some(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// How a customer was found, for people.
pub(super) fn customer(customer: &Customer) -> String {
    match customer {
        Customer::Field(path) => format!("{{{path}}}"),
        Customer::User(path) => format!("{{{path}}} – it tells a user: check that this is who pays"),
        Customer::StandIn(path) => format!("none found; {{{path}}} stands in until you name the field"),
    }
}
