//! A log that is an estimate bills live only where somebody says that this is meant.

use super::sources::ReadSource;
use crate::config::fault::Fault;
use crate::config::presets::Grade;
use crate::config::reader::Report;
use crate::config::settings::Mode;
use crate::config::warning::WarningCode;

/// `mode` is `None` where that could not be read.
pub(super) fn check(report: &Report, mode: Option<Mode>, sources: &[ReadSource]) {
    for source in sources.iter().filter(|source| !source.accepts_estimates) {
        let Some((place, preset)) = &source.preset else { continue };
        if preset.grade != Grade::C {
            continue;
        }
        let name = &preset.name;
        let message = format!("a log of \"{name}\" is an estimate: lines of it may be missing");
        let fault = match mode {
            Some(Mode::Live) => Fault::at(place, message).hint(
                "its preset says why; to bill by it all the same, add accept_estimates = true to the source",
            ),
            Some(Mode::Shadow) => Fault::warning(WarningCode::Estimate, place, message)
                .hint("going live with it needs accept_estimates = true in the source"),
            None => continue,
        };
        report.push(fault);
    }
}
