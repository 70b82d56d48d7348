//! The catalog as a gateway sees it: what every request asks (credential, tenant, bucket) comes from memory.
//!
//! A task polls the catalog's revision and drops what changed, so nothing cached outlives its change by more than a poll. With the
//! catalog away, what is cached serves until the lease counted from the last poll that succeeded; after that the answer is
//! `Unavailable`. What this gateway writes, it drops at once. Each poll first writes the gateway's row, with the revision that it has
//! applied: a change is effective when every row has it, or the lease behind the row has ended ([`super::Effective`]).
//!
//! An answer that was asked for before an eviction could be cached after it, and stay. So every eviction counts, and whoever caches an
//! answer compares the count with the one before its question; while it does, no eviction goes on.

mod delegate;
mod entries;
mod peers;

use super::{Catalog, CatalogError, Change, GatewayRenewal, Revision};
use crate::clock::{Clock, UnixMs};
use entries::Entries;
use lethe_keys::GatewayId;
use peers::Peers;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// So many polls between two looks at the other gateways' rows.
const POLLS_PER_LOOK: u32 = 10;

/// How long closing waits for the poll at hand, whose calls have shorter deadlines of their own.
const CLOSE_DEADLINE: Duration = Duration::from_secs(10);

/// How much is cached, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct CacheOptions {
    /// Between two questions for the revision: the longest that a change of another gateway goes unnoticed.
    pub poll: Duration,
    /// How long cached rows serve after the last poll that succeeded.
    pub lease: Duration,
    /// The most credentials, the most tenants and the most buckets that are cached.
    pub entries_max: u64,
    /// The most unknown access-key ids that are remembered as such.
    pub unknown_max: u64,
    /// How long an unknown access-key id is remembered.
    pub unknown_for: Duration,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(1),
            lease: Duration::from_secs(300),
            entries_max: 100_000,
            unknown_max: 10_000,
            unknown_for: Duration::from_secs(1),
        }
    }
}

/// The last poll that succeeded: when its question was sent, and what it found.
#[derive(Clone, Copy)]
struct Polled {
    sent: Instant,
    /// The monotonic clock stands still while the machine sleeps; the wall clock does not.
    sent_wall: UnixMs,
    revision: Revision,
}

struct Shared {
    inner: Arc<dyn Catalog>,
    clock: Arc<dyn Clock>,
    gateway: GatewayId,
    options: CacheOptions,
    entries: Entries,
    polled: Mutex<Polled>,
    /// How often this gateway's row was written, or tried to be.
    renewals: AtomicI64,
    peers: Peers,
    poll_now: Notify,
    /// The lease was given back; nothing serves any more.
    closed: AtomicBool,
    /// Something may be cached that an eviction missed; the next poll drops everything.
    unsettled: AtomicBool,
}

/// A catalog whose hot rows are cached. Dropped, its polling ends.
pub struct CachedCatalog {
    shared: Arc<Shared>,
    poller: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for CachedCatalog {
    fn drop(&mut self) {
        if let Some(poller) = self.take_poller() {
            poller.abort();
        }
    }
}

impl CachedCatalog {
    /// Writes the gateway's row, asks for the revision once, and begins polling. `gateway` is of this run of the process alone.
    ///
    /// # Errors
    /// The catalog's, when the first poll fails.
    pub async fn start(
        inner: Arc<dyn Catalog>,
        clock: Arc<dyn Clock>,
        gateway: GatewayId,
        options: CacheOptions,
    ) -> Result<Self, CatalogError> {
        let polled = Polled {
            sent: Instant::now(),
            sent_wall: clock.now(),
            revision: Revision::default(),
        };
        let shared = Arc::new(Shared {
            inner,
            clock,
            gateway,
            options,
            entries: Entries::new(&options),
            polled: Mutex::new(polled),
            renewals: AtomicI64::new(0),
            peers: Peers::default(),
            poll_now: Notify::new(),
            closed: AtomicBool::new(false),
            unsettled: AtomicBool::new(false),
        });
        shared.renew().await?;
        let revision = shared.inner.revision().await?;
        shared.set_polled(Polled { revision, ..polled });
        let poller = tokio::spawn(poll_forever(Arc::clone(&shared)));
        Ok(Self {
            shared,
            poller: Mutex::new(Some(poller)),
        })
    }

    /// Serves nothing from here on, and gives the lease back, so that no change waits for this gateway.
    ///
    /// # Errors
    /// The catalog's; the lease then runs out by itself.
    pub async fn close(&self) -> Result<(), CatalogError> {
        self.shared.closed.store(true, Ordering::SeqCst);
        if let Some(mut poller) = self.take_poller() {
            // Not cut off: a renewal that is half way would outlive the row.
            self.shared.poll_now.notify_one();
            if timeout(CLOSE_DEADLINE, &mut poller).await.is_err() {
                poller.abort();
            }
        }
        let renewals = self.shared.renewals.load(Ordering::SeqCst);
        let (inner, gateway) = (&self.shared.inner, self.shared.gateway);
        inner.forget_gateway(gateway, renewals).await
    }

    fn take_poller(&self) -> Option<JoinHandle<()>> {
        let mut poller = self.poller.lock().unwrap_or_else(PoisonError::into_inner);
        poller.take()
    }

    /// How long ago the last poll that succeeded was sent, for `/readyz`.
    #[must_use]
    pub fn since_poll(&self) -> Duration {
        self.shared.since_poll()
    }

    /// The newest revision whose changes are applied here.
    #[must_use]
    pub fn applied(&self) -> Revision {
        self.shared.polled().revision
    }
}

async fn poll_forever(shared: Arc<Shared>) {
    let mut ticks = interval(shared.options.poll.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut away = false;
    let mut polls: u32 = 0;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shared.poll_now.notified() => {}
        }
        if shared.closed.load(Ordering::SeqCst) {
            return;
        }
        polls = polls.wrapping_add(1);
        let polled = match shared.poll().await {
            Ok(()) if polls.is_multiple_of(POLLS_PER_LOOK) => shared.forget_the_dead().await,
            polled => polled,
        };
        match polled {
            Ok(()) => {
                if away {
                    tracing::info!(op = "catalog poll", outcome = "back");
                }
                away = false;
            }
            Err(error) => {
                if !away {
                    tracing::warn!(op = "catalog poll", outcome = "failed", %error);
                }
                away = true;
            }
        }
    }
}

impl Shared {
    fn polled(&self) -> Polled {
        *self.polled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_polled(&self, polled: Polled) {
        *self.polled.lock().unwrap_or_else(PoisonError::into_inner) = polled;
    }

    fn since_poll(&self) -> Duration {
        let polled = self.polled();
        let wall_ms = self.clock.now().0.saturating_sub(polled.sent_wall.0);
        let wall = Duration::from_millis(u64::try_from(wall_ms).unwrap_or(0));
        polled.sent.elapsed().max(wall)
    }

    /// # Errors
    /// `Unavailable` when the lease on what is cached has ended.
    fn check_lease(&self, operation: &'static str) -> Result<(), CatalogError> {
        let reason = if self.closed.load(Ordering::SeqCst) {
            "this gateway is stopping"
        } else if self.since_poll() < self.options.lease {
            return Ok(());
        } else {
            "it has not answered for a whole lease"
        };
        Err(CatalogError::Unavailable {
            operation,
            reason: reason.to_owned(),
        })
    }

    /// Writes this gateway's row.
    async fn renew(&self) -> Result<(), CatalogError> {
        let renewal = GatewayRenewal {
            gateway: self.gateway,
            acknowledged: self.polled().revision,
            lease: self.options.lease,
            renewals: self.renewals.fetch_add(1, Ordering::SeqCst) + 1,
            now: self.clock.now(),
        };
        self.inner.renew_gateway(&renewal).await
    }

    async fn poll(&self) -> Result<(), CatalogError> {
        let (sent, sent_wall) = (Instant::now(), self.clock.now());
        let before = self.polled().revision;
        // The row first: a change committed after the revision's answer must find it.
        self.renew().await?;
        let revision = self.inner.revision().await?;
        if self.unsettled.swap(false, Ordering::SeqCst) {
            self.entries.clear().await;
        }
        if revision != before {
            match self.inner.changes_since(before).await? {
                Some(changes) => self.entries.evict(&changes).await,
                None => self.entries.clear().await,
            }
        }
        self.set_polled(Polled {
            sent,
            sent_wall,
            revision,
        });
        if revision != before {
            self.renew().await?;
        }
        Ok(())
    }

    /// Drops what a write of this gateway changed, or may have changed if it failed.
    async fn evict(&self, change: Change) {
        self.entries.evict(std::slice::from_ref(&change)).await;
    }
}

/// Marks the cache as unsettled unless the caller gets to its end: a future may be dropped between caching an answer and checking it.
struct Settling<'a> {
    unsettled: &'a AtomicBool,
    settled: bool,
}

impl<'a> Settling<'a> {
    fn new(unsettled: &'a AtomicBool) -> Self {
        Self {
            unsettled,
            settled: false,
        }
    }

    fn settle(mut self) {
        self.settled = true;
    }
}

impl Drop for Settling<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.unsettled.store(true, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests;
