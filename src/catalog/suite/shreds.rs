use super::World;
use super::fixtures::{NOW, assert_refused, tenant, tenant_with_upload};
use super::terminations::{GRACE_MS, by, new_termination};
use crate::catalog::{
    ApprovalMode, Catalog, Evidence, ReceiptId, ReceiptProof, ReceiptRow, ReceiptStage, Shred,
    ShredId, ShredState, TerminationState, UploadState, WitnessMark,
};
use crate::clock::{Clock as _, SystemClock, UnixMs};
use crate::tenants::{TenantId, TenantState};
use futures::future::join_all;
use std::collections::BTreeSet;
use std::sync::Arc;

const LATER: UnixMs = UnixMs(NOW.0 + GRACE_MS);

/// A tenant whose termination is approved.
async fn doomed(catalog: &Arc<dyn Catalog>, name: &str) -> TenantId {
    let id = tenant(catalog, name).await;
    let new = new_termination(id, ApprovalMode::Dev);
    catalog.begin_termination(&new).await.unwrap();
    let bob = by("bob", NOW);
    catalog.approve_termination(id, new.id, &bob).await.unwrap();
    id
}

async fn begin(catalog: &Arc<dyn Catalog>, now: UnixMs) -> Option<Shred> {
    let id = ShredId::random().unwrap();
    let due = catalog.due_terminations(now, 100).await.unwrap();
    let due: Vec<_> = due.iter().map(|one| one.id).collect();
    catalog.begin_shred(id, 1, &due, now).await.unwrap()
}

fn evidence(state: ShredState, tenant: Option<TenantId>, body: &str) -> Evidence {
    Evidence {
        state,
        tenant,
        body: body.to_owned(),
    }
}

pub(super) async fn shred_takes_what_is_due_and_only_that(world: &World) {
    let catalog = &world.catalog;
    assert_eq!(begin(catalog, LATER).await, None);
    let unapproved = tenant(catalog, "unapproved").await;
    let new = new_termination(unapproved, ApprovalMode::Production);
    catalog.begin_termination(&new).await.unwrap();
    let one = by("bob", NOW);
    catalog
        .approve_termination(unapproved, new.id, &one)
        .await
        .unwrap();
    assert_eq!(begin(catalog, LATER).await, None, "one approver only");
    let due = async |at| catalog.is_termination_due(at).await.unwrap();
    assert!(!due(LATER).await, "one approver only");
    let acme = doomed(catalog, "acme").await;
    let globex = doomed(catalog, "globex").await;
    assert_eq!(
        begin(catalog, LATER.plus_ms(-1)).await,
        None,
        "in the grace"
    );
    assert!(!due(LATER.plus_ms(-1)).await, "in the grace");
    assert!(due(LATER).await);
    assert!(catalog.shreds(10).await.unwrap().is_empty());

    let shred = begin(catalog, LATER).await.unwrap();
    assert_eq!((shred.state, shred.epoch_from), (ShredState::Requested, 1));
    assert!(!due(LATER).await, "they are in a shred");
    let members = catalog.shred_terminations(shred.id).await.unwrap();
    let tenants: BTreeSet<_> = members.iter().map(|one| one.tenant).collect();
    assert_eq!(tenants, BTreeSet::from([acme, globex]));
    let bob = by("bob", LATER);
    for member in &members {
        assert_eq!(member.state, TerminationState::Shredding);
        let cancelled = catalog
            .cancel_termination(member.tenant, member.id, &bob)
            .await;
        assert_refused!(cancelled, Conflict);
    }
    // Whoever begins another finds the open one.
    assert_eq!(begin(&world.other, LATER).await.unwrap().id, shred.id);
}

pub(super) async fn approval_that_came_late_is_due_when_it_was_given(world: &World) {
    let catalog = &world.catalog;
    let acme = tenant(catalog, "acme").await;
    let new = new_termination(acme, ApprovalMode::Production);
    catalog.begin_termination(&new).await.unwrap();
    let late = LATER.plus_ms(5);
    for (principal, at) in [("bob", NOW), ("carol", late), ("dave", late.plus_ms(7))] {
        let approval = by(principal, at);
        catalog
            .approve_termination(acme, new.id, &approval)
            .await
            .unwrap();
    }
    // The window whose start was missed; a third approval changes nothing.
    assert!(!catalog.is_termination_due(LATER.plus_ms(4)).await.unwrap());
    assert_eq!(begin(catalog, LATER.plus_ms(4)).await, None);
    assert!(catalog.is_termination_due(late).await.unwrap());
    assert!(begin(catalog, late).await.is_some());
}

pub(super) async fn shred_begun_in_a_race_is_one(world: &World) {
    doomed(&world.catalog, "acme").await;
    let begun = (0..6).map(|number| {
        let catalog = if number % 2 == 0 {
            world.catalog.clone()
        } else {
            world.other.clone()
        };
        async move { begin(&catalog, LATER).await.unwrap().id }
    });
    let ids: BTreeSet<_> = join_all(begun).await.into_iter().collect();
    assert_eq!(ids.len(), 1);
}

pub(super) async fn shred_taken_over_refuses_the_old_fence(world: &World) {
    let (catalog, other) = (&world.catalog, &world.other);
    doomed(catalog, "acme").await;
    begin(catalog, LATER).await.unwrap();
    let old = catalog
        .claim_shred("one", LATER, 100)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(other.claim_shred("two", LATER, 100).await.unwrap(), None);
    let until = LATER.plus_ms(200);
    catalog.renew_shred(old.id, old.fence, until).await.unwrap();
    let early = other.claim_shred("two", LATER.plus_ms(150), 100).await;
    assert_eq!(early.unwrap(), None);
    let new = other.claim_shred("two", until, 100).await.unwrap().unwrap();
    assert!(new.fence > old.fence);
    let requested = ShredState::Requested;
    let refused = catalog
        .advance_shred(old.id, old.fence, requested, &[], until)
        .await;
    assert_refused!(refused, Conflict);
    let note = evidence(ShredState::Fenced, None, "{}");
    assert_refused!(
        catalog.note_evidence(old.id, old.fence, &note).await,
        Conflict
    );
    assert_refused!(
        catalog.renew_shred(old.id, old.fence, until).await,
        Conflict
    );
    let released = catalog.release_shred(old.id, old.fence, until, None).await;
    assert_refused!(released, Conflict);
    assert_refused!(
        catalog.move_shred_from(old.id, old.fence, 9).await,
        Conflict
    );
    other.move_shred_from(new.id, new.fence, 9).await.unwrap();
    assert_eq!(catalog.shred(new.id).await.unwrap().epoch_from, 9);

    other
        .advance_shred(
            new.id,
            new.fence,
            requested,
            std::slice::from_ref(&note),
            until,
        )
        .await
        .unwrap();
    let again = other
        .advance_shred(new.id, new.fence, requested, &[], until)
        .await;
    assert_refused!(again, Conflict);
    let later = until.plus_ms(500);
    other
        .release_shred(new.id, new.fence, later, Some("away"))
        .await
        .unwrap();
    let found = catalog.shred(new.id).await.unwrap();
    assert_eq!(found.state, ShredState::Fenced);
    assert_eq!(found.last_error.as_deref(), Some("away"));
    assert_eq!(
        catalog.evidence(new.id).await.unwrap(),
        std::slice::from_ref(&note)
    );
    let of = async |state, tenant| catalog.evidence_of(new.id, state, tenant).await.unwrap();
    assert_eq!(of(note.state, note.tenant).await, Some(note.clone()));
    assert_eq!(of(ShredState::Purged, note.tenant).await, None);
    let another = TenantId::from_bytes([9; 16]);
    assert_eq!(of(note.state, Some(another)).await, None);
    let waiting = catalog.claim_shred("one", until.plus_ms(300), 100).await;
    assert_eq!(waiting.unwrap(), None);
    catalog.hurry_shreds().await.unwrap();
    let hurried = catalog.claim_shred("one", until, 100).await.unwrap();
    assert_eq!(hurried.unwrap().id, new.id);
}

pub(super) async fn shred_is_taken_from_a_clock_that_was_ahead_and_by_hand(world: &World) {
    let (catalog, other) = (&world.catalog, &world.other);
    doomed(catalog, "acme").await;
    begin(catalog, LATER).await.unwrap();
    let claim = async |catalog: &Arc<dyn Catalog>, at: UnixMs| {
        catalog.claim_shred("one", at, 100).await.unwrap()
    };
    let hour_ms = 60 * 60 * 1000;
    // As far ahead as a live gateway may be, and further.
    let ahead = LATER.plus_ms(hour_ms);
    let live = claim(catalog, ahead).await.unwrap();
    assert_eq!(claim(other, LATER).await, None);
    catalog
        .renew_shred(live.id, live.fence, ahead.plus_ms(101))
        .await
        .unwrap();
    let taken = claim(other, LATER).await.unwrap();
    assert!(taken.fence > live.fence);
    assert_eq!(claim(catalog, LATER).await, None);
    // Those that only wait are hurried; this one is worked on.
    catalog.hurry_shreds().await.unwrap();
    assert_eq!(claim(catalog, LATER).await, None);
    catalog.take_shreds_back().await.unwrap();
    let renewed = other.renew_shred(taken.id, taken.fence, ahead).await;
    assert_refused!(renewed, Conflict);
    let released = other
        .release_shred(taken.id, taken.fence, ahead, None)
        .await;
    assert_refused!(released, Conflict);
    let again = claim(catalog, LATER).await.unwrap();
    assert!(again.fence > taken.fence);
}

pub(super) async fn clock_of_a_server_is_told(world: &World) {
    let own = SystemClock.now();
    let told = world.catalog.database_now().await.unwrap();
    let has_server = world._directory.is_none();
    assert_eq!(told.is_some(), has_server);
    // The server of the test is on this machine.
    assert!(told.is_none_or(|told| (told.0 - own.0).abs() < 60_000));
}

pub(super) async fn shred_goes_through_its_states_in_order(world: &World) {
    let catalog = &world.catalog;
    let acme = doomed(catalog, "acme").await;
    begin(catalog, LATER).await.unwrap();
    let held = catalog
        .claim_shred("one", LATER, 100)
        .await
        .unwrap()
        .unwrap();
    for pair in ShredState::ALL.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let skipped = from.next().and_then(ShredState::next);
        if let Some(skipped) = skipped {
            let refused = catalog
                .advance_shred(held.id, held.fence, skipped, &[], LATER)
                .await;
            assert_refused!(refused, Conflict);
        }
        let of_all = evidence(to, None, "{\"of\":\"all\"}");
        let of_one = evidence(to, Some(acme), "{\"of\":\"one\"}");
        catalog
            .advance_shred(held.id, held.fence, from, &[of_all, of_one], LATER)
            .await
            .unwrap();
        assert_eq!(catalog.shred(held.id).await.unwrap().state, to);
        let termination = catalog.termination(acme).await.unwrap();
        let expected = match to {
            ShredState::Receipted => TerminationState::Erased,
            ShredState::Purged => TerminationState::Purged,
            _ => TerminationState::Shredding,
        };
        assert_eq!(termination.state, expected, "{to:?}");
        let kept = to < ShredState::Inventoried;
        assert_eq!(termination.sealed_inventory_key.is_some(), kept, "{to:?}");
    }
    assert_eq!(catalog.evidence(held.id).await.unwrap().len(), 16);
    let over = LATER.plus_ms(1_000_000);
    assert_eq!(catalog.claim_shred("one", over, 100).await.unwrap(), None);
    assert!(catalog.open_terminations(None, 9).await.unwrap().is_empty());
}

pub(super) async fn shred_that_purges_lets_the_next_begin_and_go_first(world: &World) {
    let catalog = &world.catalog;
    doomed(catalog, "acme").await;
    let first = begin(catalog, LATER).await.unwrap();
    let held = catalog
        .claim_shred("one", LATER, 100)
        .await
        .unwrap()
        .unwrap();
    for from in ShredState::ALL {
        if from == ShredState::Receipted {
            break;
        }
        catalog
            .advance_shred(held.id, held.fence, from, &[], LATER)
            .await
            .unwrap();
    }
    catalog
        .release_shred(held.id, held.fence, LATER, None)
        .await
        .unwrap();
    doomed(catalog, "globex").await;
    let second = begin(catalog, LATER).await.unwrap();
    assert_ne!(first.id, second.id);
    for expected in [second.id, first.id] {
        let claimed = catalog.claim_shred("one", LATER, 100).await.unwrap();
        assert_eq!(claimed.unwrap().id, expected);
    }
}

pub(super) async fn uploads_end_with_a_shredded_tenant_only(world: &World) {
    let catalog = &world.catalog;
    let (acme, id) = tenant_with_upload(catalog).await;
    let upload = |state| async move {
        let uploads = catalog.uploads_in_any_state(acme, 9).await.unwrap();
        assert_eq!((uploads.len(), uploads[0].state), (1, state));
    };
    catalog.end_uploads(acme).await.unwrap();
    upload(UploadState::Open).await;
    catalog
        .begin_complete(acme, &id, NOW, 1_000_000)
        .await
        .unwrap();
    let shredded = TenantState::Shredded;
    catalog
        .move_tenant(acme, &[TenantState::Active], shredded)
        .await
        .unwrap();
    catalog.end_uploads(acme).await.unwrap();
    upload(UploadState::Aborting).await;
    catalog.forget_upload(acme, &id).await.unwrap();
    let left = catalog.uploads_in_any_state(acme, 9).await.unwrap();
    assert!(left.is_empty());
    let docs = catalog.buckets_in_any_state(acme).await.unwrap();
    assert_eq!(docs[0].name.as_str(), "docs");
}

fn receipt(tenant: TenantId, stage: ReceiptStage, mark: u8) -> ReceiptRow {
    ReceiptRow {
        id: ReceiptId::from_bytes([mark; 16]),
        tenant,
        stage,
        envelope: format!("{{\"mark\":{mark}}}"),
        entry: [mark; 32],
        issued: NOW.plus_ms(i64::from(mark)),
        logged: None,
        proof: None,
    }
}

pub(super) async fn receipt_of_a_stage_is_the_first(world: &World) {
    let catalog = &world.catalog;
    let acme = tenant(catalog, "acme").await;
    let globex = tenant(catalog, "globex").await;
    let first = receipt(acme, ReceiptStage::Erased, 1);
    assert_eq!(catalog.keep_receipt(&first).await.unwrap(), first);
    let second = receipt(acme, ReceiptStage::Erased, 2);
    assert_eq!(world.other.keep_receipt(&second).await.unwrap(), first);
    let revoked = receipt(acme, ReceiptStage::Revoked, 3);
    catalog.keep_receipt(&revoked).await.unwrap();
    let others = receipt(globex, ReceiptStage::Erased, 4);
    catalog.keep_receipt(&others).await.unwrap();
    // An id that is another receipt's makes no receipt.
    let taken = receipt(globex, ReceiptStage::Purged, 1);
    assert_refused!(catalog.keep_receipt(&taken).await, Exists);
    let stages = catalog.receipts(acme).await.unwrap();
    assert_eq!(stages, [revoked.clone(), first.clone()]);
    assert_eq!(catalog.receipt(first.id).await.unwrap(), first);
    assert_eq!(
        catalog.receipts_unlogged(2).await.unwrap(),
        [first.clone(), revoked.clone()]
    );

    let wish = WitnessMark::of([0, 0, 0, 9]);
    let proven = |index, before: &str, proof: &str, settled: bool| ReceiptProof {
        receipt: first.id,
        index,
        before: Some(before.to_owned()).filter(|before| !before.is_empty()),
        proof: proof.to_owned(),
        settled: settled.then_some(wish),
    };
    let logged = async |tenant, one: ReceiptProof| catalog.receipts_logged(tenant, &[one]).await;
    logged(acme, proven(7, "", "one", false)).await.unwrap();
    assert_eq!(catalog.receipts_unlogged(9).await.unwrap().len(), 3);
    // It waits for witnesses only: those that the log does not have come before it.
    let unlogged = catalog.receipts_unlogged(9).await.unwrap();
    assert_eq!(unlogged.last().unwrap().id, first.id);
    assert_eq!(catalog.receipts_unlogged(2).await.unwrap().len(), 2);
    logged(acme, proven(7, "one", "two", true)).await.unwrap();
    assert_refused!(
        logged(acme, proven(8, "two", "three", true)).await,
        Conflict
    );
    assert_refused!(
        logged(acme, proven(7, "one", "three", true)).await,
        Conflict
    );
    assert_refused!(
        logged(globex, proven(7, "two", "three", true)).await,
        NotFound
    );
    // All or none: the second's place is refused, and the first keeps its proof.
    let second = ReceiptProof {
        before: Some("never".to_owned()),
        receipt: revoked.id,
        ..proven(9, "", "three", false)
    };
    let both = [proven(7, "two", "three", false), second];
    assert_refused!(catalog.receipts_logged(acme, &both).await, Conflict);
    let found = catalog.receipt(first.id).await.unwrap();
    assert_eq!(
        (found.logged, found.proof.as_deref()),
        (Some(7), Some("two"))
    );
    assert_eq!(catalog.receipts_unlogged(9).await.unwrap().len(), 2);
    // Other witnesses are wanted: what these settled is looked at again.
    assert_eq!(catalog.unsettle_receipts(wish).await.unwrap(), 0);
    let other = WitnessMark::of([0; 4]);
    assert_eq!(catalog.unsettle_receipts(other).await.unwrap(), 1);
    assert_eq!(catalog.receipts_unlogged(9).await.unwrap().len(), 3);
}
