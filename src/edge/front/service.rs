//! The table of supported operations: each goes to its function. Every other one answers 501 by s3s's own default.

use super::{
    Front, attributes, buckets, copies, listings, locks, multipart, object_tags_and_acls, objects,
    uploads,
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
}
