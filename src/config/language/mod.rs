//! The rule language: paths, conditions, values. Total and small; checked here, evaluated by `mapping`.
//!
//! The tree is generic in how it names a value: a [`Path`] as the operator wrote it, or what `mapping` resolves
//! it to ([`Resolver`]).

mod cursor;
mod hash;
mod lookup;
mod parse;
mod pipes;
mod resolve;
mod show;
#[cfg(test)]
mod tests;

pub use hash::HashKey;
pub use lookup::{Lookup, Lookups};
pub use parse::{parse_path, parse_pipes, parse_template, parse_template_with};
pub use resolve::Resolver;

use rust_decimal::Decimal;

/// What is wrong with a piece of the language, and where in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LanguageFault {
    /// Bytes of the text that was parsed.
    pub span: std::ops::Range<usize>,
    pub message: String,
    pub hint: Option<String>,
}

/// A way to a value: `a.b[0]."odd.key"`, `@path.name`, `@source`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    pub root: Root,
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Root {
    /// The line.
    Line,
    /// `@path.name`: a capture of the file's path.
    PathCapture(String),
    /// `@source`: the id of the source.
    Source,
    /// `@item`: the element of an exploded array.
    Item,
    /// `@container.time`.
    ContainerTime,
    /// `@container.stream`.
    ContainerStream,
    /// `@preset.name`: a value that the source's preset defines.
    Preset(String),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    Key(String),
    Index(u32),
}

/// A literal of the config.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    Text(String),
    Number(Decimal),
    Bool(bool),
}

#[derive(Debug, Clone)]
pub enum Condition<P = Path> {
    /// All hold. Empty: always.
    All(Vec<Condition<P>>),
    /// One holds.
    Any(Vec<Condition<P>>),
    /// All the tests hold of the value at the path.
    Tests { path: P, tests: Vec<Test<P>> },
}

#[derive(Debug, Clone)]
pub enum Test<P = Path> {
    Eq(Operand<P>),
    Ne(Operand<P>),
    In(Vec<Literal>),
    NotIn(Vec<Literal>),
    Lt(Operand<P>),
    Le(Operand<P>),
    Gt(Operand<P>),
    Ge(Operand<P>),
    Exists(bool),
    Prefix(String),
    Suffix(String),
    Contains(String),
    Matches(regex::Regex),
}

/// The right side of a comparison: `5`, `"text"` or `"{usage.prompt_tokens}"`.
#[derive(Debug, Clone)]
pub enum Operand<P = Path> {
    Literal(Literal),
    Template(Template<P>),
}

/// Text with placeholders. `"{org_id}"` alone keeps its type; inside other text it becomes text.
#[derive(Debug, Clone, PartialEq)]
pub struct Template<P = Path> {
    /// Never empty; no two `Text` side by side.
    pub parts: Vec<Part<P>>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Part<P = Path> {
    Text(String),
    Placeholder(Expression<P>),
}

/// `{path | pipe | pipe}`. With `sum(path, …)` the start is a call, not a path.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression<P = Path> {
    pub start: Start<P>,
    pub pipes: Vec<Pipe<P>>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Start<P = Path> {
    Path(P),
    /// `sum(a, b)`: a missing one counts 0, one must be there.
    Sum(Vec<P>),
    Literal(Literal),
}

/// An argument of a pipe: a literal (`'text'`, `5`, `true`) or a path.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument<P = Path> {
    Literal(Literal),
    Path(P),
}

/// A step of an expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Pipe<P = Path> {
    Str,
    Int,
    Decimal,
    Bool,
    Lower,
    Upper,
    Trim,
    Truncate(u32),
    Default(Argument<P>),
    Add(Argument<P>),
    Sub(Argument<P>),
    Mul(Argument<P>),
    Div(Argument<P>),
    Round(u32),
    Max0,
    /// A strptime format and a time zone, found already; without a zone the format reads one.
    Timestamp {
        format: String,
        zone: Option<jiff::tz::TimeZone>,
    },
    EpochS,
    EpochMs,
    EpochUs,
    EpochNs,
    /// The unit of the result: `ms`, `s`, `us`, `ns`, `min`, `h`.
    Duration(DurationUnit),
    Split {
        separator: String,
        index: u32,
    },
    PathOnly,
    ParseJson(P),
    /// The cell of a table, found already.
    Lookup(Lookup),
    /// By a key, found already.
    Hash(HashKey),
    MaskIp,
    /// The value must be one of these texts, else bad.
    Enum(Vec<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DurationUnit {
    Nanoseconds,
    Microseconds,
    Milliseconds,
    Seconds,
    Minutes,
    Hours,
}

/// The event as Polar takes it.
#[derive(Debug, Clone)]
pub struct EventTemplate<P = Path> {
    pub name: Value<P>,
    pub customer: Customer<P>,
    pub timestamp: Option<Value<P>>,
    pub external_id: Option<Value<P>>,
    pub parent_id: Option<Value<P>>,
    /// In the order of the config. At most 50 with `_cost` and `_llm`.
    pub metadata: Vec<(String, Value<P>)>,
    pub cost: Option<Cost<P>>,
    pub llm: Option<Llm<P>>,
    /// Only with a personal token.
    pub organization_id: Option<Value<P>>,
}

#[derive(Debug, Clone)]
pub enum Customer<P = Path> {
    /// `external_customer_id`, `external_member_id`.
    External { id: Value<P>, member: Option<Value<P>> },
    /// `customer_id`, `member_id`.
    Polar { id: Value<P>, member: Option<Value<P>> },
}

/// A value of an event: a constant or a template.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<P = Path> {
    Literal(Literal),
    Template(Template<P>),
}

#[derive(Debug, Clone)]
pub struct Cost<P = Path> {
    pub amount: Value<P>,
    pub currency: Value<P>,
}

#[derive(Debug, Clone)]
pub struct Llm<P = Path> {
    pub vendor: Value<P>,
    pub model: Value<P>,
    pub input_tokens: Value<P>,
    pub output_tokens: Value<P>,
    pub total_tokens: Value<P>,
    pub cached_input_tokens: Option<Value<P>>,
    pub prompt: Option<Value<P>>,
    pub response: Option<Value<P>>,
}
