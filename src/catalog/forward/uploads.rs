//! [`crate::catalog::UploadStore`] forwarded.

macro_rules! forward_upload_store {
    ($type:ty, $call:ident) => {
        const _: () = {
            use $crate::catalog::forward::names::*;

            #[async_trait::async_trait]
            impl UploadStore for $type {
                async fn begin_upload(
                    &self,
                    tenant: TenantId,
                    new: &NewUpload,
                ) -> Result<(), CatalogError> {
                    $call!(self, "begin_upload", begin_upload(tenant, new))
                }
                async fn open_upload(
                    &self,
                    tenant: TenantId,
                    upload: &UploadId,
                    upstream: &str,
                ) -> Result<(), CatalogError> {
                    $call!(self, "open_upload", open_upload(tenant, upload, upstream))
                }
                async fn upload(
                    &self,
                    tenant: TenantId,
                    upload: &UploadId,
                ) -> Result<Upload, CatalogError> {
                    $call!(self, "upload", upload(tenant, upload))
                }
                async fn uploads(
                    &self,
                    tenant: TenantId,
                    bucket: &BucketName,
                    prefix: &str,
                    after: Option<(&str, Option<&UploadId>)>,
                    rows_max: u32,
                ) -> Result<UploadPage, CatalogError> {
                    $call!(
                        self,
                        "uploads",
                        uploads(tenant, bucket, prefix, after, rows_max)
                    )
                }
                async fn begin_attempt(
                    &self,
                    tenant: TenantId,
                    upload: &UploadId,
                    number: u16,
                    now: UnixMs,
                ) -> Result<AttemptId, CatalogError> {
                    $call!(
                        self,
                        "begin_attempt",
                        begin_attempt(tenant, upload, number, now)
                    )
                }
                async fn finish_attempt(
                    &self,
                    tenant: TenantId,
                    upload: &UploadId,
                    attempt: AttemptId,
                    finished: &NewAttempt,
                    now: UnixMs,
                ) -> Result<(), CatalogError> {
                    $call!(
                        self,
                        "finish_attempt",
                        finish_attempt(tenant, upload, attempt, finished, now)
                    )
                }
                async fn parts(
                    &self,
                    tenant: TenantId,
                    upload: &UploadId,
                    after: u16,
                    rows_max: u32,
                ) -> Result<Vec<Attempt>, CatalogError> {
                    $call!(self, "parts", parts(tenant, upload, after, rows_max))
                }
                async fn part_number_max(
                    &self,
                    tenant: TenantId,
                    upload: &UploadId,
                ) -> Result<u16, CatalogError> {
                    $call!(self, "part_number_max", part_number_max(tenant, upload))
                }
                async fn attempts(
                    &self,
                    tenant: TenantId,
                    upload: &UploadId,
                    number: u16,
                ) -> Result<Vec<Attempt>, CatalogError> {
                    $call!(self, "attempts", attempts(tenant, upload, number))
                }
                async fn begin_complete(
                    &self,
                    tenant: TenantId,
                    upload: &UploadId,
                    now: UnixMs,
                    lease_ms: i64,
                ) -> Result<JobFence, CatalogError> {
                    $call!(
                        self,
                        "begin_complete",
                        begin_complete(tenant, upload, now, lease_ms)
                    )
                }
                async fn renew_complete(
                    &self,
                    tenant: TenantId,
                    upload: &UploadId,
                    fence: JobFence,
                    lease_until: UnixMs,
                ) -> Result<(), CatalogError> {
                    $call!(
                        self,
                        "renew_complete",
                        renew_complete(tenant, upload, fence, lease_until)
                    )
                }
                async fn fix_part_list(
                    &self,
                    tenant: TenantId,
                    upload: &UploadId,
                    fence: JobFence,
                    part_list: &[u8],
                ) -> Result<bool, CatalogError> {
                    $call!(
                        self,
                        "fix_part_list",
                        fix_part_list(tenant, upload, fence, part_list)
                    )
                }
                async fn release_complete(
                    &self,
                    tenant: TenantId,
                    upload: &UploadId,
                    fence: JobFence,
                ) -> Result<(), CatalogError> {
                    $call!(
                        self,
                        "release_complete",
                        release_complete(tenant, upload, fence)
                    )
                }
                async fn reopen_upload(
                    &self,
                    tenant: TenantId,
                    upload: &UploadId,
                    fence: JobFence,
                ) -> Result<(), CatalogError> {
                    $call!(self, "reopen_upload", reopen_upload(tenant, upload, fence))
                }
                async fn finish_complete(
                    &self,
                    tenant: TenantId,
                    upload: &UploadId,
                    fence: JobFence,
                    answer: &CompletedUpload,
                    now: UnixMs,
                ) -> Result<(), CatalogError> {
                    $call!(
                        self,
                        "finish_complete",
                        finish_complete(tenant, upload, fence, answer, now)
                    )
                }
                async fn begin_abort(
                    &self,
                    tenant: TenantId,
                    upload: &UploadId,
                    now: UnixMs,
                ) -> Result<Upload, CatalogError> {
                    $call!(self, "begin_abort", begin_abort(tenant, upload, now))
                }
                async fn forget_upload(
                    &self,
                    tenant: TenantId,
                    upload: &UploadId,
                ) -> Result<(), CatalogError> {
                    $call!(self, "forget_upload", forget_upload(tenant, upload))
                }
                async fn stale_uploads(
                    &self,
                    before: &StaleBefore,
                    after: Option<&(TenantId, Upload)>,
                    rows_max: u32,
                ) -> Result<Vec<(TenantId, Upload)>, CatalogError> {
                    $call!(
                        self,
                        "stale_uploads",
                        stale_uploads(before, after, rows_max)
                    )
                }
                async fn upstream_owner(
                    &self,
                    tenant: TenantId,
                    bucket: &BucketName,
                    key: &ObjectKey,
                    upstream: &UpstreamUploadId,
                    begun_before: UnixMs,
                ) -> Result<UpstreamOwner, CatalogError> {
                    $call!(
                        self,
                        "upstream_owner",
                        upstream_owner(tenant, bucket, key, upstream, begun_before)
                    )
                }
                async fn has_upload(&self, upload: &UploadId) -> Result<bool, CatalogError> {
                    $call!(self, "has_upload", has_upload(upload))
                }
                async fn spooled(
                    &self,
                    tenant: TenantId,
                    upload: &UploadId,
                ) -> Result<Vec<Spooled>, CatalogError> {
                    $call!(self, "spooled", spooled(tenant, upload))
                }
            }
        };
    };
}
pub(in crate::catalog) use forward_upload_store;
