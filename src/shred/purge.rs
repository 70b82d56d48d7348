//! Deleting what is left of a shredded tenant: versions, delete markers, objects, open uploads, spooled parts, buckets. It goes by
//! pages, and each page is written down before it is deleted, so that a purge that was cut off counts nothing twice.

use super::evidence::{Held, PurgeCounts};
use super::held::lock_on;
use super::inventory::{hashed, versioned};
use crate::catalog::{Bucket, BucketState, CatalogError, CredentialState, UploadState};
use crate::clock::UnixMs;
use crate::jobs::{FinishError, JobDomain, JobRegion};
use crate::region::{
    DeleteRequest, ListRequest, ListedObject, Missing, ObjectRef, RegionError, VersionId,
    VersionListRequest,
};
use crate::tenants::{ObjectKey, SPOOL_OWNER, TenantId};
use async_trait::async_trait;
use futures::{FutureExt as _, StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use tokio::time::Instant;

/// Entries of one page.
const PAGE_KEYS: usize = 500;
/// Deletes that run at once.
const DELETES_AT_ONCE: usize = 16;
/// Uploads of one page.
const PAGE_UPLOADS: u32 = 100;
/// Held versions that are listed; the rest are counted.
pub const HELD_MAX: usize = 1000;

/// Where a purge is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// When it began, in milliseconds since 1970.
    pub started_ms: i64,
    /// When it was over.
    pub finished_ms: Option<i64>,
    /// What was deleted.
    pub counts: PurgeCounts,
    /// What the store holds on to.
    pub held: Vec<Held>,
    /// How much more it holds on to than `held` lists.
    pub held_more: u64,
    /// The page that is being deleted.
    place: Option<Place>,
    /// What of that page is counted already.
    counted: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    bucket: String,
    key: Option<String>,
    version: Option<String>,
}

/// Keeps a purge's progress; an error ends the purge.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Makes the progress durable.
    ///
    /// # Errors
    /// [`CatalogError`], a conflict when another runner has taken over.
    async fn note(&self, progress: &Progress) -> Result<(), CatalogError>;
}

/// One thing to delete.
struct Doomed {
    object: ListedObject,
    version: Option<VersionId>,
    marker: bool,
}

impl Doomed {
    fn mark(&self) -> String {
        let version = self.version.as_ref().map_or("", |version| &version.0);
        let digest = Sha256::new()
            .chain_update((self.object.key.len() as u64).to_be_bytes())
            .chain_update(&self.object.key)
            .chain_update(version)
            .finalize();
        hex::encode(digest.get(..16).unwrap_or_default())
    }
}

struct Page {
    doomed: Vec<Doomed>,
    next: Option<(Option<String>, Option<String>)>,
}

enum Gone {
    Deleted,
    Held(Held),
}

struct Purge<'a> {
    domain: &'a JobDomain,
    ledger: &'a dyn Ledger,
    tenant: TenantId,
    until: Instant,
    progress: Progress,
}

/// Deletes for at most until `until`, or a page longer. Answers whether everything is gone that can go, and how far it came.
///
/// # Errors
/// [`FinishError`] of the step that failed; the next call goes on from there.
pub async fn purge(
    domain: &JobDomain,
    ledger: &dyn Ledger,
    tenant: TenantId,
    progress: Progress,
    until: Instant,
) -> Result<(bool, Progress), FinishError> {
    let mut purge = Purge {
        domain,
        ledger,
        tenant,
        until,
        progress,
    };
    domain.catalog.end_uploads(tenant).await?;
    let buckets = domain.catalog.buckets_in_any_state(tenant).await?;
    let reached = purge.progress.place.as_ref().map(|at| at.bucket.clone());
    for bucket in &buckets {
        // Buckets before the one that was reached are held, or they would be gone.
        if reached
            .as_ref()
            .is_some_and(|reached| bucket.name.as_str() < reached.as_str())
        {
            continue;
        }
        if !purge.empty(bucket).await? {
            return Ok((false, purge.progress));
        }
    }
    purge.uploads(&buckets).await?;
    for bucket in &buckets {
        purge.remove(bucket).await?;
    }
    purge.credentials().await?;
    Ok((true, purge.progress))
}

impl Purge<'_> {
    fn region(&self, bucket: &Bucket) -> Result<JobRegion, FinishError> {
        let served = self.domain.regions.get(&bucket.region).cloned();
        served.ok_or_else(|| FinishError::RegionElsewhere(bucket.region.clone()))
    }

    /// Deletes a bucket's content; `false` when the time is up before it is done.
    async fn empty(&mut self, bucket: &Bucket) -> Result<bool, FinishError> {
        let region = self.region(bucket)?;
        let versions = match versioned(&region, self.tenant, bucket).await {
            Ok(versions) => versions,
            Err(error) if bucket_is_gone(&error) => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        let here = bucket.name.as_str();
        let mut at = match &self.progress.place {
            Some(place) if place.bucket == here => (place.key.clone(), place.version.clone()),
            _ => (None, None),
        };
        loop {
            if Instant::now() >= self.until {
                return Ok(false);
            }
            let page = if versions {
                self.versions(bucket, &region, at.clone()).await?
            } else {
                self.objects(bucket, &region, at.0.clone()).await?
            };
            let place = Place {
                bucket: here.to_owned(),
                key: at.0,
                version: at.1,
            };
            self.delete_page(bucket, &region, place, &page.doomed)
                .await?;
            match page.next {
                Some(next) => at = next,
                None => return Ok(true),
            }
        }
    }

    async fn objects(
        &self,
        bucket: &Bucket,
        region: &JobRegion,
        after: Option<String>,
    ) -> Result<Page, FinishError> {
        let request = ListRequest {
            keys_max: PAGE_KEYS,
            start_after: after,
            ..ListRequest::default()
        };
        let store = &region.store;
        let page = store.list(self.tenant, &bucket.upstream, &request).await?;
        let doomed = page.objects.into_iter().map(|object| Doomed {
            object,
            version: None,
            marker: false,
        });
        Ok(Page {
            doomed: doomed.collect(),
            next: page.next_start_after.map(|key| (Some(key), None)),
        })
    }

    async fn versions(
        &self,
        bucket: &Bucket,
        region: &JobRegion,
        (key_marker, version_marker): (Option<String>, Option<String>),
    ) -> Result<Page, FinishError> {
        let request = VersionListRequest {
            keys_max: PAGE_KEYS,
            key_marker,
            version_marker: version_marker.map(VersionId),
            ..VersionListRequest::default()
        };
        let store = &region.store;
        let page = store.list_versions(self.tenant, &bucket.upstream, &request);
        let page = page.await?;
        let doomed = page.versions.into_iter().map(|one| Doomed {
            object: one.object,
            version: Some(one.version),
            marker: one.delete_marker,
        });
        let version = page.next_version_marker.map(|version| version.0);
        Ok(Page {
            doomed: doomed.collect(),
            next: page.next_key_marker.map(|key| (Some(key), version)),
        })
    }

    async fn delete_page(
        &mut self,
        bucket: &Bucket,
        region: &JobRegion,
        place: Place,
        doomed: &[Doomed],
    ) -> Result<(), FinishError> {
        let marks: BTreeSet<String> = doomed.iter().map(Doomed::mark).collect();
        // The same page again, of a purge that was cut off: what is left of it was counted then.
        let again = self.progress.place.as_ref() == Some(&place);
        for one in doomed {
            if !again || !self.progress.counted.contains(&one.mark()) {
                self.progress.counts.add(one);
            }
        }
        if again {
            self.progress.counted.extend(marks);
        } else {
            self.progress.counted = marks;
        }
        self.progress.place = Some(place);
        self.ledger.note(&self.progress).await?;
        let (tenant, now) = (self.tenant, self.domain.clock.now());
        let deletes: Vec<_> = doomed
            .iter()
            .map(|one| async move { (one, delete(region, tenant, bucket, one, now).await) }.boxed())
            .collect();
        let mut deletes = stream::iter(deletes).buffer_unordered(DELETES_AT_ONCE);
        let mut failed = None;
        while let Some((one, gone)) = deletes.next().await {
            match gone {
                Ok(Gone::Deleted) => {}
                Ok(Gone::Held(held)) => self.progress.hold(one, held),
                // The others of the page may go all the same.
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Drops what is left of multipart uploads: the catalog's rows are the list of them.
    async fn uploads(&mut self, buckets: &[Bucket]) -> Result<(), FinishError> {
        let tenant = self.tenant;
        let catalog = &self.domain.catalog;
        loop {
            let page = catalog.uploads_in_any_state(tenant, PAGE_UPLOADS).await?;
            if page.is_empty() {
                return Ok(());
            }
            for upload in page {
                let bucket = buckets.iter().find(|one| one.name == upload.new.bucket);
                let region = match bucket {
                    Some(bucket) => self.region(bucket)?,
                    None => self.home().await?,
                };
                if let (Some(bucket), Some(upstream)) = (bucket, &upload.upstream)
                    && upload.state != UploadState::Completed
                {
                    let at = ObjectRef {
                        bucket: bucket.upstream.clone(),
                        key: upload.new.key.clone(),
                    };
                    let aborted = region.store.abort_upload(tenant, &at, upstream).await;
                    ignore_missing(aborted)?;
                    self.progress.counts.uploads += 1;
                }
                for spooled in catalog.spooled(tenant, &upload.new.id).await? {
                    let at = ObjectRef {
                        bucket: region.spool.clone(),
                        key: spooled.key,
                    };
                    let request = DeleteRequest::default();
                    let deleted = region.store.delete(SPOOL_OWNER, &at, &request).await;
                    ignore_missing(deleted.map(drop))?;
                    self.progress.counts.spooled += 1;
                }
                // Before the row goes: after a kill in between, the row says that it is to be done, and it is counted again.
                catalog.forget_upload(tenant, &upload.new.id).await?;
                self.ledger.note(&self.progress).await?;
            }
        }
    }

    /// The region of a tenant's spooled parts whose bucket is gone.
    async fn home(&self) -> Result<JobRegion, FinishError> {
        let region = self.domain.catalog.tenant(self.tenant).await?.region;
        let served = self.domain.regions.get(&region).cloned();
        served.ok_or(FinishError::RegionElsewhere(region))
    }

    /// Deletes a bucket unless something in it is held.
    async fn remove(&self, bucket: &Bucket) -> Result<(), FinishError> {
        let catalog = &self.domain.catalog;
        let region = self.region(bucket)?;
        match region
            .store
            .delete_bucket(self.tenant, &bucket.upstream)
            .await
        {
            Ok(()) => {}
            Err(error) if bucket_is_gone(&error) => {}
            Err(RegionError::BucketNotEmpty { .. }) if !self.progress.held.is_empty() => {
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        let any = [
            BucketState::Creating,
            BucketState::Active,
            BucketState::Deleting,
        ];
        let deleting = BucketState::Deleting;
        catalog
            .move_bucket(self.tenant, &bucket.name, &any, deleting)
            .await?;
        Ok(catalog.forget_bucket(self.tenant, &bucket.name).await?)
    }

    /// The directory forgets the tenant's access keys.
    async fn credentials(&self) -> Result<(), FinishError> {
        for row in self.domain.catalog.credentials(self.tenant).await? {
            if row.state != CredentialState::Revoked {
                let catalog = &self.domain.catalog;
                catalog.revoke_credential(self.tenant, &row.id).await?;
            }
            self.domain.finish_credential(&row.id).await?;
        }
        Ok(())
    }
}

impl Progress {
    /// A purge that begins.
    #[must_use]
    pub fn begun(started_ms: i64) -> Self {
        Self {
            started_ms,
            ..Self::default()
        }
    }

    /// Takes back what was counted as deleted, and lists it. Its mark goes too, so that the page may come again.
    fn hold(&mut self, one: &Doomed, held: Held) {
        self.counts.subtract(one);
        self.counted.remove(&one.mark());
        let same = |known: &&mut Held| {
            (&known.bucket, &known.key, &known.version) == (&held.bucket, &held.key, &held.version)
        };
        // A purge that was cut off meets it again, and the lock may have been set anew in between.
        if let Some(known) = self.held.iter_mut().find(same) {
            known.until_ms = held.until_ms;
            return;
        }
        if self.held.len() < HELD_MAX {
            self.held.push(held);
        } else {
            self.held_more = self.held_more.saturating_add(1);
        }
    }
}

impl PurgeCounts {
    fn kind(&mut self, one: &Doomed) -> &mut u64 {
        match (&one.version, one.marker) {
            (Some(_), true) => &mut self.delete_markers,
            (Some(_), false) => &mut self.versions,
            (None, _) => &mut self.objects,
        }
    }

    fn add(&mut self, one: &Doomed) {
        *self.kind(one) += 1;
        self.bytes = self.bytes.saturating_add(one.object.stored_bytes);
    }

    fn subtract(&mut self, one: &Doomed) {
        let kind = self.kind(one);
        *kind = kind.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(one.object.stored_bytes);
    }
}

async fn delete(
    region: &JobRegion,
    tenant: TenantId,
    bucket: &Bucket,
    one: &Doomed,
    now: UnixMs,
) -> Result<Gone, RegionError> {
    let held = |until_ms| {
        Gone::Held(Held {
            bucket: hashed(bucket.upstream.as_str()),
            key: hashed(&one.object.key),
            version: one.version.as_ref().map(|version| version.0.clone()),
            until_ms,
        })
    };
    // A key that Lethe could not have written, and that it can't name to the store.
    let Ok(key) = ObjectKey::new(one.object.key.clone()) else {
        return Ok(held(None));
    };
    let at = ObjectRef {
        bucket: bucket.upstream.clone(),
        key,
    };
    let request = DeleteRequest {
        version: one.version.clone(),
        ..DeleteRequest::default()
    };
    match region.store.delete(tenant, &at, &request).await {
        Ok(_) | Err(RegionError::NotFound { .. }) => Ok(Gone::Deleted),
        // S3 answers so both for what object lock holds and for what these credentials may not do.
        Err(refusal @ RegionError::Refused { status: 403, .. }) => {
            match lock_on(&*region.store, tenant, &at, one.version.as_ref(), now).await? {
                Some(lock) => Ok(held(lock.until_ms())),
                None => Err(refusal),
            }
        }
        Err(error) => Err(error),
    }
}

fn bucket_is_gone(error: &RegionError) -> bool {
    matches!(
        error,
        RegionError::NotFound {
            missing: Missing::Bucket,
            ..
        }
    )
}

fn ignore_missing(outcome: Result<(), RegionError>) -> Result<(), RegionError> {
    match outcome {
        Err(RegionError::NotFound { .. }) => Ok(()),
        other => other,
    }
}
