//! Columns, named by the first line.

#![no_main]

use std::sync::LazyLock;

use floe_fuzz::Target;
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let fields = ["a", "b", r#""c d""#];
    Target::new(
        r#"format = "delimited"
header = "first_line""#,
        &fields,
        "{a | timestamp('%Y-%m-%d %H:%M:%S', 'UTC')}",
    )
});

fuzz_target!(|bytes: &[u8]| TARGET.check(bytes));
