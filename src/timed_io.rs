//! A connection's bytes, with the deadlines that hyper has not: a request's head must be complete soon after its first byte, and
//! a client that takes no bytes of its answer is given up.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// What a connection is doing, and since when.
#[derive(Clone, Debug)]
pub struct Phase(Arc<Mutex<(Doing, Instant)>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// Nothing has come yet.
    Beginning,
    /// A head comes.
    Head,
    /// A request runs.
    Request,
    /// The last answer is through.
    Idle,
}

impl Phase {
    /// A new connection: its first head is awaited.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new((Doing::Beginning, Instant::now()))))
    }

    /// A head is complete; its request runs.
    pub fn begin_request(&self) {
        self.set(Doing::Request);
    }

    /// The answer is through; the connection waits for another head.
    pub fn end_request(&self) {
        self.set(Doing::Idle);
    }

    /// Since when the connection has had no request; `None` while it has one.
    #[must_use]
    pub fn waits_since(&self) -> Option<Instant> {
        let (doing, since) = *self.now();
        (doing != Doing::Request).then_some(since)
    }

    /// Whether a part of a head has come.
    #[must_use]
    pub fn is_within_head(&self) -> bool {
        self.now().0 == Doing::Head
    }

    fn set(&self, doing: Doing) {
        *self.now() = (doing, Instant::now());
    }

    fn now(&self) -> MutexGuard<'_, (Doing, Instant)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream with deadlines.
#[derive(Debug)]
pub struct TimedIo<S> {
    inner: S,
    phase: Phase,
    head: Deadline,
    write: Deadline,
}

#[derive(Debug)]
struct Deadline {
    after: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    fn new(after: Duration) -> Self {
        Self { after, timer: None }
    }

    fn stop(&mut self) {
        self.timer = None;
    }

    fn poll(&mut self, cx: &mut Context<'_>, what: &'static str) -> Poll<io::Error> {
        let after = self.after;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(after)));
        timer
            .as_mut()
            .poll(cx)
            .map(|()| io::Error::new(io::ErrorKind::TimedOut, what))
    }
}

impl<S> TimedIo<S> {
    /// Wraps a stream; `head` bounds the time for a request's head, `write` the time that the client takes no byte.
    #[must_use]
    pub fn new(inner: S, phase: Phase, head: Duration, write: Duration) -> Self {
        Self {
            inner,
            phase,
            head: Deadline::new(head),
            write: Deadline::new(write),
        }
    }

    /// The stream itself.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }

    fn after_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.write.stop();
            return polled;
        }
        self.write.poll(cx, "the client takes no bytes").map(Err)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.inner).poll_read(cx, buf);
        let (doing, _) = *this.phase.now();
        let has_more = buf.filled().len() > before;
        if has_more && matches!(doing, Doing::Idle | Doing::Beginning) {
            this.phase.set(Doing::Head);
        }
        match doing {
            // Without a first byte a head is as late as without its last.
            Doing::Beginning | Doing::Head if polled.is_pending() => this
                .head
                .poll(cx, "the request's head is too slow")
                .map(Err),
            Doing::Beginning | Doing::Head => polled,
            Doing::Idle | Doing::Request => {
                this.head.stop();
                polled
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimedIo<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.after_write(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        self.after_write(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.after_write(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.after_write(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const HEAD_MAX: Duration = Duration::from_millis(100);
    const WRITE_MAX: Duration = Duration::from_millis(300);

    fn timed(
        buffer_bytes: usize,
    ) -> (
        TimedIo<tokio::io::DuplexStream>,
        tokio::io::DuplexStream,
        Phase,
    ) {
        let (ours, theirs) = tokio::io::duplex(buffer_bytes);
        let phase = Phase::new();
        let io = TimedIo::new(ours, phase.clone(), HEAD_MAX, WRITE_MAX);
        (io, theirs, phase)
    }

    #[tokio::test]
    async fn head_that_drips_is_given_up_after_its_deadline() {
        let (mut io, mut theirs, _phase) = timed(64);
        let began = Instant::now();
        let dripping = tokio::spawn(async move {
            for _ in 0..100 {
                tokio::time::sleep(Duration::from_millis(10)).await;
                if theirs.write_all(b"G").await.is_err() {
                    break;
                }
            }
        });
        let failed = loop {
            if let Err(error) = io.read_u8().await {
                break error;
            }
        };
        assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
        assert!((HEAD_MAX..5 * HEAD_MAX).contains(&began.elapsed()));
        dripping.abort();
    }

    #[tokio::test]
    async fn waiting_connection_and_running_request_have_no_head_deadline() {
        let (mut io, mut theirs, phase) = timed(64);
        for wait in [Phase::begin_request, Phase::end_request] {
            wait(&phase);
            let long = tokio::time::timeout(3 * HEAD_MAX, io.read_u8()).await;
            assert!(long.is_err(), "still waiting");
        }
        let began = Instant::now();
        theirs.write_all(b"G").await.unwrap();
        assert_eq!(io.read_u8().await.unwrap(), b'G');
        let failed = io.read_u8().await.unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
        assert!((HEAD_MAX..5 * HEAD_MAX).contains(&began.elapsed()));
    }

    #[tokio::test]
    async fn client_that_takes_nothing_is_given_up() {
        let (mut io, _theirs, _phase) = timed(8);
        let began = Instant::now();
        let failed = io.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
        assert!((WRITE_MAX..5 * WRITE_MAX).contains(&began.elapsed()));
    }
}
