//! Region stores: made and checked once, opened only as what the catalog recorded.

use super::error::CommandError;
use crate::admin::{ApiError, RegionProbe};
use crate::catalog::{Catalog, CatalogError, RegionCheck};
use crate::clock::Clock;
use crate::config::{Backend, Limits, S3Backend};
use crate::region::check::{CheckStep, check_region};
use crate::region::embedded::{EmbeddedError, EmbeddedStore};
use crate::region::{Deadlines, RegionStore, S3Store, UpstreamConfig};
use crate::tenants::RegionName;
use async_trait::async_trait;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How often an upstream call may be tried when nothing was done before.
const ATTEMPTS_MAX: u32 = 3;

/// Told before each step of a check.
pub(super) type Progress<'a> = &'a (dyn Fn(CheckStep) + Send + Sync);

pub(super) fn upstream(backend: &S3Backend, limits: &Limits) -> UpstreamConfig {
    let call_ms = u64::try_from(limits.upstream_deadline.as_millis()).unwrap_or(u64::MAX);
    UpstreamConfig {
        endpoint: backend.endpoint.clone(),
        region: backend.region.clone(),
        bucket_prefix: backend.bucket_prefix.clone(),
        credentials_file: backend.credentials_file.clone(),
        ca: backend.ca.clone(),
        allow_plain_http: backend.allow_plain_http,
        attempts_max: ATTEMPTS_MAX,
        deadlines: Deadlines {
            first_byte_ms: call_ms,
            small_call_ms: call_ms,
            ..Deadlines::default()
        },
    }
}

/// Opens an embedded region on a thread that may block.
async fn embedded(
    name: &RegionName,
    path: &Path,
    open: fn(&Path) -> Result<EmbeddedStore, EmbeddedError>,
) -> Result<EmbeddedStore, CommandError> {
    let path: PathBuf = path.to_owned();
    let opened = tokio::task::spawn_blocking(move || open(&path)).await;
    let opened = opened.map_err(|error| CommandError::Failed(format!("region {name}: {error}")))?;
    opened.map_err(|error| {
        let hint = match &error {
            EmbeddedError::Absent(_) => {
                "put its directory back, or point the path of its backend at it"
            }
            EmbeddedError::Occupied(_) => "name a new or an empty directory",
            EmbeddedError::InUse(_) => {
                "one process alone may have it open: stop the other, or try again when it has ended"
            }
            EmbeddedError::Mismatch { .. }
            | EmbeddedError::Disk { .. }
            | EmbeddedError::Index { .. } => "restore its directory as a whole",
        };
        CommandError::failed(format!("region {name}: {error}"), hint)
    })
}

/// Makes an embedded region, or opens the one that is there already.
fn create_or_open(path: &Path) -> Result<EmbeddedStore, EmbeddedError> {
    EmbeddedStore::create(path).or_else(|refused| match EmbeddedStore::open(path) {
        // Another process may be making it: what that answered says more.
        Err(EmbeddedError::Absent(_)) => Err(refused),
        opened => opened,
    })
}

/// Makes a region ready to be served: its identity recorded, its check stored. Repeating it checks again.
pub(super) async fn prepare(
    catalog: &dyn Catalog,
    name: &RegionName,
    backend: &Backend,
    limits: &Limits,
    clock: &dyn Clock,
    progress: Progress<'_>,
) -> Result<RegionCheck, CommandError> {
    let (identity, check) = match backend {
        Backend::Embedded { path } => {
            let known = recorded(catalog, name).await?;
            let store = match known {
                // A recorded region that is gone must not come back empty.
                Some(_) => embedded(name, path, EmbeddedStore::open).await?,
                None => embedded(name, path, create_or_open).await?,
            };
            let check = embedded_check(&store, clock);
            (*store.identity().as_bytes(), check)
        }
        Backend::S3(backend) => {
            let config = upstream(backend, limits);
            let report = check_region(config.clone(), progress)
                .await
                .map_err(|error| check_failed(name, &error.to_string()))?;
            let check = RegionCheck {
                checked: clock.now(),
                profile: report.profile.clone(),
                missing: report.missing,
            };
            if !check.missing.is_empty() {
                catalog.store_region_check(name, &check).await?;
                return Ok(check);
            }
            let store = S3Store::connect(config, report.profile).await?;
            (*store.create_identity().await?.as_bytes(), check)
        }
    };
    match catalog.record_region(name, identity).await {
        Err(CatalogError::Conflict { .. }) => return Err(mismatched(name)),
        other => other?,
    }
    catalog.store_region_check(name, &check).await?;
    Ok(check)
}

fn check_failed(name: &RegionName, problem: &str) -> CommandError {
    CommandError::failed(
        format!("region {name}: {problem}"),
        "check endpoint, credentials_file and ca of its backend",
    )
}

fn embedded_check(store: &dyn RegionStore, clock: &dyn Clock) -> RegionCheck {
    RegionCheck {
        checked: clock.now(),
        profile: store.profile().clone(),
        missing: Vec::new(),
    }
}

async fn recorded(
    catalog: &dyn Catalog,
    name: &RegionName,
) -> Result<Option<[u8; 16]>, CommandError> {
    match catalog.region_identity(name).await {
        Ok(identity) => Ok(Some(identity)),
        Err(CatalogError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether the catalog knows the region and holds a check of it that passed.
pub(super) async fn has_passed(
    catalog: &dyn Catalog,
    name: &RegionName,
) -> Result<bool, CommandError> {
    match catalog.region_check(name).await {
        Ok(check) => Ok(check.missing.is_empty() && recorded(catalog, name).await?.is_some()),
        Err(CatalogError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn mismatched(name: &RegionName) -> CommandError {
    CommandError::failed(
        format!("region {name} is another store than the one that was recorded"),
        "point its backend at the store that holds its objects",
    )
}

/// Opens a region as what was recorded; creates nothing, and serves nothing that was not checked.
pub(super) async fn open(
    catalog: &dyn Catalog,
    name: &RegionName,
    backend: &Backend,
    limits: &Limits,
    config_file: &Path,
) -> Result<Arc<dyn RegionStore>, CommandError> {
    let command = format!(
        "run `lethe region check {name} --config {}`",
        config_file.display()
    );
    let unchecked = || CommandError::failed(format!("region {name} was never checked"), &command);
    let check = match catalog.region_check(name).await {
        Ok(check) => check,
        Err(CatalogError::NotFound { .. }) => return Err(unchecked()),
        Err(error) => return Err(error.into()),
    };
    if !check.missing.is_empty() {
        return Err(CommandError::failed(
            format!(
                "region {name} did not pass its check: {}",
                check.missing.join("; ")
            ),
            format!("mend the store and {command}"),
        ));
    }
    let expected = recorded(catalog, name).await?.ok_or_else(unchecked)?;
    let (identity, store): ([u8; 16], Arc<dyn RegionStore>) = match backend {
        Backend::Embedded { path } => {
            let store = embedded(name, path, EmbeddedStore::open).await?;
            (*store.identity().as_bytes(), Arc::new(store))
        }
        Backend::S3(backend) => {
            let mut profile = check.profile;
            if !backend.lifecycle {
                // That a store keeps rules does not say that anything carries them out, and no check can wait for that.
                profile.lifecycle.clear();
            }
            let store = S3Store::connect(upstream(backend, limits), profile).await?;
            let identity = store
                .read_identity()
                .await?
                .ok_or_else(|| mismatched(name))?;
            (*identity.as_bytes(), Arc::new(store))
        }
    };
    if identity != expected {
        return Err(mismatched(name));
    }
    Ok(store)
}

/// `region check` of a region that is being served.
pub(super) struct Probe {
    pub(super) name: RegionName,
    pub(super) backend: Backend,
    pub(super) limits: Limits,
    pub(super) catalog: Arc<dyn Catalog>,
    pub(super) store: Arc<dyn RegionStore>,
    pub(super) clock: Arc<dyn Clock>,
}

#[async_trait]
impl RegionProbe for Probe {
    async fn check(&self) -> Result<RegionCheck, ApiError> {
        if let Backend::Embedded { .. } = self.backend {
            self.store.ping().await?;
            let check = embedded_check(self.store.as_ref(), self.clock.as_ref());
            self.catalog.store_region_check(&self.name, &check).await?;
            return Ok(check);
        }
        let (name, backend, limits) = (self.name.clone(), self.backend.clone(), self.limits);
        let (catalog, clock) = (self.catalog.clone(), self.clock.clone());
        // On a thread of its own: the probes race borrowed futures, which may not move between threads.
        let runtime = tokio::runtime::Handle::current();
        let checking = tokio::task::spawn_blocking(move || {
            let progress = |step: CheckStep| tracing::info!(region = %name, op = "region-check", %step, "checking");
            let (catalog, clock) = (catalog.as_ref(), clock.as_ref());
            runtime.block_on(prepare(catalog, &name, &backend, &limits, clock, &progress))
        });
        checking
            .await
            .map_err(|error| ApiError::unavailable(error.to_string()))?
            .map_err(|error| ApiError::unavailable(error.to_string()))
    }
}
