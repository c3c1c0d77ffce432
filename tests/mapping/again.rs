//! A quarantined line that is mapped again by mended rules gives the very events that the log gives by them.

use floe::mapping::{
    Again, End, MapContext, ReadWindow, Rules, Scratch, are_lines_of, is_named_by, lines_of, map, map_again,
};
use floe::model::{Generation, Letter, MappedChunk, Offset, Quarantined, SourceIndex};

use crate::support::{NOW, rules_of};

const BROKEN: &str = "[[rules]]\nid = \"usage\"\nwhen = { event = \"usage\" }\n[rules.event]\nname = \"usage\"\n\
                      external_customer_id = \"{nobody}\"\nmetadata.tenant = \"{@path.tenant}\"\n";

fn with_context<T>(rules: &Rules, run: impl FnOnce(&MapContext<'_>) -> T) -> T {
    run(&MapContext {
        rules,
        source: SourceIndex(0),
        stream_key: &[7; 32],
        generation: Generation::default(),
        path: "/var/log/acme/a.log",
        captures: &[("tenant".to_owned(), "acme".to_owned())].into(),
        expected: None,
        long_line: None,
        polar_now: NOW.parse().unwrap(),
        room: usize::MAX,
    })
}

/// The whole file, of which nothing follows.
fn map_file(rules: &Rules, file: &[u8]) -> MappedChunk {
    let end = End::File { beyond: b"" };
    let window = ReadWindow { end, ..ReadWindow::new(b"", Offset::ZERO, file) };
    with_context(rules, |context| map(context, window, &mut Scratch::default()).unwrap())
}

fn letters(chunk: &MappedChunk) -> Vec<Letter<'_>> {
    let lines = chunk.letters.split_inclusive(|byte| *byte == b'\n');
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

/// `lines` lines of the file are quarantined by one rule; by a rule that knows `customer` they are billed.
#[track_caller]
fn check(source: &str, customer: &str, file: &[u8], lines: usize) {
    let broken = rules_of(source, BROKEN);
    let mended = rules_of(source, &BROKEN.replace("{nobody}", customer));
    let quarantined = map_file(&broken, file);
    let wanted = map_file(&mended, file);
    let letters = letters(&quarantined);
    assert_eq!((letters.len(), wanted.lines.len()), (lines, lines), "{source}");
    let mut body = Vec::new();
    with_context(&mended, |context| {
        for letter in &letters {
            let lines = lines_of(letter, context).expect("the text is kept");
            match map_again(context, letter.offset, &lines, letter.header.as_deref()) {
                Again::Billed(billed) => body.extend_from_slice(&billed.body),
                other => panic!("{other:?}: {letter:?}"),
            }
        }
    });
    assert_eq!(String::from_utf8_lossy(&body), String::from_utf8_lossy(&wanted.body), "{source}");
    with_context(&broken, |context| {
        let lines = lines_of(&letters[0], context).unwrap();
        let again = map_again(context, letters[0].offset, &lines, letters[0].header.as_deref());
        let Again::Quarantined { reason, rule, .. } = again else { panic!("{again:?}") };
        assert_eq!((reason, rule.as_deref()), (Quarantined::MissingCustomer, Some("usage")));
    });
}

const USE: &str = r#"{"event":"usage","who":"a","n":1}"#;

#[test]
fn a_line_keeps_its_events_however_it_ends_and_whatever_its_bytes() {
    for (file, lines) in [
        (format!("{USE}\n\n{USE}\r\n{{}}\n{USE}\r\r\n").into_bytes(), 3),
        (format!("\u{feff}{USE}\n{USE}\n").into_bytes(), 2),
        (format!("x\n{USE}").into_bytes(), 1),
        ([b"{\"event\":\"usage\",\"who\":\"a\",\"agent\":\"caf\xe9\xff\"}\n", USE.as_bytes()].concat(), 2),
    ] {
        check("format = \"json\"", "{who}", &file, lines);
    }
}

#[test]
fn a_record_keeps_its_wrapping_its_lines_and_its_header() {
    let piece = |output: &str, tag: &str, text: &str| {
        format!("2026-11-20T10:15:32.200000001Z {output} {tag} {text}\n")
    };
    let (head, tail) = USE.split_at(12);
    let wrapped = piece("stdout", "P", head) + &piece("stderr", "F", "noise") + &piece("stdout", "F", tail);
    check("format = \"json\"\ncontainer = \"cri\"", "{who}", wrapped.as_bytes(), 1);
    let regex = "format = \"regex\"\npattern = '^(?P<event>\\w+) (?P<who>\\w+)(?P<nobody>#)?(?s:.*)$'\n\
                 multiline = { start = '^usage' }";
    check(regex, "{who}", b"usage a\n  more\r\n  of it\nusage b\n", 2);
    let columns = "format = \"delimited\"\ndelimiter = \",\"\nheader = \"first_line\"";
    check(columns, "{who}", b"event,who,nobody\nusage,a\nother,b\nusage,c\r\n", 2);
}

#[test]
fn a_torn_line_is_never_made_whole() {
    let rules = rules_of("format = \"logfmt\"", &BROKEN.replace("{nobody}", "{who}"));
    let chunk = map_file(&rules, b"event=usage who=al");
    let letters = letters(&chunk);
    assert_eq!(letters[0].reason, Quarantined::PartialEof);
    with_context(&rules, |context| {
        let lines = lines_of(&letters[0], context).unwrap();
        let again = map_again(context, letters[0].offset, &lines, None);
        assert!(matches!(again, Again::Quarantined { reason: Quarantined::PartialEof, .. }), "{again:?}");
    });
}

#[test]
fn a_part_of_a_record_is_never_taken_for_all_of_it() {
    let source = "format = \"json\"\ncontainer = \"cri\"\nmax_line_bytes = \"1KiB\"";
    let rules = rules_of(source, BROKEN);
    let long = format!("{{\"event\":\"usage\",\"text\":\"{}", "x".repeat(1500));
    let file = format!("2026-11-20T10:15:32Z stdout P {long}\n2026-11-20T10:15:32Z stdout F \"}}\n");
    let chunk = map_file(&rules, file.as_bytes());
    let letters = letters(&chunk);
    assert_eq!(letters[0].reason, Quarantined::LineTooLong);
    assert!(letters[0].whole().is_none() && letters[0].text_print.is_none(), "{:?}", letters[0]);
}

#[test]
fn a_line_that_is_read_again_must_be_the_very_line() {
    let rules = rules_of("format = \"json\"\nmax_line_bytes = \"100KiB\"", BROKEN);
    let long = format!("{{\"event\":\"usage\",\"text\":\"{}\"}}\r\n", "x".repeat(90_000));
    let chunk = map_file(&rules, long.as_bytes());
    let letters = letters(&chunk);
    assert!(letters[0].whole().is_none());
    let other = long.replacen('x', "y", 1);
    with_context(&rules, |context| {
        assert!(are_lines_of(&letters[0], context, long.as_bytes()));
        assert!(!are_lines_of(&letters[0], context, other.as_bytes()));
    });
}

#[test]
fn an_id_tells_the_line_that_it_was_made_of() {
    let mended = rules_of("format = \"json\"", &BROKEN.replace("{nobody}", "{who}"));
    let chunk = map_file(&mended, format!("{USE}\n").as_bytes());
    let event: serde_json::Value = serde_json::from_slice(chunk.body.strip_suffix(b",").unwrap()).unwrap();
    let ids = [event["external_id"].as_str().unwrap().to_owned()];
    with_context(&mended, |context| {
        let is_named =
            |at: u64, text: &str| is_named_by(context, Offset(at), text.as_bytes(), Some("usage"), &ids);
        assert!(is_named(0, &format!("{USE}\n")) && is_named(0, &format!("\u{feff}{USE}\r\n")));
        assert!(!is_named(1, &format!("{USE}\n")) && !is_named(0, "{}\n"));
    });
}

#[test]
fn what_is_no_one_record_any_more_is_told() {
    let plain = rules_of("format = \"json\"", BROKEN);
    let columns = rules_of("format = \"delimited\"\ndelimiter = \",\"\nheader = \"first_line\"", BROKEN);
    let two = format!("{USE}\n{USE}\n");
    let again = |rules: &Rules, text: &str| {
        with_context(rules, |context| map_again(context, Offset(9), text.as_bytes(), None))
    };
    assert_eq!(again(&plain, &two), Again::OtherRecords);
    assert_eq!(again(&columns, "usage,a\n"), Again::OtherRecords, "nothing names its columns");
}
