//! `[polar]`: where to send to, and as whom.

use std::path::PathBuf;
use std::time::Duration;

use super::{Context, segment_key};
use crate::config::fault::{self, Fault};
use crate::config::node::Node;
use crate::config::reader::{Report, TableReader};
use crate::config::settings::{LiveFrom, Mode, PolarSettings, TokenSource};

const PRODUCTION: &str = "https://api.polar.sh";
const SANDBOX: &str = "https://sandbox-api.polar.sh";
const TOKEN_VARIABLE: &str = "POLAR_ACCESS_TOKEN";
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);

pub(super) fn read(context: &Context<'_>, node: Option<&Node>) -> Option<PolarSettings> {
    let report = context.report;
    let Some(node) = node else { return Some(defaults(context)) };
    let table = report.open("polar", node)?;
    let defaults = defaults(context);
    let timeout = Duration::from_secs(1)..=Duration::from_mins(10);
    let settings = PolarSettings {
        base_url: table.or("server", defaults.base_url, |node| server(report, node)),
        token: token(context, &table).unwrap_or(defaults.token),
        mode: table.or("mode", defaults.mode, |node| {
            report.choice(node, &[("live", Mode::Live), ("shadow", Mode::Shadow)])
        }),
        proxy: table.optional("proxy").and_then(|node| url(report, node, &["http", "https"])),
        ca_file: table.optional("ca_file").and_then(|node| context.path(node)),
        request_timeout: table
            .or("request_timeout", defaults.request_timeout, |node| report.duration(node, &timeout)),
        live_from: table.optional("live_from").and_then(|node| live_from(report, node)),
        reconcile_key: segment_key::read(report, &table),
    };
    table.finish();
    Some(settings)
}

fn defaults(context: &Context<'_>) -> PolarSettings {
    let token = if context.has_credential {
        TokenSource::Credential
    } else {
        TokenSource::Environment(TOKEN_VARIABLE.into())
    };
    PolarSettings {
        base_url: PRODUCTION.into(),
        token,
        mode: Mode::Live,
        proxy: None,
        ca_file: None,
        request_timeout: REQUEST_TIMEOUT,
        live_from: None,
        reconcile_key: None,
    }
}

fn token(context: &Context<'_>, table: &TableReader<'_>) -> Option<TokenSource> {
    let file = table.optional("token_file");
    let variable = table.optional("token_env");
    if let (Some(file), Some(variable)) = (file, variable) {
        context.report.push(
            Fault::at(&variable.place, "the token comes from a file and from a variable")
                .beside(&file.place, "the file")
                .hint("keep one of token_file and token_env"),
        );
    }
    if let Some(node) = file {
        return context.path(node).map(TokenSource::File);
    }
    let node = variable?;
    let name = context.report.some_text(node)?;
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_name || name.starts_with("polar_oat") || name.starts_with("polar_pat") {
        context.report.push(
            Fault::at(&node.place, "this is no name of an environment variable").hint(
                "token_env names the variable that holds the token; the token itself never stands here",
            ),
        );
    }
    Some(TokenSource::Environment(name.to_owned()))
}

fn live_from(report: &Report, node: &Node) -> Option<LiveFrom> {
    match report.some_text(node)? {
        "beginning" => Some(LiveFrom::Beginning),
        "shadow" => Some(LiveFrom::Shadow),
        text => match text.parse() {
            Ok(time) => Some(LiveFrom::Time(time)),
            Err(_) => {
                let message = format!("expected \"beginning\", \"shadow\" or a time, found \"{text}\"");
                let hint = "write a time with its offset: live_from = \"2026-12-01T00:00:00Z\"";
                report.push(Fault::at(&node.place, message).hint(hint));
                None
            }
        },
    }
}

fn server(report: &Report, node: &Node) -> Option<String> {
    let text = report.some_text(node)?;
    match text {
        "production" => Some(PRODUCTION.into()),
        "sandbox" => Some(SANDBOX.into()),
        _ if text.contains("://") => url(report, node, &["http", "https"]),
        _ => {
            let hint = match fault::nearest(text, ["production", "sandbox"]) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => "choose \"production\", \"sandbox\" or a URL: \"http://127.0.0.1:8080\"".into(),
            };
            report.push(Fault::at(&node.place, format!("unknown server \"{text}\"")).hint(hint));
            None
        }
    }
}

/// The URL without a trailing slash. Only its shape is checked; whether somebody answers is seen at run time.
fn url(report: &Report, node: &Node, schemes: &[&str]) -> Option<String> {
    let text = report.some_text(node)?;
    let problem = match text.split_once("://") {
        Some((scheme, rest)) if schemes.contains(&scheme) => url_problem(rest),
        _ => Some("expected an http or https URL"),
    };
    if let Some(problem) = problem {
        let hint = "write it like \"https://polar.example.com\"";
        report.push(Fault::at(&node.place, problem).hint(hint));
        return None;
    }
    Some(text.trim_end_matches('/').to_owned())
}

fn url_problem(rest: &str) -> Option<&'static str> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if host.is_empty() {
        return Some("this URL has no host");
    }
    if !host.is_ascii() {
        return Some("a host name outside of ASCII is written in its ASCII form, \"xn--…\"");
    }
    if authority.contains('@') {
        return Some("a URL with a password in it would be logged");
    }
    if rest.contains(['?', '#']) || rest.contains(char::is_whitespace) {
        return Some("this URL has more than a host and a path");
    }
    port.filter(|port| port.parse::<u16>().is_err()).map(|_| "the port of this URL is no number up to 65535")
}

/// The file that systemd hands a credential over in.
pub(crate) fn credential_path(directory: &str) -> PathBuf {
    PathBuf::from(directory).join("polar-token")
}

#[cfg(test)]
mod tests {
    use super::url_problem;

    #[test]
    fn a_url_is_a_host_in_ascii_with_a_port_and_a_path() {
        for fine in ["polar.example.com", "127.0.0.1:8080/v1", "[::1]:8080", "[::1]", "xn--plar-6qa.example"]
        {
            assert_eq!(url_problem(fine), None, "{fine}");
        }
        for (rest, about) in [
            ("/v1", "no host"),
            ("pølar.example", "ASCII"),
            ("me:secret@example.com", "password"),
            ("example.com/?a", "more than a host"),
            ("example.com:70000", "no number up to 65535"),
        ] {
            let problem = url_problem(rest).unwrap_or_default();
            assert!(problem.contains(about), "{rest}: {problem}");
        }
    }
}
