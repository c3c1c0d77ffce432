//! What a client writes into a log must not say who pays, nor be an id that Polar takes once: the client chooses it.

use super::rules::ReadRule;
use super::scope::paths;
use super::sources::ReadSource;
use crate::config::fault::Fault;
use crate::config::language::{Customer, EventTemplate, Path, Root, Value};
use crate::config::presets::{Preset, Role};
use crate::config::reader::Report;

pub(super) fn check(report: &Report, sources: &[ReadSource], rules: &[ReadRule]) {
    for rule in rules {
        let Some(settings) = &rule.settings else { continue };
        for source in &rule.sources {
            let Some((_, preset)) = &sources[usize::from(*source)].preset else { continue };
            for (key, value) in identities(&settings.event) {
                let Some(field) = client_field(preset, value) else { continue };
                let message = format!("{key} is `{field}`, which clients choose themselves");
                let hint = "take what the server or your application says: the preset tells the fields apart";
                let place = rule.external_id_place.as_ref().filter(|_| key == "external_id");
                report.push(Fault::warning(place.unwrap_or(&rule.event_place), message).hint(hint));
            }
        }
    }
}

/// What says who pays and which event it is.
fn identities(event: &EventTemplate) -> impl Iterator<Item = (&'static str, &Value)> {
    let (customer, key) = match &event.customer {
        Customer::External { id, .. } => (id, "external_customer_id"),
        Customer::Polar { id, .. } => (id, "customer_id"),
    };
    let external_id = event.external_id.iter().map(|id| ("external_id", id));
    std::iter::once((key, customer)).chain(external_id)
}

/// The first field of the line in it that is the client's word.
fn client_field(preset: &Preset, value: &Value) -> Option<String> {
    let Value::Template(template) = value else { return None };
    let is_client = |path: &&&Path| {
        path.root == Root::Line
            && preset.fields.iter().any(|field| field.path == ***path && field.role == Some(Role::Client))
    };
    paths(template).iter().find(is_client).map(ToString::to_string)
}
