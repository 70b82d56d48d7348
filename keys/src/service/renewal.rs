//! The lease's two tasks: one renews it, one takes the keys away when it was not renewed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Core;
use crate::error::KeysError;
use crate::store::Renewal;
use crate::vault::{Applied, TICK};

/// Renewals in a row without a pause, so that a store that never stops raising fences cannot keep the task busy.
const ACKNOWLEDGE_MAX: usize = 16;

impl Core {
    /// The first renewals; the lease stands when this returns.
    pub(super) async fn take_lease(&self) -> Result<(), KeysError> {
        // A store with a long history has more fences than one round of renewals takes in.
        loop {
            let before = self.vault.acknowledged();
            self.renew_and_acknowledge().await?;
            if self.vault.lease_lasts() {
                return Ok(());
            }
            if self.vault.acknowledged() == before {
                return Err(KeysError::LeaseEnded);
            }
        }
    }

    async fn renew_and_acknowledge(&self) -> Result<(), KeysError> {
        for _ in 0..ACKNOWLEDGE_MAX {
            if self.renew_once().await? == Applied::Extended {
                break;
            }
        }
        Ok(())
    }

    /// Never run by two at a time: [`Core::take_lease`] is over before the renewing task begins.
    async fn renew_once(&self) -> Result<Applied, KeysError> {
        let (epoch, fence) = self.vault.acknowledged();
        let renewal = Renewal {
            gateway: self.gateway,
            epoch,
            fence,
            lease_ms: self.lease_ms,
            renewed_ms: self.clock.unix_ms(),
            known: self.renewals.load(Ordering::SeqCst),
        };
        // The lease counts from here: the store may see the renewal any time after.
        let sent = self.clock.boot();
        match self
            .store
            .call("renewing the lease", self.store.store.renew(&renewal))
            .await
        {
            Ok(Some(renewed)) => {
                self.renewals.store(renewed.renewals, Ordering::SeqCst);
                self.vault.renewed(sent, &renewed)
            }
            Ok(None) => {
                // Its lease counted as over, and fences were judged without it: it begins anew, with nothing.
                self.vault.lose(KeysError::LeaseEnded);
                self.renewals.store(0, Ordering::SeqCst);
                Err(KeysError::LeaseEnded)
            }
            Err(error @ KeysError::Unavailable { .. }) => {
                self.vault.not_renewed(error.clone());
                Err(error)
            }
            // The store answered, and not as a key store of ours does.
            Err(error) => {
                self.vault.lose(error.clone());
                Err(error)
            }
        }
    }
}

/// Renews every second, or at once when asked to; the last renewal began at `began`.
///
/// The second counts from a renewal's beginning: one that a suspended machine was in the middle of is repeated at once.
pub(super) async fn renew(core: Arc<Core>, mut began: Duration) {
    let mut failing = false;
    loop {
        tokio::select! {
            () = core.clock.sleep_until(began + TICK) => {}
            () = core.renew_now.notified() => {}
        }
        began = core.clock.boot();
        match core.renew_and_acknowledge().await {
            Ok(()) if failing => {
                failing = false;
                tracing::info!(op = "renew_lease", outcome = "ok", "lease renewed again");
            }
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(op = "renew_lease", outcome = "failed", %error, "lease not renewed");
            }
            Ok(()) | Err(_) => {}
        }
    }
}

/// Drops keys when their time is over, whoever uses them and whether or not anybody asks.
pub(super) async fn sweep(core: Arc<Core>) {
    loop {
        core.clock.sleep_until(core.vault.next_sweep()).await;
        core.vault.sweep();
    }
}
