//! Floe as a user runs it: a config, a new state folder, the daemon from its start to the last event; then its
//! account must add up.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::bench::Bench;
use crate::generate::{Log, Workload};
use crate::measure::{Cost, Invocation, Measured};
use crate::sink::Sink;

/// What differs between the measurements; all else is `floe.toml`, and beyond that the defaults.
#[derive(Debug, Clone, Copy)]
pub struct Daemon<'a> {
    pub bench: &'a Bench,
    /// Of files, as `include` has them.
    pub glob: &'a str,
    pub workload: Workload,
    pub batch_max_wait: Option<&'a str>,
    pub mapping_threads: Option<u32>,
    pub shadow: bool,
    /// More rules, before the one of the config.
    pub rules_before: &'a str,
    /// Of that one, instead of a status below 500.
    pub condition: Option<&'a str>,
    /// Emptied before each run.
    pub state: &'a Path,
}

impl<'a> Daemon<'a> {
    pub fn new(bench: &'a Bench, glob: &'a str, workload: Workload) -> Self {
        Self {
            bench,
            glob,
            workload,
            batch_max_wait: None,
            mapping_threads: None,
            shadow: false,
            rules_before: "",
            condition: None,
            state: &bench.state,
        }
    }

    /// Writes the config, empties the state folder, and says what is to be run.
    pub fn prepared(&self, sink: Option<&Sink>, command: &[&str]) -> io::Result<Invocation> {
        if self.state.exists() {
            fs::remove_dir_all(self.state)?;
        }
        let config = self.bench.folder.join("floe.toml");
        fs::write(&config, self.config(sink)?)?;
        let mut invocation = self.bench.program(&self.bench.options.program, &[]);
        invocation.arguments = ["--config", &config.display().to_string()].map(str::to_owned).to_vec();
        invocation.arguments.extend(command.iter().map(ToString::to_string));
        invocation.stops_on_request = command.first() == Some(&"run");
        invocation.variables = vec![
            ("POLAR_ACCESS_TOKEN".to_owned(), "polar_oat_benchmark".to_owned()),
            ("RUST_BACKTRACE".to_owned(), "1".to_owned()),
        ];
        Ok(invocation)
    }

    /// From its start to the last of `events`.
    pub fn run(&self, sink: &Sink, events: u64) -> io::Result<Cost> {
        let mut running = Measured::start(&self.prepared(Some(sink), &["run"])?)?;
        let done = sink.expect(events, &mut running.between)?;
        let cost = running.stop(done)?;
        assert_eq!(sink.events(), events, "floe sent another number of events");
        self.account()?;
        Ok(cost)
    }

    /// What `floe account` says of each source; a fault where it does not add up.
    pub fn account(&self) -> io::Result<serde_json::Value> {
        let config = self.bench.folder.join("floe.toml").display().to_string();
        let output = Command::new(&self.bench.options.program)
            .args(["account", "--json", "--config", &config])
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "the account does not add up:\n{said}");
        let mut account: serde_json::Value = serde_json::from_str(&said)?;
        Ok(account["sources"].take())
    }

    fn config(&self, sink: Option<&Sink>) -> io::Result<String> {
        let mut polar = format!("server = \"{}\"\n", sink.map_or("http://127.0.0.1:9", |sink| &sink.url));
        if self.shadow {
            polar += "mode = \"shadow\"\n";
        }
        if let Some(authority) = sink.and_then(|sink| sink.authority.as_ref()) {
            let file = self.bench.folder.join("authority.pem");
            fs::write(&file, authority)?;
            polar.extend(["ca_file = \"", &file.display().to_string(), "\"\n"]);
        }
        let wait =
            self.batch_max_wait.map_or_else(String::new, |wait| format!("batch_max_wait = \"{wait}\"\n"));
        let threads = self
            .mapping_threads
            .map_or_else(String::new, |threads| format!("[limits]\nmapping_threads = {threads}\n\n"));
        Ok(self
            .template()
            .replace("server = \"SINK\"\n", &polar)
            .replace("batch_max_events = 1000\n", &format!("batch_max_events = 1000\n{wait}"))
            .replace("[[sources]]\n", &format!("{threads}[[sources]]\n"))
            .replacen("[[rules]]\n", &format!("{}[[rules]]\n", self.rules_before), 1)
            .replace("status = { lt = 500 }", self.condition.unwrap_or("status = { lt = 500 }"))
            .replace("STATE", &self.state.display().to_string())
            .replace("LOG", self.glob))
    }

    const fn template(&self) -> &'static str {
        match self.workload {
            Workload::All | Workload::OnePercent => include_str!("../floe.toml"),
            Workload::Application => include_str!("../shapes/application.toml"),
            Workload::Nginx => include_str!("../shapes/nginx.toml"),
            Workload::Llm => include_str!("../shapes/llm.toml"),
        }
    }
}

/// The daemon over one log, with nothing else said.
pub fn over(bench: &Bench, log: &Log) -> io::Result<Cost> {
    let path = log.path.display().to_string();
    let sink = Sink::start()?;
    Daemon::new(bench, &path, log.workload).run(&sink, log.billable)
}

/// The same before an endpoint that answers after a while.
pub fn over_slow(bench: &Bench, log: &Log, after: Duration) -> io::Result<Cost> {
    let path = log.path.display().to_string();
    let sink = Sink::slow(after)?;
    Daemon::new(bench, &path, log.workload).run(&sink, log.billable)
}
