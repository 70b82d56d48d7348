//! `lethe doctor`: tries everything that `serve` needs, changes nothing, and says what to mend.

use super::error::CommandError;
use super::logs::OpenLog;
use super::output::{Format, print};
use super::regions;
use super::stores;
use crate::catalog::DomainStore as _;
use crate::config::{self, Config, Environment, Listener};
use crate::directory::{Directory as _, SqlDirectory};
use crate::edge::{CertificateFiles, ReloadingCertificate};
use crate::tenants::DomainName;
use lethe_keys::{BackupDirectory, BackupError, BackupPlace as _, KeyService};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::Path;

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    subject: String,
    ok: bool,
    problem: Option<String>,
}

impl Finding {
    fn of(subject: impl Into<String>, outcome: Result<(), CommandError>) -> Self {
        Self {
            subject: subject.into(),
            ok: outcome.is_ok(),
            problem: outcome.err().map(|error| error.to_string()),
        }
    }
}

/// Looks at everything; fails when anything is wrong.
pub(super) async fn doctor(
    file: &Path,
    environment: &Environment,
    format: Format,
) -> Result<(), CommandError> {
    let config = config::load(file, environment)?;
    let mut findings = vec![Finding::of("configuration", Ok(()))];
    for (section, listener) in [("[s3] tls", &config.s3), ("[admin] tls", &config.admin)] {
        if listener.tls.is_some() {
            findings.push(Finding::of(section, certificate(listener)));
        }
    }
    if config.principals.is_empty() {
        let none = CommandError::failed("nobody may use the admin API", "add [[admin.principals]]");
        findings.push(Finding::of("[admin] principals", Err(none)));
    }
    findings.push(Finding::of("directory", directory(&config).await));
    let served = config
        .serves
        .iter()
        .filter_map(|name| config.regions.get(name));
    let domains: BTreeSet<&DomainName> = served.map(|region| &region.domain).collect();
    for domain in domains {
        of_domain(&config, domain, &mut findings).await;
    }
    print(format, &["subject", "ok", "problem"], &findings)?;
    let wrong = findings.iter().filter(|finding| !finding.ok).count();
    if wrong == 0 {
        return Ok(());
    }
    Err(CommandError::failed(
        format!("{wrong} of {} checks failed", findings.len()),
        "mend them from the top",
    ))
}

fn certificate(listener: &Listener) -> Result<(), CommandError> {
    let Some(tls) = &listener.tls else {
        return Ok(());
    };
    let files = CertificateFiles {
        cert: tls.cert.clone(),
        key: tls.key.clone(),
    };
    Ok(ReloadingCertificate::load(files).map(drop)?)
}

async fn directory(config: &Config) -> Result<(), CommandError> {
    let directory = SqlDirectory::open(&config.directory, &stores::store_options(config)).await?;
    Ok(directory.ping().await?)
}

async fn keys(config: &Config, name: &DomainName, findings: &mut Vec<Finding>) {
    let subject = format!("domain {name}: key store, root, apart");
    let (keys, log) = match stores::open_domain(config, name, false).await {
        Ok(opened) => (opened.keys, opened.log),
        Err(error) => {
            findings.push(Finding::of(subject, Err(error)));
            return;
        }
    };
    // A gateway that only serves data needs to open nodes, and just has.
    if config.roles.control {
        let control = keys.check_root_control().await.map_err(CommandError::from);
        let subject = format!("domain {name}: root {}, control", keys.root_kind());
        findings.push(Finding::of(subject, control));
    }
    if let Some(log) = &log {
        witnesses(name, log, findings).await;
    }
    findings.extend(backups(config, name, &keys).await);
    let closed = keys.close().await.map_err(CommandError::from);
    findings.push(Finding::of(subject, closed));
}

/// Whether the newest backup holds every KEK; one that it does not hold is lost with the key store.
async fn backups(config: &Config, name: &DomainName, keys: &KeyService) -> Option<Finding> {
    let (_, domain) = stores::domain_stores(config, name).ok()?;
    let dir = domain.key_backup_dir.as_deref()?;
    let subject = format!("domain {name}: key backup");
    let newer = async {
        let failed = |error: BackupError| CommandError::Failed(error.to_string());
        let place = BackupDirectory::new(dir);
        // A gateway that only serves data writes no backups.
        if config.roles.control {
            place.ready(&keys.identity()).await.map_err(failed)?;
        }
        let newest = place.newest_begun_ms().await.map_err(failed)?;
        let since = newest.unwrap_or(i64::MIN);
        Ok::<_, CommandError>((newest, keys.keks_made_since(since).await?))
    };
    Some(match newer.await {
        Err(error) => Finding::of(subject, Err(error)),
        Ok((_, 0)) => Finding::of(subject, Ok(())),
        Ok((newest, keks)) => {
            let than = newest.map_or("there is no backup", |_| "newer than the newest backup");
            let hint = format!("run `lethe key-store backup {name}`");
            // Nothing is broken yet: a warning, which fails nothing.
            Finding {
                subject,
                ok: true,
                problem: Some(format!("warning: {keks} KEKs, {than}; {hint}")),
            }
        }
    })
}

/// Whether each witness answers, and has seen nothing else than this log.
async fn witnesses(name: &DomainName, log: &OpenLog, findings: &mut Vec<Finding>) {
    let asked = log.witnesses.newest(log.store.as_ref()).await;
    for witness in log.witnesses.names() {
        let outcome = match &asked {
            Err(error) => Err(CommandError::Failed(error.to_string())),
            Ok(newest) => match newest.silent.iter().find(|(silent, _)| silent == witness) {
                Some((_, problem)) => Err(CommandError::Failed(problem.clone())),
                None => Ok(()),
            },
        };
        findings.push(Finding::of(
            format!("domain {name}: witness {witness}"),
            outcome,
        ));
    }
}

async fn of_domain(config: &Config, name: &DomainName, findings: &mut Vec<Finding>) {
    let catalog = match stores::open_catalog(config, name).await {
        Ok(catalog) => catalog,
        Err(error) => {
            findings.push(Finding::of(format!("domain {name}: catalog"), Err(error)));
            return;
        }
    };
    let pinged = catalog.ping().await.map_err(CommandError::from);
    findings.push(Finding::of(format!("domain {name}: catalog"), pinged));
    keys(config, name, findings).await;
    for region in &config.serves {
        let backend = config.regions.get(region).filter(|of| of.domain == *name);
        let Some(backend) = backend.and_then(|region| region.backend.as_ref()) else {
            continue;
        };
        let opened = regions::open(
            catalog.as_ref(),
            region,
            backend,
            &config.limits,
            &config.file,
        )
        .await;
        let pinged = match opened {
            Ok(store) => store.ping().await.map_err(CommandError::from),
            Err(error) => Err(error),
        };
        findings.push(Finding::of(format!("region {region}"), pinged));
    }
}
