//! CreateBucket, DeleteBucket and bucket versioning. Each begins with a durable step in the catalog, and every step may be repeated.

use crate::catalog::{Bucket, BucketState, BucketVersioning, NewBucket};
use crate::ops::error::{Code, OpError};
use crate::ops::gateway::{Gateway, Region};
use crate::ops::scope::{BucketScope, TenantScope, no_such_bucket};
use crate::region::{RegionError, UpstreamBucket, Versioning};
use crate::tenants::BucketName;

const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const RANDOM_CHARACTERS: usize = 26;

/// A new upstream bucket's name: `<prefix>-<26 random base32 characters>`, which tells neither tenant nor bucket.
///
/// # Errors
/// An internal error when the system has no randomness.
pub fn draw_upstream_name(prefix: &str) -> Result<UpstreamBucket, OpError> {
    let mut random = [0u8; RANDOM_CHARACTERS];
    getrandom::fill(&mut random).map_err(|error| OpError::internal(format!("cannot draw a bucket name: {error}")))?;
    let characters: String = random.iter().map(|byte| char::from(BASE32[usize::from(byte & 31)])).collect();
    Ok(UpstreamBucket::from_catalog(format!("{prefix}-{characters}")))
}

/// Creates a bucket, or finishes one whose creation was cut off.
///
/// # Errors
/// `BucketAlreadyOwnedByYou`, `TooManyBuckets`, `OperationAborted` while it is being deleted.
pub async fn create_bucket(gateway: &Gateway, scope: &TenantScope, name: BucketName) -> Result<Bucket, OpError> {
    let Region { name: region, store, bucket_prefix, .. } = &*scope.region;
    let new = NewBucket {
        name: name.clone(),
        region: region.clone(),
        upstream: draw_upstream_name(bucket_prefix)?,
        created: gateway.clock.now(),
    };
    let catalog = &scope.domain.catalog;
    let bucket = catalog.begin_bucket(scope.tenant, &new, gateway.limits.buckets_max).await?;
    match bucket.state {
        BucketState::Active => {
            return Err(OpError::new(
                Code::BucketAlreadyOwnedByYou,
                "Your previous request to create the named bucket succeeded and you already own it.",
            ));
        }
        BucketState::Deleting => {
            return Err(OpError::new(Code::OperationAborted, "The bucket is being deleted. Please retry."));
        }
        BucketState::Creating => {}
    }
    store.create_bucket(scope.tenant, &bucket.upstream).await?;
    catalog.move_bucket(scope.tenant, &name, &[BucketState::Creating], BucketState::Active).await?;
    Ok(bucket)
}

/// Deletes an empty bucket.
///
/// # Errors
/// `BucketNotEmpty` when it holds objects, versions or open uploads.
pub async fn delete_bucket(scope: &TenantScope, name: &BucketName) -> Result<(), OpError> {
    let (catalog, store) = (&scope.domain.catalog, &scope.region.store);
    let bucket = catalog.bucket(scope.tenant, name).await?;
    if bucket.state == BucketState::Creating {
        return Err(no_such_bucket());
    }
    if catalog.bucket_has_uploads(scope.tenant, name).await? {
        return Err(OpError::new(
            Code::BucketNotEmpty,
            "The bucket has multipart uploads in progress: complete or abort them first.",
        ));
    }
    catalog.move_bucket(scope.tenant, name, &[BucketState::Active, BucketState::Deleting], BucketState::Deleting).await?;
    match store.delete_bucket(scope.tenant, &bucket.upstream).await {
        Ok(()) => {}
        Err(error @ RegionError::BucketNotEmpty { .. }) => {
            catalog.move_bucket(scope.tenant, name, &[BucketState::Deleting], BucketState::Active).await?;
            return Err(error.into());
        }
        Err(error) => return Err(error.into()),
    }
    catalog.forget_bucket(scope.tenant, name).await?;
    Ok(())
}

/// Sets a bucket's versioning upstream, then records it.
///
/// # Errors
/// `NotImplemented` where the region has none.
pub async fn set_versioning(scope: &BucketScope, state: Versioning) -> Result<(), OpError> {
    if !scope.region.store.profile().versioning {
        return Err(OpError::not_implemented("This region does not support versioning."));
    }
    scope.region.store.set_versioning(scope.tenant, &scope.bucket.upstream, state).await?;
    let recorded = match state {
        Versioning::Off => BucketVersioning::Off,
        Versioning::Enabled => BucketVersioning::Enabled,
        Versioning::Suspended => BucketVersioning::Suspended,
    };
    scope.domain.catalog.set_bucket_versioning(scope.tenant, &scope.bucket.name, recorded).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstream_name_is_a_bucket_name_and_random() {
        let names: std::collections::BTreeSet<_> =
            (0..100).map(|_| draw_upstream_name("lethe").unwrap().as_str().to_owned()).collect();
        assert_eq!(names.len(), 100);
        for name in names {
            assert!(BucketName::new(name.as_str()).is_ok(), "{name}");
            assert_eq!(name.len(), "lethe-".len() + RANDOM_CHARACTERS);
        }
    }
}
