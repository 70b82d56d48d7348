//! A domain's stores: made once by `domain init` (and `dev`), opened by everything else, never the other way round.

use super::error::CommandError;
use super::logs::{self, Compared, OpenLog, Purpose};
use crate::catalog::{
    Catalog, CatalogError, DomainStore, Evidence, OpenError, ShredState, SqlCatalog,
    StoreIdentities, StoreLocation, StoreOptions,
};
use crate::clock::Clock;
use crate::config::{Backend, Config, DomainConfig, DomainStores};
use crate::directory::SqlDirectory;
use crate::shred::Fenced;
use crate::signing::Signing;
use crate::tenants::{DomainName, TenantId};
use lethe_keys::{
    BackupDirectory, Epoch, KeyService, KeyServiceConfig, KeyStoreIdentity, Location,
    NewestCheckpoint, RootConfig, Sequencing, StoreUrl, SystemClock, check_apart,
};
use lethe_receipts::log::LogVerifier;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

/// Shreds that are looked at for the newest epoch.
const NEWEST_SHREDS: u32 = 100;

/// Connections that one process holds to one store.
const CONNECTIONS_MAX: u32 = 16;

pub(super) fn store_options(config: &Config) -> StoreOptions {
    StoreOptions {
        deadline: config.limits.store_deadline,
        connections_max: CONNECTIONS_MAX,
    }
}

/// A domain of the configuration with its stores.
pub(super) fn domain_stores<'a>(
    config: &'a Config,
    name: &DomainName,
) -> Result<(&'a DomainConfig, &'a DomainStores), CommandError> {
    let file = config.file.display();
    let domain = config
        .domains
        .get(name)
        .ok_or_else(|| CommandError::Usage(format!("{file} has no section [domains.{name}]")))?;
    let stores = domain.stores.as_ref().ok_or_else(|| {
        CommandError::Usage(format!(
            "{file}: [domains.{name}] names no stores; add catalog, key_store and root"
        ))
    })?;
    Ok((domain, stores))
}

pub(super) fn key_config(
    config: &Config,
    name: &DomainName,
    stores: &DomainStores,
    dev: bool,
) -> Result<KeyServiceConfig, CommandError> {
    let domain = name
        .as_str()
        .parse()
        .map_err(|error| CommandError::Usage(format!("domain {name}: {error}")))?;
    let mut root = stores.root.clone();
    if let RootConfig::OpenBao(openbao) = &mut root
        && !config.roles.control
    {
        // Only control loads the credential that rotates and destroys roots.
        openbao.control_token_file = None;
    }
    let mut keys = KeyServiceConfig::new(domain, stores.key_store.clone(), root);
    keys.lease = stores.lease;
    keys.deadline = config.limits.store_deadline;
    keys.dev = dev;
    // Without a log nothing waits for it, and nothing is shredded.
    let has_log = stores.log_dir.is_some() || stores.log_bucket.is_some();
    keys.log = if has_log && stores.signing_dir.is_some() {
        Sequencing::Required
    } else {
        Sequencing::None
    };
    Ok(keys)
}

/// An open domain.
pub(super) struct OpenDomain {
    pub(super) catalog: Arc<dyn Catalog>,
    pub(super) keys: Arc<KeyService>,
    pub(super) log: Option<OpenLog>,
}

/// What of a domain there is after `domain init`.
pub(super) struct Initialised {
    pub(super) catalog: Arc<SqlCatalog>,
    pub(super) identities: StoreIdentities,
    /// What witnesses need to know of its log, where it has one.
    pub(super) log_key: Option<LogVerifier>,
}

/// Makes a domain's catalog, key store, root and the directory, and records who they are. Repeating it changes nothing.
pub(super) async fn init_domain(
    config: &Config,
    name: &DomainName,
    dev: bool,
) -> Result<Initialised, CommandError> {
    let (_, stores) = domain_stores(config, name)?;
    let options = store_options(config);
    make_parent(&stores.catalog_path())?;
    make_parent(&stores.key_store_path())?;
    make_parent(&sqlite_path(&config.directory))?;
    let fresh = is_fresh(config, name).await?;
    check_planned(stores, fresh)?;
    let keys = key_config(config, name, stores, dev)?;
    refuse_lost_catalog(config, name, &keys).await?;
    let catalog = SqlCatalog::create(&stores.catalog, &options).await?;
    let recorded = recorded_identities(&catalog).await?;
    let key_store = match &recorded {
        // A wrong URL must not become a second key world beside the recorded one.
        Some(known) => {
            let expected = KeyStoreIdentity::from_bytes(known.key_store);
            let opened = KeyService::open(&keys, expected, Arc::new(SystemClock)).await?;
            opened.close().await?;
            expected
        }
        None => KeyService::init(&keys).await?,
    };
    // Before the identities: once they are recorded, a directory that is not marked is one that is not mounted.
    if let Some(dir) = &stores.key_backup_dir
        && (fresh || (dev && dir.is_dir()))
    {
        adopt(dir, key_store).await?;
    }
    let identities = StoreIdentities {
        catalog: catalog.identity(),
        key_store: *key_store.as_bytes(),
    };
    catalog.record_identities(&identities).await?;
    SqlDirectory::create(&config.directory, &options).await?;
    if let Some(dir) = &stores.log_dir {
        make_dir(dir)?;
    }
    let mut log_key = None;
    if let Some(dir) = &stores.signing_dir {
        let signing = Signing::create(dir, name, clock().now())?;
        log_key = signing.published_log().keys.last().cloned();
    }
    Ok(Initialised {
        catalog: Arc::new(catalog),
        identities,
        log_key,
    })
}

/// Marks a directory as the place for a key store's backups.
pub(super) async fn adopt(dir: &Path, key_store: KeyStoreIdentity) -> Result<(), CommandError> {
    let adopted = BackupDirectory::new(dir).adopt(key_store).await;
    adopted.map_err(|error| {
        CommandError::failed(
            format!("{}: {error}", dir.display()),
            "mount or make the directory first",
        )
    })
}

/// Whether nothing of a domain was finished yet: a place that its first initialisation makes is missing later for another reason.
async fn is_fresh(config: &Config, name: &DomainName) -> Result<bool, CommandError> {
    let (_, stores) = domain_stores(config, name)?;
    match SqlCatalog::open(&stores.catalog, &store_options(config)).await {
        Ok(catalog) => Ok(recorded_identities(&catalog).await?.is_none()),
        Err(OpenError::Missing { .. }) => Ok(true),
        // What is wrong with it is told when it is made.
        Err(_) => Ok(false),
    }
}

/// The catalog is made first. Where it is missing and what comes after it is there, it was lost, and an empty one in its place
/// would leave every bucket and object behind without a word.
async fn refuse_lost_catalog(
    config: &Config,
    name: &DomainName,
    keys: &KeyServiceConfig,
) -> Result<(), CommandError> {
    let (_, stores) = domain_stores(config, name)?;
    match SqlCatalog::open(&stores.catalog, &store_options(config)).await {
        Err(OpenError::Missing { .. }) => {}
        // What else is wrong with it is told when it is made.
        _ => return Ok(()),
    }
    let mut remaining = Vec::new();
    if KeyService::exists(keys).await? {
        remaining.push(format!("key store {}", stores.key_store));
    }
    for (region, of) in &config.regions {
        if let Some(Backend::Embedded { path }) = &of.backend
            && of.domain == *name
            && std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some())
        {
            remaining.push(format!("region {region} in {}", path.display()));
        }
    }
    if remaining.is_empty() {
        return Ok(());
    }
    let start_over = if keys.dev {
        "remove the whole development directory".to_owned()
    } else {
        format!("give [domains.{name}] a new key store, root and regions")
    };
    Err(CommandError::failed(
        format!(
            "domain {name} has lost its catalog {}: it is not there, and its {} are",
            stores.catalog,
            remaining.join(", its ")
        ),
        format!(
            "put the catalog back from a copy; or, to start over without its buckets and objects, {start_over}"
        ),
    ))
}

async fn recorded_identities(
    catalog: &SqlCatalog,
) -> Result<Option<StoreIdentities>, CommandError> {
    match catalog.identities().await {
        Ok(identities) => Ok(Some(identities)),
        Err(CatalogError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Opens a domain's catalog and keys; refuses stores that are not those that were recorded, or not apart.
pub(super) async fn open_domain(
    config: &Config,
    name: &DomainName,
    dev: bool,
) -> Result<OpenDomain, CommandError> {
    let (domain, stores) = domain_stores(config, name)?;
    let catalog = open_catalog(config, name).await?;
    let identities = catalog.identities().await?;
    let mut keys = key_config(config, name, stores, dev)?;
    keys.epoch_min = epoch_seen(catalog.as_ref()).await?;
    let expected = KeyStoreIdentity::from_bytes(identities.key_store);
    // The log's secret keys are where the control role is. The others compare, too, and need no more than to read it.
    let (mut log, mut newest) = (None, None);
    if config.roles.control {
        log = logs::open_log(config, name, domain, stores).await?;
        if let Some(log) = &log {
            newest = Some(newest_of(name, &keys, log.compared(), Purpose::Growing).await?);
        }
    } else if let Some(log) = logs::read_log(config, name, domain, stores).await? {
        newest = Some(newest_of(name, &keys, log.compared(), Purpose::Comparing).await?);
    }
    let system = Arc::new(SystemClock);
    let keys = match &newest {
        Some(newest) => KeyService::open_at_checkpoint(&keys, expected, system, newest).await?,
        None => {
            tracing::warn!(op = "open", domain = %name, outcome = "uncompared", "the configuration names no log with signing: the key store is compared with none");
            KeyService::open(&keys, expected, system).await?
        }
    };
    if let Err(error) = check_apart(&location(catalog.location()), keys.location()) {
        keys.close().await?;
        return Err(not_apart(name, "catalog and key store", &error));
    }
    Ok(OpenDomain { catalog, keys, log })
}

/// What a key store that is not open yet is compared with.
async fn newest_of(
    name: &DomainName,
    keys: &KeyServiceConfig,
    log: Compared<'_>,
    purpose: Purpose,
) -> Result<NewestCheckpoint, CommandError> {
    // Before the log is read, which only grows: so a log that has less was rolled back.
    let recorded = KeyService::recorded_log_size(keys).await?;
    let newest = logs::newest(name, log, Some((recorded, keys)), purpose).await;
    newest.map(|(checkpoint, _)| checkpoint)
}

/// The newest epoch that the catalog's shreds say the key store was in; 0 when it has none.
pub(super) async fn epoch_seen(catalog: &dyn Catalog) -> Result<Epoch, CommandError> {
    let newest = catalog.shreds(NEWEST_SHREDS).await?;
    let seen = newest.iter().map(|shred| match shred.state {
        ShredState::Requested | ShredState::Fenced | ShredState::Inventoried => shred.epoch_from,
        _ => shred.epoch_from.saturating_add(1),
    });
    Ok(Epoch(seen.max().unwrap_or(0)))
}

/// Tenants of shreds, by what a key store that is restored must be told of them.
#[derive(Default)]
pub(super) struct Shredding {
    /// Fenced, and the root has not moved yet.
    pub(super) fenced: Vec<TenantId>,
    /// A move of the root has left them behind.
    pub(super) left_behind: Vec<TenantId>,
    /// The newest fence that receipts of unfinished shreds name.
    pub(super) fence_seen: u64,
}

/// Whom the catalog's newest shreds name.
pub(super) async fn shredding(catalog: &dyn Catalog) -> Result<Shredding, CommandError> {
    let mut found = Shredding::default();
    for shred in catalog.shreds(NEWEST_SHREDS).await? {
        let members = catalog.shred_terminations(shred.id).await?;
        if shred.state < ShredState::Receipted {
            for member in &members {
                let (state, tenant) = (ShredState::Fenced, Some(member.tenant));
                let fenced = catalog.evidence_of(shred.id, state, tenant).await?;
                if let Some(fenced) = fenced {
                    found.fence_seen = found.fence_seen.max(fence_number(&fenced)?);
                }
            }
        }
        let tenants = members.iter().map(|one| one.tenant);
        match shred.state {
            ShredState::Requested => {}
            ShredState::Fenced | ShredState::Inventoried => found.fenced.extend(tenants),
            _ => found.left_behind.extend(tenants),
        }
    }
    Ok(found)
}

fn fence_number(evidence: &Evidence) -> Result<u64, CommandError> {
    let fenced: Fenced = serde_json::from_str(&evidence.body).map_err(|error| {
        CommandError::Failed(format!(
            "the catalog's evidence of a fence can't be read: {error}"
        ))
    })?;
    Ok(fenced.fence.number)
}

/// Opens a domain's catalog alone; refuses one that is not the recorded one.
pub(super) async fn open_catalog(
    config: &Config,
    name: &DomainName,
) -> Result<Arc<SqlCatalog>, CommandError> {
    let (_, stores) = domain_stores(config, name)?;
    let catalog = SqlCatalog::open(&stores.catalog, &store_options(config)).await?;
    let recorded = recorded_identities(&catalog).await?.ok_or_else(|| {
        CommandError::failed(
            format!("domain {name} is not completely initialised"),
            format!(
                "run `lethe domain init {name} --config {}`",
                config.file.display()
            ),
        )
    })?;
    if recorded.catalog != catalog.identity() {
        return Err(CommandError::failed(
            format!("the catalog of domain {name} is not the one that was initialised"),
            "point catalog at the right database; two catalogs may have been mixed by a restore",
        ));
    }
    Ok(Arc::new(catalog))
}

fn location(of: &StoreLocation) -> Location {
    match of {
        StoreLocation::Directory(canonical) => Location::Directory {
            canonical: canonical.clone(),
        },
        StoreLocation::PostgresCluster(id) => Location::of_postgres(*id),
    }
}

fn not_apart(name: &DomainName, which: &str, error: &lethe_keys::NotApart) -> CommandError {
    CommandError::failed(
        format!("domain {name}: {which}: {error}"),
        "give each store a server, or a directory tree, of its own: one backup must not hold data and keys",
    )
}

/// Compares the places that are directories before anything is made in them.
fn check_planned(stores: &DomainStores, fresh: bool) -> Result<(), CommandError> {
    let mut places: Vec<(&str, Location)> = Vec::new();
    let named = [
        ("catalog", stores.catalog_path()),
        ("key_store", stores.key_store_path()),
    ];
    for (key, file) in named {
        if let Some(file) = file {
            let place = Location::of_sqlite(&file)
                .map_err(|error| CommandError::file(&file, "looking", &error))?;
            places.push((key, place));
        }
    }
    for (key, dir) in [
        ("log", &stores.log_dir),
        ("key_backup", &stores.key_backup_dir),
        ("signing", &stores.signing_dir),
    ] {
        if let Some(dir) = dir {
            if fresh || key != "key_backup" {
                make_dir(dir)?;
            } else if !dir.is_dir() {
                continue;
            }
            let place = Location::of_directory(dir)
                .map_err(|error| CommandError::file(dir, "looking", &error))?;
            places.push((key, place));
        }
    }
    for (index, (key, place)) in places.iter().enumerate() {
        for (other_key, other) in places.iter().skip(index + 1) {
            check_apart(place, other).map_err(|error| {
                CommandError::failed(
                    format!("{key} and {other_key}: {error}"),
                    "put them into directories of which none contains the other",
                )
            })?;
        }
    }
    Ok(())
}

impl DomainStores {
    fn catalog_path(&self) -> Option<std::path::PathBuf> {
        sqlite_path(&self.catalog)
    }

    fn key_store_path(&self) -> Option<std::path::PathBuf> {
        match &self.key_store {
            StoreUrl::Sqlite { path } => Some(path.clone()),
            StoreUrl::Postgres { .. } => None,
        }
    }
}

fn sqlite_path(url: &crate::catalog::StoreUrl) -> Option<std::path::PathBuf> {
    match url {
        crate::catalog::StoreUrl::Sqlite(path) => Some(path.clone()),
        crate::catalog::StoreUrl::Postgres(_) => None,
    }
}

fn make_parent(file: &Option<std::path::PathBuf>) -> Result<(), CommandError> {
    match file.as_deref().and_then(Path::parent) {
        Some(dir) if !dir.as_os_str().is_empty() => make_dir(dir),
        _ => Ok(()),
    }
}

/// Makes a directory that others can't look into, and those above it.
pub(super) fn make_dir(dir: &Path) -> Result<(), CommandError> {
    let failed = |error| CommandError::file(dir, "making the directory", &error);
    let above = dir.ancestors().filter(|one| !one.as_os_str().is_empty());
    let missing: Vec<&Path> = above.take_while(|one| !one.is_dir()).collect();
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(failed)?;
    // What is in a new directory is only as durable as its own name.
    for made in missing {
        let parent = made.parent().filter(|path| !path.as_os_str().is_empty());
        let parent = std::fs::File::open(parent.unwrap_or(Path::new(".")));
        parent.and_then(|dir| dir.sync_all()).map_err(failed)?;
    }
    Ok(())
}

/// Migrates every store of the domains that this gateway serves.
pub(super) async fn migrate(config: &Config, name: &DomainName) -> Result<(), CommandError> {
    let (_, stores) = domain_stores(config, name)?;
    let options = store_options(config);
    let keys = key_config(config, name, stores, false)?;
    SqlCatalog::migrate(&stores.catalog, &options).await?;
    SqlDirectory::migrate(&config.directory, &options).await?;
    KeyService::migrate(&keys).await?;
    // What was migrated is opened as `serve` will, so that it is known here whether it is the domain's.
    let catalog = open_catalog(config, name).await?;
    let expected = KeyStoreIdentity::from_bytes(catalog.identities().await?.key_store);
    let opened = KeyService::open(&keys, expected, Arc::new(SystemClock)).await?;
    Ok(opened.close().await?)
}

pub(super) fn clock() -> Arc<dyn Clock> {
    Arc::new(crate::clock::SystemClock)
}
