//! The deterministic simulation: another shell around the same core.
//!
//! A seed is a history. `cargo test --test simulation` plays some thousands of them;
//! `FLOE_SEEDS=50000 cargo test --release --test simulation -- --nocapture` plays more and says how fast;
//! `FLOE_SEED=123 cargo test --test simulation one_seed -- --nocapture` plays one and tells it step by step.

mod disk;
mod faults;
mod floors;
mod history;
mod invariants;
mod letters;
mod lines;
mod oracle;
mod plants;
mod polar;
mod process;
mod random;
mod runner;
mod scene;
mod shell;
mod simulation;
mod storm;
mod writers;

use std::collections::BTreeSet;
use std::time::Instant;

use invariants::Invariant;
use plants::Plant;
use runner::Played;

/// Seeds of the suite's own run.
const SEEDS: u64 = 2_000;

/// Histories that are played twice.
const TWICE: u64 = 50;

/// Histories in which a planted bug must show.
const PLANTED: u64 = 300;

/// Seeds that once found a bug, with what it was.
const FOUND: &[(u64, &str)] = &[];

/// Histories of the suite's own run that break a promise today: an open gap, said aloud at each run. All but a few
/// rotate or copy files that begin with the same line, which leaves little to tell them apart by, while the daemon
/// is killed. One that is mended leaves this list; the test sees to it.
const OPEN: &[u64] = &[76, 415, 565, 571, 665, 833, 986, 1170, 1344, 1435, 1678, 1995];

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")))
}

#[test]
fn every_history_keeps_every_promise() {
    if from_environment("FLOE_SEED").is_some() {
        return;
    }
    let seeds = from_environment("FLOE_SEEDS").unwrap_or(SEEDS);
    let first = from_environment("FLOE_FIRST_SEED").unwrap_or(0);
    let began = Instant::now();
    let Played { seeds, steps, broken } = runner::play_all(first..first + seeds);
    let seconds = began.elapsed().as_secs_f64();
    println!("{seeds} seeds, {steps} steps, {seconds:.1} s, {:.0} steps/s", steps as f64 / seconds);
    for (seed, violation) in &broken {
        let replay = format!("FLOE_SEED={seed} cargo test --test simulation one_seed -- --nocapture");
        eprintln!("seed {seed}: {violation}\n  replay: {replay}\n");
    }
    let broken: BTreeSet<u64> = broken.iter().map(|(seed, _)| *seed).collect();
    let open: BTreeSet<u64> =
        OPEN.iter().copied().filter(|seed| (first..first + seeds).contains(seed)).collect();
    println!("{} of {seeds} histories break a promise and are known to: {open:?}", open.len());
    let new: Vec<_> = broken.difference(&open).collect();
    assert!(new.is_empty(), "{} more histories broke a promise: {new:?}", new.len());
    let mended: Vec<_> = open.difference(&broken).collect();
    assert!(mended.is_empty(), "these keep every promise now, so take them off OPEN: {mended:?}");
}

#[test]
fn one_seed_is_told() {
    let Some(seed) = from_environment("FLOE_SEED") else { return };
    if let Err(violation) = runner::play(seed, None, true) {
        panic!("seed {seed}: {violation}");
    }
}

#[test]
fn seeds_that_found_a_bug_find_none_now() {
    for (seed, bug) in FOUND {
        if let Err(violation) = runner::play(*seed, None, false) {
            panic!("seed {seed} ({bug}): {violation}");
        }
    }
}

#[test]
fn the_same_seed_is_the_same_history() {
    for seed in 0..TWICE {
        assert!(runner::is_repeated(seed, None), "seed {seed}: {:?}", Invariant::SameSeedSameHistory);
    }
}

#[test]
fn chance_from_outside_is_noticed() {
    assert!((0..TWICE).any(|seed| !runner::is_repeated(seed, Some(Plant::ChanceFromOutside))));
}

#[test]
fn each_planted_bug_is_caught_by_its_invariant() {
    for (plant, catchers) in Plant::ALL {
        let caught = (0..PLANTED).any(|seed| {
            let violation = runner::play(seed, Some(*plant), false).err();
            violation.is_some_and(|violation| catchers.contains(&violation.invariant))
        });
        assert!(caught, "{plant:?} is not caught by {catchers:?}");
    }
}
