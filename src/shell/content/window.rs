//! Bytes that come in at one end, in pieces, and go at the other. The room is used again, and is not cleared before.

use std::collections::VecDeque;

/// Room that is made at once.
pub(super) const STEP: usize = 64 * 1024;

/// Room of a piece that is made ahead: a decoder copies what it needs of the last one, so larger ones cost less.
const LARGE: usize = 256 * 1024;

/// Pieces whose room is kept for others.
const MOST_SPARE: usize = 16;

/// Some of the bytes, and room for more.
#[derive(Default)]
pub(super) struct Piece {
    bytes: Vec<u8>,
    filled: usize,
}

impl Piece {
    fn of(size: usize) -> Self {
        Self { bytes: vec![0; size], filled: 0 }
    }

    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.filled..]
    }

    /// So many bytes of the room were filled.
    pub(super) fn fill(&mut self, count: usize) {
        self.filled += count;
        debug_assert!(self.filled <= self.bytes.len());
    }
}

#[derive(Default)]
pub(super) struct Window {
    pieces: VecDeque<Piece>,
    /// Bytes of the first piece that went.
    gone: usize,
    len: usize,
    spare: Vec<Piece>,
}

impl Window {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Copies what stands from `skipped` on, as much as fits; returns how much that is.
    pub(super) fn copy(&self, skipped: usize, buffer: &mut [u8]) -> usize {
        let mut skipped = self.gone.saturating_add(skipped);
        let mut copied = 0;
        for piece in &self.pieces {
            let bytes = piece.bytes[..piece.filled].get(skipped..).unwrap_or_default();
            skipped = skipped.saturating_sub(piece.filled);
            let count = bytes.len().min(buffer.len() - copied);
            buffer[copied..copied + count].copy_from_slice(&bytes[..count]);
            copied += count;
            if copied == buffer.len() {
                break;
            }
        }
        copied
    }

    /// Room for at most [`STEP`] more.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.pieces.back().is_none_or(|last| last.filled == last.bytes.len()) {
            self.pieces.push_back(Piece::of(STEP));
        }
        let room = self.pieces.back_mut().expect("it was just made").room();
        let count = room.len().min(STEP);
        &mut room[..count]
    }

    /// So many bytes of the room were filled.
    pub(super) fn fill(&mut self, count: usize) {
        if let Some(last) = self.pieces.back_mut() {
            last.fill(count);
        }
        self.len += count;
    }

    /// An empty piece, for [`Window::push`].
    pub(super) fn spare(&mut self) -> Piece {
        self.spare.pop().unwrap_or_else(|| Piece::of(LARGE))
    }

    /// Takes in what comes next.
    pub(super) fn push(&mut self, piece: Piece) {
        self.len += piece.filled;
        self.pieces.push_back(piece);
    }

    /// The first `count` bytes go.
    pub(super) fn pass(&mut self, count: usize) {
        debug_assert!(count <= self.len);
        self.len -= count;
        self.gone += count;
        while self.pieces.front().is_some_and(|first| first.filled <= self.gone) {
            let Some(mut first) = self.pieces.pop_front() else { break };
            self.gone -= first.filled;
            if first.bytes.len() == LARGE && self.spare.len() < MOST_SPARE {
                first.filled = 0;
                self.spare.push(first);
            }
        }
    }

    /// Whether there is more room than a step beyond what it holds.
    pub(super) fn has_much_room(&self) -> bool {
        let rooms = self.pieces.iter().chain(&self.spare).map(|piece| piece.bytes.len());
        rooms.sum::<usize>() > self.len + STEP
    }

    /// Frees the room.
    pub(super) fn shrink(&mut self) {
        let mut bytes = vec![0; self.len];
        self.copy(0, &mut bytes);
        let pieces = VecDeque::from([Piece { filled: bytes.len(), bytes }]);
        *self = Self { len: self.len, pieces, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_in_goes_out_in_its_order_and_room_is_used_again() {
        let mut window = Window::default();
        let (mut written, mut passed) = (0_usize, 0_usize);
        let mut write = |room: &mut [u8]| {
            room.iter_mut().for_each(|byte| {
                *byte = (written % 251) as u8;
                written += 1;
            });
            written
        };
        for round in 0..2_000 {
            let all = if round % 3 == 0 {
                let mut piece = window.spare();
                let count = round * 7919 % LARGE + 1;
                let all = write(&mut piece.room()[..count]);
                piece.fill(count);
                window.push(piece);
                all
            } else {
                let room = window.room();
                let count = round * 7919 % room.len() + 1;
                let all = write(&mut room[..count]);
                window.fill(count);
                all
            };
            // Up to four steps stay.
            let gone = window.len().saturating_sub(round % 4 * STEP);
            window.pass(gone);
            passed += gone;
            if round % 100 == 0 {
                window.shrink();
            }
            assert_eq!(window.len(), all - passed);
            let skipped = window.len() / 3;
            let mut stays = vec![0; window.len()];
            assert_eq!(window.copy(skipped, &mut stays), window.len() - skipped, "{round}");
            let mut stays = stays[..window.len() - skipped].iter().enumerate().step_by(97);
            assert!(stays.all(|(at, byte)| *byte == ((passed + skipped + at) % 251) as u8), "{round}");
            let room: usize = window.pieces.iter().chain(&window.spare).map(|piece| piece.bytes.len()).sum();
            assert!(room <= 10 * LARGE, "{room}");
        }
    }
}
