//! `floe man`: the manual pages, made of what `--help` says.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Command;
use clap_mangen::Man;

use super::outcome;

/// Prints the manual page of Floe, or of one of its commands, for `man -l -`
#[derive(Debug, clap::Args)]
pub struct ManArguments {
    /// Of this command, as in `floe man quarantine retry`
    command: Vec<String>,

    /// Write all pages into this folder, which must be there
    #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
    to: Option<PathBuf>,
}

/// 64 where there is no such command, 73 where the folder cannot be written.
#[must_use]
pub fn run(arguments: &ManArguments, floe: Command) -> ExitCode {
    if let Some(folder) = &arguments.to {
        return match clap_mangen::generate_to(floe, folder) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let hint = Some("name a folder that is there and may be written");
                outcome::fail(outcome::NO_STATE, format!("cannot write to {folder:?}: {error}"), hint)
            }
        };
    }
    let mut floe = floe.disable_help_subcommand(true);
    floe.build();
    let Some(page) = page(&floe, &arguments.command) else {
        let what = format!("there is no command \"{}\"", arguments.command.join(" "));
        return outcome::fail(outcome::USAGE, what, Some("`floe help` lists the commands"));
    };
    // A closed pipe is nobody's fault.
    let _ = std::io::stdout().write_all(&page);
    ExitCode::SUCCESS
}

fn page(floe: &Command, names: &[String]) -> Option<Vec<u8>> {
    let command = names.iter().try_fold(floe, |command, name| command.find_subcommand(name))?;
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page).expect("memory takes all");
    Some(page)
}
