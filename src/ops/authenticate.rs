//! Who signed: the credential's row in the served domains' catalogs, its secret opened under the service node.

use crate::catalog::{CatalogError, CredentialRow, CredentialState};
use crate::ops::gateway::{Domain, Gateway};
use crate::tenants::{
    AccessKeyId, AuthError, Authenticator, CREDENTIAL_SECRET_LABEL, Caller, Tenant,
    credential_secret_fields,
};
use async_trait::async_trait;
use lethe_keys::SecretContext;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Answers for the credentials of a gateway's domains, and tells those of others where to go.
pub struct GatewayAuthenticator(pub Arc<Gateway>);

fn unavailable(error: &dyn std::fmt::Display) -> AuthError {
    AuthError::Unavailable {
        reason: error.to_string(),
    }
}

#[async_trait]
impl Authenticator for GatewayAuthenticator {
    async fn secret(&self, id: &AccessKeyId) -> Result<(Zeroizing<String>, Caller), AuthError> {
        for domain in self.0.domains() {
            match domain.catalog.credential(id).await {
                Ok((row, tenant)) => return open(domain, row, tenant).await,
                Err(CatalogError::NotFound { .. }) => {}
                Err(error) => return Err(unavailable(&error)),
            }
        }
        self.elsewhere(id).await
    }
}

impl GatewayAuthenticator {
    async fn elsewhere(&self, id: &AccessKeyId) -> Result<(Zeroizing<String>, Caller), AuthError> {
        let domain = self
            .0
            .directory()
            .domain_of(id)
            .await
            .map_err(|error| unavailable(&error))?;
        let stranger = domain.filter(|domain| self.0.domain(domain).is_none());
        match stranger.and_then(|domain| self.0.map().stranger(&domain)) {
            Some(redirect) => Err(AuthError::Elsewhere {
                public_endpoint: redirect.public_endpoint,
            }),
            None => Err(AuthError::Unknown),
        }
    }
}

async fn open(
    domain: &Domain,
    row: CredentialRow,
    tenant: Tenant,
) -> Result<(Zeroizing<String>, Caller), AuthError> {
    if row.state != CredentialState::Active {
        return Err(AuthError::Unknown);
    }
    let fields = credential_secret_fields(&row.tenant, &row.id);
    let context = SecretContext {
        label: CREDENTIAL_SECRET_LABEL,
        fields: &fields,
    };
    let secret = domain
        .keys
        .open_secret(&context, &row.sealed_secret)
        .await
        .map_err(|error| unavailable(&error))?;
    let secret =
        std::str::from_utf8(&secret).map_err(|_| unavailable(&"the secret is not text"))?;
    Ok((
        Zeroizing::new(secret.to_owned()),
        Caller {
            tenant,
            access_key_id: row.id,
            grant: row.grant,
        },
    ))
}
