//! Who asks. The service looks the credential up once, before s3s; s3s then verifies the signature with it, and only after that
//! is anything said or done in the tenant's name.

use super::context::RequestContext;
use super::error;
use super::forms::VerifiedForm;
use super::guard::authorization::Signed;
use super::limits::Shares;
use super::verified::Verification;
use crate::ops::OpError;
use crate::tenants::{AccessKeyId, AuthError, Authenticator, Caller, TenantId, TenantState};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::Extensions;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3ErrorCode, S3Result};
use sha2::Sha256;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// The credential of the request that the current task serves.
pub(super) struct Resolved {
    secret: Zeroizing<String>,
    pub(super) caller: Caller,
}

impl Resolved {
    /// Whether a text was signed with the credential's secret, for the day, region and service that are claimed
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-authentication-HTTPPOST.html>).
    pub(super) fn has_signed(&self, claimed: &Signed, text: &[u8], signature: &[u8; 32]) -> bool {
        let secret = Zeroizing::new(format!("AWS4{}", self.secret.as_str()));
        let mut key = Zeroizing::new([0; 32]);
        let mut next: &[u8] = secret.as_bytes();
        for scope in [
            claimed.scope_date.as_str(),
            &claimed.scope_region,
            &claimed.scope_service,
            "aws4_request",
        ] {
            let Some(mac) = keyed(next) else { return false };
            *key = mac.chain_update(scope).finalize().into_bytes().into();
            next = &key[..];
        }
        keyed(next).is_some_and(|mac| mac.chain_update(text).verify_slice(signature).is_ok())
    }
}

/// HMAC takes keys of any length.
fn keyed(key: &[u8]) -> Option<Hmac<Sha256>> {
    Hmac::new_from_slice(key).ok()
}

tokio::task_local! {
    pub(super) static RESOLVED: Arc<Resolved>;
}

/// Looks up who says to have signed, within a deadline.
///
/// # Errors
/// The answer for the client. Keys that never were, revoked ones, and those of tenants that are not there yet or any more are
/// told apart by nothing.
pub(super) async fn resolve(
    authenticator: &dyn Authenticator,
    id: &AccessKeyId,
    deadline: Duration,
) -> Result<Arc<Resolved>, OpError> {
    let lookup = tokio::time::timeout(deadline, authenticator.secret(id));
    let (secret, caller) = lookup.await.map_err(|_| AuthError::Unavailable {
        reason: format!("no answer within {} ms", deadline.as_millis()),
    })??;
    match caller.tenant.state {
        TenantState::Creating | TenantState::Shredded => Err(AuthError::Unknown.into()),
        TenantState::Active | TenantState::Suspended | TenantState::Terminating => {
            Ok(Arc::new(Resolved { secret, caller }))
        }
    }
}

/// Whether a key is the one that was looked up for this task's request.
pub(super) fn is_resolved(access_key: &str) -> bool {
    RESOLVED
        .try_with(|resolved| resolved.caller.access_key_id.as_str() == access_key)
        .unwrap_or(false)
}

/// Records the caller of this task's request as the one whose signature was verified.
pub(super) fn record_verified(extensions: &Extensions) {
    let resolved = RESOLVED.try_with(Arc::clone).ok();
    if let (Some(context), Some(resolved)) = (extensions.get::<Arc<RequestContext>>(), resolved) {
        context.record_verified(&resolved.caller);
    }
}

/// Gives s3s the secret that the service has looked up for this request, and no other.
pub(super) struct EdgeAuth;

#[async_trait::async_trait]
impl S3Auth for EdgeAuth {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let secret = RESOLVED.try_with(|resolved| {
            let is_same = resolved.caller.access_key_id.as_str() == access_key;
            is_same.then(|| SecretKey::from(resolved.secret.as_str()))
        });
        secret
            .ok()
            .flatten()
            .ok_or_else(|| S3ErrorCode::InvalidAccessKeyId.into())
    }
}

/// What a verified caller may do, and how much of it at once.
#[derive(Clone)]
pub(super) struct EdgeAccess {
    pub(super) shares: Arc<Shares<TenantId>>,
}

impl EdgeAccess {
    /// Admits what a verified signer asks for, and leaves its caller in the extensions.
    fn admit(&self, op: &str, extensions: &mut Extensions) -> S3Result<()> {
        let context = extensions.get::<Arc<RequestContext>>().cloned();
        let resolved = RESOLVED.try_with(Arc::clone).ok();
        let verification = extensions.get::<Verification>();
        let (Some(context), Some(resolved), Some(verification)) = (context, resolved, verification)
        else {
            return Err(S3ErrorCode::AccessDenied.into());
        };
        let caller = &resolved.caller;
        if verification.signer() != caller.access_key_id.as_str() {
            return Err(S3ErrorCode::AccessDenied.into());
        }
        if let Err(refused) = self.admit_caller(op, caller, &context) {
            return Err(error::to_s3(refused, context.id()));
        }
        extensions.insert(caller.clone());
        Ok(())
    }

    /// Admits who signed a form's policy, to what a form does.
    pub(super) fn admit_form(
        &self,
        form: &VerifiedForm,
        resolved: &Resolved,
        context: &RequestContext,
    ) -> Result<(), OpError> {
        match form.signer() == resolved.caller.access_key_id.as_str() {
            true => {
                context.record_verified(&resolved.caller);
                self.admit_caller("PutObject", &resolved.caller, context)
            }
            false => Err(OpError::access_denied("Access Denied")),
        }
    }

    fn admit_caller(
        &self,
        op: &str,
        caller: &Caller,
        context: &RequestContext,
    ) -> Result<(), OpError> {
        context.record_caller(caller);
        may(caller.tenant.state, op)?;
        let share = self.shares.take(caller.tenant.id);
        context.hold_share(share.ok_or_else(OpError::slow_down)?);
        Ok(())
    }
}

#[async_trait::async_trait]
impl S3Access for EdgeAccess {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let op = cx.s3_op().name().to_owned();
        let path = cx.s3_path();
        let bucket = path.get_bucket_name().map(str::to_owned);
        let key = path.get_object_key().map(str::to_owned);
        let admitted = self.admit(&op, cx.extensions_mut());
        // Recorded behind the caller: an object's hash covers its tenant.
        if let Some(context) = cx.extensions_mut().get::<Arc<RequestContext>>() {
            context.record_target(&op, bucket.as_deref(), key.as_deref());
        }
        admitted
    }
}

/// Whether a tenant in a state may ask for an operation.
fn may(state: TenantState, op: &str) -> Result<(), OpError> {
    let reads = ["Get", "Head", "List"].iter().any(|p| op.starts_with(p));
    match state {
        TenantState::Active => Ok(()),
        TenantState::Terminating if reads => Ok(()),
        TenantState::Terminating => Err(OpError::access_denied(
            "This tenant is being terminated: its objects can be read until the grace period ends, but not changed.",
        )),
        TenantState::Suspended => Err(OpError::access_denied("This tenant is suspended.")),
        TenantState::Creating | TenantState::Shredded => Err(AuthError::Unknown.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Code;

    #[test]
    fn terminating_tenants_only_read() {
        let code = |state, op| may(state, op).map_err(|e| e.code());
        for op in ["GetObject", "HeadBucket", "ListParts"] {
            assert_eq!(code(TenantState::Terminating, op), Ok(()));
        }
        for op in ["PutObject", "DeleteObjects", "CopyObject", "CreateBucket"] {
            let refused = code(TenantState::Terminating, op);
            assert_eq!(refused, Err(Code::AccessDenied), "{op}");
            assert_eq!(code(TenantState::Active, op), Ok(()));
        }
        let suspended = code(TenantState::Suspended, "GetObject");
        assert_eq!(suspended, Err(Code::AccessDenied));
    }

    #[tokio::test]
    async fn secret_outside_a_request_is_nobodys() {
        let refused = EdgeAuth.get_secret_key("AKID").await.unwrap_err();
        assert_eq!(refused.code(), &S3ErrorCode::InvalidAccessKeyId);
    }
}
