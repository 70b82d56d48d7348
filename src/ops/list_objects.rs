//! ListObjects (v1 and v2) and ListObjectVersions: the store's pages with plaintext sizes and the clients' ETags.

use crate::clock::UnixMs;
use crate::ops::error::OpError;
use crate::ops::etag::ClientEtag;
use crate::ops::scope::BucketScope;
use crate::region::{ListRequest, ListedObject, RegionProfile, VersionId, VersionListRequest};
use lethe_envelope::layout;

/// One listed object as clients see it.
pub struct PlainObject {
    /// Its key.
    pub key: String,
    /// Its plaintext length; the stored one for an object that Lethe did not write.
    pub plaintext_bytes: u64,
    /// Its ETag.
    pub etag: ClientEtag,
    /// When it was written.
    pub last_modified: UnixMs,
}

impl From<ListedObject> for PlainObject {
    fn from(listed: ListedObject) -> Self {
        Self {
            plaintext_bytes: layout::plaintext_len_of_stored(listed.stored_bytes)
                .unwrap_or(listed.stored_bytes),
            etag: ClientEtag::from_upstream(&listed.etag),
            key: listed.key,
            last_modified: listed.last_modified,
        }
    }
}

/// One page of objects.
#[derive(Default)]
pub struct PlainListing {
    /// Objects.
    pub objects: Vec<PlainObject>,
    /// Common prefixes.
    pub common_prefixes: Vec<String>,
    /// Where the next page begins.
    pub next_start_after: Option<String>,
}

/// One version or delete marker.
pub struct PlainVersion {
    /// The object.
    pub object: PlainObject,
    /// Its version.
    pub version: VersionId,
    /// Whether it is the newest.
    pub is_latest: bool,
    /// Whether it is a delete marker.
    pub delete_marker: bool,
}

/// One page of versions.
#[derive(Default)]
pub struct PlainVersionListing {
    /// Versions and delete markers.
    pub versions: Vec<PlainVersion>,
    /// Common prefixes.
    pub common_prefixes: Vec<String>,
    /// The next page's key marker.
    pub next_key_marker: Option<String>,
    /// The next page's version marker.
    pub next_version_marker: Option<VersionId>,
}

/// Stores that list out of byte order walk a tree of directories, and fold at its slashes only.
fn check_delimiter(store: &RegionProfile, delimiter: Option<&str>) -> Result<(), OpError> {
    let in_order = store.keys.byte_order;
    match delimiter {
        Some(other) if other != "/" && !in_order => Err(OpError::not_implemented(
            "This region's store folds listings at '/' only: use that delimiter, or none.",
        )),
        _ => Ok(()),
    }
}

/// One page of current objects.
///
/// # Errors
/// What the store answers.
pub async fn list_objects(
    scope: &BucketScope,
    request: &ListRequest,
) -> Result<PlainListing, OpError> {
    if request.keys_max == 0 {
        return Ok(PlainListing::default());
    }
    check_delimiter(scope.region.store.profile(), request.delimiter.as_deref())?;
    let page = scope
        .region
        .store
        .list(scope.tenant, &scope.bucket.upstream, request)
        .await?;
    Ok(PlainListing {
        objects: page.objects.into_iter().map(PlainObject::from).collect(),
        common_prefixes: page.common_prefixes,
        next_start_after: page.next_start_after,
    })
}

/// One page of versions and delete markers.
///
/// # Errors
/// What the store answers.
pub async fn list_versions(
    scope: &BucketScope,
    request: &VersionListRequest,
) -> Result<PlainVersionListing, OpError> {
    if request.keys_max == 0 {
        return Ok(PlainVersionListing::default());
    }
    check_delimiter(scope.region.store.profile(), request.delimiter.as_deref())?;
    let page = scope
        .region
        .store
        .list_versions(scope.tenant, &scope.bucket.upstream, request)
        .await?;
    let plain = |listed: crate::region::ListedVersion| PlainVersion {
        object: listed.object.into(),
        version: listed.version,
        is_latest: listed.is_latest,
        delete_marker: listed.delete_marker,
    };
    Ok(PlainVersionListing {
        versions: page.versions.into_iter().map(plain).collect(),
        common_prefixes: page.common_prefixes,
        next_key_marker: page.next_key_marker,
        next_version_marker: page.next_version_marker,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::error::Code;

    #[test]
    fn delimiter_other_than_slash_needs_a_store_that_lists_in_byte_order() {
        let in_order = crate::ops::testing::profile();
        let mut in_a_tree = in_order.clone();
        in_a_tree.keys.byte_order = false;
        for delimiter in [None, Some("/")] {
            assert!(check_delimiter(&in_a_tree, delimiter).is_ok());
        }
        assert!(check_delimiter(&in_order, Some("-")).is_ok());
        let refused = check_delimiter(&in_a_tree, Some("-")).unwrap_err();
        assert_eq!(refused.code(), Code::NotImplemented);
    }
}
