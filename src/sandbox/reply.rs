//! The answers of the sandbox, with the words of the real server.

use crate::polar::json::write_string;

/// An answer, before faults and the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    /// Besides `Date` and `Content-Length`.
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    /// The real server closes the connection behind this answer.
    pub closes: bool,
}

impl Reply {
    pub fn json(status: u16, body: impl Into<String>) -> Reply {
        Reply::typed(status, "application/json", body)
    }

    pub fn html(body: impl Into<String>) -> Reply {
        Reply::typed(200, "text/html; charset=utf-8", body)
    }

    pub fn text(body: impl Into<String>) -> Reply {
        Reply::typed(200, "text/plain; charset=utf-8", body)
    }

    fn typed(status: u16, content_type: &str, body: impl Into<String>) -> Reply {
        let headers = vec![("content-type", content_type.to_owned())];
        Reply { status, headers, body: body.into(), closes: false }
    }

    /// A status whose body says nothing.
    pub fn empty(status: u16) -> Reply {
        Reply { status, headers: Vec::new(), body: String::new(), closes: false }
    }

    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Reply {
        self.headers.push((name, value.into()));
        self
    }

    pub fn internal_server_error() -> Reply {
        Reply { closes: true, ..Reply::typed(500, "text/plain; charset=utf-8", "Internal Server Error") }
    }

    pub fn not_found() -> Reply {
        Reply::json(404, r#"{"detail":"Not Found"}"#)
    }

    /// There is no such event, or not for this token.
    pub fn resource_not_found() -> Reply {
        Reply::json(404, r#"{"error":"ResourceNotFound","detail":"Not found"}"#)
    }

    pub fn method_not_allowed(allowed: &'static str) -> Reply {
        Reply::json(405, r#"{"detail":"Method Not Allowed"}"#).with("allow", allowed)
    }

    pub fn unreadable_body() -> Reply {
        Reply::json(400, r#"{"detail":"There was an error parsing the body"}"#)
    }

    pub fn length_required() -> Reply {
        Reply::json(411, r#"{"error": "LengthRequired", "detail": "A Content-Length header is required."}"#)
    }

    pub fn too_large() -> Reply {
        Reply::json(413, r#"{"error": "RequestBodyTooLarge", "detail": "The request body is too large."}"#)
    }

    /// `retry_after_seconds` is the whole window on the real server, even when a second of it is left.
    pub fn throttled(retry_after_seconds: u64) -> Reply {
        Reply::empty(429).with("retry-after", retry_after_seconds.to_string())
    }

    pub fn unauthorized() -> Reply {
        Reply::json(401, r#"{"error":"Unauthorized","detail":"Unauthorized"}"#)
            .with("www-authenticate", r#"Bearer realm="polar""#)
    }

    pub fn invalid_token() -> Reply {
        let why = "The access token provided is expired, revoked, malformed, or invalid for other reasons.";
        Reply::json(401, format!(r#"{{"error": "invalid_token", "error_description": "{why}"}}"#)).with(
            "www-authenticate",
            format!(r#"Bearer realm="polar", error="invalid_token", error_description="{why}""#),
        )
    }

    pub fn insufficient_scope(needed: &[&str]) -> Reply {
        let why = "The request requires higher privileges than provided by the access token.";
        let needed = needed.join(" ");
        let header = format!(
            r#"Bearer realm="polar", scope="{needed}", error="insufficient_scope", error_description="{why}""#
        );
        Reply::json(403, format!(r#"{{"error": "insufficient_scope", "error_description": "{why}"}}"#))
            .with("www-authenticate", header)
    }

    /// A 422 about something that is not an event. `location`, `input` and `context` are JSON.
    pub fn invalid(kind: &str, location: &str, message: &str, input: &str, context: Option<&str>) -> Reply {
        let mut body = String::from(r#"{"error":"RequestValidationError","detail":[{"type":"#);
        write_string(kind, &mut body);
        body.push_str(",\"loc\":");
        body.push_str(location);
        body.push_str(",\"msg\":");
        write_string(message, &mut body);
        body.push_str(",\"input\":");
        body.push_str(input);
        if let Some(context) = context {
            body.push_str(",\"ctx\":");
            body.push_str(context);
        }
        body.push_str("}]}");
        Reply::json(422, body)
    }

    /// A 422 about a text of the path or the query; `place` is one of these, `error` what the parser said.
    pub fn invalid_text(
        kind: &str,
        place: &str,
        name: &str,
        message: &str,
        input: &str,
        error: Option<&str>,
    ) -> Reply {
        let mut location = String::new();
        location.push('[');
        write_string(place, &mut location);
        location.push(',');
        write_string(name, &mut location);
        location.push(']');
        let quoted = |text: &str| {
            let mut out = String::new();
            write_string(text, &mut out);
            out
        };
        let context = error.map(|error| format!("{{\"error\":{}}}", quoted(error)));
        Reply::invalid(kind, &location, message, &quoted(input), context.as_deref())
    }
}
