//! The directory in SQLite or PostgreSQL, by the same statements.

use super::{AccessKeyHash, Directory, DirectoryError};
use crate::catalog::database::{
    self, Database, DatabaseError, OpenError, Row, Schema, Statement, StoreLocation, StoreOptions,
    StoreUrl,
};
use crate::tenants::{AccessKeyId, DomainName};
use async_trait::async_trait;

const SCHEMA: Schema = Schema {
    store: "directory",
    table: "directory_migrations",
    version_query: "SELECT MAX(version) AS version FROM directory_migrations",
    sqlite: || sqlx::migrate!("src/directory/migrations/sqlite"),
    postgres: || sqlx::migrate!("src/directory/migrations/postgres"),
    oldest: 1,
    newest: 1,
};

/// The directory in a database.
pub struct SqlDirectory {
    database: Database,
}

impl SqlDirectory {
    /// Makes a directory, or migrates and opens the one that is there. For `domain init` and `dev` only.
    ///
    /// # Errors
    /// [`OpenError`] when the database can't be made, reached or migrated.
    pub async fn create(url: &StoreUrl, options: &StoreOptions) -> Result<Self, OpenError> {
        let database = database::create(&SCHEMA, url, options).await?;
        Ok(Self { database })
    }

    /// Migrates a directory that is there, and opens it: `lethe migrate`.
    ///
    /// # Errors
    /// [`OpenError`] when it is not there, is newer than this program, or can't be reached or migrated.
    pub async fn migrate(url: &StoreUrl, options: &StoreOptions) -> Result<Self, OpenError> {
        let database = database::migrate(&SCHEMA, url, options).await?;
        Ok(Self { database })
    }

    /// Opens a directory that is there and has a schema version that this program works with.
    ///
    /// # Errors
    /// [`OpenError`] when it is not there, has another version, or can't be reached.
    pub async fn open(url: &StoreUrl, options: &StoreOptions) -> Result<Self, OpenError> {
        let database = database::open(&SCHEMA, url, options).await?;
        Ok(Self { database })
    }

    /// Where its bytes lie.
    #[must_use]
    pub fn location(&self) -> &StoreLocation {
        self.database.location()
    }

    async fn change(&self, statement: Statement) -> Result<u64, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        let changed = transaction.change(statement).await?;
        transaction.commit().await?;
        Ok(changed)
    }
}

/// A directory error of one operation.
fn at(operation: &'static str) -> impl Fn(DatabaseError) -> DirectoryError {
    move |error| {
        let reason = match error {
            DatabaseError::Unavailable(reason) => reason,
            DatabaseError::Corrupt(reason) => format!("it is corrupt: {reason}"),
            DatabaseError::NoTable => "a table is missing".to_owned(),
        };
        DirectoryError::Unavailable { operation, reason }
    }
}

fn domain_of(row: &Row) -> Result<DomainName, DatabaseError> {
    DomainName::new(row.get::<String>("domain")?).map_err(|_| DatabaseError::corrupt("domain"))
}

#[async_trait]
impl Directory for SqlDirectory {
    async fn register(&self, key: &AccessKeyId, domain: &DomainName) -> Result<(), DirectoryError> {
        let operation = "register";
        // The no-op update counts a row when the key is this domain's already, and none when it is another's.
        let upsert = Statement::new(
            "INSERT INTO directory_keys (key_hash, domain) VALUES ($1, $2)
             ON CONFLICT (key_hash) DO UPDATE SET domain = excluded.domain
                 WHERE directory_keys.domain = excluded.domain",
        )
        .bind(AccessKeyHash::of(key).0.as_slice())
        .bind(domain.as_str());
        match self.change(upsert).await.map_err(at(operation))? {
            0 => Err(DirectoryError::Taken { operation }),
            _ => Ok(()),
        }
    }

    async fn domain_of(&self, key: &AccessKeyId) -> Result<Option<DomainName>, DirectoryError> {
        let operation = "domain_of";
        let question = Statement::new("SELECT domain FROM directory_keys WHERE key_hash = $1")
            .bind(AccessKeyHash::of(key).0.as_slice());
        let rows = self.database.read(question).await.map_err(at(operation))?;
        let domain = rows.first().map(domain_of).transpose();
        domain.map_err(at(operation))
    }

    async fn forget(&self, key: &AccessKeyId, domain: &DomainName) -> Result<(), DirectoryError> {
        let delete =
            Statement::new("DELETE FROM directory_keys WHERE key_hash = $1 AND domain = $2")
                .bind(AccessKeyHash::of(key).0.as_slice())
                .bind(domain.as_str());
        // No row: it was forgotten before, or another domain's, which this one can't forget.
        self.change(delete).await.map(drop).map_err(at("forget"))
    }

    async fn ping(&self) -> Result<(), DirectoryError> {
        let question = Statement::new("SELECT domain FROM directory_keys LIMIT 1");
        let answer = self.database.read(question).await;
        answer.map(drop).map_err(at("ping"))
    }
}
