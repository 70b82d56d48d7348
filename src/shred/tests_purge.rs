//! Purges that meet what nobody recorded, what comes late, and members that fail.

use super::evidence::HeldVersion;
use super::inventory::hashed;
use super::progress::{HELD_MAX, Place, Progress};
use super::purge::{Ledger, purge};
use super::testing::{OBJECTS, SPOOLED_PARTS, UPLOADS, World, upstream};
use crate::catalog::{
    CatalogError, Fault, FaultKind, NewUpload, ReceiptStore as _, ShredState, ShredStore as _,
    TenantStore as _, UploadStore as _,
};
use crate::jobs::FinishError;
use crate::jobs::testing::NOW;
use crate::region::faulty::{Fault as RegionFault, FaultyStore, Op};
use crate::region::{
    Body, HeadFields, ObjectRef, PutCondition, PutRequest, RegionError, RegionStore as _,
};
use crate::tenants::{ObjectKey, TenantId, TenantState};
use async_trait::async_trait;
use lethe_envelope::{KekId, ObjectId};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

#[derive(Default)]
struct Notes(Mutex<Progress>);

#[async_trait]
impl Ledger for Notes {
    async fn note(&self, progress: &Progress) -> Result<(), CatalogError> {
        *self.0.lock().unwrap() = progress.clone();
        Ok(())
    }
}

async fn purged(world: &World, progress: Progress) -> (Result<bool, FinishError>, Progress) {
    let notes = Notes(Mutex::new(progress.clone()));
    let until = Instant::now() + Duration::from_secs(60);
    let tenant = world.victims[0];
    let (active, ended) = ([TenantState::Active], TenantState::Shredded);
    // The second call finds it so.
    let _moved = world
        .bench
        .catalog
        .move_tenant(tenant, &active, ended)
        .await;
    match purge(&world.bench.domain, &notes, tenant, progress, until).await {
        Ok((over, progress)) => (Ok(over), progress),
        Err(error) => (Err(error), notes.0.into_inner().unwrap()),
    }
}

/// Before the `nth` deletion of a bucket, a write of the tenant's lands in it.
fn write_late(region: &Arc<FaultyStore>, tenant: TenantId, nth: u64) {
    let late = region.clone();
    region.before(Op::DeleteBucket, nth, move || async move {
        let at = ObjectRef {
            bucket: upstream(tenant),
            key: ObjectKey::new("aaa-late").unwrap(),
        };
        let request = PutRequest {
            head: HeadFields::default(),
            stored_bytes: 4,
            body: Body::Replayable(bytes::Bytes::from_static(b"late")),
            condition: PutCondition::Always,
        };
        late.put(tenant, &at, request).await.unwrap();
    });
}

fn held_elsewhere() -> HeldVersion {
    HeldVersion {
        bucket: hashed("another"),
        key: hashed("k"),
        version: Some("v".to_owned()),
        until_ms: None,
    }
}

async fn bucket_is_there(world: &World) -> bool {
    let (region, tenant) = (&world.bench.region, world.victims[0]);
    let there = region.bucket_exists(tenant, &upstream(tenant)).await;
    there.unwrap()
}

#[tokio::test]
async fn write_that_lands_behind_the_purge_is_deleted_whatever_is_held_elsewhere() {
    let world = World::open(1).await;
    write_late(&world.bench.region, world.victims[0], 1);
    let mut progress = Progress::begun(NOW.0);
    progress.held.push(held_elsewhere());
    let (over, progress) = purged(&world, progress).await;
    assert!(over.unwrap());
    assert!(
        !bucket_is_there(&world).await,
        "a bucket stayed in no entry"
    );
    assert_eq!(progress.counts.objects, OBJECTS + 1);
    assert_eq!(progress.held, [held_elsewhere()]);
}

#[tokio::test]
async fn purge_of_a_bucket_that_fills_again_waits_with_the_reason_and_goes_on_from_its_beginning() {
    let world = World::open(1).await;
    for nth in 1..=3 {
        write_late(&world.bench.region, world.victims[0], nth);
    }
    let (stopped, progress) = purged(&world, Progress::begun(NOW.0)).await;
    let reason = stopped.unwrap_err();
    assert!(
        matches!(
            reason,
            FinishError::Region(RegionError::BucketNotEmpty { .. })
        ),
        "{reason}"
    );
    let (over, progress) = purged(&world, progress).await;
    assert!(over.unwrap() && !bucket_is_there(&world).await);
    assert_eq!(progress.counts.objects, OBJECTS + 3, "each write once");
    let dropped = (progress.counts.uploads, progress.counts.spooled);
    assert_eq!(dropped, (UPLOADS, SPOOLED_PARTS));
}

#[tokio::test]
async fn purge_drops_bodies_and_uploads_that_nobody_recorded() {
    let world = World::open(1).await;
    let (region, tenant) = (&world.bench.region, world.victims[0]);
    let catalog = &world.bench.catalog;
    let known = catalog.uploads_in_any_state(tenant, 1).await.unwrap();
    let body = ObjectKey::new(format!("{}/9/9", known[0].new.id)).unwrap();
    world.spool(&body).await;
    // A creation that was cut off before the store's answer was written down.
    let at = ObjectRef {
        bucket: upstream(tenant),
        key: ObjectKey::new("unrecorded").unwrap(),
    };
    let new = NewUpload {
        id: "f".repeat(32).parse().unwrap(),
        bucket: "docs".parse().unwrap(),
        key: at.key.clone(),
        object_id: ObjectId::from_bytes([1; 16]),
        kek_id: KekId::from_bytes([2; 16]),
        header: "header".to_owned(),
        sealed_metadata: vec![1],
        checksum: None,
        created: NOW,
    };
    catalog.begin_upload(tenant, &new).await.unwrap();
    let head = HeadFields::default();
    region.create_upload(tenant, &at, &head).await.unwrap();
    let held = Arc::new(Mutex::new(None));
    let (seen, asked, place) = (held.clone(), region.clone(), at.clone());
    region.before(Op::DeleteBucket, 1, move || async move {
        let open = asked.uploads_at(tenant, &place).await.unwrap();
        *seen.lock().unwrap() = Some(open.len());
    });
    let (over, progress) = purged(&world, Progress::begun(NOW.0)).await;
    assert!(over.unwrap());
    assert_eq!(*held.lock().unwrap(), Some(0), "it is open upstream");
    let dropped = (progress.counts.uploads, progress.counts.spooled);
    assert_eq!(dropped, (UPLOADS + 1, SPOOLED_PARTS + 1));
    assert_eq!(world.spooled().await, SPOOLED_PARTS, "the other's");
}

#[tokio::test]
async fn tenant_whose_purge_fails_keeps_no_other_from_its_receipt() {
    let world = World::open(2).await;
    world.doom().await;
    let region = &world.bench.region;
    region.fail(Op::DeleteBucket, 1, 1, RegionFault::Failed);
    world.runner("one").run_due().await.unwrap();
    let catalog = &world.bench.catalog;
    let receipts = async |at: usize| catalog.receipts(world.victims[at]).await.unwrap().len();
    assert_eq!((receipts(0).await, receipts(1).await), (2, 3));
    let shred = &catalog.shreds(1).await.unwrap()[0];
    assert_eq!(shred.state, ShredState::Receipted);
    assert!(shred.last_error.is_some());
    world.finish("the first").await;
    assert_eq!((receipts(0).await, receipts(1).await), (3, 3));
}

#[tokio::test]
async fn inventory_that_was_taken_before_a_kill_is_not_taken_again() {
    let world = World::open(2).await;
    world.doom().await;
    world.bench.catalog.inject(Fault {
        operation: Some("note_evidence"),
        after: 1,
        times: 1,
        kind: FaultKind::NotPersisted,
    });
    let _cut_off = world.runner("killed").run_due().await;
    world.heal();
    let heads = world.bench.region.calls(Op::Head);
    assert_eq!(heads, 2 * OBJECTS, "both were counted");
    world.finish("inventory").await;
    assert_eq!(world.bench.region.calls(Op::Head), 3 * OBJECTS);
}

#[test]
fn progress_that_finds_held_versions_anew_counts_none_twice() {
    let mut progress = Progress::begun(0);
    let held =
        |bucket: &str, number: usize| super::progress::tests_doomed(number).held(bucket, None);
    for bucket in ["a", "b"] {
        for number in 0..HELD_MAX {
            let one = super::progress::tests_doomed(number);
            progress.hold(&one, held(bucket, number));
        }
    }
    assert_eq!(
        (progress.held.len(), progress.held_more),
        (HELD_MAX, HELD_MAX as u64)
    );
    assert_eq!(
        (progress.unlisted("a"), progress.unlisted("b")),
        (0, HELD_MAX as u64)
    );
    assert!(progress.lists(&held("a", 0)) && !progress.lists(&held("b", 0)));
    progress.forget_held("b");
    assert_eq!((progress.held.len(), progress.held_more), (HELD_MAX, 0));
    progress.forget_held("a");
    assert!(progress.held.is_empty() && progress.unlisted("a") == 0);
}

#[test]
fn page_that_is_done_is_not_counted_again_when_a_slice_ends() {
    let mut progress = Progress::begun(0);
    for number in 0..HELD_MAX {
        let one = super::progress::tests_doomed(number);
        progress.hold(&one, one.held("elsewhere", None));
    }
    let one = || vec![super::progress::tests_doomed(HELD_MAX)];
    let place = |key: Option<&str>, last| Place {
        bucket: "docs".to_owned(),
        key: key.map(str::to_owned),
        version: None,
        last,
    };
    progress.count_page(place(None, false), &one());
    progress.hold(&one()[0], one()[0].held("docs", None));
    progress.page_done(place(Some("k"), false));
    assert_eq!(
        (progress.unlisted("docs"), progress.counts.versions),
        (1, 0)
    );
    // The slice ends here; what follows is the next page, of which nothing is counted yet.
    let kept = serde_json::to_string(&progress).unwrap();
    let mut progress: Progress = serde_json::from_str(&kept).unwrap();
    let next = progress.place.clone().unwrap();
    assert_eq!((next.key.as_deref(), next.last), (Some("k"), false));
    progress.count_page(next, &one());
    assert_eq!(progress.counts.versions, 1);
    progress.page_done(place(None, true));
    assert!(progress.is_done("docs") && !progress.is_done("others"));
    progress.begin_again();
    assert!(!progress.is_done("docs"));
}

#[tokio::test]
async fn slice_that_ends_behind_a_page_has_done_it() {
    let world = World::open(1).await;
    let (region, tenant) = (&world.bench.region, world.victims[0]);
    let slow = Duration::from_millis(300);
    region.before(Op::Delete, 1, move || tokio::time::sleep(slow));
    let notes = Notes::default();
    let (active, ended) = ([TenantState::Active], TenantState::Shredded);
    let catalog = &world.bench.catalog;
    catalog.move_tenant(tenant, &active, ended).await.unwrap();
    let until = Instant::now() + slow / 2;
    let begun = Progress::begun(NOW.0);
    let sliced = purge(&world.bench.domain, &notes, tenant, begun, until).await;
    let (over, progress) = sliced.unwrap();
    assert!(!over && progress.is_done("docs"), "{progress:?}");
    let (over, progress) = purged(&world, progress).await;
    assert!(over.unwrap() && !bucket_is_there(&world).await);
    assert_eq!(progress.counts.objects, OBJECTS);
}
