//! Whether listings of versions lose anything at the boundaries of their pages: a purge, an inventory and clients rest on them.

use super::bench::{Bench, NOBODY};
use super::{Findings, answered};
use crate::region::{
    PutCondition, RegionError, RegionStore as _, VersionListRequest, VersionListing, VersionPaging,
};

/// Where the order of bytes and that of a tree of directories part: `a!1` is before `a/1` in the one and behind it in the other.
const KEYS: [&str; 9] = [
    "pages/a",
    "pages/a 1/x",
    "pages/a!1",
    "pages/a!2",
    "pages/a-1",
    "pages/a/1",
    "pages/a/1/y",
    "pages/a/2",
    "pages/a0",
];
const PAGES_MAX: usize = 100;

/// A version, as far as it must be the same in all listings.
type Listed = (String, String);

pub(super) async fn paging(
    bench: &Bench,
    findings: &mut Findings,
) -> Result<VersionPaging, RegionError> {
    for key in KEYS {
        // Where no object may lie below another, the rest still tells.
        let at = bench.at_versioned(key)?;
        for bytes in ["first", "second"] {
            let _ = answered(bench.put(&at, bytes, PutCondition::Always).await)?;
        }
    }
    let bucket = &bench.versioned;
    let plain = async |request: VersionListRequest| {
        let profile = crate::region::RegionProfile {
            version_paging: Some(VersionPaging::Exact),
            ..bench.store.profile().clone()
        };
        let store = bench.store.with_profile(profile);
        store.list_versions(NOBODY, bucket, &request).await
    };
    let by_prefix =
        async |request: VersionListRequest| bench.store.walk_versions(bucket, &request, 2).await;
    let whole = answered(pages(1_000, &plain).await)?.unwrap_or_default();
    let is_whole = |paged: Option<Vec<Listed>>| !whole.is_empty() && paged.as_ref() == Some(&whole);
    if is_whole(answered(pages(1, &plain).await)?) {
        return Ok(VersionPaging::Exact);
    }
    if is_whole(answered(pages(3, &by_prefix).await)?) {
        findings.note(
            false,
            "listings of versions lose keys between pages; the gateway lists prefix by prefix instead, which takes more requests",
        );
        return Ok(VersionPaging::ByPrefix);
    }
    findings.note(
        false,
        "listings of versions lose keys between pages; those past the first page are answered with 501, and an inventory of more is partial",
    );
    Ok(VersionPaging::FirstOnly)
}

/// All versions by pages of so many, in the order of bytes.
async fn pages(
    keys_max: usize,
    list: &impl AsyncFn(VersionListRequest) -> Result<VersionListing, RegionError>,
) -> Result<Vec<Listed>, RegionError> {
    let mut request = VersionListRequest {
        prefix: "pages/".to_owned(),
        keys_max,
        ..VersionListRequest::default()
    };
    let mut listed = Vec::new();
    for _ in 0..PAGES_MAX {
        let page = list(request.clone()).await?;
        let versions = page.versions.into_iter();
        listed.extend(versions.map(|one| (one.object.key, one.version.0)));
        if page.next_key_marker.is_none() {
            break;
        }
        request.key_marker = page.next_key_marker;
        request.version_marker = page.next_version_marker;
    }
    listed.sort();
    Ok(listed)
}
