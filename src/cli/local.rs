//! The commands that run where the configuration is: `domain init`, `region check --config`, `migrate`.

use super::error::CommandError;
use super::output::{Format, print};
use super::regions;
use super::stores::{self, make_dir};
use crate::admin::RegionCheckView;
use crate::config::{self, Backend, Environment};
use crate::region::check::CheckStep;
use crate::tenants::{DomainName, RegionName};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;

/// Makes a domain's stores and its embedded regions; repeating it changes nothing.
pub(super) async fn init(
    name: &str,
    file: &Path,
    environment: &Environment,
    format: Format,
) -> Result<(), CommandError> {
    let config = config::load(file, environment)?;
    let name: DomainName = name
        .parse()
        .map_err(|error| CommandError::Usage(format!("{error}")))?;
    let initialised = stores::init_domain(&config, &name, false).await?;
    let mut ready = Vec::new();
    for (region, region_config) in &config.regions {
        let Some(backend @ Backend::Embedded { path }) = &region_config.backend else {
            continue;
        };
        if region_config.domain != name {
            continue;
        }
        if let Some(parent) = path.parent() {
            make_dir(parent)?;
        }
        let (catalog, clock) = (initialised.catalog.as_ref(), stores::clock());
        regions::prepare(
            catalog,
            region,
            backend,
            &config.limits,
            clock.as_ref(),
            &|_| {},
        )
        .await?;
        ready.push(region.as_str());
    }
    let view = json!({
        "domain": name.as_str(),
        "catalog_identity": hex::encode(initialised.identities.catalog),
        "key_store_identity": hex::encode(initialised.identities.key_store),
        "regions_ready": ready,
        "log_key": initialised.log_key.map(|key| key.text()),
    });
    print(
        format,
        &[
            "domain",
            "catalog_identity",
            "key_store_identity",
            "regions_ready",
            "log_key",
        ],
        &view,
    )
}

/// Checks a region and keeps the outcome, without a running gateway.
pub(super) async fn check(
    name: &str,
    file: &Path,
    environment: &Environment,
    format: Format,
) -> Result<(), CommandError> {
    let config = config::load(file, environment)?;
    let name: RegionName = name
        .parse()
        .map_err(|error| CommandError::Usage(format!("{error}")))?;
    let region = config.regions.get(&name).ok_or_else(|| {
        CommandError::Usage(format!(
            "{} has no section [regions.{name}]",
            file.display()
        ))
    })?;
    let backend = region.backend.as_ref().ok_or_else(|| {
        CommandError::Usage(format!(
            "{}: [regions.{name}] has no backend",
            file.display()
        ))
    })?;
    let catalog = stores::open_catalog(&config, &region.domain).await?;
    let progress = |step: CheckStep| eprintln!("region {name}: checking {step}");
    let clock = stores::clock();
    let check = regions::prepare(
        catalog.as_ref(),
        &name,
        backend,
        &config.limits,
        clock.as_ref(),
        &progress,
    )
    .await?;
    let view = RegionCheckView::of(&check);
    print(format, &["passed", "checked_ms", "missing"], &view)?;
    if view.passed {
        return Ok(());
    }
    Err(CommandError::failed(
        format!("region {name} did not pass"),
        "mend what is missing, or use another store: it is not served",
    ))
}

/// Migrates the stores of every domain that the gateway serves.
pub(super) async fn migrate(
    file: &Path,
    environment: &Environment,
    format: Format,
) -> Result<(), CommandError> {
    let config = config::load(file, environment)?;
    let regions = config
        .serves
        .iter()
        .filter_map(|name| config.regions.get(name));
    let domains: BTreeSet<&DomainName> = regions.map(|region| &region.domain).collect();
    let mut migrated = Vec::new();
    for domain in domains {
        stores::migrate(&config, domain).await?;
        migrated.push(json!({ "domain": domain.as_str(), "state": "up to date" }));
    }
    print(format, &["domain", "state"], &migrated)
}
