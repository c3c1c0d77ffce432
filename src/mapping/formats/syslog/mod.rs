//! `syslog-rfc5424` and `syslog-rfc3164`, and the priority that both begin with.

mod rfc3164;
mod rfc5424;

pub(super) use rfc3164::read as read_rfc3164;
pub(super) use rfc5424::read as read_rfc5424;

use super::scan::Scan;
use super::{Names, NotParsed};
use crate::mapping::slots::{Slots, Written};

/// The fields that are computed from the priority: their texts do not stand in the line.
pub(super) const COMPUTED: &[&str] = &["facility", "severity"];

/// 23 facilities of 8 severities each.
const PRIORITY_MAX: u8 = 191;

/// Reads `<134>`. The facility and the severity in it are numbers, so that they can be compared.
fn priority(text: &str, line: &mut Scan<'_>, names: &Names, slots: &mut Slots) -> Result<(), NotParsed> {
    let expected = line.expected("a priority such as <134>");
    if !line.take("<") {
        return Err(expected);
    }
    let digits = line.digits();
    let said = &text[digits.clone()];
    let is_right = said.parse().is_ok_and(|priority: u8| priority <= PRIORITY_MAX)
        && (said == "0" || !said.starts_with('0'));
    if !is_right || !line.take(">") {
        return Err(expected);
    }
    names.put(slots, "pri", digits.clone(), Written::Number);
    names.put(slots, "facility", digits.clone(), Written::Facility);
    names.put(slots, "severity", digits, Written::Severity);
    Ok(())
}

/// RFC 3339 with an offset.
fn is_timestamp(text: &str) -> bool {
    crate::mapping::instant::read_rfc3339(text).is_some()
}
