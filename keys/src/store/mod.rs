//! The key store: one small trait, its SQL implementation, and one that injects faults.

mod pool;
mod sql;
#[cfg(test)]
mod suite;

#[cfg(any(test, feature = "testing"))]
pub(crate) mod faulty;

use async_trait::async_trait;

use lethe_envelope::{KekId, TenantId};

#[cfg(test)]
pub(crate) use sql::StatementGate;
pub(crate) use sql::{SqlKeyStore, Ungated};

use crate::location::Location;
use crate::secret::{NodeWrap, Wrapped};
use crate::tree::{Epoch, Place};
use crate::types::{FenceScope, GatewayId, KekInfo, KeyStoreIdentity};

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
    pub(crate) ready: bool,
    pub(crate) epoch: Epoch,
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
}

/// One renewal of a gateway's lease, with what it acknowledges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Renewal {
    pub(crate) gateway: GatewayId,
    pub(crate) epoch: Epoch,
    pub(crate) fence: u64,
    pub(crate) lease_ms: u64,
    pub(crate) renewed_ms: i64,
}

/// What a renewal answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Renewed {
    pub(crate) identity: KeyStoreIdentity,
    pub(crate) epoch: Epoch,
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
}

/// Fences that one renewal answers at most; more are fetched by the next.
pub(crate) const FENCES_PER_RENEWAL: usize = 256;

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

    /// Inserts a KEK (version 1, or the one after the active version, which it makes decrypt-only) and its leaf.
    async fn insert_kek(&self, row: &KekRow, leaf: &PendingLeaf) -> Result<InsertKek, StoreError>;

    /// One KEK.
    async fn kek(&self, kek_id: KekId) -> Result<Option<KekRow>, StoreError>;

    /// A tenant's active KEK.
    async fn active_kek(&self, tenant: TenantId) -> Result<Option<KekRow>, StoreError>;

    /// A tenant's KEKs by version.
    async fn keks(&self, tenant: TenantId) -> Result<Vec<KekInfo>, StoreError>;

    /// Renews a gateway's lease, then reads epoch and fences. In this order, each by itself: a fence that this
    /// misses was raised after the lease row could be seen.
    async fn renew(&self, renewal: &Renewal) -> Result<Renewed, StoreError>;

    /// Ends a gateway's lease.
    async fn release(&self, gateway: GatewayId) -> Result<(), StoreError>;

    /// Raises a fence and answers its number.
    async fn raise_fence(&self, scope: FenceScope, raised_ms: i64) -> Result<u64, StoreError>;

    /// All lease rows.
    async fn gateways(&self) -> Result<Vec<GatewayRow>, StoreError>;

    /// Reaches the store.
    async fn ping(&self) -> Result<(), StoreError>;
}
