//! Paths, literals and tests as an operator would write them: for messages.

use std::fmt;

use super::{Expression, Literal, Operand, Part, Path, Root, Start, Step, Template, Test};

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

/// The pipes are left out: this is for messages about what a test compared with.
impl<P: fmt::Display> fmt::Display for Expression<P> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.start {
            Start::Path(path) => path.fmt(out)?,
            Start::Literal(literal) => literal.fmt(out)?,
            Start::Sum(paths) => write!(out, "sum({})", List(paths))?,
        }
        if !self.pipes.is_empty() {
            out.write_str(" | …")?;
        }
        Ok(())
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
