//! What the control plane asks of a domain's keys, as a trait so that tests can fail it at every step.

use crate::tenants::{AccessKeyId, CREDENTIAL_SECRET_LABEL, TenantId, credential_secret_fields};
use async_trait::async_trait;
use lethe_keys::{KekInfo, KeyService, KeysError, LeaseState, SecretContext};
use zeroize::Zeroizing;

/// A domain's keys as creation and operators use them; the data path has its own question.
#[async_trait]
pub trait TenantKeys: Send + Sync + 'static {
    /// Makes a tenant's first KEK; repeating it succeeds.
    async fn create_tenant_keys(&self, tenant: TenantId) -> Result<KekInfo, KeysError>;
    /// Makes a new KEK version; older ones open only.
    async fn rotate(&self, tenant: TenantId) -> Result<KekInfo, KeysError>;
    /// A tenant's KEKs.
    async fn list(&self, tenant: TenantId) -> Result<Vec<KekInfo>, KeysError>;
    /// Seals a credential's secret, bound to its tenant and id.
    async fn seal_credential(
        &self,
        tenant: &TenantId,
        id: &AccessKeyId,
        secret: &[u8],
    ) -> Result<Vec<u8>, KeysError>;
    /// Opens a credential's secret.
    async fn open_credential(
        &self,
        tenant: &TenantId,
        id: &AccessKeyId,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, KeysError>;
    /// The lease, for `/readyz`.
    fn lease_state(&self) -> LeaseState;
    /// A cheap question to the key store.
    async fn ping(&self) -> Result<(), KeysError>;
}

fn context<'a>(fields: &'a [&'a [u8]]) -> SecretContext<'a> {
    SecretContext {
        label: CREDENTIAL_SECRET_LABEL,
        fields,
    }
}

#[async_trait]
impl TenantKeys for KeyService {
    async fn create_tenant_keys(&self, tenant: TenantId) -> Result<KekInfo, KeysError> {
        Self::create_tenant_keys(self, tenant).await
    }

    async fn rotate(&self, tenant: TenantId) -> Result<KekInfo, KeysError> {
        Self::rotate(self, tenant).await
    }

    async fn list(&self, tenant: TenantId) -> Result<Vec<KekInfo>, KeysError> {
        Self::list(self, tenant).await
    }

    async fn seal_credential(
        &self,
        tenant: &TenantId,
        id: &AccessKeyId,
        secret: &[u8],
    ) -> Result<Vec<u8>, KeysError> {
        let fields = credential_secret_fields(tenant, id);
        self.seal_secret(&context(&fields), secret).await
    }

    async fn open_credential(
        &self,
        tenant: &TenantId,
        id: &AccessKeyId,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, KeysError> {
        let fields = credential_secret_fields(tenant, id);
        self.open_secret(&context(&fields), sealed).await
    }

    fn lease_state(&self) -> LeaseState {
        Self::lease_state(self)
    }

    async fn ping(&self) -> Result<(), KeysError> {
        Self::ping(self).await
    }
}
