//! Gateways' leases and the fences that renewals acknowledge.

use super::super::pool::store_error;
use super::super::{FENCES_PER_RENEWAL, GatewayRow, Phase, Renewal, Renewed, StoreError};
use super::{SqlKeyStore, rows};
use crate::types::{FenceScope, GatewayId};

impl SqlKeyStore {
    /// Counts a renewal, and answers how many there were; `None` when the row that the gateway knows is gone, or is another.
    pub(super) async fn write_lease(&self, renewal: &Renewal) -> Result<Option<u64>, StoreError> {
        self.gate.pass()?;
        // Without a row, whoever raised a fence did not wait for the gateway: it may hold keys, so it must hear of that, however
        // often the answer is lost. A row below what is known is one that a renewal on its way since the first made.
        let renew = if renewal.known > 0 {
            sqlx::query(
                "UPDATE gateways SET epoch = $2, fence = $3, lease_ms = $4, renewals = renewals + 1, renewed_ms = $5 \
                 WHERE gateway = $1 AND renewals >= $6 RETURNING renewals",
            )
        } else {
            sqlx::query(
                "INSERT INTO gateways (gateway, epoch, fence, lease_ms, renewals, renewed_ms) \
                 VALUES ($1, $2, $3, $4, 1, $5) \
                 ON CONFLICT (gateway) DO UPDATE SET epoch = excluded.epoch, fence = excluded.fence, \
                 lease_ms = excluded.lease_ms, renewals = gateways.renewals + 1, renewed_ms = excluded.renewed_ms \
                 RETURNING renewals",
            )
        };
        let renew = renew
            .bind(renewal.gateway.as_bytes().to_vec())
            .bind(rows::stored(renewal.epoch.0, "epoch")?)
            .bind(rows::stored(renewal.fence, "fence")?)
            .bind(rows::stored(renewal.lease_ms, "lease")?)
            .bind(renewal.renewed_ms);
        let renew = match renewal.known {
            0 => renew,
            known => renew.bind(rows::stored(known, "renewals")?),
        };
        let row = renew
            .fetch_optional(&self.pool)
            .await
            .map_err(|error| store_error(&error))?;
        row.map(|row| rows::count(&row, "renewals")).transpose()
    }

    pub(super) async fn read_fences(
        &self,
        acknowledged: u64,
        renewals: u64,
    ) -> Result<Renewed, StoreError> {
        self.gate.pass()?;
        let head = sqlx::query("SELECT identity, epoch, fence, state FROM key_store WHERE id = 1")
            .fetch_optional(&self.pool)
            .await
            .map_err(|error| store_error(&error))?
            .ok_or(StoreError::Missing)?;
        if rows::text(&head, "state")? == Phase::Restoring.as_str() {
            return Err(StoreError::Restoring);
        }
        let newest = rows::count(&head, "fence")?;
        let mut fences = Vec::new();
        if newest > acknowledged {
            self.gate.pass()?;
            fences = sqlx::query(
                "SELECT fence, kind, tenant FROM fences WHERE fence > $1 AND fence <= $2 ORDER BY fence LIMIT $3",
            )
            .bind(rows::stored(acknowledged, "fence")?)
            .bind(rows::stored(newest, "fence")?)
            .bind(FENCES_PER_RENEWAL as i64)
            .fetch_all(&self.pool)
            .await
            .map_err(|error| store_error(&error))?
            .iter()
            .map(rows::fence)
            .collect::<Result<_, _>>()?;
        }
        Ok(Renewed {
            identity: rows::identity(&head)?,
            epoch: rows::epoch(&head)?,
            renewals,
            fence: newest,
            fences,
        })
    }

    pub(super) async fn delete_lease(&self, gateway: GatewayId) -> Result<(), StoreError> {
        self.gate.pass()?;
        sqlx::query("DELETE FROM gateways WHERE gateway = $1")
            .bind(gateway.as_bytes().to_vec())
            .execute(&self.pool)
            .await
            .map(|_| ())
            .map_err(|error| store_error(&error))
    }

    pub(super) async fn delete_dead_lease(
        &self,
        gateway: GatewayId,
        renewals: u64,
    ) -> Result<bool, StoreError> {
        self.gate.pass()?;
        sqlx::query("DELETE FROM gateways WHERE gateway = $1 AND renewals = $2")
            .bind(gateway.as_bytes().to_vec())
            .bind(rows::stored(renewals, "renewals")?)
            .execute(&self.pool)
            .await
            .map(|done| done.rows_affected() > 0)
            .map_err(|error| store_error(&error))
    }

    pub(super) async fn write_fence(
        &self,
        scope: FenceScope,
        raised_ms: i64,
    ) -> Result<u64, StoreError> {
        let mut transaction = self.begin().await?;
        self.gate.pass()?;
        let row =
            sqlx::query("UPDATE key_store SET fence = fence + 1 WHERE id = 1 RETURNING fence")
                .fetch_optional(&mut *transaction)
                .await
                .map_err(|error| store_error(&error))?
                .ok_or(StoreError::Missing)?;
        let fence = rows::count(&row, "fence")?;
        let (kind, tenant) = match scope {
            FenceScope::Tenant(tenant) => ("tenant", Some(tenant.as_bytes().to_vec())),
            FenceScope::Nodes => ("nodes", None),
        };
        self.gate.pass()?;
        sqlx::query("INSERT INTO fences (fence, kind, tenant, raised_ms) VALUES ($1, $2, $3, $4)")
            .bind(rows::stored(fence, "fence")?)
            .bind(kind)
            .bind(tenant)
            .bind(raised_ms)
            .execute(&mut *transaction)
            .await
            .map_err(|error| store_error(&error))?;
        self.commit(transaction).await?;
        Ok(fence)
    }

    pub(super) async fn read_gateways(&self) -> Result<Vec<GatewayRow>, StoreError> {
        self.gate.pass()?;
        sqlx::query(
            "SELECT gateway, epoch, fence, lease_ms, renewals, renewed_ms FROM gateways ORDER BY gateway",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(|error| store_error(&error))?
        .iter()
        .map(rows::gateway)
        .collect()
    }
}
