//! What a key store consists of, as a backup carries it (`docs/format.md`, key store backups).

use super::{FenceRow, KekRow, MoveRow, NodeRow};
use crate::tree::Epoch;
use crate::types::{CreationEntry, EntrySubject, KeyStoreIdentity};

/// One row of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    /// First, and once.
    Store(StoreRecord),
    Node(NodeRow),
    Kek(KekRow),
    Entry(EntryRecord),
    Fence(FenceRow),
    Move(Box<MoveRow>),
}

/// The store about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreRecord {
    pub(crate) identity: KeyStoreIdentity,
    pub(crate) domain: String,
    pub(crate) epoch: Epoch,
    pub(crate) held: bool,
    pub(crate) fence: u64,
    pub(crate) entry: u64,
    pub(crate) log_size: u64,
    pub(crate) created_ms: i64,
}

/// An entry for the log, sequenced or pending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntryRecord {
    pub(crate) number: u64,
    pub(crate) subject: EntrySubject,
    pub(crate) entry: [u8; 32],
    pub(crate) index: Option<u64>,
    pub(crate) created_ms: i64,
    /// Of a KEK's creation.
    pub(crate) creation: Option<CreationEntry>,
}

/// What an import came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Imported {
    Imported,
    /// The store is not empty.
    NotEmpty,
    /// The records ended before their end, or contradict one another.
    Broken,
}
