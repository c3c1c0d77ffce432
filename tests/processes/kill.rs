//! Killed at any moment, any number of times, while a tenth of the requests fails and the log is rotated: the
//! sandbox holds every billable line once, and the account knows every byte.
//!
//! `FLOE_ROUNDS=200` plays more rounds, `FLOE_SEED=…` plays one again.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use floe::sandbox::SandboxOptions;
use serde_json::json;

use crate::world::{World, line, noise};

const ROUNDS: u64 = 20;

#[test]
fn s20_killed_at_any_moment_every_line_is_billed_once() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds: Vec<u64> = match number("FLOE_SEED") {
        Some(seed) => vec![seed],
        None => {
            let first = u64::from(std::process::id()) * 1_000_000;
            (first..first + number("FLOE_ROUNDS").unwrap_or(ROUNDS)).collect()
        }
    };
    for seed in seeds {
        println!("FLOE_SEED={seed}");
        round(seed);
    }
}

/// What the application knows that it wrote.
struct Written {
    lines: u64,
    billable: Vec<u64>,
    bytes: u64,
}

fn round(seed: u64) {
    // Every fourth round with an endpoint that never fails.
    let faults =
        if seed.is_multiple_of(4) { "" } else { "500:0.03,reset:0.03,lost-answer:0.04" }.parse().unwrap();
    let world = World::with_sandbox(SandboxOptions { faults, seed, ..SandboxOptions::default() });
    // What was rotated before Floe first looked is not its own, so its first look comes before the first line.
    let floe = world.start();
    let checkpoint = world.path("state/checkpoint.json");
    world.wait("the first look", || {
        fs::read_to_string(&checkpoint).is_ok_and(|text| text.contains("\"app\""))
    });
    floe.kill();
    let done = AtomicBool::new(false);
    let written = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let written = write(&world.log(), &mut Dice(seed));
            done.store(true, Ordering::Release);
            written
        });
        let mut dice = Dice(!seed);
        while !done.load(Ordering::Acquire) {
            let floe = world.start_unready();
            thread::sleep(Duration::from_millis(dice.below(250)));
            floe.kill();
        }
        writer.join().unwrap()
    });
    let floe = world.start();
    world.wait_for_billed(written.billable.iter().copied());
    // What a killed process sent last is billed, but not in the account until it is read again.
    let expected = json!({ "lines": written.lines, "bytes": written.bytes });
    let caught_up = World::awaits(|| world.account().0["sources"]["app"]["read"] == expected);
    floe.stop();
    let (account, right) = world.account();
    assert!(right && caught_up, "{expected} was written; {account:#}\n{}", world.notices());
    world.wait_for_billed(written.billable);
}

/// Writes for about a second; between two writes the log may be rotated, by renaming or by copying.
fn write(path: &Path, dice: &mut Dice) -> Written {
    let mut written = Written { lines: 0, billable: Vec::new(), bytes: 0 };
    let mut rotations = 0;
    for _ in 0..60 {
        let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
        for _ in 0..dice.below(60) {
            let billable = dice.below(3) > 0;
            let text = if billable { line(written.lines) } else { noise(written.lines) };
            // Now and then a line is written in two parts.
            let cut = if dice.below(10) == 0 { text.len() / 2 } else { text.len() };
            file.write_all(&text.as_bytes()[..cut]).unwrap();
            file.write_all(&text.as_bytes()[cut..]).unwrap();
            written.billable.extend(billable.then_some(written.lines));
            written.lines += 1;
            written.bytes += text.len() as u64;
        }
        thread::sleep(Duration::from_millis(dice.below(40)));
        if dice.below(12) > 0 || fs::metadata(path).unwrap().len() == 0 {
            continue;
        }
        rotations += 1;
        let rotated = path.with_extension(format!("log.{rotations}"));
        if dice.below(2) == 0 {
            fs::rename(path, rotated).unwrap();
        } else {
            fs::copy(path, rotated).unwrap();
            file.set_len(0).unwrap();
        }
    }
    written
}

/// splitmix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
