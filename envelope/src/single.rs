//! The whole stored body of a single PUT as one stream.

use std::fmt;

use crate::checksum::Checksum;
use crate::context::{PartContext, TrailerContext};
use crate::engine::Engine;
use crate::header::SinglePart;
use crate::id::{ObjectId, TenantId};
use crate::key::Dek;
use crate::layout::PLAINTEXT_BYTES_MAX;
use crate::message::Sealer;
use crate::random::RandomError;
use crate::trailer::{PartRecord, Trailer, TrailerError};

/// Why a single PUT's body could not be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SingleError {
    /// P is over 5 TiB: S3's `EntityTooLarge`.
    #[error("sealing a body failed: {plaintext_bytes} bytes are more than an object can have")]
    TooLarge {
        /// P as announced.
        plaintext_bytes: u64,
    },
    /// The body is not as long as announced; what was sealed must not be completed.
    #[error("sealing a body failed: {found} bytes instead of the {announced} announced")]
    Length {
        /// P as announced.
        announced: u64,
        /// Bytes given, at least.
        found: u64,
    },
    /// No randomness for a salt.
    #[error("sealing a body failed")]
    Random(#[from] RandomError),
    /// The checksum cannot go into a trailer.
    #[error("sealing a body failed")]
    Trailer(#[from] TrailerError),
}

/// Seals a body of a length known beforehand: one part, then pad and trailer.
pub struct SingleSealer {
    part: Sealer,
    trailer: Sealer,
    object_id: ObjectId,
    announced: u64,
}

impl SingleSealer {
    /// Starts a body of exactly `plaintext_bytes`.
    ///
    /// # Errors
    /// [`SingleError::TooLarge`] or [`SingleError::Random`].
    pub fn new(
        engine: Engine,
        dek: &Dek,
        tenant: TenantId,
        object_id: ObjectId,
        plaintext_bytes: u64,
    ) -> Result<Self, SingleError> {
        if plaintext_bytes > PLAINTEXT_BYTES_MAX {
            return Err(SingleError::TooLarge { plaintext_bytes });
        }
        let part = PartContext {
            tenant,
            object_id,
            part_number: 1,
        };
        let trailer = TrailerContext {
            tenant,
            object_id,
            plaintext_bytes,
        };
        // Both messages' keys are derived now, so that the DEK need not be kept for the length of an upload.
        Ok(Self {
            part: Sealer::new(engine, dek.expose(), &part.to_bytes())?,
            trailer: Sealer::new(engine, dek.expose(), &trailer.to_bytes())?,
            object_id,
            announced: plaintext_bytes,
        })
    }

    /// The pins that the header repeats; known before the first byte of the body.
    #[must_use]
    pub fn single_part(&self) -> SinglePart {
        SinglePart {
            salt: self.part.salt(),
            commitment: self.part.commitment(),
            plaintext_bytes: self.announced,
        }
    }

    /// Takes plaintext and appends stored bytes to `out`.
    ///
    /// # Errors
    /// [`SingleError::Length`] when the body grows past what was announced; nothing of `plaintext` was sealed.
    pub fn seal(&mut self, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), SingleError> {
        let found = self.part.plaintext_bytes() + plaintext.len() as u64;
        if found > self.announced {
            return Err(SingleError::Length {
                announced: self.announced,
                found,
            });
        }
        self.part.seal(plaintext, out);
        Ok(())
    }

    /// Ends the part and appends pad and trailer; `out` has then been given [`crate::layout::stored_len`] bytes.
    ///
    /// # Errors
    /// [`SingleError::Length`] when the body is shorter than announced, [`SingleError::Trailer`] when `checksum`
    /// is not as long as its algorithm says; nothing was appended then.
    pub fn finish(self, checksum: Option<Checksum>, out: &mut Vec<u8>) -> Result<(), SingleError> {
        let (announced, found) = (self.announced, self.part.plaintext_bytes());
        if found != announced {
            return Err(SingleError::Length { announced, found });
        }
        let pins = self.single_part();
        let record = PartRecord {
            number: 1,
            checksum: None,
            plaintext_bytes: announced,
            salt: pins.salt,
            commitment: pins.commitment,
        };
        let trailer = Trailer::new(self.object_id, checksum, vec![record])?;
        self.part.finish(out);
        trailer.append_with_pad(self.trailer, out)?;
        Ok(())
    }
}

impl fmt::Debug for SingleSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleSealer")
            .field("announced", &self.announced)
            .field("part", &self.part)
            .finish_non_exhaustive()
    }
}
