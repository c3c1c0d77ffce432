//! Numbers for people.

/// `1234567` as `1,234,567`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 line`, `1,234 lines`: a number with its noun.
#[must_use]
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// `lines`, or `line ` where it is one: a noun in a column.
#[must_use]
pub fn lines(number: u64) -> &'static str {
    if number == 1 { "line " } else { "lines" }
}

/// Three digits and a unit: `43.1 MB`.
#[must_use]
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if number < 1000 {
        return format!("{number} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = number as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let decimals = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.decimals$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_noun_goes_with_its_number() {
        for (number, text) in [(0, "0 batches"), (1, "1 batch"), (1_200, "1,200 batches")] {
            assert_eq!(counted(number, "batch", "batches"), text);
        }
    }

    #[test]
    fn numbers_are_easy_to_read() {
        for (number, as_count, as_bytes) in [
            (0, "0", "0 B"),
            (999, "999", "999 B"),
            (1000, "1,000", "1.00 kB"),
            (123_456, "123,456", "123 kB"),
            (999_600, "999,600", "1.00 MB"),
            (43_120_000, "43,120,000", "43.1 MB"),
        ] {
            assert_eq!((grouped(number).as_str(), bytes(number).as_str()), (as_count, as_bytes));
        }
    }
}
