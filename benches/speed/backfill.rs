//! Backfill of compressed files, beside decompression alone: the same library in a loop.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::bench::{self, Bench, Program};
use crate::daemon::Daemon;
use crate::generate::{Log, Workload};
use crate::measure::Cost;
use crate::report::{Report, Table};
use crate::sink::Sink;

/// What a rate is measured with is so long that start and end do not count: log B so many times in one file.
const TIMES: u64 = 4;

pub fn backfill(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let mut rows = Vec::new();
    let half_of_a = bench.log(Workload::All, bench.options.lines / 2)?;
    let long = format!("log B {TIMES} times");
    for (name, log, times) in [("half of log A", half_of_a, 1), (long.as_str(), bench.log_b()?, TIMES)] {
        for extension in ["gz", "zst"] {
            let path = compressed(&log, extension, times)?;
            let measured = bench::rounds(bench.options.runs, &programs(bench, &log, times, &path)?)?;
            let alone = measured[0].wall();
            for row in &measured {
                rows.push(vec![
                    format!("{name}, .{extension}: {}", row.name),
                    format!("{:.2}", row.wall()),
                    format!("{:.2}", row.cpu()),
                    format!("{:.0}", (log.bytes * times) as f64 / 1e6 / row.wall()),
                    format!("{:.2}×", alone / row.wall()),
                ]);
            }
            // Where one line in a hundred is billed, decompression is what there is to do.
            if times == TIMES {
                report.goals.measured(extension, alone / measured[1].wall());
            }
        }
    }
    report.table(&Table {
        key: "backfill",
        title: "Backfill of compressed files".to_owned(),
        head: &["", "wall s", "CPU s", "MB/s of lines", "speed, to decompression alone"],
        rows,
        notes: Vec::new(),
    });
    Ok(())
}

fn programs<'a>(bench: &'a Bench, log: &'a Log, times: u64, path: &Path) -> io::Result<Vec<Program<'a>>> {
    let me = std::env::current_exe()?.display().to_string();
    let path = path.display().to_string();
    let alone = bench.program(&me, &["decompress", &path]);
    Ok(vec![
        ("decompression alone".to_owned(), Box::new(move || alone.run())),
        ("**floe backfill**".to_owned(), Box::new(move || backfilled(bench, log, times, &path))),
    ])
}

fn backfilled(bench: &Bench, log: &Log, times: u64, path: &str) -> io::Result<Cost> {
    let sink = Sink::start()?;
    let plain = log.path.display().to_string();
    let daemon = Daemon::new(bench, &plain, log.workload);
    let cost = daemon.prepared(Some(&sink), &["backfill", "--source", "app", path])?.run()?;
    assert_eq!(sink.events(), log.billable * times, "floe backfill sent another number of events");
    Ok(cost)
}

/// The compressed file beside the log, made once. With the log in it several times: so many members, or frames.
fn compressed(log: &Log, extension: &str, times: u64) -> io::Result<PathBuf> {
    let path = match times {
        1 => log.path.with_extension(format!("log.{extension}")),
        times => log.path.with_extension(format!("{times}.log.{extension}")),
    };
    if path.exists() {
        return Ok(path);
    }
    let unfinished = path.with_extension("unfinished");
    if times > 1 {
        let once = fs::read(compressed(log, extension, 1)?)?;
        let mut output = File::create(&unfinished)?;
        for _ in 0..times {
            output.write_all(&once)?;
        }
        fs::rename(&unfinished, &path)?;
        return Ok(path);
    }
    let mut input = BufReader::with_capacity(1 << 20, File::open(&log.path)?);
    let output = BufWriter::with_capacity(1 << 20, File::create(&unfinished)?);
    let mut output = if extension == "gz" {
        let mut encoder = GzEncoder::new(output, flate2::Compression::default());
        io::copy(&mut input, &mut encoder)?;
        encoder.finish()?
    } else {
        let mut encoder = zstd::stream::write::Encoder::new(output, zstd::DEFAULT_COMPRESSION_LEVEL)?;
        io::copy(&mut input, &mut encoder)?;
        encoder.finish()?
    };
    output.flush()?;
    fs::rename(&unfinished, &path)?;
    Ok(path)
}

/// `decompress FILE`: decompression alone, in a process of its own.
pub fn decompress(mut arguments: impl Iterator<Item = String>) -> io::Result<()> {
    let path = PathBuf::from(arguments.next().ok_or_else(|| io::Error::other("decompress FILE"))?);
    let file = BufReader::with_capacity(256 * 1024, File::open(&path)?);
    let mut decoder: Box<dyn Read> = if path.extension().is_some_and(|extension| extension == "gz") {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(zstd::stream::read::Decoder::with_buffer(file)?)
    };
    let mut buffer = vec![0; 256 * 1024];
    let mut bytes = 0;
    loop {
        let read = decoder.read(&mut buffer)?;
        if read == 0 {
            println!("{bytes}");
            return Ok(());
        }
        bytes += read;
    }
}
