//! The virtual shell: performs effects with delays, out of order, and badly now and then.
//!
//! A read sees the bytes that stand there when it is answered, or sometimes those of when it was asked; a save
//! that a crash interrupts leaves the old checkpoint, the new one, or a torn one and the one before.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use floe::agent::{
    Against, Agreement, AskId, Asked, DiskFault, Effect, Input, LettersId, Notice, NoticeCode, Outcome,
    ReadBytes, ReadOrder, RequestId, SaveId, Sighting, Whom,
};
use floe::mapping::ReadFault;
use floe::mapping::identity::HEAD_BYTES;
use floe::model::{FileKey, Guard, MappedChunk, Offset, SourceIndex, StreamId};
use floe::polar::Body;
use floe::polar::answer::{AnswerHead, read_answer};

use crate::compressor::COMPRESSED;
use crate::disk::{ContentId, NodeId};
use crate::invariants::{self, Held, Invariant, violated};
use crate::letters;
use crate::plants::Plant;
use crate::polar::Reply;
use crate::scene::REQUEST_TIMEOUT;
use crate::simulation::{Event, Simulation};

/// Work of the shell that is under way.
#[derive(Debug)]
pub enum Job {
    Look,
    Ask {
        ask: AskId,
        whom: Whom,
        at: Vec<Offset>,
        against: Option<Against>,
    },
    Open {
        stream: StreamId,
        path: String,
        file: FileKey,
    },
    Read {
        order: Box<ReadOrder>,
        early: Option<(ContentId, Vec<u8>)>,
    },
    Nudge(Option<String>),
    Quarantine {
        letters: LettersId,
        text: Bytes,
    },
    Save {
        save: SaveId,
        checkpoint: Bytes,
    },
    SaveFloors {
        save: SaveId,
        floors: Bytes,
    },
    /// An answer comes back, or the wait for it ends.
    Answered {
        request: RequestId,
        outcome: Outcome,
        date: Option<Timestamp>,
    },
}

impl Simulation {
    /// Begins what the agent wants.
    pub fn perform(&mut self, effect: Effect) -> Held {
        match effect {
            Effect::Look => self.begin(Job::Look),
            Effect::Ask { ask, whom, at, against } => {
                self.note(format!("ask {} {whom:?} {at:?} {against:?}", ask.0));
                self.begin(Job::Ask { ask, whom, at, against });
            }
            Effect::Open { stream, path, file } => self.begin(Job::Open { stream, path, file }),
            Effect::Close(stream) => self.close_stream(stream),
            Effect::Read(order) => self.begin_read(order),
            Effect::Post { request, body } => return self.post(request, body),
            Effect::Quarantine { letters, text } => return self.begin_quarantine(letters, text),
            Effect::Save { save, checkpoint, .. } => return self.begin_save(save, checkpoint),
            Effect::SaveFloors { save, floors } => self.begin_in_order(Job::SaveFloors { save, floors }),
            Effect::Discard { path, .. } => {
                let details = format!("{path} is a log, and Floe wants to remove it");
                return violated(Invariant::LogsStay, details);
            }
            Effect::Tell(notice) => self.told(&notice),
            Effect::Stop => {
                self.note("stop");
                if self.backfill_runs() {
                    self.backfill_ends()?;
                }
                self.process_ends();
                if !self.is_ending {
                    let pause = self.random.delay_nanos(1_000, 60_000);
                    self.after(pause, Event::Start);
                }
            }
        }
        Ok(())
    }

    /// With the checkpoint lost, files that begin alike are held until the operator decides.
    fn told(&mut self, notice: &Notice) {
        self.note(format!("tell {} {}", notice.code.code(), notice.message));
        let is_for_ever = notice.message.contains("the checkpoint that told them apart is lost");
        if notice.code == NoticeCode::IdentityAmbiguous && is_for_ever && !self.backfill_runs() {
            let path = notice.message.split('"').nth(1).expect("a notice about a file names it");
            self.storm.held.extend(self.disk.at(path));
            self.excuse_what_is_gone();
        }
    }

    fn begin(&mut self, job: Job) {
        let (usual, rare) = self.scene.disk_ms;
        let wait = self.random.delay_nanos(usual, rare);
        self.begin_after(wait, job);
    }

    fn begin_after(&mut self, wait: u64, job: Job) {
        let Some(process) = &self.process else { return };
        let process = process.number;
        self.after(wait, Event::Job { process, job });
    }

    /// Writes to the state folder come one after the other.
    fn begin_in_order(&mut self, job: Job) {
        let (usual, rare) = self.scene.disk_ms;
        let wait = self.random.delay_nanos(usual, rare);
        let Some(process) = &mut self.process else { return };
        process.disk_busy_until = process.disk_busy_until.max(self.clock + wait);
        let (time, process) = (process.disk_busy_until, process.number);
        self.at(time, Event::Job { process, job });
    }

    fn begin_read(&mut self, order: Box<ReadOrder>) {
        self.note(format!("read {} of {:?} from {}", order.read.0, order.stream, order.from));
        // A thread that reads at once and is slow to say so.
        let early = if self.random.chance(20) {
            let node = self.process.as_ref().and_then(|process| process.handles.get(&order.stream)).copied();
            node.map(|node| (self.disk.node(node).content, self.disk.bytes(node).to_vec()))
        } else {
            None
        };
        if let Some(process) = &mut self.process {
            process.reads.insert(order.read, order.stream);
        }
        self.begin(Job::Read { order, early });
    }

    fn post(&mut self, request: RequestId, body: Body) -> Held {
        let body = body.to_bytes();
        self.note(format!(
            "post {} {} bytes {:x}",
            request.0,
            body.len(),
            floe::model::file::short_print(&body)
        ));
        let delivery = &self.settings.delivery;
        let (concurrency, per_minute) = (delivery.concurrency, delivery.requests_per_minute);
        let body = self.bend_body(body);
        let clock = self.clock;
        let Some(process) = &mut self.process else { return Ok(()) };
        let number = process.number;
        process.requests.insert(request);
        invariants::sending_is_paced(process, clock, concurrency, per_minute)?;
        let (usual, rare) = self.scene.request_ms;
        let there = self.random.delay_nanos(usual, rare);
        let timeout = u64::try_from(REQUEST_TIMEOUT.as_nanos()).expect("a minute");
        let no_answer = |what: &str| Outcome::NoAnswer { what: what.to_owned() };
        let arrival = |answered| Event::Arrival { process: number, request, body: body.clone(), answered };
        if self.plant == Some(Plant::RequestDropped) {
            let body = b"{\"inserted\":1,\"duplicates\":0}";
            let answer = read_answer(&AnswerHead { status: 200, ..AnswerHead::default() }, body);
            let outcome = Outcome::Answer(answer);
            self.begin_after(there, Job::Answered { request, outcome, date: Some(self.polar_now()) });
        } else if !self.random.chance(self.scene.astray) {
            self.after(there, arrival(true));
        } else if self.random.chance(40) {
            self.begin_after(there, Job::Answered { request, outcome: no_answer("reset"), date: None });
        } else if self.random.chance(50) {
            self.after(there, arrival(false));
            self.begin_after(there + 1, Job::Answered { request, outcome: no_answer("reset"), date: None });
        } else {
            let late = self.random.delay_nanos(60_000, 600_000);
            self.after(late, arrival(false));
            self.begin_after(timeout, Job::Answered { request, outcome: no_answer("timed out"), date: None });
        }
        Ok(())
    }

    /// A request is at Polar.
    pub fn arrive(&mut self, number: u32, request: RequestId, body: &[u8], answered: bool) -> Held {
        let now = self.polar_now();
        let receipt = self.polar.receive(now, body, &mut self.random);
        let tags: Vec<&str> =
            receipt.sent.iter().map(|event| event.key.as_ref().map_or("-", |key| &key.tag)).collect();
        self.note(format!("polar {} {} to {}", request.0, receipt.reply.status, tags.join(" ")));
        let process = self.process.as_mut().filter(|process| process.number == number);
        invariants::nothing_bad_leaves(process, &receipt)?;
        invariants::ids_stay(self, &receipt.sent)?;
        for place in receipt.inserted {
            invariants::billed_once(self, &receipt.sent[place])?;
        }
        if answered && self.process.as_ref().is_some_and(|process| process.number == number) {
            let (usual, rare) = self.scene.request_ms;
            let back = self.random.delay_nanos(usual, rare);
            let outcome = Outcome::Answer(answer_of(&receipt.reply));
            self.begin_after(back, Job::Answered { request, outcome, date: Some(date(now)) });
        }
        Ok(())
    }

    fn begin_quarantine(&mut self, letters: LettersId, text: Bytes) -> Held {
        let text = self.bend_letters(text);
        match letters::read(&text) {
            Ok(read) => {
                for letter in &read {
                    self.note(format!("letter {letter:?}"));
                    invariants::sound_is_billed(self, letter)?;
                }
            }
            Err(what) => return violated(Invariant::SoundIsBilled, what),
        }
        self.begin_in_order(Job::Quarantine { letters, text });
        Ok(())
    }

    fn begin_save(&mut self, save: SaveId, checkpoint: Bytes) -> Held {
        let checkpoint = self.bend_checkpoint(checkpoint);
        self.note(format!("save {} {:x}", save.0, floe::model::file::short_print(&checkpoint)));
        invariants::checkpoint_waits(self, &checkpoint)?;
        self.begin_in_order(Job::Save { save, checkpoint });
        Ok(())
    }

    /// Something of the shell is done; the agent hears of it.
    pub fn finish_job(&mut self, number: u32, job: Job) -> Held {
        if self.process.as_ref().is_none_or(|process| process.number != number) {
            return Ok(());
        }
        let input = match job {
            Job::Look => self.look(),
            Job::Ask { ask, whom, at, against } => Input::Told { ask, result: self.ask(&whom, &at, against) },
            Job::Open { stream, path, file } => {
                let result = self.open(stream, &path, file);
                self.note(format!("open {stream:?} {path}: {result:?}"));
                Input::Opened { stream, result }
            }
            Job::Read { order, early } => self.read(&order, early),
            Job::Nudge(path) => Input::Nudged(path),
            Job::Quarantine { letters, text } => {
                let result = refused(self.faults.quarantine);
                if result.is_ok() {
                    self.letters_are_durable(&text);
                }
                Input::Quarantined { letters, result }
            }
            Job::Save { save, checkpoint } => {
                let result = refused(self.faults.saving);
                if result.is_ok() {
                    self.own_folder().save(checkpoint.to_vec());
                    self.checkpoint_is_durable(&checkpoint);
                }
                Input::Saved { save, result }
            }
            Job::SaveFloors { save, floors } => {
                let result = refused(self.faults.saving);
                if result.is_ok() {
                    self.floors_are_durable(&floors);
                }
                Input::Saved { save, result }
            }
            Job::Answered { request, outcome, date } => {
                self.note(format!("answered {} {outcome:?}", request.0));
                let process = self.process.as_mut().expect("just seen");
                process.requests.remove(&request);
                process.knows_the_time |= date.is_some();
                Input::Answered { request, outcome, polar_clock: date }
            }
        };
        self.feed(input)
    }

    pub fn letters_are_durable(&mut self, text: &[u8]) {
        if self.plant == Some(Plant::LettersLost) {
            return;
        }
        for letter in letters::read(text).expect("they were read before") {
            if let Some(line) = self.oracle.line_of_letter(&letter) {
                self.oracle.lettered(line);
            }
        }
    }

    fn look(&mut self) -> Input {
        if let Some(sightings) = self.look_at_given() {
            return Input::Looked(sightings);
        }
        let mut sightings = Vec::new();
        for (at, source) in self.settings.sources.iter().enumerate() {
            let folders: Vec<&str> =
                source.files.include().iter().filter_map(|pattern| pattern.base.to_str()).collect();
            for (path, node) in self.disk.names() {
                if !folders.iter().any(|folder| path.starts_with(folder)) {
                    continue;
                }
                sightings.push(Sighting {
                    source: SourceIndex(u16::try_from(at).expect("few sources")),
                    path: path.into(),
                    file: self.disk.node(node).key,
                    size: self.known_size(path, node),
                    modified: self.disk.node(node).modified,
                    matched: source.files.captures(path).map(Arc::new),
                });
            }
        }
        self.first_look();
        if self.plant == Some(Plant::LastLookIsOld) && self.is_ending {
            for sighting in &mut sightings {
                sighting.size = self.size_when_read(&sighting.path);
            }
        }
        if self.plant == Some(Plant::EarsClosed) && self.clock > 5_000_000_000 {
            sightings.clear();
        }
        let seen: Vec<String> = sightings
            .iter()
            .map(|one| format!("{} {}:{} {}", one.source.0, one.path, one.file.inode, one.size))
            .collect();
        self.note(format!("looked {}", seen.join(", ")));
        Input::Looked(sightings)
    }

    /// How long the file at this path was when the process last read it.
    fn size_when_read(&self, path: &str) -> u64 {
        let node = self.disk.at(path).expect("it was just seen");
        let process = self.process.as_ref().expect("a look belongs to a process");
        process.read_until(self.disk.node(node).content).unwrap_or(self.disk.size(node))
    }

    /// Without a checkpoint the first look says which rotated files are strangers; without floors, where
    /// `read_from = "end"` begins.
    fn first_look(&mut self) {
        let process = self.process.as_mut().expect("a look belongs to a process");
        if std::mem::take(&mut process.looks_in_vain) || std::mem::replace(&mut process.has_looked, true) {
            return;
        }
        let process = self.process.as_ref().expect("just seen");
        let is_unknown = |path: &str| {
            let of_path =
                self.settings.sources.iter().find(|source| source.files.captures(unrotated(path)).is_some());
            of_path.is_some_and(|source| !process.known_sources.contains(&source.id))
        };
        // A checkpoint knows strangers by their inodes. One that was used again since it was saved belongs to
        // a file that Floe cannot tell from the stranger.
        let rotated = self.disk.names().filter(|(path, _)| !self.storm.matches(path));
        let strangers: BTreeSet<NodeId> = rotated
            .filter(|(path, node)| is_unknown(path) || process.strangers.contains(&self.disk.node(*node).key))
            .map(|(_, node)| node)
            .collect();
        if process.known_sources.is_empty() {
            self.storm.strangers.clear();
        }
        strangers.iter().for_each(|stranger| self.disk.keep_inode(*stranger));
        self.storm.strangers.extend(strangers);
        self.excuse_what_is_gone();
        self.floors_begin();
    }

    fn node_at(&self, path: &str, file: FileKey) -> Result<NodeId, DiskFault> {
        let node =
            self.disk.at(path).filter(|node| self.disk.node(*node).key == file).ok_or(DiskFault::Gone)?;
        if self.faults.opening {
            return Err(DiskFault::TooManyOpen);
        }
        if self.disk.node(node).denied {
            return Err(DiskFault::Denied);
        }
        if self.faults.reading {
            return Err(DiskFault::Other("input/output error".to_owned()));
        }
        Ok(node)
    }

    fn ask(&mut self, whom: &Whom, at: &[Offset], against: Option<Against>) -> Result<Asked, DiskFault> {
        let node = match whom {
            Whom::At { path, file } => self.node_at(path, *file)?,
            Whom::Open(_) if self.faults.reading => {
                return Err(DiskFault::Other("input/output error".to_owned()));
            }
            Whom::Open(stream) => {
                let process = self.process.as_ref().expect("jobs belong to a process");
                process.handles.get(stream).copied().ok_or(DiskFault::Gone)?
            }
        };
        let bytes = self.disk.bytes(node);
        let head = bytes[..bytes.len().min(HEAD_BYTES)].to_vec();
        let guards = at
            .iter()
            .map(|offset| {
                let before = bytes.get(..usize::try_from(offset.0).ok()?)?;
                Some((Guard::at_end_of(before), before.last().copied()))
            })
            .collect();
        let other = against.and_then(|against| {
            let process = self.process.as_ref()?;
            let node = process.handles.get(&against.stream)?;
            Some((against, self.disk.bytes(*node)))
        });
        let agreement = other.map(|(against, other)| agreement(bytes, other, against));
        let size = bytes.len() as u64;
        let furthest = at.iter().map(|offset| offset.0).max().unwrap_or(0).max(head.len() as u64);
        let size = self.learn_size(node, size, furthest);
        Ok(Asked { size, head, guards, agreement })
    }

    /// Of a compressed file only so much is known as somebody has read, and a little more.
    pub fn known_size(&self, path: &str, node: NodeId) -> u64 {
        if !path.ends_with(COMPRESSED) {
            return self.disk.size(node);
        }
        let process = self.process.as_ref().expect("a look belongs to a process");
        process.extents.get(&node).copied().unwrap_or(0)
    }

    fn learn_size(&mut self, node: NodeId, size: u64, read_to: u64) -> u64 {
        let is_compressed = self.disk.is_born_at(node, |path| path.ends_with(COMPRESSED));
        let Some(process) = self.process.as_mut().filter(|_| is_compressed) else { return size };
        let known = process.extents.entry(node).or_default();
        *known = size.min(read_to + 1).max(*known);
        *known
    }

    fn open(&mut self, stream: StreamId, path: &str, file: FileKey) -> Result<(), DiskFault> {
        let node = self.node_at(path, file)?;
        self.disk.open_for_reading(node);
        let process = self.process.as_mut().expect("jobs belong to a process");
        if let Some(before) = process.handles.insert(stream, node) {
            self.disk.close_reader(before);
        }
        Ok(())
    }

    fn close_stream(&mut self, stream: StreamId) {
        self.note(format!("close {stream:?}"));
        // The shell opens and closes in the order of the effects: what was closed is not opened afterwards.
        let is_opening = |event: &Event| matches!(event, Event::Job { job: Job::Open { stream: of, .. }, .. } if *of == stream);
        self.take_events(is_opening);
        let Some(process) = &mut self.process else { return };
        process.reads.retain(|_, of| *of != stream);
        if let Some(node) = process.handles.remove(&stream) {
            self.disk.close_reader(node);
            self.excuse_what_is_gone();
        }
    }

    fn read(&mut self, order: &ReadOrder, early: Option<(ContentId, Vec<u8>)>) -> Input {
        let read = order.read;
        let process = self.process.as_mut().expect("jobs belong to a process");
        let is_awaited = process.reads.remove(&read).is_some();
        let Some(node) = process.handles.get(&order.stream).copied() else {
            return Input::Mapped { read, result: Err(ReadFault::Gone), size: 0 };
        };
        if self.faults.reading {
            return Input::Mapped {
                read,
                result: Err(ReadFault::Io("input/output error".to_owned())),
                size: 0,
            };
        }
        let current = self.disk.node(node).content;
        let (content, bytes) = early.unwrap_or_else(|| (current, self.disk.bytes(node).to_vec()));
        let size = bytes.len() as u64;
        let result = self.map(order, &bytes);
        if let Ok(MappedChunk { span: Some(span), .. }) = &result
            && content == current
            && is_awaited
        {
            let process = self.process.as_mut().expect("jobs belong to a process");
            process.reach(content, span.start.0, span.end.0);
        }
        match &result {
            Ok(chunk) => self.note(format!(
                "mapped {} {:?} {:?} {} lines, {} held, size {size}",
                read.0,
                chunk.span,
                chunk.stop,
                chunk.lines.len(),
                chunk.held.len()
            )),
            Err(fault) => self.note(format!("mapped {} {fault:?}", read.0)),
        }
        // What was read before the stream had this file tells nothing of it.
        let size = match content == current {
            true => self.learn_size(node, size, order.from.0 + u64::from(order.limit)),
            false => size,
        };
        Input::Mapped { read, result, size }
    }

    fn map(&mut self, order: &ReadOrder, bytes: &[u8]) -> Result<MappedChunk, ReadFault> {
        let size = bytes.len() as u64;
        let from = usize::try_from(order.from.0).expect("virtual files fit in memory");
        let Some(wanted) = bytes.get(from..) else { return Err(ReadFault::Shrunk { size }) };
        let wanted = &wanted[..wanted.len().min(order.limit as usize)];
        let order = ReadOrder { polar_now: self.bend_clock(order.polar_now), ..order.clone() };
        let before = &bytes[from.saturating_sub(Guard::REACH)..from];
        if let Some((at, _)) = order.witness {
            let at = usize::try_from(at.0).expect("virtual files fit in memory");
            order.bear_out(bytes.get(..at).map(Guard::at_end_of))?;
        }
        let process = self.process.as_mut().expect("jobs belong to a process");
        let beyond = order.beyond.and_then(|(stream, limit)| {
            let head = self.disk.bytes(*process.handles.get(&stream)?);
            Some(head[..head.len().min(limit as usize)].to_vec())
        });
        let (scratch, beyond) = (&mut process.scratch, beyond.unwrap_or_default());
        let header = order.carry.header.map_or(&b""[..], |at| &bytes[usize::try_from(at.0).unwrap_or(0)..]);
        let read = ReadBytes { before, bytes: wanted, header, beyond: &beyond };
        let chunk = order.map(read, scratch);
        chunk.map(|chunk| self.bend_chunk(chunk))
    }

    /// The daemon is told of a change, or not.
    pub fn nudge(&mut self, log: usize) {
        if self.process.is_none() || self.backfill_runs() || !self.random.chance(self.scene.nudges) {
            return;
        }
        let path = if self.random.chance(80) { Some(self.storm.logs[log].path.clone()) } else { None };
        self.begin(Job::Nudge(path));
    }
}

/// `/var/log/app/app0.log.2` → `/var/log/app/app0.log`.
fn unrotated(path: &str) -> &str {
    path.find(".log").map_or(path, |at| &path[..at + ".log".len()])
}

fn refused(is_refused: bool) -> Result<(), DiskFault> {
    if is_refused { Err(DiskFault::Full) } else { Ok(()) }
}

/// As the `Date` header says it: whole seconds.
fn date(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).expect("the year is near 2026")
}

fn answer_of(reply: &Reply) -> floe::polar::Answer {
    let head = AnswerHead { status: reply.status, retry_after: reply.retry_after, ..AnswerHead::default() };
    read_answer(&head, reply.body.as_bytes())
}

fn agreement(bytes: &[u8], other: &[u8], against: Against) -> Agreement {
    let from = usize::try_from(against.from.0).expect("virtual files fit in memory");
    let limit = usize::try_from(against.limit).unwrap_or(usize::MAX);
    let mine = bytes.get(from..).unwrap_or_default();
    let theirs = other.get(from..).unwrap_or_default();
    let most = mine.len().min(theirs.len()).min(limit);
    let same = mine[..most].iter().zip(&theirs[..most]).take_while(|(one, two)| one == two).count();
    Agreement { until: Offset((from + same) as u64), differs: same < most }
}
