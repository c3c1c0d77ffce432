//! What becomes of a line: a table.

use floe::config::settings::Captures;
use floe::mapping::{End, MapContext, ReadWindow, Scratch, map};
use floe::model::{Fate, Generation, Ignored, Offset, Quarantined, SourceIndex};

use crate::support::{NOW, assert_polar_takes, events, letters, map_all, rules};

const USAGE: &str = r#"
[[rules]]
id = "usage"
when = { event = "usage" }
unless = { test = true }
must = { units = { ge = 0 } }
[rules.event]
name = "{kind | default('usage')}"
external_customer_id = "{org}"
external_member_id = "{user}"
timestamp = "{ts}"
parent_id = "{parent}"
metadata.units = "{units}"
metadata.note = "{note}"
metadata.tenant = "{@path.tenant}"
"#;

fn fate_of(line: &[u8]) -> (Fate, String) {
    let chunk = map_all(&rules(USAGE), &[line, b"\n"].concat());
    let fates: Vec<_> = chunk.settled.iter().chain(chunk.in_letters.iter()).collect();
    assert_polar_takes(&chunk.body);
    match fates.as_slice() {
        [] if chunk.lines.len() == 1 => (Fate::Billed, String::from_utf8(chunk.body).unwrap()),
        [] => (Fate::Billed, "held".to_owned()),
        [(fate, count)] => {
            assert_eq!((count.lines, count.bytes, chunk.body.len()), (1, line.len() as u64 + 1, 0));
            let letter = letters(&chunk);
            (
                *fate,
                letter.first().map_or(String::new(), |letter| letter["detail"].as_str().unwrap().to_owned()),
            )
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn check(line: &str, wanted: Fate, detail: &str) {
    let (fate, said) = fate_of(line.as_bytes());
    assert_eq!(fate, wanted, "{line}: {said}");
    assert!(said.contains(detail), "{line}: {said}");
}

#[test]
fn every_line_has_a_fate_and_a_reason() {
    use Fate::{Billed, Quarantined as Q};
    use Quarantined as R;
    let ignored = Fate::Ignored(Ignored::NoRule);
    let usage = |rest: &str| format!(r#"{{"event":"usage","org":"acme","ts":"2026-11-20T10:00:00Z"{rest}}}"#);
    check(
        &usage(r#","units":5"#),
        Billed,
        r#""external_customer_id":"acme","timestamp":"2026-11-20T10:00:00Z","external_id":""#,
    );
    check(&usage(r#","units":5,"note":"","user":null"#), Billed, r#""metadata":{"units":5,"tenant":"acme"}"#);
    check(&usage(r#","units":1e2"#), Billed, r#""units":1e2"#);
    check(&usage(r#","units":"3""#), Billed, r#""units":"3""#);
    check(
        &usage(r#","units":null,"note":"""#),
        Fate::Quarantined(R::Invariant),
        "units is missing, not at least 0",
    );
    check(&usage(r#","units":-1"#), Q(R::Invariant), "units is -1, not at least 0");
    check(&usage(r#","units":1,"test":true"#), ignored, "");
    check(r#"{"event":"other"}"#, ignored, "");
    check("not JSON at all", ignored, "");
    check("", Fate::Ignored(Ignored::Empty), "");
    check(" \t\r", Fate::Ignored(Ignored::Empty), "");
    check("usage is not JSON", Q(R::InvalidJson), "expected value");
    check(&usage(r#","units":1"#).replace('}', "} x"), Q(R::InvalidJson), "trailing");
    check(&usage(r#","units":1"#).replace("usage", "us\\u0061ge"), Billed, "");
    check(r#"{"event":"usage","units":1}"#, Q(R::MissingCustomer), "external_customer_id is missing");
    check(r#"{"event":"usage","units":1,"org":""}"#, Q(R::MissingCustomer), "missing or empty");
    check(
        r#"{"event":"usage","units":1,"org":17,"ts":"2026-11-20T10:00:00Z"}"#,
        Billed,
        r#""external_customer_id":"17""#,
    );
    check(r#"{"event":"usage","units":1,"org":{}}"#, Q(R::BadCustomer), "is an object, not a text");
    check(r#"{"event":"usage","units":1,"org":"\ud800"}"#, Q(R::BadCustomer), "not UTF-8");
    check(r#"{"event":"usage","units":1,"org":"a"}"#, Q(R::MissingTimestamp), "timestamp is missing");
    check(r#"{"event":"usage","units":1,"org":"a","ts":"yesterday"}"#, Q(R::BadTimestamp), "yesterday");
    check(
        r#"{"event":"usage","units":1,"org":"a","ts":"2026-11-20 10:00:00,5"}"#,
        Q(R::BadTimestamp),
        "without a time zone: say which it is, `| timestamp('%Y-%m-%d %H:%M:%S,%f', 'UTC')`",
    );
    check(r#"{"event":"usage","units":1,"org":"a","ts":1795169732}"#, Q(R::BadTimestamp), "epoch_ms");
    check(r#"{"event":"usage","units":1,"org":"a","ts":"1970-01-21T00:00:00Z"}"#, Q(R::BadTimestamp), "unit");
    check(r#"{"event":"usage","units":1,"org":"a","ts":"2026-11-20T12:10:00Z"}"#, Billed, "held");
    check(
        r#"{"event":"usage","units":1,"org":"a","ts":"2026-11-20T12:10:00.001Z"}"#,
        Q(R::FutureTimestamp),
        "max_future",
    );
    check(&usage(r#","units":1,"note":"\u0000""#), Q(R::Nul), "metadata.note holds a NUL");
    check(&usage(r#","units":1,"user":"\u0000""#), Q(R::Nul), "external_member_id holds a NUL");
    check(&usage(r#","units":1,"note":[1]"#), Q(R::BadMetadata), "metadata.note is an array");
    check(&usage(r#","units":1e999"#), Q(R::Invariant), "units is 1e999");
    check(&usage(r#","units":1,"note":1e999"#), Q(R::BadMetadata), "too large");
    check(&usage(r#","units":1,"note":true"#), Billed, r#""note":true"#);
    check(&usage(&format!(r#","units":1,"note":"{}""#, "é".repeat(500 / 2))), Billed, "éé");
    check(&usage(&format!(r#","units":1,"kind":"{}""#, "é".repeat(129))), Q(R::BadName), "128");
    check(&usage(&format!(r#","units":1,"kind":"{}""#, "é".repeat(128))), Billed, "éé");
    check(
        &usage(&format!(r#","units":1,"note":"{}""#, "x".repeat(501))),
        Q(R::MetadataTooLong),
        "truncate(500)",
    );
    check(&usage(&format!(r#","units":1,"note":"{}""#, "x".repeat(1000))), Q(R::LineTooLong), "1024");
    check(&"x".repeat(3000), ignored, "");
    check(&usage(r#","units":1,"note":"a\u0001\"\\/\n""#), Billed, r#""note":"a\u0001\"\\/\n""#);
    check(&usage(r#","units":1,"units":2"#), Billed, r#""units":2"#);
}

#[test]
fn what_a_line_writes_reaches_the_event() {
    let rules = rules(
        r#"
[[rules]]
id = "as-written"
when = { event = "usage" }
[rules.event]
name = "usage"
external_customer_id = "{org}"
metadata.v = "{v}"
metadata.i = "{i | int}"
metadata.d = "{d | decimal}"
metadata.t = "{t | str}"
metadata.q = "{q | mul(1)}"
"#,
    );
    #[track_caller]
    fn check(rules: &floe::mapping::Rules, fields: &str, wanted: &str) {
        let chunk = map_all(rules, format!("{{\"event\":\"usage\",\"org\":\"a\",{fields}}}\n").as_bytes());
        let body = String::from_utf8(chunk.body.clone()).unwrap();
        let (_, metadata) = body.split_once("\"metadata\":").unwrap_or(("", "quarantined}},"));
        assert_eq!(metadata.strip_suffix("}},"), Some(wanted), "{fields}");
        assert_polar_takes(&chunk.body);
    }
    let check = |fields: &str, wanted: &str| check(&rules, fields, wanted);
    // Numbers keep their text, beyond what a double or 64 bits hold.
    check(r#""v":9007199254740993"#, r#"{"v":9007199254740993"#);
    check(r#""v":123456789012345678901234567890"#, r#"{"v":123456789012345678901234567890"#);
    check(r#""v":0.1234567890123456789012345678901234"#, r#"{"v":0.1234567890123456789012345678901234"#);
    check(r#""v":-0.0,"t":1.50e+2"#, r#"{"v":-0.0,"t":"1.50e+2""#);
    check(r#""i":18446744073709551617"#, r#"{"i":18446744073709551617"#);
    check(r#""i":"18446744073709551617""#, r#"{"i":18446744073709551617"#);
    check(r#""i":1e3"#, r#"{"i":1000"#);
    check(r#""d":0.1,"q":0.30000000000000004"#, r#"{"d":0.1,"q":0.30000000000000004"#);
    check(r#""d":"12345678901234567890.12345678""#, r#"{"d":12345678901234567890.12345678"#);
    check(r#""d":0.00000000000000000000000000005"#, r#"{"d":0"#);
    check(r#""q":9007199254740993"#, r#"{"q":9007199254740993"#);
    check(r#""q":1e30"#, "quarantined");
    // Escapes are read, and written again where JSON asks for it.
    check(r#""v":"\u00e9\ud83d\ude00\/\t\"""#, r#"{"v":"é😀/\t\"""#);
    check(r#""v":"\u007f\u2028\ufeff""#, "{\"v\":\"\u{7f}\u{2028}\u{feff}\"");
    check(r#""v":"a\u0000""#, "quarantined");
    check(r#""v":"a","unused":"\u0000""#, r#"{"v":"a""#);
    check(r#""v":"\ud800x\udc00\ud83d""#, "{\"v\":\"\u{fffd}x\u{fffd}\u{fffd}\"");
    check(r#""v":"a","unused":"\ud800""#, r#"{"v":"a""#);
    check(r#""v":"a","\u0076":"b""#, r#"{"v":"b""#);
}

#[test]
fn lines_in_which_a_key_of_a_rule_stands_twice_are_counted_once() {
    #[track_caller]
    fn check(line: &str, lines: u32) {
        let chunk = map_all(&rules(USAGE), format!("{line}\n{{\"event\":\"usage\"}}\n").as_bytes());
        assert_eq!(chunk.duplicate_keys, lines, "{line}");
    }
    check(r#"{"event":"usage","org":"a","ts":"2026-11-20T10:00:00Z","units":1,"units":2,"org":"b"}"#, 1);
    check(r#"{"event":"usage","org":"a","ts":"2026-11-20T10:00:00Z","units":1,"x":1,"x":2}"#, 0);
    check(r#"{"event":"usage","units":1,"units":-1}"#, 1);
    check(r#"{"event":"usage","event":"other"}"#, 1);
    check(r#"{"event":"usage","units":1,"units":2"#, 0);
    check(r#"{"other":1,"units":1,"units":2}"#, 0);
}

#[test]
fn costs_and_tokens_outside_of_what_polar_takes_are_quarantined() {
    let rules = rules(
        r#"
[[rules]]
id = "llm"
when = { event = "llm" }
[rules.event]
name = "llm"
external_customer_id = "{org}"
metadata._llm = { vendor = "v", model = "{model}", input_tokens = "{in}", output_tokens = "{out}", total_tokens = "{sum(in, out)}", cached_input_tokens = "{cached}" }
metadata._cost = { amount = "{cost}", currency = "usd" }
"#,
    );
    #[track_caller]
    fn check(rules: &floe::mapping::Rules, fields: &str, wanted: Result<&str, (Quarantined, &str)>) {
        let line = format!("{{\"event\":\"llm\",\"org\":\"a\",{fields}}}\n");
        let chunk = map_all(rules, line.as_bytes());
        match wanted {
            Ok(part) => assert!(String::from_utf8_lossy(&chunk.body).contains(part), "{line}: {chunk:?}"),
            Err((reason, detail)) => {
                let letter = &letters(&chunk)[0];
                assert_eq!(letter["reason"], reason.code(), "{line}");
                assert!(letter["detail"].as_str().unwrap().contains(detail), "{letter}");
            }
        }
        assert_polar_takes(&chunk.body);
    }
    let check = |fields: &str, wanted| check(&rules, fields, wanted);
    let fine = r#""model":"m","in":1,"out":"2""#;
    let cost = |cost: &str| format!("{fine},\"cost\":{cost}");
    check(
        &cost("0.0225"),
        Ok(
            r#""input_tokens":1,"output_tokens":2,"total_tokens":3},"_cost":{"amount":"0.0225","currency":"usd"}"#,
        ),
    );
    check(&cost("1.35e-05"), Ok(r#""amount":"0.0000135""#));
    check(&cost("-3.0"), Ok(r#""amount":"-3""#));
    check(&cost("99999.999999999992"), Ok(r#""amount":"99999.999999999992""#));
    check(&cost("99999.999999999993"), Err((Quarantined::BadCost, "too large")));
    check(&cost("-100000"), Err((Quarantined::BadCost, "too large")));
    check(&cost("0.30000000000000004"), Err((Quarantined::BadCost, "round(12)")));
    check(&cost("\"-\""), Err((Quarantined::BadCost, "not a number")));
    check(&cost("null"), Err((Quarantined::BadCost, "missing")));
    check(r#""model":"","in":1,"out":2,"cost":1"#, Err((Quarantined::BadLlm, "_llm.model is missing")));
    check(r#""model":"m","in":1.5,"out":2,"cost":1"#, Err((Quarantined::BadLlm, "not a whole number")));
    check(r#""model":"m","in":1,"cost":1"#, Err((Quarantined::BadLlm, "_llm.output_tokens is missing")));
    check(&format!("{fine},\"cached\":0.0,\"cost\":1"), Ok(r#""cached_input_tokens":0"#));
}

#[test]
fn also_rules_and_exploded_arrays_have_ids_of_their_own() {
    let rules = rules(
        r#"
[[rules]]
id = "calls"
also = true
when = { event = "order" }
[rules.event]
name = "call"
external_customer_id = "{org}"
[[rules]]
id = "items"
when = { event = "order", "@item.kind" = "paid" }
explode = "items"
[rules.event]
name = "item"
external_customer_id = "{org}"
metadata.units = "{@item.units}"
[[rules]]
id = "never"
when = { event = "order" }
[rules.event]
name = "never"
external_customer_id = "{org}"
"#,
    );
    let line = r#"{"event":"order","org":"a","items":[{"kind":"paid","units":1},{"kind":"free"},{"kind":"paid","units":3}]}"#;
    let chunk = map_all(&rules, format!("{line}\n").as_bytes());
    let found = events(&chunk.body);
    let names: Vec<_> = found.iter().map(|event| event["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["call", "item", "item"]);
    assert_eq!(chunk.lines[0].events, 3);
    assert_eq!(chunk.lines[0].rule, 0);
    let id = |slot, index| {
        let id = floe::mapping::identity::external_id(&[7; 32], Offset::ZERO, line.as_bytes(), slot, index);
        String::from_utf8(id.to_vec()).unwrap()
    };
    let ids: Vec<_> = found.iter().map(|event| event["external_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, [id("calls", 0), id("", 0), id("", 2)]);

    let none = r#"{"event":"order","org":"a","items":[]}"#;
    assert_eq!(events(&map_all(&rules, format!("{none}\n").as_bytes()).body)[1]["name"], "never");
    let bad = r#"{"event":"order","org":"a","items":[{"kind":"paid","units":[]}]}"#;
    let chunk = map_all(&rules, format!("{bad}\n").as_bytes());
    assert_eq!(letters(&chunk)[0]["reason"], "bad_metadata", "one bad event quarantines the line");
    assert!(chunk.body.is_empty() && chunk.lines.is_empty());
}

#[test]
fn a_byte_order_mark_belongs_to_no_line() {
    let line = br#"{"event":"usage","org":"acme","ts":"2026-11-20T10:00:00Z","units":1}"#;
    let marked = map_all(&rules(USAGE), &[b"\xef\xbb\xbf", &line[..], b"\r\n"].concat());
    let plain = map_all(&rules(USAGE), &[&line[..], b"\n"].concat());
    assert_eq!(marked.body, plain.body);
    assert_eq!(marked.lines[0].len as usize, line.len() + 5);
    let blank = map_all(&rules(USAGE), b"\xef\xbb\xbf\r\n");
    assert_eq!(blank.settled.get(Fate::Ignored(Ignored::Empty)).bytes, 5);
}

#[test]
fn a_quarantined_line_says_where_it_stands_and_what_it_is() {
    let chunk = map_all(&rules(USAGE), b"{}\n{\"event\":\"usage\",\"units\":1,\"x\":\"\xff\"}\r\n");
    let letter = &letters(&chunk)[0];
    assert_eq!(
        *letter,
        serde_json::json!({
            "reason": "missing_customer", "source": "app", "path": "/var/log/app/a.log", "offset": 3,
            "length": 37, "print": "00000000000000000000000000000000", "ordinal": 0,
            "captures": { "tenant": "acme" }, "rule": "usage",
            "detail": "external_customer_id is missing or empty",
            "text": "{\"event\":\"usage\",\"units\":1,\"x\":\"\u{fffd}\"}",
            "bytes": "eyJldmVudCI6InVzYWdlIiwidW5pdHMiOjEsIngiOiL/In0=",
        })
    );
}

#[test]
fn the_last_line_of_a_file_that_is_gone_is_billed_only_when_it_is_whole() {
    #[track_caller]
    fn check(line: &str, wanted: Fate) {
        let rules = rules(USAGE);
        let context = MapContext {
            rules: &rules,
            source: SourceIndex(0),
            stream_key: &[7; 32],
            generation: Generation::default(),
            path: "p",
            captures: &Captures::new(),
            expected: None,
            long_line: None,
            polar_now: NOW.parse().unwrap(),
            room: 0,
        };
        let end = End::File { beyond: b"" };
        let window = ReadWindow { end, ..ReadWindow::new(b"", Offset::ZERO, line.as_bytes()) };
        let chunk = map(&context, window, &mut Scratch::default()).unwrap();
        let fates: Vec<_> =
            chunk.settled.iter().chain(chunk.in_letters.iter()).map(|(fate, _)| fate).collect();
        assert_eq!(fates.first().copied().unwrap_or(Fate::Billed), wanted, "{line}");
        assert_eq!(chunk.span.unwrap().len(), line.len() as u64);
    }
    let whole = r#"{"event":"usage","org":"acme","ts":"2026-11-20T10:00:00Z","units":1}"#;
    check(whole, Fate::Billed);
    check(&format!("{whole}\r"), Fate::Billed);
    check(&whole[..whole.len() - 1], Fate::Quarantined(Quarantined::PartialEof));
    check("\"usage\"", Fate::Quarantined(Quarantined::PartialEof));
    check("{\"a", Fate::Ignored(Ignored::NoRule));
    check("  ", Fate::Ignored(Ignored::Empty));
    check(&format!("usage{}", "x".repeat(2000)), Fate::Quarantined(Quarantined::LineTooLong));
}
