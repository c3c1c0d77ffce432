//! The binary: everything is in the library, so that tests and the demo can call it.

use std::process::ExitCode;

fn main() -> ExitCode {
    floe::cli::main()
}
