//! What a log's store can do: little, so that a directory and a bucket are the same.

use async_trait::async_trait;
use bytes::Bytes;
use lethe_receipts::log::TilePath;
use std::fmt;
use std::str::FromStr;

/// Longest statement that is stored beside a log, in bytes.
pub const STATEMENT_BYTES_MAX: usize = 16 << 20;
/// Longest changing file: an intent of a whole batch is 35 KiB, a checkpoint with a hundred signatures less.
pub(super) const HEAD_BYTES_MAX: usize = 256 << 10;

/// A receipt's id: the name of its statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReceiptId(pub [u8; 16]);

impl fmt::Display for ReceiptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for ReceiptId {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut id = [0; 16];
        hex::decode_to_slice(text, &mut id)?;
        // One id has one name: upper case is another file.
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(hex::FromHexError::InvalidStringLength);
        }
        Ok(Self(id))
    }
}

/// The files of a log that change, each by compare-and-swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Head {
    /// The newest tree head, signed by the log (`checkpoint`).
    Checkpoint,
    /// The newest tree head with its cosignatures (`cosigned`).
    Cosigned,
    /// What the next tree head will add (`intent`).
    Intent,
}

/// Any file of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogPath {
    /// One that changes.
    Head(Head),
    /// A tile: never changes.
    Tile(TilePath),
    /// A statement's envelope: never changes.
    Statement(ReceiptId),
}

impl LogPath {
    /// The path of `text`, or `None` where it is no file of a log.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "checkpoint" => return Some(Self::Head(Head::Checkpoint)),
            "cosigned" => return Some(Self::Head(Head::Cosigned)),
            "intent" => return Some(Self::Head(Head::Intent)),
            _ => {}
        }
        if let Some(name) = text.strip_prefix("statements/") {
            let id = name.strip_suffix(".json")?.parse().ok()?;
            return Some(Self::Statement(id));
        }
        TilePath::parse(text).map(Self::Tile)
    }

    /// The most bytes that the file may have.
    pub(super) fn bytes_max(&self) -> usize {
        match self {
            Self::Head(_) => HEAD_BYTES_MAX,
            Self::Tile(tile) => tile.bytes_len(),
            Self::Statement(_) => STATEMENT_BYTES_MAX,
        }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Checkpoint => "checkpoint",
            Self::Cosigned => "cosigned",
            Self::Intent => "intent",
        })
    }
}

impl fmt::Display for LogPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(head) => head.fmt(f),
            Self::Tile(tile) => tile.fmt(f),
            Self::Statement(id) => write!(f, "statements/{id}.json"),
        }
    }
}

/// Which state of a changing file was read; what it is made of is the store's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(pub(super) String);

/// A changing file as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// Its content.
    pub bytes: Bytes,
    /// Names this state of it.
    pub version: Version,
}

/// How a compare-and-swap ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    /// The file holds the new content.
    Done,
    /// The file was not in the expected state: somebody else changed it. Read it again.
    Lost,
}

/// Why a call of a log's store failed.
#[derive(Debug, thiserror::Error)]
pub enum LogStoreError {
    /// It can't be reached or answered too late; a write may have happened. Repeat later.
    #[error("{operation} {path} of the log: the store is not available: {reason}")]
    Away {
        /// What was tried.
        operation: &'static str,
        /// Of which file.
        path: String,
        /// Why.
        reason: String,
    },
    /// A file that never changes holds something else. Somebody wrote to the store who must not, or two logs share it.
    #[error("{path} of the log holds something else than what belongs there")]
    Differs {
        /// Which file.
        path: String,
    },
    /// The store answered what can't be.
    #[error("{operation} {path} of the log: the store can't be relied on: {reason}")]
    Lying {
        /// What was tried.
        operation: &'static str,
        /// Of which file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A server of tiles alone, which lists no statements. What lies beside the log can't be checked there.
    #[error("the log's server lists no statements: {reason}")]
    Unlisted {
        /// What it answered.
        reason: String,
    },
}

impl LogStoreError {
    pub(super) fn away(
        operation: &'static str,
        path: impl fmt::Display,
        reason: impl fmt::Display,
    ) -> Self {
        Self::Away {
            operation,
            path: path.to_string(),
            reason: reason.to_string(),
        }
    }

    pub(super) fn lying(
        operation: &'static str,
        path: impl fmt::Display,
        reason: impl fmt::Display,
    ) -> Self {
        Self::Lying {
            operation,
            path: path.to_string(),
            reason: reason.to_string(),
        }
    }
}

/// Reads a log, here or elsewhere.
#[async_trait]
pub trait LogReader: Send + Sync + fmt::Debug + 'static {
    /// A whole file, or `None` where there is none.
    ///
    /// # Errors
    /// [`LogStoreError`] when that can't be known, or the file is longer than such a file can be.
    async fn read(&self, path: &LogPath) -> Result<Option<Bytes>, LogStoreError>;

    /// Up to `max` ids of stored statements after `after`, ascending.
    ///
    /// # Errors
    /// [`LogStoreError::Unlisted`] of a server that has no such list, else [`LogStoreError`] when that can't be known.
    async fn statements(
        &self,
        after: Option<ReceiptId>,
        max: usize,
    ) -> Result<Vec<ReceiptId>, LogStoreError>;
}

/// Stores a log. Every write is durable once it returns; one that failed may have happened.
#[async_trait]
pub trait LogStore: LogReader {
    /// Writes a tile where there is none; writing the same again changes nothing.
    ///
    /// # Errors
    /// [`LogStoreError::Differs`] where another one is.
    async fn write_tile(&self, tile: &TilePath, bytes: Bytes) -> Result<(), LogStoreError>;

    /// Writes a statement's envelope where there is none; writing the same again changes nothing.
    ///
    /// # Errors
    /// [`LogStoreError::Differs`] where another one is.
    async fn put_statement(&self, id: ReceiptId, envelope: Bytes) -> Result<(), LogStoreError>;

    /// A changing file with the version that the next swap compares.
    ///
    /// # Errors
    /// [`LogStoreError`] when that can't be known.
    async fn head(&self, head: Head) -> Result<Option<Versioned>, LogStoreError>;

    /// Replaces a changing file if it is still in the state `expected`; `None`: if there is none.
    ///
    /// # Errors
    /// [`LogStoreError`] when it is not known whether that happened.
    async fn swap(
        &self,
        head: Head,
        expected: Option<&Version>,
        bytes: Bytes,
    ) -> Result<Swap, LogStoreError>;
}
