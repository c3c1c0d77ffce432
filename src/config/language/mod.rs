//! The rule language: paths, conditions, values. Total and small; checked here, evaluated by `mapping`.

mod cursor;
mod parse;
mod pipes;
#[cfg(test)]
mod tests;

pub use parse::{parse_path, parse_template};

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
pub enum Condition {
    /// All hold. Empty: always.
    All(Vec<Condition>),
    /// One holds.
    Any(Vec<Condition>),
    /// All the tests hold of the value at the path.
    Tests { path: Path, tests: Vec<Test> },
}

#[derive(Debug, Clone)]
pub enum Test {
    Eq(Operand),
    Ne(Operand),
    In(Vec<Literal>),
    NotIn(Vec<Literal>),
    Lt(Operand),
    Le(Operand),
    Gt(Operand),
    Ge(Operand),
    Exists(bool),
    Prefix(String),
    Suffix(String),
    Contains(String),
    Matches(regex::Regex),
}

/// The right side of a comparison: `5`, `"text"` or `"{usage.prompt_tokens}"`.
#[derive(Debug, Clone)]
pub enum Operand {
    Literal(Literal),
    Template(Template),
}

/// Text with placeholders. `"{org_id}"` alone keeps its type; inside other text it becomes text.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// Never empty; no two `Text` side by side.
    pub parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    Text(String),
    Placeholder(Expression),
}

/// `{path | pipe | pipe}`. With `sum(path, …)` the start is a call, not a path.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    pub start: Start,
    pub pipes: Vec<Pipe>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Start {
    Path(Path),
    /// `sum(a, b)`: a missing one counts 0, one must be there.
    Sum(Vec<Path>),
    Literal(Literal),
}

/// An argument of a pipe: a literal (`'text'`, `5`, `true`) or a path.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument {
    Literal(Literal),
    Path(Path),
}

/// A step of an expression. Pipes that need a later issue's parts (`lookup`, `hash`) are not parsed yet.
#[derive(Debug, Clone, PartialEq)]
pub enum Pipe {
    Str,
    Int,
    Decimal,
    Bool,
    Lower,
    Upper,
    Trim,
    Truncate(u32),
    Default(Argument),
    Add(Argument),
    Sub(Argument),
    Mul(Argument),
    Div(Argument),
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
    ParseJson(Path),
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
pub struct EventTemplate {
    pub name: Value,
    pub customer: Customer,
    pub timestamp: Option<Value>,
    pub external_id: Option<Value>,
    pub parent_id: Option<Value>,
    /// In the order of the config. At most 50 with `_cost` and `_llm`.
    pub metadata: Vec<(String, Value)>,
    pub cost: Option<Cost>,
    pub llm: Option<Llm>,
    /// Only with a personal token.
    pub organization_id: Option<Value>,
}

#[derive(Debug, Clone)]
pub enum Customer {
    /// `external_customer_id`, `external_member_id`.
    External { id: Value, member: Option<Value> },
    /// `customer_id`, `member_id`.
    Polar { id: Value, member: Option<Value> },
}

/// A value of an event: a constant or a template.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Literal(Literal),
    Template(Template),
}

#[derive(Debug, Clone)]
pub struct Cost {
    pub amount: Value,
    pub currency: Value,
}

#[derive(Debug, Clone)]
pub struct Llm {
    pub vendor: Value,
    pub model: Value,
    pub input_tokens: Value,
    pub output_tokens: Value,
    pub total_tokens: Value,
    pub cached_input_tokens: Option<Value>,
    pub prompt: Option<Value>,
    pub response: Option<Value>,
}
