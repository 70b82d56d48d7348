//! Bodies on their way up and down, with what a deadline needs to know about them.

use crate::region::{BodyError, ByteStream};
use bytes::Bytes;
use futures::StreamExt;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// No byte of the body was asked for: connecting, or writing the head.
    Opening,
    /// The body's source has nothing to send.
    Source,
    /// The store takes nothing.
    Upstream,
    /// Every byte was handed over: the store may act.
    Sent,
}

struct State {
    phase: Phase,
    since: Instant,
    failure: Option<BodyError>,
}

/// What the sender of a request knows about its body.
pub(super) struct Progress {
    state: Mutex<State>,
    cancelled: AtomicBool,
}

impl Progress {
    fn new(phase: Phase) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                phase,
                since: Instant::now(),
                failure: None,
            }),
            cancelled: AtomicBool::new(false),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn phase(&self) -> (Phase, Instant) {
        let state = self.lock();
        (state.phase, state.since)
    }

    pub(super) fn all_sent(&self) -> bool {
        self.lock().phase == Phase::Sent
    }

    pub(super) fn take_failure(&self) -> Option<BodyError> {
        self.lock().failure.take()
    }

    fn enter(&self, phase: Phase) {
        let mut state = self.lock();
        // A source that is polled again and again without a byte is still the same wait.
        if state.phase != phase || phase == Phase::Upstream {
            state.phase = phase;
            state.since = Instant::now();
        }
    }

    fn fail(&self, error: BodyError) {
        self.lock().failure.get_or_insert(error);
    }
}

/// Makes the body of a request that nobody waits for any more fail before its end.
pub(super) struct CancelOnDrop(pub(super) Arc<Progress>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancelled.store(true, Ordering::Release);
    }
}

/// A stream that can be sent once; still there as long as no byte of it was asked for.
#[derive(Clone)]
pub(super) struct OnceSource(Arc<Mutex<Option<ByteStream>>>);

impl OnceSource {
    pub(super) fn new(stream: ByteStream) -> Self {
        Self(Arc::new(Mutex::new(Some(stream))))
    }

    pub(super) fn untouched(&self) -> bool {
        self.lock().is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Option<ByteStream>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Source {
    Whole(Option<Bytes>),
    Waiting(OnceSource),
    Flowing(ByteStream),
    Ended,
}

/// A request's body. It never hands over its last byte before its source ended well with exactly the promised length.
pub(super) struct SendBody {
    source: Source,
    progress: Arc<Progress>,
    total: u64,
    missing: u64,
    last: Option<Bytes>,
}

impl SendBody {
    /// Bytes in memory.
    pub(super) fn whole(bytes: Bytes) -> (Self, Arc<Progress>) {
        let total = bytes.len() as u64;
        let (source, phase) = if bytes.is_empty() {
            (Source::Ended, Phase::Sent)
        } else {
            (Source::Whole(Some(bytes)), Phase::Opening)
        };
        Self::with(source, phase, total)
    }

    /// A stream of exactly `total` bytes, at least one.
    pub(super) fn once(source: OnceSource, total: u64) -> (Self, Arc<Progress>) {
        Self::with(Source::Waiting(source), Phase::Opening, total)
    }

    fn with(source: Source, phase: Phase, total: u64) -> (Self, Arc<Progress>) {
        let progress = Progress::new(phase);
        let body = Self {
            source,
            progress: Arc::clone(&progress),
            total,
            missing: total,
            last: None,
        };
        (body, progress)
    }

    fn broken(&mut self, error: BodyError) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.source = Source::Ended;
        self.progress.fail(error);
        Poll::Ready(Some(Err(io::Error::other("the request body failed"))))
    }

    fn poll_stream(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        loop {
            let Source::Flowing(stream) = &mut self.source else {
                return Poll::Ready(None);
            };
            match stream.poll_next_unpin(cx) {
                Poll::Pending => {
                    self.progress.enter(Phase::Source);
                    return Poll::Pending;
                }
                Poll::Ready(Some(Err(error))) => return self.broken(error),
                Poll::Ready(Some(Ok(chunk))) => {
                    let bytes = chunk.len() as u64;
                    if bytes == 0 {
                        continue;
                    }
                    if bytes > self.missing {
                        return self.broken(BodyError::Incomplete);
                    }
                    self.missing -= bytes;
                    if self.missing == 0 {
                        // Held back until the source says that it ended well.
                        self.last = Some(chunk);
                        continue;
                    }
                    self.progress.enter(Phase::Upstream);
                    return Poll::Ready(Some(Ok(Frame::data(chunk))));
                }
                Poll::Ready(None) => {
                    let Some(last) = self.last.take() else {
                        return self.broken(BodyError::Incomplete);
                    };
                    self.source = Source::Ended;
                    self.progress.enter(Phase::Sent);
                    return Poll::Ready(Some(Ok(Frame::data(last))));
                }
            }
        }
    }
}

impl Body for SendBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.progress.cancelled.load(Ordering::Acquire) {
            return Poll::Ready(Some(Err(io::Error::other("nobody waits for the answer"))));
        }
        match std::mem::replace(&mut self.source, Source::Ended) {
            Source::Whole(Some(bytes)) => {
                self.missing = 0;
                self.progress.enter(Phase::Sent);
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Source::Waiting(slot) => {
                let taken = slot.lock().take();
                match taken {
                    Some(stream) => {
                        self.source = Source::Flowing(stream);
                        self.poll_stream(cx)
                    }
                    None => self.broken(BodyError::Incomplete),
                }
            }
            Source::Flowing(stream) => {
                self.source = Source::Flowing(stream);
                self.poll_stream(cx)
            }
            Source::Whole(None) | Source::Ended => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.total == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.total)
    }
}

/// Reads an answer's body of exactly `bytes`, each chunk within `idle`. Dropping the stream closes the connection.
pub(super) fn receive(body: Incoming, bytes: u64, idle: Duration) -> ByteStream {
    futures::stream::unfold(Some((body, bytes)), move |state| async move {
        let (mut body, missing) = state?;
        loop {
            let frame = match tokio::time::timeout(idle, next_frame(&mut body)).await {
                Err(_) => {
                    let late = io::Error::new(io::ErrorKind::TimedOut, "the store went silent");
                    return Some((Err(BodyError::Source(Arc::new(late))), None));
                }
                Ok(None) if missing == 0 => return None,
                Ok(None) => return Some((Err(BodyError::Incomplete), None)),
                Ok(Some(Err(error))) => {
                    return Some((Err(BodyError::Source(Arc::new(error))), None));
                }
                Ok(Some(Ok(frame))) => frame,
            };
            let Ok(chunk) = frame.into_data() else {
                continue;
            };
            if chunk.is_empty() {
                continue;
            }
            let Some(missing) = missing.checked_sub(chunk.len() as u64) else {
                return Some((Err(BodyError::Incomplete), None));
            };
            return Some((Ok(chunk), Some((body, missing))));
        }
    })
    .boxed()
}

async fn next_frame(body: &mut Incoming) -> Option<Result<Frame<Bytes>, hyper::Error>> {
    std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
}

/// Why a small answer's body can't be had.
#[derive(Debug)]
pub(super) enum CollectError {
    /// It did not come, or not in full.
    Broken(String),
    /// It is longer than any answer of its kind.
    TooLong,
}

/// Reads an answer's body of at most `bytes_max`, each chunk within `idle`.
pub(super) async fn collect(
    mut body: Incoming,
    bytes_max: usize,
    idle: Duration,
) -> Result<Bytes, CollectError> {
    let mut collected = Vec::new();
    loop {
        match tokio::time::timeout(idle, next_frame(&mut body)).await {
            Err(_) => return Err(CollectError::Broken("the store went silent".to_owned())),
            Ok(None) => return Ok(Bytes::from(collected)),
            Ok(Some(Err(error))) => return Err(CollectError::Broken(error.to_string())),
            Ok(Some(Ok(frame))) => {
                if let Ok(chunk) = frame.into_data() {
                    if collected.len().saturating_add(chunk.len()) > bytes_max {
                        return Err(CollectError::TooLong);
                    }
                    collected.extend_from_slice(&chunk);
                }
            }
        }
    }
}
