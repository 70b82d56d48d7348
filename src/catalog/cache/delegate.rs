//! The catalog's traits on the cache: the hot reads from memory, writes that evict, everything else as it is.

use super::{CachedCatalog, Settling};
use crate::catalog::forward::{
    forward_domain_store, forward_gateway_store, forward_job_store, forward_receipt_store,
    forward_shred_store, forward_upload_store,
};
use crate::catalog::{
    Bucket, BucketSetting, BucketState, BucketStore, BucketVersioning, CatalogError, Change,
    CredentialRow, CredentialStore, NewBucket, NewCredential, NewTenant, TenantStore,
};
use crate::region::UpstreamBucket;
use crate::tenants::access::GrantChange;
use crate::tenants::{AccessKeyId, BucketName, Tenant, TenantId, TenantName, TenantState};
use async_trait::async_trait;
use std::sync::Arc;

#[async_trait]
impl TenantStore for CachedCatalog {
    async fn begin_tenant(&self, new: &NewTenant) -> Result<(), CatalogError> {
        let outcome = self.shared.inner.begin_tenant(new).await;
        self.shared.evict(Change::Tenant(new.id)).await;
        outcome
    }

    async fn move_tenant(
        &self,
        tenant: TenantId,
        from: &[TenantState],
        to: TenantState,
    ) -> Result<(), CatalogError> {
        let outcome = self.shared.inner.move_tenant(tenant, from, to).await;
        self.shared.evict(Change::Tenant(tenant)).await;
        outcome
    }

    async fn tenant(&self, tenant: TenantId) -> Result<Tenant, CatalogError> {
        self.shared.check_lease("tenant")?;
        let entries = &self.shared.entries;
        if let Some(found) = entries.tenant(tenant).await {
            return Ok(found);
        }
        let asked = entries.count();
        let found = self.shared.inner.tenant(tenant).await?;
        let settling = Settling::new(&self.shared.unsettled);
        entries.keep_tenant(&found, asked).await;
        settling.settle();
        Ok(found)
    }

    async fn tenant_named(&self, name: &TenantName) -> Result<Tenant, CatalogError> {
        self.shared.inner.tenant_named(name).await
    }

    async fn tenants(
        &self,
        after: Option<&TenantName>,
        rows_max: u32,
    ) -> Result<Vec<Tenant>, CatalogError> {
        self.shared.inner.tenants(after, rows_max).await
    }
}

#[async_trait]
impl CredentialStore for CachedCatalog {
    async fn begin_credential(&self, new: &NewCredential) -> Result<(), CatalogError> {
        let outcome = self.shared.inner.begin_credential(new).await;
        self.shared.evict(Change::Credential(new.id.clone())).await;
        outcome
    }

    async fn activate_credential(
        &self,
        tenant: TenantId,
        id: &AccessKeyId,
    ) -> Result<(), CatalogError> {
        let outcome = self.shared.inner.activate_credential(tenant, id).await;
        self.shared.evict(Change::Credential(id.clone())).await;
        outcome
    }

    async fn revoke_credential(
        &self,
        tenant: TenantId,
        id: &AccessKeyId,
    ) -> Result<(), CatalogError> {
        let outcome = self.shared.inner.revoke_credential(tenant, id).await;
        self.shared.evict(Change::Credential(id.clone())).await;
        outcome
    }

    async fn change_grant(
        &self,
        tenant: TenantId,
        id: &AccessKeyId,
        change: &GrantChange,
    ) -> Result<(), CatalogError> {
        let outcome = self.shared.inner.change_grant(tenant, id, change).await;
        self.shared.evict(Change::Credential(id.clone())).await;
        outcome
    }

    async fn credential(&self, id: &AccessKeyId) -> Result<(CredentialRow, Tenant), CatalogError> {
        let operation = "credential";
        self.shared.check_lease(operation)?;
        let entries = &self.shared.entries;
        if let Some(found) = entries.credential(id).await {
            return Ok(found);
        }
        if entries.is_unknown(id).await {
            return Err(CatalogError::NotFound {
                operation,
                what: "credential",
            });
        }
        let asked = entries.count();
        let found = self.shared.inner.credential(id).await;
        let settling = Settling::new(&self.shared.unsettled);
        match &found {
            Ok((credential, tenant)) => {
                entries.keep_credential(credential, asked).await;
                entries.keep_tenant(tenant, asked).await;
            }
            Err(CatalogError::NotFound { .. }) => entries.keep_unknown(id, asked).await,
            Err(_) => {}
        }
        settling.settle();
        found
    }

    async fn credentials(&self, tenant: TenantId) -> Result<Vec<CredentialRow>, CatalogError> {
        self.shared.inner.credentials(tenant).await
    }
}

#[async_trait]
impl BucketStore for CachedCatalog {
    async fn begin_bucket(
        &self,
        tenant: TenantId,
        new: &NewBucket,
        buckets_max: u32,
    ) -> Result<Bucket, CatalogError> {
        let outcome = self
            .shared
            .inner
            .begin_bucket(tenant, new, buckets_max)
            .await;
        let change = Change::Bucket(tenant, new.name.clone());
        self.shared.evict(change).await;
        outcome
    }

    async fn move_bucket(
        &self,
        tenant: TenantId,
        name: &BucketName,
        upstream: &UpstreamBucket,
        from: &[BucketState],
        to: BucketState,
    ) -> Result<(), CatalogError> {
        let outcome = self
            .shared
            .inner
            .move_bucket(tenant, name, upstream, from, to)
            .await;
        self.shared
            .evict(Change::Bucket(tenant, name.clone()))
            .await;
        outcome
    }

    async fn set_bucket_versioning(
        &self,
        tenant: TenantId,
        name: &BucketName,
        versioning: BucketVersioning,
    ) -> Result<(), CatalogError> {
        let inner = &self.shared.inner;
        let outcome = inner.set_bucket_versioning(tenant, name, versioning).await;
        self.shared
            .evict(Change::Bucket(tenant, name.clone()))
            .await;
        outcome
    }

    async fn set_bucket_object_lock(
        &self,
        tenant: TenantId,
        name: &BucketName,
    ) -> Result<(), CatalogError> {
        let inner = &self.shared.inner;
        let outcome = inner.set_bucket_object_lock(tenant, name).await;
        self.shared
            .evict(Change::Bucket(tenant, name.clone()))
            .await;
        outcome
    }

    async fn set_bucket_setting(
        &self,
        tenant: TenantId,
        name: &BucketName,
        setting: BucketSetting,
        value: Option<&str>,
    ) -> Result<(), CatalogError> {
        let inner = &self.shared.inner;
        let outcome = inner.set_bucket_setting(tenant, name, setting, value).await;
        self.shared
            .evict(Change::Bucket(tenant, name.clone()))
            .await;
        outcome
    }

    /// That a setting is not there is remembered too: nearly every bucket has none, and a browser asks for each object again.
    async fn bucket_setting(
        &self,
        tenant: TenantId,
        name: &BucketName,
        setting: BucketSetting,
    ) -> Result<Option<Arc<str>>, CatalogError> {
        self.shared.check_lease("bucket_setting")?;
        if setting == BucketSetting::Lifecycle {
            // Compared with what the store has now, and rarely read.
            let inner = &self.shared.inner;
            return inner.bucket_setting(tenant, name, setting).await;
        }
        let entries = &self.shared.entries;
        if let Some(found) = entries.setting(tenant, name, setting).await {
            return Ok(found);
        }
        let asked = entries.count();
        let inner = &self.shared.inner;
        let found = inner.bucket_setting(tenant, name, setting).await?;
        let settling = Settling::new(&self.shared.unsettled);
        let key = (tenant, name.clone(), setting);
        entries.keep_setting(key, found.clone(), asked).await;
        settling.settle();
        Ok(found)
    }

    async fn forget_bucket(
        &self,
        tenant: TenantId,
        name: &BucketName,
        upstream: &UpstreamBucket,
    ) -> Result<(), CatalogError> {
        let outcome = self
            .shared
            .inner
            .forget_bucket(tenant, name, upstream)
            .await;
        self.shared
            .evict(Change::Bucket(tenant, name.clone()))
            .await;
        outcome
    }

    /// That a bucket is missing is not remembered: a client that looked before another gateway made it must find it.
    async fn bucket(&self, tenant: TenantId, name: &BucketName) -> Result<Bucket, CatalogError> {
        self.shared.check_lease("bucket")?;
        let entries = &self.shared.entries;
        if let Some(found) = entries.bucket(tenant, name).await {
            return Ok(found);
        }
        let asked = entries.count();
        let found = self.shared.inner.bucket(tenant, name).await?;
        let settling = Settling::new(&self.shared.unsettled);
        entries.keep_bucket(tenant, &found, asked).await;
        settling.settle();
        Ok(found)
    }

    async fn buckets(&self, tenant: TenantId) -> Result<Vec<Bucket>, CatalogError> {
        self.shared.inner.buckets(tenant).await
    }

    async fn bucket_has_uploads(
        &self,
        tenant: TenantId,
        name: &BucketName,
    ) -> Result<bool, CatalogError> {
        self.shared.inner.bucket_has_uploads(tenant, name).await
    }
}

macro_rules! pass {
    ($self:ident, $name:literal, $method:ident($($argument:expr),*)) => {
        $self.shared.inner.$method($($argument),*).await
    };
}

forward_upload_store!(CachedCatalog, pass);
forward_job_store!(CachedCatalog, pass);
forward_domain_store!(CachedCatalog, pass);
forward_gateway_store!(CachedCatalog, pass);
forward_shred_store!(CachedCatalog, pass);
forward_receipt_store!(CachedCatalog, pass);
