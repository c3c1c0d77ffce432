//! Plays histories: one, or many on all cores.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::invariants::{Invariant, Violation};
use crate::plants::Plant;
use crate::simulation::{Ending, Simulation};

/// One history. A panic is a violation of the agent's own assertions.
pub fn play(seed: u64, plant: Option<Plant>, told: bool) -> Result<Ending, Violation> {
    let mut simulation = Simulation::new(seed, plant, told);
    let played = catch_unwind(AssertUnwindSafe(|| simulation.run()));
    let ended = played.unwrap_or_else(|panic| {
        let details = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("a panic without words");
        Err(Violation { invariant: Invariant::AgentAgrees, details: details.to_owned() })
    });
    if told && let (Err(_), Some(process)) = (&ended, &simulation.process) {
        println!("{:?}", process.agent);
    }
    ended.map_err(|violation| {
        let steps: Vec<&str> = simulation.history.recent().collect();
        let details = format!("{}\nthe last steps:\n  {}", violation.details, steps.join("\n  "));
        Violation { details, ..violation }
    })
}

/// Whether two plays of a seed make the same history.
pub fn is_repeated(seed: u64, plant: Option<Plant>) -> bool {
    play(seed, plant, false) == play(seed, plant, false)
}

/// What came of many histories.
#[derive(Debug)]
pub struct Played {
    pub seeds: u64,
    pub steps: u64,
    /// In the order of their seeds.
    pub broken: Vec<(u64, Violation)>,
}

/// Plays all the histories on all cores, until too many are broken.
pub fn play_all(seeds: Range<u64>) -> Played {
    let next = AtomicU64::new(seeds.start);
    let steps = AtomicU64::new(0);
    let broken: Mutex<Vec<(u64, Violation)>> = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let play_next = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || broken.lock().expect("no thread panics").len() >= MOST_TOLD {
                return;
            }
            match play(seed, None, false) {
                Ok(ending) => _ = steps.fetch_add(ending.steps, Ordering::Relaxed),
                Err(violation) => broken.lock().expect("no thread panics").push((seed, violation)),
            }
        }
    };
    std::thread::scope(|scope| (0..threads).for_each(|_| _ = scope.spawn(play_next)));
    let mut broken = broken.into_inner().expect("no thread panics");
    broken.sort_by_key(|(seed, _)| *seed);
    let seeds = next.into_inner().min(seeds.end) - seeds.start;
    Played { seeds, steps: steps.into_inner(), broken }
}

/// After so many broken histories the run ends.
const MOST_TOLD: usize = 20;
