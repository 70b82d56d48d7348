//! ListObjects (v1 and v2) and ListObjectVersions: the store's pages with plaintext sizes and the clients' ETags.

use crate::clock::UnixMs;
use crate::ops::error::OpError;
use crate::ops::etag::ClientEtag;
use crate::ops::folding;
use crate::ops::scope::BucketScope;
use crate::region::{
    self, ListRequest, ListedObject, RegionProfile, VersionId, VersionListRequest,
};
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

/// The delimiter at which the gateway must fold, the store being one that does so at slashes only.
fn folded_here<'a>(store: &RegionProfile, delimiter: Option<&'a str>) -> Option<&'a str> {
    delimiter.filter(|delimiter| *delimiter != "/" && !store.keys.byte_order)
}

/// Whether the region keeps no key that begins with a prefix. It isn't asked then: a store that changes such keys lists what is under
/// another name.
#[must_use]
pub fn is_of_no_key(scope: &BucketScope, prefix: &str) -> bool {
    region::prefix_of_no_key(&scope.region.store.profile().keys, prefix)
}

/// One page of current objects.
///
/// # Errors
/// What the store answers.
pub async fn list_objects(
    scope: &BucketScope,
    request: &ListRequest,
) -> Result<PlainListing, OpError> {
    if request.keys_max == 0 || is_of_no_key(scope, &request.prefix) {
        return Ok(PlainListing::default());
    }
    let store = &scope.region.store;
    let page = match folded_here(store.profile(), request.delimiter.as_deref()) {
        Some(delimiter) => folding::objects(scope, request, delimiter, folding::BOUNDS).await?,
        None => {
            let upstream = &scope.bucket.upstream;
            store.list(scope.tenant, upstream, request).await?
        }
    };
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
    if request.keys_max == 0 || is_of_no_key(scope, &request.prefix) {
        return Ok(PlainVersionListing::default());
    }
    let store = &scope.region.store;
    let page = match folded_here(store.profile(), request.delimiter.as_deref()) {
        Some(delimiter) => folding::versions(scope, request, delimiter, folding::BOUNDS).await?,
        None => {
            let upstream = &scope.bucket.upstream;
            store.list_versions(scope.tenant, upstream, request).await?
        }
    };
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

    #[test]
    fn store_that_lists_in_a_tree_folds_at_slashes_only() {
        let in_order = crate::ops::testing::profile();
        let mut in_a_tree = in_order.clone();
        in_a_tree.keys.byte_order = false;
        for delimiter in [None, Some("/")] {
            assert_eq!(folded_here(&in_a_tree, delimiter), None);
        }
        assert_eq!(folded_here(&in_order, Some("-")), None);
        assert_eq!(folded_here(&in_a_tree, Some("-")), Some("-"));
    }
}
