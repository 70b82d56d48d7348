use super::{CacheOptions, CachedCatalog};
use crate::catalog::{
    BucketState, BucketStore, Catalog, CatalogError, CredentialState, CredentialStore, DomainStore,
    Fault, FaultKind, FaultyCatalog, NewBucket, NewCredential, NewTenant, SqlCatalog, StoreOptions,
    StoreUrl, TenantStore,
};
use crate::clock::{ManualClock, UnixMs};
use crate::region::UpstreamBucket;
use crate::tenants::{AccessKeyId, BucketName, RegionName, TenantId, TenantName, TenantState};
use lethe_keys::GatewayId;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

mod effect;

/// The gateway of the setup.
const HERE: GatewayId = GatewayId::from_bytes([1; 16]);
const POLL: Duration = Duration::from_millis(50);
/// Longer than a poll may take on a busy machine.
const NOTICED: Duration = Duration::from_millis(1_500);

fn upstream() -> UpstreamBucket {
    UpstreamBucket::from_catalog("lethe-1".to_owned())
}

struct Setup {
    _directory: tempfile::TempDir,
    /// Another gateway's way to the same database.
    elsewhere: Arc<SqlCatalog>,
    faulty: Arc<FaultyCatalog>,
    clock: Arc<ManualClock>,
    cached: CachedCatalog,
    tenant: TenantId,
    key: AccessKeyId,
    bucket: BucketName,
}

/// One tenant with an active credential and an active bucket, nothing of which is cached yet.
async fn setup(options: CacheOptions) -> Setup {
    let directory = tempfile::tempdir().unwrap();
    let url = StoreUrl::Sqlite(directory.path().join("catalog.db"));
    let store = StoreOptions::default();
    let elsewhere = Arc::new(SqlCatalog::create(&url, &store).await.unwrap());
    let below = SqlCatalog::open(&url, &store).await.unwrap();
    let faulty = Arc::new(FaultyCatalog::new(Arc::new(below)));
    let clock = Arc::new(ManualClock::at(UnixMs(1_000_000)));
    let tenant = TenantId::random().unwrap();
    let region = RegionName::new("eu-central-1").unwrap();
    let created = UnixMs(0);
    let new = NewTenant {
        id: tenant,
        name: TenantName::new("acme").unwrap(),
        region: region.clone(),
        created,
    };
    elsewhere.begin_tenant(&new).await.unwrap();
    let from = [TenantState::Creating];
    elsewhere
        .move_tenant(tenant, &from, TenantState::Active)
        .await
        .unwrap();
    let key = AccessKeyId::new("AKIAACME").unwrap();
    elsewhere
        .begin_credential(&NewCredential {
            tenant,
            id: key.clone(),
            sealed_secret: vec![1],
            grant: Arc::new(crate::tenants::access::Grant::unrestricted()),
            created,
        })
        .await
        .unwrap();
    elsewhere.activate_credential(tenant, &key).await.unwrap();
    let bucket = BucketName::new("docs").unwrap();
    let new = NewBucket {
        name: bucket.clone(),
        region,
        upstream: upstream(),
        object_lock: false,
        created,
    };
    elsewhere.begin_bucket(tenant, &new, 9).await.unwrap();
    let from = [BucketState::Creating];
    elsewhere
        .move_bucket(tenant, &bucket, &new.upstream, &from, BucketState::Active)
        .await
        .unwrap();
    let inner: Arc<dyn Catalog> = faulty.clone();
    let cached = CachedCatalog::start(inner, clock.clone(), HERE, options);
    Setup {
        _directory: directory,
        elsewhere,
        faulty,
        clock,
        cached: cached.await.unwrap(),
        tenant,
        key,
        bucket,
    }
}

fn quick() -> CacheOptions {
    CacheOptions {
        poll: POLL,
        ..CacheOptions::default()
    }
}

/// So slow a poll that nothing is evicted by it.
fn never_polling() -> CacheOptions {
    CacheOptions {
        poll: Duration::from_secs(3_600),
        lease: Duration::from_secs(7_200),
        ..CacheOptions::default()
    }
}

async fn applied(setup: &Setup) {
    let wanted = setup.elsewhere.revision().await.unwrap();
    let patience = tokio::time::Instant::now() + NOTICED;
    while setup.cached.applied() < wanted {
        assert!(tokio::time::Instant::now() < patience, "no poll in time");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn hot_rows_asked_again_come_from_memory() {
    let setup = setup(quick()).await;
    for _ in 0..10 {
        setup.cached.credential(&setup.key).await.unwrap();
        setup.cached.tenant(setup.tenant).await.unwrap();
        setup
            .cached
            .bucket(setup.tenant, &setup.bucket)
            .await
            .unwrap();
    }
    assert_eq!(setup.faulty.calls("credential"), 1);
    // The credential's answer brought it.
    assert_eq!(setup.faulty.calls("tenant"), 0);
    assert_eq!(setup.faulty.calls("bucket"), 1);
}

#[tokio::test]
async fn change_of_another_gateway_is_seen_after_a_poll() {
    let setup = setup(quick()).await;
    setup.cached.credential(&setup.key).await.unwrap();
    setup
        .cached
        .bucket(setup.tenant, &setup.bucket)
        .await
        .unwrap();

    setup
        .elsewhere
        .revoke_credential(setup.tenant, &setup.key)
        .await
        .unwrap();
    applied(&setup).await;
    let (credential, _) = setup.cached.credential(&setup.key).await.unwrap();
    assert_eq!(credential.state, CredentialState::Revoked);

    let from = [TenantState::Active];
    setup
        .elsewhere
        .move_tenant(setup.tenant, &from, TenantState::Suspended)
        .await
        .unwrap();
    applied(&setup).await;
    let (_, tenant) = setup.cached.credential(&setup.key).await.unwrap();
    assert_eq!(tenant.state, TenantState::Suspended);

    let from = [BucketState::Active];
    setup
        .elsewhere
        .move_bucket(
            setup.tenant,
            &setup.bucket,
            &upstream(),
            &from,
            BucketState::Deleting,
        )
        .await
        .unwrap();
    applied(&setup).await;
    let bucket = setup
        .cached
        .bucket(setup.tenant, &setup.bucket)
        .await
        .unwrap();
    assert_eq!(bucket.state, BucketState::Deleting);
}

#[tokio::test]
async fn write_through_this_gateway_is_seen_at_once() {
    let setup = setup(never_polling()).await;
    setup.cached.credential(&setup.key).await.unwrap();
    setup
        .cached
        .revoke_credential(setup.tenant, &setup.key)
        .await
        .unwrap();
    let (credential, _) = setup.cached.credential(&setup.key).await.unwrap();
    assert_eq!(credential.state, CredentialState::Revoked);
}

#[tokio::test]
async fn write_that_failed_but_was_persisted_is_seen_at_once() {
    let setup = setup(never_polling()).await;
    setup.cached.credential(&setup.key).await.unwrap();
    setup.faulty.inject(Fault {
        operation: Some("revoke_credential"),
        after: 0,
        times: 1,
        kind: FaultKind::Persisted,
    });
    let outcome = setup
        .cached
        .revoke_credential(setup.tenant, &setup.key)
        .await;
    assert!(matches!(outcome, Err(CatalogError::Unavailable { .. })));
    let (credential, _) = setup.cached.credential(&setup.key).await.unwrap();
    assert_eq!(credential.state, CredentialState::Revoked);
}

#[tokio::test]
async fn answer_older_than_an_eviction_is_not_kept() {
    let setup = setup(never_polling()).await;
    let shared = &setup.cached.shared;
    let asked = shared.entries.count();
    let (old, tenant) = setup.elsewhere.credential(&setup.key).await.unwrap();
    // The revocation and its eviction come between the answer and its caching.
    setup
        .cached
        .revoke_credential(setup.tenant, &setup.key)
        .await
        .unwrap();
    shared.entries.keep_credential(&old, asked).await;
    // Without its tenant the old answer could not serve anyway.
    shared
        .entries
        .keep_tenant(&tenant, shared.entries.count())
        .await;
    let (credential, _) = setup.cached.credential(&setup.key).await.unwrap();
    assert_eq!(credential.state, CredentialState::Revoked);
}

#[tokio::test]
async fn answer_dropped_before_its_check_is_cleared_by_the_next_poll() {
    let setup = setup(never_polling()).await;
    let shared = &setup.cached.shared;
    let (old, tenant) = setup.elsewhere.credential(&setup.key).await.unwrap();
    setup
        .elsewhere
        .revoke_credential(setup.tenant, &setup.key)
        .await
        .unwrap();
    shared.poll().await.unwrap();
    // As if the request had been dropped between caching the old answer and comparing the counts.
    let now = shared.entries.count();
    let settling = super::Settling::new(&shared.unsettled);
    shared.entries.keep_credential(&old, now).await;
    shared.entries.keep_tenant(&tenant, now).await;
    drop(settling);
    let (stale, _) = setup.cached.credential(&setup.key).await.unwrap();
    assert_eq!(stale.state, CredentialState::Active);
    shared.poll().await.unwrap();
    let (fresh, _) = setup.cached.credential(&setup.key).await.unwrap();
    assert_eq!(fresh.state, CredentialState::Revoked);
}

#[tokio::test]
async fn unknown_key_is_remembered_briefly() {
    let options = CacheOptions {
        unknown_for: Duration::from_millis(300),
        ..never_polling()
    };
    let setup = setup(options).await;
    let stranger = AccessKeyId::new("AKIASTRANGER").unwrap();
    for _ in 0..5 {
        let found = setup.cached.credential(&stranger).await;
        assert!(matches!(found, Err(CatalogError::NotFound { .. })));
    }
    assert_eq!(setup.faulty.calls("credential"), 1);
    sleep(Duration::from_millis(400)).await;
    assert!(setup.cached.credential(&stranger).await.is_err());
    assert_eq!(setup.faulty.calls("credential"), 2);
}

#[tokio::test]
async fn catalog_away_past_the_lease_is_unavailable_and_back_it_serves() {
    let setup = setup(quick()).await;
    let (before, _) = setup.cached.credential(&setup.key).await.unwrap();
    setup.faulty.go_away();
    sleep(POLL * 4).await;
    let (during, _) = setup.cached.credential(&setup.key).await.unwrap();
    assert!(before == during);
    // The machine slept: only the wall clock saw it.
    setup.clock.advance_ms(300_001);
    let refused = setup.cached.credential(&setup.key).await;
    assert!(matches!(refused, Err(CatalogError::Unavailable { .. })));
    let refused = setup.cached.bucket(setup.tenant, &setup.bucket).await;
    assert!(matches!(refused, Err(CatalogError::Unavailable { .. })));
    setup.faulty.heal();
    let patience = tokio::time::Instant::now() + NOTICED;
    while setup.cached.credential(&setup.key).await.is_err() {
        assert!(
            tokio::time::Instant::now() < patience,
            "it did not come back"
        );
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn changes_too_long_ago_clear_everything() {
    let setup = setup(quick()).await;
    setup.cached.credential(&setup.key).await.unwrap();
    // The polls fail while the revision runs on and the changes are pruned.
    setup.faulty.go_away();
    sleep(POLL * 3).await;
    setup
        .elsewhere
        .revoke_credential(setup.tenant, &setup.key)
        .await
        .unwrap();
    let forget = crate::catalog::database::Statement::new("DELETE FROM changes");
    setup.elsewhere.run(vec![forget]).await;
    setup.faulty.heal();
    applied(&setup).await;
    let (credential, _) = setup.cached.credential(&setup.key).await.unwrap();
    assert_eq!(credential.state, CredentialState::Revoked);
}

#[tokio::test]
async fn cache_dropped_stops_polling() {
    let setup = setup(quick()).await;
    drop(setup.cached);
    sleep(POLL * 2).await;
    let polls = setup.faulty.calls("revision");
    sleep(POLL * 4).await;
    assert_eq!(setup.faulty.calls("revision"), polls);
}
