//! Whose fault is it? One event that Polar does not take, among others that it takes: exactly its line is quarantined,
//! all others are billed once, and the line is billed by a retry once Polar takes it.

use std::fs;

use floe::sandbox::FaultPlan;
use serde_json::Value;

use crate::world::{World, line, lines};

/// A line in which the sandbox finds its mark.
fn marked(number: u64) -> String {
    line(number).replace("\"who\":\"", "\"who\":\"marked_")
}

fn quarantined(world: &World) -> Vec<(String, u64)> {
    let text = fs::read_to_string(world.path("state/quarantine/quarantine.jsonl")).unwrap_or_default();
    let letters = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    letters
        .map(|letter| {
            let number = letter["events"][0]["metadata"]["n"].as_u64().unwrap();
            (letter["reason"].as_str().unwrap().to_owned(), number)
        })
        .collect()
}

#[track_caller]
fn check(plan: &str, reason: &str) {
    let world = World::new();
    world.sandbox.set_faults(plan.parse().unwrap());
    world.append(&(lines(0..40) + &marked(40) + &lines(41..100)));
    let floe = world.start();
    // New lines now and then, as a log has them: that others pass is what tells the line from an outage.
    let mut next = 100;
    world.wait("the letter", || {
        if next < 3000 {
            world.append(&line(next));
            next += 1;
        }
        !quarantined(&world).is_empty()
    });
    world.wait_for_billed((0..next).filter(|number| *number != 40));
    assert_eq!(quarantined(&world), [(reason.to_owned(), 40)]);
    floe.stop();
    let (account, right) = world.account();
    assert!(right, "{account:#}");

    world.sandbox.set_faults(FaultPlan::none());
    let output = world.output(&["quarantine", "retry", "--all"]);
    assert!(output.status.success(), "{output:?}");
    world.wait_for_billed(0..next);
    let (account, right) = world.account();
    assert!(right, "{account:#}");
    assert_eq!(account["sources"]["app"]["billed"]["lines"], next, "{account:#}");
    assert_eq!(account["sources"]["app"]["quarantined"], serde_json::json!({}), "{account:#}");
}

#[test]
fn s23_a_500_for_one_event_costs_its_line_alone() {
    check("500@marked_", "refused_by_polar");
}

#[test]
fn s23_a_422_that_names_nothing_costs_the_line_of_its_event_alone() {
    check("422@marked_", "refused_by_polar");
}

#[test]
fn s23_a_413_for_one_event_costs_its_line_alone() {
    check("413@marked_", "too_large");
}

#[test]
fn s23_a_poison_line_that_is_alone_waits_and_goes_as_soon_as_others_pass() {
    let world = World::new();
    world.sandbox.set_faults("500@marked_".parse().unwrap());
    world.append(&marked(0));
    let floe = world.start();
    floe.wait_for_notice("polar_unreachable");
    floe.wait_for_words("quarantined once other lines are billed");
    assert_eq!(quarantined(&world), [], "nothing tells it from an outage");
    let mut next = 1;
    world.wait("the letter", || {
        if next < 3000 {
            world.append(&line(next));
            next += 1;
        }
        !quarantined(&world).is_empty()
    });
    world.wait_for_billed(1..next);
    assert_eq!(quarantined(&world), [("refused_by_polar".to_owned(), 0)]);
    floe.stop();
    assert!(world.account().1);
}
