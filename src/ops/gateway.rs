//! What every operation works with: the domains and regions that this gateway serves.

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::region::{RegionStore, UpstreamBucket};
use crate::tenants::{DomainName, RegionName, TenantId};
use lethe_envelope::{Engine, ObjectId, Trailer};
use lethe_keys::KeyService;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// One jurisdiction: its catalog and its keys.
pub struct Domain {
    /// Its name, bound into every DEK wrap.
    pub name: DomainName,
    /// Its catalog.
    pub catalog: Arc<dyn Catalog>,
    /// Its keys.
    pub keys: Arc<KeyService>,
}

/// One region and its store.
pub struct Region {
    /// Its name.
    pub name: RegionName,
    /// The domain that it belongs to.
    pub domain: DomainName,
    /// The store of sealed bytes.
    pub store: Arc<dyn RegionStore>,
    /// The upstream bucket that holds spooled parts.
    pub spool: UpstreamBucket,
    /// What upstream bucket names begin with.
    pub bucket_prefix: String,
}

/// Bounds that the operations keep.
#[derive(Clone, Copy, Debug)]
pub struct OperationLimits {
    /// Buckets that a tenant may have.
    pub buckets_max: u32,
}

/// Everything that the operations need.
pub struct Gateway {
    domains: BTreeMap<DomainName, Arc<Domain>>,
    regions: BTreeMap<RegionName, Arc<Region>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: OperationLimits,
    pub(crate) engine: Engine,
    pub(crate) trailers: TrailerCache,
}

impl Gateway {
    /// A gateway over these domains and regions.
    #[must_use]
    pub fn new(domains: Vec<Domain>, regions: Vec<Region>, clock: Arc<dyn Clock>, limits: OperationLimits) -> Self {
        Self {
            domains: domains.into_iter().map(|domain| (domain.name.clone(), Arc::new(domain))).collect(),
            regions: regions.into_iter().map(|region| (region.name.clone(), Arc::new(region))).collect(),
            clock,
            limits,
            engine: Engine::fastest(),
            trailers: TrailerCache::new(),
        }
    }

    /// A region that this gateway serves.
    #[must_use]
    pub fn region(&self, name: &RegionName) -> Option<&Arc<Region>> {
        self.regions.get(name)
    }

    /// A domain that this gateway serves.
    #[must_use]
    pub fn domain(&self, name: &DomainName) -> Option<&Arc<Domain>> {
        self.domains.get(name)
    }

    /// Every domain, by name.
    pub fn domains(&self) -> impl Iterator<Item = &Arc<Domain>> {
        self.domains.values()
    }

    /// Every region, by name.
    pub fn regions(&self) -> impl Iterator<Item = &Arc<Region>> {
        self.regions.values()
    }
}

/// Opened trailers of multipart objects. They hold no key; each use follows an unwrap of the object's own DEK, so a shredded
/// tenant's entries answer nothing.
pub(crate) struct TrailerCache(moka::sync::Cache<(TenantId, ObjectId, String), Arc<Trailer>>);

const TRAILER_CACHE_BYTES_MAX: u64 = 32 << 20;
const TRAILER_TTL: Duration = Duration::from_secs(300);

impl TrailerCache {
    fn new() -> Self {
        let cache = moka::sync::Cache::builder()
            .max_capacity(TRAILER_CACHE_BYTES_MAX)
            .weigher(|_, trailer: &Arc<Trailer>| {
                u32::try_from(256 + trailer.parts.len() * 160).unwrap_or(u32::MAX)
            })
            .time_to_live(TRAILER_TTL)
            .build();
        Self(cache)
    }

    pub(crate) fn get(&self, tenant: TenantId, object: ObjectId, etag: &str) -> Option<Arc<Trailer>> {
        self.0.get(&(tenant, object, etag.to_owned()))
    }

    pub(crate) fn put(&self, tenant: TenantId, object: ObjectId, etag: &str, trailer: &Arc<Trailer>) {
        self.0.insert((tenant, object, etag.to_owned()), Arc::clone(trailer));
    }
}
