//! What the tests of mapping share: rules from a text, and one call over some bytes.

use floe::config::Settings;
use floe::config::settings::Captures;
use floe::mapping::{MapContext, ReadWindow, Rules, Scratch, map};
use floe::model::chunk::LongLine;
use floe::model::{Generation, Guard, MappedChunk, Offset, SourceIndex};
use floe::polar;

pub const NOW: &str = "2026-11-20T12:00:00Z";

/// The rules of a source named `app` with lines of at most 1 KiB; `rules` is the rest of the config.
pub fn rules(rules: &str) -> Rules {
    rules_with_limit("1KiB", rules)
}

pub fn rules_with_limit(max_line_bytes: &str, rules: &str) -> Rules {
    rules_of(&format!("format = \"json\"\nmax_line_bytes = \"{max_line_bytes}\""), rules)
}

/// The rules of a source named `app` with these keys; `rules` is the rest of the config.
pub fn rules_of(source: &str, rules: &str) -> Rules {
    let config = format!(
        "version = 1\nstate_dir = \"/var/lib/floe\"\ninstance = \"test\"\n\
         [delivery]\nmax_future = \"10m\"\n\
         [[sources]]\nid = \"app\"\ninclude = [\"/var/log/{{tenant}}/*.log\"]\n{source}\n{rules}"
    );
    let settings = Settings::from_toml(&config).unwrap_or_else(|faults| panic!("{}", faults.render(false)));
    Rules::compile(&settings)
}

/// Where a call stands between two windows.
#[derive(Clone, Copy, Default)]
pub struct From {
    pub base: usize,
    pub expected: Option<Guard>,
    pub long_line: Option<LongLine>,
}

/// Maps `file[from.base..until]`.
pub fn map_part(rules: &Rules, file: &[u8], from: From, until: usize, room: usize) -> MappedChunk {
    let context = MapContext {
        rules,
        source: SourceIndex(0),
        stream_key: &[7; 32],
        generation: Generation::default(),
        path: "/var/log/app/a.log",
        captures: &Captures::from([("tenant".to_owned(), "acme".to_owned())]),
        expected: from.expected,
        long_line: from.long_line,
        polar_now: NOW.parse().unwrap(),
        room,
    };
    let before = &file[from.base.saturating_sub(Guard::REACH)..from.base];
    let window = ReadWindow::new(before, Offset(from.base as u64), &file[from.base..until]);
    map(&context, window, &mut Scratch::default()).unwrap()
}

pub fn map_all(rules: &Rules, file: &[u8]) -> MappedChunk {
    map_part(rules, file, From::default(), file.len(), usize::MAX)
}

/// The events of a body.
#[track_caller]
pub fn events(body: &[u8]) -> Vec<serde_json::Value> {
    let body = body.strip_suffix(b",").unwrap_or(body);
    serde_json::from_slice(&[b"[", body, b"]"].concat()).unwrap()
}

/// The letters of a chunk.
#[track_caller]
pub fn letters(chunk: &MappedChunk) -> Vec<serde_json::Value> {
    let lines = chunk.letters.split_inclusive(|byte| *byte == b'\n');
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

/// Every event passes the checks of Polar's own server.
#[track_caller]
pub fn assert_polar_takes(body: &[u8]) {
    let body = [b"{\"events\":[", body.strip_suffix(b",").unwrap_or(body), b"]}"].concat();
    let body = polar::json::parse(&body).unwrap();
    for (index, event) in (0..).zip(polar::validate::events(&body).unwrap()) {
        let verdict = polar::validate::check_event(index, event, NOW.parse().unwrap());
        assert!(matches!(verdict, polar::validate::Verdict::Good(_)), "{verdict:?}");
    }
}
