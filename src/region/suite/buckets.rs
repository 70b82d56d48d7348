//! Buckets.

use super::{Ground, bucket_name, pattern, put_request};
use crate::region::{HeadFields, ListRequest, Missing, RegionError, RegionStore};
use crate::tenants::TenantId;
use std::sync::Arc;

/// Creating a bucket again succeeds and keeps what is in it.
pub async fn created_twice_exists_once(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    ground.put("kept", &pattern(1, 10)).await;
    let (store, tenant, bucket) = (&ground.store, ground.tenant, &ground.bucket);
    store.create_bucket(tenant, bucket).await.expect("again");
    assert!(store.bucket_exists(tenant, bucket).await.expect("exists"));
    assert_eq!(ground.get("kept").await.1, pattern(1, 10));
}

/// A bucket with objects is not deleted; an empty one is, and again, and comes back empty.
pub async fn deleted_only_when_empty(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    let (store, tenant, bucket) = (&ground.store, ground.tenant, &ground.bucket);
    ground.put("a", &pattern(1, 10)).await;
    let full = store.delete_bucket(tenant, bucket).await;
    assert!(
        matches!(full, Err(RegionError::BucketNotEmpty { .. })),
        "{full:?}"
    );
    assert_eq!(ground.get("a").await.1, pattern(1, 10));
    ground.delete("a").await;
    store.delete_bucket(tenant, bucket).await.expect("empty");
    assert!(!store.bucket_exists(tenant, bucket).await.expect("exists"));
    store.delete_bucket(tenant, bucket).await.expect("missing");
    store.create_bucket(tenant, bucket).await.expect("anew");
    let page = store.list(tenant, bucket, &list_all()).await.expect("list");
    assert!(page.objects.is_empty(), "{page:?}");
}

fn list_all() -> ListRequest {
    ListRequest {
        keys_max: 10,
        ..ListRequest::default()
    }
}

/// Calls on a bucket that was never created say so.
pub async fn missing_bucket_is_not_found(store: Arc<dyn RegionStore>) {
    let ground = Ground {
        tenant: TenantId::random().expect("randomness"),
        bucket: bucket_name(),
        store,
    };
    let (store, tenant, bucket) = (&ground.store, ground.tenant, &ground.bucket);
    assert!(!store.bucket_exists(tenant, bucket).await.expect("exists"));
    let request = put_request(&pattern(1, 10), HeadFields::default());
    let put = store.put(tenant, &ground.at("a"), request).await;
    assert!(is_missing_bucket(&put), "{put:?}");
    let list = store.list(tenant, bucket, &list_all()).await;
    assert!(is_missing_bucket(&list), "{list:?}");
    let upload = store
        .create_upload(tenant, &ground.at("a"), &HeadFields::default())
        .await;
    assert!(is_missing_bucket(&upload), "{upload:?}");
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
