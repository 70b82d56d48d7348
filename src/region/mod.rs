//! Region stores: where sealed bytes lie. One trait; the suite in `region/suite.rs` runs on every implementation.
//!
//! A region store knows tenants by id and buckets by their upstream names; it sees ciphertext only. It is trusted with
//! nothing but availability: every answer that matters is checked against authenticated data above.

pub mod check;
pub mod embedded;
mod error;
#[cfg(any(test, feature = "testing"))]
pub mod faulty;
mod keys;
mod lifecycle;
mod lock;
mod s3;
mod spool;
#[cfg(any(test, feature = "testing"))]
pub mod suite;
mod types;

pub use error::{Missing, RegionError};
use keys::VERSIONS;
pub use keys::{key_problem, prefix_of_no_key};
pub use lifecycle::{
    AllOf, Expiration, LifecycleRule, NoncurrentExpiration, RuleFilter, RuleId, RuleKind,
    is_midnight, same_meaning,
};
pub use lock::{
    DefaultRetention, LockConfiguration, LockMode, ObjectLock, Retention, RetentionPeriod,
};
#[cfg(test)]
pub(crate) use s3::testbed;
pub use s3::{ConnectError, CredentialsError, Deadlines, RegionIdentity, S3Store, UpstreamConfig};
pub use spool::{SpooledBody, count_spooled, delete_spooled, drop_spooled, spooled_after};
pub use types::{
    Body, BodyError, ByteRange, ByteStream, CompletedPart, CopyRequest, DeleteOutcome,
    DeleteRequest, GetRequest, HeadFields, ListRequest, ListedObject, ListedVersion, Listing,
    ObjectRef, PartCopyRequest, PutCondition, PutRequest, Replayable, SourceCondition, StoredHead,
    StoredObject, StoredPart, UploadPartRequest, UpstreamBucket, UpstreamUploadId, VersionId,
    VersionListRequest, VersionListing, Versioning, WriteOutcome,
};

use crate::tenants::TenantId;
use async_trait::async_trait;
use std::collections::BTreeSet;

/// One region's object store.
///
/// Every method has a deadline of its own and returns [`RegionError::Unavailable`] or [`RegionError::Unknown`] past it.
/// `Unknown` means that the store may or may not have acted; reads and idempotent calls may be repeated, others are
/// resolved by looking.
#[async_trait]
pub trait RegionStore: Send + Sync + 'static {
    /// Creates an upstream bucket; creating one that is ours already succeeds.
    async fn create_bucket(
        &self,
        tenant: TenantId,
        bucket: &UpstreamBucket,
    ) -> Result<(), RegionError>;

    /// Deletes an empty upstream bucket; [`RegionError::BucketNotEmpty`] when it is not; a missing one succeeds.
    async fn delete_bucket(
        &self,
        tenant: TenantId,
        bucket: &UpstreamBucket,
    ) -> Result<(), RegionError>;

    /// Whether the upstream bucket is there.
    async fn bucket_exists(
        &self,
        tenant: TenantId,
        bucket: &UpstreamBucket,
    ) -> Result<bool, RegionError>;

    /// The bucket's versioning state.
    async fn versioning(
        &self,
        tenant: TenantId,
        bucket: &UpstreamBucket,
    ) -> Result<Versioning, RegionError>;

    /// Sets the bucket's versioning state ([`RegionError::Unsupported`] where the store has none).
    async fn set_versioning(
        &self,
        tenant: TenantId,
        bucket: &UpstreamBucket,
        state: Versioning,
    ) -> Result<(), RegionError>;

    /// Stores a whole object of exactly `stored_bytes`; nothing is visible under the key before the body is complete.
    async fn put(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        request: PutRequest,
    ) -> Result<WriteOutcome, RegionError>;

    /// Reads an object or a range of its stored bytes.
    async fn get(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        request: &GetRequest,
    ) -> Result<StoredObject, RegionError>;

    /// Reads an object's head.
    async fn head(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        version: Option<&VersionId>,
    ) -> Result<StoredHead, RegionError>;

    /// Deletes an object, or one version of it; a missing object succeeds.
    async fn delete(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        request: &DeleteRequest,
    ) -> Result<DeleteOutcome, RegionError>;

    /// Copies stored bytes within the region and gives the copy a head of its own.
    async fn copy(
        &self,
        tenant: TenantId,
        to: &ObjectRef,
        request: &CopyRequest,
    ) -> Result<WriteOutcome, RegionError>;

    /// Lists current objects in the store's key order.
    async fn list(
        &self,
        tenant: TenantId,
        bucket: &UpstreamBucket,
        request: &ListRequest,
    ) -> Result<Listing, RegionError>;

    /// Lists versions and delete markers.
    async fn list_versions(
        &self,
        tenant: TenantId,
        bucket: &UpstreamBucket,
        request: &VersionListRequest,
    ) -> Result<VersionListing, RegionError>;

    /// Opens a multipart upload whose finished object will have `head`'s metadata and tags.
    async fn create_upload(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        head: &HeadFields,
    ) -> Result<UpstreamUploadId, RegionError>;

    /// Stores one part of exactly `stored_bytes`; a later one of the same number replaces it.
    async fn upload_part(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        request: UploadPartRequest,
    ) -> Result<String, RegionError>;

    /// Stores one part from a range of a stored object's raw bytes. Returns the part's ETag.
    async fn upload_part_copy(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        request: &PartCopyRequest,
    ) -> Result<String, RegionError>;

    /// Makes the object of exactly these parts; [`RegionError::InvalidPart`] when one is not what the store holds.
    async fn complete_upload(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        upload: &UpstreamUploadId,
        parts: &[CompletedPart],
        condition: &PutCondition,
    ) -> Result<WriteOutcome, RegionError>;

    /// Drops an upload and its parts; a missing one succeeds.
    async fn abort_upload(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        upload: &UpstreamUploadId,
    ) -> Result<(), RegionError>;

    /// The parts that the store holds for an upload, in ascending number (all pages).
    async fn list_parts(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        upload: &UpstreamUploadId,
    ) -> Result<Vec<StoredPart>, RegionError>;

    /// The uploads that are open under exactly this key, whoever opened them (all pages).
    async fn uploads_at(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
    ) -> Result<Vec<UpstreamUploadId>, RegionError>;

    /// An object's tags.
    async fn tags(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        version: Option<&VersionId>,
    ) -> Result<Vec<(String, String)>, RegionError>;

    /// Replaces an object's tags; an empty list deletes them.
    async fn set_tags(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        version: Option<&VersionId>,
        tags: &[(String, String)],
    ) -> Result<(), RegionError>;

    /// Creates an upstream bucket with object lock, and with versioning, which it needs; creating one that is ours already and has
    /// it succeeds.
    async fn create_lock_bucket(
        &self,
        _tenant: TenantId,
        _bucket: &UpstreamBucket,
    ) -> Result<(), RegionError> {
        Err(no_object_lock("create_lock_bucket"))
    }

    /// The bucket's object lock; `None` when it has none.
    async fn lock_configuration(
        &self,
        _tenant: TenantId,
        _bucket: &UpstreamBucket,
    ) -> Result<Option<LockConfiguration>, RegionError> {
        Err(no_object_lock("lock_configuration"))
    }

    /// Gives a versioned bucket object lock, for good, and sets its default retention.
    async fn set_lock_configuration(
        &self,
        _tenant: TenantId,
        _bucket: &UpstreamBucket,
        _configuration: &LockConfiguration,
    ) -> Result<(), RegionError> {
        Err(no_object_lock("set_lock_configuration"))
    }

    /// Retention and legal hold of a version, or of the newest.
    async fn object_lock(
        &self,
        _tenant: TenantId,
        _at: &ObjectRef,
        _version: Option<&VersionId>,
    ) -> Result<ObjectLock, RegionError> {
        Err(no_object_lock("object_lock"))
    }

    /// Sets or lifts a version's retention; `bypass` goes past one in governance mode.
    async fn set_retention(
        &self,
        _tenant: TenantId,
        _at: &ObjectRef,
        _version: Option<&VersionId>,
        _retention: Option<Retention>,
        _bypass: bool,
    ) -> Result<(), RegionError> {
        Err(no_object_lock("set_retention"))
    }

    /// Sets or lifts a version's legal hold.
    async fn set_legal_hold(
        &self,
        _tenant: TenantId,
        _at: &ObjectRef,
        _version: Option<&VersionId>,
        _on: bool,
    ) -> Result<(), RegionError> {
        Err(no_object_lock("set_legal_hold"))
    }

    /// The bucket's lifecycle rules, sizes in stored bytes; empty when it has none, [`RegionError::Lying`] when it has some that
    /// [`Self::set_lifecycle`] can't have put.
    async fn lifecycle(
        &self,
        _tenant: TenantId,
        _bucket: &UpstreamBucket,
    ) -> Result<Vec<LifecycleRule>, RegionError> {
        Err(no_lifecycle("lifecycle"))
    }

    /// Replaces the bucket's lifecycle rules, sizes in stored bytes; an empty list deletes them.
    async fn set_lifecycle(
        &self,
        _tenant: TenantId,
        _bucket: &UpstreamBucket,
        _rules: &[LifecycleRule],
    ) -> Result<(), RegionError> {
        Err(no_lifecycle("set_lifecycle"))
    }

    /// Whether the store answers at all, for `/readyz` and `doctor`.
    async fn ping(&self) -> Result<(), RegionError>;

    /// What `region check` found, or what the store is by construction: what the gateway may ask of it.
    fn profile(&self) -> &RegionProfile;
}

fn no_object_lock(operation: &'static str) -> RegionError {
    RegionError::Unsupported {
        operation,
        what: "object lock",
    }
}

fn no_lifecycle(operation: &'static str) -> RegionError {
    RegionError::Unsupported {
        operation,
        what: "lifecycle rules",
    }
}

/// What a store can do, found by `region check` and kept in the catalog.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegionProfile {
    /// Conditional PUT (`If-None-Match: *`, `If-Match`) is atomic under a race.
    pub conditional_put: bool,
    /// Conditional CompleteMultipartUpload is atomic under a race.
    pub conditional_complete: bool,
    /// Conditional CopyObject (of the destination) is atomic under a race.
    pub conditional_copy: bool,
    /// Conditional DeleteObject is atomic under a race.
    pub conditional_delete: bool,
    /// All parts but the last must have one size (R2).
    pub equal_parts: bool,
    /// Versioning works.
    pub versioning: bool,
    /// Object tagging works.
    pub tagging: bool,
    /// Keys that the store keeps as they are.
    pub keys: KeyRules,
    /// The store accepts `x-amz-checksum-crc64nvme`-style checksums over stored bytes on PUT.
    pub put_checksum: bool,
    /// The store verifies such a checksum also when it follows the body, as a trailer.
    #[serde(default)]
    pub put_checksum_trailer: bool,
    /// Object lock holds what it should, for everything that Lethe writes; absent in what older checks stored.
    #[serde(default)]
    pub object_lock: bool,
    /// CopyObject gives the copy the lock that the request asks for, and not its source's.
    #[serde(default)]
    pub object_lock_copy: bool,
    /// What lifecycle rules may ask of it; nothing where it carries out none, or where nobody said that it does.
    #[serde(default)]
    pub lifecycle: BTreeSet<RuleKind>,
    /// Bytes of Content-Disposition that survive a round trip (0: spill is impossible).
    pub content_disposition_bytes_max: usize,
    /// Bytes of user metadata (names and values) that survive a round trip.
    pub user_metadata_bytes_max: usize,
    /// How listings of versions go on past a page; absent in what older checks stored, and without versioning.
    #[serde(default)]
    pub version_paging: Option<VersionPaging>,
}

/// How a store's listings of versions go on past a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VersionPaging {
    /// Pages lose and repeat nothing.
    Exact,
    /// Pages lose keys, but each prefix can be asked for by itself.
    ByPrefix,
    /// Nothing can be relied on but a first page.
    FirstOnly,
}

impl RegionProfile {
    /// How listings of versions go on. Where nobody has tried, a store that lists out of order is taken for one that loses keys.
    #[must_use]
    pub fn version_pages(&self) -> VersionPaging {
        self.version_paging.unwrap_or(if self.keys.byte_order {
            VersionPaging::Exact
        } else {
            VersionPaging::ByPrefix
        })
    }
}

/// Keys that a store would change or refuse, so that they are refused here first with a clear error.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRules {
    /// Longest key kept, in bytes.
    pub bytes_max: usize,
    /// `a//b` stays `a//b`.
    pub empty_segments: bool,
    /// Segments `.` and `..` are kept.
    pub dot_segments: bool,
    /// A leading `/` is kept.
    pub leading_slash: bool,
    /// A trailing `/` is kept.
    pub trailing_slash: bool,
    /// Where a trailing `/` is not kept: `a/` can be stored as `a/` and a space, which lists before all others below `a/`.
    #[serde(default)]
    pub folder_markers: bool,
    /// Control characters (U+0000 to U+001F, U+007F) are kept.
    pub control_characters: bool,
    /// `a` and `a/b` can both be objects.
    pub object_below_object: bool,
    /// `a\\b` stays `a\\b`.
    pub backslash: bool,
    /// Segments that end in `.versions`, and keys below `.uploads/`, are kept and listed like others.
    pub housekeeping_names: bool,
    /// Listings come in UTF-8 byte order.
    pub byte_order: bool,
}

impl KeyRules {
    /// A store that keeps every key of S3 as it is.
    #[must_use]
    pub fn all() -> Self {
        Self {
            bytes_max: 1024,
            empty_segments: true,
            dot_segments: true,
            leading_slash: true,
            trailing_slash: true,
            folder_markers: true,
            control_characters: true,
            object_below_object: true,
            backslash: true,
            housekeeping_names: true,
            byte_order: true,
        }
    }
}
