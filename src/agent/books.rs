//! The ledger: which bytes of each stream are settled, and as what.
//!
//! A stream is tiled by chunks. Only a wholly settled head chunk moves the frontier, and the account moves
//! with it, so what a checkpoint says of both is one statement.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::config::Settings;
use crate::model::chunk::Carry;
use crate::model::{
    BilledLine, Dropped, Fate, Guard, Missed, Offset, Quarantined, SourceAccount, Span, StreamId, Tally,
};

/// Names one chunk in the ledger: its stream and its place among the stream's chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ChunkId {
    pub stream: StreamId,
    pub number: u64,
}

/// Names one billed line: its chunk and its place among the chunk's billed lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LineId {
    pub chunk: ChunkId,
    pub line: u32,
}

/// A chunk that has been read and is not wholly settled.
#[derive(Debug)]
struct OpenChunk {
    span: Span,
    after: Guard,
    carry: Carry,
    /// What the account will take. Its bytes are those of `span`, at every moment.
    tally: Tally,
    lines: Arc<[BilledLine]>,
    /// Billed lines that wait for Polar's answer.
    owed: u32,
    /// Letters that wait to be durable.
    letters_owed: u32,
    values_not_utf8: u64,
    duplicate_keys: u64,
    /// Whose rule ids the lines' rule numbers mean.
    settings: Arc<Settings>,
    /// Bytes of the memory budget.
    charge: u64,
    condemned: BTreeSet<u32>,
}

/// What the ledger knows of one stream.
#[derive(Debug)]
struct Ledger {
    source: Arc<str>,
    frontier: Offset,
    guard: Guard,
    carry: Carry,
    /// The number of the chain's first chunk.
    first: u64,
    chain: VecDeque<OpenChunk>,
}

impl Ledger {
    fn end(&self) -> Offset {
        self.chain.back().map_or(self.frontier, |chunk| chunk.span.end)
    }
}

/// What a checkpoint says of one stream's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub frontier: Offset,
    pub guard: Guard,
    pub carry: Carry,
}

/// What the ledger takes of a mapped chunk.
#[derive(Debug)]
pub(super) struct Entry {
    pub span: Span,
    pub after: Guard,
    pub carry: Carry,
    /// Ignored, quarantined by mapping, and billed: all lines of the span.
    pub tally: Tally,
    pub lines: Arc<[BilledLine]>,
    pub has_letters: bool,
    pub values_not_utf8: u64,
    pub duplicate_keys: u64,
    pub settings: Arc<Settings>,
    pub charge: u64,
}

#[derive(Debug, Default)]
pub(super) struct Books {
    /// Boxed: a tree of many large values is half empty.
    ledgers: BTreeMap<StreamId, Box<Ledger>>,
    accounts: BTreeMap<Arc<str>, SourceAccount>,
    /// Sum of the charges of all open chunks.
    charged: u64,
    /// Counts the moves of frontiers and accounts: a checkpoint is due when it differs from the saved one.
    changes: u64,
    /// The UTC date, and the number of days by which it is known: what is settled now belongs to it.
    today: (i64, Date),
}

impl Books {
    pub(super) fn new(accounts: BTreeMap<Arc<str>, SourceAccount>) -> Self {
        Self { accounts, ..Self::default() }
    }

    /// What is settled from here on is of this time.
    pub(super) fn turn_to(&mut self, now: Timestamp) {
        let day = now.as_second().div_euclid(24 * 60 * 60);
        if self.today.0 != day {
            self.today = (day, now.to_zoned(TimeZone::UTC).date());
        }
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    pub(super) fn charged(&self) -> u64 {
        self.charged
    }

    pub(super) fn accounts(&self) -> &BTreeMap<Arc<str>, SourceAccount> {
        &self.accounts
    }

    /// The source's account, made if need be.
    pub(super) fn account(&mut self, source: &Arc<str>) -> &mut SourceAccount {
        self.changes += 1;
        self.accounts.entry(Arc::clone(source)).or_default()
    }

    pub(super) fn has_account(&self, source: &str) -> bool {
        self.accounts.contains_key(source)
    }

    pub(super) fn open(&mut self, stream: StreamId, source: &Arc<str>, standing: Standing) {
        self.account(source);
        let ledger = Ledger {
            source: Arc::clone(source),
            frontier: standing.frontier,
            guard: standing.guard,
            carry: standing.carry,
            first: 0,
            chain: VecDeque::new(),
        };
        let before = self.ledgers.insert(stream, Box::new(ledger));
        assert!(before.is_none(), "a stream has one ledger");
    }

    /// Forgets a stream that owes nothing.
    pub(super) fn close(&mut self, stream: StreamId) {
        let ledger = self.ledgers.remove(&stream).expect("a stream has a ledger until it is forgotten");
        assert!(ledger.chain.is_empty(), "a stream is forgotten only once it is settled");
    }

    pub(super) fn is_settled(&self, stream: StreamId) -> bool {
        self.ledger(stream).chain.is_empty()
    }

    pub(super) fn frontier(&self, stream: StreamId) -> Offset {
        self.ledger(stream).frontier
    }

    /// Where the last chunk of the stream ends.
    pub(super) fn end(&self, stream: StreamId) -> Offset {
        self.ledger(stream).end()
    }

    pub(super) fn standing(&self, stream: StreamId) -> Standing {
        let ledger = self.ledger(stream);
        Standing { frontier: ledger.frontier, guard: ledger.guard, carry: ledger.carry }
    }

    fn ledger(&self, stream: StreamId) -> &Ledger {
        self.ledgers.get(&stream).expect("a stream has a ledger until it is forgotten")
    }

    /// Enters a chunk that begins where the stream's last one ends.
    pub(super) fn stitch(&mut self, stream: StreamId, entry: Entry) -> ChunkId {
        let ledger = self.ledgers.get_mut(&stream).expect("a stream has a ledger until it is forgotten");
        assert_eq!(entry.span.start, ledger.end(), "chunks tile a stream");
        assert_eq!(entry.tally.total().bytes, entry.span.len(), "a chunk's account adds up to its span");
        let owed = u32::try_from(entry.lines.len()).expect("a chunk has fewer lines than 2^32");
        self.charged += entry.charge;
        if ledger.chain.is_empty() {
            // Of many files that are read at the same time most have one chunk.
            ledger.chain.reserve_exact(1);
        }
        ledger.chain.push_back(OpenChunk {
            span: entry.span,
            after: entry.after,
            carry: entry.carry,
            tally: entry.tally,
            lines: entry.lines,
            owed,
            letters_owed: u32::from(entry.has_letters),
            values_not_utf8: entry.values_not_utf8,
            duplicate_keys: entry.duplicate_keys,
            settings: entry.settings,
            charge: entry.charge,
            condemned: BTreeSet::new(),
        });
        let number = ledger.first + ledger.chain.len() as u64 - 1;
        self.advance(stream);
        ChunkId { stream, number }
    }

    /// Polar has the events of these lines. Each line is settled once.
    pub(super) fn settle(&mut self, chunk: ChunkId, lines: u32) {
        let open = self.chunk_mut(chunk);
        open.owed = open.owed.checked_sub(lines).expect("each line is settled once");
        self.advance(chunk.stream);
    }

    /// Moves a billed line to quarantined; it is settled when its letter is durable
    /// ([`Books::letter_written`]).
    pub(super) fn condemn(&mut self, line: LineId, reason: Quarantined) {
        let open = self.chunk_mut(line.chunk);
        let bytes = u64::from(open.lines[line.line as usize].len);
        open.tally.take(Fate::Billed, 1, bytes);
        open.tally.add(Fate::Quarantined(reason), 1, bytes);
        open.owed = open.owed.checked_sub(1).expect("each line is settled once");
        open.letters_owed += 1;
        open.condemned.insert(line.line);
    }

    /// One batch of letters of the chunk is durable.
    pub(super) fn letter_written(&mut self, chunk: ChunkId) {
        let open = self.chunk_mut(chunk);
        open.letters_owed = open.letters_owed.checked_sub(1).expect("each letter is written once");
        self.advance(chunk.stream);
    }

    /// Where a billed line of an open chunk stands.
    pub(super) fn line_of(&self, line: LineId) -> (Span, &BilledLine) {
        let ledger = self.ledger(line.chunk.stream);
        let index = line.chunk.number.checked_sub(ledger.first).expect("an open chunk");
        let open = &ledger.chain[usize::try_from(index).expect("a chain fits in memory")];
        let billed = &open.lines[line.line as usize];
        let start = open.span.start.plus(u64::from(billed.at));
        (Span { start, end: start.plus(u64::from(billed.len)) }, billed)
    }

    /// The id of the rule that made the line's first event.
    pub(super) fn rule_of(&self, line: LineId) -> String {
        let ledger = self.ledger(line.chunk.stream);
        let index = line.chunk.number.checked_sub(ledger.first).expect("an open chunk");
        let open = &ledger.chain[usize::try_from(index).expect("a chain fits in memory")];
        open.settings.rules[usize::from(open.lines[line.line as usize].rule)].id.clone()
    }

    pub(super) fn miss(&mut self, source: &Arc<str>, path: &str, span: Span) {
        let missed = &mut self.account(source).missed;
        match missed.iter_mut().find(|other| other.path == path && other.span.end == span.start) {
            Some(other) => other.span.end = span.end,
            None => missed.push(Missed { path: path.to_owned(), span }),
        }
    }

    /// What came in and could not wait.
    pub(super) fn count_dropped(&mut self, source: &Arc<str>, why: Dropped, lines: u64, bytes: u64) {
        let count = self.account(source).dropped.entry(why).or_default();
        count.lines += lines;
        count.bytes += bytes;
    }

    /// What was said to be missed from this offset on is there after all.
    pub(super) fn found_again(&mut self, source: &Arc<str>, from: Offset) {
        self.account(source).missed.retain(|missed| missed.span.start != from);
    }

    /// By source: what is read and not settled.
    pub(super) fn in_flight(&self) -> BTreeMap<String, Tally> {
        let mut sums: BTreeMap<String, Tally> = BTreeMap::new();
        for ledger in self.ledgers.values().filter(|ledger| !ledger.chain.is_empty()) {
            let sum = sums.entry(ledger.source.to_string()).or_default();
            ledger.chain.iter().for_each(|chunk| sum.merge(&chunk.tally));
        }
        sums
    }

    fn chunk_mut(&mut self, chunk: ChunkId) -> &mut OpenChunk {
        let ledger =
            self.ledgers.get_mut(&chunk.stream).expect("a stream has a ledger until it is forgotten");
        let index = chunk.number.checked_sub(ledger.first).expect("a settled chunk is never settled again");
        ledger.chain.get_mut(usize::try_from(index).expect("a chain fits in memory")).expect("an open chunk")
    }

    /// Moves the frontier past all head chunks that owe nothing.
    fn advance(&mut self, stream: StreamId) {
        let ledger = self.ledgers.get_mut(&stream).expect("a stream has a ledger until it is forgotten");
        while let Some(head) = ledger.chain.front() {
            if head.owed > 0 || head.letters_owed > 0 {
                return;
            }
            let chunk = ledger.chain.pop_front().expect("the head was just seen");
            ledger.first += 1;
            ledger.frontier = chunk.span.end;
            ledger.guard = chunk.after;
            ledger.carry = chunk.carry;
            self.charged -= chunk.charge;
            self.changes += 1;
            let account = self.accounts.entry(Arc::clone(&ledger.source)).or_default();
            enter(account, self.today.1, &chunk);
        }
        // Most of ten thousand files rest.
        ledger.chain = VecDeque::new();
    }

    /// # Panics
    /// When the ledger contradicts itself.
    pub(super) fn check_invariants(&self) {
        let mut charged = 0;
        for ledger in self.ledgers.values() {
            let mut at = ledger.frontier;
            for chunk in &ledger.chain {
                assert_eq!(chunk.span.start, at, "chunks tile a stream");
                assert_eq!(chunk.tally.total().bytes, chunk.span.len(), "a chunk's account adds up");
                at = chunk.span.end;
                charged += chunk.charge;
            }
            let head = ledger.chain.front();
            assert!(
                head.is_none_or(|chunk| chunk.owed > 0 || chunk.letters_owed > 0),
                "a settled head chunk moves the frontier at once"
            );
        }
        assert_eq!(charged, self.charged, "charges add up");
        for (source, account) in &self.accounts {
            assert!(account.adds_up(), "the account of {source} adds up");
        }
    }
}

/// Into the whole and into its day at once: they never disagree.
fn enter(account: &mut SourceAccount, today: Date, chunk: &OpenChunk) {
    account.read_bytes += chunk.span.len();
    account.settled.merge(&chunk.tally);
    let day = account.day(today);
    day.read_bytes += chunk.span.len();
    day.settled.merge(&chunk.tally);
    account.values_not_utf8 += chunk.values_not_utf8;
    account.duplicate_keys += chunk.duplicate_keys;
    let mut events = 0;
    let mut last: Option<(u16, u64)> = None;
    for (index, line) in chunk.lines.iter().enumerate() {
        if chunk.condemned.contains(&(index as u32)) {
            continue;
        }
        events += u64::from(line.events);
        last = match last {
            Some((rule, count)) if rule == line.rule => Some((rule, count + 1)),
            other => {
                count_rule(account, today, chunk, other);
                Some((line.rule, 1))
            }
        };
    }
    count_rule(account, today, chunk, last);
    account.events += events;
    account.day(today).events += events;
}

fn count_rule(account: &mut SourceAccount, today: Date, chunk: &OpenChunk, run: Option<(u16, u64)>) {
    let Some((rule, count)) = run else { return };
    let id = &chunk.settings.rules[usize::from(rule)].id;
    add(&mut account.billed_by_rule, id, count);
    add(&mut account.day(today).billed_by_rule, id, count);
}

fn add(sums: &mut BTreeMap<String, u64>, id: &str, count: u64) {
    match sums.get_mut(id) {
        Some(sum) => *sum += count,
        None => {
            sums.insert(id.to_owned(), count);
        }
    }
}
