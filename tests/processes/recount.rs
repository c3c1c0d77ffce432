//! Files read again beside and after real daemons: the recount is the account, whatever happened on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::ControlFlow;
use std::sync::Arc;

use floe::config::{LoadOptions, Settings, load};
use floe::model::{Fate, Tally};
use floe::shell::recount::{Buffers, Lacking, Recount, events_of};
use rustix::process::Signal;
use serde_json::Value;

use crate::world::{World, line, lines, noise};

/// What the files say.
struct Recounted {
    tally: Tally,
    /// Of billed lines.
    ids: BTreeSet<String>,
    events: u64,
    /// Paths and reasons of what could not be read.
    unread: Vec<(String, String)>,
    lacking: BTreeMap<String, Lacking>,
}

fn settings(world: &World) -> Arc<Settings> {
    let options = LoadOptions { path: Some(world.path("floe.toml")), ..LoadOptions::default() };
    Arc::new(load(&options).unwrap_or_else(|faults| panic!("{}", faults.render(false))).settings)
}

fn recount(world: &World) -> Recounted {
    let recount = Recount::open(&settings(world)).unwrap();
    let mut found = Recounted {
        tally: Tally::default(),
        ids: BTreeSet::new(),
        events: 0,
        unread: Vec::new(),
        lacking: recount.lacking(),
    };
    let mut buffers = Buffers::default();
    for stream in recount.streams() {
        let mut at = stream.span.start;
        let read = recount.read(stream, &mut buffers, |piece| {
            assert_eq!((piece.span.start, piece.tally.total().bytes), (at, piece.span.len()), "no gap");
            at = piece.span.end;
            found.tally.merge(&piece.tally);
            for line in piece.lines.iter().filter(|line| line.fate == Fate::Billed) {
                found.events += u64::from(line.events);
                found
                    .ids
                    .extend(events_of(&line.body).iter().map(|(event, _)| event.external_id.to_string()));
            }
            ControlFlow::Continue(())
        });
        match read {
            Ok(()) => assert_eq!(at, stream.span.end, "all that is settled is read"),
            Err(unread) => found.unread.push((stream.path.clone(), unread.why)),
        }
    }
    found
}

/// The recount is what the account says, and names the events that the sandbox has.
#[track_caller]
fn check(world: &World) -> Value {
    let found = recount(world);
    assert_eq!((&found.unread, &found.lacking), (&Vec::new(), &BTreeMap::new()), "{}", world.notices());
    let (account, _) = world.account();
    let source = &account["sources"]["app"];
    assert_eq!(found.tally.total().bytes, source["read"]["bytes"], "{account:#}");
    for (fate, count) in found.tally.iter() {
        let told = match fate {
            Fate::Billed => &source["billed"],
            Fate::Ignored(reason) => &source["ignored"][reason.code()],
            Fate::Quarantined(reason) => &source["quarantined"][reason.code()],
        };
        assert_eq!((&told["lines"], &told["bytes"]), (&count.lines.into(), &count.bytes.into()), "{fate:?}");
    }
    assert_eq!(source["events"], found.events);
    assert_eq!(found.ids, world.sandbox.external_ids().into_iter().collect());
    account
}

fn gzip(world: &World, name: &str) {
    let path = world.path(name);
    assert!(std::process::Command::new("gzip").arg(&path).status().unwrap().success());
}

#[test]
fn files_read_again_say_what_the_account_says_also_rotated_and_compressed() {
    let world = World::new();
    let bad = "{\"event\":\"use\",\"who\":\"\",\"n\":1}\nuse is no JSON \"use\"\n\n";
    world.append(&format!("{}{}{bad}", lines(0..300), noise(1).repeat(2000)));
    let floe = world.start();
    world.wait_for_billed(0..300);
    world.rename("logs/app.log", "logs/app.log.1");
    world.append(&lines(300..400));
    world.wait_for_billed(0..400);
    floe.kill();
    gzip(&world, "logs/app.log.1");
    let floe = world.start();
    world.append(&line(400));
    world.wait_for_billed(0..401);
    // Beside the daemon, and behind it.
    let _ = recount(&world);
    floe.stop();
    let account = check(&world);
    assert_eq!(account["sources"]["app"]["quarantined"]["missing_customer"]["lines"], 1, "{account:#}");
}

#[test]
fn a_file_that_is_gone_is_said_with_its_bytes_and_one_that_was_written_anew_is_not_taken_for_it() {
    let world = World::of("logs/*.log", "format = \"json\"");
    let (first, second) = (lines(0..50), lines(50..60));
    world.append_to("logs/a.log", &first);
    world.append_to("logs/b.log", &second);
    let floe = world.start();
    world.wait_for_billed(0..60);
    floe.stop();
    check(&world);
    fs::remove_file(world.path("logs/a.log")).unwrap();
    world.append_to("logs/a.log", lines(100..160));
    let found = recount(&world);
    assert_eq!(found.events, 10);
    assert_eq!(found.unread.len(), 1);
    assert!(found.unread[0].0.ends_with("a.log") && found.unread[0].1.contains("gone"), "{:?}", found.unread);
    let lacking = Lacking { gone_bytes: first.len() as u64, ..Lacking::default() };
    assert_eq!(found.lacking, [("app".to_owned(), lacking)].into());
    // A copy elsewhere in the folder is the file.
    world.append_to("logs/a.log.restored", &first);
    world.rename("logs/a.log.restored", "logs/a.log.1");
    assert_eq!(recount(&world).events, 60);
}

#[test]
fn floors_last_lines_and_containers_are_read_again_as_they_were() {
    // What stood there at the first start is nobody's, and the first line of ours may begin in it.
    let world = World::of("logs/*.log", "format = \"json\"\nread_from = \"end\"");
    world.append_to("logs/a.log", format!("{}{}", lines(0..5), line(5).trim_end()));
    let floe = world.start();
    floe.wait_for_notice("file_found");
    world.append_to("logs/a.log", format!("\n{}", lines(6..9)));
    world.wait_for_billed(6..9);
    floe.stop();
    check(&world);

    let world = World::of("logs/*.log", "format = \"json\"\ncontainer = \"cri\"");
    let cri = |number: u64| {
        let text = line(number);
        let (head, tail) = text.trim_end().split_at(30);
        format!(
            "2026-11-20T10:00:00.000000001Z stdout P {head}\n2026-11-20T10:00:00.000000001Z stdout F {tail}\n"
        )
    };
    let all: String = (0..40).map(cri).collect();
    world.append_to("logs/0.log", &all);
    let floe = world.start();
    world.wait_for_billed(0..40);
    floe.stop();
    check(&world);
}

#[test]
fn columns_records_of_several_lines_and_long_lines_are_read_again_as_they_were() {
    let world = World::of("logs/*.log", "format = \"delimited\"\nheader = \"first_line\"");
    let row = |number: u64| format!("{},use,c{},{number}\n", jiff::Timestamp::now(), number % 3);
    let rows: String = (0..3000).map(row).collect();
    world.append_to("logs/a.log", format!("ts,event,who,n\n{rows}"));
    let floe = world.start();
    world.wait_for_billed(0..3000);
    floe.signal(Signal::TERM);
    assert!(floe.ended().success());
    check(&world);

    let world = World::of("logs/*.log", "format = \"json\"\nmax_line_bytes = \"4KiB\"");
    let long = format!("{{\"event\":\"use\",\"text\":\"{}\"}}\n", "x".repeat(600_000));
    world.append_to("logs/a.log", format!("{}{long}{}", line(0), line(1)));
    let floe = world.start();
    world.wait_for_billed(0..2);
    floe.stop();
    check(&world);
}
