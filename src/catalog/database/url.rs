//! Where a database lies.

use sqlx::postgres::PgConnectOptions;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A database by `sqlite:PATH` or `postgres://…`. Neither `Debug` nor `Display` shows a password.
#[derive(Clone)]
pub enum StoreUrl {
    /// A database file.
    Sqlite(PathBuf),
    /// A database of a PostgreSQL server.
    Postgres(Box<PgConnectOptions>),
}

/// A text that is no [`StoreUrl`]. It never quotes the text, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreUrlError {
    /// Neither kind.
    #[error("a store's url begins with sqlite: or postgres://")]
    Scheme,
    /// `sqlite:` without a path to a file.
    #[error("sqlite: is followed by the path of a database file, without parameters")]
    SqlitePath,
    /// PostgreSQL's part can't be read, or names no database.
    #[error("a PostgreSQL url is postgres://user:password@host:port/database?parameters")]
    Postgres,
}

impl StoreUrl {
    /// The same, a relative path being taken from `base` (the configuration file's directory).
    #[must_use]
    pub fn relative_to(self, base: &Path) -> Self {
        match self {
            Self::Sqlite(path) => Self::Sqlite(base.join(path)),
            postgres @ Self::Postgres(_) => postgres,
        }
    }
}

impl FromStr for StoreUrl {
    type Err = StoreUrlError;

    fn from_str(text: &str) -> Result<Self, StoreUrlError> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            // `sqlite://x?mode=memory` is another tool's language: taken as a path it would make a file of that name.
            let bad = path.is_empty()
                || path.starts_with("//")
                || path.starts_with(':')
                || path.ends_with('/')
                || path.contains(['?', '\0']);
            if bad {
                return Err(StoreUrlError::SqlitePath);
            }
            return Ok(Self::Sqlite(PathBuf::from(path)));
        }
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(StoreUrlError::Scheme);
        }
        let options = PgConnectOptions::from_str(text).map_err(|_| StoreUrlError::Postgres)?;
        if options.get_database().is_none_or(str::is_empty) {
            return Err(StoreUrlError::Postgres);
        }
        Ok(Self::Postgres(Box::new(options)))
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(options) => {
                let user = options.get_username();
                let database = options.get_database().unwrap_or_default();
                match options.get_socket() {
                    Some(socket) => {
                        write!(
                            f,
                            "postgres:///{database}?host={}&user={user}",
                            socket.display()
                        )
                    }
                    None => write!(
                        f,
                        "postgres://{user}@{}:{}/{database}",
                        options.get_host(),
                        options.get_port()
                    ),
                }
            }
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({self})")
    }
}

/// Where a store's bytes lie, as far as two stores can be compared by it (design §3: *apart*).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreLocation {
    /// The directory of an SQLite file, symbolic links resolved.
    Directory(PathBuf),
    /// A PostgreSQL cluster by its `pg_control_system().system_identifier`.
    PostgresCluster(i64),
}

impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "directory {}", path.display()),
            Self::PostgresCluster(id) => write!(f, "PostgreSQL cluster {}", id.cast_unsigned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_url_with_path_parses() {
        let url: StoreUrl = "sqlite:eu/catalog.db".parse().unwrap();
        assert!(matches!(&url, StoreUrl::Sqlite(path) if path == Path::new("eu/catalog.db")));
        let url = url.relative_to(Path::new("/etc/lethe"));
        assert_eq!(url.to_string(), "sqlite:/etc/lethe/eu/catalog.db");
    }

    #[test]
    fn postgres_url_shown_hides_password_and_parameters() {
        for text in [
            "postgres://lethe:hunter2@db.example.com:5433/eu?application_name=hunter2",
            "postgres://lethe@db.example.com:5433/eu?password=hunter2",
        ] {
            let url: StoreUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), "postgres://lethe@db.example.com:5433/eu");
            assert!(!format!("{url:?}").contains("hunter2"));
        }
    }

    #[test]
    fn postgres_url_of_a_socket_is_shown_as_it_is_written() {
        let text = "postgres:///eu?host=/run/postgresql&user=lethe";
        let url: StoreUrl = text.parse().unwrap();
        assert_eq!(url.to_string(), text);
    }

    #[test]
    fn bad_urls_are_refused_without_quoting_them() {
        for (text, expected) in [
            ("", StoreUrlError::Scheme),
            ("mysql://hunter2@x/y", StoreUrlError::Scheme),
            ("sqlite:", StoreUrlError::SqlitePath),
            ("sqlite::memory:", StoreUrlError::SqlitePath),
            ("sqlite://x.db", StoreUrlError::SqlitePath),
            ("sqlite:x.db?mode=rwc", StoreUrlError::SqlitePath),
            ("sqlite:dir/", StoreUrlError::SqlitePath),
            ("postgres://u:hunter2@h:notaport/d", StoreUrlError::Postgres),
            ("postgres://u:hunter2@h", StoreUrlError::Postgres),
        ] {
            let error = text.parse::<StoreUrl>().unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }
}
