//! What the admin API works with.

use super::error::ApiError;
use super::principal::Principal;
use crate::catalog::{ApprovalMode, CatalogError, Effect, Effective, RegionCheck};
use crate::clock::Clock;
use crate::jobs::JobDomain;
use crate::log::LogReader;
use crate::shred::ShredDomain;
use crate::signing::TrustSettings;
use crate::tenants::{DomainName, RegionName, Tenant, TenantId, TenantName};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Probes a region and stores the outcome (`region check`).
#[async_trait]
pub trait RegionProbe: Send + Sync + 'static {
    /// Runs the check; takes up to minutes.
    ///
    /// # Errors
    /// [`ApiError`] when the region can't be reached or the outcome can't be stored.
    async fn check(&self) -> Result<RegionCheck, ApiError>;
}

/// One region as operators see it.
#[derive(Clone)]
pub struct AdminRegion {
    /// The region that holds its replicas.
    pub pair: Option<RegionName>,
    /// `s3` or `embedded`.
    pub backend: BackendKind,
    /// Its check.
    pub probe: Arc<dyn RegionProbe>,
}

/// A region store's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendKind {
    /// An S3 upstream.
    S3,
    /// On this machine.
    Embedded,
}

impl BackendKind {
    /// As `lethe.toml` spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Embedded => "embedded",
        }
    }
}

/// One domain as operators see it.
pub struct AdminDomain {
    /// Its stores.
    pub stores: Arc<JobDomain>,
    /// Its jurisdiction.
    pub jurisdiction: String,
    /// Where clients reach it.
    pub public_endpoint: String,
    /// Its regions.
    pub regions: BTreeMap<RegionName, AdminRegion>,
    /// When changes are effective.
    pub effective: Arc<dyn Effective>,
    /// What shreds its tenants; absent where the domain's configuration has no key backup, log or signing keys.
    pub shred: Option<Arc<ShredDomain>>,
    /// Who else its trust file names.
    pub trust: TrustSettings,
    /// Its log, where its section names one.
    pub log: Option<Arc<dyn LogReader>>,
}

/// Bounds of the admin API.
#[derive(Clone, Copy, Debug)]
pub struct AdminLimits {
    /// Connections held at once.
    pub connections_max: usize,
    /// How long a client may take no byte of its answers.
    pub write_quiet_max: Duration,
    /// Quick requests served at once; those that take long have places of their own.
    pub requests_max: usize,
    /// Requests served at once that wait for every gateway: suspend, resume, revoke, another grant.
    pub effects_max: usize,
    /// Region checks and backups of key stores served at once.
    pub checks_max: usize,
    /// Bytes of a request's body.
    pub body_bytes_max: usize,
    /// How long a request's body may take to come, before the request has a place.
    pub body_deadline: Duration,
    /// How long a request may take, those below aside.
    pub request_deadline: Duration,
    /// How long suspend, resume and revoke wait for the gateways of the domain: longer than the longest lease, which is 15 minutes.
    pub effect_deadline: Duration,
    /// How long a new credential waits for them: the answer holds its secret, and other gateways remember for a second at most that
    /// there was no such key.
    pub known_deadline: Duration,
    /// How long `region check` may take.
    pub check_deadline: Duration,
    /// How long requests may finish when the gateway stops.
    pub drain_deadline: Duration,
}

impl Default for AdminLimits {
    fn default() -> Self {
        Self {
            connections_max: 256,
            write_quiet_max: Duration::from_secs(30),
            requests_max: 64,
            effects_max: 64,
            checks_max: 8,
            body_bytes_max: 64 << 10,
            body_deadline: Duration::from_secs(10),
            request_deadline: Duration::from_secs(20),
            effect_deadline: Duration::from_secs(920),
            known_deadline: Duration::from_secs(3),
            check_deadline: Duration::from_secs(600),
            drain_deadline: Duration::from_secs(10),
        }
    }
}

/// Everything that the admin API works with.
pub struct Admin {
    /// The domains that this gateway serves.
    pub domains: BTreeMap<DomainName, AdminDomain>,
    /// Who may act; reloaded with the configuration.
    pub principals: ArcSwap<Vec<Principal>>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Bounds.
    pub limits: AdminLimits,
    /// Renders the metrics, where this process collects them.
    pub metrics: Option<metrics_exporter_prometheus::PrometheusHandle>,
}

impl Admin {
    /// A domain by name, or the only one when none is named.
    pub(super) fn domain(&self, name: Option<&str>) -> Result<&AdminDomain, ApiError> {
        let Some(name) = name else {
            let mut all = self.domains.values();
            return match (all.next(), all.next()) {
                (Some(only), None) => Ok(only),
                _ => Err(ApiError::invalid(
                    "there are several domains",
                    format!("name one with domain: {}", self.domain_names()),
                )),
            };
        };
        let found = self
            .domains
            .iter()
            .find(|(known, _)| known.as_str() == name);
        found.map(|(_, domain)| domain).ok_or_else(|| {
            ApiError::not_found(
                format!("there is no domain {name:?} here"),
                format!("domains here: {}", self.domain_names()),
            )
        })
    }

    /// The domain of a region that this gateway serves.
    pub(super) fn domain_of_region(&self, region: &RegionName) -> Result<&AdminDomain, ApiError> {
        let mut domains = self.domains.values();
        domains
            .find(|domain| domain.regions.contains_key(region))
            .ok_or_else(|| {
                ApiError::not_found(
                    format!("there is no region {region} here"),
                    "`lethe region list` shows the regions that this gateway serves",
                )
            })
    }

    /// A tenant by id or name, in one domain or in whichever has it.
    pub(super) async fn tenant(
        &self,
        reference: &str,
        domain: Option<&str>,
    ) -> Result<(&AdminDomain, Tenant), ApiError> {
        let domains: Vec<&AdminDomain> = match domain {
            Some(name) => vec![self.domain(Some(name))?],
            None => self.domains.values().collect(),
        };
        let mut found: Option<(&AdminDomain, Tenant)> = None;
        for domain in domains {
            let Some(tenant) = tenant_in(domain, reference).await? else {
                continue;
            };
            if found.is_some() {
                return Err(ApiError::invalid(
                    format!("several domains have a tenant {reference:?}"),
                    format!("name one with domain: {}", self.domain_names()),
                ));
            }
            found = Some((domain, tenant));
        }
        found.ok_or_else(|| {
            ApiError::not_found(
                format!("there is no tenant {reference:?}"),
                "`lethe tenant list` shows the tenants",
            )
        })
    }

    fn domain_names(&self) -> String {
        let names: Vec<&str> = self.domains.keys().map(DomainName::as_str).collect();
        names.join(", ")
    }
}

async fn tenant_in(domain: &AdminDomain, reference: &str) -> Result<Option<Tenant>, ApiError> {
    let catalog = &domain.stores.catalog;
    // An id is 32 hexadecimal digits, which a name may be too; the id goes first because it never changes.
    if let Ok(id) = reference.parse::<TenantId>() {
        match catalog.tenant(id).await {
            Err(CatalogError::NotFound { .. }) => {}
            other => return Ok(Some(other?)),
        }
    }
    let Ok(name) = reference.parse::<TenantName>() else {
        return Ok(None);
    };
    match catalog.tenant_named(&name).await {
        Err(CatalogError::NotFound { .. }) => Ok(None),
        other => Ok(Some(other?)),
    }
}

impl AdminDomain {
    /// Whether one approval is enough here.
    pub(super) fn is_dev(&self) -> bool {
        let mode = self.shred.as_ref().map(|shred| shred.policy.mode);
        mode == Some(ApprovalMode::Dev)
    }

    /// Returns once what the catalog holds now is effective on every gateway of the domain.
    pub(super) async fn effective_now(&self, deadline: Duration) -> Result<Effect, ApiError> {
        let revision = self.stores.catalog.revision().await?;
        Ok(self.effective.effective(revision, deadline).await?)
    }
}
