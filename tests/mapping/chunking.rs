//! The result does not depend on how the bytes are cut into windows, and every byte has a fate.

use floe::mapping::Rules;
use floe::model::{Guard, MappedChunk, Stop, Tally};
use proptest::prelude::*;

use crate::support::{From, letters, map_all, map_part, rules};

const RULES: &str = r#"
[polar]
reconcile = true
[[rules]]
id = "usage"
when = { event = "usage.done" }
[rules.event]
name = "usage"
external_customer_id = "{org}"
timestamp = "{ts}"
metadata.units = "{units}"
[[rules]]
id = "call"
when = { path = { prefix = "/v1/call" } }
[rules.event]
name = "call"
external_customer_id = "{org}"
"#;

/// What a reader of chunks ends up with.
#[derive(Debug, PartialEq, Default)]
struct Total {
    settled: Tally,
    in_letters: Tally,
    body: Vec<u8>,
    held: Vec<Vec<u8>>,
    /// Offset and length of each line with events.
    lines: Vec<(u64, u32)>,
    letters: Vec<(u64, u64, String)>,
    values_not_utf8: u32,
    duplicate_keys: u32,
    end: u64,
}

impl Total {
    fn add(&mut self, chunk: &MappedChunk) {
        self.settled.merge(&chunk.settled);
        self.in_letters.merge(&chunk.in_letters);
        self.body.extend_from_slice(&chunk.body);
        self.held.extend(chunk.held.iter().map(|held| held.body.clone()));
        let Some(span) = chunk.span else { return };
        assert_eq!(span.start.0, self.end, "chunks tile the stream");
        self.end = span.end.0;
        let place = |at: u32| span.start.0 + u64::from(at);
        self.lines.extend(chunk.lines.iter().map(|line| (place(line.at), line.len)));
        self.letters.extend(letters(chunk).iter().map(|letter| {
            let number = |key: &str| letter[key].as_u64().unwrap();
            (number("offset"), number("length"), letter["reason"].as_str().unwrap().to_owned())
        }));
        self.values_not_utf8 += chunk.values_not_utf8;
        self.duplicate_keys += chunk.duplicate_keys;

        let bytes =
            |lines: &[floe::model::BilledLine]| lines.iter().map(|line| u64::from(line.len)).sum::<u64>();
        let held = chunk.held.iter().map(|held| u64::from(held.line.len)).sum::<u64>();
        let counted =
            chunk.settled.total().bytes + chunk.in_letters.total().bytes + bytes(&chunk.lines) + held;
        assert_eq!(counted, span.len(), "every byte has a fate");
    }
}

/// Reads the file in windows of the given sizes, over and over, as the agent does.
fn read_in_windows(rules: &Rules, file: &[u8], sizes: &[usize], room: usize) -> Total {
    let mut total = Total::default();
    let mut from = From::default();
    let mut sizes = sizes.iter().cycle();
    let mut size = 0;
    loop {
        size += sizes.next().unwrap();
        let until = file.len().min(from.base + size);
        let chunk = map_part(rules, file, from, until, room);
        total.add(&chunk);
        if let Some(span) = chunk.span {
            assert_eq!(chunk.after, Guard::at_end_of(&file[..span.end.0 as usize]));
            assert_eq!(chunk.before, Guard::at_end_of(&file[..span.start.0 as usize]));
            size = 0;
        }
        from = match chunk.stop {
            Stop::InLongLine(long) => {
                size = 0;
                assert_eq!(long.before_searched, Guard::at_end_of(&file[..long.searched.0 as usize]));
                From { base: long.searched.0 as usize, expected: None, long_line: Some(long) }
            }
            _ => From { base: total.end as usize, expected: Some(chunk.after), long_line: None },
        };
        if until == file.len() && chunk.stop != Stop::BodyFull {
            return total;
        }
    }
}

fn any_line() -> impl Strategy<Value = Vec<u8>> {
    let usage = (any::<u8>(), 0_i32..3).prop_map(|(units, kind)| match kind {
        0 => format!(r#"{{"event":"usage.done","org":"acme","ts":"2026-11-20T10:00:00Z","units":{units}}}"#),
        1 => format!(r#"{{"event":"usage.done","org":"acme","ts":"2026-11-20T12:0{}:00Z"}}"#, units % 10),
        _ => format!(r#"{{"path":"\/v1\/call","org":"{}"}}"#, if units > 128 { "" } else { "x" }),
    });
    prop_oneof![
        4 => usage.prop_map(String::into_bytes),
        2 => "[ -~]{0,60}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..40),
        1 => Just(b" \t\r".to_vec()),
        1 => (0_usize..3000, 0_usize..4).prop_map(|(length, kind)| {
            let mut line = vec![b'x'; length];
            let at = length / 2;
            let text: &[u8] = [&b""[..], b"usage.done", b"us\\u0061ge", b"call"][kind];
            line.splice(at..at, text.iter().copied());
            line
        }),
        1 => Just(b"usage.done {".to_vec()),
        1 => Just(b"{\"event\":\"usage.done\",\"org\":\"a\",\"org\":\"b\",\"ts\":\"2026-11-20T10:00:00Z\"}".to_vec()),
        1 => Just(b"{\"event\":\"us\\u0061ge.done\",\"org\":\"a\",\"ts\":\"2026-11-20T10:00:00Z\"}".to_vec()),
        1 => Just(b"{\"event\":\"usage.done\",\"org\":\"a\",\"ts\":\"2026-11-20T10:00:00Z\",\"units\":\"\xff\"}".to_vec()),
    ]
}

fn any_file() -> impl Strategy<Value = Vec<u8>> {
    // After a row of billed lines the next one is not searched first.
    let times = prop_oneof![9 => Just(1), 1 => Just(10)];
    let line = (any_line(), any::<bool>(), times).prop_map(|(mut line, carriage, times)| {
        line.retain(|byte| *byte != b'\n');
        if carriage {
            line.push(b'\r');
        }
        line.push(b'\n');
        line.repeat(times)
    });
    (any::<bool>(), prop::collection::vec(line, 0..25)).prop_map(|(marked, lines)| {
        let mark: &[u8] = if marked && !lines.is_empty() { b"\xef\xbb\xbf" } else { b"" };
        [mark, &lines.concat()].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_result_is_the_same_however_the_bytes_are_cut(
        file in any_file(),
        sizes in prop::collection::vec(1_usize..700, 1..8),
        room in prop_oneof![Just(usize::MAX), 0_usize..2000],
    ) {
        let rules = rules(RULES);
        let mut whole = Total::default();
        whole.add(&map_all(&rules, &file));
        prop_assert_eq!(whole.end, file.len() as u64);
        prop_assert_eq!(read_in_windows(&rules, &file, &sizes, room), whole);
    }

    /// A line's outcome by the rules alone, without the literal test, differs only where the test may say so: a line
    /// that it turns away would have been ignored, or was malformed.
    #[test]
    fn the_literal_test_turns_no_billable_line_away(line in any_line()) {
        let mut line = line;
        line.retain(|byte| *byte != b'\n');
        line.push(b'\n');
        let unfiltered = format!("{RULES}[[rules]]\nid = \"z\"\nwhen = {{ nothing = {{ exists = true }} }}\n[rules.event]\nname = \"z\"\nexternal_customer_id = \"z\"\n");
        let filtered = map_all(&rules(RULES), &line);
        let all = map_all(&rules(&unfiltered), &line);
        prop_assert_eq!(&filtered.body, &all.body);
        prop_assert_eq!(&filtered.held, &all.held);
        if !filtered.letters.is_empty() {
            prop_assert_eq!(&filtered.letters, &all.letters);
        } else if let Some(letter) = letters(&all).first() {
            let reason = letter["reason"].as_str().unwrap();
            prop_assert!(matches!(reason, "invalid_json" | "line_too_long"), "{}", letter);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let unfiltered = "[[rules]]\nid = \"z\"\nwhen = { z = { ne = 1 } }\n[rules.event]\nname = \"z\"\nexternal_customer_id = \"{a}\"\n";
        let chunk = map_all(&rules(unfiltered), &bytes);
        let mut total = Total::default();
        total.add(&chunk);
    }

    /// Every valid JSON value is read, whatever it is made of, and its fields are found.
    #[test]
    fn json_that_is_valid_is_never_called_invalid(value in any_json()) {
        let line = serde_json::json!({"event": "usage.done", "org": "acme", "ts": "2026-11-20T10:00:00Z", "x": value, "units": 7});
        let chunk = map_all(&rules(RULES), format!("{line}\n").as_bytes());
        prop_assume!(line.to_string().len() <= 1024);
        prop_assert_eq!(chunk.lines.len(), 1, "{}", line);
        prop_assert!(String::from_utf8_lossy(&chunk.body).contains("\"units\":7"));
    }
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        ".{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::btree_map(".{0,6}", inner, 0..5)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}
