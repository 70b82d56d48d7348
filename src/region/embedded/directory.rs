//! A store's directory: made once, opened by one process at a time.

use super::bodies::BodyFiles;
use super::ids::Id;
use super::index::IndexSettings;
use super::rows::TxError;
use super::tables::WriteTables;
use redb::Database;
use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const IDENTITY: &str = "identity";
const IDENTITY_ASIDE: &str = "identity.new";
const INDEX: &str = "index.redb";
const LOCK: &str = "lock";

/// What tells one embedded store from every other: 16 bytes drawn when it was created.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoreIdentity(pub(super) Id);

impl StoreIdentity {
    /// The 16 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for StoreIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for StoreIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreIdentity({self})")
    }
}

/// Why a store's directory can't be created or opened.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// Opening: no store was created here.
    #[error("there is no embedded region store in {0}")]
    Absent(PathBuf),
    /// Creating: a store, or something else, is here.
    #[error("the directory {0} is not empty, so no embedded region store is created in it")]
    Occupied(PathBuf),
    /// Another process, or this one, has it open.
    #[error("the embedded region store in {0} is in use")]
    InUse(PathBuf),
    /// The index is not the one that belongs to the directory, or of another format.
    #[error("the embedded region store in {path} can't be used: {problem}")]
    Mismatch {
        /// The directory.
        path: PathBuf,
        /// What does not fit.
        problem: &'static str,
    },
    /// The disk failed.
    #[error("the embedded region store in {path} can't be opened: {step} failed")]
    Disk {
        /// The directory.
        path: PathBuf,
        /// What was tried.
        step: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The index failed.
    #[error("the embedded region store in {path} can't be opened: its index failed: {reason}")]
    Index {
        /// The directory.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// A directory that this process alone has open.
pub(super) struct Directory {
    pub(super) path: PathBuf,
    pub(super) identity: StoreIdentity,
    /// Locked until it is closed.
    _lock: File,
}

impl Directory {
    pub(super) fn index_path(path: &Path) -> PathBuf {
        path.join(INDEX)
    }

    /// Makes a store in an absent or empty directory, or where an earlier attempt was cut short. The identity file is
    /// written last: a directory without one is no store.
    pub(super) fn create(path: &Path, settings: &IndexSettings) -> Result<(), EmbeddedError> {
        let disk = |step| disk_error(path, step);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(disk("creating the directory"))?;
        check_vacant(path)?;
        let _lock = lock(path)?;
        check_vacant(path)?;
        match std::fs::remove_file(path.join(INDEX)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(disk("removing an unfinished index")(error));
            }
            _ => {}
        }
        BodyFiles::create(path).map_err(disk("creating the directories"))?;
        let mut identity = [0; 16];
        getrandom::fill(&mut identity)
            .map_err(|error| disk("drawing the identity")(io::Error::other(error)))?;
        let database = settings
            .database(true)
            .map_err(|e| index_error(path)(e.to_string()))?;
        found(&database, &identity).map_err(index_error(path))?;
        drop(database);
        write_identity(path, &identity).map_err(disk("writing the identity"))
    }

    /// Takes the directory of an existing store, and its index.
    pub(super) fn open(
        path: &Path,
        settings: &IndexSettings,
    ) -> Result<(Self, Database), EmbeddedError> {
        let disk = |step| disk_error(path, step);
        let mismatch = |problem| EmbeddedError::Mismatch {
            path: path.to_owned(),
            problem,
        };
        let identity = match std::fs::read(path.join(IDENTITY)) {
            Ok(bytes) => Id::try_from(bytes)
                .map_err(|_| mismatch("its identity file does not hold 16 bytes"))?,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Err(EmbeddedError::Absent(path.to_owned()));
            }
            Err(error) => return Err(disk("reading the identity")(error)),
        };
        let lock = lock(path)?;
        if !path.join(INDEX).exists() {
            return Err(mismatch("its index is missing"));
        }
        let database = settings.database(false).map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => EmbeddedError::InUse(path.to_owned()),
            other => index_error(path)(other.to_string()),
        })?;
        let (known, founded) = founded(&database).map_err(index_error(path))?;
        if !known {
            return Err(mismatch(
                "its index has a format that this version does not know",
            ));
        }
        if founded != Some(identity) {
            return Err(mismatch("its index belongs to another store"));
        }
        let directory = Self {
            path: path.to_owned(),
            identity: StoreIdentity(identity),
            _lock: lock,
        };
        Ok((directory, database))
    }
}

fn disk_error(path: &Path, step: &'static str) -> impl Fn(io::Error) -> EmbeddedError {
    let path = path.to_owned();
    move |source| EmbeddedError::Disk {
        path: path.clone(),
        step,
        source,
    }
}

fn index_error(path: &Path) -> impl Fn(String) -> EmbeddedError {
    let path = path.to_owned();
    move |reason| EmbeddedError::Index {
        path: path.clone(),
        reason,
    }
}

/// Refuses a directory that holds anything but what a creation that was cut short leaves.
fn check_vacant(path: &Path) -> Result<(), EmbeddedError> {
    let disk = |step| disk_error(path, step);
    for entry in std::fs::read_dir(path).map_err(disk("listing the directory"))? {
        let name = entry.map_err(disk("listing the directory"))?.file_name();
        let ours = ["aside", "bodies", INDEX, LOCK, IDENTITY_ASIDE];
        if !name.to_str().is_some_and(|name| ours.contains(&name)) {
            return Err(EmbeddedError::Occupied(path.to_owned()));
        }
    }
    Ok(())
}

fn lock(path: &Path) -> Result<File, EmbeddedError> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path.join(LOCK))
        .map_err(disk_error(path, "opening the lock file"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(EmbeddedError::InUse(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(disk_error(path, "locking the lock file")(error)),
    }
}

fn write_identity(path: &Path, identity: &Id) -> io::Result<()> {
    let aside = path.join(IDENTITY_ASIDE);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&aside)?;
    file.write_all(identity)?;
    file.sync_all()?;
    std::fs::rename(aside, path.join(IDENTITY))?;
    File::open(path)?.sync_all()
}

fn found(database: &Database, identity: &Id) -> Result<(), String> {
    let transaction = database.begin_write().map_err(|e| e.to_string())?;
    WriteTables::open(&transaction)
        .and_then(|mut tables| tables.found(identity))
        .map_err(reason)?;
    transaction.commit().map_err(|e| e.to_string())
}

fn founded(database: &Database) -> Result<(bool, Option<Id>), String> {
    let transaction = database.begin_write().map_err(|e| e.to_string())?;
    let founded = WriteTables::open(&transaction)
        .and_then(|tables| tables.founded())
        .map_err(reason)?;
    transaction.abort().map_err(|e| e.to_string())?;
    Ok(founded)
}

fn reason(error: TxError) -> String {
    error.into_region("open").to_string()
}
