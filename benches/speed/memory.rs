//! What Floe takes when there is nothing to do, with one file and with ten thousand, and at most when there is much
//! to do and the endpoint is slow.

use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::{self, Bench};
use crate::daemon::{self, Daemon};
use crate::generate::{self, Workload};
use crate::measure::{Living, living, terminate};
use crate::report::{Chart, Panel, Report, Table};
use crate::sink::Sink;

const SLOW: Duration = Duration::from_millis(20);

pub fn memory(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let (mut rows, mut bars) = (Vec::new(), Vec::new());
    let mut panels = Vec::new();
    for (files, name, goal, rss, cpu) in
        [(1, "1 file", 10.0, "idle-rss", "idle-cpu"), (10_000, "10,000 files", 30.0, "many-rss", "many-cpu")]
    {
        let idle = idle(bench, files)?;
        let (resident, peak) = (megabytes(idle.now.resident), megabytes(idle.now.peak));
        report.goals.measured(rss, resident);
        report.goals.measured(cpu, idle.share * 100.0);
        panels.push(panel(&format!("idle, {name}"), goal, vec![("floe".to_owned(), resident)]));
        rows.push(vec![
            format!("idle for {} s, {name}", idle.over.as_secs()),
            format!("{resident:.1}"),
            format!("{peak:.1}"),
            format!("{:.3}", idle.share * 100.0),
        ]);
    }
    let mut most: f64 = 0.0;
    for (letter, log) in [('A', bench.log_a()?), ('B', bench.log_b()?)] {
        let peak = megabytes(daemon::over_slow(bench, &log, SLOW)?.peak);
        most = most.max(peak);
        bars.push((format!("floe, log {letter}"), peak));
        rows.push(vec![
            format!("log {letter}, endpoint that answers after 20 ms"),
            "–".to_owned(),
            format!("{peak:.1}"),
            "–".to_owned(),
        ]);
    }
    report.goals.measured("slow-peak", most);
    panels.push(panel("at most, endpoint that answers after 20 ms", 16.0, bars));
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
        title: "Resident memory, MB, and the goals (red)".to_owned(),
        axis: "MB",
        panels,
    });
    Ok(())
}

fn panel(title: &str, goal: f64, bars: Vec<(String, f64)>) -> Panel {
    Panel { title: title.to_owned(), limit: Some(goal), bars, curves: Vec::new() }
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
    bench::progress(&format!("idle with {files} files"));
    thread::sleep(Duration::from_secs(5));
    let (before, began) = (living(&child)?, Instant::now());
    thread::sleep(Duration::from_secs(if bench.options.quick { 10 } else { 30 }));
    let (now, over) = (living(&child)?, began.elapsed());
    bench::progress("");
    terminate(&child)?;
    child.wait()?;
    fs::remove_dir_all(&folder)?;
    let share = now.cpu.saturating_sub(before.cpu).as_secs_f64() / over.as_secs_f64();
    Ok(Idle { now, share, over })
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
