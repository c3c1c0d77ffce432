//! Writers that do not behave, and hands in the spool: what a socket must bear without losing a line that it took.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use floe::sandbox::FaultPlan;
use rustix::process::Signal;

use crate::sockets::{
    DATAGRAM, SMALL_SPOOL, STREAM, WITH_ACK, connect, hear, quarantined, segments, send, socket, world_of,
};
use crate::world::{exists, line, lines};

/// A line of some 4 KiB.
fn padded(number: u64) -> String {
    line(number).replace("use\"", &format!("use\",\"text\":\"{}\"", "x".repeat(4000)))
}

/// Writes until nobody takes more.
#[track_caller]
fn write_until_blocked(stream: &mut UnixStream, first: u64) {
    stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    for number in first..first + 10_000 {
        if let Err(error) = stream.write_all(padded(number).as_bytes()) {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            return;
        }
    }
    panic!("nobody keeps the writer from writing");
}

#[test]
fn s16_s27_a_spool_empties_though_only_one_file_may_be_open() {
    let world = world_of(&format!("{STREAM}\n{SMALL_SPOOL}"));
    let config = fs::read_to_string(world.path("floe.toml")).unwrap();
    world.write_config(&config.replace("[limits]", "[limits]\nopen_files = 1"));
    let floe = world.start();
    let mut stream = connect(&world);
    stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    for number in 0..600 {
        stream.write_all(padded(number).as_bytes()).unwrap();
    }
    world.wait_for_billed(0..600);
    world.wait("the end of the billed segments", || segments(&world).len() == 1);
    floe.stop();
    assert!(world.account().1);
}

#[test]
fn s27_a_writer_may_send_all_it_has_before_it_listens() {
    let world = world_of(WITH_ACK);
    let floe = world.start();
    let mut stream = connect(&world);
    stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    // Their answers have no room in the kernel's buffer.
    let noise = "{}\n".repeat(150_000);
    stream.write_all((line(0) + &noise + &line(1)).as_bytes()).unwrap();
    hear(&mut stream, 150_002);
    world.wait_for_billed(0..2);
    // Who never listens is billed all the same, and keeps nobody at the end.
    let mut deaf = connect(&world);
    deaf.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    deaf.write_all((line(2) + &noise + &line(3)).as_bytes()).unwrap();
    world.wait_for_billed(0..4);
    floe.stop();
    assert!(world.account().1);
}

#[test]
fn s27_who_is_cut_off_in_the_middle_of_a_line_hears_no_ok_for_it() {
    let world = world_of(WITH_ACK);
    let floe = world.start();
    let mut stream = connect(&world);
    send(&mut stream, &line(0));
    floe.signal(Signal::STOP);
    let second = line(2);
    // A closed object may yet be the beginning of a longer line.
    stream.write_all((line(1) + second.trim_end()).as_bytes()).unwrap();
    let mut fragment = connect(&world);
    fragment.write_all(&line(3).as_bytes()[..20]).unwrap();
    floe.signal(Signal::TERM);
    floe.signal(Signal::CONT);
    let mut answer = Vec::new();
    // Who is cut off with something unread may hear of a reset behind the answer.
    let _ = stream.read_to_end(&mut answer);
    assert_eq!(String::from_utf8(answer).unwrap(), "ok\n");
    let mut answer = Vec::new();
    let _ = fragment.read_to_end(&mut answer);
    assert!(answer.is_empty(), "{answer:?}");
    assert!(floe.ended().success());
    // So both send them again, and that is all there is of them.
    let floe = world.start();
    send(&mut connect(&world), &(second + &line(3)));
    world.wait_for_billed(0..4);
    floe.stop();
    assert!(quarantined(&world).is_empty());
    assert!(world.account().1);
}

#[test]
fn s22_s27_a_spool_that_is_removed_under_the_daemon_is_begun_anew() {
    let world = world_of(&format!("{WITH_ACK}\n{SMALL_SPOOL}"));
    let floe = world.start();
    let mut stream = connect(&world);
    send(&mut stream, &lines(0..5));
    world.wait_for_billed(0..5);
    world.sandbox.set_faults("500:1".parse().unwrap());
    // As much as there may be: it is gone, so there is room again.
    let mut blocked = connect(&world);
    write_until_blocked(&mut blocked, 1000);
    fs::remove_dir_all(world.path("state/spool/app")).unwrap();
    send(&mut stream, &lines(5..10));
    floe.kill();
    world.sandbox.set_faults(FaultPlan::none());
    let floe = world.start();
    // What stood in the removed one is not missed by this test.
    world.wait("the lines of the new spool", || {
        let billed = world.billed();
        (0..10).all(|number| billed.get(&number) == Some(&1))
    });
    floe.stop();
}

#[test]
fn s27_a_drain_takes_in_all_datagrams_that_were_sent_before_it() {
    let world = world_of(DATAGRAM);
    let floe = world.start();
    floe.signal(Signal::STOP);
    let mut sent = 0;
    let senders: Vec<UnixDatagram> = (0..4).map(|_| UnixDatagram::unbound().unwrap()).collect();
    for sender in &senders {
        sender.set_nonblocking(true).unwrap();
        while sender.send_to(lines(sent..sent + 500).as_bytes(), socket(&world)).is_ok() {
            sent += 500;
        }
    }
    // More than the daemon takes in at a time.
    assert!(lines(0..sent).len() > 300_000, "{sent} lines");
    floe.signal(Signal::TERM);
    floe.signal(Signal::CONT);
    assert!(floe.ended().success());
    assert_eq!(world.billed().len() as u64, sent);
    assert!(world.account().1);
}

#[test]
fn s27_s28_a_reload_opens_a_socket_anew_whose_file_is_gone_and_leaves_anothers_alone() {
    let world = world_of(STREAM);
    let floe = world.start();
    fs::remove_file(socket(&world)).unwrap();
    floe.signal(Signal::HUP);
    floe.wait_for_notice("reloaded");
    connect(&world).write_all(line(0).as_bytes()).unwrap();
    world.wait_for_billed(0..1);

    fs::remove_file(socket(&world)).unwrap();
    let other = UnixListener::bind(socket(&world)).unwrap();
    world.write_config(&world.config_of(&format!("{STREAM}\nsocket_mode = \"0600\"")));
    floe.signal(Signal::HUP);
    floe.wait_for_notice("reload_refused");
    drop(connect(&world));
    other.set_nonblocking(true).unwrap();
    assert!(other.accept().is_ok(), "the path leads to the other process");
    floe.stop();
    assert!(exists(&socket(&world)), "it is not Floe's to remove");
}

#[test]
fn s27_s28_a_source_that_is_taken_out_lets_its_writers_go_and_what_is_unbilled_is_told() {
    let world = world_of(&format!("{STREAM}\n{SMALL_SPOOL}"));
    world.sandbox.set_faults("500:1".parse().unwrap());
    let floe = world.start();
    let mut stream = connect(&world);
    write_until_blocked(&mut stream, 0);
    world.write_config(&world.config());
    floe.signal(Signal::HUP);
    floe.wait_for_notice("spool_orphaned");
    let bytes = padded(0).into_bytes();
    let left = std::iter::repeat_with(|| stream.write(&bytes)).find_map(Result::err).unwrap();
    assert!(
        matches!(left.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset),
        "the writer still waits: {left}"
    );
    world.sandbox.set_faults(FaultPlan::none());
    floe.stop();
}

#[test]
fn s27_what_came_by_the_standard_input_is_billed_without_waiting_for_a_batch_to_fill() {
    let world = world_of("stdin = true");
    let config = fs::read_to_string(world.path("floe.toml")).unwrap();
    world.write_config(&config.replace("batch_max_wait = \"20ms\"", "batch_max_wait = \"20s\""));
    let mut command = world.command(&["run", "--log-format", "json"]);
    command.stdin(Stdio::piped());
    let start = Instant::now();
    let mut floe = world.spawn(command);
    floe.stdin().write_all(lines(0..50).as_bytes()).unwrap();
    assert!(floe.ended().success());
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert_eq!(world.billed().len(), 50);
    assert!(world.account().1);
}

#[test]
fn s27_what_came_by_the_standard_input_waits_for_the_endpoint_until_a_signal_ends_it() {
    let world = world_of("stdin = true");
    let config = fs::read_to_string(world.path("floe.toml")).unwrap();
    world.write_config(&config.replace("[limits]", "[limits]\ndrain_timeout = \"1s\""));
    world.sandbox.set_faults("500:1".parse().unwrap());
    let mut command = world.command(&["run", "--log-format", "json"]);
    command.stdin(Stdio::piped());
    let mut floe = world.spawn(command);
    floe.stdin().write_all(lines(0..50).as_bytes()).unwrap();
    world.wait("the lines in the spool", || crate::sockets::spooled_bytes(&world) > 50 * 60);
    assert!(!floe.ends_within(Duration::from_secs(3)), "nothing is billed yet");
    floe.stop();
    world.sandbox.set_faults(FaultPlan::none());
    let floe = world.start_unready();
    assert!(floe.ended().success());
    world.wait_for_billed(0..50);
    assert!(world.account().1);
}
