//! Records that lines alone do not make: in containers, over several lines, under a header.

use std::fs;

use crate::world::{World, line};

/// A world whose source has these keys instead of `format = "json"`.
fn world_of(keys: &str) -> World {
    World::of("logs/app.log", keys)
}

/// As the kubelet's runtimes write it.
fn wrapped(tag: &str, text: &str) -> String {
    format!("2026-11-20T10:15:32.200000001Z stdout {tag} {text}\n")
}

#[test]
fn s05_a_containers_line_goes_on_over_reads_restarts_and_rotation() {
    let world = world_of("format = \"json\"\ncontainer = \"cri\"");
    let cut = |number: u64| {
        let line = line(number);
        let (head, tail) = line.trim_end().split_at(40);
        (wrapped("P", head), wrapped("F", tail))
    };
    let floe = world.start();
    let (head, tail) = cut(1);
    world.append(&(wrapped("F", line(0).trim_end()) + &head));
    world.wait_for_billed(0..1);
    floe.kill();
    let floe = world.start();
    world.append(&tail);
    world.wait_for_billed(0..2);

    // The kubelet renames the file in the middle of a line, and the runtime goes on in a new one.
    let (head, tail) = cut(2);
    world.append(&head);
    fs::rename(world.log(), world.path("logs/app.log.20261120-101532")).unwrap();
    world.append(&(tail + &wrapped("F", line(3).trim_end())));
    world.wait_for_billed(0..4);
    floe.stop();
    let (account, right) = world.account();
    assert!(right, "{account:#}");
    assert_eq!(account["sources"]["app"]["quarantined"]["lines"].as_u64().unwrap_or(0), 0, "{account:#}");
}

#[test]
fn the_last_of_several_lines_is_billed_when_nothing_more_comes() {
    let starts = "multiline = { start = '^\\{', max_wait = \"300ms\" }";
    let world = world_of(&format!(
        "format = \"regex\"\npattern = '\"ts\":\"(?<ts>[^\"]+)\",\"event\":\"(?<event>\\w+)\",\"who\":\"(?<who>\\w+)\",\"n\":(?<n>\\d+)'\n{starts}"
    ));
    let floe = world.start();
    world.append(&(line(0) + "  at one\n  at two\n" + &line(1)));
    world.wait_for_billed(0..2);
    world.append(&("  too late\n".to_owned() + &line(2)));
    world.wait_for_billed(0..3);
    floe.stop();
    let (account, right) = world.account();
    assert!(right, "{account:#}");
}

#[test]
fn columns_keep_their_names_after_a_restart() {
    let world = world_of("format = \"delimited\"\nheader = \"first_line\"");
    let row = |number: u64| format!("2026-11-20T10:15:32Z,use,customer_1,{number}\n");
    let floe = world.start();
    world.append(&("ts,event,who,n\n".to_owned() + &row(0) + &row(1)));
    world.wait_for_billed(0..2);
    floe.kill();
    let floe = world.start();
    world.append(&row(2));
    world.wait_for_billed(0..3);
    floe.stop();
    let floe = world.start();
    world.append(&row(3));
    world.wait_for_billed(0..4);
    floe.stop();
    assert!(world.account().1);
}
