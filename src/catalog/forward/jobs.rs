//! [`crate::catalog::JobStore`] forwarded.

macro_rules! forward_job_store {
    ($type:ty, $call:ident) => {
        const _: () = {
            use $crate::catalog::forward::names::*;

            #[async_trait::async_trait]
            impl JobStore for $type {
                async fn enqueue(
                    &self,
                    kind: JobKind,
                    subject: &str,
                    due: UnixMs,
                ) -> Result<JobId, CatalogError> {
                    $call!(self, "enqueue", enqueue(kind, subject, due))
                }
                async fn claim(
                    &self,
                    owner: &str,
                    now: UnixMs,
                    lease_ms: i64,
                ) -> Result<Option<Job>, CatalogError> {
                    $call!(self, "claim", claim(owner, now, lease_ms))
                }
                async fn renew(
                    &self,
                    job: JobId,
                    fence: JobFence,
                    until: UnixMs,
                ) -> Result<(), CatalogError> {
                    $call!(self, "renew", renew(job, fence, until))
                }
                async fn finish(&self, job: JobId, fence: JobFence) -> Result<(), CatalogError> {
                    $call!(self, "finish", finish(job, fence))
                }
                async fn retry(
                    &self,
                    job: JobId,
                    fence: JobFence,
                    due: UnixMs,
                    reason: &str,
                ) -> Result<(), CatalogError> {
                    $call!(self, "retry", retry(job, fence, due, reason))
                }
                async fn jobs(&self, rows_max: u32) -> Result<Vec<Job>, CatalogError> {
                    $call!(self, "jobs", jobs(rows_max))
                }
            }
        };
    };
}
pub(in crate::catalog) use forward_job_store;
