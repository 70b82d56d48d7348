//! Deleting what is left of a shredded tenant: versions, delete markers, objects, open uploads, spooled parts, buckets. It goes by
//! pages, and each page is written down before it is deleted, so that a purge that was cut off counts nothing twice. It is over when
//! the buckets are gone, or a fresh listing of one shows nothing but what the store holds on to.

mod still_held;

use super::evidence::HeldVersion;
use super::inventory::versioned;
use super::leftovers::Leftover;
use super::locks::{Holding, lock_on};
use super::progress::{Doomed, Place, Progress};
use crate::catalog::{Bucket, BucketState, CatalogError, CredentialState};
use crate::clock::UnixMs;
use crate::jobs::{FinishError, JobDomain, JobRegion};
use crate::region::{
    DeleteRequest, ListRequest, Missing, ObjectRef, RegionError, VersionId, VersionListRequest,
};
use crate::tenants::{ObjectKey, TenantId};
use async_trait::async_trait;
use futures::{FutureExt as _, StreamExt as _, stream};
use tokio::time::Instant;

/// Entries of one page.
const PAGE_KEYS: usize = 500;
/// Deletes that run at once.
const DELETES_AT_ONCE: usize = 16;
/// Uploads of one page.
const PAGE_UPLOADS: u32 = 100;
/// How often one call looks again at a bucket that is not empty when it should be; after that it waits, with the reason.
const ROUNDS_MAX: usize = 3;

/// Keeps a purge's progress; an error ends the purge.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Makes the progress durable.
    ///
    /// # Errors
    /// [`CatalogError`], a conflict when another runner has taken over.
    async fn note(&self, progress: &Progress) -> Result<(), CatalogError>;
}

/// Behind which key and version a page begins.
type Start = (Option<String>, Option<String>);

struct Page {
    doomed: Vec<Doomed>,
    next: Option<Start>,
}

enum Gone {
    Deleted,
    Held(HeldVersion),
    /// By object lock, or because nothing may be deleted here at all.
    Forbidden(HeldVersion, RegionError),
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
    let mut left = domain.catalog.buckets_in_any_state(tenant).await?;
    for round in 0.. {
        if !purge.empty_all(&left).await? || !purge.uploads(&left).await? {
            return Ok((false, purge.progress));
        }
        let Some(full) = purge.remove_all(left).await? else {
            return Ok((false, purge.progress));
        };
        left = full;
        let Some(full) = left.first() else {
            break;
        };
        // Something came after its page was passed: a write that was late, a listing that skipped it.
        tracing::warn!(%tenant, op = "purge", outcome = "again", bucket = %full.name, "a bucket is not empty after its purge");
        purge.progress.begin_again();
        for bucket in &left {
            purge.progress.forget_held(bucket.upstream.as_str());
        }
        ledger.note(&purge.progress).await?;
        if round + 1 >= ROUNDS_MAX {
            let operation = "purge";
            return Err(RegionError::BucketNotEmpty { operation }.into());
        }
    }
    purge.credentials().await?;
    Ok((true, purge.progress))
}

impl Purge<'_> {
    fn region(&self, bucket: &Bucket) -> Result<JobRegion, FinishError> {
        let served = self.domain.regions.get(&bucket.region).cloned();
        served.ok_or_else(|| FinishError::RegionElsewhere(bucket.region.clone()))
    }

    /// Deletes the buckets' content, from where it got to; `false` when the time is up before it is done.
    async fn empty_all(&mut self, buckets: &[Bucket]) -> Result<bool, FinishError> {
        let reached = self.progress.place.as_ref().map(|at| at.bucket.clone());
        for bucket in buckets {
            // Those before were emptied in this round; whether nothing came after is seen when they are removed.
            let is_passed = |reached: &String| bucket.name.as_str() < reached.as_str();
            if !reached.as_ref().is_some_and(is_passed) && !self.empty(bucket).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Deletes a bucket's content; `false` when the time is up before it is done.
    async fn empty(&mut self, bucket: &Bucket) -> Result<bool, FinishError> {
        if self.progress.is_done(bucket.name.as_str()) {
            return Ok(true);
        }
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
        let mut gained = at.0.is_some();
        loop {
            if Instant::now() >= self.until {
                return Ok(false);
            }
            let page = match self.page(bucket, &region, versions, at.clone()).await {
                // A store that can't go on behind a key shows what is left from the beginning, if less is there by now.
                Err(FinishError::Region(RegionError::Unsupported { .. })) if gained => {
                    (at, gained) = ((None, None), false);
                    self.progress.forget_held(bucket.upstream.as_str());
                    continue;
                }
                page => page?,
            };
            let place = Place {
                bucket: here.to_owned(),
                key: at.0,
                version: at.1,
                last: false,
            };
            gained |= self
                .delete_page(bucket, &region, place, &page.doomed)
                .await?;
            let last = page.next.is_none();
            at = page.next.unwrap_or_default();
            self.progress.page_done(Place {
                bucket: here.to_owned(),
                key: at.0.clone(),
                version: at.1.clone(),
                last,
            });
            if last {
                return Ok(true);
            }
        }
    }

    async fn page(
        &self,
        bucket: &Bucket,
        region: &JobRegion,
        versions: bool,
        start: Start,
    ) -> Result<Page, FinishError> {
        if versions {
            self.versions(bucket, region, start).await
        } else {
            self.objects(bucket, region, start.0).await
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
        (key_marker, version_marker): Start,
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

    /// Whether anything of the page went.
    async fn delete_page(
        &mut self,
        bucket: &Bucket,
        region: &JobRegion,
        place: Place,
        doomed: &[Doomed],
    ) -> Result<bool, FinishError> {
        self.progress.count_page(place, doomed);
        self.ledger.note(&self.progress).await?;
        let (tenant, now) = (self.tenant, self.domain.clock.now());
        let deletes: Vec<_> = doomed
            .iter()
            .map(|one| async move { (one, delete(region, tenant, bucket, one, now).await) }.boxed())
            .collect();
        let mut deletes = stream::iter(deletes).buffer_unordered(DELETES_AT_ONCE);
        let (mut deleted, mut failed, mut forbidden) = (false, None, Vec::new());
        while let Some((one, gone)) = deletes.next().await {
            match gone {
                Ok(Gone::Deleted) => deleted = true,
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
        failed.map_or(Ok(deleted), |error| Err(error.into()))
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
                let region = match bucket {
                    Some(bucket) => self.region(bucket)?,
                    None => self.home().await?,
                };
                leftovers.push(Leftover::find(tenant, upload, bucket, region).await?);
            }
            // Rows outlive a kill before they are forgotten: what is here again was counted then.
            for one in &leftovers {
                let id = one.upload.new.id.as_str();
                if !self.progress.uploads_counted.contains(id) {
                    self.progress.counts.uploads += one.open.len() as u64;
                    self.progress.counts.spooled += one.spooled;
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

    /// Removes the buckets, and answers those that have something in them that nothing holds; `None` when the time is up before
    /// that is known.
    async fn remove_all(
        &mut self,
        buckets: Vec<Bucket>,
    ) -> Result<Option<Vec<Bucket>>, FinishError> {
        let mut left = Vec::new();
        for bucket in buckets {
            match self.remove(&bucket).await? {
                Some(true) => {}
                Some(false) => left.push(bucket),
                None => return Ok(None),
            }
        }
        Ok(Some(left))
    }

    /// Deletes a bucket unless something in it is held; `false` when there is something else.
    async fn remove(&mut self, bucket: &Bucket) -> Result<Option<bool>, FinishError> {
        let region = self.region(bucket)?;
        let store = &region.store;
        match store.delete_bucket(self.tenant, &bucket.upstream).await {
            Ok(()) => {}
            Err(error) if bucket_is_gone(&error) => {}
            Err(RegionError::BucketNotEmpty { .. }) => {
                return self.shows_only_held(bucket, &region).await;
            }
            Err(error) => return Err(error.into()),
        }
        let any = [
            BucketState::Creating,
            BucketState::Active,
            BucketState::Deleting,
        ];
        let deleting = BucketState::Deleting;
        let catalog = &self.domain.catalog;
        catalog
            .move_bucket(self.tenant, &bucket.name, &bucket.upstream, &any, deleting)
            .await?;
        catalog
            .forget_bucket(self.tenant, &bucket.name, &bucket.upstream)
            .await?;
        Ok(Some(true))
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

async fn delete(
    region: &JobRegion,
    tenant: TenantId,
    bucket: &Bucket,
    one: &Doomed,
    now: UnixMs,
) -> Result<Gone, RegionError> {
    let held = |until_ms| one.held(bucket.upstream.as_str(), until_ms);
    // Longer than S3's keys are: Lethe could not have written it, and can't name it to the store.
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
