//! The one place that turns errors into S3's answers.

use super::context::{GatewayId, RequestId};
use crate::ops::{Code, Detail, OpError};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use quick_xml::escape::escape;
use s3s::{Body, S3Error, S3ErrorCode};
use std::error::Error as _;
use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

/// The HTTP status of a code.
#[must_use]
pub fn status(code: Code) -> StatusCode {
    use Code as C;
    match code {
        C::NotModified => StatusCode::NOT_MODIFIED,
        C::PermanentRedirect => StatusCode::MOVED_PERMANENTLY,
        C::AccessDenied
        | C::AccessForbidden
        | C::InvalidAccessKeyId
        | C::InvalidObjectState
        | C::RequestTimeTooSkewed
        | C::SignatureDoesNotMatch => StatusCode::FORBIDDEN,
        C::NoSuchBucket
        | C::NoSuchBucketPolicy
        | C::NoSuchCORSConfiguration
        | C::NoSuchKey
        | C::NoSuchLifecycleConfiguration
        | C::NoSuchObjectLockConfiguration
        | C::NoSuchPublicAccessBlockConfiguration
        | C::NoSuchTagSet
        | C::NoSuchUpload
        | C::NoSuchVersion
        | C::NoSuchWebsiteConfiguration
        | C::ObjectLockConfigurationNotFoundError
        | C::OwnershipControlsNotFoundError
        | C::ReplicationConfigurationNotFoundError
        | C::ServerSideEncryptionConfigurationNotFoundError => StatusCode::NOT_FOUND,
        C::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        C::BucketAlreadyExists
        | C::BucketAlreadyOwnedByYou
        | C::BucketNotEmpty
        | C::ConditionalRequestConflict
        | C::InvalidBucketState
        | C::OperationAborted => StatusCode::CONFLICT,
        C::MissingContentLength => StatusCode::LENGTH_REQUIRED,
        C::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        C::InvalidRange | C::InvalidPartNumber => StatusCode::RANGE_NOT_SATISFIABLE,
        C::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
        C::NotImplemented => StatusCode::NOT_IMPLEMENTED,
        C::ServiceUnavailable | C::SlowDown => StatusCode::SERVICE_UNAVAILABLE,
        C::AccessControlListNotSupported
        | C::AuthorizationHeaderMalformed
        | C::AuthorizationQueryParametersError
        | C::BadDigest
        | C::BadRequest
        | C::EntityTooLarge
        | C::EntityTooSmall
        | C::IllegalVersioningConfigurationException
        | C::IncompleteBody
        | C::IncorrectNumberOfFilesInPostRequest
        | C::InvalidArgument
        | C::InvalidBucketName
        | C::InvalidDigest
        | C::InvalidEncryptionAlgorithmError
        | C::InvalidLocationConstraint
        | C::InvalidPart
        | C::InvalidPartOrder
        | C::InvalidPolicyDocument
        | C::InvalidRequest
        | C::InvalidRetentionPeriod
        | C::InvalidStorageClass
        | C::InvalidTag
        | C::InvalidToken
        | C::InvalidURI
        | C::KeyTooLongError
        | C::MalformedACLError
        | C::MalformedPOSTRequest
        | C::MalformedXML
        | C::MaxMessageLengthExceeded
        | C::MaxPostPreDataLengthExceededError
        | C::MetadataTooLarge
        | C::RequestHeaderSectionTooLarge
        | C::RequestTimeout
        | C::TooManyBuckets
        | C::UnexpectedContent
        | C::XAmzContentSHA256Mismatch => StatusCode::BAD_REQUEST,
    }
}

/// An operation's error as s3s answers it. The cause goes to the log and nowhere else.
#[must_use]
pub fn to_s3(error: OpError, request: RequestId) -> S3Error {
    log(&error, request);
    let code = match error.code().as_str().parse::<S3ErrorCode>() {
        Ok(code) => code,
        Err(never) => match never {},
    };
    let mut answer = S3Error::with_message(code, error.message().to_owned());
    answer.set_status_code(status(error.code()));
    answer.set_request_id(request.to_string());
    let headers = headers(&error);
    if !headers.is_empty() {
        // s3s replaces the headers of its answer, its content type too.
        let mut headers = headers;
        headers.insert(header::CONTENT_TYPE, XML);
        answer.set_headers(headers);
    }
    answer
}

const XML: HeaderValue = HeaderValue::from_static("application/xml");

/// An error as the edge answers it by itself, before or instead of s3s.
#[must_use]
pub(super) fn to_response(
    error: &OpError,
    request: RequestId,
    gateway: GatewayId,
) -> Response<Body> {
    log(error, request);
    let mut response = Response::new(Body::from(document(error, request, gateway)));
    *response.status_mut() = status(error.code());
    *response.headers_mut() = headers(error);
    response.headers_mut().insert(header::CONTENT_TYPE, XML);
    response
}

fn log(error: &OpError, request: RequestId) {
    if !status(error.code()).is_server_error() || error.code() == Code::NotImplemented {
        return;
    }
    let mut causes = String::new();
    let mut next = error.source();
    while let Some(cause) = next {
        // Writing to a String can't fail.
        let _ = write!(causes, ": {cause}");
        next = cause.source();
    }
    tracing::warn!(request_id = %request, outcome = error.code().as_str(), "{}{causes}", error.message());
}

/// What no XML document can hold, not even as a reference (XML 1.0 §2.2). Sentences quote what clients sent.
fn is_no_xml(c: char) -> bool {
    (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}')
}

fn document(error: &OpError, request: RequestId, gateway: GatewayId) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
    let mut element = |name: &str, text: &str| {
        let text = text.replace(is_no_xml, "\u{fffd}");
        let _ = write!(xml, "<{name}>{}</{name}>", escape(&text));
    };
    element("Code", error.code().as_str());
    element("Message", error.message());
    for detail in error.details() {
        match detail {
            Detail::ObjectLength { plaintext_bytes } => {
                element("ActualObjectSize", &plaintext_bytes.to_string());
            }
            Detail::Region(region) => element("Region", region.as_str()),
            Detail::Endpoint(endpoint) => element("Endpoint", endpoint),
            Detail::HeadersNotSigned(names) => element("HeadersNotSigned", names),
            Detail::RetryAfter { .. }
            | Detail::Allow(_)
            | Detail::DeleteMarker(_)
            | Detail::Validators { .. }
            | Detail::Version(_) => {}
        }
    }
    element("RequestId", &request.to_string());
    element("HostId", &gateway.host_id(request));
    xml.push_str("</Error>");
    xml
}

fn headers(error: &OpError) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut set = |name: HeaderName, value: String| {
        // Upstream ids come from outside; one that is no header value is left out.
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    const VERSION: HeaderName = HeaderName::from_static("x-amz-version-id");
    for detail in error.details() {
        match detail {
            Detail::ObjectLength { plaintext_bytes } => {
                set(header::CONTENT_RANGE, format!("bytes */{plaintext_bytes}"));
            }
            Detail::Allow(methods) => set(header::ALLOW, methods.clone()),
            Detail::RetryAfter { seconds } => set(header::RETRY_AFTER, seconds.to_string()),
            Detail::Region(region) => set(
                HeaderName::from_static("x-amz-bucket-region"),
                region.to_string(),
            ),
            Detail::DeleteMarker(version) => {
                set(
                    HeaderName::from_static("x-amz-delete-marker"),
                    "true".into(),
                );
                if let Some(version) = version {
                    set(VERSION, version.0.clone());
                }
            }
            Detail::Validators {
                etag,
                last_modified,
            } => {
                set(header::ETAG, etag.quoted());
                set(header::LAST_MODIFIED, http_date(last_modified.0));
            }
            Detail::Version(version) => set(VERSION, version.0.clone()),
            Detail::Endpoint(_) | Detail::HeadersNotSigned(_) => {}
        }
    }
    headers
}

/// A time as HTTP headers write it (RFC 9110 §5.6.7).
#[must_use]
pub fn http_date(unix_ms: i64) -> String {
    let since_epoch = Duration::from_millis(u64::try_from(unix_ms).unwrap_or(0));
    httpdate::fmt_http_date(UNIX_EPOCH + since_epoch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMs;
    use crate::ops::ClientEtag;
    use crate::region::VersionId;
    use crate::tenants::RegionName;

    #[test]
    fn document_holds_no_character_that_xml_can_not() {
        let error = OpError::invalid_argument("a\0b\u{b}c\u{ffff}d\te<");
        let text = document(&error, RequestId::NONE, GatewayId([0; 16]));
        assert!(text.contains("<Message>a\u{fffd}b\u{fffd}c\u{fffd}d\te&lt;</Message>"));
    }

    #[test]
    fn every_code_that_s3s_knows_has_the_same_status_there() {
        for code in Code::ALL {
            let s3s_code: S3ErrorCode = code.as_str().parse().unwrap();
            if let Some(theirs) = s3s_code.status_code() {
                // S3 itself answers these with 416 and 404; s3s says 400.
                let differs = [
                    Code::InvalidPartNumber,
                    Code::ServerSideEncryptionConfigurationNotFoundError,
                ];
                if !differs.contains(code) {
                    assert_eq!(status(*code), theirs, "{code:?}");
                }
            }
        }
    }

    #[test]
    fn details_become_headers() {
        let error = OpError::invalid_range(7)
            .with(Detail::RetryAfter { seconds: 3 })
            .with(Detail::DeleteMarker(Some(VersionId("v\n1".into()))));
        let headers = headers(&error);
        assert_eq!(headers[header::CONTENT_RANGE], "bytes */7");
        assert_eq!(headers[header::RETRY_AFTER], "3");
        assert_eq!(headers["x-amz-delete-marker"], "true");
        assert!(!headers.contains_key("x-amz-version-id"));
        let etag = ClientEtag::from_upstream("abc");
        let not_modified = super::headers(&OpError::not_modified(etag, UnixMs(784_111_777_999)));
        assert_eq!(not_modified[header::ETAG], "\"abc-1\"");
        assert_eq!(
            not_modified[header::LAST_MODIFIED],
            "Sun, 06 Nov 1994 08:49:37 GMT"
        );
    }

    #[test]
    fn document_escapes_and_names_region_and_request() {
        let error = OpError::new(Code::AuthorizationHeaderMalformed, "a <b> & c")
            .with(Detail::Region(RegionName::new("eu-central-1").unwrap()));
        let xml = document(&error, RequestId::NONE, GatewayId([0; 16]));
        assert!(xml.contains("<Code>AuthorizationHeaderMalformed</Code>"));
        assert!(xml.contains("<Message>a &lt;b&gt; &amp; c</Message>"));
        assert!(xml.contains("<Region>eu-central-1</Region>"));
        assert!(xml.contains("<RequestId>0000000000000000</RequestId>"));
    }

    #[test]
    fn cause_never_reaches_the_client() {
        let error = || OpError::internal("secret-bucket-name");
        let xml = document(&error(), RequestId::NONE, GatewayId([0; 16]));
        assert!(!xml.contains("secret"));
        let answer = to_s3(error(), RequestId::NONE);
        assert!(!answer.message().unwrap().contains("secret"));
        assert!(answer.source().is_none());
    }
}
