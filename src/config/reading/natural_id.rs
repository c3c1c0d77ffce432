//! One line may give several events: by `also` rules, by an exploded array. Where their ids are natural ids, two of
//! them must never be the same, or Polar would take the first and ignore the rest in silence.

use super::rules::ReadRule;
use super::scope::paths;
use crate::config::fault::Fault;
use crate::config::language::{Part, Root, Template, Value};
use crate::config::reader::Report;
use crate::config::settings::RuleSettings;

pub(super) fn check(report: &Report, rules: &[ReadRule<'_>]) {
    for (at, rule) in rules.iter().enumerate() {
        let Some((settings, template)) = natural_id(rule) else { continue };
        let place = rule.external_id_place.as_ref().unwrap_or(&rule.place);
        if settings.explode.is_some() && !paths(template).iter().any(|path| path.root == Root::Item) {
            report.push(
                Fault::at(place, "the records of one line would share this external_id")
                    .hint("put a field of the record into it: \"app:{@item.id}\""),
            );
        }
        for later in &rules[at + 1..] {
            let Some((later_settings, later_template)) = natural_id(later) else { continue };
            if settings.also && meet(settings, later_settings) && may_be_equal(template, later_template) {
                let later_place = later.external_id_place.as_ref().unwrap_or(&later.place);
                report.push(
                    Fault::at(later_place, "two rules could give one line's events the same external_id")
                        .beside(place, format!("of the rule \"{}\", which goes on to this one", settings.id))
                        .hint("begin each with a text of its own: \"requests:{id}\" and \"tokens:{id}\""),
                );
            }
        }
    }
}

fn natural_id<'a>(rule: &'a ReadRule<'_>) -> Option<(&'a RuleSettings, &'a Template)> {
    let settings = rule.settings.as_ref()?;
    match settings.event.external_id.as_ref()? {
        Value::Template(template) => Some((settings, template)),
        Value::Literal(_) => None,
    }
}

/// Whether a line can come to both.
fn meet(a: &RuleSettings, b: &RuleSettings) -> bool {
    a.sources.iter().any(|source| b.sources.contains(source))
}

/// False only where the texts at the ends tell them apart.
fn may_be_equal(a: &Template, b: &Template) -> bool {
    let end = |part: Option<&Part>| match part {
        Some(Part::Text(text)) => text.clone(),
        _ => String::new(),
    };
    let (a_start, b_start) = (end(a.parts.first()), end(b.parts.first()));
    let (a_end, b_end) = (end(a.parts.last()), end(b.parts.last()));
    (a_start.starts_with(&b_start) || b_start.starts_with(&a_start))
        && (a_end.ends_with(&b_end) || b_end.ends_with(&a_end))
}
