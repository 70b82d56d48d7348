//! Which gateways cache rows of this catalog, and how far they are with its changes.

use super::super::database::{DatabaseError, Row, Statement};
use super::super::{CatalogError, GatewayRenewal, GatewayRow, GatewayStore, Revision};
use super::{SqlCatalog, at};
use crate::clock::UnixMs;
use async_trait::async_trait;
use lethe_keys::GatewayId;
use std::time::Duration;

fn gateway_of(row: &Row) -> Result<GatewayRow, DatabaseError> {
    let lease_ms: i64 = row.get("lease_ms")?;
    Ok(GatewayRow {
        gateway: GatewayId::from_bytes(row.array("gateway")?),
        acknowledged: Revision(row.get("acknowledged")?),
        lease: u64::try_from(lease_ms)
            .map(Duration::from_millis)
            .map_err(|_| DatabaseError::corrupt("lease_ms"))?,
        renewals: row.get("renewals")?,
        renewed: UnixMs(row.get("renewed")?),
    })
}

#[async_trait]
impl GatewayStore for SqlCatalog {
    /// A revision that the catalog has not reached comes from before it was put back to an older state: it acknowledges nothing.
    async fn renew_gateway(&self, renewal: &GatewayRenewal) -> Result<(), CatalogError> {
        let mut work = self.begin("renew_gateway").await?;
        let upsert = Statement::new(
            "INSERT INTO gateways (gateway, acknowledged, lease_ms, renewals, renewed)
             SELECT $1, CASE WHEN $2 <= revision THEN $2 ELSE 0 END, $3, $4, $5 FROM domain WHERE id = 1
             ON CONFLICT (gateway) DO UPDATE SET acknowledged = excluded.acknowledged,
                 lease_ms = excluded.lease_ms, renewals = excluded.renewals, renewed = excluded.renewed",
        )
        .bind(renewal.gateway.as_bytes().as_slice())
        .bind(renewal.acknowledged.0)
        .bind(i64::try_from(renewal.lease.as_millis()).unwrap_or(i64::MAX))
        .bind(renewal.renewals)
        .bind(renewal.now);
        if work.change(upsert).await? != 1 {
            return Err(work.not_found("domain"));
        }
        work.commit().await
    }

    async fn gateways(&self) -> Result<Vec<GatewayRow>, CatalogError> {
        let operation = "gateways";
        let question = Statement::new(
            "SELECT gateway, acknowledged, lease_ms, renewals, renewed FROM gateways ORDER BY gateway",
        );
        let rows = self.read(operation, question).await?;
        rows.iter()
            .map(gateway_of)
            .collect::<Result<_, _>>()
            .map_err(at(operation))
    }

    async fn forget_gateway(&self, gateway: GatewayId, renewals: i64) -> Result<(), CatalogError> {
        let mut work = self.begin("forget_gateway").await?;
        let delete = Statement::new("DELETE FROM gateways WHERE gateway = $1 AND renewals = $2")
            .bind(gateway.as_bytes().as_slice())
            .bind(renewals);
        work.change(delete).await?;
        work.commit().await
    }
}
