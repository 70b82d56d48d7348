//! Checksums of plaintext, as clients sent them and as S3 names them.

/// A checksum that the format does not know or whose length is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChecksumError {
    /// A wire code that this version does not know.
    #[error("unknown checksum algorithm code {0}")]
    UnknownAlgorithm(u8),
    /// A wire code that this version does not know.
    #[error("unknown checksum type code {0}")]
    UnknownType(u8),
    /// The value is not as long as the algorithm's result.
    #[error("a {algorithm:?} checksum has {wanted} bytes, not {found}")]
    Length {
        /// The algorithm claimed.
        algorithm: ChecksumAlgorithm,
        /// Its result's bytes.
        wanted: usize,
        /// The value's bytes.
        found: usize,
    },
    /// No checksum, but a type, a value or padding other than zero.
    #[error("a checksum field that is not used is not zero")]
    NotZero,
}

/// Checksum algorithms; the numbers are the wire codes (`docs/format.md` §9), 0 on the wire meaning none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ChecksumAlgorithm {
    /// CRC-32, 4 bytes.
    Crc32 = 1,
    /// CRC-32C, 4 bytes.
    Crc32c = 2,
    /// CRC-64/NVME, 8 bytes.
    Crc64Nvme = 3,
    /// SHA-1, 20 bytes.
    Sha1 = 4,
    /// SHA-256, 32 bytes.
    Sha256 = 5,
    /// MD5, 16 bytes.
    Md5 = 6,
    /// SHA-512, 64 bytes.
    Sha512 = 7,
    /// XXH64, 8 bytes.
    Xxhash64 = 8,
    /// XXH3 of 64 bits, 8 bytes.
    Xxhash3 = 9,
    /// XXH3 of 128 bits, 16 bytes.
    Xxhash128 = 10,
}

impl ChecksumAlgorithm {
    /// Every algorithm, in the order of their codes.
    pub const ALL: [Self; 10] = [
        Self::Crc32,
        Self::Crc32c,
        Self::Crc64Nvme,
        Self::Sha1,
        Self::Sha256,
        Self::Md5,
        Self::Sha512,
        Self::Xxhash64,
        Self::Xxhash3,
        Self::Xxhash128,
    ];

    /// The wire code.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The algorithm with this wire code.
    ///
    /// # Errors
    /// [`ChecksumError::UnknownAlgorithm`], also for 0.
    pub fn from_code(code: u8) -> Result<Self, ChecksumError> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.code() == code)
            .ok_or(ChecksumError::UnknownAlgorithm(code))
    }

    /// Bytes of its result.
    #[must_use]
    pub const fn value_bytes(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme | Self::Xxhash64 | Self::Xxhash3 => 8,
            Self::Md5 | Self::Xxhash128 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// What a checksum runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ChecksumType {
    /// The plaintext bytes.
    FullObject = 1,
    /// The parts' checksums, one after the other.
    Composite = 2,
}

impl ChecksumType {
    /// The wire code.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The type with this wire code.
    ///
    /// # Errors
    /// [`ChecksumError::UnknownType`], also for 0.
    pub fn from_code(code: u8) -> Result<Self, ChecksumError> {
        match code {
            1 => Ok(Self::FullObject),
            2 => Ok(Self::Composite),
            _ => Err(ChecksumError::UnknownType(code)),
        }
    }
}

/// A checksum with its raw bytes, not base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    /// How it was computed.
    pub algorithm: ChecksumAlgorithm,
    /// Over what.
    pub checksum_type: ChecksumType,
    /// As many bytes as the algorithm gives; sealing refuses any other number.
    pub value: Vec<u8>,
}

/// Bytes of the field that holds any checksum's value.
pub(crate) const VALUE_FIELD_BYTES: usize = 64;

impl Checksum {
    /// A checksum whose value has the algorithm's length.
    ///
    /// # Errors
    /// [`ChecksumError::Length`].
    pub fn new(
        algorithm: ChecksumAlgorithm,
        checksum_type: ChecksumType,
        value: Vec<u8>,
    ) -> Result<Self, ChecksumError> {
        let checksum = Self {
            algorithm,
            checksum_type,
            value,
        };
        checksum.check_length()?;
        Ok(checksum)
    }

    pub(crate) fn check_length(&self) -> Result<(), ChecksumError> {
        let wanted = self.algorithm.value_bytes();
        if self.value.len() == wanted {
            return Ok(());
        }
        Err(ChecksumError::Length {
            algorithm: self.algorithm,
            wanted,
            found: self.value.len(),
        })
    }

    /// Reads a value from its zero-padded field; the caller has read algorithm and type.
    pub(crate) fn from_field(
        algorithm: ChecksumAlgorithm,
        checksum_type: ChecksumType,
        field: &[u8; VALUE_FIELD_BYTES],
    ) -> Result<Self, ChecksumError> {
        let (value, padding) = field.split_at(algorithm.value_bytes());
        if padding.iter().any(|&byte| byte != 0) {
            return Err(ChecksumError::NotZero);
        }
        Ok(Self {
            algorithm,
            checksum_type,
            value: value.to_vec(),
        })
    }
}
