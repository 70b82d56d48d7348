//! Where a store lies, and whether two stores are apart (design §3).

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The query whose single BIGINT is a PostgreSQL cluster's identity, for [`Location::of_postgres`].
pub const POSTGRES_SYSTEM_IDENTIFIER_SQL: &str =
    "SELECT system_identifier FROM pg_control_system()";

/// Where a store's bytes lie, as far as two stores can be compared by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A PostgreSQL cluster; two databases of one cluster share files, backups and superusers.
    Postgres {
        /// `pg_control_system().system_identifier`.
        system_identifier: i64,
    },
    /// A directory of this machine.
    Directory {
        /// With symbolic links resolved.
        canonical: PathBuf,
    },
}

impl Location {
    /// The cluster with this [`POSTGRES_SYSTEM_IDENTIFIER_SQL`].
    #[must_use]
    pub const fn of_postgres(system_identifier: i64) -> Self {
        Self::Postgres { system_identifier }
    }

    /// An existing directory.
    ///
    /// # Errors
    /// The file system's, when the directory does not exist or may not be read.
    pub fn of_directory(path: &Path) -> io::Result<Self> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        path.canonicalize()
            .map(|canonical| Self::Directory { canonical })
    }

    /// The directory that an SQLite database file lies in; write-ahead log and journal lie beside it.
    ///
    /// # Errors
    /// The file system's, when that directory does not exist or may not be read.
    pub fn of_sqlite(file: &Path) -> io::Result<Self> {
        // The file itself may be a link into another directory, so it is resolved first where it exists.
        let file = file.canonicalize().unwrap_or_else(|_| file.to_path_buf());
        Self::of_directory(file.parent().unwrap_or(Path::new(".")))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres { system_identifier } => {
                write!(
                    f,
                    "postgresql cluster {}",
                    system_identifier.cast_unsigned()
                )
            }
            Self::Directory { canonical } => write!(f, "directory {}", canonical.display()),
        }
    }
}

/// Two stores that one backup, one volume or one administrator would take together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{first} and {second} are not apart")]
pub struct NotApart {
    /// The one.
    pub first: Location,
    /// The other.
    pub second: Location,
}

/// Whether two stores are apart: different clusters, or directories of which none contains the other.
///
/// # Errors
/// [`NotApart`] when they are not.
pub fn check_apart(first: &Location, second: &Location) -> Result<(), NotApart> {
    let together = match (first, second) {
        (
            Location::Postgres {
                system_identifier: a,
            },
            Location::Postgres {
                system_identifier: b,
            },
        ) => a == b,
        (Location::Directory { canonical: a }, Location::Directory { canonical: b }) => {
            a.starts_with(b) || b.starts_with(a)
        }
        // A cluster's own directory is not visible to its clients: nothing can be said against the two.
        _ => false,
    };
    if together {
        return Err(NotApart {
            first: first.clone(),
            second: second.clone(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(path: &str) -> Location {
        Location::Directory {
            canonical: PathBuf::from(path),
        }
    }

    #[test]
    fn stores_of_one_cluster_or_nested_directories_are_not_apart() {
        let cluster = Location::of_postgres(-7_000_000_000_000_000_000);
        for (first, second, apart) in [
            (cluster.clone(), cluster.clone(), false),
            (cluster.clone(), Location::of_postgres(5), true),
            (cluster, directory("/a"), true),
            (directory("/a"), directory("/a"), false),
            (directory("/a"), directory("/a/b"), false),
            (directory("/a/b/c"), directory("/a"), false),
            (directory("/"), directory("/a"), false),
            (directory("/a"), directory("/ab"), true),
            (directory("/a/b"), directory("/a/c"), true),
        ] {
            assert_eq!(
                check_apart(&first, &second).is_ok(),
                apart,
                "{first} {second}"
            );
            assert_eq!(
                check_apart(&second, &first).is_ok(),
                apart,
                "{second} {first}"
            );
        }
    }
}
