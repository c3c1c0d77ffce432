//! What was measured on, and what is missing there: a number without its machine says nothing.

use std::fs;
use std::io;
use std::path::Path;

use crate::bench::Bench;
use crate::peers::{Peer, on_path};
use crate::report::Report;
use crate::sink;

pub fn describe(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let options = &bench.options;
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?");
    let cores = std::thread::available_parallelism()?;
    let (events, bytes) = sink::ceiling()?;
    let mut lines = vec![
        format!(
            "{}: {cores} cores of {}, load {load} before the run (idle is 0: anything else was busy with something else)",
            jiff::Timestamp::now().strftime("%-d %B %Y"),
            model.unwrap_or("an unknown kind")
        ),
        format!(
            "{}medians of {} rounds (RSS: the highest), page cache warm, seed {}; profile `{}`",
            if options.quick { "**quick and small logs**; " } else { "" },
            options.runs,
            options.seed,
            profile(&options.program)
        ),
        format!("ceiling of the sink here and then: {events:.0} events/s, {:.0} MB/s", bytes / 1e6),
    ];
    if on_path("rg").is_none() {
        lines.push("NOT MEASURED: `rg` is not installed (apt-get install ripgrep)".to_owned());
    }
    for peer in Peer::ALL.into_iter().filter(|peer| !peer.is_there()) {
        lines.push(format!("NOT MEASURED: {} was not found ({})", peer.name(), peer.cure()));
    }
    report.text("machine", format!("- {}\n", lines.join("\n- ")));
    Ok(())
}

/// By the folder that Cargo puts the program into.
fn profile(program: &str) -> String {
    let folder = Path::new(program).parent().and_then(Path::file_name);
    folder.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
