//! What Floe takes when there is nothing to do, with one file and with ten thousand, and at most when there is much
//! to do and the endpoint is slow.

use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::Bench;
use crate::daemon::{self, Daemon};
use crate::generate::{self, Workload};
use crate::measure::{Living, living, terminate};
use crate::report::{Chart, Panel, Report, Table};
use crate::sink::Sink;

const SLOW: Duration = Duration::from_millis(20);

pub fn memory(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let mut bars = Vec::new();
    let mut rows = Vec::new();
    for (files, rss, cpu) in [(1, "idle-rss", "idle-cpu"), (10_000, "many-rss", "many-cpu")] {
        let idle = idle(bench, files)?;
        let (resident, peak) = (megabytes(idle.now.resident), megabytes(idle.now.peak));
        report.goals.measured(rss, resident);
        report.goals.measured(cpu, idle.share * 100.0);
        bars.push((format!("idle, {files} file(s)"), resident));
        rows.push(vec![
            format!("idle for {} s, {files} file(s)", idle.over.as_secs()),
            format!("{resident:.1}"),
            format!("{peak:.1}"),
            format!("{:.3}", idle.share * 100.0),
        ]);
    }
    let mut most: f64 = 0.0;
    for (letter, log) in [('A', bench.log_a()?), ('B', bench.log_b()?)] {
        let peak = megabytes(daemon::over_slow(bench, &log, SLOW)?.peak);
        most = most.max(peak);
        bars.push((format!("log {letter}, answers after 20 ms"), peak));
        rows.push(vec![
            format!("log {letter}, endpoint that answers after 20 ms"),
            "–".to_owned(),
            format!("{peak:.1}"),
            "–".to_owned(),
        ]);
    }
    report.goals.measured("slow-peak", most);
    let binary = fs::metadata(&bench.options.program)?.len();
    report.goals.measured("binary", megabytes(binary));
    report.table(&Table {
        key: "memory",
        title: "Memory, and what idling costs".to_owned(),
        head: &["", "RSS MB", "peak RSS MB", "% of a core"],
        rows,
        notes: vec![format!("the program is {:.1} MB large", megabytes(binary))],
    });
    report.chart(Chart {
        file: "speed-memory",
        title: "Resident memory".to_owned(),
        axis: "MB",
        panels: vec![Panel { title: "MB".to_owned(), limit: Some(16.0), bars, curves: Vec::new() }],
    });
    Ok(())
}

struct Idle {
    now: Living,
    /// Of one core.
    share: f64,
    over: Duration,
}

/// Lets the daemon deliver a line or a thousand of each file, waits until it has settled down, and looks.
fn idle(bench: &Bench, files: u64) -> io::Result<Idle> {
    let lines = files.max(1_000);
    let folder = bench.folder.join("idle");
    let log = bench.log(Workload::All, lines)?;
    generate::split(&log, &folder, files)?;
    let glob = folder.join("*.log").display().to_string();
    let sink = Sink::start()?;
    let mut child = Daemon::new(bench, &glob, log.workload).prepared(Some(&sink), &["run"])?.spawn()?;
    sink.expect(log.billable, &mut child)?;
    eprint!("\r\x1b[Kidle with {files} file(s)");
    thread::sleep(Duration::from_secs(5));
    let (before, began) = (living(&child)?, Instant::now());
    thread::sleep(Duration::from_secs(if bench.options.quick { 10 } else { 30 }));
    let (now, over) = (living(&child)?, began.elapsed());
    eprint!("\r\x1b[K");
    terminate(&child)?;
    child.wait()?;
    fs::remove_dir_all(&folder)?;
    let share = now.cpu.saturating_sub(before.cpu).as_secs_f64() / over.as_secs_f64();
    Ok(Idle { now, share, over })
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
