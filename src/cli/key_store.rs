//! `lethe key-store`: backups of a domain's key store, tried out and restored.

use super::args::{ApiArguments, KeyStoreCommand};
use super::client::{Client, encoded};
use super::error::CommandError;
use super::forgetting::Forgetting;
use super::logs::{self, Purpose};
use super::output::{Format, print};
use super::statements::{Beside, Erased};
use super::stores;
use crate::admin::KeyBackupBody;
use crate::catalog::DomainStore as _;
use crate::config::{self, DomainStores, Environment};
use crate::tenants::DomainName;
use lethe_keys::{
    BackupDirectory, ForgetGuard, KeyService, KeyStoreIdentity, Override, RestoreOptions,
};
use serde_json::json;
use std::path::Path;

/// `lethe key-store`.
pub(super) async fn key_store(
    api: &ApiArguments,
    command: KeyStoreCommand,
    environment: &Environment,
    format: Format,
) -> Result<(), CommandError> {
    match command {
        KeyStoreCommand::Backup { domain } => {
            let path = format!("/v1/domains/{}/key-store/backup", encoded(&domain));
            let made: KeyBackupBody = Client::new(api)?.post(&path, &json!({})).await?;
            let columns = ["file", "sha256", "created_ms", "nodes", "keks"];
            print(format, &columns, &made)
        }
        KeyStoreCommand::TestRestore {
            domain,
            file,
            config,
        } => test_restore(&name(&domain)?, &file, &config, environment, format).await,
        KeyStoreCommand::AdoptBackupPlace { domain, config } => {
            adopt(&name(&domain)?, &config, environment, format).await
        }
        KeyStoreCommand::Restore {
            domain,
            file,
            config,
            accept_behind,
            forget,
        } => {
            let asked = Asked {
                domain: name(&domain)?,
                file,
                accept_behind,
                forget,
            };
            restore(&asked, &config, environment, format).await
        }
    }
}

fn name(domain: &str) -> Result<DomainName, CommandError> {
    domain
        .parse()
        .map_err(|error| CommandError::Usage(format!("{error}")))
}

fn place(domain: &DomainName, stores: &DomainStores) -> Result<BackupDirectory, CommandError> {
    let dir = stores.key_backup_dir.as_deref();
    let dir =
        dir.ok_or_else(|| CommandError::Usage(format!("[domains.{domain}] names no key_backup")))?;
    Ok(BackupDirectory::new(dir))
}

async fn test_restore(
    domain: &DomainName,
    file: &str,
    config: &Path,
    environment: &Environment,
    format: Format,
) -> Result<(), CommandError> {
    let config = config::load(config, environment)?;
    let (_, domain_stores) = stores::domain_stores(&config, domain)?;
    let place = place(domain, domain_stores)?;
    let opened = stores::open_domain(&config, domain, false).await?;
    let scratch = super::shredding::scratch(domain_stores);
    let tested = opened.keys.test_restore(&place, file, &scratch).await;
    opened.keys.close().await?;
    let tested = tested?;
    let view = json!({
        "file": file, "sha256": hex::encode(tested.sha256), "epoch": tested.epoch.0,
        "nodes": tested.nodes, "keks": tested.keks, "erased_tenants_found": 0,
        "erased_tenants_looked_for": tested.victims,
    });
    let columns = [
        "file",
        "sha256",
        "epoch",
        "nodes",
        "keks",
        "erased_tenants_found",
        "erased_tenants_looked_for",
    ];
    print(format, &columns, &view)
}

async fn adopt(
    domain: &DomainName,
    config: &Path,
    environment: &Environment,
    format: Format,
) -> Result<(), CommandError> {
    let config = config::load(config, environment)?;
    let (_, domain_stores) = stores::domain_stores(&config, domain)?;
    let dir = domain_stores
        .key_backup_dir
        .as_deref()
        .ok_or_else(|| CommandError::Usage(format!("[domains.{domain}] names no key_backup")))?;
    let catalog = stores::open_catalog(&config, domain).await?;
    let key_store = KeyStoreIdentity::from_bytes(catalog.identities().await?.key_store);
    stores::adopt(dir, key_store).await?;
    let view = json!({
        "domain": domain.as_str(), "key_backup": dir, "key_store_identity": key_store.to_string(),
    });
    print(
        format,
        &["domain", "key_backup", "key_store_identity"],
        &view,
    )
}

struct Asked {
    domain: DomainName,
    file: String,
    accept_behind: Option<String>,
    forget: Vec<String>,
}

async fn restore(
    asked: &Asked,
    config: &Path,
    environment: &Environment,
    format: Format,
) -> Result<(), CommandError> {
    let config = config::load(config, environment)?;
    let (domain_config, domain_stores) = stores::domain_stores(&config, &asked.domain)?;
    let place = place(&asked.domain, domain_stores)?;
    let mut keys = stores::key_config(&config, &asked.domain, domain_stores, false)?;
    let catalog = stores::open_catalog(&config, &asked.domain).await?;
    keys.epoch_min = stores::epoch_seen(catalog.as_ref()).await?;
    let shredding = stores::shredding(catalog.as_ref()).await?;
    let log = logs::open_log(&config, &asked.domain, domain_config, domain_stores).await?;
    let (newest, erased) = match &log {
        None => (None, Erased::default()),
        Some(log) => {
            // Without the entries since: a backup that the log has outgrown is restored by an operator's decision only.
            let compared = log.compared();
            let (newest, head) =
                logs::newest(&asked.domain, compared, None, Purpose::Growing).await?;
            // An operator's decision to go on without is one to restore what is behind.
            if newest.log_size == 0 && asked.accept_behind.is_none() {
                return Err(CommandError::failed(
                    format!(
                        "domain {}: the log has no checkpoint, so nothing says what the backup is behind",
                        asked.domain
                    ),
                    "bring the log back, or say with --accept-behind why it is gone",
                ));
            }
            let beside = Beside {
                domain: &asked.domain,
                reader: compared.reader,
                published: compared.published,
                head,
            };
            (Some(newest), beside.erased().await?)
        }
    };
    for problem in &erased.passed_over {
        eprintln!("lethe: beside the log, passed over: {problem}");
    }
    // Those whose shred has moved the root are said to be erased only when the epoch before is destroyed.
    let left_behind = &shredding.left_behind;
    let forgetting = Forgetting::new(catalog.as_ref(), &erased, left_behind, &asked.forget).await?;
    let accepted = asked.accept_behind.as_ref().map(|reason| Override {
        reason: reason.clone(),
        time: jiff::Timestamp::from_millisecond(stores::clock().now().0)
            .map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
            .unwrap_or_default(),
    });
    let options = RestoreOptions {
        forget: forgetting.tenants(),
        guard: Some(ForgetGuard(&|found| forgetting.guard(found))),
        fence: &shredding.fenced,
        fence_seen: shredding.fence_seen,
        newest: newest.as_ref(),
        accept_behind: accepted.as_ref(),
    };
    let restored = KeyService::restore(&keys, &place, &asked.file, &options).await;
    let restored = restored.map_err(|error| forgetting.refused(error))?;
    let view = json!({
        "domain": asked.domain.as_str(), "identity": restored.identity.to_string(), "epoch": restored.epoch.0,
        "keks": restored.keks, "forgotten_tenants": restored.forgotten.map_or(0, |moved| moved.victims),
        "forgotten": forgetting.names(&restored.forgotten_tenants),
    });
    let columns = [
        "domain",
        "identity",
        "epoch",
        "keks",
        "forgotten_tenants",
        "forgotten",
    ];
    print(format, &columns, &view)
}
