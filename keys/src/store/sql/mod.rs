//! The key store in SQLite or PostgreSQL: the same statements on both.

mod export;
mod import;
mod init;
mod keks;
mod leases;
mod log;
mod moves;
mod placeholders;
mod rows;
mod schema;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::{Any, AnyPool, Row, Transaction};
use tokio::sync::mpsc;

use lethe_envelope::{KekId, TenantId};

use self::placeholders::Placeholders;
use super::pool::{pool, scratch_pool, store_error};
use super::{
    Announcement, GatewayRow, Imported, InsertKek, KekRow, KeyStore, MoveMark, MoveOutcome,
    MovePlan, MoveRow, NodeRow, PendingLeaf, Record, Renewal, Renewed, Rewrap, Sequenced,
    StoreError, StoreHead,
};
use crate::config::StoreUrl;
use crate::location::{Location, POSTGRES_SYSTEM_IDENTIFIER_SQL};
use crate::tree::{Epoch, Place};
use crate::types::{
    CreationEntry, FenceScope, GatewayId, KekInfo, KeyStoreIdentity, PendingEntry, SequencedEntry,
};

/// Passed before each statement and after each commit; tests make it fail to kill a change in its middle.
pub(crate) trait StatementGate: Send + Sync {
    fn pass(&self) -> Result<(), StoreError>;
}

/// Lets everything pass.
pub(crate) struct Ungated;

impl StatementGate for Ungated {
    fn pass(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// See the module's text.
pub(crate) struct SqlKeyStore {
    url: StoreUrl,
    pub(super) pool: AnyPool,
    gate: Arc<dyn StatementGate>,
}

impl SqlKeyStore {
    /// Prepares to connect. `deadline` bounds the wait for a connection; callers bound whole calls.
    pub(crate) fn new(
        url: &StoreUrl,
        deadline: Duration,
        gate: Arc<dyn StatementGate>,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            url: url.clone(),
            pool: pool(url, deadline)?,
            gate,
        })
    }

    /// A store that goes as soon as it was looked at, in SQLite.
    pub(crate) fn scratch(url: &StoreUrl, deadline: Duration) -> Result<Self, StoreError> {
        Ok(Self {
            url: url.clone(),
            pool: scratch_pool(url, deadline)?,
            gate: Arc::new(Ungated),
        })
    }

    async fn begin(&self) -> Result<Transaction<'static, Any>, StoreError> {
        self.gate.pass()?;
        // Every transaction starts with a write, so SQLite takes its write lock before anything was read.
        self.pool.begin().await.map_err(|error| store_error(&error))
    }

    fn placeholders(&self) -> Placeholders {
        Placeholders::of(&self.url)
    }

    async fn commit(&self, transaction: Transaction<'static, Any>) -> Result<(), StoreError> {
        self.gate.pass()?;
        transaction
            .commit()
            .await
            .map_err(|error| store_error(&error))?;
        self.gate.pass()
    }
}

impl SqlKeyStore {
    /// SQLite's deleted rows are overwritten when they are deleted (`secure_delete`), but the write-ahead log keeps
    /// old pages until it is truncated. PostgreSQL's dead rows are its own vacuum's business (`docs/operations.md`).
    async fn truncate_wal(&self) -> Result<(), StoreError> {
        let StoreUrl::Sqlite { .. } = &self.url else {
            return Ok(());
        };
        self.gate.pass()?;
        let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&self.pool)
            .await
            .map_err(|error| store_error(&error))?;
        let busy: i64 = row.try_get(0).map_err(|error| store_error(&error))?;
        if busy == 0 {
            Ok(())
        } else {
            Err(StoreError::Unavailable(
                "the write-ahead log is in use".to_owned(),
            ))
        }
    }
}

#[async_trait]
impl KeyStore for SqlKeyStore {
    async fn location(&self) -> Result<Location, StoreError> {
        match &self.url {
            StoreUrl::Sqlite { path } => Location::of_sqlite(path).map_err(|_| StoreError::Missing),
            StoreUrl::Postgres { .. } => sqlx::query_scalar(POSTGRES_SYSTEM_IDENTIFIER_SQL)
                .fetch_one(&self.pool)
                .await
                .map(Location::of_postgres)
                .map_err(|error| store_error(&error)),
        }
    }

    async fn begin_init(
        &self,
        identity: KeyStoreIdentity,
        domain: &str,
        created_ms: i64,
    ) -> Result<StoreHead, StoreError> {
        self.create_schema().await?;
        self.insert_head(identity, domain, created_ms).await?;
        self.read_head().await
    }

    async fn finish_init(&self, nodes: &[NodeRow], created_ms: i64) -> Result<bool, StoreError> {
        self.write_tree(nodes, created_ms).await
    }

    async fn head(&self) -> Result<StoreHead, StoreError> {
        self.check_schema().await?;
        self.read_head().await
    }

    async fn node(&self, place: Place) -> Result<Option<NodeRow>, StoreError> {
        self.read_node(place).await
    }

    async fn insert_kek(&self, row: &KekRow, leaf: &PendingLeaf) -> Result<InsertKek, StoreError> {
        self.write_kek(row, leaf).await
    }

    async fn kek(&self, kek_id: KekId) -> Result<Option<KekRow>, StoreError> {
        self.read_kek(kek_id).await
    }

    async fn active_kek(&self, tenant: TenantId) -> Result<Option<KekRow>, StoreError> {
        self.read_active_kek(tenant).await
    }

    async fn newest_kek(&self, tenant: TenantId) -> Result<Option<KekRow>, StoreError> {
        self.read_newest_kek(tenant).await
    }

    async fn keks(&self, tenant: TenantId) -> Result<Vec<KekInfo>, StoreError> {
        self.read_keks(tenant).await
    }

    async fn renew(&self, renewal: &Renewal) -> Result<Option<Renewed>, StoreError> {
        let Some(renewals) = self.write_lease(renewal).await? else {
            return Ok(None);
        };
        self.read_fences(renewal.fence, renewals).await.map(Some)
    }

    async fn release(&self, gateway: GatewayId) -> Result<(), StoreError> {
        self.delete_lease(gateway).await
    }

    async fn forget_gateway(&self, gateway: GatewayId, renewals: u64) -> Result<bool, StoreError> {
        self.delete_dead_lease(gateway, renewals).await
    }

    async fn sequenced_entries(
        &self,
        from: u64,
        max: usize,
    ) -> Result<Vec<SequencedEntry>, StoreError> {
        self.read_sequenced(from, max).await
    }

    async fn keks_since(&self, unix_ms: i64) -> Result<u64, StoreError> {
        self.count_keks_since(unix_ms).await
    }

    async fn raise_fence(&self, scope: FenceScope, raised_ms: i64) -> Result<u64, StoreError> {
        self.write_fence(scope, raised_ms).await
    }

    async fn gateways(&self) -> Result<Vec<GatewayRow>, StoreError> {
        self.read_gateways().await
    }

    async fn pending_entries(&self, max: usize) -> Result<Vec<PendingEntry>, StoreError> {
        self.read_pending(max).await
    }

    async fn queue_entry(
        &self,
        announcement: Announcement,
        entry: &[u8; 32],
        created_ms: i64,
    ) -> Result<(), StoreError> {
        self.write_entry(announcement, entry, created_ms).await
    }

    async fn record_sequenced(
        &self,
        first_index: u64,
        entries: &[[u8; 32]],
    ) -> Result<Sequenced, StoreError> {
        self.write_sequenced(first_index, entries).await
    }

    async fn accept_log_size(&self, log_size: u64) -> Result<(), StoreError> {
        self.write_log_size(log_size).await
    }

    async fn entry_index(&self, entry: &[u8; 32]) -> Result<Option<Option<u64>>, StoreError> {
        self.read_entry_index(entry).await
    }

    async fn unknown_statements(&self, receipts: &[[u8; 16]]) -> Result<Vec<[u8; 16]>, StoreError> {
        self.read_unknown_statements(receipts).await
    }

    async fn creations(&self, tenant: TenantId) -> Result<Vec<CreationEntry>, StoreError> {
        self.read_creations(tenant).await
    }

    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        self.read_nodes().await
    }

    async fn move_root(
        &self,
        plan: &MovePlan,
        rewrap: &dyn Rewrap,
    ) -> Result<MoveOutcome, StoreError> {
        self.write_move(plan, rewrap).await
    }

    async fn movement(&self, from: Epoch) -> Result<Option<MoveRow>, StoreError> {
        self.read_movement(from).await
    }

    async fn moves(&self) -> Result<Vec<MoveRow>, StoreError> {
        self.read_moves().await
    }

    async fn mark_move(&self, from: Epoch, mark: MoveMark) -> Result<bool, StoreError> {
        self.write_mark(from, mark).await
    }

    async fn nodes_up_to(&self, epoch: Epoch) -> Result<u64, StoreError> {
        self.count_nodes_up_to(epoch).await
    }

    async fn scrub(&self) -> Result<(), StoreError> {
        self.truncate_wal().await
    }

    async fn export(&self, records: mpsc::Sender<Vec<Record>>) -> Result<(), StoreError> {
        self.send_records(records).await
    }

    async fn import(
        &self,
        records: mpsc::Receiver<Option<Vec<Record>>>,
    ) -> Result<Imported, StoreError> {
        self.take_records(records).await
    }

    async fn finish_restore(&self) -> Result<bool, StoreError> {
        self.make_ready().await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.gate.pass()?;
        sqlx::query("SELECT 1")
            .execute(&self.pool)
            .await
            .map(|_| ())
            .map_err(|error| store_error(&error))
    }
}
