//! The deterministic simulation: another shell around the same core.
//!
//! A seed is a history. `cargo test --test simulation` plays some thousands of them;
//! `FLOE_SEEDS=50000 cargo test --release --test simulation -- --nocapture` plays more and says how fast;
//! `FLOE_SEED=123 cargo test --test simulation one_seed -- --nocapture` plays one and tells it step by step. The histories of
//! `relay.rs` have variables of their own.

mod backfill;
mod compressor;
mod disk;
mod faults;
mod floors;
mod history;
mod invariants;
mod letters;
mod lines;
mod oracle;
mod outage;
mod plants;
mod polar;
mod process;
mod random;
mod relay;
mod runner;
mod scene;
mod shell;
mod simulation;
mod spool;
mod storm;
mod writers;

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
    let seeds: Vec<u64> = broken.iter().map(|(seed, _)| *seed).collect();
    assert!(broken.is_empty(), "{} histories broke a promise: {seeds:?}", broken.len());
}

#[test]
fn one_seed_is_told() {
    let Some(seed) = from_environment("FLOE_SEED") else { return };
    if let Err(violation) = runner::play(seed, None, true) {
        panic!("seed {seed}: {violation}");
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
