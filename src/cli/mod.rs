//! The door: arguments, one file per command.

pub mod account;
mod against;
pub mod backfill;
pub mod check;
pub mod completions;
pub mod demo;
pub mod events;
pub mod explain;
mod explained;
pub mod init;
pub mod man;
mod outcome;
pub mod presets;
mod pretty;
pub mod quarantine;
pub mod reconcile;
pub mod run;
pub mod sandbox;
pub mod schema;
pub mod status;
pub mod test;
mod times;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::shell::logs::LogFormat;
use crate::shell::numbers;

/// Tails log files and bills every line to Polar exactly once
///
/// Floe follows log files through rotation, maps their lines to Polar events by the rules of its config, and delivers
/// each event once. `floe demo` shows it with nothing to set up.
#[derive(Debug, Parser)]
#[command(name = "floe", version, propagate_version = true, max_term_width = 100, after_help = EXIT_CODES)]
struct Arguments {
    /// The config [default: /etc/floe/floe.toml, then ./floe.toml]
    #[arg(long, short, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    /// How the daemon's log looks on stderr; FLOE_LOG=debug says more
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,

    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 the answer is \"no\", 64 usage, 66 input cannot be read, 69 endpoint \
                          not reachable, 70 a fault of Floe itself, 73 the state cannot be used, 75 the state is in use, 78 bad config";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    Run(run::RunArguments),
    /// Show the main job in half a minute: no token, no network, no config
    Demo(demo::DemoArguments),
    /// Propose a config for a log file: format, rules and tests
    Init(init::InitArguments),
    /// Check the config: all faults at once, each with its place and the cure
    Check(check::CheckArguments),
    /// Run the tests that stand in the config
    Test(test::TestArguments),
    /// Say what becomes of each line of a log, and why
    Explain(explain::ExplainArguments),
    /// Read files that are over once, and bill what Polar does not have yet
    Backfill(backfill::BackfillArguments),
    /// Show the running daemon at a glance
    Status(status::StatusArguments),
    /// Say where every byte and line of each source went
    Account(account::AccountArguments),
    /// Show, export or retry lines that could not be billed
    Quarantine(quarantine::QuarantineArguments),
    /// Hold what the files give and what was sent against what Polar has
    Reconcile(reconcile::ReconcileArguments),
    /// Show the events that Polar has
    Events(events::EventsArguments),
    /// Run a local stand-in for Polar's event API
    #[command(long_about = None)]
    Sandbox(sandbox::SandboxArguments),
    /// List what is known of the logs of certain software, or show one preset
    Presets(presets::PresetsArguments),
    /// Print the JSON Schema of the config, for editors
    Schema,
    /// Print a manual page
    Man(man::ManArguments),
    /// Print the completions of a shell: bash, zsh or fish
    Completions(completions::CompletionsArguments),
}

/// Does what the command line says.
#[must_use]
pub fn main() -> ExitCode {
    outcome::end_on_panic(|panic| {
        outcome::fail(outcome::SOFTWARE, panic, Some("this is a fault of Floe: please report it"));
    });
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and the version come this way too. Nobody listening is no reason to fail otherwise.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(outcome::USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let Arguments { config, log_format, command } = arguments;
    match command {
        Command::Run(arguments) => run::run(&arguments, config, log_format),
        Command::Demo(arguments) => demo::run(&arguments, log_format),
        Command::Init(arguments) => init::run(&arguments),
        Command::Check(arguments) => check::run(&arguments, config),
        Command::Test(arguments) => test::run(&arguments, config),
        Command::Explain(arguments) => explain::run(&arguments, config),
        Command::Backfill(arguments) => backfill::run(&arguments, config, log_format),
        Command::Status(arguments) => status::run(&arguments, config),
        Command::Account(arguments) => account::run(&arguments, config),
        Command::Quarantine(arguments) => quarantine::run(&arguments, config),
        Command::Reconcile(arguments) => reconcile::run(&arguments, config),
        Command::Events(arguments) => events::run(&arguments, config),
        Command::Sandbox(arguments) => sandbox::run(arguments),
        Command::Presets(arguments) => presets::run(&arguments),
        Command::Schema => schema::run(),
        Command::Man(arguments) => man::run(&arguments, Arguments::command()),
        Command::Completions(arguments) => completions::run(&arguments, Arguments::command()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn global_options_stand_before_or_after_the_command() {
        for line in ["floe -c x.toml check", "floe check -c x.toml"] {
            let arguments = Arguments::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(arguments.config, Some("x.toml".into()), "{line}");
        }
    }
}
