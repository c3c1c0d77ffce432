//! `floe check`: all that is wrong with the config, at once.

mod meters;

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::{self, Environment, LoadOptions};

/// Of sysexits: a bad config.
pub(super) const BAD_CONFIG: u8 = 78;

/// Checks the config and says all that is wrong with it: where, what, and the cure.
#[derive(Debug, clap::Args)]
pub struct CheckArguments {
    /// Ask Polar too whether what the rules send would be billed
    ///
    /// Reads the meters, looks at the first lines of the logs and at the tests, and says which events would be accepted and
    /// counted as nothing, and why. It sends no event. The token needs the scopes events:write and meters:read; with
    /// customers:read it tells unknown customers, with organizations:read it names the organization. Exit code 1 where
    /// something is found.
    #[arg(long)]
    against_polar: bool,

    /// How many customers of the lines to ask for; each is a request
    #[arg(long, value_name = "NUMBER", default_value_t = 20, requires = "against_polar")]
    customers_sample: usize,
}

/// 0 where Floe would start, with or without warnings; 78 where it would not. Against Polar, [`meters::run`].
#[must_use]
pub fn run(arguments: &CheckArguments, config: Option<PathBuf>) -> ExitCode {
    match config::load(&options(config)) {
        Ok(loaded) if arguments.against_polar => meters::run(loaded, arguments.customers_sample),
        Ok(loaded) => {
            if !loaded.warnings.is_empty() {
                report(&loaded.warnings);
            }
            let names: Vec<String> = loaded.files.iter().map(|path| path.display().to_string()).collect();
            let line = format!("{}: {}\n", names.join(", "), loaded.warnings.count());
            // A closed pipe is nobody's fault: the exit code says the same.
            let _ = std::io::stdout().write_all(line.as_bytes());
            ExitCode::SUCCESS
        }
        Err(faults) => {
            report(&faults);
            ExitCode::from(BAD_CONFIG)
        }
    }
}

/// Loads the config, or says all that is wrong with it.
pub(super) fn load(config: Option<PathBuf>) -> Result<config::Settings, ()> {
    config::load(&options(config)).map(|loaded| loaded.settings).map_err(|faults| report(&faults))
}

/// What the machine says: the environment, as far as it is UTF-8, and the machine id.
#[must_use]
pub fn options(path: Option<PathBuf>) -> LoadOptions {
    let environment: Environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let machine_id = std::fs::read_to_string("/etc/machine-id").ok();
    LoadOptions { path, environment, machine_id }
}

pub(super) fn report(faults: &config::Faults) {
    let colour =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty());
    let _ = writeln!(std::io::stderr(), "{}", faults.render(colour));
}
