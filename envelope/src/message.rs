//! Cobblestone-256 (C2SP chunked-encryption@v1), streaming both ways in constant memory (`docs/format.md` §2).

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use crate::engine::{Engine, SegmentAead};
use crate::kdf;
use crate::layout::{
    self, MESSAGE_OVERHEAD_BYTES, SALT_AND_COMMITMENT_BYTES, SEALED_SEGMENT_BYTES, SEGMENT_BYTES,
    SegmentSpan, TAG_BYTES,
};
use crate::random::{self, RandomError};

const SEGMENT: usize = SEGMENT_BYTES as usize;
const TAG: usize = TAG_BYTES as usize;
const SEALED_SEGMENT: usize = SEALED_SEGMENT_BYTES as usize;
const SALT: usize = 24;
const COMMITMENT: usize = 32;
const PROLOGUE: usize = SALT_AND_COMMITMENT_BYTES as usize;

/// Why a message did not open. Whatever the kind, the stored bytes or the key are not the right ones, and
/// nothing past what was already released may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Key, context, salt or commitment is another message's; no byte was decrypted.
    #[error("opening a message failed: commitment does not match key and context")]
    Commitment,
    /// A segment was altered, moved, or belongs to another message.
    #[error("opening a message failed: segment {segment} did not authenticate")]
    Segment {
        /// Position in the message, from 0.
        segment: u64,
    },
    /// The stored bytes end before the message or the wanted span does.
    #[error("opening a message failed: stored bytes are missing")]
    Truncated,
    /// There are stored bytes behind the message's or the span's end.
    #[error("opening a message failed: stored bytes follow its end")]
    Excess,
    /// The wanted segments lie behind the message's end.
    #[error("opening a message failed: the wanted span lies behind its end")]
    OutOfSpan,
}

/// Segment key, base nonce and commitment of one message.
struct MessageKeys {
    aead: Box<dyn SegmentAead>,
    base_nonce: [u8; 12],
    commitment: [u8; COMMITMENT],
}

impl MessageKeys {
    fn derive(engine: Engine, input_key: &[u8; 32], context: &[u8], salt: &[u8; SALT]) -> Self {
        let mut derived = Zeroizing::new([0_u8; 32 + 12 + COMMITMENT]);
        let info: [&[u8]; 5] = [
            b"c2sp.org/chunked-encryption@v1+",
            b"AEAD_AES_256_GCM",
            &[0],
            salt,
            context,
        ];
        kdf::expand(input_key, &info, &mut derived);
        let mut key = Zeroizing::new([0; 32]);
        key.copy_from_slice(&derived[..32]);
        let mut base_nonce = [0; 12];
        base_nonce.copy_from_slice(&derived[32..44]);
        let mut commitment = [0; COMMITMENT];
        commitment.copy_from_slice(&derived[44..]);
        Self {
            aead: engine.aead(&key),
            base_nonce,
            commitment,
        }
    }

    fn nonce(&self, segment: u64) -> [u8; 12] {
        let mut nonce = self.base_nonce;
        for (byte, counter) in nonce[4..].iter_mut().zip(segment.to_be_bytes()) {
            *byte ^= counter;
        }
        nonce
    }
}

/// A message's first 56 bytes: salt, then commitment.
pub(crate) fn prologue(salt: &[u8; SALT], commitment: &[u8; COMMITMENT]) -> [u8; PROLOGUE] {
    let mut prologue = [0; PROLOGUE];
    prologue[..SALT].copy_from_slice(salt);
    prologue[SALT..].copy_from_slice(commitment);
    prologue
}

/// A finished message's pins: what a part record or a header keeps so that exactly this message is the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedPart {
    /// The message's random salt.
    pub salt: [u8; SALT],
    /// The message's key commitment.
    pub commitment: [u8; COMMITMENT],
    /// Plaintext bytes of the message.
    pub plaintext_bytes: u64,
}

/// Seals one message as it streams through, holding back at most one segment.
///
/// Only [`Sealer::finish`] gives the [`SealedPart`] that anything can be stored by; dropping the sealer before
/// leaves nothing to store.
pub struct Sealer {
    keys: MessageKeys,
    salt: [u8; SALT],
    pending: Zeroizing<Vec<u8>>,
    segment: u64,
    plaintext_bytes: u64,
    prologue_written: bool,
}

impl Sealer {
    /// Starts a message under a fresh random salt.
    ///
    /// # Errors
    /// [`RandomError`] when the operating system gives no randomness.
    pub fn new(engine: Engine, input_key: &[u8; 32], context: &[u8]) -> Result<Self, RandomError> {
        Ok(Self::new_with_salt(
            engine,
            input_key,
            context,
            random::array()?,
        ))
    }

    /// Starts a message under a given salt: for frozen vectors and tests only, as a salt that repeats under one
    /// key and context breaks the encryption.
    #[must_use]
    pub fn new_with_salt(
        engine: Engine,
        input_key: &[u8; 32],
        context: &[u8],
        salt: [u8; SALT],
    ) -> Self {
        Self {
            keys: MessageKeys::derive(engine, input_key, context, &salt),
            salt,
            pending: Zeroizing::new(Vec::new()),
            segment: 0,
            plaintext_bytes: 0,
            prologue_written: false,
        }
    }

    /// Salt and commitment, the message's first 56 bytes; [`Sealer::seal`] writes them too.
    #[must_use]
    pub fn prologue(&self) -> [u8; PROLOGUE] {
        prologue(&self.salt, &self.keys.commitment)
    }

    /// The message's salt.
    #[must_use]
    pub fn salt(&self) -> [u8; SALT] {
        self.salt
    }

    /// The message's key commitment.
    #[must_use]
    pub fn commitment(&self) -> [u8; COMMITMENT] {
        self.keys.commitment
    }

    /// Plaintext bytes taken so far.
    #[must_use]
    pub fn plaintext_bytes(&self) -> u64 {
        self.plaintext_bytes
    }

    /// Takes `plaintext` and appends every full segment to `out`, sealed in place there.
    pub fn seal(&mut self, mut plaintext: &[u8], out: &mut Vec<u8>) {
        let full_segments = (self.pending.len() + plaintext.len()) / SEGMENT;
        out.reserve(PROLOGUE + full_segments * SEALED_SEGMENT);
        self.write_prologue(out);
        self.plaintext_bytes += plaintext.len() as u64;
        while self.pending.len() + plaintext.len() >= SEGMENT {
            let (head, rest) = plaintext.split_at(SEGMENT - self.pending.len());
            plaintext = rest;
            self.seal_segment(head, out);
        }
        if !plaintext.is_empty() {
            let free = SEGMENT - self.pending.len();
            self.pending.reserve_exact(free);
            self.pending.extend_from_slice(plaintext);
        }
    }

    /// Appends the short last segment, which may be empty, and gives the message's pins.
    pub fn finish(mut self, out: &mut Vec<u8>) -> SealedPart {
        self.write_prologue(out);
        self.seal_segment(&[], out);
        SealedPart {
            salt: self.salt,
            commitment: self.keys.commitment,
            plaintext_bytes: self.plaintext_bytes,
        }
    }

    fn write_prologue(&mut self, out: &mut Vec<u8>) {
        if !self.prologue_written {
            out.extend_from_slice(&self.prologue());
            self.prologue_written = true;
        }
    }

    /// Seals what is pending, then `rest`, as one segment.
    fn seal_segment(&mut self, rest: &[u8], out: &mut Vec<u8>) {
        // Room for the tag too: growing between plaintext and ciphertext would leave a plaintext copy on the heap.
        out.reserve(self.pending.len() + rest.len() + TAG);
        let start = out.len();
        out.extend_from_slice(&self.pending);
        out.extend_from_slice(rest);
        self.pending.clear();
        let tag = self
            .keys
            .aead
            .seal_in_place(&self.keys.nonce(self.segment), &mut out[start..]);
        out.extend_from_slice(&tag);
        self.segment += 1;
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("plaintext_bytes", &self.plaintext_bytes)
            .finish_non_exhaustive()
    }
}

/// Which segments an [`Opener`] is to be fed.
#[derive(Clone, Copy)]
enum Expected {
    /// From the first segment to wherever the stored bytes end.
    UnknownLength,
    /// Up to and including `last`; `tail` is the sealed length of the short last segment if that is `last`.
    Until { last: u64, tail: Option<usize> },
}

/// Opens one message, or a span of its segments, as the stored bytes stream through.
///
/// Appends a segment's plaintext only after its tag has verified, and fails for good after the first error.
pub struct Opener {
    keys: MessageKeys,
    pending: Vec<u8>,
    segment: u64,
    expected: Expected,
    ended: bool,
    failed: Option<OpenError>,
}

impl Opener {
    /// Checks key, context and salt against the commitment; the stored bytes to come start at segment 0.
    ///
    /// Without [`Opener::at`] the message's length is whatever the stored bytes say, which is authenticated only
    /// by [`Opener::finish`].
    ///
    /// # Errors
    /// [`OpenError::Commitment`] when they do not belong together.
    pub fn new(
        engine: Engine,
        input_key: &[u8; 32],
        context: &[u8],
        salt: &[u8; SALT],
        commitment: &[u8; COMMITMENT],
    ) -> Result<Self, OpenError> {
        use subtle::ConstantTimeEq;
        let keys = MessageKeys::derive(engine, input_key, context, salt);
        if !bool::from(keys.commitment.ct_eq(commitment)) {
            return Err(OpenError::Commitment);
        }
        Ok(Self {
            keys,
            pending: Vec::new(),
            segment: 0,
            expected: Expected::UnknownLength,
            ended: false,
            failed: None,
        })
    }

    /// Expects everything from `segment_first` to the end of a message of `message_plaintext_bytes`.
    ///
    /// # Errors
    /// [`OpenError::OutOfSpan`] when the message has no such segment.
    pub fn at(self, segment_first: u64, message_plaintext_bytes: u64) -> Result<Self, OpenError> {
        self.expecting(segment_first, u64::MAX, message_plaintext_bytes)
    }

    /// Expects the segments of `span`, clamped to a message of `message_plaintext_bytes`.
    ///
    /// # Errors
    /// [`OpenError::OutOfSpan`] when the message has no such segment.
    pub fn at_span(
        self,
        span: &SegmentSpan,
        message_plaintext_bytes: u64,
    ) -> Result<Self, OpenError> {
        self.expecting(
            span.segment_first,
            span.segment_last,
            message_plaintext_bytes,
        )
    }

    fn expecting(mut self, first: u64, last: u64, plaintext_bytes: u64) -> Result<Self, OpenError> {
        let message_last = plaintext_bytes / SEGMENT_BYTES;
        if first > message_last || first > last {
            return Err(OpenError::OutOfSpan);
        }
        let tail =
            (last >= message_last).then_some((plaintext_bytes % SEGMENT_BYTES) as usize + TAG);
        self.segment = first;
        self.expected = Expected::Until {
            last: last.min(message_last),
            tail,
        };
        Ok(self)
    }

    /// Takes stored bytes, without the 56-byte prologue, and appends what of them authenticates to `out`.
    ///
    /// # Errors
    /// Any [`OpenError`] but `Commitment`, then and at every later call; `out` keeps what was released before.
    pub fn open(&mut self, mut sealed: &[u8], out: &mut Vec<u8>) -> Result<(), OpenError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        out.reserve(self.pending.len() + sealed.len());
        while !sealed.is_empty() {
            if self.ended {
                return Err(self.fail(OpenError::Excess));
            }
            let wanted = self.next_len();
            let taken = sealed.len().min(wanted - self.pending.len());
            let (head, rest) = sealed.split_at(taken);
            sealed = rest;
            if self.pending.len() + taken < wanted {
                self.pending.reserve_exact(wanted - self.pending.len());
                self.pending.extend_from_slice(head);
            } else {
                self.open_segment(head, out)?;
            }
        }
        Ok(())
    }

    /// Declares the end of the stored bytes and opens what was held back for it.
    ///
    /// # Errors
    /// [`OpenError::Truncated`] when bytes are missing, [`OpenError::Segment`] when the last segment does not
    /// authenticate as such, or the error that an earlier call gave.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), OpenError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        match self.expected {
            Expected::Until { .. } if self.ended => Ok(()),
            Expected::UnknownLength if self.pending.len() >= TAG => self.open_segment(&[], out),
            _ => Err(OpenError::Truncated),
        }
    }

    /// Sealed bytes of the segment that is to be opened next.
    fn next_len(&self) -> usize {
        match self.expected {
            Expected::Until {
                last,
                tail: Some(tail),
            } if self.segment == last => tail,
            _ => SEALED_SEGMENT,
        }
    }

    /// Opens the pending bytes and `rest` as one segment, in place in `out`.
    fn open_segment(&mut self, rest: &[u8], out: &mut Vec<u8>) -> Result<(), OpenError> {
        let start = out.len();
        let ciphertext_len = self.pending.len() + rest.len() - TAG;
        let mut tag = [0; TAG];
        out.reserve(self.pending.len() + rest.len());
        out.extend_from_slice(&self.pending);
        out.extend_from_slice(rest);
        tag.copy_from_slice(&out[start + ciphertext_len..]);
        out.truncate(start + ciphertext_len);
        self.pending.clear();
        let nonce = self.keys.nonce(self.segment);
        if self
            .keys
            .aead
            .open_in_place(&nonce, &mut out[start..], &tag)
            .is_err()
        {
            // An engine may have decrypted before it checked: wipe before letting go of the bytes.
            out[start..].zeroize();
            out.truncate(start);
            return Err(self.fail(OpenError::Segment {
                segment: self.segment,
            }));
        }
        if let Expected::Until { last, .. } = self.expected {
            self.ended = self.segment == last;
        }
        self.segment += 1;
        Ok(())
    }

    fn fail(&mut self, error: OpenError) -> OpenError {
        self.failed = Some(error);
        error
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener")
            .field("segment", &self.segment)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

/// Seals a whole message at once.
///
/// # Errors
/// [`RandomError`] when the operating system gives no randomness.
pub fn seal_message(
    engine: Engine,
    input_key: &[u8; 32],
    context: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, RandomError> {
    let sealer = Sealer::new(engine, input_key, context)?;
    Ok(seal_with(sealer, plaintext))
}

/// Runs a whole plaintext through a sealer.
pub(crate) fn seal_with(mut sealer: Sealer, plaintext: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(layout::sealed_len(plaintext.len() as u64) as usize);
    sealer.seal(plaintext, &mut sealed);
    sealer.finish(&mut sealed);
    sealed
}

/// Opens a whole message at once.
///
/// # Errors
/// [`OpenError`] when `sealed` is not exactly one message under this key and context.
pub fn open_message(
    engine: Engine,
    input_key: &[u8; 32],
    context: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (salt, rest) = sealed.split_first_chunk().ok_or(OpenError::Truncated)?;
    let (commitment, segments) = rest.split_first_chunk().ok_or(OpenError::Truncated)?;
    let plaintext_bytes = layout::plaintext_len_of_sealed(sealed.len() as u64);
    let mut opener = Opener::new(engine, input_key, context, salt, commitment)?;
    if let Some(plaintext_bytes) = plaintext_bytes {
        opener = opener.at(0, plaintext_bytes)?;
    }
    // The capacity is final from the start, so that no reallocation leaves plaintext behind.
    let mut plaintext = Zeroizing::new(Vec::with_capacity(
        sealed.len().saturating_sub(MESSAGE_OVERHEAD_BYTES as usize) + SEALED_SEGMENT,
    ));
    opener.open(segments, &mut plaintext)?;
    opener.finish(&mut plaintext)?;
    Ok(plaintext)
}

#[cfg(test)]
mod tests;
