//! One history: the world, the daemon in it, and the clock that drives both.
//!
//! Everything that can happen is an [`Event`] with a time. The loop takes the earliest one, moves the clock
//! there, lets it happen, and checks the invariants. The agent runs in the same shell border as in the daemon:
//! inputs in, effects out (see `shell.rs`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use floe::agent::checkpoint::{Checkpoint, Floors, unseal};
use floe::agent::{Agent, Input, Now, RequestId, Restored};
use floe::config::Settings;
use floe::mapping::Rules;
use floe::model::Moment;

use crate::backfill::Backfills;
use crate::disk::{ContentId, Disk, LineId, NodeId};
use crate::floors::FloorsBegun;
use crate::history::History;
use crate::invariants::{self, Held, Invariant, Violation, violated};
use crate::lines::Clocks;
use crate::oracle::Oracle;
use crate::plants::Plant;
use crate::polar::{Mood, Polar};
use crate::process::Process;
use crate::random::Random;
use crate::scene::{MAX_FUTURE, Scene};
use crate::shell::Job;
use crate::storm::Storm;

/// True time at clock 0: Polar's clock shows it.
const DAWN: i64 = 1_790_000_000;

pub const SECOND: u64 = 1_000_000_000;

/// How long it may take, in virtual time, until all is home once the storm is over.
const HOMECOMING: u64 = 2 * 3600 * SECOND;

/// Requests that a line may cost where batches are as small as can be.
const REQUESTS_A_LINE: u64 = 4;

/// Enough for the last lines, whatever the budget of requests.
const LAST_DRAIN: Duration = Duration::from_secs(600);

/// Ticks without a step of the clock: more of them are a busy loop.
const MOST_TICKS_IN_VAIN: u32 = 100;

/// More steps than any history needs: one that makes them runs in circles.
const MOST_STEPS: u64 = 400_000;

#[derive(Debug)]
pub enum Event {
    /// The storm makes its next move.
    Move,
    /// Something of the daemon's shell is done.
    Job { process: u32, job: Job },
    /// A request comes to Polar. The answer goes to whoever still waits for it.
    Arrival { process: u32, request: RequestId, body: Bytes, answered: bool },
    /// The second half of copytruncate.
    Truncate { log: usize, node: NodeId },
    /// The compressor goes on.
    Compress { from: NodeId, to: NodeId },
    /// The daemon is started again.
    Start,
    /// A line is written while all comes home.
    Trickle,
    /// The operator waits no longer for a backfill.
    Interrupt { process: u32 },
}

/// What outlives the daemon.
#[derive(Debug, Default)]
pub struct StateFolder {
    pub current: Option<Vec<u8>>,
    pub previous: Option<Vec<u8>>,
    pub floors: Option<Vec<u8>>,
    /// A checkpoint was saved in it once.
    pub has_saved: bool,
}

impl StateFolder {
    /// A new checkpoint takes the place of the current one, where there is one.
    pub fn save(&mut self, checkpoint: Vec<u8>) {
        self.has_saved = true;
        if let Some(before) = self.current.replace(checkpoint) {
            self.previous = Some(before);
        }
    }

    /// The newest checkpoint that is whole, for one who only reads.
    pub fn newest(&self) -> Option<Checkpoint> {
        let slots = [&self.current, &self.previous].into_iter().flatten();
        slots.map(Vec::as_slice).find_map(|bytes| Checkpoint::read(bytes).ok())
    }

    /// The newest checkpoint that is whole. A damaged one is set aside, so that it does not take the place of the
    /// one before.
    fn restore(&mut self) -> Option<Checkpoint> {
        for slot in [&mut self.current, &mut self.previous] {
            let read = slot.as_deref().map(Checkpoint::read);
            match read {
                Some(Ok(checkpoint)) => return Some(checkpoint),
                Some(Err(_)) => *slot = None,
                None => {}
            }
        }
        None
    }
}

/// What the disk under the state folder and the logs refuses now.
#[derive(Debug, Default)]
pub struct DiskFaults {
    pub saving: bool,
    pub quarantine: bool,
    pub reading: bool,
    pub opening: bool,
}

pub struct Simulation {
    pub random: Random,
    /// Nanoseconds since the history began.
    pub clock: u64,
    /// How far the host's wall clock is ahead of the truth.
    pub host_ahead: SignedDuration,
    pub scene: Scene,
    /// What the daemon is started with.
    pub settings: Arc<Settings>,
    pub disk: Disk,
    pub faults: DiskFaults,
    pub polar: Polar,
    pub oracle: Oracle,
    pub state: StateFolder,
    pub backfills: Backfills,
    pub process: Option<Process>,
    pub processes: u32,
    pub storm: Storm,
    pub floors: FloorsBegun,
    pub history: History,
    pub plant: Option<Plant>,
    pub steps: u64,
    /// Up to where each content was found settled when a checkpoint passed it.
    pub verified: BTreeMap<ContentId, u64>,
    /// The last drain has begun.
    pub is_ending: bool,
    ticks_in_vain: u32,
    events: BTreeMap<(u64, u64), Event>,
    events_made: u64,
}

/// What a history came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    pub hash: u64,
    pub steps: u64,
}

impl Simulation {
    pub fn new(seed: u64, plant: Option<Plant>, told: bool) -> Self {
        let mut random = Random::new(seed);
        let scene = Scene::new(&mut random);
        let storm = Storm::new(&scene, &mut random);
        let dawn = Timestamp::from_second(DAWN).expect("the year is near 2026");
        Self {
            clock: 0,
            host_ahead: SignedDuration::ZERO,
            settings: Arc::clone(&scene.settings),
            disk: Disk::new(scene.tells_births),
            scene,
            faults: DiskFaults::default(),
            polar: Polar::new(dawn),
            oracle: Oracle::default(),
            state: StateFolder::default(),
            backfills: Backfills::default(),
            process: None,
            processes: 0,
            storm,
            floors: FloorsBegun::default(),
            history: History::new(told),
            plant,
            steps: 0,
            verified: BTreeMap::new(),
            is_ending: false,
            ticks_in_vain: 0,
            events: BTreeMap::new(),
            events_made: 0,
            random,
        }
    }

    /// The storm, the homecoming, and the quiet afterwards.
    pub fn run(&mut self) -> Result<Ending, Violation> {
        self.break_loose();
        while self.storm.moves_left > 0 {
            self.step()?;
        }
        self.come_home()
    }

    pub fn break_loose(&mut self) {
        self.storm_begins();
        self.after(0, Event::Start);
        self.after(0, Event::Move);
    }

    pub fn step_until(&mut self, clock: u64) -> Held {
        while self.clock < clock {
            self.step()?;
        }
        Ok(())
    }

    /// The storm ends here, whatever it had in mind.
    pub fn come_home(&mut self) -> Result<Ending, Violation> {
        self.storm.moves_left = 0;
        self.heal();
        // Where each line goes by itself, the budget of requests alone takes hours.
        let deadline = self.clock + HOMECOMING + self.for_budget(self.oracle.owed_count() as u64);
        let storm_lines = self.oracle.next_number();
        self.storm.trickles = true;
        self.trickle();
        while !self.is_home() {
            self.storm.trickles &=
                self.oracle.owed().next().is_some_and(|line| (line.0 as u64) < storm_lines);
            if self.clock > deadline {
                return Err(invariants::not_home(self));
            }
            self.step()?;
        }
        self.storm.trickles = false;
        self.drain_and_stop()?;
        invariants::everything_came_home(self)?;
        Ok(Ending { hash: self.history.hash(), steps: self.steps })
    }

    /// The next thing happens.
    pub fn step(&mut self) -> Held {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return violated(Invariant::ComesHome, "the agent runs in circles");
        }
        let due = self.process.as_mut().and_then(Process::deadline);
        let next = self.events.first_key_value().map(|(key, _)| key.0);
        if due.is_some_and(|due| next.is_none_or(|next| due < next)) {
            let due = due.expect("just seen");
            self.ticks_in_vain = if due > self.clock { 0 } else { self.ticks_in_vain + 1 };
            if self.ticks_in_vain > MOST_TICKS_IN_VAIN {
                return violated(
                    Invariant::ComesHome,
                    "the agent asks for a tick that is over, again and again",
                );
            }
            self.clock = self.clock.max(due);
            return self.feed(Input::Tick);
        }
        let Some(((time, _), event)) = self.events.pop_first() else {
            return violated(Invariant::ComesHome, "the agent waits for nothing");
        };
        self.ticks_in_vain = 0;
        self.clock = time;
        match event {
            Event::Move => self.make_a_move(),
            Event::Job { process, job } => self.finish_job(process, job),
            Event::Arrival { process, request, body, answered } => {
                self.arrive(process, request, &body, answered)
            }
            event @ (Event::Truncate { .. } | Event::Compress { .. }) if self.backfill_runs() => {
                self.after(SECOND, event);
                Ok(())
            }
            Event::Truncate { log, node } => {
                self.finish_copytruncate(log, node);
                Ok(())
            }
            Event::Compress { from, to } => {
                self.compress(from, to);
                Ok(())
            }
            Event::Start => self.start(),
            Event::Trickle => {
                self.trickle();
                Ok(())
            }
            Event::Interrupt { process } => self.interrupt_backfill(process),
        }
    }

    pub fn after(&mut self, nanos: u64, event: Event) {
        self.at(self.clock + nanos, event);
    }

    pub fn at(&mut self, time: u64, event: Event) {
        self.events_made += 1;
        self.events.insert((time, self.events_made), event);
    }

    /// Takes out the events that `taken` wants, in their order.
    pub fn take_events(&mut self, taken: impl Fn(&Event) -> bool) -> Vec<(u64, Event)> {
        let keys: Vec<_> =
            self.events.iter().filter(|(_, event)| taken(event)).map(|(key, _)| *key).collect();
        keys.into_iter().filter_map(|key| Some((key.0, self.events.remove(&key)?))).collect()
    }

    pub fn any_event(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        self.events.values().any(wanted)
    }

    pub fn note(&mut self, what: impl Into<String>) {
        self.history.note(self.clock, what.into());
    }

    /// True time, which is Polar's.
    pub fn polar_now(&self) -> Timestamp {
        let dawn = Timestamp::from_second(DAWN).expect("the year is near 2026");
        let passed = SignedDuration::try_from(Duration::from_nanos(self.clock)).expect("histories are short");
        dawn.checked_add(passed).expect("the year is near 2026")
    }

    pub fn host_now(&self) -> Timestamp {
        self.polar_now().checked_add(self.host_ahead).expect("the year is near 2026")
    }

    pub fn clocks(&self) -> Clocks {
        let max_future = SignedDuration::try_from(MAX_FUTURE).expect("ten minutes");
        Clocks { host: self.host_now(), polar: self.polar_now(), max_future }
    }

    pub fn now(&self) -> Now {
        let started = self.process.as_ref().map_or(0, |process| process.started);
        Now { moment: Moment::from_nanos(self.clock - started), wall: self.host_now() }
    }

    pub fn first_moment(&self) -> Now {
        Now { moment: Moment::START, wall: self.host_now() }
    }

    /// The daemon begins with what the state folder holds, or a backfill before it.
    pub fn start(&mut self) -> Held {
        if self.process.is_some() {
            return Ok(());
        }
        if self.starts_backfill() {
            return self.carry_out();
        }
        let checkpoint = self.state.restore();
        let numbered = self.numbered_by_backfills();
        let checkpoint_lost = checkpoint.is_none() && self.state.has_saved;
        let floors: Floors = self
            .state
            .floors
            .as_deref()
            .map(|bytes| unseal(bytes).expect("floors are whole"))
            .unwrap_or_default();
        self.processes += 1;
        self.note(format!(
            "start {} from {:?}, lost: {checkpoint_lost}",
            self.processes,
            checkpoint.as_ref().map(|checkpoint| checkpoint.sequence)
        ));
        let known = checkpoint.iter().flat_map(|checkpoint| checkpoint.accounts.keys()).cloned().collect();
        let strangers =
            checkpoint.iter().flat_map(|checkpoint| checkpoint.strangers.values().flatten()).copied();
        let strangers = strangers.collect();
        let rules = Arc::new(Rules::compile(&self.settings));
        let floors_too = floors.clone();
        let restored =
            Restored { checkpoint, checkpoint_lost, floors: floors_too, numbered, ..Restored::default() };
        let seed = self.random.next();
        let agent = Agent::new(self.believed_settings(), rules, restored, self.first_moment(), seed);
        let process = Process::new(self.processes, self.clock, agent);
        self.process = Some(Process { known_sources: known, strangers, floors, ..process });
        self.carry_out()
    }

    /// One input for the agent, and all that it wants done for it.
    pub fn feed(&mut self, input: Input) -> Held {
        let now = self.now();
        let chance = if self.plant == Some(Plant::ChanceFromOutside) { chance_from_outside() } else { 0 };
        let Some(process) = &mut self.process else { return Ok(()) };
        process.agent.handle(now, input);
        self.clock += chance;
        self.carry_out()
    }

    fn carry_out(&mut self) -> Held {
        while let Some(effect) = self.process.as_mut().and_then(|process| process.agent.poll()) {
            self.perform(effect)?;
        }
        invariants::after_each_step(self)
    }

    /// The storm is over: everything works, all writers finish, and the daemon runs.
    fn heal(&mut self) {
        self.note("the storm is over");
        if self.backfill_runs() {
            self.crash();
        }
        self.faults = DiskFaults::default();
        self.polar.mood = Mood::Well;
        self.polar.requests_per_minute = 5_000;
        self.scene.astray = 0;
        self.host_ahead = SignedDuration::ZERO;
        self.writers_finish();
        self.after(SECOND, Event::Start);
    }

    /// How long so many lines may take.
    fn for_budget(&self, lines: u64) -> u64 {
        lines * REQUESTS_A_LINE * 60 * SECOND / u64::from(self.settings.delivery.requests_per_minute)
    }

    fn is_home(&self) -> bool {
        let Some(process) = &self.process else { return false };
        self.oracle.owed_count() == 0 && process.is_quiet() && process.backfill.is_none()
    }

    fn drain_and_stop(&mut self) -> Held {
        self.is_ending = true;
        self.last_words();
        // What a backfill has sent, the daemon may have to send again.
        let again = if self.scene.backfills > 0 { self.oracle.next_number() } else { 0 };
        let within = LAST_DRAIN + Duration::from_nanos(self.for_budget(again));
        self.drain(within)?;
        let limit = self.clock + u64::try_from(within.as_nanos()).expect("hours");
        while self.process.is_some() {
            if self.clock > limit {
                return violated(Invariant::ComesHome, "a drain does not end within its limit");
            }
            self.step()?;
        }
        invariants::drain_reads_on(self)
    }

    /// Excuses each owed line that is nowhere any more: not in a file that Floe can find, not in one that it
    /// has open, not in what it has read.
    pub fn excuse_what_is_gone(&mut self) {
        let mut is_reachable: BTreeMap<ContentId, bool> = BTreeMap::new();
        let mut can_be_read = |(content, start, end)| {
            *is_reachable.entry(content).or_insert_with(|| self.is_reachable(content))
                || self.process.as_ref().is_some_and(|process| process.has_read(content, start, end))
        };
        let gone: Vec<LineId> = self
            .oracle
            .owed()
            .filter(|line| !self.oracle.line(*line).places.iter().any(|place| can_be_read(*place)))
            .collect();
        for line in gone {
            self.note(format!("line {} is excused", line.0));
            self.oracle.excuse(line);
        }
    }

    /// Whether the daemon has the content open, or can find it.
    fn is_reachable(&self, content: ContentId) -> bool {
        self.process.as_ref().is_some_and(|process| process.has_open(&self.disk, content))
            || self.disk.paths_of(content).any(|path| self.storm.is_findable(&self.disk, path))
    }
}

/// Some nanoseconds that no seed knows.
fn chance_from_outside() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static DRAWN: AtomicU64 = AtomicU64::new(0);
    DRAWN.fetch_add(1, Ordering::Relaxed)
}
