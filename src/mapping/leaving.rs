//! Which fields of a line leave the host when a rule bills it, and in which form: told of the rule, before there is a
//! line. What stands in no placeholder of the event stays.

use crate::config::language::{
    Argument, Customer, EventTemplate, Expression, Part, Path, Pipe, Root, Start, Template, Value,
};
use crate::config::presets::Preset;

/// A field that goes into an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaving {
    /// Its path in the line.
    pub field: String,
    /// Where it stands in the event: `metadata.model`.
    pub to: String,
    pub form: Form,
}

/// What is sent of a field's value.
///
/// In the order of how little they tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// The value itself, perhaps of another type.
    AsItIs,
    /// A part of it.
    Part,
    /// A number that is made of it.
    Computed,
    /// A text that the operator wrote: `lookup`.
    LookedUp,
    /// Without the end of its address: `mask_ip`.
    Masked,
    /// What only who has the key can compare: `hash`.
    Hashed,
}

impl Form {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AsItIs => "as it is",
            Self::Part => "in part",
            Self::Computed => "computed",
            Self::LookedUp => "looked up",
            Self::Masked => "masked",
            Self::Hashed => "hashed",
        }
    }
}

/// All fields of a rule's event, in the order of the event.
pub(super) fn leaving(event: &EventTemplate, preset: Option<&Preset>) -> Vec<Leaving> {
    let mut walk = Walk { preset, found: Vec::new() };
    let (customer, customer_key, member, member_key) = match &event.customer {
        Customer::External { id, member } => (id, "external_customer_id", member, "external_member_id"),
        Customer::Polar { id, member } => (id, "customer_id", member, "member_id"),
    };
    walk.value("name", Some(&event.name));
    walk.value(customer_key, Some(customer));
    walk.value(member_key, member.as_ref());
    walk.value("timestamp", event.timestamp.as_ref());
    walk.value("external_id", event.external_id.as_ref());
    walk.value("parent_id", event.parent_id.as_ref());
    for (key, value) in &event.metadata {
        walk.value(&format!("metadata.{key}"), Some(value));
    }
    if let Some(cost) = &event.cost {
        walk.value("metadata._cost.amount", Some(&cost.amount));
        walk.value("metadata._cost.currency", Some(&cost.currency));
    }
    if let Some(llm) = &event.llm {
        walk.value("metadata._llm.vendor", Some(&llm.vendor));
        walk.value("metadata._llm.model", Some(&llm.model));
        walk.value("metadata._llm.input_tokens", Some(&llm.input_tokens));
        walk.value("metadata._llm.output_tokens", Some(&llm.output_tokens));
        walk.value("metadata._llm.total_tokens", Some(&llm.total_tokens));
        walk.value("metadata._llm.cached_input_tokens", llm.cached_input_tokens.as_ref());
        walk.value("metadata._llm.prompt", llm.prompt.as_ref());
        walk.value("metadata._llm.response", llm.response.as_ref());
    }
    walk.value("organization_id", event.organization_id.as_ref());
    walk.found
}

struct Walk<'a> {
    preset: Option<&'a Preset>,
    found: Vec<Leaving>,
}

impl<'a> Walk<'a> {
    fn value(&mut self, to: &str, value: Option<&'a Value>) {
        if let Some(Value::Template(template)) = value {
            self.template(to, template, Form::AsItIs);
        }
    }

    /// `form`: what becomes of that which the template gives.
    fn template(&mut self, to: &str, template: &'a Template, form: Form) {
        for part in &template.parts {
            if let Part::Placeholder(expression) = part {
                self.expression(to, expression, form);
            }
        }
    }

    fn expression(&mut self, to: &str, expression: &'a Expression, form: Form) {
        let after = |at: usize| expression.pipes[at..].iter().map(form_of).fold(form, Form::max);
        match &expression.start {
            Start::Path(path) => self.path(to, path, after(0)),
            Start::Sum(paths) => {
                paths.iter().for_each(|path| self.path(to, path, after(0).max(Form::Computed)));
            }
            Start::Literal(_) => {}
        }
        for (at, pipe) in expression.pipes.iter().enumerate() {
            match pipe {
                // What stands in for a value goes through the pipes behind it alone.
                Pipe::Default(Argument::Path(path)) => self.path(to, path, after(at + 1)),
                Pipe::Add(Argument::Path(path))
                | Pipe::Sub(Argument::Path(path))
                | Pipe::Mul(Argument::Path(path))
                | Pipe::Div(Argument::Path(path)) => self.path(to, path, after(at)),
                _ => {}
            }
        }
    }

    fn path(&mut self, to: &str, path: &Path, form: Form) {
        let of_preset = || match &path.root {
            Root::Preset(name) => self.preset?.value(name),
            _ => None,
        };
        if let Some(template) = of_preset() {
            return self.template(to, template, form);
        }
        let leaving = Leaving { field: path.to_string(), to: to.to_owned(), form };
        if !self.found.contains(&leaving) {
            self.found.push(leaving);
        }
    }
}

fn form_of(pipe: &Pipe) -> Form {
    match pipe {
        Pipe::Hash(_) => Form::Hashed,
        Pipe::MaskIp => Form::Masked,
        Pipe::Lookup(_) => Form::LookedUp,
        Pipe::Add(_) | Pipe::Sub(_) | Pipe::Mul(_) | Pipe::Div(_) | Pipe::Round(_) | Pipe::Max0 => {
            Form::Computed
        }
        Pipe::Truncate(_) | Pipe::Split { .. } | Pipe::PathOnly | Pipe::ParseJson(_) => Form::Part,
        Pipe::Str
        | Pipe::Int
        | Pipe::Decimal
        | Pipe::Bool
        | Pipe::Lower
        | Pipe::Upper
        | Pipe::Trim
        | Pipe::Default(_)
        | Pipe::Timestamp { .. }
        | Pipe::EpochS
        | Pipe::EpochMs
        | Pipe::EpochUs
        | Pipe::EpochNs
        | Pipe::Duration(_)
        | Pipe::Enum(_) => Form::AsItIs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    #[track_caller]
    fn check(value: &str, wanted: &[(&str, Form)]) {
        let text = format!(
            "[[sources]]\nid = \"app\"\ninclude = [\"/l\"]\nformat = \"json\"\n[[rules]]\nid = \"r\"\n\
             when = {{ event = \"u\" }}\n[rules.event]\nname = \"u\"\nexternal_customer_id = \"acme\"\n\
             metadata.v = \"{value}\"\n"
        );
        let settings = Settings::from_toml(&text).unwrap_or_else(|faults| panic!("{faults}"));
        let found = leaving(&settings.rules[0].event, None);
        let found: Vec<_> = found.iter().map(|it| (it.field.as_str(), it.form)).collect();
        assert_eq!(found, wanted, "{value}");
    }

    #[test]
    fn the_strongest_pipe_says_in_which_form_a_field_leaves() {
        check("constant", &[]);
        check("{a}", &[("a", Form::AsItIs)]);
        check("{a | trim | lower}", &[("a", Form::AsItIs)]);
        check("{ip | mask_ip}", &[("ip", Form::Masked)]);
        check("{a | truncate(9)}", &[("a", Form::Part)]);
        check("{a | mul(b) | round(2)}", &[("a", Form::Computed), ("b", Form::Computed)]);
        check("{sum(a, b)}", &[("a", Form::Computed), ("b", Form::Computed)]);
        check("x:{a}-{b | path_only}", &[("a", Form::AsItIs), ("b", Form::Part)]);
        check("{ip | mask_ip | default(name)}", &[("ip", Form::Masked), ("name", Form::AsItIs)]);
        check("{ip | default(other) | mask_ip}", &[("ip", Form::Masked), ("other", Form::Masked)]);
    }
}
