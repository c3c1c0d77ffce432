//! Files, places in them, and the prints by which they are recognised.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A byte offset in a file; of a compressed one, in its decompressed content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(pub u64);

impl Offset {
    pub const ZERO: Self = Self(0);

    #[must_use]
    pub const fn plus(self, bytes: u64) -> Self {
        Self(self.0 + bytes)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// The bytes from `start` up to, not including, `end`. Both are starts of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub start: Offset,
    pub end: Offset,
}

impl Span {
    #[must_use]
    pub const fn len(self) -> u64 {
        self.end.0 - self.start.0
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.end.0 == self.start.0
    }
}

/// One generation of one file as the agent follows it. Never used again in the life of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u32);

/// The place of a source in the settings' list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceIndex(pub u16);

/// What the file system calls a file.
///
/// The inode of a deleted file is given to another one, which was born later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileKey {
    pub device: u64,
    pub inode: u64,
    /// When it was made, in nanoseconds on the file system's clock; 0 where that is not told.
    #[serde(default)]
    pub born: u64,
}

/// How a rotated file was compressed, as its name says. Who compresses a log gives it a name that says so, and a log
/// that happens to begin like a compressed file stays what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    Gzip,
    Zstd,
}

impl Compression {
    const SUFFIXES: [(&str, Self); 2] = [(".gz", Self::Gzip), (".zst", Self::Zstd)];

    /// `app.log.1.gz` → `app.log.1`, gzip.
    #[must_use]
    pub fn split(path: &str) -> Option<(&str, Self)> {
        let found = Self::SUFFIXES.iter().find_map(|(suffix, of)| Some((path.strip_suffix(suffix)?, *of)));
        found.filter(|(kept, _)| !kept.is_empty() && !kept.ends_with('/'))
    }

    #[must_use]
    pub fn of_path(path: &str) -> Option<Self> {
        Self::split(path).map(|(_, compression)| compression)
    }
}

/// The print of the (at most [`Guard::REACH`]) bytes that stand before an offset.
///
/// Two guards are equal when the bytes were, but for a chance of 2⁻⁶⁴.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Guard {
    /// How many bytes were taken, at most [`Guard::REACH`].
    pub len: u8,
    pub print: u64,
}

impl Guard {
    /// Bytes that a guard looks back, at most.
    pub const REACH: usize = 64;

    /// The guard before offset 0.
    pub const NOTHING: Self = Self { len: 0, print: 0 };

    /// The guard at the end of `before`, which holds the bytes up to the offset (at least `REACH` of
    /// them, or all there are).
    #[must_use]
    pub fn at_end_of(before: &[u8]) -> Self {
        let tail = &before[before.len().saturating_sub(Self::REACH)..];
        if tail.is_empty() {
            return Self::NOTHING;
        }
        let len = u8::try_from(tail.len()).expect("a tail is at most REACH bytes");
        Self { len, print: short_print(tail) }
    }
}

/// A place in a file, and the guard of the bytes before it.
pub type Mark = (Offset, Guard);

/// The print of a file's first data line (at most its first KiB): part of each event's identity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Print(pub [u8; 16]);

impl Print {
    /// Reads what [`fmt::Display`] writes: 32 hex digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        let pair = |at: usize| {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            Some((digit(digits[2 * at])? << 4 | digit(digits[2 * at + 1])?) as u8)
        };
        if digits.len() != 32 {
            return None;
        }
        let mut bytes = [0; 16];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = pair(at)?;
        }
        Some(Self(bytes))
    }
}

/// Which content of a source: files whose prints are equal are told apart by their ordinals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Generation {
    pub print: Print,
    pub ordinal: u32,
}

impl fmt::Display for Print {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for Print {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Print({self})")
    }
}

/// The first eight bytes of blake3, little-endian: enough to tell honest bytes apart.
#[must_use]
pub fn short_print(bytes: &[u8]) -> u64 {
    let hash = blake3::hash(bytes);
    u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("a hash has 32 bytes"))
}
