//! Lines that real loggers wrote.

use floe::model::{Fate, Ignored};

use crate::support::{assert_polar_takes, events, map_all, rules, rules_with_limit};

fn sample(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/data/samples/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn a_raw_referer_that_is_not_utf8_costs_no_line() {
    let rules = rules(
        r#"
[[rules]]
id = "request"
when = { status = 200, request_method = "GET" }
[rules.event]
name = "request"
external_customer_id = "{remote_addr}"
timestamp = "{msec | epoch_s}"
metadata.referrer = "{http_referrer}"
metadata.bytes = "{body_bytes_sent}"
"#,
    );
    let mut log = sample("nginx-json-badutf8.log");
    assert!(std::str::from_utf8(&log).is_err());
    // The lines are of the day after the tests' clock: two days back.
    while let Some(at) = log.windows(6).position(|bytes| bytes == b"179521") {
        log[at..at + 6].copy_from_slice(b"179504");
    }
    let chunk = map_all(&rules, &log);
    assert_eq!(chunk.lines.len(), 10);
    assert_eq!(chunk.values_not_utf8, 10);
    assert!(events(&chunk.body)[0]["metadata"]["referrer"].as_str().unwrap().contains('\u{fffd}'));
    assert_polar_takes(&chunk.body);
}

#[test]
fn pino_and_structlog_lines_are_counted_as_expected() {
    let rules = rules_with_limit(
        "64KiB",
        r#"
[[rules]]
id = "pino"
when = { msg = "request ok" }
[rules.event]
name = "request"
external_customer_id = "{userId}"
metadata.ms = "{ms}"
metadata.path = "{path}"
[[rules]]
id = "structlog"
when = { event = "request.finished" }
[rules.event]
name = "request"
external_customer_id = "{request_id}"
metadata.ms = "{ms}"
"#,
    );
    for name in ["pino.log", "structlog.log"] {
        let chunk = map_all(&rules, &sample(name));
        assert_eq!(chunk.lines.len(), 10, "{name}");
        assert_eq!(chunk.settled.get(Fate::Ignored(Ignored::NoRule)).lines, 20, "{name}");
        assert_polar_takes(&chunk.body);
    }
}

#[test]
fn litellm_payloads_give_costs_that_polar_takes() {
    let log = sample("litellm-standard-logging-payload.log");
    let rules = rules_with_limit("64KiB", LITELLM);
    let chunk = map_all(&rules, &log);
    assert_eq!(chunk.lines.len(), 3);
    assert_eq!(events(&chunk.body)[0]["metadata"]["_cost"]["amount"], "0.00135");
    assert_polar_takes(&chunk.body);
}

const LITELLM: &str = r#"
[[rules]]
id = "litellm"
when = { status = "success", total_tokens = { gt = 0 } }
[rules.event]
name = "llm_usage"
external_customer_id = "{model_id}"
metadata._cost = { amount = "{response_cost | decimal | mul('100') | round(12)}", currency = "usd" }
"#;
