//! The table of supported operations: each goes to its function. Every other one answers 501 by s3s's own default.

use super::{
    Front, attributes, bucket_settings, buckets, copies, fixed_settings, lifecycle, listings,
    locks, multipart, object_tags_and_acls, objects, uploads,
};
use s3s::dto;
use s3s::{S3, S3Request, S3Response, S3Result};

macro_rules! operations {
    ($($method:ident($input:ident) -> $output:ident = $work:path;)+) => {
        #[async_trait::async_trait]
        impl S3 for Front {
            $(
                async fn $method(&self, request: S3Request<dto::$input>) -> S3Result<S3Response<dto::$output>> {
                    self.run(request, $work).await
                }
            )+
        }
    };
}

operations! {
    put_object(PutObjectInput) -> PutObjectOutput = objects::put;
    get_object(GetObjectInput) -> GetObjectOutput = objects::get;
    head_object(HeadObjectInput) -> HeadObjectOutput = objects::head;
    delete_object(DeleteObjectInput) -> DeleteObjectOutput = objects::delete;
    delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput = objects::delete_list;
    copy_object(CopyObjectInput) -> CopyObjectOutput = copies::copy;
    get_object_attributes(GetObjectAttributesInput) -> GetObjectAttributesOutput = attributes::attributes;
    get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput = object_tags_and_acls::get_tags;
    put_object_tagging(PutObjectTaggingInput) -> PutObjectTaggingOutput = object_tags_and_acls::put_tags;
    delete_object_tagging(DeleteObjectTaggingInput) -> DeleteObjectTaggingOutput = object_tags_and_acls::delete_tags;
    get_object_acl(GetObjectAclInput) -> GetObjectAclOutput = object_tags_and_acls::get_acl;
    put_object_acl(PutObjectAclInput) -> PutObjectAclOutput = object_tags_and_acls::put_acl;
    get_object_lock_configuration(GetObjectLockConfigurationInput) -> GetObjectLockConfigurationOutput = locks::get_configuration;
    put_object_lock_configuration(PutObjectLockConfigurationInput) -> PutObjectLockConfigurationOutput = locks::put_configuration;
    get_object_retention(GetObjectRetentionInput) -> GetObjectRetentionOutput = locks::get_retention;
    put_object_retention(PutObjectRetentionInput) -> PutObjectRetentionOutput = locks::put_retention;
    get_object_legal_hold(GetObjectLegalHoldInput) -> GetObjectLegalHoldOutput = locks::get_legal_hold;
    put_object_legal_hold(PutObjectLegalHoldInput) -> PutObjectLegalHoldOutput = locks::put_legal_hold;
    list_objects(ListObjectsInput) -> ListObjectsOutput = listings::v1;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output = listings::v2;
    list_object_versions(ListObjectVersionsInput) -> ListObjectVersionsOutput = listings::versions;
    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput = multipart::create;
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput = multipart::abort;
    upload_part(UploadPartInput) -> UploadPartOutput = multipart::part;
    upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput = copies::part;
    complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput = multipart::complete;
    list_parts(ListPartsInput) -> ListPartsOutput = multipart::list_parts;
    list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput = uploads::list;
    create_bucket(CreateBucketInput) -> CreateBucketOutput = buckets::create;
    delete_bucket(DeleteBucketInput) -> DeleteBucketOutput = buckets::delete;
    head_bucket(HeadBucketInput) -> HeadBucketOutput = buckets::head;
    list_buckets(ListBucketsInput) -> ListBucketsOutput = buckets::list;
    get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput = buckets::location;
    get_bucket_versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput = buckets::get_versioning;
    put_bucket_versioning(PutBucketVersioningInput) -> PutBucketVersioningOutput = buckets::put_versioning;
    get_bucket_acl(GetBucketAclInput) -> GetBucketAclOutput = buckets::get_acl;
    put_bucket_acl(PutBucketAclInput) -> PutBucketAclOutput = buckets::put_acl;
    get_bucket_tagging(GetBucketTaggingInput) -> GetBucketTaggingOutput = bucket_settings::get_tags;
    put_bucket_tagging(PutBucketTaggingInput) -> PutBucketTaggingOutput = bucket_settings::put_tags;
    delete_bucket_tagging(DeleteBucketTaggingInput) -> DeleteBucketTaggingOutput = bucket_settings::delete_tags;
    get_bucket_cors(GetBucketCorsInput) -> GetBucketCorsOutput = bucket_settings::get_cors;
    put_bucket_cors(PutBucketCorsInput) -> PutBucketCorsOutput = bucket_settings::put_cors;
    delete_bucket_cors(DeleteBucketCorsInput) -> DeleteBucketCorsOutput = bucket_settings::delete_cors;
    get_bucket_lifecycle_configuration(GetBucketLifecycleConfigurationInput) -> GetBucketLifecycleConfigurationOutput = lifecycle::get;
    put_bucket_lifecycle_configuration(PutBucketLifecycleConfigurationInput) -> PutBucketLifecycleConfigurationOutput = lifecycle::put;
    delete_bucket_lifecycle(DeleteBucketLifecycleInput) -> DeleteBucketLifecycleOutput = lifecycle::delete;
    get_bucket_encryption(GetBucketEncryptionInput) -> GetBucketEncryptionOutput = fixed_settings::encryption;
    put_bucket_encryption(PutBucketEncryptionInput) -> PutBucketEncryptionOutput = fixed_settings::put_encryption;
    delete_bucket_encryption(DeleteBucketEncryptionInput) -> DeleteBucketEncryptionOutput = fixed_settings::delete_encryption;
    get_bucket_ownership_controls(GetBucketOwnershipControlsInput) -> GetBucketOwnershipControlsOutput = fixed_settings::ownership;
    put_bucket_ownership_controls(PutBucketOwnershipControlsInput) -> PutBucketOwnershipControlsOutput = fixed_settings::put_ownership;
    delete_bucket_ownership_controls(DeleteBucketOwnershipControlsInput) -> DeleteBucketOwnershipControlsOutput = fixed_settings::delete_ownership;
    get_public_access_block(GetPublicAccessBlockInput) -> GetPublicAccessBlockOutput = fixed_settings::public_access;
    put_public_access_block(PutPublicAccessBlockInput) -> PutPublicAccessBlockOutput = fixed_settings::put_public_access;
    delete_public_access_block(DeletePublicAccessBlockInput) -> DeletePublicAccessBlockOutput = fixed_settings::delete_public_access;
    get_bucket_policy(GetBucketPolicyInput) -> GetBucketPolicyOutput = fixed_settings::policy;
    get_bucket_policy_status(GetBucketPolicyStatusInput) -> GetBucketPolicyStatusOutput = fixed_settings::policy_status;
    delete_bucket_policy(DeleteBucketPolicyInput) -> DeleteBucketPolicyOutput = fixed_settings::delete_policy;
    get_bucket_website(GetBucketWebsiteInput) -> GetBucketWebsiteOutput = fixed_settings::website;
    delete_bucket_website(DeleteBucketWebsiteInput) -> DeleteBucketWebsiteOutput = fixed_settings::delete_website;
    get_bucket_replication(GetBucketReplicationInput) -> GetBucketReplicationOutput = fixed_settings::replication;
    delete_bucket_replication(DeleteBucketReplicationInput) -> DeleteBucketReplicationOutput = fixed_settings::delete_replication;
    get_bucket_accelerate_configuration(GetBucketAccelerateConfigurationInput) -> GetBucketAccelerateConfigurationOutput = fixed_settings::acceleration;
    get_bucket_logging(GetBucketLoggingInput) -> GetBucketLoggingOutput = fixed_settings::logging;
    put_bucket_logging(PutBucketLoggingInput) -> PutBucketLoggingOutput = fixed_settings::put_logging;
    get_bucket_notification_configuration(GetBucketNotificationConfigurationInput) -> GetBucketNotificationConfigurationOutput = fixed_settings::notification;
    put_bucket_notification_configuration(PutBucketNotificationConfigurationInput) -> PutBucketNotificationConfigurationOutput = fixed_settings::put_notification;
    get_bucket_request_payment(GetBucketRequestPaymentInput) -> GetBucketRequestPaymentOutput = fixed_settings::request_payment;
    put_bucket_request_payment(PutBucketRequestPaymentInput) -> PutBucketRequestPaymentOutput = fixed_settings::put_request_payment;
}
