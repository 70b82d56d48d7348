//! The catalog's traits on something that holds another catalog, method by method, each by a macro of the caller's that is given the
//! operation's name and the call.

/// All that the traits' signatures name; which of it is used depends on which traits are forwarded.
#[allow(unused_imports, reason = "some traits are forwarded in tests only")]
pub(super) mod names {
    pub(in crate::catalog) use crate::catalog::{
        Approval, Evidence, NewTermination, ReceiptId, ReceiptRow, ReceiptStore, Shred, ShredFence,
        ShredId, ShredState, ShredStore, Termination, TerminationId,
    };
    pub(in crate::catalog) use crate::catalog::{
        Attempt, AttemptId, Bucket, BucketSetting, BucketState, BucketStore, BucketVersioning,
        CatalogError, Change, CompletedUpload, CredentialRow, CredentialStore, DomainStore,
        GatewayRenewal, GatewayRow, GatewayStore, Job, JobFence, JobId, JobKind, JobStore,
        NewAttempt, NewBucket, NewCredential, NewTenant, NewUpload, RegionCheck, Revision, Spooled,
        StaleBefore, StoreIdentities, TenantStore, Upload, UploadPage, UploadStore, UpstreamOwner,
    };
    pub(in crate::catalog) use crate::clock::UnixMs;
    pub(in crate::catalog) use crate::region::{UpstreamBucket, UpstreamUploadId};
    pub(in crate::catalog) use crate::tenants::access::GrantChange;
    pub(in crate::catalog) use crate::tenants::{
        AccessKeyId, BucketName, ObjectKey, RegionName, Tenant, TenantId, TenantName, TenantState,
        UploadId,
    };
    pub(in crate::catalog) use lethe_keys::GatewayId;
    pub(in crate::catalog) use std::sync::Arc;
}

#[cfg(any(test, feature = "testing"))]
macro_rules! forward_tenant_store {
    ($type:ty, $call:ident) => {
        const _: () = {
            use $crate::catalog::forward::names::*;

            #[async_trait::async_trait]
            impl TenantStore for $type {
                async fn begin_tenant(&self, new: &NewTenant) -> Result<(), CatalogError> {
                    $call!(self, "begin_tenant", begin_tenant(new))
                }
                async fn move_tenant(
                    &self,
                    tenant: TenantId,
                    from: &[TenantState],
                    to: TenantState,
                ) -> Result<(), CatalogError> {
                    $call!(self, "move_tenant", move_tenant(tenant, from, to))
                }
                async fn tenant(&self, tenant: TenantId) -> Result<Tenant, CatalogError> {
                    $call!(self, "tenant", tenant(tenant))
                }
                async fn tenant_named(&self, name: &TenantName) -> Result<Tenant, CatalogError> {
                    $call!(self, "tenant_named", tenant_named(name))
                }
                async fn tenants(
                    &self,
                    after: Option<&TenantName>,
                    rows_max: u32,
                ) -> Result<Vec<Tenant>, CatalogError> {
                    $call!(self, "tenants", tenants(after, rows_max))
                }
            }
        };
    };
}
#[cfg(any(test, feature = "testing"))]
pub(crate) use forward_tenant_store;

#[cfg(any(test, feature = "testing"))]
macro_rules! forward_credential_store {
    ($type:ty, $call:ident) => {
        const _: () = {
            use $crate::catalog::forward::names::*;

            #[async_trait::async_trait]
            impl CredentialStore for $type {
                async fn begin_credential(&self, new: &NewCredential) -> Result<(), CatalogError> {
                    $call!(self, "begin_credential", begin_credential(new))
                }
                async fn activate_credential(
                    &self,
                    tenant: TenantId,
                    id: &AccessKeyId,
                ) -> Result<(), CatalogError> {
                    $call!(self, "activate_credential", activate_credential(tenant, id))
                }
                async fn revoke_credential(
                    &self,
                    tenant: TenantId,
                    id: &AccessKeyId,
                ) -> Result<(), CatalogError> {
                    $call!(self, "revoke_credential", revoke_credential(tenant, id))
                }
                async fn change_grant(
                    &self,
                    tenant: TenantId,
                    id: &AccessKeyId,
                    change: &GrantChange,
                ) -> Result<(), CatalogError> {
                    $call!(self, "change_grant", change_grant(tenant, id, change))
                }
                async fn credential(
                    &self,
                    id: &AccessKeyId,
                ) -> Result<(CredentialRow, Tenant), CatalogError> {
                    $call!(self, "credential", credential(id))
                }
                async fn credentials(
                    &self,
                    tenant: TenantId,
                ) -> Result<Vec<CredentialRow>, CatalogError> {
                    $call!(self, "credentials", credentials(tenant))
                }
            }
        };
    };
}
#[cfg(any(test, feature = "testing"))]
pub(crate) use forward_credential_store;

#[cfg(any(test, feature = "testing"))]
macro_rules! forward_bucket_store {
    ($type:ty, $call:ident) => {
        const _: () = {
            use $crate::catalog::forward::names::*;

            #[async_trait::async_trait]
            impl BucketStore for $type {
                async fn begin_bucket(
                    &self,
                    tenant: TenantId,
                    new: &NewBucket,
                    buckets_max: u32,
                ) -> Result<Bucket, CatalogError> {
                    $call!(self, "begin_bucket", begin_bucket(tenant, new, buckets_max))
                }
                async fn move_bucket(
                    &self,
                    tenant: TenantId,
                    name: &BucketName,
                    from: &[BucketState],
                    to: BucketState,
                ) -> Result<(), CatalogError> {
                    $call!(self, "move_bucket", move_bucket(tenant, name, from, to))
                }
                async fn set_bucket_versioning(
                    &self,
                    tenant: TenantId,
                    name: &BucketName,
                    versioning: BucketVersioning,
                ) -> Result<(), CatalogError> {
                    $call!(
                        self,
                        "set_bucket_versioning",
                        set_bucket_versioning(tenant, name, versioning)
                    )
                }
                async fn set_bucket_object_lock(
                    &self,
                    tenant: TenantId,
                    name: &BucketName,
                ) -> Result<(), CatalogError> {
                    $call!(
                        self,
                        "set_bucket_object_lock",
                        set_bucket_object_lock(tenant, name)
                    )
                }
                async fn set_bucket_setting(
                    &self,
                    tenant: TenantId,
                    name: &BucketName,
                    setting: BucketSetting,
                    value: Option<&str>,
                ) -> Result<(), CatalogError> {
                    $call!(
                        self,
                        "set_bucket_setting",
                        set_bucket_setting(tenant, name, setting, value)
                    )
                }
                async fn bucket_setting(
                    &self,
                    tenant: TenantId,
                    name: &BucketName,
                    setting: BucketSetting,
                ) -> Result<Option<Arc<str>>, CatalogError> {
                    $call!(
                        self,
                        "bucket_setting",
                        bucket_setting(tenant, name, setting)
                    )
                }
                async fn forget_bucket(
                    &self,
                    tenant: TenantId,
                    name: &BucketName,
                ) -> Result<(), CatalogError> {
                    $call!(self, "forget_bucket", forget_bucket(tenant, name))
                }
                async fn bucket(
                    &self,
                    tenant: TenantId,
                    name: &BucketName,
                ) -> Result<Bucket, CatalogError> {
                    $call!(self, "bucket", bucket(tenant, name))
                }
                async fn buckets(&self, tenant: TenantId) -> Result<Vec<Bucket>, CatalogError> {
                    $call!(self, "buckets", buckets(tenant))
                }
                async fn bucket_has_uploads(
                    &self,
                    tenant: TenantId,
                    name: &BucketName,
                ) -> Result<bool, CatalogError> {
                    $call!(self, "bucket_has_uploads", bucket_has_uploads(tenant, name))
                }
            }
        };
    };
}
#[cfg(any(test, feature = "testing"))]
pub(crate) use forward_bucket_store;

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
pub(crate) use forward_upload_store;

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
pub(crate) use forward_job_store;

macro_rules! forward_domain_store {
    ($type:ty, $call:ident) => {
        const _: () = {
            use $crate::catalog::forward::names::*;

            #[async_trait::async_trait]
            impl DomainStore for $type {
                async fn identities(&self) -> Result<StoreIdentities, CatalogError> {
                    $call!(self, "identities", identities())
                }
                async fn record_identities(
                    &self,
                    identities: &StoreIdentities,
                ) -> Result<(), CatalogError> {
                    $call!(self, "record_identities", record_identities(identities))
                }
                async fn record_region(
                    &self,
                    region: &RegionName,
                    identity: [u8; 16],
                ) -> Result<(), CatalogError> {
                    $call!(self, "record_region", record_region(region, identity))
                }
                async fn region_identity(
                    &self,
                    region: &RegionName,
                ) -> Result<[u8; 16], CatalogError> {
                    $call!(self, "region_identity", region_identity(region))
                }
                async fn spool_bucket(
                    &self,
                    region: &RegionName,
                    proposed: &UpstreamBucket,
                ) -> Result<UpstreamBucket, CatalogError> {
                    $call!(self, "spool_bucket", spool_bucket(region, proposed))
                }
                async fn store_region_check(
                    &self,
                    region: &RegionName,
                    check: &RegionCheck,
                ) -> Result<(), CatalogError> {
                    $call!(
                        self,
                        "store_region_check",
                        store_region_check(region, check)
                    )
                }
                async fn region_check(
                    &self,
                    region: &RegionName,
                ) -> Result<RegionCheck, CatalogError> {
                    $call!(self, "region_check", region_check(region))
                }
                async fn revision(&self) -> Result<Revision, CatalogError> {
                    $call!(self, "revision", revision())
                }
                async fn changes_since(
                    &self,
                    since: Revision,
                ) -> Result<Option<Vec<Change>>, CatalogError> {
                    $call!(self, "changes_since", changes_since(since))
                }
                async fn ping(&self) -> Result<(), CatalogError> {
                    $call!(self, "ping", ping())
                }
            }
        };
    };
}
pub(crate) use forward_domain_store;

macro_rules! forward_gateway_store {
    ($type:ty, $call:ident) => {
        const _: () = {
            use $crate::catalog::forward::names::*;

            #[async_trait::async_trait]
            impl GatewayStore for $type {
                async fn renew_gateway(
                    &self,
                    renewal: &GatewayRenewal,
                ) -> Result<(), CatalogError> {
                    $call!(self, "renew_gateway", renew_gateway(renewal))
                }
                async fn gateways(&self) -> Result<Vec<GatewayRow>, CatalogError> {
                    $call!(self, "gateways", gateways())
                }
                async fn forget_gateway(
                    &self,
                    gateway: GatewayId,
                    renewals: i64,
                ) -> Result<(), CatalogError> {
                    $call!(self, "forget_gateway", forget_gateway(gateway, renewals))
                }
            }
        };
    };
}
pub(crate) use forward_gateway_store;

macro_rules! forward_shred_store {
    ($type:ty, $call:ident) => {
        const _: () = {
            use $crate::catalog::forward::names::*;

            #[async_trait::async_trait]
            impl ShredStore for $type {
                async fn begin_termination(
                    &self,
                    new: &NewTermination,
                ) -> Result<(), CatalogError> {
                    $call!(self, "begin_termination", begin_termination(new))
                }
                async fn approve_termination(
                    &self,
                    tenant: TenantId,
                    termination: TerminationId,
                    approval: &Approval,
                ) -> Result<(), CatalogError> {
                    $call!(
                        self,
                        "approve_termination",
                        approve_termination(tenant, termination, approval)
                    )
                }
                async fn cancel_termination(
                    &self,
                    tenant: TenantId,
                    termination: TerminationId,
                    by: &Approval,
                ) -> Result<(), CatalogError> {
                    $call!(
                        self,
                        "cancel_termination",
                        cancel_termination(tenant, termination, by)
                    )
                }
                async fn termination(&self, tenant: TenantId) -> Result<Termination, CatalogError> {
                    $call!(self, "termination", termination(tenant))
                }
                async fn open_terminations(
                    &self,
                    rows_max: u32,
                ) -> Result<Vec<Termination>, CatalogError> {
                    $call!(self, "open_terminations", open_terminations(rows_max))
                }
                async fn is_termination_due(&self, due: UnixMs) -> Result<bool, CatalogError> {
                    $call!(self, "is_termination_due", is_termination_due(due))
                }
                async fn terminations_between(
                    &self,
                    from: UnixMs,
                    to: UnixMs,
                    after: Option<(UnixMs, TerminationId)>,
                    rows_max: u32,
                ) -> Result<Vec<Termination>, CatalogError> {
                    $call!(
                        self,
                        "terminations_between",
                        terminations_between(from, to, after, rows_max)
                    )
                }
                async fn begin_shred(
                    &self,
                    id: ShredId,
                    epoch_from: u64,
                    due: UnixMs,
                    now: UnixMs,
                    tenants_max: u32,
                ) -> Result<Option<Shred>, CatalogError> {
                    $call!(
                        self,
                        "begin_shred",
                        begin_shred(id, epoch_from, due, now, tenants_max)
                    )
                }
                async fn claim_shred(
                    &self,
                    owner: &str,
                    now: UnixMs,
                    lease_ms: i64,
                ) -> Result<Option<Shred>, CatalogError> {
                    $call!(self, "claim_shred", claim_shred(owner, now, lease_ms))
                }
                async fn renew_shred(
                    &self,
                    shred: ShredId,
                    fence: ShredFence,
                    until: UnixMs,
                ) -> Result<(), CatalogError> {
                    $call!(self, "renew_shred", renew_shred(shred, fence, until))
                }
                async fn release_shred(
                    &self,
                    shred: ShredId,
                    fence: ShredFence,
                    retry_at: UnixMs,
                    reason: Option<&str>,
                ) -> Result<(), CatalogError> {
                    $call!(
                        self,
                        "release_shred",
                        release_shred(shred, fence, retry_at, reason)
                    )
                }
                async fn hurry_shreds(&self) -> Result<(), CatalogError> {
                    $call!(self, "hurry_shreds", hurry_shreds())
                }
                async fn advance_shred(
                    &self,
                    shred: ShredId,
                    fence: ShredFence,
                    from: ShredState,
                    evidence: &[Evidence],
                    now: UnixMs,
                ) -> Result<(), CatalogError> {
                    $call!(
                        self,
                        "advance_shred",
                        advance_shred(shred, fence, from, evidence, now)
                    )
                }
                async fn note_evidence(
                    &self,
                    shred: ShredId,
                    fence: ShredFence,
                    evidence: &Evidence,
                ) -> Result<(), CatalogError> {
                    $call!(self, "note_evidence", note_evidence(shred, fence, evidence))
                }
                async fn evidence(&self, shred: ShredId) -> Result<Vec<Evidence>, CatalogError> {
                    $call!(self, "evidence", evidence(shred))
                }
                async fn evidence_of(
                    &self,
                    shred: ShredId,
                    state: ShredState,
                    tenant: Option<TenantId>,
                ) -> Result<Option<Evidence>, CatalogError> {
                    $call!(self, "evidence_of", evidence_of(shred, state, tenant))
                }
                async fn shred(&self, shred: ShredId) -> Result<Shred, CatalogError> {
                    $call!(self, "shred", shred(shred))
                }
                async fn shreds(&self, rows_max: u32) -> Result<Vec<Shred>, CatalogError> {
                    $call!(self, "shreds", shreds(rows_max))
                }
                async fn buckets_in_any_state(
                    &self,
                    tenant: TenantId,
                ) -> Result<Vec<Bucket>, CatalogError> {
                    $call!(self, "buckets_in_any_state", buckets_in_any_state(tenant))
                }
                async fn uploads_in_any_state(
                    &self,
                    tenant: TenantId,
                    rows_max: u32,
                ) -> Result<Vec<Upload>, CatalogError> {
                    $call!(
                        self,
                        "uploads_in_any_state",
                        uploads_in_any_state(tenant, rows_max)
                    )
                }
                async fn end_uploads(&self, tenant: TenantId) -> Result<(), CatalogError> {
                    $call!(self, "end_uploads", end_uploads(tenant))
                }
                async fn shred_terminations(
                    &self,
                    shred: ShredId,
                ) -> Result<Vec<Termination>, CatalogError> {
                    $call!(self, "shred_terminations", shred_terminations(shred))
                }
            }
        };
    };
}
pub(crate) use forward_shred_store;

macro_rules! forward_receipt_store {
    ($type:ty, $call:ident) => {
        const _: () = {
            use $crate::catalog::forward::names::*;

            #[async_trait::async_trait]
            impl ReceiptStore for $type {
                async fn keep_receipt(
                    &self,
                    receipt: &ReceiptRow,
                ) -> Result<ReceiptRow, CatalogError> {
                    $call!(self, "keep_receipt", keep_receipt(receipt))
                }
                async fn receipt_logged(
                    &self,
                    tenant: TenantId,
                    receipt: ReceiptId,
                    index: u64,
                    proof: &str,
                    settled: bool,
                ) -> Result<(), CatalogError> {
                    $call!(
                        self,
                        "receipt_logged",
                        receipt_logged(tenant, receipt, index, proof, settled)
                    )
                }
                async fn receipts(
                    &self,
                    tenant: TenantId,
                ) -> Result<Vec<ReceiptRow>, CatalogError> {
                    $call!(self, "receipts", receipts(tenant))
                }
                async fn receipt(&self, receipt: ReceiptId) -> Result<ReceiptRow, CatalogError> {
                    $call!(self, "receipt", receipt(receipt))
                }
                async fn receipts_unlogged(
                    &self,
                    rows_max: u32,
                ) -> Result<Vec<ReceiptRow>, CatalogError> {
                    $call!(self, "receipts_unlogged", receipts_unlogged(rows_max))
                }
            }
        };
    };
}
pub(crate) use forward_receipt_store;
