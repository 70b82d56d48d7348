//! `x-amz-*` parameters of the query. SDKs move headers of a presigned URL there, and S3 reads them as the headers that they
//! are; s3s ignores them, so that metadata would be lost and a checksum or an encryption that the client asked for never made.
//! The signature covers the whole query, and so them.
//!
//! One is no header: who presigns a PUT has no body yet, and SDKs that add a checksum by default (JavaScript's) put that of an
//! empty one into the URL. S3 takes no checksum from a query; here only this one is passed over, the others are verified.

use super::checksums::ChecksumHeader;
use super::query::Query;
use crate::ops::OpError;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Parameters of the signature itself.
const AUTHENTICATION: &[&str] = &[
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
];

/// Says which checksum an SDK made.
const ANNOUNCED: &str = "x-amz-sdk-checksum-algorithm";

fn is_of_nothing(name: &str, value: &str) -> bool {
    ChecksumHeader::from_header_name(name).is_some_and(|checksum| value == checksum.of_nothing())
}

/// Makes headers of the parameters that are some; call it only after the check that headers are signed.
///
/// # Errors
/// `InvalidArgument` when a parameter can't be a header, or when the header is there with another value.
pub fn into_headers(query: &Query, headers: &mut HeaderMap) -> Result<(), OpError> {
    let checksum_of_nothing = query
        .pairs()
        .any(|(name, value)| is_of_nothing(&name.to_ascii_lowercase(), value));
    for (name, value) in query.pairs() {
        let name = name.to_ascii_lowercase();
        if !name.starts_with("x-amz-") || AUTHENTICATION.contains(&name.as_str()) {
            continue;
        }
        if checksum_of_nothing && (is_of_nothing(&name, value) || name == ANNOUNCED) {
            continue;
        }
        let invalid =
            || OpError::invalid_argument(format!("The query parameter {name} is no valid header."));
        let header = HeaderName::try_from(name.as_str()).map_err(|_| invalid())?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| invalid())?;
        match headers.get(&header) {
            None => {
                headers.insert(header, value);
            }
            Some(there) if *there == value => {}
            Some(_) => {
                return Err(OpError::invalid_argument(format!(
                    "{name} is there twice, with different values."
                )));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Code;

    fn hoisted(query: &str, headers: &mut HeaderMap) -> Result<(), Code> {
        into_headers(&Query::parse(query).unwrap(), headers).map_err(|e| e.code())
    }

    #[test]
    fn amz_parameters_become_headers_but_for_the_signatures_own() {
        let mut headers = HeaderMap::new();
        let query = "X-Amz-Date=1&X-Amz-Signature=2&X-Amz-Security-Token=3&x-id=PutObject&X-Amz-Meta-Color=dark%20red\
                     &x-amz-acl=private&x-amz-meta-name=%C3%BC";
        assert_eq!(hoisted(query, &mut headers), Ok(()));
        assert_eq!(headers.len(), 3);
        assert_eq!(headers["x-amz-meta-name"].as_bytes(), "ü".as_bytes());
        assert_eq!(headers["x-amz-meta-color"], "dark red");
        assert_eq!(headers["x-amz-acl"], "private");
    }

    #[test]
    fn checksum_of_an_empty_body_is_passed_over_and_another_becomes_a_header() {
        let mut headers = HeaderMap::new();
        let query = "x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32&x-amz-acl=private";
        assert_eq!(hoisted(query, &mut headers), Ok(()));
        assert_eq!(headers.len(), 1);
        let query = "x-amz-checksum-crc32=AAAAAQ%3D%3D&x-amz-sdk-checksum-algorithm=CRC32";
        assert_eq!(hoisted(query, &mut headers), Ok(()));
        assert_eq!(headers["x-amz-checksum-crc32"], "AAAAAQ==");
        assert_eq!(headers.len(), 3);
    }

    #[test]
    fn checksum_of_nothing_is_that_of_an_empty_body() {
        for checksum in ChecksumHeader::ALL {
            let name = format!("x-amz-checksum-{}", checksum.algorithm());
            let mut headers = HeaderMap::new();
            let value = HeaderValue::from_static(checksum.of_nothing());
            headers.insert(HeaderName::try_from(name).unwrap(), value);
            let declared = crate::ops::checksum::Declared::from_headers(&headers).unwrap();
            assert!(declared.verifier().finish(None).is_ok(), "{checksum:?}");
        }
    }

    #[test]
    fn parameter_that_contradicts_a_header_is_refused() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-acl", HeaderValue::from_static("private"));
        assert_eq!(hoisted("x-amz-acl=private", &mut headers), Ok(()));
        for query in [
            "x-amz-acl=public-read",
            "x-amz-meta-a=1&X-Amz-Meta-A=2",
            "x-amz-meta-a=%0d%0aevil:1",
            "x-amz-%20=1",
        ] {
            let refused = hoisted(query, &mut headers);
            assert_eq!(refused, Err(Code::InvalidArgument), "{query}");
        }
    }
}
