//! The named groups of an expression.

#![no_main]

use std::sync::LazyLock;

use floe_fuzz::Target;
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let fields = ["b", "a", "c", "d"];
    Target::new(
        r#"format = "regex"
pattern = '^(?<a>\S*) (?<b>[^;]*);(?<c>.*)(?<d>\d)?'"#,
        &fields,
        "{a}",
    )
});

fuzz_target!(|bytes: &[u8]| TARGET.check(bytes));
