//! nginx's `combined`.

#![no_main]

use std::sync::LazyLock;

use floe_fuzz::Target;
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let fields = [
        "remote_user",
        "remote_addr",
        "time_local",
        "request",
        "request_method",
        "request_uri",
        "server_protocol",
        "status",
        "body_bytes_sent",
        "http_referer",
        "http_user_agent",
        "rest",
    ];
    Target::new(r#"format = "nginx-combined""#, &fields, "{time_local | timestamp('%d/%b/%Y:%H:%M:%S %z')}")
});

fuzz_target!(|bytes: &[u8]| TARGET.check(bytes));
