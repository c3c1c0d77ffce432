//! Templates and pipes: a value, *missing* or *bad*, never a panic.

use std::borrow::Cow;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use jiff::Unit;
use rust_decimal::{Decimal, RoundingStrategy};

use super::found::{Bad, Found, Text, is_number, read_decimal, shortened};
use super::instant::{self, NoTime};
use super::scope::{Field, Scope};
use super::slots::Slots;
use crate::config::language::{Argument, DurationUnit, Expression, Part, Pipe, Start, Template, Value};

pub(super) type Evaluated<'a> = Result<Found<'a>, Bad>;

pub(super) fn value<'a>(value: &'a Value<Field>, scope: &Scope<'a>) -> Evaluated<'a> {
    match value {
        Value::Literal(literal) => Ok(Found::of_literal(literal)),
        Value::Template(value) => template(value, scope),
    }
}

/// A placeholder that stands alone keeps its type; a text with a missing or empty one is missing as a whole.
pub(super) fn template<'a>(template: &'a Template<Field>, scope: &Scope<'a>) -> Evaluated<'a> {
    match template.parts.as_slice() {
        [Part::Placeholder(alone)] => return expression(alone, scope),
        [Part::Text(alone)] => return Ok(Found::Text(Text::new(alone.as_str()))),
        _ => {}
    }
    let mut joined = Text::new(String::new());
    for part in &template.parts {
        let piece = match part {
            Part::Text(text) => Text::new(text.as_str()),
            Part::Placeholder(placeholder) => match expression(placeholder, scope)?.into_text()? {
                Some(text) if !text.text.is_empty() => text,
                _ => return Ok(Found::Missing),
            },
        };
        joined.text.to_mut().push_str(&piece.text);
        joined.replaced |= piece.replaced;
    }
    Ok(Found::Text(joined))
}

fn expression<'a>(expression: &'a Expression<Field>, scope: &Scope<'a>) -> Evaluated<'a> {
    let start = match &expression.start {
        Start::Path(path) => scope.read(path)?,
        Start::Literal(literal) => Found::of_literal(literal),
        Start::Sum(paths) => sum(paths, scope)?,
    };
    let mut pipes = expression.pipes.as_slice();
    let mut found = start;
    // What is a duration already, by the type that a preset gives it, changes its unit at most.
    if let (Start::Path(field), Some((Pipe::Duration(wanted), rest))) =
        (&expression.start, pipes.split_first())
        && let Some(unit) = unit_of(field)
    {
        found = in_unit(found, unit, *wanted)?;
        pipes = rest;
    }
    pipes.iter().try_fold(found, |found, pipe| apply(pipe, found, scope))
}

/// The unit of a field that the preset makes a number of.
fn unit_of(field: &Field) -> Option<DurationUnit> {
    match field {
        Field::Typed(_, pipes) => match pipes.last()? {
            Pipe::Duration(unit) => Some(*unit),
            _ => None,
        },
        Field::Computed(template) => match template.parts.as_slice() {
            [Part::Placeholder(Expression { start: Start::Path(field), pipes })] => match pipes.last() {
                None => unit_of(field),
                Some(Pipe::Duration(unit)) => Some(*unit),
                Some(_) => None,
            },
            _ => None,
        },
        _ => None,
    }
}

fn in_unit(found: Found<'_>, unit: DurationUnit, wanted: DurationUnit) -> Evaluated<'_> {
    if unit == wanted {
        return Ok(found);
    }
    number(&found, |number| {
        let nanoseconds = number.checked_mul(nanoseconds_per(unit));
        nanoseconds.and_then(|it| it.checked_div(nanoseconds_per(wanted))).ok_or_else(too_large)
    })
}

/// Gives a field its type. A time that is written otherwise stays as it is, because a format's times may be written in
/// several ways; anything else that does not fit its type is bad.
pub(super) fn convert<'a>(found: Found<'a>, pipes: &'a [Pipe<Field>], scope: &Scope<'a>) -> Evaluated<'a> {
    pipes.iter().try_fold(found, |found, pipe| {
        let converted = apply(pipe, found.clone(), scope);
        match pipe {
            Pipe::Timestamp { .. } | Pipe::EpochS | Pipe::EpochMs | Pipe::EpochUs | Pipe::EpochNs => {
                Ok(converted.unwrap_or(found))
            }
            _ => converted,
        }
    })
}

fn sum<'a>(paths: &'a [Field], scope: &Scope<'a>) -> Evaluated<'a> {
    let mut total = None;
    for path in paths {
        if let Some(number) = scope.read(path)?.to_number()? {
            let so_far = total.unwrap_or(Decimal::ZERO);
            total = Some(so_far.checked_add(number).ok_or_else(too_large)?);
        }
    }
    Ok(total.map_or(Found::Missing, Found::Decimal))
}

fn too_large() -> Bad {
    Bad("gives a number that is too large".to_owned())
}

fn apply<'a>(pipe: &'a Pipe<Field>, found: Found<'a>, scope: &Scope<'a>) -> Evaluated<'a> {
    if let Pipe::Default(default) = pipe {
        return if found.is_missing_or_empty() { argument(default, scope) } else { Ok(found) };
    }
    if found == Found::Missing {
        return Ok(Found::Missing);
    }
    match pipe {
        Pipe::Default(_) => Ok(found),
        // What is a time already, by the type that a preset gives it, needs no reading.
        Pipe::Timestamp { .. } | Pipe::EpochS | Pipe::EpochMs | Pipe::EpochUs | Pipe::EpochNs
            if matches!(found, Found::Instant(_)) =>
        {
            Ok(found)
        }
        Pipe::Str => of_text(found, |text| Ok(Some(text))),
        Pipe::Int => int(found),
        Pipe::Decimal => number(&found, Ok),
        Pipe::Bool => bool(&found),
        Pipe::Lower => of_text(found, |text| Ok(Some(text.to_lowercase().into()))),
        Pipe::Upper => of_text(found, |text| Ok(Some(text.to_uppercase().into()))),
        Pipe::Trim => of_text(found, |text| Ok(Some(text.trim().to_owned().into()))),
        Pipe::Truncate(length) => of_text(found, |text| Ok(Some(truncate(text, *length)))),
        Pipe::Add(by) => arithmetic(&found, by, scope, |a, b| a.checked_add(b).ok_or_else(too_large)),
        Pipe::Sub(by) => arithmetic(&found, by, scope, |a, b| a.checked_sub(b).ok_or_else(too_large)),
        Pipe::Mul(by) => arithmetic(&found, by, scope, |a, b| a.checked_mul(b).ok_or_else(too_large)),
        Pipe::Div(by) => arithmetic(&found, by, scope, |a, b| {
            if b.is_zero() {
                return Err(Bad("is divided by 0".to_owned()));
            }
            a.checked_div(b).ok_or_else(too_large)
        }),
        Pipe::Round(places) => {
            number(&found, |n| Ok(n.round_dp_with_strategy(*places, RoundingStrategy::MidpointNearestEven)))
        }
        Pipe::Max0 => number(&found, |n| Ok(n.max(Decimal::ZERO))),
        Pipe::Timestamp { format, zone } => {
            let Some(text) = found.into_text()? else { return Ok(Found::Missing) };
            match instant::read_format(&text.text, format, zone.as_ref()) {
                Ok(instant) => Ok(Found::Instant(instant)),
                Err(NoTime::Format) => {
                    Err(Bad(format!("is {:?}, which is no time of format {format:?}", shortened(&text.text))))
                }
                Err(NoTime::Skipped) => {
                    let text = shortened(&text.text);
                    Err(Bad(format!("is {text:?}, which the clocks skipped when summer time began")))
                }
            }
        }
        Pipe::EpochS => epoch(&found, Unit::Second),
        Pipe::EpochMs => epoch(&found, Unit::Millisecond),
        Pipe::EpochUs => epoch(&found, Unit::Microsecond),
        Pipe::EpochNs => epoch(&found, Unit::Nanosecond),
        Pipe::Duration(unit) => duration(found, *unit),
        Pipe::Split { separator, index } => of_text(found, |text| {
            let piece = text.split(separator.as_str()).nth(*index as usize);
            Ok(piece.map(|piece| piece.to_owned().into()))
        }),
        Pipe::PathOnly => of_text(found, |text| Ok(Some(path_only(&text).to_owned().into()))),
        Pipe::ParseJson(path) => parse_json(found, path),
        Pipe::Lookup(lookup) => of_text(found, |key| Ok(lookup.find(&key).map(Cow::Borrowed))),
        Pipe::Hash(key) => of_text(found, |text| match text.is_empty() {
            true => Ok(None),
            false => Ok(key.hash(&text).map(Cow::Owned)),
        }),
        Pipe::MaskIp => of_text(found, |text| match mask_ip(&text) {
            Some(masked) => Ok(Some(masked.into())),
            None => Err(Bad(format!("is {:?}, not an IP address", shortened(&text)))),
        }),
        Pipe::Enum(allowed) => of_text(found, |text| {
            if allowed.iter().any(|one| *one == text) {
                return Ok(Some(text));
            }
            Err(Bad(format!("is {:?}, none of the texts that `enum` allows", shortened(&text))))
        }),
    }
}

fn argument<'a>(argument: &'a Argument<Field>, scope: &Scope<'a>) -> Evaluated<'a> {
    match argument {
        Argument::Literal(literal) => Ok(Found::of_literal(literal)),
        Argument::Path(path) => scope.read(path),
    }
}

fn of_text<'a>(
    found: Found<'a>,
    change: impl FnOnce(Cow<'a, str>) -> Result<Option<Cow<'a, str>>, Bad>,
) -> Evaluated<'a> {
    let Some(Text { text, replaced }) = found.into_text()? else { return Ok(Found::Missing) };
    Ok(match change(text)? {
        Some(text) => Found::Text(Text { text, replaced }),
        None => Found::Missing,
    })
}

/// An empty text is no number and no fault: like a missing one.
fn number<'a>(found: &Found<'_>, change: impl FnOnce(Decimal) -> Result<Decimal, Bad>) -> Evaluated<'a> {
    if found.is_missing_or_empty() {
        return Ok(Found::Missing);
    }
    let Some(number) = found.to_number()? else { return Ok(Found::Missing) };
    change(number).map(Found::Decimal)
}

fn arithmetic<'a>(
    found: &Found<'_>,
    by: &'a Argument<Field>,
    scope: &Scope<'a>,
    compute: impl FnOnce(Decimal, Decimal) -> Result<Decimal, Bad>,
) -> Evaluated<'a> {
    let by = argument(by, scope)?;
    if by.is_missing_or_empty() {
        return Ok(Found::Missing);
    }
    let Some(by) = by.to_number()? else { return Ok(Found::Missing) };
    number(found, |number| compute(number, by))
}

fn int(found: Found<'_>) -> Evaluated<'_> {
    // Whole numbers of any length keep their digits.
    if let Found::Number(source) = &found
        && source.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
    {
        return Ok(found);
    }
    number(&found, |number| {
        if number.is_integer() {
            return Ok(number);
        }
        Err(Bad(format!("is {number}, not a whole number")))
    })
}

fn bool<'a>(found: &Found<'_>) -> Evaluated<'a> {
    let says = match found {
        Found::Bool(says) => Some(*says),
        Found::Text(text) if text.text.is_empty() => return Ok(Found::Missing),
        Found::Text(text) if text.text.eq_ignore_ascii_case("true") || text.text == "1" => Some(true),
        Found::Text(text) if text.text.eq_ignore_ascii_case("false") || text.text == "0" => Some(false),
        Found::Number(_) | Found::Decimal(_) => match found.to_number()? {
            Some(number) if number == Decimal::ONE => Some(true),
            Some(number) if number.is_zero() => Some(false),
            _ => None,
        },
        _ => None,
    };
    says.map(Found::Bool).ok_or_else(|| Bad(format!("is {}, neither true nor false", found.show())))
}

fn truncate(text: Cow<'_, str>, length: u32) -> Cow<'_, str> {
    let Some((end, _)) = text.char_indices().nth(length as usize) else { return text };
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..end]),
        Cow::Owned(mut text) => {
            text.truncate(end);
            Cow::Owned(text)
        }
    }
}

fn epoch<'a>(found: &Found<'_>, unit: Unit) -> Evaluated<'a> {
    if found.is_missing_or_empty() {
        return Ok(Found::Missing);
    }
    let Some(number) = found.to_number()? else { return Ok(Found::Missing) };
    match instant::of_epoch(number, unit) {
        Some(instant) => Ok(Found::Instant(instant)),
        None => Err(Bad(format!("is {number}, which is no time in this unit"))),
    }
}

/// `1m30.5s` or `340ms` as a number of units.
fn duration(found: Found<'_>, unit: DurationUnit) -> Evaluated<'_> {
    let Some(text) = found.into_text()? else { return Ok(Found::Missing) };
    if text.text.is_empty() {
        return Ok(Found::Missing);
    }
    match nanoseconds(&text.text) {
        Some(total) => Ok(Found::Decimal(total.checked_div(nanoseconds_per(unit)).ok_or_else(too_large)?)),
        None => Err(Bad(format!(
            "is {:?}, which is no duration with a unit, such as 1.5s or 1m30s",
            shortened(&text.text)
        ))),
    }
}

fn nanoseconds_per(unit: DurationUnit) -> Decimal {
    Decimal::from(match unit {
        DurationUnit::Nanoseconds => 1_i64,
        DurationUnit::Microseconds => 1_000,
        DurationUnit::Milliseconds => 1_000_000,
        DurationUnit::Seconds => 1_000_000_000,
        DurationUnit::Minutes => 60_000_000_000,
        DurationUnit::Hours => 3_600_000_000_000,
    })
}

fn nanoseconds(text: &str) -> Option<Decimal> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut total = Decimal::ZERO;
    loop {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number = read_decimal(&rest[..unit_at])?;
        let after = &rest[unit_at..];
        let next = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let factor = match after[..next].trim() {
            "ns" => 1_i64,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" | "sec" => 1_000_000_000,
            "m" | "min" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(Decimal::from(factor))?)?;
        rest = &after[next..];
        if rest.is_empty() {
            return Some(if negative { -total } else { total });
        }
    }
}

/// The path of a URL or of a request target: no scheme and host, no query, no fragment.
fn path_only(text: &str) -> &str {
    let target = match text.split_once("://") {
        Some((scheme, rest)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            rest.find(['/', '?', '#']).map_or("/", |at| &rest[at..])
        }
        _ => text,
    };
    let path = &target[..target.find(['?', '#']).unwrap_or(target.len())];
    if path.is_empty() { "/" } else { path }
}

/// Takes the last 8 bits off an IPv4 address and the last 80 off an IPv6 one; a port goes too.
fn mask_ip(text: &str) -> Option<String> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse().or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip())).ok()?;
    Some(match IpAddr::to_canonical(&address) {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            Ipv4Addr::new(a, b, c, 0).to_string()
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).to_string()
        }
    })
}

fn parse_json<'a>(found: Found<'a>, path: &'a Field) -> Evaluated<'a> {
    let Field::Inner(trie) = path else { return Ok(Found::Missing) };
    let replaced = matches!(&found, Found::Text(text) if text.replaced);
    let text = match found {
        // What is JSON already needs no parsing, but the path is looked up in the same way.
        Found::Composite(source) => Cow::Borrowed(source),
        Found::Text(text) if text.text.is_empty() => return Ok(Found::Missing),
        Found::Text(text) => text.text,
        other => return Err(Bad(format!("is {}, not a text that holds JSON", other.kind()))),
    };
    let mut slots = Slots::default();
    if trie.read(&text, &mut slots).is_err() {
        return Err(Bad(format!("is {:?}, which is not JSON", shortened(&text))));
    }
    Ok(match text {
        Cow::Borrowed(text) => slots.get(text, 0).map_or(Found::Missing, |field| field.decode(replaced)),
        Cow::Owned(text) => match slots.get(&text, 0).map(|field| field.decode(replaced)) {
            None | Some(Found::Missing) => Found::Missing,
            Some(Found::Text(text)) => {
                Found::Text(Text { text: text.text.into_owned().into(), replaced: text.replaced })
            }
            Some(Found::Number(source)) => Found::Number(source.into_owned().into()),
            Some(Found::Bool(says)) => Found::Bool(says),
            Some(other) => return Err(Bad(format!("holds {} at this path", other.kind()))),
        },
    })
}

/// Whether the source text of a number is one that Polar can take: finite as a double.
pub(super) fn is_finite(source: &str) -> bool {
    is_number(source) && source.parse::<f64>().is_ok_and(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::language::parse_template;
    use crate::config::settings::Captures;
    use crate::mapping::scope::{Record, Tries};

    const LINE: &str = r#"{"i":3,"q":"3","d":2.50,"neg":-2,"big":123456789012345678901234567890,"t":" Ab ","e":"","n":null,
        "yes":"True","url":"https://x.se/a/b?c=d#e","target":"/a?b","ip4":"203.0.113.9","ip6":"2001:db8:1:2:3:4:5:6","port":"203.0.113.9:80",
        "dur":"1m30.5s","js":"{\"a\":{\"b\":7}}","esc":"x\u0041","o":{"a":1},"a":[1,2],"cost":0.00022500000000000002,
        "gap":"2026-03-29 02:30:00","us":1795169732123456,"ns":"1795169732123456789",
        "ms":1795169732123,"s":"1795169732.5","when":"2026-11-20T10:15:34.000","zero":0,"html":"å/ä/ö"}"#;

    #[track_caller]
    fn show(text: &str) -> String {
        let mut tries = Tries::default();
        let resolved = parse_template(text).unwrap().resolve(&mut tries);
        let mut slots = Slots::default();
        tries.line.read(LINE, &mut slots).unwrap();
        let line = Record { text: LINE, slots: &slots, origin: 0, replaced: &[] };
        let scope = Scope { line, item: None, captures: &Captures::new(), container: None, source: "app" };
        match template(&resolved, &scope) {
            Ok(found) => found.show(),
            Err(bad) => format!("bad: {}", bad.0),
        }
    }

    #[test]
    fn every_pipe_does_what_the_reference_says() {
        let cases = [
            ("{i}", "3"),
            ("{i | str}", "\"3\""),
            ("{q | int}", "3"),
            ("{d | int}", "bad: is 2.5, not a whole number"),
            ("{d}", "2.50"),
            ("{d | decimal}", "2.5"),
            ("{big | int}", "123456789012345678901234567890"),
            ("{big | add(1)}", "bad: is 123456789012345678901234567890, which is too large"),
            ("{t | int}", "bad: is \" Ab \", not a number"),
            ("{e | int}", "missing"),
            ("{n | int}", "missing"),
            ("{yes | bool}", "true"),
            ("{i | bool}", "bad: is 3, neither true nor false"),
            ("{zero | bool}", "false"),
            ("{t | trim | lower}", "\"ab\""),
            ("{t | upper}", "\" AB \""),
            ("{html | truncate(3)}", "\"å/ä\""),
            ("{nope | default('x')}", "\"x\""),
            ("{e | default(i)}", "3"),
            ("{n | default(false)}", "false"),
            ("{nope | default(other)}", "missing"),
            ("{sum(i, q, nope)}", "6"),
            ("{sum(nope, n)}", "missing"),
            ("{i | add(d)}", "5.5"),
            ("{i | sub(5) | max0}", "0"),
            ("{i | sub(nope)}", "missing"),
            ("{cost | mul('100') | round(12)}", "0.0225"),
            ("{d | round}", "2"),
            ("{i | div(d)}", "1.2"),
            ("{i | div(zero)}", "bad: is divided by 0"),
            ("{ms | epoch_ms}", "2026-11-20T10:15:32.123Z"),
            ("{us | epoch_us}", "2026-11-20T10:15:32.123456Z"),
            ("{ns | epoch_ns}", "2026-11-20T10:15:32.123456789Z"),
            ("{us | str | epoch_us}", "2026-11-20T10:15:32.123456Z"),
            ("{ms | div(1000) | epoch_s}", "2026-11-20T10:15:32.123Z"),
            ("{e | epoch_s}", "missing"),
            (
                "{gap | timestamp('%F %T', 'Europe/Stockholm')}",
                "bad: is \"2026-03-29 02:30:00\", which the clocks skipped when summer time began",
            ),
            ("{s | epoch_s}", "2026-11-20T10:15:32.5Z"),
            ("{ms | epoch_s}", "bad: is 1795169732123, which is no time in this unit"),
            ("{when | timestamp('%Y-%m-%dT%H:%M:%S%.f', 'UTC')}", "2026-11-20T10:15:34Z"),
            ("{t | timestamp('%F %T', 'UTC')}", "bad: is \" Ab \", which is no time of format \"%F %T\""),
            ("{dur | duration(ms)}", "90500"),
            ("{i | duration(ms)}", "bad: is \"3\", which is no duration with a unit, such as 1.5s or 1m30s"),
            ("{html | split('/', 1)}", "\"ä\""),
            ("{html | split('/', 9)}", "missing"),
            ("{url | path_only}", "\"/a/b\""),
            ("{target | path_only}", "\"/a\""),
            ("{js | parse_json(a.b)}", "7"),
            ("{js | parse_json(a.c)}", "missing"),
            ("{t | parse_json(a)}", "bad: is \" Ab \", which is not JSON"),
            ("{o | parse_json(a)}", "1"),
            ("{ip4 | mask_ip}", "\"203.0.113.0\""),
            ("{ip6 | mask_ip}", "\"2001:db8:1::\""),
            ("{port | mask_ip}", "\"203.0.113.0\""),
            ("{t | mask_ip}", "bad: is \" Ab \", not an IP address"),
            ("{q | enum('3', '4')}", "\"3\""),
            ("{t | enum('3')}", "bad: is \" Ab \", none of the texts that `enum` allows"),
            ("app:{q}-{i}", "\"app:3-3\""),
            ("app:{e}", "missing"),
            ("app:{nope}", "missing"),
            ("{esc}", "\"xA\""),
            ("x{o}", "bad: is an object, not a text"),
            ("{a}", "[1,2]"),
            ("{@source}", "\"app\""),
            ("{@path.tenant}", "missing"),
            ("{'k' | upper}", "\"K\""),
        ];
        for (text, wanted) in cases {
            assert_eq!(show(text), wanted, "{text}");
        }
    }
}
