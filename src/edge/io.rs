//! A connection's bytes, with the deadlines that hyper has not: a request's head must be complete soon after its first byte, and
//! a client that takes no bytes of its answer is given up.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// What a connection is doing.
#[derive(Clone, Debug)]
pub struct Phase(Arc<AtomicU8>);

const IDLE: u8 = 0;
const HEAD: u8 = 1;
const BUSY: u8 = 2;

impl Phase {
    /// A new connection: its first head is awaited.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(AtomicU8::new(HEAD)))
    }

    /// A head is complete; its request runs.
    pub fn begin_request(&self) {
        self.0.store(BUSY, Ordering::Release);
    }

    /// The answer is through; the connection waits for another head.
    pub fn end_request(&self) {
        self.0.store(IDLE, Ordering::Release);
    }

    fn is(&self, phase: u8) -> bool {
        self.0.load(Ordering::Acquire) == phase
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
        if this.phase.is(IDLE) && buf.filled().len() > before {
            this.head.stop();
            this.phase.0.store(HEAD, Ordering::Release);
        }
        if !this.phase.is(HEAD) {
            this.head.stop();
        } else if polled.is_pending() {
            return this
                .head
                .poll(cx, "the request's head is too slow")
                .map(Err);
        }
        polled
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
    use tokio::time::Instant;

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
