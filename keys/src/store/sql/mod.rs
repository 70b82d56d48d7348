//! The key store in SQLite or PostgreSQL: the same statements on both.

mod init;
mod keks;
mod leases;
mod rows;
mod schema;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::{Any, AnyPool, Transaction};

use lethe_envelope::{KekId, TenantId};

use super::pool::{pool, store_error};
use super::{
    GatewayRow, InsertKek, KekRow, KeyStore, NodeRow, PendingLeaf, Renewal, Renewed, StoreError,
    StoreHead,
};
use crate::config::StoreUrl;
use crate::location::{Location, POSTGRES_SYSTEM_IDENTIFIER_SQL};
use crate::tree::Place;
use crate::types::{FenceScope, GatewayId, KekInfo, KeyStoreIdentity};

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

    async fn begin(&self) -> Result<Transaction<'static, Any>, StoreError> {
        self.gate.pass()?;
        // Every transaction starts with a write, so SQLite takes its write lock before anything was read.
        self.pool.begin().await.map_err(|error| store_error(&error))
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

    async fn keks(&self, tenant: TenantId) -> Result<Vec<KekInfo>, StoreError> {
        self.read_keks(tenant).await
    }

    async fn renew(&self, renewal: &Renewal) -> Result<Renewed, StoreError> {
        self.write_lease(renewal).await?;
        self.read_fences(renewal.fence).await
    }

    async fn release(&self, gateway: GatewayId) -> Result<(), StoreError> {
        self.delete_lease(gateway).await
    }

    async fn raise_fence(&self, scope: FenceScope, raised_ms: i64) -> Result<u64, StoreError> {
        self.write_fence(scope, raised_ms).await
    }

    async fn gateways(&self) -> Result<Vec<GatewayRow>, StoreError> {
        self.read_gateways().await
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
