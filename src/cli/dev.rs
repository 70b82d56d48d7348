//! `lethe dev`: everything embedded, with TLS, two jurisdictions and two demo tenants; started again, the same again.

use super::dev_file::{DevFile, DevTenant};
use super::dev_tls::dev_tls;
use super::error::CommandError;
use super::open;
use super::regions;
use super::serve::{Bound, metrics, run_gateway};
use super::stores::{self, make_dir};
use super::{dev_text, logging};
use crate::admin::{Principal, Role, create_tenant, import_credential};
use crate::catalog::{CatalogError, SqlCatalog, StoreUrl};
use crate::config::{
    self, Backend, Config, DomainConfig, DomainStores, Environment, Limits, Listener, LogConfig,
    LogFormat, ReceiptConfig, RegionConfig, Roles,
};
use crate::region::check::CheckStep;
use crate::tenants::access::GrantChange;
use crate::tenants::{AccessKeyId, DomainName, RegionName, TenantName, TenantState};
use futures::future::try_join_all;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// The embedded regions of `lethe dev`: name, domain, pair.
const REGIONS: [(&str, &str, Option<&str>); 3] = [
    ("eu-central-1", "eu", Some("eu-west-3")),
    ("eu-west-3", "eu", None),
    ("us-east-1", "us", None),
];
const DOMAINS: [(&str, &str); 2] = [("eu", "EU"), ("us", "US")];
/// The demo tenants: name, domain, and the region that is theirs where there is one of that name.
const TENANTS: [(&str, &str, &str); 2] = [
    ("acme", "eu", "eu-central-1"),
    ("globex", "us", "us-east-1"),
];

/// What `lethe dev` is started with.
pub(super) struct DevOptions {
    pub(super) dir: PathBuf,
    pub(super) s3_listen: SocketAddr,
    pub(super) admin_listen: SocketAddr,
    pub(super) regions_file: Option<PathBuf>,
}

/// Runs a development gateway until SIGTERM or SIGINT.
pub(super) async fn dev(
    options: &DevOptions,
    environment: &Environment,
) -> Result<(), CommandError> {
    let _level = logging::start(&LogConfig {
        level: environment
            .get("LETHE_LOG_LEVEL")
            .unwrap_or("warn")
            .to_owned(),
        format: LogFormat::Text,
    })?;
    // Nothing here is secret enough to refuse for; what can be had is had.
    let _hardening = lethe_keys::harden_process();
    make_dir(&options.dir)?;
    let dir = std::fs::canonicalize(&options.dir)
        .map_err(|error| CommandError::file(&options.dir, "looking", &error))?;
    let bound = Bound::bind(options.s3_listen, options.admin_listen).await?;
    let config = dev_config(&dir, options, &bound, environment)?;
    prepare(&config).await?;
    let file = dev_file(&dir, &config)?;
    let config = Config {
        principals: vec![operator(&file)],
        ..config
    };
    let opened = open::open(&config, true, Some(metrics()?)).await?;
    for tenant in &file.tenants {
        demo_tenant(&opened, tenant).await?;
    }
    let text = dev_text::welcome(&dir, &file);
    let ready = async {
        // Whoever reads it through a pipe may have gone; the gateway runs all the same.
        let _closed = std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes());
    };
    run_gateway(&config, opened, bound, None, ready).await
}

fn name<N: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<N, CommandError> {
    text.parse()
        .map_err(|error| CommandError::Usage(format!("{text:?}: {error}")))
}

fn dev_config(
    dir: &Path,
    options: &DevOptions,
    bound: &Bound,
    environment: &Environment,
) -> Result<Config, CommandError> {
    let address = |listener: &tokio::net::TcpListener| {
        let address = listener.local_addr();
        address.map_err(|error| CommandError::Failed(format!("a listener has no address: {error}")))
    };
    let (s3_listen, admin_listen) = (address(&bound.s3)?, address(&bound.admin)?);
    let tls = dev_tls(&dir.join("tls"), stores::clock().as_ref())?;
    let domain_names = DOMAINS
        .iter()
        .map(|(domain, _)| name(domain))
        .collect::<Result<Vec<DomainName>, _>>()?;
    let (regions, limits) = match &options.regions_file {
        None => (embedded_regions(dir)?, Limits::default()),
        Some(file) => {
            let from_file = config::load_for_dev(file, environment, &domain_names)?;
            (from_file.regions, from_file.limits)
        }
    };
    let mut domains = BTreeMap::new();
    for (domain, jurisdiction) in DOMAINS {
        let stores = dev_stores(&dir.join(domain))?;
        let domain_config = DomainConfig {
            jurisdiction: jurisdiction.to_owned(),
            public_endpoint: reachable("https", s3_listen),
            stores: Some(stores),
            receipts: ReceiptConfig::dev(),
        };
        domains.insert(name(domain)?, domain_config);
    }
    let admin_tls = (!admin_listen.ip().is_loopback()).then(|| tls.server.clone());
    Ok(Config {
        file: options
            .regions_file
            .clone()
            .unwrap_or_else(|| dir.join("dev.json")),
        s3: Listener {
            listen: s3_listen,
            tls: Some(tls.server),
        },
        s3_domains: vec!["localhost".to_owned()],
        admin: Listener {
            listen: admin_listen,
            tls: admin_tls,
        },
        principals: Vec::new(),
        roles: Roles {
            data: true,
            control: true,
        },
        serves: regions.keys().cloned().collect(),
        directory: sqlite(&dir.join("directory/directory.db"))?,
        domains,
        regions,
        limits,
        log: LogConfig {
            level: "warn".to_owned(),
            format: LogFormat::Text,
        },
    })
}

fn sqlite(path: &Path) -> Result<StoreUrl, CommandError> {
    name(&format!("sqlite:{}", path.display()))
}

fn dev_stores(dir: &Path) -> Result<DomainStores, CommandError> {
    Ok(DomainStores {
        catalog: sqlite(&dir.join("catalog/catalog.db"))?,
        key_store: name(&format!("sqlite:{}", dir.join("keys/keys.db").display()))?,
        root: lethe_keys::RootConfig::File {
            dir: dir.join("root"),
        },
        key_backup_dir: Some(dir.join("key-backup")),
        log_dir: Some(dir.join("log")),
        signing_dir: Some(dir.join("signing")),
        log_bucket: None,
        // The shortest: a shred waits that long for a gateway that was killed.
        lease: lethe_keys::LEASE_MIN,
    })
}

fn embedded_regions(dir: &Path) -> Result<BTreeMap<RegionName, RegionConfig>, CommandError> {
    let mut regions = BTreeMap::new();
    for (region, domain, pair) in REGIONS {
        let path = dir.join("regions").join(region);
        let region_config = RegionConfig {
            domain: name(domain)?,
            pair: pair.map(name).transpose()?,
            backend: Some(Backend::Embedded { path }),
        };
        regions.insert(name(region)?, region_config);
    }
    Ok(regions)
}

/// The address under which this machine reaches a listener.
fn reachable(scheme: &str, listen: SocketAddr) -> String {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("{scheme}://{}", SocketAddr::new(ip, listen.port()))
}

/// Makes the domains and readies their regions, all at once. What is there already stays as it is.
async fn prepare(config: &Config) -> Result<(), CommandError> {
    let mut catalogs = BTreeMap::new();
    for domain in config.domains.keys() {
        let initialised = stores::init_domain(config, domain, true).await?;
        catalogs.insert(domain.clone(), initialised.catalog);
    }
    let preparing = config.regions.iter().filter_map(|(name, region)| {
        let (backend, catalog) = (region.backend.as_ref()?, catalogs.get(&region.domain)?);
        Some(prepare_region(config, name, backend, catalog.as_ref()))
    });
    try_join_all(preparing).await.map(drop)
}

async fn prepare_region(
    config: &Config,
    region: &RegionName,
    backend: &Backend,
    catalog: &SqlCatalog,
) -> Result<(), CommandError> {
    match backend {
        Backend::Embedded { path } => {
            if let Some(parent) = path.parent() {
                make_dir(parent)?;
            }
        }
        // As `serve`: what passed once is opened as what was recorded.
        Backend::S3(_) if regions::has_passed(catalog, region).await? => return Ok(()),
        Backend::S3(_) => {}
    }
    let progress = |step: CheckStep| eprintln!("region {region}: checking {step}");
    let clock = stores::clock();
    let check = regions::prepare(
        catalog,
        region,
        backend,
        &config.limits,
        clock.as_ref(),
        &progress,
    )
    .await?;
    if check.missing.is_empty() {
        return Ok(());
    }
    Err(CommandError::failed(
        format!(
            "region {region} did not pass its check: {}",
            check.missing.join("; ")
        ),
        "use a store that does what is missing",
    ))
}

/// What the last start wrote, with the addresses of this one.
fn dev_file(dir: &Path, config: &Config) -> Result<DevFile, CommandError> {
    let path = dir.join("dev.json");
    let known = DevFile::read(&path)?;
    let mut tenants = Vec::new();
    for (tenant, domain, preferred) in TENANTS {
        let old = known
            .as_ref()
            .and_then(|known| known.tenants.iter().find(|old| old.id == tenant));
        let region = demo_region(config, domain, preferred)?;
        tenants.push(match old {
            Some(old) => DevTenant {
                region: region.to_string(),
                ..old.clone_whole()
            },
            None => DevTenant::draw(tenant, region.as_str())?,
        });
    }
    let scheme = if config.admin.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let file = DevFile {
        s3_endpoint: reachable("https", config.s3.listen),
        admin_endpoint: reachable(scheme, config.admin.listen),
        admin_token: match known {
            Some(known) => known.admin_token,
            None => super::dev_file::random_text("", 40)?,
        },
        ca_cert: dir.join("tls/ca.pem").display().to_string(),
        tenants,
    };
    // Before anything is made with it: after a kill in between, the next start uses the same credentials.
    file.write(&path)?;
    Ok(file)
}

fn demo_region<'a>(
    config: &'a Config,
    domain: &str,
    preferred: &str,
) -> Result<&'a RegionName, CommandError> {
    let mut of_domain = config
        .regions
        .iter()
        .filter(|(_, region)| region.domain.as_str() == domain);
    let first = of_domain.next().map(|(region, _)| region);
    let named = config
        .regions
        .iter()
        .find(|(region, config)| region.as_str() == preferred && config.domain.as_str() == domain);
    named.map(|(region, _)| region).or(first).ok_or_else(|| {
        CommandError::Usage(format!(
            "{}: there is no region of domain {domain}; `lethe dev` needs one of eu and one of us",
            config.file.display()
        ))
    })
}

fn operator(file: &DevFile) -> Principal {
    Principal {
        name: "dev".to_owned(),
        role: Role::Operator,
        token_sha256: Sha256::digest(file.admin_token.as_bytes()).into(),
    }
}

async fn demo_tenant(opened: &open::Opened, tenant: &DevTenant) -> Result<(), CommandError> {
    let region: RegionName = name(&tenant.region)?;
    let domain = opened
        .domains
        .iter()
        .find(|domain| domain.regions.contains_key(&region))
        .ok_or_else(|| CommandError::Failed(format!("region {region} is not open")))?;
    let tenant_name: TenantName = name(&tenant.id)?;
    // A demo tenant that was terminated stays so, and the gateway starts all the same.
    match domain.catalog.tenant_named(&tenant_name).await {
        Ok(known)
            if matches!(
                known.state,
                TenantState::Terminating | TenantState::Shredded
            ) =>
        {
            return Ok(());
        }
        Ok(_) | Err(CatalogError::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let created = create_tenant(domain, &tenant_name, &region, None).await?;
    let id: AccessKeyId = name(&tenant.access_key_id)?;
    let secret = &tenant.secret_access_key;
    import_credential(domain, &created, &id, secret, GrantChange::default()).await?;
    Ok(())
}
