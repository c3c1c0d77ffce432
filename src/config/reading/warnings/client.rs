//! Who pays, and what counts once, decided by a value that a client sends as it likes.
//!
//! `remote_user` is a case of its own: nginx and Apache log the name of HTTP's Basic authentication before anybody
//! looked at the password, also of a request that they then refuse. It is safe where the rule looks at the status.

use super::names::{Name, keys};
use super::values;
use crate::config::fault::Fault;
use crate::config::language::{Condition, Customer, Expression, Path, Pipe, Root, Value};
use crate::config::presets::{Preset, Role};
use crate::config::reading::rules::ReadRule;
use crate::config::settings::RuleSettings;
use crate::config::warning::WarningCode;

/// `presets`: those of the rule's sources, which say of some fields that clients choose them.
pub(super) fn warnings(rule: &ReadRule<'_>, settings: &RuleSettings, presets: &[&Preset]) -> Vec<Fault> {
    let mut warnings = Vec::new();
    let litellm = is_litellm(settings);
    let status = looks_at_status(&settings.when);
    let (customer_key, customer) = match &settings.event.customer {
        Customer::External { id, .. } => ("external_customer_id", id),
        Customer::Polar { id, .. } => ("customer_id", id),
    };
    let chosen = |expression: &&Expression| chosen_by(expression, litellm, presets);
    let node = |key| values::node(rule.node, &["event", key]);
    let allow = "allow = [\"client_controlled\"]";
    let customers = values::expressions(customer);
    if let (Some(what), Some(node)) = (customers.iter().find_map(chosen), node(customer_key)) {
        let message = format!("whoever sets this {what} decides who pays");
        let hint = format!(
            "take the customer from what your own server found out, like the owner of the API key; where a gateway \
             overwrites it, say so: {allow}"
        );
        warnings.push(Fault::warning(WarningCode::ClientControlled, &node.place, message).hint(hint));
    } else if let (true, Some(node)) =
        (!status && customers.iter().any(|it| is_remote_user(it)), node(customer_key))
    {
        let message = "whoever sends this name decides who pays, whatever the password was";
        let hint = format!(
            "the name is logged of refused requests too: ask for those that were let in, status = {{ lt = 400 }}, or say \
             that it is meant: {allow}"
        );
        warnings.push(Fault::warning(WarningCode::ClientControlled, &node.place, message).hint(hint));
    }
    if let Some(Value::Template(_)) = &settings.event.external_id
        && let Some(node) = node("external_id")
    {
        let expressions = settings.event.external_id.as_ref().map(values::expressions).unwrap_or_default();
        // One field that is our own keeps two requests of a client apart.
        if let Some(what) = expressions.iter().find_map(chosen)
            && expressions.iter().all(|expression| chosen(expression).is_some())
        {
            let message =
                format!("whoever sends the same {what} again does not pay for it: Polar takes an id once");
            let hint = format!(
                "use an id that your own server makes, or leave the key out: Floe makes one; where a gateway overwrites \
                 it, say so: {allow}"
            );
            warnings.push(Fault::warning(WarningCode::ClientControlled, &node.place, message).hint(hint));
        }
    }
    warnings
}

/// What the client sends the value in.
fn chosen_by(expression: &Expression, litellm: bool, presets: &[&Preset]) -> Option<&'static str> {
    values::fields(expression).into_iter().find_map(|path| {
        // A value of a preset is the client's where nothing in it is anybody else's.
        let of_presets = values::of_presets(path, presets);
        let all_chosen = |parts: &Vec<&Expression>| {
            let chosen: Option<Vec<_>> = parts.iter().map(|part| chosen_by(part, litellm, presets)).collect();
            chosen?.first().copied()
        };
        if let Some(what) = of_presets.iter().find_map(all_chosen) {
            return Some(what);
        }
        // What a preset says of a field goes before what its name sounds like.
        let what = match values::role_of(path, presets) {
            Some(Role::Client) => "field",
            Some(_) => return None,
            None => sent_in(path, litellm)?,
        };
        // A secret that is looked up is how a client is known.
        let is_secret = keys(path).last().is_some_and(|key| {
            let name = Name::new(key).joined();
            ["key", "token", "secret", "authorization"].iter().any(|word| name.ends_with(word))
        });
        let is_looked_up = expression.pipes.iter().any(|pipe| matches!(pipe, Pipe::Lookup(_)));
        (!(is_secret && is_looked_up)).then_some(what)
    })
}

fn sent_in(path: &Path, litellm: bool) -> Option<&'static str> {
    if !matches!(path.root, Root::Line | Root::Item) {
        return None;
    }
    let names: Vec<String> = keys(path).iter().map(|key| Name::new(key).joined()).collect();
    let (last, parents) = names.split_last()?;
    let under = |words: &[&str]| parents.iter().any(|parent| words.contains(&parent.as_str()));
    let of_http = last.strip_prefix("http_").is_some_and(|rest| {
        !["status", "code", "method", "version", "protocol", "host", "scheme"]
            .iter()
            .any(|word| rest.starts_with(word))
    });
    let is_header = of_http
        || last.starts_with("x_")
        || last == "header"
        || last.ends_with("_header")
        || matches!(last.as_str(), "user_agent" | "referer" | "referrer")
        || under(&["headers", "header", "request_headers", "req_headers", "http_headers"]);
    if is_header {
        return Some("header");
    }
    if last.starts_with("cookie_") || under(&["cookies", "cookie"]) {
        return Some("cookie");
    }
    if last.starts_with("arg_")
        || under(&["query", "query_params", "query_parameters", "querystring", "args"])
    {
        return Some("query parameter");
    }
    let in_body =
        under(&["body", "request_body", "req_body", "proxy_server_request", "requester_metadata", "form"]);
    // LiteLLM hands on what OpenAI calls `user`: a text that the caller writes into the request.
    (in_body || last == "end_user" || (litellm && last == "user" && parents.is_empty()))
        .then_some("field of the request")
}

fn is_remote_user(expression: &Expression) -> bool {
    let is = |path: &&Path| keys(path).last().is_some_and(|key| Name::new(key).joined() == "remote_user");
    values::fields(expression).iter().any(is)
}

/// Whether the rule reads what LiteLLM alone logs.
fn is_litellm(settings: &RuleSettings) -> bool {
    const OF_LITELLM: &[&str] =
        &["response_cost", "custom_llm_provider", "litellm_call_id", "call_type", "end_user"];
    let event = &settings.event;
    let metadata = event.metadata.iter().map(|(_, value)| value);
    let llm = event.llm.iter().map(|llm| &llm.vendor);
    let cost = event.cost.iter().map(|cost| &cost.amount);
    let expressions = metadata.chain(llm).chain(cost).flat_map(values::expressions);
    let mut fields = expressions.flat_map(values::fields).chain(tested(&settings.when));
    fields.any(|path| keys(path).last().is_some_and(|key| OF_LITELLM.contains(key)))
}

fn looks_at_status(condition: &Condition) -> bool {
    tested(condition)
        .iter()
        .any(|path| keys(path).last().is_some_and(|key| key.contains("status") || key.contains("code")))
}

/// The fields that every match was tested for.
fn tested(condition: &Condition) -> Vec<&Path> {
    match condition {
        Condition::All(all) => all.iter().flat_map(tested).collect(),
        Condition::Any(_) => Vec::new(),
        Condition::Tests { path, .. } => vec![path],
    }
}
