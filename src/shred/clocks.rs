//! Others' clocks. Whether a grace is over is read from a clock, and a gateway whose clock is ahead would shred tenants in their
//! grace: what can be asked is asked before a shred begins, and again before it fences.

use super::domain::ShredDomain;
use super::error::ShredError;
use super::log::DomainLog;
use crate::catalog::Catalog;
use crate::clock::{Clock, UnixMs};
use async_trait::async_trait;
use lethe_keys::KeyService;
use std::sync::Arc;

/// How far this machine's clock may be ahead of another's, in milliseconds.
const AHEAD_MS_MAX: i64 = 300_000;

/// A clock that is behind this machine's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockBehind {
    /// Whose it is.
    pub whose: String,
    /// By how much, at least, in milliseconds.
    pub by_ms: i64,
}

/// Somebody who has a clock.
#[async_trait]
pub trait OtherClocks: Send + Sync + 'static {
    /// Clocks that are more than `by_ms` behind this machine's. Who does not answer in time has none, but for the stores that a
    /// shred needs in any case.
    ///
    /// # Errors
    /// [`ShredError`] of such a store.
    async fn behind(&self, by_ms: i64) -> Result<Vec<ClockBehind>, ShredError>;
}

/// By how much a clock that read `other_ms` after this one had read `own` is behind, when it is more than `by_ms`.
fn ahead(own: UnixMs, other_ms: i64, by_ms: i64) -> Option<i64> {
    Some(own.0.saturating_sub(other_ms)).filter(|ahead| *ahead > by_ms)
}

/// The clock of the catalog's server, where it has one of its own.
pub struct CatalogClock {
    /// The catalog.
    pub catalog: Arc<dyn Catalog>,
    /// This machine's clock.
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl OtherClocks for CatalogClock {
    async fn behind(&self, by_ms: i64) -> Result<Vec<ClockBehind>, ShredError> {
        let own = self.clock.now();
        let theirs = self.catalog.database_now().await?;
        let by_ms = theirs.and_then(|theirs| ahead(own, theirs.0, by_ms));
        let behind = by_ms.map(|by_ms| ClockBehind {
            whose: "the catalog's database server".to_owned(),
            by_ms,
        });
        Ok(behind.into_iter().collect())
    }
}

/// The clocks of the domain's other gateways, as their leases' renewals tell.
pub struct GatewayClocks(pub Arc<KeyService>);

#[async_trait]
impl OtherClocks for GatewayClocks {
    async fn behind(&self, by_ms: i64) -> Result<Vec<ClockBehind>, ShredError> {
        let behind = self.0.gateways_behind(by_ms).await?;
        Ok(behind
            .into_iter()
            .map(|(gateway, by_ms)| ClockBehind {
                whose: format!("gateway {gateway}"),
                by_ms,
            })
            .collect())
    }
}

/// The clocks of the log's witnesses, as they cosign now.
pub struct WitnessClocks {
    /// The log with its witnesses.
    pub log: Arc<DomainLog>,
    /// This machine's clock.
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl OtherClocks for WitnessClocks {
    async fn behind(&self, by_ms: i64) -> Result<Vec<ClockBehind>, ShredError> {
        let own = self.clock.now();
        let told = self.log.witness_times().await;
        Ok(told
            .into_iter()
            .filter_map(|(witness, theirs)| {
                ahead(own, theirs.0, by_ms).map(|by_ms| ClockBehind {
                    whose: format!("witness {witness}"),
                    by_ms,
                })
            })
            .collect())
    }
}

impl ShredDomain {
    /// Compares this machine's clock with everybody's who has one.
    ///
    /// # Errors
    /// [`ShredError::ClockAhead`] of whoever is the furthest behind.
    pub(super) async fn agrees_on_time(&self) -> Result<(), ShredError> {
        let mut furthest: Option<ClockBehind> = None;
        for clocks in &self.clocks {
            for behind in clocks.behind(AHEAD_MS_MAX).await? {
                if furthest
                    .as_ref()
                    .is_none_or(|known| known.by_ms < behind.by_ms)
                {
                    furthest = Some(behind);
                }
            }
        }
        match furthest {
            Some(behind) => Err(ShredError::ClockAhead {
                whose: behind.whose,
                by_s: behind.by_ms / 1000,
            }),
            None => Ok(()),
        }
    }
}
