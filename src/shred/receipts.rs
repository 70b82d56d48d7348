//! Issuing receipts, once a tenant and stage, and putting them into files with their proofs.

use super::domain::{ShredDomain, Witnessed};
use super::error::ShredError;
use crate::catalog::{ReceiptId, ReceiptProof, ReceiptRow, ReceiptStage};
use crate::tenants::TenantId;
use futures::future::BoxFuture;
use lethe_receipts::keys::KeyId;
use lethe_receipts::log::{SignedCheckpoint, TreeHead};
use lethe_receipts::{Envelope, FiledReceipt, Logged, LoggedKey, ReceiptFile, Statement};
use std::collections::{BTreeSet, HashSet};

/// Receipts that one pass looks after.
const PAGE_RECEIPTS: u32 = 100;

/// Receipts that can't be queued before the pass ends.
const UNPUBLISHED_MAX: u32 = 3;

/// Receipts that are looked past at most when some of them fail.
const RECEIPTS_MAX: u32 = 1000;

impl ShredDomain {
    /// Issues the receipt of a stage unless it was issued: `statement` makes it then, under `id`. Whoever comes first has made it;
    /// then it lies beside the log and is queued for it, which may happen any number of times.
    pub(super) async fn issue(
        &self,
        tenant: TenantId,
        stage: ReceiptStage,
        id: ReceiptId,
        statement: BoxFuture<'_, Result<Statement, ShredError>>,
    ) -> Result<ReceiptRow, ShredError> {
        let catalog = &self.stores.catalog;
        let issued = catalog.receipts(tenant).await?;
        let receipt = match issued.into_iter().find(|one| one.stage == stage) {
            Some(receipt) => receipt,
            None => {
                let statement = statement.await?;
                let envelope = Envelope::issue(&statement, self.signing.issuer()?.as_ref());
                let row = ReceiptRow {
                    id,
                    tenant,
                    stage,
                    envelope: envelope
                        .to_json()
                        .map_err(ShredError::not_json("receipt"))?,
                    entry: envelope.log_entry().0,
                    issued: self.stores.clock.now(),
                    logged: None,
                    proof: None,
                };
                catalog.keep_receipt(&row).await?
            }
        };
        self.publish(&receipt).await?;
        Ok(receipt)
    }

    async fn publish(&self, receipt: &ReceiptRow) -> Result<(), ShredError> {
        let id = *receipt.id.as_bytes();
        self.log.keep_statement(id, &receipt.envelope).await?;
        Ok(self.keys.queue_statement(id, receipt.entry).await?)
    }

    /// The statement of a stage that was issued.
    pub(super) async fn statement(
        &self,
        tenant: TenantId,
        stage: ReceiptStage,
    ) -> Result<Statement, ShredError> {
        let issued = self.stores.catalog.receipts(tenant).await?;
        let receipt = issued.iter().find(|one| one.stage == stage);
        let receipt = receipt.ok_or(ShredError::EvidenceMissing(stage.as_str()))?;
        Ok(Statement::from_envelope(&envelope(receipt)?)?)
    }

    /// Has receipts looked at again that are settled by what was configured before: since, other or more witnesses may be wanted.
    ///
    /// # Errors
    /// [`ShredError`].
    pub async fn recheck_receipts(&self) -> Result<(), ShredError> {
        let wish = self.log.witness_mark();
        let found = self.stores.catalog.unsettle_receipts(wish).await?;
        if found > 0 {
            tracing::info!(
                op = "log_receipts",
                receipts = found,
                outcome = "again",
                "receipts are compared with the witnesses that are wanted now"
            );
        }
        Ok(())
    }

    /// Has the log take what is queued, and keeps the proofs of receipts that have none, or too few witnesses.
    ///
    /// # Errors
    /// [`ShredError`]: the receipts are issued all the same, and the next pass tries again.
    pub async fn log_receipts(&self) -> Result<(), ShredError> {
        // Before, since a proof that is made now has cosignatures of now; and after, since what is proven waits no more.
        self.keep_issuers_trusted().await?;
        let logged = self.log_waiting().await;
        self.keep_issuers_trusted().await?;
        logged
    }

    /// Has rotated issuers' keys trusted as long as a receipt of theirs is without its witnesses.
    ///
    /// # Errors
    /// [`ShredError`].
    pub async fn keep_issuers_trusted(&self) -> Result<(), ShredError> {
        if !self.signing.has_rotated() {
            return Ok(());
        }
        let waiting = self.stores.catalog.receipts_unlogged(RECEIPTS_MAX).await?;
        // Past them there may be more, of anybody.
        let all = waiting.len() < usize::try_from(RECEIPTS_MAX).unwrap_or(usize::MAX);
        let signers: HashSet<KeyId> = waiting
            .iter()
            .filter_map(|receipt| envelope(receipt).ok())
            .filter_map(|envelope| envelope.signatures().first().map(|one| one.keyid))
            .collect();
        let now = self.stores.clock.now();
        let waits = |keyid: &KeyId| !all || signers.contains(keyid);
        Ok(self.signing.keep_trusted(waits, now)?)
    }

    async fn log_waiting(&self) -> Result<(), ShredError> {
        let mut done: BTreeSet<TenantId> = BTreeSet::new();
        let mut failed = None;
        let mut rows_max = PAGE_RECEIPTS;
        loop {
            let waiting = self.stores.catalog.receipts_unlogged(rows_max).await?;
            let more = waiting.len() >= usize::try_from(rows_max).unwrap_or(usize::MAX);
            let fresh: Vec<ReceiptRow> = waiting
                .into_iter()
                .filter(|one| !done.contains(&one.tenant))
                .collect();
            if fresh.is_empty() {
                break;
            }
            done.extend(fresh.iter().map(|one| one.tenant));
            let Some(error) = self.log_some(&fresh).await? else {
                break;
            };
            failed = Some(error);
            if !more || rows_max >= RECEIPTS_MAX {
                break;
            }
            // Those that fail stay the oldest: the next page begins behind them.
            rows_max += PAGE_RECEIPTS;
        }
        failed.map_or(Ok(()), Err)
    }

    /// What [`Self::log_receipts`] does, of some receipts; the first failure that is one tenant's alone.
    async fn log_some(&self, waiting: &[ReceiptRow]) -> Result<Option<ShredError>, ShredError> {
        let mut failed = None;
        // Queued again: a key store that was restored since has forgotten them.
        let mut unpublished = 0;
        for receipt in waiting.iter().filter(|one| one.logged.is_none()) {
            if let Err(error) = self.publish(receipt).await {
                unpublished += 1;
                // Not one tenant's trouble: log or key store are away, and each try may take its whole deadline.
                if unpublished == UNPUBLISHED_MAX {
                    return Err(error);
                }
                tracing::warn!(op = "log_receipts", tenant = %receipt.tenant, outcome = "failed", %error, "a receipt is not queued for the log");
                failed.get_or_insert(error);
            }
        }
        self.log.sequence().await?;
        // Once for all of them: each time may wait for a witness that hangs.
        let Some(newest) = self.log.newest().await? else {
            return Ok(failed);
        };
        let tenants: BTreeSet<TenantId> = waiting.iter().map(|one| one.tenant).collect();
        for tenant in tenants {
            if let Err(error) = self.prove(tenant, &newest, waiting).await {
                tracing::warn!(op = "log_receipts", %tenant, outcome = "failed", %error, "a tenant's receipts have no proof yet");
                failed.get_or_insert(error);
            }
        }
        Ok(failed)
    }

    /// Keeps the places and proofs of one tenant's receipts, all at once: each proof goes on from the one before. `waiting` are
    /// unsettled.
    async fn prove(
        &self,
        tenant: TenantId,
        newest: &Witnessed,
        waiting: &[ReceiptRow],
    ) -> Result<(), ShredError> {
        let receipts = self.stores.catalog.receipts(tenant).await?;
        let (wanted, mark) = (self.log.witness_threshold(), self.log.witness_mark());
        let mut proofs: Vec<ReceiptProof> = Vec::new();
        let mut before: Option<(TreeHead, bool)> = None;
        for receipt in &receipts {
            let changed = before.as_ref().is_some_and(|(_, changed)| *changed);
            let kept = self.kept(receipt, newest)?.filter(|_| !changed);
            let (proof, text, enough) = if let Some((proof, enough)) = kept {
                before = Some((proof.head, false));
                (proof, receipt.proof.clone().unwrap_or_default(), enough)
            } else {
                let place = self.keys.entry_index(&receipt.entry).await?;
                let Some(index) = place.filter(|index| *index < newest.head.size) else {
                    break;
                };
                let old = before.as_ref().map(|(head, _)| head.size);
                let proof = self.proof(receipt, index, newest, old).await?;
                before = Some((newest.head, true));
                let text = proof.write()?;
                (proof, text, newest.cosignatures >= wanted)
            };
            proofs.push(ReceiptProof {
                receipt: receipt.id,
                index: proof.logged.index(),
                before: receipt.proof.clone(),
                proof: text,
                settled: enough.then_some(mark),
            });
        }
        let rest = receipts.get(proofs.len()..).unwrap_or_default();
        // A proof that was there goes on from one that is replaced: both, or neither.
        let torn = rest.iter().any(|receipt| receipt.proof.is_some());
        let waits = |id| waiting.iter().any(|receipt| receipt.id == id);
        let news = proofs.iter().any(|one| {
            one.before.as_ref() != Some(&one.proof) || (one.settled.is_some() && waits(one.receipt))
        });
        if news && !torn {
            let catalog = &self.stores.catalog;
            catalog.receipts_logged(tenant, &proofs).await?;
        }
        Ok(())
    }

    /// The proof that a receipt has, unless a better one can be made; and whether the witnesses that are wanted now cosigned it.
    fn kept(
        &self,
        receipt: &ReceiptRow,
        newest: &Witnessed,
    ) -> Result<Option<(Proof, bool)>, ShredError> {
        let Some(proof) = receipt.proof.as_deref().map(Proof::read).transpose()? else {
            return Ok(None);
        };
        let cosignatures = self.log.cosignatures(&proof.checkpoint);
        let enough = cosignatures >= self.log.witness_threshold();
        // Made with this very checkpoint, it would be the same again.
        let same = proof.logged.checkpoint() == newest.checkpoint.as_str();
        Ok((enough || same).then_some((proof, enough)))
    }

    async fn proof(
        &self,
        receipt: &ReceiptRow,
        index: u64,
        newest: &Witnessed,
        old: Option<u64>,
    ) -> Result<Proof, ShredError> {
        let inclusion = self.log.prove_inclusion(&newest.head, index).await?;
        let consistency = match old {
            Some(old) if old < newest.head.size => {
                self.log.prove_consistency(old, &newest.head).await?
            }
            _ => Vec::new(),
        };
        let logged = Logged::new(index, &inclusion, &newest.checkpoint, &consistency);
        let mut keys = Vec::new();
        if receipt.stage == ReceiptStage::Revoked {
            for creation in self.keys.creations(receipt.tenant).await? {
                let Some(index) = creation.index else {
                    return Err(ShredError::EvidenceMissing("kek creation in the log"));
                };
                let inclusion = self.log.prove_inclusion(&newest.head, index).await?;
                keys.push(LoggedKey::new(index, &inclusion));
            }
        }
        Ok(Proof {
            logged,
            keys,
            head: newest.head,
            checkpoint: newest.checkpoint.clone(),
            witnessed: newest.cosignatures >= self.log.witness_threshold(),
        })
    }

    /// A tenant's receipt file: every stage so far, with what the log has of it. `up_to` leaves later stages out.
    ///
    /// # Errors
    /// [`ShredError::NoReceiptYet`]; [`ShredError`].
    pub async fn receipt_file(
        &self,
        tenant: TenantId,
        up_to: Option<ReceiptStage>,
    ) -> Result<String, ShredError> {
        let mut filed = Vec::new();
        let mut keys = Vec::new();
        let mut all_logged = true;
        for receipt in self.stores.catalog.receipts(tenant).await? {
            if up_to.is_some_and(|last| receipt.stage > last) {
                break;
            }
            let proof = receipt.proof.as_deref().map(Proof::read).transpose()?;
            // A stage is in the file's log only after the one before it.
            let proof = proof.filter(|_| all_logged);
            all_logged = proof.is_some();
            let envelope = envelope(&receipt)?;
            let logged = proof.map(|proof| {
                if receipt.stage == ReceiptStage::Revoked {
                    keys = proof.keys;
                }
                proof.logged
            });
            filed.push(FiledReceipt { envelope, logged });
        }
        if filed.is_empty() {
            return Err(ShredError::NoReceiptYet);
        }
        let file = ReceiptFile::new(filed, keys);
        file.to_json().map_err(ShredError::not_json("receipt"))
    }
}

/// The log's tree that a receipt's kept proof is of: what the log was once, whatever became of it.
///
/// # Errors
/// [`ShredError::Unreadable`].
pub fn proven_head(proof: &str) -> Result<TreeHead, ShredError> {
    Proof::read(proof).map(|proof| proof.head)
}

/// Whether a kept proof's checkpoint has as many cosignatures as are wanted.
///
/// # Errors
/// [`ShredError::Unreadable`].
pub fn proof_is_witnessed(proof: &str) -> Result<bool, ShredError> {
    Proof::read(proof).map(|proof| proof.witnessed)
}

fn envelope(receipt: &ReceiptRow) -> Result<Envelope, ShredError> {
    Envelope::from_json(receipt.envelope.as_bytes()).map_err(ShredError::not_json("receipt"))
}

/// What the catalog keeps of a receipt's place in the log.
struct Proof {
    logged: Logged,
    keys: Vec<LoggedKey>,
    head: TreeHead,
    checkpoint: SignedCheckpoint,
    /// By what was wanted when it was made.
    witnessed: bool,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptProof {
    logged: Logged,
    keys: Vec<LoggedKey>,
    witnessed: bool,
}

impl Proof {
    fn write(&self) -> Result<String, ShredError> {
        let kept = KeptProof {
            logged: self.logged.clone(),
            keys: self.keys.clone(),
            witnessed: self.witnessed,
        };
        serde_json::to_string(&kept).map_err(ShredError::unreadable("proof"))
    }

    fn read(text: &str) -> Result<Self, ShredError> {
        let kept: KeptProof =
            serde_json::from_str(text).map_err(ShredError::unreadable("proof"))?;
        let parsed = SignedCheckpoint::parse(kept.logged.checkpoint());
        let parsed = parsed.and_then(|checkpoint| Ok((checkpoint.claimed()?, checkpoint)));
        let (head, checkpoint) = parsed.map_err(|error| ShredError::Unreadable {
            what: "proof",
            reason: error.to_string(),
        })?;
        Ok(Self {
            logged: kept.logged,
            keys: kept.keys,
            head: head.head,
            checkpoint,
            witnessed: kept.witnessed,
        })
    }
}
