//! Bodies that fail instead of ending when they are not what was declared.
//!
//! [`GuardedBody`] wraps what comes from the connection: framing, progress, and the hash of documents that s3s buffers.
//! [`DeclaredLength`] wraps what s3s decoded: it keeps the last byte back until s3s has verified signature, hash and trailer, so
//! that no operation can finish a write that the client did not mean.

use super::BodyLimits;
use super::chunked::{ChunkedFraming, FramingError};
use super::document::DocumentCheck;
use super::payload::Payload;
use crate::ops::{Code, OpError};
use crate::region::BodyError;
use bytes::Bytes;
use futures::Stream;
use http_body::{Body, Frame, SizeHint};
use s3s::StdError;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// Why a body failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// The connection broke, or the body has not the declared length.
    #[error("the body ended early or too late")]
    Incomplete,
    /// Its aws-chunked form is broken.
    #[error("{0}")]
    Malformed(&'static str),
    /// Nothing came for too long.
    #[error("the client sent nothing for too long")]
    TimedOut,
    /// A chunk's or the trailer's signature does not match.
    #[error("a chunk's signature does not match")]
    Signature,
    /// The body is not what `x-amz-content-sha256` says.
    #[error("the body's sha-256 does not match")]
    Hash,
    /// The body is not what Content-MD5 or a checksum says.
    #[error("the body's digest does not match")]
    Digest,
    /// A document is not one that can be read.
    #[error("{0}")]
    Document(&'static str),
    /// A document has more bytes than any may have.
    #[error("the document is too long")]
    DocumentTooLong,
}

impl From<FramingError> for BodyFault {
    fn from(error: FramingError) -> Self {
        match error {
            FramingError::Length => Self::Incomplete,
            FramingError::Malformed(why) => Self::Malformed(why),
        }
    }
}

impl From<BodyFault> for BodyError {
    fn from(fault: BodyFault) -> Self {
        let mismatch = |code: Code, message: String| Self::Mismatch {
            code: code.as_str(),
            message,
        };
        match fault {
            BodyFault::Incomplete => Self::Incomplete,
            BodyFault::TimedOut => Self::TimedOut,
            BodyFault::Malformed(why) => mismatch(
                Code::InvalidRequest,
                format!("The request body is not valid aws-chunked: {why}."),
            ),
            BodyFault::Signature => mismatch(
                Code::SignatureDoesNotMatch,
                "The signature of a chunk or trailer does not match the one that the gateway calculated.".into(),
            ),
            BodyFault::Hash => mismatch(
                Code::XAmzContentSHA256Mismatch,
                "The provided 'x-amz-content-sha256' header does not match what was computed.".into(),
            ),
            BodyFault::Digest => mismatch(
                Code::BadDigest,
                "The Content-MD5 or checksum you specified did not match what we received.".into(),
            ),
            BodyFault::Document(why) => mismatch(
                Code::MalformedXML,
                format!("The XML you provided was not well-formed or did not validate against our published schema: {why}."),
            ),
            BodyFault::DocumentTooLong => mismatch(
                Code::MaxMessageLengthExceeded,
                "Your request was too big.".into(),
            ),
        }
    }
}

impl From<BodyFault> for OpError {
    fn from(fault: BodyFault) -> Self {
        Self::from(BodyError::from(fault))
    }
}

/// Where a body's first fault is kept, because s3s's own errors do not say why.
#[derive(Clone, Debug, Default)]
pub struct FaultSlot(Arc<OnceLock<BodyFault>>);

impl FaultSlot {
    /// Keeps a fault, unless there is one.
    pub fn set(&self, fault: BodyFault) {
        let _ = self.0.set(fault);
    }

    /// The first fault.
    #[must_use]
    pub fn get(&self) -> Option<BodyFault> {
        self.0.get().copied()
    }
}

/// What a request declared about its body, in the request's extensions for the front.
#[derive(Clone, Debug)]
pub struct Declared {
    /// How many plaintext bytes the body has; `None` when there is none.
    pub plaintext_bytes: Option<u64>,
    /// Why the body failed, if it did.
    pub faults: FaultSlot,
}

impl Declared {
    /// The decoded body as operations may read it.
    pub fn stream<S>(&self, decoded: S) -> DeclaredLength<S> {
        DeclaredLength {
            decoded,
            left: self.plaintext_bytes.unwrap_or(0),
            last: None,
            ended: false,
            faults: self.faults.clone(),
        }
    }
}

/// A body from the connection.
pub struct GuardedBody<B> {
    inner: B,
    framing: Option<ChunkedFraming>,
    document: Option<DocumentCheck>,
    queue: VecDeque<Bytes>,
    ended: bool,
    faults: FaultSlot,
    quiet: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<B> GuardedBody<B> {
    /// Wraps a body; it fails when nothing comes for `quiet`. Objects' digests are verified further on, documents' here.
    #[must_use]
    pub fn new(
        inner: B,
        payload: &Payload,
        document: Option<DocumentCheck>,
        limits: &BodyLimits,
        quiet: Duration,
        faults: FaultSlot,
    ) -> Self {
        Self {
            inner,
            framing: ChunkedFraming::of(payload, limits.signed_chunk_bytes_max),
            document,
            queue: VecDeque::new(),
            ended: false,
            faults,
            quiet,
            timer: None,
        }
    }

    fn fail<T>(&mut self, fault: BodyFault) -> Poll<Option<Result<T, BodyFault>>> {
        self.ended = true;
        self.queue.clear();
        self.faults.set(fault);
        Poll::Ready(Some(Err(fault)))
    }

    fn poll_quiet(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = Instant::now() + self.quiet;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        timer.as_mut().poll(cx)
    }

    fn accept(&mut self, data: Bytes) -> Result<(), BodyFault> {
        if let Some(document) = &mut self.document
            && document.accept(&data)?
        {
            // s3s stops at the last byte: it must not get that far.
            self.verify_document()?;
        }
        match &mut self.framing {
            Some(framing) => framing.push(data, &mut self.queue)?,
            None => self.queue.push_back(data),
        }
        Ok(())
    }

    fn verify_document(&mut self) -> Result<(), BodyFault> {
        self.document.take().map_or(Ok(()), DocumentCheck::finish)
    }

    fn finish(&mut self) -> Result<(), BodyFault> {
        self.ended = true;
        self.verify_document()?;
        match &mut self.framing {
            Some(framing) => Ok(framing.finish(&mut self.queue)?),
            None => Ok(()),
        }
    }
}

impl<B> Body for GuardedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let this = self.get_mut();
        loop {
            if let Some(data) = this.queue.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            if this.ended {
                return Poll::Ready(None);
            }
            let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) else {
                ready!(this.poll_quiet(cx));
                return this.fail(BodyFault::TimedOut);
            };
            this.timer = None;
            let step = match frame {
                None => this.finish(),
                // HTTP trailers mean nothing in S3.
                Some(Ok(frame)) => frame.into_data().map_or(Ok(()), |data| this.accept(data)),
                Some(Err(_)) => Err(BodyFault::Incomplete),
            };
            if let Err(fault) = step {
                return this.fail(fault);
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let untouched = self.framing.is_none() && self.document.is_none();
        self.queue.is_empty() && (self.ended || (untouched && self.inner.is_end_stream()))
    }

    fn size_hint(&self) -> SizeHint {
        match self.framing {
            None if self.queue.is_empty() => self.inner.size_hint(),
            _ => SizeHint::new(),
        }
    }
}

/// A decoded body of exactly the declared length, whose last byte comes only when the body ended well.
pub struct DeclaredLength<S> {
    decoded: S,
    left: u64,
    last: Option<Bytes>,
    ended: bool,
    faults: FaultSlot,
}

impl<S> DeclaredLength<S> {
    fn fail(&mut self, fault: BodyFault) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.ended = true;
        self.last = None;
        self.faults.set(fault);
        let first = self.faults.get().unwrap_or(fault);
        Poll::Ready(Some(Err(first.into())))
    }
}

impl<S> Stream for DeclaredLength<S>
where
    S: Stream<Item = Result<Bytes, StdError>> + Unpin,
{
    type Item = Result<Bytes, BodyError>;

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        let this = self.get_mut();
        loop {
            if this.ended {
                return Poll::Ready(None);
            }
            match ready!(Pin::new(&mut this.decoded).poll_next(cx)) {
                Some(Ok(data)) if data.is_empty() => {}
                Some(Ok(data)) => match this.left.checked_sub(data.len() as u64) {
                    None => return this.fail(BodyFault::Incomplete),
                    Some(0) => {
                        this.left = 0;
                        this.last = Some(data);
                    }
                    Some(left) => {
                        this.left = left;
                        return Poll::Ready(Some(Ok(data)));
                    }
                },
                Some(Err(error)) => return this.fail(classify(&error)),
                None if this.left > 0 => return this.fail(BodyFault::Incomplete),
                None => {
                    this.ended = true;
                    return Poll::Ready(this.last.take().map(Ok));
                }
            }
        }
    }
}

/// s3s's stream errors are private types: their text is all there is.
fn classify(error: &StdError) -> BodyFault {
    let text = error.to_string();
    if text.contains("SignatureMismatch") {
        BodyFault::Signature
    } else if text.contains("Sha256Mismatch") {
        BodyFault::Hash
    } else if text.contains("FormatError") || text.contains("Too") {
        BodyFault::Malformed("its chunks or trailer can't be read")
    } else {
        BodyFault::Incomplete
    }
}

#[cfg(test)]
mod tests;
