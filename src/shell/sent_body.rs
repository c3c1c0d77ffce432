//! A request's body as the HTTP client takes it.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use crate::polar::Body;

/// Gives the pieces as they are. Its length is known, so it goes with a `Content-Length`.
#[derive(Debug)]
pub(super) struct SentBody {
    body: Body,
    next: usize,
    left: u64,
}

impl SentBody {
    pub fn new(body: Body) -> Self {
        let left = body.len() as u64;
        Self { body, next: 0, left }
    }
}

impl HttpBody for SentBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(piece) = self.body.pieces().get(self.next).cloned() else { return Poll::Ready(None) };
        self.next += 1;
        self.left -= piece.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.next == self.body.pieces().len()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
