//! The catalog in SQLite or PostgreSQL, by the same statements.
//!
//! Every change is one conditional statement whose row count is checked; when it changed nothing, the row is read in the same
//! transaction to tell why. What gateways cache bumps the revision in that transaction too.

mod attempts;
mod buckets;
mod codes;
mod completion;
mod credentials;
mod domain;
mod gateways;
mod jobs;
mod receipts;
mod shreds;
mod tenants;
mod terminations;
mod uploads;

use super::database::{
    self, Database, DatabaseError, OpenError, Row, Schema, Statement, StoreLocation, StoreOptions,
    StoreUrl, Transaction,
};
use super::{CatalogError, Change};

/// The newest revisions whose changes are kept; whoever is further behind drops its whole cache.
const CHANGES_KEPT: i64 = 4096;

const SCHEMA: Schema = Schema {
    store: "catalog",
    table: "catalog_migrations",
    version_query: "SELECT MAX(version) AS version FROM catalog_migrations",
    sqlite: || sqlx::migrate!("src/catalog/migrations/sqlite"),
    postgres: || sqlx::migrate!("src/catalog/migrations/postgres"),
    oldest: 7,
    newest: 7,
};

/// A domain's catalog in a database.
pub struct SqlCatalog {
    database: Database,
    identity: [u8; 16],
}

impl SqlCatalog {
    /// Makes a catalog with a random identity, or migrates and opens the one that is there. For `domain init` and `dev` only: a
    /// wrong URL in `serve` must not become a second catalog.
    ///
    /// # Errors
    /// [`OpenError`] when the database can't be made, reached or migrated.
    pub async fn create(url: &StoreUrl, options: &StoreOptions) -> Result<Self, OpenError> {
        let database = database::create(&SCHEMA, url, options).await?;
        let mut identity = [0; 16];
        getrandom::fill(&mut identity).map_err(|_| {
            SCHEMA.unavailable(
                url,
                DatabaseError::Unavailable("no randomness for its identity".to_owned()),
            )
        })?;
        record_catalog_identity(&database, identity)
            .await
            .map_err(|error| SCHEMA.unavailable(url, error))?;
        Self::with(database, url).await
    }

    /// Migrates a catalog that is there, and opens it: `lethe migrate`.
    ///
    /// # Errors
    /// [`OpenError`] when it is not there, is newer than this program, or can't be reached or migrated.
    pub async fn migrate(url: &StoreUrl, options: &StoreOptions) -> Result<Self, OpenError> {
        Self::with(database::migrate(&SCHEMA, url, options).await?, url).await
    }

    /// Opens a catalog that is there and has a schema version that this program works with.
    ///
    /// # Errors
    /// [`OpenError`] when it is not there, has another version, or can't be reached.
    pub async fn open(url: &StoreUrl, options: &StoreOptions) -> Result<Self, OpenError> {
        Self::with(database::open(&SCHEMA, url, options).await?, url).await
    }

    async fn with(database: Database, url: &StoreUrl) -> Result<Self, OpenError> {
        let identity = catalog_identity(&database)
            .await
            .map_err(|error| SCHEMA.unavailable(url, error))?;
        Ok(Self { database, identity })
    }

    /// The random identity that it was created with.
    #[must_use]
    pub fn identity(&self) -> [u8; 16] {
        self.identity
    }

    /// Where its bytes lie.
    #[must_use]
    pub fn location(&self) -> &StoreLocation {
        self.database.location()
    }

    async fn read(
        &self,
        operation: &'static str,
        statement: Statement,
    ) -> Result<Vec<Row>, CatalogError> {
        self.database.read(statement).await.map_err(at(operation))
    }

    async fn read_one(
        &self,
        operation: &'static str,
        what: &'static str,
        statement: Statement,
    ) -> Result<Row, CatalogError> {
        let rows = self.read(operation, statement).await?;
        rows.into_iter()
            .next()
            .ok_or(CatalogError::NotFound { operation, what })
    }

    /// Runs statements in one transaction, for tests that need many rows or look behind the traits.
    #[cfg(test)]
    pub(super) async fn run(&self, statements: Vec<Statement>) -> Vec<Vec<Row>> {
        let mut transaction = self.database.begin().await.unwrap();
        let mut answers = Vec::new();
        for statement in statements {
            answers.push(transaction.rows(statement).await.unwrap());
        }
        transaction.commit().await.unwrap();
        answers
    }

    /// Begins a change, and leaves it as a gateway does that is killed before the commit.
    #[cfg(test)]
    pub(super) async fn begin_and_drop(&self, tenant: crate::tenants::TenantId) {
        let mut work = self.begin("begin_bucket").await.unwrap();
        let count = Statement::new("UPDATE tenants SET bucket_count = 99 WHERE id = $1");
        assert_eq!(work.change(count.bind(tenant)).await.unwrap(), 1);
        let bump = Statement::new("UPDATE domain SET revision = revision + 1");
        assert_eq!(work.change(bump).await.unwrap(), 1);
    }

    async fn begin(&self, operation: &'static str) -> Result<Work, CatalogError> {
        let transaction = self.database.begin().await.map_err(at(operation))?;
        Ok(Work {
            transaction,
            operation,
        })
    }
}

async fn record_catalog_identity(
    database: &Database,
    identity: [u8; 16],
) -> Result<(), DatabaseError> {
    let mut transaction = database.begin().await?;
    let insert = Statement::new(
        "INSERT INTO domain (id, catalog_identity, revision) VALUES (1, $1, 0) ON CONFLICT DO NOTHING",
    );
    transaction.change(insert.bind(identity.as_slice())).await?;
    transaction.commit().await
}

async fn catalog_identity(database: &Database) -> Result<[u8; 16], DatabaseError> {
    let rows = database
        .read(Statement::new(
            "SELECT catalog_identity FROM domain WHERE id = 1",
        ))
        .await?;
    match rows.first() {
        Some(row) => row.array("catalog_identity"),
        // Migrated, but killed before the identity: as good as not there, and `create` mends it.
        None => Err(DatabaseError::NoTable),
    }
}

/// A catalog error of one operation.
fn at(operation: &'static str) -> impl Fn(DatabaseError) -> CatalogError {
    move |error| match error {
        DatabaseError::Unavailable(reason) => CatalogError::Unavailable { operation, reason },
        DatabaseError::Corrupt(reason) => CatalogError::Corrupt { operation, reason },
        DatabaseError::NoTable => CatalogError::Corrupt {
            operation,
            reason: "a table is missing".to_owned(),
        },
    }
}

/// One operation's transaction; dropped, it is rolled back.
struct Work {
    transaction: Transaction,
    operation: &'static str,
}

impl Work {
    async fn change(&mut self, statement: Statement) -> Result<u64, CatalogError> {
        let changed = self.transaction.change(statement).await;
        changed.map_err(at(self.operation))
    }

    async fn rows(&mut self, statement: Statement) -> Result<Vec<Row>, CatalogError> {
        let rows = self.transaction.rows(statement).await;
        rows.map_err(at(self.operation))
    }

    /// The first row of an answer that has at most one.
    async fn row(&mut self, statement: Statement) -> Result<Option<Row>, CatalogError> {
        Ok(self.rows(statement).await?.into_iter().next())
    }

    /// Bumps the revision for a change. It is the last statement of its transaction: the row lock that it takes makes revisions
    /// become visible in their order, and nothing else is waited for under it.
    async fn commit_with(mut self, change: &Change) -> Result<(), CatalogError> {
        let bump = Statement::new(
            "UPDATE domain SET revision = revision + 1 WHERE id = 1 RETURNING revision",
        );
        let Some(row) = self.row(bump).await? else {
            return Err(CatalogError::Corrupt {
                operation: self.operation,
                reason: "the domain's row is missing".to_owned(),
            });
        };
        let revision: i64 = row.get("revision").map_err(at(self.operation))?;
        let (kind, tenant, name) = codes::change_columns(change);
        let insert = Statement::new(
            "INSERT INTO changes (revision, kind, tenant, name) VALUES ($1, $2, $3, $4)",
        )
        .bind(revision)
        .bind(kind)
        .bind(tenant)
        .bind(name);
        self.change(insert).await?;
        let prune = Statement::new("DELETE FROM changes WHERE revision <= $1");
        self.change(prune.bind(revision.saturating_sub(CHANGES_KEPT)))
            .await?;
        self.commit().await
    }

    async fn commit(self) -> Result<(), CatalogError> {
        let committed = self.transaction.commit().await;
        committed.map_err(at(self.operation))
    }

    fn not_found(&self, what: &'static str) -> CatalogError {
        CatalogError::NotFound {
            operation: self.operation,
            what,
        }
    }

    fn exists(&self, what: &'static str) -> CatalogError {
        CatalogError::Exists {
            operation: self.operation,
            what,
        }
    }

    fn conflict(&self, reason: &'static str) -> CatalogError {
        CatalogError::Conflict {
            operation: self.operation,
            reason,
        }
    }
}
