//! Uploads that nobody finishes: aborted upstream, their spooled parts deleted, their rows forgotten.

use super::domain::{JobDomain, JobRegion};
use super::finish::FinishError;
use crate::catalog::{CatalogError, StaleBefore, Upload, UploadState, UpstreamOwner};
use crate::clock::UnixMs;
use crate::region::{Missing, ObjectRef, RegionError, drop_spooled};
use crate::tenants::{RegionName, TenantId};
use std::collections::HashSet;

const HOUR_MS: i64 = 60 * 60 * 1000;
/// A finished upload's answer is repeated for a day (design §2).
const ANSWER_MS: i64 = 24 * HOUR_MS;
/// How long aborting an upload may take before it counts as left over.
const ABORTING_MS: i64 = HOUR_MS;
/// How long an upload may be held upstream without being recorded here: longer than any request, and than any copy part by part.
const UNRECORDED_MS: i64 = 24 * HOUR_MS;
const PAGE_ROWS: u32 = 100;

/// What one sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Swept {
    /// Uploads forgotten.
    pub(super) forgotten: u64,
    /// Uploads left for a later sweep: their time has not come, somebody is at them, or another gateway serves their region.
    pub(super) left: u64,
    /// Uploads, and spools, left for the next sweep because a step failed.
    pub(super) failed: u64,
    /// Spooled bodies deleted whose upload no row names.
    pub(super) orphans: u64,
}

/// What became of one stale upload.
enum Dropped {
    Forgotten,
    Left,
}

impl JobDomain {
    /// Drops every stale upload of the domain, the longest inactive first. One that can't be dropped now does not keep the others
    /// from it, and a region that is away is asked once.
    pub(super) async fn sweep_uploads(&self) -> Result<Swept, FinishError> {
        let now = self.clock.now();
        let idle_ms = i64::from(self.upload_idle_days).saturating_mul(24 * HOUR_MS);
        let before = StaleBefore {
            idle: now.plus_ms(-idle_ms),
            creating: now.plus_ms(-UNRECORDED_MS),
            aborting: now.plus_ms(-ABORTING_MS),
            completed: now.plus_ms(-ANSWER_MS),
        };
        let mut swept = Swept::default();
        let mut away: HashSet<RegionName> = HashSet::new();
        let mut last: Option<(TenantId, Upload)> = None;
        loop {
            let page = self
                .catalog
                .stale_uploads(&before, last.as_ref(), PAGE_ROWS);
            let page = page.await?;
            for (tenant, upload) in &page {
                if away.contains(&upload.region) {
                    swept.failed += 1;
                    continue;
                }
                match self.drop_upload(*tenant, upload, now).await {
                    Ok(Dropped::Forgotten) => swept.forgotten += 1,
                    Ok(Dropped::Left) => swept.left += 1,
                    Err(error) => {
                        tracing::warn!(%tenant, op = "sweep-uploads", outcome = "failed", region = %upload.region, %error, "a stale upload stays");
                        swept.failed += 1;
                        if is_away(&error) {
                            away.insert(upload.region.clone());
                        }
                    }
                }
            }
            match page.into_iter().next_back() {
                Some(row) => last = Some(row),
                None => break,
            }
        }
        for (name, region) in &self.regions {
            if away.contains(name) {
                continue;
            }
            match self.sweep_spool(region, now).await {
                Ok(orphans) => swept.orphans += orphans,
                Err(error) => {
                    tracing::warn!(op = "sweep-spool", outcome = "failed", region = %name, %error, "a spool is not looked through");
                    swept.failed += 1;
                }
            }
        }
        Ok(swept)
    }

    async fn drop_upload(
        &self,
        tenant: TenantId,
        stale: &Upload,
        now: UnixMs,
    ) -> Result<Dropped, FinishError> {
        let id = &stale.new.id;
        let Some(region) = self.regions.get(&stale.region) else {
            return Ok(Dropped::Left);
        };
        if stale.state != UploadState::Completed {
            let aborting = match self.catalog.begin_abort(tenant, id, now).await {
                Ok(upload) => upload,
                // Somebody came back to it, or forgot it, since the page was read.
                Err(CatalogError::Conflict { .. } | CatalogError::NotFound { .. }) => {
                    return Ok(Dropped::Left);
                }
                Err(error) => return Err(error.into()),
            };
            if !self.abort_upstream(tenant, region, &aborting, now).await? {
                return Ok(Dropped::Left);
            }
        }
        drop_spooled(region.store.as_ref(), &region.spool, id).await?;
        self.catalog.forget_upload(tenant, id).await?;
        Ok(Dropped::Forgotten)
    }

    /// Whether the upstream holds nothing of the upload any more.
    async fn abort_upstream(
        &self,
        tenant: TenantId,
        region: &JobRegion,
        upload: &Upload,
        now: UnixMs,
    ) -> Result<bool, FinishError> {
        let bucket = match self.catalog.bucket(tenant, &upload.new.bucket).await {
            Ok(bucket) => bucket,
            // The upstream bucket went, and its uploads with it.
            Err(CatalogError::NotFound { .. }) => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        let at = ObjectRef {
            bucket: bucket.upstream,
            key: upload.new.key.clone(),
        };
        let Some(upstream) = &upload.upstream else {
            return self
                .abort_unrecorded(tenant, region, upload, &at, now)
                .await;
        };
        unless_missing(region.store.abort_upload(tenant, &at, upstream).await)?;
        Ok(true)
    }

    /// An upload whose creation was cut off may be open upstream under an id that nobody wrote down. What the upstream holds under its
    /// key and no row names is dropped, once every row that still could name it is a day old. The upstream is asked before the
    /// catalog: what is written down in between is seen. False when it is too early.
    async fn abort_unrecorded(
        &self,
        tenant: TenantId,
        region: &JobRegion,
        upload: &Upload,
        at: &ObjectRef,
        now: UnixMs,
    ) -> Result<bool, FinishError> {
        let held = match region.store.uploads_at(tenant, at).await {
            // A store that lists no uploads: what is left there is its own rules' (docs/operations.md).
            Err(RegionError::Unsupported { .. }) => return Ok(true),
            held => unless_missing(held)?.unwrap_or_default(),
        };
        let begun_before = now.plus_ms(-UNRECORDED_MS);
        let (bucket, key) = (&upload.new.bucket, &upload.new.key);
        let mut is_over = true;
        for upstream in held {
            let owner = self
                .catalog
                .upstream_owner(tenant, bucket, key, &upstream, begun_before);
            match owner.await? {
                UpstreamOwner::Recorded => {}
                UpstreamOwner::Undecided => is_over = false,
                UpstreamOwner::Nobody => {
                    let aborted = region.store.abort_upload(tenant, at, &upstream).await;
                    unless_missing(aborted)?;
                    tracing::info!(%tenant, op = "sweep-uploads", outcome = "aborted", "an upload that nobody recorded");
                }
            }
        }
        Ok(is_over)
    }
}

/// Whether asking the region again would only take as long again.
fn is_away(error: &FinishError) -> bool {
    matches!(
        error,
        FinishError::Region(RegionError::Unavailable { .. } | RegionError::Unknown { .. })
    )
}

/// `None` when the thing is gone already.
fn unless_missing<T>(outcome: Result<T, RegionError>) -> Result<Option<T>, FinishError> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(RegionError::NotFound {
            missing: Missing::Upload | Missing::Object | Missing::Bucket,
            ..
        }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
