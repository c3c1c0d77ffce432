//! Which fields the lines of a source can have, where their format says it: a rule that names another one has a
//! mistake, and would wait for it for ever.

use super::language::{Path, Step};
use super::settings::{Columns, Format, SourceSettings};

const ACCESS: &[&str] = &[
    "remote_addr",
    "remote_user",
    "time_local",
    "request",
    "request_method",
    "request_uri",
    "server_protocol",
    "status",
    "body_bytes_sent",
    "http_referer",
    "http_user_agent",
    "rest",
];

/// What Apache writes beside these.
const APACHE: &[&str] = &["remote_logname"];

/// Below a name that ends with a dot there may be anything.
const SYSLOG_RFC5424: &[&str] = &[
    "pri",
    "facility",
    "severity",
    "version",
    "timestamp",
    "hostname",
    "app_name",
    "proc_id",
    "msg_id",
    "sd.",
    "message",
];

const SYSLOG_RFC3164: &[&str] =
    &["pri", "facility", "severity", "timestamp", "hostname", "tag", "pid", "message"];

/// The names of the fields; `None` where the lines say what they are called.
#[must_use]
pub fn names(source: &SourceSettings) -> Option<Vec<&str>> {
    let mut names = match &source.format {
        Format::Json | Format::Logfmt => return None,
        Format::Delimited(delimited) => match &delimited.columns {
            Columns::Named(names) => {
                names.iter().map(String::as_str).filter(|name| !name.is_empty()).collect()
            }
            Columns::FirstLine | Columns::Directive => return None,
        },
        Format::Regex(regex) => regex.capture_names().flatten().collect(),
        Format::NginxCombined => ACCESS.to_vec(),
        Format::ApacheCombined => [ACCESS, APACHE].concat(),
        Format::SyslogRfc5424 => SYSLOG_RFC5424.to_vec(),
        Format::SyslogRfc3164 => SYSLOG_RFC3164.to_vec(),
    };
    names.extend(source.prefix.iter().flat_map(|prefix| prefix.capture_names().flatten()));
    Some(names)
}

/// The name that a path is, in a format without nesting: `a.b` and `"a.b"` are one.
#[must_use]
pub fn name_of(path: &[Step]) -> String {
    let words = path.iter().map(|step| match step {
        Step::Key(key) => key.clone(),
        Step::Index(index) => index.to_string(),
    });
    words.collect::<Vec<_>>().join(".")
}

/// Whether one of these is what `path` names.
#[must_use]
pub fn has<'n>(mut names: impl Iterator<Item = &'n str>, path: &Path) -> bool {
    let wanted = name_of(&path.steps);
    names.any(|name| *name == wanted || (name.ends_with('.') && wanted.starts_with(name)))
}
