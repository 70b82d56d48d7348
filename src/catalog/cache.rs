//! The catalog as a gateway sees it: what every request asks (credential, tenant, bucket) comes from memory.
//!
//! A task polls the catalog's revision and drops what changed, so nothing cached outlives its change by more than a poll. With the
//! catalog away, what is cached serves until the lease counted from the last poll that succeeded; after that the answer is
//! `Unavailable`. What this gateway writes, it drops at once.
//!
//! An answer that was asked for before an eviction could be cached after it, and stay. So every eviction counts before it drops
//! anything, and whoever caches an answer compares the count with the one before its question and takes the answer out again.

mod delegate;
mod entries;

use super::{Catalog, CatalogError, Change, Revision};
use crate::clock::{Clock, UnixMs};
use entries::Entries;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

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
    options: CacheOptions,
    entries: Entries,
    polled: Mutex<Polled>,
    /// Something may be cached that an eviction missed; the next poll drops everything.
    unsettled: AtomicBool,
}

/// A catalog whose hot rows are cached. Dropped, its polling ends.
pub struct CachedCatalog {
    shared: Arc<Shared>,
    poller: JoinHandle<()>,
}

impl Drop for CachedCatalog {
    fn drop(&mut self) {
        self.poller.abort();
    }
}

impl CachedCatalog {
    /// Asks for the revision once and begins polling.
    ///
    /// # Errors
    /// The catalog's, when the first question fails.
    pub async fn start(
        inner: Arc<dyn Catalog>,
        clock: Arc<dyn Clock>,
        options: CacheOptions,
    ) -> Result<Self, CatalogError> {
        let (sent, sent_wall) = (Instant::now(), clock.now());
        let revision = inner.revision().await?;
        let polled = Polled {
            sent,
            sent_wall,
            revision,
        };
        let shared = Arc::new(Shared {
            inner,
            clock,
            options,
            entries: Entries::new(&options),
            polled: Mutex::new(polled),
            unsettled: AtomicBool::new(false),
        });
        let poller = tokio::spawn(poll_forever(Arc::clone(&shared)));
        Ok(Self { shared, poller })
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
    loop {
        ticks.tick().await;
        match shared.poll().await {
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

    fn since_poll(&self) -> Duration {
        let polled = self.polled();
        let wall_ms = self.clock.now().0.saturating_sub(polled.sent_wall.0);
        let wall = Duration::from_millis(u64::try_from(wall_ms).unwrap_or(0));
        polled.sent.elapsed().max(wall)
    }

    /// # Errors
    /// `Unavailable` when the lease on what is cached has ended.
    fn check_lease(&self, operation: &'static str) -> Result<(), CatalogError> {
        if self.since_poll() < self.options.lease {
            return Ok(());
        }
        Err(CatalogError::Unavailable {
            operation,
            reason: "it has not answered for a whole lease".to_owned(),
        })
    }

    async fn poll(&self) -> Result<(), CatalogError> {
        let (sent, sent_wall) = (Instant::now(), self.clock.now());
        let before = self.polled().revision;
        let revision = self.inner.revision().await?;
        if self.unsettled.swap(false, Ordering::SeqCst) {
            self.entries.clear();
        }
        if revision != before {
            match self.inner.changes_since(before).await? {
                Some(changes) => self.entries.evict(&changes).await,
                None => self.entries.clear(),
            }
        }
        *self.polled.lock().unwrap_or_else(PoisonError::into_inner) = Polled {
            sent,
            sent_wall,
            revision,
        };
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
