//! What the inventory of a tenant with many objects costs: `make bench-inventory`.

use super::inventory::{self, InventoryKey};
use super::testing::{OBJECTS, World, upstream};
use crate::jobs::testing::eu;
use crate::jobs::{JobDomain, JobRegion};
use crate::region::testbed::{Testbed, seaweed_profile};
use crate::region::{
    Body, CopyRequest, HeadFields, ObjectRef, PutCondition, PutRequest, RegionStore,
    SourceCondition, UpstreamBucket,
};
use crate::tenants::{ObjectKey, TenantId};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use lethe_envelope::{Header, Kind, ObjectId, SinglePart};
use lethe_keys::testing::cost::cost;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Writes of objects at once.
const WRITES_AT_ONCE: usize = 256;
/// More objects than these are not put into a SeaweedFS: each is a request of its own.
const SEAWEED_OBJECTS_MAX: u64 = 20_000;

/// How many objects; `LETHE_BENCH_OBJECTS` names others, `make bench-inventory` a million.
#[allow(
    clippy::disallowed_methods,
    reason = "a benchmark's size, not the program's configuration"
)]
fn objects() -> Vec<u64> {
    let named = std::env::var("LETHE_BENCH_OBJECTS").unwrap_or("1000,10000".to_owned());
    named
        .split(',')
        .map(|count| count.trim().parse().unwrap())
        .collect()
}

fn head(number: u64) -> HeadFields {
    let header = Header {
        kind: Kind::Single,
        kek_id: lethe_envelope::KekId::from_bytes([1; 16]),
        kek_commitment: [2; 32],
        object_id: ObjectId::from_bytes(u128::from(number).to_be_bytes()),
        wrapped_dek: [3; 104],
        single: Some(SinglePart {
            salt: [4; 24],
            commitment: [5; 32],
            plaintext_bytes: 4,
        }),
        customer_check: None,
    };
    let sealed = "0".repeat(256);
    HeadFields {
        metadata: BTreeMap::from([
            ("header".to_owned(), header.encode()),
            ("metadata".to_owned(), sealed),
        ]),
        ..HeadFields::default()
    }
}

fn at(bucket: &UpstreamBucket, number: u64) -> ObjectRef {
    ObjectRef {
        bucket: bucket.clone(),
        key: ObjectKey::new(format!("reports/{:03}/{number:09}", number % 512)).unwrap(),
    }
}

fn body(number: u64) -> PutRequest {
    PutRequest {
        head: head(number),
        stored_bytes: 4,
        body: Body::Replayable(bytes::Bytes::from_static(b"body")),
        condition: PutCondition::Always,
    }
}

async fn tell(name: &str, domain: &JobDomain, tenant: TenantId, expected: u64) {
    let key = InventoryKey::random().unwrap();
    let taking = inventory::take(domain, tenant, &key, Duration::from_secs(24 * 3600));
    let (found, spent) = cost(taking).await;
    let found = found.unwrap();
    assert!(found.complete, "{found:?}");
    assert_eq!(found.objects, expected);
    let each = spent.cpu.as_secs_f64() * 1e6 / expected as f64;
    println!("{name}, {expected} objects: {spent}, {each:.0} µs cpu an object");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a benchmark"]
async fn inventory_benchmark_embedded() {
    for count in objects() {
        let world = World::open(0).await;
        let (tenant, bucket) = (world.stays, upstream(world.stays));
        let region = &world.bench.region;
        let (from, first) = (at(&bucket, 0), body(0));
        let etag = region.put(tenant, &from, first).await.unwrap().etag;
        // Copies share a body: what is measured is the index.
        let copy = async |number: u64| {
            let request = CopyRequest {
                from: from.clone(),
                from_version: None,
                source: SourceCondition { etag: etag.clone() },
                head: head(number),
                copy_tags: false,
                condition: PutCondition::Always,
            };
            let to = at(&bucket, number);
            region.copy(tenant, &to, &request).await.map(drop)
        };
        let copying = stream::iter(1..count).map(copy);
        let copying = copying.buffer_unordered(WRITES_AT_ONCE);
        copying.try_collect::<()>().await.unwrap();
        let domain = &world.domain.stores;
        tell("embedded", domain, tenant, count + OBJECTS).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a benchmark"]
async fn inventory_benchmark_seaweedfs() {
    let testbed = Testbed::seaweed().await;
    let counts = objects().into_iter();
    let counts: BTreeSet<u64> = counts.map(|count| count.min(SEAWEED_OBJECTS_MAX)).collect();
    for count in counts {
        let world = World::open(0).await;
        let (tenant, bucket) = (world.stays, upstream(world.stays));
        let store: Arc<dyn RegionStore> = Arc::new(testbed.store(seaweed_profile()).await);
        // There already, with the fewer objects of the round before.
        if !store.bucket_exists(tenant, &bucket).await.unwrap() {
            store.create_bucket(tenant, &bucket).await.unwrap();
        }
        let put = async |number: u64| {
            let to = at(&bucket, number);
            store.put(tenant, &to, body(number)).await.map(drop)
        };
        let putting = stream::iter(0..count).map(put).buffer_unordered(16);
        putting.try_collect::<()>().await.unwrap();
        let opened = JobRegion {
            store: store.clone(),
            spool: UpstreamBucket::from_catalog("lethe-spool".to_owned()),
        };
        let stores = &world.domain.stores;
        let domain = JobDomain {
            name: stores.name.clone(),
            catalog: stores.catalog.clone(),
            keys: stores.keys.clone(),
            directory: stores.directory.clone(),
            regions: BTreeMap::from([(eu(), opened)]),
            clock: stores.clock.clone(),
            upload_idle_days: stores.upload_idle_days,
        };
        tell("SeaweedFS", &domain, tenant, count).await;
    }
}
