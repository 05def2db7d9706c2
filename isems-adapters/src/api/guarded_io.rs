//! A connection that is not waited for endlessly.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

use super::{client::Client, settings::ApiLimits};

/// A stream that may end in a way that no peer takes for its regular end.
pub(super) trait Breakable {
    /// From now on, unless it is taken back, the end of the stream (also that of
    /// the process) is a reset.
    fn break_at_the_end(&self, yes: bool);
}

impl Breakable for TcpStream {
    fn break_at_the_end(&self, yes: bool) {
        #[expect(deprecated, reason = "it is about waiting; this takes a waiting of none back")]
        let set = if yes { self.set_zero_linger() } else { self.set_linger(None) };
        // If it cannot be set, the connection is closed already.
        let _ = set;
    }
}

/// A stream whose peer must read: waiting for it uses up credit, bytes taken
/// give some back, and without credit the connection ends.
///
/// If a request was answered before its body was read ([`Self::unread`]), the
/// rest is read and thrown away for a moment at the end: closing at once would
/// reset the connection, and the answer would be lost on its way.
///
/// While an answer is written whose end is that of the connection
/// ([`Self::open_ended`]), any end but [`AsyncWrite::poll_shutdown`] is a reset:
/// what breaks off is not to look complete.
pub(super) struct GuardedIo<T> {
    inner: T,
    client: Arc<Client>,
    credit: Duration,
    most_credit: Duration,
    per_byte: Duration,
    blocked: Option<Blocked>,
    unread: Arc<AtomicBool>,
    lingering: Option<Linger>,
    open_ended: Arc<AtomicBool>,
    is_breakable: bool,
}

struct Blocked {
    since: Instant,
    end: Pin<Box<Sleep>>,
}

struct Linger {
    bytes_left: usize,
    end: Pin<Box<Sleep>>,
}

impl Linger {
    const TIME: Duration = Duration::from_secs(2);
    const BYTES: usize = 4 * 1024 * 1024;
}

impl<T> GuardedIo<T> {
    pub(super) fn new(inner: T, client: Arc<Client>, limits: &ApiLimits) -> Self {
        Self {
            inner,
            client,
            credit: limits.write_stall,
            most_credit: limits.write_stall,
            per_byte: Duration::from_secs(1) / limits.slowest_reader.max(1),
            blocked: None,
            unread: Arc::default(),
            lingering: None,
            open_ended: Arc::default(),
            is_breakable: false,
        }
    }

    /// To be set when a request's body was not read to its end.
    pub(super) fn unread(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.unread)
    }

    /// To be set before an answer begins that ends with the connection.
    pub(super) fn open_ended(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.open_ended)
    }

    /// Keeps account of a write; turns waiting without credit into an error.
    fn account(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(result) = written {
            if let Some(blocked) = self.blocked.take() {
                self.credit = self.credit.saturating_sub(blocked.since.elapsed());
            }
            let bytes = result.as_ref().copied().unwrap_or(0);
            self.client.goes_on(bytes);
            let earned = self.per_byte.saturating_mul(u32::try_from(bytes).unwrap_or(u32::MAX));
            self.credit = self.credit.saturating_add(earned).min(self.most_credit);
            return Poll::Ready(result);
        }
        let credit = self.credit;
        let blocked = self.blocked.get_or_insert_with(|| {
            let since = Instant::now();
            self.client.stalls(since);
            let end = Box::pin(sleep_until(since + credit));
            Blocked { since, end }
        });
        ready!(blocked.end.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client takes its answer too slowly",
        )))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for GuardedIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: Breakable> GuardedIo<T> {
    fn be_breakable(&mut self, yes: bool) {
        if self.is_breakable != yes {
            self.is_breakable = yes;
            self.inner.break_at_the_end(yes);
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Breakable + Unpin> AsyncWrite for GuardedIo<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.open_ended.load(Ordering::Relaxed) {
            self.be_breakable(true);
        }
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.account(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.open_ended.load(Ordering::Relaxed) {
            self.be_breakable(true);
        }
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.account(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.lingering.is_none() {
            this.be_breakable(false);
            ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
            if !this.unread.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
        }
        let linger = this.lingering.get_or_insert_with(|| Linger {
            bytes_left: Linger::BYTES,
            end: Box::pin(sleep_until(Instant::now() + Linger::TIME)),
        });
        let mut scratch = [0; 8192];
        while linger.bytes_left > 0 && linger.end.as_mut().poll(cx).is_pending() {
            let mut buf = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut buf))?;
            match buf.filled().len() {
                0 => break,
                read => linger.bytes_left = linger.bytes_left.saturating_sub(read),
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    impl Breakable for DuplexStream {
        fn break_at_the_end(&self, _: bool) {}
    }

    fn limits() -> ApiLimits {
        ApiLimits {
            write_stall: Duration::from_secs(20),
            slowest_reader: 1024,
            ..ApiLimits::default()
        }
    }

    async fn bounded<T>(future: impl Future<Output = T>) -> T {
        let hour = Duration::from_hours(1);
        tokio::time::timeout(hour, future).await.expect("never ends")
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_stops_is_given_up_when_its_credit_is_used_up() {
        let (ours, _theirs) = duplex(1024);
        let mut io = GuardedIo::new(ours, Arc::default(), &limits());
        let start = Instant::now();
        let error = bounded(io.write_all(&[0; 4096])).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed().as_secs(), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_below_the_slowest_rate_is_given_up_though_it_never_stops() {
        let (ours, mut theirs) = duplex(64);
        let mut io = GuardedIo::new(ours, Arc::default(), &limits());
        let reader = tokio::spawn(async move {
            while theirs.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let error = bounded(io.write_all(&vec![0; 64 * 1024])).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(io);
        reader.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_at_the_slowest_rate_gets_everything_however_long_it_takes() {
        let (ours, mut theirs) = duplex(2048);
        let mut io = GuardedIo::new(ours, Arc::default(), &limits());
        let reader = tokio::spawn(async move {
            let (mut all, mut buf) = (0, [0; 2048]);
            while let Ok(read @ 1..) = theirs.read(&mut buf).await {
                all += read;
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            all
        });
        bounded(io.write_all(&vec![0; 256 * 1024])).await.unwrap();
        drop(io);
        assert_eq!(reader.await.unwrap(), 256 * 1024);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_client_takes_is_told_to_those_who_wait_for_it() {
        // Given a client that takes a kilobyte each second
        let (ours, mut theirs) = duplex(1024);
        let client = Arc::new(Client::default());
        let mut io = GuardedIo::new(ours, Arc::clone(&client), &limits());
        let reader = tokio::spawn(async move {
            while theirs.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let written = tokio::spawn(async move { io.write_all(&vec![0; 64 * 1024]).await });
        // Then it is known after a while that this is too little, and not before
        let patience = Duration::from_secs(5);
        let begin = Instant::now();
        while client.lags(patience).is_none() {
            assert!(begin.elapsed() < Duration::from_mins(1));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(begin.elapsed() > Duration::from_secs(30), "{:?}", begin.elapsed());
        written.abort();
        reader.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_read_of_a_request_is_taken_in_at_the_end_but_not_for_ever() {
        let (ours, mut theirs) = duplex(1024);
        let mut io = GuardedIo::new(ours, Arc::default(), &limits());
        io.unread().store(true, Ordering::Relaxed);
        let client = tokio::spawn(async move {
            theirs.write_all(&vec![0; 64 * 1024]).await.unwrap();
            theirs
        });
        let start = Instant::now();
        bounded(io.shutdown()).await.unwrap();
        assert_eq!(start.elapsed(), Linger::TIME, "the client never closes");
        drop(client.await.unwrap());
    }
}
