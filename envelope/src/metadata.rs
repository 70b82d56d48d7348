//! Sealed metadata: what the client said about the object (`docs/format.md` §7).

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::checksum::{Checksum, ChecksumAlgorithm, ChecksumError, ChecksumType};
use crate::context::MetadataContext;
use crate::engine::Engine;
use crate::key::Dek;
use crate::layout::MESSAGE_OVERHEAD_BYTES;
use crate::message::{self, OpenError};
use crate::random::RandomError;

/// S3's bound on user metadata, counted by [`user_metadata_len`].
pub const USER_METADATA_BYTES_MAX: usize = 2_048;
/// The encoding is padded with zeros to a multiple of this.
pub const BUCKET_BYTES: usize = 64;
/// Most bytes of the padded encoding: with overhead and as base64 it is 3,680 characters, which beside a header
/// fit an upstream's 2,048 bytes of user metadata and 2,000 of Content-Disposition.
pub const PADDED_BYTES_MAX: usize = 42 * BUCKET_BYTES;
/// Most bytes of a sealed metadata value.
pub const SEALED_METADATA_BYTES_MAX: usize = PADDED_BYTES_MAX + MESSAGE_OVERHEAD_BYTES as usize;

const TAG_CONTENT_TYPE: u8 = 1;
const TAG_CONTENT_DISPOSITION: u8 = 2;
const TAG_CONTENT_ENCODING: u8 = 3;
const TAG_CONTENT_LANGUAGE: u8 = 4;
const TAG_CACHE_CONTROL: u8 = 5;
const TAG_EXPIRES: u8 = 6;
const TAG_CHECKSUM: u8 = 7;
const TAG_USER: u8 = 8;

/// Why metadata did not seal or open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// User metadata over 2,048 bytes, or all metadata together over what an upstream has room for: S3's
    /// `MetadataTooLarge`.
    #[error("sealing metadata failed: {found} bytes are more than the {max} allowed")]
    TooLarge {
        /// Bytes given.
        found: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// The checksum's value has not its algorithm's length.
    #[error("sealing metadata failed")]
    Checksum(#[from] ChecksumError),
    /// No randomness for the salt.
    #[error("sealing metadata failed")]
    Random(#[from] RandomError),
    /// The value is not this object's, or was altered.
    #[error("opening metadata failed")]
    Open(#[from] OpenError),
    /// Authentic, yet not an encoding that this version writes.
    #[error("opening metadata failed: its encoding is not one of this version")]
    Malformed,
}

/// S3's count of user metadata: bytes of all names (without `x-amz-meta-`) and values.
#[must_use]
pub fn user_metadata_len(user: &BTreeMap<String, String>) -> usize {
    user.iter()
        .map(|(name, value)| name.len() + value.len())
        .sum()
}

/// Everything about an object that its upstream must not read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectMetadata {
    /// User metadata, names without `x-amz-meta-`.
    pub user: BTreeMap<String, String>,
    /// Content-Type.
    pub content_type: Option<String>,
    /// Content-Disposition.
    pub content_disposition: Option<String>,
    /// Content-Encoding without `aws-chunked`.
    pub content_encoding: Option<String>,
    /// Content-Language.
    pub content_language: Option<String>,
    /// Cache-Control.
    pub cache_control: Option<String>,
    /// Expires, as the text that the client sent.
    pub expires: Option<String>,
    /// The object's checksum when it was known before the body.
    pub checksum: Option<Checksum>,
}

impl ObjectMetadata {
    /// Encodes, pads and seals.
    ///
    /// # Errors
    /// [`MetadataError::TooLarge`], [`MetadataError::Checksum`] or [`MetadataError::Random`].
    pub fn seal(
        &self,
        engine: Engine,
        dek: &Dek,
        context: &MetadataContext,
    ) -> Result<Vec<u8>, MetadataError> {
        let encoded = self.encode()?;
        Ok(message::seal_message(
            engine,
            dek.expose(),
            &context.to_bytes(),
            &encoded,
        )?)
    }

    /// Opens and decodes what [`ObjectMetadata::seal`] gave.
    ///
    /// # Errors
    /// [`MetadataError::Open`] or [`MetadataError::Malformed`].
    pub fn open(
        engine: Engine,
        dek: &Dek,
        context: &MetadataContext,
        sealed: &[u8],
    ) -> Result<Self, MetadataError> {
        let padded = message::open_message(engine, dek.expose(), &context.to_bytes(), sealed)?;
        Self::decode(&padded).ok_or(MetadataError::Malformed)
    }

    /// The padded plaintext encoding.
    pub(crate) fn encode(&self) -> Result<Zeroizing<Vec<u8>>, MetadataError> {
        let user_len = user_metadata_len(&self.user);
        if user_len > USER_METADATA_BYTES_MAX {
            return Err(MetadataError::TooLarge {
                found: user_len,
                max: USER_METADATA_BYTES_MAX,
            });
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(PADDED_BYTES_MAX));
        for (tag, text) in self.texts() {
            if let Some(text) = text {
                bytes.push(tag);
                push_bytes(&mut bytes, text.as_bytes())?;
            }
        }
        if let Some(checksum) = &self.checksum {
            checksum.check_length()?;
            bytes.push(TAG_CHECKSUM);
            bytes.push(checksum.algorithm.code());
            bytes.push(checksum.checksum_type.code());
            bytes.extend_from_slice(&checksum.value);
        }
        if !self.user.is_empty() {
            bytes.push(TAG_USER);
            push_length(&mut bytes, self.user.len())?;
            for (name, value) in &self.user {
                push_bytes(&mut bytes, name.as_bytes())?;
                push_bytes(&mut bytes, value.as_bytes())?;
            }
        }
        let padded = padded_len(bytes.len());
        if padded > PADDED_BYTES_MAX {
            return Err(MetadataError::TooLarge {
                found: bytes.len(),
                max: PADDED_BYTES_MAX,
            });
        }
        bytes.resize(padded, 0);
        Ok(bytes)
    }

    fn texts(&self) -> [(u8, &Option<String>); 6] {
        [
            (TAG_CONTENT_TYPE, &self.content_type),
            (TAG_CONTENT_DISPOSITION, &self.content_disposition),
            (TAG_CONTENT_ENCODING, &self.content_encoding),
            (TAG_CONTENT_LANGUAGE, &self.content_language),
            (TAG_CACHE_CONTROL, &self.cache_control),
            (TAG_EXPIRES, &self.expires),
        ]
    }

    fn text_mut(&mut self, tag: u8) -> Option<&mut Option<String>> {
        match tag {
            TAG_CONTENT_TYPE => Some(&mut self.content_type),
            TAG_CONTENT_DISPOSITION => Some(&mut self.content_disposition),
            TAG_CONTENT_ENCODING => Some(&mut self.content_encoding),
            TAG_CONTENT_LANGUAGE => Some(&mut self.content_language),
            TAG_CACHE_CONTROL => Some(&mut self.cache_control),
            TAG_EXPIRES => Some(&mut self.expires),
            _ => None,
        }
    }

    /// Reads a padded encoding; `None` unless [`ObjectMetadata::encode`] would write exactly these bytes.
    pub(crate) fn decode(padded: &[u8]) -> Option<Self> {
        if padded.len() > PADDED_BYTES_MAX {
            return None;
        }
        let mut metadata = Self::default();
        let mut reader = Reader(padded);
        let mut previous = 0;
        let mut encoded_len = 0;
        while let Some(&tag) = reader.0.first() {
            if tag == 0 {
                break;
            }
            if tag <= previous {
                return None;
            }
            previous = tag;
            reader.take(1)?;
            if tag == TAG_CHECKSUM {
                metadata.checksum = Some(reader.checksum()?);
            } else if tag == TAG_USER {
                metadata.user = reader.user()?;
            } else {
                *metadata.text_mut(tag)? = Some(reader.text()?);
            }
            encoded_len = padded.len() - reader.0.len();
        }
        let padding_is_zero = reader.0.iter().all(|&byte| byte == 0);
        (padding_is_zero && padded.len() == padded_len(encoded_len)).then_some(metadata)
    }
}

/// The smallest whole number of buckets, at least one, that holds `encoded_len` bytes.
fn padded_len(encoded_len: usize) -> usize {
    encoded_len.max(1).next_multiple_of(BUCKET_BYTES)
}

/// Lengths and counts: one byte below 128, else two with the high bit set (`docs/format.md` §7).
fn push_length(bytes: &mut Vec<u8>, length: usize) -> Result<(), MetadataError> {
    match u16::try_from(length) {
        Ok(short @ ..0x80) => bytes.push(short as u8),
        Ok(long @ 0x80..0x8000) => bytes.extend_from_slice(&(long | 0x8000).to_be_bytes()),
        _ => {
            return Err(MetadataError::TooLarge {
                found: length,
                max: PADDED_BYTES_MAX,
            });
        }
    }
    Ok(())
}

fn push_bytes(bytes: &mut Vec<u8>, field: &[u8]) -> Result<(), MetadataError> {
    push_length(bytes, field.len())?;
    // Also bounds the buffer: a caller's header of any length ends here.
    if bytes.len() + field.len() > PADDED_BYTES_MAX {
        return Err(MetadataError::TooLarge {
            found: bytes.len() + field.len(),
            max: PADDED_BYTES_MAX,
        });
    }
    bytes.extend_from_slice(field);
    Ok(())
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn length(&mut self) -> Option<usize> {
        let first = *self.take(1)?.first()?;
        if first < 0x80 {
            return Some(usize::from(first));
        }
        let second = *self.take(1)?.first()?;
        let length = usize::from(u16::from_be_bytes([first & 0x7f, second]));
        // The short form exists for these: one encoding for a value.
        (length >= 0x80).then_some(length)
    }

    fn text(&mut self) -> Option<String> {
        let length = self.length()?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).ok().map(str::to_owned)
    }

    fn checksum(&mut self) -> Option<Checksum> {
        let [algorithm, checksum_type] = self.take(2)?.try_into().ok()?;
        let algorithm = ChecksumAlgorithm::from_code(algorithm).ok()?;
        let checksum_type = ChecksumType::from_code(checksum_type).ok()?;
        let value = self.take(algorithm.value_bytes())?.to_vec();
        Some(Checksum {
            algorithm,
            checksum_type,
            value,
        })
    }

    fn user(&mut self) -> Option<BTreeMap<String, String>> {
        let count = self.length()?;
        let mut user = BTreeMap::new();
        for _ in 0..count {
            let name = self.text()?;
            let value = self.text()?;
            if user.last_key_value().is_some_and(|(last, _)| *last >= name) {
                return None;
            }
            user.insert(name, value);
        }
        (!user.is_empty() && user_metadata_len(&user) <= USER_METADATA_BYTES_MAX).then_some(user)
    }
}

#[cfg(test)]
mod tests;
