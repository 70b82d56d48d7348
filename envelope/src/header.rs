//! The object header: one upstream user-metadata value (`docs/format.md` §6).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::context;
use crate::customer::{CUSTOMER_CHECK_BYTES, CustomerCheck};
use crate::id::{KekId, ObjectId};
use crate::layout::PLAINTEXT_BYTES_MAX;
use crate::message::{self, SealedPart};

const FORMAT_VERSION: u8 = 1;
const WRAPPED_DEK: usize = 104;
const BOUND_MULTIPART: usize = 67;
const BOUND_SINGLE: usize = BOUND_MULTIPART + 64;
const BOUND_MAX: usize = BOUND_SINGLE + CUSTOMER_CHECK_BYTES;
/// Longest header of this version, as base64 characters.
pub const HEADER_CHARS_MAX: usize = (BOUND_MAX + WRAPPED_DEK).div_ceil(3) * 4;

/// The cryptographic suite of an object (`docs/format.md` §10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Suite {
    /// 0x01: Cobblestone-256 throughout.
    Cobblestone256 = 0x01,
    /// 0x02: the same, and the DEK is wrapped under the KEK and a customer key together.
    Cobblestone256CustomerKey = 0x02,
}

impl Suite {
    /// The wire code.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The suite of an object with or without a customer key.
    const fn of(customer_check: Option<&CustomerCheck>) -> Self {
        match customer_check {
            None => Self::Cobblestone256,
            Some(_) => Self::Cobblestone256CustomerKey,
        }
    }
}

/// How the body came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// One PUT: one part, whose pins the header repeats.
    Single = 1,
    /// Parts, named by the trailer alone.
    Multipart = 2,
}

impl Kind {
    /// The wire code.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// Pins of a single PUT's only part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SinglePart {
    /// The part's salt.
    pub salt: [u8; 24],
    /// The part's key commitment.
    pub commitment: [u8; 32],
    /// P, plaintext bytes of the object.
    pub plaintext_bytes: u64,
}

impl SinglePart {
    /// The 56 bytes that the stored body must start with; a reader that sees them compares.
    #[must_use]
    pub fn prologue(&self) -> [u8; 56] {
        message::prologue(&self.salt, &self.commitment)
    }
}

impl From<SealedPart> for SinglePart {
    fn from(part: SealedPart) -> Self {
        Self {
            salt: part.salt,
            commitment: part.commitment,
            plaintext_bytes: part.plaintext_bytes,
        }
    }
}

/// A text that is not a header of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Not padded standard base64, or not of any header's length.
    #[error("decoding an object header failed: it is malformed")]
    Malformed,
    /// Written by a later version of the format, or in a suite that this build does not know.
    #[error("decoding an object header failed: format {version}, suite {suite} is not known here")]
    Unknown {
        /// Format version.
        version: u8,
        /// Suite code.
        suite: u8,
    },
}

/// A header whose DEK is not wrapped yet and which can therefore not be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderDraft {
    /// The KEK that will wrap the DEK.
    pub kek_id: KekId,
    /// [`crate::kek_commitment`] of that KEK.
    pub kek_commitment: [u8; 32],
    /// The object version.
    pub object_id: ObjectId,
    /// The only part's pins for a single PUT, `None` for multipart.
    pub single: Option<SinglePart>,
    /// The customer key's check where the DEK is wrapped under one too; the suite follows from it.
    pub customer_check: Option<CustomerCheck>,
}

impl HeaderDraft {
    /// The suite, by whether there is a customer key.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        Suite::of(self.customer_check.as_ref())
    }

    /// Single or multipart, by whether the part's pins are there.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self.single {
            Some(_) => Kind::Single,
            None => Kind::Multipart,
        }
    }

    /// SHA-256 over every byte of the header but the wrapped DEK, and over the sealed metadata
    /// (`docs/format.md` §6): goes into [`crate::DekContext::bindings_sha256`].
    #[must_use]
    pub fn bindings_sha256(&self, sealed_metadata: &[u8]) -> [u8; 32] {
        context::bindings_sha256(&self.bound_bytes(), sealed_metadata)
    }

    /// The finished header.
    #[must_use]
    pub fn with_wrapped_dek(self, wrapped_dek: [u8; WRAPPED_DEK]) -> Header {
        Header {
            kind: self.kind(),
            kek_id: self.kek_id,
            kek_commitment: self.kek_commitment,
            object_id: self.object_id,
            wrapped_dek,
            single: self.single,
            customer_check: self.customer_check,
        }
    }

    fn bound_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BOUND_MAX + WRAPPED_DEK);
        bytes.extend_from_slice(&[FORMAT_VERSION, self.suite().code(), self.kind().code()]);
        bytes.extend_from_slice(self.kek_id.as_bytes());
        bytes.extend_from_slice(&self.kek_commitment);
        bytes.extend_from_slice(self.object_id.as_bytes());
        if let Some(single) = &self.single {
            bytes.extend_from_slice(&single.salt);
            bytes.extend_from_slice(&single.commitment);
            bytes.extend_from_slice(&single.plaintext_bytes.to_be_bytes());
        }
        if let Some(check) = &self.customer_check {
            bytes.extend_from_slice(check.as_bytes());
        }
        bytes
    }
}

/// An object's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// How the body came to be; the encoding follows `single`, see [`HeaderDraft::kind`].
    pub kind: Kind,
    /// The KEK that wraps the DEK.
    pub kek_id: KekId,
    /// [`crate::kek_commitment`] of that KEK.
    pub kek_commitment: [u8; 32],
    /// The object version.
    pub object_id: ObjectId,
    /// The DEK, sealed under the KEK with [`crate::DekContext`].
    pub wrapped_dek: [u8; WRAPPED_DEK],
    /// The only part's pins for a single PUT, `None` for multipart.
    pub single: Option<SinglePart>,
    /// The customer key's check where the DEK is wrapped under one too.
    pub customer_check: Option<CustomerCheck>,
}

impl Header {
    /// The suite, by whether there is a customer key.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        Suite::of(self.customer_check.as_ref())
    }

    /// The header as padded standard base64, at most [`HEADER_CHARS_MAX`] characters.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut bytes = self.draft().bound_bytes();
        bytes.extend_from_slice(&self.wrapped_dek);
        STANDARD.encode(bytes)
    }

    /// Reads what [`Header::encode`] wrote, and nothing else: one text for one header.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn decode(text: &str) -> Result<Self, HeaderError> {
        if text.len() > HEADER_CHARS_MAX * 4 {
            return Err(HeaderError::Malformed);
        }
        let bytes = STANDARD.decode(text).map_err(|_| HeaderError::Malformed)?;
        let [version, suite, kind, rest @ ..] = bytes.as_slice() else {
            return Err(HeaderError::Malformed);
        };
        let known = [Suite::Cobblestone256, Suite::Cobblestone256CustomerKey];
        match known.into_iter().find(|known| known.code() == *suite) {
            Some(suite) if *version == FORMAT_VERSION => {
                Self::decode_fields(suite, *kind, rest).ok_or(HeaderError::Malformed)
            }
            _ => Err(HeaderError::Unknown {
                version: *version,
                suite: *suite,
            }),
        }
    }

    fn decode_fields(suite: Suite, kind: u8, bytes: &[u8]) -> Option<Self> {
        let (kek_id, bytes) = bytes.split_first_chunk()?;
        let (kek_commitment, bytes) = bytes.split_first_chunk()?;
        let (object_id, bytes) = bytes.split_first_chunk()?;
        let (kind, single, bytes) = if kind == Kind::Single.code() {
            let (salt, bytes) = bytes.split_first_chunk()?;
            let (commitment, bytes) = bytes.split_first_chunk()?;
            let (plaintext_bytes, bytes) = bytes.split_first_chunk()?;
            let plaintext_bytes = u64::from_be_bytes(*plaintext_bytes);
            if plaintext_bytes > PLAINTEXT_BYTES_MAX {
                return None;
            }
            let single = SinglePart {
                salt: *salt,
                commitment: *commitment,
                plaintext_bytes,
            };
            (Kind::Single, Some(single), bytes)
        } else if kind == Kind::Multipart.code() {
            (Kind::Multipart, None, bytes)
        } else {
            return None;
        };
        let (customer_check, bytes) = match suite {
            Suite::Cobblestone256 => (None, bytes),
            Suite::Cobblestone256CustomerKey => {
                let (check, bytes) = bytes.split_first_chunk()?;
                (Some(CustomerCheck::from_bytes(*check)), bytes)
            }
        };
        Some(Self {
            kind,
            kek_id: KekId::from_bytes(*kek_id),
            kek_commitment: *kek_commitment,
            object_id: ObjectId::from_bytes(*object_id),
            wrapped_dek: bytes.try_into().ok()?,
            single,
            customer_check,
        })
    }

    /// SHA-256 over every byte of this header but the wrapped DEK, and over the sealed metadata.
    #[must_use]
    pub fn bindings_sha256(&self, sealed_metadata: &[u8]) -> [u8; 32] {
        self.draft().bindings_sha256(sealed_metadata)
    }

    /// This header without its wrapped DEK, as a copy or a rewrap starts from.
    #[must_use]
    pub const fn draft(&self) -> HeaderDraft {
        HeaderDraft {
            kek_id: self.kek_id,
            kek_commitment: self.kek_commitment,
            object_id: self.object_id,
            single: self.single,
            customer_check: self.customer_check,
        }
    }
}
