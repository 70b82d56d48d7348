//! Writes a log that was lost again, from who remembers its entries: the same tiles, the same tree head.

use super::sequencer::SourceError;
use super::store::{Head, LogStore, LogStoreError, ReceiptId, Swap};
use async_trait::async_trait;
use bytes::Bytes;
use lethe_receipts::Envelope;
use lethe_receipts::log::{
    Checkpoint, CheckpointError, Entry, Frontier, LogKey, LogVerifier, TILE_WIDTH, TilePath,
    TreeHead, Unsound, open_checkpoint, tiles_of,
};
use std::collections::{BTreeMap, BTreeSet};

/// Entries that are in memory at a time.
const PAGE_ENTRIES: usize = 4096;

/// An entry that the log had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownEntry {
    /// The entry.
    pub entry: Entry,
    /// The receipt whose statement it stands for.
    pub statement: Option<ReceiptId>,
}

/// Who remembers what the log had: key store and catalog.
#[async_trait]
pub trait LogHistory: Send + Sync {
    /// How many entries the log had for certain.
    ///
    /// # Errors
    /// When it can't be asked.
    async fn log_size(&self) -> Result<u64, SourceError>;

    /// Up to `max` entries from index `from` on, without a gap: none where the next is not known. After [`Self::log_size`] come
    /// those that the log was to take next.
    ///
    /// # Errors
    /// When it can't be asked.
    async fn entries(&self, from: u64, max: usize) -> Result<Vec<KnownEntry>, SourceError>;

    /// A statement's envelope.
    ///
    /// # Errors
    /// When it can't be asked.
    async fn statement(&self, receipt: ReceiptId) -> Result<Option<Bytes>, SourceError>;
}

/// A log that is whole again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// Its tree.
    pub head: TreeHead,
    /// Statements beside it.
    pub statements: u64,
    /// Whether its newest tree head was there already.
    pub was_there: bool,
}

/// Why a log is not rebuilt. But for the store's failures, nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The store failed, or holds something else than this log; running again goes on where this ended.
    #[error(transparent)]
    Store(#[from] LogStoreError),
    /// Key store or catalog failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The tree head that is there is not one of this log.
    #[error("the checkpoint that is there: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// An entry is not known any more.
    #[error("the log had {size} entries, and the key store does not know entry {index}")]
    EntryMissing {
        /// Its index.
        index: u64,
        /// How many there were.
        size: u64,
    },
    /// A receipt's statement is not in the catalog, or another one.
    #[error("entry {index} stands for receipt {receipt}, and the catalog {problem}")]
    Statement {
        /// The entry's index.
        index: u64,
        /// The receipt.
        receipt: ReceiptId,
        /// What is wrong.
        problem: &'static str,
    },
    /// Somebody has seen another tree of that size.
    #[error(
        "{holder} has seen another log: its first {size} entries are not those that the key store knows"
    )]
    Contradicted {
        /// Who.
        holder: String,
        /// How much it has seen.
        size: u64,
    },
    /// The tree head changed meanwhile: a gateway grows the log.
    #[error("the log's checkpoint changed meanwhile: somebody grows the log")]
    Changed,
    /// There can't be such a tree.
    #[error("the log's entries make no tree: {0}")]
    Unsound(#[from] Unsound),
}

/// Who has seen which root, by size.
type Seen = BTreeMap<u64, Vec<(String, TreeHead)>>;

/// Writes what is missing of the log in `store`, once everything was compared: with the tree head that is there, if one is, and
/// with `seen`, by whom.
///
/// # Errors
/// [`RebuildError`].
pub async fn rebuild_log(
    store: &dyn LogStore,
    key: &LogKey,
    verifiers: &[LogVerifier],
    history: &dyn LogHistory,
    seen: &[(String, TreeHead)],
) -> Result<Rebuilt, RebuildError> {
    let found = store.head(Head::Checkpoint).await?;
    let mut heads = Seen::new();
    let mut note = |holder: &str, head: TreeHead| {
        let of_size = heads.entry(head.size).or_default();
        of_size.push((holder.to_owned(), head));
    };
    let mut there = None;
    if let Some(found) = &found {
        let text = std::str::from_utf8(&found.bytes).map_err(|_| CheckpointError::Malformed)?;
        let opened = open_checkpoint(text, verifiers, &[])?;
        if opened.checkpoint.origin != key.origin() {
            return Err(CheckpointError::OtherLog.into());
        }
        there = Some(opened.checkpoint.head);
        note("the checkpoint that is there", opened.checkpoint.head);
    }
    for (holder, head) in seen {
        note(holder, *head);
    }
    let greatest = heads.keys().next_back().copied().unwrap_or(0);
    let walk = Walk {
        history,
        size: history.log_size().await?.max(greatest),
        heads,
    };
    // Everything is compared before anything is written.
    walk.all(None).await?;
    let (head, statements) = walk.all(Some(store)).await?;
    let was_there = there == Some(head);
    if !was_there {
        let checkpoint = Checkpoint {
            origin: key.origin(),
            head,
        };
        let text = checkpoint.sign(key)?.to_string();
        let version = found.as_ref().map(|found| &found.version);
        let swapped = store.swap(Head::Checkpoint, version, text.into()).await?;
        if swapped == Swap::Lost {
            return Err(RebuildError::Changed);
        }
    }
    Ok(Rebuilt {
        head,
        statements,
        was_there,
    })
}

struct Walk<'a> {
    history: &'a dyn LogHistory,
    size: u64,
    heads: Seen,
}

impl Walk<'_> {
    /// Goes through all entries, and writes what they make where there is a store to write to.
    async fn all(&self, store: Option<&dyn LogStore>) -> Result<(TreeHead, u64), RebuildError> {
        let edge: BTreeSet<TilePath> = tiles_of(self.size).into_iter().collect();
        let mut frontier = Frontier::default();
        let mut statements = 0;
        let mut at = 0;
        while at < self.size {
            // Up to where somebody has seen a root.
            let stop = self.heads.range(at + 1..).next();
            let stop = stop.map_or(self.size, |(size, _)| *size);
            let max = usize::try_from(stop - at).unwrap_or(usize::MAX);
            let page = self.history.entries(at, max.min(PAGE_ENTRIES)).await?;
            if page.is_empty() || page.len() > max {
                return Err(RebuildError::EntryMissing {
                    index: at,
                    size: self.size,
                });
            }
            for (known, index) in page.iter().zip(at..) {
                statements += u64::from(self.statement(known, index, store).await?);
            }
            let entries: Vec<Entry> = page.iter().map(|known| known.entry).collect();
            for tile in frontier.append(&entries)? {
                // The edges on the way were of trees that were smaller.
                let lasts = tile.path.width() == TILE_WIDTH || edge.contains(&tile.path);
                if let Some(store) = store.filter(|_| lasts) {
                    store.write_tile(&tile.path, tile.bytes.into()).await?;
                }
            }
            at += page.len() as u64;
            self.compare(&frontier.head())?;
        }
        Ok((frontier.head(), statements))
    }

    fn compare(&self, head: &TreeHead) -> Result<(), RebuildError> {
        let seen = self.heads.get(&head.size).into_iter().flatten();
        for (holder, other) in seen {
            if other != head {
                return Err(RebuildError::Contradicted {
                    holder: holder.clone(),
                    size: head.size,
                });
            }
        }
        Ok(())
    }

    /// Looks at, or writes, the statement that an entry stands for; `false` where it stands for none.
    async fn statement(
        &self,
        known: &KnownEntry,
        index: u64,
        store: Option<&dyn LogStore>,
    ) -> Result<bool, RebuildError> {
        let Some(receipt) = known.statement else {
            return Ok(false);
        };
        let wrong = |problem| RebuildError::Statement {
            index,
            receipt,
            problem,
        };
        let text = self.history.statement(receipt).await?;
        let text = text.ok_or_else(|| wrong("does not have it"))?;
        let envelope = Envelope::from_json(&text).map_err(|_| wrong("holds no receipt there"))?;
        if envelope.log_entry() != known.entry {
            return Err(wrong("has another one"));
        }
        if let Some(store) = store {
            store.put_statement(receipt, text).await?;
        }
        Ok(true)
    }
}
