//! `lethe log rebuild`: writes a domain's log again, from its key store and its catalog.

use super::args::LogRebuildArguments;
use super::error::CommandError;
use super::logs;
use super::output::{Format, print};
use super::stores;
use crate::catalog::{self, CatalogError, ReceiptStore as _, ShredStore as _, SqlCatalog};
use crate::config::{self, Environment};
use crate::log::{KnownEntry, LogHistory, ReceiptId, SourceError, rebuild_log};
use crate::shred::proven_head;
use crate::tenants::DomainName;
use async_trait::async_trait;
use bytes::Bytes;
use lethe_keys::{EntrySubject, KeyService, KeyServiceConfig};
use lethe_receipts::log::{Entry, TreeHead};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The newest shreds whose receipts are looked at: one a day for decades.
const SHREDS_MAX: u32 = 10_000;

pub(super) async fn rebuild(
    arguments: LogRebuildArguments,
    environment: &Environment,
    format: Format,
) -> Result<(), CommandError> {
    let config = config::load(&arguments.config, environment)?;
    let name: DomainName = arguments
        .domain
        .parse()
        .map_err(|error| CommandError::Usage(format!("{error}")))?;
    let (domain, domain_stores) = stores::domain_stores(&config, &name)?;
    if let Some(dir) = &domain_stores.log_dir {
        stores::make_dir(dir)?;
    }
    let log = logs::open_log(&config, &name, domain, domain_stores).await?;
    let log = log.ok_or_else(|| {
        CommandError::Usage(format!(
            "{}: [domains.{name}] names no log, or no signing keys",
            config.file.display()
        ))
    })?;
    let history = Remembered {
        keys: stores::key_config(&config, &name, domain_stores, false)?,
        catalog: stores::open_catalog(&config, &name).await?,
    };
    let mut seen = seen_by_receipts(&history.catalog).await?;
    let mut witnesses_asked = 0;
    for (witness, head) in log.witnesses.seen_by_each().await {
        match head {
            Ok(head) => {
                witnesses_asked += 1;
                seen.extend(head.map(|head| (format!("witness {witness}"), head)));
            }
            Err(problem) if arguments.without_silent_witnesses => {
                tracing::warn!(op = "log rebuild", %witness, problem, outcome = "unasked", "a witness does not answer");
            }
            Err(problem) => {
                return Err(CommandError::failed(
                    format!("domain {name}: witness {witness}: {problem}"),
                    "bring it back: it says whether this is the log that it has seen; or give --without-silent-witnesses",
                ));
            }
        }
    }
    let key = log.signing.log_key()?;
    let verifiers = &log.signing.published_log().keys;
    let rebuilt = rebuild_log(log.store.as_ref(), &key, verifiers, &history, &seen).await;
    let rebuilt = rebuilt.map_err(|error| {
        CommandError::failed(
            format!("domain {name}: the log is not rebuilt: {error}"),
            "see docs/operations.md, \"A log that is lost\"",
        )
    })?;
    let view = json!({
        "domain": name.as_str(), "entries": rebuilt.head.size, "root": hex::encode(rebuilt.head.root),
        "statements": rebuilt.statements, "witnesses_asked": witnesses_asked, "was_there": rebuilt.was_there,
    });
    let columns = [
        "domain",
        "entries",
        "root",
        "statements",
        "witnesses_asked",
        "was_there",
    ];
    print(format, &columns, &view)
}

/// The trees that receipts were proven to be in: an older copy of the key store does not lead to them.
async fn seen_by_receipts(catalog: &SqlCatalog) -> Result<Vec<(String, TreeHead)>, CommandError> {
    let mut seen: BTreeMap<String, TreeHead> = BTreeMap::new();
    for shred in catalog.shreds(SHREDS_MAX).await? {
        for termination in catalog.shred_terminations(shred.id).await? {
            for receipt in catalog.receipts(termination.tenant).await? {
                let Some(proof) = &receipt.proof else {
                    continue;
                };
                let head = proven_head(proof);
                let head = head.map_err(|error| CommandError::Failed(error.to_string()))?;
                // Many receipts are proven with one tree.
                if !seen.values().any(|other| *other == head) {
                    seen.insert(format!("receipt {}", receipt.id), head);
                }
            }
        }
    }
    Ok(seen.into_iter().collect())
}

/// What key store and catalog remember of a log.
struct Remembered {
    keys: KeyServiceConfig,
    catalog: Arc<SqlCatalog>,
}

fn failed(error: impl std::fmt::Display) -> SourceError {
    SourceError(error.to_string())
}

#[async_trait]
impl LogHistory for Remembered {
    async fn log_size(&self) -> Result<u64, SourceError> {
        let recorded = KeyService::recorded_log_size(&self.keys).await;
        recorded.map_err(failed)
    }

    async fn entries(&self, from: u64, max: usize) -> Result<Vec<KnownEntry>, SourceError> {
        let known = KeyService::recorded_entries(&self.keys, from, max).await;
        let known = known.map_err(failed)?;
        let recorded = self.log_size().await?;
        if from >= recorded {
            // What the log took last, and a crash kept from the key store: it takes the oldest first.
            let skipped = usize::try_from(from - recorded).unwrap_or(usize::MAX);
            let next = known.pending.iter().skip(skipped).take(max);
            return Ok(next
                .map(|one| KnownEntry {
                    entry: Entry(one.entry),
                    statement: match one.subject {
                        EntrySubject::Statement { receipt_id } => Some(ReceiptId(receipt_id)),
                        EntrySubject::Kek { .. } | EntrySubject::Override => None,
                    },
                })
                .collect());
        }
        let in_order = known.sequenced.iter().zip(from..recorded);
        let without_gap = in_order.take_while(|(one, index)| one.index == *index);
        Ok(without_gap
            .map(|(one, _)| KnownEntry {
                entry: Entry(one.entry),
                statement: one.receipt_id.map(ReceiptId),
            })
            .collect())
    }

    async fn statement(&self, receipt: ReceiptId) -> Result<Option<Bytes>, SourceError> {
        let id = catalog::ReceiptId::from_bytes(receipt.0);
        match self.catalog.receipt(id).await {
            Ok(row) => Ok(Some(Bytes::from(row.envelope))),
            Err(CatalogError::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }
}
