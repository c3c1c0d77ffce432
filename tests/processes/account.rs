//! `floe account`: an independent recount of the same files agrees with it, through kills, rotations, quarantine and
//! retry; the age of the oldest unbilled line goes on after a kill.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use floe::sandbox::{FaultPlan, SandboxOptions};
use serde_json::{Value, json};

use crate::world::{World, line, lines, noise};

/// Lines of every fate: some without a customer, some that are no JSON, some that nobody wants, some empty.
fn some_line(number: u64) -> String {
    match number % 11 {
        3 => line(number).replace("\"who\"", "\"customer\""),
        5 => format!("{{\"event\":\"use\",\"n\":{number}\n"),
        7 | 8 => noise(number),
        9 => "\n".to_owned(),
        _ => line(number),
    }
}

fn is_billable(number: u64) -> bool {
    matches!(number % 11, 0 | 1 | 2 | 4 | 6 | 10)
}

fn logs(world: &World) -> Vec<PathBuf> {
    let mut logs: Vec<PathBuf> =
        fs::read_dir(world.path("logs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    logs.sort();
    logs
}

/// What Python makes of the files. `None`, which is said: there is no Python here.
fn recount(world: &World, mended: bool) -> Option<Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recount.py");
    let mut command = Command::new("python3");
    command.arg(script).args(mended.then_some("--mended")).args(logs(world));
    let Ok(output) = command.output() else {
        eprintln!("NOT RUN: there is no python3 here, so nothing recounts the account");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// The fates of the account, written as the recount writes them.
fn fates(source: &Value) -> Value {
    let mut fates = BTreeMap::new();
    if source["billed"]["lines"] != 0 {
        fates.insert("billed".to_owned(), source["billed"].clone());
    }
    for fate in ["ignored", "quarantined"] {
        for (reason, count) in source[fate].as_object().unwrap() {
            if count["lines"] != 0 {
                fates.insert(format!("{fate}.{reason}"), count.clone());
            }
        }
    }
    json!(fates)
}

fn verified(world: &World) -> (Value, bool) {
    let output = world.output(&["account", "--verify", "--json"]);
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let account = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{text}"));
    (account, output.status.success())
}

/// Account, files and Python say the same.
#[track_caller]
fn check_recount(world: &World, mended: bool) {
    let (account, is_right) = verified(world);
    assert!(is_right, "{account:#}\n{}", world.notices());
    let app = &account["sources"]["app"];
    assert_eq!(account["verified"]["sources"]["app"]["fates"], fates(app), "{account:#}");
    if let Some(recount) = recount(world, mended) {
        assert_eq!(fates(app), recount, "{account:#}");
    }
}

fn play(seed: u64) {
    let faults = "500:0.05,lost-answer:0.05".parse().unwrap();
    let world = World::with_sandbox(SandboxOptions { faults, seed, ..SandboxOptions::default() });
    let mut floe = world.start();
    world.wait("the first look", || {
        fs::read_to_string(world.path("state/checkpoint.json")).is_ok_and(|text| text.contains("\"app\""))
    });
    let mut number = 0;
    for round in 0..8 {
        for _ in 0..(20 + (seed * 7 + round * 13) % 40) {
            world.append(&some_line(number));
            number += 1;
        }
        if (seed + round).is_multiple_of(3) {
            thread::sleep(Duration::from_millis((seed * 31 + round * 17) % 120));
            floe.kill();
            floe = world.start_unready();
        }
        if (seed + round).is_multiple_of(2) {
            world.rename("logs/app.log", &format!("logs/app.log.{round}"));
        }
    }
    world.append(&line(number - number % 11 + 11));
    let billed = (0..number).filter(|number| is_billable(*number)).chain([number - number % 11 + 11]);
    world.finish(floe, billed.collect::<Vec<u64>>());
    check_recount(&world, false);

    let mended = world.config().replace("\"{who}\"", "\"{who | default(customer)}\"");
    world.write_config(&mended);
    let output = world.output(&["quarantine", "retry", "--reason", "missing_customer"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    check_recount(&world, true);

    // A file that is gone is named, and the rest still adds up.
    let gone = logs(&world).into_iter().find(|path| path.extension().is_some_and(|it| it != "log")).unwrap();
    let size = fs::metadata(&gone).unwrap().len();
    fs::remove_file(&gone).unwrap();
    let (account, is_right) = verified(&world);
    let app = &account["verified"]["sources"]["app"];
    assert!(is_right, "{account:#}");
    let not_read = &app["not_read"][0];
    assert_eq!((&not_read["to"], &not_read["why"]), (&json!(size), &json!("it is gone")), "{account:#}");
    assert_eq!(
        app["read"]["bytes"].as_u64().unwrap() + size,
        account["sources"]["app"]["read"]["bytes"].as_u64().unwrap()
    );
    if let Some(recount) = recount(&world, true) {
        assert_eq!(app["fates"], recount, "of the files that are left");
    }
}

#[test]
fn s20_an_independent_recount_agrees_through_kill_rotation_quarantine_and_retry() {
    (1..=3).for_each(play);
}

#[test]
fn s20_the_age_of_the_oldest_unbilled_line_goes_on_after_a_kill() {
    let world = World::new();
    let floe = world.start();
    world.append(&line(0));
    world.wait_for_billed([0]);
    world.sandbox.set_faults("503:1".parse().unwrap());
    world.append(&line(1));
    let since = |world: &World| world.account().0["oldest_unbilled"]["since"].as_str().map(str::to_owned);
    world.wait("an age that is saved", || since(&world).is_some());
    let before = since(&world).unwrap();
    floe.kill();
    assert_eq!(since(&world), Some(before.clone()), "the account tells it with no daemon, too");
    let floe = world.start();
    world.append(&line(2));
    let milliseconds = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
    // A younger line takes nothing off the age of the oldest, nor does another save.
    world.wait("a status", || {
        let output = world.output(&["status", "--json"]);
        let Ok(status) = serde_json::from_slice::<Value>(&output.stdout) else { return false };
        let Some(age) = status["oldest_unbilled_seconds"].as_f64() else { return false };
        let now = jiff::Timestamp::now().as_millisecond();
        let known = (now - milliseconds(&before)) as f64 / 1000.0;
        assert!((age - known).abs() < 2.0, "{age} s, and it was first seen {known} s ago");
        true
    });
    floe.kill();
    let after = since(&world).unwrap();
    assert!((milliseconds(&after) - milliseconds(&before)).abs() < 1_000, "{before} became {after}");
    world.sandbox.set_faults(FaultPlan::none());
    let floe = world.start();
    world.finish(floe, 0..3);
    assert_eq!(world.account().0["oldest_unbilled"], Value::Null);
}

#[test]
fn an_account_of_some_days_is_a_part_of_the_whole() {
    let world = World::new();
    world.append(&(lines(0..7) + &noise(7)));
    let floe = world.start();
    let whole = world.finish(floe, 0..7);
    let of = |arguments: &[&str]| {
        let output = world.output(&[&["account", "--json"], arguments].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    // Midnight may have passed while lines were settled.
    let (yesterday, tomorrow) =
        (today.yesterday().unwrap().to_string(), today.tomorrow().unwrap().to_string());
    let part = of(&["--since", &yesterday, "--until", &tomorrow]);
    for key in ["read", "billed", "billed_by_rule", "ignored", "events"] {
        assert_eq!(part["sources"]["app"][key], whole[key], "{key}");
    }
    assert_eq!(of(&["--since", &tomorrow])["sources"]["app"]["read"], json!({ "lines": 0, "bytes": 0 }));
    let text = String::from_utf8(world.output(&["account", "--since", &yesterday]).stdout).unwrap();
    assert!(text.contains("a line belongs to the day on which it was settled"), "{text}");
    assert_eq!(world.output(&["account", "--since", "yesterday"]).status.code(), Some(64));
}
