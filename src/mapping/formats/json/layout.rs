//! What stood between the values of the lines before: nearly always it stands in the next line too.
//!
//! A program writes its keys in one order. So each object remembers the texts between its values, `,"key":`, and for
//! each of them the one that came next. A guess is a comparison of a few words; where it fails the key is read, and
//! remembered. A guess changes the time that a line takes, never what is found.

use super::Trie;

/// Longer texts between two values are not remembered.
const LONGEST: usize = 24;

/// Of an object with more keys than this all is forgotten, as of one whose keys are never the same.
const MOST: usize = 64;

/// The texts between the values of each wanted object.
#[derive(Debug, Clone, Default)]
pub(in crate::mapping) struct Layout {
    /// Where the trie stands that it is of. Nothing is read through it; a scratch forgets it with its rules.
    of: usize,
    /// Only a second line is worth learning for.
    learns: bool,
    /// By [`super::Node::row`].
    rows: Vec<Vec<Gap>>,
}

/// A place in an object's row.
pub(super) type Place = u8;

/// The text from the end of one value to the start of the next.
#[derive(Debug, Clone, Copy)]
pub(in crate::mapping) struct Gap {
    text: [u64; LONGEST / 8],
    mask: [u64; LONGEST / 8],
    pub length: u8,
    /// The place of its key among the wanted ones.
    pub wanted: Option<u16>,
    /// What came after it the last time.
    next: Place,
}

impl Layout {
    /// Before the first key of an object.
    pub const START: Place = 0;

    /// Begins a line.
    pub fn begin(&mut self, trie: &Trie) {
        let of = std::ptr::from_ref(trie) as usize;
        self.learns = self.of == of;
        if !self.learns {
            self.of = of;
            self.rows.iter_mut().for_each(Vec::clear);
            self.rows.resize(trie.rows(), Vec::new());
        }
    }

    /// Forgets all.
    pub fn forget(&mut self) {
        self.of = 0;
    }

    /// The text that stands at `at`, if it is the one that followed `before` the last time.
    #[inline]
    pub fn expect(&self, row: u16, before: Place, bytes: &[u8], at: usize) -> Option<(Place, &Gap)> {
        let row = self.rows.get(usize::from(row))?;
        let next = row.get(usize::from(before))?.next;
        let gap = row.get(usize::from(next))?;
        gap.stands_in(bytes, at).then_some((next, gap))
    }

    /// Remembers what came after `before`. Says where it stands, [`MOST`] for nowhere.
    pub fn learn(&mut self, row: u16, before: Place, text: &[u8], wanted: Option<u16>) -> Place {
        let nowhere = MOST as Place;
        if !self.learns || text.len() > LONGEST {
            return nowhere;
        }
        let row = &mut self.rows[usize::from(row)];
        if row.len() >= MOST {
            row.clear();
        }
        if row.is_empty() {
            row.push(Gap::NONE);
        }
        let gap = Gap::new(text, wanted);
        let known = row.iter().position(|known| known.text == gap.text && known.length == gap.length);
        let place = known.unwrap_or_else(|| {
            row.push(gap);
            row.len() - 1
        });
        let place = Place::try_from(place).unwrap_or(nowhere);
        if let Some(before) = row.get_mut(usize::from(before)) {
            before.next = place;
        }
        place
    }
}

impl Gap {
    /// What stands before the first key. No text is like it.
    const NONE: Self =
        Self { text: [u64::MAX; 3], mask: [u64::MAX; 3], length: 0, wanted: None, next: Layout::START };

    fn new(text: &[u8], wanted: Option<u16>) -> Self {
        let word = |from: &[u8], at: usize| {
            let mut word = [0; 8];
            let there = &from[from.len().min(at * 8)..from.len().min(at * 8 + 8)];
            word[..there.len()].copy_from_slice(there);
            u64::from_le_bytes(word)
        };
        let mask = [u8::MAX; LONGEST];
        let length = text.len();
        Self {
            text: std::array::from_fn(|at| word(text, at)),
            mask: std::array::from_fn(|at| word(&mask[..length], at)),
            length: length as u8,
            wanted,
            next: Layout::START,
        }
    }

    #[inline]
    fn stands_in(&self, bytes: &[u8], at: usize) -> bool {
        let differs = |word: usize| {
            let from = at + word * 8;
            let Some(eight) = bytes.get(from..from + 8) else { return true };
            let eight = u64::from_le_bytes(eight.try_into().expect("eight bytes were taken"));
            (eight ^ self.text[word]) & self.mask[word] != 0
        };
        !differs(0) && (self.length <= 8 || !differs(1)) && (self.length <= 16 || !differs(2))
    }
}
