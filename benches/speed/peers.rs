//! Other programs that do the same mapping, where they are installed: their configs stand in `benches/peers/`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::bench::Bench;
use crate::measure::{Cost, Invocation, Measured};
use crate::sink::Sink;

/// A peer that takes longer for a log hangs, or is so slow that nobody waits for it.
const LIMIT: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    SyslogNg,
    Rsyslog,
    FluentBit,
    Vector,
}

/// What a peer is to do.
#[derive(Debug, Clone, Copy)]
pub struct Task {
    /// Looks for the literal before it parses: its operator wrote that filter by hand.
    pub prefilter: bool,
    /// Events in one request at most.
    pub batch: u32,
}

impl Peer {
    pub const ALL: [Self; 4] = [Self::SyslogNg, Self::Rsyslog, Self::FluentBit, Self::Vector];

    pub const fn name(self) -> &'static str {
        match self {
            Self::SyslogNg => "syslog-ng",
            Self::Rsyslog => "rsyslog",
            Self::FluentBit => "Fluent Bit",
            Self::Vector => "Vector",
        }
    }

    /// Where it is got.
    pub const fn cure(self) -> &'static str {
        match self {
            Self::SyslogNg | Self::Rsyslog => "benches/peers/fetch.sh, or apt-get install",
            Self::FluentBit | Self::Vector => "put it on the PATH",
        }
    }

    const fn program(self) -> &'static str {
        match self {
            Self::SyslogNg => "syslog-ng",
            Self::Rsyslog => "rsyslogd",
            Self::FluentBit => "fluent-bit",
            Self::Vector => "vector",
        }
    }

    pub fn is_there(self) -> bool {
        on_path(self.program()).is_some() || unpacked().join("usr/sbin").join(self.program()).exists()
    }

    pub fn prepared(self, bench: &Bench, log: &Path, sink: &Sink, task: Task) -> io::Result<Invocation> {
        let state = bench.folder.join("peer");
        if state.exists() {
            fs::remove_dir_all(&state)?;
        }
        fs::create_dir_all(&state)?;
        let config = state.join(if self == Self::Vector { "vector.toml" } else { "peer.conf" });
        let text = self
            .config()
            .replace("LOG", &log.display().to_string())
            .replace("STATE", &state.display().to_string())
            .replace("SINK", &sink.url)
            .replace("HOST", &sink.address.ip().to_string())
            .replace("PORT", &sink.address.port().to_string())
            .replace("BATCH", &task.batch.to_string())
            .replace("UPSTREAM", if task.prefilter { "prefilter" } else { "app" })
            .replace("FOLDER", concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers"))
            .replace("    PREFILTER", &format!("    {}", self.prefilter(task.prefilter)))
            .replace("\nPREFILTER", &format!("\n{}", self.prefilter(task.prefilter)));
        fs::write(&config, text)?;
        let mut invocation = bench.program(self.program(), &[]);
        invocation.stops_on_request = true;
        invocation.arguments = self.arguments(&config, &state);
        if let Some(found) = on_path(self.program()) {
            invocation.program = found.display().to_string();
        } else {
            self.use_unpacked(&mut invocation);
        }
        Ok(invocation)
    }

    /// From its start to the last of `events`.
    pub fn run(self, bench: &Bench, log: &Path, events: u64, task: Task) -> io::Result<Cost> {
        let sink = Sink::start()?;
        let mut running = Measured::start(&self.prepared(bench, log, &sink, task)?)?;
        let done = match sink.expect_within(LIMIT, events, &mut running.between) {
            Ok(done) => done,
            Err(error) => {
                running.give_up();
                return Err(error);
            }
        };
        let cost = running.stop(done)?;
        assert_eq!(sink.events(), events, "{self:?} sent another number of events");
        Ok(cost)
    }

    const fn config(self) -> &'static str {
        match self {
            Self::SyslogNg => include_str!("../peers/syslog-ng.conf"),
            Self::Rsyslog => include_str!("../peers/rsyslog.conf"),
            Self::FluentBit => include_str!("../peers/fluent-bit.conf"),
            Self::Vector => include_str!("../peers/vector.toml"),
        }
    }

    const fn prefilter(self, wanted: bool) -> &'static str {
        match self {
            _ if !wanted => "",
            Self::SyslogNg => {
                "filter { message(\"\\\"llm.completion\\\"\" type(string) flags(substring)); };"
            }
            Self::Rsyslog => "if not ($msg contains \"\\\"llm.completion\\\"\") then stop",
            Self::FluentBit => {
                "[FILTER]\n    name   grep\n    match  app\n    regex  log \"llm\\.completion\"\n"
            }
            Self::Vector => "",
        }
    }

    fn arguments(self, config: &Path, state: &Path) -> Vec<String> {
        let config = config.display().to_string();
        let inside = |name: &str| state.join(name).display().to_string();
        match self {
            Self::SyslogNg => vec![
                "--foreground".to_owned(),
                "--no-caps".to_owned(),
                format!("--cfgfile={config}"),
                format!("--persist-file={}", inside("persist")),
                format!("--control={}", inside("control")),
                format!("--pidfile={}", inside("pid")),
            ],
            Self::Rsyslog => ["-n", "-f", &config, "-i", &inside("pid")].map(str::to_owned).to_vec(),
            Self::FluentBit => ["-c", &config].map(str::to_owned).to_vec(),
            Self::Vector => ["--quiet", "--config", &config].map(str::to_owned).to_vec(),
        }
    }

    /// The programs of an unpacked package look for their parts where they are not.
    fn use_unpacked(self, invocation: &mut Invocation) {
        let root = unpacked();
        let inside = |path: &str| root.join(path).display().to_string();
        invocation.program = root.join("usr/sbin").join(self.program()).display().to_string();
        let libraries =
            ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib/syslog-ng"].map(inside).join(":");
        invocation.variables.push(("LD_LIBRARY_PATH".to_owned(), libraries));
        match self {
            Self::SyslogNg => {
                invocation.arguments.push(format!("--module-path={}", inside("usr/lib/syslog-ng/3.38")));
            }
            Self::Rsyslog => {
                invocation.arguments.extend(["-M".to_owned(), inside("usr/lib/x86_64-linux-gnu/rsyslog")]);
            }
            Self::FluentBit | Self::Vector => {}
        }
    }
}

/// Where `benches/peers/fetch.sh` unpacks Debian's packages.
fn unpacked() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers")
}

pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let beside_the_usual = ["/usr/sbin", "/opt/fluent-bit/bin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(beside_the_usual)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}
