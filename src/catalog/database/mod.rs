//! One database, SQLite or PostgreSQL, behind the few calls that the catalog and the directory need. Each call has a deadline, pool
//! acquisition included, and no error carries a row's content or a connection string.

mod error;
mod open;
mod statement;
mod url;

pub(crate) use error::DatabaseError;
pub use error::OpenError;
pub(crate) use open::{Schema, create, migrate, open};
pub(crate) use statement::{Row, Statement, Value};
pub use url::{StoreLocation, StoreUrl, StoreUrlError};

use sqlx::{PgPool, Postgres, Sqlite, SqlitePool};
use std::future::Future;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How a store's database is used.
#[derive(Clone, Copy, Debug)]
pub struct StoreOptions {
    /// The most that one call takes, waiting for a connection included.
    pub deadline: Duration,
    /// The most connections that are held.
    pub connections_max: u32,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(5),
            connections_max: 16,
        }
    }
}

enum Pools {
    /// SQLite has one writer at a time: a pool of one connection queues for it fairly, without `SQLITE_BUSY`.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
    },
    Postgres(PgPool),
}

/// An open database.
pub(crate) struct Database {
    pools: Pools,
    deadline: Duration,
    location: StoreLocation,
}

impl Database {
    pub(crate) fn location(&self) -> &StoreLocation {
        &self.location
    }

    /// Whether it is a server's, with a clock that may be another machine's.
    pub(crate) fn has_server(&self) -> bool {
        matches!(self.pools, Pools::Postgres(_))
    }

    /// Asks one statement that changes nothing.
    pub(crate) async fn read(&self, statement: Statement) -> Result<Vec<Row>, DatabaseError> {
        let asked = async {
            Ok(match &self.pools {
                Pools::Sqlite { readers, .. } => {
                    let rows = statement.for_sqlite().fetch_all(readers).await?;
                    rows.into_iter().map(Row::Sqlite).collect()
                }
                Pools::Postgres(pool) => {
                    let rows = statement.for_postgres().fetch_all(pool).await?;
                    rows.into_iter().map(Row::Postgres).collect()
                }
            })
        };
        within(Instant::now() + self.deadline, asked).await
    }

    /// Begins a transaction that may change something; dropped, it is rolled back. The deadline is that of the whole transaction.
    pub(crate) async fn begin(&self) -> Result<Transaction, DatabaseError> {
        let deadline = Instant::now() + self.deadline;
        let inner = match &self.pools {
            // IMMEDIATE: a transaction that reads first and then writes would otherwise fail when another process wrote.
            Pools::Sqlite { writer, .. } => {
                Inner::Sqlite(within(deadline, writer.begin_with("BEGIN IMMEDIATE")).await?)
            }
            Pools::Postgres(pool) => Inner::Postgres(within(deadline, pool.begin()).await?),
        };
        Ok(Transaction { inner, deadline })
    }
}

enum Inner {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

/// A transaction in which each statement sees what was committed before it (READ COMMITTED on PostgreSQL).
pub(crate) struct Transaction {
    inner: Inner,
    deadline: Instant,
}

impl Transaction {
    /// Runs a change and tells how many rows it changed.
    pub(crate) async fn change(&mut self, statement: Statement) -> Result<u64, DatabaseError> {
        match &mut self.inner {
            Inner::Sqlite(inner) => {
                let done = within(self.deadline, statement.for_sqlite().execute(&mut **inner));
                Ok(done.await?.rows_affected())
            }
            Inner::Postgres(inner) => {
                let done = within(
                    self.deadline,
                    statement.for_postgres().execute(&mut **inner),
                );
                Ok(done.await?.rows_affected())
            }
        }
    }

    /// Runs a question, or a change with `RETURNING`. The whole answer is read: SQLite ends a change only then.
    pub(crate) async fn rows(&mut self, statement: Statement) -> Result<Vec<Row>, DatabaseError> {
        match &mut self.inner {
            Inner::Sqlite(inner) => {
                let rows = within(
                    self.deadline,
                    statement.for_sqlite().fetch_all(&mut **inner),
                );
                Ok(rows.await?.into_iter().map(Row::Sqlite).collect())
            }
            Inner::Postgres(inner) => {
                let rows = within(
                    self.deadline,
                    statement.for_postgres().fetch_all(&mut **inner),
                );
                Ok(rows.await?.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    /// Makes it durable. After an error it is unknown whether it is.
    pub(crate) async fn commit(self) -> Result<(), DatabaseError> {
        match self.inner {
            Inner::Sqlite(inner) => within(self.deadline, inner.commit()).await,
            Inner::Postgres(inner) => within(self.deadline, inner.commit()).await,
        }
    }
}

async fn within<T>(
    deadline: Instant,
    call: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, DatabaseError> {
    match timeout_at(deadline, call).await {
        Ok(outcome) => outcome.map_err(DatabaseError::from),
        Err(_) => Err(DatabaseError::Unavailable(
            "no answer within the deadline".to_owned(),
        )),
    }
}
