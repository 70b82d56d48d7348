//! What goes to and comes from a region store.

use super::ObjectLock;
use crate::clock::UnixMs;
use crate::tenants::ObjectKey;
use bytes::Bytes;
use futures::stream::BoxStream;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The name of a bucket in the upstream store: `<prefix>-<26 random base32 characters>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpstreamBucket(String);

impl UpstreamBucket {
    /// Keeps a name that the catalog holds.
    #[must_use]
    pub fn from_catalog(name: String) -> Self {
        Self(name)
    }

    /// The name's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An upstream's own id of a multipart upload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamUploadId(pub String);

/// A version id, opaque, as the upstream gives it (`null` included).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VersionId(pub String);

/// An object's place in a region.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectRef {
    /// The upstream bucket.
    pub bucket: UpstreamBucket,
    /// The object's key.
    pub key: ObjectKey,
}

/// A bucket's versioning state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versioning {
    /// Never enabled.
    Off,
    /// Enabled.
    Enabled,
    /// Suspended.
    Suspended,
}

/// Why a request body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The client's stream broke, was too short or too long.
    #[error("the request body ended early or too late")]
    Incomplete,
    /// The client's checksum, signature or MD5 does not match (the S3 code to answer with).
    #[error("the request body does not match what the client declared: {code}")]
    Mismatch {
        /// S3's error code, such as `BadDigest`.
        code: &'static str,
        /// A sentence for the client.
        message: String,
    },
    /// The lease on the key ended while sealing.
    #[error("the key lease ended while the body was sealed")]
    LeaseEnded,
    /// The client was too slow.
    #[error("the client sent nothing for too long")]
    TimedOut,
    /// Reading a source failed.
    #[error("the source of the body failed: {0}")]
    Source(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

/// A body's stream: chunks of stored bytes, or the error that ends it. Dropping it early is allowed.
pub type ByteStream = BoxStream<'static, Result<Bytes, BodyError>>;

/// The bytes of a write.
pub enum Body {
    /// In memory: may be sent again by a retry.
    Replayable(Replayable),
    /// Streamed once. An `Err` item must make the store drop what it has.
    Once(ByteStream),
}

/// Bytes that a retry can send again.
pub type Replayable = Bytes;

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replayable(bytes) => write!(f, "Body::Replayable({} bytes)", bytes.len()),
            Self::Once(_) => f.write_str("Body::Once"),
        }
    }
}

/// What upstream enforces atomically on a write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PutCondition {
    /// None.
    #[default]
    Always,
    /// `If-None-Match: *`.
    Absent,
    /// `If-Match: *`: an object must be there.
    Present,
    /// `If-Match` with one upstream ETag (without quotes).
    Matches(String),
}

/// What is stored beside an object's bytes: sealed by the gateway, opaque here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeadFields {
    /// User metadata (names without `x-amz-meta-`, lower case).
    pub metadata: BTreeMap<String, String>,
    /// Content-Disposition, used as room for what user metadata can't hold.
    pub content_disposition: Option<String>,
    /// Tags, in the clear (documented).
    pub tags: Vec<(String, String)>,
    /// On writes: present in a bucket with object lock, with what the object is to have of its own. On reads: what it has.
    pub lock: Option<ObjectLock>,
}

/// One whole-object write.
#[derive(Debug)]
pub struct PutRequest {
    /// What is stored beside the bytes.
    pub head: HeadFields,
    /// Exactly how many bytes `body` has.
    pub stored_bytes: u64,
    /// The bytes.
    pub body: Body,
    /// What must hold.
    pub condition: PutCondition,
}

/// The outcome of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteOutcome {
    /// The upstream's ETag without quotes.
    pub etag: String,
    /// The new version where versioning is on.
    pub version: Option<VersionId>,
    /// When the store says it was written, where it says so (copies).
    pub last_modified: Option<UnixMs>,
    /// When lifecycle rules let it go, in the store's words (`x-amz-expiration`), where it says so.
    pub expiration: Option<String>,
}

/// A range of stored bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// From `first` to `last` (inclusive); the store clamps `last`.
    Inclusive {
        /// First byte.
        first: u64,
        /// Last byte.
        last: u64,
    },
    /// The last `bytes` bytes, or all when there are fewer.
    Suffix {
        /// How many.
        bytes: u64,
    },
}

/// One read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetRequest {
    /// Which bytes; all when absent.
    pub range: Option<ByteRange>,
    /// Which version; the newest when absent.
    pub version: Option<VersionId>,
    /// Answer [`super::RegionError::PreconditionFailed`] unless the upstream ETag (without quotes) is this one.
    pub if_match: Option<String>,
}

/// An object's head as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredHead {
    /// The whole stored length, also when a range was read.
    pub stored_bytes: u64,
    /// The upstream's ETag without quotes.
    pub etag: String,
    /// When it was written.
    pub last_modified: UnixMs,
    /// Its version where the bucket is or was versioned.
    pub version: Option<VersionId>,
    /// What is stored beside the bytes; `tags` is empty here.
    pub fields: HeadFields,
    /// How many tags it has.
    pub tag_count: u32,
    /// When lifecycle rules let it go, in the store's words (`x-amz-expiration`), where it says so.
    pub expiration: Option<String>,
}

/// An object being read.
pub struct StoredObject {
    /// Its head.
    pub head: StoredHead,
    /// The first stored byte of the body (0 unless a range was read).
    pub first: u64,
    /// How many bytes the store says the body has; the stream fails or ends early if it lied.
    pub body_bytes: u64,
    /// The stored bytes. Errors are `BodyError::Source` or `Incomplete`.
    pub body: ByteStream,
}

impl fmt::Debug for StoredObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredObject")
            .field("head", &self.head)
            .field("first", &self.first)
            .finish_non_exhaustive()
    }
}

/// One delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteRequest {
    /// One version for good, instead of the newest (or a marker on it).
    pub version: Option<VersionId>,
    /// Only if the upstream ETag is this one (`*`: if it is there).
    pub condition: PutCondition,
    /// Delete it although it is retained in governance mode.
    pub bypass_governance: bool,
}

/// The outcome of a delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOutcome {
    /// The version deleted, or of the marker made.
    pub version: Option<VersionId>,
    /// Whether a delete marker was made or deleted.
    pub delete_marker: bool,
}

/// What a copy's source must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceCondition {
    /// The upstream ETag (without quotes) that the source must still have.
    pub etag: String,
}

/// One copy of stored bytes within the region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyRequest {
    /// The source.
    pub from: ObjectRef,
    /// Its version.
    pub from_version: Option<VersionId>,
    /// What the source must still be.
    pub source: SourceCondition,
    /// The copy's own head (always replaces the source's).
    pub head: HeadFields,
    /// Take the source's tags instead of `head.tags`.
    pub copy_tags: bool,
    /// What must hold at the destination.
    pub condition: PutCondition,
}

/// One page of a listing of current objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListRequest {
    /// Only keys that begin so.
    pub prefix: String,
    /// Fold keys up to this text into common prefixes.
    pub delimiter: Option<String>,
    /// Only keys (and common prefixes) after this text in byte order.
    pub start_after: Option<String>,
    /// At most this many keys and common prefixes, 1 to 1,000.
    pub keys_max: usize,
}

/// One listed object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// Its key, exactly.
    pub key: String,
    /// Its stored length.
    pub stored_bytes: u64,
    /// The upstream's ETag without quotes.
    pub etag: String,
    /// When it was written.
    pub last_modified: UnixMs,
}

/// One page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Objects, in the store's order.
    pub objects: Vec<ListedObject>,
    /// Common prefixes, in the store's order.
    pub common_prefixes: Vec<String>,
    /// Where the next page begins (a `start_after`); absent on the last page.
    pub next_start_after: Option<String>,
}

/// One page of a listing of versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionListRequest {
    /// Only keys that begin so.
    pub prefix: String,
    /// Fold keys up to this text into common prefixes.
    pub delimiter: Option<String>,
    /// Keys from here on (S3's key-marker).
    pub key_marker: Option<String>,
    /// Versions of `key_marker` after this one.
    pub version_marker: Option<VersionId>,
    /// At most this many entries, 1 to 1,000.
    pub keys_max: usize,
}

/// One version or delete marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedVersion {
    /// The object; `stored_bytes` is 0 and `etag` empty for a delete marker.
    pub object: ListedObject,
    /// Its version.
    pub version: VersionId,
    /// Whether it is the newest.
    pub is_latest: bool,
    /// Whether it is a delete marker.
    pub delete_marker: bool,
}

/// One page of a listing of versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionListing {
    /// Versions and markers, in the store's order.
    pub versions: Vec<ListedVersion>,
    /// Common prefixes.
    pub common_prefixes: Vec<String>,
    /// The next page's `key_marker`; absent on the last page.
    pub next_key_marker: Option<String>,
    /// The next page's `version_marker`.
    pub next_version_marker: Option<VersionId>,
}

/// One part's write.
#[derive(Debug)]
pub struct UploadPartRequest {
    /// The upload.
    pub upload: UpstreamUploadId,
    /// 1 to 10,000.
    pub number: u16,
    /// Exactly how many bytes `body` has.
    pub stored_bytes: u64,
    /// The bytes.
    pub body: Body,
    /// Whether the upload's bucket has object lock.
    pub in_lock_bucket: bool,
}

/// One part's write from a range of a stored object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartCopyRequest {
    /// The upload.
    pub upload: UpstreamUploadId,
    /// 1 to 10,000.
    pub number: u16,
    /// The source.
    pub from: ObjectRef,
    /// Its version.
    pub from_version: Option<VersionId>,
    /// What the source must still be.
    pub source: SourceCondition,
    /// First and last stored byte, inclusive.
    pub range: (u64, u64),
}

/// A part named in Complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletedPart {
    /// 1 to 10,000.
    pub number: u16,
    /// The upstream's ETag without quotes.
    pub etag: String,
}

/// A part that the store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPart {
    /// 1 to 10,000.
    pub number: u16,
    /// The upstream's ETag without quotes.
    pub etag: String,
    /// Its stored length.
    pub stored_bytes: u64,
}
