//! A domain as a shred sees it: its stores, and small traits for key store, backup and log, so that tests can fail them.

use super::clocks::OtherClocks;
use super::error::LogAway;
use super::evidence::{BackedUp, Destroyed, FenceRecord, Rekeyed};
use super::rules::ShredPolicy;
use crate::catalog::{TerminationId, WitnessMark};
use crate::jobs::JobDomain;
use crate::signing::Signing;
use crate::tenants::{RegionName, TenantId};
use async_trait::async_trait;
use lethe_keys::KeysError;
use lethe_receipts::log::{Hash, SignedCheckpoint, TreeHead};
use lethe_receipts::statement::KeyCreation;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// Where the log has the creation of a KEK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedCreation {
    /// As receipts state it.
    pub creation: KeyCreation,
    /// Its index; `None` while it is pending.
    pub index: Option<u64>,
}

/// What a shred asks of the keys of its domain. Every call may be repeated.
#[async_trait]
pub trait ShredKeys: Send + Sync + 'static {
    /// The current epoch.
    async fn epoch(&self) -> Result<u64, KeysError>;
    /// Whether key store, root provider and the place of backups answer.
    async fn ready(&self) -> Result<(), KeysError>;
    /// Whether every key but the victims' opens, so that the root can move and a backup of what follows passes its test. Changes
    /// nothing.
    async fn check_opens(&self, victims: &[TenantId]) -> Result<(), KeysError>;
    /// Keeps every gateway from the tenants' keys, and returns when all have answered or their leases are over.
    async fn fence_tenants(&self, tenants: &[TenantId]) -> Result<Vec<FenceRecord>, KeysError>;
    /// Has every gateway drop superseded nodes, and returns as [`Self::fence_tenants`].
    async fn fence_nodes(&self) -> Result<FenceRecord, KeysError>;
    /// The creations of all KEKs that a tenant ever had, by version.
    async fn creations(&self, tenant: TenantId) -> Result<Vec<LoggedCreation>, KeysError>;
    /// Moves the root away from `epoch_from` and leaves the victims behind.
    async fn rekey(&self, victims: &[TenantId], epoch_from: u64) -> Result<Rekeyed, KeysError>;
    /// Epochs that the root has left and that are not destroyed yet, oldest first.
    async fn unfinished_moves(&self) -> Result<Vec<u64>, KeysError>;
    /// Backs the key store up, restores the backup elsewhere and opens everything in it.
    async fn back_up(&self, epoch_from: u64) -> Result<BackedUp, KeysError>;
    /// Has the root provider destroy the epoch that was left, and sees that it is gone.
    async fn destroy(&self, epoch_from: u64, backup: &BackedUp) -> Result<Destroyed, KeysError>;
    /// Queues a statement's entry for the log.
    async fn queue_statement(&self, receipt: [u8; 16], entry: [u8; 32]) -> Result<(), KeysError>;
    /// Where the log has an entry; `None` while it is pending.
    async fn entry_index(&self, entry: &[u8; 32]) -> Result<Option<u64>, KeysError>;
    /// Remembers for good that a termination was called off: the key store is not restored together with the catalog.
    async fn call_off(&self, termination: TerminationId) -> Result<(), KeysError>;
    /// Those of these terminations that were called off.
    async fn called_off(
        &self,
        terminations: &[TerminationId],
    ) -> Result<BTreeSet<TerminationId>, KeysError>;
    /// Seals an inventory's key under the service node.
    async fn seal_inventory_key(
        &self,
        tenant: TenantId,
        termination: TerminationId,
        key: &[u8; 32],
    ) -> Result<Vec<u8>, KeysError>;
    /// Opens it.
    async fn open_inventory_key(
        &self,
        tenant: TenantId,
        termination: TerminationId,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, KeysError>;
}

/// What receipts need of the domain's log.
#[async_trait]
pub trait ShredLog: Send + Sync + 'static {
    /// Whether it answers.
    async fn ready(&self) -> Result<(), LogAway>;
    /// Keeps a statement beside the log, durably; the same again succeeds.
    async fn keep_statement(&self, receipt: [u8; 16], envelope: &str) -> Result<(), LogAway>;
    /// Sequences what is pending; waits for no witness.
    async fn sequence(&self) -> Result<(), LogAway>;
    /// The newest checkpoint with its tree head and how many known witnesses cosigned it, after asking those that have not,
    /// for seconds at most; `None` for an empty log.
    async fn newest(&self) -> Result<Option<Witnessed>, LogAway>;
    /// The proof that an entry is in a tree.
    async fn prove_inclusion(&self, head: &TreeHead, index: u64) -> Result<Vec<Hash>, LogAway>;
    /// The proof that a tree is the beginning of another.
    async fn prove_consistency(&self, old: u64, head: &TreeHead) -> Result<Vec<Hash>, LogAway>;
    /// How many of the known witnesses cosigned a checkpoint.
    fn cosignatures(&self, checkpoint: &SignedCheckpoint) -> usize;
    /// How many cosignatures a checkpoint is to have.
    fn witness_threshold(&self) -> usize;
    /// Marks how many cosignatures are wanted, and whose.
    fn witness_mark(&self) -> WitnessMark;
}

/// A checkpoint of the domain's log.
#[derive(Clone, Debug)]
pub struct Witnessed {
    /// The signed note.
    pub checkpoint: SignedCheckpoint,
    /// Its tree.
    pub head: TreeHead,
    /// Cosignatures of known witnesses.
    pub cosignatures: usize,
}

/// When the last copy of the root provider is gone that could hold a destroyed epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootBackups {
    /// Nobody said.
    Unknown,
    /// Copies are kept for so many days; 0 when none are made.
    KeptDays(u32),
}

/// What receipts say of who erases.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The jurisdiction.
    pub jurisdiction: String,
    /// Who sanitizes.
    pub organization: String,
    /// The regions' pairs.
    pub pairs: BTreeMap<RegionName, Option<RegionName>>,
    /// How long copies of the root are kept.
    pub root_backups: RootBackups,
}

/// A domain that can shred.
pub struct ShredDomain {
    /// Its stores.
    pub stores: Arc<JobDomain>,
    /// Its keys.
    pub keys: Arc<dyn ShredKeys>,
    /// Its log.
    pub log: Arc<dyn ShredLog>,
    /// Its issuer's keys.
    pub signing: Arc<Signing>,
    /// Grace, approvals, window.
    pub policy: ShredPolicy,
    /// What receipts say of it.
    pub certificate: Certificate,
    /// Clocks of others, which this machine's is compared with.
    pub clocks: Vec<Arc<dyn OtherClocks>>,
    /// How long one tenant's inventory may take.
    pub inventory_time: Duration,
    /// How long one slice of a purge may take, before others get their turn.
    pub purge_slice: Duration,
}
