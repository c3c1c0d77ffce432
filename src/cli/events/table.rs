//! Events for people, a line each, and for programs as JSON lines.

use std::io::{self, Write};

use owo_colors::OwoColorize as _;
use serde::Deserialize as _;
use serde_json::Value;

use crate::cli::numbers::grouped;
use crate::cli::pretty::plain;
use crate::polar::stored::{Event, EventName, EventSource};

pub fn write_events(out: &mut impl Write, events: &[Value], json: bool) -> io::Result<()> {
    for event in events {
        if json {
            writeln!(out, "{event}")?;
            continue;
        }
        match Event::deserialize(event) {
            Ok(event) => writeln!(out, "{}", line_of(&event))?,
            // What Polar has grown is shown as it is.
            Err(_) => writeln!(out, "{}", plain(&event.to_string()))?,
        }
    }
    out.flush()
}

fn line_of(event: &Event) -> String {
    let customer = event.external_customer_id.as_deref().or(event.customer_id.as_deref()).unwrap_or("-");
    let (source, says) = match event.source {
        EventSource::User => ("user  ".green().to_string(), metadata_of(event)),
        EventSource::System => {
            let known = event.system().map(|said| said.to_string());
            ("system".cyan().to_string(), known.unwrap_or_else(|| metadata_of(event)))
        }
    };
    let name = plain(&event.name);
    format!("{}  {source}  {:<20}  {:<16}  {}", event.timestamp, name.bold(), plain(customer), plain(&says))
}

/// `model "gpt-4", total_tokens 17`
fn metadata_of(event: &Event) -> String {
    let pairs: Vec<String> = event.metadata.iter().map(|(key, value)| format!("{key} {value}")).collect();
    pairs.join(", ")
}

pub fn write_names(out: &mut impl Write, names: &[EventName], json: bool) -> io::Result<()> {
    for name in names {
        if json {
            writeln!(out, "{}", serde_json::to_string(name).expect("plain records are always JSON"))?;
            continue;
        }
        let source = match name.source {
            EventSource::User => "user  ",
            EventSource::System => "system",
        };
        let count = grouped(name.occurrences);
        let (first, last) = (name.first_seen, name.last_seen);
        writeln!(out, "{source}  {:<24}  {count:>12}  {first} to {last}", plain(&name.name).bold())?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(event: &str, expected: &str) {
        let mut out = Vec::new();
        write_events(&mut out, &[serde_json::from_str(event).unwrap()], false).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(anstream::adapter::strip_str(&text).to_string(), format!("{expected}\n"));
    }

    #[test]
    fn an_event_is_a_line() {
        check(
            r#"{"id":"1","timestamp":"2026-11-20T10:15:32.5Z","organization_id":"o","customer_id":null,"customer":null,
                "external_customer_id":"acme","label":"x","source":"user","name":"llm_usage",
                "metadata":{"model":"gpt\u001b[31m","total_tokens":17}}"#,
            "2026-11-20T10:15:32.5Z  user    llm_usage             acme              \
             model \"gpt\\u001b[31m\", total_tokens 17",
        );
        check(
            r#"{"id":"1","timestamp":"2026-11-20T10:15:32Z","organization_id":"o","customer_id":"c1","customer":null,
                "external_customer_id":null,"label":"Order paid","source":"system","name":"order.paid",
                "metadata":{"order_id":"o1","amount":1200,"currency":"usd"}}"#,
            "2026-11-20T10:15:32Z  system  order.paid            c1                12.00 USD for order o1",
        );
        check(
            r#"{"id":"1","timestamp":"2026-11-20T10:15:32Z","organization_id":"o","label":"New","source":"system",
                "name":"order.teleported","metadata":{"to":"mars"}}"#,
            "2026-11-20T10:15:32Z  system  order.teleported      -                 to \"mars\"",
        );
        check(r#"{"not":"an event"}"#, r#"{"not":"an event"}"#);
    }
}
