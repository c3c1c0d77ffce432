//! Points in time: read exactly, never guessed; written in UTC with `Z` and no trailing zeros.

use jiff::civil::{Date, Time};
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
    let number = |range: std::ops::Range<usize>| {
        bytes
            .get(range)?
            .iter()
            .try_fold(0_i16, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i16::from(byte - b'0')))
    };
    let small = |at: usize| i8::try_from(number(at..at + 2)?).ok();
    let is = |at: usize, wanted: &[u8]| bytes.get(at).is_some_and(|byte| wanted.contains(byte));
    if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt _") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let date = Date::new(number(0..4)?, small(5)?, small(8)?).ok()?;
    // A leap second is the last second of its minute to every system that could have written it.
    let second = small(17).filter(|second| *second <= 60)?.min(59);
    let mut at = 19;
    let mut nanosecond = 0;
    if is(at, b".,") {
        let digits = bytes[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return None;
        }
        for place in 0..9 {
            let digit = if place < digits { bytes[at + 1 + place] - b'0' } else { 0 };
            nanosecond = nanosecond * 10 + i32::from(digit);
        }
        at += 1 + digits;
    }
    let offset = match bytes.get(at)? {
        b'Z' | b'z' => {
            at += 1;
            0
        }
        sign @ (b'+' | b'-') => {
            let hours = i32::from(small(at + 1)?);
            let minutes_at = if is(at + 3, b":") { at + 4 } else { at + 3 };
            let minutes = i32::from(small(minutes_at)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            at = minutes_at + 2;
            let seconds = hours * 3600 + minutes * 60;
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    if at != bytes.len() {
        return None;
    }
    let time = Time::new(small(11)?, small(14)?, second, nanosecond).ok()?;
    Offset::from_seconds(offset).ok()?.to_timestamp(date.to_datetime(time)).ok()
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
    fill(&mut text[0..4], civil.year().unsigned_abs().into());
    fill(&mut text[5..7], civil.month().unsigned_abs().into());
    fill(&mut text[8..10], civil.day().unsigned_abs().into());
    fill(&mut text[11..13], civil.hour().unsigned_abs().into());
    fill(&mut text[14..16], civil.minute().unsigned_abs().into());
    fill(&mut text[17..19], civil.second().unsigned_abs().into());
    fill(&mut text[20..29], civil.subsec_nanosecond().unsigned_abs());
    let zeros = text[20..].iter().rev().take_while(|digit| **digit == b'0').count();
    // Without decimals the point goes too.
    let end = if zeros == 9 { 19 } else { text.len() - zeros };
    out.extend_from_slice(&text[..end]);
    out.push(b'Z');
}

/// Writes the number's last digits into all of `place`.
fn fill(place: &mut [u8], mut number: u32) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).expect("a digit is below 10");
        number /= 10;
    }
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
            assert_eq!(read_rfc3339(text).map(to_text).as_deref(), wanted, "{text}");
        }
        check("2026-11-20T10:15:32Z", Some("2026-11-20T10:15:32Z"));
        check("2026-11-20T10:15:32.120000Z", Some("2026-11-20T10:15:32.12Z"));
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

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_again(second in 946_684_800_i64..4_000_000_000, nanosecond in 0_i32..1_000_000_000) {
            let instant = Timestamp::new(second, nanosecond).unwrap();
            proptest::prop_assert_eq!(read_rfc3339(&to_text(instant)), Some(instant));
            proptest::prop_assert_eq!(to_text(instant), instant.to_string());
        }
    }
}
