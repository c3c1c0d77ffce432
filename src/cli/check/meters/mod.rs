//! `floe check --against-polar`: would what the rules send be billed? Asks Polar for its meters, looks at a sample of lines,
//! and says what would be accepted and billed as nothing. It sends no event.

mod amounts;
mod asking;
mod filters;
mod findings;
mod outline;
mod sample;
mod subject;
mod table;
#[cfg(test)]
mod tests;
mod twice;

use std::io::{self, Write as _};
use std::process::ExitCode;

use self::asking::{Told, customers, greet, organization};
use self::outline::Outline;
use self::sample::Sample;
use self::subject::Subject;
use crate::cli::events::reader::{Failure, Reader};
use crate::cli::{check, outcome};
use crate::config::Loaded;
use crate::config::settings::SourceSettings;
use crate::polar::meters::Meter;
use crate::polar::resources::{METERS_PATH, list_page};
use crate::shell::token::Token;

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
    let of = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let (lines, read, tests) = (sample.lines, of(sample.files, "file"), of(settings.tests.len(), "test"));
    told.say("lines", format!("{lines} of {read}, and {tests}"));
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

fn counted(meters: &[Meter]) -> String {
    match meters.iter().filter(|meter| meter.is_archived()).count() {
        0 => meters.len().to_string(),
        archived => format!("{}, {archived} of them archived", meters.len()),
    }
}
