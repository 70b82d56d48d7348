//! Fences: making sure that no gateway uses certain keys any more, and saying how that is known.

use super::KeyService;
use crate::error::KeysError;
use crate::types::{Fence, FenceEvidence, FenceScope, GatewayFence};
use crate::vault::TICK;

impl KeyService {
    /// Raises a fence. Gateways that answer acknowledge it within seconds; the others' leases run out.
    ///
    /// # Errors
    /// [`KeysError::Unavailable`] when it is not known whether it was raised: raise another, that does no harm;
    /// [`KeysError::Corrupt`] when the key store answers with an older fence.
    pub async fn raise_fence(&self, scope: FenceScope) -> Result<Fence, KeysError> {
        let store = &self.core.store;
        let applied = self.lease_state().fence;
        let raise = store.store.raise_fence(scope, self.core.clock.unix_ms());
        let number = store.call("raising a fence", raise).await?;
        // Every gateway has answered an old fence: an old number would be no fence at all.
        if number <= applied {
            return Err(KeysError::Corrupt {
                what: "newest fence".to_owned(),
            });
        }
        let committed = self.core.clock.boot();
        self.core.renew_now.notify_one();
        Ok(Fence {
            number,
            scope,
            committed,
        })
    }

    /// How far the gateways are with a fence that this process has raised.
    ///
    /// A lease counts from before its renewal was sent, and a renewal sent after the fence's commit answers the fence.
    /// So a gateway that has not acknowledged one lease after the commit has lost its keys to its own timer.
    ///
    /// # Errors
    /// [`KeysError::Unavailable`] when the key store does not answer.
    pub async fn fence_evidence(&self, fence: Fence) -> Result<FenceEvidence, KeysError> {
        let store = &self.core.store;
        let rows = store
            .call("reading fence acknowledgements", store.store.gateways())
            .await?;
        let waited = self.core.clock.boot().saturating_sub(fence.committed);
        let gateways = rows
            .into_iter()
            .map(|row| {
                let lease = std::time::Duration::from_millis(row.lease_ms);
                let state = if row.fence >= fence.number {
                    GatewayFence::Acknowledged
                } else if waited >= lease.saturating_add(TICK) {
                    GatewayFence::Expired
                } else {
                    GatewayFence::Waiting
                };
                (row.gateway, state)
            })
            .collect();
        Ok(FenceEvidence { fence, gateways })
    }
}
