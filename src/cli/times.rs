//! Times on the command line.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// A moment, or a day, which begins at midnight UTC.
pub fn time(text: &str) -> Result<Timestamp, String> {
    // A time of day without its offset would be taken for a date.
    let is_date = text.len() == "2026-11-20".len();
    let midnight = |date: Date| date.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp());
    let parsed = if is_date { text.parse().and_then(midnight) } else { text.parse::<Timestamp>() };
    parsed.map_err(|_| "write it like 2026-11-20 or 2026-11-20T10:15:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_or_dates() {
        for (text, expected) in [
            ("2026-11-20", Some("2026-11-20T00:00:00Z")),
            ("2026-11-20T10:15:00Z", Some("2026-11-20T10:15:00Z")),
            ("2026-11-20T10:15:00+02:00", Some("2026-11-20T08:15:00Z")),
            ("2026-11-20T10:15:00", None),
            ("yesterday", None),
        ] {
            assert_eq!(time(text).ok().map(|time| time.to_string()).as_deref(), expected, "{text}");
        }
    }
}
