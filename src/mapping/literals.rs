//! The literal test: which lines a rule may want, found by searching the block, not by parsing.
//!
//! Of each string that a line must equal or contain to meet a rule, the longest run of letters, digits and `_ - .`
//! has to stand in the line, or an ASCII `\u00xx` escape that could hide a character of it. A rule without such a
//! string wants every line. The test is part of what users see: a malformed line is quarantined only if it passes.

use std::collections::BTreeMap;

use aho_corasick::packed;
use memchr::memmem::Finder;

use super::fragments::Fragments;
use crate::config::language::{
    Condition, Expression, Literal as Constant, Operand, Part, Path, Root, Start, Template, Test,
};
use crate::config::presets::Preset;
use crate::model::Guard;

/// Of a run no more is looked for, so that one which two reads share lies within a guard's reach.
const LONGEST: usize = Guard::REACH - 8;

/// Up to this many needles each have their own finder; beyond it they are looked for together.
const FEW: usize = 3;

const ESCAPE: &[u8] = b"\\u00";

/// After so many other escapes in a block, backslashes are no longer rare there.
const MANY_ESCAPES: u32 = 64;

/// What a source's rules ask of a line before it is parsed.
#[derive(Debug)]
pub(super) enum Filter {
    /// There is no rule.
    Nothing,
    /// Some rule has no literal.
    Everything,
    Literals(Box<Literals>),
}

#[derive(Debug)]
pub(super) struct Literals {
    /// By rule: all requirements must be met.
    rules: Vec<Vec<Requirement>>,
    /// Of each rule the requirement that is looked for in a block; never empty.
    anchors: Vec<Needle>,
    /// By anchor: whether it is all that some rule requires.
    suffices: Vec<bool>,
    /// By anchor: the rules that it is the anchor of.
    rules_of: Vec<Vec<usize>>,
    escape: Finder<'static>,
    scan: Scan,
}

/// One of these has to stand in the line.
type Requirement = Vec<Needle>;

#[derive(Debug, Clone)]
struct Needle {
    finder: Finder<'static>,
    /// The ASCII characters that it is made of, as bits.
    characters: u128,
}

#[derive(Debug)]
enum Scan {
    Few,
    Fragments(Box<Fragments>),
    Packed(packed::Searcher),
    Many(aho_corasick::AhoCorasick),
}

impl Filter {
    /// `conditions`: what must hold, by rule. `of` says what a path is in the source's lines.
    pub fn new<'a>(
        conditions: impl Iterator<Item = &'a Condition>,
        of: &Standing<'a, impl Fn(&Path) -> bool>,
    ) -> Self {
        let mut rules = Vec::new();
        for condition in conditions {
            let mut texts = Vec::new();
            of.required_texts(condition, &mut texts);
            let mut requirements: Vec<Vec<&str>> = Vec::new();
            for alternatives in texts {
                let runs: Vec<_> = alternatives.into_iter().map(longest_run).collect();
                if runs.iter().all(|run| !run.is_empty()) {
                    requirements.push(runs);
                }
            }
            if requirements.is_empty() {
                return Self::Everything;
            }
            rules.push(requirements);
        }
        if rules.is_empty() {
            return Self::Nothing;
        }
        let mut by_anchor: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (rule, requirements) in rules.iter().enumerate() {
            // The longest is the rarest, as far as one can tell; few alternatives are better than many.
            let shortest = |runs: &&Vec<&str>| runs.iter().map(|run| run.len()).min();
            let anchor =
                requirements.iter().max_by_key(|runs| (std::cmp::Reverse(runs.len()), shortest(runs)));
            for run in anchor.into_iter().flatten() {
                by_anchor.entry(run).or_default().push(rule);
            }
        }
        let (anchors, rules_of): (Vec<&str>, Vec<Vec<usize>>) = by_anchor.into_iter().unzip();
        let suffices = |anchor: &&str| {
            rules
                .iter()
                .any(|requirements| matches!(requirements.as_slice(), [only] if only.contains(anchor)))
        };
        let suffices = anchors.iter().map(suffices).collect();
        let needles = |runs: &Vec<&str>| runs.iter().map(|run| Needle::new(run)).collect();
        Self::Literals(Box::new(Literals {
            rules: rules.iter().map(|requirements| requirements.iter().map(needles).collect()).collect(),
            scan: Scan::new(&anchors),
            suffices,
            anchors: anchors.into_iter().map(Needle::new).collect(),
            rules_of,
            escape: Finder::new(ESCAPE).into_owned(),
        }))
    }

    /// Whether some rule may want this line.
    pub fn wants(&self, line: &[u8]) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Literals(literals) => literals.wants(line),
        }
    }

    /// Whether an anchor stands in `bytes` of a line that is too long to be looked at as a whole.
    pub fn wants_long(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Literals(literals) => {
                let hidden = literals.escaped_characters(bytes);
                literals.anchors.iter().any(|needle| needle.is_met(bytes, hidden))
            }
        }
    }

    /// Begins a search through `block`, and a walk over what it passes.
    pub fn search<'a>(&'a self, block: &'a [u8]) -> (Search<'a>, Skip<'a>) {
        let escape = match self {
            Self::Literals(literals) => Some(&literals.escape),
            Self::Nothing | Self::Everything => None,
        };
        let skip = Skip { escape, block, next: Next::Unknown, others: 0 };
        (Search { filter: self, block, next: [Next::Unknown; FEW], anchor: 0 }, skip)
    }
}

impl Literals {
    fn wants(&self, line: &[u8]) -> bool {
        let hidden = self.escaped_characters(line);
        let met = |requirement: &Requirement| requirement.iter().any(|needle| needle.is_met(line, hidden));
        let Scan::Fragments(fragments) = &self.scan else {
            return self.rules.iter().any(|requirements| requirements.iter().all(met));
        };
        if hidden != 0 {
            return self.rules.iter().any(|requirements| requirements.iter().all(met));
        }
        // Asking each of many rules takes longer than looking which may be meant.
        let mut is_wanted = false;
        fragments.each(line, 0, |_, anchor| {
            let mut rules = self.rules_of[anchor].iter().map(|rule| &self.rules[*rule]);
            is_wanted = rules.any(|requirements| requirements.iter().all(met));
            is_wanted
        });
        is_wanted
    }

    /// The ASCII characters that stand in `line` as `\u00xx`.
    fn escaped_characters(&self, line: &[u8]) -> u128 {
        self.escape.find_iter(line).fold(0, |found, at| {
            let digits = line.get(at + ESCAPE.len()..at + ESCAPE.len() + 2);
            let character = digits
                .and_then(|digits| std::str::from_utf8(digits).ok())
                .and_then(|digits| u8::from_str_radix(digits, 16).ok())
                .filter(u8::is_ascii);
            found | character.map_or(0, |character| 1 << character)
        })
    }
}

impl Needle {
    fn new(run: &str) -> Self {
        let characters = run.bytes().fold(0, |all, byte| all | 1 << byte);
        Self { finder: Finder::new(run).into_owned(), characters }
    }

    fn is_met(&self, line: &[u8], hidden: u128) -> bool {
        self.characters & hidden != 0 || self.finder.find(line).is_some()
    }
}

impl Scan {
    fn new(anchors: &[&str]) -> Self {
        if anchors.len() <= FEW {
            return Self::Few;
        }
        if let Some(fragments) = Fragments::new(anchors) {
            return Self::Fragments(Box::new(fragments));
        }
        if let Some(searcher) = packed::Config::new().builder().extend(anchors).build() {
            return Self::Packed(searcher);
        }
        let automaton = aho_corasick::AhoCorasick::new(anchors);
        Self::Many(automaton.expect("the literals of a config fit an automaton"))
    }
}

/// Walks over the places of a block where an anchor stands.
pub(super) struct Search<'a> {
    filter: &'a Filter,
    block: &'a [u8],
    next: [Next; FEW],
    /// Which anchor stands at the next place, where they are looked for together.
    anchor: usize,
}

/// A place where an anchor stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hit {
    pub at: usize,
    /// Its line is wanted, whatever else stands there.
    pub is_wanted: bool,
}

#[derive(Debug, Clone, Copy)]
enum Next {
    Unknown,
    At(usize),
    Never,
}

impl Next {
    /// What is known of what stands at or after `from`, or what `find` finds there.
    fn or_find(&mut self, from: usize, find: impl FnOnce() -> Option<usize>) -> Option<usize> {
        let is_stale = match self {
            Self::Unknown => true,
            Self::At(at) => *at < from,
            Self::Never => false,
        };
        if is_stale {
            *self = find().map_or(Self::Never, Self::At);
        }
        match self {
            Self::At(at) => Some(*at),
            Self::Unknown | Self::Never => None,
        }
    }
}

impl Search<'_> {
    /// The first place at or after `from` (which never goes back) where something stands.
    pub fn next(&mut self, from: usize) -> Option<Hit> {
        if from >= self.block.len() {
            return None;
        }
        let literals = match self.filter {
            Filter::Nothing => return None,
            Filter::Everything => return Some(Hit { at: from, is_wanted: true }),
            Filter::Literals(literals) => literals,
        };
        let block = self.block;
        let Self { next, anchor, .. } = self;
        let mut find_any = |find: &dyn Fn() -> Option<(usize, usize)>| {
            let at = next[0].or_find(from, || {
                let (at, found) = find()?;
                *anchor = found;
                Some(at)
            })?;
            Some(Hit { at, is_wanted: literals.suffices[*anchor] })
        };
        match &literals.scan {
            Scan::Few => {
                let find = |finder: &Finder<'_>| finder.find(&block[from..]).map(|at| from + at);
                let mut first = None;
                for ((needle, is_wanted), next) in literals.anchors.iter().zip(&literals.suffices).zip(next) {
                    if let Some(at) = next.or_find(from, || find(&needle.finder))
                        && first.is_none_or(|first: Hit| at < first.at)
                    {
                        first = Some(Hit { at, is_wanted: *is_wanted });
                    }
                }
                first
            }
            Scan::Fragments(fragments) => find_any(&|| fragments.find(block, from)),
            Scan::Packed(searcher) => {
                let span = aho_corasick::Span { start: from, end: block.len() };
                find_any(&|| {
                    searcher.find_in(block, span).map(|found| (found.start(), found.pattern().as_usize()))
                })
            }
            Scan::Many(automaton) => find_any(&|| {
                let found = automaton.find(&block[from..])?;
                Some((from + found.start(), found.pattern().as_usize()))
            }),
        }
    }
}

/// Walks over lines in which no anchor stands, as far as none has an escape that could hide one.
pub(super) struct Skip<'a> {
    /// `None`, where no line is wanted for an escape.
    escape: Option<&'a Finder<'static>>,
    block: &'a [u8],
    next: Next,
    /// Backslashes of something else.
    others: u32,
}

/// Where [`Skip`] has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Skipped {
    /// To the end of the lines that it was given.
    All,
    /// To the line in which an escape stands, at this place.
    Escape(usize),
}

impl Skip<'_> {
    /// Gives the end of each line from `from` on that has no escape, up to `end`, where a line ends.
    pub fn lines(&mut self, from: usize, end: usize, mut line: impl FnMut(usize)) -> Skipped {
        let block = self.block;
        let mut start = from;
        // Both signs are found in the time of one, while backslashes are rare.
        if self.escape.is_some() && self.others < MANY_ESCAPES {
            for place in memchr::memchr2_iter(b'\n', b'\\', &block[from..end]) {
                let at = from + place;
                if block[at] == b'\n' {
                    line(at);
                    start = at + 1;
                } else if block[at..].starts_with(ESCAPE) {
                    return Skipped::Escape(at);
                } else {
                    self.others += 1;
                    if self.others >= MANY_ESCAPES {
                        break;
                    }
                }
            }
        }
        if start == end {
            return Skipped::All;
        }
        let escape = self.escape.and_then(|finder| {
            self.next.or_find(start, || Some(start + finder.find(&block[start..])?)).filter(|at| *at < end)
        });
        let end = escape.map_or(end, |escape| {
            memchr::memrchr(b'\n', &block[start..escape]).map_or(start, |newline| start + newline + 1)
        });
        memchr::memchr_iter(b'\n', &block[start..end]).for_each(|newline| line(start + newline));
        escape.map_or(Skipped::All, Skipped::Escape)
    }
}

/// Which values stand in a source's lines as they are.
pub(super) struct Standing<'a, F> {
    /// What `@preset.…` is, and which fields are converted.
    pub preset: Option<&'a Preset>,
    /// Which fields the format itself makes of others.
    pub is_computed: F,
}

/// What a path says of the line's text.
enum Says<'a> {
    /// Its value stands in the line.
    Value,
    /// It is true where this holds.
    Final(&'a Condition),
}

impl<'a, F: Fn(&Path) -> bool> Standing<'a, F> {
    /// The texts of which one each must stand in a line for which `condition` holds.
    fn required_texts(&self, condition: &'a Condition, found: &mut Vec<Vec<&'a str>>) {
        match condition {
            Condition::All(all) => all.iter().for_each(|condition| self.required_texts(condition, found)),
            Condition::Any(any) => {
                if let [only] = any.as_slice() {
                    self.required_texts(only, found);
                }
            }
            Condition::Tests { path, tests } => match self.says(path) {
                Some(Says::Value) => tests.iter().for_each(|test| texts_of(test, found)),
                Some(Says::Final(condition)) => {
                    let holds =
                        |test: &Test| matches!(test, Test::Eq(Operand::Literal(Constant::Bool(true))));
                    if tests.iter().any(holds) {
                        self.required_texts(condition, found);
                    }
                }
                None => {}
            },
        }
    }

    /// `None`: its value does not stand in the line, or is converted, so that another text may mean the same.
    fn says(&self, path: &Path) -> Option<Says<'a>> {
        match &path.root {
            Root::Item => Some(Says::Value),
            Root::Line => {
                let is_typed = self.preset.is_some_and(|preset| preset.type_of(&path.steps).is_some());
                (!is_typed && !(self.is_computed)(path)).then_some(Says::Value)
            }
            Root::Preset(name) => match self.preset?.value(name) {
                None => Some(Says::Final(&self.preset?.is_final)),
                Some(template) => self.says(alone(template)?),
            },
            _ => None,
        }
    }
}

/// The path that a template is, unchanged.
fn alone(template: &Template) -> Option<&Path> {
    match template.parts.as_slice() {
        [Part::Placeholder(Expression { start: Start::Path(path), pipes })] if pipes.is_empty() => Some(path),
        _ => None,
    }
}

fn texts_of<'a>(test: &'a Test, found: &mut Vec<Vec<&'a str>>) {
    match test {
        Test::Eq(Operand::Literal(Constant::Text(text)))
        | Test::Prefix(text)
        | Test::Suffix(text)
        | Test::Contains(text) => found.push(vec![text]),
        Test::In(literals) => {
            let text = |literal: &'a Constant| match literal {
                Constant::Text(text) => Some(text.as_str()),
                _ => None,
            };
            found.extend(literals.iter().map(text).collect::<Option<Vec<_>>>());
        }
        _ => {}
    }
}

/// The longest run of ASCII letters, digits and `_ - .`; the first of equals.
fn longest_run(text: &str) -> &str {
    let runs = text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')));
    let longest = runs.fold("", |longest, run| if run.len() > longest.len() { run } else { longest });
    &longest[..longest.len().min(LONGEST)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::language::parse_path;

    fn filter_of<'a>(conditions: impl IntoIterator<Item = &'a Condition>) -> Filter {
        let is_computed = |path: &Path| path.to_string() == "computed";
        Filter::new(conditions.into_iter(), &Standing { preset: None, is_computed })
    }

    fn equal(path: &str, text: &str) -> Condition {
        let tests = vec![Test::Eq(Operand::Literal(Constant::Text(text.to_owned())))];
        Condition::Tests { path: parse_path(path).unwrap(), tests }
    }

    #[test]
    fn each_text_that_must_be_there_has_to_stand_in_the_line() {
        let rule =
            Condition::All(vec![equal("event", "llm.completion"), equal("path", "/v1/chat completions")]);
        let filter = filter_of([&rule]);
        assert!(filter.wants(br#"{"event":"llm.completion","path":"\/v1\/chat completions"}"#));
        assert!(!filter.wants(br#"{"event":"llm.completion","path":"/v1/chat"}"#));
        assert!(!filter.wants(br#"{"event":"llm","path":"completions"}"#));
        assert!(
            filter.wants(br#"{"event":"llm\u002ecompletion","path":"completions"#),
            "an escape hides the dot"
        );
        assert!(
            !filter.wants(br#"{"event":"llm\u0041completion","path":"completions"#),
            "no A in the literal"
        );
        assert!(!filter.wants(br#"{"event":"llm\u00e9completion","path":"completions"#), "not ASCII");
    }

    #[test]
    fn a_rule_without_a_text_wants_every_line() {
        let any = Condition::Any(vec![equal("a", "x"), equal("b", "y")]);
        assert!(filter_of([&any]).wants(b"anything"));
        assert!(filter_of([&equal("a", "/")]).wants(b"anything"));
        assert!(filter_of([&equal("@path.a", "x")]).wants(b"anything"));
        assert!(filter_of([&equal("computed", "x")]).wants(b"anything"));
        assert!(filter_of([&equal("a", "x"), &Condition::All(vec![])]).wants(b"anything"));
        assert!(!filter_of([]).wants(b"anything"));
    }

    #[test]
    fn one_of_a_list_is_enough() {
        let texts = ["one", "two"].map(|text| Constant::Text(text.to_owned())).to_vec();
        let rule = Condition::Tests { path: parse_path("a").unwrap(), tests: vec![Test::In(texts)] };
        let filter = filter_of([&rule]);
        assert!(filter.wants(b"two") && filter.wants(b"one") && !filter.wants(b"three"));
    }

    #[test]
    fn a_search_finds_every_line_that_is_wanted_whatever_the_number_of_rules() {
        for (count, backslashes) in
            [1, 2, 3, 4, 20, 200, 2000].into_iter().flat_map(|count| [(count, 0), (count, 9)])
        {
            let rules: Vec<_> = (0..count).map(|at| equal("a", &format!("rule.{at}x"))).collect();
            let filter = filter_of(&rules);
            let mut block = Vec::new();
            for at in 0..count {
                block.extend_from_slice(format!("noise {at}\nrule.{at}x rule.0x\n\\u0072ule\n").as_bytes());
                block.extend_from_slice("a\\n\\u\n".repeat(backslashes).as_bytes());
            }
            let (mut search, mut skip) = filter.search(&block);
            let (mut from, mut found, mut passed) = (0, 0, 0);
            while from < block.len() {
                let hit = search.next(from);
                let line = hit.map_or(block.len(), |hit| {
                    memchr::memrchr(b'\n', &block[from..hit.at]).map_or(from, |at| from + at + 1)
                });
                let mut until = from;
                let skipped = skip.lines(from, line, |newline| {
                    assert!(!filter.wants(&block[until..newline]), "{count}");
                    until = newline + 1;
                    passed += 1;
                });
                let at = match (skipped, hit) {
                    (Skipped::Escape(at), _) => {
                        assert_eq!(block[at], b'\\');
                        at
                    }
                    (Skipped::All, Some(Hit { at, is_wanted })) => {
                        assert_eq!((until, is_wanted), (line, true));
                        at
                    }
                    (Skipped::All, None) => break,
                };
                let end = at + memchr::memchr(b'\n', &block[at..]).unwrap();
                assert!(filter.wants(&block[until..end]), "{count}");
                assert!(filter.wants_long(&block[until..end]));
                found += 1;
                from = end + 1;
            }
            assert_eq!(passed, count * (1 + backslashes));
            assert_eq!(found, 2 * count);
        }
    }

    #[test]
    fn a_search_remembers_what_is_ahead() {
        for count in [1, 2, 3, 4, 20, 200, 2000] {
            let names =
                |prefix: &'static str| (0..count).map(move |at| equal("a", &format!("{prefix}{at}z")));
            for rules in [names("rule.").collect::<Vec<_>>(), names("").collect()] {
                let filter = filter_of(&rules);
                // Every line has an escape that could hide something, and none an anchor.
                let block = "\\u0041\n".repeat(10);
                let (mut search, _) = filter.search(block.as_bytes());
                assert_eq!(search.next(0), None, "{count}");
                assert!(
                    matches!(search.next[0], Next::Never),
                    "{count}: it would be sought behind each line again"
                );
            }
        }
    }
}
