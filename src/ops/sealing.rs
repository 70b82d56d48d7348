//! Bodies on their way in: plaintext from the client becomes stored bytes, and nothing is finished that was not verified.

use crate::ops::checksum::Verifier;
use crate::region::{BodyError, ByteStream};
use bytes::Bytes;
use futures::StreamExt as _;
use http::HeaderMap;
use lethe_envelope::{Checksum, SealedPart, Sealer, SingleSealer};
use lethe_keys::Leased;
use std::sync::{Arc, Mutex};

/// Stored bytes leave in pieces of about this size.
const CHUNK_BYTES: usize = 256 << 10;

/// Plaintext from a client, or from another object of the tenant.
pub type PlainStream = ByteStream;

/// Gives the trailer's headers once the body has been read.
pub type Trailers = Box<dyn FnOnce() -> Option<HeaderMap> + Send>;

/// A client's body with what it declared.
pub struct Incoming {
    /// The plaintext.
    pub body: PlainStream,
    /// Its declared length.
    pub plaintext_bytes: u64,
    /// What the client declared of it.
    pub verifier: Verifier,
    /// Its trailer.
    pub trailers: Trailers,
}

impl Incoming {
    /// The whole body in memory, verified.
    ///
    /// # Errors
    /// [`BodyError`] when it is shorter or longer than declared or does not match.
    pub async fn collect(mut self) -> Result<(Vec<u8>, Option<Checksum>), BodyError> {
        let expected = usize::try_from(self.plaintext_bytes).map_err(|_| BodyError::Incomplete)?;
        let mut plaintext = Vec::with_capacity(expected);
        while let Some(chunk) = self.body.next().await.transpose()? {
            if plaintext.len() + chunk.len() > expected {
                return Err(BodyError::Incomplete);
            }
            self.verifier.update(&chunk);
            plaintext.extend_from_slice(&chunk);
        }
        if plaintext.len() != expected {
            return Err(BodyError::Incomplete);
        }
        let checksum = self.verifier.finish((self.trailers)().as_ref())?;
        Ok((plaintext, checksum))
    }
}

/// A sealer of one kind of body.
trait Seal: Send + 'static {
    fn seal(&mut self, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), BodyError>;
}

impl Seal for SingleSealer {
    fn seal(&mut self, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), BodyError> {
        Self::seal(self, plaintext, out).map_err(|_| BodyError::Incomplete)
    }
}

impl Seal for Sealer {
    fn seal(&mut self, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), BodyError> {
        Self::seal(self, plaintext, out);
        Ok(())
    }
}

struct Sealing<S: Send + 'static, F> {
    incoming: Option<Incoming>,
    sealer: Option<Leased<S>>,
    finish: Option<F>,
    received: u64,
}

/// Seals a body as it streams. `finish` runs only on a body that came whole and matched: it alone writes the last bytes.
fn seal_stream<S, F>(incoming: Incoming, sealer: Leased<S>, finish: F) -> ByteStream
where
    S: Seal,
    F: FnOnce(S, Option<Checksum>, &mut Vec<u8>) -> Result<(), BodyError> + Send + 'static,
{
    let state = Sealing {
        incoming: Some(incoming),
        sealer: Some(sealer),
        finish: Some(finish),
        received: 0,
    };
    futures::stream::try_unfold(state, |mut state| async move {
        let mut out = Vec::with_capacity(CHUNK_BYTES + (64 << 10));
        state.fill(&mut out).await?;
        Ok((!out.is_empty()).then(|| (Bytes::from(out), state)))
    })
    .boxed()
}

impl<S, F> Sealing<S, F>
where
    S: Seal,
    F: FnOnce(S, Option<Checksum>, &mut Vec<u8>) -> Result<(), BodyError>,
{
    async fn fill(&mut self, out: &mut Vec<u8>) -> Result<(), BodyError> {
        while let (Some(incoming), Some(sealer)) = (&mut self.incoming, &self.sealer) {
            match incoming.body.next().await.transpose()? {
                Some(chunk) => {
                    self.received += chunk.len() as u64;
                    if self.received > incoming.plaintext_bytes {
                        return Err(BodyError::Incomplete);
                    }
                    incoming.verifier.update(&chunk);
                    sealer
                        .with(|sealer| sealer.seal(&chunk, out))
                        .map_err(|_| BodyError::LeaseEnded)??;
                    if out.len() >= CHUNK_BYTES {
                        return Ok(());
                    }
                }
                None => return self.end(out),
            }
        }
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), BodyError> {
        let (Some(incoming), Some(sealer), Some(finish)) =
            (self.incoming.take(), self.sealer.take(), self.finish.take())
        else {
            return Ok(());
        };
        if self.received != incoming.plaintext_bytes {
            return Err(BodyError::Incomplete);
        }
        let checksum = incoming.verifier.finish((incoming.trailers)().as_ref())?;
        let sealer = sealer.take().map_err(|_| BodyError::LeaseEnded)?;
        finish(sealer, checksum, out)
    }
}

/// Seals a single PUT's whole stored body.
///
/// `keep_checksum` puts the computed checksum into the trailer (when it was not known before the body).
pub fn seal_single(
    incoming: Incoming,
    sealer: Leased<SingleSealer>,
    keep_checksum: bool,
) -> (ByteStream, SharedOutcome<Option<Checksum>>) {
    let outcome = SharedOutcome::default();
    let shared = outcome.clone();
    let stream = seal_stream(
        incoming,
        sealer,
        move |sealer: SingleSealer, checksum, out: &mut Vec<u8>| {
            sealer
                .finish(checksum.clone().filter(|_| keep_checksum), out)
                .map_err(|error| BodyError::Source(Arc::new(error)))?;
            shared.set(checksum);
            Ok(())
        },
    );
    (stream, outcome)
}

/// Seals one part of a multipart upload.
pub fn seal_part(
    incoming: Incoming,
    sealer: Leased<Sealer>,
) -> (ByteStream, SharedOutcome<(SealedPart, Option<Checksum>)>) {
    let outcome = SharedOutcome::default();
    let shared = outcome.clone();
    let stream = seal_stream(
        incoming,
        sealer,
        move |sealer: Sealer, checksum, out: &mut Vec<u8>| {
            let part = sealer.finish(out);
            shared.set((part, checksum));
            Ok(())
        },
    );
    (stream, outcome)
}

/// What a stream knows at its end, read by whoever sent it.
pub struct SharedOutcome<T>(Arc<Mutex<Option<T>>>);

impl<T> Default for SharedOutcome<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }
}

impl<T> Clone for SharedOutcome<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> SharedOutcome<T> {
    fn set(&self, value: T) {
        *self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(value);
    }

    /// The outcome; `None` when the stream never came to its end.
    #[must_use]
    pub fn take(&self) -> Option<T> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take()
    }
}
