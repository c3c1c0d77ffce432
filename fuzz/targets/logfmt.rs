//! logfmt behind a prefix.

#![no_main]

use std::sync::LazyLock;

use floe_fuzz::Target;
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let fields = ["a", "b", "c.d"];
    Target::new(
        r#"prefix = '(?<a>\d*):?'
format = "logfmt""#,
        &fields,
        "{a | epoch_ms}",
    )
});

fuzz_target!(|bytes: &[u8]| TARGET.check(bytes));
