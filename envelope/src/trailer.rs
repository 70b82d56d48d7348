//! The trailer: the authenticated list of an object's parts (`docs/format.md` §8).

use zeroize::Zeroizing;

use crate::checksum::{
    Checksum, ChecksumAlgorithm, ChecksumError, ChecksumType, VALUE_FIELD_BYTES,
};
use crate::context::TrailerContext;
use crate::engine::Engine;
use crate::id::{ObjectId, TenantId};
use crate::key::Dek;
use crate::layout::{
    self, PART_BYTES_MIN, PART_RECORD_BYTES, PARTS_MAX, PLAINTEXT_BYTES_MAX, TRAILER_FIXED_BYTES,
};
use crate::message::{self, OpenError, Sealer};
use crate::random::RandomError;

const FIXED: usize = TRAILER_FIXED_BYTES as usize;
const RECORD: usize = PART_RECORD_BYTES as usize;
const OFFSET_COUNT: usize = 8;
const OFFSET_ALGORITHM: usize = 10;
const OFFSET_TYPE: usize = 11;
const OFFSET_RESERVED: usize = 12;
const OFFSET_OBJECT_ID: usize = 16;
const OFFSET_CHECKSUM: usize = 32;
const OFFSET_RESERVED_TAIL: usize = OFFSET_CHECKSUM + VALUE_FIELD_BYTES;

/// Why a trailer could not be made, sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TrailerError {
    /// No part, or more than P plaintext bytes can have.
    #[error("trailer with {count} parts: between 1 and {max} are possible")]
    PartCount {
        /// Parts given.
        count: usize,
        /// Parts possible.
        max: u64,
    },
    /// Numbers must rise from 1 to 10,000.
    #[error("trailer with part number {number} out of order or range")]
    PartNumber {
        /// The offending number.
        number: u16,
    },
    /// Only the last part may be under 5 MiB: S3's `EntityTooSmall`.
    #[error("trailer with part {number} of {plaintext_bytes} bytes that is not the last")]
    PartTooSmall {
        /// The offending part.
        number: u16,
        /// Its plaintext bytes.
        plaintext_bytes: u64,
    },
    /// Over 5 TiB, or the parts do not add up to P.
    #[error("trailer whose parts do not add up to a possible object of {plaintext_bytes} bytes")]
    PlaintextLength {
        /// P as given.
        plaintext_bytes: u64,
    },
    /// A checksum of the wrong length, or a composite one on a part.
    #[error("trailer with an impossible checksum")]
    Checksum(#[from] ChecksumError),
    /// A part's checksum can only run over the part's own bytes.
    #[error("trailer with a composite checksum on part {number}")]
    PartChecksumType {
        /// The offending part.
        number: u16,
    },
    /// No randomness for the salt.
    #[error("sealing a trailer failed")]
    Random(#[from] RandomError),
    /// The bytes are not this object's trailer, or were altered.
    #[error("opening a trailer failed")]
    Open(#[from] OpenError),
    /// Authentic, yet not an encoding that this version writes, or of another object id or length.
    #[error("opening a trailer failed: its encoding is not one of this version")]
    Malformed,
}

/// One part as the completed object has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartRecord {
    /// S3's part number, 1 to 10,000.
    pub number: u16,
    /// The part's checksum over its plaintext.
    pub checksum: Option<Checksum>,
    /// Plaintext bytes.
    pub plaintext_bytes: u64,
    /// Salt of the attempt that was completed.
    pub salt: [u8; 24],
    /// Key commitment of the attempt that was completed.
    pub commitment: [u8; 32],
}

/// A plaintext range's share of one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartSlice<'a> {
    /// The part.
    pub part: &'a PartRecord,
    /// Where the part's message starts in the stored body.
    pub stored_offset: u64,
    /// First plaintext byte within the part.
    pub first: u64,
    /// Last plaintext byte within the part, inclusive.
    pub last: u64,
}

/// An object's parts, in order, with the object's length and checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trailer {
    /// P, plaintext bytes of the object.
    pub plaintext_bytes: u64,
    /// The object version.
    pub object_id: ObjectId,
    /// The whole object's checksum.
    pub checksum: Option<Checksum>,
    /// The parts, by rising number.
    pub parts: Vec<PartRecord>,
}

impl Trailer {
    /// A trailer over `parts`, whose lengths give P.
    ///
    /// # Errors
    /// Any [`TrailerError`] about parts, lengths and checksums.
    pub fn new(
        object_id: ObjectId,
        checksum: Option<Checksum>,
        parts: Vec<PartRecord>,
    ) -> Result<Self, TrailerError> {
        let plaintext_bytes = parts
            .iter()
            .fold(0_u64, |sum, part| sum.saturating_add(part.plaintext_bytes));
        let trailer = Self {
            plaintext_bytes,
            object_id,
            checksum,
            parts,
        };
        trailer.check()?;
        Ok(trailer)
    }

    fn check(&self) -> Result<(), TrailerError> {
        let plaintext_bytes = self.plaintext_bytes;
        let sum = self
            .parts
            .iter()
            .try_fold(0_u64, |sum, part| sum.checked_add(part.plaintext_bytes));
        if plaintext_bytes > PLAINTEXT_BYTES_MAX || sum != Some(plaintext_bytes) {
            return Err(TrailerError::PlaintextLength { plaintext_bytes });
        }
        let (count, max) = (self.parts.len(), layout::parts_max(plaintext_bytes));
        if count == 0 || count as u64 > max {
            return Err(TrailerError::PartCount { count, max });
        }
        if let Some(checksum) = &self.checksum {
            checksum.check_length()?;
        }
        let mut previous = 0;
        for (index, part) in self.parts.iter().enumerate() {
            let number = part.number;
            if number <= previous || u64::from(number) > PARTS_MAX {
                return Err(TrailerError::PartNumber { number });
            }
            previous = number;
            if part.plaintext_bytes < PART_BYTES_MIN && index + 1 < count {
                return Err(TrailerError::PartTooSmall {
                    number,
                    plaintext_bytes: part.plaintext_bytes,
                });
            }
            if part.plaintext_bytes >= 1 << 40 {
                return Err(TrailerError::PlaintextLength { plaintext_bytes });
            }
            if let Some(checksum) = &part.checksum {
                checksum.check_length()?;
                if checksum.checksum_type != ChecksumType::FullObject {
                    return Err(TrailerError::PartChecksumType { number });
                }
            }
        }
        Ok(())
    }

    /// Stored bytes of the zero pad between the last part and the trailer.
    #[must_use]
    pub fn pad_len(&self) -> u64 {
        let parts: u64 = self
            .parts
            .iter()
            .map(|part| layout::sealed_len(part.plaintext_bytes))
            .fold(0, u64::saturating_add);
        layout::parts_area_len(self.plaintext_bytes).saturating_sub(parts)
    }

    /// Zero pad and sealed trailer: everything of the stored body behind the parts.
    ///
    /// # Errors
    /// What [`Trailer::new`] refuses, and [`TrailerError::Random`].
    pub fn seal_with_pad(
        &self,
        engine: Engine,
        dek: &Dek,
        tenant: TenantId,
    ) -> Result<Vec<u8>, TrailerError> {
        let context = self.context(tenant).to_bytes();
        let sealer = Sealer::new(engine, dek.expose(), &context)?;
        let mut out = Vec::new();
        self.append_with_pad(sealer, &mut out)?;
        Ok(out)
    }

    /// Appends pad and trailer to `out` with a sealer that was made for [`Trailer::context`].
    pub(crate) fn append_with_pad(
        &self,
        mut sealer: Sealer,
        out: &mut Vec<u8>,
    ) -> Result<(), TrailerError> {
        let plaintext = self.encode()?;
        let pad = self.pad_len() as usize;
        out.reserve(pad + layout::trailer_len(self.plaintext_bytes) as usize);
        out.resize(out.len() + pad, 0);
        sealer.seal(&plaintext, out);
        sealer.finish(out);
        Ok(())
    }

    pub(crate) fn context(&self, tenant: TenantId) -> TrailerContext {
        TrailerContext {
            tenant,
            object_id: self.object_id,
            plaintext_bytes: self.plaintext_bytes,
        }
    }

    /// Opens the last [`layout::trailer_len`] bytes of the stored body of an object of `plaintext_bytes`.
    ///
    /// # Errors
    /// [`TrailerError::Open`] or [`TrailerError::Malformed`].
    pub fn open(
        engine: Engine,
        dek: &Dek,
        tenant: TenantId,
        object_id: ObjectId,
        plaintext_bytes: u64,
        sealed: &[u8],
    ) -> Result<Self, TrailerError> {
        let context = TrailerContext {
            tenant,
            object_id,
            plaintext_bytes,
        }
        .to_bytes();
        let plaintext = message::open_message(engine, dek.expose(), &context, sealed)?;
        let trailer = Self::decode(&plaintext).ok_or(TrailerError::Malformed)?;
        let is_wanted =
            trailer.object_id == object_id && trailer.plaintext_bytes == plaintext_bytes;
        is_wanted.then_some(trailer).ok_or(TrailerError::Malformed)
    }

    pub(crate) fn encode(&self) -> Result<Zeroizing<Vec<u8>>, TrailerError> {
        self.check()?;
        let length = layout::trailer_plaintext_len(self.plaintext_bytes) as usize;
        let mut bytes = Zeroizing::new(vec![0; length]);
        bytes[..OFFSET_COUNT].copy_from_slice(&self.plaintext_bytes.to_be_bytes());
        bytes[OFFSET_COUNT..OFFSET_ALGORITHM]
            .copy_from_slice(&(self.parts.len() as u16).to_be_bytes());
        bytes[OFFSET_OBJECT_ID..OFFSET_CHECKSUM].copy_from_slice(self.object_id.as_bytes());
        if let Some(checksum) = &self.checksum {
            bytes[OFFSET_ALGORITHM] = checksum.algorithm.code();
            bytes[OFFSET_TYPE] = checksum.checksum_type.code();
            bytes[OFFSET_CHECKSUM..][..checksum.value.len()].copy_from_slice(&checksum.value);
        }
        for (record, part) in bytes[FIXED..].chunks_exact_mut(RECORD).zip(&self.parts) {
            part.encode(record);
        }
        Ok(bytes)
    }

    /// Reads a trailer's plaintext; `None` unless [`Trailer::encode`] would write exactly these bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (fixed, records) = bytes.split_first_chunk::<FIXED>()?;
        let plaintext_bytes = u64::from_be_bytes(*fixed.first_chunk()?);
        let count = usize::from(u16::from_be_bytes([
            fixed[OFFSET_COUNT],
            fixed[OFFSET_COUNT + 1],
        ]));
        if bytes.len() as u64 != layout::trailer_plaintext_len(plaintext_bytes) {
            return None;
        }
        let reserved = [
            &fixed[OFFSET_RESERVED..OFFSET_OBJECT_ID],
            &fixed[OFFSET_RESERVED_TAIL..],
            records.get(count * RECORD..)?,
        ];
        if reserved.into_iter().flatten().any(|&byte| byte != 0) {
            return None;
        }
        let checksum = decode_checksum(
            fixed[OFFSET_ALGORITHM],
            fixed[OFFSET_TYPE],
            fixed[OFFSET_CHECKSUM..OFFSET_RESERVED_TAIL]
                .try_into()
                .ok()?,
        )
        .ok()?;
        let trailer = Self {
            plaintext_bytes,
            object_id: ObjectId::from_bytes(
                fixed[OFFSET_OBJECT_ID..OFFSET_CHECKSUM].try_into().ok()?,
            ),
            checksum,
            parts: records
                .chunks_exact(RECORD)
                .take(count)
                .map(PartRecord::decode)
                .collect::<Option<_>>()?,
        };
        trailer.check().ok()?;
        Some(trailer)
    }

    /// The parts that hold plaintext bytes `first..=last` of the object, each with its own share; nothing when the
    /// range lies behind the end.
    pub fn parts_for_range(&self, first: u64, last: u64) -> impl Iterator<Item = PartSlice<'_>> {
        let mut plaintext_offset = 0_u64;
        let mut stored_offset = 0_u64;
        self.parts.iter().filter_map(move |part| {
            let (start, stored_start) = (plaintext_offset, stored_offset);
            plaintext_offset = start.saturating_add(part.plaintext_bytes);
            stored_offset = stored_start.saturating_add(layout::sealed_len(part.plaintext_bytes));
            let last = last.min(plaintext_offset.checked_sub(1)?);
            let first = first.max(start);
            (first <= last).then(|| PartSlice {
                part,
                stored_offset: stored_start,
                first: first - start,
                last: last - start,
            })
        })
    }
}

impl PartRecord {
    /// The 56 bytes that the part's message must start with; a reader that sees them compares.
    #[must_use]
    pub fn prologue(&self) -> [u8; 56] {
        message::prologue(&self.salt, &self.commitment)
    }

    /// Number (0), checksum algorithm (2), plaintext length (3), salt (8), commitment (32), checksum (64).
    fn encode(&self, record: &mut [u8]) {
        record[..2].copy_from_slice(&self.number.to_be_bytes());
        record[3..8].copy_from_slice(&self.plaintext_bytes.to_be_bytes()[3..]);
        record[8..32].copy_from_slice(&self.salt);
        record[32..64].copy_from_slice(&self.commitment);
        if let Some(checksum) = &self.checksum {
            record[2] = checksum.algorithm.code();
            record[64..][..checksum.value.len()].copy_from_slice(&checksum.value);
        }
    }

    fn decode(record: &[u8]) -> Option<Self> {
        let record: &[u8; RECORD] = record.try_into().ok()?;
        let (number, rest) = record.split_first_chunk()?;
        let (algorithm, rest) = rest.split_first()?;
        let (plaintext_bytes, rest) = rest.split_first_chunk::<5>()?;
        let (salt, rest) = rest.split_first_chunk()?;
        let (commitment, value) = rest.split_first_chunk()?;
        let mut length = [0; 8];
        length[3..].copy_from_slice(plaintext_bytes);
        // Algorithm 0 takes type 0 with it; any other checksum of a part is over the part.
        let checksum_type = if *algorithm == 0 {
            0
        } else {
            ChecksumType::FullObject.code()
        };
        Some(Self {
            number: u16::from_be_bytes(*number),
            checksum: decode_checksum(*algorithm, checksum_type, value.try_into().ok()?).ok()?,
            plaintext_bytes: u64::from_be_bytes(length),
            salt: *salt,
            commitment: *commitment,
        })
    }
}

fn decode_checksum(
    algorithm: u8,
    checksum_type: u8,
    field: &[u8; VALUE_FIELD_BYTES],
) -> Result<Option<Checksum>, ChecksumError> {
    if algorithm == 0 {
        let is_zero = checksum_type == 0 && field.iter().all(|&byte| byte == 0);
        return if is_zero {
            Ok(None)
        } else {
            Err(ChecksumError::NotZero)
        };
    }
    let algorithm = ChecksumAlgorithm::from_code(algorithm)?;
    let checksum_type = ChecksumType::from_code(checksum_type)?;
    Checksum::from_field(algorithm, checksum_type, field).map(Some)
}

#[cfg(test)]
mod tests;
