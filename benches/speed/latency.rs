//! From write(2) of an application to the request at the endpoint: a line at a time, each when the one before has
//! come, the way a quiet service writes. Both moments are of one clock, in one process.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::{self, Bench};
use crate::daemon::Daemon;
use crate::generate::{self, Workload};
use crate::measure::{Invocation, terminate};
use crate::peers::{Peer, Task};
use crate::report::{Chart, Panel, Report, Table};
use crate::sink::Sink;

pub fn latency(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let samples = if bench.options.quick { 300 } else { 2_000 };
    let mut measured = Vec::new();
    let at_once = floe(bench, &Sink::start()?, "0s", samples)?;
    let encrypted = floe(bench, &Sink::with_tls()?, "0s", samples)?;
    report.goals.measured("p50", bench::percentile(at_once.clone(), 0.5));
    report.goals.measured("p99", bench::percentile(at_once.clone(), 0.99));
    let tls_adds = bench::median(encrypted.clone()) - bench::median(at_once.clone());
    measured.push(("**floe**, batch_max_wait = \"0s\"".to_owned(), at_once));
    measured.push(("**floe**, the same, TLS".to_owned(), encrypted));
    for peer in Peer::ALL.into_iter().filter(|peer| peer.is_there()) {
        bench::progress(&format!("latency of {}", peer.name()));
        measured.push((peer.name().to_owned(), of_peer(bench, peer, samples.min(500))?));
    }
    bench::progress("");
    let waiting: Vec<f64> = floe(bench, &Sink::start()?, "1s", if bench.options.quick { 5 } else { 20 })?
        .into_iter()
        .map(|latency| latency - 1_000.0)
        .collect();
    let most = waiting.iter().copied().fold(f64::MIN, f64::max);
    report.goals.measured("excess", most);
    report.table(&Table {
        key: "latency",
        title: "From write(2) to the request at the endpoint".to_owned(),
        head: &["program", "samples", "p50 ms", "p99 ms", "most ms"],
        rows: measured.iter().map(|(name, latencies)| cells(name, latencies)).collect(),
        notes: vec![
            "rsyslog sends a line over TCP, with no HTTP around it and no answer to wait for".to_owned(),
            format!("TLS adds {tls_adds:.2} ms to the median"),
            format!(
                "with `batch_max_wait = \"1s\"`, beyond that second: median {:.2} ms, at most {most:.2} ms ({} samples)",
                bench::median(waiting.clone()),
                waiting.len()
            ),
        ],
    });
    report.chart(Chart {
        file: "speed-latency",
        title: "From write(2) to the request at the endpoint".to_owned(),
        axis: "ms",
        panels: vec![Panel {
            title: "share of lines that are there".to_owned(),
            limit: None,
            bars: Vec::new(),
            curves: measured
                .into_iter()
                .map(|(name, latencies)| (name.replace("**", ""), curve(latencies)))
                .collect(),
        }],
    });
    Ok(())
}

fn floe(bench: &Bench, sink: &Sink, wait: &str, samples: usize) -> io::Result<Vec<f64>> {
    let (path, file) = new_log(bench)?;
    let path = path.display().to_string();
    let daemon = Daemon { batch_max_wait: Some(wait), ..Daemon::new(bench, &path, Workload::All) };
    probe(&daemon.prepared(Some(sink), &["run"])?, sink, file, samples)
}

fn of_peer(bench: &Bench, peer: Peer, samples: usize) -> io::Result<Vec<f64>> {
    let (path, file) = new_log(bench)?;
    let sink = Sink::start()?;
    let task = Task { prefilter: false, batch: 1 };
    probe(&peer.prepared(bench, &path, &sink, task)?, &sink, file, samples)
}

/// Empty, because what stands in it would be read at the start.
fn new_log(bench: &Bench) -> io::Result<(PathBuf, File)> {
    let path = bench.folder.join("latency.log");
    if path.exists() {
        fs::remove_file(&path)?;
    }
    let file = File::create(&path)?;
    Ok((path, file))
}

/// In milliseconds. The first lines find a program that starts, and connections that are opened; they are not counted.
fn probe(program: &Invocation, sink: &Sink, mut file: File, samples: usize) -> io::Result<Vec<f64>> {
    const WARM: usize = 5;
    let mut child = program.spawn()?;
    let mut latencies = Vec::with_capacity(samples);
    for sample in 0..samples + WARM {
        let mut line = generate::billable_line(sample as u64)?;
        line.push(b'\n');
        // Not in step with any clock of the program's own.
        thread::sleep(Duration::from_micros(1_500 + (sample as u64 * 7_919) % 3_000));
        let written = Instant::now();
        file.write_all(&line)?;
        let there = sink.expect(sample as u64 + 1, &mut child)?;
        if sample >= WARM {
            latencies.push((there - written).as_secs_f64() * 1e3);
        }
    }
    terminate(&child)?;
    child.wait()?;
    Ok(latencies)
}

fn cells(name: &str, latencies: &[f64]) -> Vec<String> {
    let at = |part| format!("{:.2}", bench::percentile(latencies.to_vec(), part));
    vec![name.to_owned(), latencies.len().to_string(), at(0.5), at(0.99), at(1.0)]
}

/// The share of lines, in percent, over the milliseconds.
fn curve(latencies: Vec<f64>) -> Vec<(f64, f64)> {
    (0..=100)
        .map(|percent| (bench::percentile(latencies.clone(), f64::from(percent) / 100.0), f64::from(percent)))
        .collect()
}
