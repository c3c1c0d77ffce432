//! From the start of the process to its first event at the endpoint: a log with a backlog, a new state folder.

use std::io;
use std::time::Instant;

use crate::bench::{self, Bench};
use crate::daemon::Daemon;
use crate::generate::Workload;
use crate::measure::terminate;
use crate::report::{Report, Table};
use crate::sink::Sink;

pub fn start(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let log = bench.log(Workload::All, 20_000)?;
    let path = log.path.display().to_string();
    let mut starts = Vec::new();
    for _ in 0..if bench.options.quick { 5 } else { 20 } {
        let sink = Sink::start()?;
        let program = Daemon::new(bench, &path, log.workload).prepared(Some(&sink), &["run"])?;
        let began = Instant::now();
        let mut child = program.spawn()?;
        sink.expect(log.billable, &mut child)?;
        let first = sink.first().expect("all have come, so the first has");
        starts.push((first - began).as_secs_f64() * 1e3);
        terminate(&child)?;
        child.wait()?;
    }
    let median = bench::median(starts.clone());
    report.goals.measured("start", median);
    report.table(&Table {
        key: "start",
        title: "Start to first event at the endpoint".to_owned(),
        head: &["", "starts", "median ms", "most ms"],
        rows: vec![vec![
            "**floe**, 20,000 lines waiting".to_owned(),
            starts.len().to_string(),
            format!("{median:.1}"),
            format!("{:.1}", bench::percentile(starts, 1.0)),
        ]],
        notes: Vec::new(),
    });
    Ok(())
}
