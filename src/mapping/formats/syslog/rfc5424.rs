//! `<134>1 2026-11-20T10:15:32.123Z host app 42 ID [usage@32473 units="3"] message` (RFC 5424).
//!
//! Lengths are not held against anybody, and neither is text that is not ASCII: rsyslog lets both pass.

use super::{is_timestamp, priority};
use crate::mapping::formats::scan::Scan;
use crate::mapping::formats::{Names, NotParsed};
use crate::mapping::slots::{Slots, Written};

/// May stand before a message, to say that it is UTF-8.
const BYTE_ORDER_MARK: &str = "\u{feff}";

pub(in crate::mapping::formats) fn read(
    text: &str,
    from: usize,
    names: &Names,
    slots: &mut Slots,
) -> Result<(), NotParsed> {
    let mut line = Scan::new(text, from);
    priority(text, &mut line, names, slots)?;
    let version = line.digits();
    if version.is_empty() {
        return Err(line.expected("a version"));
    }
    names.put(slots, "version", version, Written::Number);
    line.expect(" ", "a space")?;
    let expected = line.expected("a timestamp of RFC 3339, or -,");
    let timestamp = line.word_and_space("a timestamp")?;
    let said = &text[timestamp.clone()];
    if said != "-" && !is_timestamp(said) {
        return Err(expected);
    }
    names.put(slots, "timestamp", timestamp, Written::Plain);
    for (name, what) in [
        ("hostname", "a hostname"),
        ("app_name", "an app name"),
        ("proc_id", "a process id"),
        ("msg_id", "a message id"),
    ] {
        let word = line.word_and_space(what)?;
        names.put(slots, name, word, Written::Plain);
    }
    structured_data(text, &mut line, names, slots)?;
    if line.is_at_end() {
        return Ok(());
    }
    line.expect(" ", "a space")?;
    line.take(BYTE_ORDER_MARK);
    names.put(slots, "message", line.at()..text.len(), Written::Plain);
    Ok(())
}

/// `-`, or elements without a space between them: `[id name="value" …][…]`.
fn structured_data(
    text: &str,
    line: &mut Scan<'_>,
    names: &Names,
    slots: &mut Slots,
) -> Result<(), NotParsed> {
    if line.take("-") {
        return Ok(());
    }
    line.expect("[", "structured data, or -,")?;
    loop {
        let id = line.until(|byte| matches!(byte, b' ' | b']' | b'=' | b'"'));
        if id.is_empty() {
            return Err(line.expected("the id of an element"));
        }
        while line.take(" ") {
            let name = line.until(|byte| matches!(byte, b' ' | b']' | b'=' | b'"'));
            if name.is_empty() {
                return Err(line.expected("the name of a parameter"));
            }
            line.expect("=\"", "a value in quotes")?;
            let value = line.until_quote()?;
            let is_plain = !text[value.clone()].contains('\\');
            let written = if is_plain { Written::Plain } else { Written::StructuredData };
            names.put_nested(slots, ["sd", &text[id.clone()], &text[name]], value, written);
        }
        line.expect("]", "a space or the end of an element")?;
        if !line.take("[") {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::settings::Format::SyslogRfc5424;
    use crate::mapping::formats::tests::{check, refused};

    const HEAD: &str = "<134>1 2026-11-20T10:15:32.123Z api-0 billing 42 USAGE";

    #[test]
    fn a_whole_line_has_these_fields() {
        check(
            &SyslogRfc5424,
            &format!(r#"{HEAD} [usage@32473 customer="acme" units="3"][meta@32473 region="eu"] some text "#),
            &[
                ("pri", "134"),
                ("facility", "16"),
                ("severity", "6"),
                ("version", "1"),
                ("timestamp", "\"2026-11-20T10:15:32.123Z\""),
                ("hostname", "\"api-0\""),
                ("app_name", "\"billing\""),
                ("proc_id", "\"42\""),
                ("msg_id", "\"USAGE\""),
                ("sd.\"usage@32473\".customer", "\"acme\""),
                ("sd.\"usage@32473\".\"units\"", "\"3\""),
                ("sd.\"meta@32473\".region", "\"eu\""),
                ("sd.\"meta@32473\".units", "missing"),
                ("message", "\"some text \""),
            ],
        );
    }

    #[test]
    fn a_nil_value_is_missing() {
        check(
            &SyslogRfc5424,
            "<0>1 - - - - - -",
            &[
                ("pri", "0"),
                ("facility", "0"),
                ("severity", "0"),
                ("timestamp", "missing"),
                ("hostname", "missing"),
                ("app_name", "missing"),
                ("proc_id", "missing"),
                ("msg_id", "missing"),
                ("message", "missing"),
            ],
        );
    }

    #[test]
    fn values_and_messages_are_read_as_the_rfc_says() {
        for (rest, path, wanted) in [
            (r#"[a b="x\"y\]z\\w\n é"]"#, "sd.a.b", r#""x\"y]z\\w\\n é""#),
            (r#"[a b=""]"#, "sd.a.b", "\"\""),
            (r#"[a b="-"]"#, "sd.a.b", "missing"),
            (r#"[a b="]["]"#, "sd.a.b", "\"][\""),
            (r#"[a b="1" b="2"]"#, "sd.a.b", "\"2\""),
            (r#"[a.b c="1"]"#, "sd.\"a.b\".c", "\"1\""),
            ("[a][b c=\"1\"]", "sd.b.c", "\"1\""),
            ("[a]", "message", "missing"),
            ("[a] ", "message", "\"\""),
            ("-  two", "message", "\" two\""),
            ("- \u{feff}marked", "message", "\"marked\""),
            ("- -", "message", "missing"),
            ("[a] [b c=\"1\"]", "message", "\"[b c=\\\"1\\\"]\""),
        ] {
            check(&SyslogRfc5424, &format!("{HEAD} {rest}"), &[(path, wanted)]);
        }
    }

    #[test]
    fn what_is_not_of_this_format_is_refused() {
        for (line, wanted) in [
            ("", "a priority such as <134> is expected at column 1"),
            ("134 1", "a priority such as <134> is expected at column 1"),
            ("<192>1 - - - - - -", "a priority such as <134> is expected at column 1"),
            ("<013>1 - - - - - -", "a priority such as <134> is expected at column 1"),
            ("<>1 - - - - - -", "a priority such as <134> is expected at column 1"),
            ("<1 - - - - - -", "a priority such as <134> is expected at column 1"),
            ("<13>Nov 20 10:15:32 host app: text", "a version is expected at column 5"),
            ("<13>1 Nov 20 10:15:32", "a timestamp of RFC 3339, or -, is expected at column 7"),
            ("<13>1 2026-11-20T10:15:32 - - - - -", "a timestamp of RFC 3339, or -, is expected at column 7"),
            ("<13>1  - - - - -", "a timestamp is expected at column 7"),
            ("<13>1 - -", "a space is expected at column 10"),
            ("<13>1 - - - - ", "a message id is expected at column 15"),
            ("<13>1 - - - - - ", "structured data, or -, is expected at column 17"),
            ("<13>1 - - - - - text", "structured data, or -, is expected at column 17"),
            ("<13>1 - - - - - -text", "a space is expected at column 18"),
            ("<13>1 - - - - - []", "the id of an element is expected at column 18"),
            ("<13>1 - - - - - [a", "a space or the end of an element is expected at column 19"),
            ("<13>1 - - - - - [a ]", "the name of a parameter is expected at column 20"),
            ("<13>1 - - - - - [a b]", "a value in quotes is expected at column 21"),
            ("<13>1 - - - - - [a b=c]", "a value in quotes is expected at column 21"),
            ("<13>1 - - - - - [a b=\"c]", "the quote at column 22 is not closed"),
            ("<13>1 - - - - - [a b=\"c\\\"]", "the quote at column 22 is not closed"),
        ] {
            refused(&SyslogRfc5424, line, wanted);
        }
    }
}
