//! `floe reconcile`: what the files give, what was sent, and what Polar has.

mod text;

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use tokio::runtime::Runtime;

use super::against::{self, Against};
use super::numbers::grouped;
use super::times::time;
use super::{check, outcome, run as daemon};
use crate::config::settings::Mode;
use crate::config::{self, Settings, parse_duration};
use crate::mapping::TimeRange;
use crate::shell::client::{Client, NoClient};
use crate::shell::errand::Courier;
use crate::shell::logs::{self, LogFormat};
use crate::shell::reconcile::{Options, Progress, ReconcileFault, Report, reconcile};
use crate::shell::recount::{Recount, RecountFault};
use crate::shell::state::{self, StateFault};
use crate::shell::token::Token;

/// Holds what the files give and what was sent against what Polar has
///
/// The source files are read again, up to where the daemon has settled them, by the rules as they are now. With
/// `reconcile = true` under [polar], set before the events were sent, Polar is asked for exactly the events of each segment
/// of 16 MiB, so missing, altered and surplus ones are found. Without it Polar is asked by name and time, and only missing
/// ones are. Files that are gone cannot be compared, which is said. The daemon may run beside it.
#[derive(Debug, clap::Args)]
pub struct ReconcileArguments {
    /// Compare segments with an event from this time on: RFC 3339, or a date (then from its midnight in UTC)
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,

    /// Compare segments with an event before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,

    /// Compare with what another system billed, not with Polar: a CSV file with a column external_id for events, or with
    /// external_customer_id, perhaps name, and any sums (docs/shadow.md). Also in shadow mode
    #[arg(long, value_name = "FILE.csv", conflicts_with_all = ["fix", "again"])]
    against: Option<PathBuf>,

    /// Send what is missing: the same events with the same ids, so nothing is billed twice
    #[arg(long)]
    fix: bool,

    /// Tell once more of what is altered or surplus, and then never again: you have dealt with it
    #[arg(long)]
    accept: bool,

    /// Ask for settled segments, too: those that were all there an hour after their last event
    #[arg(long)]
    again: bool,

    /// As JSON
    #[arg(long)]
    json: bool,

    /// Show each customer and name of each segment, and name every event, however many there are
    #[arg(long)]
    all: bool,

    /// Name no more than so many events of each kind
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    limit: usize,

    /// How long Polar may take to show what it took; what is missing is asked for again then
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = parse_duration)]
    grace: Duration,

    /// Requests a minute at most [default: a quarter of `delivery.requests_per_minute`: the daemon needs the rest]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=60_000))]
    requests_per_minute: Option<u32>,
}

/// 0 where all is as it should be, or was mended; 1 where it is not, 66 where there is no state to read, 69 where Polar
/// cannot be asked, 73 where what is settled cannot be written down, 75 beside another one, 78 for a bad config.
#[must_use]
pub fn run(arguments: &ReconcileArguments, config: Option<PathBuf>) -> ExitCode {
    let settings = match config::load(&check::options(config)) {
        Ok(loaded) => loaded.settings,
        Err(faults) => return outcome::bad_config(&faults),
    };
    if let Some(list) = &arguments.against {
        return against(arguments, list, settings);
    }
    if settings.polar.mode == Mode::Shadow {
        let hint = "in shadow mode nothing is sent: compare with another system's list by --against FILE.csv, or once the mode is live there is something to compare";
        return outcome::fail(outcome::BAD_CONFIG, "there is nothing at Polar to compare with", Some(hint));
    }
    if let Err(why) = Token::is_there(&settings.polar.token) {
        return outcome::fail(outcome::BAD_CONFIG, why, Some(outcome::TOKEN_IS_NOT_AWAITED));
    }
    match compare(arguments, settings) {
        Ok(report) => {
            let told = if arguments.json { text::json(&report) } else { text::of(&report) };
            // A closed pipe is nobody's fault: the exit code says the same.
            let _ = std::io::stdout().write_all(told.as_bytes());
            if report.drift() == 0 { ExitCode::SUCCESS } else { ExitCode::from(outcome::NO) }
        }
        Err(code) => code,
    }
}

fn against(arguments: &ReconcileArguments, list: &Path, settings: Settings) -> ExitCode {
    let settings = Arc::new(settings);
    let recount = match recount(&settings) {
        Ok(recount) => recount,
        Err(code) => return code,
    };
    let limit = if arguments.all { usize::MAX } else { arguments.limit };
    let range = TimeRange { since: arguments.since, until: arguments.until };
    against::run(&Against { list, range, json: arguments.json, limit }, &settings, &recount)
}

fn compare(arguments: &ReconcileArguments, mut settings: Settings) -> Result<Report, ExitCode> {
    logs::start(LogFormat::Text);
    let quarter = (settings.delivery.requests_per_minute / 4).max(1);
    settings.delivery.requests_per_minute = arguments.requests_per_minute.unwrap_or(quarter);
    settings.delivery.concurrency = settings.delivery.concurrency.min(2);
    let settings = Arc::new(settings);
    let recount = recount(&settings)?;
    let runtime = daemon::runtime()
        .map_err(|error| outcome::fail(outcome::NO, format!("cannot start: {error}"), None))?;
    let client = || {
        Client::new(&settings.polar).map_err(|NoClient(why)| outcome::fail(outcome::BAD_CONFIG, why, None))
    };
    let courier = if arguments.fix { Some(courier(&runtime, client()?, &settings)?) } else { None };
    let options = Options {
        range: TimeRange { since: arguments.since, until: arguments.until },
        again: arguments.again,
        fix: arguments.fix,
        accept: arguments.accept,
        grace: arguments.grace,
        most_named: if arguments.all { usize::MAX } else { arguments.limit },
        all_rows: arguments.all,
        requests_per_minute: settings.delivery.requests_per_minute,
    };
    let bar = progress_bar();
    let mut tell = |progress: Progress<'_>| {
        if let Some(bar) = &bar {
            bar.set_message(format!(
                "{}: {} events, {} segments, {} requests",
                progress.path,
                grouped(progress.events),
                grouped(progress.segments),
                grouped(progress.requests)
            ));
            bar.tick();
        }
    };
    let compared = reconcile(&recount, client()?, courier, &runtime, options, &mut tell);
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    // A name that is still being resolved must not keep the process.
    runtime.shutdown_background();
    compared.map_err(|fault| match fault {
        ReconcileFault::Polar(why) => unreachable_polar(&why),
        ReconcileFault::State(StateFault::InUse { .. }) => {
            outcome::fail(outcome::IN_USE, "another `floe reconcile` is running", Some("wait for it to end"))
        }
        ReconcileFault::State(fault) => outcome::fail(
            fault.exit_code(),
            &fault,
            Some("run it as the user that Floe runs as: it writes down which segments are settled"),
        ),
    })
}

fn unreachable_polar(why: &str) -> ExitCode {
    outcome::fail(
        outcome::UNAVAILABLE,
        format!("cannot ask Polar: {why}"),
        Some("`server` and the token stand under [polar]; reading needs the scope events:read"),
    )
}

fn recount(settings: &Arc<Settings>) -> Result<Recount, ExitCode> {
    let hint = "start `floe run` first: its checkpoint says what was sent";
    let no_state = |fault: StateFault| match fault {
        StateFault::Unusable { .. } => outcome::fail(outcome::NO_INPUT, fault, Some(hint)),
        fault => outcome::fail(fault.exit_code(), &fault, Some(&fault.hint())),
    };
    state::peek_as(settings).map_err(no_state)?;
    Recount::open(settings).map_err(|fault| match fault {
        RecountFault::State(fault) => no_state(fault),
        RecountFault::Quarantine(path, error) => {
            let what = format!("cannot read the quarantine {path:?}: {error}");
            outcome::fail(outcome::NO_INPUT, what, Some("run it as the user that Floe runs as"))
        }
    })
}

fn courier(runtime: &Runtime, client: Client, settings: &Settings) -> Result<Courier, ExitCode> {
    const GIVE_UP_AFTER: Duration = Duration::from_mins(2);
    let _context = runtime.enter();
    let mut courier = Courier::new(client, settings.delivery.clone(), GIVE_UP_AFTER);
    runtime.block_on(courier.get_ready()).map_err(|why| unreachable_polar(&why))?;
    Ok(courier)
}

/// Where somebody sees it.
fn progress_bar() -> Option<ProgressBar> {
    std::io::stderr().is_terminal().then(|| {
        let style = ProgressStyle::with_template("{spinner} {wide_msg}");
        ProgressBar::new_spinner().with_style(style.expect("the template names only what a bar has"))
    })
}
