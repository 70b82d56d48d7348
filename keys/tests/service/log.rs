//! KEKs that wait for the log, and key stores that are behind it.

use lethe_keys::testing::{Call, Fault, MemoryLog};
use lethe_keys::{EntrySubject, KekState, KeyService, KeysError, NewestCheckpoint, Refusal};

use crate::domain::{Domain, Object, context, tenant};
use crate::postgres::Cluster;
use lethe_envelope::{Dek, TenantId};

async fn kek_wraps_nothing_before_its_entry_is_in_the_log(domain: &Domain) {
    let keys = domain.ready().await;
    let (other, _, _) = domain.another_gateway(keys.identity()).await;
    let log = MemoryLog::default();
    let tenant = tenant();
    let first = keys.create_tenant_keys(tenant).await.unwrap();
    assert_eq!((first.version, first.state), (1, KekState::Pending));
    assert_eq!(keys.create_tenant_keys(tenant).await, Ok(first.clone()));
    let pending = KeysError::KekPending { tenant };
    for gateway in [&keys, &other] {
        assert_eq!(gateway.sealing_kek(tenant).await, Err(pending.clone()));
        assert_eq!(gateway.rotate(tenant).await, Err(pending.clone()));
        assert_eq!(gateway.rotate_from(tenant, 1).await, Err(pending.clone()));
        let dek = Dek::generate().unwrap();
        let context = context(tenant, first.kek_id);
        let wrapped = gateway
            .wrap_dek(tenant, &first.kek_id, &dek, &context)
            .await;
        assert_eq!(wrapped.unwrap_err(), pending);
    }
    let leaves = keys.pending_leaves(10).await.unwrap();
    assert_eq!(leaves[0].subject, EntrySubject::Kek { tenant, version: 1 });
    // The log has it and the key store does not know: still nothing is wrapped.
    log.take(&keys).await.unwrap();
    assert_eq!(keys.sealing_kek(tenant).await, Err(pending));
    log.sequence(&keys).await.unwrap();
    for gateway in [&keys, &other] {
        assert_eq!(
            gateway.sealing_kek(tenant).await.unwrap().kek_id,
            first.kek_id
        );
    }

    // After a rotation the old one seals until the new one is in the log.
    let second = keys.rotate(tenant).await.unwrap();
    assert_eq!((second.version, second.state), (2, KekState::Pending));
    assert_eq!(
        keys.rotate(tenant).await,
        Ok(second.clone()),
        "rotated twice"
    );
    assert_eq!(keys.rotate_from(tenant, 1).await, Ok(second.clone()));
    let (late, _, _) = domain.another_gateway(keys.identity()).await;
    for gateway in [&keys, &other, &late] {
        assert_eq!(
            gateway.sealing_kek(tenant).await.unwrap().kek_id,
            first.kek_id
        );
    }
    log.sequence(&keys).await.unwrap();
    assert_eq!(
        keys.sealing_kek(tenant).await.unwrap().kek_id,
        second.kek_id
    );
    assert_eq!(keys.log_size().await, Ok(2));
    let creations = keys.creation_entries(tenant).await.unwrap();
    assert_eq!(creations[0].previous, [0; 32]);
    assert_eq!(creations[1].previous, creations[0].entry);
    assert_eq!(creations[1].index, Some(1));
    assert_eq!(creations[1].commitment, second.commitment);
}

async fn statement_is_queued_once_and_found_in_the_log(domain: &Domain) {
    let keys = domain.ready().await;
    let log = MemoryLog::default();
    keys.create_tenant_keys(tenant()).await.unwrap();
    for fault in [Fault::Failed, Fault::FailedButPersisted] {
        domain.faults.inject(Call::StoreQueueEntry, fault, 1);
        keys.queue_statement([1; 16], [2; 32]).await.unwrap_err();
    }
    keys.queue_statement([1; 16], [2; 32]).await.unwrap();
    assert_eq!(keys.pending_leaves(10).await.unwrap().len(), 2);
    assert_eq!(keys.entry_index(&[2; 32]).await, Ok(None));
    for fault in [Fault::Failed, Fault::FailedButPersisted] {
        domain.faults.inject(Call::StoreRecordSequenced, fault, 1);
        log.sequence(&keys).await.unwrap_err();
    }
    log.sequence(&keys).await.unwrap();
    assert_eq!(keys.entry_index(&[2; 32]).await, Ok(Some(1)));
    assert!(keys.entry_index(&[3; 32]).await.is_err());
    assert_eq!(keys.pending_leaves(10).await.unwrap(), vec![]);
}

async fn store_behind_its_log_is_refused_unless_a_crash_explains_it(domain: &Domain) {
    let keys = domain.ready().await;
    let identity = keys.identity();
    let log = MemoryLog::default();
    let object = tenant();
    keys.create_tenant_keys(object).await.unwrap();
    log.take(&keys).await.unwrap();
    keys.close().await.unwrap();

    let open = async |newest: &NewestCheckpoint| {
        KeyService::open_at_checkpoint_with_faults(
            &domain.config,
            identity,
            domain.clock.clone(),
            newest,
            &domain.faults,
        )
        .await
    };
    let recorded = KeyService::recorded_log_size(&domain.config).await.unwrap();
    assert_eq!(recorded, 0);
    // Another store's entry, or nobody knows which.
    let mut foreign = log.newest(recorded);
    foreign.log_size += 1;
    let behind = Refusal::BehindLog { store: 0, log: 2 };
    for beyond in [
        foreign.beyond.clone(),
        [foreign.beyond.clone(), vec![[9; 32]]].concat(),
    ] {
        let newest = NewestCheckpoint {
            beyond,
            ..foreign.clone()
        };
        let refused = open(&newest).await.unwrap_err();
        assert_eq!(refused, KeysError::from(behind.clone()));
    }
    assert_eq!(KeyService::recorded_log_size(&domain.config).await, Ok(0));
    // The crash came between log and key store.
    let newest = log.newest(recorded);
    for call in [Call::StoreEntryIndex, Call::StoreRecordSequenced] {
        for fault in [Fault::Failed, Fault::FailedButPersisted] {
            domain.faults.inject(call, fault, 1);
            open(&newest).await.unwrap_err();
            domain.faults.clear();
        }
    }
    let keys = open(&newest).await.unwrap();
    assert_eq!(keys.log_size().await, Ok(1));
    assert!(keys.sealing_kek(object).await.is_ok());
    // Another gateway has recorded some of what was read before it.
    keys.rotate(object).await.unwrap();
    log.take(&keys).await.unwrap();
    keys.close().await.unwrap();
    let keys = open(&log.newest(0)).await.unwrap();
    assert_eq!(keys.log_size().await, Ok(2));
    let creations = keys.creation_entries(object).await.unwrap();
    let indexes: Vec<_> = creations.iter().map(|one| one.index).collect();
    assert_eq!(indexes, [Some(0), Some(1)]);
    // A log that is behind the store is an older copy of the log; the store has no quarrel with it.
    keys.close().await.unwrap();
    open(&NewestCheckpoint::default()).await.unwrap();
}

async fn store_with_keys_of_somebody_erased_is_refused(domain: &Domain) {
    let keys = domain.ready().await;
    let (gone, here) = (tenant(), tenant());
    keys.create_tenant_keys(here).await.unwrap();
    keys.queue_statement([1; 16], [2; 32]).await.unwrap();
    let identity = keys.identity();
    keys.close().await.unwrap();
    let many: Vec<[u8; 16]> = (0..300_u32)
        .map(|number| {
            let mut id = [7; 16];
            id[..4].copy_from_slice(&number.to_be_bytes());
            id
        })
        .chain([[1; 16]])
        .collect();
    let unknown = KeyService::unknown_statements(&domain.config, &many).await;
    assert_eq!(unknown.unwrap(), many[..300]);

    let open = async |erased: &[TenantId]| {
        let newest = NewestCheckpoint {
            erased: erased.to_vec(),
            ..NewestCheckpoint::default()
        };
        KeyService::open_at_checkpoint_with_faults(
            &domain.config,
            identity,
            domain.clock.clone(),
            &newest,
            &domain.faults,
        )
        .await
    };
    let refused = open(&[gone, here]).await.unwrap_err();
    assert_eq!(refused, Refusal::NotForgotten { tenant: here }.into());
    domain.faults.inject(Call::StoreNewestKek, Fault::Failed, 1);
    assert!(matches!(
        open(&[here]).await,
        Err(KeysError::Unavailable { .. })
    ));
    open(&[gone]).await.unwrap();
}

async fn decision_is_known_from_when_it_is_queued(domain: &Domain) {
    let keys = domain.ready().await;
    let (made, other) = ([5; 32], [6; 32]);
    assert_eq!(keys.is_entry_known(&made).await, Ok(false));
    for _ in 0..2 {
        keys.queue_decision(made).await.unwrap();
    }
    let pending = keys.pending_leaves(9).await.unwrap();
    let subjects: Vec<_> = pending.iter().map(|one| (one.subject, one.entry)).collect();
    assert_eq!(subjects, [(EntrySubject::Override, made)]);
    assert_eq!(keys.is_entry_known(&made).await, Ok(true));
    keys.entries_sequenced(0, &[made], 1).await.unwrap();
    assert_eq!(keys.is_entry_known(&made).await, Ok(true));
    assert_eq!(keys.is_entry_known(&other).await, Ok(false));
    keys.queue_decision(made).await.unwrap();
    assert_eq!(keys.pending_leaves(9).await.unwrap(), []);
}

async fn log_with_gaps_or_foreign_entries_is_not_recorded(domain: &Domain) {
    let keys = domain.ready().await;
    keys.create_tenant_keys(tenant()).await.unwrap();
    let entry = keys.pending_leaves(1).await.unwrap()[0].entry;
    let refused = |reason: Refusal| Err(KeysError::from(reason));
    assert_eq!(
        keys.entries_sequenced(1, &[entry], 2).await,
        refused(Refusal::LogGap {
            recorded: 0,
            first: 1
        })
    );
    assert_eq!(
        keys.entries_sequenced(0, &[entry, [9; 32]], 2).await,
        refused(Refusal::LogUnknown { index: 1 })
    );
    assert_eq!(
        keys.entries_sequenced(0, &[entry], 0).await,
        refused(Refusal::BehindLog { store: 1, log: 0 })
    );
    assert_eq!(keys.log_size().await, Ok(0));
    assert_eq!(keys.entries_sequenced(0, &[entry], 1).await, Ok(()));
}

async fn whole_suite(fresh: &dyn Fn() -> Domain) {
    kek_wraps_nothing_before_its_entry_is_in_the_log(&fresh()).await;
    statement_is_queued_once_and_found_in_the_log(&fresh()).await;
    store_behind_its_log_is_refused_unless_a_crash_explains_it(&fresh()).await;
    store_with_keys_of_somebody_erased_is_refused(&fresh()).await;
    log_with_gaps_or_foreign_entries_is_not_recorded(&fresh()).await;
    decision_is_known_from_when_it_is_queued(&fresh()).await;
}

#[tokio::test]
async fn sqlite_log_passes_the_suite() {
    whole_suite(&|| Domain::sqlite().sequenced()).await;
}

#[tokio::test]
async fn postgres_log_passes_the_suite() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    whole_suite(&|| Domain::on(cluster.database().parse().unwrap()).sequenced()).await;
}

#[tokio::test]
async fn kek_without_a_log_seals_at_once() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let object = Object::new(&keys).await;
    assert!(object.opens(&keys).await);
    assert_eq!(keys.pending_leaves(9).await.unwrap().len(), 1);
}
