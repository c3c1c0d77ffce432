//! Files that are over, read once: with the daemon's ids, beside it and after it, interrupted and again.

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::{Output, Stdio};
use std::thread;
use std::time::Duration;

use flate2::write::GzEncoder;
use floe::sandbox::FaultPlan;
use rustix::process::{Pid, Signal, kill_process};

use crate::world::{World, exists, line, lines, noise, peak_memory_kib};

/// Runs a backfill of these files, which are named from the world's folder, to its end.
fn backfill(world: &World, arguments: &[&str]) -> Output {
    world.command(&["backfill"]).args(arguments).current_dir(world.folder.path()).output().unwrap()
}

/// A backfill with what it must end with and say. Returns all that it said.
#[track_caller]
fn check(world: &World, arguments: &[&str], code: i32, words: &str) -> String {
    let output = backfill(world, arguments);
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(said.contains(words), "{words:?} is not said:\n{said}");
    said
}

fn line_at(number: u64, time: &str) -> String {
    format!("{{\"ts\":\"{time}\",\"event\":\"use\",\"who\":\"c\",\"n\":{number}}}\n")
}

fn write(world: &World, name: &str, text: &str) {
    fs::write(world.path(name), text).unwrap();
}

#[test]
fn the_second_time_nothing_is_inserted() {
    let world = World::new();
    write(&world, "logs/app.log", &lines(0..700));
    check(&world, &["logs/app.log"], 0, "events: 700 inserted, 0 that Polar had already");
    world.wait_for_billed(0..700);
    check(&world, &["logs/app.log"], 0, "events: 0 inserted, 700 that Polar had already");
    world.wait_for_billed(0..700);
}

#[test]
fn what_the_daemon_sent_is_not_billed_again_beside_it_and_after_it() {
    let world = World::new();
    world.append(&lines(0..100));
    let floe = world.start();
    world.wait_for_billed(0..100);
    fs::rename(world.log(), world.path("logs/app.log.1")).unwrap();
    world.append(&lines(100..200));
    world.wait_for_billed(0..200);
    let said =
        check(&world, &["logs/app.log", "logs/app.log.1"], 0, "0 inserted, 200 that Polar had already");
    assert!(said.contains("half of its budget is used, 30000 requests a minute"), "{said}");
    world.append(&lines(200..250));
    world.wait_for_billed(0..250);
    floe.stop();
    check(&world, &["logs/app.log", "logs/app.log.1"], 0, "0 inserted, 250 that Polar had already");
    // A restored backup: another inode, another name, and a part of it alone.
    let text = fs::read_to_string(world.path("logs/app.log.1")).unwrap();
    let half: String = text.split_inclusive('\n').take(40).collect();
    write(&world, "restored", &half);
    check(&world, &["--source", "app", "restored"], 0, "0 inserted, 40 that Polar had already");
    world.wait_for_billed(0..250);
    let (account, right) = world.account();
    assert!(right && account["events"]["inserted"] == 250, "the daemon's account is its own: {account:#}");
}

#[test]
fn what_was_rotated_before_the_daemon_came_is_billed_under_its_source() {
    let world = World::new();
    for (name, numbers) in [("app.log.2", 0..10), ("app.log.1", 10..20), ("app.log-20261119", 20..30)] {
        write(&world, &format!("logs/{name}"), &lines(numbers));
    }
    world.append(&lines(30..40));
    let floe = world.start();
    world.wait_for_billed(30..40);
    floe.stop();
    check(&world, &["logs/app.log.*", "logs/app.log-*"], 0, "30 inserted");
    world.wait_for_billed(0..40);
}

/// Files of a log without times that begin alike.
fn alike(world: &World, name: &str, numbers: std::ops::Range<u64>) {
    let body: String = numbers.map(|number| line_at(number, "2025-05-01T00:00:00Z")).collect();
    write(world, name, &(noise(0) + &body));
}

#[test]
fn s14_files_that_begin_alike_keep_their_ids_in_any_order_and_company() {
    let world = World::new();
    for (name, numbers) in [("a", 0..10), ("b", 10..20), ("c", 20..30)] {
        alike(&world, name, numbers);
    }
    check(&world, &["--source", "app", "a", "b"], 0, "20 inserted");
    check(&world, &["--source", "app", "b"], 0, "0 inserted, 10 that Polar had already");
    check(&world, &["--source", "app", "c", "b", "a"], 0, "10 inserted, 20 that Polar had already");
    world.wait_for_billed(0..30);
}

#[test]
fn s14_a_file_that_would_need_an_ordinal_waits_until_no_daemon_gives_one() {
    let world = World::new();
    alike(&world, "logs/app.log", 0..10);
    alike(&world, "other", 10..20);
    let floe = world.start();
    world.wait_for_billed(0..10);
    let said = check(&world, &["--source", "app", "other"], 1, "not read to its end");
    assert!(said.contains("stop the daemon and read this file once again"), "{said}");
    floe.stop();
    check(&world, &["--source", "app", "other"], 0, "10 inserted");
    world.wait_for_billed(0..20);
    // The daemon meets it later, under a name of its own: it has the same ids.
    let floe = world.start();
    fs::rename(world.path("other"), world.path("logs/app.log.1")).unwrap();
    let is_read = || world.account().0["sources"]["app"]["read"]["lines"] == 22;
    world.wait("the daemon to read it", is_read);
    world.append(&line_at(20, "2025-05-01T00:00:00Z"));
    world.wait_for_billed(0..21);
    floe.stop();
}

#[test]
fn s14_a_file_that_a_backfill_numbered_is_known_to_the_daemon_beside_it() {
    let world = World::new();
    world.append(&lines(0..10));
    let floe = world.start();
    world.wait_for_billed(0..10);
    // Nobody knows a file that begins so.
    alike(&world, "other", 10..20);
    check(&world, &["--source", "app", "other"], 0, "10 inserted");
    fs::rename(world.log(), world.path("logs/app.log.1")).unwrap();
    alike(&world, "logs/app.log", 20..30);
    world.wait_for_billed(0..30);
    // The daemon meets it later, and has not begun anew.
    fs::rename(world.path("other"), world.path("logs/app.log.2")).unwrap();
    let is_read = || world.account().0["sources"]["app"]["read"]["lines"] == 32;
    world.wait("the daemon to read it", is_read);
    world.append(&line_at(30, "2025-05-01T00:00:00Z"));
    world.wait_for_billed(0..31);
    floe.stop();
    check(&world, &["--source", "app", "logs/*"], 0, "0 inserted, 31 that Polar had already");
}

#[test]
fn since_is_the_first_moment_and_until_is_behind_the_last() {
    let world = World::new();
    let times =
        ["2025-05-01T23:59:59Z", "2025-05-02T00:00:00Z", "2025-05-02T12:00:00Z", "2025-05-03T00:00:00Z"];
    let text: String = (0..).zip(times).map(|(number, time)| line_at(number, time)).collect();
    write(&world, "logs/app.log", &text);
    let said =
        check(&world, &["--since", "2025-05-02", "--until", "2025-05-03", "logs/app.log"], 0, "2 inserted");
    assert!(said.contains("out_of_range"), "{said}");
    world.wait_for_billed(1..3);
    check(&world, &["logs/app.log"], 0, "2 inserted, 2 that Polar had already");
    let config = world.config().replace("timestamp = \"{ts}\"\n", "");
    world.write_config(&config);
    check(&world, &["--since", "2025-05-02", "logs/app.log"], 64, "rule \"use\" (");
}

#[test]
fn s20_a_backfill_that_was_killed_goes_on_and_bills_each_line_once() {
    let world = World::new();
    world.write_config(&world.config().replace("[delivery]", "[delivery]\nbatch_max_events = 50"));
    write(&world, "logs/app.log", &lines(0..20_000));
    let start = || {
        let mut command = world.command(&["backfill", "--requests-per-minute", "600", "logs/app.log"]);
        command
            .current_dir(world.folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut killed = start();
    world.wait("the first thousand", || world.sandbox.events().len() >= 1000);
    // A checkpoint is saved each second.
    thread::sleep(Duration::from_millis(1100));
    killed.kill().unwrap();
    killed.wait().unwrap();
    let before = world.sandbox.events().len();
    assert!(before < 20_000, "it was killed too late");
    // Another one of the same at the same time is refused.
    let mut second = start();
    world.wait("more", || world.sandbox.events().len() > before);
    check(&world, &["logs/app.log"], 75, "in use");
    kill_process(Pid::from_child(&second), Signal::INT).unwrap();
    let code = second.wait().unwrap().code();
    let mut said = String::new();
    second.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the same command goes on where this one ended"), "{said}");
    let said = check(&world, &["logs/app.log"], 0, "goes on where it was interrupted");
    assert!(said.contains("adds up"), "{said}");
    world.wait_for_billed(0..20_000);
    let left: Vec<_> =
        fs::read_dir(world.path("state/backfill")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.iter().all(|path| path.is_file()), "{left:?}");
}

#[test]
fn s20_a_backfill_that_was_killed_while_it_tidied_up_is_done() {
    let world = World::new();
    write(&world, "logs/app.log", &lines(0..1));
    check(&world, &["logs/app.log"], 0, "events: 1 inserted");
    // What it takes away it puts aside first, as a whole.
    let ended = world.path("state/backfill/.ended");
    fs::create_dir(&ended).unwrap();
    fs::write(ended.join("checkpoint.json"), "of which the rest is gone").unwrap();
    check(&world, &["logs/app.log"], 0, "events: 0 inserted");
    assert!(!ended.exists(), "{ended:?}");
}

#[test]
fn an_endpoint_that_is_down_is_given_up_and_gone_on_with() {
    let world = World::new();
    let config = world.config().replace("[limits]", "[limits]\ndrain_timeout = \"1s\"");
    world.write_config(&config);
    write(&world, "logs/app.log", &lines(0..50));
    world.sandbox.set_faults("503:1".parse().unwrap());
    check(&world, &["--give-up-after", "1s", "logs/app.log"], 69, "gave up");
    world.sandbox.set_faults(FaultPlan::none());
    check(&world, &["logs/app.log"], 0, "50 inserted");
    world.wait_for_billed(0..50);
}

#[test]
fn s02_s21_what_end_skipped_stays_skipped_where_a_backfill_alone_knows_the_file() {
    let world = World::of("logs/*.log", "format = \"json\"\nread_from = \"end\"");
    let config = fs::read_to_string(world.path("floe.toml")).unwrap();
    world.write_config(&config.replace("[limits]", "[limits]\ndrain_timeout = \"1s\""));
    world.append(&lines(0..10));
    let floe = world.start();
    floe.wait_for_notice("file_found");
    world.append(&lines(10..20));
    world.wait_for_billed(10..20);
    floe.stop();
    // A backfill of another file that is not done knows what the daemon knew, and the daemon does not any more.
    write(&world, "other", &lines(30..40));
    world.sandbox.set_faults("503:1".parse().unwrap());
    check(&world, &["--source", "app", "--give-up-after", "1s", "other"], 69, "gave up");
    world.sandbox.set_faults(FaultPlan::none());
    for checkpoint in ["checkpoint.json", "checkpoint.previous.json"] {
        write(&world, &format!("state/{checkpoint}"), "");
    }
    // Nor does an inode tell where its floor is.
    fs::copy(world.log(), world.path("logs/copy.log")).unwrap();
    fs::remove_file(world.log()).unwrap();
    let floe = world.start();
    floe.wait_for_notice("checkpoint_lost");
    world.append_to("logs/copy.log", lines(20..30));
    world.wait_for_billed(10..30);
    floe.stop();
    world.wait_for_billed(10..30);
}

#[test]
fn a_line_that_cannot_be_billed_is_kept_and_told() {
    let world = World::new();
    write(
        &world,
        "logs/app.log",
        &(line(0) + "{\"ts\":\"never\",\"event\":\"use\",\"who\":\"c\",\"n\":1}\n"),
    );
    let said = check(&world, &["logs/app.log"], 1, "bad_timestamp");
    let folder = fs::read_dir(world.path("state/quarantine")).unwrap();
    let paths = folder.map(|entry| entry.unwrap().path());
    let files: Vec<_> = paths.filter(|path| path.extension().is_some_and(|it| it == "jsonl")).collect();
    assert_eq!(files.len(), 1, "{said}");
    let letters = fs::read_to_string(&files[0]).unwrap();
    assert_eq!(letters.lines().count(), 1, "{letters}");
    assert!(said.contains(files[0].to_str().unwrap()), "{said}");
    check(&world, &["logs/app.log"], 1, "bad_timestamp");
    assert_eq!(fs::read_to_string(&files[0]).unwrap().lines().count(), 1, "the same run anew finds the same");
}

#[test]
fn s06_the_last_line_needs_no_end_and_nothing_waits_for_one() {
    let world = World::new();
    write(&world, "logs/app.log", lines(0..3).trim_end());
    write(&world, "logs/app.log.1", line(3).trim_end());
    write(&world, "logs/app.log.2", &(line(4) + &line(5)[..60]));
    check(&world, &["logs/app.log", "logs/app.log.1"], 0, "4 inserted");
    check(&world, &["logs/app.log.2"], 1, "partial_eof");
    world.wait_for_billed(0..5);
}

#[test]
fn a_rehearsal_sends_nothing_and_leaves_nothing() {
    let world = World::new();
    write(&world, "logs/app.log", &(lines(0..20) + &noise(1)));
    let said = check(&world, &["--dry-run", "logs/app.log"], 0, "would send 20 events \"use\"");
    assert!(said.contains("for 7 customers"), "{said}");
    assert_eq!(world.sandbox.events().len(), 0);
    assert!(!exists(&world.path("state")));
    write(&world, "logs/app.log", "{\"event\":\"use\"}\n");
    check(&world, &["--dry-run", "logs/app.log"], 1, "quarantined");
}

#[test]
fn what_is_unclear_is_refused_before_anything_is_sent() {
    let world = World::new();
    write(&world, "other.log", &line(0));
    write(&world, "logs/app.log", &line(1));
    check(&world, &["other.log"], 64, "say which one it is of: `--source ID`, one of app");
    check(&world, &["logs/app.log", "logs/app.log.7"], 66, "app.log.7");
    check(&world, &["logs/*.nothing"], 66, "no file matches");
    check(&world, &["--since", "yesterday", "logs/app.log"], 64, "2026-11-20");
    let captured =
        world.config().replace("external_customer_id = \"{who}\"", "external_customer_id = \"{@path.who}\"");
    world.write_config(&captured.replace("/logs/app.log\"", "/logs/{who}.log\""));
    check(&world, &["--source", "app", "other.log"], 64, "use @path.who");
    check(&world, &["logs/app.log"], 0, "1 inserted");
    world.write_config(
        &captured.replace("/logs/app.log\"", "/logs/{who}.log\"").replace("\"test\"", "\"another\""),
    );
    world.start().stop();
    world.write_config(&captured.replace("/logs/app.log\"", "/logs/{who}.log\""));
    check(&world, &["logs/app.log"], 78, "belongs to instance \"another\"");
}

#[test]
fn without_a_token_nothing_is_waited_for() {
    let world = World::new();
    write(&world, "logs/app.log", &line(0));
    fs::remove_file(world.path("token")).unwrap();
    check(&world, &["logs/app.log"], 78, "no token");
    world.write_token(world.sandbox.token());
    check(&world, &["logs/app.log"], 0, "1 inserted");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn s10_compressed_files_are_read_alone_and_over_what_the_daemon_sent() {
    let world = World::new();
    let put = |name: &str, bytes: &[u8]| fs::write(world.path(&format!("logs/{name}")), bytes).unwrap();
    world.append(&lines(0..100));
    let floe = world.start();
    world.wait_for_billed(0..100);
    floe.stop();
    put("app.log.1.gz", &gzip(&fs::read(world.log()).unwrap()));
    fs::remove_file(world.log()).unwrap();
    check(&world, &["logs/app.log.1.gz"], 0, "0 inserted, 100 that Polar had already");
    let text = lines(100..200).into_bytes();
    let (head, tail) = text.split_at(text.len() / 3);
    put("app.log.2.gz", &[gzip(head), gzip(tail)].concat());
    put("app.log-20261120.zst", &zstd::encode_all(lines(200..300).as_bytes(), 3).unwrap());
    // Logrotate compresses empty logs, too.
    put("app.log.3.gz", &gzip(b""));
    check(&world, &["logs/app.log.2.gz", "logs/app.log-20261120.zst"], 0, "200 inserted");
    check(&world, &["logs/app.log.*.gz"], 0, "0 inserted, 200 that Polar had already");
    world.wait_for_billed(0..300);
}

#[test]
fn s10_a_large_compressed_file_is_read_to_its_end_in_bounded_memory() {
    let world = World::new();
    let mut text = line(0) + &noise(7).repeat(400_000);
    text.push_str(&line(1));
    let long = [line(2).as_bytes(), &vec![0; 80_000_000], b"\n", line(3).as_bytes()].concat();
    fs::write(world.path("logs/app.log.1.gz"), gzip(text.as_bytes())).unwrap();
    fs::write(world.path("logs/app.log.2.zst"), zstd::encode_all(&long[..], 1).unwrap()).unwrap();
    let mut command = world.command(&["backfill", "logs/app.log.1.gz", "logs/app.log.2.zst"]);
    let mut child = command.current_dir(world.folder.path()).stdout(Stdio::piped()).spawn().unwrap();
    let mut peak_kib = 0;
    world.wait("the end of the backfill", || {
        peak_kib = peak_memory_kib(child.id()).unwrap_or(peak_kib);
        child.try_wait().unwrap().is_some()
    });
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("400,005 lines"), "{said}");
    assert!((1..100_000).contains(&peak_kib), "{peak_kib} KiB");
    world.wait_for_billed(0..4);
}

#[test]
fn s10_a_compressed_copy_given_beside_its_file_is_not_billed_twice() {
    let world = World::new();
    let text = lines(0..300);
    write(&world, "logs/app.log.1", &text);
    fs::write(world.path("logs/app.log.1.gz"), gzip(text.as_bytes())).unwrap();
    check(&world, &["logs/app.log.1", "logs/app.log.1.gz"], 1, "app.log.1.gz\": it is a copy");
    check(&world, &["logs/app.log.1.gz"], 0, "0 inserted, 300 that Polar had already");
    world.wait_for_billed(0..300);
}

#[test]
fn s10_what_a_compressed_file_lacks_is_told_and_the_rest_is_billed() {
    let world = World::new();
    let packed = gzip(lines(0..5000).as_bytes());
    fs::write(world.path("logs/app.log.1.gz"), &packed[..packed.len() / 2]).unwrap();
    let said = check(&world, &["logs/app.log.1.gz"], 1, "ends in the middle");
    let billed = world.sandbox.events().len() as u64;
    assert!((100..4900).contains(&billed), "{said}");
    world.wait_for_billed(0..billed);
    check(&world, &["--dry-run", "logs/app.log.1.gz"], 1, "ends in the middle");
    let mut damaged = packed.clone();
    damaged[packed.len() / 2..][..64].fill(0xff);
    for (name, bytes, words) in [
        ("2", &damaged[..], "is damaged"),
        ("3", b"no gzip at all\n", "is damaged"),
        ("4", b"", "is damaged"),
    ] {
        let name = format!("logs/app.log.{name}.gz");
        fs::write(world.path(&name), bytes).unwrap();
        check(&world, &[&name], 1, words);
    }
}

#[test]
fn s10_a_kubelets_compressed_file_finds_its_source_and_its_captures() {
    let world = World::of("logs/{pod}/0.log", "format = \"json\"\ncontainer = \"cri\"");
    world.write_config(&fs::read_to_string(world.path("floe.toml")).unwrap().replace("{who}", "{@path.pod}"));
    let wrapped: String = (0..20)
        .map(|number| ["2026-11-20T10:15:32.2Z stdout F ".to_owned(), line(number)].concat())
        .collect();
    fs::create_dir(world.path("logs/api")).unwrap();
    fs::write(world.path("logs/api/0.log.20261120-101532.gz"), gzip(wrapped.as_bytes())).unwrap();
    check(&world, &["logs/api/0.log.20261120-101532.gz"], 0, "20 inserted");
    world.wait_for_billed(0..20);
    assert!(world.sandbox.events().iter().all(|event| event.contains("\"api\"")));
}

#[test]
fn s16_more_files_than_descriptors_are_all_read() {
    const FILES: u64 = 300;
    let world = World::of("logs/*.log", "format = \"json\"");
    for number in 0..FILES {
        write(&world, &format!("logs/{number}.log"), &line(number));
    }
    let limited = ["-c", "ulimit -n 100 && exec \"$@\"", "sh"];
    let output = std::process::Command::new("sh")
        .args(limited)
        .args([env!("CARGO_BIN_EXE_floe"), "backfill", "logs/*.log", "--config", "floe.toml"])
        .current_dir(world.folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    world.wait_for_billed(0..FILES);
}

#[test]
fn s10_letters_of_a_compressed_file_are_retried_under_the_same_ids() {
    let world = World::new();
    let odd = line(1).replace("\"who\"", "\"customer\"");
    fs::write(world.path("logs/app.log.1.gz"), gzip((line(0) + &odd).as_bytes())).unwrap();
    check(&world, &["logs/app.log.1.gz"], 1, "missing_customer");
    let mended = world.config().replace("\"{who}\"", "\"{who | default(customer)}\"");
    world.write_config(&mended);
    let output = world.output(&["quarantine", "retry", "--all"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    world.wait_for_billed(0..2);
    check(&world, &["logs/app.log.1.gz"], 0, "0 inserted, 2 that Polar had already");
}
