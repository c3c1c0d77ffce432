//! Lines of containers that begin in one file and end in the next, where the end by itself looks like a line that is to
//! be billed. No file that holds a beginning goes, and none is written to late, so no end is ever taken for a line.

use crate::invariants::{Invariant, Violation};
use crate::lines::Kind;
use crate::plants::Plant;
use crate::simulation::Simulation;
use crate::storm::Move;

/// Histories that are played, unless `FLOE_RELAYS` says how many, or `FLOE_RELAY` which one alone.
const RELAYS: u64 = 40;

const MOVES: &[(Move, u64)] = &[
    (Move::Write, 30),
    (Move::WritePart, 40),
    (Move::Rotate, 15),
    (Move::Crash, 10),
    (Move::Drain, 5),
    (Move::PolarMood, 4),
    (Move::PolarWell, 8),
];

fn play_all(plant: Option<Plant>) -> impl Iterator<Item = (u64, Result<(), Violation>)> {
    let alone = crate::from_environment("FLOE_RELAY");
    let seeds = alone.map_or(0..u64::MAX, |seed| seed..seed + 1);
    let wrapped = seeds.map(move |seed| (seed, Simulation::new(seed, plant, alone == Some(seed))));
    let relays = crate::from_environment("FLOE_RELAYS").unwrap_or(RELAYS);
    let relays = usize::try_from(relays).expect("few are played");
    let wrapped = wrapped.filter(|(_, relay)| relay.scene.wraps).take(relays);
    wrapped.map(|(seed, mut relay)| {
        relay.scene.moves = MOVES.to_vec();
        relay.scene.kinds = vec![(Kind::Use, 1), (Kind::Relayed, 1)];
        relay.scene.backfills = 0;
        relay.storm.generations = 1_000;
        (seed, relay.run().map(|_| ()))
    })
}

#[test]
fn the_end_of_a_line_that_began_in_the_file_before_is_never_billed_by_itself() {
    for (seed, held) in play_all(None) {
        held.unwrap_or_else(|violation| {
            panic!("relay {seed} (FLOE_RELAY={seed} plays it alone): {violation}")
        });
    }
}

#[test]
fn a_carry_that_the_checkpoint_forgets_is_noticed() {
    let is_caught = |held: Result<(), Violation>| {
        held.is_err_and(|violation| violation.invariant == Invariant::BilledOnce)
    };
    assert!(play_all(Some(Plant::CarryForgotten)).any(|(_, held)| is_caught(held)));
}
