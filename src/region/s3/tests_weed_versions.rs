//! Versions against SeaweedFS, called by `tests_weed`.

use super::tests_weed::{Bench, TENANT};
use crate::region::{
    DeleteRequest, GetRequest, RegionError, RegionStore, VersionId, VersionListRequest, Versioning,
};
use std::collections::BTreeSet;

pub(super) async fn versions_are_told_apart(bench: &Bench) {
    bench
        .store
        .set_versioning(TENANT, &bench.bucket, Versioning::Enabled)
        .await
        .unwrap();
    let first = bench.put("v", b"1").await.version.unwrap();
    let second = bench.put("v", b"22").await.version.unwrap();
    let marker = bench
        .store
        .delete(TENANT, &bench.at("v"), &DeleteRequest::default())
        .await
        .unwrap();
    assert!(marker.delete_marker);
    let old = GetRequest {
        version: Some(first.clone()),
        ..GetRequest::default()
    };
    assert_eq!(bench.read("v", &old).await.unwrap(), b"1");
    let gone = bench.read("v", &GetRequest::default()).await;
    assert!(
        matches!(
            gone,
            Err(RegionError::NotFound { .. } | RegionError::DeleteMarker { .. })
        ),
        "{gone:?}"
    );

    let mut request = VersionListRequest {
        keys_max: 2,
        ..VersionListRequest::default()
    };
    let mut found = Vec::new();
    loop {
        let page = bench
            .store
            .list_versions(TENANT, &bench.bucket, &request)
            .await
            .unwrap();
        found.extend(page.versions);
        request.key_marker = page.next_key_marker;
        request.version_marker = page.next_version_marker;
        if request.key_marker.is_none() {
            break;
        }
    }
    let told: Vec<_> = found
        .iter()
        .map(|v| {
            (
                v.version.clone(),
                v.is_latest,
                v.delete_marker,
                v.object.stored_bytes,
            )
        })
        .collect();
    let marker = marker.version.unwrap();
    assert_eq!(
        told,
        [
            (marker.clone(), true, true, 0),
            (second, false, false, 2),
            (first.clone(), false, false, 1)
        ]
    );
    let one = DeleteRequest {
        version: Some(marker),
        ..DeleteRequest::default()
    };
    bench
        .store
        .delete(TENANT, &bench.at("v"), &one)
        .await
        .unwrap();
    assert_eq!(
        bench.read("v", &GetRequest::default()).await.unwrap(),
        b"22"
    );
    bench
        .store
        .set_versioning(TENANT, &bench.bucket, Versioning::Suspended)
        .await
        .unwrap();
    assert_eq!(
        bench.store.versioning(TENANT, &bench.bucket).await.unwrap(),
        Versioning::Suspended
    );
    let off = bench
        .store
        .set_versioning(TENANT, &bench.bucket, Versioning::Off)
        .await;
    assert!(
        matches!(off, Err(RegionError::Unsupported { .. })),
        "{off:?}"
    );
}

/// Keys whose order in a tree of directories is not that of their bytes, with objects from before the versions.
pub(super) async fn versions_are_listed_once_by_pages_of_any_size(bench: &Bench) {
    let mut wanted = BTreeSet::new();
    let mut put = async |key: &str| {
        let version = bench.put(key, b"x").await.version;
        let version = version.unwrap_or_else(|| VersionId("null".to_owned()));
        wanted.insert((key.to_owned(), version.0));
    };
    for key in ["null0", "a-n", "ab/n", "ab/x!0"] {
        put(key).await;
    }
    let (store, bucket) = (&bench.store, &bench.bucket);
    let on = store.set_versioning(TENANT, bucket, Versioning::Enabled);
    on.await.unwrap();
    for name in ["a", "a b", "ab"] {
        for sign in ["!", "/", "-", ".", " ", "0", "/x/", "/x!"] {
            for number in 0..4 {
                put(&format!("{name}{sign}{number}")).await;
            }
        }
    }
    for key in [
        "a", "ab", "a/x", "é/1", "é!1", "z/a/b/c", "z/a!b", "z", "a-n",
    ] {
        put(key).await;
        put(key).await;
    }
    assert_eq!(wanted.len(), 118);
    for (page_keys, keys_max) in [
        (1_000, 7),
        (1_000, 50),
        (1_000, 1_000),
        (20, 7),
        (20, 1_000),
    ] {
        let mut found = Vec::new();
        let mut request = VersionListRequest {
            keys_max,
            ..VersionListRequest::default()
        };
        loop {
            let page = store.walk_versions(bucket, &request, page_keys).await;
            let page = page.unwrap();
            assert!(page.versions.len() <= keys_max);
            found.extend(
                page.versions
                    .into_iter()
                    .map(|v| (v.object.key, v.version.0)),
            );
            if page.next_key_marker.is_none() {
                break;
            }
            request.key_marker = page.next_key_marker;
            request.version_marker = page.next_version_marker;
        }
        let at = format!("pages of {keys_max} made of {page_keys}");
        assert!(found.is_sorted_by_key(|(key, _)| key), "{at}");
        assert_eq!(found.len(), wanted.len(), "{at}");
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), wanted, "{at}");
    }
}
