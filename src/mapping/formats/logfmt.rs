//! `logfmt`: `key=value key="two \"words\"" bare`.
//!
//! There is no standard; go-logfmt comes nearest to one, and this reads what it reads. It goes beyond it where
//! writers do: a value without quotes may hold `=` and `"`, and a backslash that begins no escape is one.

use super::scan::Scan;
use super::{Names, NotParsed};
use crate::mapping::slots::{Slots, Written};

pub(super) fn read(text: &str, from: usize, names: &Names, slots: &mut Slots) -> Result<(), NotParsed> {
    let mut line = Scan::new(text, from);
    let mut has_pair = false;
    loop {
        line.until(|byte| !is_space(byte));
        if line.is_at_end() {
            break;
        }
        let key = line.until(|byte| is_space(byte) || matches!(byte, b'=' | b'"'));
        if key.is_empty() || line.rest().starts_with('"') {
            return Err(line.expected("a key"));
        }
        let key = &text[key];
        if !line.take("=") {
            names.put(slots, key, line.at()..line.at(), Written::Plain);
            continue;
        }
        has_pair = true;
        if !line.take("\"") {
            let value = line.until(is_space);
            names.put(slots, key, value, Written::Plain);
            continue;
        }
        let value = line.until_quote()?;
        if !line.is_at_end() && !line.rest().as_bytes().first().copied().is_some_and(is_space) {
            return Err(line.expected("a space"));
        }
        let written = if text[value.clone()].contains('\\') { Written::Escaped } else { Written::Plain };
        names.put(slots, key, value, written);
    }
    if has_pair { Ok(()) } else { Err(NotParsed("no key=value stands in the line".to_owned())) }
}

fn is_space(byte: u8) -> bool {
    byte <= b' '
}

#[cfg(test)]
mod tests {
    use crate::config::settings::Format::Logfmt;
    use crate::mapping::formats::tests::{check, refused};

    #[test]
    fn keys_have_the_values_that_go_logfmt_gives_them() {
        for (line, wanted) in [
            ("a=1", "\"1\""),
            ("  x=y\ta=one z=2 ", "\"one\""),
            ("a=\"two words\"", "\"two words\""),
            (r#"a="say \"hi\" \\ \n\t\u00e9\U0001F600\x1b" b=1"#, r#""say \"hi\" \\ \n\té😀\u{1b}""#),
            (r#"a="C:\dir" b=1"#, r#""C:\\dir""#),
            ("a=", "\"\""),
            ("a= b=1", "\"\""),
            ("a=\"\" b=1", "\"\""),
            ("b=1 a", "\"\""),
            ("a b=1", "\"\""),
            ("a=1 a=2", "\"2\""),
            ("a=1 a b=2", "\"\""),
            ("a=- b=1", "missing"),
            ("a=\"-\" b=1", "missing"),
            ("b=1 ab=2", "missing"),
            ("a=/x?y=z b=1", "\"/x?y=z\""),
            ("a=b\"c b=1", "\"b\\\"c\""),
            ("a=é€ b=1", "\"é€\""),
            ("é=1 a=2", "\"2\""),
            ("a=[1,2] b=1", "\"[1,2]\""),
            ("a=1\nb=2", "\"1\""),
        ] {
            check(&Logfmt, line, &[("a", wanted)]);
        }
    }

    #[test]
    fn a_key_may_have_dots() {
        check(&Logfmt, "a.b=1 c[0]=2", &[("a.b", "\"1\""), ("\"a.b\"", "\"1\""), ("\"c[0]\"", "\"2\"")]);
    }

    #[test]
    fn what_has_no_key_or_an_open_quote_is_refused() {
        refused(&Logfmt, "", "no key=value stands in the line");
        refused(&Logfmt, "Starting process", "no key=value stands in the line");
        refused(&Logfmt, "=1", "a key is expected at column 1");
        refused(&Logfmt, "a=1 \"b\"=2", "a key is expected at column 5");
        refused(&Logfmt, "a=1 b\"c\"=2", "a key is expected at column 6");
        refused(&Logfmt, "a=\"x b=1", "the quote at column 3 is not closed");
        refused(&Logfmt, r#"a="x\"#, "the quote at column 3 is not closed");
        refused(&Logfmt, r#"a="x\" b=1"#, "the quote at column 3 is not closed");
        refused(&Logfmt, r#"a="he said "hi" there""#, "a space is expected at column 13");
    }
}
