//! Logs as users have them, beside A and B: an application's logfmt, nginx's access log, and what a gateway to
//! language models writes.

use std::io::{self, Write};

use super::random::{Clock, Random};

const WORDS: [&str; 16] = [
    "the",
    "report",
    "of",
    "last",
    "quarter",
    "says",
    "that",
    "every",
    "customer",
    "paid",
    "for",
    "what",
    "\\\"was\\\"",
    "used,",
    "na\u{ef}ve",
    "caf\u{e9}s\\ntoo",
];

/// Of a Go service: short lines, now and then a long one.
pub fn application(out: &mut impl Write, line: u64, billable: bool, random: &mut Random) -> io::Result<()> {
    let time = Clock(line);
    if billable {
        return writeln!(
            out,
            "time={time} level=info msg=\"job is done\" event=job.finished org=org_{:04} job=job_{:016x} \
             kind=transcode seconds={}.{:03} bytes={} worker=w-{}",
            random.below(500),
            random.next(),
            random.below(900),
            random.below(1_000),
            random.below(1 << 30),
            random.below(16),
        );
    }
    match random.below(4) {
        0 => writeln!(
            out,
            "time={time} level=debug msg=\"took a lease\" event=lease.taken job=job_{:016x} worker=w-{}",
            random.next(),
            random.below(16)
        ),
        1 => writeln!(
            out,
            "time={time} level=warn msg=\"retry in {} ms\" event=store.retry error=\"connection reset by peer\" \
             host=store-{}.internal attempt={}",
            random.below(5_000),
            random.below(8),
            random.below(7)
        ),
        _ => writeln!(
            out,
            "time={time} level=info msg=\"progress\" event=job.progress job=job_{:016x} percent={} fps={}.{}",
            random.next(),
            random.below(100),
            random.below(120),
            random.below(10)
        ),
    }
}

/// `combined`, as nginx comes.
pub fn nginx(out: &mut impl Write, line: u64, billable: bool, random: &mut Random) -> io::Result<()> {
    const PAGES: [&str; 4] = ["/", "/assets/app.3f9c1.js", "/docs/start?from=mail", "/healthz"];
    const AGENTS: [&str; 3] = [
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
        "curl/8.10.1",
        "python-requests/2.32.3",
    ];
    let second = line / 200;
    let (hour, minute, second, day) =
        (second / 3_600 % 24, second / 60 % 60, second % 60, 1 + second / 86_400 % 28);
    let address = (random.below(256), random.below(256), random.below(256));
    write!(out, "10.{}.{}.{} - ", address.0, address.1, address.2)?;
    if billable {
        write!(out, "org_{:04}", random.below(500))?;
    } else {
        write!(out, "-")?;
    }
    write!(out, " [{day:02}/Jan/2025:{hour:02}:{minute:02}:{second:02} +0000] \"")?;
    if billable {
        write!(out, "POST /api/v1/documents/{:08x}", random.below(1 << 32))?;
    } else {
        write!(out, "GET {}", PAGES[usize::try_from(random.below(4)).expect("below four")])?;
    }
    let agent = AGENTS[usize::try_from(random.below(3)).expect("below three")];
    writeln!(out, " HTTP/1.1\" 200 {} \"-\" \"{agent}\"", 1 + random.below(1 << 20))
}

/// A whole exchange: long strings with escapes and letters beyond ASCII, the numbers behind them.
pub fn llm(out: &mut impl Write, line: u64, billable: bool, random: &mut Random) -> io::Result<()> {
    let (prompt, completion) = (100 + random.below(4_000), 20 + random.below(900));
    let (asked, answered) = (20 + random.below(100), 20 + random.below(140));
    write!(
        out,
        "{{\"id\":\"chatcmpl-{:016x}\",\"trace_id\":\"{:016x}{:016x}\",\"call_type\":\"acompletion\",\
         \"stream\":null,\"status\":\"{}\",\"ts\":\"{}\",\"org_id\":\"org_{:04}\",\"model\":\"openai/gpt-4o-mini\",\
         \"metadata\":{{\"user_agent\":null,\"requester_ip\":\"10.0.{}.{}\",\"tags\":[\"batch\",\"eu\"]}},\"messages\":[",
        random.next(),
        random.next(),
        random.next(),
        if billable { "success" } else { "failure" },
        Clock(line),
        random.below(500),
        random.below(256),
        random.below(256),
    )?;
    write!(
        out,
        "{{\"role\":\"system\",\"content\":\"You answer in short.\"}},{{\"role\":\"user\",\"content\":\""
    )?;
    words(out, asked, random)?;
    write!(
        out,
        "\"}}],\"response\":{{\"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\""
    )?;
    words(out, answered, random)?;
    writeln!(
        out,
        "\"}},\"finish_reason\":\"stop\"}}],\"usage\":{{\"prompt_tokens\":{prompt},\
         \"completion_tokens\":{completion},\"total_tokens\":{}}}}},\"response_cost\":0.{:06},\"response_time\":{}.{:03}}}",
        prompt + completion,
        1 + random.below(99_999),
        random.below(30),
        random.below(1_000),
    )
}

fn words(out: &mut impl Write, count: u64, random: &mut Random) -> io::Result<()> {
    for _ in 0..count {
        write!(out, "{} ", WORDS[usize::try_from(random.below(16)).expect("below sixteen")])?;
    }
    Ok(())
}
