//! `floe events`: what Polar has. Did it arrive, and as what; was the order paid.

mod follow;
pub(in crate::cli) mod reader;
mod table;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use self::reader::{Failure, Reader};
use super::times::time;
use super::{check, outcome};
use crate::config::{self, parse_duration};
use crate::polar::reads::EventQuery;
use crate::polar::stored::EventSource;

/// Shows the events that Polar has: yours, and those that it makes itself, such as order.paid
///
/// The newest events that fit, the oldest of them first. The token of the config needs the scope events:read. Polar shows
/// an event some seconds after it took it.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct EventsArguments {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    filter: Filter,

    /// Show no more than so many events
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    limit: usize,

    /// Go on, and show each further event as it arrives
    #[arg(long, short)]
    follow: bool,

    /// Between two looks of --follow
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    every: Duration,

    /// As JSON lines: each event as Polar gives it
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show one event, whole
    Get {
        /// Polar's id of the event
        #[arg(value_name = "ID")]
        id: String,
    },
    /// List the names of events, with how often and when each was seen
    Names {
        #[command(flatten)]
        filter: Filter,

        /// As JSON lines
        #[arg(long)]
        json: bool,
    },
}

/// Which events are wanted.
#[derive(Debug, Clone, clap::Args)]
struct Filter {
    /// Of this name; may be repeated
    #[arg(long, value_name = "NAME")]
    name: Vec<String>,

    /// Of this customer: your id of it, or Polar's; may be repeated
    #[arg(long, value_name = "ID")]
    customer: Vec<String>,

    /// Yours, or those that Polar makes
    #[arg(long, value_name = "SOURCE")]
    source: Option<Source>,

    /// With a timestamp from this time on: RFC 3339, or a date (then from its midnight in UTC)
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,

    /// With a timestamp before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,

    /// With this value in its metadata, such as model=gpt-4; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Source {
    User,
    System,
}

impl Filter {
    fn query(&self) -> EventQuery {
        let (customer_ids, external_customer_ids) =
            self.customer.iter().cloned().partition(|id| uuid::Uuid::try_parse(id).is_ok());
        EventQuery {
            names: self.name.clone(),
            source: self.source.map(|source| match source {
                Source::User => EventSource::User,
                Source::System => EventSource::System,
            }),
            customer_ids,
            external_customer_ids,
            since: self.since,
            // Polar's end is part of what it gives, to the microsecond.
            until: self
                .until
                .map(|until| until.saturating_sub(SignedDuration::from_micros(1)).unwrap_or(until)),
            metadata: self.metadata.clone(),
        }
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| "write it like model=gpt-4".to_owned())?;
    Ok((key.to_owned(), value.to_owned()))
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed = parse_duration(text)?;
    if parsed < Duration::from_secs(1) { Err("of at least 1s".to_owned()) } else { Ok(parsed) }
}

/// 0; 1 where there is no event with the id; 69 where Polar cannot be asked, 78 for a bad config.
#[must_use]
pub fn run(arguments: &EventsArguments, config: Option<PathBuf>) -> ExitCode {
    let settings = match config::load(&check::options(config)) {
        Ok(loaded) => loaded.settings,
        Err(faults) => return outcome::bad_config(&faults),
    };
    let reader = match Reader::new(&settings) {
        Ok(reader) => reader,
        Err(why) => return outcome::fail(outcome::BAD_CONFIG, why, None),
    };
    let ended = match &arguments.command {
        Some(Command::Get { id }) => get(&reader, id),
        Some(Command::Names { filter, json }) => names(&reader, &filter.query(), *json),
        None if arguments.follow => follow::follow(
            &reader,
            &arguments.filter.query(),
            arguments.limit,
            arguments.every,
            arguments.json,
        ),
        None => list(&reader, &arguments.filter.query(), arguments.limit, arguments.json),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        // Who has seen enough closes the pipe.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

fn list(reader: &Reader, query: &EventQuery, limit: usize, json: bool) -> Result<(), Failure> {
    let mut found = reader.events(query, limit)?;
    found.items.reverse();
    let mut out = anstream::AutoStream::auto(io::stdout().lock());
    table::write_events(&mut out, &found.items, json)?;
    if !json && found.items.is_empty() {
        writeln!(out, "Polar has no such event")?;
    }
    let left = found.total.saturating_sub(found.items.len() as u64);
    if left > 0 {
        anstream::eprintln!("… and {left} older ones: `--limit {}` shows all", found.total);
    }
    Ok(())
}

fn names(reader: &Reader, query: &EventQuery, json: bool) -> Result<(), Failure> {
    let names = reader.names(query)?;
    let mut out = anstream::AutoStream::auto(io::stdout().lock());
    table::write_names(&mut out, &names, json)?;
    if !json && names.is_empty() {
        writeln!(out, "Polar has no such event")?;
    }
    Ok(())
}

fn get(reader: &Reader, id: &str) -> Result<(), Failure> {
    let event: Value = reader.event(id)?;
    let mut out = anstream::AutoStream::auto(io::stdout().lock());
    let text = serde_json::to_string_pretty(&event).expect("what was JSON is JSON");
    writeln!(out, "{text}")?;
    Ok(())
}
