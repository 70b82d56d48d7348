//! Nodes, KEKs and the leaves that their creation leaves for the log.

use sqlx::error::ErrorKind;
use sqlx::{Any, AssertSqlSafe, Transaction};

use lethe_envelope::{KekId, TenantId};

use super::super::pool::store_error;
use super::super::{InsertKek, KekRow, NodeRow, PendingLeaf, StoreError, VERSIONS_MAX};
use super::{SqlKeyStore, rows};
use crate::tree::Place;
use crate::types::{KekInfo, KekState};

impl SqlKeyStore {
    pub(super) async fn read_node(&self, place: Place) -> Result<Option<NodeRow>, StoreError> {
        self.gate.pass()?;
        sqlx::query("SELECT place, generation, epoch, wrapped FROM nodes WHERE place = $1")
            .bind(i64::from(place.number()))
            .fetch_optional(&self.pool)
            .await
            .map_err(|error| store_error(&error))?
            .as_ref()
            .map(rows::node)
            .transpose()
    }

    pub(super) async fn write_kek(
        &self,
        row: &KekRow,
        leaf: &PendingLeaf,
    ) -> Result<InsertKek, StoreError> {
        let mut transaction = self.begin().await?;
        self.gate.pass()?;
        // Locks the store's row: a move of the root, or another creation, comes before this one or after it.
        let Some(number) = super::log::next_entry(&mut transaction, true).await? else {
            drop(transaction);
            return self.why_not_made().await;
        };
        self.gate.pass()?;
        if is_fenced(&mut transaction, row.tenant).await? {
            drop(transaction);
            return self.why_fenced(row.tenant).await;
        }
        if row.info.version > 1 {
            self.gate.pass()?;
            if !follows_the_active(&mut transaction, row).await? {
                return Ok(InsertKek::VersionTaken);
            }
        }
        self.gate.pass()?;
        match insert_kek(&mut transaction, row).await {
            Ok(1) => {}
            // Nothing inserted: the version exists, or the node is not current. The reads tell which.
            Ok(_) => {
                drop(transaction);
                return self.why_not_inserted(row).await;
            }
            Err(error) if is_foreign_key_violation(&error) => return Ok(InsertKek::Superseded),
            Err(error) => return Err(store_error(&error)),
        }
        self.gate.pass()?;
        match insert_leaf(&mut transaction, number, row, leaf).await {
            Ok(()) => {}
            // The version's creation is recorded and its KEK is not there.
            Err(error) if is_unique_violation(&error) => return Ok(InsertKek::Erased),
            Err(error) => return Err(store_error(&error)),
        }
        self.commit(transaction).await?;
        Ok(InsertKek::Inserted)
    }

    async fn why_not_made(&self) -> Result<InsertKek, StoreError> {
        let head = self.read_head().await?;
        Ok(if head.held {
            InsertKek::Held
        } else {
            InsertKek::Superseded
        })
    }

    /// Around whom a fence was raised either has keys still or has lost them for good.
    async fn why_fenced(&self, tenant: TenantId) -> Result<InsertKek, StoreError> {
        self.gate.pass()?;
        let keks: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM keks WHERE tenant = $1")
            .bind(tenant.as_bytes().to_vec())
            .fetch_one(&self.pool)
            .await
            .map_err(|error| store_error(&error))?;
        Ok(if keks > 0 {
            InsertKek::Fenced
        } else {
            InsertKek::Erased
        })
    }

    async fn why_not_inserted(&self, row: &KekRow) -> Result<InsertKek, StoreError> {
        self.gate.pass()?;
        let taken: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM keks WHERE tenant = $1 AND version = $2")
                .bind(row.tenant.as_bytes().to_vec())
                .bind(i64::from(row.info.version))
                .fetch_one(&self.pool)
                .await
                .map_err(|error| store_error(&error))?;
        Ok(if taken > 0 {
            InsertKek::VersionTaken
        } else {
            InsertKek::Superseded
        })
    }

    pub(super) async fn read_kek(&self, kek_id: KekId) -> Result<Option<KekRow>, StoreError> {
        self.gate.pass()?;
        let columns = rows::KEK_COLUMNS;
        let statement = AssertSqlSafe(format!("SELECT {columns} FROM keks WHERE kek_id = $1"));
        self.one_kek(sqlx::query(statement).bind(kek_id.as_bytes().to_vec()))
            .await
    }

    pub(super) async fn read_active_kek(
        &self,
        tenant: TenantId,
    ) -> Result<Option<KekRow>, StoreError> {
        self.gate.pass()?;
        let columns = rows::KEK_COLUMNS;
        let statement = AssertSqlSafe(format!(
            "SELECT {columns} FROM keks WHERE tenant = $1 AND state = 'active'"
        ));
        self.one_kek(sqlx::query(statement).bind(tenant.as_bytes().to_vec()))
            .await
    }

    pub(super) async fn read_newest_kek(
        &self,
        tenant: TenantId,
    ) -> Result<Option<KekRow>, StoreError> {
        self.gate.pass()?;
        let columns = rows::KEK_COLUMNS;
        let statement = AssertSqlSafe(format!(
            "SELECT {columns} FROM keks WHERE tenant = $1 ORDER BY version DESC LIMIT 1"
        ));
        self.one_kek(sqlx::query(statement).bind(tenant.as_bytes().to_vec()))
            .await
    }

    async fn one_kek(
        &self,
        query: sqlx::query::Query<'_, Any, sqlx::any::AnyArguments>,
    ) -> Result<Option<KekRow>, StoreError> {
        query
            .fetch_optional(&self.pool)
            .await
            .map_err(|error| store_error(&error))?
            .as_ref()
            .map(rows::kek)
            .transpose()
    }

    pub(super) async fn read_keks(&self, tenant: TenantId) -> Result<Vec<KekInfo>, StoreError> {
        self.gate.pass()?;
        let columns = rows::KEK_INFO_COLUMNS;
        sqlx::query(AssertSqlSafe(format!(
            "SELECT {columns} FROM keks WHERE tenant = $1 ORDER BY version LIMIT $2"
        )))
        .bind(tenant.as_bytes().to_vec())
        .bind(i64::from(VERSIONS_MAX))
        .fetch_all(&self.pool)
        .await
        .map_err(|error| store_error(&error))?
        .iter()
        .map(rows::kek_info)
        .collect()
    }
}

/// Whether a fence stands around a tenant; raising one locks the store's row, too, and comes before this look or after the insert.
async fn is_fenced(
    transaction: &mut Transaction<'_, Any>,
    tenant: TenantId,
) -> Result<bool, StoreError> {
    let fences: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM fences WHERE kind = 'tenant' AND tenant = $1")
            .bind(tenant.as_bytes().to_vec())
            .fetch_one(&mut **transaction)
            .await
            .map_err(|error| store_error(&error))?;
    Ok(fences > 0)
}

/// Whether the version before is the active one. A KEK that is active at once takes its place at once; a pending one
/// takes it when the log has its entry.
async fn follows_the_active(
    transaction: &mut Transaction<'static, Any>,
    row: &KekRow,
) -> Result<bool, StoreError> {
    let state = match row.info.state {
        KekState::Pending => KekState::Active,
        KekState::Active | KekState::DecryptOnly => KekState::DecryptOnly,
    };
    sqlx::query(
        "UPDATE keks SET state = $1 WHERE tenant = $2 AND version = $3 AND state = 'active'",
    )
    .bind(state.as_str())
    .bind(row.tenant.as_bytes().to_vec())
    .bind(i64::from(row.info.version) - 1)
    .execute(&mut **transaction)
    .await
    .map(|done| done.rows_affected() == 1)
    .map_err(|error| store_error(&error))
}

async fn insert_kek(
    transaction: &mut Transaction<'static, Any>,
    row: &KekRow,
) -> Result<u64, sqlx::Error> {
    let generation = i64::try_from(row.generation).map_err(|_| sqlx::Error::RowNotFound)?;
    sqlx::query(
        "INSERT INTO keks (kek_id, tenant, version, place, generation, wrapped, commitment, leaf_hash, state, \
         created_ms) SELECT $1, $2, $3, n.place, n.generation, $4, $5, $6, $7, $8 \
         FROM nodes n, key_store s WHERE n.place = $9 AND n.generation = $10 AND n.epoch = s.epoch \
         AND s.state = 'ready' ON CONFLICT DO NOTHING",
    )
    .bind(row.info.kek_id.as_bytes().to_vec())
    .bind(row.tenant.as_bytes().to_vec())
    .bind(i64::from(row.info.version))
    .bind(row.wrapped.to_vec())
    .bind(row.info.commitment.to_vec())
    .bind(row.leaf_hash.to_vec())
    .bind(row.info.state.as_str())
    .bind(row.info.created_ms)
    .bind(i64::from(row.place.number()))
    .bind(generation)
    .execute(&mut **transaction)
    .await
    .map(|done| done.rows_affected())
}

async fn insert_leaf(
    transaction: &mut Transaction<'static, Any>,
    number: i64,
    row: &KekRow,
    leaf: &PendingLeaf,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO log_entries (number, kind, entry, tenant, version, kek_id, nonce, commitment, previous, \
         created_ms) VALUES ($1, 'kek', $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(number)
    .bind(row.leaf_hash.to_vec())
    .bind(row.tenant.as_bytes().to_vec())
    .bind(i64::from(row.info.version))
    .bind(row.info.kek_id.as_bytes().to_vec())
    .bind(leaf.nonce.to_vec())
    .bind(row.info.commitment.to_vec())
    .bind(leaf.previous_hash.to_vec())
    .bind(row.info.created_ms)
    .execute(&mut **transaction)
    .await
    .map(|_| ())
}

fn is_foreign_key_violation(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| matches!(error.kind(), ErrorKind::ForeignKeyViolation))
}

fn is_unique_violation(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| matches!(error.kind(), ErrorKind::UniqueViolation))
}
