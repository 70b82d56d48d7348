//! Identity and the first tree.

use sqlx::{Any, AssertSqlSafe, Transaction};

use super::super::pool::store_error;
use super::super::{NodeRow, StoreError, StoreHead};
use super::placeholders::Placeholders;
use super::{SqlKeyStore, rows};
use crate::tree::Epoch;
use crate::types::KeyStoreIdentity;

/// Rows of one INSERT: few round trips, far below either database's limit on parameters.
pub(super) const NODES_PER_INSERT: usize = 256;

impl SqlKeyStore {
    pub(super) async fn insert_head(
        &self,
        identity: KeyStoreIdentity,
        domain: &str,
        created_ms: i64,
    ) -> Result<(), StoreError> {
        self.gate.pass()?;
        sqlx::query(
            "INSERT INTO key_store (id, identity, domain, state, epoch, held, fence, entry, log_size, created_ms) \
             VALUES (1, $1, $2, 'initializing', 0, 0, 0, 0, 0, $3) ON CONFLICT DO NOTHING",
        )
        .bind(identity.as_bytes().to_vec())
        .bind(domain.to_owned())
        .bind(created_ms)
        .execute(&self.pool)
        .await
        .map_err(|error| store_error(&error))?;
        self.gate.pass()
    }

    pub(super) async fn read_head(&self) -> Result<StoreHead, StoreError> {
        self.gate.pass()?;
        let row = sqlx::query(
            "SELECT identity, domain, state, epoch, held, log_size FROM key_store WHERE id = 1",
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(|error| store_error(&error))?;
        rows::head(&row.ok_or(StoreError::Missing)?)
    }

    pub(super) async fn write_tree(
        &self,
        nodes: &[NodeRow],
        created_ms: i64,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        self.gate.pass()?;
        let epoch = rows::stored(Epoch::FIRST.0, "epoch")?;
        let made_ready = sqlx::query(
            "UPDATE key_store SET state = 'ready', epoch = $1 WHERE id = 1 AND state = 'initializing'",
        )
        .bind(epoch)
        .execute(&mut *transaction)
        .await
        .map_err(|error| store_error(&error))?;
        if made_ready.rows_affected() != 1 {
            return Ok(false);
        }
        self.gate.pass()?;
        sqlx::query("INSERT INTO epochs (epoch, state, created_ms) VALUES ($1, 'current', $2)")
            .bind(epoch)
            .bind(created_ms)
            .execute(&mut *transaction)
            .await
            .map_err(|error| store_error(&error))?;
        for chunk in nodes.chunks(NODES_PER_INSERT) {
            self.gate.pass()?;
            insert_nodes(&mut transaction, self.placeholders(), chunk).await?;
        }
        self.commit(transaction).await?;
        Ok(true)
    }
}

pub(super) async fn insert_nodes(
    transaction: &mut Transaction<'static, Any>,
    mut places: Placeholders,
    nodes: &[NodeRow],
) -> Result<(), StoreError> {
    // Safe: the text is made of placeholders alone.
    let statement = AssertSqlSafe(format!(
        "INSERT INTO nodes (place, generation, epoch, wrapped) VALUES {}",
        places.rows(nodes.len(), 4)
    ));
    let mut query = sqlx::query(statement).persistent(false);
    for node in nodes {
        query = query
            .bind(i64::from(node.place.number()))
            .bind(rows::stored(node.generation, "generation")?)
            .bind(rows::stored(node.epoch.0, "epoch")?)
            .bind(node.wrapped.to_vec());
    }
    query
        .execute(&mut **transaction)
        .await
        .map(|_| ())
        .map_err(|error| store_error(&error))
}
