//! The steps after the durable first one. Each looks at the catalog's row and does what is left; all are idempotent, so that
//! a caller, its retry and a job may run them at once.

use super::domain::JobDomain;
use crate::catalog::{BucketState, CatalogError, CredentialRow, CredentialState};
use crate::directory::DirectoryError;
use crate::region::RegionError;
use crate::tenants::{AccessKeyId, BucketName, RegionName, Tenant, TenantId, TenantState};
use lethe_keys::KeysError;

/// Why something was not finished.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    /// The catalog's answer.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The keys' answer.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The directory's answer.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The region's answer.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// This gateway does not serve the region.
    #[error("region {0} is not served by this gateway")]
    RegionElsewhere(RegionName),
    /// The catalog's job row names nothing that this version knows.
    #[error("a job's subject does not fit its kind")]
    SubjectUnknown,
}

impl FinishError {
    /// Whether the row is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Catalog(CatalogError::NotFound { .. }))
    }
}

impl JobDomain {
    /// Finishes a tenant in state `Creating`: keys, then `Active`. One in any other state is returned as it is.
    ///
    /// # Errors
    /// [`FinishError`] of the step that failed; everything before it stays done.
    pub async fn finish_tenant(&self, id: TenantId) -> Result<Tenant, FinishError> {
        let tenant = self.catalog.tenant(id).await?;
        if tenant.state != TenantState::Creating {
            return Ok(tenant);
        }
        self.keys.create_tenant_keys(id).await?;
        self.catalog
            .move_tenant(id, &[TenantState::Creating], TenantState::Active)
            .await?;
        Ok(self.catalog.tenant(id).await?)
    }

    /// Finishes a credential: one in state `Creating` is registered in the directory and made active, a revoked one is
    /// taken out of the directory. A key that another domain has registered is revoked here.
    ///
    /// # Errors
    /// [`FinishError`] of the step that failed; everything before it stays done.
    pub async fn finish_credential(
        &self,
        id: &AccessKeyId,
    ) -> Result<(CredentialRow, Tenant), FinishError> {
        let (row, tenant) = self.catalog.credential(id).await?;
        match row.state {
            CredentialState::Active => return Ok((row, tenant)),
            CredentialState::Revoked => {
                self.directory.forget(id, &self.name).await?;
                return Ok((row, tenant));
            }
            CredentialState::Creating => {}
        }
        match self.directory.register(id, &self.name).await {
            Ok(()) => {}
            Err(taken @ DirectoryError::Taken { .. }) => {
                self.catalog.revoke_credential(row.tenant, id).await?;
                return Err(taken.into());
            }
            Err(error) => return Err(error.into()),
        }
        self.catalog.activate_credential(row.tenant, id).await?;
        Ok(self.catalog.credential(id).await?)
    }

    /// Finishes a bucket: one in state `Creating` is made upstream and then active; one in state `Deleting` is deleted
    /// upstream and forgotten, or active again when it turns out not to be empty.
    ///
    /// # Errors
    /// [`FinishError`] of the step that failed; everything before it stays done.
    pub async fn finish_bucket(
        &self,
        tenant: TenantId,
        name: &BucketName,
    ) -> Result<(), FinishError> {
        let bucket = self.catalog.bucket(tenant, name).await?;
        if bucket.state == BucketState::Active {
            return Ok(());
        }
        let region = self
            .regions
            .get(&bucket.region)
            .ok_or_else(|| FinishError::RegionElsewhere(bucket.region.clone()))?;
        if bucket.state == BucketState::Creating {
            match bucket.object_lock {
                true => {
                    let store = &region.store;
                    store.create_lock_bucket(tenant, &bucket.upstream).await?;
                }
                false => region.store.create_bucket(tenant, &bucket.upstream).await?,
            }
            self.catalog
                .move_bucket(
                    tenant,
                    name,
                    &bucket.upstream,
                    &[BucketState::Creating],
                    BucketState::Active,
                )
                .await?;
            return Ok(());
        }
        match region.store.delete_bucket(tenant, &bucket.upstream).await {
            Ok(()) => {
                self.catalog
                    .forget_bucket(tenant, name, &bucket.upstream)
                    .await?;
            }
            Err(RegionError::BucketNotEmpty { .. }) => {
                self.catalog
                    .move_bucket(
                        tenant,
                        name,
                        &bucket.upstream,
                        &[BucketState::Deleting],
                        BucketState::Active,
                    )
                    .await?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
