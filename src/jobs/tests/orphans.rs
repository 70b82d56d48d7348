//! Spooled bodies that no upload's row names.

use super::sweep::{DAY_MS, hex_id, open_upload, spool_key, upload_id};
use super::*;
use crate::region::ListRequest;

/// An upload may be idle for 7 days here, and a body stays for 7 more.
const OLD_MS: i64 = 14 * DAY_MS;

async fn spooled(bench: &Bench) -> Vec<String> {
    let all = ListRequest {
        keys_max: 1_000,
        ..Default::default()
    };
    let spool = &bench.domain.regions[&eu()].spool;
    let listed = bench.region.list(SPOOL_OWNER, spool, &all).await.unwrap();
    listed
        .objects
        .into_iter()
        .map(|object| object.key)
        .collect()
}

async fn spool(bench: &Bench, key: &str) {
    let spool = bench.domain.regions[&eu()].spool.clone();
    let key = ObjectKey::new(key).unwrap();
    put(bench, SPOOL_OWNER, spool, &key).await;
}

#[tokio::test]
async fn orphan_goes_when_it_is_old_and_what_has_a_row_or_another_name_stays() {
    let bench = bench_with_tenant().await;
    let known = spool_key("1/1");
    open_upload(&bench, &known).await;
    let orphans = [
        format!("{}/1/1", hex_id(0)),
        format!("{}/10000/7", "f".repeat(32)),
    ];
    for orphan in &orphans {
        spool(&bench, orphan).await;
    }
    spool(&bench, "no-upload/1/1").await;
    bench.clock.advance_ms(OLD_MS - DAY_MS);
    // The client is still at its upload.
    let (catalog, now) = (&bench.catalog, bench.domain.clock.now());
    let attempt = catalog.begin_attempt(TENANT, &upload_id(), 2, now).await;
    attempt.unwrap();
    let young = format!("{}/2/1", hex_id(0));
    spool(&bench, &young).await;
    bench.clock.advance_ms(DAY_MS);
    assert_eq!(bench.domain.sweep_uploads().await.unwrap().orphans, 0);
    bench.clock.advance_ms(1);
    let swept = bench.domain.sweep_uploads().await.unwrap();
    assert_eq!((swept.orphans, swept.failed), (2, 0));
    let left = [young.as_str(), known.as_str(), "no-upload/1/1"];
    assert_eq!(spooled(&bench).await, left);
    assert_eq!(bench.domain.sweep_uploads().await.unwrap().orphans, 0);
}

#[tokio::test]
async fn orphan_stays_while_the_catalog_is_away() {
    let bench = bench_with_tenant().await;
    spool(&bench, spool_key("1/1").as_str()).await;
    bench.clock.advance_ms(OLD_MS + 1);
    bench.catalog.inject(Fault {
        operation: Some("has_upload"),
        after: 0,
        times: 1,
        kind: FaultKind::NotPersisted,
    });
    let swept = bench.domain.sweep_uploads().await.unwrap();
    assert_eq!((swept.orphans, swept.failed), (0, 1));
    assert_eq!(spooled(&bench).await.len(), 1);
    assert_eq!(bench.domain.sweep_uploads().await.unwrap().orphans, 1);
}

#[tokio::test]
async fn orphans_of_many_uploads_take_several_sweeps_and_all_go() {
    let bench = bench_with_tenant().await;
    for number in 0..150_u8 {
        // All over the range that a sweep may begin in.
        let id = format!("{number:02x}").repeat(16);
        spool(&bench, &format!("{id}/1/1")).await;
    }
    bench.clock.advance_ms(OLD_MS + 1);
    assert_eq!(bench.domain.sweep_uploads().await.unwrap().orphans, 100);
    assert_eq!(bench.catalog.calls("has_upload"), 100);
    assert_eq!(bench.domain.sweep_uploads().await.unwrap().orphans, 50);
    assert_eq!(spooled(&bench).await, Vec::<String>::new());
}
