//! Which layer may import which, and what the pure layers may not name.

use crate::paths::{Named, named};

/// In the order of imports: each may import those before it.
pub const LAYERS: [&str; 9] =
    ["model", "polar", "config", "mapping", "proposal", "agent", "shell", "sandbox", "cli"];

/// Layers with fewer imports than their place would allow. The sandbox stands in for Polar: it must not
/// know how Floe works, or it would agree with its mistakes.
const NARROWER: [(&str, &[&str]); 1] = [("sandbox", &["model", "polar"])];

/// Layers that decide. They get time, randomness and the contents of files as arguments.
const PURE: [&str; 5] = ["model", "polar", "mapping", "proposal", "agent"];

/// In `config` these files act, and they alone: they read the files and the environment that a config is
/// made of.
const CONFIG_READERS: [&str; 1] = ["src/config/files.rs"];

/// What deciding code may not name, and what it takes instead. A path is at fault when one of these stands
/// anywhere in it; so `time::Instant` is found as well as `std::time::Instant`.
const IMPURE: [(&[&str], &str); 34] = [
    (&["std", "fs"], DISK),
    (&["std", "net"], NETWORK),
    (&["std", "env"], ENVIRONMENT),
    (&["std", "thread"], THREADS),
    (&["std", "process"], THREADS),
    (&["std", "os"], DISK),
    (&["std", "*"], "name what you need of std"),
    (&["fs", "read"], DISK),
    (&["time", "Instant"], CLOCK),
    (&["time", "SystemTime"], CLOCK),
    (&["time", "*"], CLOCK),
    (&["Instant", "now"], CLOCK),
    (&["SystemTime", "now"], CLOCK),
    (&["Timestamp", "now"], CLOCK),
    (&["Zoned", "now"], CLOCK),
    (&["TimeZone", "system"], ENVIRONMENT),
    (&["hash_map", "RandomState"], RANDOMNESS),
    (&["tokio"], THREADS),
    (&["reqwest"], NETWORK),
    (&["hyper"], NETWORK),
    (&["notify"], DISK),
    (&["rustix"], DISK),
    (&["libc"], DISK),
    (&["rand"], RANDOMNESS),
    (&["getrandom"], RANDOMNESS),
    (&["fastrand"], RANDOMNESS),
    (&["tracing"], SPEECH),
    (&["println", "!"], SPEECH),
    (&["eprintln", "!"], SPEECH),
    (&[".", "elapsed"], CLOCK),
    (&[".", "canonicalize"], DISK),
    (&[".", "read_dir"], DISK),
    (&[".", "symlink_metadata"], DISK),
    (&[".", "try_exists"], DISK),
];

const DISK: &str = "ask the shell by an effect, or take the contents as an argument";
const NETWORK: &str = "ask the shell by an effect";
const CLOCK: &str = "take the time as an argument";
const RANDOMNESS: &str = "take a seed as an argument";
const ENVIRONMENT: &str = "take the value as an argument";
const THREADS: &str = "return; whoever calls decides where and when";
const SPEECH: &str = "return a notice";

/// One file of the source.
#[derive(Debug)]
pub struct File {
    /// From the root of the project: `src/agent/books.rs`.
    pub path: String,
    pub text: String,
    /// `["agent", "books"]`; empty for `lib.rs` and `main.rs`.
    pub module: Vec<String>,
    /// Compiled for tests alone.
    pub only_tests: bool,
}

impl File {
    pub fn new(path: String, text: String) -> Self {
        let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
        let mut module: Vec<String> = inner.split('/').map(str::to_owned).collect();
        if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
            module.pop();
        }
        Self { path, text, module, only_tests: false }
    }

    fn layer(&self) -> Option<&str> {
        self.module.first().map(String::as_str)
    }

    fn fault(&self, at: &Named, what: &str) -> String {
        format!("{}:{}: `{}`: {what}", self.path, at.line, at.path.join("::"))
    }
}

/// A folder or file right under `src/` that is no layer.
pub fn layer_fault(layer: &str) -> Option<String> {
    (!LAYERS.contains(&layer)).then(|| format!("src/{layer} is no layer; give it a place in the order"))
}

/// Imports that do not go the one way.
pub fn import_faults(file: &File) -> Vec<String> {
    let Some(layer) = file.layer() else { return Vec::new() };
    named(&file.module, &file.text)
        .iter()
        .filter(|named| named.path[0] == "crate")
        .filter_map(|named| {
            let what = match named.path.get(1) {
                None => "gives the whole crate another name, which hides what is imported".to_owned(),
                Some(other) if other == layer => return None,
                Some(other) if allowed(layer).contains(&other.as_str()) => return None,
                Some(other) if LAYERS.contains(&other.as_str()) => {
                    format!("{layer} may not import {other}; it may import {:?}", allowed(layer))
                }
                Some(_) => "is no layer".to_owned(),
            };
            Some(file.fault(named, &what))
        })
        .collect()
}

fn allowed(layer: &str) -> &'static [&'static str] {
    if let Some((_, narrower)) = NARROWER.iter().find(|(name, _)| *name == layer) {
        return narrower;
    }
    let place = LAYERS.iter().position(|name| *name == layer).unwrap_or(0);
    &LAYERS[..place]
}

/// What the pure part names and may not. Tests are free: they are shells of a kind.
pub fn purity_faults(file: &File) -> Vec<String> {
    let pure = match file.layer() {
        Some("config") => !CONFIG_READERS.contains(&file.path.as_str()),
        Some(layer) => PURE.contains(&layer),
        None => false,
    };
    if !pure || file.only_tests {
        return Vec::new();
    }
    named(&file.module, &file.text)
        .iter()
        .filter(|named| !named.in_test)
        .filter_map(|named| {
            let (_, instead) = IMPURE.iter().find(|(impure, _)| stands_in(impure, &named.path))?;
            Some(file.fault(named, &format!("the deciding part may not name it; {instead}")))
        })
        .collect()
}

/// A single name is the name of a crate, so it must come first; longer ones may stand anywhere.
fn stands_in(impure: &[&str], path: &[String]) -> bool {
    match impure {
        [name] => path[0] == *name,
        _ => path.windows(impure.len()).any(|window| window == impure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(faults: fn(&File) -> Vec<String>, path: &str, text: &str, expected: usize) {
        let found = faults(&File::new(path.to_owned(), text.to_owned()));
        assert_eq!(found.len(), expected, "{path}: {text}\n{found:#?}");
    }

    #[test]
    fn an_import_against_the_order_is_found() {
        let cases = [
            ("src/mapping/chunk.rs", "use crate::model::Span;", 0),
            ("src/mapping/chunk.rs", "use crate::agent::Agent;", 1),
            ("src/mapping/chunk.rs", "use crate::{model::Span, agent::{Agent, Input}};", 2),
            ("src/mapping/chunk.rs", "fn f(x: &crate::shell::Disk) {}", 1),
            ("src/mapping/chunk.rs", "use super::super::agent::Agent;", 1),
            ("src/mapping/mod.rs", "use super::agent::Agent;", 1),
            ("src/mapping/mod.rs", "use super::*;", 1),
            ("src/mapping/mod.rs", "mod tests { use super::*; }", 0),
            ("src/mapping/mod.rs", "use crate as floe; use floe::agent;", 1),
            ("src/mapping/mod.rs", "use crate::Agent;", 1),
            ("src/polar/mod.rs", "use crate::config::Settings;", 1),
            ("src/sandbox/mod.rs", "use crate::polar::Answer; use crate::model::Span;", 0),
            ("src/sandbox/mod.rs", "use crate::config::Settings;", 1),
            ("src/shell/mod.rs", "use crate::sandbox::serve;", 1),
            ("src/cli/run.rs", "use crate::{agent, sandbox, shell};", 0),
            ("src/main.rs", "use floe::cli;", 0),
        ];
        for (path, text, expected) in cases {
            check(import_faults, path, text, expected);
        }
    }

    #[test]
    fn an_impure_name_is_found() {
        let cases = [
            ("src/agent/mod.rs", "use std::time::Duration;", 0),
            ("src/agent/mod.rs", "use std::time::{Duration, Instant};", 1),
            ("src/agent/mod.rs", "use std::time; fn f() { time::SystemTime::now(); }", 1),
            ("src/agent/mod.rs", "use std::{collections::BTreeMap, fs::File};", 1),
            ("src/agent/mod.rs", "let now = jiff::Timestamp::now();", 1),
            ("src/agent/mod.rs", "let now = Zoned::now();", 1),
            ("src/agent/mod.rs", "tokio::spawn(async {});", 1),
            ("src/agent/mod.rs", "use rand::Rng;", 1),
            ("src/agent/mod.rs", "tracing::info!(\"x\");", 1),
            ("src/agent/mod.rs", "println!(\"x\");", 1),
            ("src/agent/mod.rs", "#[cfg(test)] mod tests { use std::fs; }", 0),
            ("src/mapping/chunk.rs", "std::thread::sleep(x);", 1),
            ("src/mapping/chunk.rs", "let home = std::env::var(\"HOME\");", 1),
            ("src/polar/mod.rs", "use std::net::TcpStream;", 1),
            ("src/model/file.rs", "path.canonicalize()", 1),
            ("src/config/check.rs", "std::fs::read(path)", 1),
            ("src/config/files.rs", "std::fs::read(path)", 0),
            ("src/shell/disk.rs", "use std::fs; use tokio::net;", 0),
        ];
        for (path, text, expected) in cases {
            check(purity_faults, path, text, expected);
        }
    }

    #[test]
    fn a_folder_that_is_no_layer_is_found() {
        assert!(layer_fault("util").is_some());
        assert!(layer_fault("agent").is_none());
    }
}
