//! Which region serves a request, or a refusal: pure.

mod upstream;

pub use upstream::{PREFIX_BYTES_MAX, upstream_bucket_name};

use crate::tenants::{DomainName, RegionName};
use std::collections::BTreeMap;

/// One region on the map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapRegion {
    /// Its domain.
    pub domain: DomainName,
    /// The region of the same domain for its replicas, where the stores make them: Lethe makes none.
    pub pair: Option<RegionName>,
    /// Whether this gateway serves it.
    pub served: bool,
}

/// One domain on the map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapDomain {
    /// Where clients reach its gateways.
    pub public_endpoint: String,
}

/// Every region and domain that this gateway knows of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Map {
    /// Regions by name.
    pub regions: BTreeMap<RegionName, MapRegion>,
    /// Domains by name.
    pub domains: BTreeMap<DomainName, MapDomain>,
}

/// Where a client should go instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The region that holds what was asked for, where that is known.
    pub region: Option<RegionName>,
    /// The domain that it belongs to.
    pub domain: DomainName,
    /// That domain's endpoint.
    pub public_endpoint: String,
}

/// Why no region of this gateway serves a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another gateway serves it.
    #[error("served at {}", .0.public_endpoint)]
    Elsewhere(Redirect),
    /// The region is on no map.
    #[error("region {0} is not known")]
    RegionUnknown(RegionName),
    /// A bucket may not lie outside its tenant's domain.
    #[error("region {region} is not of the tenant's domain")]
    OutsideDomain {
        /// The region that was asked for.
        region: RegionName,
    },
    /// A bucket lies in its tenant's region or that region's pair, and this is neither.
    #[error("region {region} is neither the tenant's region {home} nor its pair")]
    NotTheTenants {
        /// The region that was asked for.
        region: RegionName,
        /// The tenant's region.
        home: RegionName,
    },
}

impl Map {
    /// The region that serves what lies in `region`.
    ///
    /// The pair holds replicas at most and is never served in its stead: a write there would be a second truth.
    ///
    /// # Errors
    /// [`Refusal::Elsewhere`] with the domain's endpoint when this gateway does not serve it, [`Refusal::RegionUnknown`].
    pub fn serving<'a>(&self, region: &'a RegionName) -> Result<&'a RegionName, Refusal> {
        let known = self.known(region)?;
        if known.served {
            return Ok(region);
        }
        let redirect = self
            .stranger(&known.domain)
            .ok_or_else(|| Refusal::RegionUnknown(region.clone()))?;
        Err(Refusal::Elsewhere(Redirect {
            region: Some(region.clone()),
            ..redirect
        }))
    }

    /// The region where a tenant's new bucket goes. No constraint means the tenant's region.
    ///
    /// # Errors
    /// [`Refusal`] when the constraint names a region that is neither the tenant's nor its pair, or another gateway's.
    pub fn for_new_bucket<'a>(
        &self,
        home: &'a RegionName,
        constraint: Option<&'a RegionName>,
    ) -> Result<&'a RegionName, Refusal> {
        let at_home = self.known(home)?;
        let Some(wanted) = constraint.filter(|wanted| *wanted != home) else {
            return self.serving(home);
        };
        let there = self.known(wanted)?;
        if there.domain != at_home.domain {
            return Err(Refusal::OutsideDomain {
                region: wanted.clone(),
            });
        }
        if at_home.pair.as_ref() != Some(wanted) {
            return Err(Refusal::NotTheTenants {
                region: wanted.clone(),
                home: home.clone(),
            });
        }
        self.serving(wanted)
    }

    /// Where a stranger goes whose key the directory places in a domain.
    #[must_use]
    pub fn stranger(&self, domain: &DomainName) -> Option<Redirect> {
        self.domains.get(domain).map(|known| Redirect {
            region: None,
            domain: domain.clone(),
            public_endpoint: known.public_endpoint.clone(),
        })
    }

    /// The domain of a region.
    #[must_use]
    pub fn domain_of(&self, region: &RegionName) -> Option<&DomainName> {
        self.regions.get(region).map(|known| &known.domain)
    }

    fn known(&self, region: &RegionName) -> Result<&MapRegion, Refusal> {
        self.regions
            .get(region)
            .ok_or_else(|| Refusal::RegionUnknown(region.clone()))
    }
}

#[cfg(test)]
mod tests;
