//! Small conversions between S3's messages and the operations' types.

use crate::clock::UnixMs;
use crate::ops::checksum;
use crate::ops::customer_key::{ALGORITHM, SentCustomerKey};
use crate::ops::error::OpError;
use crate::ops::etag::ClientEtag;
use crate::region::BodyError;
use bytes::Bytes;
use futures::Stream;
use futures::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;
use http_body_util::StreamBody;
use lethe_envelope::{Checksum, ChecksumAlgorithm, ChecksumType, ObjectMetadata};
use s3s::Body;
use s3s::dto::{self, StreamingBlob, Timestamp};
use std::time::{Duration, SystemTime};

pub(super) fn etag(etag: &ClientEtag) -> dto::ETag {
    dto::ETag::Strong(etag.as_str().to_owned())
}

pub(super) fn client_etag(etag: &dto::ETag) -> ClientEtag {
    ClientEtag::from_client(etag.value())
}

pub(super) fn timestamp(time: UnixMs) -> Timestamp {
    let since_epoch = Duration::from_millis(u64::try_from(time.0).unwrap_or(0));
    Timestamp::from(SystemTime::UNIX_EPOCH + since_epoch)
}

pub(super) fn size(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// A plaintext stream as an answer's body; its error resets the connection.
pub(super) fn blob<S>(stream: S) -> StreamingBlob
where
    S: Stream<Item = Result<Bytes, BodyError>> + Send + 'static,
{
    StreamingBlob::from(Body::http_body_unsync(StreamBody::new(
        stream.map(|chunk| chunk.map(Frame::data)),
    )))
}

/// A checksum in the five fields that S3's messages have for it.
#[derive(Default)]
pub(super) struct Checksums {
    pub crc32: Option<String>,
    pub crc32c: Option<String>,
    pub crc64nvme: Option<String>,
    pub sha1: Option<String>,
    pub sha256: Option<String>,
    pub kind: Option<dto::ChecksumType>,
}

impl Checksums {
    pub(super) fn of(checksum: Option<&Checksum>, parts: usize) -> Self {
        let Some(checksum) = checksum else {
            return Self::default();
        };
        let text = Some(checksum::to_text(checksum, Some(parts)));
        let mut fields = Self {
            kind: Some(checksum_type(checksum.checksum_type)),
            ..Self::default()
        };
        match checksum.algorithm {
            ChecksumAlgorithm::Crc32 => fields.crc32 = text,
            ChecksumAlgorithm::Crc32c => fields.crc32c = text,
            ChecksumAlgorithm::Crc64Nvme => fields.crc64nvme = text,
            ChecksumAlgorithm::Sha1 => fields.sha1 = text,
            ChecksumAlgorithm::Sha256 => fields.sha256 = text,
            _ => fields.kind = None,
        }
        fields
    }
}

/// Fills the five checksum fields of a message.
macro_rules! with_checksums {
    ($message:expr, $checksums:expr) => {{
        let (mut message, checksums) = ($message, $checksums);
        message.checksum_crc32 = checksums.crc32;
        message.checksum_crc32c = checksums.crc32c;
        message.checksum_crc64nvme = checksums.crc64nvme;
        message.checksum_sha1 = checksums.sha1;
        message.checksum_sha256 = checksums.sha256;
        message
    }};
}
pub(super) use with_checksums;

/// An object's encryption in the three fields that S3's messages have for it.
pub(super) struct Encryption {
    pub method: Option<dto::ServerSideEncryption>,
    pub customer_algorithm: Option<String>,
    pub customer_key_md5: Option<String>,
}

impl Encryption {
    /// A customer key, or else the method.
    pub(super) fn of(customer_key: Option<&SentCustomerKey>, method: &'static str) -> Self {
        Self {
            method: customer_key
                .is_none()
                .then(|| dto::ServerSideEncryption::from_static(method)),
            customer_algorithm: customer_key.map(|_| ALGORITHM.to_owned()),
            customer_key_md5: customer_key.map(SentCustomerKey::md5_text),
        }
    }

    /// Without a method to repeat.
    pub(super) fn stored(customer_key: Option<&SentCustomerKey>) -> Self {
        Self::of(customer_key, dto::ServerSideEncryption::AES256)
    }
}

/// Fills the three encryption fields of a message.
macro_rules! with_encryption {
    ($message:expr, $encryption:expr) => {{
        let (mut message, encryption) = ($message, $encryption);
        message.server_side_encryption = encryption.method;
        message.sse_customer_algorithm = encryption.customer_algorithm;
        message.sse_customer_key_md5 = encryption.customer_key_md5;
        message
    }};
}
pub(super) use with_encryption;

pub(super) fn checksum_type(kind: ChecksumType) -> dto::ChecksumType {
    dto::ChecksumType::from_static(match kind {
        ChecksumType::FullObject => dto::ChecksumType::FULL_OBJECT,
        ChecksumType::Composite => dto::ChecksumType::COMPOSITE,
    })
}

pub(super) fn algorithm(algorithm: ChecksumAlgorithm) -> dto::ChecksumAlgorithm {
    dto::ChecksumAlgorithm::from_static(checksum::algorithm_name(algorithm))
}

/// Percent-encodes a key for `encoding-type=url`: decoders of both kinds read a space back from `%20`.
pub(super) fn url_encode(text: &str) -> String {
    const KEPT: percent_encoding::AsciiSet = percent_encoding::NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~')
        .remove(b'/')
        .remove(b'*');
    percent_encoding::utf8_percent_encode(text, &KEPT).to_string()
}

/// How keys are written in a listing.
#[derive(Clone, Copy)]
pub(super) struct Encoding {
    url: bool,
}

impl Encoding {
    pub(super) fn asked(asked: Option<&dto::EncodingType>) -> Result<Self, OpError> {
        match asked.map(dto::EncodingType::as_str) {
            None => Ok(Self { url: false }),
            Some(dto::EncodingType::URL) => Ok(Self { url: true }),
            Some(_) => Err(OpError::invalid_argument(
                "Invalid Encoding Method specified in Request",
            )),
        }
    }

    pub(super) fn text(self, text: &str) -> String {
        if self.url {
            url_encode(text)
        } else {
            text.to_owned()
        }
    }

    pub(super) fn optional(self, text: Option<&String>) -> Option<String> {
        text.map(|text| self.text(text))
    }
}

/// The system headers that were sealed with the object, as they came.
pub(super) fn system_headers(metadata: &ObjectMetadata) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let fields = [
        (
            http::header::CONTENT_TYPE,
            metadata
                .content_type
                .as_deref()
                .or(Some("binary/octet-stream")),
        ),
        (
            http::header::CONTENT_DISPOSITION,
            metadata.content_disposition.as_deref(),
        ),
        (
            http::header::CONTENT_ENCODING,
            metadata.content_encoding.as_deref(),
        ),
        (
            http::header::CONTENT_LANGUAGE,
            metadata.content_language.as_deref(),
        ),
        (
            http::header::CACHE_CONTROL,
            metadata.cache_control.as_deref(),
        ),
        (http::header::EXPIRES, metadata.expires.as_deref()),
    ];
    for (name, value) in fields {
        set(&mut headers, name, value);
    }
    headers
}

/// Sets a header that the client is to see; text that no header can hold is left out.
pub(super) fn set(headers: &mut HeaderMap, name: HeaderName, value: Option<&str>) {
    if let Some(value) = value.and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok()) {
        headers.insert(name, value);
    }
}

pub(super) fn tags(tags: Vec<(String, String)>) -> Vec<dto::Tag> {
    tags.into_iter()
        .map(|(key, value)| dto::Tag {
            key: Some(key),
            value: Some(value),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_encoding_reads_back_and_keeps_slashes() {
        for text in ["a/b c", "ü+%&=?#", "\u{1}\n", "~-_.*'()", "日本"] {
            let encoded = url_encode(text);
            assert!(encoded.bytes().all(|b| b.is_ascii_graphic()), "{encoded}");
            assert_eq!(
                percent_encoding::percent_decode_str(&encoded)
                    .decode_utf8()
                    .unwrap(),
                text
            );
        }
        assert_eq!(url_encode("a/b c"), "a/b%20c");
    }
}
