//! Statements beside a domain's log: which tenants an older copy of the key store must forget, or not be opened with.
//!
//! Whoever can write to the log's place can put files there, so a file is a statement only if an issuer of this domain signed it,
//! it is of this domain, it lies under its own receipt's id, and its entry is in the tree whose checkpoint was verified. Windows of
//! issuers' keys are not judged: the time in a statement is the word of whoever signed it, and the log is what a stolen key has not.
//! What does not hold is passed over and told. It stops no gateway and makes nobody forgotten.
//!
//! Nothing true is lost by that. A statement `erased` is written beside the log before the log has its entry. Where a crash, or a log
//! that was rolled back, leaves it there alone, the keys have been left behind by the move of the root before, the catalog's row
//! of the shred says so (a restore goes by that row, too, and a start by its epoch), and every older copy of the key
//! store lacks the entries of the receipts `revoked`, without which it is refused as behind the log. Who brings back key store, root,
//! catalog **and** log of one moment is told of the statement, and says `--forget`.

use super::error::CommandError;
use crate::log::{LogPath, LogReader, LogStoreError, ReceiptId, find_entries};
use crate::signing::PublishedLog;
use crate::tenants::{DomainName, TenantId};
use lethe_keys::{KeyService, KeyServiceConfig};
use lethe_receipts::log::{Entry, TreeHead};
use lethe_receipts::statement::Stage;
use lethe_receipts::{Envelope, Statement};
use std::collections::{BTreeMap, BTreeSet};

/// Statements of one page: large ones, because a log in a directory looks through all of its files for each.
const PAGE_STATEMENTS: usize = 50_000;

/// Problems that are told of; the rest is counted.
const PROBLEMS_MAX: usize = 20;

/// What lies beside a domain's log.
pub(super) struct Beside<'a> {
    pub(super) domain: &'a DomainName,
    pub(super) reader: &'a dyn LogReader,
    /// Whose signatures count.
    pub(super) published: &'a PublishedLog,
    /// The log's tree, of which the signature is verified; `None` for a log without entries.
    pub(super) head: Option<TreeHead>,
}

/// Who is erased.
#[derive(Debug, Default)]
pub(super) struct Erased {
    /// By a statement that holds.
    pub(super) tenants: Vec<TenantId>,
    /// By a statement that holds but for the log, which does not have it.
    pub(super) unlogged: Vec<TenantId>,
    /// What was found and does not hold, a sentence each.
    pub(super) passed_over: Vec<String>,
}

/// Statements `erased` and later that are signed, by entry.
type Signed = BTreeMap<Entry, (ReceiptId, TenantId)>;

#[derive(Default)]
struct Problems {
    first: Vec<String>,
    more: usize,
}

impl Problems {
    fn add(&mut self, id: &ReceiptId, why: &dyn std::fmt::Display) {
        if self.first.len() < PROBLEMS_MAX {
            self.first.push(format!("statements/{id}.json: {why}"));
        } else {
            self.more += 1;
        }
    }

    fn told(mut self) -> Vec<String> {
        if self.more > 0 {
            self.first.push(format!("and {} more", self.more));
        }
        self.first
    }
}

impl Beside<'_> {
    /// Tenants that statements of the log say are erased: a restored world is told what it must forget.
    pub(super) async fn erased(&self) -> Result<Erased, CommandError> {
        let mut problems = Problems::default();
        let signed = self.signed(None, &mut problems).await?;
        self.logged(signed, problems).await
    }

    /// Tenants whose keys the key store holds and whom statements of the log that it has never seen say are erased. In its own
    /// history there are none but those of a crash, or of a restore, and their keys are not in it.
    pub(super) async fn erased_since(
        &self,
        keys: &KeyServiceConfig,
    ) -> Result<Erased, CommandError> {
        let mut problems = Problems::default();
        let mut signed = self.signed(Some(keys), &mut problems).await?;
        let tenants: BTreeSet<[u8; 16]> = signed.values().map(|one| *one.1.as_bytes()).collect();
        let tenants: Vec<TenantId> = tenants.into_iter().map(TenantId::from_bytes).collect();
        let held = KeyService::tenants_with_keys(keys, &tenants).await?;
        // The log is read for those alone whom it matters for.
        signed.retain(|_, (_, tenant)| held.contains(tenant));
        self.logged(signed, problems).await
    }

    /// Those of signed statements that are in the log.
    async fn logged(&self, signed: Signed, mut problems: Problems) -> Result<Erased, CommandError> {
        let wanted: BTreeSet<Entry> = signed.keys().copied().collect();
        let found = match &self.head {
            Some(head) if !wanted.is_empty() => find_entries(self.reader, head, &wanted)
                .await
                .map_err(|error| failed(&error))?,
            _ => BTreeSet::new(),
        };
        let (mut tenants, mut unlogged) = (BTreeSet::new(), BTreeSet::new());
        for (entry, (id, tenant)) in &signed {
            if found.contains(entry) {
                tenants.insert(*tenant.as_bytes());
            } else {
                unlogged.insert(*tenant.as_bytes());
                let why = format!("it says that tenant {tenant} is erased, and is not in the log");
                problems.add(id, &why);
            }
        }
        let unlogged = unlogged.difference(&tenants).copied();
        Ok(Erased {
            unlogged: unlogged.map(TenantId::from_bytes).collect(),
            tenants: tenants.into_iter().map(TenantId::from_bytes).collect(),
            passed_over: problems.told(),
        })
    }

    async fn signed(
        &self,
        unknown_to: Option<&KeyServiceConfig>,
        problems: &mut Problems,
    ) -> Result<Signed, CommandError> {
        let mut signed = Signed::new();
        let mut after: Option<ReceiptId> = None;
        loop {
            let page = self.reader.statements(after, PAGE_STATEMENTS).await;
            let page = page.map_err(|error| failed(&error))?;
            let Some(last) = page.last() else {
                return Ok(signed);
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
            for id in page {
                match self.read(&id).await? {
                    Ok(Some((entry, tenant))) => drop(signed.insert(entry, (id, tenant))),
                    Ok(None) => {}
                    Err(why) => problems.add(&id, &why),
                }
            }
        }
    }

    /// Whom a statement says to be erased, and its entry; the inner error says why it is no statement of this domain.
    async fn read(
        &self,
        id: &ReceiptId,
    ) -> Result<Result<Option<(Entry, TenantId)>, String>, CommandError> {
        match self.reader.read(&LogPath::Statement(*id)).await {
            Ok(Some(text)) => Ok(self.judge(id, &text)),
            Ok(None) => Ok(Err("it is gone".to_owned())),
            Err(error @ LogStoreError::Away { .. }) => Err(failed(&error)),
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    fn judge(&self, id: &ReceiptId, text: &[u8]) -> Result<Option<(Entry, TenantId)>, String> {
        let envelope = Envelope::from_json(text).map_err(|error| error.to_string())?;
        let signature = envelope.signatures().first().ok_or("it is not signed")?;
        let issuers = &self.published.issuers;
        let issuer = issuers.iter().find(|key| key.key_id() == signature.keyid);
        let issuer = issuer.ok_or("it is not signed by an issuer of this domain")?;
        let held = issuer.verify(&envelope.pae(), &signature.sig);
        held.map_err(|_| "its signature does not hold")?;
        let statement = Statement::from_envelope(&envelope).map_err(|error| error.to_string())?;
        let predicate = &statement.body().predicate;
        if predicate.domain.name.as_str() != self.domain.as_str() {
            return Err("it is another domain's".to_owned());
        }
        if predicate.receipt_id.0 != id.0 {
            return Err("it is that of another receipt than its name says".to_owned());
        }
        let erased = predicate.stage >= Stage::Erased;
        let tenant = TenantId::from_bytes(predicate.tenant.id.0);
        Ok(erased.then(|| (envelope.log_entry(), tenant)))
    }
}

fn failed(problem: &dyn std::fmt::Display) -> CommandError {
    CommandError::failed(
        format!("the statements beside the log: {problem}"),
        "they say which tenants an older key store must forget; bring the log back",
    )
}

#[cfg(test)]
mod tests;
