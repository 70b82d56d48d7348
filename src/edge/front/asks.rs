//! What each operation's message asks for, as the decision wants it: the very names that the operation will use. A message that says
//! nothing here has no way to an operation.

use crate::ops::error::OpError;
use crate::tenants::access::{Ask, Operation};
use s3s::dto;

/// A message that says what it asks for.
pub(super) trait Asks {
    /// What it asks for.
    ///
    /// # Errors
    /// The answer for what no decision is needed on, since it is not supported.
    fn ask(&self) -> Result<Ask<'_>, OpError>;
}

macro_rules! asks {
    (@ask $operation:ident, $message:ident, bucket) => {
        Ask::to(Operation::$operation).in_bucket(&$message.bucket)
    };
    (@ask $operation:ident, $message:ident, prefix) => {
        asks!(@ask $operation, $message, bucket).at($message.prefix.as_deref().unwrap_or_default())
    };
    (@ask $operation:ident, $message:ident, key) => {
        asks!(@ask $operation, $message, bucket).at(&$message.key)
    };
    (@ask $operation:ident, $message:ident, bypassing bucket) => {
        asks!(@ask $operation, $message, bucket)
            .lifting_lock($message.bypass_governance_retention.unwrap_or(false))
    };
    (@ask $operation:ident, $message:ident, bypassing key) => {
        asks!(@ask $operation, $message, bypassing bucket).at(&$message.key)
    };
    (@ask $operation:ident, $message:ident, ending key) => {
        asks!(@ask $operation, $message, key).lifting_lock(ends_hold($message.legal_hold.as_ref()))
    };
    (@ask $operation:ident, $message:ident, copying key) => {{
        let (bucket, key) = source(&$message.copy_source)?;
        asks!(@ask $operation, $message, key).copying_from(bucket, key)
    }};
    ($($operation:ident($input:ident): $($what:ident)+;)+) => {
        $(impl Asks for dto::$input {
            fn ask(&self) -> Result<Ask<'_>, OpError> {
                let message = self;
                Ok(asks!(@ask $operation, message, $($what)+))
            }
        })+
    };
}

impl Asks for dto::ListBucketsInput {
    fn ask(&self) -> Result<Ask<'_>, OpError> {
        Ok(Ask::to(Operation::ListBuckets))
    }
}

asks! {
    HeadBucket(HeadBucketInput): bucket;
    GetBucketLocation(GetBucketLocationInput): bucket;
    GetBucketVersioning(GetBucketVersioningInput): bucket;
    GetBucketAcl(GetBucketAclInput): bucket;
    GetObjectLockConfiguration(GetObjectLockConfigurationInput): bucket;
    CreateBucket(CreateBucketInput): bucket;
    DeleteBucket(DeleteBucketInput): bucket;
    PutBucketAcl(PutBucketAclInput): bucket;
    PutBucketVersioning(PutBucketVersioningInput): bucket;
    PutObjectLockConfiguration(PutObjectLockConfigurationInput): bucket;
    GetBucketCors(GetBucketCorsInput): bucket;
    PutBucketCors(PutBucketCorsInput): bucket;
    DeleteBucketCors(DeleteBucketCorsInput): bucket;
    GetBucketLifecycleConfiguration(GetBucketLifecycleConfigurationInput): bucket;
    PutBucketLifecycleConfiguration(PutBucketLifecycleConfigurationInput): bucket;
    DeleteBucketLifecycle(DeleteBucketLifecycleInput): bucket;
    GetBucketTagging(GetBucketTaggingInput): bucket;
    PutBucketTagging(PutBucketTaggingInput): bucket;
    DeleteBucketTagging(DeleteBucketTaggingInput): bucket;
    GetBucketEncryption(GetBucketEncryptionInput): bucket;
    PutBucketEncryption(PutBucketEncryptionInput): bucket;
    DeleteBucketEncryption(DeleteBucketEncryptionInput): bucket;
    GetBucketOwnershipControls(GetBucketOwnershipControlsInput): bucket;
    PutBucketOwnershipControls(PutBucketOwnershipControlsInput): bucket;
    DeleteBucketOwnershipControls(DeleteBucketOwnershipControlsInput): bucket;
    GetPublicAccessBlock(GetPublicAccessBlockInput): bucket;
    PutPublicAccessBlock(PutPublicAccessBlockInput): bucket;
    DeletePublicAccessBlock(DeletePublicAccessBlockInput): bucket;
    GetBucketPolicy(GetBucketPolicyInput): bucket;
    GetBucketPolicyStatus(GetBucketPolicyStatusInput): bucket;
    PutBucketPolicy(PutBucketPolicyInput): bucket;
    DeleteBucketPolicy(DeleteBucketPolicyInput): bucket;
    GetBucketWebsite(GetBucketWebsiteInput): bucket;
    DeleteBucketWebsite(DeleteBucketWebsiteInput): bucket;
    GetBucketReplication(GetBucketReplicationInput): bucket;
    DeleteBucketReplication(DeleteBucketReplicationInput): bucket;
    GetBucketAccelerateConfiguration(GetBucketAccelerateConfigurationInput): bucket;
    GetBucketLogging(GetBucketLoggingInput): bucket;
    PutBucketLogging(PutBucketLoggingInput): bucket;
    GetBucketNotificationConfiguration(GetBucketNotificationConfigurationInput): bucket;
    PutBucketNotificationConfiguration(PutBucketNotificationConfigurationInput): bucket;
    GetBucketRequestPayment(GetBucketRequestPaymentInput): bucket;
    PutBucketRequestPayment(PutBucketRequestPaymentInput): bucket;
    ListObjects(ListObjectsInput): prefix;
    ListObjectsV2(ListObjectsV2Input): prefix;
    ListObjectVersions(ListObjectVersionsInput): prefix;
    ListMultipartUploads(ListMultipartUploadsInput): prefix;
    GetObject(GetObjectInput): key;
    HeadObject(HeadObjectInput): key;
    GetObjectAttributes(GetObjectAttributesInput): key;
    GetObjectTagging(GetObjectTaggingInput): key;
    GetObjectAcl(GetObjectAclInput): key;
    GetObjectRetention(GetObjectRetentionInput): key;
    GetObjectLegalHold(GetObjectLegalHoldInput): key;
    PutObject(PutObjectInput): key;
    PutObjectTagging(PutObjectTaggingInput): key;
    DeleteObjectTagging(DeleteObjectTaggingInput): key;
    PutObjectAcl(PutObjectAclInput): key;
    PutObjectRetention(PutObjectRetentionInput): bypassing key;
    PutObjectLegalHold(PutObjectLegalHoldInput): ending key;
    CreateMultipartUpload(CreateMultipartUploadInput): key;
    UploadPart(UploadPartInput): key;
    CompleteMultipartUpload(CompleteMultipartUploadInput): key;
    AbortMultipartUpload(AbortMultipartUploadInput): key;
    ListParts(ListPartsInput): key;
    CopyObject(CopyObjectInput): copying key;
    UploadPartCopy(UploadPartCopyInput): copying key;
    DeleteObject(DeleteObjectInput): bypassing key;
    DeleteObjects(DeleteObjectsInput): bypassing bucket;
}

/// Whatever does not place a hold ends one.
fn ends_hold(hold: Option<&dto::ObjectLockLegalHold>) -> bool {
    let status = hold.and_then(|hold| hold.status.as_ref());
    status.is_none_or(|status| status.as_str() != dto::ObjectLockLegalHoldStatus::ON)
}

fn source(source: &dto::CopySource) -> Result<(&str, &str), OpError> {
    match source {
        dto::CopySource::Bucket { bucket, key, .. } => Ok((bucket, key)),
        _ => Err(OpError::not_implemented(
            "Copies from access points are not supported.",
        )),
    }
}
