//! Gateways that ended without giving their lease back: their rows go, so that no fence waits for them or names them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Core;
use crate::error::KeysError;
use crate::store::GatewayRow;
use crate::types::GatewayId;
use crate::vault::TICK;

/// Leases that a row must stand still for, by this process's boot clock: the first is over, the second is for clocks that drift.
const LEASES: u32 = 2;

/// A gateway's renewals as they were first seen.
#[derive(Clone, Copy, Debug)]
struct Seen {
    renewals: u64,
    /// Read after the row: its renewal was sent before.
    since: Duration,
}

/// How long the rows of the key store's gateways have stood still.
#[derive(Debug, Default)]
pub(super) struct Peers(Mutex<BTreeMap<GatewayId, Seen>>);

impl Peers {
    /// Takes note of rows that were read between these two times, and answers those that have had no lease for long.
    fn dead<'a>(
        &self,
        rows: &'a [GatewayRow],
        before: Duration,
        after: Duration,
    ) -> Vec<&'a GatewayRow> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|gateway, _| rows.iter().any(|row| row.gateway == *gateway));
        let still = rows.iter().filter(|row| {
            let renewals = row.renewals;
            let fresh = Seen {
                renewals,
                since: after,
            };
            let known = seen.entry(row.gateway).or_insert(fresh);
            if known.renewals != renewals {
                *known = fresh;
            }
            let lease = Duration::from_millis(row.lease_ms);
            let over = lease.saturating_mul(LEASES).saturating_add(TICK);
            before.saturating_sub(known.since) >= over
        });
        still.collect()
    }
}

impl Core {
    /// Forgets the gateways whose leases ended long ago.
    ///
    /// A lease counts from before its renewal was sent, so one that stood still for a lease has dropped its keys by its own timer.
    /// One that renews after all finds its row gone and drops what it has before it goes on; its fences, all of them, come with the
    /// renewal, as for a gateway that has just started.
    async fn forget_the_dead(&self) -> Result<(), KeysError> {
        let before = self.clock.boot();
        let reading = self.store.store.gateways();
        let rows = self.store.call("reading leases", reading).await?;
        for row in self.peers.dead(&rows, before, self.clock.boot()) {
            if row.gateway == self.gateway {
                continue;
            }
            let forgetting = self.store.store.forget_gateway(row.gateway, row.renewals);
            if self.store.call("forgetting a lease", forgetting).await? {
                tracing::info!(
                    op = "forget_gateway", outcome = "done", gateway = %row.gateway,
                    "a gateway ended without giving its lease back"
                );
            }
        }
        Ok(())
    }
}

/// Looks twice a lease.
pub(super) async fn forget(core: Arc<Core>) {
    let pause = Duration::from_millis(core.lease_ms / 2).max(TICK);
    loop {
        if let Err(error) = core.forget_the_dead().await {
            tracing::debug!(op = "forget_gateway", outcome = "failed", %error, "leases could not be read");
        }
        core.clock.sleep_until(core.clock.boot() + pause).await;
    }
}
