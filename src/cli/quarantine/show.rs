//! `floe quarantine show`: each line with its place, what is wrong with it, the cure, and what it says.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use owo_colors::OwoColorize as _;

use super::{Filter, State, lines};
use crate::cli::outcome;
use crate::cli::pretty::{compact, plain, pretty};
use crate::mapping::spool::{self, SpoolLine};
use crate::model::{Letter, LetterId};
use crate::shell::shelf::Shelved;

#[derive(Debug, clap::Args)]
pub struct ShowArguments {
    /// Only these lines, by the ids that are shown
    #[arg(value_name = "ID")]
    ids: Vec<LetterId>,

    #[command(flatten)]
    filter: Filter,

    /// Show no more than so many lines
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    limit: u64,

    #[command(flatten)]
    state: State,
}

/// 0; 1 where there is no line with an id, 66 where the quarantine cannot be read.
pub fn run(arguments: &ShowArguments, config: Option<PathBuf>) -> ExitCode {
    let selected = arguments.state.selected(config, &arguments.ids, &arguments.filter);
    let (shelf, selection) = match selected {
        Ok(selected) => selected,
        Err(code) => return code,
    };
    let mut out = anstream::AutoStream::auto(io::stdout().lock());
    let mut count = 0;
    let shown = shelf.read(|shelved| {
        if !selection.takes(&shelved) {
            return Ok(());
        }
        count += 1;
        if count <= arguments.limit { out.write_all(text_of(&shelved).as_bytes()) } else { Ok(()) }
    });
    let end = match count.saturating_sub(arguments.limit) {
        0 if count == 0 => "nothing of that is quarantined\n".to_owned(),
        0 => String::new(),
        more => format!("… and {}: `--limit {count}` shows all\n", lines(more)),
    };
    match shown.and_then(|()| out.write_all(end.as_bytes())) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            outcome::fail(outcome::NO_INPUT, format!("cannot read the quarantine: {error}"), None)
        }
        _ => ExitCode::SUCCESS,
    }
}

fn text_of(shelved: &Shelved<'_>) -> String {
    let letter = &shelved.letter;
    let mut text = format!(
        "{}  {}  {:?} at byte {}, {} bytes",
        shelved.id.bold(),
        letter.source,
        letter.path,
        letter.offset,
        letter.length
    );
    if let Some(at) = &letter.quarantined_at {
        let _ = write!(text, ", {at}");
    }
    let reason = letter.reason;
    let _ = write!(text, "\n  {}: {}\n", reason.code().red(), reason.meaning());
    let rule = letter.rule.as_ref().map(|rule| format!("rule {rule}: ")).unwrap_or_default();
    let _ = writeln!(text, "  {rule}{}", plain(&letter.detail));
    let _ = writeln!(text, "  {} {}", "cure:".green(), reason.cure());
    text + &said_of(letter) + "\n"
}

/// What the line says: its text, or the events that were made of it.
fn said_of(letter: &Letter<'_>) -> String {
    let mut said = String::new();
    match (&letter.text, &letter.events) {
        (Some(text), _) => {
            let text = written(text);
            for line in json_of(text).unwrap_or_else(|| text.to_owned()).lines() {
                let _ = writeln!(said, "    {}", plain(line));
            }
        }
        (None, Some(events)) => {
            let _ = writeln!(said, "  its events, as Polar refused them:");
            let events: Vec<&serde_json::value::RawValue> =
                serde_json::from_str(events.get()).unwrap_or_default();
            for event in events.iter().filter_map(|event| json_of(event.get())) {
                for line in event.lines() {
                    let _ = writeln!(said, "    {}", plain(line));
                }
            }
        }
        (None, None) => {}
    }
    if let Some(kept) = letter.text_bytes_kept {
        let _ = writeln!(said, "    (only {kept} bytes of it are kept)");
    }
    if letter.bytes.is_some() {
        let _ = writeln!(said, "    (it holds bytes that are not UTF-8, shown as \u{fffd})");
    }
    said
}

/// The line as its application wrote it: what came by a socket stands wrapped in the spool.
fn written(text: &str) -> &str {
    match spool::read_line(text.as_bytes()) {
        SpoolLine::Record { .. } => &text[spool::OVERHEAD..],
        SpoolLine::Header | SpoolLine::Damaged => text,
    }
}

fn json_of(text: &str) -> Option<String> {
    let is_object = text.trim_start().starts_with('{');
    (is_object && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok())
        .then(|| pretty(&compact(text), 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_with_all_that_is_needed_to_cure_it() {
        let line = r#"{"quarantined_at":"2026-11-20T10:00:00.000Z","reason":"missing_customer","source":"app","path":"/var/log/a.log","offset":120,"length":33,"print":"07070707070707070707070707070707","ordinal":0,"rule":"use","detail":"external_customer_id is missing or empty","text":"{\"event\": \"use\", \"a b\": [1, 2]}"}"#;
        let letter: Letter<'_> = serde_json::from_str(line).unwrap();
        let mut shelved = Shelved { id: letter.id(), letter, is_of_daemon: true };
        let text = |shelved: &Shelved<'_>| anstream::adapter::strip_str(&text_of(shelved)).to_string();
        let head = format!(
            "{}  app  \"/var/log/a.log\" at byte 120, 33 bytes, 2026-11-20T10:00:00.000Z
  missing_customer: The customer is missing or empty.
  rule use: external_customer_id is missing or empty
  cure: {}
",
            shelved.id,
            shelved.letter.reason.cure()
        );
        let body =
            "    {\n      \"event\": \"use\",\n      \"a b\": [\n        1,\n        2\n      ]\n    }\n\n";
        assert_eq!(text(&shelved), format!("{head}{body}"));
        shelved.letter.text = Some("two\nlines\u{1b}[31m".into());
        shelved.letter.text_bytes_kept = Some(9);
        let body = "    two\n    lines\\u{1b}[31m\n    (only 9 bytes of it are kept)\n\n";
        assert_eq!(text(&shelved), format!("{head}{body}"));
    }
}
