//! The gateways that cache rows of one catalog, as this one sees them.
//!
//! A poll first renews the gateway's row, then asks for the revision, and extends its lease from before both, once it has applied what
//! changed. So a gateway whose count of renewals this one has seen unchanged for a lease has nothing cached that it may serve, unless a
//! later poll showed it everything that was committed by now: no clocks of two machines are compared.

use super::CachedCatalog;
use crate::catalog::{CatalogError, Effect, Effective, GatewayEffect, GatewayRow, Revision};
use async_trait::async_trait;
use lethe_keys::GatewayId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How far two machines' clocks may drift apart within a lease.
const DRIFT: Duration = Duration::from_secs(1);
/// Between two questions for the acknowledgements of a change.
const EFFECT_POLL: Duration = Duration::from_millis(100);

/// When the count of renewals was first seen to be what it is.
#[derive(Clone, Copy)]
struct Seen {
    renewals: i64,
    since: Instant,
}

/// What is known of every gateway that has a row.
#[derive(Default)]
pub(super) struct Peers(Mutex<BTreeMap<GatewayId, Seen>>);

impl Peers {
    /// Notes rows that were read before `now`.
    pub(super) fn note(&self, rows: &[GatewayRow], now: Instant) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|gateway, _| rows.iter().any(|row| row.gateway == *gateway));
        for row in rows {
            let known = seen.get(&row.gateway);
            if known.is_none_or(|known| known.renewals != row.renewals) {
                let renewals = row.renewals;
                let now = Seen {
                    renewals,
                    since: now,
                };
                seen.insert(row.gateway, now);
            }
        }
    }

    /// Whether a gateway whose row was just noted has let its lease end.
    pub(super) fn has_expired(&self, row: &GatewayRow, now: Instant) -> bool {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&row.gateway).is_some_and(|seen| {
            seen.renewals == row.renewals
                && now.duration_since(seen.since) >= row.lease.saturating_add(DRIFT)
        })
    }
}

impl super::Shared {
    /// Reads and notes every gateway's row.
    async fn peers(&self) -> Result<Vec<GatewayRow>, CatalogError> {
        let rows = self.inner.gateways().await?;
        self.peers.note(&rows, Instant::now());
        Ok(rows)
    }

    /// Forgets the gateways that ended without a word, so that no change waits for them.
    pub(super) async fn forget_the_dead(&self) -> Result<(), CatalogError> {
        for row in self.peers().await? {
            if row.gateway != self.gateway && self.peers.has_expired(&row, Instant::now()) {
                let forget = self.inner.forget_gateway(row.gateway, row.renewals);
                forget.await?;
                tracing::info!(
                    op = "catalog poll", outcome = "forgotten", gateway = %row.gateway,
                    "a gateway ended without giving its lease back"
                );
            }
        }
        Ok(())
    }
}

/// What is known of a revision's way to the gateways.
struct Progress {
    revision: Revision,
    /// `None`: still waited for.
    gateways: BTreeMap<GatewayId, Option<GatewayEffect>>,
}

impl Progress {
    fn note(&mut self, rows: &[GatewayRow], peers: &Peers) {
        let now = Instant::now();
        for (gateway, effect) in &mut self.gateways {
            // It stopped and gave its lease back, or another gateway saw its lease end.
            if effect.is_none() && !rows.iter().any(|row| row.gateway == *gateway) {
                *effect = Some(GatewayEffect::Expired);
            }
        }
        for row in rows {
            let effect = if row.acknowledged >= self.revision {
                Some(GatewayEffect::Acknowledged)
            } else if peers.has_expired(row, now) {
                Some(GatewayEffect::Expired)
            } else {
                None
            };
            self.gateways.insert(row.gateway, effect);
        }
    }

    fn waiting(&self) -> usize {
        let waiting = self.gateways.values().filter(|effect| effect.is_none());
        waiting.count()
    }

    /// `None` while somebody is waited for.
    fn done(&self) -> Option<Effect> {
        let gateways = self.gateways.iter();
        let gateways = gateways.map(|(gateway, effect)| Some((*gateway, (*effect)?)));
        Some(Effect {
            revision: self.revision,
            gateways: gateways.collect::<Option<_>>()?,
        })
    }
}

#[async_trait]
impl Effective for CachedCatalog {
    async fn effective(
        &self,
        revision: Revision,
        deadline: Duration,
    ) -> Result<Effect, CatalogError> {
        let operation = "waiting for the change to be effective";
        let until = Instant::now() + deadline;
        let shared = Arc::clone(&self.shared);
        let mut progress = Progress {
            revision,
            gateways: BTreeMap::new(),
        };
        shared.poll_now.notify_one();
        loop {
            let asked = shared.peers().await;
            if let Ok(rows) = &asked {
                progress.note(rows, &shared.peers);
                // This gateway's own row may have been forgotten while the catalog was away from it.
                let here = self.applied() >= revision || shared.check_lease(operation).is_err();
                if here && let Some(effect) = progress.done() {
                    return Ok(effect);
                }
            }
            if Instant::now() >= until {
                asked?;
                return Err(CatalogError::Unavailable {
                    operation,
                    reason: format!(
                        "{} of {} gateways have not acknowledged it and their leases last; it is made, and effective there by itself",
                        progress.waiting(),
                        progress.gateways.len()
                    ),
                });
            }
            sleep(EFFECT_POLL).await;
        }
    }
}
