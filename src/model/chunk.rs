//! What mapping makes of one chunk of one stream: the unit of work is a chunk, never a line.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::account::Tally;
use super::file::{Guard, Mark, Offset, Span};

/// What the lines before a place mean for those after it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carry {
    /// Outputs of a container in the middle of a line whose beginning is settled: what follows of it is nobody's.
    pub unfinished: Outputs,
    /// Where the last line stands that says what the columns are.
    pub header: Option<Offset>,
}

/// Where a container's application writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    Stdout,
    Stderr,
}

impl Output {
    #[must_use]
    pub fn of_name(name: &[u8]) -> Option<Self> {
        match name {
            b"stdout" => Some(Self::Stdout),
            b"stderr" => Some(Self::Stderr),
            _ => None,
        }
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// A set of [`Output`]s.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outputs {
    pub stdout: bool,
    pub stderr: bool,
}

impl Outputs {
    pub const NONE: Self = Self { stdout: false, stderr: false };

    #[must_use]
    pub fn contains(self, output: Output) -> bool {
        match output {
            Output::Stdout => self.stdout,
            Output::Stderr => self.stderr,
        }
    }

    pub fn insert(&mut self, output: Output) {
        *self.place(output) = true;
    }

    pub fn remove(&mut self, output: Output) {
        *self.place(output) = false;
    }

    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    pub fn iter(self) -> impl Iterator<Item = Output> {
        [Output::Stdout, Output::Stderr].into_iter().filter(move |output| self.contains(*output))
    }

    fn place(&mut self, output: Output) -> &mut bool {
        match output {
            Output::Stdout => &mut self.stdout,
            Output::Stderr => &mut self.stderr,
        }
    }
}

/// The outcome of mapping some whole lines of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedChunk {
    /// The whole lines that were consumed. `None` when not even one was.
    pub span: Option<Span>,
    pub stop: Stop,
    /// Of the bytes before `span.start` (or before the asked offset, where there is no span).
    pub before: Guard,
    /// Of the bytes before `span.end`.
    pub after: Guard,
    /// What the lines before `span.end` mean for those after it.
    pub carry: Carry,
    /// Lines whose fate mapping alone decides: ignored ones.
    pub settled: Tally,
    /// Event objects, each followed by `,`, in the order of `lines`: those before `body`, where some were sealed. No line's
    /// events stand in two of them.
    pub sealed: Vec<Bytes>,
    /// The last of them, or all.
    pub body: Vec<u8>,
    /// Lines with events in `sealed` and `body`, in order.
    pub lines: Vec<BilledLine>,
    /// Lines with an event of the future; their events are not in `body`.
    pub held: Vec<HeldLine>,
    /// Quarantine records: JSON lines, ready to append.
    pub letters: Vec<u8>,
    /// What `letters` stand for: settled once they are synced.
    pub in_letters: Tally,
    /// Values that held bytes which are not UTF-8.
    pub values_not_utf8: u32,
    /// Lines in which a key that the rules name stood twice: the last one counted.
    pub duplicate_keys: u32,
    /// True when a natural id (`external_id` of a rule) stands in those or in `held`.
    pub natural_ids: bool,
}

impl MappedChunk {
    /// A chunk in which nothing was consumed.
    #[must_use]
    pub fn empty(before: Guard, stop: Stop) -> Self {
        Self {
            span: None,
            stop,
            before,
            after: before,
            carry: Carry::default(),
            settled: Tally::default(),
            sealed: Vec::new(),
            body: Vec::new(),
            lines: Vec::new(),
            held: Vec::new(),
            letters: Vec::new(),
            in_letters: Tally::default(),
            values_not_utf8: 0,
            duplicate_keys: 0,
            natural_ids: false,
        }
    }
}

impl MappedChunk {
    /// Bytes of output that are kept until the chunk is settled.
    #[must_use]
    pub fn output(&self) -> usize {
        let held: usize = self.held.iter().map(|held| held.body.len()).sum();
        self.body_len() + held + self.letters.len()
    }

    /// Bytes of the events of `lines`.
    #[must_use]
    pub fn body_len(&self) -> usize {
        self.sealed.iter().map(Bytes::len).sum::<usize>() + self.body.len()
    }

    /// Nothing is written to what `body` holds any more: `keep` makes of it what is passed on.
    pub fn seal(&mut self, keep: impl FnOnce(Vec<u8>) -> Bytes) {
        if !self.body.is_empty() {
            self.sealed.push(keep(std::mem::take(&mut self.body)));
        }
    }

    /// Whether `next` begins where this one ends, behind the same bytes.
    #[must_use]
    pub fn goes_on_with(&self, next: &Self) -> bool {
        let (Some(span), Some(next_span)) = (self.span, next.span) else { return false };
        let is_open = matches!(self.stop, Stop::BytesEnd { .. });
        is_open && next_span.start == span.end && next.before == self.after
    }

    /// Takes in the chunk that this one goes on with.
    ///
    /// # Panics
    /// When it does not, or when both are too much for one.
    pub fn append(&mut self, mut next: Self) {
        assert!(self.goes_on_with(&next), "a chunk goes on where the one before ended");
        let so_far = self.body_len() as u64;
        let (Some(span), Some(next_span)) = (&mut self.span, next.span) else { return };
        let small = |number: u64| u32::try_from(number).expect("a chunk is smaller than 4 GiB");
        let (at, body_end) = (small(span.len()), small(so_far));
        span.end = next_span.end;
        self.lines.reserve(next.lines.len());
        for mut line in next.lines {
            line.at += at;
            line.body_end += body_end;
            self.lines.push(line);
        }
        for mut held in next.held {
            held.line.at += at;
            self.held.push(held);
        }
        self.seal(Bytes::from);
        self.sealed.append(&mut next.sealed);
        self.body = next.body;
        self.letters.append(&mut next.letters);
        self.settled.merge(&next.settled);
        self.in_letters.merge(&next.in_letters);
        self.stop = next.stop;
        self.after = next.after;
        self.carry = next.carry;
        self.values_not_utf8 += next.values_not_utf8;
        self.duplicate_keys += next.duplicate_keys;
        self.natural_ids |= next.natural_ids;
    }
}

/// Why mapping stopped where it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The bytes are used up but for an unterminated line, or a record that is not whole, of `partial` bytes (0:
    /// none). With `rests` a record of whole lines is open that may be whole: quiet tells.
    BytesEnd { partial: u64, rests: bool },
    /// The output is full; more whole lines wait in what was read.
    BodyFull,
    /// The unterminated last line of a file that ended was mapped, too.
    FileEnd,
    /// The unterminated line at the end is over the limit. Go on with this.
    InLongLine(LongLine),
}

/// A line that is longer than the limit, while its end is looked for. It is read past, not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongLine {
    /// Where the line starts.
    pub start: Offset,
    /// Up to where no newline was found: read on from here.
    pub searched: Offset,
    /// Whether a literal of some rule has been seen in it.
    pub wanted: bool,
    /// Of the bytes before `start`, so that the line's chunk stitches to the one before it.
    pub before_start: Guard,
    /// Of the bytes before `searched`.
    pub before_searched: Guard,
    /// Where its first bytes end, and the guard there: a long line may say the same for long.
    pub opening: Option<Mark>,
    /// It began before what is ours to read: whatever it says, it is ignored(rest_of_line). Its `start` is
    /// then where our part of it begins, and it may be of any length.
    pub is_foreign: bool,
}

/// A line that has events in the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BilledLine {
    /// Offset of the line, or of the first line of the record, from `span.start`.
    pub at: u32,
    /// Length of the record's lines, line ends included. Lines of other records may stand between them.
    pub len: u32,
    /// Where its last event ends in `body`, after the `,`.
    pub body_end: u32,
    pub events: u16,
    /// Place in the settings of the first rule that emitted.
    pub rule: u16,
}

/// A line with an event of the future of Polar's clock. It is sent whole when its last event is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldLine {
    pub line: BilledLine,
    /// The line's events, each followed by `,`.
    pub body: Vec<u8>,
    /// The latest timestamp of its events.
    pub due: Timestamp,
}
