//! What is promised of lines in every format.

use floe::mapping::Rules;
use floe::model::Ignored::NoRule;
use floe::model::{Fate, MappedChunk};
use proptest::prelude::*;

use crate::support::{letters, map_all, rules_of};

/// Formats, and lines of them in which `%` is the value of the field.
const FORMATS: &[(&str, &str, &str)] = &[
    ("format = \"logfmt\"", "x", "x=% y=1"),
    ("format = \"logfmt\"", "x", "y=1 x=\"%\""),
    ("format = \"delimited\"\ncolumns = [\"y\", \"x\"]", "x", "1,%"),
    ("format = \"delimited\"\ncolumns = [\"y\", \"x\"]", "x", "1,\"%\",z"),
    ("format = \"regex\"\npattern = '^(?<x>[^;]*);'", "x", "%;y"),
    ("format = \"nginx-combined\"", "remote_user", "::1 - % [t] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\""),
    ("format = \"nginx-combined\"", "request_uri", "::1 - - [t] \"GET % HTTP/1.1\" 200 1 \"-\" \"-\""),
    ("format = \"nginx-combined\"", "status", "::1 - - [t] \"GET / HTTP/1.1\" % 1 \"-\" \"-\""),
    ("format = \"apache-combined\"", "http_user_agent", "::1 - - [t] \"-\" 200 1 \"-\" \"%\""),
    ("format = \"syslog-rfc5424\"", "sd.a.x", "<13>1 - - - - - [a x=\"%\"]"),
    ("format = \"syslog-rfc5424\"", "severity", "<%>1 - - - - - -"),
    ("format = \"syslog-rfc3164\"", "facility", "<%>Nov 21 00:03:01 vm a: b"),
    ("format = \"syslog-rfc3164\"", "tag", "Nov 21 00:03:01 vm %: b"),
    ("format = \"json\"\nprefix = '(?<x>\\S*) '", "x", "% {}"),
    ("format = \"json\"", "x", "{\"x\":\"%\"}"),
];

/// Pieces of values: what stands for the same text in one format or another.
const PIECES: &[&str] = &[
    "a",
    "b",
    "ab",
    "1",
    "6",
    "13",
    "14",
    "-",
    ".",
    "/",
    " ",
    "é",
    "\\u0061",
    "\\u00e9",
    "\\x61",
    "\\x2F",
    "\\xC3\\xA9",
    "\\n",
    "\\\\",
    "\\\"",
    "\\]",
    "\"\"",
    "\\U00000061",
    "\u{feff}",
    "0",
];

fn rules(source: &str, field: &str, wanted: &str, unfiltered: bool) -> Rules {
    let path = field.split('.').map(|step| format!("\"{step}\"")).collect::<Vec<_>>().join(".");
    let rule = |id: &str, when: &str| {
        format!(
            "[[rules]]\nid = \"{id}\"\nwhen = {{ {when} }}\n[rules.event]\nname = \"n\"\nexternal_customer_id = \"c\"\n"
        )
    };
    let mut rules = rule("wants", &format!("'{path}' = {wanted}"));
    if unfiltered {
        // It has no text and never holds.
        rules += &rule("everything", &format!("'{path}' = {{ gt = 1, lt = 0 }}"));
    }
    rules_of(source, &rules)
}

/// How many lines are ignored, and how many quarantined.
fn outcome(chunk: &MappedChunk) -> (u64, usize) {
    (chunk.settled.get(Fate::Ignored(NoRule)).lines, letters(chunk).len())
}

/// A field that a parser decodes or computes is found by the literal test too, if its line is not malformed.
#[test]
fn the_literal_test_turns_no_billable_line_away() {
    let mut all_rules = Vec::new();
    for (source, field, line) in FORMATS {
        for test in ["$", "{ prefix = $ }", "{ contains = $ }", "[$, $]"] {
            for wanted in ["a", "ab", "b", "1", "6", "13", "a/b", "é", "aé", "-", "0"] {
                let test = test.replace('$', &format!("\"{wanted}\""));
                let [filtered, all] = [false, true].map(|unfiltered| rules(source, field, &test, unfiltered));
                all_rules.push((filtered, all, *line, test));
            }
        }
    }
    let said = prop::collection::vec(prop::sample::select(PIECES), 0..4);
    proptest!(ProptestConfig::with_cases(500), |(said in said)| {
        for (filtered, all, line, test) in &all_rules {
            let line = line.replace('%', &said.concat()) + "\n";
            let filtered = map_all(filtered, line.as_bytes());
            let all = map_all(all, line.as_bytes());
            prop_assert_eq!(&filtered.body, &all.body, "{} {}", line, test);
            if all.letters.is_empty() {
                prop_assert_eq!(outcome(&filtered), outcome(&all), "{} {}", line, test);
            }
        }
    });
}
