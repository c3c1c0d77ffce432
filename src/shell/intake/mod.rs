//! Sockets and the standard input: what comes in there is put in spools, whose files the agent follows like any other.
//!
//! A source has a spool for as long as the process lives, and a door for as long as the config says so. All that
//! may fail is done before anything changes, so a config whose socket cannot be opened changes nothing.

mod answers;
mod bind;
mod datagram;
mod fault;
mod passed;
mod people;
mod stdin;
mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::bind::{Bound, Listening, OwnFile};
use self::datagram::DatagramDoor;
pub use self::fault::IntakeFault;
use self::passed::Passed;
use self::stdin::StdinDoor;
use self::stream::StreamDoor;
use super::admin::snapshot::Level;
use super::disk::words_of;
use super::event::Reports;
use super::spool::{self, Gauge, Spool};
use super::{descriptors, logs};
use crate::agent::{Notice, NoticeCode};
use crate::config::Settings;
use crate::config::settings::{Input, SocketKind, SocketSettings, SourceSettings};

/// All doors of a daemon.
pub struct Intake {
    spools: BTreeMap<String, Spool>,
    /// By the folder of the spool.
    gauges: BTreeMap<PathBuf, Arc<Gauge>>,
    doors: BTreeMap<String, Door>,
    /// Of doors that a reload has closed: what came in there is on its way to the disk.
    leaving: Vec<JoinHandle<()>>,
    passed: Passed,
    reports: Reports,
}

/// Where lines of one source come in.
struct Door {
    input: Input,
    max_line_bytes: u32,
    own_file: Option<OwnFile>,
    close: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Doors that are ready to be opened: nothing can fail any more.
pub struct Ready {
    new: Vec<NewDoor>,
    /// Ids of all sources that have a door.
    wanted: BTreeSet<String>,
    unknown: Vec<Notice>,
    /// At each stream socket.
    most_writers: usize,
}

/// A door whose socket is not at its path yet.
struct PreparedDoor {
    source: SourceSettings,
    spool: Spool,
    /// `None`: the standard input.
    socket: Option<Socket>,
    allowed: Option<BTreeSet<u32>>,
}

enum Socket {
    Passed(Listening),
    Bound(Bound),
}

impl PreparedDoor {
    fn place(self) -> Result<NewDoor, IntakeFault> {
        let Self { source, spool, socket, allowed } = self;
        let socket = match socket {
            None => None,
            Some(Socket::Passed(listening)) => Some((listening, None)),
            Some(Socket::Bound(bound)) => {
                let (listening, file) = bound.place()?;
                Some((listening, Some(file)))
            }
        };
        Ok(NewDoor { source, spool, socket, allowed })
    }
}

struct NewDoor {
    source: SourceSettings,
    spool: Spool,
    /// `None`: the standard input.
    socket: Option<(Listening, Option<OwnFile>)>,
    allowed: Option<BTreeSet<u32>>,
}

/// Says when a door closes.
#[derive(Debug, Clone)]
pub struct Closing(watch::Receiver<bool>);

impl Closing {
    /// Returns when it does.
    pub async fn asked(&self) {
        // Who could ask is gone: that is the end, too.
        let _ = self.0.clone().wait_for(|is_asked| *is_asked).await;
    }

    /// Returns some time after that.
    pub async fn after(&self, wait: Duration) {
        self.asked().await;
        tokio::time::sleep(wait).await;
    }

    #[must_use]
    pub fn is_asked(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

impl Intake {
    /// Takes nothing in.
    #[must_use]
    pub fn closed(reports: Reports) -> Self {
        Self {
            spools: BTreeMap::new(),
            gauges: BTreeMap::new(),
            doors: BTreeMap::new(),
            leaving: Vec::new(),
            passed: Passed::default(),
            reports,
        }
    }

    /// Opens what the settings name. Call it in a runtime.
    ///
    /// # Errors
    /// [`IntakeFault`].
    pub fn open(settings: &Settings, reports: Reports) -> Result<Self, IntakeFault> {
        let mut intake = Self { passed: Passed::from_environment(), ..Self::closed(reports) };
        let ready = intake.prepare(settings)?;
        let spooled = settings.sources.iter().filter(|source| source.input.spool().is_some());
        let ids: Vec<&str> = spooled.map(|source| source.id.as_str()).collect();
        spool::say_orphans(&settings.state_dir, &ids);
        intake.change(ready);
        Ok(intake)
    }

    /// Opens sockets that are new or have changed, and lets nobody in yet.
    ///
    /// # Errors
    /// [`IntakeFault`]; then all is as it was.
    pub fn prepare(&mut self, settings: &Settings) -> Result<Ready, IntakeFault> {
        let sources = settings.sources.iter().filter(|source| source.input != Input::Files);
        let wanted = sources.clone().map(|source| source.id.clone()).collect();
        let changed: Vec<&SourceSettings> = sources
            .clone()
            .filter(|source| {
                let door = self.doors.get(&source.id);
                !door.is_some_and(|door| door.serves(source))
            })
            .collect();
        // Only when all could be made does one come to its path.
        let made = changed.into_iter().enumerate().map(|(index, source)| self.prepare_door(source, index));
        let made: Vec<PreparedDoor> = made.collect::<Result<_, _>>()?;
        let new = made.into_iter().map(PreparedDoor::place).collect::<Result<_, _>>()?;
        let sockets: Vec<(&Path, SocketKind)> = sources
            .filter_map(|source| match &source.input {
                Input::Socket(socket) => Some((socket.path.as_path(), socket.kind)),
                Input::Files | Input::Stdin(_) => None,
            })
            .collect();
        let unknown = self.passed.unknown(&sockets);
        Ok(Ready { new, wanted, unknown, most_writers: descriptors::writers_of(settings) })
    }

    fn prepare_door(&mut self, source: &SourceSettings, index: usize) -> Result<PreparedDoor, IntakeFault> {
        let (socket, allowed) = match &source.input {
            Input::Socket(settings) => {
                let allowed = settings.allowed.as_ref();
                let allowed = allowed.map(|ids| ids.iter().map(people::user).collect()).transpose()?;
                (Some(settings), allowed)
            }
            Input::Files | Input::Stdin(_) => (None, None),
        };
        let spool = self.spool_of(source)?;
        let socket = socket.map(|settings| self.listen(settings, index)).transpose()?;
        Ok(PreparedDoor { source: source.clone(), spool, socket, allowed })
    }

    /// The socket that was passed on for it, or one of our own.
    fn listen(&self, settings: &SocketSettings, index: usize) -> Result<Socket, IntakeFault> {
        if let Some(passed) = self.passed.get(&settings.path, settings.kind) {
            return Ok(Socket::Passed(passed));
        }
        let is_ours = self.doors.values().any(|door| match &door.input {
            Input::Socket(socket) => socket.path == settings.path && door.has_its_file(),
            Input::Files | Input::Stdin(_) => false,
        });
        bind::open(settings, is_ours, index).map(Socket::Bound)
    }

    fn spool_of(&mut self, source: &SourceSettings) -> Result<Spool, IntakeFault> {
        if let Some(spool) = self.spools.get(&source.id) {
            return Ok(spool.clone());
        }
        let settings = source.input.spool().expect("only sources with a spool have doors");
        let path = settings.folder.clone();
        let spool = Spool::open(&source.id, settings)
            .map_err(|error| IntakeFault::Spool { path: path.clone(), why: words_of(&error) })?;
        self.gauges.insert(path, Arc::clone(spool.gauge()));
        self.spools.insert(source.id.clone(), spool.clone());
        Ok(spool)
    }

    /// How full the spools are, by source id.
    #[must_use]
    pub fn levels(&self) -> BTreeMap<String, Level> {
        let level = |gauge: &Gauge| Level { bytes: gauge.bytes(), max_bytes: gauge.max_bytes() };
        self.spools.iter().map(|(id, spool)| (id.clone(), level(spool.gauge()))).collect()
    }

    /// Closes the doors that are not wanted any more, and opens the new ones.
    pub fn change(&mut self, ready: Ready) {
        let Ready { new, wanted, unknown, most_writers } = ready;
        unknown.iter().for_each(logs::say);
        let replaced: BTreeSet<&str> = new.iter().map(|door| door.source.id.as_str()).collect();
        let over: Vec<String> = self
            .doors
            .keys()
            .filter(|id| !wanted.contains(*id) || replaced.contains(id.as_str()))
            .cloned()
            .collect();
        self.leaving.retain(|task| !task.is_finished());
        for id in over {
            let Some(door) = self.doors.remove(&id) else { continue };
            door.close();
            if let Some(settings) = door.input.spool().filter(|_| !wanted.contains(&id)) {
                self.let_go(&settings.folder);
            }
            self.leaving.push(door.task);
        }
        for door in new {
            let id = door.source.id.clone();
            let opened = door.open(&self.reports, most_writers);
            self.doors.insert(id, opened);
        }
    }

    /// Nobody bills the spool of a source that is gone, so its writers would wait for room for ever.
    fn let_go(&self, folder: &Path) {
        if let Some(gauge) = self.gauges.get(folder) {
            gauge.close();
        }
        spool::say_orphan(folder);
    }

    /// Takes nothing new in, and returns what waits until all that has come in is durable.
    pub fn close(&mut self) -> impl Future<Output = ()> + Send + use<> {
        let mut tasks = std::mem::take(&mut self.leaving);
        for door in std::mem::take(&mut self.doors).into_values() {
            door.close();
            tasks.push(door.task);
        }
        self.gauges.values().for_each(|gauge| gauge.close());
        let spools: Vec<Spool> = self.spools.values().cloned().collect();
        async move {
            for task in tasks {
                // A task that panicked has ended the process.
                let _ = task.await;
            }
            // A writer may have left before, with lines that nobody waits for.
            for spool in spools {
                spool.settle().await;
            }
        }
    }

    /// Whether anything ever came in, or may.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.spools.is_empty()
    }

    /// What measures the spool that the file is of.
    #[must_use]
    pub fn gauge_of(&self, path: &Path) -> Option<Arc<Gauge>> {
        self.gauges.get(path.parent()?).cloned()
    }

    /// What has come in and is not durable will be lost with the process: says so.
    pub fn say_lost(&self) {
        for (source, spool) in &self.spools {
            let lines = spool.gauge().pending_lines();
            if lines > 0 {
                say(
                    NoticeCode::SpoolUnwritable,
                    format!(
                        "{lines} lines that came in by \"{source}\" could not be written, and the process ends"
                    ),
                    "no writer was told that they are durable; those who wait for \"ok\" send them again",
                );
            }
        }
    }
}

impl Door {
    /// Whether it is what the source asks for, and writers find it.
    fn serves(&self, source: &SourceSettings) -> bool {
        let is_same = self.input == source.input && self.max_line_bytes == source.max_line_bytes;
        is_same && (self.own_file.is_none() || self.has_its_file())
    }

    /// Whether the socket that it made stands at its path.
    fn has_its_file(&self) -> bool {
        self.own_file.as_ref().is_some_and(OwnFile::stands)
    }

    fn close(&self) {
        if let Some(file) = &self.own_file {
            file.remove();
        }
        self.close.send_replace(true);
    }
}

impl NewDoor {
    fn open(self, reports: &Reports, most_writers: usize) -> Door {
        let Self { source, spool, socket, allowed } = self;
        let (close, closing) = watch::channel(false);
        let closing = Closing(closing);
        let (id, max_line_bytes) = (source.id.clone(), source.max_line_bytes);
        if let Some(settings) = source.input.spool() {
            spool.gauge().open(settings.max_bytes);
        }
        if let Input::Socket(socket) = &source.input {
            logs::say(&Notice {
                code: NoticeCode::SocketOpen,
                message: format!("\"{id}\" listens on {:?}", socket.path),
                hint: None,
            });
        }
        let acknowledges = matches!(&source.input, Input::Socket(socket) if socket.acknowledges);
        let reports = reports.clone();
        let (listening, own_file) = socket.unzip();
        let task = match listening {
            Some(Listening::Stream(listener)) => {
                let long_lines = StreamDoor::long_lines();
                let door = StreamDoor {
                    source: id,
                    spool,
                    max_line_bytes,
                    acknowledges,
                    allowed,
                    closing,
                    long_lines,
                    most_writers,
                };
                tokio::spawn(stream::serve(listener, Arc::new(door)))
            }
            Some(Listening::Datagram(socket)) => tokio::spawn(datagram::serve(
                socket,
                DatagramDoor { source: id, spool, max_line_bytes, allowed, closing, reports },
            )),
            None => {
                tokio::spawn(stdin::serve(StdinDoor { source: id, spool, max_line_bytes, closing, reports }))
            }
        };
        Door { input: source.input, max_line_bytes, own_file: own_file.flatten(), close, task }
    }
}

fn say(code: NoticeCode, message: String, hint: &str) {
    logs::say(&Notice { code, message, hint: Some(hint.to_owned()) });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, load_from_texts};
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;
    use tokio::sync::mpsc::unbounded_channel;

    fn settings(folder: &Path) -> Settings {
        let folder = folder.display();
        let text = format!(
            r#"
state_dir = "{folder}"
[polar]
server = "https://polar.invalid"
token_env = "T"
[[sources]]
id = "app"
socket = "{folder}/app.sock"
format = "json"
[[rules]]
id = "use"
[rules.event]
name = "use"
external_customer_id = "{{who}}"
"#
        );
        let loaded =
            load_from_texts(&[(PathBuf::from("floe.toml"), text)], &Environment::new(), Some("test"));
        loaded.unwrap_or_else(|faults| panic!("{faults}")).settings
    }

    #[tokio::test]
    async fn s27_a_closed_intake_waits_for_the_lines_of_those_who_have_left_before() {
        let folder = tempfile::tempdir().unwrap();
        let (sender, _events) = unbounded_channel();
        for round in 1..=5 {
            let mut intake = Intake::open(&settings(folder.path()), Reports::new(sender.clone())).unwrap();
            let mut writer = UnixStream::connect(folder.path().join("app.sock")).unwrap();
            writer.write_all(b"{}\n").unwrap();
            drop(writer);
            let gauge = Arc::clone(intake.spools["app"].gauge());
            while gauge.pending_lines() == 0 && intake.spools["app"].last().is_none() {
                tokio::task::yield_now().await;
            }
            intake.close().await;
            assert_eq!(gauge.pending_lines(), 0, "lines are on their way, in round {round}");
            assert!(intake.spools["app"].last().is_some());
        }
    }
}
