//! Store and root that fail, fail after persisting, hang or lie, under `init`, `create_tenant_keys` and `rotate`.

use std::time::Duration;

use lethe_keys::testing::{Call, Fault};
use lethe_keys::{KekState, KeyService, KeysError, StoreUrl};

use crate::domain::{Domain, Object, tenant};
use crate::postgres::Cluster;

const INIT_CALLS: [Call; 8] = [
    Call::StoreLocation,
    Call::StoreBeginInit,
    Call::RootCreateEpoch,
    Call::RootWrap,
    Call::RootUnwrap,
    Call::StoreFinishInit,
    Call::StoreHead,
    Call::StoreNode,
];

async fn init_with_a_fault_is_finished_by_a_retry(fresh: &dyn Fn() -> Domain) {
    for call in INIT_CALLS {
        for fault in [Fault::Failed, Fault::FailedButPersisted] {
            let domain = fresh();
            domain.faults.inject(call, fault, 1);
            let failed = domain.init().await;
            assert!(
                matches!(failed, Err(KeysError::Unavailable { .. })),
                "{call:?} {fault:?}: {failed:?}"
            );
            let identity = domain.init().await.unwrap();
            assert_eq!(domain.init().await, Ok(identity), "{call:?} {fault:?}");
            let keys = domain.open(identity).await.unwrap();
            assert!(Object::new(&keys).await.opens(&keys).await);
        }
    }
}

async fn inits_at_once_make_one_domain(domain: &Domain) {
    // SQLite's migrations have no lock of their own; the schema is made once before the race.
    domain
        .faults
        .inject(Call::RootCreateEpoch, Fault::Failed, 1);
    domain.init().await.unwrap_err();
    let (one, two, three) = tokio::join!(domain.init(), domain.init(), domain.init());
    let identity = one.unwrap();
    assert_eq!((two, three), (Ok(identity), Ok(identity)));
    let keys = domain.open(identity).await.unwrap();
    assert!(Object::new(&keys).await.opens(&keys).await);
}

async fn create_with_a_fault_makes_one_version(domain: &Domain) {
    let keys = domain.ready().await;
    for call in [
        Call::StoreNewestKek,
        Call::StoreNode,
        Call::RootUnwrap,
        Call::StoreInsertKek,
    ] {
        for fault in [Fault::Failed, Fault::FailedButPersisted] {
            let tenant = tenant();
            domain.faults.inject(call, fault, 1);
            // An insertion whose failure can be looked into, and a node in memory, are no failures to the caller.
            let first = keys.create_tenant_keys(tenant).await;
            domain.faults.clear();
            let info = keys.create_tenant_keys(tenant).await.unwrap();
            if let Ok(first) = first {
                assert_eq!(first, info);
            }
            assert_eq!(
                keys.list(tenant).await,
                Ok(vec![info]),
                "{call:?} {fault:?}"
            );
        }
    }
    // Persisted, and the look into it fails, too.
    let tenant = tenant();
    domain
        .faults
        .inject(Call::StoreInsertKek, Fault::FailedButPersisted, 1);
    domain.faults.inject(Call::StoreKek, Fault::Failed, 1);
    keys.create_tenant_keys(tenant).await.unwrap_err();
    let info = keys.create_tenant_keys(tenant).await.unwrap();
    assert_eq!(keys.list(tenant).await, Ok(vec![info]));
}

async fn rotate_with_a_fault_makes_one_version(domain: &Domain) {
    let keys = domain.ready().await;
    for call in [Call::StoreNewestKek, Call::StoreInsertKek] {
        for fault in [Fault::Failed, Fault::FailedButPersisted, Fault::Lying] {
            let object = Object::new(&keys).await;
            domain.faults.inject(call, fault, 1);
            domain.faults.inject(Call::StoreKek, Fault::Failed, 1);
            let first = keys.rotate_from(object.tenant, 1).await;
            domain.faults.clear();
            let second = keys.rotate_from(object.tenant, 1).await.unwrap();
            if let Ok(first) = first {
                assert_eq!(first, second);
            }
            let states: Vec<_> = keys
                .list(object.tenant)
                .await
                .unwrap()
                .iter()
                .map(|kek| (kek.version, kek.state))
                .collect();
            let expected = [(1, KekState::DecryptOnly), (2, KekState::Active)];
            assert_eq!(states, expected, "{call:?} {fault:?}");
            assert!(object.opens(&keys).await);
        }
    }
}

async fn changes_at_once_have_one_outcome(domain: &Domain) {
    let keys = domain.ready().await;
    let (other, _, _) = domain.another_gateway(keys.identity()).await;
    let tenant = tenant();
    let (one, two, three, four) = tokio::join!(
        keys.create_tenant_keys(tenant),
        other.create_tenant_keys(tenant),
        keys.create_tenant_keys(tenant),
        other.create_tenant_keys(tenant)
    );
    let first = one.unwrap();
    assert!(
        [two, three, four]
            .into_iter()
            .all(|info| info.as_ref() == Ok(&first))
    );
    let (one, two, three, four) = tokio::join!(
        keys.rotate_from(tenant, 1),
        other.rotate_from(tenant, 1),
        keys.rotate_from(tenant, 1),
        other.rotate_from(tenant, 1)
    );
    let second = one.unwrap();
    assert!(
        [two, three, four]
            .into_iter()
            .all(|info| info.as_ref() == Ok(&second))
    );
    assert_eq!(keys.list(tenant).await.unwrap().len(), 2);
}

async fn whole_suite(fresh: &dyn Fn() -> Domain) {
    init_with_a_fault_is_finished_by_a_retry(fresh).await;
    inits_at_once_make_one_domain(&fresh()).await;
    create_with_a_fault_makes_one_version(&fresh()).await;
    rotate_with_a_fault_makes_one_version(&fresh()).await;
    changes_at_once_have_one_outcome(&fresh()).await;
}

#[tokio::test]
async fn sqlite_domain_passes_the_fault_suite() {
    whole_suite(&Domain::sqlite).await;
}

#[tokio::test]
async fn postgres_domain_passes_the_fault_suite() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    whole_suite(&|| Domain::on(cluster.database().parse::<StoreUrl>().unwrap())).await;
}

#[tokio::test]
async fn init_with_a_lying_root_leaves_nothing_to_open() {
    for call in [Call::RootWrap, Call::RootUnwrap] {
        let domain = Domain::sqlite();
        domain.faults.inject(call, Fault::Lying, 1);
        domain.init().await.unwrap_err();
        assert_eq!(
            domain.sql("DELETE FROM nodes").await,
            0,
            "{call:?}: a tree was written"
        );
        let identity = domain.init().await.unwrap();
        assert!(domain.open(identity).await.is_ok());
    }
}

#[tokio::test]
async fn lying_store_or_root_is_found_out_and_forgotten() {
    for call in [Call::StoreKek, Call::StoreNode, Call::RootUnwrap] {
        let domain = Domain::sqlite();
        let keys = domain.ready().await;
        let object = Object::new(&keys).await;
        let (other, _, faults) = domain.another_gateway(keys.identity()).await;
        faults.inject(call, Fault::Lying, 1);
        let lied = object.open(&other).await;
        assert!(
            matches!(lied, Err(KeysError::Corrupt { .. })),
            "{call:?}: {lied:?}"
        );
        assert!(object.opens(&other).await, "{call:?}: the lie was kept");
    }
}

#[tokio::test]
async fn lying_active_kek_is_found_out() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let object = Object::new(&keys).await;
    domain.faults.inject(Call::StoreActiveKek, Fault::Lying, 1);
    let lied = keys.sealing_kek(object.tenant).await;
    assert!(matches!(lied, Err(KeysError::Corrupt { .. })), "{lied:?}");
    assert_eq!(
        keys.sealing_kek(object.tenant).await.unwrap().kek_id,
        object.kek_id
    );
}

#[tokio::test]
async fn slow_store_or_root_is_unavailable_within_the_deadline() {
    let mut domain = Domain::sqlite();
    let identity = domain.init().await.unwrap();
    domain.config.deadline = Duration::from_secs(1);
    let keys = domain.open(identity).await.unwrap();
    let object = Object::new(&keys).await;
    keys.close().await.unwrap();
    let hangs = Fault::Slow(Duration::from_secs(3_600));
    for call in [Call::StoreKek, Call::StoreNode, Call::RootUnwrap] {
        let (fresh, _, faults) = domain.another_gateway(identity).await;
        faults.inject(call, hangs, 1);
        let hung = object.open(&fresh).await;
        assert!(
            matches!(hung, Err(KeysError::Unavailable { .. })),
            "{call:?}: {hung:?}"
        );
        assert!(object.opens(&fresh).await, "{call:?}");
    }
    domain.faults.inject(Call::StoreHead, hangs, 1);
    assert!(matches!(
        domain.open(identity).await,
        Err(KeysError::Unavailable { .. })
    ));
    domain.faults.inject(Call::StoreRenew, hangs, 1);
    assert!(matches!(
        domain.open(identity).await,
        Err(KeysError::Unavailable { .. })
    ));
}

#[tokio::test]
async fn store_away_serves_from_memory_while_the_lease_lasts() {
    let domain = Domain::sqlite();
    let keys: std::sync::Arc<KeyService> = domain.ready().await;
    let object = Object::new(&keys).await;
    for call in [
        Call::StoreKek,
        Call::StoreNode,
        Call::StoreNewestKek,
        Call::StorePing,
        Call::StoreRenew,
    ] {
        domain.faults.inject(call, Fault::Failed, usize::MAX);
    }
    assert!(object.opens(&keys).await);
    assert!(matches!(
        keys.ping().await,
        Err(KeysError::Unavailable { .. })
    ));
    assert!(matches!(
        keys.create_tenant_keys(tenant()).await,
        Err(KeysError::Unavailable { .. })
    ));
}
