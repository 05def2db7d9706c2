//! Bodies that hold on to something until their last byte is written.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Frame, SizeHint};

/// The body of an answer: of known size or streamed.
pub(super) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

pub(super) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Bytes that keep `held` until nobody has them any more. An HTTP server drops
/// them when they are handed to the kernel, not when the body was polled.
pub(super) fn holding<H: Send + 'static>(
    bytes: impl AsRef<[u8]> + Send + 'static,
    held: H,
) -> Bytes {
    struct Owner<B, H> {
        bytes: B,
        _held: H,
    }
    impl<B: AsRef<[u8]>, H> AsRef<[u8]> for Owner<B, H> {
        fn as_ref(&self) -> &[u8] {
            self.bytes.as_ref()
        }
    }
    Bytes::from_owner(Owner { bytes, _held: held })
}

/// A body each of whose parts keeps a clone of `held` until it is written.
pub(super) struct Held<H> {
    inner: Body,
    held: H,
}

impl<H> Held<H> {
    pub(super) fn new(inner: Body, held: H) -> Self {
        Self { inner, held }
    }
}

impl<H: Clone + Send + Unpin + 'static> hyper::body::Body for Held<H> {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.inner).poll_frame(cx));
        let held = &self.held;
        Poll::Ready(
            frame.map(|frame| {
                frame.map(|frame| frame.map_data(|bytes| holding(bytes, held.clone())))
            }),
        )
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
