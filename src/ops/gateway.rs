//! What every operation works with: the domains and regions that this gateway serves.

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::directory::Directory;
use crate::ops::put_object::STORED_BYTES_MAX;
use crate::ops::trailers::TrailerCache;
use crate::placement::{Map, Refusal};
use crate::region::{RegionStore, UpstreamBucket};
use crate::tenants::{DomainName, RegionName, Tenant};
use lethe_envelope::Engine;
use lethe_keys::KeyService;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// One jurisdiction's catalog and keys.
pub struct Domain {
    /// Its name; bound into every DEK wrap.
    pub name: DomainName,
    /// Where clients reach its gateways.
    pub public_endpoint: String,
    /// Its catalog, cached: entries serve until their lease ends when the catalog is away.
    pub catalog: Arc<dyn Catalog>,
    /// Its keys.
    pub keys: Arc<KeyService>,
}

/// One region that this gateway serves.
pub struct Region {
    /// Its name.
    pub name: RegionName,
    /// Its domain.
    pub domain: Arc<Domain>,
    /// Its store.
    pub store: Arc<dyn RegionStore>,
    /// The upstream bucket of its spooled parts.
    pub spool: UpstreamBucket,
    /// What upstream bucket names begin with.
    pub bucket_prefix: String,
}

/// Bounds on what operations take on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpsLimits {
    /// Buckets of one tenant.
    pub buckets_max: u32,
}

/// Everything that operations work with.
pub struct Gateway {
    domains: BTreeMap<DomainName, Arc<Domain>>,
    regions: BTreeMap<RegionName, Arc<Region>>,
    map: Map,
    directory: Arc<dyn Directory>,
    clock: Arc<dyn Clock>,
    limits: OpsLimits,
    pub(crate) engine: Engine,
    pub(crate) trailers: TrailerCache,
    pub(crate) copies: CopyLimits,
    /// How long a Complete holds its upload without renewing that.
    pub(crate) complete_lease: Duration,
}

/// Long enough that a Complete loses its upload only where its gateway ended, or could not reach the catalog.
const COMPLETE_LEASE: Duration = Duration::from_secs(20);

/// Where upstreams draw the line between one copy and many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CopyLimits {
    /// The largest stored body that one upstream copy takes.
    pub(crate) whole_bytes_max: u64,
    /// Raw bytes of one upstream part copy.
    pub(crate) part_bytes: u64,
}

impl Default for CopyLimits {
    fn default() -> Self {
        Self {
            whole_bytes_max: STORED_BYTES_MAX,
            part_bytes: 1 << 30,
        }
    }
}

/// A gateway whose parts do not fit together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GatewayError {
    /// A region's domain is not the one that the map says.
    #[error("region {region} is not of domain {domain} on the map")]
    Misplaced {
        /// The region.
        region: RegionName,
        /// The domain that it was opened with.
        domain: DomainName,
    },
    /// The map says that a region is served, and it was not opened.
    #[error("region {0} is served on the map but not opened")]
    NotOpened(RegionName),
}

impl Gateway {
    /// Puts a gateway together.
    ///
    /// # Errors
    /// [`GatewayError`] when the regions are not exactly those that the map says are served, each in its domain.
    pub fn new(
        regions: Vec<Region>,
        map: Map,
        directory: Arc<dyn Directory>,
        clock: Arc<dyn Clock>,
        limits: OpsLimits,
    ) -> Result<Self, GatewayError> {
        let mut domains = BTreeMap::new();
        let mut opened = BTreeMap::new();
        for region in regions {
            if map.serving(&region.name).is_err()
                || map.domain_of(&region.name) != Some(&region.domain.name)
            {
                return Err(GatewayError::Misplaced {
                    region: region.name,
                    domain: region.domain.name.clone(),
                });
            }
            domains.insert(region.domain.name.clone(), region.domain.clone());
            opened.insert(region.name.clone(), Arc::new(region));
        }
        let mut served = map.regions.iter().filter(|(_, region)| region.served);
        if let Some((name, _)) = served.find(|(name, _)| !opened.contains_key(name)) {
            return Err(GatewayError::NotOpened(name.clone()));
        }
        Ok(Self {
            domains,
            regions: opened,
            map,
            directory,
            clock,
            limits,
            engine: Engine::fastest(),
            trailers: TrailerCache::new(),
            copies: CopyLimits::default(),
            complete_lease: COMPLETE_LEASE,
        })
    }

    /// The domains that this gateway serves regions of.
    pub fn domains(&self) -> impl Iterator<Item = &Arc<Domain>> {
        self.domains.values()
    }

    /// The regions that this gateway serves.
    pub fn regions(&self) -> impl Iterator<Item = &Arc<Region>> {
        self.regions.values()
    }

    /// A domain that this gateway serves regions of.
    #[must_use]
    pub fn domain(&self, name: &DomainName) -> Option<&Arc<Domain>> {
        self.domains.get(name)
    }

    /// The region that serves what lies in `name`.
    ///
    /// # Errors
    /// [`Refusal`] with where to go instead.
    pub fn region(&self, name: &RegionName) -> Result<&Arc<Region>, Refusal> {
        let serving = self.map.serving(name)?;
        let unknown = || Refusal::RegionUnknown(name.clone());
        self.regions.get(serving).ok_or_else(unknown)
    }

    /// The region where a tenant's new bucket goes.
    ///
    /// # Errors
    /// [`Refusal`] when the constraint is not the tenant's to choose, or another gateway serves it.
    pub fn region_for_new_bucket(
        &self,
        tenant: &Tenant,
        constraint: Option<&RegionName>,
    ) -> Result<&Arc<Region>, Refusal> {
        self.region(self.map.for_new_bucket(&tenant.region, constraint)?)
    }

    /// Every region and domain that this gateway knows of.
    #[must_use]
    pub fn map(&self) -> &Map {
        &self.map
    }

    /// The directory of access keys.
    #[must_use]
    pub fn directory(&self) -> &Arc<dyn Directory> {
        &self.directory
    }

    /// The wall clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Bounds.
    #[must_use]
    pub fn limits(&self) -> OpsLimits {
        self.limits
    }
}
