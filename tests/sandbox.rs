//! The sandbox beyond the recorded cases: what it remembers, what it gives back, and how it fails on demand.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use floe::sandbox::{FaultKind, FaultPlan, Sandbox, SandboxHandle, SandboxOptions};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

fn start(options: SandboxOptions) -> SandboxHandle {
    Sandbox::start(options).expect("the sandbox starts")
}

fn with_faults(plan: &str) -> SandboxHandle {
    let faults = plan.parse().expect("the plan is right");
    start(SandboxOptions { faults, ..SandboxOptions::default() })
}

fn kept_in(path: &Path) -> SandboxHandle {
    start(SandboxOptions { store: Some(path.to_owned()), ..SandboxOptions::default() })
}

/// The whole answer as it came, which may be nothing.
fn send(sandbox: &SandboxHandle, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(sandbox.address()).expect("the sandbox listens");
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: sandbox\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        sandbox.token(),
        body.len()
    );
    // A fault may drop the connection before all is written, or reset it.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).expect("the sandbox writes UTF-8")
}

fn ingest(sandbox: &SandboxHandle, events: &str) -> String {
    send(sandbox, "POST", "/v1/events/ingest", &format!("{{\"events\":[{events}]}}"))
}

fn get(sandbox: &SandboxHandle, path: &str) -> Value {
    let answer = send(sandbox, "GET", path, "");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    assert!(head.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    serde_json::from_str(body).expect("the answer is JSON")
}

fn event(external_id: &str, rest: &str) -> String {
    format!(r#"{{"name":"call","external_customer_id":"ada","external_id":"{external_id}"{rest}}}"#)
}

#[track_caller]
fn check_status(answer: &str, status: u16) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {answer}");
}

#[test]
fn an_external_id_counts_once_for_ever() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let path = folder.path().join("store.jsonl");
    let sandbox = kept_in(&path);
    check_status(&ingest(&sandbox, &[event("a", ""), event("b", "")].join(",")), 200);
    sandbox.stop();

    let mut torn = std::fs::read(&path).expect("the store is there");
    torn.extend_from_slice(b"{\"organization_id\":\"0f10");
    std::fs::write(&path, torn).expect("the store can be written");

    let sandbox = kept_in(&path);
    let answer = ingest(&sandbox, &[event("b", ""), event("c", "")].join(",\n"));
    assert!(answer.ends_with(r#"{"inserted":1,"duplicates":1}"#), "{answer}");
    assert_eq!(sandbox.external_ids(), ["a", "b", "c"]);
    sandbox.stop();
    assert_eq!(kept_in(&path).stats().events, 3);
}

#[test]
fn events_are_read_back_by_what_they_say() {
    let sandbox = start(SandboxOptions::default());
    let events = [
        event("1", r#","timestamp":"2026-01-01T00:00:00Z","metadata":{"model":"m","n":1}"#),
        event("2", r#","timestamp":"2026-01-02T00:00:00Z","metadata":{"model":"m"},"parent_id":"1""#),
        event("3", r#","timestamp":"2026-01-03T00:00:00Z","parent_id":"never""#),
        r#"{"name":"other","external_customer_id":"bob","timestamp":"2026-01-04T00:00:00Z"}"#.to_owned(),
    ];
    check_status(&ingest(&sandbox, &events.join(",")), 200);

    let found = |query: &str| {
        let list = get(&sandbox, &format!("/v1/events/?{query}"));
        let items = list["items"].as_array().expect("a list has items").clone();
        items
            .iter()
            .map(|item| item["timestamp"].as_str().expect("a timestamp")[8..10].to_owned())
            .collect::<Vec<_>>()
    };
    // The third is invisible: its parent never came.
    assert_eq!(found(""), ["04", "02", "01"]);
    assert_eq!(found("sorting=timestamp"), ["01", "02", "04"]);
    assert_eq!(found("limit=1&page=2"), ["02"]);
    assert_eq!(found("name=other"), ["04"]);
    assert_eq!(found("name=other&name=call&sorting=timestamp"), ["01", "02", "04"]);
    assert_eq!(found("external_customer_id=ada"), ["02", "01"]);
    assert_eq!(found("metadata%5Bmodel%5D=m&metadata%5Bn%5D=1"), ["01"]);
    assert_eq!(found("start_timestamp=2026-01-02T00:00:00Z&end_timestamp=2026-01-03T12:00:00Z"), ["02"]);
    assert_eq!(found("source=system"), [""; 0]);

    let list = get(&sandbox, "/v1/events/?sorting=timestamp&limit=1");
    assert_eq!(list["pagination"], serde_json::json!({"total_count": 3, "max_page": 3}));
    let first = &list["items"][0];
    assert_eq!(first["child_count"], 1);
    assert_eq!(first["external_id"], Value::Null, "the real server does not tell it");
    let id = first["id"].as_str().expect("an event has an id");
    assert_eq!(get(&sandbox, &format!("/v1/events/{id}")), *first);
    assert_eq!(found(&format!("parent_id={id}")), ["02"]);

    let read: floe::polar::stored::Page<floe::polar::stored::Event> =
        serde_json::from_value(list.clone()).expect("the client's types fit");
    assert_eq!(read.items[0].metadata["model"], "m");

    let names = get(&sandbox, "/v1/events/names?sorting=-occurrences");
    assert_eq!((&names["items"][0]["name"], &names["items"][0]["occurrences"]), (&"call".into(), &2.into()));
}

#[test]
fn the_rate_limit_is_a_window_of_a_minute() {
    let sandbox = start(SandboxOptions { rate_limit_per_minute: Some(2), ..SandboxOptions::default() });
    check_status(&ingest(&sandbox, ""), 200);
    check_status(&send(&sandbox, "GET", "/v1/events/", ""), 200);
    let answer = ingest(&sandbox, "");
    check_status(&answer, 429);
    assert!(answer.contains("retry-after: 60\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    sandbox.set_clock_offset(SignedDuration::from_secs(61));
    check_status(&ingest(&sandbox, ""), 200);
}

#[test]
fn the_future_begins_at_the_sandboxs_clock() {
    let sandbox = start(SandboxOptions::default());
    let soon = Timestamp::now() + SignedDuration::from_secs(600);
    let ahead = event("soon", &format!(r#","timestamp":"{soon}""#));
    check_status(&ingest(&sandbox, &ahead), 422);
    sandbox.set_clock_offset(SignedDuration::from_hours(1));
    let answer = ingest(&sandbox, &ahead);
    check_status(&answer, 200);
    let date = answer.lines().find_map(|line| line.strip_prefix("date: ")).expect("every answer has a date");
    let date = floe::polar::http_date(date).expect("the date is one of HTTP");
    assert!(date > soon, "{date}");
}

/// Sends one event to a sandbox with this fault: what comes back, and whether the event is stored.
#[track_caller]
fn check_fault(plan: &str, expected_start: &str, expected_end: &str, stored: bool) {
    let sandbox = with_faults(plan);
    let answer = ingest(&sandbox, &event("x", ""));
    assert!(answer.starts_with(expected_start) && answer.ends_with(expected_end), "{plan}: {answer:?}");
    assert_eq!(sandbox.has("x"), stored, "{plan}");
    let kind: FaultKind =
        plan.split(':').next().expect("a plan has a kind").parse().expect("the kind is right");
    assert_eq!(sandbox.stats().by_fault.get(&kind), Some(&1), "{plan}");

    sandbox.set_faults(FaultPlan::none());
    let counts = if stored { r#"{"inserted":0,"duplicates":1}"# } else { r#"{"inserted":1,"duplicates":0}"# };
    let answer = ingest(&sandbox, &event("x", ""));
    assert!(answer.ends_with(counts), "{plan}: {answer}");
}

#[test]
fn each_fault_fails_in_its_own_way() {
    check_fault("500:1", "HTTP/1.1 500 ", "Internal Server Error", false);
    check_fault("503:1", "HTTP/1.1 503 ", "\r\n\r\n", false);
    check_fault("429:1", "HTTP/1.1 429 ", "\r\n\r\n", false);
    check_fault("reset:1", "", "", false);
    check_fault("lost-answer:1", "", "", true);
    check_fault("half-answer:1", "HTTP/1.1 200 ", "{\"inserted\":1,", true);
    check_fault("html:1", "HTTP/1.1 200 ", "network.", false);
    check_fault("not-json:1", "HTTP/1.1 200 ", "OK", true);
}

#[test]
fn a_dropped_answer_is_no_answer() {
    for plan in ["reset:1", "lost-answer:1"] {
        assert_eq!(ingest(&with_faults(plan), &event("x", "")), "", "{plan}");
    }
}

#[test]
fn a_body_that_is_too_long_is_a_413() {
    let sandbox = start(SandboxOptions::default());
    let answer = ingest(&sandbox, &" ".repeat(10_485_760));
    check_status(&answer, 413);
    assert!(answer.contains("RequestBodyTooLarge"), "{answer}");
}

#[test]
fn more_events_than_postgres_has_parameters_are_a_500() {
    let sandbox = start(SandboxOptions::default());
    let one = r#"{"name":"x","external_customer_id":"c"}"#;
    check_status(&ingest(&sandbox, &vec![one; 32_767].join(",")), 200);
    check_status(&ingest(&sandbox, &vec![one; 32_768].join(",")), 500);
    assert_eq!(sandbox.stats().events, 32_767);
}

#[test]
fn the_page_and_the_numbers_need_no_token() {
    let sandbox = start(SandboxOptions::default());
    check_status(&ingest(&sandbox, &event("x", r#","metadata":{"k":"</script>"}"#)), 200);
    let stats = get(&sandbox, "/sandbox/stats");
    assert_eq!((&stats["inserted"], &stats["by_status"]["200"]), (&1.into(), &1.into()));
    assert_eq!(get(&sandbox, "/sandbox/latest")[0]["event"]["external_id"], "x");
    assert!(send(&sandbox, "GET", "/sandbox/external-ids", "").ends_with("\r\n\r\nx\n"));
    assert!(send(&sandbox, "GET", "/", "").contains("<title>Floe sandbox</title>"));
}
