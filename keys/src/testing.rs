//! For tests: a clock that is moved by hand, faults in key store and root provider, and what a benchmark costs.

pub mod cost;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::backup::BackupPlace;
use crate::clock::Clock;
use crate::config::KeyServiceConfig;
use crate::error::KeysError;
use crate::root::faulty::FaultyRoot;
use crate::service::Backing;
use crate::store::faulty::FaultyKeyStore;
use crate::types::{KeyStoreIdentity, NewestCheckpoint};
use crate::{KeyService, RestoreOptions, Restored};

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock {
    boot: watch::Sender<Duration>,
    wall_wrong_ms: AtomicI64,
}

impl Default for ManualClock {
    fn default() -> Self {
        Self {
            boot: watch::Sender::new(Duration::from_secs(1_000)),
            wall_wrong_ms: AtomicI64::new(0),
        }
    }
}

/// The wall-clock time of a [`ManualClock`]'s boot.
const MANUAL_BOOT_MS: i64 = 1_700_000_000_000;

impl ManualClock {
    /// Moves the clock forward at once, as a suspended machine sees it.
    pub fn advance(&self, by: Duration) {
        self.boot.send_modify(|now| *now += by);
    }

    /// Makes the wall clock wrong by so much.
    pub fn wrong_by(&self, ms: i64) {
        self.wall_wrong_ms.store(ms, Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn boot(&self) -> Duration {
        *self.boot.borrow()
    }

    fn unix_ms(&self) -> i64 {
        let boot_ms = i64::try_from(self.boot().as_millis()).unwrap_or(i64::MAX);
        MANUAL_BOOT_MS
            .saturating_add(boot_ms)
            .saturating_add(self.wall_wrong_ms.load(Ordering::SeqCst))
    }

    async fn sleep_until(&self, deadline: Duration) {
        // The sender is `self`: it cannot be gone while this waits.
        let mut boot = self.boot.subscribe();
        let _reached = boot.wait_for(|now| *now >= deadline).await;
    }
}

/// A call of the key store or the root provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the trait method of its name")]
pub enum Call {
    StoreLocation,
    StoreBeginInit,
    StoreFinishInit,
    StoreHead,
    StoreNode,
    StoreInsertKek,
    StoreKek,
    StoreActiveKek,
    StoreKeks,
    StoreRenew,
    StoreRelease,
    StoreRaiseFence,
    StoreGateways,
    StoreNewestKek,
    StorePendingEntries,
    StoreQueueEntry,
    StoreRecordSequenced,
    StoreAcceptLogSize,
    StoreEntryIndex,
    StoreUnknownStatements,
    StoreCreations,
    StoreNodes,
    StoreMoveRoot,
    StoreMovement,
    StoreMoves,
    StoreMarkMove,
    StoreNodesUpTo,
    StoreScrub,
    StoreExport,
    StoreImport,
    StoreFinishRestore,
    StorePing,
    RootCreateEpoch,
    RootWrap,
    RootUnwrap,
    RootDestroyEpoch,
}

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails and has changed nothing.
    Failed,
    /// It fails, but what it was to change is changed.
    FailedButPersisted,
    /// It takes this long.
    Slow(Duration),
    /// It succeeds with a wrong answer.
    Lying,
}

/// Faults that are still to come.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Vec<(Call, Fault, usize)>>);

impl Faults {
    /// Lets the next `times` calls of this kind go wrong.
    pub fn inject(&self, call: Call, fault: Fault, times: usize) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((call, fault, times));
    }

    /// Lets everything work again.
    pub fn clear(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    fn take(&self, call: Call) -> Option<Fault> {
        let mut planned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = planned
            .iter_mut()
            .find(|(planned, _, times)| *planned == call && *times > 0)?;
        entry.2 -= 1;
        Some(entry.1)
    }

    /// Whether a call is to claim that it did what it does not.
    pub(crate) fn pretends(&self, call: Call) -> bool {
        let mut planned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lie = planned.iter_mut().find(|(planned, fault, times)| {
            *planned == call && *fault == Fault::Lying && *times > 0
        });
        lie.map(|entry| entry.2 -= 1).is_some()
    }

    /// Runs one call with the fault that is planned for it.
    pub(crate) async fn run<T, E>(
        &self,
        call: Call,
        failure: impl Fn() -> E,
        real: impl Future<Output = Result<T, E>>,
        lie: impl FnOnce(T) -> T,
    ) -> Result<T, E> {
        match self.take(call) {
            None => real.await,
            Some(Fault::Failed) => Err(failure()),
            Some(Fault::FailedButPersisted) => {
                real.await?;
                Err(failure())
            }
            Some(Fault::Slow(by)) => {
                tokio::time::sleep(by).await;
                real.await
            }
            Some(Fault::Lying) => real.await.map(lie),
        }
    }
}

fn backing(config: &KeyServiceConfig, faults: &Arc<Faults>) -> Result<Backing, KeysError> {
    let Backing { store, root } = Backing::real(config)?;
    let for_root = faults.clone();
    Ok(Backing {
        store: Arc::new(FaultyKeyStore::new(store, faults.clone())),
        root: Box::new(move |owner| Arc::new(FaultyRoot::new(root(owner), for_root.clone()))),
    })
}

impl KeyService {
    /// [`KeyService::init`] with faults.
    ///
    /// # Errors
    /// As [`KeyService::init`].
    pub async fn init_with_faults(
        config: &KeyServiceConfig,
        faults: &Arc<Faults>,
    ) -> Result<KeyStoreIdentity, KeysError> {
        Self::init_with(config, &backing(config, faults)?).await
    }

    /// [`KeyService::open`] with faults.
    ///
    /// # Errors
    /// As [`KeyService::open`].
    pub async fn open_with_faults(
        config: &KeyServiceConfig,
        expected: KeyStoreIdentity,
        clock: Arc<dyn Clock>,
        faults: &Arc<Faults>,
    ) -> Result<Arc<Self>, KeysError> {
        Self::open_with(config, expected, clock, None, &backing(config, faults)?).await
    }

    /// [`KeyService::restore`] with faults.
    ///
    /// # Errors
    /// As [`KeyService::restore`].
    pub async fn restore_with_faults(
        config: &KeyServiceConfig,
        place: &dyn BackupPlace,
        name: &str,
        options: &RestoreOptions<'_>,
        faults: &Arc<Faults>,
    ) -> Result<Restored, KeysError> {
        Self::restore_with(config, place, name, options, &backing(config, faults)?).await
    }

    /// [`KeyService::open_at_checkpoint`] with faults.
    ///
    /// # Errors
    /// As [`KeyService::open_at_checkpoint`].
    pub async fn open_at_checkpoint_with_faults(
        config: &KeyServiceConfig,
        expected: KeyStoreIdentity,
        clock: Arc<dyn Clock>,
        newest: &NewestCheckpoint,
        faults: &Arc<Faults>,
    ) -> Result<Arc<Self>, KeysError> {
        Self::open_with(
            config,
            expected,
            clock,
            Some(newest),
            &backing(config, faults)?,
        )
        .await
    }
}

/// Entries that are asked for at a time.
const SEQUENCED_AT_ONCE: usize = 1_000;

/// A log in memory: takes pending entries in order, and is no log to anybody else.
#[derive(Debug, Default)]
pub struct MemoryLog(Mutex<Vec<[u8; 32]>>);

impl MemoryLog {
    /// Takes everything that is pending and tells the key store.
    ///
    /// # Errors
    /// As [`KeyService::pending_leaves`] and [`KeyService::entries_sequenced`].
    pub async fn sequence(&self, keys: &KeyService) -> Result<(), KeysError> {
        loop {
            let taken = self.take(keys).await?;
            let recorded = keys.log_size().await?;
            let (entries, size) = self.from(recorded);
            keys.entries_sequenced(recorded, &entries, size).await?;
            if taken == 0 {
                return Ok(());
            }
        }
    }

    /// Takes what is pending without telling the key store, as a crash between the two does.
    ///
    /// # Errors
    /// As [`KeyService::pending_leaves`].
    pub async fn take(&self, keys: &KeyService) -> Result<usize, KeysError> {
        let pending = keys.pending_leaves(SEQUENCED_AT_ONCE).await?;
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = log.len();
        for pending in pending {
            if !log.contains(&pending.entry) {
                log.push(pending.entry);
            }
        }
        Ok(log.len() - before)
    }

    /// What opening a key store that has recorded so much is compared with.
    #[must_use]
    pub fn newest(&self, recorded: u64) -> NewestCheckpoint {
        let (beyond, log_size) = self.from(recorded);
        NewestCheckpoint {
            log_size,
            beyond,
            erased: Vec::new(),
        }
    }

    fn from(&self, index: u64) -> (Vec<[u8; 32]>, u64) {
        let log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let entries = log.get(index..).map(<[_]>::to_vec).unwrap_or_default();
        (entries, log.len() as u64)
    }
}
