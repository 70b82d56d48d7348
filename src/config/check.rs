//! What a configuration must be beyond its form: every refusal names the key and how to mend it.

use super::error::Problem;
use super::limits::limits;
use super::log_place::log_place;
use super::model::{
    Config, DomainConfig, DomainStores, Listener, LogConfig, LogFormat, RegionConfig, Roles,
    TlsFiles,
};
use super::raw::{
    RawAdmin, RawConfig, RawDomain, RawGateway, RawLog, RawPlace, RawPrincipal, RawTls,
};
use super::regions::{check_regions, endpoint};
use super::store_url::store_url;
use crate::admin::{Principal, Role};
use crate::tenants::{DomainName, RegionName};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) fn check(file: &Path, raw: RawConfig) -> Result<Config, Problem> {
    let base = file.parent().unwrap_or(Path::new(""));
    let s3 = listener(base, "s3", &raw.s3.listen, raw.s3.tls.as_ref(), None)?;
    let admin = listener(
        base,
        "admin",
        &raw.admin.listen,
        raw.admin.tls.as_ref(),
        s3.tls.as_ref(),
    )?;
    let directory = store_url(
        base,
        &["directory", "url"],
        &raw.directory.url,
        raw.directory.password_file.as_ref(),
    )?;
    let mut domains = BTreeMap::new();
    for (name, domain) in &raw.domains {
        let parsed = name.parse::<DomainName>().map_err(|error| {
            Problem::at(&["domains", name], error.to_string(), "rename the domain")
        })?;
        domains.insert(parsed, check_domain(base, name, domain)?);
    }
    let regions = check_regions(base, &raw.regions, &|domain| domains.contains_key(domain))?;
    let serves = serves(&raw.gateway, &domains, &regions)?;
    hosts(&raw.s3.domains)?;
    Ok(Config {
        file: file.to_owned(),
        s3,
        s3_domains: raw.s3.domains,
        principals: principals(&raw.admin)?,
        admin,
        roles: roles(&raw.gateway)?,
        serves,
        directory,
        domains,
        regions,
        limits: limits(&raw.limits)?,
        log: log(&raw.log)?,
    })
}

fn listener(
    base: &Path,
    section: &str,
    listen: &str,
    tls: Option<&RawTls>,
    or: Option<&TlsFiles>,
) -> Result<Listener, Problem> {
    let listen: SocketAddr = listen.parse().map_err(|_| {
        Problem::at(
            &[section, "listen"],
            "is not an address",
            "write IP:PORT, such as \"127.0.0.1:9443\" or \"[::]:9443\"",
        )
    })?;
    let own = tls.map(|tls| TlsFiles {
        cert: base.join(&tls.cert),
        key: base.join(&tls.key),
    });
    let loopback = listen.ip().is_loopback();
    // On loopback the admin listener is plain unless it has certificates of its own.
    let tls = own.or_else(|| or.filter(|_| !loopback).cloned());
    if tls.is_none() && !loopback {
        return Err(Problem::at(
            &[section, "listen"],
            format!("{} is not loopback and has no TLS", listen.ip()),
            "add tls = { cert = \"…\", key = \"…\" } under [s3], or listen on 127.0.0.1",
        ));
    }
    Ok(Listener { listen, tls })
}

fn hosts(domains: &[String]) -> Result<(), Problem> {
    for domain in domains {
        let fine = !domain.is_empty()
            && domain.split('.').all(|label| !label.is_empty())
            && domain
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b));
        if !fine {
            return Err(Problem::at(
                &["s3", "domains"],
                format!("{domain:?} is not a host name"),
                "write a lower-case host name without port, such as \"s3.eu.example.com\"",
            ));
        }
    }
    Ok(())
}

fn principals(raw: &RawAdmin) -> Result<Vec<Principal>, Problem> {
    let mut principals: Vec<Principal> = Vec::new();
    for (index, principal) in raw.principals.iter().enumerate() {
        let principal = check_principal(index, principal)?;
        if principals.iter().any(|known| known.name == principal.name) {
            return Err(Problem::at(
                &["admin", "principals", &index.to_string(), "name"],
                format!("there are two principals {:?}", principal.name),
                "give each principal a name of its own",
            ));
        }
        principals.push(principal);
    }
    Ok(principals)
}

fn check_principal(index: usize, raw: &RawPrincipal) -> Result<Principal, Problem> {
    let index = index.to_string();
    let at = |key: &str, problem: String, hint: &str| {
        Problem::at(&["admin", "principals", &index, key], problem, hint)
    };
    if raw.name.is_empty() || raw.name.len() > 64 || raw.name.chars().any(char::is_control) {
        return Err(at(
            "name",
            "is not a name".to_owned(),
            "write 1 to 64 characters without control characters",
        ));
    }
    let role = match raw.role.as_str() {
        "operator" => Role::Operator,
        "approver" => Role::Approver,
        "auditor" => Role::Auditor,
        other => {
            return Err(at(
                "role",
                format!("{other:?} is not a role"),
                "write operator, approver or auditor",
            ));
        }
    };
    let mut token_sha256 = [0; 32];
    hex::decode_to_slice(&raw.token_sha256, &mut token_sha256).map_err(|_| {
        at(
            "token_sha256",
            "is not 64 hexadecimal digits".to_owned(),
            "write the output of: printf %s \"$TOKEN\" | sha256sum",
        )
    })?;
    Ok(Principal {
        name: raw.name.clone(),
        role,
        token_sha256,
    })
}

fn roles(raw: &RawGateway) -> Result<Roles, Problem> {
    let Some(names) = &raw.roles else {
        return Ok(Roles {
            data: true,
            control: true,
        });
    };
    let mut roles = Roles {
        data: false,
        control: false,
    };
    for name in names {
        match name.as_str() {
            "data" => roles.data = true,
            "control" => roles.control = true,
            other => {
                return Err(Problem::at(
                    &["gateway", "roles"],
                    format!("{other:?} is not a role"),
                    "write [\"data\"], [\"control\"] or both",
                ));
            }
        }
    }
    if !(roles.data || roles.control) {
        return Err(Problem::at(
            &["gateway", "roles"],
            "is empty",
            "write [\"data\"], [\"control\"] or both",
        ));
    }
    Ok(roles)
}

fn check_domain(base: &Path, name: &str, raw: &RawDomain) -> Result<DomainConfig, Problem> {
    if raw.jurisdiction.is_empty() {
        return Err(Problem::at(
            &["domains", name, "jurisdiction"],
            "is empty",
            "name the jurisdiction, such as \"EU\"",
        ));
    }
    endpoint(
        &["domains", name, "public_endpoint"],
        &raw.public_endpoint,
        false,
    )?;
    Ok(DomainConfig {
        jurisdiction: raw.jurisdiction.clone(),
        public_endpoint: raw.public_endpoint.trim_end_matches('/').to_owned(),
        stores: domain_stores(base, name, raw)?,
    })
}

fn domain_stores(
    base: &Path,
    name: &str,
    raw: &RawDomain,
) -> Result<Option<DomainStores>, Problem> {
    let (Some(catalog), Some(key_store), Some(root)) = (&raw.catalog, &raw.key_store, &raw.root)
    else {
        let named = [
            ("catalog", raw.catalog.is_some()),
            ("key_store", raw.key_store.is_some()),
            ("root", raw.root.is_some()),
        ];
        let missing = named.iter().find(|(_, there)| !there);
        return match missing {
            Some((key, _)) if named.iter().any(|(_, there)| *there) => Err(Problem::at(
                &["domains", name],
                format!("the key `{key}` is missing"),
                "a domain has catalog, key_store and root, or none of them when no region of it is served here",
            )),
            _ => Ok(None),
        };
    };
    let lease_s = raw.lease_s.unwrap_or(300);
    if !(30..=900).contains(&lease_s) {
        return Err(Problem::at(
            &["domains", name, "lease_s"],
            format!("{lease_s} is out of range"),
            "write a number of seconds from 30 to 900",
        ));
    }
    let directory =
        |key: &str, kind: &str, place: &RawPlace| dir(base, &["domains", name, key], kind, place);
    let (log_dir, log_bucket) = match &raw.log {
        Some(place) => log_place(base, name, place)?,
        None => (None, None),
    };
    Ok(Some(DomainStores {
        catalog: store_url(
            base,
            &["domains", name, "catalog"],
            catalog,
            raw.catalog_password_file.as_ref(),
        )?,
        key_store: store_url(
            base,
            &["domains", name, "key_store"],
            key_store,
            raw.key_store_password_file.as_ref(),
        )?,
        root_dir: directory("root", "file", root)?,
        key_backup_dir: raw
            .key_backup
            .as_ref()
            .map(|p| directory("key_backup", "dir", p))
            .transpose()?,
        log_dir,
        log_bucket,
        lease: Duration::from_secs(lease_s),
    }))
}

fn dir(base: &Path, path: &[&str], kind: &str, place: &RawPlace) -> Result<PathBuf, Problem> {
    if place.kind != kind {
        let mut path = path.to_vec();
        path.push("kind");
        return Err(Problem::at(
            &path,
            format!("{:?} is not available in this version", place.kind),
            format!("write kind = {kind:?}"),
        ));
    }
    Ok(base.join(&place.path))
}

fn serves(
    raw: &RawGateway,
    domains: &BTreeMap<DomainName, DomainConfig>,
    regions: &BTreeMap<RegionName, RegionConfig>,
) -> Result<Vec<RegionName>, Problem> {
    let at = |problem: String, hint: String| Problem::at(&["gateway", "serves"], problem, hint);
    let mut served: Vec<RegionName> = Vec::new();
    let mut jurisdiction: Option<(&str, &str)> = None;
    for name in &raw.serves {
        let found = regions.iter().find(|(region, _)| region.as_str() == name);
        let Some((region, config)) = found else {
            return Err(at(
                format!("there is no region {name:?}"),
                format!("add a section [regions.{name}], or remove it from the list"),
            ));
        };
        if served.contains(region) {
            return Err(at(
                format!("names {name} twice"),
                "name each region once".to_owned(),
            ));
        }
        let Some(domain) = domains.get(&config.domain) else {
            continue;
        };
        if config.backend.is_none() {
            return Err(at(
                format!("{name} has no backend"),
                format!("add backend = {{ kind = … }} to [regions.{name}]"),
            ));
        }
        if domain.stores.is_none() {
            return Err(at(
                format!("{name} is of domain {}, which has no stores", config.domain),
                format!(
                    "add catalog, key_store and root to [domains.{}]",
                    config.domain
                ),
            ));
        }
        match jurisdiction {
            Some((other, of)) if of != domain.jurisdiction => {
                return Err(at(
                    format!(
                        "{other} is of jurisdiction {of} and {name} of {}",
                        domain.jurisdiction
                    ),
                    "serve the regions of one jurisdiction, and run another gateway for the other"
                        .to_owned(),
                ));
            }
            _ => jurisdiction = Some((name, &domain.jurisdiction)),
        }
        served.push(region.clone());
    }
    if served.is_empty() {
        return Err(at(
            "is empty".to_owned(),
            "name the regions that this gateway serves".to_owned(),
        ));
    }
    Ok(served)
}

fn log(raw: &RawLog) -> Result<LogConfig, Problem> {
    let level = raw.level.clone().unwrap_or_else(|| "info".to_owned());
    if tracing_subscriber::EnvFilter::try_new(&level).is_err() {
        return Err(Problem::at(
            &["log", "level"],
            format!("{level:?} is not a log level"),
            "write error, warn, info, debug, or a filter such as \"info,lethe=debug\"",
        ));
    }
    let format = match raw.format.as_deref() {
        None | Some("text") => LogFormat::Text,
        Some("json") => LogFormat::Json,
        Some(other) => {
            return Err(Problem::at(
                &["log", "format"],
                format!("{other:?} is not a log format"),
                "write text or json",
            ));
        }
    };
    Ok(LogConfig { level, format })
}
