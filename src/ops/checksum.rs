//! Checksums and MD5 that the client declares, verified on the plaintext as it passes.

use crate::ops::error::{Code, OpError};
use crate::region::BodyError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use lethe_envelope::{Checksum, ChecksumAlgorithm, ChecksumType};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// S3's algorithms with their header names' endings.
const ALGORITHMS: [(ChecksumAlgorithm, &str, usize); 5] = [
    (ChecksumAlgorithm::Crc32, "crc32", 4),
    (ChecksumAlgorithm::Crc32c, "crc32c", 4),
    (ChecksumAlgorithm::Crc64Nvme, "crc64nvme", 8),
    (ChecksumAlgorithm::Sha1, "sha1", 20),
    (ChecksumAlgorithm::Sha256, "sha256", 32),
];

const HEADER_PREFIX: &str = "x-amz-checksum-";

/// Reads S3's name of an algorithm (`CRC32`, `sha256`, …), in any case.
///
/// # Errors
/// `InvalidRequest` when S3 has no such algorithm.
pub fn parse_algorithm(name: &str) -> Result<ChecksumAlgorithm, OpError> {
    ALGORITHMS
        .iter()
        .find(|(_, known, _)| known.eq_ignore_ascii_case(name))
        .map(|(algorithm, ..)| *algorithm)
        .ok_or_else(|| {
            OpError::new(
                Code::InvalidRequest,
                "unknown checksum algorithm: use CRC32, CRC32C, CRC64NVME, SHA1 or SHA256",
            )
        })
}

/// S3's name of an algorithm, as in `x-amz-checksum-algorithm`.
#[must_use]
pub fn algorithm_name(algorithm: ChecksumAlgorithm) -> &'static str {
    match algorithm {
        ChecksumAlgorithm::Crc32 => "CRC32",
        ChecksumAlgorithm::Crc32c => "CRC32C",
        ChecksumAlgorithm::Crc64Nvme => "CRC64NVME",
        ChecksumAlgorithm::Sha1 => "SHA1",
        ChecksumAlgorithm::Sha256 => "SHA256",
        _ => "",
    }
}

/// A checksum's value as S3 writes it: base64, with `-N` behind a composite one.
#[must_use]
pub fn to_text(checksum: &Checksum, parts: Option<usize>) -> String {
    let digest = STANDARD.encode(&checksum.value);
    match (checksum.checksum_type, parts) {
        (ChecksumType::Composite, Some(parts)) => format!("{digest}-{parts}"),
        _ => digest,
    }
}

/// What the client declared about its body.
#[derive(Debug, Default)]
pub struct Declared {
    md5: Option<[u8; 16]>,
    checksum: Option<Checksum>,
    trailing: Option<ChecksumAlgorithm>,
    computed: Option<ChecksumAlgorithm>,
}

impl Declared {
    /// Reads `Content-MD5`, `x-amz-checksum-*` and `x-amz-trailer`.
    ///
    /// # Errors
    /// `InvalidDigest` for an MD5 that is none, `InvalidRequest` for an unknown or malformed checksum, or more than one.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, OpError> {
        let md5 = headers.get("content-md5").map(parse_md5).transpose()?;
        let mut checksum = None;
        for (name, value) in headers {
            let Some(ending) = name.as_str().strip_prefix(HEADER_PREFIX) else {
                continue;
            };
            if matches!(ending, "algorithm" | "mode" | "type") {
                continue;
            }
            let parsed = parse_checksum(ending, value.as_bytes())?;
            if checksum.replace(parsed).is_some() {
                return Err(OpError::new(
                    Code::InvalidRequest,
                    "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
                ));
            }
        }
        let trailing = trailing_algorithm(headers)?;
        if trailing.is_some() && checksum.is_some() {
            return Err(OpError::new(
                Code::InvalidRequest,
                "a checksum may come in a header or in the trailer, not both",
            ));
        }
        Ok(Self {
            md5,
            checksum,
            trailing,
            computed: None,
        })
    }

    /// Also computes this algorithm, so that the part or object has it even when the client sent none.
    #[must_use]
    pub fn computing(mut self, algorithm: Option<ChecksumAlgorithm>) -> Self {
        self.computed = algorithm;
        self
    }

    /// The checksum that is known before the body, to be sealed with the metadata.
    #[must_use]
    pub fn known(&self) -> Option<&Checksum> {
        self.checksum.as_ref()
    }

    /// The algorithm that the client declared, in a header or as a trailer.
    #[must_use]
    pub fn algorithm(&self) -> Option<ChecksumAlgorithm> {
        self.checksum
            .as_ref()
            .map(|checksum| checksum.algorithm)
            .or(self.trailing)
    }

    /// The verifier for the body.
    #[must_use]
    pub fn verifier(self) -> Verifier {
        let algorithm = self.algorithm().or(self.computed);
        Verifier {
            hasher: algorithm.and_then(Hasher::new),
            md5: self.md5.as_ref().map(|_| Md5::default()),
            declared: self,
        }
    }
}

fn parse_md5(value: &http::HeaderValue) -> Result<[u8; 16], OpError> {
    STANDARD
        .decode(value.as_bytes())
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| {
            OpError::new(
                Code::InvalidDigest,
                "The Content-MD5 you specified was invalid.",
            )
        })
}

fn parse_checksum(ending: &str, value: &[u8]) -> Result<Checksum, OpError> {
    let Some((algorithm, _, digest_bytes)) =
        ALGORITHMS.iter().find(|(_, known, _)| *known == ending)
    else {
        return Err(OpError::new(
            Code::InvalidRequest,
            "unknown x-amz-checksum- header: use crc32, crc32c, crc64nvme, sha1 or sha256",
        ));
    };
    match STANDARD.decode(value) {
        Ok(digest) if digest.len() == *digest_bytes => Ok(Checksum {
            algorithm: *algorithm,
            checksum_type: ChecksumType::FullObject,
            value: digest,
        }),
        _ => Err(OpError::new(
            Code::InvalidRequest,
            format!("Value for x-amz-checksum-{ending} header is invalid."),
        )),
    }
}

fn trailing_algorithm(headers: &HeaderMap) -> Result<Option<ChecksumAlgorithm>, OpError> {
    let Some(value) = headers.get("x-amz-trailer") else {
        return Ok(None);
    };
    let name = value
        .to_str()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let unknown = || {
        OpError::new(
            Code::InvalidRequest,
            "x-amz-trailer must name exactly one of x-amz-checksum-crc32, -crc32c, -crc64nvme, -sha1 and -sha256",
        )
    };
    let ending = name.strip_prefix(HEADER_PREFIX).ok_or_else(unknown)?;
    let known = ALGORITHMS
        .iter()
        .find(|(_, known, _)| *known == ending)
        .ok_or_else(unknown)?;
    Ok(Some(known.0))
}

enum Hasher {
    Crc(ChecksumAlgorithm, crc_fast::Digest),
    Sha1(Sha1),
    Sha256(Sha256),
}

fn crc_algorithm(algorithm: ChecksumAlgorithm) -> Option<crc_fast::CrcAlgorithm> {
    match algorithm {
        ChecksumAlgorithm::Crc32 => Some(crc_fast::CrcAlgorithm::Crc32IsoHdlc),
        ChecksumAlgorithm::Crc32c => Some(crc_fast::CrcAlgorithm::Crc32Iscsi),
        ChecksumAlgorithm::Crc64Nvme => Some(crc_fast::CrcAlgorithm::Crc64Nvme),
        _ => None,
    }
}

fn crc_bytes(algorithm: ChecksumAlgorithm, value: u64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    match algorithm {
        ChecksumAlgorithm::Crc64Nvme => bytes.to_vec(),
        _ => bytes[4..].to_vec(),
    }
}

impl Hasher {
    fn new(algorithm: ChecksumAlgorithm) -> Option<Self> {
        match algorithm {
            ChecksumAlgorithm::Sha1 => Some(Self::Sha1(Sha1::default())),
            ChecksumAlgorithm::Sha256 => Some(Self::Sha256(Sha256::default())),
            other => crc_algorithm(other).map(|crc| Self::Crc(other, crc_fast::Digest::new(crc))),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc(_, digest) => digest.update(bytes),
            Self::Sha1(digest) => digest.update(bytes),
            Self::Sha256(digest) => digest.update(bytes),
        }
    }

    fn finish(self) -> Checksum {
        let (algorithm, value) = match self {
            Self::Crc(algorithm, digest) => (algorithm, crc_bytes(algorithm, digest.finalize())),
            Self::Sha1(digest) => (ChecksumAlgorithm::Sha1, digest.finalize().to_vec()),
            Self::Sha256(digest) => (ChecksumAlgorithm::Sha256, digest.finalize().to_vec()),
        };
        Checksum {
            algorithm,
            checksum_type: ChecksumType::FullObject,
            value,
        }
    }
}

/// Hashes a body as it passes and says at its end whether it is what was declared.
pub struct Verifier {
    declared: Declared,
    hasher: Option<Hasher>,
    md5: Option<Md5>,
}

impl Verifier {
    /// Takes the next plaintext bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
    }

    /// Compares with what the headers and the trailer declared; the computed checksum where there is one.
    ///
    /// # Errors
    /// [`BodyError::Mismatch`] with S3's code when anything differs or a declared trailer is missing.
    pub fn finish(self, trailers: Option<&HeaderMap>) -> Result<Option<Checksum>, BodyError> {
        if let (Some(expected), Some(md5)) = (self.declared.md5, self.md5)
            && md5.finalize().as_slice() != expected
        {
            return Err(mismatch(
                "BadDigest",
                "The Content-MD5 you specified did not match what we received.",
            ));
        }
        let computed = self.hasher.map(Hasher::finish);
        let expected = match self.declared.trailing {
            Some(algorithm) => Some(trailing_checksum(algorithm, trailers)?),
            None => self.declared.checksum,
        };
        if let (Some(expected), Some(computed)) = (&expected, &computed)
            && expected != computed
        {
            let name = algorithm_name(computed.algorithm);
            return Err(mismatch(
                "BadDigest",
                &format!("The {name} you specified did not match the calculated checksum."),
            ));
        }
        Ok(computed)
    }
}

fn trailing_checksum(
    algorithm: ChecksumAlgorithm,
    trailers: Option<&HeaderMap>,
) -> Result<Checksum, BodyError> {
    let ending = algorithm_name(algorithm).to_ascii_lowercase();
    let value = trailers
        .and_then(|trailers| trailers.get(format!("{HEADER_PREFIX}{ending}")))
        .ok_or_else(|| {
            mismatch(
                "MalformedTrailerError",
                "the trailer that x-amz-trailer names did not come",
            )
        })?;
    parse_checksum(&ending, value.as_bytes()).map_err(|_| {
        mismatch(
            "InvalidRequest",
            &format!("Value for x-amz-checksum-{ending} trailing header is invalid."),
        )
    })
}

fn mismatch(code: &'static str, message: &str) -> BodyError {
    BodyError::Mismatch {
        code,
        message: message.to_owned(),
    }
}

/// The whole object's checksum from its parts' in order, `None` when a part has none or another algorithm's.
#[must_use]
pub fn of_parts(
    algorithm: ChecksumAlgorithm,
    kind: ChecksumType,
    parts: &[(Option<&Checksum>, u64)],
) -> Option<Checksum> {
    let digests: Option<Vec<(&Checksum, u64)>> = parts
        .iter()
        .map(|(checksum, bytes)| {
            checksum
                .filter(|c| c.algorithm == algorithm)
                .map(|c| (c, *bytes))
        })
        .collect();
    let digests = digests?;
    let value = match kind {
        ChecksumType::FullObject => combined_crc(algorithm, &digests)?,
        ChecksumType::Composite => {
            let mut hasher = Hasher::new(algorithm)?;
            for (checksum, _) in &digests {
                hasher.update(&checksum.value);
            }
            hasher.finish().value
        }
    };
    Some(Checksum {
        algorithm,
        checksum_type: kind,
        value,
    })
}

fn combined_crc(algorithm: ChecksumAlgorithm, digests: &[(&Checksum, u64)]) -> Option<Vec<u8>> {
    let crc = crc_algorithm(algorithm)?;
    let mut combined: Option<u64> = None;
    for (checksum, bytes) in digests {
        let value = checksum
            .value
            .iter()
            .fold(0u64, |sum, byte| (sum << 8) | u64::from(*byte));
        combined = Some(match combined {
            None => value,
            Some(before) => crc_fast::checksum_combine(crc, before, value, *bytes),
        });
    }
    combined.map(|value| crc_bytes(algorithm, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    fn verify(
        pairs: &[(&'static str, &str)],
        trailers: &[(&'static str, &str)],
        body: &[u8],
    ) -> Result<Option<Checksum>, BodyError> {
        let mut verifier = Declared::from_headers(&headers(pairs)).unwrap().verifier();
        verifier.update(body);
        let trailers = headers(trailers);
        verifier.finish(Some(&trailers))
    }

    #[test]
    fn checksum_of_every_algorithm_matching_is_returned() {
        // Check values of "123456789" from the catalogue of parametrised CRC algorithms and FIPS 180-4.
        for (name, value) in [
            ("x-amz-checksum-crc32", "y/Q5Jg=="),
            ("x-amz-checksum-crc32c", "4waSgw=="),
            ("x-amz-checksum-crc64nvme", "rosUhgp5mIg="),
            ("x-amz-checksum-sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="),
            (
                "x-amz-checksum-sha256",
                "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=",
            ),
        ] {
            let got = verify(&[(name, value)], &[], b"123456789")
                .unwrap()
                .unwrap();
            assert_eq!(to_text(&got, None), value, "{name}");
            assert!(
                verify(&[(name, value)], &[], b"123456780").is_err(),
                "{name}"
            );
            let trailing = verify(&[("x-amz-trailer", name)], &[(name, value)], b"123456789")
                .unwrap()
                .unwrap();
            assert_eq!(trailing, got);
            assert!(verify(&[("x-amz-trailer", name)], &[(name, value)], b"12345678").is_err());
        }
    }

    #[test]
    fn trailer_declared_but_missing_is_refused() {
        assert!(verify(&[("x-amz-trailer", "x-amz-checksum-crc32")], &[], b"").is_err());
    }

    #[test]
    fn md5_of_another_body_is_bad_digest() {
        let right = [("content-md5", "JfnnlDI7RTiF9RgfG2JNCw==")];
        assert!(verify(&right, &[], b"123456789").is_ok());
        let Err(BodyError::Mismatch { code, .. }) = verify(&right, &[], b"other") else {
            panic!("accepted")
        };
        assert_eq!(code, "BadDigest");
    }

    #[test]
    fn unknown_or_repeated_checksum_is_refused() {
        for pairs in [
            vec![("x-amz-checksum-crc16", "AAA=")],
            vec![("x-amz-checksum-crc32", "AAA=")],
            vec![("x-amz-checksum-crc32", "!")],
            vec![
                ("x-amz-checksum-crc32", "y/Q5Jg=="),
                ("x-amz-checksum-crc32c", "4waSgw=="),
            ],
            vec![("x-amz-trailer", "x-amz-meta-a")],
            vec![("x-amz-trailer", "x-amz-checksum-crc16")],
            vec![("content-md5", "short")],
        ] {
            assert!(
                Declared::from_headers(&headers(&pairs)).is_err(),
                "{pairs:?}"
            );
        }
    }

    #[test]
    fn full_object_crc_of_parts_equals_that_of_the_whole() {
        let whole = b"123456789".as_slice();
        for (algorithm, name, ..) in ALGORITHMS
            .iter()
            .filter(|(a, ..)| crc_algorithm(*a).is_some())
        {
            let crc = |bytes: &[u8]| {
                let mut hasher = Hasher::new(*algorithm).unwrap();
                hasher.update(bytes);
                hasher.finish()
            };
            let (a, b, c) = (crc(&whole[..2]), crc(&whole[2..2]), crc(&whole[2..]));
            let combined = of_parts(
                *algorithm,
                ChecksumType::FullObject,
                &[(Some(&a), 2), (Some(&b), 0), (Some(&c), 7)],
            )
            .unwrap();
            assert_eq!(combined, crc(whole), "{name}");
        }
    }
}
