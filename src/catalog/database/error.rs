//! What goes wrong with a database, without anything that a row or a connection string could carry into a log.

use std::io;

/// A database's failure.
#[derive(Debug)]
pub(crate) enum DatabaseError {
    /// Away, too slow, full or read-only: the same call may work later.
    Unavailable(String),
    /// A table is not there.
    NoTable,
    /// It holds, or was asked, something that can't be.
    Corrupt(String),
}

impl DatabaseError {
    pub(crate) fn corrupt(column: &str) -> Self {
        Self::Corrupt(format!("column {column}"))
    }
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => of_database(error.as_ref()),
            sqlx::Error::Io(error) => Self::Unavailable(format!("i/o: {}", error.kind())),
            sqlx::Error::Tls(_) => Self::Unavailable("tls failed".to_owned()),
            sqlx::Error::PoolTimedOut => Self::Unavailable("no connection in time".to_owned()),
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                Self::Unavailable("the connection pool is closed".to_owned())
            }
            sqlx::Error::Protocol(_) | sqlx::Error::BeginFailed => {
                Self::Unavailable("the connection broke".to_owned())
            }
            sqlx::Error::Configuration(_) => {
                Self::Unavailable("the connection parameters are not usable".to_owned())
            }
            _ => Self::Corrupt("the statement does not fit the schema".to_owned()),
        }
    }
}

/// PostgreSQL's SQLSTATE classes and SQLite's primary result codes that say nothing about the data.
fn of_database(error: &dyn sqlx::error::DatabaseError) -> DatabaseError {
    let code = error.code().unwrap_or_default();
    if code == "42P01" || (code == "1" && error.message().starts_with("no such table")) {
        return DatabaseError::NoTable;
    }
    let reason = format!("database error {code}");
    let passes = match code.parse::<u32>() {
        // Extended SQLite codes hold the primary one in the low byte: BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, FULL,
        // CANTOPEN, PROTOCOL.
        Ok(sqlite) if code.len() < 5 => {
            matches!(sqlite & 0xff, 5 | 6 | 7 | 8 | 9 | 10 | 13 | 14 | 15)
        }
        // Connection, authorisation, unknown database, transaction state and rollback, resources, object state (locks), operator
        // intervention (statement_timeout, shutdown), system.
        _ => ["08", "28", "3D", "25", "40", "53", "55", "57", "58"]
            .iter()
            .any(|class| code.starts_with(class)),
    };
    if passes {
        DatabaseError::Unavailable(reason)
    } else {
        DatabaseError::Corrupt(reason)
    }
}

/// Why a store can't be opened. Each is for an operator, and says what mends it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no such database, or it is empty.
    #[error("the {store} {url} is not there; `lethe domain init` creates it, never `serve`")]
    Missing {
        /// Which store.
        store: &'static str,
        /// Its redacted URL.
        url: String,
    },
    /// Its schema is of another version of Lethe.
    #[error(
        "the {store} {url} has schema version {found}, this lethe works with {oldest} to {newest}: {advice}"
    )]
    Schema {
        /// Which store.
        store: &'static str,
        /// Its redacted URL.
        url: String,
        /// The version found.
        found: i64,
        /// The oldest that works.
        oldest: i64,
        /// The newest that works.
        newest: i64,
        /// What to do.
        advice: &'static str,
    },
    /// Its file or directory can't be made or read.
    #[error("the {store} {url}: {what}")]
    File {
        /// Which store.
        store: &'static str,
        /// Its redacted URL.
        url: String,
        /// The step.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It can't be reached, or what it holds can't be used.
    #[error("the {store} {url} can't be opened: {reason}")]
    Unavailable {
        /// Which store.
        store: &'static str,
        /// Its redacted URL.
        url: String,
        /// What happened, without secrets.
        reason: String,
    },
}
