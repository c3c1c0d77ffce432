//! The same tree with each path replaced by what it stands for.

use super::{
    Argument, Condition, Cost, Customer, EventTemplate, Expression, Llm, Operand, Part, Path, Pipe, Start,
    Template, Test, Value,
};

/// Resolves the paths of a tree.
pub trait Resolver<P> {
    /// A path of the line or of what surrounds it.
    fn path(&mut self, path: &Path) -> P;

    /// A path into the text that `parse_json` reads.
    fn inner_path(&mut self, path: &Path) -> P;
}

impl Condition {
    pub fn resolve<P>(&self, by: &mut impl Resolver<P>) -> Condition<P> {
        match self {
            Self::All(all) => Condition::All(all.iter().map(|condition| condition.resolve(by)).collect()),
            Self::Any(any) => Condition::Any(any.iter().map(|condition| condition.resolve(by)).collect()),
            Self::Tests { path, tests } => Condition::Tests {
                path: by.path(path),
                tests: tests.iter().map(|test| test.resolve(by)).collect(),
            },
        }
    }
}

impl Test {
    fn resolve<P>(&self, by: &mut impl Resolver<P>) -> Test<P> {
        match self {
            Self::Eq(operand) => Test::Eq(operand.resolve(by)),
            Self::Ne(operand) => Test::Ne(operand.resolve(by)),
            Self::In(literals) => Test::In(literals.clone()),
            Self::NotIn(literals) => Test::NotIn(literals.clone()),
            Self::Lt(operand) => Test::Lt(operand.resolve(by)),
            Self::Le(operand) => Test::Le(operand.resolve(by)),
            Self::Gt(operand) => Test::Gt(operand.resolve(by)),
            Self::Ge(operand) => Test::Ge(operand.resolve(by)),
            Self::Exists(wanted) => Test::Exists(*wanted),
            Self::Prefix(text) => Test::Prefix(text.clone()),
            Self::Suffix(text) => Test::Suffix(text.clone()),
            Self::Contains(text) => Test::Contains(text.clone()),
            Self::Matches(regex) => Test::Matches(regex.clone()),
        }
    }
}

impl Operand {
    fn resolve<P>(&self, by: &mut impl Resolver<P>) -> Operand<P> {
        match self {
            Self::Literal(literal) => Operand::Literal(literal.clone()),
            Self::Template(template) => Operand::Template(template.resolve(by)),
        }
    }
}

impl Template {
    pub fn resolve<P>(&self, by: &mut impl Resolver<P>) -> Template<P> {
        let part = |part: &Part| match part {
            Part::Text(text) => Part::Text(text.clone()),
            Part::Placeholder(expression) => Part::Placeholder(expression.resolve(by)),
        };
        Template { parts: self.parts.iter().map(part).collect() }
    }
}

impl Expression {
    fn resolve<P>(&self, by: &mut impl Resolver<P>) -> Expression<P> {
        let start = match &self.start {
            Start::Path(path) => Start::Path(by.path(path)),
            Start::Sum(paths) => Start::Sum(paths.iter().map(|path| by.path(path)).collect()),
            Start::Literal(literal) => Start::Literal(literal.clone()),
        };
        Expression { start, pipes: self.pipes.iter().map(|pipe| pipe.resolve(by)).collect() }
    }
}

impl Argument {
    fn resolve<P>(&self, by: &mut impl Resolver<P>) -> Argument<P> {
        match self {
            Self::Literal(literal) => Argument::Literal(literal.clone()),
            Self::Path(path) => Argument::Path(by.path(path)),
        }
    }
}

impl Pipe {
    pub fn resolve<P>(&self, by: &mut impl Resolver<P>) -> Pipe<P> {
        match self {
            Self::Str => Pipe::Str,
            Self::Int => Pipe::Int,
            Self::Decimal => Pipe::Decimal,
            Self::Bool => Pipe::Bool,
            Self::Lower => Pipe::Lower,
            Self::Upper => Pipe::Upper,
            Self::Trim => Pipe::Trim,
            Self::Truncate(length) => Pipe::Truncate(*length),
            Self::Default(argument) => Pipe::Default(argument.resolve(by)),
            Self::Add(argument) => Pipe::Add(argument.resolve(by)),
            Self::Sub(argument) => Pipe::Sub(argument.resolve(by)),
            Self::Mul(argument) => Pipe::Mul(argument.resolve(by)),
            Self::Div(argument) => Pipe::Div(argument.resolve(by)),
            Self::Round(places) => Pipe::Round(*places),
            Self::Max0 => Pipe::Max0,
            Self::Timestamp { format, zone } => {
                Pipe::Timestamp { format: format.clone(), zone: zone.clone() }
            }
            Self::EpochS => Pipe::EpochS,
            Self::EpochMs => Pipe::EpochMs,
            Self::EpochUs => Pipe::EpochUs,
            Self::EpochNs => Pipe::EpochNs,
            Self::Duration(unit) => Pipe::Duration(*unit),
            Self::Split { separator, index } => Pipe::Split { separator: separator.clone(), index: *index },
            Self::PathOnly => Pipe::PathOnly,
            Self::ParseJson(path) => Pipe::ParseJson(by.inner_path(path)),
            Self::Lookup(lookup) => Pipe::Lookup(lookup.clone()),
            Self::Hash(key) => Pipe::Hash(key.clone()),
            Self::MaskIp => Pipe::MaskIp,
            Self::Enum(allowed) => Pipe::Enum(allowed.clone()),
        }
    }
}

impl Value {
    fn resolve<P>(&self, by: &mut impl Resolver<P>) -> Value<P> {
        match self {
            Self::Literal(literal) => Value::Literal(literal.clone()),
            Self::Template(template) => Value::Template(template.resolve(by)),
        }
    }
}

fn optional<P>(value: Option<&Value>, by: &mut impl Resolver<P>) -> Option<Value<P>> {
    value.map(|value| value.resolve(by))
}

impl EventTemplate {
    pub fn resolve<P>(&self, by: &mut impl Resolver<P>) -> EventTemplate<P> {
        let customer = match &self.customer {
            Customer::External { id, member } => {
                Customer::External { id: id.resolve(by), member: optional(member.as_ref(), by) }
            }
            Customer::Polar { id, member } => {
                Customer::Polar { id: id.resolve(by), member: optional(member.as_ref(), by) }
            }
        };
        let cost = self
            .cost
            .as_ref()
            .map(|cost| Cost { amount: cost.amount.resolve(by), currency: cost.currency.resolve(by) });
        let llm = self.llm.as_ref().map(|llm| Llm {
            vendor: llm.vendor.resolve(by),
            model: llm.model.resolve(by),
            input_tokens: llm.input_tokens.resolve(by),
            output_tokens: llm.output_tokens.resolve(by),
            total_tokens: llm.total_tokens.resolve(by),
            cached_input_tokens: optional(llm.cached_input_tokens.as_ref(), by),
            prompt: optional(llm.prompt.as_ref(), by),
            response: optional(llm.response.as_ref(), by),
        });
        EventTemplate {
            name: self.name.resolve(by),
            customer,
            timestamp: optional(self.timestamp.as_ref(), by),
            external_id: optional(self.external_id.as_ref(), by),
            parent_id: optional(self.parent_id.as_ref(), by),
            metadata: self.metadata.iter().map(|(key, value)| (key.clone(), value.resolve(by))).collect(),
            cost,
            llm,
            organization_id: optional(self.organization_id.as_ref(), by),
        }
    }
}
