//! Fences: making sure that no gateway uses certain keys any more, and saying how that is known.

use lethe_envelope::TenantId;

use super::KeyService;
use crate::error::{KeysError, Refusal};
use crate::store::RaiseFence;
use crate::types::{Fence, FenceEvidence, FenceScope, GatewayFence};
use crate::vault::TICK;

impl KeyService {
    /// Raises a fence. Gateways that answer acknowledge it within seconds; the others' leases run out.
    ///
    /// # Errors
    /// [`KeysError::Unavailable`] when it is not known whether it was raised: raise another, that does no harm.
    pub async fn raise_fence(&self, scope: FenceScope) -> Result<Fence, KeysError> {
        let store = &self.core.store;
        let raise = store.store.raise_fence(scope, self.core.clock.unix_ms());
        let number = match (store.call("raising a fence", raise).await?, scope) {
            (RaiseFence::Raised(number), _) => number,
            (RaiseFence::NothingToLift, FenceScope::Lift(tenant) | FenceScope::Tenant(tenant)) => {
                return Err(Refusal::NothingToLift { tenant }.into());
            }
            (RaiseFence::NothingToLift, FenceScope::Nodes) => {
                return Err(KeysError::Corrupt {
                    what: "newest fence".to_owned(),
                });
            }
        };
        let committed = self.core.clock.boot();
        self.core.renew_now.notify_one();
        Ok(Fence {
            number,
            scope,
            committed,
        })
    }

    /// Lifts a tenant's fence: the shred was cancelled before the root moved, and the tenant is served again.
    ///
    /// # Errors
    /// [`Refusal::NothingToLift`] once the root has moved: its keys are gone; [`KeysError::Unavailable`] when it is not
    /// known whether it was lifted: lift it again, that does no harm.
    pub async fn unfence(&self, tenant: TenantId) -> Result<Fence, KeysError> {
        self.raise_fence(FenceScope::Lift(tenant)).await
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
