//! Real-looking lines of the loggers that users have, and exactly the events that must come out.
//!
//! `NAME.toml` is what a user would write. In `NAME.events`, `@pos` stands for the id that follows from the line's
//! position; a `#` line names a line that must not be billed.

use floe::config::Settings;
use floe::config::settings::{Captures, Format};
use floe::mapping::identity::{external_id, print_of_head, stream_key};
use floe::mapping::{MapContext, ReadWindow, Rules, Scratch, map};
use floe::model::{Fate, Ignored, MappedChunk, Offset, SourceIndex, Stop};

use crate::support::{NOW, assert_polar_takes};

fn read(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/data/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn map_golden(family: &str, log: &[u8]) -> (MappedChunk, [u8; 32]) {
    let config = String::from_utf8(read(&format!("{family}.toml"))).unwrap();
    let settings = Settings::from_toml(&config).unwrap_or_else(|faults| panic!("{family}: {faults:#?}"));
    let rules = Rules::compile(&settings);
    let print = print_of_head(log, &Format::Json).unwrap();
    let key = stream_key(&settings.instance, &settings.sources[0].id, print, 0);
    let context = MapContext {
        rules: &rules,
        source: SourceIndex(0),
        stream_key: &key,
        path: "/var/log/golden.log",
        captures: &Captures::new(),
        expected: None,
        long_line: None,
        polar_now: NOW.parse().unwrap(),
        room: usize::MAX,
    };
    let window = ReadWindow::new(b"", Offset::ZERO, log);
    (map(&context, window, &mut Scratch::default()).unwrap(), key)
}

#[track_caller]
fn check(family: &str) {
    let log = read(&format!("{family}.log"));
    let (chunk, key) = map_golden(family, &log);
    assert_eq!(String::from_utf8_lossy(&chunk.letters), "", "{family}");
    assert_eq!(chunk.stop, Stop::BytesEnd { partial: 0, rests: false });

    let expected = String::from_utf8(read(&format!("{family}.events"))).unwrap();
    let body =
        format!("[{}]", std::str::from_utf8(chunk.body.strip_suffix(b",").unwrap_or_default()).unwrap());
    let events: Vec<&serde_json::value::RawValue> = serde_json::from_str(&body).unwrap();
    let mut events = events.into_iter();
    let mut lines = chunk.lines.iter();
    let mut unbilled = 0;
    for wanted in expected.lines() {
        if wanted.starts_with('#') {
            unbilled += 1;
            continue;
        }
        let line = lines.next().unwrap_or_else(|| panic!("{family}: no event for {wanted}"));
        assert_eq!(line.events, 1);
        let record = &log[line.at as usize..(line.at + line.len) as usize - 1];
        let id = external_id(&key, Offset(line.at.into()), record, "", 0);
        let wanted = wanted.replace("@pos", std::str::from_utf8(&id).unwrap());
        assert_eq!(events.next().unwrap().get(), wanted, "{family}");
    }
    assert_eq!(lines.next(), None, "{family} has more events");
    assert_eq!(chunk.settled.get(Fate::Ignored(Ignored::NoRule)).lines, unbilled);
    assert_polar_takes(&chunk.body);
}

#[test]
fn application_loggers_give_the_golden_events() {
    check("app-loggers");
}

#[test]
fn litellm_gives_the_golden_events() {
    check("litellm");
}

#[test]
fn llm_usage_gives_the_golden_events() {
    check("llm-usage");
}

#[test]
fn nginx_json_gives_the_golden_events() {
    check("nginx-json");
}

#[test]
fn istio_gives_the_golden_events() {
    check("istio");
}
