use super::{Fault, FaultyStore, Op};
use crate::region::embedded::EmbeddedStore;
use crate::region::suite::{Ground, drain, pattern, put_request, streamed};
use crate::region::{
    BodyError, GetRequest, HeadFields, PutCondition, PutRequest, RegionError, RegionStore,
};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

async fn faulty() -> (Ground, FaultyStore, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let inner = EmbeddedStore::create(dir.path()).unwrap();
    let faulty = FaultyStore::new(Arc::new(inner));
    let ground = Ground::new(Arc::new(faulty.clone())).await;
    (ground, faulty, dir)
}

async fn put(ground: &Ground, seed: u64) -> Result<(), RegionError> {
    let body = pattern(seed, 1000);
    let put = ground.put_if("a", &body, PutCondition::Always).await;
    put.map(drop)
}

mod suite {
    use super::*;

    /// Without faults the wrapper is the store.
    async fn make() -> (Arc<dyn RegionStore>, (FaultyStore, TempDir)) {
        let (_, faulty, dir) = faulty().await;
        (Arc::new(faulty.clone()), (faulty, dir))
    }

    #[tokio::test]
    async fn every_case_runs_on_one_store() {
        let (store, _keep) = make().await;
        crate::region::suite::run_all(&store).await;
    }
}

#[tokio::test]
async fn faults_meet_the_calls_they_are_planned_for() {
    let (ground, faulty, _dir) = faulty().await;
    put(&ground, 1).await.unwrap();
    faulty.fail(Op::Put, 2, 2, Fault::Failed);
    let mut failed = Vec::new();
    for seed in 2..7 {
        failed.push(put(&ground, seed).await.is_err());
    }
    assert_eq!(failed, [false, true, true, false, false]);
    assert_eq!(faulty.calls(Op::Put), 6);
    assert_eq!(faulty.calls(Op::Get), 0);
    faulty.fail_always(Op::Put, Fault::Failed);
    put(&ground, 8).await.unwrap_err();
    put(&ground, 9).await.unwrap_err();
    faulty.heal();
    put(&ground, 10).await.unwrap();
}

#[tokio::test]
async fn failed_write_is_or_is_not_persisted_as_the_fault_says() {
    let (ground, faulty, _dir) = faulty().await;
    put(&ground, 1).await.unwrap();
    faulty.fail_next(Op::Put, Fault::Failed);
    let failed = put(&ground, 2).await;
    assert!(
        matches!(failed, Err(RegionError::Unavailable { .. })),
        "{failed:?}"
    );
    faulty.fail_next(Op::Put, Fault::Lost);
    let lost = put(&ground, 2).await;
    assert!(matches!(lost, Err(RegionError::Unknown { .. })), "{lost:?}");
    assert_eq!(ground.get("a").await.1, pattern(1, 1000));
    faulty.fail_next(Op::Put, Fault::FailedButPersisted);
    let persisted = put(&ground, 3).await;
    assert!(
        matches!(persisted, Err(RegionError::Unknown { .. })),
        "{persisted:?}"
    );
    assert_eq!(ground.get("a").await.1, pattern(3, 1000));
}

#[tokio::test]
async fn hanging_write_is_or_is_not_persisted_as_the_fault_says() {
    let (ground, faulty, _dir) = faulty().await;
    put(&ground, 1).await.unwrap();
    let patience = Duration::from_millis(500);
    for (fault, seed) in [(Fault::Hangs, 1), (Fault::HangsButPersisted, 2)] {
        faulty.fail_next(Op::Put, fault);
        let waited = tokio::time::timeout(patience, put(&ground, 2)).await;
        assert!(waited.is_err(), "{fault:?}");
        assert_eq!(ground.get("a").await.1, pattern(seed, 1000), "{fault:?}");
    }
}

async fn read(ground: &Ground) -> (u64, Result<bytes::Bytes, BodyError>) {
    let object = ground.open("a", &GetRequest::default()).await.unwrap();
    (object.body_bytes, drain(object.body).await)
}

#[tokio::test]
async fn read_closes_lies_about_its_length_or_flips_a_byte() {
    let (ground, faulty, _dir) = faulty().await;
    put(&ground, 1).await.unwrap();
    let whole = pattern(1, 1000);
    faulty.fail_next(Op::Get, Fault::ClosesMidBody { after_bytes: 10 });
    let (announced, body) = read(&ground).await;
    assert_eq!(announced, 1000);
    assert!(matches!(body, Err(BodyError::Incomplete)), "{body:?}");
    faulty.fail_next(Op::Get, Fault::WrongLength { by_bytes: -1 });
    assert_eq!(read(&ground).await.1.unwrap(), whole.slice(..999));
    faulty.fail_next(Op::Get, Fault::WrongLength { by_bytes: 1 });
    assert_eq!(read(&ground).await.1.unwrap(), [&whole[..], &[0]].concat());
    faulty.fail_next(Op::Get, Fault::FlippedByte { at: 500 });
    let flipped = read(&ground).await.1.unwrap();
    let differ: Vec<usize> = (0..1000).filter(|n| flipped[*n] != whole[*n]).collect();
    assert_eq!(differ, [500]);
    faulty.fail_next(Op::Head, Fault::WrongLength { by_bytes: 5 });
    assert_eq!(ground.head("a").await.unwrap().stored_bytes, 1005);
    assert_eq!(read(&ground).await.1.unwrap(), whole);
}

#[tokio::test]
async fn write_closes_midway_or_stores_a_flipped_byte() {
    let (ground, faulty, _dir) = faulty().await;
    let whole = pattern(1, 1000);
    let request = || PutRequest {
        body: streamed(&whole, 100, None),
        ..put_request(&whole, HeadFields::default())
    };
    let at = ground.at("a");
    faulty.fail_next(Op::Put, Fault::ClosesMidBody { after_bytes: 300 });
    let closed = ground.store.put(ground.tenant, &at, request()).await;
    assert!(
        matches!(closed, Err(RegionError::Unknown { .. })),
        "{closed:?}"
    );
    ground.assert_absent("a").await;
    faulty.fail_next(Op::Put, Fault::FlippedByte { at: 250 });
    ground
        .store
        .put(ground.tenant, &at, request())
        .await
        .unwrap();
    let stored = ground.get("a").await.1;
    let differ: Vec<usize> = (0..1000).filter(|n| stored[*n] != whole[*n]).collect();
    assert_eq!(differ, [250]);
}
