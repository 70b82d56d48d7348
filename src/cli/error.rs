//! How a command fails: what happened, what to do, and the exit code.

use crate::admin::ApiError;
use crate::catalog::{CatalogError, OpenError};
use crate::config::ConfigError;
use crate::directory::DirectoryError;
use crate::edge::TlsError;
use crate::region::embedded::EmbeddedError;
use crate::region::{ConnectError, RegionError};
use lethe_keys::{KeysError, Refusal};
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// A command's failure.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The command line or configuration is wrong.
    #[error("{0}")]
    Usage(String),
    /// Something could not be read, reached or done, or was refused.
    #[error("{0}")]
    Failed(String),
    /// It can't begin before something else is over: asked again, it may.
    #[error("{0}")]
    Busy(String),
    /// What was waited for is not over yet, and goes on.
    #[error("{0}")]
    Unfinished(String),
    /// A receipt is not verified.
    #[error("{message}")]
    Verdict {
        /// 3 for invalid, 4 for not yet complete (design §4).
        code: u8,
        /// The check that decided.
        message: String,
    },
}

impl CommandError {
    /// A failure with what to do about it.
    pub fn failed(problem: impl std::fmt::Display, hint: impl std::fmt::Display) -> Self {
        Self::Failed(format!("{problem}; {hint}"))
    }

    /// A file's failure.
    #[must_use]
    pub fn file(path: &Path, step: &str, error: &io::Error) -> Self {
        Self::Failed(format!("{}: {step}: {error}", path.display()))
    }

    /// 1 for usage, 3 and 4 for receipts, 4 also for what is not over yet, 2 for everything else.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(1),
            Self::Failed(_) | Self::Busy(_) => ExitCode::from(2),
            Self::Unfinished(_) => ExitCode::from(4),
            Self::Verdict { code, .. } => ExitCode::from(*code),
        }
    }
}

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<KeysError> for CommandError {
    fn from(error: KeysError) -> Self {
        match &error {
            KeysError::Refused { reason } => match what_to_do(reason) {
                Some(hint) => Self::failed(&error, hint),
                None => Self::Failed(error.to_string()),
            },
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// What older copies of stores mean, and the way out of it.
fn what_to_do(reason: &Refusal) -> Option<&'static str> {
    match reason {
        Refusal::RootEpochMissing { .. } => Some(
            "the key store and the root are copies of different moments: each shred moves the root to a new epoch and \
             destroys the key of the one before. Bring back the newest copy of the older one of the two (for the key \
             store `lethe key-store restore` with the newest backup; in `lethe dev` a domain's keys and root of one \
             moment); what only a destroyed key opened is lost",
        ),
        Refusal::EpochRolledBack { .. }
        | Refusal::BehindLog { .. }
        | Refusal::NotForgotten { .. } => Some(
            "put the newest key store back, or restore its newest backup into an empty place with `lethe key-store \
             restore`, which makes it forget who was erased since",
        ),
        Refusal::BackupRejected { .. } => Some(
            "the backups are the files that end in .lethe-keys where the domain's `key_backup` is; those of an epoch that a \
             shred has destroyed open nothing any more",
        ),
        _ => None,
    }
}

macro_rules! failed_from {
    ($($error:ty),+ $(,)?) => {
        $(impl From<$error> for CommandError {
            fn from(error: $error) -> Self {
                Self::Failed(error.to_string())
            }
        })+
    };
}

failed_from!(
    ApiError,
    CatalogError,
    ConnectError,
    DirectoryError,
    EmbeddedError,
    OpenError,
    RegionError,
    TlsError,
);
