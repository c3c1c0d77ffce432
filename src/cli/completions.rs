//! `floe completions`: what a shell needs to complete Floe's commands and options.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Command, ValueEnum};
use clap_complete::generate;
use clap_complete::shells::{Bash, Fish, Zsh};

/// Prints the completions of a shell
///
/// bash: ~/.local/share/bash-completion/completions/floe; zsh: _floe in a folder of $fpath; fish:
/// ~/.config/fish/completions/floe.fish. The Debian package brings them.
#[derive(Debug, clap::Args)]
pub struct CompletionsArguments {
    shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[must_use]
pub fn run(arguments: &CompletionsArguments, mut floe: Command) -> ExitCode {
    let mut script = Vec::new();
    match arguments.shell {
        Shell::Bash => generate(Bash, &mut floe, "floe", &mut script),
        Shell::Zsh => generate(Zsh, &mut floe, "floe", &mut script),
        Shell::Fish => generate(Fish, &mut floe, "floe", &mut script),
    }
    // A closed pipe is nobody's fault.
    let _ = std::io::stdout().write_all(&script);
    ExitCode::SUCCESS
}
