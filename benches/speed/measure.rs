//! Runs a program and says what it cost. Between this program and the measured one stands a third, fresh and
//! small: the kernel tells the cost of children as a sum, and the sum over one child is that child.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

/// What one run of one program cost.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// User and system time.
    pub cpu: Duration,
    pub wall: Duration,
    /// In bytes. Never below the two megabytes or so of the program in between.
    pub peak: u64,
}

/// What is to be run. What it says goes to a file, so that it stands in no table.
#[derive(Debug, Clone)]
pub struct Invocation {
    pub program: String,
    pub arguments: Vec<String>,
    pub variables: Vec<(String, String)>,
    /// Is asked to end (SIGTERM) when its work is done; others end by themselves.
    pub stops_on_request: bool,
    pub says: PathBuf,
}

impl Invocation {
    fn command(&self) -> io::Result<Command> {
        let says = File::options().create(true).append(true).open(&self.says)?;
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(says);
        Ok(command)
    }

    /// Starts it with nothing in between: for what is asked of a living process.
    pub fn spawn(&self) -> io::Result<Child> {
        let program = &self.program;
        let cannot =
            |error: io::Error| io::Error::new(error.kind(), format!("cannot start {program}: {error}"));
        self.command()?.spawn().map_err(cannot)
    }

    /// Runs it to its end.
    pub fn run(&self) -> io::Result<Cost> {
        Measured::start(self)?.end()
    }
}

/// A program that is being measured. Where a measurement is given up, its stdin ends, and with that the program.
#[derive(Debug)]
pub struct Measured {
    /// Lives as long as what is measured.
    pub between: Child,
    began: Instant,
    says: PathBuf,
}

impl Measured {
    pub fn start(invocation: &Invocation) -> io::Result<Self> {
        let between = Command::new(std::env::current_exe()?)
            .args(["between", if invocation.stops_on_request { "stops" } else { "ends" }])
            .arg(&invocation.program)
            .args(&invocation.arguments)
            .envs(invocation.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(&invocation.says)?)
            .spawn()?;
        Ok(Self { between, began: Instant::now(), says: invocation.says.clone() })
    }

    /// Waits for its end.
    pub fn end(self) -> io::Result<Cost> {
        let output = self.between.wait_with_output()?;
        let wall = self.began.elapsed();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let numbers: Vec<u64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        match numbers[..] {
            [micros, peak] if output.status.success() => {
                Ok(Cost { cpu: Duration::from_micros(micros), wall, peak })
            }
            _ => Err(io::Error::other(format!(
                "the measured program failed; {} has what it said",
                self.says.display()
            ))),
        }
    }

    /// Ends it, whatever it costs.
    pub fn give_up(mut self) {
        drop(self.between.stdin.take());
        // It was killed if it did not end.
        let _ = self.between.wait();
    }

    /// Asks it to end and waits. The wall time is the one until `done`.
    pub fn stop(mut self, done: Instant) -> io::Result<Cost> {
        drop(self.between.stdin.take());
        let began = self.began;
        Ok(Cost { wall: done - began, ..self.end()? })
    }
}

/// How long a program may take to end once it was asked to.
const END_LIMIT: Duration = Duration::from_secs(40);

/// The program in between: `between stops|ends PROGRAM ARGUMENTS…`. When its stdin ends, it asks the program
/// to end, if that is one to be asked.
pub fn between(mut arguments: impl Iterator<Item = String>) -> io::Result<()> {
    let stops_on_request = arguments.next().as_deref() == Some("stops");
    let program = arguments.next().ok_or_else(|| io::Error::other("name a program"))?;
    let mut child = Command::new(&program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("cannot start {program}: {error}")))?;
    if stops_on_request {
        io::stdin().read_to_end(&mut Vec::new())?;
        terminate(&child)?;
        end_or_kill(&mut child)?;
    }
    let status = child.wait()?;
    if !status.success() {
        return Err(io::Error::other(format!("{program} ended with {status}")));
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let time = usage.user_time() + usage.system_time();
    let micros = time.tv_sec() * 1_000_000 + time.tv_usec();
    println!("{micros} {}", usage.max_rss() * 1024);
    Ok(())
}

/// A program that hangs is killed, or the benchmark would hang with it.
fn end_or_kill(child: &mut Child) -> io::Result<()> {
    let began = Instant::now();
    while began.elapsed() < END_LIMIT {
        if child.try_wait()?.is_some() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill()
}

/// Asks a child to end.
pub fn terminate(child: &Child) -> io::Result<()> {
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("the child has no id"))?;
    Ok(rustix::process::kill_process(pid, rustix::process::Signal::TERM)?)
}

/// What the kernel tells of a process that runs.
#[derive(Debug, Clone, Copy)]
pub struct Living {
    /// In bytes: now, and at most so far.
    pub resident: u64,
    pub peak: u64,
    pub cpu: Duration,
}

/// The CPU time is that of its present threads, to the nanosecond: in an idle half minute a clock that counts
/// hundredths of a second sees nothing.
pub fn living(child: &Child) -> io::Result<Living> {
    let process = PathBuf::from(format!("/proc/{}", child.id()));
    let status = fs::read_to_string(process.join("status"))?;
    let kilobytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        number.ok_or_else(|| io::Error::other(format!("the kernel says no {name} of the process")))
    };
    let mut nanoseconds = 0;
    for thread in fs::read_dir(process.join("task"))? {
        let times = fs::read_to_string(thread?.path().join("schedstat"))?;
        let running = times.split_whitespace().next().and_then(|number| number.parse::<u64>().ok());
        nanoseconds += running.ok_or_else(|| io::Error::other("the kernel keeps no times of threads"))?;
    }
    Ok(Living {
        resident: kilobytes("VmRSS:")? * 1024,
        peak: kilobytes("VmHWM:")? * 1024,
        cpu: Duration::from_nanos(nanoseconds),
    })
}
