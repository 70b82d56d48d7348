//! The lease: who loses what, when, and how a fence is known to hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lethe_keys::testing::{Call, Fault};
use lethe_keys::{Epoch, FenceScope, GatewayFence, KeyService, KeysError, LeaseEnded, Refusal};

use crate::domain::{Domain, LEASE, Object, eventually, tenant};

/// Key material whose end can be seen.
struct Material(Arc<AtomicBool>);

impl Drop for Material {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn material() -> (Material, Arc<AtomicBool>) {
    let dropped = Arc::new(AtomicBool::new(false));
    (Material(dropped.clone()), dropped)
}

fn gone(dropped: &AtomicBool) -> bool {
    dropped.load(Ordering::SeqCst)
}

async fn renewed(keys: &KeyService) {
    eventually("the lease is renewed", || {
        keys.lease_state().remaining == Some(LEASE)
    })
    .await;
}

#[tokio::test]
async fn lease_that_ends_drops_everything_by_its_timer() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let object = Object::new(&keys).await;
    let (value, dropped) = material();
    let held = keys.hold(object.tenant, value);
    domain
        .faults
        .inject(Call::StoreRenew, Fault::Failed, usize::MAX);

    domain.clock.advance(LEASE - Duration::from_millis(1));
    assert_eq!(keys.lease_state().remaining, Some(Duration::from_millis(1)));
    assert_eq!(held.with(|_| 5), Ok(5));
    assert!(!gone(&dropped));

    domain.clock.advance(Duration::from_millis(1));
    assert_eq!(keys.lease_state().remaining, None);
    // Nobody asks for anything: the timer alone does it.
    eventually("the held value is dropped", || gone(&dropped)).await;
    eventually("memory is empty", || keys.keys_in_memory() == (0, 0, 0)).await;
    assert_eq!(held.with(|_| ()), Err(LeaseEnded));
    assert_eq!(object.open(&keys).await.unwrap_err(), KeysError::LeaseEnded);
    assert_eq!(
        keys.sealing_kek(object.tenant).await,
        Err(KeysError::LeaseEnded)
    );
    assert_eq!(
        keys.create_tenant_keys(tenant()).await,
        Err(KeysError::LeaseEnded)
    );
    assert!(matches!(
        keys.lease_state().failure,
        Some(KeysError::Unavailable { .. })
    ));

    domain.faults.clear();
    domain.clock.advance(Duration::from_secs(1));
    renewed(&keys).await;
    assert!(object.opens(&keys).await);
    assert_eq!(
        held.with(|_| ()),
        Err(LeaseEnded),
        "a new lease revived what the old one had ended"
    );
    assert_eq!(keys.lease_state().failure, None);
}

#[tokio::test]
async fn lease_that_ended_in_suspend_is_seen_before_the_timer_runs() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let (value, dropped) = material();
    let held = keys.hold(tenant(), value);
    domain.clock.advance(LEASE);
    // No await in between: on this runtime's single thread no timer has run yet.
    assert_eq!(held.with(|_| ()), Err(LeaseEnded));
    assert!(gone(&dropped));
    let (value, dropped) = material();
    let late = keys.hold(tenant(), value);
    assert!(gone(&dropped), "held without a lease");
    assert_eq!(late.take().map(|_| ()), Err(LeaseEnded));
}

#[tokio::test]
async fn renewal_that_a_suspend_overtakes_is_repeated_at_once() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let answer_takes = Fault::Slow(Duration::from_millis(300));
    domain.faults.inject(Call::StoreRenew, answer_takes, 1);
    tokio::task::yield_now().await;
    domain.clock.advance(Duration::from_secs(1));
    // The renewal is under way, and what it is answered is older than the lease.
    tokio::time::sleep(Duration::from_millis(50)).await;
    domain.clock.advance(2 * LEASE);
    assert_eq!(keys.lease_state().remaining, None);
    renewed(&keys).await;
}

#[tokio::test]
async fn renewed_lease_keeps_streams_but_not_keks_and_nodes() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let object = Object::new(&keys).await;
    let (value, dropped) = material();
    let held = keys.hold(object.tenant, value);
    let step = Duration::from_secs(100);
    let mut seen = Vec::new();
    for _ in 0..6 {
        domain.clock.advance(step);
        renewed(&keys).await;
        // The sweep and the renewal wake together.
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        seen.push(keys.keys_in_memory());
    }
    let kek_gone = (1, 0, 1);
    assert_eq!(
        seen,
        [
            (1, 1, 1),
            (1, 1, 1),
            kek_gone,
            kek_gone,
            kek_gone,
            (0, 0, 1)
        ]
    );
    assert_eq!(held.with(|_| ()), Ok(()));
    drop(held);
    assert!(gone(&dropped));
    assert_eq!(keys.keys_in_memory(), (0, 0, 0));
}

#[tokio::test]
async fn value_taken_leaves_the_lease() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let held = keys.hold(tenant(), 7);
    assert_eq!(held.with(|value| std::mem::replace(value, 8)), Ok(7));
    assert_eq!(held.take(), Ok(8));
    assert_eq!(keys.keys_in_memory().2, 0);
}

#[tokio::test]
async fn lease_that_ends_during_a_use_drops_the_value_after_it() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let (value, dropped) = material();
    let held = keys.hold(tenant(), value);
    let (closing, in_use) = (keys.clone(), dropped.clone());
    let outcome = held.with(move |_| {
        // Another thread closes the service while this one uses the value.
        let closer = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            // Its first poll drops the keys; the rest waits for tasks of the runtime that this call holds up.
            let first_poll = async { tokio::time::timeout(Duration::ZERO, closing.close()).await };
            assert!(runtime.block_on(first_poll).is_err());
        });
        closer.join().unwrap();
        assert!(!gone(&in_use), "the value vanished under its user");
    });
    assert_eq!(outcome, Err(LeaseEnded));
    assert!(gone(&dropped));
}

#[tokio::test]
async fn dropped_service_drops_what_streams_hold() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let (value, dropped) = material();
    let held = keys.hold(tenant(), value);
    drop(keys);
    assert!(gone(&dropped));
    assert_eq!(held.with(|_| ()), Err(LeaseEnded));
}

#[tokio::test]
async fn epoch_below_one_seen_ends_the_lease() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let object = Object::new(&keys).await;
    let (value, dropped) = material();
    let _held = keys.hold(object.tenant, value);
    domain.sql("UPDATE key_store SET epoch = 3").await;
    domain.clock.advance(Duration::from_secs(1));
    eventually("epoch 3 is seen", || keys.lease_state().epoch == Epoch(3)).await;
    assert!(!gone(&dropped), "a move of the root broke a stream");
    assert!(object.opens(&keys).await);

    domain.sql("UPDATE key_store SET epoch = 2").await;
    domain.clock.advance(Duration::from_secs(1));
    eventually("the lease is lost", || {
        keys.lease_state().remaining.is_none()
    })
    .await;
    let reason = Refusal::EpochRolledBack {
        seen: Epoch(3),
        found: Epoch(2),
    };
    assert_eq!(
        keys.lease_state().failure,
        Some(KeysError::Refused { reason })
    );
    assert!(gone(&dropped));
    assert_eq!(keys.keys_in_memory(), (0, 0, 0));
    assert_eq!(object.open(&keys).await.unwrap_err(), KeysError::LeaseEnded);
}

#[tokio::test]
async fn store_exchanged_for_another_ends_the_lease() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    domain
        .sql("UPDATE key_store SET identity = X'01010101010101010101010101010101'")
        .await;
    domain.clock.advance(Duration::from_secs(1));
    eventually("the lease is lost", || {
        keys.lease_state().remaining.is_none()
    })
    .await;
    let failure = keys.lease_state().failure;
    assert!(
        matches!(
            &failure,
            Some(KeysError::Refused {
                reason: Refusal::IdentityMismatch { .. }
            })
        ),
        "{failure:?}"
    );
}

#[tokio::test]
async fn fence_is_acknowledged_by_those_who_answer() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let (other, other_clock, _) = domain.another_gateway(keys.identity()).await;
    let (victim, bystander) = (Object::new(&keys).await, Object::new(&keys).await);
    assert!(victim.opens(&other).await && bystander.opens(&other).await);
    let (value, dropped) = material();
    let held = other.hold(victim.tenant, value);
    let (value, dropped_of_bystander) = material();
    let held_of_bystander = other.hold(bystander.tenant, value);

    let fence = keys
        .raise_fence(FenceScope::Tenant(victim.tenant))
        .await
        .unwrap();
    let waiting = keys.fence_evidence(fence).await.unwrap();
    assert!(
        waiting
            .gateways
            .contains(&(other.gateway(), GatewayFence::Waiting)),
        "{waiting:?}"
    );
    assert!(!waiting.is_complete());
    assert!(victim.opens(&other).await, "a fence works by renewals");

    other_clock.advance(Duration::from_secs(1));
    eventually("the fence is applied", || {
        other.lease_state().fence == fence.number
    })
    .await;
    assert!(gone(&dropped));
    assert_eq!(held.with(|_| ()), Err(LeaseEnded));
    let fenced = KeysError::TenantFenced {
        tenant: victim.tenant,
    };
    assert_eq!(victim.open(&other).await.unwrap_err(), fenced);
    assert_eq!(other.sealing_kek(victim.tenant).await, Err(fenced.clone()));
    assert_eq!(other.rotate(victim.tenant).await, Err(fenced));
    assert!(bystander.opens(&other).await);
    assert_eq!(held_of_bystander.with(|_| ()), Ok(()));
    assert!(!gone(&dropped_of_bystander));
    let (value, dropped) = material();
    let _late = other.hold(victim.tenant, value);
    assert!(gone(&dropped), "held behind a fence");

    for _ in 0..10_000 {
        if keys.fence_evidence(fence).await.unwrap().is_complete() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut expected = vec![
        (keys.gateway(), GatewayFence::Acknowledged),
        (other.gateway(), GatewayFence::Acknowledged),
    ];
    expected.sort_by_key(|(gateway, _)| *gateway);
    assert_eq!(keys.fence_evidence(fence).await.unwrap().gateways, expected);
    // A gateway that starts later knows the fence from its first renewal.
    let (late, _, _) = domain.another_gateway(keys.identity()).await;
    assert!(matches!(
        victim.open(&late).await,
        Err(KeysError::TenantFenced { .. })
    ));
    assert!(bystander.opens(&late).await);
}

#[tokio::test]
async fn fence_expires_for_those_who_do_not_answer() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let (silent, silent_clock, faults) = domain.another_gateway(keys.identity()).await;
    faults.inject(Call::StoreRenew, Fault::Failed, usize::MAX);
    let object = Object::new(&keys).await;
    assert!(object.opens(&silent).await);
    let fence = keys
        .raise_fence(FenceScope::Tenant(object.tenant))
        .await
        .unwrap();
    // The silent gateway's lease counts from before the fence; so one lease later it has nothing left.
    let state_of = async |keys: &KeyService| {
        let evidence = keys.fence_evidence(fence).await.unwrap();
        evidence
            .gateways
            .iter()
            .find(|(gateway, _)| *gateway == silent.gateway())
            .unwrap()
            .1
    };
    domain.clock.advance(LEASE);
    assert_eq!(
        state_of(&keys).await,
        GatewayFence::Waiting,
        "no margin for the timer's tick"
    );
    domain.clock.advance(Duration::from_secs(1));
    assert_eq!(state_of(&keys).await, GatewayFence::Expired);
    silent_clock.advance(LEASE);
    assert_eq!(
        object.open(&silent).await.unwrap_err(),
        KeysError::LeaseEnded
    );
}

#[tokio::test]
async fn nodes_fence_drops_cached_keys_and_keeps_streams() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let object = Object::new(&keys).await;
    let held = keys.hold(object.tenant, 1);
    assert_eq!(keys.keys_in_memory(), (1, 1, 1));
    let fence = keys.raise_fence(FenceScope::Nodes).await.unwrap();
    eventually("the fence is applied", || {
        keys.lease_state().fence == fence.number
    })
    .await;
    assert_eq!(keys.keys_in_memory(), (0, 0, 1));
    assert_eq!(held.with(|value| *value), Ok(1));
    assert!(object.opens(&keys).await);
}

#[tokio::test]
async fn many_fences_are_all_applied_before_the_lease_goes_on() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let object = Object::new(&keys).await;
    domain
        .sql(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) \
             INSERT INTO fences (fence, kind, tenant, raised_ms) SELECT i, 'nodes', NULL, 0 FROM n",
        )
        .await;
    domain.sql("UPDATE key_store SET fence = 5000").await;
    let fence = keys
        .raise_fence(FenceScope::Tenant(object.tenant))
        .await
        .unwrap();
    assert_eq!(fence.number, 5_001);
    eventually("all are applied", || keys.lease_state().fence == 5_001).await;
    assert!(matches!(
        object.open(&keys).await,
        Err(KeysError::TenantFenced { .. })
    ));
}

/// More tenants than one round of renewals takes in were ever fenced.
#[tokio::test]
async fn gateway_opens_a_store_with_a_long_history_of_fences() {
    let domain = Domain::sqlite();
    let identity = domain.init().await.unwrap();
    let raised = domain
        .sql(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 40000) \
             INSERT INTO fences (fence, kind, tenant, raised_ms) SELECT n, 'tenant', randomblob(16), 0 FROM numbers",
        )
        .await;
    domain.sql("UPDATE key_store SET fence = 40000").await;
    let keys = domain.open(identity).await.unwrap();
    let lease = keys.lease_state();
    assert_eq!((lease.fence, lease.remaining), (raised, Some(LEASE)));
    assert!(Object::new(&keys).await.opens(&keys).await);
}

#[tokio::test]
async fn closed_gateway_is_not_waited_for() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let (other, _, _) = domain.another_gateway(keys.identity()).await;
    other.close().await.unwrap();
    let fence = keys.raise_fence(FenceScope::Nodes).await.unwrap();
    let evidence = keys.fence_evidence(fence).await.unwrap();
    assert!(
        evidence
            .gateways
            .iter()
            .all(|(gateway, _)| *gateway != other.gateway()),
        "{evidence:?}"
    );
    assert_eq!(other.lease_state().remaining, None);
}

async fn rows(domain: &Domain) -> u64 {
    domain
        .sql("UPDATE gateways SET renewals = renewals WHERE 1 = 1")
        .await
}

#[tokio::test]
async fn dead_gateway_is_forgotten_and_no_fence_names_it() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let (dead, _, faults) = domain.another_gateway(keys.identity()).await;
    faults.inject(Call::StoreRenew, Fault::Failed, usize::MAX);
    faults.inject(Call::StoreRelease, Fault::Failed, usize::MAX);
    let named = dead.gateway();
    // One lease: its keys are gone, and its row stays, whatever the clocks drift.
    for _ in 0..3 {
        domain.clock.advance(LEASE / 2);
        renewed(&keys).await;
    }
    assert_eq!(rows(&domain).await, 2, "forgotten in its second lease");
    for _ in 0..100 {
        domain.clock.advance(LEASE / 2);
        renewed(&keys).await;
        if rows(&domain).await == 1 {
            break;
        }
    }
    assert_eq!(rows(&domain).await, 1, "never forgotten");
    let fence = keys.raise_fence(FenceScope::Nodes).await.unwrap();
    let evidence = keys.fence_evidence(fence).await.unwrap();
    assert!(evidence.gateways.iter().all(|(one, _)| *one != named));
}

#[tokio::test]
async fn gateway_that_comes_back_after_it_was_forgotten_begins_with_nothing() {
    comes_back_after_it_was_forgotten(0).await;
}

/// The answer that says so is lost, and so are as many as would bring a new row's count up to the old one's, and past it.
#[tokio::test]
async fn gateway_that_comes_back_and_loses_answers_begins_with_nothing() {
    for lost_answers in [1, 2, 8] {
        comes_back_after_it_was_forgotten(lost_answers).await;
    }
}

async fn comes_back_after_it_was_forgotten(lost_answers: usize) {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    // Its clock stands: it takes its lease for a running one, as no clock that counts suspend would.
    let (paused, paused_clock, faults) = domain.another_gateway(keys.identity()).await;
    let (victim, bystander) = (Object::new(&keys).await, Object::new(&keys).await);
    assert!(victim.opens(&paused).await && bystander.opens(&paused).await);
    let (value, dropped) = material();
    let held = paused.hold(bystander.tenant, value);
    domain.sql("DELETE FROM gateways").await;
    keys.raise_fence(FenceScope::Tenant(victim.tenant))
        .await
        .unwrap();
    faults.inject(Call::StoreRenew, Fault::FailedButPersisted, lost_answers);
    // A third of its lease at most, so that it is not the timer that takes its keys.
    for step in 0..10_000 {
        if step % 100 == 0 {
            paused_clock.advance(LEASE / 300);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        if gone(&dropped) || paused.lease_state().fence > 0 {
            break;
        }
    }
    assert!(
        gone(&dropped),
        "it kept its keys past {lost_answers} lost answers"
    );
    assert_eq!(held.with(|_| ()), Err(LeaseEnded));
    for _ in 0..20_000 {
        paused_clock.advance(Duration::from_secs(1));
        if bystander.opens(&paused).await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(bystander.opens(&paused).await, "it never came back");
    assert!(matches!(
        victim.open(&paused).await,
        Err(KeysError::TenantFenced { .. })
    ));
}

#[tokio::test]
async fn gateway_that_has_not_heard_of_a_fence_makes_no_key_behind_it() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    // Its clock stands: it renews nothing, and knows of no fence.
    let (unheard, _, _) = domain.another_gateway(keys.identity()).await;
    let (victim, bystander) = (Object::new(&keys).await, Object::new(&keys).await);
    keys.raise_fence(FenceScope::Tenant(victim.tenant))
        .await
        .unwrap();
    let before = keys.creation_entries(victim.tenant).await.unwrap();
    assert_eq!(
        unheard.rotate(victim.tenant).await,
        Err(KeysError::TenantFenced {
            tenant: victim.tenant
        })
    );
    let after = keys.creation_entries(victim.tenant).await.unwrap();
    assert_eq!(after.len(), before.len());
    unheard.rotate(bystander.tenant).await.unwrap();
}

#[tokio::test]
async fn gateway_that_renews_with_an_older_time_is_behind_and_one_that_ended_is_not() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let (behind, their_clock, faults) = domain.another_gateway(keys.identity()).await;
    let looked = async |wrong_ms: i64, renews: bool| {
        domain.clock.wrong_by(wrong_ms);
        let mut looking = std::pin::pin!(keys.gateways_behind(300_000));
        loop {
            tokio::select! {
                found = &mut looking => return found.unwrap(),
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
            if renews {
                their_clock.advance(Duration::from_secs(1));
            }
            domain.clock.advance(Duration::from_millis(200));
        }
    };
    assert_eq!(looked(290_000, true).await, []);
    let found = looked(600_000, true).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].1 > 300_000, "{found:?}");
    // Its row stays, as after a kill, and gets old by a clock that is right. A renewal that was under way is over once the next fails.
    faults.inject(Call::StoreRenew, Fault::Failed, usize::MAX);
    their_clock.advance(Duration::from_secs(1));
    eventually("no renewal is under way", || {
        behind.lease_state().failure.is_some()
    })
    .await;
    assert_eq!(looked(900_000, false).await, []);
    drop(behind);
}
