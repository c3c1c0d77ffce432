//! A daemon's life: starting, stopping, reading its config again, and what it refuses to start on.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use floe::sandbox::FaultPlan;
use rustix::process::Signal;

use crate::world::{World, line, lines, noise};

#[test]
fn s28_a_drain_brings_home_what_was_read_and_the_next_start_goes_on() {
    let world = World::new();
    world.append(&lines(0..3000));
    let floe = world.start();
    world.wait("the first event", || !world.sandbox.events().is_empty());
    floe.stop();
    world.append(&lines(3000..3100));
    let floe = world.start();
    world.wait_for_billed(0..3100);
    floe.stop();
    let (account, right) = world.account();
    assert!(right, "{account:#}");
    assert_eq!(account["events"]["inserted"], 3100);
    assert_eq!(account["events"]["duplicates"], 0, "a drain leaves nothing that was sent unsaved");
}

/// Writers go on, and the last line before the signal is billed all the same.
#[test]
fn s28_sigterm_under_load_reads_to_the_end_of_what_is_there() {
    let world = World::new();
    let config = world.config().replace("batch_max_wait = \"20ms\"", "batch_max_wait = \"60s\"");
    world.write_config(&config);
    world.append(&line(0));
    let floe = world.start();
    floe.wait_for_notice("file_found");
    let is_over = AtomicBool::new(false);
    let (before, written) = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut written = 1;
            while !is_over.load(Ordering::Acquire) {
                world.append(&lines(written..written + 50));
                written += 50;
            }
            written
        });
        world.wait("some megabytes", || fs::metadata(world.log()).unwrap().len() > 2_000_000);
        let before = fs::read_to_string(world.log()).unwrap().lines().count() as u64;
        floe.stop();
        is_over.store(true, Ordering::Release);
        (before, writer.join().unwrap())
    });
    let billed = world.billed();
    let missing: Vec<u64> = (0..before).filter(|number| !billed.contains_key(number)).collect();
    assert!(missing.is_empty(), "of {before} lines these are not billed: {missing:?}\n{}", world.notices());
    let floe = world.start();
    floe.stop();
    world.wait_for_billed(0..written);
    let (account, right) = world.account();
    assert!(right, "{account:#}");
    assert_eq!(account["events"]["duplicates"], 0, "a drain leaves nothing that was sent unsaved");
}

#[test]
fn s28_an_ending_does_not_wait_for_the_end_of_a_line() {
    let world = World::new();
    let floe = world.start();
    let last = line(1);
    let (begun, rest) = last.split_at(20);
    world.append(&(line(0) + begun));
    world.wait_for_billed(0..1);
    floe.stop();
    world.append(rest);
    let floe = world.start();
    floe.stop();
    world.wait_for_billed(0..2);
}

#[test]
fn s28_a_second_signal_ends_at_once() {
    let world = World::new();
    world.append(&lines(0..10));
    let floe = world.start();
    world.wait_for_billed(0..10);
    // Events that no answer comes for, so that the drain has something to wait for.
    world.sandbox.set_faults("timeout:1".parse().unwrap());
    let before = world.sandbox.stats().requests;
    world.append(&lines(10..20));
    world.wait("a request", || world.sandbox.stats().requests > before);
    floe.signal(Signal::TERM);
    floe.wait_for_notice("draining");
    floe.signal(Signal::TERM);
    assert_eq!(floe.ended().code(), Some(1));
    world.sandbox.set_faults(FaultPlan::none());
    let floe = world.start();
    world.wait_for_billed(0..20);
    floe.stop();
}

#[test]
fn s28_a_bad_config_changes_nothing_and_a_new_rule_is_taken_over() {
    let world = World::new();
    let floe = world.start();
    let good = world.config();
    world.write_config(&good.replace("[[rules]]", "[[rulez]]"));
    floe.signal(Signal::HUP);
    floe.wait_for_notice("reload_refused");
    world.append(&lines(0..10));
    world.wait_for_billed(0..10);

    world.write_config(&good.replace("instance = \"test\"", "instance = \"other\""));
    floe.signal(Signal::HUP);
    floe.wait_for_words("instance is another one, and that needs a restart");

    let rule = "\n[[rules]]\nid = \"other\"\nsource = \"app\"\nwhen = { event = \"noise\" }\n\n[rules.event]\n\
                name = \"noise\"\nexternal_customer_id = \"nobody\"\nmetadata.n = \"{n | int}\"\n";
    world.write_config(&format!("{good}{rule}"));
    floe.signal(Signal::HUP);
    floe.wait_for_notice("reloaded");
    world.append(&(noise(10) + &line(11)));
    world.wait_for_billed(0..12);
    floe.stop();
    assert!(world.account().1);
}

#[test]
fn s28_a_table_is_read_again_with_the_config_and_a_bad_one_changes_nothing() {
    let world = World::new();
    let plans = world.path("plans.csv");
    fs::write(&plans, "n,tier\n0,free\n1,free\n").unwrap();
    let looked_up = "[lookups.plans]\nfile = \"plans.csv\"\n[[rules]]";
    let config = world.config().replacen("[[rules]]", looked_up, 1);
    let tier = "[rules.event]\nmetadata.tier = \"{n | lookup(plans, tier)}\"\n";
    world.write_config(&config.replacen("[rules.event]\n", tier, 1));
    let floe = world.start();
    let are_of = |tier: &str| {
        let said = format!("\"tier\":\"{tier}\"");
        world.sandbox.events().iter().filter(|event| event.replace(": ", ":").contains(&said)).count()
    };
    world.append(&line(0));
    world.wait_for_billed(0..1);

    fs::write(&plans, "n,tier\n0,free\n1,free\n1,pro\n").unwrap();
    floe.signal(Signal::HUP);
    floe.wait_for_notice("reload_refused");
    floe.wait_for_words("two rows have the key");
    world.append(&line(1));
    world.wait_for_billed(0..2);

    fs::write(&plans, "n,tier\n2,pro\n").unwrap();
    floe.signal(Signal::HUP);
    floe.wait_for_notice("reloaded");
    world.append(&line(2));
    world.wait_for_billed(0..3);
    assert_eq!((are_of("free"), are_of("pro")), (2, 1));
    floe.stop();
}

#[test]
fn s28_a_drain_ends_within_its_limit_though_no_answer_comes() {
    let world = World::new();
    world.write_config(&world.config().replace("[limits]", "[limits]\ndrain_timeout = \"1s\""));
    world.append(&lines(0..10));
    let floe = world.start();
    world.wait_for_billed(0..10);
    world.sandbox.set_faults("timeout:1".parse().unwrap());
    let before = world.sandbox.stats().requests;
    world.append(&lines(10..500));
    world.wait("a request", || world.sandbox.stats().requests > before);
    let start = std::time::Instant::now();
    floe.signal(Signal::TERM);
    floe.ended();
    assert!(start.elapsed() < std::time::Duration::from_secs(10), "{:?}", start.elapsed());
    world.sandbox.set_faults(FaultPlan::none());
    let floe = world.start();
    world.finish(floe, 0..500);
}

#[test]
fn s28_rules_that_are_edited_and_reordered_change_no_id() {
    let world = World::new();
    let before = world.config();
    let rule = |id: &str, when: &str, name: &str| {
        format!(
            "\n[[rules]]\nid = \"{id}\"\nsource = \"app\"\nwhen = {{ {when} }}\n\n[rules.event]\nname = \"{name}\"\n\
             external_customer_id = \"{{who}}\"\nmetadata.n = \"{{n | int}}\"\n"
        )
    };
    world.append(&lines(0..10));
    let floe = world.start();
    world.wait_for_billed(0..10);
    // Another rule stands before the old one, and the old one has another id and makes another event.
    let (head, old) = before.split_once("[[rules]]").unwrap();
    let edited = old.replace("id = \"use\"", "id = \"usage\"").replace("name = \"use\"", "name = \"usage\"");
    let first = rule("noise", "event = \"noise\"", "noise");
    world.write_config(&format!("{head}{first}\n[[rules]]{edited}"));
    floe.signal(Signal::HUP);
    floe.wait_for_notice("reloaded");
    world.append(&lines(10..20));
    world.wait_for_billed(0..20);
    floe.stop();
    // Without a checkpoint all is sent again, by the new rules: Polar knows the ids.
    for name in ["checkpoint.json", "checkpoint.previous.json"] {
        fs::remove_file(world.path("state").join(name)).unwrap();
    }
    let floe = world.start();
    world.append(&line(20));
    world.finish(floe, 0..21);
    assert_eq!(world.account().0["events"]["duplicates"], 20);
}

#[test]
fn s28_a_source_is_removed_and_comes_back() {
    let world = World::new();
    let both = world.config();
    let other = format!(
        "\n[[sources]]\nid = \"other\"\ninclude = [\"{}/logs/other.log\"]\nformat = \"json\"\n\n[[rules]]",
        world.folder.path().display()
    );
    let both = both.replacen("[[rules]]", &other, 1).replace("source = \"app\"\n", "");
    world.write_config(&both);
    world.append(&lines(0..10));
    world.append_to("logs/other.log", lines(10..20));
    let floe = world.start();
    world.wait_for_billed(0..20);
    world.write_config(&world.config());
    floe.signal(Signal::HUP);
    floe.wait_for_notice("reloaded");
    world.append_to("logs/other.log", lines(20..30));
    world.append(&lines(30..40));
    world.wait_for_billed((0..20).chain(30..40));
    floe.stop();
    world.write_config(&both);
    let floe = world.start();
    world.finish(floe, 0..40);
}

#[track_caller]
fn check_refused(world: &World, arguments: &[&str], code: i32, words: &str) {
    let output = world.output(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(words), "{said}");
}

#[test]
fn s28_another_instance_or_server_on_the_same_state_is_a_bad_config() {
    let world = World::new();
    let good = world.config();
    world.start().stop();
    world.write_config(&good.replace("instance = \"test\"", "instance = \"other\""));
    check_refused(&world, &["run"], 78, "belongs to instance \"test\"");
    world.write_config(&good.replace(&world.sandbox.url(), "http://127.0.0.1:9"));
    check_refused(&world, &["run"], 78, "but the config says http://127.0.0.1:9");
    world.write_config(&good.replace("version = 1", "version = 1\nnonsense = 2"));
    check_refused(&world, &["run"], 78, "nonsense");
    world.write_config(&good);
    world.start().stop();
}

#[test]
fn what_cannot_be_answered_has_its_own_exit_code() {
    let world = World::new();
    check_refused(&world, &["account"], 66, "no daemon has run here yet");
    check_refused(&world, &["no-such-command"], 64, "no-such-command");
    fs::write(world.path("file"), "").unwrap();
    let in_a_file = format!("state_dir = \"{}/state\"", world.path("file").display());
    let state_dir = format!("state_dir = \"{}/state\"", world.folder.path().display());
    world.write_config(&world.config().replace(&state_dir, &in_a_file));
    check_refused(&world, &["run"], 73, "cannot use the state");
}

#[test]
fn s26_a_token_is_awaited_and_followed_when_it_is_rotated() {
    let world = World::new();
    fs::remove_file(world.path("token")).unwrap();
    world.append(&lines(0..10));
    let floe = world.start();
    floe.wait_for_words("no token: cannot read");
    world.write_token("polar_oat_of_yesterday");
    floe.wait_for_notice("polar_refuses");
    world.write_token(world.sandbox.token());
    world.wait_for_billed(0..10);
    floe.wait_for_notice("polar_accepts");
    floe.stop();
}

#[test]
fn s28_shadow_mode_sends_nothing_and_goes_live_from_where_it_stands() {
    let world = World::new();
    let live = world.config();
    world.write_config(&live.replace("[polar]", "[polar]\nmode = \"shadow\""));
    world.append(&lines(0..10));
    let floe = world.start();
    let events = world.path("state/shadow/events.jsonl");
    world.wait("ten events", || fs::read_to_string(&events).is_ok_and(|text| text.lines().count() == 10));
    floe.stop();
    assert_eq!(world.sandbox.stats().requests, 0);

    world.write_config(&live);
    check_refused(&world, &["run"], 78, "live_from");
    world.write_config(&live.replace("[polar]", "[polar]\nlive_from = \"shadow\""));
    world.append(&lines(10..20));
    let floe = world.start();
    world.wait_for_billed(10..20);
    floe.stop();
    assert!(world.account().1);
}

#[test]
fn the_demo_shows_that_every_line_is_billed_once_and_leaves_nothing() {
    let world = World::new();
    let temporary = world.path("temporary");
    fs::create_dir(&temporary).unwrap();
    let output = world.command(&["demo", "--lines", "5000"]).env("TMPDIR", &temporary).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("adds up: read = billed + ignored + quarantined, nothing missed"), "{said}");
    assert!(said.contains("Every billable line was billed once, over 4 rotations."), "{said}");
    assert_eq!(fs::read_dir(temporary).unwrap().count(), 0);
}
