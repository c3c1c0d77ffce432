//! The scanner of JSON lines beside serde_json: the same values are found, whatever the lines before let it guess.

#![no_main]

use std::sync::LazyLock;

use floe_fuzz::Target;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// What the rule asks for, and where serde_json finds it.
const FIELDS: [(&str, &str); 4] = [("a", "/a"), ("b.c", "/b/c"), ("b.d[0]", "/b/d/0"), (r#""é""#, "/é")];

static TARGET: LazyLock<Target> =
    LazyLock::new(|| Target::new(r#"format = "json""#, &FIELDS.map(|(path, _)| path), "{a | epoch_ms}"));

fuzz_target!(|bytes: &[u8]| {
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    // Each line alone, and among all others twice, so that it is read with guesses from them.
    let file: Vec<u8> = lines.iter().chain(&lines).flat_map(|line| [line, &b"\n"[..]].concat()).collect();
    let events = TARGET.events(&file);
    for (at, line) in (0..).zip(&lines) {
        let event = events.get(&(at + lines.len() as u64));
        // A byte order mark belongs to no line, but only where a file begins.
        if !line.starts_with(b"\xef\xbb\xbf") {
            assert_eq!(event, events.get(&at), "a guess changes what is found");
            assert_eq!(
                event,
                TARGET.events(&[line, &b"\n"[..]].concat()).get(&0),
                "a guess changes what is found"
            );
        }
        // A lone surrogate or 1e999 is JSON, of which serde_json makes no value.
        let text = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
        let (Some(event), Ok(value)) = (event, serde_json::from_str::<Value>(&text)) else { continue };
        for (field, (_, pointer)) in FIELDS.iter().enumerate() {
            let found = event.pointer(&format!("/metadata/f{field}"));
            match value.pointer(pointer) {
                Some(Value::String(wanted)) if wanted.is_empty() => assert_eq!(found, None),
                Some(Value::Null) | None => assert_eq!(found, None),
                wanted => assert_eq!(found, wanted),
            }
        }
    }
});
