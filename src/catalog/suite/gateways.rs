use super::World;
use super::fixtures::{NOW, new_tenant};
use crate::catalog::{GatewayRenewal, GatewayRow, Revision};
use crate::clock::UnixMs;
use lethe_keys::GatewayId;
use std::time::Duration;

/// Sorts before the gateway of a cache.
const FIRST: GatewayId = GatewayId::from_bytes([0; 16]);
const SECOND: GatewayId = GatewayId::from_bytes([255; 16]);

fn renewal(gateway: GatewayId, acknowledged: Revision, renewals: i64) -> GatewayRenewal {
    GatewayRenewal {
        gateway,
        acknowledged,
        lease: Duration::from_millis(300_000),
        renewals,
        now: UnixMs(NOW.0 + renewals),
    }
}

fn row(renewal: &GatewayRenewal) -> GatewayRow {
    GatewayRow {
        gateway: renewal.gateway,
        acknowledged: renewal.acknowledged,
        lease: renewal.lease,
        renewals: renewal.renewals,
        renewed: renewal.now,
    }
}

/// The rows of these two.
async fn rows(world: &World) -> Vec<GatewayRow> {
    let mut rows = world.other.gateways().await.unwrap();
    rows.retain(|row| row.gateway == FIRST || row.gateway == SECOND);
    rows
}

pub(super) async fn gateway_renewed_acknowledges_what_the_catalog_has_reached(world: &World) {
    let catalog = &world.catalog;
    catalog.begin_tenant(&new_tenant("acme")).await.unwrap();
    let reached = catalog.revision().await.unwrap();
    let first = renewal(FIRST, Revision(0), 1);
    let second = renewal(SECOND, reached, 1);
    catalog.renew_gateway(&second).await.unwrap();
    catalog.renew_gateway(&first).await.unwrap();
    assert_eq!(rows(world).await, [row(&first), row(&second)]);
    let first = renewal(FIRST, reached, 2);
    catalog.renew_gateway(&first).await.unwrap();
    assert_eq!(rows(world).await, [row(&first), row(&second)]);
    // As after the catalog was put back to an older state: what was acknowledged before says nothing of what comes now.
    let ahead = renewal(FIRST, Revision(reached.0 + 1), 3);
    catalog.renew_gateway(&ahead).await.unwrap();
    assert_eq!(rows(world).await[0].acknowledged, Revision(0));
    assert_eq!(rows(world).await[0].renewals, 3);
}

pub(super) async fn gateway_forgotten_is_one_that_did_not_renew(world: &World) {
    let catalog = &world.catalog;
    let first = renewal(FIRST, Revision(0), 7);
    let second = renewal(SECOND, Revision(0), 7);
    catalog.renew_gateway(&first).await.unwrap();
    catalog.renew_gateway(&second).await.unwrap();
    catalog.forget_gateway(FIRST, 6).await.unwrap();
    catalog.forget_gateway(FIRST, 8).await.unwrap();
    assert_eq!(rows(world).await, [row(&first), row(&second)]);
    catalog.forget_gateway(FIRST, 7).await.unwrap();
    catalog.forget_gateway(FIRST, 7).await.unwrap();
    assert_eq!(rows(world).await, [row(&second)]);
}
