//! Who signed a request: the one question that the edge asks before it knows a tenant.

use super::{AccessKeyId, Caller};
use async_trait::async_trait;
use zeroize::Zeroizing;

/// Why an access key gives no caller.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// No active credential of that id: never was, revoked, or its tenant is gone. Callers can't tell which.
    #[error("credential lookup: no active credential of that id")]
    Unknown,
    /// The credential belongs to another domain.
    #[error("credential lookup: the credential belongs to another domain")]
    Elsewhere {
        /// That domain's public endpoint, for the client.
        public_endpoint: String,
    },
    /// Nobody can tell now; the same request may succeed later.
    #[error("credential lookup: unavailable: {reason}")]
    Unavailable {
        /// What happened, without secrets.
        reason: String,
    },
}

/// Knows the secret and the tenant behind an access key.
///
/// Suspended and terminating tenants are returned, with their state: what they may do is decided only after the signature
/// verified, so that a stranger who knows just a key id learns nothing about them.
#[async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// The secret that must have signed, and who that is.
    ///
    /// # Errors
    /// [`AuthError::Unknown`] alike for keys that never were and for revoked ones.
    async fn secret(&self, id: &AccessKeyId) -> Result<(Zeroizing<String>, Caller), AuthError>;
}
