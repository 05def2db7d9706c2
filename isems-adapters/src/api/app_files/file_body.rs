//! A file as the body of an answer, a piece at a time.

use std::{
    fs::File,
    io::{self, Read as _},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use hyper::body::{Body, Bytes, Frame, SizeHint};

use crate::api::{
    body,
    scarce::Share,
    turns::{Phase, Turns},
};

/// How much of a file is in memory at once.
const PIECE: u64 = 64 * 1024;

type Read = Pin<Box<dyn Future<Output = io::Result<(File, Vec<u8>)>> + Send>>;

/// The first `left` bytes of a file, which were all of it when it was opened.
/// The place is held until the last of them is written.
pub(super) struct FileBody {
    state: State,
    left: u64,
    place: Arc<Share>,
    turns: Arc<Turns>,
}

enum State {
    Idle(File),
    Reading(Read),
    Over,
}

impl FileBody {
    pub(super) fn new(file: File, length: u64, place: Share, turns: Arc<Turns>) -> Self {
        Self { state: State::Idle(file), left: length, place: Arc::new(place), turns }
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
            this.state = State::Over;
        }
        let mut reading = match std::mem::replace(&mut this.state, State::Over) {
            State::Over => return Poll::Ready(None),
            State::Idle(file) => read(file, this.left.min(PIECE), Arc::clone(&this.turns)),
            State::Reading(reading) => reading,
        };
        let Poll::Ready(read) = reading.as_mut().poll(cx) else {
            this.state = State::Reading(reading);
            return Poll::Pending;
        };
        let (file, piece) = match read {
            Ok(read) => read,
            Err(error) => return Poll::Ready(Some(Err(error))),
        };
        if piece.is_empty() {
            // The length was promised; the client must not take this for all.
            let what = "the file became shorter while it was being sent";
            return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::UnexpectedEof, what))));
        }
        this.state = State::Idle(file);
        this.left -= piece.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(body::holding(piece, Arc::clone(&this.place))))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

fn read(file: File, most: u64, turns: Arc<Turns>) -> Read {
    Box::pin(async move {
        let read = turns.blocking(move || {
            let mut piece = Vec::with_capacity(usize::try_from(most).unwrap_or(0));
            (&file).take(most).read_to_end(&mut piece)?;
            Ok((file, piece))
        });
        let read = turns.within(Phase::UnderWay, read).await;
        read.flatten().map_err(|problem| io::Error::other(problem.text()))?
    })
}
