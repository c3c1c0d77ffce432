//! Rotation, in all the ways in which logs are turned over.

use std::fs::{self, OpenOptions};
use std::io::Write as _;

use floe::sandbox::FaultPlan;
use rustix::process::Signal;

use crate::world::{World, line, lines, noise};

#[test]
fn s07_the_old_writer_still_appends_after_the_rename_and_after_the_next() {
    let world = World::new();
    world.append(&lines(0..10));
    let floe = world.start();
    world.wait_for_billed(0..10);
    let mut late = OpenOptions::new().append(true).open(world.log()).unwrap();
    world.rename("logs/app.log", "logs/app.log.1");
    late.write_all(lines(10..20).as_bytes()).unwrap();
    world.append(&lines(20..30));
    world.rename("logs/app.log.1", "logs/app.log.2");
    world.rename("logs/app.log", "logs/app.log.1");
    late.write_all(lines(30..40).as_bytes()).unwrap();
    world.append(&lines(40..50));
    world.wait_for_billed(0..50);
    late.write_all(lines(50..60).as_bytes()).unwrap();
    world.finish(floe, 0..60);
}

#[test]
fn s07_fifty_files_are_turned_over_in_a_burst() {
    let world = World::of("logs/*.log", "format = \"json\"");
    for file in 0..50 {
        world.append_to(&format!("logs/{file}.log"), line(file));
    }
    let floe = world.start();
    world.wait_for_billed(0..50);
    for file in 0..50 {
        let name = format!("logs/{file}.log");
        world.append_to(&name, line(50 + file));
        world.rename(&name, &format!("{name}.1"));
        world.append_to(&name, line(100 + file));
    }
    world.finish(floe, 0..150);
}

#[test]
fn s07_one_log_is_turned_over_fifty_times_in_a_burst() {
    let world = World::new();
    world.append(&line(0));
    let floe = world.start();
    world.wait_for_billed(0..1);
    for rotation in 1..=50 {
        for generation in (1..rotation).rev() {
            world.rename(&format!("logs/app.log.{generation}"), &format!("logs/app.log.{}", generation + 1));
        }
        world.rename("logs/app.log", "logs/app.log.1");
        world.append(&lines(10 * rotation..10 * rotation + 10));
    }
    world.finish(floe, std::iter::once(0).chain(10..510).collect::<Vec<_>>());
}

#[test]
fn s08_files_change_places_in_a_ring() {
    let world = World::new();
    let mut next = 0;
    let mut write = |count: u64| {
        world.append(&lines(next..next + count));
        next += count;
        next
    };
    write(10);
    let floe = world.start();
    for generation in [2, 1] {
        world.wait_for_billed(0..write(10));
        world.rename("logs/app.log", &format!("logs/app.log.{generation}"));
    }
    world.wait_for_billed(0..write(10));
    // The oldest one comes back as the log, and the writer appends to what stands there.
    for _ in 0..6 {
        write(5);
        world.rename("logs/app.log", "logs/app.log.3");
        world.rename("logs/app.log.2", "logs/app.log");
        world.rename("logs/app.log.1", "logs/app.log.2");
        world.rename("logs/app.log.3", "logs/app.log.1");
        world.wait_for_billed(0..write(5));
    }
    let all = write(1);
    world.finish(floe, 0..all);
}

#[test]
fn s09_what_was_not_read_before_the_rename_is_found_while_running() {
    let world = World::new();
    world.append(&lines(0..10));
    let floe = world.start();
    world.wait_for_billed(0..10);
    floe.signal(Signal::STOP);
    world.append(&lines(10..20));
    world.rename("logs/app.log", "logs/app.log-20261120");
    world.append(&lines(20..30));
    floe.signal(Signal::CONT);
    world.wait_for_billed(0..30);

    // Away from where anybody looks: the file is open, and that is enough.
    fs::create_dir(world.path("archive")).unwrap();
    floe.signal(Signal::STOP);
    world.append(&lines(30..40));
    world.rename("logs/app.log", "archive/whatever");
    world.append(&lines(40..50));
    floe.signal(Signal::CONT);
    world.finish(floe, 0..50);
}

#[test]
fn s09_what_was_not_read_before_the_rename_is_found_after_a_stop() {
    for name in ["logs/app.log.1", "logs/app.log-20261120-101532", "logs/kept-for-the-auditors"] {
        let world = World::new();
        world.append(&lines(0..10));
        let floe = world.start();
        world.wait_for_billed(0..10);
        floe.stop();
        world.append(&lines(10..20));
        world.rename("logs/app.log", name);
        world.append(&lines(20..30));
        let floe = world.start();
        world.finish(floe, 0..30);
    }
}

/// `cp` and `truncate`, as logrotate does it.
fn copy_and_truncate(world: &World, copy: &str) {
    fs::copy(world.log(), world.path(copy)).unwrap();
    OpenOptions::new().write(true).open(world.log()).unwrap().set_len(0).unwrap();
}

#[test]
fn s11_a_log_is_copied_and_truncated_and_grows_anew() {
    let world = World::new();
    world.append(&lines(0..100));
    let floe = world.start();
    world.wait_for_billed(0..100);
    copy_and_truncate(&world, "logs/app.log.1");
    // Shorter than what stood there.
    world.append(&lines(100..103));
    world.wait_for_billed(0..103);
    copy_and_truncate(&world, "logs/app.log.1");
    world.append(&lines(103..500));
    world.finish(floe, 0..500);
}

#[test]
fn s11_the_new_content_begins_with_the_same_line() {
    let world = World::new();
    let first = noise(0);
    world.append(&(first.clone() + &lines(0..20)));
    let floe = world.start();
    world.wait_for_billed(0..20);
    for round in 1..6 {
        copy_and_truncate(&world, &format!("logs/app.log.{round}"));
        world.append(&(first.clone() + &lines(20 * round..20 * round + 20)));
        world.wait_for_billed(0..20 * round + 20);
    }
    let account = world.finish(floe, 0..120);
    assert_eq!(account["read"]["lines"], 126, "{account:#}");
}

#[test]
fn s11_the_endpoint_is_down_meanwhile() {
    let world = World::new();
    world.append(&lines(0..20));
    let floe = world.start();
    world.wait_for_billed(0..20);
    world.sandbox.set_faults("503:1".parse().unwrap());
    for round in 1..6 {
        world.append(&lines(20 * round..20 * round + 20));
        copy_and_truncate(&world, &format!("logs/app.log.{round}"));
    }
    world.append(&lines(120..130));
    world.sandbox.set_faults(FaultPlan::none());
    world.finish(floe, 0..130);
}

#[test]
fn s11_the_copy_is_of_the_source_too() {
    let world = World::of("logs/*", "format = \"json\"");
    world.append(&lines(0..20));
    let floe = world.start();
    world.wait_for_billed(0..20);
    for round in 1..6 {
        world.append(&lines(20 * round..20 * round + 10));
        copy_and_truncate(&world, &format!("logs/app-{round}.log"));
        world.append(&lines(20 * round + 10..20 * round + 20));
        world.wait_for_billed(0..20 * round + 20);
    }
    let account = world.finish(floe, 0..120);
    assert_eq!(account["read"]["lines"], 120, "the copies are not read again: {account:#}");
}

#[test]
fn s12_a_log_that_was_written_anew_while_nobody_looked_is_read_from_its_start() {
    let world = World::new();
    world.append(&lines(0..10));
    let floe = world.start();
    world.wait_for_billed(0..10);
    floe.stop();
    let file = OpenOptions::new().write(true).open(world.log()).unwrap();
    file.set_len(0).unwrap();
    world.append(&(noise(10) + &lines(11..100)));
    let floe = world.start();
    let account = world.finish(floe, (0..10).chain(11..100).collect::<Vec<_>>());
    assert_eq!(account["read"]["lines"], 100, "no fragment: {account:#}");
    assert_eq!(world.quarantined(), [""; 0]);
}

#[test]
fn s24_an_outage_says_when_rotation_will_delete_what_nobody_has_read() {
    let world = World::new();
    world.write_config(&world.config().replace(&world.sandbox.url(), "http://127.0.0.1:9"));
    let floe = world.start();
    for rotation in 0..6 {
        world.append(&lines(10 * rotation..10 * rotation + 10));
        let followed = format!("{:?} is followed", world.log());
        let times = usize::try_from(rotation).unwrap() + 1;
        world.wait("the new log", || floe.said().matches(&followed.replace('"', "\\\"")).count() >= times);
        for (from, to) in [("app.log.1", "app.log.2"), ("app.log", "app.log.1")] {
            if world.path("logs").join(from).exists() {
                world.rename(&format!("logs/{from}"), &format!("logs/{to}"));
            }
        }
        let renamed = "app.log.1\\\" now";
        world.wait("the rotation", || floe.said().matches(renamed).count() >= times);
    }
    floe.wait_for_notice("rotation_threatens");
    assert!(floe.said().contains("if the log is rotated as before, it is deleted in about"));
}
