//! What every request must pass before s3s sees it. s3s is a protocol front and no security boundary by its own word; each
//! file here closes one thing that its version 0.14.1 leaves open, with the attack as its test.
//!
//! Everything here is pure but [`body`]: it looks at a request's head and at the time.

pub mod authorization;
pub mod body;
pub mod checksums;
pub mod chunked;
pub mod date;
pub mod forms;
pub mod framing;
pub mod payload;
pub mod query;
pub mod scope;
pub mod signed_headers;
pub mod subresource;
mod trailer;

use super::host::{Addressing, HostRules};
use crate::clock::UnixMs;
use crate::ops::{Code, OpError};
use authorization::Signed;
use http::request::Parts;
use payload::Payload;
use query::Query;

/// How much a body may have.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// Most plaintext bytes of one request.
    pub body_bytes_max: u64,
    /// Most bytes of one signed aws-chunked chunk, which s3s holds in memory until its signature is verified.
    pub signed_chunk_bytes_max: u64,
}

/// What the guard learned from a request that passed.
#[derive(Clone, Debug)]
pub struct Admission {
    /// Who says to have signed it, and what the signature covers. Nothing of it is verified yet.
    pub signed: Signed,
    /// How the body comes and how long it says to be.
    pub payload: Payload,
    /// Whether the path names an object (and not just a bucket or the service).
    pub names_object: bool,
}

/// Checks a request's head.
///
/// # Errors
/// The answer for the client, when the request must not reach s3s.
pub fn inspect(
    parts: &Parts,
    hosts: &HostRules,
    limits: &BodyLimits,
    now: UnixMs,
) -> Result<Admission, OpError> {
    let host = framing::single_host(parts)?;
    framing::no_conflicts(parts)?;
    let names_object = match hosts.addressing(host) {
        Addressing::Bucket(_) => parts.uri.path().len() > 1,
        Addressing::Path => path_names_object(parts.uri.path()),
    };
    if parts.method == http::Method::OPTIONS {
        // No bucket has rules yet: every name, there or not, gets the same answer.
        return Err(OpError::new(
            Code::AccessForbidden,
            "CORSResponse: This CORS request is not allowed.",
        ));
    }
    let query = Query::parse(parts.uri.query().unwrap_or_default())?;
    forms::refuse(parts)?;
    let signed = authorization::read(&parts.headers, &query)?;
    date::check(&signed, &parts.headers, now)?;
    scope::check_service(&signed)?;
    signed_headers::check(&signed, &parts.headers)?;
    subresource::check(&parts.method, &query)?;
    let payload = payload::read(parts, &signed, names_object, limits)?;
    checksums::check(&parts.headers, &payload)?;
    Ok(Admission {
        signed,
        payload,
        names_object,
    })
}

fn path_names_object(path: &str) -> bool {
    path.trim_start_matches('/')
        .split_once('/')
        .is_some_and(|(_, key)| !key.is_empty())
}

#[cfg(test)]
pub(crate) mod testing;
