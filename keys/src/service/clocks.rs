//! Other gateways' wall clocks, as their leases' renewals tell them.

use super::KeyService;
use crate::error::KeysError;
use crate::store::GatewayRow;
use crate::types::GatewayId;
use crate::vault::TICK;

/// How long a gateway that runs may take to renew again, in renewals.
const TICKS: u32 = 5;

impl KeyService {
    /// Other gateways whose wall clocks are more than `by_ms` behind this one's, and by how much at least, in milliseconds.
    ///
    /// Returns at once unless a renewal is as old as that. Then it waits for the next: only one that comes tells of a clock, and one
    /// that does not is a gateway's that has ended.
    ///
    /// # Errors
    /// [`KeysError::Unavailable`] when the key store does not answer.
    pub async fn gateways_behind(&self, by_ms: i64) -> Result<Vec<(GatewayId, i64)>, KeysError> {
        let core = &self.core;
        // Before the rows are read: what is renewed later is renewed after this.
        let own_ms = core.clock.unix_ms();
        let behind_ms = |row: &GatewayRow| own_ms.saturating_sub(row.renewed_ms);
        let old: Vec<GatewayRow> = self
            .lease_rows()
            .await?
            .into_iter()
            .filter(|row| row.gateway != core.gateway && behind_ms(row) > by_ms)
            .collect();
        if old.is_empty() {
            return Ok(Vec::new());
        }
        core.clock
            .sleep_until(core.clock.boot() + TICK.saturating_mul(TICKS))
            .await;
        let renewed = |row: &GatewayRow| {
            old.iter()
                .any(|known| known.gateway == row.gateway && known.renewals < row.renewals)
        };
        let rows = self.lease_rows().await?;
        Ok(rows
            .iter()
            .filter(|row| renewed(row) && behind_ms(row) > by_ms)
            .map(|row| (row.gateway, behind_ms(row)))
            .collect())
    }

    async fn lease_rows(&self) -> Result<Vec<GatewayRow>, KeysError> {
        let store = &self.core.store;
        store.call("reading leases", store.store.gateways()).await
    }
}
