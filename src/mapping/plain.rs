//! What goes into an event as it stands, and how texts and numbers are written there.
//!
//! Most values of most events are constants, or fields that stand in the event as they stand in the line. Such a value is
//! known by its shape, and needs no evaluation. What has another shape goes the long way, with the same result.

use rust_decimal::Decimal;

use super::scope::{Field, Scope};
use crate::config::language::{Expression, Literal, Part, Pipe, Start, Value};

/// Whole numbers of so many digits are taken as they stand.
pub(super) const MOST_PLAIN_DIGITS: usize = 18;

/// A value that is no more than this.
pub(super) enum Shape<'v> {
    Constant(&'v str),
    Field(&'v Field, &'v [Pipe<Field>]),
    Other,
}

pub(super) fn shape_of(value: &Value<Field>) -> Shape<'_> {
    match value {
        Value::Literal(Literal::Text(text)) => Shape::Constant(text),
        Value::Literal(_) => Shape::Other,
        Value::Template(template) => match template.parts.as_slice() {
            [Part::Text(text)] => Shape::Constant(text),
            [Part::Placeholder(Expression { start: Start::Path(field), pipes })] => {
                Shape::Field(field, pipes)
            }
            _ => Shape::Other,
        },
    }
}

/// Writes `key` and a text that is not empty, has at most `most` bytes and needs no escape. False, and nothing written,
/// where that is not known.
pub(super) fn write_plain_text(
    out: &mut Vec<u8>,
    key: &str,
    value: &Value<Field>,
    scope: &Scope<'_>,
    most: usize,
) -> bool {
    match shape_of(value) {
        Shape::Constant(text) if !text.is_empty() && text.len() <= most && is_plain(text) => {
            for piece in [key, "\"", text, "\""] {
                out.extend_from_slice(piece.as_bytes());
            }
            true
        }
        Shape::Field(field, []) => match scope.json_text(field) {
            Some(quoted) if quoted.len() > 2 && quoted.len() - 2 <= most => {
                out.extend_from_slice(key.as_bytes());
                out.extend_from_slice(quoted.as_bytes());
                true
            }
            _ => false,
        },
        _ => false,
    }
}

/// As [`write_plain_text`], of a whole number that is not negative and has few digits.
pub(super) fn write_plain_number(
    out: &mut Vec<u8>,
    key: &str,
    value: &Value<Field>,
    scope: &Scope<'_>,
) -> bool {
    let Shape::Field(field, [] | [Pipe::Int]) = shape_of(value) else { return false };
    let Some(source) = scope.json_value(field) else { return false };
    let bytes = source.as_bytes();
    let is_plain = bytes.len() <= MOST_PLAIN_DIGITS && bytes.iter().all(u8::is_ascii_digit);
    if is_plain {
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(bytes);
    }
    is_plain
}

/// The text of a field of JSON that the line has without an escape.
pub(super) fn plain_text<'s>(value: &Value<Field>, scope: &Scope<'s>) -> Option<&'s str> {
    let Shape::Field(field, []) = shape_of(value) else { return None };
    let quoted = scope.json_text(field)?;
    Some(&quoted[1..quoted.len() - 1])
}

/// Whether no character needs an escape. It does not stop at the first that does: so the compiler takes many at once.
pub(super) fn is_plain(text: &str) -> bool {
    let special = |byte: u8| u8::from(byte < b' ') | u8::from(byte == b'"') | u8::from(byte == b'\\');
    text.bytes().fold(0, |any, byte| any | special(byte)) == 0
}

/// Writes a JSON string.
pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut written = 0;
    if !is_plain(text) {
        for (at, byte) in bytes.iter().enumerate() {
            let short = match byte {
                b'"' | b'\\' => *byte,
                b'\n' => b'n',
                b'\r' => b'r',
                b'\t' => b't',
                0..0x20 => b'u',
                _ => continue,
            };
            out.extend_from_slice(&bytes[written..at]);
            out.extend_from_slice(&[b'\\', short]);
            if short == b'u' {
                let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                out.extend_from_slice(&[b'0', b'0', digits[0], digits[1]]);
            }
            written = at + 1;
        }
    }
    out.extend_from_slice(&bytes[written..]);
    out.push(b'"');
}

/// Writes a number without needless zeros.
pub(super) fn write_number(out: &mut Vec<u8>, number: Decimal) {
    let Ok(value) = u64::try_from(number.mantissa().unsigned_abs()) else {
        return out.extend_from_slice(number.normalize().to_string().as_bytes());
    };
    if number.is_sign_negative() && value != 0 {
        out.push(b'-');
    }
    write_digits(out, value, number.scale() as usize);
}

/// Writes `value` × 10^-`scale` without needless zeros. `scale` is at most 28.
pub(super) fn write_digits(out: &mut Vec<u8>, mut value: u64, mut scale: usize) {
    while scale > 0 && value.is_multiple_of(10) {
        value /= 10;
        scale -= 1;
    }
    // At most 20 digits, or 28 decimals, a zero and a point before them.
    let mut text = [b'0'; 32];
    let mut at = text.len();
    let mut decimals = 0;
    while value > 0 || decimals <= scale {
        if decimals == scale && scale > 0 {
            at -= 1;
            text[at] = b'.';
        }
        at -= 1;
        text[at] = b'0' + (value % 10) as u8;
        value /= 10;
        decimals += 1;
    }
    out.extend_from_slice(&text[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(number: Decimal) {
        let mut out = Vec::new();
        write_number(&mut out, number);
        assert_eq!(String::from_utf8(out).unwrap(), number.normalize().to_string());
    }

    #[test]
    fn a_number_is_written_as_it_reads_without_needless_zeros() {
        for mantissa in [0, 1, 9, 10, 225, 1000, 59_503, 99_999_999, i64::MAX, -1, -10, -250, i64::MIN] {
            for scale in 0..=28 {
                check(Decimal::new(mantissa, scale));
            }
        }
        let mut negative = Decimal::new(0, 3);
        negative.set_sign_negative(true);
        for number in
            [negative, Decimal::MAX, Decimal::MIN, Decimal::from(u64::MAX), Decimal::from(1_u128 << 64)]
        {
            check(number);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_number_is_written_as_it_reads(mantissa in proptest::num::i64::ANY, scale in 0_u32..=28) {
            check(Decimal::new(mantissa, scale));
        }
    }
}
