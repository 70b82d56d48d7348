//! What a signature covers: `host` and every `x-amz-*` header. s3s verifies the listed headers only and acts on unlisted ones,
//! so that a presigned PUT with an unsigned `x-amz-copy-source` would become a copy.

use super::authorization::Signed;
use crate::ops::{Code, Detail, OpError};
use http::HeaderMap;

/// Checks that the signature covers what the request is made of, and that what it says to cover is there.
///
/// # Errors
/// `AccessDenied` with the names of uncovered headers, or `SignatureDoesNotMatch` when a covered one is missing.
pub fn check(signed: &Signed, headers: &HeaderMap) -> Result<(), OpError> {
    let covers = |name: &str| signed.headers.iter().any(|n| n == name);
    let unsigned: Vec<&str> = headers
        .keys()
        .map(http::HeaderName::as_str)
        .filter(|name| (*name == "host" || name.starts_with("x-amz-")) && !covers(name))
        .collect();
    if !unsigned.is_empty() {
        return Err(OpError::access_denied(
            "There were headers present in the request which were not signed",
        )
        .with(Detail::HeadersNotSigned(unsigned.join(", "))));
    }
    if let Some(missing) = signed.headers.iter().find(|n| !headers.contains_key(*n)) {
        return Err(OpError::new(
            Code::SignatureDoesNotMatch,
            format!("The signature covers the header {missing}, which the request does not have."),
        ));
    }
    // s3s drops values that are not UTF-8 before it verifies: they would be acted on by nobody, but covered by nothing.
    let readable = |value: &http::HeaderValue| std::str::from_utf8(value.as_bytes()).is_ok();
    let unreadable = headers
        .iter()
        .find(|(name, value)| covers(name.as_str()) && !readable(value));
    match unreadable {
        None => Ok(()),
        Some((name, _)) => Err(OpError::invalid_argument(format!(
            "The header {name} is not valid UTF-8."
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{header_signed, presigned};
    use super::*;
    use http::HeaderValue;

    fn headers(names: &[&'static str]) -> HeaderMap {
        let value = HeaderValue::from_static("1");
        names
            .iter()
            .map(|n| (http::HeaderName::from_static(n), value.clone()))
            .collect()
    }

    #[test]
    fn unsigned_amz_headers_are_refused_by_name() {
        let mut signed = presigned("20260726", "20260726T120000Z", "60");
        signed.headers = vec!["host".into()];
        assert!(check(&signed, &headers(&["host", "content-type"])).is_ok());
        let refused = check(&signed, &headers(&["host", "x-amz-copy-source"])).unwrap_err();
        assert_eq!(refused.code(), Code::AccessDenied);
        assert_eq!(
            refused.details(),
            [Detail::HeadersNotSigned("x-amz-copy-source".into())]
        );
    }

    #[test]
    fn unsigned_host_is_refused() {
        let mut signed = header_signed("20260726");
        signed.headers = vec!["x-amz-date".into()];
        let refused = check(&signed, &headers(&["host", "x-amz-date"])).unwrap_err();
        assert_eq!(refused.code(), Code::AccessDenied);
    }

    #[test]
    fn signed_but_missing_or_unreadable_headers_are_refused() {
        let mut signed = header_signed("20260726");
        signed.headers = vec!["host".into(), "x-amz-meta-a".into()];
        let refused = check(&signed, &headers(&["host"])).unwrap_err();
        assert_eq!(refused.code(), Code::SignatureDoesNotMatch);
        let mut with = headers(&["host"]);
        with.insert("x-amz-meta-a", HeaderValue::from_bytes(b"\xFF").unwrap());
        let refused = check(&signed, &with).unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
}
