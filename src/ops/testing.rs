//! A whole gateway for tests: real catalog, real keys, an embedded region behind faults on demand.

use crate::catalog::{
    Bucket, FaultyCatalog, NewTenant, SqlCatalog, StoreOptions, TenantStore as _,
};
use crate::clock::{Clock, SystemClock, UnixMs};
use crate::directory::SqlDirectory;
use crate::ops::buckets;
use crate::ops::error::OpError;
use crate::ops::gateway::{CopyLimits, Domain, Gateway, OpsLimits, Region};
use crate::ops::scope::{self, Access, BucketScope, TenantScope};
use crate::placement::{Map, MapDomain, MapRegion, upstream_bucket_name};
use crate::region::embedded::EmbeddedStore;
use crate::region::faulty::FaultyStore;
use crate::region::{KeyRules, RegionProfile, RegionStore as _};
use crate::tenants::access::{Ask, Authorized, Grant, Operation, decide};
use crate::tenants::{AccessKeyId, BucketName, Caller, RegionName, TenantId, TenantState};
use lethe_keys::{KeyService, KeyServiceConfig, RootConfig};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A store that can do everything.
pub fn profile() -> RegionProfile {
    RegionProfile {
        conditional_put: true,
        conditional_complete: true,
        conditional_copy: true,
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
        content_disposition_bytes_max: 2000,
        user_metadata_bytes_max: 2048,
        version_paging: None,
    }
}

/// What the decision lets a credential do in a bucket.
pub fn authorized(caller: &Caller, operation: Operation, bucket: &str) -> Authorized {
    decide(caller, &Ask::to(operation).in_bucket(bucket), UnixMs(0)).unwrap()
}

/// A tenant's bucket, with all of its keys.
pub async fn bucket_scope(
    gateway: &Gateway,
    caller: &Caller,
    bucket: &str,
    access: Access,
) -> Result<BucketScope, OpError> {
    let authorized = authorized(caller, Operation::DeleteObjects, bucket);
    scope::bucket_scope(gateway, &authorized, bucket, access).await
}

/// A tenant that may delete a bucket.
pub fn deletion_scope(gateway: &Gateway, caller: &Caller, bucket: &str) -> TenantScope {
    let authorized = authorized(caller, Operation::DeleteBucket, bucket);
    scope::tenant_scope(gateway, &authorized, Access::Write).unwrap()
}

/// Makes a bucket for a tenant.
pub async fn create_bucket(
    gateway: &Gateway,
    caller: &Caller,
    name: BucketName,
    constraint: Option<&RegionName>,
) -> Result<Bucket, OpError> {
    let authorized = authorized(caller, Operation::CreateBucket, name.as_str());
    buckets::create_bucket(gateway, &authorized, name, constraint).await
}

/// What a test wants otherwise.
pub struct Setup {
    pub key_clock: Arc<dyn lethe_keys::Clock>,
    pub clock: Arc<dyn Clock>,
    pub copies: CopyLimits,
    pub complete_lease: Option<Duration>,
    /// A store that says that it has object lock, and lets every lock be changed.
    pub lax_locks: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            key_clock: Arc::new(lethe_keys::SystemClock),
            clock: Arc::new(SystemClock),
            copies: CopyLimits::default(),
            complete_lease: None,
            lax_locks: false,
        }
    }
}

/// A gateway with tenants `acme` and `globex`, each with a bucket `docs`.
pub struct Testbed {
    pub gateway: Arc<Gateway>,
    pub store: FaultyStore,
    pub catalog: Arc<FaultyCatalog>,
    pub acme: Caller,
    pub globex: Caller,
    dir: tempfile::TempDir,
}

impl Testbed {
    pub async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    pub async fn with(setup: Setup) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for sub in ["keys", "catalog", "directory"] {
            std::fs::create_dir(path(sub)).unwrap();
        }
        let url = |name: &str| format!("sqlite:{}", path(name).display());
        let mut config = KeyServiceConfig::new(
            "eu".parse().unwrap(),
            url("keys/keys.db").parse().unwrap(),
            RootConfig::File { dir: path("root") },
        );
        config.dev = true;
        config.log = lethe_keys::Sequencing::None;
        let identity = KeyService::init(&config).await.unwrap();
        let keys = KeyService::open(&config, identity, setup.key_clock)
            .await
            .unwrap();
        let options = StoreOptions::default();
        let catalog = SqlCatalog::create(&url("catalog/catalog.db").parse().unwrap(), &options)
            .await
            .unwrap();
        let directory =
            SqlDirectory::create(&url("directory/directory.db").parse().unwrap(), &options)
                .await
                .unwrap();
        let store = FaultyStore::new(Arc::new(EmbeddedStore::create(&path("region")).unwrap()))
            .claiming(|profile| profile.object_lock = setup.lax_locks);
        let spool = upstream_bucket_name("lethe", [9; 16]);
        let acme = Self::tenant(&catalog, &keys, "acme", 1).await;
        let globex = Self::tenant(&catalog, &keys, "globex", 2).await;
        store
            .create_bucket(crate::tenants::SPOOL_OWNER, &spool)
            .await
            .unwrap();
        let catalog = Arc::new(FaultyCatalog::new(Arc::new(catalog)));
        let domain = Domain {
            name: "eu".parse().unwrap(),
            public_endpoint: "https://s3.eu.example.com".to_owned(),
            catalog: Arc::<FaultyCatalog>::clone(&catalog),
            keys,
        };
        let region = Region {
            name: "eu-central-1".parse().unwrap(),
            domain: Arc::new(domain),
            store: Arc::new(store.clone()),
            spool,
            bucket_prefix: "lethe".to_owned(),
        };
        let gateway = Gateway::new(
            vec![region],
            Self::map(),
            Arc::new(directory),
            setup.clock,
            OpsLimits { buckets_max: 100 },
        );
        let mut gateway = gateway.unwrap();
        gateway.copies = setup.copies;
        if let Some(lease) = setup.complete_lease {
            gateway.complete_lease = lease;
        }
        let gateway = Arc::new(gateway);
        let testbed = Self {
            gateway,
            store,
            catalog,
            acme,
            globex,
            dir,
        };
        for caller in [&testbed.acme, &testbed.globex] {
            let docs = BucketName::new("docs").unwrap();
            create_bucket(&testbed.gateway, caller, docs, None)
                .await
                .unwrap();
        }
        testbed
    }

    /// Every file of catalog, keys and region.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut directories = vec![self.dir.path().to_owned()];
        let mut files = Vec::new();
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => directories.push(path),
                    false => files.push(path),
                }
            }
        }
        files
    }

    fn map() -> Map {
        let region = MapRegion {
            domain: "eu".parse().unwrap(),
            pair: None,
            served: true,
        };
        let domain = MapDomain {
            public_endpoint: "https://s3.eu.example.com".to_owned(),
        };
        Map {
            regions: [("eu-central-1".parse().unwrap(), region)].into(),
            domains: [("eu".parse().unwrap(), domain)].into(),
        }
    }

    async fn tenant(catalog: &SqlCatalog, keys: &KeyService, name: &str, id: u8) -> Caller {
        let new = NewTenant {
            id: TenantId::from_bytes([id; 16]),
            name: name.parse().unwrap(),
            region: "eu-central-1".parse().unwrap(),
            created: SystemClock.now(),
        };
        catalog.begin_tenant(&new).await.unwrap();
        keys.create_tenant_keys(new.id).await.unwrap();
        catalog
            .move_tenant(new.id, &[TenantState::Creating], TenantState::Active)
            .await
            .unwrap();
        let tenant = catalog.tenant(new.id).await.unwrap();
        Caller {
            tenant,
            access_key_id: AccessKeyId::new(format!("AKID{name}")).unwrap(),
            grant: Arc::new(Grant::unrestricted()),
        }
    }
}
