//! What was learned, and for each rule the meters that count its events.

use std::io::{self, Write};

use owo_colors::OwoColorize as _;

use super::subject::{Link, Subject};
use crate::cli::pretty::plain;
use crate::polar::meters::Meter;

pub fn write(
    out: &mut impl Write,
    told: &[(&'static str, String)],
    subjects: &[Subject<'_>],
    meters: &[Meter],
) -> io::Result<()> {
    let width = told.iter().map(|(of, _)| of.len()).max().unwrap_or(0);
    for (of, what) in told {
        writeln!(out, "{of:width$}  {}", plain(what))?;
    }
    writeln!(out)?;
    let width = |header: &str, of: &dyn Fn(&Subject<'_>) -> usize| {
        subjects.iter().map(of).chain([header.len()]).max().unwrap_or(0)
    };
    let rules = width("rule", &|subject| subject.rule.id.chars().count());
    let names = width("event", &|subject| name(subject).chars().count());
    writeln!(out, "{}", format!("{:rules$}  {:names$}  {:>5}  meters", "rule", "event", "seen").bold())?;
    for subject in subjects {
        let seen = subject.seen.len();
        let mut cells = meters.iter().filter_map(|meter| cell(subject, meter)).collect::<Vec<_>>();
        if cells.is_empty() {
            cells.push("none".yellow().to_string());
        }
        let mut first = format!("{:rules$}  {:names$}  {seen:>5}", subject.rule.id, plain(&name(subject)));
        for cell in cells {
            writeln!(out, "{first}  {cell}")?;
            first = " ".repeat(rules + names + 9);
        }
    }
    let unfed: Vec<String> = meters
        .iter()
        .filter(|meter| !meter.is_archived() && !subjects.iter().any(|subject| subject.link(meter).is_open()))
        .map(|meter| format!("\"{}\"", plain(&meter.name)))
        .collect();
    if !unfed.is_empty() {
        writeln!(out, "\nno rule of this config feeds {}", unfed.join(", "))?;
    }
    for meter in meters.iter().filter(|meter| !meter.filter.is_known()) {
        writeln!(out, "\nnot understood here, so not looked at: the filter of \"{}\"", plain(&meter.name))?;
    }
    Ok(())
}

fn name(subject: &Subject<'_>) -> String {
    subject.outline.name.clone().unwrap_or_else(|| "(of the line)".to_owned())
}

/// `Tokens: sum of total_tokens`
fn cell(subject: &Subject<'_>, meter: &Meter) -> Option<String> {
    let how = match subject.link(meter) {
        Link::Takes => "",
        Link::Perhaps => "  (some, by the line)",
        Link::NoneSeen => "  (none of those seen)",
        Link::No => return None,
    };
    let archived = if meter.is_archived() { "  (archived)" } else { "" };
    let text = format!("{}: {}{how}{archived}", plain(&meter.name), plain(&meter.aggregation.to_string()));
    Some(if meter.is_archived() || how.contains("none") { text.dimmed().to_string() } else { text })
}
