//! The catalog: what a domain knows of its tenants, credentials, buckets, uploads and jobs. It knows names, so it stays in its
//! domain. One small trait each; `sql` implements all of them on SQLite and PostgreSQL.
//!
//! Every change is one conditional statement whose row count is checked. What spans stores has a durable first step here
//! (`creating`), idempotent steps after it, and a job that finishes leftovers.

mod cache;
pub(crate) mod database;
mod effect;
#[cfg(any(test, feature = "testing"))]
mod faulty;
mod forward;
mod shredding;
mod sql;
#[cfg(test)]
pub(crate) mod suite;
mod types;

pub use cache::{CacheOptions, CachedCatalog};
pub use database::{OpenError, StoreLocation, StoreOptions, StoreUrl, StoreUrlError};
pub use effect::{Effect, Effective, GatewayEffect};
#[cfg(any(test, feature = "testing"))]
pub use faulty::{Fault, FaultKind, FaultyCatalog};
pub use shredding::{
    Approval, ApprovalMode, Evidence, NewTermination, ReceiptId, ReceiptProof, ReceiptRow,
    ReceiptStage, ReceiptStore, RowIdError, Shred, ShredFence, ShredId, ShredState, ShredStore,
    Termination, TerminationId, TerminationState, WitnessMark,
};
pub use sql::SqlCatalog;

pub use types::{
    Attempt, AttemptId, Bucket, BucketSetting, BucketState, BucketVersioning, Change,
    CompletedUpload, CredentialRow, CredentialState, GatewayRenewal, GatewayRow, Job, JobFence,
    JobId, JobKind, NewAttempt, NewBucket, NewCredential, NewTenant, NewUpload, RegionCheck,
    Revision, Spooled, StaleBefore, StoreIdentities, Upload, UploadPage, UploadState,
    UpstreamOwner,
};

use crate::clock::UnixMs;
use crate::region::{UpstreamBucket, UpstreamUploadId};
use crate::tenants::access::GrantChange;
use crate::tenants::{
    AccessKeyId, BucketName, ObjectKey, RegionName, Tenant, TenantId, TenantName, TenantState,
    UploadId,
};
use async_trait::async_trait;
use lethe_keys::GatewayId;
use std::sync::Arc;

/// A catalog's refusal or failure, split by what the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The row is not there, or is not the tenant's.
    #[error("{operation}: no such {what}")]
    NotFound {
        /// The call.
        operation: &'static str,
        /// The kind of row.
        what: &'static str,
    },
    /// A row of that name is there already.
    #[error("{operation}: the {what} exists")]
    Exists {
        /// The call.
        operation: &'static str,
        /// The kind of row.
        what: &'static str,
    },
    /// The row is not in a state that allows this (another writer was first, or a fence passed).
    #[error("{operation}: {reason}")]
    Conflict {
        /// The call.
        operation: &'static str,
        /// What stands against it.
        reason: &'static str,
    },
    /// A quota is used up.
    #[error("{operation}: {quota} quota of {max} is used up")]
    Quota {
        /// The call.
        operation: &'static str,
        /// Which quota.
        quota: &'static str,
        /// Its size.
        max: u64,
    },
    /// The catalog can't be reached or is too slow: 503.
    #[error("{operation}: the catalog is unavailable: {reason}")]
    Unavailable {
        /// The call.
        operation: &'static str,
        /// What happened, without secrets.
        reason: String,
    },
    /// The catalog holds something that can't be; needs an operator.
    #[error("{operation}: the catalog is corrupt: {reason}")]
    Corrupt {
        /// The call.
        operation: &'static str,
        /// What is wrong.
        reason: String,
    },
}

/// Tenants.
#[async_trait]
pub trait TenantStore: Send + Sync {
    /// Adds a tenant in state `Creating`; repeating it with the same id succeeds.
    async fn begin_tenant(&self, new: &NewTenant) -> Result<(), CatalogError>;
    /// Moves a tenant from one of `from` to `to`; repeating it succeeds.
    async fn move_tenant(
        &self,
        tenant: TenantId,
        from: &[TenantState],
        to: TenantState,
    ) -> Result<(), CatalogError>;
    /// One tenant.
    async fn tenant(&self, tenant: TenantId) -> Result<Tenant, CatalogError>;
    /// One tenant by its name.
    async fn tenant_named(&self, name: &TenantName) -> Result<Tenant, CatalogError>;
    /// Up to `rows_max` tenants after a name, by name.
    async fn tenants(
        &self,
        after: Option<&TenantName>,
        rows_max: u32,
    ) -> Result<Vec<Tenant>, CatalogError>;
}

/// Credentials. Secrets are sealed by `lethe-keys` before they come here.
#[async_trait]
pub trait CredentialStore: Send + Sync {
    /// Adds a credential in state `Creating`; repeating it with the same id, tenant, sealed secret and grant succeeds.
    async fn begin_credential(&self, new: &NewCredential) -> Result<(), CatalogError>;
    /// Makes it active.
    async fn activate_credential(
        &self,
        tenant: TenantId,
        id: &AccessKeyId,
    ) -> Result<(), CatalogError>;
    /// Revokes it; repeating it succeeds.
    async fn revoke_credential(
        &self,
        tenant: TenantId,
        id: &AccessKeyId,
    ) -> Result<(), CatalogError>;
    /// Changes what a credential may do, unless it is revoked. What the change leaves out stays as whoever was last has set it.
    async fn change_grant(
        &self,
        tenant: TenantId,
        id: &AccessKeyId,
        change: &GrantChange,
    ) -> Result<(), CatalogError>;
    /// The credential that an access-key id names, with its tenant: the one question that has no tenant yet.
    async fn credential(&self, id: &AccessKeyId) -> Result<(CredentialRow, Tenant), CatalogError>;
    /// A tenant's credentials, by id.
    async fn credentials(&self, tenant: TenantId) -> Result<Vec<CredentialRow>, CatalogError>;
}

/// Buckets.
#[async_trait]
pub trait BucketStore: Send + Sync {
    /// Adds a bucket in state `Creating` within the tenant's quota, with the job that finishes it. When the tenant has one of that name already, that row is
    /// returned instead (`Creating` ones are finished by the caller, `Active` ones are the caller's `BucketAlreadyOwnedByYou`).
    async fn begin_bucket(
        &self,
        tenant: TenantId,
        new: &NewBucket,
        buckets_max: u32,
    ) -> Result<Bucket, CatalogError>;
    /// Moves the bucket of this name and upstream bucket from one of `from` to `to`; repeating it succeeds. Another bucket of that name, made
    /// since, is a conflict.
    async fn move_bucket(
        &self,
        tenant: TenantId,
        name: &BucketName,
        upstream: &UpstreamBucket,
        from: &[BucketState],
        to: BucketState,
    ) -> Result<(), CatalogError>;
    /// Records the bucket's versioning state.
    async fn set_bucket_versioning(
        &self,
        tenant: TenantId,
        name: &BucketName,
        versioning: BucketVersioning,
    ) -> Result<(), CatalogError>;
    /// Records that the bucket has object lock, which nothing takes away again.
    async fn set_bucket_object_lock(
        &self,
        tenant: TenantId,
        name: &BucketName,
    ) -> Result<(), CatalogError>;
    /// Sets, or with `None` removes, one setting of an active bucket.
    async fn set_bucket_setting(
        &self,
        tenant: TenantId,
        name: &BucketName,
        setting: BucketSetting,
        value: Option<&str>,
    ) -> Result<(), CatalogError>;
    /// One setting of a bucket; `None` when it is not set, or there is no such bucket.
    async fn bucket_setting(
        &self,
        tenant: TenantId,
        name: &BucketName,
        setting: BucketSetting,
    ) -> Result<Option<Arc<str>>, CatalogError>;
    /// Forgets the bucket of this name and upstream bucket, in state `Deleting`; a missing one succeeds.
    async fn forget_bucket(
        &self,
        tenant: TenantId,
        name: &BucketName,
        upstream: &UpstreamBucket,
    ) -> Result<(), CatalogError>;
    /// One bucket, in any state.
    async fn bucket(&self, tenant: TenantId, name: &BucketName) -> Result<Bucket, CatalogError>;
    /// A tenant's active buckets, by name.
    async fn buckets(&self, tenant: TenantId) -> Result<Vec<Bucket>, CatalogError>;
    /// Whether any upload is open in a bucket.
    async fn bucket_has_uploads(
        &self,
        tenant: TenantId,
        name: &BucketName,
    ) -> Result<bool, CatalogError>;
}

/// Multipart uploads and the attempts at their parts.
#[async_trait]
pub trait UploadStore: Send + Sync {
    /// Adds an upload in state `Creating`.
    async fn begin_upload(&self, tenant: TenantId, new: &NewUpload) -> Result<(), CatalogError>;
    /// Records the upstream's id and makes it `Open`.
    async fn open_upload(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        upstream: &str,
    ) -> Result<(), CatalogError>;
    /// One upload of the tenant's.
    async fn upload(&self, tenant: TenantId, upload: &UploadId) -> Result<Upload, CatalogError>;
    /// Open uploads of a bucket by (key, upload id), after a marker, with a prefix.
    async fn uploads(
        &self,
        tenant: TenantId,
        bucket: &BucketName,
        prefix: &str,
        after: Option<(&str, Option<&UploadId>)>,
        rows_max: u32,
    ) -> Result<UploadPage, CatalogError>;

    /// Reserves an attempt at a part, before its first byte goes upstream. Refused unless the upload is `Open`.
    async fn begin_attempt(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        number: u16,
        now: UnixMs,
    ) -> Result<AttemptId, CatalogError>;
    /// Records a finished attempt and makes it its part's current one (the last to finish is current). Refused unless the
    /// upload is still `Open`.
    async fn finish_attempt(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        attempt: AttemptId,
        finished: &NewAttempt,
        now: UnixMs,
    ) -> Result<(), CatalogError>;
    /// The current attempt of each part after a number, ascending.
    async fn parts(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        after: u16,
        rows_max: u32,
    ) -> Result<Vec<Attempt>, CatalogError>;
    /// The highest number of any attempt that was ever begun and is still recorded, finished or not; 0 when there is none.
    async fn part_number_max(
        &self,
        tenant: TenantId,
        upload: &UploadId,
    ) -> Result<u16, CatalogError>;
    /// Every finished attempt at one part, newest first.
    async fn attempts(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        number: u16,
    ) -> Result<Vec<Attempt>, CatalogError>;

    /// Takes the lease on completing an upload: `Open` → `Completing`, or takes over an expired lease. Returns the fence.
    async fn begin_complete(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        now: UnixMs,
        lease_ms: i64,
    ) -> Result<JobFence, CatalogError>;
    /// Keeps the lease on completing an upload until a later time; `Conflict` when it has ended and another has the upload.
    async fn renew_complete(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        fence: JobFence,
        lease_until: UnixMs,
    ) -> Result<(), CatalogError>;
    /// Makes the part list durable before its only trailer is sealed; the same list again succeeds, another is a `Conflict`. True when
    /// this call was the one that fixed it.
    async fn fix_part_list(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        fence: JobFence,
        part_list: &[u8],
    ) -> Result<bool, CatalogError>;
    /// Gives the lease back without a result: `Completing` → `Open` when no part list is fixed, else the lease just ends.
    async fn release_complete(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        fence: JobFence,
    ) -> Result<(), CatalogError>;
    /// Gives the lease back and the part list up: `Completing` → `Open`. Only for who fixed the list under this fence and knows that
    /// the store made nothing of it.
    async fn reopen_upload(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        fence: JobFence,
    ) -> Result<(), CatalogError>;
    /// `Completing` → `Completed`, with the answer that is repeated for 24 h.
    async fn finish_complete(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        fence: JobFence,
        answer: &CompletedUpload,
        now: UnixMs,
    ) -> Result<(), CatalogError>;
    /// `Open` (or `Creating`) → `Aborting`; repeating it succeeds; `Conflict` while somebody holds the lease on completing it.
    async fn begin_abort(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        now: UnixMs,
    ) -> Result<Upload, CatalogError>;
    /// Forgets an upload in state `Aborting` or an old `Completed` one, with its attempts; a missing one succeeds.
    async fn forget_upload(&self, tenant: TenantId, upload: &UploadId) -> Result<(), CatalogError>;
    /// Uploads of any tenant for the sweeping job, the longest inactive first, after the last of the page before.
    async fn stale_uploads(
        &self,
        before: &StaleBefore,
        after: Option<&(TenantId, Upload)>,
        rows_max: u32,
    ) -> Result<Vec<(TenantId, Upload)>, CatalogError>;
    /// Whose an upstream's upload under a key is: asked after the upstream listed it. Rows begun before `begun_before` will not
    /// name it any more.
    async fn upstream_owner(
        &self,
        tenant: TenantId,
        bucket: &BucketName,
        key: &ObjectKey,
        upstream: &UpstreamUploadId,
        begun_before: UnixMs,
    ) -> Result<UpstreamOwner, CatalogError>;
    /// Whether an upload of any tenant has this id, in whatever state: asked after a spool listed it.
    async fn has_upload(&self, upload: &UploadId) -> Result<bool, CatalogError>;
    /// Spooled bodies of an upload that upstream still holds.
    async fn spooled(
        &self,
        tenant: TenantId,
        upload: &UploadId,
    ) -> Result<Vec<Spooled>, CatalogError>;
}

/// Background jobs: rows with owner, lease and fencing number.
#[async_trait]
pub trait JobStore: Send + Sync {
    /// Adds a job unless one of the same kind and subject is there.
    async fn enqueue(
        &self,
        kind: JobKind,
        subject: &str,
        due: UnixMs,
    ) -> Result<JobId, CatalogError>;
    /// Takes the lease on a due job that nobody holds.
    async fn claim(
        &self,
        owner: &str,
        now: UnixMs,
        lease_ms: i64,
    ) -> Result<Option<Job>, CatalogError>;
    /// Extends the lease; `Conflict` when another owner has taken over.
    async fn renew(&self, job: JobId, fence: JobFence, until: UnixMs) -> Result<(), CatalogError>;
    /// Done: the row goes.
    async fn finish(&self, job: JobId, fence: JobFence) -> Result<(), CatalogError>;
    /// Not done: due again at `due`.
    async fn retry(
        &self,
        job: JobId,
        fence: JobFence,
        due: UnixMs,
        reason: &str,
    ) -> Result<(), CatalogError>;
    /// Jobs, oldest first.
    async fn jobs(&self, rows_max: u32) -> Result<Vec<Job>, CatalogError>;
}

/// What a domain's catalog records of the domain itself.
#[async_trait]
pub trait DomainStore: Send + Sync {
    /// The identities recorded at `domain init`.
    async fn identities(&self) -> Result<StoreIdentities, CatalogError>;
    /// Records identities once; the same again succeeds, others are a `Conflict`.
    async fn record_identities(&self, identities: &StoreIdentities) -> Result<(), CatalogError>;
    /// Records a region's identity once; the same again succeeds, another is a `Conflict`.
    async fn record_region(
        &self,
        region: &RegionName,
        identity: [u8; 16],
    ) -> Result<(), CatalogError>;
    /// A region's recorded identity.
    async fn region_identity(&self, region: &RegionName) -> Result<[u8; 16], CatalogError>;
    /// The upstream bucket that holds a region's spooled parts: the recorded one, else `proposed` is recorded.
    async fn spool_bucket(
        &self,
        region: &RegionName,
        proposed: &UpstreamBucket,
    ) -> Result<UpstreamBucket, CatalogError>;
    /// Stores the outcome of a `region check`, replacing the one before.
    async fn store_region_check(
        &self,
        region: &RegionName,
        check: &RegionCheck,
    ) -> Result<(), CatalogError>;
    /// The last outcome of `region check`.
    async fn region_check(&self, region: &RegionName) -> Result<RegionCheck, CatalogError>;
    /// The revision: grows with every change to tenants, credentials, buckets and regions.
    async fn revision(&self) -> Result<Revision, CatalogError>;
    /// The names of what changed after a revision (for eviction), newest revision first known; `None` when that is too long ago.
    async fn changes_since(&self, since: Revision) -> Result<Option<Vec<Change>>, CatalogError>;
    /// A cheap question, for `/readyz`.
    async fn ping(&self) -> Result<(), CatalogError>;
}

/// The gateways that cache rows of the catalog, each with the revision that it has applied.
#[async_trait]
pub trait GatewayStore: Send + Sync {
    /// Writes a gateway's row. It is durable before this returns: whoever then asks for the revision, and keeps a lease by the answer,
    /// is seen by everybody who commits a change after that answer.
    async fn renew_gateway(&self, renewal: &GatewayRenewal) -> Result<(), CatalogError>;
    /// Every gateway's row, by id.
    async fn gateways(&self) -> Result<Vec<GatewayRow>, CatalogError>;
    /// Forgets a gateway that has not renewed since its count was `renewals`; any other stays, and both succeed.
    async fn forget_gateway(&self, gateway: GatewayId, renewals: i64) -> Result<(), CatalogError>;
}

/// The whole catalog of one domain.
pub trait Catalog:
    TenantStore
    + CredentialStore
    + BucketStore
    + UploadStore
    + JobStore
    + DomainStore
    + GatewayStore
    + ShredStore
    + ReceiptStore
    + 'static
{
}
impl<
    T: TenantStore
        + CredentialStore
        + BucketStore
        + UploadStore
        + JobStore
        + DomainStore
        + GatewayStore
        + ShredStore
        + ReceiptStore
        + 'static,
> Catalog for T
{
}
