//! Backups of the key store, trying them, and restoring them.

use std::fs;

use lethe_keys::testing::{Call, Fault, Faults, MemoryLog};
use lethe_keys::{
    BackupPlace, Epoch, KeyService, KeyServiceConfig, KeysError, NewestCheckpoint, Override,
    Refusal, RestoreOptions, StoreUrl, SystemClock,
};

use crate::domain::{Domain, Object, fence, finish_move};
use crate::postgres::Cluster;

fn refused<T>(outcome: Result<T, KeysError>) -> Refusal {
    match outcome {
        Err(KeysError::Refused { reason }) => reason,
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("not refused"),
    }
}

/// The same domain with an empty key store in another place.
fn elsewhere(domain: &Domain, store: StoreUrl) -> KeyServiceConfig {
    KeyServiceConfig {
        key_store: store,
        ..domain.config.clone()
    }
}

async fn open(config: &KeyServiceConfig, like: &KeyService) -> std::sync::Arc<KeyService> {
    KeyService::open(config, like.identity(), std::sync::Arc::new(SystemClock))
        .await
        .unwrap()
}

type Stores<'a> = &'a dyn Fn() -> StoreUrl;

async fn backup_of_a_shred_restores_everybody_else(domain: &Domain, fresh: Stores<'_>) {
    let keys = domain.ready().await;
    let (victim, survivor) = (Object::new(&keys).await, Object::new(&keys).await);
    let second = keys.rotate(survivor.tenant).await.unwrap();
    let place = domain.backups();
    let before = keys.backup(&place).await.unwrap();
    assert_eq!(
        (before.epoch, before.nodes, before.keks),
        (Epoch(1), 1_025, 3)
    );
    fence(&keys, victim.tenant).await;
    keys.rekey(&[victim.tenant], Epoch(1)).await.unwrap();
    // The backup of before is not one of now.
    let scratch = domain.directory.path();
    let old = keys.test_restore(&place, &before.name, scratch).await;
    assert!(matches!(refused(old), Refusal::BackupRejected { .. }));
    let between = keys.backup(&place).await.unwrap();
    let tested = keys
        .test_restore(&place, &between.name, scratch)
        .await
        .unwrap();
    assert_eq!((tested.nodes, tested.keks, tested.victims), (1_025, 2, 1));
    keys.destroy_epoch(Epoch(1), &between.sha256).await.unwrap();
    assert_eq!(place.list().await.unwrap().len(), 2);
    let left: Vec<_> = fs::read_dir(scratch)
        .unwrap()
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().starts_with("lethe-restore")
        })
        .collect();
    assert_eq!(left.len(), 0, "scratch stores were left");

    // Before: the root does not open it any more.
    let config = elsewhere(domain, fresh());
    let options = RestoreOptions::default();
    let restored = KeyService::restore(&config, &place, &before.name, &options).await;
    assert_eq!(
        refused(restored),
        Refusal::RootEpochMissing { epoch: Epoch(1) }
    );
    let unopened = KeyService::open(&config, keys.identity(), domain.clock.clone()).await;
    assert_eq!(refused(unopened), Refusal::RestoreUnfinished);

    // The shred's own: everybody else has everything, and the shred can be finished there.
    let config = elsewhere(domain, fresh());
    let restored = KeyService::restore(&config, &place, &between.name, &options)
        .await
        .unwrap();
    assert_eq!(
        (restored.identity, restored.epoch),
        (keys.identity(), Epoch(2))
    );
    assert_eq!((restored.keks, restored.forgotten), (2, None));
    let again = KeyService::restore(&config, &place, &between.name, &options).await;
    assert!(matches!(refused(again), Refusal::StoreNotEmpty { .. }));
    let other = open(&config, &keys).await;
    assert!(survivor.opens(&other).await);
    assert_eq!(other.sealing_kek(survivor.tenant).await, Ok(second));
    assert!(victim.open(&other).await.is_err());
    assert_eq!(
        other.create_tenant_keys(victim.tenant).await.unwrap_err(),
        KeysError::TenantFenced {
            tenant: victim.tenant
        }
    );
    let unfinished = other.unfinished_moves().await.unwrap();
    assert_eq!(unfinished.len(), 1);
    let copy = other.backup(&place).await.unwrap();
    other
        .test_restore(&place, &copy.name, scratch)
        .await
        .unwrap();
    other.destroy_epoch(Epoch(1), &copy.sha256).await.unwrap();
    assert!(Object::new(&other).await.opens(&other).await);
}

async fn restored_world_forgets_what_it_is_told(domain: &Domain, fresh: Stores<'_>) {
    let keys = domain.ready().await;
    let (victim, survivor) = (Object::new(&keys).await, Object::new(&keys).await);
    let place = domain.backups();
    let before = keys.backup(&place).await.unwrap();
    // The provider was restored with the key store: the old epoch still opens.
    let root = domain.directory.path().join("root/epoch-1.key");
    let copy = fs::read(&root).unwrap();
    fence(&keys, victim.tenant).await;
    keys.rekey(&[victim.tenant], Epoch(1)).await.unwrap();
    finish_move(domain, &keys, Epoch(1)).await;
    assert!(!root.exists());
    fs::write(&root, copy).unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&root, fs::Permissions::from_mode(0o600)).unwrap();

    let mut config = elsewhere(domain, fresh());
    config.epoch_min = Epoch(2);
    let forget = [victim.tenant];
    let mut options = RestoreOptions {
        forget: &forget,
        ..RestoreOptions::default()
    };
    let faults = std::sync::Arc::<Faults>::default();
    for fault in [Fault::Failed, Fault::FailedButPersisted] {
        faults.inject(Call::StoreImport, fault, 1);
        let failed =
            KeyService::restore_with_faults(&config, &place, &before.name, &options, &faults).await;
        assert!(
            matches!(failed, Err(KeysError::Unavailable { .. })),
            "{failed:?}"
        );
    }
    let refusal = refused(KeyService::restore(&config, &place, &before.name, &options).await);
    assert_eq!(
        refusal,
        Refusal::EpochRolledBack {
            seen: Epoch(2),
            found: Epoch(1)
        }
    );
    let accepted = Override {
        reason: "the disk burned".to_owned(),
        time: "2026-01-02T03:04:05Z".to_owned(),
    };
    options.accept_behind = Some(&accepted);
    for call in [
        Call::StoreHead,
        Call::StoreQueueEntry,
        Call::StoreExport,
        Call::StoreNewestKek,
        Call::RootUnwrap,
        Call::RootCreateEpoch,
        Call::StoreMoveRoot,
        Call::StoreFinishRestore,
    ] {
        faults.inject(call, Fault::Failed, 1);
        let failed =
            KeyService::restore_with_faults(&config, &place, &before.name, &options, &faults).await;
        faults.clear();
        assert!(
            matches!(failed, Err(KeysError::Unavailable { .. })),
            "{call:?}: {failed:?}"
        );
        let opened = KeyService::open(&config, keys.identity(), domain.clock.clone()).await;
        assert_eq!(refused(opened), Refusal::RestoreUnfinished);
    }
    KeyService::restore(&config, &place, &before.name, &options)
        .await
        .unwrap();
    let other = open(&config, &keys).await;
    assert!(survivor.opens(&other).await);
    assert!(matches!(
        victim.open(&other).await,
        Err(KeysError::KekUnknown { .. })
    ));
    assert_eq!(
        other.create_tenant_keys(victim.tenant).await,
        Err(KeysError::CreationHeld)
    );
    assert_eq!(
        other.pending_leaves(10).await.unwrap().len(),
        3,
        "two creations and the override"
    );
    let unfinished = other.unfinished_moves().await.unwrap();
    assert_eq!((unfinished[0].from, unfinished[0].to), (Epoch(1), Epoch(3)));
    let backup = other.backup(&place).await.unwrap();
    other
        .test_restore(&place, &backup.name, domain.directory.path())
        .await
        .unwrap();
    other.destroy_epoch(Epoch(1), &backup.sha256).await.unwrap();
    assert!(survivor.opens(&other).await);
    assert_eq!(
        refused(other.create_tenant_keys(victim.tenant).await),
        Refusal::TenantErased {
            tenant: victim.tenant
        }
    );
}

async fn backup_behind_the_log_is_refused_unless_accepted(domain: &Domain, fresh: Stores<'_>) {
    let keys = domain.ready().await;
    let log = MemoryLog::default();
    let object = Object::new(&keys).await;
    log.sequence(&keys).await.unwrap();
    let place = domain.backups();
    let backup = keys.backup(&place).await.unwrap();
    assert_eq!(backup.log_size, 1);
    Object::new(&keys).await;
    log.sequence(&keys).await.unwrap();
    let newest: NewestCheckpoint = log.newest(backup.log_size);
    let mut options = RestoreOptions {
        newest: Some(&newest),
        ..RestoreOptions::default()
    };
    let config = elsewhere(domain, fresh());
    let refusal = refused(KeyService::restore(&config, &place, &backup.name, &options).await);
    assert_eq!(refusal, Refusal::BehindLog { store: 1, log: 2 });
    let accepted = Override {
        reason: "tested".to_owned(),
        time: "2026-01-02T03:04:05Z".to_owned(),
    };
    options.accept_behind = Some(&accepted);
    let restored = KeyService::restore(&config, &place, &backup.name, &options)
        .await
        .unwrap();
    assert_eq!((restored.log_size, restored.forgotten), (2, None));
    let other = open(&config, &keys).await;
    assert!(object.opens(&other).await);
    log.sequence(&other).await.unwrap();
    assert_eq!(
        other.log_size().await,
        Ok(3),
        "the override is an entry of the log"
    );
}

async fn whole_suite(domain: &dyn Fn() -> Domain, fresh: Stores<'_>) {
    backup_of_a_shred_restores_everybody_else(&domain(), fresh).await;
    restored_world_forgets_what_it_is_told(&domain(), fresh).await;
    backup_behind_the_log_is_refused_unless_accepted(&domain(), fresh).await;
}

#[tokio::test]
async fn sqlite_backups_pass_the_suite() {
    let directory = tempfile::tempdir().unwrap();
    let made = std::sync::atomic::AtomicUsize::new(0);
    let fresh = || {
        let name = made.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        StoreUrl::Sqlite {
            path: directory.path().join(format!("{name}/keys.db")),
        }
    };
    whole_suite(&Domain::sqlite, &fresh).await;
}

#[tokio::test]
async fn postgres_backups_pass_the_suite() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let fresh = || cluster.database().parse().unwrap();
    whole_suite(&|| Domain::on(fresh()), &fresh).await;
}

#[tokio::test]
async fn damaged_backup_is_rejected_wherever_it_is_damaged() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    Object::new(&keys).await;
    let place = domain.backups();
    let backup = keys.backup(&place).await.unwrap();
    let path = domain.directory.path().join("backups").join(&backup.name);
    let sums = fs::read_to_string(path.with_file_name(format!("{}.sha256", backup.name))).unwrap();
    assert!(sums.contains(&backup.name));
    let good = fs::read(&path).unwrap();
    assert_eq!(good.len() as u64, backup.bytes);
    let scratch = domain.directory.path();
    let length = good.len();
    let flips = [0, 16, 18, 30, 60, length / 2, length - 60, length - 1];
    for (at, cut) in
        flips
            .map(|at| (at, length))
            .into_iter()
            .chain([(0, length - 1), (0, 10), (0, 0)])
    {
        let mut bad = good.clone();
        if cut == length {
            bad[at] ^= 1;
        }
        bad.truncate(cut);
        fs::write(&path, &bad).unwrap();
        let outcome = keys.test_restore(&place, &backup.name, scratch).await;
        assert!(
            matches!(refused(outcome), Refusal::BackupRejected { .. }),
            "byte {at} of {cut}"
        );
    }
    fs::write(&path, [good.as_slice(), b"x"].concat()).unwrap();
    let outcome = keys.test_restore(&place, &backup.name, scratch).await;
    assert!(matches!(refused(outcome), Refusal::BackupRejected { .. }));
    fs::write(&path, &good).unwrap();
    keys.test_restore(&place, &backup.name, scratch)
        .await
        .unwrap();
    for name in ["../keys/keys.db", "", ".hidden", "nothing.lethe-keys"] {
        let outcome = keys.test_restore(&place, name, scratch).await;
        assert!(
            matches!(refused(outcome), Refusal::BackupRejected { .. }),
            "{name}"
        );
    }
}

/// Each key's in turn, from the last that is opened to the first: whichever is not looked at, the next damaged one is named for it.
#[tokio::test]
async fn restore_test_compares_every_key_with_its_commitment() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(Object::new(&keys).await.kek_id);
    }
    ids.sort_unstable_by_key(|id| *id.as_bytes());
    let place = domain.backups();
    let scratch = domain.directory.path();
    let damages = [
        "UPDATE keks SET commitment = randomblob(32) WHERE kek_id = (SELECT kek_id FROM keks ORDER BY kek_id LIMIT 1 OFFSET 2)",
        "UPDATE keks SET commitment = randomblob(32) WHERE kek_id = (SELECT kek_id FROM keks ORDER BY kek_id LIMIT 1 OFFSET 1)",
        "UPDATE keks SET commitment = randomblob(32) WHERE kek_id = (SELECT kek_id FROM keks ORDER BY kek_id LIMIT 1 OFFSET 0)",
    ];
    for (damage, id) in damages.into_iter().zip(ids.iter().rev()) {
        assert_eq!(domain.sql(damage).await, 1);
        let backup = keys.backup(&place).await.unwrap();
        let tested = keys.test_restore(&place, &backup.name, scratch).await;
        let Refusal::BackupRejected { reason, .. } = refused(tested) else {
            panic!("another refusal");
        };
        assert_eq!(reason, format!("kek {id} in it does not open"));
    }
}

#[tokio::test]
async fn backup_that_fails_leaves_nothing_under_a_name() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let place = domain.backups();
    for fault in [Fault::Failed, Fault::FailedButPersisted] {
        domain.faults.inject(Call::StoreExport, fault, 1);
        keys.backup(&place).await.unwrap_err();
    }
    assert_eq!(place.list().await.unwrap(), Vec::<String>::new());
    let inside = fs::read_dir(domain.directory.path().join("backups")).unwrap();
    assert_eq!(inside.count(), 1, "the mark alone");
    // A place that is no directory.
    let file = domain.directory.path().join("file");
    fs::write(&file, b"").unwrap();
    let nowhere = lethe_keys::BackupDirectory::new(&file);
    let failed = keys.backup(&nowhere).await;
    assert!(
        matches!(failed, Err(KeysError::Unavailable { .. })),
        "{failed:?}"
    );
    keys.backup(&place).await.unwrap();
}
