//! Lines as they come: empty, slow, torn, too long, of odd bytes.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::thread;
use std::time::Duration;

use crate::world::{World, exists, line, lines};

/// What a daemon may take of memory while it reads what has no end, in KiB. The binary itself is a third of it.
const MODEST_KIB: u64 = 96 * 1024;

#[test]
fn s01_s02_read_from_end_bills_what_is_appended_and_files_that_are_new() {
    let world = World::of("logs/*.log", "format = \"json\"\nread_from = \"end\"");
    world.append(&lines(0..10));
    let floe = world.start();
    world.wait("the floors", || exists(&world.path("state/floors.json")));
    world.append(&lines(10..20));
    world.append_to("logs/new.log", lines(20..30));
    world.finish(floe, 10..30);

    fs::remove_file(world.path("state/floors.json")).unwrap();
    let output = world.output(&["run"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(73), "{said}");
    assert!(said.contains("--resume-from now"), "{said}");
}

#[test]
fn s03_empty_lines_are_skipped_and_line_ends_of_windows_are_no_part_of_a_line() {
    let world = World::of("logs/app.log", "format = \"logfmt\"");
    let text = |number: u64| format!("ts=2026-11-20T10:15:32Z event=use n={number} who=customer_{number}");
    world.append(&format!("{}\n\n\r\n{}\r\n  \n{}", text(0), text(1), text(2)));
    let floe = world.start();
    world.wait_for_billed(0..2);
    world.append("\n");
    let account = world.finish(floe, 0..3);
    assert_eq!(account["ignored"]["empty"]["lines"], 3, "{account:#}");
    let events = world.sandbox.events().join("\n");
    assert!(events.contains("\"customer_1\"") && !events.contains("\\r"), "{events}");
}

#[test]
fn s04_a_line_that_is_written_slowly_is_one_line() {
    let world = World::new();
    let floe = world.start();
    let text = line(0);
    let (head, tail) = text.split_at(40);
    world.append(head);
    // The writer's pause, longer than any wait of a reader that takes what is there for a line.
    thread::sleep(Duration::from_secs(3));
    assert_eq!(world.billed().len(), 0);
    world.append(tail);
    let account = world.finish(floe, 0..1);
    assert_eq!(account["read"]["lines"], 1, "{account:#}");
    assert_eq!(world.quarantined(), [""; 0]);
}

#[test]
fn s05_a_line_that_is_torn_by_a_restart_comes_once_and_whole() {
    let world = World::new();
    let cut = |number: u64| {
        let text = line(number);
        let (head, tail) = text.split_at(40);
        (head.to_owned(), tail.to_owned())
    };
    let floe = world.start();
    let (head, tail) = cut(1);
    world.append(&(line(0) + &head));
    world.wait_for_billed(0..1);
    floe.stop();
    let floe = world.start();
    let (next_head, next_tail) = cut(2);
    world.append(&(tail + &next_head));
    world.wait_for_billed(0..2);
    floe.kill();
    world.append(&next_tail);
    let floe = world.start();
    let account = world.finish(floe, 0..3);
    assert_eq!(account["read"]["lines"], 3, "{account:#}");
    assert_eq!(world.quarantined(), [""; 0]);
}

#[test]
fn s06_the_last_line_of_a_file_that_is_gone_is_billed_if_it_is_whole() {
    let world = World::of("logs/*.log", "format = \"json\"");
    let whole = |number: u64| line(number).trim_end().to_owned();
    let torn = |number: u64| line(number)[..60].to_owned();
    for (name, first, last) in [
        ("deleted", 0, whole(1)),
        ("deleted-torn", 2, torn(3)),
        ("old", 4, whole(5)),
        ("old-torn", 6, torn(7)),
    ] {
        world.append_to(&format!("logs/{name}.log"), line(first) + &last);
    }
    let floe = world.start();
    world.wait_for_billed([0, 2, 4, 6]);
    fs::remove_file(world.path("logs/deleted.log")).unwrap();
    fs::remove_file(world.path("logs/deleted-torn.log")).unwrap();
    world.rename("logs/old.log", "logs/old.log.1");
    world.rename("logs/old-torn.log", "logs/old-torn.log.1");
    // A renamed file must be quiet for half a minute: until then its writer may end the line.
    World::awaits_for(Duration::from_secs(60), || world.quarantined().len() == 2);
    world.finish(floe, [0, 1, 2, 4, 5, 6]);
    assert_eq!(world.quarantined(), ["partial_eof"; 2], "{}", world.notices());
}

#[test]
fn s17_a_line_that_is_too_long_stands_between_two_good_ones() {
    let world = World::of("logs/app.log", "format = \"json\"\nmax_line_bytes = \"4KiB\"");
    let long = format!("{{\"event\":\"use\",\"n\":1,\"text\":\"{}\"}}\n", "x".repeat(5000));
    world.append(&(line(0) + &long + &line(2)));
    let floe = world.start();
    world.finish(floe, [0, 2]);
    assert_eq!(world.quarantined(), ["line_too_long"]);
}

#[test]
fn s17_a_line_of_a_gibibyte_costs_no_memory() {
    let world = World::new();
    world.append(&(line(0) + "{\"event\":\"use\",\"n\":1,\"text\":\""));
    let file = OpenOptions::new().append(true).open(world.log()).unwrap();
    let size = file.metadata().unwrap().len();
    // A hole: nobody has to write what is all the same.
    file.set_len(size + (1 << 30)).unwrap();
    world.append(&("\n".to_owned() + &line(2)));
    let floe = world.start();
    assert!(
        World::awaits_for(Duration::from_secs(120), || world.billed().contains_key(&2)),
        "{}",
        world.notices()
    );
    let peak = floe.peak_memory_kib();
    assert!(peak < MODEST_KIB, "{peak} KiB");
    let account = world.finish(floe, [0, 2]);
    let too_long = account["quarantined"]["line_too_long"]["bytes"].as_u64();
    assert!(too_long > Some(1 << 30), "{account:#}");
}

#[test]
fn s17_odd_bytes_cost_no_other_line() {
    let world = World::new();
    let mut file = OpenOptions::new().append(true).create(true).open(world.log()).unwrap();
    let with = |number: u64, bytes: &[u8]| {
        let text = line(number);
        let (head, tail) = text.split_at(text.len() - 2);
        [head.as_bytes(), b",\"agent\":\"", bytes, b"\"", tail.as_bytes()].concat()
    };
    file.write_all(b"\xef\xbb\xbf").unwrap();
    file.write_all(&with(0, b"a byte order mark stands before this line")).unwrap();
    file.write_all(&with(1, b"caf\xe9")).unwrap();
    file.write_all(&with(2, b"a raw \0 is no JSON")).unwrap();
    file.write_all(&with(3, b"\\u0000")).unwrap();
    file.write_all(b"\0\0\0\0\n").unwrap();
    file.write_all(&with(4, b"")).unwrap();
    let floe = world.start();
    let account = world.finish(floe, [0, 1, 3, 4]);
    assert_eq!(world.quarantined(), ["invalid_json"]);
    assert_eq!(account["read"]["lines"], 6, "{account:#}");
}
