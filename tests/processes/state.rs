//! The state folder: torn, old, of elsewhere, deleted under a running daemon.

use std::fs;
use std::path::Path;

use floe::agent::checkpoint::{Checkpoint, seal};

use crate::world::{World, line, lines};

/// Twenty lines are billed, and the daemon is at rest.
fn twenty_billed() -> World {
    let world = World::new();
    for half in [0, 10] {
        world.append(&lines(half..half + 10));
        let floe = world.start();
        world.wait_for_billed(0..half + 10);
        floe.stop();
    }
    world
}

#[track_caller]
fn check_damage(damage: impl Fn(&Path)) {
    let world = twenty_billed();
    damage(&world.path("state/checkpoint.json"));
    let floe = world.start();
    floe.wait_for_notice("checkpoint_lost");
    world.append(&lines(20..30));
    let account = world.finish(floe, 0..30);
    assert_eq!(account["read"]["lines"], 30, "{account:#}");
}

#[test]
fn s21_a_checkpoint_that_is_zeroed_gives_way_to_the_one_before() {
    check_damage(|path| fs::write(path, vec![0; fs::metadata(path).unwrap().len() as usize]).unwrap());
}

#[test]
fn s21_a_checkpoint_that_is_torn_gives_way_to_the_one_before() {
    check_damage(|path| {
        let text = fs::read(path).unwrap();
        fs::write(path, &text[..text.len() / 2]).unwrap();
    });
    check_damage(|path| fs::write(path, "").unwrap());
}

#[test]
fn s21_without_any_checkpoint_all_is_read_again_and_billed_once() {
    let world = twenty_billed();
    fs::write(world.path("state/checkpoint.json"), "").unwrap();
    fs::write(world.path("state/checkpoint.previous.json"), "").unwrap();
    let floe = world.start();
    floe.wait_for_notice("checkpoint_lost");
    world.append(&lines(20..30));
    world.finish(floe, 0..30);
    let (account, _) = world.account();
    assert_eq!(account["events"]["duplicates"], 20, "{account:#}");
    assert_eq!(account["events"]["unexpected_duplicates"], 0, "{account:#}");
}

#[test]
fn s21_a_checkpoint_of_a_newer_release_is_refused_and_kept() {
    let world = twenty_billed();
    let path = world.path("state/checkpoint.json");
    let checkpoint = fs::read_to_string(&path).unwrap();
    let (body, _) = checkpoint.trim_end().rsplit_once('\n').unwrap();
    let newer = body.replacen("\"version\":", "\"version\":9", 1);
    assert_ne!(newer, body);
    let sealed = format!("{newer}\ncrc32 {:08x}\n", crc32fast::hash(newer.as_bytes()));
    fs::write(&path, &sealed).unwrap();
    let output = world.output(&["run"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(73), "{said}");
    assert!(said.contains("which this Floe cannot read"), "{said}");
    assert_eq!(fs::read_to_string(&path).unwrap(), sealed);
}

#[test]
fn s21_state_and_logs_that_moved_to_another_host_go_on_there() {
    let world = twenty_billed();
    // Other inodes, and another folder: what a copy to another machine keeps is the content.
    fs::create_dir(world.path("elsewhere")).unwrap();
    fs::copy(world.log(), world.path("elsewhere/app.log")).unwrap();
    fs::remove_file(world.log()).unwrap();
    world.append_to("elsewhere/app.log", lines(20..30));
    world.follow("elsewhere/app.log", "format = \"json\"");
    let floe = world.start();
    world.finish(floe, 0..30);
    let (account, _) = world.account();
    assert_eq!(account["events"]["unexpected_duplicates"], 0, "{account:#}");
}

#[test]
fn s22_two_daemons_do_not_share_a_state_folder() {
    let world = World::new();
    let floe = world.start();
    let output = world.output(&["run"]);
    assert_eq!(output.status.code(), Some(75));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&format!("process id {}", floe.pid())), "{said}");
    floe.stop();
    world.start().stop();
}

#[test]
fn s22_the_state_folder_is_deleted_under_a_running_daemon() {
    let world = World::new();
    world.append(&lines(0..10));
    let floe = world.start();
    world.wait_for_billed(0..10);
    fs::remove_dir_all(world.path("state")).unwrap();
    world.append(&lines(10..20));
    floe.wait_for_notice("checkpoint_unsaved");
    world.wait_for_billed(0..20);
    // Somebody makes it again, and the daemon goes on as if nothing had been.
    fs::create_dir(world.path("state")).unwrap();
    floe.wait_for_notice("checkpoint_saved");
    world.append(&line(20));
    world.wait_for_billed(0..21);
    floe.kill();
    let floe = world.start();
    world.append(&line(21));
    world.finish(floe, 0..22);
}

#[test]
fn s22_a_start_without_the_deleted_state_folder_bills_nothing_twice() {
    let world = World::new();
    world.append(&lines(0..10));
    let floe = world.start();
    world.wait_for_billed(0..10);
    fs::remove_dir_all(world.path("state")).unwrap();
    world.append(&lines(10..20));
    world.wait_for_billed(0..20);
    floe.kill();
    let floe = world.start();
    world.append(&lines(20..30));
    world.finish(floe, 0..30);
}

#[test]
fn s21_a_log_that_lost_its_end_with_the_power_and_was_written_on_is_billed_once() {
    let world = World::new();
    let written: Vec<String> = (0..2000).map(line).collect();
    world.append(&written.concat());
    let floe = world.start();
    world.wait_for_billed(0..2000);
    floe.stop();
    // What the disk had not got yet is gone, and the application came back before Floe.
    fs::write(world.log(), written[..1900].concat()).unwrap();
    world.append(&lines(2000..2300));
    for name in ["checkpoint.json", "checkpoint.previous.json"] {
        let path = world.path("state").join(name);
        let mut checkpoint = Checkpoint::read(&fs::read(&path).unwrap()).unwrap();
        assert!(!checkpoint.boot.is_empty());
        checkpoint.boot = "the boot before".to_owned();
        fs::write(path, seal(&checkpoint)).unwrap();
    }
    let floe = world.start();
    world.wait_for_billed(0..2300);
    floe.wait_for_notice("file_truncated");
    floe.stop();
    assert!(world.account().1);
}
