//! What is cached, bounded, and the count of evictions that tells whether an answer is older than one.

use super::CacheOptions;
use crate::catalog::{Bucket, BucketSetting, BucketState, Change, CredentialRow, CredentialState};
use crate::tenants::{AccessKeyId, BucketName, Tenant, TenantId, TenantState};
use moka::future::Cache;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::RwLock;

/// What a bucket's setting is kept under.
pub(super) type SettingKey = (TenantId, BucketName, BucketSetting);

/// Most bytes of settings that are cached; a bucket's CORS rules may have 64 KiB.
const SETTINGS_BYTES_MAX: u64 = 16 << 20;

/// What an entry costs beside its text, roughly.
const SETTING_BYTES: usize = 256;

pub(super) struct Entries {
    credentials: Cache<AccessKeyId, Arc<CredentialRow>>,
    tenants: Cache<TenantId, Arc<Tenant>>,
    buckets: Cache<(TenantId, BucketName), Arc<Bucket>>,
    settings: Cache<SettingKey, Arc<str>>,
    /// Which are not set. Apart, as whoever knows a key's id may ask for buckets that are not there.
    unset: Cache<SettingKey, ()>,
    unknown: Cache<AccessKeyId, ()>,
    evictions: AtomicU64,
    /// Held shared while an answer is kept, alone while anything is dropped: what is kept is either seen by the eviction or not older
    /// than it, so that nobody reads an old answer after an eviction has ended.
    gate: RwLock<()>,
}

/// The count of evictions at one moment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct EvictionCount(u64);

impl Entries {
    pub(super) fn new(options: &CacheOptions) -> Self {
        Self {
            credentials: Cache::new(options.entries_max),
            tenants: Cache::new(options.entries_max),
            buckets: Cache::new(options.entries_max),
            settings: Cache::builder()
                .max_capacity(SETTINGS_BYTES_MAX)
                .weigher(|_, text: &Arc<str>| {
                    u32::try_from(text.len().saturating_add(SETTING_BYTES)).unwrap_or(u32::MAX)
                })
                .build(),
            unset: Cache::new(options.entries_max),
            unknown: Cache::builder()
                .max_capacity(options.unknown_max)
                .time_to_live(options.unknown_for)
                .build(),
            evictions: AtomicU64::new(0),
            gate: RwLock::new(()),
        }
    }

    pub(super) fn count(&self) -> EvictionCount {
        EvictionCount(self.evictions.load(Ordering::SeqCst))
    }

    pub(super) async fn credential(&self, id: &AccessKeyId) -> Option<(CredentialRow, Tenant)> {
        let credential = self.credentials.get(id).await?;
        let tenant = self.tenants.get(&credential.tenant).await?;
        Some((credential.as_ref().clone(), tenant.as_ref().clone()))
    }

    pub(super) async fn is_unknown(&self, id: &AccessKeyId) -> bool {
        self.unknown.get(id).await.is_some()
    }

    pub(super) async fn tenant(&self, tenant: TenantId) -> Option<Tenant> {
        let tenant = self.tenants.get(&tenant).await?;
        Some(tenant.as_ref().clone())
    }

    pub(super) async fn bucket(&self, tenant: TenantId, name: &BucketName) -> Option<Bucket> {
        let bucket = self.buckets.get(&(tenant, name.clone())).await?;
        Some(bucket.as_ref().clone())
    }

    /// The outer option: whether it is known; the inner: whether it is set.
    pub(super) async fn setting(
        &self,
        tenant: TenantId,
        name: &BucketName,
        setting: BucketSetting,
    ) -> Option<Option<Arc<str>>> {
        let key = (tenant, name.clone(), setting);
        match self.settings.get(&key).await {
            Some(text) => Some(Some(text)),
            None => self.unset.get(&key).await.map(|()| None),
        }
    }

    pub(super) async fn keep_setting(
        &self,
        key: SettingKey,
        value: Option<Arc<str>>,
        asked: EvictionCount,
    ) {
        let _gate = self.gate.read().await;
        if self.count() == asked {
            match value {
                Some(text) => self.settings.insert(key, text).await,
                None => self.unset.insert(key, ()).await,
            }
        }
    }

    /// Rows that are being made are not kept: another gateway may finish them before its next request comes here.
    pub(super) async fn keep_credential(&self, credential: &CredentialRow, asked: EvictionCount) {
        if credential.state == CredentialState::Creating {
            return;
        }
        let _gate = self.gate.read().await;
        if self.count() == asked {
            let (id, row) = (credential.id.clone(), Arc::new(credential.clone()));
            self.credentials.insert(id, row).await;
        }
    }

    pub(super) async fn keep_tenant(&self, tenant: &Tenant, asked: EvictionCount) {
        if tenant.state == TenantState::Creating {
            return;
        }
        let _gate = self.gate.read().await;
        if self.count() == asked {
            let row = Arc::new(tenant.clone());
            self.tenants.insert(tenant.id, row).await;
        }
    }

    pub(super) async fn keep_bucket(
        &self,
        tenant: TenantId,
        bucket: &Bucket,
        asked: EvictionCount,
    ) {
        if bucket.state != BucketState::Active {
            return;
        }
        let _gate = self.gate.read().await;
        if self.count() == asked {
            let key = (tenant, bucket.name.clone());
            self.buckets.insert(key, Arc::new(bucket.clone())).await;
        }
    }

    pub(super) async fn keep_unknown(&self, id: &AccessKeyId, asked: EvictionCount) {
        let _gate = self.gate.read().await;
        if self.count() == asked {
            self.unknown.insert(id.clone(), ()).await;
        }
    }

    pub(super) async fn evict(&self, changes: &[Change]) {
        let _gate = self.gate.write().await;
        self.evictions.fetch_add(1, Ordering::SeqCst);
        for change in changes {
            match change {
                Change::Tenant(tenant) => self.tenants.invalidate(tenant).await,
                Change::Credential(id) => {
                    self.credentials.invalidate(id).await;
                    self.unknown.invalidate(id).await;
                }
                Change::Bucket(tenant, name) => {
                    self.buckets.invalidate(&(*tenant, name.clone())).await;
                    for setting in BucketSetting::ALL {
                        let key = (*tenant, name.clone(), setting);
                        self.settings.invalidate(&key).await;
                        self.unset.invalidate(&key).await;
                    }
                }
                // Nothing of a region is cached here.
                Change::Region(_) => {}
            }
        }
    }

    pub(super) async fn clear(&self) {
        let _gate = self.gate.write().await;
        self.evictions.fetch_add(1, Ordering::SeqCst);
        self.credentials.invalidate_all();
        self.tenants.invalidate_all();
        self.buckets.invalidate_all();
        self.settings.invalidate_all();
        self.unset.invalidate_all();
        self.unknown.invalidate_all();
    }
}
