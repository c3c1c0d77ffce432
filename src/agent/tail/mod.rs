//! Tail: which files there are, which of them is which, and what is read next.
//!
//! The list that a look brings is the truth; everything that rings is only a reason to look or read sooner.
//! A file that is not known becomes a [`Candidate`] and is asked about until it is clear whether it is a
//! known stream under another name, a copy, or a new one. A stream is registered durably before its first
//! line is sent, so a crash cannot give it another ordinal.

mod archive;
mod arrivals;
mod candidate;
mod claims;
mod drain;
mod evidence;
mod floors;
mod follow;
mod handles;
mod look;
mod numbered;
mod once;
mod overview;
mod questions;
mod read;
mod resolve;
mod rewind;
mod rotation;
mod seen;
mod spool;
mod strangers;
mod stream;
mod succession;
mod threats;
mod vanished;
#[cfg(test)]
mod world;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::Purpose;
use super::books::{Books, Standing};
use super::border::{AskId, Asked, DiskFault, Effect, Now, ReadId, SaveId};
use super::checkpoint::{Checkpoint, FileRecord, FloorRecord, Floors, OrdinalRecord};
use super::notice::{Notice, NoticeCode};
use crate::config::Settings;
use crate::config::settings::Captures;
use crate::mapping::{Rules, identity};
use crate::model::{FileKey, Generation, Mark, Moment, Offset, Print, Span, StreamId};

use arrivals::Arrivals;
use candidate::{Candidate, Step};
use drain::Draining;
use handles::Handles;
use numbered::Numbered;
use questions::Question;
pub(super) use read::Arrived;
use read::{KnownAt, ReadUnderWay};
pub use rotation::{before as rotated_before, rotated_from};
use stream::{Identity, Place, Registered, Stream};
use succession::Heir;
use threats::Rotation;
use vanished::Vanished;

/// Looks are no closer than this, whatever rings.
const CLOSEST_LOOKS: Duration = Duration::from_millis(20);

/// With more files than this, the sweep takes its time.
const MANY_FILES: usize = 1000;

/// How long a lost stream is looked for before what it lacks is said to be missed.
const SEARCH_TIME: Duration = Duration::from_secs(5);

/// Looks that must have ended in vain besides.
const SEARCH_LOOKS: u32 = 3;

/// How long a file that no path leads to, or that was rotated, must be quiet before its end is its end.
const QUIET_TIME: Duration = Duration::from_secs(30);

/// How long to wait after the disk said no.
const DISK_RETRY: Duration = Duration::from_secs(1);

/// Lost streams that are remembered for each source.
const MOST_REMEMBERED: usize = 256;

type CandidateKey = (Arc<str>, FileKey);

/// One source as the tail sees it.
#[derive(Debug)]
struct Source {
    id: Arc<str>,
    floors: FloorState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FloorState {
    /// The source was never looked at: its first look sets floors where `read_from` says "end".
    Unset,
    /// They are being saved; nothing is read before.
    Saving(SaveId),
    /// Saving failed; again at this moment.
    Again {
        at: Moment,
    },
    Set,
}

#[derive(Debug)]
enum Asking {
    /// `against`: with what was remembered of it when it was asked.
    Candidate { key: CandidateKey, at: Vec<Offset>, against: Option<(StreamId, Vec<Mark>)> },
    /// `path`: by which it was seen.
    Verify { stream: StreamId, at: Vec<Offset>, path: Arc<str> },
    /// Lines that tell it from files that begin like it.
    Marks { stream: StreamId, known: KnownAt },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looking {
    No,
    Yes,
    /// The settings changed meanwhile: the answer is of no use.
    InVain,
}

/// Where effects and notices go.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub effects: VecDeque<Effect>,
}

impl Outbox {
    pub(super) fn push(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    pub(super) fn say(&mut self, code: NoticeCode, message: String) {
        self.effects.push_back(Effect::Tell(Notice { code, message, hint: None }));
    }

    pub(super) fn say_with_hint(&mut self, code: NoticeCode, message: String, hint: &str) {
        let hint = Some(hint.to_owned());
        self.effects.push_back(Effect::Tell(Notice { code, message, hint }));
    }
}

#[derive(Debug)]
pub(super) struct Tail {
    settings: Arc<Settings>,
    rules: Arc<Rules>,
    sources: Vec<Source>,
    /// Boxed: a tree of many large values is half empty.
    streams: BTreeMap<StreamId, Box<Stream>>,
    by_file: BTreeMap<CandidateKey, StreamId>,
    by_path: BTreeSet<(Arc<str>, StreamId)>,
    by_print: BTreeSet<(Arc<str>, Print, StreamId)>,
    candidates: BTreeMap<CandidateKey, Box<Candidate>>,
    /// Files that were gone before anybody had read them.
    vanished: Vec<Vanished>,
    /// Candidates that are, or were a moment ago, held.
    held: BTreeSet<CandidateKey>,
    /// Some candidate has something to ask.
    resolve_wanted: bool,
    /// Some candidate has, and there were too many questions already.
    left_to_ask: bool,
    /// Where it is more than the streams here say: the next ordinal of a print.
    ordinals: BTreeMap<(Arc<str>, Print), u32>,
    /// What others have numbered.
    numbered: Numbered,
    /// This boot of the machine, and the one that the checkpoint is of.
    boot: String,
    boot_before: String,
    strangers: BTreeMap<Arc<str>, BTreeSet<FileKey>>,
    /// For how many looks a stranger was not seen.
    unseen_strangers: BTreeMap<CandidateKey, u32>,
    /// What strangers said, so that their compressed copies are known.
    stranger_records: BTreeMap<Arc<str>, Vec<FloorRecord>>,
    floors: Floors,
    floors_dirty: bool,
    /// For how many looks a file with a floor was not seen, whose beginning nobody knows.
    unseen_floors: BTreeMap<CandidateKey, u32>,
    asking: BTreeMap<AskId, Asking>,
    /// What is asked when others are answered.
    questions: VecDeque<Question>,
    reads: BTreeMap<ReadId, ReadUnderWay>,
    ready: VecDeque<StreamId>,
    handles: Handles,
    /// Logs that were rotated since the last look.
    rotated: BTreeSet<(Arc<str>, Arc<str>)>,
    rotations: BTreeMap<(Arc<str>, Arc<str>), Rotation>,
    /// Why nothing is read, and whose files the operator knows to be in danger because of that.
    held_back: Option<String>,
    threatened: BTreeSet<StreamId>,
    /// Streams whose window is full; they are ready again when a frontier moves.
    stalled: Vec<StreamId>,
    stalled_at: u64,
    /// When to try again what the disk refused: a stream, or (`None`) the candidates.
    retries: BTreeSet<(Moment, Option<StreamId>)>,
    /// Room promised to reads under way.
    reserved: u64,
    looking: Looking,
    next_look: Moment,
    last_look: Option<Moment>,
    /// When the last look was asked for: its list is not older.
    look_asked: Moment,
    /// The checkpoint was lost: equal prints cannot be told apart at the first look.
    ordinals_lost: bool,
    /// Files that the process before held because of that.
    held_before: BTreeSet<CandidateKey>,
    first_look_done: bool,
    next_id: u64,
    /// Counts what a checkpoint would say differently.
    changes: u64,
    /// Saves must carry this before new streams are read.
    unregistered: bool,
    draining: Draining,
    purpose: Purpose,
}

/// What was known of the files when the process began.
#[derive(Debug)]
pub(super) struct Known {
    pub checkpoint: Option<Checkpoint>,
    pub checkpoint_lost: bool,
    pub floors: Floors,
    pub numbered: Checkpoint,
    pub boot: String,
}

impl Tail {
    pub(super) fn new(
        settings: Arc<Settings>,
        rules: Arc<Rules>,
        known: Known,
        purpose: Purpose,
        books: &mut Books,
        now: Now,
    ) -> Self {
        let Known { checkpoint, checkpoint_lost, floors, numbered, boot } = known;
        let boot_before = checkpoint.as_ref().map(|checkpoint| checkpoint.boot.clone()).unwrap_or_default();
        let mut tail = Self {
            sources: Vec::new(),
            settings: Arc::clone(&settings),
            rules,
            streams: BTreeMap::new(),
            by_file: BTreeMap::new(),
            by_path: BTreeSet::new(),
            by_print: BTreeSet::new(),
            candidates: BTreeMap::new(),
            vanished: Vec::new(),
            held: BTreeSet::new(),
            resolve_wanted: false,
            left_to_ask: false,
            ordinals: BTreeMap::new(),
            numbered: Numbered::new(numbered),
            boot,
            boot_before,
            strangers: BTreeMap::new(),
            unseen_strangers: BTreeMap::new(),
            stranger_records: BTreeMap::new(),
            floors,
            floors_dirty: false,
            unseen_floors: BTreeMap::new(),
            asking: BTreeMap::new(),
            questions: VecDeque::new(),
            reads: BTreeMap::new(),
            ready: VecDeque::new(),
            handles: Handles::default(),
            rotated: BTreeSet::new(),
            rotations: BTreeMap::new(),
            held_back: None,
            threatened: BTreeSet::new(),
            stalled: Vec::new(),
            stalled_at: 0,
            retries: BTreeSet::new(),
            reserved: 0,
            looking: Looking::No,
            next_look: now.moment,
            last_look: None,
            look_asked: Moment::START,
            ordinals_lost: checkpoint_lost,
            held_before: BTreeSet::new(),
            first_look_done: false,
            next_id: 1,
            changes: 0,
            unregistered: false,
            draining: if purpose == Purpose::Follow { Draining::No } else { Draining::Wanted },
            purpose,
        };
        if let Some(checkpoint) = checkpoint {
            tail.restore(checkpoint, books, now);
        }
        tail.sources = tail.sources_of(&settings, books);
        tail
    }

    fn sources_of(&self, settings: &Settings, books: &Books) -> Vec<Source> {
        settings
            .sources
            .iter()
            .map(|source| {
                let known = books.has_account(&source.id) || self.floors.sources.contains_key(&source.id);
                let floors = if known || self.reads_once() { FloorState::Set } else { FloorState::Unset };
                Source { id: Arc::from(source.id.as_str()), floors }
            })
            .collect()
    }

    fn restore(&mut self, checkpoint: Checkpoint, books: &mut Books, now: Now) {
        for record in checkpoint.files {
            self.restore_file(record, books, now);
        }
        for OrdinalRecord { source, print, next } in checkpoint.ordinals {
            if let Some(print) = Print::from_hex(&print) {
                self.ordinals.insert((Arc::from(source.as_str()), print), next);
            }
        }
        self.ordinals_lost |= checkpoint.ordinals_lost;
        for (source, files) in checkpoint.held {
            let source: Arc<str> = Arc::from(source.as_str());
            self.held_before.extend(files.into_iter().map(|file| (Arc::clone(&source), file)));
        }
        let strangers = checkpoint.strangers.into_iter();
        self.strangers = strangers
            .map(|(source, files)| (Arc::from(source.as_str()), files.into_iter().collect()))
            .collect();
        let records = checkpoint.stranger_records.into_iter();
        self.stranger_records =
            records.map(|(source, records)| (Arc::from(source.as_str()), records)).collect();
    }

    /// Nothing comes of a record whose print is none.
    fn restore_file(&mut self, record: FileRecord, books: &mut Books, now: Now) -> Option<StreamId> {
        let print = Print::from_hex(&record.print)?;
        let source: Arc<str> = Arc::from(record.source.as_str());
        let id = self.new_stream_id();
        let key = identity::stream_key(&self.settings.instance, &source, print, record.ordinal);
        let place = match record.file {
            Some(file) => Place::Expected { file },
            None => Place::Nowhere { since: now.moment, looks: 0, not: None, given_up: record.given_up },
        };
        let carry = record.carry();
        let identity = Identity {
            source: Arc::clone(&source),
            path: Arc::from(record.path.as_str()),
            captures: Arc::new(record.captures),
            print,
            ordinal: record.ordinal,
            key,
            marks: record.marks,
            size: record.size,
        };
        let standing = Standing { frontier: record.frontier, guard: record.guard, carry };
        let mut stream = Stream::new(identity, record.frontier, record.guard, now.moment);
        stream.first_path = Arc::from(record.first_path.as_str());
        stream.was_moved = record.was_moved;
        stream.modified = record.modified;
        stream.start = record.start;
        stream.carry = carry;
        stream.heir = if record.handed_over { Heir::Read } else { Heir::Open };
        stream.place = place;
        if record.inside_line {
            stream.enter_foreign_line();
        }
        stream.arrivals = Arrivals::restored(&record.unbilled, now);
        stream.registered = Registered::Yes;
        stream.is_new = false;
        books.open(id, &source, standing);
        self.remember(id, stream);
        Some(id)
    }

    fn new_stream_id(&mut self) -> StreamId {
        self.next_id += 1;
        StreamId(u32::try_from(self.next_id).expect("a process follows fewer than 2^32 files"))
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Whether a stream waits to be registered by a save. While many more are about to, one save is for all of them:
    /// each writes down every file.
    pub(super) fn wants_save(&self) -> bool {
        self.unregistered && !self.left_to_ask
    }

    /// Whether what a checkpoint says of them is megabytes.
    pub(super) fn knows_many_files(&self) -> bool {
        self.streams.len() > MANY_FILES
    }

    pub(super) fn stream_count(&self) -> usize {
        self.streams.values().filter(|stream| matches!(stream.place, Place::At { .. })).count()
    }

    pub(super) fn lag_bytes(&self) -> u64 {
        let at = self.streams.values().filter(|stream| matches!(stream.place, Place::At { .. }));
        at.map(|stream| stream.size.saturating_sub(stream.position.0)).sum()
    }

    pub(super) fn reserved(&self) -> u64 {
        self.reserved
    }

    pub(super) fn path_of(&self, stream: StreamId) -> Arc<str> {
        self.streams.get(&stream).map_or_else(|| Arc::from(""), |stream| Arc::clone(&stream.path))
    }

    pub(super) fn source_of(&self, stream: StreamId) -> Arc<str> {
        self.streams.get(&stream).map_or_else(|| Arc::from(""), |stream| Arc::clone(&stream.source))
    }

    pub(super) fn generation_of(&self, stream: StreamId) -> Generation {
        self.streams.get(&stream).map_or_else(Generation::default, |stream| Generation {
            print: stream.print,
            ordinal: stream.ordinal,
        })
    }

    pub(super) fn stream_captures(&self, stream: StreamId) -> Arc<Captures> {
        self.streams.get(&stream).map_or_else(Arc::default, |stream| Arc::clone(&stream.captures))
    }

    pub(super) fn has_reads(&self) -> bool {
        !self.reads.is_empty()
    }

    /// New settings: sources come and go by their ids; a stream of one that is gone is remembered.
    pub(super) fn reload(
        &mut self,
        settings: Arc<Settings>,
        rules: Arc<Rules>,
        books: &Books,
        out: &mut Outbox,
        now: Now,
    ) {
        self.settings = Arc::clone(&settings);
        self.rules = rules;
        let before = std::mem::take(&mut self.sources);
        self.sources = self.sources_of(&settings, books);
        for source in &mut self.sources {
            if let Some(known) = before.iter().find(|known| known.id == source.id) {
                source.floors = known.floors;
            }
        }
        let gone: Vec<StreamId> = self
            .streams
            .iter()
            .filter(|(_, stream)| index_of(&self.sources, &stream.source).is_none())
            .map(|(id, _)| *id)
            .collect();
        for id in gone {
            self.let_go(id, out);
        }
        self.candidates.retain(|(source, _), _| index_of(&self.sources, source).is_some());
        self.forget_limits();
        if self.looking == Looking::Yes {
            self.looking = Looking::InVain;
        }
        self.next_look = now.moment;
        self.first_look_done &= before.len() == self.sources.len();
    }

    /// What a checkpoint says of the files, one after the other: of all at once it is much memory.
    pub(super) fn file_records(&self, books: &Books, now: Now) -> impl Iterator<Item = FileRecord> {
        self.streams.iter().map(move |(id, stream)| {
            let Standing { frontier, guard, carry } = books.standing(*id);
            FileRecord {
                source: stream.source.to_string(),
                path: stream.path.to_string(),
                first_path: stream.first_path.to_string(),
                was_moved: stream.was_moved,
                captures: Captures::clone(&stream.captures),
                file: stream.file(),
                print: stream.print.to_string(),
                ordinal: stream.ordinal,
                start: stream.start,
                frontier,
                guard,
                header: carry.header,
                unfinished: carry.unfinished.iter().collect(),
                handed_over: match stream.heir {
                    Heir::Open => false,
                    // Else it will inherit again.
                    Heir::Is(heir) => {
                        !self.streams.contains_key(&heir) || books.frontier(heir) > Offset::ZERO
                    }
                    Heir::Read | Heir::Nobody => true,
                },
                marks: stream.marks.clone(),
                size: stream.size,
                modified: if stream.is_compressed() { stream.modified } else { 0 },
                inside_line: stream.foreign.contains(&frontier),
                given_up: matches!(stream.place, Place::Nowhere { given_up: true, .. }),
                unbilled: if stream.is_hoped_for() {
                    stream.arrivals.records(frontier, stream.fresh_from, now)
                } else {
                    Vec::new()
                },
            }
        })
    }

    /// What a checkpoint says besides.
    pub(super) fn record<Files>(&self, checkpoint: &mut Checkpoint<Files>) {
        for ((source, print), next) in &self.ordinals {
            let (source, print) = (source.to_string(), print.to_string());
            checkpoint.ordinals.push(OrdinalRecord { source, print, next: *next });
        }
        checkpoint.ordinals_lost = self.ordinals_lost;
        // Until each file is made sure of, it matters that the machine may have lost its power.
        let is_sure = !self.streams.values().any(|stream| stream.is_undecided());
        checkpoint.boot.clone_from(if is_sure { &self.boot } else { &self.boot_before });
        let awaiting = self.candidates.iter().filter(|(_, candidate)| candidate.awaits_others);
        let held: BTreeSet<&CandidateKey> =
            self.held_before.iter().chain(awaiting.map(|(key, _)| key)).collect();
        for (source, file) in held {
            checkpoint.held.entry(source.to_string()).or_default().push(*file);
        }
        for (source, files) in &self.strangers {
            checkpoint.strangers.insert(source.to_string(), files.iter().copied().collect());
        }
        for (source, records) in &self.stranger_records {
            checkpoint.stranger_records.insert(source.to_string(), records.clone());
        }
    }

    /// A save begins: streams that are new now will be registered by it.
    pub(super) fn save_begins(&mut self, save: u64) {
        if !std::mem::take(&mut self.unregistered) {
            return;
        }
        for stream in self.streams.values_mut() {
            if stream.registered == Registered::No {
                stream.registered = Registered::With(save);
            }
        }
    }

    /// A save ended. Returns whether it was one of this part's own (floors).
    pub(super) fn saved(&mut self, save: SaveId, result: &Result<(), DiskFault>, now: Now, out: &mut Outbox) {
        for source in &mut self.sources {
            if source.floors == FloorState::Saving(save) {
                source.floors = match result {
                    Ok(()) => FloorState::Set,
                    Err(_) => FloorState::Again { at: now.moment + DISK_RETRY },
                };
                self.next_look = now.moment;
            }
        }
        let mut registered = Vec::new();
        for (id, stream) in &mut self.streams {
            if stream.registered == Registered::With(save.0) {
                match result {
                    Ok(()) => {
                        stream.registered = Registered::Yes;
                        stream.is_new = false;
                        registered.push(*id);
                    }
                    Err(_) => {
                        stream.registered = Registered::No;
                        self.unregistered = true;
                    }
                }
            }
        }
        registered.into_iter().for_each(|id| self.make_ready(id));
        self.spent_saved(save.0, result.is_ok(), out);
    }

    /// When something is due here, if nothing comes before.
    pub(super) fn deadline(&self) -> Option<Moment> {
        let look = (self.looking == Looking::No).then_some(self.next_look);
        let look = look.filter(|due| *due != Moment::NEVER);
        let retry = self.retries.first().map(|(due, _)| *due);
        [look, retry, self.next_hand_out()].into_iter().flatten().min()
    }

    /// Something happened at a path.
    pub(super) fn nudged(&mut self, path: Option<&str>, now: Now, out: &mut Outbox) {
        if self.is_draining() {
            // The last look comes by, and what rings later is for the next start.
            return;
        }
        let Some(path) = path else {
            self.look_soon(now);
            return;
        };
        let from = (Arc::from(path), StreamId(0));
        let streams: Vec<StreamId> =
            self.by_path.range(from..).take_while(|(known, _)| &**known == path).map(|(_, id)| *id).collect();
        if !streams.is_empty() {
            for id in streams {
                let stream = self.streams.get_mut(&id).expect("a path leads to a stream that is known");
                if stream.reading.is_some() || stream.asking.is_some() {
                    stream.again = true;
                } else if stream.is_parked() {
                    self.unpark(id, out);
                } else {
                    self.make_ready(id);
                }
            }
            return;
        }
        let mut ours = false;
        for candidate in self.candidates.values_mut().filter(|candidate| &*candidate.path == path) {
            ours = true;
            if candidate.step == Step::Young {
                candidate.step = Step::New;
                self.resolve_wanted = true;
            }
        }
        if !ours && self.is_of_a_source(path) {
            self.look_soon(now);
        }
    }

    fn is_of_a_source(&self, path: &str) -> bool {
        (0..self.sources.len()).any(|source| self.captures_of(source, path).is_some())
    }

    fn look_soon(&mut self, now: Now) {
        let earliest = self.last_look.map_or(now.moment, |last| last + CLOSEST_LOOKS);
        self.next_look = self.next_look.min(earliest.max(now.moment));
    }

    fn remember(&mut self, id: StreamId, stream: Stream) {
        self.by_print.insert((Arc::clone(&stream.source), stream.print, id));
        self.streams.insert(id, Box::new(stream));
    }

    /// The streams of a source with this print, in the order of their ids.
    fn with_print(&self, source: &Arc<str>, print: Print) -> impl Iterator<Item = (StreamId, &Stream)> {
        let of = |id| (Arc::clone(source), print, StreamId(id));
        let alike = self.by_print.range(of(0)..=of(u32::MAX));
        alike.map(|(_, _, id)| (*id, &*self.streams[id]))
    }

    fn forget(&mut self, id: StreamId, books: &mut Books) {
        let stream = self.take_out(id, books);
        if stream.ordinal > 0 || self.with_print(&stream.source, stream.print).next().is_some() {
            let next = self.ordinals.entry((stream.source, stream.print)).or_default();
            *next = (*next).max(stream.ordinal + 1);
        }
    }

    fn take_out(&mut self, id: StreamId, books: &mut Books) -> Stream {
        let stream = self.streams.remove(&id).expect("a stream that is taken out was known");
        books.close(id);
        self.changes += 1;
        self.by_print.remove(&(Arc::clone(&stream.source), stream.print, id));
        *stream
    }

    /// The print that the head of a file of the source shows.
    fn print_of(&self, source: usize, asked: &Asked) -> Option<Print> {
        let format = &self.settings.sources[source].format;
        identity::print_of_head(&asked.head, format).or_else(|| {
            // Nobody will end its only line any more.
            let is_over =
                self.reads_once() && !asked.head.is_empty() && asked.size == asked.head.len() as u64;
            let ended = || [&asked.head[..], b"\n"].concat();
            if is_over { identity::print_of_head(&ended(), format) } else { None }
        })
    }

    fn next_ordinal(&self, source: &Arc<str>, print: Print) -> u32 {
        let used = self.with_print(source, print).map(|(_, stream)| stream.ordinal + 1).max();
        let remembered = self.ordinals.get(&(Arc::clone(source), print)).copied();
        used.max(remembered).unwrap_or(0)
    }

    fn make_ready(&mut self, id: StreamId) {
        let stream = self.streams.get_mut(&id).expect("a stream that is made ready is known");
        if !stream.queued && stream.reading.is_none() {
            stream.queued = true;
            self.ready.push_back(id);
        }
    }

    /// As [`Tail::make_ready`], after a read. Files that are over are read one after the other: each that is begun takes
    /// memory, above all a compressed one.
    fn read_on(&mut self, id: StreamId) {
        self.make_ready(id);
        if self.reads_once() && self.ready.back() == Some(&id) {
            self.ready.rotate_right(1);
        }
    }

    /// # Panics
    /// When the tail contradicts itself or the books.
    pub(super) fn check_invariants(&self, books: &Books) {
        for (id, stream) in &self.streams {
            assert_eq!(books.end(*id), stream.position, "the position is the end of the last chunk");
            stream.arrivals.check_invariants();
            if let Place::At { file, .. } = stream.place {
                assert_eq!(self.by_file.get(&(Arc::clone(&stream.source), file)), Some(id));
            }
            assert!(
                !stream.is_new || stream.position == books.frontier(*id),
                "nothing of a stream is read before it is registered"
            );
        }
        self.check_handles();
        assert_eq!(self.reserved, self.reads.values().map(|read| read.room).sum::<u64>());
        for (key, id) in &self.by_file {
            assert_eq!(self.streams[id].file(), Some(key.1), "a file leads to the stream that is there");
        }
    }
}

/// The place of a source among those that are known.
fn index_of(sources: &[Source], id: &str) -> Option<usize> {
    sources.iter().position(|known| &*known.id == id)
}

fn miss(books: &mut Books, out: &mut Outbox, source: &Arc<str>, path: &str, span: Span, what: &str) {
    books.miss(source, path, span);
    out.say(
        NoticeCode::BytesMissed,
        format!(
            "{path:?} {what}: bytes {} to {} ({} bytes) are not billed",
            span.start,
            span.end,
            span.len()
        ),
    );
}

fn say_unreadable(out: &mut Outbox, path: &str, why: &str) {
    out.say_with_hint(
        NoticeCode::FileUnreadable,
        format!("cannot read {path:?}: {why}"),
        "it is tried again each second; give Floe's user read access, or raise its limit of open files",
    );
}
