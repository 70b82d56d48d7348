//! What a move of the root costs with many tenants: `make bench-rekey`.

use std::sync::Arc;
use std::time::Duration;

use lethe_envelope::{KekContext, KekId, TenantId, kek_commitment};
use tokio::sync::mpsc;

use super::KeyService;
use super::init::node_context;
use super::open::Backing;
use crate::clock::{Clock, SystemClock};
use crate::config::{KeyServiceConfig, RootConfig, Sequencing, StoreUrl};
use crate::root::NodeToWrap;
use crate::secret::{KeyBytes, NodeKey};
use crate::store::{EntryRecord, Imported, KekRow, NodeRow, Record, StoreRecord};
use crate::testing::cost::{Cost, cost};
use crate::tree::{Epoch, Place};
use crate::types::{CreationEntry, EntrySubject, FenceScope, KekInfo, KekState, KeyStoreIdentity};

const ROWS_PER_PAGE: usize = 1_000;

/// How many tenants; `LETHE_BENCH_TENANTS` names others, `make bench-rekey` a million.
#[allow(
    clippy::disallowed_methods,
    reason = "a benchmark's size, not the program's configuration"
)]
fn tenants() -> Vec<u64> {
    let named = std::env::var("LETHE_BENCH_TENANTS").unwrap_or("1000,100000".to_owned());
    named
        .split(',')
        .map(|count| count.trim().parse().unwrap())
        .collect()
}

fn config(directory: &std::path::Path, store: StoreUrl) -> KeyServiceConfig {
    let dir = directory.join("root");
    let mut config = KeyServiceConfig::new("eu".parse().unwrap(), store, RootConfig::File { dir });
    config.dev = true;
    config.log = Sequencing::None;
    config.deadline = Duration::from_secs(60);
    config.bulk_deadline = Duration::from_secs(6 * 3_600);
    config
}

/// A domain with so many tenants, made as a restore makes one: a million calls would take longer than what is measured.
async fn populated(config: &KeyServiceConfig, tenants: u64) -> (KeyStoreIdentity, TenantId) {
    let backing = Backing::real(config).unwrap();
    super::init::create_directories(config).unwrap();
    let store = backing.store_calls(config);
    let identity = KeyStoreIdentity::random().unwrap();
    store.store.begin_init(identity, "eu", 1).await.unwrap();
    let root = backing.root_calls(config, identity).root;
    root.create_epoch(Epoch::FIRST).await.unwrap();
    let keys: Vec<_> = Place::all()
        .map(|place| (place, NodeKey(KeyBytes::random().unwrap())))
        .collect();
    let to_wrap: Vec<_> = keys
        .iter()
        .map(|(place, key)| NodeToWrap {
            context: node_context("eu", *place, 1),
            key,
        })
        .collect();
    let wrapped = root.wrap(Epoch::FIRST, &to_wrap).await.unwrap();
    let nodes = keys.iter().zip(wrapped).map(|((place, _), wrapped)| {
        Record::Node(Box::new(NodeRow {
            place: *place,
            generation: 1,
            epoch: Epoch::FIRST,
            wrapped,
        }))
    });
    let head = Record::Store(StoreRecord {
        identity,
        domain: "eu".to_owned(),
        epoch: Epoch::FIRST,
        held: false,
        fence: 0,
        entry: tenants,
        log_size: tenants,
        created_ms: 1,
    });
    let (sender, receiver) = mpsc::channel(2);
    let victim = TenantId::random().unwrap();
    let importing = tokio::spawn({
        let store = store.store.clone();
        async move { store.import(receiver).await }
    });
    sender.send(Some(vec![head])).await.unwrap();
    sender.send(Some(nodes.collect())).await.unwrap();
    let mut page = Vec::new();
    for number in 0..tenants {
        let tenant = if number == 0 {
            victim
        } else {
            TenantId::random().unwrap()
        };
        page.extend(tenant_records(&keys, tenant, number));
        if page.len() >= ROWS_PER_PAGE {
            sender.send(Some(std::mem::take(&mut page))).await.unwrap();
        }
    }
    sender.send(Some(page)).await.unwrap();
    sender.send(None).await.unwrap();
    assert_eq!(importing.await.unwrap(), Ok(Imported::Done));
    assert!(store.store.finish_restore().await.unwrap());
    (identity, victim)
}

fn tenant_records(nodes: &[(Place, NodeKey)], tenant: TenantId, number: u64) -> [Record; 2] {
    let place = Place::of_tenant(tenant);
    let kek_id = KekId::random().unwrap();
    let kek = KeyBytes::random().unwrap();
    let commitment = kek_commitment(kek.expose(), tenant, kek_id);
    let context = KekContext {
        domain: "eu",
        node: place.number(),
        tenant,
        kek_id,
        generation: 1,
    };
    let node = &nodes[usize::from(place.number())].1;
    let wrapped = node.0.wrap(&context.to_bytes(), kek.expose()).unwrap();
    let mut entry = [0; 32];
    entry[..8].copy_from_slice(&number.to_be_bytes());
    let creation = CreationEntry {
        version: 1,
        kek_id,
        commitment,
        nonce: [0; 32],
        previous: [0; 32],
        entry,
        index: Some(number),
    };
    let row = KekRow {
        tenant,
        info: KekInfo {
            kek_id,
            version: 1,
            commitment,
            state: KekState::Active,
            created_ms: 1,
        },
        place,
        generation: 1,
        wrapped,
        leaf_hash: entry,
    };
    let entry = EntryRecord {
        number: number + 1,
        subject: EntrySubject::Kek { tenant, version: 1 },
        entry,
        index: Some(number),
        created_ms: 1,
        creation: Some(creation),
    };
    [Record::Entry(entry), Record::Kek(row)]
}

async fn measure(name: &str, store: StoreUrl, tenants: u64) {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), store);
    let tell = |phase: &str, what: String, cost: &Cost| {
        println!("{name}, {tenants} tenants: {phase}: {what}{cost}");
    };
    let ((identity, victim), spent) = cost(populated(&config, tenants)).await;
    tell("made", String::new(), &spent);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let keys = KeyService::open(&config, identity, clock).await.unwrap();
    keys.raise_fence(FenceScope::Tenant(victim)).await.unwrap();
    let (moved, spent) = cost(keys.rekey(&[victim], Epoch::FIRST)).await;
    let moved = moved.unwrap();
    // T/1024 + 1,025 wraps, but for the chance that tenants fall unevenly.
    assert_eq!((moved.nodes, moved.keks_deleted), (1_025, 1));
    assert!(
        moved.keks_rewrapped <= tenants / 1_024 * 2 + 64,
        "{moved:?}"
    );
    let wraps = moved.nodes + moved.keks_rewrapped;
    let what = format!(
        "{wraps} wraps ({} nodes, {} keks), {} bytes written, ",
        moved.nodes, moved.keks_rewrapped, moved.bytes
    );
    tell("move", what, &spent);
    let backups = crate::BackupDirectory::new(&directory.path().join("backups"));
    std::fs::create_dir(directory.path().join("backups")).unwrap();
    backups.adopt(identity).await.unwrap();
    let (backup, spent) = cost(keys.backup(&backups)).await;
    let backup = backup.unwrap();
    tell("backup", format!("{} bytes, ", backup.bytes), &spent);
    let testing = keys.test_restore(&backups, &backup.name, directory.path());
    let (tested, spent) = cost(testing).await;
    assert_eq!(tested.unwrap().keks, tenants - 1);
    tell("restore test", String::new(), &spent);
    let (opened, spent) = cost(KeyService::open(&config, identity, Arc::new(SystemClock))).await;
    tell("another gateway opens", String::new(), &spent);
    opened.unwrap().close().await.unwrap();
    keys.destroy_epoch(Epoch::FIRST, &backup.sha256)
        .await
        .unwrap();
}

#[tokio::test]
#[ignore = "a benchmark"]
async fn rekey_benchmark_sqlite() {
    for count in tenants() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys.db");
        measure("sqlite", StoreUrl::Sqlite { path }, count).await;
    }
}

#[tokio::test]
#[ignore = "a benchmark"]
async fn rekey_benchmark_postgres() {
    let Some(cluster) = crate::store::postgres::Cluster::start() else {
        return;
    };
    for count in tenants() {
        let store = cluster.database().parse().unwrap();
        measure("postgresql", store, count).await;
    }
}
