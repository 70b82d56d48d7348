//! A PostgreSQL server that stops and comes back.

use super::cluster;
use super::fixtures::{assert_refused, bucket, key_id, new_bucket, new_credential, tenant};
use crate::catalog::{CacheOptions, CachedCatalog, Catalog, SqlCatalog, StoreOptions};
use crate::clock::SystemClock;
use lethe_keys::GatewayId;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn catalog_away_and_back_serves_cached_rows_between() {
    let Some(mut cluster) = cluster() else { return };
    let url = cluster.database("eu").parse().unwrap();
    let options = StoreOptions {
        deadline: Duration::from_secs(2),
        connections_max: 4,
    };
    let sql: Arc<dyn Catalog> = Arc::new(SqlCatalog::create(&url, &options).await.unwrap());
    let cached = CachedCatalog::start(
        sql.clone(),
        Arc::new(SystemClock),
        GatewayId::from_bytes([1; 16]),
        CacheOptions {
            poll: Duration::from_millis(100),
            lease: Duration::from_secs(8),
            ..CacheOptions::default()
        },
    );
    let cached: Arc<dyn Catalog> = Arc::new(cached.await.unwrap());
    let acme = tenant(&cached, "acme").await;
    let docs = bucket(&cached, acme, "docs").await;
    let id = key_id("AKIAACME");
    cached
        .begin_credential(&new_credential(acme, "AKIAACME"))
        .await
        .unwrap();
    cached.activate_credential(acme, &id).await.unwrap();
    let known = cached.credential(&id).await.unwrap();
    cached.bucket(acme, &docs.name).await.unwrap();

    cluster.stop();
    let stopped = Instant::now();
    let (credential, owner) = cached.credential(&id).await.unwrap();
    assert!(credential == known.0 && owner == known.1);
    assert_eq!(cached.bucket(acme, &docs.name).await.unwrap(), docs);
    assert!(stopped.elapsed() < Duration::from_secs(1));
    // What is not cached, and what must write, fails within the deadline.
    let asked = Instant::now();
    assert_refused!(sql.tenant(acme).await, Unavailable);
    let written = cached.begin_bucket(acme, &new_bucket("more"), 9).await;
    assert_refused!(written, Unavailable);
    assert_refused!(sql.ping().await, Unavailable);
    assert!(asked.elapsed() < Duration::from_secs(8));

    // Past the lease nothing serves, and at once.
    tokio::time::sleep(Duration::from_secs(9).saturating_sub(stopped.elapsed())).await;
    let asked = Instant::now();
    assert_refused!(cached.credential(&id).await, Unavailable);
    assert_refused!(cached.bucket(acme, &docs.name).await, Unavailable);
    assert!(asked.elapsed() < Duration::from_millis(500));

    cluster.resume();
    let patience = Instant::now() + Duration::from_secs(20);
    while cached.credential(&id).await.is_err() {
        assert!(Instant::now() < patience, "the catalog did not come back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    cached
        .begin_bucket(acme, &new_bucket("more"), 9)
        .await
        .unwrap();
}
