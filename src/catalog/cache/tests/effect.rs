//! When a change is effective, with several gateways on one catalog.

use super::{HERE, NOTICED, Setup, never_polling, quick, setup};
use crate::catalog::cache::{CacheOptions, CachedCatalog};
use crate::catalog::{
    Catalog, CatalogError, CredentialStore as _, DomainStore as _, Effective as _, Fault,
    FaultKind, FaultyCatalog, GatewayEffect, GatewayStore as _,
};
use crate::clock::SystemClock;
use lethe_keys::GatewayId;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const THERE: GatewayId = GatewayId::from_bytes([2; 16]);
/// Longer than any wait of these tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// A second gateway on the setup's catalog, and what its way there can be made to do.
struct Peer {
    cached: CachedCatalog,
    faulty: Arc<FaultyCatalog>,
    /// Before the first poll, which a runtime of one thread begins no earlier than the next await.
    started: Instant,
}

async fn peer(setup: &Setup, options: CacheOptions) -> Peer {
    let faulty = Arc::new(FaultyCatalog::new(setup.elsewhere.clone()));
    let inner: Arc<dyn Catalog> = faulty.clone();
    let cached = CachedCatalog::start(inner, Arc::new(SystemClock), THERE, options);
    let cached = cached.await.unwrap();
    Peer {
        cached,
        faulty,
        started: Instant::now(),
    }
}

/// Waits until the first poll is over, so that no other comes before the test asks for it. Its row says so earlier: that is written
/// first, and the poll would still find what changes meanwhile.
async fn settled(peer: &Peer) {
    let patience = Instant::now() + NOTICED;
    while peer.cached.shared.polled().sent < peer.started {
        assert!(Instant::now() < patience, "no first poll in time");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until a gateway's row says that it has the newest revision.
async fn acknowledged(setup: &Setup, gateway: GatewayId) {
    let newest = setup.elsewhere.revision().await.unwrap();
    let patience = Instant::now() + NOTICED;
    loop {
        let rows = setup.elsewhere.gateways().await.unwrap();
        if rows
            .iter()
            .any(|row| row.gateway == gateway && row.acknowledged == newest)
        {
            return;
        }
        assert!(Instant::now() < patience, "no poll in time");
        sleep(Duration::from_millis(5)).await;
    }
}

async fn revoke(setup: &Setup) -> crate::catalog::Revision {
    let revoked = setup.cached.revoke_credential(setup.tenant, &setup.key);
    revoked.await.unwrap();
    setup.elsewhere.revision().await.unwrap()
}

#[tokio::test]
async fn change_is_effective_only_when_the_slowest_gateway_acknowledged() {
    let setup = setup(quick()).await;
    let there = peer(&setup, never_polling()).await;
    settled(&there).await;
    there.cached.credential(&setup.key).await.unwrap();
    let revision = revoke(&setup).await;
    let short = Duration::from_millis(400);
    let waiting = setup.cached.effective(revision, short).await;
    assert!(
        matches!(waiting, Err(CatalogError::Unavailable { .. })),
        "{waiting:?}"
    );
    there.cached.shared.poll().await.unwrap();
    let effect = setup.cached.effective(revision, PATIENCE).await.unwrap();
    let expected = [
        (HERE, GatewayEffect::Acknowledged),
        (THERE, GatewayEffect::Acknowledged),
    ];
    assert_eq!(effect.gateways, expected);
    let (credential, _) = there.cached.credential(&setup.key).await.unwrap();
    assert_eq!(
        credential.state,
        crate::catalog::CredentialState::Revoked,
        "acknowledged, and served from before"
    );
}

#[tokio::test]
async fn gateway_that_lost_the_catalog_has_stopped_serving_when_the_change_is_effective() {
    let setup = setup(quick()).await;
    let options = CacheOptions {
        lease: Duration::from_secs(2),
        ..quick()
    };
    let there = peer(&setup, options).await;
    there.cached.credential(&setup.key).await.unwrap();
    there.faulty.go_away();
    let revision = revoke(&setup).await;
    let effect = setup.cached.effective(revision, PATIENCE).await.unwrap();
    let refused = there.cached.credential(&setup.key).await;
    assert!(
        matches!(refused, Err(CatalogError::Unavailable { .. })),
        "it serves a revoked credential"
    );
    assert_eq!(effect.count(GatewayEffect::Acknowledged), 1);
    assert_eq!(effect.count(GatewayEffect::Expired), 1);
    // Back again, it is a gateway like any other.
    there.faulty.heal();
    acknowledged(&setup, THERE).await;
    let effect = setup.cached.effective(revision, PATIENCE).await.unwrap();
    assert_eq!(effect.count(GatewayEffect::Acknowledged), 2);
}

#[tokio::test]
async fn wait_given_up_and_repeated_goes_on_where_it_was() {
    let setup = setup(quick()).await;
    let lease = Duration::from_secs(3);
    let options = CacheOptions { lease, ..quick() };
    let there = peer(&setup, options).await;
    there.faulty.go_away();
    let revision = revoke(&setup).await;
    let begun = Instant::now();
    while setup
        .cached
        .effective(revision, Duration::from_millis(200))
        .await
        .is_err()
    {
        // Each wait is shorter than the lease: were it counted anew, this would never end.
        assert!(begun.elapsed() < PATIENCE);
    }
}

#[tokio::test]
async fn gateway_that_was_killed_is_forgotten_and_keeps_no_change_waiting() {
    let setup = setup(quick()).await;
    let options = CacheOptions {
        lease: Duration::from_millis(500),
        ..quick()
    };
    let there = peer(&setup, options).await;
    drop(there);
    let begun = Instant::now();
    while setup.elsewhere.gateways().await.unwrap().len() > 1 {
        assert!(begun.elapsed() < PATIENCE, "it was not forgotten");
        sleep(Duration::from_millis(20)).await;
    }
    let revision = revoke(&setup).await;
    let effect = setup.cached.effective(revision, PATIENCE).await.unwrap();
    assert_eq!(effect.gateways, [(HERE, GatewayEffect::Acknowledged)]);
}

#[tokio::test]
async fn gateway_closed_gives_its_lease_back_and_serves_nothing() {
    let setup = setup(quick()).await;
    let there = peer(&setup, quick()).await;
    there.cached.credential(&setup.key).await.unwrap();
    there.cached.close().await.unwrap();
    let rows = setup.elsewhere.gateways().await.unwrap();
    assert!(
        rows.iter().all(|row| row.gateway == HERE),
        "the lease was kept"
    );
    let refused = there.cached.credential(&setup.key).await;
    assert!(matches!(refused, Err(CatalogError::Unavailable { .. })));
}

#[tokio::test]
async fn gateway_that_starts_is_waited_for_before_it_knows_the_revision() {
    let setup = setup(quick()).await;
    let faulty = Arc::new(FaultyCatalog::new(setup.elsewhere.clone()));
    faulty.inject(Fault {
        operation: Some("revision"),
        after: 0,
        times: 1,
        kind: FaultKind::Slow(Duration::from_secs(1)),
    });
    let inner: Arc<dyn Catalog> = faulty.clone();
    let starting = CachedCatalog::start(inner, Arc::new(SystemClock), THERE, quick());
    let starting = tokio::spawn(starting);
    while faulty.calls("revision") == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    let rows = setup.elsewhere.gateways().await.unwrap();
    assert!(
        rows.iter().any(|row| row.gateway == THERE),
        "it keeps a lease by an answer that nobody knows of"
    );
    drop(starting.await.unwrap().unwrap());
}
