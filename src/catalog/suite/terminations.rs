use super::World;
use super::fixtures::{NOW, assert_refused, new_tenant, tenant};
use crate::catalog::{Approval, ApprovalMode, NewTermination, TerminationId, TerminationState};
use crate::clock::UnixMs;
use crate::tenants::{TenantId, TenantState};
use futures::future::join_all;

pub(super) const GRACE_MS: i64 = 1_000;

pub(super) fn by(principal: &str, at: UnixMs) -> Approval {
    Approval {
        principal: principal.to_owned(),
        at,
    }
}

pub(super) fn new_termination(tenant: TenantId, mode: ApprovalMode) -> NewTermination {
    NewTermination {
        id: TerminationId::random().unwrap(),
        tenant,
        requested_by: "alice".to_owned(),
        requested: NOW,
        grace_end: NOW.plus_ms(GRACE_MS),
        mode,
        sealed_inventory_key: vec![1, 2, 3],
    }
}

async fn state(world: &World, tenant: TenantId) -> TenantState {
    world.other.tenant(tenant).await.unwrap().state
}

pub(super) async fn termination_is_approved_by_two_different_principals(world: &World) {
    let catalog = &world.catalog;
    let acme = tenant(catalog, "acme").await;
    let new = new_termination(acme, ApprovalMode::Production);
    let before = catalog.revision().await.unwrap();
    catalog.begin_termination(&new).await.unwrap();
    catalog.begin_termination(&new).await.unwrap();
    assert_eq!(state(world, acme).await, TenantState::Terminating);
    // Gateways hear of it: it is in the revision, once.
    assert_eq!(catalog.revision().await.unwrap().0, before.0 + 1);
    for principal in ["bob", "bob"] {
        let approval = by(principal, NOW.plus_ms(5));
        catalog
            .approve_termination(acme, new.id, &approval)
            .await
            .unwrap();
        let found = catalog.termination(acme).await.unwrap();
        assert_eq!(found.state, TerminationState::Requested);
        assert_eq!(found.approvals, [by("bob", NOW.plus_ms(5))]);
    }
    let approval = by("carol", NOW.plus_ms(7));
    catalog
        .approve_termination(acme, new.id, &approval)
        .await
        .unwrap();
    let found = world.other.termination(acme).await.unwrap();
    assert_eq!(found.state, TerminationState::Approved);
    assert_eq!(found.approvals.len(), 2);
    assert_eq!(found.requested_by, "alice");
    assert_eq!(found.grace_end, NOW.plus_ms(GRACE_MS));
    assert_eq!(found.sealed_inventory_key, Some(vec![1, 2, 3]));
    assert_eq!(catalog.open_terminations(None, 10).await.unwrap(), [found]);
}

pub(super) async fn approvals_in_a_race_are_all_counted(world: &World) {
    let acme = tenant(&world.catalog, "acme").await;
    let new = new_termination(acme, ApprovalMode::Production);
    world.catalog.begin_termination(&new).await.unwrap();
    let approvals = (0..8).map(|number| {
        let catalog = if number % 2 == 0 {
            world.catalog.clone()
        } else {
            world.other.clone()
        };
        let approval = by(&format!("approver-{}", number / 4), NOW);
        async move { catalog.approve_termination(acme, new.id, &approval).await }
    });
    for outcome in join_all(approvals).await {
        outcome.unwrap();
    }
    let found = world.catalog.termination(acme).await.unwrap();
    assert_eq!(found.state, TerminationState::Approved);
    assert_eq!(found.approvals.len(), 2);
}

pub(super) async fn termination_needs_an_active_or_suspended_tenant(world: &World) {
    let catalog = &world.catalog;
    let production = ApprovalMode::Production;
    let nobody = new_termination(TenantId::from_bytes([9; 16]), production);
    assert_refused!(catalog.begin_termination(&nobody).await, NotFound);
    let creating = new_tenant("half");
    catalog.begin_tenant(&creating).await.unwrap();
    let refused = new_termination(creating.id, production);
    assert_refused!(catalog.begin_termination(&refused).await, Conflict);
    assert_refused!(catalog.termination(creating.id).await, NotFound);
    let suspended = tenant(catalog, "suspended").await;
    catalog
        .move_tenant(suspended, &[TenantState::Active], TenantState::Suspended)
        .await
        .unwrap();
    let first = new_termination(suspended, production);
    catalog.begin_termination(&first).await.unwrap();
    let second = new_termination(suspended, production);
    assert_refused!(catalog.begin_termination(&second).await, Conflict);
    assert_eq!(catalog.termination(suspended).await.unwrap().id, first.id);
    let foreign = tenant(catalog, "foreign").await;
    let approved = catalog
        .approve_termination(foreign, first.id, &by("bob", NOW))
        .await;
    assert_refused!(approved, NotFound);
}

pub(super) async fn termination_cancelled_gives_the_state_back(world: &World) {
    let catalog = &world.catalog;
    for (name, before) in [
        ("acme", TenantState::Active),
        ("globex", TenantState::Suspended),
    ] {
        let id = tenant(catalog, name).await;
        catalog
            .move_tenant(id, &[TenantState::Active], before)
            .await
            .unwrap();
        let new = new_termination(id, ApprovalMode::Dev);
        catalog.begin_termination(&new).await.unwrap();
        let bob = by("bob", NOW.plus_ms(2));
        catalog.approve_termination(id, new.id, &bob).await.unwrap();
        catalog.cancel_termination(id, new.id, &bob).await.unwrap();
        catalog.cancel_termination(id, new.id, &bob).await.unwrap();
        assert_eq!(state(world, id).await, before);
        let found = catalog.termination(id).await.unwrap();
        assert_eq!(found.state, TerminationState::Cancelled);
        assert_eq!(found.cancelled, Some(bob.clone()));
        assert_eq!(found.sealed_inventory_key, None);
        let approved = catalog.approve_termination(id, new.id, &bob).await;
        assert_refused!(approved, Conflict);
        // A cancelled one is history; the tenant may be terminated again.
        let again = new_termination(id, ApprovalMode::Dev);
        catalog.begin_termination(&again).await.unwrap();
        assert_eq!(catalog.termination(id).await.unwrap().id, again.id);
    }
    assert_eq!(catalog.open_terminations(None, 10).await.unwrap().len(), 2);
}

pub(super) async fn terminations_are_listed_by_period_in_pages(world: &World) {
    let catalog = &world.catalog;
    for number in 0..5 {
        let id = tenant(catalog, &format!("tenant-{number}")).await;
        let requested = NOW.plus_ms(number / 2 * 100);
        let new = NewTermination {
            requested,
            ..new_termination(id, ApprovalMode::Production)
        };
        catalog.begin_termination(&new).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = catalog
            .terminations_between(NOW, NOW.plus_ms(200), after, 3)
            .await
            .unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.requested, last.id));
        seen.extend(page.into_iter().map(|one| (one.requested, one.id)));
    }
    assert_eq!(seen.len(), 4);
    assert!(seen.is_sorted());
    let mut open = Vec::new();
    let mut after = None;
    loop {
        let page = catalog.open_terminations(after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.grace_end, last.id));
        open.extend(page.into_iter().map(|one| (one.grace_end, one.id)));
    }
    assert_eq!(open.len(), 5);
    assert!(open.is_sorted());
    let none = catalog.terminations_between(NOW.plus_ms(-9), NOW, None, 3);
    assert!(none.await.unwrap().is_empty());
}
