//! The sandbox against the recorded answers of Polar's real server.
//!
//! `tests/data/polar/conformance.jsonl` has one case a line: the requests sent, and what the server answered. Alike
//! means: the same status; for a 422 the same events named; for a 200 of the ingest the same counts. Sent as raw
//! HTTP over loopback, since some of the requests are ones that no client library would send.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use floe::polar::answer::AnswerHead;
use floe::polar::{Answer, read_answer};
use floe::sandbox::{Fixtures, Sandbox, SandboxHandle, SandboxOptions};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

const CASES: &str = include_str!("data/polar/conformance.jsonl");

/// Cases in which the sandbox differs on purpose, with the reason.
const DIFFERENT_ON_PURPOSE: [(&str, &str); 0] = [];

const ORGANIZATION: &str = "5d8b1a52-0f57-4a35-9a36-0f4ba6c8a001";
const CUSTOMER: &str = "5d8b1a52-0f57-4a35-9a36-0f4ba6c8a002";
const MEMBER: &str = "5d8b1a52-0f57-4a35-9a36-0f4ba6c8a003";
const OTHER_ORGANIZATION: &str = "5d8b1a52-0f57-4a35-9a36-0f4ba6c8a004";
const OTHER_CUSTOMER: &str = "5d8b1a52-0f57-4a35-9a36-0f4ba6c8a005";

#[derive(Deserialize)]
struct Case {
    case: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    auth: String,
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
    body_base64: Option<String>,
    #[serde(default)]
    chunked: bool,
    status: u16,
    #[serde(default)]
    response_headers: BTreeMap<String, String>,
    /// As text; null where it was too long or a list.
    response: Option<String>,
    /// Only of a 422.
    bad_events: Option<Vec<u32>>,
}

struct Received {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

fn sandbox() -> SandboxHandle {
    let token = |name: &str, scopes: &[&str]| serde_json::json!({"token": format!("polar_oat_{name}"), "scopes": scopes});
    let mut expired = token("expired", &["events:read", "events:write"]);
    expired["expires_at"] = "2020-01-01T00:00:00Z".into();
    let fixtures = serde_json::json!({
        "organizations": [
            {
                "id": ORGANIZATION,
                "tokens": [
                    token("rw", &["events:read", "events:write"]),
                    token("readonly", &["events:read"]),
                    token("writeonly", &["events:write"]),
                    token("noscope", &["customers:read"]),
                    expired,
                ],
                "customers": [{
                    "id": CUSTOMER,
                    "external_id": "cust_ext_1",
                    "members": [{"id": MEMBER, "external_id": "mem_ext_1"}],
                }],
            },
            {
                "id": OTHER_ORGANIZATION,
                "tokens": [token("other_org", &["events:read", "events:write"])],
                "customers": [{"id": OTHER_CUSTOMER}],
            },
        ],
        "users": [{
            "token": "polar_pat_pat",
            "scopes": ["events:read", "events:write"],
            "organizations": [ORGANIZATION],
        }],
    });
    let fixtures = Fixtures::of_json(&fixtures.to_string()).expect("the fixtures are right");
    Sandbox::start(SandboxOptions { fixtures, ..SandboxOptions::default() }).expect("the sandbox starts")
}

/// Puts values where the recording has placeholders.
fn filled(text: &str, sandbox: &SandboxHandle) -> String {
    let mut out = text
        .replace("$ORG$", ORGANIZATION)
        .replace("$CUSTOMER$", CUSTOMER)
        .replace("$MEMBER$", MEMBER)
        .replace("$OTHER_CUSTOMER$", OTHER_CUSTOMER)
        .replace("$BASE$", &sandbox.url())
        .replace("$RUN$", "run");
    for digit in 0..10 {
        out = out.replace(&format!("$UUID{digit}$"), &format!("00000000-0000-4000-8000-00000000000{digit}"));
    }
    while let Some(start) = out.find("$NOW") {
        let length = out[start + 1..].find('$').expect("a placeholder ends with $") + 2;
        let seconds: i64 =
            out[start + 4..start + length - 1].parse().expect("a placeholder of time has seconds");
        let moment = Timestamp::now() + SignedDuration::from_secs(seconds);
        out.replace_range(start..start + length, &moment.to_string());
    }
    out
}

fn send(step: &Step, sandbox: &SandboxHandle) -> Received {
    let body = match (&step.body, &step.body_base64) {
        (Some(body), _) => filled(body, sandbox).into_bytes(),
        (None, Some(body)) => base64(body),
        (None, None) => Vec::new(),
    };
    let mut request = format!("{} {} HTTP/1.1\r\n", step.method, filled(&step.path, sandbox));
    let mut header = |name: &str, value: &str| request.extend([name, ": ", value, "\r\n"]);
    header("Host", &sandbox.address().to_string());
    header("Connection", "close");
    let overridden = |name: &str| step.headers.keys().any(|key| key.eq_ignore_ascii_case(name));
    match step.auth.as_str() {
        "none" => {}
        _ if overridden("authorization") => {}
        "garbage" => header("Authorization", "Bearer garbage"),
        "pat" => header("Authorization", "Bearer polar_pat_pat"),
        name => header("Authorization", &format!("Bearer polar_oat_{name}")),
    }
    if step.method != "GET" && !overridden("content-type") {
        header("Content-Type", "application/json");
    }
    for (name, value) in &step.headers {
        header(name, &filled(value, sandbox));
    }
    if step.chunked {
        header("Transfer-Encoding", "chunked");
    } else if step.method != "GET" && !overridden("content-length") {
        header("Content-Length", &body.len().to_string());
    }
    request.push_str("\r\n");
    let mut bytes = request.into_bytes();
    if step.chunked {
        bytes.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
        bytes.extend_from_slice(&body);
        bytes.extend_from_slice(b"\r\n0\r\n\r\n");
    } else {
        bytes.extend_from_slice(&body);
    }
    exchange(&bytes, sandbox)
}

fn exchange(request: &[u8], sandbox: &SandboxHandle) -> Received {
    let mut stream = TcpStream::connect(sandbox.address()).expect("the sandbox listens");
    stream.write_all(request).expect("the sandbox reads the request");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the sandbox answers and closes");
    let answer = String::from_utf8(answer).expect("the sandbox writes UTF-8");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("an answer has a status");
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    Received {
        status: status.parse().expect("a status is a number"),
        headers: headers.collect(),
        body: body.to_owned(),
    }
}

fn base64(text: &str) -> Vec<u8> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let value =
        |letter: u8| LETTERS.iter().position(|&known| known == letter).expect("a letter of base64") as u32;
    let letters: Vec<u32> = text.bytes().filter(|&letter| letter != b'=').map(value).collect();
    let mut bytes = Vec::new();
    for group in letters.chunks(4) {
        let number = group.iter().fold(0, |number, letter| number << 6 | letter) << (6 * (4 - group.len()));
        bytes.extend_from_slice(&number.to_be_bytes()[1..group.len()]);
    }
    bytes
}

/// What differs between the answer and the recording, if anything.
fn difference(step: &Step, received: &Received) -> Option<String> {
    if received.status != step.status {
        return Some(format!("status {} instead of {}: {}", received.status, step.status, received.body));
    }
    let head = AnswerHead { status: received.status, ..AnswerHead::default() };
    let answer = read_answer(&head, received.body.as_bytes());
    if let Some(bad_events) = &step.bad_events {
        let Answer::Invalid { named } = &answer else { return Some(format!("not a 422: {answer:?}")) };
        let named: Vec<u32> = named.iter().map(|event| event.index).collect();
        if named != *bad_events {
            return Some(format!("events {named:?} named instead of {bad_events:?}"));
        }
    }
    if step.status == 200 && step.method == "POST" {
        let recorded = step.response.as_deref().expect("the counts of a 200 are recorded");
        if answer != read_answer(&head, recorded.as_bytes()) {
            return Some(format!("{} instead of {recorded}", received.body));
        }
    }
    None
}

/// Beyond what "alike" asks for: bodies and headers word for word, but for what cannot be the same.
fn wording(step: &Step, received: &Received, sandbox: &SandboxHandle) -> Option<String> {
    for (name, recorded) in &step.response_headers {
        let recorded = filled(recorded, sandbox);
        if received.headers.get(name) != Some(&recorded) {
            return Some(format!("{name}: {:?} instead of {recorded:?}", received.headers.get(name)));
        }
    }
    let recorded = filled(step.response.as_deref()?, sandbox);
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|_| Value::from(text));
    let names_now = step.body.as_ref().is_some_and(|body| body.contains("$NOW"));
    (!names_now && parsed(&recorded) != parsed(&received.body))
        .then(|| format!("{} instead of {recorded}", received.body))
}

fn run(check: impl Fn(&Step, &Received, &SandboxHandle) -> Option<String>) -> Vec<String> {
    let sandbox = sandbox();
    let mut differences = Vec::new();
    let mut cases = 0;
    for line in CASES.lines() {
        let case: Case = serde_json::from_str(line).expect("a case is one line of JSON");
        cases += 1;
        if DIFFERENT_ON_PURPOSE.iter().any(|(name, _)| *name == case.case) {
            continue;
        }
        for (number, step) in (1..).zip(&case.steps) {
            let received = send(step, &sandbox);
            if let Some(difference) = check(step, &received, &sandbox) {
                differences.push(format!("{} (step {number}): {difference}", case.case));
            }
        }
    }
    assert_eq!(cases, 119, "no case is lost");
    differences
}

#[test]
fn the_sandbox_answers_as_the_real_server_did() {
    let differences = run(|step, received, _| difference(step, received));
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn the_words_are_those_of_the_real_server_too() {
    let differences = run(wording);
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}
