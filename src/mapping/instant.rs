//! Points in time: read exactly, never guessed; written in UTC with `Z` and no trailing zeros.

use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Unit};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

/// 2000-01-01T00:00:00Z. An event before it comes from a unit that was mistaken, or a clock that was never set.
const EARLIEST: Timestamp = Timestamp::constant(946_684_800, 0);

/// Refuses times that no log of a billed service can hold.
pub(super) fn is_sane(instant: Timestamp) -> bool {
    instant >= EARLIEST
}

/// Reads RFC 3339: `T` or a space, any number of decimals (those beyond the ninth are cut), the offset required.
pub(super) fn read_rfc3339(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let (fixed, rest) = bytes.split_first_chunk::<19>()?;
    let [_, _, _, _, b'-', _, _, b'-', _, _, b'T' | b't' | b' ' | b'_', _, _, b':', _, _, b':', _, _] = fixed
    else {
        return None;
    };
    let two = |at: usize| two_digits(fixed[at], fixed[at + 1]);
    let year = two(0)? * 100 + two(2)?;
    let (month, day) = (two(5)?, two(8)?);
    let (hour, minute, second) = (two(11)?, two(14)?, two(17)?);
    if !(1..=12).contains(&month) || day < 1 || day > days_of_month(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (nanosecond, rest) = match rest {
        [b'.' | b',', decimals @ ..] => nanoseconds(decimals)?,
        rest => (0, rest),
    };
    let offset = offset_seconds(rest)?;
    // A leap second is the last second of its minute to every system that could have written it.
    let of_day = hour * 3600 + minute * 60 + second.min(59);
    Timestamp::new(days_before(year, month, day) * 86_400 + of_day - offset, nanosecond).ok()
}

fn two_digits(tens: u8, ones: u8) -> Option<i64> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| i64::from(tens * 10 + ones))
}

/// The decimals that `text` begins with, and what follows them.
fn nanoseconds(text: &[u8]) -> Option<(i32, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let kept = digits.min(9);
    let number = text[..kept].iter().fold(0, |number, digit| number * 10 + i32::from(digit - b'0'));
    (digits > 0).then(|| (number * 10_i32.pow(9 - kept as u32), &text[digits..]))
}

/// `Z`, `+01:00` or `+0100`, and nothing behind it.
fn offset_seconds(text: &[u8]) -> Option<i64> {
    let (sign, [h, i, m, n]) = match *text {
        [b'Z' | b'z'] => return Some(0),
        [sign @ (b'+' | b'-'), h, i, b':', m, n] | [sign @ (b'+' | b'-'), h, i, m, n] => (sign, [h, i, m, n]),
        _ => return None,
    };
    let (hours, minutes) = (two_digits(h, i)?, two_digits(m, n)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let seconds = hours * 3600 + minutes * 60;
    Some(if sign == b'-' { -seconds } else { seconds })
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from the epoch to a date of the Gregorian calendar.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    // A year that begins in March has its leap day at its end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // From 0000-03-01 on; the epoch is 719,468 days later.
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468
}

/// The `timestamp` pipe that reads a date and a time of day without an offset; `None` for any other text. The zone is
/// for whoever wrote the log to say.
pub(super) fn pipe_for_zoneless(text: &str) -> Option<String> {
    read_rfc3339(&format!("{text}Z"))?;
    let separator = text.get(10..11)?;
    let decimals = match text.as_bytes().get(19) {
        None => "",
        Some(b',') => ",%f",
        Some(_) => "%.f",
    };
    Some(format!("timestamp('%Y-%m-%d{separator}%H:%M:%S{decimals}', 'UTC')"))
}

/// Why a text gives no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoTime {
    /// It is not of the format, or no date has it.
    Format,
    /// The clocks of the zone never showed it.
    Skipped,
}

/// Reads a text by a strptime format. A time that the clocks of the zone showed twice is the earlier one; one that
/// they skipped is none.
pub(super) fn read_format(text: &str, format: &str, zone: Option<&TimeZone>) -> Result<Timestamp, NoTime> {
    let read = BrokenDownTime::parse(format, text).map_err(|_| NoTime::Format)?;
    let Some(zone) = zone else { return read.to_timestamp().map_err(|_| NoTime::Format) };
    let ambiguous = zone.to_ambiguous_timestamp(read.to_datetime().map_err(|_| NoTime::Format)?);
    if let jiff::tz::AmbiguousOffset::Gap { .. } = ambiguous.offset() {
        return Err(NoTime::Skipped);
    }
    ambiguous.earlier().map_err(|_| NoTime::Format)
}

/// The time that is `number` units after the epoch. Decimals beyond the nanosecond are cut.
pub(super) fn of_epoch(number: Decimal, unit: Unit) -> Option<Timestamp> {
    let nanoseconds = match unit {
        Unit::Second => 1_000_000_000,
        Unit::Millisecond => 1_000_000,
        Unit::Microsecond => 1_000,
        _ => 1_i64,
    };
    let total = number.checked_mul(Decimal::from(nanoseconds))?.floor().to_i128()?;
    Timestamp::from_nanosecond(total).ok()
}

/// Writes RFC 3339.
pub(super) fn write(out: &mut Vec<u8>, instant: Timestamp) {
    let civil = Offset::UTC.to_datetime(instant);
    let mut text = *b"0000-00-00T00:00:00.000000000";
    let (century, year) = (civil.year().unsigned_abs() / 100, civil.year().unsigned_abs() % 100);
    let pairs = [
        (0, century as u8),
        (2, year as u8),
        (5, civil.month().unsigned_abs()),
        (8, civil.day().unsigned_abs()),
        (11, civil.hour().unsigned_abs()),
        (14, civil.minute().unsigned_abs()),
        (17, civil.second().unsigned_abs()),
    ];
    for (at, number) in pairs {
        text[at] = b'0' + number / 10;
        text[at + 1] = b'0' + number % 10;
    }
    let mut nanosecond = civil.subsec_nanosecond().unsigned_abs();
    // Without decimals the point goes too.
    let mut end = 19;
    for at in (20..29).rev() {
        let digit = nanosecond % 10;
        nanosecond /= 10;
        text[at] = b'0' + digit as u8;
        if digit != 0 && end == 19 {
            end = at + 1;
        }
    }
    out.extend_from_slice(&text[..end]);
    out.push(b'Z');
}

/// As [`write`], of a time that was read from `text`: most are written so already.
pub(super) fn write_again(out: &mut Vec<u8>, text: &str, instant: Timestamp) {
    let Some((b'Z', digits)) = text.as_bytes().split_last() else { return write(out, instant) };
    let (seconds, decimals) = digits.split_at(19);
    if seconds[10] != b'T'
        || seconds.ends_with(b"60")
        || !matches!(decimals, [] | [b'.', ..])
        || decimals.len() > 10
    {
        return write(out, instant);
    }
    let zeros = decimals.iter().rev().take_while(|digit| **digit == b'0').count();
    let end = match decimals.len() - zeros {
        // Without decimals the point goes too.
        1 => 0,
        end => end,
    };
    out.extend_from_slice(seconds);
    out.extend_from_slice(&decimals[..end]);
    out.push(b'Z');
}

pub(super) fn to_text(instant: Timestamp) -> String {
    let mut out = Vec::with_capacity(30);
    write(&mut out, instant);
    String::from_utf8(out).expect("digits and signs are text")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::found::read_decimal;

    #[test]
    fn rfc_3339_is_read_to_the_nanosecond() {
        #[track_caller]
        fn check(text: &str, wanted: Option<&str>) {
            let read = read_rfc3339(text);
            assert_eq!(read.map(to_text).as_deref(), wanted, "{text}");
            let mut again = Vec::new();
            read.into_iter().for_each(|read| write_again(&mut again, text, read));
            assert_eq!(String::from_utf8(again).unwrap(), wanted.unwrap_or_default(), "{text}");
        }
        check("2026-11-20T10:15:32Z", Some("2026-11-20T10:15:32Z"));
        check("2026-11-20T10:15:32.120000Z", Some("2026-11-20T10:15:32.12Z"));
        check("2026-11-20T10:15:32.000Z", Some("2026-11-20T10:15:32Z"));
        check("2026-11-20T10:15:32.100200300Z", Some("2026-11-20T10:15:32.1002003Z"));
        check("2026-11-20T10:15:32.1234567890Z", Some("2026-11-20T10:15:32.123456789Z"));
        check("2026-11-20 10:15:32,5Z", Some("2026-11-20T10:15:32.5Z"));
        check("2026-11-20T10:15:32,5Z", Some("2026-11-20T10:15:32.5Z"));
        check("2026-11-20t10:15:32z", Some("2026-11-20T10:15:32Z"));
        check("2026-11-20 10:15:32.123456789+02:00", Some("2026-11-20T08:15:32.123456789Z"));
        check("2026-11-20T10:15:32-0330", Some("2026-11-20T13:45:32Z"));
        check("2026-11-20T10:15:32.1234567891Z", Some("2026-11-20T10:15:32.123456789Z"));
        check("2026-12-31T23:59:60Z", Some("2026-12-31T23:59:59Z"));
        check("2026-11-20T23:15:32-02:00", Some("2026-11-21T01:15:32Z"));
        for bad in [
            "",
            "2026-11-20",
            "2026-11-20T10:15:32",
            "2026-11-20T10:15Z",
            "2026-02-30T10:15:32Z",
            "x026-11-20T10:15:32Z",
            "2026-11-20T24:15:32Z",
            "2026-11-20T10:60:32Z",
            "2026-11-20T10:15:61Z",
            "2026-11-20T10:15:32.Z",
            "2026-11-20T10:15:32Zx",
            "2026-11-20T10:15:32+25:00",
            "2026-11-20T10:15:32+02",
            "20 Nov 2026",
            "２026-11-20T10:15:32Z",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn epochs_are_exact() {
        #[track_caller]
        fn check(number: &str, unit: Unit, wanted: Option<&str>) {
            let read = of_epoch(read_decimal(number).unwrap(), unit);
            assert_eq!(read.map(to_text).as_deref(), wanted, "{number}");
        }
        check("1795169732.123", Unit::Second, Some("2026-11-20T10:15:32.123Z"));
        check("1795169732123", Unit::Millisecond, Some("2026-11-20T10:15:32.123Z"));
        check("1795169732123456", Unit::Microsecond, Some("2026-11-20T10:15:32.123456Z"));
        check("1795169732123456789", Unit::Nanosecond, Some("2026-11-20T10:15:32.123456789Z"));
        check("1795169732123", Unit::Second, None);
        // A double has no room for these digits.
        check("1795169732.123456789", Unit::Second, Some("2026-11-20T10:15:32.123456789Z"));
        check("1795169732123.456789", Unit::Millisecond, Some("2026-11-20T10:15:32.123456789Z"));
        check("1795169732123456.789", Unit::Microsecond, Some("2026-11-20T10:15:32.123456789Z"));
        check("1.795169732123456789e9", Unit::Second, Some("2026-11-20T10:15:32.123456789Z"));
        check("1795169732.1234567899", Unit::Second, Some("2026-11-20T10:15:32.123456789Z"));
        check("1795169732123456789.9", Unit::Nanosecond, Some("2026-11-20T10:15:32.123456789Z"));
    }

    #[test]
    fn local_times_are_read_in_their_zone() {
        let zone = TimeZone::get("Europe/Stockholm").unwrap();
        let read = |text: &str| read_format(text, "%F %T", Some(&zone)).ok().map(to_text);
        assert_eq!(read("2026-11-20 11:15:32").as_deref(), Some("2026-11-20T10:15:32Z"));
        assert_eq!(read("2026-10-25 02:30:00").as_deref(), Some("2026-10-25T00:30:00Z"), "shown twice");
        assert_eq!(read_format("2026-03-29 02:30:00", "%F %T", Some(&zone)), Err(NoTime::Skipped));
        assert_eq!(read("2026-03-29 03:00:00").as_deref(), Some("2026-03-29T01:00:00Z"), "right behind it");
        assert_eq!(read("2026-10-25 01:59:59").as_deref(), Some("2026-10-24T23:59:59Z"), "before it");
        assert_eq!(read("2026-10-25 03:00:00").as_deref(), Some("2026-10-25T02:00:00Z"), "after it");
        assert_eq!(read_format("2026-02-30 02:30:00", "%F %T", Some(&zone)), Err(NoTime::Format));
        let fixed = TimeZone::fixed(jiff::tz::offset(-3));
        let read = read_format("2026-11-20 11:15:32.000000001", "%F %T%.f", Some(&fixed)).ok().map(to_text);
        assert_eq!(read.as_deref(), Some("2026-11-20T14:15:32.000000001Z"));
        let offset =
            read_format("20/Nov/2026:10:15:32 +0100", "%d/%b/%Y:%H:%M:%S %z", None).ok().map(to_text);
        assert_eq!(offset.as_deref(), Some("2026-11-20T09:15:32Z"));
    }

    #[test]
    fn a_time_without_a_zone_names_the_pipe_that_reads_it() {
        for (text, wanted) in [
            ("2026-11-20 10:15:34", "2026-11-20T10:15:34Z"),
            ("2026-11-20T10:15:34", "2026-11-20T10:15:34Z"),
            ("2026-11-20T10:15:34.123456", "2026-11-20T10:15:34.123456Z"),
            ("2026-11-20 10:15:34,123", "2026-11-20T10:15:34.123Z"),
        ] {
            let pipe = pipe_for_zoneless(text).unwrap();
            crate::config::language::parse_template(&format!("{{ts | {pipe}}}")).unwrap();
            let format = pipe.split('\'').nth(1).unwrap();
            let read = read_format(text, format, Some(&TimeZone::UTC)).map(to_text);
            assert_eq!(read.as_deref(), Ok(wanted), "{text} by {format}");
        }
        for text in
            ["", "2026-11-20", "2026-11-20T10:15:34Z", "20 Nov 2026", "2026-02-30 10:15:34", "1795169732"]
        {
            assert_eq!(pipe_for_zoneless(text), None, "{text}");
        }
    }

    /// What this file computes itself, by jiff's calendar.
    fn by_jiff(text: &str) -> Option<Timestamp> {
        let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i16>().ok();
        let small = |at: usize| number(at..at + 2).map(|number| number as i8);
        let date = jiff::civil::Date::new(number(0..4)?, small(5)?, small(8)?).ok()?;
        let time = jiff::civil::Time::new(small(11)?, small(14)?, small(17)?.min(59), 0).ok()?;
        let (hours, minutes) = (i32::from(small(20)?), i32::from(small(23)?));
        let seconds = hours * 3600 + minutes * 60;
        let offset =
            Offset::from_seconds(if text[19..].starts_with('-') { -seconds } else { seconds }).ok()?;
        offset.to_timestamp(date.to_datetime(time)).ok()
    }

    #[test]
    fn every_day_is_the_one_of_the_calendar() {
        for year in [0, 1, 4, 99, 100, 400, 1582, 1900, 1969, 1970, 2000, 2023, 2024, 2100, 9999] {
            for (month, day) in (0..=13).flat_map(|month| (0..=32).map(move |day| (month, day))) {
                for rest in ["00:00:00+00:00", "23:59:60-23:59", "24:00:00+00:00", "12:30:59+14:00"] {
                    let text = format!("{year:04}-{month:02}-{day:02}T{rest}");
                    assert_eq!(read_rfc3339(&text), by_jiff(&text), "{text}");
                }
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_again(second in 946_684_800_i64..4_000_000_000, nanosecond in 0_i32..1_000_000_000) {
            let instant = Timestamp::new(second, nanosecond).unwrap();
            proptest::prop_assert_eq!(read_rfc3339(&to_text(instant)), Some(instant));
            proptest::prop_assert_eq!(to_text(instant), instant.to_string());
        }
    }
}
