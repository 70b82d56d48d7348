//! Opens everything that a configuration names and puts the gateway together.

use super::error::CommandError;
use super::log_store;
use super::logs;
use super::regions::{self, Probe};
use super::shredding::{self, ShredParts};
use super::stores::{self, OpenDomain};
use crate::admin::{Admin, AdminDomain, AdminLimits, AdminRegion, BackendKind};
use crate::catalog::{CacheOptions, CachedCatalog, Catalog};
use crate::clock::Clock;
use crate::config::{Backend, Config};
use crate::directory::{Directory, SqlDirectory};
use crate::jobs::{JobDomain, JobRegion};
use crate::ops::{Domain, Gateway, OpsLimits, Region};
use crate::placement::{Map, MapDomain, MapRegion, upstream_bucket_name};
use crate::region::UpstreamBucket;
use crate::shred::{DomainLog, LoggedKeys, ShredDomain};
use crate::tenants::{DomainName, RegionName, SPOOL_OWNER};
use arc_swap::ArcSwap;
use lethe_keys::KeyService;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A gateway with all that it works with.
pub(super) struct Opened {
    pub(super) gateway: Arc<Gateway>,
    pub(super) admin: Arc<Admin>,
    pub(super) domains: Vec<Arc<JobDomain>>,
    catalogs: Vec<Arc<CachedCatalog>>,
    pub(super) logs: Vec<Arc<DomainLog>>,
    pub(super) shreds: Vec<Arc<ShredDomain>>,
    keys: Vec<Arc<KeyService>>,
}

impl Opened {
    /// Gives the leases on catalogs and key stores back and forgets the keys.
    pub(super) async fn close(self) {
        for catalog in &self.catalogs {
            if let Err(error) = catalog.close().await {
                tracing::warn!(op = "close", outcome = "failed", %error, "a lease on a catalog runs out by itself");
            }
        }
        for keys in &self.keys {
            if let Err(error) = keys.close().await {
                tracing::warn!(domain = %keys.domain(), op = "close", outcome = "failed", %error, "a key lease runs out by itself");
            }
        }
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
    catalog: Arc<CachedCatalog>,
    keys: Arc<KeyService>,
    log: Option<Arc<DomainLog>>,
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
    let (mut regions, mut domains) = (Vec::new(), BTreeMap::new());
    let (mut jobs, mut catalogs, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    let (mut logs, mut shreds) = (Vec::new(), Vec::new());
    for (name, of_domain) in served {
        let parts = open_parts(&shared, name, &of_domain).await?;
        regions.extend(parts.regions);
        shreds.extend(parts.admin.shred.clone());
        logs.extend(parts.log);
        domains.insert(name.clone(), parts.admin);
        jobs.push(parts.jobs);
        catalogs.push(parts.catalog);
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
        catalogs,
        logs,
        shreds,
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
    let OpenDomain { catalog, keys, log } = stores::open_domain(config, name, shared.dev).await?;
    if config.roles.control {
        shredding::look_at_places(name, stores, &keys).await;
    }
    let opened_log = log
        .map(|log| shredding::log(domain_config, &keys, log))
        .transpose()?;
    let options = CacheOptions {
        lease: stores.lease,
        ..CacheOptions::default()
    };
    let (clock, gateway) = (shared.clock.clone(), keys.gateway());
    let cached = CachedCatalog::start(catalog.clone(), clock, gateway, options).await?;
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
        keys: match &opened_log {
            // What it makes is in the log, and seals, when a call returns.
            Some((log, _)) => Arc::new(LoggedKeys {
                keys: keys.clone(),
                log: log.clone(),
            }),
            None => keys.clone(),
        },
        directory: shared.directory.clone(),
        regions: job_regions,
        clock: shared.clock.clone(),
        upload_idle_days: config.limits.upload_idle_days,
    });
    let log = opened_log.as_ref().map(|(log, _)| log.clone());
    let shred = opened_log.and_then(|(log, signing)| {
        let of_domain = ShredParts {
            config: domain_config,
            stores,
            dev: shared.dev,
            jobs: jobs.clone(),
            keys: keys.clone(),
            log,
            signing,
            pairs: pairs(config, name),
        };
        shredding::shreds(of_domain)
    });
    let admin = AdminDomain {
        shred,
        trust: logs::trust_settings(domain_config, shared.dev),
        stores: jobs.clone(),
        jurisdiction: domain_config.jurisdiction.clone(),
        public_endpoint: domain_config.public_endpoint.clone(),
        regions: admin_regions,
        effective: cached.clone(),
        log: log_store::reader(config, name, stores).await?,
    };
    Ok(Parts {
        regions,
        jobs,
        admin,
        catalog: cached,
        keys,
        log,
    })
}

fn pairs(config: &Config, name: &DomainName) -> BTreeMap<RegionName, Option<RegionName>> {
    let regions = config.regions.iter();
    let of_domain = regions.filter(|(_, region)| region.domain == *name);
    of_domain
        .map(|(region, config)| (region.clone(), config.pair.clone()))
        .collect()
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
