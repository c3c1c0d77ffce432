//! Whatever stands in a log: mapping never breaks, loses no byte, and makes no event that Polar would refuse.
//!
//! The golden logs are torn, joined and spoilt, and go through the configs that belong to them, by all formats,
//! containers and presets.

use std::sync::LazyLock;

use floe::config::Settings;
use floe::config::settings::Captures;
use floe::mapping::{End, MapContext, ReadWindow, Rules, Scratch, map};
use floe::model::chunk::Carry;
use floe::model::{Fate, Generation, Offset, SourceIndex};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::support::{NOW, assert_polar_takes};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/golden");

/// A config, how many sources it has, and the lines of its log.
struct Case {
    name: String,
    rules: Rules,
    sources: u16,
    lines: Vec<Vec<u8>>,
}

static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let files = std::fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = files.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    let cases = names.iter().filter_map(|name| name.strip_suffix(".toml")).map(|name| {
        let config = std::fs::read_to_string(format!("{FOLDER}/{name}.toml")).unwrap();
        let settings = Settings::from_toml(&config).unwrap();
        let family = name.strip_suffix(".preset").unwrap_or(name);
        let log = std::fs::read(format!("{FOLDER}/{family}.log")).unwrap();
        Case {
            name: name.to_owned(),
            rules: Rules::compile(&settings),
            sources: settings.sources.len() as u16,
            lines: log.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect(),
        }
    });
    cases.collect()
});

/// What happens to a line.
#[derive(Debug, Clone)]
enum Spoilt {
    Whole,
    Cut(Index),
    /// This byte becomes that one.
    Byte(Index, u8),
    /// A piece of it stands twice.
    Twice(Index, Index),
    /// Something stands in it that formats care for.
    Sign(Index, &'static str),
}

const SIGNS: &[&str] = &[
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "\n",
    "\r",
    "\0",
    "-",
    "=",
    ",",
    "]",
    "[",
    "{",
    "}",
    " ",
    "\t",
    "1e999",
    "-1",
    "99999999999999999999999999999999",
    "null",
    "é",
    "\u{fffd}",
    "\\x00",
    "\\xff",
    "%",
    "P",
    " F ",
    "#Fields: a\n",
];

fn spoilt() -> impl Strategy<Value = (Index, Vec<Spoilt>)> {
    let one = prop_oneof![
        Just(Spoilt::Whole),
        any::<Index>().prop_map(Spoilt::Cut),
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Spoilt::Byte(at, byte)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Spoilt::Twice(from, to)),
        (any::<Index>(), prop::sample::select(SIGNS)).prop_map(|(at, sign)| Spoilt::Sign(at, sign)),
    ];
    (any::<Index>(), prop::collection::vec(one, 0..4))
}

fn spoil(line: &mut Vec<u8>, spoilt: &Spoilt) {
    match spoilt {
        Spoilt::Whole => {}
        Spoilt::Cut(at) => line.truncate(at.index(line.len() + 1)),
        Spoilt::Byte(at, byte) => {
            if !line.is_empty() {
                let at = at.index(line.len());
                line[at] = *byte;
            }
        }
        Spoilt::Twice(from, to) => {
            let (from, to) = (from.index(line.len() + 1), to.index(line.len() + 1));
            let piece = line[from.min(to)..from.max(to)].to_vec();
            line.splice(from..from, piece);
        }
        Spoilt::Sign(at, sign) => {
            let at = at.index(line.len() + 1);
            line.splice(at..at, sign.bytes());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn no_log_breaks_mapping_or_makes_an_event_that_polar_refuses(
        case in any::<Index>(),
        source in any::<Index>(),
        drawn in prop::collection::vec(spoilt(), 1..6),
    ) {
        let case = &CASES[case.index(CASES.len())];
        let mut log = Vec::new();
        for (line, changes) in &drawn {
            let mut line = case.lines[line.index(case.lines.len())].clone();
            changes.iter().for_each(|change| spoil(&mut line, change));
            log.extend(line);
        }
        let context = MapContext {
            rules: &case.rules,
            source: SourceIndex(source.index(case.sources.into()) as u16),
            stream_key: &[7; 32],
            generation: Generation::default(),
            path: "/var/log/app/a.log",
            captures: &Captures::new(),
            expected: None,
            long_line: None,
            polar_now: NOW.parse().unwrap(),
            room: usize::MAX,
        };
        let window = ReadWindow {
            end: End::File { beyond: b"" },
            carry: Carry::default(),
            ..ReadWindow::new(b"", Offset::ZERO, &log)
        };
        let chunk = map(&context, window, &mut Scratch::default()).unwrap();
        let mut tally = chunk.settled.clone();
        tally.merge(&chunk.in_letters);
        for line in chunk.lines.iter().chain(chunk.held.iter().map(|held| &held.line)) {
            tally.add(Fate::Billed, 1, line.len.into());
        }
        prop_assert_eq!(tally.total().bytes, log.len() as u64, "{}", case.name);
        prop_assert_eq!(chunk.span.map_or(0, floe::model::Span::len), log.len() as u64);
        assert_polar_takes(&chunk.body);
        chunk.held.iter().for_each(|held| assert_polar_takes(&held.body));
    }
}
