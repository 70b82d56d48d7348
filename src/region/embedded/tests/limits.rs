//! Limits, tenants, the version `null`, and large listings.

use super::super::objects::Fresh;
use super::super::rows::{Extent, ObjectRow};
use super::super::tables::Lookup;
use super::super::{EmbeddedOptions, EmbeddedStore};
use super::{files_in, ground_with};
use crate::clock::UnixMs;
use crate::region::suite::{Ground, pattern, put_request};
use crate::region::{
    CopyRequest, DeleteRequest, GetRequest, HeadFields, ListRequest, Missing, PutCondition,
    RegionError, RegionStore, SourceCondition, VersionId,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[tokio::test]
async fn full_disk_refuses_writes_but_not_deletes() {
    let (ground, store, dir) = ground_with(EmbeddedOptions::default()).await;
    ground.put("a", &pattern(1, 100)).await;
    let (tenant, bucket) = (ground.tenant, ground.bucket.clone());
    drop((ground, store));
    let options = EmbeddedOptions {
        free_bytes_min: u64::MAX / 2,
        ..EmbeddedOptions::default()
    };
    let store = Arc::new(EmbeddedStore::open_with(dir.path(), options).unwrap());
    let ground = Ground {
        store: store.clone(),
        tenant,
        bucket,
    };
    let put = ground
        .put_if("a", &pattern(2, 100), PutCondition::Always)
        .await;
    let Err(RegionError::Unavailable { reason, .. }) = put else {
        panic!("{put:?}");
    };
    assert_eq!(reason, "the disk is full");
    assert_eq!(ground.get("a").await.1, pattern(1, 100));
    ground.delete("a").await;
    store.sweep().await.unwrap();
    assert_eq!(files_in(dir.path()), 0);
}

#[tokio::test]
async fn head_over_the_limits_is_refused() {
    let (ground, _store, _dir) = ground_with(EmbeddedOptions::default()).await;
    let metadata = |bytes: usize| HeadFields {
        metadata: [("x".to_owned(), "v".repeat(bytes - 1))].into(),
        ..HeadFields::default()
    };
    let tags = |count: usize| HeadFields {
        tags: (0..count).map(|n| (n.to_string(), String::new())).collect(),
        ..HeadFields::default()
    };
    let max = ground.store.profile().user_metadata_bytes_max;
    for (head, code) in [
        (metadata(max), None),
        (metadata(max + 1), Some("MetadataTooLarge")),
        (tags(10), None),
        (tags(11), Some("InvalidTag")),
    ] {
        let request = put_request(&pattern(1, 1), head);
        let put = ground
            .store
            .put(ground.tenant, &ground.at("a"), request)
            .await;
        let refused = match put {
            Ok(_) => None,
            Err(RegionError::Refused { code, .. }) => Some(code),
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(refused.as_deref(), code);
    }
}

fn is_missing_bucket<T>(result: &Result<T, RegionError>) -> bool {
    matches!(
        result,
        Err(RegionError::NotFound {
            missing: Missing::Bucket,
            ..
        })
    )
}

#[tokio::test]
async fn bucket_of_another_tenant_is_not_there() {
    let (mine, store, _dir) = ground_with(EmbeddedOptions::default()).await;
    let etag = mine.put("a", &pattern(1, 100)).await.etag;
    let upload = store
        .create_upload(mine.tenant, &mine.at("a"), &HeadFields::default())
        .await
        .unwrap();
    let own = Ground::new(store.clone()).await;
    let theirs = Ground {
        store: store.clone(),
        tenant: own.tenant,
        bucket: mine.bucket.clone(),
    };
    let (tenant, bucket, at) = (theirs.tenant, &theirs.bucket, theirs.at("a"));
    assert!(!store.bucket_exists(tenant, bucket).await.unwrap());
    assert!(is_missing_bucket(
        &theirs.open("a", &GetRequest::default()).await
    ));
    assert!(is_missing_bucket(&theirs.head("a").await));
    let put = theirs
        .put_if("a", &pattern(2, 1), PutCondition::Always)
        .await;
    assert!(is_missing_bucket(&put));
    let delete = store.delete(tenant, &at, &DeleteRequest::default()).await;
    assert!(is_missing_bucket(&delete));
    let list = store.list(tenant, bucket, &ListRequest::default()).await;
    assert!(is_missing_bucket(&list));
    assert!(is_missing_bucket(
        &store.list_parts(tenant, &at, &upload).await
    ));
    assert!(is_missing_bucket(
        &store.abort_upload(tenant, &at, &upload).await
    ));
    assert!(is_missing_bucket(&store.tags(tenant, &at, None).await));
    let request = CopyRequest {
        from: mine.at("a"),
        from_version: None,
        source: SourceCondition { etag },
        head: HeadFields::default(),
        copy_tags: true,
        condition: PutCondition::Always,
    };
    let copied = store.copy(tenant, &own.at("stolen"), &request).await;
    assert!(is_missing_bucket(&copied), "{copied:?}");
    store.delete_bucket(tenant, bucket).await.unwrap();
    let created = store.create_bucket(tenant, bucket).await;
    assert!(
        matches!(created, Err(RegionError::Refused { status: 409, .. })),
        "{created:?}"
    );
    assert_eq!(mine.get("a").await.1, pattern(1, 100));
}

#[tokio::test]
async fn upload_of_another_key_or_bucket_is_not_found() {
    let (ground, store, _dir) = ground_with(EmbeddedOptions::default()).await;
    let upload = store
        .create_upload(ground.tenant, &ground.at("a"), &HeadFields::default())
        .await
        .unwrap();
    let second = Ground::new(store.clone()).await;
    store
        .list_parts(ground.tenant, &ground.at("a"), &upload)
        .await
        .unwrap();
    for (tenant, at) in [
        (ground.tenant, ground.at("b")),
        (second.tenant, second.at("a")),
    ] {
        let listed = store.list_parts(tenant, &at, &upload).await;
        assert!(
            matches!(
                listed,
                Err(RegionError::NotFound {
                    missing: Missing::Upload,
                    ..
                })
            ),
            "{listed:?}"
        );
    }
}

#[tokio::test]
async fn version_null_is_the_object_and_others_are_not_found() {
    let (ground, store, _dir) = ground_with(EmbeddedOptions::default()).await;
    ground.put("a", &pattern(1, 100)).await;
    let (tenant, at) = (ground.tenant, ground.at("a"));
    let null = VersionId("null".to_owned());
    let other = VersionId("3sL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY".to_owned());
    let head = store.head(tenant, &at, Some(&null)).await.unwrap();
    assert_eq!(head.version, None);
    let missing = store.head(tenant, &at, Some(&other)).await;
    assert!(
        matches!(
            missing,
            Err(RegionError::NotFound {
                missing: Missing::Version,
                ..
            })
        ),
        "{missing:?}"
    );
    for (version, deletes) in [(other, false), (null, true)] {
        let request = DeleteRequest {
            version: Some(version),
            condition: PutCondition::Always,
            bypass_governance: false,
        };
        let deleted = store.delete(tenant, &at, &request).await;
        assert_eq!(deleted.is_ok(), deletes, "{deleted:?}");
    }
    ground.assert_absent("a").await;
}

#[tokio::test]
async fn bucket_deleted_with_open_uploads_leaves_no_file() {
    let (ground, store, dir) = ground_with(EmbeddedOptions::default()).await;
    let at = ground.at("a");
    let upload = store
        .create_upload(ground.tenant, &at, &HeadFields::default())
        .await
        .unwrap();
    let request = crate::region::UploadPartRequest {
        upload,
        number: 1,
        stored_bytes: 100,
        body: crate::region::Body::Replayable(pattern(1, 100)),
        in_lock_bucket: false,
    };
    store
        .upload_part(ground.tenant, &at, request)
        .await
        .unwrap();
    store
        .delete_bucket(ground.tenant, &ground.bucket)
        .await
        .unwrap();
    store.sweep().await.unwrap();
    assert_eq!(files_in(dir.path()), 0);
}

/// Adds objects without body files, for listings.
async fn add_rows(ground: &Ground, store: &EmbeddedStore, prefix: &'static str, count: u32) {
    let (tenant, bucket) = (ground.tenant, ground.bucket.clone());
    let added = store
        .change("test", move |tables| {
            let number = tables.bucket("test", tenant, bucket.as_str())?;
            for n in 0..count {
                let fresh = Fresh::draw("test")?;
                let extent = Extent {
                    file: fresh.body,
                    first: 0,
                    bytes: 1,
                };
                tables.add_body(&fresh.body, &[extent])?;
                let row = ObjectRow {
                    stored_bytes: 1,
                    last_modified: UnixMs(0),
                    etag: fresh.etag,
                    body: fresh.body,
                    head: HeadFields::default(),
                };
                tables.put_object(number, &format!("{prefix}{n:08}"), &row)?;
            }
            Ok(())
        })
        .await;
    added.unwrap();
}

#[tokio::test]
async fn delimiter_over_many_keys_seeks_past_them() {
    let (ground, store, _dir) = ground_with(EmbeddedOptions::default()).await;
    for prefix in ["a/", "b/", "c/"] {
        add_rows(&ground, &store, prefix, 10_000).await;
    }
    let list = async |delimiter: Option<&str>, start_after: Option<String>| {
        let request = ListRequest {
            delimiter: delimiter.map(ToOwned::to_owned),
            start_after,
            keys_max: 1000,
            ..ListRequest::default()
        };
        let page = store.list(ground.tenant, &ground.bucket, &request).await;
        page.unwrap()
    };
    let walk = Instant::now();
    let (mut after, mut keys) = (None, 0);
    loop {
        let page = list(None, after).await;
        keys += page.objects.len();
        after = page.next_start_after;
        if after.is_none() {
            break;
        }
    }
    let walk = walk.elapsed();
    assert_eq!(keys, 30_000);
    let mut fold = Duration::MAX;
    for _ in 0..5 {
        let once = Instant::now();
        let page = list(Some("/"), None).await;
        fold = fold.min(once.elapsed());
        assert_eq!(page.common_prefixes, ["a/", "b/", "c/"]);
        let page = list(Some("/"), Some("a/00005000".to_owned())).await;
        assert_eq!(page.common_prefixes, ["b/", "c/"]);
    }
    assert!(fold * 10 < walk, "folding took {fold:?}, walking {walk:?}");
}
