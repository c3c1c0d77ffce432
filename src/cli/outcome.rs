//! How a command ends: the exit codes of sysexits that Floe uses, and errors by consequence with the cure.

use std::fmt::Display;
use std::panic::PanicHookInfo;
use std::process::ExitCode;

use super::check;
use crate::config::Faults;

pub const NO: u8 = 1;
pub const USAGE: u8 = 64;
pub const NO_INPUT: u8 = 66;
pub const UNAVAILABLE: u8 = 69;
pub const SOFTWARE: u8 = 70;
pub const NO_STATE: u8 = 73;
pub const IN_USE: u8 = 75;
pub const BAD_CONFIG: u8 = 78;

/// Says what went wrong and, where there is one, the cure.
pub fn fail(code: u8, what: impl Display, hint: Option<&str>) -> ExitCode {
    anstream::eprintln!("error: {what}");
    if let Some(hint) = hint {
        anstream::eprintln!("hint: {hint}");
    }
    ExitCode::from(code)
}

/// A panic in any thread is a mistake of Floe's own. The process says so and ends, whichever thread it was: one
/// that goes on without a part of itself would only look alive. In releases nothing is unwound (`Cargo.toml`).
pub fn end_on_panic(say: impl Fn(&PanicHookInfo<'_>) + Send + Sync + 'static) {
    std::panic::set_hook(Box::new(move |panic| {
        say(panic);
        std::process::exit(SOFTWARE.into());
    }));
}

/// The hint with [`NoToken`](crate::shell::token::NoToken) of a command that ends.
pub const TOKEN_IS_NOT_AWAITED: &str = "a daemon waits for its token, and a command that ends does not";

/// Says all that is wrong with the config.
pub fn bad_config(faults: &Faults) -> ExitCode {
    check::report(faults);
    ExitCode::from(BAD_CONFIG)
}
