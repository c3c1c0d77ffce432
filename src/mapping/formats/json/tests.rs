//! What a trie finds, and the scanner held to serde_json, which is its oracle.

use proptest::prelude::*;

use super::*;
use crate::config::language::parse_path;

#[track_caller]
fn check_field(path: &str, text: &str, wanted: Result<Option<&str>, ()>) {
    let mut trie = Trie::default();
    let slot = trie.add(&parse_path(path).unwrap().steps);
    // A sibling and a parent, so that inner nodes are met as well.
    trie.add(&parse_path("a.b.sibling").unwrap().steps);
    let mut slots = Slots::default();
    let found = trie.read(text, &mut slots).map_err(|_| ());
    assert_eq!(found.map(|()| slots.get(text, slot).map(|field| field.raw)), wanted, "{path} in {text}");
}

#[test]
fn fields_are_found_with_their_source_text() {
    check_field("n", r#"{"n":1.50e+2}"#, Ok(Some("1.50e+2")));
    check_field(
        "n",
        r#" {"x":[{"n":1}],"n" : 123456789012345678901234567890 } "#,
        Ok(Some("123456789012345678901234567890")),
    );
    check_field("a.b.c", r#"{"a":{"b":{"c":"x\"y"}}}"#, Ok(Some(r#""x\"y""#)));
    check_field("a.b", r#"{"a":{"b":{"c":1, "sibling":2}}}"#, Ok(Some(r#"{"c":1, "sibling":2}"#)));
    check_field("a[1].x", r#"{"a":[{"x":1},{"x":2},{"x":3}]}"#, Ok(Some("2")));
    check_field("a[3].x", r#"{"a":[{"x":1}]}"#, Ok(None));
    check_field("[1]", "[1,2]", Ok(Some("2")));
    check_field("\"gen_ai.usage\"", r#"{"gen_ai":{"usage":1},"gen_ai.usage":2}"#, Ok(Some("2")));
    check_field("n", r#"{"\u006e":1}"#, Ok(Some("1")));
}

#[test]
fn of_a_duplicate_key_the_last_counts() {
    check_field("n", r#"{"n":1,"n":2}"#, Ok(Some("2")));
    check_field("n", r#"{"n":1,"n":null}"#, Ok(Some("null")));
    check_field("a.b.c", r#"{"a":{"b":{"c":1}},"a":{"b":5}}"#, Ok(None));
    check_field("a.b.c", r#"{"a":{"b":{"c":1}},"a":{}}"#, Ok(None));
    check_field("a.b.c", r#"{"a":{"b":{"c":1}},"a":7}"#, Ok(None));
}

#[test]
fn a_wanted_key_that_stands_twice_is_noted() {
    let mut trie = Trie::default();
    for path in ["n", "a.b", "c[1].d", "e"] {
        trie.add(&parse_path(path).unwrap().steps);
    }
    trie.add(&parse_path("e.f").unwrap().steps);
    let mut slots = Slots::default();
    for (text, wanted) in [
        (r#"{"n":1,"n":1}"#, true),
        (r#"{"n":null,"n":1}"#, true),
        (r#"{"n":1,"\u006e":1}"#, true),
        (r#"{"n":1,"n":1,"x":"\ud800"}"#, true),
        (r#"{"a":{"b":1},"a":{"b":2}}"#, true),
        (r#"{"a":{},"a":{"b":2}}"#, true),
        (r#"{"a":{"b":1,"b":1}}"#, true),
        (r#"{"c":[0,{"d":1,"d":2}]}"#, true),
        (r#"{"e":{"f":1,"f":2}}"#, true),
        (r#"{"n":1,"a":{"b":1},"x":1,"x":2}"#, false),
        (r#"{"a":{"n":1},"n":1}"#, false),
        (r#"{"c":[{"d":1},{"d":2}]}"#, false),
        (r#"{"c":[{"d":1,"d":1},{"d":2}]}"#, false),
        (r#"{"a":"\ud800","n":1}"#, false),
    ] {
        trie.read(text, &mut slots).unwrap();
        assert_eq!(slots.has_duplicate_key(), wanted, "{text}");
    }
}

#[test]
fn valid_json_that_serde_json_would_rather_refuse_is_taken() {
    check_field("n", r#"{"n":1,"s":"\ud800"}"#, Ok(Some("1")));
    check_field("n", r#"{"n":1,"\ud800":1}"#, Ok(Some("1")));
    check_field("n", r#"{"n":1,"a":"\ud800"}"#, Ok(Some("1")));
    check_field("n", r#"{"n":1,"a":1e999}"#, Ok(Some("1")));
    check_field("n", r#"{"n":1e999}"#, Ok(Some("1e999")));
    let deep = format!(r#"{{"x":{}{},"n":1}}"#, "[".repeat(500), "]".repeat(500));
    check_field("n", &deep, Ok(Some("1")));
    check_field("n", "5", Ok(None));
    check_field("n", "\"n\"", Ok(None));
}

#[test]
fn what_is_not_json_is_refused_wherever_the_fault_is() {
    for text in [
        "",
        " ",
        "{",
        r#"{"n":1"#,
        r#"{"n":1}x"#,
        r#"{"n":1}{"n":1}"#,
        r#"{"n":1,}"#,
        r#"{"n":01}"#,
        r#"{"x":tru,"n":1}"#,
        r#"{"x":"\x","n":1}"#,
        r#"{"x":[1,],"n":1}"#,
        "{\"x\":\"\t\",\"n\":1}",
        r#"{"n":-}"#,
        r#"{"n":1,"x":0.010, 0.020}"#,
        r#"{"n":1,"a":}"#,
        "{n:1}",
        "hello",
        r#"{"n":NaN}"#,
    ] {
        check_field("n", text, Err(()));
    }
}

/// Leaves, inner nodes that are wanted as well, elements of arrays, and a key that no text has twice.
const PATHS: [&str; 8] = ["n", "a.b", "a.c.d", "e", "e.f", "l[0]", "l[2].n", "\"é\""];

fn trie() -> Trie {
    let mut trie = Trie::default();
    for path in PATHS {
        trie.add(&parse_path(path).unwrap().steps);
    }
    trie
}

/// What was found: each field's source text and value, and whether a wanted key stood twice.
fn found<'a>(trie: &Trie, text: &'a str, slots: &Slots) -> (Vec<Option<(&'a str, String)>>, bool) {
    let field = |slot| slots.get(text, slot).map(|field| (field.raw, format!("{:?}", field.decode(false))));
    let slots_of = 0..u16::try_from(trie.slots()).unwrap();
    (slots_of.map(field).collect(), slots.has_duplicate_key())
}

/// What the scanner does not take it leaves; what it takes is as serde_json has it. True if it took `text`.
#[track_caller]
fn check(trie: &Trie, text: &str, warm: &mut Slots) -> bool {
    warm.clear(trie.slots());
    let taken = scanner::read(trie, text, 0, warm).is_some();
    let mut slots = Slots::default();
    slots.clear(trie.slots());
    if taken {
        let read = thorough::read(&trie.root, text, 0, &mut slots);
        assert!(read.is_ok(), "the scanner took what is not JSON: {text:?}, {read:?}");
        assert_eq!(found(trie, text, warm), found(trie, text, &slots), "{text}");
    }
    taken
}

#[test]
fn ordinary_lines_are_the_scanners() {
    let (trie, mut slots) = (trie(), Slots::default());
    for text in [
        r#"{"n":1,"a":{"b":"x","c":{"d":[1,{"y":"]"}]}},"e":{"f":null},"l":[1,2,{"n":3}],"é":"é"}"#,
        r#"{"n": -1.5e+3, "a": {"b": "x", "c": {"d": true}}, "e": 5, "l": [], "é": "\u00e9\n"}"#,
        "{\t\"n\" :\r 0 , \"a\" : { } , \"x\" : [ ] , \"y\":[[{}],[ 1 , 2 ]] }\n",
        r#"{"a key that is longer than a guess":"\\","n":"a text of more than eight bytes\"","":0}"#,
        "{}",
        "5",
        "\"text\"",
        " null ",
        "[{\"n\":1}]",
    ] {
        for _ in 0..3 {
            assert!(check(&trie, text, &mut slots), "{text}");
        }
    }
}

#[test]
fn what_the_scanner_cannot_do_it_leaves() {
    let (trie, mut slots) = (trie(), Slots::default());
    let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(65), "]".repeat(65));
    for text in
        [deep.as_str(), r#"{"\u006e":1}"#, "", "{", "{\"n\":01}", "{\"n\":1,}", "{,}", "{\"n\":1}}", "nul"]
    {
        assert!(!check(&trie, text, &mut slots), "{text}");
    }
}

#[test]
fn a_guess_is_tried_at_every_place_of_a_line() {
    let (trie, mut slots) = (trie(), Slots::default());
    // Keys that come and go, change their places, stand twice, and end a line so early that no word can be taken.
    for text in [
        r#"{"n":1,"e":2}"#,
        r#"{"n":1,"e":2}"#,
        r#"{"n":1,"x":0,"e":2}"#,
        r#"{"e":1,"n":2}"#,
        r#"{"n":1,"n":2,"n":3}"#,
        r#"{"n":1,"e":2}"#,
        r#"{"n":1}"#,
        r#"{"n": 1}"#,
        r#"{"n":1 ,"e":2}"#,
        r#"{"a":{"n":1},"n":{"n":2}}"#,
    ] {
        for _ in 0..2 {
            assert!(check(&trie, text, &mut slots), "{text}");
        }
    }
    let many: Vec<_> = (0..200).map(|at| format!("\"k{at}\":{at}")).collect();
    let many = format!("{{{},\"n\":7}}", many.join(","));
    for _ in 0..4 {
        assert!(check(&trie, &many, &mut slots));
    }
}

fn any_value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|it| it.to_string()),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,3})?",
        "[ -~é]{0,20}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just(r#""\ud800 \/\u00e9""#.to_owned()),
    ];
    let key = prop_oneof![
        8 => prop::sample::select(vec!["n", "a", "b", "c", "d", "e", "f", "l", "é", "x"]).prop_map(str::to_owned),
        1 => Just("a key of more than twenty-four bytes".to_owned()),
        1 => Just(r"\u006e".to_owned()),
        1 => "[a-z ]{0,12}",
    ];
    let space = || prop::sample::select(vec!["", "", "", " ", "\t ", "\r\n"]);
    leaf.prop_recursive(5, 48, 6, move |inner| {
        let member = (key.clone(), space(), inner.clone(), space());
        let member = member
            .prop_map(|(key, before, value, after)| format!("{before}\"{key}\":{before}{value}{after}"));
        prop_oneof![
            3 => prop::collection::vec(member, 0..7).prop_map(|members| format!("{{{}}}", members.join(","))),
            1 => prop::collection::vec(inner, 0..5).prop_map(|all| format!("[{}]", all.join(","))),
        ]
    })
}

/// JSON, and what is nearly that: a sign of it lost, changed or added.
fn any_text() -> impl Strategy<Value = String> {
    let sign =
        prop::sample::select("{}[]\",:\\ \t\u{1}\u{1f}0189.eE+-tfnué\u{7f}".chars().collect::<Vec<_>>());
    let change = prop::option::weighted(0.6, (any::<prop::sample::Index>(), 0..3, sign));
    (any_value(), change).prop_map(|(text, change)| {
        let Some((at, kind, sign)) = change else { return text };
        let mut signs: Vec<char> = text.chars().collect();
        let at = at.index(signs.len());
        match kind {
            0 => _ = signs.remove(at),
            1 => signs[at] = sign,
            _ => signs.insert(at, sign),
        }
        signs.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// One scratch for all lines of a case, so that each is read with guesses from others.
    #[test]
    fn the_scanner_finds_what_serde_json_finds(texts in prop::collection::vec(any_text(), 1..5)) {
        let (trie, mut warm) = (trie(), Slots::default());
        for text in texts.iter().chain(&texts).chain(texts.iter().rev()) {
            let alone = check(&trie, text, &mut Slots::default());
            prop_assert_eq!(check(&trie, text, &mut warm), alone, "a guess changes what is taken: {}", text);
        }
    }
}
