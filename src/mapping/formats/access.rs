//! `nginx-combined` and `apache-combined`: the access logs that most servers write, Apache's `common` among them.
//!
//! Both have the same fields, and so here the same names, which are nginx's. What a client says stands between quotes
//! with its quotes escaped, so no client can write a field that is not its own.

use std::ops::Range;

use super::scan::Scan;
use super::{Names, NotParsed};
use crate::mapping::slots::{Slots, Written};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Its second word is always `-`, and referer and user agent always stand there.
    Nginx,
    /// Its second word is what identd says. The referer and the user agent are left out in `common`.
    Apache,
}

pub(super) fn read(
    dialect: Dialect,
    text: &str,
    from: usize,
    names: &Names,
    slots: &mut Slots,
) -> Result<(), NotParsed> {
    let mut line = Scan::new(text, from);
    let address = line.word_and_space("the client's address")?;
    names.put(slots, "remote_addr", address, Written::Plain);
    match dialect {
        Dialect::Nginx => line.expect("- ", "\"- \"")?,
        Dialect::Apache => {
            let name = line.word_and_space("the client's identity")?;
            names.put(slots, "remote_logname", name, Written::Escaped);
        }
    }
    let (user, time) = user_and_time(dialect, text, &mut line)?;
    names.put(slots, "remote_user", user, Written::Escaped);
    names.put(slots, "time_local", time, Written::Plain);
    let request = line.until_quote()?;
    put_request(text, request, names, slots);
    line.expect(" ", "a space")?;
    let status = number(text, &mut line, "the status")?;
    names.put(slots, "status", status, Written::Number);
    line.expect(" ", "a space")?;
    let bytes = number(text, &mut line, "the number of bytes")?;
    names.put(slots, "body_bytes_sent", bytes, Written::Number);
    if line.is_at_end() && dialect == Dialect::Apache {
        return Ok(());
    }
    line.expect(" \"", "the referer in quotes")?;
    let referer = line.until_quote()?;
    names.put(slots, "http_referer", referer, Written::Escaped);
    line.expect(" \"", "the user agent in quotes")?;
    let agent = line.until_quote()?;
    names.put(slots, "http_user_agent", agent, Written::Escaped);
    if line.is_at_end() {
        return Ok(());
    }
    line.expect(" ", "a space")?;
    names.put(slots, "rest", line.at()..text.len(), Written::Escaped);
    Ok(())
}

/// `USER [TIME] "`, and moves behind it. A user may hold spaces and brackets, but no quote that is not escaped: so the
/// quote that begins the request is looked for, and the time is what stands right before it.
fn user_and_time(
    dialect: Dialect,
    text: &str,
    line: &mut Scan<'_>,
) -> Result<(Range<usize>, Range<usize>), NotParsed> {
    // Apache's way to write a user without a name.
    let user_is_empty = dialect == Dialect::Apache && line.take("\"\"");
    let start = line.at();
    let expected = Scan::new(text, start).expected("a user, a time in brackets and the request in quotes");
    let head = line.until_quote().map_err(|_| expected.clone())?;
    let inner = text[head].strip_suffix("] ");
    let Some((user, time)) = inner.and_then(|inner| inner.rsplit_once(" [")) else { return Err(expected) };
    if user_is_empty && !user.is_empty() {
        return Err(expected);
    }
    let user = start..start + user.len();
    let time_start = user.end + " [".len();
    Ok((user, time_start..time_start + time.len()))
}

/// A number, or `-`.
fn number(text: &str, line: &mut Scan<'_>, what: &str) -> Result<Range<usize>, NotParsed> {
    let expected = line.expected(what);
    let word = line.word(what)?;
    let said = &text[word.clone()];
    let is_right = said == "-" || said.bytes().all(|byte| byte.is_ascii_digit());
    if is_right { Ok(word) } else { Err(expected) }
}

/// The request, and what it is made of where it has the shape of one: a client may send anything.
fn put_request(text: &str, request: Range<usize>, names: &Names, slots: &mut Slots) {
    names.put(slots, "request", request.clone(), Written::Escaped);
    let said = &text[request.clone()];
    let Some((method, rest)) = said.split_once(' ') else { return };
    if method.is_empty() || !method.bytes().all(is_of_a_token) {
        return;
    }
    let uri = match rest.rsplit_once(' ') {
        Some((uri, protocol)) if protocol.starts_with("HTTP/") => {
            names.put(slots, "server_protocol", request.end - protocol.len()..request.end, Written::Escaped);
            uri
        }
        // HTTP/0.9 has no protocol.
        None if rest.starts_with('/') => rest,
        _ => return,
    };
    let uri_start = request.start + method.len() + 1;
    names.put(slots, "request_method", request.start..request.start + method.len(), Written::Plain);
    names.put(slots, "request_uri", uri_start..uri_start + uri.len(), Written::Escaped);
}

/// RFC 9110, section 5.6.2.
fn is_of_a_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use crate::config::settings::Format::{ApacheCombined, NginxCombined};
    use crate::mapping::formats::tests::{check, refused};

    const TIME: &str = "20/Nov/2026:10:15:32 +0000";

    #[test]
    fn a_line_of_nginx_has_these_fields() {
        let line = r#"203.0.113.7 - acme [20/Nov/2026:10:15:32 +0000] "POST /v1/a?b=c HTTP/1.1" 200 18234 "-" "sdk/1.4 \x22x\x22""#;
        let fields = [
            ("remote_addr", "\"203.0.113.7\""),
            ("remote_user", "\"acme\""),
            ("time_local", "\"20/Nov/2026:10:15:32 +0000\""),
            ("request", "\"POST /v1/a?b=c HTTP/1.1\""),
            ("request_method", "\"POST\""),
            ("request_uri", "\"/v1/a?b=c\""),
            ("server_protocol", "\"HTTP/1.1\""),
            ("status", "200"),
            ("body_bytes_sent", "18234"),
            ("http_referer", "missing"),
            ("http_user_agent", r#""sdk/1.4 \"x\"""#),
            ("remote_logname", "missing"),
            ("rest", "missing"),
        ];
        check(&NginxCombined, line, &fields);
        check(&ApacheCombined, line, &fields);
        let more = [("http_user_agent", r#""sdk/1.4 \"x\"""#), ("rest", "\"0.120 \\\"10.0.0.1\\\"\"")];
        check(&NginxCombined, &format!("{line} 0.120 \"10.0.0.1\""), &more);
    }

    #[test]
    fn a_line_of_apache_may_be_common_and_has_an_identity() {
        let line = r#"host.example ident "" [20/Nov/2026:10:15:32 +0000] "GET /\xc3\xa4\"\\ HTTP/1.0" 304 -"#;
        check(
            &ApacheCombined,
            line,
            &[
                ("remote_addr", "\"host.example\""),
                ("remote_logname", "\"ident\""),
                ("remote_user", "\"\""),
                ("time_local", "\"20/Nov/2026:10:15:32 +0000\""),
                ("request_uri", r#""/ä\"\\""#),
                ("status", "304"),
                ("body_bytes_sent", "missing"),
                ("http_referer", "missing"),
            ],
        );
        refused(&NginxCombined, line, "\"- \" is expected at column 14");
        let line = line.replace("ident", "-");
        refused(&NginxCombined, &line.replace("\"\"", "x"), "the referer in quotes is expected at column 81");
    }

    #[test]
    fn a_user_cannot_write_what_is_not_its_own() {
        for (user, wanted) in [
            ("", "\"\""),
            ("-", "missing"),
            ("John Doe", "\"John Doe\""),
            ("a] [b", "\"a] [b\""),
            (r"x [1] \x22GET / HTTP/1.1\x22 200 1", r#""x [1] \"GET / HTTP/1.1\" 200 1""#),
            (r"\xFC", "\"\u{fffd}\""),
        ] {
            let line = format!(r#"::1 - {user} [{TIME}] "GET / HTTP/1.1" 200 1 "-" "-""#);
            let quoted_time = format!("\"{TIME}\"");
            let fields = [("remote_user", wanted), ("time_local", &quoted_time), ("request_uri", "\"/\"")];
            check(&NginxCombined, &line, &fields);
            check(&ApacheCombined, &line, &fields);
        }
        let line = format!(r#"::1 - a\"b [{TIME}] "GET / HTTP/1.1" 200 1"#);
        check(&ApacheCombined, &line, &[("remote_user", r#""a\"b""#), ("status", "200")]);
    }

    #[test]
    fn only_what_has_the_shape_of_a_request_has_its_parts() {
        for (request, parts) in [
            ("GET / HTTP/1.1", Some(("\"GET\"", "\"/\"", "\"HTTP/1.1\""))),
            ("GET /a b HTTP/2.0", Some(("\"GET\"", "\"/a b\"", "\"HTTP/2.0\""))),
            ("OPTIONS * HTTP/1.1", Some(("\"OPTIONS\"", "\"*\"", "\"HTTP/1.1\""))),
            ("CONNECT a:443 HTTP/1.1", Some(("\"CONNECT\"", "\"a:443\"", "\"HTTP/1.1\""))),
            ("GET /", Some(("\"GET\"", "\"/\"", "missing"))),
            (r"GET /\x22 HTTP/1.1", Some(("\"GET\"", r#""/\"""#, "\"HTTP/1.1\""))),
            ("", None),
            ("-", None),
            ("quit", None),
            (r"\x16\x03\x01", None),
            (r"\x16\x03 / HTTP/1.1", None),
            (" / HTTP/1.1", None),
            ("GET x", None),
            ("GET / x", None),
            ("é / HTTP/1.1", None),
        ] {
            let line = format!(r#"::1 - - [{TIME}] "{request}" 400 0 "-" "-""#);
            let (method, uri, protocol) = parts.unwrap_or(("missing", "missing", "missing"));
            check(
                &NginxCombined,
                &line,
                &[("request_method", method), ("request_uri", uri), ("server_protocol", protocol)],
            );
        }
    }

    #[test]
    fn a_number_of_an_access_log_is_one_of_json() {
        let line = format!(r#"::1 - - [{TIME}] "" 000 - "-" "-""#);
        check(&NginxCombined, &line, &[("status", "0"), ("body_bytes_sent", "missing"), ("request", "\"\"")]);
    }

    #[test]
    fn a_line_that_is_cut_or_is_something_else_is_refused() {
        #[track_caller]
        fn check_refused(line: &str, wanted: &str) {
            for format in [NginxCombined, ApacheCombined] {
                refused(&format, line, wanted);
            }
        }
        let head = "a user, a time in brackets and the request in quotes";
        check_refused("", "the client's address is expected at column 1");
        check_refused("::1", "a space is expected at column 4");
        check_refused("::1 - - x", &format!("{head} is expected at column 7"));
        check_refused("::1 - - [t]\"GET", &format!("{head} is expected at column 7"));
        check_refused("::1 - - t] \"GET", &format!("{head} is expected at column 7"));
        check_refused("::1 - - [t] \"GET", "the quote at column 13 is not closed");
        check_refused("::1 - - [t] \"GET\"", "a space is expected at column 18");
        check_refused("::1 - - [t] \"GET\" ", "the status is expected at column 19");
        check_refused("::1 - - [t] \"GET\" 2x0 1", "the status is expected at column 19");
        check_refused("::1 - - [t] \"GET\" 200 1.5", "the number of bytes is expected at column 23");
        check_refused("::1 - - [t] \"GET\" 200 1 x", "the referer in quotes is expected at column 24");
        check_refused("::1 - - [t] \"GET\" 200 1 \"x", "the quote at column 25 is not closed");
        check_refused("::1 - - [t] \"GET\" 200 1 \"x\"", "the user agent in quotes is expected at column 28");
        check_refused("::1 - - [t] \"GET\" 200 1 \"\" \"\"x", "a space is expected at column 30");
    }
}
