//! The body of a request, in pieces.

use bytes::Bytes;

/// Pieces that make a body, one after the other. They are shared with whoever else keeps them: a batch is sent from where
/// its events were written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Body {
    pieces: Vec<Bytes>,
    length: usize,
}

impl Body {
    /// Goes on with `piece`.
    pub fn push(&mut self, piece: Bytes) {
        self.length += piece.len();
        self.pieces.push(piece);
    }

    /// In bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The pieces in their order.
    #[must_use]
    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }

    /// All of it in one piece.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        match self.pieces.as_slice() {
            [piece] => piece.clone(),
            pieces => pieces.concat().into(),
        }
    }

    /// The bytes from `start` to `end`: as they are, where they stand in one piece.
    ///
    /// # Panics
    /// When there are not so many.
    #[must_use]
    pub fn slice(&self, start: usize, end: usize) -> Bytes {
        let mut begins = 0;
        for piece in &self.pieces {
            if start < begins + piece.len() {
                if end <= begins + piece.len() {
                    return piece.slice(start - begins..end - begins);
                }
                break;
            }
            begins += piece.len();
        }
        self.to_bytes().slice(start..end)
    }
}

impl From<Vec<u8>> for Body {
    fn from(piece: Vec<u8>) -> Self {
        Bytes::from(piece).into()
    }
}

impl From<Bytes> for Body {
    fn from(piece: Bytes) -> Self {
        Self { length: piece.len(), pieces: vec![piece] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_of_the_whole() {
        let mut body = Body::default();
        ["abc", "d", "ef"].into_iter().for_each(|piece| body.push(Bytes::from_static(piece.as_bytes())));
        assert_eq!((body.len(), &body.to_bytes()[..]), (6, &b"abcdef"[..]));
        for start in 0..=6 {
            for end in start..=6 {
                assert_eq!(body.slice(start, end), b"abcdef"[start..end], "{start}..{end}");
            }
        }
    }
}
