//! Room for what is large and soon gone again.

/// glibc keeps what was freed for later, up to twice the largest block that it ever took back from a program. Blocks
/// beyond 32 MiB do not count there, and go straight back to the system.
const BEYOND_THE_HEAP: usize = 33 * 1024 * 1024;

/// An empty vector for megabytes that are needed now and then: no page of it costs memory before it is written to,
/// and none after the vector is dropped.
#[must_use]
pub fn passing_room<T>() -> Vec<T> {
    Vec::with_capacity(BEYOND_THE_HEAP / size_of::<T>().max(1))
}
