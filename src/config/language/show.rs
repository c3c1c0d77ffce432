//! Paths, literals and tests as an operator would write them: for messages.

use std::fmt;

use super::{
    Argument, DurationUnit, Expression, Literal, Operand, Part, Path, Pipe, Root, Start, Step, Template, Test,
};

impl fmt::Display for Path {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.root {
            Root::Line => {}
            Root::PathCapture(name) => write!(out, "@path.{name}")?,
            Root::Source => out.write_str("@source")?,
            Root::Item => out.write_str("@item")?,
            Root::ContainerTime => out.write_str("@container.time")?,
            Root::ContainerStream => out.write_str("@container.stream")?,
            Root::Preset(name) => write!(out, "@preset.{name}")?,
        }
        for (at, step) in self.steps.iter().enumerate() {
            match step {
                Step::Index(index) => write!(out, "[{index}]")?,
                Step::Key(key) => {
                    if at > 0 || self.root != Root::Line {
                        out.write_str(".")?;
                    }
                    let is_plain =
                        |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | ':' | '/' | '#');
                    if !key.is_empty() && key.chars().all(is_plain) {
                        out.write_str(key)?;
                    } else {
                        write!(out, "\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""))?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(out, "{text:?}"),
            Self::Number(number) => number.fmt(out),
            Self::Bool(value) => value.fmt(out),
        }
    }
}

/// What the test asks for, as the rest of a sentence: `is at least 5`.
impl<P: fmt::Display> fmt::Display for Test<P> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eq(operand) => write!(out, "equal to {operand}"),
            Self::Ne(operand) => write!(out, "other than {operand}"),
            Self::In(literals) => write!(out, "one of {}", List(literals)),
            Self::NotIn(literals) => write!(out, "none of {}", List(literals)),
            Self::Lt(operand) => write!(out, "less than {operand}"),
            Self::Le(operand) => write!(out, "at most {operand}"),
            Self::Gt(operand) => write!(out, "more than {operand}"),
            Self::Ge(operand) => write!(out, "at least {operand}"),
            Self::Exists(true) => out.write_str("there"),
            Self::Exists(false) => out.write_str("missing"),
            Self::Prefix(text) => write!(out, "a text that starts with {text:?}"),
            Self::Suffix(text) => write!(out, "a text that ends with {text:?}"),
            Self::Contains(text) => write!(out, "a text that contains {text:?}"),
            Self::Matches(regex) => write!(out, "a text that matches {:?}", regex.as_str()),
        }
    }
}

impl<P: fmt::Display> fmt::Display for Operand<P> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(literal) => literal.fmt(out),
            Self::Template(template) => write!(out, "\"{template}\""),
        }
    }
}

impl<P: fmt::Display> fmt::Display for Template<P> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.write_str(&text.replace('{', "{{").replace('}', "}}"))?,
                Part::Placeholder(expression) => write!(out, "{{{expression}}}")?,
            }
        }
        Ok(())
    }
}

impl<P: fmt::Display> fmt::Display for Expression<P> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.start {
            Start::Path(path) => path.fmt(out)?,
            Start::Literal(literal) => literal.fmt(out)?,
            Start::Sum(paths) => write!(out, "sum({})", List(paths))?,
        }
        self.pipes.iter().try_for_each(|pipe| write!(out, " | {pipe}"))
    }
}

impl<P: fmt::Display> fmt::Display for Pipe<P> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Str => out.write_str("str"),
            Self::Int => out.write_str("int"),
            Self::Decimal => out.write_str("decimal"),
            Self::Bool => out.write_str("bool"),
            Self::Lower => out.write_str("lower"),
            Self::Upper => out.write_str("upper"),
            Self::Trim => out.write_str("trim"),
            Self::Truncate(length) => write!(out, "truncate({length})"),
            Self::Default(by) => write!(out, "default({by})"),
            Self::Add(by) => write!(out, "add({by})"),
            Self::Sub(by) => write!(out, "sub({by})"),
            Self::Mul(by) => write!(out, "mul({by})"),
            Self::Div(by) => write!(out, "div({by})"),
            Self::Round(places) => write!(out, "round({places})"),
            Self::Max0 => out.write_str("max0"),
            Self::Timestamp { format, zone } => match zone.as_ref().and_then(jiff::tz::TimeZone::iana_name) {
                Some(zone) => write!(out, "timestamp({}, {})", Quoted(format), Quoted(zone)),
                None => write!(out, "timestamp({})", Quoted(format)),
            },
            Self::EpochS => out.write_str("epoch_s"),
            Self::EpochMs => out.write_str("epoch_ms"),
            Self::EpochUs => out.write_str("epoch_us"),
            Self::EpochNs => out.write_str("epoch_ns"),
            Self::Duration(unit) => write!(out, "duration({unit})"),
            Self::Split { separator, index } => write!(out, "split({}, {index})", Quoted(separator)),
            Self::PathOnly => out.write_str("path_only"),
            Self::ParseJson(path) => write!(out, "parse_json({path})"),
            Self::Lookup(lookup) => write!(out, "lookup({}, …)", lookup.name),
            Self::Hash(key) => write!(out, "hash({})", key.name),
            Self::MaskIp => out.write_str("mask_ip"),
            Self::Enum(allowed) => {
                write!(out, "enum({})", List(&allowed.iter().map(|text| Quoted(text)).collect::<Vec<_>>()))
            }
        }
    }
}

impl fmt::Display for DurationUnit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Nanoseconds => "ns",
            Self::Microseconds => "us",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::Minutes => "min",
            Self::Hours => "h",
        })
    }
}

impl<P: fmt::Display> fmt::Display for Argument<P> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(Literal::Text(text)) => Quoted(text).fmt(out),
            Self::Literal(literal) => literal.fmt(out),
            Self::Path(path) => path.fmt(out),
        }
    }
}

/// A text as an argument of a pipe.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "'{}'", self.0.replace('\\', "\\\\").replace('\'', "\\'"))
    }
}

struct List<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for List<'_, T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, item) in self.0.iter().enumerate() {
            if at > 0 {
                out.write_str(", ")?;
            }
            item.fmt(out)?;
        }
        Ok(())
    }
}
