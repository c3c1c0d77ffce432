//! A spool through crashes and power cuts: a smaller world than that of logs, with histories of its own.
//!
//! Records are appended, synced or not; segments roll; the process dies, with the newest checkpoint or without it;
//! a power cut takes what was not synced. Whatever happens, what was synced is billed once, a segment goes only
//! when every checkpoint that is kept calls it settled, and no checkpoint remembers what is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use floe::agent::checkpoint::Checkpoint;
use floe::agent::{
    Agent, Asked, DiskFault, Effect, Input, Now, Outcome, ReadBytes, Restored, Sighting, Whom,
};
use floe::config::Settings;
use floe::mapping::identity::HEAD_BYTES;
use floe::mapping::spool::{self, Tag};
use floe::mapping::{ReadFault, Rules, Scratch};
use floe::model::{FileKey, Guard, Moment, SourceIndex, StreamId};
use floe::polar::answer::{AnswerHead, read_answer};
use jiff::Timestamp;
use serde_json::Value;

use crate::random::Random;

const HISTORIES: u64 = 100;
const STEPS: u64 = 300;

/// A segment is not written on beyond this.
const SEGMENT_BYTES: usize = 600;

const CONFIG: &str = r#"
instance = "simulation"
state_dir = "/s"
[polar]
server = "https://polar.invalid"
token_env = "T"
[delivery]
batch_max_wait = "50ms"
requests_per_minute = 60000
[[sources]]
id = "app"
socket = "/run/app.sock"
format = "json"
[[rules]]
id = "use"
when = { event = "use" }
[rules.event]
name = "use"
external_customer_id = "{who}"
metadata.n = "{n | int}"
"#;

struct Segment {
    inode: u64,
    bytes: Vec<u8>,
    synced: usize,
}

struct World {
    random: Random,
    settings: Arc<Settings>,
    rules: Arc<Rules>,
    segments: BTreeMap<String, Segment>,
    next_segment: u64,
    next_inode: u64,
    next_record: u64,
    /// Records that a writer knows to be durable.
    synced: BTreeSet<u64>,
    /// The newest last; two are kept.
    checkpoints: Vec<Vec<u8>>,
    /// Ids by record.
    billed: BTreeMap<u64, BTreeSet<String>>,
    agent: Agent,
    open: BTreeMap<StreamId, u64>,
    pending: Vec<Effect>,
    clock: u64,
    started: u64,
    /// Bytes that were seen may be gone.
    was_cut: bool,
    discarded: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        // Half of the histories have one descriptor for all segments.
        let few = "[limits]\nopen_files = 1\n[[sources]]";
        let config =
            if seed.is_multiple_of(2) { CONFIG.to_owned() } else { CONFIG.replace("[[sources]]", few) };
        let texts = [(PathBuf::from("floe.toml"), config)];
        let loaded = floe::config::load_from_texts(&texts, &floe::config::Environment::new(), Some("test"));
        let settings = Arc::new(loaded.unwrap_or_else(|faults| panic!("{faults}")).settings);
        let rules = Arc::new(Rules::compile(&settings));
        let mut random = Random::new(seed);
        let now = Now { moment: Moment::START, wall: Timestamp::UNIX_EPOCH };
        let agent =
            Agent::new(Arc::clone(&settings), Arc::clone(&rules), Restored::default(), now, random.next());
        Self {
            random,
            settings,
            rules,
            segments: BTreeMap::new(),
            next_segment: 1,
            next_inode: 1,
            next_record: 0,
            synced: BTreeSet::new(),
            checkpoints: Vec::new(),
            billed: BTreeMap::new(),
            agent,
            open: BTreeMap::new(),
            pending: Vec::new(),
            clock: 1,
            started: 0,
            was_cut: false,
            discarded: 0,
        }
    }

    fn now(&self) -> Now {
        let wall = Timestamp::from_second(1_800_000_000).expect("a year near 2027");
        Now { moment: Moment::from_nanos(self.clock - self.started), wall }
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..45 => self.perform_one(),
            45..70 => self.append(),
            70..80 => self.sync(),
            80..84 => self.roll(),
            84..86 => self.crash(),
            86 => self.cut_power(),
            _ => self.pass_time(),
        }
    }

    fn newest(&mut self) -> &mut Segment {
        if self.segments.is_empty() || self.next_segment == 1 {
            self.roll();
        }
        self.segments.last_entry().expect("a segment was just begun").into_mut()
    }

    fn append(&mut self) {
        let number = self.next_record;
        self.next_record += 1;
        let tag = *self.random.pick(&[Tag::Whole, Tag::Whole, Tag::Torn]);
        let text = format!("{{\"event\":\"use\",\"who\":\"a\",\"n\":{number}}}");
        let segment = self.newest();
        spool::write_record(&mut segment.bytes, tag, text.as_bytes());
        if segment.bytes.len() > SEGMENT_BYTES {
            self.sync();
            self.roll();
        }
    }

    /// What the newest segment holds is durable, and its writers know.
    fn sync(&mut self) {
        let segment = self.newest();
        segment.synced = segment.bytes.len();
        let known = records_of(&segment.bytes);
        self.synced.extend(known);
    }

    /// The one before is synced when another is begun.
    fn roll(&mut self) {
        if let Some(mut newest) = self.segments.last_entry() {
            let segment = newest.get_mut();
            segment.synced = segment.bytes.len();
            let known = records_of(&segment.bytes);
            self.synced.extend(known);
        }
        let path = format!("/s/spool/app/{:012}.spool", self.next_segment);
        let bytes = spool::header("app", self.next_segment, self.random.next());
        let synced = bytes.len();
        self.segments.insert(path, Segment { inode: self.next_inode, bytes, synced });
        self.next_segment += 1;
        self.next_inode += 1;
    }

    fn pass_time(&mut self) {
        self.clock += self.random.delay_nanos(200, 3_000);
        let due = self.agent.deadline().is_some_and(|due| due <= self.now().moment);
        if due {
            self.feed(Input::Tick);
        }
    }

    fn crash(&mut self) {
        self.pending.clear();
        self.open.clear();
        // Torn while it was written: the one before counts.
        if self.random.chance(30) && self.checkpoints.len() == 2 {
            self.checkpoints.pop();
        }
        let checkpoint = self.checkpoints.last().map(|bytes| Checkpoint::read(bytes).expect("it was sealed"));
        let restored = Restored { checkpoint, ..Restored::default() };
        self.started = self.clock;
        let seed = self.random.next();
        // Each start begins a segment of its own, after it has repaired the last one.
        if let Some(mut newest) = self.segments.last_entry() {
            let segment = newest.get_mut();
            segment.bytes.truncate(spool::sound_length(&segment.bytes));
        }
        self.roll();
        let (settings, rules) = (Arc::clone(&self.settings), Arc::clone(&self.rules));
        self.agent = Agent::new(settings, rules, restored, self.now(), seed);
        self.take_effects();
    }

    fn cut_power(&mut self) {
        for segment in self.segments.values_mut() {
            let kept = segment.synced;
            if segment.bytes.len() > kept {
                self.was_cut = true;
                let torn = self.random.between(kept as u64, segment.bytes.len() as u64);
                segment.bytes.truncate(usize::try_from(torn).expect("a small file"));
            }
        }
        self.crash();
    }

    fn feed(&mut self, input: Input) {
        let now = self.now();
        self.agent.handle(now, input);
        self.take_effects();
    }

    fn take_effects(&mut self) {
        while let Some(effect) = self.agent.poll() {
            self.pending.push(effect);
        }
        self.agent.check_invariants();
    }

    fn perform_one(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        // What closes or opens keeps its order, as in the real shell.
        let at = self.random.place(self.pending.len());
        let ordered = |effect: &Effect| matches!(effect, Effect::Open { .. } | Effect::Close(_));
        let at = if ordered(&self.pending[at]) {
            self.pending.iter().position(ordered).expect("one was just seen")
        } else {
            at
        };
        let effect = self.pending.remove(at);
        if let Some(input) = self.perform(effect) {
            self.feed(input);
        }
    }

    fn perform(&mut self, effect: Effect) -> Option<Input> {
        Some(match effect {
            Effect::Look => Input::Looked(self.look()),
            Effect::Ask { ask, whom, at, .. } => {
                let inode = match whom {
                    Whom::At { file, .. } => Some(file.inode),
                    Whom::Open(stream) => self.open.get(&stream).copied(),
                };
                let bytes = inode.and_then(|inode| self.bytes(inode));
                let told = bytes.map(|bytes| Asked {
                    size: bytes.len() as u64,
                    head: bytes[..bytes.len().min(HEAD_BYTES)].to_vec(),
                    guards: at.iter().map(|at| guard(bytes, at.0)).collect(),
                    agreement: None,
                });
                Input::Told { ask, result: told.ok_or(DiskFault::Gone) }
            }
            Effect::Open { stream, file, .. } => {
                let there = self.bytes(file.inode).is_some();
                if there {
                    self.open.insert(stream, file.inode);
                }
                Input::Opened { stream, result: if there { Ok(()) } else { Err(DiskFault::Gone) } }
            }
            Effect::Close(stream) => {
                self.open.remove(&stream);
                return None;
            }
            Effect::Read(order) => {
                let bytes = self.open.get(&order.stream).and_then(|inode| self.bytes(*inode));
                let Some(bytes) = bytes else {
                    return Some(Input::Mapped { read: order.read, result: Err(ReadFault::Gone), size: 0 });
                };
                let size = bytes.len() as u64;
                Input::Mapped { read: order.read, result: map(&order, bytes), size }
            }
            Effect::Post { request, body } => {
                let outcome = self.answer(&body.to_bytes());
                Input::Answered { request, outcome, polar_clock: Some(self.now().wall) }
            }
            Effect::Quarantine { text, .. } => panic!("{}", String::from_utf8_lossy(&text)),
            Effect::Save { save, checkpoint, .. } => {
                if self.random.chance(10) {
                    return Some(Input::Saved { save, result: Err(DiskFault::Full) });
                }
                self.checkpoints.push(checkpoint.to_vec());
                if self.checkpoints.len() > 2 {
                    self.checkpoints.remove(0);
                }
                Input::Saved { save, result: Ok(()) }
            }
            Effect::SaveFloors { save, .. } => Input::Saved { save, result: Ok(()) },
            Effect::Discard { stream, path, file, size } => {
                Input::Discarded { stream, result: self.discard(&path, file, size) }
            }
            Effect::Tell(_) | Effect::Stop => return None,
        })
    }

    fn look(&self) -> Vec<Sighting> {
        let files = &self.settings.sources[0].files;
        let sighting = |(path, segment): (&String, &Segment)| Sighting {
            source: SourceIndex(0),
            path: path.as_str().into(),
            file: FileKey { device: 1, inode: segment.inode, born: segment.inode },
            size: segment.bytes.len() as u64,
            modified: segment.bytes.len() as u64,
            matched: files.captures(path).map(Arc::new),
        };
        self.segments.iter().map(sighting).collect()
    }

    fn bytes(&self, inode: u64) -> Option<&[u8]> {
        self.segments.values().find(|segment| segment.inode == inode).map(|segment| &*segment.bytes)
    }

    fn answer(&mut self, body: &[u8]) -> Outcome {
        if self.random.chance(15) {
            return Outcome::NoAnswer { what: "reset".to_owned() };
        }
        let body: Value = serde_json::from_slice(body).expect("a request is JSON");
        let (mut inserted, mut duplicates) = (0, 0);
        for event in body["events"].as_array().expect("a request has events") {
            let number = event["metadata"]["n"].as_u64().expect("each record has its number");
            let id = event["external_id"].as_str().expect("each event has an id").to_owned();
            let ids = self.billed.entry(number).or_default();
            if ids.insert(id) {
                inserted += 1;
            } else {
                duplicates += 1;
            }
            assert_eq!(ids.len(), 1, "record {number} is billed once: {ids:?}");
        }
        let head = AnswerHead { status: 200, ..AnswerHead::default() };
        let body = format!("{{\"inserted\":{inserted},\"duplicates\":{duplicates}}}");
        Outcome::Answer(read_answer(&head, body.as_bytes()))
    }

    fn discard(&mut self, path: &str, file: FileKey, size: u64) -> Result<(), DiskFault> {
        let newest = self.segments.keys().next_back().cloned();
        let Some(segment) = self.segments.get(path) else { return Err(DiskFault::Gone) };
        if segment.inode != file.inode || segment.bytes.len() as u64 != size {
            return Err(DiskFault::Gone);
        }
        assert_ne!(newest.as_deref(), Some(path), "the newest segment stays");
        assert_eq!(self.checkpoints.len(), 2, "one checkpoint is not enough");
        for bytes in &self.checkpoints {
            let checkpoint = Checkpoint::read(bytes).expect("it was sealed");
            let of_path = checkpoint.files.iter().filter(|record| record.path == path);
            let frontiers: Vec<u64> = of_path.map(|record| record.frontier.0).collect();
            assert!(frontiers.contains(&size), "{path} of {size} bytes is settled in both: {frontiers:?}");
        }
        for number in records_of(&segment.bytes) {
            assert!(self.billed.contains_key(&number), "record {number} goes unbilled");
        }
        self.segments.remove(path);
        self.discarded += 1;
        Ok(())
    }

    /// Everything comes home.
    fn settle(&mut self) {
        self.sync();
        let mut left = None;
        for _ in 0..20_000 {
            while !self.pending.is_empty() {
                self.perform_one();
            }
            self.clock += 20_000_000;
            self.feed(Input::Tick);
            let is_home = self.segments.len() == 1 && self.synced.iter().all(|n| self.billed.contains_key(n));
            // Then what is gone is forgotten, and that is saved.
            left = if is_home { Some(left.map_or(500, |left: u32| left.saturating_sub(1))) } else { None };
            if left == Some(0) {
                return;
            }
        }
        panic!(
            "{} segments are left, {} of {} billed",
            self.segments.len(),
            self.billed.len(),
            self.synced.len()
        );
    }
}

fn map(order: &floe::agent::ReadOrder, bytes: &[u8]) -> Result<floe::model::MappedChunk, ReadFault> {
    let from = usize::try_from(order.from.0).expect("a small file");
    let Some(wanted) = bytes.get(from..) else {
        return Err(ReadFault::Shrunk { size: bytes.len() as u64 });
    };
    if let Some((at, _)) = order.witness {
        let at = usize::try_from(at.0).expect("a small file");
        order.bear_out(bytes.get(..at).map(Guard::at_end_of))?;
    }
    let read = ReadBytes {
        before: &bytes[from.saturating_sub(Guard::REACH)..from],
        bytes: &wanted[..wanted.len().min(order.limit as usize)],
        header: b"",
        beyond: b"",
    };
    order.map(read, &mut Scratch::default())
}

fn guard(bytes: &[u8], at: u64) -> Option<(Guard, Option<u8>)> {
    let before = bytes.get(..usize::try_from(at).ok()?)?;
    Some((Guard::at_end_of(before), before.last().copied()))
}

fn records_of(segment: &[u8]) -> Vec<u64> {
    let lines = segment.split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| match spool::read_line(line) {
            spool::SpoolLine::Record { text, .. } => {
                let record: Value = serde_json::from_slice(text).expect("records are JSON here");
                record["n"].as_u64()
            }
            spool::SpoolLine::Header | spool::SpoolLine::Damaged => None,
        })
        .collect()
}

#[test]
fn s27_a_spool_is_billed_once_and_removed_through_crashes_and_power_cuts() {
    let mut discarded = 0;
    for seed in 0..HISTORIES {
        let mut world = World::new(seed);
        println!("seed {seed}");
        world.take_effects();
        (0..STEPS).for_each(|_| world.step());
        world.settle();
        let status = world.agent.status();
        let account = status.accounts.get("app").expect("it was looked at");
        assert!(account.adds_up());
        assert!(world.was_cut || account.missed.is_empty(), "seed {seed}: {:?}", account.missed);
        let newest =
            Checkpoint::read(world.checkpoints.last().expect("it was saved")).expect("it was sealed");
        assert!(newest.files.len() <= 3, "seed {seed}: {} files are remembered", newest.files.len());
        discarded += world.discarded;
    }
    assert!(discarded > HISTORIES, "segments went: {discarded}");
}
