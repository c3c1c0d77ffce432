//! Real-looking lines of the loggers that users have, and exactly the events that must come out.
//!
//! Each `NAME.toml` is a case, and is what a user would write. In `NAME.events`, `@pos` stands for the id that follows
//! from the line's position; a `#` line names a line that must not be billed, with its outcome:
//! `# line 2: ignored(no_rule)`.
//!
//! `NAME.preset.toml` says the same of `NAME.log` by presets. Where that takes several, each line is of the source whose
//! preset knows it.

use std::collections::BTreeMap;

use floe::config::Settings;
use floe::config::settings::{Captures, SourceSettings};
use floe::mapping::identity::{external_id, print_of_head, stream_key};
use floe::mapping::{End, MapContext, ReadWindow, Recogniser, Rules, Scratch, map};
use floe::model::{Fate, Generation, MappedChunk, Offset, SourceIndex};

use crate::support::{NOW, assert_polar_takes};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/golden");

#[test]
fn golden_logs_give_exactly_the_golden_events() {
    let files = std::fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().file_name());
    let names: Vec<String> = files.map(|name| name.into_string().unwrap()).collect();
    let cases: Vec<_> = names.iter().filter_map(|name| name.strip_suffix(".toml")).collect();
    assert!(!cases.is_empty());
    cases.into_iter().for_each(check);
}

#[track_caller]
fn check(case: &str) {
    let family = case.strip_suffix(".preset").unwrap_or(case);
    let log = read(&format!("{family}.log"));
    let config = String::from_utf8(read(&format!("{case}.toml"))).unwrap();
    let settings =
        Settings::from_toml(&config).unwrap_or_else(|faults| panic!("{case}: {}", faults.render(false)));
    let mut found = Found::default();
    for (source, part) in (0_u16..).zip(parts(&settings, &log)) {
        found.add(case, &settings, SourceIndex(source), &part);
    }
    found.events.sort();

    let expected = Expected::read(&String::from_utf8(read(&format!("{family}.events"))).unwrap());
    let ids = found.events.iter().map(|(_, id, _)| id);
    let wanted: Vec<_> =
        expected.events.iter().zip(ids).map(|(event, id)| event.replace("@pos", id)).collect();
    assert_eq!(found.events.iter().map(|(_, _, event)| event.as_str()).collect::<Vec<_>>(), wanted, "{case}");
    assert_eq!(found.events.len(), expected.events.len(), "{case}");
    assert_eq!(found.outcomes, expected.outcomes, "{case} {}", found.letters);
    for (number, ..) in &found.events {
        assert!(!expected.unbilled.contains(number), "line {number} of {case} is billed");
    }
}

/// What one source reads: its lines, and the number of each in the whole log.
struct Part {
    log: Vec<u8>,
    numbers: Vec<usize>,
}

/// One for each source. Of several sources each gets the lines that its preset alone knows.
fn parts(settings: &Settings, log: &[u8]) -> Vec<Part> {
    let lines: Vec<&[u8]> = log.split_inclusive(|byte| *byte == b'\n').collect();
    if settings.sources.len() == 1 {
        return vec![Part { log: log.to_vec(), numbers: (1..=lines.len()).collect() }];
    }
    let recogniser =
        |source: &SourceSettings| Recogniser::new(source.preset.as_ref().expect("a preset")).unwrap();
    let recognisers: Vec<_> = settings.sources.iter().map(recogniser).collect();
    let mut parts: Vec<_> =
        recognisers.iter().map(|_| Part { log: Vec::new(), numbers: Vec::new() }).collect();
    for (number, line) in (1..).zip(lines) {
        let record = line.strip_suffix(b"\n").unwrap_or(line);
        let of: Vec<usize> = (0..parts.len()).filter(|at| recognisers[*at].fits(record)).collect();
        let [of] = of.as_slice() else { panic!("line {number} is of {of:?}") };
        parts[*of].log.extend_from_slice(line);
        parts[*of].numbers.push(number);
    }
    parts
}

/// What came out, of all sources.
#[derive(Default)]
struct Found {
    /// The line's number in the log, its id by position, the event.
    events: Vec<(usize, String, String)>,
    outcomes: BTreeMap<String, u64>,
    letters: String,
}

impl Found {
    fn add(&mut self, case: &str, settings: &Settings, source: SourceIndex, part: &Part) {
        let (chunk, key) = map_golden(settings, source, &part.log);
        assert!(chunk.lines.iter().all(|line| line.events == 1), "{case}");
        assert_eq!(chunk.lines.len(), events(&chunk).len(), "{case}");
        for (line, event) in chunk.lines.iter().zip(events(&chunk)) {
            let (at, length) = (line.at as usize, line.len as usize);
            // An id is made of the first of a record's lines.
            let first = part.log[at..at + length].split(|byte| *byte == b'\n').next().unwrap();
            let id = external_id(&key, Offset(at as u64), first, "", 0);
            let number = part.numbers[part.log[..at].split(|byte| *byte == b'\n').count() - 1];
            self.events.push((number, String::from_utf8(id.to_vec()).unwrap(), event));
        }
        for (name, lines) in outcomes(&chunk) {
            *self.outcomes.entry(name).or_default() += lines;
        }
        self.letters.push_str(&String::from_utf8_lossy(&chunk.letters));
        let span = chunk.span.unwrap();
        assert_eq!((span.start, span.end), (Offset::ZERO, Offset(part.log.len() as u64)), "{case}");
        assert_polar_takes(&chunk.body);
    }
}

/// What `NAME.events` says.
#[derive(Debug, Default)]
struct Expected {
    events: Vec<String>,
    /// How many lines have which outcome, without the billed ones.
    outcomes: BTreeMap<String, u64>,
    /// The numbers of these lines.
    unbilled: Vec<usize>,
}

impl Expected {
    fn read(text: &str) -> Self {
        let mut expected = Self::default();
        for line in text.lines() {
            let Some(comment) = line.strip_prefix("# line ") else {
                expected.events.push(line.to_owned());
                continue;
            };
            let digits = comment.find(|sign: char| !sign.is_ascii_digit()).unwrap();
            expected.unbilled.push(comment[..digits].parse().unwrap());
            let starts = ["ignored(", "quarantined("].into_iter().filter_map(|fate| comment.find(fate));
            let outcome = &comment[starts.min().unwrap()..];
            let end = outcome.find(')').unwrap();
            *expected.outcomes.entry(outcome[..=end].to_owned()).or_default() += 1;
        }
        expected
    }
}

fn outcomes(chunk: &MappedChunk) -> BTreeMap<String, u64> {
    let fates = chunk.settled.iter().chain(chunk.in_letters.iter());
    let name = |fate| match fate {
        Fate::Billed => "billed".to_owned(),
        Fate::Ignored(reason) => format!("ignored({reason})"),
        Fate::Quarantined(reason) => format!("quarantined({reason})"),
    };
    fates.filter(|(_, count)| count.lines > 0).map(|(fate, count)| (name(fate), count.lines)).collect()
}

fn events(chunk: &MappedChunk) -> Vec<String> {
    let body = std::str::from_utf8(chunk.body.strip_suffix(b",").unwrap_or_default()).unwrap();
    let events: Vec<Box<serde_json::value::RawValue>> = serde_json::from_str(&format!("[{body}]")).unwrap();
    events.iter().map(|event| event.get().to_owned()).collect()
}

fn map_golden(settings: &Settings, source: SourceIndex, log: &[u8]) -> (MappedChunk, [u8; 32]) {
    let rules = Rules::compile(settings);
    let settings_of = &settings.sources[usize::from(source.0)];
    let print = print_of_head(log, &settings_of.format).unwrap();
    let key = stream_key(&settings.instance, &settings_of.id, print, 0);
    let context = MapContext {
        rules: &rules,
        source,
        stream_key: &key,
        generation: Generation::default(),
        path: "/var/log/golden.log",
        captures: &Captures::new(),
        expected: None,
        long_line: None,
        polar_now: NOW.parse().unwrap(),
        room: usize::MAX,
    };
    let window = ReadWindow { end: End::File { beyond: b"" }, ..ReadWindow::new(b"", Offset::ZERO, log) };
    (map(&context, window, &mut Scratch::default()).unwrap(), key)
}

fn read(name: &str) -> Vec<u8> {
    let path = format!("{FOLDER}/{name}");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}
