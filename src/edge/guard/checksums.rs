//! Checksum headers: at most one value, of an algorithm that is known and of its length. s3s ignores algorithms that it does not
//! know, so that an object would be stored unchecked although its client asked for a check.

use super::payload::{Form, Payload};
use crate::ops::OpError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue};

const PREFIX: &str = "x-amz-checksum-";

/// Headers under the prefix that are no checksum values.
const NO_VALUES: &[&str] = &["algorithm", "mode", "type"];

/// A checksum algorithm as S3's headers name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksumHeader {
    /// `x-amz-checksum-crc32`.
    Crc32,
    /// `x-amz-checksum-crc32c`.
    Crc32c,
    /// `x-amz-checksum-crc64nvme`.
    Crc64Nvme,
    /// `x-amz-checksum-sha1`.
    Sha1,
    /// `x-amz-checksum-sha256`.
    Sha256,
}

impl ChecksumHeader {
    /// Every algorithm.
    pub const ALL: [Self; 5] = [
        Self::Crc32,
        Self::Crc32c,
        Self::Crc64Nvme,
        Self::Sha1,
        Self::Sha256,
    ];

    /// The algorithm's name in S3, lower case.
    #[must_use]
    pub fn algorithm(self) -> &'static str {
        match self {
            Self::Crc32 => "crc32",
            Self::Crc32c => "crc32c",
            Self::Crc64Nvme => "crc64nvme",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }

    /// The header that carries a value of this algorithm.
    #[must_use]
    pub fn from_header_name(name: &str) -> Option<Self> {
        let algorithm = name.strip_prefix(PREFIX)?;
        Self::ALL.into_iter().find(|c| c.algorithm() == algorithm)
    }

    fn value_bytes(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// The value for an empty body.
    #[must_use]
    pub fn of_nothing(self) -> &'static str {
        match self {
            Self::Crc32 | Self::Crc32c => "AAAAAA==",
            Self::Crc64Nvme => "AAAAAAAAAAA=",
            Self::Sha1 => "2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
            Self::Sha256 => "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        }
    }

    /// Whether a text is padded standard base64 of this algorithm's length.
    #[must_use]
    pub fn is_value(self, text: &str) -> bool {
        STANDARD
            .decode(text)
            .is_ok_and(|raw| raw.len() == self.value_bytes())
    }
}

/// Checks the checksum headers.
///
/// # Errors
/// `InvalidRequest` for an unknown algorithm, a value that can't be one, or more than one value.
pub fn check(headers: &HeaderMap, payload: &Payload) -> Result<(), OpError> {
    for name in ["x-amz-checksum-algorithm", "x-amz-sdk-checksum-algorithm"] {
        if headers.get(name).is_some_and(|v| !names_algorithm(v)) {
            return Err(OpError::invalid_request(
                "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, \
                 CRC64NVME, SHA1, SHA256]",
            ));
        }
    }
    check_announced(headers, payload)?;
    let mut values = usize::from(trailer(payload).is_some());
    for (name, value) in headers {
        let Some(rest) = name.as_str().strip_prefix(PREFIX) else {
            continue;
        };
        if NO_VALUES.contains(&rest) {
            continue;
        }
        let Some(algorithm) = ChecksumHeader::from_header_name(name.as_str()) else {
            return Err(OpError::invalid_request(
                "The algorithm type you specified in x-amz-checksum- header is invalid.",
            ));
        };
        if !is_header_value(algorithm, value) {
            return Err(OpError::invalid_request(format!(
                "Value for {name} header is invalid."
            )));
        }
        values += 1;
    }
    if values > 1 {
        return Err(OpError::invalid_request(
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
        ));
    }
    Ok(())
}

/// An SDK that says which checksum it made must have sent it.
fn check_announced(headers: &HeaderMap, payload: &Payload) -> Result<(), OpError> {
    let Some(announced) = headers.get("x-amz-sdk-checksum-algorithm") else {
        return Ok(());
    };
    let is_announced = |checksum: ChecksumHeader| names(checksum, announced);
    let is_there = trailer(payload).is_some_and(is_announced)
        || headers
            .keys()
            .filter_map(|name| ChecksumHeader::from_header_name(name.as_str()))
            .any(is_announced);
    if is_there || payload.declared_bytes.is_none() {
        return Ok(());
    }
    Err(OpError::invalid_request(
        "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.",
    ))
}

fn trailer(payload: &Payload) -> Option<ChecksumHeader> {
    match payload.form {
        Form::UnsignedChunks { trailer } => Some(trailer),
        Form::SignedChunks { trailer } => trailer,
        Form::Unsigned | Form::Hashed(_) => None,
    }
}

fn names(checksum: ChecksumHeader, value: &HeaderValue) -> bool {
    let name = checksum.algorithm().as_bytes();
    value.as_bytes().eq_ignore_ascii_case(name)
}

fn names_algorithm(value: &HeaderValue) -> bool {
    ChecksumHeader::ALL.iter().any(|c| names(*c, value))
}

/// A value, or one of a composite checksum: `value-parts`.
fn is_header_value(algorithm: ChecksumHeader, value: &HeaderValue) -> bool {
    let Ok(text) = value.to_str() else {
        return false;
    };
    let plain = match text.rsplit_once('-') {
        Some((plain, parts)) if !parts.is_empty() && parts.bytes().all(|b| b.is_ascii_digit()) => {
            plain
        }
        _ => text,
    };
    algorithm.is_value(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Code;

    fn code(headers: &[(&'static str, &'static str)], form: Form) -> Result<(), Code> {
        let headers: HeaderMap = headers
            .iter()
            .map(|(n, v)| {
                (
                    http::HeaderName::from_static(n),
                    HeaderValue::from_static(v),
                )
            })
            .collect();
        let payload = Payload {
            form,
            declared_bytes: Some(0),
            streams_object: true,
        };
        check(&headers, &payload).map_err(|e| e.code())
    }

    #[test]
    fn known_checksums_pass() {
        for (name, value) in [
            ("x-amz-checksum-crc32", "AAAAAA=="),
            ("x-amz-checksum-crc32", "AAAAAA==-3"),
            ("x-amz-checksum-crc64nvme", "AAAAAAAAAAA="),
            ("x-amz-checksum-algorithm", "CRC64NVME"),
            ("x-amz-checksum-mode", "ENABLED"),
            ("x-amz-checksum-type", "FULL_OBJECT"),
        ] {
            assert_eq!(code(&[(name, value)], Form::Unsigned), Ok(()), "{name}");
        }
    }

    #[test]
    fn unknown_algorithms_and_impossible_values_are_refused() {
        for (name, value) in [
            ("x-amz-checksum-md4", "AAAAAA=="),
            ("x-amz-checksum-crc32", "AAAAAA"),
            ("x-amz-checksum-crc32", "AAAAAAAAAAA="),
            ("x-amz-checksum-sha256", "bad"),
            ("x-amz-checksum-algorithm", "CRC31"),
            ("x-amz-sdk-checksum-algorithm", ""),
        ] {
            let refused = code(&[(name, value)], Form::Unsigned);
            assert_eq!(refused, Err(Code::InvalidRequest), "{name}: {value}");
        }
    }

    #[test]
    fn announced_algorithm_needs_its_checksum() {
        let announced = ("x-amz-sdk-checksum-algorithm", "crc32");
        let crc32 = ("x-amz-checksum-crc32", "AAAAAA==");
        let crc32c = ("x-amz-checksum-crc32c", "AAAAAA==");
        let trailer = |trailer| Form::UnsignedChunks { trailer };
        let refused = Err(Code::InvalidRequest);
        assert_eq!(code(&[announced, crc32], Form::Unsigned), Ok(()));
        assert_eq!(code(&[announced, crc32c], Form::Unsigned), refused);
        assert_eq!(code(&[announced], Form::Unsigned), refused);
        assert_eq!(code(&[announced], trailer(ChecksumHeader::Crc32)), Ok(()));
        assert_eq!(code(&[announced], trailer(ChecksumHeader::Sha1)), refused);
    }

    #[test]
    fn two_checksums_are_refused() {
        let crc = ("x-amz-checksum-crc32", "AAAAAA==");
        let two = [crc, ("x-amz-checksum-crc32c", "AAAAAA==")];
        assert_eq!(code(&two, Form::Unsigned), Err(Code::InvalidRequest));
        let form = Form::UnsignedChunks {
            trailer: ChecksumHeader::Crc32,
        };
        assert_eq!(code(&[crc], form), Err(Code::InvalidRequest));
    }
}
