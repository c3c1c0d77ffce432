//! What each path answers: made of one snapshot, and of nothing else.

use super::exposition::Syntax;
use super::metrics;
use super::snapshot::Snapshot;
use super::status::StatusDocument;

/// One static page; it asks `/status` again and again.
const PAGE: &str = include_str!("page.html");

/// Nothing but the page's own script and style, and nothing from elsewhere.
pub const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; frame-ancestors 'none'";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub content_type: &'static str,
    pub body: String,
}

/// What a path needs to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    Page,
    Metrics,
    Healthz,
    Readyz,
    Status,
}

impl Route {
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        match path {
            "/" => Some(Self::Page),
            "/metrics" => Some(Self::Metrics),
            "/healthz" => Some(Self::Healthz),
            "/readyz" => Some(Self::Readyz),
            "/status" => Some(Self::Status),
            _ => None,
        }
    }

    /// The answer. `snapshot` is `None` where the agent did not answer in time.
    #[must_use]
    pub fn reply(self, snapshot: Option<&Snapshot>, accept: Option<&str>) -> Reply {
        let text = |status, body: &str| Reply { status, content_type: TEXT, body: format!("{body}\n") };
        if self == Self::Page {
            return Reply { status: 200, content_type: "text/html; charset=utf-8", body: PAGE.to_owned() };
        }
        let Some(snapshot) = snapshot else {
            return text(503, "the agent does not answer: it is stuck, or the machine is very slow");
        };
        match self {
            Self::Page | Self::Healthz => text(200, "ok"),
            Self::Readyz => match snapshot.not_ready() {
                Some(why) => text(503, &format!("not ready\n{why}")),
                None => text(200, &ready(snapshot)),
            },
            Self::Metrics => {
                let syntax = Syntax::wanted(accept);
                let body = metrics::render(snapshot, syntax);
                Reply { status: 200, content_type: syntax.content_type(), body }
            }
            Self::Status => Reply {
                status: 200,
                content_type: "application/json",
                body: StatusDocument::of(snapshot).json(),
            },
        }
    }
}

/// Ready, and what is not as it should be.
fn ready(snapshot: &Snapshot) -> String {
    let held_back = snapshot.numbers.overview.status.blocked.iter().map(|why| format!("held back: {why}"));
    let conditions = snapshot.told.conditions.values();
    let conditions = conditions.map(|said| format!("{}: {}", said.notice.code.code(), said.notice.message));
    let lines: Vec<String> = std::iter::once("ready".to_owned()).chain(held_back).chain(conditions).collect();
    lines.join("\n")
}

const TEXT: &str = "text/plain; charset=utf-8";

/// No such path.
#[must_use]
pub fn not_found() -> Reply {
    let body = "there is /, /metrics, /healthz, /readyz and /status\n".to_owned();
    Reply { status: 404, content_type: TEXT, body }
}

/// Nothing can be changed here.
#[must_use]
pub fn not_allowed() -> Reply {
    Reply { status: 405, content_type: TEXT, body: "only GET and HEAD\n".to_owned() }
}
