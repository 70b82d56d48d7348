//! Terminations that were called off behind an older catalog's back, and gateways whose clocks are ahead.

use super::domain::ShredKeys as _;
use super::error::ShredError;
use super::rules::{CALLED_OFF, Forbidden};
use super::testing::{Part, World};
use crate::catalog::{
    Fault, FaultKind, ShredState, ShredStore as _, TenantStore as _, TerminationState,
};
use crate::clock::Clock as _;
use crate::tenants::TenantState;

async fn waits(world: &World) -> Vec<Option<String>> {
    let open = world.domain.open_terminations(None, 10).await.unwrap();
    open.into_iter().map(|view| view.waits).collect()
}

#[tokio::test]
async fn termination_that_was_called_off_since_is_not_shredded_by_an_older_catalog() {
    let world = World::open(2).await;
    world.doom().await;
    let catalog = &world.bench.catalog;
    let (stays, goes) = (world.victims[0], world.victims[1]);
    // The catalog is of before the cancellation.
    let known = catalog.termination(stays).await.unwrap();
    world.keys.call_off(known.id).await.unwrap();
    let tenant = catalog.tenant(stays).await.unwrap();
    let refused = world.domain.may_shred(&tenant).await.unwrap_err();
    assert!(
        matches!(refused, ShredError::Forbidden(Forbidden::CalledOff)),
        "{refused}"
    );
    assert_eq!(
        waits(&world)
            .await
            .into_iter()
            .flatten()
            .collect::<Vec<_>>(),
        [CALLED_OFF]
    );
    world.finish("the other").await;
    let state = async |of| catalog.tenant(of).await.unwrap().state;
    assert_eq!(state(goes).await, TenantState::Shredded);
    let row = catalog.termination(stays).await.unwrap();
    assert_eq!(row.state, TerminationState::Approved);
    {
        let model = world.keys.model.lock().unwrap();
        assert!(!model.fenced.contains(&stays) && model.alive.contains(&stays));
    }
    // Alone, it begins nothing either; called off here, too, it is over.
    world.runner("one").run_due().await.unwrap();
    assert_eq!(catalog.shreds(10).await.unwrap().len(), 1);
    world
        .domain
        .cancel_termination(&tenant, "alice")
        .await
        .unwrap();
    assert_eq!(state(stays).await, TenantState::Active);
    assert!(waits(&world).await.iter().all(Option::is_none));
}

#[tokio::test]
async fn cancellation_that_is_cut_off_shreds_nobody_and_is_repeated() {
    let world = World::open(1).await;
    world.doom().await;
    let catalog = &world.bench.catalog;
    let tenant = catalog.tenant(world.victims[0]).await.unwrap();
    let cancel = async || world.domain.cancel_termination(&tenant, "alice").await;
    let state = async || catalog.termination(tenant.id).await.unwrap().state;
    world.kill_at(Part::Keys, 0, false);
    let away = cancel().await.unwrap_err();
    assert!(matches!(away, ShredError::Keys(_)), "{away}");
    assert_eq!(state().await, TerminationState::Approved);
    world.heal();
    assert_eq!(waits(&world).await, [None], "nothing is called off");
    catalog.inject(Fault {
        operation: Some("cancel_termination"),
        after: 0,
        times: 1,
        kind: FaultKind::NotPersisted,
    });
    assert!(cancel().await.is_err());
    assert_eq!(state().await, TerminationState::Approved);
    world.runner("one").run_due().await.unwrap();
    assert!(catalog.shreds(10).await.unwrap().is_empty());
    cancel().await.unwrap();
    cancel().await.unwrap();
    assert_eq!(state().await, TerminationState::Cancelled);
    let active = catalog.tenant(tenant.id).await.unwrap();
    assert_eq!(active.state, TenantState::Active);
    // Another termination of the same tenant is another decision.
    world.doom().await;
    world.finish("again").await;
    let shredded = catalog.tenant(tenant.id).await.unwrap();
    assert_eq!(shredded.state, TenantState::Shredded);
}

#[tokio::test]
async fn gateway_that_is_ahead_of_somebody_begins_and_fences_nothing() {
    let world = World::open(1).await;
    world.doom().await;
    let catalog = &world.bench.catalog;
    let behind = |by_ms: i64| world.bench.clock.now().plus_ms(-by_ms);
    let tell = |by_ms: &[(&'static str, i64)]| {
        let others = by_ms.iter().map(|(whose, by_ms)| (*whose, behind(*by_ms)));
        *world.clocks.others.lock().unwrap() = others.collect();
    };
    tell(&[("a witness", 302_000), ("the database", 401_000)]);
    let refused = world.runner("ahead").run_due().await.unwrap_err();
    let said = refused.to_string();
    assert!(said.contains("401 s ahead of the database"), "{said}");
    assert!(catalog.shreds(10).await.unwrap().is_empty());
    assert_eq!(waits(&world).await, [Some(said)]);
    // Others may be ahead, or a little behind.
    tell(&[("a witness", -900_000), ("the database", 300_000)]);
    assert_eq!(waits(&world).await, [None]);
    let begun = world.domain.begin(world.bench.clock.now()).await.unwrap();
    assert!(begun.is_some());
    tell(&[("a gateway", 301_000)]);
    world.runner("ahead").run_due().await.unwrap();
    let shred = &catalog.shreds(1).await.unwrap()[0];
    assert_eq!(shred.state, ShredState::Requested);
    let reason = shred.last_error.as_deref().unwrap();
    assert!(reason.contains("301 s ahead of a gateway"), "{reason}");
    assert!(world.keys.model.lock().unwrap().fenced.is_empty());
    tell(&[]);
    world.finish("right again").await;
}
