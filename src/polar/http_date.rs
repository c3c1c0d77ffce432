//! Dates of HTTP headers (RFC 9110, 5.6.7): written in one form, read in three.

use jiff::fmt::strtime;
use jiff::{Timestamp, civil, tz::Offset};

const WRITTEN: &str = "%a, %d %b %Y %H:%M:%S GMT";

/// The date of a `Date` or `Retry-After` header.
pub fn http_date(text: &str) -> Option<Timestamp> {
    const OBSOLETE: [&str; 2] = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let text = text.trim();
    let parsed = std::iter::once(WRITTEN)
        .chain(OBSOLETE)
        .find_map(|form| civil::DateTime::strptime(form, text).ok())?;
    Offset::UTC.to_timestamp(parsed).ok()
}

/// The same, the other way round.
pub fn write_http_date(timestamp: Timestamp) -> String {
    strtime::format(WRITTEN, Offset::UTC.to_datetime(timestamp))
        .expect("the form names only what a date-time has")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let expected = expected.map(|time| time.parse().expect("the test's time is right"));
        assert_eq!(http_date(text), expected, "{text}");
    }

    #[test]
    fn all_three_forms_are_read() {
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some("1994-11-06T08:49:37Z"));
        check("Sunday, 06-Nov-94 08:49:37 GMT", Some("1994-11-06T08:49:37Z"));
        check("Sun Nov  6 08:49:37 1994", Some("1994-11-06T08:49:37Z"));
        check("60", None);
        check("Sun, 06 Nov 1994 08:49:37 CET", None);
        check("", None);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let time: Timestamp = "2026-11-01T00:00:09Z".parse().expect("the test's time is right");
        assert_eq!(write_http_date(time), "Sun, 01 Nov 2026 00:00:09 GMT");
        assert_eq!(http_date(&write_http_date(time)), Some(time));
    }
}
