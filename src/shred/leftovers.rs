//! What multipart uploads of a shredded tenant have left in the store.

use crate::catalog::{Bucket, Upload, UploadState};
use crate::jobs::JobRegion;
use crate::region::{ObjectRef, RegionError, UpstreamUploadId, count_spooled, drop_spooled};
use crate::tenants::TenantId;

/// What there is of a multipart upload.
pub(super) struct Leftover<'a> {
    /// Its row.
    pub(super) upload: &'a Upload,
    /// As what it is open upstream. The tenant is fenced, so whatever is open under the key of one that was never recorded is its own.
    pub(super) open: Vec<UpstreamUploadId>,
    /// How many bodies lie in the spool for it, recorded or not.
    pub(super) spooled: u64,
    bucket: Option<&'a Bucket>,
    region: JobRegion,
}

impl<'a> Leftover<'a> {
    /// Looks at what is there; `region` is the one of the spool.
    pub(super) async fn find(
        tenant: TenantId,
        upload: &'a Upload,
        bucket: Option<&'a Bucket>,
        region: JobRegion,
    ) -> Result<Self, RegionError> {
        let (store, spool) = (&*region.store, &region.spool);
        let bucket = bucket.filter(|_| upload.state != UploadState::Completed);
        let open = match (bucket, &upload.upstream) {
            (None, _) => Vec::new(),
            (Some(_), Some(upstream)) => vec![upstream.clone()],
            (Some(bucket), None) => {
                match store.uploads_at(tenant, &place(bucket, upload)).await {
                    // A store that lists no uploads: what is left there is its own rules' (docs/operations.md).
                    Err(RegionError::NotFound { .. } | RegionError::Unsupported { .. }) => {
                        Vec::new()
                    }
                    open => open?,
                }
            }
        };
        let spooled = count_spooled(store, spool, &upload.new.id).await?;
        Ok(Self {
            upload,
            open,
            spooled,
            bucket,
            region,
        })
    }

    /// Drops all of it; what is gone already was dropped before.
    pub(super) async fn drop_from(&self, tenant: TenantId) -> Result<(), RegionError> {
        let store = &*self.region.store;
        if let Some(bucket) = self.bucket {
            for upstream in &self.open {
                let at = place(bucket, self.upload);
                match store.abort_upload(tenant, &at, upstream).await {
                    Err(RegionError::NotFound { .. }) => {}
                    aborted => aborted?,
                }
            }
        }
        drop_spooled(store, &self.region.spool, &self.upload.new.id).await?;
        Ok(())
    }
}

fn place(bucket: &Bucket, upload: &Upload) -> ObjectRef {
    ObjectRef {
        bucket: bucket.upstream.clone(),
        key: upload.new.key.clone(),
    }
}
