//! How a request to Polar is written: where it goes, and what stands around the events.

use std::fmt;

/// Where events are sent.
pub const EVENTS_INGEST_PATH: &str = "/v1/events/ingest";

/// Where events are read back. Without the slash the server redirects.
pub const EVENTS_LIST_PATH: &str = "/v1/events/";

/// The start of a request's body; events with commas between them follow.
pub const BODY_PREFIX: &[u8] = b"{\"events\":[";

/// The end of a request's body.
pub const BODY_SUFFIX: &[u8] = b"]}";

/// How long the server may take, in seconds: a thousand events took it two, twenty thousand twenty-seven.
pub const REQUEST_TIMEOUT_S: u64 = 60;

/// Scope of the token that `floe run` needs.
pub const SCOPE_EVENTS_WRITE: &str = "events:write";

/// Scope of the token that reading events back needs; `events:write` will do as well.
pub const SCOPE_EVENTS_READ: &str = "events:read";

/// A server of Polar's API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    Production,
    /// Polar's own test environment, not `floe sandbox`.
    Sandbox,
    /// Any other, without a slash at its end.
    Url(String),
}

impl Server {
    /// Reads the `server` of the config: `production`, `sandbox` or an http(s) URL. None if it is none of these.
    pub fn of_text(text: &str) -> Option<Server> {
        match text {
            "production" => Some(Server::Production),
            "sandbox" => Some(Server::Sandbox),
            _ => {
                let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
                let has_host = !host.trim_matches('/').is_empty();
                has_host.then(|| Server::Url(text.trim_end_matches('/').to_owned()))
            }
        }
    }

    /// Without a slash at its end; a path is appended as it is.
    pub fn base_url(&self) -> &str {
        match self {
            Server::Production => "https://api.polar.sh",
            Server::Sandbox => "https://sandbox-api.polar.sh",
            Server::Url(url) => url,
        }
    }

    pub fn ingest_url(&self) -> String {
        format!("{}{EVENTS_INGEST_PATH}", self.base_url())
    }
}

/// As the config says it.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Server::Production => "production",
            Server::Sandbox => "sandbox",
            Server::Url(url) => url,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, ingest_url: Option<&str>) {
        assert_eq!(Server::of_text(text).map(|server| server.ingest_url()).as_deref(), ingest_url, "{text}");
    }

    #[test]
    fn a_server_is_a_name_or_a_url() {
        check("production", Some("https://api.polar.sh/v1/events/ingest"));
        check("sandbox", Some("https://sandbox-api.polar.sh/v1/events/ingest"));
        check("http://127.0.0.1:8080/", Some("http://127.0.0.1:8080/v1/events/ingest"));
        check("https://", None);
        check("ftp://host", None);
        check("Production", None);
    }
}
