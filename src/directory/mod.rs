//! The directory: hash of an access-key id → domain, nothing else; asked only when the local catalogs don't know a key, so that a
//! gateway can tell a stranger where to go.

mod sql;

pub use sql::SqlDirectory;

use crate::tenants::{AccessKeyId, DomainName};
use async_trait::async_trait;
use sha2::{Digest, Sha256};

/// SHA-256 of `lethe/v1/directory` ‖ an access-key id: what the directory knows instead of the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AccessKeyHash(pub [u8; 32]);

impl AccessKeyHash {
    /// The hash of an access-key id.
    #[must_use]
    pub fn of(key: &AccessKeyId) -> Self {
        let hash = Sha256::new()
            .chain_update(b"lethe/v1/directory")
            .chain_update(key.as_str());
        Self(hash.finalize().into())
    }
}

/// The directory's refusal or failure.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The key is registered in another domain.
    #[error("{operation}: the access key is registered in another domain")]
    Taken {
        /// The call.
        operation: &'static str,
    },
    /// The directory can't be reached or is too slow.
    #[error("{operation}: the directory is unavailable: {reason}")]
    Unavailable {
        /// The call.
        operation: &'static str,
        /// What happened, without secrets.
        reason: String,
    },
}

/// Which domain an access key belongs to.
#[async_trait]
pub trait Directory: Send + Sync + 'static {
    /// Registers a key in a domain; the same again succeeds.
    async fn register(&self, key: &AccessKeyId, domain: &DomainName) -> Result<(), DirectoryError>;
    /// The key's domain.
    async fn domain_of(&self, key: &AccessKeyId) -> Result<Option<DomainName>, DirectoryError>;
    /// Forgets a key that this domain registered; a missing one succeeds.
    async fn forget(&self, key: &AccessKeyId, domain: &DomainName) -> Result<(), DirectoryError>;
    /// A cheap question, for `/readyz`.
    async fn ping(&self) -> Result<(), DirectoryError>;
}

#[cfg(test)]
mod tests;
