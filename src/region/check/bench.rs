//! The check's buckets and short forms of the calls on them.

use crate::region::{
    Body, BodyError, CompletedPart, DeleteRequest, GetRequest, HeadFields, ListRequest, ObjectRef,
    PutCondition, PutRequest, RegionError, RegionStore, S3Store, UploadPartRequest, UpstreamBucket,
    UpstreamUploadId, VersionListRequest, WriteOutcome,
};
use crate::tenants::{ObjectKey, TenantId};
use bytes::Bytes;
use futures::TryStreamExt;
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A check is no tenant's; stores see no tenants.
pub(super) const NOBODY: TenantId = TenantId::from_bytes([0; 16]);
const PAGES_MAX: usize = 1_000;

pub(super) struct Bench {
    pub(super) store: S3Store,
    bucket: UpstreamBucket,
    /// Keys that can't be told from a listing of versions stay out of here.
    pub(super) versioned: UpstreamBucket,
    /// The bucket with object lock; made by the probe of it.
    pub(super) locked: UpstreamBucket,
    /// The bucket that is deleted while it holds something; made by the probe of that.
    pub(super) full: UpstreamBucket,
    uploads: Mutex<Vec<(ObjectRef, UpstreamUploadId)>>,
    /// Every key that was ever named: a store may not list what it holds.
    named: Mutex<BTreeSet<String>>,
}

impl Bench {
    pub(super) fn new(store: S3Store, unique: &str) -> Self {
        let name = |suffix: &str| {
            let prefix = store.bucket_prefix();
            UpstreamBucket::from_catalog(format!("{prefix}-check-{unique}{suffix}"))
        };
        Self {
            bucket: name(""),
            versioned: name("-v"),
            locked: name("-l"),
            full: name("-f"),
            store,
            uploads: Mutex::new(Vec::new()),
            named: Mutex::new(BTreeSet::new()),
        }
    }

    pub(super) fn bucket_names(&self) -> [&str; 4] {
        [&self.bucket, &self.versioned, &self.locked, &self.full].map(UpstreamBucket::as_str)
    }

    pub(super) async fn open(&self) -> Result<(), RegionError> {
        self.store.create_bucket(NOBODY, &self.bucket).await?;
        self.store.create_bucket(NOBODY, &self.versioned).await
    }

    pub(super) fn at(&self, key: &str) -> Result<ObjectRef, RegionError> {
        held(&self.named).insert(key.to_owned());
        self.within(&self.bucket, key)
    }

    pub(super) fn at_versioned(&self, key: &str) -> Result<ObjectRef, RegionError> {
        self.within(&self.versioned, key)
    }

    pub(super) fn at_full(&self, key: &str) -> Result<ObjectRef, RegionError> {
        self.within(&self.full, key)
    }

    pub(super) fn at_locked(&self, key: &str) -> Result<ObjectRef, RegionError> {
        self.within(&self.locked, key)
    }

    fn within(&self, bucket: &UpstreamBucket, key: &str) -> Result<ObjectRef, RegionError> {
        let key = ObjectKey::new(key).map_err(|_| RegionError::Refused {
            operation: "region check",
            status: 400,
            code: "KeyTooLongError".to_owned(),
        })?;
        Ok(ObjectRef {
            bucket: bucket.clone(),
            key,
        })
    }

    pub(super) async fn put(
        &self,
        at: &ObjectRef,
        bytes: &str,
        condition: PutCondition,
    ) -> Result<WriteOutcome, RegionError> {
        self.put_with(at, bytes, HeadFields::default(), condition)
            .await
    }

    pub(super) async fn put_with(
        &self,
        at: &ObjectRef,
        bytes: &str,
        head: HeadFields,
        condition: PutCondition,
    ) -> Result<WriteOutcome, RegionError> {
        let request = PutRequest {
            head,
            stored_bytes: bytes.len() as u64,
            body: Body::Replayable(Bytes::copy_from_slice(bytes.as_bytes())),
            condition,
        };
        self.store.put(NOBODY, at, request).await
    }

    pub(super) async fn read(
        &self,
        at: &ObjectRef,
        request: &GetRequest,
    ) -> Result<Vec<u8>, RegionError> {
        let object = self.store.get(NOBODY, at, request).await?;
        let chunks: Result<Vec<Bytes>, BodyError> = object.body.try_collect().await;
        let chunks = chunks.map_err(|error| RegionError::Lying {
            operation: "region check",
            reason: error.to_string(),
        })?;
        Ok(chunks.concat())
    }

    /// Whether a plain read of the key gives just these bytes.
    pub(super) async fn holds(&self, at: &ObjectRef, bytes: &str) -> Result<bool, RegionError> {
        let read = super::answered(self.read(at, &GetRequest::default()).await)?;
        Ok(read.is_some_and(|read| read == bytes.as_bytes()))
    }

    /// All keys that begin so, in the store's order, by pages of `keys_max`.
    pub(super) async fn keys(
        &self,
        prefix: &str,
        keys_max: usize,
    ) -> Result<Vec<String>, RegionError> {
        self.keys_by(&self.store, prefix, keys_max).await
    }

    /// As [`Self::keys`], by a store that knows that listings do not come in byte order.
    pub(super) async fn keys_in_segment_order(
        &self,
        prefix: &str,
        keys_max: usize,
    ) -> Result<Vec<String>, RegionError> {
        let mut profile = self.store.profile().clone();
        profile.keys.byte_order = false;
        let store = self.store.with_profile(profile);
        self.keys_by(&store, prefix, keys_max).await
    }

    async fn keys_by(
        &self,
        store: &S3Store,
        prefix: &str,
        keys_max: usize,
    ) -> Result<Vec<String>, RegionError> {
        let mut request = ListRequest {
            prefix: prefix.to_owned(),
            keys_max,
            ..ListRequest::default()
        };
        let mut keys = Vec::new();
        for _ in 0..PAGES_MAX {
            let page = store.list(NOBODY, &self.bucket, &request).await?;
            keys.extend(page.objects.into_iter().map(|object| object.key));
            match page.next_start_after {
                Some(next) => request.start_after = Some(next),
                None => break,
            }
        }
        Ok(keys)
    }

    pub(super) async fn upload(&self, at: &ObjectRef) -> Result<UpstreamUploadId, RegionError> {
        let head = HeadFields::default();
        let upload = self.store.create_upload(NOBODY, at, &head).await?;
        held(&self.uploads).push((at.clone(), upload.clone()));
        Ok(upload)
    }

    pub(super) async fn part(
        &self,
        at: &ObjectRef,
        upload: &UpstreamUploadId,
        number: u16,
        bytes: Bytes,
    ) -> Result<CompletedPart, RegionError> {
        let request = UploadPartRequest {
            upload: upload.clone(),
            number,
            stored_bytes: bytes.len() as u64,
            body: Body::Replayable(bytes),
            in_lock_bucket: false,
        };
        let etag = self.store.upload_part(NOBODY, at, request).await?;
        Ok(CompletedPart { number, etag })
    }

    /// Deletes what the check made, as far as the store lets it, and says whether it all went.
    pub(super) async fn clean_up(&self) -> Result<(), RegionError> {
        let open = std::mem::take(&mut *held(&self.uploads));
        for (at, upload) in open {
            // Most are finished; one that stays will be in the way of deleting the bucket, which is told.
            let _ = self.store.abort_upload(NOBODY, &at, &upload).await;
        }
        let unlocked = self.drop_locked().await;
        let full = self.drop_full().await;
        let emptied = self.empty_versioned().await;
        let versioned = self.store.delete_bucket(NOBODY, &self.versioned).await;
        let mut keys = std::mem::take(&mut *held(&self.named));
        keys.extend(self.keys("", 1_000).await.unwrap_or_default());
        for key in keys.iter().rev() {
            // Not every key can be deleted where it could not be stored; the bucket's deletion tells.
            let _ = self.delete(&self.bucket, key, None).await;
        }
        self.store.delete_bucket(NOBODY, &self.bucket).await?;
        emptied.and(versioned).and(unlocked).and(full)
    }

    async fn drop_full(&self) -> Result<(), RegionError> {
        if !self.store.bucket_exists(NOBODY, &self.full).await? {
            return Ok(());
        }
        self.delete(&self.full, super::capacity::FULL_KEY, None)
            .await?;
        self.store.delete_bucket(NOBODY, &self.full).await
    }

    /// Lifts every lock and deletes the bucket with object lock, where the store made one.
    async fn drop_locked(&self) -> Result<(), RegionError> {
        if !self.store.bucket_exists(NOBODY, &self.locked).await? {
            return Ok(());
        }
        let request = VersionListRequest {
            keys_max: 1_000,
            ..VersionListRequest::default()
        };
        let listed = self.store.list_versions(NOBODY, &self.locked, &request);
        for found in listed.await?.versions {
            let at = self.within(&self.locked, &found.object.key)?;
            let version = Some(found.version);
            if !found.delete_marker {
                // Whether it went is told by the deletion.
                let _ = self
                    .store
                    .set_legal_hold(NOBODY, &at, version.as_ref(), false)
                    .await;
            }
            let request = DeleteRequest {
                version,
                bypass_governance: true,
                ..DeleteRequest::default()
            };
            self.store.delete(NOBODY, &at, &request).await?;
        }
        self.store.delete_bucket(NOBODY, &self.locked).await
    }

    async fn empty_versioned(&self) -> Result<(), RegionError> {
        let request = VersionListRequest {
            keys_max: 1_000,
            ..VersionListRequest::default()
        };
        let listed = self
            .store
            .list_versions(NOBODY, &self.versioned, &request)
            .await;
        match listed {
            Ok(page) => {
                for found in page.versions {
                    let version = Some(found.version);
                    self.delete(&self.versioned, &found.object.key, version)
                        .await?;
                }
                Ok(())
            }
            Err(RegionError::NotFound { .. }) => Ok(()),
            // A store without versions keeps the few objects under plain keys.
            Err(_) => {
                self.delete(&self.versioned, super::capacity::VERSIONED_KEY, None)
                    .await
            }
        }
    }

    async fn delete(
        &self,
        bucket: &UpstreamBucket,
        key: &str,
        version: Option<crate::region::VersionId>,
    ) -> Result<(), RegionError> {
        let request = DeleteRequest {
            version,
            ..DeleteRequest::default()
        };
        let at = self.within(bucket, key)?;
        self.store.delete(NOBODY, &at, &request).await.map(|_| ())
    }
}

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
