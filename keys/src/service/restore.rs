//! Restoring a key store from a backup, and making it forget what it must before anybody opens it.

use std::collections::HashSet;

use lethe_envelope::TenantId;

use super::KeyService;
use super::backup::{Opening, load, rejected};
use super::init::create_directories;
use super::log::{catch_up, override_entry, with_keys};
use super::open::{Backing, check_root_place};
use super::rekey::Mover;
use crate::backup::BackupPlace;
use crate::calls::{RootCalls, StoreCalls};
use crate::clock::{Clock, SystemClock};
use crate::config::KeyServiceConfig;
use crate::error::{KeysError, Refusal};
use crate::store::{Announcement, Phase, StoreError, StoreHead};
use crate::tree::Epoch;
use crate::types::{FenceScope, KeyStoreIdentity, NewestCheckpoint, RekeyEvidence};

/// Fences that one call raises at most, to come past those that were seen.
const FENCES_MAX: u32 = 10_000;

/// An operator's decision to open a key store that is behind its log. It becomes an entry of that log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// Why.
    pub reason: String,
    /// When: RFC 3339, UTC, whole seconds.
    pub time: String,
}

/// Hears who is about to be forgotten, and answers whom of them nobody may forget.
#[derive(Clone, Copy)]
pub struct ForgetGuard<'a>(pub &'a (dyn Fn(&[TenantId]) -> Vec<TenantId> + Send + Sync));

impl std::fmt::Debug for ForgetGuard<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ForgetGuard")
    }
}

/// What a restored key store is told.
#[derive(Debug, Clone, Copy, Default)]
pub struct RestoreOptions<'a> {
    /// Tenants that shred statements beside the log name.
    pub forget: &'a [TenantId],
    /// Asked once it is known whose keys are in the backup, and before any is left behind.
    pub guard: Option<ForgetGuard<'a>>,
    /// Tenants whose keys no gateway may open: those of a shred that has not moved the root yet. A backup from before its
    /// fence knows nothing of it.
    pub fence: &'a [TenantId],
    /// The newest fence that a receipt of an unfinished shred may name: those that follow have greater numbers.
    pub fence_seen: u64,
    /// The newest checkpoint that the log and its witnesses hold.
    pub newest: Option<&'a NewestCheckpoint>,
    /// Restores what is behind the checkpoint or the newest epoch seen.
    pub accept_behind: Option<&'a Override>,
}

/// A restored key store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Its identity, which is the one that was backed up.
    pub identity: KeyStoreIdentity,
    /// Its epoch now.
    pub epoch: Epoch,
    /// How much of the log is recorded.
    pub log_size: u64,
    /// KEKs that open.
    pub keks: u64,
    /// The move of the root that forgot tenants; its old epoch is to be destroyed after a backup.
    pub forgotten: Option<RekeyEvidence>,
    /// Who was forgotten now: their keys were in the backup.
    pub forgotten_tenants: Vec<TenantId>,
}

impl KeyService {
    /// Restores a backup into an empty place, opens every key in it, and forgets the tenants that it is told to by a move
    /// of the root, before anybody can open it. After an error, repeat it with the same backup: what was restored is gone
    /// on with. [`NewestCheckpoint::beyond`] starts at the backup's log size ([`crate::BackupEvidence::log_size`]).
    ///
    /// # Errors
    /// [`Refusal::StoreNotEmpty`], [`Refusal::BackupRejected`], [`Refusal::DomainMismatch`]; [`Refusal::BehindLog`] and
    /// [`Refusal::EpochRolledBack`] unless accepted; [`Refusal::ForgettingRefused`]; [`Refusal::RootEpochMissing`] when the root has destroyed what
    /// opens it; [`KeysError::Unavailable`]: call again.
    pub async fn restore(
        config: &KeyServiceConfig,
        place: &dyn BackupPlace,
        name: &str,
        options: &RestoreOptions<'_>,
    ) -> Result<Restored, KeysError> {
        Self::restore_with(config, place, name, options, &Backing::real(config)?).await
    }

    pub(crate) async fn restore_with(
        config: &KeyServiceConfig,
        place: &dyn BackupPlace,
        name: &str,
        options: &RestoreOptions<'_>,
        backing: &Backing,
    ) -> Result<Restored, KeysError> {
        config.validate()?;
        create_directories(config)?;
        let store = backing.store_calls(config);
        let location = store
            .call("locating the key store", store.store.location())
            .await?;
        check_root_place(config, &location)?;
        let head = match restoring(&store).await? {
            Some(head) => head,
            None => {
                load(place, name, &store).await?;
                head(&store).await?
            }
        };
        if head.domain != config.domain.as_str() {
            return Err(rejected(name, "it is another domain's"));
        }
        let root = backing.root_calls(config, head.identity);
        let restore = Restore {
            config,
            name,
            options,
            store: &store,
            root: &root,
        };
        restore.finish(&head).await
    }
}

/// A store that an interrupted restore has left, or `None` for an empty place.
async fn restoring(store: &StoreCalls) -> Result<Option<StoreHead>, KeysError> {
    let found = async {
        match store.store.head().await {
            Err(StoreError::Missing) => Ok(None),
            outcome => outcome.map(Some),
        }
    };
    let not_empty = || Refusal::StoreNotEmpty {
        store: store.name.clone(),
    };
    match store.call("reading the key store", found).await? {
        None => Ok(None),
        Some(head) => match head.phase {
            Phase::Restoring => Ok(Some(head)),
            // A restore that has not come to its import, or an `init`: the import compares the identity.
            Phase::Initializing => Ok(None),
            Phase::Ready => Err(not_empty().into()),
        },
    }
}

async fn head(store: &StoreCalls) -> Result<StoreHead, KeysError> {
    store
        .call("reading the key store", store.store.head())
        .await
}

struct Restore<'a> {
    config: &'a KeyServiceConfig,
    name: &'a str,
    options: &'a RestoreOptions<'a>,
    store: &'a StoreCalls,
    root: &'a RootCalls,
}

impl Restore<'_> {
    async fn finish(&self, restored: &StoreHead) -> Result<Restored, KeysError> {
        self.compare(restored).await?;
        let mover = Mover {
            domain: &self.config.domain,
            store: self.store,
            root: self.root,
            now_ms: SystemClock.unix_ms(),
        };
        // Everything must open before anything is moved: a key that does not is a backup that does not serve.
        mover
            .open_all(Opening::Backup(self.name), restored.epoch, &HashSet::new())
            .await?;
        let (forgotten, forgotten_tenants) = self.forget(&mover, restored.epoch).await?;
        let head = head(self.store).await?;
        let victims = self.options.forget.iter().copied().collect();
        let opened = mover
            .open_all(Opening::Backup(self.name), head.epoch, &victims)
            .await?;
        self.fence().await?;
        let finish = self.store.store.finish_restore();
        // `false`: a repetition was first.
        self.store.call("finishing a restore", finish).await?;
        Ok(Restored {
            identity: head.identity,
            epoch: head.epoch,
            log_size: head.log_size,
            keks: opened.keks,
            forgotten,
            forgotten_tenants,
        })
    }

    /// Raised before anybody holds a lease: there is no answer to wait for.
    async fn fence(&self) -> Result<(), KeysError> {
        for tenant in self.options.fence {
            let scope = FenceScope::Tenant(*tenant);
            let raise = self.store.store.raise_fence(scope, SystemClock.unix_ms());
            self.store.call("raising a fence", raise).await?;
        }
        if self.options.fence_seen == 0 {
            return Ok(());
        }
        for _ in 0..FENCES_MAX {
            let raise = self
                .store
                .store
                .raise_fence(FenceScope::Nodes, SystemClock.unix_ms());
            let number = self.store.call("raising a fence", raise).await?;
            if number >= self.options.fence_seen {
                return Ok(());
            }
        }
        // What was raised stays: a repetition goes on from there.
        Err(KeysError::Unavailable {
            operation: "raising fences",
            cause: format!("fence {} is far away; repeat it", self.options.fence_seen),
        })
    }

    /// Compares with the newest checkpoint and epoch; behind them only by an operator's decision, which is logged.
    async fn compare(&self, restored: &StoreHead) -> Result<(), KeysError> {
        let seen = self.config.epoch_min;
        if restored.epoch < seen && self.options.accept_behind.is_none() {
            return Err(Refusal::EpochRolledBack {
                seen,
                found: restored.epoch,
            }
            .into());
        }
        if let Some(newest) = self.options.newest {
            match catch_up(self.store, restored.log_size, newest).await {
                Err(KeysError::Refused {
                    reason: Refusal::BehindLog { .. },
                }) if self.options.accept_behind.is_some() => {
                    let accept = self.store.store.accept_log_size(newest.log_size);
                    self.store.call("accepting the log", accept).await?;
                    self.record_known(restored.log_size, newest).await?;
                }
                outcome => outcome?,
            }
        }
        if let Some(accepted) = self.options.accept_behind {
            let entry = override_entry(&accepted.reason, &accepted.time);
            let queue =
                self.store
                    .store
                    .queue_entry(Announcement::Override, &entry, SystemClock.unix_ms());
            self.store.call("queueing an override", queue).await?;
        }
        Ok(())
    }

    /// What of an accepted log was made here after all is recorded as taken.
    async fn record_known(&self, from: u64, newest: &NewestCheckpoint) -> Result<(), KeysError> {
        const ENTRIES_PER_CALL: usize = 256;
        let mut first = from;
        for chunk in newest.beyond.chunks(ENTRIES_PER_CALL) {
            let recording = self.store.store.record_sequenced(first, chunk);
            self.store
                .call("recording the log's entries", recording)
                .await?;
            first = first.saturating_add(chunk.len() as u64);
        }
        Ok(())
    }

    /// Moves the root when somebody is to be forgotten, or when a newer epoch was seen than the restored one.
    async fn forget(
        &self,
        mover: &Mover<'_>,
        from: Epoch,
    ) -> Result<(Option<RekeyEvidence>, Vec<TenantId>), KeysError> {
        let found = with_keys(self.store, self.options.forget).await?;
        if !found.is_empty()
            && let Some(ForgetGuard(guard)) = self.options.guard
        {
            let tenants = guard(&found);
            if !tenants.is_empty() {
                return Err(Refusal::ForgettingRefused { tenants }.into());
            }
        }
        let seen = self.config.epoch_min;
        if found.is_empty() && from >= seen {
            return Ok((None, found));
        }
        let to = Epoch(from.max(seen).0.saturating_add(1));
        let row = mover.move_root(&found, from, to, false).await?;
        Ok((Some(row.evidence()), found))
    }
}
