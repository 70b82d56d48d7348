//! A shred that is cut off anywhere, run twice at once, or refused.

use super::error::ShredError;
use super::inventory::{self, Entry, InventoryKey, entry_hash};
use super::merkle::Tree;
use super::rules::Forbidden;
use super::testing::{Move, OBJECT_BYTES, OBJECTS, Part, SPOOLED_PARTS, UPLOADS, World, upstream};
use crate::catalog::{
    FaultKind, ReceiptId, ReceiptRow, ReceiptStage, ReceiptStore as _, ShredState, ShredStore as _,
    TenantStore as _, TerminationState,
};
use crate::clock::Clock as _;
use crate::jobs::testing::NOW;
use crate::region::{ListRequest, RegionStore as _};
use crate::tenants::{TenantId, TenantState};
use futures::future::join_all;
use lethe_receipts::statement::{Assurance, PurgeStatus, StatementBody};
use lethe_receipts::{Verdict, verify};
use std::time::Duration;

async fn objects_of(world: &World, tenant: TenantId) -> Option<usize> {
    let request = ListRequest {
        keys_max: 100,
        ..ListRequest::default()
    };
    let region = &world.bench.region;
    let listed = region.list(tenant, &upstream(tenant), &request).await;
    listed.ok().map(|page| page.objects.len())
}

/// One move, one receipt of each stage, everything of the victims gone, everything of the others there.
async fn assert_shredded_once(world: &World, at: &str) {
    {
        let model = world.keys.model.lock().unwrap();
        assert_eq!(model.epoch, 2, "{at}");
        assert_eq!(model.moves.len(), 1, "{at}");
        assert!(model.moves[&1].destroyed, "{at}");
        let victims: Vec<TenantId> = model.moves[&1].victims.iter().copied().collect();
        assert_eq!(victims, world.victims, "{at}");
        assert!(model.alive.contains(&world.stays), "{at}");
    }
    let catalog = &world.bench.catalog;
    assert_eq!(catalog.shreds(10).await.unwrap().len(), 1, "{at}");
    let trust = world.trust();
    for victim in &world.victims {
        let receipts = catalog.receipts(*victim).await.unwrap();
        let stages: Vec<ReceiptStage> = receipts.iter().map(|one| one.stage).collect();
        let all = [
            ReceiptStage::Revoked,
            ReceiptStage::Erased,
            ReceiptStage::Purged,
        ];
        assert_eq!(stages, all, "{at}");
        let file = world.domain.receipt_file(*victim, None).await.unwrap();
        let report = verify(file.as_bytes(), trust.as_bytes());
        assert_eq!(report.verdict, Verdict::Verified, "{at}: {report:#?}");
        assert_counts(report.statements.last().unwrap(), at);
        assert_eq!(objects_of(world, *victim).await, None, "{at}: bucket");
        let tenant = catalog.tenant(*victim).await.unwrap();
        assert_eq!(tenant.state, TenantState::Shredded, "{at}");
        let row = catalog.termination(*victim).await.unwrap();
        assert_eq!(row.state, TerminationState::Purged, "{at}");
        assert_eq!(row.sealed_inventory_key, None, "{at}");
    }
    let left = objects_of(world, world.stays).await;
    assert_eq!(left, Some(OBJECTS as usize), "{at}");
    assert_eq!(world.spooled().await, SPOOLED_PARTS, "{at}: the other's");
    let statements = std::fs::read_dir(world.dir.path().join("log/statements")).unwrap();
    assert_eq!(statements.count(), 3 * world.victims.len(), "{at}");
}

fn assert_counts(body: &StatementBody, at: &str) {
    let predicate = &body.predicate;
    let inventory = predicate.inventory.as_ref().unwrap();
    let counted = (inventory.objects, inventory.bytes);
    assert_eq!(counted, (OBJECTS, OBJECTS * OBJECT_BYTES), "{at}");
    assert!(inventory.root.is_some(), "{at}");
    let purge = predicate.purge.as_ref().unwrap();
    assert_eq!(purge.status, PurgeStatus::Complete, "{at}");
    let purged = (purge.objects, purge.bytes);
    assert_eq!(purged, (OBJECTS, OBJECTS * OBJECT_BYTES), "{at}");
    let dropped = (purge.uploads, purge.spooled);
    assert_eq!(dropped, (UPLOADS, SPOOLED_PARTS), "{at}");
    assert_eq!(predicate.assurance, Some(Assurance::Bounded), "{at}");
    assert_eq!(predicate.keys.len(), 2, "{at}");
}

/// Kills at every `step`th call of one part, before or after it was carried out.
async fn kills(part: Part, persisted: bool, step: usize) -> u32 {
    for calls in (0..).step_by(step) {
        let world = World::open(1).await;
        world.doom().await;
        world.kill_at(part, calls, persisted);
        let ran = world.runner("killed").run_due().await;
        world.heal();
        let whole = ran.is_ok() && world.is_over().await;
        let at = format!("{part:?} call {calls}, persisted {persisted}");
        if !whole {
            world.finish(&at).await;
        }
        assert_shredded_once(&world, &at).await;
        if whole {
            return calls;
        }
    }
    0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shred_killed_at_every_call_of_the_keys_is_finished_once() {
    assert!(kills(Part::Keys, false, 1).await >= 15);
    assert!(kills(Part::Keys, true, 1).await >= 15);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shred_killed_at_every_call_of_the_log_is_finished_once() {
    assert!(kills(Part::Log, false, 1).await >= 10);
    assert!(kills(Part::Log, true, 1).await >= 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shred_killed_before_every_call_of_the_catalog_is_finished_once() {
    assert!(kills(Part::Catalog, false, 1).await >= 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shred_killed_after_every_call_of_the_catalog_is_finished_once() {
    assert!(kills(Part::Catalog, true, 2).await >= 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shred_killed_at_every_call_of_the_region_is_finished_once() {
    assert!(kills(Part::Region, false, 1).await >= 20);
    assert!(kills(Part::Region, true, 1).await >= 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_tenants_run_by_two_runners_are_one_shred() {
    let world = World::open(3).await;
    world.doom().await;
    let runners = ["one", "two", "three"].map(|owner| world.runner(owner));
    let ran = join_all(runners.iter().map(super::runner::ShredRunner::run_due)).await;
    assert!(ran.iter().any(Result::is_ok), "{ran:?}");
    if !world.is_over().await {
        world.finish("two runners").await;
    }
    assert_shredded_once(&world, "two runners").await;
}

#[tokio::test]
async fn restored_move_that_no_shred_knows_is_finished_by_the_next_pass() {
    let world = World::open(1).await;
    let restored = Move::default();
    world.keys.model.lock().unwrap().moves.insert(0, restored);
    world.runner("one").run_due().await.unwrap();
    let model = world.keys.model.lock().unwrap();
    assert!(model.moves[&0].destroyed && model.moves[&0].backup.is_some());
    assert_eq!(model.epoch, 1);
}

#[tokio::test]
async fn runner_that_lost_its_lease_changes_nothing_more() {
    let world = World::open(1).await;
    world.doom().await;
    let catalog = &world.bench.catalog;
    // The first is slow at the very step that another finishes meanwhile.
    catalog.inject(crate::catalog::Fault {
        operation: Some("advance_shred"),
        after: 2,
        times: 1,
        kind: FaultKind::Slow(Duration::from_secs(3)),
    });
    let slow = world.runner("slow");
    let quick = async {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        world.finish("quick").await;
    };
    let (slow, ()) = tokio::join!(slow.run_due(), quick);
    drop(slow);
    assert_shredded_once(&world, "lost lease").await;
}

#[tokio::test]
async fn shred_with_keys_or_log_away_begins_nothing() {
    for part in [Part::Keys, Part::Log] {
        let world = World::open(1).await;
        world.doom().await;
        world.kill_at(part, 0, false);
        let refused = world.runner("one").run_due().await;
        assert!(refused.is_err(), "{part:?}");
        let catalog = &world.bench.catalog;
        assert!(catalog.shreds(10).await.unwrap().is_empty(), "{part:?}");
        let row = catalog.termination(world.victims[0]).await.unwrap();
        assert_eq!(row.state, TerminationState::Approved, "{part:?}");
        world.heal();
        world.finish("healed").await;
        assert_shredded_once(&world, "healed").await;
    }
}

#[tokio::test]
async fn shred_is_refused_with_what_is_missing() {
    let world = World::open(1).await;
    let catalog = &world.bench.catalog;
    let id = world.victims[0];
    let tenant = || async { catalog.tenant(id).await.unwrap() };
    let refused = |outcome: Result<(), ShredError>| match outcome {
        Err(ShredError::Forbidden(forbidden)) => forbidden,
        other => panic!("{other:?}"),
    };
    let active = tenant().await;
    let domain = &world.domain;
    let why = refused(domain.may_shred(&active).await);
    assert_eq!(why, Forbidden::NotTerminating);
    let unasked = domain.approve_termination(&active, "bob").await;
    assert_eq!(refused(unasked.map(drop)), Forbidden::NotTerminating);

    let first = domain.request_termination(&active, "alice", None).await;
    let first = first.unwrap();
    let terminating = tenant().await;
    assert_eq!(terminating.state, TenantState::Terminating);
    // The answer was lost: the same again, to whoever asked.
    let again = domain
        .request_termination(&terminating, "alice", None)
        .await;
    assert_eq!(again.unwrap().inventory_key, first.inventory_key);
    let other = domain
        .request_termination(&terminating, "mallory", None)
        .await;
    assert_eq!(refused(other.map(drop)), Forbidden::Terminating);
    let longer = domain
        .request_termination(&terminating, "alice", Some(99))
        .await;
    let grace_end = first.termination.grace_end;
    let why = refused(longer.map(drop));
    assert_eq!(why, Forbidden::OtherGrace { grace_end });
    let own = domain.approve_termination(&terminating, "alice").await;
    assert_eq!(refused(own.map(drop)), Forbidden::OwnRequest);
    domain
        .approve_termination(&terminating, "bob")
        .await
        .unwrap();
    let why = refused(domain.may_shred(&terminating).await);
    assert_eq!(
        why,
        Forbidden::Unapproved {
            given: 1,
            needed: 2
        }
    );
    world.runner("one").run_due().await.unwrap();
    assert!(catalog.shreds(10).await.unwrap().is_empty());

    domain
        .cancel_termination(&terminating, "bob")
        .await
        .unwrap();
    assert_eq!(tenant().await.state, TenantState::Active);
    world.doom().await;
    world.finish("doomed").await;
    let shredded = tenant().await;
    assert_eq!(
        refused(domain.may_shred(&shredded).await),
        Forbidden::Shredded
    );
    let twice = domain.request_termination(&shredded, "alice", None).await;
    assert_eq!(refused(twice.map(drop)), Forbidden::Shredded);
    let late = domain.cancel_termination(&shredded, "alice").await;
    assert_eq!(refused(late.map(drop)), Forbidden::Begun);
}

#[tokio::test]
async fn inventory_root_is_checked_with_the_tenants_key() {
    let world = World::open(1).await;
    let key = InventoryKey::from_bytes(&[7; 32]).unwrap();
    let (stores, victim) = (&world.domain.stores, world.victims[0]);
    let minute = Duration::from_secs(60);
    let found = inventory::take(stores, victim, &key, minute).await.unwrap();
    let mut tree = Tree::default();
    let request = ListRequest {
        keys_max: 100,
        ..ListRequest::default()
    };
    let region = &world.bench.region;
    let listed = region
        .list(victim, &upstream(victim), &request)
        .await
        .unwrap();
    for object in &listed.objects {
        let entry = Entry {
            bucket: "docs",
            key: &object.key,
            version: "",
            stored_bytes: object.stored_bytes,
            etag: &object.etag,
            kek_commitment: &[],
        };
        tree.push(&entry_hash(&key, &entry));
    }
    assert_eq!(found.root, Some(hex::encode(tree.root())));
    assert!(found.complete && found.objects == OBJECTS);
    let other = InventoryKey::from_bytes(&[8; 32]).unwrap();
    let other = inventory::take(stores, victim, &other, minute)
        .await
        .unwrap();
    assert_ne!(other.root, found.root);

    let none = inventory::take(stores, victim, &key, Duration::ZERO)
        .await
        .unwrap();
    assert!(!none.complete && none.root.is_none() && none.objects == 0);
    let said = &none.uncounted[0];
    assert!(
        said.ends_with("the time was up") && !said.contains("docs"),
        "{said}"
    );
}

#[tokio::test]
async fn purge_cut_off_counts_nothing_twice() {
    let world = World::open(1).await;
    world.doom().await;
    let catalog = &world.bench.catalog;
    // Each slice ends at its first note; one before them is the inventory's.
    for after in 1..3 {
        catalog.inject(crate::catalog::Fault {
            operation: Some("note_evidence"),
            after,
            times: 1,
            kind: FaultKind::Persisted,
        });
    }
    world.runner("one").run_due().await.unwrap();
    let shred = &catalog.shreds(1).await.unwrap()[0];
    assert_eq!(shred.state, ShredState::Receipted);
    assert!(shred.last_error.is_some());
    world.finish("purge").await;
    assert_shredded_once(&world, "purge").await;
}

/// States that a shred passes through; each is left by one call of `advance_shred`.
const STEPS: u32 = 8;
const WRONG_MS: i64 = 10 * 60 * 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shred_of_which_any_step_had_a_wrong_clock_is_finished_once() {
    for step in 0..STEPS {
        for wrong_ms in [WRONG_MS, -WRONG_MS] {
            let at = format!("step {step} with a clock wrong by {wrong_ms} ms");
            let world = World::open(1).await;
            world.doom().await;
            let catalog = &world.bench.catalog;
            let stop_after = |steps| crate::catalog::Fault {
                operation: Some("advance_shred"),
                after: steps,
                times: u32::MAX,
                kind: FaultKind::NotPersisted,
            };
            // The steps before, with the clock right; so the next begins where a state has just been recorded.
            catalog.inject(stop_after(step));
            world.runner("before").run_due().await.expect(&at);
            world.heal();
            // One step, recorded by the wrong clock.
            world.bench.clock.advance_ms(60_000);
            world.skew(wrong_ms);
            catalog.inject(stop_after(1));
            // A clock that is behind may not see that the shred is free.
            for _ in 0..2 {
                let ran = world.runner("wrong").run_due().await;
                ran.expect(&at);
                catalog.hurry_shreds().await.ok();
            }
            world.skew(-wrong_ms);
            world.heal();
            world.finish(&at).await;
            assert_shredded_once(&world, &at).await;
        }
    }
}

#[tokio::test]
async fn shred_that_a_fast_clock_began_waits_for_the_end_of_the_grace() {
    let world = World::open(1).await;
    // Asked for now, and begun by a gateway whose clock is ahead of the grace.
    world.bench.clock.advance_ms(WRONG_MS);
    world.doom().await;
    world.bench.clock.advance_ms(-WRONG_MS);
    world.runner("right").run_due().await.unwrap();
    let catalog = &world.bench.catalog;
    assert!(catalog.shreds(10).await.unwrap().is_empty());
    world.bench.clock.advance_ms(WRONG_MS);
    let begun = world.domain.begin(world.bench.clock.now()).await.unwrap();
    assert!(begun.is_some());
    world.bench.clock.advance_ms(-WRONG_MS);
    world.runner("right").run_due().await.unwrap();
    let shred = &catalog.shreds(1).await.unwrap()[0];
    assert_eq!(shred.state, ShredState::Requested);
    assert!(
        shred.last_error.as_ref().unwrap().contains("grace"),
        "{shred:?}"
    );
    assert!(world.keys.model.lock().unwrap().fenced.is_empty());
    let victim = catalog.termination(world.victims[0]).await.unwrap();
    world.keys.model.lock().unwrap().wrong_ms = victim.grace_end.0 - NOW.0;
    world.finish("the grace is over").await;
    assert_shredded_once(&world, "the grace is over").await;
}

#[tokio::test]
async fn shred_with_a_key_that_does_not_open_begins_nothing_until_its_tenant_joins() {
    let mut world = World::open(1).await;
    world.doom().await;
    world.keys.model.lock().unwrap().broken = Some(world.stays);
    let refused = world.runner("one").run_due().await.unwrap_err();
    assert!(refused.to_string().contains("does not open"), "{refused}");
    let catalog = world.bench.catalog.clone();
    assert!(catalog.shreds(10).await.unwrap().is_empty());
    let row = catalog.termination(world.victims[0]).await.unwrap();
    assert_eq!(row.state, TerminationState::Approved);
    // The way out that needs no backup: the tenant whose key is lost goes, too.
    let first = std::mem::replace(&mut world.victims, vec![world.stays]);
    world.doom().await;
    world.victims.extend(first);
    world.finish("both").await;
    let model = world.keys.model.lock().unwrap();
    assert_eq!(model.moves[&1].victims.len(), 2);
    assert!(model.moves[&1].destroyed);
}

#[tokio::test]
async fn tenant_whose_proof_fails_keeps_no_other_from_being_proven() {
    let world = World::open(3).await;
    world.doom().await;
    // The key store has forgotten to queue the creation of one tenant's KEK, as one that was restored from before.
    let forgotten = world.keys.unqueue(world.victims[1]);
    for _ in 0..4 {
        world.bench.clock.advance_ms(WRONG_MS);
        world.runner("one").run_due().await.unwrap();
    }
    let catalog = &world.bench.catalog;
    let proven = async |victim: TenantId| {
        let receipts = catalog.receipts(victim).await.unwrap();
        assert_eq!(receipts.len(), 3);
        receipts.iter().all(|one| one.proof.is_some())
    };
    assert!(proven(world.victims[0]).await && proven(world.victims[2]).await);
    assert!(!proven(world.victims[1]).await);
    world.keys.requeue(forgotten);
    world.finish("queued again").await;
    assert!(proven(world.victims[1]).await);
}

#[tokio::test]
async fn receipt_that_the_log_does_not_take_is_told_of() {
    let world = World::open(0).await;
    world.keys.model.lock().unwrap().queued.clear();
    let receipt = ReceiptRow {
        id: ReceiptId::from_bytes([7; 16]),
        tenant: world.stays,
        stage: ReceiptStage::Revoked,
        envelope: "{}".to_owned(),
        entry: [7; 32],
        issued: NOW,
        logged: None,
        proof: None,
    };
    world.bench.catalog.keep_receipt(&receipt).await.unwrap();
    let statements = world.dir.path().join("log/statements");
    std::fs::create_dir_all(&statements).unwrap();
    let place = statements.join(format!("{}.json", hex::encode([7; 16])));
    std::fs::write(place, "something else").unwrap();
    let failed = world.domain.log_receipts().await.unwrap_err();
    assert!(failed.to_string().contains("something else"), "{failed}");
}

#[tokio::test]
async fn shred_that_finds_the_root_elsewhere_moves_it_from_there() {
    let world = World::open(1).await;
    world.doom().await;
    let catalog = &world.bench.catalog;
    let begun = world.domain.begin(world.bench.clock.now()).await.unwrap();
    assert!(begun.is_some());
    // Another shred ended between the look at the epoch and the beginning.
    {
        let mut model = world.keys.model.lock().unwrap();
        let moved = Move {
            victims: [TenantId::from_bytes([0xdd; 16])].into(),
            backup: Some("tested".to_owned()),
            destroyed: true,
        };
        model.moves.insert(1, moved);
        model.epoch = 2;
    }
    world.finish("elsewhere").await;
    assert_eq!(catalog.shreds(1).await.unwrap()[0].epoch_from, 2);
    let model = world.keys.model.lock().unwrap();
    assert_eq!(model.epoch, 3);
    assert!(model.moves[&2].destroyed);
    assert_eq!(
        model.moves[&2].victims,
        world.victims.iter().copied().collect()
    );
}

#[tokio::test]
async fn restored_move_that_can_not_be_finished_is_tried_ever_more_seldom() {
    let world = World::open(0).await;
    let restored = Move::default();
    world.keys.model.lock().unwrap().moves.insert(0, restored);
    let runner = world.runner("one");
    let backups = async |later_ms: i64| {
        world.bench.clock.advance_ms(later_ms);
        // Which moves there are, the fence, and the backup; the destruction fails.
        world.keys.fuse.blow_after(3, false);
        runner.run_due().await.ok();
        world.keys.fuse.mend();
        world.keys.model.lock().unwrap().backups
    };
    assert_eq!(backups(0).await, 1);
    assert_eq!(backups(29_000).await, 1);
    assert_eq!(backups(1_000).await, 2);
    assert_eq!(backups(59_000).await, 2);
    assert_eq!(backups(1_000).await, 3);
    // A clock that was ahead and is right again.
    world.bench.clock.advance_ms(-2 * 60 * 60 * 1000);
    runner.run_due().await.unwrap();
    let model = world.keys.model.lock().unwrap();
    assert_eq!(model.backups, 4);
    assert!(model.moves[&0].destroyed);
}
