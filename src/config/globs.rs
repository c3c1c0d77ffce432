//! Globs of paths → [`FilePattern`].
//!
//! `*` and `?` and `[a-z]` and `[!a]` stay within a segment, `**` is any number of folders, `{name}` captures a part
//! of a segment, `\` takes the meaning of the next character away. As in a shell, only a literal dot matches a
//! leading dot: `*.log` does not pick up `.app.log.swp`.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::settings::FilePattern;

/// What is wrong with a glob, and where in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlobFault {
    pub span: Range<usize>,
    pub message: String,
    pub hint: Option<String>,
}

/// A relative pattern is taken from `folder`.
///
/// # Errors
/// The first fault, with its place in `text`.
pub fn compile(text: &str, folder: &Path) -> Result<FilePattern, GlobFault> {
    if text.is_empty() {
        return Err(fault(0..0, "an empty pattern matches nothing", None));
    }
    if text.ends_with('/') {
        return Err(fault(
            0..text.len(),
            "this names a folder",
            Some(format!("name its files: \"{text}*.log\"")),
        ));
    }
    let mut compiler = Compiler { names: Vec::new() };
    let mut segments = Vec::new();
    let mut start = 0;
    for part in text.split('/') {
        let span = start..start + part.len();
        start = span.end + 1;
        match part {
            "" | "." => {}
            ".." => {
                return Err(fault(span, "`..` is not followed", Some("write the path without it".into())));
            }
            _ => segments.push(compiler.segment(part, span.start)?),
        }
    }
    finish(text, folder, &segments)
}

enum Segment {
    /// No wildcard in it, and what it says.
    Literal(String),
    /// A regular expression.
    Pattern(String),
    /// `**`.
    AnyFolders,
}

fn finish(text: &str, folder: &Path, segments: &[Segment]) -> Result<FilePattern, GlobFault> {
    let absolute = text.starts_with('/');
    let mut base = if absolute { PathBuf::from("/") } else { Path::new("/").join(folder) };
    let folder_text = base.to_string_lossy().trim_end_matches('/').to_owned();
    let first_wild = segments.iter().position(|segment| !matches!(segment, Segment::Literal(_)));
    let literal_folders = first_wild.unwrap_or(segments.len().saturating_sub(1));
    for segment in &segments[..literal_folders] {
        if let Segment::Literal(name) = segment {
            base.push(name);
        }
    }
    let wild = &segments[literal_folders..];
    let unbounded = wild.iter().any(|segment| matches!(segment, Segment::AnyFolders));
    let mut expression = format!(r"\A{}", regex::escape(&folder_text));
    for (at, segment) in segments.iter().enumerate() {
        match segment {
            Segment::Literal(name) => add(&mut expression, format_args!("/{}", regex::escape(name))),
            Segment::Pattern(pattern) => add(&mut expression, format_args!("/{pattern}")),
            Segment::AnyFolders if at + 1 == segments.len() => expression.push_str("(?:/[^/.][^/]*)+"),
            Segment::AnyFolders => expression.push_str("(?:/[^/.][^/]*)*"),
        }
    }
    expression.push_str(r"\z");
    let regex = regex::Regex::new(&expression)
        .map_err(|_| fault(0..text.len(), "this pattern is too large", Some("write it shorter".into())))?;
    let full = if absolute { text.to_owned() } else { format!("{folder_text}/{text}") };
    let depth = (!unbounded).then(|| wild.len().saturating_sub(1));
    Ok(FilePattern { text: full, base, depth, regex })
}

struct Compiler {
    names: Vec<String>,
}

enum Token {
    Literal(char),
    Star,
    Question,
    /// The inside of a class, as a regular expression takes it.
    Class(String),
    Capture(String),
}

impl Compiler {
    fn segment(&mut self, part: &str, offset: usize) -> Result<Segment, GlobFault> {
        if part == "**" {
            return Ok(Segment::AnyFolders);
        }
        let tokens = self.tokens(part, offset)?;
        let literal: Option<String> =
            tokens.iter().map(|token| if let Token::Literal(c) = token { Some(*c) } else { None }).collect();
        Ok(literal.map_or_else(|| Segment::Pattern(expression(&tokens)), Segment::Literal))
    }

    fn tokens(&mut self, part: &str, offset: usize) -> Result<Vec<Token>, GlobFault> {
        let mut tokens = Vec::new();
        let mut at = 0;
        while let Some(character) = part[at..].chars().next() {
            let start = at;
            at += character.len_utf8();
            let token = match character {
                '*' if part[at..].starts_with('*') => {
                    let span = offset + start..offset + at + 1;
                    let hint = Some("write `**` between two slashes: \"/var/log/**/*.log\"".into());
                    return Err(fault(span, "`**` stands alone in its segment", hint));
                }
                '*' => Token::Star,
                '?' => Token::Question,
                '\\' => {
                    let Some(next) = part[at..].chars().next() else {
                        let message = "a `\\` at the end of a segment escapes nothing";
                        return Err(fault(offset + start..offset + at, message, None));
                    };
                    at += next.len_utf8();
                    Token::Literal(next)
                }
                '[' => {
                    let length = class_length(&part[at..]).ok_or_else(|| {
                        let hint = Some("for the character itself write `\\[`".into());
                        fault(offset + start..offset + part.len(), "this `[` has no `]`", hint)
                    })?;
                    let class = class(&part[at..at + length]).ok_or_else(|| {
                        fault(
                            offset + start..offset + at + length + 1,
                            "this range runs backwards",
                            Some("put the smaller character first".into()),
                        )
                    })?;
                    at += length + 1;
                    Token::Class(class)
                }
                '{' => {
                    let length = part[at..].find('}').ok_or_else(|| {
                        let hint = Some("for the character itself write `\\{`".into());
                        fault(offset + start..offset + part.len(), "this `{` has no `}`", hint)
                    })?;
                    let span = offset + start..offset + at + length + 1;
                    let token = self.capture(&part[at..at + length], &span)?;
                    at += length + 1;
                    if matches!(tokens.last(), Some(Token::Star | Token::Capture(_))) {
                        return Err(beside(span));
                    }
                    token
                }
                other => Token::Literal(other),
            };
            if matches!(token, Token::Star) && matches!(tokens.last(), Some(Token::Capture(_))) {
                return Err(beside(offset + start..offset + at));
            }
            tokens.push(token);
        }
        Ok(tokens)
    }

    fn capture(&mut self, name: &str, span: &Range<usize>) -> Result<Token, GlobFault> {
        if name.contains(',') {
            return Err(fault(
                span.clone(),
                "braces capture a part of the path; they are no choice",
                Some("write a pattern for each alternative: include = [\"…/a.log\", \"…/b.log\"]".into()),
            ));
        }
        let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !starts_well || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            let hint = Some("use letters, digits and `_`: {tenant} becomes @path.tenant".into());
            return Err(fault(span.clone(), "this is no name for a capture", hint));
        }
        if self.names.iter().any(|known| known == name) {
            return Err(fault(span.clone(), &format!("{{{name}}} captures twice"), None));
        }
        self.names.push(name.to_owned());
        Ok(Token::Capture(name.to_owned()))
    }
}

/// The tokens of one segment. What comes first must not match a leading dot unless it is one.
fn expression(tokens: &[Token]) -> String {
    let mut out = String::new();
    let mut first = true;
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            Token::Literal(character) => out.push_str(&regex::escape(&character.to_string())),
            Token::Question => out.push_str(if first { "[^/.]" } else { "[^/]" }),
            Token::Class(class) if first => add(&mut out, format_args!("[{class}&&[^/.]]")),
            Token::Class(class) => add(&mut out, format_args!("[{class}&&[^/]]")),
            Token::Capture(name) if first => add(&mut out, format_args!("(?P<{name}>[^/.][^/]*)")),
            Token::Capture(name) => add(&mut out, format_args!("(?P<{name}>[^/]+)")),
            Token::Star if !first => out.push_str("[^/]*"),
            Token::Star => match tokens.get(at) {
                None | Some(Token::Literal('.')) => out.push_str("[^/.][^/]*"),
                // `*?` is `?*`.
                Some(Token::Question) => {
                    at += 1;
                    out.push_str("[^/.][^/]*");
                }
                Some(Token::Class(class)) => {
                    at += 1;
                    add(&mut out, format_args!("(?:[^/.][^/]*[{class}&&[^/]]|[{class}&&[^/.]])"));
                }
                Some(_) => out.push_str("(?:[^/.][^/]*)?"),
            },
        }
        first = false;
    }
    out
}

fn add(expression: &mut String, more: std::fmt::Arguments<'_>) {
    expression.write_fmt(more).expect("a String takes all");
}

/// Bytes until the `]`, which does not close where it stands first.
fn class_length(rest: &str) -> Option<usize> {
    let skipped = usize::from(rest.starts_with('!') || rest.starts_with('^'));
    let first = usize::from(rest[skipped..].starts_with(']'));
    rest[skipped + first..].find(']').map(|length| skipped + first + length)
}

/// The class as a regular expression takes it, in its own brackets.
fn class(inside: &str) -> Option<String> {
    let negated = inside.starts_with('!') || inside.starts_with('^');
    let characters: Vec<char> = inside.chars().skip(usize::from(negated)).collect();
    let mut out = String::from(if negated { "[^" } else { "[" });
    let mut at = 0;
    while let Some(&from) = characters.get(at) {
        let range = characters.get(at + 1) == Some(&'-') && characters.get(at + 2).is_some();
        let to = if range { characters[at + 2] } else { from };
        if to < from {
            return None;
        }
        add(&mut out, format_args!(r"\x{{{:x}}}-\x{{{:x}}}", u32::from(from), u32::from(to)));
        at += if range { 3 } else { 1 };
    }
    out.push(']');
    Some(out)
}

fn beside(span: Range<usize>) -> GlobFault {
    let hint = Some("put a character between them, so that it is clear where the capture ends".into());
    fault(span, "a capture beside a `*` or another capture takes what it likes", hint)
}

fn fault(span: Range<usize>, message: &str, hint: Option<String>) -> GlobFault {
    GlobFault { span, message: message.to_owned(), hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_paths() {
        let table: &[(&str, &str, bool)] = &[
            ("/var/log/*.log", "/var/log/app.log", true),
            ("/var/log/*.log", "/var/log/app.log.1", false),
            ("/var/log/*.log", "/var/log/x/app.log", false),
            ("/var/log/*.log", "/var/log/.log", false),
            ("/var/log/*.log", "/var/log/.app.log", false),
            ("/var/log/.*.log", "/var/log/.app.log", true),
            ("/var/log/*app", "/var/log/app", true),
            ("/var/log/*app", "/var/log/my.app", true),
            ("/var/log/*app", "/var/log/.app", false),
            ("/var/log/?.log", "/var/log/a.log", true),
            ("/var/log/?.log", "/var/log/..log", false),
            ("/var/log/*?.log", "/var/log/a.log", true),
            ("/var/log/*[._]log", "/var/log/a.log", true),
            ("/var/log/*[._]log", "/var/log/_log", true),
            ("/var/log/*[._]log", "/var/log/.log", false),
            ("/var/log/app[0-9].log", "/var/log/app7.log", true),
            ("/var/log/app[0-9].log", "/var/log/appx.log", false),
            ("/var/log/app[!0-9].log", "/var/log/appx.log", true),
            ("/var/log/app[!0-9].log", "/var/log/app/.log", false),
            ("/var/log/app[]a].log", "/var/log/app].log", true),
            ("/var/**/*.log", "/var/app.log", true),
            ("/var/**/*.log", "/var/a/b/c/app.log", true),
            ("/var/**/*.log", "/var/a/.git/app.log", false),
            ("/var/log/**", "/var/log/a/b", true),
            ("/var/log/**", "/var/log", false),
            ("/var/log/a+b.log", "/var/log/a+b.log", true),
            ("/var/log/a+b.log", "/var/log/aab.log", false),
            (r"/var/log/\*.log", "/var/log/*.log", true),
            (r"/var/log/\*.log", "/var/log/a.log", false),
            ("/var//log/./app.log", "/var/log/app.log", true),
            ("logs/*.log", "/etc/floe/logs/a.log", true),
            ("/var/log/ä*.log", "/var/log/äpp.log", true),
        ];
        for (pattern, path, matches) in table {
            let compiled = compile(pattern, Path::new("/etc/floe")).expect("a good pattern");
            assert_eq!(compiled.regex.is_match(path), *matches, "{pattern} on {path}");
        }
    }

    #[test]
    fn a_walk_begins_above_the_first_wildcard() {
        let table: &[(&str, &str, Option<usize>)] = &[
            ("/var/log/app.log", "/var/log", Some(0)),
            ("/var/log/*.log", "/var/log", Some(0)),
            ("/var/log/*/x/*.log", "/var/log", Some(2)),
            ("/var/log/**/*.log", "/var/log", None),
            ("/{tenant}/app.log", "/", Some(1)),
            ("a/*.log", "/etc/floe/a", Some(0)),
        ];
        for (pattern, base, depth) in table {
            let compiled = compile(pattern, Path::new("/etc/floe")).expect("a good pattern");
            assert_eq!((compiled.base.as_path(), compiled.depth), (Path::new(base), *depth), "{pattern}");
        }
    }

    #[test]
    fn braces_capture_a_part_of_a_segment() {
        let pattern = compile("/var/log/{tenant}/app-{node}.log", Path::new("/")).expect("a good pattern");
        let found = pattern.regex.captures("/var/log/acme/app-n1.log").expect("it matches");
        assert_eq!((&found["tenant"], &found["node"]), ("acme", "n1"));
        assert!(!pattern.regex.is_match("/var/log/.acme/app-n1.log"));
        assert!(!pattern.regex.is_match("/var/log/acme/app-.log"));
    }

    #[test]
    fn what_a_compressor_made_is_no_match() {
        use crate::config::settings::FilePatterns;
        let pattern = compile("/var/log/app*", Path::new("/")).expect("a good pattern");
        let patterns = FilePatterns::new(vec![pattern], Vec::new());
        for (path, matches) in [
            ("/var/log/app.log", true),
            ("/var/log/app.log.1", true),
            ("/var/log/app.log.2.gz", false),
            ("/var/log/app.log-20261120.zst", false),
        ] {
            assert_eq!(patterns.captures(path).is_some(), matches, "{path}");
        }
    }

    #[test]
    fn a_bad_pattern_says_where() {
        let table: &[(&str, Range<usize>, &str)] = &[
            ("/var/log/{a,b}.log", 9..14, "no choice"),
            ("/var/log/[a.log", 9..15, "no `]`"),
            ("/var/log/[z-a].log", 9..14, "backwards"),
            ("/var/log/{a", 9..11, "no `}`"),
            ("/var/log/{a b}", 9..14, "no name"),
            ("/{a}/{a}", 5..8, "twice"),
            ("/var/log/", 0..9, "a folder"),
            ("/var/a**/x", 6..8, "alone"),
            ("../x.log", 0..2, "not followed"),
            ("/x/*{a}", 4..7, "beside"),
            ("/x/{a}*", 6..7, "beside"),
            ("", 0..0, "empty"),
            ("/x\\", 2..3, "escapes nothing"),
        ];
        for (pattern, span, message) in table {
            let fault = compile(pattern, Path::new("/")).expect_err(pattern);
            assert_eq!(fault.span, *span, "{pattern}");
            assert!(fault.message.contains(message), "{pattern}: {}", fault.message);
        }
    }
}
