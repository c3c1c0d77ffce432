//! One machine for one test: a sandbox, a folder for logs, a config, and the `floe` binary as real processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use floe::sandbox::{Sandbox, SandboxHandle, SandboxOptions};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long something may take that takes a moment.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct World {
    pub folder: tempfile::TempDir,
    pub sandbox: SandboxHandle,
}

impl World {
    pub fn new() -> Self {
        Self::with_sandbox(SandboxOptions::default())
    }

    pub fn with_sandbox(options: SandboxOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::start(options).unwrap();
        fs::create_dir(folder.path().join("logs")).unwrap();
        let world = Self { folder, sandbox };
        world.write_token(world.sandbox.token());
        world.write_config(&world.config());
        world
    }

    /// A world whose source follows other files of its folder, and has these keys instead of `format = "json"`.
    pub fn of(include: &str, keys: &str) -> Self {
        let world = Self::new();
        world.follow(include, keys);
        world
    }

    pub fn follow(&self, include: &str, keys: &str) {
        let config = self.config().replace("logs/app.log\"]", &format!("{include}\"]"));
        self.write_config(&config.replace("format = \"json\"", keys));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn log(&self) -> PathBuf {
        self.path("logs/app.log")
    }

    pub fn write_token(&self, token: &str) {
        fs::write(self.path("token"), format!("{token}\n")).unwrap();
    }

    pub fn write_config(&self, text: &str) {
        fs::write(self.path("floe.toml"), text).unwrap();
    }

    /// Bills each line with `"event":"use"`, with its number `n`.
    pub fn config(&self) -> String {
        format!(
            r#"
version = 1
state_dir = "{folder}/state"
instance = "test"

[polar]
server = "{server}"
token_file = "{folder}/token"

[delivery]
batch_max_wait = "20ms"
requests_per_minute = 60000

[limits]
sweep_interval = "200ms"

[[sources]]
id = "app"
include = ["{folder}/logs/app.log"]
format = "json"

[[rules]]
id = "use"
source = "app"
when = {{ event = "use" }}

[rules.event]
name = "use"
external_customer_id = "{{who}}"
timestamp = "{{ts}}"
metadata.n = "{{n | int}}"
"#,
            folder = self.folder.path().display(),
            server = self.sandbox.url(),
        )
    }

    /// As [`World::config`], with other lines that say where the source's lines come from.
    pub fn config_of(&self, input: &str) -> String {
        let include = format!("include = [\"{}\"]", self.log().display());
        let config = self.config();
        assert!(config.contains(&include), "the config names its log");
        config.replacen(&include, &input.replace("{folder}", self.folder.path().to_str().unwrap()), 1)
    }

    /// `floe` with the config of this world.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
        command.args(arguments).arg("--config").arg(self.path("floe.toml"));
        command.env_remove("FLOE_LOG").stdin(Stdio::null());
        command
    }

    /// Runs `floe` to its end.
    pub fn output(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().unwrap();
        self.assert_no_token(&output.stdout);
        self.assert_no_token(&output.stderr);
        output
    }

    /// Starts the daemon and waits until it runs.
    pub fn start(&self) -> Floe<'_> {
        let floe = self.start_unready();
        floe.wait_for_words("floe runs");
        floe
    }

    pub fn start_unready(&self) -> Floe<'_> {
        self.spawn(self.command(&["run", "--log-format", "json"]))
    }

    /// Starts a command that is, or becomes, the daemon.
    pub fn spawn(&self, mut command: Command) -> Floe<'_> {
        let said = self.path("said.log");
        let file = OpenOptions::new().append(true).create(true).open(&said).unwrap();
        let from = file.metadata().unwrap().len();
        let child = command.env("FLOE_LOG", "debug").stdout(Stdio::null()).stderr(file).spawn().unwrap();
        Floe { world: self, child, said, from }
    }

    pub fn append(&self, text: &str) {
        self.append_to("logs/app.log", text);
    }

    pub fn append_to(&self, name: &str, text: impl AsRef<[u8]>) {
        let mut file = OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(text.as_ref()).unwrap();
    }

    pub fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// How often each number arrived.
    pub fn billed(&self) -> BTreeMap<u64, u64> {
        let mut billed = BTreeMap::new();
        for event in self.sandbox.events() {
            let event: Value = serde_json::from_str(&event).unwrap();
            *billed.entry(event["metadata"]["n"].as_u64().unwrap()).or_default() += 1;
        }
        billed
    }

    #[track_caller]
    pub fn wait_for_billed(&self, numbers: impl IntoIterator<Item = u64>) {
        let expected: BTreeSet<u64> = numbers.into_iter().collect();
        let count = expected.len();
        // Too few are told below, with their numbers.
        Self::awaits(|| self.sandbox.events().len() >= count);
        let billed = self.billed();
        let missing: Vec<u64> =
            expected.iter().copied().filter(|number| !billed.contains_key(number)).collect();
        let extra: Vec<u64> = billed
            .iter()
            .filter(|(number, times)| **times > 1 || !expected.contains(number))
            .map(|(number, _)| *number)
            .collect();
        assert!(
            missing.is_empty() && extra.is_empty(),
            "not billed: {missing:?}\nbilled twice, or not to be billed: {extra:?}\n{}",
            self.notices()
        );
    }

    /// Waits until exactly these are billed, stops the daemon, and sees that the account adds up and nothing is
    /// missed. What the account says of the source comes back.
    #[track_caller]
    pub fn finish(&self, floe: Floe<'_>, numbers: impl IntoIterator<Item = u64> + Clone) -> Value {
        let mut account = self.finish_somehow(floe, numbers);
        assert_eq!(account["missed_bytes"], 0, "{account:#}\n{}", self.notices());
        account["sources"]["app"].take()
    }

    /// The same where Floe may tell of bytes that were missed, though their lines are billed: it saw a file
    /// under no name for a moment. The whole account comes back.
    #[track_caller]
    pub fn finish_somehow(&self, floe: Floe<'_>, numbers: impl IntoIterator<Item = u64> + Clone) -> Value {
        self.wait_for_billed(numbers.clone());
        floe.stop();
        // Nothing else came with the end.
        self.wait_for_billed(numbers);
        let (account, _) = self.account();
        assert_eq!(account["adds_up"], true, "{account:#}\n{}", self.notices());
        account
    }

    /// The reasons of the letters in the quarantine, in their order.
    pub fn quarantined(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("state/quarantine/quarantine.jsonl")).unwrap_or_default();
        let reason = |letter: &str| {
            let letter: Value = serde_json::from_str(letter).unwrap();
            letter["reason"].as_str().unwrap().to_owned()
        };
        text.lines().map(reason).collect()
    }

    /// Waits for a thing that another process does.
    #[track_caller]
    pub fn wait(&self, what: &str, done: impl FnMut() -> bool) {
        assert!(Self::awaits(done), "waited in vain for {what}\n{}", self.notices());
    }

    /// Whether the thing was done before the patience was over.
    pub fn awaits(done: impl FnMut() -> bool) -> bool {
        Self::awaits_for(PATIENCE, done)
    }

    pub fn awaits_for(patience: Duration, mut done: impl FnMut() -> bool) -> bool {
        let start = Instant::now();
        while !done() && start.elapsed() < patience {
            thread::sleep(Duration::from_millis(5));
        }
        done()
    }

    /// What the daemons of this world said to the operator, the last of it last.
    pub fn notices(&self) -> String {
        let said = fs::read_to_string(self.path("said.log")).unwrap_or_default();
        let lines = said.lines().filter(|line| line.contains("\"code\"") || line.contains("floe runs"));
        let lines: Vec<&str> = lines.collect();
        let last = lines[lines.len().saturating_sub(60)..].join("\n");
        format!("the daemon said:\n{last}")
    }

    /// The account of the state folder, and whether it is right.
    pub fn account(&self) -> (Value, bool) {
        let output = self.output(&["account", "--json"]);
        let text = String::from_utf8(output.stdout).unwrap();
        (
            serde_json::from_str(&text).unwrap_or_else(|_| panic!("no account: {text}")),
            output.status.success(),
        )
    }

    #[track_caller]
    pub fn assert_no_token(&self, bytes: &[u8]) {
        let token = self.sandbox.token().as_bytes();
        assert!(!bytes.windows(token.len()).any(|window| window == token), "the token is shown");
    }
}

impl Drop for World {
    /// Whatever a test is about: the token stands nowhere but in its file.
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        let mut folders = vec![self.path("state")];
        let mut files = vec![self.path("said.log")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        for file in files {
            self.assert_no_token(&fs::read(file).unwrap_or_default());
        }
    }
}

/// A daemon that runs.
pub struct Floe<'a> {
    world: &'a World,
    child: Child,
    said: PathBuf,
    /// Where what this process says begins.
    from: u64,
}

impl Floe<'_> {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The most memory that it ever had, in KiB.
    pub fn peak_memory_kib(&self) -> u64 {
        peak_memory_kib(self.pid()).unwrap()
    }

    /// Its standard input, where it was given one.
    pub fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    pub fn said(&self) -> String {
        use std::io::Seek as _;
        let mut file = File::open(&self.said).unwrap();
        file.seek(std::io::SeekFrom::Start(self.from)).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        text
    }

    #[track_caller]
    pub fn wait_for_words(&self, words: &str) {
        self.world.wait(&format!("{words:?}"), || self.said().contains(words));
    }

    #[track_caller]
    pub fn wait_for_notice(&self, code: &str) {
        self.wait_for_words(&format!("\"code\":\"{code}\""));
    }

    /// Whether it ends by itself in that time.
    pub fn ends_within(&mut self, patience: Duration) -> bool {
        World::awaits_for(patience, || self.child.try_wait().unwrap().is_some())
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and it drains.
    #[track_caller]
    pub fn stop(self) {
        self.signal(Signal::TERM);
        assert!(self.ended().success());
    }

    #[track_caller]
    pub fn ended(mut self) -> ExitStatus {
        let mut status = None;
        self.world.wait("the end of the daemon", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Floe<'_> {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The most memory that a process ever had, in KiB; `None` once it has ended.
pub fn peak_memory_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.trim().trim_end_matches(" kB").parse().ok()
}

/// A line that is billed.
pub fn line(number: u64) -> String {
    format!(
        "{{\"ts\":\"{:.3}\",\"event\":\"use\",\"who\":\"customer_{}\",\"n\":{number}}}\n",
        jiff::Timestamp::now(),
        number % 7
    )
}

/// A line that no rule wants.
pub fn noise(number: u64) -> String {
    format!("{{\"event\":\"noise\",\"n\":{number},\"text\":\"nobody pays for this\"}}\n")
}

pub fn lines(numbers: std::ops::Range<u64>) -> String {
    numbers.map(line).collect()
}

pub fn exists(path: &Path) -> bool {
    path.try_exists().unwrap()
}
