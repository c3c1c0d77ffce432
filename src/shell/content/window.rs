//! Bytes that come in at one end and go at the other. The room is used again, and is not cleared before.

/// Room that is made at once.
pub(super) const STEP: usize = 64 * 1024;

#[derive(Default)]
pub(super) struct Window {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Window {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    /// Room for [`STEP`] more.
    pub(super) fn room(&mut self) -> &mut [u8] {
        // Moving what is left costs, so it is done only once there is less of it than of what is gone.
        if self.buffer.len() < self.end + STEP && self.len() <= self.start {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.len());
        }
        if self.buffer.len() < self.end + STEP {
            self.buffer.resize(self.end + STEP, 0);
        }
        &mut self.buffer[self.end..self.end + STEP]
    }

    /// So many bytes of the room were filled.
    pub(super) fn fill(&mut self, count: usize) {
        self.end += count;
        debug_assert!(self.end <= self.buffer.len());
    }

    /// The first `count` bytes go.
    pub(super) fn pass(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.end);
    }

    /// Frees the room.
    pub(super) fn shrink(&mut self) {
        let bytes = self.bytes().to_vec();
        *self = Self { start: 0, end: bytes.len(), buffer: bytes };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_in_goes_out_in_its_order_and_room_is_used_again() {
        let mut window = Window::default();
        let (mut written, mut passed) = (0_usize, 0_usize);
        for round in 0..2_000 {
            let count = round * 7919 % STEP + 1;
            window.room()[..count].iter_mut().for_each(|byte| {
                *byte = (written % 251) as u8;
                written += 1;
            });
            window.fill(count);
            // Up to four steps stay.
            let gone = window.len().saturating_sub(round % 4 * STEP);
            window.pass(gone);
            passed += gone;
            if round % 100 == 0 {
                window.shrink();
            }
            let stays = window.bytes().iter().enumerate();
            assert!(stays.step_by(97).all(|(at, byte)| *byte == ((passed + at) % 251) as u8), "{round}");
            assert_eq!(window.len(), written - passed);
            assert!(window.buffer.len() <= 10 * STEP, "{}", window.buffer.len());
        }
    }
}
