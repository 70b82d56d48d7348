//! Buckets that were cut off on their way into being or out of it.

use super::*;

#[tokio::test]
async fn bucket_begun_with_object_lock_is_never_finished_without_it() {
    let bench = bench_with_tenant().await;
    let new = NewBucket {
        name: bucket_name(),
        region: eu(),
        upstream: upstream(),
        object_lock: true,
        created: NOW,
    };
    bench.catalog.begin_bucket(TENANT, &new, 100).await.unwrap();
    // The embedded region has no object lock, so that the job can't finish it: any bucket that it makes is the wrong one.
    bench.jobs_later().await;
    let bucket = bench.catalog.bucket(TENANT, &bucket_name()).await.unwrap();
    assert_eq!(bucket.state, BucketState::Creating);
    assert!(bucket.object_lock);
    let exists = bench.region.bucket_exists(TENANT, &upstream()).await;
    assert!(!exists.unwrap());
}

#[tokio::test]
async fn bucket_creation_cut_off_at_every_step_is_finished_by_the_job() {
    // 0: nothing happened upstream; 1: the upstream bucket is there and the catalog does not know.
    for step in 0..2 {
        let bench = bench_with_tenant().await;
        begin_bucket(&bench).await;
        if step == 1 {
            bench
                .region
                .create_bucket(TENANT, &upstream())
                .await
                .unwrap();
        }
        bench.jobs_later().await;
        let bucket = bench.catalog.bucket(TENANT, &bucket_name()).await.unwrap();
        assert_eq!(bucket.state, BucketState::Active, "step {step}");
        assert!(
            bench
                .region
                .bucket_exists(TENANT, &upstream())
                .await
                .unwrap()
        );
        assert_eq!(bench.jobs_left().await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn bucket_deletion_cut_off_at_every_step_is_finished_by_the_job() {
    for step in 0..2 {
        let bench = bench_with_tenant().await;
        begin_bucket(&bench).await;
        bench.jobs_later().await;
        begin_delete(&bench).await;
        if step == 1 {
            bench
                .region
                .delete_bucket(TENANT, &upstream())
                .await
                .unwrap();
        }
        bench.jobs_later().await;
        let gone = bench.catalog.bucket(TENANT, &bucket_name()).await;
        assert!(
            matches!(gone, Err(CatalogError::NotFound { .. })),
            "step {step}"
        );
        assert!(
            !bench
                .region
                .bucket_exists(TENANT, &upstream())
                .await
                .unwrap()
        );
        assert_eq!(bench.jobs_left().await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn bucket_deletion_of_one_that_holds_an_object_gives_it_back() {
    let bench = bench_with_tenant().await;
    begin_bucket(&bench).await;
    bench.jobs_later().await;
    put(&bench, TENANT, upstream(), &ObjectKey::new("k").unwrap()).await;
    begin_delete(&bench).await;
    bench.jobs_later().await;
    let bucket = bench.catalog.bucket(TENANT, &bucket_name()).await.unwrap();
    assert_eq!(bucket.state, BucketState::Active);
}
