//! What the mapping core is measured by: logs of one shape each, all lines billable, the same on every machine.

use std::fmt::Write as _;

use floe::config::Settings;
use floe::config::settings::Captures;
use floe::mapping::{MapContext, ReadWindow, Rules, Scratch, map};
use floe::model::{Generation, Offset, SourceIndex};

/// A config and the log that it is for.
pub struct Case {
    pub name: &'static str,
    config: &'static str,
    line: fn(&mut String, &mut Random, u64),
}

/// Every case; a name is what `instructions.txt` calls it.
pub const CASES: [Case; 3] = [
    Case { name: "json", config: JSON, line: json },
    Case { name: "nginx-combined", config: NGINX, line: nginx },
    Case { name: "logfmt", config: LOGFMT, line: logfmt },
];

/// Bytes that one call of `map` gets, as the daemon reads them in a backlog.
const READ_BYTES: usize = 512 * 1024;

impl Case {
    /// Lines, all billable.
    pub fn log(&self, lines: u64) -> String {
        let (mut log, mut random) = (String::new(), Random(1));
        for line in 0..lines {
            (self.line)(&mut log, &mut random, line);
        }
        log
    }

    pub fn rules(&self) -> Rules {
        let settings = Settings::from_toml(&format!("{HEAD}{}", self.config))
            .unwrap_or_else(|faults| panic!("{}", faults.render(false)));
        Rules::compile(&settings)
    }
}

/// Maps a log in reads, and makes sure that each of its lines is billed. Says how many bytes of events came out.
pub fn map_all(rules: &Rules, log: &str) -> usize {
    let (mut scratch, captures) = (Scratch::default(), Captures::new());
    let context = MapContext {
        rules,
        source: SourceIndex(0),
        stream_key: &[7; 32],
        generation: Generation::default(),
        path: "/var/log/app.log",
        captures: &captures,
        expected: None,
        long_line: None,
        polar_now: "2026-11-21T12:00:00Z".parse().expect("a timestamp"),
        room: usize::MAX,
    };
    let log = log.as_bytes();
    let (mut at, mut billed, mut out) = (0, 0, 0);
    while at < log.len() {
        let bytes = &log[at..log.len().min(at + READ_BYTES)];
        let before = &log[at.saturating_sub(64)..at];
        let window = ReadWindow::new(before, Offset(at as u64), bytes);
        let chunk = map(&context, window, &mut scratch).expect("no guard is expected");
        at += usize::try_from(chunk.span.expect("a read holds a line").len()).expect("it fits in memory");
        billed += chunk.lines.len();
        out += chunk.body.len();
    }
    assert_eq!(billed, memchr::memchr_iter(b'\n', log).count(), "every line is billable");
    out
}

const HEAD: &str = r#"
version = 1
state_dir = "/var/lib/floe"
instance = "benchmark"
[[sources]]
id = "app"
include = ["/var/log/app.log"]
"#;

/// The rule of `benches/floe.toml`.
const JSON: &str = r#"
format = "json"
[[rules]]
id = "llm-completion"
when = { event = "llm.completion", status = { lt = 500 } }
[rules.event]
name = "llm_usage"
external_customer_id = "{org_id}"
timestamp = "{ts}"
metadata.model = "{model}"
metadata.total_tokens = "{usage.total_tokens | int}"
metadata._llm = { vendor = "openai", model = "{model}", input_tokens = "{usage.prompt_tokens | int}", output_tokens = "{usage.completion_tokens | int}", total_tokens = "{usage.total_tokens | int}" }
metadata._cost = { amount = "{cost_usd | decimal | mul('100') | round(12)}", currency = "usd" }
"#;

/// The rules of `tests/data/golden/nginx-combined.toml`.
const NGINX: &str = r#"
format = "nginx-combined"
[[rules]]
id = "api-request"
when = { request_uri = { prefix = "/v1/" }, status = { lt = 400 } }
[rules.event]
name = "api_request"
external_customer_id = "{remote_user}"
timestamp = "{time_local | timestamp('%d/%b/%Y:%H:%M:%S %z')}"
metadata.units = 1
metadata.method = "{request_method}"
metadata.route = "{request_uri | path_only}"
metadata.status = "{status}"
metadata.bytes = "{body_bytes_sent}"
"#;

/// The rules of `tests/data/golden/logfmt.toml`.
const LOGFMT: &str = r#"
format = "logfmt"
[[rules]]
id = "usage"
when = { msg = "usage" }
[rules.event]
name = "usage"
external_customer_id = "{customer}"
timestamp = "{ts}"
metadata.units = "{units | int}"
"#;

/// A line as `benches/speed` writes it: a record of one call of a model.
fn json(out: &mut String, random: &mut Random, line: u64) {
    const MODELS: [&str; 4] = ["gpt-4.1-mini", "gpt-4o", "claude-sonnet-4", "mistral-small"];
    let (prompt, completion) = (100 + random.below(4_000), 20 + random.below(900));
    let model = MODELS[usize::try_from(random.below(4)).expect("below four")];
    let _ = writeln!(
        out,
        "{{\"ts\":\"{}Z\",\"level\":\"info\",\"logger\":\"api.llm\",\"event\":\"llm.completion\",\
         \"status\":200,\"request_id\":\"req_{:024x}\",\"org_id\":\"org_{:04}\",\
         \"user\":{{\"id\":\"u_{:06}\",\"plan\":\"pro\"}},\"model\":\"{model}\",\
         \"usage\":{{\"prompt_tokens\":{prompt},\"completion_tokens\":{completion},\"total_tokens\":{}}},\
         \"cost_usd\":0.{:06},\"duration_ms\":{}.{:03},\"path\":\"/v1/chat/completions\",\
         \"host\":\"api-{}\",\"msg\":\"completed \\\"chat\\\" in due time for all\"}}",
        time(line),
        random.next(),
        random.below(500),
        random.below(20_000),
        prompt + completion,
        1 + random.below(99_999),
        random.below(9_000),
        random.below(1_000),
        random.below(8),
    );
}

fn nginx(out: &mut String, random: &mut Random, line: u64) {
    let (minute, second) = (line / 6_000 % 60, line / 100 % 60);
    let _ = writeln!(
        out,
        "203.0.113.{} - org_{:04} [20/Nov/2026:10:{minute:02}:{second:02} +0000] \"POST /v1/convert?fmt=pdf&id={} HTTP/1.1\" \
         200 {} \"-\" \"acme-sdk/1.4 (X11; Linux x86_64)\"",
        random.below(256),
        random.below(500),
        random.below(1 << 32),
        random.below(65_536),
    );
}

fn logfmt(out: &mut String, random: &mut Random, line: u64) {
    let _ = writeln!(
        out,
        "ts={}Z caller=usage.go:{} level=info msg=usage customer=org_{:04} units={} request_id={:016x} \
         note=\"two words \\\"q\\\"\"",
        time(line),
        random.below(400),
        random.below(500),
        random.below(90),
        random.next(),
    );
}

/// Ten milliseconds a line.
fn time(line: u64) -> String {
    let millis = line * 10 + line % 7;
    let (minute, second) = (millis / 60_000 % 60, millis / 1_000 % 60);
    format!("2026-11-20T10:{minute:02}:{second:02}.{:06}", millis % 1_000 * 1_000 + line % 997)
}

/// SplitMix64.
pub struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
