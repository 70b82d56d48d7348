//! Where backups of the key store go, and what they look like.

mod bodies;
mod directory;
pub(crate) mod format;
mod marker;

use std::path::PathBuf;

use async_trait::async_trait;

use crate::types::KeyStoreIdentity;

pub use directory::BackupDirectory;
pub(crate) use marker::{is_left_behind, is_tag};

/// Why a place for backups did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackupError {
    /// There is no backup of this name.
    #[error("no backup {0}")]
    Missing(String),
    /// Not the place for this key store's backups, or that place is not mounted there.
    #[error(
        "{} is not marked as the place for this key store's backups: {why}; mount it, or mark it with `lethe key-store adopt-backup-place`",
        dir.display()
    )]
    NotAdopted {
        /// The directory.
        dir: PathBuf,
        /// What was found.
        why: String,
    },
    /// Not reached, or reached and failed; what was being written is not there under its name.
    #[error("{0}")]
    Unavailable(String),
}

/// A place for backups, off the key store's machine. A backup there is whole or absent, and never replaced.
#[async_trait]
pub trait BackupPlace: Send + Sync {
    /// Whether backups of this key store can be written here; answers the newest one's length in bytes, 0 when there is none.
    ///
    /// # Errors
    /// [`BackupError::NotAdopted`], [`BackupError::Unavailable`].
    async fn ready(&self, of: &KeyStoreIdentity) -> Result<u64, BackupError>;

    /// Begins to write a backup of this key store aside.
    ///
    /// # Errors
    /// [`BackupError::NotAdopted`], [`BackupError::Unavailable`].
    async fn begin(&self, of: &KeyStoreIdentity) -> Result<Box<dyn BackupWriter>, BackupError>;

    /// Begins to read.
    ///
    /// # Errors
    /// [`BackupError::Missing`], [`BackupError::Unavailable`].
    async fn read(&self, name: &str) -> Result<Box<dyn BackupReader>, BackupError>;

    /// The backups' names, in order.
    ///
    /// # Errors
    /// [`BackupError::Unavailable`].
    async fn list(&self) -> Result<Vec<String>, BackupError>;
}

/// A backup that is being written; dropped before [`BackupWriter::publish`], it leaves nothing under any name.
#[async_trait]
pub trait BackupWriter: Send {
    /// Appends.
    ///
    /// # Errors
    /// [`BackupError::Unavailable`].
    async fn write(&mut self, bytes: Vec<u8>) -> Result<(), BackupError>;

    /// Makes it durable, and then visible under its name, with its SHA-256 beside it.
    ///
    /// # Errors
    /// [`BackupError::Unavailable`]: it may be there all the same.
    async fn publish(self: Box<Self>, name: &str, sha256: &[u8; 32]) -> Result<(), BackupError>;
}

/// A backup that is being read.
#[async_trait]
pub trait BackupReader: Send {
    /// The next bytes, at most 1 MiB; `None` at the end.
    ///
    /// # Errors
    /// [`BackupError::Unavailable`].
    async fn next(&mut self) -> Result<Option<Vec<u8>>, BackupError>;
}
