//! `floe quarantine export`: the lines for other tools, as letters or as they stood in their logs.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use super::{Filter, State, lines};
use crate::cli::outcome;
use crate::model::LetterId;
use crate::shell::disk::words_of;
use crate::shell::retry::Selection;
use crate::shell::shelf::Shelf;

#[derive(Debug, clap::Args)]
pub struct ExportArguments {
    /// Only these lines, by the ids that `floe quarantine show` says
    #[arg(value_name = "ID")]
    ids: Vec<LetterId>,

    #[command(flatten)]
    filter: Filter,

    /// How they are written
    #[arg(long, value_name = "FORMAT", default_value = "jsonl")]
    format: Format,

    /// Write to a new file instead of the standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A JSON object a line: place, reason, detail, text
    Jsonl,
    /// The lines themselves, byte for byte
    Text,
}

/// 0; 1 where there is no line with an id or some have no text to write, 66 where the quarantine cannot be read, 73
/// where the file cannot be written.
pub fn run(arguments: &ExportArguments, config: Option<PathBuf>) -> ExitCode {
    let selected = arguments.state.selected(config, &arguments.ids, &arguments.filter);
    let (shelf, selection) = match selected {
        Ok(selected) => selected,
        Err(code) => return code,
    };
    let written = match &arguments.output {
        None => write(&shelf, &selection, arguments.format, io::stdout().lock()),
        Some(path) => {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            file.and_then(|file| write(&shelf, &selection, arguments.format, file))
        }
    };
    match (written, &arguments.output) {
        (Ok(0), _) => ExitCode::SUCCESS,
        (Ok(without), _) => {
            let what = format!("{} not written: not all of their text is kept", lines(without));
            outcome::fail(outcome::NO, what, Some("`--format jsonl` says where they stood"))
        }
        (Err(error), None) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        (Err(error), None) => outcome::fail(outcome::NO_INPUT, words_of(&error), None),
        (Err(error), Some(path)) => {
            let hint = "name a file that is not there yet, in a folder that you may write to";
            let what = format!("cannot write {path:?}: {}", words_of(&error));
            outcome::fail(outcome::NO_STATE, what, Some(hint))
        }
    }
}

/// Writes what is meant. Gives how many lines have no text to write.
fn write(shelf: &Shelf, selection: &Selection, format: Format, out: impl Write) -> io::Result<u64> {
    let mut out = BufWriter::new(out);
    let mut without = 0;
    shelf.read(|shelved| {
        if !selection.takes(&shelved) {
            return Ok(());
        }
        match (format, shelved.letter.whole()) {
            (Format::Jsonl, _) => out.write_all(&shelved.letter.to_line()),
            (Format::Text, Some(text)) => out.write_all(&text).and_then(|()| out.write_all(b"\n")),
            (Format::Text, None) => {
                without += 1;
                Ok(())
            }
        }
    })?;
    out.flush()?;
    Ok(without)
}
