//! `floe sandbox`: a local stand-in for Polar's event API.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::sandbox::{FaultPlan, Fixtures, Sandbox, SandboxHandle, SandboxOptions};

const EXIT_USAGE: u8 = 64;
const EXIT_NO_INPUT: u8 = 66;
const EXIT_CANNOT_CREATE: u8 = 73;

/// Runs a local stand-in for Polar's event API: same validation, same error bodies, permanent dedupe
///
/// The first line it prints is its URL: `server` of the config. The second has a token. Open the URL in a browser to
/// watch events arrive.
#[derive(Debug, Clone, clap::Args)]
pub struct SandboxArguments {
    /// Where to listen; port 0 takes any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,

    /// Keep the events in this file, so that they are still known after a restart [default: in memory]
    #[arg(long, value_name = "FILE")]
    pub store: Option<PathBuf>,

    /// Organizations, tokens and customers, as JSON [default: one organization with one token]
    #[arg(long, value_name = "FILE")]
    pub fixtures: Option<PathBuf>,

    /// What goes wrong with which part of the requests, such as `500:0.1,reset:0.05,latency:200ms`
    ///
    /// A status from 300 to 599, `reset`, `lost-answer` (stored, then the connection drops), `half-answer`, `timeout` (no
    /// answer ever), `slow` (5 s more), `html` (a login page with status 200), `not-json`; each with a part from 0 to 1.
    /// `latency` holds every answer back. `500@acme` answers so to each request in which `acme` stands.
    #[arg(long, value_name = "PLAN", default_value = "", hide_default_value = true)]
    pub fault: String,

    /// Seed of the dice for the faults [default: another one each time]
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,

    /// Requests a minute for each organization; Polar allows 500, its test environment 100 [default: any number]
    #[arg(long, value_name = "NUMBER")]
    pub rate_limit: Option<u32>,
}

/// Runs the sandbox until Ctrl-C or SIGTERM.
pub fn run(arguments: SandboxArguments) -> ExitCode {
    match start(arguments) {
        Ok((sandbox, seed)) => wait(&sandbox, seed),
        Err(failure) => {
            eprintln!("error: {}", failure.message);
            if let Some(hint) = failure.hint {
                eprintln!("hint: {hint}");
            }
            ExitCode::from(failure.exit)
        }
    }
}

struct Failure {
    exit: u8,
    message: String,
    hint: Option<&'static str>,
}

fn start(arguments: SandboxArguments) -> Result<(SandboxHandle, u64), Failure> {
    let faults: FaultPlan = arguments.fault.parse().map_err(|why| Failure {
        exit: EXIT_USAGE,
        message: format!("--fault is wrong: {why}"),
        hint: None,
    })?;
    let fixtures = match &arguments.fixtures {
        None => Fixtures::default(),
        Some(path) => {
            let json = std::fs::read_to_string(path).map_err(|error| Failure {
                exit: EXIT_NO_INPUT,
                message: format!("cannot read {path:?}: {error}"),
                hint: None,
            })?;
            Fixtures::of_json(&json).map_err(|why| Failure {
                exit: EXIT_USAGE,
                message: format!("{path:?} is no fixtures file: {why}"),
                hint: Some(r#"{"organizations":[{"id":"<UUID>","tokens":[{"token":"polar_oat_1","scopes":["events:write"]}]}]}"#),
            })?
        }
    };
    let seed = arguments.seed.unwrap_or_else(|| jiff::Timestamp::now().as_microsecond().unsigned_abs());
    let options = SandboxOptions {
        listen: arguments.listen,
        fixtures,
        store: arguments.store.clone(),
        rate_limit_per_minute: arguments.rate_limit,
        faults,
        seed,
    };
    let sandbox = Sandbox::start(options).map_err(|error| match (&arguments.store, error.kind()) {
        (_, io::ErrorKind::AddrInUse) => Failure {
            exit: EXIT_CANNOT_CREATE,
            message: format!("cannot listen on {}: {error}", arguments.listen),
            hint: Some("leave --listen out to take any free port"),
        },
        (Some(store), _) => Failure {
            exit: EXIT_CANNOT_CREATE,
            message: format!("cannot start the sandbox on {} with {store:?}: {error}", arguments.listen),
            hint: None,
        },
        (None, _) => Failure {
            exit: EXIT_CANNOT_CREATE,
            message: format!("cannot start the sandbox on {}: {error}", arguments.listen),
            hint: None,
        },
    })?;
    Ok((sandbox, seed))
}

fn wait(sandbox: &SandboxHandle, seed: u64) -> ExitCode {
    // Before anybody can read the URL and send a signal.
    let mut signals = match Signals::new([SIGINT, SIGTERM]) {
        Ok(signals) => signals,
        Err(error) => {
            eprintln!("error: cannot watch for signals: {error}");
            return ExitCode::FAILURE;
        }
    };
    let lines = format!("{}\ntoken: {}\nseed: {seed}\n", sandbox.url(), sandbox.token());
    let mut out = io::stdout().lock();
    // Nobody listening is no reason to stop.
    let _ = out.write_all(lines.as_bytes()).and_then(|()| out.flush());
    drop(out);
    signals.forever().next();
    ExitCode::SUCCESS
}
