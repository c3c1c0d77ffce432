//! The lines of logs A and B: one service that writes JSON.

use std::io::{self, Write};

use super::random::{Clock, Random};

/// 443 bytes or so, as an application would write it: a record of one call of a model.
pub fn completion(out: &mut impl Write, line: u64, random: &mut Random) -> io::Result<()> {
    const MODELS: [&str; 4] = ["gpt-4.1-mini", "gpt-4o", "claude-sonnet-4", "mistral-small"];
    let (prompt, completion) = (100 + random.below(4_000), 20 + random.below(900));
    writeln!(
        out,
        "{{\"ts\":\"{}\",\"level\":\"info\",\"logger\":\"api.llm\",\"event\":\"llm.completion\",\
         \"status\":200,\"request_id\":\"req_{:016x}{:08x}\",\"org_id\":\"org_{:04}\",\
         \"user\":{{\"id\":\"u_{:06}\",\"plan\":\"pro\"}},\"model\":\"{}\",\
         \"usage\":{{\"prompt_tokens\":{prompt},\"completion_tokens\":{completion},\"total_tokens\":{}}},\
         \"cost_usd\":0.{:06},\"duration_ms\":{}.{:03},\"path\":\"/v1/chat/completions\",\
         \"host\":\"api-{}\",\"msg\":\"completed \\\"chat\\\" in due time for all\"}}",
        Clock(line),
        random.next(),
        random.below(1 << 32),
        random.below(500),
        random.below(20_000),
        MODELS[usize::try_from(random.below(4)).expect("below four")],
        prompt + completion,
        1 + random.below(99_999),
        random.below(9_000),
        random.below(1_000),
        random.below(8),
    )
}

/// A line of the same service that nobody is billed for.
pub fn request(out: &mut impl Write, line: u64, random: &mut Random) -> io::Result<()> {
    const PATHS: [&str; 4] = ["/v1/models", "/healthz", "/v1/files/list", "/v1/sessions"];
    const LEVELS: [&str; 4] = ["info", "info", "debug", "warning"];
    writeln!(
        out,
        "{{\"ts\":\"{}\",\"level\":\"{}\",\"logger\":\"api.http\",\"event\":\"http.request\",\
         \"status\":{},\"request_id\":\"req_{:016x}{:08x}\",\"org_id\":\"org_{:04}\",\
         \"user\":{{\"id\":\"u_{:06}\",\"plan\":\"pro\"}},\"method\":\"GET\",\"path\":\"{}\",\
         \"bytes_in\":{},\"bytes_out\":{},\"duration_ms\":{}.{:03},\
         \"agent\":\"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\",\"remote\":\"10.{}.{}.{}\",\
         \"host\":\"api-{}\",\"msg\":\"request done\"}}",
        Clock(line),
        LEVELS[usize::try_from(random.below(4)).expect("below four")],
        200 + random.below(2) * 4,
        random.next(),
        random.below(1 << 32),
        random.below(500),
        random.below(20_000),
        PATHS[usize::try_from(random.below(4)).expect("below four")],
        random.below(4_096),
        random.below(65_536),
        random.below(900),
        random.below(1_000),
        random.below(256),
        random.below(256),
        random.below(256),
        random.below(8),
    )
}
