//! Schema, identity and the first tree.

use sqlx::{Any, AssertSqlSafe, Transaction};

use super::super::pool::{create_sqlite_file, store_error};
use super::super::{NodeRow, StoreError, StoreHead};
use super::{SqlKeyStore, rows};
use crate::config::StoreUrl;
use crate::tree::Epoch;
use crate::types::KeyStoreIdentity;

/// The newest migration that this program needs.
const SCHEMA_NEEDED: i64 = 1_001;
/// Up to here migrations only add, so that this program can use a newer store.
const SCHEMA_ADDITIVE_MAX: i64 = 1_999;

/// Rows of one INSERT: few round trips, far below either database's limit on parameters.
pub(super) const NODES_PER_INSERT: usize = 256;

impl SqlKeyStore {
    pub(super) async fn create_schema(&self) -> Result<(), StoreError> {
        self.gate.pass()?;
        let mut migrator = match &self.url {
            StoreUrl::Sqlite { path } => {
                create_sqlite_file(path).map_err(|error| {
                    StoreError::Unavailable(format!("creating the file: {}", error.kind()))
                })?;
                sqlx::migrate!("migrations/sqlite")
            }
            StoreUrl::Postgres { .. } => sqlx::migrate!("migrations/postgres"),
        };
        migrator.set_ignore_missing(true);
        migrator
            .run(&self.pool)
            .await
            .map_err(|error| match error {
                sqlx::migrate::MigrateError::Execute(error) => store_error(&error),
                sqlx::migrate::MigrateError::VersionMismatch(version) => {
                    StoreError::Schema(version)
                }
                _ => StoreError::Unavailable("migration failed".to_owned()),
            })?;
        self.gate.pass()
    }

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

    pub(super) async fn check_schema(&self) -> Result<(), StoreError> {
        if let StoreUrl::Sqlite { path } = &self.url
            && !path.is_file()
        {
            return Err(StoreError::Missing);
        }
        let version: i64 =
            sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations")
                .fetch_one(&self.pool)
                .await
                .map_err(|error| store_error(&error))?;
        if (SCHEMA_NEEDED..=SCHEMA_ADDITIVE_MAX).contains(&version) {
            Ok(())
        } else {
            Err(StoreError::Schema(version))
        }
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
            insert_nodes(&mut transaction, chunk).await?;
        }
        self.commit(transaction).await?;
        Ok(true)
    }
}

pub(super) async fn insert_nodes(
    transaction: &mut Transaction<'static, Any>,
    nodes: &[NodeRow],
) -> Result<(), StoreError> {
    let values: Vec<String> = (0..nodes.len())
        .map(|row| {
            format!(
                "(${}, ${}, ${}, ${})",
                row * 4 + 1,
                row * 4 + 2,
                row * 4 + 3,
                row * 4 + 4
            )
        })
        .collect();
    // Safe: the text is made of placeholders alone.
    let statement = AssertSqlSafe(format!(
        "INSERT INTO nodes (place, generation, epoch, wrapped) VALUES {}",
        values.join(", ")
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
