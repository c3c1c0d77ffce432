//! `floe schema`: the JSON Schema of the config, for editors.

use std::io::Write as _;
use std::process::ExitCode;

use crate::config::schema;

/// Prints the schema.
#[must_use]
pub fn run() -> ExitCode {
    match std::io::stdout().write_all(schema::text_of_schema().as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
