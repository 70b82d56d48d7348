//! What multipart uploads of a shredded tenant have left in the store.

use crate::catalog::{Bucket, Spooled, Upload};
use crate::jobs::JobRegion;
use crate::region::{DeleteRequest, ObjectRef, RegionError, UpstreamUploadId};
use crate::tenants::{SPOOL_OWNER, TenantId};

/// What there is of a multipart upload.
pub(super) struct Leftover<'a> {
    /// Its row.
    pub(super) upload: &'a Upload,
    /// Where it is open upstream, and as what.
    pub(super) open: Option<(&'a Bucket, &'a UpstreamUploadId)>,
    /// Its region, where the spool is.
    pub(super) region: JobRegion,
    /// Its spooled parts.
    pub(super) spooled: Vec<Spooled>,
}

impl Leftover<'_> {
    /// Drops all of it; what is gone already was dropped before.
    pub(super) async fn drop_from(&self, tenant: TenantId) -> Result<(), RegionError> {
        let store = &self.region.store;
        if let Some((bucket, upstream)) = self.open {
            let at = ObjectRef {
                bucket: bucket.upstream.clone(),
                key: self.upload.new.key.clone(),
            };
            ignore_missing(store.abort_upload(tenant, &at, upstream).await)?;
        }
        for spooled in &self.spooled {
            let at = ObjectRef {
                bucket: self.region.spool.clone(),
                key: spooled.key.clone(),
            };
            let request = DeleteRequest::default();
            let deleted = store.delete(SPOOL_OWNER, &at, &request).await;
            ignore_missing(deleted.map(drop))?;
        }
        Ok(())
    }
}

fn ignore_missing(outcome: Result<(), RegionError>) -> Result<(), RegionError> {
    match outcome {
        Err(RegionError::NotFound { .. }) => Ok(()),
        other => other,
    }
}
