//! Versions, where the store has them.

use super::{Ground, drain, is_missing, pattern};
use crate::region::{
    DeleteRequest, GetRequest, PutCondition, RegionError, RegionStore, VersionId,
    VersionListRequest, Versioning,
};
use std::sync::Arc;

fn list_all() -> VersionListRequest {
    VersionListRequest {
        keys_max: 100,
        ..VersionListRequest::default()
    }
}

/// Objects of a bucket that was never versioned are listed with the version `null`.
pub async fn unversioned_bucket_lists_null_versions(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    ground.put("a", &pattern(1, 100)).await;
    ground.put("a", &pattern(2, 200)).await;
    let page = ground
        .store
        .list_versions(ground.tenant, &ground.bucket, &list_all())
        .await
        .expect("list_versions");
    let [only] = page.versions.as_slice() else {
        panic!("one version: {page:?}");
    };
    assert_eq!(only.object.key, "a");
    assert_eq!(only.object.stored_bytes, 200);
    assert_eq!(only.version.0, "null");
    assert!(only.is_latest && !only.delete_marker);
    assert!(page.next_key_marker.is_none());
}

/// The state set is the state told; a store without versioning says so, and stays off.
pub async fn versioning_is_kept_or_unsupported(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    let (store, tenant, bucket) = (&ground.store, ground.tenant, &ground.bucket);
    let told = store.versioning(tenant, bucket).await.expect("versioning");
    assert_eq!(told, Versioning::Off);
    for state in [Versioning::Enabled, Versioning::Suspended] {
        let set = store.set_versioning(tenant, bucket, state).await;
        let told = store.versioning(tenant, bucket).await.expect("versioning");
        if store.profile().versioning {
            set.expect("set_versioning");
            assert_eq!(told, state);
        } else {
            assert!(
                matches!(set, Err(RegionError::Unsupported { .. })),
                "{set:?}"
            );
            assert_eq!(told, Versioning::Off);
        }
    }
}

async fn version(ground: &Ground, key: &str, seed: u64) -> VersionId {
    let outcome = ground.put(key, &pattern(seed, 100)).await;
    outcome.version.expect("a version")
}

/// Overwritten and deleted objects are read by version until their version is deleted.
pub async fn versions_are_kept_and_read(store: Arc<dyn RegionStore>) {
    if !store.profile().versioning {
        return;
    }
    let ground = Ground::new(store).await;
    let (store, tenant, at) = (&ground.store, ground.tenant, ground.at("a"));
    let enabled = store.set_versioning(tenant, &ground.bucket, Versioning::Enabled);
    enabled.await.expect("set_versioning");
    let old = version(&ground, "a", 1).await;
    let new = version(&ground, "a", 2).await;
    assert_ne!(old, new);
    for (version, seed) in [(&old, 1), (&new, 2)] {
        let request = GetRequest {
            version: Some(version.clone()),
            ..GetRequest::default()
        };
        let object = ground.open("a", &request).await.expect("get");
        assert_eq!(drain(object.body).await.expect("body"), pattern(seed, 100));
    }
    let deleted = store.delete(tenant, &at, &DeleteRequest::default()).await;
    let deleted = deleted.expect("delete");
    assert!(deleted.delete_marker);
    let marker = deleted.version.expect("the marker's version");
    let head = ground.head("a").await;
    assert!(
        matches!(head, Err(RegionError::DeleteMarker { named: false, .. })) || is_missing(&head),
        "{head:?}"
    );
    let page = store
        .list_versions(tenant, &ground.bucket, &list_all())
        .await;
    let page = page.expect("list_versions");
    let listed: Vec<_> = page
        .versions
        .iter()
        .map(|v| (&v.version, v.is_latest, v.delete_marker))
        .collect();
    assert_eq!(
        listed,
        [
            (&marker, true, true),
            (&new, false, false),
            (&old, false, false)
        ]
    );
    for gone in [&marker, &new] {
        let request = DeleteRequest {
            version: Some(gone.clone()),
            condition: PutCondition::Always,
            bypass_governance: false,
        };
        store
            .delete(tenant, &at, &request)
            .await
            .expect("delete a version");
    }
    assert_eq!(ground.get("a").await.1, pattern(1, 100));
}
