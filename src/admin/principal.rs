//! Who acts: principals, known by the hash of a bearer token.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What a principal may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything but approving.
    Operator,
    /// Reads, and approves what an operator asked for.
    Approver,
    /// Reads.
    Auditor,
}

impl Role {
    /// As `lethe.toml` spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Auditor => "auditor",
        }
    }
}

/// One who may use the admin API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// As logs name them.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// SHA-256 of their bearer token.
    pub token_sha256: [u8; 32],
}

/// Longest `Authorization` header that is looked at, in bytes.
const AUTHORIZATION_BYTES_MAX: usize = 1024;

/// The principal whose token a request carries. Every principal is compared, whichever it is, in constant time.
#[must_use]
pub fn authenticate<'a>(principals: &'a [Principal], headers: &HeaderMap) -> Option<&'a Principal> {
    let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
    if header.len() > AUTHORIZATION_BYTES_MAX {
        return None;
    }
    let (scheme, token) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let digest: [u8; 32] = Sha256::digest(token.trim().as_bytes()).into();
    let mut found = None;
    for principal in principals {
        if bool::from(principal.token_sha256.ct_eq(&digest)) {
            found = Some(principal);
        }
    }
    found
}
