//! Which timestamps Polar's server takes.
//!
//! The rules are those of its schema library (pydantic with speedate), as far as the recorded cases show them:
//! RFC 3339 with `T`, `t`, `_` or a space, up to nine digits of fraction of which six are kept, offsets with and
//! without a colon; seconds or milliseconds since the epoch; no leap second, no offset left out.

use jiff::{Timestamp, civil, tz::Offset};

use crate::polar::fault::Finding;
use crate::polar::json::Json;

/// Larger numbers are milliseconds since the epoch, not seconds. Source: speedate.
const LARGEST_SECONDS: f64 = 2e10;

/// Seconds since the epoch of 0001-01-01T00:00:00Z: Python has no earlier moment.
const FIRST_SECOND: i64 = -62_135_596_800;

/// Seconds since the epoch of 9999-12-31T23:59:59Z, the last of Python.
const LAST_SECOND: i64 = 253_402_300_799;

/// Seconds since the epoch of 1600-01-01T00:00:00Z: speedate takes no earlier number.
const FIRST_SECOND_AS_NUMBER: i64 = -11_676_096_000;

/// What the server makes of a timestamp.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading<'a> {
    At(Timestamp),
    Bad(Finding<'a>),
    /// In UTC it leaves the years 1 to 9999, which the server does not expect: a 500.
    Crash,
}

/// Reads `value`, which must not be later than `now`.
pub fn read<'a>(value: &'a Json<'a>, now: Timestamp) -> Reading<'a> {
    let moment = match value {
        Json::String(text) => match of_text(text) {
            Ok(moment) => moment,
            Err(Problem::Naive) => {
                return Reading::Bad(Finding::new(
                    "timezone_aware",
                    "Input should have timezone info",
                    value,
                ));
            }
            Err(Problem::NotADate(why)) => {
                let message = format!("Input should be a valid datetime or date, {why}");
                let context = format!("{{\"error\":\"{why}\"}}");
                return Reading::Bad(
                    Finding::new("datetime_from_date_parsing", message, value).with(context),
                );
            }
        },
        Json::Number(text) => match of_number(text) {
            Ok(moment) => moment,
            Err(why) => {
                let message = format!("Input should be a valid datetime, {why}");
                let context = format!("{{\"error\":\"{why}\"}}");
                return Reading::Bad(Finding::new("datetime_parsing", message, value).with(context));
            }
        },
        _ => return Reading::Bad(Finding::new("datetime_type", "Input should be a valid datetime", value)),
    };
    if moment.seconds < FIRST_SECOND || moment.seconds > LAST_SECOND {
        return Reading::Crash;
    }
    // The last day of year 9999 is beyond jiff, and in the future as well.
    let timestamp = Timestamp::new(moment.seconds, moment.microseconds * 1_000).unwrap_or(Timestamp::MAX);
    if timestamp > now {
        return Reading::Bad(Finding::value_error("Timestamp must be in the past.", value));
    }
    Reading::At(timestamp)
}

struct Moment {
    /// Since the epoch, in UTC.
    seconds: i64,
    /// From 0 to 999,999.
    microseconds: i32,
}

enum Problem {
    /// There is no offset.
    Naive,
    NotADate(&'static str),
}

fn of_text(text: &str) -> Result<Moment, Problem> {
    let bytes = text.as_bytes();
    if let Some(moment) = of_rfc3339(bytes) {
        return moment;
    }
    if let Ok(moment) = of_number(text) {
        return Ok(moment);
    }
    // A plain date is midnight, but nobody knows where.
    match date(bytes) {
        Ok(_) if bytes.len() == 10 => Err(Problem::Naive),
        Ok(_) => Err(Problem::NotADate("unexpected extra characters at the end of the input")),
        Err(why) => Err(Problem::NotADate(why)),
    }
}

fn of_number(text: &str) -> Result<Moment, &'static str> {
    let number: f64 = match text.parse() {
        Ok(number) if f64::is_finite(number) => number,
        _ => return Err("input is not a number"),
    };
    let microseconds = if number.abs() > LARGEST_SECONDS { number * 1e3 } else { number * 1e6 };
    // Saturates, and the bounds below are far inside.
    let microseconds = microseconds.round() as i64;
    let moment = Moment {
        seconds: microseconds.div_euclid(1_000_000),
        microseconds: microseconds.rem_euclid(1_000_000) as i32,
    };
    if moment.seconds < FIRST_SECOND_AS_NUMBER {
        return Err("dates before 1600 are not supported as unix timestamps");
    }
    if moment.seconds > LAST_SECOND {
        return Err("dates after 9999 are not supported as unix timestamps");
    }
    Ok(moment)
}

/// None where it is not of the form at all.
fn of_rfc3339(bytes: &[u8]) -> Option<Result<Moment, Problem>> {
    let date = date(bytes).ok()?;
    if !matches!(bytes.get(10)?, b'T' | b't' | b' ' | b'_') || bytes.get(13)? != &b':' {
        return None;
    }
    let hour = two_digits(bytes, 11, 23)?;
    let minute = two_digits(bytes, 14, 59)?;
    let mut at = 16;
    let mut second = 0;
    let mut microseconds = 0;
    if bytes.get(at) == Some(&b':') {
        second = two_digits(bytes, at + 1, 59)?;
        at += 3;
        if matches!(bytes.get(at), Some(b'.' | b',')) {
            let digits = bytes[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            if !(1..=9).contains(&digits) {
                return None;
            }
            let kept = bytes[at + 1..].iter().take(digits.min(6));
            microseconds = kept.fold(0, |number, digit| number * 10 + i32::from(digit - b'0'));
            microseconds *= 10_i32.pow(6 - digits.min(6) as u32);
            at += 1 + digits;
        }
    }
    let offset = match bytes.get(at) {
        None => return Some(Err(Problem::Naive)),
        Some(b'Z' | b'z') => {
            at += 1;
            0
        }
        Some(sign @ (b'+' | b'-')) => {
            let hours = two_digits(bytes, at + 1, 23)?;
            at += 3;
            at += usize::from(bytes.get(at) == Some(&b':'));
            let minutes = two_digits(bytes, at, 59)?;
            at += 2;
            let seconds = hours * 3600 + minutes * 60;
            if *sign == b'-' { -seconds } else { seconds }
        }
        Some(_) => return None,
    };
    if at != bytes.len() {
        return None;
    }
    let midnight = date.to_datetime(civil::Time::midnight());
    // Only the last day of year 9999 is beyond jiff; what counts is that it is in the future.
    let midnight = Offset::UTC.to_timestamp(midnight).unwrap_or(Timestamp::MAX).as_second();
    let seconds = midnight + hour * 3600 + minute * 60 + second - offset;
    Some(Ok(Moment { seconds, microseconds }))
}

fn two_digits(bytes: &[u8], at: usize, largest: i64) -> Option<i64> {
    let &[tens @ b'0'..=b'9', ones @ b'0'..=b'9'] = bytes.get(at..at + 2)? else { return None };
    let number = i64::from(tens - b'0') * 10 + i64::from(ones - b'0');
    (number <= largest).then_some(number)
}

/// The date that `bytes` begins with, or what speedate says about it.
fn date(bytes: &[u8]) -> Result<civil::Date, &'static str> {
    let digit = |at: usize, why| match bytes.get(at) {
        Some(digit @ b'0'..=b'9') => Ok(i16::from(digit - b'0')),
        Some(_) => Err(why),
        None => Err("input is too short"),
    };
    let dash = |at: usize| match bytes.get(at) {
        Some(b'-') => Ok(()),
        Some(_) => Err("invalid date separator, expected `-`"),
        None => Err("input is too short"),
    };
    let mut year = 0;
    for at in 0..4 {
        year = year * 10 + digit(at, "invalid character in year")?;
    }
    dash(4)?;
    let month = digit(5, "invalid character in month")? * 10 + digit(6, "invalid character in month")?;
    dash(7)?;
    let day = digit(8, "invalid character in day")? * 10 + digit(9, "invalid character in day")?;
    if !(1..=12).contains(&month) {
        return Err("month value is outside expected range of 1-12");
    }
    if year == 0 {
        return Err("year 0 is out of range");
    }
    // Both have at most two digits.
    civil::Date::new(year, month as i8, day as i8).map_err(|_| "day value is outside expected range")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::polar::json::parse;

    #[track_caller]
    fn check(json: &str, expected: &str) {
        let value = parse(json.as_bytes()).expect("the test's JSON is right");
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().expect("the test's time is right");
        let found = match read(&value, now) {
            Reading::At(timestamp) => timestamp.to_string(),
            Reading::Bad(finding) => finding.kind.to_owned(),
            Reading::Crash => "crash".to_owned(),
        };
        assert_eq!(found, expected, "{json}");
    }

    #[test]
    fn rfc_3339_is_read_as_the_server_reads_it() {
        check("\"2026-11-01T10:00:00Z\"", "2026-11-01T10:00:00Z");
        check("\"2026-11-01 10:00:00.5z\"", "2026-11-01T10:00:00.5Z");
        check("\"2026-11-01t10:00:00.123456789+02:00\"", "2026-11-01T08:00:00.123456Z");
        check("\"2026-11-01_10:00-0130\"", "2026-11-01T11:30:00Z");
        check("\"0001-01-01T00:00:00Z\"", "0001-01-01T00:00:00Z");
        check("\"2026-11-20T12:00:00Z\"", "2026-11-20T12:00:00Z");
        check("\"2026-11-20T12:00:00.001Z\"", "value_error");
        check("\"9999-12-31T23:59:59Z\"", "value_error");
    }

    #[test]
    fn what_is_no_moment_is_refused_in_the_servers_words() {
        check("\"2026-11-01T10:00:00\"", "timezone_aware");
        check("\"2026-11-01\"", "timezone_aware");
        check("\"2016-12-31T23:59:60Z\"", "datetime_from_date_parsing");
        check("\"2026-02-30T00:00:00Z\"", "datetime_from_date_parsing");
        check("\"Sun, 01 Nov 2026 10:00:00 GMT\"", "datetime_from_date_parsing");
        check("\"2026-11-01T10:00:00.1234567890Z\"", "datetime_from_date_parsing");
        check("\"\"", "datetime_from_date_parsing");
        check("\"2026-11-01T10:00:00Zx\"", "datetime_from_date_parsing");
        check("null", "datetime_type");
        check("true", "datetime_type");
        check("[]", "datetime_type");
    }

    #[test]
    fn numbers_are_seconds_until_they_are_milliseconds() {
        check("1750000000", "2025-06-15T15:06:40Z");
        check("1750000000.5", "2025-06-15T15:06:40.5Z");
        check("1750000000000", "2025-06-15T15:06:40Z");
        check("\"1750000000\"", "2025-06-15T15:06:40Z");
        check("20000000001", "1970-08-20T11:33:20.001Z");
        check("-1", "1969-12-31T23:59:59Z");
        check("1e17", "datetime_parsing");
        check("-1e16", "datetime_parsing");
    }

    #[test]
    fn leaving_pythons_years_in_utc_crashes_the_server() {
        check("\"0001-01-01T00:00:00+14:00\"", "crash");
    }
}
