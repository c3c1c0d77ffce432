//! Logs A and B: Floe beside the loops that bound it and the programs that do the same; then the other shapes.

use std::io;

use crate::baseline::{self, Baseline};
use crate::bench::{self, Bench, Program, Row};
use crate::daemon;
use crate::generate::{Log, Workload};
use crate::measure::Cost;
use crate::peers::{Peer, Task, on_path};
use crate::report::{Chart, Panel, Report, Table};
use crate::sink::Sink;

const RG: &str = "`rg -c`";
const TYPED: &str = "typed serde_json, posting";
const PREFILTER: &str = "memmem, typed serde_json, posting";
const FLOE: &str = "**floe**";
const HEAD: &[&str] = &[
    "program",
    "lines/s",
    "wall s",
    "CPU s",
    "CPU s per GB",
    "peak RSS MB",
    "CPU to the typed loop",
    "wall to `rg -c`",
];

/// A and B.
pub fn compare(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let mut panels = Vec::new();
    for log in [bench.log_a()?, bench.log_b()?] {
        let rows = bench::rounds(bench.options.runs, &programs(bench, &log))?;
        let (key, letter) = if log.workload == Workload::All { ("a", 'A') } else { ("b", 'B') };
        let measured = || rows.iter().filter(|row| row.not_measured.is_none());
        report.table(&Table {
            key,
            title: format!("Log {letter}: {}", described(&log)),
            head: HEAD,
            rows: measured().map(|row| cells(&log, row, &rows)).collect(),
            notes: rows.iter().filter_map(not_measured).collect(),
        });
        reach_goals(&log, &rows, report);
        panels.push(Panel {
            title: format!("log {letter}: CPU s per GB"),
            limit: None,
            bars: measured().map(|row| (row.name.replace(['*', '`'], ""), per_gigabyte(&log, row))).collect(),
            curves: Vec::new(),
        });
    }
    report.chart(Chart {
        file: "speed-cpu",
        title: "CPU seconds per GB of log".to_owned(),
        axis: "",
        panels,
    });
    Ok(())
}

fn not_measured(row: &Row) -> Option<String> {
    Some(format!("NOT MEASURED: {}: {}", row.name, row.not_measured.as_ref()?))
}

fn reach_goals(log: &Log, rows: &[Row], report: &mut Report) {
    let Some(floe) = bench::row(rows, FLOE) else { return };
    let cpu_to = |name: &str| bench::row(rows, name).map(|row| floe.cpu() / row.cpu());
    if log.workload == Workload::All {
        report.goals.measured("a-peak", floe.peak());
        cpu_to(TYPED).into_iter().for_each(|ratio| report.goals.measured("a-cpu", ratio));
        return;
    }
    report.goals.measured("b-peak", floe.peak());
    cpu_to(PREFILTER).into_iter().for_each(|ratio| report.goals.measured("b-cpu", ratio));
    if let Some(rg) = bench::row(rows, RG) {
        report.goals.measured("b-wall", floe.wall() / rg.wall());
    }
}

/// The other shapes, each beside the two that only look. Their events fill their batches, or the last one would be
/// waited for.
pub fn shapes(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let mut rows = Vec::new();
    for (workload, lines) in [
        (Workload::Application, 4 * bench.options.lines),
        (Workload::Nginx, 2 * bench.options.lines),
        (Workload::Llm, bench.options.lines / 5),
    ] {
        let log = bench.log(workload, lines)?;
        let mut programs = onlookers(bench, &log);
        programs.push((FLOE.to_owned(), Box::new(|| daemon::over(bench, &log))));
        let measured = bench::rounds(bench.options.runs, &programs)?;
        rows.extend(measured.iter().map(|row| {
            let mut cells = cells(&log, row, &measured);
            cells[0] = format!("{}, {}: {}", workload.name(), described(&log), row.name);
            cells.remove(6);
            cells
        }));
    }
    report.table(&Table {
        key: "shapes",
        title: "Other logs".to_owned(),
        head: &[
            "log, program",
            "lines/s",
            "wall s",
            "CPU s",
            "CPU s per GB",
            "peak RSS MB",
            "wall to `rg -c`",
        ],
        rows,
        notes: Vec::new(),
    });
    Ok(())
}

fn programs<'a>(bench: &'a Bench, log: &'a Log) -> Vec<Program<'a>> {
    let mut programs = onlookers(bench, log);
    for (name, baseline) in [
        ("typed serde_json", Baseline::Parse),
        (TYPED, Baseline::ParseAndPost),
        (PREFILTER, Baseline::PrefilterAndPost),
    ] {
        programs.push((name.to_owned(), Box::new(move || reference_loop(bench, log, baseline))));
    }
    programs.push((FLOE.to_owned(), Box::new(|| daemon::over(bench, log))));
    for peer in Peer::ALL.into_iter().filter(|peer| peer.is_there()) {
        for prefilter in [false, true] {
            // Where every line is wanted, nothing is gained by looking first.
            if prefilter && log.workload == Workload::All {
                continue;
            }
            let name = format!("{}{}", peer.name(), if prefilter { ", hand-made prefilter" } else { "" });
            let task = Task { prefilter, batch: 1_000 };
            programs.push((name, Box::new(move || peer.run(bench, &log.path, log.billable, task))));
        }
    }
    programs
}

/// Programs that count lines, and know nothing of what is in them.
fn onlookers<'a>(bench: &'a Bench, log: &Log) -> Vec<Program<'a>> {
    let path = log.path.display().to_string();
    let literal = log.workload.literal();
    let mut programs: Vec<Program<'a>> = Vec::new();
    let wc = bench.program("wc", &["-l", &path]);
    programs.push(("`wc -l`".to_owned(), Box::new(move || wc.run())));
    if on_path("rg").is_some() {
        let rg = bench.program("rg", &["--no-config", "-c", "-F", literal, &path]);
        programs.push((RG.to_owned(), Box::new(move || rg.run())));
    }
    programs
}

fn reference_loop(bench: &Bench, log: &Log, baseline: Baseline) -> io::Result<Cost> {
    let sink = Sink::start()?;
    let me = std::env::current_exe()?.display().to_string();
    let path = log.path.display().to_string();
    let address = sink.address.to_string();
    let cost = bench.program(&me, &["loop", baseline.name(), &path, &address]).run()?;
    let expected = if baseline == Baseline::Parse { 0 } else { log.billable };
    assert_eq!(sink.events(), expected, "{baseline:?} posted another number of events");
    Ok(cost)
}

/// `loop BASELINE FILE ADDRESS`: a reference loop in a process of its own.
pub fn run_loop(mut arguments: impl Iterator<Item = String>) -> io::Result<()> {
    let mut next = || arguments.next().ok_or_else(|| io::Error::other("loop BASELINE FILE ADDRESS"));
    let name = next()?;
    let baseline =
        Baseline::named(&name).ok_or_else(|| io::Error::other(format!("there is no loop {name}")))?;
    let (path, address) = (next()?, next()?);
    let billable = baseline::run(baseline, path.as_ref(), Some(address.parse().map_err(io::Error::other)?))?;
    println!("{billable}");
    Ok(())
}

fn described(log: &Log) -> String {
    format!("{} lines, {:.0} MB, {} billable", log.lines, log.bytes as f64 / 1e6, log.billable)
}

fn per_gigabyte(log: &Log, row: &Row) -> f64 {
    row.cpu() / (log.bytes as f64 / 1e9)
}

fn cells(log: &Log, row: &Row, rows: &[Row]) -> Vec<String> {
    let to = |name: &str, of: fn(&Row) -> f64| {
        bench::row(rows, name).map_or_else(|| "–".to_owned(), |other| format!("{:.2}×", of(row) / of(other)))
    };
    vec![
        row.name.clone(),
        format!("{:.0}", log.lines as f64 / row.wall()),
        format!("{:.2}", row.wall()),
        format!("{:.2}", row.cpu()),
        format!("{:.2}", per_gigabyte(log, row)),
        format!("{:.1}", row.peak()),
        to(TYPED, Row::cpu),
        to(RG, Row::wall),
    ]
}
