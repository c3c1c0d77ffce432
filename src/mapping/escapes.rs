//! What escapes stand for: JSON's, those of access logs and of logfmt, doubled quotes, syslog's.
//!
//! One function reads all backslash escapes, because their writers agree on what each sign means and differ only in
//! which they use. `\xHH` and `\U` are read only where a writer needs them; so no letter, digit or `_ - .` is hidden
//! by anything but `\u00HH`, which the literal test knows.

use std::borrow::Cow;

use super::found::Text;

/// Reads backslash escapes:
///
/// | escape | stands for |
/// |---|---|
/// | `\"` `\\` `\/` `\'` | the second sign |
/// | `\a` `\b` `\f` `\n` `\r` `\t` `\v` | the control character that C means by it |
/// | `\xHH` | that byte, if it is a control byte, `"`, `\` or beyond ASCII. What is no UTF-8 becomes U+FFFD |
/// | `\uHHHH` | that character; two halves of a surrogate pair are one, half of one becomes U+FFFD |
/// | `\UHHHHHHHH` | that character, if it is beyond U+FFFF |
/// | anything else | itself, with its backslash |
///
/// JSON has the first of these and `\u`; nginx writes `\xHH` alone; Apache both of them, and Go's `%q` all.
/// `replaced` says whether `raw` holds a replaced byte.
pub(super) fn backslashes(raw: &str, replaced: bool) -> Text<'_> {
    let Some(first) = memchr::memchr(b'\\', raw.as_bytes()) else {
        return Text { text: Cow::Borrowed(raw), replaced };
    };
    let mut text = String::with_capacity(raw.len());
    let mut replaced = replaced;
    text.push_str(&raw[..first]);
    let mut rest = &raw[first..];
    while let Some(escape) = rest.strip_prefix('\\') {
        let length = match escape.as_bytes().first() {
            Some(b'x') => push_bytes(&mut text, rest, &mut replaced),
            Some(b'u') => unicode(escape.as_bytes()).map(|(character, length)| {
                replaced |= character.is_none();
                text.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
                length
            }),
            Some(b'U') => long_unicode(escape.as_bytes()).map(|character| {
                text.push(character);
                9
            }),
            sign => sign.and_then(|sign| of_one_sign(*sign)).map(|character| {
                text.push(character);
                1
            }),
        };
        if length.is_none() {
            text.push('\\');
        }
        rest = &escape[length.unwrap_or(0)..];
        let plain = memchr::memchr(b'\\', rest.as_bytes()).unwrap_or(rest.len());
        text.push_str(&rest[..plain]);
        rest = &rest[plain..];
    }
    Text { text: Cow::Owned(text), replaced }
}

/// Reads `""` as `"`, as CSV has it.
pub(super) fn doubled_quotes(raw: &str, replaced: bool) -> Text<'_> {
    Text { text: Cow::Owned(raw.replace("\"\"", "\"")), replaced }
}

/// Reads `\"`, `\\` and `\]` as the second sign. Any other backslash is one (RFC 5424, section 6.3.3).
pub(super) fn structured_data(raw: &str, replaced: bool) -> Text<'_> {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        text.push_str(&rest[..at]);
        let escaped = rest[at + 1..].starts_with(['"', '\\', ']']);
        // What an escape stands for goes out as it is, also where it is a backslash.
        let end = if escaped { at + 2 } else { at + 1 };
        text.push_str(&rest[end - 1..end]);
        rest = &rest[end..];
    }
    text.push_str(rest);
    Text { text: Cow::Owned(text), replaced }
}

fn of_one_sign(sign: u8) -> Option<char> {
    Some(match sign {
        b'"' | b'\\' | b'/' | b'\'' => char::from(sign),
        b'a' => '\u{7}',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'v' => '\u{b}',
        _ => return None,
    })
}

/// Reads `\xHH\xHH…` at the start of `rest`: a character may take several of them. Says how much was read after the
/// first backslash; `None` if the first stands for itself.
fn push_bytes(text: &mut String, rest: &str, replaced: &mut bool) -> Option<usize> {
    let mut bytes = Vec::new();
    let mut escapes = rest.as_bytes();
    while let [b'\\', b'x', high, low, after @ ..] = escapes {
        let Some(byte) = hex(&[*high, *low]).and_then(|value| u8::try_from(value).ok()) else { break };
        if !matches!(byte, 0..0x20 | b'"' | b'\\' | 0x7f..) {
            break;
        }
        bytes.push(byte);
        escapes = after;
    }
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            *replaced = true;
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    (rest.len() - escapes.len()).checked_sub(1)
}

/// `u0041…` → the character and how much was read; no character for half of a surrogate pair, and `None` for what is
/// no escape.
fn unicode(escape: &[u8]) -> Option<(Option<char>, usize)> {
    let first = hex(escape.get(1..5)?)?;
    if (0xd800..0xdc00).contains(&first)
        && escape.get(5..7) == Some(b"\\u")
        && let Some(second) = escape.get(7..11).and_then(hex)
        && (0xdc00..0xe000).contains(&second)
    {
        return Some((char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)), 11));
    }
    Some((char::from_u32(first), 5))
}

/// `U0001f600…` → the character, if it is one that `\u` cannot say.
fn long_unicode(escape: &[u8]) -> Option<char> {
    char::from_u32(hex(escape.get(1..9)?)?).filter(|character| *character > '\u{ffff}')
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, digit| Some(value << 4 | char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(decode: fn(&str, bool) -> Text<'_>, raw: &str, wanted: &str, replaced: bool) {
        assert_eq!(decode(raw, false), Text { text: wanted.into(), replaced }, "{raw}");
    }

    #[test]
    fn each_escape_stands_for_what_its_writers_mean() {
        for (raw, wanted) in [
            ("plain é", "plain é"),
            (r#"\"\\\/\'"#, r#""\/'"#),
            (r"\a\b\f\n\r\t\v", "\u{7}\u{8}\u{c}\n\r\t\u{b}"),
            (r"\x22a\x5Cn\x5c", r#""a\n\"#),
            (r"H\xC3\xA4\xc3\x9F", "Häß"),
            (r"\xF0\x9F\x98\x80x", "😀x"),
            (r"\u0041\u00e9\ud83d\ude00", "Aé😀"),
            (r"\U0001F600", "😀"),
        ] {
            check(backslashes, raw, wanted, false);
        }
    }

    #[test]
    fn what_is_no_escape_stays_as_it_stands() {
        for raw in [
            r"C:\dir",
            r"\",
            r"a\",
            r"\é",
            r"\x",
            r"\x4",
            r"\x41",
            r"\xGG",
            r"\x+1",
            r"\xé",
            r"\u00",
            r"\u+041",
            r"\u00é0",
            r"\U0000004",
            r"\U00000041",
            r"\U00110000",
            r"\0",
        ] {
            check(backslashes, raw, raw, false);
        }
    }

    #[test]
    fn what_is_not_utf8_is_replaced() {
        for (raw, wanted) in [
            (r"a\xFC", "a\u{fffd}"),
            (r"\xF0\x9F-\x98", "\u{fffd}-\u{fffd}"),
            (r"\ud800", "\u{fffd}"),
            (r"\udc00x", "\u{fffd}x"),
            (r"\ud800\ud83d\ude00", "\u{fffd}😀"),
        ] {
            check(backslashes, raw, wanted, true);
        }
    }

    #[test]
    fn quotes_are_doubled_in_csv() {
        check(doubled_quotes, r#"a "" b """" "#, r#"a " b "" "#, false);
    }

    #[test]
    fn structured_data_has_three_escapes() {
        check(structured_data, r#"a\"b\]c\\d"#, r#"a"b]c\d"#, false);
        check(structured_data, r"\n C:\dir \\\\ é\", r"\n C:\dir \\ é\", false);
    }
}
