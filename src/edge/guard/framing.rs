//! How a request is framed: one Host, no header twice that has one meaning, no two lengths. s3s takes a header that is there
//! twice for one that is missing, so that a second `Content-MD5` would switch the check off.
//!
//! Content-Length beside Transfer-Encoding never gets here: hyper drops the length, and closes the connection after the
//! answer (RFC 9112 §6.3), so that nothing behind it is read as a request.

use crate::ops::{Code, Detail, OpError};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Version, header};

/// Headers without `x-amz-` that must not be there twice.
const SINGLE: &[HeaderName] = &[
    header::CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::DATE,
    header::EXPECT,
    header::EXPIRES,
    header::HOST,
    header::IF_MODIFIED_SINCE,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::RANGE,
    header::TRANSFER_ENCODING,
];

/// `x-amz-` headers that are lists by definition.
const LISTS: &[&str] = &[
    "x-amz-object-attributes",
    "x-amz-optional-object-attributes",
];

/// The request's one Host, as received.
///
/// # Errors
/// `BadRequest` when there is none or more than one, when it is not text, or when the request line names another.
pub fn single_host(parts: &Parts) -> Result<&str, OpError> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(bad("The request must have exactly one Host header."));
    };
    let host = host
        .to_str()
        .map_err(|_| bad("The Host header is not text."))?;
    match parts.uri.authority() {
        Some(authority) if !authority.as_str().eq_ignore_ascii_case(host) => Err(bad(
            "The request line and the Host header name different hosts.",
        )),
        _ => Ok(host),
    }
}

/// Refuses a longer head than any client needs. Twice as much never gets here: the connection answers 431 then.
///
/// # Errors
/// `RequestHeaderSectionTooLarge`.
pub fn head_fits(parts: &Parts, bytes_max: usize, headers_max: usize) -> Result<(), OpError> {
    let line = parts.uri.path().len() + parts.uri.query().map_or(0, str::len);
    let headers = parts.headers.iter();
    let bytes: usize = headers
        .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len())
        .sum();
    if line + bytes <= bytes_max && parts.headers.len() <= headers_max {
        return Ok(());
    }
    Err(OpError::new(
        Code::RequestHeaderSectionTooLarge,
        format!(
            "Your request's headers exceed the maximum of {headers_max} headers and {bytes_max} bytes."
        ),
    ))
}

/// Refuses headers that are there twice, methods and versions that S3 does not know, and transfer codings beside `chunked`.
///
/// # Errors
/// `BadRequest`, `InvalidArgument`, `MethodNotAllowed` or `NotImplemented`.
pub fn no_conflicts(parts: &Parts) -> Result<(), OpError> {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::PUT,
        Method::POST,
        Method::DELETE,
        Method::OPTIONS,
    ];
    if !known.contains(&parts.method) {
        return Err(OpError::new(
            Code::MethodNotAllowed,
            "The specified method is not allowed against this resource.",
        )
        .with(Detail::Allow("GET, HEAD, PUT, POST, DELETE".into())));
    }
    if !matches!(parts.version, Version::HTTP_10 | Version::HTTP_11) {
        return Err(bad("Only HTTP/1.1 is supported."));
    }
    for name in parts.headers.keys() {
        let is_single = SINGLE.contains(name)
            || *name == "content-md5"
            || (name.as_str().starts_with("x-amz-")
                && !name.as_str().starts_with("x-amz-meta-")
                && !LISTS.contains(&name.as_str()));
        if is_single && is_repeated(&parts.headers, name) {
            return Err(OpError::invalid_argument(format!(
                "The header {name} must not be there more than once."
            )));
        }
    }
    only_chunked(&parts.headers)
}

/// hyper undoes `chunked` alone and lets what was coded before it pass as if it were the body (RFC 9112 §6.1: 501).
fn only_chunked(headers: &HeaderMap) -> Result<(), OpError> {
    match headers.get(header::TRANSFER_ENCODING) {
        Some(coding) if !coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Err(
            OpError::not_implemented("The only transfer coding that is supported is chunked."),
        ),
        _ => Ok(()),
    }
}

fn is_repeated(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get_all(name).iter().nth(1).is_some()
}

fn bad(message: &'static str) -> OpError {
    OpError::new(Code::BadRequest, message)
}

#[cfg(test)]
mod tests {
    use super::super::testing::parts;
    use super::*;

    #[test]
    fn host_must_be_there_once() {
        let one = parts(Method::GET, "/", &[("host", "a.example:9000")]);
        assert_eq!(single_host(&one).unwrap(), "a.example:9000");
        let pairs: [&[(&str, &str)]; 2] = [&[], &[("host", "a"), ("host", "a")]];
        for wrong in pairs {
            let request = parts(Method::GET, "/", wrong);
            let refused = single_host(&request).map_err(|e| e.code());
            assert_eq!(refused, Err(Code::BadRequest));
        }
    }

    #[test]
    fn request_line_must_not_name_another_host() {
        let same = parts(Method::GET, "http://A.example/b", &[("host", "a.example")]);
        assert!(single_host(&same).is_ok());
        let other = parts(Method::GET, "http://evil/b", &[("host", "a.example")]);
        assert!(single_host(&other).is_err());
    }

    #[test]
    fn headers_with_one_meaning_must_not_be_there_twice() {
        for name in [
            "content-md5",
            "x-amz-copy-source",
            "x-amz-content-sha256",
            "range",
        ] {
            let twice = parts(Method::PUT, "/b/k", &[(name, "1"), (name, "2")]);
            let refused = no_conflicts(&twice).unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument, "{name}");
        }
        for name in ["x-amz-meta-a", "if-none-match", "x-amz-object-attributes"] {
            let twice = parts(Method::PUT, "/b/k", &[(name, "1"), (name, "2")]);
            assert!(no_conflicts(&twice).is_ok(), "{name}");
        }
    }

    #[test]
    fn transfer_codings_beside_chunked_are_not_implemented() {
        let code = |coding| {
            let request = parts(Method::PUT, "/b/k", &[("transfer-encoding", coding)]);
            no_conflicts(&request).map_err(|e| e.code())
        };
        assert_eq!(code("chunked"), Ok(()));
        assert_eq!(code("Chunked"), Ok(()));
        for other in [
            "identity, chunked",
            "gzip, chunked",
            "chunked, chunked",
            "chunked ,",
            "",
        ] {
            assert_eq!(code(other), Err(Code::NotImplemented), "{other}");
        }
    }

    #[test]
    fn head_is_bounded_in_headers_and_bytes() {
        let fits = |headers: &[(&str, &str)], bytes_max| {
            let request = parts(Method::GET, "/b?q", headers);
            head_fits(&request, bytes_max, 2).map_err(|e| e.code())
        };
        let refused = Err(Code::RequestHeaderSectionTooLarge);
        let (a, b) = (("a", "1"), ("b", "2"));
        assert_eq!(fits(&[a, b], 100), Ok(()));
        assert_eq!(fits(&[a, b, ("c", "3")], 100), refused);
        assert_eq!(fits(&[a, b], 15), Ok(()));
        assert_eq!(fits(&[a, b], 14), refused);
    }

    #[test]
    fn unknown_methods_are_refused() {
        for method in [Method::TRACE, Method::CONNECT, Method::PATCH] {
            let refused = no_conflicts(&parts(method, "/b", &[])).unwrap_err();
            assert_eq!(refused.code(), Code::MethodNotAllowed);
        }
    }
}
