//! A place in a text of the rule language, and the small things that are read there.

use rust_decimal::Decimal;

use super::{LanguageFault, Literal, Lookups, Path, Root, Step};

/// What has a name after a dot.
const MEMBERS: &str = "write @path.name, @container.time, @container.stream or @preset.name";

/// Where the parser stands in its text.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    pub text: &'a str,
    pub at: usize,
    pub lookups: &'a Lookups,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str, lookups: &'a Lookups) -> Self {
        Self { text, at: 0, lookups }
    }

    pub fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    pub fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    pub fn skip_space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.next();
        }
    }

    /// A fault from `start` up to here, or at the next character where that is nothing.
    pub fn fault_from(&self, start: usize, message: impl Into<String>) -> LanguageFault {
        let mut end = self.at;
        if end <= start {
            end = start + self.text[start..].chars().next().map_or(0, char::len_utf8);
        }
        LanguageFault { span: start..end, message: message.into(), hint: None }
    }

    pub fn fault_here(&self, message: impl Into<String>) -> LanguageFault {
        self.fault_from(self.at, message)
    }

    /// A run of characters that need no quotes in a path. May be empty.
    pub fn word(&mut self) -> &'a str {
        let start = self.at;
        while self.peek().is_some_and(is_plain) {
            self.next();
        }
        &self.text[start..self.at]
    }

    /// A text in `quote`s; `\` before a quote or a `\` stands for that character. The cursor is at the
    /// opening quote.
    pub fn quoted(&mut self, quote: char) -> Result<String, LanguageFault> {
        let start = self.at;
        self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                None => {
                    return Err(self
                        .fault_from(start, "this quote is never closed")
                        .with_hint(format!("write {quote} after the text")));
                }
                Some(end) if end == quote => return Ok(text),
                Some('\\') if matches!(self.peek(), Some('\\' | '\'' | '"')) => text.extend(self.next()),
                Some(other) => text.push(other),
            }
        }
    }

    /// A path. Stops at the first character that cannot belong to it.
    pub fn path(&mut self) -> Result<Path, LanguageFault> {
        let root = if self.peek() == Some('@') { self.root()? } else { Root::Line };
        let mut steps = Vec::new();
        let after_root = self.at;
        let mut key_is_due = root == Root::Line;
        loop {
            match self.peek() {
                Some('[') => steps.push(Step::Index(self.index()?)),
                Some('"') if key_is_due => steps.push(Step::Key(self.quoted('"')?)),
                Some(plain) if key_is_due && is_plain(plain) => {
                    steps.push(Step::Key(self.word().to_owned()));
                }
                _ if key_is_due => return Err(self.path_is_missing()),
                _ => {}
            }
            key_is_due = self.eat('.');
            if !key_is_due && self.peek() != Some('[') {
                break;
            }
        }
        if !steps.is_empty() && !matches!(root, Root::Line | Root::Item) {
            return Err(self.fault_from(after_root, "this value has no fields of its own"));
        }
        Ok(Path { root, steps })
    }

    fn path_is_missing(&self) -> LanguageFault {
        match self.peek() {
            Some('\'') => self
                .fault_here("a path is expected here, not a text")
                .with_hint("an odd key is written in double quotes: a.\"odd.key\""),
            Some(_) => self
                .fault_here("a path is expected here")
                .with_hint("keys with spaces or signs are written in double quotes: a.\"odd key\""),
            None => self.fault_here("a path is expected here"),
        }
    }

    fn root(&mut self) -> Result<Root, LanguageFault> {
        let start = self.at;
        self.next();
        let name = self.word().to_owned();
        match name.as_str() {
            "source" => return Ok(Root::Source),
            "item" => return Ok(Root::Item),
            "path" | "container" | "preset" if self.eat('.') => {}
            "path" | "container" | "preset" => {
                return Err(self.fault_from(start, format!("`@{name}` needs a name")).with_hint(MEMBERS));
            }
            _ => {
                return Err(self.fault_from(start, format!("`@{name}` is not known")).with_hint(format!(
                    "known are @source, @item, @path.name, @container.time, @container.stream and \
                     @preset.name; the field of a line is written \"@{name}\", with the quotes"
                )));
            }
        }
        let member = if self.peek() == Some('"') { self.quoted('"')? } else { self.word().to_owned() };
        match (name.as_str(), member.as_str()) {
            ("container", "time") => Ok(Root::ContainerTime),
            ("container", "stream") => Ok(Root::ContainerStream),
            ("path", member) if !member.is_empty() => Ok(Root::PathCapture(member.to_owned())),
            ("preset", member) if !member.is_empty() => Ok(Root::Preset(member.to_owned())),
            _ => Err(self.fault_from(start, format!("`@{name}.{member}` is not known")).with_hint(MEMBERS)),
        }
    }

    fn index(&mut self) -> Result<u32, LanguageFault> {
        let start = self.at;
        self.next();
        let digits = self.word();
        if !self.eat(']') {
            return Err(self.fault_from(start, "this bracket is never closed").with_hint("write a[0]"));
        }
        digits.parse().map_err(|_| {
            self.fault_from(start, "an index is a whole number from 0").with_hint("write a[0] for the first")
        })
    }

    /// A literal, if one stands here: `'text'`, a number, `true`, `false`.
    pub fn literal(&mut self) -> Result<Option<Literal>, LanguageFault> {
        match self.peek() {
            Some('\'') => return self.quoted('\'').map(|text| Some(Literal::Text(text))),
            Some(first) if first.is_ascii_digit() || matches!(first, '-' | '+') => {}
            _ => {
                let mut ahead = self.clone();
                let found = match ahead.word() {
                    "true" => Literal::Bool(true),
                    "false" => Literal::Bool(false),
                    _ => return Ok(None),
                };
                if matches!(ahead.peek(), Some('.' | '[')) {
                    return Ok(None);
                }
                *self = ahead;
                return Ok(Some(found));
            }
        }
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_')) {
            self.next();
        }
        let text = &self.text[start..self.at];
        match text.parse::<Decimal>().or_else(|_| Decimal::from_scientific(text)) {
            Ok(number) => Ok(Some(Literal::Number(number))),
            Err(_) => Err(self
                .fault_from(start, format!("`{text}` is not a number"))
                .with_hint(format!("a text is written '{text}', a key \"{text}\""))),
        }
    }
}

/// Characters of a key that need no quotes: all but those that mean something.
fn is_plain(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !".[]{}()|,'\"@".contains(c)
}

impl LanguageFault {
    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
