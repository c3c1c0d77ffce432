//! What could not be billed, and how it is billed after all: `floe quarantine`.

use std::fs;
use std::process::{Output, Stdio};
use std::thread;
use std::time::Duration;

use floe::sandbox::FaultPlan;
use serde_json::Value;

use crate::sockets;
use crate::world::{World, line, lines};

/// A line whose customer has another name than the rule knows.
fn odd(number: u64) -> String {
    line(number).replace("\"who\"", "\"customer\"")
}

/// The config whose rule looks for the customer there, too.
fn mended(world: &World) -> String {
    world.config().replace("\"{who}\"", "\"{who | default(customer)}\"")
}

#[track_caller]
fn check(output: &Output, code: i32, words: &[&str]) {
    let said = text(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for words in words {
        assert!(said.contains(words), "{words:?} in:\n{said}");
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn letters(world: &World) -> Vec<Value> {
    let text = fs::read_to_string(world.path("state/quarantine/quarantine.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Waits until the saved account has so many quarantined lines, with all that was retried.
#[track_caller]
fn wait_for_account(world: &World, billed: u64, quarantined: &[(&str, u64)]) -> Value {
    let mut account = Value::Null;
    let expected: Vec<(String, u64)> =
        quarantined.iter().map(|(reason, lines)| ((*reason).to_owned(), *lines)).collect();
    let is_it = || {
        let output = world.output(&["account", "--json"]);
        let Ok(now) = serde_json::from_slice::<Value>(&output.stdout) else { return false };
        let app = &now["sources"]["app"];
        let by_reason = app["quarantined"].as_object().map(|reasons| {
            reasons.iter().map(|(reason, count)| (reason.clone(), count["lines"].as_u64().unwrap())).collect()
        });
        let is_it = app["billed"]["lines"] == billed && by_reason == Some(expected.clone());
        account = now;
        is_it
    };
    let there = World::awaits(is_it);
    assert!(there, "{billed} billed and {quarantined:?} in vain: {account:#}\n{}", world.notices());
    assert_eq!(account["adds_up"], true, "{account:#}");
    account
}

/// The id that `floe explain` gives the line with this number.
fn explained_id(world: &World, number: u64) -> String {
    let log = world.log();
    let output = world.output(&["explain", log.to_str().unwrap()]);
    let said = text(&output);
    let at = said.find(&format!("\"n\": {number}\n")).unwrap_or_else(|| panic!("no line {number} in {said}"));
    let before = &said[..at];
    let id = before.rsplit_once("\"external_id\": \"").expect("an event has an id").1;
    id[..26].to_owned()
}

#[test]
fn a_mended_rule_bills_what_was_quarantined_under_the_same_id() {
    let world = World::new();
    world.append(&(lines(0..3) + &odd(3) + &odd(4) + &lines(5..6)));
    let floe = world.start();
    world.wait_for_billed([0, 1, 2, 5]);
    wait_for_account(&world, 4, &[("missing_customer", 2)]);
    floe.stop();
    check(&world.output(&["quarantine", "list"]), 0, &["missing_customer: 2 lines", "app (2)"]);
    check(
        &world.output(&["quarantine", "show"]),
        0,
        &["\"customer\": \"customer_3\"", "cure: Point the rule's"],
    );
    check(&world.output(&["quarantine", "retry"]), 64, &["which lines"]);
    check(&world.output(&["quarantine", "retry", "--all"]), 1, &["missing_customer as before: 2 lines"]);
    assert_eq!(letters(&world).len(), 2);

    world.write_config(&mended(&world));
    check(
        &world.output(&["quarantine", "retry", "--all", "--dry-run"]),
        0,
        &["would be billed by rule use: 2 lines"],
    );
    assert_eq!(world.sandbox.events().len(), 4, "a dry run sends nothing");
    check(
        &world.output(&["quarantine", "retry", "--reason", "missing_customer"]),
        0,
        &["billed by rule use: 2 lines, 2 events"],
    );
    world.wait_for_billed(0..6);
    for number in [3, 4] {
        assert!(world.sandbox.has(&explained_id(&world, number)), "{number} has the id of its place");
    }
    let account = wait_for_account(&world, 6, &[]);
    assert_eq!(account["events"]["inserted"], 6, "{account:#}");
    assert_eq!(account["sources"]["app"]["billed_by_rule"]["use"], 6, "{account:#}");
    check(&world.output(&["quarantine", "retry", "--all"]), 0, &["nothing is quarantined"]);
    check(&world.output(&["quarantine", "list"]), 0, &["nothing is quarantined"]);
    let floe = world.start();
    world.append(&line(6));
    world.wait_for_billed(0..7);
    floe.stop();
    wait_for_account(&world, 7, &[]);
}

#[test]
fn a_retry_works_beside_a_daemon_that_goes_on_quarantining() {
    let world = World::new();
    let floe = world.start();
    world.append(&(0..50).map(odd).collect::<String>());
    wait_for_account(&world, 0, &[("missing_customer", 50)]);
    // The daemon keeps its old rules: it was told of no others.
    world.write_config(&mended(&world));
    let retried: Vec<Output> = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 50..150 {
                world.append(&odd(number));
                thread::sleep(Duration::from_millis(10));
            }
        });
        let mut outputs = Vec::new();
        while !writer.is_finished() {
            outputs.push(world.output(&["quarantine", "retry", "--all"]));
        }
        writer.join().unwrap();
        outputs
    });
    assert!(retried.iter().all(|output| matches!(output.status.code(), Some(0 | 1))), "{retried:?}");
    let rest = || world.output(&["quarantine", "retry", "--all"]).status.success();
    assert!(World::awaits(|| rest() && world.sandbox.events().len() == 150), "{}", world.notices());
    world.wait_for_billed(0..150);
    wait_for_account(&world, 150, &[]);
    floe.stop();
    assert_eq!(letters(&world).len(), 0);
}

#[test]
fn a_full_quarantine_frees_itself_by_a_retry() {
    let world = World::new();
    let bounded = "[limits]\nquarantine_max_bytes = \"64KiB\"\n";
    world.write_config(&world.config().replace("[limits]\n", bounded));
    let floe = world.start();
    world.append(&(0..1000).map(odd).collect::<String>());
    world.append(&lines(1000..1001));
    floe.wait_for_notice("quarantine_blocked");
    world.write_config(&mended(&world).replace("[limits]\n", bounded));
    floe.signal(rustix::process::Signal::HUP);
    floe.wait_for_notice("reloaded");
    let retry = || {
        let output = world.output(&["quarantine", "retry", "--all"]);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{}", text(&output));
        world.sandbox.events().len() == 1001
    };
    assert!(World::awaits(retry), "{}", world.notices());
    floe.wait_for_notice("quarantine_unblocked");
    world.wait_for_billed(0..1001);
    wait_for_account(&world, 1001, &[]);
    floe.stop();
}

#[test]
fn what_polar_refused_is_billed_once_polar_takes_it() {
    let world = World::new();
    let by_id = world.config().replace("external_customer_id = \"{who}\"", "customer_id = \"{id}\"");
    world.write_config(&by_id);
    let unknown = "9e0b7d0c-3a1f-4b52-9d3e-0123456789ab";
    let with_id = |number: u64| line(number).replace("\"who\"", &format!("\"id\":\"{unknown}\",\"who\""));
    world.append(&(with_id(0) + &with_id(1)));
    let floe = world.start();
    wait_for_account(&world, 0, &[("unknown_customer", 2)]);
    floe.stop();
    assert!(letters(&world).iter().all(|letter| letter.get("text").is_none()));
    check(&world.output(&["quarantine", "show"]), 0, &["its events, as Polar refused them"]);
    check(&world.output(&["quarantine", "retry", "--all"]), 1, &["unknown_customer as before: 2 lines"]);

    // The log still stands, so its lines are mapped anew: by their own customers now.
    let first = letters(&world)[0].clone();
    let id = first["events"][0]["external_id"].as_str().unwrap().to_owned();
    world.write_config(&world.config());
    check(&world.output(&["quarantine", "retry", "--all"]), 0, &["billed by rule use: 2 lines"]);
    world.wait_for_billed(0..2);
    assert!(world.sandbox.has(&id), "the id is of the place, not of the rule");
    wait_for_account(&world, 2, &[]);
}

#[test]
fn events_go_word_for_word_where_the_log_is_gone() {
    let world = World::new();
    let by_id = world.config().replace("external_customer_id = \"{who}\"", "customer_id = \"{id}\"");
    world.write_config(&by_id);
    world.append(&line(0).replace("\"who\"", "\"id\":\"9e0b7d0c-3a1f-4b52-9d3e-0123456789ab\",\"who\""));
    let floe = world.start();
    wait_for_account(&world, 0, &[("unknown_customer", 1)]);
    floe.stop();
    fs::write(world.log(), line(7)).unwrap();
    world.write_config(&world.config());
    // Whatever the rule says now: nobody can map a line that is gone, and Polar still does not know the customer.
    check(&world.output(&["quarantine", "retry", "--all"]), 1, &["unknown_customer as before: 1 line"]);
    assert_eq!(world.sandbox.events().len(), 0, "and the line that stands there now is another one");
    wait_for_account(&world, 0, &[("unknown_customer", 1)]);
}

#[test]
fn a_line_that_is_not_utf_8_keeps_its_bytes_and_its_id() {
    let world = World::new();
    let mut bytes = line(0).into_bytes();
    bytes.extend_from_slice(&odd(1).into_bytes());
    bytes.truncate(bytes.len() - 2);
    bytes.extend_from_slice(b",\"agent\":\"caf\xe9\"}\r\n");
    fs::write(world.log(), &bytes).unwrap();
    let floe = world.start();
    wait_for_account(&world, 1, &[("missing_customer", 1)]);
    floe.stop();
    let exported = world.output(&["quarantine", "export", "--format", "text"]);
    assert_eq!(exported.stdout, [&bytes[line(0).len()..bytes.len() - 2], b"\n"].concat());
    world.write_config(&mended(&world));
    check(&world.output(&["quarantine", "retry", "--all"]), 0, &["billed by rule use: 1 line"]);
    assert!(world.sandbox.has(&explained_id(&world, 1)));
    wait_for_account(&world, 2, &[]);
}

#[test]
fn a_record_in_a_container_keeps_its_wrapping_and_its_id() {
    let world = World::new();
    let wrapped =
        |config: String| config.replace("format = \"json\"", "format = \"json\"\ncontainer = \"cri\"");
    world.write_config(&wrapped(world.config()));
    let text = odd(1);
    let (head, tail) = text.trim_end().split_at(30);
    let piece = |tag: &str, text: &str| format!("2026-11-20T10:15:32.200000001Z stdout {tag} {text}\n");
    world.append(&(piece("F", line(0).trim_end()) + &piece("P", head) + &piece("F", tail)));
    let floe = world.start();
    wait_for_account(&world, 1, &[("missing_customer", 1)]);
    floe.stop();
    world.write_config(&wrapped(mended(&world)));
    check(&world.output(&["quarantine", "retry", "--all"]), 0, &["billed by rule use: 1 line"]);
    world.wait_for_billed(0..2);
    assert!(world.sandbox.has(&explained_id(&world, 1)));
    wait_for_account(&world, 2, &[]);
}

#[test]
fn s27_a_line_of_a_socket_is_shown_as_it_was_written_and_billed_under_its_id_after_all() {
    let world = sockets::world_of(sockets::WITH_ACK);
    let floe = world.start();
    sockets::send(&mut sockets::connect(&world), &(line(0) + &odd(1) + &line(2)));
    world.wait_for_billed([0, 2]);
    wait_for_account(&world, 2, &[("missing_customer", 1)]);
    let segment = sockets::segments(&world).pop().unwrap();
    // A segment that is settled is removed; here it is kept to look up the id.
    let kept = world.path("kept");
    fs::copy(&segment, &kept).unwrap();
    floe.stop();
    let shown = text(&world.output(&["quarantine", "show"]));
    assert!(shown.contains("\n    {\n") && shown.contains("\"customer\": \"customer_1\""), "{shown}");
    world.write_config(
        &world.config_of(sockets::WITH_ACK).replace("\"{who}\"", "\"{who | default(customer)}\""),
    );
    check(&world.output(&["quarantine", "retry", "--all"]), 0, &["billed by rule use: 1 line, 1 event"]);
    world.wait_for_billed(0..3);
    fs::rename(&kept, &segment).unwrap();
    let explained = text(&world.output(&["explain", segment.to_str().unwrap()]));
    let ids: Vec<&str> =
        explained.split("\"external_id\": \"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(ids.len(), 3, "{explained}");
    assert!(ids.iter().all(|id| world.sandbox.has(id)), "{ids:?} in {:?}", world.sandbox.events());
}

#[test]
fn a_rule_that_wants_the_line_no_more_ignores_it_and_another_fault_is_another_reason() {
    let world = World::new();
    world.append(&(odd(0) + &odd(1).replace("\"n\":1", "\"n\":1,\"test\":true")));
    let floe = world.start();
    wait_for_account(&world, 0, &[("missing_customer", 2)]);
    floe.stop();
    let other = mended(&world)
        .replace("[rules.event]\n", "unless = { test = true }\n\n[rules.event]\n")
        .replace("\"{n | int}\"", "\"{customer | int}\"");
    world.write_config(&other);
    check(
        &world.output(&["quarantine", "retry", "--all"]),
        1,
        &["ignored as no_rule: 1 line", "bad_metadata (was missing_customer): 1 line"],
    );
    let account = wait_for_account(&world, 0, &[("bad_metadata", 1)]);
    assert_eq!(account["sources"]["app"]["ignored"]["no_rule"]["lines"], 1, "{account:#}");
    let left = letters(&world);
    assert_eq!((left.len(), &left[0]["reason"]), (1, &Value::from("bad_metadata")));
    world.write_config(&mended(&world));
    check(&world.output(&["quarantine", "retry", "--all"]), 0, &["billed by rule use: 1 line"]);
    wait_for_account(&world, 1, &[]);
}

#[test]
fn an_over_long_line_is_read_again_from_its_log() {
    let world = World::new();
    let short =
        |config: String| config.replace("format = \"json\"", "format = \"json\"\nmax_line_bytes = \"80KiB\"");
    world.write_config(&short(world.config()));
    let long = line(1).replace("\"n\":1", &format!("\"n\":1,\"text\":\"{}\"", "x".repeat(100_000)));
    world.append(&(line(0) + &long + &line(2)));
    let floe = world.start();
    world.wait_for_billed([0, 2]);
    wait_for_account(&world, 2, &[("line_too_long", 1)]);
    floe.stop();
    check(&world.output(&["quarantine", "retry", "--all"]), 1, &["line_too_long as before: 1 line"]);
    world.write_config(&world.config());
    let rotated = world.path("logs/elsewhere");
    fs::rename(world.log(), &rotated).unwrap();
    check(
        &world.output(&["quarantine", "retry", "--all"]),
        1,
        &["cannot be retried: 1 line", "floe backfill"],
    );
    fs::rename(&rotated, world.log()).unwrap();
    check(&world.output(&["quarantine", "retry", "--all"]), 0, &["billed by rule use: 1 line"]);
    world.wait_for_billed(0..3);
    wait_for_account(&world, 3, &[]);
}

#[test]
fn s23_without_polar_a_retry_gives_up_and_changes_nothing() {
    let world = World::new();
    world.append(&odd(0));
    let floe = world.start();
    wait_for_account(&world, 0, &[("missing_customer", 1)]);
    floe.stop();
    world.write_config(&mended(&world));
    world.sandbox.set_faults("reset:1".parse().unwrap());
    let before = letters(&world);
    let given_up = world.output(&["quarantine", "retry", "--all", "--give-up-after", "2s"]);
    check(&given_up, 69, &["not decided: 1 line", "given up"]);
    assert_eq!(letters(&world), before);
    wait_for_account(&world, 0, &[("missing_customer", 1)]);
    world.sandbox.set_faults(FaultPlan::none());
    check(&world.output(&["quarantine", "retry", "--all"]), 0, &["billed by rule use: 1 line"]);
    wait_for_account(&world, 1, &[]);
}

#[test]
fn s20_a_retry_that_is_killed_at_any_moment_loses_and_doubles_nothing() {
    let world = World::new();
    world.append(&(0..300).map(odd).collect::<String>());
    let floe = world.start();
    wait_for_account(&world, 0, &[("missing_customer", 300)]);
    floe.stop();
    world.write_config(&mended(&world).replace("[delivery]\n", "[delivery]\nbatch_max_events = 20\n"));
    world.sandbox.set_faults("latency:20ms".parse().unwrap());
    for wait_ms in [20, 60, 100, 150, 200, 250, 300, 400] {
        let mut retry = world.command(&["quarantine", "retry", "--all", "--requests-per-minute", "60000"]);
        let mut child = retry.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(wait_ms));
        // It may have ended already.
        let _ = child.kill();
        child.wait().unwrap();
        let (account, right) = world.account();
        assert!(right, "{account:#}");
    }
    let last = world.output(&["quarantine", "retry", "--all", "--requests-per-minute", "60000"]);
    assert!(last.status.success(), "{}", text(&last));
    world.wait_for_billed(0..300);
    wait_for_account(&world, 300, &[]);
    assert_eq!(letters(&world).len(), 0);
}

#[test]
fn what_a_retry_cannot_do_is_said_with_its_exit_code() {
    let world = World::new();
    check(&world.output(&["quarantine", "list"]), 66, &["no state folder"]);
    world.append(&odd(0));
    let floe = world.start();
    wait_for_account(&world, 0, &[("missing_customer", 1)]);
    floe.stop();
    check(&world.output(&["quarantine", "list", "--reason", "bad_coast"]), 64, &["did you mean bad_cost"]);
    check(&world.output(&["quarantine", "retry", "aaaaaaaaaaaa"]), 1, &["no quarantined line has the id"]);
    world.write_config(&world.config().replace("instance = \"test\"", "instance = \"other\""));
    check(&world.output(&["quarantine", "retry", "--all"]), 78, &["belongs to instance"]);
    world.write_config(&world.config().replace("[polar]", "[polar]\nmode = \"shadow\""));
    check(&world.output(&["quarantine", "retry", "--all"]), 78, &["shadow mode"]);
    world.write_config(&world.config());
    // A letter of a release that did not say whose line it is.
    let path = world.path("state/quarantine/quarantine.jsonl");
    let of_before = "{\"reason\":\"missing_customer\",\"source\":\"app\",\"path\":\"/a\",\"offset\":0,\"length\":9,\
                     \"detail\":\"why\",\"text\":\"{}\"}\n";
    fs::write(path, of_before).unwrap();
    check(&world.output(&["quarantine", "show"]), 0, &["\"/a\" at byte 0"]);
    check(&world.output(&["quarantine", "retry", "--all"]), 1, &["an earlier release", "floe backfill"]);
}

#[test]
fn an_export_is_a_new_file() {
    let world = World::new();
    world.append(&(odd(0) + &odd(1)));
    let floe = world.start();
    wait_for_account(&world, 0, &[("missing_customer", 2)]);
    floe.stop();
    let file = world.path("export.jsonl");
    let arguments = ["quarantine", "export", "--output", file.to_str().unwrap()];
    check(&world.output(&arguments), 0, &[]);
    let exported = fs::read_to_string(&file).unwrap();
    let exported: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(exported, letters(&world));
    check(&world.output(&arguments), 73, &["cannot write"]);
}

#[test]
fn what_is_discarded_is_gone_for_good_and_the_account_keeps_it() {
    let world = World::new();
    let bounded = "[limits]\nquarantine_max_bytes = \"64KiB\"\n";
    world.write_config(&world.config().replace("[limits]\n", bounded));
    let floe = world.start();
    world.append(&(0..1000).map(odd).collect::<String>());
    world.append(&line(1000));
    floe.wait_for_notice("quarantine_blocked");
    check(&world.output(&["quarantine", "discard"]), 64, &["which lines"]);
    let before = letters(&world).len();
    check(
        &world.output(&["quarantine", "discard", "--all"]),
        64,
        &["would be discarded of missing_customer", "say --yes"],
    );
    assert_eq!(letters(&world).len(), before);
    let discard = || {
        let output = world.output(&["quarantine", "discard", "--all", "--yes"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        world.sandbox.events().len() == 1
    };
    assert!(World::awaits(discard), "{}", world.notices());
    floe.wait_for_notice("quarantine_unblocked");
    world.wait_for_billed([1000]);
    wait_for_account(&world, 1, &[("missing_customer", 1000)]);
    floe.stop();
    check(&world.output(&["quarantine", "discard", "--all", "--yes"]), 0, &[]);
    check(&world.output(&["quarantine", "list"]), 0, &["nothing is quarantined"]);
    let record = fs::read_to_string(world.path("state/quarantine/discarded.jsonl")).unwrap();
    let records = record.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert_eq!(records.map(|record| record["lines"].as_u64().unwrap()).sum::<u64>(), 1000);
    assert!(!record.contains("customer_"), "{record}");
    wait_for_account(&world, 1, &[("missing_customer", 1000)]);
}

#[test]
fn a_time_of_day_without_its_offset_is_no_time() {
    let world = World::new();
    let output = world.output(&["quarantine", "list", "--since", "2026-11-20T10:15:00"]);
    check(&output, 64, &["2026-11-20T10:15:00Z"]);
}
