//! A domain's log as receipts and KEKs need it: sequencing what the key store has queued, and proofs.

use super::domain::{ShredLog, Witnessed};
use super::error::LogAway;
use crate::catalog::WitnessMark;
use crate::clock::UnixMs;
use crate::jobs::TenantKeys;
use crate::log::{
    Head, LeafSource, LogStore, ReceiptId, Sequencer, SourceError, Witnesses, consistency_proof,
    inclusion_proof,
};
use crate::tenants::{AccessKeyId, TenantId};
use async_trait::async_trait;
use lethe_keys::{KekInfo, KekState, KeyService, KeysError, LeaseState};
use lethe_receipts::log::{Entry, Hash, SignedCheckpoint, TreeHead};
use sha2::{Digest as _, Sha256};
use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use zeroize::Zeroizing;

/// Between two looks at what is pending.
const POLL: Duration = Duration::from_secs(1);

/// How soon witnesses that have not cosigned the newest checkpoint are asked again.
const COSIGN_AGAIN: Duration = Duration::from_secs(10);

/// How long making a KEK waits for the log.
const ACTIVE_DEADLINE: Duration = Duration::from_secs(15);
const ACTIVE_POLL: Duration = Duration::from_millis(50);

/// The log of one domain, with its witnesses and the source of its entries.
pub struct DomainLog {
    /// Grows it.
    pub sequencer: Sequencer,
    /// Watch it.
    pub witnesses: Witnesses,
    /// What it takes entries from.
    pub source: Arc<dyn LeafSource>,
    /// How many cosignatures a receipt's checkpoint is to have.
    pub witness_threshold: usize,
    /// That it may have grown since its witnesses were asked.
    grown: Notify,
}

/// A key service as the log's source.
pub struct KeyLeaves(pub Arc<KeyService>);

fn failed(error: KeysError) -> SourceError {
    SourceError(error.to_string())
}

#[async_trait]
impl LeafSource for KeyLeaves {
    async fn log_size(&self) -> Result<u64, SourceError> {
        self.0.log_size().await.map_err(failed)
    }

    async fn pending(&self, max: usize) -> Result<Vec<Entry>, SourceError> {
        let pending = self.0.pending_leaves(max).await.map_err(failed)?;
        Ok(pending.into_iter().map(|one| Entry(one.entry)).collect())
    }

    async fn sequenced(
        &self,
        first_index: u64,
        entries: &[Entry],
        log_size: u64,
    ) -> Result<(), SourceError> {
        let entries: Vec<[u8; 32]> = entries.iter().map(|entry| entry.0).collect();
        let told = self.0.entries_sequenced(first_index, &entries, log_size);
        told.await.map_err(failed)
    }
}

fn away(operation: &'static str) -> impl Fn(&dyn Display) -> LogAway {
    move |error| LogAway {
        operation,
        reason: error.to_string(),
    }
}

impl DomainLog {
    /// A log of which a receipt's checkpoint is to have `witness_threshold` cosignatures.
    #[must_use]
    pub fn new(
        sequencer: Sequencer,
        witnesses: Witnesses,
        source: Arc<dyn LeafSource>,
        witness_threshold: usize,
    ) -> Self {
        Self {
            sequencer,
            witnesses,
            source,
            witness_threshold,
            grown: Notify::new(),
        }
    }

    fn store(&self) -> &dyn LogStore {
        self.sequencer.store().as_ref()
    }

    /// Sequences what comes, which KEKs wait for, and has witnesses cosign it, which nothing waits for, until `stop` resolves.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        let sequencing = async {
            loop {
                if let Err(error) = self.sequence_what_waits().await {
                    tracing::warn!(op = "sequence", outcome = "failed", %error, "entries wait for the log");
                }
                tokio::time::sleep(POLL).await;
            }
        };
        let cosigning = async {
            loop {
                if let Err(error) = self.newest().await {
                    tracing::warn!(op = "cosign", outcome = "failed", %error, "the log could not be shown to its witnesses");
                }
                // Whatever was sequenced meanwhile is shown at once: the permit is kept.
                let grown = tokio::time::timeout(COSIGN_AGAIN, self.grown.notified());
                let _grown_or_time = grown.await;
            }
        };
        tokio::select! {
            () = stop => {}
            () = async { tokio::join!(sequencing, cosigning); } => {}
        }
    }

    /// What the witnesses' clocks read now, as far as they answer within seconds.
    pub(super) async fn witness_times(&self) -> Vec<(String, UnixMs)> {
        match self.witnesses.times(self.store()).await {
            Ok(times) => times,
            Err(error) => {
                tracing::warn!(op = "cosign", outcome = "failed", %error, "the witnesses' clocks could not be asked");
                Vec::new()
            }
        }
    }

    async fn sequence_what_waits(&self) -> Result<(), LogAway> {
        let failed = away("sequencing");
        let waiting = self
            .source
            .pending(1)
            .await
            .map_err(|error| failed(&error))?;
        if waiting.is_empty() {
            return Ok(());
        }
        self.sequence().await
    }
}

#[async_trait]
impl ShredLog for DomainLog {
    async fn ready(&self) -> Result<(), LogAway> {
        let read = self.store().head(Head::Checkpoint).await;
        read.map(drop)
            .map_err(|error| away("reaching the log")(&error))
    }

    async fn keep_statement(&self, receipt: [u8; 16], envelope: &str) -> Result<(), LogAway> {
        let bytes = bytes::Bytes::copy_from_slice(envelope.as_bytes());
        let kept = self.store().put_statement(ReceiptId(receipt), bytes).await;
        kept.map_err(|error| away("storing a statement")(&error))
    }

    async fn sequence(&self) -> Result<(), LogAway> {
        let sequenced = self.sequencer.sequence_pending(self.source.as_ref()).await;
        sequenced.map_err(|error| away("sequencing")(&error))?;
        self.grown.notify_one();
        Ok(())
    }

    async fn newest(&self) -> Result<Option<Witnessed>, LogAway> {
        let cosigned = self.witnesses.cosign(self.store()).await;
        let cosigned = cosigned.map_err(|error| away("reading the checkpoint")(&error))?;
        Ok(cosigned.map(|cosigned| {
            for (witness, error) in &cosigned.failed {
                if error.contradicts() {
                    tracing::error!(op = "cosign", witness, outcome = "refused", %error, "a witness refuses the log: it was rolled back or forked");
                } else {
                    tracing::warn!(op = "cosign", witness, outcome = "failed", %error, "a witness did not cosign");
                }
            }
            Witnessed {
                checkpoint: cosigned.checkpoint,
                head: cosigned.opened.checkpoint.head,
                cosignatures: cosigned.opened.cosignatures.len(),
            }
        }))
    }

    async fn prove_inclusion(&self, head: &TreeHead, index: u64) -> Result<Vec<Hash>, LogAway> {
        let proof = inclusion_proof(self.store(), head, index).await;
        proof.map_err(|error| away("proving an entry")(&error))
    }

    async fn prove_consistency(&self, old: u64, head: &TreeHead) -> Result<Vec<Hash>, LogAway> {
        let proof = consistency_proof(self.store(), old, head).await;
        proof.map_err(|error| away("proving the log's growth")(&error))
    }

    fn cosignatures(&self, checkpoint: &SignedCheckpoint) -> usize {
        self.witnesses.cosignatures(checkpoint)
    }

    fn witness_threshold(&self) -> usize {
        self.witness_threshold
    }

    fn witness_mark(&self) -> WitnessMark {
        let mut keys: Vec<&[u8; 32]> = self.witnesses.public_keys().collect();
        keys.sort_unstable();
        let mut wish = Sha256::new_with_prefix(self.witness_threshold.to_be_bytes());
        for key in keys {
            wish.update(key);
        }
        let digest: [u8; 32] = wish.finalize().into();
        let [first, second, third, fourth, ..] = digest;
        WitnessMark::of([first, second, third, fourth])
    }
}

/// A domain's keys for the control plane: a KEK that it makes is in the log, and seals, when the call returns.
pub struct LoggedKeys {
    /// The keys.
    pub keys: Arc<KeyService>,
    /// Their log.
    pub log: Arc<DomainLog>,
}

impl LoggedKeys {
    async fn active(&self, tenant: TenantId, info: KekInfo) -> Result<KekInfo, KeysError> {
        let deadline = tokio::time::Instant::now() + ACTIVE_DEADLINE;
        loop {
            let known = self.keys.list(tenant).await?;
            let found = known.into_iter().find(|one| one.kek_id == info.kek_id);
            if let Some(found) = found.filter(|one| one.state != KekState::Pending) {
                return Ok(found);
            }
            if let Err(error) = self.log.sequence().await {
                return Err(KeysError::Unavailable {
                    operation: "entering a kek in the log",
                    cause: error.to_string(),
                });
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(KeysError::KekPending { tenant });
            }
            tokio::time::sleep(ACTIVE_POLL).await;
        }
    }
}

#[async_trait]
impl TenantKeys for LoggedKeys {
    async fn create_tenant_keys(&self, tenant: TenantId) -> Result<KekInfo, KeysError> {
        let info = TenantKeys::create_tenant_keys(self.keys.as_ref(), tenant).await?;
        self.active(tenant, info).await
    }

    async fn rotate(&self, tenant: TenantId) -> Result<KekInfo, KeysError> {
        let info = TenantKeys::rotate(self.keys.as_ref(), tenant).await?;
        self.active(tenant, info).await
    }

    async fn list(&self, tenant: TenantId) -> Result<Vec<KekInfo>, KeysError> {
        TenantKeys::list(self.keys.as_ref(), tenant).await
    }

    async fn seal_credential(
        &self,
        tenant: &TenantId,
        id: &AccessKeyId,
        secret: &[u8],
    ) -> Result<Vec<u8>, KeysError> {
        TenantKeys::seal_credential(self.keys.as_ref(), tenant, id, secret).await
    }

    async fn open_credential(
        &self,
        tenant: &TenantId,
        id: &AccessKeyId,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, KeysError> {
        TenantKeys::open_credential(self.keys.as_ref(), tenant, id, sealed).await
    }

    fn lease_state(&self) -> LeaseState {
        TenantKeys::lease_state(self.keys.as_ref())
    }

    async fn ping(&self) -> Result<(), KeysError> {
        TenantKeys::ping(self.keys.as_ref()).await
    }
}
