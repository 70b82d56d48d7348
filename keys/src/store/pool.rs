//! Connecting to SQLite or PostgreSQL, and what a connection must be set to.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::str::FromStr;
use std::sync::Once;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, AnyPool, Executor};

use super::StoreError;
use crate::config::StoreUrl;

/// The key store is asked rarely; caches and renewals need few connections.
const CONNECTIONS_MAX: u32 = 8;

/// WAL with full syncs: a committed KEK survives a power cut. Deleted rows are overwritten, so that a copied file
/// holds no wrapped keys of the past.
const SQLITE_SETTINGS: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                               PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON";

/// As [`SQLITE_SETTINGS`] in what is checked of rows. Nothing of it is worth a journal: after a crash it is not opened again. A page
/// that leaves the cache in the middle of an import is then written once, where it belongs, and not once again in a log as long as the
/// import.
const SCRATCH_SETTINGS: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; \
                                PRAGMA foreign_keys = ON";

static DRIVERS: Once = Once::new();

/// A lazily connecting pool; nothing is created.
pub(super) fn pool(url: &StoreUrl, deadline: Duration) -> Result<AnyPool, StoreError> {
    pool_with(url, deadline, SQLITE_SETTINGS)
}

/// As [`pool`], for a store that nobody opens again.
pub(super) fn scratch_pool(url: &StoreUrl, deadline: Duration) -> Result<AnyPool, StoreError> {
    pool_with(url, deadline, SCRATCH_SETTINGS)
}

fn pool_with(
    url: &StoreUrl,
    deadline: Duration,
    settings: &'static str,
) -> Result<AnyPool, StoreError> {
    DRIVERS.call_once(sqlx::any::install_default_drivers);
    let options = AnyPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(deadline);
    let (options, connect) = match url {
        StoreUrl::Sqlite { path } => {
            let url = format!("sqlite://{}?mode=rw", percent_encoded(path)?);
            let options = options
                .after_connect(move |connection, _| Box::pin(set_up_sqlite(connection, settings)));
            (options, AnyConnectOptions::from_str(&url))
        }
        StoreUrl::Postgres { url } => (options, AnyConnectOptions::from_str(url)),
    };
    // The driver's own error may quote the URL.
    let connect =
        connect.map_err(|_| StoreError::Unavailable("the url cannot be parsed".to_owned()))?;
    Ok(options.connect_lazy_with(connect.disable_statement_logging()))
}

async fn set_up_sqlite(
    connection: &mut AnyConnection,
    settings: &'static str,
) -> Result<(), sqlx::Error> {
    connection
        .execute(sqlx::raw_sql(settings))
        .await
        .map(|_| ())
}

/// Makes the database file and its directory, closed to others, unless they are there.
pub(super) fn create_sqlite_file(path: &Path) -> io::Result<()> {
    if let Some(directory) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
    }
    match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome.map(|_| ()),
    }
}

fn percent_encoded(path: &Path) -> Result<String, StoreError> {
    let path = std::path::absolute(path).map_err(|error| {
        StoreError::Unavailable(format!("resolving the path: {}", error.kind()))
    })?;
    let text = path
        .to_str()
        .ok_or_else(|| StoreError::Unavailable("the path is not UTF-8".to_owned()))?;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    Ok(encoded)
}

/// A store error without anything that a connection string or a row could carry into a log.
pub(super) fn store_error(error: &sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            // 42P01: undefined table; 3D000: undefined database. SQLite has only a text for it.
            if code == "42P01" || code == "3D000" || database.message().starts_with("no such table")
            {
                return StoreError::Missing;
            }
            StoreError::Unavailable(format!("database error {code}"))
        }
        sqlx::Error::Io(error) => StoreError::Unavailable(format!("i/o: {}", error.kind())),
        sqlx::Error::PoolTimedOut => StoreError::Unavailable("no connection in time".to_owned()),
        sqlx::Error::Tls(_) => StoreError::Unavailable("tls failed".to_owned()),
        sqlx::Error::Configuration(_) => StoreError::Unavailable("bad connection url".to_owned()),
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
            StoreError::Unavailable("connection pool closed".to_owned())
        }
        sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Decode(_)
        | sqlx::Error::ColumnNotFound(_) => StoreError::Corrupt("column type"),
        _ => StoreError::Unavailable("database driver error".to_owned()),
    }
}
