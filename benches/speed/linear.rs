//! Whether cost grows as the log does: CPU per GB of small and large logs, of one file and of a thousand. What the
//! process costs with hardly a line to read is start and end, and does not grow; it is measured and shown, and taken off.

use std::fs;
use std::io;

use crate::bench::{self, Bench, Program, Row};
use crate::daemon::Daemon;
use crate::generate::{self, Log, Workload};
use crate::report::{Chart, Panel, Report, Table};
use crate::sink::Sink;

/// So few that reading them costs nothing.
const FEW_LINES: u64 = 1_000;

pub fn linear(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let runs = if bench.options.quick { 1 } else { 3 };
    let (mut rows, mut panels) = (Vec::new(), Vec::new());
    for (workload, letter, goal) in
        [(Workload::All, 'A', "linear-a"), (Workload::OnePercent, 'B', "linear-b")]
    {
        let mut bars = Vec::new();
        let few = bench.log(workload, FEW_LINES)?;
        let ends = measured(bench, runs, &few, &few.path.display().to_string())?;
        rows.push(vec![
            format!("log {letter}, {FEW_LINES} lines: start and end"),
            format!("{:.2}", ends.wall()),
            format!("{:.3}", ends.cpu()),
            "–".to_owned(),
            "–".to_owned(),
        ]);
        for lines in sizes(bench, workload) {
            let log = bench.log(workload, lines)?;
            let megabytes = log.bytes / 1_000_000;
            let measured = measured(bench, runs, &log, &log.path.display().to_string())?;
            let growing = per_gigabyte(&log, measured.cpu() - ends.cpu());
            bars.push((format!("{megabytes} MB"), growing));
            rows.push(cells(
                &format!("log {letter}, {megabytes} MB, 1 file"),
                &log,
                &measured,
                Some(growing),
            ));
            if megabytes > 200 {
                fs::remove_file(&log.path)?;
            }
        }
        let of = |ends: fn(f64, f64) -> f64| bars.iter().map(|bar| bar.1).reduce(ends).unwrap_or(f64::NAN);
        report.goals.measured(goal, of(f64::max) / of(f64::min));
        panels.push(Panel { title: format!("log {letter}"), limit: None, bars, curves: Vec::new() });
    }
    let (one, thousand) = many_files(bench, runs, &mut rows)?;
    report.goals.measured("files", thousand / one);
    panels.push(Panel {
        title: "log A, files".to_owned(),
        limit: None,
        bars: vec![("1".to_owned(), one), ("1,000".to_owned(), thousand)],
        curves: Vec::new(),
    });
    report.table(&Table {
        key: "linear",
        title: "Whether cost grows as the log does".to_owned(),
        head: &["log", "wall s", "CPU s", "CPU s per GB", "the same without start and end"],
        rows,
        notes: Vec::new(),
    });
    report.chart(Chart {
        file: "speed-linear",
        title: "CPU seconds per GB of log without start and end, as the log grows".to_owned(),
        axis: "",
        panels,
    });
    Ok(())
}

/// In lines, so that the batches are full: about 100 MB and 1 GB, or what is quick.
fn sizes(bench: &Bench, workload: Workload) -> Vec<u64> {
    let small = match workload {
        Workload::All => 225_000,
        _ => 200_000,
    };
    let mut sizes = if bench.options.quick { vec![small / 2, 2 * small] } else { vec![small, 10 * small] };
    // Twice ten gigabytes are more than most disks have to spare.
    if bench.options.huge && workload == Workload::OnePercent {
        sizes.push(120 * small);
    }
    sizes
}

/// CPU seconds per GB of one file and of a thousand with the same lines.
fn many_files(bench: &Bench, runs: u32, rows: &mut Vec<Vec<String>>) -> io::Result<(f64, f64)> {
    let log = bench.log_a()?;
    let folder = bench.folder.join("thousand");
    generate::split(&log, &folder, 1_000)?;
    let mut costs = Vec::new();
    for (name, glob) in [("1 file", log.path.clone()), ("1,000 files", folder.join("*.log"))] {
        let measured = measured(bench, runs, &log, &glob.display().to_string())?;
        costs.push(per_gigabyte(&log, measured.cpu()));
        rows.push(cells(&format!("log A, {:.0} MB, {name}", log.bytes as f64 / 1e6), &log, &measured, None));
    }
    fs::remove_dir_all(&folder)?;
    Ok((costs[0], costs[1]))
}

fn measured(bench: &Bench, runs: u32, log: &Log, glob: &str) -> io::Result<Row> {
    let daemon = Daemon::new(bench, glob, log.workload);
    let run = || daemon.run(&Sink::start()?, log.billable);
    let programs: [Program<'_>; 1] = [(glob.to_owned(), Box::new(run))];
    Ok(bench::rounds(runs, &programs)?.remove(0))
}

fn per_gigabyte(log: &Log, seconds: f64) -> f64 {
    seconds / (log.bytes as f64 / 1e9)
}

/// `growing`: seconds per GB without start and end.
fn cells(name: &str, log: &Log, row: &Row, growing: Option<f64>) -> Vec<String> {
    vec![
        name.to_owned(),
        format!("{:.2}", row.wall()),
        format!("{:.2}", row.cpu()),
        format!("{:.2}", per_gigabyte(log, row.cpu())),
        growing.map_or_else(|| "–".to_owned(), |growing| format!("{growing:.2}")),
    ]
}
