//! Proofs of receipts whose witnesses come later, or are wanted later.

use super::testing::World;
use crate::catalog::ReceiptStore as _;
use crate::clock::Clock as _;
use crate::tenants::TenantId;
use lethe_receipts::{CheckName, Outcome, Report, TrustFile, verify};
use std::sync::atomic::Ordering;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

async fn report(world: &World) -> Report {
    let file = world.domain.receipt_file(world.victims[0], None).await;
    verify(file.unwrap().as_bytes(), world.trust().as_bytes())
}

/// The sizes of the trees that the stages are proven in.
async fn sizes(world: &World) -> Vec<u64> {
    let receipts = world.bench.catalog.receipts(world.victims[0]).await;
    let proofs = receipts.unwrap().into_iter().filter_map(|one| one.proof);
    let heads = proofs.map(|proof| super::receipts::proven_head(&proof).unwrap());
    heads.map(|head| head.size).collect()
}

/// Another tenant's KEK, which lets the log grow.
fn grow(world: &World, mark: u8) {
    world.keys.create(TenantId::from_bytes([mark; 16]), 1);
}

#[tokio::test]
async fn receipts_of_before_a_witness_was_wanted_get_its_cosignatures() {
    let world = World::open(1).await;
    world.doom().await;
    world.finish("no witness is wanted").await;
    let before = sizes(&world).await;
    let witnesses = &world.log.witnesses;
    witnesses.wanted.store(1, Ordering::SeqCst);
    grow(&world, 0xa1);
    // It is away at first: proofs are renewed all the same, together.
    world.runner("restarted").run_due().await.unwrap();
    assert!(!world.is_over().await, "they wait for the witness");
    witnesses.there.store(1, Ordering::SeqCst);
    grow(&world, 0xa2);
    world.runner("again").run_due().await.unwrap();
    assert!(world.is_over().await);
    let after = sizes(&world).await;
    assert!(
        after
            .iter()
            .all(|size| size == &after[0] && *size > before[2])
    );
    let checks = report(&world).await.checks;
    assert!(
        checks.iter().all(|check| check.outcome == Outcome::Ok),
        "{checks:?}"
    );
    // Settled by what is wanted now: no start and no growth of the log changes them again.
    grow(&world, 0xa3);
    world.runner("restarted again").run_due().await.unwrap();
    assert_eq!(sizes(&world).await, after);
}

#[tokio::test]
async fn proofs_that_can_not_all_be_renewed_stay_as_they_are() {
    let world = World::open(1).await;
    world.doom().await;
    world.finish("no witness is wanted").await;
    let before = sizes(&world).await;
    world.log.witnesses.wanted.store(1, Ordering::SeqCst);
    let catalog = &world.bench.catalog;
    let receipts = catalog.receipts(world.victims[0]).await.unwrap();
    // As where the log is ahead of what this gateway has read of it.
    let entry = receipts[2].entry;
    let ahead = |index| world.keys.model.lock().unwrap().logged.insert(entry, index);
    let index = ahead(u64::MAX).unwrap();
    grow(&world, 0xa1);
    world.runner("one").run_due().await.unwrap();
    assert_eq!(sizes(&world).await, before);
    let consistent = |report: Report| {
        let failed = |check: &&lethe_receipts::Check| check.outcome == Outcome::Failed;
        report.checks.iter().find(failed).map(|check| check.name)
    };
    assert_eq!(consistent(report(&world).await), None::<CheckName>);
    ahead(index);
    world.runner("two").run_due().await.unwrap();
    assert!(sizes(&world).await[0] > before[2]);
    assert_eq!(consistent(report(&world).await), None);
}

#[tokio::test]
async fn issuer_rotated_while_a_witness_is_away_stays_trusted_until_it_is_back() {
    let world = World::open(1).await;
    let witnesses = &world.log.witnesses;
    witnesses.wanted.store(1, Ordering::SeqCst);
    world.doom().await;
    world.runner("one").run_due().await.unwrap();
    let signing = &world.domain.signing;
    signing.rotate_issuer(world.bench.clock.now()).unwrap();
    let end = || {
        let trust = TrustFile::from_json(world.trust().as_bytes()).unwrap();
        trust.issuers[0].not_after
    };
    for _ in 0..2 {
        world.runner("one").run_due().await.unwrap();
        assert_eq!(end(), None, "its receipts wait");
        world.bench.clock.advance_ms(8 * DAY_MS);
    }
    witnesses.there.store(1, Ordering::SeqCst);
    world.runner("one").run_due().await.unwrap();
    assert!(world.is_over().await);
    let now_s = u64::try_from(world.bench.clock.now().0 / 1000).unwrap();
    let closed = end().unwrap();
    assert!(closed.unix_s() > now_s, "the cosignatures of now are in it");
    world.bench.clock.advance_ms(DAY_MS);
    world.runner("one").run_due().await.unwrap();
    assert_eq!(end(), Some(closed));
    // Wanted anew, cosignatures are of then: its window is open again for them.
    witnesses.wanted.store(2, Ordering::SeqCst);
    world.bench.clock.advance_ms(30 * DAY_MS);
    world.runner("two").run_due().await.unwrap();
    assert_eq!(end(), None);
}
