//! Many literals at once: few fragments of which each literal has one.
//!
//! Vectors tell about thirty short texts apart as quickly as one, and an automaton of all literals looks at each byte.
//! So a few fragments are looked for, and where one stands, whether a literal stands around it. Names that rules ask for
//! are made of the same words, so few fragments are enough.

use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::packed;
use memchr::memmem::Finder;

/// Bytes of a fragment, at least: a shorter one stands in too many lines.
const SHORTEST: usize = 4;

/// With more fragments the vectors tell them apart less and less.
const MOST: usize = 32;

/// With more literals it takes long to find what they have in common.
const MOST_LITERALS: usize = 256;

/// Looks for any of some literals.
#[derive(Debug)]
pub(super) struct Fragments {
    scan: Scan,
    /// By fragment: which literals stand around it.
    around: Vec<Vec<Shape>>,
}

#[derive(Debug)]
enum Scan {
    One(Box<Finder<'static>>),
    Several(packed::Searcher),
}

/// Literals of one length that have a fragment at the same place.
#[derive(Debug)]
struct Shape {
    /// Where the fragment stands in them.
    before: usize,
    length: usize,
    literals: BTreeMap<Box<[u8]>, usize>,
}

impl Fragments {
    /// `None`, where the literals have too little in common.
    pub(super) fn new(literals: &[&str]) -> Option<Self> {
        let literals: Vec<&[u8]> = literals.iter().map(|literal| literal.as_bytes()).collect();
        let fragments = cover(&literals)?;
        let scan = match fragments.as_slice() {
            [only] => Scan::One(Box::new(Finder::new(only).into_owned())),
            several => Scan::Several(packed::Config::new().builder().extend(several).build()?),
        };
        let mut around: Vec<Vec<Shape>> = fragments.iter().map(|_| Vec::new()).collect();
        for (number, literal) in literals.iter().enumerate() {
            let places = fragments.iter().map(|fragment| memchr::memmem::find(literal, fragment));
            let (fragment, before) = places.enumerate().find_map(|(fragment, at)| Some((fragment, at?)))?;
            let shapes = &mut around[fragment];
            let like = |shape: &Shape| (shape.before, shape.length) == (before, literal.len());
            let at = shapes.iter().position(like).unwrap_or_else(|| {
                shapes.push(Shape { before, length: literal.len(), literals: BTreeMap::new() });
                shapes.len() - 1
            });
            shapes[at].literals.insert((*literal).into(), number);
        }
        Some(Self { scan, around })
    }

    /// The first place found at or after `from` where a literal stands, with the number of the literal. No literal stands
    /// before it by as much as a literal is long.
    pub(super) fn find(&self, block: &[u8], from: usize) -> Option<(usize, usize)> {
        let mut found = None;
        self.each(block, from, |at, literal| {
            found = Some((at, literal));
            true
        });
        found
    }

    /// Gives each place at or after `from` where a literal stands, until `take` says that it is enough.
    pub(super) fn each(&self, block: &[u8], from: usize, mut take: impl FnMut(usize, usize) -> bool) {
        let mut next = from;
        while let Some((at, fragment)) = self.next_fragment(block, next) {
            for shape in &self.around[fragment] {
                let start = at.checked_sub(shape.before).filter(|start| *start >= from);
                let found = start.and_then(|start| block.get(start..start + shape.length));
                if let (Some(start), Some(text)) = (start, found)
                    && let Some(literal) = shape.literals.get(text)
                    && take(start, *literal)
                {
                    return;
                }
            }
            next = at + 1;
        }
    }

    fn next_fragment(&self, block: &[u8], from: usize) -> Option<(usize, usize)> {
        match &self.scan {
            Scan::One(finder) => Some((from + finder.find(block.get(from..)?)?, 0)),
            Scan::Several(searcher) => {
                let span = aho_corasick::Span { start: from, end: block.len() };
                let found = (from < block.len()).then(|| searcher.find_in(block, span)).flatten()?;
                Some((found.start(), found.pattern().as_usize()))
            }
        }
    }
}

/// Fragments of which each literal has one, and none begins with another. Each is as long as what has it allows.
fn cover(literals: &[&[u8]]) -> Option<Vec<Vec<u8>>> {
    if literals.len() > MOST_LITERALS {
        return None;
    }
    let mut left: BTreeSet<usize> = (0..literals.len()).collect();
    let mut fragments: Vec<Vec<u8>> = Vec::new();
    while !left.is_empty() {
        if fragments.len() == MOST {
            return None;
        }
        let mut of: BTreeMap<&[u8], BTreeSet<usize>> = BTreeMap::new();
        for literal in &left {
            for text in literals[*literal].windows(SHORTEST) {
                of.entry(text).or_default().insert(*literal);
            }
        }
        let (text, having) = of.into_iter().max_by_key(|(_, having)| having.len())?;
        let fragment = grown(text, &having, literals);
        left.retain(|literal| !having.contains(literal));
        // What begins like another is found with it.
        if !fragments.iter().any(|other| fragment.starts_with(other)) {
            fragments.retain(|other| !other.starts_with(&fragment));
            fragments.push(fragment);
        }
    }
    (!fragments.is_empty()).then_some(fragments)
}

/// The longest text around `text` that all of them have.
fn grown(text: &[u8], having: &BTreeSet<usize>, literals: &[&[u8]]) -> Vec<u8> {
    let first = having.first().map_or(text, |first| literals[*first]);
    let at = memchr::memmem::find(first, text).unwrap_or(0);
    let all_have =
        |text: &[u8]| having.iter().all(|one| memchr::memmem::find(literals[*one], text).is_some());
    let (mut start, mut end) = (at, at + text.len());
    while end < first.len() && all_have(&first[start..=end]) {
        end += 1;
    }
    while start > 0 && all_have(&first[start - 1..end]) {
        start -= 1;
    }
    first[start..end].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(literals: &[String], expected: Option<usize>) {
        let texts: Vec<&str> = literals.iter().map(String::as_str).collect();
        let fragments = Fragments::new(&texts);
        assert_eq!(fragments.as_ref().map(|fragments| fragments.around.len()), expected);
        let Some(fragments) = fragments else { return };
        let seen = |block: &[u8], from| {
            let mut seen = Vec::new();
            fragments.each(block, from, |at, literal| {
                seen.push((at, literal));
                false
            });
            assert_eq!(fragments.find(block, from), seen.first().copied());
            seen
        };
        for (number, literal) in texts.iter().enumerate() {
            for before in [0, 1, 7, 40] {
                let block =
                    [&b"#".repeat(before)[..], literal.as_bytes(), b"# ", literal.as_bytes()].concat();
                let (first, second) = ((before, number), (before + literal.len() + 2, number));
                let all = seen(&block, 0);
                assert!(all.contains(&first) && all.contains(&second), "{literal} behind {before}: {all:?}");
                let behind = seen(&block, before + 1);
                assert!(!behind.contains(&first) && behind.contains(&second), "{literal}: {behind:?}");
                let cut = seen(&block[..block.len() - 1], 0);
                assert!(cut.contains(&first) && !cut.contains(&second), "{literal}: {cut:?}");
            }
        }
    }

    #[test]
    fn every_literal_is_found_wherever_it_stands() {
        check(&(0..100).map(|number| format!("event.{number:03}x")).collect::<Vec<_>>(), Some(1));
        let words = ["completion", "embedding", "moderation", "speech", "image"];
        let names = (0..100).map(|number| format!("{:03}.{}-", number, words[number % 5]));
        // Two of them end alike.
        check(&names.collect::<Vec<_>>(), Some(4));
    }

    #[test]
    fn fragments_that_begin_alike_are_one() {
        check(&["abcd", "abcdefgh", "xabcde", "wxyz"].map(str::to_owned), Some(2));
    }

    #[test]
    fn what_has_nothing_in_common_is_left_to_others() {
        check(&["abc", "completion"].map(str::to_owned), None);
        check(&(0..100).map(|number| format!("{number:02}{number:02}{number:02}")).collect::<Vec<_>>(), None);
    }
}
