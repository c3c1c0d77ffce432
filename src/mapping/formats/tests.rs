//! What the tests of the formats share, and what is true of all of them.

use proptest::prelude::*;
use regex::Regex;

use super::delimited::Header;
use super::json::Trie;
use super::*;
use crate::config::language::parse_path;
use crate::config::settings::{self, Container, FilePatterns, Input, ReadFrom};

fn source(format: &Format, prefix: Option<&str>) -> SourceSettings {
    SourceSettings {
        id: "app".to_owned(),
        input: Input::Files,
        files: FilePatterns::new(Vec::new(), Vec::new()),
        container: Container::None,
        multiline: None,
        prefix: prefix.map(|prefix| Regex::new(prefix).unwrap()),
        format: format.clone(),
        preset: None,
        read_from: ReadFrom::Beginning,
        max_line_bytes: 1024,
    }
}

/// A reader of these paths, and the slots that it gives them.
fn reader_and_slots(source: &SourceSettings, paths: &[&str]) -> (Reader, Vec<u16>) {
    let mut wanted = Trie::default();
    let slots = paths.iter().map(|path| wanted.add(&parse_path(path).unwrap().steps)).collect();
    (Reader::new(source, &wanted), slots)
}

pub(super) fn reader(format: &Format, paths: &[&str]) -> Reader {
    reader_and_slots(&source(format, None), paths).0
}

/// `wanted`: paths, and what is found there as people are shown it: text in quotes, numbers without.
#[track_caller]
pub(super) fn check(format: &Format, line: &str, wanted: &[(&str, &str)]) {
    check_with(format, &Header::default(), line, wanted);
}

#[track_caller]
pub(super) fn check_with(format: &Format, header: &Header, line: &str, wanted: &[(&str, &str)]) {
    check_source(&source(format, None), header, line, wanted);
}

#[track_caller]
fn check_source(source: &SourceSettings, header: &Header, line: &str, wanted: &[(&str, &str)]) {
    let paths: Vec<_> = wanted.iter().map(|(path, _)| *path).collect();
    let (reader, indexes) = reader_and_slots(source, &paths);
    let mut slots = Slots::default();
    reader.read(line, header, &mut slots).unwrap_or_else(|refusal| panic!("{}: {line}", refusal.detail));
    for ((path, wanted), slot) in wanted.iter().zip(indexes) {
        let found = slots.get(line, slot).map_or("missing".to_owned(), |field| field.decode(false).show());
        assert_eq!(found, *wanted, "{path} in {line}");
    }
}

#[track_caller]
pub(super) fn refused(format: &Format, line: &str, wanted: &str) {
    refused_with(format, &Header::default(), line, wanted);
}

#[track_caller]
pub(super) fn refused_with(format: &Format, header: &Header, line: &str, wanted: &str) {
    refused_source(&source(format, None), header, line, wanted);
}

#[track_caller]
fn refused_source(source: &SourceSettings, header: &Header, line: &str, wanted: &str) {
    let (reader, _) = reader_and_slots(source, &["a"]);
    let refusal = reader.read(line, header, &mut Slots::default()).unwrap_err();
    assert_eq!((refusal.reason, refusal.detail.as_str()), (Quarantined::InvalidFormat, wanted), "{line}");
}

#[test]
fn a_prefix_is_taken_off_and_its_groups_are_fields() {
    for (prefix, format, line, wanted) in [
        (
            r"(?<ts>\S+) heroku\[(?<p>\w+)\]: ",
            Format::Logfmt,
            "1 heroku[é]: a=x",
            ["\"1\"", "\"é\"", "\"x\""],
        ),
        (r"^(?<ts>\d+) ", Format::Json, r#"1 {"a":"x"}"#, ["\"1\"", "missing", "\"x\""]),
        // An expression in verbose mode may end with a comment.
        ("(?x) (?<ts> 1) \\s # a time", Format::Logfmt, "1 a=x", ["\"1\"", "missing", "\"x\""]),
        ("", Format::Logfmt, "a=x ts=2", ["\"2\"", "missing", "\"x\""]),
        ("x?", Format::Logfmt, "a=x", ["missing", "missing", "\"x\""]),
        ("1|12 ", Format::Logfmt, "12 a=x", ["missing", "missing", "\"x\""]),
    ] {
        let source = source(&format, Some(prefix));
        let [ts, p, a] = wanted;
        check_source(&source, &Header::default(), line, &[("ts", ts), ("p", p), ("a", a)]);
    }
}

#[test]
fn a_line_without_the_prefix_is_refused() {
    let source = source(&Format::Logfmt, Some("(?<ts>[0-9]+) "));
    for line in ["a=1", "x 1 a=1", ""] {
        refused_source(&source, &Header::default(), line, "the prefix does not match the line");
    }
}

#[test]
fn a_prefix_may_stand_before_a_header_too() {
    let columns = settings::Columns::FirstLine;
    let format = Format::Delimited(settings::Delimited { delimiter: b',', columns });
    let (reader, _) = reader_and_slots(&source(&format, Some("[0-9]+ ")), &["a"]);
    assert_eq!(reader.parse_header("17 a,b"), reader.parse_header("a,b"));
    assert_ne!(reader.parse_header("a,b"), Header::default());
}

/// One of each format, with names of fields that it has.
fn formats() -> Vec<(Format, &'static [&'static str])> {
    use settings::Columns::{FirstLine, Named};
    let access: &[&str] = &[
        "remote_addr",
        "remote_logname",
        "remote_user",
        "time_local",
        "request",
        "request_method",
        "request_uri",
        "server_protocol",
        "status",
        "body_bytes_sent",
        "http_referer",
        "http_user_agent",
        "rest",
    ];
    let delimited = |delimiter, columns| Format::Delimited(settings::Delimited { delimiter, columns });
    let names = ["a", "b", "c"].map(str::to_owned).to_vec();
    vec![
        (Format::Json, &["a", "a.b", "b[0]"]),
        (Format::Logfmt, &["a", "b", "a.b"]),
        (Format::Regex(Regex::new("(?<a>[^ ]*)(?<b>.)?(?<c>.*)").unwrap()), &["a", "b", "c"]),
        (delimited(b',', Named(names)), &["a", "b", "c"]),
        (delimited(b' ', FirstLine), &["a", "b", "c"]),
        (Format::NginxCombined, access),
        (Format::ApacheCombined, access),
        (
            Format::SyslogRfc5424,
            &[
                "pri",
                "facility",
                "severity",
                "version",
                "timestamp",
                "hostname",
                "app_name",
                "proc_id",
                "msg_id",
                "sd.a.b",
                "message",
            ],
        ),
        (
            Format::SyslogRfc3164,
            &["pri", "facility", "severity", "timestamp", "hostname", "tag", "pid", "message"],
        ),
    ]
}

/// Lines that come near to some format, and others.
fn any_line() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "a",
        "b",
        "=",
        "a=1",
        "a=\"",
        "\"",
        "\"\"",
        "\\",
        "\\\"",
        "\\x22",
        "\\u00",
        "\\ud83d",
        " ",
        "  ",
        ",",
        "-",
        " - ",
        "[",
        "]",
        "] \"",
        "GET /",
        " HTTP/1.1",
        "200",
        "<",
        ">",
        "<13>",
        "<134>1 ",
        ":",
        "é",
        "€",
        "😀",
        "\u{feff}",
        "\u{fffd}",
        "\n",
        "\t",
        "#",
        "#Fields: a b",
        "{\"a\":",
        "}",
        "Nov 21 00:03:01",
        "Nov  1 ",
        "2026-11-21T00:03:01Z",
        "vm",
        "app[1]:",
        "::1 - - [t] \"GET / HTTP/1.1\" 200 1 \"\" \"\"",
        "<13>1 - vm a b c [a b=\"c\"]",
        "<13>1 - - - - - ",
        "[a b=\"",
        "Nov 21 00:03:01 vm app",
    ];
    prop_oneof![
        4 => prop::collection::vec(prop::sample::select(PIECES), 0..12).prop_map(|pieces| pieces.concat()),
        1 => any::<String>(),
        1 => "[ -~é€\n]{0,40}",
    ]
}

#[test]
fn no_line_makes_a_parser_panic_and_fields_lie_within_it() {
    let readers: Vec<_> = [None, Some("[a<]?")]
        .into_iter()
        .flat_map(|prefix| formats().into_iter().map(move |(format, paths)| (source(&format, prefix), paths)))
        .map(|(source, paths)| reader_and_slots(&source, paths))
        .collect();
    proptest!(ProptestConfig::with_cases(3000), |(line in any_line())| {
        for (reader, indexes) in &readers {
            let header = reader.parse_header(&line);
            let mut slots = Slots::default();
            if reader.read(&line, &header, &mut slots).is_err() {
                continue;
            }
            for slot in indexes {
                // It asserts that the field lies on characters of the line.
                let Some(field) = slots.get(&line, *slot) else { continue };
                prop_assert_eq!(line.get(field.at..field.at + field.raw.len()), Some(field.raw));
                let _ = field.decode(false).show();
            }
        }
    });
}

/// A parser that looks at the line again for each of its signs would take minutes for this.
#[test]
fn a_long_line_of_one_sign_is_read_in_no_time() {
    const LENGTH: usize = 1 << 18;
    for (format, paths) in formats() {
        let (reader, _) = reader_and_slots(&source(&format, None), paths);
        for piece in ["a", " ", "\"", "\\", "[", "a=\"\\", "<", "\"\"", "a=1 ", "a,"] {
            for head in ["", "<13>1 - - - - - [a b=\"", "::1 - a [", "Nov 21 00:03:01 vm "] {
                let line = head.to_owned() + &piece.repeat(LENGTH / piece.len());
                let _ = reader.read(&line, &Header::default(), &mut Slots::default());
            }
        }
    }
}

/// The config believes in these names: it refuses rules that name others.
#[test]
fn the_formats_have_the_fields_that_the_config_knows() {
    let access = r#"::1 i u [t] "GET / HTTP/1.1" 200 1 "r" "a" rest"#;
    for (format, prefix, line) in [
        (Format::NginxCombined, None, access.replace(" i ", " - ")),
        (Format::ApacheCombined, None, access.to_owned()),
        (Format::SyslogRfc5424, None, r#"<13>1 2026-11-20T10:15:32Z h a p m [i n="v"] text"#.to_owned()),
        (Format::SyslogRfc3164, None, "<13>Nov 20 10:15:32 h a[p]: text".to_owned()),
        (Format::Regex(Regex::new("(?<x>.)(?<y>.)").unwrap()), Some("(?<z>a)"), "abc".to_owned()),
    ] {
        let source = source(&format, prefix);
        let names = crate::config::fields::names(&source).unwrap();
        // Below a name that ends with a dot there may be anything.
        let paths: Vec<_> = names
            .iter()
            .map(|name| name.strip_suffix('.').map_or((*name).to_owned(), |_| format!("{name}i.n")))
            .collect();
        let paths: Vec<_> = paths.iter().map(String::as_str).collect();
        let (reader, indexes) = reader_and_slots(&source, &paths);
        let mut slots = Slots::default();
        reader.read(&line, &Header::default(), &mut slots).unwrap();
        for (path, slot) in paths.iter().zip(indexes) {
            assert!(slots.get(&line, slot).is_some(), "{path} in {line}");
        }
    }
}
