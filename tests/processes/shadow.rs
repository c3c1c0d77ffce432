//! From shadow mode to live: what Floe would have billed is compared with another system's list, and then billed from
//! exactly where the config says, nothing twice and nothing lost.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::world::World;

/// Lines of the last minutes, a second apart.
fn lines(numbers: std::ops::Range<u64>) -> String {
    let begin = jiff::Timestamp::now().as_second() - 600;
    let time = |number: u64| jiff::Timestamp::from_second(begin + i64::try_from(number).unwrap()).unwrap();
    let line = |number: u64| {
        let (ts, who) = (time(number), number % 7);
        format!("{{\"ts\":\"{ts}\",\"event\":\"use\",\"who\":\"customer_{who}\",\"n\":{number}}}\n")
    };
    numbers.map(line).collect()
}

/// Runs in shadow mode until these lines are written down.
fn in_shadow(world: &World, numbers: std::ops::Range<u64>) {
    world.write_config(&world.config().replace("[polar]", "[polar]\nmode = \"shadow\""));
    world.append(&lines(numbers.clone()));
    let floe = world.start();
    let events = world.path("state/shadow/events.jsonl");
    let count = usize::try_from(numbers.end).unwrap();
    world.wait("the shadow", || fs::read_to_string(&events).is_ok_and(|text| text.lines().count() == count));
    floe.stop();
    assert!(world.sandbox.events().is_empty(), "nothing was sent");
}

fn shadow_events(world: &World) -> Vec<Value> {
    let text = fs::read_to_string(world.path("state/shadow/events.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[track_caller]
fn against(world: &World, list: &str, code: i32, words: &[&str]) -> String {
    let path = world.path("theirs.csv");
    fs::write(&path, list).unwrap();
    let output = world.output(&["reconcile", "--against", path.to_str().unwrap()]);
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} in:\n{said}");
    }
    said
}

#[test]
fn what_another_system_billed_is_compared_by_ids_and_by_sums() {
    let world = World::new();
    in_shadow(&world, 0..14);
    let events = shadow_events(&world);
    let ids: Vec<&str> = events.iter().map(|event| event["external_id"].as_str().unwrap()).collect();
    let list = |ids: &[&str]| format!("external_id\n{}\n", ids.join("\n"));
    against(&world, &list(&ids), 0, &["14 events on both sides", "both have billed the same"]);
    let other = list(&[&ids[1..], &["theirs"]].concat());
    let log = format!("{:?} at byte 0", Path::new(&world.log()));
    against(
        &world,
        &other,
        1,
        &["Floe alone has 1 event", ids[0], &log, "other system alone has 1 event", "theirs"],
    );

    // Line n is of customer n modulo 7.
    let sums = |wrong: u64| {
        let row = |who: u64| format!("customer_{who},use,2,{}\n", 7 + 2 * who + u64::from(who == wrong));
        "customer,event,events,n\n".to_owned() + &(0..7).map(row).collect::<String>()
    };
    against(&world, &sums(99), 0, &["7 sums equal", "both have billed the same"]);
    against(&world, &sums(3), 1, &["differs: customer_3 use", "13 here, 14 there", "at byte"]);
    against(
        &world,
        &sums(99).replace("customer_6", "somebody"),
        1,
        &["missing there: customer_6", "missing here: somebody"],
    );
    against(&world, "when\n1\n", 64, &["theirs.csv:1:", "no column says whose"]);

    // Of a file that is gone the shadow file still tells.
    fs::remove_file(world.log()).unwrap();
    against(&world, &list(&ids), 0, &["14 events on both sides"]);
}

/// Goes live and writes on; what must be billed in the end is told by number.
#[track_caller]
fn check_live(from: &str, billed: std::ops::Range<u64>) {
    let world = World::new();
    in_shadow(&world, 0..10);
    let live = world.config();
    let time_of = |number: usize| shadow_events(&world)[number]["timestamp"].as_str().unwrap().to_owned();
    let from = if from == "time" { time_of(6) } else { from.to_owned() };
    world.write_config(&live.replace("[polar]", &format!("[polar]\nlive_from = \"{from}\"")));
    world.append(&lines(10..15));
    // Killed at once, and killed again: where it goes on is not forgotten.
    let floe = world.start_unready();
    floe.kill();
    let floe = world.start();
    floe.kill();
    world.append(&lines(15..20));
    let floe = world.start();
    world.wait_for_billed(billed.clone());
    floe.stop();
    world.wait_for_billed(billed);
    assert!(world.account().1, "{:#}", world.account().0);
}

#[test]
fn s20_s28_live_goes_on_where_the_shadow_ended() {
    check_live("shadow", 10..20);
}

#[test]
fn s20_s28_live_begins_at_the_beginning_of_what_the_files_hold() {
    check_live("beginning", 0..20);
}

#[test]
fn s20_s28_live_begins_at_a_time() {
    check_live("time", 6..20);
}
