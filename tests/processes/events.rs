//! What Polar has, read back: `floe events`.

use std::io::{BufRead as _, BufReader};
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::world::{World, lines};

/// What it must end with, say on stdout, and say on stderr.
#[track_caller]
fn check(output: &Output, code: i32, out: &[&str], error: &str) {
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}{said}");
    for words in out {
        assert!(text.contains(words), "{words:?} in:\n{text}");
    }
    assert!(said.contains(error), "{error:?} in:\n{said}");
}

fn world_with(count: u64) -> World {
    let world = World::new();
    world.append(&lines(0..count));
    let floe = world.start();
    world.wait_for_billed(0..count);
    floe.stop();
    world
}

#[test]
fn what_was_billed_is_read_back() {
    let world = world_with(250);
    check(
        &world.output(&["events", "--limit", "3"]),
        0,
        &["user    use", "n 2"],
        "… and 247 older ones: `--limit 250`",
    );
    // Three pages.
    let all = world.output(&["events", "--limit", "250", "--json"]);
    let events: Vec<Value> = String::from_utf8(all.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut numbers: Vec<u64> = events.iter().map(|event| event["metadata"]["n"].as_u64().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..250).collect::<Vec<u64>>());
    let times: Vec<&str> = events.iter().map(|event| event["timestamp"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "the oldest first");

    check(
        &world.output(&["events", "--customer", "customer_3", "--metadata", "n=10"]),
        0,
        &["customer_3", "n 10"],
        "",
    );
    check(&world.output(&["events", "--source", "system"]), 0, &["Polar has no such event"], "");
    check(&world.output(&["events", "names"]), 0, &["user    use", "250"], "");
    let id = events[0]["id"].as_str().unwrap();
    check(&world.output(&["events", "get", id]), 0, &[&format!("\"id\": \"{id}\"")], "");
}

#[test]
fn what_cannot_be_read_back_is_said_with_its_cure() {
    let world = World::new();
    let id = "0b7e4d2c-3f53-4c8e-9d38-7f1e6a5b4c3d";
    check(&world.output(&["events", "get", id]), 1, &[], "it is Polar's id");
    check(&world.output(&["events", "--limit", "1", "get", id]), 64, &[], "cannot be used with");
    check(&world.output(&["events", "--metadata", "n"]), 64, &[], "write it like model=gpt-4");
    world.write_token("polar_oat_of_nobody");
    check(&world.output(&["events"]), 69, &[], "the token is unknown, expired or revoked (401)");
}

#[test]
fn an_event_that_arrives_later_is_shown_to_who_follows() {
    let world = world_with(2);
    let mut follower = world
        .command(&["events", "--follow", "--every", "1s", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut shown = BufReader::new(follower.stdout.take().unwrap()).lines().map(|line| {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        event["metadata"]["n"].as_u64().unwrap()
    });
    assert_eq!([shown.next(), shown.next()].map(Option::unwrap).len(), 2);
    let now = jiff::Timestamp::now();
    world.append(&format!("{{\"ts\":\"{now}\",\"event\":\"use\",\"who\":\"c\",\"n\":7}}\n"));
    let floe = world.start();
    assert_eq!(shown.next(), Some(7));
    floe.stop();
    follower.kill().unwrap();
    follower.wait().unwrap();
}
