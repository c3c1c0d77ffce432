//! Which paths a Rust file names. Read from its text: comments and literals are left out, `use` groups are
//! unfolded, `super` and `self` are resolved. A whole parser would know no more of what matters here.

/// A path that stands in a file, or one of its method and macro calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub line: usize,
    /// `["crate", "model", "Span"]`, `["std", "fs"]`; a method call is `[".", "canonicalize"]`, a macro
    /// call `["println", "!"]`. Paths of this crate begin with `crate`, whatever they were written with.
    pub path: Vec<String>,
    /// Stands under `#[cfg(test)]` in this file.
    pub in_test: bool,
}

/// Everything that `text`, the file of the module `module`, names.
pub fn named(module: &[String], text: &str) -> Vec<Named> {
    let tokens = tokens(text);
    let mut walk = Walk { tokens: &tokens, module: module.to_vec(), inline: Vec::new(), out: Vec::new() };
    walk.run();
    let tests = test_regions(&tokens);
    for found in &mut walk.out {
        found.0.in_test = tests.iter().any(|region| region.contains(&found.1));
    }
    walk.out.into_iter().map(|(named, _)| named).collect()
}

/// The names of the modules that `text` declares as `#[cfg(test)] mod name;`.
pub fn test_modules(text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let declared = |at: usize| match tokens.get(at..at + 3)? {
        [(_, Token::Word("mod")), (_, Token::Word(name)), (_, Token::Other(';'))] => Some((*name).to_owned()),
        _ => None,
    };
    test_regions(&tokens).into_iter().flatten().filter_map(declared).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    /// `::`
    Separator,
    Other(char),
}

fn tokens(text: &str) -> Vec<(usize, Token<'_>)> {
    let mut out = Vec::new();
    let mut line = 1;
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        let rest = &text[at..];
        let len = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(len) = string(rest) {
            len
        } else if next == '\'' {
            character_or_lifetime(rest)
        } else if next == '_' || next.is_alphanumeric() {
            let len = rest.find(|other: char| other != '_' && !other.is_alphanumeric()).unwrap_or(rest.len());
            out.push((line, Token::Word(&rest[..len])));
            len
        } else if rest.starts_with("::") {
            out.push((line, Token::Separator));
            2
        } else {
            if !next.is_whitespace() {
                out.push((line, Token::Other(next)));
            }
            next.len_utf8()
        };
        line += rest[..len].matches('\n').count();
        at += len;
    }
    out
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// The length of the string literal that `rest` begins with: `"…"`, `b"…"`, `c"…"`, `r#"…"#`, `br"…"`.
fn string(rest: &str) -> Option<usize> {
    let body = rest.trim_start_matches(['b', 'c']);
    let prefix = rest.len() - body.len();
    if prefix > 1 {
        return None;
    }
    if let Some(raw) = body.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let inner = raw[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let len = inner.find(&end).map_or(inner.len(), |found| found + end.len());
        return Some(prefix + 1 + hashes + 1 + len);
    }
    let inner = body.strip_prefix('"')?;
    let mut escaped = false;
    for (at, next) in inner.char_indices() {
        match next {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(prefix + 1 + at + 1),
            _ => {}
        }
    }
    Some(rest.len())
}

fn character_or_lifetime(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((at, escaped))) => {
            let from = at + escaped.len_utf8();
            rest[from..].find('\'').map_or(rest.len(), |found| from + found + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => {
            let name = rest[1..].find(|other: char| other != '_' && !other.is_alphanumeric());
            1 + name.unwrap_or(rest.len() - 1)
        }
    }
}

/// The tokens of each item that stands under `#[cfg(test)]`.
fn test_regions(tokens: &[(usize, Token<'_>)]) -> Vec<std::ops::Range<usize>> {
    use Token::{Other, Word};
    const ATTRIBUTE: [Token<'_>; 7] =
        [Other('#'), Other('['), Word("cfg"), Other('('), Word("test"), Other(')'), Other(']')];
    let is_attribute =
        |at: usize| tokens[at..].iter().map(|(_, token)| *token).take(ATTRIBUTE.len()).eq(ATTRIBUTE);
    (0..tokens.len())
        .filter(|at| is_attribute(*at))
        .map(|at| at..item_end(tokens, at + ATTRIBUTE.len()))
        .collect()
}

/// Just after the `;` or the closing brace that ends the item which begins at `from`.
fn item_end(tokens: &[(usize, Token<'_>)], from: usize) -> usize {
    let mut depth = 0;
    for (at, (_, token)) in tokens.iter().enumerate().skip(from) {
        match token {
            Token::Other('{') => depth += 1,
            Token::Other('}') => {
                depth -= 1;
                if depth <= 0 {
                    return at + 1;
                }
            }
            Token::Other(';') if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

struct Walk<'a> {
    tokens: &'a [(usize, Token<'a>)],
    /// Of the file.
    module: Vec<String>,
    /// The modules written out in the file that enclose this place; `None` for any other brace.
    inline: Vec<Option<String>>,
    /// With the index of its first token.
    out: Vec<(Named, usize)>,
}

impl<'a> Walk<'a> {
    fn token(&self, at: usize) -> Option<Token<'a>> {
        self.tokens.get(at).map(|(_, token)| *token)
    }

    fn run(&mut self) {
        let mut at = 0;
        while let Some(token) = self.token(at) {
            at = match token {
                Token::Other('{') => {
                    self.inline.push(self.module_opened_at(at));
                    at + 1
                }
                Token::Other('}') => {
                    self.inline.pop();
                    at + 1
                }
                Token::Other('.') => self.method(at),
                Token::Word(_) => self.tree(at, &[]),
                Token::Separator | Token::Other(_) => at + 1,
            };
        }
    }

    /// The name, where this brace opens `mod name {`.
    fn module_opened_at(&self, brace: usize) -> Option<String> {
        match (self.token(brace.checked_sub(2)?), self.token(brace - 1)) {
            (Some(Token::Word("mod")), Some(Token::Word(name))) => Some(name.to_owned()),
            _ => None,
        }
    }

    fn method(&mut self, dot: usize) -> usize {
        if let (Some(Token::Word(name)), Some(Token::Other('('))) = (self.token(dot + 1), self.token(dot + 2))
        {
            self.put(dot, vec![".".to_owned(), name.to_owned()]);
        }
        match self.token(dot + 1) {
            Some(Token::Word(_)) => dot + 2,
            _ => dot + 1,
        }
    }

    /// Reads the path or the `use` tree that begins with the word at `at`; returns what comes after it.
    fn tree(&mut self, start: usize, prefix: &[&'a str]) -> usize {
        let mut path = prefix.to_vec();
        let mut at = start;
        loop {
            match self.token(at) {
                Some(Token::Word(word)) => path.push(word),
                Some(Token::Other('*')) if at > start => path.push("*"),
                Some(Token::Other('{')) if at > start => return self.group(at, &path),
                _ => break,
            }
            at += 1;
            if self.token(at) != Some(Token::Separator) {
                break;
            }
            at += 1;
        }
        let follow = self.token(at);
        if path.len() == 1 && matches!(follow, Some(Token::Other('!'))) {
            path.push("!");
        }
        if path.len() > 1 || matches!(follow, Some(Token::Word("as"))) {
            let resolved = self.resolve(&path);
            self.put(start, resolved);
        }
        at.max(start + 1)
    }

    fn group(&mut self, brace: usize, prefix: &[&'a str]) -> usize {
        let mut at = brace + 1;
        loop {
            at = match self.token(at) {
                None => return at,
                Some(Token::Other('}')) => return at + 1,
                Some(Token::Other('*')) => {
                    let resolved = self.resolve(&[prefix, &["*"]].concat());
                    self.put(at, resolved);
                    at + 1
                }
                Some(Token::Word("as")) => at + 2,
                Some(Token::Word("self")) => {
                    let resolved = self.resolve(prefix);
                    self.put(at, resolved);
                    at + 1
                }
                Some(Token::Word(_)) => self.tree(at, prefix),
                Some(_) => at + 1,
            };
        }
    }

    fn put(&mut self, at: usize, path: Vec<String>) {
        self.out.push((Named { line: self.tokens[at].0, path, in_test: false }, at));
    }

    /// `super::x` and `self::x` → `crate::…::x`. More `super`s than there are modules end at `crate`.
    fn resolve(&self, path: &[&str]) -> Vec<String> {
        if !matches!(path.first(), Some(&("super" | "self"))) {
            return path.iter().map(ToString::to_string).collect();
        }
        let mut base = self.module.clone();
        base.extend(self.inline.iter().flatten().cloned());
        let ups = path.iter().take_while(|word| matches!(**word, "super" | "self")).count();
        for word in &path[..ups] {
            if *word == "super" {
                base.pop();
            }
        }
        let rest = path[ups..].iter().map(ToString::to_string);
        std::iter::once("crate".to_owned()).chain(base).chain(rest).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let module = ["agent".to_owned(), "books".to_owned()];
        let found: Vec<String> =
            named(&module, text).into_iter().map(|named| named.path.join("::")).collect();
        assert_eq!(found, expected, "in {text}");
    }

    #[test]
    fn paths_are_found_wherever_they_stand() {
        check("use std::fs;", &["std::fs"]);
        check(
            "use std::{fs as files, net::{self, TcpStream}};",
            &["std::fs", "std::net", "std::net::TcpStream"],
        );
        check("let x: std::net::IpAddr = y;", &["std::net::IpAddr"]);
        check("use super::ship::Batch;", &["crate::agent::ship::Batch"]);
        check("use self::{a::B, *};", &["crate::agent::books::a::B", "crate::agent::books::*"]);
        check("pub(super) fn a() {} pub(in super::super) fn b() {}", &["crate"]);
        check("mod inner { use super::super::x; } use super::y;", &["crate::agent::x", "crate::agent::y"]);
        check("use super::super::shell::*;", &["crate::shell::*"]);
        check("use crate as root;", &["crate"]);
        check("$crate::shell::disk()", &["crate::shell::disk"]);
        check("path.canonicalize()", &[".::canonicalize"]);
        check("println!(\"{}\", 1)", &["println::!"]);
        check("Vec::<tokio::Task>::new()", &["tokio::Task"]);
    }

    #[test]
    fn comments_and_literals_name_nothing() {
        check("/// See [`x`](crate::shell::x).\n/* std::fs /* std::net */ */", &[]);
        check(r##"f("std::fs \" std::net", r#"std::"env"#, b"a::b", '"', '\'', 'a')"##, &[]);
        check("fn f<'a>(x: &'a str) -> a::B<'static> {}", &["a::B"]);
    }

    #[test]
    fn what_stands_under_cfg_test_is_marked() {
        let text = "use a::b;\n#[cfg(test)]\nmod tests { use c::d; fn f() { e::g() } }\nuse h::i;";
        let marked: Vec<_> = named(&[], text).into_iter().map(|named| (named.line, named.in_test)).collect();
        assert_eq!(marked, [(1, false), (3, true), (3, true), (4, false)]);
        assert_eq!(test_modules("#[cfg(test)]\nmod tests;\nmod others;"), ["tests"]);
    }
}
