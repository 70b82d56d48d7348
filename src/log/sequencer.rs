//! The one who grows the log: intent, tiles, tree head, and then the word to where the entries came from.

use super::intent::Intent;
use super::proofs::{LogProofError, inclusion_proof, read_tile};
use super::store::{Head, LogStore, LogStoreError, Swap, Version, Versioned};
use async_trait::async_trait;
use bytes::Bytes;
use lethe_receipts::log::{
    Checkpoint, CheckpointError, Entry, Frontier, LogKey, LogVerifier, SignedCheckpoint,
    TILE_WIDTH, TileKind, TilePath, TreeHead, Unsound, decode_entries, open_checkpoint, tiles_of,
    verify_inclusion,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Entries of one batch.
pub const BATCH_ENTRIES_MAX: usize = 512;
/// Steps of one run: what is left over waits for the next.
const STEPS_MAX: usize = 256;

/// A source of entries that failed.
#[derive(Debug, thiserror::Error)]
#[error("the source of log entries: {0}")]
pub struct SourceError(pub String);

/// Where entries come from and who wants to know where they ended up: the key store.
#[async_trait]
pub trait LeafSource: Send + Sync {
    /// How much of the log the source has been told of.
    ///
    /// # Errors
    /// When the source can't be asked.
    async fn log_size(&self) -> Result<u64, SourceError>;

    /// Up to `max` entries that wait for the log, oldest first; none that it was told is in the log.
    ///
    /// # Errors
    /// When the source can't be asked.
    async fn pending(&self, max: usize) -> Result<Vec<Entry>, SourceError>;

    /// `entries` are in the log from `first_index` on, in a log of `log_size` entries that is durable. May be repeated.
    ///
    /// # Errors
    /// When the source could not take note of it: it is told again.
    async fn sequenced(
        &self,
        first_index: u64,
        entries: &[Entry],
        log_size: u64,
    ) -> Result<(), SourceError>;
}

/// How far a run came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequenced {
    /// The newest tree head, signed by the log.
    pub checkpoint: SignedCheckpoint,
    /// The same, taken apart.
    pub head: TreeHead,
    /// Entries that the source was told of.
    pub told: u64,
    /// Whether entries may be left for another run.
    pub more: bool,
}

/// Why the log does not grow.
#[derive(Debug, thiserror::Error)]
pub enum SequencerError {
    /// The store failed; running again goes on where this ended.
    #[error(transparent)]
    Store(#[from] LogStoreError),
    /// The source failed; running again goes on where this ended.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The stored log is smaller than what was known of it: it was rolled back, or is another log.
    #[error("the log holds {log} entries, but {known} were known: it was rolled back or replaced")]
    RolledBack {
        /// Entries that the stored log has.
        log: u64,
        /// Entries that it had.
        known: u64,
    },
    /// The stored tree head is not one of this log.
    #[error("the log's checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The stored files do not make the tree that its head tells of.
    #[error("the log is damaged: {0}")]
    Damaged(String),
}

impl From<Unsound> for SequencerError {
    fn from(error: Unsound) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<LogProofError> for SequencerError {
    fn from(error: LogProofError) -> Self {
        match error {
            LogProofError::Store(error) => Self::Store(error),
            other => Self::Damaged(other.to_string()),
        }
    }
}

/// Grows one log. Any number of them may run at once, here and on other machines: they do the same work, once.
#[derive(Debug)]
pub struct Sequencer {
    store: Arc<dyn LogStore>,
    key: LogKey,
    /// This key's verifier, and those of the keys before it.
    verifiers: Vec<LogVerifier>,
    /// What the last run of this process knows; the store is asked for what it does not.
    known: Mutex<Option<Known>>,
}

#[derive(Debug)]
struct Known {
    frontier: Frontier,
    /// The last batch: index of its first entry, and its entries.
    first: u64,
    batch: Vec<Entry>,
}

/// The stored tree head.
struct Current {
    text: SignedCheckpoint,
    head: TreeHead,
    version: Version,
}

impl Sequencer {
    /// A sequencer that signs with `key`; `earlier` are the log's keys before it, whose tree heads are still taken.
    #[must_use]
    pub fn new(store: Arc<dyn LogStore>, key: LogKey, earlier: &[LogVerifier]) -> Self {
        let mut verifiers = vec![key.verifier()];
        let others = earlier.iter().filter(|other| **other != key.verifier());
        verifiers.extend(others.cloned());
        Self {
            store,
            key,
            verifiers,
            known: Mutex::new(None),
        }
    }

    /// The log's store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn LogStore> {
        &self.store
    }

    /// The keys under which the log's tree heads are taken.
    #[must_use]
    pub fn verifiers(&self) -> &[LogVerifier] {
        &self.verifiers
    }

    /// Finishes what was begun, enters what waits, and tells the source.
    ///
    /// # Errors
    /// [`SequencerError`]; whatever it is, running again is safe and goes on where this ended.
    pub async fn sequence_pending(
        &self,
        source: &dyn LeafSource,
    ) -> Result<Sequenced, SequencerError> {
        let mut known = self.known.lock().await;
        let mut told = 0;
        for _ in 0..STEPS_MAX {
            // The intent first: were it read after the tree head, an unfinished one could look finished.
            let (intent, version) = self.intent().await?;
            let current = self.current(source, intent.as_ref()).await?;
            if let Some(intent) = intent {
                if intent.base == current.head {
                    self.finish(&current, intent, &mut known).await?;
                    continue;
                }
                // Whoever wrote a later head has finished every intent before it.
                if current.head.size < intent.size_after() {
                    let what = "its intent is of another tree".to_owned();
                    return Err(SequencerError::Damaged(what));
                }
            }
            told += self.tell(&current, source, known.as_ref()).await?;
            let batch = batch(source).await?;
            if batch.is_empty() {
                return Ok(current.done(told, false));
            }
            let intent = Intent {
                base: current.head,
                entries: batch,
            };
            // Done or lost, the next step finds an intent to finish, ours or another's.
            self.store
                .swap(Head::Intent, version.as_ref(), intent.text().into())
                .await?;
        }
        let current = self.current(source, None).await?;
        Ok(current.done(told, true))
    }

    async fn intent(&self) -> Result<(Option<Intent>, Option<Version>), SequencerError> {
        let Some(Versioned { bytes, version }) = self.store.head(Head::Intent).await? else {
            return Ok((None, None));
        };
        let intent = Intent::parse(&bytes);
        let intent = intent.ok_or_else(|| SequencerError::Damaged("its intent".to_owned()))?;
        Ok((Some(intent), Some(version)))
    }

    async fn current(
        &self,
        source: &dyn LeafSource,
        intent: Option<&Intent>,
    ) -> Result<Current, SequencerError> {
        let known = match intent {
            Some(intent) => intent.base.size,
            None => 0,
        };
        if let Some(found) = self.store.head(Head::Checkpoint).await? {
            let current = self.opened(&found)?;
            if current.head.size < known {
                let log = current.head.size;
                return Err(SequencerError::RolledBack { log, known });
            }
            return Ok(current);
        }
        let known = known.max(source.log_size().await?);
        if known > 0 || intent.is_some() {
            return Err(SequencerError::RolledBack { log: 0, known });
        }
        let origin = self.key.origin();
        let empty = Checkpoint {
            origin,
            head: TreeHead::EMPTY,
        };
        let text = empty.sign(&self.key)?.to_string();
        self.store.swap(Head::Checkpoint, None, text.into()).await?;
        let found = self.store.head(Head::Checkpoint).await?;
        let found = found.ok_or_else(|| {
            LogStoreError::lying("writing", "checkpoint", "it was written and is not there")
        })?;
        self.opened(&found)
    }

    fn opened(&self, found: &Versioned) -> Result<Current, SequencerError> {
        let text = std::str::from_utf8(&found.bytes).map_err(|_| CheckpointError::Malformed)?;
        let opened = open_checkpoint(text, &self.verifiers, &[])?;
        if opened.checkpoint.origin != self.key.origin() {
            return Err(CheckpointError::OtherLog.into());
        }
        Ok(Current {
            text: SignedCheckpoint::parse(text)?,
            head: opened.checkpoint.head,
            version: found.version.clone(),
        })
    }

    /// Does what an intent says: its tiles, then its tree head. Whoever does it, and however often, writes the same.
    async fn finish(
        &self,
        current: &Current,
        intent: Intent,
        known: &mut Option<Known>,
    ) -> Result<(), SequencerError> {
        let remembered = known.take().map(|known| known.frontier);
        let mut frontier = match remembered.filter(|known| known.head() == current.head) {
            Some(frontier) => frontier,
            None => self.frontier(&current.head).await?,
        };
        for tile in frontier.append(&intent.entries)? {
            let bytes = Bytes::from(tile.bytes);
            self.store.write_tile(&tile.path, bytes).await?;
        }
        let next = Checkpoint {
            origin: self.key.origin(),
            head: frontier.head(),
        };
        let text = next.sign(&self.key)?.to_string();
        let swapped = self
            .store
            .swap(Head::Checkpoint, Some(&current.version), text.into())
            .await?;
        if swapped == Swap::Done {
            let size = next.head.size;
            tracing::debug!(op = "sequence", size, outcome = "done", "the log has grown");
        }
        *known = Some(Known {
            frontier,
            first: intent.base.size,
            batch: intent.entries,
        });
        Ok(())
    }

    async fn frontier(&self, head: &TreeHead) -> Result<Frontier, SequencerError> {
        let mut tiles: BTreeMap<TilePath, Bytes> = BTreeMap::new();
        for path in tiles_of(head.size) {
            let bytes = read_tile(self.store.as_ref(), &path).await?;
            tiles.insert(path, bytes);
        }
        let tile = |path: &TilePath| tiles.get(path).map_or(&[][..], |bytes| bytes);
        Ok(Frontier::open(head, tile)?)
    }

    /// Tells the source of every entry that it has not been told of, each one found in the tree first.
    async fn tell(
        &self,
        current: &Current,
        source: &dyn LeafSource,
        known: Option<&Known>,
    ) -> Result<u64, SequencerError> {
        let log = current.head.size;
        let from = source.log_size().await?;
        if from > log {
            return Err(SequencerError::RolledBack { log, known: from });
        }
        let fresh =
            known.filter(|known| known.first == from && known.frontier.head() == current.head);
        if let Some(fresh) = fresh.filter(|_| from < log) {
            source.sequenced(from, &fresh.batch, log).await?;
            return Ok(log - from);
        }
        let mut next = from;
        while next < log {
            let entries = self.entries(&current.head, next).await?;
            let after = next + entries.len() as u64;
            source.sequenced(next, &entries, after).await?;
            next = after;
        }
        Ok(log - from)
    }

    /// The entries from `first` to the end of its bundle or the tree, each proved to be in it.
    async fn entries(&self, head: &TreeHead, first: u64) -> Result<Vec<Entry>, SequencerError> {
        let width = u64::from(TILE_WIDTH);
        let index = first / width;
        let begin = index * width;
        let in_bundle = (head.size - begin).min(width);
        let path = u16::try_from(in_bundle)
            .ok()
            .and_then(|width| TilePath::new(TileKind::Entries, index, width))
            .ok_or_else(|| SequencerError::Damaged(format!("no bundle has entry {first}")))?;
        let bytes = read_tile(self.store.as_ref(), &path).await?;
        let damaged = || SequencerError::Damaged(format!("{path}"));
        let bundle = decode_entries(&bytes).ok_or_else(damaged)?;
        let skipped = usize::try_from(first - begin).map_err(|_| damaged())?;
        let entries = bundle.get(skipped..).ok_or_else(damaged)?.to_vec();
        for (entry, index) in entries.iter().zip(first..) {
            let proof = inclusion_proof(self.store.as_ref(), head, index).await?;
            verify_inclusion(head, index, entry, &proof).map_err(|_| damaged())?;
        }
        Ok(entries)
    }
}

impl Current {
    fn done(self, told: u64, more: bool) -> Sequenced {
        Sequenced {
            checkpoint: self.text,
            head: self.head,
            told,
            more,
        }
    }
}

async fn batch(source: &dyn LeafSource) -> Result<Vec<Entry>, SourceError> {
    let pending = source.pending(BATCH_ENTRIES_MAX).await?;
    let mut batch: Vec<Entry> = Vec::new();
    for entry in pending.into_iter().take(BATCH_ENTRIES_MAX) {
        if !batch.contains(&entry) {
            batch.push(entry);
        }
    }
    Ok(batch)
}
