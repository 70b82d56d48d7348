//! What every request must pass before s3s sees it. s3s is a protocol front and no security boundary by its own word; each
//! file here closes one thing that its version 0.14.1 leaves open, with the attack as its test.
//!
//! Everything here is pure but [`body`]: it looks at a request's head and at the time.

pub mod authorization;
pub mod body;
pub mod checksums;
pub mod chunked;
pub mod date;
pub mod document;
pub mod forms;
pub mod framing;
pub mod hashed_url;
pub mod hoisted;
pub mod markup;
pub mod metadata;
pub mod payload;
pub mod query;
pub mod scope;
pub mod settings_text;
pub mod signed_headers;
pub mod subresource;
mod trailer;

use super::host::{Addressing, HostRules};
use crate::clock::UnixMs;
use crate::ops::{Code, OpError};
use authorization::Signed;
use document::DocumentCheck;
use http::Method;
use http::request::Parts;
use payload::Payload;
use percent_encoding::percent_decode_str;
use query::Query;
use subresource::Level;

/// How much a body may have.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// Most plaintext bytes of one request.
    pub body_bytes_max: u64,
    /// Most bytes of one signed aws-chunked chunk, which s3s holds in memory until its signature is verified.
    pub signed_chunk_bytes_max: u64,
}

/// What the guard learned from a request that passed.
pub struct Admission {
    /// Who says to have signed it, and what the signature covers. Nothing of it is verified yet.
    pub signed: Signed,
    /// How the body comes and how long it says to be.
    pub payload: Payload,
    /// What verifies the body, when it is a document.
    pub document: Option<DocumentCheck>,
    /// Whether the operation may take longer than a client waits for a status: a copy or a Complete.
    pub may_take_long: bool,
}

/// Checks a request's head, and makes headers of the query's parameters that are some.
///
/// # Errors
/// The answer for the client, when the request must not reach s3s.
pub fn inspect(
    parts: &mut Parts,
    hosts: &HostRules,
    limits: &BodyLimits,
    now: UnixMs,
) -> Result<Admission, OpError> {
    let host = framing::single_host(parts)?;
    framing::no_conflicts(parts)?;
    let level = level(&hosts.addressing(host), parts.uri.path())?;
    if parts.method == Method::OPTIONS {
        // Preflights are answered before; s3s would take one for something else.
        return Err(OpError::new(
            Code::MethodNotAllowed,
            "The specified method is not allowed against this resource.",
        ));
    }
    let query = Query::parse(parts.uri.query().unwrap_or_default())?;
    forms::refuse(parts)?;
    let signed = authorization::read(&parts.headers, &query)?;
    authorization::refuse_session(&parts.headers, &query)?;
    date::check(&signed, &parts.headers, now)?;
    scope::check_service(&signed)?;
    signed_headers::check(&signed, &parts.headers)?;
    subresource::check(&parts.method, level, &query)?;
    hoisted::into_headers(&query, &mut parts.headers)?;
    metadata::check(&parts.headers)?;
    let payload = payload::read(parts, &signed, level == Level::Object, limits)?;
    checksums::check(&parts.headers, &payload)?;
    let document = DocumentCheck::of(parts, &query, &payload)?;
    Ok(Admission {
        signed,
        payload,
        document,
        may_take_long: level == Level::Object && may_take_long(parts, &query),
    })
}

fn may_take_long(parts: &Parts, query: &Query) -> bool {
    match parts.method {
        Method::PUT => parts.headers.contains_key("x-amz-copy-source"),
        Method::POST => query.has("uploadId"),
        _ => false,
    }
}

/// The bucket that a request names, if it names one, as s3s reads it. It may be no valid name.
pub(super) fn bucket_named(addressing: &Addressing, path: &str) -> Option<String> {
    let path = match addressing {
        Addressing::Bucket(bucket) => return Some(bucket.clone()),
        Addressing::Path => percent_decode_str(path).decode_utf8().ok()?,
    };
    let path = path.strip_prefix('/').unwrap_or(&path);
    let bucket = path.split('/').next()?;
    (!bucket.is_empty()).then(|| bucket.to_owned())
}

/// What the path names, as s3s reads it: decoded first.
pub(super) fn level(addressing: &Addressing, path: &str) -> Result<Level, OpError> {
    let decoded = percent_decode_str(path)
        .decode_utf8()
        .map_err(|_| OpError::new(Code::InvalidURI, "Couldn't parse the specified URI."))?;
    let path = decoded.strip_prefix('/').unwrap_or(&decoded);
    Ok(match addressing {
        Addressing::Bucket(_) if path.is_empty() => Level::Bucket,
        Addressing::Bucket(_) => Level::Object,
        Addressing::Path if path.is_empty() => Level::Service,
        Addressing::Path => match path.split_once('/') {
            None | Some((_, "")) => Level::Bucket,
            Some(_) => Level::Object,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_is_read_from_the_host_or_the_decoded_path() {
        let of = |path| bucket_named(&Addressing::Path, path);
        for (path, expected) in [
            ("/", None),
            ("//k", None),
            ("/b", Some("b")),
            ("/b/k/l", Some("b")),
            ("/b%2Fk", Some("b")),
            ("/%62", Some("b")),
            ("/%ff", None),
        ] {
            assert_eq!(of(path).as_deref(), expected, "{path}");
        }
        let host = Addressing::Bucket("b".into());
        assert_eq!(bucket_named(&host, "/k").as_deref(), Some("b"));
    }

    #[test]
    fn level_is_read_from_the_decoded_path() {
        let of = |path| level(&Addressing::Path, path).unwrap();
        for (path, expected) in [
            ("/", Level::Service),
            ("/b", Level::Bucket),
            ("/b/", Level::Bucket),
            ("/b/k", Level::Object),
            ("/b//", Level::Object),
            ("/b%2Fk", Level::Object),
            ("/b%2f", Level::Bucket),
            ("/b/%20", Level::Object),
        ] {
            assert_eq!(of(path), expected, "{path}");
        }
        let bucket = Addressing::Bucket("b".into());
        assert_eq!(level(&bucket, "/").unwrap(), Level::Bucket);
        assert_eq!(level(&bucket, "/k").unwrap(), Level::Object);
        assert!(level(&bucket, "/%ff").is_err());
    }
}

#[cfg(test)]
pub(crate) mod testing;
