//! `floe check --against-polar`: would what the rules send be billed?

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Output;

use floe::config::WarningCode;
use floe::sandbox::{Fixtures, SandboxOptions};
use serde_json::{Value, json};

use crate::world::{World, lines as use_lines};

const ORGANIZATION: &str = "5d8b1a52-0f57-4a35-9a36-0f4ba6c8b001";

const SCOPES: [&str; 5] =
    ["events:write", "meters:read", "customers:read", "organizations:read", "customer_meters:read"];

/// A world whose organization has these meters, the customer "acme" and a token with these scopes.
fn world(meters: &[Value], scopes: &[&str]) -> World {
    let fixtures = json!({"organizations": [{
        "id": ORGANIZATION,
        "name": "Acme Cloud",
        "tokens": [
            {"token": "polar_oat_for_tests", "scopes": scopes},
            {"token": "polar_oat_of_another", "scopes": ["events:write"]},
        ],
        "customers": [{"id": "5d8b1a52-0f57-4a35-9a36-0f4ba6c8b002", "external_id": "acme"}],
        "meters": meters,
    }]});
    let fixtures = Fixtures::of_json(&fixtures.to_string()).unwrap();
    World::with_sandbox(SandboxOptions { fixtures, ..SandboxOptions::default() })
}

/// A meter of events with this name, and of what else is asked for.
fn meter(name: &str, event: &str, clause: Option<Value>, aggregation: &Value) -> Value {
    let mut clauses = vec![json!({"property": "name", "operator": "eq", "value": event})];
    clauses.extend(clause);
    json!({"name": name, "filter": {"conjunction": "and", "clauses": clauses}, "aggregation": aggregation})
}

fn sum(property: &str) -> Value {
    json!({"func": "sum", "property": property})
}

fn count() -> Value {
    json!({"func": "count"})
}

/// The head of the world's config and these rules instead of its own.
fn write_rules(world: &World, rules: &[String]) {
    let config = world.config();
    let head = &config[..config.find("[[rules]]").unwrap()];
    world.write_config(&format!("{head}{}", rules.concat()));
}

/// A rule for the lines of its kind.
fn rule(kind: &str, event: &str, more: &str, metadata: &str) -> String {
    format!(
        "[[rules]]\nid = \"{kind}\"\nsource = \"app\"\nwhen = {{ kind = \"{kind}\" }}\n{more}\n[rules.event]\nname = \"{event}\"\n\
         external_customer_id = \"{{who}}\"\ntimestamp = \"{{ts}}\"\n{metadata}\n\n"
    )
}

/// A line of a kind, with more fields.
fn line(kind: &str, who: &str, more: &str) -> String {
    format!("{{\"ts\":\"2026-11-20T10:00:00Z\",\"kind\":\"{kind}\",\"who\":\"{who}\"{more}}}\n")
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The findings about meters, as `code: message`, in the order of the config.
fn findings(output: &Output) -> Vec<String> {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    let of_meters = |line: &&str| {
        WarningCode::OF_METERS.iter().any(|code| line.starts_with(&format!("warning[{}]", code.code())))
    };
    said.lines().filter(of_meters).map(|line| line.trim_start_matches("warning").to_owned()).collect()
}

#[track_caller]
fn check(world: &World, code: i32, expected: &[&str]) -> String {
    let output = world.output(&["check", "--against-polar"]);
    let told = told(&output);
    assert_eq!(findings(&output), expected, "{told}");
    assert_eq!(output.status.code(), Some(code), "{told}");
    told
}

/// Eight meters.
fn eight() -> Vec<Value> {
    let mut old = meter("Old calls", "old_call", None, &count());
    old["is_archived"] = true.into();
    vec![
        meter("Requests", "api_request", None, &count()),
        meter("Tokens", "llm", None, &sum("tokens")),
        meter("Seats", "seat", None, &sum("active")),
        meter("Storage", "stored", None, &sum("stored_bytes")),
        meter(
            "Errors",
            "failed",
            Some(json!({"property": "metadata.status", "operator": "eq", "value": 500})),
            &count(),
        ),
        old,
        meter("Batches", "batch", None, &count()),
        meter("Time", "work", None, &json!({"func": "max", "property": "ms"})),
    ]
}

fn lines() -> String {
    [
        line("request", "acme", ""),
        line("llm", "acme", ",\"tokens\":12"),
        line("seat", "acme", ",\"active\":true"),
        line("stored", "acme", ",\"bytes\":5"),
        line("failed", "acme", ",\"status\":500"),
        line("old", "acme", ""),
        line("batch", "acme", ",\"quantity\":40"),
        line("work", "acme", ",\"ms\":\"17\""),
        line("work", "acme", ",\"ms\":18"),
    ]
    .concat()
}

#[test]
fn each_of_eight_mistakes_is_found_and_nothing_else() {
    let world = world(&eight(), &SCOPES);
    world.append(&lines());
    write_rules(
        &world,
        &[
            rule("request", "API-Request", "", ""),
            rule("llm", "llm", "", "metadata.tokens = \"{tokens | str}\""),
            rule("seat", "seat", "", "metadata.active = \"{active | bool}\""),
            rule("stored", "stored", "", "metadata.storedBytes = \"{bytes | int}\""),
            rule("failed", "failed", "", "metadata.status = \"{status | str}\""),
            rule("old", "old_call", "", ""),
            rule("batch", "batch", "", "metadata.quantity = \"{quantity | int}\""),
            rule("work", "work", "", "metadata.ms = \"{ms}\""),
        ],
    );
    let told = check(
        &world,
        1,
        &[
            "[near_name]: the event is called \"API-Request\", and the meter \"Requests\" wants \"api_request\"",
            "[not_a_number]: the meter \"Tokens\" sums \"tokens\", which the rule \"llm\" sends as a text",
            "[not_a_number]: the meter \"Seats\" sums \"active\", which the rule \"seat\" sends as a truth value",
            "[not_sent]: the meter \"Storage\" sums \"stored_bytes\", which the rule \"stored\" does not send",
            "[other_type]: the meter \"Errors\" counts events where status = 500, and the rule \"failed\" sends \"status\" \
             as a text",
            "[archived_meter]: the only meter that counts the events of \"old\" is archived: \"Old calls\"",
            "[counted_as_one]: the meter \"Batches\" counts each event as one, and the rule \"batch\" says with \
             \"quantity\" how many it stands for",
            "[not_a_number]: the meter \"Time\" takes the greatest \"ms\", which the rule \"work\" sends as a text",
        ],
    );
    for words in [
        "in 1 of 2 lines, such as app.log:8: such events are accepted, and billed as nothing",
        "the rule sends \"storedBytes\": give both one name",
        "write name = \"api_request\"",
        "make it a number: `| int` or `| decimal`",
        "8 findings against Polar",
    ] {
        assert!(told.contains(words), "{words:?} in:\n{told}");
    }
}

#[test]
fn rules_that_fit_their_meters_are_left_alone() {
    let mut meters = eight();
    meters[5]["is_archived"] = false.into();
    meters[6]["aggregation"] = sum("quantity");
    let world = world(&meters, &SCOPES);
    world.append(&lines());
    write_rules(
        &world,
        &[
            rule("request", "api_request", "", ""),
            rule("llm", "llm", "", "metadata.tokens = \"{tokens | int}\""),
            rule("seat", "seat", "", "metadata.active = 1"),
            rule("stored", "stored", "", "metadata.stored_bytes = \"{bytes}\""),
            rule("failed", "failed", "", "metadata.status = \"{status}\""),
            rule("old", "old_call", "", ""),
            rule("batch", "batch", "", "metadata.quantity = \"{quantity | int}\""),
            rule("work", "work", "", "metadata.ms = \"{ms | int}\""),
        ],
    );
    let told = check(&world, 0, &[]);
    for words in [
        "its clock and this host's agree",
        "accepted; it may send events (events:write)",
        "Acme Cloud (5d8b1a52-0f57-4a35-9a36-0f4ba6c8b001)",
        "1 of 1 in the lines asked for, 0 unknown to Polar",
        "Tokens: sum of tokens",
        "Time: max of ms",
        "all that the rules send is counted, as far as the lines show",
    ] {
        assert!(told.contains(words), "{words:?} in:\n{told}");
    }
    assert!(world.sandbox.events().is_empty(), "a check sends no event");
}

#[test]
fn an_event_that_no_meter_wants_is_told_unless_that_is_meant() {
    let tier = json!({"property": "tier", "operator": "eq", "value": "pro"});
    let world = world(&[meter("Pro calls", "call", Some(tier), &count())], &SCOPES);
    write_rules(
        &world,
        &[
            rule("call", "call", "", "metadata.tier = \"Pro\""),
            rule("audit", "audit", "", ""),
            rule("meant", "trace", "allow = [\"unmetered\", \"untested\"]", ""),
        ],
    );
    let told = check(
        &world,
        1,
        &[
            "[unmetered]: no meter counts the events of \"call\"",
            "[unmetered]: no meter counts the events of \"audit\"",
        ],
    );
    let words = "the meter \"Pro calls\" counts events where name = \"call\" and tier = \"pro\"";
    assert!(told.contains(words), "{told}");
    assert!(told.contains("no rule of this config feeds \"Pro calls\""), "{told}");
    assert!(!told.contains("unused_allow"), "{told}");
}

#[test]
fn what_is_counted_twice_is_told() {
    let meters = [
        meter("Calls", "call", None, &count()),
        meter("Calls of the old plan", "call", None, &count()),
        meter("Tokens", "tokens", None, &sum("n")),
    ];
    let world = world(&meters, &SCOPES);
    world.append(&line("tokens", "acme", ",\"n\":5"));
    let also = rule("tokens", "tokens", "also = true", "metadata.n = \"{n | int}\"");
    let again = rule("again", "tokens", "", "metadata.n = \"{n | int}\"")
        .replace("kind = \"again\"", "who = \"acme\"");
    write_rules(&world, &[rule("call", "call", "", ""), also, again]);
    check(
        &world,
        1,
        &[
            "[counted_twice]: the meters \"Calls\" and \"Calls of the old plan\" count the same of the rule \"call\"",
            "[counted_twice]: the meter \"Tokens\" counts two events of one line: of the rules \"tokens\" and \"again\"",
        ],
    );
}

#[test]
fn customers_that_polar_does_not_know_are_told_within_bounds() {
    let world = world(&[meter("Calls", "call", None, &count())], &SCOPES);
    world.append(&(line("call", "acme", "") + &line("call", "acme/eu", "") + &line("call", "zeta", "")));
    write_rules(&world, &[rule("call", "call", "", "")]);
    check(
        &world,
        1,
        &["[unknown_customer]: Polar does not know customers of the rule \"call\": \"acme/eu\", \"zeta\""],
    );
    let before = world.sandbox.stats().requests;
    let output = world.output(&["check", "--against-polar", "--customers-sample", "1"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(told(&output).contains("1 of 3 in the lines asked for, 0 unknown"), "{}", told(&output));
    // A batch without events, the organization, the meters, a customer.
    assert_eq!(world.sandbox.stats().requests - before, 4);
}

#[test]
fn what_the_token_may_not_do_is_said() {
    let calls = || [meter("Calls", "call", None, &count())];
    let rules = [rule("call", "call", "", "")];

    let blind = world(&calls(), &["events:write"]);
    write_rules(&blind, &rules);
    let output = blind.output(&["check", "--against-polar"]);
    assert_eq!(output.status.code(), Some(69), "{}", told(&output));
    assert!(told(&output).contains("the token needs the scope meters:read"), "{}", told(&output));

    let dumb = world(&calls(), &["meters:read"]);
    dumb.write_token("polar_oat_for_tests");
    dumb.append(&line("call", "acme", ""));
    write_rules(&dumb, &rules);
    let told_of_dumb = check(&dumb, 1, &[]);
    for words in [
        "make a token with the scope events:write",
        "not shown: the token lacks",
        "not asked for: the token lacks",
    ] {
        assert!(told_of_dumb.contains(words), "{words:?} in:\n{told_of_dumb}");
    }

    blind.write_token("polar_oat_of_nobody");
    let output = blind.output(&["check", "--against-polar"]);
    assert_eq!(output.status.code(), Some(69));
    assert!(told(&output).contains("the token is unknown, expired or revoked (401)"), "{}", told(&output));
}

#[test]
fn a_clock_that_is_wrong_is_said() {
    let world = world(&[meter("Calls", "call", None, &count())], &SCOPES);
    write_rules(&world, &[rule("call", "call", "", "")]);
    world.sandbox.set_clock_offset(jiff::SignedDuration::from_secs(-90));
    let told = check(&world, 0, &[]);
    assert!(
        ["this host's clock is 90 s ahead", "this host's clock is 91 s ahead"]
            .iter()
            .any(|it| told.contains(it)),
        "{told}"
    );
}

/// As curl would.
#[track_caller]
fn post(world: &World, path: &str, body: &Value) {
    let body = body.to_string();
    let mut stream = TcpStream::connect(world.sandbox.address()).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        world.sandbox.token(),
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{path}: {answer}");
}

#[test]
fn a_meter_and_a_customer_that_are_made_are_known_at_once() {
    let world = World::new();
    world.append(&use_lines(0..2));
    check(
        &world,
        1,
        &[
            "[unmetered]: no meter counts the events of \"use\"",
            "[unknown_customer]: Polar does not know customers of the rule \"use\": \"customer_0\", \"customer_1\"",
        ],
    );
    post(&world, "/v1/meters/", &meter("Use", "use", None, &sum("metadata.n")));
    for id in ["customer_0", "customer_1"] {
        post(&world, "/v1/customers/", &json!({"external_id": id, "email": format!("{id}@example.org")}));
    }
    check(&world, 0, &[]);
    let shown = told(&world.output(&["events", "--source", "system", "--customer", "customer_1"]));
    assert!(shown.contains("customer.created"), "{shown}");
    assert!(shown.contains("customer_1@example.org") && !shown.contains("customer_0@"), "{shown}");
}

#[test]
fn lines_of_another_type_than_the_others_are_told() {
    let clause = json!({"property": "status", "operator": "lt", "value": 500});
    let world = world(&[meter("Requests", "request", Some(clause), &count())], &SCOPES);
    let of = |status: &str| line("request", "acme", &format!(",\"status\":{status}"));
    world.append(&(of("200") + &of("\"200\"") + &of("\"503\"")));
    write_rules(&world, &[rule("request", "request", "", "metadata.status = \"{status}\"")]);
    let told = check(
        &world,
        1,
        &[
            "[other_type]: the meter \"Requests\" counts events where status < 500, and the rule \"request\" sends \"status\" \
           as a text in some lines",
        ],
    );
    // A 503 would not be counted as a number either.
    assert!(told.contains("judges 1 of 3 events by it, such as that of app.log:2"), "{told}");
}
