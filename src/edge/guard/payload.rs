//! How a body comes and how long it says to be: `x-amz-content-sha256`, `x-amz-decoded-content-length`, `x-amz-trailer` and
//! Content-Length, which must agree before a byte is read.

use super::BodyLimits;
use super::authorization::Signed;
use super::checksums::ChecksumHeader;
use super::query::Query;
use crate::ops::{Code, OpError};
use http::request::Parts;
use http::{HeaderMap, Method, header};

/// Most bytes of a document, which s3s holds in memory.
pub const DOCUMENT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How the body comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it is, covered by nothing (`UNSIGNED-PAYLOAD`, or a presigned URL that says nothing).
    Unsigned,
    /// As it is, with its SHA-256 in the signature.
    Hashed([u8; 32]),
    /// aws-chunked, each chunk signed, then perhaps a trailer.
    SignedChunks {
        /// The trailer's checksum.
        trailer: Option<ChecksumHeader>,
    },
    /// aws-chunked, unsigned, then a trailer.
    UnsignedChunks {
        /// The trailer's checksum.
        trailer: ChecksumHeader,
    },
}

/// What a request says about its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// How it comes.
    pub form: Form,
    /// How many plaintext bytes it says to have; `None` when there is no body.
    pub declared_bytes: Option<u64>,
    /// Whether the body is an object's or a part's (and not a document that s3s buffers).
    pub streams_object: bool,
}

/// Reads what the request says about its body.
///
/// # Errors
/// The answer for the client when it says too little, too much, or contradicts itself.
pub fn read(
    parts: &Parts,
    signed: &Signed,
    names_object: bool,
    limits: &BodyLimits,
) -> Result<Payload, OpError> {
    let headers = &parts.headers;
    let form = form(headers, signed)?;
    let streams_object = parts.method == Method::PUT && names_object && !writes_document(parts)?;
    let declared_bytes = match form {
        Form::SignedChunks { .. } | Form::UnsignedChunks { .. } => Some(decoded_bytes(headers)?),
        Form::Unsigned | Form::Hashed(_) => plain_bytes(headers, streams_object)?,
    };
    if declared_bytes.is_some_and(|b| b > limits.body_bytes_max) {
        return Err(OpError::new(
            Code::EntityTooLarge,
            "Your proposed upload exceeds the maximum allowed size",
        ));
    }
    if !streams_object && declared_bytes.is_some_and(|b| b > DOCUMENT_BYTES_MAX) {
        return Err(OpError::new(
            Code::MaxMessageLengthExceeded,
            "Your request was too big.",
        ));
    }
    Ok(Payload {
        form,
        declared_bytes,
        streams_object,
    })
}

/// Subresources of an object whose PUT body is a document.
fn writes_document(parts: &Parts) -> Result<bool, OpError> {
    let query = Query::parse(parts.uri.query().unwrap_or_default())?;
    let documents = ["acl", "legal-hold", "retention", "tagging"];
    Ok(documents.iter().any(|name| query.has(name)))
}

fn form(headers: &HeaderMap, signed: &Signed) -> Result<Form, OpError> {
    let Some(value) = headers.get("x-amz-content-sha256") else {
        return match signed.is_presigned() {
            true => no_trailer(headers, Form::Unsigned),
            false => Err(OpError::invalid_request(
                "Missing required header for this request: x-amz-content-sha256",
            )),
        };
    };
    let text = value.to_str().unwrap_or_default();
    if signed.is_presigned() && text.starts_with("STREAMING-") {
        return Err(OpError::not_implemented(
            "Chunked signatures do not go with presigned URLs.",
        ));
    }
    match text {
        "UNSIGNED-PAYLOAD" => no_trailer(headers, Form::Unsigned),
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => {
            no_trailer(headers, Form::SignedChunks { trailer: None })
        }
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => Ok(Form::SignedChunks {
            trailer: Some(trailer(headers)?),
        }),
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Ok(Form::UnsignedChunks {
            trailer: trailer(headers)?,
        }),
        "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"
        | "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER" => Err(OpError::not_implemented(
            "AWS4-ECDSA-P256-SHA256 is not supported. Please use AWS4-HMAC-SHA256.",
        )),
        _ => match sha256(text) {
            Some(hash) => no_trailer(headers, Form::Hashed(hash)),
            None => Err(OpError::invalid_argument(
                "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
                 STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, or a valid sha256 value.",
            )),
        },
    }
}

/// Lower-case hexadecimal only: s3s knows no other, and both must read the same.
fn sha256(text: &str) -> Option<[u8; 32]> {
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        return None;
    }
    let mut hash = [0; 32];
    hex::decode_to_slice(text, &mut hash).ok()?;
    Some(hash)
}

fn no_trailer(headers: &HeaderMap, form: Form) -> Result<Form, OpError> {
    if headers.contains_key("x-amz-trailer") {
        return Err(OpError::invalid_request(
            "The x-amz-trailer header needs an x-amz-content-sha256 of a form with a trailer.",
        ));
    }
    Ok(form)
}

fn trailer(headers: &HeaderMap) -> Result<ChecksumHeader, OpError> {
    let Some(value) = headers.get("x-amz-trailer") else {
        return Err(OpError::invalid_request(
            "The x-amz-trailer header must be there when x-amz-content-sha256 announces a trailer.",
        ));
    };
    let name = value
        .to_str()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    ChecksumHeader::from_header_name(&name).ok_or_else(|| {
        OpError::invalid_request("The value specified in the x-amz-trailer header is not supported")
    })
}

fn decoded_bytes(headers: &HeaderMap) -> Result<u64, OpError> {
    let value = headers.get("x-amz-decoded-content-length").ok_or_else(|| {
        OpError::new(
            Code::MissingContentLength,
            "You must provide the x-amz-decoded-content-length HTTP header.",
        )
    })?;
    number(value).ok_or_else(|| {
        OpError::invalid_argument("x-amz-decoded-content-length must be a number of bytes.")
    })
}

fn plain_bytes(headers: &HeaderMap, streams_object: bool) -> Result<Option<u64>, OpError> {
    let missing = || {
        OpError::new(
            Code::MissingContentLength,
            "You must provide the Content-Length HTTP header.",
        )
    };
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(missing());
    }
    let length = headers.get(header::CONTENT_LENGTH);
    let declared = match length {
        Some(value) => Some(number(value).ok_or_else(missing)?),
        None if streams_object && !headers.contains_key("x-amz-copy-source") => {
            return Err(missing());
        }
        None => None,
    };
    match headers.get("x-amz-decoded-content-length").map(number) {
        Some(decoded) if decoded != Some(declared.unwrap_or(0)) => Err(OpError::invalid_request(
            "x-amz-decoded-content-length must be the Content-Length of a body that is not aws-chunked.",
        )),
        _ => Ok(declared),
    }
}

fn number(value: &http::HeaderValue) -> Option<u64> {
    let text = value.to_str().ok()?;
    let is_number = (1..=19).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{header_signed, parts, presigned};
    use super::*;

    const LIMITS: BodyLimits = BodyLimits {
        body_bytes_max: 1000,
        signed_chunk_bytes_max: 100,
    };
    const STREAMING: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";

    fn put(headers: &[(&str, &str)]) -> Result<Payload, Code> {
        let request = parts(Method::PUT, "/b/k", headers);
        read(&request, &header_signed("20260726"), true, &LIMITS).map_err(|e| e.code())
    }

    #[test]
    fn content_sha256_must_be_there_and_of_a_known_form() {
        assert_eq!(put(&[("content-length", "1")]), Err(Code::InvalidRequest));
        let with = |value| put(&[("content-length", "1"), ("x-amz-content-sha256", value)]);
        assert_eq!(with("UNSIGNED-PAYLOAD").unwrap().form, Form::Unsigned);
        let hash = "ab".repeat(32);
        assert_eq!(with(&hash).unwrap().form, Form::Hashed([0xab; 32]));
        let upper = hash.to_uppercase();
        for unknown in ["", "unsigned-payload", "STREAMING", upper.as_str()] {
            assert_eq!(with(unknown), Err(Code::InvalidArgument), "{unknown}");
        }
        assert_eq!(
            with("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"),
            Err(Code::NotImplemented)
        );
    }

    #[test]
    fn presigned_urls_have_no_chunks() {
        let signed = presigned("20260726", "20260726T000000Z", "60");
        let bare = parts(Method::PUT, "/b/k", &[("content-length", "0")]);
        assert!(read(&bare, &signed, true, &LIMITS).is_ok());
        let chunked = parts(Method::PUT, "/b/k", &[("x-amz-content-sha256", STREAMING)]);
        let refused = read(&chunked, &signed, true, &LIMITS).unwrap_err();
        assert_eq!(refused.code(), Code::NotImplemented);
    }

    #[test]
    fn object_without_a_length_is_refused() {
        let unsigned = ("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
        let missing = Err(Code::MissingContentLength);
        assert_eq!(put(&[unsigned]), missing);
        assert_eq!(put(&[unsigned, ("transfer-encoding", "chunked")]), missing);
        assert_eq!(put(&[("x-amz-content-sha256", STREAMING)]), missing);
        let copy = put(&[unsigned, ("x-amz-copy-source", "/b/s")]).unwrap();
        assert_eq!(copy.declared_bytes, None);
        let empty = put(&[unsigned, ("content-length", "0")]).unwrap();
        assert_eq!(empty.declared_bytes, Some(0));
    }

    #[test]
    fn lengths_are_numbers_within_the_cap() {
        let decoded = |value| {
            put(&[
                ("x-amz-content-sha256", STREAMING),
                ("x-amz-decoded-content-length", value),
            ])
        };
        assert_eq!(decoded("1000").unwrap().declared_bytes, Some(1000));
        assert_eq!(decoded("1001"), Err(Code::EntityTooLarge));
        for broken in ["12a", "-1", "+1", "", "99999999999999999999"] {
            assert_eq!(decoded(broken), Err(Code::InvalidArgument), "{broken}");
        }
    }

    #[test]
    fn two_lengths_must_agree() {
        let both = |decoded| {
            put(&[
                ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
                ("content-length", "5"),
                ("x-amz-decoded-content-length", decoded),
            ])
        };
        assert!(both("5").is_ok());
        assert_eq!(both("4"), Err(Code::InvalidRequest));
    }

    #[test]
    fn trailer_must_be_announced_and_known() {
        let with = |trailer: Option<&str>| {
            let mut headers = vec![
                ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
                ("x-amz-decoded-content-length", "1"),
            ];
            headers.extend(trailer.map(|t| ("x-amz-trailer", t)));
            put(&headers)
        };
        let form = with(Some("x-amz-checksum-crc32c")).unwrap().form;
        let trailer = ChecksumHeader::Crc32c;
        assert_eq!(form, Form::UnsignedChunks { trailer });
        for wrong in [
            None,
            Some("x-amz-checksum-md4"),
            Some("x-amz-meta-a"),
            Some("x-amz-checksum-crc32,x-amz-checksum-sha1"),
            Some(""),
        ] {
            assert_eq!(with(wrong), Err(Code::InvalidRequest), "{wrong:?}");
        }
        let unannounced = put(&[
            ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
            ("content-length", "1"),
            ("x-amz-trailer", "x-amz-checksum-crc32"),
        ]);
        assert_eq!(unannounced, Err(Code::InvalidRequest));
    }

    #[test]
    fn document_that_is_too_long_is_refused() {
        let limits = BodyLimits {
            body_bytes_max: u64::MAX,
            ..LIMITS
        };
        let code = |bytes: u64| {
            let headers = [
                ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
                ("content-length", &bytes.to_string()),
            ];
            let request = parts(Method::POST, "/b?delete", &headers);
            read(&request, &header_signed("20260726"), false, &limits).map_err(|e| e.code())
        };
        assert!(code(DOCUMENT_BYTES_MAX).is_ok());
        let refused = code(DOCUMENT_BYTES_MAX + 1);
        assert_eq!(refused, Err(Code::MaxMessageLengthExceeded));
    }

    #[test]
    fn documents_are_not_objects() {
        let tagging = parts(
            Method::PUT,
            "/b/k?tagging",
            &[
                ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
                ("content-length", "3"),
            ],
        );
        let payload = read(&tagging, &header_signed("20260726"), true, &LIMITS).unwrap();
        assert!(!payload.streams_object);
    }
}
