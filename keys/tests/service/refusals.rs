//! What `init` and `open` refuse.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use lethe_keys::testing::{Call, Fault};
use lethe_keys::{Epoch, KeyService, KeyStoreIdentity, KeysError, Refusal, RootConfig, StoreUrl};

use crate::domain::Domain;
use crate::postgres::Cluster;

fn reason<T: std::fmt::Debug>(outcome: Result<T, KeysError>) -> Refusal {
    match outcome {
        Err(KeysError::Refused { reason }) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

fn at(domain: &mut Domain, store: &Path, root: &Path) {
    domain.config.key_store = StoreUrl::Sqlite {
        path: store.to_path_buf(),
    };
    domain.config.root = RootConfig::File {
        dir: root.to_path_buf(),
    };
}

#[tokio::test]
async fn missing_store_is_refused_and_not_created() {
    let domain = Domain::sqlite();
    let refused = reason(domain.open(KeyStoreIdentity::from_bytes([0; 16])).await);
    assert!(
        matches!(refused, Refusal::StoreMissing { .. }),
        "{refused:?}"
    );
    assert_eq!(fs::read_dir(domain.directory.path()).unwrap().count(), 0);
    assert_eq!(KeyService::exists(&domain.config).await, Ok(false));
    let migrated = reason(KeyService::migrate(&domain.config).await);
    assert!(
        matches!(migrated, Refusal::StoreMissing { .. }),
        "{migrated:?}"
    );
    assert_eq!(fs::read_dir(domain.directory.path()).unwrap().count(), 0);
    // An empty file is no key store, either.
    fs::create_dir(domain.directory.path().join("keys")).unwrap();
    fs::write(domain.directory.path().join("keys/keys.db"), b"").unwrap();
    let refused = reason(domain.open(KeyStoreIdentity::from_bytes([0; 16])).await);
    assert!(
        matches!(refused, Refusal::StoreMissing { .. }),
        "{refused:?}"
    );
    assert_eq!(KeyService::exists(&domain.config).await, Ok(false));
    domain.init().await.unwrap();
    assert_eq!(KeyService::exists(&domain.config).await, Ok(true));
}

#[tokio::test]
async fn unfinished_store_is_refused() {
    let domain = Domain::sqlite();
    domain
        .faults
        .inject(Call::StoreFinishInit, Fault::Failed, 1);
    domain.init().await.unwrap_err();
    let identity = domain.init().await.unwrap();
    domain
        .sql("UPDATE key_store SET state = 'initializing'")
        .await;
    assert_eq!(
        reason(domain.open(identity).await),
        Refusal::StoreUnfinished
    );
}

#[tokio::test]
async fn store_of_another_identity_is_refused() {
    let domain = Domain::sqlite();
    let found = domain.init().await.unwrap();
    let expected = KeyStoreIdentity::from_bytes([9; 16]);
    assert_eq!(
        reason(domain.open(expected).await),
        Refusal::IdentityMismatch { expected, found }
    );
}

#[tokio::test]
async fn store_of_another_domain_is_refused() {
    let mut domain = Domain::sqlite();
    let identity = domain.init().await.unwrap();
    domain.config.domain = "us".parse().unwrap();
    let expected = Refusal::DomainMismatch {
        expected: "us".into(),
        found: "eu".into(),
    };
    assert_eq!(reason(domain.init().await), expected);
    assert_eq!(reason(domain.open(identity).await), expected);
}

#[tokio::test]
async fn store_behind_the_recorded_epoch_is_refused() {
    let mut domain = Domain::sqlite();
    let identity = domain.init().await.unwrap();
    domain.config.epoch_min = Epoch(1);
    assert!(domain.open(identity).await.is_ok());
    domain.config.epoch_min = Epoch(2);
    let expected = Refusal::EpochRolledBack {
        seen: Epoch(2),
        found: Epoch(1),
    };
    assert_eq!(reason(domain.open(identity).await), expected);
}

#[tokio::test]
async fn root_and_store_within_one_another_are_refused() {
    let mut domain = Domain::sqlite();
    let base = domain.directory.path().to_path_buf();
    fs::create_dir(base.join("elsewhere")).unwrap();
    symlink(base.join("store"), base.join("elsewhere/link")).unwrap();
    for (store, root) in [
        ("same/keys.db", "same"),
        ("store/keys.db", "store/root"),
        ("root2/store/keys.db", "root2"),
        ("store/keys.db", "elsewhere/link/deep"),
        ("store/keys.db", "store/../store/deeper"),
    ] {
        at(&mut domain, &base.join(store), &base.join(root));
        fs::create_dir_all(base.join("store")).unwrap();
        let refused = reason(domain.init().await);
        assert!(
            matches!(refused, Refusal::NotApart(_)),
            "{store} {root}: {refused:?}"
        );
        assert!(!base.join(store).exists(), "{store} was created");
    }
    // A name that only starts alike is another directory.
    at(
        &mut domain,
        &base.join("keys/keys.db"),
        &base.join("keys-root"),
    );
    let identity = domain.init().await.unwrap();
    // What `init` would refuse `open` refuses, too.
    fs::rename(base.join("keys-root"), base.join("keys/root")).unwrap();
    domain.config.root = RootConfig::File {
        dir: base.join("keys/root"),
    };
    assert!(matches!(
        reason(domain.open(identity).await),
        Refusal::NotApart(_)
    ));
}

#[tokio::test]
async fn database_file_linked_into_the_root_is_refused() {
    let mut domain = Domain::sqlite();
    let base = domain.directory.path().to_path_buf();
    for directory in ["store", "root"] {
        fs::create_dir(base.join(directory)).unwrap();
    }
    fs::write(base.join("root/real.db"), b"").unwrap();
    symlink(base.join("root/real.db"), base.join("store/keys.db")).unwrap();
    at(&mut domain, &base.join("store/keys.db"), &base.join("root"));
    assert!(matches!(reason(domain.init().await), Refusal::NotApart(_)));
}

#[tokio::test]
async fn file_root_on_the_stores_volume_is_for_development() {
    let mut domain = Domain::sqlite();
    domain.config.dev = false;
    assert!(matches!(
        reason(domain.init().await),
        Refusal::RootOnStoreVolume { .. }
    ));
    domain.config.dev = true;
    let identity = domain.init().await.unwrap();
    domain.config.dev = false;
    assert!(matches!(
        reason(domain.open(identity).await),
        Refusal::RootOnStoreVolume { .. }
    ));
}

#[tokio::test]
async fn postgres_store_outside_dev_opens_with_a_file_root() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let mut domain = Domain::on(cluster.database().parse().unwrap());
    domain.config.dev = false;
    let keys = domain.ready().await;
    let identifier = cluster
        .sql("postgres", lethe_keys::POSTGRES_SYSTEM_IDENTIFIER_SQL)
        .parse()
        .unwrap();
    assert_eq!(
        *keys.location(),
        lethe_keys::Location::of_postgres(identifier)
    );
    keys.ping().await.unwrap();
}

#[tokio::test]
async fn root_of_another_key_store_is_refused() {
    let (first, mut second) = (Domain::sqlite(), Domain::sqlite());
    let identity = first.init().await.unwrap();
    let own = second.config.root.clone();
    second.config.root = first.config.root.clone();
    assert_eq!(
        reason(second.init().await),
        Refusal::RootForeign { epoch: Epoch(1) }
    );
    assert!(
        first.open(identity).await.is_ok(),
        "a foreign init harmed the root"
    );
    second.config.root = own;
    let identity = second.init().await.unwrap();
    second.config.root = first.config.root.clone();
    assert_eq!(
        reason(second.open(identity).await),
        Refusal::RootForeign { epoch: Epoch(1) }
    );
    assert_eq!(
        reason(second.init().await),
        Refusal::RootForeign { epoch: Epoch(1) }
    );
}

#[tokio::test]
async fn root_that_is_gone_or_open_is_refused() {
    let domain = Domain::sqlite();
    let identity = domain.init().await.unwrap();
    let file = domain.directory.path().join("root/epoch-1.key");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(
        reason(domain.open(identity).await),
        Refusal::RootExposed { mode: 0o644, .. }
    ));
    fs::remove_file(&file).unwrap();
    assert_eq!(
        reason(domain.open(identity).await),
        Refusal::RootEpochMissing { epoch: Epoch(1) }
    );
    // Above all, init does not make a second world under the first one's identity.
    assert_eq!(
        reason(domain.init().await),
        Refusal::RootEpochMissing { epoch: Epoch(1) }
    );
    assert!(!file.exists());
}

#[tokio::test]
async fn durations_out_of_range_are_refused() {
    let mut domain = Domain::sqlite();
    for (lease_s, good) in [(29, false), (30, true), (900, true), (901, false)] {
        domain.config.lease = Duration::from_secs(lease_s);
        assert_eq!(domain.init().await.is_ok(), good, "{lease_s}");
    }
    domain.config.lease = Duration::from_secs(30);
    for deadline in [Duration::ZERO, Duration::from_secs(30)] {
        domain.config.deadline = deadline;
        assert_eq!(reason(domain.init().await), Refusal::DeadlineOutOfRange);
    }
}
