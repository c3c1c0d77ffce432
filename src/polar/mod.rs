//! Stub until the contract lands.

/// Stub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 2xx with counts.
    Accepted { inserted: u64, duplicates: u64 },
}
