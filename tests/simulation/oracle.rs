//! What must become of every line, and what has become of it so far.
//!
//! A line is *owed* from when its last byte is written. It is home when all its events are in Polar or its
//! letter is durable. It is excused only when the world took its bytes away: no file that Floe can find
//! holds it, and the running daemon has not read it. See [`crate::simulation`] for who calls when.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;

use floe::model::Quarantined;

use crate::disk::{Content, ContentId, LineId};
use crate::letters::Letter;
use crate::lines::Draft;

/// Which of the rules that want a line: the one that ends its way, or an `also` rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Via {
    End,
    Also,
}

/// Names an event by what stands in it: the world's own identity, not Floe's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub tag: String,
    pub via: Via,
}

/// An event that must come to Polar.
#[derive(Debug, Clone)]
pub struct Billing {
    pub key: Key,
    pub customer: String,
    pub amount: Option<f64>,
    pub timestamp: Option<Timestamp>,
}

#[derive(Debug, Clone)]
pub enum Expected {
    Billed(Vec<Billing>),
    /// Billed, or quarantined because it is too far in the future.
    BilledOrFuture(Vec<Billing>),
    /// Billed where the rules that wanted it were in force.
    BilledIfWanted(Vec<Billing>),
    Ignored,
    /// For one of these reasons.
    Quarantined(Vec<Quarantined>),
    /// One of many equal lines: only their number can be told.
    Counted,
}

impl Expected {
    pub fn billings(&self) -> &[Billing] {
        match self {
            Self::Billed(billings) | Self::BilledOrFuture(billings) | Self::BilledIfWanted(billings) => {
                billings
            }
            Self::Ignored | Self::Quarantined(_) | Self::Counted => &[],
        }
    }

    /// Whether a letter for this reason is right.
    pub fn allows_letter(&self, reason: Quarantined) -> bool {
        match self {
            Self::Quarantined(reasons) => reasons.contains(&reason),
            Self::BilledOrFuture(_) => reason == Quarantined::FutureTimestamp,
            Self::Billed(_) | Self::BilledIfWanted(_) | Self::Ignored | Self::Counted => false,
        }
    }
}

/// How a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Part of it is written.
    Begun,
    Owed,
    Home,
    /// The world took its bytes away before Floe could read them.
    Excused,
    /// Nothing is due: it is ignored, cut off for ever, or not wanted.
    NotOwed,
    /// It stood in a file before `read_from = "end"` began: it must never be billed.
    Skipped,
}

pub struct Line {
    pub bytes: Vec<u8>,
    pub expected: Expected,
    pub standing: Standing,
    /// A part of it stands alone somewhere, so a letter for that part is right.
    pub cut: bool,
    /// Where its first part stands, while the rest is not written.
    pub begun_in: Option<(ContentId, u64)>,
    /// Where it stands whole.
    pub places: Vec<(ContentId, u64, u64)>,
}

impl fmt::Debug for Line {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = String::from_utf8_lossy(&self.bytes).chars().take(120).collect();
        let Self { expected, standing, cut, places, .. } = self;
        write!(out, "{text:?} {standing:?}, cut: {cut}, {expected:?}, at {places:?}")
    }
}

/// An event in a request, as the model of Polar reads it.
#[derive(Debug, Clone)]
pub struct SentEvent {
    pub external_id: String,
    /// `None` for events of equal lines.
    pub key: Option<Key>,
    pub name: String,
    pub customer: String,
    pub amount: Option<f64>,
    pub timestamp: Option<Timestamp>,
}

#[derive(Debug, Default)]
pub struct Oracle {
    lines: Vec<Line>,
    owed: BTreeSet<LineId>,
    lines_of_key: BTreeMap<Key, Vec<LineId>>,
    lines_of_tag: BTreeMap<String, LineId>,
    /// The id under which an event was first sent.
    ids: BTreeMap<Key, String>,
    in_polar: BTreeSet<Key>,
    letters: BTreeSet<LineId>,
    pub counted_written: u64,
    pub counted_in_polar: u64,
}

impl Oracle {
    pub fn line(&self, line: LineId) -> &Line {
        &self.lines[line.0]
    }

    pub fn lines(&self) -> impl Iterator<Item = (LineId, &Line)> {
        self.lines.iter().enumerate().map(|(at, line)| (LineId(at), line))
    }

    pub fn owed(&self) -> impl Iterator<Item = LineId> {
        self.owed.iter().copied()
    }

    pub fn owed_count(&self) -> usize {
        self.owed.len()
    }

    /// The number that the next line carries.
    pub fn next_number(&self) -> u64 {
        self.lines.len() as u64
    }

    pub fn begin(&mut self, draft: Draft) -> LineId {
        let line = LineId(self.lines.len());
        for billing in draft.expected.billings() {
            self.lines_of_key.entry(billing.key.clone()).or_default().push(line);
        }
        self.lines_of_tag.insert(line.0.to_string(), line);
        if matches!(draft.expected, Expected::Counted) {
            self.counted_written += 1;
        }
        let Draft { bytes, expected } = draft;
        self.lines.push(Line {
            bytes,
            expected,
            standing: Standing::Begun,
            cut: false,
            begun_in: None,
            places: Vec::new(),
        });
        line
    }

    /// The first part of the line stands in this content.
    pub fn begun(&mut self, line: LineId, content: ContentId, start: u64) {
        self.lines[line.0].begun_in = Some((content, start));
    }

    /// The line stands whole in this content.
    pub fn stands(&mut self, line: LineId, content: ContentId, start: u64) {
        let entry = &mut self.lines[line.0];
        let end = start + entry.bytes.len() as u64;
        entry.places.push((content, start, end));
        if entry.standing != Standing::Begun {
            return;
        }
        entry.standing = match entry.expected {
            Expected::Billed(_) | Expected::BilledOrFuture(_) | Expected::Quarantined(_) => Standing::Owed,
            Expected::BilledIfWanted(_) | Expected::Ignored | Expected::Counted => Standing::NotOwed,
        };
        if entry.standing == Standing::Owed {
            self.owed.insert(line);
            // Another line with the same natural id may be there already.
            self.settle(line);
        }
    }

    /// A rule wants the line now; it was written after the reload.
    pub fn wanted(&mut self, line: LineId) {
        let entry = &mut self.lines[line.0];
        if let Expected::BilledIfWanted(billings) = &entry.expected {
            entry.expected = Expected::Billed(billings.clone());
        }
    }

    /// A part of the line stands alone in some file.
    pub fn cut(&mut self, line: LineId) {
        self.lines[line.0].cut = true;
    }

    /// The rest of the line will never follow its beginning.
    pub fn abandon(&mut self, line: LineId) {
        let entry = &mut self.lines[line.0];
        entry.cut = true;
        if entry.standing == Standing::Begun {
            entry.standing = Standing::NotOwed;
        }
    }

    pub fn excuse(&mut self, line: LineId) {
        if self.owed.remove(&line) {
            self.lines[line.0].standing = Standing::Excused;
        }
    }

    pub fn skip(&mut self, line: LineId) {
        self.owed.remove(&line);
        self.lines[line.0].standing = Standing::Skipped;
    }

    /// Remembers the id under which an event is sent. Returns the former one where it differs.
    pub fn sent(&mut self, event: &SentEvent) -> Option<String> {
        let key = event.key.as_ref()?;
        match self.ids.get(key) {
            Some(id) if *id != event.external_id => Some(id.clone()),
            Some(_) => None,
            None => {
                self.ids.insert(key.clone(), event.external_id.clone());
                None
            }
        }
    }

    /// The expected events with this key; more than one where lines carry the same natural id.
    pub fn billings(&self, key: &Key) -> impl Iterator<Item = (&Line, &Billing)> {
        self.lines_of_key.get(key).into_iter().flatten().flat_map(move |line| {
            let line = &self.lines[line.0];
            line.expected
                .billings()
                .iter()
                .filter(move |billing| billing.key == *key)
                .map(move |one| (line, one))
        })
    }

    /// Polar has a new event. Returns false where it had the same event under another id.
    pub fn committed(&mut self, key: &Key) -> bool {
        if !self.in_polar.insert(key.clone()) {
            return false;
        }
        for line in self.lines_of_key.get(key).cloned().unwrap_or_default() {
            self.settle(line);
        }
        true
    }

    /// A letter for the line is durable.
    pub fn lettered(&mut self, line: LineId) {
        self.letters.insert(line);
        self.settle(line);
    }

    /// The line that a letter is about: by its number, or by its place where nothing of an over-long line is
    /// left to say. Of several at such a place, one that waits for its letter.
    pub fn line_of_letter(&self, letter: &Letter) -> Option<LineId> {
        if let Some(number) = &letter.number {
            return self.lines_of_tag.get(number).copied();
        }
        let fits = |line: &&(LineId, &Line)| {
            line.1.expected.allows_letter(letter.reason)
                && (line.1.places.iter().any(|(_, start, _)| *start == letter.offset)
                    || line.1.begun_in.is_some_and(|(_, start)| start == letter.offset))
        };
        let waits = |line: &(LineId, &Line)| line.1.standing == Standing::Owed;
        let found: Vec<(LineId, &Line)> = self.lines().filter(|line| fits(&line)).collect();
        found.iter().find(|line| waits(line)).or(found.first()).map(|(line, _)| *line)
    }

    /// Whether nothing more is due for the line.
    pub fn is_settled(&self, line: LineId) -> bool {
        let entry = &self.lines[line.0];
        match &entry.expected {
            Expected::Billed(billings) => self.all_in_polar(billings),
            Expected::BilledOrFuture(billings) => self.all_in_polar(billings) || self.letters.contains(&line),
            Expected::Quarantined(_) => self.letters.contains(&line),
            Expected::BilledIfWanted(_) | Expected::Ignored | Expected::Counted => true,
        }
    }

    /// The first line that ends between the two places and for which something is due still.
    pub fn first_due(&self, content: &Content, after: u64, until: u64) -> Option<&Line> {
        let between = content.lines.iter().filter(|placed| placed.end > after && placed.end <= until);
        between.map(|placed| placed.line).find_map(|line| {
            let is_due = matches!(self.line(line).standing, Standing::Owed | Standing::Excused);
            (is_due && !self.is_settled(line)).then(|| self.line(line))
        })
    }

    fn all_in_polar(&self, billings: &[Billing]) -> bool {
        billings.iter().all(|billing| self.in_polar.contains(&billing.key))
    }

    fn settle(&mut self, line: LineId) {
        if self.is_settled(line) && self.owed.remove(&line) {
            self.lines[line.0].standing = Standing::Home;
        }
    }
}
