//! Runs a program and says what it cost. Between this program and the measured one stands a third, fresh and
//! small: the kernel tells the cost of children as a sum, and the sum over one child is that child.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
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

/// A program that is being measured.
#[derive(Debug)]
pub struct Measured {
    between: Child,
    began: Instant,
}

impl Measured {
    /// Starts it. Its own output goes nowhere; what it says on stderr is shown.
    pub fn start(program: &str, arguments: &[String], variables: &[(&str, &str)]) -> io::Result<Self> {
        let between = Command::new(std::env::current_exe()?)
            .arg("between")
            .arg(program)
            .args(arguments)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(Self { between, began: Instant::now() })
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
            _ => Err(io::Error::other("the measured program failed; see above")),
        }
    }

    /// Asks it to end (SIGTERM) and waits. The wall time is the one until `done`.
    pub fn stop(mut self, done: Instant) -> io::Result<Cost> {
        drop(self.between.stdin.take());
        let began = self.began;
        Ok(Cost { wall: done - began, ..self.end()? })
    }
}

/// The program in between: `between PROGRAM ARGUMENTS…`. When its stdin ends, it asks the program to end.
pub fn between(mut arguments: impl Iterator<Item = String>) -> io::Result<()> {
    let program = arguments.next().ok_or_else(|| io::Error::other("name a program"))?;
    let stops_on_request = program.ends_with("floe");
    let mut child = Command::new(&program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("cannot start {program}: {error}")))?;
    if stops_on_request {
        io::stdin().read_to_end(&mut Vec::new())?;
        let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("the child has no id"))?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
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
