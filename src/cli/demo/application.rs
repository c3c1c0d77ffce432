//! The application of the demo: it writes a log of requests to language models, and rotates it as logrotate would.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;

use crate::cli::numbers::grouped;

/// Lines that are written at once.
const BLOCK: u64 = 500;

/// Between two blocks: a busy application, not a benchmark.
const PAUSE: Duration = Duration::from_millis(12);

/// Parts of the log between which it is rotated.
const PARTS: u64 = 5;

const MODELS: [&str; 4] = ["gpt-5", "gpt-5-mini", "claude-opus-5", "mistral-large"];

/// What the application knows that it wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    pub lines: u64,
    pub bytes: u64,
    pub billable: u64,
    /// Of the billable lines.
    pub tokens: u64,
    pub rotations: u64,
}

/// Writes the log.
#[derive(Debug)]
pub struct Application {
    path: PathBuf,
    lines: u64,
    dice: Dice,
    written: Written,
}

impl Application {
    #[must_use]
    pub fn new(path: PathBuf, lines: u64) -> Self {
        Self { path, lines, dice: Dice(0x5eed), written: Written::default() }
    }

    /// Writes all lines, unless it is interrupted. `say` hears of the rotations.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn run(mut self, say: &dyn Fn(&str), interrupted: &AtomicBool) -> io::Result<Written> {
        for part in 1..=PARTS {
            let mut file = OpenOptions::new().append(true).create(true).open(&self.path)?;
            self.write_until(self.lines * part / PARTS, &mut file, interrupted)?;
            if interrupted.load(Ordering::Relaxed) {
                break;
            }
            let at = grouped(self.written.lines);
            if part == PARTS {
                say(&format!("line {at}: the application has written all"));
            } else if part == PARTS - 1 {
                fs::copy(&self.path, self.rotated(part))?;
                file.set_len(0)?;
                say(&format!("line {at}: app.log copied to app.log.{part} and truncated"));
            } else {
                fs::rename(&self.path, self.rotated(part))?;
                say(&format!("line {at}: app.log renamed to app.log.{part}"));
            }
            self.written.rotations += u64::from(part < PARTS);
        }
        Ok(self.written)
    }

    fn model(&mut self) -> &'static str {
        let place = usize::try_from(self.dice.below(MODELS.len() as u64));
        MODELS[place.expect("the place is one of a few")]
    }

    fn rotated(&self, number: u64) -> PathBuf {
        self.path.with_extension(format!("log.{number}"))
    }

    fn write_until(&mut self, end: u64, file: &mut File, interrupted: &AtomicBool) -> io::Result<()> {
        let mut text = String::new();
        while self.written.lines < end && !interrupted.load(Ordering::Relaxed) {
            text.clear();
            for _ in 0..BLOCK.min(end - self.written.lines) {
                self.add_line(&mut text);
            }
            file.write_all(text.as_bytes())?;
            self.written.bytes += text.len() as u64;
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn add_line(&mut self, text: &mut String) {
        let number = self.written.lines;
        self.written.lines += 1;
        let ts = Timestamp::now();
        let result = if self.dice.below(10) < 6 {
            self.add_completion(text, ts, number)
        } else {
            let latency = self.dice.below(40);
            writeln!(
                text,
                r#"{{"ts":"{ts:.6}","level":"info","event":"http.request","request":{number},"method":"GET","path":"/v1/models","status":200,"latency_ms":{latency},"user_agent":"example/1.4 (linux)"}}"#
            )
        };
        result.expect("text can always be appended to");
    }

    fn add_completion(&mut self, text: &mut String, ts: Timestamp, number: u64) -> std::fmt::Result {
        let (prompt, completion) = (20 + self.dice.below(4000), 1 + self.dice.below(900));
        let total = prompt + completion;
        // One in twenty fails, and is not billed.
        let status = if self.dice.below(20) == 0 { 502 } else { 200 };
        if status == 200 {
            self.written.billable += 1;
            self.written.tokens += total;
        }
        let (org, model) = (self.dice.below(40), self.model());
        let (nano_dollars, latency) = (prompt * 150 + completion * 600, 80 + self.dice.below(3000));
        writeln!(
            text,
            r#"{{"ts":"{ts:.6}","level":"info","event":"llm.completion","request":{number},"org_id":"org_{org}","user":{{"id":"user_{org}_1"}},"model":"{model}","status":{status},"usage":{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{total}}},"cost_usd":{}.{:09},"latency_ms":{latency}}}"#,
            nano_dollars / 1_000_000_000,
            nano_dollars % 1_000_000_000,
        )
    }
}

/// Numbers that look random and are the same in each demo (splitmix64).
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
