//! Opens everything that a configuration names and puts the gateway together.

use super::error::CommandError;
use super::log_store;
use super::regions::{self, EFFECTIVE_POLL, Probe};
use super::stores::{self, OpenDomain};
use crate::admin::{Admin, AdminDomain, AdminLimits, AdminRegion, BackendKind, Effective};
use crate::catalog::{CacheOptions, CachedCatalog, Catalog, CatalogError, Revision};
use crate::clock::Clock;
use crate::config::{Backend, Config};
use crate::directory::{Directory, SqlDirectory};
use crate::jobs::{JobDomain, JobRegion};
use crate::log::LogReader;
use crate::ops::{Domain, Gateway, OpsLimits, Region};
use crate::placement::{Map, MapDomain, MapRegion, upstream_bucket_name};
use crate::region::UpstreamBucket;
use crate::tenants::{DomainName, RegionName, SPOOL_OWNER};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use lethe_keys::KeyService;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A gateway with all that it works with.
pub(super) struct Opened {
    pub(super) gateway: Arc<Gateway>,
    pub(super) admin: Arc<Admin>,
    pub(super) domains: Vec<Arc<JobDomain>>,
    keys: Vec<Arc<KeyService>>,
}

impl Opened {
    /// Gives the key leases back and forgets the keys.
    pub(super) async fn close(self) {
        for keys in &self.keys {
            if let Err(error) = keys.close().await {
                tracing::warn!(domain = %keys.domain(), op = "close", outcome = "failed", %error, "a key lease runs out by itself");
            }
        }
    }
}

/// A change is effective on this gateway once its own cache has applied it. With other gateways on the same catalog, theirs poll
/// every second too; waiting for their acknowledgements belongs here.
struct OwnCache(Arc<CachedCatalog>);

#[async_trait]
impl Effective for OwnCache {
    async fn applied(&self, revision: Revision, deadline: Duration) -> Result<(), CatalogError> {
        let until = Instant::now() + deadline;
        while self.0.applied() < revision {
            if Instant::now() >= until {
                return Err(CatalogError::Unavailable {
                    operation: "waiting for the change to be effective",
                    reason: "this gateway has not applied it yet; it does by itself".to_owned(),
                });
            }
            tokio::time::sleep(EFFECTIVE_POLL).await;
        }
        Ok(())
    }
}

/// What is the same for every domain.
struct Shared<'a> {
    config: &'a Config,
    dev: bool,
    clock: Arc<dyn Clock>,
    directory: Arc<dyn Directory>,
}

struct Parts {
    regions: Vec<Region>,
    jobs: Arc<JobDomain>,
    admin: AdminDomain,
    keys: Arc<KeyService>,
}

/// Opens everything; creates nothing.
pub(super) async fn open(
    config: &Config,
    dev: bool,
    metrics: Option<metrics_exporter_prometheus::PrometheusHandle>,
) -> Result<Opened, CommandError> {
    let clock = stores::clock();
    let directory = SqlDirectory::open(&config.directory, &stores::store_options(config)).await?;
    let shared = Shared {
        config,
        dev,
        clock: clock.clone(),
        directory: Arc::new(directory),
    };
    let mut served: BTreeMap<&DomainName, Vec<&RegionName>> = BTreeMap::new();
    for name in &config.serves {
        if let Some(region) = config.regions.get(name) {
            served.entry(&region.domain).or_default().push(name);
        }
    }
    let (mut regions, mut domains, mut jobs, mut keys) =
        (Vec::new(), BTreeMap::new(), Vec::new(), Vec::new());
    for (name, of_domain) in served {
        let parts = open_parts(&shared, name, &of_domain).await?;
        regions.extend(parts.regions);
        domains.insert(name.clone(), parts.admin);
        jobs.push(parts.jobs);
        keys.push(parts.keys);
    }
    let limits = OpsLimits {
        buckets_max: config.limits.buckets_max,
    };
    let gateway = Gateway::new(
        regions,
        map(config),
        shared.directory,
        clock.clone(),
        limits,
    )
    .map_err(|error| CommandError::Failed(error.to_string()))?;
    let admin = Admin {
        domains,
        principals: ArcSwap::from_pointee(config.principals.clone()),
        clock,
        limits: AdminLimits {
            drain_deadline: config.limits.drain_deadline,
            ..AdminLimits::default()
        },
        metrics,
    };
    Ok(Opened {
        gateway: Arc::new(gateway),
        admin: Arc::new(admin),
        domains: jobs,
        keys,
    })
}

fn map(config: &Config) -> Map {
    let regions = config.regions.iter().map(|(name, region)| {
        let entry = MapRegion {
            domain: region.domain.clone(),
            pair: region.pair.clone(),
            served: config.serves.contains(name),
        };
        (name.clone(), entry)
    });
    let domains = config.domains.iter().map(|(name, domain)| {
        let public_endpoint = domain.public_endpoint.clone();
        (name.clone(), MapDomain { public_endpoint })
    });
    Map {
        regions: regions.collect(),
        domains: domains.collect(),
    }
}

async fn open_parts(
    shared: &Shared<'_>,
    name: &DomainName,
    of_domain: &[&RegionName],
) -> Result<Parts, CommandError> {
    let config = shared.config;
    let (domain_config, stores) = stores::domain_stores(config, name)?;
    let OpenDomain { catalog, keys } = stores::open_domain(config, name, shared.dev).await?;
    let options = CacheOptions {
        lease: stores.lease,
        ..CacheOptions::default()
    };
    let cached = CachedCatalog::start(catalog.clone(), shared.clock.clone(), options).await?;
    let cached = Arc::new(cached);
    let domain = Arc::new(Domain {
        name: name.clone(),
        public_endpoint: domain_config.public_endpoint.clone(),
        catalog: cached.clone(),
        keys: keys.clone(),
    });
    let (mut regions, mut job_regions, mut admin_regions) =
        (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for region in of_domain {
        let (region, pair, backend) = open_region(shared, region, &domain, &catalog).await?;
        let job_region = JobRegion {
            store: region.store.clone(),
            spool: region.spool.clone(),
        };
        job_regions.insert(region.name.clone(), job_region);
        let kind = match backend {
            Backend::Embedded { .. } => BackendKind::Embedded,
            Backend::S3(_) => BackendKind::S3,
        };
        let probe = Probe {
            name: region.name.clone(),
            backend,
            limits: config.limits,
            catalog: catalog.clone(),
            store: region.store.clone(),
            clock: shared.clock.clone(),
        };
        let admin_region = AdminRegion {
            pair,
            backend: kind,
            probe: Arc::new(probe),
        };
        admin_regions.insert(region.name.clone(), admin_region);
        regions.push(region);
    }
    let jobs = Arc::new(JobDomain {
        name: name.clone(),
        catalog,
        keys: keys.clone(),
        directory: shared.directory.clone(),
        regions: job_regions,
        clock: shared.clock.clone(),
        upload_idle_days: config.limits.upload_idle_days,
    });
    let admin = AdminDomain {
        stores: jobs.clone(),
        jurisdiction: domain_config.jurisdiction.clone(),
        public_endpoint: domain_config.public_endpoint.clone(),
        regions: admin_regions,
        effective: Arc::new(OwnCache(cached)),
        log: log_store::open(config, name, stores)
            .await?
            .map(|log| -> Arc<dyn LogReader> { log }),
    };
    Ok(Parts {
        regions,
        jobs,
        admin,
        keys,
    })
}

async fn open_region(
    shared: &Shared<'_>,
    name: &RegionName,
    domain: &Arc<Domain>,
    catalog: &Arc<dyn Catalog>,
) -> Result<(Region, Option<RegionName>, Backend), CommandError> {
    let config = shared.config;
    let region = config.regions.get(name);
    let (pair, backend) = region
        .and_then(|region| Some((region.pair.clone(), region.backend.clone()?)))
        .ok_or_else(|| CommandError::Usage(format!("region {name} has no backend")))?;
    let store = regions::open(
        catalog.as_ref(),
        name,
        &backend,
        &config.limits,
        &config.file,
    )
    .await?;
    let bucket_prefix = match &backend {
        Backend::Embedded { .. } => "lethe".to_owned(),
        Backend::S3(backend) => backend.bucket_prefix.clone(),
    };
    let spool = catalog.spool_bucket(name, &draw(&bucket_prefix)?).await?;
    store.create_bucket(SPOOL_OWNER, &spool).await?;
    let region = Region {
        name: name.clone(),
        domain: domain.clone(),
        store,
        spool,
        bucket_prefix,
    };
    Ok((region, pair, backend))
}

fn draw(prefix: &str) -> Result<UpstreamBucket, CommandError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)
        .map_err(|_| CommandError::Failed("the system has no randomness".to_owned()))?;
    Ok(upstream_bucket_name(prefix, random))
}
