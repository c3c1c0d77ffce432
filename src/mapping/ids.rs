//! Ids of many events at once.
//!
//! The hash of one short text cannot be made much quicker, since each of its blocks waits for the one before. But a
//! processor computes with many numbers at once, and so hashes sixteen texts in hardly more time than one. So an event
//! is written with room for its id, and what that is made of is kept until there are enough of them. What an id is does
//! not change by it: `identity` says that, and a test below compares.

use blake3::IncrementCounter;
use blake3::platform::{Platform, words_from_le_bytes_32};

use super::identity::{ID_BYTES, base32};

/// So many ids are owed at most.
const MOST: usize = 64;

/// So many texts are hashed at once, where the processor can.
const TOGETHER: usize = 16;

/// What is longer is hashed at once by itself: blake3 makes more than one chunk of it.
const CHUNK_BYTES: usize = 1024;

const BLOCK_BYTES: usize = 64;

// Flags of a block, as blake3's specification has them (section 2.2).
const CHUNK_START: u8 = 1;
const CHUNK_END: u8 = 1 << 1;
const ROOT: u8 = 1 << 3;
const KEYED_HASH: u8 = 1 << 4;

/// Ids that are owed to events of a body.
#[derive(Debug, Default)]
pub(super) struct Ids {
    /// What they are made of, one behind the other, each from a whole block on and filled up with zeros.
    texts: Vec<u8>,
    /// In the order of their places.
    owed: Vec<Owed>,
}

#[derive(Debug, Clone, Copy)]
struct Owed {
    /// Of the id in the body.
    place: usize,
    /// Of the text in `texts`.
    start: usize,
    length: usize,
}

impl Ids {
    /// Takes the text of an id that belongs to `place` in the body. Gives the id, or what holds its place until
    /// [`Ids::pay`].
    pub fn owe(&mut self, key: &[u8; 32], place: usize, text: impl FnOnce(&mut Vec<u8>)) -> [u8; ID_BYTES] {
        let start = self.texts.len();
        text(&mut self.texts);
        let length = self.texts.len() - start;
        if length > CHUNK_BYTES {
            let hash = blake3::keyed_hash(key, &self.texts[start..]);
            self.texts.truncate(start);
            return base32(hash.as_bytes()[..16].try_into().expect("a hash has 32 bytes"));
        }
        self.texts.resize(start + length.next_multiple_of(BLOCK_BYTES), 0);
        self.owed.push(Owed { place, start, length });
        [b'-'; ID_BYTES]
    }

    /// Whether it is time to pay.
    pub fn are_many(&self) -> bool {
        self.owed.len() >= MOST
    }

    /// Forgets what is owed to the body from `end` on.
    pub fn forget_beyond(&mut self, end: usize) {
        while let Some(owed) = self.owed.pop_if(|owed| owed.place >= end) {
            self.texts.truncate(owed.start);
        }
    }

    /// Writes all ids that are owed.
    pub fn pay(&mut self, key: &[u8; 32], body: &mut [u8]) {
        let (platform, key) = (Platform::detect(), words_from_le_bytes_32(key));
        // Those of as many blocks go together. The shortest of a group says how far. Most logs have lines of one length.
        if !self.owed.is_sorted_by_key(Owed::blocks_before_last) {
            self.owed.sort_unstable_by_key(Owed::blocks_before_last);
        }
        for group in self.owed.chunks(TOGETHER) {
            let mut states = [key; TOGETHER];
            let together = group[0].blocks_before_last();
            begin(platform, &self.texts, group, &key, together, &mut states);
            for (owed, state) in group.iter().zip(&mut states) {
                let hash = owed.end(platform, &self.texts, state, together);
                body[owed.place..owed.place + ID_BYTES].copy_from_slice(&base32(hash));
            }
        }
        self.owed.clear();
        self.texts.clear();
    }
}

impl Owed {
    fn blocks_before_last(&self) -> usize {
        self.length.div_ceil(BLOCK_BYTES).saturating_sub(1)
    }

    /// Hashes from block `from` on.
    fn end(&self, platform: Platform, texts: &[u8], state: &mut [u32; 8], from: usize) -> [u8; 16] {
        let last = self.blocks_before_last();
        for block in from..=last {
            let at = self.start + block * BLOCK_BYTES;
            let bytes = texts[at..].first_chunk().expect("texts are filled up to whole blocks");
            let mut flags = if block == 0 { KEYED_HASH | CHUNK_START } else { KEYED_HASH };
            let mut length = BLOCK_BYTES;
            if block == last {
                flags |= CHUNK_END | ROOT;
                length = self.length - block * BLOCK_BYTES;
            }
            platform.compress_in_place(state, bytes, length as u8, 0, flags);
        }
        let mut hash = [0; 16];
        for (bytes, word) in hash.chunks_exact_mut(4).zip(state) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        hash
    }
}

/// Hashes the first `blocks` blocks of each text, none of which is its last.
fn begin(
    platform: Platform,
    texts: &[u8],
    group: &[Owed],
    key: &[u32; 8],
    blocks: usize,
    states: &mut [[u32; 8]; TOGETHER],
) {
    macro_rules! by_blocks {
        ($($count:literal)*) => {
            match blocks {
                $($count => begin_of::<{ $count * BLOCK_BYTES }>(platform, texts, group, key, states),)*
                _ => {}
            }
        };
    }
    by_blocks!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
}

fn begin_of<const BYTES: usize>(
    platform: Platform,
    texts: &[u8],
    group: &[Owed],
    key: &[u32; 8],
    states: &mut [[u32; 8]; TOGETHER],
) {
    let text = |owed: &Owed| texts[owed.start..].first_chunk::<BYTES>().expect("no text is shorter");
    let inputs: [_; TOGETHER] = std::array::from_fn(|at| text(group.get(at).unwrap_or(&group[0])));
    let mut out = [0; 32 * TOGETHER];
    let out = &mut out[..32 * group.len()];
    let inputs = &inputs[..group.len()];
    platform.hash_many(inputs, key, 0, IncrementCounter::No, KEYED_HASH, CHUNK_START, 0, out);
    for (state, bytes) in states.iter_mut().zip(out.as_chunks().0) {
        *state = words_from_le_bytes_32(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::identity::{external_id, write_text};
    use crate::model::Offset;

    const KEY: [u8; 32] = [7; 32];

    /// Writes lines of these lengths into a body, pays, and asks each for its id.
    #[track_caller]
    fn check(lengths: impl IntoIterator<Item = usize>) {
        let lines: Vec<Vec<u8>> =
            lengths.into_iter().map(|length| (0..length).map(|at| (at * length) as u8).collect()).collect();
        let (mut ids, mut body) = (Ids::default(), Vec::new());
        for (at, line) in (0_u64..).zip(&lines) {
            let id = ids.owe(&KEY, body.len(), |text| write_text(text, Offset(at), line, "slot", 3));
            body.extend_from_slice(&id);
        }
        ids.pay(&KEY, &mut body);
        for ((at, line), id) in (0_u64..).zip(&lines).zip(body.chunks(ID_BYTES)) {
            let wanted = external_id(&KEY, Offset(at), line, "slot", 3);
            assert_eq!(id, wanted, "{} of {} lines, of {} bytes", at + 1, lines.len(), line.len());
        }
        assert!(ids.owed.is_empty() && ids.texts.is_empty());
    }

    #[test]
    fn an_id_is_the_same_alone_and_among_others() {
        check([]);
        for length in 0..1200 {
            check([length]);
        }
        for count in [2, 3, 15, 16, 17, 33, 64] {
            check((0..count).map(|_| 443));
            check((0..count).map(|at| 440 + at % 9));
            check((0..count).map(|at| (at * 271) % 1100));
        }
    }

    #[test]
    fn what_is_taken_back_is_owed_no_more() {
        let mut ids = Ids::default();
        for (place, line) in [(0, "a"), (26, "b"), (52, "c")] {
            ids.owe(&KEY, place, |text| write_text(text, Offset(0), line.as_bytes(), "", 0));
        }
        ids.forget_beyond(26);
        let mut body = [b'-'; ID_BYTES];
        ids.pay(&KEY, &mut body);
        assert_eq!(body, external_id(&KEY, Offset(0), b"a", "", 0));
    }
}
