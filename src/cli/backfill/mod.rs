//! `floe backfill`: files that are over, read once and billed with the ids that the daemon gives.
//!
//! It is the daemon itself with other eyes and another purpose. So what the daemon has sent of a file is known to Polar
//! by its ids, and a backfill over it costs requests, never money.

mod plan;
mod progress;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use self::plan::Plan;
use self::progress::Progress;
use super::account::Account;
use super::numbers::grouped;
use super::times::time;
use super::{check, outcome, run};
use crate::agent::Status;
use crate::config::settings::Mode;
use crate::config::{self, Settings};
use crate::mapping::{Rules, TimeRange};
use crate::model::{Fate, SourceIndex};
use crate::shell::backfill::{self, Opened};
use crate::shell::census::{Census, Counted};
use crate::shell::content::Extents;
use crate::shell::daemon::{BackfillOptions, Daemon, StartFault};
use crate::shell::event::{Command, Event, Reports};
use crate::shell::given;
use crate::shell::logs::{self, LogFormat};
use crate::shell::token::Token;
use crate::shell::{signals, state};

/// What the config allows at most in a minute. A rehearsal bothers nobody.
const MOST_REQUESTS: u32 = 60_000;

/// Reads files that are over once, and bills what Polar does not have yet
///
/// The ids are those that the daemon gives, so lines that it has sent are not billed again, nor are those of a backfill
/// before. It may run beside the daemon, and goes on where it was interrupted when it is started with the same arguments.
#[derive(Debug, clap::Args)]
pub struct BackfillArguments {
    /// Files, or globs in quotes
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    /// The source whose rules apply [default: the one that includes the file, or what it was rotated from]
    #[arg(long, value_name = "ID")]
    pub source: Option<String>,

    /// Only events from this time on: RFC 3339, or a date (then from its midnight in UTC)
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub since: Option<Timestamp>,

    /// Only events before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub until: Option<Timestamp>,

    /// Map everything, send nothing, and say what would be sent
    #[arg(long)]
    pub dry_run: bool,

    /// Requests a minute [default: what the config says, or half of it beside a running daemon]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_REQUESTS)))]
    pub requests_per_minute: Option<u32>,

    /// End when nothing was taken by the endpoint for so long
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    pub give_up_after: Duration,
}

/// Why a backfill does not begin.
#[derive(Debug)]
pub struct Refused {
    code: u8,
    what: String,
    hint: Option<String>,
}

impl Refused {
    fn new(code: u8, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code, what: what.into(), hint: Some(hint.into()) }
    }

    fn tell(self) -> ExitCode {
        outcome::fail(self.code, self.what, self.hint.as_deref())
    }
}

impl From<StartFault> for Refused {
    fn from(fault: StartFault) -> Self {
        Self { code: fault.exit_code(), what: fault.to_string(), hint: fault.hint() }
    }
}

/// 0 when every line is billed or ignored; 1 when some are quarantined or were not read, or it was interrupted; 66 when
/// a file cannot be read, 69 when the endpoint takes nothing.
#[must_use]
pub fn run(arguments: &BackfillArguments, config: Option<PathBuf>, log_format: LogFormat) -> ExitCode {
    let settings = match config::load(&check::options(config)) {
        Ok(loaded) => loaded.settings,
        Err(faults) => return outcome::bad_config(&faults),
    };
    logs::start_with(log_format, logs::Quietness::Warnings);
    match prepare(settings, arguments).and_then(Errand::perform) {
        Ok(code) => code,
        Err(refused) => refused.tell(),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<SignedDuration>().ok().and_then(|parsed| Duration::try_from(parsed).ok());
    parsed.filter(|parsed| !parsed.is_zero()).ok_or_else(|| "write it like 30s, 5m or 2h".to_owned())
}

/// A backfill that may begin.
struct Errand {
    settings: Settings,
    plan: Plan,
    range: TimeRange,
    name: String,
    give_up_after: Duration,
    requests_per_minute: Option<u32>,
    is_rehearsal: bool,
}

fn prepare(settings: Settings, arguments: &BackfillArguments) -> Result<Errand, Refused> {
    let plan = Plan::new(&settings, &arguments.files, arguments.source.as_deref())?;
    let range = TimeRange { since: arguments.since, until: arguments.until };
    if let (Some(since), Some(until)) = (range.since, range.until)
        && since >= until
    {
        let what = format!("no time lies between {since} and {until}");
        return Err(Refused::new(outcome::USAGE, what, "`--since` is the earlier one"));
    }
    check_rules(&settings, &plan, range)?;
    if settings.polar.mode == Mode::Live && !arguments.dry_run {
        Token::is_there(&settings.polar.token).map_err(|why| {
            Refused::new(outcome::BAD_CONFIG, why.to_string(), outcome::TOKEN_IS_NOT_AWAITED)
        })?;
    }
    Ok(Errand {
        name: name_of(&settings, &plan, range),
        plan,
        range,
        give_up_after: arguments.give_up_after,
        requests_per_minute: arguments.requests_per_minute,
        is_rehearsal: arguments.dry_run,
        settings,
    })
}

/// Whether the rules can do without what these files do not have.
fn check_rules(settings: &Settings, plan: &Plan, range: TimeRange) -> Result<(), Refused> {
    let rules = Rules::in_force(settings);
    for file in &plan.files {
        let Some(capture) = rules.used_capture(file.source) else { continue };
        if !file.captures.contains_key(capture) {
            let source = &settings.sources[usize::from(file.source.0)].id;
            let what = format!(
                "rules of source {source:?} use @path.{capture}, which {:?} does not have",
                file.path
            );
            let hint = "put the file, or a link to it, where an `include` of the source gives it a value";
            return Err(Refused::new(outcome::USAGE, what, hint));
        }
    }
    if !range.is_bounded() {
        return Ok(());
    }
    let concerns = |source: SourceIndex| plan.files.iter().any(|file| file.source == source);
    let timeless = settings.rules.iter().find(|rule| {
        rule.event.timestamp.is_none() && rule.sources.iter().any(|source| concerns(SourceIndex(*source)))
    });
    match timeless {
        Some(rule) => Err(Refused::new(
            outcome::USAGE,
            format!(
                "rule {:?} ({}) gives its events no timestamp, so --since and --until say nothing of them",
                rule.id, rule.place
            ),
            "give the rule a `timestamp`, or leave out --since and --until",
        )),
        None => Ok(()),
    }
}

/// The same for the same files under the same rules.
fn name_of(settings: &Settings, plan: &Plan, range: TimeRange) -> String {
    struct Hash(blake3::Hasher);
    impl std::fmt::Write for Hash {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.update(text.as_bytes());
            Ok(())
        }
    }
    let mut files: Vec<_> = plan
        .files
        .iter()
        .map(|file| (&file.path, &settings.sources[usize::from(file.source.0)].id))
        .collect();
    files.sort();
    let mut hash = Hash(blake3::Hasher::new());
    write!(
        hash,
        "{files:?} {range:?} {:?} {} {:?}",
        settings.polar.mode, settings.polar.base_url, settings.rules
    )
    .expect("a hash takes everything");
    hash.0.finalize().to_hex()[..16].to_owned()
}

impl Errand {
    fn perform(mut self) -> Result<ExitCode, Refused> {
        let scratch = if self.is_rehearsal { Some(Scratch::new()?) } else { None };
        let sources = self.plan.sources(&self.settings);
        let opened = match &scratch {
            Some(scratch) => backfill::rehearse(&self.settings, &scratch.0, &sources),
            None => backfill::open(&self.settings, &self.name, &sources),
        };
        let opened = opened.map_err(StartFault::State)?;
        self.set_budget(&opened);
        if opened.is_resumed {
            anstream::eprintln!("this backfill was begun before; it goes on where it was interrupted");
        }
        let (place, letters) = (opened.folder.path.clone(), opened.letters.clone());
        let census = self.is_rehearsal.then(|| Arc::new(Census::default()));
        let ended = self.serve(opened, census.clone())?;
        let checkpoint = state::peek(&place).map_err(StartFault::State)?;
        let report = Report {
            account: Account::of(&checkpoint),
            ended: &ended,
            counted: census.map(|census| census.counted()),
            letters: &letters,
        };
        anstream::print!("{report}");
        if ended.how == How::Done && ended.waiting() == 0 && !self.is_rehearsal {
            backfill::finish(&self.settings, &self.name, &checkpoint).map_err(|error| {
                let what = format!("all is sent, but the state of the backfill cannot be put away: {error}");
                Refused::new(outcome::NO_STATE, what, "give Floe's user write access to its state folder")
            })?;
        }
        Ok(ExitCode::from(report.code()))
    }

    fn set_budget(&mut self, opened: &Opened) {
        let budget = &mut self.settings.delivery.requests_per_minute;
        if self.is_rehearsal {
            *budget = MOST_REQUESTS;
        } else if let Some(wanted) = self.requests_per_minute {
            *budget = wanted;
        } else if opened.daemon_runs && self.settings.polar.mode == Mode::Live {
            *budget = (*budget / 2).max(1);
            anstream::eprintln!(
                "a daemon is running: half of its budget is used, {budget} requests a minute (--requests-per-minute N for another)"
            );
        }
    }

    fn serve(&self, state: Opened, census: Option<Arc<Census>>) -> Result<Ended, Refused> {
        let broken = |what: String| Refused { code: outcome::NO, what, hint: None };
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted))
                .map_err(|error| broken(format!("cannot listen for signals: {error}")))?;
        }
        let (observer, status) = watch::channel(Status::default());
        let extents = Extents::default();
        let options = BackfillOptions {
            settings: Arc::new(self.settings.clone()),
            state,
            files: self.plan.files.clone(),
            range: self.range,
            census,
            extents: extents.clone(),
            observer,
        };
        let runtime = run::runtime().map_err(|error| broken(format!("cannot start: {error}")))?;
        let result = runtime.block_on(async {
            let daemon = Daemon::start_backfill(options)?;
            signals::listen(daemon.commands())
                .map_err(|error| broken(format!("cannot listen for signals: {error}")))?;
            let watcher = Watcher {
                status,
                commands: daemon.commands(),
                progress: Progress::new(self.plan.bytes()),
                give_up_after: self.give_up_after,
            };
            let (ended, gave_up) = tokio::join!(daemon.run(), watcher.run());
            let status = ended.map_err(|fault| broken(fault.0))?;
            let how = match gave_up {
                Some(why) => How::GaveUp(why),
                None if interrupted.load(Ordering::Relaxed) => How::Interrupted,
                None => How::Done,
            };
            let unread = if how == How::Done { self.unread(&status, &extents) } else { Vec::new() };
            Ok(Ended { status, how, unread })
        });
        // A name that is still being resolved must not keep the process.
        runtime.shutdown_background();
        result
    }
}

impl Errand {
    /// Files that were not read to their ends, and why.
    fn unread(&self, status: &Status, extents: &Extents) -> Vec<(String, String)> {
        let mut unread: Vec<(String, String)> =
            status.unread.iter().map(|unread| (unread.path.clone(), unread.why.to_owned())).collect();
        for file in &self.plan.files {
            let path = file.path.to_string_lossy().into_owned();
            if unread.iter().all(|(known, _)| *known != path)
                && let Some(why) = given::breaks_off(file, extents)
            {
                unread.push((path, why));
            }
        }
        unread
    }
}

/// Shows the progress, and ends what does not go on.
struct Watcher {
    status: watch::Receiver<Status>,
    commands: Reports,
    progress: Progress,
    give_up_after: Duration,
}

impl Watcher {
    /// Why it gave up, if it did.
    async fn run(mut self) -> Option<String> {
        let mut moved = (0, Instant::now());
        let mut gave_up = None;
        loop {
            let (done, taken, blocked) = {
                let status = self.status.borrow_and_update();
                let done: u64 = status.accounts.values().map(|account| account.read_bytes).sum();
                (done, done + status.events_inserted + status.events_duplicate, status.blocked.clone())
            };
            self.progress.settled(done);
            if taken != moved.0 {
                moved = (taken, Instant::now());
            }
            if let Some(why) = blocked
                && gave_up.is_none()
                && moved.1.elapsed() >= self.give_up_after
            {
                self.commands.send(Event::Command(Command::Drain));
                gave_up = Some(why);
            }
            let wait = self.give_up_after.min(Duration::from_secs(1));
            if let Ok(Err(_)) = tokio::time::timeout(wait, self.status.changed()).await {
                // The daemon has ended.
                self.progress.end();
                return gave_up;
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum How {
    Done,
    Interrupted,
    /// With what was in the way.
    GaveUp(String),
}

struct Ended {
    status: Status,
    how: How,
    /// Files with what was in the way.
    unread: Vec<(String, String)>,
}

impl Ended {
    /// Lines that were read and are not settled.
    fn waiting(&self) -> u64 {
        self.status.in_flight.values().map(|tally| tally.total().lines).sum()
    }

    fn quarantined(&self) -> u64 {
        let fates = self.status.accounts.values().flat_map(|account| account.settled.iter());
        fates.filter(|(fate, _)| matches!(fate, Fate::Quarantined(_))).map(|(_, count)| count.lines).sum()
    }
}

/// What a backfill says at its end.
struct Report<'a> {
    account: Account,
    ended: &'a Ended,
    counted: Option<Counted>,
    letters: &'a Path,
}

impl Report<'_> {
    fn code(&self) -> u8 {
        let is_good = self.ended.how == How::Done
            && self.ended.quarantined() == 0
            && self.ended.waiting() == 0
            && self.ended.unread.is_empty()
            && self.account.is_right();
        match self.ended.how {
            How::GaveUp(_) => outcome::UNAVAILABLE,
            _ if is_good => 0,
            _ => outcome::NO,
        }
    }
}

impl std::fmt::Display for Report<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.counted {
            None => write!(out, "{}", self.account)?,
            Some(counted) => {
                writeln!(out, "a rehearsal: nothing was sent\n\n{}", self.account.without_events())?;
                for (name, events) in &counted.events {
                    writeln!(out, "would send {} events {name:?}", grouped(*events))?;
                }
                writeln!(out, "for {} customers", grouped(counted.customers() as u64))?;
            }
        }
        for (path, why) in &self.ended.unread {
            writeln!(out, "not read to its end: {path:?}: {why}")?;
        }
        if self.ended.quarantined() > 0 && self.counted.is_none() {
            writeln!(
                out,
                "{:?} holds the quarantined lines; `floe quarantine show` has their cures, `floe quarantine retry` bills them then",
                self.letters
            )?;
        }
        match &self.ended.how {
            How::Done if self.ended.waiting() > 0 => writeln!(
                out,
                "{} lines are of the future of Polar's clock: run it again when they are due",
                grouped(self.ended.waiting())
            ),
            How::Done => Ok(()),
            How::Interrupted => writeln!(out, "interrupted: the same command goes on where this one ended"),
            How::GaveUp(why) => {
                writeln!(out, "gave up: {why}; the same command goes on where this one ended")
            }
        }
    }
}

/// A folder for a rehearsal, gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, Refused> {
        let path = std::env::temp_dir().join(format!("floe-rehearsal-{}", std::process::id()));
        match std::fs::create_dir(&path) {
            Ok(()) => Ok(Self(path)),
            Err(error) => {
                let what = format!("cannot make {path:?}: {error}");
                Err(Refused::new(outcome::NO_STATE, what, "set TMPDIR to a folder that can be written"))
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to the system: it is its folder for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        assert!(duration("5").is_err() && duration("0s").is_err() && duration("-5m").is_err());
    }
}
