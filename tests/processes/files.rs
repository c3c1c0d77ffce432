//! Which file is which: inodes that are given out again, copies, links, files alike.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;

use crate::world::{World, line, lines, noise};

fn inode(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

/// Writes a file anew until it has the inode that a deleted one had; where the file system gives none out again,
/// it is any other file.
fn write_with_inode(world: &World, wanted: u64, text: &str) {
    for attempt in 0..100 {
        fs::write(world.log(), text).unwrap();
        if inode(&world.log()) == wanted {
            return;
        }
        // It keeps the wrong inode busy, where no source looks.
        world.rename("logs/app.log", &format!("busy-{attempt}"));
    }
    fs::write(world.log(), text).unwrap();
    println!("NOT RUN with an equal inode: this file system gives none out again");
}

#[test]
fn s13_a_longer_file_has_the_inode_of_a_deleted_one() {
    let world = World::new();
    world.append(&lines(0..10));
    let floe = world.start();
    world.wait_for_billed(0..10);
    floe.stop();
    let old = inode(&world.log());
    fs::remove_file(world.log()).unwrap();
    write_with_inode(&world, old, &lines(10..100));
    let floe = world.start();
    let account = world.finish(floe, 0..100);
    assert_eq!(account["read"]["lines"], 100, "no fragment: {account:#}");
    assert_eq!(world.quarantined(), [""; 0]);
}

#[test]
fn s13_a_log_is_deleted_and_made_anew_at_its_path() {
    let world = World::new();
    world.append(&lines(0..10));
    let floe = world.start();
    world.wait_for_billed(0..10);
    for round in 1..10 {
        fs::remove_file(world.log()).unwrap();
        world.append(&lines(10 * round..10 * round + 10));
        world.wait_for_billed(0..10 * round + 10);
    }
    world.finish(floe, 0..100);
}

#[test]
fn s13_an_editor_puts_a_new_file_in_place_of_the_log() {
    let world = World::new();
    world.append(&lines(0..10));
    let floe = world.start();
    world.wait_for_billed(0..10);
    for round in 1..5 {
        let mut text = fs::read_to_string(world.log()).unwrap();
        text.push_str(&lines(10 * round..10 * round + 10));
        fs::write(world.path("logs/sedXy12ab"), text).unwrap();
        world.rename("logs/sedXy12ab", "logs/app.log");
        world.wait_for_billed(0..10 * round + 10);
    }
    world.finish(floe, 0..50);
}

#[test]
fn s14_two_live_files_begin_with_the_same_line() {
    let world = World::of("logs/*.log", "format = \"json\"");
    let floe = world.start();
    for name in ["logs/a.log", "logs/b.log"] {
        world.append_to(name, noise(0));
    }
    world.append_to("logs/a.log", lines(0..20));
    world.append_to("logs/b.log", lines(20..40));
    world.wait_for_billed(0..40);
    floe.kill();
    let floe = world.start();
    world.append_to("logs/a.log", lines(40..50));
    world.append_to("logs/b.log", lines(50..60));
    world.finish(floe, 0..60);
}

#[test]
fn s14_two_live_files_with_the_same_content_so_far_are_two_once_they_differ() {
    let world = World::of("logs/*.log", "format = \"json\"");
    let both = noise(0) + &noise(1) + &noise(2);
    world.append_to("logs/a.log", &both);
    world.append_to("logs/b.log", &both);
    let floe = world.start();
    // Which of two is a copy cannot be known while they are the same.
    floe.wait_for_notice("identity_ambiguous");
    world.append_to("logs/a.log", lines(0..10));
    world.append_to("logs/b.log", lines(10..20));
    let account = world.finish(floe, 0..20);
    assert_eq!(account["read"]["lines"], 26, "{account:#}");
}

#[test]
fn s15_a_link_leads_to_another_file() {
    let world = World::new();
    fs::create_dir(world.path("files")).unwrap();
    world.append_to("files/a", lines(0..10));
    symlink(world.path("files/a"), world.log()).unwrap();
    let floe = world.start();
    world.wait_for_billed(0..10);
    world.append_to("files/a", lines(10..20));
    world.append_to("files/b", lines(20..30));
    symlink(world.path("files/b"), world.path("logs/next")).unwrap();
    world.rename("logs/next", "logs/app.log");
    world.append(&lines(30..40));
    world.finish(floe, 0..40);
}

#[test]
fn s15_names_of_one_file_are_one_file() {
    let world = World::of("logs/*.log", "format = \"json\"");
    world.append(&lines(0..10));
    symlink(world.log(), world.path("logs/a-link.log")).unwrap();
    fs::hard_link(world.log(), world.path("logs/z-hard.log")).unwrap();
    let floe = world.start();
    world.wait_for_billed(0..10);
    world.append_to("logs/a-link.log", lines(10..20));
    world.append_to("logs/z-hard.log", lines(20..30));
    world.wait_for_billed(0..30);
    fs::remove_file(world.log()).unwrap();
    world.append_to("logs/z-hard.log", lines(30..40));
    let account = world.finish(floe, 0..40);
    assert_eq!(account["events"], 40, "{account:#}");
}

/// As the kubelet's runtimes write it.
fn wrapped(numbers: std::ops::Range<u64>) -> String {
    let wrap = |number| format!("2026-11-20T10:15:32.200000001Z stdout F {}", line(number));
    numbers.map(wrap).collect()
}

#[test]
fn s15_a_container_is_followed_through_the_links_of_its_node() {
    let world = World::of("containers/*.log", "format = \"json\"\ncontainer = \"cri\"");
    for folder in ["containers", "pods", "runtime"] {
        fs::create_dir(world.path(folder)).unwrap();
    }
    world.append_to("runtime/0.log", wrapped(0..10));
    symlink(world.path("runtime/0.log"), world.path("pods/0.log")).unwrap();
    symlink(world.path("pods/0.log"), world.path("containers/app_default_app-1.log")).unwrap();
    let floe = world.start();
    world.wait_for_billed(0..10);
    // The runtime turns the file over, and its name leads to the new one.
    world.append_to("runtime/0.log", wrapped(10..20));
    world.rename("runtime/0.log", "runtime/0.log.20261120-101532");
    world.append_to("runtime/0.log", wrapped(20..30));
    world.wait_for_billed(0..30);
    floe.kill();
    let floe = world.start();
    world.append_to("runtime/0.log", wrapped(30..40));
    world.finish(floe, 0..40);
}

#[test]
fn s28_a_container_starts_again_in_its_pod_and_the_pod_elsewhere() {
    let world = World::of("pods/*/app/*.log", "format = \"json\"\ncontainer = \"cri\"");
    fs::create_dir_all(world.path("pods/default_shop_1/app")).unwrap();
    world.append_to("pods/default_shop_1/app/0.log", wrapped(0..10));
    let floe = world.start();
    world.wait_for_billed(0..10);
    world.append_to("pods/default_shop_1/app/0.log", wrapped(10..20));
    world.append_to("pods/default_shop_1/app/1.log", wrapped(20..30));
    world.wait_for_billed(0..30);
    fs::remove_file(world.path("pods/default_shop_1/app/0.log")).unwrap();
    world.append_to("pods/default_shop_1/app/1.log", wrapped(30..40));
    world.wait_for_billed(0..40);
    fs::remove_dir_all(world.path("pods/default_shop_1")).unwrap();
    fs::create_dir_all(world.path("pods/default_shop_2/app")).unwrap();
    world.append_to("pods/default_shop_2/app/0.log", wrapped(40..50));
    world.finish(floe, 0..50);
}
