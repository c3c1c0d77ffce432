//! What is asked of Polar besides its meters: whether it takes the token, its clock, whose token it is, and the customers of a
//! sample of lines.

use std::collections::BTreeMap;
use std::process::ExitCode;

use jiff::Timestamp;

use super::subject::{Customer, Subject};
use crate::agent::Outcome;
use crate::cli::events::reader::{Failure, Reader};
use crate::cli::outcome;
use crate::config::language;
use crate::config::{Fault, WarningCode};
use crate::polar::customers::{Customer as KnownCustomer, Organization};
use crate::polar::resources::{ORGANIZATIONS_PATH, customer_path, external_customer_path, list_page};
use crate::polar::{Answer, Refusal};

/// So many ids are named in a message.
const NAMED_MAX: usize = 5;

/// Clocks that differ by less are alike: the header has whole seconds.
const CLOCK_TOLERANCE_S: i64 = 2;

/// What was learned of Polar, line by line, as it is printed.
#[derive(Debug, Default)]
pub struct Told {
    pub lines: Vec<(&'static str, String)>,
    /// What keeps the daemon from delivering.
    pub refused: bool,
}

impl Told {
    pub fn say(&mut self, of: &'static str, what: impl Into<String>) {
        self.lines.push((of, what.into()));
    }
}

/// Is it there, does it take the token, may that ingest, and what time is it there.
pub fn greet(reader: &Reader, server: &str, told: &mut Told) -> Result<(), ExitCode> {
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

pub fn organization(reader: &Reader, told: &mut Told) -> Result<(), ExitCode> {
    match reader.all::<Organization>(|page| list_page(ORGANIZATIONS_PATH, page)) {
        Ok(list) => {
            let names: Vec<String> = list.iter().map(|it| format!("{} ({})", it.name, it.id)).collect();
            told.say("organization", names.join(", "));
        }
        Err(Failure::Refused(why)) => {
            told.say("organization", format!("not shown: {why}; nothing else needs it"));
        }
        Err(failure) => return Err(failure.tell()),
    }
    Ok(())
}

/// Asks for the customers of a sample of lines, each once.
pub fn customers(
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
    let by_external_id = matches!(subject.rule.event.customer, language::Customer::External { .. });
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
