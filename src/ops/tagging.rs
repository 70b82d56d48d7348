//! Object tagging: the tags are the region's own, in the clear.

use crate::ops::error::OpError;
use crate::ops::scope::BucketScope;
use crate::region::{RegionError, VersionId};
use crate::tenants::ObjectKey;

/// An object's tags.
///
/// # Errors
/// `NoSuchKey` and its like.
pub async fn get_tags(
    scope: &BucketScope,
    key: &ObjectKey,
    version: Option<&VersionId>,
) -> Result<Vec<(String, String)>, OpError> {
    let store = &scope.region.store;
    Ok(store.tags(scope.tenant, &scope.at(key), version).await?)
}

/// Replaces an object's tags; an empty list deletes them.
///
/// # Errors
/// `NoSuchKey` and its like; a lost answer when it is lost twice.
pub async fn set_tags(
    scope: &BucketScope,
    key: &ObjectKey,
    version: Option<&VersionId>,
    tags: &[(String, String)],
) -> Result<(), OpError> {
    let (store, at) = (&scope.region.store, scope.at(key));
    match store.set_tags(scope.tenant, &at, version, tags).await {
        // Setting the same tags twice is the same as once.
        Err(RegionError::Unknown { .. }) => {
            Ok(store.set_tags(scope.tenant, &at, version, tags).await?)
        }
        outcome => Ok(outcome?),
    }
}
