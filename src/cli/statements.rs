//! Statements beside a domain's log: which tenants an older copy of the key store must forget, or not be opened with.

use super::error::CommandError;
use crate::log::{LogPath, LogReader, ReceiptId};
use crate::tenants::TenantId;
use lethe_keys::{KeyService, KeyServiceConfig};
use lethe_receipts::statement::Stage;
use lethe_receipts::{Envelope, Statement};
use std::collections::BTreeSet;

/// Statements of one page: large ones, because a log in a directory looks through all of its files for each.
const PAGE_STATEMENTS: usize = 50_000;

/// Tenants that any statement says are erased: a restored world is told what it must forget.
pub(super) async fn erased(reader: &dyn LogReader) -> Result<Vec<TenantId>, CommandError> {
    erased_of(reader, None).await
}

/// Tenants that statements say are erased which the key store has never seen. In its own history there are none but those
/// of a crash, or of a restore, and their keys are not in it.
pub(super) async fn erased_since(
    reader: &dyn LogReader,
    keys: &KeyServiceConfig,
) -> Result<Vec<TenantId>, CommandError> {
    erased_of(reader, Some(keys)).await
}

async fn erased_of(
    reader: &dyn LogReader,
    unknown_to: Option<&KeyServiceConfig>,
) -> Result<Vec<TenantId>, CommandError> {
    let mut found = BTreeSet::new();
    let mut after: Option<ReceiptId> = None;
    loop {
        let page = reader.statements(after, PAGE_STATEMENTS).await;
        let page = page.map_err(|error| failed(&error))?;
        let Some(last) = page.last() else {
            return Ok(found.into_iter().map(TenantId::from_bytes).collect());
        };
        if after.is_some_and(|after| *last <= after) {
            return Err(failed(&"the list does not go on"));
        }
        after = Some(*last);
        let page = match unknown_to {
            None => page,
            Some(keys) => {
                let ids: Vec<[u8; 16]> = page.iter().map(|id| id.0).collect();
                let unknown = KeyService::unknown_statements(keys, &ids).await?;
                unknown.into_iter().map(ReceiptId).collect()
            }
        };
        for id in &page {
            if let Some(tenant) = erased_by(reader, id).await? {
                found.insert(tenant);
            }
        }
    }
}

async fn erased_by(
    reader: &dyn LogReader,
    id: &ReceiptId,
) -> Result<Option<[u8; 16]>, CommandError> {
    let text = reader.read(&LogPath::Statement(*id)).await;
    let text = text.map_err(|error| failed(&error))?;
    let text = text.ok_or_else(|| failed(&format!("statement {id} is gone")))?;
    let envelope = Envelope::from_json(&text).map_err(|error| failed(&error))?;
    let statement = Statement::from_envelope(&envelope).map_err(|error| failed(&error))?;
    let predicate = &statement.body().predicate;
    Ok((predicate.stage >= Stage::Erased).then_some(predicate.tenant.id.0))
}

fn failed(problem: &dyn std::fmt::Display) -> CommandError {
    CommandError::failed(
        format!("the statements beside the log: {problem}"),
        "they say which tenants an older key store must forget; bring the log back",
    )
}
