//! Making, migrating and opening a database. Only `create` and `migrate` change a schema, and only `create` makes a database.

use super::{
    Database, DatabaseError, OpenError, Pools, Statement, StoreLocation, StoreOptions, StoreUrl,
    within,
};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};
use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// A migration may rewrite a table, so it has a deadline of its own.
const MIGRATION_DEADLINE: Duration = Duration::from_secs(600);

/// SQLite's migrations take no lock: who loses a race finds them made when it looks again.
const SQLITE_ATTEMPTS: u32 = 10;
const SQLITE_PAUSE: Duration = Duration::from_millis(50);

/// One store's schema.
pub(crate) struct Schema {
    /// What it is called in errors.
    pub(crate) store: &'static str,
    /// Records the migrations that ran.
    pub(crate) table: &'static str,
    /// Asks the newest of them, as `version`.
    pub(crate) version_query: &'static str,
    pub(crate) sqlite: fn() -> Migrator,
    pub(crate) postgres: fn() -> Migrator,
    /// The oldest version that this program works with.
    pub(crate) oldest: i64,
    /// The newest version that this program works with, which is the one it migrates to.
    pub(crate) newest: i64,
}

impl Schema {
    fn missing(&self, url: &StoreUrl) -> OpenError {
        OpenError::Missing {
            store: self.store,
            url: url.to_string(),
        }
    }

    pub(crate) fn unavailable(&self, url: &StoreUrl, error: DatabaseError) -> OpenError {
        let reason = match error {
            DatabaseError::NoTable => return self.missing(url),
            DatabaseError::Unavailable(reason) | DatabaseError::Corrupt(reason) => reason,
        };
        OpenError::Unavailable {
            store: self.store,
            url: url.to_string(),
            reason,
        }
    }

    fn file(&self, url: &StoreUrl, what: &'static str, source: io::Error) -> OpenError {
        OpenError::File {
            store: self.store,
            url: url.to_string(),
            what,
            source,
        }
    }

    fn wrong_version(&self, url: &StoreUrl, found: i64) -> OpenError {
        let advice = if found < self.oldest {
            "run `lethe migrate`"
        } else {
            "it was migrated by a newer lethe; use that"
        };
        OpenError::Schema {
            store: self.store,
            url: url.to_string(),
            found,
            oldest: self.oldest,
            newest: self.newest,
            advice,
        }
    }
}

/// Makes the database file where there is none (a PostgreSQL database must exist), migrates and opens.
pub(crate) async fn create(
    schema: &Schema,
    url: &StoreUrl,
    options: &StoreOptions,
) -> Result<Database, OpenError> {
    if let StoreUrl::Sqlite(path) = url {
        create_file(path).map_err(|error| schema.file(url, "making its file", error))?;
    }
    run_migrations(schema, url, options).await?;
    open(schema, url, options).await
}

/// Migrates a database that is there, and opens it.
pub(crate) async fn migrate(
    schema: &Schema,
    url: &StoreUrl,
    options: &StoreOptions,
) -> Result<Database, OpenError> {
    let database = connect(schema, url, options).await?;
    let found = version(schema, url, &database).await?;
    if found > schema.newest {
        return Err(schema.wrong_version(url, found));
    }
    drop(database);
    run_migrations(schema, url, options).await?;
    open(schema, url, options).await
}

/// Opens a database that is there and whose schema this program works with.
pub(crate) async fn open(
    schema: &Schema,
    url: &StoreUrl,
    options: &StoreOptions,
) -> Result<Database, OpenError> {
    let database = connect(schema, url, options).await?;
    check_version(schema, url, &database).await?;
    Ok(database)
}

async fn version(schema: &Schema, url: &StoreUrl, database: &Database) -> Result<i64, OpenError> {
    let rows = database
        .read(Statement::new(schema.version_query))
        .await
        .map_err(|error| schema.unavailable(url, error))?;
    let newest = match rows.first() {
        Some(row) => row
            .get::<Option<i64>>("version")
            .map_err(|error| schema.unavailable(url, error))?,
        None => None,
    };
    newest.ok_or_else(|| schema.missing(url))
}

async fn check_version(
    schema: &Schema,
    url: &StoreUrl,
    database: &Database,
) -> Result<(), OpenError> {
    let found = version(schema, url, database).await?;
    if (schema.oldest..=schema.newest).contains(&found) {
        Ok(())
    } else {
        Err(schema.wrong_version(url, found))
    }
}

async fn run_migrations(
    schema: &Schema,
    url: &StoreUrl,
    options: &StoreOptions,
) -> Result<(), OpenError> {
    // On a connection of its own: the pools' deadlines are not for this.
    let migrated = timeout(MIGRATION_DEADLINE, async {
        match url {
            StoreUrl::Sqlite(path) => {
                let mut migrator = (schema.sqlite)();
                migrator.dangerous_set_table_name(schema.table);
                let mut connection = sqlite_target(path, options).connect().await?;
                let mut attempts = SQLITE_ATTEMPTS;
                while let Err(error) = migrator.run(&mut connection).await {
                    attempts -= 1;
                    let of_a_statement = matches!(
                        error,
                        MigrateError::Execute(_) | MigrateError::ExecuteMigration(..)
                    );
                    if attempts == 0 || !of_a_statement {
                        return Err(error);
                    }
                    tokio::time::sleep(SQLITE_PAUSE).await;
                }
                connection.close().await?;
            }
            StoreUrl::Postgres(target) => {
                let mut migrator = (schema.postgres)();
                migrator.dangerous_set_table_name(schema.table);
                let mut connection = quiet(target).connect().await?;
                migrator.run(&mut connection).await?;
                connection.close().await?;
            }
        }
        Ok::<(), MigrateError>(())
    })
    .await;
    match migrated {
        Ok(Ok(())) => Ok(()),
        Ok(Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _))) => {
            Err(schema.unavailable(url, DatabaseError::from(error)))
        }
        Ok(Err(MigrateError::VersionMissing(found))) => Err(schema.wrong_version(url, found)),
        Ok(Err(error)) => Err(OpenError::Unavailable {
            store: schema.store,
            url: url.to_string(),
            reason: format!("a migration failed: {error}"),
        }),
        Err(_) => Err(OpenError::Unavailable {
            store: schema.store,
            url: url.to_string(),
            reason: "the migrations did not end in time".to_owned(),
        }),
    }
}

async fn connect(
    schema: &Schema,
    url: &StoreUrl,
    options: &StoreOptions,
) -> Result<Database, OpenError> {
    match url {
        StoreUrl::Sqlite(path) => {
            let at = path.canonicalize().map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => schema.missing(url),
                _ => schema.file(url, "finding its file", error),
            })?;
            let directory = at.parent().unwrap_or(Path::new("/")).to_path_buf();
            connect_sqlite(&at, options, StoreLocation::Directory(directory))
                .await
                .map_err(|error| schema.unavailable(url, error))
        }
        StoreUrl::Postgres(target) => connect_postgres(target, options)
            .await
            .map_err(|error| schema.unavailable(url, error)),
    }
}

async fn connect_sqlite(
    path: &Path,
    options: &StoreOptions,
    location: StoreLocation,
) -> Result<Database, DatabaseError> {
    let target = sqlite_target(path, options);
    let pool = || {
        SqlitePoolOptions::new()
            .acquire_timeout(options.deadline)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
    };
    let deadline = Instant::now() + options.deadline;
    let writer = pool().max_connections(1);
    let writer = within(deadline, writer.connect_with(target.clone())).await?;
    let readers = pool()
        .max_connections(options.connections_max.clamp(1, 64))
        .connect_lazy_with(target.pragma("query_only", "ON"));
    Ok(Database {
        pools: Pools::Sqlite { writer, readers },
        deadline: options.deadline,
        location,
    })
}

fn sqlite_target(path: &Path, options: &StoreOptions) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(options.deadline)
        .foreign_keys(true)
        // What is deleted or set to NULL, such as the sealed key of an inventory, does not stay in free bytes of the file.
        .pragma("secure_delete", "ON")
        .disable_statement_logging()
}

async fn connect_postgres(
    target: &PgConnectOptions,
    options: &StoreOptions,
) -> Result<Database, DatabaseError> {
    // The server gives up a statement when nobody waits for it any more, and a transaction whose gateway vanished.
    let deadline_ms = options.deadline.as_millis().max(1);
    let target = quiet(target).options([
        ("statement_timeout", format!("{deadline_ms}ms")),
        (
            "idle_in_transaction_session_timeout",
            format!("{}ms", deadline_ms.saturating_mul(2)),
        ),
    ]);
    let pool = PgPoolOptions::new()
        .acquire_timeout(options.deadline)
        .max_connections(options.connections_max.clamp(1, 256));
    let deadline = Instant::now() + options.deadline;
    let pool = within(deadline, pool.connect_with(target)).await?;
    let identifier = sqlx::query_scalar("SELECT system_identifier FROM pg_control_system()");
    let identifier: i64 = within(deadline, identifier.fetch_one(&pool)).await?;
    Ok(Database {
        pools: Pools::Postgres(pool),
        deadline: options.deadline,
        location: StoreLocation::PostgresCluster(identifier),
    })
}

fn quiet(target: &PgConnectOptions) -> PgConnectOptions {
    target
        .clone()
        .application_name("lethe")
        .disable_statement_logging()
}

/// The database file and its directory, closed to others; what SQLite lays beside the file takes the file's mode.
fn create_file(path: &Path) -> io::Result<()> {
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
        outcome => outcome.map(drop),
    }
}
