//! More files than may be open at once.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use crate::limits::limited;
use crate::world::{World, line};

const FILES: u64 = 40;

/// How many log files the process has open.
fn open_logs(pid: u32) -> usize {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let targets = links.filter_map(|link| fs::read_link(link.ok()?.path()).ok());
    targets.filter(|target| target.parent().is_some_and(|folder| folder.ends_with("logs"))).count()
}

fn append(path: &Path, text: &str) {
    OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

#[test]
fn s16_more_files_than_descriptors_are_read_one_after_the_other_and_again_when_they_grow() {
    let world = World::new();
    let config = world.config().replace("app.log", "*.log").replace("[limits]", "[limits]\nopen_files = 5");
    world.write_config(&config);
    let path = |file: u64| world.path(&format!("logs/{file}.log"));
    (0..FILES).for_each(|file| append(&path(file), &line(file)));
    let floe = world.start();
    world.wait_for_billed(0..FILES);
    for round in 1..4 {
        (0..FILES).for_each(|file| append(&path(file), &line(round * FILES + file)));
        world.wait_for_billed(0..(round + 1) * FILES);
        // Questions about a file open it for a moment.
        world.wait("five open logs at most", || open_logs(floe.pid()) <= 5);
    }
    // Renamed while it is closed: still the same file.
    fs::rename(path(7), world.path("logs/7.log.1")).unwrap();
    append(&path(7), &line(4 * FILES));
    append(&world.path("logs/7.log.1"), &line(4 * FILES + 1));
    world.wait_for_billed(0..4 * FILES + 2);
    floe.stop();
    assert!(world.account().1);
}

#[test]
fn s16_a_process_with_few_descriptors_reads_all_files() {
    let world = World::new();
    world.write_config(&world.config().replace("app.log", "*.log"));
    for file in 0..2 * FILES {
        append(&world.path(&format!("logs/{file}.log")), &line(file));
    }
    let floe = world.spawn(limited(&world, "ulimit -n 50"));
    world.wait_for_billed(0..2 * FILES);
    floe.stop();
    assert!(world.account().1);
}

#[test]
fn s14_s16_a_copy_that_outgrows_its_closed_original_is_read_on() {
    let world = World::new();
    let config = world.config().replace("app.log", "*.log").replace("[limits]", "[limits]\nopen_files = 1");
    world.write_config(&config);
    let path = |name: &str| world.path(&format!("logs/{name}.log"));
    append(&path("original"), &line(0));
    let floe = world.start();
    world.wait_for_billed(0..1);
    fs::copy(path("original"), path("copy")).unwrap();
    floe.wait_for_notice("identity_ambiguous");
    // The one descriptor goes to others, one after the other; so the two were compared before.
    for number in 1..4 {
        append(&path(&format!("other-{number}")), &line(number));
        world.wait_for_billed(0..=number);
    }
    append(&path("copy"), &line(4));
    world.wait_for_billed(0..5);
    floe.stop();
    assert!(world.account().1);
}
