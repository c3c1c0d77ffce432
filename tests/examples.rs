//! The example configs bill what their tests say.

use std::path::PathBuf;

use floe::config::settings::{Expectation, ExpectedEvent, TestSettings};
use floe::config::{Environment, Settings, load_from_texts};
use floe::mapping::{MapContext, ReadWindow, Rules, Scratch, map};
use floe::model::{Fate, Generation, Ignored, MappedChunk, Offset, Quarantined, SourceIndex};
use serde_json::Value;

#[test]
fn the_tests_of_the_examples_pass() {
    for (name, text) in [
        ("floe.toml", include_str!("../config/floe.toml")),
        ("llm-usage.yaml", include_str!("../config/llm-usage.yaml")),
        ("api-requests.json", include_str!("../config/api-requests.json")),
    ] {
        let texts = [(PathBuf::from(name), text.to_owned())];
        let loaded =
            load_from_texts(&texts, &Environment::new(), Some("test")).unwrap_or_else(|it| panic!("{it}"));
        assert!(loaded.settings.tests.len() >= 3, "{name}");
        for test in &loaded.settings.tests {
            check(&loaded.settings, test);
        }
    }
}

fn check(settings: &Settings, test: &TestSettings) {
    let rules = Rules::compile(settings);
    let chunk = map_line(&rules, test);
    let place = &test.place;
    match &test.expect {
        Expectation::Events(expected) => assert_eq!(events(&chunk, expected), wanted(expected), "{place}"),
        Expectation::Ignored(reason) => assert_eq!(ignored(&chunk), Some(*reason), "{place}"),
        Expectation::Quarantined(reason) => assert_eq!(quarantined(&chunk), Some(*reason), "{place}"),
    }
}

fn map_line(rules: &Rules, test: &TestSettings) -> MappedChunk {
    let context = MapContext {
        rules,
        source: SourceIndex(test.source),
        stream_key: &[0; 32],
        generation: Generation::default(),
        path: "/var/log/test.log",
        captures: &test.captures,
        expected: None,
        long_line: None,
        polar_now: "2026-12-01T00:00:00Z".parse().expect("a timestamp"),
        room: 1 << 20,
    };
    let line = format!("{}\n", test.line);
    let window = ReadWindow::new(b"", Offset(0), line.as_bytes());
    map(&context, window, &mut Scratch::default()).expect("the guard is not asked for")
}

/// What came out, without the ids that the test leaves out.
fn events(chunk: &MappedChunk, expected: &[ExpectedEvent]) -> Vec<Value> {
    let body = String::from_utf8(chunk.body.clone()).expect("JSON");
    let mut events: Vec<Value> =
        serde_json::from_str(&format!("[{}]", body.trim_end_matches(','))).expect("a list of events");
    for (event, expected) in events.iter_mut().zip(expected) {
        if expected.event.get("external_id").is_none() {
            event.as_object_mut().expect("an event").remove("external_id");
        }
    }
    events
}

fn wanted(expected: &[ExpectedEvent]) -> Vec<Value> {
    expected.iter().map(|expected| expected.event.clone()).collect()
}

fn ignored(chunk: &MappedChunk) -> Option<Ignored> {
    Ignored::ALL.iter().copied().find(|reason| chunk.settled.get(Fate::Ignored(*reason)).lines > 0)
}

fn quarantined(chunk: &MappedChunk) -> Option<Quarantined> {
    Quarantined::ALL.iter().copied().find(|reason| chunk.in_letters.get(Fate::Quarantined(*reason)).lines > 0)
}
