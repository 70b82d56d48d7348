//! A domain as jobs and the admin API see it.

use super::keys::TenantKeys;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::directory::Directory;
use crate::region::{RegionStore, UpstreamBucket};
use crate::tenants::{DomainName, RegionName};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One region of a domain.
#[derive(Clone)]
pub struct JobRegion {
    /// Its store.
    pub store: Arc<dyn RegionStore>,
    /// The upstream bucket of its spooled parts.
    pub spool: UpstreamBucket,
}

/// A domain's stores, for what spans them.
pub struct JobDomain {
    /// Its name.
    pub name: DomainName,
    /// Its catalog, not cached.
    pub catalog: Arc<dyn Catalog>,
    /// Its keys.
    pub keys: Arc<dyn TenantKeys>,
    /// The global directory.
    pub directory: Arc<dyn Directory>,
    /// Its regions that this gateway serves.
    pub regions: BTreeMap<RegionName, JobRegion>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Days without activity after which an open upload is aborted.
    pub upload_idle_days: u32,
}
