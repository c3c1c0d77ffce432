//! Real-looking lines of the loggers that users have, and exactly the events that must come out.
//!
//! Each `NAME.toml` is a case, and is what a user would write. In `NAME.events`, `@pos` stands for the id that follows
//! from the line's position; a `#` line names a line that must not be billed, with its outcome:
//! `# line 2: ignored(no_rule)`.

use std::collections::BTreeMap;

use floe::config::Settings;
use floe::config::settings::Captures;
use floe::mapping::identity::{external_id, print_of_head, stream_key};
use floe::mapping::{End, MapContext, ReadWindow, Rules, Scratch, map};
use floe::model::{Fate, MappedChunk, Offset, SourceIndex};

use crate::support::{NOW, assert_polar_takes};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/golden");

#[test]
fn golden_logs_give_exactly_the_golden_events() {
    let files = std::fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().file_name());
    let names: Vec<String> = files.map(|name| name.into_string().unwrap()).collect();
    let families: Vec<_> = names.iter().filter_map(|name| name.strip_suffix(".toml")).collect();
    assert!(!families.is_empty());
    families.into_iter().for_each(check);
}

#[track_caller]
fn check(family: &str) {
    let log = read(&format!("{family}.log"));
    let (chunk, key) = map_golden(family, &log);
    let lines = chunk.lines.iter().map(|line| (line.at as usize, line.len as usize));
    // An id is made of the first of a record's lines.
    let first =
        |(at, length): (usize, usize)| log[at..at + length].split(|byte| *byte == b'\n').next().unwrap();
    let ids = lines.clone().map(|(at, length)| {
        let id = external_id(&key, Offset(at as u64), first((at, length)), "", 0);
        String::from_utf8(id.to_vec()).unwrap()
    });

    let expected = Expected::read(&String::from_utf8(read(&format!("{family}.events"))).unwrap());
    let wanted: Vec<_> =
        expected.events.iter().zip(ids).map(|(event, id)| event.replace("@pos", &id)).collect();
    assert_eq!(events(&chunk), wanted, "{family}");
    assert_eq!(chunk.lines.len(), expected.events.len(), "{family}");
    assert!(chunk.lines.iter().all(|line| line.events == 1), "{family}");
    let letters = String::from_utf8_lossy(&chunk.letters);
    assert_eq!(outcomes(&chunk), expected.outcomes, "{family} {letters}");
    for (at, _) in lines {
        let number = log[..at].split(|byte| *byte == b'\n').count();
        assert!(!expected.unbilled.contains(&number), "line {number} of {family} is billed");
    }
    let span = chunk.span.unwrap();
    assert_eq!((span.start, span.end), (Offset::ZERO, Offset(log.len() as u64)), "{family}");
    assert_polar_takes(&chunk.body);
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

fn map_golden(family: &str, log: &[u8]) -> (MappedChunk, [u8; 32]) {
    let config = String::from_utf8(read(&format!("{family}.toml"))).unwrap();
    let settings =
        Settings::from_toml(&config).unwrap_or_else(|faults| panic!("{family}: {}", faults.render(false)));
    let rules = Rules::compile(&settings);
    let source = &settings.sources[0];
    let key = stream_key(&settings.instance, &source.id, print_of_head(log, &source.format).unwrap(), 0);
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
    let window = ReadWindow { end: End::File { beyond: b"" }, ..ReadWindow::new(b"", Offset::ZERO, log) };
    (map(&context, window, &mut Scratch::default()).unwrap(), key)
}

fn read(name: &str) -> Vec<u8> {
    let path = format!("{FOLDER}/{name}");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}
