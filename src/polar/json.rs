//! JSON as Polar's server reads it, which is Python's way: the last of two equal keys counts, numbers keep their
//! text, `NaN` and `Infinity` are numbers, a lone surrogate is a character.
//!
//! The sandbox needs the same faults at the same places as the server, so `serde_json` will not do here. Its values
//! borrow from the text; an object knows its own text, so an event is stored without writing it again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Deeper nesting is refused instead of trusting the stack.
const DEPTH_MAX: usize = 400;

/// Up to here the members of an object are searched one by one.
const SMALL_OBJECT: usize = 24;

/// A value of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Json<'a> {
    Null,
    Bool(bool),
    /// The text of a finite number.
    Number(&'a str),
    /// The text of a number that no double holds: `NaN`, `-Infinity`, `1e999`.
    NotFinite(&'a str),
    String(Cow<'a, str>),
    /// A string with a lone surrogate: the text between its quotes. It is no Unicode, so it cannot be written back.
    Broken(&'a str),
    Array(Vec<Json<'a>>),
    Object(Object<'a>),
}

/// An object and the text it was read from.
#[derive(Debug, Clone, PartialEq)]
pub struct Object<'a> {
    pub text: &'a str,
    /// In the order of the text; every key once.
    pub members: Vec<(Cow<'a, str>, Json<'a>)>,
    /// A key has a lone surrogate.
    broken_key: bool,
}

/// Why a text is no JSON, in the words of Python's parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonError {
    /// In characters from the start.
    pub at: usize,
    pub message: &'static str,
}

/// What is wrong with a body that is not a JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// It is not UTF-8, or too deep: the server gives up reading it (400).
    Unreadable,
    /// It is text but no JSON (422).
    Json(JsonError),
}

/// Reads a whole body.
///
/// # Errors
/// [`BodyError`], by the answer that the server gives.
pub fn parse(body: &[u8]) -> Result<Json<'_>, BodyError> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let text = std::str::from_utf8(body).map_err(|_| BodyError::Unreadable)?;
    let mut parser = Parser { text, bytes: text.as_bytes(), at: 0, depth: 0 };
    parser.document().map_err(|stop| match stop {
        Stop::TooDeep => BodyError::Unreadable,
        Stop::At { byte, message } => {
            BodyError::Json(JsonError { at: text[..byte].chars().count(), message })
        }
    })
}

impl<'a> Object<'a> {
    pub fn get(&self, key: &str) -> Option<&Json<'a>> {
        self.members.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }
}

impl<'a> Json<'a> {
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Json::String(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_object(&self) -> Option<&Object<'a>> {
        match self {
            Json::Object(object) => Some(object),
            _ => None,
        }
    }

    /// Whether the server can neither store nor echo it: a number that is not finite, or a lone surrogate.
    pub fn breaks_the_server(&self) -> bool {
        match self {
            Json::NotFinite(_) | Json::Broken(_) => true,
            Json::Array(items) => items.iter().any(Json::breaks_the_server),
            Json::Object(object) => {
                object.broken_key || object.members.iter().any(|(_, value)| value.breaks_the_server())
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
        }
    }

    /// Whether a NUL character stands in a string or a key of it, at any depth.
    pub fn contains_nul(&self) -> bool {
        match self {
            Json::String(text) => text.contains('\0'),
            Json::Array(items) => items.iter().any(Json::contains_nul),
            Json::Object(object) => {
                object.members.iter().any(|(key, value)| key.contains('\0') || value.contains_nul())
            }
            _ => false,
        }
    }

    /// Appends it as compact JSON.
    pub fn write(&self, out: &mut String) {
        match self {
            // The last two are unreachable in an answer: what holds these is answered with a 500.
            Json::Null | Json::NotFinite(_) | Json::Broken(_) => out.push_str("null"),
            Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Json::Number(text) => out.push_str(text),
            Json::String(text) => write_string(text, out),
            Json::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Json::Object(object) => {
                out.push('{');
                for (index, (key, value)) in object.members.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_string(key, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

/// Appends `text` as a JSON string, with quotes.
pub fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\') {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            control => write!(out, "\\u{control:04x}").expect("writing to a String does not fail"),
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

enum Stop {
    TooDeep,
    At { byte: usize, message: &'static str },
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

enum Text<'a> {
    Whole(Cow<'a, str>),
    Broken(&'a str),
}

impl<'a> Parser<'a> {
    fn document(&mut self) -> Result<Json<'a>, Stop> {
        self.skip_space();
        let value = self.value()?;
        self.skip_space();
        if self.at < self.bytes.len() {
            return Err(self.stop("Extra data"));
        }
        Ok(value)
    }

    fn stop(&self, message: &'static str) -> Stop {
        Stop::At { byte: self.at, message }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Result<Json<'a>, Stop> {
        match self.peek() {
            Some(b'"') => Ok(match self.string()? {
                Text::Whole(text) => Json::String(text),
                Text::Broken(text) => Json::Broken(text),
            }),
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.word(),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Json<'a>, Stop>) -> Result<Json<'a>, Stop> {
        if self.depth == DEPTH_MAX {
            return Err(Stop::TooDeep);
        }
        self.depth += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn word(&mut self) -> Result<Json<'a>, Stop> {
        const WORDS: [(&str, Json<'static>); 5] = [
            ("null", Json::Null),
            ("true", Json::Bool(true)),
            ("false", Json::Bool(false)),
            ("NaN", Json::NotFinite("NaN")),
            ("Infinity", Json::NotFinite("Infinity")),
        ];
        for (word, value) in WORDS {
            if self.bytes[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.stop("Expecting value"))
    }

    fn number(&mut self) -> Result<Json<'a>, Stop> {
        let start = self.at;
        let negative = self.peek() == Some(b'-');
        if negative {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => {
                if negative && self.bytes[self.at..].starts_with(b"Infinity") {
                    self.at += "Infinity".len();
                    return Ok(Json::NotFinite("-Infinity"));
                }
                self.at = start;
                return Err(self.stop("Expecting value"));
            }
        }
        let mut whole = true;
        if self.peek() == Some(b'.') && self.bytes.get(self.at + 1).is_some_and(u8::is_ascii_digit) {
            whole = false;
            self.at += 1;
            self.digits();
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.bytes.get(self.at + 1), Some(b'+' | b'-')));
            if self.bytes.get(self.at + 1 + sign).is_some_and(u8::is_ascii_digit) {
                whole = false;
                self.at += 1 + sign;
                self.digits();
            }
        }
        let text = &self.text[start..self.at];
        // Python's integers have no bound, so only a float can leave the range of a double.
        let finite = whole || text.parse::<f64>().is_ok_and(f64::is_finite);
        Ok(if finite { Json::Number(text) } else { Json::NotFinite(text) })
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn array(&mut self) -> Result<Json<'a>, Stop> {
        let mut items = Vec::new();
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value()?);
            self.skip_space();
            match self.peek() {
                Some(b',') => {
                    let comma = self.at;
                    self.at += 1;
                    self.skip_space();
                    if self.peek() == Some(b']') {
                        self.at = comma;
                        return Err(self.stop("Illegal trailing comma before end of array"));
                    }
                }
                Some(b']') => {
                    self.at += 1;
                    return Ok(Json::Array(items));
                }
                _ => return Err(self.stop("Expecting ',' delimiter")),
            }
        }
    }

    fn object(&mut self) -> Result<Json<'a>, Stop> {
        let start = self.at;
        let mut members = Members::default();
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(self.finished(start, members));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.stop("Expecting property name enclosed in double quotes"));
            }
            let key = self.string()?;
            self.skip_space();
            if self.peek() != Some(b':') {
                return Err(self.stop("Expecting ':' delimiter"));
            }
            self.at += 1;
            self.skip_space();
            let value = self.value()?;
            members.put(key, value);
            self.skip_space();
            match self.peek() {
                Some(b',') => {
                    let comma = self.at;
                    self.at += 1;
                    self.skip_space();
                    if self.peek() == Some(b'}') {
                        self.at = comma;
                        return Err(self.stop("Illegal trailing comma before end of object"));
                    }
                }
                Some(b'}') => {
                    self.at += 1;
                    return Ok(self.finished(start, members));
                }
                _ => return Err(self.stop("Expecting ',' delimiter")),
            }
        }
    }

    fn finished(&self, start: usize, members: Members<'a>) -> Json<'a> {
        let text = &self.text[start..self.at];
        Json::Object(Object { text, members: members.list, broken_key: members.broken_key })
    }

    /// At the opening quote; leaves it behind the closing one.
    fn string(&mut self) -> Result<Text<'a>, Stop> {
        let start = self.at;
        self.at += 1;
        let mut copied: Option<String> = None;
        let mut broken = false;
        loop {
            let rest = &self.bytes[self.at..];
            let Some(length) = rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < b' ')
            else {
                self.at = start;
                return Err(self.stop("Unterminated string starting at"));
            };
            let plain = &self.text[self.at..self.at + length];
            self.at += length;
            match self.bytes[self.at] {
                b'"' => {
                    let inside = &self.text[start + 1..self.at];
                    self.at += 1;
                    return Ok(match copied {
                        _ if broken => Text::Broken(inside),
                        None => Text::Whole(Cow::Borrowed(inside)),
                        Some(text) => Text::Whole(Cow::Owned(text + plain)),
                    });
                }
                b'\\' => {
                    let text = copied.get_or_insert_default();
                    text.push_str(plain);
                    match self.escape(start)? {
                        Some(character) => text.push(character),
                        None => broken = true,
                    }
                }
                _ => return Err(self.stop("Invalid control character at")),
            }
        }
    }

    /// At a backslash; leaves it behind the escape. None is a lone surrogate.
    fn escape(&mut self, string_start: usize) -> Result<Option<char>, Stop> {
        let Some(&kind) = self.bytes.get(self.at + 1) else {
            self.at = string_start;
            return Err(self.stop("Unterminated string starting at"));
        };
        let plain = match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => return Err(self.stop("Invalid \\escape")),
        };
        self.at += 2;
        Ok(Some(plain))
    }

    fn unicode_escape(&mut self) -> Result<Option<char>, Stop> {
        let Some(first) = self.hex_at(self.at + 2) else {
            return Err(self.stop("Invalid \\uXXXX escape"));
        };
        self.at += 6;
        if !(0xd800..0xe000).contains(&first) {
            return Ok(char::from_u32(first));
        }
        if first < 0xdc00
            && self.bytes[self.at..].starts_with(b"\\u")
            && let Some(second @ 0xdc00..0xe000) = self.hex_at(self.at + 2)
        {
            self.at += 6;
            return Ok(char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)));
        }
        Ok(None)
    }

    fn hex_at(&self, at: usize) -> Option<u32> {
        let digits = self.bytes.get(at..at + 4)?;
        digits.iter().try_fold(0, |number, &digit| Some(number * 16 + char::from(digit).to_digit(16)?))
    }
}

/// The members read so far; the last of two equal keys counts and keeps the place of the first.
#[derive(Default)]
struct Members<'a> {
    list: Vec<(Cow<'a, str>, Json<'a>)>,
    /// Places of the keys, once there are too many to search.
    places: BTreeMap<Cow<'a, str>, usize>,
    broken_key: bool,
}

impl<'a> Members<'a> {
    fn put(&mut self, key: Text<'a>, value: Json<'a>) {
        let key = match key {
            Text::Whole(key) => key,
            Text::Broken(text) => {
                self.broken_key = true;
                Cow::Borrowed(text)
            }
        };
        match self.place(&key) {
            Some(place) => self.list[place].1 = value,
            None => {
                if !self.places.is_empty() {
                    self.places.insert(key.clone(), self.list.len());
                }
                self.list.push((key, value));
            }
        }
    }

    fn place(&mut self, key: &str) -> Option<usize> {
        if self.list.len() < SMALL_OBJECT {
            return self.list.iter().position(|(name, _)| name == key);
        }
        if self.places.is_empty() {
            self.places =
                self.list.iter().enumerate().map(|(place, (name, _))| (name.clone(), place)).collect();
        }
        self.places.get(key).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, written: &str) {
        let value = parse(text.as_bytes()).expect("the text is JSON");
        let mut out = String::new();
        value.write(&mut out);
        assert_eq!(out, written, "{text}");
    }

    #[track_caller]
    fn check_error(text: &str, at: usize, message: &str) {
        match parse(text.as_bytes()) {
            Err(BodyError::Json(error)) => assert_eq!((error.at, error.message), (at, message), "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn values_are_written_back_as_they_came() {
        check(" [1, -0.5e+3 ,true,null, \"a\"] ", "[1,-0.5e+3,true,null,\"a\"]");
        check(r#"{"a":"\u00e9\ud83d\ude00\n\/","b":{}}"#, "{\"a\":\"é😀\\n/\",\"b\":{}}");
        check("\u{feff}1", "1");
        check("123456789012345678901234567890", "123456789012345678901234567890");
    }

    #[test]
    fn the_last_of_equal_keys_counts() {
        check(r#"{"a":1,"b":2,"a":3}"#, r#"{"a":3,"b":2}"#);
        let many: Vec<String> = (0..100).map(|n| format!("\"k{n}\":0")).collect();
        let text = format!("{{{},\"k7\":1,\"k99\":2}}", many.join(","));
        let value = parse(text.as_bytes()).expect("the text is JSON");
        let object = value.as_object().expect("it is an object");
        assert_eq!(object.members.len(), 100);
        assert_eq!(object.get("k7"), Some(&Json::Number("1")));
        assert_eq!(object.get("k99"), Some(&Json::Number("2")));
    }

    #[test]
    fn errors_are_those_of_pythons_parser() {
        check_error(r#"{"events":[{"name":"x",}]}"#, 22, "Illegal trailing comma before end of object");
        check_error("[1,]", 2, "Illegal trailing comma before end of array");
        check_error(r#"{"é":01}"#, 6, "Expecting ',' delimiter");
        check_error(r#"{"k":.5}"#, 5, "Expecting value");
        check_error("[+1]", 1, "Expecting value");
        check_error("{a:1}", 1, "Expecting property name enclosed in double quotes");
        check_error(r#"{"a" 1}"#, 5, "Expecting ':' delimiter");
        check_error("1 2", 2, "Extra data");
        check_error("[\"abc", 1, "Unterminated string starting at");
        check_error("[\"a\\x\"]", 3, "Invalid \\escape");
        check_error("[\"a\\u12\"]", 3, "Invalid \\uXXXX escape");
        check_error("[\"a\nb\"]", 3, "Invalid control character at");
    }

    #[test]
    fn what_no_double_and_no_utf_8_holds_breaks_the_server() {
        for text in
            ["[NaN]", "[-Infinity]", "[1e999]", r#"["\ud800"]"#, r#"["\udc00\ud800"]"#, r#"{"\ud800":1}"#]
        {
            assert!(parse(text.as_bytes()).expect("Python reads it").breaks_the_server(), "{text}");
        }
        assert!(!parse(b"[1e308, 0.1e-7]").expect("the text is JSON").breaks_the_server());
    }

    #[test]
    fn nesting_has_an_end() {
        let text = "[".repeat(100_000);
        assert_eq!(parse(text.as_bytes()), Err(BodyError::Unreadable));
        assert_eq!(parse(b"\xff"), Err(BodyError::Unreadable));
    }
}
