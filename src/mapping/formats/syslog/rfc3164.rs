//! `<34>Oct 11 22:14:15 host su[42]: message`: what RFC 3164 found in use, and what files of rsyslog hold.
//!
//! The priority is rarely in a file. The time says no year and no zone; Floe guesses neither, so it is a text that no
//! pipe can read. Where rsyslog writes its high-precision time, RFC 3339 stands in its place and can be read.

use std::ops::Range;

use super::{is_timestamp, priority};
use crate::mapping::formats::scan::Scan;
use crate::mapping::formats::{Names, NotParsed};
use crate::mapping::slots::{Slots, Written};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

pub(in crate::mapping::formats) fn read(
    text: &str,
    from: usize,
    names: &Names,
    slots: &mut Slots,
) -> Result<(), NotParsed> {
    let mut line = Scan::new(text, from);
    if line.rest().starts_with('<') {
        priority(text, &mut line, names, slots)?;
    }
    let time = time(text, &mut line)?;
    names.put(slots, "timestamp", time, Written::Plain);
    line.expect(" ", "a space")?;
    let hostname = line.word("a hostname")?;
    names.put(slots, "hostname", hostname, Written::Plain);
    if line.is_at_end() {
        return Ok(());
    }
    line.expect(" ", "a space")?;
    if let Some(tag) = tag(line.rest()) {
        let start = line.at();
        names.put(slots, "tag", start..start + tag.name, Written::Plain);
        if let Some(pid) = tag.pid {
            names.put(slots, "pid", start + pid.start..start + pid.end, Written::Plain);
        }
        line = Scan::new(text, start + tag.length);
        line.take(" ");
    }
    names.put(slots, "message", line.at()..text.len(), Written::Plain);
    Ok(())
}

/// `Oct 11 22:14:15`, `Oct  1 22:14:15`, or RFC 3339.
fn time(text: &str, line: &mut Scan<'_>) -> Result<Range<usize>, NotParsed> {
    let expected = line.expected("a time such as Oct 11 22:14:15");
    let start = line.at();
    let first = line.word("a time")?;
    let first = &text[first];
    if is_timestamp(first) {
        return Ok(start..line.at());
    }
    if !MONTHS.contains(&first) || !line.take(" ") {
        return Err(expected);
    }
    line.take(" ");
    let day = line.digits();
    let has_day = text[day].parse().is_ok_and(|day: u8| (1..=31).contains(&day));
    if !has_day || !line.take(" ") {
        return Err(expected);
    }
    let clock = line.until(|byte| byte == b' ');
    if is_clock(text[clock].as_bytes()) { Ok(start..line.at()) } else { Err(expected) }
}

/// `22:14:15`.
fn is_clock(text: &[u8]) -> bool {
    let shape = |(byte, wanted): (&u8, u8)| match wanted {
        b'0' => byte.is_ascii_digit(),
        sign => *byte == sign,
    };
    text.len() == 8 && text.iter().zip(*b"00:00:00").all(shape)
}

/// What names the program at the start of a message.
struct Tag {
    /// Length of the name.
    name: usize,
    pid: Option<Range<usize>>,
    /// Length of it all, with the colon.
    length: usize,
}

/// `name:`, `name[pid]:` or `name[pid]`. A first word without such an end is part of the message, as in
/// `last message repeated 2 times`.
fn tag(rest: &str) -> Option<Tag> {
    let word = &rest[..memchr::memchr(b' ', rest.as_bytes()).unwrap_or(rest.len())];
    if let Some(open) = word.find('[').filter(|open| *open > 0)
        && let Some(length) = word[open..].find(']')
    {
        let close = open + length;
        let after = &word[close + 1..];
        if after.is_empty() || after.starts_with(':') {
            return Some(Tag {
                name: open,
                pid: Some(open + 1..close),
                length: close + 1 + usize::from(!after.is_empty()),
            });
        }
    }
    let name = word.strip_suffix(':').filter(|name| !name.is_empty())?;
    Some(Tag { name: name.len(), pid: None, length: word.len() })
}

#[cfg(test)]
mod tests {
    use crate::config::settings::Format::SyslogRfc3164;
    use crate::mapping::formats::tests::{check, refused};

    #[test]
    fn a_whole_line_has_these_fields() {
        check(
            &SyslogRfc3164,
            "<34>Oct 11 22:14:15 mymachine su[42]: 'su root' failed",
            &[
                ("pri", "34"),
                ("facility", "4"),
                ("severity", "2"),
                ("timestamp", "\"Oct 11 22:14:15\""),
                ("hostname", "\"mymachine\""),
                ("tag", "\"su\""),
                ("pid", "\"42\""),
                ("message", "\"'su root' failed\""),
            ],
        );
    }

    #[test]
    fn the_time_is_a_text_unless_it_is_rfc_3339() {
        for (time, wanted) in [
            ("Nov  1 00:03:01", "\"Nov  1 00:03:01\""),
            ("Nov 1 00:03:01", "\"Nov 1 00:03:01\""),
            ("2026-11-21T00:03:01.332446+00:00", "\"2026-11-21T00:03:01.332446+00:00\""),
        ] {
            let fields = [("timestamp", wanted), ("hostname", "\"vm\""), ("pri", "missing")];
            check(&SyslogRfc3164, &format!("{time} vm a: b"), &fields);
        }
    }

    #[test]
    fn the_tag_ends_with_a_colon_or_a_pid() {
        for (rest, tag, pid, message) in [
            ("haproxy[998]: a", "\"haproxy\"", "\"998\"", "\"a\""),
            ("kernel: [ 1.5] a: b", "\"kernel\"", "missing", "\"[ 1.5] a: b\""),
            ("postfix/smtpd[1]: a", "\"postfix/smtpd\"", "\"1\"", "\"a\""),
            ("Foo::Bar[1]: a", "\"Foo::Bar\"", "\"1\"", "\"a\""),
            ("app[1]:a", "\"app\"", "\"1\"", "\"a\""),
            ("app[1] a", "\"app\"", "\"1\"", "\"a\""),
            ("app[-]: a", "\"app\"", "missing", "\"a\""),
            ("app[]: a", "\"app\"", "\"\"", "\"a\""),
            ("app:  a", "\"app\"", "missing", "\" a\""),
            ("app:", "\"app\"", "missing", "\"\""),
            ("last message repeated 2 times", "missing", "missing", "\"last message repeated 2 times\""),
            ("http://x y", "missing", "missing", "\"http://x y\""),
            ("[1]: a", "\"[1]\"", "missing", "\"a\""),
            (": a", "missing", "missing", "\": a\""),
            ("é[é]: é", "\"é\"", "\"é\"", "\"é\""),
            ("a[b]c: d", "\"a[b]c\"", "missing", "\"d\""),
            ("a[b: d]", "\"a[b\"", "missing", "\"d]\""),
            ("", "missing", "missing", "\"\""),
        ] {
            let fields = [("tag", tag), ("pid", pid), ("message", message)];
            check(&SyslogRfc3164, &format!("Nov 21 00:03:01 vm {rest}"), &fields);
        }
        check(&SyslogRfc3164, "Nov 21 00:03:01 vm", &[("hostname", "\"vm\""), ("message", "missing")]);
    }

    #[test]
    fn what_does_not_begin_with_a_time_and_a_host_is_refused() {
        let time = "a time such as Oct 11 22:14:15 is expected at column";
        for (line, wanted) in [
            ("", "a time is expected at column 1"),
            ("<34>", "a time is expected at column 5"),
            ("<340>Oct 11 22:14:15 a b", "a priority such as <134> is expected at column 1"),
            ("<34>1 2026-11-21T00:03:01Z a", &format!("{time} 5")),
            ("Okt 11 22:14:15 a b", &format!("{time} 1")),
            ("Oct 32 22:14:15 a b", &format!("{time} 1")),
            ("Oct 0 22:14:15 a b", &format!("{time} 1")),
            ("Oct 11 22:14 a b", &format!("{time} 1")),
            ("Oct 11 22:14:1é a b", &format!("{time} 1")),
            ("Oct 11", &format!("{time} 1")),
            ("2026-11-21T00:03:01 a b", &format!("{time} 1")),
            ("Oct 11 22:14:15", "a space is expected at column 16"),
            ("Oct 11 22:14:15 ", "a hostname is expected at column 17"),
            ("Oct 11 22:14:15  a", "a hostname is expected at column 17"),
        ] {
            refused(&SyslogRfc3164, line, wanted);
        }
    }
}
