//! `floe quarantine retry`: letters → lines → events → verdicts → what is settled, in batches.
//!
//! The daemon may run beside it. Its books are left alone: what is settled here stands in the journal of
//! [`retried`](super::retried). A letter is retried only once the daemon's checkpoint has passed its line: before
//! that its account does not count the line, and after a crash the daemon would read it again.

mod report;

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::agent::checkpoint::Checkpoint;
use crate::agent::transfers::Transfer;
use crate::agent::{ErrandLine, ErrandVerdict};
use crate::config::Settings;
use crate::mapping::identity::stream_key;
use crate::mapping::{Again, MapContext, Rules, are_lines_of, is_named_by, lines_of, map_again};
use crate::model::{Fate, Generation, Ignored, Letter, Offset, Quarantined, SourceIndex};
use crate::shell::client::Client;
use crate::shell::content::{Content, Extents};
use crate::shell::disk::read_fully_at;
use crate::shell::errand::Courier;
use crate::shell::quarantine::folder_path;
use crate::shell::retried::{Entry, Journal};
use crate::shell::shelf::{Fetched, Place, Shelf, Shelved};

pub use report::{Obstacle, Report, Selection};

/// Letters, and bytes of their files, that are looked at together.
const BATCH_LETTERS: usize = 2_000;
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Why there is no report.
#[derive(Debug)]
pub enum RetryFault {
    /// A file of the quarantine cannot be read.
    Unreadable(String),
    /// What is settled cannot be written down.
    Unwritable(String),
    /// Another retry runs.
    InUse,
}

/// What a retry is started with.
#[derive(Debug)]
pub struct Retry {
    settings: Settings,
    rules: Rules,
    selection: Selection,
    /// How far the daemon's account has come, by source, print and ordinal.
    frontiers: HashMap<(String, String, u32), Offset>,
    /// When that was said.
    saved_at: String,
    report: Report,
}

/// What a letter came to be, as far as can be told without Polar.
enum Step {
    Send(ErrandLine, String),
    Ignored(Ignored),
    Refused { reason: Quarantined, detail: String, rule: Option<String> },
    Future,
    Blocked(Obstacle),
}

impl Retry {
    #[must_use]
    pub fn new(settings: Settings, selection: Selection, checkpoint: &Checkpoint) -> Self {
        let rules = Rules::compile(&settings);
        let frontiers = checkpoint
            .files
            .iter()
            .map(|file| ((file.source.clone(), file.print.clone(), file.ordinal), file.frontier))
            .collect();
        let saved_at = checkpoint.saved_at.clone();
        Self { settings, rules, selection, frontiers, saved_at, report: Report::default() }
    }

    /// Says what would become of the letters. Nothing is sent, and nothing written.
    ///
    /// # Errors
    /// [`RetryFault::Unreadable`].
    pub fn try_out(mut self, shelf: &Shelf) -> Result<Report, RetryFault> {
        let polar_now = Timestamp::now();
        let read = shelf.read(|shelved| {
            if self.selection.takes(&shelved) {
                match self.step(&shelved, polar_now) {
                    Step::Send(line, rule) => self.count_billed(&rule, u64::from(line.events)),
                    step => self.count(&shelved.letter, step),
                }
            }
            Ok(())
        });
        read.map_err(unreadable)?;
        Ok(self.report)
    }

    /// Sends what can be sent, and settles what is decided.
    ///
    /// # Errors
    /// [`RetryFault`]; what was settled before stays so.
    pub async fn run(mut self, client: Client, give_up_after: Duration) -> Result<Report, RetryFault> {
        let state_dir = self.settings.state_dir.clone();
        let mut journal = begin(&state_dir)?;
        let shelf = Shelf::open(&state_dir).map_err(|(path, error)| {
            RetryFault::Unreadable(format!("{path:?}: {}", crate::shell::disk::words_of(&error)))
        })?;
        let places = shelf.select(|shelved| self.selection.takes(shelved)).map_err(unreadable)?;
        if places.is_empty() {
            return Ok(self.report);
        }
        let mut courier = Courier::new(client, self.settings.delivery.clone(), give_up_after);
        // Where it fails, the letters are counted below.
        let _ = courier.get_ready().await;
        for batch in batches(&places) {
            let batch: io::Result<Vec<Fetched>> = batch.iter().map(|place| shelf.fetch(place)).collect();
            let entry = self.settle(&batch.map_err(unreadable)?, &mut courier).await;
            journal.write(&entry).map_err(|error| unwritable(&error))?;
        }
        journal.put_in_order().map_err(|error| unwritable(&error))?;
        self.report.counted = courier.counted();
        self.report.why = courier.given_up().map(str::to_owned);
        Ok(self.report)
    }

    /// Brings a batch of letters home.
    async fn settle(&mut self, batch: &[Fetched], courier: &mut Courier) -> Entry {
        let before = courier.counted();
        let mut entry = Entry::default();
        let (mut sent, mut lines) = (Vec::new(), Vec::new());
        for kept in batch {
            let shelved = kept.shelved();
            match self.step(&shelved, courier.polar_now()) {
                _ if courier.given_up().is_some() => self.report.given_up += 1,
                Step::Send(line, rule) => {
                    sent.push((kept, rule, u64::from(line.events)));
                    lines.push(line);
                }
                step => self.conclude(&shelved, step, &mut entry),
            }
        }
        let verdicts = if lines.is_empty() { Vec::new() } else { courier.deliver(lines).await };
        for ((kept, rule, events), verdict) in sent.iter().zip(verdicts) {
            let shelved = kept.shelved();
            match verdict {
                ErrandVerdict::Billed => {
                    self.count_billed(rule, *events);
                    entry.settle(&shelved, Fate::Billed, *events, Some(rule));
                }
                ErrandVerdict::Condemned { reason, detail, events } => {
                    let letter = refused_anew(&shelved.letter, reason, &detail, Some(rule), Some(&events));
                    self.count_refused(&shelved.letter, reason, &detail);
                    entry.replace(&shelved, reason, &letter);
                }
                ErrandVerdict::Future => self.report.future += 1,
                ErrandVerdict::GivenUp => self.report.given_up += 1,
            }
        }
        let after = courier.counted();
        entry.transfers.inserted = after.inserted - before.inserted;
        entry.transfers.duplicates = after.duplicates - before.duplicates;
        entry
    }

    /// What needs no answer of Polar.
    fn conclude(&mut self, shelved: &Shelved<'_>, step: Step, entry: &mut Entry) {
        match &step {
            Step::Ignored(reason) => entry.settle(shelved, Fate::Ignored(*reason), 0, None),
            Step::Refused { reason, detail, rule } if *reason != shelved.letter.reason => {
                let letter = refused_anew(&shelved.letter, *reason, detail, rule.as_deref(), None);
                entry.replace(shelved, *reason, &letter);
            }
            _ => {}
        }
        self.count(&shelved.letter, step);
    }

    fn count(&mut self, letter: &Letter<'_>, step: Step) {
        match step {
            Step::Send(..) => unreachable!("what is sent is counted by its verdict"),
            Step::Ignored(reason) => *self.report.ignored.entry(reason).or_default() += 1,
            Step::Refused { reason, detail, .. } => self.count_refused(letter, reason, &detail),
            Step::Future => self.report.future += 1,
            Step::Blocked(obstacle) => {
                let (lines, example) = self.report.obstacles.entry(obstacle).or_default();
                *lines += 1;
                *example = format!("{:?} at byte {}", letter.path, letter.offset);
            }
        }
    }

    fn count_billed(&mut self, rule: &str, events: u64) {
        let (lines, sum) = self.report.billed.entry(rule.to_owned()).or_default();
        *lines += 1;
        *sum += events;
    }

    fn count_refused(&mut self, letter: &Letter<'_>, reason: Quarantined, detail: &str) {
        let (lines, last) = self.report.refused.entry((letter.reason, reason)).or_default();
        *lines += 1;
        detail.clone_into(last);
    }

    /// Maps a letter's line again.
    fn step(&self, shelved: &Shelved<'_>, polar_now: Timestamp) -> Step {
        let letter = &shelved.letter;
        let Some(generation) = letter.generation() else { return Step::Blocked(Obstacle::OfBefore) };
        let source = self.settings.sources.iter().position(|source| source.id == letter.source);
        let Some(source) = source else { return Step::Blocked(Obstacle::NoSource) };
        if shelved.is_of_daemon && !self.is_passed(letter, generation) {
            return Step::Blocked(Obstacle::UnderWay);
        }
        let key = stream_key(&self.settings.instance, &letter.source, generation.print, generation.ordinal);
        let context = MapContext {
            rules: &self.rules,
            source: SourceIndex(u16::try_from(source).expect("a config has few sources")),
            stream_key: &key,
            generation,
            path: &letter.path,
            captures: &letter.captures,
            expected: None,
            long_line: None,
            polar_now,
            room: usize::MAX,
        };
        let most = u64::from(self.settings.sources[source].max_line_bytes) + LINE_END_BYTES;
        match lines_in(letter, &context, most) {
            Lines::Found(lines) => self.mapped(letter, &context, &lines),
            Lines::Refused(events) => resend(letter, events),
            Lines::TooLong => Step::Refused {
                reason: Quarantined::LineTooLong,
                detail: letter.detail.to_string(),
                rule: None,
            },
            Lines::Gone => Step::Blocked(Obstacle::TextIsGone),
        }
    }

    fn mapped(&self, letter: &Letter<'_>, context: &MapContext<'_>, lines: &[u8]) -> Step {
        match map_again(context, letter.offset, lines, letter.header.as_deref()) {
            Again::Billed(billed) if billed.due.is_some() => Step::Future,
            Again::Billed(billed) => {
                let line =
                    ErrandLine { body: billed.body, events: billed.events, natural_ids: billed.natural_ids };
                Step::Send(line, self.settings.rules[usize::from(billed.rule)].id.clone())
            }
            Again::Ignored(reason) => Step::Ignored(reason),
            Again::Quarantined { reason, detail, rule } => Step::Refused { reason, detail, rule },
            Again::OtherRecords => Step::Blocked(Obstacle::OtherRecords),
        }
    }

    /// Whether the daemon's account counts the line as quarantined: its frontier is behind it, or its file is
    /// settled and forgotten.
    fn is_passed(&self, letter: &Letter<'_>, generation: Generation) -> bool {
        let key = (letter.source.to_string(), generation.print.to_string(), generation.ordinal);
        match self.frontiers.get(&key) {
            Some(frontier) => *frontier >= letter.offset.plus(letter.length),
            None => letter.quarantined_at.as_deref().is_none_or(|at| is_before(at, &self.saved_at)),
        }
    }
}

fn is_before(at: &str, other: &str) -> bool {
    let time = |text: &str| text.parse::<Timestamp>().ok();
    time(at).zip(time(other)).is_some_and(|(at, other)| at < other)
}

/// Most bytes of a line end.
const LINE_END_BYTES: u64 = 2;

/// What there is to map.
enum Lines<'a> {
    Found(Vec<u8>),
    /// Only the events that Polar refused.
    Refused(&'a RawValue),
    TooLong,
    Gone,
}

/// The bytes of a letter's line: as it keeps them, or out of the file.
fn lines_in<'l>(letter: &'l Letter<'_>, context: &MapContext<'_>, most: u64) -> Lines<'l> {
    if let Some(lines) = lines_of(letter, context) {
        return Lines::Found(lines);
    }
    if letter.reason == Quarantined::LineTooLong && letter.length > most {
        return Lines::TooLong;
    }
    let there = read_again(letter, most);
    if let Some(events) = &letter.events {
        let ids = external_ids(events);
        let is_it = |lines: &Vec<u8>| {
            is_named_by(context, letter.offset, lines, letter.rule.as_deref(), &ids)
                && map_again(context, letter.offset, lines, None) != Again::OtherRecords
        };
        return there.filter(is_it).map_or(Lines::Refused(events), Lines::Found);
    }
    there.filter(|lines| are_lines_of(letter, context, lines)).map_or(Lines::Gone, Lines::Found)
}

/// What stands at the letter's place in the file at its path, whatever file that is.
fn read_again(letter: &Letter<'_>, most: u64) -> Option<Vec<u8>> {
    // A record of several lines is a little longer in its file than its text.
    let length = usize::try_from(letter.length).ok().filter(|_| letter.length <= 2 * most)?;
    let file = Content::open(Path::new(letter.path.as_ref()), &Extents::default()).ok()?;
    if !file.file().metadata().ok()?.is_file() {
        return None;
    }
    let mut lines = vec![0; length];
    let filled = read_fully_at(&file, &mut lines, letter.offset.0).ok()?;
    (filled == length).then_some(lines)
}

fn external_ids(events: &RawValue) -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct Named {
        external_id: Option<String>,
    }
    let events: Vec<Named> = serde_json::from_str(events.get()).unwrap_or_default();
    events.into_iter().filter_map(|event| event.external_id).collect()
}

/// The events that Polar refused, word for word.
fn resend(letter: &Letter<'_>, events: &RawValue) -> Step {
    let Ok(events) = serde_json::from_str::<Vec<&RawValue>>(events.get()) else {
        return Step::Blocked(Obstacle::TextIsGone);
    };
    let Ok(count) = u16::try_from(events.len()) else { return Step::Blocked(Obstacle::TextIsGone) };
    let mut body = Vec::new();
    for event in events {
        body.extend_from_slice(event.get().as_bytes());
        body.push(b',');
    }
    let line = ErrandLine { body, events: count, natural_ids: true };
    Step::Send(line, letter.rule.as_deref().unwrap_or_default().to_owned())
}

/// The letter with what is wrong now. Events are kept only where there is no text that could be mapped again.
fn refused_anew(
    letter: &Letter<'_>,
    reason: Quarantined,
    detail: &str,
    rule: Option<&str>,
    events: Option<&[u8]>,
) -> Box<RawValue> {
    let events = events.filter(|_| letter.text.is_none()).map(|events| {
        let events = format!("[{}]", String::from_utf8_lossy(events));
        RawValue::from_string(events).expect("mapping writes events as JSON")
    });
    let anew = Letter {
        reason,
        detail: detail.into(),
        rule: rule.map(Into::into),
        events: events.or_else(|| letter.events.clone()),
        ..letter.clone()
    };
    let mut line = anew.to_line();
    line.pop();
    let line = String::from_utf8(line).expect("JSON is UTF-8");
    RawValue::from_string(line).expect("a letter is JSON")
}

impl Entry {
    /// The line is billed, or ignored.
    fn settle(&mut self, shelved: &Shelved<'_>, to: Fate, events: u64, rule: Option<&str>) {
        self.gone.push(shelved.id);
        self.transfer(shelved, to, events, rule);
    }

    /// The line is quarantined for another reason, or another word of Polar.
    fn replace(&mut self, shelved: &Shelved<'_>, reason: Quarantined, letter: &RawValue) {
        self.now.push(letter.to_owned());
        if reason != shelved.letter.reason {
            self.transfer(shelved, Fate::Quarantined(reason), 0, None);
        }
    }

    /// Lines of a backfill are in no account of the daemon.
    fn transfer(&mut self, shelved: &Shelved<'_>, to: Fate, events: u64, rule: Option<&str>) {
        let Letter { source, reason, length, .. } = &shelved.letter;
        if shelved.is_of_daemon {
            let from = Fate::Quarantined(*reason);
            self.transfers.add(&Transfer { source, from, to, bytes: *length, events, rule });
        }
    }
}

/// Ends what an earlier retry began: the letters that it settled are taken out of their files.
///
/// # Errors
/// [`RetryFault`].
pub fn put_in_order(state_dir: &Path) -> Result<(), RetryFault> {
    if !folder_path(state_dir).is_dir() {
        return Ok(());
    }
    begin(state_dir).map(drop)
}

pub(super) fn begin(state_dir: &Path) -> Result<Journal, RetryFault> {
    Journal::begin(&folder_path(state_dir)).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => RetryFault::InUse,
        _ => unwritable(&error),
    })
}

/// Some letters at a time: so many, or so many bytes of their files, or one.
fn batches(places: &[Place]) -> impl Iterator<Item = &[Place]> {
    let mut rest = places;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |place: &&Place| {
            bytes += place.length;
            bytes <= BATCH_BYTES
        };
        let count = rest.iter().take(BATCH_LETTERS).take_while(fits).count().max(1).min(rest.len());
        let (batch, after) = rest.split_at(count);
        rest = after;
        (!batch.is_empty()).then_some(batch)
    })
}

pub(super) fn unreadable(error: io::Error) -> RetryFault {
    RetryFault::Unreadable(crate::shell::disk::words_of(&error))
}

pub(super) fn unwritable(error: &io::Error) -> RetryFault {
    RetryFault::Unwritable(crate::shell::disk::words_of(error))
}
