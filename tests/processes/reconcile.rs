//! `floe reconcile` against a sandbox that loses, alters and doubles events behind Floe's back.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Command, Output};

use floe::sandbox::{Tampered, Tampering};
use serde_json::Value;

use crate::world::{World, line, lines};

/// A world whose events carry the key, and whose lines are of hours ago.
fn world() -> World {
    let world = World::new();
    with_key(&world);
    world
}

fn with_key(world: &World) {
    let config = fs::read_to_string(world.path("floe.toml")).unwrap();
    assert!(config.contains("[polar]\n"));
    world.write_config(&config.replacen("[polar]\n", "[polar]\nreconcile = true\n", 1));
}

/// Lines of an hour long ago, each with its own second.
fn old_lines(numbers: std::ops::Range<u64>) -> String {
    numbers.map(old_line).collect()
}

fn old_line(number: u64) -> String {
    let second = 1_780_000_000 + i64::try_from(number).unwrap();
    let (at, who) = (jiff::Timestamp::from_second(second).unwrap(), number % 7);
    format!("{{\"ts\":\"{at}\",\"event\":\"use\",\"who\":\"customer_{who}\",\"n\":{number}}}\n")
}

fn run(world: &World, arguments: &[&str]) -> Output {
    let all = [&["reconcile", "--grace", "0s"], arguments].concat();
    world.output(&all)
}

#[track_caller]
fn report(world: &World, arguments: &[&str], code: i32) -> Value {
    let output = run(world, &[&["--json", "--all"], arguments].concat());
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}{error}{}", world.notices());
    serde_json::from_str(&out).unwrap_or_else(|_| panic!("no JSON: {out}{error}"))
}

#[track_caller]
fn check_counts(report: &Value, expected: [u64; 6]) {
    let keys = ["expected", "sent", "present", "missing", "altered", "surplus"];
    let found = keys.map(|key| report["counts"][key].as_u64().unwrap());
    assert_eq!(found, expected, "{keys:?} of {report:#}");
}

/// The external ids of a list of the report, after each was found in its file at its place.
#[track_caller]
fn ids(world: &World, list: &Value) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for event in list.as_array().unwrap() {
        let path = event["path"].as_str().unwrap();
        let bytes = if path.strip_suffix(".gz").is_some() {
            Command::new("gzip").args(["-dc", path]).output().unwrap().stdout
        } else {
            fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}, of {}", world.path("").display()))
        };
        let at = usize::try_from(event["offset"].as_u64().unwrap()).unwrap();
        let line = bytes[at..].split(|byte| *byte == b'\n').next().unwrap();
        let line: Value = serde_json::from_slice(line).expect("a line begins there");
        assert_eq!(event["customer"], line["who"]);
        ids.insert(event["external_id"].as_str().unwrap().to_owned());
    }
    ids
}

fn external_ids(done: &[Tampered], what: &str) -> BTreeSet<String> {
    let of_kind = done.iter().filter(|done| done.what == what);
    of_kind.map(|done| done.event["external_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn exactly_what_was_lost_altered_and_doubled_is_named_and_what_is_missing_is_mended() {
    let world = world();
    world.append(&old_lines(0..700));
    let floe = world.start();
    world.wait_for_billed(0..700);
    // A restart in between, a rotation, and a compressed copy.
    floe.kill();
    world.rename("logs/app.log", "logs/app.log.1");
    world.append(&old_lines(700..1000));
    let floe = world.start();
    world.wait_for_billed(0..1000);
    floe.stop();
    assert!(Command::new("gzip").arg(world.path("logs/app.log.1")).status().unwrap().success());

    let clean = report(&world, &["--again"], 0);
    check_counts(&clean, [1000, 1000, 1000, 0, 0, 0]);
    assert_eq!(clean["account_events"]["app"], 1000);
    assert_eq!(report(&world, &[], 0)["segments_remembered"], 2, "what is settled is not asked for again");

    let done = world.sandbox.tamper(Tampering { lose: 9, alter: 8, double: 5 });
    assert_eq!(done.len(), 22);
    let found = report(&world, &["--again"], 1);
    check_counts(&found, [1000, 1000, 983, 9, 8, 5]);
    assert_eq!(ids(&world, &found["missing"]), external_ids(&done, "lost"));
    assert_eq!(ids(&world, &found["altered"]), external_ids(&done, "altered"));
    let mut parts: BTreeMap<&str, u64> = BTreeMap::new();
    for event in found["altered"].as_array().unwrap() {
        *parts.entry(event["differs"].as_str().unwrap()).or_default() += 1;
    }
    assert_eq!(parts, [("customer", 2), ("metadata", 2), ("name", 2), ("timestamp", 2)].into());
    let doubled: BTreeSet<u64> = done
        .iter()
        .filter(|done| done.what == "doubled")
        .map(|done| done.event["metadata"]["n"].as_u64().unwrap())
        .collect();
    let surplus = found["surplus"].as_array().unwrap();
    assert!(surplus.iter().all(|event| event["offset"].is_u64()), "{surplus:#?}");
    assert_eq!((surplus.len(), doubled.len()), (5, 5));
    assert_eq!(world.sandbox.stats().events, 1000 - 9 + 5, "nothing is sent without --fix");

    let fixed = report(&world, &["--again", "--fix"], 1);
    assert_eq!(fixed["mended"]["sent"], 9, "{fixed:#}");
    assert_eq!(fixed["mended"]["had_already"], 8, "what was altered is known by its id");
    let second = report(&world, &["--again"], 1);
    check_counts(&second, [1000, 1000, 992, 0, 8, 5]);
    let accepted = report(&world, &["--again", "--accept"], 0);
    check_counts(&accepted, [1000, 1000, 992, 0, 8, 5]);
    let last = report(&world, &["--again"], 0);
    check_counts(&last, [1000, 1000, 1000, 0, 0, 0]);
    assert_eq!((&accepted["accepted_now"], &last["accepted"]), (&13.into(), &13.into()));
    let numbers: BTreeSet<String> = world.sandbox.external_ids().into_iter().collect();
    assert_eq!(numbers.len(), 1000, "each id is there again");
}

#[test]
fn two_sources_a_file_that_is_gone_and_lines_under_way() {
    let world = world();
    let config = fs::read_to_string(world.path("floe.toml")).unwrap();
    let folder = world.folder.path().display().to_string();
    let second = format!(
        "[[sources]]\nid = \"web\"\ninclude = [\"{folder}/logs/web.log\"]\nformat = \"json\"\n\n[[rules]]\n"
    );
    let config = config.replacen("[[rules]]\n", &second, 1).replace("source = \"app\"\n", "");
    world.write_config(&config);
    let first = old_lines(0..60);
    world.append(&first);
    world.append_to("logs/web.log", old_lines(100..150));
    let floe = world.start();
    world.wait_for_billed((0..60).chain(100..150));
    world.rename("logs/app.log", "logs/app.log.1");
    world.append(&old_lines(60..70));
    world.wait_for_billed((0..70).chain(100..150));
    // The daemon runs beside it, and its checkpoint may be a second behind.
    world.wait("the checkpoint", || world.account().0["events"]["inserted"] == 120);
    check_counts(&report(&world, &["--again"], 0), [120, 120, 120, 0, 0, 0]);
    floe.stop();
    fs::remove_file(world.path("logs/app.log.1")).unwrap();
    let found = report(&world, &["--again"], 0);
    check_counts(&found, [60, 60, 60, 0, 0, 0]);
    let uncompared = &found["uncompared"][0];
    assert_eq!((&uncompared["bytes"], &uncompared["source"]), (&first.len().into(), &"app".into()));
    let said = String::from_utf8(run(&world, &[]).stdout).unwrap();
    assert!(said.contains("not compared: ") && said.contains("its file is gone"), "{said}");
}

#[test]
fn without_the_key_what_is_missing_is_found_by_name_and_time() {
    let world = World::new();
    world.append(&old_lines(0..250));
    let floe = world.start();
    world.wait_for_billed(0..250);
    floe.stop();
    check_counts(&report(&world, &[], 0), [250, 250, 250, 0, 0, 0]);
    let done = world.sandbox.tamper(Tampering { lose: 3, ..Tampering::default() });
    // Set now, the key is not in what was sent before, and that is no loss.
    with_key(&world);
    for arguments in [&["--again"][..], &["--again", "--fix"]] {
        let found = report(&world, arguments, i32::from(arguments.len() == 1));
        check_counts(&found, [250, 250, 247, 3, 0, 0]);
        assert_eq!(
            (&found["without_key"], ids(&world, &found["missing"])),
            (&247.into(), external_ids(&done, "lost"))
        );
    }
    check_counts(&report(&world, &[], 0), [250, 250, 250, 0, 0, 0]);
}

#[test]
fn what_is_quarantined_is_not_missing_and_a_time_narrows_what_is_asked() {
    let world = world();
    world.append(&old_lines(0..20));
    world.append("{\"ts\":\"2026-05-28T20:26:40Z\",\"event\":\"use\",\"who\":\"\",\"n\":99}\n");
    let floe = world.start();
    world.wait_for_billed(0..20);
    world.wait("the letter", || world.quarantined().len() == 1);
    floe.stop();
    check_counts(&report(&world, &[], 0), [20, 20, 20, 0, 0, 0]);
    check_counts(&report(&world, &["--since", "2027-01-01"], 0), [0; 6]);
    check_counts(&report(&world, &["--until", "2027-01-01"], 0), [20, 20, 20, 0, 0, 0]);
}

#[test]
fn what_stands_in_the_way_is_said_with_its_cure() {
    let check = |world: &World, code: i32, words: &str| {
        let output = run(world, &[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(words), "{words:?} in:\n{said}");
    };
    let world = world();
    check(&world, 66, "start `floe run` first");
    world.append(&line(0));
    let floe = world.start();
    world.wait_for_billed(0..1);
    floe.stop();
    world.write_token("polar_oat_of_nobody");
    check(&world, 69, "the token is unknown, expired or revoked (401)");
    world.write_token(world.sandbox.token());
    let held = fs::OpenOptions::new().write(true).open(world.path("state/reconcile/lock")).unwrap();
    held.lock().unwrap();
    check(&world, 75, "another `floe reconcile` is running");
}

#[test]
fn the_key_changes_no_id() {
    let (plain, keyed) = (World::new(), world());
    let text = lines(0..50);
    let mut found = Vec::new();
    for world in [&plain, &keyed] {
        world.append(&text);
        let floe = world.start();
        world.wait_for_billed(0..50);
        floe.stop();
        let ids: BTreeSet<String> = world.sandbox.external_ids().into_iter().collect();
        let event: Value = serde_json::from_str(&world.sandbox.events()[0]).unwrap();
        found.push((ids, event["metadata"]["floe_segment"].is_string()));
    }
    assert_eq!(found[0].0, found[1].0);
    assert_eq!((found[0].1, found[1].1), (false, true));
}
