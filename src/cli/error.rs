//! How a command fails: what happened, what to do, and the exit code.

use crate::admin::ApiError;
use crate::catalog::{CatalogError, OpenError};
use crate::config::ConfigError;
use crate::directory::DirectoryError;
use crate::edge::TlsError;
use crate::region::embedded::EmbeddedError;
use crate::region::{ConnectError, RegionError};
use lethe_keys::KeysError;
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

    /// 1 for usage, 3 and 4 for receipts, 2 for everything else.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(1),
            Self::Failed(_) => ExitCode::from(2),
            Self::Verdict { code, .. } => ExitCode::from(*code),
        }
    }
}

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
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
    KeysError,
    OpenError,
    RegionError,
    TlsError,
);
