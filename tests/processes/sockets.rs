//! Sources that are no files: sockets and the standard input, with real sockets and real processes.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use floe::sandbox::FaultPlan;
use rustix::process::Signal;

use crate::world::{World, exists, line, lines};

pub const STREAM: &str = "socket = \"{folder}/app.sock\"";
pub const WITH_ACK: &str = "socket = \"{folder}/app.sock\"\nack = true";
pub const DATAGRAM: &str = "socket = \"{folder}/app.sock\"\nsocket_type = \"datagram\"";

/// The least that lines of 64 KiB allow.
pub const SMALL_SPOOL: &str = "max_line_bytes = \"64KiB\"\nspool_max_bytes = \"256KiB\"";

pub fn world_of(input: &str) -> World {
    let world = World::new();
    world.write_config(&world.config_of(input));
    world
}

pub fn socket(world: &World) -> PathBuf {
    world.path("app.sock")
}

#[track_caller]
pub fn connect(world: &World) -> UnixStream {
    let stream = UnixStream::connect(socket(world)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// Sends lines and hears that each is durable.
#[track_caller]
pub fn send(stream: &mut UnixStream, text: &str) {
    stream.write_all(text.as_bytes()).unwrap();
    hear(stream, text.lines().count());
}

#[track_caller]
pub fn hear(stream: &mut UnixStream, lines: usize) {
    let mut answer = vec![0; 3 * lines];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(String::from_utf8(answer).unwrap(), "ok\n".repeat(lines));
}

pub fn segments(world: &World) -> Vec<PathBuf> {
    let entries = fs::read_dir(world.path("state/spool/app")).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

pub fn spooled_bytes(world: &World) -> u64 {
    segments(world).iter().map(|path| fs::metadata(path).map_or(0, |metadata| metadata.len())).sum()
}

/// How many lines have this reason in the quarantine.
pub fn quarantined(world: &World) -> BTreeMap<String, usize> {
    let text = fs::read_to_string(world.path("state/quarantine/quarantine.jsonl")).unwrap_or_default();
    let mut found = BTreeMap::new();
    for letter in text.lines() {
        let letter: serde_json::Value = serde_json::from_str(letter).unwrap();
        *found.entry(letter["reason"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    found
}

#[test]
fn s27_a_line_that_was_accepted_is_billed_though_the_process_is_killed() {
    let world = world_of(WITH_ACK);
    // Nothing is billed before the kill.
    world.sandbox.set_faults("500:1".parse().unwrap());
    let floe = world.start();
    send(&mut connect(&world), &lines(0..50));
    floe.kill();
    assert!(exists(&socket(&world)), "nobody has removed the socket");
    world.sandbox.set_faults(FaultPlan::none());
    // A stale socket is replaced.
    let floe = world.start();
    world.wait_for_billed(0..50);
    send(&mut connect(&world), &lines(50..60));
    world.wait_for_billed(0..60);
    floe.stop();
    assert!(!exists(&socket(&world)), "a drain removes the socket");
    let (account, right) = world.account();
    assert!(right, "{account:#}");
    assert_eq!(account["sources"]["app"]["billed"]["lines"], 60);
}

#[test]
fn s27_kills_at_any_moment_lose_no_line_that_was_accepted_and_bill_none_twice() {
    let world = world_of(WITH_ACK);
    let mut next = 0;
    for round in 0..6 {
        let floe = world.start();
        let mut stream = connect(&world);
        for _ in 0..(round % 3 + 1) * 4 {
            send(&mut stream, &lines(next..next + 5));
            next += 5;
        }
        floe.kill();
    }
    let floe = world.start();
    world.wait_for_billed(0..next);
    floe.stop();
    assert!(world.account().1);
}

#[test]
fn s27_a_socket_on_which_somebody_listens_is_left_alone() {
    let world = world_of(STREAM);
    let floe = world.start();
    let other = fs::read_to_string(world.path("floe.toml")).unwrap().replace("/state\"", "/other\"");
    fs::write(world.path("other.toml"), other).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_floe"))
        .args(["run", "--config"])
        .arg(world.path("other.toml"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(75));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("another process listens there") && said.contains("hint: stop the other"),
        "{said}"
    );
    connect(&world).write_all(line(0).as_bytes()).unwrap();
    world.wait_for_billed(0..1);
    floe.stop();
}

#[test]
fn s27_what_stands_in_the_way_of_a_socket_is_told_with_its_cure() {
    let world = world_of(STREAM);
    fs::write(socket(&world), "mine").unwrap();
    let output = world.output(&["run"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(73), "{said}");
    assert!(said.contains("no socket stands there") && said.contains("hint: move"), "{said}");
    assert_eq!(fs::read_to_string(socket(&world)).unwrap(), "mine");

    world.write_config(&world.config_of("socket = \"{folder}/gone/app.sock\""));
    let output = world.output(&["run"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(73), "{said}");
    assert!(said.contains("its folder is not there") && said.contains("RuntimeDirectory"), "{said}");
}

#[test]
fn s27_two_writers_interleave_by_whole_lines_alone() {
    let world = world_of(STREAM);
    let floe = world.start();
    thread::scope(|scope| {
        for writer in 0..4_u64 {
            let world = &world;
            scope.spawn(move || {
                let mut stream = connect(world);
                for number in writer * 100..(writer + 1) * 100 {
                    let line = line(number);
                    let (head, tail) = line.split_at(10 + usize::try_from(number % 30).unwrap());
                    stream.write_all(head.as_bytes()).unwrap();
                    thread::yield_now();
                    stream.write_all(tail.as_bytes()).unwrap();
                }
            });
        }
    });
    world.wait_for_billed(0..400);
    floe.stop();
    assert_eq!(quarantined(&world), BTreeMap::new());
    assert!(world.account().1);
}

#[test]
fn s27_a_writer_that_leaves_mid_line_leaves_a_fragment_in_the_quarantine() {
    let world = world_of(WITH_ACK);
    let floe = world.start();
    let mut stream = connect(&world);
    let text = line(1);
    let fragment = &text[..text.len() - 5];
    send(&mut stream, &line(0));
    stream.write_all(fragment.as_bytes()).unwrap();
    drop(stream);
    // Of a closed object nobody doubts that it is whole.
    let mut stream = connect(&world);
    stream.write_all(line(2).trim_end().as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    hear(&mut stream, 1);
    world.wait_for_billed([0, 2]);
    world.wait("the fragment's letter", || quarantined(&world).contains_key("partial_eof"));
    floe.stop();
    assert_eq!(quarantined(&world), [("partial_eof".to_owned(), 1)].into());
    let (account, right) = world.account();
    assert!(right, "{account:#}");
    assert_eq!(account["sources"]["app"]["quarantined"]["partial_eof"]["lines"], 1);
}

#[test]
fn s27_a_line_that_is_too_long_is_quarantined_between_two_good_ones() {
    let world = world_of("socket = \"{folder}/app.sock\"\nack = true\nmax_line_bytes = \"2KiB\"");
    let floe = world.start();
    let long = line(1).replace("use\"", &format!("use\",\"text\":\"{}\"", "x".repeat(5000)));
    send(&mut connect(&world), &(line(0) + &long + &line(2)));
    world.wait_for_billed([0, 2]);
    floe.stop();
    assert_eq!(quarantined(&world), [("line_too_long".to_owned(), 1)].into());
    assert!(world.account().1);
}

#[test]
fn s27_back_pressure_blocks_a_stream_writer_and_no_line_is_lost() {
    let world = world_of(&format!("{STREAM}\n{SMALL_SPOOL}"));
    world.sandbox.set_faults("500:1".parse().unwrap());
    let floe = world.start();
    let mut stream = connect(&world);
    stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    // Until the writer is blocked: the spool, the queue and the kernel's buffer are full.
    let padded =
        |number: u64| line(number).replace("use\"", &format!("use\",\"text\":\"{}\"", "x".repeat(4000)));
    let (mut number, mut unsent) = (0, Vec::new());
    loop {
        let text = padded(number);
        number += 1;
        let mut sent = 0;
        while sent < text.len() {
            match stream.write(&text.as_bytes()[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        if sent < text.len() {
            unsent.extend_from_slice(&text.as_bytes()[sent..]);
            break;
        }
        assert!(number < 10_000, "nobody keeps the writer from writing");
    }
    floe.wait_for_notice("spool_full");
    // One group may go beyond the bound.
    assert!(spooled_bytes(&world) < 2 << 20, "{} bytes", spooled_bytes(&world));
    world.sandbox.set_faults(FaultPlan::none());
    stream.set_write_timeout(None).unwrap();
    stream.write_all(&unsent).unwrap();
    floe.wait_for_notice("spool_has_room");
    world.wait_for_billed(0..number);
    // What is billed is removed, but for the newest segment.
    world.wait("the end of the billed segments", || segments(&world).len() == 1);
    floe.stop();
    let (account, right) = world.account();
    assert!(right, "{account:#}");
    assert_eq!(account["sources"]["app"]["billed"]["lines"], number);
}

#[test]
fn s27_datagrams_are_billed_and_one_that_is_too_large_is_counted() {
    let world = world_of(&format!("{DATAGRAM}\nmax_line_bytes = \"64KiB\""));
    let floe = world.start();
    let sender = UnixDatagram::unbound().unwrap();
    for text in [line(0).trim_end().to_owned(), lines(1..4), line(4)] {
        sender.send_to(text.as_bytes(), socket(&world)).unwrap();
    }
    let large = "x".repeat(100_000);
    sender.send_to(large.as_bytes(), socket(&world)).unwrap();
    sender.send_to(line(5).as_bytes(), socket(&world)).unwrap();
    world.wait_for_billed(0..6);
    floe.wait_for_notice("lines_dropped");
    floe.stop();
    let (account, right) = world.account();
    assert!(!right, "what was dropped is no right account: {account:#}");
    let dropped = &account["sources"]["app"]["dropped"];
    assert_eq!(dropped["datagram_too_large"]["lines"], 1, "{dropped}");
    assert_eq!(dropped["datagram_too_large"]["bytes"], 100_000, "with its own length: {dropped}");
}

#[test]
fn s27_datagrams_for_which_the_spool_has_no_room_are_counted_over_restarts() {
    let world = World::new();
    let config = world.config_of(&format!("{DATAGRAM}\n{SMALL_SPOOL}"));
    // Nothing comes home in this test before it is restarted.
    world.write_config(&config.replace("[limits]", "[limits]\ndrain_timeout = \"1s\""));
    world.sandbox.set_faults("500:1".parse().unwrap());
    let floe = world.start();
    let sender = UnixDatagram::unbound().unwrap();
    let text = lines(0..200);
    let mut sent = 0;
    world.wait("dropped datagrams", || {
        sender.send_to(text.as_bytes(), socket(&world)).unwrap();
        sent += 200;
        floe.said().contains("lines_dropped")
    });
    floe.stop();
    let dropped = |world: &World| {
        let (account, right) = world.account();
        assert!(!right, "{account:#}");
        account["sources"]["app"]["dropped"]["spool_full"]["lines"].as_u64().unwrap()
    };
    let before = dropped(&world);
    assert!((200..sent).contains(&before) && before.is_multiple_of(200), "{before} of {sent}");
    world.sandbox.set_faults(FaultPlan::none());
    let floe = world.start();
    world.wait("the first event", || !world.sandbox.events().is_empty());
    floe.stop();
    assert_eq!(dropped(&world), before, "a restart forgets nothing");
}

#[test]
fn s27_a_socket_has_the_mode_the_owner_and_the_group_of_its_config() {
    let root = rustix::process::geteuid().is_root();
    // Only root may give files away.
    let owner = if root { "\nsocket_owner = 12345\nsocket_group = 54321" } else { "" };
    let world = world_of(&format!("{STREAM}\nsocket_mode = \"0604\"{owner}"));
    let floe = world.start();
    let metadata = fs::symlink_metadata(socket(&world)).unwrap();
    assert_eq!(metadata.mode() & 0o7777, 0o604);
    if root {
        assert_eq!((metadata.uid(), metadata.gid()), (12345, 54321));
    }
    floe.stop();
    world.write_config(&world.config_of(&format!("{STREAM}\nsocket_group = \"nobody-at-all\"")));
    let output = world.output(&["run"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("there is no group \"nobody-at-all\""), "{said}");
}

#[test]
fn s27_who_is_not_among_the_allowed_is_refused_and_told_once() {
    let own = rustix::process::geteuid().as_raw();
    for kind in [STREAM, DATAGRAM] {
        let world = world_of(&format!("{kind}\nallowed_uids = [{}]", own + 1));
        let floe = world.start();
        let write = |text: &str| {
            if kind == STREAM {
                let mut stream = UnixStream::connect(socket(&world)).unwrap();
                // It may be closed before, or after.
                let _ = stream.write_all(text.as_bytes());
                assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
            } else {
                UnixDatagram::unbound().unwrap().send_to(text.as_bytes(), socket(&world)).unwrap();
            }
        };
        write(&line(0));
        write(&line(1));
        floe.wait_for_notice("writer_refused");
        world.write_config(&world.config_of(&format!("{kind}\nallowed_uids = [{own}, \"root\"]")));
        floe.signal(Signal::HUP);
        floe.wait_for_notice("reloaded");
        write_one(&world, kind, &line(2));
        world.wait_for_billed([2]);
        assert_eq!(floe.said().matches("writer_refused").count(), 1, "{}", floe.said());
        floe.stop();
    }
}

fn write_one(world: &World, kind: &str, text: &str) {
    if kind == STREAM {
        connect(world).write_all(text.as_bytes()).unwrap();
    } else {
        UnixDatagram::unbound().unwrap().send_to(text.as_bytes(), socket(world)).unwrap();
    }
}

#[test]
fn s27_a_socket_that_was_passed_on_is_used_and_left_there() {
    let world = world_of(STREAM);
    let listener = UnixListener::bind(socket(&world)).unwrap();
    let strange = UnixDatagram::bind(world.path("strange.sock")).unwrap();
    // Lines that were sent before the daemon was there.
    connect(&world).write_all(line(0).as_bytes()).unwrap();
    // Both must be inherited, and stand side by side.
    let first = rustix::io::fcntl_dupfd_cloexec(&listener, 200).unwrap();
    let second = rustix::io::fcntl_dupfd_cloexec(&strange, first.as_raw_fd() + 1).unwrap();
    assert_eq!(second.as_raw_fd(), first.as_raw_fd() + 1);
    for socket in [&first, &second] {
        rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::empty()).unwrap();
    }
    let mut command = world.command(&["run", "--log-format", "json"]);
    command.env("LISTEN_FDS", "2").env("LISTEN_FDS_FIRST_FD", first.as_raw_fd().to_string());
    let floe = world.spawn(command);
    drop((first, second, listener));
    world.wait_for_billed(0..1);
    floe.wait_for_notice("socket_unknown");
    connect(&world).write_all(line(1).as_bytes()).unwrap();
    world.wait_for_billed(0..2);
    floe.stop();
    assert!(exists(&socket(&world)), "it is not Floe's to remove");
}

#[test]
fn s27_a_drain_takes_in_and_bills_what_was_sent_before_it() {
    let world = world_of(WITH_ACK);
    let floe = world.start();
    let mut stream = connect(&world);
    send(&mut stream, &line(0));
    // The daemon is stopped while the lines come, so that all of them are in the kernel's buffers at the signal.
    floe.signal(Signal::STOP);
    stream.write_all(lines(1..100).as_bytes()).unwrap();
    let mut late = UnixStream::connect(socket(&world)).unwrap();
    late.write_all(lines(100..110).as_bytes()).unwrap();
    floe.signal(Signal::TERM);
    floe.signal(Signal::CONT);
    hear(&mut stream, 99);
    hear(&mut late, 10);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "then it is closed");
    assert!(floe.ended().success());
    assert_eq!(world.billed().len(), 110, "no other start is needed");
    let (account, right) = world.account();
    assert!(right, "{account:#}");
    assert_eq!(account["sources"]["app"]["billed"]["lines"], 110);
}

#[test]
fn s27_s28_a_reload_opens_and_closes_sockets_and_one_that_cannot_be_opened_changes_nothing() {
    let world = world_of(STREAM);
    let floe = world.start();
    connect(&world).write_all(line(0).as_bytes()).unwrap();
    world.wait_for_billed(0..1);

    world.write_config(&world.config_of("socket = \"{folder}/gone/app.sock\""));
    floe.signal(Signal::HUP);
    floe.wait_for_notice("reload_refused");
    connect(&world).write_all(line(1).as_bytes()).unwrap();
    world.wait_for_billed(0..2);

    world.write_config(&world.config_of("socket = \"{folder}/other.sock\""));
    floe.signal(Signal::HUP);
    floe.wait_for_notice("reloaded");
    assert!(!exists(&socket(&world)));
    let mut other = UnixStream::connect(world.path("other.sock")).unwrap();
    other.write_all(line(2).as_bytes()).unwrap();
    world.wait_for_billed(0..3);

    world.write_config(&world.config());
    floe.signal(Signal::HUP);
    world.wait("the end of the socket", || !exists(&world.path("other.sock")));
    world.append(&line(3));
    world.wait_for_billed(0..4);
    floe.stop();
    assert!(world.account().1);
}

#[test]
fn s27_while_the_spool_cannot_be_written_nothing_is_acknowledged_and_nothing_is_lost() {
    let world = world_of(WITH_ACK);
    let floe = world.start();
    // A file where the folder was: as sure a refusal as a full disk, for root too.
    let folder = world.path("state/spool/app");
    fs::remove_dir(&folder).unwrap();
    fs::write(&folder, "").unwrap();
    let mut stream = connect(&world);
    stream.write_all(lines(0..10).as_bytes()).unwrap();
    floe.wait_for_notice("spool_unwritable");
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock, "nobody said ok");
    fs::remove_file(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    stream.set_read_timeout(None).unwrap();
    hear(&mut stream, 10);
    floe.wait_for_notice("spool_writable");
    world.wait_for_billed(0..10);
    assert_eq!(floe.said().matches("spool_unwritable").count(), 1);
    floe.stop();
    assert!(world.account().1);
}

#[test]
fn s27_a_torn_end_of_the_spool_is_cut_off_at_the_next_start() {
    let world = world_of(WITH_ACK);
    let floe = world.start();
    send(&mut connect(&world), &lines(0..5));
    world.wait_for_billed(0..5);
    floe.kill();
    let newest = segments(&world).pop().unwrap();
    let sound = fs::read(&newest).unwrap();
    // Half a record, and what a power cut makes of the rest.
    fs::write(&newest, [&sound[..], b"0123abcd F {\"event\":\"use\"", &[0; 500]].concat()).unwrap();
    let floe = world.start();
    floe.wait_for_notice("spool_cut");
    send(&mut connect(&world), &lines(5..10));
    world.wait_for_billed(0..10);
    floe.stop();
    assert_eq!(quarantined(&world), BTreeMap::new());
    assert!(world.account().1);
}

#[test]
fn s27_a_damaged_record_is_quarantined_with_its_text() {
    let world = world_of(WITH_ACK);
    world.sandbox.set_faults("500:1".parse().unwrap());
    let floe = world.start();
    send(&mut connect(&world), &lines(0..3));
    floe.kill();
    let segment = segments(&world).pop().unwrap();
    let text = fs::read_to_string(&segment).unwrap();
    fs::write(&segment, text.replacen("\"n\":1", "\"n\":7", 1)).unwrap();
    world.sandbox.set_faults(FaultPlan::none());
    let floe = world.start();
    world.wait_for_billed([0, 2]);
    floe.stop();
    assert_eq!(quarantined(&world), [("damaged".to_owned(), 1)].into());
    let letters = fs::read_to_string(world.path("state/quarantine/quarantine.jsonl")).unwrap();
    assert!(letters.contains("\\\"n\\\":7"), "{letters}");
}

#[test]
fn s27_the_standard_input_is_billed_and_its_end_is_the_end() {
    let world = world_of("stdin = true");
    let mut command = world.command(&["run", "--log-format", "json"]);
    command.stdin(Stdio::piped());
    let mut floe = world.spawn(command);
    let mut input = floe.stdin();
    input.write_all(lines(0..1000).as_bytes()).unwrap();
    world.wait_for_billed(0..1000);
    // The last line needs no line end if it is a closed object.
    input.write_all(line(1000).trim_end().as_bytes()).unwrap();
    drop(input);
    assert!(floe.ended().success());
    world.wait_for_billed(0..1001);
    assert!(world.account().1);
}

#[test]
fn s27_an_empty_standard_input_ends_at_once_and_what_a_kill_left_is_billed_first() {
    let world = world_of("stdin = true");
    world.sandbox.set_faults("500:1".parse().unwrap());
    let mut command = world.command(&["run", "--log-format", "json"]);
    command.stdin(Stdio::piped());
    let mut floe = world.spawn(command);
    floe.stdin().write_all(lines(0..20).as_bytes()).unwrap();
    world.wait("the lines in the spool", || spooled_bytes(&world) > 20 * 60);
    floe.kill();
    world.sandbox.set_faults(FaultPlan::none());
    let floe = world.start_unready();
    assert!(floe.ended().success());
    world.wait_for_billed(0..20);
    assert!(world.account().1);
}

#[test]
fn s27_reading_the_standard_input_does_not_keep_a_drain() {
    let world = world_of("stdin = true");
    let mut command = world.command(&["run", "--log-format", "json"]);
    command.stdin(Stdio::piped());
    let mut floe = world.spawn(command);
    let mut input = floe.stdin();
    input.write_all(line(0).as_bytes()).unwrap();
    world.wait_for_billed(0..1);
    // The writer lives on and says nothing.
    floe.stop();
    drop(input);
    assert!(world.account().1);
}

#[test]
fn s27_explain_and_tests_take_the_line_as_the_application_writes_it() {
    let world = world_of(STREAM);
    let test = r#"
[[tests]]
source = "app"
line = '{"event":"use","who":"a","ts":"2026-11-20T10:15:32Z","n":1}'
expect = { rule = "use", event = { name = "use", external_customer_id = "a", timestamp = "2026-11-20T10:15:32Z", metadata = { n = 1 } } }
"#;
    world.write_config(&(world.config_of(STREAM) + test));
    let output = world.output(&["test"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    fs::write(world.path("lines"), line(0)).unwrap();
    let output = world.output(&["explain", world.path("lines").to_str().unwrap()]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("billed by use"), "{told}");
    // A file of the spool itself is taken as it is.
    let floe = world.start();
    connect(&world).write_all(line(0).as_bytes()).unwrap();
    world.wait_for_billed(0..1);
    floe.stop();
    let segment = segments(&world).pop().unwrap();
    let output = world.output(&["explain", segment.to_str().unwrap()]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("ignored(header)") && told.contains("billed by use"), "{told}");
    let event: serde_json::Value = serde_json::from_str(&world.sandbox.events()[0]).unwrap();
    assert!(
        told.contains(event["external_id"].as_str().unwrap()),
        "with the id that it was billed by: {told}"
    );
}
