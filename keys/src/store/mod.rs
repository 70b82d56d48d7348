//! The key store: one small trait, its SQL implementation, and one that injects faults.

mod moves;
mod pool;
mod records;
mod sql;
#[cfg(test)]
mod suite;
#[cfg(test)]
pub(crate) use suite::postgres;

#[cfg(any(test, feature = "testing"))]
pub(crate) mod faulty;

use async_trait::async_trait;
use tokio::sync::mpsc;

use lethe_envelope::{KekId, TenantId};

#[cfg(test)]
pub(crate) use sql::StatementGate;
pub(crate) use sql::{SqlKeyStore, Ungated};

pub(crate) use moves::{Canary, MoveMark, MoveOutcome, MovePlan, MoveRow, MoveState, Rewrap};
pub(crate) use records::{EntryRecord, Imported, Record, StoreRecord};

use crate::location::Location;
use crate::secret::{NodeWrap, Wrapped};
use crate::tree::{Epoch, Place};
use crate::types::{
    CreationEntry, FenceScope, GatewayId, KekInfo, KeyStoreIdentity, PendingEntry, SequencedEntry,
};

/// The newest migration that this program needs.
pub(crate) const SCHEMA_NEEDED: i64 = 1_001;
/// Up to here migrations only add, so that this program can use a newer store.
pub(crate) const SCHEMA_ADDITIVE_MAX: i64 = 1_999;

/// Why a call of the key store failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreError {
    /// Not reached, or reached and failed; a change may or may not have been made.
    #[error("{0}")]
    Unavailable(String),
    /// There is no key store.
    #[error("no key store")]
    Missing,
    /// It is being restored: nobody holds a lease on it.
    #[error("an unfinished restore")]
    Restoring,
    /// Its schema is of another version.
    #[error("schema version {0}")]
    Schema(i64),
    /// A record that no version of this program writes.
    #[error("corrupt {0}")]
    Corrupt(&'static str),
}

/// The store's one row about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreHead {
    pub(crate) identity: KeyStoreIdentity,
    pub(crate) domain: String,
    pub(crate) phase: Phase,
    pub(crate) epoch: Epoch,
    /// The root has moved and the epoch before is not destroyed yet: no KEK is made.
    pub(crate) held: bool,
    /// How much of the log is recorded here.
    pub(crate) log_size: u64,
}

/// How far the store's creation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Initializing,
    /// Restored from a backup, and not yet told what it must forget.
    Restoring,
    Ready,
}

impl Phase {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Initializing => "initializing",
            Self::Restoring => "restoring",
            Self::Ready => "ready",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Initializing, Self::Restoring, Self::Ready]
            .into_iter()
            .find(|phase| phase.as_str() == text)
    }
}

/// A node under its epoch's root key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeRow {
    pub(crate) place: Place,
    pub(crate) generation: u64,
    pub(crate) epoch: Epoch,
    pub(crate) wrapped: NodeWrap,
}

/// A KEK under its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KekRow {
    pub(crate) tenant: TenantId,
    pub(crate) info: KekInfo,
    pub(crate) place: Place,
    pub(crate) generation: u64,
    pub(crate) wrapped: Wrapped,
    pub(crate) leaf_hash: [u8; 32],
}

/// A KEK's creation as the log will hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PendingLeaf {
    pub(crate) nonce: [u8; 32],
    pub(crate) previous_hash: [u8; 32],
}

/// What inserting a KEK came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InsertKek {
    Inserted,
    /// The tenant's versions are no longer as the caller read them.
    VersionTaken,
    /// The node's generation or epoch is no longer current.
    Superseded,
    /// The root is moving.
    Held,
    /// A fence was raised around the tenant: what it has is being written down.
    Fenced,
    /// The tenant's keys were destroyed for good.
    Erased,
}

/// An entry for the log that is no KEK's creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Announcement {
    Statement {
        receipt_id: [u8; 16],
    },
    /// A decision of an operator: [`EntrySubject::Override`].
    Override,
}

/// What recording the log's progress came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sequenced {
    /// Recorded; these tenants' KEKs became active.
    Recorded(Vec<TenantId>),
    /// Entries between the recorded ones and these are missing.
    Gap { log_size: u64 },
    /// The log has an entry that this store never made.
    Unknown { index: u64 },
}

/// One renewal of a gateway's lease, with what it acknowledges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Renewal {
    pub(crate) gateway: GatewayId,
    pub(crate) epoch: Epoch,
    pub(crate) fence: u64,
    pub(crate) lease_ms: u64,
    pub(crate) renewed_ms: i64,
    /// What [`Renewed::renewals`] last answered; 0 before. A known row is renewed, and never made again.
    pub(crate) known: u64,
}

/// What a renewal answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Renewed {
    pub(crate) identity: KeyStoreIdentity,
    pub(crate) epoch: Epoch,
    /// Renewals of the lease's row, this one among them.
    pub(crate) renewals: u64,
    /// The newest fence.
    pub(crate) fence: u64,
    /// Fences after the acknowledged one, in order; at most [`FENCES_PER_RENEWAL`].
    pub(crate) fences: Vec<FenceRow>,
}

/// A fence: from its commit on, whoever renews learns of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FenceRow {
    pub(crate) fence: u64,
    pub(crate) scope: FenceScope,
}

/// A gateway's lease as the store holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GatewayRow {
    pub(crate) gateway: GatewayId,
    pub(crate) epoch: Epoch,
    pub(crate) fence: u64,
    pub(crate) lease_ms: u64,
    pub(crate) renewals: u64,
    /// By the gateway's own wall clock, in milliseconds since 1970.
    pub(crate) renewed_ms: i64,
}

/// Fences that one renewal answers at most; more are fetched by the next.
pub(crate) const FENCES_PER_RENEWAL: usize = 2_048;

/// The most KEK versions of a tenant, so that a listing is bounded.
pub(crate) const VERSIONS_MAX: u32 = 10_000;

/// Wrapped keys, leases and fences. Every change is one conditional statement or one transaction of such.
#[async_trait]
pub(crate) trait KeyStore: Send + Sync {
    /// Where it lies.
    async fn location(&self) -> Result<Location, StoreError>;

    /// Creates schema and identity unless they are there; answers what is there then.
    async fn begin_init(
        &self,
        identity: KeyStoreIdentity,
        domain: &str,
        created_ms: i64,
    ) -> Result<StoreHead, StoreError>;

    /// Writes epoch and nodes and makes the store ready, all or nothing; `false` when it is not initialising.
    async fn finish_init(&self, nodes: &[NodeRow], created_ms: i64) -> Result<bool, StoreError>;

    /// The store's row about itself; [`StoreError::Missing`] before `begin_init`.
    async fn head(&self) -> Result<StoreHead, StoreError>;

    /// The current node of a place.
    async fn node(&self, place: Place) -> Result<Option<NodeRow>, StoreError>;

    /// Inserts a KEK (version 1, or the one after the active version, which an active one makes decrypt-only) and its
    /// leaf.
    async fn insert_kek(&self, row: &KekRow, leaf: &PendingLeaf) -> Result<InsertKek, StoreError>;

    /// One KEK.
    async fn kek(&self, kek_id: KekId) -> Result<Option<KekRow>, StoreError>;

    /// A tenant's active KEK.
    async fn active_kek(&self, tenant: TenantId) -> Result<Option<KekRow>, StoreError>;

    /// A tenant's newest KEK, whatever its state.
    async fn newest_kek(&self, tenant: TenantId) -> Result<Option<KekRow>, StoreError>;

    /// A tenant's KEKs by version.
    async fn keks(&self, tenant: TenantId) -> Result<Vec<KekInfo>, StoreError>;

    /// Renews a gateway's lease, then reads epoch and fences. In this order, each by itself: a fence that this
    /// misses was raised after the lease row could be seen. `None` when the known row is gone: that lease counted as over.
    async fn renew(&self, renewal: &Renewal) -> Result<Option<Renewed>, StoreError>;

    /// Ends a gateway's lease.
    async fn release(&self, gateway: GatewayId) -> Result<(), StoreError>;

    /// Removes the row of a gateway that has not renewed since; `false` when it has, or has none.
    async fn forget_gateway(&self, gateway: GatewayId, renewals: u64) -> Result<bool, StoreError>;

    /// Raises a fence and answers its number.
    async fn raise_fence(&self, scope: FenceScope, raised_ms: i64) -> Result<u64, StoreError>;

    /// All lease rows.
    async fn gateways(&self) -> Result<Vec<GatewayRow>, StoreError>;

    /// Entries that the log is known to have from an index on, in order.
    async fn sequenced_entries(
        &self,
        from: u64,
        max: usize,
    ) -> Result<Vec<SequencedEntry>, StoreError>;

    /// KEKs made after a time.
    async fn keks_since(&self, unix_ms: i64) -> Result<u64, StoreError>;

    /// Entries that the log has yet to take, oldest first.
    async fn pending_entries(&self, max: usize) -> Result<Vec<PendingEntry>, StoreError>;

    /// Queues an entry for the log unless it is there.
    async fn queue_entry(
        &self,
        announcement: Announcement,
        entry: &[u8; 32],
        created_ms: i64,
    ) -> Result<(), StoreError>;

    /// Records entries that the log has taken from `first_index` on, and makes the KEKs active that waited for it.
    async fn record_sequenced(
        &self,
        first_index: u64,
        entries: &[[u8; 32]],
    ) -> Result<Sequenced, StoreError>;

    /// Takes a longer log as recorded, whatever its entries are.
    async fn accept_log_size(&self, log_size: u64) -> Result<(), StoreError>;

    /// Where the log has an entry: `None` when it is not known here, `Some(None)` when it is pending.
    async fn entry_index(&self, entry: &[u8; 32]) -> Result<Option<Option<u64>>, StoreError>;

    /// Those of these receipts whose statements were never queued here.
    async fn unknown_statements(&self, receipts: &[[u8; 16]]) -> Result<Vec<[u8; 16]>, StoreError>;

    /// A tenant's KEK creations by version, also of KEKs that are gone.
    async fn creations(&self, tenant: TenantId) -> Result<Vec<CreationEntry>, StoreError>;

    /// All nodes, by place.
    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError>;

    /// Moves the root: one transaction.
    async fn move_root(
        &self,
        plan: &MovePlan,
        rewrap: &dyn Rewrap,
    ) -> Result<MoveOutcome, StoreError>;

    /// The move away from an epoch.
    async fn movement(&self, from: Epoch) -> Result<Option<MoveRow>, StoreError>;

    /// All moves, by the epoch left.
    async fn moves(&self) -> Result<Vec<MoveRow>, StoreError>;

    /// Writes down how far a move is; `false` when it is not where the mark follows.
    async fn mark_move(&self, from: Epoch, mark: MoveMark) -> Result<bool, StoreError>;

    /// Nodes that this epoch, or one before it, wraps.
    async fn nodes_up_to(&self, epoch: Epoch) -> Result<u64, StoreError>;

    /// Overwrites what deleted rows may have left beside the live ones, as far as that is in the store's hands.
    async fn scrub(&self) -> Result<(), StoreError>;

    /// Sends everything, as of one moment, to `records`; ends early when the receiver is gone.
    async fn export(&self, records: mpsc::Sender<Vec<Record>>) -> Result<(), StoreError>;

    /// Writes an export into a store that `begin_init` has just made; all or nothing. `None` ends it, a closed channel
    /// aborts it.
    async fn import(
        &self,
        records: mpsc::Receiver<Option<Vec<Record>>>,
    ) -> Result<Imported, StoreError>;

    /// Makes a restored store ready.
    async fn finish_restore(&self) -> Result<bool, StoreError>;

    /// Reaches the store.
    async fn ping(&self) -> Result<(), StoreError>;
}
