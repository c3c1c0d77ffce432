//! What must be true of any bytes in any format: nothing panics, every byte has a fate, and Polar takes each event.
//!
//! It goes through the same doors as the daemon, a config and `map`, so nothing is open for fuzzing alone.

use std::collections::BTreeMap;

use floe::config::Settings;
use floe::config::settings::Captures;
use floe::mapping::{End, MapContext, ReadWindow, Rules, Scratch, map};
use floe::model::{BilledLine, Generation, MappedChunk, Offset, SourceIndex};
use floe::polar;
use serde_json::Value;

const NOW: &str = "2026-11-21T12:00:00Z";

/// The rules of one format, which want every line.
pub struct Target {
    rules: Rules,
}

impl Target {
    /// `source`: the keys that say the format. `fields`: paths, as rules name them, the one of the customer first.
    /// `timestamp`: where the time comes from.
    pub fn new(source: &str, fields: &[&str], timestamp: &str) -> Self {
        // Paths and pipes hold quotes of both kinds: three of them end a text of TOML.
        let any = |test: &str| {
            let tests: Vec<_> = fields.iter().map(|path| format!("{{ '{path}' = {{ {test} }} }}")).collect();
            format!("when = {{ any = [{}] }}", tests.join(", "))
        };
        let metadata = (0..).zip(fields).map(|(at, path)| format!("metadata.f{at} = '''{{{path}}}'''\n"));
        let config = format!(
            r#"
version = 1
state_dir = "/var/lib/floe"
instance = "fuzz"
[[sources]]
id = "app"
include = ["/var/log/*.log"]
max_line_bytes = "2KiB"
{source}
[[rules]]
id = "timed"
also = true
{}
[rules.event]
name = "timed"
external_customer_id = "customer"
timestamp = '''{timestamp}'''
[[rules]]
id = "all"
{}
[rules.event]
name = "all"
external_customer_id = '''{{{} | default('nobody')}}'''
{}
"#,
            any("gt = 5"),
            any("exists = true"),
            fields[0],
            metadata.collect::<String>(),
        );
        let settings = Settings::from_toml(&config)
            .unwrap_or_else(|faults| panic!("{}\n{config}", faults.render(false)));
        Self { rules: Rules::compile(&settings) }
    }

    /// Maps `bytes` as a whole file.
    pub fn check(&self, bytes: &[u8]) {
        let chunk = self.map(bytes);
        every_byte_has_a_fate(&chunk);
        polar_takes(&chunk.body, NOW);
        for held in &chunk.held {
            polar_takes(&held.body, &held.due.to_string());
        }
    }

    /// The last event of each line that has one, without its id, by the number of the line.
    pub fn events(&self, bytes: &[u8]) -> BTreeMap<u64, Value> {
        let chunk = self.map(bytes);
        let mut start = 0;
        let mut events = BTreeMap::new();
        for line in &chunk.lines {
            let end = line.body_end as usize;
            let body = [b"[", &chunk.body[start..end - 1], b"]"].concat();
            let all: Vec<Value> = serde_json::from_slice(&body).expect("mapping writes JSON");
            let mut last = all.into_iter().next_back().expect("a billed line has an event");
            last.as_object_mut().expect("an event is an object").remove("external_id");
            let number = bytes[..line.at as usize].iter().filter(|byte| **byte == b'\n').count();
            events.insert(number as u64, last);
            start = end;
        }
        events
    }

    fn map(&self, bytes: &[u8]) -> MappedChunk {
        let context = MapContext {
            rules: &self.rules,
            source: SourceIndex(0),
            stream_key: &[7; 32],
            generation: Generation::default(),
            path: "/var/log/app.log",
            captures: &Captures::new(),
            expected: None,
            long_line: None,
            polar_now: NOW.parse().expect("a timestamp"),
            room: usize::MAX,
        };
        let window =
            ReadWindow { end: End::File { beyond: b"" }, ..ReadWindow::new(b"", Offset::ZERO, bytes) };
        map(&context, window, &mut Scratch::default()).expect("no guard is expected")
    }
}

fn every_byte_has_a_fate(chunk: &MappedChunk) {
    let bytes = |line: &BilledLine| u64::from(line.len);
    let billed: u64 = chunk.lines.iter().map(bytes).sum();
    let held: u64 = chunk.held.iter().map(|held| bytes(&held.line)).sum();
    let counted = chunk.settled.total().bytes + chunk.in_letters.total().bytes + billed + held;
    assert_eq!(counted, chunk.span.map_or(0, |span| span.len()));
}

/// `now`: Polar's clock.
fn polar_takes(body: &[u8], now: &str) {
    if body.is_empty() {
        return;
    }
    let body = [b"{\"events\":[", body.strip_suffix(b",").expect("events end with a comma"), b"]}"].concat();
    let body = polar::json::parse(&body).expect("mapping writes JSON");
    let now = now.parse().expect("a timestamp");
    for (index, event) in (0..).zip(polar::validate::events(&body).expect("a body of events")) {
        let verdict = polar::validate::check_event(index, event, now);
        assert!(matches!(verdict, polar::validate::Verdict::Good(_)), "{verdict:?}");
    }
}
