//! Deleting what is left of a shredded tenant: versions, delete markers, objects, open uploads, spooled parts, buckets. It goes by
//! pages, and each page is written down before it is deleted, so that a purge that was cut off counts nothing twice.

use super::evidence::{Held, PurgeCounts};
use super::held::{Holding, lock_on};
use super::inventory::{hashed, versioned};
use super::leftovers::Leftover;
use crate::catalog::{Bucket, BucketState, CatalogError, CredentialState, UploadState};
use crate::clock::UnixMs;
use crate::jobs::{FinishError, JobDomain, JobRegion};
use crate::region::{
    DeleteRequest, ListRequest, ListedObject, Missing, ObjectRef, RegionError, VersionId,
    VersionListRequest,
};
use crate::tenants::{ObjectKey, TenantId};
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
    /// Uploads of the page that is being dropped, which are counted already.
    #[serde(default)]
    uploads_counted: BTreeSet<String>,
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
    /// By object lock, or because nothing may be deleted here at all.
    Forbidden(Held, RegionError),
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
    if !purge.uploads(&buckets).await? {
        return Ok((false, purge.progress));
    }
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
        let (mut failed, mut forbidden) = (None, Vec::new());
        while let Some((one, gone)) = deletes.next().await {
            match gone {
                Ok(Gone::Deleted) => {}
                Ok(Gone::Held(held)) => self.progress.hold(one, held),
                Ok(Gone::Forbidden(held, error)) => forbidden.push((one, held, error)),
                // The others of the page may go all the same.
                Err(error) => failed = Some(error),
            }
        }
        drop(deletes);
        let may_delete = forbidden.is_empty() || self.may_delete(bucket, region).await?;
        for (one, held, error) in forbidden {
            if may_delete {
                self.progress.hold(one, held);
            } else {
                failed = Some(error);
            }
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Whether the upstream credential may delete versions here. S3 answers AccessDenied to that as to a locked version, and
    /// tells them apart by one that is not there: there is no lock on it, and nothing is lost.
    async fn may_delete(&self, bucket: &Bucket, region: &JobRegion) -> Result<bool, FinishError> {
        let mut random = [0; 16];
        // A fixed name serves as well where the system has no randomness.
        let _drawn = getrandom::fill(&mut random);
        let name = format!("lethe-absent-{}", hex::encode(random));
        let Ok(key) = ObjectKey::new(name) else {
            return Ok(false);
        };
        let at = ObjectRef {
            bucket: bucket.upstream.clone(),
            key,
        };
        let request = DeleteRequest {
            version: Some(VersionId(hex::encode(random))),
            ..DeleteRequest::default()
        };
        match region.store.delete(self.tenant, &at, &request).await {
            Ok(_) | Err(RegionError::NotFound { .. }) => Ok(true),
            // A version id that the store can't have made; it was let through to where that is found out.
            Err(RegionError::Refused { status: 400, .. }) => Ok(true),
            Err(RegionError::Refused { status: 403, .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Drops what is left of multipart uploads: the catalog's rows are the list of them. `false` when the time is up before
    /// it is done.
    async fn uploads(&mut self, buckets: &[Bucket]) -> Result<bool, FinishError> {
        let (tenant, catalog) = (self.tenant, &self.domain.catalog);
        loop {
            if Instant::now() >= self.until {
                return Ok(false);
            }
            let page = catalog.uploads_in_any_state(tenant, PAGE_UPLOADS).await?;
            if page.is_empty() {
                return Ok(true);
            }
            let mut leftovers = Vec::with_capacity(page.len());
            for upload in &page {
                let bucket = buckets.iter().find(|one| one.name == upload.new.bucket);
                leftovers.push(Leftover {
                    upload,
                    open: bucket.zip(match upload.state {
                        UploadState::Completed => None,
                        _ => upload.upstream.as_ref(),
                    }),
                    region: match bucket {
                        Some(bucket) => self.region(bucket)?,
                        None => self.home().await?,
                    },
                    spooled: catalog.spooled(tenant, &upload.new.id).await?,
                });
            }
            // Rows outlive a kill before they are forgotten: what is here again was counted then.
            for one in &leftovers {
                let id = one.upload.new.id.as_str();
                if !self.progress.uploads_counted.contains(id) {
                    self.progress.counts.uploads += u64::from(one.open.is_some());
                    self.progress.counts.spooled += one.spooled.len() as u64;
                }
            }
            let ids = page.iter().map(|upload| upload.new.id.as_str().to_owned());
            self.progress.uploads_counted = ids.collect();
            self.ledger.note(&self.progress).await?;
            for one in &leftovers {
                one.drop_from(tenant).await?;
                catalog.forget_upload(tenant, &one.upload.new.id).await?;
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
            .move_bucket(self.tenant, &bucket.name, &bucket.upstream, &any, deleting)
            .await?;
        Ok(catalog
            .forget_bucket(self.tenant, &bucket.name, &bucket.upstream)
            .await?)
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
    let held = |until_ms| Held {
        bucket: hashed(bucket.upstream.as_str()),
        key: hashed(&one.object.key),
        version: one.version.as_ref().map(|version| version.0.clone()),
        until_ms,
    };
    // A key that Lethe could not have written, and that it can't name to the store.
    let Ok(key) = ObjectKey::new(one.object.key.clone()) else {
        return Ok(Gone::Held(held(None)));
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
                Holding::Lock(lock) => Ok(Gone::Held(held(lock.until_ms()))),
                Holding::Unknown => Ok(Gone::Forbidden(held(None), refusal)),
                Holding::Nothing => Err(refusal),
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
