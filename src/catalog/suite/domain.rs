use super::World;
use super::fixtures::{
    NOW, assert_refused, bucket_name, key_id, new_bucket, new_credential, new_tenant, region,
};
use crate::catalog::database::Statement;
use crate::catalog::{BucketState, Change, RegionCheck, Revision, StoreIdentities};
use crate::region::{KeyRules, RegionProfile, UpstreamBucket};
use crate::tenants::TenantState;
use futures::future::join_all;

pub(super) async fn identities_are_recorded_once(world: &World) {
    let catalog = &world.catalog;
    assert_refused!(catalog.identities().await, NotFound);
    let mut identities = StoreIdentities {
        catalog: world.sql.identity(),
        key_store: [2; 16],
    };
    assert_ne!(identities.catalog, [0; 16]);
    catalog.record_identities(&identities).await.unwrap();
    catalog.record_identities(&identities).await.unwrap();
    assert_eq!(catalog.identities().await.unwrap(), identities);
    identities.key_store = [3; 16];
    let refused = catalog.record_identities(&identities).await;
    assert_refused!(refused, Conflict);
    identities.key_store = [2; 16];
    identities.catalog = [9; 16];
    let refused = catalog.record_identities(&identities).await;
    assert_refused!(refused, Conflict);
}

pub(super) async fn region_identity_and_spool_bucket_are_recorded_once(world: &World) {
    let catalog = &world.catalog;
    let region = region();
    assert_refused!(catalog.region_identity(&region).await, NotFound);
    let proposals = (0..8).map(|number| {
        let proposed = UpstreamBucket::from_catalog(format!("spool-{number}"));
        let catalog = if number % 2 == 0 {
            world.catalog.clone()
        } else {
            world.other.clone()
        };
        async move {
            let region = super::fixtures::region();
            catalog.spool_bucket(&region, &proposed).await.unwrap()
        }
    });
    let mut recorded = join_all(proposals).await;
    recorded.dedup();
    assert_eq!(recorded.len(), 1, "{recorded:?}");
    // The spool bucket's row is no identity.
    assert_refused!(catalog.region_identity(&region).await, NotFound);
    catalog.record_region(&region, [1; 16]).await.unwrap();
    catalog.record_region(&region, [1; 16]).await.unwrap();
    let refused = catalog.record_region(&region, [2; 16]).await;
    assert_refused!(refused, Conflict);
    assert_eq!(catalog.region_identity(&region).await.unwrap(), [1; 16]);
}

fn check(missing: &[&str]) -> RegionCheck {
    RegionCheck {
        checked: NOW,
        profile: RegionProfile {
            conditional_put: true,
            conditional_complete: true,
            conditional_copy: false,
            conditional_delete: true,
            equal_parts: false,
            versioning: true,
            tagging: true,
            keys: KeyRules::all(),
            put_checksum: false,
            put_checksum_trailer: false,
            object_lock: false,
            object_lock_copy: false,
            lifecycle: std::collections::BTreeSet::new(),
            content_disposition_bytes_max: 2_000,
            user_metadata_bytes_max: 2_048,
            version_paging: None,
        },
        missing: missing.iter().map(|text| (*text).to_owned()).collect(),
    }
}

pub(super) async fn region_check_is_replaced(world: &World) {
    let catalog = &world.catalog;
    let region = region();
    assert_refused!(catalog.region_check(&region).await, NotFound);
    let first = check(&["conditional \"writes\""]);
    catalog.store_region_check(&region, &first).await.unwrap();
    assert_eq!(catalog.region_check(&region).await.unwrap(), first);
    let second = check(&[]);
    catalog.store_region_check(&region, &second).await.unwrap();
    assert_eq!(catalog.region_check(&region).await.unwrap(), second);
}

pub(super) async fn every_change_is_in_the_revision(world: &World) {
    let catalog = &world.catalog;
    let start = catalog.revision().await.unwrap();
    let none = catalog.changes_since(start).await.unwrap();
    assert_eq!(none, Some(Vec::new()));
    let tenant = new_tenant("acme");
    let key = key_id("AKIAACME");
    let docs = bucket_name("docs");
    let region = region();
    catalog.begin_tenant(&tenant).await.unwrap();
    // A repetition changes nothing and is no revision.
    catalog.begin_tenant(&tenant).await.unwrap();
    let credential = new_credential(tenant.id, "AKIAACME");
    catalog.begin_credential(&credential).await.unwrap();
    catalog.activate_credential(tenant.id, &key).await.unwrap();
    let bucket = new_bucket("docs");
    catalog.begin_bucket(tenant.id, &bucket, 5).await.unwrap();
    catalog
        .move_bucket(
            tenant.id,
            &docs,
            &bucket.upstream,
            &[BucketState::Creating],
            BucketState::Deleting,
        )
        .await
        .unwrap();
    let upstream = &bucket.upstream;
    catalog
        .forget_bucket(tenant.id, &docs, upstream)
        .await
        .unwrap();
    catalog.revoke_credential(tenant.id, &key).await.unwrap();
    catalog
        .move_tenant(tenant.id, &[TenantState::Creating], TenantState::Shredded)
        .await
        .unwrap();
    catalog
        .store_region_check(&region, &check(&[]))
        .await
        .unwrap();
    let changes = catalog.changes_since(start).await.unwrap().unwrap();
    let bucket = Change::Bucket(tenant.id, docs);
    let key = Change::Credential(key);
    let tenant = Change::Tenant(tenant.id);
    let expected = [
        Change::Region(region),
        tenant.clone(),
        key.clone(),
        bucket.clone(),
        bucket.clone(),
        bucket,
        key.clone(),
        key,
        tenant,
    ];
    assert_eq!(changes, expected);
    let end = catalog.revision().await.unwrap();
    assert_eq!(end, Revision(start.0 + 9));
    let last = catalog.changes_since(Revision(end.0 - 1)).await.unwrap();
    assert_eq!(last, Some(expected[..1].to_vec()));
    // A catalog put back to an older state.
    let ahead = catalog.changes_since(Revision(end.0 + 1)).await.unwrap();
    assert_eq!(ahead, None);
    catalog.ping().await.unwrap();
}

pub(super) async fn changes_of_long_ago_are_pruned(world: &World) {
    let catalog = &world.catalog;
    catalog.begin_tenant(&new_tenant("first")).await.unwrap();
    let old = catalog.revision().await.unwrap();
    let before = catalog.changes_since(Revision(0)).await.unwrap();
    assert_eq!(before.map(|changes| changes.len()), Some(1));
    // As if 5,000 changes had come and been pruned.
    let bump = Statement::new("UPDATE domain SET revision = revision + 5000");
    world.sql.run(vec![bump]).await;
    catalog.begin_tenant(&new_tenant("second")).await.unwrap();
    assert_eq!(catalog.changes_since(old).await.unwrap(), None);
    let newest = catalog.revision().await.unwrap();
    let last = catalog.changes_since(Revision(newest.0 - 1)).await.unwrap();
    assert_eq!(last.map(|changes| changes.len()), Some(1));
    let count = Statement::new("SELECT COUNT(*) AS kept FROM changes");
    let rows = world.sql.run(vec![count]).await;
    assert_eq!(rows[0][0].get::<i64>("kept").unwrap(), 1);
}
