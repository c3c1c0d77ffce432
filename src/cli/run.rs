//! `floe run`: the daemon.

use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::{check, outcome};
use crate::config::{self, Faults, Settings};
use crate::shell::daemon::{Daemon, DaemonOptions, Reload};
use crate::shell::logs::{self, LogFormat};
use crate::shell::signals;
use crate::shell::state::ResumeFrom;

/// Runs the daemon: tails, maps and delivers until it is told to stop
///
/// SIGTERM or SIGINT looks once more, reads each file to where it ends, brings home what was read and ends, within
/// `limits.drain_timeout`; a second one ends at once. SIGHUP reads the
/// config again; a config with a fault changes nothing.
#[derive(Debug, clap::Args)]
pub struct RunArguments {
    /// Where to go on if the state no longer says where `read_from = "end"` began
    #[arg(long, value_name = "PLACE")]
    pub resume_from: Option<ResumeFrom>,
}

/// 0 after a drain; 73, 75 or 78 where the daemon cannot start.
#[must_use]
pub fn run(arguments: &RunArguments, config: Option<PathBuf>, log_format: LogFormat) -> ExitCode {
    let refusal = Refusal { to_journal: logs::go_to_journal(log_format) };
    let settings = match config::load(&check::options(config.clone())) {
        Ok(loaded) => loaded.settings,
        Err(faults) => return refusal.bad_config(&faults),
    };
    logs::start(log_format);
    outcome::end_on_panic(|panic| {
        let hint = "this is a fault of Floe: please report it; nothing is lost, the next start goes on here";
        tracing::error!(hint, "{panic}");
    });
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return refusal.say(outcome::NO, format!("cannot start: {error}"), None),
    };
    let code = runtime.block_on(serve(settings, reload(config), arguments.resume_from, refusal));
    // A name that is still being resolved must not keep the process.
    runtime.shutdown_background();
    code
}

/// How the daemon says that it does not start: plainly, or in the journal with a level.
#[derive(Debug, Clone, Copy)]
struct Refusal {
    to_journal: bool,
}

impl Refusal {
    fn say(self, code: u8, what: impl Display, hint: Option<&str>) -> ExitCode {
        if !self.to_journal {
            return outcome::fail(code, what, hint);
        }
        tracing::error!(hint, "{what}");
        ExitCode::from(code)
    }

    fn bad_config(self, faults: &Faults) -> ExitCode {
        if !self.to_journal {
            return outcome::bad_config(faults);
        }
        logs::start(LogFormat::Text);
        self.say(outcome::BAD_CONFIG, format!("the config has faults:\n{}", faults.render(false)), None)
    }
}

/// They have much to do at the start, and nothing for long.
const WAITERS_LIVE: Duration = Duration::from_secs(1);

/// The runtime of a daemon: one thread, and a few that wait for names and disks.
pub(super) fn runtime() -> std::io::Result<Runtime> {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().max_blocking_threads(4).thread_keep_alive(WAITERS_LIVE).build()
}

async fn serve(
    settings: Settings,
    reload: Reload,
    resume_from: Option<ResumeFrom>,
    refusal: Refusal,
) -> ExitCode {
    let options =
        DaemonOptions { settings: Arc::new(settings), reload: Some(reload), resume_from, observer: None };
    let daemon = match Daemon::start(options) {
        Ok(daemon) => daemon,
        Err(fault) => return refusal.say(fault.exit_code(), &fault, fault.hint().as_deref()),
    };
    if let Err(error) = signals::listen(daemon.commands()) {
        return refusal.say(outcome::NO, format!("cannot listen for signals: {error}"), None);
    }
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "floe runs");
    match daemon.run().await {
        Ok(_) => {
            tracing::info!("floe has ended; the next start goes on here");
            ExitCode::SUCCESS
        }
        Err(broken) => refusal.say(
            outcome::NO,
            broken.0,
            Some("this is a fault of Floe: please report it; nothing is lost, the next start goes on here"),
        ),
    }
}

fn reload(config: Option<PathBuf>) -> Reload {
    Box::new(move || {
        config::load(&check::options(config.clone()))
            .map(|loaded| loaded.settings)
            .map_err(|faults| faults.render(false))
    })
}
