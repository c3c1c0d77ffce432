//! The daemon: one loop that carries reports to the agent and its effects to the hands.
//!
//! Everything the agent decides happens on one thread, in the order of one channel. The loop itself decides
//! nothing but where an effect is performed: a small read at once, everything that may wait elsewhere.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;

use super::admin::Admin;
use super::admin::snapshot::{About, Numbers};
use super::census::Census;
use super::client::{Client, NoClient};
use super::content::Extents;
use super::disk::{Comparison, OddPaths, OpenFiles, Question, Subject, answer};
use super::event::{Command, Event, Reports};
use super::given::{GivenFile, GivenFiles};
use super::intake::{Intake, IntakeFault, Ready};
use super::look::Lookout;
use super::lookout_thread::{Eyes, LookoutThread};
use super::numbering::{Numbering, Whose};
use super::pool::Pool;
use super::quarantine::{Bounds, QuarantineThread, letters_path};
use super::readers::{Buffers, Job};
use super::saver::SaverThread;
use super::service_manager::ServiceManager;
use super::shadow::Shadow;
use super::state::{self, ResumeFrom, StateFault, StateFolder};
use super::watch::{Bell, Doorbell};
use super::{backfill, descriptors, logs, reload, shadow, spool};
use crate::agent::{
    Against, Agent, AskId, Effect, Input, Notice, NoticeCode, Now, ReadOrder, RequestId, Restored, Status,
    Whom,
};
use crate::config::Settings;
use crate::config::settings::{LimitSettings, Mode};
use crate::mapping::{Rules, TimeRange};
use crate::model::{FileKey, Moment, Offset, StreamId};
use crate::polar::Body;

/// How often an observer hears of the status, at most.
const OBSERVE_EVERY: Duration = Duration::from_millis(100);

/// Reads the config again; the error is the whole report of its faults.
pub type Reload = Box<dyn FnMut() -> Result<Settings, String> + Send>;

/// What a daemon is started with.
pub struct DaemonOptions {
    pub settings: Arc<Settings>,
    /// `None`: the config cannot be read again.
    pub reload: Option<Reload>,
    /// Where to go on if the floors are lost.
    pub resume_from: Option<ResumeFrom>,
    /// Hears of the status now and then, and at the end.
    pub observer: Option<watch::Sender<Status>>,
}

/// What a backfill is started with.
pub struct BackfillOptions {
    pub settings: Arc<Settings>,
    pub state: backfill::Opened,
    pub files: Vec<GivenFile>,
    pub range: TimeRange,
    /// Counts what would be sent, instead of sending it.
    pub census: Option<Arc<Census>>,
    /// What is known of compressed files: at the end it says how they end.
    pub extents: Extents,
    pub observer: watch::Sender<Status>,
}

/// Where a process works, and with what.
struct Place {
    folder: StateFolder,
    restored: Restored,
    /// `None`: nothing is sent under the ordinals that it gives.
    numbering: Option<Numbering>,
    rules: Arc<Rules>,
    letters: PathBuf,
    polar: Polar,
    /// `None`: the folders of the sources are looked into.
    files: Option<Vec<GivenFile>>,
    extents: Extents,
}

/// Why a daemon cannot start.
#[derive(Debug)]
pub enum StartFault {
    State(StateFault),
    /// A socket of a source cannot be opened.
    Intake(IntakeFault),
    /// `polar.ca_file` or `polar.proxy` cannot be used.
    Client(NoClient),
    /// The operating system gives no thread.
    Thread(io::Error),
}

/// The process is wrong about itself and must end; the message is for a bug report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken(pub String);

/// A daemon that holds its state folder, before or while it runs.
pub struct Daemon {
    agent: Agent,
    settings: Arc<Settings>,
    clock: Clock,
    events: UnboundedReceiver<Event>,
    reports: Reports,
    hands: Hands,
    intake: Intake,
    /// Dropped, it answers no more.
    _admin: Option<Admin>,
    /// Nothing more is taken in: asked once.
    is_ending: bool,
    reload: Option<Reload>,
    observer: Option<Observer>,
    service_manager: ServiceManager,
    /// Set by [`Effect::Stop`].
    stopped: bool,
    /// Given back when all threads that write to it are done.
    folder: StateFolder,
}

/// What performs effects.
struct Hands {
    files: OpenFiles,
    names: OddPaths,
    buffers: Buffers,
    pool: Pool,
    lookout: LookoutThread,
    bell: Arc<Bell>,
    /// Walks of an older generation were made with older settings.
    generation: u64,
    polar: Polar,
    quarantine: QuarantineThread,
    saver: SaverThread,
}

/// Where requests go.
#[derive(Clone)]
enum Polar {
    Live(Arc<Client>),
    Shadow(Arc<Shadow>),
    Census(Arc<Census>),
}

impl StartFault {
    /// What the process ends with.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::State(fault) => fault.exit_code(),
            Self::Intake(fault) => fault.exit_code(),
            Self::Client(_) => 78,
            Self::Thread(_) => 1,
        }
    }

    /// The cure, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::State(fault) => Some(fault.hint()),
            Self::Intake(fault) => Some(fault.hint()),
            Self::Client(_) | Self::Thread(_) => None,
        }
    }
}

impl fmt::Display for StartFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(fault) => fault.fmt(out),
            Self::Intake(fault) => fault.fmt(out),
            Self::Client(NoClient(why)) => out.write_str(why),
            Self::Thread(error) => write!(out, "cannot start a thread: {error}"),
        }
    }
}

impl Daemon {
    /// Takes the state folder and gets everything ready. Nothing is read or sent yet; sockets are open. Call it in a
    /// runtime.
    ///
    /// # Errors
    /// [`StartFault`].
    pub fn start(options: DaemonOptions) -> Result<Self, StartFault> {
        let DaemonOptions { settings, reload, resume_from, observer } = options;
        descriptors::raise_limit();
        let settings = Arc::new(descriptors::within_limit(Settings::clone(&settings)));
        // The client first: a fault of the config leaves the state folder alone.
        let polar = Polar::new(&settings).map_err(StartFault::Client)?;
        let (folder, restored, notices) = state::open(&settings, resume_from).map_err(StartFault::State)?;
        notices.iter().for_each(logs::say);
        let rules = Arc::new(Rules::in_force(&settings));
        let letters = letters_path(&folder.path);
        let mode = folder.identity.mode;
        let numbering = Numbering::new(&folder.path, mode, Whose::Daemons, &restored.numbered);
        let (numbering, extents) = (Some(numbering), Extents::default());
        let place = Place { folder, restored, numbering, rules, letters, polar, files: None, extents };
        Self::begin(settings, place, reload, observer)
    }

    /// As [`Daemon::start`], for files that are over: it reads each once and ends by itself.
    ///
    /// # Errors
    /// [`StartFault`].
    pub fn start_backfill(options: BackfillOptions) -> Result<Self, StartFault> {
        let BackfillOptions { settings, state, files, range, census, extents, observer } = options;
        descriptors::raise_limit();
        let settings = Arc::new(descriptors::within_limit(Settings::clone(&settings)));
        let backfill::Opened { folder, restored, numbering, letters, shadow, .. } = state;
        let polar = match census {
            Some(census) => Polar::Census(census),
            None => Polar::writing_to(&settings, shadow).map_err(StartFault::Client)?,
        };
        let rules = Arc::new(Rules::in_force(&settings).within(range));
        let files = Some(files);
        let place = Place { folder, restored, numbering, rules, letters, polar, files, extents };
        Self::begin(settings, place, None, Some(observer))
    }

    fn begin(
        settings: Arc<Settings>,
        place: Place,
        reload: Option<Reload>,
        observer: Option<watch::Sender<Status>>,
    ) -> Result<Self, StartFault> {
        let (sender, events) = unbounded_channel();
        let reports = Reports::new(sender);
        let (intake, service_manager) = match place.files {
            None => {
                let intake = Intake::open(&settings, reports.clone()).map_err(StartFault::Intake)?;
                (intake, ServiceManager::from_environment())
            }
            Some(_) => (Intake::closed(reports.clone()), ServiceManager::absent()),
        };
        let mut place = place;
        let hands = Hands::new(&settings, &mut place, &reports).map_err(StartFault::Thread)?;
        let is_daemon = place.files.is_none();
        let Place { folder, restored, rules, .. } = place;
        let clock = Clock::start();
        let agent = Agent::new(Arc::clone(&settings), rules, restored, clock.now(), random_seed());
        let admin = match is_daemon {
            true => Admin::start(&settings, About::of(&settings, agent.status()), &reports),
            false => Ok(None),
        };
        let admin = admin.map_err(StartFault::Thread)?;
        let observer = observer.map(|sender| Observer { sender, told_at: Instant::now(), behind: true });
        Ok(Self {
            agent,
            settings,
            clock,
            events,
            reports,
            hands,
            intake,
            _admin: admin,
            is_ending: false,
            reload,
            observer,
            service_manager,
            stopped: false,
            folder,
        })
    }

    /// Where commands are sent.
    #[must_use]
    pub fn commands(&self) -> Reports {
        self.reports.clone()
    }

    /// Runs until the agent has brought everything home after [`Command::Drain`].
    ///
    /// # Errors
    /// [`Broken`], when a part of the process panicked.
    pub async fn run(mut self) -> Result<Status, Broken> {
        self.act();
        while !self.stopped {
            match self.next().await {
                Some(Event::Broken(what)) => return Err(Broken(what)),
                Some(event) => self.hear(event),
                None => {}
            }
            self.tick_if_due();
            self.tell_observer();
            self.service_manager.turn(|| self.agent.status());
        }
        let status = self.agent.status();
        if let Some(observer) = &self.observer {
            observer.sender.send_replace(status.clone());
        }
        self.hands.finish();
        drop(self.folder);
        Ok(status)
    }

    /// The next report, or `None` when something is due.
    async fn next(&mut self) -> Option<Event> {
        let behind = self.observer.as_ref().and_then(Observer::due);
        let due = self.agent.deadline().and_then(|moment| self.clock.instant(moment));
        match [due, behind, self.service_manager.due()].into_iter().flatten().min() {
            Some(due) => tokio::time::timeout_at(due.into(), self.events.recv()).await.ok().flatten(),
            None => self.events.recv().await,
        }
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Input(input) => self.take(*input),
            Event::Looked { generation, found } => {
                found.notices.iter().for_each(logs::say);
                if generation == self.hands.generation {
                    self.take(Input::Looked(found.sightings));
                    self.service_manager.ready(|| self.agent.status());
                } else {
                    self.hands.lookout.look();
                }
            }
            Event::Rung => self.ring(),
            Event::Command(Command::Drain) => self.end(),
            Event::IntakeClosed { by } => {
                self.intake.say_lost();
                self.take(Input::Drain { by });
            }
            Event::Command(Command::Reload) => self.reload(),
            Event::Asked(reply) => {
                // Who asked may have lost patience.
                let _ = reply.send(self.numbers());
            }
            Event::Broken(_) => unreachable!("the loop ends with it"),
        }
    }

    fn numbers(&self) -> Numbers {
        Numbers {
            overview: self.agent.overview(self.clock.now()),
            spools: self.intake.levels(),
            quarantine_max_bytes: self.settings.limits.quarantine_max_bytes,
        }
    }

    /// First nothing more is taken in; when what has come in is durable, or it takes too long, the agent drains.
    fn end(&mut self) {
        if std::mem::replace(&mut self.is_ending, true) {
            return;
        }
        let limit = self.settings.limits.drain_timeout;
        self.service_manager.ending(limit);
        let by = self.clock.now().moment + limit;
        if !self.intake.is_open() {
            self.take(Input::Drain { by });
            return;
        }
        let closed = self.intake.close();
        let reports = self.reports.clone();
        tokio::spawn(async move {
            let _ = tokio::time::timeout(limit / 3, closed).await;
            reports.send(Event::IntakeClosed { by });
        });
    }

    fn take(&mut self, input: Input) {
        if let Some(observer) = &mut self.observer {
            observer.behind = true;
        }
        self.service_manager.note_change();
        self.agent.handle(self.clock.now(), input);
        self.act();
    }

    fn act(&mut self) {
        while let Some(effect) = self.agent.poll() {
            self.stopped |= matches!(effect, Effect::Stop);
            match effect {
                Effect::Discard { stream, path, file, size } => self.discard(stream, path, file, size),
                effect => self.hands.perform(effect, &self.reports),
            }
        }
    }

    fn discard(&self, stream: StreamId, path: String, file: FileKey, size: u64) {
        let path = self.hands.names.path(&path);
        let gauge = self.intake.gauge_of(&path);
        let reports = self.reports.clone();
        tokio::task::spawn_blocking(move || {
            let result = spool::discard(&path, file, size);
            if let (Ok(()), Some(gauge)) = (&result, gauge) {
                gauge.shrink(size);
            }
            reports.input(Input::Discarded { stream, result });
        });
    }

    fn tick_if_due(&mut self) {
        if !self.stopped && self.agent.deadline().is_some_and(|due| due <= self.clock.now().moment) {
            self.take(Input::Tick);
        }
    }

    fn ring(&mut self) {
        let rings = self.hands.bell.take();
        for place in rings.places {
            self.take(Input::Nudged(Some(place)));
        }
        if rings.elsewhere {
            self.take(Input::Nudged(None));
        }
    }

    fn reload(&mut self) {
        self.service_manager.reloading();
        match self.new_settings() {
            Ok((settings, polar, ready)) => {
                self.intake.change(ready);
                let settings = Arc::new(descriptors::within_limit(settings));
                let rules = Arc::new(Rules::in_force(&settings));
                self.hands.use_settings(&settings, polar);
                self.settings = Arc::clone(&settings);
                self.take(Input::Reload { settings, rules });
            }
            Err(why) => logs::say(&Notice {
                code: NoticeCode::ReloadRefused,
                message: format!("the new config is not taken over; the old one stays in force: {why}"),
                hint: None,
            }),
        }
        self.service_manager.reloaded();
    }

    fn new_settings(&mut self) -> Result<(Settings, Polar, Ready), String> {
        let reload = self.reload.as_mut().ok_or("this daemon was started without a config file")?;
        let settings = reload()?;
        if let Some(key) = reload::bound_difference(&self.settings, &settings) {
            return Err(format!("{key} is another one, and that needs a restart"));
        }
        let polar = Polar::new(&settings).map_err(|NoClient(why)| why)?;
        if self.is_ending {
            return Err("the daemon is ending".to_owned());
        }
        // Last, for it changes what stands on the disk.
        let ready = self.intake.prepare(&settings).map_err(|fault| format!("{fault}; {}", fault.hint()))?;
        Ok((settings, polar, ready))
    }

    fn tell_observer(&mut self) {
        let Some(observer) = &mut self.observer else { return };
        if observer.due().is_some_and(|due| due <= Instant::now()) {
            observer.sender.send_replace(self.agent.status());
            observer.told_at = Instant::now();
            observer.behind = false;
        }
    }
}

impl Hands {
    fn new(settings: &Arc<Settings>, place: &mut Place, reports: &Reports) -> io::Result<Self> {
        let names = OddPaths::default();
        let bell = Bell::new(names.clone(), reports.clone());
        let extents = place.extents.clone();
        let lookout = match &place.files {
            None => {
                let homes = homes(&place.restored);
                Eyes::Folders(Lookout::new(Arc::clone(settings), names.clone(), extents.clone(), homes))
            }
            Some(files) => Eyes::Files(GivenFiles::new(files.clone(), names.clone(), extents.clone())),
        };
        Ok(Self {
            files: OpenFiles::new(extents),
            names,
            buffers: Buffers::default(),
            pool: Pool::start(settings.limits.mapping_threads, reports)?,
            lookout: LookoutThread::start(lookout, Doorbell::new(Arc::clone(&bell)), reports.clone())?,
            bell,
            generation: 0,
            polar: place.polar.clone(),
            quarantine: QuarantineThread::start(
                place.letters.clone(),
                bounds(&settings.limits),
                reports.clone(),
            )?,
            saver: SaverThread::start(
                &place.folder,
                place.polar.shadow(),
                place.numbering.take(),
                reports.clone(),
            )?,
        })
    }

    fn perform(&mut self, effect: Effect, reports: &Reports) {
        match effect {
            Effect::Look => {
                self.files.rest();
                self.pool.rest();
                self.lookout.look();
            }
            Effect::Ask { ask, whom, at, against } => self.ask(ask, whom, at, against, reports),
            Effect::Open { stream, path, file } => {
                let result = self.files.open(stream, &self.names.path(&path), file);
                reports.input(Input::Opened { stream, result });
            }
            Effect::Close(stream) => self.files.close(stream),
            Effect::Read(order) => self.read(order, reports),
            Effect::Post { request, body } => self.polar.clone().post(request, body, reports.clone()),
            Effect::Quarantine { letters, text } => self.quarantine.append(letters, text),
            Effect::Save { save, checkpoint, numbers } => self.saver.checkpoint(save, checkpoint, numbers),
            Effect::SaveFloors { save, floors } => self.saver.floors(save, floors),
            Effect::Tell(notice) => logs::say(&notice),
            // The daemon performs them itself.
            Effect::Discard { .. } | Effect::Stop => {}
        }
    }

    fn ask(&self, ask: AskId, whom: Whom, at: Vec<Offset>, against: Option<Against>, reports: &Reports) {
        let against = against.map(|against| Comparison {
            with: self.files.get(against.stream),
            from: against.from,
            limit: against.limit,
        });
        let of = match whom {
            Whom::At { path, file } => {
                let extents = self.files.extents().clone();
                Subject::At { path: self.names.path(&path), file, extents }
            }
            Whom::Open(stream) => Subject::Open(self.files.get(stream)),
        };
        let question = Question { of, at, against };
        let reports = reports.clone();
        tokio::task::spawn_blocking(move || {
            reports.input(Input::Told { ask, result: answer(&question) });
        });
    }

    fn read(&mut self, order: Box<ReadOrder>, reports: &Reports) {
        let beyond = order.beyond.and_then(|(stream, _)| self.files.get(stream));
        let job = Job { file: self.files.get(order.stream), beyond, order };
        match job.size_if_small() {
            Some(size) => reports.input(job.perform(Some(size), &mut self.buffers)),
            None => self.pool.perform(job),
        }
    }

    fn use_settings(&mut self, settings: &Arc<Settings>, polar: Polar) {
        self.generation += 1;
        self.lookout.use_settings(self.generation, Arc::clone(settings));
        self.quarantine.use_bounds(bounds(&settings.limits));
        self.polar = polar;
    }

    /// Waits for the threads that write.
    fn finish(self) {
        self.quarantine.finish();
        self.saver.finish();
    }
}

impl Polar {
    fn new(settings: &Settings) -> Result<Self, NoClient> {
        Self::writing_to(settings, shadow::events_path(&settings.state_dir))
    }

    /// `shadow`: where events go in shadow mode.
    fn writing_to(settings: &Settings, shadow: PathBuf) -> Result<Self, NoClient> {
        Ok(match settings.polar.mode {
            Mode::Live => Self::Live(Arc::new(Client::new(&settings.polar)?)),
            Mode::Shadow => Self::Shadow(Arc::new(Shadow::new(shadow, settings.limits.shadow_max_bytes))),
        })
    }

    /// The file that takes what is not sent.
    fn shadow(&self) -> Option<PathBuf> {
        match self {
            Self::Shadow(shadow) => Some(shadow.path().to_owned()),
            Self::Live(_) | Self::Census(_) => None,
        }
    }

    fn post(self, request: RequestId, body: Body, reports: Reports) {
        let report = move |reply: super::client::Reply| {
            let super::client::Reply { outcome, polar_clock } = reply;
            reports.input(Input::Answered { request, outcome, polar_clock });
        };
        match self {
            Self::Live(client) => {
                tokio::spawn(async move { report(client.post(body).await) });
            }
            Self::Shadow(shadow) => {
                let place = shadow.place();
                tokio::task::spawn_blocking(move || report(shadow.accept(place, &body.to_bytes())));
            }
            Self::Census(census) => report(census.accept(&body.to_bytes())),
        }
    }
}

/// Both clocks of the process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { start: Instant::now() }
    }

    pub(super) fn now(self) -> Now {
        let nanos =
            u64::try_from(self.start.elapsed().as_nanos()).expect("a process runs less than 500 years");
        Now { moment: Moment::from_nanos(nanos), wall: Timestamp::now() }
    }

    /// `None`: never.
    pub(super) fn instant(self, moment: Moment) -> Option<Instant> {
        self.start.checked_add(Duration::from_nanos(moment.as_nanos())).filter(|_| moment != Moment::NEVER)
    }
}

/// Who hears of the status.
struct Observer {
    sender: watch::Sender<Status>,
    told_at: Instant,
    /// True when something happened since then.
    behind: bool,
}

impl Observer {
    fn due(&self) -> Option<Instant> {
        self.behind.then(|| self.told_at + OBSERVE_EVERY)
    }
}

fn bounds(limits: &LimitSettings) -> Bounds {
    Bounds {
        max_bytes: limits.quarantine_max_bytes,
        malformed_max_bytes: limits.quarantine_malformed_max_bytes,
    }
}

/// The folders of the files that the checkpoint knows.
fn homes(restored: &Restored) -> BTreeSet<PathBuf> {
    let files = restored.checkpoint.iter().flat_map(|checkpoint| &checkpoint.files);
    files.filter_map(|file| Some(Path::new(&file.path).parent()?.to_owned())).collect()
}

/// For jitter alone: two daemons must not try again in step.
pub(super) fn random_seed() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}
