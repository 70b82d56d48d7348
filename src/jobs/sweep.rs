//! Uploads that nobody finishes: aborted upstream, their spooled parts deleted, their rows forgotten.

use super::domain::{JobDomain, JobRegion};
use super::finish::FinishError;
use crate::catalog::{CatalogError, Upload, UploadState};
use crate::region::{DeleteRequest, Missing, ObjectRef, RegionError};
use crate::tenants::{SPOOL_OWNER, TenantId, UploadId};
use std::collections::HashSet;

const HOUR_MS: i64 = 60 * 60 * 1000;
/// A finished upload's answer is repeated for a day (design §2).
const ANSWER_MS: i64 = 24 * HOUR_MS;
/// How long opening or aborting an upload may take before it counts as left over.
const UNFINISHED_MS: i64 = HOUR_MS;
const PAGE_ROWS: u32 = 100;

/// What one sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Swept {
    /// Uploads forgotten.
    pub(super) forgotten: u64,
    /// Uploads left for the next sweep because a step failed.
    pub(super) failed: u64,
}

impl JobDomain {
    /// Drops every stale upload of the domain. One that can't be dropped now does not keep the others from it.
    pub(super) async fn sweep_uploads(&self) -> Result<Swept, FinishError> {
        let now = self.clock.now();
        let idle_ms = i64::from(self.upload_idle_days) * 24 * HOUR_MS;
        let mut swept = Swept::default();
        let mut failed: HashSet<UploadId> = HashSet::new();
        loop {
            let page = self
                .catalog
                .stale_uploads(
                    now.plus_ms(-idle_ms),
                    now.plus_ms(-UNFINISHED_MS),
                    now.plus_ms(-ANSWER_MS),
                    PAGE_ROWS,
                )
                .await?;
            let forgotten_before = swept.forgotten;
            for (tenant, upload) in page {
                if failed.contains(&upload.new.id) {
                    continue;
                }
                match self.drop_upload(tenant, &upload).await {
                    Ok(()) => swept.forgotten += 1,
                    Err(error) => {
                        tracing::warn!(%tenant, op = "sweep-uploads", outcome = "failed", %error, "a stale upload stays");
                        failed.insert(upload.new.id.clone());
                    }
                }
            }
            // The failed ones come again on every page; without progress there is nothing but them.
            if swept.forgotten == forgotten_before {
                swept.failed = failed.len() as u64;
                return Ok(swept);
            }
        }
    }

    async fn drop_upload(&self, tenant: TenantId, stale: &Upload) -> Result<(), FinishError> {
        let id = &stale.new.id;
        let region = self.region_of(tenant, stale).await?;
        if stale.state != UploadState::Completed {
            let aborting = match self.catalog.begin_abort(tenant, id).await {
                Ok(upload) => upload,
                // Somebody came back to it, or forgot it, since the page was read.
                Err(CatalogError::Conflict { .. } | CatalogError::NotFound { .. }) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            self.abort_upstream(tenant, &region, &aborting).await?;
        }
        for spooled in self.catalog.spooled(tenant, id).await? {
            let at = ObjectRef {
                bucket: region.spool.clone(),
                key: spooled.key,
            };
            let deleted = region
                .store
                .delete(SPOOL_OWNER, &at, &DeleteRequest::default())
                .await;
            ignore_missing(deleted.map(drop))?;
        }
        self.catalog.forget_upload(tenant, id).await?;
        Ok(())
    }

    async fn abort_upstream(
        &self,
        tenant: TenantId,
        region: &JobRegion,
        upload: &Upload,
    ) -> Result<(), FinishError> {
        let Some(upstream) = &upload.upstream else {
            return Ok(());
        };
        let bucket = match self.catalog.bucket(tenant, &upload.new.bucket).await {
            Ok(bucket) => bucket,
            // The upstream bucket went, and its uploads with it.
            Err(CatalogError::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let at = ObjectRef {
            bucket: bucket.upstream,
            key: upload.new.key.clone(),
        };
        ignore_missing(region.store.abort_upload(tenant, &at, upstream).await)
    }

    async fn region_of(&self, tenant: TenantId, upload: &Upload) -> Result<JobRegion, FinishError> {
        let region = match self.catalog.bucket(tenant, &upload.new.bucket).await {
            Ok(bucket) => bucket.region,
            Err(CatalogError::NotFound { .. }) => self.catalog.tenant(tenant).await?.region,
            Err(error) => return Err(error.into()),
        };
        let served = self.regions.get(&region).cloned();
        served.ok_or(FinishError::RegionElsewhere(region))
    }
}

fn ignore_missing(outcome: Result<(), RegionError>) -> Result<(), FinishError> {
    match outcome {
        Ok(())
        | Err(RegionError::NotFound {
            missing: Missing::Upload | Missing::Object | Missing::Bucket,
            ..
        }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
