//! The schema: made by `init`, brought forward by `migrate`, only ever checked by everything else.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};

use super::super::pool::{create_sqlite_file, store_error};
use super::super::{SCHEMA_ADDITIVE_MAX, SCHEMA_NEEDED, StoreError};
use super::SqlKeyStore;
use crate::config::StoreUrl;

/// SQLite's migrations take no lock: who loses a race finds them made when it looks again.
const SQLITE_ATTEMPTS: u32 = 10;
const SQLITE_PAUSE: Duration = Duration::from_millis(50);

impl SqlKeyStore {
    pub(super) async fn create_schema(&self) -> Result<(), StoreError> {
        self.gate.pass()?;
        if let StoreUrl::Sqlite { path } = &self.url {
            create_sqlite_file(path).map_err(|error| {
                StoreError::Unavailable(format!("creating the file: {}", error.kind()))
            })?;
        }
        self.run_migrations().await?;
        self.gate.pass()
    }

    /// Brings the schema of a key store that is there to this program's, and answers its version. One that a newer program
    /// only added to is left as it is.
    pub(crate) async fn migrate_schema(&self) -> Result<i64, StoreError> {
        self.gate.pass()?;
        let found = self.schema_version().await?;
        if found == 0 {
            return Err(StoreError::Missing);
        }
        if found > SCHEMA_ADDITIVE_MAX {
            return Err(StoreError::Schema(found));
        }
        self.run_migrations().await?;
        self.gate.pass()?;
        self.schema_version().await
    }

    pub(super) async fn check_schema(&self) -> Result<(), StoreError> {
        let version = self.schema_version().await?;
        if (SCHEMA_NEEDED..=SCHEMA_ADDITIVE_MAX).contains(&version) {
            Ok(())
        } else {
            Err(StoreError::Schema(version))
        }
    }

    /// The newest migration that was made; 0 for none.
    async fn schema_version(&self) -> Result<i64, StoreError> {
        if let StoreUrl::Sqlite { path } = &self.url
            && !path.is_file()
        {
            return Err(StoreError::Missing);
        }
        sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations")
            .fetch_one(&self.pool)
            .await
            .map_err(|error| store_error(&error))
    }

    /// All migrations that this program knows.
    pub(crate) fn migrator(&self) -> Migrator {
        let mut migrator = match &self.url {
            StoreUrl::Sqlite { .. } => sqlx::migrate!("migrations/sqlite"),
            StoreUrl::Postgres { .. } => sqlx::migrate!("migrations/postgres"),
        };
        migrator.set_ignore_missing(true);
        migrator
    }

    async fn run_migrations(&self) -> Result<(), StoreError> {
        let migrator = self.migrator();
        let mut attempts = match &self.url {
            StoreUrl::Sqlite { .. } => SQLITE_ATTEMPTS,
            StoreUrl::Postgres { .. } => 1,
        };
        loop {
            attempts -= 1;
            let error = match migrator.run(&self.pool).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let of_a_statement = matches!(
                error,
                MigrateError::Execute(_) | MigrateError::ExecuteMigration(..)
            );
            if attempts == 0 || !of_a_statement {
                return Err(migration_error(&error));
            }
            tokio::time::sleep(SQLITE_PAUSE).await;
        }
    }
}

fn migration_error(error: &MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            match store_error(error) {
                StoreError::Unavailable(cause) => {
                    StoreError::Unavailable(format!("a migration failed: {cause}"))
                }
                other => other,
            }
        }
        MigrateError::VersionMismatch(version) => StoreError::Schema(*version),
        _ => StoreError::Unavailable("a migration failed".to_owned()),
    }
}
