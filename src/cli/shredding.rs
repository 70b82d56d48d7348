//! Puts together what shreds a domain's tenants.

use super::error::CommandError;
use super::logs::OpenLog;
use crate::catalog::ApprovalMode;
use crate::config::{DomainConfig, DomainStores};
use crate::jobs::JobDomain;
use crate::log::Sequencer;
use crate::shred::rules::ShredPolicy;
use crate::shred::{
    CatalogClock, Certificate, DomainKeys, DomainLog, GatewayClocks, KeyLeaves, OtherClocks,
    ShredDomain, Unopened, WitnessClocks,
};
use crate::signing::Signing;
use crate::tenants::{DomainName, RegionName};
use lethe_keys::{BackupDirectory, BackupPlace as _, KeyService, StoreUrl};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long a purge deletes before other shreds get their turn.
const PURGE_SLICE: Duration = Duration::from_secs(60);

/// The log that a domain's keys and receipts are entered in.
pub(super) fn log(
    domain: &DomainConfig,
    keys: &Arc<KeyService>,
    log: OpenLog,
) -> Result<(Arc<DomainLog>, Arc<Signing>), CommandError> {
    let earlier = &log.signing.published_log().keys;
    let sequencer = Sequencer::new(log.store, log.signing.log_key()?, earlier);
    let threshold = domain.receipts.witness_threshold;
    let source = Arc::new(KeyLeaves(keys.clone()));
    let threshold = usize::try_from(threshold).unwrap_or(usize::MAX);
    let opened = DomainLog::new(sequencer, log.witnesses, source, threshold);
    Ok((Arc::new(opened), log.signing))
}

/// What a shred is put together from.
pub(super) struct ShredParts<'a> {
    pub(super) config: &'a DomainConfig,
    pub(super) stores: &'a DomainStores,
    pub(super) dev: bool,
    pub(super) jobs: Arc<JobDomain>,
    pub(super) keys: Arc<KeyService>,
    pub(super) log: Arc<DomainLog>,
    pub(super) signing: Arc<Signing>,
    pub(super) pairs: BTreeMap<RegionName, Option<RegionName>>,
}

/// What shreds a domain's tenants; `None` where it has no key backup.
pub(super) fn shreds(parts: ShredParts<'_>) -> Option<Arc<ShredDomain>> {
    let backups = parts.stores.key_backup_dir.as_deref()?;
    let receipts = &parts.config.receipts;
    let keys = DomainKeys {
        keys: parts.keys,
        backups: Arc::new(BackupDirectory::new(backups)),
        scratch: scratch(parts.stores),
        lease: parts.stores.lease,
        clock: parts.jobs.clock.clone(),
        unopened: Unopened::default(),
    };
    let clocks: Vec<Arc<dyn OtherClocks>> = vec![
        Arc::new(CatalogClock {
            catalog: parts.jobs.catalog.clone(),
            clock: parts.jobs.clock.clone(),
        }),
        Arc::new(GatewayClocks(keys.keys.clone())),
        Arc::new(WitnessClocks {
            log: parts.log.clone(),
            clock: parts.jobs.clock.clone(),
        }),
    ];
    let organization = receipts.organization.clone();
    let name = parts.jobs.name.to_string();
    Some(Arc::new(ShredDomain {
        stores: parts.jobs,
        keys: Arc::new(keys),
        log: parts.log,
        signing: parts.signing,
        policy: ShredPolicy {
            mode: if parts.dev {
                ApprovalMode::Dev
            } else {
                ApprovalMode::Production
            },
            grace_days: receipts.grace_days,
            window: receipts.window,
        },
        certificate: Certificate {
            jurisdiction: parts.config.jurisdiction.clone(),
            organization: organization.unwrap_or(name),
            pairs: parts.pairs,
            root_backups: receipts.root_backups,
        },
        clocks,
        inventory_time: receipts.inventory,
        purge_slice: PURGE_SLICE,
    }))
}

/// Says what a shred would wait for at the places of backups, and deletes what killed processes left there. Neither keeps a gateway
/// from starting: its tenants need no backup to be served.
pub(super) async fn look_at_places(domain: &DomainName, stores: &DomainStores, keys: &KeyService) {
    let Some(dir) = stores.key_backup_dir.as_deref() else {
        return;
    };
    let place = BackupDirectory::new(dir);
    let (newest_bytes, swept) = match place.ready(&keys.identity()).await {
        Ok(bytes) => (
            bytes,
            place.sweep().await.map_err(|error| error.to_string()),
        ),
        Err(error) => (0, Err(error.to_string())),
    };
    let scratch = scratch(stores);
    let checked = KeyService::sweep_scratch(&scratch)
        .and_then(|swept| KeyService::check_scratch(&scratch, newest_bytes).map(|()| swept));
    for looked in [swept, checked.map_err(|error| error.to_string())] {
        match looked {
            Ok(0) => {}
            Ok(files) => {
                tracing::info!(op = "start", %domain, files, outcome = "swept", "what killed backups left is deleted");
            }
            Err(problem) => {
                tracing::warn!(op = "start", %domain, problem, outcome = "no backup", "nothing can be shredded or backed up");
            }
        }
    }
}

/// Where a backup is tried out: beside the key store, whose wrapped keys it holds.
pub(super) fn scratch(stores: &DomainStores) -> PathBuf {
    match &stores.key_store {
        StoreUrl::Sqlite { path } => match path.parent() {
            Some(dir) => dir.join("restore-test"),
            None => PathBuf::from("restore-test"),
        },
        StoreUrl::Postgres { .. } => std::env::temp_dir().join("lethe-restore-test"),
    }
}
