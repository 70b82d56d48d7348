//! Upstream buckets.

use super::S3Store;
use super::errors::{Call, from_sdk};
use super::retry::until_done;
use crate::region::{
    ListRequest, ListedVersion, Missing, RegionError, UpstreamBucket, VersionListRequest,
    Versioning,
};
use aws_sdk_s3::types::{
    BucketLocationConstraint, BucketVersioningStatus, CreateBucketConfiguration,
    VersioningConfiguration,
};

/// The region that S3 wants no LocationConstraint for.
const UNNAMED_REGION: &str = "us-east-1";

impl S3Store {
    pub(super) async fn make_bucket(
        &self,
        bucket: &UpstreamBucket,
        with_lock: bool,
    ) -> Result<(), RegionError> {
        let call = Call::write("create_bucket", Missing::Bucket);
        let place = (self.region != UNNAMED_REGION).then(|| {
            CreateBucketConfiguration::builder()
                .location_constraint(BucketLocationConstraint::from(self.region.as_str()))
                .build()
        });
        let made = until_done(&self.retries, || async {
            self.sdk
                .create_bucket()
                .bucket(bucket.as_str())
                .set_create_bucket_configuration(place.clone())
                .set_object_lock_enabled_for_bucket(with_lock.then_some(true))
                .send()
                .await
                .map_err(|error| from_sdk(call, error))
        })
        .await;
        match made {
            Ok(_) => Ok(()),
            Err(RegionError::Refused { code, .. }) if code == "BucketAlreadyOwnedByYou" => Ok(()),
            // Some stores say only that the name is taken: ours if it is among our buckets.
            Err(RegionError::Refused { status, code, .. }) if code == "BucketAlreadyExists" => {
                let name = bucket.as_str();
                let ours = self.own_buckets(name).await?;
                if ours.iter().any(|found| found == name) {
                    Ok(())
                } else {
                    Err(call.refused(status, &code))
                }
            }
            Err(error) => Err(error),
        }
    }

    /// The names of this account's buckets that begin so, in one answer's worth.
    pub(in crate::region) async fn own_buckets(
        &self,
        prefix: &str,
    ) -> Result<Vec<String>, RegionError> {
        let call = Call::read("list_buckets", Missing::Bucket);
        let listed = until_done(&self.retries, || async {
            self.sdk
                .list_buckets()
                .prefix(prefix)
                .send()
                .await
                .map_err(|error| from_sdk(call, error))
        })
        .await?;
        let names = listed.buckets.unwrap_or_default().into_iter();
        Ok(names
            .filter_map(|bucket| bucket.name)
            .filter(|name| name.starts_with(prefix))
            .collect())
    }

    /// Whether the bucket holds versions or delete markers, which a listing of current objects does not show. `null` markers don't
    /// count: SeaweedFS can't delete them, and other stores refuse by themselves to delete a bucket that has one.
    async fn has_versions(&self, bucket: &UpstreamBucket) -> Result<bool, RegionError> {
        let first = VersionListRequest {
            keys_max: 1000,
            ..VersionListRequest::default()
        };
        let counts = |listed: &ListedVersion| !listed.delete_marker || listed.version.0 != "null";
        match self.list_object_versions(bucket, &first).await {
            Ok(page) => Ok(page.versions.iter().any(counts) || page.next_key_marker.is_some()),
            // A store that can't list versions has none.
            Err(RegionError::Unsupported { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn drop_bucket(&self, bucket: &UpstreamBucket) -> Result<(), RegionError> {
        let call = Call::write("delete_bucket", Missing::Bucket);
        // SeaweedFS deletes a bucket with all that is in it unless told otherwise: never rely on the store alone.
        let one = ListRequest {
            keys_max: 1,
            ..ListRequest::default()
        };
        match self.list_objects(bucket, &one).await {
            Ok(page) if page.objects.is_empty() && page.next_start_after.is_none() => {}
            Ok(_) => {
                return Err(RegionError::BucketNotEmpty {
                    operation: call.operation,
                });
            }
            Err(RegionError::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
        if self.profile.versioning && self.has_versions(bucket).await? {
            return Err(RegionError::BucketNotEmpty {
                operation: call.operation,
            });
        }
        match self.drop_bucket_unseen(bucket).await {
            Ok(()) | Err(RegionError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// DeleteBucket and nothing before it: what becomes of what the bucket holds is the store's.
    pub(in crate::region) async fn drop_bucket_unseen(
        &self,
        bucket: &UpstreamBucket,
    ) -> Result<(), RegionError> {
        let call = Call::write("delete_bucket", Missing::Bucket);
        until_done(&self.retries, || async {
            self.sdk
                .delete_bucket()
                .bucket(bucket.as_str())
                .send()
                .await
                .map_err(|error| from_sdk(call, error))
        })
        .await
        .map(drop)
    }

    pub(super) async fn has_bucket(&self, bucket: &UpstreamBucket) -> Result<bool, RegionError> {
        let call = Call::read("bucket_exists", Missing::Bucket);
        let found = until_done(&self.retries, || async {
            self.sdk
                .head_bucket()
                .bucket(bucket.as_str())
                .send()
                .await
                .map_err(|error| from_sdk(call, error))
        })
        .await;
        match found {
            Ok(_) => Ok(true),
            Err(RegionError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn bucket_versioning(
        &self,
        bucket: &UpstreamBucket,
    ) -> Result<Versioning, RegionError> {
        let call = Call::read("versioning", Missing::Bucket);
        let found = until_done(&self.retries, || async {
            self.sdk
                .get_bucket_versioning()
                .bucket(bucket.as_str())
                .send()
                .await
                .map_err(|error| from_sdk(call, error))
        })
        .await?;
        match found.status {
            None => Ok(Versioning::Off),
            Some(BucketVersioningStatus::Enabled) => Ok(Versioning::Enabled),
            Some(BucketVersioningStatus::Suspended) => Ok(Versioning::Suspended),
            Some(_) => Err(call.lying("an unknown state of versioning")),
        }
    }

    pub(super) async fn set_bucket_versioning(
        &self,
        bucket: &UpstreamBucket,
        state: Versioning,
    ) -> Result<(), RegionError> {
        let call = Call::write("set_versioning", Missing::Bucket);
        let status = match state {
            Versioning::Enabled => BucketVersioningStatus::Enabled,
            Versioning::Suspended => BucketVersioningStatus::Suspended,
            // S3 has no way back to a bucket that was never versioned.
            Versioning::Off => {
                return match self.bucket_versioning(bucket).await? {
                    Versioning::Off => Ok(()),
                    Versioning::Enabled | Versioning::Suspended => Err(RegionError::Unsupported {
                        operation: call.operation,
                        what: "turning versioning off for good",
                    }),
                };
            }
        };
        let wanted = VersioningConfiguration::builder().status(status).build();
        until_done(&self.retries, || async {
            self.sdk
                .put_bucket_versioning()
                .bucket(bucket.as_str())
                .versioning_configuration(wanted.clone())
                .send()
                .await
                .map_err(|error| from_sdk(call, error))
        })
        .await?;
        Ok(())
    }
}
