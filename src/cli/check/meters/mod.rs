//! `floe check --against-polar`: would what the rules send be billed? Asks Polar for its meters, looks at a sample of lines,
//! and says what would be accepted and billed as nothing. It sends no event.

mod findings;
mod outline;
mod sample;
mod table;

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::process::ExitCode;

use jiff::Timestamp;

use self::findings::{Customer, Subject};
use self::outline::Outline;
use self::sample::Sample;
use crate::agent::Outcome;
use crate::cli::events::reader::{Failure, Reader};
use crate::cli::{check, outcome};
use crate::config::settings::SourceSettings;
use crate::config::{Fault, Loaded, WarningCode};
use crate::polar::customers::{Customer as KnownCustomer, Organization};
use crate::polar::meters::Meter;
use crate::polar::resources::{
    METERS_PATH, ORGANIZATIONS_PATH, customer_path, external_customer_path, list_page,
};
use crate::polar::{Answer, Refusal};
use crate::shell::token::Token;

/// So many ids are named in a message.
const NAMED_MAX: usize = 5;

/// Clocks that differ by less are alike: the header has whole seconds.
const CLOCK_TOLERANCE_S: i64 = 2;

/// What was learned of Polar, line by line, as it is printed.
#[derive(Debug, Default)]
struct Told {
    lines: Vec<(&'static str, String)>,
    /// What keeps the daemon from delivering.
    refused: bool,
}

impl Told {
    fn say(&mut self, of: &'static str, what: impl Into<String>) {
        self.lines.push((of, what.into()));
    }
}

/// 0 where all that the rules send is counted; 1 where something is found, or the token may not ingest; 69 where Polar
/// cannot be asked.
pub fn run(loaded: Loaded, customers_sample: usize) -> ExitCode {
    match ask(loaded, customers_sample) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(outcome::NO),
        Err(ended) => ended,
    }
}

fn ask(loaded: Loaded, customers_sample: usize) -> Result<bool, ExitCode> {
    let Loaded { settings, rules: places, warnings, files } = loaded;
    if let Err(why) = Token::is_there(&settings.polar.token) {
        return Err(outcome::fail(
            outcome::UNAVAILABLE,
            why,
            Some("the token is that of `floe run`: it stands under [polar]"),
        ));
    }
    let reader = Reader::new(&settings).map_err(|why| outcome::fail(outcome::BAD_CONFIG, why, None))?;
    let mut told = Told::default();
    greet(&reader, &settings.polar.base_url, &mut told)?;
    organization(&reader, &mut told)?;
    let meters: Vec<Meter> = reader.all(|page| list_page(METERS_PATH, page)).map_err(|failure| {
        unreachable_with(
            failure,
            "cannot read the meters",
            "the token needs the scope meters:read for this check",
        )
    })?;
    told.say("meters", counted(&meters));

    let mut sample = Sample::of(&settings);
    let subjects: Vec<Subject<'_>> = settings
        .rules
        .iter()
        .zip(&places)
        .map(|(rule, places)| {
            let source = |source: &u16| settings.sources.get(usize::from(*source));
            let sources: Vec<&SourceSettings> = rule.sources.iter().filter_map(source).collect();
            let seen = sample.by_rule.remove(&rule.id).unwrap_or_default();
            Subject { rule, places, outline: Outline::of(rule, &sources), seen }
        })
        .collect();
    told.say(
        "lines",
        format!("{} of {} files, and {} tests", sample.lines, sample.files, settings.tests.len()),
    );
    let mut found = findings::findings(&subjects, &meters);
    found.extend(customers(&reader, &subjects, customers_sample, &mut told)?);

    let count = found.len();
    let all = warnings.with(found);
    if !all.is_empty() {
        check::report(&all);
    }
    let mut out = anstream::AutoStream::auto(io::stdout().lock());
    let names: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    // A closed pipe is nobody's fault: the exit code says the same.
    let _ = table::write(&mut out, &told.lines, &subjects, &meters);
    let of_polar = match count {
        0 => "all that the rules send is counted, as far as the lines show".to_owned(),
        1 => "1 finding against Polar".to_owned(),
        count => format!("{count} findings against Polar"),
    };
    let _ = writeln!(out, "\n{}: {}; {of_polar}", names.join(", "), all.count());
    Ok(count == 0 && !told.refused)
}

fn unreachable_with(failure: Failure, what: &str, hint: &str) -> ExitCode {
    match failure {
        Failure::Endpoint(why) | Failure::Refused(why) => {
            outcome::fail(outcome::UNAVAILABLE, format!("{what}: {why}"), Some(hint))
        }
        other => other.tell(),
    }
}

/// Is it there, does it take the token, may that ingest, and what time is it there.
fn greet(reader: &Reader, server: &str, told: &mut Told) -> Result<(), ExitCode> {
    let reply = reader.greet();
    let fail = |why: String, hint: &str| {
        Err(outcome::fail(outcome::UNAVAILABLE, format!("cannot ask Polar: {why}"), Some(hint)))
    };
    let words = match reply.outcome {
        Outcome::NoAnswer { what } => {
            return fail(what, "`server` stands under [polar]; is there a proxy in between?");
        }
        Outcome::Answer(Answer::Accepted { .. }) => "accepted; it may send events (events:write)".to_owned(),
        Outcome::Answer(Answer::Refused(refusal @ Refusal::Forbidden { .. })) => {
            told.refused = true;
            format!("{refusal}: `floe run` would hold all lines; make a token with the scope events:write")
        }
        Outcome::Answer(Answer::Refused(refusal @ Refusal::Unauthorized)) => {
            return fail(
                refusal.to_string(),
                "make a token in the settings of the organization, with the scopes events:write and meters:read",
            );
        }
        Outcome::Answer(Answer::Refused(refusal)) => {
            return fail(refusal.to_string(), "`server` stands under [polar]");
        }
        Outcome::Answer(Answer::Throttled { .. }) => {
            return fail("its limit of requests is reached (429)".into(), "ask again in a minute");
        }
        Outcome::Answer(answer) => {
            return fail(format!("it gives no verdict ({answer:?})"), "ask again in a moment");
        }
    };
    let clock = match reply.polar_clock {
        None => "it does not say what time it is".to_owned(),
        Some(clock) => clock_words(clock.as_second() - Timestamp::now().as_second()),
    };
    told.say("server", format!("{server} answers; {clock}"));
    told.say("token", words);
    Ok(())
}

/// How far Polar's clock is ahead.
fn clock_words(ahead_s: i64) -> String {
    match ahead_s {
        ahead if ahead.abs() < CLOCK_TOLERANCE_S => "its clock and this host's agree".to_owned(),
        ahead if ahead > 0 => format!("this host's clock is {ahead} s behind: set it (NTP)"),
        behind => format!(
            "this host's clock is {} s ahead: lines with its time wait as long, since Polar refuses the future; set it (NTP)",
            -behind
        ),
    }
}

fn organization(reader: &Reader, told: &mut Told) -> Result<(), ExitCode> {
    match reader.all::<Organization>(|page| list_page(ORGANIZATIONS_PATH, page)) {
        Ok(list) => {
            let names: Vec<String> = list.iter().map(|it| format!("{} ({})", it.name, it.id)).collect();
            told.say("organization", names.join(", "));
        }
        Err(Failure::Refused(why)) => {
            told.say("organization", format!("not shown: {why}; nothing else needs it"))
        }
        Err(failure) => return Err(failure.tell()),
    }
    Ok(())
}

fn counted(meters: &[Meter]) -> String {
    match meters.iter().filter(|meter| meter.is_archived()).count() {
        0 => meters.len().to_string(),
        archived => format!("{}, {archived} of them archived", meters.len()),
    }
}

/// Asks for the customers of a sample of lines, each once.
fn customers(
    reader: &Reader,
    subjects: &[Subject<'_>],
    most: usize,
    told: &mut Told,
) -> Result<Vec<Fault>, ExitCode> {
    // Whose they are first, so that each rule has its part of the sample.
    let mut wanted: BTreeMap<&Customer, Vec<usize>> = BTreeMap::new();
    for (at, subject) in subjects.iter().enumerate() {
        for customer in subject.seen.iter().filter_map(|seen| seen.customer.as_ref()) {
            let rules = wanted.entry(customer).or_default();
            if rules.last() != Some(&at) {
                rules.push(at);
            }
        }
    }
    let seen = wanted.len();
    let mut unknown: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    let (mut asked, mut missing) = (0, 0);
    for (customer, rules) in wanted.into_iter().take(most) {
        let (path, id) = match customer {
            Customer::External(id) => (external_customer_path(id), id),
            Customer::Polar(id) => (customer_path(id), id),
        };
        match reader.one::<KnownCustomer>(&path) {
            Ok(Some(known)) if known.deleted_at.is_none() => {}
            Ok(_) => {
                missing += 1;
                rules.into_iter().for_each(|rule| unknown.entry(rule).or_default().push(id));
            }
            Err(Failure::Refused(why)) => {
                told.say("customers", format!("not asked for: {why}"));
                return Ok(Vec::new());
            }
            Err(failure) => return Err(failure.tell()),
        }
        asked += 1;
    }
    told.say("customers", format!("{asked} of {seen} in the lines asked for, {missing} unknown to Polar"));
    let of_rule = |(rule, ids): (usize, Vec<&str>)| unknown_customers(&subjects[rule], &ids);
    Ok(unknown.into_iter().filter_map(of_rule).collect())
}

fn unknown_customers(subject: &Subject<'_>, ids: &[&str]) -> Option<Fault> {
    if subject.places.allow.contains(&WarningCode::UnknownCustomer) {
        return None;
    }
    let named: Vec<String> = ids.iter().take(NAMED_MAX).map(|id| format!("{id:?}")).collect();
    let more = ids.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let plural = if ids.len() == 1 { "a customer" } else { "customers" };
    let message = format!(
        "Polar does not know {plural} of the rule \"{}\": {}{more}",
        subject.rule.id,
        named.join(", ")
    );
    let by_external_id =
        matches!(subject.rule.event.customer, crate::config::language::Customer::External { .. });
    let (cost, cure) = if by_external_id {
        (
            "accepted, and billed to nobody until there is such a customer",
            "create the customer with this external id in Polar, or send the id that it has there",
        )
    } else {
        (
            "refused: such lines are quarantined",
            "send Polar's id of the customer, or your own as external_customer_id",
        )
    };
    let fault = Fault::warning(WarningCode::UnknownCustomer, &subject.places.customer, message);
    Some(fault.label(cost).hint(cure))
}
