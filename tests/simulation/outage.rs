//! A day in which Polar answers nothing, at its length: writers go on, logs rotate and are compressed, the daemon dies
//! now and then. Rotation keeps enough generations, so that the logs are the buffer.

use std::sync::Arc;
use std::time::Duration;

use floe::config::Settings;

use crate::invariants::Violation;
use crate::lines::Kind;
use crate::oracle::Standing;
use crate::polar::Mood;
use crate::simulation::{SECOND, Simulation};
use crate::storm::Move;

const HOUR: u64 = 3600 * SECOND;

/// Histories that are played.
const DAYS: u64 = 6;

/// What happens on such a day.
const MOVES: &[(Move, u64)] = &[
    (Move::Write, 60),
    (Move::WriteMany, 12),
    (Move::WritePart, 8),
    (Move::NewLog, 2),
    (Move::Rotate, 8),
    (Move::Compress, 4),
    (Move::CompressSlowly, 2),
    (Move::Crash, 1),
    (Move::Drain, 1),
    (Move::Reload, 1),
];

const MEMORY: u64 = 512 * 1024;

/// What is to be seen of such a history besides that every promise was kept.
#[derive(Debug)]
struct Day {
    /// Bytes of lines that waited for Polar when it came back.
    waiting: u64,
    /// Lines that the world took away before they could be read.
    excused: usize,
}

fn play(seed: u64) -> Result<Day, Violation> {
    let mut day = Simulation::new(seed, None, false);
    day.scene.moves = MOVES.to_vec();
    day.scene
        .kinds
        .retain(|(kind, _)| !matches!(kind, Kind::PoisonNamed | Kind::PoisonUnnamed | Kind::PoisonFailing));
    day.scene.pause_ms = (240_000, 240_000);
    day.scene.disk_ms = (1, 20);
    day.scene.astray = 0;
    day.scene.backfills = 0;
    day.storm.generations = 1_000;
    day.storm.moves_left = u64::MAX;
    let mut settings = Settings::clone(&day.settings);
    settings.limits.memory = MEMORY;
    settings.limits.sweep_interval = Duration::from_secs(10);
    day.settings = Arc::new(settings);
    day.break_loose();
    day.step_until(HOUR)?;
    day.polar.mood = Mood::Answering(503);
    day.scene.astray = 100;
    day.step_until(25 * HOUR)?;
    let waiting = day.oracle.owed().map(|line| day.oracle.line(line).bytes.len() as u64).sum();
    day.come_home()?;
    let excused = day.oracle.lines().filter(|(_, line)| line.standing == Standing::Excused).count();
    Ok(Day { waiting, excused })
}

#[test]
fn s24_a_day_without_polar_costs_no_line_and_keeps_the_budget_and_the_memory() {
    for seed in 0..DAYS {
        let day = play(seed).unwrap_or_else(|violation| panic!("day {seed}: {violation}"));
        assert!(day.waiting > MEMORY, "day {seed} would fit into memory: {day:?}");
        assert_eq!(day.excused, 0, "rotation kept too little on day {seed}: {day:?}");
    }
}
