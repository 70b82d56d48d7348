//! Moves of the root: who survives, who does not, and what happens when anything fails on the way.

use std::collections::BTreeMap;
use std::time::Duration;

use lethe_envelope::TenantId;
use lethe_keys::testing::{Call, Fault};
use lethe_keys::{Epoch, FenceScope, KeyService, KeysError, Refusal, SecretContext};

use crate::domain::{Domain, Object, eventually, fence, finish_move, tenant};
use crate::postgres::Cluster;

fn refused<T>(outcome: Result<T, KeysError>) -> Refusal {
    match outcome {
        Err(KeysError::Refused { reason }) => reason,
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("not refused"),
    }
}

async fn world(domain: &Domain) -> (std::sync::Arc<KeyService>, Object, Vec<Object>) {
    let keys = domain.ready().await;
    let victim = Object::new(&keys).await;
    let mut survivors = Vec::new();
    for _ in 0..3 {
        survivors.push(Object::new(&keys).await);
    }
    // In the victim's own place, by trying.
    loop {
        let survivor = Object::new(&keys).await;
        survivors.push(survivor);
        if same_place(&survivors[survivors.len() - 1], &victim) || survivors.len() > 6 {
            break;
        }
    }
    let neighbour = neighbour_of(victim.tenant);
    survivors.push(Object::of(&keys, neighbour).await);
    (keys, victim, survivors)
}

fn place(tenant: TenantId) -> u16 {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(tenant.as_bytes());
    u16::from_be_bytes([digest[0], digest[1]]) % 1_024
}

fn same_place(one: &Object, other: &Object) -> bool {
    place(one.tenant) == place(other.tenant)
}

fn neighbour_of(victim: TenantId) -> TenantId {
    loop {
        let other = tenant();
        if place(other) == place(victim) {
            return other;
        }
    }
}

async fn assert_survive(keys: &KeyService, survivors: &[Object]) {
    for object in survivors {
        assert!(object.opens(keys).await);
        assert_eq!(
            keys.sealing_kek(object.tenant).await.unwrap().kek_id,
            object.kek_id
        );
    }
}

async fn move_leaves_victims_behind_and_survivors_untouched(domain: &Domain) {
    let (keys, victim, survivors) = world(domain).await;
    let secret = SecretContext {
        label: "credential",
        fields: &[b"a"],
    };
    let sealed = keys.seal_secret(&secret, b"hush").await.unwrap();
    assert_eq!(
        refused(keys.rekey(&[victim.tenant], Epoch(1)).await),
        Refusal::VictimNotFenced {
            tenant: victim.tenant
        }
    );
    assert_eq!(refused(keys.rekey(&[], Epoch(1)).await), Refusal::NoVictims);
    fence(&keys, victim.tenant).await;
    assert_eq!(
        refused(keys.rekey(&[victim.tenant], Epoch(2)).await),
        Refusal::EpochNotCurrent {
            epoch: Epoch(2),
            current: Epoch(1)
        }
    );
    let rekeyed = keys.rekey(&[victim.tenant], Epoch(1)).await.unwrap();
    assert_eq!((rekeyed.from, rekeyed.to), (Epoch(1), Epoch(2)));
    assert_eq!(
        (rekeyed.nodes, rekeyed.keks_deleted, rekeyed.victims),
        (1_025, 1, 1)
    );
    assert!(rekeyed.keks_rewrapped >= 1);
    assert_eq!(
        keys.rekey(&[victim.tenant], Epoch(1)).await,
        Ok(rekeyed.clone())
    );
    assert_eq!(keys.rekeyed(Epoch(1)).await, Ok(Some(rekeyed)));
    assert_eq!(
        refused(
            keys.rekey(&[victim.tenant, survivors[0].tenant], Epoch(1))
                .await
        ),
        Refusal::MoveOfOthers { epoch: Epoch(1) }
    );
    assert_survive(&keys, &survivors).await;
    assert_eq!(
        &**keys.open_secret(&secret, &sealed).await.unwrap(),
        b"hush"
    );
    assert_eq!(keys.list(victim.tenant).await, Ok(vec![]));
    assert_eq!(keys.creation_entries(victim.tenant).await.unwrap().len(), 1);
    assert_eq!(
        keys.create_tenant_keys(tenant()).await,
        Err(KeysError::CreationHeld)
    );
    assert_eq!(
        keys.rotate(survivors[0].tenant).await,
        Err(KeysError::CreationHeld)
    );
    assert_eq!(
        refused(keys.rekey(&[survivors[0].tenant], Epoch(2)).await),
        Refusal::MoveUnfinished { current: Epoch(2) }
    );

    // A gateway that starts now, and one that starts after the old epoch is gone.
    let (late, _, _) = domain.another_gateway(keys.identity()).await;
    assert_survive(&late, &survivors[1..]).await;
    let destroyed = finish_move(domain, &keys, Epoch(1)).await;
    assert_eq!(
        (destroyed.epoch_destroyed, destroyed.epoch_current),
        (Epoch(1), Epoch(2))
    );
    assert_eq!(keys.unfinished_moves().await, Ok(vec![]));
    let (later, _, _) = domain.another_gateway(keys.identity()).await;
    assert_survive(&later, &survivors).await;
    assert!(Object::new(&later).await.opens(&keys).await);
    keys.rotate(survivors[1].tenant).await.unwrap();
    assert!(matches!(
        victim.open(&later).await,
        Err(KeysError::TenantFenced { .. })
    ));
}

const REKEY_CALLS: [Call; 8] = [
    Call::StoreMovement,
    Call::StoreHead,
    Call::StoreNodes,
    Call::RootCreateEpoch,
    Call::RootWrap,
    Call::RootUnwrap,
    Call::StoreMoveRoot,
    Call::StoreScrub,
];

async fn kek_that_does_not_open_keeps_the_root_where_it_is(domain: &Domain) {
    let keys = domain.ready().await;
    let victim = Object::new(&keys).await;
    // Another place than the victim's: what moves does not open it.
    let broken = loop {
        let other = Object::new(&keys).await;
        if !same_place(&other, &victim) {
            break other;
        }
    };
    let wrong = "UPDATE keks SET commitment = (SELECT entry FROM log_entries ORDER BY number LIMIT 1) \
                 WHERE version = 1 AND created_ms = (SELECT MAX(created_ms) FROM keks) \
                 AND kek_id = (SELECT kek_id FROM log_entries WHERE kind = 'kek' ORDER BY number DESC LIMIT 1)";
    assert_eq!(domain.sql(wrong).await, 1);
    fence(&keys, victim.tenant).await;
    let unopened = Refusal::KekUnopened {
        kek_id: broken.kek_id,
        tenant: broken.tenant,
    };
    assert_eq!(
        refused(keys.check_opens(&[victim.tenant]).await),
        unopened.clone()
    );
    assert_eq!(
        refused(keys.rekey(&[victim.tenant], Epoch(1)).await),
        unopened
    );
    // Nothing was changed: no move, no new epoch's key, and others make and rotate keys.
    assert_eq!(keys.rekeyed(Epoch(1)).await, Ok(None));
    assert!(!domain.directory.path().join("root/epoch-2").exists());
    let other = Object::new(&keys).await;
    keys.rotate(other.tenant).await.unwrap();
    assert!(other.opens(&keys).await);
    // The way out without a backup: the tenant whose key is lost is left behind, too.
    let both = [victim.tenant, broken.tenant];
    assert_eq!(keys.check_opens(&both).await, Ok(()));
    fence(&keys, broken.tenant).await;
    keys.rekey(&both, Epoch(1)).await.unwrap();
    finish_move(domain, &keys, Epoch(1)).await;
    assert!(other.opens(&keys).await);
}

async fn move_with_a_fault_is_finished_by_a_retry(fresh: &dyn Fn() -> Domain) {
    let domain = fresh();
    let (keys, victim, survivors) = world(&domain).await;
    fence(&keys, victim.tenant).await;
    // Before the transaction nothing is changed but an epoch that nobody uses: all faults on one domain.
    for call in REKEY_CALLS {
        for fault in [Fault::Failed, Fault::FailedButPersisted] {
            if matches!(call, Call::StoreMoveRoot | Call::StoreScrub) {
                continue;
            }
            domain.faults.inject(call, fault, 1);
            let failed = keys.rekey(&[victim.tenant], Epoch(1)).await;
            domain.faults.clear();
            assert!(
                matches!(failed, Err(KeysError::Unavailable { .. })),
                "{call:?}: {failed:?}"
            );
            assert_survive(&keys, &survivors).await;
        }
    }
    // The provider and the store lie: nothing is moved on their word.
    for call in [Call::RootWrap, Call::RootUnwrap, Call::StoreNodes] {
        domain.faults.inject(call, Fault::Lying, 1);
        keys.rekey(&[victim.tenant], Epoch(1)).await.unwrap_err();
        domain.faults.clear();
    }
    // The transaction is lost, then made without its answer coming back, and that is looked into in vain.
    domain.faults.inject(Call::StoreMoveRoot, Fault::Failed, 1);
    keys.rekey(&[victim.tenant], Epoch(1)).await.unwrap_err();
    assert_eq!(keys.rekeyed(Epoch(1)).await, Ok(None));
    domain
        .faults
        .inject(Call::StoreMoveRoot, Fault::FailedButPersisted, 1);
    domain.faults.inject(Call::StoreScrub, Fault::Failed, 1);
    let rekeyed = keys.rekey(&[victim.tenant], Epoch(1)).await.unwrap();
    assert_eq!(keys.rekey(&[victim.tenant], Epoch(1)).await, Ok(rekeyed));
    assert_survive(&keys, &survivors).await;
    finish_move(&domain, &keys, Epoch(1)).await;
}

async fn destruction_with_a_fault_is_finished_by_a_retry(fresh: &dyn Fn() -> Domain) {
    let domain = fresh();
    let (keys, victim, survivors) = world(&domain).await;
    fence(&keys, victim.tenant).await;
    let none = [0; 32];
    assert_eq!(
        refused(keys.destroy_epoch(Epoch(1), &none).await),
        Refusal::MoveMissing { epoch: Epoch(1) }
    );
    keys.rekey(&[victim.tenant], Epoch(1)).await.unwrap();
    let place = domain.backups();
    let backup = keys.backup(&place).await.unwrap();
    let untested = Refusal::BackupUntested { epoch: Epoch(1) };
    assert_eq!(
        refused(keys.destroy_epoch(Epoch(1), &backup.sha256).await),
        untested
    );
    let scratch = domain.directory.path();
    keys.test_restore(&place, &backup.name, scratch)
        .await
        .unwrap();
    assert_eq!(refused(keys.destroy_epoch(Epoch(1), &none).await), untested);
    // A live node under the old epoch.
    domain.faults.inject(Call::StoreNodesUpTo, Fault::Lying, 1);
    assert_eq!(
        refused(keys.destroy_epoch(Epoch(1), &backup.sha256).await),
        Refusal::EpochInUse {
            epoch: Epoch(1),
            nodes: 1
        }
    );
    // A provider that claims what it has not done.
    domain
        .faults
        .inject(Call::RootDestroyEpoch, Fault::Lying, 1);
    assert_eq!(
        refused(keys.destroy_epoch(Epoch(1), &backup.sha256).await),
        Refusal::EpochStillOpens { epoch: Epoch(1) }
    );
    assert_eq!(keys.unfinished_moves().await.unwrap().len(), 1);
    assert_eq!(
        keys.create_tenant_keys(tenant()).await,
        Err(KeysError::CreationHeld)
    );
    // A canary that opens as something else costs nothing.
    domain.faults.inject(Call::RootUnwrap, Fault::Lying, 1);
    assert_eq!(
        refused(keys.destroy_epoch(Epoch(1), &backup.sha256).await),
        Refusal::CanaryLost { epoch: Epoch(2) }
    );
    for fault in [Fault::Failed, Fault::FailedButPersisted] {
        for call in [
            Call::StoreMovement,
            Call::StoreMoves,
            Call::StoreNodesUpTo,
            Call::RootUnwrap,
            Call::StoreMarkMove,
            Call::RootDestroyEpoch,
        ] {
            domain.faults.inject(call, fault, 1);
            let failed = keys.destroy_epoch(Epoch(1), &backup.sha256).await;
            domain.faults.clear();
            assert!(
                matches!(failed, Err(KeysError::Unavailable { .. })),
                "{call:?}: {failed:?}"
            );
        }
    }
    // Whoever goes on with it may have another backup than the one that it was begun with: the newest tested counts.
    let another = keys.backup(&place).await.unwrap();
    keys.test_restore(&place, &another.name, scratch)
        .await
        .unwrap();
    assert_eq!(
        refused(keys.destroy_epoch(Epoch(1), &backup.sha256).await),
        untested
    );
    let destroyed = keys.destroy_epoch(Epoch(1), &another.sha256).await.unwrap();
    assert_eq!(destroyed.backup_sha256, another.sha256);
    assert_eq!(
        keys.destroy_epoch(Epoch(1), &another.sha256).await,
        Ok(destroyed)
    );
    assert_survive(&keys, &survivors).await;
    assert!(Object::new(&keys).await.opens(&keys).await);
}

async fn two_runners_make_one_move(fresh: &dyn Fn() -> Domain) {
    let domain = fresh();
    let (keys, victim, survivors) = world(&domain).await;
    fence(&keys, victim.tenant).await;
    let (other, _, _) = domain.another_gateway(keys.identity()).await;
    let victims = [victim.tenant];
    let (one, two) = tokio::join!(
        keys.rekey(&victims, Epoch(1)),
        other.rekey(&victims, Epoch(1))
    );
    assert_eq!(one.unwrap(), two.unwrap());
    let place = domain.backups();
    let backup = keys.backup(&place).await.unwrap();
    keys.test_restore(&place, &backup.name, domain.directory.path())
        .await
        .unwrap();
    let (one, two) = tokio::join!(
        keys.destroy_epoch(Epoch(1), &backup.sha256),
        other.destroy_epoch(Epoch(1), &backup.sha256)
    );
    assert_eq!(one.unwrap(), two.unwrap());
    assert_survive(&keys, &survivors).await;
    assert_survive(&other, &survivors).await;
}

/// A seeded walk through everything that makes, rotates and destroys keys, against a model of who must open what.
async fn walk_keeps_every_survivor_and_no_victim(domain: &Domain, seed: u64) {
    let keys = domain.ready().await;
    let mut dice = Dice(seed);
    let mut alive: BTreeMap<[u8; 16], Vec<Object>> = BTreeMap::new();
    let mut dead: Vec<Object> = Vec::new();
    let mut epoch = 1;
    for _ in 0..18 {
        let pick = (!alive.is_empty()).then(|| dice.below(alive.len()));
        let chosen = pick.and_then(|at| alive.keys().nth(at).copied());
        match (dice.below(6), chosen) {
            (0..3, _) | (_, None) => {
                let object = Object::new(&keys).await;
                alive.insert(*object.tenant.as_bytes(), vec![object]);
            }
            (3..5, Some(uid)) => {
                let tenant = TenantId::from_bytes(uid);
                keys.rotate(tenant).await.unwrap();
                let object = Object::of(&keys, tenant).await;
                alive.get_mut(&uid).unwrap().push(object);
            }
            (_, Some(uid)) => {
                let mut victims = vec![uid];
                victims.extend(
                    alive
                        .keys()
                        .find(|other| dice.below(3) == 0 && **other != uid),
                );
                for victim in &victims {
                    dead.extend(alive.remove(victim).unwrap());
                }
                let victims: Vec<_> = victims.into_iter().map(TenantId::from_bytes).collect();
                for victim in &victims {
                    fence(&keys, *victim).await;
                }
                keys.rekey(&victims, Epoch(epoch)).await.unwrap();
                finish_move(domain, &keys, Epoch(epoch)).await;
                epoch += 1;
            }
        }
    }
    let (late, _, _) = domain.another_gateway(keys.identity()).await;
    for gateway in [&keys, &late] {
        for object in alive.values().flatten() {
            assert!(object.opens(gateway).await, "seed {seed}");
        }
        for object in &dead {
            assert!(object.open(gateway).await.is_err(), "seed {seed}");
            assert_eq!(gateway.list(object.tenant).await, Ok(vec![]), "seed {seed}");
        }
    }
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        // Knuth's MMIX generator: repeatable is all that is asked of it.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

#[tokio::test]
async fn paused_gateway_serves_nothing_of_the_victim_afterwards() {
    let domain = Domain::sqlite();
    let (keys, victim, survivors) = world(&domain).await;
    let (paused, clock, faults) = domain.another_gateway(keys.identity()).await;
    let held = paused.hold(victim.tenant, victim.open(&paused).await.unwrap());
    assert_survive(&paused, &survivors).await;
    let cut_off = [
        Call::StoreRenew,
        Call::StoreKek,
        Call::StoreNode,
        Call::RootUnwrap,
    ];
    for call in cut_off {
        faults.inject(call, Fault::Failed, usize::MAX);
    }
    fence(&keys, victim.tenant).await;
    keys.rekey(&[victim.tenant], Epoch(1)).await.unwrap();
    let second = keys.raise_fence(FenceScope::Nodes).await.unwrap();
    // It may serve until its lease ends, and then nothing at all.
    assert!(victim.opens(&paused).await);
    clock.advance(crate::domain::LEASE);
    assert!(matches!(
        victim.open(&paused).await,
        Err(KeysError::LeaseEnded)
    ));
    assert!(held.with(|_| ()).is_err());
    eventually("the timer has emptied the vault", || {
        paused.keys_in_memory() == (0, 0, 0)
    })
    .await;
    domain
        .clock
        .advance(crate::domain::LEASE + Duration::from_secs(2));
    eventually("this gateway renews", || {
        keys.lease_state().remaining.is_some()
    })
    .await;
    for _ in 0..10_000 {
        if keys.fence_evidence(second).await.unwrap().is_complete() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(keys.fence_evidence(second).await.unwrap().is_complete());
    finish_move(&domain, &keys, Epoch(1)).await;
    faults.clear();
    clock.advance(Duration::from_secs(1));
    eventually("the paused gateway is back", || {
        paused.lease_state().remaining.is_some()
    })
    .await;
    assert!(matches!(
        victim.open(&paused).await,
        Err(KeysError::TenantFenced { .. })
    ));
    assert_survive(&paused, &survivors).await;
}

#[tokio::test]
async fn gateways_hold_no_old_node_after_the_second_fence() {
    let domain = Domain::sqlite();
    let (keys, victim, survivors) = world(&domain).await;
    let (other, other_clock, _) = domain.another_gateway(keys.identity()).await;
    assert!(victim.opens(&other).await);
    assert_survive(&other, &survivors).await;
    assert!(other.keys_in_memory().0 > 0);
    fence(&keys, victim.tenant).await;
    keys.rekey(&[victim.tenant], Epoch(1)).await.unwrap();
    let second = keys.raise_fence(FenceScope::Nodes).await.unwrap();
    for (gateway, clock) in [(&keys, &domain.clock), (&other, &other_clock)] {
        clock.advance(Duration::from_secs(1));
        eventually("the fence is applied", || {
            gateway.lease_state().fence >= second.number
        })
        .await;
        assert_eq!(gateway.keys_in_memory(), (0, 0, 0));
        assert_survive(gateway, &survivors).await;
    }
}

#[tokio::test]
async fn sqlite_files_hold_no_row_of_before_after_a_move() {
    let domain = Domain::sqlite();
    let (keys, victim, survivors) = world(&domain).await;
    let file = domain.directory.path().join("keys/keys.db");
    let wal = domain.directory.path().join("keys/keys.db-wal");
    let holds = |needle: &[u8]| {
        [&file, &wal].iter().any(|path| {
            let bytes = std::fs::read(path).unwrap_or_default();
            bytes.windows(needle.len()).any(|window| window == needle)
        })
    };
    let neighbour = survivors.last().unwrap();
    let old = domain.wrapped_of(neighbour.kek_id).await;
    let gone = domain.wrapped_of(victim.kek_id).await;
    assert!(
        holds(&old) && holds(&gone),
        "the search itself finds nothing"
    );
    fence(&keys, victim.tenant).await;
    keys.rekey(&[victim.tenant], Epoch(1)).await.unwrap();
    assert!(!holds(&old), "the neighbour's old wrap");
    assert!(!holds(&gone), "the victim's wrap");
    assert!(holds(&domain.wrapped_of(neighbour.kek_id).await));
}

async fn whole_suite(fresh: &dyn Fn() -> Domain) {
    kek_that_does_not_open_keeps_the_root_where_it_is(&fresh()).await;
    move_leaves_victims_behind_and_survivors_untouched(&fresh()).await;
    move_with_a_fault_is_finished_by_a_retry(fresh).await;
    destruction_with_a_fault_is_finished_by_a_retry(fresh).await;
    two_runners_make_one_move(fresh).await;
    walk_keeps_every_survivor_and_no_victim(&fresh(), 1).await;
}

#[tokio::test]
async fn sqlite_moves_pass_the_suite() {
    whole_suite(&Domain::sqlite).await;
}

#[tokio::test]
async fn sqlite_walks_keep_every_survivor_and_no_victim() {
    for seed in 2..5 {
        walk_keeps_every_survivor_and_no_victim(&Domain::sqlite(), seed).await;
    }
}

#[tokio::test]
async fn postgres_moves_pass_the_suite() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    whole_suite(&|| Domain::on(cluster.database().parse().unwrap())).await;
}
