//! The table of supported operations: each goes to its function. Every other one answers 501 by s3s's own default.

use super::{
    Front, attributes, bucket_settings, buckets, copies, listings, multipart, object_tags_and_acls,
    objects, uploads,
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
    get_bucket_encryption(GetBucketEncryptionInput) -> GetBucketEncryptionOutput = bucket_settings::encryption;
    put_bucket_encryption(PutBucketEncryptionInput) -> PutBucketEncryptionOutput = bucket_settings::put_encryption;
    delete_bucket_encryption(DeleteBucketEncryptionInput) -> DeleteBucketEncryptionOutput = bucket_settings::delete_encryption;
    get_bucket_ownership_controls(GetBucketOwnershipControlsInput) -> GetBucketOwnershipControlsOutput = bucket_settings::ownership;
    put_bucket_ownership_controls(PutBucketOwnershipControlsInput) -> PutBucketOwnershipControlsOutput = bucket_settings::put_ownership;
    delete_bucket_ownership_controls(DeleteBucketOwnershipControlsInput) -> DeleteBucketOwnershipControlsOutput = bucket_settings::delete_ownership;
    get_public_access_block(GetPublicAccessBlockInput) -> GetPublicAccessBlockOutput = bucket_settings::public_access;
    put_public_access_block(PutPublicAccessBlockInput) -> PutPublicAccessBlockOutput = bucket_settings::put_public_access;
    delete_public_access_block(DeletePublicAccessBlockInput) -> DeletePublicAccessBlockOutput = bucket_settings::delete_public_access;
    get_bucket_policy(GetBucketPolicyInput) -> GetBucketPolicyOutput = bucket_settings::policy;
    get_bucket_policy_status(GetBucketPolicyStatusInput) -> GetBucketPolicyStatusOutput = bucket_settings::policy_status;
    delete_bucket_policy(DeleteBucketPolicyInput) -> DeleteBucketPolicyOutput = bucket_settings::delete_policy;
    get_bucket_website(GetBucketWebsiteInput) -> GetBucketWebsiteOutput = bucket_settings::website;
    delete_bucket_website(DeleteBucketWebsiteInput) -> DeleteBucketWebsiteOutput = bucket_settings::delete_website;
    get_bucket_replication(GetBucketReplicationInput) -> GetBucketReplicationOutput = bucket_settings::replication;
    delete_bucket_replication(DeleteBucketReplicationInput) -> DeleteBucketReplicationOutput = bucket_settings::delete_replication;
    get_bucket_accelerate_configuration(GetBucketAccelerateConfigurationInput) -> GetBucketAccelerateConfigurationOutput = bucket_settings::acceleration;
    get_bucket_logging(GetBucketLoggingInput) -> GetBucketLoggingOutput = bucket_settings::logging;
    put_bucket_logging(PutBucketLoggingInput) -> PutBucketLoggingOutput = bucket_settings::put_logging;
    get_bucket_notification_configuration(GetBucketNotificationConfigurationInput) -> GetBucketNotificationConfigurationOutput = bucket_settings::notification;
    put_bucket_notification_configuration(PutBucketNotificationConfigurationInput) -> PutBucketNotificationConfigurationOutput = bucket_settings::put_notification;
    get_bucket_request_payment(GetBucketRequestPaymentInput) -> GetBucketRequestPaymentOutput = bucket_settings::request_payment;
    put_bucket_request_payment(PutBucketRequestPaymentInput) -> PutBucketRequestPaymentOutput = bucket_settings::put_request_payment;
}
