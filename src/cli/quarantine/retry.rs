//! `floe quarantine retry`: what could not be billed is tried again, by the config as it is now.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::{Chosen, lines, open, unknown_ids};
use crate::agent::checkpoint::Checkpoint;
use crate::cli::numbers::grouped;
use crate::cli::pretty::plain;
use crate::cli::{check, outcome, run};
use crate::config::settings::Mode;
use crate::config::{self, Settings, parse_duration};
use crate::shell::client::{Client, NoClient};
use crate::shell::logs::{self, LogFormat};
use crate::shell::quarantine::letters_path;
use crate::shell::retry::{self, Report, Retry, RetryFault};
use crate::shell::state;
use crate::shell::token::Token;

#[derive(Debug, clap::Args)]
pub struct RetryArguments {
    #[command(flatten)]
    chosen: Chosen,

    /// Say what would become of them; send and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Stop when nothing was decided for so long; what is not decided stays as it is
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = parse_duration)]
    give_up_after: Duration,

    /// Requests a minute at most [default: a quarter of `delivery.requests_per_minute`: the daemon needs the rest]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=60_000))]
    requests_per_minute: Option<u32>,
}

/// 0 when all went; 1 when some did not, 64 where nothing is chosen, 66 where the quarantine cannot be read, 69 when it
/// was given up, 73 where it cannot be written down, 75 while another retry runs, 78 for a bad config.
pub fn run(arguments: &RetryArguments, config: Option<PathBuf>) -> ExitCode {
    if arguments.chosen.is_nothing() {
        let hint = "name ids, or say --reason, --source, --since or --all; --dry-run changes nothing";
        return outcome::fail(outcome::USAGE, "which lines are to be retried?", Some(hint));
    }
    let settings = match config::load(&check::options(config)) {
        Ok(loaded) => loaded.settings,
        Err(faults) => return outcome::bad_config(&faults),
    };
    if settings.polar.mode == Mode::Shadow && !arguments.dry_run {
        let hint = "--dry-run says what would be billed; once the mode is live, a retry bills it";
        return outcome::fail(outcome::BAD_CONFIG, "in shadow mode nothing is billed", Some(hint));
    }
    if !arguments.dry_run
        && let Err(why) = Token::is_there(&settings.polar.token)
    {
        return outcome::fail(outcome::BAD_CONFIG, why, Some(outcome::TOKEN_IS_NOT_AWAITED));
    }
    let shelf = match open(&settings.state_dir) {
        Ok(shelf) => shelf,
        Err(code) => return code,
    };
    if let Some(code) = unknown_ids(&shelf, &arguments.chosen.ids) {
        return code;
    }
    if shelf.is_empty() {
        return nothing_quarantined(&settings, arguments.dry_run);
    }
    let checkpoint = match checkpoint(&settings) {
        Ok(checkpoint) => checkpoint,
        Err(code) => return code,
    };
    let selection = arguments.chosen.selection();
    let report = if arguments.dry_run {
        Retry::new(settings, selection, &checkpoint).try_out(&shelf).map_err(fault)
    } else {
        send(settings, arguments, |settings| Retry::new(settings, selection, &checkpoint))
    };
    match report {
        Ok(report) => told(&report, arguments),
        Err(code) => code,
    }
}

/// An earlier retry may have been killed after all was settled, and before its letters were taken out.
fn nothing_quarantined(settings: &Settings, is_dry: bool) -> ExitCode {
    if !is_dry && let Err(why) = retry::put_in_order(&settings.state_dir) {
        return fault(why);
    }
    print("nothing is quarantined\n");
    ExitCode::SUCCESS
}

/// The checkpoint of the daemon. Without a letter of the daemon none is needed.
fn checkpoint(settings: &Settings) -> Result<Checkpoint, ExitCode> {
    match state::peek_as(settings) {
        Ok(checkpoint) => Ok(checkpoint),
        Err(state::StateFault::Unusable { .. }) if !letters_path(&settings.state_dir).exists() => {
            Ok(Checkpoint::default())
        }
        Err(fault @ state::StateFault::Unusable { .. }) => {
            let hint = "the account of the lines is in the checkpoint: start `floe run` first";
            Err(outcome::fail(outcome::NO_INPUT, fault, Some(hint)))
        }
        Err(fault) => Err(outcome::fail(fault.exit_code(), &fault, Some(&fault.hint()))),
    }
}

fn send(
    mut settings: Settings,
    arguments: &RetryArguments,
    retry: impl FnOnce(Settings) -> Retry,
) -> Result<Report, ExitCode> {
    logs::start(LogFormat::Text);
    let client = Client::new(&settings.polar)
        .map_err(|NoClient(why)| outcome::fail(outcome::BAD_CONFIG, why, None))?;
    let quarter = (settings.delivery.requests_per_minute / 4).max(1);
    settings.delivery.requests_per_minute = arguments.requests_per_minute.unwrap_or(quarter);
    settings.delivery.concurrency = settings.delivery.concurrency.min(2);
    let runtime =
        run::runtime().map_err(|error| outcome::fail(outcome::NO, format!("cannot start: {error}"), None))?;
    let report = runtime.block_on(retry(settings).run(client, arguments.give_up_after));
    // A name that is still being resolved must not keep the process.
    runtime.shutdown_background();
    report.map_err(fault)
}

pub(super) fn fault(fault: RetryFault) -> ExitCode {
    match fault {
        RetryFault::Unreadable(why) => {
            outcome::fail(outcome::NO_INPUT, format!("cannot read the quarantine: {why}"), None)
        }
        RetryFault::Unwritable(why) => outcome::fail(
            outcome::NO_STATE,
            format!("cannot write in the quarantine's folder what was settled: {why}"),
            Some(
                "run it as the user that Floe runs as, and give the disk room; retried again, nothing is billed twice",
            ),
        ),
        RetryFault::InUse => outcome::fail(
            outcome::IN_USE,
            "another `floe quarantine retry` or `discard` is running",
            Some("wait for it to end"),
        ),
    }
}

fn told(report: &Report, arguments: &RetryArguments) -> ExitCode {
    print(&text_of(report, arguments.dry_run));
    match &report.why {
        Some(why) => outcome::fail(
            outcome::UNAVAILABLE,
            format!("given up, for nothing was decided any more: {why}"),
            Some("what was not decided is quarantined as before; retry it later"),
        ),
        None if report.left() > 0 => ExitCode::from(outcome::NO),
        None => ExitCode::SUCCESS,
    }
}

pub(super) fn print(text: &str) {
    // A closed pipe is nobody's fault: the exit code says the same.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn text_of(report: &Report, is_dry: bool) -> String {
    if report.lines() == 0 {
        return "nothing to retry\n".to_owned();
    }
    let mut text = String::new();
    let verb = if is_dry { "would be billed" } else { "billed" };
    for (rule, (count, events)) in &report.billed {
        let _ = writeln!(text, "{verb} by rule {rule}: {}, {} events", lines(*count), grouped(*events));
    }
    if report.counted.duplicates > 0 {
        let _ = writeln!(text, "  Polar had {} of the events already", grouped(report.counted.duplicates));
    }
    let verb = if is_dry { "would be ignored" } else { "ignored" };
    for (reason, count) in &report.ignored {
        let _ = writeln!(text, "{verb} as {reason}: {}", lines(*count));
    }
    for ((before, now), (count, detail)) in &report.refused {
        let as_what =
            if before == now { format!("{now} as before") } else { format!("{now} (was {before})") };
        let detail = plain(detail);
        let _ = writeln!(text, "still quarantined, {as_what}: {}\n  e.g. {detail}", lines(*count));
    }
    if report.future > 0 {
        let _ = writeln!(
            text,
            "still quarantined, their time is in the future of Polar's clock: {}",
            lines(report.future)
        );
    }
    for (obstacle, (count, example)) in &report.obstacles {
        let words = obstacle.words();
        let _ = writeln!(text, "cannot be retried: {}: {words}\n  e.g. {example}", lines(*count));
    }
    if report.given_up > 0 {
        let _ = writeln!(text, "not decided: {}", lines(report.given_up));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Counted;
    use crate::model::{Ignored, Quarantined};
    use crate::shell::retry::Obstacle;

    #[test]
    fn a_report_says_what_became_of_every_line() {
        let report = Report {
            billed: [("use".to_owned(), (1, 2))].into(),
            counted: Counted { inserted: 1, duplicates: 1 },
            ignored: [(Ignored::NoRule, 3)].into(),
            refused: [
                ((Quarantined::BadCost, Quarantined::BadCost), (1, "_cost.amount is missing".to_owned())),
                ((Quarantined::BadCost, Quarantined::BadLlm), (2, "_llm.vendor is missing".to_owned())),
            ]
            .into(),
            future: 1,
            obstacles: [(Obstacle::UnderWay, (1, "\"/a\" at byte 7".to_owned()))].into(),
            given_up: 1,
            why: None,
        };
        assert_eq!((report.lines(), report.left()), (10, 6));
        let expected = "\
billed by rule use: 1 line, 2 events
  Polar had 1 of the events already
ignored as no_rule: 3 lines
still quarantined, bad_cost as before: 1 line
  e.g. _cost.amount is missing
still quarantined, bad_llm (was bad_cost): 2 lines
  e.g. _llm.vendor is missing
still quarantined, their time is in the future of Polar's clock: 1 line
cannot be retried: 1 line: the daemon has not settled what stands before them; retry them in a while
  e.g. \"/a\" at byte 7
not decided: 1 line
";
        assert_eq!(text_of(&report, false), expected);
        assert!(text_of(&report, true).starts_with("would be billed by rule use"));
    }
}
