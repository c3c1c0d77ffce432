//! A value on its way from a line to an event.
//!
//! Numbers keep their source text until something computes with them; computing is exact decimal.

use std::borrow::Cow;

use jiff::Timestamp;
use rust_decimal::Decimal;

use super::{escapes, instant};
use crate::config::language::Literal;

/// What a path or an expression yields.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found<'a> {
    /// Not there, or null.
    Missing,
    Text(Text<'a>),
    /// The source text of a JSON number.
    Number(Cow<'a, str>),
    /// A computed number.
    Decimal(Decimal),
    Bool(bool),
    Instant(Timestamp),
    /// An object or an array, as its source text.
    Composite(&'a str),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Text<'a> {
    pub text: Cow<'a, str>,
    /// Something that is not UTF-8 (bytes, or half of a surrogate pair) became U+FFFD in it.
    pub replaced: bool,
}

impl<'a> Text<'a> {
    pub fn new(text: impl Into<Cow<'a, str>>) -> Self {
        Self { text: text.into(), replaced: false }
    }
}

/// Why an expression has no value: a sentence's end for an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bad(pub String);

impl<'a> Found<'a> {
    /// Reads the source text of a JSON value. `replaced` says whether it holds a replaced byte.
    pub fn of_json(raw: &'a str, replaced: bool) -> Self {
        match raw.as_bytes().first() {
            Some(b'"') => Self::Text(escapes::backslashes(&raw[1..raw.len() - 1], replaced)),
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'n') | None => Self::Missing,
            Some(b'{' | b'[') => Self::Composite(raw),
            Some(_) => Self::Number(Cow::Borrowed(raw)),
        }
    }

    pub fn of_literal(literal: &'a Literal) -> Self {
        match literal {
            Literal::Text(text) => Self::Text(Text::new(text.as_str())),
            Literal::Number(number) => Self::Decimal(*number),
            Literal::Bool(value) => Self::Bool(*value),
        }
    }

    pub fn is_missing_or_empty(&self) -> bool {
        match self {
            Self::Missing => true,
            Self::Text(text) => text.text.is_empty(),
            _ => false,
        }
    }

    /// The value as text: a number as its source text, a time as RFC 3339.
    pub fn into_text(self) -> Result<Option<Text<'a>>, Bad> {
        Ok(Some(match self {
            Self::Missing => return Ok(None),
            Self::Text(text) => text,
            Self::Number(source) => Text::new(source),
            Self::Decimal(number) => Text::new(number.normalize().to_string()),
            Self::Bool(true) => Text::new("true"),
            Self::Bool(false) => Text::new("false"),
            Self::Instant(instant) => Text::new(instant::to_text(instant)),
            Self::Composite(_) => return Err(Bad(format!("is {}, not a text", self.kind()))),
        }))
    }

    /// The value as a number; a text that reads as one is one.
    pub fn to_number(&self) -> Result<Option<Decimal>, Bad> {
        let source = match self {
            Self::Missing => return Ok(None),
            Self::Decimal(number) => return Ok(Some(*number)),
            Self::Number(source) => source,
            Self::Text(text) => &text.text,
            Self::Bool(_) | Self::Instant(_) | Self::Composite(_) => {
                return Err(Bad(format!("is {}, not a number", self.kind())));
            }
        };
        match read_decimal(source) {
            Some(number) => Ok(Some(number)),
            None if is_number(source) => Err(Bad(format!("is {}, which is too large", shortened(source)))),
            None => Err(Bad(format!("is {:?}, not a number", shortened(source)))),
        }
    }

    /// With its article: `a text`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Text(_) => "a text",
            Self::Number(_) | Self::Decimal(_) => "a number",
            Self::Bool(_) => "true or false",
            Self::Instant(_) => "a time",
            Self::Composite(source) if source.starts_with('[') => "an array",
            Self::Composite(_) => "an object",
        }
    }

    /// For people: short, with quotes around text.
    pub fn show(&self) -> String {
        match self {
            Self::Missing => "missing".to_owned(),
            Self::Text(text) => format!("{:?}", shortened(&text.text)),
            Self::Composite(source) => shortened(source),
            other => match other.clone().into_text() {
                Ok(Some(text)) => shortened(&text.text),
                _ => other.kind().to_owned(),
            },
        }
    }
}

/// At most 60 characters.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Whether `text` is a decimal number with an optional sign, fraction and exponent.
pub(super) fn is_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa_is_right = match mantissa.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(mantissa),
    };
    mantissa_is_right && exponent.is_none_or(|text| digits(text.strip_prefix(['-', '+']).unwrap_or(text)))
}

/// Reads a decimal number exactly. What stands beyond the 28th decimal place, or beyond 28 digits in all, is
/// rounded half to even. `None` for what is no number or is too large.
pub(super) fn read_decimal(text: &str) -> Option<Decimal> {
    if let Some((value, scale)) = read_short(text) {
        return Some(Decimal::new(value, scale));
    }
    if !is_number(text) {
        return None;
    }
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        // An exponent beyond i64 moves any number that fits in memory to 0 or out of range.
        Some(at) => (&text[..at], read_exponent(&text[at + 1..])),
        None => (text, 0),
    };
    let whole_digits = mantissa.find('.').unwrap_or(mantissa.len());
    let mut digits = mantissa.bytes().filter(u8::is_ascii_digit);
    // `value` × 10^-scale, and whether something not zero follows below.
    let mut value: u128 = 0;
    let mut taken: i64 = 0;
    let mut below = false;
    for digit in digits.by_ref() {
        if value >= 10_u128.pow(36) {
            below |= digit != b'0';
            below |= digits.any(|digit| digit != b'0');
            break;
        }
        value = value * 10 + u128::from(digit - b'0');
        taken += 1;
    }
    if value == 0 {
        return Some(Decimal::ZERO);
    }
    let mut scale = (taken - i64::try_from(whole_digits).ok()?).checked_sub(exponent)?;
    while value.is_multiple_of(10) && !below && scale > 0 {
        value /= 10;
        scale -= 1;
    }
    while scale < 0 {
        value = value.checked_mul(10).filter(|value| *value < 1 << 96)?;
        scale += 1;
    }
    let fits = |value: u128, scale: i64| value < 1 << 96 && scale <= 28;
    if !fits(value, scale) {
        let mut last = 0;
        while !fits(value, scale) {
            if scale == 0 {
                return None;
            }
            below |= last != 0;
            last = value % 10;
            value /= 10;
            scale -= 1;
            if value == 0 && last == 0 {
                return Some(Decimal::ZERO);
            }
        }
        let up = last > 5 || (last == 5 && (below || value % 2 == 1));
        value += u128::from(up);
    }
    let scale = u32::try_from(scale).ok()?;
    let mut number = Decimal::try_from_i128_with_scale(i128::try_from(value).ok()?, scale).ok()?;
    number.set_sign_negative(negative && value != 0);
    Some(number.normalize())
}

/// The quick way for what nearly all logs hold: few digits and no exponent. Gives the digits without needless zeros, and
/// how many of them are decimals. `None` says nothing.
pub(super) fn read_short(text: &str) -> Option<(i64, u32)> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.len() > 18 {
        return None;
    }
    let mut value: i64 = 0;
    let mut point = None;
    for (at, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => value = value * 10 + i64::from(byte - b'0'),
            b'.' if point.is_none() => point = Some(at),
            _ => return None,
        }
    }
    let mut scale = match point {
        None => 0,
        // A digit has to stand on both sides of the point.
        Some(at) if at == 0 || at + 1 == digits.len() => return None,
        Some(at) => u32::try_from(digits.len() - at - 1).ok()?,
    };
    if digits.is_empty() {
        return None;
    }
    while scale > 0 && value % 10 == 0 {
        value /= 10;
        scale -= 1;
    }
    Some((if negative { -value } else { value }, scale))
}

fn read_exponent(text: &str) -> i64 {
    let negative = text.starts_with('-');
    let digits = text.trim_start_matches(['-', '+']).trim_start_matches('0');
    let size = if digits.len() > 12 { 1_000_000_000_000 } else { digits.parse().unwrap_or(0) };
    if negative { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_half_pairs_are_replaced() {
        let text = |raw: &str| match Found::of_json(raw, false) {
            Found::Text(text) => (text.text.into_owned(), text.replaced),
            other => panic!("{other:?}"),
        };
        assert_eq!(text(r#""a\"\\\/\b\f\n\r\tz""#), ("a\"\\/\u{8}\u{c}\n\r\tz".to_owned(), false));
        assert_eq!(text(r#""\u00e9\ud83d\ude00é""#), ("é😀é".to_owned(), false));
        assert_eq!(text(r#""\ud800""#), ("\u{fffd}".to_owned(), true));
        assert_eq!(text(r#""\udc00x""#), ("\u{fffd}x".to_owned(), true));
        assert_eq!(text(r#""\ud800\u0041""#), ("\u{fffd}A".to_owned(), true));
        assert_eq!(text(r#""\ud800\ud83d\ude00""#), ("\u{fffd}😀".to_owned(), true));
    }

    #[test]
    fn decimals_are_read_exactly_and_rounded_half_to_even() {
        #[track_caller]
        fn check(text: &str, wanted: &str) {
            assert_eq!(
                read_decimal(text).map(|number| number.to_string()).as_deref(),
                Some(wanted),
                "{text}"
            );
        }
        check("0.00022500000000000002", "0.00022500000000000002");
        check("-1.50", "-1.5");
        check("007", "7");
        check("1e3", "1000");
        check("1.5E-3", "0.0015");
        check("-0.0", "0");
        check("0e999999999999999999", "0");
        check("1e-999999999999999999", "0");
        check("79228162514264337593543950335", "79228162514264337593543950335");
        check("1.1102230246251565e-16", "0.0000000000000001110223024625");
        check("0.00000000000000000000000000005", "0");
        check("0.00000000000000000000000000015", "0.0000000000000000000000000002");
        check(
            "0.000000000000000000000000000050000000000000000000000000001",
            "0.0000000000000000000000000001",
        );
        check("1795169732.123456789012345678901234567890", "1795169732.1234567890123456789");
        check("1000000000000000000000000000000000000000000e-42", "1");
        for bad in
            ["", "-", ".5", "5.", "+5", "1e", "1e+", "0x1", " 1", "1 ", "1_0", "NaN", "1e29", "1e999", "--1"]
        {
            assert_eq!(read_decimal(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn decimals_agree_with_integer_arithmetic(mantissa in -1_000_000_000_000_000_i64..1_000_000_000_000_000, scale in 0_u32..12, exponent in -8_i32..8) {
            let plain = Decimal::new(mantissa, scale).to_string();
            let read = read_decimal(&format!("{plain}e{exponent}")).unwrap();
            let ten = Decimal::from(10);
            let mut wanted = Decimal::new(mantissa, scale);
            for _ in 0..exponent.unsigned_abs() {
                wanted = if exponent < 0 { wanted / ten } else { wanted * ten };
            }
            proptest::prop_assert_eq!(read, wanted);
        }

        #[test]
        fn whatever_is_read_is_the_nearest_decimal(text in "[0-9]{1,9}\\.[0-9]{1,40}") {
            let read = read_decimal(&text).unwrap();
            // Oracle: the digits as an integer of 10^-40 units, in two limbs of integer arithmetic.
            let (whole, fraction) = text.split_once('.').unwrap();
            let scale = read.scale() as usize;
            let padded = format!("{whole}{fraction:0<50}");
            let kept = format!("{read:.scale$}").replace('.', "");
            let kept = format!("{kept:0>60}");
            let (cut, dropped) = padded.split_at(whole.len() + scale);
            let cut = format!("{cut:0>60}");
            if dropped.bytes().all(|digit| digit == b'0') {
                proptest::prop_assert_eq!(kept, cut);
            } else {
                // At least 19 decimals are kept with nine digits before the point.
                proptest::prop_assert!(read.scale() <= 28);
                let number = |text: &str| text[25..].parse::<u128>().unwrap();
                let distance = number(&kept).abs_diff(number(&cut));
                proptest::prop_assert!(distance <= 1, "{} {}", kept, cut);
            }
        }
    }
}
