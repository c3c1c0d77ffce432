//! `floe presets`: what is known of the logs of certain software.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use super::outcome;
use crate::config::presets;

/// Lists the presets: what a source gets by `format = "NAME"`. With a name it prints that preset's file, to be read
/// or, in a file of your own, changed.
#[derive(Debug, clap::Args)]
pub struct PresetsArguments {
    /// Print this one
    name: Option<String>,
}

/// 64 where there is no such preset.
#[must_use]
pub fn run(arguments: &PresetsArguments) -> ExitCode {
    let text = match &arguments.name {
        None => list(),
        Some(name) => match presets::text(name) {
            Some(text) => text.to_owned(),
            None => {
                let known = presets::did_you_mean(name);
                let _ = writeln!(std::io::stderr(), "there is no preset \"{name}\"\nhint: {known}");
                return ExitCode::from(outcome::USAGE);
            }
        },
    };
    // Nobody listening is nobody's fault.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn list() -> String {
    let presets = presets::built_in();
    let width = presets.iter().map(|preset| preset.name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for preset in &presets {
        let _ = writeln!(text, "{:width$}  {}  {}", preset.name, preset.grade.letter(), preset.about);
    }
    text.push_str(
        "\nA exact; B exact if configured as the preset says; C an estimate, which bills only with accept_estimates = true\n",
    );
    text
}
