//! `floe quarantine discard`: lines that nobody will bill are taken out for good.

use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;

use super::retry::{fault, print};
use super::{Chosen, State, lines, open, unknown_ids};
use crate::cli::outcome;
use crate::shell::discard::{self, Discarded};

#[derive(Debug, clap::Args)]
pub struct DiscardArguments {
    #[command(flatten)]
    chosen: Chosen,

    /// Really discard them; without it only how many they are is said
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    state: State,
}

/// 0; 1 where there is no line with an id, 64 where nothing is chosen or `--yes` is missing, 66 where the quarantine
/// cannot be read, 73 where it cannot be written, 75 while a retry runs.
pub fn run(arguments: &DiscardArguments, config: Option<PathBuf>) -> ExitCode {
    if arguments.chosen.is_nothing() {
        let hint = "name ids, or say --reason, --source, --since or --all";
        return outcome::fail(outcome::USAGE, "which lines are to be discarded?", Some(hint));
    }
    let found = arguments.state.folder(config).and_then(|folder| Ok((open(&folder)?, folder)));
    let (shelf, folder) = match found {
        Ok(found) => found,
        Err(code) => return code,
    };
    if let Some(code) = unknown_ids(&shelf, &arguments.chosen.ids) {
        return code;
    }
    let selection = arguments.chosen.selection();
    let discarded = if arguments.yes {
        discard::discard(&folder, &selection, Timestamp::now())
    } else {
        discard::chosen(&shelf, &selection).map(|(_, would)| would)
    };
    match discarded {
        Err(why) => fault(why),
        Ok(none) if none.lines() == 0 => {
            print("nothing of that is quarantined\n");
            ExitCode::SUCCESS
        }
        Ok(discarded) if arguments.yes => {
            print(&text_of(&discarded, "discarded"));
            ExitCode::SUCCESS
        }
        Ok(would) => {
            print(&text_of(&would, "would be discarded"));
            let hint =
                "`--yes` discards them; `floe quarantine export -o FILE` keeps a copy, with the same choice";
            outcome::fail(outcome::USAGE, "what is discarded is never billed: say --yes", Some(hint))
        }
    }
}

fn text_of(discarded: &Discarded, verb: &str) -> String {
    let told = |(reason, count): (&String, &u64)| format!("{verb} of {reason}: {}\n", lines(*count));
    discarded.reasons.iter().map(told).collect()
}
