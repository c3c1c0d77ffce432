//! What the machine refuses or has too little of: rights, descriptors, events, room in memory.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::world::{World, exists, line, lines};

/// What a daemon may take of memory, however much there is to do, in KiB. The binary itself is a third of it.
const MODEST_KIB: u64 = 96 * 1024;

/// Nobody, for whom rights count.
const NOBODY: u32 = 65534;

#[test]
fn s16_a_file_that_may_not_be_read_is_told_and_read_once_it_may() {
    let world = World::new();
    world.append(&lines(0..10));
    let mut command = world.command(&["run", "--log-format", "json"]);
    if rustix::process::geteuid().is_root() {
        // Rights do not stop root. What nobody needs is nobody's, the program included.
        let program = world.path("floe");
        fs::copy(env!("CARGO_BIN_EXE_floe"), &program).unwrap();
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        command = Command::new(program);
        command.args(arguments).uid(NOBODY).gid(NOBODY);
        fs::create_dir(world.path("state")).unwrap();
        fs::set_permissions(world.folder.path(), Permissions::from_mode(0o755)).unwrap();
        chown(world.path("state"), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    fs::set_permissions(world.log(), Permissions::from_mode(0o000)).unwrap();
    let floe = world.spawn(command);
    floe.wait_for_notice("file_unreadable");
    assert_eq!(world.billed().len(), 0);
    fs::set_permissions(world.log(), Permissions::from_mode(0o644)).unwrap();
    world.finish(floe, 0..10);
}

/// The daemon behind a limit of the shell.
pub fn limited(world: &World, limit: &str) -> Command {
    let run = world.command(&["run", "--log-format", "json"]);
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{limit} && exec \"$@\""), "sh"])
        .arg(run.get_program())
        .args(run.get_args());
    command
}

#[test]
fn s16_a_folder_appears_later() {
    let world = World::of("logs/*/deep/app.log", "format = \"json\"");
    let floe = world.start();
    fs::create_dir_all(world.path("logs/one/deep")).unwrap();
    world.append_to("logs/one/deep/app.log", lines(0..10));
    world.wait_for_billed(0..10);
    fs::remove_dir_all(world.path("logs/one")).unwrap();
    fs::create_dir_all(world.path("logs/two/deep")).unwrap();
    world.append_to("logs/two/deep/app.log", lines(10..20));
    world.finish(floe, 0..20);
}

#[test]
fn s18_ten_thousand_files() {
    let world = World::of("logs/*.log", "format = \"json\"");
    for file in 0..10_000 {
        world.append_to(&format!("logs/{file}.log"), line(file));
    }
    // The soft limit is what a login shell has; Floe takes what the hard one allows.
    let floe = world.spawn(limited(&world, "ulimit -S -n 1024"));
    let all = World::awaits_for(Duration::from_secs(120), || world.sandbox.stats().events == 10_000);
    assert!(all, "{} files; {}", world.sandbox.stats().events, world.notices());
    for file in [0, 17, 9_999] {
        world.append_to(&format!("logs/{file}.log"), line(10_000 + file));
    }
    let peak = floe.peak_memory_kib();
    // What is known of a file costs some KiB.
    assert!(peak < MODEST_KIB + 10_000 * 8, "{peak} KiB");
    world.finish(floe, (0..10_000).chain([10_000, 10_017, 19_999]).collect::<Vec<_>>());
}

#[test]
fn s18_a_log_of_a_hundred_gigabytes_is_followed_at_its_end() {
    let world = World::of("logs/app.log", "format = \"json\"\nread_from = \"end\"");
    world.append(&line(0));
    let file = OpenOptions::new().append(true).open(world.log()).unwrap();
    file.set_len(100_000_000_000).unwrap();
    world.append("\n");
    let floe = world.start();
    world.wait("the floors", || exists(&world.path("state/floors.json")));
    world.append(&lines(1..10));
    world.wait_for_billed(1..10);
    floe.kill();
    world.append(&lines(10..20));
    let floe = world.start();
    let account = world.finish(floe, 1..20);
    assert_eq!(account["skipped_bytes"], 100_000_000_001_u64, "{account:#}");
}

#[test]
fn s18_a_log_that_grows_faster_than_polar_takes_it_waits_on_the_disk() {
    let world = World::new();
    let config = world.config().replace("[delivery]", "[delivery]\nconcurrency = 1\nbatch_max_events = 200");
    world.write_config(&config);
    world.sandbox.set_faults("latency:100ms".parse().unwrap());
    let floe = world.start();
    let padding = "x".repeat(1000);
    for tens in 0..1_000 {
        let padded = |number| line(number).replace("\"use\"", &format!("\"use\",\"text\":\"{padding}\""));
        world.append(&(10 * tens..10 * tens + 10).map(padded).collect::<String>());
    }
    world.wait_for_billed(0..10_000);
    let peak = floe.peak_memory_kib();
    assert!(peak < MODEST_KIB, "{peak} KiB");
    world.finish(floe, 0..10_000);
}

#[test]
fn s19_the_queue_of_events_runs_over() {
    let world = World::of("logs/*.log", "format = \"json\"");
    world.append(&line(0));
    let floe = world.start();
    world.wait_for_billed(0..1);
    floe.signal(Signal::STOP);
    let queue = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    // Each file is made and renamed: more than one event. All of it is over before Floe goes on.
    for number in 0..queue.trim().parse::<u32>().unwrap() {
        let made = world.path(&format!("logs/{}", number % 10));
        fs::write(&made, "").unwrap();
        fs::remove_file(&made).unwrap();
    }
    world.append(&lines(1..10));
    world.append_to("logs/new.log", lines(10..20));
    floe.signal(Signal::CONT);
    world.wait_for_billed(0..20);
    world.append(&lines(20..30));
    world.finish(floe, 0..30);
}
