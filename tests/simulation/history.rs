//! The trace of one history: a hash to compare two runs by, and the words to read one run by.

/// FNV-1a, 64 bits: the trace is honest, so nothing stronger is needed.
#[derive(Debug)]
pub struct History {
    hash: u64,
    /// Printed as they come.
    told: bool,
    /// Notes of the last steps, kept for the report of a violation.
    recent: std::collections::VecDeque<String>,
}

const RECENT: usize = 12;

impl History {
    pub const fn new(told: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, told, recent: std::collections::VecDeque::new() }
    }

    pub fn note(&mut self, clock: u64, what: String) {
        self.mix(&clock.to_le_bytes());
        self.mix(what.as_bytes());
        if self.told {
            println!("{:>14.6}  {what}", clock as f64 / 1e9);
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(what);
    }

    fn mix(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    pub const fn hash(&self) -> u64 {
        self.hash
    }

    pub fn recent(&self) -> impl Iterator<Item = &str> {
        self.recent.iter().map(String::as_str)
    }
}
