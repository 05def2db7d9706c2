//! A file as the body of an answer, a piece at a time.

use std::{
    fs::File,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::io::{AsyncRead, ReadBuf};

/// How much of a file is in memory at once.
const PIECE: usize = 64 * 1024;

/// The first `left` bytes of a file, which were all of it when it was opened.
pub(super) struct FileBody {
    file: tokio::fs::File,
    buffer: Box<[u8]>,
    left: u64,
}

impl FileBody {
    pub(super) fn new(file: File, length: u64) -> Self {
        let mut file = tokio::fs::File::from_std(file);
        file.set_max_buf_size(PIECE);
        Self { file, buffer: Box::default(), left: length }
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if this.left == 0 {
            return Poll::Ready(None);
        }
        if this.buffer.is_empty() {
            this.buffer = vec![0; PIECE].into();
        }
        let most = usize::try_from(this.left).map_or(PIECE, |left| left.min(PIECE));
        let mut buf = ReadBuf::new(&mut this.buffer[..most]);
        ready!(Pin::new(&mut this.file).poll_read(cx, &mut buf))?;
        let read = Bytes::copy_from_slice(buf.filled());
        if read.is_empty() {
            // The length was promised; the client must not take this for all.
            let what = "the file became shorter while it was being sent";
            return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::UnexpectedEof, what))));
        }
        this.left -= read.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(read))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
