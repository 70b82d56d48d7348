//! The catalog's rows.

use crate::clock::UnixMs;
use crate::region::{RegionProfile, UpstreamBucket, UpstreamUploadId};
use crate::tenants::access::Grant;
use crate::tenants::{
    AccessKeyId, BucketName, ObjectKey, RegionName, TenantId, TenantName, UploadId,
};
use lethe_envelope::{ChecksumAlgorithm, ChecksumType, KekId, ObjectId};
use lethe_keys::GatewayId;
use std::sync::Arc;
use std::time::Duration;

/// A tenant about to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTenant {
    /// Random.
    pub id: TenantId,
    /// Its label.
    pub name: TenantName,
    /// Its region.
    pub region: RegionName,
    /// Now.
    pub created: UnixMs,
}

/// A credential's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialState {
    /// Being created.
    Creating,
    /// Works.
    Active,
    /// Never works again.
    Revoked,
}

/// A credential about to be created; the secret is sealed under the service node.
#[derive(Clone, PartialEq, Eq)]
pub struct NewCredential {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its id.
    pub id: AccessKeyId,
    /// Its sealed secret.
    pub sealed_secret: Vec<u8>,
    /// What it may do.
    pub grant: Arc<Grant>,
    /// Now.
    pub created: UnixMs,
}

/// A credential.
#[derive(Clone, PartialEq, Eq)]
pub struct CredentialRow {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its id.
    pub id: AccessKeyId,
    /// Its sealed secret.
    pub sealed_secret: Vec<u8>,
    /// What it may do.
    pub grant: Arc<Grant>,
    /// Its state.
    pub state: CredentialState,
    /// When it was created.
    pub created: UnixMs,
}

/// A bucket's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketState {
    /// The upstream bucket may not be there yet.
    Creating,
    /// Works.
    Active,
    /// The upstream bucket may be gone already.
    Deleting,
}

/// A bucket's versioning, as last set through Lethe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketVersioning {
    /// Never enabled.
    Off,
    /// Enabled.
    Enabled,
    /// Suspended.
    Suspended,
}

/// What a tenant may set of a bucket beside its versioning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BucketSetting {
    /// Its tags.
    Tagging,
    /// Its CORS rules.
    Cors,
    /// Its lifecycle rules.
    Lifecycle,
}

impl BucketSetting {
    /// Every setting.
    pub const ALL: [Self; 3] = [Self::Tagging, Self::Cors, Self::Lifecycle];
}

/// A bucket about to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBucket {
    /// The tenant's name for it.
    pub name: BucketName,
    /// Its region.
    pub region: RegionName,
    /// The upstream's name for it.
    pub upstream: UpstreamBucket,
    /// Whether it is to have object lock.
    pub object_lock: bool,
    /// Now.
    pub created: UnixMs,
}

/// A bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The tenant's name for it.
    pub name: BucketName,
    /// Its region.
    pub region: RegionName,
    /// The upstream's name for it.
    pub upstream: UpstreamBucket,
    /// The object format of everything in it (1).
    pub format: u32,
    /// Its state.
    pub state: BucketState,
    /// Its versioning.
    pub versioning: BucketVersioning,
    /// Whether it has object lock, or is being made with it; once given it stays.
    pub object_lock: bool,
    /// When it was created.
    pub created: UnixMs,
}

/// An upload's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadState {
    /// The upstream upload may not be there yet.
    Creating,
    /// Takes parts.
    Open,
    /// Somebody completes it, under a lease.
    Completing,
    /// Done; its answer is repeated.
    Completed,
    /// Being dropped.
    Aborting,
}

/// An upload about to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUpload {
    /// Random.
    pub id: UploadId,
    /// Its bucket.
    pub bucket: BucketName,
    /// Its key.
    pub key: ObjectKey,
    /// The id of the object that it makes.
    pub object_id: ObjectId,
    /// The KEK that wraps its DEK.
    pub kek_id: KekId,
    /// The object header, encoded, with the wrapped DEK.
    pub header: String,
    /// The sealed metadata.
    pub sealed_metadata: Vec<u8>,
    /// The checksum that its parts carry, where the client named one.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumType)>,
    /// Now.
    pub created: UnixMs,
}

/// The answer of a finished upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletedUpload {
    /// The upstream's ETag.
    pub etag: String,
    /// The new version.
    pub version: Option<String>,
}

/// An upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// What it was opened with.
    pub new: NewUpload,
    /// Its state.
    pub state: UploadState,
    /// The upstream's id, once `Open`.
    pub upstream: Option<UpstreamUploadId>,
    /// The digest of the part list that was fixed, if any (`docs/format.md` §8.1).
    pub part_list: Option<Vec<u8>>,
    /// The answer, once `Completed`.
    pub answer: Option<CompletedUpload>,
    /// The last activity.
    pub active: UnixMs,
    /// Its bucket's region.
    pub region: RegionName,
}

/// Until when uploads are stale that have not been active since, by state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaleBefore {
    /// Open ones, and those whose completion nobody holds.
    pub idle: UnixMs,
    /// Those whose creation never ended.
    pub creating: UnixMs,
    /// Those whose abort never ended.
    pub aborting: UnixMs,
    /// Completed ones, whose answer need not be repeated any more.
    pub completed: UnixMs,
}

/// Whose an upload is that the upstream holds under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamOwner {
    /// A row names it.
    Recorded,
    /// No row names it, and one that was begun lately still may.
    Undecided,
    /// Nobody's: whoever opened it can't come back to it.
    Nobody,
}

/// One page of open uploads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadPage {
    /// Ascending by key, then upload id.
    pub uploads: Vec<Upload>,
    /// Whether more follow.
    pub truncated: bool,
}

/// One attempt at a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(pub i64);

/// What is known of an attempt once its body is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAttempt {
    /// The upstream's ETag (of the part, or of the spooled object).
    pub upstream_etag: String,
    /// The message's salt.
    pub salt: [u8; 24],
    /// The message's commitment.
    pub commitment: [u8; 32],
    /// Its plaintext length.
    pub plaintext_bytes: u64,
    /// Its plaintext's checksum, sealed under the upload's DEK (`docs/format.md` §8.1): the catalog must not know it.
    pub sealed_checksum: Option<Vec<u8>>,
    /// Where it is spooled, when it is not an upstream part.
    pub spool_key: Option<ObjectKey>,
}

/// A finished attempt at a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// The part's number.
    pub number: u16,
    /// What was stored.
    pub stored: NewAttempt,
    /// When it finished.
    pub finished: UnixMs,
}

/// A spooled part body in the spool bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spooled {
    /// The attempt.
    pub attempt: AttemptId,
    /// Its key in the spool bucket.
    pub key: ObjectKey,
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobKind {
    /// Finishes a tenant in state `Creating`.
    FinishTenant,
    /// Finishes a credential in state `Creating`.
    FinishCredential,
    /// Finishes a bucket in state `Creating` or `Deleting`.
    FinishBucket,
    /// Aborts and forgets stale uploads, and forgets old answers.
    SweepUploads,
}

/// A job's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JobId(pub i64);

/// The number that fences off an owner whose lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobFence(pub i64);

/// A job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// What it does.
    pub kind: JobKind,
    /// What it does it to.
    pub subject: String,
    /// The fence of whoever holds it.
    pub fence: JobFence,
    /// When it is due.
    pub due: UnixMs,
    /// How often it was tried.
    pub attempts: u32,
    /// Why the last try failed.
    pub last_error: Option<String>,
}

/// The catalog's revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub i64);

/// Something that changed, so that caches drop it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A tenant.
    Tenant(TenantId),
    /// A credential.
    Credential(AccessKeyId),
    /// A bucket.
    Bucket(TenantId, BucketName),
    /// A region's check.
    Region(RegionName),
}

/// What a gateway says with each of its polls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayRenewal {
    /// Which gateway.
    pub gateway: GatewayId,
    /// The revision whose changes it has applied to what it caches.
    pub acknowledged: Revision,
    /// How long what it caches serves without another poll.
    pub lease: Duration,
    /// Its own count of renewals, this one included.
    pub renewals: i64,
    /// Now, by its clock; for people.
    pub now: UnixMs,
}

/// A gateway that caches rows of the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayRow {
    /// Which gateway.
    pub gateway: GatewayId,
    /// The revision whose changes it has applied to what it caches.
    pub acknowledged: Revision,
    /// How long what it caches serves without another poll.
    pub lease: Duration,
    /// Its own count of renewals: grows with each.
    pub renewals: i64,
    /// When it last renewed, by its clock; for people.
    pub renewed: UnixMs,
}

/// The identities of a domain's stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreIdentities {
    /// The catalog's own, random.
    pub catalog: [u8; 16],
    /// The key store's.
    pub key_store: [u8; 16],
}

/// The outcome of a `region check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionCheck {
    /// When it ran.
    pub checked: UnixMs,
    /// What the store can do.
    pub profile: RegionProfile,
    /// What is missing for Lethe to serve from it; empty when it passed.
    pub missing: Vec<String>,
}
