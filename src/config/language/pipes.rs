//! The pipes by name, and what each takes.

use std::ops::Range;

use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::{Offset, TimeZone};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::{Argument, DurationUnit, HashKey, LanguageFault, Literal, Lookup, Lookups, Pipe, Root, Step};
use crate::config::fault::{did_you_mean, nearest};

/// A call: its name, its arguments, and where they stand.
pub(super) struct Arguments<'a> {
    pub name: &'a str,
    pub given: Vec<(Argument, Range<usize>)>,
    pub span: Range<usize>,
}

/// Name and use of every pipe, for hints.
const PIPES: &[(&str, &str)] = &[
    ("str", "str"),
    ("int", "int"),
    ("decimal", "decimal"),
    ("bool", "bool"),
    ("lower", "lower"),
    ("upper", "upper"),
    ("trim", "trim"),
    ("truncate", "truncate(500)"),
    ("default", "default('none') or default(other.path)"),
    ("add", "add(1) or add(path)"),
    ("sub", "sub(1) or sub(path)"),
    ("mul", "mul(100) or mul(path)"),
    ("div", "div(1000) or div(path)"),
    ("round", "round(2)"),
    ("max0", "max0"),
    ("timestamp", "timestamp('%Y-%m-%d %H:%M:%S', 'UTC')"),
    ("epoch_s", "epoch_s"),
    ("epoch_ms", "epoch_ms"),
    ("epoch_us", "epoch_us"),
    ("epoch_ns", "epoch_ns"),
    ("duration", "duration(ms)"),
    ("split", "split('/', 1)"),
    ("path_only", "path_only"),
    ("parse_json", "parse_json(usage.total)"),
    ("lookup", "lookup(plans, tier)"),
    ("hash", "hash(people)"),
    ("mask_ip", "mask_ip"),
    ("enum", "enum('a', 'b')"),
];

/// Decimal places that `round` can keep.
const MAX_PLACES: u32 = 28;

pub(super) fn read_pipe(call: &Arguments<'_>, lookups: &Lookups) -> Result<Pipe, LanguageFault> {
    let simple = match call.name {
        "str" => Pipe::Str,
        "int" => Pipe::Int,
        "decimal" => Pipe::Decimal,
        "bool" => Pipe::Bool,
        "lower" => Pipe::Lower,
        "upper" => Pipe::Upper,
        "trim" => Pipe::Trim,
        "max0" => Pipe::Max0,
        "epoch_s" => Pipe::EpochS,
        "epoch_ms" => Pipe::EpochMs,
        "epoch_us" => Pipe::EpochUs,
        "epoch_ns" => Pipe::EpochNs,
        "path_only" => Pipe::PathOnly,
        "mask_ip" => Pipe::MaskIp,
        "lookup" => return lookup(call, lookups),
        "hash" => return hash_key(call, lookups).map(Pipe::Hash),
        _ => return read_pipe_with_arguments(call),
    };
    call.count(0..=0)?;
    Ok(simple)
}

fn read_pipe_with_arguments(call: &Arguments<'_>) -> Result<Pipe, LanguageFault> {
    match call.name {
        "truncate" => {
            call.count(1..=1)?;
            match call.whole(0, u32::MAX)? {
                0 => Err(call.fault_at(0, "a text of 0 characters would be empty")),
                length => Ok(Pipe::Truncate(length)),
            }
        }
        "default" => call.only().map(Pipe::Default),
        "add" => call.operand().map(Pipe::Add),
        "sub" => call.operand().map(Pipe::Sub),
        "mul" => call.operand().map(Pipe::Mul),
        "div" => {
            let by = call.operand()?;
            if matches!(&by, Argument::Literal(literal) if number_of(literal) == Some(Decimal::ZERO)) {
                return Err(call.fault_at(0, "nothing can be divided by 0"));
            }
            Ok(Pipe::Div(by))
        }
        "round" => {
            call.count(0..=1)?;
            if call.given.is_empty() {
                return Ok(Pipe::Round(0));
            }
            call.whole(0, MAX_PLACES).map(Pipe::Round)
        }
        "timestamp" => timestamp(call),
        "duration" => {
            call.count(1..=1)?;
            duration_unit(call).map(Pipe::Duration)
        }
        "split" => {
            call.count(2..=2)?;
            let separator = call.text(0)?;
            if separator.is_empty() {
                return Err(call.fault_at(0, "the separator is empty"));
            }
            Ok(Pipe::Split { separator, index: call.whole(1, u32::MAX)? })
        }
        "parse_json" => match call.only()? {
            Argument::Path(path) if path.root == Root::Line => Ok(Pipe::ParseJson(path)),
            _ => Err(call.fault_at(0, "`parse_json` takes a path into the text that it reads")),
        },
        "enum" => {
            if call.given.is_empty() {
                return Err(call.fault("`enum` needs the texts that it allows"));
            }
            (0..call.given.len()).map(|at| call.text(at)).collect::<Result<_, _>>().map(Pipe::Enum)
        }
        "sum" => Err(LanguageFault {
            span: call.span.clone(),
            message: "`sum` stands at the start of an expression".to_owned(),
            hint: Some("write {sum(a, b)}".to_owned()),
        }),
        unknown => Err(unknown_pipe(unknown, &call.span)),
    }
}

fn unknown_pipe(name: &str, span: &Range<usize>) -> LanguageFault {
    let nearest = PIPES
        .iter()
        .map(|(known, _)| (strsim::damerau_levenshtein(name, known), *known))
        .filter(|(distance, known)| *distance <= 2.min(known.len() - 1))
        .min();
    let hint = match nearest {
        Some((_, known)) => format!("did you mean `{known}`?"),
        None => {
            let names: Vec<_> = PIPES.iter().map(|(name, _)| *name).collect();
            format!("the pipes are {}", names.join(", "))
        }
    };
    LanguageFault {
        span: span.start..span.start + name.len(),
        message: format!("there is no pipe `{name}`"),
        hint: Some(hint),
    }
}

impl Arguments<'_> {
    fn hint(&self) -> Option<String> {
        let (_, usage) = PIPES.iter().find(|(name, _)| *name == self.name)?;
        Some(format!("write {usage}"))
    }

    fn fault(&self, message: impl Into<String>) -> LanguageFault {
        LanguageFault { span: self.span.clone(), message: message.into(), hint: self.hint() }
    }

    fn fault_at(&self, at: usize, message: impl Into<String>) -> LanguageFault {
        LanguageFault { span: self.given[at].1.clone(), message: message.into(), hint: self.hint() }
    }

    fn count(&self, allowed: std::ops::RangeInclusive<usize>) -> Result<(), LanguageFault> {
        let given = self.given.len();
        if allowed.contains(&given) {
            return Ok(());
        }
        let name = self.name;
        Err(self.fault(match (*allowed.start(), *allowed.end()) {
            (0, 0) => format!("`{name}` takes no argument"),
            (1, 1) => format!("`{name}` takes one argument, not {given}"),
            (low, high) if low == high => format!("`{name}` takes {low} arguments, not {given}"),
            (low, high) => format!("`{name}` takes {low} to {high} arguments, not {given}"),
        }))
    }

    fn only(&self) -> Result<Argument, LanguageFault> {
        self.count(1..=1)?;
        Ok(self.given[0].0.clone())
    }

    /// The one argument, which is a path or a number (also written as text).
    fn operand(&self) -> Result<Argument, LanguageFault> {
        match self.only()? {
            Argument::Literal(literal) => number_of(&literal)
                .map(|number| Argument::Literal(Literal::Number(number)))
                .ok_or_else(|| self.fault_at(0, format!("`{}` takes a number or a path", self.name))),
            path => Ok(path),
        }
    }

    fn whole(&self, at: usize, most: u32) -> Result<u32, LanguageFault> {
        match &self.given[at].0 {
            Argument::Literal(Literal::Number(number)) if number.is_integer() => {
                number.to_u32().filter(|number| *number <= most)
            }
            _ => None,
        }
        .ok_or_else(|| self.fault_at(at, format!("a whole number from 0 to {most} is expected here")))
    }

    /// A name: a word, which reads as a path, or a text in quotes of either kind.
    fn word(&self, at: usize) -> Option<&str> {
        match &self.given[at].0 {
            Argument::Literal(Literal::Text(text)) => Some(text),
            Argument::Path(path) => match path.steps.as_slice() {
                [Step::Key(key)] if path.root == Root::Line => Some(key),
                _ => None,
            },
            Argument::Literal(_) => None,
        }
    }

    fn text(&self, at: usize) -> Result<String, LanguageFault> {
        match &self.given[at].0 {
            Argument::Literal(Literal::Text(text)) => Ok(text.clone()),
            _ => Err(self.fault_at(at, "a text in single quotes is expected here")),
        }
    }
}

fn number_of(literal: &Literal) -> Option<Decimal> {
    match literal {
        Literal::Number(number) => Some(*number),
        Literal::Text(text) => text.parse().ok(),
        Literal::Bool(_) => None,
    }
}

/// The unit is a word (`ms`), which reads as a path, or a text (`'ms'`).
fn duration_unit(call: &Arguments<'_>) -> Result<DurationUnit, LanguageFault> {
    Ok(match call.word(0).unwrap_or_default() {
        "ns" => DurationUnit::Nanoseconds,
        "us" => DurationUnit::Microseconds,
        "ms" => DurationUnit::Milliseconds,
        "s" => DurationUnit::Seconds,
        "min" => DurationUnit::Minutes,
        "h" => DurationUnit::Hours,
        _ => return Err(call.fault_at(0, "the unit is one of ns, us, ms, s, min, h")),
    })
}

fn lookup(call: &Arguments<'_>, lookups: &Lookups) -> Result<Pipe, LanguageFault> {
    call.count(2..=2)?;
    let expected = |at, what| call.fault_at(at, format!("the name of a {what} is expected here"));
    let name = call.word(0).ok_or_else(|| expected(0, "table"))?;
    let column = call.word(1).ok_or_else(|| expected(1, "column"))?;
    let Some(table) = lookups.get(name) else {
        let hint = match nearest(name, lookups.names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add it to the config: [lookups.{name}] with file = \"{name}.csv\""),
        };
        return Err(call.fault_at(0, format!("there is no lookup table `{name}`")).with_hint(hint));
    };
    let Some(table) = table else { return Ok(Pipe::Lookup(Lookup::new(name.to_owned(), None, 0))) };
    let Some(place) = table.column(column) else {
        let known: Vec<&str> = table.columns().iter().map(String::as_str).collect();
        let hint = did_you_mean(column, &known, "its header has");
        return Err(call.fault_at(1, format!("the table `{name}` has no column `{column}`")).with_hint(hint));
    };
    Ok(Pipe::Lookup(Lookup::new(name.to_owned(), Some(table.clone()), place)))
}

fn hash_key(call: &Arguments<'_>, lookups: &Lookups) -> Result<HashKey, LanguageFault> {
    call.count(1..=1)?;
    let name = call.word(0).ok_or_else(|| call.fault_at(0, "the name of a key is expected here"))?;
    lookups.key(name).cloned().ok_or_else(|| {
        let hint = match nearest(name, lookups.key_names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add it to the config: [hash_keys.{name}] with file = \"/etc/floe/{name}.key\""),
        };
        call.fault_at(0, format!("there is no hash key `{name}`")).with_hint(hint)
    })
}

fn timestamp(call: &Arguments<'_>) -> Result<Pipe, LanguageFault> {
    call.count(1..=2)?;
    let format = call.text(0)?;
    let zone = if call.given.len() == 2 { Some(zone(call, &call.text(1)?)?) } else { None };
    let Some(sample) = sample_of(&format) else {
        return Err(call.fault_at(0, "this is not a strptime format that can be read back"));
    };
    let tells_zone = sample.offset().is_some() || sample.iana_time_zone().is_some();
    let tells_instant = sample.timestamp().is_some();
    match (&zone, tells_zone || tells_instant) {
        (None, false) => {
            return Err(LanguageFault {
                span: call.given[0].1.clone(),
                message: "the format has no time zone, and a zone is never a guess".to_owned(),
                hint: Some("add %z to the format, or a zone: timestamp('…', 'UTC')".to_owned()),
            });
        }
        (Some(_), true) => return Err(call.fault_at(1, "the format reads the zone from the line already")),
        _ => {}
    }
    if !tells_instant && sample.to_datetime().is_err() {
        return Err(call.fault_at(0, "the format lacks a part of the date or the time of day"));
    }
    Ok(Pipe::Timestamp { format, zone })
}

/// What the format reads from a time that it wrote itself.
fn sample_of(format: &str) -> Option<BrokenDownTime> {
    let time = jiff::civil::date(2026, 11, 20).at(10, 15, 32, 123_456_789);
    let written = jiff::fmt::strtime::format(format, &time.to_zoned(TimeZone::UTC).ok()?).ok()?;
    BrokenDownTime::parse(format, written).ok()
}

fn zone(call: &Arguments<'_>, name: &str) -> Result<TimeZone, LanguageFault> {
    if matches!(name, "UTC" | "utc" | "Z" | "GMT") {
        return Ok(TimeZone::UTC);
    }
    if let Some(offset) = fixed_offset(name) {
        return Ok(TimeZone::fixed(offset));
    }
    TimeZone::get(name).map_err(|_| LanguageFault {
        span: call.given[1].1.clone(),
        message: format!("there is no time zone `{name}` here"),
        hint: Some(
            "write 'UTC', an offset such as '+02:00', or a name such as 'Europe/Stockholm'".to_owned(),
        ),
    })
}

/// `+02:00` or `-0330`.
fn fixed_offset(text: &str) -> Option<Offset> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some(parts) => parts,
        None if digits.len() == 4 && digits.is_ascii() => digits.split_at(2),
        None => return None,
    };
    let hours: i32 = hours.parse().ok().filter(|hours| (0..24).contains(hours))?;
    let minutes: i32 = minutes.parse().ok().filter(|minutes| (0..60).contains(minutes))?;
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}
