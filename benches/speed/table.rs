//! Medians and ratios as a Markdown table.

use std::time::Duration;

use crate::generate::Log;
use crate::measure::Cost;

/// All runs of one program over one log.
#[derive(Debug)]
pub struct Row {
    pub name: &'static str,
    pub costs: Vec<Cost>,
}

/// The program that others are compared with by CPU time, and the one by wall time.
pub const CPU_REFERENCE: &str = "typed serde_json, posting";
pub const WALL_REFERENCE: &str = "`rg -c`";

/// Prints the table of one log.
pub fn print(log: &Log, rows: &[Row]) {
    println!(
        "\n## {}: {} lines, {:.0} MB, {} billable\n",
        log.workload.name(),
        log.lines,
        log.bytes as f64 / 1e6,
        log.billable
    );
    println!("| program | lines/s | wall s | CPU s | CPU s per GB | peak RSS MB | CPU ratio | wall ratio |");
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    for row in rows {
        let wall = median(row, |cost| cost.wall);
        let cpu = median(row, |cost| cost.cpu);
        let peak = row.costs.iter().map(|cost| cost.peak).max().unwrap_or_default();
        println!(
            "| {} | {:.0} | {wall:.2} | {cpu:.2} | {:.2} | {:.1} | {} | {} |",
            row.name,
            log.lines as f64 / wall,
            cpu / (log.bytes as f64 / 1e9),
            peak as f64 / 1e6,
            ratio(rows, CPU_REFERENCE, cpu, |cost| cost.cpu),
            ratio(rows, WALL_REFERENCE, wall, |cost| cost.wall),
        );
    }
}

fn median(row: &Row, of: fn(&Cost) -> Duration) -> f64 {
    let mut all: Vec<Duration> = row.costs.iter().map(of).collect();
    all.sort();
    all[all.len() / 2].as_secs_f64()
}

fn ratio(rows: &[Row], reference: &str, value: f64, of: fn(&Cost) -> Duration) -> String {
    let reference = rows.iter().find(|row| row.name == reference);
    reference.map_or_else(|| "–".to_owned(), |row| format!("{:.2}×", value / median(row, of)))
}
