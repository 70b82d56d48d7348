//! What an operation answers when it does not succeed: one S3 code, a sentence for the client, and the cause for the log.
//!
//! The client's sentence never holds another tenant's names, upstream bucket names or secrets: it is written here or by the
//! operation, never taken from a lower layer's error. `edge/error.rs` turns this into HTTP.

use super::etag::ClientEtag;
use crate::catalog::CatalogError;
use crate::clock::UnixMs;
use crate::region::{BodyError, Missing, RegionError, VersionId};
use crate::tenants::{AuthError, RegionName};
use lethe_keys::{KeysError, Refusal};
use std::borrow::Cow;
use std::error::Error;

macro_rules! codes {
    ($($code:ident),+ $(,)?) => {
        /// S3's error codes, as far as Lethe answers with them
        /// (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "S3's own names")]
        pub enum Code { $($code),+ }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$code),+];

            /// The code's name in S3's answers.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$code => stringify!($code)),+ }
            }
        }
    };
}

codes! {
    AccessControlListNotSupported, AccessDenied, AccessForbidden, AuthorizationHeaderMalformed,
    AuthorizationQueryParametersError, BadDigest, BadRequest, BucketAlreadyExists, BucketAlreadyOwnedByYou, BucketNotEmpty,
    ConditionalRequestConflict, EntityTooLarge, EntityTooSmall, IllegalVersioningConfigurationException, IncompleteBody,
    IncorrectNumberOfFilesInPostRequest, InternalError, InvalidAccessKeyId, InvalidArgument, InvalidBucketName, InvalidBucketState, InvalidDigest,
    InvalidEncryptionAlgorithmError, InvalidLocationConstraint, InvalidObjectState, InvalidPart, InvalidPartNumber,
    InvalidPartOrder, InvalidPolicyDocument, InvalidRange, InvalidRequest, InvalidRetentionPeriod, InvalidStorageClass, InvalidTag, InvalidToken, InvalidURI, KeyTooLongError, MalformedACLError,
    MalformedPOSTRequest, MalformedXML, MaxMessageLengthExceeded, MaxPostPreDataLengthExceededError, MetadataTooLarge, MethodNotAllowed, MissingContentLength, NoSuchBucket,
    NoSuchBucketPolicy, NoSuchCORSConfiguration, NoSuchKey, NoSuchLifecycleConfiguration, NoSuchObjectLockConfiguration,
    NoSuchPublicAccessBlockConfiguration, NoSuchTagSet, NoSuchUpload, NoSuchVersion, NoSuchWebsiteConfiguration,
    NotImplemented, NotModified, ObjectLockConfigurationNotFoundError, OperationAborted,
    OwnershipControlsNotFoundError, PermanentRedirect, PreconditionFailed, ReplicationConfigurationNotFoundError,
    RequestHeaderSectionTooLarge, RequestTimeout, RequestTimeTooSkewed, ServerSideEncryptionConfigurationNotFoundError, ServiceUnavailable,
    SignatureDoesNotMatch, SlowDown, TooManyBuckets, UnexpectedContent, XAmzContentSHA256Mismatch,
}

/// What an answer says beside code and sentence: headers and elements that S3 defines for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    /// `Content-Range: bytes */N` and `<ActualObjectSize>` (416).
    ObjectLength {
        /// The object's plaintext length.
        plaintext_bytes: u64,
    },
    /// `Retry-After`, in seconds.
    RetryAfter {
        /// How long to wait.
        seconds: u32,
    },
    /// `<Region>` and `x-amz-bucket-region`: where the client should sign for.
    Region(RegionName),
    /// `<Endpoint>`: where the client's keys are known.
    Endpoint(String),
    /// `x-amz-delete-marker: true`, with the marker's version.
    DeleteMarker(Option<VersionId>),
    /// `ETag` and `Last-Modified` of the object that was not modified (304).
    Validators {
        /// The object's tag.
        etag: ClientEtag,
        /// When it was written.
        last_modified: UnixMs,
    },
    /// `x-amz-version-id` of the object that was looked at.
    Version(VersionId),
    /// `Allow` (405): the methods that go with the resource, by commas.
    Allow(String),
    /// `<HeadersNotSigned>`: the names of headers that the signature does not cover.
    HeadersNotSigned(String),
}

/// An operation's refusal or failure.
#[derive(Debug, thiserror::Error)]
#[error("{}: {message}", code.as_str())]
pub struct OpError {
    code: Code,
    message: Cow<'static, str>,
    details: Vec<Detail>,
    #[source]
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl OpError {
    /// An answer with a code and a sentence for the client.
    #[must_use]
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            details: Vec::new(),
            cause: None,
        }
    }

    /// Adds what the answer says beside its code and sentence.
    #[must_use]
    pub fn with(mut self, detail: Detail) -> Self {
        self.details.push(detail);
        self
    }

    /// Adds the cause, for the log only.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The S3 code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// The sentence for the client.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What the answer says beside code and sentence.
    #[must_use]
    pub fn details(&self) -> &[Detail] {
        &self.details
    }

    /// Something of ours failed; the client learns nothing but that.
    #[must_use]
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(
            Code::InternalError,
            "The gateway failed to carry out the request.",
        )
        .caused_by(cause)
    }

    /// Something that the request needs can't be reached; the client should retry.
    #[must_use]
    pub fn unavailable(
        message: &'static str,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::new(Code::ServiceUnavailable, message)
            .with(Detail::RetryAfter { seconds: 1 })
            .caused_by(cause)
    }

    /// Too many requests at once.
    #[must_use]
    pub fn slow_down() -> Self {
        Self::new(Code::SlowDown, "Please reduce your request rate.")
            .with(Detail::RetryAfter { seconds: 1 })
    }

    /// Valid S3 that Lethe or the region can't do.
    #[must_use]
    pub fn not_implemented(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::NotImplemented, message)
    }

    /// A request that makes no sense.
    #[must_use]
    pub fn invalid_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidRequest, message)
    }

    /// A parameter or header with a value that it can't have.
    #[must_use]
    pub fn invalid_argument(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    /// The caller may not do this.
    #[must_use]
    pub fn access_denied(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::AccessDenied, message)
    }

    /// As S3 answers who may read and not list, whether the object is not there or is not theirs.
    #[must_use]
    pub fn nothing_to_read() -> Self {
        Self::access_denied(
            "There is no such object, or it can't be read with this credential: it lacks the permission list, without which what is missing is not told.",
        )
    }

    /// The bucket is not there.
    #[must_use]
    pub fn no_such_bucket() -> Self {
        Self::new(Code::NoSuchBucket, "The specified bucket does not exist.")
    }

    /// The object is not there.
    #[must_use]
    pub fn no_such_key() -> Self {
        Self::new(Code::NoSuchKey, "The specified key does not exist.")
    }

    /// The upload is not there.
    #[must_use]
    pub fn no_such_upload() -> Self {
        Self::new(
            Code::NoSuchUpload,
            "The specified upload does not exist. It may have been aborted or completed.",
        )
    }

    /// A condition does not hold.
    #[must_use]
    pub fn precondition_failed() -> Self {
        Self::new(
            Code::PreconditionFailed,
            "At least one of the preconditions you specified did not hold.",
        )
    }

    /// The object is as the client knows it (304).
    #[must_use]
    pub fn not_modified(etag: ClientEtag, last_modified: UnixMs) -> Self {
        Self::new(Code::NotModified, "Not Modified").with(Detail::Validators {
            etag,
            last_modified,
        })
    }

    /// No byte of the object is in the range (416).
    #[must_use]
    pub fn invalid_range(plaintext_bytes: u64) -> Self {
        Self::new(
            Code::InvalidRange,
            "The requested range is not satisfiable.",
        )
        .with(Detail::ObjectLength { plaintext_bytes })
    }
}

impl From<super::range::Unsatisfiable> for OpError {
    fn from(error: super::range::Unsatisfiable) -> Self {
        Self::invalid_range(error.plaintext_bytes)
    }
}

impl From<RegionError> for OpError {
    fn from(error: RegionError) -> Self {
        match error {
            RegionError::NotFound { missing, .. } => match missing {
                Missing::Bucket => Self::no_such_bucket(),
                Missing::Object => Self::no_such_key(),
                Missing::Version => Self::new(
                    Code::NoSuchVersion,
                    "The specified version does not exist.",
                ),
                Missing::Upload => Self::no_such_upload(),
                Missing::ObjectLock => super::object_lock::not_locked(),
                Missing::Lifecycle => super::lifecycle::no_rules(),
            }
            .caused_by(error),
            RegionError::DeleteMarker { version, named, .. } => delete_marker(version, named),
            RegionError::PreconditionFailed { .. } => Self::precondition_failed().caused_by(error),
            RegionError::Conflict { .. } => Self::new(
                Code::ConditionalRequestConflict,
                "Another conditional write of the same key is in progress. Please retry.",
            )
            .caused_by(error),
            RegionError::RangeNotSatisfiable { .. } => Self::new(
                Code::InvalidRange,
                "The requested range is not satisfiable.",
            )
            .caused_by(error),
            RegionError::InvalidPart { number, .. } => invalid_part(number).caused_by(error),
            RegionError::BucketNotEmpty { .. } => Self::new(
                Code::BucketNotEmpty,
                "The bucket you tried to delete is not empty.",
            )
            .caused_by(error),
            RegionError::TooManyBuckets { .. } => {
                Self::new(Code::TooManyBuckets, "The region allows no more buckets.")
                    .caused_by(error)
            }
            RegionError::Unsupported { what, .. } => {
                Self::not_implemented(format!("This region does not support {what}."))
                    .caused_by(error)
            }
            RegionError::Refused { ref code, .. } => refused(code).caused_by(error),
            RegionError::BodyFailed { source, .. } => Self::from(source),
            RegionError::Unavailable { .. } => {
                Self::unavailable("The region is unavailable. Please retry.", error)
            }
            RegionError::Unknown { .. } => Self::new(
                Code::InternalError,
                "The region's answer was lost: the operation may or may not have happened. Please retry.",
            )
            .caused_by(error),
            RegionError::Lying { .. } => Self::internal(error),
        }
    }
}

fn delete_marker(version: Option<VersionId>, named: bool) -> OpError {
    let error = if named {
        OpError::new(
            Code::MethodNotAllowed,
            "The specified method is not allowed against a delete marker.",
        )
        .with(Detail::Allow("DELETE".into()))
    } else {
        OpError::no_such_key()
    };
    error.with(Detail::DeleteMarker(version))
}

fn invalid_part(number: Option<u16>) -> OpError {
    let which = number.map_or(String::new(), |n| format!(" (part {n})"));
    OpError::new(
        Code::InvalidPart,
        format!(
            "One or more of the specified parts could not be found{which}. The part might not have been uploaded, or its \
             ETag might not match."
        ),
    )
}

/// The few refusals that the client can do something about; any other is between the operator and the region.
fn refused(upstream_code: &str) -> OpError {
    match upstream_code {
        "InvalidTag" => OpError::new(Code::InvalidTag, "The region refused the tags."),
        "KeyTooLongError" => OpError::new(Code::KeyTooLongError, "The key is too long."),
        "EntityTooLarge" => OpError::new(
            Code::EntityTooLarge,
            "The object is larger than the region stores.",
        ),
        "AccessDenied" => OpError::access_denied("The region refused the operation."),
        _ => OpError::new(
            Code::InternalError,
            "The region refused the operation. The gateway's operator has to look into it.",
        ),
    }
}

impl From<BodyError> for OpError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Incomplete => Self::new(
                Code::IncompleteBody,
                "The request body does not have the length that was declared.",
            ),
            BodyError::Mismatch { code, ref message } => {
                // The code names what the edge found; one that it does not know would be the edge's own slip.
                let known = Code::ALL.iter().find(|c| c.as_str() == code);
                Self::new(*known.unwrap_or(&Code::BadDigest), message.clone())
            }
            BodyError::LeaseEnded => Self::unavailable("The key lease ended. Please retry.", error),
            BodyError::TimedOut => Self::new(
                Code::RequestTimeout,
                "Your socket connection to the server was not read from or written to within the timeout period.",
            ),
            BodyError::Source(_) => Self::internal(error),
        }
    }
}

impl From<CatalogError> for OpError {
    fn from(error: CatalogError) -> Self {
        match &error {
            CatalogError::NotFound { what: "bucket", .. } => Self::no_such_bucket(),
            CatalogError::NotFound { what: "upload", .. } => Self::no_such_upload(),
            CatalogError::NotFound { .. } | CatalogError::Corrupt { .. } => {
                return Self::internal(error);
            }
            CatalogError::Exists { what: "bucket", .. } => Self::new(
                Code::BucketAlreadyOwnedByYou,
                "Your previous request to create the named bucket succeeded and you already own it.",
            ),
            CatalogError::Exists { .. } | CatalogError::Conflict { .. } => Self::new(
                Code::OperationAborted,
                "A conflicting operation is in progress. Please retry.",
            ),
            CatalogError::Quota { max, .. } => Self::new(
                Code::TooManyBuckets,
                format!("You have attempted to create more buckets than allowed ({max})."),
            ),
            CatalogError::Unavailable { .. } => {
                return Self::unavailable("The catalog is unavailable. Please retry.", error);
            }
        }
        .caused_by(error)
    }
}

impl From<AuthError> for OpError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Unknown => Self::new(
                Code::InvalidAccessKeyId,
                "The AWS Access Key Id you provided does not exist in our records.",
            ),
            AuthError::Elsewhere { public_endpoint } => Self::new(
                Code::PermanentRedirect,
                "These credentials belong to another jurisdiction. Send all future requests to its endpoint.",
            )
            .with(Detail::Endpoint(public_endpoint)),
            AuthError::Unavailable { .. } => Self::unavailable(
                "Credentials can't be checked at the moment. Please retry.",
                error,
            ),
        }
    }
}

impl From<KeysError> for OpError {
    fn from(error: KeysError) -> Self {
        match error {
            KeysError::TenantUnknown { .. } | KeysError::KekUnknown { .. } => key_missing(error),
            KeysError::TenantFenced { .. } => {
                Self::access_denied("This tenant is being shredded.").caused_by(error)
            }
            KeysError::LeaseEnded => Self::unavailable("The key lease ended. Please retry.", error),
            KeysError::KekPending { .. } | KeysError::CreationHeld => {
                Self::unavailable("The tenant's keys are being made. Please retry.", error)
            }
            // A rotation came between choosing the key and using it: the next try takes the new one.
            KeysError::KekNotSealing { .. }
            | KeysError::Unavailable { .. }
            // A token that expired: its operator brings a new one.
            | KeysError::Refused {
                reason: Refusal::RootDenied { .. },
            } => {
                Self::unavailable("The key store is unavailable. Please retry.", error)
            }
            // Whoever asks for an object or an upload with a customer key says more of it.
            KeysError::CustomerKeyWrong => Self::access_denied("Access Denied").caused_by(error),
            KeysError::NotAuthentic | KeysError::Refused { .. } | KeysError::Corrupt { .. } => {
                Self::internal(error)
            }
        }
    }
}

/// Keys that should be there. A shredded tenant's requests never come this far: its credentials are unknown by then. So this
/// is a key store older than the object, which is still there, and clients must not take it for deleted.
fn key_missing(error: KeysError) -> OpError {
    metrics::counter!("lethe_keys_missing_total").increment(1);
    let kek_id = match &error {
        KeysError::KekUnknown { kek_id } => Some(kek_id.to_string()),
        _ => None,
    };
    tracing::error!(
        kek_id,
        outcome = "key-missing",
        %error,
        "a key of a living tenant is not in the key store: is it older than the objects? put the newest key store back, or \
         restore its newest backup"
    );
    OpError::new(
        Code::InternalError,
        "The key that this needs is not in the key store, so nothing was read or changed; what is stored is still there. Tell \
         the gateway's operator.",
    )
    .caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn key_errors_never_say_that_an_object_is_gone() {
        let kek_id = lethe_envelope::KekId::from_bytes([7; 16]);
        let tenant = lethe_envelope::TenantId::from_bytes([8; 16]);
        for missing in [
            KeysError::KekUnknown { kek_id },
            KeysError::TenantUnknown { tenant },
        ] {
            let error = OpError::from(missing);
            assert_eq!(error.code(), Code::InternalError);
            assert!(error.message().contains("key store"), "{error:?}");
            assert!(error.message().contains("operator"), "{error:?}");
            assert!(error.cause.is_some());
        }
        let fenced = KeysError::TenantFenced { tenant };
        assert_eq!(code(fenced), Code::AccessDenied);
        assert_eq!(code(KeysError::LeaseEnded), Code::ServiceUnavailable);
        assert_eq!(code(KeysError::NotAuthentic), Code::InternalError);
    }

    fn code(error: impl Into<OpError>) -> Code {
        error.into().code()
    }

    #[test]
    fn region_errors_map_to_what_the_client_can_do() {
        let operation = "get";
        let missing = |missing| RegionError::NotFound { operation, missing };
        assert_eq!(code(missing(Missing::Object)), Code::NoSuchKey);
        assert_eq!(code(missing(Missing::Upload)), Code::NoSuchUpload);
        let marker = |named| RegionError::DeleteMarker {
            operation,
            version: Some(VersionId("v1".into())),
            named,
        };
        assert_eq!(code(marker(false)), Code::NoSuchKey);
        assert_eq!(code(marker(true)), Code::MethodNotAllowed);
        assert_eq!(
            OpError::from(marker(true)).details(),
            [
                Detail::Allow("DELETE".into()),
                Detail::DeleteMarker(Some(VersionId("v1".into())))
            ]
        );
        let refused = |code: &str| RegionError::Refused {
            operation,
            status: 403,
            code: code.into(),
        };
        assert_eq!(code(refused("AccessDenied")), Code::AccessDenied);
        assert_eq!(code(refused("InvalidAccessKeyId")), Code::InternalError);
    }

    #[test]
    fn body_mismatch_keeps_the_code_that_the_edge_found() {
        let mismatch = |code| BodyError::Mismatch {
            code,
            message: "no".into(),
        };
        assert_eq!(
            code(mismatch("XAmzContentSHA256Mismatch")),
            Code::XAmzContentSHA256Mismatch
        );
        assert_eq!(code(mismatch("???")), Code::BadDigest);
        assert_eq!(code(BodyError::Incomplete), Code::IncompleteBody);
    }

    #[test]
    fn client_sentence_never_holds_the_cause() {
        let secret = "lethe-upstreambucketname";
        let errors: Vec<OpError> = vec![
            RegionError::Unavailable {
                operation: "put",
                reason: secret.into(),
            }
            .into(),
            RegionError::Lying {
                operation: "put",
                reason: secret.into(),
            }
            .into(),
            RegionError::Refused {
                operation: "put",
                status: 400,
                code: secret.into(),
            }
            .into(),
            CatalogError::Corrupt {
                operation: "bucket",
                reason: secret.into(),
            }
            .into(),
            BodyError::Source(Arc::new(std::io::Error::other(secret))).into(),
        ];
        for error in errors {
            assert!(!error.message().contains(secret), "{error:?}");
            let cause = error.cause.as_ref().map(|c| format!("{c:?}"));
            assert!(cause.is_some_and(|c| c.contains(secret)));
        }
    }

    #[test]
    fn code_names_are_distinct() {
        let names: std::collections::HashSet<_> = Code::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
    }
}
