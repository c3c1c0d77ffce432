//! `floe reconcile`: what the files give, what the account says was sent, and what Polar has, held against each other.
//!
//! One segment of one file is compared at a time, so memory holds what 16 MiB of lines give. Of what is missing only the
//! places are kept; its lines are read once more to name it and, where that is wanted, to send it. Nothing is sent
//! else, and the same ids make that safe: what Polar has already it does not take again.

mod ask;
mod details;
mod memory;
mod report;
mod search;
mod strangers;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::runtime::Runtime;

use self::ask::Asker;
use self::details::Wanted;
use self::memory::{Memory, Settled};
use self::strangers::Stranger;
use super::client::Client;
use super::errand::Courier;
use super::recount::{Buffers, PieceLine, Recount, Stream, events_of};
use super::state::StateFault;
use crate::agent::reconcile::{Comparison, Found, Says, Sheet};
use crate::mapping::TimeRange;
use crate::mapping::segment::{SEGMENT_BYTES, segment_name, segment_number};
use crate::model::{Fate, Offset};

pub use report::{Counts, Mended, Own, Report, Row, Surplus, Uncompared};

/// What was sent so long ago, and is there, stays there.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Options {
    /// Of the events' own time.
    pub range: TimeRange,
    /// Ask for segments that are settled, too.
    pub again: bool,
    /// Send what is missing.
    pub fix: bool,
    /// Do not tell of what is altered or surplus again.
    pub accept: bool,
    /// How long Polar may take to show what it took.
    pub grace: Duration,
    /// Events that are named, of each kind.
    pub most_named: usize,
    /// Rows without drift, too.
    pub all_rows: bool,
    pub requests_per_minute: u32,
}

/// Why there is no report.
#[derive(Debug)]
pub enum ReconcileFault {
    Polar(String),
    State(StateFault),
}

/// What whoever waits is told.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    pub path: &'a str,
    pub segments: u64,
    pub requests: u64,
    pub events: u64,
}

/// Compares everything that the recount knows. `courier`: to send what is missing.
///
/// # Errors
/// [`ReconcileFault`]; what was settled before is remembered.
pub fn reconcile(
    recount: &Recount,
    client: Client,
    courier: Option<Courier>,
    runtime: &Runtime,
    options: Options,
    tell: &mut dyn FnMut(Progress<'_>),
) -> Result<Report, ReconcileFault> {
    let memory = Memory::open(&recount.settings().state_dir).map_err(ReconcileFault::State)?;
    let asker = Asker::new(client, options.requests_per_minute);
    let mut reconciling = Reconciling {
        key: recount.settings().polar.reconcile_key.clone(),
        recount,
        runtime,
        asker,
        courier,
        memory,
        options,
        began: Instant::now(),
        report: Report::default(),
        buffers: Buffers::default(),
        tell,
    };
    let done = reconciling.all();
    let saved = reconciling.memory.save();
    done?;
    let folder = recount.settings().state_dir.join("reconcile");
    saved.map_err(|error| ReconcileFault::State(super::state::unusable(&folder, &error)))?;
    Ok(reconciling.report)
}

struct Reconciling<'a> {
    recount: &'a Recount,
    runtime: &'a Runtime,
    asker: Asker,
    courier: Option<Courier>,
    memory: Memory,
    key: Option<String>,
    options: Options,
    began: Instant,
    report: Report,
    buffers: Buffers,
    tell: &'a mut dyn FnMut(Progress<'_>),
}

impl Reconciling<'_> {
    fn all(&mut self) -> Result<(), ReconcileFault> {
        let recount = self.recount;
        self.say_what_is_known();
        for stream in recount.streams() {
            let wanted = self.stream(stream)?;
            self.name_and_mend(stream, &wanted);
        }
        let names: BTreeSet<String> =
            recount.streams().iter().map(|stream| stem_of(&segment_name(&stream.key, 0))).collect();
        self.memory.keep(&names);
        self.report.requests = self.asker.requests;
        Ok(())
    }

    fn say_what_is_known(&mut self) {
        let checkpoint = self.recount.checkpoint();
        let report = &mut self.report;
        report.saved_at.clone_from(&checkpoint.saved_at);
        report.key.clone_from(&self.key);
        report.account_events =
            checkpoint.accounts.iter().map(|(source, account)| (source.clone(), account.events)).collect();
        for (source, lacking) in self.recount.lacking() {
            if lacking.unaccounted_bytes > 0 {
                report.began_later.push(source.clone());
            }
            if lacking.forgotten_bytes > 0 {
                report.forgotten_bytes.insert(source, lacking.forgotten_bytes);
            }
        }
        if self.options.fix {
            report.mended = Some(Mended::default());
        }
    }

    /// Compares one stream, and gives what is to be named of it.
    fn stream(&mut self, stream: &Stream) -> Result<Wanted, ReconcileFault> {
        let mut wanted = Wanted::default();
        let recount = self.recount;
        let mut buffers = std::mem::take(&mut self.buffers);
        let (mut number, mut sheet) = (0, Sheet::default());
        let mut fault = None;
        let read = recount.read(stream, &mut buffers, |piece| {
            for line in &piece.lines {
                let of_line = segment_number(line.at);
                if of_line != number && !sheet.is_empty() {
                    let full = std::mem::take(&mut sheet);
                    if let Err(why) = self.segment(stream, number, full, &mut wanted) {
                        fault = Some(why);
                        return ControlFlow::Break(());
                    }
                }
                number = of_line;
                add_line(&mut sheet, line, self.key.as_deref());
            }
            ControlFlow::Continue(())
        });
        self.buffers = buffers;
        if let Some(why) = fault {
            return Err(ReconcileFault::Polar(why));
        }
        if !sheet.is_empty() {
            self.segment(stream, number, sheet, &mut wanted).map_err(ReconcileFault::Polar)?;
        }
        if let Err(unread) = read {
            self.report.uncompared.push(Uncompared {
                source: stream.source.clone(),
                path: stream.path.clone(),
                bytes: stream.span.end.0 - unread.at.0,
                why: unread.why,
            });
        }
        Ok(wanted)
    }

    fn segment(
        &mut self,
        stream: &Stream,
        number: u64,
        mut sheet: Sheet,
        wanted: &mut Wanted,
    ) -> Result<(), String> {
        if !self.is_in_range(&sheet) {
            return Ok(());
        }
        let name = segment_name(&stream.key, number);
        let end = Offset(((number + 1) * SEGMENT_BYTES).min(stream.span.end.0));
        let print = sheet.print();
        if self.key.is_some() && !self.options.again && self.memory.knows(&name, end, print) {
            self.report.segments_remembered += 1;
            sheet.expected.iter_mut().for_each(|expected| expected.found = Found::Yes);
            self.count(stream, &name, number, &sheet, &[], &[]);
            return Ok(());
        }
        self.report.segments_asked += 1;
        let mut strangers = self.ask(&name, &mut sheet)?;
        if sheet.missing().next().is_some() && self.wait_for_grace() {
            sheet.forget();
            strangers = self.ask(&name, &mut sheet)?;
        }
        if self.key.is_some() && sheet.missing().next().is_some() {
            self.ask_without_key(&mut sheet)?;
        }
        if end == stream.span.end && !strangers.is_empty() {
            self.let_pass_what_is_under_way(stream, &mut strangers);
        }
        let ways: Vec<Vec<Says>> = strangers.iter().map(|stranger| stranger.ways.clone()).collect();
        let origins =
            if self.key.is_some() { Comparison::new(&mut sheet).altered(&ways) } else { Vec::new() };
        let (strangers, origins) = self.let_pass_what_is_accepted(&mut sheet, strangers, origins);
        let drift = self.count(stream, &name, number, &sheet, &strangers, &origins);
        self.remember(name, end, print, &sheet, drift);
        wanted.take(&sheet, &strangers, &origins);
        if self.options.accept {
            self.report.accepted_now += strangers.len() as u64;
            strangers.iter().for_each(|stranger| self.memory.accept(&stranger.id));
        }
        self.name_surplus(stream, &sheet, strangers, &origins);
        Ok(())
    }

    /// Somebody has dealt with these events: they are as good as they can be.
    fn let_pass_what_is_accepted(
        &mut self,
        sheet: &mut Sheet,
        strangers: Vec<Stranger>,
        origins: Vec<Option<usize>>,
    ) -> (Vec<Stranger>, Vec<Option<usize>>) {
        let (accepted, left): (Vec<_>, Vec<_>) =
            strangers.into_iter().zip(origins).partition(|(stranger, _)| self.memory.accepts(&stranger.id));
        self.report.accepted += accepted.len() as u64;
        for origin in accepted.into_iter().filter_map(|(_, origin)| origin) {
            sheet.expected[origin].found = Found::Yes;
        }
        left.into_iter().unzip()
    }

    /// Polar shows an event some time after it took it. Whether there was something to wait for.
    fn wait_for_grace(&mut self) -> bool {
        let since_saved = self.recount.saved_at().map(|at| Timestamp::now().duration_since(at));
        let since_saved = since_saved.and_then(|since| Duration::try_from(since).ok()).unwrap_or_default();
        let left = self.options.grace.saturating_sub(since_saved.max(self.began.elapsed()));
        std::thread::sleep(left);
        !left.is_zero()
    }

    /// Lines behind the frontier may be sent and not acknowledged, or acknowledged since.
    fn let_pass_what_is_under_way(&mut self, stream: &Stream, strangers: &mut Vec<Stranger>) {
        let mut under_way: BTreeMap<Says, u64> = BTreeMap::new();
        let key = self.key.as_deref();
        let mut buffers = std::mem::take(&mut self.buffers);
        // Where it cannot be read there is nothing to let pass.
        let _ = self.recount.read_on(stream, &mut buffers, |piece| {
            for (event, _) in piece.lines.iter().flat_map(|line| events_of(&line.body)) {
                *under_way.entry(strangers::says_of(&event, key)).or_default() += 1;
            }
            ControlFlow::Continue(())
        });
        self.buffers = buffers;
        strangers.retain(|stranger| {
            let timeless = stranger.ways.iter().map(|says| Says { time: 0, ..*says });
            let found = stranger.ways.iter().copied().chain(timeless).find_map(|says| {
                let left = under_way.get_mut(&says).filter(|left| **left > 0)?;
                *left -= 1;
                Some(())
            });
            found.is_none()
        });
    }

    fn is_in_range(&self, sheet: &Sheet) -> bool {
        let TimeRange { since, until } = self.options.range;
        // Without a time of its own an event is of no range.
        let Some((first, last)) = sheet.times else { return since.is_none() && until.is_none() };
        since.is_none_or(|since| since <= last) && until.is_none_or(|until| first < until)
    }

    fn remember(&mut self, name: String, end: Offset, print: u64, sheet: &Sheet, drift: u64) {
        let now = Timestamp::now();
        let is_old = sheet.times.is_some_and(|(_, last)| now.duration_since(last) >= SETTLED_AFTER);
        let has_no_time = sheet.expected.iter().any(|expected| expected.says.time == 0);
        if self.key.is_some() && drift == 0 && is_old && !has_no_time {
            self.memory.settle(name, Settled { end, print, checked_at: now });
        } else {
            self.memory.forget(&name);
        }
    }

    /// Counts by customer and name, and gives the drift.
    fn count(
        &mut self,
        stream: &Stream,
        segment: &str,
        number: u64,
        sheet: &Sheet,
        strangers: &[Stranger],
        origins: &[Option<usize>],
    ) -> u64 {
        let mut counts: BTreeMap<(String, String), Counts> = BTreeMap::new();
        for expected in &sheet.expected {
            if self.key.is_none() && expected.says.time == 0 {
                self.report.without_time += 1;
                continue;
            }
            self.report.without_key += u64::from(expected.found == Found::WithoutKey);
            let of_whose = counts.entry(sheet.whose(expected.whose).clone()).or_default();
            of_whose.expected += 1;
            if expected.is_sent {
                of_whose.sent += 1;
                match expected.found {
                    Found::Yes | Found::WithoutKey => of_whose.present += 1,
                    Found::No => of_whose.missing += 1,
                    Found::But(_) => of_whose.altered += 1,
                }
            }
        }
        for (stranger, _) in strangers.iter().zip(origins).filter(|(_, origin)| origin.is_none()) {
            let whose = (stranger.customer.clone(), stranger.name.clone());
            counts.entry(whose).or_default().surplus += 1;
        }
        let mut drift = 0;
        for ((customer, name), counts) in counts {
            drift += counts.drift();
            self.report.counts.add(&counts);
            let is_wanted = counts.drift() > 0 || self.options.all_rows;
            let has_room = self.options.all_rows || self.report.rows.len() < self.options.most_named;
            self.report.rows_left += u64::from(is_wanted && !has_room);
            if is_wanted && has_room {
                self.report.rows.push(Row {
                    source: stream.source.clone(),
                    path: stream.path.clone(),
                    segment: segment.to_owned(),
                    from: (number * SEGMENT_BYTES).max(stream.span.start.0),
                    to: ((number + 1) * SEGMENT_BYTES).min(stream.span.end.0),
                    customer,
                    name,
                    counts,
                });
            }
        }
        (self.tell)(Progress {
            path: &stream.path,
            segments: self.report.segments_asked + self.report.segments_remembered,
            requests: self.asker.requests,
            events: self.report.counts.expected,
        });
        drift
    }

    fn name_surplus(
        &mut self,
        stream: &Stream,
        sheet: &Sheet,
        strangers: Vec<Stranger>,
        origins: &[Option<usize>],
    ) {
        let nobodys = strangers.into_iter().zip(origins).filter(|(_, origin)| origin.is_none());
        for (stranger, _) in nobodys {
            if self.report.surplus.len() >= self.options.most_named {
                return;
            }
            let says_the_same = |says: &Says| {
                stranger.ways.iter().any(|way| way == says || Says { time: 0, ..*way } == *says)
            };
            let line = sheet.expected.iter().find(|expected| says_the_same(&expected.says));
            self.report.surplus.push(Surplus {
                polar_id: stranger.id,
                name: stranger.name,
                customer: stranger.customer,
                timestamp: stranger.timestamp,
                source: stream.source.clone(),
                path: stream.path.clone(),
                offset: line.map(|expected| expected.line.0),
            });
        }
    }
}

fn add_line(sheet: &mut Sheet, line: &PieceLine, key: Option<&str>) {
    let is_sent = line.fate == Fate::Billed;
    for (number, (event, _)) in (0_u16..).zip(events_of(&line.body)) {
        let says = strangers::says_of(&event, key);
        let whose = (event.customer().to_owned(), event.name.into_owned());
        sheet.add(line.at, number, says, whose, event.timestamp, is_sent);
    }
}

/// How the names of a stream's segments begin.
fn stem_of(segment: &str) -> String {
    segment.split('-').next().unwrap_or_default().to_owned()
}
