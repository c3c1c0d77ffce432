//! syslog of RFC 3164.

#![no_main]

use std::sync::LazyLock;

use floe_fuzz::Target;
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let fields = ["hostname", "tag", "pid", "pri", "facility", "severity", "message"];
    Target::new(r#"format = "syslog-rfc3164""#, &fields, "{timestamp}")
});

fuzz_target!(|bytes: &[u8]| TARGET.check(bytes));
