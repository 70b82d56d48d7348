//! Runs a domain's shreds: begins what is due, takes the lease on one, goes on from its state, and renews the lease meanwhile.

use super::domain::ShredDomain;
use super::error::ShredError;
use super::rules::CALLED_OFF;
use super::steps::{Held, Stepped};
use crate::catalog::{CatalogError, Shred, ShredId, ShredState, Termination, TerminationId};
use crate::clock::UnixMs;
use crate::tenants::TenantId;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Tenants of one shred: the move of the root costs the same for one and for all of them, receipts do not.
const TENANTS_MAX: u32 = 1000;

/// Shreds that are looked at for the one that has not destroyed its epoch yet, which is the newest unless a clock went back.
const NEWEST_SHREDS: u32 = 100;

/// The longest pause between tries to finish a move of the root that no shred knows, in milliseconds.
const MOVES_PAUSE_MS_MAX: i64 = 60 * 60 * 1000;

/// How a runner paces itself.
#[derive(Clone, Copy, Debug)]
pub struct ShredRunnerSettings {
    /// How long a shred is this runner's without a renewal.
    pub lease: Duration,
    /// How long it waits when nothing is due.
    pub poll: Duration,
    /// How long it leaves a shred that failed alone.
    pub backoff: Duration,
}

impl Default for ShredRunnerSettings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(60),
            poll: Duration::from_secs(5),
            backoff: Duration::from_secs(30),
        }
    }
}

/// Runs one domain's shreds.
pub struct ShredRunner {
    domain: Arc<ShredDomain>,
    owner: String,
    settings: ShredRunnerSettings,
    /// Whether receipts were compared with the witnesses that are wanted since the start.
    rechecked: AtomicBool,
    /// After a move of the root that no shred knows could not be finished.
    moves: Mutex<Option<Pause>>,
}

/// Until when something is left alone, and for how long that is.
#[derive(Clone, Copy)]
struct Pause {
    until: UnixMs,
    wait_ms: i64,
}

enum Ended {
    Over,
    Paused,
    Failed(ShredError),
}

impl ShredRunner {
    /// A runner; `owner` is unique to this process.
    #[must_use]
    pub fn new(domain: Arc<ShredDomain>, owner: String, settings: ShredRunnerSettings) -> Self {
        Self {
            domain,
            owner,
            settings,
            rechecked: AtomicBool::new(false),
            moves: Mutex::default(),
        }
    }

    /// Runs what is due until `stop` resolves; what is at hand is then dropped, and gone on with after its lease.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            let pass = async {
                if let Err(error) = self.run_due().await {
                    tracing::warn!(op = "shred", outcome = "waiting", %error, "shreds wait");
                }
                tokio::time::sleep(self.settings.poll).await;
            };
            tokio::select! {
                () = &mut stop => return,
                () = pass => {}
            }
        }
    }

    /// Begins what is due by the policy's window, and works on every shred that nobody holds; answers how many it worked on.
    ///
    /// # Errors
    /// [`ShredError`] when nothing could be begun or claimed. What a shred itself fails at is in its row.
    pub async fn run_due(&self) -> Result<u32, ShredError> {
        self.finish_moves().await;
        let now = self.domain.stores.clock.now();
        // What is begun goes on even where nothing new can begin.
        let begun = self.begin(self.domain.policy.due_before(now)).await;
        let mut worked = 0;
        while self.work_on_one().await? {
            worked += 1;
        }
        if let Err(error) = self.log_receipts().await {
            tracing::warn!(op = "shred", outcome = "unlogged", %error, "receipts wait for the log");
        }
        begun.map(|_| worked)
    }

    /// Each try makes a whole backup: the pauses between those that fail grow.
    async fn finish_moves(&self) {
        let now = self.domain.stores.clock.now();
        let pause = *self.moves.lock().unwrap_or_else(PoisonError::into_inner);
        // One that is further away than any was begun by a clock that was ahead.
        let waits =
            |pause: &Pause| pause.until > now && pause.until <= now.plus_ms(MOVES_PAUSE_MS_MAX);
        if pause.as_ref().is_some_and(waits) {
            return;
        }
        let next = match self.domain.finish_moves().await {
            Ok(()) => None,
            Err(error) => {
                let first_ms = millis(self.settings.backoff).max(1);
                let wait_ms = pause.map_or(first_ms, |pause| pause.wait_ms.saturating_mul(2));
                let wait_ms = wait_ms.min(MOVES_PAUSE_MS_MAX);
                tracing::warn!(op = "shred", outcome = "waiting", wait_ms, %error, "a move of the root that no shred knows waits");
                Some(Pause {
                    until: now.plus_ms(wait_ms),
                    wait_ms,
                })
            }
        };
        *self.moves.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }

    async fn log_receipts(&self) -> Result<(), ShredError> {
        if !self.rechecked.load(Ordering::Relaxed) {
            self.domain.recheck_receipts().await?;
            self.rechecked.store(true, Ordering::Relaxed);
        }
        self.domain.log_receipts().await
    }

    async fn begin(&self, due: UnixMs) -> Result<Option<ShredId>, ShredError> {
        self.domain.begin(due).await
    }

    /// Works on one shred that nobody holds; `false` when there is none.
    async fn work_on_one(&self) -> Result<bool, ShredError> {
        let domain = &self.domain;
        let catalog = &domain.stores.catalog;
        let now = domain.stores.clock.now();
        let lease_ms = millis(self.settings.lease);
        let Some(shred) = catalog.claim_shred(&self.owner, now, lease_ms).await? else {
            return Ok(false);
        };
        let (id, fence) = (shred.id, shred.fence);
        let ended = self.work(shred).await;
        let now = domain.stores.clock.now();
        let (retry_at, reason) = match &ended {
            Ended::Failed(ShredError::TakenOver) => return Ok(true),
            Ended::Over => (now, None),
            // Others first: the poll comes back to it.
            Ended::Paused => (now.plus_ms(millis(self.settings.poll).max(1)), None),
            Ended::Failed(error) => {
                let wait_ms = millis(self.settings.backoff);
                tracing::warn!(op = "shred", shred = %id, outcome = "retry", wait_ms, %error, "a shred waits");
                (now.plus_ms(wait_ms.max(1)), Some(error.to_string()))
            }
        };
        let released = catalog
            .release_shred(id, fence, retry_at, reason.as_deref())
            .await;
        match released {
            Ok(()) | Err(CatalogError::Conflict { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    async fn work(&self, shred: Shred) -> Ended {
        let (id, fence) = (shred.id, shred.fence);
        let mut held = Held {
            domain: &self.domain,
            shred,
        };
        let steps = async {
            loop {
                match held.step().await {
                    Ok(Stepped::On) => {}
                    Ok(Stepped::Paused) => return Ended::Paused,
                    Ok(Stepped::Over) => return Ended::Over,
                    Err(error) => return Ended::Failed(error),
                }
            }
        };
        tokio::pin!(steps);
        let renewal = self.settings.lease / 3;
        loop {
            tokio::select! {
                ended = &mut steps => return ended,
                () = tokio::time::sleep(renewal) => {
                    let stores = &self.domain.stores;
                    let until = stores.clock.now().plus_ms(millis(self.settings.lease));
                    let renewed = stores.catalog.renew_shred(id, fence, until).await;
                    // On other errors there are two more renewals before the lease ends; every step is idempotent in any case.
                    if let Err(CatalogError::Conflict { .. } | CatalogError::NotFound { .. }) = renewed {
                        return Ended::Failed(ShredError::TakenOver);
                    }
                }
            }
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl ShredDomain {
    /// Finishes moves of the root that no shred will: those of a key store that was restored, from a backup that was made in
    /// the middle of a shred that is over now, or that had to forget tenants. No key is made until then.
    ///
    /// # Errors
    /// [`ShredError`]; call again.
    pub async fn finish_moves(&self) -> Result<(), ShredError> {
        // Before the catalog: a move that is seen here and has a shred is seen with it there.
        let left = self.keys.unfinished_moves().await?;
        if left.is_empty() {
            return Ok(());
        }
        let newest = self.stores.catalog.shreds(NEWEST_SHREDS).await?;
        let open = newest
            .iter()
            .find(|shred| shred.state < ShredState::Destroyed)
            .map(|shred| shred.epoch_from);
        for epoch_from in left.into_iter().filter(|epoch| Some(*epoch) != open) {
            self.keys.fence_nodes().await?;
            let backup = self.keys.back_up(epoch_from).await?;
            self.keys.destroy(epoch_from, &backup).await?;
            tracing::info!(
                op = "shred",
                epoch_from,
                outcome = "done",
                "a restored move of the root is finished"
            );
        }
        Ok(())
    }

    /// Begins a shred of what was due by then, after a look at everything that it needs; `None` when nothing is due, or what is due
    /// was called off.
    ///
    /// # Errors
    /// [`ShredError`] when key store, root provider, key backup or log do not answer, or others' clocks are behind this one's:
    /// nothing has begun then.
    pub async fn begin(&self, due: UnixMs) -> Result<Option<ShredId>, ShredError> {
        let catalog = &self.stores.catalog;
        if !catalog.is_termination_due(due).await? {
            return Ok(None);
        }
        let due = self.not_called_off(due).await?;
        if due.is_empty() {
            return Ok(None);
        }
        self.keys.ready().await?;
        self.log.ready().await?;
        self.agrees_on_time().await?;
        let begun = catalog.shreds(NEWEST_SHREDS).await?;
        if !begun.iter().any(|one| one.state < ShredState::Destroyed) {
            // Before anything is begun, so that a tenant whose key is lost can still join.
            let leaving: Vec<TenantId> = due.iter().map(|one| one.tenant).collect();
            self.keys.check_opens(&leaving).await?;
        }
        let epoch = self.keys.epoch().await?;
        let id = ShredId::random().ok_or(ShredError::NoRandomness)?;
        let now = self.stores.clock.now();
        let due: Vec<TerminationId> = due.iter().map(|one| one.id).collect();
        let begun = catalog.begin_shred(id, epoch, &due, now);
        Ok(begun.await?.map(|shred| shred.id))
    }

    /// What is due and was not called off. The catalog may be an older copy, which does not know of a cancellation; the key store
    /// does.
    async fn not_called_off(&self, due: UnixMs) -> Result<Vec<Termination>, ShredError> {
        let due = self.stores.catalog.due_terminations(due, TENANTS_MAX);
        let mut due = due.await?;
        let ids: Vec<TerminationId> = due.iter().map(|one| one.id).collect();
        let called_off = self.keys.called_off(&ids).await?;
        for one in due.iter().filter(|one| called_off.contains(&one.id)) {
            tracing::warn!(op = "shred", outcome = "called-off", tenant = %one.tenant, "{CALLED_OFF}");
        }
        due.retain(|one| !called_off.contains(&one.id));
        Ok(due)
    }
}
