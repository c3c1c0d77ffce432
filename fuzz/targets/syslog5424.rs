//! syslog of RFC 5424.

#![no_main]

use std::sync::LazyLock;

use floe_fuzz::Target;
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let fields = [
        "hostname",
        r#"sd."a@1".b"#,
        r#"sd."a@1".c"#,
        "app_name",
        "proc_id",
        "msg_id",
        "pri",
        "facility",
        "severity",
        "version",
        "message",
    ];
    Target::new(r#"format = "syslog-rfc5424""#, &fields, "{timestamp}")
});

fuzz_target!(|bytes: &[u8]| TARGET.check(bytes));
