//! What the records of a multipart upload tell of its plaintext: nothing without the upload's DEK (`docs/format.md` §8.1).
//!
//! Who keeps the records keeps copies of them that outlive the keys.

use zeroize::Zeroizing;

use crate::checksum::{
    Checksum, ChecksumAlgorithm, ChecksumError, ChecksumType, VALUE_FIELD_BYTES,
};
use crate::context::{self, AttemptContext};
use crate::engine::Engine;
use crate::id::{ObjectId, TenantId};
use crate::kdf;
use crate::key::Dek;
use crate::layout::MESSAGE_OVERHEAD_BYTES;
use crate::message::{self, OpenError};
use crate::random::RandomError;
use crate::trailer::PartRecord;

const PLAINTEXT_BYTES: usize = 2 + VALUE_FIELD_BYTES;
/// Bytes of any sealed checksum.
pub const SEALED_CHECKSUM_BYTES: usize = PLAINTEXT_BYTES + MESSAGE_OVERHEAD_BYTES as usize;

/// Why a checksum did not seal or open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealedChecksumError {
    /// The value has not its algorithm's length; or it is authentic, yet none that this version writes.
    #[error("sealing or opening a part's checksum failed")]
    Checksum(#[from] ChecksumError),
    /// No randomness for the salt.
    #[error("sealing a part's checksum failed")]
    Random(#[from] RandomError),
    /// It is not this attempt's, or was altered.
    #[error("opening a part's checksum failed")]
    Open(#[from] OpenError),
}

impl Checksum {
    /// Seals the checksum of one attempt at a part; all of them have the same length.
    ///
    /// # Errors
    /// [`SealedChecksumError::Checksum`] or [`SealedChecksumError::Random`].
    pub fn seal(
        &self,
        engine: Engine,
        dek: &Dek,
        context: &AttemptContext,
    ) -> Result<Vec<u8>, SealedChecksumError> {
        self.check_length()?;
        let mut plaintext = Zeroizing::new([0; PLAINTEXT_BYTES]);
        plaintext[0] = self.algorithm.code();
        plaintext[1] = self.checksum_type.code();
        plaintext[2..2 + self.value.len()].copy_from_slice(&self.value);
        Ok(message::seal_message(
            engine,
            dek.expose(),
            &context.to_bytes(),
            plaintext.as_slice(),
        )?)
    }

    /// Opens what [`Checksum::seal`] gave.
    ///
    /// # Errors
    /// [`SealedChecksumError::Open`] or [`SealedChecksumError::Checksum`].
    pub fn open(
        engine: Engine,
        dek: &Dek,
        context: &AttemptContext,
        sealed: &[u8],
    ) -> Result<Self, SealedChecksumError> {
        let opened = message::open_message(engine, dek.expose(), &context.to_bytes(), sealed)?;
        let [algorithm, checksum_type, field @ ..]: &[u8; PLAINTEXT_BYTES] = opened
            .as_slice()
            .try_into()
            .map_err(|_| OpenError::Excess)?;
        Ok(Self::from_field(
            ChecksumAlgorithm::from_code(*algorithm)?,
            ChecksumType::from_code(*checksum_type)?,
            field,
        )?)
    }
}

/// The digest of an upload's part list, which tells two lists apart and nothing else to who has not the DEK. Which attempt at a part is
/// listed makes no difference where length and checksum are the same.
#[must_use]
pub fn part_list_digest(
    dek: &Dek,
    tenant: TenantId,
    object_id: ObjectId,
    parts: &[PartRecord],
) -> [u8; 32] {
    let mut list = Vec::new();
    for part in parts {
        list.extend_from_slice(&part.number.to_be_bytes());
        list.extend_from_slice(&part.plaintext_bytes.to_be_bytes());
        let value = part
            .checksum
            .as_ref()
            .map_or(&[][..], |checksum| &checksum.value);
        list.push(u8::try_from(value.len()).unwrap_or(u8::MAX));
        list.extend_from_slice(value);
    }
    let info = context::part_list_info(tenant, object_id);
    let length = u64::try_from(list.len()).unwrap_or(u64::MAX);
    let mut digest = [0; 32];
    kdf::expand(
        dek.expose(),
        &[&info, &length.to_be_bytes(), &list],
        &mut digest,
    );
    digest
}
