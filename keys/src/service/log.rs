//! What the log's sequencer takes from the key store, and what it tells it afterwards.

use lethe_envelope::TenantId;
use sha2::{Digest, Sha256};

use super::KeyService;
use crate::calls::StoreCalls;
use crate::error::{KeysError, Refusal};
use crate::store::{Announcement, Sequenced};
use crate::types::{BEYOND_MAX, CreationEntry, NewestCheckpoint, PendingEntry};

/// The most entries that are answered at a time.
const PENDING_MAX: usize = 10_000;

/// Entries of one transaction.
const ENTRIES_PER_CALL: usize = 256;

impl KeyService {
    /// Entries that the log has yet to take, oldest first: KEK creations, statements and overrides; at most 10,000.
    ///
    /// # Errors
    /// [`KeysError::Unavailable`], [`KeysError::Corrupt`].
    pub async fn pending_leaves(&self, max: usize) -> Result<Vec<PendingEntry>, KeysError> {
        let store = &self.core.store;
        let pending = store.store.pending_entries(max.min(PENDING_MAX));
        store.call("reading pending entries", pending).await
    }

    /// Queues a statement's entry for the log; repeating it changes nothing.
    ///
    /// # Errors
    /// [`KeysError::Unavailable`]: call again.
    pub async fn queue_statement(
        &self,
        receipt_id: [u8; 16],
        entry: [u8; 32],
    ) -> Result<(), KeysError> {
        let now_ms = self.core.clock.unix_ms();
        let statement = Announcement::Statement { receipt_id };
        let store = &self.core.store;
        let queue = store.store.queue_entry(statement, &entry, now_ms);
        store.call("queueing a statement", queue).await
    }

    /// Queues an operator's decision for the log, of which nothing but this entry is kept; repeating it changes nothing.
    ///
    /// # Errors
    /// [`KeysError::Unavailable`]: call again.
    pub async fn queue_decision(&self, entry: [u8; 32]) -> Result<(), KeysError> {
        let now_ms = self.core.clock.unix_ms();
        let store = &self.core.store;
        let queue = store
            .store
            .queue_entry(Announcement::Override, &entry, now_ms);
        store.call("queueing a decision", queue).await
    }

    /// Whether an entry was ever queued here, or taken by the log.
    ///
    /// # Errors
    /// [`KeysError::Unavailable`], [`KeysError::Corrupt`].
    pub async fn is_entry_known(&self, entry: &[u8; 32]) -> Result<bool, KeysError> {
        let store = &self.core.store;
        let known = store.store.entry_index(entry);
        let known = store.call("looking for an entry", known).await?;
        Ok(known.is_some())
    }

    /// Where the log has an entry: `None` while it is pending.
    ///
    /// # Errors
    /// [`KeysError::Corrupt`] when no such entry was queued here; [`KeysError::Unavailable`].
    pub async fn entry_index(&self, entry: &[u8; 32]) -> Result<Option<u64>, KeysError> {
        let store = &self.core.store;
        store
            .call("reading an entry", store.store.entry_index(entry))
            .await?
            .ok_or_else(|| KeysError::Corrupt {
                what: "entry for the log".to_owned(),
            })
    }

    /// Records that the log has these entries from `first_index` on and is `log_size` long. Their KEKs become active, and
    /// the versions before them open only. Idempotent; entries may be given again.
    ///
    /// # Errors
    /// [`Refusal::LogGap`] when entries before these are not recorded: give them first; [`Refusal::LogUnknown`] when the
    /// log has entries that this store never made; [`KeysError::Unavailable`]: call again.
    pub async fn entries_sequenced(
        &self,
        first_index: u64,
        entries: &[[u8; 32]],
        log_size: u64,
    ) -> Result<(), KeysError> {
        if log_size < first_index.saturating_add(entries.len() as u64) {
            return Err(Refusal::BehindLog {
                store: first_index.saturating_add(entries.len() as u64),
                log: log_size,
            }
            .into());
        }
        for tenant in record(&self.core.store, first_index, entries).await? {
            self.core.vault.forget_keks(tenant);
        }
        Ok(())
    }

    /// How much of the log is recorded.
    ///
    /// # Errors
    /// [`KeysError::Unavailable`], [`KeysError::Corrupt`].
    pub async fn log_size(&self) -> Result<u64, KeysError> {
        let store = &self.core.store;
        store
            .call("reading the key store", store.store.head())
            .await
            .map(|head| head.log_size)
    }

    /// The tenant's KEK creations by version; they are still there when its KEKs are destroyed.
    ///
    /// # Errors
    /// [`KeysError::Unavailable`], [`KeysError::Corrupt`].
    pub async fn creation_entries(
        &self,
        tenant: TenantId,
    ) -> Result<Vec<CreationEntry>, KeysError> {
        let store = &self.core.store;
        store
            .call("reading creation entries", store.store.creations(tenant))
            .await
    }
}

async fn record(
    store: &StoreCalls,
    first_index: u64,
    entries: &[[u8; 32]],
) -> Result<Vec<TenantId>, KeysError> {
    let mut active = Vec::new();
    let mut first = first_index;
    for chunk in entries.chunks(ENTRIES_PER_CALL) {
        let recording = store.store.record_sequenced(first, chunk);
        match store.call("recording the log's entries", recording).await? {
            Sequenced::Recorded(tenants) => active.extend(tenants),
            Sequenced::Gap { log_size: recorded } => {
                return Err(Refusal::LogGap { recorded, first }.into());
            }
            Sequenced::Unknown { index } => return Err(Refusal::LogUnknown { index }.into()),
        }
        first = first.saturating_add(chunk.len() as u64);
    }
    Ok(active)
}

/// Refuses a store that is behind its log, unless a crash between log and store explains it: then it catches up.
pub(super) async fn catch_up(
    store: &StoreCalls,
    recorded: u64,
    newest: &NewestCheckpoint,
) -> Result<(), KeysError> {
    if newest.log_size <= recorded {
        return Ok(());
    }
    let behind = || Refusal::BehindLog {
        store: recorded,
        log: newest.log_size,
    };
    let missing = usize::try_from(newest.log_size - recorded).unwrap_or(usize::MAX);
    if missing > BEYOND_MAX || newest.beyond.len() < missing {
        return Err(behind().into());
    }
    // They end where the log does. They may begin earlier: another gateway has recorded some since they were read.
    let beyond = &newest.beyond[newest.beyond.len() - missing..];
    // All of them are pending here, or nothing is recorded.
    for entry in beyond {
        let known = store
            .call(
                "looking for the log's entries",
                store.store.entry_index(entry),
            )
            .await?;
        if known.is_none() {
            return Err(behind().into());
        }
    }
    record(store, recorded, beyond).await.map(|_| ())
}

/// Refuses a store that holds keys of somebody who is erased.
pub(super) async fn refuse_erased(
    store: &StoreCalls,
    erased: &[TenantId],
) -> Result<(), KeysError> {
    match with_keys(store, erased).await?.first() {
        Some(tenant) => Err(Refusal::NotForgotten { tenant: *tenant }.into()),
        None => Ok(()),
    }
}

/// Those of these tenants whose keys are there.
pub(super) async fn with_keys(
    store: &StoreCalls,
    tenants: &[TenantId],
) -> Result<Vec<TenantId>, KeysError> {
    let mut found = Vec::new();
    for tenant in tenants {
        let newest = store.store.newest_kek(*tenant);
        let newest = store.call("looking for a tenant to forget", newest).await?;
        if newest.is_some() {
            found.push(*tenant);
        }
    }
    Ok(found)
}

/// An operator's decision to open a key store that is behind its log, as an entry of that log.
pub(super) fn override_entry(reason: &str, time: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"lethe/v1/override-leaf");
    hash.update(reason.as_bytes());
    hash.update(time.as_bytes());
    hash.finalize().into()
}
