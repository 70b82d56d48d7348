//! What every key store must do, run on SQLite and on PostgreSQL.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lethe_envelope::{KekId, TenantId};
use sqlx::AnyPool;

use super::faulty::FaultyKeyStore;
use super::*;
use crate::config::StoreUrl;
use crate::secret::WRAPPED_BYTES;
use crate::testing::{Call, Fault, Faults};
use crate::tree::{FIRST_GENERATION, PLACES};
use crate::types::KekState;

mod kills;
mod moves;
#[path = "../../tests/support/postgres.rs"]
pub(crate) mod postgres;

const DEADLINE: Duration = Duration::from_secs(10);
const IDENTITY: KeyStoreIdentity = KeyStoreIdentity::from_bytes([7; 16]);

fn open(url: &StoreUrl) -> SqlKeyStore {
    SqlKeyStore::new(url, DEADLINE, Arc::new(Ungated)).unwrap()
}

fn node(place: Place) -> NodeRow {
    NodeRow {
        place,
        generation: FIRST_GENERATION,
        epoch: Epoch::FIRST,
        wrapped: [place.number() as u8; WRAPPED_BYTES].into(),
    }
}

fn tree() -> Vec<NodeRow> {
    Place::all().map(node).collect()
}

async fn initialised(url: &StoreUrl) -> SqlKeyStore {
    let store = open(url);
    store.begin_init(IDENTITY, "eu", 1).await.unwrap();
    assert!(store.finish_init(&tree(), 2).await.unwrap());
    store
}

fn kek(tenant: TenantId, version: u32) -> (KekRow, PendingLeaf) {
    let row = KekRow {
        tenant,
        info: KekInfo {
            kek_id: KekId::random().unwrap(),
            version,
            commitment: [version as u8; 32],
            state: KekState::Active,
            created_ms: 3,
        },
        place: Place::of_tenant(tenant),
        generation: FIRST_GENERATION,
        wrapped: [0xAB; WRAPPED_BYTES],
        leaf_hash: random(),
    };
    (
        row,
        PendingLeaf {
            nonce: [1; 32],
            previous_hash: [0; 32],
        },
    )
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

async fn count(pool: &AnyPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

async fn missing_store_is_reported(url: &StoreUrl) {
    assert_eq!(open(url).head().await, Err(StoreError::Missing));
}

async fn init_is_repeatable_and_keeps_the_first_identity(url: &StoreUrl) {
    let store = open(url);
    let first = store.begin_init(IDENTITY, "eu", 1).await.unwrap();
    assert_eq!(
        first,
        StoreHead {
            identity: IDENTITY,
            domain: "eu".into(),
            phase: Phase::Initializing,
            epoch: Epoch(0),
            held: false,
            log_size: 0
        }
    );
    let second = store
        .begin_init(KeyStoreIdentity::from_bytes([8; 16]), "us", 1)
        .await
        .unwrap();
    assert_eq!(second, first);
    assert!(store.finish_init(&tree(), 2).await.unwrap());
    assert!(
        !store.finish_init(&tree(), 2).await.unwrap(),
        "a ready store was made ready again"
    );
    let head = store.head().await.unwrap();
    assert_eq!(head.phase, Phase::Ready);
    assert_eq!(head.epoch, Epoch::FIRST);
    assert_eq!(
        count(&store.pool, "SELECT COUNT(*) FROM nodes").await,
        i64::from(PLACES)
    );
    assert_eq!(
        store.node(Place::SERVICE).await.unwrap(),
        Some(node(Place::SERVICE))
    );
    assert_eq!(
        store.node(Place::new(513).unwrap()).await.unwrap(),
        Some(node(Place::new(513).unwrap()))
    );
}

async fn kek_inserted_is_read_back_as_written(url: &StoreUrl) {
    let store = initialised(url).await;
    let tenant = TenantId::random().unwrap();
    assert_eq!(store.active_kek(tenant).await.unwrap(), None);
    let (row, leaf) = kek(tenant, 1);
    assert_eq!(
        store.insert_kek(&row, &leaf).await.unwrap(),
        InsertKek::Inserted
    );
    assert_eq!(
        store.kek(row.info.kek_id).await.unwrap().as_ref(),
        Some(&row)
    );
    assert_eq!(store.active_kek(tenant).await.unwrap().as_ref(), Some(&row));
    assert_eq!(store.keks(tenant).await.unwrap(), vec![row.info]);
    assert_eq!(store.kek(KekId::random().unwrap()).await.unwrap(), None);
    assert_eq!(
        count(
            &store.pool,
            "SELECT COUNT(*) FROM log_entries WHERE log_index IS NULL"
        )
        .await,
        1
    );
}

async fn first_version_twice_is_taken(url: &StoreUrl) {
    let store = initialised(url).await;
    let tenant = TenantId::random().unwrap();
    let (first, leaf) = kek(tenant, 1);
    let (second, _) = kek(tenant, 1);
    let (one, two) = tokio::join!(
        store.insert_kek(&first, &leaf),
        store.insert_kek(&second, &leaf)
    );
    let mut outcomes = [one.unwrap(), two.unwrap()];
    outcomes.sort_by_key(|outcome| *outcome != InsertKek::Inserted);
    assert_eq!(outcomes, [InsertKek::Inserted, InsertKek::VersionTaken]);
    assert_eq!(store.keks(tenant).await.unwrap().len(), 1);
    assert_eq!(
        count(
            &store.pool,
            "SELECT COUNT(*) FROM log_entries WHERE log_index IS NULL"
        )
        .await,
        1
    );
}

async fn rotation_makes_the_previous_version_decrypt_only(url: &StoreUrl) {
    let store = initialised(url).await;
    let tenant = TenantId::random().unwrap();
    let (first, leaf) = kek(tenant, 1);
    store.insert_kek(&first, &leaf).await.unwrap();
    let (second, leaf) = kek(tenant, 2);
    assert_eq!(
        store.insert_kek(&second, &leaf).await.unwrap(),
        InsertKek::Inserted
    );
    let states: Vec<_> = store
        .keks(tenant)
        .await
        .unwrap()
        .iter()
        .map(|kek| (kek.version, kek.state))
        .collect();
    assert_eq!(states, [(1, KekState::DecryptOnly), (2, KekState::Active)]);
    // A second rotation from version 1, and one from a version that is not there.
    for version in [2, 4] {
        let (row, leaf) = kek(tenant, version);
        assert_eq!(
            store.insert_kek(&row, &leaf).await.unwrap(),
            InsertKek::VersionTaken
        );
    }
    assert_eq!(store.keks(tenant).await.unwrap().len(), 2);
    assert_eq!(store.active_kek(tenant).await.unwrap(), Some(second));
}

async fn kek_under_superseded_node_is_refused(url: &StoreUrl) {
    let store = initialised(url).await;
    let tenant = TenantId::random().unwrap();
    let (row, leaf) = kek(tenant, 1);
    let stale = KekRow {
        generation: FIRST_GENERATION + 1,
        ..row.clone()
    };
    assert_eq!(
        store.insert_kek(&stale, &leaf).await.unwrap(),
        InsertKek::Superseded
    );
    sqlx::query("UPDATE key_store SET epoch = 2")
        .execute(&store.pool)
        .await
        .unwrap();
    assert_eq!(
        store.insert_kek(&row, &leaf).await.unwrap(),
        InsertKek::Superseded
    );
    assert_eq!(store.keks(tenant).await.unwrap(), vec![]);
    assert_eq!(
        count(
            &store.pool,
            "SELECT COUNT(*) FROM log_entries WHERE log_index IS NULL"
        )
        .await,
        0
    );
}

/// What a later move of the root relies on: either the KEK is in before and stops the node's deletion, or it is out.
async fn node_with_kek_cannot_be_deleted(url: &StoreUrl) {
    let store = initialised(url).await;
    let (row, leaf) = kek(TenantId::random().unwrap(), 1);
    store.insert_kek(&row, &leaf).await.unwrap();
    let place = i64::from(row.place.number());
    let delete = "DELETE FROM nodes WHERE place = $1";
    assert!(
        sqlx::query(delete)
            .bind(place)
            .execute(&store.pool)
            .await
            .is_err()
    );
    let (other, leaf) = kek(TenantId::random().unwrap(), 1);
    let place = i64::from(other.place.number());
    assert_ne!(other.place, row.place, "a 1-in-1,024 chance: run again");
    sqlx::query(delete)
        .bind(place)
        .execute(&store.pool)
        .await
        .unwrap();
    assert_eq!(
        store.insert_kek(&other, &leaf).await.unwrap(),
        InsertKek::Superseded
    );
}

async fn renewal_reports_fences_in_order(url: &StoreUrl) {
    let store = initialised(url).await;
    let gateway = GatewayId::random().unwrap();
    let renewal = |fence, known| Renewal {
        gateway,
        epoch: Epoch(1),
        fence,
        lease_ms: 300_000,
        renewed_ms: 9,
        known,
    };
    let renewed = store.renew(&renewal(0, 0)).await.unwrap();
    assert_eq!(
        renewed,
        Some(Renewed {
            renewals: 1,
            identity: IDENTITY,
            epoch: Epoch(1),
            fence: 0,
            fences: vec![]
        })
    );
    let tenant = TenantId::random().unwrap();
    assert_eq!(
        store
            .raise_fence(FenceScope::Tenant(tenant), 1)
            .await
            .unwrap(),
        1
    );
    assert_eq!(store.raise_fence(FenceScope::Nodes, 1).await.unwrap(), 2);
    let expected = [
        FenceRow {
            fence: 1,
            scope: FenceScope::Tenant(tenant),
        },
        FenceRow {
            fence: 2,
            scope: FenceScope::Nodes,
        },
    ];
    let renewed = store.renew(&renewal(0, 1)).await.unwrap().unwrap();
    assert_eq!(
        (renewed.fence, renewed.fences.as_slice()),
        (2, &expected[..])
    );
    // The answer to the one before was lost, or to all of them: neither makes another row.
    let renewed = store.renew(&renewal(1, 1)).await.unwrap().unwrap();
    assert_eq!(renewed.fences, expected[1..]);
    let renewed = store.renew(&renewal(2, 0)).await.unwrap().unwrap();
    assert_eq!(renewed.fences, []);
    let row = GatewayRow {
        gateway,
        epoch: Epoch(1),
        fence: 2,
        lease_ms: 300_000,
        renewals: 4,
        renewed_ms: 9,
    };
    assert_eq!(store.gateways().await.unwrap(), [row]);
    store.release(gateway).await.unwrap();
    assert_eq!(store.gateways().await.unwrap(), []);
}

async fn renewal_of_a_row_that_is_gone_makes_none(url: &StoreUrl) {
    let store = initialised(url).await;
    let gateway = GatewayId::random().unwrap();
    let renewal = |known| Renewal {
        gateway,
        epoch: Epoch(1),
        fence: 0,
        lease_ms: 300_000,
        renewed_ms: 9,
        known,
    };
    let mut known = 0;
    for expected in 1..=3 {
        known = store
            .renew(&renewal(known))
            .await
            .unwrap()
            .unwrap()
            .renewals;
        assert_eq!(known, expected);
    }
    assert!(!store.forget_gateway(gateway, 2).await.unwrap());
    assert!(store.forget_gateway(gateway, 3).await.unwrap());
    for _ in 0..5 {
        assert_eq!(store.renew(&renewal(known)).await.unwrap(), None);
        assert_eq!(store.gateways().await.unwrap(), []);
    }
    // One that was on its way since before the first answer makes a row, which is not the one that is known.
    assert!(store.renew(&renewal(0)).await.unwrap().is_some());
    assert_eq!(store.renew(&renewal(known)).await.unwrap(), None);
    assert_eq!(store.renew(&renewal(0)).await.unwrap().unwrap().renewals, 2);
}

async fn fences_raised_at_once_get_different_numbers(url: &StoreUrl) {
    let store = Arc::new(initialised(url).await);
    let raised: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.raise_fence(FenceScope::Nodes, 1).await.unwrap() })
        })
        .collect();
    let mut numbers = Vec::new();
    for task in raised {
        numbers.push(task.await.unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=8).collect::<Vec<_>>());
}

async fn schema_outside_the_range_is_refused(url: &StoreUrl) {
    let store = initialised(url).await;
    sqlx::query("UPDATE _sqlx_migrations SET version = 1999 WHERE version = (SELECT MAX(version) FROM _sqlx_migrations)")
        .execute(&store.pool)
        .await
        .unwrap();
    assert!(store.head().await.is_ok(), "an additive schema was refused");
    sqlx::query("UPDATE _sqlx_migrations SET version = 2000 WHERE version = 1999")
        .execute(&store.pool)
        .await
        .unwrap();
    assert_eq!(store.head().await, Err(StoreError::Schema(2000)));
}

async fn migration_brings_an_older_schema_forward_and_leaves_a_newer_one(url: &StoreUrl) {
    let store = open(url);
    assert_eq!(store.migrate_schema().await, Err(StoreError::Missing));
    if let StoreUrl::Sqlite { path } = url {
        assert!(!path.exists(), "a migration made a key store");
        pool::create_sqlite_file(path).unwrap();
    }
    // What the first version of this program left.
    let mut oldest = store.migrator();
    let newest = oldest.iter().last().unwrap().version;
    oldest.migrations = oldest.migrations[..1].to_vec().into();
    oldest.run(&store.pool).await.unwrap();
    let (one, two) = tokio::join!(store.migrate_schema(), store.migrate_schema());
    assert_eq!((one, two), (Ok(newest), Ok(newest)));
    store.begin_init(IDENTITY, "eu", 1).await.unwrap();
    assert!(store.head().await.is_ok());
    let of_a_newer_program = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                              SELECT $1, description, success, checksum, execution_time FROM _sqlx_migrations LIMIT 1";
    for (version, outcome) in [(1_998, Ok(1_998)), (2_000, Err(StoreError::Schema(2_000)))] {
        let insert = sqlx::query(of_a_newer_program).bind(version);
        insert.execute(&store.pool).await.unwrap();
        assert_eq!(store.migrate_schema().await, outcome);
    }
}

async fn injected_faults_do_what_they_say(url: &StoreUrl) {
    let real = Arc::new(initialised(url).await);
    let faults = Arc::new(Faults::default());
    let store = FaultyKeyStore::new(real.clone(), faults.clone());
    let (row, leaf) = kek(TenantId::random().unwrap(), 1);
    faults.inject(Call::StoreInsertKek, Fault::Failed, 1);
    assert!(store.insert_kek(&row, &leaf).await.is_err());
    assert_eq!(real.kek(row.info.kek_id).await.unwrap(), None);
    faults.inject(Call::StoreInsertKek, Fault::FailedButPersisted, 1);
    assert!(store.insert_kek(&row, &leaf).await.is_err());
    assert_eq!(
        real.kek(row.info.kek_id).await.unwrap().as_ref(),
        Some(&row)
    );
    faults.inject(Call::StoreKek, Fault::Lying, 1);
    assert_ne!(
        store.kek(row.info.kek_id).await.unwrap().as_ref(),
        Some(&row)
    );
    assert_eq!(
        store.kek(row.info.kek_id).await.unwrap().as_ref(),
        Some(&row)
    );
}

async fn whole_suite(fresh: &dyn Fn() -> StoreUrl, missing: &StoreUrl) {
    missing_store_is_reported(missing).await;
    init_is_repeatable_and_keeps_the_first_identity(&fresh()).await;
    kek_inserted_is_read_back_as_written(&fresh()).await;
    first_version_twice_is_taken(&fresh()).await;
    rotation_makes_the_previous_version_decrypt_only(&fresh()).await;
    kek_under_superseded_node_is_refused(&fresh()).await;
    node_with_kek_cannot_be_deleted(&fresh()).await;
    renewal_reports_fences_in_order(&fresh()).await;
    renewal_of_a_row_that_is_gone_makes_none(&fresh()).await;
    fences_raised_at_once_get_different_numbers(&fresh()).await;
    schema_outside_the_range_is_refused(&fresh()).await;
    migration_brings_an_older_schema_forward_and_leaves_a_newer_one(&fresh()).await;
    kills::init_killed_at_any_statement_is_finished_by_a_retry(fresh).await;
    kills::kek_killed_at_any_statement_is_whole_or_absent(&fresh()).await;
    injected_faults_do_what_they_say(&fresh()).await;
    moves::pending_kek_seals_when_its_entry_is_recorded(&fresh()).await;
    moves::log_that_is_not_this_stores_is_not_recorded(&fresh()).await;
    moves::move_leaves_the_victims_behind(&fresh()).await;
    moves::move_killed_at_any_statement_is_whole_or_absent(fresh).await;
    moves::export_is_imported_as_it_was(fresh).await;
}

#[tokio::test]
async fn sqlite_store_passes_the_suite() {
    let directory = tempfile::tempdir().unwrap();
    let made = AtomicUsize::new(0);
    let url = |name: String| StoreUrl::Sqlite {
        path: directory.path().join(name).join("keys of 100% #1.db"),
    };
    let fresh = || {
        let name = made.fetch_add(1, Ordering::SeqCst).to_string();
        std::fs::create_dir(directory.path().join(&name)).unwrap();
        url(name)
    };
    whole_suite(&fresh, &url("missing".to_owned())).await;
}

#[tokio::test]
async fn postgres_store_passes_the_suite() {
    let Some(cluster) = postgres::Cluster::start() else {
        return;
    };
    let url = |text: String| text.parse::<StoreUrl>().unwrap();
    whole_suite(&|| url(cluster.database()), &url(cluster.url("nowhere"))).await;
    // A database without a schema is a missing key store, too.
    missing_store_is_reported(&url(cluster.database())).await;
}

#[tokio::test]
async fn postgres_location_is_visible_to_an_unprivileged_role() {
    let Some(cluster) = postgres::Cluster::start() else {
        return;
    };
    let database = cluster.database();
    cluster.sql("postgres", "CREATE ROLE plain LOGIN");
    let plain: StoreUrl = database.replace("lethe@", "plain@").parse().unwrap();
    let identifier = cluster.sql("postgres", POSTGRES_SYSTEM_IDENTIFIER);
    let expected = Location::of_postgres(identifier.parse().unwrap());
    assert_eq!(open(&plain).location().await.unwrap(), expected);
}

const POSTGRES_SYSTEM_IDENTIFIER: &str = crate::location::POSTGRES_SYSTEM_IDENTIFIER_SQL;

#[tokio::test]
async fn sqlite_file_and_settings_are_as_promised() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys.db");
    let store = initialised(&StoreUrl::Sqlite { path: path.clone() }).await;
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let text = sqlx::query_scalar::<_, String>("PRAGMA journal_mode")
        .fetch_one(&store.pool)
        .await
        .unwrap();
    assert_eq!(text, "wal");
    for (pragma, value) in [
        ("PRAGMA synchronous", 2),
        ("PRAGMA foreign_keys", 1),
        ("PRAGMA secure_delete", 1),
        ("PRAGMA busy_timeout", 5000),
    ] {
        assert_eq!(count(&store.pool, pragma).await, value, "{pragma}");
    }
}
