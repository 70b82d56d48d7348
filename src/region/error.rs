//! What can go wrong at a region store, split by what the caller does next.

/// What was not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The upstream bucket.
    Bucket,
    /// The object.
    Object,
    /// The version of the object.
    Version,
    /// The multipart upload.
    Upload,
    /// The bucket's object lock, or the version's retention or legal hold.
    ObjectLock,
    /// The bucket's lifecycle rules.
    Lifecycle,
}

/// A region store's refusal or failure.
#[derive(Debug, thiserror::Error)]
pub enum RegionError {
    /// The thing is not there.
    #[error("{operation}: {missing:?} not found upstream")]
    NotFound {
        /// The call.
        operation: &'static str,
        /// What is missing.
        missing: Missing,
    },
    /// The newest version is a delete marker, or the version asked for is one.
    #[error("{operation}: the version is a delete marker")]
    DeleteMarker {
        /// The call.
        operation: &'static str,
        /// The marker's version.
        version: Option<super::VersionId>,
        /// Whether the client named this version (405 instead of 404).
        named: bool,
    },
    /// A write's or read's condition does not hold (412).
    #[error("{operation}: precondition failed")]
    PreconditionFailed {
        /// The call.
        operation: &'static str,
    },
    /// Another conditional write is in progress (409 ConditionalRequestConflict); the client should retry.
    #[error("{operation}: conflicts with another write of the same key")]
    Conflict {
        /// The call.
        operation: &'static str,
    },
    /// The stored range begins past the stored end; `stored_bytes` where the store said it.
    #[error("{operation}: range not satisfiable")]
    RangeNotSatisfiable {
        /// The call.
        operation: &'static str,
        /// The stored length.
        stored_bytes: Option<u64>,
    },
    /// A part named in Complete is not what the store holds.
    #[error("{operation}: part {number:?} is not the one that the store holds")]
    InvalidPart {
        /// The call.
        operation: &'static str,
        /// The part, where the store said which.
        number: Option<u16>,
    },
    /// The bucket holds objects.
    #[error("{operation}: upstream bucket is not empty")]
    BucketNotEmpty {
        /// The call.
        operation: &'static str,
    },
    /// The upstream's own bucket quota.
    #[error("{operation}: the upstream allows no more buckets")]
    TooManyBuckets {
        /// The call.
        operation: &'static str,
    },
    /// The store can't do this at all (501).
    #[error("{operation}: this region does not support {what}")]
    Unsupported {
        /// The call.
        operation: &'static str,
        /// What is missing, for the client.
        what: &'static str,
    },
    /// The store refuses this request for good; repeating it does not help.
    #[error("{operation}: refused by the upstream with {code} ({status})")]
    Refused {
        /// The call.
        operation: &'static str,
        /// The HTTP status.
        status: u16,
        /// The upstream's S3 error code.
        code: String,
    },
    /// The request's own body failed (the client's stream broke, or its checksum did not match): nothing was stored.
    #[error("{operation}: the request body failed")]
    BodyFailed {
        /// The call.
        operation: &'static str,
        /// Why.
        #[source]
        source: super::BodyError,
    },
    /// Nothing was done; the same call may succeed later (connect error, 503, SlowDown).
    #[error("{operation}: the region is unavailable: {reason}")]
    Unavailable {
        /// The call.
        operation: &'static str,
        /// What happened, without secrets or keys.
        reason: String,
    },
    /// The answer was lost or late: the store may or may not have acted.
    #[error("{operation}: the outcome is unknown: {reason}")]
    Unknown {
        /// The call.
        operation: &'static str,
        /// What happened, without secrets or keys.
        reason: String,
    },
    /// The store answered with something that can't be (wrong length, unreadable headers or XML).
    #[error("{operation}: the upstream's answer makes no sense: {reason}")]
    Lying {
        /// The call.
        operation: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}
