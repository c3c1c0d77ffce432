//! Buffers for what is mapped, used again and again.
//!
//! They are filled by one thread and let go by another. Given back to the allocator each time they would lie about in
//! parts of the heap that no other thread is given anything from, and their pages would be asked of the system anew.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Buffers have a multiple of so many bytes, so that one that was given back fits the next who asks.
const STEP_BYTES: usize = 64 * 1024;

/// So many bytes are kept at most, while nobody uses them.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// Buffers that nobody uses now.
#[derive(Debug, Clone, Default)]
pub struct Spare(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

/// A buffer that goes back when the last who reads it has let it go.
#[derive(Debug)]
struct Lent {
    buffer: Vec<u8>,
    to: Spare,
}

impl Spare {
    /// Makes room for `more` bytes, elsewhere if need be.
    pub fn grow(&self, buffer: &mut Vec<u8>, more: usize) {
        if buffer.capacity() - buffer.len() < more {
            let mut larger = self.take(buffer.len() + more);
            larger.extend_from_slice(buffer);
            self.give(std::mem::replace(buffer, larger));
        }
    }

    /// An empty buffer with room for `least` bytes or more.
    fn take(&self, least: usize) -> Vec<u8> {
        let mut kept = self.lock();
        let fits = kept.buffers.iter().position(|buffer| buffer.capacity() >= least);
        // One that is too small will be so for the next as well.
        let taken = fits.or(kept.buffers.len().checked_sub(1)).map(|at| kept.buffers.swap_remove(at));
        kept.bytes -= taken.as_ref().map_or(0, Vec::capacity);
        drop(kept);
        match taken {
            Some(buffer) if buffer.capacity() >= least => buffer,
            _ => Vec::with_capacity(least.next_multiple_of(STEP_BYTES)),
        }
    }

    /// Shares what stands in a buffer. A large one comes back when nobody reads it any more.
    #[must_use]
    pub fn share(&self, buffer: Vec<u8>) -> Bytes {
        if buffer.capacity() < STEP_BYTES {
            return Bytes::from(buffer);
        }
        Bytes::from_owner(Lent { buffer, to: self.clone() })
    }

    /// Lets go what nobody uses.
    pub fn clear(&self) {
        *self.lock() = Kept::default();
    }

    fn give(&self, mut buffer: Vec<u8>) {
        let mut kept = self.lock();
        if buffer.capacity() >= STEP_BYTES && kept.bytes + buffer.capacity() <= MOST_BYTES {
            buffer.clear();
            kept.bytes += buffer.capacity();
            kept.buffers.push(buffer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.to.give(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many buffers are kept, and their bytes.
    fn state(spare: &Spare) -> (usize, usize) {
        let kept = spare.lock();
        (kept.buffers.len(), kept.bytes)
    }

    #[test]
    fn a_buffer_comes_back_with_the_last_who_reads_it() {
        let spare = Spare::default();
        let kept = || spare.lock().buffers.len();
        let mut buffer = spare.take(100_000);
        assert_eq!(buffer.capacity(), 2 * STEP_BYTES);
        buffer.extend_from_slice(b"abc");
        let place = buffer.as_ptr();
        let shared = spare.share(buffer);
        let part = shared.slice(1..);
        drop(shared);
        assert_eq!((kept(), &part[..]), (0, &b"bc"[..]));
        drop(part);
        assert_eq!(kept(), 1);
        let again = spare.take(1000);
        assert!(again.is_empty() && again.as_ptr() == place);
        assert_eq!(state(&spare), (0, 0));
    }

    #[test]
    fn what_grows_keeps_what_it_holds() {
        let spare = Spare::default();
        let mut buffer = b"abc".to_vec();
        spare.grow(&mut buffer, STEP_BYTES);
        assert_eq!(
            (&buffer[..], buffer.capacity(), spare.lock().buffers.len()),
            (&b"abc"[..], 2 * STEP_BYTES, 0)
        );
        spare.grow(&mut buffer, STEP_BYTES);
        assert_eq!(buffer.capacity(), 2 * STEP_BYTES, "there was room");
        spare.grow(&mut buffer, 2 * STEP_BYTES);
        assert_eq!((&buffer[..], spare.lock().buffers.len()), (&b"abc"[..], 1));
    }

    #[test]
    fn what_is_too_small_or_too_much_is_not_kept() {
        let spare = Spare::default();
        drop(spare.share(Vec::with_capacity(100)));
        assert_eq!(spare.lock().buffers.len(), 0, "a small one");
        (0..100).map(|_| spare.share(spare.take(STEP_BYTES))).collect::<Vec<_>>().clear();
        assert_eq!(state(&spare), (64, MOST_BYTES));
        assert!(spare.take(STEP_BYTES + 1).capacity() > STEP_BYTES);
        assert_eq!(spare.lock().buffers.len(), 63, "one that was too small went");
        spare.clear();
        assert_eq!(state(&spare), (0, 0));
    }
}
