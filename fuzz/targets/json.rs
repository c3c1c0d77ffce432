//! JSON lines.

#![no_main]

use std::sync::LazyLock;

use floe_fuzz::Target;
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let fields = ["a", "b.c", "b.d[0]", r#""é""#];
    Target::new(r#"format = "json""#, &fields, "{a | epoch_ms}")
});

fuzz_target!(|bytes: &[u8]| TARGET.check(bytes));
