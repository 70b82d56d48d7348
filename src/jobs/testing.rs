//! A domain on real stores whose every call can fail, for tests of what is cut off in the middle.

use super::{JobDomain, JobRegion, Runner, RunnerSettings, TenantKeys};
use crate::catalog::{Fault, FaultKind, FaultyCatalog, JobStore as _, SqlCatalog, StoreOptions};
use crate::clock::{ManualClock, UnixMs};
use crate::directory::{Directory, DirectoryError, SqlDirectory};
use crate::region::embedded::{EmbeddedOptions, EmbeddedStore};
use crate::region::faulty::FaultyStore;
use crate::region::{RegionStore, UpstreamBucket};
use crate::tenants::{AccessKeyId, DomainName, RegionName, SPOOL_OWNER, TenantId};
use async_trait::async_trait;
use lethe_envelope::KekId;
use lethe_keys::{Epoch, KekInfo, KekState, KeysError, LeaseState};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use zeroize::Zeroizing;

/// A switch in front of a store: how many more calls it carries out, and whether the first that fails was carried out.
#[derive(Default)]
pub(crate) struct Fuse(Mutex<Option<(u32, bool)>>);

impl Fuse {
    pub(crate) fn blow_after(&self, calls: u32, persisted: bool) {
        *self.0.lock().unwrap() = Some((calls, persisted));
    }

    pub(crate) fn mend(&self) {
        *self.0.lock().unwrap() = None;
    }

    /// Whether to carry the call out, and whether to answer it.
    pub(crate) fn next(&self) -> (bool, bool) {
        match &mut *self.0.lock().unwrap() {
            None => (true, true),
            Some((0, persisted)) => (std::mem::take(persisted), false),
            Some((left, _)) => {
                *left -= 1;
                (true, true)
            }
        }
    }
}

/// Keys in memory.
#[derive(Default)]
pub(crate) struct MemoryKeys {
    pub(crate) keks: Mutex<BTreeMap<TenantId, u32>>,
    pub(crate) fuse: Fuse,
}

impl MemoryKeys {
    fn info(version: u32) -> KekInfo {
        KekInfo {
            kek_id: KekId::from_bytes([version as u8; 16]),
            version,
            commitment: [0; 32],
            state: KekState::Active,
            created_ms: 0,
        }
    }

    fn guard<T>(&self, work: impl FnOnce() -> T) -> Result<T, KeysError> {
        let (carried_out, answered) = self.fuse.next();
        let done = carried_out.then(work);
        match (done, answered) {
            (Some(done), true) => Ok(done),
            _ => Err(KeysError::LeaseEnded),
        }
    }
}

fn binding(tenant: &TenantId, id: &AccessKeyId) -> Vec<u8> {
    [tenant.as_bytes(), id.as_str().as_bytes()].concat()
}

#[async_trait]
impl TenantKeys for MemoryKeys {
    async fn create_tenant_keys(&self, tenant: TenantId) -> Result<KekInfo, KeysError> {
        self.guard(|| Self::info(*self.keks.lock().unwrap().entry(tenant).or_insert(1)))
    }

    async fn rotate(&self, tenant: TenantId) -> Result<KekInfo, KeysError> {
        self.guard(|| {
            let mut keks = self.keks.lock().unwrap();
            let version = keks
                .get_mut(&tenant)
                .ok_or(KeysError::TenantUnknown { tenant })?;
            *version += 1;
            Ok(Self::info(*version))
        })?
    }

    async fn list(&self, tenant: TenantId) -> Result<Vec<KekInfo>, KeysError> {
        self.guard(|| {
            let newest = self.keks.lock().unwrap().get(&tenant).copied().unwrap_or(0);
            (1..=newest).map(Self::info).collect()
        })
    }

    async fn seal_credential(
        &self,
        tenant: &TenantId,
        id: &AccessKeyId,
        secret: &[u8],
    ) -> Result<Vec<u8>, KeysError> {
        self.guard(|| {
            let flipped = secret.iter().map(|byte| byte ^ 0xff);
            binding(tenant, id).into_iter().chain(flipped).collect()
        })
    }

    async fn open_credential(
        &self,
        tenant: &TenantId,
        id: &AccessKeyId,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, KeysError> {
        self.guard(|| {
            let flipped = sealed.strip_prefix(binding(tenant, id).as_slice());
            let flipped = flipped.ok_or(KeysError::NotAuthentic)?;
            Ok(Zeroizing::new(
                flipped.iter().map(|byte| byte ^ 0xff).collect(),
            ))
        })?
    }

    fn lease_state(&self) -> LeaseState {
        LeaseState {
            remaining: Some(Duration::from_secs(300)),
            epoch: Epoch(1),
            fence: 0,
            failure: None,
        }
    }

    async fn ping(&self) -> Result<(), KeysError> {
        self.guard(|| ())
    }
}

/// A directory that fails on demand.
pub(crate) struct FusedDirectory {
    pub(crate) inner: Arc<dyn Directory>,
    pub(crate) fuse: Fuse,
}

macro_rules! fused {
    ($self:ident, $operation:literal, $call:expr) => {{
        let (carried_out, answered) = $self.fuse.next();
        let failed = DirectoryError::Unavailable {
            operation: $operation,
            reason: "an injected fault".to_owned(),
        };
        if !carried_out {
            return Err(failed);
        }
        let outcome = $call.await;
        if answered { outcome } else { Err(failed) }
    }};
}

#[async_trait]
impl Directory for FusedDirectory {
    async fn register(&self, key: &AccessKeyId, domain: &DomainName) -> Result<(), DirectoryError> {
        fused!(self, "register", self.inner.register(key, domain))
    }

    async fn domain_of(&self, key: &AccessKeyId) -> Result<Option<DomainName>, DirectoryError> {
        fused!(self, "domain_of", self.inner.domain_of(key))
    }

    async fn forget(&self, key: &AccessKeyId, domain: &DomainName) -> Result<(), DirectoryError> {
        fused!(self, "forget", self.inner.forget(key, domain))
    }

    async fn ping(&self) -> Result<(), DirectoryError> {
        fused!(self, "ping", self.inner.ping())
    }
}

/// A store whose calls a test cuts off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    Catalog,
    Keys,
    Directory,
}

impl Cut {
    pub(crate) const ALL: [Self; 3] = [Self::Catalog, Self::Keys, Self::Directory];
}

/// The domain with its levers.
pub(crate) struct Bench {
    pub(crate) domain: Arc<JobDomain>,
    pub(crate) catalog: Arc<FaultyCatalog>,
    pub(crate) keys: Arc<MemoryKeys>,
    pub(crate) directory: Arc<FusedDirectory>,
    pub(crate) region: Arc<FaultyStore>,
    pub(crate) clock: Arc<ManualClock>,
    _dir: TempDir,
}

pub(crate) const NOW: UnixMs = UnixMs(1_800_000_000_000);

pub(crate) fn eu() -> RegionName {
    "eu-central-1".parse().unwrap()
}

impl Bench {
    pub(crate) async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = |name: &str| {
            format!("sqlite:{}", dir.path().join(name).display())
                .parse()
                .unwrap()
        };
        let options = StoreOptions::default();
        let inner = SqlCatalog::create(&url("catalog.db"), &options)
            .await
            .unwrap();
        let catalog = Arc::new(FaultyCatalog::new(Arc::new(inner)));
        let directory = SqlDirectory::create(&url("directory.db"), &options)
            .await
            .unwrap();
        let directory = Arc::new(FusedDirectory {
            inner: Arc::new(directory),
            fuse: Fuse::default(),
        });
        let keys = Arc::new(MemoryKeys::default());
        let clock = Arc::new(ManualClock::at(NOW));
        let mut options = EmbeddedOptions::default();
        options.clock = clock.clone();
        let region = EmbeddedStore::create_with(&dir.path().join("region"), options).unwrap();
        let region = Arc::new(FaultyStore::new(Arc::new(region)));
        let spool = UpstreamBucket::from_catalog("lethe-spool".to_owned());
        region.create_bucket(SPOOL_OWNER, &spool).await.unwrap();
        let opened = JobRegion {
            store: region.clone(),
            spool,
        };
        let domain = JobDomain {
            name: "eu".parse().unwrap(),
            catalog: catalog.clone(),
            keys: keys.clone(),
            directory: directory.clone(),
            regions: BTreeMap::from([(eu(), opened)]),
            clock: clock.clone(),
            upload_idle_days: 7,
        };
        Self {
            domain: Arc::new(domain),
            catalog,
            keys,
            directory,
            region,
            clock,
            _dir: dir,
        }
    }

    /// From the given call of one store on, every call of every store fails, as for a process that was killed there.
    pub(crate) fn kill_at(&self, cut: Cut, calls: u32, persisted: bool) {
        match cut {
            Cut::Catalog => {
                if persisted {
                    self.catalog.inject(Fault {
                        operation: None,
                        after: calls,
                        times: 1,
                        kind: FaultKind::Persisted,
                    });
                }
                self.catalog.inject(Fault {
                    operation: None,
                    after: if persisted { 0 } else { calls },
                    times: u32::MAX,
                    kind: FaultKind::NotPersisted,
                });
            }
            Cut::Keys => self.keys.fuse.blow_after(calls, persisted),
            Cut::Directory => self.directory.fuse.blow_after(calls, persisted),
        }
    }

    pub(crate) fn heal(&self) {
        self.catalog.heal();
        self.keys.fuse.mend();
        self.directory.fuse.mend();
    }

    /// Runs what is due some minutes later, as another process would.
    pub(crate) async fn jobs_later(&self) {
        self.clock.advance_ms(10 * 60 * 1000);
        let runner = Runner::new(
            self.domain.clone(),
            "later".to_owned(),
            RunnerSettings::default(),
        );
        runner.run_due().await.unwrap();
    }

    /// The jobs that are left besides the sweep, which is never over.
    pub(crate) async fn jobs_left(&self) -> Vec<String> {
        let jobs = self.catalog.jobs(100).await.unwrap();
        let left = jobs.into_iter().filter(|job| job.subject != "uploads");
        left.map(|job| job.subject).collect()
    }
}
