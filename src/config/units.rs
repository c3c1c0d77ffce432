//! Durations (`500ms`, `1s`, `10m`) and sizes (`64KiB`, `1MB`).

use std::time::Duration;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

const DURATION_UNITS: &[(&str, u64)] =
    &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

const SIZE_UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// # Errors
/// The cure, as a hint.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let milliseconds = parse(text, DURATION_UNITS).ok_or_else(|| {
        "write a number with its unit: \"500ms\", \"1s\", \"10m\", \"2h\" or \"1d\"".to_owned()
    })?;
    Ok(Duration::from_millis(milliseconds))
}

/// # Errors
/// The cure, as a hint.
pub fn parse_size(text: &str) -> Result<u64, String> {
    parse(text, SIZE_UNITS)
        .ok_or_else(|| "write a number with its unit: \"64KiB\", \"1MiB\" or \"1MB\"".to_owned())
}

/// The largest unit that says it without a fraction.
#[must_use]
pub fn print_duration(duration: Duration) -> String {
    let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    print(milliseconds, DURATION_UNITS)
}

#[must_use]
pub fn print_size(bytes: u64) -> String {
    let binary: Vec<_> = SIZE_UNITS.iter().copied().filter(|(unit, _)| matches!(unit.len(), 1 | 3)).collect();
    print(bytes, &binary)
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(split);
    let unit = unit.trim_start();
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    let value = number.parse::<Decimal>().ok()?.checked_mul(Decimal::from(*factor))?.normalize();
    if value.scale() == 0 { value.to_u64() } else { None }
}

fn print(value: u64, units: &[(&str, u64)]) -> String {
    let fitting = units.iter().rev().find(|(_, factor)| value >= *factor && value.is_multiple_of(*factor));
    let (unit, factor) = fitting.copied().unwrap_or(units[0]);
    format!("{}{unit}", value / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        let table: &[(&str, Option<u64>)] = &[
            ("500ms", Some(500)),
            ("1s", Some(1_000)),
            ("1.5s", Some(1_500)),
            ("10m", Some(600_000)),
            ("2h", Some(7_200_000)),
            ("1d", Some(86_400_000)),
            ("0s", Some(0)),
            ("1 s", Some(1_000)),
            ("1", None),
            ("", None),
            ("s", None),
            ("-1s", None),
            ("1.2.3s", None),
            ("0.1ms", None),
            ("1sec", None),
            ("99999999999999999999d", None),
            ("18446744073709551615d", None),
        ];
        for (text, milliseconds) in table {
            assert_eq!(parse_duration(text).ok(), milliseconds.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn sizes_have_a_unit_of_a_thousand_or_of_1024() {
        let table: &[(&str, Option<u64>)] = &[
            ("1MiB", Some(1 << 20)),
            ("64KiB", Some(65_536)),
            ("1MB", Some(1_000_000)),
            ("1.5KiB", Some(1_536)),
            ("2GiB", Some(2 << 30)),
            ("12B", Some(12)),
            ("1mib", None),
            ("1M", None),
            ("0.3B", None),
            ("12", None),
        ];
        for (text, bytes) in table {
            assert_eq!(parse_size(text).ok(), *bytes, "{text}");
        }
    }

    #[test]
    fn what_is_printed_is_read_again() {
        for bytes in [0, 1, 1_000, 1 << 10, 3 << 20, (1 << 30) + 1] {
            assert_eq!(parse_size(&print_size(bytes)), Ok(bytes));
        }
        for milliseconds in [0, 1, 1_000, 90_000, 3_600_000] {
            let duration = Duration::from_millis(milliseconds);
            assert_eq!(parse_duration(&print_duration(duration)), Ok(duration));
        }
    }
}
