//! `floe demo`: the main job with nothing to set up, and the proof that it was done.
//!
//! What it runs is the daemon itself, in this process, against the sandbox. An application writes a log and rotates it
//! while Floe follows; at the end the account is compared with what the application knows it wrote.

mod application;
mod progress;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{fs, io, thread};

use serde::Deserialize;
use tokio::sync::watch;

use self::application::{Application, Written};
use self::progress::Progress;
use super::account::Account;
use super::numbers::{bytes, grouped};
use super::{outcome, run};
use crate::agent::Status;
use crate::config::Settings;
use crate::sandbox::{Sandbox, SandboxHandle, SandboxOptions};
use crate::shell::daemon::{Daemon, DaemonOptions};
use crate::shell::event::{Command, Event, Reports};
use crate::shell::logs::{self, LogFormat};
use crate::shell::state;

/// How long nothing may move before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Shows the main job in half a minute: no token, no network, no config
///
/// Starts the sandbox, writes and rotates a sample log, follows it, bills its lines and proves by the account that each
/// was billed once. It leaves nothing behind.
#[derive(Debug, clap::Args)]
pub struct DemoArguments {
    /// How many lines the sample log gets
    #[arg(long, value_name = "NUMBER", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(10..=10_000_000))]
    pub lines: u64,
}

/// 0 when every billable line was billed once, else 1.
#[must_use]
pub fn run(arguments: &DemoArguments, log_format: LogFormat) -> ExitCode {
    if std::env::var_os(logs::LEVEL_VARIABLE).is_some() {
        logs::start(log_format);
    }
    match demonstrate(arguments.lines) {
        Ok(proof) => proof.tell(),
        Err(failure) => outcome::fail(outcome::NO, failure.0, None),
    }
}

/// Why there is nothing to show.
struct Failure(String);

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self(format!("the demo cannot go on: {error}"))
    }
}

fn demonstrate(lines: u64) -> Result<Proof, Failure> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    let folder = Folder::new()?;
    let sandbox = Sandbox::start(SandboxOptions::default())?;
    let log = folder.0.join("logs").join("app.log");
    let settings = settings(&folder.0, &sandbox)?;
    let progress = Progress::new(lines);
    progress.say(&format!(
        "Polar is played by the sandbox at {}; the sample log is {}",
        sandbox.url(),
        log.display()
    ));

    let (observer, status) = watch::channel(Status::default());
    let options = DaemonOptions {
        settings: Arc::new(settings),
        reload: None,
        resume_from: None,
        observer: Some(observer),
    };
    let runtime = run::runtime()?;
    // A daemon spawns the tasks of its requests, so it starts where it runs.
    let context = runtime.enter();
    let daemon = Daemon::start(options).map_err(|fault| Failure(fault.to_string()))?;
    drop(context);
    let application = Application::new(log, lines);
    let writer = {
        let (progress, interrupted) = (progress.clone(), Arc::clone(&interrupted));
        thread::Builder::new()
            .name("demo-application".into())
            .spawn(move || application.run(&|what| progress.say(what), &interrupted))?
    };
    let watcher = Watcher { status, writer, commands: daemon.commands(), progress, interrupted };
    let (ended, written) = runtime.block_on(async { tokio::join!(daemon.run(), watcher.run()) });
    runtime.shutdown_background();
    ended.map_err(|broken| Failure(broken.0))?;
    let written = written?;
    let checkpoint = state::peek(&folder.0.join("state")).map_err(|fault| Failure(fault.to_string()))?;
    Ok(Proof { written, billed: Billed::of(&sandbox), account: Account::of(&checkpoint) })
}

/// The config of the demo: a file as an operator would write it.
fn settings(folder: &Path, sandbox: &SandboxHandle) -> Result<Settings, Failure> {
    let logs = folder.join("logs");
    fs::create_dir(&logs)?;
    fs::write(folder.join("token"), sandbox.token())?;
    let text = include_str!("floe.toml")
        .replace("@FOLDER@", &folder.display().to_string())
        .replace("@SERVER@", &sandbox.url());
    Settings::from_toml(&text).map_err(|faults| Failure(faults.render(false)))
}

/// Waits for the last line and ends the daemon.
struct Watcher {
    status: watch::Receiver<Status>,
    writer: thread::JoinHandle<io::Result<Written>>,
    commands: Reports,
    progress: Progress,
    interrupted: Arc<AtomicBool>,
}

impl Watcher {
    async fn run(mut self) -> Result<Written, Failure> {
        let result = self.settled().await;
        self.progress.end();
        self.commands.send(Event::Command(Command::Drain));
        result
    }

    async fn settled(&mut self) -> Result<Written, Failure> {
        let mut lines = 0;
        let mut written: Option<Written> = None;
        loop {
            if written.is_none() && self.writer.is_finished() {
                written = Some(self.take_written()?);
            }
            let settled = settled_lines(&self.status.borrow_and_update());
            self.progress.settled(settled);
            if let Some(written) = written.filter(|written| written.lines == settled) {
                return Ok(written);
            }
            // The writer is not awaited: it paces itself, and the status comes at least that often.
            let wait = if written.is_none() { Duration::from_millis(100) } else { PATIENCE };
            let moved = tokio::time::timeout(wait, self.status.changed()).await;
            if self.interrupted.load(Ordering::Relaxed) {
                return Err(Failure("the demo was interrupted".into()));
            }
            if let (Some(written), true) = (written, moved.is_err() && lines == settled) {
                return Err(Failure(format!(
                    "{} of {} lines were settled, and then nothing moved for {} s",
                    grouped(settled),
                    grouped(written.lines),
                    PATIENCE.as_secs()
                )));
            }
            lines = settled;
        }
    }

    fn take_written(&mut self) -> Result<Written, Failure> {
        let writer = std::mem::replace(&mut self.writer, thread::spawn(|| Ok(Written::default())));
        match writer.join() {
            Ok(written) => Ok(written?),
            Err(_) => Err(Failure("the writer of the sample log broke".into())),
        }
    }
}

fn settled_lines(status: &Status) -> u64 {
    status.accounts.values().map(|account| account.settled.total().lines).sum()
}

/// What the sandbox holds.
struct Billed {
    events: u64,
    ids: u64,
    tokens: u64,
}

impl Billed {
    fn of(sandbox: &SandboxHandle) -> Self {
        #[derive(Deserialize)]
        struct Sent {
            metadata: Metadata,
        }
        #[derive(Deserialize)]
        struct Metadata {
            total_tokens: u64,
        }
        let events = sandbox.events();
        let tokens = events
            .iter()
            .filter_map(|event| serde_json::from_str::<Sent>(event).ok())
            .map(|event| event.metadata.total_tokens)
            .sum();
        let ids: HashSet<String> = sandbox.external_ids().into_iter().collect();
        Self { events: events.len() as u64, ids: ids.len() as u64, tokens }
    }
}

/// What was written, what was billed, and what Floe says of it.
struct Proof {
    written: Written,
    billed: Billed,
    account: Account,
}

impl Proof {
    fn tell(&self) -> ExitCode {
        let Self { written, billed, account } = self;
        anstream::println!("\nThe account, as `floe account` prints it:\n\n{account}");
        anstream::println!(
            "The application wrote {} lines ({}), {} of them billable, {} tokens.",
            grouped(written.lines),
            bytes(written.bytes),
            grouped(written.billable),
            grouped(written.tokens)
        );
        anstream::println!(
            "The sandbox holds {} events with {} different ids, {} tokens.",
            grouped(billed.events),
            grouped(billed.ids),
            grouped(billed.tokens)
        );
        let faults = self.faults();
        if !faults.is_empty() {
            return outcome::fail(
                outcome::NO,
                format!("the numbers do not agree: {}", faults.join("; ")),
                None,
            );
        }
        anstream::println!(
            "Every billable line was billed once, over {} rotations.\n\n\
             What to do next:\n  \
             floe sandbox   a server to send to while you write your config\n  \
             floe check     says all that is wrong with a config, at once\n  \
             floe run       the daemon",
            written.rotations
        );
        ExitCode::SUCCESS
    }

    fn faults(&self) -> Vec<String> {
        let Self { written, billed, account } = self;
        let read = account.sources.values().map(|source| source.read.lines).sum::<u64>();
        let read_bytes = account.sources.values().map(|source| source.read.bytes).sum::<u64>();
        let checks = [
            ("lines read", read, written.lines),
            ("bytes read", read_bytes, written.bytes),
            ("events in the sandbox", billed.events, written.billable),
            ("ids in the sandbox", billed.ids, written.billable),
            ("tokens in the sandbox", billed.tokens, written.tokens),
            ("events inserted", account.events.inserted, written.billable),
            ("duplicates", account.events.duplicates, 0),
            ("bytes missed", account.missed_bytes(), 0),
        ];
        let differing = checks.into_iter().filter(|(_, is, should)| is != should);
        let mut faults: Vec<String> = differing
            .map(|(what, is, should)| format!("{what}: {} instead of {}", grouped(is), grouped(should)))
            .collect();
        if !account.adds_up() {
            faults.push("the account does not add up".into());
        }
        faults
    }
}

/// A folder of the demo's own, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("floe-demo-{}", std::process::id()));
        fs::create_dir(&path)?;
        // Without links in it, a path says the same to everybody.
        Ok(Self(fs::canonicalize(path)?))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to the system: it is its folder for such things.
        let _ = fs::remove_dir_all(&self.0);
    }
}
