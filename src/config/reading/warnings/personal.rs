//! Values that look as if they told something of a person. Whoever bills rarely needs them, and an event that was sent
//! is not taken back.

use super::names::{self, Name, Personal};
use super::values::{self, Kind};
use crate::config::fault::Fault;
use crate::config::language::{Expression, Path, Pipe, Value};
use crate::config::presets::{Preset, Role};
use crate::config::reading::rules::ReadRule;
use crate::config::settings::{RuleSettings, SourceSettings};
use crate::config::warning::WarningCode;

pub(super) fn warnings(
    rule: &ReadRule<'_>,
    settings: &RuleSettings,
    sources: &[&SourceSettings],
    presets: &[&Preset],
) -> Vec<Fault> {
    let mut warnings = Vec::new();
    let mut warn = |keys: &[&str], shown: &str, personal: Personal| {
        let Some(node) = values::node(rule.node, keys) else { return };
        let message = format!("\"{shown}\" looks personal: {}", personal.what());
        let hint = format!("{}; where it is meant, say so: allow = [\"personal\"]", personal.cure());
        warnings.push(Fault::warning(WarningCode::Personal, &node.place, message).hint(hint));
    };
    for (key, value) in &settings.event.metadata {
        if let Some(personal) = personal(key, value, sources, presets) {
            warn(&["event", "metadata", key], key, personal);
        }
    }
    if let Some(llm) = &settings.event.llm {
        for (key, value) in [("prompt", &llm.prompt), ("response", &llm.response)] {
            if value.as_ref().is_some_and(|value| !values::expressions(value).is_empty()) {
                warn(&["event", "metadata", "_llm", key], &format!("_llm.{key}"), Personal::Words);
            }
        }
    }
    warnings
}

fn personal(key: &str, value: &Value, sources: &[&SourceSettings], presets: &[&Preset]) -> Option<Personal> {
    let bare: Vec<&Expression> = values::expressions(value)
        .into_iter()
        .filter(|expression| matches!(values::kind(expression, sources), Kind::Text | Kind::Unknown))
        .collect();
    let of_field = |expression: &&Expression| {
        let fields = values::fields(expression).into_iter();
        fields
            .flat_map(|path| personal_field(path, presets))
            .find(|personal| !is_masked(expression, *personal))
    };
    let of_key = |personal: &Personal| bare.iter().any(|expression| !is_masked(expression, *personal));
    bare.iter().find_map(of_field).or_else(|| Name::new(key).personal().filter(of_key))
}

/// What a preset says of a field goes before what its name sounds like.
fn personal_field(path: &Path, presets: &[&Preset]) -> Vec<Personal> {
    let of_presets = values::of_presets(path, presets).into_iter().flatten();
    let mut of_values =
        of_presets.flat_map(values::fields).flat_map(|path| personal_field(path, presets)).peekable();
    if of_values.peek().is_some() {
        return of_values.collect();
    }
    let by_name = || by_name(path);
    match values::role_of(path, presets) {
        Some(Role::Personal) if by_name().is_empty() => vec![Personal::Person],
        Some(Role::Text) if by_name().is_empty() => vec![Personal::Words],
        // Of what a client says only the name tells something.
        None | Some(Role::Personal | Role::Text | Role::Client) => by_name(),
        Some(_) => Vec::new(),
    }
}

fn by_name(path: &Path) -> Vec<Personal> {
    // nginx's `$request`: "GET /search?q=… HTTP/1.1".
    let is_request_line = names::keys(path) == ["request"];
    let by_name = names::last_names(path).into_iter().filter_map(|name| name.personal());
    by_name.chain(is_request_line.then_some(Personal::Url)).collect()
}

/// Whether a pipe takes away what is personal.
fn is_masked(expression: &Expression, personal: Personal) -> bool {
    expression.pipes.iter().any(|pipe| match pipe {
        // One of a few texts that the operator wrote.
        Pipe::Enum(_) | Pipe::Lookup(_) => true,
        // Nobody without the key tells who it was. What somebody wrote is no name of anybody.
        Pipe::Hash(_) => personal != Personal::Words,
        Pipe::MaskIp => matches!(personal, Personal::Ip | Personal::Person),
        Pipe::PathOnly => matches!(personal, Personal::Url | Personal::Referer),
        Pipe::Split { separator, index } => match personal {
            // The domain of an e-mail address, the path of a URL, the method of a request, a word of a user agent.
            Personal::Email => separator == "@" && *index > 0,
            Personal::Url => (separator == "?" || separator == " ") && *index == 0,
            Personal::UserAgent => *index == 0,
            _ => false,
        },
        _ => false,
    })
}
