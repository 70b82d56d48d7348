//! Uploads that nobody ends.

use super::*;

pub(super) fn spool_key(attempt: &str) -> ObjectKey {
    ObjectKey::new(format!("{}/{attempt}", upload_id())).unwrap()
}

pub(super) fn upload_id() -> UploadId {
    "0123456789abcdef0123456789abcdef".parse().unwrap()
}

fn big() -> ObjectRef {
    ObjectRef {
        bucket: upstream(),
        key: ObjectKey::new("big").unwrap(),
    }
}

/// An upload whose row is written, and nothing else.
async fn begin_upload(bench: &Bench, id: UploadId) {
    let new = NewUpload {
        id,
        bucket: bucket_name(),
        key: big().key,
        object_id: ObjectId::from_bytes([1; 16]),
        kek_id: KekId::from_bytes([2; 16]),
        header: "header".to_owned(),
        sealed_metadata: vec![1],
        checksum: None,
        created: bench.domain.clock.now(),
    };
    bench.catalog.begin_upload(TENANT, &new).await.unwrap();
}

async fn open_upstream(bench: &Bench) -> UpstreamUploadId {
    let head = HeadFields::default();
    let opened = bench.region.create_upload(TENANT, &big(), &head).await;
    opened.unwrap()
}

pub(super) async fn open_upload(bench: &Bench, spool_key: &ObjectKey) -> ObjectRef {
    begin_bucket(bench).await;
    bench.jobs_later().await;
    begin_upload(bench, upload_id()).await;
    let upstream_id = open_upstream(bench).await;
    bench
        .catalog
        .open_upload(TENANT, &upload_id(), &upstream_id.0)
        .await
        .unwrap();
    let attempt = bench
        .catalog
        .begin_attempt(TENANT, &upload_id(), 1, NOW)
        .await
        .unwrap();
    let spool = bench.domain.regions[&eu()].spool.clone();
    put(bench, SPOOL_OWNER, spool.clone(), spool_key).await;
    let finished = NewAttempt {
        upstream_etag: "etag".to_owned(),
        salt: [0; 24],
        commitment: [0; 32],
        plaintext_bytes: 1,
        sealed_checksum: None,
        spool_key: Some(spool_key.clone()),
    };
    bench
        .catalog
        .finish_attempt(TENANT, &upload_id(), attempt, &finished, NOW)
        .await
        .unwrap();
    ObjectRef {
        bucket: spool,
        key: spool_key.clone(),
    }
}

#[tokio::test]
async fn sweep_drops_idle_uploads_with_their_spool_and_not_before() {
    let bench = bench_with_tenant().await;
    let spooled = open_upload(&bench, &spool_key("1/1")).await;
    bench.clock.advance_ms(6 * 24 * 3600 * 1000);
    bench.jobs_later().await;
    bench.catalog.upload(TENANT, &upload_id()).await.unwrap();
    bench.clock.advance_ms(24 * 3600 * 1000);
    bench.jobs_later().await;
    let gone = bench.catalog.upload(TENANT, &upload_id()).await;
    assert!(matches!(gone, Err(CatalogError::NotFound { .. })));
    let spool = bench
        .region
        .get(SPOOL_OWNER, &spooled, &GetRequest::default())
        .await;
    assert!(
        matches!(spool, Err(RegionError::NotFound { .. })),
        "the spooled part stayed"
    );
    bench
        .region
        .delete_bucket(TENANT, &upstream())
        .await
        .unwrap();
}

#[tokio::test]
async fn sweep_cut_off_at_every_step_is_finished_by_the_next() {
    for after in 0.. {
        let bench = bench_with_tenant().await;
        let spooled = open_upload(&bench, &spool_key("1/1")).await;
        bench.clock.advance_ms(8 * 24 * 3600 * 1000);
        bench.catalog.inject(Fault {
            operation: None,
            after,
            times: u32::MAX,
            kind: FaultKind::NotPersisted,
        });
        let swept = bench.domain.sweep_uploads().await;
        let cut_off = swept.as_ref().map_or(true, |swept| swept.failed > 0);
        bench.catalog.heal();
        bench.clock.advance_ms(2 * 3600 * 1000);
        bench.domain.sweep_uploads().await.unwrap();
        let gone = bench.catalog.upload(TENANT, &upload_id()).await;
        assert!(
            matches!(gone, Err(CatalogError::NotFound { .. })),
            "cut off after {after}"
        );
        let spool = bench
            .region
            .get(SPOOL_OWNER, &spooled, &GetRequest::default())
            .await;
        assert!(
            matches!(spool, Err(RegionError::NotFound { .. })),
            "cut off after {after}"
        );
        if !cut_off {
            assert!(after > 3, "the sweep was never cut off");
            return;
        }
    }
}

pub(super) const DAY_MS: i64 = 24 * 3600 * 1000;

pub(super) fn hex_id(number: u8) -> UploadId {
    format!("{number:032x}").parse().unwrap()
}

async fn is_forgotten(bench: &Bench, id: &UploadId) -> bool {
    let row = bench.catalog.upload(TENANT, id).await;
    matches!(row, Err(CatalogError::NotFound { .. }))
}

#[tokio::test]
async fn sweep_aborts_what_a_creation_that_was_cut_off_opened_upstream_and_nothing_else() {
    let bench = bench_with_tenant().await;
    open_upload(&bench, &spool_key("1/1")).await;
    let known = bench.catalog.upload(TENANT, &upload_id()).await.unwrap();
    let known = known.upstream.unwrap();
    // The gateway died between the upstream's answer and its record.
    begin_upload(&bench, hex_id(1)).await;
    let lost = open_upstream(&bench).await;
    let held = async || bench.region.uploads_at(TENANT, &big()).await.unwrap();
    assert_eq!(held().await.len(), 2);
    bench.clock.advance_ms(DAY_MS - 1);
    // Another creation is on its way: until it is a day old too, the upload upstream may be its own.
    begin_upload(&bench, hex_id(2)).await;
    bench.clock.advance_ms(2);
    bench.domain.sweep_uploads().await.unwrap();
    assert_eq!(held().await.len(), 2);
    assert!(
        !is_forgotten(&bench, &hex_id(1)).await,
        "nobody looks again"
    );
    bench
        .catalog
        .open_upload(TENANT, &hex_id(2), &lost.0)
        .await
        .unwrap();
    bench.domain.sweep_uploads().await.unwrap();
    assert_eq!(held().await.len(), 2, "a recorded upload was dropped");
    assert!(is_forgotten(&bench, &hex_id(1)).await);

    begin_upload(&bench, hex_id(3)).await;
    let lost_again = open_upstream(&bench).await;
    bench.clock.advance_ms(DAY_MS + 1);
    bench.domain.sweep_uploads().await.unwrap();
    let left = held().await;
    assert!(!left.contains(&lost_again), "an orphan stayed upstream");
    assert!(left.contains(&known) && left.contains(&lost));
    assert!(is_forgotten(&bench, &hex_id(3)).await);
}

#[tokio::test]
async fn sweep_ends_with_uploads_that_nobody_may_drop_and_reaches_those_behind_them() {
    let bench = bench_with_tenant().await;
    begin_bucket(&bench).await;
    bench.jobs_later().await;
    // More than a page of uploads whose time has come and that can't be dropped: an orphan may still be one's own.
    for number in 0..120 {
        begin_upload(&bench, hex_id(number)).await;
        bench
            .catalog
            .begin_abort(TENANT, &hex_id(number), bench.domain.clock.now())
            .await
            .unwrap();
    }
    open_upstream(&bench).await;
    bench.clock.advance_ms(1);
    begin_upload(&bench, hex_id(200)).await;
    let at = ObjectRef {
        key: ObjectKey::new("other").unwrap(),
        ..big()
    };
    let other = bench
        .region
        .create_upload(TENANT, &at, &HeadFields::default())
        .await
        .unwrap();
    bench
        .catalog
        .open_upload(TENANT, &hex_id(200), &other.0)
        .await
        .unwrap();
    let now = bench.domain.clock.now();
    bench
        .catalog
        .begin_abort(TENANT, &hex_id(200), now)
        .await
        .unwrap();
    bench.clock.advance_ms(2 * 3600 * 1000);
    let swept = bench.domain.sweep_uploads();
    let swept = tokio::time::timeout(std::time::Duration::from_secs(60), swept).await;
    let swept = swept.expect("the sweep has no end").unwrap();
    assert_eq!((swept.forgotten, swept.left, swept.failed), (1, 120, 0));
    assert!(is_forgotten(&bench, &hex_id(200)).await);
}

#[tokio::test]
async fn sweep_drops_an_upload_whose_completing_gateway_died() {
    let bench = bench_with_tenant().await;
    open_upload(&bench, &spool_key("1/1")).await;
    let now = bench.domain.clock.now();
    let fence = bench
        .catalog
        .begin_complete(TENANT, &upload_id(), now, 20_000)
        .await
        .unwrap();
    bench
        .catalog
        .fix_part_list(TENANT, &upload_id(), fence, b"list")
        .await
        .unwrap();
    bench.clock.advance_ms(8 * DAY_MS);
    bench.domain.sweep_uploads().await.unwrap();
    assert!(is_forgotten(&bench, &upload_id()).await);
    assert!(
        bench
            .region
            .uploads_at(TENANT, &big())
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn sweep_deletes_spooled_bodies_that_no_attempt_recorded() {
    let bench = bench_with_tenant().await;
    open_upload(&bench, &spool_key("1/1")).await;
    let spool = bench.domain.regions[&eu()].spool.clone();
    put(&bench, SPOOL_OWNER, spool.clone(), &spool_key("1/2")).await;
    let others = ObjectKey::new(format!("{}/1/1", hex_id(1))).unwrap();
    put(&bench, SPOOL_OWNER, spool.clone(), &others).await;
    bench.clock.advance_ms(8 * DAY_MS);
    bench.domain.sweep_uploads().await.unwrap();
    let all = crate::region::ListRequest {
        keys_max: 10,
        ..Default::default()
    };
    let left = bench.region.list(SPOOL_OWNER, &spool, &all).await.unwrap();
    let left: Vec<_> = left.objects.into_iter().map(|object| object.key).collect();
    assert_eq!(left, [others.as_str()]);
}

#[tokio::test]
async fn sweep_of_a_region_that_is_away_asks_it_once() {
    let bench = bench_with_tenant().await;
    begin_bucket(&bench).await;
    bench.jobs_later().await;
    for number in 0..5 {
        begin_upload(&bench, hex_id(number)).await;
    }
    bench.clock.advance_ms(2 * DAY_MS);
    bench
        .region
        .fail(Op::UploadsAt, 1, u64::MAX, RegionFault::Failed);
    let swept = bench.domain.sweep_uploads().await.unwrap();
    assert_eq!((swept.forgotten, swept.failed), (0, 5));
    assert_eq!(bench.region.calls(Op::UploadsAt), 1);
    bench.region.heal();
    let swept = bench.domain.sweep_uploads().await.unwrap();
    assert_eq!(swept.forgotten, 5);
}
